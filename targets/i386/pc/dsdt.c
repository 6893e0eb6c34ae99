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
#include "vm/dev/tpm_ppi.h"

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

/* ---- a TPM's physical presence interface (TCG PC Client PPI 1.30, 2) ---- */

/* If (which == value) */
static struct aml_mark if_equal(struct buffer *b, uint8_t which, uint32_t value)
{
    struct aml_mark mark = aml_if_begin(b);

    aml_op(b, AML_EQUAL);
    aml_op(b, which);
    aml_integer(b, value);
    return mark;
}

static void return_integer(struct buffer *b, uint32_t value)
{
    aml_op(b, AML_RETURN);
    aml_integer(b, value);
}

/* If (Arg2 == function) {Return (value)} */
static void function_returns(struct buffer *b, uint32_t function, uint32_t value)
{
    struct aml_mark mark = if_equal(b, AML_ARG0 + 2, function);

    return_integer(b, value);
    aml_end(b, mark);
}

static void return_bytes(struct buffer *b, uint8_t first, uint8_t second, uint8_t n)
{
    const uint8_t bytes[2] = {first, second};

    aml_op(b, AML_RETURN);
    aml_bytes(b, bytes, n);
}

/* Local(n) = element n of the package in Arg3 */
static void take_argument(struct buffer *b, uint8_t n)
{
    aml_op(b, AML_STORE);
    aml_op(b, AML_DEREFERENCE);
    aml_op(b, AML_INDEX);
    aml_op(b, AML_ARG0 + 3);
    aml_integer(b, n);
    aml_op(b, AML_NOWHERE);
    aml_op(b, AML_LOCAL0 + n);
}

/* name = Local(n); n 8: 0. */
static void set_name(struct buffer *b, const char *name, uint8_t n)
{
    aml_op(b, AML_STORE);
    aml_op(b, n == 8 ? 0 : AML_LOCAL0 + n);
    aml_path(b, name);
}

/* package[n] = name */
static void set_element(struct buffer *b, const char *package, uint8_t n, const char *name)
{
    aml_op(b, AML_STORE);
    aml_path(b, name);
    aml_op(b, AML_INDEX);
    aml_path(b, package);
    aml_integer(b, n);
    aml_op(b, AML_NOWHERE);
}

static void return_name(struct buffer *b, const char *name)
{
    aml_op(b, AML_RETURN);
    aml_path(b, name);
}

static void name_package(struct buffer *b, const char *name, uint8_t elements)
{
    struct aml_mark mark;

    aml_name(b, name);
    mark = aml_package_begin(b, elements);
    for (unsigned i = 0; i < elements; i++)
        aml_integer(b, 0);
    aml_end(b, mark);
}

static void memory_field(struct buffer *b, const char *region, uint32_t at, const char *const *names, unsigned n, uint8_t bits)
{
    struct aml_mark field;

    aml_memory_region(b, region);
    aml_integer(b, TPM_PPI_BASE + at);
    aml_integer(b, n * bits / 8);
    field = aml_field_begin(b, region);
    for (unsigned i = 0; i < n; i++)
        aml_field_unit(b, names[i], bits);
    aml_end(b, field);
}

/* What firmware makes of an operation. */
static void ppi_operation(struct buffer *b)
{
    struct aml_mark method = aml_method_begin(b, "TPFN", 1, true), mark;

    mark = aml_if_begin(b); /* there are 256 */
    aml_op(b, AML_LESS);
    aml_integer(b, 255);
    aml_op(b, AML_ARG0);
    return_integer(b, 0);
    aml_end(b, mark);
    aml_memory_region(b, "TPP1");
    aml_op(b, AML_ADD);
    aml_integer(b, TPM_PPI_BASE);
    aml_op(b, AML_ARG0);
    aml_op(b, AML_NOWHERE);
    aml_integer(b, 1);
    mark = aml_field_begin(b, "TPP1");
    aml_field_unit(b, "TPPF", 8);
    aml_end(b, mark);
    return_name(b, "TPPF");
    aml_end(b, method);
}

/* Functions 2 and 7: request an operation, as far as firmware knows it; the second one says when it is blocked, and has a parameter. */
static void ppi_request(struct buffer *b, uint32_t function)
{
    struct aml_mark mark = if_equal(b, AML_ARG0 + 2, function), inner;

    take_argument(b, 0);
    aml_op(b, AML_STORE);
    aml_path(b, "TPFN");
    aml_op(b, AML_LOCAL0);
    aml_op(b, AML_LOCAL0 + 2);
    inner = if_equal(b, AML_LOCAL0 + 2, 0);
    return_integer(b, 1);
    aml_end(b, inner);
    if (function == 7) {
        inner = if_equal(b, AML_LOCAL0 + 2, 2);
        return_integer(b, 3);
        aml_end(b, inner);
    }
    set_name(b, "PPRQ", 0);
    set_name(b, "PPRM", 8);
    if (function == 7) {
        inner = if_equal(b, AML_ARG0 + 1, 2); /* since revision 2 */
        take_argument(b, 1);
        set_name(b, "PPRM", 1);
        aml_end(b, inner);
    }
    return_integer(b, 0);
    aml_end(b, mark);
}

