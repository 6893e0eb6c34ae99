"""Scenarios of what is plugged into the PC: configuration space, then registers behind the base addresses."""
from chips_pc import PC, PLAIN, rounds
from chips_play import scenario

NET = ("-netdev", "hubport,hubid=0,id=n0")
DISK = ("-drive", "driver=null-co,size=8388608,read-zeroes=on,id=d0,if=none")
BAR = 0xe0000000
PORTS = 0xd000


def config_space(p, bdf, name):
    """As it is after a reset; then every long with ones, zeros and patterns, and the sizes of bytes that can be written."""
    for offset in range(0, 256, 4):
        p.config_read(bdf, offset, 4, f"{name} reset {offset:02x}")
    for offset in range(0, 256, 4):
        if offset == 4:
            continue
        saved = p.get_config(bdf, offset)
        for v in (0xffffffff, 0, 0xa5a5a5a5, 0x5a5a5a5a):
            p.config_write(bdf, offset, v)
            p.config_read(bdf, offset, 4, f"{name} wrote {offset:02x}")
        p.config_write(bdf, offset, saved)
        p.config_read(bdf, offset, 4, f"{name} restored {offset:02x}")
    for v in (0xffff, 0, 0x0507, 0x0100, 0x0040, 0x0400, 0x0008, 0x0010, 0x0020, 0x0080, 0x0200):
        p.config_write(bdf, 4, v, 2)
        p.config_read(bdf, 4, 2, f"{name} command")
        p.config_read(bdf, 6, 2, f"{name} status")
    p.config_write(bdf, 4, 0, 2)
    p.config_write(bdf, 6, 0xffff, 2)
    p.config_read(bdf, 6, 2, f"{name} status cleared")
    for offset in (0x3c, 0x3d, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x13):
        p.config_write(bdf, offset, 0xff, 1)
        p.config_read(bdf, offset & 0xfc, 4, f"{name} byte {offset:02x}")
    p.config_write(bdf, 0x10, 0)
    p.config_write(bdf, 0x3c, 0)


CARDS = {
    "e1000": ("e1000,netdev=n0", "e1000,netdev=n0,romfile=", NET),
    "e1000e": ("e1000e,netdev=n0", "e1000e,netdev=n0,romfile=", NET),
    "rtl8139": ("rtl8139,netdev=n0", "rtl8139,netdev=n0,romfile=", NET),
    "ne2k_pci": ("ne2k_pci,netdev=n0", "ne2k_pci,netdev=n0,romfile=", NET),
    "pcnet": ("pcnet,netdev=n0", "pcnet,netdev=n0,romfile=", NET),
    "AC97": ("AC97", "AC97,audiodev=a0", ("-audiodev", "none,id=a0")),
    "intel-hda": ("intel-hda", None, ()),
    "ich9-intel-hda": ("ich9-intel-hda", None, ()),
    "piix3-usb-uhci": ("piix3-usb-uhci", None, ()),
    "piix4-usb-uhci": ("piix4-usb-uhci", None, ()),
    "usb-ehci": ("usb-ehci", None, ()),
    "ich9-usb-ehci1": ("ich9-usb-ehci1", None, ()),
    "qemu-xhci": ("qemu-xhci", None, ()),
    "ich9-ahci": ("ich9-ahci", None, ()),
    "nvme": ("nvme,drive=d0,serial=serial", None, DISK),
    "sdhci-pci": ("sdhci-pci", None, ()),
    "pci-serial": ("pci-serial,chardev=c0", None, ("-chardev", "null,id=c0")),
    "pci-testdev": ("pci-testdev", None, ()),
    "bochs-display": ("bochs-display", None, ()),
    "secondary-vga": ("secondary-vga", "secondary-vga,romfile=", ()),
    "pci-bridge": ("pci-bridge,chassis_nr=1", None, ()),
    "virtio-blk-pci": ("virtio-blk-pci,drive=d0", "virtio-blk-pci,drive=d0,num-queues=1", DISK),
    "virtio-net-pci": ("virtio-net-pci,netdev=n0", "virtio-net-pci,netdev=n0,romfile=", NET),
    "virtio-scsi-pci": ("virtio-scsi-pci", None, ()),
    "virtio-rng-pci": ("virtio-rng-pci", None, ()),
    "virtio-serial-pci": ("virtio-serial-pci", None, ()),
    "virtio-gpu-pci": ("virtio-gpu-pci", None, ()),
    "virtio-keyboard-pci": ("virtio-keyboard-pci", None, ()),
    "virtio-mouse-pci": ("virtio-mouse-pci", None, ()),
    "virtio-tablet-pci": ("virtio-tablet-pci", None, ()),
}


def card_scenario(name, own, qemu, options):
    prefix = ("drive=d0,8388608",) if options is DISK else ()

    def play(p):
        config_space(p, 4 << 3, name)
    play.__name__ = "config_" + name.replace("-", "_")
    scenario(PC, slow=name not in ("e1000", "pcnet", "AC97", "ich9-ahci", "pci-bridge", "virtio-blk-pci"), own=(*prefix, own + ",addr=4"), qemu=(*PLAIN, *options, "-device", (qemu or own) + ",addr=4"))(play)


