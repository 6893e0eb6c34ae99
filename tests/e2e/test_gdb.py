"""A real gdb in both directions, on the example guest."""
import sys

import harness
from harness import Server, check, contains, equal, gdb, lacks, line_of

# What a state is, as far as gdb and the monitor can tell.
STATE = r"""
python
def state():
    registers = gdb.execute("info registers", to_string=True)
    vectors = gdb.execute("p $xmm0", to_string=True).split("=", 1)[1] + gdb.execute("p $st0", to_string=True).split("=", 1)[1]
    hash = gdb.execute("monitor info hash", to_string=True).splitlines()[0]
    return registers + vectors + hash
def pc():
    return int(gdb.parse_and_eval("(unsigned)$pc"))
def position():
    import re
    return int(re.search(r"position (\d+)", gdb.execute("monitor when", to_string=True)).group(1))
end
"""


def claim_stepi_n_then_reverse_stepi_n_passes_the_same_states():
    with Server() as s:
        out = gdb(s, STATE + r"""
break timer_interrupt
continue
delete
python
seen = [state()]
for i in range(150):
    gdb.execute("stepi", to_string=True)
    seen.append(state())
wrong = 0
for i in range(149, -1, -1):
    gdb.execute("reverse-stepi", to_string=True)
    wrong += state() != seen[i]
for i in range(1, 151):
    gdb.execute("stepi", to_string=True)
    wrong += state() != seen[i]
print("distinct", len(set(seen)), "wrong", wrong)
end
""")
        contains(out, r"distinct 151 wrong 0")


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
info registers eip
""")
        contains(out, r"No more reverse-execution history")
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
        equal(len(harness.re.findall(r"No more reverse-execution history", out)), 2, out)
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


def claim_the_past_refuses_writes_and_says_why():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 3
continue
reverse-stepi
python
for command in ("set variable ticks = 7", "set $eax = 7"):
    try:
        gdb.execute(command)
        print("written", command)
    except gdb.error as e:
        print("refused:", e)
end
print ticks
""")
        equal(len(harness.re.findall(r"^refused:", out, harness.re.M)), 2, out)
        lacks(out, r"\$1 = 7")


def claim_a_write_at_the_edge_is_part_of_history():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 3
continue
set variable random_state = 4711
set $ecx = 0x12345678
print random_state
print/x $ecx
tbreak session_open if id == 5
continue
reverse-continue
print/x $ecx
print random_state
reverse-stepi
print random_state
""")
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


def claim_extended_remote_run_goes_to_a_position():
    with Server() as s:
        out = gdb(s, """
break session_open if id == 10
continue
delete
run 1000
monitor when
info registers eip
""", target="extended-remote " + s.where)
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
monitor xp/4xw 0x100000
print/x *(unsigned *)0x100000
monitor last &random_state
monitor last 0x100000
monitor delvm here
monitor info snapshots
""".replace("&random_state", "0x100010"))
        contains(out, r"reverse|seek")
        contains(out, r"here +position \d+")
        contains(out, r"0100000: 0x1badb002")
        contains(out, r"no snapshots")
        contains(out, r"was not written since the beginning of history")


def claim_monitor_last_finds_the_last_write_and_the_next_continue_goes_there():
    elf_symbol = harness.symbol(harness.STORE, "sessions_opened")
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


def claim_an_unknown_monitor_command_names_the_nearest():
    with Server() as s:
        contains(gdb(s, "monitor sek 5"), r"unknown command .*; the nearest is .seek.")


def claim_the_guests_end_is_a_stop_that_can_be_reversed_from():
    with Server() as s:
        out = gdb(s, STATE + r"""
break panic
continue
delete
# Leave through the debug-exit port: mov $0x15, %al; out %al, $0xf4
set variable *(unsigned *)$pc = 0xf4e615b0
continue
reverse-stepi
x/i $pc
reverse-stepi
x/i $pc
""")
        contains(out, r"debug-exit port with status 43")
        contains(out, r"mov +\$0x15,%al")


def claim_serial_gdb_shows_the_console_in_gdb():
    with Server(serial="gdb") as s:
        out = gdb(s, """
break audit
continue
continue
""")
        contains(out, r"store: ready")
        contains(out, r"audit passed")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
