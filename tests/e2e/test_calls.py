"""gdb calls functions of the guest's, returns from them, and asks for what they gave, on both targets."""
import sys

import harness
from harness import Server, build_c_guest, contains, equal, gdb, lacks, line_of

SOURCE = r"""
void *memcpy(void *to, const void *from, unsigned long n) /* what a compiler may call for structs */
{
    for (char *t = to; n--;)
        *t++ = *(const char *)from++;
    return to;
}

struct pair { int a, b; };
struct big { long v[12]; };
volatile int i, sink, calls;
volatile float f_result;
volatile double d_result;

int add(int a, int b)
{
    calls++;
    return a + b;
}

struct pair make_pair(int a, int b)
{
    struct pair p = {a, b};
    return p;
}

int sum_pair(struct pair p)
{
    return p.a + p.b;
}

struct big make_big(int first)
{
    struct big g;
    for (int n = 0; n < 12; n++)
        g.v[n] = first + n;
    return g;
}

long sum_big(struct big g)
{
    long s = 0;
    for (int n = 0; n < 12; n++)
        s += g.v[n];
    return s;
}

float half(float x)
{
    return x / 2;
}

double twice(double x)
{
    return x * 2;
}

long double same(long double x)
{
    return x;
}

int loop_body(int n)
{
    return n + 1; /* LOOP */
}

int main(void)
{
#ifdef __i386__
    __asm__ volatile("fldpi; fld1");
#endif
    for (i = 0; i < 100; i++) {
        sink = loop_body(i);
        f_result = half(i);
        d_result = twice(i);
    }
    return 0;
}
"""
guests = {}


def guest():
    name = harness.target.name
    if name not in guests:
        guests[name] = build_c_guest(SOURCE, "calls")
    return guests[name]


def run(commands):
    source, elf = guest()
    with Server(guest=elf) as s:
        return gdb(s, commands, symbols=elf)


def fpu_state():
    """What must not change by a call, as gdb shows it."""
    if harness.target.name == "i386":
        return ["echo FPU:\\n", "info float"]
    return ["echo FPU:\\n", "p $v7.d.u", "p $fpsr", "p $fpcr"]


def claim_functions_can_be_called_with_values_of_every_kind():
    out = run(["break loop_body if n == 3", "continue", "up"] + fpu_state() + ["echo END\\n",
              "print add(2, 3)",
              "print make_pair(7, -8)",
              "print sum_pair(make_pair(30, 12))",
              "print make_big(5)",
              "print sum_big(make_big(1))",
              "print half(7.0f)",
              "print twice(1.25)",
              "print (double)same((long double)0.375)",
              "print half(add(1, 2)) + twice(0.5)"] + fpu_state() + ["echo END\\n",
              "print calls", "delete", "break loop_body", "continue", "print n"])
    contains(out, r"^\$\d+ = 5$")
    contains(out, r"^\$\d+ = \{a = 7, b = -8\}$")
    contains(out, r"^\$\d+ = 42$")
    contains(out, r"^\$\d+ = \{v = \{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16\}\}$")
    contains(out, r"^\$\d+ = 78$")
    contains(out, r"^\$\d+ = 3\.5$")
    contains(out, r"^\$\d+ = 2\.5$")
    contains(out, r"^\$\d+ = 0\.375$")
    lacks(out, r"Could not|[Ee]rror")
    before, after = [part.split("END")[0].split("\n", 1)[1] for part in out.split("FPU:")[1:]]
    equal([line.split("=", 1)[-1] for line in after.splitlines()], [line.split("=", 1)[-1] for line in before.splitlines()],
          "the state of the floating-point unit after the calls")
    contains(out, r"^\$\d+ = 2\n")
    contains(out, r"loop_body \(n=4\)")


def claim_finish_shows_what_was_returned():
    out = run(["break loop_body if n == 3", "continue", "finish",
               "break half if x == 3", "continue", "finish",
               "break twice if x == 3", "continue", "finish"])
    contains(out, r"^Value returned is \$\d+ = 4$")
    contains(out, r"^Value returned is \$\d+ = 1\.5$")
    contains(out, r"^Value returned is \$\d+ = 6$")


def claim_return_gives_the_caller_a_value():
    out = run(["break half if x == 3", "continue", "return 7.25f", "next", "print f_result",
               "break twice if x == 3", "continue", "return 0.625", "next", "print d_result",
               "break loop_body if n == 5", "continue", "return 1000", "next", "print sink",
               "print calls"])
    contains(out, r"^\$\d+ = 7\.25$")
    contains(out, r"^\$\d+ = 0\.625$")
    contains(out, r"^\$\d+ = 1000$")


def claim_conditions_may_call_functions():
    out = run(["break loop_body if add(n, 1) == 5", "continue", "print n", "print calls"])
    contains(out, r"^\$1 = 4$")
    contains(out, r"^\$2 = 5$")


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64))
