/*
 * --netdev and --nic. See option_net.h.
 */
#include "option_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option_list.h"
#include "host/netdev.h"
#include "net_dump.h"
#include "vm/dev/parts.h"

/* The card that --nic plugs in if none is named. */
#define USUAL_CARD "virtio-net-pci"

static int add(struct option_net *o, const char *text, struct error *err)
{
    char id[32], other[32];
    int r;

    if (o->count == OPTIONS_MAX_NETDEV)
        return error_set(err, -EINVAL, "--netdev: at most %d", OPTIONS_MAX_NETDEV);
    r = netdev_check(text, id, sizeof(id), err);
    for (unsigned i = 0; r == 0 && i < o->count; i++)
        if (netdev_check(o->netdevs[i], other, sizeof(other), err) == 0 && !strcmp(id, other))
            r = error_set(err, -EINVAL, "--netdev %s: there is one with that id already", text);
    if (r == 0)
        o->netdevs[o->count++] = xstrdup(text);
    return r;
}

int option_netdev_take(struct option_net *o, const char *arg, struct error *err)
{
    return add(o, arg, err);
}

static void say(struct buffer *b, const char *key, const char *value)
{
    buffer_printf(b, ",%s=", key);
    for (; *value; value++) {
        if (*value == ',')
            buffer_append_byte(b, ',');
        buffer_append_byte(b, (uint8_t)*value);
    }
}

/* Is that a property of the card? */
static bool is_of_card(const char *model, const char *key)
{
    static const char *const of_any[] = {"addr", "bootindex", "bus", "mac", "rombar", "romfile"};
    const struct device_model *m = parts_find_model(model);

    for (unsigned i = 0; i < ARRAY_LEN(of_any); i++)
        if (!strcmp(key, of_any[i]))
            return true;
    for (const struct option_key *k = m ? m->keys : NULL; k && k->name; k++)
        if (!strcmp(k->name, key))
            return true;
    return false;
}

/* Of the pairs, what is the card's, and what the back end's. */
static void deal(const struct option_list *l, struct buffer *netdev, struct buffer *device, const char **model)
{
    if (option_list_get(l, "model"))
        *model = option_list_get(l, "model");
    if (!strcmp(*model, "virtio"))
        *model = USUAL_CARD;
    for (unsigned i = 0; i < l->count; i++) {
        const char *key = l->pairs[i].key, *value = l->pairs[i].value;

        if (is_of_card(*model, key))
            say(device, key, value);
        else if (strcmp(key, "type") && strcmp(key, "id") && strcmp(key, "model"))
            say(netdev, key, l->pairs[i].alone ? "on" : value);
    }
}

static int make_both(struct option_net *o, struct option_drives *devices, const struct option_list *l, struct error *err)
{
    const char *id = option_list_get(l, "id"), *model = USUAL_CARD;
    struct buffer netdev, rest, device;
    char name[32];
    int r;

    buffer_init(&netdev);
    buffer_init(&rest);
    buffer_init(&device);
    snprintf(name, sizeof(name), "nic%u", o->count);
    deal(l, &netdev, &rest, &model);
    buffer_append_byte(&netdev, 0);
    buffer_append_byte(&rest, 0);
    buffer_printf(&device, "%s,netdev=%s%s", model, id ? id : name, (const char *)rest.data);
    buffer_append_byte(&device, 0);
    buffer_clear(&rest);
    buffer_printf(&rest, "%s,id=%s%s", option_list_get(l, "type"), id ? id : name, (const char *)netdev.data);
    buffer_append_byte(&rest, 0);
    r = add(o, (const char *)rest.data, err);
    if (r == 0) {
        o->devices[o->ndevices] = xstrdup((const char *)device.data);
        r = option_device_take(devices, o->devices[o->ndevices++], err);
    }
    buffer_finish(&netdev);
    buffer_finish(&rest);
    buffer_finish(&device);
    return r;
}

int option_nic_take(struct option_net *o, struct option_drives *devices, const char *arg, struct error *err)
{
    struct option_list l;
    int r;

    if (!strcmp(arg, "none"))
        return 0;
    r = option_list_parse(&l, "--nic", arg, "type", NULL, err);
    if (r == 0 && ((option_list_get(&l, "model") && option_asks_help(option_list_get(&l, "model"))) || option_asks_help(arg))) {
        o->card_help = true;
        option_list_finish(&l);
        return 0;
    }
    if (r == 0 && !option_list_get(&l, "type"))
        r = error_set(err, -EINVAL, "--nic %s: write BACKEND[,model=CARD][,mac=ADDRESS], such as user,model=%s", arg,
                      USUAL_CARD);
    if (r == 0)
        r = make_both(o, devices, &l, err);
    option_list_finish(&l);
    return r;
}

/* No two have one name. `dump` was checked before. */
static int check_other_id(const char *dump, const char *id, struct error *err)
{
    struct option_list other;
    int r = option_list_parse(&other, "--object", dump, "qom-type", NULL, err);

    if (r == 0 && !strcmp(option_list_get(&other, "id"), id))
        r = error_set(err, -EEXIST, "--object filter-dump: there is one with id=%s already", id);
    option_list_finish(&other);
    return r;
}

/* Nor do two write to one file. (By another name, who opens it finds that somebody writes there.) */
static int check_other_file(const char *dump, const char *file, struct error *err)
{
    struct option_list other;
    int r = option_list_parse(&other, "--object", dump, "qom-type", NULL, err);

    if (r == 0 && !strcmp(option_list_get(&other, "file"), file))
        r = error_set(err, -EEXIST, "--object filter-dump: one writes to file=%s already", file);
    option_list_finish(&other);
    return r;
}

int option_dump_take(struct option_net *o, const char *arg, struct option_list *l, struct error *err)
{
    int r = net_dump_check(l, err);

    if (r == 0 && o->ndumps == OPTIONS_MAX_DUMPS)
        r = error_set(err, -EINVAL, "--object filter-dump: at most %d", OPTIONS_MAX_DUMPS);
    for (unsigned i = 0; r == 0 && i < o->ndumps; i++) {
        r = check_other_id(o->dumps[i], option_list_get(l, "id"), err);
        if (r == 0)
            r = check_other_file(o->dumps[i], option_list_get(l, "file"), err);
    }
    if (r == 0)
        o->dumps[o->ndumps++] = xstrdup(arg);
    return r;
}

void option_net_finish(struct option_net *o)
{
    while (o->ndumps)
        free(o->dumps[--o->ndumps]);
    while (o->count)
        free(o->netdevs[--o->count]);
    while (o->ndevices)
        free(o->devices[--o->ndevices]);
}
