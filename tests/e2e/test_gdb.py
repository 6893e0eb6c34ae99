"""A real gdb in both directions, on the example guest: alive, and out of a recording."""
import os
import re
import subprocess
import sys
import tempfile

import harness
import rspclient
from harness import Server, check, contains, equal, gdb, lacks, line_of, live_only, replay_only

# What a state is, as far as gdb and the monitor can tell.
STATE_OF = r"""
python
VECTORS = %r
def state():
    registers = gdb.execute("info registers", to_string=True)
    vectors = "".join(gdb.execute("p " + r, to_string=True).split("=", 1)[1] for r in VECTORS)
    hash = gdb.execute("monitor info hash", to_string=True).splitlines()[0]
    return registers + vectors + hash
def position():
    import re
    return int(re.search(r"position (\d+)", gdb.execute("monitor when", to_string=True)).group(1))
end
"""


class State:
    """That script, for the present target."""

    def __add__(self, commands):
        return STATE_OF % (harness.target.words["vectors"],) + commands


STATE = State()


def claim_stepi_n_then_reverse_stepi_n_passes_the_same_states():
    with Server() as s:
        out = gdb(s, STATE + r"""
break timer_interrupt
continue
delete
python
N = 60
seen = [state()]
for i in range(N):
    gdb.execute("stepi", to_string=True)
    seen.append(state())
wrong = 0
for i in range(N - 1, -1, -1):
    gdb.execute("reverse-stepi", to_string=True)
    wrong += state() != seen[i]
for i in range(1, N + 1):
    gdb.execute("stepi", to_string=True)
    wrong += state() != seen[i]
print("distinct", len(set(seen)), "wrong", wrong)
end
""")
        contains(out, r"distinct 61 wrong 0")


def claim_stepping_over_interrupts_both_ways_is_symmetric():
    # The interrupt entry is a step of its own, and it is in this stretch.
    with Server() as s:
        out = gdb(s, STATE + r"""
break timer_entry
continue
continue
delete
python
for i in range(20):
    gdb.execute("reverse-stepi", to_string=True)
seen = [state()]
for i in range(60):
    gdb.execute("stepi", to_string=True)
    seen.append(state())
wrong = 0
for i in range(59, -1, -1):
    gdb.execute("reverse-stepi", to_string=True)
    wrong += state() != seen[i]
print("wrong", wrong)
end
""")
        contains(out, r"^wrong 0")


def claim_reverse_continue_stops_at_the_previous_hit():
    with Server() as s:
        out = gdb(s, STATE + r"""
break session_open
python
hits = []
for i in range(12):
    gdb.execute("continue", to_string=True)
    hits.append((position(), int(gdb.parse_and_eval("id")), state()))
wrong = 0
for i in range(10, -1, -1):
    gdb.execute("reverse-continue", to_string=True)
    wrong += (position(), int(gdb.parse_and_eval("id")), state()) != hits[i]
print("ids", [h[1] for h in hits], "wrong", wrong)
end
""")
        contains(out, r"ids \[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12\] wrong 0")


def claim_breakpoint_at_current_pc_is_not_reported_in_reverse():
    with Server() as s:
        out = gdb(s, """
tbreak kernel_main
continue
break kernel_main
reverse-continue
p/x $pc
""")
        contains(out, harness.NO_HISTORY)
        lacks(out, r"Breakpoint 2, ")


def claim_start_of_history_is_reported():
    with Server() as s:
        out = gdb(s, """
stepi
stepi
reverse-stepi
reverse-stepi
reverse-stepi
monitor when
reverse-continue
stepi
monitor when
""")
        equal(len(harness.re.findall(harness.NO_HISTORY, out)), 2, out)
        contains(out, r"position 0,")
        contains(out, r"position 1,")


def claim_a_write_watchpoint_reports_old_and_new_value_forward():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 5
continue
delete
watch sessions_opened
continue
continue
""")
        contains(out, r"Hardware watchpoint 2: sessions_opened\s+Old value = 4\s+New value = 5")
        contains(out, r"Old value = 5\s+New value = 6")
        line = line_of("sessions_opened++;")
        contains(out, r"^%d\s|store\.c:%d" % (line + 1, line + 1))


def claim_a_write_watchpoint_in_reverse_stops_before_the_write():
    with Server() as s:
        out = gdb(s, STATE + """
