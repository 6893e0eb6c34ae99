"""The command line: what it takes, and what it says about what it cannot take."""
import atexit
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import zlib

import harness
from rspclient import RspError  # (harness finds it)
from harness import HINDCAST, STORE, Server, check, contains, equal, lacks, patience, shown_in, texts_of_png, until


def run(*arguments, seconds=20):
    """Exit status and everything said."""
    result = subprocess.run([HINDCAST] + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=patience(seconds))
    return result.returncode, result.stdout.decode("utf-8", "replace")


# A server that would start must not meet another one at the default port.
ANYWHERE = ("--listen", "127.0.0.1:0")


def refused(pattern, *arguments):
    if "--listen" not in arguments and arguments[:1] != ("verify",):
        arguments = ANYWHERE + arguments
    status, text = run(*arguments)
    equal(status, 1, text)
    contains(text, pattern)
    equal(len(text.strip().splitlines()), 1, "one line, not: " + text)


def claim_help_and_version_answer():
    status, text = run("--help")
    equal(status, 0)
    for word in ("--kernel", "--listen", "--serial", "--checkpoint-memory", "target remote", "pentium3"):
        contains(text, word)
    status, text = run("-version")
    equal(status, 0)
    contains(text, r"^hindcast \d+\.\d+")


def claim_cpus_that_cannot_be_are_refused():
    refused(r"--smp 0: write a number from 1 to 64", "--smp", "0", STORE)
    refused(r"--smp 65: ", "--smp", "65", STORE)
    refused(r"--smp cpus=65: ", "--smp", "cpus=65", STORE)
    refused(r"--smp cores=0: ", "--smp", "2,cores=0", STORE)
    refused(r"3 socket\(s\) of 2 core\(s\) of 1 thread\(s\) are 6 CPUs, not 4", "--smp", "4,sockets=3,cores=2", STORE)
    refused(r"3 socket\(s\) of 1 core\(s\) of 1 thread\(s\) are 3 CPUs, not 4", "--smp", "4,sockets=3", STORE)
    refused(r"512 CPUs; 64 are the most", "--smp", "sockets=8,cores=8,threads=8", STORE)
    refused(r"GIC of version 2 is for 8 CPUs", "--machine", "virt,gic-version=2", "--smp", "9", STORE)
    refused(r"has no APIC", "--machine", "pc", "--cpu", "486", "--smp", "2", STORE)
    refused(r"--interleave quantum=0", "--interleave", "quantum=0", STORE)
    refused(r"needs a seed", "--interleave", "quantum=5,starve=on", STORE)


def claim_what_is_said_twice_or_empty_is_refused_by_name():
    refused(r"--interleave seed=2: seed is given twice, before as 1", "--interleave", "seed=1,seed=2", STORE)
    refused(r"--smp cpus=2: cpus is given twice, before as 4", "--smp", "4,cpus=2", STORE)
    refused(r"--smp cores=: the value is missing", "--smp", "4,cores=", STORE)
    refused(r"--smp: its value is empty: N\[,sockets=N\]", "--smp", "", STORE)
    refused(r"--machine usb=off: usb is given twice", "--machine", "pc,usb=on,usb=off", STORE)
    refused(r"--device e1000 mac=|mac is given twice", "--netdev", "user,id=n", "--device", "e1000,netdev=n,mac=52:54:00:00:00:01,mac=52:54:00:00:00:02", STORE)
    refused(r"id is given twice", "--chardev", "null,id=a,id=b", STORE)
    refused(r"--cpu qemu64,\+avx,\+avx: \+avx is given twice", "--cpu", "qemu64,+avx,+avx", STORE)
    refused(r"'nowait' says a second time", "--serial", "tcp:127.0.0.1:0,server,wait,nowait", STORE)
    for option in ("--seed", "--memory", "--record", "--serial", "--debug-exit", "--icount", "--listen", "--initrd", "--boot"):
        refused(r"%s: its value is empty: " % option, option, "", STORE)
    refused(r"--memory: its value is empty: SIZE", "--memory=", STORE)
    # What may be said several times, or be empty, is.
    with Server("--append", "", "--smbios", "type=11,value=a,value=b", "--smbios", "type=1,product="):
        pass


def claim_what_is_left_out_of_a_topology_multiplies_out():
    if not shutil.which("dtc"):
        return
    with tempfile.TemporaryDirectory() as directory:
        for number, (words, nodes) in enumerate((("8,sockets=2", (2, 8, 0)), ("8,sockets=2,cores=2", (2, 4, 8)), ("8,threads=2", (4, 4, 8)),
                                                 ("8,cores=4", (2, 8, 0)), ("8,sockets=4,threads=2", (4, 4, 8)), ("sockets=2,cores=3", (2, 6, 0)))):
            tree = os.path.join(directory, "tree%d" % number)
            status, text = run("--machine", "virt,gic-version=3", "--smp", words, "--dumpdtb", tree)
            equal(status, 0, text)
            text = subprocess.run(["dtc", "-q", "-I", "dtb", tree], capture_output=True, text=True, check=True).stdout
            equal(tuple(len(re.findall(r"^\s*%s\d+ \{" % name, text, re.M)) for name in ("socket", "core", "thread")), nodes, words)


def claim_help_as_a_value_says_what_there_is():
    for option, words in (("--cpu", r"(?m)^pc: 486 pentium3 .*^virt: cortex-a53.*^flags .* fsgsbase"), ("-M", r"(?s)pc .*hpet=on\|off.*\nvirt .*secure=on"),
                          ("--device", r"virtio-blk-pci"), ("--nic", r"(?m)^rtl8139 ")):
        for word in "help", "?":
            status, text = run(option, word)
            equal(status, 0, text)
            contains(text, words if option != "--cpu" else r"(?s)" + words)
    status, text = run("--nic", "user,model=help")
    equal(status, 0, text)
    contains(text, "e1000")
    equal("nvme" in text, False)


