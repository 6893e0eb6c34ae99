/*
 * The registers of a card of the e1000 family, and its rings.
 */
#ifndef HINDCAST_TESTS_VM_E1000_BENCH_H
#define HINDCAST_TESTS_VM_E1000_BENCH_H

#include "base/bytes.h"
#include "tests/vm/disk_bench.h"
#include "vm/dev/nic_ip.h"

#define REGISTERS 0x10020000u
#define ENTRIES   8u

static uint32_t get(unsigned reg)
{
    return (uint32_t)memory_read(&m->memory, REGISTERS + reg, 4);
}

static void set(unsigned reg, uint32_t value)
{
    memory_write(&m->memory, REGISTERS + reg, 4, value);
}

static void set_ring(unsigned reg, uint32_t base)
{
    set(reg, base);
    set(reg + 4, 0);
    set(reg + 8, ENTRIES * 16);
    set(reg + 0x10, 0);
    set(reg + 0x18, 0);
}

/* ---- delays and intervals of interrupts: what both cards have, by pin ---- */

#define TICK     1024u      /* ns, of delays */
#define ITR_TICK 256u       /* of ITR and EITR */

enum { BENCH_ICR = 0xc0, BENCH_ITR = 0xc4, BENCH_ICS = 0xc8, BENCH_IMS = 0xd0, BENCH_IMC = 0xd8, RDTR = 0x2820, RADV = 0x282c, TIDV = 0x3820,
       TADV = 0x382c };

/* It is 0 after a reset, and of what is written has those bits. */
CHIP_BENCH void expect_delay_register(unsigned reg)
{
    ck_assert_uint_eq(get(reg), 0);
    set(reg, 0xffffffff);
    ck_assert_uint_eq(get(reg), 0xffff);
    set(reg, 0x12345678);
    ck_assert_uint_eq(get(reg), 0x5678);
    set(0, 1u << 26);
    ck_assert_uint_eq(get(reg), 0);
}

/* After so many ns, and not before, INTA is asserted. */
CHIP_BENCH void expect_after(uint64_t ns)
{
    ck_assert(!probe[3].level);
    run_for(ns - 1);
    ck_assert(!probe[3].level);
    run_for(1);
    ck_assert(probe[3].level);
}

/* It is not, whatever passes; and nothing is due. */
CHIP_BENCH void expect_quiet(const struct device *dev)
{
    ck_assert_uint_eq(dev->ops->deadline(dev), VTIME_NEVER);
    run_for(1000 * MS);
    ck_assert(!probe[3].level);
}

/* Acknowledge what there was. */
CHIP_BENCH void acknowledge(uint32_t causes)
{
    ck_assert(probe[3].level);
    ck_assert_uint_eq(get(BENCH_ICR) & 0x1ffff, causes);
    ck_assert(!probe[3].level);
}

/* ITR, with INTA. */
CHIP_BENCH void expect_moderation(const struct device *dev)
{
    set(BENCH_IMS, 0x84);
    for (unsigned i = 0; i < 3; i++) { /* 0: no interval */
        set(BENCH_ICS, 0x80);
        acknowledge(0x80);
    }
    ck_assert_uint_eq(dev->ops->deadline(dev), VTIME_NEVER);
    set(BENCH_ITR, 100);
    set(BENCH_ICS, 0x80); /* the first comes at once, */
    acknowledge(0x80);
    run_for(50 * ITR_TICK);
    set(BENCH_ICS, 0x80); /* the next ones at the interval's end, as one */
    set(BENCH_ICS, 0x04);
    expect_after(50 * ITR_TICK);
    acknowledge(0x84);
    run_for(100 * ITR_TICK); /* it is over with nothing in it */
    set(BENCH_ICS, 0x80);
    acknowledge(0x80);
    set(BENCH_ICS, 0x80); /* what is masked does not come, and later as late as it would have */
    set(BENCH_IMC, 0x80);
    ck_assert_uint_eq(dev->ops->deadline(dev), VTIME_NEVER);
    run_for(10 * ITR_TICK);
    set(BENCH_IMS, 0x80);
    expect_after(90 * ITR_TICK);
    acknowledge(0x80);
    set(BENCH_ICS, 0x80); /* what is acknowledged does not come */
    set(BENCH_ICR, 0x80);
    expect_quiet(dev);
    set(BENCH_ICS, 0x80); /* an interval that has begun is not another one's, */
    acknowledge(0x80);
    set(BENCH_ITR, 7);
    set(BENCH_ICS, 0x80);
    expect_after(100 * ITR_TICK);
    acknowledge(0x80);
    set(BENCH_ICS, 0x80);
    expect_after(7 * ITR_TICK);
    acknowledge(0x80);
    set(BENCH_ICS, 0x80); /* but none is none */
    ck_assert(!probe[3].level);
    set(BENCH_ITR, 0);
    acknowledge(0x80);
    set(BENCH_ITR, 0xffff);
    set(BENCH_ICS, 0x80);
    acknowledge(0x80);
    set(BENCH_ICS, 0x80);
    expect_after(0xffffull * ITR_TICK);
}