for card, (own_words, qemu_words, more) in CARDS.items():
    card_scenario(card, own_words, qemu_words, more)


@scenario(PC, qemu=("-vga", "std"))
def config_board(p):
    for bdf, name in ((0, "i440fx"), (1 << 3, "piix3"), (1 << 3 | 1, "ide"), (1 << 3 | 3, "pm"), (2 << 3, "vga")):
        config_space(p, bdf, name)
    for bdf in (1 << 3 | 2, 1 << 3 | 4, 3 << 3, 31 << 3, 1 << 8, 2 << 3 | 1):
        for offset in (0, 4, 0xc):
            p.config_read(bdf, offset, 4, f"nobody at {bdf:x}")


def place(p, bdf=4 << 3):
    """Addresses for all base addresses; what each of them is."""
    kinds = []
    n = 0
    while n < 6:
        register = 0x10 + 4 * n
        p.config_write(bdf, register, 0xffffffff)
        mask = p.get_config(bdf, register)
        at = PORTS + 0x400 * n if mask & 1 else BAR + 0x1000000 * n
        p.config_write(bdf, register, at)
        if mask and not mask & 1 and mask & 4:
            p.config_write(bdf, register + 4, 0)
            n += 1
        kinds.append(at)
        n += 1
    p.config_write(bdf, 4, 7, 2)
    return kinds


def sweep(p, base, length, name, step=4, port=False):
    for offset in range(0, length, step):
        p.add(f"{'in' if port else 'read'}{'?bw?l'[step]} {base + offset:#x}", f"{name} reset {offset:x}")


def patterns(p, base, offsets, name, width=32, port=False, keep=0):
    """Each register alone; `keep` bits stay 0."""
    letter = {8: "b", 16: "w", 32: "l"}[width]
    read, write = ("in", "out") if port else ("read", "write")
    for offset in offsets:
        for v in p.patterns(width):
            p.add(f"{write}{letter} {base + offset:#x} {v & ~keep:#x}")
            p.add(f"{read}{letter} {base + offset:#x}", f"{name} pattern {offset:x}")
        p.add(f"{write}{letter} {base + offset:#x} 0")


def on(name):
    own, qemu, options = CARDS[name]
    prefix = ("drive=d0,8388608",) if options is DISK else ()
    return dict(own=(*prefix, own + ",addr=4"), qemu=(*PLAIN, *options, "-device", (qemu or own) + ",addr=4"))


@scenario(PC, own=("e1000,netdev=n0,addr=4,mac=52:54:00:12:34:56",), qemu=(*PLAIN, *NET, "-device", "e1000,netdev=n0,addr=4,mac=52:54:00:12:34:56,romfile="))
def e1000(p):
    mmio, io = place(p)[:2]
    sweep(p, mmio, 0x6000, "e1000")
    for offset in (0x10, 0x14, 0x38, 0x5408):
        p.readb(mmio + offset, f"e1000 b {offset:x}")
        p.readw(mmio + offset + 2, f"e1000 w {offset:x}")
        p.readq(mmio + offset, f"e1000 q {offset:x}")
    # EEPROM by EERD and by the wires.
    for word in range(66):
        p.writel(mmio + 0x14, word << 8 | 1)
        p.readl(mmio + 0x14, f"eerd {word:x}")
    # PHY registers by MDIC.
    for reg in range(32):
        for phy in (1, 0, 2):
            p.writel(mmio + 0x20, 2 << 26 | phy << 21 | reg << 16)
            p.readl(mmio + 0x20, f"mdic read phy {phy} register {reg:x}")
    for reg in (0, 4, 9, 16, 18, 19, 20, 21, 24, 30, 2, 17, 1, 31):
        for v in (0xffff & ~0x8200 if reg == 0 else 0xffff, 0, 0x5555, 0x1234):
            p.writel(mmio + 0x20, 1 << 26 | 1 << 21 | reg << 16 | v)
            p.readl(mmio + 0x20, f"mdic write register {reg:x}")
            p.writel(mmio + 0x20, 2 << 26 | 1 << 21 | reg << 16)
            p.readl(mmio + 0x20, f"mdic read back register {reg:x}")
    patterns(p, mmio, (0x28, 0x2c, 0x30, 0x38, 0xc4, 0xd0, 0x170, 0x178, 0x410, 0xe00, 0x1000, 0x2410, 0x2418, 0x2800, 0x2804, 0x2808, 0x2820, 0x282c, 0x3800, 0x3804, 0x3808, 0x3820, 0x382c,
                       0x3828, 0x2828, 0x5000, 0x5008, 0x5200, 0x53fc, 0x5400, 0x5404, 0x547c, 0x5600, 0x57fc, 0x5800, 0x5808, 0x5810, 0x5820, 0x5828, 0x5838, 0x5840, 0x5900, 0x5a00, 0x5f00, 0x9000), "e1000")
    p.writel(mmio + 0xd8, 0xffffffff)
    patterns(p, mmio, (0x2810, 0x2818, 0x3810, 0x3818), "e1000 ring")
    patterns(p, mmio, (0x100,), "e1000 rctl", keep=2)
    patterns(p, mmio, (0x400,), "e1000 tctl", keep=2)
    patterns(p, mmio, (0x18, 0x10, 8), "e1000 ctrl_ext", keep=0x2000)
    patterns(p, mmio, (0,), "e1000 ctrl", keep=0x84000000)
    for cause in (1, 2, 4, 0x10, 0x40, 0x80, 0x200, 0x8000, 0xffffffff):
        p.writel(mmio + 0xd8, 0xffffffff)
        p.readl(mmio + 0xc0)
        p.writel(mmio + 0xc8, cause)
        p.readl(mmio + 0xc8, "ics reads")
        p.readl(mmio + 0xd0, "ims")
        p.writel(mmio + 0xd0, cause)
        p.readl(mmio + 0xd0, "ims set")
        p.readl(mmio + 0xd8, "imc reads")
        p.readl(mmio + 0xc0, f"icr {cause:x}")
        p.readl(mmio + 0xc0, "icr again")
        p.writel(mmio + 0xc8, cause)
        p.writel(mmio + 0xc0, cause)
        p.readl(mmio + 0xc0, "icr written")
    for offset in range(0x4000, 0x4100, 4):
        p.writel(mmio + offset, 0x1234)
        p.readl(mmio + offset, f"statistics {offset:x}")
    for offset in (0, 0x8, 0x10, 0x5400, 0xd0):
        p.outl(io, offset)
        p.inl(io, "io address")
        p.inl(io + 4, f"io data {offset:x}")
    p.writel(mmio, 0x04000000)
    p.step(100000)
    sweep(p, mmio, 0x6000, "e1000 after ctrl.rst")


