#!/usr/bin/env python3
"""A real lldb: a thread is a CPU, with its name, and the one that stopped says why."""

import re
import subprocess
import sys
import tempfile

import harness
from harness import Failed, Server, check, contains, equal, lacks, patience, record_until
from test_threads import guest


def lldb(where, commands, symbols):
    """Run an lldb on a script of commands. Gives back what it printed."""
    arguments = [harness.lldb(), "--no-lldbinit"]  # --batch would end at a stop by what it takes for an exception
    for command in ["settings set use-color false", "settings set auto-confirm true", "gdb-remote " + where] + commands + ["quit"]:
        arguments += ["-o", command]
    try:
        r = subprocess.run(arguments + [symbols], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=patience(90))
    except subprocess.TimeoutExpired as e:
        raise Failed("lldb did not come to an end; so far:\n%s" % (e.stdout or b"").decode("utf-8", "replace"))
    return r.stdout.decode("utf-8", "replace")


def threads(out, number):
    """What the number-th `thread list` says: (current, name, reason) of each thread."""
    lists = re.split(r"^\(lldb\) thread list$", out, flags=re.M)
    if number >= len(lists):
        raise Failed("too few lists in:\n" + out)
    text = lists[number].split("(lldb)")[0]
    return [(mark == "*", name, reason) for mark, name, reason in
            re.findall(r"^([* ]) thread #\d+: tid = .*?name = '([^']*)'(?:, stop reason = (.*))?$", text, re.M)]


def claim_each_thread_has_its_name_and_who_stopped_says_why():
    with Server("--machine", "virt", "--smp", "2", "--interleave", "quantum=10000", guest=guest()) as s:
        out = lldb(s.where, ["thread list", "breakpoint set -n second_loop", "continue", "thread list", "breakpoint delete -f",
                             "thread step-inst", "thread list",
                             "watchpoint set expression -w write -s 8 -- &counter2", "continue", "thread list", "watchpoint delete -f",
                             "process plugin packet monitor seek 5000", "continue", "thread list"], guest())
    equal(threads(out, 1)[1], (False, "CPU#1", ""), out)
    equal(threads(out, 2), [(False, "CPU#0", ""), (True, "CPU#1", "breakpoint 1.1")], out)
    equal(threads(out, 3), [(False, "CPU#0", ""), (True, "CPU#1", "instruction step into")], out)
    equal(threads(out, 4), [(False, "CPU#0", ""), (True, "CPU#1", "watchpoint 1")], out)
    equal([reason for _, _, reason in threads(out, 5)], ["position 5000", ""], out)


def claim_a_seek_is_armed_until_lldb_has_stepped_off_its_breakpoint():
    with Server("--machine", "virt", "--smp", "2", "--interleave", "quantum=10000", guest=guest()) as s:
        out = lldb(s.where, ["breakpoint set -n second_loop", "continue", "process plugin packet monitor seek 12345", "continue",
                             "process plugin packet monitor when", "thread list", "process plugin packet monitor seek 4000", "thread step-inst",
                             "process plugin packet monitor when", "echo end"], guest())
    contains(out, r"^position 12345, ")
    equal([reason for _, _, reason in threads(out, 1) if reason], ["position 12345"], out)
    lacks(out, r"^armed: ")


def claim_the_ends_are_named():
    with tempfile.TemporaryDirectory() as directory:
        name = record_until(directory, b"audit passed", harness.STORE)
        with Server("--replay", name, guest=None) as s:
            out = lldb(s.where, ["continue", "thread list", "process plugin packet monitor seek 3000000", "continue", "thread list"], harness.STORE)
        equal([reason for _, _, reason in threads(out, 1)], ["end of the recording"], out)
        equal([reason for _, _, reason in threads(out, 2)], ["position 3000000"], out)
    with Server(guest=harness.build_guest("mov $0x15, %al; out %al, $0xf4; jmp .")) as s:
        out = lldb(s.where, ["continue", "thread list"], harness.STORE)
        check([reason for _, _, reason in threads(out, 1)][0] in ("end of the guest",), out)


if __name__ == "__main__":
    if not harness.lldb():
        print("skipped: no lldb")
        sys.exit(77)
    harness.main(sys.modules[__name__])
