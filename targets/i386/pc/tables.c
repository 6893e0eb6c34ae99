/*
 * ACPI tables (RSDP, RSDT, FADT, FACS, MADT, HPET, WAET: ACPI 6, chapter 5; the DSDT is in dsdt.c) that
 * describe this board: to a kernel that was loaded without a BIOS, with the MultiProcessor configuration
 * table (MP Specification 1.4, chapter 4); and to firmware, with a script that says how to place them (QEMU's
 * linker/loader: hw/acpi/bios-linker-loader.c describes its commands).
 *
 * Without firmware they must agree with how pc.c sets the chips up: PIRQA-B on IRQ 10,
 * PIRQC-D on IRQ 11, both level-triggered; SCI on IRQ 9; ACPI mode already on. With firmware ACPI mode
 * is switched on by the APM port, and the registers are where the firmware has put them.
 *
 * Not described: sleep states other than soft-off and suspend to RAM, thermal zones, hot-plug.
 */
#include "i386/pc/tables.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "i386/pc/apic.h"
#include "i386/pc/dsdt.h"
#include "i386/pc/hpet.h"
#include "i386/pc/ioapic.h"
#include "i386/pc/piix4_pm.h"

#define PCI_SLOTS 32u

#define FADT_BYTES 244u
#define FACS_BYTES 64u
#define FACS_WAKING_VECTOR 12u
#define RSDP_BYTES  20u
#define TPM_LOG_BYTES   65536u
#define TPM_CRB_CONTROL 0x40u
enum { TPM2_BY_FIFO = 6, TPM2_BY_CRB = 7 };
#define MP_POINTER  48u /* where the MP pointer lies, from TABLES_BASE on */

static const uint8_t level_irqs[] = {5, 9, 10, 11};

static void align(struct buffer *b, size_t to)
{
    while (b->len % to)
        buffer_append_byte(b, 0);
}

/* Tables on their way: their bytes, where the first will lie, and what the place decides. */
struct writer {
    struct buffer *b;
    uint32_t base;
    struct pointer {
        uint32_t at;      /* of the pointer itself */
        uint8_t size;     /* bytes */
    } pointers[24];
    unsigned npointers;
    struct extent {
        uint32_t at, len;
    } tables[10];         /* that have a checksum */
    unsigned ntables;
    uint32_t tpm_log;     /* where the TPM2 table has its log's address; 0: nowhere */
};

/* Append the address of something in the tables. */
static void put_pointer(struct writer *w, uint32_t address, uint8_t size)
{
    CHECK(w->npointers < ARRAY_LEN(w->pointers));
    w->pointers[w->npointers++] = (struct pointer){.at = (uint32_t)w->b->len, .size = size};
    buffer_append_le(w->b, address, size);
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    while (len--)
        sum = (uint8_t)(sum + *p++);
    return (uint8_t)-sum;
}

/* A system description table header; returns where the table begins. */
static size_t table_begin(struct writer *w, const char *signature, uint8_t revision)
{
    struct buffer *b = w->b;
    size_t at;

    align(b, 16);
    at = b->len;
    buffer_append(b, signature, 4);
    buffer_append_le(b, 0, 4);
    buffer_append_byte(b, revision);
    buffer_append_byte(b, 0);
    buffer_append(b, "HNDCST", 6);
    buffer_append(b, "HNDCSTPC", 8);
    buffer_append_le(b, 1, 4);
    buffer_append(b, "HNDC", 4);
    buffer_append_le(b, 1, 4);
    return at;
}

/* Its length and checksum; returns its address. */
static uint32_t table_end(struct writer *w, size_t at)
{
    struct buffer *b = w->b;
    uint32_t len = (uint32_t)(b->len - at);

    CHECK(w->ntables < ARRAY_LEN(w->tables));
    w->tables[w->ntables++] = (struct extent){.at = (uint32_t)at, .len = len};
    put_le32(b->data + at + 4, len);
    b->data[at + 9] = checksum(b->data + at, len);
    return w->base + (uint32_t)at;
}

/* ---- the fixed tables ---- */

static uint32_t build_dsdt(struct writer *w, const struct tables_config *config)
{
    size_t at = table_begin(w, "DSDT", 1);

    dsdt_body(w->b, config);
    return table_end(w, at);
}

static uint32_t build_facs(struct writer *w)
{
    struct buffer *b = w->b;
    uint32_t at;

    align(b, 64);
    at = w->base + (uint32_t)b->len;
    buffer_append(b, "FACS", 4);
    buffer_append_le(b, FACS_BYTES, 4);
    buffer_append_le(b, 0, 24);
    buffer_append_byte(b, 1); /* version */
    buffer_append_le(b, 0, 31);
    return at;
}

