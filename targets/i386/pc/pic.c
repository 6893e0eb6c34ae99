/*
 * Two cascaded 8259A interrupt controllers (Intel 8259A data sheet, 231468)
 * with the edge/level control registers 4D0h/4D1h of the PIIX (290550, 3.2.3), which stand in for ICW1.LTIM: that bit
 * does nothing there.
 *
 * Modelled: initialisation, fully nested, special fully nested, special mask,
 * automatic EOI and rotating priorities, polling, spurious IR7/IR15.
 * Not modelled: MCS-80 vectors, buffered mode, other cascade wirings than the
 * PC's (ICW3 is accepted and ignored).
 */
#include "i386/pc/pic.h"

#include <string.h>

#include "base/buffer.h"

#define ICW1_INIT  0x10u
#define ICW1_SNGL  0x02u
#define ICW1_IC4   0x01u
#define ICW4_SFNM  0x10u
#define ICW4_AEOI  0x02u
#define OCW3       0x08u
#define OCW3_ESMM  0x40u
#define OCW3_SMM   0x20u
#define OCW3_POLL  0x04u
#define OCW3_RR    0x02u
#define OCW3_RIS   0x01u

#define CASCADE_IRQ 2u

DEVICE_STATE_BEGIN
struct pic_chip {
    uint8_t irr, isr, imr;
    uint8_t lines;      /* levels of the inputs */
    uint8_t elcr;       /* level-triggered inputs */
    uint8_t base;       /* vector of IR0 */
    uint8_t lowest;     /* input of lowest priority: 7 unless rotated */
    uint8_t icw_step;   /* the ICW that is expected next (2-4), 0: ready */
    uint8_t icw1, icw4;
    uint8_t special_mask;
    uint8_t read_isr;   /* a read of the even port gives ISR */
    uint8_t poll;       /* the next read is a poll */
    uint8_t rotate_aeoi;
    uint8_t reserved[2];
};

struct pic_state {
    struct pic_chip chip[2];
};
DEVICE_STATE_END

static bool level_triggered(const struct pic_chip *c, unsigned ir)
{
    return c->elcr >> ir & 1u;
}

/* The priority of an input: 0 is the highest. */
static unsigned rank(const struct pic_chip *c, unsigned ir)
{
    return (ir + 7u - c->lowest) & 7u;
}

static unsigned input_of_rank(const struct pic_chip *c, unsigned r)
{
    return (c->lowest + 1u + r) & 7u;
}

/* The input of highest priority among `set`; 8: none. */
static unsigned highest(const struct pic_chip *c, uint8_t set)
{
    for (unsigned r = 0; r < 8; r++)
        if (set >> input_of_rank(c, r) & 1u)
            return input_of_rank(c, r);
    return 8;
}

/* The request that the chip would present now; 8: none. */
static unsigned request(const struct pic_chip *c, bool master)
{
    unsigned ir = highest(c, c->irr & (uint8_t)~c->imr);
    uint8_t service = c->isr;
    unsigned busy;

    if (ir == 8 || c->icw_step)
        return 8;
    if (c->special_mask)
        service &= (uint8_t)~c->imr;
    /* Special fully nested: further requests from the slave in service get through. */
    if (master && (c->icw4 & ICW4_SFNM))
        service &= (uint8_t)~(1u << CASCADE_IRQ);
    if (c->special_mask)
        return service >> ir & 1u ? 8 : ir;
    busy = highest(c, service);
    if (busy != 8 && rank(c, ir) >= rank(c, busy))
        return 8;
    return ir;
}

static void set_input(struct pic_chip *c, unsigned ir, bool level)
{
    uint8_t bit = (uint8_t)(1u << ir);

    if (level && (level_triggered(c, ir) || !(c->lines & bit)))
        c->irr |= bit;
    if (!level)
        c->irr &= (uint8_t)~bit; /* the request must stay until INTA, or it is spurious */
    c->lines = level ? c->lines | bit : c->lines & (uint8_t)~bit;
}

