/*
 * Lowering of loads and stores (DDI 0487 C4.1, "Loads and stores"), of general and
 * of SIMD&FP registers.
 *
 * An access is one micro-op wherever it can be; a pair is one access. Pairs of exclusives, maxima and minima of
 * memory, structures but for the frequent ones, and the unprivileged accesses of EL1 are helpers. Memory
 * ordering needs nothing: there is one processing element and every access is
 * performed in order.
 *
 * CONSTRAINED UNPREDICTABLE cases: a load with write-back to its own target
 * leaves the address there; a load pair of one register leaves the second value.
 * Prefetches are NOPs.
 *
 * Alignment is checked here where all accesses must be aligned (A64_MODE_ALIGN), by the
 * walk where memory is of Device type (mmu.c). Only the address counts, so what is an aligned offset from an
 * aligned SP needs no check.
 */
#include "aarch64/lowering.h"

#include "base/error.h"

#include <string.h>

enum extension { ZERO_EXTEND, SIGN_TO_64, SIGN_TO_32 };

/* What is accessed. */
struct transfer {
    unsigned size; /* log2 of the bytes */
    bool load, simd;
    enum extension extension;
};

/* Where: a + imm, or a + (b << scale). */
struct address {
    unsigned a, b, scale;
    bool indexed;
    int32_t imm;
};

/* ---- stack pointer alignment ---- */

static bool keeps_alignment(const struct uop *u)
{
    const unsigned sp = S_OFF(sp);

    switch (u->op) {
    case UOP_ADD64I:
    case UOP_SUB64I:
        return u->a == sp && !(u->imm64 & 15);
    case UOP_LDP64_POST_X:
    case UOP_STP64_PRE_X:
        return !(u->imm & 15);
    default:
        return false;
    }
}

static bool writes_sp(const struct uop *u)
{
    const unsigned sp = S_OFF(sp);

    if (u->op == UOP_CALL)
        return true; /* who knows */
    if (u->op == UOP_LDP64_POST_X || u->op == UOP_STP64_PRE_X)
        return u->a == sp;
    return u->d == sp && strchr(uop_infos[u->op].operands, 'd');
}

/* Is SP known to be aligned, by the micro-ops of the block so far? */
static bool sp_is_checked(const struct builder *b)
{
    bool checked = false;

    for (unsigned i = 0; i < b->nuops; i++) {
        const struct uop *u = &b->uops[i];

        if (u->op == UOP_CHECK64 && u->a == S_OFF(sp))
            checked = true;
        else if (writes_sp(u) && !keeps_alignment(u))
            checked = false;
    }
    return checked;
}

/* `always`: for a reason of its own, not only by A64_MODE_ALIGN. */
static void check_aligned(struct lower *l, unsigned a, unsigned mask, a64_helper *fn, bool always)
{
    build_call(l->b, fn, mask, a, always)->op = UOP_CHECK64;
}

/* The base register of an access, checked if it is SP. */
static unsigned base_register(struct lower *l)
{
    if (l->i.Rn == 31 && (l->mode & A64_MODE_SP_CHECK) && !sp_is_checked(l->b))
        check_aligned(l, S_OFF(sp), 15, a64_op_sp_align, true);
    return s_sp(l->i.Rn);
}

/* ---- one register ---- */

static enum uop_code access_op(const struct transfer *w, bool indexed)
{
#define BOTH(name) {UOP_LD##name##_X, UOP_LDX##name##_X}
    static const uint16_t zero[4][2] = {BOTH(Z8), BOTH(Z16), BOTH(Z32), BOTH(64)};
    static const uint16_t to_64[3][2] = {BOTH(S8_64), BOTH(S16_64), BOTH(S32_64)};
    static const uint16_t to_32[2][2] = {BOTH(S8_32Z), BOTH(S16_32Z)};
    static const uint16_t simd[5][2] = {BOTH(V8), BOTH(V16), BOTH(V32), BOTH(V64), BOTH(V128)};
#undef BOTH
    static const uint16_t store[5][2] = {{UOP_ST8_X, UOP_STX8_X}, {UOP_ST16_X, UOP_STX16_X}, {UOP_ST32_X, UOP_STX32_X},
                                         {UOP_ST64_X, UOP_STX64_X}, {UOP_ST128_X, UOP_STX128_X}};

    if (!w->load)
        return (enum uop_code)store[w->size][indexed];
    if (w->simd)
        return (enum uop_code)simd[w->size][indexed];
    if (w->extension == SIGN_TO_64)
        return (enum uop_code)to_64[w->size][indexed];
    if (w->extension == SIGN_TO_32)
        return (enum uop_code)to_32[w->size][indexed];
    return (enum uop_code)zero[w->size][indexed];
}

