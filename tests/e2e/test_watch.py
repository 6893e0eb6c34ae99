"""Which watchpoint gdb is told of when one instruction touches several, what a breakpoint is where the guest is
continued from, and what a search through many hits costs: a real gdb, both ways, on both targets."""
import re
import sys

import harness
from harness import Server, build_c_guest, check, contains, equal, gdb, lacks, symbol

SOURCE = r"""
#include <stdint.h>
volatile union { uint32_t w; uint8_t b[4]; } g;
volatile struct { uint64_t a, b; } two __attribute__((aligned(16)));
volatile uint8_t page[8192] __attribute__((aligned(4096)));
volatile uint8_t from[64];
volatile int n, m, calls;

static void bytes(uint32_t value) { g.w = value; }

static void pair(uint64_t a, uint64_t b)
{
#ifdef __aarch64__
    __asm__ volatile("stp %1, %2, [%0]" : : "r"(&two), "r"(a), "r"(b) : "memory");
#else
    uint64_t v[2] = {a, b};
    __asm__ volatile("movups %1, %%xmm0; movaps %%xmm0, %0" : "=m"(two) : "m"(v) : "memory");
#endif
}

static void across(uint64_t v)
{
#ifdef __aarch64__
    *(volatile uint16_t *)(page + 4094) = v; /* bare machines do not make unaligned accesses */
    *(volatile uint16_t *)(page + 4096) = v >> 16;
#else
    *(volatile uint32_t *)(page + 4094) = v;
#endif
}

static void copy(void)
{
#ifdef __aarch64__
    for (int k = 0; k < 8; k++)
        page[k] = from[k];
#else
    uint32_t count = 8;
    const volatile void *s = from;
    volatile void *d = page;
    __asm__ volatile("rep movsb" : "+c"(count), "+S"(s), "+D"(d) : : "memory");
#endif
}

int f(int x)
{
    calls++;
    return x + 1;
}

int main(void)
{
#ifdef __i386__
    __asm__ volatile("movl %%cr4, %%eax; orl $0x200, %%eax; movl %%eax, %%cr4" : : : "eax");
#endif
    g.w = 0x11223344;
    bytes(0x11993344);              /* only b[2] */
    bytes(0x11993345);              /* only b[0] */
    bytes(0x11aa3346);              /* both */
    pair(1, 0);
    pair(1, 2);                     /* only b */
    pair(3, 4);                     /* both */
    across(0x00010000);             /* only what is on the second page */
    from[5] = 9;
    copy();                         /* only page[5] */
    f(1);
    for (n = 0; n < 40000; n++)
        for (int k = 0; k < 5; k++)
            m += k;
    for (;;)
        f(2);
}
"""
guests = {}


def guest():
    name = harness.target.name
    if name not in guests:
        guests[name] = build_c_guest(SOURCE, "watch", ("-O0", "-msse2") if name == "i386" else ("-O0",))
    return guests[name][1]


def run(commands):
    with Server(guest=guest()) as s:
        return gdb(s, commands, symbols=guest())



def told(out):
    """The watchpoints that gdb reported: (expression, old value, new value)."""
    return re.findall(r"^(?:Hardware|Hardware access \(read/write\)) watchpoint \d+: (?:-location )?(\S+)\n\n(?:Old value = (\S+)[^\n]*\nNew value = (\S+)|Value = (\S+))",
                      out, re.M)


def claim_of_two_watched_bytes_in_one_store_the_one_that_changes_is_told():
    out = run(["break bytes", "continue", "delete", "watch -location g.b[0]", "watch -location g.b[2]",
               "continue", "continue", "echo LAST\\n", "continue", "echo BACK\\n"] + ["delete", "watch -location g.b[0]", "watch -location g.b[2]"] +
              ["reverse-continue"] * 3)
    forwards, backwards = out.split("BACK")
    equal([(e, int(o), int(n)) for e, o, n, _ in
           [(e, o.split("'")[0], n.split("'")[0], v) for e, o, n, v in told(forwards.split("LAST")[0])]],
          [("g.b[2]", 0x22, 0x99), ("g.b[0]", 0x44, 0x45)], out)
    # In the third both change: whichever is told first.
    check(told(forwards.split("LAST")[1])[0][:3] in (("g.b[0]", "69", "70"), ("g.b[2]", "153", "170")), out)
    back = [t[:3] for t in told(backwards)]
    check(("g.b[0]", "69", "68") in back, out)


