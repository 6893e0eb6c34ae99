"""What the end-to-end tests share: a server, a real gdb, a raw client, and a
list of claims. A test file is a program: it runs every function whose name
begins with claim_, says which held, and exits with 0, 1, or 77 (skipped)."""

import atexit
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import rspclient  # noqa: E402

# Who ends a test lets it end what it has started.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))

BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
SOURCE = os.path.abspath(os.environ.get("top_srcdir", os.path.join(HERE, "..", "..")))
HINDCAST = os.path.join(BUILD, "hindcast")
STALE = os.path.join(BUILD, "examples", "stale-pointer")
STORE = os.path.join(STALE, "i386", "store.elf")
STORE_SOURCE = os.path.join(SOURCE, "examples", "stale-pointer", "store.c")


def sanitized():
    try:
        with open(os.path.join(BUILD, "config.status")) as f:
            return "-fsanitize=" in f.read()
    except OSError:
        return False


# What "soon" is stretched by where everything is slower.
SLOW = 5 if sanitized() else 1


def patience(seconds):
    """How long to wait for what must come, before that is called a hang: the host may be busy with other
    things, and nobody waits unless something is wrong."""
    return seconds * SLOW * 3


def lldb():
    """An lldb (Debian's packages of a version take away the one without), or None."""
    return next(filter(None, map(shutil.which, ("lldb", "lldb-19", "lldb-20"))), None)


class Failed(Exception):
    """A claim does not hold."""


def check(condition, *what):
    if not condition:
        raise Failed(" ".join(str(w) for w in what) or "condition is false")


def equal(got, wanted, what=""):
    if got != wanted:
        raise Failed("%s: got %r, wanted %r" % (what or "values differ", got, wanted))


def ends(text, first=2000, last=6000):
    """A text that is not too long for a log: its beginning and its end."""
    return text if len(text) <= first + last else "%s\n[...]\n%s" % (text[:first], text[-last:])


def contains(text, pattern):
    match = re.search(pattern, text, re.M)
    if not match:
        raise Failed("no %r in:\n%s" % (pattern, ends(text)))
    return match


def lacks(text, pattern):
    if re.search(pattern, text, re.M):
        raise Failed("%r in:\n%s" % (pattern, ends(text)))


def line_of(text, source=STORE_SOURCE):
    """Number of the first line that holds `text`."""
    with open(source) as f:
        for number, line in enumerate(f, 1):
            if text in line:
                return number
    raise Failed("no %r in %s" % (text, source))


class Target:
    """A kind of guest, and what a gdb for it is called."""

    def __init__(self, name, gdbs, **words):
        self.name = name
        self.gdbs = gdbs
        self.words = words  # what tests have to call differently
        self.store = os.path.join(STALE, name, "store.elf")

    def gdb(self):
        for name in (os.environ.get("GDB"),) + self.gdbs:
            if name and shutil.which(name):
                return shutil.which(name)
        return None

    def missing(self):
        """Why its tests cannot be made here, or None."""
        if not os.path.exists(HINDCAST) or not os.path.exists(self.store):
            return "no hindcast or no example guest in %s" % BUILD
        return None if self.gdb() else "no gdb for %s" % self.name


# What gdb says at either end of history: up to 15, and from 16 on.
NO_HISTORY = r"(?:No more reverse-execution history|Reached end of recorded history; stopping)"

I386 = Target("i386", ("gdb", "gdb-multiarch"), pc="eip", spare="ecx", vectors=("$xmm0", "$st0"), text=0x100000)
AARCH64 = Target("aarch64", ("gdb-multiarch",), pc="pc", spare="x9", vectors=("$v0", "$fpsr"), text=0x40100000)

# What the claims are made about: a target, and whether its guest is live or comes out of a recording
# ("live", "replay", or "checkpoints": a recording with checkpoints in it).
target, mode = I386, "live"
recordings = {}

# A Server's guest, if the claim does not name one.
THE_GUEST = object()


