/*
 * The protocol layer against the gdb manual: every packet, stops in both directions, robustness. (Framing: test_rsp_framing.c.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsp/packet.h"
#include "rsp_bench.h"

/* ---- what is supported ---- */

START_TEST(features_follow_the_target_and_the_client)
{
    const char *a =
        client_ask(&f, "qSupported:multiprocess+;swbreak+;hwbreak+;error-message+;xmlRegisters=i386");

    ck_assert(strstr(a, "PacketSize=20000;"));
    ck_assert(strstr(a, "QStartNoAckMode+"));
    ck_assert(strstr(a, "qXfer:features:read+"));
    ck_assert(strstr(a, "qXfer:memory-map:read+"));
    ck_assert(strstr(a, "qXfer:threads:read+"));
    ck_assert(strstr(a, "vContSupported+"));
    ck_assert(strstr(a, "ReverseStep+"));
    ck_assert(strstr(a, "ReverseContinue+"));
    ck_assert(strstr(a, "ConditionalBreakpoints+"));
    ck_assert(strstr(a, "BreakpointCommands+"));
    ck_assert(strstr(a, "swbreak+"));
    ck_assert(strstr(a, "hwbreak+"));
    ck_assert(strstr(a, "binary-upload+"));
    ck_assert(strstr(a, "error-message+"));
    ck_assert(!strstr(a, "multiprocess"));
    ck_assert(!strstr(a, "QNonStop+"));
    a = client_ask(&f, "qSupported");
    ck_assert(!strstr(a, "swbreak"));
    ck_assert(!strstr(a, "error-message"));
}
END_TEST

START_TEST(unknown_packets_answer_empty)
{
    static const char *const unknown[] = {
        "vMustReplyEmpty",
        "vUnknown",
        "vFile:setfs:0",
        "vFile:open:00,0,0",
        "qOffsets",
        "qTStatus",
        "qTfV",
        "qTfP",
        "qL1200000000000000000",
        "qP0000001f0000000000000001",
        "QTDP:1:1000:E:0:0",
        "QThreadEvents:1",
        "Qbogus",
        "qbogus",
        "qXfer:auxv:read::0,100",
        "qXfer:exec-file:read:1:0,100",
        "qGetTIBAddr:1",
        "QPassSignals:0",
        "QCatchSyscalls:1",
        "vFlashErase:0,1000",
        "jBogus",
        "_M100,rw",
        "A10,0,6162",
        "B1000,S",
        "d",
        "e",
        "f",
        "h",
        "i",
        "I",
        "l",
        "n",
        "o",
        "q",
        "Q",
        "r",
        "t",
        "u",
        "v",
        "w",
        "y",
        "",
        "\x7f",
        "qSupportedNot",
        "QStartNoAckModeX",
        "b",
        "bx",
        "bcc",
    };

    for (unsigned i = 0; i < ARRAY_LEN(unknown); i++)
        ASK(unknown[i], "");
}
END_TEST

START_TEST(refusals_are_clean)
{
    expect_error("QNonStop:1");
    ASK("QNonStop:0", "OK");
    expect_error("Hgp1.1");
    expect_error("D;1");
    ASK("qSymbol::", "OK");
    expect_error("vCont;t");
}
END_TEST

/* ---- errors ---- */

START_TEST(errors_are_text_where_the_client_takes_it)
{
    f.past_readonly = true;
    /* gdb before 15 takes text in answer to some packets, and would read it as data in others */
    ck_assert(starts(client_ask(&f, "P0=01000000"), "E.the past cannot be written"));
    ck_assert_str_eq(client_ask(&f, "mdead0000,4"), "E0e");
    ck_assert_uint_eq(strlen(client_ask(&f, "M3000,1:00")), 3);
    client_ask(&f, "qSupported:error-message+");
    ck_assert(starts(client_ask(&f, "mdead0000,4"), "E.no memory at 0xdead0000"));
    ck_assert(starts(client_ask(&f, "M3000,1:00"), "E.the past cannot be written"));
    ck_assert(starts(client_ask(&f, "X3000,1:z"), "E.the past cannot be written"));
}
END_TEST

START_TEST(lldb_gets_errors_in_its_own_form)
{
    ASK("QEnableErrorStrings", "OK");
    ck_assert(starts(client_ask(&f, "mdead0000,4"), "E0e;6e6f206d656d6f7279"));
}
END_TEST

/* ---- registers and memory ---- */

START_TEST(registers_are_read_and_written)
{
    const char *a;
    char g[1024];

    f.position = 0x123;
    ASK("p0", "23010000");
    ASK("p8", "5b100000");
    ASK("p20", "00000000");
    ASK("p21", "xxxxxxxx");
    expect_error("p22");
    expect_error("p");
    expect_error("pzz");
    expect_error("p0;thread:1;");
    a = client_ask(&f, "g");
    ck_assert_uint_eq(strlen(a), 2 * (16 * 4 + 8 * 10 + 8 * 4 + 2 * 4));
    ck_assert(starts(a, "23010000"));
    strcpy(g + 1, a);
    ASK("P3=78563412", "OK");
    ASK("p3", "78563412");
    expect_error("P3=7856341");
    expect_error("P3=785634120");
    expect_error("P3");
    expect_error("P22=00000000");
    expect_error("P20=00000000"); /* the target refuses */
    /* G writes what differs, and only that */
    f.writes = 0;
    g[0] = 'G';
    memcpy(g + 1 + 8 * 1, "0100000002000000", 16);
    memcpy(g + 1 + 8 * 3, "78563412", 8);
    ASK(g, "OK");
    ck_assert_uint_eq(f.writes, 2);
    ASK("p2", "02000000");
    expect_error("G12");
    expect_error("Gzz345678");
    ASK("G44332211", "OK");
    ASK("p0", "44332211");
}
END_TEST

START_TEST(memory_is_read_and_written)
{
    f.memory[0x3000] = 0xab;
    ASK("m3000,1", "ab");
    ASK("M3000,2:1234", "OK");
    ASK("m3000,2", "1234");
    ASK("X3000,0:", "OK");
    ck_assert_str_eq(client_ask_bytes(&f, "X3000,2:xy", 10, NULL), "OK");
    ASK("m3000,2", "7879");
    /* partly there: what is there; not there: an error */
    ck_assert_uint_eq(strlen(client_ask(&f, "m1fffe,8")), 4);
    ASK("mfffffffe,8", "5a5a");
    ck_assert_uint_eq(strlen(client_ask(&f, "mffffffff,ffffffffffffffff")), 2);
    expect_error("m20000,1");
    expect_error("m100000000,1");
    expect_error("mffffffffffffffff,1");
    expect_error("m12345678123456789,1");
    expect_error("m");
    expect_error("m,");
    expect_error("m3000");
    expect_error("m3000,");
    expect_error("m3000,4x");
    expect_error("m-1,4");
    expect_error("M3000,2:12");
    expect_error("M3000,2:123");
    expect_error("M3000,2:12345");
    expect_error("M3000,2:zz00");
    expect_error("M1ffff,2:0000");
    expect_error("Mffffffff,2:0000");
    expect_error("X3000,5:abc");
    expect_error("x20000,1");
}
END_TEST

