/*
 * See test_rsp_client.h.
 */
#include "test_rsp_client.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct buffer answer, console_text;
static bool acks = true;

/* check notes each assertion in a file: too slow for one a byte. */
static void require(bool good)
{
    if (!good)
        ck_abort_msg("the output is not well framed");
}

void answers_finish(struct answers *a)
{
    for (unsigned i = 0; i < a->npackets; i++)
        free(a->packets[i]);
    memset(a, 0, sizeof(*a));
}

/* Run lengths are undone first, then escapes: as gdb does; a client that does both in
 * one go must come to the same. */
static void decode(const uint8_t *p, size_t len, struct buffer *two_passes, struct buffer *one_pass)
{
    struct buffer expanded;

    buffer_init(&expanded);
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '*') {
            unsigned n;

            require(i > 0 && i + 1 < len && expanded.len > 0);
            n = p[++i] - 29u;
            require(n >= 3 && n <= 97);
            for (unsigned k = 0; k < n; k++)
                buffer_append_byte(&expanded, expanded.data[expanded.len - 1]);
        } else {
            buffer_append_byte(&expanded, p[i]);
        }
    }
    for (size_t i = 0; i < expanded.len; i++) {
        uint8_t c = expanded.data[i];

        buffer_append_byte(two_passes, c == '}' ? (uint8_t)(expanded.data[++i] ^ 0x20) : c);
    }
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '*') {
            for (unsigned k = p[++i] - 29u; k; k--)
                buffer_append_byte(one_pass, one_pass->data[one_pass->len - 1]);
        } else {
            buffer_append_byte(one_pass, p[i] == '}' ? (uint8_t)(p[++i] ^ 0x20) : p[i]);
        }
    }
    buffer_finish(&expanded);
}

static void add_packet(struct answers *a, const uint8_t *body, size_t len)
{
    struct buffer two, one;

    ck_assert_uint_lt(a->npackets, CLIENT_MAX);
    buffer_init(&two);
    buffer_init(&one);
    decode(body, len, &two, &one);
    ck_assert_uint_eq(two.len, one.len);
    require(!one.len || memcmp(one.data, two.data, one.len) == 0);
    buffer_append_byte(&two, 0);
    a->packets[a->npackets] = (char *)two.data;
    a->lens[a->npackets] = two.len - 1;
    a->raw_lens[a->npackets++] = len;
    buffer_finish(&one);
}

void client_take(struct fake *f, struct answers *a)
{
    struct buffer *out;

    memset(a, 0, sizeof(*a));
    for (;;) {
        size_t i = 0;

        fake_serve(f);
        out = rsp_output(f->s);
        if (!out->len)
            return;
        while (i < out->len) {
            uint8_t c = out->data[i], sum = 0;
            size_t start = ++i;
            char digits[3];

            a->acks += c == '+';
            a->naks += c == '-';
            a->junk += c != '+' && c != '-' && c != '$';
            if (c != '$')
                continue;
            for (; out->data[i] != '#'; i++) {
                require(i < out->len);
                require(out->data[i] != '$');
                sum = (uint8_t)(sum + out->data[i]);
            }
            snprintf(digits, sizeof(digits), "%02x", sum);
            ck_assert_uint_le(i + 3, out->len);
            ck_assert(memcmp(digits, out->data + i + 1, 2) == 0);
            add_packet(a, out->data + start, i - start);
            i += 3;
        }
        buffer_consume(out, out->len);
    }
}

void client_raw(struct fake *f, const void *data, size_t len)
{
    rsp_feed(f->s, data, len);
    fake_serve(f);
}

void client_send(struct fake *f, const char *body, size_t len)
{
    struct buffer b;
    uint8_t sum = 0;

    buffer_init(&b);
    buffer_append_byte(&b, '$');
    buffer_append(&b, body, len);
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + (uint8_t)body[i]);
    buffer_printf(&b, "#%02x", sum);
    client_raw(f, b.data, b.len);
    buffer_finish(&b);
}

static void keep(struct buffer *to, const char *text, size_t len)
{
    buffer_clear(to);
    buffer_append(to, text, len);
    buffer_append_byte(to, 0);
}

const char *client_ask_bytes(struct fake *f, const void *body, size_t len, size_t *answer_len)
{
    struct answers a;

    client_send(f, body, len);
    client_take(f, &a);
    ck_assert_msg(a.npackets == 1, "%u answers to %.*s", a.npackets, (int)len, (const char *)body);
    ck_assert_uint_eq(a.acks, acks ? 1 : 0);
    ck_assert_uint_eq(a.naks + a.junk, 0);
    keep(&answer, a.packets[0], a.lens[0]);
    if (answer_len)
        *answer_len = a.lens[0];
    answers_finish(&a);
    return (const char *)answer.data;
}

const char *client_ask(struct fake *f, const char *body)
{
    return client_ask_bytes(f, body, strlen(body), NULL);
}

static void add_console(const char *hex)
{
    console_text.len -= console_text.len > 0; /* the zero */
    for (; *hex; hex += 2) {
        char digits[3] = {hex[0], hex[1], 0};

        buffer_append_byte(&console_text, (uint8_t)strtoul(digits, NULL, 16));
    }
    buffer_append_byte(&console_text, 0);
}

const char *client_ask_console(struct fake *f, const char *body, const char **console)
{
    struct answers a;

    client_send(f, body, strlen(body));
    client_take(f, &a);
    ck_assert_uint_ge(a.npackets, 1);
    keep(&console_text, "", 0);
    for (unsigned i = 0; i + 1 < a.npackets; i++) {
        ck_assert_int_eq(a.packets[i][0], 'O');
        ck_assert_str_ne(a.packets[i], "OK");
        add_console(a.packets[i] + 1);
    }
    keep(&answer, a.packets[a.npackets - 1], a.lens[a.npackets - 1]);
    answers_finish(&a);
    *console = (const char *)console_text.data;
    return (const char *)answer.data;
}

const char *client_monitor(struct fake *f, const char *line, const char **console)
{
    char body[4096] = "qRcmd,";
    size_t n = strlen(body);

    for (; *line; line++)
        n += (size_t)snprintf(body + n, sizeof(body) - n, "%02x", (unsigned char)*line);
    return client_ask_console(f, body, console);
}

void client_begin(struct fake *f)
{
    fake_init(f);
    acks = true;
}

void client_no_ack(struct fake *f)
{
    acks = true;
    ck_assert_str_eq(client_ask(f, "QStartNoAckMode"), "OK");
    acks = false;
}