@scenario(PC, own=("rtl8139,netdev=n0,addr=4,mac=52:54:00:12:34:56",), qemu=(*PLAIN, *NET, "-device", "rtl8139,netdev=n0,addr=4,mac=52:54:00:12:34:56,romfile="))
def rtl8139(p):
    io, mmio = place(p)[:2]
    for size in (1, 2, 4):
        sweep(p, io, 256, f"rtl8139 {size}", size, port=True)
    sweep(p, mmio, 256, "rtl8139 mmio")
    unlocked = (0x50, 0xc0)
    for offset in range(256):
        if offset in (0x37, 0x38, 0x39, 0x50, 0xd9, 0x48, 0x49, 0x4a, 0x4b, 0x10, 0x11, 0x12, 0x13, 0x54, 0x55, 0x56, 0x57) or 0x10 <= offset < 0x20:
            continue
        p.outb(io + 0x50, 0)
        for v in (0xff, 0, 0xa5):
            p.outb(io + offset, v)
            p.inb(io + offset, f"locked byte {offset:x}")
        p.outb(io + unlocked[0], unlocked[1])
        for v in (0xff, 0, 0xa5):
            p.outb(io + offset, v)
            p.inb(io + offset, f"unlocked byte {offset:x}")
    for offset in range(0, 256, 2):
        if offset in (0x36, 0x38, 0x50, 0xd8, 0x48, 0x4a, 0x54, 0x56) or 0x10 <= offset < 0x20:
            continue
        for v in (0xffff, 0, 0x5aa5):
            p.outw(io + offset, v)
            p.inw(io + offset, f"word {offset:x}")
    for v in p.patterns():
        p.outb(io + 0x50, v & 0x3f | v & 0xc0)
        p.inb(io + 0x50, "9346 command")
    for v in (0, 1, 4, 8, 0xc, 0x10):
        p.outb(io + 0x37, v)
        p.inb(io + 0x37, f"command {v:x}")
    p.outb(io + 0x37, 0x10)
    p.step(100000)
    for size in (1, 2, 4):
        sweep(p, io, 256, f"rtl8139 after its reset {size}", size, port=True)


@scenario(PC, own=("ne2k_pci,netdev=n0,addr=4,mac=52:54:00:12:34:56",), qemu=(*PLAIN, *NET, "-device", "ne2k_pci,netdev=n0,addr=4,mac=52:54:00:12:34:56,romfile="))
def ne2000(p):
    io = place(p)[0]
    p.inb(io + 0x1f, "reset port")
    p.step(2000000)
    for page in range(4):
        p.outb(io, 0x21 | page << 6)
        for offset in range(0x20):
            if offset != 0x1f and not 0x10 <= offset < 0x18:
                p.inb(io + offset, f"page {page} reset {offset:x}")
    for page in (0, 1, 2):
        p.outb(io, 0x21 | page << 6)
        for offset in range(1, 16):
            for v in (0xff, 0, 0xa5, 0x5a, 0x41):
                p.outb(io, 0x21 | page << 6)
                p.outb(io + offset, v)
                for look in range(4):
                    p.outb(io, 0x21 | look << 6)
                    p.inb(io + offset, f"page {page} wrote {offset:x} page {look}")
    for address in (0, 0x10, 0x20, 0x4000, 0x7ffe, 0x8000, 0xc000):
        for dcr in (0x48, 0x49):
            p.outb(io, 0x21)
            p.outb(io + 0xe, dcr)
            for n, v in ((0xa, 8), (0xb, 0), (8, address & 255), (9, address >> 8)):
                p.outb(io + n, v)
            p.outb(io, 0x12)
            for n in range(4):
                p.outb(io + 0x10, 0x30 + n)
            for n in range(4):
                p.outw(io + 0x10, 0x4130 + n)
            p.inb(io + 7, f"remote write {address:x} {dcr:x} isr")
            for n, v in ((0xa, 8), (0xb, 0), (8, address & 255), (9, address >> 8), (7, 0xff)):
                p.outb(io + n, v)
            p.outb(io, 0xa)
            for n in range(6):
                p.inb(io + 0x10, f"remote read {address:x} {dcr:x}")
            p.inb(io + 7, f"remote read {address:x} {dcr:x} isr")
            for n in range(2):
                p.inw(io + 0x10, f"remote read {address:x} {dcr:x} words")
            p.inb(io + 7, f"remote read {address:x} {dcr:x} isr")
            p.inb(io + 8, "crda")
            p.inb(io + 9, "crda")


