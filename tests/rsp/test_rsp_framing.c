/*
 * Packets on the wire, against the gdb manual: checksums, acknowledgements, escapes, run lengths, and what is no packet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsp/packet.h"
#include "rsp_bench.h"

START_TEST(a_good_packet_is_acknowledged_and_answered_once)
{
    struct answers a;

    ck_assert_uint_eq(ANSWERS_TO("$qC#b4", &a), 1);
    ck_assert_str_eq(a.packets[0], "QC1");
    ck_assert_uint_eq(a.acks, 1);
    ck_assert_uint_eq(a.naks, 0);
    answers_finish(&a);
}
END_TEST

START_TEST(a_bad_checksum_is_refused_and_the_repetition_answered)
{
    struct answers a;

    ck_assert_uint_eq(ANSWERS_TO("$qC#b5", &a), 0);
    ck_assert_uint_eq(a.naks, 1);
    ck_assert_uint_eq(a.acks, 0);
    ck_assert_uint_eq(ANSWERS_TO("$qC#zz", &a), 0);
    ck_assert_uint_eq(a.naks, 1);
    ck_assert_uint_eq(ANSWERS_TO("$qC#B4", &a), 1);
    answers_finish(&a);
}
END_TEST

START_TEST(garbage_between_packets_is_skipped)
{
    struct answers a;

    ck_assert_uint_eq(ANSWERS_TO("\r\nhello\x80\xff+++ #00 $qC#b4 tail", &a), 1);
    ck_assert_str_eq(a.packets[0], "QC1");
    ck_assert_uint_eq(a.naks, 0);
    answers_finish(&a);
}
END_TEST

START_TEST(a_packet_cut_short_by_another_is_forgotten)
{
    struct answers a;

    ck_assert_uint_eq(ANSWERS_TO("$m1000,4$qC#b4", &a), 1);
    ck_assert_str_eq(a.packets[0], "QC1");
    answers_finish(&a);
    ck_assert_uint_eq(ANSWERS_TO("$m1000,4#$qC#b4", &a), 1);
    answers_finish(&a);
}
END_TEST

START_TEST(packets_may_arrive_byte_by_byte_or_many_at_once)
{
    static const char bytes[] = "$qC#b4";
    struct answers a;

    for (unsigned i = 0; i < sizeof(bytes) - 2; i++)
        ck_assert_uint_eq(answers_to(bytes + i, 1, &a), 0);
    ck_assert_uint_eq(answers_to("4", 1, &a), 1);
    answers_finish(&a);
    ck_assert_uint_eq(ANSWERS_TO("$qC#b4+$qC#b4+$qC#b4+", &a), 3);
    ck_assert_uint_eq(a.acks, 3);
    answers_finish(&a);
}
END_TEST

START_TEST(minus_makes_the_last_packet_come_again)
{
    struct answers a;

    ck_assert_uint_eq(ANSWERS_TO("$qC#b4", &a), 1);
    answers_finish(&a);
    ck_assert_uint_eq(ANSWERS_TO("-", &a), 1);
    ck_assert_str_eq(a.packets[0], "QC1");
    ck_assert_uint_eq(a.acks, 0);
    answers_finish(&a);
    ck_assert_uint_eq(ANSWERS_TO("-+", &a), 1);
    answers_finish(&a);
}
END_TEST

START_TEST(minus_before_any_packet_is_harmless)
{
    struct answers a;

    ck_assert_uint_eq(ANSWERS_TO("---", &a), 0);
    ASK("qC", "QC1");
}
END_TEST

START_TEST(without_acks_nothing_is_acknowledged_or_repeated)
{
    struct answers a;

    client_no_ack(&f);
    ck_assert_uint_eq(ANSWERS_TO("+$qC#b4", &a), 1);
    ck_assert_uint_eq(a.acks + a.naks, 0);
    answers_finish(&a);
    ck_assert_uint_eq(ANSWERS_TO("-", &a), 0);
    /* A damaged packet is not carried out; the client still gets its one reply. */
    ck_assert_uint_eq(ANSWERS_TO("$P0=01000000#00", &a), 1);
    ck_assert_int_eq(a.packets[0][0], 'E');
    ck_assert_uint_eq(a.acks + a.naks, 0);
    ck_assert_uint_eq(f.writes, 0);
    answers_finish(&a);
}
END_TEST

