/*
 * A TPM 2.0 behind the FIFO interface of the TCG PC Client Platform TPM Profile (PTP 1.05, chapter 6; TIS 1.3): five
 * localities, a page of registers each, of which one at a time is active and has the FIFO. The identity is that of QEMU's.
 *
 * A locality's command goes the way Ready, Reception, Execution, Completion (PTP, table 20); commandReady in Execution ends it at
 * once, as does a locality that is lost: the answer that comes then is nobody's. What a higher locality seizes, it gets at
 * once, too.
 *
 * Interrupts go by one line, asserted while a status bit that is enabled is set.
 *
 * Not modelled: hashing at locality 4 (a dynamic root of trust: TPM_HASH_START and its like are the FIFO's neighbours and do
 * nothing), the checksum register, the legacy registers of TIS 1.1.
 */
#include "vm/dev/tpm_tis.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/machine.h"

/* Of a locality's page (PTP, table 9). */
enum { ACCESS = 0x000, INT_ENABLE = 0x008, INT_VECTOR = 0x00c, INT_STATUS = 0x010, INTF_CAPABILITY = 0x014, STS = 0x018,
       DATA_FIFO = 0x024, INTERFACE_ID = 0x030, XDATA_FIFO = 0x080, XDATA_END = 0x0c0, DID_VID = 0xf00, RID = 0xf04 };
#define LOCALITY_SHIFT 12u

#define ACCESS_VALID       0x80u
#define ACCESS_ACTIVE      0x20u
#define ACCESS_SEIZED      0x10u
#define ACCESS_SEIZE       0x08u
#define ACCESS_PENDING     0x04u
#define ACCESS_REQUEST     0x02u
#define ACCESS_ESTABLISHMENT 0x01u /* 0: a dynamic root of trust was established */

#define INT_GLOBAL   0x80000000u
#define INT_READY    0x80u
#define INT_POLARITY 0x18u
#define INT_LOW      0x08u
#define INT_LOCALITY 0x04u
#define INT_VALID    0x02u
#define INT_DATA     0x01u
#define INT_ALL      (INT_READY | INT_LOCALITY | INT_VALID | INT_DATA)

#define STS_FAMILY_2   0x04000000u
#define STS_RESET_EST  0x02000000u
#define STS_CANCEL     0x01000000u
#define STS_VALID      0x80u
#define STS_READY      0x40u
#define STS_GO         0x20u
#define STS_DATA       0x10u
#define STS_EXPECT     0x08u
#define STS_RETRY      0x02u

/* TIS 1.3 for TPM 2.0, 64-byte transfers, a dynamic burst count, low level, all interrupts. */
#define CAPABILITY   (3u << 28 | 3u << 9 | 1u << 4 | INT_ALL)
#define IDENTITY     (1u << 8 | 1u << 13) /* FIFO, five localities, this interface only */
#define ID_LOCK      (1u << 19)           /* the choice of an interface is fixed until a reset */
#define VENDOR       0x00011014u
#define REVISION     0x01u
#define USUAL_IRQ    5u

#define NOBODY TPM_LOCALITIES

enum state { IDLE, READY, RECEPTION, EXECUTION, COMPLETION };
static const char *const state_names[] = {"idle", "ready", "reception", "execution", "completion"};

DEVICE_STATE_BEGIN
struct tis_state {
    struct tpm_core core;
    struct {
        uint32_t enable;     /* TPM_INT_ENABLE */
        uint8_t status;      /* TPM_INT_STATUS */
        uint8_t access;      /* ACCESS_REQUEST and ACCESS_SEIZED */
        uint8_t reserved[2];
    } locality[TPM_LOCALITIES];
    uint32_t at;             /* bytes of the buffer written, or read, so far */
    uint32_t len;            /* of the command as its header says, or of the answer */
    uint8_t active;          /* a locality; NOBODY */
    uint8_t state;           /* enum state, of the active locality */
    uint8_t locked;          /* ID_LOCK */
    uint8_t reserved[5];
    uint8_t buffer[TPM_BUFFER_BYTES];
};
DEVICE_STATE_END

struct tis {
    struct tpm tpm;
    struct line irq;
    uint8_t vector;
};

/* ---- interrupts ---- */

