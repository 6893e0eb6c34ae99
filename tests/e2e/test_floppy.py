#!/usr/bin/env python3
"""Floppies, and media that are changed: firmware and boot loaders boot from them, guests as tutorials teach them drive the
controller, and another disk or CD is put in while the guest runs."""
import os
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import Server, build_c_guest, check, contains, equal, lacks, symbol
from rspclient import RspError
from test_cli import refused, run

SEABIOS = "/usr/share/seabios/bios.bin"
BARE = ("--run", "--listen", "none")

# A floppy driver as tutorials have it: DOR, SPECIFY, RECALIBRATE, SEEK, READ and WRITE DATA by DMA (BY_PIO 0) or through the
# FIFO (BY_PIO 1), polled.
DRIVER = r"""
static inline void out8(unsigned short p, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static inline unsigned char in8(unsigned short p) { unsigned char v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static void say(const char *s) { while (*s) out8(0x3f8, *s++); }
static void digit(unsigned n) { out8(0x3f8, "0123456789abcdef"[n & 15]); }
static void number(unsigned n) { digit(n >> 4); digit(n); }
static void end(unsigned n) { for (;;) out8(0xf4, n); }
__attribute__((noinline)) void swap(void) { __asm__ volatile("nop"); }

static void send(unsigned char v) { while ((in8(0x3f4) & 0xc0) != 0x80) ; out8(0x3f5, v); }
static unsigned char take(void) { while ((in8(0x3f4) & 0xc0) != 0xc0) ; return in8(0x3f5); }
static unsigned char st[7];

static void wait_seek(void) { do { send(8); st[0] = take(); } while (st[0] == 0x80); st[1] = take(); }

static void reset(void)
{
    out8(0x3f2, 0);
    out8(0x3f2, 0x1c);
    out8(0x3f7, 0);
    for (int i = 0; i < 4; i++)
        wait_seek();
    send(3); send(0xdf); send(2 | BY_PIO);
    send(7); send(0);
    wait_seek();
}

static void seek(unsigned c)
{
    send(0xf); send(0); send(c);
    wait_seek();
}

static int transfer(int write, unsigned c, unsigned h, unsigned r, unsigned n, unsigned char *at)
{
    unsigned a = (unsigned)at;

    seek(c);
    out8(0x0a, 6); out8(0x0c, 0);
    out8(0x04, a); out8(0x04, a >> 8); out8(0x81, a >> 16);
    out8(0x05, n * 512 - 1); out8(0x05, (n * 512 - 1) >> 8);
    out8(0x0b, write ? 0x4a : 0x46); out8(0x0a, 2);
    send(write ? 0x45 : 0x46); send(h << 2); send(c); send(h); send(r); send(2); send(r + n - 1); send(0x1b); send(0xff);
    for (unsigned i = 0; BY_PIO && i < n * 512; i++) {
        unsigned char m;

        while (!((m = in8(0x3f4)) & 0x80))
            ;
        if (!(m & 0x20))
            break;
        if (write)
            out8(0x3f5, at[i]);
        else
            at[i] = in8(0x3f5);
    }
    for (int i = 0; i < 7; i++)
        st[i] = take();
    return (st[0] & 0xc0) == 0 || (BY_PIO && st[1] == 0x80);
}
static unsigned char buffer[8192] __attribute__((aligned(8192)));
"""

# Copies four sectors, each changed in a byte, and reads them again.
COPIES = DRIVER + r"""
void main(void)
{
    unsigned sum = 0;

    reset();
    if (!transfer(0, 7, 1, 3, 4, buffer))
        end(100);
    for (int i = 0; i < 2048; i++)
        sum += buffer[i];
    buffer[0] ^= 0x55;
    if (!transfer(1, 40, 0, 9, 4, buffer))
        end(101);
    for (int i = 0; i < 2048; i++)
        buffer[i] = 0;
    if (!transfer(0, 40, 0, 9, 4, buffer))
        end(102);
    for (int i = 0; i < 2048; i++)
        sum -= buffer[i];
    end(sum & 255 ? 1 : 0);
}
"""

