/*
 * The micro-ops VECTOR, VECTOR_TEST and VECTOR_STRINGS in x86-64 code: the host's own instruction, which is the guest's, in its VEX form
 * where the host has AVX. What the host lacks is a call. Approximations are the target's own: tables, of which each operand that is no
 * special case has an entry.
 */
#include "vm/jit/jit_priv.h"

#include <cpuid.h>

#include "base/buffer.h"

/* A bit of ECX of a leaf of the host's CPUID: for what __builtin_cpu_supports() does not know with every compiler. */
static bool cpuid_ecx(unsigned leaf, unsigned bit)
{
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid(leaf, &eax, &ebx, &ecx, &edx) && (ecx >> bit & 1);
}

void host_look(struct jit *j)
{
    bool avx = __builtin_cpu_supports("avx");

    j->host_lzcnt = cpuid_ecx(0x80000001u, 5);
    j->host = 1u << VECTOR_HOST_SSE2 | !!__builtin_cpu_supports("sse3") << VECTOR_HOST_SSE3 |
              !!__builtin_cpu_supports("ssse3") << VECTOR_HOST_SSSE3 | !!__builtin_cpu_supports("sse4.1") << VECTOR_HOST_SSE41 |
              !!__builtin_cpu_supports("sse4.2") << VECTOR_HOST_SSE42 | !!__builtin_cpu_supports("aes") << VECTOR_HOST_AES |
              !!__builtin_cpu_supports("pclmul") << VECTOR_HOST_PCLMUL | (unsigned)avx << VECTOR_HOST_AVX |
              !!__builtin_cpu_supports("avx2") << VECTOR_HOST_AVX2 | !!__builtin_cpu_supports("fma") << VECTOR_HOST_FMA |
              (unsigned)(avx && cpuid_ecx(1, 29)) << VECTOR_HOST_F16C;
}

bool host_has(const struct jit *j, enum vector_host what)
{
    return (j->host >> what & 1) && !(j->c->no_avx && what >= VECTOR_HOST_AVX);
}

static struct encoding encoding_of(uint32_t imm)
{
    return (struct encoding){.prefix = (uint8_t)SSE_PREFIX(imm), .map = (uint8_t)SSE_MAP_OF(imm), .opcode = (uint8_t)SSE_OPCODE(imm)};
}

static void immediate(struct jit *j, const struct uop *u)
{
    if (u->imm & VECTOR_IMM)
        code_8(&j->code, SSE_IMM8(u->imm));
}

/* Shifts by variable counts have elements of 64 bits with W; to others W means nothing, or must be clear. */
static unsigned width(const struct uop *u)
{
    bool variable_shift = SSE_MAP_OF(u->imm) == 2 && (SSE_OPCODE(u->imm) == 0x45 || SSE_OPCODE(u->imm) == 0x47);

    return variable_shift && (u->imm & SSE_WIDE) ? 64 : 32;
}

/* ---- with VEX ---- */

/* The mask is named by an immediate. */
static void choice_vex(struct jit *j, const struct uop *u)
{
    struct encoding o = {.prefix = 0x66, .map = 3, .opcode = (uint8_t)SSE_OPCODE(u->imm)};
    unsigned a = vector_use(j, u->a), b = vector_use(j, u->b), c = vector_use(j, VECTOR_C(u->aux));

    if (SSE_MAP_OF(u->imm) == 2)
        o.opcode = SSE_OPCODE(u->imm) == 0x10 ? 0x4c : SSE_OPCODE(u->imm) == 0x14 ? 0x4a : 0x4b;
    x_vex(&j->code, 32, o, vector_def(j, u->d), a, b);
    code_8(&j->code, c << 4);
}

