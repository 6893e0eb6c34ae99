#!/usr/bin/env python3
"""The commands of gdb that go backwards, on C programs of the shapes that gdb's own tests of reverse
debugging have: every claim says at which line of which function one stands, after each command.

For both targets; alive, and out of a recording.
"""

import re
import sys

import harness
from harness import Server, check, contains, equal, gdb, lacks

# A comment /*@name*/ names its line.
SOURCE = r"""
#ifdef __aarch64__
static void put(char c)
{
    while (*(volatile unsigned *)0x09000018ul & 0x20)
        ;
    *(volatile unsigned *)0x09000000ul = (unsigned)c;
}
#else
static void put(char c)
{
    unsigned char status;

    __asm__ volatile("outb %0, %1" : : "a"((char)3), "Nd"((unsigned short)0x3fb)); /* eight bits */
    do
        __asm__ volatile("inb %1, %0" : "=a"(status) : "Nd"((unsigned short)0x3fd));
    while (!(status & 0x20));
    __asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((unsigned short)0x3f8));
}
#endif

int glob;
volatile int ival1 = -1, ival2 = -1, ival3 = -1, ival4 = -1;
struct pair { int a; long long b; } pair;
char bytes[16];
static int statics;

int callee(void)
{                                   /*@callee_open*/
    glob++;                         /*@callee_body*/
    return glob;                    /*@callee_return*/
}                                   /*@callee_end*/

int recurse(int n)
{
    if (n == 0)                     /*@recurse_test*/
        return 0;                   /*@recurse_base*/
    return n + recurse(n - 1);      /*@recurse_call*/
}                                   /*@recurse_end*/

char char_func(void) { char r = 'a'; return r; }        /*@char_func*/
short short_func(void) { short r = -7; return r; }      /*@short_func*/
int int_func(void) { int r = 4711; return r; }          /*@int_func*/
long long ll_func(void) { long long r = 0x123456789abcll; return r; } /*@ll_func*/
float float_func(void) { float r = 2.5f; return r; }    /*@float_func*/
double double_func(void) { double r = -1.25; return r; } /*@double_func*/
struct pair pair_func(void) { struct pair r = {3, 4}; return r; } /*@pair_func*/
void void_func(void) { glob += 2; }                     /*@void_func*/

void stepping(void)
{
    int w = 0;                      /*@begin*/
    w++;                            /*@step1*/
    w++;                            /*@step2*/
    w += callee();                  /*@call1*/
    w++;                            /*@after1*/
    w += callee() + callee();       /*@twice*/
    w++;                            /*@after_twice*/
    w += recurse(4);                /*@recursion*/
    w++;                            /*@after_recursion*/
    for (int i = 0; i < 3; i++)     /*@loop*/
        w += i;                     /*@loop_body*/
    w++;                            /*@after_loop*/
    switch (w & 1) {                /*@switch*/
    case 0: w += 2; break;          /*@even*/
    default: w += 3; break;         /*@odd*/
    }
    glob = w;                       /*@stepped*/
}                                   /*@stepping_end*/

void finishing(void)
{
    char c = char_func();           /*@call_char_func*/
    short s = short_func();         /*@call_short_func*/
    int i = int_func();             /*@call_int_func*/
    long long l = ll_func();        /*@call_ll_func*/
    float f = float_func();         /*@call_float_func*/
    double d = double_func();       /*@call_double_func*/
    struct pair p = pair_func();    /*@call_pair_func*/
    void_func();                    /*@call_void_func*/
    glob = c + s + i + (int)l + (int)f + (int)d + p.a; /*@finished*/
}

void watching(void)
{
    ival1 = 1;                      /*@w1*/
    ival2 = 10;                     /*@w2*/
    ival1 = 2;                      /*@w3*/
    ival1 = 2;                      /*@same*/
    ival3 = ival1 + ival2;          /*@read*/
    ival1 = 3;                      /*@w4*/
    pair.a = 5;                     /*@pair_a*/
    pair.b = 6;                     /*@pair_b*/
    for (int i = 0; i < 4; i++)
        bytes[4 + i] = (char)(i + 1); /*@byte*/
    ival1++;                        /*@increment*/
    ival4 = 7;                      /*@watched*/
}

void states(void)
{
    register int r = 1;
    int a = 2;                      /*@state1*/
    struct pair p = {1, 2};         /*@state2*/
    statics = 3;                    /*@state3*/
    r += a;                         /*@state4*/
    a = r * 3;                      /*@state5*/
    p.b = a;                        /*@state6*/
    statics += (int)p.b;            /*@state7*/
    glob = r;                       /*@state8*/
    ival4 = a + statics;            /*@state9*/
}                                   /*@state10*/

int main(void)
{
    stepping();
    finishing();
    watching();
    states();
    put('E'), put('N'), put('D'), put('\n');
    return 0;
}
"""

