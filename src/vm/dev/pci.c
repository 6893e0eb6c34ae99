/*
 * What PCI functions have in common (PCI Local Bus Specification 3.0, chapter 6; PCI-to-PCI Bridge
 * Architecture Specification 1.2): configuration space by tables of writable bits, base addresses
 * and what they map, capabilities, interrupt pins, bus mastering.
 *
 * A BAR is decoded where its address lies within what all bridges above it and the host bridge hand
 * on, and COMMAND allows it. Nothing of that is state but the registers: pci_remap() makes the maps
 * anew from them.
 *
 * An interrupt pin's level is kept in STATUS bit 3; the four lines of the root bus are the OR of
 * the pins that reach them, turned by the slot number at every bridge (bridge specification, 9.1).
 *
 * Not modelled: parity, latency and cache line size (kept, without effect), special cycles, error
 * reporting, target aborts (an access that nobody answers reads as ones).
 */
#include "vm/dev/pci.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "vm/machine.h"

#define FIRST_CAPABILITY 0x40u
#define BAR_IO       0x1u
#define BAR_64       0x4u
#define BAR_PREFETCH 0x8u
#define ROM_ENABLE   0x1u
#define MULTI_FUNCTION 0x80u

/* ---- configuration space ---- */

/* The first of a slot's functions says that there are several: those of the PIIX (290562, HEDT) and of QEMU do it so. */
static void note_slot(struct pci_bus *bus, struct pci_function *f)
{
    for (unsigned i = 0; i < bus->nfunctions; i++) {
        struct pci_function *other = bus->functions[i];
        struct pci_function *first = other->devfn < f->devfn ? other : f;

        CHECK(other->devfn != f->devfn);
        if (PCI_SLOT(other->devfn) == PCI_SLOT(f->devfn) && PCI_FUNCTION(first->devfn) == 0)
            first->reset[PCI_HEADER_TYPE] |= MULTI_FUNCTION;
    }
}

void pci_function_init(struct pci_function *f, struct pci_bus *bus, uint8_t devfn, struct device *dev, uint8_t *config,
                       const struct pci_identity *id)
{
    CHECK(bus->nfunctions < PCI_MAX_FUNCTIONS);
    memset(f, 0, sizeof(*f));
    f->dev = dev;
    f->bus = bus;
    f->config = config;
    f->devfn = devfn;
    f->next_capability = FIRST_CAPABILITY;
    put_le16(f->reset + PCI_VENDOR, id->vendor);
    put_le16(f->reset + PCI_DEVICE, id->device);
    put_le32(f->reset + PCI_REVISION, id->class_code << 8 | id->revision);
    put_le16(f->reset + PCI_SUBSYSTEM_VENDOR, id->subsystem_vendor);
    put_le16(f->reset + PCI_SUBSYSTEM, id->subsystem);
    f->reset[PCI_INTERRUPT_PIN] = id->pin;
    f->writable[PCI_CACHE_LINE] = f->writable[PCI_LATENCY] = f->writable[PCI_INTERRUPT_LINE] = 0xff;
    put_le16(f->writable + PCI_COMMAND,
              id->command ? id->command
                          : (uint16_t)(PCI_COMMAND_MASTER | PCI_COMMAND_SERR | (id->pin ? PCI_COMMAND_NO_INTX : 0)));
    f->clearing[PCI_STATUS + 1] = 0xf9; /* errors seen */
    note_slot(bus, f);
    bus->functions[bus->nfunctions++] = f;
}

uint8_t pci_add_capability(struct pci_function *f, uint8_t id, unsigned len)
{
    uint8_t at = f->next_capability;

    CHECK(at + len <= PCI_CONFIG_BYTES);
    if (f->last_capability)
        f->reset[f->last_capability + 1u] = at;
    else
        f->reset[PCI_CAPABILITIES] = at;
    f->reset[at] = id;
    f->reset[PCI_STATUS] |= PCI_STATUS_CAPS;
    f->last_capability = at;
    f->next_capability = (uint8_t)((at + len + 3) & ~3u);
    return at;
}

