/*
 * Reading a packet's arguments: numbers, bytes, addresses, threads.
 *
 * gdb manual, "Packets": numbers are hex without a prefix. A taker that does not find what it
 * wants leaves the request as it was.
 */
#include "rsp/session.h"

#include <string.h>

bool rsp_at_end(const struct rsp_request *r)
{
    return r->p == r->end;
}

bool rsp_take(struct rsp_request *r, const char *literal)
{
    size_t n = strlen(literal);

    if ((size_t)(r->end - r->p) < n || memcmp(r->p, literal, n) != 0)
        return false;
    r->p += n;
    return true;
}

bool rsp_take_hex(struct rsp_request *r, uint64_t *value)
{
    const char *p = r->p;
    uint64_t v = 0;

    while (p < r->end && rsp_hex_digit(*p) >= 0) {
        if (v >> 60)
            return false;
        v = v << 4 | (uint64_t)rsp_hex_digit(*p++);
    }
    if (p == r->p)
        return false;
    r->p = p;
    *value = v;
    return true;
}

bool rsp_take_hex_exactly(struct rsp_request *r, void *out, size_t len)
{
    uint8_t *q = out;

    if ((size_t)(r->end - r->p) / 2 < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = rsp_hex_digit(r->p[2 * i]), low = rsp_hex_digit(r->p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        q[i] = (uint8_t)(high << 4 | low);
    }
    r->p += 2 * len;
    return true;
}

bool rsp_take_hex_bytes(struct rsp_request *r, struct buffer *out)
{
    size_t len = (size_t)(r->end - r->p) / 2;

    if ((r->end - r->p) % 2)
        return false;
    if (!rsp_take_hex_exactly(r, buffer_reserve(out, len), len))
        return false;
    out->len += len;
    return true;
}

uint64_t rsp_address_mask(const struct rsp_session *s)
{
    return s->info->pointer_bytes == 4 ? UINT32_MAX : UINT64_MAX;
}

bool rsp_take_address(struct rsp_session *s, struct rsp_request *r, uint64_t *addr)
{
    struct rsp_request save = *r;

    if (!rsp_take_hex(r, addr))
        return false;
    /* Physical addresses may be wider than virtual ones (PAE). */
    if (*addr <= rsp_address_mask(s) || s->physical)
        return true;
    *r = save;
    return false;
}

bool rsp_take_thread(struct rsp_session *s, struct rsp_request *r, unsigned *thread)
{
    struct rsp_request save = *r;
    uint64_t id;

    *thread = RSP_ANY_THREAD;
    if (rsp_take(r, "-1"))
        return true;
    /* "p1.1" is of the multiprocess extension, which is not offered: not hex, refused. */
    if (rsp_take_hex(r, &id) && id <= s->info->nthreads) {
        *thread = (unsigned)id - 1; /* 0: RSP_ANY_THREAD */
        return true;
    }
    *r = save;
    return false;
}

bool rsp_at_end_of_thread_packet(struct rsp_session *s, struct rsp_request *r)
{
    if (s->thread_suffix && rsp_take(r, ";thread:")) {
        unsigned thread;

        if (!rsp_take_thread(s, r, &thread))
            return false;
        rsp_take(r, ";");
    }
    return rsp_at_end(r);
}

void rsp_select_by_suffix(struct rsp_session *s, const char *body, size_t len)
{
    static const char suffix[] = ";thread:";
    struct rsp_request r = {.end = body + len};
    unsigned thread;

    for (r.p = body + len; s->thread_suffix && r.p > body && *r.p != ':'; r.p--)
        ;
    if (r.p - body < (long)sizeof(suffix) - 2)
        return;
    r.p -= sizeof(suffix) - 2;
    if (rsp_take(&r, suffix) && rsp_take_thread(s, &r, &thread) && thread != RSP_ANY_THREAD)
        rsp_select_thread(s, thread);
}
