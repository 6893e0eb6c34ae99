/*
 * Controllers, cards and USB against hostile guests: see hostile.h.
 */
#include "tests/whole/hostile.h"

#include "i386/pc/dma.h"
#include "i386/pc/fdc.h"
#include "vm/dev/ac97.h"
#include "vm/dev/ahci.h"
#include "vm/dev/e1000.h"
#include "vm/dev/e1000e.h"
#include "vm/dev/ehci.h"
#include "vm/dev/hda.h"
#include "vm/dev/ide.h"
#include "vm/dev/nvme.h"
#include "vm/dev/pcnet.h"
#include "vm/dev/rtl8139.h"
#include "vm/dev/sdhci.h"
#include "vm/dev/uhci.h"
#include "vm/dev/usb.h"
#include "vm/dev/usb_hid.h"
#include "vm/dev/usb_hub.h"
#include "vm/dev/usb_serial.h"
#include "vm/dev/usb_storage.h"
#include "vm/dev/xhci.h"

/* ---- NVMe ---- */

static void make_nvme(void)
{
    plug(nvme_plug, "x", new_drive("d0", DRIVE_DISK, NULL));
    dev = machine_find_device(m, "dev");
}

static void nvme_command(paddr_t at, bool admin)
{
    static const uint8_t of_admin[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 16, 17, 20, 0x80, 0x84};
    static const uint8_t of_io[] = {0, 1, 2, 4, 5, 8, 9, 12, 13, 17, 0x19, 0x19};
    uint32_t dw[16];

    for (unsigned i = 0; i < 16; i++)
        dw[i] = chance(2) ? below(4) : draw() >> below(32);
    dw[0] = (admin ? of_admin[below(ARRAY_LEN(of_admin))] : of_io[below(ARRAY_LEN(of_io))]) | (chance(6) ? draw() << 8 : draw() << 16);
    dw[1] = chance(4) ? draw() : below(3);
    for (unsigned i = 6; i < 10; i += 2) {
        uint64_t prp = place();

        if (!chance(4))
            prp &= ~4095ull;
        dw[i] = (uint32_t)prp;
        dw[i + 1] = (uint32_t)(prp >> 32);
    }
    if (admin && chance(2)) { /* queues */
        dw[10] = below(5) | (chance(4) ? draw() : below(16)) << 16;
        dw[11] = below(8) | below(4) << 16;
    } else if (!admin) {
        dw[10] = below(5000);
        dw[11] = chance(10) ? draw() : 0;
        dw[12] = chance(4) ? below(65536) : below(64);
    }
    poke(at, dw, sizeof(dw));
}

static void nvme_enable(void)
{
    memory_write(&m->memory, BAR + 0x14, 4, 0);
    memory_write(&m->memory, BAR + 0x24, 4, chance(6) ? draw() : 7u << 16 | 7);
    memory_write(&m->memory, BAR + 0x28, 8, chance(10) ? place() : TABLES);
    memory_write(&m->memory, BAR + 0x30, 8, chance(10) ? place() : TABLES + 0x1000);
    memory_write(&m->memory, BAR + 0x14, 4, chance(20) ? draw() | 1 : 0x00460001);
    let_go(MS);
    if (chance(8))
        return;
    for (unsigned n = 0; n < 2; n++) { /* a completion queue and one for commands */
        uint32_t dw[16] = {n ? 1 : 5, [6] = TABLES + (n ? 0x2000 : 0x3000), [10] = 1 | 7u << 16, [11] = n ? 1 | 1u << 16 : 3};

        poke(TABLES + 64 * n, dw, sizeof(dw));
    }
    memory_write(&m->memory, BAR + 0x1000, 4, 2);
    let_go(MS);
}

static void nvme_step(unsigned step)
{
    if (step % 60 == 0) {
        decode(0);
        nvme_enable();
        let_go(MS);
    }
    for (unsigned n = 1 + below(4); n; n--)
        nvme_command(TABLES + 0x2000 * below(2) + 64 * below(8), chance(2));
    if (chance(3)) /* a list of PRPs, perhaps one that goes on in itself */
        for (unsigned n = 0; n < 8; n++) {
            poke64(TABLES + 0x4000 + 8 * n, place() & ~4095ull);
            poke64(TABLES + 0x4fc0 + 8 * n, chance(2) ? TABLES + 0x4000 : place());
        }
    if (chance(5))
        scribble(4);
    memory_write(&m->memory, BAR + 0x1000 + 4 * below(chance(8) ? 64 : 8), 4, chance(8) ? draw() : below(8));
    if (chance(10))
        poke_register(BAR, 0x1000);
    if (chance(60))
        memory_write(&m->memory, BAR + 0x14, 4, chance(2) ? 0 : 0x00464001); /* disabled or shut down with commands in progress */
}

/* ---- AHCI ---- */

static void make_ahci(void)
{
    plug(ahci_plug, "x", NULL);
    dev = machine_find_device(m, "dev");
    plug(ahci_disk_plug, "x", new_drive("d0", DRIVE_DISK, NULL));
    plug(ahci_disk_plug, "x", new_drive("c0", DRIVE_CDROM, NULL));
}

static void ahci_start(unsigned port)
{
    paddr_t at = BAR + 0x100 + 0x80 * port, list = chance(20) ? place() : TABLES, fis = chance(20) ? place() : TABLES + 0x1000;

    memory_write(&m->memory, BAR + 4, 4, 0x80000002);
    memory_write(&m->memory, at + 0x00, 4, list & ~0x3ffull);
    memory_write(&m->memory, at + 0x04, 4, list >> 32);
    memory_write(&m->memory, at + 0x08, 4, fis & ~0xffull);
    memory_write(&m->memory, at + 0x0c, 4, fis >> 32);
    memory_write(&m->memory, at + 0x30, 4, 0xffffffff);
    memory_write(&m->memory, at + 0x18, 4, 0x16);
    memory_write(&m->memory, at + 0x14, 4, 0x7fffffff);
    memory_write(&m->memory, at + 0x18, 4, 0x17);
}