def claim_an_unknown_option_names_the_nearest():
    refused(r"unknown option 'memroy'; did you mean --memory\?", "--memroy", "64M", STORE)
    refused(r"unknown option 'serail'; did you mean --serial\?", "-serail", "stdio", STORE)
    refused(r"unknown option 'xyzzy'; hindcast --help lists them", "-xyzzy", "2", STORE)
    refused(r"'no' is short for --no-reboot, for --nographic", "--no", STORE)


def claim_what_qemu_has_and_hindcast_has_not_gets_a_sentence():
    refused(r"-enable-kvm: .*counts instructions", "-enable-kvm", STORE)
    refused(r"-display gtk: no window.*screendump", "-display", "gtk", STORE)
    refused(r"-monitor stdio: the monitor is in gdb", "-monitor", "stdio", STORE)
    refused(r"-net nic: write --nic", "-net", "nic", STORE)
    refused(r"-accel kvm: .*counts instructions", "-accel", "kvm", STORE)
    refused(r"--machine accel=kvm: .*counts instructions", "-machine", "pc,accel=kvm", STORE)
    refused(r"--machine q35: this PC has an i440FX: .*ich9-ahci", "-machine", "q35", STORE)
    refused(r"--machine pc-q35-7.2,usb=on: this PC has an i440FX", "-M", "pc-q35-7.2,usb=on", STORE)
    refused(r"--machine raspi3b: there are pc and virt", "-M", "raspi3b", STORE)
    refused(r"--cpu qemu64,\+avx2: avx2 needs \+xsave,\+avx, too", "-cpu", "qemu64,+avx2", STORE)
    refused(r"--cpu max,\+sha-ni: sha-ni is not modelled", "-cpu", "max,+sha-ni", STORE)
    refused(r"--cpu cortex-a57,pmu=on: a model has its features.*cortex-a53", "-M", "virt", "-cpu", "cortex-a57,pmu=on", STORE)
    refused(r"--cpu host: a history .* max has all", "-cpu", "host", STORE)
    refused(r"nothing to boot: .*/usr/share/seabios/bios-256k.bin", "-hda", STORE)
    refused(r"--vga cirrus: there are std", "-vga", "cirrus", STORE)
    refused(r"--vga max_outputs=2: there is no", "-vga", "std,max_outputs=2", STORE)
    refused(r"--device virtio-vga xres=1: write a number", "-device", "virtio-vga,xres=1", STORE)
    refused(r"--device virtio-vga addr=5: there is no 'addr'", "-device", "virtio-vga,addr=5", STORE)
    for name in "ib700", "isa-debug-exit", "isa-debugcon", "isa-serial", "ne2k_isa", "pc-testdev", "sb16", "tpm-tis":
        refused(r"--device addr=3: there is no 'addr'", "-device", name + ",addr=3", STORE)
    for words in (("-device", "VGA", "-device", "virtio-vga"), ("-vga", "std", "-device", "virtio-vga"), ("-device", "VGA", "-vga", "virtio")):
        refused(r"--(device|vga) virtio(-vga)?: there is one already", *words, STORE)
    refused(r"--global virtio-mmio.force-legacy=on: no virtio device is in a slot", "-M", "virt", "-global", "virtio-mmio.force-legacy=on", STORE)
    refused(r"^hindcast: --audiodev alsa: write wav or none", "-audiodev", "alsa,id=a", STORE)
    refused(r"--vga is for --machine pc", "-M", "virt", "-device", "VGA", STORE)
    refused(r"-k: no window", "-k", "en-us", STORE)
    refused(r"-spice: no window", "-spice", "port=5900", STORE)
    refused(r"-overcommit: memory is hindcast's own", "-overcommit", "mem-lock=off", STORE)
    refused(r"-msg: messages have no time", "-msg", "timestamp=on", STORE)
    refused(r"--memory 2G,slots=2,maxmem=4G: memory cannot be plugged in", "-m", "2G,slots=2,maxmem=4G", STORE)
    refused(r"--memory size=: write a size", "-m", "size=", STORE)
    refused(r"--smp 2,maxcpus=4: CPUs cannot be plugged in", "-smp", "2,maxcpus=4", STORE)
    refused(r"--smp dies=2: write a number from 1 to 1", "-smp", "2,dies=2", STORE)
    refused(r"--icount rr=record: write --record", "-icount", "rr=record", STORE)


def claim_what_qemu_is_told_needlessly_is_taken():
    words = ("-display none -monitor none -net none -parallel none -accel tcg -accel kvm:tcg -accel tcg,thread=single -no-shutdown "
             "-no-user-config -nographic -name x -m size=64M -smp 1,maxcpus=1,dies=1 -global virtio-mmio.force-legacy=false "
             "-global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=1").split()
    guest = harness.build_guest("movb $7, %al\noutb %al, $0xf4\n1: jmp 1b", "ends")
    for machine in ("pc", "pc-i440fx-7.2", "pc,accel=tcg", "pc-i440fx-7.2,accel=kvm:tcg,hpet=off"):
        status, text = run("--run", "--listen", "none", "--serial", "none", "-machine", machine, *words, guest)
        equal(status, 15, text)


# Says version, device ID and number of each virtio-mmio slot that has a device, and powers off.
SLOTS = """
.globl _start
_start:
    movz x1, #0x0900, lsl #16
    movz x2, #0x0a00, lsl #16
    mov x5, #0
1:  ldr w3, [x2, #4]
    ldr w4, [x2, #8]
    cbz w4, 2f
    add w0, w3, #'0'
    strb w0, [x1]
    add w0, w4, #'0'
    strb w0, [x1]
    add w0, w5, #'A'
    strb w0, [x1]
2:  add x2, x2, #0x200
    add x5, x5, #1
    cmp x5, #32
    b.ne 1b
    movz x0, #0x8400, lsl #16
    movk x0, #8
    hvc #0
"""