START_TEST(crc_is_that_of_gdb)
{
    /* what gdbserver answers for "123456789": CRC-32/MPEG-2 */
    memcpy(f.memory + 0x5000, "123456789", 9);
    ASK("qCRC:5000,9", "C0376e6e7");
    ASK("qCRC:5000,0", "Cffffffff");
    expect_error("qCRC:1fff0,20");
    expect_error("qCRC:0,ffffffffffffffff");
    expect_error("qCRC:5000");
}
END_TEST

START_TEST(search_finds_the_first_place)
{
    char request[64];

    memset(f.memory, 0, FAKE_MEMORY);
    memcpy(f.memory + 0xfffe, "needle", 6); /* over the edge of the server's reading */
    memcpy(f.memory + 0x18000, "needle", 6);
    ASK("qSearch:memory:1000;1f000;needle", "1,fffe");
    ASK("qSearch:memory:ffff;10000;needle", "1,18000");
    ASK("qSearch:memory:18001;100;needle", "0");
    ASK("qSearch:memory:fffe;5;needle", "0");
    ASK("qSearch:memory:fffe;6;needle", "1,fffe");
    ASK("qSearch:memory:0;0;n", "0");
    expect_error("qSearch:memory:18001;10000;needle"); /* runs into nothing */
    ASK("qSearch:memory:fffff000;ffffffffffffffff;needle", "0");
    ASK("qSearch:memory:fffff000;1000;Z", "1,fffff000");
    expect_error("qSearch:memory:1000;100;");
    expect_error("qSearch:memory:1000");
    memcpy(request, "qSearch:memory:0;20000;\0x", 25);
    ck_assert_str_eq(client_ask_bytes(&f, request, 25, NULL), "0");
}
END_TEST

/* ---- threads ---- */

START_TEST(there_is_one_thread)
{
    ASK("qfThreadInfo", "m1");
    ASK("qsThreadInfo", "l");
    ASK("qC", "QC1");
    ASK("T1", "OK");
    expect_error("T2");
    expect_error("T");
    ASK("Hg0", "OK");
    ASK("Hc-1", "OK");
    ASK("Hg1", "OK");
    expect_error("Hg2");
    expect_error("Hx1");
    expect_error("H");
    ASK("qAttached", "1");
    ASK("qThreadExtraInfo,1", "43505523302061742030203c263e"); /* CPU#0 at 0 <&> */
    expect_error("qThreadExtraInfo,7");
    ASK("qXfer:threads:read::0,1000", "l<?xml version=\"1.0\"?>\n<threads>\n<thread id=\"1\" core=\"0\" "
                                      "name=\"CPU#0\">at 0 &lt;&amp;&gt;</thread>\n</threads>\n");
}
END_TEST

/* ---- documents ---- */

/* Read a document piece by piece. */
static char *read_document(const char *name, unsigned piece)
{
    struct buffer all;

    buffer_init(&all);
    for (;;) {
        char request[128];
        const char *a;
        size_t len;

        snprintf(request, sizeof(request), "qXfer:%s:%zx,%x", name, all.len, piece);
        a = client_ask_bytes(&f, request, strlen(request), &len);
        ck_assert(a[0] == 'm' || a[0] == 'l');
        ck_assert_uint_le(len - 1, piece);
        buffer_append(&all, a + 1, len - 1);
        if (a[0] == 'l')
            break;
        ck_assert_uint_gt(len, 1);
    }
    buffer_append_byte(&all, 0);
    return (char *)all.data;
}

START_TEST(target_description_is_whole_in_pieces)
{
    char *small = read_document("features:read:target.xml", 17);
    char *large = read_document("features:read:target.xml", 0xffffff);

    ck_assert_str_eq(small, large);
    ck_assert(strstr(large, "<architecture>i386</architecture>"));
    ck_assert(strstr(large, "<feature name=\"org.gnu.gdb.i386.core\">\n<flags id=\"i386_eflags\""));
    ck_assert(
        strstr(large, "<reg name=\"eip\" bitsize=\"32\" regnum=\"8\" type=\"code_ptr\" group=\"general\"/>"));
    ck_assert(strstr(large, "<feature name=\"org.hindcast.i386.system\">\n<reg name=\"cr0\""));
    ck_assert(strstr(large, "</feature>\n</target>\n"));
    free(small);
    free(large);
    expect_error("qXfer:features:read:other.xml:0,100");
    expect_error("qXfer:features:read:target.xml:0");
    expect_error("qXfer:features:read:target.xml:100000,10");
    ASK("qXfer:features:write:target.xml:0:", "");
}
END_TEST

START_TEST(memory_map_lists_the_areas)
{
    char *map = read_document("memory-map:read:", 50);

    ck_assert(strstr(map, "<memory type=\"ram\" start=\"0x0\" length=\"0xffff0000\"/>"));
    ck_assert(strstr(map, "<memory type=\"rom\" start=\"0xffff0000\" length=\"0x10000\"/>"));
    free(map);
    expect_error("qXfer:memory-map:read:foo:0,100");
}
END_TEST

/* ---- running ---- */

START_TEST(a_client_that_names_no_features_gets_stops_as_from_qemu)
{
    client_ask(&f, "qSupported");
    ASK("s", "T05thread:01;");
    ASK("bs", "T05thread:01;");
    ASK("bs", "T05thread:01;replaylog:begin;");
    client_ask(&f, "qSupported:swbreak+");
    ck_assert(starts(client_ask(&f, "s"), "T0508:01100000;"));
}
END_TEST

START_TEST(steps_and_continues_answer_with_a_stop)
{
    const char *a;

    ASK("?", "T0508:00100000;04:00800000;05:00800000;09:00000000;thread:1;");
    ASK("s", "T0508:01100000;04:00800000;05:00800000;09:00000000;thread:1;");
    ASK("vCont;s:1;c", "T0508:02100000;04:00800000;05:00800000;09:00000000;thread:1;");
    ASK("S05", "T0508:03100000;04:00800000;05:00800000;09:00000000;thread:1;");
    ASK("vCont;S05:1", "T0508:04100000;04:00800000;05:00800000;09:00000000;thread:1;");
    a = client_ask(&f, "c");
    ck_assert(starts(a, "T05") && strstr(a, "replaylog:end;"));
    ck_assert_uint_eq(f.position, FAKE_END);
    ck_assert(strstr(client_ask(&f, "?"), "replaylog:end;"));
    a = client_ask(&f, "bc");
    ck_assert(starts(a, "T05") && strstr(a, "replaylog:begin;"));
    ck_assert(strstr(client_ask(&f, "bs"), "replaylog:begin;"));
    ck_assert(strstr(client_ask(&f, "vCont;c:-1"), "replaylog:end;"));
    client_ask(&f, "bc");
    ck_assert(strstr(client_ask(&f, "C05"), "replaylog:end;"));
}
END_TEST