@scenario(PC, own=("pcnet,netdev=n0,addr=4,mac=52:54:00:12:34:56",), qemu=(*PLAIN, *NET, "-device", "pcnet,netdev=n0,addr=4,mac=52:54:00:12:34:56,romfile="))
def pcnet(p):
    io, mmio = place(p)[:2]
    for size in (1, 2):
        sweep(p, io, 0x20, f"pcnet {size}", size, port=True)
    for wide in (0, 1):
        def rap(n, which=0x10):
            if wide:
                p.outl(io + 0x14, n)
            else:
                p.outw(io + 0x12, n)

        def read(data, tag):
            if wide:
                p.inl(io + (0x10 if data == "csr" else 0x1c), tag)
            else:
                p.inw(io + (0x10 if data == "csr" else 0x16), tag)

        def write(data, v):
            if wide:
                p.outl(io + (0x10 if data == "csr" else 0x1c), v)
            else:
                p.outw(io + (0x10 if data == "csr" else 0x16), v)

        for n in range(128):
            rap(n)
            read("csr", f"reset csr {n} wide {wide}")
        for n in range(40):
            rap(n)
            read("bcr", f"reset bcr {n} wide {wide}")
        for n in (*range(1, 5), *range(8, 16), 58, *range(16, 46), *range(60, 90), 112, 114, 122, 124):
            for v in (0xffff, 0, 0xa5a5):
                rap(n)
                write("csr", v)
                read("csr", f"wrote csr {n} wide {wide}")
        for n in range(0, 40):
            if n == 20:
                continue
            for v in (0xffff, 0, 0xa5a5):
                rap(n)
                write("bcr", v if n != 18 else v & ~0x80)
                read("bcr", f"wrote bcr {n} wide {wide}")
        if not wide:
            p.inw(io + 0x14, "reset by word")
            p.outl(io + 0x10, 0)  # 32-bit accesses from now on
    p.inl(io + 0x18, "reset by long")
    p.outl(io + 0x14, 0)
    p.inl(io + 0x10, "csr 0 after a reset")
    for v in (4, 1, 2, 0x40, 0xff00, 0x7f7f & ~3):
        p.outl(io + 0x10, v)
        p.inl(io + 0x10, f"csr 0 wrote {v:x}")
    sweep(p, mmio, 0x20, "pcnet mmio")


@scenario(PC, own=("adlib",), qemu=(*PLAIN, "-audiodev", "none,id=a0", "-device", "adlib,audiodev=a0"))
def adlib(p):
    def write(reg, value):
        p.outb(0x388, reg)
        p.outb(0x389, value)
    p.inb(0x388, "adlib reset status")
    write(4, 0x60)
    write(4, 0x80)
    p.inb(0x388, "adlib flags are reset")
    for reg in range(256):
        if reg not in (2, 3, 4):
            write(reg, 0x5a if reg & 0xf0 != 0xb0 else 0x1a)
    p.inb(0x388, "adlib status after registers")


