/*
 * Captures. See capture.h.
 */
#include "base/capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"

#define NS UINT64_C(1000000000)

/* pcap: the magic number says byte order and unit of time. */
#define PCAP_MICRO    0xa1b2c3d4u
#define PCAP_NANO     0xa1b23c4du
#define PCAP_MODIFIED 0xa1b2cd34u
#define PCAP_HEAD     24u
#define PCAP_RECORD   16u
#define LINK_ETHERNET 1u

/* pcapng: types of blocks, options. */
#define BLOCK_SECTION   0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_OLD       2u   /* obsolete Packet Block */
#define BLOCK_SIMPLE    3u
#define BLOCK_PACKET    6u
#define ORDER_MAGIC     0x1a2b3c4du
#define BLOCK_FRAME     12u  /* type and length before the body, length after it */
#define BODY_MOST       ((uint32_t)64 << 20) /* of a block that is passed over */
#define OPT_END      0u
#define OPT_COMMENT  1u
#define OPT_FLAGS    2u      /* of a packet: 1 to the interface, 2 from it */
#define OPT_NAME     2u      /* of an interface */
#define OPT_APPLICATION 4u   /* of a section */
#define OPT_TSRESOL  9u
#define OPT_FCSLEN   13u
#define OPT_TSOFFSET 14u

/* ---- bytes ---- */

static uint32_t u16(const struct capture_reader *r, const uint8_t *p)
{
    return r->big ? get_be16(p) : get_le16(p);
}

static uint32_t u32(const struct capture_reader *r, const uint8_t *p)
{
    return r->big ? get_be32(p) : get_le32(p);
}

/* As many as there are, up to `len`; *got says how many. */
static int take(struct capture_reader *r, void *buf, size_t len, size_t *got, struct error *err)
{
    *got = 0;
    while (*got < len) {
        long n = r->read(r->ctx, (uint8_t *)buf + *got, len - *got);

        if (n < 0)
            return error_set(err, (int)n, "cannot read: %s", strerror((int)-n));
        if (n == 0)
            break;
        *got += (size_t)n;
        r->at += (uint64_t)n;
    }
    return 0;
}

/* All of it, or it is an error. */
static int need(struct capture_reader *r, void *buf, size_t len, struct error *err)
{
    size_t got;
    int status = take(r, buf, len, &got, err);

    if (status == 0 && got < len)
        status = error_set(err, -EINVAL, "it is cut off in the midst of what begins before byte %" PRIu64, r->at);
    return status;
}

static int pass(struct capture_reader *r, uint32_t len, struct error *err)
{
    uint8_t piece[4096];

    while (len) {
        uint32_t n = len < sizeof(piece) ? len : (uint32_t)sizeof(piece);
        int status = need(r, piece, n, err);

        if (status < 0)
            return status;
        len -= n;
    }
    return 0;
}

/* ---- packets of either kind ---- */

static const char *link_name(uint32_t link)
{
    switch (link) {
    case 0: return " (BSD loopback)";
    case 101: case 12: case 14: return " (raw IP)";
    case 105: return " (Wi-Fi)";
    case 113: case 276: return " (Linux \"cooked\", as of tcpdump -i any)";
    case 127: return " (Wi-Fi with radiotap)";
    default: return "";
    }
}

/* Of `kept` bytes in r->frame + from, which are of a packet of `len`. */
static int found(struct capture_reader *r, unsigned interface, uint64_t time_ns, uint32_t from, uint32_t kept, uint32_t len,
                 struct capture_packet *p, struct error *err)
{
    const struct capture_interface *i = &r->interfaces[interface];

    if (i->link != LINK_ETHERNET)
        return error_set(err, -EINVAL, "packet %" PRIu64 " is of link type %u%s: only Ethernet (1) can be played", r->packets + 1,
                         i->link, link_name(i->link));
    if (kept < len)
        return error_set(err, -EINVAL, "packet %" PRIu64 " holds only %u of %u bytes: it was not captured whole (tcpdump -s 0)",
                         r->packets + 1, kept, len);
    if (len <= i->fcs)
        return error_set(err, -EINVAL, "packet %" PRIu64 " has only %u bytes", r->packets + 1, len);
    *p = (struct capture_packet){.time_ns = time_ns, .interface = interface, .len = len - i->fcs, .data = r->frame + from};
    r->last_ns = time_ns;
    r->packets++;
    return 1;
}

static int too_long(const struct capture_reader *r, uint32_t len, struct error *err)
{
    return error_set(err, -EINVAL, "packet %" PRIu64 ", which ends at byte %" PRIu64 " or later, says that it has %u bytes: more than "
                     "any frame has (%u)", r->packets + 1, r->at, len, CAPTURE_FRAME_MOST);
}

