"""The helper for gdb (doc/gdb-helper.md), as people's scripts use it: commands that go at once, answers that are values,
events, completion and help."""
import os
import re
import subprocess
import sys
import tempfile

import harness
from harness import Server, build_c_guest, check, contains, equal, gdb, lacks

SOURCE = r"""
#include <stdint.h>
volatile uint32_t counter;
volatile uint8_t small;
struct point { int x, y; };
volatile struct point points[4];
volatile int *volatile where = &points[1].y;
__attribute__((noinline)) int leaf(int a, int b) { counter += a; return a * 3 + b; }
__attribute__((noinline)) int tree(int depth) { return depth ? tree(depth - 1) + leaf(depth, 1) : 7; }

int main(void)
{
    for (int i = 0; i < 4; i++)
        points[i].y = i * 10;
    small = 200;
    points[0].x = tree(4);
    *where = -5;
    for (;;)
        small++;
}
"""
STEPS = 1000
guests = {}


def guest():
    name = harness.target.name
    if name not in guests:
        guests[name] = build_c_guest(SOURCE, "helper", ("-O0", "-fno-pic"))[1]
    return guests[name]


def session(commands, before=""):
    """In a gdb with the helper, of a guest that has made STEPS steps."""
    with tempfile.TemporaryDirectory() as d, Server(guest=guest()) as s:
        helper = os.path.join(d, "hindcast-gdb.py")
        with open(helper, "w") as f:
            f.write(subprocess.run([harness.HINDCAST, "--print-gdb-helper"], stdout=subprocess.PIPE, check=True,
                                   universal_newlines=True).stdout)
        return gdb(s, "source %s\n%s\nhindcast seek %d\n%s" % (helper, before, STEPS, commands), symbols=guest())


def claim_a_suite_of_python_finds_what_happened():
    out = session(r"""
python
import hindcast
def position(): raise Exception("a script's own names are its own")
_monitor = query = seek = position
def test_every_count_is_told_with_what_it_was():
    hits = hindcast.query("writes counter")
    assert [h.new - h.old for h in hits] == [1, 2, 3, 4], hits
    assert {h.function for h in hits} == {"leaf"}
    assert all(h.line[0].endswith("helper.c") for h in hits)
    assert hits == sorted(hits, key=lambda h: h.position)
    assert int(gdb.parse_and_eval("$_hits")) == 4
    assert int(gdb.parse_and_eval("$_hit(2)")) == hits[2].position
    assert int(gdb.parse_and_eval('$_hit(2, "old")')) == 3
def test_going_to_an_answer_shows_it():
    for h in hindcast.query("writes counter newest first limit 2"):
        assert h.go() == h.position == hindcast.position()
        assert int(gdb.parse_and_eval("counter")) == h.old
        assert gdb.selected_frame().name() == "leaf" and int(gdb.selected_frame().pc()) == h.pc
        gdb.execute("stepi")
        assert int(gdb.parse_and_eval("counter")) == h.new
    hindcast.seek(STEPS)
def test_values_have_their_type():
    h = hindcast.query("writes points[1].y")[-1]
    assert h.new == 0xfffffffb and int(h.gdb_value("new")) == -5 and str(h.gdb_value("new").type) in ("int", "volatile int"), h
    assert [x.new for x in hindcast.query("writes where newest first limit 1")] == []  # initialised, not written
    assert hindcast.query("writes *where")[-1].position == h.position
    assert hindcast.query("writes &small 1 limit 1")[0].new == 200
    assert len(hindcast.query("writes phys:&points 32")) >= 6
def test_calls_have_arguments():
    hits = hindcast.query("calls tree")
    assert [h.args[0] & 0xffffffff for h in hits] == [4, 3, 2, 1, 0], hits
    assert hits[-1].result & 0xffffffff == 7
    hits[-1].return_, hits[-1].returned
def test_values_are_found():
    h, = hindcast.query("when-value counter == 6")
    assert (h.old, h.new) == (3, 6)
    assert hindcast.query("when-value small > 200 limit 1")[0].new == 201
def test_what_makes_no_sense_is_said():
    for text in ("writes nosuch", "writes counter limit x", "nosuchquery", "when-value counter", "calls 0x10 if ("):
        try:
            hindcast.query(text)
        except (gdb.error, gdb.GdbError) as e:
            assert str(e)
        else:
            assert False, text
STEPS = %d
for name, test in sorted(list(globals().items())):
    if name.startswith("test_"):
        try:
            test()
            print("held", name)
        except Exception as e:
            print("FAILED", name, repr(e))
end
""" % STEPS)
    lacks(out, "FAILED")
    equal(len(re.findall(r"^held test_", out, re.M)), 6, out)


