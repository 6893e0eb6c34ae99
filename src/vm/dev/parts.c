/*
 * Plugging parts into a board. See parts.h.
 */
#include "vm/dev/parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/guess.h"
#include "vm/dev/pci.h"
#include "vm/dev/pci_bridge.h"
#include "vm/machine.h"

const struct device_model *parts_find_model(const char *name)
{
    for (const struct device_model *m = device_models; m->name; m++)
        if (!strcmp(m->name, name))
            return m;
    return NULL;
}

/* Is `part` one or several of the words of a name, in letters of whichever case? (ahci: ich9-ahci.) */
static bool has_words(const char *name, const char *part)
{
    size_t len = strlen(part);

    for (const char *at = name; *part && strlen(at) >= len; at++)
        if (!strncasecmp(at, part, len) && (at == name || strchr("-_", at[-1])) && strchr("-_", at[len]))
            return true;
    return false;
}

int parts_unknown_model(const char *name, struct error *err)
{
    const char *found[5];
    unsigned n = 0;
    struct buffer b;
    struct guess g;

    guess_begin(&g, name ? name : "", name ? strlen(name) : 0);
    for (const struct device_model *m = device_models; name && m->name; m++) {
        guess_consider(&g, m->name);
        if (n < ARRAY_LEN(found) && has_words(m->name, name))
            found[n++] = m->name;
    }
    if (!n && g.best)
        found[n++] = g.best;
    buffer_init(&b);
    for (unsigned i = 0; i < n; i++)
        buffer_printf(&b, "%s%s", !i ? "did you mean " : i + 1 < n ? ", " : " or ", found[i]);
    buffer_printf(&b, "%s", n ? "? " : "");
    buffer_append_byte(&b, 0);
    error_set(err, -EINVAL, "there is no such device; %s--device help lists them", (const char *)b.data);
    buffer_finish(&b);
    return -EINVAL;
}

static uint64_t storage_of(const struct option_list *l)
{
    const char *name = option_list_get(l, "driver");

    for (const struct device_storage *s = device_storage; name && s->name; s++)
        if (!strcmp(s->name, name))
            return s->bytes(l);
    return 0;
}

uint64_t parts_storage(const struct machine_parts *p)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; p && i < p->ndevices; i++) {
        struct error err = {0};
        struct option_list l;

        if (option_list_parse(&l, "--device", p->devices[i], "driver", NULL, &err) == 0)
            bytes += storage_of(&l);
        option_list_finish(&l);
    }
    return bytes;
}

/* ---- places ---- */

static bool slot_taken(const struct pci_bus *bus, unsigned slot)
{
    for (unsigned i = 0; i < bus->nfunctions; i++)
        if (PCI_SLOT(bus->functions[i]->devfn) == slot)
            return true;
    return false;
}

static bool devfn_taken(const struct pci_bus *bus, unsigned devfn)
{
    for (unsigned i = 0; i < bus->nfunctions; i++)
        if (bus->functions[i]->devfn == devfn)
            return true;
    return false;
}

/* Behind a root port there is slot 0 only; behind another bridge that is the bridge's own, as in QEMU. */
static int free_slot(const struct sockets *s, uint8_t *devfn, struct error *err)
{
    bool port = s->pci->bridge && pci_bridge_is_port(s->pci->bridge);
    unsigned slot = s->pci->bridge ? !port : s->next_slot, end = port ? 1 : 32;

    while (slot < end && slot_taken(s->pci, slot))
        slot++;
    if (slot == end)
        return error_set(err, -EINVAL, "no slot of the PCI bus is free");
    *devfn = PCI_DEVFN(slot, 0);
    return 0;
}

/* "SLOT[.FUNCTION]", hexadecimal. */
static int given_slot(const struct sockets *s, const char *addr, uint8_t *devfn, struct error *err)
{
    char *end;
    unsigned long slot = strtoul(addr, &end, 16), function = 0;

    if (end != addr && *end == '.')
        function = strtoul(end + 1, &end, 16);
    if (end == addr || *end || slot > 31 || function > 7)
        return error_set(err, -EINVAL, "addr=%s: write SLOT or SLOT.FUNCTION, hexadecimal, 0 to 1f and 0 to 7", addr);
    *devfn = PCI_DEVFN(slot, function);
    if (slot && s->pci->bridge && pci_bridge_is_port(s->pci->bridge))
        return error_set(err, -EINVAL, "addr=%s: behind a root port there is slot 0", addr);
    if (devfn_taken(s->pci, *devfn))
        return error_set(err, -EINVAL, "addr=%s: there is a device already", addr);
    return 0;
}

