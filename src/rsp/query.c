/*
 * Queries and settings: q and Q packets of gdb, and QEMU's own.
 *
 * gdb manual, "General Query Packets"; QEMU's are documented in its "GDB usage".
 * Clean refusals are mostly the absence of a rule: an empty reply. So are
 * file transfer and the multiprocess extension. Tracepoints are in trace.c.
 */
#include "rsp/session.h"

#include <stdlib.h>
#include <string.h>

/* Bytes that qCRC and qSearch read at a time. */
#define CHUNK 65536u
/* qCRC over more than this is refused: it cannot be interrupted. */
#define MAX_CRC_BYTES ((uint64_t)1 << 30)
#define MAX_PATTERN   32768u

static bool offers_memory_map(const struct rsp_session *s)
{
    return s->ops->memory_map != NULL;
}

/* ---- features ---- */

static bool client_says(const struct rsp_request *r, const char *feature)
{
    const char *p = r->p;
    size_t n = strlen(feature);

    while (p < r->end) {
        const char *semicolon = memchr(p, ';', (size_t)(r->end - p));
        const char *end = semicolon ? semicolon : r->end;

        if ((size_t)(end - p) == n && memcmp(p, feature, n) == 0)
            return true;
        p = end + (semicolon ? 1 : 0);
    }
    return false;
}

static enum rsp_verdict on_supported(struct rsp_session *s, struct rsp_request *r)
{
    struct buffer *out = &s->reply;

    if (!rsp_at_end(r) && !rsp_take(r, ":") && !rsp_take(r, ";"))
        return rsp_reply_text(s, "");
    s->client_bare = rsp_at_end(r);
    s->client_runs = !s->client_bare;
    s->client_swbreak = client_says(r, "swbreak+");
    s->client_hwbreak = client_says(r, "hwbreak+");
    s->client_error_text = client_says(r, "error-message+");

    buffer_printf(out, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+",
                  RSP_PACKET_SIZE);
    if (offers_memory_map(s))
        buffer_printf(out, ";qXfer:memory-map:read+");
    buffer_printf(out, ";vContSupported+;binary-upload+;ConditionalBreakpoints+;BreakpointCommands+");
    if (s->info->reverse)
        buffer_printf(out, ";ReverseStep+;ReverseContinue+");
    if (rsp_traces(s))
        rsp_put_trace_features(out);
    if (s->client_swbreak)
        buffer_printf(out, ";swbreak+");
    if (s->client_hwbreak)
        buffer_printf(out, ";hwbreak+");
    if (s->client_error_text)
        buffer_printf(out, ";error-message+");
    return RSP_ANSWER;
}

static enum rsp_verdict on_no_ack(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    s->no_ack = true;
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_non_stop(struct rsp_session *s, struct rsp_request *r)
{
    if (rsp_take(r, "0") && rsp_at_end(r))
        return rsp_reply_ok(s);
    return rsp_reply_error(s, ENOTSUP, "non-stop mode is not supported");
}

/* ---- qXfer ---- */

typedef void make_document(struct rsp_session *s, struct buffer *out);

/* "annex:offset,length". The document is made once, when its start is read, so that the pieces fit. */
static enum rsp_verdict transfer(struct rsp_session *s, struct rsp_request *r, const char *name,
                                 const char *annex, make_document *make)
{
    uint64_t offset, len;

    if (!rsp_take(r, annex) || !rsp_take(r, ":"))
        return rsp_reply_error(s, ENOENT, "no such annex");
    if (!rsp_take_hex(r, &offset) || !rsp_take(r, ",") || !rsp_take_hex(r, &len) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (offset == 0 || strcmp(s->xml_name, name) != 0) {
        buffer_clear(&s->xml);
        make(s, &s->xml);
        CHECK(strlen(name) < sizeof(s->xml_name));
        strcpy(s->xml_name, name);
    }
    if (offset > s->xml.len)
        return rsp_reply_error(s, EINVAL, "offset beyond the end");
    if (len > RSP_PACKET_SIZE / 2 - 1)
        len = RSP_PACKET_SIZE / 2 - 1;
    if (len >= s->xml.len - offset) {
        buffer_append_byte(&s->reply, 'l');
        len = s->xml.len - offset;
    } else {
        buffer_append_byte(&s->reply, 'm');
    }
    if (len)
        buffer_append(&s->reply, s->xml.data + offset, (size_t)len);
    return RSP_ANSWER;
}

static enum rsp_verdict on_xfer_features(struct rsp_session *s, struct rsp_request *r)
{
    return transfer(s, r, "features", "target.xml", rsp_make_target_xml);
}

static enum rsp_verdict on_xfer_memory_map(struct rsp_session *s, struct rsp_request *r)
{
    return transfer(s, r, "memory-map", "", rsp_make_memory_map);
}

static enum rsp_verdict on_xfer_threads(struct rsp_session *s, struct rsp_request *r)
{
    return transfer(s, r, "threads", "", rsp_make_threads);
}

/* ---- threads and the process ---- */

static enum rsp_verdict on_attached(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "1"); /* gdb detaches at its end, instead of killing */
}

static enum rsp_verdict on_current_thread(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    buffer_printf(&s->reply, "QC%x", s->gone ? 0 : s->thread + 1);
    return RSP_ANSWER;
}

static enum rsp_verdict on_first_threads(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    if (s->gone)
        return rsp_reply_text(s, "l");
    for (unsigned i = 0; i < s->info->nthreads; i++)
        buffer_printf(&s->reply, "%s%x", i ? "," : "m", i + 1);
    return RSP_ANSWER;
}

static enum rsp_verdict on_more_threads(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "l");
}

