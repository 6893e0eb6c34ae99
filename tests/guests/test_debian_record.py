#!/usr/bin/env python3
"""Debian boots with typed-at shells, recorded to files and replayed from them.

    test_debian_record.py HINDCAST [--brief] [686|686-pae|arm64|cloud-arm64[:2|:3] ...]

A recording, taken to another directory, replays to the same console byte for byte
and the same state at its end, forwards from its beginning and by going to its end
at once; every state hash in it agrees, from its beginning and from every
checkpoint in it. The same for a recording whose images are in it and nowhere
else (--brief: the one and the other by turns). :2 and :3 are the interrupt controllers of the virt board.

Exit status 77: the packages cannot be fetched here.
"""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_debian_i386 as common  # noqa: E402
from test_debian_i386 import check  # noqa: E402
import rspclient  # noqa: E402

SHELL = [("echo hello-$((6*7))", rb"hello-42\r"), ("cat /proc/uptime; date", rb"UTC"),
         ("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; echo looped-$i", rb"looped-3000\r"),
         ("cksum /bin/busybox; dmesg | tail -n 3; echo seen-$((9*9))", rb"seen-81\r")]
DEFAULT = ("686", "686-pae", "cloud-arm64:2", "arm64:3")


class Kind:
    """A kernel and the machine that it runs on."""

    def __init__(self, name):
        self.name = name
        self.flavour, _, gic = name.partition(":")
        self.arm = "arm64" in self.flavour
        self.arch = "arm64" if self.arm else "amd64" if self.flavour == "amd64" else "i386"
        self.options = ["--machine", "virt,gic-version=" + (gic or "2"), "--append", "console=ttyAMA0"] if self.arm else []

    def kernel(self, cache):
        with open("%s/%s/done/linux-image-%s" % (cache, self.arch, self.flavour)) as f:
            version = f.read().strip()[len("linux-image-"):]
        return "%s/%s/root/boot/vmlinuz-%s" % (cache, self.arch, version)


def state(rsp):
    """Position and hashes: of the whole and of each component."""
    return rsp.position(), rsp.monitor("info hash")


def record(program, kind, kernel, initrd, options):
    """Boot, type, stop: the console, and the state at the end."""
    guest = common.Guest(program, kernel, initrd, kind.options + options)
    guest.rsp.send("c")
    after, _ = guest.wait_console(rb"guest# ")
    for line, answer in SHELL:
        for char in line + "\n":
            guest.type(char)
            time.sleep(0.002)
        after, _ = guest.wait_console(answer, start=after)
        after, _ = guest.wait_console(rb"guest# ", start=after)
    common.stop_guest(guest)
    end = state(guest.rsp)
    guest.close()
    return guest.console, end


class Replay:
    """A recording opened in some directory, its console in a file there."""

    def __init__(self, program, name, directory, *options):
        self.out = os.path.join(directory, "console")
        self.process = subprocess.Popen(
            [program, "--replay", name, "--listen", "127.0.0.1:0", "--serial", "file:" + self.out] + list(options),
            cwd=directory, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        atexit.register(self.process.kill)
        self.rsp = rspclient.connect(("127.0.0.1", common.listens_at(self.process)), seconds=60, timeout=900)
        self.rsp.start()

    def close(self):
        self.rsp.close()
        self.process.terminate()
        self.process.wait()
        with open(self.out, "rb") as f:
            return f.read()


def replays(program, name, directory, console, end, claim):
    """The same console and end, forwards from the beginning and by going to the end at once."""
    replay = Replay(program, name, directory)
    reply = replay.rsp.ask("c")
    check("%s: the replay ends where the recording ends" % claim, "replaylog:end" in reply, reply)
    check("%s: in the same state" % claim, state(replay.rsp) == end, (state(replay.rsp), end))
    again = replay.close()
    check("%s: having shown the same console, byte for byte" % claim, again == console, (len(again), len(console)))
    replay = Replay(program, name, directory)
    began = time.monotonic()
    replay.rsp.monitor("seek %d" % end[0])
    replay.rsp.ask("c")
    seconds = time.monotonic() - began
    check("%s: gone to at once, its end is the same" % claim, state(replay.rsp) == end, (state(replay.rsp), end))
    reply = replay.rsp.ask("bs")
    check("%s: one can step back from it" % claim, replay.rsp.position() < end[0] and "replaylog" not in reply, reply)
    replay.close()
    return seconds


def run(*command, cwd=None):
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=1800, cwd=cwd)
    return p.returncode, p.stdout.decode()


