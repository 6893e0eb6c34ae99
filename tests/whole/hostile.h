/*
 * Guests' rings, tables and lists of regions at random, and what points to them, of controllers that reach memory by
 * themselves: addresses in RAM, across its end, nowhere, in the registers of the device itself and of others; lengths of nothing
 * and of everything; chains that loop; resets with requests in progress; configuration written meanwhile.
 *
 * Whatever a guest does, the state stays possible, no deadline stands still, the same accesses make the same state, and
 * after a reset the device is a new one. HINDCAST_FUZZ_SEEDS says how many guests there are of each kind.
 *
 * Adding a device: its struct hostile (make it, do one thing) in kinds[] of one of the programs, and claims() by try_hostile().
 */
#ifndef HINDCAST_TESTS_HOSTILE_H
#define HINDCAST_TESTS_HOSTILE_H

#include "tests/vm/disk_bench.h"

#include "base/option_list.h"
#include "vm/dev/parts.h"

#define BAR      0x10010000u /* of the device under test */
#define SLOT     0x0a000000u /* for virtio-mmio */
#define TABLES   0x1000u     /* what descriptors lie in: to TABLES_END */
#define TABLES_END 0x9000u
#define STEPS    1500u
#define EXPIRIES 20000u      /* of deadlines in one step */

CHIP_BENCH uint64_t rng;
CHIP_BENCH struct device *dev;
CHIP_BENCH bool endless; /* rings may have no end: the device is never done */

CHIP_BENCH uint32_t draw(void)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng >> 33) ^ (uint32_t)(rng >> 13);
}

CHIP_BENCH uint32_t below(uint32_t n)
{
    return draw() % n;
}

CHIP_BENCH bool chance(uint32_t n)
{
    return below(n) == 0;
}

/* An address as a guest should not give it; mostly one in RAM. */
CHIP_BENCH paddr_t place(void)
{
    switch (below(24)) {
    case 0:  return RAM_BYTES - below(4096);
    case 1:  return 0x40000000u + draw();
    case 2:  return BAR + (below(0x4000) & ~3u);
    case 3:  return BENCH_BAR_AT + draw() % 0x100000;
    case 4:  return UINT64_MAX - below(8192);
    case 5:  return (uint64_t)draw() << 32 | draw();
    case 6:  return MESSAGES_AT + below(64) * 4;
    case 7:  return SLOT + (below(0x200) & ~3u);
    case 8:  return draw() % RAM_BYTES;
    case 9:
    case 10: return TABLES + (below(TABLES_END - TABLES) & ~15u);
    case 11: return TABLES + (below(8) << 12);
    default: return 0x20000u + (below(0xc0000u) & ~(chance(3) ? 3u : 511u));
    }
}

CHIP_BENCH uint32_t length(void)
{
    static const uint32_t some[] = {0, 1, 2, 3, 15, 16, 31, 51, 108, 511, 512, 513, 1024, 4095, 4096, 8192, 65535, 65536, 0x200000};

    switch (below(8)) {
    case 0:  return draw();
    case 1:  return UINT32_MAX - below(16);
    case 2:  return below(65536);
    default: return some[below(ARRAY_LEN(some))];
    }
}

/* 64 bits somewhere in what tables lie in. */
CHIP_BENCH void scribble(unsigned n)
{
    while (n--)
        poke64(TABLES + (below(TABLES_END - TABLES) & ~7u), chance(2) ? place() : (uint64_t)draw() << 32 | draw());
}

/* Let time go on; deadlines that come are served, and each brings it further. */
CHIP_BENCH void let_go(uint64_t ns)
{
    vtime_t until = m->st->warp + ns;
    const struct device *d;

    for (unsigned n = 0; (d = expire_next(m, until)); n++)
        ck_assert_msg(n < EXPIRIES, "%s has deadline after deadline", d->name);
    m->st->warp = until;
}

/* ---- making devices ---- */

CHIP_BENCH int map_slot(void *ctx, unsigned wanted, struct device *d, struct line *irq, paddr_t *base, struct error *err)
{
    struct region r = {.base = SLOT, .size = 0x200, .kind = REGION_MMIO, .dev = d, .enabled = true};

    (void)ctx, (void)wanted, (void)err;
    memory_map(&m->memory, &r);
    *irq = probe_line(1);
    *base = SLOT;
    return 0;
}

CHIP_BENCH void plug_as(const char *name, plug_fn *fn, const char *text, struct drive *d)
{
    struct sockets s = {.machine = m, .pci = &bench_bus, .mmio_slot = map_slot};
    struct error e = {0};

    ck_assert_msg(bench_plug(&s, name, fn, text, d, &e) == 0, "%s", e.text);
}

CHIP_BENCH void plug(plug_fn *fn, const char *text, struct drive *d)
{
    plug_as("dev", fn, text, d);
}

CHIP_BENCH struct pci_function *function(void)
{
    return pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
}

/* Where the device answers, and that it may master the bus: as firmware does it, and now and then otherwise. */
CHIP_BENCH void decode(unsigned bar)
{
    if (!function())
        return;
    pci_config_write(function(), 0x10 + 4 * bar, 4, BAR);
    pci_config_write(function(), PCI_COMMAND, 2, chance(20) ? below(8) : 7);
}

CHIP_BENCH void configuration_space(void)
{
    unsigned sizes[] = {1, 2, 4}, size = sizes[below(3)];

    if (function())
        pci_config_write(function(), below(256) & ~(size - 1), size, draw());
}