# Says what it finds, again after each swap(): the first byte, or that there is no disk.
CHANGES = DRIVER + r"""
void main(void)
{
    reset();
    for (int i = 0; i < 4; i++) {
        seek(1);
        seek(0);
        if (in8(0x3f7) & 0x80)
            say("empty\n");
        else if (transfer(0, 0, 0, 1, 1, buffer)) {
            say("byte "); number(buffer[0]);
            say(in8(0x3f7) & 0x80 ? " changed\n" : " quiet\n");
            buffer[0]++;
            if (!transfer(1, 0, 0, 1, 1, buffer))
                say("protected\n");
        } else
            say("unreadable\n");
        swap();
        say(in8(0x3f7) & 0x80 ? "line\n" : "no line\n");
    }
    end(0);
}
"""

# TEST UNIT READY until the drive is content, sense data told; then the first byte of block 16. On the second channel's
# master.
CD = r"""
static inline void out8(unsigned short p, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static inline unsigned char in8(unsigned short p) { unsigned char v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline void out16(unsigned short p, unsigned short v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(p)); }
static inline unsigned short in16(unsigned short p) { unsigned short v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static void say(const char *s) { while (*s) out8(0x3f8, *s++); }
static void digit(unsigned n) { out8(0x3f8, "0123456789abcdef"[n & 15]); }
static void number(unsigned n) { digit(n >> 4); digit(n); }
__attribute__((noinline)) void swap(void) { __asm__ volatile("nop"); }
static unsigned char data[2048];

static int packet(const unsigned char *cdb)
{
    unsigned got = 0;

    out8(0x176, 0xa0); out8(0x171, 0); out8(0x174, 0); out8(0x175, 8);
    out8(0x177, 0xa0);
    while (in8(0x177) & 0x80)
        ;
    for (int i = 0; i < 12; i += 2)
        out16(0x170, cdb[i] | cdb[i + 1] << 8);
    for (;;) {
        unsigned char s;

        while ((s = in8(0x177)) & 0x80)
            ;
        if (s & 1)
            return 0;
        if (!(s & 8))
            return 1;
        for (unsigned n = (in8(0x174) | in8(0x175) << 8) / 2; n; n--, got += 2) {
            unsigned short w = in16(0x170);

            data[got] = w;
            data[got + 1] = w >> 8;
        }
    }
}

void main(void)
{
    static const unsigned char ready[12], sense[12] = {3, 0, 0, 0, 18}, read[12] = {0x28, 0, 0, 0, 0, 16, 0, 0, 1},
        lock[12] = {0x1e, 0, 0, 0, 1}, unlock[12] = {0x1e}, event[12] = {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8};

    for (int i = 0; i < 4; i++) {
        int tries = 0;

        packet(event);
        say("event "); digit(data[4]);
        while (!packet(ready) && tries++ < 3) {
            packet(sense);
            say(", "); digit(data[2]); say("/"); number(data[12]);
        }
        if (packet(read)) {
            say(", byte "); number(data[0]);
        }
        say("\n");
        packet(i == 2 ? lock : unlock);
        swap();
    }
    for (;;)
        out8(0xf4, 0);
}
"""