def claim_a_device_is_in_the_slot_that_its_bus_names():
    if not shutil.which("aarch64-linux-gnu-gcc"):
        return
    with tempfile.TemporaryDirectory() as directory:
        source, guest, disk = (os.path.join(directory, name) for name in ("slots.S", "slots.elf", "disk"))
        with open(source, "w") as f:
            f.write(SLOTS)
        with open(disk, "wb") as f:
            f.write(bytes(512))
        subprocess.run(["aarch64-linux-gnu-gcc", "-nostdlib", "-static", "-Wl,-Ttext=0x40080000,--build-id=none", "-o", guest, source],
                       check=True, stderr=subprocess.DEVNULL)
        board = ["-M", "virt", "-cpu", "cortex-a72", "-drive", "if=none,format=raw,id=x0,file=" + disk, "-device"]
        for devices, slots in ((["virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0"], "22A"),
                               (["virtio-blk-device,drive=x0"], "22`"),
                               (["virtio-blk-device,drive=x0", "-global", "virtio-mmio.force-legacy=true"], "12`"),
                               (["virtio-blk-device,drive=x0,force-legacy=off", "-device", "virtio-rng-device,force-legacy=on", "-device",
                                 "virtio-gpu-device", "-global", "virtio-mmio.force-legacy=on"], "2@^14_22`"),
                               (["virtio-blk-device,drive=x0,bus=virtio-mmio-bus.31", "-device", "virtio-rng-device"], "24_22`")):
            status, text = run(*board, *devices, "--run", "--listen", "none", "--serial", "stdio", guest)
            equal(status, 0, text)
            contains(text, re.escape(slots))
        for bus, words in (("virtio-mmio-bus.32", "there are slots 0 to 31"), ("virtio-mmio-bus.", "write virtio-mmio-bus.N"),
                           ("virtio-mmio-bus.1x", "write virtio-mmio-bus.N"), ("pci.0", "bus=pci.0: write virtio-mmio-bus.N")):
            refused(words, *board, "virtio-blk-device,drive=x0,bus=" + bus, guest)
        refused(r"virtio-mmio-bus.0: there is a device already", *board, "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0", "-device",
                "virtio-rng-device,bus=virtio-mmio-bus.0", guest)
    refused(r"bus=nowhere: there is isa.0", "-chardev", "null,id=c", "-device", "isa-serial,chardev=c,bus=nowhere", STORE)


def claim_help_fits_80_columns():
    _, text = run("--help")
    equal([line for line in text.splitlines() if len(line) > 80], [])


def claim_every_key_of_a_drive_is_in_help_and_manuals():
    _, text = run("--drive", "nonsense=1", STORE)
    keys = re.findall(r"(?:are |, )([a-z-]+)=", text)
    check(len(keys) > 15 and "detect-zeroes" in keys, text)
    with open(os.path.join(harness.SOURCE, "README.md")) as f:
        readme = re.search(r"(?m)^\| `--drive .*", f.read()).group(0)
    with open(os.path.join(harness.SOURCE, "doc", "hindcast.1")) as f:
        manual = re.search(r"(?ms)^\.BI --drive .*?^\.BI -hda ", f.read().replace("\\-", "-")).group(0)
    help = re.search(r"(?ms)^ *--drive .*?^ *--hda", run("--help")[1]).group(0)
    for key in keys:
        for where, name in (readme, "README"), (manual, "manual"), (help, "--help"):
            check(re.search(r"\b%s\b" % key, where), "%s of --drive is not in %s" % (key, name))


def claim_options_without_effect_are_refused():
    refused(r"--debug-exit is for --machine pc", "--machine", "virt", "--debug-exit", "none", STORE)
    refused(r"--semihosting-arg goes with --semihosting", "--semihosting-arg", "x", STORE)
    refused(r"--run and --gdb stdio", "--run", "--gdb", "stdio", STORE)
    refused(r"every=1: 1000 instructions", "--record", "x", "--checkpoints-in-file", "every=1", STORE)
    for command in "info", "verify":
        status, text = run(command)
        equal((status, text), (1, "hindcast: %s: name a recording (made with --record FILE)\n" % command))
        status, text = run(command, "a", "b")
        equal(status, 1)
        contains(text, r"'b' is one too many: hindcast %s takes one recording" % command)
        status, text = run(command, "a", "--run")
        equal(status, 1)
        contains(text, r"--run means nothing to hindcast %s" % command)


def claim_bad_values_are_named():
    refused(r"--memory 0x: write a size", "--memory", "0x", STORE)
    refused(r"--memory 100G", "-m", "100G", STORE)
    refused(r"needs a value", STORE, "--memory")
    refused(r"--icount shift=99", "--icount", "shift=99", STORE)
    refused(r"--icount sleep=maybe", "--icount", "shift=1,sleep=maybe", STORE)
    refused(r"nothing to boot")
    refused(r"one too many", STORE, STORE)
    refused(r"q35", "--machine", "q35", STORE)
    refused(r"serial0: .*not.* anything|serial0: 'tty' is nothing", "--listen", "127.0.0.1:0", "--serial", "tty", STORE)
    refused(r"no address|HOST:PORT", "--listen", "localhost:http", STORE)
    refused(r"99999: ports go from 0 to 65535", "--listen", "99999", STORE)
    refused(r"is no socket: name another", "--listen", "unix:" + __file__, STORE)
    refused(r"contradict each other", "--gdb", "stdio", "--listen", ":0", STORE)
    refused(r"contradict", "--run", "-S", STORE)
    refused(r"i386|486|model", "--cpu", "z80", STORE)


