/*
 * The order of booting. See boot_order.h.
 */
#include "vm/dev/boot_order.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/fwcfg.h"
#include "vm/dev/parts.h"

#define FILE_NAME "bootorder"

void boot_order_add(struct boot_order *o, char kind, const char *path)
{
    struct boot_place *p = &o->places[o->count];

    if (o->count == BOOT_ORDER_MOST || strlen(path) >= sizeof(p->path))
        return;
    o->count++;
    strcpy(p->path, path);
    p->kind = kind;
    p->index = BOOT_NO_INDEX;
}

static bool index_taken(const struct boot_order *o, uint32_t index)
{
    for (unsigned i = 0; i < o->count; i++)
        if (o->places[i].index == index)
            return true;
    return false;
}

int boot_order_index(struct boot_order *o, unsigned n, uint32_t index, struct error *err)
{
    if (n >= o->count)
        return error_set(err, -EINVAL, "bootindex=%u: nothing can be booted from it", index);
    if (index_taken(o, index))
        return error_set(err, -EINVAL, "bootindex=%u: another device has that index", index);
    o->places[n].index = index;
    return 0;
}

/* ---- the file ---- */

static void add_line(struct buffer *out, const char *line)
{
    bool apart = out->len && out->data[out->len - 1] != '\n';

    buffer_printf(out, "%s%s", apart ? "\n" : "", line);
}

/* The place with the lowest index from `index` on; NULL: there is none. */
static const struct boot_place *from_index(const struct boot_order *o, uint32_t index)
{
    const struct boot_place *best = NULL;

    for (unsigned i = 0; i < o->count; i++)
        if (o->places[i].index != BOOT_NO_INDEX && o->places[i].index >= index &&
            (!best || o->places[i].index < best->index))
            best = &o->places[i];
    return best;
}

/* The lines, with newlines between them and NUL at the end; nothing if there are none. */
static void make_lines(const struct boot_order *o, const char *first, const char *letters, bool strict, struct buffer *out)
{
    const struct boot_place *p;

    if (first)
        add_line(out, first);
    for (p = from_index(o, 0); p; p = from_index(o, p->index + 1))
        add_line(out, p->path);
    for (; *letters; letters++)
        for (unsigned i = 0; i < o->count; i++)
            if (o->places[i].kind == *letters && o->places[i].index == BOOT_NO_INDEX)
                add_line(out, o->places[i].path);
    if (strict && out->len)
        add_line(out, "HALT");
    if (out->len)
        buffer_append_byte(out, 0);
}

static void pad(struct buffer *b, size_t len)
{
    while (b->len < len)
        buffer_append_byte(b, 0);
}

/* What holds for the first boot only is another file after it, padded to the same size. */
static void add_order(const struct boot_order *o, const char *first, const struct machine_parts *p, struct fwcfg_wiring *w)
{
    struct buffer once, later;

    buffer_init(&once);
    buffer_init(&later);
    make_lines(o, first, p->boot_order, p->boot_strict, &later);
    make_lines(o, first, *p->boot_once ? p->boot_once : p->boot_order, p->boot_strict, &once);
    pad(&once, later.len);
    pad(&later, once.len);
    if (once.len)
        fwcfg_set_file(w, FILE_NAME, once.data, once.len);
    if (once.len && memcmp(once.data, later.data, once.len) != 0)
        fwcfg_change_at_reset(w, FILE_NAME, later.data, later.len);
    buffer_finish(&once);
    buffer_finish(&later);
}

void boot_order_files(const struct boot_order *o, const char *first, const struct machine_parts *p, struct fwcfg_wiring *w)
{
    static const struct machine_parts none = {0};
    uint16_t menu;
    uint8_t ms[2];

    if (!p)
        p = &none;
    menu = p->boot_menu;
    fwcfg_add(w, FWCFG_BOOT_MENU, &menu, sizeof(menu));
    if (p->boot_wait_ms) {
        put_le16(ms, p->boot_wait_ms);
        fwcfg_add_file(w, "etc/boot-menu-wait", ms, sizeof(ms));
    }
    add_order(o, first, p, w);
}
