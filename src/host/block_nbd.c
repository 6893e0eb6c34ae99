/*
 * NBD. See block_nbd.h. A request waits for its answer: the guest's clock stands meanwhile.
 */
#include "config.h"

#include "host/block_nbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_LIBNBD
#include <libnbd.h>
#endif

#include "base/buffer.h"
#include "base/hash.h"

bool host_is_nbd(const char *name)
{
    return !strncmp(name, "nbd:", 4) || !strncmp(name, "nbds:", 5) || !strncmp(name, "nbd+unix:", 9) ||
           !strncmp(name, "nbds+unix:", 10) || !strncmp(name, "nbd+vsock:", 10);
}

#ifdef HAVE_LIBNBD

/* Most bytes of a request that every server takes. */
#define REQUEST_MAX ((size_t)1 << 25)

static int nbd_source_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    struct nbd_handle *nbd = ctx;
    uint8_t *to = buf;

    while (len) {
        size_t n = len < REQUEST_MAX ? len : REQUEST_MAX;

        if (nbd_pread(nbd, to, n, offset, 0) < 0)
            return nbd_get_errno() ? -nbd_get_errno() : -EIO;
        to += n;
        offset += n;
        len -= n;
    }
    return 0;
}

static void nbd_source_close(void *ctx)
{
    nbd_close(ctx);
}

static const char *part_from(const char *at, const char *key)
{
    const char *found = strstr(at, key);

    return found ? found + strlen(key) : NULL;
}

/* QEMU's "nbd:HOST:PORT[:exportname=E]" and "nbd:unix:PATH[:exportname=E]". */
static int connect_by_qemus_name(struct nbd_handle *nbd, const char *name)
{
    const char *rest = name + 4, *export = part_from(rest, ":exportname="), *port;
    char *place = xstrdup(rest), *end;
    int r = -1;

    if (export) {
        place[export - rest - (ptrdiff_t)strlen(":exportname=")] = 0;
        nbd_set_export_name(nbd, export);
    }
    if (!strncmp(place, "unix:", 5)) {
        r = nbd_connect_unix(nbd, place + 5);
    } else if ((end = strrchr(place, ':'))) {
        *end = 0;
        port = end + 1;
        r = nbd_connect_tcp(nbd, place, port);
    } else {
        errno = EINVAL;
    }
    free(place);
    return r;
}

static int connect_to(struct nbd_handle *nbd, const char *name)
{
    if (strstr(name, "://") || !strncmp(name, "nbd+unix:", 9))
        return nbd_connect_uri(nbd, name);
    return connect_by_qemus_name(nbd, name);
}

int host_open_nbd(const char *name, struct block_source *s, struct error *err)
{
    struct nbd_handle *nbd = nbd_create();
    int64_t size;

    if (!nbd)
        return error_set(err, -ENOMEM, "%s: libnbd cannot be used", name);
    if (connect_to(nbd, name) < 0 || (size = nbd_get_size(nbd)) < 0) {
        error_set(err, -EIO, "%s: %s", name, nbd_get_error() ? nbd_get_error() : "cannot connect");
        nbd_close(nbd);
        return -EIO;
    }
    *s = (struct block_source){
        .ctx = nbd, .size = (uint64_t)size, .name = xstrdup(name), .read = nbd_source_read, .close = nbd_source_close,
        .identity = {UINT64_MAX, hash_bytes(0, name, strlen(name))},
    };
    return 0;
}

#else

int host_open_nbd(const char *name, struct block_source *s, struct error *err)
{
    (void)s;
    return error_set(err, -ENOTSUP, "%s: this hindcast was built without libnbd", name);
}

#endif
