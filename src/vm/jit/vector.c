/*
 * Micro-ops on 128-bit operands in x86-64 code (SSE2, and SSSE3 to SSE4.2 where the host has them). Their operands
 * are in XMM registers while a block runs (operands.c); xmm0 to xmm3 are scratch.
 *
 * Adding a micro-op: a row in operations[] or later_operations[], if there is an instruction that does the same on
 * xmm0 and xmm1, or a case in emit_vector(). Without one it becomes a call of its function
 * in generic.c.
 */
#include "vm/jit/jit_priv.h"

#define P_66 0x66u

/* d = a op b, by one instruction: 66 0F opcode xmm0, xmm1. */
struct operation {
    uint16_t uop;
    uint8_t opcode;
    bool swap; /* xmm0 is b */
};

static const struct operation operations[] = {
    {UOP_VAND, 0xdb, false}, {UOP_VOR, 0xeb, false}, {UOP_VXOR, 0xef, false}, {UOP_VBIC, 0xdf, true},
    {UOP_VADD8, 0xfc, false}, {UOP_VADD16, 0xfd, false}, {UOP_VADD32, 0xfe, false}, {UOP_VADD64, 0xd4, false},
    {UOP_VSUB8, 0xf8, false}, {UOP_VSUB16, 0xf9, false}, {UOP_VSUB32, 0xfa, false}, {UOP_VSUB64, 0xfb, false},
    {UOP_VCEQ8, 0x74, false}, {UOP_VCEQ16, 0x75, false}, {UOP_VCEQ32, 0x76, false},
    {UOP_VCGT8, 0x64, false}, {UOP_VCGT16, 0x65, false}, {UOP_VCGT32, 0x66, false},
    {UOP_VUMIN8, 0xda, false}, {UOP_VUMAX8, 0xde, false}, {UOP_VSMIN16, 0xea, false}, {UOP_VSMAX16, 0xee, false},
    {UOP_VMUL16, 0xd5, false},
    {UOP_VZIPL8, 0x60, false}, {UOP_VZIPL16, 0x61, false}, {UOP_VZIPL32, 0x62, false}, {UOP_VZIPL64, 0x6c, false},
    {UOP_VZIPH8, 0x68, false}, {UOP_VZIPH16, 0x69, false}, {UOP_VZIPH32, 0x6a, false}, {UOP_VZIPH64, 0x6d, false},
};

/* The same by an instruction that not each host has: 66 0F 38 opcode. */
static const struct later_operation {
    uint16_t uop;
    uint8_t opcode, host; /* enum vector_host */
} later_operations[] = {
    {UOP_VCEQ64, 0x29, VECTOR_HOST_SSE41}, {UOP_VCGT64, 0x37, VECTOR_HOST_SSE42}, {UOP_VMUL32, 0x40, VECTOR_HOST_SSE41},
    {UOP_VSMIN8, 0x38, VECTOR_HOST_SSE41}, {UOP_VSMAX8, 0x3c, VECTOR_HOST_SSE41},
    {UOP_VUMIN16, 0x3a, VECTOR_HOST_SSE41}, {UOP_VUMAX16, 0x3e, VECTOR_HOST_SSE41},
    {UOP_VSMIN32, 0x39, VECTOR_HOST_SSE41}, {UOP_VSMAX32, 0x3d, VECTOR_HOST_SSE41},
    {UOP_VUMIN32, 0x3b, VECTOR_HOST_SSE41}, {UOP_VUMAX32, 0x3f, VECTOR_HOST_SSE41},
};

static void op_66(struct jit *j, unsigned opcode, unsigned to, unsigned from)
{
    x_sse_rr(&j->code, P_66, opcode, to, from);
}

static void copy(struct jit *j, unsigned to, unsigned from)
{
    if (to != from)
        x_sse_rr(&j->code, 0, 0x28, to, from); /* MOVAPS */
}

static void get(struct jit *j, unsigned xmm, unsigned offset)
{
    copy(j, xmm, vector_use(j, offset));
}

static void put(struct jit *j, unsigned offset, unsigned xmm)
{
    copy(j, vector_def(j, offset), xmm);
}

static bool emit_operation(struct jit *j, const struct uop *u)
{
    for (unsigned i = 0; i < ARRAY_LEN(operations); i++) {
        const struct operation *o = &operations[i];
        unsigned first = o->swap ? u->b : u->a, second = o->swap ? u->a : u->b;

        if (o->uop != u->op)
            continue;
        if (first == u->d) {
            unsigned b = vector_use(j, second);

            op_66(j, o->opcode, vector_own(j, u->d), b);
            return true;
        }
        get(j, 0, first);
        op_66(j, o->opcode, 0, vector_use(j, second));
        put(j, u->d, 0);
        return true;
    }
    return false;
}

static void op_6638(struct jit *j, unsigned opcode, unsigned to, unsigned from)
{
    x_legacy(&j->code, 32, (struct encoding){0x66, 2, (uint8_t)opcode, false}, to, from, false);
}

