"""A gdb thread is a CPU: a real gdb on a guest of two, both ways."""
import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import harness
import hcrec
import test_record
from harness import SOURCE as TREE, Server, check, contains, equal, gdb, lacks

SOURCE = """
        .text
        .globl _start
_start: mrs x0, mpidr_el1
        and x0, x0, #0xff
        cbnz x0, second
        ldr x0, =0xc4000003     // PSCI CPU_ON: the other CPU comes here, too
        mov x1, #1
        adr x2, _start
        mov x3, #0
        hvc #0
        ldr x9, =counter
1:      ldr x1, [x9]
        add x1, x1, #1
        str x1, [x9]
        .globl first_loop
first_loop:
        b 1b
second: ldr x9, =counter2
2:      ldr x1, [x9]
        add x1, x1, #1
        .globl second_store
second_store:
        str x1, [x9]
        .globl second_loop
second_loop:
        b 2b
        .data
        .globl counter, counter2
counter: .quad 0
counter2: .quad 0
"""
guests = []


def guest():
    if not guests:
        directory = tempfile.mkdtemp(prefix="hindcast-guest-")
        atexit.register(shutil.rmtree, directory, True)
        source, elf = os.path.join(directory, "threads.S"), os.path.join(directory, "threads.elf")
        with open(source, "w") as f:
            f.write(SOURCE)
        subprocess.run(["aarch64-linux-gnu-gcc", "-nostdlib", "-static", "-g", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096",
                        "-T", os.path.join(TREE, "examples", "stale-pointer", "aarch64", "link.ld"), "-o", elf, source],
                       check=True)
        guests.append(elf)
    return guests[0]


# CPUs that wait in the pen are released one after the other, each by the one before it. Each counts itself only if it came
# there as the kernel did: at its level, with X0 to X3 zero, little-endian, with the MMU off.
SPIN_SOURCE = """
        .text
        .globl _start
_start: mov x19, #0
        mrs x20, CurrentEL
        ldr x9, =level
        str x20, [x9]
release:
        add x19, x19, #1
        cmp x19, #CPUS
        b.eq all
        ldr x9, =FIRST
        add x9, x9, x19, lsl #3
        adr x10, here
        str x10, [x9]
        dsb sy
        sev
wait:   wfi
        b wait
here:   ldr x9, =count
        ldr x19, [x9]
        orr x0, x0, x1
        orr x2, x2, x3
        orr x0, x0, x2
        cbnz x0, wrong
        mrs x0, CurrentEL
        ldr x1, =level
        ldr x1, [x1]
        cmp x0, x1
        b.ne wrong
        mrs x0, sctlr_el1
        tbnz x0, #0, wrong
        add x19, x19, #1
        str x19, [x9]
        b release
        .globl all, wrong
all:    b all
wrong:  b wrong
        .data
        .globl level, count
level:  .quad 0
count:  .quad 0
"""


def assemble(elf, source):
    with open(elf + ".S", "w") as f:
        f.write(source)
    subprocess.run(["aarch64-linux-gnu-gcc", "-nostdlib", "-static", "-g", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096",
                    "-T", os.path.join(TREE, "examples", "stale-pointer", "aarch64", "link.ld"), "-o", elf, elf + ".S"], check=True)


def property_of(tree, *words):
    return subprocess.run(["fdtget", *words[:-2], tree, *words[-2:]], capture_output=True, text=True, check=True).stdout.strip()


def release_addresses(tree, cpus):
    """What the device tree says of the CPUs: each has a word of its own, in a region that is reserved."""
    nodes = [n for n in property_of(tree, "-l", "/cpus").split() if n.startswith("cpu@")]
    places = []
    equal(len(nodes), cpus)
    for node in sorted(nodes, key=lambda n: int(n[4:], 16)):
        equal(property_of(tree, "/cpus/" + node, "enable-method"), "spin-table")
        high, low = property_of(tree, "-t", "x", "/cpus/" + node, "cpu-release-addr").split()
        places.append(int(high, 16) << 32 | int(low, 16))
    equal(places, [places[0] + 8 * n for n in range(cpus)])
    text = subprocess.run(["dtc", "-q", "-I", "dtb", tree], capture_output=True, text=True, check=True).stdout
    start, size = [int(n, 16) for n in contains(text, r"^/memreserve/\s+(0x[0-9a-f]+) (0x[0-9a-f]+)").groups()]
    check(start <= places[0] and places[-1] + 8 <= start + size and places[0] % 8 == 0, places, start, size)
    return places


