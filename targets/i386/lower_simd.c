/*
 * Lowering of MMX, SSE and AVX. What works on XMM and YMM registers is micro-ops, as simd_map.c says; what
 * works on MMX registers, and the state of both, calls its helper (sse.c, mmx.c). The rules are those of lower.c.
 *
 * 256 bits are two vectors of 128, the upper one S_VECTOR_HIGH bytes behind the lower one; so are the
 * temporaries. An instruction without exceptions is done to one and then to the other.
 */
#include "i386/lower_simd.h"

#include "i386/fpu.h"

static enum simd_prefix simd_prefix(const struct lower *l)
{
    if (l->i.flags & INSN_REP)
        return PREFIX_F3;
    return l->i.flags & INSN_REPNE ? PREFIX_F2 : l->i.flags & INSN_OPSIZE ? PREFIX_66 : PREFIX_NONE;
}

/* The mandatory prefix as it is in the code. */
static unsigned prefix_byte(enum simd_prefix prefix)
{
    static const uint8_t bytes[] = {[PREFIX_66] = 0x66, [PREFIX_F3] = 0xf3, [PREFIX_F2] = 0xf2};

    return bytes[prefix];
}

/* ---- what there is ---- */

static bool model_has(const struct lower *l, enum simd_set set)
{
    static const uint16_t features[SET_COUNT] = {
        [SET_SSE] = FEATURE_SSE, [SET_SSE2] = FEATURE_SSE2, [SET_SSE3] = FEATURE_SSE3, [SET_SSSE3] = FEATURE_SSSE3,
        [SET_SSE41] = FEATURE_SSE41, [SET_SSE42] = FEATURE_SSE42, [SET_AES] = FEATURE_AES, [SET_PCLMUL] = FEATURE_PCLMUL,
        [SET_SSE4A] = FEATURE_SSE4A,
    };

    return has(l, features[set]);
}

static bool vector_length_exists(const struct lower *l, enum simd_vex vex)
{
    bool avx = has(l, FEATURE_AVX), avx2 = has(l, FEATURE_AVX2);

    switch (vex) {
    case VEX_AVX: case VEX_SCALAR: return avx;
    case VEX_INT: return is_256(l) ? avx2 : avx;
    case VEX_L0: return avx && !is_256(l);
    case VEX_L1: return avx && is_256(l);
    case VEX_AES: return avx && (!is_256(l) || has(l, FEATURE_VAES));
    case VEX_PCLMUL: return avx && (!is_256(l) || has(l, FEATURE_VPCLMUL));
    case VEX_AVX2: return avx2;
    case VEX_AVX2_L1: return avx2 && is_256(l);
    case VEX_FMA: case VEX_FMA_SCALAR: return has(l, FEATURE_FMA);
    case VEX_F16C: return has(l, FEATURE_F16C);
    default: return false;
    }
}

/* Does it name a register by vvvv? Else that must be 1111. */
static bool uses_vvvv(const struct lower *l, const struct simd_row *r)
{
    switch (r->form) {
    case SIMD_TWO: case SIMD_COUNT: case SIMD_CHOICE: case SIMD_SHIFT: case SIMD_FLOAT: case SIMD_DOT: case SIMD_FROM_INTEGER:
    case SIMD_LOAD_HALF: case SIMD_INSERT: case SIMD_INSERT_128: case SIMD_PERMUTE_128: case SIMD_MASK_LOAD:
    case SIMD_MASK_STORE: case SIMD_GATHER:
        return true;
    case SIMD_LOAD_LOW: case SIMD_STORE_LOW:
        return !has_mem(l);
    case SIMD_PERMUTE:
        return l->i.map == 2;
    default:
        return false;
    }
}

