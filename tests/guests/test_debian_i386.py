#!/usr/bin/env python3
"""Unmodified Debian kernels, forwards and backwards.

    test_debian_i386.py HINDCAST [686|686-pae ...]

For each flavour: boot to a busybox shell, use it, power off, go back; step and
reverse-step in the running kernel; breakpoints and watchpoints in both
directions with a real gdb; equal hashes on every way to a position.

Exit status 77: the packages cannot be fetched here.
"""

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import rspclient  # noqa: E402

# Who ends a test lets it end what it has started.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))

ARCHITECTURE = "i386"  # as gdb calls it
passed = 0
failed = 0


def check(claim, true, detail=""):
    """Count and print one claim."""
    global passed, failed
    if true:
        passed += 1
        print("ok   - %s" % claim, flush=True)
    else:
        failed += 1
        print("FAIL - %s %s" % (claim, detail), flush=True)


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "hindcast")


def fetched(arch, kernel):
    """The root of Debian's packages with busybox and that kernel, and the kernel's version. Ends with 77 where there are none."""
    cache = cache_dir()
    here = os.path.dirname(os.path.abspath(__file__))
    code = subprocess.run([os.path.join(here, "fetch-debian"), arch, cache, "busybox-static", kernel]).returncode
    if code:
        sys.exit(code)
    with open("%s/%s/done/%s" % (cache, arch, kernel)) as f:
        return os.path.join(cache, arch, "root"), f.read().strip()[len("linux-image-"):]


def listens_at(process):
    """The port that hindcast says it listens at. What else it says goes to our own stderr."""
    while True:
        line = process.stderr.readline().decode("utf-8", "replace")
        if not line:
            raise RuntimeError("hindcast ended with status %r" % process.wait())
        match = re.search(r"target remote \S*:(\d+)'", line)
        if match:
            threading.Thread(target=shutil.copyfileobj, args=(process.stderr, sys.stderr.buffer), daemon=True).start()
            return int(match.group(1))
        sys.stderr.write(line)