static void with_vex(struct jit *j, const struct uop *u)
{
    struct encoding o = encoding_of(u->imm);
    unsigned a = u->imm & (VECTOR_ONE | VECTOR_BY_IMM) ? 0 : vector_use(j, u->a), b = vector_use(j, u->b);

    if (o.map == 2 && o.opcode == 0x19) /* VBROADCASTSD has 256 bits only; VPBROADCASTQ is the same */
        o.opcode = 0x59;
    if (u->imm & VECTOR_BY_IMM)
        x_vex(&j->code, 32, o, VECTOR_DIGIT(u->aux), vector_def(j, u->d), b);
    else
        x_vex(&j->code, width(u), o, vector_def(j, u->d), a, b);
    immediate(j, u);
}

/* xmm (ymm) = the two halves of an operand */
static void whole(struct jit *j, unsigned to, unsigned offset)
{
    unsigned low = vector_use(j, offset), high = vector_use(j, offset + j->c->fe->vector_high);

    x_vex(&j->code, 32, (struct encoding){0x66, 3, 0x38, true}, to, low, high); /* VINSERTI128 */
    code_8(&j->code, 1);
}

/* VPERMQ, VPERMPD, VPERMD, VPERMPS */
static void permute(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    struct encoding o = encoding_of(u->imm);

    o.l = true;
    whole(j, 0, u->b);
    if (!(u->imm & VECTOR_ONE))
        whole(j, 1, u->a);
    x_vex(e, o.map == 3 ? 64 : 32, o, 0, u->imm & VECTOR_ONE ? 0 : 1, 0);
    immediate(j, u);
    x_vex(e, 32, (struct encoding){0, 1, 0x28, false}, vector_def(j, u->d), 0, 0); /* VMOVAPS */
    x_vex(e, 32, (struct encoding){0x66, 3, 0x39, true}, 0, 0, vector_def(j, u->d + j->c->fe->vector_high)); /* VEXTRACTI128 */
    code_8(e, 1);
    code_bytes(e, "\xc5\xf8\x77", 3); /* VZEROUPPER: other code is SSE */
}

/* ---- without ---- */

static void copy(struct jit *j, unsigned to, unsigned from)
{
    x_sse_rr(&j->code, 0, 0x28, to, from); /* MOVAPS */
}

static void without_vex(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    struct encoding o = encoding_of(u->imm);
    unsigned b = vector_use(j, u->b);

    if (u->imm & VECTOR_BY_IMM) {
        copy(j, 1, b);
        x_legacy(e, 32, o, VECTOR_DIGIT(u->aux), 1, false);
    } else if (u->imm & VECTOR_ONE) {
        x_legacy(e, 32, o, 1, b, false);
    } else {
        copy(j, 1, vector_use(j, u->a));
        if (u->imm & VECTOR_CHOICE)
            copy(j, 0, vector_use(j, VECTOR_C(u->aux)));
        x_legacy(e, 32, o, 1, b, false);
    }
    immediate(j, u);
    copy(j, vector_def(j, u->d), 1);
}

/* ---- flags ---- */

/* xmm `to` = (both halves of a) & b, or ~a & b */
static void combine(struct jit *j, const struct uop *u, unsigned to, uint8_t opcode)
{
    struct code *e = &j->code;
    unsigned high = j->c->fe->vector_high, a = vector_use(j, u->a), b = vector_use(j, u->b), ah = vector_use(j, u->a + high),
             bh = vector_use(j, u->b + high);

    x_vex(e, 32, (struct encoding){0x66, 1, opcode, false}, to, a, b);
    x_vex(e, 32, (struct encoding){0x66, 1, opcode, false}, 2, ah, bh);
    x_vex(e, 32, (struct encoding){0x66, 1, 0xeb, false}, to, to, 2); /* VPOR */
}

static void test_256(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    struct encoding o = encoding_of(u->imm);

    combine(j, u, 0, 0xdb); /* VPAND */
    combine(j, u, 1, 0xdf); /* VPANDN */
    x_rr(e, 32, 8u * ALU_XOR + 3u, RAX, RAX);
    x_rr(e, 32, 8u * ALU_XOR + 3u, RDX, RDX);
    x_vex(e, 32, o, 0, 0, 0);
    x_setcc(e, CC_E, RDX);
    x_vex(e, 32, o, 1, 0, 1);
    x_setcc(e, CC_E, RAX);
    x_shift_imm(e, 32, SHIFT_SHL, RDX, 6);
    x_alu(e, 32, ALU_OR, RAX, RDX);
    flags_put(j);
}
_Static_assert(FLAG_Z == 1u << 6 && FLAG_C == 1, "as ZF and CF are put together here");

