#!/usr/bin/env python3
"""Branches: a debugger writes, calls, jumps and returns in the past, and what happened stays what it was.

For both targets; alive, and out of a recording.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import harness
import test_record
from harness import Server, check, contains, equal, gdb, lacks
from rspclient import RspError

# The guest says "no" at its end, unless `flag` was set early enough.
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

    __asm__ volatile("outb %0, %1" : : "a"((char)3), "Nd"((unsigned short)0x3fb));
    do
        __asm__ volatile("inb %1, %0" : "=a"(status) : "Nd"((unsigned short)0x3fd));
    while (!(status & 0x20));
    __asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((unsigned short)0x3f8));
}
#endif

volatile int flag, rounds, calls, found = 7;

int weigh(int a, int b)
{
    calls++;
    return a * 10 + b;
}

int round_of(int n)
{
    int r = weigh(n, 1);
    found = r;
    return r;
}

void ending(void)
{
    const char *text = flag ? "yes\nEND\n" : "no\nEND\n";

    while (*text)
        put(*text++);
}

int main(void)
{
    for (rounds = 0; rounds < 2000; rounds++)
        round_of(rounds);
    ending();
    for (;;)
        rounds++;
}
"""

built = {}


def guest():
    name = harness.target.name
    if name not in built:
        built[name] = harness.build_c_guest(SOURCE, "branches")
    return built[name][1]


HELP = r"""
python
import re
def monitor(command):
    return gdb.execute("monitor " + command, to_string=True)
def position():
    return int(re.search(r"position (\d+)", monitor("when")).group(1))
def go(position):
    monitor("seek %d" % position)
    gdb.execute("continue", to_string=True)
def digest():
    return re.search(r"hash (\w+)", monitor("info hash")).group(1)
def number(expression):
    return int(gdb.parse_and_eval(expression))
def run(*commands):
    for command in commands:
        gdb.execute(command, to_string=True)
def branches():
    return [dict(field.split("=") for field in line.split()) for line in monitor("branch list").splitlines()]
def tell(**facts):
    for name in facts:
        print("@%s=%s" % (name, facts[name]))
run("break ending", "continue", "delete")
end = position()
at_end = digest()
run("break round_of if rounds == 1000", "reverse-continue", "delete")
fork = position()
at_fork = digest()
end
"""


def told(out):
    """What the script told, by name; an error shows what it printed."""
    check("Error" not in out and "Traceback" not in out, out)
    return dict(re.findall(r"^@(\w+)=(.*)$", out, re.M))


def ask(*script):
    with Server(either=guest()) as s:
        return told(gdb(s, HELP + "python\n" + "\n".join(script) + "\nend\n", symbols=guest()))


# Back on the trunk by a drop, all is as it was.
DROPPED = """
monitor("branch drop")
run("continue")
tell(back=position() == fork, there=digest() == at_fork, fresh=number("rounds"), left=len(branches()))
go(end)
tell(end=digest() == at_end, flag=number("flag"))
"""


def dropped(t, left="1"):
    equal((t["back"], t["there"], t["fresh"], t["left"]), ("True", "True", "1000", left), "the trunk at the fork")
    equal((t["end"], t["flag"]), ("True", "0"), "the trunk at its end")