CHIP_BENCH void poke_register(paddr_t base, unsigned bytes)
{
    unsigned size = 1u << below(4);
    paddr_t at = base + (below(bytes) & ~(size - 1));

    if (chance(3))
        memory_read(&m->memory, at, size);
    else
        memory_write(&m->memory, at, size, chance(3) ? place() : draw() >> below(32));
}

/* Such headers as network cards look at: IPv4 and IPv6 with extension headers, TCP, UDP and PTP, pauses, tags; sound, or not quite. */
CHIP_BENCH void shape_frame(uint8_t *frame, size_t len)
{
    static const uint16_t types[] = {0x0800, 0x0800, 0x86dd, 0x86dd, 0x8808, 0x88f7};
    unsigned type = types[below(6)], at = 14, left;

    if (chance(6)) {
        frame[12] = 0x81;
        frame[13] = 0;
        at = 18;
    }
    if (len < at + 60)
        return;
    memset(frame + at, 0, 60);
    left = (unsigned)(len - at);
    frame[at - 2] = (uint8_t)(type >> 8);
    frame[at - 1] = (uint8_t)type;
    if (type == 0x0800) {
        frame[at] = chance(4) ? (uint8_t)draw() : 0x45;
        frame[at + 2] = (uint8_t)((chance(4) ? draw() : left) >> 8);
        frame[at + 3] = (uint8_t)(chance(4) ? draw() : left);
        frame[at + 6] = (uint8_t)(chance(6) ? draw() : 0);
        frame[at + 9] = (uint8_t)(chance(2) ? 6 : 17);
        at += 20;
    } else if (type == 0x86dd) {
        frame[at] = 0x60;
        frame[at + 4] = (uint8_t)((chance(4) ? draw() : left - 40) >> 8);
        frame[at + 5] = (uint8_t)(chance(4) ? draw() : left - 40);
        frame[at + 6] = (const uint8_t[]){6, 17, 6, 17, 0, 43, 44, 60}[below(8)];
        at += 40;
        if (chance(4)) {
            frame[at] = (const uint8_t[]){6, 17, 43, 60}[below(4)];
            frame[at + 1] = (uint8_t)(chance(3) ? draw() : below(3));
        }
    } else {
        for (unsigned i = 0; i < 34; i++)
            frame[at + i] = (uint8_t)(chance(2) ? 0 : draw());
        return;
    }
    for (unsigned i = 0; i < 20 && at + i < len; i++)
        frame[at + i] = (uint8_t)(chance(2) ? frame[at + i] : draw());
    if (chance(2)) /* an event of PTP */
        frame[at + 2] = 1, frame[at + 3] = 0x3f;
    if (chance(2))
        frame[at + 12] = 0x50;
}

/* A frame, if the device would have one. */
CHIP_BENCH void feed(void)
{
    uint8_t frame[1600];
    size_t len = 14 + below(1500);

    if (!dev->ops->input_room || dev->ops->input_room(dev) < len)
        return;
    memset(frame, 0xff, sizeof(frame));
    if (chance(2))
        shape_frame(frame, len);
    input(dev, frame, len);
}

/* ---- guests ---- */

struct hostile {
    const char *name;
    void (*make)(void);
    void (*step)(unsigned n);
    const char *keeps; /* over a reset; NULL: nothing */
};

/* A guest of that seed, from a new machine on. Returns the state that it leaves. */
CHIP_BENCH uint64_t run_guest(const struct hostile *h, uint64_t seed)
{
    rng = seed * 0x9e3779b97f4a7c15u + 1;
    new_disk_bench();
    buffer_clear(&sent);
    endless = false;
    h->make();
    machine_lay_out(m);
    reset_all();
    for (unsigned n = 0; n < STEPS; n++) {
        h->step(n);
        if (chance(100))
            configuration_space();
        if (chance(3))
            let_go(chance(4) ? 50 * MS : below(200000));
        for (unsigned i = 0; i < m->ndevices; i++)
            ck_assert_msg(!m->devices[i]->ops->possible || m->devices[i]->ops->possible(m->devices[i]), "%s, seed %llu, step %u",
                          h->name, (unsigned long long)seed, n);
    }
    let_go((endless ? 10 : 10000) * MS);
    return machine_hash(m);
}

/* What a reset leaves is the same whatever was before (but for what is kept by whoever makes such a device). */
CHIP_BENCH uint64_t reset_state(void)
{
    uint64_t hash = 0;

    reset_all();
    for (unsigned i = 0; i < m->ncomponents; i++)
        if (!strcmp(m->components[i].name, "dev"))
            hash = machine_component_hash(m, i);
    ck_assert_uint_ne(hash, 0);
    return hash;
}

/* One guest of that kind: it, and it again, and what a reset leaves of it. */
CHIP_BENCH void try_hostile(const struct hostile *h, uint64_t seed)
{
    uint64_t state, fresh;

    new_disk_bench();
    h->make();
    machine_lay_out(m);
    fresh = reset_state();
    state = run_guest(h, seed);
    ck_assert_msg(reset_state() == fresh || h->keeps, "%s, seed %llu: a reset leaves something", h->name, (unsigned long long)seed);
    ck_assert_msg(run_guest(h, seed) == state, "%s, seed %llu: another state", h->name, (unsigned long long)seed);
}

/* How many guests of each kind. */
CHIP_BENCH int hostile_seeds(void)
{
    const char *seeds = getenv("HINDCAST_FUZZ_SEEDS");

    return seeds ? atoi(seeds) : 4;
}

#endif
