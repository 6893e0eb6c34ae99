/*
 * Watchdogs, as QEMU's i6300esb and ib700: a guest that does not come back in time is reset, or what action= says.
 *
 * The i6300esb is the watchdog of Intel's 6300ESB ICH (data sheet 300641, chapter 16), a PCI function. Its timer has two
 * stages, each of 20 bits of ticks of about 1 ms or 1 us of the PCI clock; the end of the first sets a status bit, that of the second
 * is it. Each write to its registers in memory is preceded by 80h and 86h at 0Ch. That the last reset was its own is told after it.
 * The first stage's end is an interrupt while its status bit is set, or an SMI, or nothing, as configured. The interrupt is input 10 of
 * the 6300ESB's second I/O APIC: here, IRQ 10, where there is an ISA bus. Free-running, there is none.
 *
 * The IB700 is two ports: a write to 443h starts it, with 30 seconds less 2 for each of the value's low 4 bits; one to 441h
 * stops it.
 *
 * pause and debug end the run as a guest's end does: the debugger can look, go back, or reset it.
 *
 * Not modelled: the output pin.
 */
#include "vm/dev/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

enum action { ACTION_RESET, ACTION_SHUTDOWN, ACTION_POWEROFF, ACTION_PAUSE, ACTION_DEBUG, ACTION_NONE, ACTION_NMI };
static const char *const actions[] = {"reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi", NULL};
#define ACTION_KEY {"action", "reset|shutdown|poweroff|pause|debug|none|inject-nmi"}

int watchdog_check_action(const char *action, struct error *err)
{
    for (unsigned i = 0; actions[i]; i++)
        if (!strcmp(action, actions[i]))
            return 0;
    return error_set(err, -EINVAL, "write reset, shutdown, poweroff, pause, debug, none or inject-nmi");
}

static int take_action(const struct sockets *s, const struct option_list *props, unsigned *action, struct error *err)
{
    *action = ACTION_RESET;
    if (option_list_choice(props, "action", actions, action, err) < 0)
        return -EINVAL;
    if (*action == ACTION_NMI && !s->machine->nmi)
        return error_set(err, -EINVAL, "action=inject-nmi: the CPUs of this board have no such interrupt");
    return 0;
}

/* The time is over. */
static void act(struct device *dev, unsigned action)
{
    static const char *const told[] = {
        [ACTION_RESET] = "resets the guest", [ACTION_SHUTDOWN] = "presses the power button", [ACTION_POWEROFF] = "turns the power off",
        [ACTION_PAUSE] = "stops the guest", [ACTION_DEBUG] = "stops the guest", [ACTION_NONE] = "does nothing",
        [ACTION_NMI] = "makes a non-maskable interrupt",
    };
    struct machine *m = dev->machine;

    machine_tell(dev, told[action]);
    switch ((enum action)action) {
    case ACTION_RESET:
        machine_request_reset(m);
        break;
    case ACTION_SHUTDOWN:
        if (m->powerdown)
            m->powerdown(m);
        break;
    case ACTION_POWEROFF:
        machine_end(m, GUEST_POWEROFF, 0);
        break;
    case ACTION_PAUSE:
    case ACTION_DEBUG:
        machine_end(m, GUEST_WATCHDOG, 0);
        break;
    case ACTION_NONE:
        break;
    case ACTION_NMI:
        m->nmi(m);
        break;
    }
}

/* ---- Intel 6300ESB ---- */

/* In configuration space. */
#define CONFIG_AT      0x60u
#define CONFIG_NO_OUTPUT 0x20u /* nothing happens at the end of the second stage */
#define CONFIG_FAST    0x04u
#define CONFIG_INT     0x03u
enum { INT_IRQ = 0, INT_SMI = 2, INT_NONE = 3 }; /* 1 is reserved: none */
#define FIRST_STAGE_IRQ 10u
#define LOCK_AT        0x68u
#define LOCK_FREE      0x04u   /* free-running: it begins again by itself */
#define LOCK_ENABLE    0x02u
#define LOCK_LOCKED    0x01u   /* until a reset this register stays as it is */
#define LOCK_BITS      0x07u

