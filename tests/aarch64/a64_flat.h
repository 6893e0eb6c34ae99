/*
 * All of the low 4 GiB where it is physically, as Normal memory that everybody may read, write and
 * execute: stage 1 off with HCR_EL2.DC, stage 2 by blocks of 1 GiB. (With translation
 * off altogether data is Device memory, and accesses to it must be aligned.) Needs
 * A64_HAS_EL2 and one more page of storage; RAM_OF_TABLE must be free.
 */
#ifndef HINDCAST_TESTS_A64_FLAT_H
#define HINDCAST_TESTS_A64_FLAT_H

#include "aarch64/system.h"

#define RAM_OF_TABLE UINT64_C(0xf0000000)

static inline void a64_flat_map(struct machine *m, struct a64_cpu *c)
{
    memory_map(&m->memory, &(struct region){.base = RAM_OF_TABLE, .size = PAGE_SIZE, .kind = REGION_RAM,
                                            .page = memory_alloc(&m->memory, "ram", PAGE_SIZE), .enabled = true});
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t block = i << 30 | 0x7fd; /* AF, inner shareable, read and write, write-back */

        memory_write_bytes(&m->memory, RAM_OF_TABLE + 8 * i, &block, sizeof block, true);
    }
    c->st->vttbr_el2 = RAM_OF_TABLE;
    c->st->vtcr_el2 = 25 | 1 << 6 | 2 << 16; /* 39 bits from level 1, 40 bits out */
    c->st->hcr_el2 |= HCR_DC | HCR_VM;
    m->cpus[0]->ops->drop_derived(m->cpus[0]);
}

#endif