static void drive_irq(struct device *dev)
{
    const struct tis *w = dev->wiring;
    const struct tis_state *s = dev->state;
    bool level = false;

    for (unsigned l = 0; l < TPM_LOCALITIES; l++)
        level |= s->locality[l].status != 0;
    line_set(&w->irq, level);
    machine_attention(dev->machine);
}

static void raise(struct device *dev, unsigned which)
{
    struct tis_state *s = dev->state;

    if (s->active == NOBODY || !(s->locality[s->active].enable & INT_GLOBAL))
        return;
    s->locality[s->active].status |= (uint8_t)(s->locality[s->active].enable & which & INT_ALL);
    drive_irq(dev);
}

/* ---- localities ---- */

/* What was going on is over. */
static void abort_command(struct device *dev, enum state next)
{
    struct tis_state *s = dev->state;

    if (s->state == EXECUTION)
        tpm_abandon(dev);
    s->state = (uint8_t)next;
    s->at = s->len = 0;
}

static void make_active(struct device *dev, unsigned locality)
{
    struct tis_state *s = dev->state;

    abort_command(dev, IDLE);
    s->active = (uint8_t)locality;
    if (locality == NOBODY)
        return;
    s->locality[locality].access &= (uint8_t)~ACCESS_REQUEST;
    raise(dev, INT_LOCALITY);
}

/* The active locality gives itself up: the highest that asks is next. */
static void relinquish(struct device *dev)
{
    const struct tis_state *s = dev->state;
    unsigned next = NOBODY;

    for (unsigned l = 0; l < TPM_LOCALITIES; l++)
        if (s->locality[l].access & ACCESS_REQUEST)
            next = l;
    make_active(dev, next);
}

static void write_access(struct device *dev, unsigned l, uint32_t value)
{
    struct tis_state *s = dev->state;

    if (value & ACCESS_ACTIVE) {
        if (s->active == l)
            relinquish(dev);
        else
            s->locality[l].access &= (uint8_t)~ACCESS_REQUEST;
    }
    if (value & ACCESS_SEIZED)
        s->locality[l].access &= (uint8_t)~ACCESS_SEIZED;
    if ((value & ACCESS_SEIZE) && (s->active == NOBODY || l > s->active)) {
        if (s->active != NOBODY)
            s->locality[s->active].access |= ACCESS_SEIZED;
        make_active(dev, l);
    }
    if ((value & ACCESS_REQUEST) && s->active == NOBODY)
        make_active(dev, l);
    else if ((value & ACCESS_REQUEST) && s->active != l)
        s->locality[l].access |= ACCESS_REQUEST;
}

static uint32_t read_access(const struct tis_state *s, unsigned l)
{
    uint32_t value = ACCESS_VALID | s->locality[l].access | (s->core.established ? 0 : ACCESS_ESTABLISHMENT);

    if (s->active == l)
        value |= ACCESS_ACTIVE;
    for (unsigned other = 0; other < TPM_LOCALITIES; other++)
        if (other != l && (s->locality[other].access & ACCESS_REQUEST))
            value |= ACCESS_PENDING;
    return value;
}

/* ---- commands ---- */

static bool command_is_whole(const struct tis_state *s)
{
    return s->at >= TPM_HEADER_BYTES && s->at >= s->len;
}

static uint32_t read_status(const struct tis_state *s, unsigned l, unsigned size)
{
    uint32_t value = STS_FAMILY_2 | STS_VALID, burst = 0;

    if (s->active != l)
        return UINT32_MAX;
    switch ((enum state)s->state) {
    case READY:
        value |= STS_READY;
        burst = TPM_BUFFER_BYTES;
        break;
    case RECEPTION:
        burst = TPM_BUFFER_BYTES - s->at;
        value |= command_is_whole(s) ? 0 : STS_EXPECT;
        break;
    case COMPLETION:
        burst = s->len - s->at;
        value |= burst ? STS_DATA : 0;
        break;
    case IDLE:
    case EXECUTION:
        break;
    }
    if (size == 1 && burst > 0xff)
        burst = 0xff; /* whoever reads it by bytes is to see no 0 */
    return value | burst << 8;
}

static void command_ready(struct device *dev)
{
    bool was = ((struct tis_state *)dev->state)->state == READY;

    abort_command(dev, READY);
    if (!was)
        raise(dev, INT_READY);
}

