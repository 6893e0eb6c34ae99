/*
 * Tracepoint packets, against gdb's manual and what gdb 13 sends. The guest of test_rsp_fake.h comes by 0x1005 at
 * positions 5, 105, ... 905, with EAX the position.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_rsp_client.h"
#include "tests/check_main.h"

static struct fake f;

static void setup(void)
{
    fake_init(&f);
    fake_trace(&f);
    client_no_ack(&f);
}

static void teardown(void)
{
    fake_finish(&f);
}

#define ASK(body, expected) ck_assert_str_eq(client_ask(&f, body), expected)

static void expect_error(const char *body)
{
    const char *a = client_ask(&f, body);

    ck_assert_msg(a[0] == 'E', "%s answers %s", body, a);
}

static void has(const char *body, const char *part)
{
    const char *a = client_ask(&f, body);

    ck_assert_msg(strstr(a, part) != NULL, "%s answers %s, not %s", body, a, part);
}

/* The guest runs up to a position. */
static void run_to(unsigned position)
{
    char line[32];

    snprintf(line, sizeof(line), "seek %u", position);
    rsp_arm_seek(f.s, position);
    client_ask(&f, "c");
    ck_assert_uint_eq(f.position, position);
}

static unsigned frames(void)
{
    const char *a = strstr(client_ask(&f, "qTStatus"), "tframes:");

    return a ? (unsigned)strtoul(a + 8, NULL, 16) : UINT32_MAX;
}

START_TEST(features_are_offered_where_there_are_tracepoints)
{
    static const char *const features[] = {"ConditionalTracepoints+", "TracepointSource+", "EnableDisableTracepoints+",
                                           "FastTracepoints+", "StaticTracepoints+", "InstallInTrace+", "DisconnectedTracing+",
                                           "tracenz+", "QTBuffer:size+"};

    for (unsigned i = 0; i < ARRAY_LEN(features); i++)
        has("qSupported:swbreak+", features[i]);
    ck_assert(!strstr(client_ask(&f, "qSupported:swbreak+"), "traceframe-info"));
    ASK("qXfer:traceframe-info:read::0,100", "");
    rsp_set_tracing(f.s, NULL);
    ck_assert(!strstr(client_ask(&f, "qSupported:swbreak+"), "Trace"));
    ASK("qTStatus", "");
    ASK("QTinit", "");
    ASK("QTFrame:0", "");
}
END_TEST

START_TEST(an_experiment_has_the_hits_between_start_and_stop)
{
    has("qTStatus", "T0;tnotrun:0");
    ASK("QTinit", "OK");
    ASK("QTDP:1:1005:E:0:0-", "OK");
    ASK("QTDP:-1:1005:Rff", "OK");
    run_to(50);
    ASK("QTStart", "OK");
    has("qTStatus", "T1;");
    ck_assert_uint_eq(frames(), 0);
    run_to(305); /* before the instruction there */
    ck_assert_uint_eq(frames(), 2);
    run_to(306);
    ck_assert_uint_eq(frames(), 3);
    run_to(10); /* going back takes nothing away, */
    ck_assert_uint_eq(frames(), 3);
    run_to(306); /* and coming again adds nothing */
    ASK("QTStop", "OK");
    has("qTStatus", "T0;tstop::0;tframes:3;tcreated:3;");
    run_to(900);
    ck_assert_uint_eq(frames(), 3);
    ASK("qTP:1:1005", "V3:23d"); /* 3 * (6 + 1 + registers) */
}
END_TEST

START_TEST(a_frame_is_the_guest_standing_there)
{
    ASK("QTDP:1:1005:E:0:0", "OK");
    ASK("QTDP:2:100a:E:0:0", "OK");
    ASK("QTStart", "OK");
    run_to(400);
    ASK("QTStop", "OK");
    ASK("QTFrame:0", "F0T1");
    ck_assert_uint_eq(f.position, 5);
    ASK("p0", "05000000");
    ASK("p8", "05100000");
    ASK("QTFrame:3", "F3T2");
    ASK("p0", "6e000000");
    ASK("m2000,4", "0b000000"); /* nothing was collected: all can be read */
    ASK("QTFrame:tdp:1", "F4T1");
    ASK("QTFrame:pc:100a", "F5T2");
    ck_assert_uint_eq(f.position, 210);
    ASK("QTFrame:0", "F0T1");
    ASK("QTFrame:range:1006:100a", "F1T2");
    ASK("QTFrame:outside:1006:1020", "F2T1");
    ASK("QTFrame:outside:1005:100a", "F-1");
    ck_assert_uint_eq(f.position, 105); /* what is not there changes nothing */
    ASK("QTFrame:8", "F-1");
    ASK("QTFrame:ffffffff", "F-1");
    ck_assert_uint_eq(f.position, 400);
    ASK("p0", "90010000");
    ASK("QTFrame:ffffffff", "F-1");
}
END_TEST