/* In memory. */
enum { PRELOAD_1 = 0x0, PRELOAD_2 = 0x4, INT_STATUS = 0x8, RELOAD = 0xc };
#define BAR_BYTES      0x1000u /* the registers are its first 16 bytes: see pci_add_bar() */
#define PRELOAD_BITS   0xfffffu
#define RELOAD_NOW     0x0100u
#define RELOAD_TIMEOUT 0x1200u /* bit 9; Linux before 2.6.29 has taken it for bit 12, and QEMU gives both */

#define PCI_TICK_NS    30u     /* 33 MHz */
#define SLOW_SHIFT     15u
#define FAST_SHIFT     5u

DEVICE_STATE_BEGIN
struct i6300esb_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint64_t expires;        /* vtime of the stage's end; VTIME_NEVER: it does not run */
    uint32_t preload[2];
    uint8_t stage;           /* 0 or 1 */
    uint8_t unlocked;        /* how much was written of what comes before a write: 0 to 2 */
    uint8_t interrupt;       /* the status bit */
    uint8_t timed_out;       /* it made the last reset */
    uint8_t lock;            /* the register */
    uint8_t reserved[3];
};
DEVICE_STATE_END

struct i6300esb {
    struct pci_function pci;
    struct line irq; /* of the first stage; unconnected where there is no ISA bus */
    unsigned action;
};

static void begin_stage(struct device *dev, unsigned stage, vtime_t now)
{
    struct i6300esb_state *s = dev->state;
    uint64_t ticks = s->preload[stage] ? s->preload[stage] : 1;

    s->stage = (uint8_t)stage;
    s->expires = now + (ticks << (s->config[CONFIG_AT] & CONFIG_FAST ? FAST_SHIFT : SLOW_SHIFT)) * PCI_TICK_NS;
    machine_attention(dev->machine);
}

static void drive_irq(struct device *dev)
{
    const struct i6300esb *w = dev->wiring;
    const struct i6300esb_state *s = dev->state;

    line_set(&w->irq, s->interrupt && (s->config[CONFIG_AT] & CONFIG_INT) == INT_IRQ);
}

/* The first stage is over. */
static void warn(struct device *dev)
{
    struct i6300esb_state *s = dev->state;
    unsigned type = s->config[CONFIG_AT] & CONFIG_INT;

    if (type == INT_NONE || (s->lock & LOCK_FREE))
        return;
    s->interrupt = 1;
    drive_irq(dev);
    if (type == INT_SMI && dev->machine->smi)
        dev->machine->smi(dev->machine);
}

static void i6300esb_expire(struct device *dev, vtime_t now)
{
    const struct i6300esb *w = dev->wiring;
    struct i6300esb_state *s = dev->state;

    if (!s->stage) {
        warn(dev);
        begin_stage(dev, 1, now);
        return;
    }
    s->expires = VTIME_NEVER;
    if (!(s->config[CONFIG_AT] & CONFIG_NO_OUTPUT)) {
        s->timed_out = 1;
        act(dev, w->action);
    }
    if (s->lock & LOCK_FREE)
        begin_stage(dev, 0, now);
}

static vtime_t i6300esb_deadline(const struct device *dev)
{
    return ((const struct i6300esb_state *)dev->state)->expires;
}

/* The lock register is written once. */
static void lock_written(struct device *dev)
{
    struct i6300esb_state *s = dev->state;
    uint8_t was = s->lock;

    if (!(s->lock & LOCK_LOCKED))
        s->lock = s->config[LOCK_AT] & LOCK_BITS;
    s->config[LOCK_AT] = s->lock;
    if (!(s->lock & LOCK_ENABLE))
        s->expires = VTIME_NEVER;
    else if (!(was & LOCK_ENABLE))
        begin_stage(dev, 0, machine_now(dev->machine));
}

static void config_written(struct device *dev, unsigned offset, unsigned size)
{
    if (offset <= CONFIG_AT && offset + size > CONFIG_AT)
        drive_irq(dev);
    if (offset <= LOCK_AT && offset + size > LOCK_AT)
        lock_written(dev);
}

