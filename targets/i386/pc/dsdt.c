/*
 * The board in ACPI Machine Language: the PCI root with its windows and interrupt routing, the
 * ISA devices, the event timers, soft-off.
 *
 * INTx of a slot reaches PIRQA to PIRQD, which turn with the slot; each is a link device (ACPI 6, 6.2.13) that reads
 * and sets the PIIX3's route control, so that an OS follows whatever firmware chose. What is said is what QEMU's
 * tables say of this board; its hot-plug controllers are not there.
 */
#include "i386/pc/dsdt.h"

#include <stdio.h>

#include "i386/pc/aml.h"
#include "i386/pc/fdc.h"
#include "i386/pc/hpet.h"
#include "i386/pc/ioapic.h"
#include "i386/pc/piix4_pm.h"

#define PCI_SLOTS 32u
#define LINK_OFF  0x80u  /* PIRQRC: not routed */

static const uint8_t link_irqs[] = {5, 10, 11};

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

static void floppy_controller(struct buffer *b)
{
    struct aml_mark device = aml_device_begin(b, "FDC0"), crs;

    aml_name(b, "_HID");
    aml_eisaid(b, "PNP0700");
    aml_name_integer(b, "_STA", 0x0f);
    aml_name(b, "_CRS");
    crs = aml_resources_begin(b);
    aml_io(b, 0x3f2, 4);
    aml_io(b, 0x3f7, 1);
    aml_irq(b, FDC_IRQ);
    aml_dma(b, FDC_CHANNEL);
    aml_resources_end(b, crs);
    aml_end(b, device);
}

/* Its interrupt is told only if somebody chose one: the usual one is also a PCI link's. */
static void tpm(struct buffer *b, const struct tables_config *config)
{
    struct aml_mark device = aml_device_begin(b, "TPM"), crs;

    aml_name(b, "_HID");
    aml_string(b, "MSFT0101");
    aml_name(b, "_STR");
    aml_string(b, "TPM 2.0 Device");
    aml_name_integer(b, "_UID", 1);
    aml_name_integer(b, "_STA", 0x0f);
    aml_name(b, "_CRS");
    crs = aml_resources_begin(b);
    aml_fixed_memory(b, true, TPM_BASE, config->tpm.crb ? 0x1000 : TPM_REGION_BYTES);
    if (config->tpm.irq != TPM_NO_IRQ && !config->tpm.crb)
        aml_irq(b, config->tpm.irq);
    aml_resources_end(b, crs);
    aml_end(b, device);
}