/* ---- pcap ---- */

static int open_pcap(struct capture_reader *r, const uint8_t *magic, struct error *err)
{
    uint8_t head[PCAP_HEAD];
    uint32_t link;
    int status;

    memcpy(head, magic, 4);
    status = need(r, head + 4, sizeof(head) - 4, err);
    if (status < 0)
        return status;
    if (u16(r, head + 4) != 2)
        return error_set(err, -EINVAL, "a pcap file of version %u.%u: only 2.x is known", u16(r, head + 4), u16(r, head + 6));
    link = u32(r, head + 20);
    /* Bit 26: bits 28 and up count frame check sequences, in 16 bits. */
    r->interfaces[0] = (struct capture_interface){.link = (uint16_t)link, .fcs = link & 0x04000000u ? (uint8_t)(link >> 28 << 1) : 0};
    r->ninterfaces = 1;
    return 0;
}

static int next_pcap(struct capture_reader *r, struct capture_packet *p, struct error *err)
{
    uint8_t head[PCAP_RECORD];
    uint32_t kept, fraction;
    size_t got;
    int status = take(r, head, 1, &got, err);

    if (status < 0 || !got)
        return status;
    status = need(r, head + 1, sizeof(head) - 1, err);
    if (status < 0)
        return status;
    kept = u32(r, head + 8);
    if (kept > CAPTURE_FRAME_MOST)
        return too_long(r, kept, err);
    status = need(r, r->frame, kept, err);
    if (status < 0)
        return status;
    fraction = u32(r, head + 4);
    return found(r, 0, u32(r, head) * NS + (uint64_t)fraction * (r->nano ? 1 : 1000), 0, kept, u32(r, head + 12), p, err);
}

/* ---- pcapng ---- */

static int take_section(struct capture_reader *r, struct error *err)
{
    uint8_t head[12]; /* length, byte order, version */
    uint32_t len;
    int status = need(r, head, sizeof(head), err);

    if (status < 0)
        return status;
    r->big = get_be32(head + 4) == ORDER_MAGIC;
    if (!r->big && get_le32(head + 4) != ORDER_MAGIC)
        return error_set(err, -EINVAL, "the section before byte %" PRIu64 " has no byte order that there is", r->at);
    if (u16(r, head + 8) != 1)
        return error_set(err, -EINVAL, "a pcapng file of version %u.%u: only 1.x is known", u16(r, head + 8), u16(r, head + 10));
    len = u32(r, head);
    if (len < 28 || len % 4 || len > BODY_MOST)
        return error_set(err, -EINVAL, "the section before byte %" PRIu64 " has a head of %u bytes", r->at, len);
    r->ninterfaces = 0;
    r->last_ns = 0;
    return pass(r, len - 4 - (uint32_t)sizeof(head), err);
}

static void take_option(struct capture_reader *r, struct capture_interface *i, uint32_t code, uint32_t len, const uint8_t *value)
{
    if (code == OPT_TSRESOL && len == 1)
        i->resolution = value[0];
    else if (code == OPT_FCSLEN && len == 1)
        i->fcs = value[0] <= 4 ? value[0] : 4; /* in bytes */
    else if (code == OPT_TSOFFSET && len == 8)
        i->offset_s = (int64_t)(r->big ? get_be64(value) : get_le64(value));
}

static int take_interface(struct capture_reader *r, const uint8_t *body, uint32_t len, struct error *err)
{
    struct capture_interface *i = r->interfaces + r->ninterfaces;

    if (len < 8)
        return error_set(err, -EINVAL, "the interface before byte %" PRIu64 " is too short", r->at);
    if (r->ninterfaces == CAPTURE_INTERFACES)
        return error_set(err, -EINVAL, "there are more than %u interfaces before byte %" PRIu64, CAPTURE_INTERFACES, r->at);
    *i = (struct capture_interface){.link = (uint16_t)u16(r, body), .snap = u32(r, body + 4), .resolution = 6};
    for (uint32_t at = 8; at + 4 <= len;) {
        uint32_t code = u16(r, body + at), n = u16(r, body + at + 2);

        if (code == OPT_END || n > len - at - 4)
            break;
        take_option(r, i, code, n, body + at + 4);
        at += 4 + (n + 3) / 4 * 4;
    }
    r->ninterfaces++;
    return 0;
}