def claim_a_spin_table_releases_each_cpu():
    if not shutil.which("fdtget") or not shutil.which("dtc"):
        return
    directory = tempfile.mkdtemp(prefix="hindcast-guest-")
    atexit.register(shutil.rmtree, directory, True)
    tree, elf = os.path.join(directory, "tree"), os.path.join(directory, "spin.elf")
    for machine, cpus in (("gic-version=2", 8), ("gic-version=3", 4), ("gic-version=3", 40), ("gic-version=3,virtualization=on", 3),
                          ("gic-version=3,secure=on", 3)):
        options = ["--machine", "virt,enable-method=spin-table," + machine, "--smp", str(cpus)]
        assemble(elf, SPIN_SOURCE.replace("CPUS", str(cpus)).replace("FIRST", "0"))
        subprocess.run([harness.HINDCAST, "--force", "--dumpdtb", tree] + options + [elf], check=True, stderr=subprocess.DEVNULL)
        first = release_addresses(tree, cpus)[0]
        assemble(elf, SPIN_SOURCE.replace("CPUS", str(cpus)).replace("FIRST", "%#x" % first))
        with Server(*options, guest=elf) as s:
            out = gdb(s, ["info threads", "echo |\\n", "break all", "break wrong", "continue", "p *(long *)&count", "p/x *(long *)&level", "reverse-continue",
                          "monitor when"], symbols=elf)
            lacks(out.split("|\n")[0], r"\(off, ")
            contains(out, r"hit Breakpoint 1, all")
            contains(out, r"^\$1 = %d$" % (cpus - 1))
            contains(out, r"^\$2 = %s$" % ("0x8" if "virtualization" in machine else "0x4"))
            contains(out, r"^position 0,")
    with Server(*options, guest=elf) as s:             # a reset puts them back, and takes back what released them
        out = gdb(s, ["break all", "continue", "monitor system_reset", "stepi", "info threads", "echo |\\n", "continue", "p *(long *)&count"],
                  symbols=elf)
        contains(out, r"hit Breakpoint 1, all(.|\n)*hit Breakpoint 1, all")
        contains(out, r"^\$1 = %d$" % (cpus - 1))
    # Nothing waits where there is nobody, and firmware has its CPUs from the reset on.
    subprocess.run([harness.HINDCAST, "--force", "--dumpdtb", tree, "--machine", "virt,enable-method=spin-table", elf], check=True,
                   stderr=subprocess.DEVNULL)
    lacks(subprocess.run(["dtc", "-q", "-I", "dtb", tree], capture_output=True, text=True).stdout, "spin-table|memreserve")
    refused = subprocess.run([harness.HINDCAST, "--machine", "virt,enable-method=spin-table", "--bios", elf, "--listen", "none", "--run"],
                             capture_output=True, text=True)
    equal(refused.returncode, 1)
    contains(refused.stderr, "enable-method=spin-table: .* kernel without")


def run(commands):
    with pair() as s:
        return gdb(s, commands, symbols=guest())


def address_of(symbol):
    for line in subprocess.run(["aarch64-linux-gnu-nm", guest()], capture_output=True, text=True, check=True).stdout.splitlines():
        if line.split()[2] == symbol:
            return int(line.split()[0], 16)
    raise harness.Failed(symbol)


def steps(text):
    """What `monitor info cpus` says that each CPU has made."""
    return [int(n) for n in re.findall(r"CPU #\d+: .* (\d+) steps$", text, re.M)]


def claim_a_hit_says_whose_it_is_and_each_thread_has_its_own_registers():
    out = run(["info threads", "echo ON\\n", "break second_loop", "continue", "info threads", "p $x1", "thread 1", "p/x $pc == (long)first_loop || $pc < (long)second_loop",
               "delete", "watch *(long *)&counter2", "continue", "reverse-continue", "info threads"])
    before, after = out.split("ON\n")
    contains(before, r'^\* 1 +Thread 1 "CPU#0" \(running, ')
    contains(before, r'^  2 +Thread 2 "CPU#1" \(off, ')
    contains(after, r'^Thread 2 "CPU#1" hit Breakpoint 1, second_loop')
    contains(after, r'^\* 2 +Thread 2 "CPU#1"')
    contains(after, r"^\$1 = 1$")
    equal(len(re.findall(r'^Thread 2 "CPU#1" hit Hardware watchpoint 2', after, re.M)), 2, after)


