#!/usr/bin/env python3
"""A Debian kernel and a file system on a disk.

    test_disk_i386.py HINDCAST [CONTROLLER...]

An ext4 disk made here, read and written through a controller by DMA; behind it, random sectors (exercise.c), which are
compared with a model in the guest and, at positions of the history, from outside; the image stays as it was, what is kept of it is a sound
file system with what the guest wrote; the recording carries what was read and replays from every checkpoint; the disk
goes back with everything else. As killed-CONTROLLER: hindcast is killed while the guest writes, HINDCAST_KILLS times.

Exit status 77: the packages cannot be fetched here, or mke2fs, e2fsck, debugfs are missing.
"""

import hashlib
import json
import lzma
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import test_debian_i386
from test_debian_i386 import Guest, cache_dir, check

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = ("mke2fs", "e2fsck", "debugfs")
# Nothing says that these are needed.
SILENT = ["crc32c_generic"]

# By controller: what the disk is plugged in with (FILE: the image), the modules, the disk's name in the guest.
CONTROLLERS = {
    "ide": (["--drive", "file=FILE,if=ide,id=d0"], ["ata_piix", "sd_mod"], "sda"),
    "ahci": (["--drive", "file=FILE,if=none,id=d0", "--device", "ich9-ahci,id=ahci", "--device", "ide-hd,drive=d0,bus=ahci.0"],
             ["ahci", "sd_mod"], "sda"),
    "virtio-blk": (["--drive", "file=FILE,if=virtio,id=d0"], ["virtio_pci", "virtio_blk"], "vda"),
    "virtio-scsi": (["--drive", "file=FILE,if=none,id=d0", "--device", "virtio-scsi-pci,id=scsi", "--device",
                     "scsi-hd,drive=d0,bus=scsi.0"], ["virtio_pci", "virtio_scsi", "sd_mod"], "sda"),
    "sd": (["--drive", "file=FILE,if=sd,id=d0"], ["sdhci_pci", "mmc_block"], "mmcblk0"),
    "bridged": (["--drive", "file=FILE,if=none,id=d0", "--device", "pci-bridge,id=br", "--device", "virtio-blk-pci,drive=d0,bus=br"],
                ["virtio_pci", "virtio_blk"], "vda"),
    "nvme": (["--drive", "file=FILE,if=none,id=d0", "--device", "nvme,drive=d0,serial=n1"], ["nvme"], "nvme0n1"),
}

SCRIPT = """#!/bin/sh
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
mkdir -p /mnt
sleep 1
mount -t ext4 /dev/DISK /mnt && echo "hindcast-guest: mounted"
md5sum /mnt/data
"""

WORK = """
dd if=/mnt/data of=/mnt/copy bs=64k conv=fsync && rm /mnt/old && mkdir /mnt/new && echo hello >/mnt/new/hello
tar -cf /mnt/all.tar -C / bin/busybox init script && tar -xf /mnt/all.tar -C /mnt/new && cmp /bin/busybox /mnt/new/bin/busybox
dd if=/dev/zero of=/mnt/fs bs=64k count=32 && mke2fs -F /mnt/fs && rm /mnt/all.tar
sync; echo 3 >/proc/sys/vm/drop_caches; md5sum /mnt/copy; umount /mnt; echo work""" + """ is done
"""


FLOPPY = """#!/bin/sh
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
sleep 1
dd if=/dev/DISK bs=18k 2>/dev/null | md5sum
dd if=/dev/DISK of=/dev/DISK bs=18k count=2 seek=40 conv=fsync,notrunc 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/DISK bs=18k skip=40 count=2 2>/dev/null | md5sum
sleep 1 # until the console has said so
poweroff -f
"""


# exercise.c's, which has the same sequence.
EXERCISE = {"first": 49152, "sectors": 16384, "operations": 600, "most": 64}
STOPS = (100, 250, 450)


def exercise_writes():
    """By sector, from the first on: the operations that write it, in order."""
    state, writes = 1, [[] for _ in range(EXERCISE["sectors"])]

    def draw(below):
        nonlocal state
        state = (state * 1664525 + 1013904223) & 0xffffffff
        return (state >> 8) % below

    for n in range(1, EXERCISE["operations"] + 1):
        is_write, count, first = draw(2), 1 + draw(EXERCISE["most"]), draw(EXERCISE["sectors"] - EXERCISE["most"])
        for sector in range(first, first + count):
            if is_write:
                writes[sector].append(n)
    return writes


def exercise_word(sector, n):
    """The first word of a sector that operation `n` wrote."""
    return (sector * 2654435761 & 0xffffffff) ^ (n * 40503) if n else 0


