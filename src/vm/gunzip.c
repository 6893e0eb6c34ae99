/*
 * Decompression of gzip files. See gunzip.h.
 */
#include "vm/gunzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buffer.h"

#define GZIP_WINDOW  (16 + MAX_WBITS)
#define FIRST_GUESS  ((size_t)16 << 20)

bool gunzip_recognises(const void *data, size_t len)
{
    const uint8_t *p = data;

    return len >= 18 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8;
}

static int start(z_stream *z, const uint8_t *p, size_t len)
{
    memset(z, 0, sizeof(*z));
    z->next_in = (Bytef *)(uintptr_t)p;
    z->avail_in = len > UINT32_MAX ? UINT32_MAX : (uInt)len;
    return inflateInit2(z, GZIP_WINDOW);
}

static int inflate_all(z_stream *z, const char *name, uint64_t limit, uint8_t **out, size_t *out_len,
                       struct error *err)
{
    size_t room = FIRST_GUESS < limit ? FIRST_GUESS : (size_t)limit, len = 0;
    uint8_t *buf = xmalloc(room);
    int rc = Z_OK;

    while (rc == Z_OK) {
        size_t piece = room - len;

        if (piece > (size_t)1 << 30)
            piece = (size_t)1 << 30;
        z->next_out = buf + len;
        z->avail_out = (uInt)piece;
        rc = inflate(z, Z_NO_FLUSH);
        len += piece - z->avail_out;
        if (rc != Z_OK || len < room)
            continue;
        if (room == limit)
            break;
        room = room * 2 < limit ? room * 2 : (size_t)limit;
        buf = xrealloc(buf, room);
    }
    if (rc == Z_STREAM_END) {
        *out = buf;
        *out_len = len;
        return 0;
    }
    free(buf);
    if (rc == Z_OK)
        return error_set(err, -ENOMEM, "%s: larger than the machine's memory when decompressed (--memory)", name);
    return error_set(err, -ENOEXEC, "%s: damaged gzip data%s%s", name,
                     rc == Z_BUF_ERROR ? ": truncated" : z->msg ? ": " : "",
                     rc != Z_BUF_ERROR && z->msg ? z->msg : "");
}

int gunzip(const char *name, const void *data, size_t len, uint64_t limit, uint8_t **out, size_t *out_len,
           struct error *err)
{
    z_stream z;
    int rc;

    if (start(&z, data, len) != Z_OK)
        return error_set(err, -ENOMEM, "%s: no memory for decompression", name);
    rc = inflate_all(&z, name, limit, out, out_len, err);
    inflateEnd(&z);
    return rc;
}

size_t gunzip_peek(const void *data, size_t len, uint8_t *out, size_t want)
{
    z_stream z;
    size_t got = 0;

    if (start(&z, data, len) != Z_OK)
        return 0;
    z.next_out = out;
    z.avail_out = (uInt)want;
    if (inflate(&z, Z_SYNC_FLUSH) >= 0)
        got = want - z.avail_out;
    inflateEnd(&z);
    return got;
}