static bool emit_later_operation(struct jit *j, const struct uop *u)
{
    for (unsigned i = 0; i < ARRAY_LEN(later_operations); i++) {
        const struct later_operation *o = &later_operations[i];

        if (o->uop != u->op)
            continue;
        if (!host_has(j, o->host))
            return false;
        get(j, 0, u->a);
        op_6638(j, o->opcode, 0, vector_use(j, u->b));
        put(j, u->d, 0);
        return true;
    }
    return false;
}

/* xmm = all ones */
static void ones(struct jit *j, unsigned xmm)
{
    op_66(j, 0x76, xmm, xmm);
}

static void emit_not(struct jit *j, const struct uop *u)
{
    get(j, 0, u->a);
    ones(j, 1);
    op_66(j, 0xef, 0, 1);
    put(j, u->d, 0);
}

static void emit_or_not(struct jit *j, const struct uop *u)
{
    get(j, 0, u->b);
    ones(j, 1);
    op_66(j, 0xef, 0, 1);
    op_66(j, 0xeb, 0, vector_use(j, u->a));
    put(j, u->d, 0);
}

/* first ^ ((first ^ a) & mask), or & ~mask */
static void emit_choice(struct jit *j, const struct uop *u, unsigned first, unsigned mask, bool complement)
{
    unsigned f = vector_use(j, first), m = vector_use(j, mask);

    get(j, 1, u->a);
    op_66(j, 0xef, 1, f);
    copy(j, 0, m);
    op_66(j, complement ? 0xdf : 0xdb, 0, 1); /* PANDN, PAND */
    op_66(j, 0xef, 0, f);
    put(j, u->d, 0);
}

/* xmm0 to xmm3, by a count */
static void shift_by(struct jit *j, unsigned xmm, unsigned opcode, unsigned digit, unsigned count)
{
    struct code *e = &j->code;

    code_8(e, P_66);
    x_opcode(e, 32, 0x0f00 | opcode, 0, 0, xmm, false);
    code_8(e, 0xc0 | digit << 3 | xmm);
    code_8(e, count);
}

static void emit_shift(struct jit *j, const struct uop *u, unsigned opcode, unsigned digit)
{
    get(j, 0, u->a);
    shift_by(j, 0, opcode, digit, u->imm);
    put(j, u->d, 0);
}

/* Elements of 8 bits: those of 16, less what came from the neighbours. */
static void emit_shift_8(struct jit *j, const struct uop *u, bool left)
{
    struct code *e = &j->code;
    uint32_t kept = left ? 0xffu << u->imm & 0xff : 0xffu >> u->imm;

    get(j, 0, u->a);
    shift_by(j, 0, 0x71, left ? 6 : 2, u->imm);
    x_mov_imm(e, RAX, kept * 0x01010101u);
    code_8(e, P_66);
    x_rr(e, 32, 0x0f6e, 1, RAX); /* MOVD */
    op_66(j, 0x70, 1, 1);
    code_8(e, 0);
    op_66(j, 0xdb, 0, 1);
    put(j, u->d, 0);
}

/* Even or odd elements: made ones of twice the size, which saturation leaves as they are. */
static void emit_unzip(struct jit *j, const struct uop *u, unsigned bits, bool odd)
{
    struct code *e = &j->code;
    unsigned twice = bits == 8 ? 0x71 : 0x72;

    get(j, 0, u->a);
    if (bits == 32) {
        x_sse_rr(e, 0, 0xc6, 0, vector_use(j, u->b)); /* SHUFPS */
        code_8(e, odd ? 0xdd : 0x88);
        put(j, u->d, 0);
        return;
    }
    get(j, 1, u->b);
    for (unsigned xmm = 0; xmm < 2; xmm++) {
        if (!odd)
            shift_by(j, xmm, twice, 6, bits);
        shift_by(j, xmm, twice, bits == 8 ? 2 : 4, bits);
    }
    op_66(j, bits == 8 ? 0x67 : 0x6b, 0, 1); /* PACKUSWB, PACKSSDW */
    put(j, u->d, 0);
}

static void emit_extract(struct jit *j, const struct uop *u)
{
    get(j, 0, u->a);
    get(j, 1, u->b);
    shift_by(j, 0, 0x73, 3, u->imm);      /* PSRLDQ */
    shift_by(j, 1, 0x73, 7, 16 - u->imm); /* PSLLDQ */
    op_66(j, 0xeb, 0, 1);
    put(j, u->d, 0);
}

/* PSHUFB, which looks at bit 7 of a number, and not at those between. */
static bool emit_look(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;

    if (!host_has(j, VECTOR_HOST_SSSE3))
        return false;
    x_mov_imm(e, RAX, 0x70707070);
    code_8(e, P_66);
    x_rr(e, 32, 0x0f6e, 1, RAX); /* MOVD */
    op_66(j, 0x70, 1, 1);
    code_8(e, 0);
    op_66(j, 0xdc, 1, vector_use(j, u->b)); /* PADDUSB */
    get(j, 0, u->a);
    op_6638(j, 0x00, 0, 1);
    put(j, u->d, 0);
    return true;
}

