#!/usr/bin/env python3
"""Drives: a guest that reads and writes a disk through IDE, the image that stays as it was, what is kept of it, and
recordings of it."""
import contextlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import harness
import hcrec
from harness import HINDCAST, Server, build_c_guest, check, contains, end_process, equal, patience, shown_in, until
from rspclient import RspError
from test_cli import refused, run

# Copies eight sectors, each changed in a byte, from LBA 1000 to 2000; ends with the sum of what it read, or with 200 if
# the disk said no.
GUEST = r"""
static void out8(unsigned short p, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static unsigned char in8(unsigned short p) { unsigned char v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static unsigned char sector[512];
static void say(const char *s) { while (*s) out8(0x3f8, *s++); }

static int ready(void)
{
    unsigned char s;

    while ((s = in8(0x1f7)) & 0x80)
        ;
    return !(s & 0x21);
}

static int command(unsigned lba, unsigned char command)
{
    out8(0x1f6, 0xe0 | (lba >> 24 & 15));
    out8(0x1f2, 1);
    out8(0x1f3, lba);
    out8(0x1f4, lba >> 8);
    out8(0x1f5, lba >> 16);
    out8(0x1f7, command);
    return ready();
}

int read_sector(unsigned lba, void *to)
{
    unsigned n = 256;

    if (!command(lba, 0x20))
        return 0;
    __asm__ volatile("cld; rep insw" : "+D"(to), "+c"(n) : "d"(0x1f0) : "memory");
    return 1;
}

int write_sector(unsigned lba, const void *from)
{
    unsigned n = 256;

    if (!command(lba, 0x30))
        return 0;
    __asm__ volatile("cld; rep outsw" : "+S"(from), "+c"(n) : "d"(0x1f0) : "memory");
    return ready();
}

void main(void)
{
    unsigned sum = 0;

    out8(0x3f6, 2);
    for (unsigned i = 0; i < 8; i++) {
        if (!read_sector(1000 + i, sector))
            out8(0xf4, 100);
        sum += sector[0] + sector[511];
        sector[0] ^= 0x55;
        if (!write_sector(2000 + i, sector) || !read_sector(2000 + i, sector))
            out8(0xf4, 100);
        sum += sector[0];
    }
    say("copied\n");
    FOREVER
    out8(0xf4, sum & 63);
    for (;;)
        __asm__ volatile("hlt");
}
"""
FOREVER = "for (unsigned n = 0;; n++) write_sector(3000 + n % 1000, sector);"
SECTORS = 8192
SEABIOS = "/usr/share/seabios/bios.bin"


def image():
    return b"".join(bytes([n * 7 & 255]) + bytes(510) + bytes([n >> 3 & 255]) for n in range(SECTORS))


def changed(data):
    out = bytearray(data)
    for i in range(8):
        sector = bytearray(data[(1000 + i) * 512:(1001 + i) * 512])
        sector[0] ^= 0x55
        out[(2000 + i) * 512:(2001 + i) * 512] = sector
    return bytes(out)


def status(data):
    total = sum(data[(1000 + i) * 512] + data[(1000 + i) * 512 + 511] + (data[(1000 + i) * 512] ^ 0x55) for i in range(8))
    return (total & 63) << 1 | 1


KERNEL = build_c_guest(GUEST.replace("FOREVER", ""), "copies")[1]
DATA = image()


