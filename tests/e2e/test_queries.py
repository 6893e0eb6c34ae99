"""Queries of the monitor over a small guest, against an oracle that makes every step of it one by one and notes what it
sees there: raw clients and a Python script within gdb, on both targets, live and of recordings."""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import harness
from harness import Server, build_c_guest, check, contains, equal, gdb, lacks, symbol

SOURCE = r"""
#include <stdint.h>
volatile uint32_t counter, table[8];
volatile uint64_t wide;
volatile int seen;

__attribute__((noinline)) int leaf(int a, int b) { counter += a; return a * 3 + b; }
__attribute__((noinline)) int tree(int depth) { return depth ? tree(depth - 1) + leaf(depth, 1) : 7; }

#ifdef __i386__
#define USER "user"
__asm__(".text\n"
        "undefined: addl $2, (%esp)\n iretl\n"
        "system: cmpl $1, %eax\n je 1f\n leal 100(%ebx), %eax\n iretl\n1: jmp after\n"
        "user: movl $20, %eax\n movl $5, %ebx\n int $0x80\n movl %eax, seen\n ud2\n"
        "      movl $21, %eax\n movl $6, %ebx\n int $0x80\n movl %eax, seen\n ud2\n"
        "      movl $1, %eax\n int $0x80\n");
extern char undefined[], system[], user[];
static uint64_t gdt[6] = {0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00cffa000000ffff, 0x00cff2000000ffff, 0};
static struct { uint32_t link, esp0, ss0, rest[23]; } tss;
static uint64_t idt[129];
static uint8_t stacks[2][2048];

static uint64_t gate(const char *to, unsigned dpl)
{
    uint32_t a = (uint32_t)to;
    return (a & 0xffff) | 8u << 16 | (uint64_t)(0x8e00 | dpl << 13 | (a & 0xffff0000)) << 32;
}

static void leave(void)
{
    struct { uint16_t limit; uint32_t base; } __attribute__((packed)) g = {sizeof gdt - 1, (uint32_t)gdt},
        i = {sizeof idt - 1, (uint32_t)idt};
    uint32_t t = (uint32_t)&tss;

    gdt[5] = 0x67 | (uint64_t)(t & 0xffffff) << 16 | 0x89ull << 40 | (uint64_t)(t >> 24) << 56;
    tss.esp0 = (uint32_t)stacks[1];
    tss.ss0 = 0x10;
    idt[6] = gate(undefined, 0);
    idt[128] = gate(system, 3);
    __asm__ volatile("lgdt %0; lidt %1; ljmp $8, $1f; 1: movw $0x10, %%ax; movw %%ax, %%ss; movw $0x28, %%ax; ltr %%ax;"
                     "movw $0x23, %%ax; movw %%ax, %%ds; movw %%ax, %%es;"
                     "pushl $0x23; pushl %2; pushl $2; pushl $0x1b; pushl $user; iretl"
                     : : "m"(g), "m"(i), "r"(&stacks[2]) : "eax", "memory");
}

static void put(unsigned v) { __asm__ volatile("outb %0, $0x80" : : "a"((uint8_t)v)); }
#else
__asm__(".text\n.balign 2048\nvectors: .skip 0x400\n"
        "lower: mrs x9, esr_el1\n lsr x9, x9, #26\n cmp x9, #0x15\n b.ne undefined\n"
        "system: cmp x8, #1\n b.eq after\n add x0, x0, #100\n eret\n"
        "undefined: mrs x9, elr_el1\n add x9, x9, #4\n msr elr_el1, x9\n eret\n"
        ".balign 2048\n"
        "user: mov x8, #20\n mov x0, #5\n svc #0\n adrp x1, seen\n str w0, [x1, :lo12:seen]\n .inst 0\n"
        "      mov x8, #21\n mov x0, #6\n svc #0\n str w0, [x1, :lo12:seen]\n .inst 0\n"
        "      mov x8, #1\n svc #0\n");
static void leave(void)
{
    __asm__ volatile("adr x0, vectors; msr vbar_el1, x0; adr x0, user; msr elr_el1, x0; msr spsr_el1, xzr; mov x0, sp; msr sp_el0, x0;"
                     "isb; eret" : : : "x0", "memory");
}
static void put(unsigned v) { *(volatile uint32_t *)0x09000000 = v; }
#endif

void after(void)
{
    for (unsigned i = 0; i < 3; i++)
        put('a' + i);
    for (;;)
        counter++;
}

int main(void)
{
    for (int i = 0; i < 8; i++)
        table[i] = i * i;
    wide = 0x1122334455667788;
    table[3] = table[2] + tree(4);
    wide += leaf(2, 2);
    leave();
}
"""
STEPS = 700
guests, oracles, symbols = {}, {}, {}


def guest():
    name = harness.target.name
    if name not in guests:
        guests[name] = build_c_guest(SOURCE, "queries", ("-O0", "-fno-pic"))[1]
    return guests[name]


def at(name):
    key = (harness.target.name, name)
    if key not in symbols:
        symbols[key] = symbol(guest(), name)
    return symbols[key]


class Moment:
    """The guest between two steps."""

    def __init__(self, rsp):
        raw = bytes.fromhex(rsp.registers())
        if harness.target.name == "i386":
            names = "eax ecx edx ebx esp ebp esi edi eip eflags cs".split()
            self.r = dict(zip(names, struct.unpack_from("<11I", raw)))
            self.pc, self.sp, self.user = self.r["eip"], self.r["esp"], self.r["cs"] & 3 == 3
            self.result, self.number = self.r["eax"], self.r["eax"]
        else:
            values = struct.unpack_from("<33Q", raw)
            self.r = {"x%d" % n: v for n, v in enumerate(values[:31])}
            self.sp, self.pc = values[31:]
            self.user = struct.unpack_from("<I", raw, 264)[0] & 0xf == 0
            self.result, self.number = self.r["x0"], self.r["x8"]
        self.memory = {name: rsp.memory(at(name), size) for name, size in
                       (("counter", 4), ("table", 32), ("wide", 8), ("seen", 4))}

    def value(self, name):
        return int.from_bytes(self.memory[name], "little")


