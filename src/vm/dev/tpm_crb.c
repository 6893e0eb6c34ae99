/*
 * A TPM 2.0 behind the command response buffer interface of the TCG PC Client Platform TPM Profile (PTP 1.05, 6.4.2, table 31):
 * registers, and a buffer behind them in which the command lies and its answer comes. One locality, as QEMU's has; the identity is
 * that of QEMU's.
 *
 * A command that was begun ends with its answer, also when it is cancelled; a locality that is given up meanwhile loses it.
 *
 * Not modelled: interrupts (the interface's capabilities say that there are none), the idle state's power saving: cmdReady
 * and goIdle are done at once.
 */
#include "vm/dev/tpm_crb.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/machine.h"

enum { LOC_STATE = 0x00, LOC_CTRL = 0x08, LOC_STS = 0x0c, INTF_ID = 0x30, INTF_ID_HIGH = 0x34, CTRL_REQ = 0x40, CTRL_STS = 0x44, CTRL_CANCEL = 0x48,
       CTRL_START = 0x4c, CMD_SIZE = 0x58, CMD_LOW = 0x5c, CMD_HIGH = 0x60, RSP_SIZE = 0x64, RSP_LOW = 0x68, RSP_HIGH = 0x6c, DATA = 0x80 };
#define REGION_BYTES 0x1000u
#define DATA_BYTES   (REGION_BYTES - DATA)

#define STATE_VALID       0x80u
#define STATE_ASSIGNED    0x02u
#define STATE_ESTABLISHMENT 0x01u /* 0: a dynamic root of trust was established */
#define CTRL_RELINQUISH   0x02u
#define CTRL_REQUEST      0x01u
#define CTRL_RESET_EST    0x08u
#define STS_GRANTED       0x01u
#define REQ_READY         0x01u
#define REQ_IDLE          0x02u
#define STATUS_IDLE       0x02u
#define START             0x01u

/* CRB, version 1, locality 0 only, transfers of up to 64 bytes, this interface only; who made it: IBM. */
#define IDENTITY      (1u << 0 | 1u << 4 | 3u << 11 | 1u << 14 | 1u << 17)
#define IDENTITY_HIGH 0x00001014u

DEVICE_STATE_BEGIN
struct crb_state {
    struct tpm_core core;
    uint8_t assigned;     /* the locality is in use, */
    uint8_t ready;        /* and wants commands */
    uint8_t cancel;       /* CTRL_CANCEL */
    uint8_t reserved[5];
    uint8_t buffer[TPM_BUFFER_BYTES]; /* DATA_BYTES of it are there */
};
DEVICE_STATE_END

struct crb {
    struct tpm tpm;
};

static uint32_t read_register(const struct device *dev, unsigned reg)
{
    const struct crb_state *s = dev->state;

    switch (reg) {
    case LOC_STATE: return STATE_VALID | (s->assigned ? STATE_ASSIGNED : 0) | (s->core.established ? 0 : STATE_ESTABLISHMENT);
    case LOC_STS: return s->assigned ? STS_GRANTED : 0;
    case INTF_ID: return IDENTITY;
    case INTF_ID_HIGH: return IDENTITY_HIGH;
    case CTRL_STS: return s->ready ? 0 : STATUS_IDLE;
    case CTRL_CANCEL: return s->cancel;
    case CTRL_START: return s->core.busy ? START : 0;
    case CMD_SIZE:
    case RSP_SIZE: return DATA_BYTES;
    case CMD_LOW:
    case RSP_LOW: return (uint32_t)((const struct crb *)dev->wiring)->tpm.base + DATA;
    default: return 0;
    }
}

static uint64_t crb_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct crb_state *s = dev->state;
    uint64_t value = 0;

    (void)range;
    for (unsigned i = 0; i < size && offset + i < REGION_BYTES; i++) {
        unsigned at = (unsigned)offset + i;
        uint8_t byte = at >= DATA ? s->buffer[at - DATA] : (uint8_t)(read_register(dev, at & ~3u) >> (8 * (at & 3u)));

        value |= (uint64_t)byte << (8 * i);
    }
    return value;
}

