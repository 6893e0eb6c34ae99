/*
 * Framing of packets. See packet.h.
 *
 * Not decoded: run-length encoding in packets from the client. No client sends
 * it, and '*' is an ordinary character in some requests.
 */
#include "rsp/packet.h"

#include <string.h>

#define ESCAPE     '}'
#define ESCAPE_XOR 0x20

int rsp_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void rsp_put_hex(struct buffer *out, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    uint8_t *q = buffer_reserve(out, 2 * len);

    for (size_t i = 0; i < len; i++) {
        q[2 * i] = (uint8_t)digits[p[i] >> 4];
        q[2 * i + 1] = (uint8_t)digits[p[i] & 15];
    }
    out->len += 2 * len;
}

void rsp_decoder_init(struct rsp_decoder *d, size_t limit)
{
    *d = (struct rsp_decoder){.limit = limit};
    buffer_init(&d->body);
}

void rsp_decoder_finish(struct rsp_decoder *d)
{
    buffer_finish(&d->body);
}

static void begin_body(struct rsp_decoder *d)
{
    buffer_clear(&d->body);
    d->raw_len = 0;
    d->sum = 0;
    d->escaped = false;
    d->state = RSP_IN_BODY;
}

static void push_body(struct rsp_decoder *d, uint8_t byte)
{
    d->sum = (uint8_t)(d->sum + byte);
    d->raw_len++;
    if (d->raw_len > d->limit)
        return;
    if (d->escaped) {
        d->escaped = false;
        buffer_append_byte(&d->body, byte ^ ESCAPE_XOR);
    } else if (byte == ESCAPE) {
        d->escaped = true;
    } else {
        buffer_append_byte(&d->body, byte);
    }
}

static enum rsp_wire_event end_of_packet(struct rsp_decoder *d, int low)
{
    d->state = RSP_IN_GAP;
    if (d->sent_sum < 0 || low < 0 || (d->sent_sum << 4 | low) != d->sum)
        return RSP_WIRE_BAD_SUM;
    if (d->raw_len > d->limit)
        return RSP_WIRE_TOO_LONG;
    *buffer_reserve(&d->body, 1) = 0;
    return RSP_WIRE_PACKET;
}

static enum rsp_wire_event push_gap(struct rsp_decoder *d, uint8_t byte)
{
    switch (byte) {
    case '$':
        begin_body(d);
        return RSP_WIRE_NOTHING;
    case '+':
        return RSP_WIRE_ACK;
    case '-':
        return RSP_WIRE_NAK;
    case 3:
        return RSP_WIRE_INTERRUPT;
    default:
        return RSP_WIRE_NOTHING; /* line noise */
    }
}

enum rsp_wire_event rsp_decoder_push(struct rsp_decoder *d, uint8_t byte)
{
    /* A '$' is never sent unescaped inside a packet: what came before it was cut short. */
    if (byte == '$' && d->state != RSP_IN_GAP) {
        begin_body(d);
        return RSP_WIRE_NOTHING;
    }
    switch (d->state) {
    case RSP_IN_GAP:
        return push_gap(d, byte);
    case RSP_IN_BODY:
        /* 0x03 is data here: gdb does not escape it in binary packets. */
        if (byte == '#')
            d->state = RSP_IN_SUM_HIGH;
        else
            push_body(d, byte);
        return RSP_WIRE_NOTHING;
    case RSP_IN_SUM_HIGH:
        d->sent_sum = rsp_hex_digit((char)byte);
        d->state = RSP_IN_SUM_LOW;
        return RSP_WIRE_NOTHING;
    case RSP_IN_SUM_LOW:
        return end_of_packet(d, rsp_hex_digit((char)byte));
    }
    return RSP_WIRE_NOTHING;
}

static bool needs_escape(uint8_t c)
{
    return c == '$' || c == '#' || c == ESCAPE || c == '*';
}

/* How often may the character before be repeated by one run, when `want` more of it
 * follow? Counts are sent as a printable character, count + 29, which must not be
 * one that means something else ('#' and '$' by the manual; the others to be kind to
 * clients that scan for them). */
static size_t run_length(size_t want)
{
    size_t n = want > 97 ? 97 : want;

    while (n >= 3 && (needs_escape((uint8_t)(n + 29)) || n + 29 == '+' || n + 29 == '-'))
        n--;
    return n;
}

void rsp_encode(struct buffer *out, const void *body, size_t len, bool runs)
{
    const uint8_t *p = body;
    uint8_t sum = 0;
    size_t start, i = 0;

    buffer_append_byte(out, '$');
    start = out->len;
    while (i < len) {
        uint8_t c = p[i++];
        size_t same = 0;

        /* gdb repeats the last character as sent, lldb the last one decoded: the two
         * differ after an escape, so no run starts there. */
        if (needs_escape(c)) {
            buffer_append_byte(out, ESCAPE);
            buffer_append_byte(out, c ^ ESCAPE_XOR);
            continue;
        }
        buffer_append_byte(out, c);
        while (runs && i + same < len && same < 97 && p[i + same] == c)
            same++;
        same = run_length(same);
        if (same < 3)
            continue;
        buffer_append_byte(out, '*');
        buffer_append_byte(out, (uint8_t)(same + 29));
        i += same;
    }
    for (i = start; i < out->len; i++)
        sum = (uint8_t)(sum + out->data[i]);
    buffer_printf(out, "#%02x", sum);
}