def claim_a_call_in_the_past_works_and_going_back_goes_over_it():
    t = ask("before = number('calls')", "tell(one=number('weigh(4, 2)'), two=number('weigh(5, 5)'), calls=number('calls') - before)",
            "tell(branches=len(branches()), fork=int(branches()[1]['fork']) == fork, late=position() > fork)",
            "tell(where=gdb.selected_frame().name())",
            "made = [l for l in monitor('calls %#x newest first limit 2' % number('&weigh')).splitlines() if l.startswith('position')]",
            "tell(results=[int(re.search('result=(0x[0-9a-f]+)', l).group(1), 16) & 0xffff for l in made])",
            "n = 0",
            "while position() >= fork and n < 1000:",
            "    run('reverse-stepi')",
            "    n += 1",
            "tell(calls_back=number('calls') - before, before=position() < fork, name=gdb.selected_frame().name())",
            "go(fork)", "tell(shared=digest() == at_fork)", DROPPED)
    equal((t["one"], t["two"], t["calls"]), ("42", "55", "2"))
    equal(t["results"], "[55, 42]", "they returned to where gdb wrote the registers back")
    equal((t["branches"], t["late"], t["where"]), ("2", "True", "round_of"))
    equal((t["calls_back"], t["before"], t["shared"]), ("0", "True", "True"))
    dropped(t)


def claim_a_condition_that_calls_a_function_begins_a_branch_at_its_first_hit():
    t = ask("run('monitor seek %d' % fork, 'continue')", "run('break round_of if weigh(n, 0) == 10030')", "run('continue')",
            "tell(n=number('n'), branches=len(branches()), near=int(branches()[1]['fork']) - fork < 1000, calls=number('calls') > 1003)",
            "run('delete')", DROPPED.replace("position() == fork", "abs(position() - fork) < 1000")
            .replace("digest() == at_fork", "True").replace('number("rounds")', 'min(number("rounds"), 1000)'))
    equal((t["n"], t["branches"], t["near"], t["calls"]), ("1003", "2", "True", "True"))
    dropped(t)


def claim_a_variable_set_in_the_past_has_its_effects():
    t = ask("run('set var flag = 1', 'break ending', 'continue')",
            "tell(flag_there=number('flag'), rounds=number('rounds'))",
            "go(fork + 1)", "tell(flag_after=number('flag'))",
            "go(fork)", "tell(flag_before=number('flag'))", "run('delete')", DROPPED)
    equal((t["flag_there"], t["rounds"], t["flag_after"], t["flag_before"]), ("1", "2000", "1", "0"))
    dropped(t)


def claim_a_jump_and_a_return_in_the_past_work():
    t = ask("run('tbreak ending', 'jump ending')", "tell(jumped=gdb.selected_frame().name())",
            "go(fork)", "run('monitor branch switch trunk', 'continue')",
            "tell(trunk=position() == fork)",
            "run('return 5')", "tell(returned=gdb.selected_frame().name(), n=len(branches()))",
            "tell(parents=sorted(b['parent'] + ':' + str(int(b['fork']) == fork) for b in branches()[1:]))",
            DROPPED)
    equal((t["jumped"], t["trunk"], t["returned"], t["n"]), ("ending", "True", "main", "3"))
    equal(t["parents"], "['0:True', '0:True']")
    dropped(t, left="2")


def claim_watchpoints_and_queries_are_the_branchs():
    t = ask("run('set var flag = 1', 'monitor branch try', 'break ending', 'continue', 'delete', 'watch flag', 'reverse-continue')",
            "tell(stop=abs(position() - fork) <= 1)", "run('delete')",
            "tell(writes=re.search(r'writes=(\\d+)', monitor('writes %d 4' % number('(long)&flag'))).group(1))",
            "go(end)", "run('monitor branch switch trunk', 'continue')",
            "tell(none=re.search(r'writes=(\\d+)', monitor('writes %d 4' % number('(long)&flag'))).group(1))",
            "tell(diff=monitor('branch diff trunk try@fork').splitlines()[-1], same=monitor('branch diff trunk@fork try@fork'))")
    equal((t["stop"], t["writes"], t["none"]), ("True", "1", "0"))
    contains(t["diff"], r"^end=all from-branch=trunk from=\d+ to-branch=try to=\d+")
    contains(t["same"], r"^end=all from-branch=trunk from=(\d+) to-branch=try to=\1$")


def stand(rsp, steps=20000):
    """In the past, with history before and behind."""
    rsp.monitor("seek %d" % (2 * steps))
    rsp.ask("c")
    rsp.monitor("seek %d" % steps)
    rsp.ask("c")
    equal(rsp.position(), steps)
    return steps