MARKS = {number: name for number, line in enumerate(SOURCE.split("\n"), 1) for name in re.findall(r"/\*@(\w+)\*/", line)}
LINES = {name: number for number, name in MARKS.items()}
PLACES = {name: "shapes.c:%d" % number for name, number in LINES.items()}

HELP = r"""
python
import re
def place():
    return gdb.selected_frame().name(), gdb.selected_frame().find_sal().line
def run(command):
    # With a star: until the line is another one. (A line with a call in it has two entries in the line
    # table, and what stepping back makes of that, changed from gdb to gdb.)
    before = place()
    print("@> " + command)
    for i in range(5):
        text = gdb.execute(command.rstrip("*"), to_string=True)
        if text:
            print(text, end="" if text.endswith("\n") else "\n")
        if not command.endswith("*") or place() != before:
            break
    print("@@ %s | %s | %d" % ((command,) + place()))
def number(expression):
    return int(gdb.parse_and_eval(expression))
def position():
    return int(re.search(r"position (\d+)", gdb.execute("monitor when", to_string=True)).group(1))
end
"""

built = {}


def guest(options=("-O0",)):
    key = harness.target.name, options
    if key not in built:
        built[key] = harness.build_c_guest(SOURCE, "shapes", options)
    return built[key]


class Walk:
    """Commands one after the other, and where each ended."""

    def __init__(self, commands, setup="", options=("-O0",)):
        _, elf = guest(options)
        script = HELP + setup + "\n" + "\n".join(
            "python run(%r)" % (command % PLACES if "%(" in command else command) for command in commands)
        with Server(either=elf) as s:
            self.out = gdb(s, script, symbols=elf, seconds=40)
        self.stops = []
        self.texts = []
        for text, command, name, line in re.findall(r"^@> [^\n]*\n(.*?)^@@ (.*?) \| (\S*) \| (\d+)$", self.out, re.M | re.S):
            self.stops.append((command, name, MARKS.get(int(line), line)))
            self.texts.append("%s | %s | %s | %s" % (command, name, MARKS.get(int(line), line), " ".join(text.split())))
        check(len(self.stops) == len(commands), self.out)

    def at(self, *wanted):
        """Stops from here on, as "function:mark"; None: anywhere."""
        for want in wanted:
            command, name, mark = self.stops.pop(0)
            if want is not None and "%s:%s" % (name, mark) not in want.split("|"):
                raise harness.Failed("after %r: %s:%s, wanted %s; all of it:\n%s" % (command, name, mark, want, self.out))
        return self

    def said(self, pattern):
        """Some command, "command | function | mark | what gdb said", matches."""
        contains("\n".join(self.texts), pattern)
        return self


def claim_steps_forward_and_back_stand_at_the_same_lines():
    Walk(["tbreak stepping", "continue", "next", "next", "next", "step", "next", "next", "next",
          "next*", "reverse-next*", "reverse-next*", "reverse-next*", "reverse-next*"]).at(
        None, "stepping:begin", "stepping:step1", "stepping:step2", "stepping:call1", "callee:callee_body",
        "callee:callee_return", "callee:callee_end", "stepping:call1|stepping:after1")
    Walk(["tbreak stepping", "continue", "next 4", "reverse-next*", "reverse-next*", "reverse-next*", "reverse-next*",
          "next 3", "next", "tbreak %(step2)s", "reverse-continue", "next 2"]).at(
        None, "stepping:begin", "stepping:after1", "stepping:call1", "stepping:step2", "stepping:step1",
        "stepping:begin", "stepping:call1", "stepping:after1", None, "stepping:step2", "stepping:after1")


def claim_reverse_step_enters_a_call_at_its_end_and_leaves_it_at_its_beginning():
    walk = Walk(["break %(after1)s", "continue"] + ["reverse-step*"] * 7)
    walk.at(None, "stepping:after1")
    marks = [stop[2] for stop in walk.stops]
    # In this order; the middle of the call's own line may come first.
    wanted = ["callee_end", "callee_return", "callee_body", "call1", "step2"]
    marks = marks[marks.index("callee_end"):] if "callee_end" in marks else marks
    if "callee_body" not in marks:  # gdb goes on to the call from a line that is the function's entry
        wanted.remove("callee_body")
    equal(marks[:len(wanted)], wanted, walk.out)