def claim_of_a_pair_stored_at_once_the_half_that_changes_is_told():
    out = run(["break pair if a == 1 && b == 2", "continue", "delete", "watch two.a", "watch two.b", "continue", "echo BACK\\n",
               "reverse-continue"])
    forwards, backwards = out.split("BACK")
    equal([t[:3] for t in told(forwards)], [("two.b", "0", "2")], out)
    equal([t[:3] for t in told(backwards)], [("two.b", "2", "0")], out)


def claim_an_access_over_two_pages_and_a_repeated_one_are_told_where_bytes_change():
    out = run(["break across", "continue", "delete", "watch -location page[4095]", "watch -location page[4096]",
               "watch -location page[3]", "watch -location page[5]", "continue", "continue", "echo BACK\\n", "reverse-continue", "reverse-continue"])
    forwards, backwards = out.split("BACK")
    equal([t[0] for t in told(forwards)], ["page[4096]", "page[5]"], out)
    equal([t[0] for t in told(backwards)], ["page[5]", "page[4096]"], out)


def claim_a_write_that_changes_nothing_does_not_hide_an_access_watchpoint():
    out = run(["break bytes", "continue", "delete", "watch -location g.b[0]", "awatch -location g.b[1]", "continue", "echo BACK\\n", "reverse-continue"])
    forwards, backwards = out.split("BACK")
    equal([t[0] for t in told(forwards)], ["g.b[1]"], out)
    equal([t[0] for t in told(backwards)], ["g.b[1]"], out)


def claim_of_several_that_change_all_are_told_where_the_guest_stands():
    # i386: gdb goes on and is told the next without a step. aarch64: gdb makes the access itself with its
    # watchpoints taken out; so the others are named on the console.
    out = run(["break pair if a == 3", "continue", "delete", "watch two.a", "watch two.b", "continue", "monitor when",
               "echo NEXT\\n"] + (["continue", "monitor when"] if harness.target.name == "i386" else []))
    first, second = out.split("NEXT")
    equal([t[0] for t in told(first)], ["two.a"], out)
    if harness.target.name == "i386":
        equal([t[:3] for t in told(second)], [("two.b", "2", "4")], out)
        position = [contains(part, r"^position (\d+)").group(1) for part in (first, second)]
        equal(position[0], position[1])
    else:
        contains(first, r"touches watched bytes at 0x%x, too" % (symbol(guest(), "two") + 8))


def claim_a_breakpoint_is_hit_where_the_guest_is_continued_from_after_a_jump_or_a_call():
    out = run(["break f if x != 1", "tbreak f", "continue",
               "break *main", "set $pc = main", "continue", "echo PC\\n", "x/i $pc",
               "jump *f", "echo JUMPED\\n",
               "python\ntry:\n    gdb.execute('print f(3)')\nexcept gdb.error as e:\n    print(e)\nend", "echo CALLED\\n", "print x", "print calls", "finish", "print calls"])
    contains(out.split("PC\n")[0], r"Breakpoint \d+, .*main")
    contains(out.split("JUMPED")[0].split("PC\n")[1], r"Breakpoint 1, .*f \(")
    contains(out.split("CALLED")[0].split("JUMPED")[1], r"The program being debugged stopped while in a function called from GDB")
    contains(out.split("CALLED")[1], r"^\$\d+ = 3$")


def claim_a_hit_seen_where_the_user_put_the_pc_stays_one_of_history():
    out = run(["tbreak f", "continue", "break *f", "set $pc = f", "monitor when", "continue", "monitor when", "echo ON\\n", "tbreak f", "continue",
               "reverse-continue", "monitor when"])
    there = re.findall(r"^position (\d+)", out, re.M)
    contains(out.split("ON")[0], r"Breakpoint \d+, .*f \(")
    equal(there[0], there[1], "the hit is where the PC was set")
    equal(there[2], there[1], "and is found again")


def claim_many_near_hits_backwards_do_not_each_cost_the_way_from_far():
    elf = guest()
    with Server(guest=elf) as s:
        rsp = s.client()
        rsp.monitor("replay_break 1500000")
        rsp.ask("c")
        rsp.monitor("replay_delete_break")
        rsp.monitor("seek 0")
        rsp.ask("bc")
        rsp.monitor("seek 1500000")
        rsp.ask("c")
        equal(rsp.position(), 1500000)
        equal(rsp.ask("Z2,%x,4" % symbol(elf, "n")), "OK")
        before = int(contains(rsp.monitor("info replay"), r"(\d+) replayed").group(1))
        for _ in range(300):
            check("watch:" in rsp.ask("bc"))
        replayed = int(contains(rsp.monitor("info replay"), r"(\d+) replayed").group(1)) - before
        check(replayed < 6000000, "%d steps were made again for 300 hits" % replayed)
        rsp.close()


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64))