static void test_128(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    unsigned a = vector_use(j, u->a), b = vector_use(j, u->b);

    if (SSE_OPCODE(u->imm) == 0x17)
        x_legacy(e, 32, encoding_of(u->imm), a, b, false);
    else
        x_vex(e, 32, encoding_of(u->imm), a, 0, b);
    code_8(e, 0x9f); /* LAHF */
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 8);
    x_alu_imm(e, 32, ALU_AND, RAX, FLAG_Z | FLAG_C);
    flags_put(j);
}

/* PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI: lengths in rax and rdx, the index in rcx, the mask in xmm0. */
static void strings(struct jit *j, const struct uop *u, bool vex)
{
    struct code *e = &j->code;
    struct encoding o = encoding_of(u->imm);
    bool with_index = o.opcode & 1, implicit = o.opcode & 2;
    unsigned bits = u->imm & SSE_WIDE ? 64 : 32, a, b;

    if (!implicit) {
        operand_get(j, RAX, VECTOR_LENGTH(u->aux, 0), bits, j->home);
        operand_get(j, RDX, VECTOR_LENGTH(u->aux, 1), bits, j->home);
    }
    a = vector_use(j, u->a);
    b = vector_use(j, u->b);
    if (vex)
        x_vex(e, bits, o, a, 0, b);
    else
        x_legacy(e, bits, o, a, b, false);
    code_8(e, SSE_IMM8(u->imm));
    x_setcc(e, CC_O, RDX);
    code_8(e, 0x9f); /* LAHF */
    if (with_index)
        x_rr(e, j->home, X_MOV_LOAD, operand_def(j, u->d, j->home), RCX);
    else
        copy(j, vector_def(j, u->d), 0);
    x_rr(e, 32, X_MOVZX8, RDX, RDX);
    x_shift_imm(e, 32, SHIFT_SHL, RDX, 11);
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 8);
    x_alu_imm(e, 32, ALU_AND, RAX, FLAG_S | FLAG_Z | FLAG_C);
    x_alu(e, 32, ALU_OR, RAX, RDX);
    flags_put(j);
}
_Static_assert(FLAG_O == 1u << 11 && FLAG_S == 1u << 7, "as they are put together here");

static bool is_approximation(uint32_t imm)
{
    return SSE_MAP_OF(imm) == 1 && (SSE_OPCODE(imm) == 0x52 || SSE_OPCODE(imm) == 0x53);
}

/* RCPPS, RSQRTPS: what they make of a number with exponent 127, by the leading bits of the fraction; RSQRTPS also of one with exponent 128,
 * in the lower half. */
static const uint32_t *approximations(struct jit *j, bool root)
{
    const unsigned entries = root ? 4096 : 2048;
    uint32_t **table = &j->approximations[root];

    if (*table)
        return *table;
    *table = xcalloc(entries, sizeof(**table));
    for (unsigned i = 0; i < entries; i++)
        (*table)[i] = j->c->fe->approximation(root, (root && i < 2048 ? 0x40000000u : 0x3f800000u) | (i & 2047) << 12);
    return *table;
}

/* ecx = the entry for eax. Destroys rdx. */
static void look_up(struct jit *j, bool root)
{
    struct code *e = &j->code;

    x_mov(e, 32, RCX, RAX);
    x_shift_imm(e, 32, SHIFT_SHR, RCX, 12);
    x_alu_imm(e, 32, ALU_AND, RCX, root ? 4095 : 2047);
    x_mov_imm(e, RDX, (uint64_t)(uintptr_t)approximations(j, root));
    x_rmx(e, 32, X_MOV_LOAD, RCX, RDX, RCX, 2, 0);
}