@scenario(PC, own=("AC97,addr=4",), qemu=(*PLAIN, "-audiodev", "none,id=a0", "-device", "AC97,audiodev=a0,addr=4"))
def ac97(p):
    mixer, master = place(p)[:2]
    for size in (2, 1, 4):
        sweep(p, mixer, 0x80, f"mixer {size}", size, port=True)
    for offset in range(0, 0x80, 2):
        for v in (0xffff, 0, 0x1f1f, 0x8000, 0xa5a5, 0x3f3f, 0x2020):
            p.outw(mixer + offset, v)
            p.inw(mixer + offset, f"mixer wrote {offset:x}")
    for rate in (8000, 11025, 22050, 44100, 48000, 48001, 96000, 7000, 0xffff):
        for vra in (0, 1, 9):
            p.outw(mixer + 0x2a, vra)
            for offset in (0x2c, 0x2e, 0x30, 0x32, 0x34):
                p.outw(mixer + offset, rate)
                p.inw(mixer + offset, f"rate {offset:x} vra {vra}")
            p.inw(mixer + 0x2a, f"extended status {vra}")
            p.inw(mixer + 0x28, "extended id")
    p.outw(mixer, 0)
    sweep(p, mixer, 0x80, "mixer after its reset", 2, port=True)
    for size in (1, 2, 4):
        sweep(p, master, 0x40, f"master {size}", size, port=True)
    for channel in (0, 0x10, 0x20):
        for v in (0xffffffff, 0, 0xa5a5a5a5, 0x12345678):
            p.outl(master + channel, v)
            p.inl(master + channel, "bdbar")
        for v in p.patterns():
            p.outb(master + channel + 5, v)
            p.inb(master + channel + 5, f"lvi {channel:x}")
            p.outb(master + channel + 4, v)
            p.inb(master + channel + 4, "civ")
            p.outb(master + channel + 0xb, v & ~1)
            p.inb(master + channel + 0xb, f"cr {channel:x}")
            p.outw(master + channel + 6, v)
            p.inw(master + channel + 6, f"sr {channel:x}")
            p.inw(master + channel + 8, "picb")
            p.inb(master + channel + 0xa, "piv")
        p.outb(master + channel + 0xb, 2)
        p.inb(master + channel + 0xb, "cr after reset")
        sweep(p, master + channel, 0x10, f"channel {channel:x} after its reset", 1, port=True)
    for v in (2, 0, 1, 3, 7, 0x3f, 0xffffffff, 2):
        p.outl(master + 0x2c, v)
        p.inl(master + 0x2c, f"glob_cnt {v:x}")
        p.inl(master + 0x30, "glob_sta")
    for v in (0xffffffff, 0, 0xffff):
        p.outl(master + 0x30, v)
        p.inl(master + 0x30, f"glob_sta wrote {v:x}")
    for _ in range(3):
        p.inb(master + 0x34, "cas")
    p.outb(master + 0x34, 0)
    p.inb(master + 0x34, "cas")


@scenario(PC, own=("intel-hda,addr=4",), qemu=(*PLAIN, "-device", "intel-hda,addr=4"))
def hda(p):
    mmio = place(p)[0]
    sweep(p, mmio, 0x200, "hda")
    for size in (1, 2):
        sweep(p, mmio, 0x180, f"hda {size}", size)
    p.writel(mmio + 8, 1)
    p.step(1000000)
    sweep(p, mmio, 0x180, "hda out of reset")
    for offset, width, keep in ((0xc, 16, 0), (0xe, 16, 0), (0x10, 16, 0), (0x20, 32, 0), (0x24, 32, 0), (0x38, 32, 0), (0x34, 32, 0), (0x40, 32, 0), (0x44, 32, 0), (0x48, 16, 0), (0x4a, 16, 0), (0x4c, 8, 2), (0x4d, 8, 0), (0x4e, 8, 0),
                                (0x50, 32, 0), (0x54, 32, 0), (0x58, 16, 0), (0x5a, 16, 0), (0x5c, 8, 2), (0x5d, 8, 0), (0x5e, 8, 0), (0x60, 32, 0), (0x64, 32, 0), (0x68, 16, 1), (0x70, 32, 0), (0x74, 32, 0),
                                (0x80, 8, 2), (0x81, 8, 0), (0x82, 8, 0), (0x83, 8, 0), (0x84, 32, 0), (0x88, 32, 0), (0x8c, 16, 0), (0x8e, 16, 0), (0x90, 16, 0), (0x92, 16, 0), (0x98, 32, 0), (0x9c, 32, 0),
                                (0x100, 8, 2), (0x102, 8, 0), (0x108, 32, 0), (0x10c, 16, 0), (0x112, 16, 0), (0x118, 32, 0), (0, 16, 0), (2, 8, 0), (4, 16, 0), (8, 32, 1), (0x0a, 16, 0)):
        patterns(p, mmio, (offset,), "hda", width, keep=keep)
        if offset == 8:
            p.writel(mmio + 8, 1)
    p.writeb(mmio + 0x80, 1)
    p.readl(mmio + 0x80, "stream reset")
    p.writeb(mmio + 0x80, 0)
    p.readl(mmio + 0x80, "stream out of reset")
    p.writel(mmio + 8, 0)
    sweep(p, mmio, 0x180, "hda reset again")


@scenario(PC, own=("piix3-usb-uhci,addr=4",), qemu=(*PLAIN, "-device", "piix3-usb-uhci,addr=4"))
def uhci(p):
    io = place(p)[4]
    for size in (2, 1, 4):
        sweep(p, io, 0x20, f"uhci {size}", size, port=True)
    for offset, keep in ((0, 0x17), (4, 0), (6, 0), (0x10, 0), (0x12, 0), (0xa, 0), (2, 0), (0x14, 0)):
        patterns(p, io, (offset,), "uhci", 16, port=True, keep=keep)
    patterns(p, io, (8,), "uhci", 32, port=True)
    patterns(p, io, (0xc,), "uhci", 8, port=True)
    p.outw(io, 2)
    p.step(1000000)
    for size in (2, 1):
        sweep(p, io, 0x20, f"uhci after hcreset {size}", size, port=True)
    p.outw(io, 4)
    p.outw(io, 0)
    sweep(p, io, 0x20, "uhci after greset", 2, port=True)


