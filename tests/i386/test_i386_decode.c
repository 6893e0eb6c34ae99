/*
 * The i386 decoder: lengths, operands, which encodings exist.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "i386/cpu.h"
#include "i386/insn.h"
#include "tests/check_main.h"

#define CODE32 (DECODE_CODE32 | DECODE_P6)
#define CODE16 DECODE_P6

static struct insn decoded;

static enum decode_result decode(unsigned mode, const char *hex)
{
    uint8_t bytes[32] = {0};
    unsigned n = 0, v;
    int used;

    while (sscanf(hex, "%2x%n", &v, &used) == 1) {
        bytes[n++] = (uint8_t)v;
        hex += used;
    }
    return i386_decode(bytes, n, mode, &decoded);
}

#define ASSERT_INSN(mode, hex, name, length) do { \
        ck_assert_int_eq(decode(mode, hex), DECODE_OK); \
        ck_assert_int_eq(decoded.op, INSN_##name); \
        ck_assert_int_eq(decoded.len, length); \
    } while (0)

START_TEST(lengths_follow_operand_and_address_size)
{
    ASSERT_INSN(CODE32, "b8 01 02 03 04", MOV, 5);
    ASSERT_INSN(CODE16, "b8 01 02", MOV, 3);
    ASSERT_INSN(CODE32, "66 b8 01 02", MOV, 4);
    ASSERT_INSN(CODE16, "66 b8 01 02 03 04", MOV, 6);
    ASSERT_INSN(CODE32, "8b 05 01 02 03 04", MOV, 6);
    ASSERT_INSN(CODE16, "8b 06 01 02", MOV, 4);
    ASSERT_INSN(CODE32, "67 8b 06 01 02", MOV, 5);
    ASSERT_INSN(CODE32, "a1 01 02 03 04", MOV, 5);
    ASSERT_INSN(CODE16, "a1 01 02", MOV, 3);
    ASSERT_INSN(CODE32, "ea 01 02 03 04 05 06", JMPF, 7);
    ASSERT_INSN(CODE16, "ea 01 02 03 04", JMPF, 5);
    ASSERT_INSN(CODE32, "c8 10 00 03", ENTER, 4);
    ASSERT_INSN(CODE32, "f7 05 01 02 03 04 05 06 07 08", TEST, 10);
    ASSERT_INSN(CODE32, "f6 c3 55", TEST, 3);
    ASSERT_INSN(CODE32, "f7 d3", NOT, 2);
    ASSERT_INSN(CODE32, "0f 20 05", MOV_FROM_CR, 3); /* mod is ignored */
}
END_TEST

START_TEST(memory_operands_are_resolved)
{
    ASSERT_INSN(CODE32, "8b 44 8d 10", MOV, 4); /* mov eax, [ebp + ecx*4 + 16] */
    ck_assert_int_eq(decoded.base, EBP);
    ck_assert_int_eq(decoded.index, ECX);
    ck_assert_int_eq(decoded.scale, 2);
    ck_assert_int_eq(decoded.disp, 16);
    ck_assert_int_eq(decoded.seg, SEG_SS);
    ASSERT_INSN(CODE32, "8b 04 25 44 33 22 11", MOV, 7); /* no base, no index */
    ck_assert_int_eq(decoded.base, INSN_NO_REG);
    ck_assert_int_eq(decoded.index, INSN_NO_REG);
    ck_assert_int_eq(decoded.seg, SEG_DS);
    ASSERT_INSN(CODE32, "64 8b 40 ff", MOV, 4);
    ck_assert_int_eq(decoded.seg, SEG_FS);
    ck_assert_uint_eq(decoded.disp, 0xffffffffu);
    ASSERT_INSN(CODE16, "8b 42 fe", MOV, 3); /* [bp + si - 2] */
    ck_assert_int_eq(decoded.base, EBP);
    ck_assert_int_eq(decoded.index, ESI);
    ck_assert_int_eq(decoded.seg, SEG_SS);
    ASSERT_INSN(CODE32, "8b 04 24", MOV, 3);
    ck_assert_int_eq(decoded.seg, SEG_SS);
    ASSERT_INSN(CODE32, "3e 8b 04 24", MOV, 4);
    ck_assert_int_eq(decoded.seg, SEG_DS);
}
END_TEST