/* Generic address of an I/O port block. */
static void put_gas(struct buffer *b, uint16_t port, uint8_t bits)
{
    buffer_append_byte(b, port ? 1 : 0);
    buffer_append_byte(b, port ? bits : 0);
    buffer_append_byte(b, 0);
    buffer_append_byte(b, 0);
    buffer_append_le(b, port, 8);
}

static uint32_t build_fadt(struct writer *w, const struct tables_config *config, uint32_t facs, uint32_t dsdt)
{
    const uint16_t base = config->pm_base ? config->pm_base : PM_DEFAULT_BASE;
    size_t at = table_begin(w, "FACP", 3);
    struct buffer *b = w->b;

    put_pointer(w, facs, 4);
    put_pointer(w, dsdt, 4);
    buffer_append_le(b, 0, 1);
    buffer_append_le(b, 1, 1);              /* preferred profile: desktop */
    buffer_append_le(b, PM_SCI_IRQ, 2);
    buffer_append_le(b, config->firmware ? PM_APM_PORT : 0, 4); /* SMI_CMD; 0: always in ACPI mode */
    buffer_append_le(b, config->firmware ? PM_ACPI_ENABLE | PM_ACPI_DISABLE << 8 : 0, 4); /* and S4BIOS_REQ, PSTATE_CNT */
    buffer_append_le(b, base, 4);           /* PM1a event block */
    buffer_append_le(b, 0, 4);
    buffer_append_le(b, base + 4u, 4);      /* PM1a control block */
    buffer_append_le(b, 0, 4);
    buffer_append_le(b, 0, 4);
    buffer_append_le(b, base + 8u, 4);      /* PM timer */
    buffer_append_le(b, base + 0xcu, 4);    /* GPE0 */
    buffer_append_le(b, 0, 4);
    buffer_append_le(b, 4, 1);              /* lengths: PM1 event, PM1 control, PM2, timer, GPE0, GPE1 */
    buffer_append_le(b, 2, 1);
    buffer_append_le(b, 0, 1);
    buffer_append_le(b, 4, 1);
    buffer_append_le(b, 4, 1);
    buffer_append_le(b, 0, 1);
    buffer_append_le(b, 0, 1);              /* GPE1 base */
    buffer_append_le(b, 0, 1);
    buffer_append_le(b, 0x0fff, 2);         /* C2 and C3 latency: not supported */
    buffer_append_le(b, 0x0fff, 2);
    buffer_append_le(b, 0, 4);              /* flush size and stride */
    buffer_append_le(b, 0, 2);              /* duty offset and width */
    buffer_append_le(b, 0, 2);              /* day and month alarm */
    buffer_append_le(b, 0x32, 1);           /* century */
    buffer_append_le(b, config->vga ? 0x0003 : 0x0007, 2); /* boot architecture: legacy devices, 8042, no VGA */
    buffer_append_le(b, 0, 1);
    /* WBINVD, C1 everywhere, no sleep button, reset register */
    buffer_append_le(b, 1u << 0 | 1u << 2 | 1u << 5 | 1u << 10, 4);
    put_gas(b, 0xcf9, 8);
    buffer_append_le(b, 0x06, 1);           /* value that resets */
    buffer_append_le(b, 0, 3);
    put_pointer(w, facs, 8);
    put_pointer(w, dsdt, 8);
    put_gas(b, base, 32);
    put_gas(b, 0, 0);
    put_gas(b, base + 4u, 16);
    put_gas(b, 0, 0);
    put_gas(b, 0, 0);
    put_gas(b, base + 8u, 32);
    put_gas(b, base + 0xcu, 32);
    put_gas(b, 0, 0);
    CHECK(b->len - at == FADT_BYTES);
    return table_end(w, at);
}

static void madt_override(struct buffer *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    buffer_append_le(b, 2, 1);
    buffer_append_le(b, 10, 1);
    buffer_append_le(b, 0, 1);
    buffer_append_le(b, irq, 1);
    buffer_append_le(b, gsi, 4);
    buffer_append_le(b, flags, 2);
}