START_TEST(in_a_frame_nothing_runs_and_nothing_is_written)
{
    static const char *const refused[] = {"c", "s", "bs", "bc", "vCont;c", "vCont;s:1", "c1000", "C05", "P0=01000000",
                                          "G0102030405060708", "M3000,1:00", "X3000,1:z", "vCont;r1000,1010:1"};

    ASK("QTDP:1:1005:E:0:0", "OK");
    ASK("QTStart", "OK");
    run_to(400);
    ASK("QTStop", "OK");
    ASK("QTFrame:1", "F1T1");
    for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
        expect_error(refused[i]);
        ck_assert_uint_eq(f.position, 105);
    }
    ck_assert_uint_eq(f.writes, 0);
    ASK("X3000,0:", "OK");
    ASK("QTFrame:ffffffff", "F-1");
    client_ask(&f, "s");
    ck_assert_uint_eq(f.position, 401);
    /* Who goes leaves the frame, too. */
    ASK("QTFrame:1", "F1T1");
    ASK("D", "OK");
    ck_assert_uint_eq(f.position, 401);
}
END_TEST

START_TEST(conditions_and_passcounts_are_honoured)
{
    /* EAX & 0x80 is clear at 5, 105, 305, 505, 605, 805...: reg 0, const8 0x80, bit_and, log_not, end */
    ASK("QTDP:1:1005:E:0:3:X8,2600002280 0f", "E.malformed bytecode");
    ASK("QTDP:1:1005:E:0:3:X8,26000022800f0e27", "OK");
    ASK("QTDP:2:1007:E:0:0", "OK");
    ASK("QTStart", "OK");
    run_to(990);
    has("qTStatus", "T0;tpasscount:1;");
    ASK("qTP:1:1005", "V3:12");
    ASK("QTFrame:tdp:1", "F0T1");
    ASK("QTFrame:tdp:1", "F2T1");
    ASK("QTFrame:tdp:1", "F5T1");
    ASK("p0", "31010000"); /* 305 */
    ASK("QTFrame:tdp:2", "F-1");
    ASK("QTFrame:ffffffff", "F-1");
    ASK("QTStop", "OK");
    has("qTStatus", "tpasscount:1");
}
END_TEST

START_TEST(while_stepping_frames_are_the_steps_that_follow)
{
    ASK("QTDP:1:1005:E:3:2-", "OK");
    ASK("QTDP:-1:1005:SRff", "OK");
    ASK("QTDP:2:1007:E:0:0", "OK");
    ASK("QTStart", "OK");
    run_to(107); /* in mid-stepping */
    ck_assert_uint_eq(frames(), 8);
    run_to(400);
    has("qTStatus", "tpasscount:1");
    ck_assert_uint_eq(frames(), 10);
    static const unsigned positions[] = {5, 6, 7, 7, 8, 105, 106, 107, 107, 108};
    static const unsigned points[] = {1, 1, 1, 2, 1, 1, 1, 1, 2, 1};

    for (unsigned i = 0; i < ARRAY_LEN(positions); i++) {
        char ask[16], wanted[16];

        snprintf(ask, sizeof(ask), "QTFrame:%x", i);
        snprintf(wanted, sizeof(wanted), "F%xT%x", i, points[i]);
        ASK(ask, wanted);
        ck_assert_uint_eq(f.position, positions[i]);
    }
}
END_TEST

