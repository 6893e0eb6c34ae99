/*
 * --drive, -hda and the like, --device, --boot. See option_drives.h.
 *
 * QEMU's words that say how the host does things (cache, aio) are taken and mean nothing: the guest sees no
 * host. Adding a key: keys[], take_keys(), option_drive_describe(), doc/hindcast.1.
 */
#include "option_drives.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option_list.h"
#include "block/block.h"

static const struct option_key keys[] = {
    {"file", "FILE"},
    {"format", "raw|qcow2"},
    {"if", "ide|virtio|scsi|floppy|sd|pflash|none"},
    {"index", "N"},
    {"bus", "N"},
    {"unit", "N"},
    {"media", "disk|cdrom"},
    {"id", "ID"},
    {"readonly", "on|off"},
    {"snapshot", "on|off|NAME"},
    {"serial", "TEXT"},
    {"discard", "ignore|off|unmap|on"},
    {"fail", "LBA[+N]..."},
    {"latency", "MICROSECONDS"},
    {"rate", "MB/s (0: no limit)"},
    {"write-back", "on|off|FILE"},
    {"size", "BYTES"},
    {"cache", "none|writeback|writethrough|directsync|unsafe"},
    {"aio", "threads|native|io_uring"},
    {"detect-zeroes", "off|on|unmap"},
    {NULL, NULL},
};

static const char *const interface_names[DRIVE_IFS + 1] = {
    [DRIVE_IF_NONE] = "none", [DRIVE_IF_IDE] = "ide", [DRIVE_IF_SCSI] = "scsi", [DRIVE_IF_FLOPPY] = "floppy",
    [DRIVE_IF_VIRTIO] = "virtio", [DRIVE_IF_SD] = "sd", [DRIVE_IF_PFLASH] = "pflash", [DRIVE_IFS] = NULL,
};
static const char *const media_names[] = {"disk", "cdrom", NULL};
/* Each with its other name; what is recorded has the first one. */
static const char *const discard_names[] = {"ignore", "off", "unmap", "on", NULL};
/* What is taken and means nothing is one of QEMU's words, too. */
static const char *const cache_names[] = {"none", "writeback", "writethrough", "directsync", "unsafe", NULL};
static const char *const aio_names[] = {"threads", "native", "io_uring", NULL};
static const char *const zeroes_names[] = {"off", "on", "unmap", NULL};

void option_drive_free(struct option_drive *d)
{
    free(d->file);
    free(d->format);
    free(d->snapshot);
    free(d->id);
    free(d->serial);
    free(d->write_back_file);
    free(d->where);
    memset(d, 0, sizeof(*d));
}

void option_drives_finish(struct option_drives *o)
{
    while (o->nsettled)
        free(o->settled[--o->nsettled]);
    while (o->count)
        option_drive_free(&o->list[--o->count]);
    while (o->nroms)
        free(o->roms[--o->nroms]);
}

/* The next in the list, with the defaults. */
static int add(struct option_drives *o, struct option_drive **d, struct error *err)
{
    if (o->count == MACHINE_MAX_DRIVES)
        return error_set(err, -EINVAL, "--drive: at most %d", MACHINE_MAX_DRIVES);
    *d = &o->list[o->count++];
    **d = (struct option_drive){
        .any_interface = true, .any_index = true, .latency_ns = DRIVE_LATENCY_NS, .rate = DRIVE_RATE};
    return 0;
}

