"""Scenarios of the PC board's own chips. (Not the 8254: QEMU's counts in another way, without null counts and decimals.)"""
import random

from chips_play import SEEDS, scenario

PC = "pc,vmport=off,smm=off"
PLAIN = ("-vga", "none")


def rounds(p):
    """Random numbers, the same ones each time."""
    for seed in range(SEEDS):
        yield random.Random(f"{p.name} {seed}")


# ---- interrupt controllers ----

def pic_look(p, tag):
    for base in (0x20, 0xa0):
        p.inb(base + 1, f"{tag} mask {base:x}")
        for ocw3, what in ((0x0a, "irr"), (0x0b, "isr")):
            p.outb(base, ocw3)
            p.inb(base, f"{tag} {what} {base:x}")
    p.inb(0x4d0, f"{tag} elcr 0")
    p.inb(0x4d1, f"{tag} elcr 1")


def pic_init(p, base, icw1=0x11, icw4=1):
    p.outb(base, icw1)
    for word in (base & 0x80 | 8, 4 if base == 0x20 else 2, icw4)[:2 + (icw1 & 1) - (icw1 >> 1 & 1)]:
        p.outb(base + 1, word)


@scenario(PC, qemu=PLAIN)
def pic(p):
    for port in (0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1):
        p.inb(port, f"reset {port:x}")
    pic_look(p, "reset")
    for v in p.patterns():
        for base in (0x21, 0xa1):
            p.outb(base, v)
            p.inb(base, "mask pattern")
        for elcr in (0x4d0, 0x4d1):
            p.outb(elcr, v)
            p.inb(elcr, f"pattern elcr {elcr:x}")
    for icw1 in (0x11, 0x13, 0x10, 0x12, 0x19, 0x1d):
        for icw4 in (1, 3, 0x11, 0x0d):
            for base in (0x20, 0xa0):
                pic_init(p, base, icw1, icw4)
            pic_look(p, f"icw1 {icw1:x} icw4 {icw4:x}")
    # A line that rises: counter 0's output in mode 0.
    for base in (0x20, 0xa0):
        pic_init(p, base)
        p.outb(base + 1, 0xff)
    p.outb(0x4d0, 0)
    p.outb(0x4d1, 0)
    p.outb(0x43, 0x30)
    p.outb(0x40, 0x10)
    p.outb(0x40, 0)
    p.step(1000000)
    pic_look(p, "irq 0 high")
    p.outb(0x20, 0x0c)  # poll
    p.inb(0x20, "poll masked")
    pic_look(p, "irq 0 polled masked")
    p.outb(0x21, 0xfe)
    p.outb(0x20, 0x0c)
    p.inb(0x20, "poll")
    pic_look(p, "irq 0 polled")
    p.outb(0x20, 0x0c)
    p.inb(0x20, "poll again")
    for ocw2 in (0x20, 0x60, 0x61, 0xa0, 0xc3, 0xe5, 0x40, 0x80, 0x00):
        p.outb(0x20, ocw2)
        pic_look(p, f"ocw2 {ocw2:x}")
    for ocw3 in (0x68, 0x48, 0x08, 0x0f):
        p.outb(0x20, ocw3)
        p.inb(0x20, f"ocw3 {ocw3:x}")
    # Mode 3 edges, again and again.
    p.outb(0x43, 0x36)
    p.outb(0x40, 0)
    p.outb(0x40, 1)
    for _ in range(8):
        p.step(130000)
        p.outb(0x20, 0x0c)
        p.inb(0x20, "edges poll")
        p.outb(0x20, 0x20)
    for size in "wl":
        for port in (0x20, 0x21, 0xa0, 0x4d0):
            p.add(f"in{size} {port:#x}", f"wide {size} {port:x}")


@scenario(PC, own=("e1000,netdev=n0,addr=3",), qemu=(*PLAIN, "-netdev", "hubport,hubid=0,id=n0", "-device", "e1000,netdev=n0,addr=3"))
def ioapic(p):
    base = 0xfec00000
    for width in "bwlq":
        for offset in (0, 4, 8, 0xc, 0x10, 0x11, 0x14, 0x20, 0x40, 0xff0):
            p.add(f"read{width} {base + offset:#x}", f"reset {offset:x} {width}")
    for index in range(0x100):
        p.writel(base, index)
        p.readl(base, f"index {index:x}")
        p.readl(base + 0x10, f"reset register {index:x}")
    for index in (0, 1, 2, 3, 0x10, 0x11, 0x12, 0x3e, 0x3f, 0x40, 0x80):
        p.writel(base, index)
        for v in p.patterns(32):
            if index & 1 == 0 and index >= 0x10:
                v |= 1 << 16  # masked
            p.writel(base + 0x10, v)
            p.readl(base + 0x10, f"pattern register {index:x}")
    for v in (0x100, 0x101, 0xffffffff, 0x12345678):
        p.writel(base, v)
        p.readl(base, f"index of 32 bits {v:x}")
    p.writeb(base, 0x01)
    p.readl(base + 0x10, "index by byte")
    p.writel(base + 0x20, 0)


