/* Smaller page copies. See page_codec.h. */
#include "config.h"

#include "checkpoint/page_codec.h"

#include <stdlib.h>

#ifdef HAVE_ZSTD
#include <zstd.h>
#else
#include <zlib.h>
#endif

#include "base/buffer.h"
#include "base/error.h"

static void out_of_memory(void)
{
    panic(__FILE__, __LINE__, "the compressor does not start: out of memory?");
}

#ifdef HAVE_ZSTD

#define LEVEL (-1)

struct page_codec {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
};

static struct page_codec *codec_get(struct page_codec **codec)
{
    struct page_codec *c = *codec;

    if (c)
        return c;
    c = xcalloc(1, sizeof(*c));
    c->pack = ZSTD_createCCtx();
    c->unpack = ZSTD_createDCtx();
    if (!c->pack || !c->unpack || ZSTD_isError(ZSTD_CCtx_setParameter(c->pack, ZSTD_c_compressionLevel, LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c->pack, ZSTD_c_contentSizeFlag, 0)))
        out_of_memory();
    *codec = c;
    return c;
}

size_t page_codec_pack(struct page_codec **codec, const uint8_t *page, uint8_t *out, size_t room)
{
    size_t n = ZSTD_compress2(codec_get(codec)->pack, out, room, page, PAGE_SIZE);

    return ZSTD_isError(n) ? 0 : n;
}

void page_codec_unpack(struct page_codec **codec, const uint8_t *packed, size_t len, uint8_t *page)
{
    CHECK(ZSTD_decompressDCtx(codec_get(codec)->unpack, page, PAGE_SIZE, packed, len) == PAGE_SIZE);
}

void page_codec_destroy(struct page_codec *codec)
{
    if (!codec)
        return;
    ZSTD_freeCCtx(codec->pack);
    ZSTD_freeDCtx(codec->unpack);
    free(codec);
}

#else

struct page_codec {
    z_stream deflate, inflate;
};

static struct page_codec *codec_get(struct page_codec **codec)
{
    struct page_codec *c = *codec;

    if (c)
        return c;
    c = xcalloc(1, sizeof(*c));
    /* Raw deflate: a page needs no header or checksum of its own. */
    if (deflateInit2(&c->deflate, 1, Z_DEFLATED, -13, 8, Z_DEFAULT_STRATEGY) != Z_OK || inflateInit2(&c->inflate, -13) != Z_OK)
        out_of_memory();
    *codec = c;
    return c;
}

size_t page_codec_pack(struct page_codec **codec, const uint8_t *page, uint8_t *out, size_t room)
{
    z_stream *z = &codec_get(codec)->deflate;

    CHECK(deflateReset(z) == Z_OK);
    z->next_in = (uint8_t *)(uintptr_t)page;
    z->avail_in = PAGE_SIZE;
    z->next_out = out;
    z->avail_out = (unsigned)room;
    return deflate(z, Z_FINISH) == Z_STREAM_END ? room - z->avail_out : 0;
}

void page_codec_unpack(struct page_codec **codec, const uint8_t *packed, size_t len, uint8_t *page)
{
    z_stream *z = &codec_get(codec)->inflate;

    CHECK(inflateReset(z) == Z_OK);
    z->next_in = (uint8_t *)(uintptr_t)packed;
    z->avail_in = (unsigned)len;
    z->next_out = page;
    z->avail_out = PAGE_SIZE;
    CHECK(inflate(z, Z_FINISH) == Z_STREAM_END && !z->avail_out);
}

void page_codec_destroy(struct page_codec *codec)
{
    if (!codec)
        return;
    deflateEnd(&codec->deflate);
    inflateEnd(&codec->inflate);
    free(codec);
}

#endif
