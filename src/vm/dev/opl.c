/*
 * Devices with an FM chip (opl3.c) and its timers (opl_timers.c): the AdLib card's YM3812 at ports 388h and 389h, and the YMF262 of a
 * Sound Blaster 16 at 388h to 38Bh and at ports of the card's.
 *
 * The chip makes samples in virtual time: a few milliseconds' worth at a time, and up to the moment when a register is written. Once all of
 * its operators are silent it stands, and costs nothing; the next key that is pressed finds it as if it had gone on.
 */
#include "vm/dev/opl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/dev/clock.h"
#include "vm/dev/opl3.h"
#include "vm/dev/opl_timers.h"
#include "vm/dev/pci.h"
#include "vm/dev/ports.h"
#include "vm/dev/sound.h"
#include "vm/machine.h"

#define USUAL_PORT 0x388u
#define OPL2_ID    0x06u /* of the status: an OPL3 has 0 there */

enum { ADDRESS, DATA, ADDRESS_2, DATA_2, PORTS };

DEVICE_STATE_BEGIN
struct opl_state {
    struct sound_clock clock; /* stands still while nothing is heard */
    struct opl_timers timers;
    struct opl3_state chip;
    uint8_t bank;             /* of the register that is written next */
    uint8_t reserved[7];
};
DEVICE_STATE_END

struct opl {
    struct device *dev;
    struct opl_state *st;
    bool two;
    opl_gain_fn *gain;        /* NULL: as it is */
    void *ctx;
};

static void play(struct opl *c, size_t n)
{
    struct sound_frame frames[SOUND_PIECE];
    uint32_t left = c->gain ? c->gain(c->ctx, true) : SOUND_UNITY, right = c->gain ? c->gain(c->ctx, false) : SOUND_UNITY;

    opl3_play(&c->st->chip, c->two, frames, n);
    for (size_t i = 0; i < n; i++) {
        frames[i].left = sound_scale(frames[i].left, left);
        frames[i].right = sound_scale(frames[i].right, right);
    }
    sound_play(c->dev, OPL3_RATE, frames, n);
}

static void catch_up(struct opl *c)
{
    struct opl_state *s = c->st;
    uint64_t due, samples = clock_ticks(machine_now(c->dev->machine), OPL3_RATE);

    if (!s->clock.rate && samples > s->chip.samples) /* it stood */
        opl3_skip(&s->chip, c->two, samples - s->chip.samples);
    while ((due = sound_clock_due(&s->clock, machine_now(c->dev->machine))) > 0) {
        size_t n = due < SOUND_PIECE ? (size_t)due : SOUND_PIECE;

        play(c, n);
        s->clock.done += n;
    }
}

/* After what it does has changed: it is silent now, or not any more. */
static void start_or_stop(struct opl *c)
{
    struct opl_state *s = c->st;
    bool sounds = opl3_sounds(&s->chip, c->two);
    vtime_t now = machine_now(c->dev->machine);

    if (sounds == (s->clock.rate != 0))
        return;
    if (sounds) {
        sound_clock_start(&s->clock, now, OPL3_RATE);
        sound_begin(c->dev, OPL3_RATE);
    } else {
        sound_clock_stop(&s->clock);
        sound_end(c->dev, OPL3_RATE);
    }
    machine_attention(c->dev->machine);
}

void opl_catch_up(struct device *chip)
{
    catch_up(chip->wiring);
}

/* ---- ports ---- */

uint8_t opl_read_port(struct device *chip, unsigned port)
{
    struct opl *c = chip->wiring;

    if (port & 1u)
        return 0xff;
    return opl_status(&c->st->timers, machine_now(chip->machine)) | (c->two ? OPL2_ID : 0);
}

void opl_write_port(struct device *chip, unsigned port, uint8_t value)
{
    struct opl *c = chip->wiring;
    struct opl_state *s = c->st;

    if (!(port & 1u)) {
        s->timers.index = value;
        s->bank = port == ADDRESS_2 && !c->two;
        return;
    }
    if (!s->bank)
        opl_write(&s->timers, machine_now(chip->machine), value);
    catch_up(c);
    opl3_write(&s->chip, c->two, s->bank, s->timers.index, value);
    start_or_stop(c);
}

