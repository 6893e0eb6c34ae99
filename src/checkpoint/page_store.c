/*
 * Pages: in place at first, then elsewhere or raw; compressed when they are old. A page that does not shrink by an
 * eighth stays raw and is not tried again.
 */
#include "checkpoint/page_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"

#define WORTH_COMPRESSING (PAGE_SIZE - PAGE_SIZE / 8)

void page_store_init(struct page_store *ps)
{
    memset(ps, 0, sizeof(*ps));
}

void page_store_finish(struct page_store *ps)
{
    CHECK(!ps->in_place_pages && !ps->elsewhere_pages && !ps->raw_pages && !ps->compressed_pages && !ps->nodes);
    page_slab_finish(&ps->raw);
    page_codec_destroy(ps->codec);
    ps->codec = NULL;
}

static void enqueue(struct page_store *ps, struct page *p)
{
    p->queued = true;
    p->older = ps->newest;
    p->newer = NULL;
    if (ps->newest)
        ps->newest->newer = p;
    else
        ps->oldest = p;
    ps->newest = p;
}

static void dequeue(struct page_store *ps, struct page *p)
{
    if (!p->queued)
        return;
    if (p->older)
        p->older->newer = p->newer;
    else
        ps->oldest = p->newer;
    if (p->newer)
        p->newer->older = p->older;
    else
        ps->newest = p->older;
    p->queued = false;
    p->older = p->newer = NULL;
}

static struct page *create(struct page_store *ps)
{
    struct page *p = xcalloc(1, sizeof(*p));

    p->refs = 1;
    ps->bytes += sizeof(*p);
    return p;
}

static void copy_raw(struct page_store *ps, struct page *p, const uint8_t *bytes)
{
    uint8_t *copy = page_slab_take(&ps->raw);

    memcpy(copy, bytes, PAGE_SIZE);
    p->data = copy;
    enqueue(ps, p);
    ps->raw_pages++;
    ps->bytes += PAGE_SIZE;
}

struct page *page_create(struct page_store *ps, const uint8_t *bytes)
{
    struct page *p = create(ps);

    copy_raw(ps, p, bytes);
    return p;
}

struct page *page_create_in_place(struct page_store *ps, const uint8_t *bytes)
{
    struct page *p = create(ps);

    p->data = (uint8_t *)(uintptr_t)bytes; /* only read as long as they are there */
    p->in_place = true;
    ps->in_place_pages++;
    return p;
}

/* Can its bytes be had elsewhere? Then they are. */
static bool leave_out(struct page_store *ps, struct page *p)
{
    struct page_place where;

    if (!ps->source.find || !ps->source.find(ps->source.ctx, p->data, &where))
        return false;
    p->where = where;
    p->elsewhere = true;
    ps->elsewhere_pages++;
    return true;
}

void page_move_out(struct page_store *ps, struct page *p)
{
    CHECK(p->in_place);
    if (!leave_out(ps, p))
        copy_raw(ps, p, p->data);
    ps->in_place_pages--;
    __atomic_store_n(&p->in_place, false, __ATOMIC_RELEASE);
}

void page_unref(struct page_store *ps, struct page *p)
{
    if (--p->refs)
        return;
    dequeue(ps, p);
    if (p->in_place) {
        ps->in_place_pages--;
    } else if (p->elsewhere) {
        ps->elsewhere_pages--;
    } else if (p->size) {
        ps->compressed_pages--;
        ps->compressed_bytes -= p->size;
        ps->bytes -= p->size;
        free(p->data);
    } else {
        ps->raw_pages--;
        ps->bytes -= PAGE_SIZE;
        page_slab_give(&ps->raw, p->data);
    }
    ps->bytes -= sizeof(*p);
    free(p);
}

const uint8_t *page_bytes(struct page_store *ps, const struct page *p, uint8_t *scratch)
{
    return page_bytes_by(ps, &ps->codec, p, scratch);
}

const uint8_t *page_bytes_by(const struct page_store *ps, struct page_codec **codec, const struct page *p, uint8_t *scratch)
{
    if (p->elsewhere) {
        ps->source.read(ps->source.ctx, &p->where, scratch);
        return scratch;
    }
    if (!p->size)
        return p->data;
    page_codec_unpack(codec, p->data, p->size, scratch);
    return scratch;
}

uint64_t page_hash(struct page_store *ps, struct page *p, uint64_t seed)
{
    uint8_t scratch[PAGE_SIZE];

    if (!p->hash)
        p->hash = hash_bytes(seed, page_bytes(ps, p, scratch), PAGE_SIZE);
    return p->hash;
}

bool page_equals(const struct page *p, const uint8_t *bytes)
{
    return !p->size && !p->elsewhere && !memcmp(p->data, bytes, PAGE_SIZE);
}

bool page_is_zero(const uint8_t *bytes)
{
    static const uint8_t zero[PAGE_SIZE];

    return !memcmp(bytes, zero, PAGE_SIZE);
}

static void compress_page(struct page_store *ps, struct page *p)
{
    uint8_t out[WORTH_COMPRESSING];
    uint16_t size = (uint16_t)page_codec_pack(&ps->codec, p->data, out, sizeof(out));

    if (!size)
        return;
    page_slab_give(&ps->raw, p->data);
    p->data = xmalloc(size);
    memcpy(p->data, out, size);
    p->size = size;
    ps->raw_pages--;
    ps->compressed_pages++;
    ps->compressed_bytes += size;
    ps->bytes -= PAGE_SIZE - size;
}

void page_store_compress(struct page_store *ps, uint64_t most)
{
    for (; most && ps->oldest; most--) {
        struct page *p = ps->oldest;

        dequeue(ps, p);
        compress_page(ps, p);
    }
}