break session_open if id == 9
continue
delete
watch sessions_opened
reverse-continue
frame
print sessions_opened
reverse-continue
print sessions_opened
print s->id
continue
print sessions_opened
""")
        contains(out, r"Hardware watchpoint 2: sessions_opened\s+Old value = 8\s+New value = 7")
        contains(out, r"Old value = 7\s+New value = 6")
        contains(out, r"store\.c:%d" % line_of("sessions_opened++;"))
        contains(out, r"\$1 = 7\n")
        contains(out, r"\$2 = 6\n")
        contains(out, r"\$3 = 7\n")
        # Forward again: over the same write.
        contains(out, r"Old value = 6\s+New value = 7[^$]*\$4 = 7")


def claim_a_read_watchpoint_and_an_access_watchpoint_hit():
    with Server() as s:
        out = gdb(s, """
break serve
continue
delete
rwatch random_state
continue
delete
awatch random_state
continue
reverse-continue
""")
        contains(out, r"Hardware read watchpoint 2: random_state\s+Value = 20240229")
        contains(out, r"Hardware access \(read/write\) watchpoint 3: random_state")


def claim_conditions_hold_in_both_directions():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 40
continue
print id
break session_close if s->id == 17
reverse-continue
print s->id
disable 2
tbreak session_open if id == 30
continue
print id
""")
        contains(out, r"\$1 = 40")
        contains(out, r"\$2 = 17")
        contains(out, r"\$3 = 30")


def claim_conditions_are_evaluated_in_the_server():
    with Server() as s:
        out = gdb(s, """
set breakpoint condition-evaluation target
break session_open if id == 400
continue
info breakpoints
""")
        contains(out, r"Breakpoint 1, session_open \(id=400\)")
        contains(out, r"stop only if id == 400 \(target evals\)")


def claim_source_level_commands_work_backwards():
    with Server() as s:
        out = gdb(s, """
break entry_add
continue
finish
reverse-finish
reverse-finish
reverse-next
reverse-next
next
next
reverse-step
step
""")
        contains(out, r"Value returned is ")
        contains(out, r"serve \(id=")
        lacks(out, r"Cannot|error|Error")


def claim_reverse_next_passes_the_lines_that_next_passed():
    # Not their exact instructions: gdb may stop in mid-line where the compiler gave a line two entries.
    with Server() as s:
        out = gdb(s, STATE + r"""
break serve
continue
delete
python
line = lambda: gdb.selected_frame().find_sal().line
lines = [line()]
start = position()
for i in range(4):
    gdb.execute("next", to_string=True)
    lines.append(line())
back = [line()]
places = [position()]
while line() != lines[0] and len(back) < 20:
    gdb.execute("reverse-next", to_string=True)
    if line() != back[-1]:
        back.append(line())
    places.append(position())
print("same", back == lines[::-1], "falling", places == sorted(places, reverse=True), "inside", places[-1] >= start)
end
""")
        contains(out, r"same True falling True inside True")


@live_only
def claim_forward_past_the_live_edge_goes_on_live():
    with Server("--icount", "sleep=off") as s:
        out = gdb(s, STATE + r"""
break session_open
continue
python
edge = position()
gdb.execute("reverse-stepi", to_string=True)
gdb.execute("reverse-stepi", to_string=True)
before = position()
gdb.execute("continue", to_string=True)
again = position()
gdb.execute("continue", to_string=True)
print("before", before < edge, "again", again == edge, "beyond", position() > edge)
end
monitor when
""")
        contains(out, r"before True again True beyond True")
        contains(out, r"at the live edge")


def claim_a_write_in_the_past_makes_a_branch_and_leaves_the_past_as_it_was():
    with Server() as s:
        out = gdb(s, STATE + """
break session_open if id == 3
continue
reverse-stepi
python before = state()
set variable ticks = 7
set $SPARE = 7
print ticks
print $SPARE
monitor branch
stepi
monitor branch drop
continue
python print("same", state() == before)
print ticks == 7
monitor branch
""".replace("SPARE", harness.target.words["spare"]))
        contains(out, r"\$\d+ = 7\n\$\d+ = 7\non branch 1, which leaves the trunk at position \d+\n")
        contains(out, r"hindcast: branch 1 begins here, at position \d+; the trunk is what it was")
        contains(out, r"^same True\n\$\d+ = 0\non the trunk$")