void pci_add_express(struct pci_function *f, unsigned type)
{
    uint8_t at = pci_add_capability(f, PCI_CAP_EXPRESS, 60);
    bool integrated = type == 9, port = type == 4;

    f->express_at = at;
    put_le16(f->reset + at + 2u, (uint16_t)(2u | type << 4 | (port ? 0x100u : 0))); /* version 2; port: slot */
    put_le32(f->reset + at + 4u, 0x8000u);   /* role-based error reporting */
    put_le16(f->writable + at + 8u, 0x70ff); /* device control: kept */
    f->clearing[at + 10u] = 0x0f;
    if (integrated)
        return;
    put_le32(f->reset + at + 12u, 0x00000411u | (port ? 1u << 24 : 0)); /* link: 2.5 GT/s, one lane, ASPM L0s */
    put_le16(f->writable + at + 16u, 0x00fb);
    put_le16(f->reset + at + 18u, 0x2011u);                             /* trained, active */
    if (port) {
        put_le32(f->reset + at + 20u, 0x00040000u); /* slot: nothing can be pulled out; no commands */
        f->reset[at + 26u] = 0x40;                                      /* presence */
        put_le16(f->writable + at + 28u, 0x001f);
    }
    put_le16(f->writable + at + 40u, 0x001f);
}

/* ---- base addresses ---- */

static unsigned bar_register(const struct pci_function *f, unsigned n)
{
    if (n == PCI_ROM_BAR)
        return f->secondary ? PCI_BRIDGE_ROM : PCI_ROM;
    return PCI_BAR0 + 4 * n;
}