/* A time in an interface's units, in ns. */
static uint64_t in_ns(const struct capture_interface *i, uint64_t t)
{
    unsigned n = i->resolution & 0x7fu;
    unsigned __int128 ns = (unsigned __int128)t * NS;

    if (i->resolution & 0x80u)
        ns = n < 127 ? ns >> n : 0;
    for (; !(i->resolution & 0x80u) && n && ns; n--)
        ns /= 10;
    ns += (unsigned __int128)(__int128)i->offset_s * NS;
    return ns > INT64_MAX ? INT64_MAX : (uint64_t)ns;
}

static int take_packet(struct capture_reader *r, uint32_t type, uint32_t len, struct capture_packet *p, struct error *err)
{
    const uint8_t *body = r->frame;
    uint32_t head = type == BLOCK_SIMPLE ? 4 : 20, interface, kept, whole;
    uint64_t t;

    if (len < head)
        return error_set(err, -EINVAL, "packet %" PRIu64 ", before byte %" PRIu64 ", is too short for what it has to say",
                         r->packets + 1, r->at);
    interface = type == BLOCK_SIMPLE ? 0 : type == BLOCK_OLD ? u16(r, body) : u32(r, body);
    if (interface >= r->ninterfaces)
        return error_set(err, -EINVAL, "packet %" PRIu64 " is of interface %u, which the file does not describe", r->packets + 1,
                         interface);
    if (type == BLOCK_SIMPLE) {
        whole = u32(r, body);
        kept = r->interfaces[0].snap && r->interfaces[0].snap < whole ? r->interfaces[0].snap : whole;
        t = r->last_ns;
    } else {
        kept = u32(r, body + 12);
        whole = u32(r, body + 16);
        t = in_ns(&r->interfaces[interface], (uint64_t)u32(r, body + 4) << 32 | u32(r, body + 8));
    }
    if (kept > len - head)
        return error_set(err, -EINVAL, "packet %" PRIu64 ", before byte %" PRIu64 ", is longer than its block", r->packets + 1, r->at);
    if (kept > CAPTURE_FRAME_MOST)
        return too_long(r, kept, err);
    return found(r, interface, t, head, kept, whole, p, err);
}

/* A block's body into r->frame, as far as it fits; then the length again. */
static int take_body(struct capture_reader *r, uint32_t len, struct error *err)
{
    uint32_t n = len < sizeof(r->frame) ? len : (uint32_t)sizeof(r->frame);
    uint8_t tail[4];
    int status = need(r, r->frame, n, err);

    if (status == 0)
        status = pass(r, len - n, err);
    if (status == 0)
        status = need(r, tail, sizeof(tail), err);
    if (status == 0 && u32(r, tail) != len + BLOCK_FRAME)
        status = error_set(err, -EINVAL, "the block that ends at byte %" PRIu64 " says %u bytes at its beginning and %u at its end", r->at,
                           len + BLOCK_FRAME, u32(r, tail));
    return status;
}

static int next_ng(struct capture_reader *r, struct capture_packet *p, struct error *err)
{
    for (;;) {
        uint8_t head[8];
        uint32_t type, len;
        size_t got;
        int status = take(r, head, 1, &got, err);

        if (status < 0 || !got)
            return status;
        status = need(r, head + 1, 3, err);
        if (status == 0 && get_le32(head) == BLOCK_SECTION) {
            status = take_section(r, err);
            if (status < 0)
                return status;
            continue;
        }
        if (status == 0)
            status = need(r, head + 4, 4, err);
        if (status < 0)
            return status;
        type = u32(r, head);
        len = u32(r, head + 4);
        if (len < BLOCK_FRAME || len % 4 || len > BODY_MOST)
            return error_set(err, -EINVAL, "the block at byte %" PRIu64 " says that it has %u bytes", r->at - 8, len);
        status = take_body(r, len - BLOCK_FRAME, err);
        if (status == 0 && type == BLOCK_INTERFACE)
            status = take_interface(r, r->frame, len - BLOCK_FRAME, err);
        else if (status == 0 && (type == BLOCK_PACKET || type == BLOCK_SIMPLE || type == BLOCK_OLD))
            return take_packet(r, type, len - BLOCK_FRAME, p, err);
        if (status < 0)
            return status;
    }
}

/* ---- both ---- */