@scenario(PC, qemu=(*PLAIN, "-cpu", "qemu64"), slow=True)
def lapic(p):
    base = 0xfee00000
    for offset in range(0, 0x400, 0x10):
        p.readl(base + offset, f"reset {offset:x}")
    for offset in (0x80, 0xd0, 0xe0, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x3e0, 0x310, 0x20, 0x30, 0x90, 0xa0, 0xc0, 0x100, 0x180, 0x200, 0x390, 0x3f0, 0x2f0):
        for v in p.patterns(32)[::3 if offset < 0x300 else 1]:
            p.writel(base + offset, v)
            p.readl(base + offset, f"pattern disabled {offset:x}")
    for v in p.patterns(32):
        p.writel(base + 0xf0, v)
        p.readl(base + 0xf0, "pattern f0")
    p.writel(base + 0xf0, 0x1ff)
    for offset in (0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x80, 0xd0, 0xe0):
        for v in p.patterns(32):
            p.writel(base + offset, v | (1 << 16 if offset >= 0x320 else 0))
            p.readl(base + offset, f"pattern enabled {offset:x}")
        p.writel(base + offset, 0x10000 if offset >= 0x320 else 0)
    for value in (0, 0x20, 0x35, 0xff, 0):
        p.writel(base + 0x80, value)
        p.readl(base + 0xa0, f"ppr with tpr {value:x}")
    # Interrupts that it sends to itself.
    p.writel(base + 0x280, 0)
    for vector in (0x31, 0x52, 0xf0, 0x10, 0x0f, 0x00):
        p.writel(base + 0x300, 0x44000 | vector)
        p.readl(base + 0x300, f"icr {vector:x}")
        for offset in range(0x200, 0x280, 0x10):
            p.readl(base + offset, f"self {vector:x} register {offset:x}")
        p.writel(base + 0x280, 0)
        p.readl(base + 0x280, f"errors {vector:x}")
    for n in range(0x100, 0x180, 0x10):
        p.readl(base + n, f"isr {n:x}")
    p.writel(base + 0xb0, 0)
    p.readl(base + 0xa0, "ppr after eoi")
    for v in (0x12345678, 0xff000000):
        p.writel(base + 0x310, v)
        p.readl(base + 0x310, "icr high")


@scenario(PC, qemu=PLAIN)
def hpet(p):
    base = 0xfed00000
    for offset in range(0, 0x200, 4):
        p.readl(base + offset, f"reset {offset:x}")
    for offset in (0, 8, 0x10, 0x20, 0xf0, 0x100, 0x108, 0x110):
        p.readq(base + offset, f"reset q {offset:x}")
        p.readb(base + offset + 1, f"reset b {offset:x}")
        p.readw(base + offset + 2, f"reset w {offset:x}")
    for offset in (0, 4, 0x20, 0x24, 0x100, 0x104, 0x108, 0x10c, 0x110, 0x114, 0x120, 0x128, 0x140, 0x148, 0xf0, 0xf4):
        for v in p.patterns(32):
            p.writel(base + offset, v)
            p.readl(base + offset, f"pattern {offset:x}")
    for n in range(3):
        p.writeq(base + 0x100 + 0x20 * n, 0)
    p.writeq(base + 0xf0, 0)
    for config in (0, 4, 8, 0xc, 0x100, 0x104, 0x108, 0x10c, 2, 6, 0xa, 0xe):
        p.writel(base + 0x10, 0)
        p.writeq(base + 0xf0, 0)
        p.writel(base + 0x20, 7)
        for n in range(3):
            p.writel(base + 0x100 + 0x20 * n, config | (16 + n) << 9)
            if config & 8:
                p.writel(base + 0x100 + 0x20 * n, config | (16 + n) << 9 | 0x40)
            p.writeq(base + 0x108 + 0x20 * n, 0x8000 * (n + 1))
        p.hpet_starts()
        tag = f"config {config:x}"
        for ns in (128, 100096, 500096, 1000064, 3000064):
            p.step(ns)
            p.readq(base + 0xf0, f"{tag} counter")
            p.readl(base + 0xf4, f"{tag} counter high")
            p.readl(base + 0x20, f"{tag} status")
            for n in range(3):
                p.readq(base + 0x108 + 0x20 * n, f"{tag} comparator")
                p.readq(base + 0x100 + 0x20 * n, f"{tag} configuration")
        p.writel(base + 0x20, 7)
        p.readl(base + 0x20, f"{tag} status cleared")
        p.writel(base + 0x10, 0)
        p.readq(base + 0xf0, f"{tag} counter stopped")