START_TEST(the_last_of_several_prefixes_counts)
{
    ASSERT_INSN(CODE32, "f2 f3 a4", MOVS, 3);
    ck_assert(decoded.flags & INSN_REP);
    ck_assert(!(decoded.flags & INSN_REPNE));
    ASSERT_INSN(CODE32, "2e 65 8b 00", MOV, 4);
    ck_assert_int_eq(decoded.seg, SEG_GS);
    ASSERT_INSN(CODE32, "66 66 b8 01 02", MOV, 5);
    ck_assert_int_eq(decoded.osize, 2);
}
END_TEST

START_TEST(lock_is_undefined_unless_memory_is_modified)
{
    ASSERT_INSN(CODE32, "f0 01 00", ADD, 3);
    ASSERT_INSN(CODE32, "f0 0f b1 0b", CMPXCHG, 4);
    ASSERT_INSN(CODE32, "f0 0f c7 0b", CMPXCHG8B, 4);
    ASSERT_INSN(CODE32, "f0 87 03", XCHG, 3);
    ASSERT_INSN(CODE32, "f0 0f ba 28 01", BTS, 5);
    ck_assert_int_eq(decode(CODE32, "f0 01 c0"), DECODE_UD);       /* register destination */
    ck_assert_int_eq(decode(CODE32, "f0 03 00"), DECODE_UD);       /* memory is the source */
    ck_assert_int_eq(decode(CODE32, "f0 39 00"), DECODE_UD);       /* CMP */
    ck_assert_int_eq(decode(CODE32, "f0 0f ba 20 01"), DECODE_UD); /* BT */
    ck_assert_int_eq(decode(CODE32, "f0 90"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32, "f0 89 00"), DECODE_UD);
}
END_TEST

START_TEST(forms_that_do_not_exist_are_undefined)
{
    ck_assert_int_eq(decode(CODE32, "8d c0"), DECODE_UD);    /* LEA of a register */
    ck_assert_int_eq(decode(CODE32, "8e c8"), DECODE_UD);    /* MOV CS */
    ck_assert_int_eq(decode(CODE32, "8c f0"), DECODE_UD);    /* segment register 6 */
    ck_assert_int_eq(decode(CODE32, "c4 c0"), DECODE_UD);    /* LES of a register */
    ck_assert_int_eq(decode(CODE32, "0f c7 c8"), DECODE_UD); /* CMPXCHG8B of a register */
    ck_assert_int_eq(decode(CODE32, "0f 20 c8"), DECODE_UD); /* CR1 */
    ck_assert_int_eq(decode(CODE32, "0f 22 e8"), DECODE_UD); /* CR5 */
    ck_assert_int_eq(decode(CODE32, "fe d0"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32, "ff f8"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32, "ff d8"), DECODE_UD);    /* CALL far of a register */
    ck_assert_int_eq(decode(CODE32, "8f c8"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32, "c6 c8 00"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32, "0f 01 d0"), DECODE_UD); /* LGDT of a register */
    ck_assert_int_eq(decode(CODE32, "0f ba c0 01"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32, "0f 0b"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32, "0f 05"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32, "0f 38 00 00"), DECODE_UD); /* MOVBE and friends */
}
END_TEST

#define CODE64 (DECODE_CODE64 | DECODE_P6 | DECODE_LM | DECODE_VEX)

START_TEST(movsxd_of_a_word_reads_a_word_but_on_amd)
{
    static const struct { const char *hex; unsigned to, from; } codes[] = {
        {"63 00", 4, 4}, {"48 63 00", 8, 4}, {"66 63 00", 2, 2}, {"66 48 63 00", 8, 4}, {"48 66 63 00", 2, 2},
    };

    for (size_t n = 0; n < ARRAY_LEN(codes); n++) {
        ck_assert_int_eq(decode(CODE64, codes[n].hex), DECODE_OK);
        ck_assert_int_eq(decoded.op, INSN_MOVSXD);
        ck_assert_uint_eq(decoded.arg[0].size, codes[n].to);
        ck_assert_uint_eq(decoded.arg[1].size, codes[n].from);
        ck_assert_int_eq(decode(CODE64 | DECODE_AMD, codes[n].hex), DECODE_OK);
        ck_assert_uint_eq(decoded.arg[0].size, codes[n].to);
        ck_assert_uint_eq(decoded.arg[1].size, 4);
    }
}
END_TEST

