"""The measurements. Each is a function of a Target, the Table, and the arguments of bench/compare;
each round takes hindcast's figure and QEMU's one after the other, so that what else the host does
hits both alike."""

import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time

from machines import PLAIN, TOP, Debugged, Monitor
from measure import BenchError, Child, Console, have_memory_backed, rspclient

sys.path.insert(0, os.path.join(TOP, "tests", "guests"))
import test_disk_i386 as guest_disks  # noqa: E402
import test_net_i386 as guest_net  # noqa: E402

SHELL_UP = rb"hindcast-guest: shell is up"
PROMPT = rb"guest# "
WORK = [
    ("md5sum of a pipe", "dd if=/dev/zero bs=64k count=160 2>/dev/null | md5sum"),
    ("shell loop", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo $i"),
    ("gzip -9", "dd if=/bin/busybox bs=64k 2>/dev/null | gzip -9 | wc -c"),
    ("60 forks", "i=0; while [ $i -lt 60 ]; do /bin/true; i=$((i+1)); done; echo $i"),
    ("200 forks", "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done; echo $i"),
]
BYTES_LIMIT_KB = 100  # per billion instructions, beyond the input itself
COST_LIMIT = 5        # per cent of forward speed


def rounds(args, *functions):
    """Call the functions in turn, args.rounds times, the first one first and last alternately; a list of results for each."""
    results = [[] for _ in functions]
    for n in range(args.rounds):
        order = list(enumerate(functions))
        for i, function in order if n % 2 == 0 else reversed(order):
            results[i].append(function())
    return results


def columns(dicts, key):
    return [d[key] for d in dicts if key in d]


def breakpoint_at(rsp, address, kind, what):
    if rsp.ask(what % (address, kind)) != "OK":
        raise BenchError("no breakpoint")


def check_near(d, t, address, size):
    """Did it go where it should? (QEMU's stop replies do not say why it stopped when it went back.)"""
    at, size_of = {"aarch64": (32 * 8, 8), "x86_64": (16 * 8, 8)}.get(t.name, (8 * 4, 4))
    pc = int.from_bytes(bytes.fromhex(d.rsp.registers()[2 * at:2 * (at + size_of)]), "little")
    if not address <= pc < address + size:
        raise BenchError("%s went back to %x, not to %x" % (d.child.name, pc, address))


# -- forward, bare metal ------------------------------------------------------


def hindcast_bare(t, args, elf, more=()):
    """CPU seconds of running the guest to its end, and its instructions."""
    with Debugged(t.hindcast_bare(elf, more), args.limit) as h:
        before = h.child.cpu()
        h.go("c")
        seconds = h.child.cpu() - before
        return {"cpu": seconds, "steps": h.rsp.position()}


def qemu_bare(t, args, elf, icount):
    """The same, from a breakpoint at the work's beginning: the program's own start and its BIOS are none of it."""
    kind = 4 if t.name == "aarch64" else 1
    with Debugged(t.qemu_bare_command(elf, icount), args.limit) as d:
        start = t.symbol(elf, "bench_main")
        breakpoint_at(d.rsp, start, kind, "Z0,%x,%x")
        d.go("c")
        check_near(d, t, start, 1)
        breakpoint_at(d.rsp, start, kind, "z0,%x,%x")
        before = d.child.cpu()
        d.rsp.send("c")
        return d.child.wait() - before


def loops(t, table, args):
    for name in t.loops:
        elf = t.build(name, args.scale)
        functions = [lambda: hindcast_bare(t, args, elf)]
        if t.has_qemu:
            functions += [lambda: qemu_bare(t, args, elf, t.recording()), lambda: qemu_bare(t, args, elf, PLAIN)]
        ours, *theirs = rounds(args, *functions)
        speed = ours[0]["steps"] / statistics.median(columns(ours, "cpu")) / 1e6
        table.add("%s loop: %s" % (t.name, name), "s", columns(ours, "cpu"), theirs[0] if theirs else (),
                  "%.0f M steps/s" % speed, theirs[1] if theirs else ())


# -- forward, Debian ------------------------------------------------------------


def to_the_shell(console):
    console.wait(SHELL_UP)
    console.wait(PROMPT)


def typed_line(number, line):
    return line + "; echo done-%d-$((1+1))" % number


def typed_bytes():
    return sum(len(typed_line(number, line)) + 1 for number, (_, line) in enumerate(WORK))


def work_in_the_shell(console, number):
    """A piece of work, from the newline behind what was typed to the next prompt."""
    console.write(b"\n")
    console.wait(b"done-%d-2" % number)
    console.wait(PROMPT)


def drive_linux(args, command):
    """Boot, and work in the shell; CPU seconds of each part (of typing, too), and wall time of the boot."""
    with Child(command, args.limit, pipes=True) as child:
        console = Console(child)
        start = time.monotonic()
        to_the_shell(console)
        figures = {"boot, wall time": time.monotonic() - start, "boot to the shell": child.cpu()}
        typing = 0
        for number, (name, line) in enumerate(WORK):
            before = child.cpu()
            console.type_unfinished(typed_line(number, line))
            typed = child.cpu()
            work_in_the_shell(console, number)
            figures[name] = child.cpu() - typed
            typing += typed - before
        figures["typing that, a character at a time"] = typing
        return figures


def boot(t, table, args):
    for flavour in t.flavours if not args.quick else t.flavours[:1]:
        guest = t.linux(flavour)
        functions = [lambda: drive_linux(args, t.hindcast_linux(guest, ["--listen", "none", "--run"]))]
        if t.has_qemu:
            functions += [lambda: drive_linux(args, t.qemu_linux(guest, t.recording())),
                          lambda: drive_linux(args, t.qemu_linux(guest, PLAIN))]
        ours, *theirs = rounds(args, *functions)
        for name in ours[0]:
            table.add("Debian %s: %s" % (flavour, name), "s", columns(ours, name), columns(theirs[0], name) if theirs else (),
                      plain=columns(theirs[1], name) if theirs else ())


# -- backwards ------------------------------------------------------------------


def back_to(d, t, address):
    """Milliseconds of reverse-continue to a breakpoint."""
    breakpoint_at(d.rsp, address, 4 if t.name == "aarch64" else 1, "Z0,%x,%x")
    milliseconds = 1e3 * d.go("bc")
    check_near(d, t, address, 1)
    return milliseconds


def go_back(d, t, elf, position, steps, all_of_it=True):
    """Milliseconds of reverse-step, and of reverse-continue to a watchpoint and to the session's start."""
    figures = {"bs": [1e3 * d.go("bs") for _ in range(steps)]}
    if not all_of_it:
        return figures
    rare = t.symbol(elf, "rare")
    breakpoint_at(d.rsp, rare, 4, "Z2,%x,%x")
    figures["watch"] = [1e3 * d.go("bc") for _ in range(2)]
    check_near(d, t, t.symbol(elf, "seldom"), 32)
    breakpoint_at(d.rsp, rare, 4, "z2,%x,%x")
    d.go_to(position)
    figures["once"] = [back_to(d, t, t.symbol(elf, "once"))]
    return figures


def stop_and_go_back(t, args, elf, seconds):
    """Ctrl-C while all of 64 MiB is rewritten: until the stop, and the first and the slowest of the next 20 steps back, in seconds."""
    with Debugged(t.hindcast_bare(elf), args.limit) as h:
        h.rsp.send("c")
        time.sleep(seconds)
        before = time.monotonic()
        h.rsp.interrupt()
        h.rsp.wait()
        until_stop = time.monotonic() - before
        back = [h.go("bs") for _ in range(21)]
    return {"stop": until_stop, "first": back[0], "next": max(back[1:])}


def hit_and_go_back(t, args, elf, position, seconds):
    """The first step back from a position there, asked for after so many seconds."""
    with Debugged(t.hindcast_bare(elf), args.limit) as h:
        h.go_to(position)
        time.sleep(seconds)
        return h.go("bs")


def reverse(t, table, args):
    elf = t.build("dirty", 1)
    ours = [stop_and_go_back(t, args, elf, 0.5 + 0.11 * n) for n in range(2 if args.quick else 5)]
    for key, what in (("stop", "stopped"), ("first", "the first bs"), ("next", "the slowest of 20 more")):
        table.add("%s: 64 MiB rewritten meanwhile: %s" % (t.name, what), "ms", [1000 * one[key] for one in ours])
    for seconds, what in ((1.5, "after 1.5 s of thought"), (0, "at once")):
        ours = [hit_and_go_back(t, args, elf, (400 + 110 * n) * 10**6, seconds) for n in range(2 if args.quick else 5)]
        table.add("%s: 64 MiB rewritten meanwhile: the first bs from a hit, %s" % (t.name, what), "ms", [1000 * one for one in ours])
    elf = t.build("session", 10 if args.quick else 1)
    theirs = None
    try:
        theirs = QemuSession(t, args, elf) if t.has_qemu else None
    except (BenchError, OSError) as error:
        table.note("QEMU's reverse debugging on %s: %s" % (t.name, error))
    for position in [100 * 10**6] if args.quick else [100 * 10**6, 10**9, 5 * 10**9]:
        with Debugged(t.hindcast_bare(elf), args.limit) as h:
            h.go_to(position)
            ours = go_back(h, t, elf, position, 200)
        other = {}
        if theirs:
            try:
                other = theirs.at(position, 3 if position < 10**9 else 1)
            except (BenchError, OSError, rspclient.RspError) as error:
                table.note("QEMU's reverse debugging on %s at %d: %s" % (t.name, position, error))
        at = "at %d M steps" % (position // 10**6)
        table.add("%s: bs %s" % (t.name, at), "ms", [statistics.median(ours["bs"])], other.get("bs", ()))
        table.add("%s: slowest bs %s" % (t.name, at), "ms", [max(ours["bs"])], other.get("bs", ()), "hindcast: of 200")
        table.add("%s: bc to a watchpoint %s" % (t.name, at), "ms", ours["watch"], other.get("watch", ()))
        table.add("%s: bc to the start, from %s" % (t.name, at[3:]), "ms", ours["once"], other.get("once", ()))


class QemuSession:
    """QEMU's recording of the session guest, and going back in its replay."""

    def __init__(self, t, args, elf):
        self.t, self.args, self.elf = t, args, elf
        self.drive = t.snapshot_disk()
        with Child(t.qemu_bare_command(elf, t.recording(True)) + self.drive, args.limit) as child:
            child.wait()

    def at(self, position, samples):
        """A reverse-continue from far away takes it minutes: not asked for."""
        with Debugged(self.t.qemu_bare_command(self.elf, self.t.replaying(True)) + self.drive, self.args.limit) as d:
            d.go_to(position)
            return go_back(d, self.t, self.elf, position, samples, position <= 10**9)


# -- backwards, Debian --------------------------------------------------------


def function_address(console):
    """Where rest_init() is, which runs once, early; the guest says."""
    console.type("grep ' rest_init$' /proc/kallsyms; echo end-$((40+2))")
    text = console.wait(rb"([0-9a-f]{8,16}) \w rest_init\r*\n")
    console.wait(rb"end-42")
    console.wait(PROMPT)
    return int(text.group(1), 16)


def go_back_in_linux(d, t, address, steps):
    figures = {"bs": [1e3 * d.go("bs") for _ in range(steps)]}
    figures["function"] = [back_to(d, t, address)]
    return figures


def hindcast_linux_reverse(t, args, guest):
    with Debugged(t.hindcast_linux(guest), args.limit, pipes=True) as d:
        console = Console(d.child)
        d.rsp.send("c")
        to_the_shell(console)
        address = function_address(console)
        d.rsp.interrupt()
        d.rsp.wait()
        figures = go_back_in_linux(d, t, address, 100)
        figures["steps"] = d.rsp.position()
        return figures


def qemu_linux_reverse(t, args, guest):
    drive = t.snapshot_disk()
    path = os.path.join(t.tmp, t.name + ".qmp")
    with Child(t.qemu_linux(guest, t.recording(True)) + drive + ["-qmp", "unix:%s,server=on,wait=off" % path],
               args.limit, pipes=True) as child:
        console = Console(child)
        to_the_shell(console)
        address = function_address(console)
        monitor = Monitor(path)
        end = monitor.icount()
        monitor.ask("quit")
        child.wait()
        monitor.close()
    with Debugged(t.qemu_linux(guest, t.replaying(True)) + drive, args.limit) as d:
        d.go_to(end - 1000)
        return go_back_in_linux(d, t, address, 1)


def debian_reverse(t, table, args):
    flavour = t.flavours[0]
    guest = t.linux(flavour)
    ours = hindcast_linux_reverse(t, args, guest)
    theirs = {}
    if t.has_qemu:
        try:
            theirs = qemu_linux_reverse(t, args, guest)
        except (BenchError, OSError, rspclient.RspError) as error:
            table.note("QEMU's reverse debugging of Debian %s: %s" % (flavour, error))
    name = "Debian %s at the shell: " % flavour
    table.add(name + "bs", "ms", [statistics.median(ours["bs"])], theirs.get("bs", ()))
    table.add(name + "slowest bs", "ms", [max(ours["bs"])], theirs.get("bs", ()), "hindcast: of 100")
    table.add(name + "bc to rest_init", "ms", ours["function"], theirs.get("function", ()))


# -- recording ------------------------------------------------------------------


def recorded_steps(args, name):
    p = subprocess.run([args.hindcast, "info", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=args.limit)
    match = re.search(rb"length +(\d+)", p.stdout)
    if not match:
        raise BenchError("hindcast info: %s" % p.stderr.decode()[-200:])
    return int(match.group(1))


def per_billion(size, steps):
    return size / 1000 / (steps / 1e9)


def cost(plain, recorded):
    """Per cent that recording costs: the median over the rounds' pairs."""
    return statistics.median((r / p - 1) * 100 for p, r in zip(plain, recorded))


def fresh(name):
    """The file is not there: no recording is written over."""
    if os.path.exists(name):
        os.unlink(name)
    return name


def record_loops(t, table, args):
    name = os.path.join(t.tmp, "loop.hcrec")
    for loop in ["crc", "seqmem", "session"]:
        scale = args.scale * (5 if loop == "session" else 1)
        elf = t.build(loop, scale)
        ours = rounds(args, lambda: hindcast_bare(t, args, elf), lambda: hindcast_bare(t, args, elf, ["--record", fresh(name)]))
        steps = ours[0][0]["steps"]
        size = per_billion(os.path.getsize(name), steps)
        theirs, their_cost = [], []
        if t.has_qemu:
            pair = rounds(args, lambda: qemu_bare(t, args, elf, ""), lambda: qemu_bare(t, args, elf, t.recording()))
            theirs = [per_billion(os.path.getsize(t.rr), steps)]
            their_cost = [cost(*pair)]
        table.add("%s %s: recording, per billion steps" % (t.name, loop), "kB", [size], theirs)
        ours_cost = cost(columns(ours[0], "cpu"), columns(ours[1], "cpu"))
        table.add("%s %s: what recording costs" % (t.name, loop), "%", [ours_cost], their_cost)
        table.require("%s %s: per billion steps" % (t.name, loop), size, BYTES_LIMIT_KB, "kB")
        table.require("%s %s: cost" % (t.name, loop), ours_cost, COST_LIMIT, "%")


def record_linux(t, table, args):
    """A boot with typed input."""
    flavour = t.flavours[0]
    guest = t.linux(flavour)
    name = os.path.join(t.tmp, "boot.hcrec")
    program = t.hindcast_linux(guest, ["--listen", "none", "--run"])

    def total(command):
        return sum(seconds for part, seconds in drive_linux(args, command).items() if "wall" not in part)

    ours = rounds(args, lambda: total(program), lambda: total(program + ["--record", fresh(name)]))
    steps = recorded_steps(args, name)
    size = per_billion(os.path.getsize(name) - typed_bytes(), steps)
    theirs, their_cost = [], []
    if t.has_qemu:
        pair = rounds(args, lambda: total(t.qemu_linux(guest, "")), lambda: total(t.qemu_linux(guest, t.recording())))
        theirs, their_cost = [per_billion(os.path.getsize(t.rr) - typed_bytes(), steps)], [cost(*pair)]
    what = "Debian %s booted and typed at: " % flavour
    table.add(what + "recording, per billion steps", "kB", [size], theirs, "beyond the input")
    table.add(what + "what recording costs", "%", [cost(*ours)], their_cost)
    table.require(what + "per billion steps", size, BYTES_LIMIT_KB, "kB")
    table.require(what + "cost", cost(*ours), COST_LIMIT, "%")


def hindcast_idle(t, args, guest, seconds):
    """(bytes, steps) of a guest that sits at its prompt: from copies of the file as it grows."""
    name = os.path.join(t.tmp, "idle.hcrec")
    sizes = []
    with Child(t.hindcast_linux(guest, ["--listen", "none", "--run", "--record", name]), args.limit, pipes=True) as child:
        to_the_shell(Console(child))
        for pause in (3, seconds):
            time.sleep(pause)
            with open(name, "rb") as source, open(name + ".copy", "wb") as copy:
                copy.write(source.read())
            sizes.append((os.path.getsize(name + ".copy"), recorded_steps(args, name + ".copy")))
    return sizes[1][0] - sizes[0][0], sizes[1][1] - sizes[0][1]


def qemu_idle(t, args, guest, seconds):
    path = os.path.join(t.tmp, t.name + ".qmp")
    sizes = []
    with Child(t.qemu_linux(guest, t.recording()) + ["-qmp", "unix:%s,server=on,wait=off" % path],
               args.limit, pipes=True) as child:
        to_the_shell(Console(child))
        monitor = Monitor(path)
        for pause in (3, seconds):
            time.sleep(pause)
            sizes.append((os.path.getsize(t.rr), monitor.icount()))
        monitor.close()
    return sizes[1][0] - sizes[0][0], sizes[1][1] - sizes[0][1]


def record_idle(t, table, args):
    flavour = t.flavours[0]
    guest = t.linux(flavour)
    seconds = 5 if args.quick else 20
    size, steps = hindcast_idle(t, args, guest, seconds)
    theirs = qemu_idle(t, args, guest, seconds) if t.has_qemu else None
    what = "Debian %s idle at its prompt: " % flavour
    table.add(what + "recording, per second", "kB", [size / 1000 / seconds], [theirs[0] / 1000 / seconds] if theirs else (),
              "%.2f M steps/s" % (steps / seconds / 1e6))
    table.add(what + "recording, per billion steps", "kB", [per_billion(size, steps)],
              [per_billion(*theirs)] if theirs and theirs[1] else ())
    table.require(what + "per billion steps", per_billion(size, steps), BYTES_LIMIT_KB, "kB")


def record(t, table, args):
    record_loops(t, table, args)
    record_linux(t, table, args)
    record_idle(t, table, args)


# -- several CPUs ------------------------------------------------------------------

SMP_CPUS = 4
SMP_SPEED_LIMIT = 50 # per cent of QEMU's time
SMP_COST_LIMIT = 10  # per cent that idle CPUs may cost
SMP_BACK_LIMIT = 0.2 # ms
SMP_BACK_SHARE = 200 # per cent of one CPU's


def busy(number):
    """A line that keeps so many CPUs busy."""
    loops = "(i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done) & " * number
    return loops + "wait; echo done-$((1+1))"


def busy_seconds(args, command, number):
    """CPU seconds of the program for it, at the shell."""
    with Child(command, args.limit, pipes=True) as child:
        console = Console(child)
        to_the_shell(console)
        before = child.cpu()
        console.type(busy(number))
        console.wait(rb"done-2")
        return child.cpu() - before


def busy_back(t, args, guest, cpus):
    """ms of each `bs` while so many CPUs, which are all, are busy."""
    with Debugged(t.hindcast_linux(guest, ["--smp", str(cpus)]), args.limit, pipes=True) as d:
        d.rsp.send("c")
        console = Console(d.child)
        to_the_shell(console)
        console.type(busy(cpus))
        time.sleep(1)
        d.rsp.interrupt()
        d.rsp.wait()
        return [d.go("bs") * 1000 for _ in range(100)]


def whole_run(args, command):
    """CPU seconds of a program from its start to its end."""
    with Child(command, args.limit) as child:
        return child.wait()


def bare_smp(t, table, args):
    elf = t.build_cpus(args.scale)
    if not elf:
        return
    functions = [lambda: whole_run(args, t.hindcast_bare(elf, ["--listen", "none", "--run", "--smp", str(SMP_CPUS)]))]
    if t.has_qemu:
        functions.append(lambda: whole_run(args, t.qemu_bare_command(elf, "") + ["-smp", str(SMP_CPUS)]))
    ours, *theirs = rounds(args, *functions)
    table.add("%s, %d CPUs without a system: all busy" % (t.name, SMP_CPUS), "s", ours, theirs[0] if theirs else (),
              "QEMU: -icount without rr")


def smp(t, table, args):
    bare_smp(t, table, args)
    flavour = t.flavours[-1]
    guest = t.linux(flavour)
    ours = lambda cpus: t.hindcast_linux(guest, ["--listen", "none", "--run", "--smp", str(cpus)])
    functions = [lambda: busy_seconds(args, ours(SMP_CPUS), SMP_CPUS), lambda: busy_seconds(args, ours(1), 1),
                 lambda: busy_seconds(args, ours(SMP_CPUS), 1)]
    if t.has_qemu and t.qemu_debian_smp:
        functions.append(lambda: busy_seconds(args, t.qemu_linux(guest, "") + ["-smp", str(SMP_CPUS)], SMP_CPUS))
    all_busy, alone, one_of_four, *theirs = rounds(args, *functions)
    name = "Debian %s, %d CPUs: " % (flavour, SMP_CPUS)
    table.add(name + "all busy", "s", all_busy, theirs[0] if theirs else (), "QEMU: -icount without rr")
    if theirs:
        share = statistics.median(o / q * 100 for o, q in zip(all_busy, theirs[0]))
        table.require(name + "all busy, of QEMU's time", share, SMP_SPEED_LIMIT, "%")
    table.add(name + "one busy", "s", one_of_four)
    table.require(name + "one busy costs over one CPU", cost(alone, one_of_four), SMP_COST_LIMIT, "%")
    back, back_alone = (statistics.median(busy_back(t, args, guest, cpus)) for cpus in (SMP_CPUS, 1))
    table.add(name + "bs, all busy", "ms", [back])
    table.require(name + "bs, all busy", back, SMP_BACK_LIMIT, "ms")
    table.require(name + "bs, all busy, of that with one CPU", back / back_alone * 100, SMP_BACK_SHARE, "%")


# -- disks ------------------------------------------------------------------------

DISK_MIB = 128
DISK_WARM_MIB = 400
DISK_LIMIT = 50          # per cent of QEMU's time
DISK_BACK_LIMIT = 1      # ms
DISK_MEMORY_LIMIT = 1.2  # of the budget
DISK_INIT = """#!/bin/sh
for m in MODULES; do insmod /$m.ko; done
sleep 1
"""
# By what the disk is plugged in with: hindcast's options, QEMU's device, modules, name in the guest.
DISKS = {
    "virtio-blk": (["--drive", "file=FILE,if=virtio"], "virtio-blk-pci", ["virtio_pci", "virtio_blk"], "vda"),
    "IDE": (["--drive", "file=FILE,if=ide"], "ide-hd", ["ata_piix", "sd_mod"], "sda"),
}
DISK_WORK = [
    ("read in sequence, 128 MiB", "dd if=/dev/DISK of=/dev/null bs=1M"),
    # (Into memory that the guest, and so the host, has touched before.)
    ("read again, its cache dropped", "echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/DISK of=/dev/null bs=1M"),
    ("written in sequence, 64 MiB", "dd if=/dev/zero of=/dev/DISK bs=1M count=64 conv=fsync"),
    ("read and written at random, 600 times", "/exercise /dev/DISK"),
]


def make_disk(t):
    image = os.path.join(t.tmp, "disk.raw")
    if not os.path.exists(image):
        with open(image, "wb") as f:
            for _ in range(DISK_MIB):
                f.write(os.urandom(1 << 20))
    return image


def disk_guest(t, modules, node):
    """(kernel, initrd) with a disk's drivers and the program that uses it at random."""
    kernel, _ = t.linux(t.flavours[0])
    root, version = kernel.split("/boot/vmlinuz-")
    directory = os.path.join(t.tmp, "initrd-" + node)
    os.makedirs(directory, exist_ok=True)
    return kernel, guest_disks.make_initrd(directory, root, version, modules, node, DISK_INIT, ())


def disk_seconds(args, command, node):
    """CPU seconds of the program for each piece of work."""
    with Child(command, args.limit, pipes=True) as child:
        console, figures = Console(child), {}
        to_the_shell(console)
        for number, (name, line) in enumerate(DISK_WORK):
            have_memory_backed(DISK_WARM_MIB)
            before = child.cpu()
            console.type(line.replace("DISK", node) + "; echo done-%d-$((1+1))" % number)
            console.wait(b"done-%d-2" % number)
            console.wait(PROMPT)
            figures[name] = child.cpu() - before
        return figures


def disk_back(t, args, guest, options, node):
    """ms of each `bs` while the disk is written."""
    with Debugged(t.hindcast_linux(guest, options), args.limit, pipes=True) as d:
        d.rsp.send("c")
        console = Console(d.child)
        to_the_shell(console)
        console.type("while dd if=/dev/zero of=/dev/%s bs=64k count=512 conv=fsync; do :; done 2>/dev/null" % node)
        back = []
        for _ in range(5):
            time.sleep(0.5)
            d.rsp.interrupt()
            d.rsp.wait()
            back += [d.go("bs") * 1000 for _ in range(20)]
            d.rsp.monitor("seek end")
            d.go("c")
            d.rsp.send("c")
        return back


def disk_memory(t, args, guest, options, node, mib):
    """(bytes of checkpoints, their budget, s of going to the middle) after a guest has rewritten so much of its disk."""
    with Debugged(t.hindcast_linux(guest, options), args.limit, pipes=True) as d:
        d.rsp.send("c")
        console = Console(d.child)
        to_the_shell(console)
        console.type("n=0; while [ $n -lt %d ]; do dd if=/dev/urandom of=/dev/%s bs=1M count=64 conv=fsync 2>/dev/null; n=$((n+1)); "
                     "done; echo done-$((1+1))" % (mib // 64, node))
        console.wait(rb"done-2")
        d.rsp.interrupt()
        d.rsp.wait()
        shown = re.search(r"([\d.]+) of ([\d.]+) MiB", d.rsp.monitor("info checkpoints"))
        edge, ways = d.rsp.position(), []
        for part in (2, 3, 5):
            ways.append(d.go_to(edge - edge // part))
        return float(shown.group(1)), float(shown.group(2)), ways


def disk(t, table, args):
    if t.name == "aarch64":
        table.note("disk on %s: the rows are of PCs" % t.name)
        return
    for kind, (options, device, modules, node) in DISKS.items():
        image = make_disk(t)
        guest = disk_guest(t, modules, node)
        options = [word.replace("FILE", image) for word in options]
        functions = [lambda: disk_seconds(args, t.hindcast_linux(guest, ["--listen", "none", "--run"] + options), node)]
        if t.has_qemu:
            functions.append(lambda: disk_seconds(args, t.qemu_linux(guest, t.recording()) + t.qemu_disk(image, device), node))
        ours, *theirs = rounds(args, *functions)
        for name, _ in DISK_WORK:
            what = "Debian %s, %s: %s" % (t.flavours[0], kind, name)
            mine, others = columns(ours, name), columns(theirs[0], name) if theirs else []
            table.add(what, "s", mine, others, "QEMU: blkreplay")
            if others:
                table.require(what + ", of QEMU's time", statistics.median(o / q * 100 for o, q in zip(mine, others)), DISK_LIMIT, "%")
        back = disk_back(t, args, guest, options, node)
        what = "Debian %s, %s: bs beside a write" % (t.flavours[0], kind)
        table.add(what, "ms", [statistics.median(back)])
        table.require(what, statistics.median(back), DISK_BACK_LIMIT, "ms")
    mib = 128 if args.quick else 1024
    used, budget, ways = disk_memory(t, args, guest, options, node, mib)
    what = "Debian %s: %d MiB of the disk rewritten: " % (t.flavours[0], mib)
    table.add(what + "checkpoints", "MiB", [used], (), "of %.0f" % budget)
    table.require(what + "checkpoints", used, budget * DISK_MEMORY_LIMIT, "MiB")
    table.add(what + "seek to the middle and elsewhere", "s", ways)


# -- networks -----------------------------------------------------------------------

# By name: the bytes, what is typed (PORT: of a server here), and of which kind that server is.
NET_WORK = {
    "HTTP to the guest": "wget -q -O /dev/null http://10.0.2.2:PORT/file",
    "bytes from the guest": "head -c BYTES /dev/zero | nc 10.0.2.2 SINK",
}


def net_servers(size):
    """(port of an HTTP server with one file, port that swallows whatever comes)."""
    port, _ = guest_net.serve(size)
    sink = socket.create_server(("127.0.0.1", 0))

    def swallow():
        while True:
            with sink.accept()[0] as peer:
                while peer.recv(1 << 16):
                    pass

    threading.Thread(target=swallow, daemon=True).start()
    return port, sink.getsockname()[1]


def net_seconds(args, command, size, ports):
    """CPU seconds of the program for each piece of work."""
    with Child(command, args.limit, pipes=True) as child:
        console, figures = Console(child), {}
        to_the_shell(console)
        console.type("ip addr add 10.0.2.15/24 dev eth0; echo up-$((1+1))")
        console.wait(b"up-2")
        console.wait(PROMPT)
        for number, (name, line) in enumerate(NET_WORK.items()):
            before = child.cpu()
            console.type(line.replace("PORT", str(ports[0])).replace("SINK", str(ports[1])).replace("BYTES", str(size)) +
                         "; echo done-%d-$((1+1))" % number)
            console.wait(b"done-%d-2" % number)
            console.wait(PROMPT)
            figures[name] = child.cpu() - before
        return figures


def network(t, table, args):
    if t.name == "aarch64":
        table.note("networks on %s: the rows are of PCs" % t.name)
        return
    size = (2 if args.quick else 50) * 1000000
    ports = net_servers(size)
    kernel, _ = t.linux(t.flavours[0])
    root, version = kernel.split("/boot/vmlinuz-")
    for card, modules in guest_net.CARDS.items():
        if card not in ("virtio-net-pci", "e1000"):
            continue
        directory = os.path.join(t.tmp, "initrd-" + card)
        os.makedirs(directory, exist_ok=True)
        guest = kernel, guest_net.make_initrd(directory, root, version, modules)
        functions = [lambda: net_seconds(args, t.hindcast_linux(guest, ["--listen", "none", "--run", "--netdev", "user,id=n0",
                                                                        "--device", card + ",netdev=n0"]), size, ports)]
        if t.has_qemu:
            functions.append(lambda: net_seconds(args, t.qemu_linux(guest, t.recording()) + t.qemu_network(card), size, ports))
        ours, *theirs = rounds(args, *functions)
        for name in NET_WORK:
            table.add("Debian %s, %s: %d MB, %s" % (t.flavours[0], card, size // 1000000, name), "s", columns(ours, name),
                      columns(theirs[0], name) if theirs else [], "QEMU: filter-replay")


# -- opening a recording ------------------------------------------------------------


def opening(t, table, args):
    """From the start of the program to the first stop at the end of a recording."""
    elf = t.build("session", 10 if args.quick else 1)
    name = os.path.join(t.tmp, "long.hcrec")
    with Debugged(t.hindcast_bare(elf, ["--record", name, "--checkpoints-in-file", "every=%dM" % (100 if args.quick else 1000)]),
                  args.limit) as h:
        h.go("c")
        steps = h.rsp.position()
    ours, back = [], []
    for _ in range(args.rounds):
        with Debugged(args.hindcast_command + ["--replay", name, "--serial", "none"], args.limit) as h:
            h.go_to(steps - 10)
            ours.append(time.monotonic() - h.start)
            if h.rsp.position() != steps - 10:
                raise BenchError("the recording was opened at %d, not at %d" % (h.rsp.position(), steps - 10))
            back.append(1e3 * h.go("bs"))
    theirs = []
    if t.has_qemu:
        with Child(t.qemu_bare_command(elf, t.recording()), args.limit) as child:
            child.wait()
        with Debugged(t.qemu_bare_command(elf, t.replaying()), args.limit) as d:
            d.go_to(steps - 10)
            theirs.append(time.monotonic() - d.start)
    size = os.path.getsize(name) / 1e6
    what = "%s: opening %.1f G recorded steps at the end" % (t.name, steps / 1e9)
    table.add(what, "s", ours, theirs, "%.1f MB with checkpoints" % size)
    table.add("%s: the first bs there" % t.name, "ms", back)
    table.require(what, statistics.median(ours), 10, "s")