static uint64_t opl_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    (void)range;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)opl_read_port(dev, (unsigned)offset + i) << 8 * i;
    return value;
}

static void opl_write_ports(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    (void)range;
    for (unsigned i = 0; i < size; i++)
        opl_write_port(dev, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
}

/* ---- the devices ---- */

static vtime_t opl_deadline(const struct device *dev)
{
    const struct opl *c = dev->wiring;

    return sound_clock_when(&c->st->clock, (uint64_t)OPL3_RATE * SOUND_TURN_NS / NS_PER_SEC);
}

static void opl_expire(struct device *dev, vtime_t now)
{
    (void)now;
    catch_up(dev->wiring);
    start_or_stop(dev->wiring);
}

static void opl_reset(struct device *dev)
{
    struct opl *c = dev->wiring;

    if (c->st->clock.rate)
        sound_end(dev, OPL3_RATE);
    memset(c->st, 0, sizeof(*c->st));
    opl3_reset(&c->st->chip);
    c->st->chip.samples = clock_ticks(machine_now(dev->machine), OPL3_RATE);
}

static bool opl_possible(const struct device *dev)
{
    const struct opl_state *s = dev->state;

    return sound_clock_possible(&s->clock, machine_now(dev->machine)) && (!s->clock.rate || s->clock.rate == OPL3_RATE) &&
           opl3_possible(&s->chip) && s->bank < OPL3_BANKS;
}

static void opl_describe(const struct device *dev, struct buffer *b)
{
    const struct opl_state *s = dev->state;
    unsigned keys = 0;

    for (unsigned i = 0; i < OPL3_OPERATORS; i++)
        keys += s->chip.op[i].key != 0;
    buffer_printf(b, "%s, %u operators with a key, %s\n", s->chip.reg[1][5] & 1u ? "OPL3" : "OPL2", keys, s->clock.rate ? "playing" : "silent");
}

#define OPS(ops_name)                                                                                                          \
    {                                                                                                                          \
        .name = ops_name, .state_size = sizeof(struct opl_state), .possible = opl_possible, .reset = opl_reset,                \
        .deadline = opl_deadline, .expire = opl_expire, .describe = opl_describe, .read = opl_read, .write = opl_write_ports,  \
    }

static const struct device_ops adlib_ops = OPS("adlib");
static const struct device_ops opl3_ops = OPS("opl3");

static struct opl *make(struct sockets *s, const struct device_ops *ops, const char *name, bool two)
{
    struct device *dev = machine_add_owned_device(s->machine, ops, name, sizeof(struct opl));
    struct opl *c = dev->wiring;

    *c = (struct opl){.dev = dev, .st = dev->state, .two = two};
    return c;
}

const struct option_key adlib_keys[] = {SOUND_KEYS, {NULL, NULL}};

int adlib_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
{
    struct opl *c;

    (void)devfn, (void)d;
    if (!s->isa_irq)
        return error_set(err, -EINVAL, "this board has no ISA bus");
    if (s->pci->ports->owner[USUAL_PORT])
        return error_set(err, -EINVAL, "another device answers at port %#x (an AdLib, or a Sound Blaster 16, whose FM chip does, too)", USUAL_PORT);
    c = make(s, &adlib_ops, name, true);
    ports_claim(s->pci->ports, c->dev, USUAL_PORT, 2, 0, 1);
    return sound_connect(c->dev, props, err);
}

int opl_add(struct sockets *s, struct device *card, opl_gain_fn *gain, void *ctx, struct device **chip, struct error *err)
{
    char name[sizeof(card->name)];
    struct opl *c;

    if (s->machine->ndevices == MACHINE_MAX_DEVICES)
        return error_set(err, -EINVAL, "a machine has at most %d devices", MACHINE_MAX_DEVICES);
    snprintf(name, sizeof(name), "%.20s fm", card->name); /* with a space: no device of the user's is called so */
    c = make(s, &opl3_ops, name, false);
    c->gain = gain;
    c->ctx = ctx;
    c->dev->backend_kind = card->backend_kind;
    memcpy(c->dev->backend, card->backend, sizeof(card->backend));
    if (!s->pci->ports->owner[USUAL_PORT])
        ports_claim(s->pci->ports, c->dev, USUAL_PORT, PORTS, 0, 1);
    *chip = c->dev;
    return 0;
}