def claim_unusable_files_are_named():
    refused(r"/nonexistent/kernel: .*No such file", "/nonexistent/kernel")
    refused(r"directory", "/")
    with tempfile.TemporaryDirectory() as d:
        with open(STORE, "rb") as f:
            whole = f.read()
        for cut in (0, 10, 52, 60, 120, 5000):
            path = os.path.join(d, "cut-%d" % cut)
            with open(path, "wb") as f:
                f.write(whole[:cut])
            status, text = run(*ANYWHERE, path)
            equal(status, 1, "cut at %d: %s" % (cut, text))
            check("cut-%d" % cut in text or cut == 0, text)
        # A kernel larger than the memory.
        path = os.path.join(d, "large.S")
        elf = os.path.join(d, "large.elf")
        with open(path, "w") as f:
            f.write(".globl _start\n_start: hlt\n.data\n.fill 8388608, 1, 1\n")
        subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,-Ttext=0x100000", "-o", elf, path], check=True,
                       stderr=subprocess.DEVNULL)
        status, text = run(*ANYWHERE, "--memory", "4M", elf)
        equal(status, 1, text)
        contains(text, r"memory")


def claim_a_file_that_is_no_kernel_is_called_what_it_is():
    with tempfile.TemporaryDirectory() as d:
        def file(name, data):
            path = os.path.join(d, name)
            with open(path, "wb") as f:
                f.write(data)
            return path
        empty, recording = file("empty", b""), os.path.join(d, "r.hcrec")
        refused(r"/dev/null: an empty file \(--pflash\)", "--pflash", "/dev/null", STORE)
        refused(r"zeros: |firmware", "--pflash", file("zeros", bytes(4096)), "--machine", "pc", STORE)
        refused(r"--append: these words are for a kernel", "--bios", file("fw", bytes(65536)), "--machine", "pc", "--append", "x")
        for option in "--kernel", "--bios", "--initrd", "--pflash":
            refused(r"empty: an empty file \(%s\)" % option, option, empty, *(() if option == "--kernel" else (STORE,)))
        refused(r"elf4: an ELF file that is cut short: 4 bytes", file("elf4", b"\x7fELF"))
        for machine, name in ((183, "aarch64"), (243, "RISC-V"), (40, "32-bit Arm"), (9999, "another CPU")):
            elf = file("e", struct.pack("<16sHHI", b"\x7fELF\2\1\1", 2, machine, 1) + bytes(100))
            refused(r"e: an ELF file for %s; a pc runs those for the i386 and for x86-64" % name, "--machine", "pc", elf)
            if machine != 183:
                refused(r"e: an ELF file for %s; virt runs those for aarch64" % name, "--machine", "virt", elf)
        with Server("--record", recording):
            pass
        for option in "--kernel", "--bios":
            refused(r"r\.hcrec: a recording, not what %s takes; --replay \S+r\.hcrec opens it" % option, option, recording)
    refused(r"--memory 1T: a guest can have from 1M to 64G", "--memory", "1T", STORE)