@live_only
def claim_a_write_at_the_edge_is_part_of_history():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 3
continue
set variable random_state = 4711
set $SPARE = 0x12345678
print random_state
print/x $SPARE
tbreak session_open if id == 5
continue
reverse-continue
print/x $SPARE
print random_state
reverse-stepi
print random_state
""".replace("SPARE", harness.target.words["spare"]))
        contains(out, r"\$1 = 4711")
        contains(out, r"\$2 = 0x12345678")
        # Back at the breakpoint: its first arrival, before the writes, or after them; never elsewhere.
        contains(out, r"Breakpoint 1, session_open \(id=3\)")


def claim_monitor_seek_arms_the_next_continue():
    with Server() as s:
        out = gdb(s, STATE + r"""
break session_open if id == 10
continue
delete
python
there = position()
gdb.execute("monitor seek %d" % (there - 12345))
gdb.execute("reverse-continue")
first = position()
gdb.execute("monitor seek %d" % there)
gdb.execute("continue")
print("went", first == there - 12345, position() == there)
end
""")
        contains(out, r"went True True")


def claim_a_step_of_the_users_disarms_monitor_seek_and_when_says_what_is_armed():
    with Server() as s:
        out = gdb(s, STATE + r"""
break session_open if id == 10
continue
monitor seek 5000
monitor when
python
for command in ("stepi", "next", "reverse-stepi"):
    gdb.execute("monitor seek 5000")
    gdb.execute(command)
    print(command, "armed" in gdb.execute("monitor when", to_string=True))
# From a breakpoint gdb makes a step first: that does not.
gdb.execute("monitor seek 5000")
gdb.execute("reverse-continue")
gdb.execute("break *$pc")
gdb.execute("monitor seek 6000")
gdb.execute("continue")
print("went", position())
end
""")
        contains(out, r"^armed: the next continue or reverse-continue goes to position 5000$")
        equal(harness.re.findall(r"^\S+ (True|False)$", out, harness.re.M), ["False"] * 3)
        contains(out, r"^went 6000$")


def claim_monitor_seek_stays_armed_while_gdb_leaves_a_breakpoint():
    """It makes a step first, with its watchpoints in, and reads what they watch, and for a local variable, too, which frame
    it is in: that is no step of the user's."""
    for breaks, watch in (("break", "watch sessions_opened"), ("hbreak", "watch id"), ("break", "rwatch -l *(int *)$sp"),
                          ("break", "display/i $pc")):
        with Server() as s:
            out = gdb(s, STATE + r"""
%s session_open if id == 10
continue
%s
stepi
reverse-stepi
python
there = position() + 12345
gdb.execute("monitor seek %%d" %% there)
gdb.execute("continue")
print("went", position() == there)
gdb.execute("delete")
gdb.execute("break *$pc")
gdb.execute("monitor seek %%d" %% (there + 100))
gdb.execute("stepi")
gdb.execute("monitor seek %%d" %% (there + 100))
gdb.execute("stepi 3")
print("no more", "armed:" not in gdb.execute("monitor when", to_string=True))
gdb.execute("tbreak *$pc")
gdb.execute("stepi")
end
""" % (breaks, watch))
            contains(out, r"^went True$")
            contains(out, r"^no more True$")
            contains(out, r"^hindcast: the seek to position \d+ was disarmed by a step$")


@live_only
def claim_run_to_a_position_past_the_guests_output_keeps_gdb_in_step():
    with Server("--icount", "sleep=off", serial="gdb") as s:
        out = gdb(s, STATE + r"""
break audit
continue
delete
python
there = position() + 3000000
gdb.execute("run %d" % there)
print("stands", position() == there)
gdb.execute("stepi")
print("stepped", position() == there + 1)
gdb.execute("info registers PC")
end
""".replace("PC", harness.target.words["pc"]), connect="extended-remote " + s.where)
        contains(out, r"^stands True$")
        contains(out, r"^stepped True$")
        contains(out, r"audit passed")