/* A header, its FIS, and regions. */
static void ahci_command(unsigned slot)
{
    static const uint8_t codes[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0xc4, 0xc5, 0xc8, 0xca, 0xec, 0xa0, 0xa0, 0xa1,
                                    0x06, 0x08, 0x2f, 0x3f, 0x40, 0x42, 0x60, 0x61, 0x47, 0xb0, 0xb1, 0xe7, 0xea, 0xef, 0xf8, 0x27};
    static const uint8_t packets[] = {0x00, 0x03, 0x12, 0x25, 0x28, 0xa8, 0xbe, 0x43, 0x46, 0x4a, 0x5a, 0x52, 0x51, 0x1b};
    paddr_t table = chance(16) ? place() : TABLES + 0x2000 + 0x400 * (slot % 8);
    uint8_t fis[64] = {0x27, 0x80, codes[below(sizeof(codes))], (uint8_t)draw(), (uint8_t)draw(), (uint8_t)below(16), 0, 0x40};

    fis[12] = (uint8_t)(chance(2) ? slot << 3 : draw());
    fis[13] = (uint8_t)(chance(3) ? draw() : 0);
    if (chance(12))
        fis[below(16)] = (uint8_t)draw();
    poke32(TABLES + 32 * slot, (chance(8) ? draw() & 0xffff : 5 | (draw() & 0x60)) | (chance(8) ? draw() : below(9)) << 16);
    poke32(TABLES + 32 * slot + 4, chance(4) ? draw() : 0);
    poke64(TABLES + 32 * slot + 8, table & ~0x7full);
    poke(table & ~0x7full, fis, sizeof(fis));
    fis[0] = packets[below(sizeof(packets))];
    for (unsigned i = 1; i < 16; i++)
        fis[i] = (uint8_t)(chance(2) ? 0 : draw() >> below(8));
    poke((table & ~0x7full) + 0x40, fis, 16);
    for (unsigned n = 0; n < 8; n++) {
        poke64((table & ~0x7full) + 0x80 + 16 * n, place());
        poke32((table & ~0x7full) + 0x8c + 16 * n, (length() - 1) & (chance(4) ? ~0u : 0x3fffff));
    }
}

static void ahci_step(unsigned step)
{
    unsigned port = below(2), slot = below(chance(6) ? 32 : 4);
    paddr_t at = BAR + 0x100 + 0x80 * port;

    if (step % 40 == 0) {
        decode(5);
        ahci_start(0);
        ahci_start(1);
    }
    ahci_command(slot);
    if (chance(6))
        scribble(2);
    if (chance(2))
        memory_write(&m->memory, at + 0x34, 4, 1u << slot);
    memory_write(&m->memory, at + 0x38, 4, chance(8) ? draw() : 1u << slot);
    if (chance(10))
        poke_register(BAR, 0x400);
    if (chance(40))
        memory_write(&m->memory, at + 0x18, 4, 0x16); /* stopped with commands in progress */
    if (chance(40))
        memory_write(&m->memory, at + 0x2c, 4, 0x301 & draw());
    if (chance(10))
        ahci_start(port);
}

/* ---- IDE ---- */

static struct ide_wiring ide_wiring;

static void make_ide(void)
{
    memset(&ide_wiring, 0, sizeof(ide_wiring));
    dev = machine_add_device(m, &ide_ops, "dev", &ide_wiring);
    ide_plug(dev, &bench_bus, PCI_DEVFN(3, 0));
    ide_wiring.irq[0] = probe_line(0);
    ide_wiring.irq[1] = probe_line(1);
    ide_wiring.drive[0][0] = new_drive("d0", DRIVE_DISK, NULL);
    ide_wiring.drive[0][1] = new_drive("c0", DRIVE_CDROM, NULL);
    ide_wiring.drive[1][0] = new_drive("d1", DRIVE_DISK, NULL);
}

static void ide_command(unsigned channel)
{
    static const uint8_t codes[] = {0xc8, 0xca, 0x25, 0x35, 0xc8, 0xca, 0x20, 0x30, 0xc4, 0xc5, 0xa0, 0xa0, 0xa1, 0xec, 0x06, 0xef, 0xb0,
                                    0xf8, 0xf9, 0x27, 0x37, 0x90, 0x08, 0x29, 0x39, 0xe7, 0xc6, 0x91, 0xb1, 0xf1, 0x2f, 0x3f};
    unsigned range = channel ? IDE_COMMAND_1 : IDE_COMMAND_0;

    out(dev, range, 6, 0xe0 | below(32));
    for (unsigned reg = 1; reg < 6; reg++) {
        if (chance(3))
            out(dev, range, reg, draw() & 0xff);
        out(dev, range, reg, chance(3) ? 0 : draw() & 0x3f);
    }
    out(dev, range, 7, codes[below(sizeof(codes))]);
}

static void ide_step(unsigned step)
{
    unsigned channel = below(2), range = channel ? IDE_COMMAND_1 : IDE_COMMAND_0;
    paddr_t table = chance(12) ? place() : TABLES + (below(0x7000) & ~3u);

    if (step % 40 == 0)
        decode(4);
    for (unsigned n = 0; n < 8; n++) {
        poke32((table & ~3ull) + 8 * n, (uint32_t)place());
        poke32((table & ~3ull) + 8 * n + 4, (length() & 0xffff) | (chance(5) ? 0x80000000u : 0) | (chance(8) ? draw() : 0));
    }
    dev->ops->write(dev, IDE_BUS_MASTER, 8 * channel + 4, 4, table);
    if (chance(4))
        dev->ops->write(dev, IDE_BUS_MASTER, 8 * channel, 1, below(2) << 3 | 1);
    ide_command(channel);
    for (unsigned n = below(10); n; n--) { /* packets, data */
        if (chance(2))
            dev->ops->read(dev, range, 0, 2);
        else
            dev->ops->write(dev, range, 0, 1u << (1 + below(2)), chance(2) ? below(256) : 0x28);
    }
    dev->ops->write(dev, IDE_BUS_MASTER, 8 * channel, 1, chance(6) ? draw() : below(2) << 3 | 1);
    if (chance(30))
        dev->ops->write(dev, IDE_BUS_MASTER, below(16), 1u << below(3), draw());
    if (chance(40))
        out(dev, channel ? IDE_CONTROL_1 : IDE_CONTROL_0, 0, draw() & 0xff);
    in(dev, range, 7);
}