/* s->pci becomes the bus that is meant: the board's, or that behind the bridge of that id. */
static int choose_bus(struct sockets *s, const char *bus, struct error *err)
{
    struct device *bridge;

    if (!s->pci)
        return error_set(err, -EINVAL, "this board has no PCI bus");
    if (!bus || !strcmp(bus, "pci.0") || !strcmp(bus, "pcie.0"))
        return 0;
    bridge = machine_find_device(s->machine, bus);
    if (!bridge || !pci_bridge_secondary(bridge))
        return error_set(err, -EINVAL, "bus=%s: buses are pci.0 and the ids of bridges (--device pci-bridge,id=ID, before it)",
                         bus);
    s->pci = pci_bridge_secondary(bridge);
    return 0;
}

static int choose_place(struct sockets *s, const char *addr, const char *bus, uint8_t *devfn, struct error *err)
{
    if (choose_bus(s, bus, err) < 0)
        return -EINVAL;
    if (s->pci->nfunctions == PCI_MAX_FUNCTIONS)
        return error_set(err, -EINVAL, "a PCI bus has at most %u functions", PCI_MAX_FUNCTIONS);
    return addr ? given_slot(s, addr, devfn, err) : free_slot(s, devfn, err);
}

/* ---- booting ---- */

void parts_boots(struct sockets *s, char kind, const char *parent, const char *format, ...)
{
    char path[BOOT_PATH_BYTES];
    size_t len;
    va_list ap;

    if (!s->boot)
        return;
    len = (size_t)snprintf(path, sizeof(path), "%s", parent);
    if (len >= sizeof(path))
        return;
    va_start(ap, format);
    vsnprintf(path + len, sizeof(path) - len, format, ap);
    va_end(ap);
    boot_order_add(s->boot, kind, path);
}

char parts_drive_kind(const struct drive *d)
{
    return d->c.media == DRIVE_CDROM ? 'd' : 'c';
}

/* The device's bootindex; `first`: the first place that it made. */
static int take_index(const struct sockets *s, const struct option_list *props, unsigned first, struct error *err)
{
    uint64_t index = 0;

    if (!option_list_get(props, "bootindex") || !s->boot)
        return 0;
    if (option_list_number(props, "bootindex", 0, BOOT_INDEX_MAX, &index, err) < 0)
        return -EINVAL;
    return boot_order_index(s->boot, first, (uint32_t)index, err);
}

/* ---- option ROMs ---- */

#define ROM_MOST ((uint64_t)16 << 20)

/* What a BAR for so many bytes decodes. */
static uint64_t rom_bar_bytes(uint64_t len)
{
    uint64_t size = PAGE_SIZE;

    while (size < len)
        size *= 2;
    return size;
}

/* NULL: the device has none. */
static const char *rom_file(const struct option_list *props)
{
    const char *file = option_list_get(props, "romfile");

    return file && *file ? file : NULL;
}

static const struct boot_image *find_rom(const struct machine_parts *p, const char *file)
{
    for (unsigned i = 0; i < p->nroms; i++)
        if (!strcmp(p->roms[i].name, file))
            return &p->roms[i];
    return NULL;
}

uint64_t parts_rom_bytes(const struct machine_parts *p)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; p && i < p->ndevices; i++) {
        const struct boot_image *rom = NULL;
        struct option_list l;
        struct error ignored;

        if (option_list_parse(&l, "--device", p->devices[i], "driver", NULL, &ignored) == 0 && rom_file(&l))
            rom = find_rom(p, rom_file(&l));
        if (rom && rom->len <= ROM_MOST)
            bytes += rom_bar_bytes(rom->len);
        option_list_finish(&l);
    }
    return bytes;
}

static struct pci_function *function_at(const struct pci_bus *bus, unsigned devfn)
{
    for (unsigned i = 0; i < bus->nfunctions; i++)
        if (bus->functions[i]->devfn == devfn)
            return bus->functions[i];
    return NULL;
}