def claim_extended_remote_run_goes_to_a_position():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 10
continue
delete
run 1000
monitor when
""", connect="extended-remote " + s.where)
        contains(out, r"position 1000,")


def claim_monitor_commands_answer():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 20
continue
monitor help
monitor info status
monitor info replay
monitor info registers
monitor info mem
monitor info devices
monitor info irq
monitor checkpoint
monitor savevm here
monitor info snapshots
monitor info checkpoints
monitor xp/4xw TEXT
printf "word 0x%08x\\n", *(unsigned *)TEXT
monitor last TEXT
monitor delvm here
monitor info snapshots
""".replace("TEXT", "0x%x" % harness.target.words["text"]))
        contains(out, r"reverse|seek")
        contains(out, r"^ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT$")
        contains(out, r"^--        here +[0-9.]+ [KMG]iB \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \d\d:\d\d:\d\d\.\d{3} +\d+$")
        contains(out, r"^(Recording execution in memory|Replaying execution '.+'): instruction count = \d+$")
        contains(out, r"^VM status: paused$")
        word = contains(out, r"^word (0x[0-9a-f]{8})").group(1)
        contains(out, r"%x: %s " % (harness.target.words["text"], word))
        contains(out, r"^There is no snapshot available\.$")
        contains(out, r"was not written since the beginning of history")
        contains(out, r"^(pic|gic):$")
        wide = 16 if harness.target.words["pc"] == "pc" else 8
        contains(out, r"^[0-9a-f]{%d}-[0-9a-f]{%d} -> [0-9a-f]{9,}  \d+ KiB$" % (wide, wide))


def claim_a_time_is_gone_to():
    with Server() as s:
        out = gdb(s, STATE + r"""
break session_open if id == 10
continue
python
import re
def now():
    return int(re.search(r"virtual time (\d+\.\d{9}) s", gdb.execute("monitor when", to_string=True)).group(1).replace(".", ""))
there, middle = position(), now() // 2
gdb.execute("monitor seek time %dns" % middle)
gdb.execute("reverse-continue")
print("at it", now() >= middle, position() < there)
gdb.execute("reverse-stepi")
print("before it", now() < middle)
for text in "1.2.3", "soon", ".", "1e99", "99999999999999999999999", "99999":
    try:
        gdb.execute("monitor seek time " + text)
    except gdb.error:
        pass
end
""")
        contains(out, r"^at it True True$")
        contains(out, r"^before it True$")
        for text in "1.2.3", "soon", r"\.", "1e99", "99999999999999999999999":
            contains(out, r"'%s' is no time" % text)
        contains(out, r"history ends at \d+\.\d{9} s")


def claim_monitor_says_what_a_snapshot_is_called_and_which_flash_bank_there_is_not():
    with Server() as s:
        rsp = s.client()
        name = contains(rsp.monitor("savevm"), r"^snapshot '(vm-\d{14})': loadvm \1$").group(1)
        contains(rsp.monitor("info snapshots"), name)
        try:
            text = rsp.monitor("save_flash 9 nowhere")
        except rspclient.RspError as e:
            text = str(e)
        contains(text, r"no flash bank 9: there are 0 and 1|this machine has no flash$")
        rsp.close()


def claim_names_beyond_the_memory_for_checkpoints_stay_places_and_that_is_said_once():
    with Server("--checkpoint-memory", "64K") as s:
        rsp = s.client()
        hashes = []

        def go(position):
            rsp.monitor("seek %d" % position)
            rsp.ask("c")
            return rsp.monitor("info hash")
        for n in range(1, 6):
            hashes.append(go(10000 * n))
            rsp.monitor("savevm n%d" % n)
        for n in range(5, 0, -1):
            rsp.monitor("loadvm n%d" % n)
            rsp.ask("bc" if n < 5 else "c")
            equal(rsp.monitor("info hash"), hashes[n - 1])
        s.wait_errors(r"no memory is left for the checkpoint of 'n\d': going there")
        equal(s.errors.count("no memory is left"), 1)
        contains(rsp.monitor("info snapshots"), r"n1 [^$]* n5 ")
        contains(rsp.monitor("info checkpoints"), r"[012] pinned")


@harness.live_only
def claim_going_to_where_one_stands_makes_no_step():
    with Server() as s:
        out = gdb(s, "break pool_free\ncontinue\nmonitor when\nmonitor savevm here\nmonitor loadvm here\ncontinue\nmonitor when\n"
                     "monitor seek +0\ncontinue\nmonitor when\ncontinue\nmonitor when")
        places = re.findall(r"^position (\d+), .* at the live edge$", out, re.M)
        check(len(places) == 4 and places[0] == places[1] == places[2] != places[3], out)


