/*
 * Compressed kernels: gzip (RFC 1952) through zlib, and the EFI "zboot" wrapper
 * around one (a PE file with "zimg" at offset 4, payload offset and size after it).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "aarch64/boot/boot.h"
#include "base/buffer.h"
#include "base/bytes.h"

#define ZBOOT_HEADER 64u
#define GZIP_WINDOW  (16 + MAX_WBITS)
#define FIRST_GUESS  ((size_t)16 << 20)

static bool is_zboot(const uint8_t *p, size_t len)
{
    return len >= ZBOOT_HEADER && memcmp(p, "MZ", 2) == 0 && memcmp(p + 4, "zimg", 4) == 0 &&
           strncmp((const char *)p + 24, "gzip", 32) == 0;
}

bool a64_boot_is_compressed(const void *data, size_t len)
{
    const uint8_t *p = data;

    return (len >= 18 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8) || is_zboot(p, len);
}

/* The gzip stream within the file. */
static bool payload(const uint8_t **p, size_t *len)
{
    uint32_t offset, size;

    if (!is_zboot(*p, *len))
        return true;
    offset = get_le32(*p + 8);
    size = get_le32(*p + 12);
    if (offset > *len || size > *len - offset)
        return false;
    *p += offset;
    *len = size;
    return true;
}

static int start(z_stream *z, const uint8_t *p, size_t len)
{
    memset(z, 0, sizeof(*z));
    z->next_in = (Bytef *)(uintptr_t)p;
    z->avail_in = len > UINT32_MAX ? UINT32_MAX : (uInt)len;
    return inflateInit2(z, GZIP_WINDOW);
}

static int inflate_all(z_stream *z, const struct a64_kernel *in, uint64_t limit, uint8_t **out, size_t *out_len,
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
        return error_set(err, -ENOMEM, "%s: larger than the machine's memory when decompressed (--memory)", in->name);
    return error_set(err, -ENOEXEC, "%s: damaged gzip data%s%s", in->name,
                     rc == Z_BUF_ERROR ? ": truncated" : z->msg ? ": " : "",
                     rc != Z_BUF_ERROR && z->msg ? z->msg : "");
}

int a64_boot_decompress(const struct a64_kernel *in, uint64_t limit, uint8_t **out, size_t *out_len, struct error *err)
{
    const uint8_t *p = in->data;
    size_t len = in->len;
    z_stream z;
    int rc;

    if (!payload(&p, &len))
        return error_set(err, -ENOEXEC, "%s: truncated: its compressed kernel lies beyond the end of the file",
                         in->name);
    if (start(&z, p, len) != Z_OK)
        return error_set(err, -ENOMEM, "%s: no memory for decompression", in->name);
    rc = inflate_all(&z, in, limit, out, out_len, err);
    inflateEnd(&z);
    return rc;
}

size_t a64_boot_peek(const void *data, size_t len, uint8_t *out, size_t want)
{
    const uint8_t *p = data;
    z_stream z;
    size_t got = 0;

    if (!payload(&p, &len) || start(&z, p, len) != Z_OK)
        return 0;
    z.next_out = out;
    z.avail_out = (uInt)want;
    if (inflate(&z, Z_SYNC_FLUSH) >= 0)
        got = want - z.avail_out;
    inflateEnd(&z);
    return got;
}