/* Make the first image in a ROM, if it is a BIOS's, one for that function (PCI Firmware Specification 3.0, 5.1): iPXE's
 * are of a driver for several devices, and name one or none. QEMU does so with the ROMs that it has by itself. */
static void adapt_rom(uint8_t *rom, size_t len, const struct pci_function *f)
{
    size_t at = len >= 0x1a ? get_le16(rom + 0x18) : 0;
    uint8_t before = 0, after = 0;

    if (!at || len < 0x1c || at > len - 0x18 || get_le16(rom) != 0xaa55 || memcmp(rom + at, "PCIR", 4) != 0 || rom[at + 0x14])
        return;
    for (unsigned i = 0; i < 4; i++) {
        before = (uint8_t)(before + rom[at + 4 + i]);
        rom[at + 4 + i] = f->reset[PCI_VENDOR + i];
        after = (uint8_t)(after + rom[at + 4 + i]);
    }
    rom[6] = (uint8_t)(rom[6] + before - after); /* all bytes add up to 0 as before */
}

/* Of the function that was just plugged in: its expansion ROM, or (rombar=0) one that firmware loads. */
static int plug_rom(const struct machine_parts *p, struct sockets *s, uint8_t devfn, const struct option_list *props, struct error *err)
{
    struct pci_function *f = function_at(s->pci, devfn);
    const char *file = rom_file(props);
    const struct boot_image *rom = file ? find_rom(p, file) : NULL;
    uint64_t bar = 1;
    char name[48];
    uint8_t *bytes;
    uint32_t page;

    if (option_list_number(props, "rombar", 0, 1, &bar, err) < 0)
        return -EINVAL;
    if (!file)
        return 0;
    if (!rom || rom->len > ROM_MOST)
        return error_set(err, -EINVAL, "romfile=%s: %s", file, rom ? "an option ROM has at most 16 MiB" : "that file was not read");
    if (!bar && !s->option_rom)
        return error_set(err, -EINVAL, "rombar=0: this board has no other way to its firmware");
    if (!bar) {
        s->option_rom(s->ctx, rom);
        return 0;
    }
    if (!f || f->bars[PCI_ROM_BAR].kind != PCI_BAR_NONE)
        return error_set(err, -EINVAL, "romfile=%s: this device has no place for it", file);
    snprintf(name, sizeof(name), "%s-rom", f->dev->name);
    page = memory_alloc(&s->machine->memory, name, rom_bar_bytes(rom->len));
    bytes = xmalloc(rom->len);
    memcpy(bytes, rom->data, rom->len);
    adapt_rom(bytes, rom->len, f);
    memory_load(&s->machine->memory, page, bytes, rom->len);
    free(bytes);
    pci_add_paged_bar(f, PCI_ROM_BAR, PCI_BAR_ROM, false, rom_bar_bytes(rom->len), page);
    return 0;
}

/* ---- devices ---- */

/* A name that no device has: the given one, or that of the model with a number. */
static int choose_name(const struct machine *m, const struct device_model *model, const char *id, char *name, size_t size,
                       struct error *err)
{
    unsigned n = 0;

    if (id) {
        if (!*id || strlen(id) >= size || strchr(id, ' '))
            return error_set(err, -EINVAL, "id=%s: an id has 1 to %zu characters, no spaces", id, size - 1);
        if (machine_find_device(m, id))
            return error_set(err, -EINVAL, "id=%s: there is a device of that name already", id);
        strcpy(name, id);
        return 0;
    }
    do
        snprintf(name, size, "%.24s%u", model->name, n++);
    while (machine_find_device(m, name));
    return 0;
}

static int find_drive(const struct machine *m, const struct device_model *model, const char *id, struct drive **d,
                      struct error *err)
{
    *d = NULL;
    if (!model->takes)
        return 0;
    if (!id)
        return error_set(err, -EINVAL, "it needs drive=ID, the id of a --drive with if=none");
    *d = drive_find(m, id);
    if (!*d)
        return error_set(err, -EINVAL, "drive=%s: no --drive has that id", id);
    if ((*d)->wiring)
        return error_set(err, -EINVAL, "drive=%s: that drive is plugged in elsewhere (give its --drive if=none)", id);
    return 0;
}

