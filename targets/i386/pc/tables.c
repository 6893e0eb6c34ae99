/*
 * ACPI tables (RSDP, RSDT, FADT, FACS, MADT, DSDT: ACPI 6, chapter 5) and the
 * MultiProcessor configuration table (MP Specification 1.4, chapter 4) that
 * describe this board to a kernel that was loaded without a BIOS. What they say
 * must agree with how pc.c sets the chips up for such a guest: PIRQA-B on IRQ 10,
 * PIRQC-D on IRQ 11, both level-triggered; SCI on IRQ 9; ACPI mode already on.
 *
 * Not described: sleep states other than soft-off, thermal zones, hot-plug.
 */
#include "i386/pc/tables.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "i386/pc/aml.h"
#include "i386/pc/apic.h"
#include "i386/pc/ioapic.h"
#include "i386/pc/piix4_pm.h"

#define PCI_SLOTS 32u

#define FADT_BYTES 244u
#define FACS_BYTES 64u
#define HEADER_BYTES 36u

static const uint8_t level_irqs[] = {5, 9, 10, 11};

static void align(struct buffer *b, size_t to)
{
    while (b->len % to)
        buffer_append_byte(b, 0);
}

static uint32_t here(const struct buffer *b)
{
    return TABLES_BASE + (uint32_t)b->len;
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    while (len--)
        sum = (uint8_t)(sum + *p++);
    return (uint8_t)-sum;
}

