/*
 * Claims about instructions that a model has or lacks, as its CPUID says.
 */
#include "i386/protect.h"
#include "i386/fpu.h"
#include "i386_bench64.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

#include <stdio.h>

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

/* FCMOV, FCOMI, FISTTP: the host has them. */
START_TEST(x87_instructions_that_the_model_lacks_are_undefined_in_compiled_code)
{
    static const struct { const char *model, *bytes; } codes[] = {
        {"486", "\xda\xc1"}, {"486", "\xdb\xf1"}, {"486", "\xdf\xe9"}, {"pentium3", "\xdb\x0b"}, {"pentium3", "\xdd\x0b"},
    };

    with_model(codes[_i].model);
    with_jit(&b->c->u);
    b->m->stop_when_idle = true;
    s->gpr[EBX] = DATA;
    s->fcw = 0x37f;
    refresh(b);
    for (unsigned i = 0; i < 8; i++) {
        s->rip = b->at = KCODE;
        s->gpr[ESP] = KSTACK;
        CODE(b, 0xd9, 0xe8, 0xd9, 0xee); /* fld1; fldz */
        poke(b, b->at, codes[_i].bytes, 2);
        poke8(b, handler(EXC_UD), 0xf4);
        s->ftag = 0;
        s->halted = 0;
        refresh(b);
        steps(b, 1000); /* enough for compiled code, which is not left in the midst */
        ck_assert_uint_eq(s->rip, handler(EXC_UD) + 1);
        ck_assert_uint_eq(stack32(b, 0), KCODE + 4);
    }
}
END_TEST

/* Segments with base and limit: the same however it is run, to the fault at the limit. */
START_TEST(x87_operands_lie_in_their_segments)
{
    static const uint8_t real[] = {0xdb, 0xe3, 0xd9, 0xe8,                  /* fninit; fld1 */
                                   0xdc, 0x07, 0x26, 0xdd, 0x17, 0xd8, 0x27, /* fadd qword [bx]; fst qword es:[bx]; fsub dword [bx] */
                                   0x26, 0xdb, 0x3f, 0xdf, 0x2f, 0xdd, 0x3f, /* fstp tbyte es:[bx]; fild qword [bx]; fnstsw [bx] */
                                   0xd9, 0x3f, 0xd9, 0x2f,                  /* fnstcw [bx]; fldcw [bx] */
                                   0x83, 0xc3, 0x05, 0xeb, 0xe7};           /* add bx, 5; jmp to fld1 */
    static const uint8_t flat[] = {0xdb, 0xe3, 0xd9, 0xe8, 0x64, 0xdc, 0x03, 0x64, 0xdd, 0x13, 0x65, 0xd8, 0x23, 0x64, 0xdb, 0x3b,
                                   0x65, 0xdf, 0x2b, 0x64, 0xdd, 0x3b, 0xd9, 0x3b, 0xd9, 0x2b, 0x83, 0xc3, 0x05, 0xeb, 0xe3};
    struct { struct i386_state state; uint8_t memory[0x10000]; icount_t position; } *outcome = xcalloc(2, sizeof *outcome);

    for (unsigned way = 0; way < 2; way++) {
        with_model("pentium3");
        if (way)
            with_jit(&b->c->u);
        b->m->stop_when_idle = true;
        if (_i) {
            s->seg[SEG_FS].base = DATA;
            s->seg[SEG_FS].limit = 0x3fff;
            s->seg[SEG_GS].base = DATA + 0x20;
            poke8(b, handler(EXC_GP), 0xf4);
            poke(b, KCODE, flat, sizeof flat);
            s->gpr[EBX] = 0x2000;
        } else {
            real_mode(b);
            s->seg[SEG_DS].selector = 0x4000;
            s->seg[SEG_DS].base = 0x40000;
            s->seg[SEG_ES].selector = 0x4001;
            s->seg[SEG_ES].base = 0x40010;
            poke32(b, 4 * EXC_GP, 0x60000000);
            poke8(b, 0x60000, 0xf4);
            poke(b, KCODE, real, sizeof real);
            s->gpr[EBX] = 0xe000;
        }
        for (unsigned i = 0; i < 0x10000; i += 8)
            poke64(b, DATA + i, 0x3ff0000000000000u + i * 0x123456789u);
        refresh(b);
        steps(b, 100000);
        ck_assert_uint_eq(s->halted, I386_HALTED);
        outcome[way].state = *s;
        outcome[way].position = b->m->st->position;
        memory_read_bytes(&b->m->memory, DATA, outcome[way].memory, sizeof outcome[way].memory);
    }
    ck_assert_uint_eq(outcome[0].position, outcome[1].position);
    ck_assert_mem_eq(&outcome[0].state, &outcome[1].state, sizeof outcome[0].state);
    ck_assert_mem_eq(outcome[0].memory, outcome[1].memory, sizeof outcome[0].memory);
    free(outcome);
}
END_TEST

