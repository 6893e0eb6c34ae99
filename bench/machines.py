"""The three targets: how their guests are built and fetched, and how hindcast and QEMU are started on them."""

import json
import os
import re
import shutil
import socket
import subprocess
import time

from measure import HERE, TOP, BenchError, Child, attach, free_port, rspclient

GUEST = os.path.join(HERE, "guest")
# For the options that tell QEMU how to count instructions: not at all.
PLAIN = None

LOOPS = ["crc", "muldiv", "sieve", "seqmem", "stride", "pages", "apart", "scattered", "dirty", "recurse", "indirect", "fp", "simd", "atomics",
         "timer", "syscalls", "polling", "rewritten", "registers"]

# What a loop needs besides of the compiler, and a CPU that has it: QEMU's "max", the target's own of that kind.
SPECIAL = {"avx": {"cc": ["-mavx2", "-mfma"], "qemu": ["-cpu", "max"]},
           "strings": {"cc": ["-msse4.2"], "qemu": ["-cpu", "max"]}}

TARGETS = {
    "i386": {
        "loops": LOOPS + ["avx"],
        "max": "max32",
        "cc": ["gcc", "-m32", "-march=i686", "-msse", "-fcf-protection=none"],
        "cc-package": "gcc-multilib",
        "debian": "i386",
        "flavours": ["686", "686-pae"],
        "console": "ttyS0",
        "qemu": ["qemu-system-i386"],
        "qemu-debian-smp": False, # with -icount it stands still where Linux starts the other CPUs
        "qemu-bare": ["-device", "isa-debug-exit,iobase=0xf4", "-global", "apic-common.vapic=off"],
        "qemu-package": "qemu-system-x86",
    },
    "x86_64": {
        "loops": LOOPS + ["x87", "avx", "strings"],
        "max": "max",
        "cc": ["gcc", "-m64", "-mno-red-zone", "-fcf-protection=none", "-Wl,--no-warn-rwx-segments"],
        "cc-package": "gcc",
        "debian": "amd64",
        "flavours": ["cloud-amd64", "amd64"],
        "console": "ttyS0",
        "qemu": ["qemu-system-x86_64"],
        "qemu-debian-smp": False,
        "qemu-bare": ["-device", "isa-debug-exit,iobase=0xf4", "-global", "apic-common.vapic=off"],
        "qemu-package": "qemu-system-x86",
    },
    "aarch64": {
        "loops": LOOPS + ["simdint"],
        "cc": ["aarch64-linux-gnu-gcc", "-march=armv8-a", "-mno-outline-atomics", "-Wl,-z,max-page-size=4096"],
        "cc-package": "gcc-aarch64-linux-gnu",
        "debian": "arm64",
        "flavours": ["cloud-arm64", "arm64"],
        "console": "ttyAMA0",
        "qemu": ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"],
        "qemu-bare": [],
        "qemu-package": "qemu-system-arm",
        "qemu-debian-smp": True,
    },
}


def counting(icount):
    """QEMU's options to count instructions, with what `icount` adds; PLAIN: it does not."""
    return [] if icount is PLAIN else ["-icount", "shift=0" + icount]