def pixels_of_png(data):
    """Width, height, RGB bytes: of 8 bits and without interlace."""
    equal(data[:8], b"\x89PNG\r\n\x1a\n")
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        equal(struct.unpack_from(">I", data, at + 8 + size)[0], zlib.crc32(kind + body))
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", body)
            equal(body[8:], b"\x08\x02\0\0\0")
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    raw, line, out = zlib.decompress(packed), bytearray(3 * width), bytearray()
    for y in range(height):
        row = raw[y * (3 * width + 1):(y + 1) * (3 * width + 1)]
        before, line = line, bytearray(row[1:])
        for x in range(len(line)):
            a, b, c = (line[x - 3] if x > 2 else 0), before[x], (before[x - 3] if x > 2 else 0)
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[x] = (line[x] + (0, a, b, (a + b) // 2, nearest)[row[0]]) & 255
        out += line
    return width, height, bytes(out)


def claim_a_picture_of_the_screen_is_a_png_or_a_ppm_by_its_name():
    with tempfile.TemporaryDirectory() as d, Server() as s:
        rsp = s.client()
        png, ppm = os.path.join(d, "x.png"), os.path.join(d, "x.ppm")
        rsp.monitor("screendump " + png)
        rsp.monitor("screendump " + ppm)
        with open(png, "rb") as f:
            width, height, pixels = pixels_of_png(f.read())
        with open(ppm, "rb") as f:
            check(f.read() == b"P6\n%d %d\n255\n" % (width, height) + pixels, "the two differ")
        for words, magic in (("-f ppm", b"P6"), ("vga -f png", b"\x89PNG"), ("vga 0 -f ppm", b"P6")):
            rsp.monitor("screendump %s %s force" % (png, words))
            with open(png, "rb") as f:
                equal(f.read()[:len(magic)], magic, words)
        for words, text in (("pit", "device 'pit' is no display"), ("nobody", "there is no device 'nobody'"),
                            ("vga 1", "display 'vga' has no head 1"), ("-f gif", "formats are png and ppm"),
                            ("-f", "formats are png and ppm"), ("vga 0x", "no number of a head")):
            not_done(rsp, "screendump %s.other %s" % (png, words), text)
        check(not os.path.exists(png + ".other"))
        rsp.close()


def claim_a_watchdogs_action_is_what_was_said():
    guest = harness.build_guest("movw $0x443, %dx\nmovb $14, %al\noutb %al, %dx\n1: hlt\njmp 1b", "watched")
    words = ["--run", "--listen", "none", "--serial", "none", "--icount", "sleep=off", "--device"]
    with tempfile.TemporaryDirectory() as d:
        recording = os.path.join(d, "r")
        for options, text in ((["ib700", "--no-reboot"], "the guest asked for a reset at"),
                              (["ib700", "--watchdog-action", "poweroff"], "the guest powered off at"),
                              (["ib700,action=pause", "--watchdog-action", "reset"], "the guest's watchdog has run out at"),
                              (["ib700", "--action", "watchdog=debug"], "the guest's watchdog has run out at")):
            contains(run(*words, *options, "--record", recording, "--force", "--embed", guest)[1], text)
            equal(run("verify", recording)[0], 0)
        for action, text in (("none", "does nothing"), ("shutdown", "presses the power button"), ("inject-nmi", "makes a non-maskable interrupt")):
            with Server("--device", "ib700,id=dog,action=" + action, "--icount", "sleep=off", guest=guest) as s:
                rsp = s.client()
                rsp.send("c")
                s.wait_errors("dog %s at position " % text)
                rsp.interrupt()
                rsp.wait()
                edge = rsp.position()
                for place in 0, edge:
                    rsp.monitor("seek %d" % place)
                    rsp.ask("c" if place else "bc")
                equal(s.errors.count("dog %s" % text), 1, "it is told once")
                rsp.close()
    refused(r"--watchdog-action explode: write reset", "-watchdog-action", "explode", STORE)
    refused(r"--action watchdog=explode: write reset", "-action", "watchdog=explode", STORE)
    refused(r"--watchdog-action poweroff: there is no watchdog", "-watchdog-action", "poweroff", STORE)
    refused(r"-action panic=none: there is watchdog=ACTION", "-action", "panic=none", STORE)
    with Server("--device", "ib700,action=pause", "--icount", "sleep=off", guest=guest) as s:
        rsp = s.client()
        rsp.ask("c")
        end = rsp.position()
        contains(rsp.monitor("info status"), "watchdog has run out")
        rsp.ask("bs")
        check("watchdog" not in rsp.monitor("info status"), "before its end it has not ended")
        equal(rsp.position(), end - 1)
        rsp.ask("c")
        equal(rsp.position(), end)
        rsp.close()


def claim_a_balloon_says_what_becomes_of_a_wish():
    with Server("-m", "64M", "--device", "virtio-balloon-pci,id=b", "--device", "i6300esb", "--vga", "std", "--device", "secondary-vga") as s:
        rsp = s.client()
        contains(rsp.monitor("balloon 32"), r"the guest is to keep 32 MB: .*once a driver is there \(none is so far\)")
        not_done(rsp, "balloon 65", "65 MB: the guest has 64 in all")
        not_done(rsp, "balloon 99999", "the guest has 64 in all")
        contains(rsp.monitor("info devices i6300esb"), r"^i6300esb0:\ndisabled")
        contains(rsp.monitor("info displays"), r"secondary-vga0(.|\n)*head 0: nothing so far")
        rsp.close()


def claim_a_64_bit_kernel_wants_a_cpu_with_long_mode():
    with tempfile.TemporaryDirectory() as d:
        elf = os.path.join(d, "wide")
        subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x100000,--build-id=none", "-x", "assembler", "-", "-o", elf],
                       input=b".globl _start\n_start: hlt\njmp _start\n", check=True)
        refused(r"wide: an ELF file for x86-64; the CPU pentium3 has 32 bits", "--cpu", "pentium3", elf)


def claim_displays_are_listed_with_what_they_show():
    with Server("--vga", "virtio,max_outputs=2", "--device", "bochs-display,id=second") as s:
        rsp = s.client()
        equal(rsp.monitor("info displays"), "vga (the screen)\n    head 0: 720x400, text\n    head 1: nothing\nsecond\n    head 0: nothing\n")
        rsp.close()
    with Server("--vga", "none") as s:
        rsp = s.client()
        not_done(rsp, "info displays", "this machine has no display")
        rsp.close()


def claim_a_png_says_at_which_position_it_was_taken():
    with tempfile.TemporaryDirectory() as d, Server() as s:
        rsp = s.client()
        for name, steps in ("begin", 0), ("later", 5):
            for _ in range(steps):
                rsp.ask("s")
            rsp.monitor("screendump %s" % os.path.join(d, name))
            with open(os.path.join(d, name), "rb") as f:
                texts = texts_of_png(f.read())
            equal(texts["Position"], str(rsp.position()))
            equal(texts["Virtual time"], re.search(r"virtual time (\S+ s)", rsp.monitor("when")).group(1))
            equal(texts["Display"], "vga, head 0")
        rsp.close()


def completed(words):
    """What bash would offer for the last of some words."""
    script = 'source <("%s" --completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _hindcast; ' \
             'printf "%%s\\n" "${COMPREPLY[@]}"' % HINDCAST
    return subprocess.run(["bash", "-c", script, "bash"] + words, check=True, stdout=subprocess.PIPE).stdout.decode().split()


def claim_shells_complete_what_the_table_of_options_has():
    equal(completed(["hindcast", "--vga-"]), ["--vga-bios"])
    equal(completed(["hindcast", "--vga", "s"]), ["std"])
    equal(completed(["hindcast", "--engine", ""]), ["auto", "jit", "interpreter"])
    equal(completed(["hindcast", "inf"]), ["info"])
    check("-S" in completed(["hindcast", "-"]))
    for shell in "zsh", "fish":
        status, text = run("--completion", shell)
        equal(status, 0)
        contains(text, r"(?m)(--|-l )checkpoint-memory")
    refused(r"--completion tcsh: write bash, zsh or fish", "--completion", "tcsh")


def claim_options_that_work_late_are_told_so():
    with Server("--embed") as s:
        s.wait_errors(r"--embed is for what monitor save writes: there is no --record FILE")


def claim_firmware_in_the_first_flash_bank_is_enough_to_boot():
    with tempfile.TemporaryDirectory() as d:
        path, dtb = os.path.join(d, "code.fd"), os.path.join(d, "dtb")
        with open(path, "wb") as f:
            f.write(b"\0\0\0\x14")  # b .
        status, text = run("--pflash", path, "--dumpdtb", dtb)
        equal(status, 0, text)
        check(os.path.getsize(dtb) > 1000)


def claim_a_pc_has_no_device_tree_to_dump():
    with tempfile.TemporaryDirectory() as d:
        tree = os.path.join(d, "dtb")
        kernel = harness.build_guest("1: hlt\n jmp 1b\n")
        for words in (kernel,), (kernel, "--cpu", "qemu64"), ("--machine", "pc", kernel):
            refused(r"--dumpdtb: a PC has no device tree", "--dumpdtb", tree, *words)
        check(not os.path.exists(tree), "something was written")


def claim_secure_is_the_machines_property():
    with tempfile.TemporaryDirectory() as d:
        trees = []
        for n, options in enumerate((("--secure",), ("--machine", "virt,secure=on"), ("--machine", "virt"),
                                     ("--secure", "--machine", "virt,gic-version=3"))):
            name = os.path.join(d, "%d.dtb" % n)
            status, text = run(*options, "--dumpdtb", name)
            equal(status, 0, text)
            with open(name, "rb") as f:
                trees.append(f.read())
        check(trees[0] == trees[1], "--secure is not secure=on")
        check(trees[0] != trees[2] and trees[0] != trees[3], "--secure changes nothing, or --machine is lost")
        check(b"secram" in trees[3] or b"secure" in trees[3], "no Secure memory with GICv3")
    refused(r"--secure is for --machine virt", "--secure", "--machine", "pc", STORE)


def not_done(rsp, line, pattern):
    """A monitor command that is refused."""
    try:
        text = rsp.monitor(line)
    except RspError as e:
        contains(str(e), pattern)
    else:
        check(False, "monitor %s: %s" % (line, text))


def claim_monitor_commands_do_not_take_what_means_nothing():
    with Server() as s:
        rsp = s.client()
        for line, pattern in (
                ("info c", r'"info c" may be "info chardev", "info checkpoints", "info cpus"'), ("info r", r'may be "info registers", "info replay"'),
                ("info chx", r"unknown command"),
                ("watch-phys 0x100000000000 4", r"on there are no 4 bytes of memory"),
                ("watch-phys 0x1000 0x10000000000", r"on there are no 1099511627776 bytes of memory"),
                ("watch-phys 0xfffffffffffffff0 0x20", r"there are no 32 bytes of memory"), ("watch-phys 0x1000 0", r"no 0 bytes"),
                ("last phys:0x1000 0xffffffffffffffff", r"no 18446744073709551615 bytes"),
                ("last 0xffffffffffffffff 2", r"there are no 2 bytes"),
                ("serial ab\\xzz", r"\\x and two hexadecimal digits"), ("serial \\x4", r"nothing was typed")):
            not_done(rsp, line, pattern)
        rsp.monitor("watch-phys 0x100000 0x10000")
        rsp.monitor("unwatch-phys 0x100000")
        rsp.close()


def claim_words_of_qemus_monitor_are_led_to_what_is_here():
    with Server("--smp", "2") as s:
        rsp = s.client()
        for line, pattern in (
                ("info lapic", r"info irq"), ("info pic", r"info irq"), ("info qtree", r"info devices"), ("info roms", r"info mtree"),
                ("info version", r"--version"), ("c", r"continue"), ("cont", r"continue"), ("x /4xw 0", r"xp"), ("x/4xw 0", r"xp"),
                ("nmi", r"nothing from outside"), ("device_add e1000", r"--device"), ("cpu 1", r"thread")):
            not_done(rsp, line, r'there is no "%s" here: .*%s' % (line.split(" ")[0].split("/")[0], pattern) if not line.startswith("info") else
                     r'there is no "%s" here: .*%s' % (line, pattern))
        for line in ("info registers", "info cpus", "info mem", "info network", "info block", "info chardev", "info status", "info tlb", "stop",
                     "info registers -a"):
            rsp.monitor(line)
        contains(rsp.monitor("info registers -a"), r"(?s)CPU #0.*CPU #1")
        equal(rsp.monitor("gva2gpa 0x100000").strip(), "gpa: 0x100000")
        not_done(rsp, "info registers all", r"there is -a")
        rsp.close()


def claim_the_running_program_is_not_written_over():
    with tempfile.TemporaryDirectory() as d:
        own = os.path.join(d, "hindcast")
        shutil.copy(HINDCAST, own)
        done = subprocess.run([own, "--record", own, "--force", *ANYWHERE, STORE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=patience(20))
        contains(done.stdout.decode(), r"hindcast: is read by this run|Text file busy")
        check(os.path.getsize(own) == os.path.getsize(HINDCAST))
    with Server() as s:
        rsp = s.client()
        not_done(rsp, "save %s force" % os.path.realpath(HINDCAST), r"is read by this run")
        rsp.close()


def claim_the_command_for_gdb_can_be_pasted_into_a_shell():
    with tempfile.TemporaryDirectory() as d:
        kernel = os.path.join(d, "it's my kernel.elf")
        shutil.copy(STORE, kernel)
        with Server(guest=kernel) as s:
            command = s.wait_errors(r"Ctrl-c ends hindcast\); start gdb with: (.*)").group(1)
            words = subprocess.run("printf '%%s\\n' %s" % command, shell=True, check=True, stdout=subprocess.PIPE).stdout
            equal(words.decode().splitlines(), ["gdb", kernel, "-ex", "target remote " + s.where])


def claim_what_is_written_never_destroys_what_is_read():
    with tempfile.TemporaryDirectory() as d:
        kernel, link = os.path.join(d, "kernel.elf"), os.path.join(d, "other name")
        shutil.copy(STORE, kernel)
        os.link(kernel, link)
        with open(kernel, "rb") as f:
            whole = f.read()
        for option in "--record", "--serial", "--dumpdtb":
            where = "file:" + link if option == "--serial" else link
            refused(r"other name: is read by this run", "--force", option, where,
                    *(("--machine", "virt", "--bios", kernel) if option == "--dumpdtb" else (kernel,)))
        with Server(guest=kernel) as s:
            rsp = s.client()
            not_done(rsp, "save " + kernel, r"is read by this run")
            not_done(rsp, "screendump " + kernel, r"is read by this run")
            rsp.close()
        with open(kernel, "rb") as f:
            check(f.read() == whole, "the kernel was changed")


def claim_what_is_saved_replaces_other_files_only_by_force():
    with tempfile.TemporaryDirectory() as d:
        notes, code = os.path.join(d, "notes.ppm"), os.path.join(d, "code.fd")
        with open(code, "wb") as f:
            f.write(b"\0\0\0\x14")  # b .
        with open(notes, "w") as f:
            f.write("mine")
        refused(r"notes.ppm: exists", "--pflash", code, "--dumpdtb", notes)
        for options, guest, command in (((), STORE, "screendump " + notes + " vga"),
                                        (("--pflash", code), None, "save_flash 0 " + notes)):
            with Server(*options, guest=guest) as s:
                rsp = s.client()
                not_done(rsp, command, r"notes.ppm: exists")
                not_done(rsp, command + " please", r"'please' means nothing here: there is force")
                with open(notes) as f:
                    equal(f.read(), "mine")
                rsp.monitor(command + " force")
                check(os.path.getsize(notes) > 4)
                rsp.close()
            with open(notes, "w") as f:
                f.write("mine")
        status, text = run("--force", "--pflash", code, "--dumpdtb", notes)
        equal(status, 0, text)


def claim_a_recording_is_replaced_only_by_force_and_has_one_writer():
    with tempfile.TemporaryDirectory() as d:
        name, notes = os.path.join(d, "r.hcrec"), os.path.join(d, "notes")
        with open(notes, "w") as f:
            f.write("mine")
        refused(r"notes: exists", "--record", notes, STORE)
        with Server("--record", name) as s:
            refused(r"r\.hcrec: is being written to already", "--record", name, "--force", STORE)
            refused(r"r\.hcrec: is being written to already", "--serial", "file:" + name, "--force", STORE)
            rsp = s.client()
            not_done(rsp, "save " + name + " force", r"being written")
            rsp.close()
        for option in ("--record", name), ("--serial", "file:" + name):
            refused(r"r\.hcrec: is a recording, which would be lost: name another file \(to replace it: --force\)", *option, STORE)
        status, text = run("verify", name)
        equal(status, 0, text)
        with Server("--record", name, "--force"):
            pass
        with Server() as s:
            rsp = s.client()
            not_done(rsp, "save " + name, r"is a recording")
            contains(rsp.monitor("save " + name + " force"), r"opens it")
            not_done(rsp, "save " + name + " forth", r"'forth'")
            rsp.close()
        both = os.path.join(d, "both")
        refused(r"serial1: .*both: is being written", "--serial", "file:" + both, "--serial", "file:" + both, STORE)
        pipe = os.path.join(d, "pipe")
        os.mkfifo(pipe)
        for option in ("--record", pipe), ("--serial", "file:" + pipe):
            refused(r"pipe: nobody reads this pipe", *option, STORE)


def claim_a_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        refused(r"--listen: 127\.0\.0\.1:%d: already in use.*HOST:PORT" % taken.getsockname()[1], "--listen",
                "127.0.0.1:%d" % taken.getsockname()[1], "--serial", "none", STORE)


def claim_options_take_one_dash_or_two_and_may_be_shortened():
    with Server("-m", "32M", "-icount", "shift=1,sleep=off", "--no-reb", "-append", "x") as s:
        rsp = s.client()
        equal(rsp.position(), 0)
        rsp.close()


def claim_serial_goes_where_it_is_told():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "console")
        with Server("--run", serial="file:" + path) as s:
            until(lambda: shown_in(path, rb"store: ready"), "output in the file")
            check(s.alive())
    # Who listens too late, has missed something: the guest is let go once somebody does.
    with Server(serial="tcp:127.0.0.1:0,server,nowait") as s:
        where = s.wait_errors(r"serial0 listens on (\S+):(\d+)")
        with socket.create_connection((where.group(1), int(where.group(2))), timeout=patience(20)) as c:
            rsp = s.client()
            rsp.send("c")
            text = b""
            while b"audit passed" not in text:
                data = c.recv(1000)
                check(data, text)
                text += data
            rsp.close()
    with Server(serial="pty") as s:
        name = s.wait_errors(r"serial0 is (/dev/\S+)").group(1)
        fd = os.open(name, os.O_RDONLY | os.O_NOCTTY)
        rsp = s.client()
        rsp.send("c")
        text = b""
        while b"audit passed" not in text:
            check(select.select([fd], [], [], patience(20))[0], text)
            text += os.read(fd, 1000)
        os.close(fd)
        rsp.close()


def claim_a_tpm_is_an_emulator_behind_a_socket():
    tis = ("--device", "tpm-tis,tpmdev=t")
    refused(r"TPM tpm-tis0: there is no --tpmdev with id=t", *tis, STORE)
    refused(r"it needs tpmdev=ID", "--device", "tpm-tis", STORE)
    refused(r"one TPM at most", *tis, "--device", "tpm-tis,tpmdev=u", STORE)
    refused(r"--tpmdev passthrough: there is emulator", "--tpmdev", "passthrough,id=t", STORE)
    refused(r"chardev=ID is missing", "--tpmdev", "emulator,id=t", STORE)
    emulator = ("--tpmdev", "emulator,id=t,chardev=c")
    refused(r"there is no --chardev socket,id=c,path=FILE", *emulator, *tis, STORE)
    refused(r"there is no --chardev socket,id=c,path=FILE", "--chardev", "null,id=c", *emulator, *tis, STORE)
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "s")
        refused(r"cannot connect to the TPM at .*: No such file", "--chardev", "socket,id=c,path=" + path, *emulator, *tis, STORE)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            refused(r"no device has that TPM", "--chardev", "socket,id=c,path=" + path, *emulator, STORE)

            def hang_up():
                listener.accept()[0].close()

            threading.Thread(target=hang_up).start()
            refused(r"no TPM's control channel \(swtpm socket", "--chardev", "socket,id=c,path=" + path, *emulator, *tis, STORE)