@scenario(PC, qemu=PLAIN, shift=10, slow=True)
def rtc(p):
    def cmos(n, tag, bank=0x70):
        p.outb(bank, n)
        p.inb(bank + 1, tag)

    def put(n, v, bank=0x70):
        p.outb(bank, n)
        p.outb(bank + 1, v)

    p.inb(0x70, "reset 70")
    p.inb(0x72, "reset 72")
    for n in range(128):
        cmos(n, f"reset {n:x}")
    for n in range(14, 128):
        if n not in (0x32, 0x37):
            for v in (0, 0xff, 0xa5):
                put(n, v)
                cmos(n, f"memory {n:x}")
    for n in (1, 3, 5, 0xa, 0xb, 0xd):
        for v in p.patterns():
            put(n, v & 0x7f if n == 0xa else v & 0x8f if n == 0xb else v)
            cmos(n, f"pattern {n:x}")
            cmos(0xc, f"register C after {n:x}")
    for b in (0x02, 0x06, 0x00, 0x04):
        put(0xb, 0x80 | b)
        put(0xa, 0x26)
        for n, v in zip((0, 2, 4, 6, 7, 8, 9, 0x32), (0x58, 0x59, 0x11, 3, 0x28, 2, 0x24, 0x20) if not b & 4 else (58, 59, 11, 3, 28, 2, 24, 0x20)):
            put(n, v)
            cmos(n, f"mode {b:x} set {n:x}")
        put(0xb, b)
        for _ in range(6):
            p.step(999999488)
            for n in (0, 2, 4, 6, 7, 8, 9, 0x32):
                cmos(n, f"mode {b:x} runs {n:x}")
    put(0xb, 0x82)
    for n, v in zip((0, 2, 4, 6, 7, 8, 9, 0x32), (0x58, 0x59, 0x23, 7, 0x31, 0x12, 0x99, 0x19)):
        put(n, v)
    put(0xb, 0x02)
    for _ in range(4):
        p.step(999999488)
        for n in (0, 2, 4, 6, 7, 8, 9, 0x32):
            cmos(n, f"century {n:x}")
    for alarm in ((0x05, 0x00, 0x00), (0xc0, 0xc0, 0xc0), (0xff, 0x00, 0xff), (0x10, 0xff, 0xff)):
        put(0xb, 0x82)
        for n, v in zip((0, 2, 4), (0, 0, 0)):
            put(n, v)
        for n, v in zip((1, 3, 5), alarm):
            put(n, v)
        put(0xb, 0x22)
        for _ in range(7):
            p.step(1999998976)
            cmos(0xc, f"alarm {alarm[0]:x}")
            cmos(0xc, "alarm cleared")
    for rate in (0x26, 0x2f, 0x2a, 0x20):
        put(0xa, rate)
        put(0xb, 0x42)
        cmos(0xc, "periodic before")
        for _ in range(5):
            p.step(40000000)
            cmos(0xc, f"periodic {rate:x}")
        put(0xb, 0x02)
    for v in (0x12, 0x92, 0x02):
        put(0xb, v)
        cmos(0xb, f"register B {v:x}")
    put(0xb, 0x12)
    for _ in range(5):
        p.step(500000000)
        cmos(0xc, "update ended")
    # The divider held, and released.
    for dv in (0x76, 0x66, 0x26):
        put(0xa, dv)
        for _ in range(3):
            p.step(600000000)
            cmos(0, f"divider {dv:x} seconds")
            cmos(0xa, f"divider {dv:x} register A")


# ---- keyboard controller ----

@scenario(PC, qemu=PLAIN)
def i8042(p):
    def drain(tag):
        for _ in range(8):
            p.inb(0x64, f"{tag} status")
            p.inb(0x60, f"{tag} data")
        p.inb(0x64, f"{tag} status drained")

    p.inb(0x64, "reset status")
    p.inb(0x60, "reset data")
    for command in (0x20, 0xaa, 0xab, 0xa9, 0xa7, 0x20, 0xa8, 0x20, 0xad, 0x20, 0xae, 0x20, 0xc0, 0xd0, 0xe0, 0xa1, 0xa4, 0x21, 0x3f, 0x22, 0xdd, 0xdf, 0xd0,
                    0xff, 0xf0, 0xfd, 0xac, 0xc1, 0xc2, 0xc8, 0xca, 0x00, 0x40, 0x80):
        p.outb(0x64, command)
        drain(f"command {command:x}")
    for v in p.patterns():
        p.outb(0x64, 0x60)
        p.outb(0x60, v)
        p.inb(0x64, f"mode {v:x} status")
        p.outb(0x64, 0x20)
        p.inb(0x60, f"mode {v:x}")
    for v in (0x03, 0x47):
        p.outb(0x64, 0x60)
        p.outb(0x60, v)
        for output in (0xcf, 0x03, 0x13, 0x33, 0xdf):
            p.outb(0x64, 0xd1)
            p.outb(0x60, output)
            drain(f"output {output:x}")
            p.outb(0x64, 0xd0)
            drain(f"output {output:x} read")
        for d in (0xd2, 0xd3):
            p.outb(0x64, d)
            p.outb(0x60, 0x5a)
            drain(f"mode {v:x} command {d:x}")
    for command in ([0xff], [0xf2], [0xee], [0xf0, 0], [0xf0, 1], [0xf0, 0], [0xf0, 3], [0xf0, 2], [0xf0, 4], [0xed, 7], [0xed, 0], [0xf3, 0], [0xf3, 0x2b], [0xf4],
                    [0xf5], [0xf6], [0xfe], [0xf7], [0xf8], [0xf9], [0xfa], [0xfb, 0x1c], [0xfc, 0x1c], [0xfd, 0x1c], [0xef], [0x00], [0x10], [0xec],
                    [0xf1], [0xf4, 0xf2]):
        for b in command:
            p.outb(0x60, b)
            drain(f"keyboard {command[0]:x} {b:x}")
    for command in ([0xff], [0xf2], [0xe9], [0xeb], [0xf4], [0xe9], [0xe8, 0], [0xe9], [0xe8, 3], [0xe9], [0xe7], [0xe9], [0xe6], [0xe9], [0xf3, 10], [0xe9], [0xf0],
                    [0xe9], [0xea], [0xe9], [0xee], [0x55], [0xec], [0xec], [0xf5], [0xf6], [0xe9], [0xf3, 200], [0xf3, 100], [0xf3, 80], [0xf2],
                    [0xf3, 200], [0xf3, 200], [0xf3, 80], [0xf2], [0xfe], [0xe1], [0xef], [0x00], [0xe8, 9], [0xe9], [0xf3, 0], [0xe9], [0xff], [0xf2], [0xe9]):
        for b in command:
            p.outb(0x64, 0xd4)
            p.outb(0x60, b)
            drain(f"mouse {command[0]:x} {b:x}")
    for size in "wl":
        for port in (0x60, 0x64):
            p.add(f"in{size} {port:#x}", f"wide {size} {port:x}")


