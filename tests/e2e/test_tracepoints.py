"""gdb's tracepoints over history: a real gdb's trace, tstart, tfind and the rest, compared with what a client finds that
makes every step one by one."""
import os
import re
import sys
import tempfile

import harness
from harness import Server, check, contains, equal, gdb, lacks, build_c_guest

SOURCE = r"""
#include <stdint.h>
volatile uint32_t counter, sum;
volatile char text[16] = "tracepoint";
__attribute__((noinline)) int leaf(int a, int b) { int c = a * 3 + b; counter += a; return c; }
__attribute__((noinline)) int tree(int depth) { return depth ? tree(depth - 1) + leaf(depth, 1) : 7; }

int main(void)
{
    for (int i = 0; i < 3; i++)
        sum += tree(4);
    for (;;)
        counter++;
}
"""
STEPS = 1500
guests = {}


def guest():
    name = harness.target.name
    if name not in guests:
        guests[name] = build_c_guest(SOURCE, "tracepoints", ("-O0", "-g", "-fno-pic"))[1]
    return guests[name]


def session(commands, *arguments, **more):
    """What gdb prints in a session that begins at the first instruction."""
    with Server(*arguments, guest=guest()) as s:
        return gdb(s, PYTHON + commands, symbols=guest(), **more)


PYTHON = r"""
python
import re
STEPS = %d
def position():
    return int(re.search(r"position (\d+)", gdb.execute("monitor when", to_string=True)).group(1))
def run_to(n):
    gdb.execute("monitor seek %%d" %% n, to_string=True)
    gdb.execute("continue", to_string=True)
def number(text):
    return int(gdb.parse_and_eval(text))
def steps(end=STEPS):
    "Every instruction from here on: (position, pc)"
    out = []
    while position() < end:
        out.append((position(), number("$pc")))
        gdb.execute("stepi", to_string=True)
    return out
def frames():
    "Of the experiment: (position, pc), by tfind"
    out = []
    gdb.execute("tfind start", to_string=True)
    while number("$trace_frame") >= 0:
        out.append((position(), number("$pc")))
        gdb.execute("tfind", to_string=True)
    return out
def refused(command):
    try:
        gdb.execute(command, to_string=True)
    except gdb.error as e:
        print("REFUSED %%s: %%s" %% (command, e))
    else:
        print("TAKEN %%s" %% command)
end
""" % STEPS


def claim_hits_are_those_that_single_stepping_finds():
    out = session(r"""
trace leaf
trace tree if depth == 2
tstart
python
run_to(STEPS)
gdb.execute("tstop")
found = frames()
run_to(0)
leaf, tree = (int(re.search(r"0x[0-9a-f]+", gdb.execute("info breakpoints %d" % n, to_string=True)).group(0), 16) for n in (1, 2))
wanted = []
while position() < STEPS:
    pc = number("$pc")
    if pc == leaf or (pc == tree and number("depth") == 2):
        wanted.append((position(), pc))
    gdb.execute("stepi", to_string=True)
print("SAME" if found == wanted else "DIFFERENT", len(found), found, wanted)
end
""")
    check(int(re.search(r"^SAME (\d+)", out, re.M).group(1)) >= 12, out) if re.search("^SAME", out, re.M) else contains(out, "SAME")


def claim_a_frame_stands_there_and_tfind_none_comes_back():
    out = session(r"""
trace leaf
actions
collect $args
end
tstart
python run_to(STEPS)
tstop
python here = (position(), number("$pc"))
tfind start
printf "A %d %d %d\n", a, b, counter
bt
tdump
tfind tracepoint 1
printf "B %d %d %d %d\n", a, $trace_frame, $tracepoint, sizeof(text)
p (char *)text
up
python refused("stepi")
python refused("continue")
python refused("reverse-stepi")
python refused("set var counter = 5")
python refused("monitor branch inside")
tfind 5
info frame
tfind none
python print("BACK" if (position(), number("$pc")) == here else "AWAY")
tfind end
tfind 2
tfind 99
python print("NOT", number("$trace_frame"))
stepi
python print("STEPPED", position() - here[0])
""")
    contains(out, r"^A 1 1 0$")
    contains(out, r"#0 .*leaf \(a=1, b=1\).*\n#1 .*tree \(depth=1\)")
    contains(out, r"Data collected at tracepoint 1, trace frame 0:\na = 1\nb = 1")
    contains(out, r"^B 2 1 1 16$")
    contains(out, r'"tracepoint"')
    for command in ("stepi", "continue", "reverse-stepi"):
        contains(out, "REFUSED " + command)
    contains(out, r"REFUSED set var")
    contains(out, r"REFUSED monitor branch")
    contains(out, r"^BACK$")
    contains(out, r"^NOT -1$")
    contains(out, r"^STEPPED 1$")


def claim_tfind_goes_by_pc_range_outside_and_line():
    out = session(r"""
trace leaf
trace tree
tstart
python run_to(STEPS)
tstop
python
def show(what):
    gdb.execute("tfind start", to_string=True)
    gdb.execute("tfind " + what, to_string=True)
    print("FOUND", what.split()[0], number("$trace_frame"), gdb.selected_frame().name())
leaf = int(re.search(r"0x[0-9a-f]+", gdb.execute("info breakpoints 1", to_string=True)).group(0), 16)
show("pc 0x%x" % leaf)
show("range 0x%x,0x%x" % (leaf, leaf + 4))
show("outside 0x%x,0x%x" % (leaf, leaf + 4))
show("line leaf")
show("tracepoint 1")
gdb.execute("tfind none")
end
""")
    # tree(4) to tree(0), then leaf.
    for how in ("pc", "range", "line", "tracepoint"):
        contains(out, r"^FOUND %s 5 leaf$" % how)
    contains(out, r"^FOUND outside 1 tree$")


