/*
 * Chunks of a recording and what is in them. See chunk.h.
 */
#include "replay/chunk.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"

/* ---- fields ---- */

uint64_t cursor_take(struct cursor *c, unsigned bytes)
{
    uint64_t v;

    if (c->left < bytes) {
        c->bad = true;
        c->left = 0;
        return 0;
    }
    v = get_le(c->at, bytes);
    c->at += bytes;
    c->left -= bytes;
    return v;
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
    const uint8_t *p = c->at;

    if (c->left < n) {
        c->bad = true;
        c->left = 0;
        return NULL;
    }
    c->at += n;
    c->left -= n;
    return p;
}

char *cursor_string(struct cursor *c, size_t n)
{
    const uint8_t *p = cursor_bytes(c, n);
    char *s;

    if (!p || memchr(p, 0, n)) {
        c->bad = true;
        return NULL;
    }
    s = xmalloc(n + 1);
    memcpy(s, p, n);
    s[n] = 0;
    return s;
}

uint32_t chunk_crc(const uint8_t *data, size_t len)
{
    return (uint32_t)crc32(0, data, (uInt)len);
}

/* ---- chunks ---- */

const char chunk_cut_off[] = "is cut off";

const char *chunk_header(const struct recording *r, uint64_t offset, struct chunk *c)
{
    uint8_t bytes[RECORDING_CHUNK_BYTES];
    struct cursor in = {bytes, sizeof(bytes), false};
    uint64_t room;

    if (offset > r->len || r->len - offset < RECORDING_CHUNK_BYTES)
        return chunk_cut_off;
    room = r->len - offset - RECORDING_CHUNK_BYTES;
    if (r->source.read(r->source.ctx, offset, bytes, sizeof(bytes)) < 0)
        return "cannot be read";
    if (memcmp(in.at, "HCCK", 4))
        return "is not one (no HCCK)";
    if (chunk_crc(bytes, RECORDING_CHUNK_BYTES - 4) != get_le32(bytes + RECORDING_CHUNK_BYTES - 4))
        return "has a damaged header";
    cursor_bytes(&in, 4);
    *c = (struct chunk){.offset = offset};
    c->type = (uint32_t)cursor_take(&in, 4);
    c->stored = (uint32_t)cursor_take(&in, 4);
    c->raw = (uint32_t)cursor_take(&in, 4);
    c->count = (uint32_t)cursor_take(&in, 4);
    c->flags = (uint32_t)cursor_take(&in, 4);
    c->from = cursor_take(&in, 8);
    c->to = cursor_take(&in, 8);
    c->crc = (uint32_t)cursor_take(&in, 4);
    if (c->stored > room)
        return chunk_cut_off;
    if (c->raw > RECORDING_PAYLOAD_MAX || (c->type != RECORDING_CKPT && c->flags > RECORDING_CHUNK_DEFLATED) ||
        (!(c->flags & RECORDING_CHUNK_DEFLATED) && c->raw != c->stored) || c->from > c->to ||
        c->stored > RECORDING_PAYLOAD_MAX + RECORDING_PAYLOAD_MAX / 64)
        return "has an impossible header";
    return NULL;
}

void chunk_room_finish(struct chunk_room *room)
{
    buffer_finish(&room->stored);
    buffer_finish(&room->inflated);
}

const char *chunk_payload(const struct recording *r, struct chunk *c, struct chunk_room *room)
{
    struct buffer *out = &room->inflated;
    uLongf n = c->raw;

    buffer_clear(&room->stored);
    c->payload = buffer_reserve(&room->stored, (size_t)c->stored + 1);
    if (r->source.read(r->source.ctx, c->offset + RECORDING_CHUNK_BYTES, room->stored.data, c->stored) < 0)
        return "cannot be read";
    if (chunk_crc(c->payload, c->stored) != c->crc)
        return "is damaged (its CRC does not match)";
    if (!(c->flags & RECORDING_CHUNK_DEFLATED))
        return NULL;
    buffer_clear(out);
    if (uncompress(buffer_reserve(out, (size_t)c->raw + 1), &n, c->payload, c->stored) != Z_OK || n != c->raw)
        return "cannot be inflated";
    out->len = n;
    c->payload = out->data;
    return NULL;
}

/* ---- what is in them ---- */

enum layout_kind chunk_source_kind(uint16_t kind)
{
    return kind == EVENT_INPUT ? LAYOUT_DEVICE : kind == EVENT_IMAGE || kind == EVENT_MEDIUM ? LAYOUT_DRIVE : 0;
}

bool chunk_take_event(struct cursor *in, struct event *e)
{
    *e = (struct event){.position = cursor_take(in, 8)};
    e->vtime = cursor_take(in, 8);
    e->kind = (uint16_t)cursor_take(in, 2);
    e->source = (uint16_t)cursor_take(in, 2);
    e->len = (uint32_t)cursor_take(in, 4);
    e->data = cursor_bytes(in, e->len);
    return !in->bad;
}

bool chunk_take_branch(struct cursor *in, const struct chunk *c, struct recording_branch_head *h, uint32_t *count)
{
    uint64_t dropped;
    size_t len;
    char *name;

    *h = (struct recording_branch_head){.id = c->count, .fork = c->from, .edge = c->to};
    h->parent = (uint32_t)cursor_take(in, 4);
    dropped = cursor_take(in, 4);
    h->dropped = dropped;
    h->edge_vtime = cursor_take(in, 8);
    h->before = cursor_take(in, 8);
    *count = (uint32_t)cursor_take(in, 4);
    len = (size_t)cursor_take(in, 4);
    name = len <= TIMELINE_NAME_MOST ? cursor_string(in, len) : NULL;
    if (name)
        strcpy(h->name, name);
    free(name);
    return name && !in->bad && dropped <= 1 && h->id && h->parent < h->id && h->edge <= RECORDING_POSITION_MAX &&
           h->edge_vtime <= RECORDING_POSITION_MAX;
}

/* How many pages an area has in this recording; 0: there is none. */
static uint64_t area_pages(const struct recording *r, uint32_t area)
{
    if (area == RECORDING_ARENA)
        return (r->layout.arena_bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    return area < layout_count(&r->layout, LAYOUT_AREA) ? layout_entry(&r->layout, LAYOUT_AREA, area)->size : 0;
}

const char *chunk_pages(const struct recording *r, struct cursor in, uint32_t count, recording_page_fn *page,
                                    void *ctx)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t area = (uint32_t)cursor_take(&in, 2);
        uint64_t form = cursor_take(&in, 2), number = cursor_take(&in, 8);
        const uint8_t *bytes = form == 1 ? cursor_bytes(&in, PAGE_SIZE) : NULL;

        if (in.bad || form > 1 || number >= area_pages(r, area))
            return "is malformed";
        if (page)
            page(ctx, area, number, bytes);
    }
    return in.bad || in.left ? "is malformed" : NULL;
}