# ---- ports of the board ----

@scenario(PC, qemu=PLAIN)
def board_ports(p):
    for port in (0x92, 0xf0, 0xf1, 0xb2, 0xb3, 0x80, 0xe9, 0xed, 0xcf8, 0xcf9, 0xcfa, 0x510, 0x511, 0x4d0, 0x3f6, 0x1f0, 0x378, 0x2e8, 0x201, 0x4d2,
                 0xae00, 0xafe0, 0xaf00):
        for size in "bwl":
            p.add(f"in{size} {port:#x}", f"reset {size} {port:x}")
    for v in p.patterns():
        p.outb(0x92, v & 0xfe)
        p.inb(0x92, "pattern 92")
        p.outb(0x61, v)
        p.inb(0x61, "pattern 61")
        p.outb(0xcf9, v & ~4)
        p.inb(0xcf9, "pattern cf9")
        p.outb(0xb3, v)
        p.inb(0xb3, "pattern b3")
        p.outb(0xb2, v)
        p.inb(0xb2, "pattern b2")
        p.outb(0x80, v)
        p.inb(0x80, "pattern 80")
        p.outb(0xf0, v)
        p.inb(0xf0, "pattern f0")
    for v in (*p.patterns(32), 0x80000000, 0x80000001, 0x800000fc):
        p.outl(0xcf8, v)
        p.inl(0xcf8, "pattern cf8")
        p.inl(0xcfc, "data of a pattern")
    for port in (0xcf8, 0xcf9, 0xcfa, 0xcfb):
        p.outl(0xcf8, 0x80000000)
        if port != 0xcf9:
            p.outb(port, 0x12)
        p.inb(port, f"byte of {port:x}")
        p.inl(0xcf8, f"address after a byte to {port:x}")
    p.outw(0xcf8, 0x1234)
    p.inl(0xcf8, "address after a word")
    p.outl(0xcf8, 0x80000000)
    for offset in range(4):
        for size in "bwl":
            p.add(f"in{size} {0xcfc + offset:#x}", f"data {size} {offset}")


@scenario(PC, qemu=PLAIN)
def dma(p):
    eight = [*range(0x10)]
    sixteen = [*range(0xc0, 0xe0)]
    pages = [*range(0x80, 0x90)]
    for port in eight + sixteen + pages:
        p.inb(port, f"reset {port:x}")
    for port in pages:
        for v in (0, 0xff, 0xa5):
            p.outb(port, v)
            p.inb(port, f"page {port:x}")
    for base, step in ((0, 1), (0xc0, 2)):
        for channel in range(4):
            for which in range(2):
                port = base + (channel * 2 + which) * step
                for v in (0x1234, 0xffff, 0, 0xa55a):
                    p.outb(base + 0xc * step, 0)
                    p.outb(port, v & 255)
                    p.outb(port, v >> 8)
                    p.inb(port, f"count {port:x} low")
                    p.inb(port, f"count {port:x} high")
                p.outb(base + 0xc * step, 0)
                p.outb(port, 0x77)
                p.inb(port, f"count {port:x} flip-flop")
        for register in range(8, 16):
            for v in (0, 1, 2, 3, 4, 5, 6, 7, 0xf, 0x55, 0xff, 0x10, 0x40):
                if register == 9 and v & 4:
                    continue
                p.outb(base + register * step, v)
                for r in (8, 0xd, 0xf, 9, 0xa, 0xb, 0xc, 0xe):
                    p.inb(base + r * step, f"write {register:x} read {r:x}")
    p.inw(0xc0, "wide")
    p.inw(0x80, "wide page")