/* MOVUPS from and to a segment that expands down: all 16 bytes are within its limits, or not. */
START_TEST(vectors_lie_in_segments_that_expand_down)
{
    static const struct { uint32_t offset; bool good; } cases[] = {{0x2000, true}, {0x1000, true}, {0xfff, false}, {0xfffffff1u, false}};

    for (unsigned store = 0; store < 2; store++) {
        with_model("pentium4");
        s->cr4 |= CR4_OSFXSR;
        s->gpr[EAX] = S_DOWN;
        s->gpr[EBX] = cases[_i].offset;
        CODE(b, 0x8e, 0xd8, 0x0f);
        poke8(b, b->at, store ? 0x11 : 0x10);
        b->at++;
        CODE(b, 0x03);
        refresh(b);
        steps(b, 2);
        if (cases[_i].good)
            EQ(s->rip, KCODE + 5);
        else
            EXPECT_VECTOR(b, EXC_GP);
    }
}
END_TEST

START_TEST(reserved_bits_of_mxcsr_are_gp)
{
    static const struct { const char *model; uint32_t value; bool good; } cases[] = {
        {"max", 0x1f80, true}, {"max", 0x1fc0, true}, {"max", 0xffff, true}, {"max", 0x10000 | 0x1f80, false}, {"max", 0x80001f80, false},
        {"pentium3", 0x1fc0, false}, {"pentium3", 0x9fbf, true}, {"pentium3", 0x11f80, false},
    };

    with_model(cases[_i].model);
    s->cr4 |= CR4_OSFXSR;
    s->mxcsr = 0x1f80;
    s->gpr[EBX] = DATA;
    refresh(b);
    CODE(b, 0x0f, 0xae, 0x13, 0x0f, 0xae, 0x5b, 0x04); /* ldmxcsr [ebx]; stmxcsr [ebx + 4] */
    poke32(b, DATA, cases[_i].value);
    steps(b, 2);
    EQ(s->mxcsr, cases[_i].good ? cases[_i].value : 0x1f80);
    if (cases[_i].good)
        EQ(peek32(b, DATA + 4), cases[_i].value);
    else
        ck_assert_uint_eq(s->rip, handler(EXC_GP) + 2);
}
END_TEST

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

/* ---- flags ---- */

START_TEST(flags_bring_instructions_and_take_them_away)
{
    static const struct { const char *flag, *bytes; unsigned len; } codes[] = {
        {"popcnt", "\xf3\x0f\xb8\xc1", 4}, {"movbe", "\x0f\x38\xf0\x03", 4}, {"adx", "\x66\x0f\x38\xf6\xc1", 5},
        {"clflushopt", "\x66\x0f\xae\x3b", 4}, {"bmi1", "\xc4\xe2\x70\xf2\xc2", 5}, {"rdrand", "\x0f\xc7\xf0", 3},
        {"cx8", "\x0f\xc7\x0b", 3}, {"tsc", "\x0f\x31", 2}, {"clflush", "\x0f\xae\x3b", 3}, {"sse4_2", "\xf2\x0f\x38\xf1\xc1", 5},
        {"mmx", "\x0f\xef\xc0", 3}, {"sse3", "\xf2\x0f\x12\xc1", 4}, {"msr", "\x0f\x32", 2},
    };
    static const char *const models[] = {"pentium4", "qemu64", "max"};
    char words[64];

    for (unsigned m = 0; m < ARRAY_LEN(models); m++)
        for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
            for (unsigned on = 0; on < 2; on++) {
                snprintf(words, sizeof words, "%s,%s=%s", models[m], codes[i].flag, on ? "on" : "off");
                with_model(words);
                s->cr4 |= CR4_OSFXSR;
                refresh(b);
                s->gpr[EBX] = DATA;
                s->gpr[ECX] = 0x174; /* IA32_SYSENTER_CS */
                poke(b, KCODE, codes[i].bytes, codes[i].len);
                steps(b, 1);
                ck_assert_msg(s->rip == (on ? KCODE + codes[i].len : handler(EXC_UD)), "%s: %x", words, (unsigned)s->rip);
            }
}
END_TEST