START_TEST(resuming_elsewhere_writes_the_pc)
{
    ck_assert(starts(client_ask(&f, "s1040"), "T05"));
    ck_assert_uint_eq(f.writes, 1);
    ck_assert_uint_eq(f.regs[8], 0x1040);
    ck_assert(starts(client_ask(&f, "S5;1041"), "T05"));
    ck_assert_uint_eq(f.regs[8], 0x1041);
    f.past_readonly = true;
    expect_error("c1040");
    ck_assert_uint_eq(f.runs, 2);
}
END_TEST

START_TEST(malformed_resumes_do_not_run)
{
    static const char *const bad[] = {"vCont;",    "vCont;x",    "vCont;c:2", "vCont;r",      "vCont;r1",
                                      "vCont;r1,", "vCont;c:p1", "vCont;C",   "vCont;s;",     "sxyz",
                                      "S",         "Czz",        "C05;zz",    "vCont;r1,2:3", "c100000000",
                                      "vCont;cc",  "S05x"};

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        expect_error(bad[i]);
    ck_assert_uint_eq(f.runs, 0);
    ASK("vCont?", "vCont;c;C;s;S;r");
}
END_TEST

START_TEST(range_steps_are_made_in_the_server)
{
    ck_assert(starts(client_ask(&f, "vCont;r1000,1010:1"), "T0508:10100000"));
    ck_assert_uint_eq(f.runs, 1);
    ck_assert_int_eq(f.last_run.kind, RSP_RUN_RANGE);
    /* an empty range is one step */
    ck_assert(starts(client_ask(&f, "vCont;r1000,1000:1"), "T0508:11100000"));
    /* a breakpoint inside ends it */
    ASK("Z0,1020,1", "OK");
    ck_assert(starts(client_ask(&f, "vCont;r1000,1030"), "T0508:20100000"));
}
END_TEST

START_TEST(interrupts_stop_a_run_in_either_direction)
{
    static const char *const resumes[] = {"c", "bc", "vCont;c"};
    struct answers a;

    f.stuck = true;
    for (unsigned i = 0; i < ARRAY_LEN(resumes); i++) {
        client_send(&f, resumes[i], strlen(resumes[i]));
        client_take(&f, &a);
        ck_assert_uint_eq(a.npackets, 0);
        ck_assert_ptr_nonnull(rsp_wants_run(f.s));
        ck_assert(!rsp_interrupt_requested(f.s));
        client_raw(&f, "\x03", 1);
        client_take(&f, &a);
        ck_assert_uint_eq(a.npackets, 1);
        ck_assert(starts(a.packets[0], "T02"));
        answers_finish(&a);
    }
}
END_TEST

START_TEST(an_interrupt_while_standing_is_meant_for_the_next_resume)
{
    struct answers a;

    /* Between two of gdb's short resumes: the next is not begun, the one after it is made. */
    ck_assert_uint_eq(ANSWERS_TO("\x03", &a), 0);
    ck_assert(starts(client_ask(&f, "vCont;s:1;c"), "T02"));
    ck_assert_uint_eq(f.position, 0);
    ck_assert(starts(client_ask(&f, "vCont;s:1;c"), "T05"));
    ck_assert_uint_eq(f.position, 1);
    ck_assert_uint_eq(ANSWERS_TO("\x03$bs#d5", &a), 1);
    ck_assert(starts(a.packets[0], "T02"));
    ck_assert_uint_eq(f.position, 1);
    answers_finish(&a);
}
END_TEST

START_TEST(each_interrupt_ends_one_of_many_resumes)
{
    struct answers a;

    f.stuck = true;
    ck_assert_uint_eq(ANSWERS_TO("$c#63+$c#63+$c#63+\x03\x03\x03", &a), 3);
    for (unsigned i = 0; i < 3; i++)
        ck_assert(starts(a.packets[i], "T02"));
    answers_finish(&a);
    /* and none is left */
    client_send(&f, "c", 1);
    ck_assert(!rsp_interrupt_requested(f.s));
}
END_TEST

START_TEST(a_run_that_cannot_be_made_is_an_error)
{
    struct error err = {.code = -5, .text = "the recording is damaged at 17"};
    struct answers a;

    f.stuck = true;
    client_send(&f, "bc", 2);
    client_take(&f, &a);
    rsp_fail_run(f.s, &err);
    client_take(&f, &a);
    ck_assert_uint_eq(a.npackets, 1);
    ck_assert_str_eq(a.packets[0], "E.the recording is damaged at 17");
    ck_assert_ptr_null(rsp_wants_run(f.s));
    answers_finish(&a);
}
END_TEST

START_TEST(console_text_goes_out_while_the_guest_runs)
{
    struct rsp_stop end = {.reason = RSP_STOP_GUEST_END, .text = "powered off\n"};
    struct answers a;

    rsp_console(f.s, "early\n", 6); /* nobody listens: kept */
    client_take(&f, &a);
    ck_assert_uint_eq(a.npackets, 0);
    f.stuck = true;
    client_send(&f, "c", 1);
    client_take(&f, &a);
    ck_assert_uint_eq(a.npackets, 1);
    ck_assert_str_eq(a.packets[0], "O6561726c790a");
    answers_finish(&a);
    rsp_report_stop(f.s, &end);
    client_take(&f, &a);
    ck_assert_uint_eq(a.npackets, 2);
    ck_assert_str_eq(a.packets[0], "O706f7765726564206f66660a");
    ck_assert(starts(a.packets[1], "T20")); /* SIGPWR in gdb's numbering */
    answers_finish(&a);
}
END_TEST

/* ---- breakpoints ---- */

START_TEST(breakpoints_stop_forward_and_backward_at_their_pc)
{
    client_ask(&f, "qSupported:swbreak+;hwbreak+");
    ASK("Z0,1005,1", "OK");
    ASK("Z1,1007,1", "OK");
    ck_assert(strstr(client_ask(&f, "vCont;c"), ";swbreak:;"));
    ck_assert_uint_eq(f.position, 5);
    ck_assert(strstr(client_ask(&f, "vCont;c"), ";hwbreak:;"));
    ck_assert_uint_eq(f.position, 7);
    client_ask(&f, "vCont;c");
    ck_assert_uint_eq(f.position, 105);
    ck_assert(strstr(client_ask(&f, "bc"), ";hwbreak:;"));
    ck_assert_uint_eq(f.position, 7);
    ck_assert(strstr(client_ask(&f, "bc"), "08:05100000;"));
    ck_assert_uint_eq(f.position, 5);
    ck_assert(strstr(client_ask(&f, "bc"), "replaylog:begin"));
    ASK("z0,1005,1", "OK");
    ASK("z0,1005,1", "OK");
    client_ask(&f, "vCont;c");
    ck_assert_uint_eq(f.position, 7);
}
END_TEST