static void start(struct device *dev)
{
    struct crb_state *s = dev->state;
    uint32_t len = get_be32(s->buffer + 2);

    if (!s->assigned || !s->ready || s->core.busy)
        return;
    s->cancel = 0;
    tpm_send(dev, 0, len < TPM_HEADER_BYTES ? TPM_HEADER_BYTES : len < DATA_BYTES ? len : DATA_BYTES);
}

static void leave(struct device *dev)
{
    struct crb_state *s = dev->state;

    if (s->core.busy)
        tpm_abandon(dev);
    s->assigned = s->ready = 0;
}

static void write_register(struct device *dev, unsigned reg, uint32_t value)
{
    struct crb_state *s = dev->state;

    switch (reg) {
    case LOC_CTRL:
        if (value & CTRL_RELINQUISH)
            leave(dev);
        if (value & CTRL_REQUEST)
            s->assigned = 1;
        if (value & CTRL_RESET_EST)
            tpm_reset_established(dev, 0);
        break;
    case CTRL_REQ:
        if (s->assigned && !s->core.busy && (value & (REQ_READY | REQ_IDLE)))
            s->ready = (value & REQ_READY) != 0;
        break;
    case CTRL_CANCEL:
        s->cancel = value & 1u;
        if (s->cancel)
            tpm_cancel(dev);
        break;
    case CTRL_START:
        if (value & START)
            start(dev);
        break;
    default:
        break;
    }
}

static void crb_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct crb_state *s = dev->state;

    (void)range;
    if (offset < DATA) {
        write_register(dev, (unsigned)offset & ~3u, (uint32_t)(value << (8 * (offset & 3u))));
        return;
    }
    for (unsigned i = 0; i < size && offset + i < REGION_BYTES && s->assigned && !s->core.busy; i++)
        s->buffer[offset + i - DATA] = (uint8_t)(value >> (8 * i));
}

static void crb_input(struct device *dev, const struct event *e)
{
    struct crb_state *s = dev->state;
    const uint8_t *bytes;
    uint32_t len;

    if (tpm_take(dev, e, &bytes, &len))
        memcpy(s->buffer, bytes, len < DATA_BYTES ? len : DATA_BYTES);
}

static void crb_reset(struct device *dev)
{
    struct crb_state *s = dev->state;
    struct tpm_core core = s->core;

    memset(s, 0, sizeof(*s));
    s->core = core;
    tpm_core_reset(dev);
}

static bool crb_possible(const struct device *dev)
{
    return tpm_core_possible(&((const struct crb_state *)dev->state)->core);
}

static void crb_describe(const struct device *dev, struct buffer *b)
{
    const struct crb_state *s = dev->state;

    buffer_printf(b, "%s; %u commands so far\n", !s->assigned ? "not in use" : s->core.busy ? "a command is executed" : s->ready ? "ready" : "idle",
                  s->core.sequence);
}

static const struct device_ops crb_ops = {
    .name = "tpm-crb",
    .state_size = sizeof(struct crb_state),
    .possible = crb_possible,
    .reset = crb_reset,
    .input = crb_input,
    .describe = crb_describe,
    .read = crb_read,
    .write = crb_write,
};

const struct option_key tpm_crb_keys[] = {TPM_KEYS, TPM_PPI_KEY, {NULL, NULL}};

int tpm_crb_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
{
    const struct region r = {.base = s->tpm_base, .size = REGION_BYTES, .kind = REGION_MMIO, .enabled = true};
    struct crb_state *st;
    struct device *dev;
    bool ppi = true; /* the board's (tpm_describe_parts()) */

    (void)devfn, (void)d;
    if (!s->isa_irq || !s->tpm_base)
        return error_set(err, -EINVAL, "this board has no place for one (virt: tpm-tis-device)");
    if (option_list_switch(props, "ppi", &ppi, err) < 0)
        return err->code;
    dev = machine_add_owned_device(s->machine, &crb_ops, name, sizeof(struct crb));
    st = dev->state;
    return tpm_plug(dev, &r, &(struct tpm){.core = &st->core, .command = st->buffer, .buffer_bytes = DATA_BYTES}, props, err);
}