/* In 64-bit mode. */
static bool is_undefined(const char *words, const char *bytes, unsigned len)
{
    struct bench *long_bench = bench64_new(words);
    struct i386_state *st = long_bench->s;
    bool undefined;

    st->xcr0 = i386_xcr0_mask(&long_bench->model);
    st->cr4 |= CR4_OSFXSR | CR4_FSGSBASE | CR4_PKE | (st->xcr0 ? CR4_OSXSAVE : 0);
    st->gpr[EBX] = DATA;
    refresh(long_bench);
    poke(long_bench, KCODE, bytes, len);
    steps(long_bench, 1);
    undefined = st->rip == handler(EXC_UD);
    bench_free(long_bench);
    return undefined;
}

START_TEST(each_set_of_instructions_goes_with_its_flag)
{
    static const struct { const char *flag, *bytes; unsigned len; } codes[] = {
        {"cx8", "\x0f\xc7\x0b", 3}, {"cx16", "\x48\x0f\xc7\x0b", 4}, {"tsc", "\x0f\x31", 2},
        {"clflush", "\x0f\xae\x3b", 3}, {"clflushopt", "\x66\x0f\xae\x3b", 4}, {"clwb", "\x66\x0f\xae\x33", 4},
        {"pni", "\xf2\x0f\x12\xc1", 4}, {"pni", "\xdb\x0b", 2}, {"monitor", "\x0f\x01\xc8", 3}, {"monitor", "\x0f\x01\xc9", 3},
        {"ssse3", "\x66\x0f\x38\x00\xc1", 5}, {"ssse3", "\x0f\x38\x00\xc1", 4}, {"ssse3", "\x0f\x3a\x0f\xc1\x00", 5},
        {"sse4_1", "\x66\x0f\x38\x10\xc1", 5}, {"sse4_1", "\x66\x0f\x3a\x22\xc1\x00", 6}, {"sse4_2", "\x66\x0f\x38\x37\xc1", 5},
        {"sse4_2", "\x66\x0f\x3a\x63\xc1\x00", 6}, {"sse4_2", "\xf2\x0f\x38\xf0\xc1", 5}, {"popcnt", "\xf3\x0f\xb8\xc1", 4},
        {"aes", "\x66\x0f\x38\xdc\xc1", 5}, {"aes", "\x66\x0f\x3a\xdf\xc1\x00", 6}, {"aes", "\xc4\xe2\x71\xdc\xc2", 5},
        {"pclmulqdq", "\x66\x0f\x3a\x44\xc1\x00", 6}, {"pclmulqdq", "\xc4\xe3\x71\x44\xc2\x00", 6},
        {"movbe", "\x0f\x38\xf0\x03", 4}, {"movbe", "\x0f\x38\xf1\x03", 4}, {"adx", "\x66\x0f\x38\xf6\xc1", 5}, {"adx", "\xf3\x0f\x38\xf6\xc1", 5},
        {"rdrand", "\x0f\xc7\xf0", 3}, {"rdseed", "\x0f\xc7\xf8", 3}, {"rdpid", "\xf3\x0f\xc7\xf8", 4}, {"rdtscp", "\x0f\x01\xf9", 3},
        {"smap", "\x0f\x01\xca", 3}, {"smap", "\x0f\x01\xcb", 3}, {"invpcid", "\x66\x0f\x38\x82\x03", 5}, {"pku", "\x0f\x01\xee", 3},
        {"fsgsbase", "\xf3\x0f\xae\xc0", 4}, {"lahf_lm", "\x9f", 1}, {"lahf_lm", "\x9e", 1},
        {"xsave", "\x0f\xae\x23", 3}, {"xsave", "\x0f\xae\x2b", 3}, {"xsave", "\x0f\x01\xd0", 3}, {"xsave", "\x0f\x01\xd1", 3},
        {"xsaveopt", "\x0f\xae\x33", 3}, {"xsavec", "\x0f\xc7\x23", 3}, {"xsaves", "\x0f\xc7\x2b", 3}, {"xsaves", "\x0f\xc7\x1b", 3},
        {"avx", "\xc5\xf0\x58\xc2", 4}, {"avx", "\xc5\xf4\x58\xc2", 4}, {"avx", "\xc5\xf1\xfe\xc2", 4}, {"avx", "\xc5\xf8\x77", 3},
        {"avx", "\xc5\xf8\xae\x1b", 4}, {"avx", "\xc4\xe2\x79\x18\x03", 5}, {"avx", "\xc4\xe2\x71\x00\xc2", 5},
        {"avx2", "\xc5\xf5\xfe\xc2", 4}, {"avx2", "\xc4\xe2\x79\x18\xc1", 5}, {"avx2", "\xc4\xe2\x79\x58\xc1", 5},
        {"avx2", "\xc4\xe2\x71\x90\x04\x13", 6}, {"avx2", "\xc4\xe3\xfd\x00\xc1\x00", 6},
        {"fma", "\xc4\xe2\x71\x98\xc2", 5}, {"f16c", "\xc4\xe2\x79\x13\xc1", 5}, {"f16c", "\xc4\xe3\x79\x1d\xc1\x00", 6},
        {"vaes", "\xc4\xe2\x75\xdc\xc2", 5}, {"vpclmulqdq", "\xc4\xe3\x75\x44\xc2\x00", 6},
        {"bmi1", "\xc4\xe2\x70\xf2\xc2", 5}, {"bmi1", "\xc4\xe2\x70\xf3\xc9", 5}, {"bmi1", "\xc4\xe2\x70\xf7\xc2", 5},
        {"bmi2", "\xc4\xe2\x70\xf5\xc2", 5}, {"bmi2", "\xc4\xe2\x73\xf6\xc2", 5}, {"bmi2", "\xc4\xe2\x71\xf7\xc2", 5},
        {"bmi2", "\xc4\xe3\x7b\xf0\xc1\x05", 6},
        {"sse4a", "\x66\x0f\x78\xc1\x03\x05", 6}, {"sse4a", "\xf2\x0f\x78\xc1\x03\x05", 6}, {"sse4a", "\x66\x0f\x79\xc1", 4},
        {"sse4a", "\xf2\x0f\x79\xc1", 4}, {"sse4a", "\xf3\x0f\x2b\x03", 4}, {"sse4a", "\xf2\x0f\x2b\x03", 4},
        {"clzero", "\x0f\x01\xfc", 3}, {"cr8legacy", "\xf0\x0f\x20\xc0", 4}, {"cr8legacy", "\xf0\x0f\x22\xc0", 4},
    };
    char words[64];

    for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
        snprintf(words, sizeof words, "max,-%s", codes[i].flag);
        ck_assert_msg(!is_undefined("max", codes[i].bytes, codes[i].len), "%s: row %u", codes[i].flag, i);
        ck_assert_msg(is_undefined(words, codes[i].bytes, codes[i].len), "%s: row %u", words, i);
    }
}
END_TEST