/* ---- SDHCI ---- */

static void make_sdhci(void)
{
    plug(sdhci_plug, "x", NULL);
    dev = machine_find_device(m, "dev");
    plug(sd_card_plug, "x", new_drive("d0", DRIVE_DISK, NULL));
}

static void sd_put(unsigned at, unsigned size, uint32_t value)
{
    memory_write(&m->memory, BAR + at, size, value);
}

static void sd_command(unsigned index, uint32_t argument, unsigned flags)
{
    sd_put(0x08, 4, argument);
    sd_put(0x0e, 2, index << 8 | flags);
    let_go(MS);
}

/* As far as the transfer state. */
static void sd_identify(void)
{
    sd_put(0x2e, 2, 0x0e00 | 7);
    sd_put(0x29, 1, 0x0f);
    sd_put(0x34, 4, 0xffffffff);
    sd_put(0x28, 1, chance(2) ? 0x10 : 0); /* ADMA2 or SDMA */
    sd_command(0, 0, 0);
    sd_command(8, 0x1aa, 0x1a);
    sd_command(55, 0, 0x1a);
    sd_command(41, 0x40ff8000, 0x02);
    sd_command(2, 0, 0x09);
    sd_command(3, 0, 0x1a);
    sd_command(7, memory_read(&m->memory, BAR + 0x10, 4) & 0xffff0000u, 0x1b);
}

static void sd_step(unsigned step)
{
    static const uint8_t commands[] = {17, 18, 24, 25, 17, 18, 12, 13, 6, 32, 33, 38, 16, 23, 55, 51};

    if (step % 100 == 0) {
        decode(0);
        sd_identify();
    }
    for (unsigned n = 0; n < 8; n++) {
        paddr_t to = chance(4) ? TABLES + 8 * below(16) : place();

        poke32(TABLES + 8 * n, (below(64) & (chance(4) ? 63u : 0x37u)) | (length() & 0xffff) << 16);
        poke32(TABLES + 8 * n + 4, (uint32_t)to);
    }
    if (chance(6))
        scribble(2);
    sd_put(0x58, 4, chance(8) ? (uint32_t)place() : TABLES + 8 * below(4));
    sd_put(0x00, 4, (uint32_t)place());
    sd_put(0x04, 2, chance(6) ? draw() & 0x7fff : 512 | below(8) << 12);
    sd_put(0x06, 2, chance(6) ? draw() & 0xffff : below(16));
    sd_put(0x0c, 2, chance(6) ? draw() & 0x3f : 1 | (draw() & 0x36));
    sd_put(0x08, 4, chance(4) ? draw() : below(DISK_SECTORS) * 512);
    sd_put(0x0e, 2, (unsigned)commands[below(sizeof(commands))] << 8 | (chance(8) ? draw() & 0xff : 0x3a));
    for (unsigned n = below(8); n; n--)
        if (chance(2))
            memory_read(&m->memory, BAR + 0x20, 4);
        else
            sd_put(0x20, 4, draw());
    if (chance(10))
        poke_register(BAR, 0x100);
    if (chance(40))
        sd_put(0x2f, 1, below(8)); /* reset with a transfer in progress */
    if (chance(4))
        sd_put(0x30, 4, 0xffffffff);
}

/* ---- floppy by ISA DMA ---- */

static struct fdc_wiring fdc_wiring;
static struct device *isa_dma;

static void make_floppy(void)
{
    const struct drive_config c = {.name = "floppy0", .media = DRIVE_FLOPPY, .sector_size = 512, .size = 1440 * 1024,
                                   .latency_ns = DRIVE_LATENCY_NS, .rate = DRIVE_RATE};
    struct error e = {0};
    struct drive *d;

    isa_dma = machine_add_device(m, &dma_ops, "dma", NULL);
    fdc_wiring = (struct fdc_wiring){.irq = probe_line(0), .dma = isa_dma};
    dev = machine_add_device(m, &fdc_ops, "dev", &fdc_wiring);
    ck_assert_msg(drive_create(&d, m, &c, &e) == 0, "%s", e.text);
    ck_assert_msg(fdc_plug(dev, d, 0, &e) == 0, "%s", e.text);
}

/* Channel 2 as a driver sets it, to any place below 16 MiB, of any length and mode; now and then nonsense. */
static void isa_channel(void)
{
    uint32_t at = (uint32_t)place() & 0xffffffu, len = length();

    out(isa_dma, DMA_16BIT, 2 * 11, 0xc0);
    out(isa_dma, DMA_16BIT, 2 * 10, chance(20) ? 4 : 0);
    out(isa_dma, DMA_8BIT, 10, 6);
    out(isa_dma, DMA_8BIT, 12, 0);
    out(isa_dma, DMA_8BIT, 4, at & 0xff);
    out(isa_dma, DMA_8BIT, 4, at >> 8 & 0xff);
    out(isa_dma, DMA_PAGES, 1, at >> 16);
    out(isa_dma, DMA_8BIT, 5, (len - 1) & 0xff);
    out(isa_dma, DMA_8BIT, 5, (len - 1) >> 8 & 0xff);
    out(isa_dma, DMA_8BIT, 11, chance(4) ? draw() & 0xff : chance(2) ? 0x46 : 0x4a);
    out(isa_dma, DMA_8BIT, 10, chance(12) ? 6 : 2);
    if (chance(12))
        out(isa_dma, below(3), below(16), draw() & 0xff);
}

static void floppy_step(unsigned step)
{
    static const uint8_t codes[] = {0x46, 0xe6, 0xc5, 0x45, 0x4d, 0x4a, 0x0a, 0x0f, 0x07, 0x08, 0x03, 0x04, 0x13, 0x0e, 0x10, 0x42, 0x56, 0xd1, 0xd9, 0xdd, 0x94};

    if (step % 40 == 0) {
        out(dev, FDC_PORTS, 2, 0x1c);
        out(dev, FDC_INPUT, 0, 0);
    }
    isa_channel();
    for (unsigned n = 0; n < 10; n++) {
        unsigned state = in(dev, FDC_PORTS, 4);

        if ((state & 0xc0) == 0xc0)
            in(dev, FDC_PORTS, 5);
        else
            out(dev, FDC_PORTS, 5, n ? (chance(4) ? draw() & 0xff : below(20)) : codes[below(sizeof(codes))]);
    }
    if (chance(20))
        out(dev, FDC_PORTS, below(6), draw() & 0xff);
}

