/*
 * The GICv2m frame (Server Base System Architecture, ARM-DEN-0029, appendix E): a register to which a
 * message writes the number of a shared interrupt, which is thereby made pending as by an edge.
 */
#include "aarch64/virt/gicv2m.h"

#include "aarch64/virt/gic.h"

enum { MSI_TYPER = 0x008, MSI_IIDR = 0xfcc };

#define PRODUCT_QEMU 0x53u

static uint64_t v2m_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct gicv2m_wiring *w = dev->wiring;

    (void)range, (void)size;
    switch (offset) {
    case MSI_TYPER: return w->first << 16 | w->count;
    case MSI_IIDR:  return PRODUCT_QEMU << 20;
    default:        return 0;
    }
}

static void v2m_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    const struct gicv2m_wiring *w = dev->wiring;
    unsigned irq = value & 0x3ffu;

    (void)range, (void)size;
    if (offset != GICV2M_SETSPI || irq < w->first || irq - w->first >= w->count)
        return;
    gic_set_line(w->gic, irq, true);
    gic_set_line(w->gic, irq, false);
}

DEVICE_STATE_BEGIN
struct gicv2m_state {
    uint64_t reserved; /* it has none */
};
DEVICE_STATE_END

const struct device_ops gicv2m_ops = {
    .name = "gicv2m",
    .state_size = sizeof(struct gicv2m_state),
    .read = v2m_read,
    .write = v2m_write,
};
