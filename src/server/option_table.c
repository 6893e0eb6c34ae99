/*
 * The options: a row for each, with its names, its argument, its help, and the function that takes it.
 *
 * Adding one: a member of struct options, a row here, doc/hindcast.1, README.md. One whose value is
 * KEY=VALUE,... is taken apart by base/option_list.h. Where hindcast gets what QEMU has under some word,
 * the word's entry in option_foreign[] goes.
 */
#include "option_table.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/option_list.h"
#include "chardev_options.h"
#include "option_tpm.h"
#include "host/audiodev.h"
#include "vm/dev/vga.h"
#include "vm/dev/virtio_gpu.h"
#include "vm/dev/watchdog.h"
#include "vm/machine.h"

#define MIB ((uint64_t)1 << 20)
#define MEMORY_MAX ((uint64_t)64 << 30)

#define TAKER(name) \
    static int name(struct options *o, const struct option_row *row, char *arg, struct error *err)
/* Takers that need not all they are given. */
#define UNUSED3(a, b, c) ((void)(a), (void)(b), (void)(c))

/* ---- of any option ---- */

/* Keep the text. */
TAKER(take_text)
{
    (void)err;
    *(const char **)(void *)((char *)o + row->which) = arg;
    return 0;
}

TAKER(take_flag)
{
    UNUSED3(row, arg, err);
    *(bool *)(void *)((char *)o + row->which) = true;
    return 0;
}

/* What it asks for is so anyway. */
TAKER(take_nothing)
{
    UNUSED3(o, row, arg);
    (void)err;
    return 0;
}

/* A word of option_foreign[] that asks for nothing with the value that is the row's argument. */
TAKER(take_none)
{
    const struct option_foreign *f = option_foreign;

    (void)o;
    if (!strcmp(arg, row->argument))
        return 0;
    while (strcmp(f->name, row->name) != 0)
        f++;
    return error_set(err, -EINVAL, "-%s %s: %s", row->name, arg, f->text);
}

/* tcg, alone or in a list of what might be there, is an emulator as hindcast's own. */
static int check_accelerator(const char *option, const char *list, struct error *err)
{
    for (const char *p = list; p; p = strchr(p, ':'), p += p != NULL)
        if (!strncmp(p, "tcg", 3) && strchr(":,", p[3]))
            return 0;
    return error_set(err, -EINVAL, "%s%s: hindcast counts instructions on its own emulator, which nothing else can do: leave it out",
                     option, list);
}

/* A switch in the words of QEMU's properties. False: it is none of them. */
static bool is_switch(const char *word, bool *value)
{
    *value = !strcmp(word, "on") || !strcmp(word, "true") || !strcmp(word, "1");
    return *value || !strcmp(word, "off") || !strcmp(word, "false") || !strcmp(word, "0");
}

/* Of properties that QEMU sets so, that of the slots for virtio, and those by which libvirt takes sleep states away (of which
 * there is no S4). */
TAKER(take_global)
{
    bool no_s4 = true;
    const struct {
        const char *name;
        bool *value;
    } properties[] = {
        {"virtio-mmio.force-legacy=", &o->drives.old_mmio}, {"PIIX4_PM.disable_s3=", &o->no_s3}, {"PIIX4_PM.disable_s4=", &no_s4},
    };

    for (unsigned i = 0; i < ARRAY_LEN(properties); i++) {
        size_t len = strlen(properties[i].name);

        if (!strncmp(arg, properties[i].name, len) && is_switch(arg + len, properties[i].value) && no_s4)
            return 0;
    }
    return take_none(o, row, arg, err);
}

TAKER(take_accel)
{
    (void)o;
    (void)row;
    return check_accelerator("-accel ", arg, err);
}

TAKER(take_file)
{
    struct option_files *f = &o->files[row->which];

    (void)err;
    f->path[0] = arg;
    f->count = 1;
    return 0;
}

/* The text is one of `names`: its index. */
static int take_choice(const struct option_row *row, const char *arg, const char *const *names, unsigned *out,
                       struct error *err)
{
    struct buffer b;
    int r;

    for (*out = 0; names[*out]; ++*out)
        if (!strcmp(arg, names[*out]))
            return 0;
    buffer_init(&b);
    for (unsigned i = 0; names[i]; i++)
        buffer_printf(&b, "%s%s", !i ? "" : names[i + 1] ? ", " : " or ", names[i]);
    buffer_append_byte(&b, 0);
    r = error_set(err, -EINVAL, "--%s %s: write %s", row->name, arg, (const char *)b.data);
    buffer_finish(&b);
    return r;
}

/* ---- the guest ---- */

TAKER(take_memory)
{
    /* "size=" may stand before it, as in QEMU. */
    const char *size = !strncmp(arg, "size=", 5) ? arg + 5 : arg;

    (void)row;
    if (strstr(arg, ",slots=") || strstr(arg, ",maxmem="))
        return error_set(err, -EINVAL, "--memory %s: memory cannot be plugged in later: write the size alone", arg);
    if (!option_parse_size(size, MIB, &o->memory_bytes))
        return error_set(err, -EINVAL, "--memory %s: write a size such as 512K, 256M or 1G", arg);
    if (o->memory_bytes < MIB || o->memory_bytes > MEMORY_MAX)
        return error_set(err, -EINVAL, "--memory %s: a guest can have from 1M to 64G (a 32-bit PC: to 3G)", arg);
    if (o->memory_bytes & ~PAGE_MASK)
        return error_set(err, -EINVAL, "--memory %s: not a multiple of 4K", arg);
    return 0;
}

static const struct option_key pc_keys[] = {
    {"type", "pc"}, {"serial-out2", "on|off"}, {"hpet", "on|off"}, {"s3", "on|off"}, {"usb", "on|off"}, {"smbios-entry-point-type", "32|64"},
    {"pcspk-audiodev", "ID"}, {"accel", "tcg"}, {NULL, NULL},
};
static const struct option_key virt_keys[] = {
    {"type", "virt"}, {"gic-version", "2|3"}, {"its", "on|off"}, {"secure", "on|off"}, {"virtualization", "on|off"},
    {"highmem", "on|off"}, {"enable-method", "psci|spin-table"}, {"usb", "on|off"}, {"acpi", "off"}, {"iommu", "none"},
    {"mte", "off"}, {"ras", "off"}, {"accel", "tcg"}, {NULL, NULL},
};

/* What QEMU's board can have and this one has not, written down by who does not want it there either. */
static int take_absent(struct option_list *l, struct error *err)
{
    static const char *const off[] = {"off", NULL}, *const none[] = {"none", NULL};
    unsigned only;

    if (option_list_choice(l, "acpi", off, &only, err) < 0 || option_list_choice(l, "mte", off, &only, err) < 0 ||
        option_list_choice(l, "ras", off, &only, err) < 0 || option_list_choice(l, "iommu", none, &only, err) < 0)
        return -EINVAL;
    return 0;
}

