/*
 * System control port A (92h: fast A20 and fast reset), the coprocessor error
 * latch (F0h), the debug-exit ports of virtual machines (an OUT of V ends the
 * guest with status (V << 1) | 1), and the debug console at E9h.
 */
#include "i386/pc/glue.h"

#include "base/buffer.h"
#include "vm/machine.h"

#define P92_RESET 0x01u
#define P92_A20   0x02u

DEVICE_STATE_BEGIN
struct glue_state {
    uint8_t port_92;
    uint8_t reserved[7];
};
DEVICE_STATE_END

void glue_note_a20(struct device *dev, bool enabled)
{
    struct glue_state *s = dev->state;

    s->port_92 = (uint8_t)((s->port_92 & ~P92_A20) | (enabled ? P92_A20 : 0));
}

static uint64_t glue_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct glue_state *s = dev->state;

    (void)offset, (void)size;
    return range == GLUE_PORT_92 ? s->port_92 : range == GLUE_DEBUG_EXIT_ANY ? 0 : UINT64_MAX;
}

static void write_port_92(struct device *dev, uint8_t value)
{
    const struct glue_wiring *w = dev->wiring;
    struct glue_state *s = dev->state;
    bool reset = (value & P92_RESET) && !(s->port_92 & P92_RESET);

    s->port_92 = value & (P92_A20 | P92_RESET);
    line_set(&w->a20, value & P92_A20);
    if (reset)
        machine_request_reset(dev->machine);
}

static void glue_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    const struct glue_wiring *w = dev->wiring;

    (void)size;
    switch (range) {
    case GLUE_PORT_92:
        write_port_92(dev, (uint8_t)value);
        break;
    case GLUE_FPU:
        line_set(&w->fpu_irq, false);
        line_set(&w->ignne, true);
        break;
    default:
        if (offset == 0 || range == GLUE_DEBUG_EXIT_ANY)
            machine_end(dev->machine, GUEST_DEBUG_EXIT, (uint32_t)value << 1 | 1u);
        break;
    }
}

static void glue_reset(struct device *dev)
{
    struct glue_state *s = dev->state;

    s->port_92 = P92_A20;
}

static void glue_describe(const struct device *dev, struct buffer *b)
{
    const struct glue_state *s = dev->state;

    buffer_printf(b, "port 92h %02x\n", s->port_92);
}

const struct device_ops glue_ops = {
    .name = "glue",
    .state_size = sizeof(struct glue_state),
    .reset = glue_reset,
    .describe = glue_describe,
    .read = glue_read,
    .write = glue_write,
};

static uint64_t debugcon_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    (void)dev, (void)range, (void)offset, (void)size;
    return 0xe9;
}

static void debugcon_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    uint8_t byte = (uint8_t)value;

    (void)range, (void)offset, (void)size;
    machine_output(dev, &byte, 1);
}

DEVICE_STATE_BEGIN
struct debugcon_state {
    uint64_t reserved; /* it has none */
};
DEVICE_STATE_END

const struct device_ops debugcon_ops = {
    .name = "debugcon",
    .state_size = sizeof(struct debugcon_state),
    .read = debugcon_read,
    .write = debugcon_write,
};
