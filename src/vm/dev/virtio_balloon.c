/*
 * The virtio memory balloon (virtio 1.2, 5.5): pages that the guest puts into it are not its own any more. How many there shall
 * be is the user's wish (`monitor balloon`), which is input, and recorded.
 *
 * A page in the balloon, or one that is reported free (free-page-reporting=on), holds zeros: what QEMU makes of it once the host has
 * taken it. Statistics are asked for with each wish and, with guest-stats-polling-interval=, each so many seconds.
 *
 * Not modelled: hints for migration, page poisoning.
 */
#include "vm/dev/virtio_balloon.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/virtio_carried.h"
#include "vm/machine.h"

#define F_STATS_VQ       (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING      (1ull << 5)

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_REPORTING, QUEUES };

#define CONFIG_BYTES  8u      /* num_pages, actual */
#define PFN_SHIFT     12u
#define PFNS_MOST     16384u  /* of one request that are looked at */
#define REPORT_MOST   ((uint64_t)64 << 20) /* bytes of one report that become zeros */
#define STATS         16u     /* of them 10 are known */
#define STAT_BYTES    10u     /* u16 tag, u64 value */
#define INTERVAL_MOST 86400u
#define NS_PER_S      UINT64_C(1000000000)

static const char *const stat_names[] = {"swap_in", "swap_out", "major_faults", "minor_faults", "free_mem", "total_mem",
                                         "available_mem", "disk_caches", "htlb_pgalloc", "htlb_pgfail"};

DEVICE_STATE_BEGIN
struct balloon_state {
    uint64_t asks_at;        /* vtime at which statistics are asked for again; VTIME_NEVER: they are not */
    uint64_t told_at;        /* vtime at which those came that are there */
    uint64_t stats[STATS];   /* by tag */
    uint32_t told;           /* bit n: stats[n] is there */
    uint32_t wanted;         /* pages that the user wants in it */
    uint32_t actual;         /* that the driver says there are */
    uint32_t reserved;
};
DEVICE_STATE_END

/* Wiring. */
struct balloon {
    struct virtio_carried carried;
    struct balloon_state *st;
    uint64_t interval_ns;    /* 0: statistics are asked for with wishes only */
    bool deflate_on_oom, reporting;
};

static struct balloon *of(const struct virtio *v)
{
    return v->dev->wiring;
}

/* ---- pages ---- */

/* Bytes of memory that are no one's: of pages only, never of a device's registers. */
static void give_up(struct virtio *v, paddr_t at, uint64_t len)
{
    static const uint8_t zeros[PAGE_SIZE];
    uint8_t bytes[PAGE_SIZE];

    for (; len; at += PAGE_SIZE, len -= len < PAGE_SIZE ? len : PAGE_SIZE) {
        size_t n = len < PAGE_SIZE ? (size_t)len : PAGE_SIZE;

        if (memory_page_of(&v->dev->machine->memory, at) == UINT32_MAX || !v->transport->dma_read(v, at, bytes, n))
            continue;
        if (memcmp(bytes, zeros, n) != 0)
            v->transport->dma_write(v, at, zeros, n);
    }
}

static void take_pages(struct virtio *v, unsigned queue)
{
    struct virtio_chain c;

    for (unsigned n = 0; n < VIRTIO_QUEUE_SIZE && virtio_peek(v, queue, &c); n++) {
        uint64_t pfns = c.out / 4 < PFNS_MOST ? c.out / 4 : PFNS_MOST;
        uint32_t pfn;

        for (uint64_t i = 0; queue == QUEUE_INFLATE && i < pfns && virtio_out(v, &c, 4 * i, &pfn, 4); i++)
            give_up(v, (paddr_t)pfn << PFN_SHIFT, PAGE_SIZE);
        virtio_push(v, queue, &c, 0);
    }
}

/* What is reported are whole segments that the device may write. */
static void take_report(struct virtio *v)
{
    struct virtio_chain c;

    for (unsigned n = 0; n < VIRTIO_QUEUE_SIZE && virtio_peek(v, QUEUE_REPORTING, &c); n++) {
        uint64_t left = REPORT_MOST;

        for (unsigned i = 0; i < c.nin; i++) {
            const struct virtio_segment *s = &c.segments[c.nout + i];
            uint64_t len = s->len < left ? s->len : left;

            if (!(s->address & (PAGE_SIZE - 1)) && !(s->len & (PAGE_SIZE - 1)))
                give_up(v, s->address, len);
            left -= len;
        }
        virtio_push(v, QUEUE_REPORTING, &c, 0);
    }
}

