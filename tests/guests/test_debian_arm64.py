#!/usr/bin/env python3
"""Unmodified Debian arm64 kernels, forwards and backwards.

    test_debian_arm64.py HINDCAST [--brief] [arm64|cloud-arm64 ...]

For each flavour, with GICv2 and with GICv3 (--brief: either, by turns): boot to a busybox shell on ttyAMA0,
use it, power off, go back; step and reverse-step in the running kernel; one
hash for each position; breakpoints and a watchpoint in both directions with a
real gdb; the edges of history.

Exit status 77: the packages cannot be fetched here, or there is no gdb for aarch64.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_debian_i386 as common  # noqa: E402
from test_debian_i386 import check  # noqa: E402

MACHINES = ("virt,gic-version=2", "virt,gic-version=3")


class Guest(common.Guest):
    """The same console and client; another command line."""

    def __init__(self, program, machine, kernel, initrd):
        super().__init__(program, kernel, initrd, extra=("--machine", machine, "--append", "console=ttyAMA0"))


def gdb(port, commands, seconds=900):
    """Run a gdb batch against the server and give back what it printed."""
    args = [shutil.which("gdb-multiarch") or "gdb", "-nx", "-q", "-batch", "-ex", "set pagination off",
            "-ex", "set confirm off", "-ex", "set remotetimeout 60", "-ex", "set architecture aarch64", "-ex", "target remote 127.0.0.1:%d" % port]
    for command in commands:
        args += ["-ex", command]
    result = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=seconds)
    return result.stdout.decode("utf-8", "replace")


def symbols(guest, names):
    """Addresses of kernel symbols, asked of the guest itself."""
    start = len(guest.console)
    guest.type("grep -E ' (%s)$' /proc/kallsyms; echo end-of-$((40+2))\n" % "|".join(names))
    end, _ = guest.wait_console(rb"end-of-42", start=start)
    text = guest.console[start:end].decode("latin-1")
    return {m.group(2): int(m.group(1), 16) for m in re.finditer(r"([0-9a-f]{16}) \w (\w+)\r*$", text, re.M)}


def jiffies(guest, table):
    """The address of jiffies_64: kallsyms of these kernels has no data, but round_jiffies_relative() reads it
    by ADRP and LDR."""
    code = guest.rsp.memory(table["round_jiffies_relative"], 64)
    pages = {}
    for i in range(0, len(code), 4):
        word = int.from_bytes(code[i:i + 4], "little")
        if word & 0x9f000000 == 0x90000000:
            offset = (word >> 29 & 3 | word >> 3 & 0x1ffffc) << 12
            offset -= (offset >> 32 & 1) << 33
            pages[word & 31] = ((table["round_jiffies_relative"] + i) & ~0xfff) + offset
        elif word & 0xffc00000 == 0xf9400000 and (word >> 5 & 31) in pages:
            return pages[word >> 5 & 31] + (word >> 10 & 0xfff) * 8
    return None


def boot(program, machine, kernel, initrd, name):
    guest = Guest(program, machine, kernel, initrd)
    guest.rsp.send("c")
    after, _ = guest.wait_console(rb"hindcast-guest: shell is up")
    after, _ = guest.wait_console(rb"guest# ", start=after)
    check("%s boots to a shell on ttyAMA0" % name, True)
    guest.type("echo sum-$((6*7)); uname -m\n")
    after, match = guest.wait_console(rb"sum-42\r+\n(\S+)\r", start=after)
    check("%s: commands typed there work" % name, match.group(1) == b"aarch64", match.group(1))
    table = symbols(guest, ["round_jiffies_relative", "ksys_read", "wake_up_new_task"])
    check("%s: the guest names its symbols" % name, len(table) == 3, table)
    stop = common.stop_guest(guest)
    check("%s: Ctrl-C stops the running guest" % name, stop.startswith("T"), stop)
    return guest, table


def breakpoints(guest, table, name):
    address = table["ksys_read"]
    guest.type("cat /proc/uptime\ncat /proc/uptime\n")
    guest.rsp.close()
    out = gdb(guest.port, ["break *0x%x" % address, "continue", "printf \"A %lx\\n\", $pc", "monitor when",
                           "continue", "monitor when", "continue", "monitor when",
                           "reverse-continue", "monitor when", "reverse-continue", "monitor when",
                           "delete", "stepi 3", "reverse-stepi 3", "printf \"B %lx\\n\", $pc", "monitor when"])
    positions = [int(p) for p in re.findall(r"position\D*(\d+)", out)]
    check("%s: gdb stops at a kernel function" % name, "A %x" % address in out, out[-1500:])
    check("%s: reverse-continue goes to the previous hits" % name,
          len(positions) == 6 and positions[3] == positions[1] and positions[4] == positions[0] == positions[5]
          and positions[0] < positions[1] < positions[2], positions)
    check("%s: stepi 3, reverse-stepi 3 in gdb" % name, "B %x" % address in out, out[-600:])
    guest.connect()


def watchpoints(guest, table, name):
    """A write watchpoint on a kernel variable, forwards and backwards."""
    variable = jiffies(guest, table)
    check("%s: round_jiffies_relative shows where jiffies are" % name, variable is not None)
    guest.type("sleep 1\n")
    guest.rsp.close()
    out = gdb(guest.port, ["watch *(unsigned long *)0x%x" % variable, "continue", "monitor when", "continue",
                           "monitor when", "reverse-continue", "monitor when", "reverse-continue", "monitor when"])
    pairs = [(int(a), int(b)) for a, b in re.findall(r"Old value = (\d+)\s+New value = (\d+)", out)]
    check("%s: a write watchpoint shows old and new values forwards" % name,
          len(pairs) >= 2 and all(b > a for a, b in pairs[:2]), out[-1500:])
    check("%s: and backwards" % name, len(pairs) >= 4 and all(a > b for a, b in pairs[2:4]), pairs)
    guest.connect()


def main():
    program = sys.argv[1]
    brief = "--brief" in sys.argv[2:]
    flavours = [word for word in sys.argv[2:] if word != "--brief"] or ["cloud-arm64", "arm64"]
    cache = common.cache_dir()
    code = subprocess.run([os.path.join(HERE, "fetch-debian"), "arm64", cache, "busybox-static"]
                          + ["linux-image-" + f for f in flavours]).returncode
    if code:
        sys.exit(code)
    if not shutil.which("gdb-multiarch"):
        print("no gdb-multiarch")
        sys.exit(77)
    root = os.path.join(cache, "arm64", "root")
    with tempfile.TemporaryDirectory() as tmp:
        initrd = os.path.join(tmp, "initrd.gz")
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd], check=True)
        for number, flavour in enumerate(flavours):
            version = open("%s/arm64/done/linux-image-%s" % (cache, flavour)).read().strip()[len("linux-image-"):]
            if flavour == flavours[0]:
                common.engines(program, ["-virt", "%s/boot/vmlinuz-%s" % (root, version), "400000000", initrd,
                                         "console=ttyAMA0"], flavour)
            for machine in [MACHINES[number % len(MACHINES)]] if brief else MACHINES:
                name = "%s on %s" % (flavour, machine)
                guest, table = boot(program, machine, "%s/boot/vmlinuz-%s" % (root, version), initrd, name)
                common.stepping(guest, name)
                common.seeking(guest, name)
                breakpoints(guest, table, name)
                watchpoints(guest, table, name)
                common.queries(guest, table, name)
                common.history_edges(guest, name)
                common.power_off(guest, name)
                guest.close()
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