/* APM 3, near branches: in 64-bit mode AMD's take 66, unless there is REX.W; Intel's do not. */
START_TEST(near_branches_of_16_bits_are_amds)
{
    static const struct { const char *amd, *intel; unsigned len, size; } codes[] = {
        {"66 eb 05", "66 eb 05", 3, 2}, {"66 e8 05 00", "66 e8 05 00 00 00", 4, 2}, {"66 0f 84 05 00", "66 0f 84 05 00 00 00", 5, 2},
        {"66 48 e9 05 00 00 00", "66 48 e9 05 00 00 00", 7, 8}, {"66 48 c3", "66 48 c3", 3, 8}, {"66 c2 08 00", "66 c2 08 00", 4, 2},
        {"66 e2 05", "66 e2 05", 3, 2}, {"66 ff e0", "66 ff e0", 3, 2}, {"66 ff 10", "66 ff 10", 3, 2},
    };

    for (size_t n = 0; n < ARRAY_LEN(codes); n++) {
        ck_assert_int_eq(decode(CODE64 | DECODE_AMD, codes[n].amd), DECODE_OK);
        ck_assert_uint_eq(decoded.osize, codes[n].size);
        ck_assert_uint_eq(decoded.len, codes[n].len);
        ck_assert_int_eq(decode(CODE64, codes[n].intel), DECODE_OK);
        ck_assert_uint_eq(decoded.osize, 8);
        ck_assert_uint_eq(decoded.len, (strlen(codes[n].intel) + 1) / 3);
    }
}
END_TEST

START_TEST(what_amds_take_and_intels_do_not)
{
    ck_assert_int_eq(decode(CODE64, "0f 0d c8"), DECODE_OK); /* PREFETCHW of a register */
    ck_assert_int_eq(decode(CODE64 | DECODE_AMD, "0f 0d 08"), DECODE_OK);
    ck_assert_int_eq(decode(CODE64, "f0 0f 00 2b"), DECODE_UD); /* LOCK VERW */
    ck_assert_int_eq(decode(CODE64 | DECODE_AMD, "f0 0f 00 2b"), DECODE_OK);
    ck_assert_int_eq(decode(CODE64 | DECODE_AMD, "f0 0f 00 eb"), DECODE_UD);
    ck_assert_int_eq(decode(CODE64 | DECODE_AMD, "f0 0f 00 23"), DECODE_UD); /* VERR */
    ASSERT_INSN(CODE32 | DECODE_LM, "f0 0f 20 c0", MOV_FROM_CR, 4); /* of CR8 */
    ck_assert_uint_eq(decoded.arg[1].reg, 8);
    ASSERT_INSN(CODE64, "f0 0f 22 c1", MOV_TO_CR, 4);
    ck_assert_uint_eq(decoded.arg[0].reg, 8);
    ASSERT_INSN(CODE64, "66 0f 78 c1 03 05", SIMD, 6); /* EXTRQ */
    ck_assert_uint_eq(decoded.imm, 3);
    ck_assert_uint_eq(decoded.imm2, 5);
    ASSERT_INSN(CODE64, "66 0f 01 fc", CLZERO, 4);
    ck_assert_int_eq(decode(CODE64, "f3 0f 01 fc"), DECODE_UD);
}
END_TEST