START_TEST(variables_are_those_of_each_frame)
{
    ASK("QTDV:1:a:0:636f756e74", "OK");
    ASK("QTDP:1:1005:E:0:0:X8,2c00012210142227", "E.agent expression: does not end");
    /* if $v < 13 */
    ASK("QTDP:1:1005:E:0:0:X7,2c0001220d1427", "OK");
    /* $v = $v + 1; tracev */
    ASK("QTDP:-1:1005:Xd,2c0001220102" "2d00012e" "000127", "OK");
    ASK("QTStart", "OK");
    run_to(990);
    ck_assert_uint_eq(frames(), 3);
    ASK("qTV:1", "Vd");
    ASK("qTV:2", "U");
    ASK("QTFrame:1", "F1T1");
    ASK("qTV:1", "Vc");
    ASK("QTFrame:ffffffff", "F-1");
    ASK("qTP:1:1005", "V3:39"); /* 6 + 13 each */
    ASK("qTfV", "1:a:0:636f756e74");
    ASK("qTsV", "l");
    ASK("QTStop", "OK");
    /* In the buffer: tracepoint, length, 'V', number, value. */
    ASK("qTBuffer:0,13", "01000d000000" "56" "01000000" "0b00000000000000");
    ASK("qTBuffer:39,10", "l");
}
END_TEST

START_TEST(the_buffer_holds_what_actions_collect)
{
    ASK("QTDP:1:1005:E:0:0-", "OK");
    ASK("QTDP:-1:1005:MFFFFFFFF,2000,4M0,1000,2-", "OK");    /* absolute; EAX + 0x1000 */
    ASK("QTDP:-1:1005:X8,23300022022f2700", "E.agent expression: operation 0x00 at 7 is not supported");
    ASK("QTDP:-1:1005:X7,23300022022f27", "OK");             /* tracenz(0x3000, 2) */
    ASK("QTStart", "OK");
    run_to(400);
    ASK("QTStop", "OK");
    f.memory[0x3000] = 'a';
    f.memory[0x3001] = 0;
    f.memory[0x3002] = 'b';
    ck_assert_uint_eq(frames(), 4);
    has("qTBuffer:0,2c", "010029000000" "4d" "0020000000000000" "0400" "00000000");
    has("qTBuffer:0,40", "4d" "0030000000000000" "0200" "6100");
    ASK("qTP:1:1005", "V4:bc");
    /* Memory that is not there is not collected, and is an error only in an expression. */
    ASK("QTinit", "OK");
    ASK("QTDP:1:1005:E:0:0", "OK");
    ASK("QTDP:-1:1005:M-1,80000000,4", "OK");
    run_to(0);
    ASK("QTStart", "OK");
    run_to(400);
    ASK("qTP:1:1005", "V4:18");
    ASK("QTDP:2:1006:E:0:0:X7,24800000001727", "OK");
    run_to(600);
    has("qTStatus", "T0;terror:");
    has("qTStatus", ":2;tframes:5;");
}
END_TEST

START_TEST(full_and_circular_buffers)
{
    ASK("QTBuffer:size:20", "OK"); /* five frames of six bytes */
    ASK("QTDP:1:1005:E:0:0", "OK");
    ASK("QTStart", "OK");
    run_to(990);
    has("qTStatus", "T0;tfull:0;tframes:5;tcreated:5;tfree:2;tsize:20;circular:0");
    ASK("QTBuffer:circular:1", "OK");
    ASK("QTBuffer:size:8", "E.the frames there are take 30 bytes");
    run_to(0);
    ASK("QTStart", "OK");
    run_to(990);
    has("qTStatus", "T1;tnotrun:0;tframes:5;tcreated:a;tfree:2;tsize:20;circular:1");
    ASK("QTFrame:0", "F0T1");
    ck_assert_uint_eq(f.position, 505);
    ASK("QTFrame:ffffffff", "F-1");
    ASK("QTBuffer:size:-1", "OK");
    has("qTStatus", "tsize:40000000");
    expect_error("QTBuffer:circular:2");
    expect_error("QTBuffer:size:zz");
}
END_TEST

START_TEST(tracepoints_come_go_and_change_while_it_runs)
{
    ASK("QTDP:1:1005:E:0:0", "OK");
    ASK("QTDP:2:1006:D:0:0", "OK");
    ASK("QTStart", "OK");
    run_to(200);
    ASK("QTEnable:2:1006", "OK");
    ASK("QTDP:3:1007:E:0:0", "OK"); /* InstallInTrace */
    run_to(400);
    ASK("QTDisable:1:1005", "OK");
    expect_error("QTDisable:1:1006");
    run_to(600);
    ASK("qTP:1:1005", "V4:18");
    ASK("qTP:2:1006", "V4:18");
    ASK("qTP:3:1007", "V4:18");
    expect_error("qTP:4:1007");
    expect_error("QTDP:1:1005:E:0:0");
}
END_TEST