/* Put the address into one operand. */
static void flatten(struct lower *l, struct address *at)
{
    if (at->indexed)
        build(l->b, UOP_ADDSH64, S_T(1), at->a, at->b, 0, at->scale);
    else if (at->imm)
        emit_imm64(l, UOP_ADD64I, S_T(1), at->a, (uint64_t)(int64_t)at->imm);
    else
        return;
    *at = (struct address){.a = S_T(1)};
}

/* Is the address a multiple of `bytes` for what is known of the base? */
static bool known_aligned(const struct lower *l, const struct address *at, unsigned bytes)
{
    if (bytes == 1)
        return true;
    return at->a == S_OFF(sp) && (l->mode & A64_MODE_SP_CHECK) && !at->indexed && !((uint32_t)at->imm & (bytes - 1));
}

/* `bytes` is a power of two; `always` as for check_aligned(). */
static void check_access(struct lower *l, struct address *at, unsigned bytes, bool load, bool always)
{
    if (known_aligned(l, at, bytes))
        return;
    flatten(l, at);
    check_aligned(l, at->a, bytes - 1, load ? a64_op_misaligned_load : a64_op_misaligned_store, always);
}

/* `value` is the state offset of the register. */
static void transfer(struct lower *l, const struct transfer *w, struct address at, unsigned value)
{
    if (l->mode & A64_MODE_ALIGN)
        check_access(l, &at, 1u << w->size, w->load, false);
    if (at.indexed)
        build(l->b, access_op(w, true), value, at.a, at.b, 0, at.scale);
    else
        emit_imm(l, access_op(w, false), value, at.a, (uint32_t)at.imm);
}

static unsigned value_register(const struct transfer *w, unsigned r)
{
    return w->simd ? S_V(r) : w->load ? s_dst(r) : s_src(r);
}

static void write_back(struct lower *l, unsigned base, int64_t by)
{
    if (by)
        emit_imm64(l, UOP_ADD64I, base, base, (uint64_t)by);
}

/* size, V and opc of the single-register forms. False: a prefetch. */
static bool single_access(const struct lower *l, struct transfer *w)
{
    const struct a64_insn *i = &l->i;

    *w = (struct transfer){.size = i->size, .simd = i->V};
    if (i->V) {
        w->size = (i->opc & 2) ? 4 : i->size;
        w->load = i->opc & 1;
        return true;
    }
    if (i->size == 3 && i->opc == 2)
        return false;
    w->load = i->opc != 0;
    w->extension = i->opc < 2 ? ZERO_EXTEND : i->opc == 2 ? SIGN_TO_64 : SIGN_TO_32;
    return true;
}

/* A load that writes its base back too: the address is what remains. */
static unsigned value_beside_base(const struct lower *l, const struct transfer *w)
{
    if (w->load && !w->simd && l->i.Rt == l->i.Rn)
        return S_OFF(sink);
    return value_register(w, l->i.Rt);
}

static enum build_next lower_indexed(struct lower *l, const struct transfer *w)
{
    int32_t imm = (int32_t)a64_signed(l->i.imm9, 9);
    unsigned base = base_register(l);
    struct address at = {.a = base, .imm = l->i.kind == A64_PRE_INDEX ? imm : 0};

    transfer(l, w, at, value_beside_base(l, w));
    write_back(l, base, imm);
    return BUILD_MORE;
}

static enum build_next lower_register_offset(struct lower *l, const struct transfer *w)
{
    struct address at = {.a = base_register(l), .indexed = true};

    at.b = s_src(l->i.Rm);
    at.scale = l->i.S ? w->size : 0;
    if ((l->i.option & 3) == 2) {
        emit(l, l->i.option & 4 ? UOP_SX32_64 : UOP_MOV32Z, S_T(0), at.b, 0);
        at.b = S_T(0);
    }
    transfer(l, w, at, value_register(w, l->i.Rt));
    return BUILD_MORE;
}

static enum build_next lower_single(struct lower *l)
{
    struct address at = {0};
    struct transfer w;