def claim_while_stepping_collects_the_steps_that_follow():
    out = session(r"""
trace leaf
passcount 2
actions
collect $regs
while-stepping 4
collect counter
end
end
tstart
python run_to(STEPS)
tstatus
python
found = frames()
wanted = []
for at, pc in (found[0], found[5]):
    run_to(at)
    wanted += steps(at + 4) + [(position(), number("$pc"))]
print("SAME" if found == wanted else "DIFFERENT", found, wanted)
gdb.execute("tfind 1")
gdb.execute("tdump")
end
""")
    contains(out, r"Trace stopped by tracepoint 1\.")
    contains(out, r"Collected 10 trace frames")
    contains(out, r"^SAME")
    contains(out, r"Data collected at tracepoint 1, trace frame 1:\ncounter = 0")


def claim_variables_count_and_each_frame_has_its_own():
    out = session(r"""
tvariable $calls = 10
trace leaf if $calls < 15
actions
teval $calls = $calls + 1
collect $calls
end
tstart
python run_to(STEPS)
tstop
info tvariables
tfind 2
printf "CALLS %d\n", $calls
tfind none
tstatus
""")
    contains(out, r"\$calls\s+10\s+15")
    contains(out, r"^CALLS 13$")
    contains(out, r"Collected 5 trace frames")


def claim_history_already_made_is_traced_without_running():
    out = session(r"""
python
run_to(STEPS)
gdb.execute("trace leaf")
gdb.execute("tstart")
gdb.execute("tstop")
print("NONE", len(frames()))
gdb.execute("monitor trace-history")
gdb.execute("tstart")
gdb.execute("tstop")
all = frames()
middle = all[len(all) // 2][0]
gdb.execute("monitor trace-history from %d to %d" % (middle, STEPS))
gdb.execute("tstart")
gdb.execute("tstop")
half = frames()
print("HALF" if half == all[len(all) // 2:] and len(all) == 12 and position() == STEPS else "WRONG", all, half, position())
gdb.execute("monitor trace-history off")
gdb.execute("tstart")
gdb.execute("tstop")
print("NONE", len(frames()))
gdb.execute("monitor trace-history from end to start")
end
""")
    equal(len(re.findall(r"^NONE 0$", out, re.M)), 2, out)
    contains(out, r"^HALF")
    contains(out, r"position .* is after")


def claim_fast_and_static_ones_buffers_and_switching_work():
    out = session(r"""
ftrace leaf
strace tree
set trace-buffer-size 60
tstart
python run_to(STEPS)
tstatus
set circular-trace-buffer on
python run_to(0)
tstart
python run_to(STEPS)
tstop
tstatus
set circular-trace-buffer off
set trace-buffer-size unlimited
python run_to(0)
tstart
disable 2
python run_to(STEPS)
tstop
info tracepoints
""")
    contains(out, r"Trace stopped because the buffer was full\.\nCollected 10 trace frames")
    contains(out, r"Collected 10 of 27 trace frames|Buffer contains 10 trace frames \(of 27 created total\)")
    contains(out, r"fast tracepoint(?:.*\n){1,3}.*already hit 12 times")


def claim_frames_are_saved_and_read_again():
    with tempfile.TemporaryDirectory() as d:
        out = session(r"""
trace leaf
actions
collect $regs, $args, counter, text
end
tstart
python run_to(STEPS)
tstop
tsave %s/f.tf
python refused("tsave -r %s/server")
tsave -ctf %s/f.ctf
""" % (d, d, d))
        contains(out, r"REFUSED tsave -r")
        check(os.path.getsize(d + "/f.tf") > 1000 and (os.path.isdir(d + "/f.ctf") or "unknown option" in out), out)
        check(not os.path.exists(d + "/server"))
        for what in ("tfile %s/f.tf" % d, "ctf %s/f.ctf" % d):
            if not os.path.exists(what.split()[1]):
                continue  # gdb 18 has no CTF
            with Server(guest=guest()) as s:
                out = gdb(s, r"""
disconnect
target %s
tfind 4
printf "READ %%d %%d %%d %%s\n", $trace_frame, a, counter, text
tfind end
""" % what, symbols=guest())
            if "not compiled in" in out or "Undefined target command" in out:
                continue
            contains(out, r"^READ 4 1 10 tracepoint")


def claim_an_experiment_goes_on_without_its_debugger_if_told_to():
    script = r"""
trace leaf
commands
collect $args
end
set disconnected-tracing %s
tstart
python run_to(%d)
"""
    for keep, words in (("on", "Trace is running on the target"), ("off", "Trace stopped because of disconnection")):
        with Server("-S", guest=guest()) as s:
            gdb(s, PYTHON + script % (keep, STEPS // 2) + "disconnect\n", symbols=guest())
            out = gdb(s, PYTHON + "python run_to(STEPS)\ntstatus\n" + "tstop\n" * (keep == "on") + "tfind start\nprintf \"FOUND %d\\n\", a\ninfo tracepoints\n",
                      symbols=guest())
            contains(out, words)
            contains(out, r"^FOUND 1$")
            contains(out, r"collect \$args")


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64))