static bool vex_form_exists(const struct lower *l, const struct simd_row *r)
{
    bool w = l->i.rex & REX_W, amd = i386_of(l->b->cpu)->model->amd; /* they take VPERMQ and VPERMPD without W */

    if (!vector_length_exists(l, (enum simd_vex)r->vex))
        return false;
    if (((r->flags & SIMD_W0) && w) || ((r->flags & SIMD_W1) && !w && !amd))
        return false;
    if (amd && !wide(l) && w && (r->form == SIMD_INSERT || r->form == SIMD_EXTRACT) && !r->bytes)
        return false; /* VPINSRQ, VPEXTRQ */
    if ((r->set == SET_AES || r->set == SET_PCLMUL) && !model_has(l, (enum simd_set)r->set))
        return false;
    /* Broadcasts of a register came with AVX2. */
    if (r->form == SIMD_BROADCAST && !has_mem(l) && !has(l, FEATURE_AVX2))
        return false;
    return !l->i.vvvv || uses_vvvv(l, r);
}

/* The registers of VGATHER are three different ones. */
static bool gathers_well(const struct lower *l)
{
    return number_reg(l) != l->i.index && number_reg(l) != l->i.vvvv && l->i.index != l->i.vvvv;
}

static bool exists(const struct lower *l, const struct simd_row *r)
{
    unsigned digit = l->i.modrm >> 3 & 7;
    bool mem = has_mem(l);

    if (r->form == SIMD_NONE || ((r->flags & SIMD_MEM) && !mem) || ((r->flags & SIMD_REG) && mem))
        return false;
    switch (r->form) {
    case SIMD_SHIFT:
        if (!(digit == 2 || digit == 6 || (l->i.opcode == 0x73 ? digit == 3 || digit == 7 : digit == 4)))
            return false;
        break;
    case SIMD_FIELD: /* EXTRQ is of a group */
        if (!(l->i.flags & INSN_REPNE) && digit)
            return false;
        break;
    case SIMD_MXCSR:
        if (digit != 2 && digit != 3)
            return false;
        break;
    case SIMD_GATHER:
        if (!gathers_well(l))
            return false;
        break;
    default:
        break;
    }
    return l->i.vex ? vex_form_exists(l, r) : r->set != SET_NONE && model_has(l, (enum simd_set)r->set);
}

/* Bits of CR0, once in a block: what changes them ends it. */
static void check(struct lower *l, i386_helper *fn, uint32_t bits)
{
    for (unsigned i = 0; i < l->b->nuops; i++)
        if (l->b->uops[i].op == UOP_CHECK32 && l->b->uops[i].fn == fn)
            return;
    build_call(l->b, fn, bits, S_OFF(cr0), 0)->op = UOP_CHECK32;
}

/* CR0.EM and CR0.TS; with VEX only TS. */
static void check_available(struct lower *l)
{
    if (l->i.vex)
        check(l, i386_op_avx_unavailable, CR0_TS);
    else
        check(l, i386_op_sse_unavailable, CR0_EM | CR0_TS);
}

/* ---- operations on vectors ---- */

/* What a host must have to do it itself. */
static enum vector_host host_needs(const struct simd_row *r)
{
    static const uint8_t by_set[SET_COUNT] = {
        [SET_SSE3] = VECTOR_HOST_SSE3, [SET_SSSE3] = VECTOR_HOST_SSSE3, [SET_SSE41] = VECTOR_HOST_SSE41,
        [SET_SSE42] = VECTOR_HOST_SSE42, [SET_AES] = VECTOR_HOST_AES, [SET_PCLMUL] = VECTOR_HOST_PCLMUL,
        [SET_SSE4A] = VECTOR_HOST_NONE, /* what makers leave undefined of them may differ */
    };

    if (r->form == SIMD_BROADCAST)
        return VECTOR_HOST_AVX2;
    if (r->set != SET_NONE)
        return (enum vector_host)by_set[r->set];
    return r->vex == VEX_AVX || r->vex == VEX_L1 ? VECTOR_HOST_AVX : VECTOR_HOST_AVX2;
}

static bool has_imm8(const struct lower *l)
{
    return l->i.arg[1].kind == OPERAND_IMM;
}

static uint32_t operation(const struct lower *l, unsigned imm8)
{
    return SSE_OPERATION(l->i.opcode, prefix_byte(simd_prefix(l)), imm8 & 0xff) | SSE_MAP(l->i.map) |
           (l->i.rex & REX_W ? SSE_WIDE : 0);
}