# What a boot sector does first; then disk reads by INT 13h, one from the other side of the next cylinder, a write, a
# verification; and the drive's parameters and type. Ends with what went wrong, or 0.
BOOT = r"""
    .code16
    .globl _start
_start:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movb %dl, drive
    movw $0x0203, %ax       # three sectors, over the end of a track's half
    movw $0x8000, %bx
    movw $0x0302, %cx       # cylinder 3, sector 2
    movb drive, %dl
    movb $1, %dh
    int $0x13
    movb $1, %al
    jc end
    cmpl $0x12345678, 0x8000 + 1020
    movb $2, %al
    jne end
    movw $0x0301, %ax       # write the first to cylinder 4, side 0, sector 1
    movw $0x0401, %cx
    movb $0, %dh
    int $0x13
    movb $3, %al
    jc end
    movw $0x0401, %ax       # verify it
    int $0x13
    movb $4, %al
    jc end
    movw $0x0201, %ax
    movw $0x9000, %bx
    int $0x13
    movb $5, %al
    jc end
    movw $0x8000, %si
    movw $0x9000, %di
    movw $256, %cx
    cld
    repe cmpsw
    movb $6, %al
    jne end
    movb $8, %ah            # parameters
    movb drive, %dl
    int $0x13
    movb $7, %al
    jc end
    cmpb $SECTORS, %cl
    jne end
    cmpb $1, %dl            # floppy drives
    jne end
    movb $0x15, %ah
    movb drive, %dl
    int $0x13
    movb $8, %al
    jc end
    movb $0, %al
end:
    outb %al, $0xf4
    hlt
    jmp end
drive: .byte 0
    .org 510
    .word 0xaa55
"""


class Folder:
    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="hindcast-floppy-")
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)


def disk(kib=1440, first=0):
    """Sector n begins with n + first."""
    return b"".join(bytes([(n + first) & 255]) + bytes([n * 13 & 255]) * 511 for n in range(2 * kib))