/* What came with the Pentium needs nothing of the P6's. */
START_TEST(a_486_may_have_what_the_pentium_brought)
{
    with_model("486,+cx8,+tsc,+msr");
    s->gpr[EBX] = DATA;
    s->gpr[ECX] = 0x10;
    CODE(b, 0x0f, 0xc7, 0x0b, 0x0f, 0x31, 0x0f, 0x32, 0x0f, 0x44, 0xc1); /* cmpxchg8b [ebx]; rdtsc; rdmsr; cmovz */
    steps(b, 3);
    EQ(s->rip, KCODE + 7);
    steps(b, 1);
    EQ(s->rip, handler(EXC_UD));
    with_model("486");
    CODE(b, 0x0f, 0xc7, 0x0b);
    steps(b, 1);
    EQ(s->rip, handler(EXC_UD));
}
END_TEST

START_TEST(a_flag_takes_along_what_needs_it)
{
    with_model("max,-sse2,-msr");
    ck_assert(!i386_has(&b->model, FEATURE_AVX2) && !i386_has(&b->model, FEATURE_LM) && !i386_has(&b->model, FEATURE_LA57) &&
              !i386_has(&b->model, FEATURE_PKU) && !b->model.has_apic && !i386_has(&b->model, FEATURE_NX) && !b->model.has_sse2);
    ck_assert(i386_has(&b->model, FEATURE_SSE) && i386_has(&b->model, FEATURE_BMI2) && b->model.has_sse);
    EQ(i386_cr4_allowed(b->c) & (CR4_LA57 | CR4_PCIDE | CR4_PKE | CR4_SMEP), CR4_SMEP);
}
END_TEST