START_TEST(swbreak_is_said_only_to_those_who_know_it)
{
    const char *a;

    ASK("Z0,1005,1", "OK");
    a = client_ask(&f, "c");
    ck_assert(starts(a, "T05") && !strstr(a, "swbreak"));
}
END_TEST

START_TEST(watchpoints_report_the_data_address_in_both_directions)
{
    ASK("Z2,2000,4", "OK");
    ck_assert(strstr(client_ask(&f, "c"), ";watch:2000;"));
    ck_assert_uint_eq(f.position, 10);
    ASK("z2,2000,4", "OK");
    ASK("Z2,2002,1", "OK"); /* one byte in the middle: gdb knows it by an address inside */
    ck_assert(strstr(client_ask(&f, "c"), ";watch:2002;"));
    ck_assert_uint_eq(f.position, 20);
    ck_assert(strstr(client_ask(&f, "bc"), ";watch:2002;"));
    ck_assert_uint_eq(f.position, 19); /* the state before the write */
    ck_assert(strstr(client_ask(&f, "bc"), ";watch:2002;"));
    ck_assert_uint_eq(f.position, 9);
    ASK("z2,2002,1", "OK");
    ASK("Z3,2010,4", "OK");
    ck_assert(strstr(client_ask(&f, "c"), ";rwatch:2010;"));
    ck_assert_uint_eq(f.position, 15);
    ASK("Z4,2000,20", "OK");
    ck_assert(strstr(client_ask(&f, "c"), ";awatch:2000;"));
    ck_assert_uint_eq(f.position, 20);
    ASK("z3,2010,4", "OK");
    ck_assert(strstr(client_ask(&f, "c"), ";awatch:2010;"));
    ck_assert_uint_eq(f.position, 25);
}
END_TEST

START_TEST(any_true_condition_stops_and_new_ones_replace_old_ones)
{
    const struct rsp_breakpoint *bp;
    unsigned count;

    ASK("Z0,1032,1;X7,26000022fa1327X7,26000022961327", "OK");
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, 150);
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, 250);
    ck_assert(strstr(client_ask(&f, "c"), "replaylog:end"));
    client_ask(&f, "bc");
    ck_assert_uint_eq(f.position, 250);
    client_ask(&f, "bc");
    ck_assert_uint_eq(f.position, 150);
    ck_assert(strstr(client_ask(&f, "bc"), "replaylog:begin"));
    ASK("Z0,1032,1;X8,26000023015e1327", "OK"); /* 350 */
    bp = rsp_breakpoints(f.s, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(bp[0].nconditions, 1);
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, 350);
}
END_TEST

START_TEST(a_condition_that_cannot_be_evaluated_stops)
{
    ASK("Z0,1032,1;X7,24ffff00001927", "OK"); /* *(int *)0xffff0000: not mapped */
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, 50);
}
END_TEST

START_TEST(watchpoints_take_conditions_too)
{
    ASK("Z2,2000,4;X8,23200019220a1327", "OK"); /* the word is 10 */
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, 100);
}
END_TEST

START_TEST(breakpoint_commands_print_and_go_on)
{
    struct answers a;

    /* printf "%d\n", $eax */
    ASK("Z0,1001,1;cmds:1,X11,260000220022003401000525645c6e0027", "OK");
    ASK("Z0,100a,1", "OK");
    client_send(&f, "c", 1);
    client_take(&f, &a);
    ck_assert_uint_eq(a.npackets, 2);
    ck_assert_str_eq(a.packets[0], "O310a");
    ck_assert_uint_eq(f.position, 10);
    answers_finish(&a);
}
END_TEST

START_TEST(malformed_breakpoints_are_refused)
{
    static const char *const bad[] = {
        "Z0",
        "Z0,",
        "Z0,1000",
        "Z0,1000,",
        "Z0,zz,1",
        "Z0,100000000,1",
        "Z0,1000,1;X",
        "Z0,1000,1;X5",
        "Z0,1000,1;X5,27",
        "Z0,1000,1;Xffffffffffffffff,27",
        "Z0,1000,1;X1,00",
        "Z0,1000,1;X0,",
        "Z0,1000,1;Y",
        "Z0,1000,1;cmds:",
        "Z0,1000,1;cmds:1",
        "Z0,1000,1;X1,27;cmds:1,X1,ff",
        "Z0,1000,1;cmds:1,X1,27;cmds:1,X1,27",
        "Z2,1000,0",
        "Z2,ffffffff,2",
        "Z2,1000,100000", /* the target refuses */
        "z0,1000",
        "z0,1000,1x",
        "z2",
    };
    unsigned count;

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        expect_error(bad[i]);
    rsp_breakpoints(f.s, &count);
    ck_assert_uint_eq(count, 0);
    ASK("Z5,1000,1", "");
    ASK("z5,1000,1", "");
    ASK("Zx,1000,1", "");
}
END_TEST

/* ---- positions ---- */

START_TEST(a_hit_where_the_pc_is_another_number_is_not_marked_as_one)
{
    /* i386, base of CS not 0: the PC is 0x1000, the breakpoint at 0x11000. */
    struct rsp_stop stop = {.reason = RSP_STOP_SWBREAK, .address = 0x11000};

    client_ask(&f, "qSupported:swbreak+;hwbreak+");
    ASK("Z0,11000,1", "OK");
    rsp_report_stop(f.s, &stop);
    ck_assert(starts(client_ask(&f, "?"), "T05"));
    ck_assert(!strstr(client_ask(&f, "?"), "swbreak"));
    stop.reason = RSP_STOP_HWBREAK;
    rsp_report_stop(f.s, &stop);
    ck_assert(!strstr(client_ask(&f, "?"), "hwbreak"));
    /* Nor may gdb take it for a breakpoint of its own that has the PC's number. */
    ASK("Z0,1000,1", "OK");
    ck_assert(starts(client_ask(&f, "?"), "T02"));
    stop = (struct rsp_stop){.reason = RSP_STOP_SWBREAK, .address = 0x1000};
    rsp_report_stop(f.s, &stop);
    ck_assert(starts(client_ask(&f, "?"), "T05"));
    ck_assert(strstr(client_ask(&f, "?"), "swbreak:;"));
}
END_TEST

