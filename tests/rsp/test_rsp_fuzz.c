/*
 * Whatever a client sends: no crash, no endless loop, exactly one answer to
 * each packet that has one, and the session answers properly afterwards. The
 * bytes are the same in each run; build with --enable-sanitize for full effect.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_rsp_client.h"
#include "tests/check_main.h"

#define ROUNDS 30000u

static const char *const seeds[] = {
    "qSupported:multiprocess+;swbreak+;hwbreak+;error-message+",
    "QStartNoAckMode",
    "?",
    "g",
    "p8",
    "P0=01020304",
    "G0102030405060708",
    "m1000,40",
    "x1000,40",
    "M3000,4:01020304",
    "X3000,4:abcd",
    "c",
    "s",
    "C05",
    "S05;1000",
    "bs",
    "bc",
    "vCont?",
    "vCont;c",
    "vCont;s:1;c",
    "vCont;r1000,1010:1",
    "Hg0",
    "Hc-1",
    "T1",
    "Z0,1005,1",
    "z0,1005,1",
    "Z1,1005,1;X26,260000162022011320000e21002323100019162022052b1420001e2100232201210025220027",
    "Z2,2000,4",
    "Z3,2010,4",
    "Z4,2000,20",
    "z2,2000,4",
    "Z0,1009,1;cmds:1,X37,"
    "22412340002330001916202600001620220022003404001e6561783d2564206d656d3d2530387820257320313030"
    "25252025635c6e0027",
    "qXfer:features:read:target.xml:0,100",
    "qXfer:memory-map:read::0,100",
    "qXfer:threads:read::0,100",
    "qRcmd,68656c70",
    "qRcmd,7365656b203737",
    "qRcmd,7870202f347877203078313030",
    "qCRC:1000,100",
    "qSearch:memory:1000;1000;abc",
    "qSymbol::",
    "qAttached",
    "qC",
    "qfThreadInfo",
    "qThreadExtraInfo,1",
    "!",
    "vRun;;313030",
    "vAttach;1",
    "R00",
    "QThreadSuffixSupported",
    "QListThreadsInStopReply",
    "QEnableErrorStrings",
    "qRegisterInfo8",
    "qHostInfo",
    "jThreadsInfo",
    "qMemoryRegionInfo:1000",
    "qqemu.sstepbits",
    "Qqemu.PhyMemMode:1",
    "Qqemu.PhyMemMode:0",
    "Qqemu.sstep=1",
    "vFile:open:00,0,0",
    "QNonStop:1",
    "vCtrlC",
    "qEcho:1",
    "QTinit",
    "QTDP:1:1005:E:2:3:X3,220127-",
    "QTDP:-1:1005:R3M-1,2000,4X7,23300022022f27-",
    "QTDP:-1:1005:SM5,10,4Xd,2c00012201022d00012e000127",
    "QTDPsrc:1:1005:cond:0:1:31",
    "QTDV:1:a:0:636f756e74",
    "QTStart",
    "QTStop",
    "QTFrame:0",
    "QTFrame:pc:1005",
    "QTFrame:range:1000:1010",
    "QTEnable:1:1005",
    "QTBuffer:size:100",
    "QTBuffer:circular:1",
    "QTNotes:user:41;notes:42",
    "qTStatus",
    "qTP:1:1005",
    "qTV:1",
    "qTfP",
    "qTsP",
    "qTfV",
    "qTBuffer:0,100",
};

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static size_t mutate(char *body, size_t len, size_t room)
{
    static const char spice[] = "0123456789abcdefxX,;:-+*#$}=p\x03\x00\xff";
    unsigned n = draw(4);

    while (n--) {
        size_t at = len ? draw((uint32_t)len) : 0;

        switch (draw(6)) {
        case 0: /* change */
            if (len)
                body[at] = (char)draw(256);
            break;
        case 1:
            if (len)
                body[at] = spice[draw(sizeof(spice))];
            break;
        case 2: /* drop */
            if (len) {
                memmove(body + at, body + at + 1, len - at - 1);
                len--;
            }
            break;
        case 3: /* insert */
            if (len < room) {
                memmove(body + at + 1, body + at, len - at);
                body[at] = spice[draw(sizeof(spice))];
                len++;
            }
            break;
        case 4: /* cut */
            len = at;
            break;
        default: /* repeat a piece */
            if (len && len * 2 < room) {
                memcpy(body + len, body + at, len - at);
                len += len - at;
            }
            break;
        }
    }
    return len;
}