/* A system description table header; returns where the table begins. */
static size_t table_begin(struct buffer *b, const char *signature, uint8_t revision)
{
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

static uint32_t table_end(struct buffer *b, size_t at)
{
    uint32_t len = (uint32_t)(b->len - at);

    put_le32(b->data + at + 4, len);
    b->data[at + 9] = checksum(b->data + at, len);
    return TABLES_BASE + (uint32_t)at;
}

/* ---- DSDT ---- */

static void isa_device(struct buffer *b, const char *name, const char *hid, uint32_t uid, uint16_t port, uint8_t len,
                       uint16_t port2, unsigned irq, unsigned irq2)
{
    struct aml_mark device = aml_device_begin(b, name), crs;

    aml_name(b, "_HID");
    aml_eisaid(b, hid);
    aml_name_integer(b, "_UID", uid);
    aml_name_integer(b, "_STA", 0x0f);
    aml_name(b, "_CRS");
    crs = aml_resources_begin(b);
    if (port)
        aml_io(b, port, len);
    if (port2)
        aml_io(b, port2, len);
    aml_irq(b, irq);
    if (irq2)
        aml_irq(b, irq2);
    aml_resources_end(b, crs);
    aml_end(b, device);
}

static void isa_bridge(struct buffer *b, const struct tables_config *config)
{
    struct aml_mark bridge = aml_device_begin(b, "ISA");

    aml_name_integer(b, "_ADR", 0x00010000);
    isa_device(b, "RTC", "PNP0B00", 0, 0x70, 8, 0, 8, 0);
    isa_device(b, "KBD", "PNP0303", 0, 0x60, 1, 0x64, 1, 0);
    isa_device(b, "MOU", "PNP0F13", 0, 0, 0, 0, 12, 0);
    if (config->serial_count > 0)
        isa_device(b, "COM1", "PNP0501", 1, 0x3f8, 8, 0, 4, 0);
    if (config->serial_count > 1)
        isa_device(b, "COM2", "PNP0501", 2, 0x2f8, 8, 0, 3, 0);
    aml_end(b, bridge);
}

/* The interrupt of pin `pin` (0: INTA) of a slot: PIRQs rotate with the slot. */
static unsigned pci_irq(unsigned slot, unsigned pin)
{
    return (slot + pin + 3) % 4 < 2 ? 10 : 11;
}

static void pci_routing(struct buffer *b)
{
    struct aml_mark table, entry;

    aml_name(b, "_PRT");
    table = aml_package_begin(b, PCI_SLOTS * 4);
    for (unsigned n = 0; n < PCI_SLOTS * 4; n++) {
        entry = aml_package_begin(b, 4);
        aml_integer(b, n / 4 << 16 | 0xffffu);
        aml_integer(b, n % 4);
        aml_integer(b, 0); /* no link device: a global interrupt */
        aml_integer(b, n / 4 == 1 && n % 4 == 0 ? PM_SCI_IRQ : pci_irq(n / 4, n % 4));
        aml_end(b, entry);
    }
    aml_end(b, table);
}

static void pci_root(struct buffer *b, const struct tables_config *config)
{
    struct aml_mark root = aml_device_begin(b, "PCI0"), crs;

    aml_name(b, "_HID");
    aml_eisaid(b, "PNP0A03");
    aml_name_integer(b, "_ADR", 0);
    aml_name_integer(b, "_UID", 0);
    aml_name(b, "_CRS");
    crs = aml_resources_begin(b);
    aml_word_bus(b, 0, 0xff);
    aml_io(b, 0xcf8, 8);
    aml_word_io(b, 0, 0xcf7);
    aml_word_io(b, 0xd00, 0xffff);
    aml_dword_memory(b, 0xa0000, 0xbffff);
    aml_dword_memory(b, config->pci_hole, IOAPIC_BASE - 1);
    aml_resources_end(b, crs);
    pci_routing(b);
    isa_bridge(b, config);
    aml_end(b, root);
}

static uint32_t build_dsdt(struct buffer *b, const struct tables_config *config)
{
    size_t at = table_begin(b, "DSDT", 1);
    struct aml_mark scope = aml_scope_begin(b, "_SB"), s5;

    pci_root(b, config);
    aml_end(b, scope);
    aml_name(b, "_S5"); /* SLP_TYP of soft-off: 0 in the PIIX4 */
    s5 = aml_package_begin(b, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_integer(b, 0);
    aml_end(b, s5);
    return table_end(b, at);
}

/* ---- the fixed tables ---- */

static uint32_t build_facs(struct buffer *b)
{
    uint32_t at;

    align(b, 64);
    at = here(b);
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

static uint32_t build_fadt(struct buffer *b, uint32_t facs, uint32_t dsdt)
{
    const uint16_t base = PM_DEFAULT_BASE;
    size_t at = table_begin(b, "FACP", 3);

    buffer_append_le(b, facs, 4);
    buffer_append_le(b, dsdt, 4);
    buffer_append_le(b, 0, 1);
    buffer_append_le(b, 1, 1);              /* preferred profile: desktop */
    buffer_append_le(b, PM_SCI_IRQ, 2);
    buffer_append_le(b, 0, 4);              /* SMI_CMD 0: always in ACPI mode */
    buffer_append_le(b, 0, 4);              /* ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
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
    buffer_append_le(b, 0x0007, 2);         /* boot architecture: legacy devices, 8042, no VGA */
    buffer_append_le(b, 0, 1);
    /* WBINVD, C1 everywhere, no sleep button, RTC wake not fixed, reset register */
    buffer_append_le(b, 1u << 0 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 10, 4);
    put_gas(b, 0xcf9, 8);
    buffer_append_le(b, 0x06, 1);           /* value that resets */
    buffer_append_le(b, 0, 3);
    buffer_append_le(b, facs, 8);
    buffer_append_le(b, dsdt, 8);
    put_gas(b, base, 32);
    put_gas(b, 0, 0);
    put_gas(b, base + 4u, 16);
    put_gas(b, 0, 0);
    put_gas(b, 0, 0);
    put_gas(b, base + 8u, 32);
    put_gas(b, base + 0xcu, 32);
    put_gas(b, 0, 0);
    CHECK(b->len - at == FADT_BYTES);
    return table_end(b, at);
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

static uint32_t build_madt(struct buffer *b, const struct tables_config *config)
{
    size_t at = table_begin(b, "APIC", 1);

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
    return table_end(b, at);
}

static uint32_t build_rsdt(struct buffer *b, const uint32_t *tables, unsigned n)
{
    size_t at = table_begin(b, "RSDT", 1);

    for (unsigned i = 0; i < n; i++)
        buffer_append_le(b, tables[i], 4);
    return table_end(b, at);
}

static void build_rsdp(uint8_t *p, uint32_t rsdt)
{
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, "HNDCST", 6);
    p[15] = 0; /* ACPI 1.0: no XSDT, as everything lies below 4 GiB */
    put_le32(p + 16, rsdt);
    p[8] = 0;
    p[8] = checksum(p, 20);
}

/* ---- MP table ---- */

static void mp_interrupt(struct buffer *b, uint8_t entry, uint8_t type, uint16_t flags, uint8_t bus, uint8_t irq,
                         uint8_t destination, uint8_t pin)
{
    const uint8_t bytes[8] = {entry, type, (uint8_t)flags, (uint8_t)(flags >> 8), bus, irq, destination, pin};

    buffer_append(b, bytes, sizeof(bytes));
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
    uint32_t tables[2], facs, dsdt, rsdt, mp;
    unsigned n = 0;

    buffer_append_le(b, 0, 64); /* RSDP and MP pointer come first, at 16-byte boundaries, once the rest is known */
    facs = build_facs(b);
    dsdt = build_dsdt(b, config);
    tables[n++] = build_fadt(b, facs, dsdt);
    if (config->apic)
        tables[n++] = build_madt(b, config);
    rsdt = build_rsdt(b, tables, n);
    build_rsdp(b->data, rsdt);
    if (config->apic) {
        mp = build_mp(b, config);
        build_mp_pointer(b->data + 32, mp);
    }
    CHECK(b->len <= TABLES_MAX);
    return TABLES_BASE;
}