static uint32_t build_madt(struct writer *w, const struct tables_config *config)
{
    size_t at = table_begin(w, "APIC", 1);
    struct buffer *b = w->b;

    buffer_append_le(b, APIC_DEFAULT_BASE, 4);
    buffer_append_le(b, 1, 4);     /* a pair of 8259s is there too */
    for (unsigned n = 0; n < config->cpus; n++) {
        buffer_append_le(b, 0x0800, 2); /* local APIC: processor, APIC ID, enabled */
        buffer_append_le(b, n, 1);
        buffer_append_le(b, config->apic_ids[n], 1);
        buffer_append_le(b, 1, 4);
    }
    buffer_append_le(b, 0x0c01, 2); /* I/O APIC */
    buffer_append_le(b, tables_ioapic_id(config->cpus), 2);
    buffer_append_le(b, IOAPIC_BASE, 4);
    buffer_append_le(b, 0, 4);
    madt_override(b, 0, 2, 0);
    for (unsigned i = 0; i < sizeof(level_irqs); i++)
        madt_override(b, level_irqs[i], level_irqs[i], 0x000d); /* active high, level */
    buffer_append_le(b, 0x0604, 2); /* NMI at LINT1 of every processor */
    buffer_append_le(b, 0xff, 1);
    buffer_append_le(b, 0, 2);
    buffer_append_le(b, 1, 1);
    return table_end(w, at);
}

/* IA-PC HPET specification 1.0a, 3.2.4. */
static uint32_t build_hpet(struct writer *w)
{
    size_t at = table_begin(w, "HPET", 1);
    struct buffer *b = w->b;

    buffer_append_le(b, HPET_BLOCK_ID, 4);
    buffer_append_le(b, 0, 4); /* in memory */
    buffer_append_le(b, HPET_BASE, 8);
    buffer_append_le(b, 0, 4); /* number, least ticks in periodic mode, page protection */
    return table_end(w, at);
}

/* Windows ACPI Emulated Devices Table: one reading of the PM timer is enough. */
static uint32_t build_waet(struct writer *w)
{
    size_t at = table_begin(w, "WAET", 1);

    buffer_append_le(w->b, 1u << 1, 4);
    return table_end(w, at);
}

/* TCG ACPI Specification, family 2.0, 7.3: a client's, by its registers or by the command response buffer. Only firmware has
 * a log, whose address is its own to give. */
static uint32_t build_tpm2(struct writer *w, const struct tables_config *config)
{
    size_t at = table_begin(w, "TPM2", 4);
    struct buffer *b = w->b;

    buffer_append_le(b, 0, 4); /* platform class */
    buffer_append_le(b, config->tpm.crb ? TPM_BASE + TPM_CRB_CONTROL : 0, 8);
    buffer_append_le(b, config->tpm.crb ? TPM2_BY_CRB : TPM2_BY_FIFO, 4);
    buffer_append_le(b, 0, 8); /* parameters of the start method */
    buffer_append_le(b, 0, 4);
    buffer_append_le(b, config->firmware ? TPM_LOG_BYTES : 0, 4);
    if (config->firmware)
        w->tpm_log = (uint32_t)b->len;
    buffer_append_le(b, 0, 8);
    return table_end(w, at);
}

static uint32_t build_rsdt(struct writer *w, const uint32_t *tables, unsigned n)
{
    size_t at = table_begin(w, "RSDT", 1);

    for (unsigned i = 0; i < n; i++)
        put_pointer(w, tables[i], 4);
    return table_end(w, at);
}

static uint32_t build_xsdt(struct writer *w, const uint32_t *tables, unsigned n)
{
    size_t at = table_begin(w, "XSDT", 1);

    for (unsigned i = 0; i < n; i++)
        put_pointer(w, tables[i], 8);
    return table_end(w, at);
}

/* All of them; returns the RSDT's address; if `xsdt` is not NULL, there is an XSDT, too. */
static uint32_t build_acpi(struct writer *w, const struct tables_config *config, uint32_t *xsdt)
{
    uint32_t tables[5], facs = build_facs(w), dsdt = build_dsdt(w, config);
    unsigned n = 0;

    tables[n++] = build_fadt(w, config, facs, dsdt);
    if (config->apic)
        tables[n++] = build_madt(w, config);
    if (config->hpet)
        tables[n++] = build_hpet(w);
    tables[n++] = build_waet(w);
    if (config->tpm.there)
        tables[n++] = build_tpm2(w, config);
    if (xsdt)
        *xsdt = build_xsdt(w, tables, n);
    return build_rsdt(w, tables, n);
}

/* That of ACPI 1.0, as QEMU's pc has it. */
static void build_rsdp(uint8_t *p, uint32_t rsdt)
{
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, "HNDCST", 6);
    put_le32(p + 16, rsdt);
    p[8] = checksum(p, RSDP_BYTES);
}