START_TEST(only_resumes_are_answered_by_a_console_first)
{
    const char *console;

    client_ask(&f, "qSupported:swbreak+");
    client_ask(&f, "!");
    rsp_console(f.s, "hello\n", 6);
    f.guest_ends = true;
    ck_assert(starts(client_ask(&f, "vRun;;656e64"), "T05")); /* end */
    ck_assert(starts(client_ask(&f, "vAttach;1"), "T05"));
    ck_assert(starts(client_ask(&f, "?"), "T05"));
    f.position = 0;
    ck_assert(starts(client_ask_console(&f, "s", &console), "T05"));
    ck_assert_str_eq(console, "hello\n");
}
END_TEST

START_TEST(a_step_of_the_users_disarms_a_seek_and_gdbs_own_does_not)
{
    static const char *const steps[] = {"vCont;s:1;c", "vCont;r1000,1010:1", "bs"};
    const char *console;
    icount_t where;

    client_ask(&f, "qSupported:swbreak+");
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        f.position = 50;
        client_monitor(&f, "seek 777", &console);
        ck_assert(rsp_armed_seek(f.s, &where) && where == 777);
        client_ask_console(&f, steps[i], &console);
        ck_assert(!rsp_armed_seek(f.s, &where));
    }
    /* What gdb does to continue from a breakpoint. */
    client_monitor(&f, "seek 777", &console);
    client_ask(&f, "vCont;s:1");
    client_ask(&f, "Z0,1000,1");
    client_ask(&f, "vCont;c");
    ck_assert_uint_eq(f.position, 777);
    ck_assert(!rsp_armed_seek(f.s, &where));
    /* A step alone, and then the user is shown where he stands. */
    client_ask(&f, "z0,1000,1");
    client_monitor(&f, "seek 800", &console);
    client_ask(&f, "vCont;s:1");
    client_ask(&f, "g");
    client_ask(&f, "qXfer:threads:read::0,1000");
    ck_assert(!rsp_armed_seek(f.s, &where));
    client_ask_console(&f, "c", &console);
    ck_assert_str_eq(console, "hindcast: the seek to position 800 was disarmed by a step\n");
    ck_assert_uint_eq(f.position, FAKE_END);
}
END_TEST

/* Before its step off a breakpoint gdb puts its watchpoints in, and behind it reads what they watch, and registers and
 * stack, if that is a local variable; lldb reads the stack. Several CPUs may each stand at one. */
START_TEST(what_a_debugger_reads_on_its_way_off_a_breakpoint_leaves_a_seek_armed)
{
    static const char *const between[] = {"m2000,4", "g", "p4", "x8000,40", "Hg1", "Z0,1000,1", "vCont;s:1"};
    const char *console;

    client_ask(&f, "qSupported:swbreak+");
    for (unsigned i = 0; i < ARRAY_LEN(between); i++) {
        f.position = 50;
        client_monitor(&f, "seek 777", &console);
        client_ask(&f, "vCont;s:1");
        client_ask(&f, between[i]);
        client_ask(&f, "vCont;c");
        ck_assert_uint_eq(f.position, 777);
    }
}
END_TEST

START_TEST(a_step_off_a_breakpoint_that_hits_leaves_a_seek_armed_and_says_so)
{
    const char *console;
    icount_t where;

    client_ask(&f, "qSupported:swbreak+");
    f.position = 69;
    client_ask(&f, "Z2,2000,4"); /* it changes at 70 */
    client_monitor(&f, "seek 777", &console);
    ck_assert(strstr(client_ask_console(&f, "vCont;s:1", &console), "watch:2000"));
    ck_assert_str_eq(console, "hindcast: the seek to position 777 is still armed\n");
    client_ask(&f, "qXfer:threads:read::0,1000");
    ck_assert(rsp_armed_seek(f.s, &where) && where == 777);
    client_ask(&f, "vCont;c");
    ck_assert_uint_eq(f.position, 777);
}
END_TEST

START_TEST(an_interrupt_instead_of_a_step_off_a_breakpoint_disarms_a_seek)
{
    const char *console;
    icount_t where;

    client_ask(&f, "qSupported:swbreak+");
    client_monitor(&f, "seek 777", &console);
    client_raw(&f, "\003", 1); /* it came too late for the run before it */
    ck_assert(starts(client_ask_console(&f, "vCont;s:1", &console), "T02"));
    ck_assert_str_eq(console, "hindcast: the seek to position 777 was disarmed by an interrupt\n");
    ck_assert(!rsp_armed_seek(f.s, &where));
}
END_TEST

START_TEST(a_seek_that_is_armed_does_not_outlive_a_process_that_is_left)
{
    static const char *const ends[] = {"D", "vKill;1"};
    const char *console;
    icount_t where;

    client_ask(&f, "qSupported:swbreak+");
    client_ask(&f, "!");
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        client_monitor(&f, "seek 777", &console);
        client_ask(&f, ends[i]);
        client_ask(&f, "vAttach;1");
        ck_assert(!rsp_armed_seek(f.s, &where));
    }
}
END_TEST

START_TEST(who_passes_over_the_guests_end_is_interrupted)
{
    const char *console;

    f.guest_ends = true;
    ck_assert(starts(client_ask_console(&f, "c", &console), "T20"));
    ck_assert(starts(client_ask_console(&f, "vCont;C20:1;c", &console), "T20"));
    ck_assert(starts(client_ask_console(&f, "vCont;C20:1;c", &console), "T02"));
    ck_assert_str_eq(console, "the guest ended\n");
    ck_assert(starts(client_ask(&f, "bs"), "T05"));
    ck_assert(starts(client_ask_console(&f, "c", &console), "T20"));
}
END_TEST

START_TEST(why_the_past_cannot_be_written_is_said_once)
{
    const char *console;

    f.past_readonly = true;
    expect_error("M3000,1:00");
    expect_error("X3000,1:x");
    client_ask_console(&f, "s", &console);
    ck_assert_str_eq(console, "the past cannot be written: this is position 0 of 1000\n");
}
END_TEST