/* bus= of a device that is in no PCI slot and on no bus of another device: "virtio-mmio-bus.N" is a slot of the virt board, as QEMU
 * calls it; there is one ISA bus. */
static int choose_slot(struct sockets *s, const struct device_model *model, const char *bus, struct error *err)
{
    static const char slots[] = "virtio-mmio-bus.";
    unsigned long number;
    char *end;

    s->wanted_slot = PARTS_ANY_SLOT;
    if (bus && !strcmp(model->bus, "ISA") && strcmp(bus, "isa.0") != 0)
        return error_set(err, -EINVAL, "bus=%s: there is isa.0", bus);
    if (!bus || strcmp(model->bus, "virtio-mmio") != 0)
        return 0;
    if (strncmp(bus, slots, sizeof(slots) - 1) != 0)
        return error_set(err, -EINVAL, "bus=%s: write %sN", bus, slots);
    bus += sizeof(slots) - 1;
    number = strtoul(bus, &end, 10);
    if (*bus < '0' || *bus > '9' || *end || number >= PARTS_ANY_SLOT)
        return error_set(err, -EINVAL, "bus=%s%s: write %sN", slots, bus, slots);
    s->wanted_slot = (unsigned)number;
    return 0;
}

static int plug(const struct machine_parts *p, struct sockets *board, const struct device_model *model,
                const struct option_list *props, struct drive *d, struct error *err)
{
    char name[sizeof(((struct device *)0)->name)];
    struct sockets own = *board, *s = &own; /* with the bus that it goes to */
    unsigned places = s->boot ? s->boot->count : 0;
    uint8_t devfn = 0;
    int r;

    if (s->machine->ndevices == MACHINE_MAX_DEVICES)
        return error_set(err, -EINVAL, "a machine has at most %d devices", MACHINE_MAX_DEVICES);
    if (choose_name(s->machine, model, option_list_get(props, "id"), name, sizeof(name), err) < 0 ||
        choose_slot(s, model, option_list_get(props, "bus"), err) < 0 ||
        (!strcmp(model->bus, "PCI") &&
         choose_place(s, option_list_get(props, "addr"), option_list_get(props, "bus"), &devfn, err) < 0))
        return -EINVAL;
    r = model->plug(s, name, devfn, d, props, err);
    board->cards = s->cards; /* its plug function counts them */
    if (r == 0 && !strcmp(model->bus, "PCI"))
        r = plug_rom(p, s, devfn, props, err);
    return r < 0 ? r : take_index(s, props, places, err);
}

bool parts_ide_channel(const struct sockets *s, const char *bus, unsigned *channel)
{
    if (!s->drive || !bus || strncmp(bus, "ide.", 4) != 0 || (bus[4] != '0' && bus[4] != '1') || bus[5])
        return false;
    *channel = (unsigned)(bus[4] - '0');
    return true;
}

int parts_plug_onboard(struct sockets *s, enum drive_interface interface, unsigned index, struct drive *d,
                       const struct option_list *props, struct error *err)
{
    const unsigned either = 2;
    uint64_t unit = either;
    struct drive_part part = {.interface = interface, .index = index};

    if (!s->drive)
        return error_set(err, -EINVAL, "this board has no place for such a drive");
    if (option_list_number(props, "unit", 0, 1, &unit, err) < 0)
        return -EINVAL;
    part.index += unit == 1;
    if (s->drive(s->ctx, d, &part, err) == 0)
        return 0;
    part.index++;
    return unit == either ? s->drive(s->ctx, d, &part, err) : -EINVAL;
}

const struct option_key floppy_keys[] = {{"unit", "0|1"}, {NULL, NULL}};

int floppy_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                struct error *err)
{
    (void)name, (void)devfn;
    return parts_plug_onboard(s, DRIVE_IF_FLOPPY, 0, d, props, err);
}

/* For a drive that the board plugs in by a device of its choice. */
static int plug_model(struct sockets *s, const char *name, struct drive *d, struct error *err)
{
    const struct option_list none = {.option = (char *)(uintptr_t)"--drive"};
    const struct machine_parts no_roms = {.nroms = 0};
    const struct device_model *model = parts_find_model(name);

    return model ? plug(&no_roms, s, model, &none, d, err) : error_set(err, -EINVAL, "there is no device %s", name);
}