int capture_open(struct capture_reader *r, long (*read)(void *ctx, void *buf, size_t len), void *ctx, struct error *err)
{
    uint8_t magic[4];
    uint32_t le, be;
    size_t got;
    int status;

    memset(r, 0, offsetof(struct capture_reader, frame));
    r->read = read;
    r->ctx = ctx;
    status = take(r, magic, sizeof(magic), &got, err);
    if (status < 0)
        return status;
    le = got == sizeof(magic) ? get_le32(magic) : 0;
    be = got == sizeof(magic) ? get_be32(magic) : 0;
    if (le == BLOCK_SECTION) {
        r->ng = true;
        return take_section(r, err);
    }
    r->big = be == PCAP_MICRO || be == PCAP_NANO;
    r->nano = le == PCAP_NANO || be == PCAP_NANO;
    if (r->big || le == PCAP_MICRO || le == PCAP_NANO)
        return open_pcap(r, magic, err);
    if (le == PCAP_MODIFIED || be == PCAP_MODIFIED)
        return error_set(err, -EINVAL, "a \"modified\" pcap file (A1B2CD34h), which is not known: convert it (editcap -F pcapng)");
    if ((le & 0xffffu) == 0x8b1fu)
        return error_set(err, -EINVAL, "it is compressed: unpack it first (gunzip)");
    return error_set(err, -EINVAL, "it is no capture: neither pcap nor pcapng");
}

int capture_next(struct capture_reader *r, struct capture_packet *p, struct error *err)
{
    return r->ng ? next_ng(r, p, err) : next_pcap(r, p, err);
}

/* ---- writing ---- */

static void pad(struct buffer *b)
{
    while (b->len % 4)
        buffer_append_byte(b, 0);
}

/* Begin a block: returns where. (Blocks begin at multiples of four bytes of the buffer, and end so.) */
static size_t begin_block(struct buffer *b, uint32_t type)
{
    size_t at = b->len;

    buffer_append_le(b, type, 4);
    buffer_append_le(b, 0, 4);
    return at;
}

static void end_block(struct buffer *b, size_t at)
{
    uint32_t len = (uint32_t)(b->len - at) + 4;

    buffer_append_le(b, len, 4);
    put_le32(b->data + at + 4, len);
}

static void add_option(struct buffer *b, uint32_t code, const void *value, size_t len)
{
    if (len > UINT16_MAX)
        len = UINT16_MAX;
    buffer_append_le(b, code, 2);
    buffer_append_le(b, len, 2);
    buffer_append(b, value, len);
    pad(b);
}

void capture_write_head(struct buffer *b, bool ng)
{
    static const char name[] = "hindcast";
    size_t at;

    if (!ng) {
        buffer_append_le(b, PCAP_NANO, 4);
        buffer_append_le(b, 2, 2);
        buffer_append_le(b, 4, 2);
        buffer_append_le(b, 0, 8);
        buffer_append_le(b, 262144, 4);
        buffer_append_le(b, LINK_ETHERNET, 4);
        return;
    }
    at = begin_block(b, BLOCK_SECTION);
    buffer_append_le(b, ORDER_MAGIC, 4);
    buffer_append_le(b, 1, 2);
    buffer_append_le(b, 0, 2);
    buffer_append_le(b, UINT64_MAX, 8); /* length of the section: not known */
    add_option(b, OPT_APPLICATION, name, sizeof(name) - 1);
    buffer_append_le(b, OPT_END, 4);
    end_block(b, at);
}

void capture_write_interface(struct buffer *b, const char *name)
{
    static const uint8_t nanoseconds = 9;
    size_t at = begin_block(b, BLOCK_INTERFACE);

    buffer_append_le(b, LINK_ETHERNET, 2);
    buffer_append_le(b, 0, 2);
    buffer_append_le(b, 0, 4); /* no limit */
    add_option(b, OPT_NAME, name, strlen(name));
    add_option(b, OPT_TSRESOL, &nanoseconds, 1);
    buffer_append_le(b, OPT_END, 4);
    end_block(b, at);
}

void capture_write_packet(struct buffer *b, bool ng, const struct capture_packet *p)
{
    uint8_t flags[4];
    size_t at;

    if (!ng) {
        buffer_append_le(b, p->time_ns / NS, 4);
        buffer_append_le(b, p->time_ns % NS, 4);
        buffer_append_le(b, p->kept, 4);
        buffer_append_le(b, p->len, 4);
        buffer_append(b, p->data, p->kept);
        return;
    }
    at = begin_block(b, BLOCK_PACKET);
    buffer_append_le(b, p->interface, 4);
    buffer_append_le(b, p->time_ns >> 32, 4);
    buffer_append_le(b, (uint32_t)p->time_ns, 4);
    buffer_append_le(b, p->kept, 4);
    buffer_append_le(b, p->len, 4);
    buffer_append(b, p->data, p->kept);
    pad(b);
    if (p->comment)
        add_option(b, OPT_COMMENT, p->comment, strlen(p->comment));
    put_le32(flags, p->from_guest ? 2 : 1);
    add_option(b, OPT_FLAGS, flags, sizeof(flags));
    buffer_append_le(b, OPT_END, 4);
    end_block(b, at);
}
