/*
 * Claims about instructions that a model has or lacks, as its CPUID says.
 */
#include "i386_bench.h"
#include "tests/check_main.h"

static struct bench *b;
static struct i386_state *s;

static void with_model(const char *model)
{
    if (b)
        bench_free(b);
    b = bench_new(model);
    s = b->s;
}

static void setup(void)
{
    with_model("max");
}

static void teardown(void)
{
    bench_free(b);
    b = NULL;
}

static void expect_undefined(const void *code, unsigned len)
{
    s->rip = b->at = KCODE;
    s->gpr[ESP] = KSTACK;
    poke(b, KCODE, code, len);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
}

/* ---- SSE without its state ---- */

START_TEST(fences_and_movnti_do_not_care_for_cr0_ts)
{
    static const struct { const char *bytes; unsigned len; } codes[] = {
        {"\x0f\xae\xe8", 3}, {"\x0f\xae\xf0", 3}, {"\x0f\xae\xf8", 3}, /* lfence, mfence, sfence */
        {"\x0f\xae\x3b", 3}, {"\x0f\xc3\x03", 3},                     /* clflush [ebx]; movnti [ebx], eax */
    };

    for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
        s->rip = b->at = KCODE;
        s->gpr[EBX] = DATA;
        s->cr0 |= CR0_TS;
        s->cr4 |= CR4_OSFXSR;
        refresh(b);
        poke(b, KCODE, codes[i].bytes, codes[i].len);
        steps(b, 1);
        ck_assert_uint_eq(s->rip, KCODE + codes[i].len);
    }
}
END_TEST

/* ---- bits ---- */

START_TEST(what_a_model_lacks_is_undefined)
{
    static const struct { const char *bytes; unsigned len; } codes[] = {
        {"\xf3\x0f\xb8\xc1", 4},         /* popcnt eax, ecx */
        {"\x0f\x38\xf0\x03", 4},         /* movbe eax, [ebx] */
        {"\xf2\x0f\x38\xf1\xc1", 5},     /* crc32 eax, ecx */
        {"\x66\x0f\x38\xf6\xc1", 5},     /* adcx eax, ecx */
        {"\xf3\x0f\x38\xf6\xc1", 5},     /* adox eax, ecx */
        {"\x0f\xc7\xf0", 3},             /* rdrand eax */
        {"\x0f\xc7\xf8", 3},             /* rdseed eax */
        {"\xc4\xe2\x70\xf2\xc2", 5},     /* andn eax, ecx, edx */
        {"\xc4\xe2\x73\xf6\xc2", 5},     /* mulx eax, ecx, edx */
        {"\xc4\xe3\x7b\xf0\xc1\x05", 6}, /* rorx eax, ecx, 5 */
        {"\x66\x0f\xae\x3b", 4},         /* clflushopt [ebx] */
        {"\x66\x0f\xae\x33", 4},         /* clwb [ebx] */
    };

    for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
        with_model("qemu64");
        expect_undefined(codes[i].bytes, codes[i].len);
        with_model("pentium3");
        expect_undefined(codes[i].bytes, codes[i].len);
    }
}
END_TEST

START_TEST(tzcnt_and_lzcnt_are_bit_scans_where_they_are_not_there)
{
    static const char *const models[] = {"qemu64", "max"};

    for (unsigned i = 0; i < 2; i++) {
        with_model(models[i]);
        CODE(b, 0xf3, 0x0f, 0xbd, 0xc1, 0xf3, 0x0f, 0xbc, 0xd3); /* lzcnt eax, ecx; tzcnt edx, ebx */
        s->gpr[ECX] = 0x100;
        s->gpr[EBX] = 0;
        s->gpr[EDX] = 77;
        steps(b, 2);
        EQ(s->gpr[EAX], i ? 23 : 8);
        EQ(s->gpr[EDX], i ? 32 : 77);
        EQ(i386_get_eflags(b->c) & (FLAG_C | FLAG_Z), i ? FLAG_C : FLAG_Z);
    }
}
END_TEST

/* Models without long mode have what came after it, too. */
START_TEST(an_atom_of_32_bits_has_movbe)
{
    with_model("n270");
    CODE(b, 0x0f, 0x38, 0xf0, 0x03, 0x66, 0x0f, 0x38, 0xf1, 0x43, 0x08); /* movbe eax, [ebx]; movbe [ebx+8], ax */
    poke32(b, DATA, 0x11223344);
    poke32(b, DATA + 8, 0xffffffff);
    s->gpr[EBX] = DATA;
    steps(b, 2);
    EQ(s->gpr[EAX], 0x44332211);
    EQ(peek32(b, DATA + 8), 0xffff1122);
}
END_TEST