static uint64_t i6300esb_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct i6300esb_state *s = dev->state;
    const uint32_t words[4] = {s->preload[0], s->preload[1], s->interrupt, s->timed_out ? RELOAD_TIMEOUT : 0};
    uint64_t value = 0;

    (void)range;
    for (unsigned i = 0; i < size && offset + i < sizeof(words); i++)
        value |= (uint64_t)(words[(offset + i) / 4] >> (8 * ((offset + i) & 3u)) & 0xffu) << (8 * i);
    return value;
}

static void unlocked_write(struct device *dev, uint64_t offset, unsigned size, uint32_t value)
{
    struct i6300esb_state *s = dev->state;

    switch (offset) {
    case PRELOAD_1:
    case PRELOAD_2:
        if (size == 4)
            s->preload[offset / 4] = value & PRELOAD_BITS;
        break;
    case INT_STATUS:
        s->interrupt &= (uint8_t)~(value & 1u);
        drive_irq(dev);
        machine_attention(dev->machine);
        break;
    case RELOAD:
        if (value & RELOAD_TIMEOUT)
            s->timed_out = 0;
        if ((value & RELOAD_NOW) && (s->lock & LOCK_ENABLE))
            begin_stage(dev, 0, machine_now(dev->machine));
        break;
    default:
        break;
    }
}

static void i6300esb_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct i6300esb_state *s = dev->state;

    (void)range;
    if (offset == RELOAD && value == 0x80u) {
        s->unlocked = 1;
    } else if (offset == RELOAD && value == 0x86u && s->unlocked == 1) {
        s->unlocked = 2;
    } else {
        if (s->unlocked == 2)
            unlocked_write(dev, offset, size, (uint32_t)value);
        s->unlocked = 0;
    }
}

static void i6300esb_reset(struct device *dev)
{
    struct i6300esb *w = dev->wiring;
    struct i6300esb_state *s = dev->state;
    uint8_t timed_out = s->timed_out;

    *s = (struct i6300esb_state){.expires = VTIME_NEVER, .preload = {PRELOAD_BITS, PRELOAD_BITS}, .timed_out = timed_out};
    pci_function_reset(&w->pci);
    drive_irq(dev);
}

static bool i6300esb_possible(const struct device *dev)
{
    const struct i6300esb_state *s = dev->state;

    return s->stage <= 1 && s->preload[0] <= PRELOAD_BITS && s->preload[1] <= PRELOAD_BITS;
}

static void i6300esb_describe(const struct device *dev, struct buffer *b)
{
    const struct i6300esb *w = dev->wiring;
    const struct i6300esb_state *s = dev->state;

    buffer_printf(b, "%s%s%s, then %s; preloads %u and %u, %s ticks%s\n", s->lock & LOCK_ENABLE ? "enabled" : "disabled",
                  s->lock & LOCK_LOCKED ? " for good" : "", s->lock & LOCK_FREE ? ", free-running" : "",
                  s->config[CONFIG_AT] & CONFIG_NO_OUTPUT ? "nothing" : actions[w->action], s->preload[0], s->preload[1],
                  s->config[CONFIG_AT] & CONFIG_FAST ? "1 us" : "1 ms", s->timed_out ? "; it has timed out" : "");
    if (s->expires != VTIME_NEVER)
        buffer_printf(b, "stage %u ends at %" PRIu64 ".%09" PRIu64 " s\n", s->stage + 1u, s->expires / 1000000000u,
                      s->expires % 1000000000u);
}

static const struct device_ops i6300esb_ops = {
    .name = "i6300esb",
    .state_size = sizeof(struct i6300esb_state),
    .possible = i6300esb_possible,
    .reset = i6300esb_reset,
    .deadline = i6300esb_deadline,
    .expire = i6300esb_expire,
    .describe = i6300esb_describe,
    .read = i6300esb_read,
    .write = i6300esb_write,
};

const struct option_key i6300esb_keys[] = {ACTION_KEY, {NULL, NULL}};