def claim_reverse_finish_stands_at_the_call():
    walk = Walk(["break %(callee_return)s", "continue", "reverse-finish", "x/i $pc", "stepi", "reverse-stepi", "x/i $pc"])
    walk.at(None, "callee:callee_return", "stepping:call1", None, "callee:callee_open|callee:14|callee:callee_body",
            "stepping:call1")
    walk.said(r"x/i \$pc \| stepping .*=> 0x[0-9a-f]+ <stepping\+\d+>: (call|bl)\s+0x[0-9a-f]+ <callee>$")


def claim_instructions_go_through_call_and_return_both_ways():
    walk = Walk(["tbreak %(call1)s", "continue"], setup="""
tbreak %(call1)s
continue
python
trail = []
for i in range(40):
    trail.append((number("(unsigned long)$pc"), number("(unsigned long)$sp"), gdb.selected_frame().name()))
    gdb.execute("stepi", to_string=True)
for pc, sp, name in reversed(trail):
    gdb.execute("reverse-stepi", to_string=True)
    assert (pc, sp, name) == (number("(unsigned long)$pc"), number("(unsigned long)$sp"), gdb.selected_frame().name())
gdb.execute("stepi 40", to_string=True)
gdb.execute("reverse-stepi 40", to_string=True)
print("through", sorted(set(t[2] for t in trail)), "back", number("(unsigned long)$pc") == trail[0][0])
end
tbreak finishing
continue
tbreak stepping
reverse-continue
""" % PLACES)
    contains(walk.out, r"through \['callee', .*'stepping'\] back True")


def claim_two_calls_in_a_line_are_entered_one_after_the_other():
    walk = Walk(["break %(after_twice)s", "continue", "tbreak %(callee_end)s", "reverse-continue", "print glob",
                 "reverse-finish", "reverse-step*", "print glob", "reverse-finish", "reverse-next*", "step*", "print glob",
                 "finish"])
    walk.at(None, "stepping:after_twice", None, "callee:callee_end", None, "stepping:twice", "callee:callee_end", None,
            "stepping:twice", "stepping:after1", "stepping:twice", None, None)
    equal(re.findall(r"print glob \|.* = (\d)$", "\n".join(walk.texts), re.M), ["3", "2", "1"])


def claim_recursion_unwinds_both_ways():
    walk = Walk(["break %(recurse_base)s", "continue", "backtrace", "reverse-finish", "print n", "reverse-finish", "print n",
                 "finish", "finish", "print n", "delete", "tbreak %(after_recursion)s", "continue", "tbreak %(recurse_end)s",
                 "reverse-continue", "print n", "tbreak %(recurse_end)s", "reverse-continue", "print n"])
    walk.at(None, "recurse:recurse_base", None, "recurse:recurse_call", None, "recurse:recurse_call", None,
            "recurse:recurse_base", "recurse:recurse_call", None, None, None, "stepping:after_recursion", None,
            "recurse:recurse_end", None, None, "recurse:recurse_end", None)
    said = "\n".join(walk.texts)
    equal(re.findall(r"print n \| .* = (\d)$", said, re.M), ["1", "2", "1", "4", "3"])
    equal(len(re.findall(r"recurse \(n=", contains(said, r"backtrace \|.*").group(0))), 5)


def claim_finish_and_its_reverse_work_for_every_kind_of_value():
    values = {"char_func": "97 'a'", "short_func": "-7", "int_func": "4711", "ll_func": "20015998343868",
              "float_func": "2.5", "double_func": "-1.25", "pair_func": None, "void_func": None}
    commands = []
    for name in values:
        commands += ["tbreak " + name, "continue", "finish", "reverse-step", "reverse-finish", "tbreak " + name, "continue",
                     "finish"]
    walk = Walk(commands)
    for name, value in values.items():
        here = "finishing:call_" + name
        # Back into the call from its line's middle, or, if nothing of the line is left after it, from the next one.
        walk.at(None, "%s:%s" % (name, name), here + ("|finishing:finished" if name == "void_func" else ""),
                "%s:%s" % (name, name), here, None, "%s:%s" % (name, name), None)
        if value:
            walk.said(r"^finish \| finishing .*Value returned is \$\d+ = %s$" % re.escape(value))