START_TEST(instructions_with_vex_are_of_protected_mode)
{
    static const uint8_t andn[] = {0xc4, 0xe2, 0x70, 0xf2, 0xc2}; /* andn eax, ecx, edx */

    s->gpr[ECX] = 0x0f;
    s->gpr[EDX] = 0xff;
    poke(b, KCODE, andn, sizeof andn);
    steps(b, 1);
    EQ(s->gpr[EAX], 0xf0);

    real_mode(b);
    poke32(b, 4 * EXC_UD, 0x00001230);
    poke(b, KCODE, andn, sizeof andn);
    steps(b, 1);
    EQ(s->seg[SEG_CS].base + s->rip, 0x1230);
}
END_TEST

START_TEST(vex_forms_that_do_not_exist_are_undefined)
{
    static const uint8_t codes[][6] = {
        {0xc4, 0xe2, 0x74, 0xf2, 0xc2},       /* andn with L = 1 */
        {0xc4, 0xe2, 0x71, 0xf2, 0xc2},       /* andn with 66 */
        {0xc4, 0xe2, 0x70, 0xf3, 0xc2},       /* group 17, /0 */
        {0xc4, 0xe2, 0x70, 0xf3, 0xe2},       /* /4 */
        {0xc4, 0xe3, 0x73, 0xf0, 0xc1, 0x05}, /* rorx with a register in vvvv */
        {0xc4, 0xe4, 0x70, 0xf2, 0xc2},       /* map 4 */
        {0x66, 0xc4, 0xe2, 0x70, 0xf2, 0xc2}, /* prefixes before it */
        {0xf3, 0xc4, 0xe2, 0x70, 0xf2, 0xc2},
        {0xf0, 0xc4, 0xe2, 0x70, 0xf2, 0xc2},
    };

    for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
        expect_undefined(codes[i], 6);
}
END_TEST

/* VEX.W is ignored outside 64-bit mode, and registers above 7 cannot be named. */
START_TEST(vex_operands_are_of_32_bits_outside_64_bit_mode)
{
    CODE(b, 0xc4, 0xe2, 0xf0, 0xf2, 0xc2); /* andn eax, ecx, edx with W */
    s->gpr[ECX] = 0x0f;
    s->gpr[EDX] = 0xff;
    steps(b, 1);
    EQ(s->gpr[EAX], 0xf0);
}
END_TEST

/* ---- entropy ---- */

static unsigned asked;

static void entropy(void *ctx, struct machine *m, void *buf, size_t len)
{
    (void)ctx;
    (void)m;
    asked += (unsigned)len;
    memset(buf, 0xa5, len);
}

START_TEST(random_numbers_are_entropy_of_the_machine)
{
    static const struct machine_env env = {.entropy = entropy};

    b->m->env = &env;
    asked = 0;
    CODE(b, 0x0f, 0xc7, 0xf0, 0x66, 0x0f, 0xc7, 0xf9); /* rdrand eax; rdseed cx */
    s->gpr[ECX] = 0x11111111;
    s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = FLAGS_ALL & ~FLAG_C};
    steps(b, 1);
    EQ(s->gpr[EAX], 0xa5a5a5a5);
    EQ(i386_get_eflags(b->c) & FLAGS_ALL, FLAG_C);
    steps(b, 1);
    EQ(s->gpr[ECX], 0x1111a5a5);
    EQ(asked, 6);
    b->m->env = NULL;
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 features");
    TCase *tc = tcase_create("instructions");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_a_model_lacks_is_undefined);
    tcase_add_test(tc, fences_and_movnti_do_not_care_for_cr0_ts);
    tcase_add_test(tc, tzcnt_and_lzcnt_are_bit_scans_where_they_are_not_there);
    tcase_add_test(tc, an_atom_of_32_bits_has_movbe);
    tcase_add_test(tc, instructions_with_vex_are_of_protected_mode);
    tcase_add_test(tc, vex_forms_that_do_not_exist_are_undefined);
    tcase_add_test(tc, vex_operands_are_of_32_bits_outside_64_bit_mode);
    tcase_add_test(tc, random_numbers_are_entropy_of_the_machine);
    suite_add_tcase(suite, tc);
    return suite;
}