/* Without them their MSRs are #GP. */
START_TEST(flags_bring_msrs)
{
    static const struct { const char *flag; uint32_t n; } msrs[] = {
        {"mtrr", 0xfe}, {"mtrr", 0x2ff}, {"mtrr", 0x200}, {"pat", 0x277}, {"mca", 0x179}, {"mca", 0x401}, {"sep", 0x174},
        {"apic", 0x1b}, {"rdtscp,rdpid=off", 0xc0000103}, {"tsc", 0x10},
    };
    char words[64];

    for (unsigned i = 0; i < ARRAY_LEN(msrs); i++)
        for (unsigned on = 0; on < 2; on++) {
            snprintf(words, sizeof words, "max,%s=%s", msrs[i].flag, on ? "on" : "off");
            if (strchr(msrs[i].flag, ','))
                snprintf(words, sizeof words, "max,rdpid=off,rdtscp=%s", on ? "on" : "off");
            with_model(words);
            s->gpr[ECX] = msrs[i].n;
            CODE(b, 0x0f, 0x32);
            steps(b, 1);
            ck_assert_msg(s->rip == (on ? KCODE + 2 : handler(EXC_GP)), "%s: %x", words, (unsigned)s->rip);
        }
}
END_TEST

/* AMD's SYSCALL of legacy mode needs STAR alone. */
START_TEST(syscall_without_long_mode_goes_by_star)
{
    with_model("qemu64,-lm");
    ck_assert(i386_write_msr(b->c, 0xc0000080u, EFER_SCE) && i386_write_msr(b->c, 0xc0000081u, (uint64_t)S_CODE << 32 | CODE2));
    ck_assert(!i386_write_msr(b->c, 0xc0000082u, 0) && !i386_write_msr(b->c, 0xc0000080u, EFER_LME));
    CODE(b, 0x0f, 0x05);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->gpr[ECX], KCODE + 2);
}
END_TEST

static void expect_refused(const char *words, const char *part)
{
    struct i386_model m;
    struct error err;

    ck_assert_msg(i386_model_parse(&m, words, &err) < 0, "%s", words);
    ck_assert_msg(strstr(err.text, part) != NULL, "%s: %s", words, err.text);
}

START_TEST(what_cannot_be_is_refused_by_name)
{
    expect_refused("qemu64,+avx2", "avx2 needs +xsave,+avx, too");
    expect_refused("Haswell,+svm", "svm is for AMD's models");
    expect_refused("max,vendor=GenuineIntel,+npt", "svm is for AMD's models");
    expect_refused("max,+avic", "avic is not modelled");
    expect_refused("max,+avx512f", "avx512f is not modelled");
    expect_refused("max,hv_relaxed", "hv-relaxed is not modelled");
    expect_refused("max,kvm-pv-eoi=on", "kvm-pv-eoi is not modelled");
    expect_refused("max,+tsc-deadlin", "did you mean tsc-deadline?");
    expect_refused("max,colour=red", "no flag or property 'colour'");
    expect_refused("max,avx=perhaps", "write +avx, -avx, or avx=on|off");
    expect_refused("max,+avx=on", "write +avx, -avx, or avx=on|off");
    expect_refused("max,+avx,-avx", "avx is both added and taken away");
    expect_refused("max,-fpu", "fpu cannot be taken away");
    expect_refused("max,stepping=16", "stepping is a number from 0 to 15");
    expect_refused("max,vendor=Me", "vendor has 12 characters");
    expect_refused("max,tsc-frequency=1000", "QEMU's property tsc-frequency is not there");
    expect_refused("host,+avx", "depended on this host");
    expect_refused("z80,+avx", "no CPU model 'z80'");
    expect_refused("max,host-phys-bits=on", "QEMU's property host-phys-bits is not there");
    with_model("max,vendor=GenuineIntel"); /* SVM goes */
    ck_assert(!i386_has(&b->model, FEATURE_SVM));
    with_model("max,-svm,-avic,-avx512f,hv-relaxed=off,check=off,enforce,host-phys-bits=off"); /* what is not there can be off */
}
END_TEST

