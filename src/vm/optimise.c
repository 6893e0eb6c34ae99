/*
 * Passes over a block's micro-ops before it is kept.
 *
 *   fuse_branch   a compare or test right before the final BR becomes one
 *                 micro-op; else a BR whose flags come from a known operation
 *                 looks at its result only
 *   drop_flags    backwards: an operation whose flags nobody can see is done
 *                 without them. Seen are the flags by whoever reads them, by
 *                 whatever may fault (a fault shows the state as before its
 *                 instruction) and at the end of the block
 *   compact       removes NOPs
 *
 * No pass changes what an instruction does, the number of steps, or which
 * instruction a faulting micro-op belongs to.
 */
#include "vm/exec_priv.h"

/* ---- compare and branch ---- */

/* The fused form of `op` and a BR on condition `cond`, or UOP_COUNT. */
static unsigned fused(unsigned op, unsigned cond)
{
#define CMP_FORMS(form) \
    case UOP_##form: \
        switch (cond) { \
        case COND_C: return UOP_##form##_BR_C; \
        case COND_NC: return UOP_##form##_BR_NC; \
        case COND_Z: return UOP_##form##_BR_Z; \
        case COND_NZ: return UOP_##form##_BR_NZ; \
        case COND_BE: return UOP_##form##_BR_BE; \
        case COND_A: return UOP_##form##_BR_A; \
        case COND_L: return UOP_##form##_BR_L; \
        case COND_GE: return UOP_##form##_BR_GE; \
        case COND_LE: return UOP_##form##_BR_LE; \
        case COND_G: return UOP_##form##_BR_G; \
        default: return UOP_COUNT; \
        }
/* After TEST, C = O = 0: unsigned and signed comparisons are with zero. */
#define TEST_FORMS(form) \
    case UOP_##form: \
        switch (cond) { \
        case COND_Z: case COND_BE: return UOP_##form##_BR_Z; \
        case COND_NZ: case COND_A: return UOP_##form##_BR_NZ; \
        case COND_S: case COND_L: return UOP_##form##_BR_S; \
        case COND_NS: case COND_GE: return UOP_##form##_BR_NS; \
        case COND_LE: return UOP_##form##_BR_LE; \
        case COND_G: return UOP_##form##_BR_G; \
        default: return UOP_COUNT; \
        }
#define CMPN_FORMS(form) \
    case UOP_##form: \
        switch (cond) { \
        case COND_C: return UOP_##form##_BR_C; \
        case COND_NC: return UOP_##form##_BR_NC; \
        case COND_Z: return UOP_##form##_BR_Z; \
        case COND_NZ: return UOP_##form##_BR_NZ; \
        case COND_HI: return UOP_##form##_BR_HI; \
        case COND_LS: return UOP_##form##_BR_LS; \
        case COND_S: return UOP_##form##_BR_S; \
        case COND_NS: return UOP_##form##_BR_NS; \
        case COND_L: return UOP_##form##_BR_L; \
        case COND_GE: return UOP_##form##_BR_GE; \
        case COND_LE: return UOP_##form##_BR_LE; \
        case COND_G: return UOP_##form##_BR_G; \
        default: return UOP_COUNT; \
        }
    switch (op) {
    CMP_FORMS(CMP8) CMP_FORMS(CMP8I)
    CMP_FORMS(CMP16) CMP_FORMS(CMP16I)
    CMP_FORMS(CMP32) CMP_FORMS(CMP32I)
    CMP_FORMS(CMP64) CMP_FORMS(CMP64I)
    TEST_FORMS(TEST8) TEST_FORMS(TEST8I)
    TEST_FORMS(TEST16) TEST_FORMS(TEST16I)
    TEST_FORMS(TEST32) TEST_FORMS(TEST32I)
    CMPN_FORMS(CMPN32Z) CMPN_FORMS(CMPN32ZI)
    CMPN_FORMS(CMPN64) CMPN_FORMS(CMPN64I)
    TEST_FORMS(TST32Z) TEST_FORMS(TST32ZI)
    TEST_FORMS(TST64) TEST_FORMS(TST64I)
    default:
        return UOP_COUNT;
    }
#undef CMP_FORMS
#undef CMPN_FORMS
#undef TEST_FORMS
}

/* ---- what is known of an operation with flags ---- */

struct flag_form {
    uint16_t plain;  /* the same without flags, or UOP_COUNT; UOP_NOP: nothing is left */
    uint8_t bits;    /* of the result, which is what lazy_flags.dst will hold; 0: not a flag setter */
    uint8_t imm_one; /* the plain form wants imm = 1 */
};