def make_exercise(tmp):
    program = os.path.join(tmp, "exercise")
    subprocess.run(["gcc", "-m32", "-march=i686", "-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-pic", "-no-pie",
                    "-fno-stack-protector", "-fcf-protection=none", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-o", program,
                    os.path.join(HERE, "exercise.c")], check=True)
    return program


def words_on_disk(guest, sectors):
    """The first words of some sectors at the present position."""
    words = []
    for sector in sectors:
        shown = guest.rsp.monitor("disk d0 %d" % (EXERCISE["first"] + sector))
        words.append(int.from_bytes(bytes.fromhex(re.search(r"0000  ((?:\w\w ){4})", shown).group(1)), "little"))
    return words


def exercise(guest, node):
    """The program runs, stopped now and then: what the disk holds there is what the sequence says, and is so again
    whenever the guest stands there."""
    writes, rng, seen = exercise_writes(), random.Random(2), []
    end = len(guest.console)
    guest.rsp.send("c")
    guest.type("/exercise /dev/%s\n" % node)
    for stop in STOPS:
        end, _ = guest.wait_console(rb"exercise: operation %d\r" % stop, start=end)
        guest.rsp.interrupt()
        guest.rsp.wait()
        sectors = [rng.randrange(EXERCISE["sectors"]) for _ in range(40)]
        words = words_on_disk(guest, sectors)
        done = max(map(int, re.findall(rb"exercise: operation (\d+)", guest.console)))
        wrong = [s for s, word in zip(sectors, words) if word not in
                 [exercise_word(s, n) for n in [max([0] + [n for n in writes[s] if n <= done])] + [n for n in writes[s] if n > done]]]
        check("at operation %d or soon after the disk holds what was written" % done, not wrong, wrong)
        seen.append((guest.rsp.position(), sectors, words))
        guest.rsp.send("c")
    end, _ = guest.wait_console(rb"exercise: (all as written|[ne])", start=end)
    check("random sectors are read as they were written", b"exercise: all as written" in guest.console, guest.console[-300:])
    guest.rsp.interrupt()
    guest.rsp.wait()
    edge = guest.rsp.position()
    for position, sectors, words in random.Random(3).sample(seen * 2, 2 * len(seen)):
        guest.rsp.monitor("seek %d" % position)
        guest.rsp.ask("c")
        check("going to position %d, the disk is as it was there" % position, words_on_disk(guest, sectors) == words)
    guest.rsp.monitor("seek %d" % edge)
    guest.rsp.ask("c")


def exercised(raw):
    """What is left of it is what the sequence says."""
    with open(raw, "rb") as f:
        f.seek(EXERCISE["first"] * 512)
        data = f.read(EXERCISE["sectors"] * 512)
    wrong = [s for s, writes in enumerate(exercise_writes())
             if int.from_bytes(data[512 * s:512 * s + 4], "little") != exercise_word(s, writes[-1] if writes else 0)]
    check("and what was written to random sectors", not wrong, wrong[:20])


def tool(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def needs(modules, name):
    """The module and those that it needs, in an order in which they can be loaded. What is no module is in the kernel."""
    if name not in modules:
        return []
    depends = re.search(rb"\0depends=([^\0]*)\0", read_module(modules[name])).group(1).decode()
    wanted = []
    for other in depends.split(","):
        if other:
            wanted += needs(modules, other.replace("-", "_"))
    return wanted + [name]


def find_modules(directory):
    return {f.split(".")[0].replace("-", "_"): os.path.join(d, f) for d, _, files in os.walk(directory) for f in files
            if f.endswith((".ko", ".ko.xz"))}


def read_module(path):
    """The module itself: from Debian 13 on they are compressed."""
    with open(path, "rb") as f:
        data = f.read()
    return lzma.decompress(data) if path.endswith(".xz") else data


def copy_module(path, directory, name):
    copy = os.path.join(directory, name + ".ko")
    with open(copy, "wb") as f:
        f.write(read_module(path))
    return copy


def make_initrd(tmp, root, version, drivers, name, text=None, also=("ext4",)):
    modules = find_modules("%s/lib/modules/%s" % (root, version))
    order = []
    for module in [m for m in SILENT if m in modules] + drivers + list(also):
        order += needs(modules, module)
    order = list(dict.fromkeys(order))
    copies = []
    copies.append(make_exercise(tmp))
    for module in order:
        copies.append(copy_module(modules[module], tmp, module))
    script, initrd = os.path.join(tmp, "script"), os.path.join(tmp, "initrd.gz")
    with open(script, "w") as f:
        f.write((text or SCRIPT).replace("MODULES", " ".join(order)).replace("DISK", name))
    subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, script] + copies, check=True)
    return initrd