def recorded(guest):
    """The whole history of a guest as a file; it says PANIC or END on its console at the end."""
    name = recordings.get((guest, mode))
    if name:
        return name
    directory = tempfile.mkdtemp(prefix="hindcast-recorded-")
    atexit.register(shutil.rmtree, directory, True)
    more = ["--checkpoints-in-file", "every=3M"] if mode == "checkpoints" else []
    name = record_until(directory, rb"PANIC|END", "--icount", "sleep=off", *more, guest)
    recordings[guest, mode] = name
    return name


def until(condition, what, seconds=60):
    """Wait until condition() holds; gives back what it gives."""
    end = time.monotonic() + patience(seconds)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failed("waited in vain for %s" % what)
        time.sleep(0.02)


def shown_in(path, pattern):
    """Has the file of a console this in it?"""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as f:
        return re.search(pattern, f.read())


def texts_of_png(data):
    """What its text chunks say, by key."""
    texts, at = {}, 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"tEXt":
            key, text = data[at + 8:at + 8 + size].split(b"\0")
            texts[key.decode()] = text.decode("latin-1")
        at += 12 + size
    return texts


def end_process(process, kill=False):
    """End a hindcast that was started by hand."""
    if process.poll() is None:
        process.kill() if kill else process.terminate()
    try:
        process.wait(patience(20))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Failed("hindcast did not end when asked to")


# Recordings are made up to what the guest says, or up to a position: by the clock they would be as long as the
# host is fast.