    if (!single_access(l, &w))
        return BUILD_MORE;
    switch (l->i.kind) {
    case A64_POST_INDEX:
    case A64_PRE_INDEX:
        return lower_indexed(l, &w);
    case A64_REG_OFFSET:
        return lower_register_offset(l, &w);
    case A64_UNPRIVILEGED:
        if (a64_mode_el(l->mode) == 1) {
            base_register(l);
            call_word(l, a64_op_unprivileged);
            return BUILD_MORE;
        }
        at.imm = (int32_t)a64_signed(l->i.imm9, 9);
        break;
    case A64_UNSCALED:
        at.imm = (int32_t)a64_signed(l->i.imm9, 9);
        break;
    default:
        at.imm = (int32_t)(l->i.imm12 << w.size);
        break;
    }
    at.a = base_register(l);
    transfer(l, &w, at, value_register(&w, l->i.Rt));
    return BUILD_MORE;
}

static enum build_next lower_literal(struct lower *l)
{
    struct transfer w = {.load = true, .simd = l->i.V, .size = 2 + l->i.opc};

    if (!l->i.V && l->i.opc == 3)
        return BUILD_MORE;
    if (!l->i.V && l->i.opc == 2) {
        w.size = 2;
        w.extension = SIGN_TO_64;
    }
    emit_imm64(l, UOP_MOVI64, S_T(0), 0, l->pc + (uint64_t)(a64_signed(l->i.imm19, 19) * 4));
    transfer(l, &w, (struct address){.a = S_T(0)}, value_register(&w, l->i.Rt));
    return BUILD_MORE;
}

/* ---- pairs ---- */

static void load_simd_pair(struct lower *l, unsigned size, struct address at)
{
    struct transfer w = {.load = true, .simd = true, .size = size};

    /* the first register must not change before the second load succeeded */
    emit_imm(l, access_op(&w, false), S_VT(0), at.a, (uint32_t)at.imm);
    emit_imm(l, access_op(&w, false), S_V(l->i.Rt2), at.a, (uint32_t)at.imm + (1u << size));
    if (l->i.Rt != l->i.Rt2)
        emit(l, UOP_MOV128, S_V(l->i.Rt), S_VT(0), 0);
}

static void transfer_pair(struct lower *l, unsigned size, struct address at)
{
    const struct a64_insn *i = &l->i;
    enum uop_code op;

    if (size == 4) {
        build(l->b, i->L ? UOP_LDP128_X : UOP_STP128_X, S_V(i->Rt), at.a, S_V(i->Rt2), (uint32_t)at.imm, 0);
        return;
    }
    if (i->V && i->L) {
        load_simd_pair(l, size, at);
        return;
    }
    if (!i->L) {
        op = size == 3 ? UOP_STP64_X : UOP_STP32_X;
        build(l->b, op, i->V ? S_V(i->Rt) : s_src(i->Rt), at.a, i->V ? S_V(i->Rt2) : s_src(i->Rt2),
              (uint32_t)at.imm, 0);
        return;
    }
    op = size == 3 ? UOP_LDP64_X : i->opc == 1 ? UOP_LDPS32_X : UOP_LDP32Z_X;
    build(l->b, op, s_dst(i->Rt), at.a, s_dst(i->Rt2), (uint32_t)at.imm, 0);
}

/* The usual entry to and exit from a function, as one micro-op. */
static bool stack_pair(struct lower *l, unsigned base, int32_t imm)
{
    const struct a64_insn *i = &l->i;

    const struct address sp = {.a = base, .imm = imm};

    if (i->V || i->opc != 2 || ((l->mode & A64_MODE_ALIGN) && !known_aligned(l, &sp, 8)))
        return false;
    if (i->L && i->mode == 1 && i->Rt != i->Rn && i->Rt2 != i->Rn)
        build(l->b, UOP_LDP64_POST_X, s_dst(i->Rt), base, s_dst(i->Rt2), (uint32_t)imm, 0);
    else if (!i->L && i->mode == 3)
        build(l->b, UOP_STP64_PRE_X, s_src(i->Rt), base, s_src(i->Rt2), (uint32_t)imm, 0);
    else
        return false;
    return true;
}

static enum build_next lower_pair(struct lower *l)
{
    unsigned size = l->i.V ? 2 + l->i.opc : 2 + (l->i.opc >> 1), base = base_register(l);
    int32_t imm = (int32_t)a64_signed(l->i.imm7, 7) * (1 << size);
    struct address at = {.a = base, .imm = l->i.mode == 1 ? 0 : imm};
    bool writes_base = l->i.mode == 1 || l->i.mode == 3;