/* Of those with an integer operand: outside 64-bit mode W does not matter. */
static uint32_t integer_operation(const struct lower *l)
{
    return (operation(l, 0) & ~SSE_WIDE) | (integer_bytes(l) == 8 ? SSE_WIDE : 0);
}

/* d = a op b of 128 bits */
static void vector(struct lower *l, const struct simd_row *r, unsigned d, unsigned a, unsigned b, unsigned imm8, uint32_t more,
                   uint32_t aux)
{
    if (r->uop == UOP_VBIC) /* ~a & b */
        emit(l, UOP_VBIC, d, b, a);
    else if (r->uop)
        emit(l, (enum uop_code)r->uop, d, a, b);
    else
        build(l->b, UOP_VECTOR, d, a, b, operation(l, imm8) | more | (has_imm8(l) ? VECTOR_IMM : 0),
              aux | (uint32_t)host_needs(r) << VECTOR_HOST_SHIFT);
}

/* The same of 128 or 256 bits. c: VECTOR_C. */
static void vectors(struct lower *l, const struct simd_row *r, unsigned d, unsigned a, unsigned b, uint32_t more, unsigned c)
{
    unsigned high_b = r->form == SIMD_COUNT ? b : b + S_VECTOR_HIGH, imm8 = l->i.imm;

    if (l->i.opcode == 0x21 && l->i.map == 3 && has_mem(l)) /* INSERTPS: the element is the one loaded */
        imm8 &= 0x3f;
    if (is_256(l)) /* first: the count for both may be in d */
        vector(l, r, d + S_VECTOR_HIGH, a + S_VECTOR_HIGH, high_b, imm8 >> r->split, more,
               VECTOR_C(c) ? c + S_VECTOR_HIGH : c);
    vector(l, r, d, a, b, imm8, more, c);
    if (l->i.vex && !is_256(l))
        simd_clear_high(l, d);
}

static unsigned vector_source(struct lower *l, const struct simd_row *r)
{
    unsigned bytes = r->bytes ? r->bytes : is_256(l) ? 32 : 16;

    /* MOVDDUP of 256 bits reads all of them */
    if (is_256(l) && r->form == SIMD_ONE)
        bytes = 32;
    return simd_source(l, bytes, !l->i.vex && !(r->flags & SIMD_UNALIGNED));
}

static void choice(struct lower *l, const struct simd_row *r)
{
    unsigned mask = l->i.vex ? S_XMM(l->i.imm >> 4 & (wide(l) ? 15 : 7)) : S_XMM(0), b = vector_source(l, r);

    vectors(l, r, xmm_reg(l), xmm_first(l), b, VECTOR_CHOICE, mask);
}

static void shift(struct lower *l, const struct simd_row *r)
{
    uint32_t digit = l->i.modrm >> 3 & 7;

    vectors(l, r, l->i.vex ? S_XMM(l->i.vvvv) : xmm_rm(l), xmm_rm(l), xmm_rm(l), VECTOR_BY_IMM, digit << VECTOR_DIGIT_SHIFT);
}

/* PMOVSX, PMOVZX: of 256 bits, the upper half is made of the elements behind those of the lower one. */
static void widen(struct lower *l, const struct simd_row *r)
{
    unsigned d = xmm_reg(l), b = simd_source(l, is_256(l) ? 2u * r->bytes : r->bytes, false);

    if (!is_256(l)) {
        vectors(l, r, d, b, b, VECTOR_ONE, 0);
        return;
    }
    build(l->b, UOP_VECTOR, S_XT(1), b, b, SSE_OPERATION(0x73, 0x66, r->bytes) | SSE_MAP(1) | VECTOR_BY_IMM | VECTOR_IMM,
          3u << VECTOR_DIGIT_SHIFT); /* PSRLDQ */
    vector(l, r, d, b, b, 0, VECTOR_ONE, 0);
    vector(l, r, d + S_VECTOR_HIGH, S_XT(1), S_XT(1), 0, VECTOR_ONE, 0);
}