def claim_until_leaves_loops_in_both_directions():
    walk = Walk(["break %(loop_body)s", "continue", "delete", "next", "until", "until", "until",
                 "reverse-next*", "reverse-next*", "set exec-direction reverse", "until %(after_recursion)s",
                 "advance %(after1)s", "set exec-direction forward", "advance %(stepped)s"])
    walk.at(None, "stepping:loop_body", None, "stepping:loop", "stepping:loop_body|stepping:after_loop",
            None, None, "stepping:after_loop|stepping:switch", "stepping:loop|stepping:after_loop", None,
            "stepping:after_recursion", "stepping:after1", None, "stepping:stepped")


def claim_the_branch_taken_is_the_branch_gone_back():
    walk = Walk(["break %(stepped)s", "continue", "reverse-next*", "reverse-next*", "reverse-next*", "next*", "next*", "next*"])
    walk.at(None, "stepping:stepped", "stepping:even|stepping:odd", "stepping:switch", "stepping:after_loop",
            "stepping:switch", "stepping:even|stepping:odd", "stepping:stepped")


def claim_consecutive_breakpoints_are_all_hit():
    walk = Walk(["tbreak %(step1)s", "continue"], setup="""
tbreak %(step1)s
continue
python
spots = []
for i in range(2):
    spots.append(number("(unsigned long)$pc"))
    gdb.execute("stepi", to_string=True)
gdb.execute("tbreak finishing")
gdb.execute("continue", to_string=True)
for spot in spots:
    gdb.execute("break *0x%%x" %% spot, to_string=True)
back = []
for spot in spots:
    gdb.execute("reverse-continue", to_string=True)
    back.append(number("(unsigned long)$pc"))
ahead = []
for spot in spots[1:]:
    gdb.execute("continue", to_string=True)
    ahead.append(number("(unsigned long)$pc"))
print("back", back == spots[::-1], "ahead", ahead == spots[1:])
gdb.execute("delete")
gdb.execute("tbreak stepping")
gdb.execute("reverse-continue", to_string=True)
end
""" % PLACES)
    contains(walk.out, r"back True ahead True")


def claim_a_breakpoint_inside_stops_reverse_next_over_a_call():
    walk = Walk(["break %(after1)s", "continue", "break *callee", "reverse-continue", "x/i $pc", "delete",
                 "reverse-stepi", "tbreak %(after1)s", "continue", "tbreak callee", "reverse-next*", "reverse-next*",
                 "reverse-next*"])
    walk.at(None, "stepping:after1", None, "callee:callee_open|callee:callee_body", None, None, "stepping:call1", None, "stepping:after1", None)
    walk.said(r"x/i \$pc \| callee .*=> 0x[0-9a-f]+ <callee>:")
    check(any(stop[1:] == ("callee", "callee_body") for stop in walk.stops), walk.out)


WATCH = r"""
tbreak watching
continue
watch ival1
python
def stand():
    # The line of the instruction that wrote: forward, the one before this.
    return gdb.selected_frame().find_sal().line
def go(command):
    # What gdb says of old and new is looked for in its output; here is what it is.
    before = number("ival1")
    gdb.execute(command, to_string=True)
    return (before, number("ival1")) if number("ival1") != before else None
forward, wrote, stands = [], [], []
while True:
    values = go("continue")
    if not values or len(forward) > 10:
        break
    forward.append(values)
    assert number("ival1") == values[1]
    stands.append(stand())
    gdb.execute("disable")
    gdb.execute("reverse-stepi", to_string=True)
    wrote.append(stand())
    assert number("ival1") == values[0], "before the write"
    gdb.execute("stepi", to_string=True)
    assert number("ival1") == values[1], "after the write"
    gdb.execute("enable")
print("forward", forward)
print("wrote", wrote)
end
"""

BACK = r"""
python
gdb.execute("delete")
gdb.execute("watch ival1", to_string=True)
back, lines = [], []
while True:
    values = go("reverse-continue")
    if not values or len(back) > 10:
        break
    back.append(values)
    assert number("ival1") == values[1]
    lines.append(stand())
print("back", back)
print("lines", lines)
end
"""

WRITES = [(-1, 1, "w1"), (1, 2, "w3"), (2, 3, "w4"), (3, 4, "increment")]