static int take_virt(struct options *o, struct option_list *l, struct error *err)
{
    static const char *const enable_methods[] = {"psci", "spin-table", NULL};
    unsigned enable_method = 0;
    uint64_t gic = 2;
    bool highmem = true;

    o->kind = MACHINE_VIRT;
    o->secure = o->virtualization = false;
    if (option_list_check(l, virt_keys, err) < 0 || option_list_number(l, "gic-version", 2, 3, &gic, err) < 0)
        return -EINVAL;
    o->its = gic == 3;
    if (option_list_switch(l, "its", &o->its, err) < 0 ||
        option_list_switch(l, "secure", &o->secure, err) < 0 ||
        option_list_switch(l, "virtualization", &o->virtualization, err) < 0 ||
        option_list_switch(l, "highmem", &highmem, err) < 0 || take_absent(l, err) < 0 ||
        option_list_choice(l, "enable-method", enable_methods, &enable_method, err) < 0 ||
        option_list_switch(l, "usb", &o->usb, err) < 0)
        return -EINVAL;
    o->spin_table = enable_method;
    o->lowmem = !highmem;
    o->gic_version = (unsigned)gic;
    return 0;
}

static int take_pc(struct options *o, struct option_list *l, struct error *err)
{
    static const char *const entry_points[] = {"32", "64", NULL};
    unsigned entry_point = 0;
    const char *speaker = option_list_get(l, "pcspk-audiodev");

    o->kind = MACHINE_PC;
    o->serial_out2 = false;
    o->hpet = o->s3 = true;
    if (option_list_check(l, pc_keys, err) < 0 || option_list_switch(l, "serial-out2", &o->serial_out2, err) < 0 ||
        option_list_switch(l, "hpet", &o->hpet, err) < 0 || option_list_switch(l, "s3", &o->s3, err) < 0 ||
        option_list_switch(l, "usb", &o->usb, err) < 0 || option_list_choice(l, "smbios-entry-point-type", entry_points, &entry_point, err) < 0)
        return -EINVAL;
    o->smbios_64 = entry_point;
    if (speaker && (!*speaker || strlen(speaker) >= sizeof o->pcspk_audiodev))
        return error_set(err, -EINVAL, "pcspk-audiodev=%s: an id has 1 to %zu characters", speaker, sizeof o->pcspk_audiodev - 1);
    strcpy(o->pcspk_audiodev, speaker ? speaker : "");
    return 0;
}

/* Boards of QEMU's that people ask for, and what to do instead. */
static const struct option_foreign foreign_boards[] = {
    {"q35", "this PC has an i440FX: what a q35 has is plugged into it (--device ich9-ahci, pcie-root-port, nvme, qemu-xhci)"},
    {"microvm", "write pc: kernels find its devices on PCI, not by virtio-mmio"},
    {"isapc", "write pc: its ISA devices are where they are on an isapc"},
    {NULL, NULL},
};

static int no_such_board(const char *arg, const char *type, struct error *err)
{
    for (const struct option_foreign *f = foreign_boards; type && f->name; f++)
        if (!strncmp(type, f->name, strlen(f->name)) || (!strncmp(type, "pc-", 3) && !strncmp(type + 3, f->name, strlen(f->name))))
            return error_set(err, -EINVAL, "--machine %s: %s", arg, f->text);
    return error_set(err, -EINVAL, "--machine %s: there are pc and virt, each with [,PROPERTY=VALUE...]", arg);
}

/* Is the board meant, or a version of QEMU's of it? */
static bool is_board(const char *type, const char *name, const char *versions)
{
    return type && (!strcmp(type, name) || !strncmp(type, versions, strlen(versions)));
}

int options_take_machine(struct options *o, const char *arg, struct error *err)
{
    struct option_list l;
    const char *type, *accelerator;
    int r = option_list_parse(&l, "--machine", arg, "type", NULL, err);

    type = r == 0 ? option_list_get(&l, "type") : NULL;
    o->machine = arg;
    if (option_asks_help(arg)) {
        option_list_finish(&l);
        return 0;
    }
    accelerator = r == 0 ? option_list_get(&l, "accel") : NULL;
    if (accelerator)
        r = check_accelerator("--machine accel=", accelerator, err);
    if (r == 0 && is_board(type, "virt", "virt-"))
        r = take_virt(o, &l, err);
    else if (r == 0 && is_board(type, "pc", "pc-i440fx-"))
        r = take_pc(o, &l, err);
    else if (r == 0)
        r = no_such_board(arg, type, err);
    option_list_finish(&l);
    return r;
}

void options_print_machines(void)
{
    const struct option_key *const machines[] = {pc_keys, virt_keys};

    for (unsigned i = 0; i < ARRAY_LEN(machines); i++) {
        printf("%s", machines[i]->values);
        for (const struct option_key *k = machines[i] + 1; k->name; k++)
            printf(" [,%s=%s]", k->name, k->values);
        putchar('\n');
    }
}

TAKER(take_machine)
{
    (void)row;
    return options_take_machine(o, arg, err);
}

TAKER(take_module)
{
    struct option_files *f = &o->files[IMAGE_MODULE];

    if (f->count == OPTIONS_MAX_MODULES)
        return error_set(err, -EINVAL, "--%s: at most %d", row->name, OPTIONS_MAX_MODULES);
    f->path[f->count++] = arg;
    return 0;
}

TAKER(take_rom)
{
    struct option_files *f = &o->files[IMAGE_ROM];

    if (f->count == OPTIONS_MAX_ROMS)
        return error_set(err, -EINVAL, "--%s: at most %d", row->name, OPTIONS_MAX_ROMS);
    f->path[f->count++] = arg;
    return 0;
}

/* Displays of QEMU's that people ask for. */
static const char *const foreign_displays[] = {"cirrus", "qxl", "qxl-vga", "vmware", "tcx", "cg3", "xenfb", NULL};

/* `what`: whose value it is, for errors. */
static int take_vga_words(struct options *o, const char *what, const char *arg, struct error *err)
{
    static const char *const types[] = {"std", "virtio", "none", NULL};
    const struct option_key *const keys[] = {secondary_vga_keys, virtio_vga_keys, NULL};
    struct option_key all[24] = {{"type", "std|virtio|none"}};
    struct option_list l;
    unsigned type = 0;
    int r = option_list_parse(&l, what, arg, "type", NULL, err);
    const char *name = r == 0 ? option_list_get(&l, "type") : NULL;

    for (unsigned i = 0; name && foreign_displays[i]; i++)
        if (!strcmp(name, foreign_displays[i]))
            r = error_set(err, -EINVAL, "--vga %s: there are std, which every driver for a VGA or VESA modes knows, virtio and none", arg);
    if (r == 0)
        r = option_list_choice(&l, "type", types, &type, err);
    if (r == 0) {
        for (unsigned i = 0; keys[type] && keys[type][i].name && i + 2 < ARRAY_LEN(all); i++)
            all[i + 1] = keys[type][i];
        r = option_list_check(&l, all, err);
    }
    option_list_finish(&l);
    o->vga = arg;
    return r;
}

int options_take_vga(struct options *o, const char *arg, struct error *err)
{
    return take_vga_words(o, "--vga", arg, err);
}

#define ONE_DISPLAY "there is one already, and a board has one such display; --device bochs-display and secondary-vga are others beside it"

/* --vga none leaves the display that --device gives. */
TAKER(take_vga)
{
    bool none = !strcmp(arg, "none");

    if (o->vga_text && !none)
        return error_set(err, -EINVAL, "--%s %s: " ONE_DISPLAY, row->name, arg);
    o->vga_given = !none;
    return o->vga_text ? 0 : options_take_vga(o, arg, err);
}