def claim_seek_is_immediate_for_frames_registers_and_memory():
    out = session(r"""
hindcast writes counter newest first limit 1
set $at = $_hit(0)
hindcast seek $at
backtrace
print counter == $_hit(0, "old")
print $_position() == $at
hindcast seek start
info symbol $pc
print counter
hindcast seek +5
print $_position()
hindcast seek end
print $_position() == $_edge()
print $_cpu_steps(0) == $_edge()
hindcast last counter
frame
python print("REFUSED" if "no CPU" in str(gdb.execute("python\ntry:\n gdb.parse_and_eval('$_cpu_steps(7)')\nexcept gdb.error as e: print(e)\nend", to_string=True)) else "TAKEN")
""")
    contains(out, r"#0 .*leaf \(a=4, b=1\)")
    equal(re.findall(r"^\$\d+ = (\d+)", out, re.M), ["1", "1", "0", "5", "1", "1"], out)
    contains(out, "_start in section")
    contains(out, "^REFUSED")


def claim_bookmarks_are_convenience_variables_and_places():
    out = session(r"""
hindcast checkpoint first-one
hindcast seek 100
hindcast checkpoint two
hindcast seek first-one
print $_position()
print $_mark_two
print $_bookmark("first-one")
hindcast bookmarks
hindcast timeline
hindcast loadvm two
print $_position()
python print("BOOKMARKS", sorted(hindcast.bookmarks().items()))
""")
    equal(re.findall(r"^\$\d+ = (\d+)", out, re.M), ["1000", "100", "1000", "100"], out)
    contains(out, r"BOOKMARKS \[\('first-one', 1000\), \('two', 100\)\]")
    contains(out, r"^ +0 .*start\n +100 .*two\n(?: +1000 .*\n)* +1000 .*<- here")


def claim_a_timeline_is_of_the_branch_in_use():
    out = session(r"""
hindcast checkpoint late
hindcast seek 100
hindcast checkpoint early
hindcast seek 500
hindcast branch try
stepi
hindcast checkpoint own
python print("TRY:")
hindcast timeline
hindcast seek 300
hindcast branch twig
python print("TWIG:")
hindcast timeline
python print("MARKS:")
hindcast bookmarks
hindcast branch switch trunk
python print("TRUNK:")
hindcast timeline
""")
    rows = {where: re.findall(r"^ +(\d+) +\S+ %  (.*)\n", text, re.M)
            for where, text in re.findall(r"^(\w+):\n((?: +\d+ .*\n)+)", out, re.M)}
    equal([(int(at), name) for at, name in rows["TRY"]],
          [(0, "start"), (100, "early"), (500, "try leaves the trunk"), (501, "end"), (501, "<- here"), (501, "own")])
    equal([(int(at), name) for at, name in rows["TWIG"]],
          [(0, "start"), (100, "early"), (300, "end"), (300, "<- here"), (300, "twig leaves the trunk")])
    equal([(int(at), name) for at, name in rows["TRUNK"]][:3], [(0, "start"), (100, "early"), (500, "<- here")])
    contains(out, r"MARKS:\nearly +100\nown +501 on branch 1\nlate +1000\n")


