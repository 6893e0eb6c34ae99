/*
 * The PCI-to-ISA bridge of the PIIX3 (Intel 290550), PCI function 00:01.0:
 * identity, PIRQ route control (2.2.9), the reset control register CF9h
 * (2.5.4.3), and the place where all interrupt lines meet on their way to the
 * 8259s and the I/O APIC. Other registers are kept and do nothing.
 *
 * Not modelled: the functions 1 (IDE) and 2 (USB), decode control (XBCS).
 */
#include "i386/pc/piix3.h"

#include <string.h>

#include "base/buffer.h"
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

static uint8_t writable(unsigned offset)
{
    if (offset < 0x40)
        return offset == PCI_COMMAND ? 0x08 : 0;
    if (offset >= REG_PIRQRCA && offset < REG_PIRQRCA + 4)
        return 0x8f;
    return 0xff;
}

static void written(struct device *dev, unsigned offset, unsigned size)
{
    if (offset < REG_PIRQRCA + 4 && offset + size > REG_PIRQRCA)
        drive(dev);
}

struct pci_function piix3_function(struct device *dev)
{
    struct piix3_state *s = dev->state;

    return (struct pci_function){
        .devfn = PCI_DEVFN(1, 0), .config = s->config, .writable = writable, .written = written, .owner = dev};
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
    struct piix3_state *s = dev->state;

    memset(s->config, 0, sizeof(s->config));
    pci_identify(s->config, 0x8086, 0x7000, 0x060100, 0x00);
    s->config[PCI_COMMAND] = 0x07;
    s->config[PCI_STATUS + 1] = 0x02;
    s->config[PCI_HEADER_TYPE] = 0x80; /* multi-function */
    s->config[0x4c] = 0x4d;            /* IORT */
    s->config[0x4e] = 0x03;            /* XBCS */
    for (unsigned n = 0; n < 4; n++)
        s->config[REG_PIRQRCA + n] = PIRQ_OFF;
    s->config[0x69] = 0x02;            /* TOM */
    s->config[0x70] = 0x80;            /* MBIRQ */
    s->config[0x76] = 0x0c;
    s->config[0x77] = 0x0c;
    s->config[0x78] = 0x02;
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
