"""What `xp`, `i` and gdb's `x` show of devices' registers is what the CPU reads there next, though the read do something to the device, and
the guest is as if nobody had looked: at the live edge, in the past and in a replay."""
import re
import sys

import harness
from harness import AARCH64, I386, Server, check, contains, equal, gdb, live_only, symbol
from rspclient import RspError

# Each read is one instruction, at a label of its own; address and value are in registers.
SOURCE = {
    "i386": r"""
    static void out8(unsigned short port, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "d"(port)); }
    static void out32(unsigned short port, unsigned v) { __asm__ volatile("outl %0, %1" : : "a"(v), "d"(port)); }
    static void wr32(unsigned at, unsigned v) { *(volatile unsigned *)at = v; }
    #define READ(name, insn) __attribute__((noinline)) static unsigned name(unsigned at) \
        { unsigned v = 0; __asm__ volatile(".globl at_" #name "\nat_" #name ": " insn : "+a"(v) : "d"(at)); return v; }
    READ(in8, "inb %%dx, %%al") READ(in16, "inw %%dx, %%ax") READ(in32, "inl %%dx, %%eax")
    READ(rd8, "movb (%%edx), %%al") READ(rd16, "movw (%%edx), %%ax") READ(rd32, "movl (%%edx), %%eax")
    int main(void)
    {
        in8(0x3fd); in8(0x3f8); in8(0x3f8); in8(0x3fd);     /* a FIFO with bytes in it */
        out8(0x3f9, 2); in8(0x3fa); in8(0x3fa); out8(0x3f9, 0); /* an interrupt that reading its cause ends */
        out8(0x60, 0xf4); in8(0x64); in8(0x60); in8(0x64);  /* the keyboard's answer */
        out8(0x43, 0x36); out8(0x40, 0x34); out8(0x40, 0x12); out8(0x43, 0); in8(0x40); in8(0x40); in8(0x40); /* latched, in halves */
        out8(0x70, 0); in16(0x71); __asm__ volatile("inb $0x71, %%al" : : : "eax"); /* what the host's clock says, nobody knows before */
        out8(0x70, 0x0a); in8(0x71); out8(0x70, 0x0b); out8(0x71, 0x42); for (int i = 0; i < 3000; i++) in8_();
        out8(0x70, 0x0c); in8(0x71); in8(0x71);             /* flags that reading clears */
        out8(0x20, 0x0a); in8(0x20); in8(0x21); in8(0x61);
        out32(0xcf8, 0x80000000); in32(0xcf8); in32(0xcfc); in16(0xcfc); in8(0xcfd);
        wr32(0xfee000f0, 0x1ff); wr32(0xfee00320, 0x10040); wr32(0xfee003e0, 0xb); wr32(0xfee00380, 1000000);
        rd32(0xfee00020); rd32(0xfee00030); rd32(0xfee00390); rd32(0xfee00390); rd32(0xfee000f0);
        wr32(0xfed00010, 1); rd32(0xfed00000); rd32(0xfed000f0); rd32(0xfed000f0);
        wr32(0xfec00000, 1); rd32(0xfec00010); rd8(0xfec00010);
        __asm__ volatile(".globl at_end\nat_end: nop");
        for (;;) __asm__ volatile("hlt");
    }
    """.replace("in8_()", '__asm__ volatile("pause")'),
    "aarch64": r"""
    typedef unsigned long u64;
    static void wr32(u64 at, unsigned v) { *(volatile unsigned *)at = v; }
    #define READ(name, insn) __attribute__((noinline)) static u64 name(u64 where) \
        { register u64 at __asm__("x1") = where, v __asm__("x0") = 0; __asm__ volatile(".globl at_" #name "\nat_" #name ": " insn : "+r"(v) : "r"(at)); return v; }
    READ(rd8, "ldrb w0, [x1]") READ(rd16, "ldrh w0, [x1]") READ(rd32, "ldr w0, [x1]")
    int main(void)
    {
        wr32(0x09000030, 0x301); wr32(0x0900002c, 0x70);
        rd32(0x09000018); rd32(0x09000000); rd8(0x09000000); rd32(0x09000018); rd16(0x0900002c); rd32(0x09000fe0);
        wr32(0x08000000, 3); wr32(0x08010000, 3); wr32(0x08010004, 0xff); wr32(0x08000100, 1); wr32(0x08000200, 1);
        rd32(0x08000004); rd32(0x08000200); rd32(0x0801000c); rd32(0x08000300); rd32(0x08010018); rd32(0x0801000c);
        rd32(0x09010fe0); rd32(0x09030400);
        __asm__ volatile(".globl at_end\nat_end: nop");
        for (;;) __asm__ volatile("wfi");
    }
    """}