def claim_queries_say_whose_each_answer_is():
    with pair() as s:
        rsp = s.client()
        rsp.monitor("replay_break 30000")
        rsp.ask("c")
        rsp.monitor("replay_delete_break")
        for name, cpu in ("counter", 0), ("counter2", 1):
            def asked(words):
                return [json.loads(line) for line in
                        rsp.monitor("writes %#x 8 --json %s" % (address_of(name), words)).splitlines()][:-1]
            answers = asked("to 30000")
            rsp.monitor("seek start")
            rsp.ask("c")
            rsp.ask("Z2,%x,8" % address_of(name))
            stops = []
            while len(stops) < min(len(answers), 60):
                rsp.ask("c")
                stops.append(rsp.position())
            rsp.ask("z2,%x,8" % address_of(name))
            equal([a["position"] for a in answers][:60], stops)
            check(len(answers) > 50, len(answers))
            equal({a["cpu"] for a in answers}, {cpu})
            equal([int(a["new"], 16) for a in answers], list(range(1, len(answers) + 1)))
            equal(asked("to 30000 newest first threads 1"), answers[::-1])
            equal(asked("to 30000 if $x1 % 2 == 0"), answers[1::2])


def claim_a_step_of_one_thread_and_back_is_symmetric_in_its_own_count():
    out = run(["break second_loop", "continue", "delete", "monitor info cpus", "echo |\\n", "thread 2"] + ["stepi"] * 5 +
              ["monitor info cpus", "echo |\\n"] + ["reverse-stepi"] * 5 + ["monitor info cpus", "echo |\\n", "thread 1"] + ["stepi"] * 3 +
              ["monitor info cpus"])
    a, b, c, d = [steps(part) for part in out.split("|\n")]
    equal((b[1] - a[1], c[1], d[0] - c[0]), (5, a[1], 3), out)


def claim_what_is_written_is_that_cpus():
    out = run(["break second_loop", "continue", "delete", "set var $x1 = 1000", "thread 1", "p $x1 == 1000", "thread 2", "p $x1",
               "break second_store", "continue", "p $x1", "reverse-continue", "reverse-continue", "p $x1"])
    equal(re.findall(r"^\$\d+ = (\d+)", out, re.M)[:2], ["0", "1000"], out)


def claim_thread_specific_breakpoints_stop_for_their_thread_alone():
    out = run(["break second_loop thread 2 if $x1 > 5", "break first_loop thread 2", "continue", "p $x1"])
    contains(out, r'^Thread 2 "CPU#1" hit Breakpoint 1')
    contains(out, r"^\$1 = 6$")


def claim_a_step_back_goes_before_the_threads_own_last_step_however_far():
    out = run(["break second_loop", "continue", "delete", "monitor info cpus", "echo |\\n", "thread 1", "reverse-stepi", "monitor info cpus", "echo |\\n",
               "thread 2", "reverse-stepi", "monitor info cpus", "echo |\\n"] + ["reverse-stepi"] * 12 + ["info threads", "monitor info cpus"])
    a, b, c, d = [part for part in out.split("|\n")]
    equal(steps(b), [steps(a)[0] - 1, 0], out)         # the second one's steps all came after that
    contains(c, r"CPU #1 has made no step before this position")
    equal(steps(c), steps(b), out)
    contains(d, harness.NO_HISTORY)
    contains(d, r'^\* 2 +Thread 2 "CPU#1" \(running, ')


def claim_who_has_listed_the_threads_steps_back_the_one_that_stopped():
    """As gdb asks: `info threads` selects the others, and not the first again, whose registers it has."""
    with Server("--machine", "virt", "--smp", "2", guest=guest()) as s:
        rsp = s.client()
        rsp.ask("qSupported:swbreak+")
        for _ in range(9):
            rsp.ask("vCont;s:1")
        before = steps(rsp.monitor("info cpus"))
        rsp.ask("Hg2")
        rsp.ask("Hc0")
        rsp.ask("bs")
        equal(steps(rsp.monitor("info cpus"))[0], before[0] - 1)


def claim_cpus_are_held_on_a_branch_that_begins_in_the_past():
    out = run(["break second_loop if $x1 == 50", "continue", "delete", "monitor seek -300", "continue", "monitor branch held", "thread 1",
               "set scheduler-locking on", "break first_loop", "monitor info cpus", "echo |\\n", "continue", "continue", "continue",
               "monitor info cpus", "echo |\\n", "delete", "monitor branch drop", "set scheduler-locking off", "continue",
               "monitor info cpus"])
    a, b, c = [steps(part) for part in out.split("|\n")]
    lacks(out, "cannot hold")
    check(b[0] > a[0] and b[1] == a[1], out)
    equal(c, a, out)