@scenario(PC, own=(), qemu=(*PLAIN, "-serial", "null", "-serial", "null"), slow=True)
def uart(p):
    def look(tag):
        for n in (1, 2, 3, 4, 5, 6, 7):
            p.inb(0x3f8 + n, f"{tag} register {n}")

    for n in range(8):
        p.inb(0x2f8 + n, f"reset {n}")
    for size in "wl":
        p.add(f"in{size} 0x2fb", f"wide {size}")
    for n in (1, 3, 4, 7, 2):
        for v in p.patterns():
            if n == 3:
                v &= 0x7f
            p.outb(0x3f8 + n, v)
            look(f"write {n}")
        p.outb(0x3f8 + n, 0)
    p.outb(0x3fb, 0x80)
    for n in (0, 1):
        for v in p.patterns():
            p.outb(0x3f8 + n, v)
            p.inb(0x3f8, f"divisor {n} low")
            p.inb(0x3f9, f"divisor {n} high")
    p.outb(0x3f8, 1)
    p.outb(0x3f9, 0)
    p.outb(0x3fb, 3)
    for mcr in (0x10, 0x11, 0x12, 0x14, 0x18, 0x1f, 0x10, 0x1f, 0x00):
        p.outb(0x3fc, mcr)
        look(f"loop {mcr:x}")
    # In loopback mode what is sent is received.
    for fcr in (0, 1, 7, 0xc1, 0x41, 0x81):
        p.outb(0x3fa, fcr)
        for ier in (0, 1, 2, 4, 8, 5, 0xf):
            p.outb(0x3f9, ier)
            p.outb(0x3fc, 0x18)
            tag = f"fcr {fcr:x} ier {ier:x}"
            look(tag)
            for count in (1, 3, 20):
                for b in range(count):
                    p.outb(0x3f8, b)
                    p.step(200000)
                look(f"{tag} sent {count}")
                for b in range(count + 1):
                    p.inb(0x3f8, f"{tag} received {count}")
                    p.inb(0x3fd, f"{tag} status of {count}")
                    p.inb(0x3fa, f"{tag} identification of {count}")
            p.step(10000000)
            look(f"{tag} later")
    p.outb(0x3fc, 0)


IDE = ("drive=d0,8388608", "drive=c0,2097152,cd", "ide-hd,drive=d0,bus=ide.0,unit=0", "ide-cd,drive=c0,bus=ide.1,unit=0")
IDE_QEMU = (*PLAIN, "-drive", "driver=null-co,size=8388608,read-zeroes=on,id=d0,if=none", "-device", "ide-hd,drive=d0,bus=ide.0,unit=0,serial=serial",
            "-drive", "driver=null-co,size=2097152,read-zeroes=on,id=c0,if=none,read-only=on", "-device", "ide-cd,drive=c0,bus=ide.1,unit=0,serial=serial")


