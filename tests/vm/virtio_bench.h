/*
 * A bench for virtio devices over PCI: a driver's side of the registers in BAR 4, and split queues, each with its descriptors
 * and rings at a place of its own.
 */
#ifndef HINDCAST_TESTS_VIRTIO_BENCH_H
#define HINDCAST_TESTS_VIRTIO_BENCH_H

#include "tests/vm/disk_bench.h"

#define BAR4   0x10010000u
#define NOTIFY (BAR4 + 0x3000u)
#define QUEUE  16u /* requests of a queue */
#define SLOTS  8u  /* queues */

#define RINGS_AT(n) (0x1000u + (n) * 0x1000u)
#define AVAIL_AT(n) (RINGS_AT(n) + 0x400u)
#define USED_AT(n)  (RINGS_AT(n) + 0x800u)

/* Requests offered, and those taken back. */
CHIP_BENCH unsigned next_avail[SLOTS], next_used[SLOTS];

CHIP_BENCH void set(unsigned reg, unsigned size, uint64_t value)
{
    memory_write(&m->memory, BAR4 + reg, size, value);
}

CHIP_BENCH uint64_t get(unsigned reg, unsigned size)
{
    return memory_read(&m->memory, BAR4 + reg, size);
}

/* As a driver of virtio 1.0 begins, with those features of the first 32 that it wants, and RING_RESET and HOST_USO of a network card. */
CHIP_BENCH void start(uint64_t want)
{
    set(0x14, 1, 0);
    set(0x14, 1, 3);
    set(0x08, 4, 0);
    set(0x0c, 4, want & 0xffffffffu);
    set(0x08, 4, 1);
    set(0x0c, 4, 1); /* VERSION_1 */
    set(0x00, 4, 1);
    set(0x0c, 4, 1 | (get(0x04, 4) & (1u << 8 | 1u << 24)));
    set(0x14, 1, 11);
    ck_assert_uint_eq(get(0x14, 1), 11);
    for (unsigned n = 0; n < SLOTS; n++) {
        set(0x16, 2, n);
        if (!get(0x18, 2))
            continue;
        next_avail[n] = next_used[n] = 0;
        memory_write(&m->memory, AVAIL_AT(n), 4, 0);
        memory_write(&m->memory, USED_AT(n), 4, 0);
        set(0x18, 2, QUEUE);
        set(0x20, 8, RINGS_AT(n));
        set(0x28, 8, AVAIL_AT(n));
        set(0x30, 8, USED_AT(n));
        set(0x1c, 2, 1);
    }
    set(0x14, 1, 15);
    buffer_clear(&sent);
}

#endif