    if (stack_pair(l, base, imm))
        return BUILD_MORE;
    if (writes_base && l->i.L && !l->i.V && (l->i.Rt == l->i.Rn || l->i.Rt2 == l->i.Rn) && l->i.Rn != 31) {
        emit_imm64(l, UOP_ADD64I, S_T(2), base, (uint64_t)(int64_t)imm);
        if (l->mode & A64_MODE_ALIGN)
            check_access(l, &at, 1u << size, true, false);
        transfer_pair(l, size, at);
        emit(l, UOP_MOV64, base, S_T(2), 0);
        return BUILD_MORE;
    }
    if (l->mode & A64_MODE_ALIGN)
        check_access(l, &at, 1u << size, l->i.L, false);
    transfer_pair(l, size, at);
    if (writes_base)
        write_back(l, base, imm);
    return BUILD_MORE;
}

/* ---- exclusives, ordered, atomics ---- */

static enum build_next lower_ordered(struct lower *l)
{
    struct transfer w = {.load = l->i.L, .size = l->i.size};
    struct address at = {.a = base_register(l)};

    check_access(l, &at, 1u << w.size, w.load, true);
    emit(l, access_op(&w, false), value_register(&w, l->i.Rt), at.a, 0);
    return BUILD_MORE;
}

static enum uop_code by_size(const uint16_t ops[4], unsigned size)
{
    return (enum uop_code)ops[size & 3];
}

static const uint16_t load_zero[4] = {UOP_LDZ8_X, UOP_LDZ16_X, UOP_LDZ32_X, UOP_LD64_X};
static const uint16_t store_low[4] = {UOP_ST8_X, UOP_ST16_X, UOP_ST32_X, UOP_ST64_X};

/* LDXR STXR and their kin: the monitor is in the state (helpers.c). */
static enum build_next lower_exclusive(struct lower *l)
{
    static const uint16_t conditional[4] = {UOP_STXC8_X, UOP_STXC16_X, UOP_STXC32_X, UOP_STXC64_X};
    struct address at = {.a = base_register(l)};
    unsigned size = l->i.size;

    check_access(l, &at, 1u << size, l->i.L, true);
    if (!l->i.L) {
        build(l->b, by_size(conditional, size), s_dst(l->i.Rs), at.a, s_src(l->i.Rt), S_OFF(exclusive_addr),
              S_OFF(exclusive_size));
        return BUILD_MORE;
    }
    emit(l, by_size(load_zero, size), S_T(2), at.a, 0);
    emit(l, UOP_MOV64, S_OFF(exclusive_addr), at.a, 0);
    emit(l, UOP_MOV64, S_OFF(exclusive_value), S_T(2), 0);
    emit_imm64(l, UOP_MOVI64, S_OFF(exclusive_value) + 8, 0, 0);
    emit_imm(l, UOP_MOVI32, S_OFF(exclusive_size), 0, 1u << size);
    emit(l, UOP_MOV64, s_dst(l->i.Rt), S_T(2), 0);
    return BUILD_MORE;
}

static enum build_next lower_by_word(struct lower *l, a64_helper *fn)
{
    base_register(l);
    call_word(l, fn);
    return BUILD_MORE;
}

static enum build_next lower_cas(struct lower *l)
{
    static const uint16_t swap[4] = {UOP_CAS8_X, UOP_CAS16_X, UOP_CAS32_X, UOP_CAS64_X};
    struct address at = {.a = base_register(l)};

    check_access(l, &at, 1u << l->i.size, true, true); /* a read would fault too */
    emit(l, UOP_MOV64, S_T(2), s_src(l->i.Rs), 0);
    emit(l, by_size(swap, l->i.size), S_T(2), at.a, s_src(l->i.Rt));
    emit(l, UOP_MOV64, s_dst(l->i.Rs), S_T(2), 0);
    return BUILD_MORE;
}

/* SWP, LDADD LDCLR LDEOR LDSET; the maxima and minima are a helper's. */
static enum build_next lower_atomic(struct lower *l)
{
    static const uint16_t combine[4] = {UOP_ADD64, UOP_BIC64, UOP_XOR64, UOP_OR64};
    unsigned operation = l->i.word >> 12 & 15, value = s_src(l->i.Rs);
    struct address at = {0};

    if (operation > 3 && operation != 8)
        return lower_by_word(l, a64_op_atomic);
    at.a = base_register(l);
    check_access(l, &at, 1u << l->i.size, true, true); /* a read would fault too */
    emit(l, by_size(load_zero, l->i.size), S_T(2), at.a, 0);
    if (operation < 4) {
        emit(l, by_size(combine, operation), S_T(3), S_T(2), value);
        value = S_T(3);
    }
    emit(l, by_size(store_low, l->i.size), value, at.a, 0);
    emit(l, UOP_MOV64, s_dst(l->i.Rt), S_T(2), 0);
    return BUILD_MORE;
}