def claim_a_tpm_that_has_gone_is_said_to_have_gone():
    if not shutil.which("swtpm"):
        return
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "s")
        tpm = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + d, "--ctrl", "type=unixio,path=" + path])
        atexit.register(tpm.kill)
        until(lambda: os.path.exists(path), "the TPM's socket")
        with Server("--chardev", "socket,id=c,path=" + path, "--tpmdev", "emulator,id=t,chardev=c", "--device", "tpm-tis,tpmdev=t",
                    guest=STORE) as s:
            rsp = s.client()
            for at in 3000, 1000:
                rsp.monitor("seek %d" % at)
                rsp.ask("c")
            equal(rsp.ask("M300000,1:a5"), "OK")  # begins a branch
            contains(rsp.monitor("branch live"), "is live")
            s.wait_errors("the TPM is what it was")  # nothing is asked of it any more
            tpm.kill()
            tpm.wait()
            rsp.monitor("seek 5000")
            rsp.ask("c")
            s.wait_errors("the TPM's emulator has gone: it answers nothing from here on")
            check("does not take" not in s.errors and "cannot be switched on" not in s.errors, s.errors)
            rsp.monitor("system_reset")
            check("does not take" not in s.errors and "cannot be switched on" not in s.errors, s.errors)
            rsp.close()


