/*
 * Agent expressions: what gdb sends means what gdb means, and nothing that is
 * sent can hang or harm the server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsp/agent.h"
#include "tests/check_main.h"

static uint64_t regs[16];
static uint8_t memory[0x8000];
static struct buffer printed;

static bool read_register(void *ctx, unsigned n, uint64_t *value)
{
    (void)ctx;
    if (n >= 15)
        return false;
    *value = regs[n];
    return true;
}

static bool read_memory(void *ctx, uint64_t addr, void *buf, size_t len)
{
    (void)ctx;
    if (addr > sizeof(memory) || sizeof(memory) - addr < len)
        return false;
    memcpy(buf, memory + addr, len);
    return true;
}

static void print(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    buffer_append(&printed, text, len);
}

static const struct agent_env env = {
    .read_register = read_register,
    .read_memory = read_memory,
    .print = print,
    .long_bits = 32,
};

static void setup(void)
{
    memset(regs, 0, sizeof(regs));
    memset(memory, 0, sizeof(memory));
    buffer_init(&printed);
}

static void teardown(void)
{
    buffer_finish(&printed);
}

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (; *hex; hex++) {
        unsigned byte;

        if (*hex == ' ')
            continue;
        ck_assert_int_eq(sscanf(hex, "%2x", &byte), 1);
        out[n++] = (uint8_t)byte;
        hex++;
    }
    return n;
}

static int try_eval(const char *hex, uint64_t *value, struct error *err)
{
    uint8_t code[512];
    struct agent_expr e;
    int result = agent_init(&e, code, unhex(hex, code), 16, err);

    ck_assert_msg(!result, "%s: %s", hex, err->text);
    result = agent_eval(&e, &env, value, err);
    agent_finish(&e);
    return result;
}

static uint64_t eval(const char *hex)
{
    struct error err = {0};
    uint64_t value;
    int result = try_eval(hex, &value, &err);

    ck_assert_msg(!result, "%s: %s", hex, err.text);
    return value;
}

static int check(const char *hex)
{
    uint8_t code[512];
    size_t n = unhex(hex, code);
    uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read beyond the end */
    int result;

    memcpy(exact, code, n);
    result = agent_check(exact, n, 16, NULL);
    free(exact);
    return result;
}

static void poke(unsigned addr, uint64_t value, unsigned len)
{
    memcpy(memory + addr, &value, len);
}

/* ---- bytecode as gdb 13 sends it ---- */

START_TEST(gdb_condition_of_register_and_memory)
{
    /* $eax==1 && *(int*)0x1000>5 */
    static const char code[] = "260000162022011320000e21002323100019162022052b1420001e2100232201210025220027";

    ck_assert_uint_eq(eval(code), 0);
    regs[0] = 1;
    poke(0x1000, 5, 4);
    ck_assert_uint_eq(eval(code), 0);
    poke(0x1000, 6, 4);
    ck_assert_uint_eq(eval(code), 1);
    poke(0x1000, 0xffffffff, 4); /* -1 */
    ck_assert_uint_eq(eval(code), 0);
    poke(0x1000, 0x7fffffff, 4);
    regs[0] = 2;
    ck_assert_uint_eq(eval(code), 0);
}
END_TEST

START_TEST(gdb_condition_with_arithmetic_or_not_and_mask)
{
    /* ($eax*3+2) % 7 == 1 || !($ecx & 0xff) */
    static const char code[] =
        "260000162022030416202202021620220707162022011320002c26000116202300ff0f0e20002c220021002e220127";

    regs[1] = 0x100;
    ck_assert_uint_eq(eval(code), 1);
    regs[1] = 0x101;
    regs[0] = 2; /* 8 % 7 == 1 */
    ck_assert_uint_eq(eval(code), 1);
    regs[0] = 3; /* 11 % 7 == 4 */
    ck_assert_uint_eq(eval(code), 0);
}
END_TEST