@harness.live_only
def claim_memory_for_checkpoints_is_a_gigabyte_and_a_copy_of_the_guest_unless_it_is_said():
    for words, mib in (("-m", "64"), "1088.0"), (("-m", "64", "--checkpoint-memory", "32M"), "32.0"):
        with Server(*words) as s:
            text = s.client().monitor("info checkpoints")
            contains(text, r"(?m) of %s MiB$" % re.escape(mib))
            check("more than" not in text, text)
    with Server("--checkpoint-memory", "1K") as s:
        rsp = s.client()
        rsp.monitor("seek 10000")
        contains(rsp.monitor("info checkpoints"), r"(?m)^more than --checkpoint-memory: the oldest and the newest stay")


def claim_a_list_of_many_checkpoints_is_a_summary():
    with Server() as s:
        rsp = s.client()
        for n in range(1, 41):
            rsp.monitor("seek %d" % (1000 * n))
            rsp.ask("c")
            rsp.monitor("checkpoint")
        everything = rsp.monitor("info checkpoints all").splitlines()
        some = rsp.monitor("info checkpoints").splitlines()
        check(len(everything) > 40, everything)
        check(len(some) < 25, some)
        left = len(everything) - len(some) + 1
        contains("\n".join(some), r"\.\.\.  %d more, one each \d+ instructions" % left)
        equal([line for line in some if "more, one" not in line], some[:2] + everything[2:7] + everything[7 + left:])
        rsp.close()


def claim_monitor_last_finds_the_last_write_and_the_next_continue_goes_there():
    elf_symbol = harness.symbol(harness.target.store, "sessions_opened")
    with Server() as s:
        out = gdb(s, """
break session_open if id == 12
continue
monitor when
monitor last 0x%x 4
monitor when
continue
print sessions_opened
print id
""" % elf_symbol)
        when = harness.re.findall(r"^position (\d+)", out, harness.re.M)
        equal(when[0], when[1], "the search leaves the guest where it was")
        contains(out, r"last written by the instruction at 0x[0-9a-f]+, position \d+")
        contains(out, r"store\.c:%d" % line_of("sessions_opened++;"))
        contains(out, r"\$1 = 10\n")
        contains(out, r"\$2 = 11\n")


def claim_hardware_and_temporary_breakpoints_work_in_both_directions():
    with Server() as s:
        out = gdb(s, STATE + r"""
hbreak session_open
ignore 1 4
continue
print id
thbreak serve
continue
reverse-continue
delete
tbreak session_close
reverse-continue
print s->id
info breakpoints
break session_open
commands
silent
printf "at %d\\n", id
end
continue
reverse-continue
reverse-continue
""".replace("\\\\n", "\\n"))
        contains(out, r"Hardware assisted breakpoint 1")
        contains(out, r"\$1 = 5\n")
        contains(out, r"Temporary breakpoint 2, serve \(id=6\)")
        contains(out, r"Breakpoint 1, session_open \(id=5\)")
        contains(out, r"Temporary breakpoint 3, session_close")
        contains(out, r"\$2 = 4\n")
        contains(out, r"No breakpoints")
        contains(out, r"at 5\nat 4\nat 3\n|at 5\n[^$]*at 4\n[^$]*at 3\n")


def claim_read_and_access_watchpoints_hit_in_reverse():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 6
continue
delete
rwatch random_state
reverse-continue
backtrace 1
reverse-continue
delete
awatch sessions_opened
reverse-continue
backtrace 1
reverse-continue
continue
""")
        contains(out, r"Hardware read watchpoint 2: random_state\s+Value = \d+\s.*random_number")
        equal(len(harness.re.findall(r"Hardware read watchpoint 2: random_state\s+Value", out)), 2, out)
        check(len(harness.re.findall(r"Hardware access \(read/write\) watchpoint 3: sessions_opened", out)) >= 3, out)


def claim_watch_locations_conditions_and_locals():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 8
continue
delete
finish
print $->state
watch -l $$->state
reverse-continue
delete
watch sessions_opened if sessions_opened == 3
reverse-continue
print sessions_opened
""")
        contains(out, r"Value returned is .*struct session")
        contains(out, r"\$2 = SESSION_HANDSHAKE")
        contains(out, r"Hardware watchpoint 2: -location \$\$->state")
        contains(out, r"Old value = SESSION_HANDSHAKE")
        contains(out, r"Hardware watchpoint 3: sessions_opened\s+Old value = 4\s+New value = 3")
        contains(out, r"\$\d+ = 3\n")