class Target:
    """One of TARGETS, with the programs that run it."""

    def __init__(self, name, hindcast, tmp):
        self.name = name
        self.__dict__.update({key.replace("-", "_"): value for key, value in TARGETS[name].items()})
        self.hindcast = hindcast
        self.special = {} # by guest: of SPECIAL
        self.tmp = tmp
        self.has_qemu = shutil.which(self.qemu[0]) is not None
        self.rr = os.path.join(tmp, "%s.rr" % name)

    # -- guests ---------------------------------------------------------

    def build(self, work, scale):
        """The bare-metal guest that does `work`."""
        if not shutil.which(self.cc[0]):
            raise BenchError("no %s: install the package %s" % (self.cc[0], self.cc_package))
        out = os.path.join(self.tmp, "%s-%s-%d.elf" % (self.name, work, scale))
        self.special[out] = SPECIAL.get(work, {})
        if not os.path.exists(out):
            p = subprocess.run(self.cc + self.special[out].get("cc", []) + ["-O2", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-nostdlib", "-static",
                                          "-DWORK=" + work, "-DSCALE=%d" % scale, "-o", out,
                                          "-Wl,-T,%s/%s.ld,--build-id=none" % (GUEST, self.name), "-Wl,-z,noexecstack",
                                          "%s/%s.S" % (GUEST, self.name), GUEST + "/loops.c"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
            if p.returncode:
                raise BenchError("%s cannot build the guest (package %s): %s" % (
                    self.cc[0], self.cc_package, p.stdout.decode()[-300:]))
        return out

    def build_cpus(self, scale):
        """The bare-metal guest that keeps all CPUs busy, on what an example has of the board; None: there is none for the target."""
        cpus, board = os.path.join(TOP, "examples", "lost-update"), os.path.join(TOP, "examples", "stale-pointer")
        parts = {"i386": ["start.S", "pc.c"], "aarch64": ["aarch64/start.S", "aarch64/virt.c"]}.get(self.name)
        if not parts or not shutil.which(self.cc[0]):
            return None
        out = os.path.join(self.tmp, "%s-cpus-%d.elf" % (self.name, scale))
        flags = ["-mno-sse"] if self.name == "i386" else ["-mgeneral-regs-only", "-mstrict-align"]
        subprocess.run(self.cc + flags + ["-std=gnu11", "-O2", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-nostdlib", "-static",
                                          "-DSCALE=%d" % scale, "-I", cpus, "-o", out,
                                          "-Wl,-T,%s/%s/link.ld,--build-id=none" % (board, self.name), "-Wl,-z,noexecstack"] +
                       [os.path.join(cpus, part) for part in parts] + [GUEST + "/cpus.c"], check=True, timeout=60)
        self.special[out] = {}
        return out

    def symbol(self, elf, name):
        nm = self.cc[0].replace("gcc", "nm")
        out = subprocess.run([nm, elf], stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()
        return int(re.search(r"^([0-9a-f]+) \w %s$" % name, out, re.M).group(1), 16)

    def linux(self, flavour):
        """(kernel, initrd) of a Debian flavour, fetched where they are not there yet."""
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        cache = os.path.join(base, "hindcast")
        guests = os.path.join(TOP, "tests", "guests")
        if subprocess.run([guests + "/fetch-debian", self.debian, cache, "linux-image-" + flavour, "busybox-static"],
                          stdout=subprocess.DEVNULL, timeout=900).returncode:
            raise BenchError("Debian's packages for %s cannot be fetched here" % self.debian)
        root = os.path.join(cache, self.debian, "root")
        initrd = os.path.join(self.tmp, "initrd-%s.gz" % self.debian)
        if not os.path.exists(initrd):
            subprocess.run([guests + "/make-initramfs", root + "/bin/busybox", initrd], check=True, timeout=120)
        with open("%s/%s/done/linux-image-%s" % (cache, self.debian, flavour)) as done:
            version = done.read().strip()[len("linux-image-"):]
        return "%s/boot/vmlinuz-%s" % (root, version), initrd

    # -- programs ---------------------------------------------------------

    def hindcast_bare(self, elf, more=()):
        return self.hindcast + ["--memory", "128M", "--serial", "none", "--kernel", elf] + \
            (["--cpu", self.max] if self.special[elf] else []) + list(more)

    def hindcast_linux(self, guest, more=()):
        return self.hindcast + ["--memory", "256M", "--serial", "stdio", "--icount", "shift=0", "--append",
                                "console=" + self.console, "--initrd", guest[1], "--kernel", guest[0]] + list(more)

    def qemu_bare_command(self, elf, icount):
        return self.qemu + self.qemu_bare + ["-m", "128", "-kernel", elf, "-serial", "null", "-net", "none", "-display", "none"] + \
            counting(icount) + self.special[elf].get("qemu", [])

    def qemu_linux(self, guest, icount):
        return self.qemu + ["-m", "256", "-kernel", guest[0], "-initrd", guest[1], "-append", "console=" + self.console,
                            "-display", "none", "-serial", "stdio", "-net", "none"] + counting(icount)

    def recording(self, snapshot=False):
        return ",rr=record,rrfile=%s%s" % (self.rr, ",rrsnapshot=start" if snapshot else "")

    def replaying(self, snapshot=False):
        return ",rr=replay,rrfile=%s%s" % (self.rr, ",rrsnapshot=start" if snapshot else "")

    def qemu_disk(self, image, device):
        """A disk whose requests are recorded; the image stays as it is."""
        return ["-drive", "file=%s,format=raw,if=none,snapshot=on,id=image" % image,
                "-drive", "driver=blkreplay,if=none,image=image,id=replayed", "-device", device + ",drive=replayed"]

    def qemu_network(self, card):
        """A network whose packets are recorded."""
        return ["-netdev", "user,id=n0", "-device", card + ",netdev=n0", "-object", "filter-replay,id=r0,netdev=n0"]

    def snapshot_disk(self):
        """QEMU keeps the snapshot that going back needs in a disk image."""
        if not shutil.which("qemu-img"):
            raise BenchError("no qemu-img: install the package qemu-utils")
        disk = os.path.join(self.tmp, "%s.qcow2" % self.name)
        if os.path.exists(disk):
            os.unlink(disk)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "64M"], check=True, timeout=60)
        return ["-drive", "file=%s,if=none,id=snapshots" % disk]


class Debugged:
    """A program that listens for a debugger, with one connected."""

    def __init__(self, command, limit, pipes=False):
        port = free_port()
        self.start = time.monotonic()
        if command[0].startswith("qemu"):
            more = ["-S", "-gdb", "tcp:127.0.0.1:%d" % port]
        else:
            more = ["--listen", "127.0.0.1:%d" % port]
        self.child = Child(command + more, limit, pipes)
        try:
            self.rsp = attach(self.child, port, limit)
        except BaseException:
            self.child.stop()
            raise

    def go(self, packet):
        """Ask for a movement; seconds until the stop."""
        before = time.monotonic()
        try:
            reply = self.rsp.ask(packet)
        except (rspclient.RspError, OSError) as error:
            raise BenchError("%s: %s; %s" % (packet, error, self.child.why()))
        seconds = time.monotonic() - before
        if not reply.startswith("T") or packet[0] == "b" and "replaylog" in reply:
            raise BenchError("%s answered %r to %s" % (self.child.name, reply, packet))
        return seconds

    def go_to(self, position):
        qemu = self.child.name.startswith("qemu")
        self.rsp.monitor(("replay_break %d" if qemu else "seek %d") % position)
        return self.go("c")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.rsp.close()
        self.child.stop()


class Monitor:
    """QEMU's machine protocol, for the few things that are asked of it while it records."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        for _ in range(500):
            try:
                self.sock.connect(path)
                break
            except OSError:
                time.sleep(0.02)
        else:
            raise BenchError("QEMU's monitor does not answer")
        self.stream = self.sock.makefile("rw")
        self.stream.readline()
        self.ask("qmp_capabilities")

    def ask(self, command):
        self.stream.write(json.dumps({"execute": command}) + "\n")
        self.stream.flush()
        while True:
            line = self.stream.readline()
            if not line:
                raise BenchError("QEMU's monitor is gone")
            reply = json.loads(line)
            if "return" in reply or "error" in reply:
                return reply.get("return")

    def icount(self):
        return self.ask("query-replay")["icount"]

    def close(self):
        self.sock.close()