def claim_seek_goes_to_where_a_cpu_has_made_so_many_steps():
    out = run(["break second_loop if $x1 == 50", "continue", "delete", "monitor seek cpu 1 7", "continue", "monitor info cpus", "echo |\\n",
               "monitor seek cpu 0 123", "reverse-continue", "monitor when", "echo |\\n", "monitor seek cpu 1 1_000_000"])
    a, b, c = out.split("|\n")
    equal((steps(a)[1], steps(b)[0]), (7, 123), out)
    contains(c, r"CPU 1 has made \d+ steps up to position \d+, where history ends")
    out = run(["monitor seek cpu 2 1"])
    contains(out, "there are CPUs 0 to 1")


def claim_a_breakpoint_of_another_thread_stops_a_step():
    """gdb on the whole: CPU 1 is asked to step while it is the other one's turn, which comes to a breakpoint."""
    with pair() as s:
        out = gdb(s, ["break second_loop", "continue", "delete", "thread 1", "stepi", "break first_loop", "thread 2", "stepi",
                      "info threads", "monitor info cpus", "stepi", "monitor info cpus"], symbols=guest())
    contains(out, r'^Thread 1 "CPU#0" hit Breakpoint 2, first_loop')


def pair():
    return Server("--machine", "virt", "--smp", "2", "--interleave", "quantum=10000", guest=guest())


def first_ones_turn(c, past=False):
    """The second CPU stands at its loop, and it is the first one's turn, at the live edge or long before it. How many steps each
    has made."""
    c.ask("qSupported:swbreak+;vContSupported+")
    c.ask(f"Z0,{address_of('second_loop'):x},4")
    contains(c.ask("vCont;c"), "thread:2;.*swbreak")
    c.ask(f"z0,{address_of('second_loop'):x},4")
    contains(c.ask("vCont;s:1;c"), "thread:1;")
    if past:
        here = c.position()
        for where in here + 200000, here:
            c.monitor("seek %d" % where)
            c.ask("vCont;c")
            equal(c.position(), where)
    return steps(c.monitor("info cpus"))


def claim_a_step_alone_is_answered_for_its_own_thread():
    """gdb steps off a breakpoint by a step of one thread without the others, and an answer of another thread's is one that it
    cannot understand. The hit is not lost: the next run stops there at once."""
    with pair() as s:
        c = s.client()
        first, here = address_of("first_loop"), first_ones_turn(c, past=True)
        c.ask(f"Z0,{first:x},4")
        lacks(c.ask("vCont;s:2"), "thread:1;")
        there = steps(c.monitor("info cpus"))
        check(there[1] == here[1] and there[0] > here[0], here, there)
        contains(c.ask("vCont;c"), "thread:1;.*swbreak")
        equal(steps(c.monitor("info cpus")), there)
        contains(c.ask("vCont;s:2;c"), "thread:1;.*swbreak")
        c.ask(f"z0,{first:x},4")
        contains(c.ask("vCont;s:2;c"), "thread:2;")
        equal(steps(c.monitor("info cpus"))[1], here[1] + 1)


def claim_the_same_step_again_and_a_run_back_of_one_pass_over_the_hits_of_others():
    """What gdb does with scheduler-locking: nobody else's stop is one that it could make sense of, and it does not give up."""
    with pair() as s:
        c = s.client()
        first, second, here = address_of("first_loop"), address_of("second_loop"), first_ones_turn(c, past=True)
        c.ask(f"Z0,{first:x},4")
        contains(c.ask("vCont;s:2"), "thread:2;")
        equal(steps(c.monitor("info cpus"))[1], here[1])
        contains(c.ask("vCont;s:2"), "thread:2;")
        contains(c.console, r"passed over \d+ break- or watchpoint hits of other CPUs")
        equal(steps(c.monitor("info cpus"))[1], here[1] + 1)
        # Backwards: to the thread's own hit before, though the other one has come to its breakpoint since.
        c.ask(f"Z0,{second:x},4")
        contains(c.ask("vCont;c"), "thread:2;.*swbreak")
        there = steps(c.monitor("info cpus"))
        c.ask("Hc2")
        contains(c.ask("bc"), "thread:2;.*swbreak")
        contains(c.console, "passed over")
        now = steps(c.monitor("info cpus"))
        check(now[1] < there[1] and now[0] < there[0], now, there)
        c.ask("Hc0")
        c.ask(f"z0,{second:x},4")
        contains(c.ask("bc"), "thread:1;.*swbreak")
        contains(c.monitor("info registers"), r"^CPU #0$")


