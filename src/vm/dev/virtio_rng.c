/*
 * The virtio entropy device (virtio 1.2, 5.4): a buffer that is handed to it comes back full of random bytes.
 *
 * The bytes are the machine's entropy (machine_entropy(): recorded, or drawn from --seed). With max-bytes=N,period=MS it
 * gives no more than N bytes in each period of guest time; buffers wait for the next one.
 */
#include "vm/dev/virtio_rng.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/dev/virtio_carried.h"
#include "vm/machine.h"

#define PIECE      256u   /* bytes asked for at once */
#define BUFFER_MOST 65536u /* bytes of one buffer that are filled: a driver asks again */
#define NS_PER_MS  UINT64_C(1000000)
#define PERIOD_MS  65536u /* without period= */

DEVICE_STATE_BEGIN
struct rng_state {
    uint64_t given;      /* bytes, in all */
    uint64_t left;       /* of this period */
    uint64_t renewed_at; /* vtime at which the next period begins, or VTIME_NEVER: nothing waits for it */
};
DEVICE_STATE_END

/* Wiring. */
struct rng {
    struct virtio_carried carried;
    struct rng_state *st;
    uint64_t quota;      /* bytes of a period; 0: as many as are asked for */
    uint64_t period_ns;
};

static struct rng *of(const struct virtio *v)
{
    return v->dev->wiring;
}

/* Of a length; less, if memory could not be written. */
static uint32_t fill(struct virtio *v, const struct virtio_chain *c, uint32_t len)
{
    uint8_t bytes[PIECE];
    uint32_t done = 0;

    while (done < len) {
        uint32_t n = len - done < PIECE ? len - done : PIECE;

        machine_entropy(v->dev->machine, bytes, n);
        if (!virtio_in(v, c, done, bytes, n))
            break;
        done += n;
    }
    return done;
}

static void serve(struct virtio *v)
{
    struct rng *r = of(v);
    struct virtio_chain c;

    while ((!r->quota || r->st->left) && virtio_peek(v, 0, &c)) {
        uint64_t len = c.in < BUFFER_MOST ? c.in : BUFFER_MOST;

        if (r->quota && len > r->st->left)
            len = r->st->left;
        len = fill(v, &c, (uint32_t)len);
        r->st->given += len;
        r->st->left -= r->quota ? len : 0;
        virtio_push(v, 0, &c, (uint32_t)len);
    }
    if (r->quota && r->st->left < r->quota && r->st->renewed_at == VTIME_NEVER)
        r->st->renewed_at = machine_now(v->dev->machine) + r->period_ns;
}

static void notified(struct virtio *v, unsigned queue)
{
    (void)queue;
    serve(v);
}

static void forget(struct virtio *v)
{
    struct rng *r = of(v);

    *r->st = (struct rng_state){.left = r->quota, .renewed_at = VTIME_NEVER};
}

static uint64_t features(const struct virtio *v)
{
    (void)v;
    return 0;
}

static void config_read(const struct virtio *v, uint8_t *config)
{
    (void)v;
    (void)config;
}

static const struct virtio_class rng_class = {.id = 4, .features = features, .config_read = config_read, .notified = notified,
                                              .reset = forget};

static vtime_t rng_deadline(const struct device *dev)
{
    const struct rng *r = dev->wiring;

    return r->st->renewed_at;
}

static void rng_expire(struct device *dev, vtime_t now)
{
    struct rng *r = dev->wiring;

    (void)now;
    r->st->left = r->quota;
    r->st->renewed_at = VTIME_NEVER;
    serve(&r->carried.t.v);
}

static bool rng_possible(const struct device *dev)
{
    const struct rng *r = dev->wiring;

    return virtio_possible(&r->carried.t.v) && r->st->left <= r->quota &&
           machine_deadline_possible(dev->machine, r->st->renewed_at);
}

static void rng_describe(const struct device *dev, struct buffer *b)
{
    const struct rng *r = dev->wiring;

    buffer_printf(b, "%" PRIu64 " bytes given", r->st->given);
    if (r->quota)
        buffer_printf(b, ", %" PRIu64 " left of %" PRIu64 " in this period", r->st->left, r->quota);
    buffer_printf(b, "\n");
    virtio_describe(&r->carried.t.v, b);
}

#define RNG_OPS .possible = rng_possible, .deadline = rng_deadline, .expire = rng_expire, .describe = rng_describe

DEVICE_STATE_BEGIN
struct rng_pci_state {
    struct virtio_pci_state pci;
    struct rng_state rng;
};

struct rng_mmio_state {
    struct virtio_state virtio;
    struct rng_state rng;
};
DEVICE_STATE_END

static const struct device_ops rng_pci_ops = {
    .name = "virtio-rng-pci",
    .state_size = sizeof(struct rng_pci_state),
    RNG_OPS,
    .reset = virtio_pci_reset,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

static const struct device_ops rng_mmio_ops = {
    .name = "virtio-rng-device",
    .state_size = sizeof(struct rng_mmio_state),
    RNG_OPS,
    .reset = virtio_mmio_reset,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

static const struct virtio_kind kind = {.class = &rng_class, .pci = &rng_pci_ops, .mmio = &rng_mmio_ops, .pci_class = 0x00ff00,
                                        .wiring_bytes = sizeof(struct rng)};

#define RNG_KEYS {"max-bytes", "N (bytes in a period; default: any number)"}, {"period", "MS"}, \
    {"rng", "ID (of an --object rng-random or rng-builtin; all are the machine's entropy)"}

const struct option_key virtio_rng_keys[] = {RNG_KEYS, VIRTIO_PCI_KEYS, {NULL, NULL}};
const struct option_key virtio_rng_mmio_keys[] = {RNG_KEYS, VIRTIO_MMIO_KEYS, {NULL, NULL}};

static struct rng *make(struct sockets *s, const char *name, bool pci, const struct option_list *props, struct error *err)
{
    uint64_t quota = 0, period = PERIOD_MS;
    struct virtio_carried *c;
    struct rng *r;
    void *own;

    if (option_list_number(props, "max-bytes", 1, UINT32_MAX, &quota, err) < 0 ||
        option_list_number(props, "period", 1, UINT32_MAX, &period, err) < 0)
        return NULL;
    c = virtio_make(&kind, s, name, pci, 1, props, &own, err);
    if (!c)
        return NULL;
    r = c->t.v.dev->wiring;
    r->st = own;
    r->quota = quota;
    r->period_ns = period * NS_PER_MS;
    return r;
}

int virtio_rng_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    struct rng *r = make(s, name, true, props, err);

    (void)d;
    return r ? virtio_carry_pci(&kind, &r->carried, s, devfn, props, err) : err->code;
}

int virtio_rng_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                         struct error *err)
{
    struct rng *r = make(s, name, false, props, err);

    (void)devfn, (void)d;
    return r ? virtio_carry_mmio(&r->carried, s, props, err) : err->code;
}