/* ---- statistics ---- */

/* The driver's buffer stays here until they are asked for again. */
static void take_stats(struct virtio *v)
{
    struct balloon *w = of(v);
    struct virtio_chain c;
    uint8_t entry[STAT_BYTES];

    if (!virtio_peek(v, QUEUE_STATS, &c))
        return;
    w->st->told = 0;
    w->st->told_at = machine_now(v->dev->machine);
    for (uint64_t at = 0; at + STAT_BYTES <= c.out && at < STAT_BYTES * 64; at += STAT_BYTES)
        if (virtio_out(v, &c, at, entry, STAT_BYTES) && get_le16(entry) < STATS) {
            w->st->stats[get_le16(entry)] = get_le64(entry + 2);
            w->st->told |= 1u << get_le16(entry);
        }
    if (w->interval_ns)
        w->st->asks_at = machine_now(v->dev->machine) + w->interval_ns;
}

static void ask_for_stats(struct virtio *v)
{
    struct virtio_chain c;

    of(v)->st->asks_at = VTIME_NEVER;
    if (virtio_has(v, F_STATS_VQ) && virtio_peek(v, QUEUE_STATS, &c))
        virtio_push(v, QUEUE_STATS, &c, 0);
}

static vtime_t balloon_deadline(const struct device *dev)
{
    return ((const struct balloon *)dev->wiring)->st->asks_at;
}

static void balloon_expire(struct device *dev, vtime_t now)
{
    (void)now;
    ask_for_stats(&((struct balloon *)dev->wiring)->carried.t.v);
}

/* ---- the class ---- */

static uint64_t features(const struct virtio *v)
{
    return F_STATS_VQ | (of(v)->deflate_on_oom ? F_DEFLATE_ON_OOM : 0) | (of(v)->reporting ? F_REPORTING : 0);
}

static void config_read(const struct virtio *v, uint8_t *config)
{
    put_le32(config, of(v)->st->wanted);
    put_le32(config + 4, of(v)->st->actual);
}

static void config_write(struct virtio *v, uint32_t offset, uint8_t value)
{
    unsigned shift = 8 * (offset & 3u);

    if (offset >= 4)
        of(v)->st->actual = (of(v)->st->actual & ~(0xffu << shift)) | (uint32_t)value << shift;
}

static void notified(struct virtio *v, unsigned queue)
{
    if (queue == QUEUE_STATS)
        take_stats(v);
    else if (queue == QUEUE_REPORTING)
        take_report(v);
    else
        take_pages(v, queue);
}

/* What the user wants stays over a reset, as in QEMU. */
static void forget(struct virtio *v)
{
    struct balloon_state *s = of(v)->st;

    *s = (struct balloon_state){.asks_at = VTIME_NEVER, .wanted = s->wanted};
}

static const struct virtio_class balloon_class = {
    .id = 5, .config_bytes = CONFIG_BYTES, .features = features, .config_read = config_read, .config_write = config_write,
    .notified = notified, .reset = forget};

/* Of the guest: RAM has that name on each board. */
uint64_t virtio_balloon_all(const struct machine *m)
{
    const struct page_space *s = &m->memory.pages;

    for (unsigned i = 0; i < s->nareas; i++)
        if (!strcmp(s->areas[i].name, "ram"))
            return s->areas[i].count << PAGE_SHIFT;
    return 0;
}

bool virtio_balloon_driven(const struct device *dev)
{
    return ((const struct balloon *)dev->wiring)->carried.t.v.st->status & VIRTIO_DRIVER_OK;
}

static void balloon_input(struct device *dev, const struct event *e)
{
    struct balloon *w = dev->wiring;
    uint64_t all = virtio_balloon_all(dev->machine), keep;

    if (e->len != VIRTIO_BALLOON_INPUT)
        return;
    keep = get_le64(e->data);
    w->st->wanted = keep < all ? (uint32_t)((all - keep) >> PFN_SHIFT) : 0;
    if (w->carried.t.v.st->status & VIRTIO_DRIVER_OK)
        virtio_config_changed(&w->carried.t.v);
    ask_for_stats(&w->carried.t.v);
}