def claim_a_step_alone_at_the_live_edge_holds_the_others():
    """Also those whose turn it is: gdb believes that they stand, and does not ask for their registers again."""
    with tempfile.TemporaryDirectory() as directory:
        name = os.path.join(directory, "r.hcrec")
        with Server("--machine", "virt", "--smp", "2", "--interleave", "quantum=10000", "--record", name, guest=guest()) as s:
            out = gdb(s, ["break second_loop", "continue", "delete", "thread 1", "stepi", "monitor info cpus", "echo |\\n",
                          "thread 2", "set scheduler-locking on"] + ["stepi"] * 7 + ["monitor info cpus", "info threads", "echo |\\n",
                          "set $cached = $pc", "thread 1", "set $cached = $pc", "maintenance flush register-cache", "print $cached == $pc",
                          "stepi", "stepi", "monitor info cpus", "echo |\\n",
                          "set scheduler-locking off", "break second_loop if $x1 > 20", "continue", "info threads", "echo |\\n",
                          "monitor seek 12000", "reverse-continue", "set scheduler-locking on", "thread 1", "stepi", "thread 2", "stepi",
                          "monitor info cpus"], symbols=guest())
        a, b, c, d, e = out.split("|\n")
        made = [steps(part) for part in (a, b, c)]
        equal(made[1], [made[0][0], made[0][1] + 7])
        equal(made[2], [made[1][0] + 2, made[1][1]])
        contains(b, r'^  1 +Thread 1 "CPU#0" \(held, ')
        contains(c, r"^\$1 = 1$")
        lacks(a + b + c, "maintenance flush")
        lacks(d, r"\(held, ")
        contains(e, "hindcast: other CPUs have made steps, too, as they did")
        p = subprocess.run([harness.HINDCAST, "verify", name], capture_output=True, text=True, timeout=harness.patience(60))
        equal(p.returncode, 0, p.stdout + p.stderr)


def claim_leaving_a_breakpoint_leaves_no_trace():
    """gdb does it by a step of that thread alone: what happens is what would have happened without a debugger."""
    def made(commands):
        with pair() as s:
            return contains(gdb(s, commands + ["delete", "monitor seek 40000", "continue", "monitor info hash"], symbols=guest()), r"(?s)hash.*")
    hits = made(["break second_loop", "break first_loop"] + ["continue"] * 40)
    equal(hits[0], made([])[0])


def without(name, key):
    """The recording has another key in the place of that one (which readers do not know)."""
    def change(payload, _):
        check(key in payload, "it has the key")
        payload[:] = payload.replace(key, b"x" * len(key))
    test_record.change_chunk(name, b"CONF", 0, change)


def claim_the_turns_are_those_of_the_recording():
    def verify(name):
        return subprocess.run([harness.HINDCAST, "verify", name], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.patience(60)).returncode

    with tempfile.TemporaryDirectory() as directory:
        two = ["--machine", "virt", "--smp", "2"]
        name = harness.record_to(directory, [250000], *two, guest())
        with open(name, "rb") as f:
            equal(hcrec.Recording(f.read()).config["interleave"], "quantum=100000", "the usual turns are in it")
        equal(verify(name), 0)
        without(name, b"interleave")
        check(verify(name) != 0, "one that does not say so had others")
        os.unlink(name)
        name = harness.record_to(directory, [250000], *two, "--interleave", "quantum=10000", guest())
        without(name, b"interleave")
        equal(verify(name), 0, "of 10000 steps")


def claim_scheduler_locking_holds_the_others_and_the_recording_replays_it():
    with tempfile.TemporaryDirectory() as directory:
        name = os.path.join(directory, "r.hcrec")
        with Server("--machine", "virt", "--smp", "2", "--interleave", "quantum=10000", "--record", name, "--checkpoints-in-file", "every=1000", guest=guest()) as s:
            # The breakpoint is off while the other one runs, or it would be a step of the held one's that hits it.
            out = gdb(s, ["break second_loop if $x1 == 50", "continue", "delete", "monitor info cpus", "echo |\\n",
                          "thread 2", "set scheduler-locking on", "break second_loop if $x1 == 1000", "continue",
                          "info threads", "monitor info cpus", "echo |\\n",
                          "delete", "watch *(long *)&counter if *(long *)&counter == 20", "set scheduler-locking off", "reverse-continue",
                          "info threads", "echo |\\n",
                          "set scheduler-locking on", "thread 1", "continue", "monitor when", "echo |\\n",
                          "delete", "set scheduler-locking off", "break first_loop if *(long *)&counter2 > 1010", "continue",
                          "info threads", "stepi", "monitor info cpus"],
                      symbols=guest())
            before, held, past, refused, free = out.split("|\n")
            a, b, d = steps(before), steps(held), steps(free)
            equal(b[0], a[0], "CPU #0 made no step meanwhile")
            check(b[1] > a[1] + 3000, out)
            contains(held, r'^  1 +Thread 1 "CPU#0" \(held, ')
            contains(held, r'^\* 2 +Thread 2 "CPU#1" \(running, ')
            contains(held, r"CPU #0: pc=0x[0-9a-f]+, held, %d steps" % b[0])
            contains(past, r'^Thread 1 "CPU#0" hit Hardware watchpoint')
            lacks(past, r"\(held, ")
            contains(refused, r"hindcast: cannot hold a CPU in the past: .*monitor seek \d+")
            contains(free, r'^Thread 1 "CPU#0" hit Breakpoint')
            check(d[0] == b[0] + 1 and d[1] > b[1], out)
            lacks(free, r"\(held, |, held, ")
        p = subprocess.run([harness.HINDCAST, "verify", name], capture_output=True, text=True, timeout=harness.patience(60))
        equal(p.returncode, 0, p.stdout + p.stderr)
        p = subprocess.run([harness.HINDCAST, "info", name], capture_output=True, text=True, timeout=harness.patience(60))
        contains(p.stdout, r"CPUs held or let go +2|2 .*CPUs held or let go")
        with Server("--replay", name, guest=None) as s:
            c = s.client()
            c.ask("qSupported:swbreak+;vContSupported+")
            c.ask(f"Z0,{address_of('second_loop'):x},4")
            contains(c.ask("vCont;c:2"), "^T02")
            contains(c.ask("vCont;c"), "swbreak")


