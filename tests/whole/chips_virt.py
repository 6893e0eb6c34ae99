"""Scenarios of the virt board's chips."""
import random

from chips_play import SEEDS, scenario

VIRT2 = "virt,gic-version=2,acpi=off"
VIRT3 = "virt,gic-version=3,acpi=off"
CPU = ("-cpu", "cortex-a57")


def sweep(p, base, offsets, name, letter="l"):
    for offset in offsets:
        p.add(f"read{letter} {base + offset:#x}", f"{name} reset {offset:x}")


def patterns(p, base, offsets, name, keep=0, width=32, tag="pattern"):
    letter = {8: "b", 16: "w", 32: "l", 64: "q"}[width]
    for offset in offsets:
        for v in p.patterns(min(width, 32)):
            p.add(f"write{letter} {base + offset:#x} {v & ~keep:#x}")
            p.add(f"read{letter} {base + offset:#x}", f"{name} {tag} {offset:x}")
        p.add(f"write{letter} {base + offset:#x} 0")


@scenario(VIRT2, qemu=(*CPU, "-serial", "null"))
def pl011(p):
    base = 0x9000000
    sweep(p, base, range(0, 0x1000, 4), "pl011")
    for letter in "bwq":
        sweep(p, base, (0, 4, 0x18, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x38, 0x3c, 0x40, 0x44, 0x48, 0xfe0, 0xff0), f"pl011 {letter}", letter)
    patterns(p, base, (0x20, 0x24, 0x28, 0x34, 0x38, 0x48, 0x04, 0x08, 0x18, 0x3c, 0x40, 0xfe0, 0x80, 0x44), "pl011")
    patterns(p, base, (0x2c,), "pl011 lcr_h")
    patterns(p, base, (0x30,), "pl011 cr")
    # In loopback what is sent is received.
    p.writel(base + 0x34, 0x12)
    p.writel(base + 0x2c, 0x70)
    p.writel(base + 0x38, 0x7ff)
    p.writel(base + 0x30, 0x381)
    for count in (1, 2, 9, 18):
        for b in range(count):
            p.writel(base, 0x40 + b)
        for offset in (0x18, 0x3c, 0x40, 4):
            p.readl(base + offset, f"loopback {count} register {offset:x}")
        for b in range(count + 1):
            p.readl(base, f"loopback {count} data")
            p.readl(base + 0x18, f"loopback {count} flags")
            p.readl(base + 0x3c, f"loopback {count} interrupts")
        p.writel(base + 0x44, 0x7ff)
        p.readl(base + 0x3c, f"loopback {count} cleared")


@scenario(VIRT2, qemu=CPU)
def pl031(p):
    base = 0x9010000
    sweep(p, base, range(0, 0x1000, 4), "pl031")
    patterns(p, base, (0x10, 0x0c, 0x04, 0x14, 0x18, 0x1c), "pl031")
    for v in (0, 1, 0x12345678, 0xffffffff):
        p.writel(base + 8, v)
        p.readl(base, f"loaded {v:x}")
        p.readl(base + 8, "load register")
        p.writel(base + 4, v)
        p.readl(base + 0x14, f"match at once {v:x}")
        p.writel(base + 0x1c, 1)
        p.readl(base + 0x14, "cleared")


@scenario(VIRT2, qemu=CPU)
def pl061(p):
    base = 0x9030000
    sweep(p, base, range(0, 0x1000, 4), "pl061")
    patterns(p, base, (0x400, 0x404, 0x408, 0x40c, 0x410, 0x41c, 0x420, 0x414, 0x418, 0x500, 0x524, 0xfe0), "pl061")
    p.writel(base + 0x400, 0xff)
    for mask in (0xff, 0x0f, 0xaa, 1, 0):
        for v in (0xff, 0, 0x55):
            p.writel(base + 4 * mask, v)
            p.readl(base + 4 * mask, f"data by mask {mask:x}")
            p.readl(base + 0x3fc, f"data after mask {mask:x}")
    p.writel(base + 0x400, 0)
    p.readl(base + 0x3fc, "data of inputs")
    p.writel(base + 0x41c, 0xff)
    for sense, both, event in ((0, 0, 0), (0, 0, 0xff), (0xff, 0, 0), (0xff, 0, 0xff), (0, 0xff, 0)):
        p.writel(base + 0x404, sense)
        p.writel(base + 0x408, both)
        p.writel(base + 0x40c, event)
        p.writel(base + 0x410, 0xff)
        p.readl(base + 0x414, f"raw {sense:x} {both:x} {event:x}")
        p.readl(base + 0x418, f"masked {sense:x} {both:x} {event:x}")
        p.writel(base + 0x41c, 0xff)
        p.readl(base + 0x414, f"raw cleared {sense:x} {both:x} {event:x}")