static struct pci_bar *new_bar(struct pci_function *f, unsigned n, enum pci_bar_kind kind, bool prefetchable,
                               uint64_t size)
{
    struct pci_bar *bar = &f->bars[n];
    unsigned reg = bar_register(f, n);
    uint64_t mask = ~(size - 1);

    CHECK(bar->kind == PCI_BAR_NONE && size >= 4 && !(size & (size - 1)));
    *bar = (struct pci_bar){.kind = kind, .prefetchable = prefetchable, .size = size};
    put_le32(f->writable + reg, (uint32_t)mask | (kind == PCI_BAR_ROM ? ROM_ENABLE : 0));
    if (kind == PCI_BAR_MEMORY_64)
        put_le32(f->writable + reg + 4, (uint32_t)(mask >> 32));
    f->reset[reg] = (uint8_t)((kind == PCI_BAR_IO ? BAR_IO : 0) | (kind == PCI_BAR_MEMORY_64 ? BAR_64 : 0) |
                              (prefetchable ? BAR_PREFETCH : 0));
    f->writable[PCI_COMMAND] |= (uint8_t)(kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
    return bar;
}

void pci_add_bar(struct pci_function *f, unsigned n, enum pci_bar_kind kind, bool prefetchable, uint64_t size,
                 unsigned range)
{
    struct pci_bar *bar = new_bar(f, n, kind, prefetchable, size);
    const struct region r = {.size = size, .kind = REGION_MMIO, .dev = f->dev, .range = range};

    bar->range = range;
    if (kind != PCI_BAR_IO) {
        bar->index = memory_map(&f->bus->machine->memory, &r);
        return;
    }
    bar->index = ports_claim(f->bus->ports, f->dev, 0, (uint16_t)size, (uint8_t)range, 4);
    ports_move(f->bus->ports, bar->index, 0, false);
}

void pci_add_paged_bar(struct pci_function *f, unsigned n, enum pci_bar_kind kind, bool prefetchable, uint64_t size,
                       uint32_t page)
{
    struct pci_bar *bar = new_bar(f, n, kind, prefetchable, size);
    const struct region r = {
        .size = size, .kind = kind == PCI_BAR_ROM ? REGION_ROM : REGION_RAM, .page = page};

    bar->paged = true;
    bar->page = page;
    bar->index = memory_map(&f->bus->machine->memory, &r);
}

/* A bridge's window as two registers say it. */
struct span {
    uint64_t first, last; /* last < first: closed */
};

static bool covers(struct span s, uint64_t base, uint64_t size)
{
    return s.first <= base && base + size - 1 >= base && base + size - 1 <= s.last;
}

static struct span io_window(const uint8_t *c)
{
    return (struct span){(uint64_t)(c[PCI_IO_BASE] & 0xf0u) << 8 | (uint64_t)get_le16(c + PCI_IO_BASE_HIGH) << 16,
                         (uint64_t)(c[PCI_IO_LIMIT] & 0xf0u) << 8 | 0xfffu |
                             (uint64_t)get_le16(c + PCI_IO_LIMIT_HIGH) << 16};
}

static struct span memory_window(const uint8_t *c)
{
    return (struct span){(uint64_t)(get_le16(c + PCI_MEMORY_BASE) & 0xfff0u) << 16,
                         (uint64_t)(get_le16(c + PCI_MEMORY_LIMIT) & 0xfff0u) << 16 | 0xfffffu};
}

static struct span prefetch_window(const uint8_t *c)
{
    return (struct span){(uint64_t)get_le32(c + PCI_PREFETCH_BASE_HIGH) << 32 |
                             (uint64_t)(get_le16(c + PCI_PREFETCH_BASE) & 0xfff0u) << 16,
                         (uint64_t)get_le32(c + PCI_PREFETCH_LIMIT_HIGH) << 32 |
                             (uint64_t)(get_le16(c + PCI_PREFETCH_LIMIT) & 0xfff0u) << 16 | 0xfffffu};
}

/* Do accesses to [base, base + size) come down to this bus? */
static bool reachable(const struct pci_bus *bus, bool io, uint64_t base, uint64_t size)
{
    for (; bus->bridge; bus = bus->bridge->bus) {
        const uint8_t *c = bus->bridge->config;

        if (!(c[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
            return false;
        if (io ? !covers(io_window(c), base, size)
               : !covers(memory_window(c), base, size) && !covers(prefetch_window(c), base, size))
            return false;
    }
    if (io)
        return base + size <= 0x10000u;
    for (unsigned i = 0; i < bus->nwindows; i++)
        if (base >= bus->windows[i].base && base - bus->windows[i].base <= bus->windows[i].size - size &&
            size <= bus->windows[i].size)
            return true;
    return false;
}

/* Has a BAR with address 0 one? */
static bool is_address(const struct pci_bus *bus, bool io, uint64_t base)
{
    while (bus->bridge)
        bus = bus->bridge->bus;
    return base || (io && bus->port_zero);
}

bool pci_bar_base(const struct pci_function *f, unsigned n, uint64_t *base)
{
    const struct pci_bar *bar = &f->bars[n];
    unsigned reg = bar_register(f, n);
    bool io = bar->kind == PCI_BAR_IO;

    if (bar->kind == PCI_BAR_NONE)
        return false;
    *base = get_le32(f->config + reg);
    if (bar->kind == PCI_BAR_ROM && !(*base & ROM_ENABLE))
        return false;
    if (bar->kind == PCI_BAR_MEMORY_64)
        *base |= (uint64_t)get_le32(f->config + reg + 4) << 32;
    *base &= ~(bar->size - 1);
    return (f->config[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) && is_address(f->bus, io, *base) &&
           reachable(f->bus, io, *base, bar->size);
}

static void remap_function(struct pci_function *f)
{
    struct memory *mem = &f->bus->machine->memory;

    for (unsigned n = 0; n < PCI_BARS; n++) {
        const struct pci_bar *bar = &f->bars[n];
        uint64_t base;
        bool on = pci_bar_base(f, n, &base);

        if (bar->kind == PCI_BAR_NONE)
            continue;
        if (bar->kind == PCI_BAR_IO) {
            ports_move(f->bus->ports, bar->index, on ? (uint16_t)base : 0, on);
            continue;
        }
        if (on)
            memory_region_move(mem, bar->index, base);
        memory_region_enable(mem, bar->index, on);
    }
    if (f->secondary)
        pci_remap(f->secondary);
}

void pci_remap(struct pci_bus *bus)
{
    for (unsigned i = 0; i < bus->nfunctions; i++)
        remap_function(bus->functions[i]);
}

/* ---- interrupt pins ---- */

static struct pci_bus *root_of(struct pci_bus *bus)
{
    while (bus->bridge)
        bus = bus->bridge->bus;
    return bus;
}

/* Which line of the root bus a function's pin drives. */
static unsigned line_of(const struct pci_function *f)
{
    unsigned pin = f->config[PCI_INTERRUPT_PIN] - 1u;

    for (; f->bus->bridge; f = f->bus->bridge)
        pin += PCI_SLOT(f->devfn);
    return (pin + PCI_SLOT(f->devfn) + f->bus->turn) % PCI_LINES;
}

static bool asserts(const struct pci_function *f)
{
    return f->config[PCI_INTERRUPT_PIN] && (f->config[PCI_STATUS] & PCI_STATUS_INTX) &&
           !(get_le16(f->config + PCI_COMMAND) & PCI_COMMAND_NO_INTX);
}

/* Bits of the root's lines that functions of this bus and those behind it hold. */
static unsigned levels(const struct pci_bus *bus)
{
    unsigned set = 0;

    for (unsigned i = 0; i < bus->nfunctions; i++) {
        const struct pci_function *f = bus->functions[i];

        if (asserts(f))
            set |= 1u << line_of(f);
        if (f->secondary)
            set |= levels(f->secondary);
    }
    return set;
}

static void update_lines(struct pci_bus *bus)
{
    struct pci_bus *root = root_of(bus);
    unsigned set = levels(root);

    for (unsigned n = 0; n < PCI_LINES; n++)
        line_set(&root->lines[n], set >> n & 1u);
}

void pci_set_intx(struct pci_function *f, bool level)
{
    uint8_t *status = &f->config[PCI_STATUS];

    if (level == !!(*status & PCI_STATUS_INTX))
        return;
    *status ^= PCI_STATUS_INTX;
    update_lines(f->bus);
}

/* ---- reset, accesses ---- */

void pci_function_reset(struct pci_function *f)
{
    memcpy(f->config, f->reset, PCI_CONFIG_BYTES);
    pci_msi_reset(f);
    remap_function(f);
    update_lines(f->bus);
}

uint64_t pci_config_read(const struct pci_function *f, unsigned offset, unsigned size)
{
    if (offset + size > PCI_CONFIG_BYTES) /* extended space: there are no extended capabilities */
        return f->express_at ? 0 : UINT64_MAX;
    if (f->reading)
        f->reading(f->dev, offset, size);
    return get_le(f->config + offset, size);
}

static bool touches(unsigned offset, unsigned size, unsigned first, unsigned end)
{
    return offset < end && first < offset + size;
}

/* Registers that say what is decoded. */
static bool decodes(const struct pci_function *f, unsigned offset, unsigned size)
{
    return touches(offset, size, PCI_COMMAND, PCI_COMMAND + 2) || touches(offset, size, PCI_BAR0, PCI_CAPABILITIES) ||
           (f->secondary && touches(offset, size, PCI_BRIDGE_ROM, PCI_BRIDGE_ROM + 4));
}

void pci_config_write(struct pci_function *f, unsigned offset, unsigned size, uint64_t value)
{
    if (offset + size > PCI_CONFIG_BYTES)
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i)), *c = &f->config[offset + i], mask = f->writable[offset + i];

        *c = (uint8_t)(((*c & ~mask) | (byte & mask)) & ~(byte & f->clearing[offset + i]));
    }
    if (decodes(f, offset, size))
        remap_function(f);
    if (touches(offset, size, PCI_COMMAND, PCI_COMMAND + 2))
        update_lines(f->bus);
    pci_msi_written(f, offset, size);
    if (f->written)
        f->written(f->dev, offset, size);
}

/* ---- bus mastering ---- */

static bool may_master(const struct pci_function *f)
{
    if (!(f->config[PCI_COMMAND] & PCI_COMMAND_MASTER))
        return false;
    for (const struct pci_bus *bus = f->bus; bus->bridge; bus = bus->bridge->bus)
        if (!(bus->bridge->config[PCI_COMMAND] & PCI_COMMAND_MASTER))
            return false;
    return true;
}

bool pci_dma_read(struct pci_function *f, paddr_t address, void *buf, size_t len)
{
    if (!may_master(f))
        return false;
    memory_dma_read(&f->bus->machine->memory, address, buf, len);
    return true;
}

bool pci_dma_write(struct pci_function *f, paddr_t address, const void *buf, size_t len)
{
    if (!may_master(f))
        return false;
    memory_write_bytes(&f->bus->machine->memory, address, buf, len, false);
    return true;
}

/* The bus's number, by its bridge's registers. */
static uint8_t bus_number(const struct pci_bus *bus)
{
    return bus->bridge ? bus->bridge->config[PCI_SECONDARY_BUS] : 0;
}

static uint32_t own_id(const struct pci_function *f)
{
    return (uint32_t)bus_number(f->bus) << 8 | f->devfn;
}

/* Who a request comes from, as the root sees it: a conventional bridge takes those behind it upon itself. */
static uint32_t requester_id(const struct pci_function *f)
{
    uint32_t id = own_id(f);

    for (const struct pci_function *b = f->bus->bridge; b; b = b->bus->bridge)
        if (!b->express_at)
            id = own_id(b);
    return id;
}

void pci_send(struct pci_function *f, paddr_t address, uint32_t data)
{
    const struct pci_bus *root = root_of(f->bus);
    uint32_t requester = requester_id(f);

    if (!may_master(f) || (root->message && root->message(root->message_ctx, requester, address, data)))
        return;
    pci_dma_write(f, address, &data, sizeof(data));
}

/* ---- buses ---- */

struct pci_function *pci_find(struct pci_bus *root, uint8_t bus, uint8_t devfn)
{
    for (unsigned i = 0; i < root->nfunctions; i++) {
        struct pci_function *f = root->functions[i];

        if (bus == bus_number(root)) {
            if (f->devfn == devfn)
                return f;
            continue;
        }
        if (f->secondary && f->config[PCI_SECONDARY_BUS] && bus >= f->config[PCI_SECONDARY_BUS] &&
            bus <= f->config[PCI_SUBORDINATE_BUS])
            return pci_find(f->secondary, bus, devfn);
    }
    return NULL;
}

/* ---- what a BIOS does ---- */

/* Where the next thing goes. */
struct allocator {
    uint64_t io, memory, memory_end;
    uint8_t bus;
    const uint8_t *irq;
};

/* 0: there is no room. */
static uint32_t allocate(uint64_t *next, uint64_t end, uint64_t size)
{
    uint64_t at = (*next + size - 1) & ~(size - 1);

    if (at + size > end)
        return 0;
    *next = at + size;
    return (uint32_t)at;
}

static void assign_bars(struct pci_function *f, struct allocator *a)
{
    for (unsigned n = 0; n < PCI_BARS; n++) {
        const struct pci_bar *bar = &f->bars[n];
        unsigned reg = bar_register(f, n);

        if (bar->kind == PCI_BAR_NONE || bar->kind == PCI_BAR_ROM || get_le32(f->config + reg) & ~15u)
            continue;
        if (bar->kind == PCI_BAR_IO)
            pci_config_write(f, reg, 4, allocate(&a->io, 0x10000, bar->size));
        else
            pci_config_write(f, reg, 4, allocate(&a->memory, a->memory_end, bar->size));
    }
    if (f->config[PCI_INTERRUPT_PIN] && !f->config[PCI_INTERRUPT_LINE])
        f->config[PCI_INTERRUPT_LINE] = a->irq[line_of(f)];
    pci_config_write(f, PCI_COMMAND, 2, get_le16(f->config + PCI_COMMAND) | PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
                                            (f->secondary ? PCI_COMMAND_MASTER : 0));
}

static void assign_bus(struct pci_bus *bus, struct allocator *a);

static void assign_bridge(struct pci_function *f, struct allocator *a)
{
    uint64_t io, memory;

    a->io = (a->io + 0xfff) & ~0xfffull;
    a->memory = (a->memory + 0xfffff) & ~0xfffffull;
    io = a->io;
    memory = a->memory;
    f->config[PCI_PRIMARY_BUS] = bus_number(f->bus);
    f->config[PCI_SECONDARY_BUS] = ++a->bus;
    f->config[PCI_SUBORDINATE_BUS] = 0xff;
    assign_bus(f->secondary, a);
    f->config[PCI_SUBORDINATE_BUS] = a->bus;
    a->io = (a->io + 0xfff) & ~0xfffull;
    a->memory = (a->memory + 0xfffff) & ~0xfffffull;
    pci_config_write(f, PCI_IO_BASE, 2, io >> 8 | ((a->io - 1) >> 8 & 0xf0u) << 8);
    pci_config_write(f, PCI_MEMORY_BASE, 4, memory >> 16 | ((a->memory - 1) >> 16 & 0xfff0u) << 16);
    pci_config_write(f, PCI_PREFETCH_BASE, 4, 0x0000fff0u);
}

static void assign_bus(struct pci_bus *bus, struct allocator *a)
{
    for (unsigned i = 0; i < bus->nfunctions; i++) {
        assign_bars(bus->functions[i], a);
        if (bus->functions[i]->secondary)
            assign_bridge(bus->functions[i], a);
    }
}

void pci_assign(struct pci_bus *root, uint32_t io, uint32_t memory, uint32_t memory_end, const uint8_t irq[PCI_LINES])
{
    struct allocator a = {.io = io, .memory = memory, .memory_end = memory_end, .irq = irq};

    assign_bus(root, &a);
}

/* ---- pictures ---- */

static void describe_bar(const struct pci_function *f, unsigned n, struct buffer *b)
{
    static const char *const kinds[] = {"", "ports", "memory", "64-bit memory", "ROM"};
    const struct pci_bar *bar = &f->bars[n];
    uint64_t base = 0;
    bool on = pci_bar_base(f, n, &base);

    if (bar->kind == PCI_BAR_NONE)
        return;
    buffer_printf(b, "      %s %u: %s%s ", n == PCI_ROM_BAR ? "rom" : "bar", n == PCI_ROM_BAR ? 0 : n, kinds[bar->kind],
                  bar->prefetchable ? ", prefetchable," : "");
    if (on)
        buffer_printf(b, "at 0x%llx, ", (unsigned long long)base);
    else
        buffer_printf(b, "not decoded, ");
    buffer_printf(b, "%llu bytes\n", (unsigned long long)bar->size);
}

static void describe_interrupt(const struct pci_function *f, struct buffer *b)
{
    uint8_t pin = f->config[PCI_INTERRUPT_PIN];

    if (pin)
        buffer_printf(b, "      INT%c, line %u%s\n", 'A' + pin - 1, f->config[PCI_INTERRUPT_LINE],
                      f->config[PCI_STATUS] & PCI_STATUS_INTX ? ", asserted" : "");
    if (f->msi_at || f->msix_at)
        buffer_printf(b, "      %s%s%s, %s\n", f->msi_at ? "MSI" : "", f->msi_at && f->msix_at ? ", " : "",
                      f->msix_at ? "MSI-X" : "", pci_has_messages(f) ? "in use" : "off");
}

/* Class and subclass; the generic name that the PCI binding to IEEE 1275 has for it. Others are named by vendor and device. */
static const char *class_name(uint16_t class)
{
    switch (class) {
    case 0x0100: return "scsi";
    case 0x0101: return "ide";
    case 0x0200: return "ethernet";
    case 0x0601: return "isa";
    case 0x0604: return "pci-bridge";
    case 0x0c03: return "usb";
    default:     return NULL;
    }
}

void pci_firmware_path(const struct pci_function *f, char *path, size_t size)
{
    const char *name = class_name(get_le16(f->reset + PCI_CLASS + 1));
    char by_number[16], function[8] = "";
    size_t len;

    if (f->bus->bridge)
        pci_firmware_path(f->bus->bridge, path, size);
    else
        snprintf(path, size, "%s", f->bus->firmware_path ? f->bus->firmware_path : "");
    snprintf(by_number, sizeof(by_number), "pci%04x,%04x", get_le16(f->reset + PCI_VENDOR), get_le16(f->reset + PCI_DEVICE));
    if (f->devfn & 7u)
        snprintf(function, sizeof(function), ",%x", f->devfn & 7u);
    len = strlen(path);
    snprintf(path + len, size - len, "/%s@%x%s", name ? name : by_number, PCI_SLOT(f->devfn), function);
}

bool pci_device_path(const struct pci_bus *root, const struct device *dev, char *path, size_t size)
{
    for (unsigned i = 0; i < root->nfunctions; i++) {
        const struct pci_function *f = root->functions[i];

        if (f->dev == dev) {
            pci_firmware_path(f, path, size);
            return true;
        }
        if (f->secondary && pci_device_path(f->secondary, dev, path, size))
            return true;
    }
    return false;
}

void pci_describe(const struct pci_bus *root, struct buffer *b)
{
    for (unsigned i = 0; i < root->nfunctions; i++) {
        const struct pci_function *f = root->functions[i];
        const uint8_t *c = f->config;

        buffer_printf(b, "%02x:%02x.%u %04x:%04x class %02x%02x%02x %s%s\n", bus_number(root), PCI_SLOT(f->devfn),
                      f->devfn & 7u, get_le16(c + PCI_VENDOR), get_le16(c + PCI_DEVICE), c[PCI_CLASS + 2],
                      c[PCI_CLASS + 1], c[PCI_CLASS], f->dev->name,
                      c[PCI_COMMAND] & PCI_COMMAND_MASTER ? ", bus master" : "");
        for (unsigned n = 0; n < PCI_BARS; n++)
            describe_bar(f, n, b);
        describe_interrupt(f, b);
        if (!f->secondary)
            continue;
        buffer_printf(b, "      to bus %u, buses up to %u\n", c[PCI_SECONDARY_BUS], c[PCI_SUBORDINATE_BUS]);
        pci_describe(f->secondary, b);
    }
}