static void isa_bridge(struct buffer *b, const struct tables_config *config)
{
    struct aml_mark bridge = aml_device_begin(b, "ISA");

    aml_name_integer(b, "_ADR", 0x00010000);
    aml_pci_region(b, "P40C", 0x60, 4);
    isa_device(b, "RTC", "PNP0B00", 0, 0x70, 8, 0, 8, 0);
    isa_device(b, "KBD", "PNP0303", 0, 0x60, 1, 0x64, 1, 0);
    isa_device(b, "MOU", "PNP0F13", 0, 0, 0, 0, 12, 0);
    if (config->floppy)
        floppy_controller(b);
    if (config->tpm.there)
        tpm(b, config);
    for (unsigned n = 0; n < config->serial_count; n++) {
        static const uint16_t base[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
        const char name[] = {'C', 'O', 'M', (char)('1' + n), 0};

        isa_device(b, name, "PNP0501", n + 1, base[n], 8, 0, n % 2 ? 3 : 4, 0);
    }
    aml_end(b, bridge);
}

/* Pin `pin` (0: INTA) of a slot; INTA of slot 1 is the power management's, which interrupts as the SCI does. */
static void pci_route(struct buffer *b, unsigned slot, unsigned pin)
{
    struct aml_mark entry = aml_package_begin(b, 4);
    char link[] = "LNKA";

    link[3] = slot == 1 && pin == 0 ? 'S' : (char)('A' + (slot + pin + 3) % 4);
    aml_integer(b, slot << 16 | 0xffffu);
    aml_integer(b, pin);
    aml_path(b, link);
    aml_integer(b, 0);
    aml_end(b, entry);
}

static void pci_root(struct buffer *b, const struct tables_config *config)
{
    struct aml_mark root = aml_device_begin(b, "PCI0"), crs, table;

    aml_name(b, "_HID");
    aml_eisaid(b, "PNP0A03");
    aml_name_integer(b, "_UID", 0);
    aml_name(b, "_CRS");
    crs = aml_resources_begin(b);
    aml_word_bus(b, 0, 0xff);
    aml_io(b, 0xcf8, 8);
    aml_word_io(b, 0, 0xcf7);
    aml_word_io(b, 0xd00, 0xffff);
    aml_dword_memory(b, 0xa0000, 0xbffff);
    aml_dword_memory(b, config->pci_hole, IOAPIC_BASE - 1);
    if (config->pci_high)
        aml_qword_memory(b, config->pci_high, config->pci_high_end - 1);
    aml_resources_end(b, crs);
    aml_name(b, "_PRT");
    table = aml_package_begin(b, PCI_SLOTS * 4);
    for (unsigned n = 0; n < PCI_SLOTS * 4; n++)
        pci_route(b, n / 4, n % 4);
    aml_end(b, table);
    isa_bridge(b, config);
    aml_end(b, root);
}

/* ---- interrupt links ---- */

/* IQST: is the link with this route control in use? IQCR: its resources. */
static void link_methods(struct buffer *b)
{
    static const uint8_t none[] = {0};
    struct aml_mark method = aml_method_begin(b, "IQST", 1, false), branch = aml_if_begin(b), resources;

    aml_op(b, AML_AND);
    aml_integer(b, LINK_OFF);
    aml_op(b, AML_ARG0);
    aml_op(b, AML_NOWHERE);
    aml_op(b, AML_RETURN);
    aml_integer(b, 0x09);
    aml_end(b, branch);
    aml_op(b, AML_RETURN);
    aml_integer(b, 0x0b);
    aml_end(b, method);
    aml_name(b, "PRR0");
    resources = aml_resources_begin(b);
    aml_interrupts(b, none, 1);
    aml_resources_end(b, resources);
    method = aml_method_begin(b, "IQCR", 1, true);
    aml_dword_field(b, "PRR0", 5, "PRRI");
    branch = aml_if_begin(b);
    aml_op(b, AML_LESS);
    aml_op(b, AML_ARG0);
    aml_integer(b, LINK_OFF);
    aml_op(b, AML_STORE);
    aml_op(b, AML_ARG0);
    aml_path(b, "PRRI");
    aml_end(b, branch);
    aml_op(b, AML_RETURN);
    aml_path(b, "PRR0");
    aml_end(b, method);
}

static void link_resources(struct buffer *b, const char *name, const uint8_t *irqs, uint8_t n)
{
    struct aml_mark resources;

    aml_name(b, name);
    resources = aml_resources_begin(b);
    aml_interrupts(b, irqs, n);
    aml_resources_end(b, resources);
}

static struct aml_mark link_begin(struct buffer *b, char letter, uint32_t uid)
{
    char name[] = "LNKA";
    struct aml_mark device;

    name[3] = letter;
    device = aml_device_begin(b, name);
    aml_name(b, "_HID");
    aml_eisaid(b, "PNP0C0F");
    aml_name_integer(b, "_UID", uid);
    return device;
}

/* return METHOD (FIELD) */
static void return_call(struct buffer *b, const char *name, const char *method, const char *field)
{
    struct aml_mark m = aml_method_begin(b, name, 0, false);

    aml_op(b, AML_RETURN);
    aml_path(b, method);
    aml_path(b, field);
    aml_end(b, m);
}

static void pirq_link(struct buffer *b, unsigned n)
{
    struct aml_mark device = link_begin(b, (char)('A' + n), n), method;
    char field[8];

    snprintf(field, sizeof(field), "PRQ%u", n % 10);
    link_resources(b, "_PRS", link_irqs, sizeof(link_irqs));
    return_call(b, "_STA", "IQST", field);
    method = aml_method_begin(b, "_DIS", 0, false);
    aml_op(b, AML_OR);
    aml_path(b, field);
    aml_integer(b, LINK_OFF);
    aml_path(b, field);
    aml_end(b, method);
    return_call(b, "_CRS", "IQCR", field);
    method = aml_method_begin(b, "_SRS", 1, false);
    aml_dword_field(b, "Arg0", 5, "PRRI");
    aml_op(b, AML_STORE);
    aml_path(b, "PRRI");
    aml_path(b, field);
    aml_end(b, method);
    aml_end(b, device);
}

/* The SCI's, which nothing turns or switches. */
static void sci_link(struct buffer *b)
{
    static const uint8_t sci[] = {PM_SCI_IRQ};
    struct aml_mark device = link_begin(b, 'S', 4), method;

    link_resources(b, "_PRS", sci, 1);
    link_resources(b, "_CRS", sci, 1);
    aml_name_integer(b, "_STA", 0x0b);
    method = aml_method_begin(b, "_DIS", 0, false);
    aml_end(b, method);
    method = aml_method_begin(b, "_SRS", 1, false);
    aml_end(b, method);
    aml_end(b, device);
}

static void links(struct buffer *b)
{
    struct aml_mark field = aml_field_begin(b, "PCI0.ISA.P40C");

    for (unsigned n = 0; n < 4; n++) {
        char name[8];

        snprintf(name, sizeof(name), "PRQ%u", n % 10);
        aml_field_unit(b, name, 8);
    }
    aml_end(b, field);
    link_methods(b);
    for (unsigned n = 0; n < 4; n++)
        pirq_link(b, n);
    sci_link(b);
}

/* ---- the rest ---- */

static void hpet(struct buffer *b)
{
    struct aml_mark device = aml_device_begin(b, "HPET"), crs;

    aml_name(b, "_HID");
    aml_eisaid(b, "PNP0103");
    aml_name_integer(b, "_UID", 0);
    aml_name(b, "_CRS");
    crs = aml_resources_begin(b);
    aml_fixed_memory(b, false, HPET_BASE, HPET_BYTES);
    aml_resources_end(b, crs);
    aml_end(b, device);
}

/* SLP_TYP of a sleep state, for both control registers. */
static void sleep_state(struct buffer *b, const char *name, uint8_t type)
{
    struct aml_mark package;

    aml_name(b, name);
    package = aml_package_begin(b, 4);
    aml_integer(b, type);
    aml_integer(b, type);
    aml_integer(b, 0);
    aml_integer(b, 0);
    aml_end(b, package);
}

void dsdt_body(struct buffer *b, const struct tables_config *config)
{
    struct aml_mark scope = aml_scope_begin(b, "\\_SB");

    pci_root(b, config);
    links(b);
    if (config->hpet)
        hpet(b);
    aml_end(b, scope);
    sleep_state(b, "_S5", 0);
}