def assembled(text, folder):
    """A boot sector's bytes."""
    source, elf, flat = folder.path("boot.S"), folder.path("boot.o"), folder.path("boot.bin")
    with open(source, "w") as f:
        f.write(text)
    subprocess.run(["gcc", "-m32", "-c", "-o", elf, source], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", flat, elf], check=True)
    with open(flat, "rb") as f:
        return f.read()


def claim_a_guest_drives_the_controller_by_dma_and_without():
    with Folder() as f:
        image = f.write("a.img", disk())
        for by_pio in ("0", "1"):
            kernel = build_c_guest(COPIES.replace("BY_PIO", by_pio), "floppy" + by_pio)[1]
            recording = f.path("r%s.hcrec" % by_pio)
            status, text = run(kernel, *BARE, "--serial", "none", "-fda", image, "--record", recording)
            equal(status, 3, text)
            equal(run("verify", recording)[0], 0)
        with open(image, "rb") as i:
            equal(i.read(), disk())


def claim_firmware_boots_a_floppy_of_each_size():
    if not os.path.exists(SEABIOS):
        return
    with Folder() as f:
        for kib, sectors, most in ((360, 9, 9), (720, 9, 18), (1200, 15, 15), (1440, 18, 18), (2880, 36, 36)):
            image = bytearray(disk(kib))
            image[:512] = assembled(BOOT.replace("$SECTORS", "$%d" % most), f) # the drive's
            at = ((3 * 2 + 1) * sectors + 2) * 512 + 508
            image[at:at + 4] = (0x12345678).to_bytes(4, "little")
            name = f.write("boot.img", image)
            status, text = run("--bios", SEABIOS, *BARE, "--serial", "none", "-fda", name, seconds=60)
            equal(status, 1, "%u KiB: %s" % (kib, text))


# A boot sector as tutorials have it: what it loads was put behind it, and the file has no floppy's size.
LOADER = r"""
    .code16
    .globl _start
_start:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw $0x021f, %ax       # 31 sectors at once: more than a track of 1.44M has
    movw $0x1000, %bx
    movw $0x0002, %cx
    movb $0, %dh
    int $0x13
    movb $1, %al
    jc end
    cmpl $0x12345678, 0x1000 + 8 * 512
    movb $2, %al
    jne end
    cmpl $0, 0x1000 + 30 * 512 # behind the image
    movb $3, %al
    jne end
    movw $0x0301, %ax       # written where the image has nothing
    movw $0x1000 + 8 * 512, %bx
    movw $0x0501, %cx
    int $0x13
    movb $4, %al
    jc end
    movw $0x0201, %ax
    movw $0x9000, %bx
    int $0x13
    movb $5, %al
    jc end
    cmpl $0x12345678, 0x9000
    movb $6, %al
    jne end
    movb $0, %al
end:
    outb %al, $0xf4
    hlt
    jmp end
    .org 510
    .word 0xaa55
"""


def claim_an_image_of_no_format_is_the_beginning_of_a_floppy():
    if not os.path.exists(SEABIOS):
        return
    with Folder() as f:
        image = assembled(LOADER, f) + bytes(8 * 512) + (0x12345678).to_bytes(4, "little") + bytes(100)
        name, recording, overlay = f.write("os.bin", image), f.path("r.hcrec"), f.path("o.qcow2")
        status, text = run("--bios", SEABIOS, *BARE, "--serial", "none", "-fda", name, "--record", recording, seconds=60)
        equal(status, 1, text)
        contains(text, r"os.bin has 4712 bytes, as no format of a floppy: it is the beginning of a 2.88M one")
        equal(run("verify", recording)[0], 0)
        # Into the file goes nothing that would make another floppy of it.
        drive = ("--bios", SEABIOS, *BARE, "--serial", "none", "--drive")
        contains(run(*drive, "if=floppy,write-back,file=" + name, seconds=60)[1],
                 r"os.bin has 4712 bytes, and the guest has written to byte 184320 of its drive; name a new file")
        with open(name, "rb") as i:
            equal(i.read(), image)
        status, text = run(*drive, "if=floppy,write-back=%s,file=%s" % (overlay, name), seconds=60)
        equal(status, 1, text)
        kept = subprocess.run(["qemu-img", "info", overlay], capture_output=True, check=True).stdout.decode() \
            if shutil.which("qemu-img") else "2.81 MiB (2949120 bytes)"
        contains(kept, r"\(2949120 bytes\)")


def claim_syslinux_boots_from_a_fat_floppy():
    if not os.path.exists(SEABIOS) or not all(map(shutil.which, ("mformat", "mcopy", "syslinux"))):
        return
    with Folder() as f:
        image = f.path("fat.img")
        last = assembled(".code16\n.globl _start\n_start: movb $21, %al\n outb %al, $0xf4\n hlt\n .org 510\n .word 0xaa55\n", f)
        f.write("end.bs", last)
        f.write("syslinux.cfg", b"SERIAL 0 115200\nDEFAULT end\nPROMPT 0\n"
                                b"LABEL end\n KERNEL end.bs\n")
        for command in (["mformat", "-C", "-f", "1440", "-i", image, "::"],
                        ["mcopy", "-i", image, f.path("syslinux.cfg"), f.path("end.bs"), "::"],
                        ["syslinux", "--install", image]):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))
        out = f.path("out")
        status, text = run("--bios", SEABIOS, *BARE, "--serial", "file:" + out, "-fda", image, "--boot", "a", seconds=120)
        equal(status, 43, text)
        with open(out, "rb") as o:
            contains(o.read().decode("latin1"), "SYSLINUX")


def swap_at(server, kernel):
    """A client that stands in the guest's swap()."""
    rsp = server.client()
    rsp.start()
    equal(rsp.ask("Z0,%x,1" % symbol(kernel, "swap")), "OK")
    rsp.ask("c")
    return rsp


def go_on(rsp):
    """To the next swap()."""
    rsp.ask("s")
    rsp.ask("c")


def monitor_fails(rsp, words, pattern):
    try:
        raise harness.Failed("not refused: " + rsp.monitor(words))
    except RspError as e:
        contains(str(e), pattern)