def by_path(program, kind, kernel, initrd, tmp):
    """Images are where they were; checkpoints are in the file."""
    name = os.path.join(tmp, "r.hcrec")
    began = time.monotonic()
    console, end = record(program, kind, kernel, initrd, ["--record", name, "--checkpoints-in-file", "every=300M" if kind.arm else "every=2G"])
    print("     %s: recorded in %.1f s" % (kind.name, time.monotonic() - began), flush=True)
    with tempfile.TemporaryDirectory() as clean:
        there = shutil.move(name, os.path.join(clean, "moved.hcrec"))
        seconds = replays(program, there, clean, console, end, kind.name)
        _, out = run(program, "info", there)
        places = re.findall(r"^ +(\d+) +[\d.]+ s +\d+ pages", out, re.M)
        print("     %s: %d steps, %d checkpoints, %d bytes; at its end after %.2f s" %
              (kind.name, end[0], len(places), os.path.getsize(there), seconds), flush=True)
        check("%s: there are checkpoints" % kind.name, len(places) > 0, out)
        began = time.monotonic()
        status, out = run(program, "verify", "--from", "checkpoints", there, cwd=clean)
        check("%s: verify passes from the start" % kind.name, status == 0 and "the whole recording replays" in out, out)
        check("%s: and from every checkpoint in the file" % kind.name,
              re.findall(r"from the checkpoint at (\d+) it replays", out) == places, out)
        print("     %s: verified in %.1f s" % (kind.name, time.monotonic() - began), flush=True)


def embedded(program, kind, kernel, initrd, tmp):
    """Nothing is left but the file."""
    images = os.path.join(tmp, "images")
    os.mkdir(images)
    copies = [shutil.copy(kernel, images), shutil.copy(initrd, images)]
    name = os.path.join(tmp, "e.hcrec")
    console, end = record(program, kind, copies[0], copies[1], ["--record", name, "--embed"])
    shutil.rmtree(images)
    with tempfile.TemporaryDirectory() as clean:
        there = shutil.move(name, os.path.join(clean, "moved.hcrec"))
        _, out = run(program, "info", there)
        steps = int(re.search(r"length +(\d+)", out).group(1))
        replays(program, there, clean, console, end, kind.name + ", embedded")
        print("     %s, embedded: %d steps, %d bytes" % (kind.name, steps, os.path.getsize(there)), flush=True)


def main():
    program = os.path.abspath(sys.argv[1])
    cache = common.cache_dir()
    brief = "--brief" in sys.argv[2:]
    kinds = [Kind(name) for name in [word for word in sys.argv[2:] if word != "--brief"] or DEFAULT]
    for arch in sorted({kind.arch for kind in kinds}):
        code = subprocess.run([os.path.join(HERE, "fetch-debian"), arch, cache, "busybox-static"] + sorted(
            {"linux-image-" + kind.flavour for kind in kinds if kind.arch == arch})).returncode
        if code:
            return code
    for number, kind in enumerate(kinds):
        with tempfile.TemporaryDirectory() as tmp:
            initrd = os.path.join(tmp, "initrd.gz")
            subprocess.run([os.path.join(HERE, "make-initramfs"), "%s/%s/root/bin/busybox" % (cache, kind.arch), initrd],
                           check=True)
            for test in (by_path, embedded)[number % 2:number % 2 + 1] if brief else (by_path, embedded):
                test(program, kind, kind.kernel(cache), initrd, tmp)
    print("%d passed, %d failed" % (common.passed, common.failed))
    return common.failed != 0


if __name__ == "__main__":
    sys.exit(main())