int parts_connect_chardev(struct device *dev, const struct option_list *props, struct error *err)
{
    const char *id = option_list_get(props, "chardev");

    if (!id)
        return error_set(err, -EINVAL, "it needs chardev=ID, the id of a --chardev");
    if (!*id || strlen(id) >= sizeof(dev->backend))
        return error_set(err, -EINVAL, "chardev=%s: an id has 1 to %zu characters", id, sizeof(dev->backend) - 1);
    strcpy(dev->backend, id);
    dev->backend_kind = BACKEND_CHARDEV;
    return 0;
}

int parts_no_place(const struct drive_part *part, struct error *err)
{
    bool scsi = part->interface == DRIVE_IF_SCSI;

    return error_set(err, -EINVAL, "this board has no controller of its own for that interface: plug the drive in by if=none,id=ID and "
                     "%s--device %s,drive=ID", scsi ? "--device virtio-scsi-pci " : "", scsi ? "scsi-hd" : "virtio-blk-pci");
}

static int plug_drive(struct sockets *s, struct drive *d, const struct drive_part *part, struct error *err)
{
    int r = 0;

    if (part->interface == DRIVE_IF_NONE)
        return 0;
    if (s->models[part->interface])
        r = plug_model(s, s->models[part->interface], d, err);
    else if (s->drive)
        r = s->drive(s->ctx, d, part, err);
    else
        r = parts_no_place(part, err);
    if (r < 0)
        error_prefix(err, "drive %s", part->config.name);
    return r;
}

/* Every device has these, besides its own; but for drive (model->takes), and what is of PCI slots. */
static const struct option_key common_keys[] = {
    {"driver", "NAME"}, {"id", "ID"}, {"drive", "ID"}, {"addr", "SLOT[.FUNCTION]"}, {"bus", "ID"},
    {"bootindex", "N"}, {"romfile", "[FILE]"}, {"rombar", "0|1"},
};

void parts_model_keys(const struct device_model *model, struct option_key keys[PARTS_MAX_KEYS])
{
    bool pci = !strcmp(model->bus, "PCI");
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(common_keys); i++) {
        const char *name = common_keys[i].name;

        if ((model->takes || strcmp(name, "drive")) && (pci || (strcmp(name, "addr") && strncmp(name, "rom", 3) != 0)))
            keys[n++] = common_keys[i];
    }
    for (const struct option_key *k = model->keys; k && k->name; k++) {
        CHECK(n + 1 < PARTS_MAX_KEYS);
        keys[n++] = *k;
    }
    keys[n] = (struct option_key){NULL, NULL};
}

static int plug_device(const struct machine_parts *p, struct sockets *s, const char *text, struct error *err)
{
    const struct device_model *model = NULL;
    struct drive *d;
    struct option_list l;
    struct option_key keys[PARTS_MAX_KEYS];
    const char *name;
    int r = option_list_parse(&l, "--device", text, "driver", NULL, err);

    if (r == 0) {
        name = option_list_get(&l, "driver");
        model = name ? parts_find_model(name) : NULL;
        if (!model)
            r = parts_unknown_model(name, err);
    }
    if (r == 0) {
        parts_model_keys(model, keys);
        r = option_list_check(&l, keys, err);
    }
    if (r == 0)
        r = find_drive(s->machine, model, option_list_get(&l, "drive"), &d, err);
    if (r == 0)
        r = plug(p, s, model, &l, d, err);
    if (r < 0)
        error_prefix(err, "--device %s", text);
    option_list_finish(&l);
    return r;
}

int parts_plug(const struct machine_parts *p, struct sockets *s, struct error *err)
{
    struct drive *d;

    for (unsigned i = 0; i < p->ndrives; i++)
        if (drive_create(&d, s->machine, &p->drives[i].config, err) < 0)
            return err->code;
    for (unsigned i = 0; i < p->ndrives; i++)
        if (plug_drive(s, drive_find(s->machine, p->drives[i].config.name), &p->drives[i], err) < 0)
            return err->code;
    for (unsigned i = 0; i < p->ndevices; i++)
        if (plug_device(p, s, p->devices[i], err) < 0)
            return err->code;
    return 0;
}