static char *copy_of(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

/* ---- drive ---- */

/* "LBA" or "LBA+N" */
static int take_fault(struct option_drive *d, const char *text, struct error *err)
{
    struct drive_fault f = {.count = 1};
    char first[32];
    const char *plus = strchr(text, '+');
    size_t len = plus ? (size_t)(plus - text) : strlen(text);

    snprintf(first, sizeof(first), "%.*s", (int)(len < 31 ? len : 31), text);
    if (!option_parse_number(first, &f.first) || (plus && !option_parse_number(plus + 1, &f.count)) || !f.count)
        return error_set(err, -EINVAL, "--drive fail=%s: write the number of the bad sector, or FIRST+COUNT", text);
    if (d->nfaults == OPTIONS_MAX_FAULTS)
        return error_set(err, -EINVAL, "--drive fail=%s: at most %d", text, OPTIONS_MAX_FAULTS);
    d->faults[d->nfaults++] = f;
    return 0;
}

/* index=N, or bus=N,unit=N of two units on a bus. */
static int take_place(struct option_drive *d, const struct option_list *l, struct error *err)
{
    uint64_t index = 0, bus = 0, unit = 0;
    bool by_bus = option_list_get(l, "bus") || option_list_get(l, "unit");

    if (option_list_number(l, "index", 0, 255, &index, err) < 0 || option_list_number(l, "bus", 0, 127, &bus, err) < 0 ||
        option_list_number(l, "unit", 0, 1, &unit, err) < 0)
        return -EINVAL;
    if (by_bus && option_list_get(l, "index"))
        return error_set(err, -EINVAL, "--drive: index=N says the place, or bus=N,unit=N; not both");
    d->any_index = !by_bus && !option_list_get(l, "index");
    d->index = (unsigned)(by_bus ? 2 * bus + unit : index);
    return 0;
}

static int take_time(struct option_drive *d, const struct option_list *l, struct error *err)
{
    uint64_t us = d->latency_ns / 1000, rate = d->rate / 1000000;

    if (option_list_number(l, "latency", 0, DRIVE_MAX_LATENCY_NS / 1000, &us, err) < 0 ||
        option_list_number(l, "rate", 0, DRIVE_MAX_RATE / 1000000, &rate, err) < 0)
        return -EINVAL;
    d->latency_ns = us * 1000;
    d->rate = rate * 1000000;
    return 0;
}

/* on, off, or a name. */
static bool is_switch(const char *value, bool *on)
{
    *on = !strcmp(value, "on");
    return *on || !strcmp(value, "off");
}

/* snapshot=on is what is done anyway: the image stays as it is. */
static void take_snapshot(struct option_drive *d, const char *value)
{
    bool on;

    if (value && !is_switch(value, &on))
        d->snapshot = xstrdup(value);
}

static void take_write_back(struct option_drive *d, const char *value)
{
    if (value && !is_switch(value, &d->write_back)) {
        d->write_back = true;
        d->write_back_file = xstrdup(value);
    }
}

static int take_format(struct option_drive *d, const char *format, struct error *err)
{
    const char *there = format ? block_unknown_format(format) : NULL;

    if (there)
        return error_set(err, -EINVAL, "--drive format=%s: image formats are %s", format, there);
    d->format = copy_of(format);
    return 0;
}

static int take_choices(struct option_drive *d, const struct option_list *l, struct error *err)
{
    unsigned interface = d->interface, media = d->media, discard = d->discard, nothing;

    d->any_interface = !option_list_get(l, "if");
    if (option_list_choice(l, "if", interface_names, &interface, err) < 0 ||
        option_list_choice(l, "media", media_names, &media, err) < 0 ||
        option_list_choice(l, "discard", discard_names, &discard, err) < 0 ||
        option_list_choice(l, "cache", cache_names, &nothing, err) < 0 ||
        option_list_choice(l, "aio", aio_names, &nothing, err) < 0 ||
        option_list_choice(l, "detect-zeroes", zeroes_names, &nothing, err) < 0)
        return -EINVAL;
    d->interface = interface;
    d->media = interface == DRIVE_IF_FLOPPY && !d->any_interface ? DRIVE_FLOPPY : media ? DRIVE_CDROM : DRIVE_DISK;
    d->discard = discard >= 2 ? DRIVE_DISCARD_ZERO : DRIVE_DISCARD_IGNORE;
    return 0;
}

static int take_keys(struct option_drive *d, const struct option_list *l, struct error *err)
{
    d->file = copy_of(option_list_get(l, "file"));
    d->id = copy_of(option_list_get(l, "id"));
    d->serial = copy_of(option_list_get(l, "serial"));
    take_snapshot(d, option_list_get(l, "snapshot"));
    take_write_back(d, option_list_get(l, "write-back"));
    if (take_format(d, option_list_get(l, "format"), err) < 0 || take_choices(d, l, err) < 0 ||
        take_place(d, l, err) < 0 || take_time(d, l, err) < 0 ||
        option_list_switch(l, "readonly", &d->read_only, err) < 0 ||
        option_list_number(l, "size", 0, DRIVE_MAX_BYTES, &d->size, err) < 0)
        return -EINVAL;
    for (unsigned i = 0; option_list_nth(l, "fail", i); i++)
        if (take_fault(d, option_list_nth(l, "fail", i), err) < 0)
            return -EINVAL;
    return 0;
}

static int check_drive(const struct option_drive *d, struct error *err)
{
    if (d->id && (!*d->id || strlen(d->id) > 31 || strpbrk(d->id, " ,=")))
        return error_set(err, -EINVAL, "--drive id=%s: an id has 1 to 31 characters, without space, ',' and '='", d->id);
    if (!d->file && d->media == DRIVE_DISK)
        return error_set(err, -EINVAL, "--drive: a disk needs file=FILE (a CD or floppy drive may be empty)");
    if (!d->file && d->write_back)
        return error_set(err, -EINVAL, "--drive: an empty drive has nothing to write back");
    if (d->write_back && d->read_only)
        return error_set(err, -EINVAL, "--drive write-back: the guest cannot write to a drive with %s: there is nothing to write back",
                         d->media == DRIVE_CDROM ? "media=cdrom" : "readonly=on");
    if (d->serial && strlen(d->serial) > 20)
        return error_set(err, -EINVAL, "--drive serial=%s: at most 20 characters", d->serial);
    return 0;
}

int option_drive_take(struct option_drives *o, const char *arg, struct error *err)
{
    struct option_list l;
    struct option_drive *d = NULL;
    int r = add(o, &d, err);

    if (r < 0)
        return r;
    r = option_list_parse(&l, "--drive", arg, NULL, keys, err);
    if (r == 0)
        r = take_keys(d, &l, err);
    option_list_finish(&l);
    d->read_only |= d->media == DRIVE_CDROM;
    return r == 0 ? check_drive(d, err) : r;
}

bool option_drive_take_flash(struct option_drives *o, struct option_drive *d)
{
    if (!o->count || o->list[o->count - 1].interface != DRIVE_IF_PFLASH)
        return false;
    *d = o->list[--o->count];
    return true;
}

int option_drive_take_file(struct option_drives *o, const char *file, enum drive_media media, unsigned index,
                           bool any_interface, enum drive_interface interface, struct error *err)
{
    struct option_drive *d = NULL;

    if (add(o, &d, err) < 0)
        return -EINVAL;
    d->file = xstrdup(file);
    d->media = media;
    d->read_only = media == DRIVE_CDROM;
    d->any_interface = any_interface;
    d->interface = interface;
    d->any_index = false;
    d->index = index;
    return 0;
}

/* ---- settling ---- */

static bool place_taken(const struct option_drives *o, unsigned until, enum drive_interface interface, unsigned index)
{
    for (unsigned i = 0; i < until; i++)
        if (o->list[i].interface == interface && o->list[i].index == index)
            return true;
    return false;
}

/* QEMU's ids: "ide1-cd0", "floppy0", "virtio2". */
static void make_id(struct option_drive *d)
{
    struct buffer b;

    buffer_init(&b);
    buffer_printf(&b, "%s", interface_names[d->interface]);
    if (d->interface == DRIVE_IF_IDE)
        buffer_printf(&b, "%u-%s%u", d->index / 2, d->media == DRIVE_CDROM ? "cd" : "hd", d->index % 2);
    else
        buffer_printf(&b, "%u", d->index);
    buffer_append_byte(&b, 0);
    d->id = (char *)b.data;
}

/* What has no place so far is nowhere. */
#define NOWHERE UINT32_MAX

static int check_place(const struct option_drives *o, unsigned n, struct error *err)
{
    const struct option_drive *d = &o->list[n];

    if (d->index == NOWHERE || d->interface == DRIVE_IF_NONE || !place_taken(o, n, d->interface, d->index))
        return 0;
    return error_set(err, -EINVAL, "two drives are %s %u: %s is one of them", interface_names[d->interface], d->index,
                     d->file ? d->file : "an empty one");
}

static void find_place(const struct option_drives *o, struct option_drive *d)
{
    unsigned index = 0;

    while (place_taken(o, o->count, d->interface, index))
        index++;
    d->index = index;
}

static void take_medium(struct option_drives *o, const char *id, enum model_drive takes)
{
    for (unsigned i = 0; id && i < o->count; i++)
        if (o->list[i].id && !strcmp(o->list[i].id, id)) {
            o->list[i].media = takes == TAKES_CDROM ? DRIVE_CDROM : DRIVE_FLOPPY;
            o->list[i].read_only |= takes == TAKES_CDROM;
        }
}

/* The sectors that a device wants are its drive's; others than there are, the device refuses. */
static void take_sectors(struct option_drives *o, const char *id, const char *size)
{
    uint64_t bytes;

    if (!id || !size || !option_parse_size(size, 1, &bytes) || (bytes != 512 && bytes != 4096))
        return;
    for (unsigned i = 0; i < o->count; i++)
        if (o->list[i].id && !strcmp(o->list[i].id, id) && o->list[i].media == DRIVE_DISK)
            o->list[i].sector_size = (uint32_t)bytes;
}

/* A drive of --device ide-cd, scsi-cd or floppy is one of that kind. What is wrong with a --device, who plugs it in says. */
static void take_media(struct option_drives *o)
{
    for (unsigned i = 0; i < o->ndevices; i++) {
        const struct device_model *model = NULL;
        struct option_list l;
        struct error ignored = {0};

        if (option_list_parse(&l, "--device", o->devices[i], "driver", NULL, &ignored) == 0 && option_list_get(&l, "driver"))
            model = parts_find_model(option_list_get(&l, "driver"));
        if (model && model->takes > TAKES_DRIVE)
            take_medium(o, option_list_get(&l, "drive"), model->takes);
        if (model && model->takes && strcmp(model->bus, "IDE") != 0)
            take_sectors(o, option_list_get(&l, "drive"), option_list_get(&l, "logical_block_size"));
        option_list_finish(&l);
    }
}

/* Has a device that property? */
static bool has_property(const struct option_list *l, const char *key)
{
    const struct device_model *model = option_list_get(l, "driver") ? parts_find_model(option_list_get(l, "driver")) : NULL;

    for (const struct option_key *k = model ? model->keys : NULL; k && k->name; k++)
        if (!strcmp(k->name, key))
            return true;
    return false;
}

/* A property that an option of its own gives all devices that have it, if they do not say themselves what it is to be. False: none has it. */
static bool give_all(struct option_drives *o, const char *key, const char *value)
{
    bool any = false;

    for (unsigned i = 0; value && i < o->ndevices; i++) {
        struct error ignored = {0};
        struct option_list l;
        struct buffer b;

        bool has = option_list_parse(&l, "--device", o->devices[i], "driver", NULL, &ignored) == 0 && has_property(&l, key);

        any |= has;
        if (has && !option_list_get(&l, key)) {
            buffer_init(&b);
            buffer_printf(&b, "%s,%s=%s", o->devices[i], key, value);
            buffer_append_byte(&b, 0);
            o->devices[i] = o->settled[o->nsettled++] = (char *)b.data;
        }
        option_list_finish(&l);
    }
    return any;
}

/* The places that were given stand; the others get what is left. */
int option_drives_settle(struct option_drives *o, enum drive_interface usual, struct error *err)
{
    take_media(o);
    if (!give_all(o, "force-legacy", o->old_mmio ? "on" : NULL) && o->old_mmio)
        return error_set(err, -EINVAL, "--global virtio-mmio.force-legacy=on: no virtio device is in a slot (--device virtio-...-device)");
    if (!give_all(o, "action", o->watchdog_action) && o->watchdog_action)
        return error_set(err, -EINVAL, "--watchdog-action %s: there is no watchdog (--device i6300esb, ib700)", o->watchdog_action);
    for (unsigned i = 0; i < o->count; i++) {
        struct option_drive *d = &o->list[i];

        if (d->any_interface)
            d->interface = usual;
        if (d->any_index)
            d->index = NOWHERE;
        d->any_interface = d->any_index = false;
        if (check_place(o, i, err) < 0)
            return -EINVAL;
    }
    for (unsigned i = 0; i < o->count; i++) {
        if (o->list[i].index == NOWHERE)
            find_place(o, &o->list[i]);
        if (!o->list[i].id)
            make_id(&o->list[i]);
    }
    return 0;
}

/* ---- recorded ---- */

static void say(struct buffer *out, const char *key, const char *value)
{
    if (!value)
        return;
    buffer_printf(out, "%s%s=", out->len ? "," : "", key);
    for (; *value; value++) {
        if (*value == ',')
            buffer_append_byte(out, ',');
        buffer_append_byte(out, (uint8_t)*value);
    }
}

void option_drive_describe(const struct option_drive *d, struct buffer *out)
{
    buffer_clear(out);
    say(out, "id", d->id);
    say(out, "file", d->file);
    say(out, "format", d->format);
    say(out, "snapshot", d->snapshot);
    say(out, "serial", d->serial);
    buffer_printf(out, ",if=%s,index=%u", interface_names[d->interface], d->index);
    buffer_printf(out, ",media=%s,readonly=%s,discard=%s", d->media == DRIVE_CDROM ? "cdrom" : "disk",
                  d->read_only ? "on" : "off", discard_names[d->discard == DRIVE_DISCARD_ZERO ? 2 : 0]);
    buffer_printf(out, ",latency=%" PRIu64 ",rate=%" PRIu64 ",size=%" PRIu64, d->latency_ns / 1000, d->rate / 1000000,
                  d->size);
    for (unsigned i = 0; i < d->nfaults; i++)
        buffer_printf(out, ",fail=%" PRIu64 "+%" PRIu64, d->faults[i].first, d->faults[i].count);
    buffer_append_byte(out, 0);
}

int option_drives_locate(struct option_drives *o, const struct option_drives *given, struct error *err)
{
    for (unsigned i = 0; i < given->count; i++) {
        struct option_drive *d = NULL;

        for (unsigned k = 0; k < o->count; k++)
            if (!strcmp(o->list[k].id, given->list[i].id))
                d = &o->list[k];
        if (!d || !d->file || !given->list[i].file)
            return error_set(err, -EINVAL, "the recording has no drive '%s' with an image: hindcast info says what it has",
                             given->list[i].id);
        free(d->where);
        d->where = xstrdup(given->list[i].file);
    }
    return 0;
}

/* ---- devices, booting ---- */

/* NAME,help: remember of which model. */
static int take_device_help(struct option_drives *o, const char *arg, struct error *err)
{
    struct option_list l;
    int r = option_list_parse(&l, "--device", arg, "driver", NULL, err);
    const char *name = r == 0 ? option_list_get(&l, "driver") : NULL;

    for (unsigned i = 0; i < l.count && name; i++)
        if (l.pairs[i].alone && option_asks_help(l.pairs[i].key)) {
            o->device_help = true;
            o->device_asked = parts_find_model(name);
            if (!o->device_asked) {
                r = parts_unknown_model(name, err);
                error_prefix(err, "--device %s", arg);
            }
        }
    option_list_finish(&l);
    return r;
}

/* Remember the file of a device's option ROM: it is to be read before the device is made. */
static int take_rom(struct option_drives *o, const char *arg, struct error *err)
{
    struct option_list l;
    int r = option_list_parse(&l, "--device", arg, "driver", NULL, err);
    const char *file = r == 0 ? option_list_get(&l, "romfile") : NULL;
    bool known = !file || !*file;

    for (unsigned i = 0; i < o->nroms && !known; i++)
        known = !strcmp(o->roms[i], file);
    if (!known)
        o->roms[o->nroms++] = xstrdup(file);
    option_list_finish(&l);
    return r;
}

int option_device_take(struct option_drives *o, const char *arg, struct error *err)
{
    if (option_asks_help(arg)) {
        o->device_help = true;
        return 0;
    }
    if (take_device_help(o, arg, err) < 0)
        return -EINVAL;
    if (o->ndevices == PARTS_MAX_DEVICES)
        return error_set(err, -EINVAL, "--device: at most %d", PARTS_MAX_DEVICES);
    o->devices[o->ndevices++] = arg;
    return take_rom(o, arg, err);
}

static int take_order(const char *key, const char *letters, char *to, struct error *err)
{
    if (!letters)
        return 0;
    if (strlen(letters) >= PARTS_BOOT_MAX || strspn(letters, "abcdn") != strlen(letters))
        return error_set(err, -EINVAL, "--boot %s=%s: letters are a, b (floppies), c (disk), d (CD), n (network)", key,
                         letters);
    strcpy(to, letters);
    return 0;
}

int option_boot_take(struct option_drives *o, const char *arg, struct error *err)
{
    static const struct option_key boot_keys[] = {
        {"order", "LETTERS"}, {"once", "LETTERS"}, {"menu", "on|off"}, {"strict", "on|off"}, {"splash-time", "MILLISECONDS"},
        {"reboot-timeout", "MILLISECONDS"}, {NULL, NULL},
    };
    const uint64_t never = UINT64_MAX;
    struct option_list l;
    uint64_t retry = never;
    int r = option_list_parse(&l, "--boot", arg, "order", boot_keys, err);

    if (r == 0)
        r = take_order("order", option_list_get(&l, "order"), o->boot_order, err);
    if (r == 0)
        r = take_order("once", option_list_get(&l, "once"), o->boot_once, err);
    if (r == 0)
        r = option_list_switch(&l, "menu", &o->boot_menu, err);
    if (r == 0)
        r = option_list_switch(&l, "strict", &o->boot_strict, err);
    if (r == 0)
        r = option_list_number(&l, "splash-time", 0, UINT16_MAX, &o->boot_wait_ms, err);
    if (r == 0 && option_list_get(&l, "reboot-timeout") && strcmp(option_list_get(&l, "reboot-timeout"), "-1") != 0)
        r = option_list_number(&l, "reboot-timeout", 0, UINT16_MAX, &retry, err);
    if (r == 0 && option_list_get(&l, "reboot-timeout"))
        o->boot_retry_ms = retry == never ? -1 : (int32_t)retry;
    option_list_finish(&l);
    return r;
}