def claim_another_floppy_is_put_in_and_history_has_it():
    kernel = build_c_guest(CHANGES.replace("BY_PIO", "0"), "changes")[1]
    with Folder() as f:
        a, b, small = f.write("a.img", disk(first=0x10)), f.write("b.img", disk(first=0x20)), f.write("s.img", disk(1200))
        recording = f.path("r.hcrec")
        with Server("-fda", a, "--record", recording, guest=kernel, serial="stdio") as server:
            rsp = swap_at(server, kernel)
            monitor_fails(rsp, "change floppy0 " + small, "does not fit into drive floppy0")
            monitor_fails(rsp, "change floppy0 " + f.path("gone"), "gone")
            monitor_fails(rsp, "change floppy1 " + b, "no drive 'floppy1'")
            monitor_fails(rsp, "change floppy0 %s vmdk" % b, "image formats are")
            contains(rsp.monitor("eject floppy0"), "floppy0: empty")
            go_on(rsp)
            contains(rsp.monitor("change floppy0 %s read-only" % b), "b.img .raw.(?s:.*)read only")
            go_on(rsp)
            contains(rsp.monitor("info block"), r"b.img \(raw\)")
            rsp.ask("bc")
            rsp.ask("bc")
            contains(rsp.monitor("info block"), r"floppy0: empty")
            rsp.ask("bs")
            contains(rsp.monitor("info block"), r"a.img \(raw\)")
            contains(rsp.monitor("info block"), r"differs from its image here in 1 pages")
            for _ in range(3):
                go_on(rsp)
            contains(rsp.monitor("change floppy0 " + a), r"a.img \(raw\)")
            go_on(rsp)
            server.wait_output(b"byte 10 quiet\nline\nempty\nline\nbyte 20 quiet\nprotected\nline\nbyte 10 quiet\n")
        equal(run("verify", recording)[0], 0)
        # The image is found beside the recording, or it is said which one is missing.
        os.mkdir(f.path("away"))
        os.rename(b, f.path("away/b.img"))
        refused(r"needs .*b\.img, which was put into drive floppy0", "verify", recording)
        os.rename(recording, f.path("away/r.hcrec"))
        equal(run("verify", f.path("away/r.hcrec"))[0], 0)


def media(rsp):
    """Which image is in the drive."""
    return contains(rsp.monitor("info block"), r"floppy0: (?:\S*/)?(\S+)").group(1)


def use_branch(rsp, name):
    rsp.monitor("branch switch " + name)
    rsp.ask("c")