class Disk:
    """A directory with disk.raw."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="hindcast-drives-")
        self.raw = self.path("disk.raw")
        with open(self.raw, "wb") as f:
            f.write(DATA)
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def content(self, name="disk.raw"):
        with open(self.path(name), "rb") as f:
            return f.read()


def copies(*options, listen=("--run", "--listen", "none")):
    return run(KERNEL, *listen, "--serial", "none", *options)


def claim_the_guest_sees_what_it_wrote_and_the_image_stays():
    with Disk() as d:
        got, text = copies("-hda", d.raw)
        equal(got, status(DATA), text)
        equal(d.content(), DATA)


# INT 13h reads the boot sector once more, by cylinder, head and sector.
BOOT_SECTOR = bytes.fromhex("31c0 8ed8 8ec0 b80102 bb0080 b90100 ba8000 cd13 b001 720a 813efe8155aa 7502 b015 e6f4 f4 ebfd")


def claim_firmware_boots_from_an_ide_disk_of_one_sector():
    """(On other controllers SeaBIOS itself has no cylinder for so small a disk, in QEMU, too.)"""
    with Disk() as d:
        for size in 512, 700, 1009 * 512:
            boot = d.path("boot%d.img" % size)
            with open(boot, "wb") as f:
                f.write((BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa").ljust(size, b"\0"))
            got, text = run("--bios", SEABIOS, "--run", "--listen", "none", "--serial", "none", "-hda", boot)
            equal(got, 0x15 << 1 | 1, (size, text))


def claim_bad_sectors_are_errors_of_the_disk():
    with Disk() as d:
        for bad, want in (("1003", 201), ("2007+2", 201), ("1008", status(DATA))):
            got, text = copies("--drive", "file=%s,fail=%s" % (d.raw, bad))
            equal(got, want, text)


def claim_write_back_into_a_raw_image_at_the_end():
    with Disk() as d:
        got, text = copies("--drive", "file=%s,write-back" % d.raw)
        equal(got, status(DATA), text)
        contains(text, r"disk.raw: the changes to drive ide0-hd0")
        equal(d.content(), changed(DATA))


def claim_write_back_to_a_new_file_makes_an_image_over_the_old_one():
    with Disk() as d:
        new = d.path("new.qcow2")
        got, text = copies("--drive", "file=%s,write-back=%s" % (d.raw, new))
        equal(got, status(DATA), text)
        equal(d.content(), DATA)
        if shutil.which("qemu-img"):
            with open(d.path("want.raw"), "wb") as f:
                f.write(changed(DATA))
            done = subprocess.run(["qemu-img", "check", new], stdout=subprocess.PIPE, check=True).stdout.decode()
            contains(done, r"No errors")
            subprocess.run(["qemu-img", "compare", "-f", "qcow2", "-F", "raw", new, d.path("want.raw")], check=True)
        # And it is a disk again, whose changes go into the next one.
        got, text = copies("--drive", "file=%s,write-back=%s" % (new, d.path("newer.qcow2")))
        equal(got, status(DATA), text)
        # Into itself it cannot be, which is said before the guest runs.
        refused(r"new.qcow2 is no raw file, and only such a one can be written back to", KERNEL, "--drive",
                "file=%s,write-back" % new)


def claim_what_is_written_back_replaces_no_other_file_and_lies_over_what_the_guest_saw():
    with Disk() as d:
        notes, image = d.path("notes"), d.path("s.qcow2")
        with open(notes, "w") as f:
            f.write("mine")
        refused(r"notes: exists, and would be lost", KERNEL, "--drive", "file=%s,write-back=%s" % (d.raw, notes))
        refused(r"nowhere/new.qcow2: cannot create: No such file", KERNEL, "--drive",
                "file=%s,write-back=%s" % (d.raw, d.path("nowhere/new.qcow2")))
        refused(r"notes/new.qcow2: cannot create: Not a directory", KERNEL, "--drive",
                "file=%s,write-back=%s" % (d.raw, d.path("notes/new.qcow2")))
        with open(notes) as f:
            equal(f.read(), "mine")
        got, text = copies("--force", "--drive", "file=%s,write-back=%s" % (d.raw, notes))
        equal(got, status(DATA), text)
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", d.raw, image], check=True)
        subprocess.run(["qemu-img", "snapshot", "-c", "s1", image], check=True)
        refused(r"shows the snapshot 's1'.*qemu-img convert -l s1", KERNEL, "--drive",
                "file=%s,snapshot=s1,write-back=%s" % (image, d.path("new.qcow2")))
        with Server("--drive", "id=old,snapshot=s1,file=" + image, guest=KERNEL) as server:
            try:
                text = server.client().monitor("commit old " + d.path("new.qcow2"))
            except RspError as e:
                contains(str(e), r"shows a snapshot")
            else:
                check(False, text)
        bank = d.path("bank.fd")
        with open(bank, "wb") as f:
            f.write(b"\xff" * 131072)
        refused(r"both flash banks have it", KERNEL, "--pflash", bank, "--pflash", bank + ",write-back")
        refused(r"drive \S+ has it, so flash bank 0 cannot", KERNEL, "--pflash", bank + ",write-back", "-hda", bank)


def claim_an_image_that_is_written_back_is_nobody_elses():
    with Disk() as d:
        own = "id=own,write-back,file="
        link, over = d.path("link.raw"), d.path("over.qcow2")
        os.link(d.raw, link)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", d.raw, over], check=True)
        for other in (d.raw, link, over):
            for order in ((own + d.raw, "id=other,file=" + other), ("id=other,file=" + other, own + d.raw)):
                refused(r"drive other reads it too", KERNEL, "--drive", order[0], "--drive", order[1])
        refused(r"reads it too", KERNEL, "--drive", own + link, "--cdrom", d.raw)
        new = d.path("new.qcow2")
        refused(r"two drives have that file", KERNEL, "--drive", "file=%s,write-back=%s" % (d.raw, new), "--drive",
                "file=%s,write-back=%s" % (over, new))
        with Server("-hda", d.raw, guest=KERNEL):
            refused(r"disk.raw: another program .hindcast, QEMU. has it open", KERNEL, "--drive", own + d.raw)
            equal(copies("-hda", link)[0], status(DATA)) # both read
        with Server("--drive", own + d.raw, guest=KERNEL):
            refused(r"link.raw is being written by another program .QEMU.., or is to be", KERNEL, "-hda", link)
        with Server("--drive", own + d.raw, guest=KERNEL) as server:
            os.rename(d.raw, d.path("away.raw"))
            with open(d.raw, "wb") as f:
                f.write(DATA)
            rsp = server.client()
            rsp.start()
            rsp.ask("c")
            rsp.monitor("quit")
            server.wait_errors("disk.raw is another file than the one that was opened")
        equal(d.content(), DATA)


@contextlib.contextmanager
def when_it_has_run(d):
    """The server of a guest that has used the disk, and a client."""
    with Server("-hda", d.raw, guest=KERNEL) as server:
        rsp = server.client()
        rsp.start()
        rsp.ask("c")
        yield server, rsp


def claim_commit_saves_the_disk_as_it_was_at_a_position():
    with Disk() as d:
        with when_it_has_run(d) as (_, rsp):
            contains(rsp.monitor("info block"), r"(?s)ide0-hd0: .*disk.raw \(raw\).*differs from its image here in 1 pages")
            contains(rsp.monitor("commit ide0-hd0 " + d.path("late.qcow2")), r"64 KiB")
            rsp.ask("bc")
            contains(rsp.monitor("info block"), r"differs from its image here in 0 pages")
            contains(rsp.monitor("commit ide0-hd0 " + d.path("early.qcow2")), r" 0 KiB")
            for words, why in (("ide0-hd9 x", r"no drive 'ide0-hd9'"), ("ide0-hd0 " + d.raw, r"disk.raw")):
                try:  # the last: never what it reads
                    raise harness.Failed("not refused: " + rsp.monitor("commit " + words))
                except RspError as e:
                    contains(str(e), why)
        equal(d.content(), DATA)


def claim_an_image_that_others_write_to_or_move_is_noticed():
    with Disk() as d:
        with when_it_has_run(d) as (server, rsp):
            with open(d.raw, "r+b") as f:
                first = f.read(1)
                f.seek(0)
                f.write(bytes([first[0] ^ 1]))
            contains(rsp.monitor("info block"), r"disk.raw was written to by another program .noticed at position \d+")
            rsp.monitor("seek 0")
            rsp.ask("c")
            until(lambda: "disk.raw was written to by another program" in server.errors, "it is said that the image was written to")
            os.truncate(d.raw, 1024)
            rsp.monitor("seek 100")
            rsp.ask("c")
            until(lambda: "at position" in server.errors and "disk.raw was cut short by another program" in server.errors, "it is said that it was cut")
            contains(rsp.monitor("info block"), r"disk.raw was cut short by another program .noticed at position \d+")
            with open(d.raw, "wb") as f:
                f.write(DATA)
            os.rename(d.raw, d.raw + ".moved")
            contains(rsp.monitor("commit ide0-hd0 " + d.path("over.qcow2")), r"disk.raw is not that image any more")
            os.rename(d.raw + ".moved", d.raw)


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))


def claim_what_a_drive_holds_is_not_shown_or_kept_of_an_image_that_was_changed():
    with Disk() as d:
        with when_it_has_run(d) as (_, rsp):
            contains(rsp.monitor("disk ide0-hd0 1001"), r"sector 1001")
            for sector, words in (1001, "disk ide0-hd0 1001"), (1999, "commit ide0-hd0 " + d.path("late.qcow2")):
                flip(d.raw, sector * 512)
                try:
                    raise harness.Failed("not refused: " + rsp.monitor(words))
                except RspError as e:
                    contains(str(e), r"of the image of drive ide0-hd0 are not what the guest read: the image was changed since")
                contains(rsp.monitor("disk ide0-hd0 5000"), r"sector 5000") # nobody has read that
                flip(d.raw, sector * 512)
                rsp.monitor(words)
        os.remove(d.path("late.qcow2"))
        with Server("--drive", "write-back,file=" + d.raw, guest=KERNEL) as server:
            rsp = server.client()
            rsp.start()
            rsp.ask("c")
            flip(d.raw, 1999 * 512)
            rsp.monitor("quit")
            server.wait_errors("what drive ide0-hd0 holds is lost: bytes 983040 to 1048575 of the image of drive ide0-hd0 are not what the guest read")
        flip(d.raw, 1999 * 512)
        equal(d.content(), DATA)


def claim_what_is_wrong_with_an_image_is_said():
    with Disk() as d:
        image = d.path("damaged.qcow2")
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", d.raw, image], check=True)
        with open(image, "r+b") as f:
            head = f.read(48)
            f.seek(struct.unpack_from(">Q", head, 40)[0])
            f.seek(struct.unpack(">Q", f.read(8))[0] & 0x00fffffffffffe00)
            f.seek(8 * (1000 * 512 >> 16), 1)
            f.write(struct.pack(">Q", 1 << 63 | 1 << 50))
        why = r"damaged.qcow2 is a damaged qcow2 image: a cluster lies outside of the file .the cluster with byte \d+ of the disk."
        with Server("-hda", image, guest=KERNEL) as server:
            rsp = server.client()
            rsp.start()
            rsp.ask("c")
            server.wait_errors("drive ide0-hd0: ")
            contains(server.errors, why)
            contains(rsp.monitor("info block"), r"could not be read: \S*" + why)
            try:
                raise harness.Failed("not refused: " + rsp.monitor("disk ide0-hd0 1000"))
            except RspError as e:
                contains(str(e), r"of the image of drive ide0-hd0 cannot be read: \S*" + why)


def claim_every_file_of_an_image_is_watched():
    with Disk() as d:
        over, beside = d.path("over.qcow2"), d.path("beside.data")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", d.raw, over], check=True)
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", "-o", "data_file=" + beside, d.raw, d.path("with.qcow2")], check=True)
        for image, file in (over, d.raw), (d.path("with.qcow2"), beside):
            with Server("-hda", image, guest=KERNEL) as server:
                rsp = server.client()
                rsp.start()
                rsp.ask("c")
                flip(file, 1001 * 512)
                rsp.monitor("seek 0")
                rsp.ask("c")
                equal(rsp.ask("Z0,%x,1" % harness.symbol(KERNEL, "write_sector")), "OK")
                rsp.ask("c")
                until(lambda f=file: f + " was written to by another program" in server.errors, file + " is watched")
                contains(rsp.monitor("info replay"), r"image of drive ide0-hd0 are not what the guest read")
                flip(file, 1001 * 512)
        refused(r"drive other reads it too", KERNEL, "--drive", "id=own,write-back,format=raw,file=" + beside, "--drive",
                "id=other,file=" + d.path("with.qcow2"))


def claim_a_killed_guest_leaves_the_image_and_a_recording_that_opens():
    forever = build_c_guest(GUEST.replace("FOREVER", FOREVER), "writes")[1]
    with Disk() as d:
        name, out = d.path("r.hcrec"), d.path("out")
        process = subprocess.Popen([HINDCAST, forever, "--run", "--listen", "none", "--serial", "file:" + out, "-hda", d.raw,
                                    "--record", name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            until(lambda: shown_in(out, b"copied"), "the guest writes")
            until(lambda: subprocess.run([HINDCAST, "info", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                         timeout=patience(60)).stdout.count(b"clusters of drives"), "it is recorded")
        finally:
            end_process(process, kill=True)
        equal(d.content(), DATA)
        got, text = run("verify", name)
        equal(got, 0, text)


def claim_a_recording_finds_its_image_or_says_which_it_misses():
    with Disk() as d:
        name, away = d.path("r.hcrec"), d.path("away")
        got, text = copies("-hda", d.raw, "--record", name)
        equal(got, status(DATA), text)
        equal(run("verify", name)[0], 0)
        os.mkdir(away)
        os.rename(d.raw, os.path.join(away, "moved"))
        refused(r"needs the image of drive ide0-hd0, .*disk\.raw, which is not there", "verify", name)
        where = "id=ide0-hd0,file=" + os.path.join(away, "moved")
        equal(run("verify", name, "--drive", where)[0], 0)
        refused(r"has no drive 'other'", "verify", name, "--drive", "id=other,file=x")
        # A byte that the guest has read is another one now.
        with open(os.path.join(away, "moved"), "r+b") as f:
            f.seek(1000 * 512 + 9)
            f.write(b"!")
        got, text = run("verify", name, "--drive", where)
        equal(got, 2, text)
        contains(text, r"of the image of drive ide0-hd0 are not what the guest read")
        os.truncate(os.path.join(away, "moved"), 4096)
        refused(r"not the image of drive ide0-hd0 that was recorded", "verify", name, "--drive", where)


def claim_a_recording_with_its_images_carries_what_the_guest_read():
    with Disk() as d:
        name = d.path("r.hcrec")
        got, text = copies("-hda", d.raw, "--record", name, "--embed")
        equal(got, status(DATA), text)
        check(os.path.getsize(name) < 200000)
        os.remove(d.raw)
        equal(run("verify", name)[0], 0)
        refused(r"needs the image of drive", "--replay", name, "--continue-live", "--run", "--listen", "none")


def claim_a_damaged_cluster_in_a_recording_is_taken_from_the_image_or_ends_history_where_it_is_read():
    with Disk() as d:
        name = d.path("r.hcrec")
        copies("-hda", d.raw, "--record", name, "--embed")
        edge = hcrec.load(name).edge
        [read] = [position for position, _, kind, _, data in hcrec.load(name).events
                  if kind == 9 and data[:8] == struct.pack("<Q", 1001 * 512 >> 16)]
        clusters = [(at, size) for kind, at, size in hcrec.chunks(name) if kind == "clst"]
        check(clusters and 0 < read < edge, clusters, read)
        for where in clusters[0][0] + 9, clusters[0][0] + 45, sum(clusters[0]) - 1:
            hcrec.flip(name, where)
            number = 1000 * 512 >> 16
            got, text = run("verify", name)
            equal(got, 2, text)
            contains(text, r"the chunk at byte %d .*; with it, bytes %d to %d of the image of drive ide0-hd0, which the guest first "
                     r"read at position %d:" % (clusters[0][0], number << 16, (number + 1 << 16) - 1, read))
            contains(text, r"replays, to position %d:" % edge)      # the image is here
            with open(d.raw, "r+b") as f:
                f.seek(1000 * 512 + 9)
                f.write(b"!")
            got, text = run("verify", name)
            equal(got, 2, text)
            contains(text, r"of the image of drive ide0-hd0 are not what the guest read")
            os.rename(d.raw, d.raw + ".away")
            got, text = run("verify", name)
            equal(got, 2, text)
            contains(text, r"of the image of drive ide0-hd0 (are damaged in the recording, and the image is not here|cannot be read any more)")
            with Server("--replay", name, guest=None) as s:
                rsp = s.client()
                rsp.monitor("seek %d" % (read - 1))
                rsp.ask("c")
                equal(rsp.position(), read - 1)
                rsp.ask("c")
                equal(rsp.position(), read)
                contains(rsp.monitor("info replay"), "of the image of drive ide0-hd0")
                rsp.ask("bs")
                equal(rsp.position(), read - 1, "backwards all is as before")
            os.rename(d.raw + ".away", d.raw)
            with open(d.raw, "wb") as f:
                f.write(DATA)
            hcrec.flip(name, where)
        equal(run("verify", name)[0], 0)


# Real-mode code: end with a status; reset.
ENDS = {"disk": b"\xb0\x01\xe6\xf4\xf4", "cd": b"\xb0\x02\xe6\xf4\xf4"}
RESETS = b"\xba\xf9\x0c\xb0\x06\xee\xf4"


def boot_cd(code):
    """A CD with nothing on it but what El Torito needs."""
    entry = b"\x01\0\0\0".ljust(28, b"\0")
    entry += struct.pack("<H", -(1 + 0xaa55) & 0xffff) + b"\x55\xaa"
    entry += b"\x88" + struct.pack("<BHBBHI", 0, 0, 0, 0, 4, 19)
    record = (b"\0CD001\x01EL TORITO SPECIFICATION").ljust(0x47, b"\0") + struct.pack("<I", 18)
    sectors = {16: b"\x01CD001\x01", 17: record, 18: entry, 19: code}
    return b"".join(sectors.get(n, b"").ljust(2048, b"\0") for n in range(32))


def claim_firmware_boots_from_what_boot_says():
    if not os.path.exists(SEABIOS):
        return
    with Disk() as d:
        cd, resets = d.path("cd.iso"), d.path("resets.iso")
        with open(d.raw, "wb") as f:
            f.write(ENDS["disk"].ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
        for name, code in ((cd, ENDS["cd"]), (resets, RESETS)):
            with open(name, "wb") as f:
                f.write(boot_cd(code))
        for words, want in (((), 3), (("--boot", "d"), 5), (("--boot", "order=c"), 3), (("--boot", "once=d"), 5),
                            (("--boot", "once=d", "--cdrom", resets), 3)):
            words = words if "--cdrom" in words else words + ("--cdrom", cd)
            got, text = run("--bios", SEABIOS, "-hda", d.raw, "--run", "--listen", "none", "--serial", "none", "--icount",
                            "shift=0,sleep=off", *words)
            equal(got, want, (words, text))
        # All at once: the boot sector of one ends with another status than that of the other.
        other = d.path("other.img")
        with open(other, "wb") as f:
            f.write(ENDS["cd"].ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
        for device, first, want in (("virtio-blk-pci", 1, 5), ("virtio-blk-pci", 3, 3), ("nvme,serial=x", 1, 5),
                                    ("ide-hd,bus=ide.1", 1, 5)):
            got, text = run("--bios", SEABIOS.replace("bios.bin", "bios-256k.bin"), "--run", "--listen", "none", "--serial", "none",
                            "--icount", "shift=0,sleep=off", "--drive", "if=none,id=x,file=" + d.raw, "--device",
                            "ide-hd,bus=ide.0,drive=x,bootindex=2", "--drive", "if=none,id=y,file=" + other,
                            "--device", "%s,drive=y,bootindex=%d" % (device, first), "--boot", "strict=on")
            equal(got, want, (device, first, text))


def claim_the_order_of_booting_is_recorded_and_a_drive_is_what_its_device_says():
    if not os.path.exists(SEABIOS):
        return
    with Disk() as d:
        resets, name = d.path("resets.iso"), d.path("r.hcrec")
        with open(d.raw, "wb") as f:
            f.write(ENDS["disk"].ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
        with open(resets, "wb") as f:
            f.write(boot_cd(RESETS))
        got, text = run("--bios", SEABIOS, "--run", "--listen", "none", "--serial", "none", "--icount", "shift=0,sleep=off",
                        "--drive", "if=none,id=x,file=" + d.raw, "--device", "virtio-blk-pci,drive=x",
                        "--drive", "if=none,id=y,file=" + resets, "--device", "ide-cd,bus=ide.1,drive=y",
                        "--boot", "order=c,once=d,splash-time=1,reboot-timeout=1000", "--record", name, "--embed",
                        "--checkpoints-in-file", "every=3000000")
        equal(got, 3, text)
        for words in (), ("--from", "checkpoints"):
            got, text = run("verify", *words, name)
            equal(got, 0, text)


def claim_a_device_says_how_large_its_blocks_are():
    with Disk() as d:
        with Server("--drive", "if=none,id=x,file=" + d.raw, "--device", "virtio-blk-pci,drive=x,logical_block_size=4096,serial=S1",
                    guest=KERNEL) as s:
            contains(s.client().monitor("info block"), r"sectors of 4096")


def claim_what_cannot_be_is_refused_by_name():
    with Disk() as d:
        with open(d.path("odd"), "wb") as f:
            f.write(bytes(1000))
        with open(d.path("empty"), "wb"):
            pass
        for words, pattern in (
                (["--drive", "file=%s,if=ide,index=1" % d.raw, "-hdb", d.raw], r"two drives are ide 1"),
                (["--drive", "file=%s,formt=raw" % d.raw], r"did you mean format"),
                (["--drive", "file=%s,format=vmdk" % d.raw], r"format=vmdk: image formats are raw, qcow2"),
                (["--drive", "file=%s,fail=x" % d.raw], r"fail=x"),
                (["--drive", "if=ide"], r"a disk needs file=FILE"),
                (["--drive", "file=%s,if=none" % d.raw, "--device", "nosuch,drive=none0"], r"--device nosuch,drive=none0: there is "
                                                                                        r"no such device"),
                (["--device", "ahci"], r"--device ahci: there is no such device; did you mean ich9-ahci\? --device help lists them"),
                (["--device", "virtio-blk,drive=x"], r"did you mean virtio-blk-device or virtio-blk-pci\?"),
                (["--device", "vga,help"], r"--device vga,help: there is no such device; did you mean secondary-vga, VGA or virtio-vga\?"),
                (["--device", "nmve,drive=x"], r"did you mean nvme\?"),
                (["--device", "zork"], r"there is no such device; --device help"),
                (["-hda", d.path("gone.img")], r"gone.img"),
                (["--boot", "order=x"], r"--boot order=x"),
                (["--boot", "splash-time=70000"], r"splash-time"),
                (["--drive", "if=none,id=x,file=" + d.raw, "--device", "ide-hd,drive=x,bus=ide.2"], r"no such free port"),
                (["--device", "pci-bridge,bootindex=1"], r"nothing can be booted from it"),
                (["--drive", "if=sd,file=" + d.path("odd")], r"drive sd0: an SD card of 1024 bytes: its size is a multiple of 256 KiB"),
                (["--device", "nvme,drive=x,bus=y", "--drive", "if=none,id=x,file=" + d.raw], r"bus=y: buses are pci.0 and the ids"),
                (["--device", "nvme,drive=x,serial=012345678901234567890", "--drive", "if=none,id=x,file=" + d.raw],
                 r"serial=012345678901234567890: at most 20 characters"),
                (["--device", "virtio-blk-pci,drive=x,wwn=1", "--drive", "if=none,id=x,file=" + d.raw], r"wwn"),
                (["--device", "ide-hd,bus=ide.1,drive=x,logical_block_size=4096", "--drive", "if=none,id=x,file=" + d.raw],
                 r"logical_block_size=4096: this device has blocks of 512 bytes"),
                (["--device", "virtio-blk-pci,drive=x,logical_block_size=1024", "--drive", "if=none,id=x,file=" + d.raw],
                 r"logical_block_size=1024: this device has blocks of 512 or 4096 bytes"),
                (["--device", "virtio-scsi-pci", "--device", "scsi-hd,drive=x,vendor=TOO-LONG-A-NAME", "--drive",
                  "if=none,id=x,file=" + d.raw], r"vendor=TOO-LONG-A-NAME: at most 8 characters"),
                (["-hda", d.raw, "--snapshot"], r"no image is ever written"),
                (["--drive", "file=%s,fail=8192" % d.raw], r"fail=8192\+1: drive ide0-hd0 has sectors 0 to 8191"),
                (["--drive", "file=%s,fail=8190+3" % d.raw], r"fail=8190\+3: drive ide0-hd0 has sectors 0 to 8191"),
                (["--drive", "file=%s,fail=0xffffffffffffffff+2" % d.raw], r"has sectors 0 to 8191"),
                (["--drive", "media=cdrom,file=%s,fail=2048" % d.raw], r"has sectors 0 to 2047"),
                (["-hda", d.path("empty")], r"empty is empty: no drive has 0 bytes"),
                (["--cdrom", d.path("empty")], r"empty is empty: no drive has 0 bytes"),
                (["--drive", "file=%s,readonly=on,write-back" % d.raw], r"write-back: .*readonly=on"),
                (["--drive", "file=%s,media=cdrom,write-back=x" % d.raw], r"write-back: .*media=cdrom"),
                (["--drive", "file=%s,write-back=" % d.raw], r"write-back=: the value is missing: on.off.FILE"),
                (["--drive", "file="], r"--drive file=: the value is missing: FILE"),
                (["--drive", "file=%s,serial=" % d.raw], r"serial=: the value is missing"),
                (["--drive", "file=%s,latency=-1" % d.raw], r"latency=-1: write a number from 0 to 60000000"),
                (["--drive", "file=%s,latency=60000001" % d.raw], r"latency=60000001: write a number"),
                (["--drive", "file=%s,rate=17180" % d.raw], r"rate=17180: write a number from 0 to 17179"),
                (["--drive", "file=%s,cache=fast" % d.raw], r"cache=fast: write none, "),
                (["--drive", "file=%s,aio=fast" % d.raw], r"aio=fast: write threads, "),
                (["--drive", "file=%s,if=scsi" % d.raw], r"scsi0: this board has no controller.*--device virtio-scsi-pci --device scsi-hd"),
                (["--drive", "file=%s,write-back" % d.raw, "--record", d.path("r")], r"add --embed")):
            refused(pattern, KERNEL, *words)


def claim_an_image_of_a_format_that_is_not_read_is_no_raw_disk_unless_the_user_says_so():
    with Disk() as d:
        kinds = {"vmdk": (0, b"KDMV"), "vdi": (64, b"\x7f\x10\xda\xbe"), "vhdx": (0, b"vhdxfile"), "qed": (0, b"QED\0"),
                 "vpc": (0, b"conectix"), "parallels": (0, b"WithoutFreeSpace")}
        for kind, (offset, magic) in kinds.items():
            name = d.path("x." + kind)
            with open(name, "wb") as f:
                f.write(bytes(offset) + magic + DATA[offset + len(magic):])
            if shutil.which("qemu-img"):
                os.remove(name)
                subprocess.run(["qemu-img", "create", "-q", "-f", kind, name, "8M"], check=True)
            refused(r"looks like a %s image, which is not read: .*qemu-img convert.*format=raw" % kind, KERNEL, "-hda", name)
            got, text = copies("--drive", "format=raw,file=" + name)
            check("looks like" not in text, text)
        # A backing file, too.
        over = d.path("over.qcow2")
        if shutil.which("qemu-img"):
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "vdi", "-b", d.path("x.vdi"), over], check=True)
            refused(r"over.qcow2: backing file: .*'vdi' is not known", KERNEL, "-hda", over)


def claim_what_is_strange_about_drives_is_said_in_a_line():
    with Disk() as d:
        with open(d.path("odd"), "wb") as f:
            f.write(DATA + b"more")
        got, text = copies("-hda", d.path("odd"))
        equal(got, status(DATA), text)
        contains(text, r"drive ide0-hd0: \S+odd has 4194308 bytes, no whole number of sectors of 512: zeros fill the last one up")
        got, text = copies("-hda", d.raw, "--drive", "if=none,id=spare,file=" + d.raw)
        equal(got, status(DATA), text)
        contains(text, r"drive spare \(\S+disk.raw\): no --device uses it")
        got, text = copies("-hda", d.raw, "--drive", "if=none,id=spare,file=" + d.raw, "--device", "virtio-blk-pci,drive=spare")
        check("spare" not in text, text)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
