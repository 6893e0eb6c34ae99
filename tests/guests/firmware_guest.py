"""What the tests of firmware guests share: a guest made of any options, and the debugger's claims about it."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_debian_arm64 as arm64  # noqa: E402
import test_debian_i386 as common  # noqa: E402
from test_debian_i386 import check  # noqa: E402,F401

state_hash = common.state_hash


class Guest(common.Guest):
    """hindcast with these options, its console, and a protocol client. The guest stands at its first instruction."""

    def __init__(self, program, *options):
        self.after = 0
        self.start([program] + list(options))

    def expect(self, pattern, text=None, seconds=600):
        """Wait until the console shows `pattern` (after what was expected before), then type `text`."""
        self.after, match = self.wait_console(pattern, seconds=seconds, start=self.after)
        if text is not None:
            self.type(text)
        return match


class Console:
    """A program on pipes, talked to in the same way."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        self.console = b""
        self.after = 0
        self.grew, self.ended = threading.Condition(), False
        threading.Thread(target=common.Guest.read_console, args=(self,), daemon=True).start()

    wait_console = common.Guest.wait_console
    expect = Guest.expect
    type = common.Guest.type

    def close(self):
        self.process.kill()
        self.process.wait()


def plain(console):
    """Console bytes as lines of text, without terminal control."""
    text = re.sub(r"\x1b\[[0-9;=?]*[A-Za-z]", "", console.decode("latin-1"))
    text = re.sub(r".\x08", "", text)
    return [line.rstrip() for line in text.replace("\r", "").split("\n")]


def kernel_and_initrd(directory):
    """Debian's cloud kernel and a busybox initramfs in `directory`; None: they cannot be had here."""
    cache = common.cache_dir()
    if subprocess.run([os.path.join(HERE, "fetch-debian"), "arm64", cache, "busybox-static",
                       "linux-image-cloud-arm64"]).returncode:
        return None
    root = os.path.join(cache, "arm64", "root")
    with open(os.path.join(cache, "arm64", "done", "linux-image-cloud-arm64")) as f:
        version = f.read().strip()[len("linux-image-"):]
    initrd = os.path.join(directory, "initrd.gz")
    subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd], check=True)
    return "%s/boot/vmlinuz-%s" % (root, version), initrd


def need(*files):
    """Leave with "skipped" if a file or gdb is missing."""
    for name in files:
        if not os.access(name, os.R_OK):
            print("no %s: skipped" % name)
            sys.exit(77)
    if not shutil.which("gdb-multiarch"):
        print("no gdb-multiarch: skipped")
        sys.exit(77)


def stop(guest, name):
    reply = common.stop_guest(guest)
    check("%s: Ctrl-C stops it" % name, reply.startswith("T"), reply)


def steps(guest, name, n=20):
    """n steps and n reverse steps: equal registers and hashes at each."""
    common.stepping(guest, name, n)


def one_state(guest, name):
    """Positions all over the history have the same hash from wherever they are reached, and so has the edge."""
    common.seeking(guest, name)


def who_wrote(guest, name, address, old, new):
    """A watchpoint and reverse-continue find the store that made the word at `address` what it is."""
    guest.rsp.close()
    out = arm64.gdb(guest.port, ["print/x *(unsigned *)0x%x" % address, "watch *(unsigned *)0x%x" % address,
                                 "reverse-continue", "monitor when", "x/i $pc", "print/x *(unsigned *)0x%x" % address,
                                 "stepi", "print/x *(unsigned *)0x%x" % address])
    values = [int(v, 16) for v in re.findall(r"\$\d+ = (0x[0-9a-f]+)", out)]
    check("%s: going back, a watchpoint finds who wrote a word" % name,
          values == [new, old, new] and re.search(r"=> 0x[0-9a-f]+:\s+st", out), out[-1200:])
    guest.connect()


def live_again(guest, name, command, answer):
    """From the past, forward over the edge: the guest goes on and hears what is typed."""
    rsp = guest.rsp
    rsp.send("c")
    guest.type(command)
    guest.expect(answer)
    check("%s: forward past the edge the guest is live again" % name, True)


def switched_off(guest, name, command):
    """The guest's own end is a stop, which can be left backwards."""
    rsp = guest.rsp
    guest.type(command)
    reply = rsp.wait()
    check("%s: power-off is a stop" % name, reply[:1] in "TS", reply)
    end = rsp.position()
    rsp.ask("bs")
    check("%s: one can go back from the guest's end" % name, rsp.position() < end, rsp.position())
    rsp.ask("c")
    check("%s: and to it again" % name, rsp.position() == end, rsp.position())


def finish():
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)