def claim_queries_see_what_was_done_while_cpus_were_held():
    """History in which CPUs are held and let go, again and again: what machines of the query's own find, beginning at any
    checkpoint, is what happened, in the session and in its recording."""
    second, address = address_of("second_loop"), address_of("counter2")

    def answers(rsp, query):
        lines = rsp.monitor(query).splitlines()
        return [line for line in lines if line.startswith("position=")], lines[-1]

    with tempfile.TemporaryDirectory() as directory:
        name = os.path.join(directory, "r.hcrec")
        with Server("--machine", "virt", "--smp", "2", "--interleave", "quantum=10000", "--record", name, "--checkpoints-in-file", "every=1000", guest=guest()) as s:
            rsp = s.client()
            rsp.ask("qSupported:swbreak+;vContSupported+")
            rsp.ask(f"Z0,{second:x},4")
            contains(rsp.ask("vCont;c"), "thread:2;")
            rsp.ask(f"z0,{second:x},4")
            places = []
            for n in range(12):
                # Three stretches each: both run, the second one alone, the first one alone.
                who = ("vCont;c", "vCont;c:2", "vCont;c:1")[n % 3]
                rsp.monitor("seek +%d" % (500 + 70 * n))
                before = steps(rsp.monitor("info cpus"))
                rsp.ask(who)
                places.append((rsp.position(), before, steps(rsp.monitor("info cpus")), who))
                rsp.monitor("checkpoint")
            edge = rsp.position()
            for _, before, after, who in places:
                check((before[0] == after[0] or who != "vCont;c:2") and (before[1] == after[1] or who != "vCont;c:1"), places)
            made, end = answers(rsp, "writes %#x 8" % address)
            values = [int(contains(line, r" new=(0x[0-9a-f]+)").group(1), 16) for line in made]
            equal(values, list(range(1, len(values) + 1)), end)
            check(all(" cpu=1 " in line for line in made) and len(made) > 300, made[:3], end)
            for threads in 1, 3:
                equal(answers(rsp, "writes %#x 8 threads %d" % (address, threads))[0], made)
                equal(answers(rsp, "writes %#x 8 newest first threads %d" % (address, threads))[0], made[::-1])
            # Nothing while it was held, and all the rest when it was not.
            for i, (place, before, after, who) in enumerate(places[1:], 1):
                inside = [line for line in made if places[i - 1][0] <= int(contains(line, r"^position=(\d+)").group(1)) < place]
                check(len(inside) == 0 if who == "vCont;c:1" else abs(len(inside) - (after[1] - before[1]) / 4) <= 1, place, who, len(inside))
            rsp.monitor("seek %d" % (edge // 2))
            rsp.ask("bc")
            equal(answers(rsp, "writes virt:%#x 8" % address)[0], made)
        p = subprocess.run([harness.HINDCAST, "verify", name, "--from", "checkpoints"], capture_output=True, text=True,
                           timeout=harness.patience(60))
        equal(p.returncode, 0, p.stdout + p.stderr)
        for more in [], ["--ignore-checkpoints"]:
            with Server("--replay", name, *more, guest=None) as s:
                rsp = s.client()
                rsp.monitor("seek %d" % edge)
                rsp.ask("c")
                equal(rsp.position(), edge)
                equal(answers(rsp, "writes %#x 8" % address)[0], made, "replayed")
                contains(rsp.monitor("writes %#x 8 limit 1 if $x1 > 100" % address), r" new=0x65\b")


def claim_an_armed_seek_past_the_edge_holds_whom_gdb_holds_and_in_the_past_nobody():
    out = run(["break second_loop if $x1 == 50", "continue", "monitor info cpus", "echo |\\n",
               "set scheduler-locking on", "monitor seek +5000", "continue", "info threads", "monitor info cpus", "echo |\\n",
               "monitor seek 100", "reverse-continue", "thread 2", "monitor seek +1000", "continue", "info threads", "monitor when", "echo |\\n",
               "monitor seek end", "continue", "set scheduler-locking off", "monitor seek +30000", "continue", "info threads", "monitor info cpus"])
    a, b, past, c = out.split("|\n")
    equal(steps(b)[0], steps(a)[0], out)
    check(steps(b)[1] > steps(a)[1] + 4990, out)
    contains(b, r'^\* 2 +Thread 2 "CPU#1" \(running, ')
    contains(b, r'^  1 +Thread 1 "CPU#0" \(held, ')
    contains(past, r"^position 1100, ")
    lacks(past, r"\(held, |cannot hold")
    lacks(c, r"\(held, ")
    check(steps(c)[0] > steps(b)[0] + 100 and steps(c)[1] > steps(b)[1] + 100, out)


def claim_an_armed_seek_waits_until_gdb_has_stepped_each_thread_off_its_breakpoint():
    out = run(["break second_loop", "break first_loop", "continue", "info threads", "watch *(long *)&counter if *(long *)&counter == 1000000",
               "thread 1", "monitor seek 4000", "continue", "monitor when", "thread 2", "monitor seek 3000", "reverse-continue", "monitor when",
               "thread 1", "monitor seek 5000", "stepi", "monitor when", "stepi"])
    contains(out, r"^position 4000, ")
    contains(out, r"^position 3000, ")
    contains(out, r"the seek to position 5000 was disarmed by a step")
    lacks(out, r"^armed: ")


def claim_an_interrupt_while_the_others_are_held_is_the_running_threads():
    with pair() as s:
        c = s.client()
        c.ask("qSupported:swbreak+;vContSupported+")
        c.ask(f"Z0,{address_of('second_loop'):x},4")
        c.ask("vCont;c")
        c.ask(f"z0,{address_of('second_loop'):x},4")
        before = steps(c.monitor("info cpus"))
        c.send("vCont;c:2")
        time.sleep(0.2)
        c.interrupt()
        contains(c.receive().decode(), "^T02.*thread:2;")
        after = steps(c.monitor("info cpus"))
        check(after[0] == before[0] and after[1] > before[1], before, after)
        # A step of the one that is held, alone: it goes, and the other one stands.
        contains(c.ask("vCont;s:1"), "thread:1;")
        equal(steps(c.monitor("info cpus")), [before[0] + 1, after[1]])
        lacks(c.monitor("info cpus"), "CPU #0:.* held")


def claim_who_waits_for_another_to_begin_it_stops_if_all_others_are_held():
    boards = ((pair(), "CPU #1 waits for PSCI's CPU_ON"), (Server("--smp", "2", harness.STORE, guest=None), "CPU #1 waits for a SIPI"))
    for server, why in boards:
        with server as s:
            c = s.client()
            c.ask("qSupported:swbreak+;vContSupported+")
            for run in "vCont;c:2", "vCont;s:2":
                contains(c.ask(run), "^T02.*thread:2;")
                contains(c.console, why + ", and all others are held")
                c.console = ""
            before = steps(c.monitor("info cpus"))
            c.ask("vCont;s:1;c")
            equal(steps(c.monitor("info cpus")), [before[0] + 1, 0])


def claim_a_step_alone_leaves_held_who_is():
    with pair() as s:
        c = s.client()
        c.ask("qSupported:swbreak+;vContSupported+")
        c.ask(f"Z0,{address_of('second_loop'):x},4")
        c.ask("vCont;c")
        c.ask("vCont;s:2")
        lacks(c.monitor("info cpus"), "held")          # so gdb steps off a breakpoint
        contains(c.ask("vCont;c:2"), "swbreak")
        before = steps(c.monitor("info cpus"))
        c.ask("vCont;s:2")
        contains(c.monitor("info cpus"), "held")
        equal(steps(c.monitor("info cpus")), [before[0], before[1] + 1])


def claim_a_breakpoint_is_left_in_the_past_by_a_continue_alone():
    """So gdb steps off one at a load-exclusive: with it taken out, and others behind the sequence."""
    with pair() as s:
        c = s.client()
        second, store = address_of("second_loop"), address_of("second_store")
        c.ask("qSupported:swbreak+;vContSupported+")
        c.ask(f"Z0,{second:x},4")
        c.ask("vCont;c")
        c.ask("vCont;s:2")
        c.ask("vCont;c")
        c.ask("Hc2")
        contains(c.ask("bc"), "thread:2;.*swbreak")
        c.ask(f"z0,{second:x},4")
        c.ask(f"Z0,{store:x},4")
        contains(c.ask("vCont;c:2"), "thread:2;.*swbreak")
        contains(c.ask("vCont;c:2"), "^T02")            # not the same: nothing was taken out
        contains(c.console, "cannot hold a CPU in the past")


def claim_who_detaches_holds_nobody_any_more():
    with pair() as s:
        c = s.client()
        c.ask("qSupported:swbreak+;vContSupported+")
        c.ask(f"Z0,{address_of('second_loop'):x},4")
        c.ask("vCont;c")
        c.ask("vCont;s:2")
        c.ask("vCont;c:2")
        before = steps(c.monitor("info cpus"))
        contains(c.monitor("info cpus"), "#0: .*held")
        equal(c.ask("D"), "OK")
        c.close()
        c = s.client()
        after = steps(c.monitor("info cpus"))
        lacks(c.monitor("info cpus"), "held")
        # (Its turn may not have come yet.)
        c.monitor("replay_break %d" % (c.position() + 30000))
        c.ask("vCont;c")
        after = steps(c.monitor("info cpus"))
        check(after[0] > before[0], before, after)


def claim_a_thread_steps_out_of_its_own_range():
    with pair() as s:
        c = s.client()
        second = address_of("second_loop")
        c.ask("qSupported:swbreak+;vContSupported+")
        c.ask(f"Z0,{second:x},4")
        c.ask("vCont;c")
        c.ask(f"z0,{second:x},4")
        before = steps(c.monitor("info cpus"))
        contains(c.ask(f"vCont;r{second:x},{second + 4:x}:2;c:1"), "thread:2;")
        equal(steps(c.monitor("info cpus"))[1], before[1] + 1)
        contains(c.ask(f"vCont;s:1;r{second - 16:x},{second + 4:x}:2"), "thread:1;")
        now = steps(c.monitor("info cpus"))
        check(now[0] == before[0] + 1 and now[1] > before[1] + 1, before, now)


def claim_tracepoints_hit_on_each_cpu_and_a_frame_has_the_registers_of_the_one_that_hit():
    with Server("--machine", "virt", "--smp", "2", "--interleave", "quantum=100", guest=guest()) as s:
        out = gdb(s, r"""
monitor seek 400
continue
tvariable $n = 0
trace first_loop
actions
teval $n = $n + 1
end
trace *&second_store
actions
while-stepping 2
collect $regs
end
end
tstart
monitor seek 1000
continue
tstop
python
import json, re
def number(text): return int(gdb.parse_and_eval(text)) & (2 ** 64 - 1)
first, second, loop = (number("(unsigned long)&%s" % n) for n in ("first_loop", "second_store", "second_loop"))
steps = [json.loads(l) for l in gdb.execute("monitor trace 400 1000 --json", to_string=True).splitlines()][:-1]
wanted, left = [], {}
for x in steps:
    pc = int(x["pc"], 16)
    if pc in (first, second):
        wanted.append((x["position"], x["cpu"], pc))
stepped = 0
found, values = [], []
gdb.execute("tfind start", to_string=True)
while number("$trace_frame") != 2 ** 64 - 1:
    at = int(re.search(r"position (\d+)", gdb.execute("monitor when", to_string=True)).group(1))
    pc = number("$pc")
    if pc in (first, second):
        found.append((at, 0 if pc == first else 1, pc))
        if pc == first:
            values.append(number("$n"))
            assert number("$x1") == number("*(long *)&counter"), at
        else:
            assert number("$x1") == number("*(long *)&counter2") + 1, at
    else:
        stepped += 1
    gdb.execute("tfind", to_string=True)
print("SAME" if found == wanted else "DIFFERENT", len(found), {c for _, c, _ in found})
if found != wanted: print(found[:20], wanted[:20])
seconds = sum(c for _, c, _ in found)
print("STEPS", 0 <= 2 * seconds - stepped <= 2, seconds, stepped)
print("COUNTED", values == list(range(1, len(values) + 1)), len(values))
end
""", symbols=guest())
        contains(out, r"^SAME \d{2,} \{0, 1\}$")
        contains(out, r"^STEPS True")
        contains(out, r"^COUNTED True \d\d+")


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.AARCH64,))