def digest(rsp):
    return contains(rsp.monitor("info hash"), r"hash (\w+)").group(1)


def branches(rsp):
    return [dict(field.split("=") for field in line.split()) for line in rsp.monitor("branch list").splitlines()]


def poke(rsp, name, value):
    equal(rsp.ask("M%x,1:%02x" % (harness.symbol(guest(), name), value)), "OK", "it is written")


def go(rsp, position):
    rsp.monitor("seek %d" % position)
    return rsp.ask("c")


def fails(rsp, command, why):
    try:
        raise harness.Failed("%s: not refused: %s" % (command, rsp.monitor(command)))
    except RspError as e:
        contains(str(e), why)


def claim_the_same_write_at_the_same_place_makes_the_same_branch():
    with Server(either=guest()) as s:
        rsp = s.client()
        at, was = stand(rsp), None
        was = digest(rsp)
        seen = []
        for name in "one", "two":
            poke(rsp, "found", 99)
            rsp.monitor("branch " + name)
            go(rsp, at + 30000)
            seen.append(digest(rsp))
            rsp.monitor("branch switch trunk")
            contains(rsp.ask("c"), r"T05")
            contains(rsp.console, "this is the trunk now")
            equal((rsp.position(), digest(rsp)), (at, was))
        equal(seen[0], seen[1])
        go(rsp, at + 30000 - 1)
        check(digest(rsp) != seen[0], "the write made no difference")
        equal(rsp.monitor("branch diff one two").count("\n"), 1)
        for word in "trunk", "trunk@end", "0":
            fails(rsp, "branch diff " + word, "that is the end of the present branch, and so is the other place")
        for words in "trunk@fork", "trunk@fork trunk", "trunk trunk@fork":
            fails(rsp, "branch diff " + words, "the trunk has no fork")
        contains(rsp.monitor("branch diff trunk@%d limit 1" % at), r"from=%d .*to-branch=trunk" % at)
        equal([(b["name"], b["fork"], b["end"], b["at"], b["current"]) for b in branches(rsp)[1:]],
              [(name, str(at), str(at + 30000), str(at + 30000), "0") for name in ("one", "two")])