def claim_a_serial_port_can_be_a_named_chardev():
    with tempfile.TemporaryDirectory() as d:
        log, path = os.path.join(d, "log"), os.path.join(d, "console")
        with Server("--run", "--chardev", "file,id=c0,path=%s,logfile=%s" % (path, log), serial="chardev:c0"):
            until(lambda: shown_in(path, rb"store: ready"), "output in the file")
            until(lambda: shown_in(log, rb"store: ready"), "output in the log")
        with Server("--chardev", "socket,id=s,host=127.0.0.1,port=0,server=on,wait=off", serial="chardev:s") as s:
            where = s.wait_errors(r"s listens on (\S+):(\d+)")
            with socket.create_connection((where.group(1), int(where.group(2))), timeout=patience(20)) as c:
                rsp = s.client()
                rsp.send("c")
                text = b""
                while b"store: ready" not in text:
                    text += c.recv(1000)
                rsp.close()
        pipe = os.path.join(d, "pipe")
        for way in ".in", ".out":
            os.mkfifo(pipe + way)
        with Server("--run", "--chardev", "pipe,id=p,path=" + pipe, serial="chardev:p"):
            out = os.open(pipe + ".out", os.O_RDONLY)
            text = b""
            while b"store: ready" not in text:
                text += os.read(out, 1000)
            os.close(out)
    refused(r"--chardev colour: there are socket", "--chardev", "colour,id=x", STORE)
    refused(r"--chardev file: id=ID is missing", "--chardev", "file,path=x", STORE)
    refused(r"--chardev wait=no?: |there is no 'wiat'; did you mean wait", "--chardev", "socket,id=x,port=1,wiat=off", STORE)
    refused(r"give port=PORT", "--chardev", "socket,id=x", STORE)
    refused(r"no --chardev with id=x", "--serial", "chardev:x", STORE)
    refused(r"no port is connected", "--chardev", "null,id=x", "--serial", "none", STORE)
    refused(r"another port is connected", "--chardev", "null,id=x", "--serial", "chardev:x", "--serial", "chardev:x", STORE)