class Guest:
    """hindcast with a Debian kernel, its console, and a protocol client."""

    ended = False  # nothing more comes

    def __init__(self, program, kernel, initrd, extra=()):
        self.start([program, "--icount", "shift=0,sleep=off", "--memory", "256M", "--append", "console=ttyS0",
                    "--initrd", initrd, "--kernel", kernel] + list(extra))

    def start(self, command):
        self.process = subprocess.Popen(command + ["--listen", "127.0.0.1:0", "--serial", "stdio"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        atexit.register(self.process.kill)
        self.console = b""
        self.grew = threading.Condition()
        self.reader = threading.Thread(target=self.read_console, daemon=True)
        self.reader.start()
        self.port = listens_at(self.process)
        self.rsp = None
        self.connect()

    def connect(self):
        self.rsp = rspclient.connect(("127.0.0.1", self.port), seconds=60, timeout=900)
        self.rsp.start()

    def read_console(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                with self.grew:
                    self.ended = True
                    self.grew.notify_all()
                return
            with self.grew:
                self.console += data
                self.grew.notify_all()

    def wait_console(self, pattern, seconds=900, start=0):
        """Position in the console after the first match of `pattern`."""
        end = time.monotonic() + seconds
        with self.grew:
            while True:
                match = re.search(pattern, self.console[start:])
                if match:
                    return start + match.end(), match
                if self.ended or not self.grew.wait(max(0, end - time.monotonic())):
                    raise RuntimeError("console did not show %r; it ends with %r" % (pattern, self.console[-600:]))

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def close(self):
        """End it; all that it showed is in `console` then."""
        self.rsp.close()
        self.process.terminate()
        self.process.wait()
        self.reader.join(60)


def state_hash(rsp):
    """The whole machine's hash, from the monitor."""
    match = re.search(r"hash\D*([0-9a-f]{16})", rsp.monitor("info hash"))
    return match.group(1) if match else rsp.console


def gdb(port, commands, seconds=900):
    """Run a gdb batch against the server and give back what it printed."""
    program = shutil.which("gdb-multiarch") or shutil.which("gdb")
    args = [program, "-nx", "-q", "-batch", "-ex", "set pagination off", "-ex", "set confirm off",
            "-ex", "set remotetimeout 60", "-ex", "set architecture " + ARCHITECTURE, "-ex", "target remote 127.0.0.1:%d" % port]
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
    return {m.group(2): int(m.group(1), 16) for m in re.finditer(r"([0-9a-f]{8,16}) \w (\w+)\r*$", text, re.M)}


def stop_guest(guest):
    guest.rsp.interrupt()
    return guest.rsp.wait()


def boot(program, kernel, initrd, flavour, extra=(), names=("get_jiffies_64", "do_sys_openat2", "ksys_read", "kernel_clone", "wake_up_new_task"),
         release=None):
    """Up to the shell: the guest, and addresses of kernel functions. `release`: part of what `uname -r` says."""
    guest = Guest(program, kernel, initrd, extra)
    guest.rsp.send("c")
    after, _ = guest.wait_console(rb"hindcast-guest: shell is up")
    after, _ = guest.wait_console(rb"guest# ", start=after)
    check("%s boots to a shell on ttyS0" % flavour, True)
    guest.type("echo sum-$((6*7)); uname -r\n")
    after, match = guest.wait_console(rb"sum-42\r+\n(\S+)\r", start=after)
    check("%s: commands typed there work" % flavour, (release or flavour).encode() in match.group(1), match.group(1))
    table = symbols(guest, names)
    check("%s: the guest names its symbols" % flavour, len(table) == len(names), table)
    stop = stop_guest(guest)
    check("%s: Ctrl-C stops the running guest" % flavour, stop.startswith("T"), stop)
    return guest, table


def stepping(guest, flavour, n=40):
    """stepi xN, reverse-stepi xN: the same registers and the same hash at every step."""
    rsp = guest.rsp
    rsp.ask("s") # (what stopped the guest may have done so within a repeated string instruction: `bs` would go to its beginning)
    trail = []
    for _ in range(n):
        trail.append((rsp.position(), rsp.registers(), state_hash(rsp)))
        rsp.ask("s")
    bad = []
    for expected in reversed(trail):
        rsp.ask("bs")
        now = (rsp.position(), rsp.registers(), state_hash(rsp))
        if now != expected:
            bad.append((expected[0], now[0]))
    check("%s: %d steps and %d reverse steps return to equal states" % (flavour, n, n), not bad, bad)


def seeking(guest, flavour):
    """A position reached from different checkpoints and by single steps has one hash."""
    rsp = guest.rsp
    here = rsp.position()
    want = state_hash(rsp)
    places = [here // 7, here // 2, here - 1000003]
    hashes = {}
    for place in places:
        rsp.monitor("seek %d" % place)
        rsp.ask("bc")
        check("%s: seek arrives at %d" % (flavour, place), rsp.position() == place, rsp.position())
        hashes[place] = state_hash(rsp)
    for place in reversed(places):
        rsp.monitor("seek %d" % place)
        rsp.ask("c")
        if rsp.position() != place:
            rsp.monitor("seek %d" % place)
            rsp.ask("bc")
        check("%s: position %d has one state" % (flavour, place), state_hash(rsp) == hashes[place])
    rsp.monitor("seek %d" % here)
    rsp.ask("c")
    check("%s: back at the edge with the same state" % flavour,
          rsp.position() == here and state_hash(rsp) == want, rsp.position())


def back_and_forth(guest, name):
    """To the middle of history and to where it stands again."""
    edge, there = guest.rsp.position(), state_hash(guest.rsp)
    guest.rsp.monitor("seek %d" % (edge // 2))
    guest.rsp.ask("c")
    guest.rsp.monitor("seek %d" % edge)
    guest.rsp.ask("c")
    check("%s: the same state on the way back" % name, state_hash(guest.rsp) == there)


def breakpoints(guest, table, flavour):
    """With gdb: stop in the kernel, go back to the hit before, forward again."""
    address = table["ksys_read"]
    guest.type("cat /proc/version; cat /proc/uptime; cat /proc/version\n")
    guest.rsp.close()
    out = gdb(guest.port, ["break *0x%x" % address, "continue", "printf \"A %lx\\n\", $pc", "monitor when",
                           "continue", "monitor when", "continue", "monitor when",
                           "reverse-continue", "monitor when", "reverse-continue", "monitor when",
                           "delete", "stepi 3", "reverse-stepi 3", "printf \"B %lx\\n\", $pc", "monitor when"])
    positions = [int(p) for p in re.findall(r"position\D*(\d+)", out)]
    check("%s: gdb stops at a kernel function" % flavour, "A %x" % address in out, out[-1500:])
    check("%s: reverse-continue goes to the previous hits" % flavour,
          len(positions) == 6 and positions[3] == positions[1] and positions[4] == positions[0] == positions[5]
          and positions[0] < positions[1] < positions[2], positions)
    check("%s: stepi 3, reverse-stepi 3 in gdb" % flavour, "B %x" % address in out, out[-600:])
    guest.connect()


def jiffies(guest, table):
    """The address of jiffies_64: kallsyms of these kernels has no data, but get_jiffies_64() reads
    its two halves by absolute address."""
    code = guest.rsp.memory(table["get_jiffies_64"], 96)
    loads = {int.from_bytes(m.group(1), "little") for m in re.finditer(
        rb"(?:\xa1|\x8b[\x05\x0d\x15\x1d\x25\x2d\x35\x3d])(....)", code, re.S)}
    return next((a for a in sorted(loads) if a + 4 in loads), None)


def watchpoints(guest, table, flavour):
    """A write watchpoint on a kernel variable, forwards and backwards."""
    variable = jiffies(guest, table)
    check("%s: get_jiffies_64 shows where jiffies are" % flavour, variable is not None)
    guest.type("sleep 1\n")
    reach(guest.rsp, variable)
    guest.rsp.close()
    out = gdb(guest.port, ["watch *(unsigned *)0x%x" % variable, "continue", "monitor when", "continue", "monitor when",
                           "reverse-continue", "monitor when", "reverse-continue", "monitor when",
                           "printf \"V %%u\\n\", *(unsigned *)0x%x" % variable])
    pairs = [(int(a), int(b)) for a, b in re.findall(r"Old value = (\d+)\s+New value = (\d+)", out)]
    check("%s: a write watchpoint shows old and new values forwards" % flavour,
          len(pairs) >= 2 and all(b == a + 1 for a, b in pairs[:2]), out[-1500:])
    check("%s: and backwards" % flavour, len(pairs) >= 4 and all(a == b + 1 for a, b in pairs[2:4]), pairs)
    guest.connect()


def ask(rsp, query):
    """Answers to a query, and what its last line says."""
    lines = [json.loads(line) for line in rsp.monitor(query + " --json").splitlines()]
    return lines[:-1], lines[-1]


def is_rising(numbers):
    return all(a < b for a, b in zip(numbers, numbers[1:]))


def reach(rsp, address):
    """Step to where `address` is mapped: not where the page tables of a process are without the kernel's data."""
    for _ in range(1000):
        if rsp.ask("m%x,4" % address)[:1] != "E":
            break
        rsp.ask("s")


def find_what_was_left(writes):
    """Does each write find the bytes that those before it left? (What is copied by REP MOVSB is written byte by byte.)"""
    left = {}
    for w in writes:
        at, length = int(w["address"], 16), w["length"]
        old, new = (int(w[key], 16).to_bytes(length, "little") for key in ("old", "new"))
        if any(left.get(at + i, old[i]) != old[i] for i in range(length)):
            return False
        left.update({at + i: new[i] for i in range(length)})
    return True


def queries(guest, table, flavour, words=""):
    """All tasks that were ever made, by the calls that started them, and all writers of the state of one of them."""
    rsp = guest.rsp
    function = table["wake_up_new_task"]
    reach(rsp, function)
    here = rsp.position()
    began = time.monotonic()
    calls, end = ask(rsp, "calls 0x%x%s to %d" % (function, words, here))
    calls_seconds = time.monotonic() - began
    at = [call["position"] for call in calls]
    check("%s: all calls of a kernel function, in order" % flavour, end["end"] == "all" and len(calls) > 20 and is_rising(at), end)
    check("%s: each of them returns" % flavour,
          all(call["returned"] != "no" and call["returned"] > call["position"] for call in calls), calls)
    rsp.ask("Z0,%x,4" % function)
    found = []
    for _ in range(8):
        rsp.ask("bc")
        found.insert(0, rsp.position())
    rsp.ask("z0,%x,4" % function)
    check("%s: the last of them are where reverse-continue stops" % flavour, found == at[-8:], (found, at[-8:]))
    call = calls[-1]
    task = int(call["arg0"], 16)
    writes, _ = ask(rsp, "writes 0x%x 96 from %d to %d" % (task, call["position"], call["returned"]))
    # Its first act is to make the task runnable: __state = 0.
    state = next((int(w["address"], 16) for w in writes if w["length"] == 4 and int(w["new"], 16) == 0), None)
    check("%s: a call's writes show where a task's state is" % flavour, state is not None, writes)
    began = time.monotonic()
    writes, end = ask(rsp, "writes 0x%x 4" % state)
    seconds = time.monotonic() - began
    check("%s: all writers of a task's state" % flavour,
          end["end"] == "all" and len(writes) > 2 and is_rising([w["position"] for w in writes]), end)
    check("%s: each finds what the one before it left" % flavour,
          writes[0]["old"] == "0x0" and find_what_was_left(writes), writes)
    newest, _ = ask(rsp, "writes 0x%x 4 newest first limit 5" % state)
    check("%s: newest first is the same the other way round" % flavour, newest == writes[-1:-6:-1], newest)
    rsp.ask("Z2,%x,4" % state)
    rsp.monitor("seek end")
    rsp.ask("c")
    rsp.ask("bc")
    rsp.ask("z2,%x,4" % state)
    check("%s: the last is where reverse-continue stops" % flavour, rsp.position() - writes[-1]["position"] in (0, 1),
          (rsp.position(), writes[-1]))
    print("       %s: %d calls in %.1f s, %d writers in %.1f s; %s" % (flavour, len(calls), calls_seconds, len(writes), seconds,
          re.search(r"processor time running [0-9.]+ s", rsp.monitor("info replay")).group(0)), flush=True)


def history_edges(guest, flavour):
    rsp = guest.rsp
    reply = rsp.ask("bc")
    check("%s: the start of history is reported" % flavour, "replaylog:begin" in reply and rsp.position() == 0, reply)
    start = len(guest.console)
    rsp.send("c")
    guest.type("echo forward-$((50+5))\n")
    guest.wait_console(rb"forward-55", start=start)
    check("%s: forward past the edge the guest is live again" % flavour, True)
    check("%s: re-run history is silent" % flavour, guest.console.count(b"Linux version") <= 4)


def sleeping(guest, flavour):
    """The guest, which runs, suspends to RAM and is woken; history goes across the sleep."""
    rsp, start = guest.rsp, len(guest.console)
    guest.type("echo N >/sys/module/printk/parameters/console_suspend; echo mem >/sys/power/state && echo awake-$((60+6))\n")
    guest.wait_console(rb"Preparing to enter system sleep state S3", start=start)
    stop_guest(guest)
    for _ in range(100):
        if "suspended" in rsp.monitor("info cpus"):
            break
        rsp.send("c")
        time.sleep(0.1)
        stop_guest(guest)
    asleep = rsp.position(), state_hash(rsp)
    check("%s: it suspends to RAM" % flavour, "suspended" in rsp.monitor("info cpus"), rsp.monitor("info cpus"))
    rsp.monitor("system_wakeup")
    rsp.send("c")
    guest.wait_console(rb"Waking up from system sleep state S3", start=start)
    guest.wait_console(rb"awake-66", start=start)
    check("%s: and is woken" % flavour, True)
    stop_guest(guest)
    awake = rsp.position(), state_hash(rsp)
    rsp.monitor("seek %d" % asleep[0])
    rsp.ask("bc")
    check("%s: back to where it slept" % flavour, (rsp.position(), state_hash(rsp)) == asleep, rsp.position())
    rsp.ask("bs")
    check("%s: and to before it did" % flavour, "running" in rsp.monitor("info cpus"), rsp.monitor("info cpus"))
    rsp.monitor("seek %d" % awake[0])
    rsp.ask("c")
    check("%s: across the sleep to the same state" % flavour, (rsp.position(), state_hash(rsp)) == awake, rsp.position())
    rsp.send("c")


def power_off(guest, flavour):
    rsp = guest.rsp
    guest.type("poweroff -f\n")
    reply = rsp.wait()
    check("%s: poweroff is a stop" % flavour, reply[:1] in "TS", reply)
    end = rsp.position()
    rsp.ask("bs")
    check("%s: one can go back from the guest's end" % flavour, rsp.position() < end, rsp.position())
    rsp.ask("c")
    check("%s: and to it again" % flavour, rsp.position() == end, rsp.position())


def engines(program, args, name):
    """The boot has the same states whatever the engine that runs it."""
    tool = os.path.join(os.path.dirname(program), "tests", "whole", "engines")
    if not os.access(tool, os.X_OK):
        # "make check TESTS=" builds it.
        check("%s: there are engines to compare" % name, False, "no %s" % tool)
        return
    result = subprocess.run([tool] + args, stdout=subprocess.PIPE)
    check("%s: every engine goes through the same states" % name, result.returncode == 0, result.stdout.decode())


def main():
    program = sys.argv[1]
    flavours = sys.argv[2:] or ["686", "686-pae"]
    cache = cache_dir()
    code = subprocess.run([os.path.join(HERE, "fetch-debian"), "i386", cache, "busybox-static"]
                          + ["linux-image-" + f for f in flavours]).returncode
    if code:
        sys.exit(code)
    root = os.path.join(cache, "i386", "root")
    with tempfile.TemporaryDirectory() as tmp:
        initrd = os.path.join(tmp, "initrd.gz")
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd], check=True)
        for flavour in flavours:
            version = open("%s/i386/done/linux-image-%s" % (cache, flavour)).read().strip()[len("linux-image-"):]
            kernel = "%s/boot/vmlinuz-%s" % (root, version)
            if flavour == flavours[0]:
                engines(program, [kernel, "400000000", initrd, "console=ttyS0"], flavour)
                # Further on, where the kernel is unpacked and running.
                engines(program, ["-only:jit", kernel, "4000000000", initrd, "console=ttyS0"], flavour + ", the JIT")
            guest, table = boot(program, kernel, initrd, flavour)
            stepping(guest, flavour)
            seeking(guest, flavour)
            breakpoints(guest, table, flavour)
            watchpoints(guest, table, flavour)
            queries(guest, table, flavour, " regparm")
            history_edges(guest, flavour)
            sleeping(guest, flavour)
            power_off(guest, flavour)
            guest.close()
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
