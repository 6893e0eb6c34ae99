/* Firmware tables, for guests that are loaded without firmware and for firmware: see tables.c. */
#ifndef HINDCAST_I386_PC_TABLES_H
#define HINDCAST_I386_PC_TABLES_H

#include "base/buffer.h"
#include "base/types.h"
#include "vm/dev/tpm.h"
#include "vm/machine.h"

#define TPM_BASE 0xfed40000u
#define TPM_PPI_BASE 0xfed45000u

/* Where they are put: the BIOS segment, reserved in every memory map. */
#define TABLES_BASE 0xf0000u
#define TABLES_MAX  0xff00u
#define TABLES_RSDP_BYTES 36u /* at TABLES_BASE */
/* Where the FACS has the waking vector, without firmware. */
#define TABLES_WAKING_VECTOR (TABLES_BASE + 64u + 12u)

struct tables_config {
    bool apic;            /* a local APIC and an I/O APIC are there */
    bool hpet;
    bool s3;              /* it can be suspended to RAM */
    bool floppy;          /* the controller is there */
    bool vga;
    struct tpm_description tpm;
    bool firmware;        /* there is some, which has not switched ACPI mode on */
    uint16_t pm_base;     /* of the PM I/O space; 0: PM_DEFAULT_BASE */
    uint64_t memory_bytes;
    uint32_t pci_hole;    /* first address of the hole between RAM and 4 GiB */
    uint64_t pci_high;    /* first address of the window above RAM and 4 GiB, and its end; 0: none */
    uint64_t pci_high_end;
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

/* The files of the firmware configuration device: "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader", and, if there is a TPM, its log. */
struct tables_files {
    struct buffer tables, rsdp, script;
    struct buffer tpm_log; /* "etc/tpm/log"; empty: none */
};
/* Append to them. Their sizes depend on no more than the configuration without pm_base. */
void tables_for_firmware(struct tables_files *out, const struct tables_config *config);
void tables_files_finish(struct tables_files *f);

/* The coreboot table, for COREBOOT_TABLE_BASE. */
#define COREBOOT_TABLE_BASE 0x500u
#define COREBOOT_TABLE_MAX  0xb00u
void coreboot_table_build(struct buffer *b, uint64_t memory_bytes, unsigned serial_count);

#endif