/* ---- USB ---- */

#define USB_IO   0xc000u
#define USB_DATA 0x20000u
static const char *const usb_names[] = {"hub", "kbd", "storage", "serial"};

static void make_usb(plug_fn *controller)
{
    plug(controller, "controller", NULL);
    plug_as("hub", usb_hub_plug, "usb-hub,port=1", NULL);
    plug_as("kbd", usb_kbd_plug, "usb-kbd,port=1.2", NULL);
    plug_as("storage", usb_storage_plug, "usb-storage,port=2", new_drive("d0", DRIVE_DISK, NULL));
    plug_as("serial", usb_serial_plug, "usb-serial,port=1.3,chardev=c", NULL);
}

static void make_uhci(void)
{
    make_usb(piix3_usb_uhci_plug);
}

static void make_xhci(void)
{
    endless = true;
    make_usb(qemu_xhci_plug);
}

static void make_ehci(void)
{
    endless = true;
    make_usb(usb_ehci_plug);
}

static struct usb_device *usb_device(unsigned n)
{
    return machine_find_device(m, usb_names[n])->wiring;
}

/* As if the guest had addressed and configured them; now and then without reason. */
static void usb_enumerate(unsigned n)
{
    struct usb_device *u = usb_device(n);

    usb_bus_reset(u);
    u->st->address = (uint8_t)(n + 1);
    u->st->configuration = 1;
    u->class->reset(u);
}