def claim_run_starts_without_a_debugger_and_gdb_may_come_later():
    with Server("--run", serial="stdio") as s:
        s.wait_output(rb"audit passed")
        out = harness.gdb(s, ["monitor when", "reverse-continue", "monitor when"])
        contains(out, r"position 0,")


def claim_without_a_debugger_the_guests_end_is_the_exit_status():
    alone = ("--run", "--listen", "none", "--serial", "none")
    leave = harness.build_guest("mov $0x15, %al; out %al, $0xf4; jmp .")
    status, text = run(*alone, leave)
    equal(status, 43, text)
    contains(text, r"debug-exit port with status 43 at position \d+")
    status, text = run(*alone, "--debug-exit", "0xf5", harness.build_guest("mov $3, %al; out %al, $0xf5; jmp ."))
    equal(status, 7, text)
    # No interrupt table: the third fault of ud2 ends a PC.
    crash = harness.build_guest("lidt none; ud2; none: .word 0; .long 0")
    status, text = run(*alone, "--no-reboot", crash)
    equal(status, 3, text)
    contains(text, r"triple-faulted")
    lacks(text, "64-bit")
    # A BIOS may start what is made for 64 bits: nobody sees that in it.
    with tempfile.TemporaryDirectory() as directory:
        rom = os.path.join(directory, "rom")
        with open(rom, "wb") as f: # lidt %cs:0xfff0, where its own bytes are; ud2 in whatever is there
            f.write(bytes(0xfff0) + b"\x2e\x0f\x01\x1e\x00\x00\x0f\x0b" + bytes(8))
        status, text = run(*alone, "--no-reboot", "--bios", rom)
        equal(status, 3, text)
        contains(text, r"triple-faulted by .* \(its CPU has no 64-bit mode; --cpu qemu64 has\) at position")
        lacks(run(*alone, "--no-reboot", "--bios", rom, "--cpu", "pentium4")[1], "64-bit")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