static void emit_low(struct jit *j, const struct uop *u)
{
    x_sse_rr(&j->code, 0xf3, 0x7e, 0, vector_use(j, u->a)); /* MOVQ */
    put(j, u->d, 0);
}

static void emit_both(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;

    if (!u->imm64) {
        op_66(j, 0xef, 0, 0);
    } else if (u->imm64 == UINT64_MAX) {
        op_66(j, 0x76, 0, 0);
    } else {
        x_mov_imm(e, RAX, u->imm64);
        code_8(e, P_66);
        x_rr(e, 64, 0x0f6e, 0, RAX); /* MOVQ */
        op_66(j, 0x6c, 0, 0);        /* PUNPCKLQDQ */
    }
    put(j, u->d, 0);
}

static void shuffle(struct jit *j, unsigned from, unsigned imm)
{
    op_66(j, 0x70, 0, from);
    code_8(&j->code, imm);
}

static void emit_duplicate(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;

    operand_get(j, RAX, u->a, bits, 64);
    code_8(e, P_66);
    x_rr(e, bits == 64 ? 64 : 32, 0x0f6e, 0, RAX); /* MOVD, MOVQ: a REX comes after the prefix */
    if (bits == 8)
        op_66(j, 0x60, 0, 0);
    if (bits <= 16)
        op_66(j, 0x61, 0, 0);
    shuffle(j, 0, bits == 64 ? 0x44 : 0);
    put(j, u->d, 0);
}

/* PMOVMSKB, MOVMSKPS, MOVMSKPD */
static void emit_mask(struct jit *j, const struct uop *u, unsigned prefix, unsigned opcode)
{
    x_sse_rr(&j->code, prefix, opcode, RAX, vector_use(j, u->a));
    operand_put(j, u->d, 32, 32, RAX);
}

static void emit_zero(struct jit *j, const struct uop *u)
{
    operands_overwrite(j, u->d, u->imm);
    op_66(j, 0xef, 0, 0);
    for (unsigned at = 0; at < u->imm; at += 16)
        x_sse_rm(&j->code, 0, X_MOVUPS_STORE, 0, R_STATE, state_disp(u->d + at));
}

bool emit_vector(struct jit *j, const struct uop *u)
{
    switch (u->op) {
    case UOP_MOV128:
        get(j, 0, u->a);
        put(j, u->d, 0);
        return true;
    case UOP_VNOT: emit_not(j, u); return true;
    case UOP_VORN: emit_or_not(j, u); return true;
    case UOP_VBSL: emit_choice(j, u, u->b, u->d, false); return true;
    case UOP_VBIT: emit_choice(j, u, u->d, u->b, false); return true;
    case UOP_VBIF: emit_choice(j, u, u->d, u->b, true); return true;
    case UOP_VSHL8I: emit_shift_8(j, u, true); return true;
    case UOP_VSHR8I: emit_shift_8(j, u, false); return true;
    case UOP_VSHL16I: emit_shift(j, u, 0x71, 6); return true;
    case UOP_VSHL32I: emit_shift(j, u, 0x72, 6); return true;
    case UOP_VSHL64I: emit_shift(j, u, 0x73, 6); return true;
    case UOP_VSHR16I: emit_shift(j, u, 0x71, 2); return true;
    case UOP_VSHR32I: emit_shift(j, u, 0x72, 2); return true;
    case UOP_VSHR64I: emit_shift(j, u, 0x73, 2); return true;
    case UOP_VSAR16I: emit_shift(j, u, 0x71, 4); return true;
    case UOP_VSAR32I: emit_shift(j, u, 0x72, 4); return true;
    case UOP_VSHUF32:
        shuffle(j, vector_use(j, u->a), u->imm);
        put(j, u->d, 0);
        return true;
    case UOP_VDUP8: emit_duplicate(j, u, 8); return true;
    case UOP_VDUP16: emit_duplicate(j, u, 16); return true;
    case UOP_VDUP32: emit_duplicate(j, u, 32); return true;
    case UOP_VDUP64: emit_duplicate(j, u, 64); return true;
    case UOP_VMASK8: emit_mask(j, u, P_66, 0xd7); return true;
    case UOP_VMASK32: emit_mask(j, u, 0, 0x50); return true;
    case UOP_VMASK64: emit_mask(j, u, P_66, 0x50); return true;
    case UOP_VZERO: emit_zero(j, u); return true;
    case UOP_VEVEN8: emit_unzip(j, u, 8, false); return true;
    case UOP_VEVEN16: emit_unzip(j, u, 16, false); return true;
    case UOP_VEVEN32: emit_unzip(j, u, 32, false); return true;
    case UOP_VODD8: emit_unzip(j, u, 8, true); return true;
    case UOP_VODD16: emit_unzip(j, u, 16, true); return true;
    case UOP_VODD32: emit_unzip(j, u, 32, true); return true;
    case UOP_VEXT: emit_extract(j, u); return true;
    case UOP_VLOOK8: return emit_look(j, u);
    case UOP_VLOW64: emit_low(j, u); return true;
    case UOP_VDUPI64: emit_both(j, u); return true;
    default: return emit_operation(j, u) || emit_later_operation(j, u);
    }
}
