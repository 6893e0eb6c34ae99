"""hindcast on a terminal: raw mode and its end, keys of its own, progress."""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import harness
import rspclient
from harness import HINDCAST, STORE, check, equal, patience


class Terminal:
    """hindcast in a terminal of its own."""

    def __init__(self, *arguments):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([HINDCAST] + list(arguments), stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, start_new_session=True)
        self.seen = b""

    def wait(self, pattern, seconds=30):
        end = time.monotonic() + patience(seconds)
        while not re.search(pattern, self.seen):
            if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                raise harness.Failed("no %r in %r" % (pattern, self.seen[-1500:]))
            self.seen += os.read(self.master, 4096)
        return re.search(pattern, self.seen)

    def type(self, data):
        os.write(self.master, data)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before


def claim_ctrl_a_x_ends_hindcast_and_the_terminal_is_as_before():
    t = Terminal("--run", "--listen", "127.0.0.1:0", STORE)
    try:
        t.wait(rb"store: ready")
        check(t.is_raw(), "not in raw mode")
        t.type(b"\x01h")
        t.wait(rb"Ctrl-a x ends hindcast")
        t.type(b"\x01x")
        equal(t.process.wait(patience(10)), 0)
        check(t.is_restored(), "terminal left in raw mode")
    finally:
        t.end()


def claim_ctrl_c_ends_hindcast_while_nothing_has_run_and_is_the_guests_afterwards():
    t = Terminal("--listen", "127.0.0.1:0", STORE)
    try:
        t.wait(rb"Ctrl-c ends.*Ctrl-a x ends hindcast.*target remote")
        t.type(b"\x03")
        equal(t.process.wait(patience(10)), 0)
        check(t.is_restored(), "terminal left in raw mode")
    finally:
        t.end()
    t = Terminal("--run", "--listen", "127.0.0.1:0", STORE)
    try:
        t.wait(rb"the guest runs \(Ctrl-a x ends hindcast\)")
        t.wait(rb"store: ready")
        t.type(b"\x03")
        time.sleep(0.3)
        check(t.process.poll() is None, "Ctrl-c ended it")
    finally:
        t.end()


def claim_a_signal_restores_the_terminal_too():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        t = Terminal("--listen", "127.0.0.1:0", STORE)
        try:
            t.wait(rb"target remote")
            t.wait(rb"127.0.0.1:\d+")
            check(t.is_raw(), "not in raw mode")
            t.process.send_signal(number)
            equal(t.process.wait(patience(10)), 0)
            check(t.is_restored(), "terminal left in raw mode")
        finally:
            t.end()


def claim_an_unusable_option_leaves_the_terminal_alone():
    t = Terminal("--serial", "stdio", "--serial", "nonsense", STORE)
    try:
        equal(t.process.wait(patience(10)), 1)
        check(t.is_restored(), "terminal left in raw mode")
    finally:
        t.end()


# Steps of a guest that are a matter of seconds where a condition is asked in every other one of them.
LONG = 200000000


def claim_going_back_for_more_than_a_second_shows_progress():
    elf = harness.build_guest("again: inc %eax; jmp again")
    t = Terminal("--serial", "none", "--listen", "127.0.0.1:0", elf)
    try:
        port = int(t.wait(rb"target remote 127\.0\.0\.1:(\d+)'").group(1))
        rsp = rspclient.connect(("127.0.0.1", port), timeout=patience(60))
        rsp.start()
        rsp.monitor("replay_break %d" % LONG)
        rsp.ask("c")
        # A condition that never holds on code that runs all the time.
        equal(rsp.ask("Z0,%x,1;X3,220027" % harness.symbol(elf, "again")), "OK")
        rsp.send("bc")
        t.wait(rb"hindcast: searching at position \d+ of \d+")
        rsp.interrupt()
        rsp.wait()
        t.wait(rb"\r\x1b\[K$")
        rsp.close()
    finally:
        t.end()


ECHO = """
        mov $0x3fb, %dx
        mov $3, %al
        out %al, %dx
again:  mov $0x3fd, %dx
1:      in %dx, %al
        test $1, %al
        jz 1b
        mov $0x3f8, %dx
        in %dx, %al
        out %al, %dx
        jmp again
"""


def claim_the_guest_reads_what_is_typed():
    elf = harness.build_guest(ECHO)
    t = Terminal("--run", "--listen", "127.0.0.1:0", elf)
    try:
        port = int(t.wait(rb"target remote 127\.0\.0\.1:(\d+)'").group(1))
        t.type(b"hello\x03\x01\x01")
        t.wait(rb"hello\x03\x01")
        rsp = rspclient.connect(("127.0.0.1", port), timeout=patience(60))
        rsp.start()
        # What was typed is history: run again it is silent, and arrives at the same positions.
        edge = rsp.position()
        state = rsp.monitor("info hash")
        check("0 recorded events" not in rsp.monitor("info replay"))
        rsp.ask("bc")
        equal(rsp.position(), 0)
        rsp.monitor("seek %d" % edge)
        rsp.ask("c")
        equal(rsp.monitor("info hash"), state)
        time.sleep(0.2)
        while select.select([t.master], [], [], 0)[0]:
            t.seen += os.read(t.master, 4096)
        equal(t.seen.count(b"hello"), 1)
        rsp.close()
    finally:
        t.end()


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