START_TEST(gdb_condition_with_small_types_and_shift)
{
    /* *(unsigned char*)($esp+4) << 2 >= 0x80 && *(short*)0x3000 != -1 */
    static const char code[] =
        "2600042a202204022a20172202091620230080140e20001b21003223300018161022ff1608130e20002d2100322201"
        "210034220027";

    regs[4] = 0x2000;
    poke(0x2004, 0x20, 1);
    ck_assert_uint_eq(eval(code), 1);
    poke(0x2004, 0x1f, 1);
    ck_assert_uint_eq(eval(code), 0);
    poke(0x2004, 0xff, 1);
    poke(0x3000, 0xffff, 2);
    ck_assert_uint_eq(eval(code), 0);
    poke(0x3000, 0x7fff, 2);
    ck_assert_uint_eq(eval(code), 1);
}
END_TEST

START_TEST(gdb_condition_with_signed_division_of_64_bits)
{
    /* *(long long*)0x3000 / -3 < $edx ? 1 : 0 */
    static const char code[] = "2330001a164022fd16080516402600021620140e20001c220121001e220027";

    poke(0x3000, 300, 8); /* -100 */
    regs[2] = 0xffffff9c; /* -100 */
    ck_assert_uint_eq(eval(code), 0);
    regs[2] = 0xffffff9d; /* -99 */
    ck_assert_uint_eq(eval(code), 1);
}
END_TEST

START_TEST(gdb_dprintf_prints)
{
    /* dprintf ..., "eax=%d mem=%08x %s 100%% %c\n", $eax, *(int*)0x3000, (char*)0x4000, 65 */
    static const char code[] =
        "22412340002330001916202600001620220022003404001e6561783d2564206d656d3d253038782025732031303025"
        "252025635c6e0027";

    regs[0] = 0xfffffffe;
    poke(0x3000, 0xbeef, 4);
    memcpy(memory + 0x4000, "hello", 6);
    eval(code);
    buffer_append_byte(&printed, 0);
    ck_assert_str_eq((char *)printed.data, "eax=-2 mem=0000beef hello 100% A\n");
}
END_TEST

static const char *format(const char *text, const char *pushes, unsigned nargs)
{
    char hex[512];
    size_t n =
        (size_t)snprintf(hex, sizeof(hex), "%s2200220034%02x%04x", pushes, nargs, (unsigned)strlen(text) + 1);

    for (; *text; text++)
        n += (size_t)snprintf(hex + n, sizeof(hex) - n, "%02x", (unsigned char)*text);
    snprintf(hex + n, sizeof(hex) - n, "0027");
    buffer_clear(&printed);
    eval(hex);
    buffer_append_byte(&printed, 0);
    return (char *)printed.data;
}

START_TEST(printf_knows_c_conversions_and_escapes)
{
    memcpy(memory + 0x4000, "abcdef", 7);
    ck_assert_str_eq(format("[%-6d][%6d][%+d]", "22ff1608 2207 22ff1608", 3), "[-1    ][     7][-1]");
    ck_assert_str_eq(format("%llx %hhx %lu", "24ffffffff 230123 25fedcba9876543210", 3),
                     "fedcba9876543210 23 4294967295");
    ck_assert_str_eq(format("%8.3s|%-8s|", "234000 234000", 2), "     abc|abcdef  |");
    ck_assert_str_eq(format("%p %#o %X", "22ab 2208 2210", 3), "0x10 010 AB");
    ck_assert_str_eq(format("a\\tb\\\\c\\\"d\\101\\033", "", 0), "a\tb\\c\"dA\033");
    ck_assert_str_eq(format("%5c|%-3c|", "2242 2241", 2), "    A|B  |");
}
END_TEST

/* ---- operations ---- */

