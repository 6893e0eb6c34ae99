/* Firmware tables for guests that are loaded without firmware: see tables.c. */
#ifndef HINDCAST_I386_PC_TABLES_H
#define HINDCAST_I386_PC_TABLES_H

#include "base/buffer.h"
#include "base/types.h"
#include "vm/machine.h"

/* Where they are put: the BIOS segment, reserved in every memory map. */
#define TABLES_BASE 0xf0000u
#define TABLES_MAX  0x10000u

struct tables_config {
    bool apic;            /* a local APIC and an I/O APIC are there */
    uint64_t memory_bytes;
    uint32_t pci_hole;    /* first address of the hole between RAM and 4 GiB */
    unsigned serial_count;
    unsigned cpus;
    uint8_t apic_ids[MACHINE_MAX_CPUS]; /* of each */
};

/* The I/O APIC's ID on a board of so many CPUs: one that none of theirs is, if there is one of 4 bits. */
static inline unsigned tables_ioapic_id(unsigned cpus)
{
    return cpus < 16 ? cpus : 0;
}

/* Append the tables as they lie from TABLES_BASE on. Returns the RSDP's address. */
uint32_t tables_build(struct buffer *b, const struct tables_config *config);

/* The coreboot table, for COREBOOT_TABLE_BASE. */
#define COREBOOT_TABLE_BASE 0x500u
#define COREBOOT_TABLE_MAX  0xb00u
void coreboot_table_build(struct buffer *b, uint64_t memory_bytes, unsigned serial_count);

#endif