/* What a device may be sent: requests, command wrappers, noise. */
static void usb_data(paddr_t at)
{
    static const uint8_t requests[][2] = {{0x80, 6}, {0, 5}, {0, 9}, {2, 1}, {2, 3}, {0x23, 3}, {0x23, 1}, {0xa3, 0}, {0xa0, 6}, {0x21, 9},
                                          {0x21, 10}, {0x21, 11}, {0xa1, 1}, {0x21, 0xff}, {0xa1, 0xfe}, {0, 3}, {0x40, 0}, {0x40, 2}, {0x40, 4},
                                          {0x40, 6}, {0x40, 9}, {0xc0, 5}, {0xc0, 10}};
    uint8_t bytes[31] = {'U', 'S', 'B', 'C'};

    for (unsigned i = 4; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(chance(2) ? 0 : draw());
    if (chance(2)) {
        static const uint8_t operations[] = {0x28, 0x2a, 0x12, 0, 3, 0x1a, 0x15, 0x55, 0x25, 0x9e, 0x2f, 0x35, 0x42, 0xa0};

        memset(bytes + 8, 0, 13);
        bytes[9] = (uint8_t)below(chance(4) ? 256 : 4);
        bytes[12] = chance(2) ? 0x80 : 0;
        bytes[14] = (uint8_t)(chance(8) ? draw() : 10 + below(7));
        bytes[15] = operations[below(sizeof(operations))];
        bytes[23] = (uint8_t)below(4);
    } else {
        const uint8_t *r = requests[below(ARRAY_LEN(requests))];

        memset(bytes, 0, 8);
        bytes[0] = r[0];
        bytes[1] = r[1];
        bytes[2] = (uint8_t)below(6);
        bytes[3] = (uint8_t)(chance(2) ? below(8) : chance(2) ? 0x22 : 0x29);
        bytes[4] = (uint8_t)(chance(2) ? 0 : below(10));
        bytes[6] = (uint8_t)below(64);
        bytes[7] = (uint8_t)(chance(8) ? draw() : 0);
    }
    poke(at, bytes, sizeof(bytes));
}

static void ehci_out(unsigned at, uint32_t value)
{
    memory_write(&m->memory, BAR + at, 4, value);
}

static void ehci_start(void)
{
    static const unsigned ports[] = {0x64, 0x68};

    decode(0);
    ehci_out(0x20, 2);
    ehci_out(0x60, 1);
    for (unsigned n = 0; n < ARRAY_LEN(ports); n++) {
        ehci_out(ports[n], 0x1100);
        ehci_out(ports[n], 0x1000);
    }
    for (unsigned n = 0; n < ARRAY_LEN(usb_names); n++)
        usb_enumerate(n);
    ehci_out(0x28, draw());
    ehci_out(0x34, TABLES);
    ehci_out(0x38, TABLES + 0x1000);
    ehci_out(0x20, 0x31 | (chance(3) ? 1u << below(8) : 1) << 16);
}

static uint32_t ehci_link(void)
{
    return chance(40) ? (uint32_t)place() : TABLES + 0x1000 + 64 * below(32) + (chance(3) ? 2 * below(4) : 2) + chance(12);
}

/* What is a queue head, a transfer descriptor or another thing is what points to it. */
static void ehci_structure(paddr_t at)
{
    static const uint8_t pids[] = {0, 1, 2, 3};
    uint32_t token = below(chance(8) ? 0x8000 : 600) << 16 | pids[below(chance(16) ? 4 : 3)] << 8 | below(4) << 10 | below(2) << 15 |
                     below(2u) << 31 | (chance(8) ? below(8) << 12 : 0) | (chance(4) ? draw() & 0xff : 0x80);

    poke32(at, ehci_link());
    poke32(at + 4, chance(4) ? draw() : below(4) << 28 | (8u << below(7)) << 16 | below(2) << 14 | 2u << 12 | below(3) << 8 | below(5));
    poke32(at + 8, chance(4) ? draw() : chance(2) ? 1u << 30 | 1u << below(8) : token);
    poke32(at + 16, (TABLES + 0x1000 + 32 * below(64)) | chance(8));
    poke32(at + 20, (TABLES + 0x1000 + 32 * below(64)) | chance(2));
    poke32(at + 24, token);
    for (unsigned n = 7; n < 16; n++)
        poke32(at + 4 * n, (uint32_t)(chance(20) ? place() : USB_DATA + 4096 * below(8) + 64 * below(64)));
}

static void ehci_step(unsigned step)
{
    if (step % 20 == 0)
        ehci_start();
    if (chance(20))
        usb_enumerate(below(ARRAY_LEN(usb_names)));
    for (unsigned n = 0; n < 6; n++) {
        ehci_structure(TABLES + 0x1000 + 32 * below(64));
        poke32(TABLES + 4 * below(1024), ehci_link());
    }
    usb_data(USB_DATA + 64 * below(32));
    if (chance(8))
        scribble(2);
    if (chance(10))
        poke_register(BAR, 0x100);
    if (chance(6))
        ehci_out(0x20, 0x71 | (1u << below(8)) << 16);
    let_go(MS * below(4));
}

static uint32_t uhci_link(void)
{
    return chance(16) ? (uint32_t)place() : TABLES + 0x1000 + 32 * below(64) + (chance(3) ? 2 : 0) + (chance(2) ? 4 : 0) + chance(6);
}

static void uhci_out(unsigned at, unsigned value)
{
    ports_write(&bench_ports, (uint16_t)(USB_IO + at), 2, value);
}

static void uhci_start(void)
{
    pci_config_write(function(), 0x20, 4, USB_IO);
    pci_config_write(function(), PCI_COMMAND, 2, 5);
    uhci_out(0, 0);
    ports_write(&bench_ports, USB_IO + 8, 4, TABLES);
    uhci_out(0x10, 0x0e);
    uhci_out(0x12, 0x0e);
    for (unsigned n = 0; n < ARRAY_LEN(usb_names); n++)
        usb_enumerate(n);
    for (unsigned n = 0; n < 8; n++)
        poke32(TABLES + 4 * below(1024), uhci_link());
    uhci_out(0, 1);
}

static void uhci_step(unsigned step)
{
    static const uint8_t pids[] = {0x2d, 0x69, 0xe1};

    if (step % 50 == 0)
        uhci_start();
    if (chance(20))
        usb_enumerate(below(ARRAY_LEN(usb_names)));
    for (unsigned n = 0; n < 8; n++) {
        paddr_t at = TABLES + 0x1000 + 32 * below(64);
        uint32_t len = chance(20) ? draw() & 0x7ff : (chance(4) ? 0x7ff : below(64));

        poke32(at, uhci_link());
        poke32(at + 4, chance(4) ? uhci_link() : (draw() & 0x7fe007ffu & ~(chance(8) ? 0 : 0x06000000u)) | 1u << 23);
        poke32(at + 8, (chance(40) ? draw() & 0xff : pids[below(3)]) | below(chance(8) ? 128 : 5) << 8 | below(chance(8) ? 16 : 3) << 15 |
                       below(2) << 19 | len << 21);
        poke32(at + 12, (uint32_t)(chance(6) ? place() : USB_DATA + 64 * below(32)));
        poke32(TABLES + 4 * below(1024), uhci_link());
    }
    usb_data(USB_DATA + 64 * below(32));
    if (chance(8))
        scribble(2);
    if (chance(10))
        ports_write(&bench_ports, (uint16_t)(USB_IO + (below(32) & ~1u)), 1u << below(3), draw());
    let_go(MS * below(4));
}

#define X_RINGS    (TABLES + 0x2000)
#define X_EVENTS   (TABLES + 0x6000)
#define X_CONTEXTS (TABLES + 0x7000)

static void xset(unsigned at, uint64_t value)
{
    memory_write(&m->memory, BAR + at, at >= 0x2000 || (at & 7) ? 4 : 8, value);
}

static void xset4(unsigned at, uint32_t value)
{
    memory_write(&m->memory, BAR + at, 4, value);
}

/* Blocks that may be on any ring; rings share what they lie in. */
static void xhci_blocks(unsigned n)
{
    static const uint8_t types[] = {1, 1, 1, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 23};

    while (n--) {
        paddr_t at = X_RINGS + 16 * below(256);
        uint32_t type = chance(30) ? draw() & 63 : types[below(sizeof(types))];

        poke64(at, chance(4) ? place() : type == 6 || type == 16 ? (X_RINGS + 16 * below(256)) | below(2)
                 : type >= 9                                   ? X_CONTEXTS + 64 * below(4)
                 : type == 2 ? (uint64_t)peek32(USB_DATA) | (uint64_t)peek32(USB_DATA + 4) << 32 : USB_DATA + 64 * below(32));
        poke32(at + 8, chance(8) ? draw() : type == 2 ? 8 : below(chance(3) ? 4096 : 64));
        poke32(at + 12, (draw() & 0x27eu & ~(type == 2 ? 0x10u : 0)) | (type == 2 ? 0x40 : 0) | below(2) << 16 | (chance(3) ? below(32) << 16 : 0) |
                        type << 10 | (chance(8) ? draw() & 0xff : below(4)) << 24 | !chance(4));
    }
}

static void xhci_contexts(void)
{
    paddr_t at = X_CONTEXTS + 64 * below(4);

    poke32(at, chance(4) ? draw() : 0);
    poke32(at + 4, chance(3) ? draw() : 3u | (chance(2) ? 0x18u : 0));
    poke32(at + 32, 1u << 27 | (draw() & 0x00ffffffu));
    poke32(at + 36, (chance(4) ? draw() : 1 + below(8)) << 16);
    for (unsigned i = 2; i < 8; i++) {
        static const uint8_t kinds_of[] = {0, 0, 4, 4, 6, 2, 7, 5};

        poke32(at + 32 * i, chance(10) ? draw() : below(12) << 16);
        poke32(at + 32 * i + 4, (chance(8) ? draw() & 0x38u : (uint32_t)kinds_of[i] << 3) | (chance(8) ? draw() : 8u << below(9)) << 16);
        poke64(at + 32 * i + 8, chance(8) ? place() : (X_RINGS + 16 * below(256)) | 1);
    }
}

static void xhci_start(void)
{
    decode(0);
    xset4(0x40, 2);
    xset4(0x78, chance(8) ? draw() : 32);
    xset(0x70, TABLES);
    for (unsigned n = 1; n < 8; n++)
        poke64(TABLES + 8 * n, chance(8) ? place() : TABLES + 0x400 + 0x400 * (n % 3));
    xset(0x58, X_RINGS | 1);
    poke64(TABLES + 0x1000, chance(12) ? place() : X_EVENTS);
    poke32(TABLES + 0x1008, chance(12) ? draw() : 16 + below(64));
    xset4(0x1028, chance(12) ? draw() : 1);
    xset(0x1038, X_EVENTS);
    xset(0x1030, TABLES + 0x1000);
    xset4(0x1024, below(4) * 100);
    xset4(0x1020, 2);
    xset4(0x40, 5);
    for (unsigned n = 0; n < 8; n++)
        xset4(0x440 + 16 * n, 0x210);
}

static void xhci_step(unsigned step)
{
    if (step % 50 == 0)
        xhci_start();
    usb_data(USB_DATA + 64 * below(32));
    usb_data(USB_DATA);
    xhci_blocks(8);
    xhci_contexts();
    if (chance(8))
        scribble(2);
    if (chance(12))
        usb_enumerate(below(ARRAY_LEN(usb_names)));
    for (unsigned n = below(6); n; n--)
        xset4(0x2000 + 4 * below(5), chance(4) ? 0 : below(6));
    xset4(0x2000, 0);
    if (chance(2))
        xset(0x1038, chance(10) ? place() : (X_EVENTS + 16 * below(16)) | 8);
    if (chance(10))
        xset4(0x440 + 16 * below(8), draw());
    if (chance(10))
        poke_register(BAR, 0x4000);
    let_go(below(400000));
}

/* ---- network cards ---- */

/* What a card's rings are made of, and how it is set going: the driver's ordinary way, which is then left. */
struct hostile_card {
    plug_fn *plug;
    const char *text;
    unsigned bar, bytes;     /* where its registers are in memory */
    void (*start)(void);
    uint32_t (*word)(unsigned n); /* what word n of 4 of a descriptor may be */
    void (*go)(void);        /* something is to be done */
};

static const struct hostile_card *hostile_card;

static void card_set(unsigned at, unsigned size, uint32_t value)
{
    memory_write(&m->memory, BAR + at, size, value);
}

static uint32_t ring_address(void)
{
    return chance(16) ? (uint32_t)place() : TABLES + 0x100 * below(64);
}

static void card_step(unsigned step)
{
    if (step % 40 == 0) {
        decode(hostile_card->bar);
        hostile_card->start();
    }
    for (unsigned n = 8 + below(24); n; n--) {
        paddr_t at = TABLES + 16 * below(0x400);

        for (unsigned i = 0; i < 4; i++)
            if (!chance(6))
                poke32(at + 4 * i, hostile_card->word(i));
    }
    if (chance(8))
        scribble(4);
    if (chance(3))
        poke_register(BAR, hostile_card->bytes);
    hostile_card->go();
    feed();
    if (chance(4)) {
        uint8_t frame[9000];
        size_t len = below(sizeof(frame));

        for (size_t i = 0; i < len; i++)
            frame[i] = (uint8_t)draw();
        memset(frame, 0xff, 6);
        input(dev, frame, len); /* as no host does: recordings are files */
    }
    buffer_clear(&sent);
}

static void make_card(const struct hostile_card *c)
{
    hostile_card = c;
    plug(c->plug, c->text, NULL);
    dev = machine_find_device(m, "dev");
}

static void start_rtl8139(void)
{
    card_set(0x37, 1, 0x10);
    card_set(0x50, 1, chance(2) ? 0xc0 : draw() & 0xff);
    card_set(0xe0, 2, chance(3) ? 0 : chance(6) ? draw() : 0x63);
    card_set(0x37, 1, 0x0c);
    card_set(0x44, 4, chance(4) ? draw() : 0x0f | below(4) << 11 | below(2) << 7);
    card_set(0x40, 4, chance(4) ? draw() : chance(2) ? 0x60000 : 0);
    card_set(0x30, 4, (uint32_t)place());
    for (unsigned at = 0x20; at < 0x30; at += 4)
        card_set(at, 4, (at & 4) && !chance(10) ? 0 : ring_address());
    card_set(0xe4, 4, ring_address());
    card_set(0xe8, 4, chance(20) ? draw() : 0);
    card_set(0x3c, 2, draw());
    if (chance(3))
        card_set(0x54, 4, draw() >> below(32));
}

static uint32_t word_rtl8139(unsigned n)
{
    uint32_t size = chance(4) ? below(0x10000) : chance(4) ? below(64) : 1600;

    switch (n) {
    case 0:  return (chance(4) ? 0 : 1u << 31) | (chance(12) ? 1u << 30 : 0) | (chance(3) ? draw() & 0x3fff0000u : 3u << 28) | size;
    case 1:  return chance(2) ? 0 : draw();
    case 2:  return (uint32_t)place();
    default: return chance(20) ? draw() : 0;
    }
}

static void go_rtl8139(void)
{
    for (unsigned n = 0; n < 4; n++)
        if (chance(2))
            card_set(0x10 + 4 * n, 4, chance(4) ? draw() : below(0x2000));
    card_set(0xd9, 1, chance(8) ? draw() & 0xff : 0xc0);
    card_set(0x38, 2, chance(2) ? draw() : (uint32_t)memory_read(&m->memory, BAR + 0x3a, 2) - 16);
    if (chance(20))
        card_set(0x10, 4, (uint32_t)place() | 8);
    if (chance(50))
        card_set(0x37, 1, draw() & 0x1f);
}

static void make_rtl8139(void)
{
    static const struct hostile_card c = {rtl8139_plug, "x", 1, 0x100, start_rtl8139, word_rtl8139, go_rtl8139};

    make_card(&c);
}

static void start_e1000(void)
{
    card_set(0x0000, 4, chance(2) ? 0x08000040 : draw());
    card_set(0x0030, 4, 0x8808); /* pauses: to all ones */
    card_set(0x0028, 4, 0xffffffff);
    card_set(0x002c, 4, 0xffff);
    card_set(0x2c00, 4, draw() & 0xfff);
    for (unsigned at = 0x2800; at <= 0x3800; at += 0x1000) {
        card_set(at, 4, ring_address());
        card_set(at + 4, 4, chance(20) ? draw() : 0);
        card_set(at + 8, 4, chance(4) ? draw() : 128 * below(16));
        card_set(at + 0x10, 4, chance(4) ? draw() : 0);
        card_set(at + 0x18, 4, chance(4) ? draw() : below(64));
    }
    card_set(0x0100, 4, chance(2) ? draw() | 2 : 0x8002);
    card_set(0x0400, 4, 0xa);
    card_set(0x5000, 4, draw());
}

static uint32_t word_e1000(unsigned n)
{
    switch (n) {
    case 0:  return chance(3) ? draw() : (uint32_t)place();
    case 1:  return chance(20) ? draw() : chance(3) ? draw() & 0xffff : 0;
    case 2:  return (chance(3) ? draw() : draw() & 0x2f100000u) | (chance(4) ? draw() & 0xfffff : below(2000));
    default: return draw();
    }
}

static void go_e1000(void)
{
    card_set(0x2818, 4, chance(4) ? draw() : below(64));
    card_set(0x3818, 4, chance(4) ? draw() : below(64));
}

static void make_e1000(void)
{
    static const struct hostile_card c = {e1000_plug, "x", 0, 0x6000, start_e1000, word_e1000, go_e1000};

    make_card(&c);
}

static void start_e1000e(void)
{
    static const unsigned rings[] = {0x2800, 0x2900, 0x3800, 0x3900};

    start_e1000();
    for (unsigned i = 0; i < ARRAY_LEN(rings); i++) {
        card_set(rings[i], 4, ring_address());
        card_set(rings[i] + 8, 4, chance(4) ? draw() : 128 * below(16));
        card_set(rings[i] + 0x10, 4, 0);
        card_set(rings[i] + 0x18, 4, chance(4) ? draw() : below(64));
    }
    card_set(0x5008, 4, chance(2) ? 0x8000 : draw());
    card_set(0x5000, 4, chance(2) ? 0x2000 : draw());
    card_set(0x5818, 4, chance(2) ? 0x1f0001 : draw());
    card_set(0x5c00 + 4 * below(42), 4, draw());
    if (chance(2)) { /* packet split */
        card_set(0x0100, 4, (draw() & ~0xc00u) | 0x402);
        card_set(0x2170, 4, chance(2) ? draw() & 0x01010103 : draw());
    }
    card_set(0x00e4, 4, draw());
    card_set(0x00d0, 4, draw());
    card_set(0x2c08, 4, chance(2) ? below(100) : 0);
    card_set(0xb608, 4, 1u << 24 | below(100));
    card_set(0xb620, 4, 0x10 | below(8) << 1);
    card_set(0xb614, 4, 0x10);
    if (chance(2))
        card_set(0xb60c + 4 * below(2), 4, draw());
}

static void go_e1000e(void)
{
    go_e1000();
    card_set(0x2918, 4, chance(4) ? draw() : below(64));
    card_set(0x3918, 4, chance(4) ? draw() : below(64));
}

static void make_e1000e(void)
{
    static const struct hostile_card c = {e1000e_plug, "x", 0, 0xb700, start_e1000e, word_e1000, go_e1000e};

    make_card(&c);
}

static void pcnet_csr(unsigned n, unsigned value)
{
    card_set(0x12, 2, n);
    card_set(0x10, 2, value);
}

static void start_pcnet(void)
{
    uint32_t init = chance(8) ? (uint32_t)place() : TABLES;

    memory_read(&m->memory, BAR + 0x14, 2); /* reset */
    card_set(0x12, 2, 20);
    card_set(0x16, 2, chance(8) ? draw() : below(4));
    for (unsigned i = 0; i < 28; i += 4)
        poke32(TABLES + i, i < 4 && chance(2) ? 0x8000 | (draw() & 0xf0f00004) : i < 16 ? draw() : (ring_address() & 0xffffff) | draw() << 24);
    poke32(TABLES + 20, ring_address());
    poke32(TABLES + 24, ring_address());
    pcnet_csr(1, init & 0xffff);
    pcnet_csr(2, init >> 16);
    pcnet_csr(4, draw());
    pcnet_csr(5, draw() & ~(chance(4) ? 0 : 1u));
    pcnet_csr(3, draw());
    if (chance(4))
        pcnet_csr(76 + 2 * below(2), draw());
    if (chance(3))
        pcnet_csr(47, draw());
    pcnet_csr(0, chance(8) ? 0x42 : 0x43);
}

static uint32_t word_pcnet(unsigned n)
{
    uint32_t flags = (chance(4) ? 0 : 0x80000000u) | (chance(3) ? draw() & 0x7f000000u : 0x03000000u);

    switch (n) {
    case 1:  return flags | 0xf000u | (chance(3) ? draw() & 0xfff : -(64 + below(1500)) & 0xfffu);
    case 3:  return chance(2) ? draw() : flags | (uint32_t)(place() & 0xffffff);
    default: return chance(4) ? flags : (uint32_t)place();
    }
}

static void go_pcnet(void)
{
    pcnet_csr(0, 0x48);
    if (chance(12))
        pcnet_csr(below(128), draw());
    if (chance(60))
        card_set(0x10, 4, draw()); /* double words from now on */
}

static void make_pcnet(void)
{
    static const struct hostile_card c = {pcnet_plug, "x", 1, 0x20, start_pcnet, word_pcnet, go_pcnet};

    endless = true;
    make_card(&c);
}

/* ---- sound cards ---- */

#define SOUND_IO 0xc000u

static void make_ac97(void)
{
    endless = true; /* buffers of one sample are */
    plug(ac97_plug, "AC97,audiodev=A", NULL);
    dev = machine_find_device(m, "dev");
}

static void ac97_out(unsigned at, unsigned size, uint32_t value)
{
    ports_write(&bench_ports, (uint16_t)(SOUND_IO + at), size, value);
}

static void ac97_step(unsigned step)
{
    static const uint16_t rates[] = {0, 1, 8000, 11025, 44100, 48000, 65535};

    if (step % 50 == 0) {
        pci_config_write(function(), 0x10, 4, SOUND_IO);
        pci_config_write(function(), 0x14, 4, SOUND_IO + 0x100);
        pci_config_write(function(), PCI_COMMAND, 2, chance(20) ? below(8) : 5);
        for (unsigned box = 0; box < 0x130; box += 0x10)
            ac97_out(0x10b + box % 0x30, 1, 2);
        ac97_out(0x12c, 4, 2);
    }
    for (unsigned n = 0; n < 4; n++) {
        paddr_t at = TABLES + 8 * below(256);

        poke32(at, (uint32_t)place());
        poke32(at + 4, (chance(4) ? draw() : draw() & 0xc0000000u) | (chance(2) ? length() & 0xffff : below(2000)));
    }
    switch (below(8)) {
    case 0:  ac97_out(below(0x140), 1u << below(3), draw()); break;
    case 1:  ac97_out(2 * below(64), 2, chance(2) ? rates[below(ARRAY_LEN(rates))] : draw()); break;
    case 2:  ac97_out(0x2a, 2, draw()); ac97_out(0x2c + 2 * below(5), 2, rates[below(ARRAY_LEN(rates))]); break;
    case 3:  ports_read(&bench_ports, (uint16_t)(SOUND_IO + below(0x140)), 1u << below(3)); break;
    case 4:  ac97_out(0x105 + 0x10 * below(3), 1, draw()); break;
    case 5:  ac97_out(0x100 + 0x10 * below(3), 4, chance(8) ? (uint32_t)place() : TABLES + 256 * below(8)); break;
    default: ac97_out(0x10b + 0x10 * below(3), 1, chance(4) ? draw() : 0x1d); break;
    }
    buffer_clear(&sent);
}

static void make_hda(void)
{
    endless = true;
    plug(intel_hda_plug, "intel-hda", NULL);
    plug_as("duplex", hda_duplex_plug, "hda-duplex,audiodev=A", NULL);
    plug_as("micro", hda_micro_plug, "hda-micro,audiodev=A", NULL);
    dev = machine_find_device(m, "dev");
}

/* A command that does something, or may. */
static uint32_t hda_command(void)
{
    static const uint16_t verbs[] = {0x706, 0x706, 0x705, 0x707, 0xf00, 0x7ff, 0x71c};
    uint32_t to = below(2) << 28 | below(7) << 20;

    switch (below(8)) {
    case 0:  return draw();
    case 1:  return to | 0x20000 | (draw() & 0xffff);
    case 2:  return to | 0x30000 | (draw() & 0xffff);
    default: return to | (uint32_t)verbs[below(ARRAY_LEN(verbs))] << 8 | (chance(2) ? 0x10 + 0x10 * below(2) : draw() & 0xff);
    }
}

static void hda_set(unsigned at, unsigned size, uint32_t value)
{
    memory_write(&m->memory, BAR + at, size, value);
}

static void hda_step(unsigned step)
{
    unsigned sd = 0x80 + 0x20 * below(8);

    if (step % 50 == 0) {
        decode(0);
        hda_set(0x08, 4, 0);
        hda_set(0x08, 4, 1);
        hda_set(0x20, 4, ~0u);
        hda_set(0x40, 4, TABLES);
        hda_set(0x50, 4, TABLES + 0x800);
        hda_set(0x5c, 1, 7);
        hda_set(0x4c, 1, 3);
    }
    for (unsigned n = 0; n < 4; n++) {
        paddr_t at = TABLES + 0x1000 + 16 * below(1024);

        poke64(at, place());
        poke32(at + 8, chance(2) ? length() : below(5000));
        poke32(at + 12, draw());
        poke32(TABLES + 4 * below(256), hda_command());
    }
    switch (below(10)) {
    case 0:  poke_register(BAR, 0x180); break;
    case 1:  poke_register(BAR, 0x4000); break;
    case 2:  hda_set(0x48, 2, draw()); break;
    case 3:  hda_set(0x60, 4, hda_command()); hda_set(0x68, 2, 3); break;
    case 4:  hda_set(0x70, 4, (uint32_t)place() | 1); break;
    case 5:  hda_set(0x38, 4, chance(2) ? 0 : draw()); break;
    case 6:  hda_set(sd, 1, chance(2) ? 1 : 0); break;
    default:
        hda_set(sd, 1, 0);
        hda_set(sd + 0x18, 4, chance(8) ? (uint32_t)place() : TABLES + 0x1000 * (1 + below(4)));
        hda_set(sd + 0x08, 4, chance(3) ? length() : 4096);
        hda_set(sd + 0x0c, 2, draw());
        hda_set(sd + 0x12, 2, chance(2) ? 0x0011 : draw());
        hda_set(sd + 0x02, 1, 0x10 + 0x10 * below(2));
        hda_set(sd, 1, 0x1e);
        break;
    }
    buffer_clear(&sent);
}

/* ---- all of them ---- */

static const struct hostile kinds[] = {
    {"AC97", make_ac97, ac97_step, NULL},
    {"ahci", make_ahci, ahci_step, "SMART's logs"},
    {"e1000", make_e1000, card_step, NULL},
    {"e1000e", make_e1000e, card_step, "the NVM"},
    {"ehci", make_ehci, ehci_step, NULL},
    {"floppy", make_floppy, floppy_step, "where the heads are, buffers"},
    {"HDA", make_hda, hda_step, NULL},
    {"ide", make_ide, ide_step, "SMART's logs"},
    {"nvme", make_nvme, nvme_step, "logs"},
    {"pcnet", make_pcnet, card_step, NULL},
    {"rtl8139", make_rtl8139, card_step, "the EEPROM"},
    {"sdhci", make_sdhci, sd_step, "a block"},
    {"uhci", make_uhci, uhci_step, NULL},
    {"xhci", make_xhci, xhci_step, NULL},
};

START_TEST(hostile_guests_do_no_harm)
{
    try_hostile(&kinds[(unsigned)_i % ARRAY_LEN(kinds)], (unsigned)_i / ARRAY_LEN(kinds));
}
END_TEST

static void claims(TCase *tc)
{
    tcase_add_loop_test(tc, hostile_guests_do_no_harm, 0, hostile_seeds() * (int)ARRAY_LEN(kinds));
}

CHIP_TESTS("hostile DMA", claims)