def record_until(directory, pattern, *options, kill=False):
    """r.hcrec in `directory`: what happens, without a debugger, until the console (a file there: out) shows
    `pattern`, and a little more."""
    name, out = os.path.join(directory, "r.hcrec"), os.path.join(directory, "out")
    process = subprocess.Popen([HINDCAST, "--run", "--listen", "none", "--serial", "file:" + out, "--record", name, *options],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(lambda: process.poll() is not None or shown_in(out, pattern), "%r on the console" % pattern)
        if not shown_in(out, pattern):
            raise Failed("hindcast ended: " + process.stderr.read().decode("utf-8", "replace"))
    except Failed:
        process.kill()
        raise
    finally:
        end_process(process, kill)
        process.stderr.close()
    return name


def record_to(directory, positions, *options, kill=False):
    """r.hcrec in `directory`: what happens up to the last of some positions, with a checkpoint at each of them."""
    name = os.path.join(directory, "r.hcrec")
    with Server("--record", name, *options, guest=None) as s:
        rsp = s.client()
        for position in positions:
            rsp.monitor("replay_break %d" % position)
            reply = rsp.ask("c")
            equal(rsp.position(), position, "the guest runs up to there (%s)" % reply)
            rsp.monitor("replay_delete_break")
            rsp.monitor("checkpoint")
        if kill:
            s.process.kill()
            s.process.wait()
    return name


class Server:
    """A hindcast that listens. Its address is taken from what it says at start."""

    def __init__(self, *arguments, listen="127.0.0.1:0", guest=THE_GUEST, either=None, serial="none",
                 stdin=subprocess.DEVNULL):
        """`guest` is booted, `either` or the example, if there is none, booted or replayed as the mode is."""
        if guest is not THE_GUEST:
            what = [guest] if guest else []
        elif mode == "live":
            what = [either or target.store]
        else:
            what = ["--replay", recorded(either or target.store)]
        command = [HINDCAST, "--listen", listen, "--serial", serial] + list(arguments) + what
        self.process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        atexit.register(self.process.kill)
        self.errors = ""
        self.output = b""
        self.grew = threading.Condition()
        self.readers = [threading.Thread(target=reader, daemon=True) for reader in (self._errors, self._output)]
        for reader in self.readers:
            reader.start()
        match = self.wait_errors(r"target remote (\S+)'")
        self.where = match.group(1)
        if self.where.startswith("/"):
            self.address = self.where
        else:
            host, port = self.where.rsplit(":", 1)
            self.address = (host, int(port))

    def _errors(self):
        for line in self.process.stderr:
            with self.grew:
                self.errors += line.decode("utf-8", "replace")
                self.grew.notify_all()

    def _output(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return
            with self.grew:
                self.output += data
                self.grew.notify_all()

    def _wait(self, look, seconds, what):
        end = time.monotonic() + seconds
        with self.grew:
            while True:
                match = look()
                if match:
                    return match
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and left < seconds - 2):
                    raise Failed("no %r; stderr: %s; stdout: %r; status %r" %
                                 (what, ends(self.errors), self.output[-2000:], self.process.poll()))
                self.grew.wait(min(left, 0.2))

    def wait_errors(self, pattern, seconds=20):
        return self._wait(lambda: re.search(pattern, self.errors), patience(seconds), pattern)

    def wait_output(self, pattern, seconds=60):
        return self._wait(lambda: re.search(pattern, self.output), patience(seconds), pattern)

    def whole_output(self):
        """All that came out of a server that has ended."""
        for reader in self.readers:
            reader.join(patience(20))
        return self.output

    def client(self, timeout=60):
        rsp = rspclient.connect(self.address, seconds=patience(10), timeout=patience(timeout))
        rsp.start()
        return rsp

    def alive(self):
        return self.process.poll() is None

    def close(self):
        end_process(self.process)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
            self.process.wait()
            self.whole_output()
            sys.stderr.write("  server said: %s\n" % ends(self.errors.strip()))
            if self.output:
                sys.stderr.write("  its output ends with: %r\n" % self.output[-2000:])
        else:
            self.close()


def build_guest(body, name="guest"):
    """A Multiboot kernel of a few assembler lines at _start; gives back the ELF file's path."""
    directory = tempfile.mkdtemp(prefix="hindcast-guest-")
    atexit.register(shutil.rmtree, directory, True)
    source, elf = os.path.join(directory, name + ".S"), os.path.join(directory, name + ".elf")
    with open(source, "w") as f:
        f.write('.section .multiboot, "a"\n.long 0x1badb002, 0, -0x1badb002\n.text\n.globl _start\n_start:\n')
        f.write(body + "\n")
    script = os.path.join(SOURCE, "examples", "stale-pointer", "i386", "link.ld")
    subprocess.run(["gcc", "-m32", "-g", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none",
                    "-Wl,-z,noexecstack", "-T", script, "-o", elf, source], check=True)
    return elf


# What comes before main() on a bare machine, by target.
STARTS = {
    "i386": """
        .section .multiboot, "a"
        .long 0x1badb002, 0, -0x1badb002
        .text
        .globl _start
_start: movl $stack_top, %esp
        xorl %ebp, %ebp
        fninit
        call main
1:      hlt
        jmp 1b
        .bss
        .balign 16
        .skip 16384
stack_top:
        .section .note.GNU-stack, "", %progbits
""",
    "aarch64": """
        .text
        .globl _start
_start: ldr x0, =stack_top
        mov sp, x0
        mov x0, #3 << 20
        msr cpacr_el1, x0
        isb
        mov x29, xzr
        mov x30, xzr
        bl main
1:      wfi
        b 1b
        .bss
        .balign 16
        .skip 16384
stack_top:
        .section .note.GNU-stack, "", %progbits
"""}

COMPILERS = {
    "i386": (("gcc", "cc"), ["-m32", "-march=i686", "-fcf-protection=none", "-no-pie"]),
    "aarch64": (("aarch64-linux-gnu-gcc",), ["-mstrict-align", "-Wl,-z,max-page-size=4096"]),
}


def build_c_guest(source, name, options=("-O0",)):
    """A program with a main() for the bare machine of the present target: its source's and its ELF file's path."""
    directory = tempfile.mkdtemp(prefix="hindcast-guest-")
    atexit.register(shutil.rmtree, directory, True)
    c, start, elf = (os.path.join(directory, name + suffix) for suffix in (".c", "-start.S", ".elf"))
    for path, text in ((c, source), (start, STARTS[target.name])):
        with open(path, "w") as f:
            f.write(text)
    compilers, flags = COMPILERS[target.name]
    compiler = next(filter(None, map(shutil.which, compilers)))
    script = os.path.join(SOURCE, "examples", "stale-pointer", target.name, "link.ld")
    subprocess.run([compiler, "-std=gnu11", "-g", "-ffreestanding", "-fno-pic", "-fno-stack-protector",
                    "-fno-omit-frame-pointer", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
                    *options, *flags, "-T", script, "-o", elf, start, c], check=True)
    return c, elf


def symbol(elf, name):
    """Address of a symbol."""
    out = subprocess.run(["nm", elf], stdout=subprocess.PIPE, check=True).stdout.decode()
    return int(contains(out, r"^([0-9a-f]+) \w %s$" % re.escape(name)).group(1), 16)


def gdb_program():
    return target.gdb()


def live_only(claim):
    """The claim is about a guest that is not recorded."""
    claim.modes = ("live",)
    return claim


def replay_only(claim):
    """The claim is about a recording."""
    claim.modes = ("replay", "checkpoints")
    return claim


def gdb(server, commands, symbols=THE_GUEST, seconds=120, connect=None):
    """Run a gdb in batch mode; `commands` is its script (a string, or a list). An error ends
    the script, as `source` does. Gives back what it printed."""
    seconds = patience(seconds)
    if symbols is THE_GUEST:
        symbols = target.store
    if not isinstance(commands, str):
        commands = "\n".join(commands)
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as script:
        script.write("set pagination off\nset confirm off\nset width 0\nset debuginfod enabled off\n")
        script.write("set remotetimeout %d\nset tcp connect-timeout %d\n" % (patience(10), patience(15)))
        script.write("target %s\n" % (connect or "remote " + server.where))
        script.write(commands + "\n")
        script.flush()
        argv = [gdb_program(), "-q", "-nx", "-batch", "-x", script.name] + ([symbols] if symbols else [])
        try:
            result = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, timeout=seconds)
        except subprocess.TimeoutExpired as e:
            raise Failed("gdb did not come to an end; so far:\n%s" % (e.stdout or b"").decode("utf-8", "replace"))
    return result.stdout.decode("utf-8", "replace")