def claim_until_and_advance_go_both_ways():
    with Server() as s:
        out = gdb(s, """
break entry_read
continue
next
next
until
until %d
delete
set exec-direction reverse
advance %d
finish
set exec-direction forward
advance entry_read
backtrace 2
""" % (line_of("return sum;"), line_of("u32 sum = 0;") + 2))
        contains(out, r"entry_read \(.*\) at .*store\.c:%d\n" % line_of("return sum;"))
        contains(out, r"entry_read \(.*\) at .*store\.c:%d\n" % (line_of("u32 sum = 0;") + 2))
        contains(out, r"serve \(id=1\) at .*\n%d\s+checksum = [^$]*\n#0 +entry_read .*\n#1 .* serve \(id=1" %
                 line_of("checksum = checksum * 31"))
        lacks(out, r"Cannot|rror")


def claim_dprintf_speaks_in_both_directions():
    with Server() as s:
        out = gdb(s, """
dprintf session_close,"closing %d\\n", s->id
break session_open if id == 4
continue
delete 2
break session_open if id == 2
reverse-continue
""")
        contains(out, r"closing 1\nclosing 2\nclosing 3\n[^$]*closing 3\nclosing 2\n")


def claim_snapshots_are_places_to_go_to():
    with Server() as s:
        out = gdb(s, STATE + r"""
break session_open if id == 5
continue
python
five = state()
gdb.execute("monitor savevm five")
gdb.execute("monitor checkpoint")
gdb.execute("delete")
gdb.execute("break session_open if id == 50")
gdb.execute("continue", to_string=True)
fifty = state()
gdb.execute("monitor savevm fifty")
print(gdb.execute("monitor info snapshots", to_string=True))
gdb.execute("monitor loadvm five")
gdb.execute("reverse-continue", to_string=True)
print("five", state() == five)
gdb.execute("monitor loadvm fifty")
gdb.execute("continue", to_string=True)
print("fifty", state() == fifty)
here = position()
gdb.execute("monitor replay_break %d" % (here - 1000))
gdb.execute("reverse-continue", to_string=True)
print("break", here - position())
gdb.execute("monitor replay_delete_break")
gdb.execute("monitor replay_seek %d" % (here - 2000))
gdb.execute("reverse-continue", to_string=True)
print("seek", here - position())
end
""")
        contains(out, r"^five True")
        contains(out, r"^fifty True")
        contains(out, r"^break 1000")
        contains(out, r"^seek 2000")


@replay_only
def claim_both_ends_of_a_recording_are_stops():
    with Server() as s:
        out = gdb(s, STATE + r"""
break panic
continue
continue
python
end = state()
gdb.execute("stepi")
print("stands", state() == end)
gdb.execute("reverse-stepi", to_string=True)
print("back", state() != end)
gdb.execute("delete")
gdb.execute("continue", to_string=True)
print("again", state() == end)
gdb.execute("monitor info replay")
gdb.execute("reverse-continue")
print("begin", position())
gdb.execute("reverse-stepi")
print("begin", position())
end
""")
        contains(out, r"Breakpoint 1, panic")
        check(len(harness.re.findall(harness.NO_HISTORY, out)) >= 4, out)
        contains(out, r"stands True\n[^$]*back True\n[^$]*again True")
        contains(out, r"begin 0\n[^$]*begin 0\n")
        rsp = s.client()
        check("replaylog:end" in rsp.ask("c"), "end")
        check("replaylog:begin" in rsp.ask("bc"), "begin")
        rsp.close()


@replay_only
def claim_a_recording_is_not_changed_even_at_its_end():
    with Server() as s:
        out = gdb(s, STATE + r"""
continue
python before = state()
set variable ticks = 7
set $SPARE = 7
monitor branch list
monitor branch drop
continue
python print("same", state() == before)
monitor system_reset
monitor branch list
""".replace("SPARE", harness.target.words["spare"]))
        contains(out, r"^branch=1 name=- parent=0 fork=(\d+) end=\d+ at=\d+ events=2 ")
        contains(out, r"^same True")
        contains(out, r"^branch=2 name=- parent=0 fork=(\d+) end=\d+ at=\d+ events=1 ")