/* eax = what comes of it. Returns the jump for a special case: zero, tiny, infinity, not a number, a result that would be tiny. */
static uint8_t *reciprocal(struct jit *j)
{
    struct code *e = &j->code;
    uint8_t *special;

    x_rmx(e, 32, X_LEA, RDX, RAX, RAX, 0, 0);
    x_alu_imm(e, 32, ALU_SUB, RDX, 1 << 24);
    x_alu_imm(e, 32, ALU_CMP, RDX, (int32_t)(252u << 24));
    special = x_jcc(e, CC_AE);
    look_up(j, false);
    x_mov(e, 32, RDX, RAX);
    x_alu_imm(e, 32, ALU_AND, RDX, 0x7f800000);
    x_alu(e, 32, ALU_SUB, RCX, RDX);
    x_alu_imm(e, 32, ALU_ADD, RCX, 127 << 23);
    x_alu_imm(e, 32, ALU_AND, RAX, INT32_MIN);
    x_alu(e, 32, ALU_OR, RAX, RCX);
    return special;
}

/* The same; one below zero is special, too. */
static uint8_t *reciprocal_root(struct jit *j)
{
    struct code *e = &j->code;
    uint8_t *special;

    x_rm(e, 32, X_LEA, RDX, RAX, -(1 << 23));
    x_alu_imm(e, 32, ALU_CMP, RDX, 254 << 23);
    special = x_jcc(e, CC_AE);
    look_up(j, true);
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 23);
    x_alu_imm(e, 32, ALU_ADD, RAX, 1);
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 1);
    x_shift_imm(e, 32, SHIFT_SHL, RAX, 23);
    x_alu(e, 32, ALU_SUB, RCX, RAX);
    x_rm(e, 32, X_LEA, RAX, RCX, 64 << 23);
    return special;
}

/* In xmm1, element by element. */
static void approximation(struct jit *j, const struct uop *u)
{
    const bool one = !(u->imm & VECTOR_ONE), root = SSE_OPCODE(u->imm) == 0x52;
    unsigned b = vector_use(j, u->b), a = one ? vector_use(j, u->a) : 0, d = vector_reserve(j, u->d);
    struct slow *s = slow_path(j, SLOW_GENERIC);
    struct code *e = &j->code;

    if (one)
        copy(j, 1, a);
    for (unsigned n = 0; n < (one ? 1 : 4); n++) {
        x_legacy(e, 32, (struct encoding){0x66, 3, 0x16, false}, b, RAX, false); /* PEXTRD */
        code_8(e, n);
        s->from[n] = root ? reciprocal_root(j) : reciprocal(j);
        x_legacy(e, 32, (struct encoding){0x66, 3, 0x22, false}, 1, RAX, false); /* PINSRD */
        code_8(e, n);
    }
    copy(j, d, 1);
    s->back = e->at;
    vector_def(j, u->d);
}

bool emit_simd(struct jit *j, const struct uop *u)
{
    bool vex = host_has(j, VECTOR_HOST_AVX);

    if (u->op == UOP_VECTOR_STRINGS && host_has(j, VECTOR_HOST_SSE42)) {
        strings(j, u, vex);
        return true;
    }
    if ((u->op != UOP_VECTOR && u->op != UOP_VECTOR_TEST) || !host_has(j, VECTOR_HOST(u->aux)))
        return false;
    if (is_approximation(u->imm)) {
        if (!host_has(j, VECTOR_HOST_SSE41) || !j->c->fe->approximation)
            return false;
        approximation(j, u);
        return true;
    }
    if (u->op == UOP_VECTOR_TEST) {
        if ((u->imm & SSE_PAIR) && !vex)
            return false;
        if (u->imm & SSE_PAIR)
            test_256(j, u);
        else
            test_128(j, u);
    } else if (u->imm & SSE_PAIR) {
        permute(j, u);
    } else if (!vex) {
        without_vex(j, u);
    } else if (u->imm & VECTOR_CHOICE) {
        choice_vex(j, u);
    } else {
        with_vex(j, u);
    }
    return true;
}