void virtio_balloon_report(const struct device *dev, struct buffer *b)
{
    const struct balloon *w = dev->wiring;
    const struct balloon_state *s = w->st;
    uint64_t all = virtio_balloon_all(dev->machine), held = (uint64_t)s->actual << PFN_SHIFT, wanted = (uint64_t)s->wanted << PFN_SHIFT;

    buffer_printf(b, "balloon: actual=%" PRIu64 " wanted=%" PRIu64 " (MB)\n", (all - (held < all ? held : all)) >> 20,
                  (all - (wanted < all ? wanted : all)) >> 20);
    if (s->told)
        buffer_printf(b, "  the guest said at %" PRIu64 ".%09" PRIu64 " s:\n", s->told_at / NS_PER_S, s->told_at % NS_PER_S);
    for (unsigned n = 0; n < STATS; n++)
        if (s->told >> n & 1u) {
            if (n < ARRAY_LEN(stat_names))
                buffer_printf(b, "    %s", stat_names[n]);
            else
                buffer_printf(b, "    statistic %u", n);
            buffer_printf(b, " %" PRIu64 "\n", s->stats[n]);
        }
}

static void balloon_describe(const struct device *dev, struct buffer *b)
{
    virtio_balloon_report(dev, b);
    virtio_describe(&((const struct balloon *)dev->wiring)->carried.t.v, b);
}

static bool balloon_possible(const struct device *dev)
{
    return virtio_possible(&((const struct balloon *)dev->wiring)->carried.t.v);
}

/* ---- the device ---- */

DEVICE_STATE_BEGIN
struct balloon_pci_state {
    struct virtio_pci_state pci;
    struct balloon_state balloon;
};

struct balloon_mmio_state {
    struct virtio_state virtio;
    struct balloon_state balloon;
};
DEVICE_STATE_END

#define BALLOON_OPS .possible = balloon_possible, .deadline = balloon_deadline, .expire = balloon_expire, \
    .input = balloon_input, .describe = balloon_describe

static const struct device_ops balloon_pci_ops = {
    .name = "virtio-balloon-pci",
    .state_size = sizeof(struct balloon_pci_state),
    .state_version = 1,
    BALLOON_OPS,
    .reset = virtio_pci_reset,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

static const struct device_ops balloon_mmio_ops = {
    .name = "virtio-balloon-device",
    .state_size = sizeof(struct balloon_mmio_state),
    .state_version = 1,
    BALLOON_OPS,
    .reset = virtio_mmio_reset,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

static const struct virtio_kind kind = {.class = &balloon_class, .pci = &balloon_pci_ops, .mmio = &balloon_mmio_ops,
                                        .pci_class = 0x00ff00, .wiring_bytes = sizeof(struct balloon)};

#define BALLOON_KEYS {"deflate-on-oom", "on|off"}, {"free-page-reporting", "on|off"}, {"guest-stats-polling-interval", "SECONDS"}

const struct option_key virtio_balloon_keys[] = {BALLOON_KEYS, VIRTIO_PCI_KEYS, {NULL, NULL}};
const struct option_key virtio_balloon_mmio_keys[] = {BALLOON_KEYS, VIRTIO_MMIO_KEYS, {NULL, NULL}};

static struct balloon *make(struct sockets *s, const char *name, bool pci, const struct option_list *props, struct error *err)
{
    bool deflate = false, reporting = false;
    struct virtio_carried *c;
    uint64_t interval = 0;
    struct balloon *w;
    void *own;

    if (option_list_switch(props, "deflate-on-oom", &deflate, err) < 0 ||
        option_list_switch(props, "free-page-reporting", &reporting, err) < 0 ||
        option_list_number(props, "guest-stats-polling-interval", 0, INTERVAL_MOST, &interval, err) < 0)
        return NULL;
    if (s->machine->balloon) {
        error_set(err, -EINVAL, "there is a balloon already");
        return NULL;
    }
    c = virtio_make(&kind, s, name, pci, reporting ? QUEUES : QUEUE_REPORTING, props, &own, err);
    if (!c)
        return NULL;
    w = c->t.v.dev->wiring;
    w->st = own;
    w->interval_ns = interval * NS_PER_S;
    w->deflate_on_oom = deflate;
    w->reporting = reporting;
    s->machine->balloon = c->t.v.dev;
    return w;
}

int virtio_balloon_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                            struct error *err)
{
    struct balloon *w = make(s, name, true, props, err);

    (void)d;
    return w ? virtio_carry_pci(&kind, &w->carried, s, devfn, props, err) : err->code;
}

int virtio_balloon_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                             struct error *err)
{
    struct balloon *w = make(s, name, false, props, err);

    (void)devfn, (void)d;
    return w ? virtio_carry_mmio(&w->carried, s, props, err) : err->code;
}