static void write_status(struct device *dev, unsigned l, uint32_t value)
{
    struct tis_state *s = dev->state;
    const uint32_t one = value & (STS_READY | STS_GO | STS_RETRY);

    if (s->active != l)
        return;
    if ((value & STS_CANCEL) && s->state == EXECUTION)
        tpm_cancel(dev);
    if ((value & STS_RESET_EST) && l >= 3)
        tpm_reset_established(dev, l);
    if (one == STS_READY) {
        command_ready(dev);
    } else if (one == STS_GO && s->state == RECEPTION && command_is_whole(s)) {
        s->state = EXECUTION;
        tpm_send(dev, l, s->len);
    } else if (one == STS_RETRY && s->state == COMPLETION) {
        s->at = 0;
    }
}

static void write_fifo(struct device *dev, unsigned l, uint8_t byte)
{
    struct tis_state *s = dev->state;

    if (s->active != l || (s->state != READY && s->state != RECEPTION))
        return;
    if (s->state == READY)
        s->at = s->len = 0;
    else if (command_is_whole(s))
        return;
    s->state = RECEPTION;
    s->buffer[s->at++] = byte;
    if (s->at == TPM_HEADER_BYTES) {
        uint32_t len = get_be32(s->buffer + 2);

        s->len = len < TPM_HEADER_BYTES ? TPM_HEADER_BYTES : len < TPM_BUFFER_BYTES ? len : TPM_BUFFER_BYTES;
    }
    if (command_is_whole(s))
        raise(dev, INT_VALID);
}

static uint8_t read_fifo(struct device *dev, unsigned l)
{
    struct tis_state *s = dev->state;
    uint8_t byte;

    if (s->active != l || s->state != COMPLETION || s->at == s->len)
        return 0xff;
    byte = s->buffer[s->at++];
    if (s->at == s->len)
        raise(dev, INT_VALID);
    return byte;
}

static void tis_input(struct device *dev, const struct event *e)
{
    struct tis_state *s = dev->state;
    const uint8_t *bytes;
    uint32_t len;

    if (!tpm_take(dev, e, &bytes, &len))
        return;
    memcpy(s->buffer, bytes, len);
    s->state = COMPLETION;
    s->at = 0;
    s->len = len;
    raise(dev, INT_DATA | INT_VALID);
}

/* ---- registers ---- */

static bool is_fifo(unsigned reg)
{
    return (reg & ~3u) == DATA_FIFO || (reg >= XDATA_FIFO && reg < XDATA_END);
}

static uint32_t read_register(const struct device *dev, unsigned l, unsigned reg, unsigned size)
{
    const struct tis *w = dev->wiring;
    const struct tis_state *s = dev->state;

    switch (reg) {
    case ACCESS: return read_access(s, l);
    case INT_ENABLE: return s->locality[l].enable;
    case INT_VECTOR: return w->vector;
    case INT_STATUS: return s->locality[l].status;
    case INTF_CAPABILITY: return CAPABILITY;
    case STS: return read_status(s, l, size);
    case INTERFACE_ID: return IDENTITY | (s->locked ? ID_LOCK : 0);
    case DID_VID: return VENDOR;
    case RID: return REVISION;
    default: return UINT32_MAX;
    }
}

static uint64_t tis_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    unsigned l = (unsigned)(offset >> LOCALITY_SHIFT), reg = (unsigned)offset & ((1u << LOCALITY_SHIFT) - 1);
    uint64_t value = 0;

    (void)range;
    if (is_fifo(reg)) {
        for (unsigned i = 0; i < size; i++)
            value |= (uint64_t)read_fifo(dev, l) << (8 * i);
        return value;
    }
    for (unsigned i = 0; i < size; i++) {
        uint32_t word = read_register(dev, l, (reg + i) & ~3u, size);

        value |= (uint64_t)(word >> (8 * ((reg + i) & 3u)) & 0xffu) << (8 * i);
    }
    return value;
}

/* The bits of a register that an access writes. */
static uint32_t written_mask(unsigned reg, unsigned size)
{
    return (size < 4 ? (1u << (8 * size)) - 1 : UINT32_MAX) << (8 * (reg & 3u));
}