@scenario(PC, own=("e1000e,netdev=n0,addr=4,mac=52:54:00:12:34:56",), qemu=(*PLAIN, *NET, "-device", "e1000e,netdev=n0,addr=4,mac=52:54:00:12:34:56,romfile="))
def e1000e(p):
    mmio = place(p)[0]
    for word in range(64):
        p.writel(mmio + 0x14, word << 2 | 1)
        p.readl(mmio + 0x14, f"eerd {word:x}")
    for n in range(32):
        p.writel(mmio + 0x20, 2 << 26 | 1 << 21 | n << 16)
        p.readl(mmio + 0x20, f"mdic {n:x}")
    patterns(p, mmio, (0x18, 0x38, 0xdc, 0xe0, 0xe4, 0x2800, 0x2804, 0x2808, 0x2900, 0x3800, 0x3804, 0x3808, 0x3900, 0x5000, 0x5008, 0x5200, 0x53fc, 0x5400,
                       0x5600, 0x57fc, 0x5818, 0x5c00, 0x5c7c, 0x5c80, 0x5ca4), "e1000e")
    patterns(p, mmio, (0x178, 0x540c, 0x547c, 0xb608, 0xb60c, 0xb614, 0xb620, 0xb634, 0xb638), "e1000e")
    for page in (2, 3, 5, 6, 0):
        p.writel(mmio + 0x20, 1 << 26 | 1 << 21 | 22 << 16 | page)
        for n in range(32):
            p.writel(mmio + 0x20, 2 << 26 | 1 << 21 | n << 16)
            p.readl(mmio + 0x20, f"mdic page {page} {n:x}")
    for bits in (0x80, 0x100000, 0x1000004, 0xffffffff):
        p.writel(mmio + 0xc8, bits)
        p.readl(mmio + 0xc0, f"icr of ics {bits:x}")
        p.readl(mmio + 0xc0, "icr again")
    p.writel(mmio + 0xd0, 0x84)
    p.readl(mmio + 0xd0, "ims")
    p.writel(mmio + 0xc8, 0x80)
    p.readl(mmio + 0xc0, "icr asserted")
    p.readl(mmio + 0xc0, "icr after")
    p.writel(mmio + 0xd8, 0x4)
    p.readl(mmio + 0xd0, "ims after imc")


@scenario(PC, **on("usb-ehci"))
def ehci(p):
    mmio = place(p)[0]
    sweep(p, mmio, 0x80, "ehci")
    patterns(p, mmio, (0x20,), "ehci", 32, keep=0x73)
    patterns(p, mmio, (0x24, 0x28, 0x2c, 0x30, 0x34, 0x38), "ehci", 32)
    for flag in (1, 0):
        p.writel(mmio + 0x60, flag)
        p.readl(mmio + 0x60, f"configflag {flag}")
        patterns(p, mmio, (0x64, 0x68, 0x78), f"ehci {flag} port", 32, keep=0x1c0)
    p.writel(mmio + 0x20, 2)
    p.step(1000000)
    sweep(p, mmio, 0x80, "ehci after hcreset")


@scenario(PC, **on("qemu-xhci"))
def xhci(p):
    mmio = place(p)[0]
    sweep(p, mmio, 0x1000, "xhci")
    sweep(p, mmio + 0x1000, 0x400, "xhci runtime")
    sweep(p, mmio + 0x2000, 0x100, "xhci doorbells")
    for size in (1, 2):
        sweep(p, mmio, 0x80, f"xhci {size}", size)
    for offset in (0, 4, 8, 0x40, 0x58, 0x70, 0x1020, 0x1030):
        p.readq(mmio + offset, f"xhci q {offset:x}")
    patterns(p, mmio, (0x40,), "xhci usbcmd", keep=3 | 0x300)
    patterns(p, mmio, (0x44, 0x54, 0x58, 0x5c, 0x70, 0x74, 0x78, 0x48, 0, 4, 0x10), "xhci")
    patterns(p, mmio, (0x1020, 0x1024, 0x1028, 0x1030, 0x1034, 0x1038, 0x103c, 0x1000, 0x1040, 0x1044), "xhci runtime")
    patterns(p, mmio, [0x440 + 16 * n + k for n in range(8) for k in (0, 4, 8, 12)], "xhci port")
    p.writel(mmio + 0x40, 2)
    p.step(1000000)
    sweep(p, mmio, 0x1000, "xhci after hcrst")
    sweep(p, mmio + 0x1000, 0x100, "xhci runtime after hcrst")


AHCI_DISK = ("drive=d0,8388608", "ich9-ahci,id=ahci,addr=4", "ide-hd,drive=d0,bus=ahci.0")
AHCI_QEMU = (*PLAIN, *DISK, "-device", "ich9-ahci,id=ahci,addr=4", "-device", "ide-hd,drive=d0,bus=ahci.0,serial=serial")