START_TEST(what_speaks_http_is_not_listened_to)
{
    static const char *const greetings[] = {"POST / HTTP/1.1\r\n\r\n$M3000,1:00#1b", "GET /$c#63 HTTP/1.1\r\n", "OPTIONS * H"};
    static const char *const others[] = {"$?#3f", "+$?#3f", "hello $?#3f", "AT$?#3f", "\r\n$?#3f"};

    for (unsigned i = 0; i < ARRAY_LEN(greetings); i++) {
        fake_finish(&f);
        fake_init(&f);
        client_raw(&f, greetings[i], strlen(greetings[i]));
        ck_assert_int_eq(rsp_ended(f.s), RSP_FOREIGN);
        ck_assert_uint_eq(f.writes, 0);
        ck_assert_uint_eq(rsp_output(f.s)->len, 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        fake_finish(&f);
        fake_init(&f);
        client_raw(&f, others[i], strlen(others[i]));
        ck_assert_int_eq(rsp_ended(f.s), RSP_GOES_ON);
        ck_assert_uint_gt(rsp_output(f.s)->len, 0);
    }
}
END_TEST

START_TEST(who_is_turned_away_gets_the_reason_and_does_nothing)
{
    static const char *const packets[] = {"qSupported:swbreak+", "vMustReplyEmpty", "M3000,1:00", "c", "k", "nosuchpacket"};

    rsp_turn_away(f.s, "come back later");
    for (unsigned i = 0; i < ARRAY_LEN(packets); i++)
        ASK(packets[i], "E.come back later");
    ck_assert_uint_eq(f.writes, 0);
    ck_assert_ptr_null(rsp_wants_run(f.s));
    ck_assert_int_eq(rsp_ended(f.s), RSP_GOES_ON);
}
END_TEST

START_TEST(registers_that_are_not_to_be_put_back_say_so)
{
    const char *xml = client_ask(&f, "qXfer:features:read:target.xml:0,ffff");

    ck_assert(strstr(xml, "<reg name=\"cr3\" bitsize=\"32\" regnum=\"33\" type=\"int32\" group=\"system\" save-restore=\"no\"/>"));
    ck_assert(!strstr(xml, "name=\"eax\" bitsize=\"32\" regnum=\"0\" type=\"int32\" group=\"general\" save"));
}
END_TEST

/* ---- threads ---- */

static struct rsp_target_info three;

static void with_three_threads(void)
{
    fake_finish(&f);
    fake_init(&f);
    rsp_destroy(f.s);
    three = fake_info;
    three.nthreads = 3;
    f.s = rsp_create(&three, &fake_ops, &f);
    client_no_ack(&f);
}

START_TEST(a_thread_is_a_cpu_in_every_packet_that_names_one)
{
    with_three_threads();
    client_ask(&f, "qSupported:swbreak+");
    ASK("qfThreadInfo", "m1,2,3");
    ASK("qsThreadInfo", "l");
    ASK("T3", "OK");
    expect_error("T4");
    expect_error("Hg4");
    ASK("qC", "QC1");
    ASK("p0", "00000000");
    ASK("Hg3", "OK");
    ASK("qC", "QC3");
    ASK("p0", "00000200");
    ASK("Hg0", "OK"); /* any: it stays */
    ASK("p0", "00000200");
    ASK("qThreadExtraInfo,2", "4350552331206174203020" "3c263e");
    ck_assert(strstr(client_ask(&f, "qXfer:threads:read::0,fff"),
                     "<thread id=\"3\" core=\"2\" name=\"CPU#2\">at 0 &lt;&amp;&gt;</thread>"));
    ASK("p0", "00000200");
}
END_TEST

START_TEST(a_step_is_of_the_thread_that_it_names)
{
    static const struct {
        const char *packet;
        uint64_t steppers, left_out; /* bits */
        enum rsp_run_kind kind;
    } resumes[] = {
        {"vCont;s:2;c", 2, 0, RSP_RUN_STEP},   {"vCont;c:1;s:3", 4, 2, RSP_RUN_STEP}, {"vCont;s:2;s:3", 6, 1, RSP_RUN_STEP},
        {"vCont;s", 7, 0, RSP_RUN_STEP},       {"vCont;r1000,1002:3;c", 4, 0, RSP_RUN_RANGE},
        {"vCont;s:1", 1, 6, RSP_RUN_STEP},     {"vCont;c:2", 0, 5, RSP_RUN_CONTINUE}, {"vCont;c;s:2", 0, 0, RSP_RUN_CONTINUE},
        {"vCont;c:2;s:2;s:3", 4, 1, RSP_RUN_STEP}, {"vCont;r1000,1000:3;c", 4, 0, RSP_RUN_STEP},
        {"vCont;r1000,1002:3;s:1;c", 5, 0, RSP_RUN_RANGE},
    };

    with_three_threads();
    client_ask(&f, "qSupported:swbreak+");
    for (unsigned i = 0; i < ARRAY_LEN(resumes); i++) {
        client_ask(&f, resumes[i].packet);
        ck_assert_int_eq(f.last_run.kind, resumes[i].kind);
        ck_assert_uint_eq(f.last_run.steppers, resumes[i].steppers);
        ck_assert_uint_eq(f.last_run.left_out, resumes[i].left_out);
    }
    ASK("Hc2", "OK");
    client_ask(&f, "bs");
    ck_assert_uint_eq(f.last_run.steppers, 2);
    client_ask(&f, "s");
    ck_assert_uint_eq(f.last_run.steppers, 2);
    ASK("Hc0", "OK");
    /* gdb's `info threads` selects every thread, and not the one that stopped again; `thread 3` asks about it */
    ASK("Hg3", "OK");
    client_ask(&f, "bs");
    ck_assert_uint_eq(f.last_run.steppers, 1);
    ASK("T3", "OK");
    client_ask(&f, "bs");
    ck_assert_uint_eq(f.last_run.steppers, 4);
    expect_error("vCont;s:4");
}
END_TEST

START_TEST(a_stop_says_whose_it_is_and_selects_it)
{
    struct rsp_stop stop = {.reason = RSP_STOP_WATCH, .address = 0x2000, .thread = 2};

    with_three_threads();
    client_ask(&f, "qSupported:swbreak+");
    rsp_report_stop(f.s, &stop);
    ck_assert(strstr(client_ask(&f, "?"), "thread:3;watch:2000;"));
    ASK("p0", "00000200");
    /* lldb: a suffix names the thread of one packet, all threads are listed with where they stand */
    ASK("QThreadSuffixSupported", "OK");
    ASK("QListThreadsInStopReply", "OK");
    ASK("p0;thread:2;", "00000100");
    ck_assert(strstr(client_ask(&f, "?"), "threads:1,2,3;thread-pcs:1000,1000,1000;"));
    ck_assert(strstr(client_ask(&f, "?"), "thread:3;watch:2000;"));
    ck_assert(strstr(client_ask(&f, "jThreadsInfo"), "{\"tid\":2,\"name\":\"CPU#1\",\"registers\""));
    ck_assert(strstr(client_ask(&f, "jThreadsInfo"), "{\"tid\":3,\"name\":\"CPU#2\",\"reason\":\"watchpoint\",\"signal\":5,"
                                                     "\"description\":\"8192 4294967295 8192\",\"registers\""));
    ASK("qThreadStopInfo1", "T00thread:1;");
    stop = (struct rsp_stop){.reason = RSP_STOP_HISTORY_END, .thread = 1};
    rsp_report_stop(f.s, &stop);
    ck_assert(strstr(client_ask(&f, "?"), "thread:2;replaylog:end;"));
    ck_assert(strstr(client_ask(&f, "?"), "name:CPU#1;reason:exception;description:656e64206f6620746865207265636f7264696e67;"));
    ck_assert(strstr(client_ask(&f, "jThreadsInfo"), "\"CPU#1\",\"reason\":\"exception\",\"signal\":5,\"description\":\"end of the "
                                                     "recording\""));
    ck_assert(strstr(client_ask(&f, "jThreadsInfo"), "\"CPU#2\",\"registers\""));
    stop = (struct rsp_stop){.reason = RSP_STOP_INTERRUPT, .thread = 0};
    rsp_report_stop(f.s, &stop);
    ck_assert(starts(client_ask(&f, "?"), "T02") && !strstr(client_ask(&f, "?"), "reason:"));
    ck_assert(strstr(client_ask(&f, "jThreadsInfo"), "\"CPU#0\",\"reason\":\"signal\",\"signal\":2,\"registers\""));
}
END_TEST

START_TEST(seek_arms_and_the_next_continue_goes)
{
    const char *console;

    client_ask(&f, "qSupported:swbreak+");
    ASK("Z0,1005,1", "OK");
    ck_assert_str_eq(client_monitor(&f, "seek 777", &console), "OK");
    ck_assert(strstr(console, "777"));
    ck_assert_uint_eq(f.position, 0);
    client_ask(&f, "s"); /* gdb's step off a breakpoint does not disarm */
    ck_assert_uint_eq(f.position, 1);
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, 777);
    ck_assert_str_eq(client_monitor(&f, "replay_seek 30", &console), "OK");
    client_ask(&f, "bc");
    ck_assert_uint_eq(f.position, 30);
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, 105); /* once only */
    client_monitor(&f, "seek -5", &console);
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, 100);
    /* At a breakpoint's address gdb would take a trap for the breakpoint and look at its condition. */
    client_monitor(&f, "seek 105", &console);
    ck_assert(starts(client_ask(&f, "c"), "T02"));
    client_monitor(&f, "seek 106", &console);
    ck_assert(starts(client_ask(&f, "c"), "T05"));
    ck_assert(starts(client_monitor(&f, "seek -500", &console), "E"));
    ck_assert(starts(client_monitor(&f, "seek nowhere", &console), "E"));
}
END_TEST