START_TEST(special_bytes_pass_in_both_directions)
{
    size_t len;
    const char *a;

    client_no_ack(&f);
    ck_assert_str_eq(client_ask_bytes(&f, "X3000,8:}\x03}\x04}]}\x0a\x03\x00zz", 7 + 12 + 1, NULL), "OK");
    ck_assert_mem_eq(f.memory + 0x3000, "#$}*\x03\x00zz", 8);
    a = client_ask_bytes(&f, "x3000,8", 7, &len);
    ck_assert_uint_eq(len, 9);
    ck_assert_mem_eq(a, "b#$}*\x03\x00zz", 9);
}
END_TEST

/* Every run length, of ordinary and of special bytes, next to each other: the decoders of
 * client_take() agree on all of them, and they come back as they were. */
START_TEST(runs_of_every_length_come_back_whole)
{
    static const char bytes[] = "0#$}*\x03\x04\x0a]x";
    char request[32];
    size_t len;
    const char *a;

    client_ask(&f, "qSupported:swbreak+");
    client_no_ack(&f);
    for (unsigned run = 1; run <= 260; run++) {
        uint8_t *p = f.memory + 0x4000;

        for (unsigned k = 0; k < sizeof(bytes) - 1; k++, p += run)
            memset(p, bytes[k], run);
        snprintf(request, sizeof(request), "x4000,%x", run * (unsigned)(sizeof(bytes) - 1));
        a = client_ask_bytes(&f, request, strlen(request), &len);
        ck_assert_uint_eq(len - 1, run * (sizeof(bytes) - 1));
        ck_assert_mem_eq(a + 1, f.memory + 0x4000, len - 1);
    }
}
END_TEST

START_TEST(long_replies_are_run_length_encoded)
{
    struct answers a;

    memset(f.memory + 0x4000, 0, 4096);
    client_ask(&f, "qSupported:swbreak+");
    client_send(&f, "m4000,1000", 10);
    client_take(&f, &a);
    ck_assert_uint_eq(a.npackets, 1);
    ck_assert_uint_eq(a.lens[0], 8192);
    ck_assert_uint_lt(a.raw_lens[0], 300);
    answers_finish(&a);
    /* A script that says nothing of itself may not know them. */
    client_ask(&f, "qSupported");
    client_send(&f, "m4000,1000", 10);
    client_take(&f, &a);
    ck_assert_uint_ge(a.raw_lens[0], 8192);
    answers_finish(&a);
}
END_TEST

START_TEST(packets_of_128_KiB_pass)
{
    size_t n = RSP_PACKET_SIZE - 32, head, len;
    char *body = malloc(RSP_PACKET_SIZE), request[32];
    const char *a;

    client_no_ack(&f);
    /* binary write */
    head = (size_t)sprintf(body, "X0,%zx:", n);
    memset(body + head, 'w', n);
    ck_assert_str_eq(client_ask_bytes(&f, body, head + n, NULL), "OK");
    ck_assert_int_eq(f.memory[n - 1], 'w');
    ck_assert_int_ne(f.memory[n], 'w');
    /* the same in hex, half as much */
    n = n / 2;
    head = (size_t)sprintf(body, "M0,%zx:", n);
    for (size_t i = 0; i < n; i++)
        memcpy(body + head + 2 * i, "71", 2);
    ck_assert_str_eq(client_ask_bytes(&f, body, head + 2 * n, NULL), "OK");
    ck_assert_int_eq(f.memory[n - 1], 'q');
    /* and back: what does not fit is cut */
    snprintf(request, sizeof(request), "m0,%x", FAKE_MEMORY);
    a = client_ask_bytes(&f, request, strlen(request), &len);
    ck_assert_uint_gt(len, RSP_PACKET_SIZE - 64);
    ck_assert_uint_le(len, RSP_PACKET_SIZE);
    ck_assert(starts(a, "7171"));
    memset(f.memory, '#', FAKE_MEMORY); /* each byte escaped */
    snprintf(request, sizeof(request), "x0,%x", FAKE_MEMORY);
    client_ask_bytes(&f, request, strlen(request), &len);
    ck_assert_uint_gt(len, RSP_PACKET_SIZE / 2 - 64);
    free(body);
}
END_TEST

START_TEST(a_packet_beyond_the_limit_gets_one_error)
{
    size_t n = 3 * RSP_PACKET_SIZE;
    char *body = malloc(n);

    client_no_ack(&f);
    memset(body, 'm', n);
    ck_assert_int_eq(client_ask_bytes(&f, body, n, NULL)[0], 'E');
    ASK("qC", "QC1");
    free(body);
}
END_TEST

START_TEST(a_client_that_never_reads_is_not_answered_without_end)
{
    for (unsigned i = 0; i < 2000 && !rsp_ended(f.s); i++)
        client_send(&f, "m0,10000", 8);
    ck_assert_uint_lt(f.s ? rsp_output(f.s)->len : 0, 2u << 20);
    /* what waits is answered as the client reads */
    for (unsigned i = 0; i < 10; i++) {
        struct buffer *out = rsp_output(f.s);

        ck_assert_uint_gt(out->len, 0);
        buffer_consume(out, out->len);
    }
}
END_TEST