@replay_only
def claim_continue_live_goes_on_after_the_end():
    with tempfile.TemporaryDirectory() as d:
        saved = os.path.join(d, "saved.hcrec")
        with Server(guest=harness.target.store) as s:
            gdb(s, "break session_open if id == 30\ncontinue\nmonitor save " + saved)
        with Server("--replay", saved, "--continue-live", guest=None) as s:
            out = gdb(s, STATE + r"""
break session_open if id == 30
continue
monitor when
delete
python
edge, seen = position(), state()
gdb.execute("break session_open if id == 40")
gdb.execute("continue")
print("beyond", position() > edge)
gdb.execute("set variable random_state = 4711")
gdb.execute("stepi")
later = state()
gdb.execute("monitor seek %d" % edge)
gdb.execute("reverse-continue", to_string=True)
print("same", state() == seen)
gdb.execute("reverse-stepi")
gdb.execute("set variable random_state = 1")
print("aside:", gdb.execute("monitor branch list", to_string=True))
gdb.execute("monitor branch drop")
gdb.execute("continue", to_string=True)
gdb.execute("delete")
gdb.execute("break session_open if random_state == 4711")
gdb.execute("continue", to_string=True)
gdb.execute("stepi")
print("later", state() == later)
end
""")
        contains(out, r"position \d+, .*edge")
        contains(out, r"beyond True")
        contains(out, r"same True")
        contains(out, r"^branch=1 name=- ")
        contains(out, r"later True")


def claim_the_helper_for_gdb_goes_to_positions_at_once_and_gives_numbers():
    with tempfile.TemporaryDirectory() as d, Server() as s:
        helper = os.path.join(d, "hindcast.py")
        with open(helper, "w") as f:
            f.write(subprocess.run([harness.HINDCAST, "--print-gdb-helper"], stdout=subprocess.PIPE, check=True,
                                   universal_newlines=True).stdout)
        out = gdb(s, """
source HELPER
break session_open if id == 10
continue
delete
set $edge = $_edge()
print $_position() <= $edge
hindcast seek 5000
print $_position()
print $_edge() == $edge
hindcast seek end
print $_position() == $edge
print $_cpu_steps(0) <= $edge
hindcast last ticks
print $_position() < $edge
hindcast when
hindcast nosuchword
""".replace("HELPER", helper))
        equal(harness.re.findall(r"^\$\d+ = (\d+)", out, harness.re.M), ["1", "5000", "1", "1", "1", "1"], out)
        contains(out, r"^last written by the instruction at")
        contains(out, r"^position \d+, virtual time")
        contains(out, r"nosuchword")


def claim_an_unknown_monitor_command_names_the_nearest():
    with Server() as s:
        contains(gdb(s, "monitor sek 5"), r"unknown command .*; the nearest is .seek.")


@live_only
def claim_the_guests_end_is_a_stop_that_can_be_reversed_from():
    with Server() as s:
        out = gdb(s, STATE + r"""
break panic
continue
delete
LEAVE
continue
reverse-stepi
x/i $pc
reverse-stepi
x/i $pc
""".replace("LEAVE", LEAVE[harness.target.name][0]))
        for pattern in LEAVE[harness.target.name][1:]:
            contains(out, pattern)


@live_only
def claim_a_gdb_that_passes_over_the_guests_end_stops_there_all_the_same():
    with Server() as s:
        out = gdb(s, r"""
break panic
continue
delete
LEAVE
handle SIGPWR nostop noprint pass
continue
reverse-stepi
reverse-stepi
x/i $pc
""".replace("LEAVE", LEAVE[harness.target.name][0]))
        contains(out, r"SIGINT")
        contains(out, LEAVE[harness.target.name][-1])


def claim_serial_gdb_shows_the_console_in_gdb():
    with Server(serial="gdb") as s:
        out = gdb(s, """
break audit
continue
continue
""")
        contains(out, r"store: ready")
        contains(out, r"audit passed")


# How a guest ends by itself: what is put where it stands, and what is seen then.
LEAVE = {
    # mov $0x15, %al; out %al, $0xf4
    "i386": ("set variable *(unsigned *)$pc = 0xf4e615b0", r"debug-exit port with status 43", r"mov +\$0x15,%al"),
    # PSCI SYSTEM_OFF: mov w0, #0x84000000; movk w0, #8; hvc #0
    "aarch64": ("set variable ((unsigned *)$pc)[0] = 0x52b08000\nset variable ((unsigned *)$pc)[1] = 0x72800100\n"
                "set variable ((unsigned *)$pc)[2] = 0xd4000002", r"powered off|power", r"hvc\s+#0x0", r"movk\s+w0, #0x8"),
}

if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386,), ("live", "replay", "checkpoints"))