/* The timers of one direction, which `frame` sends or receives one of, with that cause: immediately if it is told so. */
CHIP_BENCH void expect_delays(const struct device *dev, unsigned packet, unsigned absolute, void (*frame)(bool immediately), uint32_t one)
{
    set(BENCH_IMS, one);
    frame(false); /* no delay */
    acknowledge(one);
    set(absolute, 5); /* nor by this alone */
    frame(false);
    acknowledge(one);
    set(absolute, 0);
    ck_assert_uint_eq(dev->ops->deadline(dev), VTIME_NEVER);
    set(packet, 10);
    frame(false);
    ck_assert_uint_eq(get(BENCH_ICR) & one, 0);
    expect_after(10 * TICK);
    acknowledge(one);
    expect_quiet(dev);
    for (unsigned i = 0; i < 4; i++) { /* each starts it anew */
        frame(false);
        run_for(10 * TICK - 1);
    }
    ck_assert(!probe[3].level);
    run_for(1);
    acknowledge(one);
    set(absolute, 25); /* but not for longer than this */
    for (unsigned i = 0; i < 3; i++) {
        frame(false);
        run_for(8 * TICK);
    }
    frame(false);
    expect_after(1 * TICK);
    acknowledge(one);
    expect_quiet(dev); /* both have stopped; and both stop when the first one runs out */
    frame(false);
    expect_after(10 * TICK);
    acknowledge(one);
    expect_quiet(dev);
    frame(false); /* a timer that runs is not another register's, */
    set(packet, 3);
    expect_after(10 * TICK);
    acknowledge(one);
    frame(false); /* but what waits can be had, once */
    set(packet, 0x80000003);
    ck_assert_uint_eq(get(packet), 3);
    acknowledge(one);
    set(packet, 0x80000003);
    expect_quiet(dev);
    frame(false); /* what is immediate stops both */
    frame(true);
    acknowledge(one);
    expect_quiet(dev);
    frame(false); /* the interval between interrupts counts all the same */
    set(BENCH_ITR, 100);
    set(BENCH_ICS, one);
    acknowledge(one);
    expect_after(100 * ITR_TICK);
    acknowledge(one);
    set(BENCH_ITR, 0);
    frame(false); /* a reset stops them, too */
    set(0, 1u << 26);
    expect_quiet(dev);
}

/* A state with a timer that runs, in another machine at that time: when does INTA come? anew: makes the machine. */
CHIP_BENCH void expect_restored(struct device **dev, void (*anew)(void))
{
    uint8_t state[8192];
    uint32_t len = (*dev)->ops->state_size;
    vtime_t now = m->st->warp, due = (*dev)->ops->deadline(*dev);

    ck_assert_uint_le(len, sizeof(state));
    ck_assert(!probe[3].level && due != VTIME_NEVER && due > now);
    memcpy(state, (*dev)->state, len);
    run_to(due);
    ck_assert(probe[3].level && probe[3].rose_at == due);
    memset(probe, 0, sizeof(probe));
    anew();
    memcpy((*dev)->state, state, len);
    m->st->warp = now;
    ck_assert((*dev)->ops->possible(*dev));
    expect_after(due - now);
    ck_assert_uint_eq(probe[3].rose_at, due);
}

/* The same of INTA's interval, and of each timer. receive, send: a frame whose interrupt may wait. */
CHIP_BENCH void expect_delays_restored(struct device **dev, void (*anew)(void), void (*receive)(bool immediately), void (*send)(bool immediately))
{
    anew();
    set(BENCH_IMS, 0x80);
    set(BENCH_ITR, 1000);
    set(BENCH_ICS, 0x80);
    acknowledge(0x80);
    run_for(7);
    set(BENCH_ICS, 0x80);
    expect_restored(dev, anew);
    for (unsigned i = 0; i < 4; i++) {
        bool sends = i & 1;

        anew();
        set(BENCH_IMS, sends ? 0x01 : 0x80);
        set(sends ? TIDV : RDTR, i / 2 ? 100 : 50);
        set(sends ? TADV : RADV, 70);
        (sends ? send : receive)(false);
        run_for(9);
        expect_restored(dev, anew);
    }
}

/* To everybody: IPv4 with that in it, and both checksums right. */
static void datagram(uint8_t *frame, unsigned protocol, size_t len)
{
    struct nic_ip ip;

    for (size_t i = 6; i < len; i++)
        frame[i] = (uint8_t)(i * 7);
    memset(frame, 0xff, 6);
    put_be16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put_be16(frame + 16, (uint16_t)(len - 14));
    put_be16(frame + 20, 0);
    frame[23] = (uint8_t)protocol;
    frame[46] = 0x50;
    ck_assert(nic_find_ip(frame, len, &ip));
    nic_put_ip_checksum(frame, &ip);
    nic_put_transport_checksum(frame, &ip);
}

#endif