START_TEST(a_client_that_floods_is_dropped)
{
    char *junk = calloc(1, 100000);

    memset(junk, 'q', 100000);
    f.stuck = true;
    client_send(&f, "c", 1);
    for (unsigned i = 0; i < 100 && !rsp_ended(f.s); i++)
        client_send(&f, junk, 100000);
    ck_assert_int_eq(rsp_ended(f.s), RSP_DETACHED);
    free(junk);
}
END_TEST

START_TEST(byte_3_inside_a_packet_is_data)
{
    struct answers a;

    f.stuck = true;
    client_send(&f, "c", 1);
    client_take(&f, &a);
    client_raw(&f, "$X3000,1:\x03", 10); /* a packet in mid-run, not complete */
    ck_assert(!rsp_interrupt_requested(f.s));
    client_raw(&f, "#b5", 3);
    ck_assert(!rsp_interrupt_requested(f.s));
    client_raw(&f, "\x03", 1);
    client_take(&f, &a);
    /* first the stop, then the answer to the packet that waited */
    ck_assert_uint_eq(a.npackets, 2);
    ck_assert(starts(a.packets[0], "T02"));
    ck_assert_str_eq(a.packets[1], "OK");
    ck_assert_int_eq(f.memory[0x3000], 3);
    answers_finish(&a);
}
END_TEST

START_TEST(a_damaged_packet_in_mid_run_is_answered_after_the_stop)
{
    struct answers a;

    client_no_ack(&f);
    f.stuck = true;
    ck_assert_uint_eq(ANSWERS_TO("$c#63$qC#00$vCtrlC#4e", &a), 3);
    ck_assert(starts(a.packets[0], "T02"));
    ck_assert_int_eq(a.packets[1][0], 'E');
    ck_assert_str_eq(a.packets[2], "OK");
    answers_finish(&a);
}
END_TEST

START_TEST(what_the_target_lacks_is_neither_announced_nor_answered)
{
    struct rsp_target_info info = fake_info;
    struct rsp_target_ops ops = fake_ops;
    const char *a;

    info.reverse = info.seek = false;
    ops.memory_map = NULL;
    ops.memory_region = NULL;
    rsp_destroy(f.s);
    f.s = rsp_create(&info, &ops, &f);
    a = client_ask(&f, "qSupported:swbreak+");
    ck_assert(!strstr(a, "Reverse"));
    ck_assert(!strstr(a, "memory-map"));
    ASK("bs", "");
    ASK("bc", "");
    ASK("vRun;;3130", "");
    ASK("qXfer:memory-map:read::0,100", "");
    ASK("qMemoryRegionInfo:0", "");
    fake_finish(&f);
    fake_init(&f);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("rsp framing");
    TCase *framing = tcase_create("framing");

    tcase_add_checked_fixture(framing, setup, teardown);
    tcase_add_test(framing, a_good_packet_is_acknowledged_and_answered_once);
    tcase_add_test(framing, a_bad_checksum_is_refused_and_the_repetition_answered);
    tcase_add_test(framing, garbage_between_packets_is_skipped);
    tcase_add_test(framing, a_packet_cut_short_by_another_is_forgotten);
    tcase_add_test(framing, packets_may_arrive_byte_by_byte_or_many_at_once);
    tcase_add_test(framing, minus_makes_the_last_packet_come_again);
    tcase_add_test(framing, minus_before_any_packet_is_harmless);
    tcase_add_test(framing, without_acks_nothing_is_acknowledged_or_repeated);
    tcase_add_test(framing, special_bytes_pass_in_both_directions);
    tcase_add_test(framing, runs_of_every_length_come_back_whole);
    tcase_add_test(framing, long_replies_are_run_length_encoded);
    tcase_add_test(framing, packets_of_128_KiB_pass);
    tcase_add_test(framing, a_packet_beyond_the_limit_gets_one_error);
    tcase_add_test(framing, a_client_that_never_reads_is_not_answered_without_end);
    tcase_add_test(framing, a_client_that_floods_is_dropped);
    tcase_add_test(framing, byte_3_inside_a_packet_is_data);
    tcase_add_test(framing, a_damaged_packet_in_mid_run_is_answered_after_the_stop);
    tcase_add_test(framing, what_the_target_lacks_is_neither_announced_nor_answered);
    suite_add_tcase(s, framing);
    return s;
}
