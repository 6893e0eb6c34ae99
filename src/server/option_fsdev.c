/*
 * --fsdev and --virtfs. See option_fsdev.h.
 */
#include "option_fsdev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option_list.h"

#define COMMON_KEYS {"fsdriver", "local"}, {"id", "ID"}, {"path", "DIRECTORY"}, {"readonly", "on|off (default on)"}, \
    {"security_model", "none|passthrough"}, {"multidevs", "remap"}

/* What both options say. */
static int add(struct option_fsdevs *o, const char *option, const struct option_list *l, const char *id, struct error *err)
{
    static const char *const models[] = {"none", "passthrough", NULL}, *const multidevs[] = {"remap", NULL};
    const char *driver = option_list_get(l, "fsdriver"), *path = option_list_get(l, "path");
    bool read_only = true;
    unsigned n;

    if (o->count == OPTIONS_MAX_FSDEV)
        return error_set(err, -EINVAL, "%s: at most %d", option, OPTIONS_MAX_FSDEV);
    if (!driver || strcmp(driver, "local"))
        return error_set(err, -EINVAL, "%s %s: write local,path=DIRECTORY,...: other drivers are not there", option, driver ? driver : "");
    if (!path || !*path)
        return error_set(err, -EINVAL, "%s: path=DIRECTORY is missing, the one that is shared", option);
    if (!id || !*id)
        return error_set(err, -EINVAL, "%s: id=ID is missing, by which --device virtio-9p-pci,fsdev=ID names it", option);
    for (unsigned i = 0; i < o->count; i++)
        if (!strcmp(o->list[i].id, id))
            return error_set(err, -EINVAL, "%s id=%s: there is one with that id already", option, id);
    if (option_list_switch(l, "readonly", &read_only, err) < 0 || option_list_choice(l, "security_model", models, &n, err) < 0 ||
        option_list_choice(l, "multidevs", multidevs, &n, err) < 0)
        return err->code;
    o->list[o->count++] = (struct option_fsdev){.id = xstrdup(id), .path = xstrdup(path), .writable = !read_only};
    return 0;
}

int option_fsdev_take(struct option_fsdevs *o, const char *arg, struct error *err)
{
    static const struct option_key keys[] = {COMMON_KEYS, {NULL, NULL}};
    struct option_list l;
    int r = option_list_parse(&l, "--fsdev", arg, "fsdriver", keys, err);

    if (r == 0)
        r = add(o, "--fsdev", &l, option_list_get(&l, "id"), err);
    option_list_finish(&l);
    return r;
}

static int make_both(struct option_fsdevs *o, struct option_drives *devices, const struct option_list *l, struct error *err)
{
    const char *tag = option_list_get(l, "mount_tag"), *id = option_list_get(l, "id");
    struct buffer device;
    char name[32];
    int r;

    if (!tag)
        return error_set(err, -EINVAL, "--virtfs: mount_tag=TAG is missing, by which the guest mounts it");
    snprintf(name, sizeof(name), "virtfs%u", o->count);
    r = add(o, "--virtfs", l, id ? id : name, err);
    if (r < 0)
        return r;
    buffer_init(&device);
    buffer_printf(&device, "virtio-9p-pci,fsdev=%s,mount_tag=", id ? id : name);
    for (; *tag; tag++)
        buffer_printf(&device, *tag == ',' ? ",," : "%c", *tag);
    buffer_append_byte(&device, 0);
    o->devices[o->ndevices] = xstrdup((const char *)device.data);
    buffer_finish(&device);
    return option_device_take(devices, o->devices[o->ndevices++], err);
}

int option_virtfs_take(struct option_fsdevs *o, struct option_drives *devices, const char *arg, struct error *err)
{
    static const struct option_key keys[] = {COMMON_KEYS, {"mount_tag", "TAG"}, {NULL, NULL}};
    struct option_list l;
    int r = option_list_parse(&l, "--virtfs", arg, "fsdriver", keys, err);

    if (r == 0)
        r = make_both(o, devices, &l, err);
    option_list_finish(&l);
    return r;
}

void option_fsdevs_finish(struct option_fsdevs *o)
{
    while (o->count) {
        o->count--;
        free(o->list[o->count].id);
        free(o->list[o->count].path);
    }
    while (o->ndevices)
        free(o->devices[--o->ndevices]);
}