/* --device VGA and virtio-vga: the board's display, whose properties they give. False: it is another device. */
static bool take_display(struct options *o, const char *arg, int *r, struct error *err)
{
    static const char *const names[][2] = {{"VGA", "std"}, {"virtio-vga", "virtio"}};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        size_t n = strlen(names[i][0]);
        struct buffer b;
        char what[32];

        if (strncmp(arg, names[i][0], n) != 0 || (arg[n] && arg[n] != ','))
            continue;
        if (o->vga_text || o->vga_given) {
            *r = error_set(err, -EINVAL, "--device %s: " ONE_DISPLAY, arg);
            return true;
        }
        snprintf(what, sizeof(what), "--device %s", names[i][0]);
        buffer_init(&b);
        buffer_printf(&b, "%s%s", names[i][1], arg + n);
        buffer_append_byte(&b, 0);
        o->vga_text = (char *)b.data;
        *r = take_vga_words(o, what, o->vga_text, err);
        return true;
    }
    return false;
}

TAKER(take_smbios)
{
    if (o->smbios_count == OPTIONS_MAX_SMBIOS)
        return error_set(err, -EINVAL, "--%s: at most %d", row->name, OPTIONS_MAX_SMBIOS);
    o->smbios[o->smbios_count++] = arg;
    return 0;
}

TAKER(take_gdb_arch)
{
    static const char *const names[] = {"i386", "x86-64", "i8086", NULL};
    unsigned n;

    o->gdb_arch = arg;
    return take_choice(row, arg, names, &n, err);
}

/* FILE or FILE,write-back */
TAKER(take_pflash)
{
    static const char suffix[] = ",write-back";
    size_t len = strlen(arg), n = sizeof(suffix) - 1;
    unsigned bank = o->files[IMAGE_PFLASH0].count;
    struct option_files *f = &o->files[IMAGE_PFLASH0 + bank];

    if (f->count)
        return error_set(err, -EINVAL, "--%s: there are %d flash banks", row->name, OPTIONS_MAX_PFLASH);
    if (len > n && !strcmp(arg + len - n, suffix)) {
        o->write_back[bank] = true;
        arg[len - n] = 0;
    }
    f->path[f->count++] = arg;
    return 0;
}

/* --drive if=pflash: a flash bank, as --pflash. */
static int take_flash_drive(struct options *o, struct option_drive *d, struct error *err)
{
    unsigned bank = d->any_index ? o->files[IMAGE_PFLASH0].count : d->index;

    if (!d->file)
        return error_set(err, -EINVAL, "--drive if=pflash: it needs file=FILE");
    if (bank >= OPTIONS_MAX_PFLASH || o->files[IMAGE_PFLASH0 + bank].count)
        return error_set(err, -EINVAL, "--drive if=pflash: there are %d flash banks, one file each", OPTIONS_MAX_PFLASH);
    if (d->format && strcmp(d->format, "raw"))
        return error_set(err, -EINVAL, "--drive if=pflash,format=%s: flash images are raw (qemu-img convert makes one)",
                         d->format);
    if (d->write_back_file)
        return error_set(err, -EINVAL, "--drive if=pflash,write-back=%s: write-back=on writes to its own file; monitor "
                         "save_flash writes to any", d->write_back_file);
    if (d->write_back && d->read_only)
        return error_set(err, -EINVAL, "--drive if=pflash: nothing is written back of a bank that is readonly");
    o->flash_read_only[bank] = d->read_only;
    o->write_back[bank] = d->write_back;
    o->flash_file[bank] = d->file;
    d->file = NULL;
    o->files[IMAGE_PFLASH0 + bank].path[o->files[IMAGE_PFLASH0 + bank].count++] = o->flash_file[bank];
    return 0;
}

TAKER(take_drive)
{
    struct option_drive flash;
    int r = option_drive_take(&o->drives, arg, err);

    (void)row;
    if (r < 0 || !option_drive_take_flash(&o->drives, &flash))
        return r;
    r = take_flash_drive(o, &flash, err);
    option_drive_free(&flash);
    return r;
}

/* -hda to -hdd, --cdrom: the usual interface. `which`: the index. */
TAKER(take_disk)
{
    enum drive_media media = strcmp(row->name, "cdrom") ? DRIVE_DISK : DRIVE_CDROM;

    return option_drive_take_file(&o->drives, arg, media, (unsigned)row->which, true, DRIVE_IF_NONE, err);
}

TAKER(take_floppy)
{
    return option_drive_take_file(&o->drives, arg, DRIVE_FLOPPY, (unsigned)row->which, false, DRIVE_IF_FLOPPY, err);
}

TAKER(take_sd)
{
    return option_drive_take_file(&o->drives, arg, DRIVE_DISK, (unsigned)row->which, false, DRIVE_IF_SD, err);
}

TAKER(take_device)
{
    int r = 0;

    (void)row;
    return take_display(o, arg, &r, err) ? r : option_device_take(&o->drives, arg, err);
}

/* --watchdog-action ACTION, and --action watchdog=ACTION. Others of --action are what is done anyway. */
TAKER(take_watchdog_action)
{
    if (watchdog_check_action(arg, err) < 0)
        return error_prefix(err, "--%s %s", row->name, arg), -EINVAL;
    o->drives.watchdog_action = arg;
    return 0;
}

TAKER(take_action)
{
    static const char watchdog[] = "watchdog=";
    const size_t n = sizeof(watchdog) - 1;

    if (strncmp(arg, watchdog, n) != 0 || strchr(arg, ','))
        return take_none(o, row, arg, err);
    if (watchdog_check_action(arg + n, err) < 0)
        return error_prefix(err, "--%s %s", row->name, arg), -EINVAL;
    o->drives.watchdog_action = arg + n;
    return 0;
}

TAKER(take_boot)
{
    (void)row;
    return option_boot_take(&o->drives, arg, err);
}

static void add_semihost_word(struct options *o, const char *word)
{
    struct buffer b;

    buffer_init(&b);
    if (o->semihost_args)
        buffer_printf(&b, "%s ", o->semihost_args);
    buffer_append(&b, word, strlen(word) + 1);
    free(o->semihost_args);
    o->semihost_args = (char *)b.data;
}

TAKER(take_semihosting_arg)
{
    (void)row;
    (void)err;
    add_semihost_word(o, arg);
    return 0;
}

/* QEMU's words. Its console is where the first --serial is. */
TAKER(take_semihosting_config)
{
    static const struct option_key keys[] = {
        {"enable", "on|off"}, {"target", "native|auto"}, {"arg", "WORD..."}, {"userspace", "off"}, {NULL, NULL},
    };
    static const char *const targets[] = {"native", "auto", NULL}, *const userspace[] = {"off", NULL};
    struct option_list l;
    unsigned n;
    int r = option_list_parse(&l, "--semihosting-config", arg, NULL, NULL, err);

    (void)row;
    o->semihosting = true;
    /* "on" and "off" alone are the first key's. */
    if (r == 0 && l.count && l.pairs[0].alone && (!strcmp(l.pairs[0].key, "on") || !strcmp(l.pairs[0].key, "off")))
        l.pairs[0] = (struct option_pair){"enable", l.pairs[0].key, false, true};
    if (r == 0)
        r = option_list_check(&l, keys, err);
    if (r == 0)
        r = option_list_switch(&l, "enable", &o->semihosting, err);
    if (r == 0)
        r = option_list_choice(&l, "target", targets, &n, err);
    if (r == 0)
        r = option_list_choice(&l, "userspace", userspace, &n, err);
    for (unsigned i = 0; r == 0 && option_list_nth(&l, "arg", i); i++)
        add_semihost_word(o, option_list_nth(&l, "arg", i));
    option_list_finish(&l);
    return r;
}

