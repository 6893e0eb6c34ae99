/*
 * The PCI-to-ISA bridge of the PIIX3 (Intel 290550), PCI function 00:01.0:
 * identity, PIRQ route control (2.2.9), the reset control register CF9h
 * (2.5.4.3), and the place where all interrupt lines meet on their way to the
 * 8259s and the I/O APIC. Other registers are kept and do nothing.
 *
 * Not modelled: function 2 (USB), decode control (XBCS).
 */
#include "i386/pc/piix3.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/pc/ioapic.h"
#include "i386/pc/pic.h"
#include "vm/machine.h"

#define REG_PIRQRCA 0x60u
#define PIRQ_OFF    0x80u
#define RESET_CPU   0x04u

DEVICE_STATE_BEGIN
struct piix3_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint16_t isa_lines;   /* levels of IRQ 0-15 as ISA devices drive them */
    uint8_t pirq_lines;   /* levels of PIRQA-D */
    uint8_t reset_control;
    uint16_t driven;      /* levels as the interrupt controllers last saw them */
    uint8_t reserved[2];
};
DEVICE_STATE_END

static void drive(struct device *dev)
{
    const struct piix3_wiring *w = dev->wiring;
    struct piix3_state *s = dev->state;
    unsigned lines = s->isa_lines, changed;

    for (unsigned n = 0; n < 4; n++)
        if ((s->pirq_lines >> n & 1u) && !(s->config[REG_PIRQRCA + n] & PIRQ_OFF))
            lines |= 1u << (s->config[REG_PIRQRCA + n] & 15u);
    changed = lines ^ s->driven;
    s->driven = (uint16_t)lines;
    for (unsigned irq = 0; changed; irq++, changed >>= 1) {
        if (!(changed & 1u))
            continue;
        pic_set_irq(w->pic, irq, lines >> irq & 1u);
        if (w->ioapic)
            ioapic_set_pin(w->ioapic, irq == 0 ? 2 : irq, lines >> irq & 1u);
    }
}

void piix3_set_irq(void *ctx, unsigned irq, bool level)
{
    struct device *dev = ctx;
    struct piix3_state *s = dev->state;
    uint16_t bit = (uint16_t)(1u << (irq & 15u));
    uint16_t lines = level ? s->isa_lines | bit : s->isa_lines & (uint16_t)~bit;

    if (lines == s->isa_lines)
        return;
    s->isa_lines = lines;
    drive(dev);
}

void piix3_set_pirq(void *ctx, unsigned pirq, bool level)
{
    struct device *dev = ctx;
    struct piix3_state *s = dev->state;
    uint8_t bit = (uint8_t)(1u << (pirq & 3u));

    s->pirq_lines = level ? s->pirq_lines | bit : s->pirq_lines & (uint8_t)~bit;
    drive(dev);
}

void piix3_route(struct device *dev, unsigned pirq, unsigned irq)
{
    struct piix3_state *s = dev->state;

    s->config[REG_PIRQRCA + pirq] = (uint8_t)irq;
    drive(dev);
}

static void written(struct device *dev, unsigned offset, unsigned size)
{
    if (offset < REG_PIRQRCA + 4 && offset + size > REG_PIRQRCA)
        drive(dev);
}

void piix3_plug(struct device *dev, struct pci_bus *bus)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x7000, .class_code = 0x060100, .command = 0x0008};
    struct piix3_wiring *w = dev->wiring;
    struct piix3_state *s = dev->state;
    struct pci_function *f = &w->pci;

    pci_function_init(f, bus, PCI_DEVFN(1, 0), dev, s->config, &id);
    f->written = written;
    memset(f->writable + 0x40, 0xff, PCI_CONFIG_BYTES - 0x40);
    f->writable[PCI_CACHE_LINE] = f->writable[PCI_LATENCY] = f->writable[PCI_INTERRUPT_LINE] = 0;
    put_le16(f->reset + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    put_le16(f->reset + PCI_STATUS, 0x0200);
    f->reset[PCI_HEADER_TYPE] = 0x80; /* multi-function */
    f->reset[0x4c] = 0x4d;            /* IORT */
    f->reset[0x4e] = 0x03;            /* XBCS */
    for (unsigned n = 0; n < PCI_LINES; n++) {
        f->reset[REG_PIRQRCA + n] = PIRQ_OFF;
        f->writable[REG_PIRQRCA + n] = 0x8f;
    }
    f->reset[0x69] = 0x02;            /* TOM */
    f->reset[0x70] = 0x80;            /* MBIRQ */
    f->reset[0x76] = 0x0c;
    f->reset[0x77] = 0x0c;
    f->reset[0x78] = 0x02;
    f->reset[0xa0] = 0x08;            /* SMICNTL */
    f->reset[0xa8] = 0x0f;            /* FTMR */
}

static uint64_t piix3_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct piix3_state *s = dev->state;

    (void)range, (void)offset, (void)size;
    return s->reset_control;
}

static void piix3_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct piix3_state *s = dev->state;
    bool rises = (value & RESET_CPU) && !(s->reset_control & RESET_CPU);

    (void)range, (void)offset, (void)size;
    s->reset_control = value & 0x06u;
    if (rises)
        machine_request_reset(dev->machine);
}

static void piix3_reset(struct device *dev)
{
    struct piix3_wiring *w = dev->wiring;
    struct piix3_state *s = dev->state;

    pci_function_reset(&w->pci);
    s->reset_control = 0;
    drive(dev);
}

static void piix3_describe(const struct device *dev, struct buffer *b)
{
    const struct piix3_state *s = dev->state;

    buffer_printf(b, "irq lines %04x, pirq lines %x, routes %02x %02x %02x %02x\n", s->driven, s->pirq_lines,
                  s->config[0x60], s->config[0x61], s->config[0x62], s->config[0x63]);
}

const struct device_ops piix3_ops = {
    .name = "piix3",
    .state_size = sizeof(struct piix3_state),
    .reset = piix3_reset,
    .describe = piix3_describe,
    .read = piix3_read,
    .write = piix3_write,
};