START_TEST(definitions_are_uploaded_as_they_were_made)
{
    ASK("QTDP:1:1005:E:2:5:F2:X3,220127-", "OK");
    ASK("QTDPsrc:1:1005:cond:0:1:31", "OK");
    ASK("QTDPsrc:1:1005:at:0:2:6d61", "OK");
    ASK("QTDP:-1:1005:R3-", "OK");
    ASK("QTDP:-1:1005:SM5,10,4", "OK");
    ASK("QTDP:2:1006:D:0:0:S", "OK");
    ASK("QTDP:-2:1006:L", "OK");
    ASK("qTfP", "T1:1005:E:2:5:F2:X3,220127");
    ASK("qTsP", "A1:1005:R3");
    ASK("qTsP", "S1:1005:M5,10,4");
    ASK("qTsP", "Z1:1005:cond:0:1:31");
    ASK("qTsP", "Z1:1005:at:0:2:6d61");
    ASK("qTsP", "T2:1006:D:0:0:S");
    ASK("qTsP", "A2:1006:L");
    ASK("qTsP", "l");
    ASK("qTsP", "l");
    ASK("QTNotes:user:41;notes:4243;tstop:44", "OK");
    ASK("QTStart", "OK");
    ASK("QTStop", "OK");
    has("qTStatus", "tstop:44:0;");
    has("qTStatus", ";username:41;notes:4243");
    ASK("QTNotes:who:41", "E.malformed packet");
    ASK("qTMinFTILen", "1");
    ASK("qTfSTM", "l");
    ASK("qTSTMat:1005", "l");
    ASK("qTMinFTPILen", "1");
    expect_error("qTSTMat:x");
    ASK("QTro:1000,2000:3000,4000", "OK");
    expect_error("QTSave:666f6f");
    ASK("QTinit", "OK");
    ASK("qTSTMat:1005", "m1005:307831303035:");
    ASK("qTfP", "l");
}
END_TEST

/* What a server does when a client goes and another comes. */
static void reconnect(void)
{
    rsp_tracing_client_gone(f.tracing);
    rsp_destroy(f.s);
    f.s = rsp_create(&fake_info, &fake_ops, &f);
    rsp_set_tracing(f.s, f.tracing);
    client_no_ack(&f);
}

START_TEST(an_experiment_ends_with_its_client_unless_it_is_to_go_on)
{
    ASK("QTDP:1:1005:E:0:0", "OK");
    ASK("QTStart", "OK");
    run_to(400);
    reconnect();
    run_to(800);
    has("qTStatus", "T0;tdisconnected:0;tframes:4;");
    ASK("qTfP", "T1:1005:E:0:0");
    run_to(0);
    ASK("QTDisconnected:1", "OK");
    ASK("QTStart", "OK");
    run_to(400);
    ASK("QTFrame:1", "F1T1");
    reconnect();
    ck_assert_uint_eq(f.position, 400);
    run_to(800);
    has("qTStatus", "T1;tnotrun:0;tframes:8;");
    has("qTStatus", "disconn:1");
    expect_error("QTDisconnected:7");
}
END_TEST

START_TEST(a_stretch_of_history_needs_no_running)
{
    run_to(700);
    rsp_tracing_set_stretch(f.tracing, true, 100, 500);
    ASK("QTDP:1:1005:E:0:0", "OK");
    ASK("QTStart", "OK");
    ck_assert_uint_eq(frames(), 4);
    ASK("QTStop", "OK");
    ASK("QTFrame:3", "F3T1");
    ck_assert_uint_eq(f.position, 405);
    ASK("QTFrame:ffffffff", "F-1");
    /* Also afterwards, while it runs. */
    rsp_tracing_set_stretch(f.tracing, false, 0, 0);
    ASK("QTStart", "OK");
    ck_assert_uint_eq(frames(), 0);
    rsp_tracing_set_stretch(f.tracing, true, 0, ICOUNT_MAX);
    ck_assert_uint_eq(frames(), 10);
}
END_TEST

START_TEST(another_branch_of_history_ends_it)
{
    ASK("QTDP:1:1005:E:0:0", "OK");
    ASK("QTStart", "OK");
    run_to(400);
    f.branch = 1; /* shares 500 steps */
    run_to(800);
    has("qTStatus", "T0;terror:");
    ck_assert_uint_eq(frames(), 5);
}
END_TEST

