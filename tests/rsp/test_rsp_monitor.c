/*
 * The monitor: parsing, help, suggestions, built-in commands.
 */
#include <stdlib.h>
#include <string.h>

#include "rsp/session.h"
#include "test_rsp_client.h"
#include "tests/check_main.h"

static struct fake f;
static const char *text;

static void setup(void)
{
    fake_init(&f);
    client_no_ack(&f);
}

static void teardown(void)
{
    fake_finish(&f);
}

static const char *good(const char *line)
{
    ck_assert_str_eq(client_monitor(&f, line, &text), "OK");
    return text;
}

static const char *bad(const char *line)
{
    const char *a = client_monitor(&f, line, &text);

    ck_assert_msg(a[0] == 'E', "%s answers %s", line, a);
    return text;
}

START_TEST(commands_print_on_the_console_and_answer_ok)
{
    ck_assert_str_eq(good("when"), "position 0\n");
    ck_assert_str_eq(good("  when  "), "position 0\n");
    ck_assert_str_eq(good("info replay"), "\n");
    ck_assert_str_eq(good("info \t replay"), "\n");
}
END_TEST

START_TEST(who_waits_long_is_told_to_wait_on)
{
    ck_assert_str_eq(good("slow"), "$O#4f\n");
}
END_TEST

START_TEST(arguments_are_parsed_by_the_spec)
{
    ck_assert_str_eq(good("last 0x10 4"), "[0x10=16][4=4]\n");
    ck_assert_str_eq(good("last 1_000_000"), "[1_000_000=1000000]\n");
    ck_assert_str_eq(good("last 3M 2k"), "[3M=3000000][2k=2000]\n");
    ck_assert_str_eq(good("serial  echo \"a  b\" | cat "), "[echo \"a  b\" | cat =0]\n");
    ck_assert_str_eq(good("mode fast"), "[fast=0]\n");
    ck_assert_str_eq(good("mode slow \"two words\""), "[slow=0][two words=0]\n");
    ck_assert_str_eq(good("info registers"), "\n");
    ck_assert_str_eq(good("info registers eax"), "[eax=0]\n");
    ck_assert_str_eq(good("dump 5"), "[=0][5=5]\n");
    ck_assert_str_eq(good("dump /4xw 5"), "[/4xw=0][5=5]\n");
    ck_assert_str_eq(good("dump/4xw 5"), "[/4xw=0][5=5]\n");
}
END_TEST

START_TEST(wrong_arguments_say_the_usage)
{
    ck_assert_str_eq(bad("last"), "an argument is missing; usage: last ADDR [LEN]\n");
    ck_assert_str_eq(bad("last here"), "a number is expected; usage: last ADDR [LEN]\n");
    ck_assert_str_eq(bad("last 1 2 3"), "too many arguments; usage: last ADDR [LEN]\n");
    ck_assert_str_eq(bad("last 0x"), "a number is expected; usage: last ADDR [LEN]\n");
    ck_assert_str_eq(bad("last 18446744073709551616"), "a number is expected; usage: last ADDR [LEN]\n");
    ck_assert_str_eq(bad("last 18446744073709551615k"), "a number is expected; usage: last ADDR [LEN]\n");
    ck_assert_str_eq(bad("last -1"), "a number is expected; usage: last ADDR [LEN]\n");
    ck_assert(strstr(bad("mode medium"), "usage: mode fast|slow [NAME]"));
    ck_assert(strstr(bad("serial"), "usage: serial TEXT..."));
    ck_assert(strstr(bad("when now"), "usage: when\n"));
}
END_TEST

START_TEST(unknown_commands_name_the_nearest)
{
    ck_assert(strstr(bad("whne"), "\"whne\"; the nearest is \"when\""));
    ck_assert(strstr(bad("info reply"), "\"info reply\"; the nearest is \"info replay\""));
    ck_assert(strstr(bad("sek 100"), "the nearest is \"seek\""));
    ck_assert(strstr(bad("sytem_reset"), "the nearest is \"system_reset\""));
    ck_assert(strstr(bad("whenever"), "unknown command"));
}
END_TEST

START_TEST(failures_show_what_was_written_and_why)
{
    ck_assert_str_eq(bad("fail"), "so far so good\nthen it broke\n");
    client_ask(&f, "qSupported:error-message+");
    ck_assert_str_eq(client_monitor(&f, "fail", &text), "E.then it broke");
    ck_assert_str_eq(text, "so far so good\n");
}
END_TEST

START_TEST(help_lists_and_explains)
{
    const char *all = good("help");

    ck_assert(strstr(all, "when  "));
    ck_assert(strstr(all, "Show the position."));
    ck_assert(strstr(all, "last ADDR [LEN] "));
    ck_assert(strstr(all, "seek POSITION"));
    ck_assert(strstr(all, "reset [halt|init|run]"));
    ck_assert(!strstr(all, "More about it."));
    ck_assert_str_eq(good("help last"), "last ADDR [LEN]\nLast write to an address.\nMore about it.\n");
    ck_assert(strstr(good("help info replay"), "About the recording."));
    ck_assert(strstr(good("help info"), "info registers [NAME]"));
    ck_assert(strstr(bad("help lst"), "nearest is \"last\""));
    ck_assert(strstr(good(""), "when  "));
}
END_TEST

START_TEST(a_family_alone_lists_its_members)
{
    good("info");
    ck_assert(strstr(text, "info replay"));
    ck_assert(strstr(text, "info registers"));
    ck_assert(!strstr(text, "when"));
}
END_TEST

START_TEST(what_ides_send_is_understood)
{
    static const char *const resets[] = {"reset", "reset halt", "reset init", "reset run", "system_reset"};

    for (unsigned i = 0; i < ARRAY_LEN(resets); i++)
        ck_assert_str_eq(good(resets[i]), "reset\n");
    ck_assert_uint_eq(f.resets, ARRAY_LEN(resets));
    good("halt");
    good("stop");
    bad("reset hard");
}
END_TEST