static struct flag_form flag_form(unsigned op)
{
#define FORM(name, p, n, one) case UOP_##name: return (struct flag_form){.plain = (p), .bits = (n), .imm_one = (one)}
#define BOTH(name, n) FORM(name##n##_F, UOP_##name##n, n, 0); FORM(name##n##I_F, UOP_##name##n##I, n, 0)
#define SIZE(n) \
    BOTH(ADD, n); BOTH(SUB, n); BOTH(AND, n); BOTH(OR, n); BOTH(XOR, n); \
    FORM(CMP##n, UOP_NOP, n, 0); FORM(CMP##n##I, UOP_NOP, n, 0); \
    FORM(TEST##n, UOP_NOP, n, 0); FORM(TEST##n##I, UOP_NOP, n, 0); \
    FORM(INC##n##_F, UOP_ADD##n##I, n, 1); FORM(DEC##n##_F, UOP_SUB##n##I, n, 1); \
    FORM(NEG##n##_F, UOP_NEG##n, n, 0); \
    FORM(ADC##n##_F, UOP_ADC##n, n, 0); FORM(SBB##n##_F, UOP_SBB##n, n, 0)
#define WIDE(z, n) \
    FORM(ADD##z##_F, UOP_ADD##z, n, 0); FORM(ADD##z##I_F, UOP_ADD##z##I, n, 0); \
    FORM(SUBN##z##_F, UOP_SUB##z, n, 0); FORM(SUBN##z##I_F, UOP_SUB##z##I, n, 0); \
    FORM(AND##z##_F, UOP_AND##z, n, 0); FORM(AND##z##I_F, UOP_AND##z##I, n, 0); \
    FORM(BIC##z##_F, UOP_BIC##z, n, 0); \
    FORM(CMN##z, UOP_NOP, n, 0); FORM(CMN##z##I, UOP_NOP, n, 0); \
    FORM(CMPN##z, UOP_NOP, n, 0); FORM(CMPN##z##I, UOP_NOP, n, 0); \
    FORM(TST##z, UOP_NOP, n, 0); FORM(TST##z##I, UOP_NOP, n, 0); \
    FORM(SUB##z##_F, UOP_SUB##z, n, 0); FORM(SUB##z##I_F, UOP_SUB##z##I, n, 0); \
    FORM(OR##z##_F, UOP_OR##z, n, 0); FORM(OR##z##I_F, UOP_OR##z##I, n, 0); \
    FORM(XOR##z##_F, UOP_XOR##z, n, 0); FORM(XOR##z##I_F, UOP_XOR##z##I, n, 0); \
    FORM(INC##z##_F, UOP_ADD##z##I, n, 1); FORM(DEC##z##_F, UOP_SUB##z##I, n, 1); \
    FORM(NEG##z##_F, UOP_NEG##z, n, 0); FORM(SBB##z##_F, UOP_SBB##z, n, 0); \
    FORM(IMUL##z##_F, UOP_MUL##z, n, 0); FORM(MULW##z##_F, UOP_MULW##z, n, 0); FORM(IMULW##z##_F, UOP_IMULW##z, n, 0); \
    FORM(SHLD##z##I_F, UOP_SHLD##z##I, n, 0); FORM(SHRD##z##I_F, UOP_SHRD##z##I, n, 0); \
    FORM(ROL##z##I_F, UOP_ROL##z##I, 0, 0); FORM(ROR##z##I_F, UOP_ROR##z##I, 0, 0); \
    FORM(SHL##z##I_F, UOP_LSL##z##I, n, 0); FORM(SHR##z##I_F, UOP_LSR##z##I, n, 0); \
    FORM(SAR##z##I_F, UOP_ASR##z##I, n, 0); \
    FORM(ADC##z##_F, UOP_ADC##z, n, 0); FORM(SBCN##z##_F, UOP_SBC##z, n, 0)
    switch (op) {
    SIZE(8);
    SIZE(16);
    SIZE(32);
    WIDE(32Z, 32);
    WIDE(64, 64);
    FORM(CMP64, UOP_NOP, 64, 0); FORM(CMP64I, UOP_NOP, 64, 0);
    FORM(BT64_F, UOP_NOP, 0, 0); FORM(BT64I_F, UOP_NOP, 0, 0);
    FORM(IMUL32_F, UOP_MUL32, 32, 0);
    FORM(MULW32_F, UOP_MULW32, 32, 0);
    FORM(IMULW32_F, UOP_IMULW32, 32, 0);
    FORM(SHLD32I_F, UOP_SHLD32I, 32, 0);
    FORM(SHRD32I_F, UOP_SHRD32I, 32, 0);
    FORM(BT32_F, UOP_NOP, 0, 0);
    FORM(BT32I_F, UOP_NOP, 0, 0);
    FORM(SHL8I_F, UOP_COUNT, 8, 0);
    FORM(SHR8I_F, UOP_COUNT, 8, 0);
    FORM(SAR8I_F, UOP_COUNT, 8, 0);
    FORM(SHL16I_F, UOP_COUNT, 16, 0);
    FORM(SHR16I_F, UOP_COUNT, 16, 0);
    FORM(SAR16I_F, UOP_COUNT, 16, 0);
    FORM(ROTATE_F, UOP_ROTATE, 0, 0); FORM(FLAGS_CHANGE, UOP_NOP, 0, 0); FORM(FLAGS_TAKE, UOP_NOP, 0, 0); FORM(EQUAL64_F, UOP_NOP, 0, 0);
    FORM(ROL32I_F, UOP_ROL32I, 0, 0);
    FORM(ROR32I_F, UOP_ROR32I, 0, 0);
    FORM(SHL32I_F, UOP_SHL32I, 32, 0);
    FORM(SHR32I_F, UOP_SHR32I, 32, 0);
    FORM(SAR32I_F, UOP_SAR32I, 32, 0);
    default:
        return (struct flag_form){.plain = UOP_COUNT};
    }
#undef FORM
#undef BOTH
#undef SIZE
#undef WIDE
}

/* BR on `cond` after an operation of `bits` bits noted its result; UOP_COUNT: none. */
static unsigned branch_on_result(unsigned cond, unsigned bits)
{
    switch (cond) {
    case COND_Z:
        return UOP_BR_DST_Z;
    case COND_NZ:
        return UOP_BR_DST_NZ;
    case COND_S:
        return bits == 8 ? UOP_BR_DST8_S : bits == 16 ? UOP_BR_DST16_S :
               bits == 32 ? UOP_BR_DST32_S : UOP_BR_DST64_S;
    case COND_NS:
        return bits == 8 ? UOP_BR_DST8_NS : bits == 16 ? UOP_BR_DST16_NS :
               bits == 32 ? UOP_BR_DST32_NS : UOP_BR_DST64_NS;
    default:
        return UOP_COUNT;
    }
}

static void fuse_branch(struct builder *b)
{
    struct uop *br = &b->uops[b->nuops - 1];
    unsigned cond = br->b, op;

    if (br->op != UOP_BR || b->nuops < 2)
        return;
    op = fused(br[-1].op, cond);
    if (op != UOP_COUNT) {
        br[-1].op = (uint16_t)op;
        b->nuops--;
        for (unsigned i = 0; i < b->ninsns; i++)
            if (b->insns[i].first_uop >= b->nuops)
                b->insns[i].first_uop = (uint16_t)(b->nuops - 1);
        return;
    }
    for (unsigned i = b->nuops - 1; i-- > 0;) {
        struct flag_form form = flag_form(b->uops[i].op);

        if (form.bits) {
            op = branch_on_result(cond, form.bits);
            if (op != UOP_COUNT)
                br->op = (uint16_t)op;
            return;
        }
        if (b->uops[i].op == UOP_CALL || b->uops[i].op == UOP_X87 || (uop_infos[b->uops[i].op].attributes & UOP_SETF))
            return; /* it may do anything to the flags (X87: FCOMI) */
    }
}

static void drop_flags(struct builder *b)
{
    bool seen = true;

    for (unsigned i = b->nuops; i-- > 0;) {
        struct uop *u = &b->uops[i];
        unsigned attributes = uop_infos[u->op].attributes;

        if ((attributes & UOP_SETF) && !seen) {
            struct flag_form form = flag_form(u->op);

            if (form.plain != UOP_COUNT) {
                u->op = form.plain;
                if (form.imm_one)
                    u->imm64 = 1;
                attributes = uop_infos[u->op].attributes;
            }
        }
        if (attributes & UOP_SETF)
            seen = false;
        if (attributes & (UOP_READF | UOP_FAULTS))
            seen = true;
    }
}

static void compact(struct builder *b)
{
    unsigned to = 0, insn = 0;

    for (unsigned from = 0; from < b->nuops; from++) {
        while (insn < b->ninsns && b->insns[insn].first_uop == from)
            b->insns[insn++].first_uop = (uint16_t)to;
        if (b->uops[from].op != UOP_NOP)
            b->uops[to++] = b->uops[from];
    }
    b->nuops = to;
}

void optimise(struct builder *b)
{
    fuse_branch(b);
    drop_flags(b);
    compact(b);
}