def watched(setup):
    with Server(either=guest()[1]) as s:
        # The end of history is where the last continue stops; a live guest has none.
        out = gdb(s, HELP + setup + "\ntbreak states\n" + WATCH.replace("len(forward) > 10", "len(forward) == 4")
                  + BACK.replace("len(back) > 10", "len(back) == 4"), symbols=guest()[1])
    contains(out, r"^forward %s$" % re.escape(str([(old, new) for old, new, _ in WRITES])))
    contains(out, r"^wrote %s$" % re.escape(str([LINES[mark] for _, _, mark in WRITES])))
    contains(out, r"^back %s$" % re.escape(str([(new, old) for old, new, _ in reversed(WRITES)])))
    said = [tuple(map(int, v)) for v in re.findall(r"^Old value = (\S+)\nNew value = (\S+)$", out, re.M)]
    equal(said, [w[:2] for w in WRITES] + [(new, old) for old, new, _ in reversed(WRITES)], "what gdb says")
    contains(out, r"^lines %s$" % re.escape(str([LINES[mark] for _, _, mark in reversed(WRITES)])))
    return out


def claim_watchpoints_show_values_and_lines_in_both_directions():
    contains(watched(""), r"Hardware watchpoint \d+: ival1")


def claim_software_watchpoints_too():
    lacks(watched("set can-use-hw-watchpoints 0\n"), r"Hardware watchpoint")


def claim_structures_and_arrays_can_be_watched():
    walk = Walk(["tbreak watching", "continue", "watch pair", "continue", "continue", "delete", "watch bytes",
                 "continue", "continue", "reverse-continue", "print bytes[5]", "reverse-continue", "print bytes[4]",
                 "delete", "watch pair", "reverse-continue", "print pair.b", "reverse-continue", "print pair.a"])
    walk.said(r"Hardware watchpoint \d+: pair Old value = \{a = 0, b = 0\} New value = \{a = 5, b = 0\}")
    walk.said(r"Old value = \{a = 5, b = 0\} New value = \{a = 5, b = 6\}")
    walk.said(r"reverse-continue \| watching \| %s \| .*Old value = \{a = 5, b = 6\} New value = \{a = 5, b = 0\}" %
              "pair_b")
    walk.said(r"reverse-continue \| watching \| %s \| .*Old value = \{a = 5, b = 0\} New value = \{a = 0, b = 0\}" %
              "pair_a")
    equal(re.findall(r"print bytes\[\d\] \| .* = (\d+)", "\n".join(walk.texts)), ["0", "0"])


def claim_reads_are_watched_in_both_directions():
    walk = Walk(["tbreak watching", "continue", "rwatch ival2", "continue", "delete", "awatch ival1",
                 "continue", "continue", "continue", "reverse-continue", "reverse-continue",
                 "reverse-continue", "delete", "rwatch ival2", "tbreak %(watched)s", "continue", "reverse-continue"])
    walk.said(r"continue \| watching \| %s \| .*Hardware read watchpoint 2: ival2 Value = 10" % "read")
    walk.said(r"Hardware access \(read/write\) watchpoint 3: ival1")
    walk.said(r"Old value = 3 New value = 4|Old value = 2 New value = 3")
    walk.said(r"reverse-continue \| watching \| %s \| .*Hardware read watchpoint \d+: ival2 Value = 10" % "read")


def claim_variables_have_the_values_they_had():
    with Server(either=guest()[1]) as s:
        out = gdb(s, HELP + r"""
tbreak states
continue
next
python
NAMES = ("r", "a", "p.a", "p.b", "statics", "glob", "ival4")
def values():
    return gdb.selected_frame().find_sal().line, [number(n) for n in NAMES]
seen = [values()]
for i in range(9):
    gdb.execute("next", to_string=True)
    seen.append(values())
wrong = 0
for i in range(8, -1, -1):
    for again in range(4):
        gdb.execute("reverse-next", to_string=True)
        if values()[0] == seen[i][0]:
            break
    wrong += values() != seen[i]
print("lines", [s[0] for s in seen], "last", seen[-1][1], "wrong", wrong)
end
""", symbols=guest()[1])
    contains(out, r"^lines %s last %s wrong 0" % (re.escape(str([LINES["state%d" % (i + 1)] for i in range(10)])),
                                                  re.escape(str([3, 9, 1, 9, 12, 3, 21]))))


def claim_optimised_code_goes_back_through_the_same_instructions():
    _, elf = guest(("-O2", "-fno-inline"))
    with Server(either=elf) as s:
        out = gdb(s, HELP + r"""
tbreak stepping
continue
python
def here():
    return number("(unsigned long)$pc"), position()
lines = [here()]
for i in range(6):
    gdb.execute("step", to_string=True)
    lines.append(here())
far = position()
for i in range(40):
    gdb.execute("reverse-step", to_string=True)
    if position() <= lines[0][1]:
        break
print("came back", position() <= lines[0][1], "was ahead", far > lines[0][1])
end
""", symbols=elf)
        contains(out, r"came back True was ahead True")


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64), ("live", "replay"))
