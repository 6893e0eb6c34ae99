/*
 * See option_usb.h.
 */
#include "option_usb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/option_list.h"

/* Is it a usb-host? Then which one: *m; and *known: what it is has been said. Negative errno with *err: it cannot be understood. */
static int take(const char *text, struct usbdev_match *m, bool *known, struct error *err)
{
    static const char *const keys[] = {"vendorid", "productid", "hostbus", "hostaddr"};
    int32_t *const to[] = {&m->vendor, &m->product, &m->bus, &m->address};
    struct option_list l;
    bool any = false;
    int r = option_list_parse(&l, "--device", text, "driver", NULL, err);

    *m = (struct usbdev_match){-1, -1, -1, -1};
    if (r == 0 && (!option_list_get(&l, "driver") || strcmp(option_list_get(&l, "driver"), "usb-host") != 0)) {
        option_list_finish(&l);
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_LEN(keys) && r == 0; i++) {
        uint64_t value = 0;

        if (!option_list_get(&l, keys[i]))
            continue;
        r = option_list_number(&l, keys[i], 0, i < 2 ? UINT16_MAX : 255, &value, err);
        *to[i] = (int32_t)value;
        any = true;
    }
    if (r == 0 && !any)
        r = error_set(err, -EINVAL, "--device %s: which one? vendorid=, productid=, hostbus=, hostaddr=", text);
    *known = r == 0 && option_list_get(&l, "descriptors");
    option_list_finish(&l);
    return r < 0 ? r : 1;
}

int option_usb_settle(struct option_drives *o, struct error *err)
{
    for (unsigned i = 0; i < o->ndevices; i++) {
        struct usbdev_match m;
        struct usbdev *u;
        struct buffer b;
        char text[80];
        bool known = false;
        int r = take(o->devices[i], &m, &known, err);

        if (r < 0)
            return r;
        if (r == 0 || known)
            continue;
        snprintf(text, sizeof(text), "--device %.60s", o->devices[i]);
        u = usbdev_open(&m, text, err);
        if (!u)
            return err->code;
        buffer_init(&b);
        buffer_printf(&b, "%s", o->devices[i]);
        usbdev_describe(u, &b);
        buffer_append_byte(&b, 0);
        usbdev_close(u);
        o->devices[i] = o->settled[o->nsettled++] = (char *)b.data;
    }
    return 0;
}

struct usbdev *option_usb_open(const struct option_drives *o, unsigned n, struct error *err)
{
    for (unsigned i = 0; i < o->ndevices; i++) {
        struct usbdev_match m;
        struct usbdev *u;
        struct buffer b;
        char text[80];
        bool known, same;
        int r = take(o->devices[i], &m, &known, err);

        if (r < 0)
            return NULL;
        if (r == 0 || n--)
            continue;
        snprintf(text, sizeof(text), "--device %.60s", o->devices[i]);
        u = usbdev_open(&m, text, err);
        if (!u)
            return NULL;
        buffer_init(&b);
        usbdev_describe(u, &b);
        buffer_append_byte(&b, 0);
        same = strstr(o->devices[i], (const char *)b.data) != NULL;
        buffer_finish(&b);
        if (same)
            return u;
        usbdev_close(u);
        error_set(err, -ENODEV, "%s: the device that is there now is another one", text);
        return NULL;
    }
    error_set(err, -ENODEV, "there is no such usb-host");
    return NULL;
}