def claim_a_command_says_where_one_is():
    with Server(either=guest()) as s:
        rsp = s.client()
        at = stand(rsp)
        equal(rsp.monitor("branch"), "on the trunk\n")
        poke(rsp, "found", 99)
        s.wait_errors(r"branch 1 begins here, at position %d; the trunk is what it was \(monitor branch drop" % at)
        contains(rsp.monitor("when"), r"^position %d, virtual time \S+ s, at the end of branch 1\non branch 1, which leaves the "
                                      r"trunk at position %d\n" % (at + 1, at))
        rsp.ask("s")
        contains(rsp.console, r"branch 1 begins here")
        contains(rsp.monitor("branch first"), "branch 1 is called 'first'")
        rsp.ask("bs")
        contains(rsp.monitor("when"), r"1 before the end of branch 'first' at %d" % (at + 2))
        contains(bytes.fromhex(rsp.ask("qThreadExtraInfo,1")).decode(), r"position %d of %d, branch 'first'" % (at + 1, at + 2))
        poke(rsp, "found", 98)
        contains(rsp.monitor("branch"), r"on branch 2, which leaves branch 'first' at position %d" % (at + 1))
        go(rsp, at - 5)
        contains(rsp.monitor("branch"), "this position is before that, and is shared")
        poke(rsp, "found", 97)
        contains(rsp.monitor("branch"), r"on branch 3, which leaves the trunk at position %d" % (at - 5))
        fails(rsp, "branch drop first", "other branches begin on it")
        fails(rsp, "branch drop trunk", "the trunk is what happened")
        fails(rsp, "branch drop nobody", "there is no branch 'nobody'")
        fails(rsp, "branch switch 17", "there is no branch '17'")
        for name in "1st", "a/b", "switch", "x" * 64, "trunk", "first":
            fails(rsp, "branch \"%s\"" % name, "is no name|no branch can be called|there is a branch")
        contains(rsp.monitor("branch drop 2"), r"^$")
        contains(rsp.monitor("branch switch first"), r"goes to branch 'first', position %d" % (at + 1))
        contains(rsp.monitor("when"), r"armed: the next continue or reverse-continue goes to branch 'first', position %d" % (at + 1))
        rsp.ask("c")
        equal(rsp.position(), at + 1)
        rsp.monitor("branch drop")
        lacks(rsp.monitor("branch drop"), "disarmed")
        contains(rsp.monitor("seek %d" % (at - 2)), "the drop of branch 'first' was disarmed by what is armed now")
        rsp.ask("c")
        contains(rsp.monitor("branch"), "on branch 'first'")
        rsp.monitor("branch drop")
        rsp.ask("c")
        contains(rsp.monitor("when"), r"^position %d, " % (at - 2))
        lacks(rsp.monitor("when"), "branch")
        equal([b["branch"] for b in branches(rsp)], ["0", "3"])
        # What is gone is not gone to, and a drop is no seek.
        rsp.monitor("branch switch 3")
        contains(rsp.monitor("branch drop 3"), "the switch to branch 3 was disarmed by its drop")
        lacks(rsp.monitor("when"), "armed")
        poke(rsp, "found", 49)
        rsp.monitor("branch drop")
        rsp.ask("s")
        rsp.monitor("branch drop")
        rsp.ask("c")
        contains(rsp.console, "the drop of branch 4 was disarmed by a step")
        # What was armed is not done to another branch.
        poke(rsp, "found", 50)
        go(rsp, at + 50)
        go(rsp, at + 20)
        rsp.monitor("branch drop 5")
        poke(rsp, "found", 51)
        rsp.ask("c")
        contains(rsp.console, "another branch has begun since")
        equal([b["branch"] for b in branches(rsp)], ["0", "5", "6"])


def claim_those_without_a_name_are_kept_to_a_number():
    with Server(either=guest()) as s:
        rsp = s.client()
        at = stand(rsp)
        for i in range(12):
            go(rsp, at - 10 * i)
            poke(rsp, "found", 100 + i)
        got = [int(b["branch"]) for b in branches(rsp)]
        check(len(got) < 12 and got[-1] == 12 and 1 not in got, got)
        # Names fill the table; those without one make room.
        for i in range(12, 70):
            go(rsp, at - 10 * i)
            poke(rsp, "found", 100 + i)
            rsp.monitor("branch n%d" % i)
        got = branches(rsp)
        equal(len(got), 64)
        named = sum(b["name"] != "-" for b in got)  # (the trunk among them)
        while named < 64:
            go(rsp, at - 700 - named)
            poke(rsp, "found", named)
            rsp.monitor("branch m%d" % named)
            named += 1
        equal(len(branches(rsp)), 64)
        go(rsp, at - 1000)
        contains(rsp.ask("M%x,1:07" % harness.symbol(guest(), "found")), "63 branches beside what happened: drop one first")


def claim_snapshots_are_of_their_branch():
    with Server(either=guest()) as s:
        rsp = s.client()
        at = stand(rsp)
        poke(rsp, "found", 99)
        rsp.monitor("branch try")
        go(rsp, at + 500)
        rsp.monitor("savevm here")
        there = digest(rsp)
        rsp.monitor("branch switch trunk")
        rsp.ask("c")
        contains(rsp.monitor("info snapshots"), r"here .* on branch 1\n")
        contains(rsp.monitor("loadvm here"), r"goes to branch 'try', position %d" % (at + 500))
        rsp.ask("c")
        equal(digest(rsp), there)
        rsp.monitor("branch drop")
        rsp.ask("c")
        contains(rsp.monitor("info snapshots"), "no snapshot")