START_TEST(vex_prefixes_name_map_prefix_and_registers)
{
    ASSERT_INSN(CODE64, "c5 ed fe d3", SIMD, 4); /* vpaddd ymm2, ymm2, ymm3 */
    ck_assert_int_eq(decoded.vex, 2);
    ck_assert_int_eq(decoded.vvvv, 2);
    ck_assert_int_eq(decoded.map, 1);
    ck_assert(decoded.flags & INSN_OPSIZE);
    ASSERT_INSN(CODE64, "c4 42 81 b8 04 24", SIMD, 6); /* vfmadd231sd xmm8, xmm15, [r12] */
    ck_assert_int_eq(decoded.vex, 1);
    ck_assert_int_eq(decoded.vvvv, 15);
    ck_assert_int_eq(decoded.map, 2);
    ck_assert_int_eq(decoded.rex, REX_R | REX_B | REX_W);
    ck_assert_int_eq(decoded.base, 12);
    ASSERT_INSN(CODE64, "c4 e3 6d 4a c1 40", SIMD, 6); /* vblendvps ymm0, ymm2, ymm1, ymm4 */
    ck_assert_int_eq(decoded.map, 3);
    ck_assert_int_eq(decoded.imm, 0x40);
    ASSERT_INSN(CODE64, "c4 e2 65 92 0c a0", SIMD, 6); /* vgatherdps ymm1, [rax + ymm4*4], ymm3 */
    ck_assert_int_eq(decoded.index, 4);
    ASSERT_INSN(CODE64, "c5 f8 77", SIMD, 3);
    ASSERT_INSN(CODE32 | DECODE_LM | DECODE_VEX, "c5 f1 fe d3", SIMD, 4);
    ASSERT_INSN(CODE32 | DECODE_LM | DECODE_VEX, "c5 11", LOAD_FAR, 2); /* LDS */
    ASSERT_INSN(CODE32, "c4 45 10", LOAD_FAR, 3);
}
END_TEST

START_TEST(vex_prefixes_that_are_none)
{
    static const char *const undefined[] = {
        "66 c5 f1 fe d3", "f2 c5 f1 fe d3", "f3 c5 f1 fe d3", "f0 c5 f1 fe d3", "48 c5 f1 fe d3", /* after another prefix */
        "c4 e0 71 fe d3", "c4 e4 71 fe d3",                                                       /* maps 0 and 4 */
        "c5 f0 a2", "c5 f8 05",                                                                   /* CPUID, SYSCALL */
        "c4 e2 65 92 08", "c4 e2 65 92 c8",                                                       /* VSIB wants SIB */
    };

    for (size_t n = 0; n < ARRAY_LEN(undefined); n++)
        ck_assert_msg(decode(CODE64, undefined[n]) == DECODE_UD, "%s", undefined[n]);
    ck_assert_int_eq(decode(CODE64 & ~DECODE_VEX, "c5 f1 fe d3"), DECODE_UD);
    ck_assert_int_eq(decode(CODE32 | DECODE_LM, "c5 f1 fe d3"), DECODE_UD); /* LDS of a register */
    ck_assert_int_eq(decode(CODE16 | DECODE_LM | DECODE_VEX, "67 c4 e2 65 92 0c a0"), DECODE_OK);
    ck_assert_int_eq(decode(CODE16 | DECODE_LM | DECODE_VEX, "c4 e2 65 92 0c"), DECODE_UD);
}
END_TEST

START_TEST(a_486_lacks_what_came_later)
{
    static const char *const later[] = {"0f 40 c0", "0f 6f c0", "0f 34", "0f 18 00"};

    for (size_t n = 0; n < ARRAY_LEN(later); n++) {
        ck_assert_int_eq(decode(CODE32, later[n]), DECODE_OK);
        ck_assert_int_eq(decode(DECODE_CODE32, later[n]), DECODE_UD);
    }
    /* but it has these, and may have what the Pentium brought (RDTSC, RDMSR, CMPXCHG8B: lower.c asks for the flags) */
    ck_assert_int_eq(decode(DECODE_CODE32, "0f 31"), DECODE_OK);
    ck_assert_int_eq(decode(DECODE_CODE32, "0f 32"), DECODE_OK);
    ck_assert_int_eq(decode(DECODE_CODE32, "0f c7 08"), DECODE_OK);
    ck_assert_int_eq(decode(DECODE_CODE32, "0f c8"), DECODE_OK);
    ck_assert_int_eq(decode(DECODE_CODE32, "0f b1 00"), DECODE_OK);
    ck_assert_int_eq(decode(DECODE_CODE32, "0f c1 00"), DECODE_OK);
}
END_TEST