static size_t compose(char *body, size_t room)
{
    const char *seed = seeds[draw(ARRAY_LEN(seeds))];
    size_t len = strlen(seed);

    memcpy(body, seed, len);
    return mutate(body, len, room);
}

/* Escaped and framed as a correct client does. */
static void frame(struct buffer *out, const char *body, size_t len)
{
    uint8_t sum = 0;
    size_t start;

    buffer_append_byte(out, '$');
    start = out->len;
    for (size_t i = 0; i < len; i++) {
        if (strchr("#$}", body[i]) && body[i]) {
            buffer_append_byte(out, '}');
            buffer_append_byte(out, (uint8_t)(body[i] ^ 0x20));
        } else {
            buffer_append_byte(out, (uint8_t)body[i]);
        }
    }
    for (size_t i = start; i < out->len; i++)
        sum = (uint8_t)(sum + out->data[i]);
    buffer_printf(out, "#%02x", sum);
}

/* A fresh session when the client of before said goodbye, or stopped acknowledging. */
static void renew(struct fake *f)
{
    fake_finish(f);
    fake_init(f);
    fake_trace(f);
}

/* Is this a packet without a reply? */
static bool is_silent(const char *body, size_t len)
{
    return (len == 1 && body[0] == 'k') || (len && body[0] == 'R');
}

START_TEST(each_packet_has_its_one_answer_whatever_it_says)
{
    static struct fake f;
    struct buffer bytes;

    state = 0x9e3779b97f4a7c15u;
    fake_init(&f);
    fake_trace(&f);
    buffer_init(&bytes);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char body[2048];
        size_t len = compose(body, sizeof(body));
        unsigned replies = 0;
        struct answers a;

        buffer_clear(&bytes);
        frame(&bytes, body, len);
        client_raw(&f, bytes.data, bytes.len);
        client_take(&f, &a);
        for (unsigned k = 0; k < a.npackets; k++)
            replies += a.packets[k][0] != 'O' || strcmp(a.packets[k], "OK") == 0;
        ck_assert_msg(replies == 1 || (replies == 0 && is_silent(body, len)), "%u replies to %.*s", replies,
                      (int)len, body);
        ck_assert_uint_eq(a.junk, 0);
        ck_assert_ptr_null(rsp_wants_run(f.s));
        answers_finish(&a);
        if (rsp_ended(f.s) || i % 200 == 199)
            renew(&f);
    }
    buffer_finish(&bytes);
    fake_finish(&f);
}
END_TEST

START_TEST(damaged_streams_do_no_harm)
{
    static struct fake f;
    struct buffer bytes;

    state = 0x123456789abcdefu;
    fake_init(&f);
    fake_trace(&f);
    buffer_init(&bytes);
    for (unsigned i = 0; i < ROUNDS / 4; i++) {
        unsigned n = 1 + draw(4);
        size_t at = 0;

        buffer_clear(&bytes);
        while (n--) {
            char body[2048];
            size_t len = compose(body, sizeof(body));

            frame(&bytes, body, len);
        }
        bytes.len =
            mutate((char *)buffer_reserve(&bytes, 4 * bytes.len) - bytes.len, bytes.len, 4 * bytes.len);
        f.stuck = draw(4) == 0;
        while (at < bytes.len) {
            size_t piece = 1 + draw((uint32_t)(bytes.len - at));

            rsp_feed(f.s, bytes.data + at, piece);
            at += piece;
            fake_serve(&f);
            buffer_clear(rsp_output(f.s));
        }
        f.stuck = false;
        rsp_feed(f.s, "#00\x03", 4);
        fake_serve(&f);
        if (rsp_ended(f.s)) {
            renew(&f);
            continue;
        }
        buffer_clear(rsp_output(f.s));
        fake_serve(&f);
        buffer_clear(rsp_output(f.s));
        rsp_feed(f.s, "$qC#b4", 6);
        ck_assert(rsp_output(f.s)->len >= 7);
        buffer_append_byte(rsp_output(f.s), 0);
        ck_assert(strstr((char *)rsp_output(f.s)->data, "$QC"));
        buffer_clear(rsp_output(f.s));
        if (i % 50 == 49)
            renew(&f);
    }
    buffer_finish(&bytes);
    fake_finish(&f);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("rsp fuzz");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, each_packet_has_its_one_answer_whatever_it_says);
    tcase_add_test(t, damaged_streams_do_no_harm);
    suite_add_tcase(s, t);
    return s;
}