TAKER(take_serial)
{
    if (o->serial_count == OPTIONS_MAX_SERIAL)
        return error_set(err, -EINVAL, "--%s: this machine has %d serial ports", row->name, OPTIONS_MAX_SERIAL);
    o->serial[o->serial_count++] = arg;
    return 0;
}

TAKER(take_debugcon)
{
    (void)row, (void)err;
    o->debugcon = arg;
    return 0;
}

TAKER(take_chardev)
{
    struct chardev_options c;
    int r;

    if (o->chardev_count == OPTIONS_MAX_CHARDEV)
        return error_set(err, -EINVAL, "--%s: at most %d", row->name, OPTIONS_MAX_CHARDEV);
    o->chardev[o->chardev_count++] = arg;
    r = chardev_options_parse(&c, arg, err);
    chardev_options_finish(&c);
    return r;
}

TAKER(take_rtc)
{
    (void)row;
    o->rtc = arg;
    return guest_clock_parse(&o->clock, arg, err);
}

TAKER(take_seed)
{
    o->seeded = option_parse_number(arg, &o->seed);
    return o->seeded ? 0 : error_set(err, -EINVAL, "--%s %s: write a number", row->name, arg);
}

/* QEMU's sources of entropy: --device virtio-rng-pci,rng=ID names one. Here all of it is the machine's, and recorded. */
TAKER(take_object)
{
    static const struct option_key keys[] = {
        {"qom-type", "rng-random|rng-builtin"}, {"id", "ID"}, {"filename", "FILE (not read)"}, {NULL, NULL},
    };
    struct option_list l;
    int r = option_list_parse(&l, "--object", arg, "qom-type", NULL, err);
    const char *type = r == 0 ? option_list_get(&l, "qom-type") : NULL;

    (void)row;
    if (type && !strcmp(type, "filter-dump")) {
        r = option_dump_take(&o->net, arg, &l, err);
        option_list_finish(&l);
        return r;
    }
    if (r == 0 && (!type || (strcmp(type, "rng-random") && strcmp(type, "rng-builtin"))))
        r = error_set(err, -EINVAL, "--object %s: there are rng-random, rng-builtin and filter-dump", type ? type : arg);
    if (r == 0)
        r = option_list_check(&l, keys, err);
    if (r == 0 && !option_list_get(&l, "id"))
        r = error_set(err, -EINVAL, "--object %s: id=ID is missing, by which --device virtio-rng-pci,rng=ID names it", type);
    option_list_finish(&l);
    return r;
}

TAKER(take_netdev)
{
    (void)row;
    return option_netdev_take(&o->net, arg, err);
}

TAKER(take_audiodev)
{
    char id[32], other[32];

    if (o->audiodev_count == OPTIONS_MAX_AUDIODEV)
        return error_set(err, -EINVAL, "--%s: at most %d", row->name, OPTIONS_MAX_AUDIODEV);
    if (audiodev_check(arg, id, sizeof id, err) < 0) /* (it names the option) */
        return err->code;
    for (unsigned i = 0; i < o->audiodev_count; i++)
        if (audiodev_check(o->audiodev[i], other, sizeof other, err) == 0 && !strcmp(id, other))
            return error_set(err, -EINVAL, "--%s %s: there is one with that id already", row->name, arg);
    o->audiodev[o->audiodev_count++] = arg;
    return 0;
}

TAKER(take_nic)
{
    (void)row;
    return option_nic_take(&o->net, &o->drives, arg, err);
}

TAKER(take_fsdev)
{
    (void)row;
    return option_fsdev_take(&o->fsdevs, arg, err);
}

TAKER(take_tpmdev)
{
    struct option_tpmdev t;
    int r = option_tpmdev_parse(&t, arg, err);

    option_tpmdev_finish(&t);
    if (r == 0 && o->tpmdev)
        return error_set(err, -EINVAL, "--%s: a machine has one TPM at most", row->name);
    o->tpmdev = arg;
    return r;
}

TAKER(take_virtfs)
{
    (void)row;
    return option_virtfs_take(&o->fsdevs, &o->drives, arg, err);
}

TAKER(take_icount)
{
    static const struct option_key keys[] = {
        {"shift", "N (an instruction takes 2^N ns)"}, {"sleep", "on|off"}, {"align", "off"}, {NULL, NULL},
    };
    static const char *const align[] = {"off", NULL};
    uint64_t shift = o->icount_shift;
    struct option_list l;
    unsigned n;
    int r = option_list_parse(&l, "--icount", arg, "shift", NULL, err);

    (void)row;
    if (r == 0 && option_list_get(&l, "rr"))
        r = error_set(err, -EINVAL, "--icount rr=%s: write --record FILE or --replay FILE", option_list_get(&l, "rr"));
    if (r == 0)
        r = option_list_check(&l, keys, err);
    if (r == 0)
        r = option_list_number(&l, "shift", 0, 10, &shift, err);
    if (r == 0)
        r = option_list_switch(&l, "sleep", &o->sleep, err);
    if (r == 0)
        r = option_list_choice(&l, "align", align, &n, err);
    o->icount_shift = (unsigned)shift;
    option_list_finish(&l);
    return r;
}

/* QEMU's -smp: what is left out follows from the rest, and the CPUs are sockets. */
int options_take_smp(struct options *o, const char *arg, struct error *err)
{
    static const struct option_key keys[] = {
        {"cpus", "N (CPUs)"}, {"sockets", "N"}, {"cores", "N (of a socket)"}, {"threads", "N (of a core)"},
        {"maxcpus", "N (no more than there are)"}, {"dies", "1"}, {"clusters", "1"}, {NULL, NULL},
    };
    uint64_t cpus = 0, sockets = 0, cores = 0, threads = 0, most = 0, one = 1;
    struct option_list l;
    int r = option_list_parse(&l, "--smp", arg, "cpus", NULL, err);

    if (r == 0)
        r = option_list_check(&l, keys, err);
    if (r == 0)
        r = option_list_number(&l, "cpus", 1, MACHINE_MAX_CPUS, &cpus, err);
    if (r == 0)
        r = option_list_number(&l, "sockets", 1, MACHINE_MAX_CPUS, &sockets, err);
    if (r == 0)
        r = option_list_number(&l, "cores", 1, MACHINE_MAX_CPUS, &cores, err);
    if (r == 0)
        r = option_list_number(&l, "threads", 1, MACHINE_MAX_CPUS, &threads, err);
    if (r == 0)
        r = option_list_number(&l, "maxcpus", 1, MACHINE_MAX_CPUS, &most, err);
    if (r == 0)
        r = option_list_number(&l, "dies", 1, 1, &one, err);
    if (r == 0)
        r = option_list_number(&l, "clusters", 1, 1, &one, err);
    option_list_finish(&l);
    if (r < 0)
        return r;
    /* What is left out is what multiplies out: cores of the sockets that were named, threads of cores; else sockets. */
    if (!threads)
        threads = sockets && cores && cpus > sockets * cores ? cpus / (sockets * cores) : 1;
    if (!cores)
        cores = sockets && cpus > sockets * threads ? cpus / (sockets * threads) : 1;
    if (!sockets)
        sockets = cpus > cores * threads ? cpus / (cores * threads) : 1;
    if (!cpus)
        cpus = sockets * cores * threads;
    if (most && most != cpus)
        return error_set(err, -EINVAL, "--smp %s: CPUs cannot be plugged in later: leave maxcpus out", arg);
    if (cpus != sockets * cores * threads)
        return error_set(err, -EINVAL, "--smp %s: %u socket(s) of %u core(s) of %u thread(s) are %u CPUs, not %u", arg,
                         (unsigned)sockets, (unsigned)cores, (unsigned)threads, (unsigned)(sockets * cores * threads),
                         (unsigned)cpus);
    if (cpus > MACHINE_MAX_CPUS)
        return error_set(err, -EINVAL, "--smp %s: %u CPUs; %d are the most", arg, (unsigned)cpus, MACHINE_MAX_CPUS);
    o->smp = arg;
    o->topology = (struct cpu_topology){(unsigned)cpus, (unsigned)sockets, (unsigned)cores, (unsigned)threads};
    return 0;
}