START_TEST(more_than_fifteen_bytes_are_too_long)
{
    /* 13 prefixes, 90 */
    ASSERT_INSN(CODE32, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", NOP, 15);
    ck_assert_int_eq(decode(CODE32, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90"), DECODE_LONG);
    ck_assert_int_eq(decode(CODE32, "26 26 26 26 26 26 26 26 26 26 81 05 01 02 03 04 05 06 07 08"), DECODE_LONG);
}
END_TEST

START_TEST(missing_bytes_are_asked_for)
{
    ck_assert_int_eq(decode(CODE32, ""), DECODE_SHORT);
    ck_assert_int_eq(decode(CODE32, "66"), DECODE_SHORT);
    ck_assert_int_eq(decode(CODE32, "0f"), DECODE_SHORT);
    ck_assert_int_eq(decode(CODE32, "81 05 01 02 03 04 05 06 07"), DECODE_SHORT);
    ck_assert_int_eq(decode(CODE32, "66 66 66 66 66 66 66 66 66 66 66 66 66 66"), DECODE_SHORT);
    /* even if it will be undefined: fetching comes first */
    ck_assert_int_eq(decode(CODE32, "8d"), DECODE_SHORT);
}
END_TEST

/* All bytes of what is undefined are fetched, and counted: its opcode says how many there are. */
START_TEST(what_is_undefined_is_as_long_as_its_opcode_says)
{
    static const struct { unsigned mode; const char *hex; unsigned len; } codes[] = {
        {CODE32, "c6 c8 00", 3}, {CODE32, "c7 c8 00 00 00 00", 6}, {CODE32, "66 c7 c8 00 00", 5}, {CODE16, "c7 c8 00 00", 4},
        {CODE64, "66 48 c7 c8 00 00 00 00", 8},                                                 /* REX.W before 66 */
        {CODE32, "c7 8c 00 00 00 00 00 00 00 00 00", 11}, {CODE32, "0f ba c0 00", 4},           /* groups 11 and 8 */
        {CODE32, "0f b9 c0", 3}, {CODE64, "0f b9 05 00 00 00 00", 7}, {CODE64, "0f ff 40 00", 4}, /* UD1, UD0 */
        {CODE64, "0f 0b", 2}, {CODE64, "0f 04", 2}, {CODE64, "0f 78 c0", 3}, {CODE64, "0f b8 00", 3},
        {CODE64, "0f 38 80 84 00 00 00 00 00", 9}, {CODE64, "0f 38 f2 c0", 4}, {CODE64, "f3 0f 38 f0 00", 5}, {CODE64, "f0 0f 3a ff c0 00", 6},
        {CODE64, "f0 0f 38 00 00", 5},
        {CODE64, "c5 f8 05", 3}, {CODE64, "c5 f0 a2", 3}, {CODE64, "c5 f8 a4 c0 00", 5}, {CODE64, "c5 f8 80 00 00 00 00", 7},
        {CODE64, "c5 f8 20 84", 4}, {CODE64, "c4 e2 70 ff c0", 5}, {CODE64, "c4 e3 74 f0 40 00 00", 7}, {CODE64, "c4 e4 70 fe 40 00", 6},
        {CODE64 | DECODE_AMD, "0f b9", 2}, {CODE64 | DECODE_AMD, "0f ff", 2}, {CODE64 | DECODE_AMD, "0f 0f 40 00 9e", 5},
        {CODE64 | DECODE_AMD, "0f 78 40 00 01 02", 6}, {CODE64 | DECODE_AMD, "c5 f8 78 c0 01 02", 6}, {CODE64 | DECODE_AMD, "0f 0d c8", 3},
        {CODE64 | DECODE_AMD, "f0 66 0f 78 c0 01 02", 7}, {CODE64 | DECODE_AMD, "f0 0f 20 d0", 4}, {CODE64 | DECODE_AMD, "f0 44 0f 20 c0", 5},
        {CODE64, "66 c5 f1 fe 40 00", 6}, {CODE64, "f0 c4 e3 71 0f c0 00", 7},
    };

    for (size_t n = 0; n < ARRAY_LEN(codes); n++) {
        char shorter[64];

        ck_assert_msg(decode(codes[n].mode, codes[n].hex) == DECODE_UD, "%s", codes[n].hex);
        ck_assert_msg(decoded.len == codes[n].len, "%s: %u", codes[n].hex, decoded.len);
        snprintf(shorter, sizeof shorter, "%.*s", (int)strlen(codes[n].hex) - 3, codes[n].hex);
        ck_assert_msg(decode(codes[n].mode, shorter) == DECODE_SHORT, "%s", shorter);
    }
    ck_assert_int_eq(decode(CODE64, "f3 f3 f3 f3 f3 f3 f3 f3 f3 f3 f3 0f 38 f0 c0 00"), DECODE_UD);
    ck_assert_int_eq(decode(CODE64, "f3 f3 f3 f3 f3 f3 f3 f3 f3 f3 f3 f3 0f 38 f0 c0"), DECODE_LONG);
}
END_TEST

/* Opcodes by SDM 2, tables for this generation: M has ModRM, o has
 * none, . undefined, p a prefix or escape. */
static const char *const opcode_map[2][16] = {
    {"MMMMooooMMMMooop", "MMMMooooMMMMoooo", "MMMMoopoMMMMoopo", "MMMMoopoMMMMoopo",
     "oooooooooooooooo", "oooooooooooooooo", "ooMMppppoMoMoooo", "oooooooooooooooo",
     "MMMMMMMMMMMMMMMM", "oooooooooooooooo", "oooooooooooooooo", "oooooooooooooooo",
     "MMooMMMMoooooooo", "MMMMooooMMMMMMMM", "oooooooooooooooo", "poppooMMooooooMM"},
    {"MMMM..o.oo......", "MMMMMMMMMMMMMMMM", "MMMM....MMMMMMMM", "oooooo..........",
     "MMMMMMMMMMMMMMMM", "MMMMMMMMMMMMMMMM", "MMMMMMMMMMMMMMMM", "MMMMMMMo....MMMM",
     "oooooooooooooooo", "MMMMMMMMMMMMMMMM", "oooMMM..oooMMMMM", "MMMMMMMM..MMMMMM",
     "MMMMMMMMoooooooo", "MMMMMMMMMMMMMMMM", "MMMMMMMMMMMMMMMM", "MMMMMMMMMMMMMMM."},
};

START_TEST(the_tables_agree_with_the_manuals_maps)
{
    for (unsigned map = 0; map < 2; map++)
        for (unsigned op = 0; op < 256; op++) {
            char want = opcode_map[map][op >> 4][op & 15];
            bool defined = i386_opcode_defined(map, (uint8_t)op, CODE32);

            ck_assert_msg(defined == (want == 'M' || want == 'o'), "%s%02x defined: %d", map ? "0f " : "", op, defined);
            if (defined)
                ck_assert_msg(i386_opcode_has_modrm(map, (uint8_t)op) == (want == 'M'), "%s%02x modrm", map ? "0f " : "", op);
        }
}
END_TEST

/* ---- against objdump ---- */

#define SLOT 32 /* bytes for each instruction; the rest are NOPs */

static uint32_t rng;

static uint32_t random32(void)
{
    rng = rng * 1664525u + 1013904223u;
    return rng >> 8 ^ rng << 13;
}

/* Instructions that this objdump reads differently on purpose. */
static bool not_comparable(const struct insn *i)
{
    /* F3 0F xx, 66 0F xx: mandatory prefixes; FWAIT is merged with what follows. */
    return i->op == INSN_SIMD || i->op == INSN_X87 || i->op == INSN_FWAIT || i->op == INSN_NOP ||
           /* 0F 78, 79...; 66 prefix on near branches differs in old versions */
           (i->op == INSN_MOV_FROM_CR || i->op == INSN_MOV_TO_CR);
}

/* Write `count` random instructions, each in its slot. */
static void generate(uint8_t *bytes, struct insn *insns, unsigned count, unsigned mode)
{
    memset(bytes, 0x90, (size_t)count * SLOT);
    for (unsigned n = 0; n < count; n++) {
        uint8_t *p = bytes + (size_t)n * SLOT;

        do {
            unsigned at = 0;

            memset(p, 0x90, SLOT);
            if (random32() % 4 == 0)
                p[at++] = (const uint8_t[]){0x66, 0x67, 0x26, 0x64}[random32() % 4];
            if (random32() % 3 == 0)
                p[at++] = 0x0f;
            for (; at < 12; at++)
                p[at] = (uint8_t)random32();
        } while (i386_decode(p, 15, mode, &insns[n]) != DECODE_OK || not_comparable(&insns[n]) ||
                 (insns[n].flags & (INSN_REP | INSN_REPNE | INSN_LOCK)));
        memset(p + insns[n].len, 0x90, SLOT - insns[n].len);
    }
}

START_TEST(lengths_agree_with_objdump)
{
    enum { COUNT = 4000 };
    bool wide = _i;
    char path[] = "/tmp/hc-decode-XXXXXX", command[160], line[256];
    uint8_t *bytes = malloc(COUNT * SLOT);
    struct insn *insns = calloc(COUNT, sizeof *insns);
    int fd;
    FILE *pipe;
    unsigned compared = 0;
    long next = -1, slot = -1;

    if (system("objdump --version >/dev/null 2>&1") != 0) {
        free(bytes);
        free(insns);
        return;
    }
    rng = 12345u + (unsigned)_i;
    generate(bytes, insns, COUNT, wide ? CODE32 : CODE16);
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, COUNT * SLOT), COUNT * SLOT);
    close(fd);
    snprintf(command, sizeof command, "objdump -D -z -w -b binary -m %s %s", wide ? "i386" : "i8086", path);
    pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    while (fgets(line, sizeof line, pipe)) {
        unsigned long at;
        bool bad = strstr(line, "(bad)");
        int colon = 0;

        if (sscanf(line, " %lx:%n", &at, &colon) != 1 || !colon)
            continue;
        if (slot >= 0 && next == -1) {
            unsigned len = (unsigned)(at - (unsigned long)slot * SLOT);
            const struct insn *i = &insns[slot];

            ck_assert_msg(len == i->len, "slot %ld: op %d, bytes %02x %02x %02x %02x: %u bytes, objdump says %u", slot,
                          i->op, bytes[slot * SLOT], bytes[slot * SLOT + 1], bytes[slot * SLOT + 2],
                          bytes[slot * SLOT + 3], i->len, len);
            compared++;
        }
        slot = at % SLOT == 0 && !bad ? (long)(at / SLOT) : -1;
        next = -1;
    }
    pclose(pipe);
    unlink(path);
    ck_assert_uint_gt(compared, COUNT * 9 / 10);
    free(bytes);
    free(insns);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("i386 decoder");
    TCase *t = tcase_create("decode");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, lengths_follow_operand_and_address_size);
    tcase_add_test(t, memory_operands_are_resolved);
    tcase_add_test(t, the_last_of_several_prefixes_counts);
    tcase_add_test(t, lock_is_undefined_unless_memory_is_modified);
    tcase_add_test(t, forms_that_do_not_exist_are_undefined);
    tcase_add_test(t, movsxd_of_a_word_reads_a_word_but_on_amd);
    tcase_add_test(t, vex_prefixes_name_map_prefix_and_registers);
    tcase_add_test(t, vex_prefixes_that_are_none);
    tcase_add_test(t, a_486_lacks_what_came_later);
    tcase_add_test(t, more_than_fifteen_bytes_are_too_long);
    tcase_add_test(t, missing_bytes_are_asked_for);
    tcase_add_test(t, near_branches_of_16_bits_are_amds);
    tcase_add_test(t, what_amds_take_and_intels_do_not);
    tcase_add_test(t, what_is_undefined_is_as_long_as_its_opcode_says);
    tcase_add_test(t, the_tables_agree_with_the_manuals_maps);
    tcase_add_loop_test(t, lengths_agree_with_objdump, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