@scenario(PC, own=IDE, qemu=IDE_QEMU, slow=True)
def ide(p):
    def look(base, tag):
        for n in (1, 2, 3, 4, 5, 6, 7):
            p.inb(base + n, f"{tag} register {n}")
        p.inb(base + 0x206, f"{tag} alternate status")

    for base in (0x1f0, 0x170):
        look(base, f"reset {base:x}")
        p.inb(base, f"reset {base:x} data b")
        p.inw(base, f"reset {base:x} data w")
        p.inl(base, f"reset {base:x} data l")
        for unit in (0xa0, 0xb0, 0xe0, 0xf0, 0x40, 0x50, 0, 0xa0):
            p.outb(base + 6, unit)
            look(base, f"{base:x} unit {unit:x}")
        for n in (1, 2, 3, 4, 5):
            for v in p.patterns():
                p.outb(base + n, v)
                p.inb(base + n, f"{base:x} pattern {n}")
        p.outb(base + 6, 0xa0)
        # The high-order bytes of LBA48.
        for n in (2, 3, 4, 5):
            p.outb(base + n, 0x12 + n)
            p.outb(base + n, 0x34 + n)
        look(base, f"{base:x} second bytes")
        p.outb(base + 0x206, 0x80)
        look(base, f"{base:x} high order")
        p.outb(base + 0x206, 0)
        look(base, f"{base:x} low order")
        p.outb(base + 0x206, 4)
        look(base, f"{base:x} in reset")
        p.outb(base + 0x206, 0)
        p.step(10000000)
        look(base, f"{base:x} signature")
        p.outb(base + 6, 0xb0)
        look(base, f"{base:x} signature of no unit")
        p.outb(base + 6, 0xa0)
    for base, commands in ((0x1f0, (0x00, 0x10, 0x1f, 0x90, 0xa1, 0xec, 0x91, 0xc6, 0x40, 0x41, 0x42, 0x70, 0x20, 0x21, 0x24, 0xc4, 0x29, 0xe0, 0xe1, 0xe2, 0xe3, 0xe5, 0xe7, 0xea,
                                    0xef, 0xf8, 0x27, 0xb0, 0xe4, 0x08, 0x06, 0x03, 0xde, 0xe8, 0xf5, 0xff, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0xc5, 0xc8, 0x25, 0xf9, 0x37, 0xa0)),
                           (0x170, (0x00, 0x08, 0x90, 0xa1, 0xec, 0x20, 0xe1, 0xe0, 0xe5, 0xe6, 0xef, 0x91, 0xff, 0xe7, 0x40))):
        for command in commands:
            for n, v in ((1, 3), (2, 1), (3, 1), (4, 0), (5, 0), (6, 0xe0)):
                p.outb(base + n, v)
            p.outb(base + 7, command)
            p.flush()
            p.step(30000000)
            tag = f"{base:x} command {command:x}"
            look(base, tag)
            if command in (0xec, 0xa1):
                for n in range(257):
                    p.inw(base, f"{tag} word {n}")
                look(base, f"{tag} read")
            elif command in (0x20, 0x21, 0x24, 0xc4, 0x29, 0xe4):
                for n in range(256):
                    p.inw(base, f"{tag} data")
                look(base, f"{tag} read")
            p.outb(base + 0x206, 4)
            p.outb(base + 0x206, 0)
            p.step(10000000)
    # SET FEATURES.
    for feature in (2, 3, 5, 0x33, 0x55, 0x66, 0x85, 0xcc):
        p.outb(0x1f1, feature)
        p.outb(0x1f2, 0x42 if feature == 3 else 0)
        p.outb(0x1f7, 0xef)
        p.step(1000000)
        p.inb(0x1f7, f"feature {feature:x} status")
        p.inb(0x1f1, f"feature {feature:x} error")
    # The bus master's registers.
    p.config_write(1 << 3 | 1, 0x20, 0xc000)
    p.config_write(1 << 3 | 1, 4, 5, 2)
    for n in range(16):
        p.inb(0xc000 + n, f"bus master reset {n:x}")
    for n in (0, 2, 4, 5, 6, 7, 8, 10, 12, 15, 1, 3):
        for v in p.patterns():
            p.outb(0xc000 + n, v & 0xfe if n in (0, 8) else v)
            p.inb(0xc000 + n, f"bus master pattern {n:x}")
    for n in range(0, 16, 4):
        p.inl(0xc000 + n, f"bus master long {n:x}")
        p.inw(0xc000 + n, f"bus master word {n:x}")