@scenario(PC, own=AHCI_DISK, qemu=AHCI_QEMU)
def ahci(p):
    p.config_write(4 << 3, 0x24, BAR)
    p.config_write(4 << 3, 4, 7, 2)
    mmio = BAR
    sweep(p, mmio, 0x500, "ahci")
    for offset in (0, 4, 8, 0xc, 0x10, 0x1c, 0x20, 0x24, 0x28):
        for v in p.patterns(32):
            p.writel(mmio + offset, v & ~1 if offset == 4 else v)
            p.readl(mmio + offset, f"ahci pattern {offset:x}")
    p.writel(mmio + 4, 0x80000000)
    for port in (0, 1, 5):
        base = mmio + 0x100 + 0x80 * port
        for offset in range(0, 0x80, 4):
            for v in p.patterns(32):
                if offset == 0x18:
                    v &= ~0x19
                if offset == 0x2c:
                    v &= ~0xf
                if offset in (0x38, 0x34):
                    v = 0
                p.writel(base + offset, v)
                p.readl(base + offset, f"ahci port {port} pattern {offset:x}")
            p.writel(base + offset, 0)
        p.writel(base + 0x2c, 0x301)
        p.readl(base + 0x28, "comreset status")
        p.writel(base + 0x2c, 0x300)
        p.step(100000000)
        for offset in range(0, 0x80, 4):
            p.readl(base + offset, f"ahci port {port} after comreset {offset:x}")
        p.writel(base + 0x18, 0x10)
        p.step(10000000)
        for offset in range(0, 0x80, 4):
            p.readl(base + offset, f"ahci port {port} fre {offset:x}")
    p.writel(mmio + 4, 0x80000001)
    p.step(10000000)
    sweep(p, mmio, 0x500, "ahci after hr")


@scenario(PC, **on("nvme"))
def nvme(p):
    mmio = place(p)[0]
    sweep(p, mmio, 0x1100, "nvme")
    p.readq(mmio, "nvme cap q")
    for offset in (0xc, 0x10, 0x24, 0x28, 0x2c, 0x30, 0x34, 0, 4, 8, 0x1c, 0x20, 0x38, 0x3c):
        for v in p.patterns(32):
            p.writel(mmio + offset, v)
            p.readl(mmio + offset, f"nvme pattern {offset:x}")
        if offset == 0x10:
            p.writel(mmio + 0x10, 0xffffffff)
            p.readl(mmio + 0xc, "mask by intmc")
    patterns(p, mmio, (0x14,), "nvme cc", keep=1 | 0xc000)
    p.writel(mmio + 0x24, 0x001f001f)
    p.writeq(mmio + 0x28, 0x100000)
    p.writeq(mmio + 0x30, 0x102000)
    for cc in (0x00460001, 0x00460000, 0x00000001, 0, 0x00460011, 0, 0x00461001, 0, 0x00460001, 0x00464001, 0):
        p.writel(mmio + 0x14, cc)
        p.step(1000000)
        p.readl(mmio + 0x14, f"nvme cc {cc:x}")
        p.readl(mmio + 0x1c, f"nvme csts {cc:x}")


@scenario(PC, own=("drive=d0,8388608", "sdhci-pci,id=s,addr=4", "sd-card,drive=d0"), qemu=(*PLAIN, *DISK, "-device", "sdhci-pci,id=s,addr=4", "-device", "sd-card,drive=d0"))
def sdhci(p):
    mmio = place(p)[0]
    p.step(10000000)
    for size in (4, 2, 1):
        sweep(p, mmio, 0x100, f"sdhci {size}", size)
    for offset, width in ((0, 32), (4, 16), (6, 16), (8, 32), (0xc, 16), (0x28, 8), (0x29, 8), (0x2a, 8), (0x2b, 8), (0x2c, 16), (0x2e, 8), (0x34, 16), (0x36, 16), (0x38, 16), (0x3a, 16), (0x3c, 16), (0x3e, 16),
                          (0x30, 16), (0x32, 16), (0x40, 32), (0x44, 32), (0x48, 32), (0x54, 8), (0x58, 32), (0x5c, 32), (0xfc, 32), (0x24, 32), (0x10, 32)):
        patterns(p, mmio, (offset,), "sdhci", width)
    p.writeb(mmio + 0x2f, 1)
    p.step(1000000)
    for size in (4, 2, 1):
        sweep(p, mmio, 0x100, f"sdhci after its reset {size}", size)
    p.writeb(mmio + 0x29, 0x0f)
    p.writew(mmio + 0x2c, 1)
    p.step(1000000)
    p.readw(mmio + 0x2c, "clock stable")
    p.writew(mmio + 0x2c, 5)
    p.writew(mmio + 0x34, 0xffff)
    p.writew(mmio + 0x36, 0xffff)
    for command, argument, flags in ((0, 0, 0), (8, 0x1aa, 0x1a), (8, 0x0aa, 0x1a), (55, 0, 0x1a), (41, 0, 2), (55, 0, 0x1a), (41, 0x40ff8000, 2), (2, 0, 9), (3, 0, 0x1a), (9, 0, 9), (13, 0, 0x1a), (7, 0, 0x1b),
                                     (5, 0, 2), (1, 0, 2), (62, 0, 0x1a)):
        p.writel(mmio + 8, argument)
        p.writew(mmio + 0xe, command << 8 | flags)
        p.step(1000000)
        for offset in (0x10, 0x14, 0x18, 0x1c, 0x24, 0x30):
            p.readl(mmio + offset, f"cmd{command} {argument:x} register {offset:x}")
        p.writel(mmio + 0x30, 0xffffffff)
        p.readl(mmio + 0x30, f"cmd{command} status cleared")