static void update(struct device *dev)
{
    const struct pic_wiring *w = dev->wiring;
    struct pic_state *s = dev->state;

    set_input(&s->chip[0], CASCADE_IRQ, request(&s->chip[1], false) != 8);
    line_set(&w->intr, request(&s->chip[0], true) != 8);
}

static void acknowledge(struct pic_chip *c, unsigned ir)
{
    uint8_t bit = (uint8_t)(1u << ir);

    if (!level_triggered(c, ir))
        c->irr &= (uint8_t)~bit;
    if (!(c->icw4 & ICW4_AEOI))
        c->isr |= bit;
    else if (c->rotate_aeoi)
        c->lowest = (uint8_t)ir;
}

bool pic_is_masked(const struct device *dev, unsigned irq)
{
    const struct pic_state *s = dev->state;

    return s->chip[irq >> 3 & 1u].imr >> (irq & 7u) & 1u;
}

void pic_set_irq(void *ctx, unsigned irq, bool level)
{
    struct device *dev = ctx;
    struct pic_state *s = dev->state;

    set_input(&s->chip[irq >> 3 & 1u], irq & 7u, level);
    update(dev);
}

int pic_acknowledge(struct device *dev)
{
    struct pic_state *s = dev->state;
    unsigned ir = request(&s->chip[0], true);
    int vector;

    if (ir == 8) {
        vector = s->chip[0].base + 7;
    } else if (ir != CASCADE_IRQ) {
        acknowledge(&s->chip[0], ir);
        vector = s->chip[0].base + (int)ir;
    } else {
        acknowledge(&s->chip[0], CASCADE_IRQ);
        ir = request(&s->chip[1], false);
        if (ir != 8)
            acknowledge(&s->chip[1], ir);
        vector = s->chip[1].base + (int)(ir == 8 ? 7 : ir);
        /* The cascade input is a level: a further request makes a new edge. */
        set_input(&s->chip[0], CASCADE_IRQ, false);
    }
    update(dev);
    return vector;
}

static void write_icw1(struct pic_chip *c, uint8_t value)
{
    c->icw1 = value;
    c->imr = 0;
    c->isr = 0;
    c->lowest = 7;
    c->special_mask = 0;
    c->read_isr = 0;
    c->poll = 0;
    c->rotate_aeoi = 0;
    c->icw4 = 0;
    c->icw_step = 2;
    /* The edge sense is reset: an input that is high must fall and rise again. */
    c->irr = 0;
    for (unsigned ir = 0; ir < 8; ir++)
        if (level_triggered(c, ir))
            c->irr |= c->lines & (uint8_t)(1u << ir);
}

static void write_ocw2(struct pic_chip *c, uint8_t value)
{
    unsigned ir = value & 7u;
    unsigned busy = highest(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);

    switch (value >> 5) {
    case 0: /* rotate in automatic EOI mode: clear */
    case 4: /* set */
        c->rotate_aeoi = value >> 7;
        break;
    case 1: /* non-specific EOI */
    case 5: /* rotate on non-specific EOI */
        if (busy == 8)
            break;
        c->isr &= (uint8_t)~(1u << busy);
        if (value >> 7)
            c->lowest = (uint8_t)busy;
        break;
    case 7: /* rotate on specific EOI */
        c->lowest = (uint8_t)ir;
        /* fall through */
    case 3: /* specific EOI */
        c->isr &= (uint8_t)~(1u << ir);
        break;
    case 6: /* set priority */
        c->lowest = (uint8_t)ir;
        break;
    default: /* no operation */
        break;
    }
}

static void write_ocw3(struct pic_chip *c, uint8_t value)
{
    if (value & OCW3_ESMM)
        c->special_mask = value & OCW3_SMM ? 1 : 0;
    c->poll = value & OCW3_POLL ? 1 : 0;
    if (value & OCW3_RR)
        c->read_isr = value & OCW3_RIS;
}