@scenario(PC, qemu=("-vga", "std"))
def vga(p):
    def groups(color):
        return {"sequencer": (0x3c4, 0x3c5, 8), "crtc": (color, color + 1, 0x40), "graphics": (0x3ce, 0x3cf, 16)}

    for port in range(0x3b0, 0x3e0):
        p.inb(port, f"reset {port:x}")
    for misc in (0, 1, 0x63, 0xff, 0xe3):
        p.outb(0x3c2, misc)
        p.inb(0x3cc, f"misc {misc:x}")
        for port in (0x3b4, 0x3b5, 0x3ba, 0x3d4, 0x3d5, 0x3da, 0x3c2):
            p.inb(port, f"misc {misc:x} port {port:x}")
    p.outb(0x3c2, 0x63)
    for name, (index, data, count) in groups(0x3d4).items():
        for v in p.patterns():
            p.outb(index, v)
            p.inb(index, f"{name} index")
        for n in range(count):
            p.outb(index, n)
            p.inb(data, f"reset {name} {n:x}")
            for v in p.patterns():
                p.outb(data, v)
                p.inb(data, f"pattern {name} {n:x}")
            p.outw(index, n | 0x5500)
            p.inw(index, f"word {name} {n:x}")
            p.outb(data, 0)
    # CRTC 11h protects 0-7.
    p.outw(0x3d4, 0x0011)
    for n in range(8):
        p.outw(0x3d4, n | 0x1100)
    p.outw(0x3d4, 0x8011)
    for n in range(8):
        p.outw(0x3d4, n | 0xff00)
        p.outb(0x3d4, n)
        p.inb(0x3d5, f"protected {n}")
    p.outw(0x3d4, 0x0011)
    # Attribute controller.
    for n in range(32):
        for screen in (0, 0x20):
            p.inb(0x3da)
            p.outb(0x3c0, n | screen)
            p.inb(0x3c0, f"attribute index {n:x}")
            p.inb(0x3c1, f"reset attribute {n:x}")
            for v in p.patterns():
                p.outb(0x3c0, v)
                p.inb(0x3c1, f"pattern attribute {n:x} screen {screen:x}")
                p.outb(0x3c0, n | screen)
            p.inb(0x3c0, f"attribute index {n:x}")
    for v in p.patterns():
        p.inb(0x3da)
        p.outb(0x3c0, v)
        p.inb(0x3c0, "attribute index pattern")
    # DAC.
    for v in p.patterns():
        p.outb(0x3c6, v)
        p.inb(0x3c6, "dac mask")
    p.outb(0x3c6, 0xff)
    p.outb(0x3c8, 0)
    for n in range(768):
        p.outb(0x3c9, n * 7 & 255)
        p.inb(0x3c8, "dac write index")
        p.inb(0x3c7, "dac state writing")
    p.outb(0x3c7, 0)
    for n in range(770):
        p.inb(0x3c9, "dac data")
        p.inb(0x3c8, "dac index reading")
        p.inb(0x3c7, "dac state reading")
    p.outb(0x3c8, 5)
    p.outb(0x3c9, 1)
    p.outb(0x3c7, 5)
    p.inb(0x3c9, "dac half a colour")
    # VBE dispi.
    for n in range(20):
        p.outw(0x1ce, n)
        p.inw(0x1ce, "vbe index")
        p.inw(0x1cf, f"vbe reset {n:x}")
        p.inw(0x1d0, f"vbe reset 1d0 {n:x}")
        p.inb(0x1cf, f"vbe byte {n:x}")
    for v in (0xb0c0, 0xb0c5, 0xb0c6, 0xb0bf, 0, 0xb0c2):
        p.outw(0x1ce, 0)
        p.outw(0x1cf, v)
        p.inw(0x1cf, "vbe id")
    for x, y, bpp in ((640, 480, 8), (800, 600, 16), (1024, 768, 24), (1280, 1024, 32), (1600, 1200, 15), (641, 481, 4), (0, 0, 32), (65535, 65535, 32), (2560, 1600, 32), (320, 200, 9)):
        p.outw(0x1ce, 4)
        p.outw(0x1cf, 0)
        for n, v in ((1, x), (2, y), (3, bpp)):
            p.outw(0x1ce, n)
            p.outw(0x1cf, v)
            p.inw(0x1cf, f"vbe {x} {y} {bpp} set {n}")
        for enable in (0x41, 0x43, 0x61, 0xe1):
            p.outw(0x1ce, 4)
            p.outw(0x1cf, enable)
            for n in range(11):
                p.outw(0x1ce, n)
                p.inw(0x1cf, f"vbe {x} {y} {bpp} enabled {enable:x} register {n}")
        for n, v in ((6, x + 64 & 0xffff), (7, 123), (8, 16), (9, 100), (8, 0xffff), (9, 0xffff), (5, 3), (5, 0), (6, 16), (6, 0xffff)):
            p.outw(0x1ce, n)
            p.outw(0x1cf, v)
            for r in range(11):
                p.outw(0x1ce, r)
                p.inw(0x1cf, f"vbe {x} {y} {bpp} wrote {n}={v:x} register {r}")
    p.outw(0x1ce, 4)
    p.outw(0x1cf, 0)


def vga_put(p, port, n, v):
    p.outw(port, n | v << 8)


@scenario(PC, qemu=("-vga", "std"))
def vga_memory(p):
    """Modes of writing and reading. QEMU has the whole data path in planar modes only, and chained ones only where all of them agree."""
    p.config_write(2 << 3, 4, 3, 2)
    p.outb(0x3c2, 0x63)
    for rng in rounds(p):
        for case in range(60):
            family = rng.choice(("planar", "planar", "chain 4", "text"))
            memory_map = rng.randrange(4)
            gc6 = memory_map << 2 | rng.randrange(2) | (family == "text") << 1
            mode = {"planar": rng.randrange(4) | rng.randrange(2) << 3, "chain 4": 0x40, "text": 0x10}[family]
            for port, n, v in ((0x3c4, 4, 6), (0x3c4, 2, 15), (0x3ce, 6, 5), (0x3ce, 5, 0), (0x3ce, 1, 0), (0x3ce, 3, 0), (0x3ce, 8, 255)):
                vga_put(p, port, n, v)
            for at in range(0xa0000, 0xa0104, 4):  # as chips differ in where chained bytes lie, modes do not see each other's
                p.writel(at, 0)
            vga_put(p, 0x3c4, 4, {"planar": 6, "chain 4": 0xe, "text": 2}[family])
            vga_put(p, 0x3ce, 6, gc6)
            vga_put(p, 0x3ce, 5, mode)
            base = (0xa0000, 0xa0000, 0xb0000, 0xb8000)[memory_map]
            tag = f"{family} 5={mode:x}"
            registers = ((0x3c4, 2, 16), (0x3ce, 0, 16), (0x3ce, 1, 16), (0x3ce, 2, 16), (0x3ce, 3, 32), (0x3ce, 4, 4), (0x3ce, 7, 16), (0x3ce, 8, 256))
            if family != "planar":
                vga_put(p, 0x3c4, 2, 15 if family == "chain 4" else 3)
                vga_put(p, 0x3ce, 4, 0)
                registers = registers[1:2] + registers[3:4] if family == "text" else registers[:2]
            p.readb(base)  # the latches
            for _ in range(12):
                for port, n, limit in registers:
                    if rng.randrange(2):
                        vga_put(p, port, n, rng.randrange(limit))
                at = base + rng.randrange(64)
                width = rng.choice("bbwl")
                p.add(f"write{width} {at:#x} {rng.getrandbits(32) & (255 if width == 'b' else 65535 if width == 'w' else 2**32 - 1):#x}")
                p.add(f"read{rng.choice('bbwl')} {at:#x}", tag)
                p.readb(at ^ rng.choice((0, 1, 2, 3)), tag)
            if family == "planar":
                for at in (0xa0040, 0xa0080, 0xb0040, 0xb0080, 0xb8040, 0xb8080):
                    p.readb(at, f"map {memory_map} at {at:x}")