static void broadcast(struct lower *l, const struct simd_row *r)
{
    unsigned d = xmm_reg(l), b = simd_source(l, r->bytes, false);

    vector(l, r, d, b, b, 0, VECTOR_ONE, 0);
    if (is_256(l))
        simd_move(l, d + S_VECTOR_HIGH, d);
    else
        simd_clear_high(l, d);
}

static void permute(struct lower *l, const struct simd_row *r)
{
    unsigned b = vector_source(l, r);

    vector(l, r, xmm_reg(l), l->i.map == 2 ? xmm_first(l) : b, b, l->i.imm,
           SSE_PAIR | (l->i.map == 2 ? 0 : VECTOR_ONE | SSE_WIDE), 0);
}

/* EXTRQ and INSERTQ with immediates: length (0: 64) and the lowest bit's number. What the manual leaves undefined (APM 4) is as processors
 * have it: of a field beyond bit 63 what is there counts, and the upper half of the result becomes 0. */
static void field(struct lower *l)
{
    bool extract = !(l->i.flags & INSN_REPNE);
    unsigned length = l->i.imm & 63 ? l->i.imm & 63 : 64, at = l->i.imm2 & 63, above = 64 - length;
    unsigned d = extract ? xmm_rm(l) : xmm_reg(l), part = S_XT(0), mask = S_XT(1);
    uint64_t bits = (UINT64_MAX >> above) << at;

    if (extract) {
        emit_imm(l, UOP_LSR64I, d, d, at);
        build(l->b, UOP_MOVI64, mask, 0, 0, 0, 0)->imm64 = UINT64_MAX >> above;
        emit(l, UOP_AND64, d, d, mask);
    } else {
        emit_imm(l, UOP_LSL64I, part, xmm_rm(l), at);
        build(l->b, UOP_MOVI64, mask, 0, 0, 0, 0)->imm64 = bits;
        emit(l, UOP_AND64, part, part, mask);
        build(l->b, UOP_MOVI64, mask, 0, 0, 0, 0)->imm64 = ~bits;
        emit(l, UOP_AND64, d, d, mask);
        emit(l, UOP_OR64, d, d, part);
    }
    build(l->b, UOP_MOVI64, d + 8, 0, 0, 0, 0);
}

static void test(struct lower *l, const struct simd_row *r)
{
    unsigned b = vector_source(l, r);

    build(l->b, UOP_VECTOR_TEST, 0, xmm_reg(l), b, operation(l, 0) | (is_256(l) ? SSE_PAIR : 0),
          (uint32_t)(r->set ? VECTOR_HOST_SSE41 : VECTOR_HOST_AVX) << VECTOR_HOST_SHIFT);
}

static void string(struct lower *l, const struct simd_row *r)
{
    unsigned b = vector_source(l, r);

    build(l->b, UOP_VECTOR_STRINGS, l->i.opcode & 1 ? S_GPR32(ECX) : S_XMM(0), xmm_reg(l), b,
          integer_operation(l) | (l->i.imm & 0xff) << 16, VECTOR_LENGTHS(S_GPR32(EAX), S_GPR32(EDX)));
    if (l->i.vex && !(l->i.opcode & 1)) /* ...M writes XMM0 */
        simd_clear_high(l, S_XMM(0));
}

static bool lower_operation(struct lower *l, const struct simd_row *r)
{
    switch (r->form) {
    case SIMD_TWO: case SIMD_COUNT: vectors(l, r, xmm_reg(l), xmm_first(l), vector_source(l, r), 0, 0); return true;
    case SIMD_ONE: {
        unsigned b = vector_source(l, r);

        vectors(l, r, xmm_reg(l), b, b, VECTOR_ONE, 0);
        return true;
    }
    case SIMD_CHOICE: choice(l, r); return true;
    case SIMD_FIELD: field(l); return true;
    case SIMD_SHIFT: shift(l, r); return true;
    case SIMD_WIDEN: widen(l, r); return true;
    case SIMD_BROADCAST: broadcast(l, r); return true;
    case SIMD_PERMUTE: permute(l, r); return true;
    case SIMD_TEST: test(l, r); return true;
    case SIMD_STRING: string(l, r); return true;
    default: return false;
    }
}

/* ---- floating point ---- */