START_TEST(properties_are_what_cpuid_says)
{
    with_model("Haswell,family=21,model=0x2b,stepping=7,vendor=AuthenticAMD,model-id=Any,,thing,level=4,xlevel=0x80000004");
    EQ(b->model.signature, 0x00620fb7);
    EQ(b->model.max_leaf, 4);
    EQ(b->model.max_extended_leaf, 0x80000004u);
    ck_assert(b->model.amd);
    ck_assert_str_eq(b->model.brand, "Any,thing");
    with_model("pentium3,+avx,+xsave,+sse2,+lm,+pae,+syscall,+smep");
    EQ(b->model.max_leaf, 13);
    EQ(b->model.max_extended_leaf, 0x80000008u);
    ck_assert(!i386_is_core(&b->model));
}
END_TEST

/* ---- AMD's ---- */

static void with_long_model(const char *model)
{
    bench_free(b);
    b = bench64_new(model);
    s = b->s;
}

/* APM 3, CLZERO: a line, whichever byte of it rAX points to, of DS or as the override says. */
START_TEST(clzero_makes_a_line_0)
{
    static const struct { bool wide; const char *bytes; unsigned len; uint64_t rax; uint32_t line; } cases[] = {
        {true, "\x0f\x01\xfc", 3, DATA + 0x47, DATA + 0x40}, {true, "\x66\x0f\x01\xfc", 4, HIGH | (DATA + 0x80), DATA + 0x80},
        {true, "\x67\x0f\x01\xfc", 4, HIGH | (DATA + 0x40), DATA + 0x40}, {true, "\x64\x0f\x01\xfc", 4, DATA + 0x47, DATA + 0x80},
        {false, "\x0f\x01\xfc", 3, DATA + 0x7f, DATA + 0x40}, {false, "\x64\x0f\x01\xfc", 4, DATA, DATA + 0x40},
        {false, "\x67\x64\x0f\x01\xfc", 5, 0x10000, 0x40},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        bench_free(b);
        b = cases[i].wide ? bench64_new("max") : bench_new("max");
        s = b->s;
        s->seg[SEG_FS].base = 0x40;
        for (unsigned at = 0; at < 0x100; at += 4) {
            poke32(b, DATA + at, 0x11111111);
            poke32(b, at, 0x11111111);
        }
        s->gpr[EAX] = cases[i].rax;
        refresh(b);
        poke(b, KCODE, cases[i].bytes, cases[i].len);
        steps(b, 1);
        EQ(s->rip, KCODE + cases[i].len);
        for (uint32_t at = cases[i].line & ~0xffu; at < (cases[i].line | 0xff); at += 4)
            ck_assert_msg((peek32(b, at) == 0) == (at >= cases[i].line && at < cases[i].line + 64), "case %u: %x", i, at);
    }
}
END_TEST

START_TEST(clzero_faults_as_a_write)
{
    with_long_model("max");
    s->gpr[EAX] = UINT64_C(1) << 62;
    CODE(b, 0x0f, 0x01, 0xfc);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);

    with_long_model("max");
    s->gpr[EAX] = 0x400047; /* mapped nowhere */
    CODE(b, 0x0f, 0x01, 0xfc);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(stack64(b, 0), 2);
}
END_TEST