def claim_each_branch_has_media_of_its_own():
    kernel = build_c_guest(CHANGES.replace("BY_PIO", "0"), "changes")[1]
    with Folder() as f:
        a, b, c, d = (f.write(name + ".img", disk(first=byte)) for name, byte in (("a", 0x10), ("b", 0x20), ("c", 0x30), ("d", 0x40)))
        recording = f.path("r.hcrec")
        with Server("-fda", a, "--record", recording, guest=kernel, serial="stdio") as server:
            rsp = swap_at(server, kernel)
            at = rsp.position()
            go_on(rsp)
            was = rsp.monitor("info hash"), rsp.position()
            # In the past: a branch begins, as by a write.
            rsp.ask("bc")
            equal(rsp.position(), at)
            contains(rsp.monitor("change floppy0 " + b), r"b\.img")
            server.wait_errors("branch 1 begins here, at position %d" % at)
            rsp.monitor("branch bee")
            go_on(rsp)
            contains(rsp.console, r"branch 'bee'\] byte 20 quiet")
            # At its end another one; on a branch of it a third, and nothing.
            contains(rsp.monitor("change floppy0 " + c), r"c\.img")
            go_on(rsp)
            contains(rsp.console, r"byte 30 quiet")
            bee = rsp.monitor("info hash")
            rsp.ask("bc")
            rsp.ask("bs")
            rsp.monitor("branch empty")
            contains(rsp.monitor("eject floppy0"), "floppy0: empty")
            use_branch(rsp, "trunk")
            equal((rsp.position(), media(rsp)), (at, "a.img"))
            go_on(rsp)
            equal((rsp.monitor("info hash"), rsp.position()), was, "what happened is what it was")
            # And on the trunk: its number is not that of another's.
            contains(rsp.monitor("change floppy0 " + d), r"d\.img")
            go_on(rsp)
            edge = rsp.position()
            server.wait_output(b"byte 10 quiet\n(?s:.*)byte 40 quiet\n", seconds=5)
            lacks(server.output.decode(), "byte [23]0")
            rsp.monitor("save %s" % f.path("s.hcrec"))
            use_branch(rsp, "bee")
            equal(media(rsp), "b.img", "where it was left")
            rsp.monitor("seek end")
            rsp.ask("c")
            equal(media(rsp), "c.img")
            rsp.monitor("seek %d" % (at + 1))
            rsp.ask("bc")
            equal(media(rsp), "b.img")
        for name in recording, f.path("s.hcrec"):
            status, text = run("verify", name)
            equal(status, 0, text)
            with Server("--replay", name, guest=None) as server:
                rsp = server.client()
                rsp.monitor("seek end")
                rsp.ask("c")
                equal((rsp.position(), media(rsp)), (edge, "d.img"))
                use_branch(rsp, "bee")
                rsp.monitor("seek %d" % (at + 5))
                rsp.ask("c")
                equal(media(rsp), "b.img")
                rsp.monitor("seek end")
                rsp.ask("c")
                equal((rsp.monitor("info hash"), media(rsp)), (bee, "c.img"))
                # A branch of a recording's, with a medium more.
                rsp.monitor("change floppy0 " + d)
                rsp.ask("Z0,%x,4" % symbol(kernel, "swap"))
                go_on(rsp)
                contains(rsp.console, r"byte 40 quiet")
        os.remove(c)
        with Server("--replay", recording, guest=None) as server:
            server.wait_errors(r"branch 'bee': the recording needs \S*c\.img")


def claim_another_cd_is_a_unit_attention():
    kernel = build_c_guest(CD, "cds")[1]
    with Folder() as f:
        a, b = f.write("a.iso", bytes(32768) + b"\x11" * 2048), f.write("b.iso", bytes(32768) + b"\x22" * 4096)
        recording = f.path("r.hcrec")
        with Server("--cdrom", a, "--record", recording, "--embed", guest=kernel, serial="stdio") as server:
            rsp = swap_at(server, kernel)
            rsp.monitor("eject ide1-cd0")
            go_on(rsp)
            contains(rsp.monitor("change ide1-cd0 " + b), r"b.iso \(raw\)")
            go_on(rsp)
            monitor_fails(rsp, "eject ide1-cd0", "the guest has locked drive ide1-cd0")
            monitor_fails(rsp, "change ide1-cd0 " + a, "the guest has locked drive ide1-cd0")
            rsp.monitor("eject ide1-cd0 force")
            go_on(rsp)
            monitor_fails(rsp, "commit ide1-cd0 " + f.path("x.qcow2"), "drive ide1-cd0 is empty")
            server.wait_output(rb"(?s)event 0, 6/29, byte 11.*event 3, 2/3a, 2/3a, 2/3a.*"
                               rb"event 2, 6/28, byte 22.*event 3, 2/3a, 2/3a, 2/3a")
        os.remove(a)
        os.remove(b)
        equal(run("verify", recording)[0], 0)


def claim_what_is_no_floppy_is_refused():
    kernel = build_c_guest(COPIES.replace("BY_PIO", "0"), "floppy0")[1]
    with Folder() as f:
        odd, image = f.write("odd.img", bytes(820 * 512)), f.write("a.img", disk())
        refused(r"drive floppy0: 419840 bytes: no drive reads a floppy of that format", kernel, "-fda", odd)
        refused(r"index=2: there are floppy drives 0 and 1", kernel, "--drive", "if=floppy,index=2,file=" + image)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
