/*
 * The virtio device for shared directories (virtio 1.2 lists it as 9; "9P transport"): each request is a 9P message of the
 * client's and room for the server's answer (p9.c). The configuration is the mount tag.
 */
#include "vm/dev/virtio_9p.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/p9.h"
#include "vm/dev/virtio_carried.h"
#include "vm/machine.h"

#define TAG_MOST    32u
#define F_MOUNT_TAG 1ull

/* Wiring. */
struct shared {
    struct virtio_carried carried;
    char tag[TAG_MOST + 1];
    struct p9 p9;
};

static struct shared *of(const struct virtio *v)
{
    return v->dev->wiring;
}

/* False: the driver gave what is no request. */
static bool serve(struct virtio *v, const struct virtio_chain *c)
{
    struct p9 *p = &of(v)->p9;
    uint32_t len = c->out < sizeof(p->in) ? (uint32_t)c->out : (uint32_t)sizeof(p->in);
    uint32_t room = c->in < sizeof(p->out) ? (uint32_t)c->in : (uint32_t)sizeof(p->out), answer;

    if (!virtio_out(v, c, 0, p->in, len))
        return false;
    answer = p9_serve(p, len, room);
    if (!answer || !virtio_in(v, c, 0, p->out, answer))
        return false;
    virtio_push(v, 0, c, answer);
    return true;
}

static void notified(struct virtio *v, unsigned queue)
{
    struct virtio_chain c;

    while (virtio_peek(v, queue, &c))
        if (!serve(v, &c)) {
            virtio_broken(v);
            return;
        }
}

static void forget(struct virtio *v)
{
    p9_reset(&of(v)->p9);
}

static uint64_t features(const struct virtio *v)
{
    (void)v;
    return F_MOUNT_TAG;
}

static void config_read(const struct virtio *v, uint8_t *config)
{
    size_t len = strlen(of(v)->tag);

    memset(config, 0, 2 + TAG_MOST);
    put_le(config, len, 2);
    memcpy(config + 2, of(v)->tag, len);
}

static const struct virtio_class p9_class = {.id = 9, .config_bytes = 2 + TAG_MOST, .features = features, .config_read = config_read,
                                             .notified = notified, .reset = forget};

static bool shared_possible(const struct device *dev)
{
    const struct shared *s = dev->wiring;
    uint32_t most = s->p9.st->message_most;

    return virtio_possible(&s->carried.t.v) && (!most || (most >= P9_MESSAGE_LEAST && most <= P9_MESSAGE_MOST));
}

static void shared_describe(const struct device *dev, struct buffer *b)
{
    const struct shared *s = dev->wiring;

    buffer_printf(b, "tag %s, of fsdev %s, %" PRIu64 " requests, %u fids, %" PRIu64 " files opened\n", s->tag, dev->backend,
                  s->p9.st->requests, p9_fids_count(&s->p9.fids), s->p9.st->opened);
    virtio_describe(&s->carried.t.v, b);
}

static void shared_destroy(struct device *dev)
{
    struct shared *s = dev->wiring;

    p9_fids_finish(&s->p9.fids);
}

#define SHARED_OPS .possible = shared_possible, .describe = shared_describe, .destroy = shared_destroy

DEVICE_STATE_BEGIN
struct shared_pci_state {
    struct virtio_pci_state pci;
    struct p9_state p9;
};

struct shared_mmio_state {
    struct virtio_state virtio;
    struct p9_state p9;
};
DEVICE_STATE_END

static const struct device_ops shared_pci_ops = {
    .name = "virtio-9p-pci",
    .state_size = sizeof(struct shared_pci_state),
    SHARED_OPS,
    .reset = virtio_pci_reset,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

static const struct device_ops shared_mmio_ops = {
    .name = "virtio-9p-device",
    .state_size = sizeof(struct shared_mmio_state),
    SHARED_OPS,
    .reset = virtio_mmio_reset,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

static const struct virtio_kind kind = {.class = &p9_class, .pci = &shared_pci_ops, .mmio = &shared_mmio_ops, .pci_class = 0x000200,
                                        .wiring_bytes = sizeof(struct shared)};

#define SHARED_KEYS {"fsdev", "ID (of a --fsdev)"}, {"mount_tag", "TAG (by which the guest mounts it, at most 32 bytes)"}

const struct option_key virtio_9p_keys[] = {SHARED_KEYS, VIRTIO_PCI_KEYS, {NULL, NULL}};
const struct option_key virtio_9p_mmio_keys[] = {SHARED_KEYS, VIRTIO_MMIO_KEYS, {NULL, NULL}};

static int connect(struct device *dev, char tag[TAG_MOST + 1], const struct option_list *props, struct error *err)
{
    const char *id = option_list_get(props, "fsdev"), *given = option_list_get(props, "mount_tag");

    if (!id || !*id || strlen(id) >= sizeof(dev->backend))
        return error_set(err, -EINVAL, "it needs fsdev=ID, the id (1 to %zu characters) of a --fsdev", sizeof(dev->backend) - 1);
    if (!given || !*given || strlen(given) > TAG_MOST)
        return error_set(err, -EINVAL, "it needs mount_tag=TAG, 1 to %u characters: mount -t 9p -o trans=virtio TAG DIRECTORY", TAG_MOST);
    for (unsigned i = 0; i < dev->machine->ndevices; i++) {
        const struct device *other = dev->machine->devices[i];

        if (other->backend_kind == BACKEND_FSDEV && !strcmp(((const struct shared *)other->wiring)->tag, given))
            return error_set(err, -EINVAL, "mount_tag=%s: %s has that tag already", given, other->name);
    }
    strcpy(dev->backend, id);
    dev->backend_kind = BACKEND_FSDEV;
    strcpy(tag, given);
    return 0;
}

/* The name of its fids' page space. */
static void add_fids(struct shared *s, struct device *dev)
{
    char name[sizeof(((struct page_space *)0)->name)];

    snprintf(name, sizeof(name), "%.24s.fids", dev->name);
    p9_fids_init(&s->p9.fids, name);
    machine_add_pages(dev->machine, &s->p9.fids.pages.space);
}

static struct shared *make(struct sockets *sockets, const char *name, bool pci, const struct option_list *props, struct error *err)
{
    struct virtio_carried *c;
    struct shared *s;
    void *own;

    c = virtio_make(&kind, sockets, name, pci, 1, props, &own, err);
    if (!c)
        return NULL;
    s = c->t.v.dev->wiring;
    s->p9.dev = c->t.v.dev;
    s->p9.st = own;
    add_fids(s, c->t.v.dev);
    return connect(c->t.v.dev, s->tag, props, err) < 0 ? NULL : s;
}

int virtio_9p_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                       struct error *err)
{
    struct shared *shared = make(s, name, true, props, err);

    (void)d;
    return shared ? virtio_carry_pci(&kind, &shared->carried, s, devfn, props, err) : err->code;
}

int virtio_9p_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    struct shared *shared = make(s, name, false, props, err);

    (void)devfn, (void)d;
    return shared ? virtio_carry_mmio(&shared->carried, s, props, err) : err->code;
}