def claim_what_cannot_be_is_said_plainly():
    out = session("""
hindcast checkpoint here
python
import hindcast
for command in ("checkpoint 123", "checkpoint start", "checkpoint +5", "checkpoint " + "x" * 1200, "writes where - 1", "writes zork",
                "seek zork + 1", "coverage 1 50 /nonexistent/file.info"):
    try:
        gdb.execute("hindcast " + command)
    except gdb.error as e:
        print("REFUSED %s: %s" % (command[:20], e))
for ask in (lambda: hindcast.query("writes counter limit 0"), lambda: gdb.execute("hindcast exceptions foo", to_string=True)):
    try:
        ask()
    except (gdb.error, gdb.GdbError) as e:
        print("REASON " + str(e))
end
show logging
hindcast bookmarks
hindcast writes *(where - 0) limit 1
hindcast writes (int *)&points[1].y limit 1
""")
    lacks(out, "Python|Traceback")
    equal(len(re.findall("^REFUSED", out, re.M)), 8, out)
    for word in "123", "start", r"\+5":
        contains(out, "'%s' is how a position is written" % word)
    contains(out, "a name of 1200 bytes is too long")
    equal(re.findall(r"^(\S+) +1000$", out, re.M), ["here"], out)
    contains(out, r"REFUSED writes where - 1: where - 1 is a value and no place: \*\(where - 1\) is what it points to")
    equal(len(re.findall('^REFUSED .*: No symbol "zork" in current context', out, re.M)), 2, out)
    contains(out, "No such file")
    equal(len(re.findall("^1 answers", out, re.M)), 2, out)
    contains(out, r"^REASON .*limit.* number of answers")
    contains(out, r"^REASON .*'foo' is no number or name of an exception")
    contains(out, r"^logging enabled:  off")



def claim_branches_go_at_once():
    out = session(r"""
hindcast seek 50
set var counter = 77
hindcast branch what-if
print counter
hindcast branch switch trunk
print counter
hindcast branch switch what-if
print counter
hindcast branch drop
print counter
hindcast branch list
""")
    equal(re.findall(r"^\$\d+ = (\d+)", out, re.M), ["77", "0", "77", "0"], out)
    equal(len(re.findall(r"^branch=", out, re.M)), 1, out)


def claim_events_tell_that_the_position_changed():
    out = session(r"""
python
def moved(event):
    print("MOVED", event.before, event.position, event.edge >= event.position)
hindcast.events.position_changed.connect(moved)
end
hindcast seek 10
stepi
hindcast seek 11
reverse-stepi
python hindcast.events.position_changed.disconnect(moved)
stepi
""")
    equal(re.findall(r"^MOVED (\w+) (\d+) True", out, re.M)[-3:], [("1000", "10"), ("10", "11"), ("11", "10")], out)


def claim_there_is_completion_and_help_for_each():
    out = session(r"""
complete hindcast wh
complete hindcast seek st
complete hindcast writes count
complete hindcast branch sw
help hindcast
help hindcast writes
hindcast info replay
python
try:
    gdb.execute("hindcast nosuchword")
except gdb.error as e:
    print("REFUSED", e)
for word in "when seek last writes reads accesses when-value calls syscalls exceptions interrupts io mode-switches find diff coverage trace bookmarks checkpoint loadvm branch timeline trace-history".split():
    text = gdb.execute("help hindcast " + word, to_string=True)
    print("HELP" if "hindcast " + word in text and len(text) > 25 else "NO HELP", word)
end
""")
    for words in ("hindcast when", "hindcast when-value", "hindcast seek start", "hindcast writes counter", "hindcast branch switch"):
        contains(out, "^%s$" % words)
    contains(out, r"hindcast writes EXPRESSION")
    contains(out, r"REFUSED")
    lacks(out, "NO HELP")


def claim_it_is_silent_before_anybody_is_connected_and_says_so_when_asked():
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as f:
        helper = os.path.join(harness.SOURCE, "src", "server", "hindcast-gdb.py")
        f.write("""if ! $_isvoid($_memeq)
  source %s
end
python
try:
    gdb.parse_and_eval("$_position()")
except gdb.error as e:
    print("REFUSED", e)
end
""" % helper)
        f.flush()
        out = subprocess.run([harness.gdb_program(), "-q", "-nx", "-batch", "-x", f.name], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, universal_newlines=True).stdout
    equal(out.strip().splitlines(), ["REFUSED Error occurred in Python: no hindcast is connected"]
          if "occurred in Python" in out else ["REFUSED no hindcast is connected"])


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64))