static void ppi_functions(struct buffer *b)
{
    struct aml_mark mark = if_equal(b, AML_ARG0 + 2, 0), inner;

    return_bytes(b, 0xff, 0x01, 2); /* 0 to 8 */
    aml_end(b, mark);
    mark = if_equal(b, AML_ARG0 + 2, 1);
    aml_op(b, AML_RETURN);
    aml_string(b, "1.3");
    aml_end(b, mark);
    ppi_request(b, 2);
    mark = if_equal(b, AML_ARG0 + 2, 3); /* which is pending */
    inner = if_equal(b, AML_ARG0 + 1, 1);
    set_element(b, "TPM2", 1, "PPRQ");
    return_name(b, "TPM2");
    aml_end(b, inner);
    set_element(b, "TPM3", 1, "PPRQ");
    set_element(b, "TPM3", 2, "PPRM");
    return_name(b, "TPM3");
    aml_end(b, mark);
    function_returns(b, 4, 2); /* it takes a reboot */
    mark = if_equal(b, AML_ARG0 + 2, 5); /* how the last one ended */
    set_element(b, "TPM3", 1, "LPPR");
    set_element(b, "TPM3", 2, "PPRP");
    return_name(b, "TPM3");
    aml_end(b, mark);
    function_returns(b, 6, 3); /* languages are not chosen */
    ppi_request(b, 7);
    mark = if_equal(b, AML_ARG0 + 2, 8); /* must somebody confirm it? */
    take_argument(b, 0);
    aml_op(b, AML_RETURN);
    aml_path(b, "TPFN");
    aml_op(b, AML_LOCAL0);
    aml_end(b, mark);
    return_bytes(b, 0, 0, 1);
}

/* TCG Platform Reset Attack Mitigation, 6. */
static void overwrite_functions(struct buffer *b)
{
    struct aml_mark mark = if_equal(b, AML_ARG0 + 2, 0);

    return_bytes(b, 0x03, 0, 1);
    aml_end(b, mark);
    mark = if_equal(b, AML_ARG0 + 2, 1);
    take_argument(b, 0);
    set_name(b, "MOVV", 0);
    return_integer(b, 0);
    aml_end(b, mark);
    return_bytes(b, 0, 0, 1);
}

/* _DSM by these UUIDs: 3dddfaa6-361b-4eb4-a424-8d10089d1653, 376054ed-cc13-4675-901c-4756d7f2d45d. */
static void tpm_ppi(struct buffer *b)
{
    static const char *const requests[] = {"PPRP", "PPRQ", "PPRM", "LPPR"}, *const overwrite[] = {"MOVV"};
    static const uint8_t uuids[2][16] = {
        {0xa6, 0xfa, 0xdd, 0x3d, 0x1b, 0x36, 0xb4, 0x4e, 0xa4, 0x24, 0x8d, 0x10, 0x08, 0x9d, 0x16, 0x53},
        {0xed, 0x54, 0x60, 0x37, 0x13, 0xcc, 0x75, 0x46, 0x90, 0x1c, 0x47, 0x56, 0xd7, 0xf2, 0xd4, 0x5d},
    };
    struct aml_mark method, mark;

    memory_field(b, "TPP2", TPM_PPI_RESULT, requests, 4, 32);
    memory_field(b, "TPP3", TPM_PPI_OVERWRITE, overwrite, 1, 8);
    ppi_operation(b);
    name_package(b, "TPM2", 2);
    name_package(b, "TPM3", 3);
    method = aml_method_begin(b, "_DSM", 4, true);
    for (unsigned i = 0; i < 2; i++) {
        mark = aml_if_begin(b);
        aml_op(b, AML_EQUAL);
        aml_op(b, AML_ARG0);
        aml_bytes(b, uuids[i], 16);
        if (i == 0)
            ppi_functions(b);
        else
            overwrite_functions(b);
        aml_end(b, mark);
    }
    return_bytes(b, 0, 0, 1);
    aml_end(b, method);
}

/* Its interrupt is told only if somebody chose one: the usual one is also a PCI link's. */
static void tpm(struct buffer *b, const struct tables_config *config)
{
    static const char name[] = "T\0P\0M\0 \0002\0.\0000\0 \0D\0e\0v\0i\0c\0e\0"; /* and a zero */
    struct aml_mark device = aml_device_begin(b, "TPM"), crs;

    aml_name(b, "_HID");
    aml_string(b, "MSFT0101");
    aml_name(b, "_STR"); /* in Unicode (ACPI 6, 6.1.10) */
    aml_bytes(b, (const uint8_t *)name, sizeof(name));
    aml_name_integer(b, "_UID", 1);
    aml_name_integer(b, "_STA", 0x0f);
    aml_name(b, "_CRS");
    crs = aml_resources_begin(b);
    aml_fixed_memory(b, true, TPM_BASE, config->tpm.crb ? 0x1000 : TPM_REGION_BYTES);
    if (config->tpm.irq != TPM_NO_IRQ && !config->tpm.crb)
        aml_irq(b, config->tpm.irq);
    aml_resources_end(b, crs);
    if (config->tpm.ppi)
        tpm_ppi(b);
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
    if (config->s3)
        sleep_state(b, "_S3", PM_SLP_TYP_S3);
    sleep_state(b, "_S5", 0);
}
