#!/usr/bin/env python3
"""What if: a Debian kernel runs to its end once more, from a history in which one flag was another one.

    test_branches_i386.py HINDCAST

The guest boots quietly and powers itself off. Back at its first thousand instructions a byte of its command line is changed:
that makes a branch, on which the kernel talks, a script takes another way, and the end is another. What happened is then
what it was, at its end and everywhere before.

Exit status 77: the packages cannot be fetched here.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

import test_debian_i386
from test_debian_i386 import Guest, fetched, check, gdb, state_hash

HERE = os.path.dirname(os.path.abspath(__file__))
EARLY = 1000
WORDS = b"loglevel=1 way=0"
SCRIPT = """#!/bin/sh
case $(cat /proc/cmdline) in
*way=1*) echo "the other way"; echo changed >/tmp/file ;;
*) echo "the usual way" ;;
esac
sleep 1 # until the console has said so
poweroff -f
"""


def go(rsp, position):
    rsp.monitor("seek %d" % position)
    return rsp.ask("c")


def what_if(guest):
    rsp = guest.rsp
    began = time.monotonic()
    stop = rsp.ask("c")
    forward = time.monotonic() - began
    end, last = rsp.position(), state_hash(rsp)
    check("the guest powers off, quietly", b"the usual way" in guest.console and b"Linux version" not in guest.console,
          (stop, guest.console[-300:]))
    console = guest.console
    middle = end // 2
    go(rsp, middle)
    then = state_hash(rsp)
    go(rsp, EARLY)
    first = state_hash(rsp)
    place = re.search(r"address=0x(\w+)", rsp.monitor("find %s from %d to %d" % (WORDS.hex(), EARLY, EARLY)))
    check("its command line lies in memory", place, rsp.console)
    address = int(place.group(1), 16)
    for offset, value in (WORDS.index(b"1"), b"8"), (len(WORDS) - 1, b"1"):
        rsp.ask("M%x,1:%s" % (address + offset, value.hex()))
    rsp.monitor("branch whatif")
    rsp.console = ""
    began = time.monotonic()
    rsp.ask("c")
    away, text = time.monotonic() - began, rsp.console
    check("on the branch the kernel talks, and goes the other way to its own end",
          "[branch 'whatif'] " in text and "Linux version" in text and "the other way" in text and
          "powered off" in text, text[-300:])
    check("nothing of that is on the guest's console", guest.console == console, guest.console[len(console):])
    there, other = rsp.position(), state_hash(rsp)
    check("it is another end", there != end and other != last, (there, end))
    print("forward %.1f s to %d; the branch %.1f s to %d" % (forward, end, away, there), flush=True)
    same = rsp.monitor("branch diff trunk@fork whatif@fork").splitlines()
    check("at the fork nothing is different", len(same) == 1 and same[0].startswith("end=all "), same)
    lines = rsp.monitor("branch diff trunk whatif limit 200").splitlines()
    kinds = {line.split()[0] for line in lines}
    check("at their ends the difference is told", kinds >= {"kind=component", "kind=memory"} and
          re.match(r"end=\w+ from-branch=trunk from=%d to-branch=whatif to=%d" % (end, there), lines[-1]), lines[-1])
    go(rsp, there // 2)
    half = state_hash(rsp)
    go(rsp, there)
    check("the branch replays", state_hash(rsp) == other)
    go(rsp, there // 2)
    check("from everywhere", state_hash(rsp) == half)
    rsp.monitor("branch drop")
    rsp.ask("c")
    check("back at the fork", (rsp.position(), state_hash(rsp)) == (EARLY, first))
    go(rsp, middle)
    check("what happened is what it was, in the middle", state_hash(rsp) == then)
    go(rsp, end)
    check("and at its end", state_hash(rsp) == last)
    return middle, then


def registers(guest, middle, then):
    """A gdb sets a register in the middle, goes on, and leaves that."""
    guest.rsp.close()
    out = gdb(guest.port, ["monitor seek %d" % middle, "continue", "set $ecx = $ecx + 1", "monitor branch list", "stepi", "reverse-stepi",
                           "reverse-stepi", "monitor when", "monitor branch drop", "continue", "monitor seek %d" % middle, "continue", "monitor info hash"])
    check("gdb writes a register there", re.search(r"^branch=\d+ name=- parent=0 fork=%d end=%d" % (middle, middle + 1), out, re.M), out)
    check("goes back over that to before the fork", re.search(r"^position %d, " % (middle - 1), out, re.M) or
          "shared" in out, out)
    check("and leaves it without a trace", "hash %s" % then in out, out)


def main():
    program, (root, version) = sys.argv[1], fetched("i386", "linux-image-686")
    with tempfile.TemporaryDirectory() as tmp:
        initrd, script = os.path.join(tmp, "initrd.gz"), os.path.join(tmp, "script")
        with open(script, "w") as f:
            f.write(SCRIPT)
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, script], check=True)
        guest = Guest.__new__(Guest)
        guest.start([program, "--icount", "shift=0,sleep=off", "--memory", "128M", "--append", "console=ttyS0 " + WORDS.decode(),
                     "--initrd", initrd, "--kernel", "%s/boot/vmlinuz-%s" % (root, version)])
        registers(guest, *what_if(guest))
        guest.process.terminate()
        guest.process.wait()
    print("%d passed, %d failed" % (test_debian_i386.passed, test_debian_i386.failed))
    sys.exit(1 if test_debian_i386.failed else 0)


if __name__ == "__main__":
    main()