static void write_odd(struct pic_chip *c, uint8_t value)
{
    switch (c->icw_step) {
    case 2:
        c->base = value & 0xf8u;
        c->icw_step = c->icw1 & ICW1_SNGL ? 4 : 3;
        if (c->icw_step == 4 && !(c->icw1 & ICW1_IC4))
            c->icw_step = 0;
        break;
    case 3:
        c->icw_step = c->icw1 & ICW1_IC4 ? 4 : 0;
        break;
    case 4:
        c->icw4 = value;
        c->icw_step = 0;
        break;
    default:
        c->imr = value; /* OCW1 */
        break;
    }
}

static uint8_t read_poll(struct pic_state *s, unsigned n)
{
    struct pic_chip *c = &s->chip[n];
    unsigned ir = request(c, n == 0);

    c->poll = 0;
    if (ir == 8)
        return 0;
    acknowledge(c, ir);
    return (uint8_t)(0x80u | ir);
}

static uint64_t pic_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct pic_state *s = dev->state;
    struct pic_chip *c = &s->chip[range & 1u];
    uint8_t value;

    (void)size;
    if (range == PIC_ELCR)
        return s->chip[offset & 1u].elcr;
    if (c->poll) {
        value = read_poll(s, range);
        update(dev);
        return value;
    }
    if (offset & 1u)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static void pic_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t data)
{
    struct pic_state *s = dev->state;
    struct pic_chip *c = &s->chip[range & 1u];
    uint8_t value = (uint8_t)data;

    (void)size;
    if (range == PIC_ELCR) {
        /* IRQ 0, 1, 2, 8 and 13 are always edge-triggered. */
        c = &s->chip[offset & 1u];
        c->elcr = value & (offset & 1u ? 0xdeu : 0xf8u);
        for (unsigned ir = 0; ir < 8; ir++)
            if (c->elcr >> ir & 1u)
                set_input(c, ir, c->lines >> ir & 1u);
    } else if (offset & 1u) {
        write_odd(c, value);
    } else if (value & ICW1_INIT) {
        write_icw1(c, value);
    } else if (value & OCW3) {
        write_ocw3(c, value);
    } else {
        write_ocw2(c, value);
    }
    update(dev);
}

static void pic_reset(struct device *dev)
{
    struct pic_state *s = dev->state;

    for (unsigned n = 0; n < 2; n++) {
        uint8_t lines = s->chip[n].lines; /* the inputs belong to who drives them */

        memset(&s->chip[n], 0, sizeof(s->chip[n]));
        s->chip[n].lines = lines;
        s->chip[n].lowest = 7;
        s->chip[n].imr = 0xff; /* the chip's power-up state is undefined: quiet until ICW1 */
    }
    s->chip[0].lines &= (uint8_t)~(1u << CASCADE_IRQ);
    update(dev);
}

void pic_firmware_setup(struct device *dev)
{
    static const uint8_t icw[2][4] = {{0x11, 0x08, 0x04, 0x01}, {0x11, 0x70, 0x02, 0x01}};

    for (unsigned n = 0; n < 2; n++) {
        for (unsigned i = 0; i < 4; i++)
            pic_write(dev, n, i != 0, 1, icw[n][i]);
        pic_write(dev, n, 1, 1, 0xff);
    }
}

static void pic_describe(const struct device *dev, struct buffer *b)
{
    const struct pic_state *s = dev->state;

    for (unsigned n = 0; n < 2; n++) {
        const struct pic_chip *c = &s->chip[n];

        buffer_printf(b, "pic%u: irr %02x imr %02x isr %02x lines %02x base %02x elcr %02x\n", n, c->irr,
                      c->imr, c->isr, c->lines, c->base, c->elcr);
    }
}

static bool pic_possible(const struct device *dev)
{
    const struct pic_state *s = dev->state;

    for (unsigned n = 0; n < 2; n++)
        if (s->chip[n].lowest > 7 || s->chip[n].icw_step > 4)
            return false;
    return true;
}

const struct device_ops pic_ops = {
    .name = "pic",
    .state_size = sizeof(struct pic_state),
    .calm_reads = true,
    .calm_writes = true,
    .possible = pic_possible,
    .reset = pic_reset,
    .describe = pic_describe,
    .interrupts = true,
    .read = pic_read,
    .write = pic_write,
};