int i6300esb_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                  struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x25ab, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x088000};
    struct i6300esb_state *st;
    struct i6300esb *w;
    struct device *dev;
    unsigned action;

    (void)d;
    if (take_action(s, props, &action, err) < 0)
        return -EINVAL;
    dev = machine_add_owned_device(s->machine, &i6300esb_ops, name, sizeof(*w));
    w = dev->wiring;
    st = dev->state;
    w->action = action;
    if (s->isa_irq)
        w->irq = s->isa_irq(s->ctx, FIRST_STAGE_IRQ);
    pci_function_init(&w->pci, s->pci, devfn, dev, st->config, &id);
    pci_add_bar(&w->pci, 0, PCI_BAR_MEMORY, false, BAR_BYTES, 0);
    w->pci.writable[CONFIG_AT] = CONFIG_NO_OUTPUT | CONFIG_FAST | CONFIG_INT;
    w->pci.writable[LOCK_AT] = LOCK_BITS;
    w->pci.written = config_written;
    return 0;
}

/* ---- IB700 ---- */

#define IB700_STOP     0x441u
#define IB700_START    0x443u
#define NS_PER_S       UINT64_C(1000000000)
enum { RANGE_STOP, RANGE_START };

DEVICE_STATE_BEGIN
struct ib700_state {
    uint64_t expires; /* vtime; VTIME_NEVER: it is stopped */
};
DEVICE_STATE_END

struct ib700 {
    unsigned action;
};

static void ib700_expire(struct device *dev, vtime_t now)
{
    const struct ib700 *w = dev->wiring;
    struct ib700_state *s = dev->state;

    (void)now;
    s->expires = VTIME_NEVER;
    act(dev, w->action);
}

static vtime_t ib700_deadline(const struct device *dev)
{
    return ((const struct ib700_state *)dev->state)->expires;
}

static uint64_t ib700_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    (void)dev, (void)range, (void)offset, (void)size;
    return UINT64_MAX;
}

static void ib700_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct ib700_state *s = dev->state;

    (void)offset, (void)size;
    s->expires = range == RANGE_STOP ? VTIME_NEVER : machine_now(dev->machine) + (30 - 2 * (value & 15u)) * NS_PER_S;
    machine_attention(dev->machine);
}

static void ib700_reset(struct device *dev)
{
    ((struct ib700_state *)dev->state)->expires = VTIME_NEVER;
}

static void ib700_describe(const struct device *dev, struct buffer *b)
{
    const struct ib700_state *s = dev->state;

    if (s->expires == VTIME_NEVER)
        buffer_printf(b, "stopped\n");
    else
        buffer_printf(b, "%s at %" PRIu64 ".%09" PRIu64 " s\n", actions[((const struct ib700 *)dev->wiring)->action],
                      s->expires / NS_PER_S, s->expires % NS_PER_S);
}

static const struct device_ops ib700_ops = {
    .name = "ib700",
    .state_size = sizeof(struct ib700_state),
    .reset = ib700_reset,
    .deadline = ib700_deadline,
    .expire = ib700_expire,
    .describe = ib700_describe,
    .read = ib700_read,
    .write = ib700_write,
};

const struct option_key ib700_keys[] = {ACTION_KEY, {NULL, NULL}};

int ib700_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err)
{
    struct device *dev;
    unsigned action;

    (void)devfn, (void)d;
    if (!s->isa_irq)
        return error_set(err, -EINVAL, "this board has no ISA bus");
    if (take_action(s, props, &action, err) < 0)
        return -EINVAL;
    if (s->pci->ports->owner[IB700_STOP] || s->pci->ports->owner[IB700_START])
        return error_set(err, -EINVAL, "a device answers at its ports already");
    dev = machine_add_owned_device(s->machine, &ib700_ops, name, sizeof(struct ib700));
    ((struct ib700 *)dev->wiring)->action = action;
    ports_claim(s->pci->ports, dev, IB700_STOP, 1, RANGE_STOP, 1);
    ports_claim(s->pci->ports, dev, IB700_START, 1, RANGE_START, 1);
    return 0;
}