TAKER(take_smp)
{
    (void)row;
    return options_take_smp(o, arg, err);
}

int options_take_interleave(struct options *o, const char *arg, struct error *err)
{
    static const struct option_key keys[] = {
        {"quantum", "N (steps until it is the next CPU's turn)"}, {"seed", "N (draw turns and lengths)"},
        {"starve", "on|off (with a seed: now and then, pass a CPU over for long)"}, {NULL, NULL},
    };
    struct schedule s = {.quantum = SCHEDULE_QUANTUM};
    struct option_list l;
    int r = option_list_parse(&l, "--interleave", arg, "quantum", NULL, err);

    if (r == 0)
        r = option_list_check(&l, keys, err);
    if (r == 0)
        r = option_list_number(&l, "quantum", 1, SCHEDULE_QUANTUM_MAX, &s.quantum, err);
    if (r == 0)
        r = option_list_number(&l, "seed", 0, UINT64_MAX, &s.seed, err);
    if (r == 0)
        r = option_list_switch(&l, "starve", &s.starve, err);
    s.seeded = r == 0 && option_list_get(&l, "seed");
    option_list_finish(&l);
    if (r == 0 && s.starve && !s.seeded)
        r = error_set(err, -EINVAL, "--interleave starve=on: that is drawn, so it needs a seed=N");
    if (r < 0)
        return r;
    o->interleave = arg;
    o->schedule = s;
    return 0;
}

TAKER(take_interleave)
{
    (void)row;
    return options_take_interleave(o, arg, err);
}

TAKER(take_debug_exit)
{
    o->debug_exit_count = 0;
    o->debug_exit_option = true;
    if (!strcmp(arg, "none"))
        return 0;
    for (const char *p = arg;;) {
        char *end;
        unsigned long port = strtoul(p, &end, 0);

        if (*p < '0' || *p > '9' || port > 0xffff || (*end && *end != ','))
            return error_set(err, -EINVAL, "--%s %s: write I/O ports such as 0xf4,0x501, or none", row->name, arg);
        if (o->debug_exit_count == OPTIONS_MAX_DEBUG_EXIT)
            return error_set(err, -EINVAL, "--%s: at most %d ports", row->name, OPTIONS_MAX_DEBUG_EXIT);
        o->debug_exit[o->debug_exit_count++] = (uint16_t)port;
        if (!*end)
            return 0;
        p = end + 1;
    }
}

/* ---- the debugger ---- */

TAKER(take_listen)
{
    (void)row;
    (void)err;
    o->listen = !strcmp(arg, "none") ? NULL : arg;
    o->listen_given = true;
    return 0;
}

TAKER(take_s)
{
    UNUSED3(row, arg, err);
    o->listen = OPTIONS_LISTEN_DEFAULT;
    return 0;
}

TAKER(take_gdb)
{
    o->gdb_stdio = !strcmp(arg, "stdio");
    return o->gdb_stdio ? 0 : take_listen(o, row, arg, err);
}

TAKER(take_engine)
{
    static const char *const names[] = {
        [ENGINE_AUTO] = "auto", [ENGINE_JIT] = "jit", [ENGINE_INTERPRETER] = "interpreter", NULL,
    };
    unsigned n;
    int r = take_choice(row, arg, names, &n, err);

    o->engine = r == 0 ? (enum options_engine)n : ENGINE_AUTO;
    return r;
}

TAKER(take_checkpoint_memory)
{
    if (option_parse_size(arg, MIB, &o->checkpoint_bytes) && o->checkpoint_bytes)
        return 0;
    return error_set(err, -EINVAL, "--%s %s: write a size such as 512K, 256M or 1G", row->name, arg);
}

/* ---- recordings ---- */

/* More often is of no use: an instruction takes less time than its checkpoint. */
#define CHECKPOINT_STEPS_MIN 1000u

/* "every=10M" or "10M": steps, by thousands. */
TAKER(take_checkpoints)
{
    const char *text = strncmp(arg, "every=", 6) ? arg : arg + 6;
    unsigned long long n, unit = 1;
    char *end;

    errno = 0;
    n = strtoull(text, &end, 10);
    switch (*end | 0x20) {
    case 'k':
        unit = 1000, end++;
        break;
    case 'm':
        unit = 1000000, end++;
        break;
    case 'g':
        unit = 1000000000, end++;
        break;
    default:
        break;
    }
    if (*text < '0' || *text > '9' || *end || errno || n > UINT64_MAX / unit)
        return error_set(err, -EINVAL, "--%s %s: write every=N, a number of instructions such as 500M or 1G", row->name,
                         arg);
    o->checkpoint_steps = n * unit;
    if (o->checkpoint_steps < CHECKPOINT_STEPS_MIN)
        return error_set(err, -EINVAL, "--%s %s: %u instructions is the least between two of them", row->name, arg,
                         CHECKPOINT_STEPS_MIN);
    return 0;
}

/* Of verify: "start", "checkpoints", a position. */
TAKER(take_from)
{
    o->from = !strcmp(arg, "start") ? FROM_START : !strcmp(arg, "checkpoints") ? FROM_CHECKPOINTS : FROM_POSITION;
    if (o->from != FROM_POSITION || option_parse_number(arg, &o->from_position))
        return 0;
    return error_set(err, -EINVAL, "--%s %s: write start, checkpoints, or a position", row->name, arg);
}

TAKER(take_completion)
{
    static const char *const names[] = {"bash", "zsh", "fish", NULL};
    unsigned n;

    o->completion = arg;
    return take_choice(row, arg, names, &n, err);
}

/* ---- the table ---- */

#define MEMBER(name) offsetof(struct options, name)
#define MACHINE OPTION_OF_MACHINE
#define VERIFY  OPTION_VERIFY