START_TEST(hostile_packets_are_refused)
{
    static const char *const bad[] = {
        "QTDP:", "QTDP:1", "QTDP:1:1005", "QTDP:1:1005:E", "QTDP:1:1005:E:0", "QTDP:1:1005:Q:0:0", "QTDP:0:1005:E:0:0",
        "QTDP:1:100000000:E:0:0", "QTDP:10000:1005:E:0:0", "QTDP:1:1005:E:0:0:X", "QTDP:1:1005:E:0:0:X1000,22",
        "QTDP:1:1005:E:0:0:Xffffffffffffffff,22", "QTDP:1:1005:E:0:0:X1,22", "QTDP:1:1005:E:0:0:X3,2210ff", "QTDP:1:1005:E:0:0:G",
        "QTDP:1:1005:E:0:0:X3,260fff27", "QTDP:1:1005:E:11111111111111111:0", "QTDP:-9:1005:R1", "QTDP:-", "QTDPsrc:", "QTDPsrc:1:1005:at:0:1:zz",
        "QTDV:", "QTDV:0:0:0:", "QTDV:1:0:0:zz", "QTDV:99999999:0:0:41", "QTFrame:", "QTFrame:pc:", "QTFrame:range:1", "QTFrame:zz",
        "QTEnable:", "QTDisable:1", "QTBuffer:size:", "QTBuffer:circular:", "QTDisconnected:", "QTNotes:x", "qTP:", "qTV:", "qTV:zz",
        "qTBuffer:", "qTBuffer:0", "qTBuffer:zz,1",
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        expect_error(bad[i]);
    ASK("qTfP", "l");
    ASK("QTDP:1:1005:E:0:0", "OK");
    static const char *const actions[] = {"Q", "M", "M-1", "M-1,0", "M-1,0,ffffffffffffffff", "Mfff,0,4", "X", "X4,22", "X1,0c",
                                          "X7fffffff,27", "Rff;"};
    char text[64];

    for (unsigned i = 0; i < ARRAY_LEN(actions); i++) {
        snprintf(text, sizeof(text), "QTDP:-1:1005:%s", actions[i]);
        expect_error(text);
    }
    /* Memory of absurd length, by bytecode: an error of the experiment, not of the server. */
    ASK("QTDP:-1:1005:Xc,2200257fffffffffffffff0c27", "E.agent expression: does not end");
    ASK("QTDP:-1:1005:Xd,2200257fffffffffffffff0c27", "OK");
    ASK("QTStart", "OK");
    run_to(20);
    has("qTStatus", "T0;terror:");
    ASK("QTFrame:ffffffffffffffff", "F-1");
    ASK("QTFrame:7fffffff", "F-1");
    ASK("qTBuffer:ffffffffffffffff,ffffffffffffffff", "l");
    /* An endless loop as a condition. */
    ASK("QTinit", "OK");
    ASK("QTDP:1:1005:E:0:0:X4,21000027", "OK");
    ASK("QTStart", "OK");
    run_to(40);
    run_to(200);
    has("qTStatus", "T0;terror:");
    /* A stepping without end is the stretch's rest. */
    ASK("QTinit", "OK");
    ASK("QTDP:1:1005:E:ffffffffffffffff:0", "OK");
    run_to(0);
    ASK("QTStart", "OK");
    run_to(50);
    ck_assert_uint_eq(frames(), 46);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("rsp tracepoints");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, features_are_offered_where_there_are_tracepoints);
    tcase_add_test(t, an_experiment_has_the_hits_between_start_and_stop);
    tcase_add_test(t, a_frame_is_the_guest_standing_there);
    tcase_add_test(t, in_a_frame_nothing_runs_and_nothing_is_written);
    tcase_add_test(t, conditions_and_passcounts_are_honoured);
    tcase_add_test(t, while_stepping_frames_are_the_steps_that_follow);
    tcase_add_test(t, variables_are_those_of_each_frame);
    tcase_add_test(t, the_buffer_holds_what_actions_collect);
    tcase_add_test(t, full_and_circular_buffers);
    tcase_add_test(t, tracepoints_come_go_and_change_while_it_runs);
    tcase_add_test(t, definitions_are_uploaded_as_they_were_made);
    tcase_add_test(t, an_experiment_ends_with_its_client_unless_it_is_to_go_on);
    tcase_add_test(t, a_stretch_of_history_needs_no_running);
    tcase_add_test(t, another_branch_of_history_ends_it);
    tcase_add_test(t, hostile_packets_are_refused);
    suite_add_tcase(s, t);
    return s;
}