/* imm8 of CMPPS: without VEX there are eight predicates. */
static uint32_t float_operation(const struct lower *l)
{
    unsigned imm8 = has_imm8(l) ? l->i.imm : 0;

    if (l->i.opcode == 0xc2 && l->i.map == 1)
        imm8 &= l->i.vex ? 31 : 7;
    return operation(l, imm8);
}

static unsigned float_bytes(const struct lower *l, const struct simd_row *r)
{
    if (r->vex == VEX_FMA_SCALAR)
        return element_bytes_by_w(l);
    if (r->form == SIMD_FLOAT_ONE && r->bytes) /* of those that widen */
        return is_256(l) ? 2u * r->bytes : r->bytes;
    return r->bytes ? r->bytes : is_256(l) ? 32 : 16;
}

static void lower_float(struct lower *l, const struct simd_row *r)
{
    bool scalar = r->vex == VEX_SCALAR || r->vex == VEX_FMA_SCALAR, pair = is_256(l) && !scalar;
    unsigned d = xmm_reg(l), b = simd_source(l, float_bytes(l, r), !l->i.vex);
    unsigned a = r->form == SIMD_FLOAT ? xmm_first(l) : b;

    build(l->b, UOP_SSE, d, a, b, float_operation(l) | (pair ? SSE_PAIR : 0), 0);
    if (l->i.vex && (!pair || r->form == SIMD_NARROW))
        simd_clear_high(l, d);
}

/* ---- dot products ---- */

/* Elements of 32 bits of a vector in another order. */
static void shuffled(struct lower *l, unsigned d, unsigned a, unsigned order)
{
    build(l->b, UOP_VECTOR, d, a, a, SSE_OPERATION(0x70, 0x66, order) | SSE_MAP(1) | VECTOR_ONE | VECTOR_IMM, 0); /* PSHUFD */
}

/* Those of them that `which` names, 0 for the others. */
static void chosen(struct lower *l, unsigned d, unsigned a, unsigned which)
{
    build(l->b, UOP_VECTOR, d, a, a, SSE_OPERATION(0x21, 0x66, ~which & 15) | SSE_MAP(3) | VECTOR_IMM, /* INSERTPS */
          (uint32_t)VECTOR_HOST_SSE41 << VECTOR_HOST_SHIFT);
}

/* Of two elements of 64 bits as of four of 32. */
static unsigned elements(unsigned which, bool doubles)
{
    return doubles ? (which & 1 ? 3 : 0) | (which & 2 ? 12 : 0) : which & 15;
}

static void for_halves(struct lower *l, void (*fn)(struct lower *l, unsigned d, unsigned a, unsigned how), unsigned d, unsigned a,
                       unsigned how)
{
    fn(l, d, a, how);
    if (is_256(l))
        fn(l, d + S_VECTOR_HIGH, a + S_VECTOR_HIGH, how);
}

/* DPPS DPPD: products, sums of two, their sum, as the manual has them: each step may end in an exception, and which of two NaNs it
 * gives is its own. An element that does not count is +0 times +0. The sums of the elements that nobody asks for are
 * others once more, so they have no flags of their own. */
static void dot_product(struct lower *l, const struct simd_row *r)
{
    bool doubles = r->bytes == 8;
    unsigned sum = S_XT(1), other = S_XT(2), imm8 = l->i.imm, prefix = doubles ? 0x66 : 0;
    unsigned b = simd_source(l, is_256(l) ? 32 : 16, !l->i.vex);
    uint32_t more = SSE_MAP(1) | (is_256(l) ? SSE_PAIR : 0);

    for_halves(l, chosen, sum, xmm_first(l), elements(imm8 >> 4, doubles));
    for_halves(l, chosen, other, b, elements(imm8 >> 4, doubles));
    build(l->b, UOP_SSE, sum, sum, other, SSE_OPERATION(0x59, prefix, 0) | more, 0);
    if (!doubles) {
        for_halves(l, shuffled, other, sum, 0xb1);
        build(l->b, UOP_SSE, sum, sum, other, SSE_OPERATION(0x58, prefix, 0) | more, 0);
    }
    for_halves(l, shuffled, other, sum, 0x4e);
    build(l->b, UOP_SSE, sum, sum, other, SSE_OPERATION(0x58, prefix, 0) | more, 0);
    for_halves(l, shuffled, sum, sum, doubles ? 0x44 : 0);
    for_halves(l, chosen, xmm_reg(l), sum, elements(imm8, doubles));
    if (l->i.vex && !is_256(l))
        simd_clear_high(l, xmm_reg(l));
}