const struct option_row option_table[] = {
    {"kernel", NULL, "FILE", SECTION_GUEST, VERIFY, take_file, IMAGE_KERNEL,
     "ELF (32 or 64 bits), Multiboot 1 or 2, Linux bzImage, vmlinux or arm64 Image, also compressed (KERNEL is the same)"},
    {"initrd", NULL, "FILE", SECTION_GUEST, VERIFY, take_module, 0,
     "initial RAM disk, or a Multiboot module (\"FILE WORDS\"); may be repeated"},
    {"append", NULL, "WORDS", SECTION_GUEST, MACHINE | OPTION_EMPTY, take_text, MEMBER(append), "kernel command line"},
    {"bios", NULL, "FILE", SECTION_GUEST, VERIFY, take_file, IMAGE_BIOS,
     "flat firmware image, started at the reset vector; with --kernel, it is given a Linux bzImage to start (SeaBIOS "
     "does: iPXE, GRUB, memdisk)"},
    {"vga", NULL, "std|virtio|none", SECTION_GUEST, MACHINE, take_vga, 0,
     "pc: display (default std; virtio: a VGA until a driver for virtio's GPU is there), with [,xres=,yres=]; monitor screen and monitor screendump show it"},
    {"vga-bios", NULL, "FILE", SECTION_GUEST, VERIFY, take_file, IMAGE_VGA_BIOS,
     "pc: video BIOS in the display's ROM, for a --bios that looks for one"},
    {"option-rom", NULL, "FILE", SECTION_GUEST, VERIFY, take_rom, 0,
     "pc: a ROM that the --bios loads (SeaBIOS: genroms/); may be repeated"},
    {"pflash", NULL, "FILE[,write-back]", SECTION_GUEST, VERIFY, take_pflash, 0,
     "contents of the first (the second) flash bank; pc: they end at 4 GiB, the second below the first (OVMF_CODE, "
     "OVMF_VARS). What the guest programs stays in memory, or is written to FILE at the end"},
    {"drive", NULL, "KEY=VALUE,...", SECTION_GUEST, VERIFY, take_drive, 0,
     "a drive: file=FILE, format=raw|qcow2, if=ide|virtio|floppy|sd|pflash|none, index=N or bus=N,unit=N, media=disk|cdrom, id=ID,"
     " readonly=on, snapshot=NAME (of a qcow2), discard=unmap, serial=TEXT, size=BYTES (FILE has so many), fail=LBA+N (bad sectors),"
     " latency=US, rate=MB/s, write-back[=FILE]; cache=, aio= and detect-zeroes= are taken and mean nothing. FILE is read only; what the"
     " guest writes is state"},
    {"hda", NULL, "FILE", SECTION_GUEST, VERIFY, take_disk, 0, "a disk; so -hdb, -hdc, -hdd"},
    {"hdb", NULL, "FILE", SECTION_GUEST, VERIFY, take_disk, 1, NULL},
    {"hdc", NULL, "FILE", SECTION_GUEST, VERIFY, take_disk, 2, NULL},
    {"hdd", NULL, "FILE", SECTION_GUEST, VERIFY, take_disk, 3, NULL},
    {"cdrom", NULL, "FILE", SECTION_GUEST, VERIFY, take_disk, 2, "a CD (index 2)"},
    {"fda", NULL, "FILE", SECTION_GUEST, VERIFY, take_floppy, 0, "pc: a floppy; so -fdb"},
    {"fdb", NULL, "FILE", SECTION_GUEST, VERIFY, take_floppy, 1, NULL},
    {"sd", NULL, "FILE", SECTION_GUEST, VERIFY, take_sd, 0, NULL},
    {"device", NULL, "NAME,...", SECTION_GUEST, MACHINE, take_device, 0,
     "plug in a device: NAME[,drive=ID][,addr=SLOT][,bootindex=N][,id=ID]; --device help lists them, --device NAME,help "
     "the properties of one"},
    {"usb", NULL, NULL, SECTION_GUEST, MACHINE, take_flag, MEMBER(usb),
     "pc: its USB controller (UHCI), for --device usb-kbd, usb-mouse, usb-tablet, usb-storage, usb-serial, usb-hub..., as usb=on"},
    {"watchdog-action", NULL, "ACTION", SECTION_GUEST, MACHINE, take_watchdog_action, 0,
     "what a watchdog (--device i6300esb, ib700) does when it has run out: reset (default), shutdown, poweroff, pause, debug, none, "
     "inject-nmi"},
    {"action", NULL, "watchdog=ACTION", SECTION_GUEST, MACHINE, take_action, 0, NULL},
    {"boot", NULL, "order=LETTERS", SECTION_GUEST, MACHINE, take_boot, 0,
     "what firmware boots from: a, b floppies, c disks, d CDs, n network; once=LETTERS: the first time only; menu=on "
     "(splash-time=, reboot-timeout=MS), strict=on; bootindex=N of a device comes before"},
    {"smbios", NULL, "type=N,KEY=VALUE,...", SECTION_GUEST, MACHINE, take_smbios, 0,
     "pc: what the machine is called: types 0, 1, 2, 3, 4, 11, 17 with QEMU's keys (manufacturer, product, serial...)"},
    {"uuid", NULL, "UUID", SECTION_GUEST, MACHINE, take_text, MEMBER(uuid), "pc: the system's UUID"},
    {"machine", "M", "NAME", SECTION_GUEST, MACHINE, take_machine, 0,
     "pc[,serial-out2=on][,hpet=off][,s3=off][,usb=on] [,pcspk-audiodev=ID][,smbios-entry-point-type=64] or virt[,gic-version=2|3][,its=off] [,virtualization=on][,secure=on][,highmem=off] [,enable-method=psci|spin-table]; as a rule the kernel image shows which"},
    {"secure", NULL, NULL, SECTION_GUEST, MACHINE, take_flag, MEMBER(secure_option),
     "virt: EL3 and Secure memory, as secure=on"},
    {"cpu", NULL, "MODEL[,+FLAG][,-FLAG]...", SECTION_GUEST, MACHINE, take_text, MEMBER(cpu),
     "pc: {pc} (default pentium4; of a 64-bit kernel qemu64), with flags added and taken away (FLAG=on|off, too), pmu=on (performance counters) and vendor=, "
     "model-id=, family=, model=, stepping=, level=, xlevel=, phys-bits=; virt: {virt} (default cortex-a57); help lists them"},
    {"smp", NULL, "N[,sockets=N][,cores=N][,threads=N]", SECTION_GUEST, MACHINE, take_smp, 0,
     "CPUs (default 1; up to 64, with gic-version=2 up to 8)"},
    {"interleave", NULL, "quantum=N[,seed=S][,starve=on]", SECTION_GUEST, MACHINE, take_interleave, 0,
     "whose turn it is: N steps (default 100000; with a seed 10000) each in turn; with a seed, turns and lengths are drawn, "
     "and every seed is another interleaving; starve=on: now and then a CPU waits for long"},
    {"dumpdtb", NULL, "FILE", SECTION_GUEST, 0, take_text, MEMBER(dumpdtb), "virt: write the device tree to FILE and exit"},
    {"semihosting", NULL, NULL, SECTION_GUEST, MACHINE, take_flag, MEMBER(semihosting),
     "virt: the guest's HLT #0xf000 asks for console, time, files and exit"},
    {"semihosting-dir", NULL, "DIR", SECTION_GUEST, 0, take_text, MEMBER(semihost_dir),
     "the directory whose files it may read and write (default: none)"},
    {"semihosting-arg", NULL, "WORD", SECTION_GUEST, MACHINE | OPTION_EMPTY, take_semihosting_arg, 0,
     "a word of its command line; may be repeated (default: the kernel's name and --append)"},
    {"semihosting-config", NULL, "enable=on,arg=WORD...", SECTION_GUEST, MACHINE, take_semihosting_config, 0,
     "the same in QEMU's words"},
    {"memory", "m", "SIZE", SECTION_GUEST, MACHINE, take_memory, 0, "guest memory (default 256M)"},
    {"serial", NULL, "WHAT", SECTION_GUEST, 0, take_serial, 0,
     "serial ports in order (pc: up to four): stdio (default), tcp:HOST:PORT[,server[,nowait]], telnet:..., "
     "unix:PATH[,server[,nowait]], pty, file:PATH, pipe:PATH, chardev:ID, gdb (shown by gdb), stderr, none. On stdio: Ctrl-a x ends hindcast, Ctrl-a h helps"},
    {"audiodev", NULL, "BACKEND,id=ID[,...]", SECTION_GUEST, 0, take_audiodev, 0,
     "what sound cards (--device AC97,audiodev=ID; --machine pc,pcspk-audiodev=ID) are connected to: wav,path=FILE gets what they "
     "play[,out.frequency=HZ] [,out.channels=1|2] [,out.format=u8|s16|s32] [,in=FILE: a wav file that they record]; none"},
    {"debugcon", NULL, "WHAT", SECTION_GUEST, 0, take_debugcon, 0,
     "pc: where the debug console (port 0xe9, and by --device isa-debugcon others) goes, in the words of --serial (default stderr)"},
    {"netdev", NULL, "BACKEND,id=ID[,...]", SECTION_GUEST, 0, take_netdev, 0,
     "a network for a card, --device CARD,netdev=ID: user[,net=,hostfwd=,restrict=on,tftp=,bootfile=] (its "
     "own, behind the host's sockets), socket,listen=|connect=HOST:PORT, stream, dgram (a cable to another emulator), tap[,ifname=], pcap,in=FILE (a capture is played)"},
    {"nic", NULL, "BACKEND[,model=CARD,mac=...]", SECTION_GUEST, MACHINE, take_nic, 0,
     "a card with its network, such as --nic user,model=virtio-net-pci (the usual one)"},
    {"fsdev", NULL, "local,id=ID,path=DIR[,readonly=off]", SECTION_GUEST, 0, take_fsdev, 0,
     "a directory for a guest, --device virtio-9p-pci,fsdev=ID,mount_tag=TAG (in Linux: mount -t 9p -o trans=virtio TAG /mnt); "
     "what it reads is recorded, and nothing is changed there unless readonly=off"},
    {"virtfs", NULL, "local,path=DIR,mount_tag=TAG[,readonly=off]", SECTION_GUEST, MACHINE, take_virtfs, 0,
     "the directory and the device in one"},
    {"chardev", NULL, "BACKEND,id=ID[,...]", SECTION_GUEST, 0, take_chardev, 0,
     "what a serial port can be connected to by --serial chardev:ID: socket,host=,port= or path=[,server=on[,wait=off]]"
     "[,telnet=on][,reconnect=S]; file,path=[,append=on]; pipe,path=; pty; stdio; stderr; ringbuf[,size=]; null. With "
     "logfile=FILE, which gets the output too; mux=on: for several ports, Ctrl-a c types at the next"},
    {"tpmdev", NULL, "emulator,id=ID,chardev=ID", SECTION_GUEST, 0, take_tpmdev, 0,
     "a TPM 2.0 for a guest, --device tpm-tis,tpmdev=ID or tpm-crb (virt: tpm-tis-device): an swtpm at a --chardev socket,path="},
    {"rtc", NULL, "base=DATE[,clock=host]", SECTION_GUEST, 0, take_rtc, 0,
     "what time it is for the guest: base=utc (the host's clock, the default), localtime or a date such as "
     "2006-06-17T16:01:21; clock=vm: from there guest time (the default), or host: as the host's goes on"},
    {"seed", NULL, "N", SECTION_GUEST, 0, take_seed, 0,
     "the guest's entropy is drawn from this number, the same each time, not from the host"},
    {"name", NULL, "NAME", SECTION_GUEST, OPTION_EMPTY, take_nothing, 0, NULL},
    {"object", NULL, "filter-dump,id=ID,netdev=ID,file=FILE[,maxlen=BYTES]", SECTION_GUEST, 0, take_object, 0,
     "write what goes over a network to a capture: pcapng, with positions, if the file's name ends so, else pcap"},
    {"debug-exit", NULL, "PORTS", SECTION_GUEST, MACHINE, take_debug_exit, 0,
     "pc: I/O ports through which the guest ends itself (default 0xf4,0x501), or none"},
    {"no-reboot", NULL, NULL, SECTION_GUEST, MACHINE, take_flag, MEMBER(no_reboot), "a guest's reset is its end"},
    {"icount", NULL, "shift=N,sleep=on|off", SECTION_GUEST, MACHINE, take_icount, 0,
     "an instruction takes 2^N ns of guest time (default 0); an idle guest waits in real time (on, the default) or jumps "
     "ahead (off)"},
    {"nographic", NULL, NULL, SECTION_GUEST, 0, take_nothing, 0, NULL},
    {"no-shutdown", NULL, NULL, SECTION_GUEST, 0, take_nothing, 0, NULL},
    {"no-user-config", NULL, NULL, SECTION_GUEST, 0, take_nothing, 0, NULL},
    {"accel", NULL, "tcg", SECTION_GUEST, 0, take_accel, 0, NULL},
    {"global", NULL, "PROPERTY=on|off", SECTION_GUEST, MACHINE, take_global, 0,
     "virtio-mmio.force-legacy (virt: virtio devices in slots, --device virtio-...-device, have the registers of version 1, for drivers of before virtio 1.0) or PIIX4_PM.disable_s3 (pc: as s3=off)"},
    {"display", NULL, "none", SECTION_GUEST, 0, take_none, 0, NULL},
    {"monitor", NULL, "none", SECTION_GUEST, 0, take_none, 0, NULL},
    {"net", NULL, "none", SECTION_GUEST, 0, take_none, 0, NULL},
    {"parallel", NULL, "none", SECTION_GUEST, 0, take_none, 0, NULL},

    {"listen", NULL, "WHERE", SECTION_DEBUGGER, 0, take_listen, 0,
     "[HOST:]PORT or unix:PATH (default " OPTIONS_LISTEN_DEFAULT "), or none"},
    {"gdb-arch", NULL, "i386|x86-64|i8086", SECTION_DEBUGGER, MACHINE, take_gdb_arch, 0,
     "pc: the registers and architecture that a debugger sees (default: the CPU's)"},
    {"s", NULL, NULL, SECTION_DEBUGGER, 0, take_s, 0, "--listen " OPTIONS_LISTEN_DEFAULT},
    {"gdb", NULL, "stdio", SECTION_DEBUGGER, 0, take_gdb, 0,
     "gdb is on stdin and stdout: target remote | hindcast --gdb stdio KERNEL"},
    {"S", NULL, NULL, SECTION_DEBUGGER, 0, take_flag, MEMBER(hold),
     "hold the guest whenever no debugger runs it: at its first instruction (as without -S), and also after gdb's detach"},
    {"run", NULL, NULL, SECTION_DEBUGGER, 0, take_flag, MEMBER(run),
     "start the guest at once; gdb may attach at any time"},
    {"engine", NULL, "auto|jit|interpreter", SECTION_DEBUGGER, VERIFY, take_engine, 0,
     "what runs the guest (jit: x86-64 hosts); histories are the same (default auto)"},
    {"checkpoint-memory", NULL, "SIZE", SECTION_DEBUGGER, 0, take_checkpoint_memory, 0,
     "memory for going back fast (default 1G, and as much as the guest has)"},

    {"record", NULL, "FILE", SECTION_RECORDINGS, 0, take_text, MEMBER(record),
     "write the guest's history to FILE as it happens"},
    {"force", NULL, NULL, SECTION_RECORDINGS, 0, take_flag, MEMBER(force),
     "replace FILE if it is there (also of --serial file:FILE, if it is a recording); without it that is refused"},
    {"embed", NULL, NULL, SECTION_RECORDINGS, 0, take_flag, MEMBER(embed),
     "put the images into it, too: it can be opened anywhere"},
    {"checkpoints-in-file", NULL, "every=N", SECTION_RECORDINGS, 0, take_checkpoints, 0,
     "and a checkpoint each N instructions (500M, 1G), so that opening it far from its beginning is quick"},
    {"replay", NULL, "FILE", SECTION_RECORDINGS, 0, take_text, MEMBER(replay),
     "go through a recorded history; the machine is the recorded one. --kernel, --initrd, --bios say where its images "
     "are now, if they were moved"},
    {"continue-live", NULL, NULL, SECTION_RECORDINGS, 0, take_flag, MEMBER(continue_live),
     "at the end of the recording, go on"},
    {"ignore-checkpoints", NULL, NULL, SECTION_RECORDINGS, 0, take_flag, MEMBER(ignore_checkpoints),
     "do not use those in the recording"},
    {"json", NULL, NULL, SECTION_RECORDINGS, OPTION_INFO, take_flag, MEMBER(json), "info: print it as JSON"},
    {"from", NULL, "WHERE", SECTION_RECORDINGS, VERIFY, take_from, 0,
     "verify: begin at the last checkpoint in it before a position; checkpoints: begin at its start, and then once more "
     "at every checkpoint in it"},

    {"completion", NULL, "bash|zsh|fish", SECTION_OTHERS, 0, take_completion, 0, "print completion for a shell"},
    {"print-gdb-helper", NULL, NULL, SECTION_OTHERS, 0, take_flag, MEMBER(gdb_helper),
     "print commands and functions for gdb's Python, to be sourced there: hindcast seek N, $_position()..."},
    {"help", "h", NULL, SECTION_OTHERS, VERIFY, NULL, 0, "this"},
    {"version", NULL, NULL, SECTION_OTHERS, VERIFY, NULL, 0, "what version it is"},
    {.name = NULL},
};