static enum build_next lower_lse(struct lower *l)
{
    if (!(l->mode & A64_MODE_LSE))
        return lower_undefined(l);
    if (l->i.kind == A64_CASP)
        return lower_by_word(l, a64_op_cas);
    return l->i.kind == A64_CAS ? lower_cas(l) : lower_atomic(l);
}

/* ---- structures of SIMD registers ---- */

/* Bytes transferred; *element: log2 of the element's bytes. */
static unsigned structure_bytes(const struct a64_insn *i, unsigned *element)
{
    static const uint8_t registers[16] = {[0] = 4, [2] = 4, [4] = 3, [6] = 3, [7] = 1, [8] = 2, [10] = 2};

    if (i->kind == A64_SIMD_MULTIPLE || i->kind == A64_SIMD_MULTIPLE_POST) {
        *element = i->size;
        return registers[i->opcode] * (i->Q ? 16 : 8);
    }
    if (i->opc3 >> 1 == 3)
        *element = i->size;
    else
        *element = i->opc3 >> 1 == 2 && i->size == 1 ? 3 : i->opc3 >> 1;
    return (((i->opc3 & 1) << 1 | i->R) + 1) << *element;
}

/* LD1 and ST1 of one whole register or two; LD1R. */
static bool frequent_structures(struct lower *l, unsigned element, unsigned bytes)
{
    static const uint16_t whole[2][2] = {{UOP_STU128_X, UOP_STPU128_X}, {UOP_LDU128_X, UOP_LDPU128_X}},
                          duplicate[4] = {UOP_VDUP8, UOP_VDUP16, UOP_VDUP32, UOP_VDUP64};
    const struct a64_insn *i = &l->i;

    if (i->kind == A64_SIMD_MULTIPLE || i->kind == A64_SIMD_MULTIPLE_POST) {
        if ((i->opcode != 7 && i->opcode != 10) || !i->Q)
            return false;
        build(l->b, (enum uop_code)whole[i->L][bytes == 32], S_V(i->Rt), S_T(0), S_V((i->Rt + 1) & 31), 0, 1u << element);
        return true;
    }
    if (i->opc3 != 6 || i->R || !i->L)
        return false;
    emit(l, by_size(load_zero, element), S_T(2), S_T(0), 0);
    emit(l, by_size(duplicate, element), S_V(i->Rt), S_T(2), 0);
    if (!i->Q)
        emit(l, UOP_VLOW64, S_V(i->Rt), S_V(i->Rt), 0);
    return true;
}

static enum build_next lower_structures(struct lower *l)
{
    bool post = l->i.kind == A64_SIMD_MULTIPLE_POST || l->i.kind == A64_SIMD_SINGLE_POST;
    unsigned element, bytes = structure_bytes(&l->i, &element), base;

    if (lower_fp_trap(l))
        return lower_end_exit(l);
    base = base_register(l);
    emit(l, UOP_MOV64, S_T(0), base, 0);
    if ((l->mode & A64_MODE_ALIGN) && element)
        check_aligned(l, S_T(0), (1u << element) - 1, l->i.L ? a64_op_misaligned_load : a64_op_misaligned_store, false);
    if (!frequent_structures(l, element, bytes))
        call_word(l, a64_op_structures);
    if (post && l->i.Rm == 31)
        write_back(l, base, bytes);
    else if (post)
        emit(l, UOP_ADD64, base, base, S_X(l->i.Rm));
    return BUILD_MORE;
}

/* ---- all ---- */

enum build_next lower_memory(struct lower *l)
{
    if (l->i.V && lower_fp_trap(l))
        return lower_end_exit(l);
    switch (l->i.kind) {
    case A64_EXCLUSIVE:
        return lower_exclusive(l);
    case A64_EXCLUSIVE_PAIR:
        return lower_by_word(l, l->i.L ? a64_op_load_exclusive : a64_op_store_exclusive);
    case A64_ORDERED:
        return lower_ordered(l);
    case A64_CAS: case A64_CASP: case A64_ATOMIC: case A64_SWP:
        return lower_lse(l);
    case A64_LOAD_LITERAL:
        return lower_literal(l);
    case A64_PAIR:
        return lower_pair(l);
    case A64_UNSCALED: case A64_POST_INDEX: case A64_UNPRIVILEGED: case A64_PRE_INDEX: case A64_REG_OFFSET:
    case A64_SCALED:
        return lower_single(l);
    case A64_SIMD_MULTIPLE: case A64_SIMD_MULTIPLE_POST: case A64_SIMD_SINGLE: case A64_SIMD_SINGLE_POST:
        return lower_structures(l);
    default:
        CHECK(!"an instruction without a meaning");
        return BUILD_STOP;
    }
}