START_TEST(operations_compute_as_the_manual_says)
{
    ck_assert_uint_eq(eval("2205 2203 02 27"), 8);
    ck_assert_uint_eq(eval("2205 2203 03 27"), 2);
    ck_assert_uint_eq(eval("2203 2205 03 27"), UINT64_MAX - 1);
    ck_assert_uint_eq(eval("2205 2203 04 27"), 15);
    ck_assert_uint_eq(eval("22f91608 2202 05 27"), (uint64_t)-3);
    ck_assert_uint_eq(eval("22f91608 2202 07 27"), (uint64_t)-1);
    ck_assert_uint_eq(eval("22f9 2202 06 27"), 0x7c);
    ck_assert_uint_eq(eval("22f9 2204 08 27"), 1);
    ck_assert_uint_eq(eval("2201 2204 09 27"), 16);
    ck_assert_uint_eq(eval("22801608 2204 0a 27"), (uint64_t)-8);
    ck_assert_uint_eq(eval("2280 2204 0b 27"), 8);
    ck_assert_uint_eq(eval("2200 0e 27"), 1);
    ck_assert_uint_eq(eval("220c 220a 0f 27"), 8);
    ck_assert_uint_eq(eval("220c 220a 10 27"), 14);
    ck_assert_uint_eq(eval("220c 220a 11 27"), 6);
    ck_assert_uint_eq(eval("220c 12 27"), ~(uint64_t)12);
    ck_assert_uint_eq(eval("22ff1608 2201 14 27"), 1);
    ck_assert_uint_eq(eval("22ff1608 2201 15 27"), 0);
    ck_assert_uint_eq(eval("22ff 16 08 27"), UINT64_MAX);
    ck_assert_uint_eq(eval("22ff 16 40 27"), 255);
    ck_assert_uint_eq(eval("24fffffff3 2a 04 27"), 3);
    ck_assert_uint_eq(eval("25 0102030405060708 27"), 0x0102030405060708);
    ck_assert_uint_eq(eval("2201 2202 2b 03 27"), 1);
    ck_assert_uint_eq(eval("2207 28 02 27"), 14);
    ck_assert_uint_eq(eval("2207 2208 29 27"), 7);
    ck_assert_uint_eq(eval("2207 2208 2209 32 02 27"), 7);
    ck_assert_uint_eq(eval("2207 2208 2209 32 00 27"), 9);
    /* rot: a b c => c a b */
    ck_assert_uint_eq(eval("2201 2202 2203 33 27"), 2);
    ck_assert_uint_eq(eval("2201 2202 2203 33 29 27"), 1);
    ck_assert_uint_eq(eval("2201 2202 2203 33 29 29 27"), 3);
    ck_assert_uint_eq(eval("27"), 0);
}
END_TEST

START_TEST(shifts_beyond_the_width_and_division_overflow_are_defined)
{
    ck_assert_uint_eq(eval("2201 2240 09 27"), 0);
    ck_assert_uint_eq(eval("22ff1608 22ff 0a 27"), UINT64_MAX);
    ck_assert_uint_eq(eval("22ff1608 22ff 0b 27"), 0);
    ck_assert_uint_eq(eval("25 8000000000000000 22ff1608 05 27"), (uint64_t)1 << 63);
    ck_assert_uint_eq(eval("25 8000000000000000 22ff1608 07 27"), 0);
}
END_TEST

START_TEST(failures_are_told)
{
    struct error err = {0};
    uint64_t value;

    ck_assert_int_eq(try_eval("2201 2200 05 27", &value, &err), -EDOM);
    ck_assert_int_eq(try_eval("2201 2200 08 27", &value, &err), -EDOM);
    ck_assert_int_eq(try_eval("24ffffffff 19 27", &value, &err), -EFAULT);
    ck_assert_int_eq(try_eval("25 ffffffffffffffff 1a 27", &value, &err), -EFAULT);
    ck_assert_int_eq(try_eval("26000f 27", &value, &err), -EFAULT);
    ck_assert_int_eq(try_eval("02 27", &value, &err), -EINVAL);
    ck_assert_int_eq(try_eval("2201 02 27", &value, &err), -EINVAL);
    ck_assert_int_eq(try_eval("2201 32 05 27", &value, &err), -EINVAL);
    ck_assert_int_eq(try_eval("2200 2200 34 05 0001 00 27", &value, &err), -EINVAL);
    ck_assert_int_eq(try_eval("2200 2200 34 00 0003 256400 27", &value, &err), -EINVAL);
}
END_TEST