def distributor(p, base, name):
    sweep(p, base, [*range(0, 0xd00, 4), 0xf00, *range(0xf10, 0x1000, 4)], name)
    for letter in "bwq":
        sweep(p, base, (0, 4, 8, 0x80, 0x84, 0x100, 0x200, 0x400, 0x401, 0x420, 0x800, 0x820, 0xc00, 0xc08, 0xfe8), f"{name} {letter}", letter)
    patterns(p, base, (0, 4, 8), name)
    p.writel(base, 0)
    patterns(p, base, [o + 4 * n for o in (0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380) for n in (0, 1, 2, 8, 9)], name)
    patterns(p, base, (0x400, 0x404, 0x41c, 0x420, 0x460, 0x500, 0x520, 0x800, 0x81c, 0x820, 0x860, 0x900, 0xc00, 0xc04, 0xc08, 0xc0c, 0xc44, 0xd00, 0xe00), name)
    patterns(p, base, (0x421, 0x423, 0x822), name, width=8, tag="byte")


@scenario(VIRT2, qemu=CPU)
def gicv2(p):
    gicd, gicc = 0x8000000, 0x8010000
    sweep(p, gicc, [*range(0, 0x100, 4), *range(0xd0, 0x100, 4), 0xfc], "gicc")
    distributor(p, gicd, "gicd")
    patterns(p, gicc, (0, 4, 8, 0x1c, 0x14, 0x18, 0x28, 0xd0, 0xe0), "gicc")
    # Interrupts by hand: pending, priorities, acknowledged, ended.
    for rng in (random.Random(f"gicv2 {n}") for n in range(SEEDS)):
        running = []
        p.writel(gicd, 1)
        p.writel(gicc, 1)
        for n in range(0, 96, 4):
            p.writel(gicd + 0x400 + n, rng.getrandbits(32) & 0xf8f8f8f8)
            p.writel(gicd + 0x800 + n, 0x01010101)
        for n in range(3):
            p.writel(gicd + 0x100 + 4 * n, rng.getrandbits(32))
        for _ in range(300):
            kind, irq = rng.randrange(12), rng.randrange(90)
            if kind < 3:
                p.writel(gicd + (0x200, 0x280, 0x100, 0x180)[rng.randrange(4)] + irq // 32 * 4, 1 << irq % 32)
            elif kind == 3:
                taken = p.get(f"readl {gicc + 0xc:#x}", "iar")
                running += [taken] if taken < 1020 else []
            elif kind == 4 and running:  # in order: all else is left open by IHI 0048
                p.writel(gicc + 0x10, running.pop())
            elif kind == 5:
                p.writel(gicc + 4, rng.choice((0xff, 0xf0, 0x80, 0x40, 0)))
                p.writel(gicc + 8, rng.randrange(3, 8))
            elif kind == 6:
                p.writeb(gicd + 0x400 + irq, rng.randrange(256) & 0xf8)
            elif kind == 7:
                p.writel(gicd + 0xf00, rng.randrange(16) | 2 << 24)
            elif kind == 8 and irq not in running:
                p.writel(gicd + 0x300 + rng.randrange(2) * 0x80 + irq // 32 * 4, 1 << irq % 32)
            elif kind == 9:
                p.writel(gicd + 0xc08 + irq // 32 * 4, rng.getrandbits(32))
            else:
                p.readl(gicc + 0x18, "hppir")
                p.readl(gicc + 0x14, "rpr")
                p.readl(gicd + 0x200 + irq // 32 * 4, "pending")
                p.readl(gicd + 0x300 + irq // 32 * 4, "active")
                p.readl(gicd + 0xf20 + irq % 16 // 4 * 4, "spendsgir")


@scenario(VIRT3 + ",its=off", own=("gic=3",), qemu=CPU)
def gicv3(p):
    gicd, gicr = 0x8000000, 0x80a0000
    sweep(p, gicd, [0x6000 + 8 * n for n in range(32, 128)], "gicd irouter", "q")
    sweep(p, gicd, (0xffd0, 0xffd4, 0xffe0, 0xffe4, 0xffe8, 0xffec, 0xfff0, 0xfff4, 0xfff8, 0xfffc), "gicd ids")
    distributor(p, gicd, "gicd")
    patterns(p, gicd, (0x6100, 0x6108, 0x6200, 0x6000), "gicd", width=64)
    for base, name in ((gicr, "rd"), (gicr + 0x10000, "sgi")):
        sweep(p, base, [*range(0, 0x1000, 4), 0xffd0, 0xffe0, 0xffe4, 0xffe8, 0xfff0, 0xfffc], f"gicr {name}")
        for letter in "bwq":
            sweep(p, base, (0, 8, 0x10, 0x14, 0x80, 0x100, 0x400, 0xc00), f"gicr {name} {letter}", letter)
    patterns(p, gicr, (0, 4, 8, 0x14, 0x70, 0x78), "gicr rd", keep=1)
    patterns(p, gicr + 0x10000, (0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x404, 0x41c, 0xc00, 0xc04, 0xd00, 0xe00), "gicr sgi")


@scenario(VIRT3 + ",its=on", own=("gic=3", "its=1"), qemu=CPU)
def its(p):
    base = 0x8080000
    sweep(p, base, [*range(0, 0x200, 4), 0xffd0, 0xffe0, 0xffe4, 0xffe8, 0xffec, 0xfff0, 0xfffc], "its")
    for letter in "bwq":
        sweep(p, base, (0, 8, 0x80, 0x88, 0x90, 0x100, 0x108), f"its {letter}", letter)
    patterns(p, base, (0, 4, 8, 0x80, 0x84, 0x88, 0x90, 0x100, 0x104, 0x108, 0x10c, 0x110), "its", keep=1)
    patterns(p, 0x80a0000, (0x70, 0x74, 0x78, 0x7c), "lpi", keep=0)
    sweep(p, 0x80a0000, (0, 8, 0xc), "lpi")


@scenario(VIRT2, qemu=CPU)
def gicv2m(p):
    base = 0x8020000
    sweep(p, base, range(0, 0x1000, 4), "v2m")
    p.writel(base + 0x40, 80)
    p.readl(0x8000000 + 0x208, "raised by a message")


@scenario(VIRT2, qemu=CPU)
def virt_map(p):
    for at in (0x8030000, 0x8040000, 0x8050000, 0x9040000, 0x9050000, 0x90b0000, 0xa000000, 0xa000200, 0xa003e00, 0xa004000, 0xc000000, 0x3eff0000, 0x10000000, 0x4010000000):
        for letter in "bwl":
            p.add(f"read{letter} {at:#x}", f"map {at:x} {letter}")
    for slot in (0, 31):
        base = 0xa000000 + 0x200 * slot
        sweep(p, base, range(0, 0x200, 4), f"empty slot {slot}")


@scenario(VIRT2, qemu=CPU)
def fw_cfg(p):
    base = 0x9020000
    for letter in "bwlq":
        sweep(p, base, (0, 8, 0x10, 0x14, 0x18), f"fw_cfg {letter}", letter)
    for key in (0, 1, 2, 3, 4, 5, 6, 7, 8, 0xd, 0xe, 0xf, 0x11, 0x14, 0x15, 0x19, 0x100, 0x7fff, 0x8000, 0x4000):
        for letter in "bwlq":
            p.writew(base + 8, (key & 255) << 8 | key >> 8)
            if key not in (2, 0x19):
                for _ in range(3):
                    p.add(f"read{letter} {base:#x}", f"fw_cfg item {key:x} {letter}")
    for control, length in ((8 << 0 | 0 << 16, 4), (0xa, 4), (2, 4), (4, 3), (2, 8), (0x10, 4), (0x18, 4), (1, 4), (0, 4)):
        p.add(f"write 0x40001000 16 0x{control:08x}{length:08x}{0x40002000:016x}")
        p.add("write 0x40002000 8 0x0102030405060708")
        p.writel(base + 0x10, 0)
        p.writel(base + 0x14, 0x00100040)
        p.readl(0x40001000, f"dma control {control:x}")
        p.readq(0x40002000, f"dma data {control:x}")


@scenario("pc,vmport=off,smm=off", qemu=("-vga", "none"))
def fw_cfg_ports(p):
    for key in (0, 1, 3, 4, 5, 6, 0xd, 0xe, 0xf, 0x8002, 0x8003, 0x100, 0x7fff, 0x4000):
        p.outw(0x510, key)
        for _ in range(10):
            p.inb(0x511, f"fw_cfg item {key:x}")
    p.outl(0x514, 0)
    for port in (0x514, 0x518):
        p.inl(port, f"dma signature {port:x}")


@scenario(VIRT2, qemu=CPU)
def flash(p):
    base = 0x4000000
    for letter in "bwl":
        sweep(p, base, (0, 4, 0x40000), f"flash {letter}", letter)
    for width, unit in (("l", 0x00010001), ("w", 1), ("b", 1)):
        def put(offset, v):
            p.add(f"write{width} {base + offset:#x} {v * unit:#x}")
        put(0x154, 0x98)
        for offset in range(0, 0x200, 4):
            p.add(f"readl {base + offset:#x}", f"cfi {width} {offset:x}")
        put(0, 0xff)
        put(0, 0x90)
        for offset in (*range(0, 0x20, 4), 0x40000, 0x40008):
            p.add(f"readl {base + offset:#x}", f"identifiers {width} {offset:x}")
        put(0, 0x70)
        p.readl(base, f"status {width}")
        put(0, 0x50)
        p.readl(base, f"status cleared {width}")
        put(0x40, 0x40)
        put(0x40, 0x5a)
        p.readl(base + 0x40, f"programming {width}")
        put(0, 0xff)
        p.readl(base + 0x40, f"programmed {width}")
        put(0x40, 0x40)
        put(0x40, 0xff)
        put(0, 0xff)
        p.readl(base + 0x40, f"programmed again {width}")
        put(0, 0x20)
        put(0, 0xd0)
        p.readl(base, f"erasing {width}")
        put(0, 0xff)
        p.readl(base + 0x40, f"erased {width}")
        put(0, 0x20)
        put(0, 0x55)
        p.readl(base, f"erase not confirmed {width}")
        put(0, 0x50)
        put(0, 0x60)
        put(0, 0xd0)
        p.readl(base, f"unlock {width}")
        put(0, 0x60)
        put(0, 0x01)
        p.readl(base, f"lock {width}")
        put(0, 0x60)
        put(0, 0x33)
        p.readl(base, f"lock nothing {width}")
        put(0, 0x50)
        put(0, 0x90)
        p.readl(base + 8, f"lock state {width}")
        put(0, 0xe8)
        p.readl(base, f"buffer {width}")
        put(0, 3)
        for n in range(4):
            put(4 * n, 0x11 * (n + 1))
        put(0, 0xd0)
        p.readl(base, f"buffer written {width}")
        put(0, 0xff)
        for n in range(5):
            p.readl(base + 4 * n, f"buffer data {width}")
        put(0, 0xb0)
        p.readl(base, f"suspended {width}")
        put(0, 0xff)
        put(0, 0x12)
        p.readl(base, f"no such command {width}")
        put(0, 0xff)
