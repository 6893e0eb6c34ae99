/*
 * The registers of a card of the e1000 family, and its rings.
 */
#ifndef HINDCAST_TESTS_VM_E1000_BENCH_H
#define HINDCAST_TESTS_VM_E1000_BENCH_H

#include "tests/vm/disk_bench.h"

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

#endif