START_TEST(endless_loops_and_growing_stacks_end)
{
    struct error err = {0};
    uint64_t value;

    ck_assert_int_eq(try_eval("210000", &value, &err), -ELOOP);
    ck_assert_int_eq(try_eval("2201 200000 27", &value, &err), -ELOOP);
    ck_assert_int_eq(try_eval("2201 210000", &value, &err), -EINVAL);
    ck_assert_int_eq(try_eval("2201 28 210002", &value, &err), -EINVAL);
}
END_TEST

START_TEST(malformed_code_is_refused)
{
    ck_assert_int_eq(check("27"), 0);
    ck_assert_int_ne(check(""), 0);
    ck_assert_int_ne(check("00"), 0); /* no such operation */
    ck_assert_int_ne(check("ff27"), 0);
    ck_assert_int_ne(check("3127"), 0);
    ck_assert_int_ne(check("01 27"), 0); /* float: reserved */
    ck_assert_int_ne(check("22"), 0);    /* cut short */
    ck_assert_int_ne(check("2500000000"), 0);
    ck_assert_int_ne(check("2201"), 0); /* runs over the end */
    ck_assert_int_ne(check("2201 200002 29"), 0);
    ck_assert_int_ne(check("210003"), 0); /* jumps out */
    ck_assert_int_ne(check("21ffff 27"), 0);
    ck_assert_int_ne(check("2227 210001"), 0);  /* jumps into an operand */
    ck_assert_int_ne(check("260010 27"), 0);    /* no such register */
    ck_assert_int_ne(check("2201 1600 27"), 0); /* no bits */
    ck_assert_int_ne(check("2201 2a41 27"), 0);
    ck_assert_int_ne(check("34 00 0000 27"), 0);      /* no format */
    ck_assert_int_ne(check("34 00 0002 4141 27"), 0); /* not terminated */
    ck_assert_int_ne(check("34 00 0010 4100 27"), 0);
    ck_assert_int_ne(check("34 00"), 0);
}
END_TEST

START_TEST(random_code_never_does_harm)
{
    uint64_t seed = 88172645463325252u;

    for (unsigned i = 0; i < 100000; i++) {
        uint8_t code[24];
        struct agent_expr e;
        uint64_t value;
        size_t len;

        for (unsigned k = 0; k < sizeof(code); k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            code[k] = (uint8_t)((seed >> 20) % 8 ? (seed >> 32) % 0x35 : seed >> 40);
        }
        len = 1 + seed % sizeof(code);
        code[len - 1] = 0x27;
        if (agent_init(&e, code, len, 16, NULL))
            continue;
        agent_eval(&e, &env, &value, NULL);
        agent_finish(&e);
        buffer_clear(&printed);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("rsp agent expressions");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, gdb_condition_of_register_and_memory);
    tcase_add_test(t, gdb_condition_with_arithmetic_or_not_and_mask);
    tcase_add_test(t, gdb_condition_with_small_types_and_shift);
    tcase_add_test(t, gdb_condition_with_signed_division_of_64_bits);
    tcase_add_test(t, gdb_dprintf_prints);
    tcase_add_test(t, printf_knows_c_conversions_and_escapes);
    tcase_add_test(t, operations_compute_as_the_manual_says);
    tcase_add_test(t, shifts_beyond_the_width_and_division_overflow_are_defined);
    tcase_add_test(t, failures_are_told);
    tcase_add_test(t, endless_loops_and_growing_stacks_end);
    tcase_add_test(t, malformed_code_is_refused);
    tcase_add_test(t, random_code_never_does_harm);
    suite_add_tcase(s, t);
    return s;
}