def output_of(text):
    return "".join(line.partition("] ")[2] for line in text.splitlines(True) if line.startswith("[branch"))


@harness.live_only
def claim_output_of_a_branch_is_marked_and_not_the_machines():
    with Server(serial="stdio", either=guest()) as s:
        rsp = s.client()
        at = stand(rsp)
        poke(rsp, "flag", 1)
        rsp.monitor("branch try")
        rsp.monitor("replay_break 400000")
        rsp.ask("c")
        contains(rsp.console, r"^\[branch 'try'\] yes$")
        contains(rsp.console, r"^\[branch 'try'\] END$")
        equal(s.output, b"", "nothing happened yet")
        rsp.monitor("branch switch trunk")
        rsp.ask("c")
        rsp.ask("c")
        s.wait_output(rb"no\r?\nEND")
        lacks(s.output.decode(), "yes")
        # Made live, a branch has the machine's ports.
        rsp.monitor("branch switch try")
        rsp.ask("c")
        go(rsp, at + 10)
        poke(rsp, "flag", 2)
        contains(rsp.monitor("branch live"), r"branch 2 is live: from its end on")
        equal(branches(rsp)[-1]["live"], "1")
        rsp.ask("c")
        s.wait_output(rb"yes\r?\nEND")
        fails(rsp, "eject nothing", ".")


@harness.replay_only
def claim_the_branch_of_a_recording_cannot_be_made_live():
    with Server(either=guest()) as s:
        rsp = s.client()
        stand(rsp)
        poke(rsp, "flag", 1)
        fails(rsp, "branch live", "the guest of a recording has no outside")
        rsp.monitor("branch switch trunk")
        rsp.ask("c")
        fails(rsp, "branch live", "this is the trunk")


@harness.live_only
def claim_who_detaches_leaves_the_trunk_running():
    with Server(serial="stdio", either=guest()) as s:
        rsp = s.client()
        stand(rsp)
        poke(rsp, "flag", 1)
        rsp.monitor("branch try")
        rsp.ask("D")
        s.wait_errors(r"branch 'try' is left; this is the trunk again, at position 20000")
        s.wait_output(rb"no\r?\nEND")
        lacks(s.output.decode(), "yes")
        rsp.close()
        rsp = s.client()
        equal([b["current"] for b in branches(rsp)], ["1", "0"])
        rsp.close()
        # Whose connection is lost finds all as it was.
        rsp = s.client()
        rsp.monitor("branch switch try")
        rsp.ask("c")
        rsp.close()
        rsp = s.client()
        contains(rsp.monitor("branch"), "on branch 'try'")


@harness.live_only
def claim_a_recording_has_the_branches_with_a_name():
    directory = tempfile.mkdtemp(prefix="hindcast-branches-")
    one, two = os.path.join(directory, "one.hcrec"), os.path.join(directory, "two.hcrec")
    try:
        with Server("--record", one, "--embed", either=guest()) as s:
            rsp = s.client()
            at = stand(rsp)
            poke(rsp, "flag", 1)
            rsp.monitor("branch try")
            go(rsp, at + 500)
            there = digest(rsp)
            go(rsp, at + 200)
            poke(rsp, "found", 5)
            rsp.monitor("branch twig")
            go(rsp, at + 700)
            twig = digest(rsp)
            go(rsp, at - 100)
            poke(rsp, "found", 6)                  # nobody names this one
            contains(rsp.monitor("save " + two), "history to position %d;" % (2 * at))
            rsp.monitor("branch switch trunk")
            rsp.ask("c")
            was = digest(rsp)
        out = subprocess.run([harness.HINDCAST, "info", one], capture_output=True, text=True, check=True).stdout
        contains(out, r"^branch +1 'try' leaves 0 at %d, to %d, 1 events$" % (at, at + 500))
        contains(out, r"^branch +2 'twig' leaves 1 at %d, to %d, 1 events$" % (at + 200, at + 700))
        for name in one, two:
            verified = subprocess.run([harness.HINDCAST, "verify", name], capture_output=True, text=True)
            equal(verified.returncode, 0, verified.stdout)
            for branch, fork, end in ("try", at, at + 500), ("twig", at + 200, at + 700):
                contains(verified.stdout, r"branch '%s' replays, from position %d to %d: \d+ witnesses agree" % (branch, fork, end))
            with Server("--replay", name, guest=None) as s:
                rsp = s.client()
                equal([(b["name"], b["parent"]) for b in branches(rsp)], [("trunk", "0"), ("try", "0"), ("twig", "1")])
                for branch, position, wanted in ("twig", at + 700, twig), ("try", at + 500, there), ("trunk", at, was):
                    rsp.monitor("branch switch " + branch)
                    rsp.ask("c")
                    go(rsp, position)
                    equal(digest(rsp), wanted, branch)
    finally:
        shutil.rmtree(directory)