START_TEST(what_the_target_cannot_do_is_not_listed)
{
    struct rsp_target_info info = fake_info;
    struct rsp_target_ops ops = fake_ops;

    info.seek = false;
    ops.monitor = NULL;
    ops.nmonitor = 0;
    rsp_destroy(f.s);
    f.s = rsp_create(&info, &ops, &f);
    rsp_feed(f.s, "$QStartNoAckMode#b0", 19);
    buffer_clear(rsp_output(f.s));
    good("help");
    ck_assert(!strstr(text, "seek"));
    ck_assert(!strstr(text, "reset"));
    ck_assert(strstr(text, "xp"));
    bad("seek 5");
    bad("reset");
    fake_finish(&f);
    fake_init(&f);
}
END_TEST

START_TEST(xp_shows_physical_memory)
{
    memcpy(f.memory + 0x1000,
           "\x01\x02\x03\x04\xff\xfe\xfd\xfc"
           "AB\n",
           11);
    ck_assert_str_eq(good("xp 0x1000"), "0000000000001000: 0x04030201\n");
    ck_assert_uint_gt(f.physical_reads, 0);
    ck_assert_str_eq(good("xp /2xb 0x1000"), "0000000000001000: 0x01 0x02\n");
    ck_assert_str_eq(good("xp/2dh 0x1004"), "0000000000001004: -257 -771\n");
    ck_assert_str_eq(good("xp /uh 0x1004"), "0000000000001004: 65279\n");
    ck_assert_str_eq(good("xp /3cb 0x1008"), "0000000000001008: 'A' 'B' '\\x0a'\n");
    ck_assert_str_eq(good("xp /xg 0x1000"), "0000000000001000: 0xfcfdfeff04030201\n");
    good("xp /5xw 0x2000");
    ck_assert(strstr(text, "\n0000000000002010:"));
    ck_assert(strstr(bad("xp 0x20000"), "no memory at physical address 0x20000"));
    ck_assert(strstr(bad("xp /8xg 0x1fff0"), "0000000000001fff0:") == NULL);
    bad("xp /z 0");
    ck_assert(strstr(bad("xp /0x 0"), "/0x: the count is a number from 1 to 65536"));
    ck_assert(strstr(bad("xp /65537x 0"), "the count is a number from 1 to 65536"));
    ck_assert(strstr(bad("xp /99999999999999999999x 0"), "the count is a number from 1 to 65536"));
    bad("xp");
}
END_TEST

START_TEST(quit_ends_the_session)
{
    good("quit");
    ck_assert_int_eq(rsp_ended(f.s), RSP_KILLED);
}
END_TEST

START_TEST(malformed_commands_are_errors)
{
    ck_assert_int_eq(client_ask(&f, "qRcmd,7")[0], 'E');
    ck_assert_int_eq(client_ask(&f, "qRcmd,zz")[0], 'E');
    ck_assert_str_eq(client_ask(&f, "qRcmd"), "");
    bad("\x01\x02\xff");
    bad("////");
    bad("\"");
}
END_TEST

START_TEST(long_output_comes_in_pieces)
{
    char line[2000] = "serial ";

    memset(line + 7, 'y', sizeof(line) - 8);
    good(line);
    ck_assert_uint_eq(strlen(text), sizeof(line) - 8 + strlen("[=0]\n"));
    good("xp /65536xb 0");
    ck_assert_uint_gt(strlen(text), 300000);
}
END_TEST

START_TEST(any_line_has_its_answer)
{
    static const char *const words[] = {"help",
                                        "info",
                                        "replay",
                                        "seek",
                                        "xp",
                                        "/4xw",
                                        "0x10",
                                        "-1",
                                        "+5",
                                        "last",
                                        "mode",
                                        "fast",
                                        "\"",
                                        "\"a b\"",
                                        "serial",
                                        "dump/2",
                                        "9999999999999999999999",
                                        "k",
                                        "reset",
                                        "halt",
                                        "\t",
                                        "//",
                                        "[",
                                        "%s%n",
                                        "when"};
    uint64_t state = 0x2545f4914f6cdd1du;

    for (unsigned i = 0; i < 5000; i++) {
        char line[256] = "";

        for (unsigned n = (unsigned)(state >> 40) % 6; n; n--) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            strcat(line, words[(state >> 20) % ARRAY_LEN(words)]);
            if (state >> 50 & 3)
                strcat(line, " ");
        }
        state = state * 6364136223846793005u + 1442695040888963407u;
        client_monitor(&f, line, &text);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("rsp monitor");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, commands_print_on_the_console_and_answer_ok);
    tcase_add_test(t, who_waits_long_is_told_to_wait_on);
    tcase_add_test(t, arguments_are_parsed_by_the_spec);
    tcase_add_test(t, wrong_arguments_say_the_usage);
    tcase_add_test(t, unknown_commands_name_the_nearest);
    tcase_add_test(t, failures_show_what_was_written_and_why);
    tcase_add_test(t, help_lists_and_explains);
    tcase_add_test(t, a_family_alone_lists_its_members);
    tcase_add_test(t, what_ides_send_is_understood);
    tcase_add_test(t, what_the_target_cannot_do_is_not_listed);
    tcase_add_test(t, xp_shows_physical_memory);
    tcase_add_test(t, quit_ends_the_session);
    tcase_add_test(t, malformed_commands_are_errors);
    tcase_add_test(t, long_output_comes_in_pieces);
    tcase_add_test(t, any_line_has_its_answer);
    suite_add_tcase(s, t);
    return s;
}