START_TEST(run_goes_to_a_position_with_a_real_stop)
{
    ASK("!", "OK");
    ck_assert(starts(client_ask(&f, "vRun;;333030"), "T0508:00100000")); /* 300 */
    ck_assert_uint_eq(f.position, 300);
    /* gdb's `run` continues at once: that stays here, too */
    ck_assert(starts(client_ask(&f, "vCont;c"), "T05"));
    ck_assert_uint_eq(f.position, 300);
    ck_assert(strstr(client_ask(&f, "vCont;c"), "replaylog:end"));
    ck_assert(starts(client_ask(&f, "vRun;2f66;3078313030"), "T05")); /* 0x100 */
    ck_assert_uint_eq(f.position, 256);
    client_ask(&f, "bs"); /* any other resume: no arming left */
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, FAKE_END);
    client_ask(&f, "vRun;;656e64");
    ck_assert_uint_eq(f.position, FAKE_END);
    ck_assert(starts(client_ask(&f, "vRun;"), "T05"));
    ck_assert_uint_eq(f.position, 0);
    ck_assert(strstr(client_ask(&f, "c"), "replaylog:end"));
    expect_error("vRun;;6f6f7073");
    expect_error("vRun;;31;32");
    expect_error("vRun;;3");
    expect_error("vRun;;zz");
}
END_TEST

/* ---- the life of a session ---- */

START_TEST(detach_ends_the_session_and_leaves_the_target)
{
    ASK("D", "OK");
    ck_assert_int_eq(rsp_ended(f.s), RSP_DETACHED);
}
END_TEST

START_TEST(kill_asks_for_the_end)
{
    ASK("vKill;a410", "OK");
    ck_assert_int_eq(rsp_ended(f.s), RSP_KILLED);
}
END_TEST

START_TEST(k_has_no_reply)
{
    struct answers a;

    ck_assert_uint_eq(ANSWERS_TO("$k#6b", &a), 0);
    ck_assert_int_eq(rsp_ended(f.s), RSP_KILLED);
}
END_TEST

START_TEST(extended_mode_outlives_kill_and_detach)
{
    struct answers a;

    expect_error("R00"); /* not yet */
    ASK("!", "OK");
    ASK("vKill;1", "OK");
    ck_assert_int_eq(rsp_ended(f.s), RSP_GOES_ON);
    ASK("?", "W00");
    ASK("qfThreadInfo", "l");
    expect_error("T1");
    expect_error("vCont;c");
    expect_error("c");
    expect_error("bc");
    f.position = 7;
    ck_assert(starts(client_ask(&f, "vAttach;1"), "T05"));
    ASK("D", "OK");
    ck_assert_int_eq(rsp_ended(f.s), RSP_GOES_ON);
    ck_assert_uint_eq(ANSWERS_TO("$R00#b2", &a), 0);
    ck_assert_uint_eq(f.position, 0);
    ck_assert(starts(client_ask(&f, "?"), "T05"));
    expect_error("vAttach;");
    expect_error("vKill;");
}
END_TEST

/* ---- other dialects ---- */

START_TEST(qemu_packets_are_known)
{
    ASK("qqemu.Supported", "sstepbits;sstep;PhyMemMode");
    ASK("qqemu.sstepbits", "ENABLE=1");
    ASK("qqemu.sstep", "0x1");
    ASK("Qqemu.sstep=1", "OK");
    expect_error("Qqemu.sstep=7");
    ASK("qqemu.PhyMemMode", "0");
    ASK("Qqemu.PhyMemMode:1", "OK");
    ASK("qqemu.PhyMemMode", "1");
    client_ask(&f, "m1000,4");
    ck_assert_uint_eq(f.physical_reads, 1);
    expect_error("m100001000,4"); /* beyond 32 bits is possible, not mapped here */
    ck_assert_uint_eq(f.physical_reads, 2);
    ASK("Qqemu.PhyMemMode:0", "OK");
    client_ask(&f, "m1000,4");
    ck_assert_uint_eq(f.physical_reads, 2);
    expect_error("Qqemu.PhyMemMode:2");
}
END_TEST

