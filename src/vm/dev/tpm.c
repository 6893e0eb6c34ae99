/*
 * What all kinds of TPM interfaces have in common. See tpm.h.
 *
 * Out: u8 enum tpm_request, u8 locality, u16 0, u32 number, then the command. In: u32 number, u8 established, u8[3] 0, u32 bytes of
 * the answer, the answer, the rest. Numbers are little-endian.
 */
#include "vm/dev/tpm.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "vm/machine.h"

#define OUTPUT_HEAD 8u

static void request(struct device *dev, enum tpm_request what, unsigned locality, const uint8_t *bytes, uint32_t len)
{
    const struct tpm *t = dev->wiring;
    uint8_t message[OUTPUT_HEAD + TPM_BUFFER_BYTES] = {(uint8_t)what, (uint8_t)locality};

    CHECK(len <= TPM_BUFFER_BYTES);
    put_le32(message + 4, t->core->sequence);
    if (len)
        memcpy(message + OUTPUT_HEAD, bytes, len);
    machine_output(dev, message, OUTPUT_HEAD + len);
}

void tpm_send(struct device *dev, unsigned locality, uint32_t len)
{
    const struct tpm *t = dev->wiring;

    t->core->sequence += t->core->sequence == UINT32_MAX ? 2 : 1; /* never 0 */
    t->core->command_len = len;
    t->core->locality = (uint8_t)locality;
    t->core->busy = 1;
    request(dev, TPM_COMMAND, locality, t->command, len);
}

void tpm_cancel(struct device *dev)
{
    const struct tpm *t = dev->wiring;

    if (t->core->busy)
        request(dev, TPM_CANCEL, t->core->locality, NULL, 0);
}

void tpm_abandon(struct device *dev)
{
    const struct tpm *t = dev->wiring;

    tpm_cancel(dev);
    t->core->busy = 0;
}

void tpm_core_reset(struct device *dev)
{
    const struct tpm *t = dev->wiring;

    t->core->busy = 0;
    request(dev, TPM_RESET, 0, NULL, 0);
}

void tpm_reset_established(struct device *dev, unsigned locality)
{
    request(dev, TPM_RESET_ESTABLISHED, locality, NULL, 0);
}

bool tpm_take(struct device *dev, const struct event *e, const uint8_t **bytes, uint32_t *len)
{
    const struct tpm *t = dev->wiring;

    if (!tpm_input_rest(e->data, e->len))
        return false;
    t->core->established = e->data[4] & 1u;
    if (!t->core->busy || get_le32(e->data) != t->core->sequence)
        return false;
    t->core->busy = 0;
    *bytes = e->data + TPM_INPUT_HEAD;
    *len = get_le32(e->data + 8);
    return true;
}

bool tpm_core_possible(const struct tpm_core *c)
{
    return c->command_len <= TPM_BUFFER_BYTES && c->locality < TPM_LOCALITIES && c->busy <= 1 && c->established <= 1;
}

bool tpm_parse(const void *data, size_t len, struct tpm_output *out)
{
    const uint8_t *p = data;

    if (len < OUTPUT_HEAD || len > OUTPUT_HEAD + TPM_BUFFER_BYTES || p[0] < TPM_COMMAND || p[0] > TPM_RESET_ESTABLISHED)
        return false;
    *out = (struct tpm_output){.request = (enum tpm_request)p[0], .locality = p[1], .sequence = get_le32(p + 4),
                               .bytes = p + OUTPUT_HEAD, .len = (uint32_t)(len - OUTPUT_HEAD)};
    return true;
}

void tpm_input_head(uint8_t *head, uint32_t sequence, bool established, uint32_t len)
{
    memset(head, 0, TPM_INPUT_HEAD);
    put_le32(head, sequence);
    head[4] = established;
    put_le32(head + 8, len);
}

size_t tpm_input_rest(const uint8_t *data, size_t len)
{
    uint32_t answer = len >= TPM_INPUT_HEAD ? get_le32(data + 8) : 0;

    return len < TPM_INPUT_HEAD || answer > TPM_BUFFER_BYTES || answer > len - TPM_INPUT_HEAD ? 0 : TPM_INPUT_HEAD + answer;
}

uint32_t tpm_buffer_bytes(const struct device *dev)
{
    return ((const struct tpm *)dev->wiring)->buffer_bytes;
}

bool tpm_pending(const struct device *dev, struct tpm_output *out)
{
    const struct tpm *t = dev->wiring;

    *out = (struct tpm_output){.request = TPM_COMMAND, .locality = t->core->locality, .sequence = t->core->sequence,
                               .bytes = t->command, .len = t->core->command_len};
    return t->core->busy;
}

/* ---- plugging in ---- */

static int connect(struct device *dev, const struct option_list *props, struct error *err)
{
    const char *id = option_list_get(props, "tpmdev");

    if (!id || !*id || strlen(id) >= sizeof(dev->backend))
        return error_set(err, -EINVAL, "it needs tpmdev=ID, the id of a --tpmdev, of 1 to %zu characters", sizeof(dev->backend) - 1);
    for (unsigned i = 0; i < dev->machine->ndevices; i++)
        if (dev->machine->devices[i]->backend_kind == BACKEND_TPMDEV)
            return error_set(err, -EINVAL, "a machine has one TPM at most, and there is %s", dev->machine->devices[i]->name);
    strcpy(dev->backend, id);
    dev->backend_kind = BACKEND_TPMDEV;
    return 0;
}

int tpm_plug(struct device *dev, const struct region *r, const struct tpm *t, const struct option_list *props, struct error *err)
{
    struct tpm *wiring = dev->wiring;
    struct region mapped = *r;

    *wiring = *t;
    wiring->base = r->base;
    mapped.dev = dev;
    memory_map(&dev->machine->memory, &mapped);
    return connect(dev, props, err);
}

struct tpm_description tpm_describe_parts(const struct machine_parts *p)
{
    struct tpm_description d = {.irq = TPM_NO_IRQ};

    for (unsigned i = 0; p && i < p->ndevices; i++) {
        struct error ignored = {0};
        struct option_list l;
        const char *name = NULL;
        uint64_t irq = TPM_NO_IRQ;

        if (option_list_parse(&l, "--device", p->devices[i], "driver", NULL, &ignored) == 0)
            name = option_list_get(&l, "driver");
        if (name && !strncmp(name, "tpm-", 4)) {
            d.there = true;
            d.crb = !strcmp(name, "tpm-crb");
            d.ppi = true;
            option_list_switch(&l, "ppi", &d.ppi, &ignored);
            if (option_list_number(&l, "irq", 0, 15, &irq, &ignored) == 0)
                d.irq = (uint8_t)irq;
        }
        option_list_finish(&l);
    }
    return d;
}