def make_disk(tmp):
    tree, disk = os.path.join(tmp, "tree"), os.path.join(tmp, "disk.img")
    os.mkdir(tree)
    data = random.Random(1).randbytes(3000000)
    for name, content in (("data", data), ("old", b"old")):
        with open(os.path.join(tree, name), "wb") as f:
            f.write(content)
    subprocess.run([tool("mke2fs"), "-q", "-t", "ext4", "-d", tree, disk, "24M"], check=True)
    os.truncate(disk, 32 << 20)
    return disk, hashlib.md5(data).hexdigest().encode()


def hash_of(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def use_the_disk(guest, name, node, md5, saved):
    guest.rsp.send("c")
    end, _ = guest.wait_console(rb"guest# ")
    check(name + ": the file system is mounted", b"hindcast-guest: mounted" in guest.console, guest.console[-500:])
    check("what is on the disk is read", md5 in guest.console)
    guest.type(WORK)
    end, _ = guest.wait_console(rb"\nwork is done", start=end)
    check("what was written is read again", re.search(md5 + rb"  /mnt/copy", guest.console[end - 2000:end]) is not None,
          guest.console[-500:])
    guest.rsp.interrupt()
    guest.rsp.wait()
    exercise(guest, node)
    guest.rsp.monitor("commit d0 " + saved)


def sound(tmp, image, md5):
    """Looks at the committed disk from outside."""
    raw, copy = os.path.join(tmp, "saved.raw"), os.path.join(tmp, "copy")
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    code = subprocess.run([tool("e2fsck"), "-fn", raw], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    check("the file system that is saved is sound", code == 0, code)
    exercised(raw)
    subprocess.run([tool("debugfs"), "-R", "dump /copy " + copy, raw], check=True, stderr=subprocess.DEVNULL)
    with open(copy, "rb") as f:
        check("and has what the guest wrote", hashlib.md5(f.read()).hexdigest().encode() == md5)
    made = os.path.join(tmp, "fs")
    for what, to in (("/fs", made), ("/new/init", copy)):
        subprocess.run([tool("debugfs"), "-R", "dump %s %s" % (what, to), raw], check=True, stderr=subprocess.DEVNULL)
    code = subprocess.run([tool("e2fsck"), "-fn", made], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    check("the file system that the guest made is sound", code == 0, code)
    with open(copy, "rb") as f:
        check("what it unpacked is there", f.read().startswith(b"#!/bin/busybox sh"))
    names = subprocess.run([tool("debugfs"), "-R", "ls -p /", raw], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    check("and not what it removed", b"/new/" in names and b"/old/" not in names, names)


def go_back(guest, mid):
    """The disk's state is the machine's."""
    edge = guest.rsp.position()
    hash_at_edge = guest.rsp.monitor("info hash")
    guest.rsp.monitor("seek %d" % mid)
    guest.rsp.ask("c")
    pages = re.search(r"differs from its image here in (\d+) pages", guest.rsp.monitor("info block"))
    check("before it was mounted, the disk is its image again", pages and pages.group(1) == "0", pages)
    guest.rsp.monitor("seek %d" % edge)
    guest.rsp.ask("c")
    check("and forwards again the same state", guest.rsp.monitor("info hash") == hash_at_edge)


def verify(program, recording, disk=None):
    """The states of the run come about elsewhere, too, however they are gone to."""
    away, finals = "%s.away" % disk, set()
    if disk:
        os.rename(disk, away)
    shown = subprocess.run([program, "info", "--json", recording], stdout=subprocess.PIPE, check=True).stdout
    late = json.loads(shown)["instructions"] * 7 // 8
    with tempfile.TemporaryDirectory() as clean:
        copy = shutil.copy(recording, clean)
        for words, claim in (("--from checkpoints", "from every checkpoint" if not disk else "without the image, from every checkpoint"),
                             ("--engine interpreter --from %d" % late, "without compiled code"),
                             ("--from %d --drive id=d0,file=%s" % (late, away), "with the image where it is now"))[:3 if disk else 2]:
            done = subprocess.run([os.path.abspath(program), "verify", copy] + words.split(), cwd=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            check("the recording replays elsewhere " + claim, done.returncode == 0, done.stdout[-300:])
            finals.add(re.search(rb"last state hash.*", done.stdout + b"last state hash is missing").group())
    check("each time to the same last state", len(finals) == 1, finals)
    if disk:
        os.rename(away, disk)


def through(tmp, program, root, version, name):
    """All of it by one controller."""
    words, drivers, node = CONTROLLERS[name]
    initrd = make_initrd(tmp, root, version, drivers, node)
    disk, md5 = make_disk(tmp)
    before, saved, recording = hash_of(disk), os.path.join(tmp, "saved.qcow2"), os.path.join(tmp, "r.hcrec")
    guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), initrd,
                  ["--record", recording, "--embed", "--checkpoints-in-file", "every=1500000000"]
                  + [w.replace("FILE", disk) for w in words])
    use_the_disk(guest, name, node, md5, saved)
    go_back(guest, 400000000)
    guest.close()
    check("the image is as it was", hash_of(disk) == before)
    sound(tmp, saved, md5)
    verify(program, recording, disk)


# Without end.
STORM = """
n=0; while n=$((n+1)); do dd if=/mnt/data of=/mnt/copy$((n%3)) bs=64k conv=fsync 2>/dev/null; echo storm""" + """ $n; done
"""
KILLS = int(os.environ.get("HINDCAST_KILLS", "3"))


def killed(tmp, program, root, version, name):
    """hindcast is killed while the guest writes, and goes on from what it has recorded, again and again."""
    words, drivers, node = CONTROLLERS[name]
    initrd, rng = make_initrd(tmp, root, version, drivers, node), random.Random(name)
    disk, _ = make_disk(tmp)
    before, recording = hash_of(disk), os.path.join(tmp, "k0.hcrec")
    guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), initrd,
                  ["--record", recording, "--checkpoints-in-file", "every=300000000"] + [w.replace("FILE", disk) for w in words])
    guest.rsp.send("c")
    guest.wait_console(rb"guest# ")
    guest.type(STORM)
    guest.wait_console(rb"storm 2\r")
    guest.process.kill()
    guest.process.wait()
    for n in range(KILLS):
        last, recording, out = recording, os.path.join(tmp, "k%d.hcrec" % (n + 1)), os.path.join(tmp, "out%d" % n)
        process = subprocess.Popen([program, "--replay", last, "--continue-live", "--record", recording, "--checkpoints-in-file",
                                    "every=300000000", "--run", "--listen", "none", "--serial", "file:" + out],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        storms, want = b"", 1 + rng.randrange(3)
        while storms.count(b"storm") < want and process.poll() is None:
            time.sleep(0.05)
            if os.path.exists(out):
                with open(out, "rb") as f:
                    storms = f.read()
        time.sleep(rng.random() / 2)
        ended = process.poll()
        process.kill()
        said = process.communicate()[1]
        check("%s: what a killed hindcast recorded goes on" % name, ended is None, said[-500:])
        check("%s: the image is as it was" % name, hash_of(disk) == before)
    done = subprocess.run([program, "verify", "--from", "checkpoints", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check("%s: the history of %d lives replays, from every checkpoint" % (name, KILLS + 1), done.returncode == 0, done.stdout[-300:])


def floppy(tmp, program, root, version):
    """The kernel's floppy driver."""
    initrd = make_initrd(tmp, root, version, ["floppy"], "fd0", FLOPPY, ())
    data, image, recording = random.Random(2).randbytes(1440 << 10), os.path.join(tmp, "f.img"), os.path.join(tmp, "f.hcrec")
    with open(image, "wb") as f:
        f.write(data)
    done = subprocess.run([program, "--memory", "256M", "--icount", "shift=0,sleep=off", "--kernel",
                           "%s/boot/vmlinuz-%s" % (root, version), "--initrd", initrd, "--append", "console=ttyS0", "-fda", image,
                           "--record", recording, "--embed", "--run", "--listen", "none", "--serial", "stdio"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    text = done.stdout.decode("latin-1")
    check("the floppy controller is an 82077", "post-1991 82077" in text, text[-1500:])
    check("the whole floppy is read", hashlib.md5(data).hexdigest() in text, text[-1500:])
    check("what was written is read again", hashlib.md5(data[:36864]).hexdigest() in text, text[-1500:])
    done = subprocess.run([program, "verify", "--from", "checkpoints", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check("the recording replays", done.returncode == 0, done.stdout[-300:])


def main():
    program, cache = sys.argv[1], cache_dir()
    if not all(map(tool, TOOLS)) or not shutil.which("qemu-img"):
        sys.exit(77)
    code = subprocess.run([os.path.join(HERE, "fetch-debian"), "i386", cache, "busybox-static", "linux-image-686"]).returncode
    if code:
        sys.exit(code)
    root = os.path.join(cache, "i386", "root")
    with open("%s/i386/done/linux-image-686" % cache) as f:
        version = f.read().strip()[len("linux-image-"):]
    for name in sys.argv[2:] or list(CONTROLLERS) + ["floppy"] + ["killed-" + name for name in CONTROLLERS]:
        with tempfile.TemporaryDirectory() as tmp:
            if name == "floppy":
                floppy(tmp, program, root, version)
            elif name.startswith("killed-"):
                killed(tmp, program, root, version, name[len("killed-"):])
            else:
                through(tmp, program, root, version, name)
    print("%d passed, %d failed" % (test_debian_i386.passed, test_debian_i386.failed))
    sys.exit(1 if test_debian_i386.failed else 0)


if __name__ == "__main__":
    main()