BITS = {"in8": 8, "in16": 16, "in32": 32, "rd8": 8, "rd16": 16, "rd32": 32}


def guest():
    if harness.target.name not in guest.made:
        guest.made[harness.target.name] = harness.build_c_guest(SOURCE[harness.target.name], "registers")[1]
    return guest.made[harness.target.name]


guest.made = {}


def register(rsp, name):
    g = rsp.registers()
    at, size = {"i386": {"pc": (32, 4), "address": (8, 4), "value": (0, 4)},
                "aarch64": {"pc": (256, 8), "address": (8, 8), "value": (0, 8)}}[harness.target.name][name]
    return int.from_bytes(bytes.fromhex(g[2 * at:2 * (at + size)]), "little")


def shown(rsp, name, address):
    line = rsp.monitor("%s /x%s 0x%x" % ("i" if name.startswith("in") else "xp", {8: "b", 16: "h", 32: "w"}[BITS[name]], address))
    return int(contains(line, r"^0*%x: 0x([0-9a-f]+)$" % address).group(1), 16)


def go_through(rsp, labels, edge):
    """From one read to the next: what is shown before, and what is read then."""
    told = []
    while True:
        check(rsp.ask("c").startswith("T"))
        name = labels[register(rsp, "pc")]
        if name == "end":
            return told
        address, position = register(rsp, "address"), rsp.position()
        if (name, address) == ("in16", 0x71):
            try:
                value = shown(rsp, name, address)
                check(not edge, "nobody knows what the host's clock will say")
            except RspError as e:
                contains(str(e), "the world outside would have to answer")
                check(edge, "in the past it has said it")
                value = None
            rsp.ask("s")
            check(value is None or register(rsp, "value") == value)
            continue
        value = shown(rsp, name, address)
        equal(shown(rsp, name, address), value, "shown again")
        if name.startswith("rd"):
            equal(rsp.ask("m%x,%x" % (address, BITS[name] // 8)), value.to_bytes(BITS[name] // 8, "little").hex())
        equal(rsp.position(), position)
        rsp.ask("s")
        equal(register(rsp, "value"), value, "%s of %#x at %d" % (name, address, position))
        told.append((position, name, address, value))


def claim_what_is_shown_of_a_register_is_what_the_cpu_reads_next():
    names = [n for n in BITS if harness.target.name == "i386" or n.startswith("rd")]
    labels = {symbol(guest(), "at_" + n): n for n in names + ["end"]}
    with Server(guest=guest()) as s:
        rsp = s.client()
        rsp.monitor("serial hello")
        kind = 1 if harness.target.name == "i386" else 4
        for address in labels:
            equal(rsp.ask("Z0,%x,%d" % (address, kind)), "OK")
        told = go_through(rsp, labels, True)
        check(len({value for _, _, _, value in told}) > 8, told)
        if harness.target.name == "i386":
            equal([value for _, name, address, value in told if (name, address) == ("in8", 0x3f8)], [ord("h"), ord("e")])
        # The same in the past, where nobody looked, and where somebody did.
        rsp.monitor("seek 0")
        rsp.ask("bc")
        equal(go_through(rsp, labels, False), told)
        rsp.close()


@live_only
def claim_gdb_shows_registers_and_what_is_not_there_is_said():
    with Server(guest=guest()) as s:
        pc = harness.target.name == "i386"
        out = gdb(s, ["break at_in32" if pc else "break at_rd16", "continue", "x/2xw %s" % ("0xfee00020" if pc else "0x09000fe0"),
                      "x/1xb %s" % ("0xfec00000" if pc else "0x09000fe4")], symbols=guest())
        contains(out, r"^0x0*%s:\s+0x\w+\s+0x\w+$" % ("fee00020" if pc else "9000fe0"))
        rsp = s.client()
        refused = [("xp 0x7000000000", "no memory at physical address 0x7000000000")]
        refused += [("i /w 0xffff", "there is no port 0xffff of 4 bytes"), ("i /b 0x10000", "there is no port")] if pc else [("i 0x60", "no ports")]
        for line, why in refused:
            try:
                check(False, rsp.monitor(line))
            except RspError as e:
                contains(str(e), re.escape(why))
        rsp.close()


if __name__ == "__main__":
    harness.main(sys.modules[__name__], targets=(I386, AARCH64), modes=("live",))