static enum rsp_verdict on_thread_extra(struct rsp_session *s, struct rsp_request *r)
{
    unsigned selected = s->thread, thread;
    struct buffer text;

    if (!rsp_take_thread(s, r, &thread) || !rsp_at_end(r))
        return rsp_reply_error(s, ESRCH, "no such thread");
    if (thread == RSP_ANY_THREAD)
        thread = selected;
    buffer_init(&text);
    buffer_printf(&text, "%s%u", s->info->cpu_name, thread);
    if (s->ops->describe_cpu) {
        buffer_printf(&text, " ");
        rsp_select_thread(s, thread);
        s->ops->describe_cpu(s->ctx, &text);
        rsp_select_thread(s, selected);
    }
    rsp_put_hex(&s->reply, text.data, text.len);
    buffer_finish(&text);
    return RSP_ANSWER;
}

static enum rsp_verdict on_symbol(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_ok(s); /* no symbol is asked for */
}

/* ---- memory ---- */

/* The CRC-32 that gdb computes for `compare-sections`: polynomial 0x04c11db7, most significant bit
 * first, start 0xffffffff, not inverted at the end. */
static void crc_table_init(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i << 24;

        for (int bit = 0; bit < 8; bit++)
            crc = crc << 1 ^ (crc & 0x80000000u ? 0x04c11db7u : 0);
        table[i] = crc;
    }
}

static uint32_t crc_update(const uint32_t table[256], uint32_t crc, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        crc = crc << 8 ^ table[(crc >> 24 ^ data[i]) & 255];
    return crc;
}

static enum rsp_verdict on_crc(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t addr, len;
    uint32_t crc = 0xffffffffu, table[256];
    uint8_t *chunk;

    if (!rsp_take_address(s, r, &addr) || !rsp_take(r, ",") || !rsp_take_hex(r, &len) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (len > MAX_CRC_BYTES)
        return rsp_reply_error(s, EINVAL, "too many bytes for one checksum");
    crc_table_init(table);
    chunk = xmalloc(CHUNK);
    while (len) {
        size_t n = len > CHUNK ? CHUNK : (size_t)len;

        if (rsp_read_memory(s, addr, chunk, n) != n)
            break;
        crc = crc_update(table, crc, chunk, n);
        addr += n;
        len -= n;
    }
    free(chunk);
    if (len)
        return rsp_reply_error(s, EFAULT, "not all of the range is mapped");
    buffer_printf(&s->reply, "C%08" PRIx32, crc);
    return RSP_ANSWER;
}

/* Search [addr, addr + len) for the pattern. 1: found, at *where; 0: not; negative: unreadable at *where. */
static int search(struct rsp_session *s, uint64_t addr, uint64_t len, const void *pattern, size_t n,
                  uint64_t *where)
{
    uint8_t *window = xmalloc(CHUNK + n);
    uint64_t end = addr + len; /* may be 0: the top of the address space */
    size_t have = 0;           /* bytes in the window; the last of them is at addr - 1 */
    int found = 0;

    while (addr != end && !found) {
        size_t want = end - addr > CHUNK ? CHUNK : (size_t)(end - addr), got;
        const uint8_t *hit;

        got = rsp_read_memory(s, addr, window + have, want);
        have += got;
        addr += got;
        hit = memmem(window, have, pattern, n);
        if (hit) {
            *where = addr - have + (uint64_t)(hit - window);
            found = 1;
        } else if (got < want) {
            *where = addr;
            found = -1;
        } else if (have >= n) {
            memmove(window, window + have - (n - 1), n - 1);
            have = n - 1;
        }
    }
    free(window);
    return found;
}

/* qSearch:memory:addr;len;pattern */
static enum rsp_verdict on_search(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t addr, len, where = 0, room;
    size_t n;
    int found;

    if (!rsp_take_address(s, r, &addr) || !rsp_take(r, ";") || !rsp_take_hex(r, &len) || !rsp_take(r, ";"))
        return rsp_reply_malformed(s);
    n = (size_t)(r->end - r->p);
    if (!n || n > MAX_PATTERN)
        return rsp_reply_error(s, EINVAL, "a pattern has 1 to %u bytes", MAX_PATTERN);
    room = (s->physical ? UINT64_MAX : rsp_address_mask(s)) - addr; /* bytes after addr */
    if (len && len - 1 > room)
        len = room + 1;
    if (len < n)
        return rsp_reply_text(s, "0");
    found = search(s, addr, len, r->p, n, &where);
    if (found < 0)
        return rsp_reply_error(s, EFAULT, "not found up to 0x%" PRIx64 ", where no memory is mapped", where);
    if (!found)
        return rsp_reply_text(s, "0");
    buffer_printf(&s->reply, "1,%" PRIx64, where);
    return RSP_ANSWER;
}

/* ---- monitor ---- */

static enum rsp_verdict finish_monitor(struct rsp_session *s, struct buffer *out, int result,
                                       const struct error *err)
{
    /* A client that does not take E.text here (gdb before 15 reads it as hex) gets the text as output. */
    if (result && !s->client_error_text && !s->lldb_errors)
        buffer_printf(out, "%s\n", err->text);
    if (out->len)
        rsp_send_console(s, (const char *)out->data, out->len);
    return result ? rsp_reply_failed(s, err) : rsp_reply_ok(s);
}

static enum rsp_verdict on_rcmd(struct rsp_session *s, struct rsp_request *r)
{
    enum rsp_verdict verdict;
    struct error err = {0};
    struct buffer line, out;
    int result;

    buffer_init(&line);
    buffer_init(&out);
    if (rsp_take_hex_bytes(r, &line)) {
        buffer_append_byte(&line, 0);
        s->in_monitor = true;
        s->interrupts = 0;
        result = rsp_monitor(s, (const char *)line.data, &out, &err);
        verdict = finish_monitor(s, &out, result, &err);
        s->in_monitor = false;
        s->interrupts = 0; /* they were meant for the command */
    } else {
        verdict = rsp_reply_malformed(s);
    }
    buffer_finish(&line);
    buffer_finish(&out);
    return verdict;
}

/* ---- QEMU's ---- */

static enum rsp_verdict on_qemu_supported(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "sstepbits;sstep;PhyMemMode");
}