def oracle():
    """The moments before each of the first STEPS steps."""
    name = harness.target.name
    if name not in oracles:
        with Server(guest=guest()) as s:
            rsp = s.client()
            oracles[name] = [Moment(rsp)]
            while len(oracles[name]) <= STEPS:
                rsp.ask("s")
                oracles[name].append(Moment(rsp))
                equal(rsp.position(), len(oracles[name]) - 1)
            rsp.close()
    return oracles[name]


class Asker:
    """A client of a guest that has been run a little further than the oracle, and stands in the midst."""

    def __init__(self, *arguments):
        self.server = Server(*arguments, guest=guest()) if harness.mode == "live" else Server(*arguments, either=guest())
        self.rsp = self.server.client()
        self.rsp.monitor("replay_break %d" % STEPS)
        self.rsp.ask("c")
        self.rsp.monitor("replay_delete_break")
        self.rsp.monitor("seek %d" % (STEPS // 2))
        self.rsp.ask("c")
        equal(self.rsp.position(), STEPS // 2)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.rsp.close()
        self.server.__exit__(kind, value, trace)

    def lines(self, query):
        """Answers as dictionaries; the last line apart."""
        text = self.rsp.monitor(query + " --json" if " if " not in query else query.replace(" if ", " --json if ", 1))
        lines = [json.loads(line) for line in text.splitlines()]
        equal(self.rsp.position(), STEPS // 2, "a query leaves the guest where it stands")
        return lines[:-1], lines[-1]


def number(text):
    return int(text, 16)


def hit_range(query):
    query, condition, rest = query.partition(" if ")
    return query + " to %d" % STEPS + condition + rest


def claim_writes_are_those_that_an_oracle_sees_with_old_and_new_values():
    moments = oracle()
    with Asker() as a:
        for name, size in (("counter", 4), ("wide", 8), ("seen", 4)):
            answers, end = a.lines(hit_range("writes 0x%x %d" % (at(name), size)))
            changed = [p for p in range(STEPS) if moments[p].memory[name] != moments[p + 1].memory[name]]
            equal(sorted({x["position"] for x in answers if x["old"] != x["new"]}), changed, name)
            check(changed, "nothing changes %s: the test is none" % name)
            for x in answers:
                equal(number(x["pc"]), moments[x["position"]].pc, x)
                if x["length"] == size:
                    equal((number(x["old"]), number(x["new"])),
                          (moments[x["position"]].value(name), moments[x["position"] + 1].value(name)), x)
            equal((end["end"], end["writes"], end["to"]), ("all", len(answers), STEPS))


def claim_newest_first_is_the_same_the_other_way_round_and_limits_cut():
    with Asker() as a:
        query = hit_range("accesses 0x%x 32" % at("table"))
        forward = a.lines(query)[0]
        check(len(forward) >= 10)
        key = [(x["position"], x["address"], x["kind"]) for x in forward]
        back = [(x["position"], x["address"], x["kind"]) for x in a.lines(query + " newest first")[0]]
        equal(sorted(back), sorted(key))
        equal([x[0] for x in back], sorted((x[0] for x in key), reverse=True))
        for threads in (1, 2, 3):
            equal(a.lines(query + " threads %d" % threads)[0], forward)
        few, end = a.lines(query + " limit 3")
        equal((few, end["end"]), (forward[:3], "limit"))
        equal([x["position"] for x in a.lines(query + " newest limit 2")[0]], [p for p, _, _ in back[:2]])
        middle = forward[len(forward) // 2]["position"]
        equal(a.lines("accesses 0x%x 32 from %d to %d" % (at("table"), middle, STEPS))[0],
              [x for x in forward if x["position"] >= middle])
        equal(a.lines("accesses 0x%x 32 to %d" % (at("table"), middle))[0], [x for x in forward if x["position"] < middle])


def claim_reads_tell_the_value_that_was_read():
    moments = oracle()
    with Asker() as a:
        reads = a.lines(hit_range("reads 0x%x" % at("counter")))[0]
        writes = a.lines(hit_range("writes 0x%x" % at("counter")))[0]
        # Each += reads before it writes (at -O0), by one instruction or by two.
        check(len(reads) - len(writes) in (0, 1), len(reads), len(writes))
        for r, w in zip(reads, writes):
            check(r["position"] <= w["position"], r, w)
            equal(number(r["value"]), moments[r["position"]].value("counter"))
        equal(a.lines(hit_range("reads phys:0x%x" % at("counter")))[0], reads, "physical: the guest does not translate")
        equal([(x["position"], x["kind"], x["value"]) for x in a.lines(hit_range("reads virt:0x%x" % at("counter")))[0]],
              [(x["position"], x["kind"], x["value"]) for x in reads])


def calls_of(moments, name):
    word = 4 if harness.target.name == "i386" else 8
    for p in range(STEPS):
        m = moments[p]
        if m.pc != at(name):
            continue
        if harness.target.name == "i386":
            yield p, None, m.sp + word
        else:
            yield p, m.r["x30"], m.sp


def claim_calls_come_with_arguments_returns_and_results():
    moments = oracle()
    with Asker() as a:
        for name in ("leaf", "tree"):
            answers, end = a.lines(hit_range("calls 0x%x" % at(name)))
            wanted = list(calls_of(moments, name))
            equal([x["position"] for x in answers], [p for p, _, _ in wanted])
            check(len(wanted) >= 5, name)
            for x, (p, ret, sp) in zip(answers, wanted):
                ret = ret or number(x["return"])
                back = next(q for q in range(p + 1, STEPS) if moments[q].pc == ret and moments[q].sp == sp)
                equal((x["returned"], number(x["result"]) & 0xffffffff), (back, moments[back].result & 0xffffffff), x)
            equal(end["calls"], len(wanted))
        tree = a.lines(hit_range("calls 0x%x" % at("tree")))[0]
        equal([number(x["arg0"]) & 0xffffffff for x in tree], [4, 3, 2, 1, 0])
        equal([x["position"] for x in a.lines(hit_range("calls 0x%x newest first" % at("tree")))[0]],
              [x["position"] for x in tree[::-1]])
        odd = a.lines(hit_range("calls 0x%x if %s" % (at("tree"), "*(int*)($esp+4) % 2 == 1" if harness.target.name == "i386"
                                                       else "$w0 % 2 == 1")))[0]
        equal([number(x["arg0"]) & 0xffffffff for x in odd], [3, 1])
        # A call that returns only after the stretch did not return in it.
        cut = a.lines("calls 0x%x to %d" % (at("tree"), tree[0]["returned"]))[0]
        equal([x["returned"] for x in cut], ["no"] + [x["returned"] for x in tree[1:]])


# `many` is called from 100 places; `forever` for the first time does not return, and calls itself more often than calls may wait.
PLACES = r"""
volatile unsigned sum;
__attribute__((noinline)) unsigned many(unsigned n) { sum += n; return n & 3 ? many(n - 1) + 1 : sum; }
__attribute__((noinline)) void forever(unsigned n)
{
    if (n)
        return;
    for (;;)
        forever(1);
}
#define TEN(x) x x x x x x x x x x
int main(void)
{
    for (unsigned i = 0; i < 5; i++) {
        TEN(TEN(sum ^= many(i + sum % 7);))
    }
    forever(0);
    return 0;
}
"""


def claim_calls_are_the_same_in_either_order_wherever_they_come_from():
    elf = harness.build_c_guest(PLACES, "places")[1]
    with Server("--icount", "sleep=off", guest=elf) as s:
        rsp = s.client()

        def lines(query):
            answers = [json.loads(line) for line in rsp.monitor(query + " --json").splitlines()]
            return answers[:-1], answers[-1]
        many, forever = harness.symbol(elf, "many"), harness.symbol(elf, "forever")
        rsp.monitor("replay_break 100000")
        rsp.ask("c")
        old, end = lines("calls 0x%x" % many)
        check(len(old) > 750 and len({x["return"] for x in old}) == 101, len(old))
        check(all(x["returned"] != "no" for x in old), "all return")
        equal((end["end"], end["calls"]), ("all", len(old)))
        equal(lines("calls 0x%x newest first" % many)[0], old[::-1])
        for limit in 1, 60, 99, 101, 700:
            few, end = lines("calls 0x%x limit %d" % (many, limit))
            equal((few, end["end"], end["calls"]), (old[:limit], "limit", limit))
        equal(lines("calls 0x%x from %d threads 1" % (many, old[500]["position"]))[0], old[500:])
        old, end = lines("calls 0x%x" % forever)
        check(len(old) > 5000 and [x["returned"] == "no" for x in old].count(True) <= 2 and old[0]["returned"] == "no", len(old))
        equal(lines("calls 0x%x newest first limit 300" % forever)[0], old[:-301:-1])
        equal(lines("calls 0x%x from %d limit 500" % (forever, old[1]["position"]))[0], old[1:501])
        rsp.close()


def claim_names_of_any_bytes_are_json():
    elf = harness.build_guest("movw $0x443, %dx\nmovb $14, %al\noutb %al, %dx\n1: jmp 1b", "named")
    for name, shown in ((b'a"b', 'a"b'), (b"a\\b", "a\\b"), (b"\xff\xfe", "\xff\xfe"), ("\xe9\u20ac".encode(), "\xe9\u20ac"), (b"\xe2\x82", "\xe2\x82"),
                        (b"\xed\xa0\x80", "\xed\xa0\x80"), (b"a\tb", "a\tb"), (b"\x7f", "\x7f")):
        with Server("--device", b"ib700,id=" + name, guest=elf) as s:
            rsp = s.client()
            rsp.monitor("replay_break 100")
            rsp.ask("c")
            reply, text = rsp.ask("qRcmd," + b"io 0x443 --json".hex()), rsp.console
            equal(json.loads(text.splitlines()[0])["device"], shown, reply)
            rsp.close()


def claim_two_queries_at_once_are_answered_one_after_the_other():
    moments = oracle()
    with Asker() as a:
        first, second = ("writes 0x%x to %d" % (at("counter"), STEPS)), "calls 0x%x to %d" % (at("leaf"), STEPS)
        alone = [a.rsp.monitor(q) for q in (first, second)]
        for q in first, second, first:
            a.rsp.send("qRcmd," + q.encode().hex())
        for wanted in alone + alone[:1]:
            text = b""
            while True:
                reply = a.rsp.receive()
                if reply == b"OK":
                    break
                text += bytes.fromhex(reply[1:].decode())
            equal(text.decode(), wanted)
        check(moments and a.rsp.position() == STEPS // 2)


def claim_system_calls_exceptions_and_modes_are_those_of_the_oracle():
    moments = oracle()
    with Asker() as a:
        system = [p for p in range(STEPS) if moments[p].user and not moments[p + 1].user and moments[p].number in (1, 20, 21)
                  and moments[p + 1].pc == (at("system") if harness.target.name == "i386" else at("lower"))
                  and (harness.target.name == "i386" or moments[p].pc not in undefined_pcs(moments))]
        answers, end = a.lines(hit_range("syscalls"))
        equal([(x["position"], x["number"]) for x in answers], [(p, moments[p].number) for p in system])
        equal([x["number"] for x in answers], [20, 21, 1])
        equal([number(x["result"]) for x in answers[:2]], [105, 106])
        for x in answers[:2]:
            equal(moments[x["returned"]].result, number(x["result"]))
            check(moments[x["returned"]].user and not moments[x["returned"] - 1].user)
        equal(answers[2]["returned"], "no")
        equal([x["number"] for x in a.lines(hit_range("syscalls 21"))[0]], [21])

        undefined = [p for p in range(STEPS) if moments[p].pc in undefined_pcs(moments) and not moments[p + 1].user]
        name = "#UD" if harness.target.name == "i386" else "undefined"
        answers = a.lines(hit_range("exceptions %s" % name))[0]
        equal([(x["position"], number(x["pc"]), x["name"]) for x in answers], [(p, moments[p].pc, name) for p in undefined])
        equal(len(answers), 2)

        if harness.target.name == "i386":
            answers = a.lines(hit_range("exceptions"))[0]
            equal([(x["position"], x["kind"], x["name"]) for x in answers if x["kind"] != "exception"],
                  [(p, "int", "int 80h") for p in system])
            equal([x["position"] for x in a.lines(hit_range("exceptions 0x80"))[0]], system)

        switches = [p for p in range(STEPS) if moments[p].user != moments[p + 1].user]
        answers = a.lines(hit_range("mode-switches"))[0]
        equal([x["position"] for x in answers if (x["new"] in ("ring3", "EL0")) != (x["old"] in ("ring3", "EL0"))], switches)
        equal(a.lines(hit_range("interrupts"))[0], [])


def undefined_pcs(moments):
    """Where the two undefined instructions are: each is come to twice as seldom as it is left."""
    user = at("user")
    if harness.target.name == "i386":
        return {p.pc for p, q in zip(moments, moments[1:]) if p.user and q.pc == at("undefined")}
    return {user + 4 * 5, user + 4 * 10}


def claim_accesses_to_devices_are_told_with_the_device():
    with Asker() as a:
        if harness.target.name == "i386":
            answers = a.lines(hit_range("io 0x80"))[0]
            device = None
        else:
            answers = a.lines(hit_range("io phys:0x9000000-0x9000fff"))[0]
            device = "uart0"
        equal([(number(x["value"]) & 0xff, x["kind"]) for x in answers], [(0x61, "write"), (0x62, "write"), (0x63, "write")])
        if device:
            equal({x["device"] for x in answers}, {device})
        check(len(a.lines(hit_range("io"))[0]) >= 3)


def claim_when_value_tells_each_time_that_it_becomes_so():
    moments = oracle()
    with Asker() as a:
        answers = a.lines(hit_range("when-value 0x%x == 10" % at("counter")))[0]
        equal([x["position"] for x in answers],
              [p for p in range(STEPS) if moments[p].value("counter") != 10 and moments[p + 1].value("counter") == 10])
        answers = a.lines(hit_range("when-value 0x%x/8 > 0" % at("wide")))[0]
        equal([x["position"] for x in answers],
              [p for p in range(STEPS) if not moments[p].value("wide") and moments[p + 1].value("wide")])
        # It holds where the stretch begins.
        answers = a.lines("when-value 0x%x == 0 to %d" % (at("counter"), STEPS))[0]
        equal((answers[0]["position"], answers[0]["by"]), (0, "the beginning"))
        # That is an answer like the others: the oldest, and it counts.
        whole, end = a.lines("when-value 0x%x >= 0 to %d" % (at("counter"), STEPS))
        equal((len(whole), end["times"], whole[0]["by"]), (1, 1, "the beginning"))
        equal(a.lines("when-value 0x%x >= 0 to %d newest first" % (at("counter"), STEPS))[0], whole)
        odd = "when-value 0x%x < 1 to %d" % (at("counter"), STEPS)
        first, end = a.lines(odd + " limit 1")
        equal((first[0]["by"], len(first), end["times"], end["end"]), ("the beginning", 1, 1, "limit"))
        equal(a.lines(odd + " newest first")[0], a.lines(odd)[0][::-1])
        equal(a.lines("when-value 0x%x >= 0 from 99G" % at("counter"))[0], [])
        for holds in 0, 1:
            equal(len(a.lines("when-value 0x%x >= 0 to %d if %d" % (at("counter"), STEPS, holds))[0]), holds)


def claim_a_trace_has_every_step_and_what_it_changes():
    moments = oracle()
    pc = "eip" if harness.target.name == "i386" else "pc"
    with Asker() as a:
        answers, end = a.lines("trace 10 %d" % (STEPS - 10))
        equal((end["end"], end["steps"]), ("all", STEPS - 20))
        equal([x["position"] for x in answers], list(range(10, STEPS - 10)))
        for x in answers:
            before, after = moments[x["position"]], moments[x["position"] + 1]
            check("pc" in x or before.pc in undefined_pcs(moments), x)  # (where an entry is all that there is)
            equal(number(x.get("pc", hex(before.pc))), before.pc)
            for name, value in after.r.items():
                if name != pc:
                    check((name in x) == (value != before.r[name]) and (name not in x or number(x[name]) == value), name, x)
        # Wherever there are checkpoints: no step is jumped over.
        covered = a.lines("coverage 10 %d if $%s & 4" % (STEPS - 10, pc))
        for position in range(11, STEPS - 10, 13):
            a.rsp.monitor("seek %d" % position)
            a.rsp.ask("c")
            a.rsp.monitor("savevm at-%d" % position)
        a.rsp.monitor("seek %d" % (STEPS // 2))
        a.rsp.ask("c")
        equal(a.lines("trace 10 %d" % (STEPS - 10))[0], answers)
        equal(a.lines("coverage 10 %d if $%s & 4" % (STEPS - 10, pc)), covered)
        # Those after which a condition holds, with what they changed.
        some, end = a.lines("trace 10 %d if $%s & 4" % (STEPS - 10, pc))
        equal(some, [x for x in answers if moments[x["position"] + 1].pc & 4])
        equal((end["end"], end["steps"]), ("all", len(some)))
        equal(a.lines("trace 10 %d limit 2 if $%s & 4" % (STEPS - 10, pc))[0], some[:2])
        with tempfile.TemporaryDirectory() as directory:
            name = os.path.join(directory, "trace")
            contains(a.rsp.monitor("trace 10 20 " + name), "^end=all steps=10")
            with open(name) as f:
                equal(len(f.read().splitlines()), 10)
            refused(a, "trace 10 20 " + name, "exists")


def claim_a_trace_goes_by_steps_within_a_repeated_instruction_too():
    if harness.target.name != "i386":
        return
    elf = harness.build_guest("movl $here, %esi\nmovl $there, %edi\nmovl $5, %ecx\nrep movsb\n1: jmp 1b\n.data\nhere: .ascii \"hello\"\nthere: .skip 8", "rep")
    with Server(guest=elf) as s:
        rsp = s.client()
        rsp.monitor("replay_break 20")
        rsp.ask("c")
        lines = [json.loads(line) for line in rsp.monitor("trace 2 9 --json").splitlines()]
        equal((lines[-1]["steps"], lines[-1]["from"], lines[-1]["to"]), (7, 2, 9))
        equal([number(x["ecx"]) for x in lines[:6]], [5, 4, 3, 2, 1, 0])
        equal(len({x["pc"] for x in lines[1:6]}), 1, "the instruction's address")
        equal([json.loads(line)["position"] for line in rsp.monitor("trace 0 20 --json if $ecx == 2").splitlines()[:-1]], [5])
        equal(json.loads(rsp.monitor("trace 4 5 --json").splitlines()[-1])["to"], 5)
        # Without a file or a limit, not more than somebody may want to read.
        rsp.monitor("replay_break 12000")
        rsp.ask("c")
        for words, steps, end in (("", 10000, "limit"), (" limit 11000", 11000, "limit"), (" limit 20000", 11990, "all")):
            last = rsp.monitor("trace 10 12000" + words).splitlines()[-1]
            contains(last, "^end=%s steps=%d " % (end, steps))
        contains(rsp.monitor("coverage 2 9 if $ecx == 3"), r"^end=all instructions=1 ")
        rsp.close()


def claim_coverage_is_what_an_oracle_ran():
    moments = oracle()
    with Asker() as a, tempfile.TemporaryDirectory() as directory:
        for first, last in ((0, STEPS), (40, 97)):
            # What faults is not run.
            ran = {m.pc for m, after in zip(moments[first:last], moments[first + 1:]) if m.pc not in undefined_pcs(moments)}
            answers, end = a.lines("coverage %d %d" % (first, last))
            equal(end["instructions"], len(ran))
            starts = [(number(x["address"]), x["length"]) for x in answers]
            for pc in ran:
                check(any(s <= pc < s + n for s, n in starts), hex(pc))
            check(all(s in ran for s, _ in starts), starts)
            name = os.path.join(directory, "%d.drcov" % first)
            a.rsp.monitor("coverage %d %d %s" % (first, last, name))
            with open(name, "rb") as f:
                head, _, table = f.read().partition(b" bbs\n")
            check(head.startswith(b"DRCOV VERSION: 2\n") and head.endswith(b"BB Table: %d" % len(ran)), head)
            equal({struct.unpack_from("<I", table, i)[0] for i in range(0, len(table), 8)}, ran)
            # With a condition: of the steps after which it holds.
            name = next(iter(moments[0].r))
            for mask in (0, 1, 4):
                some = {m.pc for m, after in zip(moments[first:last], moments[first + 1:])
                        if m.pc not in undefined_pcs(moments) and not after.r[name] & mask}
                end = a.lines("coverage %d %d if ($%s & %d) == 0" % (first, last, name, mask))[1]
                equal((end["end"], end["instructions"], end["from"], end["to"]), ("all", len(some), first, last), "%s & %d" % (name, mask))


def claim_a_difference_names_registers_and_memory_that_are_not_the_same():
    moments = oracle()
    with Asker() as a:
        for x, y in ((100, 110), (20, 400), (400, 20), (33, 33)):
            answers, end = a.lines("diff %d %d" % (x, y))
            equal((end["end"], end["from"], end["to"]), ("all", x, y))
            told = {d["name"]: (number(d["old"]), number(d["new"])) for d in answers if d["kind"] == "register"}
            for name, value in moments[x].r.items():
                now = moments[y].r[name]
                equal(told.get(name), None if value == now else (value, now), name)
            ranges = [(number(d["address"]), d["length"]) for d in answers if d["kind"] == "memory"]
            for name, size in (("counter", 4), ("table", 32), ("wide", 8), ("seen", 4)):
                for b in range(size):
                    if moments[x].memory[name][b] != moments[y].memory[name][b]:
                        check(any(s <= at(name) + b < s + n for s, n in ranges), name, ranges)
            check(x != y or not answers, answers)
            for limit in range(1, len(answers) + 2):
                few, end = a.lines("diff %d %d limit %d" % (x, y, limit))
                equal((few, end["end"]), (answers[:limit], "limit" if limit < len(answers) else "all"))


def claim_bytes_are_found_at_the_moment_that_they_appear():
    moments = oracle()
    with Asker() as a:
        last = moments[STEPS].memory["wide"]
        answers, end = a.lines(hit_range("find " + last.hex()))
        equal((end["found"], [number(x["address"]) for x in answers]), (1, [at("wide")]))
        equal(answers[0]["position"], next(p for p in range(STEPS) if moments[p + 1].memory["wide"] == last))
        equal(a.lines("find %s from %d to %d" % (last.hex(), STEPS - 5, STEPS))[0][0]["by"], "the beginning")
        equal(a.lines(hit_range("find deadbeefdeadbeef"))[0], [])
        for condition, there in (("1", 1), ("0", 0)):
            answers, end = a.lines(hit_range("find %s if %s" % (last.hex(), condition)))
            equal((len(answers), end["found"]), (there, there))
        refused(a, "find 1234 newest first", "no newest")
        refused(a, "branch diff trunk@5 trunk@9 if 1", "no if")


def refused(a, query, pattern):
    try:
        text = a.rsp.monitor(query)
    except Exception as e:
        text = str(e)
    contains(text, pattern)


def claim_what_makes_no_sense_is_refused_in_words():
    with Asker() as a:
        refused(a, "writes", "argument")
        refused(a, "writes zork", "no address")
        refused(a, "writes 0x%x 0" % at("wide"), "0 bytes")
        refused(a, "writes 0x%x 99999999999" % at("wide"), "bytes")
        refused(a, "writes phys:0xffffffffffff0000", "no memory")
        refused(a, "writes 0x%x from 20 to 10" % at("wide"), "after")
        refused(a, "writes 0x%x from soon" % at("wide"), "no position")
        refused(a, "writes 0x%x limit" % at("wide"), "limit needs")
        refused(a, "writes 0x%x 4 frobnicate" % at("wide"), "means nothing here")
        refused(a, "writes 0x%x if $zork == 1" % at("wide"), "no register")
        refused(a, "writes 0x%x if 1 +" % at("wide"), "condition")
        refused(a, "writes 0x%x if counter == 1" % at("wide"), "no symbols")
        refused(a, "writes 0x%x if %s1%s" % (at("wide"), "(" * 300, ")" * 300), "condition|long|deep")
        refused(a, "writes 0x%x limit 0" % at("wide"), "limit needs a number of answers, 1 or more")
        for number in "0", "65536", "many":
            refused(a, "writes 0x%x threads %s" % (at("wide"), number), "threads needs a number from 1 to 65535")
        refused(a, "exceptions zork", "number or name")
        exceptions, interrupts = (255, 255) if harness.target.name == "i386" else (63, 0x780)
        refused(a, "exceptions %d" % (exceptions + 1), "there is no exception %d: .*0 to %d" % (exceptions + 1, exceptions))
        refused(a, "interrupts %d" % (interrupts + 1), "there is no interrupt %d: .*0 to %d" % (interrupts + 1, interrupts))
        refused(a, "interrupts SVC", "no number of an interrupt")
        for query in "exceptions %d" % exceptions, "interrupts %d" % interrupts:
            contains(a.rsp.monitor(query + " to 5"), "end=all")
        contains(a.rsp.monitor("help exceptions"), "#PF.*data-abort")
        refused(a, "io 20-10", "no port")
        refused(a, "io 0-99999999999999999999", "no port")
        if harness.target.name == "i386":
            refused(a, "io 0x10000", "no port")
            refused(a, "syscalls 999999999999", "no system call 999999999999: a number has 32 bits")
        refused(a, "when-value 0x%x/4x == 3" % at("wide"), "1, 2, 4 or 8")
        refused(a, "when-value 0x%x is 3" % at("wide"), "compares nothing")
        refused(a, "when-value 0x%x/3 == 3" % at("wide"), "1, 2, 4 or 8")
        refused(a, "trace 20 10", "no stretch")
        refused(a, "diff 1 99G", "history ends")
        refused(a, "find 123", "no bytes")
        refused(a, "find", "argument")
        refused(a, "coverage 1 2 /nonexistent/file", "cannot create")
        refused(a, "coverage 10 5", "is after")
        refused(a, "coverage 0 10 x.info", "hindcast coverage FROM TO FILE.info")
        refused(a, "coverage 0 100 limit 1", "no limit")
        for words in ("from 5", "newest first"):
            for query in ("diff 0 100 ", "trace 0 100 ", "coverage 0 100 "):
                refused(a, query + words, "from, to, newest")
        refused(a, "diff 0 100 if $pc == 0", "no step that a condition could be asked of")
        for length, value in ((1, 256), (2, 0x10000), (4, 1 << 32), (4, (1 << 64) - 1)):
            refused(a, "when-value 0x%x/%d < %d" % (at("wide"), length, value), "%d bytes? cannot hold %d" % (length, value))
            contains(a.rsp.monitor("when-value 0x%x/%d <= %d limit 1 to 2" % (at("wide"), length, (1 << (8 * length)) - 1)), "end=")
        for words in ("limit 1 limit 2", "from 1 from 2", "to 3 limit 1 to 4", "newest oldest first", "threads 1 threads 2"):
            refused(a, "writes 0x%x 4 %s" % (at("wide"), words), "is said twice")
        if harness.target.name == "i386":
            for place in "virt:0xffffffff 2", "virt:0x100000000 1":
                refused(a, "writes " + place, "addresses of this CPU have 32 bits")
        else:
            contains(a.rsp.monitor("writes virt:0xffffffff 2 to 5"), "writes=0")
        refused(a, "when-value 0x%x == 0x100000000" % at("wide"), "4 bytes cannot hold 0x100000000: write 0x%x/LENGTH" % at("wide"))
        refused(a, "when-value 0x%x/8 == 0x10000000000000000" % at("wide"), "is no value")
        contains(a.rsp.monitor("trace 0 100 limit 3"), "end=limit steps=3 from=0 to=3")
        with tempfile.TemporaryDirectory() as tmp:
            for query in ("trace 0 10 ", "coverage 0 10 "):
                with open(tmp + "/notes", "w") as f:
                    f.write("mine")
                refused(a, query + tmp + "/notes", r"notes: exists, and would be lost: name another file \(to replace it: the word force after it\)")
                refused(a, query + tmp + "/notes over", "there is force")
                lacks(a.rsp.monitor(query + tmp + "/notes force"), "exists")
        # Beyond the ends of history there is nothing.
        answers, end = a.lines("writes 0x%x from 99G" % at("wide"))
        equal((answers, end["from"]), ([], end["to"]))
        # A condition that cannot be evaluated does not hold.
        equal(a.lines(hit_range("writes 0x%x if *(int*)0xfffffffffffffff0" % at("wide")))[0], [])
        equal(a.lines(hit_range("writes 0x%x if 1 / 0" % at("wide")))[0], [])


def claim_conditions_are_cs():
    with Asker() as a:
        one = hit_range("calls 0x%x limit 1" % at("tree"))
        aarch64 = harness.target.name == "aarch64"
        sp = "$sp" if aarch64 else "$esp"
        for condition, holds in (("1 + 2 * 3 == 7", 1), ("(1 + 2) * 3 == 9", 1), ("-1 < 0", 1), ("-1 < 0u", 0), ("1 ? 2", None),
                                 ("10 / 3 == 3 && 10 % 3 == 1", 1), ("0 || 0", 0), ("1 || 1 / 0", 1), ("0 && 1 / 0", 0),
                                 ("!5", 0), ("~0 == -1", 1), ("1 << 4 == 16", 1), ("(char)200 < 0", int(harness.target.name == "i386")),
                                 ("(signed char)200 < 0", 1), ("(unsigned char)200 > 0", 1),
                                 ("0xffffffff > 0", 1), ("(int)0xffffffff == -1", 1), ("'a' == 97", 1), ("3 > 2 > 1", 0),
                                 ("5 & 3 == 1", 0), ("(5 ^ 3) == 6", 1), ("-8 >> 1 == -4", 1), ("$pc == 0x%x" % at("tree"), 1),
                                 ("*(int*)0x%x == %d" % (at("table") + 4, 1), 1), ("{unsigned char}0x%x == 4" % (at("table") + 8), 1),
                                 ("($w0 | 0x80000000) > 0 && $w0 - $w0 - 1 > 0" if aarch64 else "$al - $al - 1 < 0", 1),
                                 ("*(short *)(0x%x + 2 * 4) == 4 && %s" % (at("table"), sp), 1)):
            if holds is None:
                try:
                    a.rsp.monitor(one + " if " + condition)
                    check(False, condition)
                except Exception as e:
                    contains(str(e), "condition")
            else:
                equal(len(a.lines(one + " if " + condition)[0]), holds, condition)


SCRIPT = """
import gdb, json
def ask(query):
    text = gdb.execute("monitor " + query + " --json", to_string=True)
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return lines[:-1], lines[-1]
address = int(gdb.parse_and_eval("&counter"))
answers, end = ask("writes 0x%%x to %(steps)d" %% address)
assert end["end"] == "all" and end["writes"] == len(answers)
for answer in answers:
    function = gdb.block_for_pc(int(answer["pc"], 16)).function
    print("WRITE %%d %%s %%d" %% (answer["position"], function, int(answer["new"], 16)))
calls, end = ask("calls 0x%%x to %(steps)d" %% int(gdb.parse_and_eval("(long)&leaf")))
print("CALLS", len(calls), [int(c["result"], 16) & 0xffffffff for c in calls])
last = answers[0]["position"]
gdb.execute("monitor seek %%d" %% last)
gdb.execute("continue")
print("THERE", gdb.selected_frame().name())
"""


def claim_a_python_script_in_gdb_asks_and_goes_to_what_it_is_told():
    moments = oracle()
    with Server(guest=guest()) as s:
        out = gdb(s, ["monitor replay_break %d" % STEPS, "continue", "python\n" + SCRIPT % {"steps": STEPS} + "end"],
                  symbols=guest())
    writes = re.findall(r"^WRITE (\d+) (\w+) (\d+)", out, re.M)
    changed = [p for p in range(STEPS) if moments[p].value("counter") != moments[p + 1].value("counter")]
    equal([int(p) for p, _, _ in writes], changed, out)
    equal({f for _, f, _ in writes}, {"leaf", "after"})
    contains(out, r"^CALLS 5 \[4, 7, 10, 13, 8\]")
    contains(out, r"^THERE leaf")


def claim_the_helper_for_gdb_writes_the_lines_that_ran_for_lcov():
    with Server(guest=guest()) as s, tempfile.TemporaryDirectory() as d:
        helper, info = os.path.join(d, "hindcast.py"), os.path.join(d, "ran.info")
        with open(helper, "w") as f:
            subprocess.run([harness.HINDCAST, "--print-gdb-helper"], stdout=f, check=True)
        out = gdb(s, ["source " + helper, "monitor replay_break %d" % STEPS, "break tree", "continue", "delete",
                      "python gdb.execute('hindcast coverage 0 %d " + info + "' % hindcast.position())"], symbols=guest())
        check(os.path.exists(info), out)
        with open(info) as f:
            text = f.read()
        source = contains(text, r"^SF:(.*queries\.c)$").group(1)
        with open(source) as f:
            number_of = {line.strip(): n for n, line in enumerate(f, 1)}
        hits = dict(re.findall(r"^DA:(\d+),(\d+)$", text[text.index(source):].partition("end_of_record")[0], re.M))

        def hit(line):
            return hits[str(number_of[line])]
        equal([hit(line) for line in ("table[i] = i * i;", "wide = 0x1122334455667788;", "wide += leaf(2, 2);", "leave();")],
              ["1", "1", "0", "0"])
        equal(int(contains(text, r"^LH:(\d+)$").group(1)) > 2, True)
        if shutil.which("genhtml"):
            shown = subprocess.run(["genhtml", "-q", "-o", os.path.join(d, "html"), info], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, universal_newlines=True)
            equal(shown.returncode, 0, shown.stdout)
            check(os.path.exists(os.path.join(d, "html", "index.html")))


def claim_a_query_can_be_interrupted_and_a_client_may_leave():
    with Server("--icount", "sleep=off", guest=guest()) as s:
        rsp = s.client()
        rsp.monitor("replay_break 60M")
        rsp.ask("c")
        rsp.send("qRcmd," + (b"writes 0x%x" % at("counter")).hex())
        rsp.interrupt()
        text = b""
        while True:
            reply = rsp.receive()
            if not reply.startswith(b"O") or reply == b"OK":
                break
            text += bytes.fromhex(reply[1:].decode())
        contains(text.decode()[-200:], r"end=interrupted writes=\d+ from=0")
        equal(rsp.position(), 60000000)
        # Another one, whose client goes away in the midst of it.
        rsp.send("qRcmd," + (b"writes 0x%x" % at("counter")).hex())
        rsp.receive()
        rsp.close()
        again = s.client()
        equal(again.position(), 60000000)
        contains(again.monitor("writes 0x%x limit 2" % at("counter")), r"^end=limit writes=2 ")
        again.close()


def answer_of(rsp, query, interrupted=False):
    """The last line, or the refusal; `interrupted`: by a Ctrl-C that is sent at once."""
    rsp.send("qRcmd," + query.encode().hex())
    if interrupted:
        rsp.interrupt()
    text = b""
    while True:
        reply = rsp.receive()
        if not reply.startswith(b"O") or reply == b"OK":
            return (text.decode().strip().split("\n")[-1] or reply.decode()) if reply == b"OK" else reply.decode()
        text += bytes.fromhex(reply[1:].decode())


def claim_each_query_can_be_interrupted_and_left():
    counter, leaf, seen = at("counter"), at("leaf"), at("seen")
    queries = ["%s 0x%x%s" % (kind, counter, order) for kind in ("writes", "reads", "accesses") for order in ("", " newest first", " if $pc == 1")]
    queries += ["when-value 0x%x > 1%s" % (counter, order) for order in ("", " newest first")]
    queries += ["calls 0x%x%s" % (leaf, order) for order in ("", " newest first", " if $pc == 1")]
    queries += ["syscalls", "exceptions", "interrupts", "io", "mode-switches", "trace 0 9M", "trace 0 9M if 0", "coverage 0 20M",
                "diff 0 20M", "find 0102030405060708", "branch diff trunk@0 trunk@15M", "last 0x%x" % seen, "seek cpu 0 15M"]
    with Server("--icount", "sleep=off", guest=guest()) as s:
        rsp = s.client()
        rsp.monitor("replay_break 20M")
        rsp.ask("c")
        for query in queries:
            # (The interrupt may come when all is done.)
            contains(answer_of(rsp, query, interrupted=True), r"^end=(interrupted|all)|interrupted$|position \d+")
            equal(rsp.position(), 20000000, query)
        text = answer_of(rsp, "find 0102030405060708", interrupted=True)
        check(not text.startswith("end=interrupted") or not text.endswith("to=20000000"), text)
        for query in queries[::3]:
            rsp.send("qRcmd," + query.encode().hex())
            rsp.close()
            rsp = s.client()
            equal(rsp.position(), 20000000, query)
        contains(answer_of(rsp, "writes 0x%x limit 2" % counter), r"^end=limit writes=2 ")
        rsp.close()


if __name__ == "__main__":
    claim_each_query_can_be_interrupted_and_left.modes = ("live",)
    claim_a_query_can_be_interrupted_and_a_client_may_leave.modes = ("live",)
    claim_a_python_script_in_gdb_asks_and_goes_to_what_it_is_told.modes = ("live",)
    claim_the_helper_for_gdb_writes_the_lines_that_ran_for_lcov.modes = ("live",)
    claim_names_of_any_bytes_are_json.modes = claim_two_queries_at_once_are_answered_one_after_the_other.modes = ("live",)
    claim_calls_are_the_same_in_either_order_wherever_they_come_from.modes = claim_conditions_are_cs.modes = claim_what_makes_no_sense_is_refused_in_words.modes = ("live",)
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64))