@harness.live_only
def claim_a_recorded_branch_has_witnesses_that_verify_compares():
    """What a debugger wrote on it is changed in the file: its states are others then, and that is found."""
    directory = tempfile.mkdtemp(prefix="hindcast-branches-")
    name = os.path.join(directory, "r.hcrec")
    try:
        with Server("--record", name, "--embed", either=guest()) as s:
            rsp = s.client()
            at = stand(rsp)
            number = {"i386": "7", "aarch64": "1c"}[harness.target.name]  # EDI, X28: the guest uses neither
            register = rsp.ask("p" + number)
            equal(rsp.ask("P%s=%s5a" % (number, register[:-2])), "OK")
            rsp.monitor("branch try")
            go(rsp, at + 20000)
        verified = subprocess.run([harness.HINDCAST, "verify", name], capture_output=True, text=True)
        contains(verified.stdout, r"branch 'try' replays, from position %d to %d: [1-9]\d* witnesses agree" % (at, at + 20000))
        equal(verified.returncode, 0)

        def change(payload, _):
            place = payload.rindex(bytes.fromhex(register[:-2] + "5a"))
            payload[place + len(register) // 2 - 1] ^= 1
        test_record.change_chunk(name, b"bran", 0, change)
        verified = subprocess.run([harness.HINDCAST, "verify", name], capture_output=True, text=True)
        contains(verified.stdout, r"branch 'try': .*the state is not the recorded one")
        equal(verified.returncode, 2)
        with Server("--replay", name, guest=None) as s:
            rsp = s.client()
            rsp.monitor("branch switch try")
            rsp.ask("c")
            rsp.monitor("seek %d" % (at + 20000))
            rsp.ask("c")
            contains(rsp.console, "the state is not the recorded one")
    finally:
        shutil.rmtree(directory)


def claim_a_script_may_try_many_things_and_find_history_as_it_was():
    t = ask("import random", "random.seed(5)", "answers = set()",
            "for i in range(12):",
            "    go(fork - random.randrange(20000))",
            "    here = position(), digest()",
            "    run('set var flag = 1', 'monitor branch t%d' % i, 'break ending', 'continue', 'delete')",
            "    answers.add((number('flag'), number('rounds')))",
            "    run('monitor branch drop' if i % 2 else 'monitor branch switch trunk', 'continue')",
            "    answers.add((position(), digest()) == here)",
            "tell(answers=sorted(map(str, answers)), kept=len(branches()))",
            "go(fork)", "tell(fork=digest() == at_fork)", "go(end)", "tell(end=digest() == at_end)")
    equal((t["answers"], t["kept"], t["fork"], t["end"]), ("['(1, 2000)', 'True']", "7", "True", "True"))


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64), ("live", "replay"), brief="yes")