static enum rsp_verdict on_phy_mode_query(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, s->physical ? "1" : "0");
}

static enum rsp_verdict on_phy_mode_set(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t on;

    if (!rsp_take_hex(r, &on) || on > 1 || !rsp_at_end(r))
        return rsp_reply_error(s, EINVAL, "0 or 1");
    s->physical = on != 0;
    return rsp_reply_ok(s);
}

/* A step with interrupts or timers held back would not be what the guest does: the one bit there is
 * says that stepping works. */
static enum rsp_verdict on_sstep_bits(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "ENABLE=1");
}

static enum rsp_verdict on_sstep_query(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "0x1");
}

static enum rsp_verdict on_sstep_set(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t bits;

    rsp_take(r, "0x");
    if (!rsp_take_hex(r, &bits) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (bits != 1)
        return rsp_reply_error(s, ENOTSUP, "interrupts and timers cannot be held back while stepping");
    return rsp_reply_ok(s);
}

#define EXACT true, false
#define HEAD  false, false

const struct rsp_rule rsp_query_rules[] = {
    {"qSupported", on_supported, HEAD, NULL},
    {"QStartNoAckMode", on_no_ack, EXACT, NULL},
    {"QNonStop:", on_non_stop, false, true, NULL},
    {"qXfer:features:read:", on_xfer_features, HEAD, NULL},
    {"qXfer:memory-map:read:", on_xfer_memory_map, HEAD, offers_memory_map},
    {"qXfer:threads:read:", on_xfer_threads, HEAD, NULL},
    {"qAttached", on_attached, HEAD, NULL},
    {"qC", on_current_thread, EXACT, NULL},
    {"qfThreadInfo", on_first_threads, EXACT, NULL},
    {"qsThreadInfo", on_more_threads, EXACT, NULL},
    {"qThreadExtraInfo,", on_thread_extra, HEAD, NULL},
    {"qSymbol:", on_symbol, HEAD, NULL},
    {"qCRC:", on_crc, HEAD, NULL},
    {"qSearch:memory:", on_search, HEAD, NULL},
    {"qRcmd,", on_rcmd, HEAD, NULL},
    {"qqemu.Supported", on_qemu_supported, EXACT, NULL},
    {"qqemu.PhyMemMode", on_phy_mode_query, EXACT, NULL},
    {"Qqemu.PhyMemMode:", on_phy_mode_set, HEAD, NULL},
    {"qqemu.sstepbits", on_sstep_bits, EXACT, NULL},
    {"qqemu.sstep", on_sstep_query, EXACT, NULL},
    {"Qqemu.sstep=", on_sstep_set, HEAD, NULL},
    {"Qqemu.sstep:", on_sstep_set, HEAD, NULL},
    {NULL, NULL, false, false, NULL},
};
