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