/* That of ACPI 2.0, of which the former is the beginning. */
static void build_rsdp_2(uint8_t *p, uint32_t rsdt, uint32_t xsdt)
{
    p[15] = 2;
    put_le32(p + 20, TABLES_RSDP_BYTES);
    put_le64(p + 24, xsdt);
    build_rsdp(p, rsdt);
    p[32] = checksum(p, TABLES_RSDP_BYTES);
}

/* ---- MP table ---- */

static void mp_interrupt(struct buffer *b, uint8_t entry, uint8_t type, uint16_t flags, uint8_t bus, uint8_t irq,
                         uint8_t destination, uint8_t pin)
{
    const uint8_t bytes[8] = {entry, type, (uint8_t)flags, (uint8_t)(flags >> 8), bus, irq, destination, pin};

    buffer_append(b, bytes, sizeof(bytes));
}

/* The interrupt of pin `pin` (0: INTA) of a slot: PIRQs rotate with the slot. */
static unsigned pci_irq(unsigned slot, unsigned pin)
{
    return (slot + pin + 3) % 4 < 2 ? 10 : 11;
}

static unsigned mp_interrupts(struct buffer *b, uint8_t ioapic)
{
    unsigned n = 0;

    for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
        for (unsigned pin = 0; pin < 4; pin++, n++)
            mp_interrupt(b, 3, 0, 0x000d, 0, (uint8_t)(slot << 2 | pin), ioapic, (uint8_t)pci_irq(slot, pin));
    for (uint8_t irq = 0; irq < 16; irq++) {
        bool level = memchr(level_irqs, irq, sizeof(level_irqs)) != NULL;

        if (irq == 2)
            continue;
        mp_interrupt(b, 3, 0, level ? 0x000d : 0, 1, irq, ioapic, irq ? irq : 2);
        n++;
    }
    mp_interrupt(b, 4, 3, 0, 1, 0, 0xff, 0); /* ExtINT at LINT0, NMI at LINT1 */
    mp_interrupt(b, 4, 1, 0, 1, 0, 0xff, 1);
    return n + 2;
}

static uint32_t build_mp(struct buffer *b, const struct tables_config *config)
{
    unsigned entries = 3 + config->cpus;
    uint16_t len;
    size_t at;

    align(b, 16);
    at = b->len;
    buffer_append(b, "PCMP", 4);
    buffer_append_le(b, 0, 2);
    buffer_append_le(b, 4, 1); /* specification 1.4 */
    buffer_append_le(b, 0, 1);
    buffer_append(b, "HINDCAST", 8);
    buffer_append(b, "PC          ", 12);
    buffer_append_le(b, 0, 4);
    buffer_append_le(b, 0, 2);
    buffer_append_le(b, 0, 2); /* entry count */
    buffer_append_le(b, APIC_DEFAULT_BASE, 4);
    buffer_append_le(b, 0, 4);
    for (unsigned n = 0; n < config->cpus; n++) {
        buffer_append_le(b, 0, 1); /* processor: APIC ID, version, enabled, the boot processor or not */
        buffer_append_le(b, config->apic_ids[n], 1);
        buffer_append_le(b, 0x14, 1);
        buffer_append_le(b, n ? 1 : 3, 1);
        buffer_append_le(b, 0x680, 4);
        buffer_append_le(b, 0x201, 4);
        buffer_append_le(b, 0, 8);
    }
    buffer_append_le(b, 0x0001, 2); /* buses: PCI 0, ISA 1 */
    buffer_append(b, "PCI   ", 6);
    buffer_append_le(b, 0x0101, 2);
    buffer_append(b, "ISA   ", 6);
    buffer_append_le(b, 2, 1);      /* I/O APIC */
    buffer_append_le(b, tables_ioapic_id(config->cpus), 1);
    buffer_append_le(b, 0x11, 1);
    buffer_append_le(b, 1, 1);
    buffer_append_le(b, IOAPIC_BASE, 4);
    entries += mp_interrupts(b, (uint8_t)tables_ioapic_id(config->cpus));
    len = (uint16_t)(b->len - at);
    put_le16(b->data + at + 4, len);
    put_le16(b->data + at + 34, entries);
    b->data[at + 7] = checksum(b->data + at, len);
    return TABLES_BASE + (uint32_t)at;
}