VIRTIO = {"blk": ("virtio-blk-pci,drive=d0", "virtio-blk-pci,drive=d0,num-queues=1", DISK), "net": ("virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56", None, NET), "rng": ("virtio-rng-pci", None, ()),
          "serial": ("virtio-serial-pci", None, ()), "scsi": ("virtio-scsi-pci", None, ()), "gpu": ("virtio-gpu-pci", None, ()), "keyboard": ("virtio-keyboard-pci", None, ()), "tablet": ("virtio-tablet-pci", None, ())}


def virtio_modern(p, name):
    """The capabilities say where it is: by BAR 4 and offsets they are QEMU's, too, but for their places."""
    common, isr, device, notify = BAR, BAR + 0x1000, BAR + 0x2000, BAR + 0x3000
    for select in range(5):
        p.writel(common, select)
        p.readl(common, f"{name} feature select")
        p.readl(common + 4, f"{name} device features {select}")
        p.writel(common + 8, select)
        p.writel(common + 0xc, 0xffffffff)
        p.readl(common + 0xc, f"{name} driver features {select}")
    for size in (1, 2, 4):
        sweep(p, common, 0x38, f"{name} common {size}", size)
    sweep(p, device, 0x60, f"{name} device", 1)
    sweep(p, device, 0x60, f"{name} device", 4)
    p.readb(isr, f"{name} isr")
    for status in (1, 3, 0xb, 0xf, 0x80, 0xff, 0, 1, 3):
        p.writeb(common + 0x14, status)
        p.readb(common + 0x14, f"{name} status {status:x}")
    for select in (0, 1, 2, 3, 63, 64, 1023, 1024, 0xffff):
        p.writew(common + 0x16, select)
        p.readw(common + 0x16, f"{name} queue select")
        for offset in (0x18, 0x1a, 0x1c, 0x1e):
            p.readw(common + offset, f"{name} queue {select:x} register {offset:x}")
        for offset in (0x20, 0x24, 0x28, 0x2c, 0x30, 0x34):
            p.writel(common + offset, 0xfffff000)
            p.readl(common + offset, f"{name} queue {select:x} address {offset:x}")
        for v in (8, 7, 0, 256, 1024, 2048):
            p.writew(common + 0x18, v)
            p.readw(common + 0x18, f"{name} queue {select:x} size {v}")
        for v in (0, 1, 0xffff):
            p.writew(common + 0x1a, v)
            p.readw(common + 0x1a, f"{name} queue {select:x} vector {v:x}")
            p.writew(common + 0x10, v)
            p.readw(common + 0x10, f"{name} config vector {v:x}")
        p.writew(common + 0x1c, 0)
        p.readw(common + 0x1c, f"{name} queue {select:x} enable")
    p.readw(common + 0x12, f"{name} queues")
    p.readb(common + 0x15, f"{name} generation")
    p.writeb(common + 0x14, 0)
    for size in (2, 4):
        sweep(p, common, 0x38, f"{name} common after a reset {size}", size)


def virtio_legacy(p, name):
    for size in (1, 2, 4):
        sweep(p, PORTS, 0x40, f"{name} legacy {size}", size, port=True)
    for status in (1, 3, 7, 0x80, 0, 1, 3):
        p.outb(PORTS + 0x12, status)
        p.inb(PORTS + 0x12, f"{name} legacy status {status:x}")
    for v in (0xffffffff, 0, 0x30000000):
        p.outl(PORTS + 4, v)
        p.inl(PORTS + 4, f"{name} legacy features {v:x}")
    for select in (0, 1, 2, 3, 64, 0xffff):
        p.outw(PORTS + 0xe, select)
        p.inw(PORTS + 0xe, f"{name} legacy select")
        p.inw(PORTS + 0xc, f"{name} legacy queue {select:x} size")
        for v in (0x100, 0):
            p.outl(PORTS + 8, v)
            p.inl(PORTS + 8, f"{name} legacy queue {select:x} address")
        p.outw(PORTS + 0xc, 4)
        p.inw(PORTS + 0xc, f"{name} legacy queue {select:x} size written")
    p.outb(PORTS + 0x12, 0)
    sweep(p, PORTS, 0x20, f"{name} legacy after a reset", 2, port=True)


def virtio_scenario(name, own, qemu, options):
    prefix = ("drive=d0,8388608",) if options is DISK else ()

    def play(p):
        bdf = 4 << 3
        p.config_write(bdf, 0x20, BAR)
        p.config_write(bdf, 0x24, 0)
        p.config_write(bdf, 0x14, BAR + 0x1000000)
        p.config_write(bdf, 0x10, PORTS)
        p.config_write(bdf, 4, 7, 2)
        virtio_modern(p, name)
        if name in ("blk", "net", "rng", "serial", "scsi"):
            virtio_legacy(p, name)
    play.__name__ = "virtio_" + name
    scenario(PC, slow=name not in ("blk", "net"), own=(*prefix, own + ",addr=4"), qemu=(*PLAIN, *options, "-device", (qemu or own) + ",addr=4" + (",romfile=" if name == "net" else "")))(play)


for virtio_name, virtio_words in VIRTIO.items():
    virtio_scenario(virtio_name, *virtio_words)