START_TEST(lldb_finds_host_process_and_registers)
{
    static const char triple[] = "triple:693338362d756e6b6e6f776e2d756e6b6e6f776e;endian:little;ptrsize:4;";
    char expected[128];

    ASK("QThreadSuffixSupported", "OK");
    ASK("QListThreadsInStopReply", "OK");
    snprintf(expected, sizeof(expected), "%swatchpoint_exceptions_received:after;", triple);
    ASK("qHostInfo", expected);
    ASK("qWatchpointSupportInfo:", "num:64;");
    snprintf(expected, sizeof(expected), "pid:1;%s", triple);
    ASK("qProcessInfo", expected);
    ASK("qGDBServerVersion", "name:hindcast;version:0.0.test;");
    ASK("qEcho:17", "qEcho:17");
    ASK("qRegisterInfo8",
        "name:eip;bitsize:32;offset:32;encoding:uint;format:hex;set:General Purpose Registers;"
        "ehframe:8;dwarf:8;generic:pc;");
    ASK("qRegisterInfo10",
        "name:st0;bitsize:80;offset:64;encoding:ieee754;format:float;set:Floating Point Registers;");
    ASK("qRegisterInfo22", "E45");
    ASK("p8;thread:0001;", "00100000");
    ck_assert(starts(client_ask(&f, "g;thread:1;"), "00000000"));
    ASK("P3=01000000;thread:1;", "OK");
    expect_error("p8;thread:2;");
    ASK("?", "T0508:00100000;04:00800000;05:00800000;09:00000000;thread:1;threads:1;thread-pcs:1000;name:CPU#0;"
             "reason:trace;");
    ck_assert(starts(client_ask(&f, "qThreadStopInfo1"), "T05"));
    expect_error("qThreadStopInfo2");
    ASK("jThreadsInfo", "[{\"tid\":1,\"name\":\"CPU#0\",\"reason\":\"trace\",\"signal\":5,\"registers\":{\"8\":\"00100000\",\"4\":\"00800000\","
                        "\"5\":\"00800000\"}}]");
    ASK("qMemoryRegionInfo:1000", "start:0;size:20000;permissions:rwx;name:72616d;");
    ASK("qMemoryRegionInfo:30000", "start:20000;size:fffdf000;");
    expect_error("qMemoryRegionInfo:100000000");
    ck_assert(strstr(
        client_ask(&f, "qXfer:features:read:target.xml:0,8000"),
        "type=\"code_ptr\" group=\"general\" generic=\"pc\" ehframe_regnum=\"8\" dwarf_regnum=\"8\"/>"));
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("rsp");
    TCase *packets = tcase_create("packets");

    tcase_add_checked_fixture(packets, setup_quiet, teardown);
    tcase_add_test(packets, features_follow_the_target_and_the_client);
    tcase_add_test(packets, unknown_packets_answer_empty);
    tcase_add_test(packets, refusals_are_clean);
    tcase_add_test(packets, errors_are_text_where_the_client_takes_it);
    tcase_add_test(packets, lldb_gets_errors_in_its_own_form);
    tcase_add_test(packets, registers_are_read_and_written);
    tcase_add_test(packets, memory_is_read_and_written);
    tcase_add_test(packets, crc_is_that_of_gdb);
    tcase_add_test(packets, search_finds_the_first_place);
    tcase_add_test(packets, there_is_one_thread);
    tcase_add_test(packets, target_description_is_whole_in_pieces);
    tcase_add_test(packets, memory_map_lists_the_areas);
    tcase_add_test(packets, steps_and_continues_answer_with_a_stop);
    tcase_add_test(packets, a_client_that_names_no_features_gets_stops_as_from_qemu);
    tcase_add_test(packets, resuming_elsewhere_writes_the_pc);
    tcase_add_test(packets, malformed_resumes_do_not_run);
    tcase_add_test(packets, range_steps_are_made_in_the_server);
    tcase_add_test(packets, interrupts_stop_a_run_in_either_direction);
    tcase_add_test(packets, an_interrupt_while_standing_is_meant_for_the_next_resume);
    tcase_add_test(packets, each_interrupt_ends_one_of_many_resumes);
    tcase_add_test(packets, a_hit_where_the_pc_is_another_number_is_not_marked_as_one);
    tcase_add_test(packets, only_resumes_are_answered_by_a_console_first);
    tcase_add_test(packets, a_step_of_the_users_disarms_a_seek_and_gdbs_own_does_not);
    tcase_add_test(packets, what_a_debugger_reads_on_its_way_off_a_breakpoint_leaves_a_seek_armed);
    tcase_add_test(packets, a_step_off_a_breakpoint_that_hits_leaves_a_seek_armed_and_says_so);
    tcase_add_test(packets, an_interrupt_instead_of_a_step_off_a_breakpoint_disarms_a_seek);
    tcase_add_test(packets, a_seek_that_is_armed_does_not_outlive_a_process_that_is_left);
    tcase_add_test(packets, who_passes_over_the_guests_end_is_interrupted);
    tcase_add_test(packets, why_the_past_cannot_be_written_is_said_once);
    tcase_add_test(packets, what_speaks_http_is_not_listened_to);
    tcase_add_test(packets, who_is_turned_away_gets_the_reason_and_does_nothing);
    tcase_add_test(packets, registers_that_are_not_to_be_put_back_say_so);
    tcase_add_test(packets, a_run_that_cannot_be_made_is_an_error);
    tcase_add_test(packets, console_text_goes_out_while_the_guest_runs);
    tcase_add_test(packets, breakpoints_stop_forward_and_backward_at_their_pc);
    tcase_add_test(packets, swbreak_is_said_only_to_those_who_know_it);
    tcase_add_test(packets, watchpoints_report_the_data_address_in_both_directions);
    tcase_add_test(packets, any_true_condition_stops_and_new_ones_replace_old_ones);
    tcase_add_test(packets, a_condition_that_cannot_be_evaluated_stops);
    tcase_add_test(packets, watchpoints_take_conditions_too);
    tcase_add_test(packets, breakpoint_commands_print_and_go_on);
    tcase_add_test(packets, malformed_breakpoints_are_refused);
    tcase_add_test(packets, a_thread_is_a_cpu_in_every_packet_that_names_one);
    tcase_add_test(packets, a_step_is_of_the_thread_that_it_names);
    tcase_add_test(packets, a_stop_says_whose_it_is_and_selects_it);
    tcase_add_test(packets, seek_arms_and_the_next_continue_goes);
    tcase_add_test(packets, run_goes_to_a_position_with_a_real_stop);
    tcase_add_test(packets, detach_ends_the_session_and_leaves_the_target);
    tcase_add_test(packets, kill_asks_for_the_end);
    tcase_add_test(packets, k_has_no_reply);
    tcase_add_test(packets, extended_mode_outlives_kill_and_detach);
    tcase_add_test(packets, qemu_packets_are_known);
    tcase_add_test(packets, lldb_finds_host_process_and_registers);
    suite_add_tcase(s, packets);
    return s;
}