static void build_mp_pointer(uint8_t *p, uint32_t table)
{
    memcpy(p, "_MP_", 4);
    put_le32(p + 4, table);
    p[8] = 1; /* 16 bytes */
    p[9] = 4;
    p[10] = checksum(p, 16);
}

uint32_t tables_build(struct buffer *b, const struct tables_config *config)
{
    struct writer w = {.b = b, .base = TABLES_BASE};
    uint32_t mp, rsdt, xsdt;

    buffer_append_le(b, 0, 64); /* RSDP and MP pointer come first, at 16-byte boundaries, once the rest is known */
    CHECK(TABLES_BASE + b->len + FACS_WAKING_VECTOR == TABLES_WAKING_VECTOR);
    rsdt = build_acpi(&w, config, &xsdt);
    build_rsdp_2(b->data, rsdt, xsdt);
    if (config->apic) {
        mp = build_mp(b, config);
        build_mp_pointer(b->data + MP_POINTER, mp);
    }
    align(b, 16);
    CHECK(b->len <= TABLES_MAX);
    return TABLES_BASE;
}

/* ---- for firmware ---- */

#define TABLES_FILE "etc/acpi/tables"
#define RSDP_FILE   "etc/acpi/rsdp"
#define TPM_LOG_FILE "etc/tpm/log"
#define FILE_NAME_BYTES 56u
#define ENTRY_BYTES 128u

enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

static void put_file(struct buffer *b, const char *name)
{
    char text[FILE_NAME_BYTES] = {0};

    strncpy(text, name, sizeof(text) - 1);
    buffer_append(b, text, sizeof(text));
}

static void entry_end(struct buffer *b)
{
    align(b, ENTRY_BYTES);
}

static void script_allocate(struct buffer *b, const char *file, uint32_t alignment, uint8_t zone)
{
    buffer_append_le(b, LOADER_ALLOCATE, 4);
    put_file(b, file);
    buffer_append_le(b, alignment, 4);
    buffer_append_le(b, zone, 1);
    entry_end(b);
}

/* The pointer at `at` in `file` is an offset into `target`: make it an address. */
static void script_pointer(struct buffer *b, const char *file, const char *target, uint32_t at, uint8_t size)
{
    buffer_append_le(b, LOADER_ADD_POINTER, 4);
    put_file(b, file);
    put_file(b, target);
    buffer_append_le(b, at, 4);
    buffer_append_le(b, size, 1);
    entry_end(b);
}

static void script_checksum(struct buffer *b, const char *file, uint32_t at, uint32_t start, uint32_t len)
{
    buffer_append_le(b, LOADER_ADD_CHECKSUM, 4);
    put_file(b, file);
    buffer_append_le(b, at, 4);
    buffer_append_le(b, start, 4);
    buffer_append_le(b, len, 4);
    entry_end(b);
}

void tables_for_firmware(struct tables_files *out, const struct tables_config *config)
{
    struct writer w = {.b = &out->tables};
    uint8_t rsdp[RSDP_BYTES] = {0};

    build_rsdp(rsdp, build_acpi(&w, config, NULL));
    rsdp[8] = 0;
    buffer_append(&out->rsdp, rsdp, sizeof(rsdp));
    script_allocate(&out->script, RSDP_FILE, 16, ZONE_FSEG);
    script_allocate(&out->script, TABLES_FILE, 64, ZONE_HIGH);
    if (w.tpm_log) {
        buffer_append_le(&out->tpm_log, 0, TPM_LOG_BYTES);
        script_allocate(&out->script, TPM_LOG_FILE, 1, ZONE_HIGH);
        script_pointer(&out->script, TABLES_FILE, TPM_LOG_FILE, w.tpm_log, 8);
    }
    for (unsigned i = 0; i < w.npointers; i++)
        script_pointer(&out->script, TABLES_FILE, TABLES_FILE, w.pointers[i].at, w.pointers[i].size);
    for (unsigned i = 0; i < w.ntables; i++) {
        out->tables.data[w.tables[i].at + 9] = 0;
        script_checksum(&out->script, TABLES_FILE, w.tables[i].at + 9, w.tables[i].at, w.tables[i].len);
    }
    script_pointer(&out->script, RSDP_FILE, TABLES_FILE, 16, 4);
    script_checksum(&out->script, RSDP_FILE, 8, 0, RSDP_BYTES);
}

void tables_files_finish(struct tables_files *f)
{
    buffer_finish(&f->tables);
    buffer_finish(&f->rsdp);
    buffer_finish(&f->script);
    buffer_finish(&f->tpm_log);
}