@scenario(PC, qemu=PLAIN, slow=True)
def pm(p):
    """ACPI's fixed registers, general-purpose events and the SMI port."""
    bdf, base = 1 << 3 | 3, 0xb000
    p.config_write(bdf, 0x40, base | 1)
    p.config_write(bdf, 0x80, 1, 1)
    for size, letter in ((1, "b"), (2, "w"), (4, "l")):
        for offset in range(0, 64, size):
            if not 8 <= offset < 12:
                p.add(f"in{letter} {base + offset:#x}", f"pm reset {letter} {offset:x}")
    for offset in (0, 2, 4):
        for v in p.patterns(16):
            p.outw(base + offset, v & ~0x2000 if offset == 4 else v)
            p.inw(base + offset, f"pm pattern {offset:x}")
        p.outw(base + offset, 0)
    for ns in (1000000, 123456789, 1000000000):
        p.inl(base + 8, "pm timer")
        p.step(ns)
        p.inl(base + 8, "pm timer")
        p.inw(base, "pm status")
    p.outw(base + 2, 1)
    for _ in range(6):
        p.step(999999999)
        p.inw(base, "pm timer status")
        p.outw(base, 1)
        p.inw(base, "pm timer status cleared")
    p.config_write(bdf, 0x5b, 2, 1)
    for v in (0xf1, 0xf0, 1, 0):
        p.outb(0xb3, v)
        p.outb(0xb2, v)
        p.inb(0xb2, f"smi command {v:x}")
        p.inb(0xb3, f"smi data {v:x}")
        p.inw(base + 4, f"pm control after smi {v:x}")
    p.config_write(bdf, 0x80, 0, 1)
    p.inw(base, "pm switched off")


FLOPPY = ("drive=f0,1474560,floppy",)
FLOPPY_QEMU = (*PLAIN, "-drive", "driver=null-co,size=1474560,read-zeroes=on,id=f0,if=none", "-device", "floppy,drive=f0,unit=0")


@scenario(PC, own=FLOPPY, qemu=FLOPPY_QEMU, slow=True)
def fdc(p):
    base = 0x3f0

    def look(tag):
        for n in (0, 1, 2, 3, 4, 7):
            p.inb(base + n, f"{tag} register {n}")

    def result(tag):
        for n in range(10):
            p.inb(base + 4, f"{tag} main status {n}")
            p.inb(base + 5, f"{tag} result {n}")
        p.inb(base + 4, f"{tag} main status at the end")

    look("reset")
    for v in (0x0c, 0x1c, 0x08, 0x00, 0x0c, 0xfc, 0x0d, 0x0c):
        p.outb(base + 2, v)
        p.step(3000000)
        look(f"dor {v:x}")
        for _ in range(5):
            p.outb(base + 5, 8)
            p.step(100000)
            for n in range(2):
                p.inb(base + 5, f"dor {v:x} sense {n}")
            p.inb(base + 4, f"dor {v:x} main status")
    for v in p.patterns():
        p.outb(base + 3, v)
        p.inb(base + 3, "tdr")
    p.outb(base + 3, 0)
    for v in (0, 1, 2, 3):
        p.outb(base + 7, v)
        p.inb(base + 7, f"dir after rate {v}")
    p.outb(base + 2, 0x1c)
    for command in ([0x10], [0x0e], [0x03, 0xdf, 3], [0x13, 0, 0x57, 0], [0x0e], [0x94], [0x0e], [0x14], [0x12, 0x81], [0x12, 0x80], [0x18], [0x04, 0], [0x04, 1], [0x07, 0], [8], [0x0f, 0, 5], [8], [0x0f, 4, 9], [8],
                    [8], [0x8f, 0, 2], [8], [0xcf, 0, 2], [8], [0x4a, 0], [0x33, 1, 2, 3, 4, 5], [0x8e, 1, 2, 3, 4, 5], [0x1f], [0x0b], [0x07, 1], [8], [0x2e, 0], [0x4e] + [0] * 16, [0x34], [0x54]):
        tag = "fdc " + " ".join(f"{b:x}" for b in command)[:20]
        for b in command:
            p.inb(base + 4, f"{tag} before")
            p.outb(base + 5, b)
        p.step(400000000)
        result(tag)
    p.outb(base + 4, 0x80)
    p.step(3000000)
    look("dsr reset")