static void tis_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    unsigned l = (unsigned)(offset >> LOCALITY_SHIFT), reg = (unsigned)offset & ((1u << LOCALITY_SHIFT) - 1);
    uint32_t mask = written_mask(reg, size), part = (uint32_t)value << (8 * (reg & 3u)) & mask;
    struct tis_state *s = dev->state;

    (void)range;
    if (is_fifo(reg)) {
        for (unsigned i = 0; i < size; i++)
            write_fifo(dev, l, (uint8_t)(value >> (8 * i)));
        return;
    }
    switch (reg & ~3u) {
    case ACCESS:
        write_access(dev, l, part);
        break;
    case INT_ENABLE:
        if (s->active == l)
            s->locality[l].enable = (s->locality[l].enable & ~mask) | (part & (INT_GLOBAL | INT_POLARITY | INT_ALL));
        break;
    case INT_STATUS:
        if (s->active == l)
            s->locality[l].status &= (uint8_t)~part;
        drive_irq(dev);
        break;
    case STS:
        write_status(dev, l, part);
        break;
    case INTERFACE_ID:
        s->locked |= (part & ID_LOCK) != 0;
        break;
    default:
        break;
    }
}

/* ---- the device ---- */

static void tis_reset(struct device *dev)
{
    struct tis_state *s = dev->state;
    struct tpm_core core = s->core;

    memset(s, 0, sizeof(*s));
    s->core = core;
    s->active = NOBODY;
    for (unsigned l = 0; l < TPM_LOCALITIES; l++)
        s->locality[l].enable = INT_LOW;
    drive_irq(dev);
    tpm_core_reset(dev);
}

static bool tis_possible(const struct device *dev)
{
    const struct tis_state *s = dev->state;

    return tpm_core_possible(&s->core) && s->active <= NOBODY && s->state <= COMPLETION && s->at <= TPM_BUFFER_BYTES &&
           s->len <= TPM_BUFFER_BYTES && (s->state == COMPLETION ? s->at <= s->len : s->state != RECEPTION || s->at < TPM_HEADER_BYTES || s->at <= s->len);
}

static void tis_describe(const struct device *dev, struct buffer *b)
{
    const struct tis_state *s = dev->state;

    if (s->active == NOBODY)
        buffer_printf(b, "no locality is active");
    else
        buffer_printf(b, "locality %u is active, %s, %u of %u bytes", s->active, state_names[s->state], s->at, s->len);
    buffer_printf(b, "; %u commands so far\n", s->core.sequence);
}

static const struct device_ops tis_ops = {
    .name = "tpm-tis",
    .state_size = sizeof(struct tis_state),
    .possible = tis_possible,
    .reset = tis_reset,
    .input = tis_input,
    .describe = tis_describe,
    .read = tis_read,
    .write = tis_write,
};

static int plug(struct sockets *s, const char *name, struct line irq, uint8_t vector, const struct option_list *props, struct error *err)
{
    struct device *dev = machine_add_owned_device(s->machine, &tis_ops, name, sizeof(struct tis));
    struct tis_state *st = dev->state;
    struct tis *w = dev->wiring;
    const struct region r = {.base = s->tpm_base, .size = TPM_REGION_BYTES, .kind = REGION_MMIO, .enabled = true};

    w->irq = irq;
    w->vector = vector;
    return tpm_plug(dev, &r, &(struct tpm){.core = &st->core, .command = st->buffer, .buffer_bytes = TPM_BUFFER_BYTES}, props, err);
}

const struct option_key tpm_tis_keys[] = {TPM_KEYS, TPM_PPI_KEY, {"irq", "0-15"}, {NULL, NULL}};
const struct option_key tpm_tis_device_keys[] = {TPM_KEYS, {NULL, NULL}};

int tpm_tis_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
{
    uint64_t irq = USUAL_IRQ;
    bool ppi = true; /* the board's (tpm_describe_parts()) */

    (void)devfn, (void)d;
    if (!s->isa_irq || !s->tpm_base)
        return error_set(err, -EINVAL, "this board has no ISA bus (virt: tpm-tis-device)");
    if (option_list_number(props, "irq", 0, 15, &irq, err) < 0 || option_list_switch(props, "ppi", &ppi, err) < 0)
        return -EINVAL;
    return plug(s, name, s->isa_irq(s->ctx, (unsigned)irq), (uint8_t)irq, props, err);
}

int tpm_tis_device_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)devfn, (void)d;
    if (s->isa_irq || !s->tpm_base)
        return error_set(err, -EINVAL, "this board has no platform bus (pc: tpm-tis)");
    return plug(s, name, (struct line){0}, 0, props, err);
}
