"""What all parts of the benchmark share: children that never stay behind, figures
of several rounds, and the table that they end in."""

import atexit
import ctypes
import json
import mmap
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TOP, "tests"))
import rspclient  # noqa: E402

PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """A measurement could not be made; the text says why."""


def say(text):
    print(text, flush=True)


def have_memory_backed(mib):
    """Touch so much memory, and give it back: a virtual machine's host has backed it then, whoever is given it next."""
    with mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, mib << 20, 4096):
            memory[at] = 1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# -- children ---------------------------------------------------------------

living = set()


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A program under a time limit. When that is over it is killed, and whoever waits for it is told."""

    def __init__(self, command, limit, pipes=False):
        pipe = subprocess.PIPE if pipes else subprocess.DEVNULL
        self.name = os.path.basename(command[0])
        self.errors = tempfile.TemporaryFile()
        self.limit = limit
        self.late = False
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.errors, preexec_fn=die_with_parent)
        living.add(self)
        self.watchdog = threading.Timer(limit, self.too_late)
        self.watchdog.daemon = True
        self.watchdog.start()

    def too_late(self):
        self.late = True
        self.process.kill()

    def cpu(self):
        """CPU seconds of all its threads so far (the clock that clock_getcpuclockid(3) names)."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def wait(self):
        """Wait for its end; its CPU seconds in all."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.forget()
        if self.late:
            raise BenchError(self.why())
        return usage.ru_utime + usage.ru_stime

    def stop(self):
        if self not in living:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.forget()

    def forget(self):
        self.watchdog.cancel()
        living.discard(self)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass

    def why(self):
        """What is known about its not doing what was wanted."""
        if self.late:
            return "%s was killed after %d s" % (self.name, self.limit)
        self.errors.seek(0)
        return "%s said: %s" % (self.name, self.errors.read()[-300:].decode("utf-8", "replace").strip() or "nothing")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@atexit.register
def stop_all():
    for child in list(living):
        child.process.kill()
        child.process.wait()


def finish_on_signals():
    """SIGTERM and SIGHUP end the benchmark by way of its clean-up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("ended by a signal"))


def attach(child, port, timeout=300):
    """A protocol client for a child that listens, or will in a moment."""
    end = time.monotonic() + 20
    while True:
        if child.process.poll() is not None:
            raise BenchError(child.why())
        try:
            rsp = rspclient.RspClient(("127.0.0.1", port), timeout)
            break
        except OSError:
            if time.monotonic() > end:
                raise BenchError("%s does not listen" % child.name)
            time.sleep(0.01)
    rsp.start()
    return rsp


class Console:
    """The guest's serial console on a child's pipes."""

    def __init__(self, child):
        self.child = child
        self.seen = b""

    def wait(self, pattern):
        """Read until `pattern` has come; what matched, and all before it is dropped."""
        while not re.search(pattern, self.seen):
            data = os.read(self.child.process.stdout.fileno(), 65536)
            if not data:
                raise BenchError("%s; the console ends with %r" % (self.child.why(), self.seen[-200:]))
            self.seen += data
        match = re.search(pattern, self.seen)
        self.seen = self.seen[match.end():]
        return match

    def type(self, text):
        self.type_unfinished(text)
        self.write(b"\n")

    def type_unfinished(self, text):
        """Each character is typed when the one before it was echoed, so that no UART need keep two."""
        for char in text.encode():
            self.write(bytes([char]))
            self.seen = os.read(self.child.process.stdout.fileno(), 65536)

    def write(self, data):
        try:
            self.child.process.stdin.write(data)
            self.child.process.stdin.flush()
        except BrokenPipeError:
            raise BenchError(self.child.why())


# -- figures ------------------------------------------------------------------


def spread(values, form="%.3g"):
    """The median, and the least and greatest where there are several."""
    if not values:
        return "-"
    text = form % statistics.median(values)
    return text if len(values) == 1 else "%s (%s-%s)" % (text, form % min(values), form % max(values))


class Table:
    """Rows of hindcast's figures and QEMU's for the same work (smaller is better), recording and plain, a value for each
    round; and what is required."""

    def __init__(self):
        self.rows = []
        self.required = []
        self.notes = []

    @staticmethod
    def ratios(unit, ours, theirs):
        """That of each round's pair; where numbers of rounds differ, that of the medians."""
        if unit == "%" or not ours or not theirs or statistics.median(ours) <= 0:
            return []
        if len(ours) == len(theirs) and min(ours) > 0:
            return [t / o for o, t in zip(ours, theirs)]
        return [statistics.median(theirs) / statistics.median(ours)]

    def add(self, name, unit, ours, theirs=(), note="", plain=()):
        """`theirs`: of QEMU's record/replay; `plain`: of QEMU that neither records nor counts instructions."""
        ours, theirs, plain = list(ours), list(theirs), list(plain)
        ratios, plain_ratios = self.ratios(unit, ours, theirs), self.ratios(unit, ours, plain)
        self.rows.append({"name": name, "unit": unit, "hindcast": ours, "qemu": theirs, "ratios": ratios, "plain": plain,
                          "plain_ratios": plain_ratios, "note": note})
        say("%-42s hindcast %-24s qemu %-24s %-3s ratio %s%s%s" % (
            name, spread(ours), spread(theirs), unit, spread(ratios, "%.2f"),
            ", to plain %s" % spread(plain_ratios, "%.2f") if plain else "", "  [%s]" % note if note else ""))

    def require(self, name, value, limit, unit):
        """`value` must stay below `limit`."""
        self.required.append({"name": name, "value": value, "limit": limit, "unit": unit, "pass": value < limit})
        say("%-42s %s: %.3g %s, must be below %g" % (name, "PASS" if value < limit else "FAIL", value, unit, limit))

    def note(self, text):
        """Something that was not measured, and why."""
        self.notes.append(text)
        say("not measured: " + text)

    def markdown(self):
        lines = ["| what | hindcast | QEMU, recording | QEMU, plain | | ratio | to plain |", "|---|---|---|---|---|---|---|"]
        for r in self.rows:
            lines.append("| %s%s | %s | %s | %s | %s | %s | %s |" % (
                r["name"], " (%s)" % r["note"] if r["note"] else "", spread(r["hindcast"]), spread(r["qemu"]), spread(r["plain"]),
                r["unit"], *("%.2f" % statistics.median(x) if x else "-" for x in (r["ratios"], r["plain_ratios"]))))
        if self.required:
            lines += ["", "| required | measured | limit | |", "|---|---|---|---|"]
        for r in self.required:
            lines.append("| %s | %.3g %s | %g %s | %s |" % (r["name"], r["value"], r["unit"], r["limit"], r["unit"],
                                                           "pass" if r["pass"] else "FAIL"))
        lines += [""] * bool(self.notes) + ["- not measured: " + note for note in self.notes]
        return "\n".join(lines)

    def save(self, name):
        with open(name, "w") as out:
            json.dump({"rows": self.rows, "required": self.required, "notes": self.notes}, out, indent=2)