/* APM 3, MOV CRn: CR8 where no REX can name it. */
START_TEST(cr0_with_lock_is_cr8)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        bench_free(b);
        b = wide ? bench64_new("max") : bench_new("max");
        s = b->s;
        s->gpr[ECX] = 5;
        CODE(b, 0xf0, 0x0f, 0x22, 0xc1, 0xf0, 0x0f, 0x20, 0xc2); /* lock mov cr0, ecx; lock mov edx, cr0 */
        s->gpr[EDX] = 0xffff;
        steps(b, 2);
        EQ(s->rip, KCODE + 8);
        EQ(s->gpr[EDX], 0); /* there is no APIC that would keep it */
        ck_assert(s->cr0 & CR0_PE);
        s->rip = b->at = KCODE;
        s->gpr[ECX] = 16;
        steps(b, 1);
        EXPECT_VECTOR(b, EXC_GP);
    }
}
END_TEST

/* Near branches with 66 in 64-bit mode: RIP becomes a word. Intel's ignore it. */
START_TEST(near_branches_of_16_bits)
{
    static const struct { const char *bytes; unsigned len; uint16_t to; int pushed; } cases[] = {
        {"\x66\xeb\x10", 3, 0x13, 0}, {"\x66\xe9\x10\x00", 4, 0x14, 0}, {"\x66\x74\x10", 3, 0x13, 0},
        {"\x66\x0f\x84\x10\x00", 5, 0x15, 0}, {"\x66\xe3\x10", 3, 0x13, 0}, {"\x66\xe8\x10\x00", 4, 0x14, 2},
        {"\x66\xff\xe3", 3, 0x1234, 0}, {"\x66\xff\xd3", 3, 0x1234, 2}, {"\x66\xc3", 2, 0x4321, -2},
        {"\x66\xc2\x06\x00", 4, 0x4321, -8}, {"\x66\x75\x10", 3, 0, 0},
    };
    const uint64_t code = 0x70000;

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        with_long_model("max");
        s->gpr[EBX] = 0xabcd1234;
        s->gpr[ECX] = 0;
        s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = FLAG_Z};
        poke64(b, KSTACK, 0x87654321);
        poke(b, (uint32_t)code, cases[i].bytes, cases[i].len);
        s->rip = b->at = code;
        steps(b, 1);
        EQ(s->rip, cases[i].to ? cases[i].to : code + cases[i].len); /* one that is not taken goes on */
        EQ(s->gpr[ESP], KSTACK - (uint64_t)(int64_t)cases[i].pushed);
        if (cases[i].pushed == 2)
            EQ(stack64(b, 0) & 0xffff, cases[i].len);
    }
    with_long_model("Haswell");
    s->gpr[EBX] = CODE2;
    CODE(b, 0x66, 0xff, 0xd3);
    steps(b, 1);
    EQ(s->rip, CODE2);
    EQ(s->gpr[ESP], KSTACK - 8);
}
END_TEST

START_TEST(what_else_goes_by_the_maker)
{
    static const struct { bool wide; const char *bytes; unsigned len; bool amd, intel; } cases[] = {
        {true, "\x0f\x0d\xcb", 3, false, true}, {false, "\x0f\x0d\xcb", 3, false, true}, {false, "\x0f\x0d\x0b", 3, true, true}, /* prefetchw */
        {true, "\xf0\x0f\x00\x2b", 4, true, false},                                                        /* lock verw */
        {true, "\xc4\xe3\x7d\x00\xc1\x00", 6, true, false}, {true, "\xc4\xe3\xfd\x01\xc1\x00", 6, true, true}, /* vpermq, vpermpd */
        {false, "\xc4\xe3\xf1\x22\xc1\x00", 6, false, true}, {false, "\xc4\xe3\xf9\x16\xc1\x00", 6, false, true}, /* vpinsrq, vpextrq */
        {true, "\xc4\xe3\xf1\x22\xc1\x00", 6, true, true}, {false, "\xc4\xe3\x71\x22\xc1\x00", 6, true, true},
        {true, "\xf0\x0f\x20\xc0", 4, true, false}, {true, "\x66\x0f\x78\xc1\x03\x05", 6, true, false},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned intel = 0; intel < 2; intel++) {
            bench_free(b);
            b = cases[i].wide ? bench64_new(intel ? "Haswell" : "max") : bench_new(intel ? "Haswell" : "max");
            s = b->s;
            s->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
            s->xcr0 = 7;
            s->gpr[EBX] = DATA;
            refresh(b);
            poke(b, KCODE, cases[i].bytes, cases[i].len);
            steps(b, 1);
            ck_assert_msg(s->rip == ((intel ? cases[i].intel : cases[i].amd) ? KCODE + cases[i].len : handler(EXC_UD)), "case %u, %s", i,
                          intel ? "Intel" : "AMD");
        }
}
END_TEST