def run_claims(module, only, ways):
    """How many held and how many did not, for the present target and mode. `ways`: the targets and modes of which each
    claim has one, by turns; without, it has every one."""
    failed = passed = 0
    where = "" if (target, mode) == (I386, "live") else " [%s, %s]" % (target.name, mode)
    claims = [item for item in vars(module).items() if item[0].startswith("claim_")]
    for number, (name, function) in enumerate(claims):
        if only and name not in only and name[6:] not in only:
            continue
        if mode not in getattr(function, "modes", (mode,)):
            continue
        its = [way for way in ways if way[1] in getattr(function, "modes", (way[1],))]
        if its and its[number % len(its)] != (target, mode):
            continue
        began = time.monotonic()
        try:
            function()
            passed += 1
            print("ok   %s%s (%.1f s)" % (name[6:], where, time.monotonic() - began), flush=True)
        except Exception as e:  # a claim must not take the others with it
            failed += 1
            print("FAIL %s%s: %s" % (name[6:], where, e), flush=True)
            if not isinstance(e, Failed):
                traceback.print_exc()
    return passed, failed


def main(module, targets=(I386,), modes=("live",), brief="no"):
    """Run the claims of a test file, for each target that is there and each mode. A first argument
    TARGET:MODE chooses one of them. $HINDCAST_BRIEF, or `brief`, is "yes": each claim for one of the targets in one
    of the modes, by turns."""
    global target, mode
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    only = sys.argv[1:]
    if only and ":" in only[0]:
        name, _, one = only.pop(0).partition(":")
        targets, modes = [t for t in (I386, AARCH64) if t.name == name], (one,)
    for name in only:
        if name not in vars(module) and "claim_" + name not in vars(module):
            sys.exit("there is no claim %s" % name)
    ways = []
    if not only and os.environ.get("HINDCAST_BRIEF", brief) == "yes" and len(targets) * len(modes) > 1:
        ways = [(t, m) for t in targets if not t.missing() for m in modes]
    failed = passed = 0
    for target in targets:
        missing = target.missing()
        if missing:
            print("skipped: %s" % missing)
            continue
        for mode in modes:
            good, bad = run_claims(module, only, ways)
            passed, failed = passed + good, failed + bad
    if not passed + failed:
        sys.exit(77)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)