/* CVTSI2SS CVTSI2SD */
static void from_integer(struct lower *l)
{
    unsigned d = xmm_reg(l), source = gpr_rm(l);
    struct mem m;

    if (has_mem(l)) {
        source = S_T(1);
        simd_address(l, &m, integer_bytes(l), false, false);
        mem_load(l, integer_bytes(l), source, &m);
    }
    build(l->b, UOP_SSE, d, xmm_first(l), source, integer_operation(l), 0);
    if (l->i.vex)
        simd_clear_high(l, d);
}

/* As CVTDQ2PD, whatever the alignment; so #XM cannot be. */
static void from_integers(struct lower *l)
{
    unsigned b = simd_source(l, 8, false);

    build(l->b, UOP_SSE, xmm_reg(l), b, b, SSE_OPERATION(0xe6, 0xf3, 0) | SSE_MAP(1), 0);
}

/* CVTSS2SI CVTSD2SI, and truncating */
static void to_integer(struct lower *l, const struct simd_row *r)
{
    unsigned source = simd_source(l, r->bytes, false);

    build(l->b, UOP_SSE, gpr_reg(l), 0, source, integer_operation(l), 0);
    if (wide(l) && integer_bytes(l) == 4)
        emit(l, UOP_MOV32Z, gpr_reg(l), gpr_reg(l), 0);
}

/* VCVTPS2PH: the result, half as long, goes to the r/m operand. That it can be stored is looked at before flags of MXCSR change. */
static void to_half(struct lower *l)
{
    const unsigned bytes = is_256(l) ? 16 : 8, how = MASKED_PROBE | MASKED_PLAIN | (wide(l) ? MASKED_WIDE : 0);
    unsigned d = has_mem(l) ? S_XT(1) : xmm_rm(l), at;
    struct mem m;

    if (has_mem(l)) {
        simd_address(l, &m, bytes, true, false);
        at = mem_flatten(l, &m, S_T(0));
        if (at != S_T(0))
            emit(l, wide(l) ? UOP_MOV64 : UOP_MOV32, S_T(0), at, 0);
        build_call(l->b, i386_op_writable, 0, bytes, how)->op = UOP_VECTOR_MASKED;
    }
    build(l->b, UOP_SSE, d, xmm_reg(l), xmm_reg(l), float_operation(l) | (is_256(l) ? SSE_PAIR : 0), 0);
    if (has_mem(l)) {
        m = (struct mem){.a = (uint16_t)S_T(0)};
        simd_store(l, d, bytes, &m);
    } else {
        simd_clear_high(l, d);
    }
}

static bool lower_arithmetic(struct lower *l, const struct simd_row *r)
{
    switch (r->form) {
    case SIMD_FLOAT: case SIMD_FLOAT_ONE: case SIMD_NARROW: lower_float(l, r); return true;
    case SIMD_DOT: dot_product(l, r); return true;
    case SIMD_FROM_INTEGER: from_integer(l); return true;
    case SIMD_FROM_INTEGERS: from_integers(l); return true;
    case SIMD_TO_INTEGER: to_integer(l, r); return true;
    case SIMD_COMPARE: {
        unsigned b = simd_source(l, r->bytes, false);

        build(l->b, UOP_SSE_COMPARE, 0, xmm_reg(l), b, operation(l, 0), 0);
        return true;
    }
    case SIMD_TO_HALF: to_half(l); return true;
    default: return false;
    }
}

/* ---- MMX, and the rest ---- */

/* MASKMOVQ stores at DI, EDI or RDI. */
static bool is_masked(unsigned opcode)
{
    return opcode == 0xf7;
}