/* APM 4. A length of 0 is 64; the upper half becomes 0. */
START_TEST(fields_of_bits_are_taken_and_put)
{
    static const struct { const char *bytes; unsigned len; uint64_t low; } cases[] = {
        {"\x66\x0f\x78\xc0\x0c\x08", 6, 0xedc},              /* extrq xmm0, 12, 8 */
        {"\x66\x0f\x78\xc0\x00\x00", 6, 0x0123456789fedcba}, /* 64, 0 */
        {"\x66\x0f\x78\xc0\x3f\x3c", 6, 0},
        {"\x66\x0f\x79\xc1", 4, 0xdc},                       /* extrq xmm0, xmm1: 8, 8 */
        {"\xf2\x0f\x78\xc1\x08\x10", 6, 0x012345678908dcba}, /* insertq xmm0, xmm1, 8, 16 */
        {"\xf2\x0f\x79\xc1", 4, 0x0123456889fedcba},       /* insertq xmm0, xmm1: 4, 32 */
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        with_model("max");
        s->cr4 |= CR4_OSFXSR;
        s->xmm[0] = (union i386_xmm){.q = {0x0123456789fedcba, 7}};
        s->xmm[1] = (union i386_xmm){.q = {0x1111111111110808, 0x2004}}; /* a length of 8 from bit 8; of 4 to bit 32 */
        refresh(b);
        poke(b, KCODE, cases[i].bytes, cases[i].len);
        steps(b, 1);
        EQ(s->rip, KCODE + cases[i].len);
        ck_assert_msg(s->xmm[0].q[0] == cases[i].low && !s->xmm[0].q[1], "case %u: %llx", i, (unsigned long long)s->xmm[0].q[0]);
    }
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
    tcase_add_loop_test(tc, x87_instructions_that_the_model_lacks_are_undefined_in_compiled_code, 0, 5);
    tcase_add_loop_test(tc, x87_operands_lie_in_their_segments, 0, 2);
    tcase_add_loop_test(tc, reserved_bits_of_mxcsr_are_gp, 0, 8);
    tcase_add_test(tc, fences_and_movnti_do_not_care_for_cr0_ts);
    tcase_add_test(tc, tzcnt_and_lzcnt_are_bit_scans_where_they_are_not_there);
    tcase_add_test(tc, an_atom_of_32_bits_has_movbe);
    tcase_add_test(tc, instructions_with_vex_are_of_protected_mode);
    tcase_add_test(tc, vex_forms_that_do_not_exist_are_undefined);
    tcase_add_test(tc, vex_operands_are_of_32_bits_outside_64_bit_mode);
    tcase_add_test(tc, flags_bring_instructions_and_take_them_away);
    tcase_add_test(tc, each_set_of_instructions_goes_with_its_flag);
    tcase_add_test(tc, a_486_may_have_what_the_pentium_brought);
    tcase_add_test(tc, a_flag_takes_along_what_needs_it);
    tcase_add_test(tc, flags_bring_msrs);
    tcase_add_test(tc, syscall_without_long_mode_goes_by_star);
    tcase_add_test(tc, what_cannot_be_is_refused_by_name);
    tcase_add_loop_test(tc, vectors_lie_in_segments_that_expand_down, 0, 4);
    tcase_add_test(tc, properties_are_what_cpuid_says);
    tcase_add_test(tc, clzero_makes_a_line_0);
    tcase_add_test(tc, clzero_faults_as_a_write);
    tcase_add_test(tc, cr0_with_lock_is_cr8);
    tcase_add_test(tc, near_branches_of_16_bits);
    tcase_add_test(tc, what_else_goes_by_the_maker);
    tcase_add_test(tc, fields_of_bits_are_taken_and_put);
    tcase_add_test(tc, random_numbers_are_entropy_of_the_machine);
    suite_add_tcase(suite, tc);
    return suite;
}