const struct option_foreign option_foreign[] = {
    {"enable-kvm", "hindcast counts instructions on its own emulator, which KVM cannot do: leave it out"},
    {"blockdev", "--drive file=FILE,... says all that there is to say about a drive"},
    {"snapshot", "no image is ever written, unless --drive FILE,write-back or monitor commit say so: leave it out"},
    {"net", "write --nic BACKEND[,model=CARD], or --netdev and --device; no card is there that was not asked for"},
    {"usbdevice", "write --usb and --device usb-kbd, usb-mouse, usb-tablet..."},
    {"audio", "write --audiodev wav,id=A,path=FILE and --device AC97,audiodev=A; without them nothing is heard"},
    {"soundhw", "write --device AC97, --device sb16, or --device intel-hda and --device hda-duplex, with audiodev=ID"},
    {"display", "no window is shown: in gdb, monitor screen and monitor screendump FILE show the display"},
    {"curses", "no window is shown: in gdb, monitor screen and monitor screendump FILE show the display"},
    {"sdl", "no window is shown: in gdb, monitor screen and monitor screendump FILE show the display"},
    {"spice", "no window is shown: in gdb, monitor screen and monitor screendump FILE show the display"},
    {"vnc", "no window is shown: in gdb, monitor screen and monitor screendump FILE show the display"},
    {"monitor", "the monitor is in gdb: monitor help lists its commands"},
    {"mon", "the monitor is in gdb: monitor help lists its commands"},
    {"qmp", "the monitor is in gdb: monitor help lists its commands"},
    {"parallel", "there is no parallel port"},
    {"loadvm", "a recording holds its snapshots: --replay FILE, and in gdb monitor loadvm NAME"},
    {"incoming", "there is no migration: --record FILE and --replay FILE carry a guest elsewhere"},
    {"daemonize", "hindcast stays in the foreground: start it with & or nohup"},
    {"d", "there is no log of instructions: gdb can go back to any of them"},
    {"D", "there is no log of instructions: gdb can go back to any of them"},
    {"trace", "there is no log of events: gdb can go back to any of them (monitor info replay)"},
    {"plugin", "there are no plugins"},
    {"global", "there are virtio-mmio.force-legacy=on|off and PIIX4_PM.disable_s3=0|1"},
    {"acpitable", "tables cannot be added"},
    {"watchdog", "write --device i6300esb or --device ib700"},
    {"fw_cfg", "files cannot be added to fw_cfg"},
    {"dtb", "the board makes its device tree itself; --dumpdtb FILE shows it"},
    {"sandbox", "there is no sandbox: the guest reaches nothing of the host but what options give it"},
    {"full-screen", "no window is shown: in gdb, monitor screen and monitor screendump FILE show the display"},
    {"k", "no window is shown, so there is no keyboard: in gdb, monitor sendkey presses keys"},
    {"runas", "hindcast keeps the user who started it"},
    {"chroot", "hindcast keeps the directories that it was started with"},
    {"msg", "messages have no time of the host; leave it out"},
    {"pidfile", "hindcast writes no file of its process number"},
    {"nodefaults", "each board comes with its own devices; leave it out (--vga none and --serial none take some away)"},
    {"readconfig", "there are no configuration files: write the options"},
    {"L", "files are named each: --bios, --vga-bios, --option-rom"},
    {"no-acpi", "the pc always has ACPI tables, virt none; leave it out"},
    {"no-hpet", "write --machine pc,hpet=off"},
    {"action", "there is watchdog=ACTION; a guest that ended can always be looked at, and go back (see also --no-reboot)"},
    {"numa", "memory is one node; leave it out"},
    {"mem-path", "memory is hindcast's own; leave it out"},
    {"mem-prealloc", "memory is hindcast's own; leave it out"},
    {"overcommit", "memory is hindcast's own; leave it out"},
    {"tb-size", "hindcast's cache of code has a size of its own; leave it out"},
    {"only-migratable", "all that there is can be recorded, and replayed elsewhere; leave it out"},
    {"singlestep", "positions are exact without it; leave it out"},
    {"one-insn-per-tb", "positions are exact without it; leave it out"},
    {NULL, NULL},
};