/* May compiled code do it itself? Then what makes it unavailable is checked before. */
static bool is_plain_mmx(struct lower *l, unsigned opcode, unsigned fx)
{
    const struct i386_model *model = i386_of(l->b->cpu)->model;

    if (l->b->max_insns == 1 || ((has_mem(l) || is_masked(opcode)) && !x87_is_flat(l)))
        return false;
    if (i386_is_mmx(model, opcode, l->i.modrm, fx))
        check(l, i386_op_mmx_unavailable, CR0_EM | CR0_TS);
    else if ((l->mode & MODE_SSE) && i386_is_mmx_and_sse(model, opcode, l->i.modrm, fx))
        check(l, i386_op_sse_unavailable, CR0_EM | CR0_TS);
    else
        return false;
    return true;
}

/* MOVNTI: a store like any other, which needs no SSE state. */
static bool is_movnti(const struct lower *l)
{
    return l->i.map == 1 && l->i.opcode == 0xc3 && !l->i.vex && simd_prefix(l) == PREFIX_NONE && has_mem(l) &&
           i386_of(l->b->cpu)->model->has_sse2;
}

static enum build_next lower_movnti(struct lower *l)
{
    struct mem m;

    mem_operand(l, &m, integer_bytes(l), true);
    mem_store(l, integer_bytes(l), gpr_reg(l), &m);
    return BUILD_MORE;
}

static enum build_next lower_mmx(struct lower *l)
{
    const struct i386_model *model = i386_of(l->b->cpu)->model;
    struct uop *u;
    unsigned b = has_mem(l) ? I386_FX_MEM | l->i.seg : 0, a = l->i.modrm, opcode = l->i.opcode | (l->i.map - 1u) << 8;

    if (has_mem(l))
        mem_offset(l);
    if (l->i.osize >= 4)
        b |= I386_FX_OP32;
    if (l->i.rex & REX_W)
        b |= I386_FX_W;
    a |= (l->i.rex & REX_R ? I386_FX_REX_R : 0) | (l->i.rex & REX_B ? I386_FX_REX_B : 0);
    if (l->i.flags & INSN_OPSIZE)
        b |= I386_FX_66;
    if (l->i.flags & INSN_REPNE)
        b |= I386_FX_F2;
    if (l->i.flags & INSN_REP)
        b |= I386_FX_F3;
    if (i386_is_fence(model, opcode, l->i.modrm, b)) {
        emit(l, UOP_NOP, 0, 0, 0);
        return BUILD_MORE;
    }
    if (has_imm8(l))
        set_const(l, S_T(1), l->i.imm);
    if (is_masked(opcode)) {
        b |= l->i.seg;
        emit(l, l->i.asize == 2 ? UOP_ZX16_32 : l->i.asize == 8 ? UOP_MOV64 : wide(l) ? UOP_MOV32Z : UOP_MOV32, S_T(0),
             S_GPR32(EDI), 0);
    }
    if (is_plain_mmx(l, opcode, b)) {
        b |= X87_MMX | X87_PLAIN | (wide(l) ? X87_WIDE : 0);
    }
    u = build_call(l->b, i386_simd_handler(model, opcode, l->i.modrm, b), opcode, a, b);
    if (b & X87_MMX)
        u->op = UOP_X87;
    return BUILD_MORE;
}

bool simd_wants_alone(const struct lower *l)
{
    unsigned digit = l->i.modrm >> 3 & 7;

    return l->i.map == 1 && l->i.opcode == 0xae && has_mem(l) && digit == 0; /* FXSAVE */
}

enum build_next lower_simd(struct lower *l)
{
    const struct simd_row *r = i386_simd_row(l->i.map, l->i.opcode, simd_prefix(l));

    if (is_movnti(l))
        return lower_movnti(l);
    if (!exists(l, r))
        return l->i.vex ? end_undefined(l) : lower_mmx(l);
    if (!(l->mode & (l->i.vex ? MODE_AVX : MODE_SSE)))
        return end_undefined(l);
    check_available(l);
    if (!lower_simd_move(l, r) && !lower_operation(l, r))
        lower_arithmetic(l, r);
    return BUILD_MORE;
}
