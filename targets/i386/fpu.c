/*
 * The x87 FPU: instructions D8-DF and FWAIT (SDM 1, chapter 8; SDM 2, the F*
 * instructions). State images (FNSTENV, FNSAVE, FXSAVE...) are in fpu_env.c,
 * arithmetic in softfloat/.
 *
 * Every instruction goes through the same stages: availability (#NM), pending
 * error (#MF), memory operand, stack check, arithmetic, exceptions, memory
 * result, commit. i386_state changes in the last stages only, so that a fault
 * leaves it untouched. Unmasked exceptions set ES and are delivered by the next
 * waiting instruction (SDM 1, 8.7).
 *
 * With CR0.NE = 0 the FERR line is asserted as soon as the error is there; a
 * later waiting instruction does not freeze the processor until the interrupt
 * comes, as it would on a real one (SDM 3A, appendix on FERR#), but runs.
 *
 * Rules that depend on the generation: the Pentium 4 notes FOP only for an
 * instruction with an unmasked exception, unless IA32_MISC_ENABLE[2] is set
 * (SDM 1, 8.1.9.1); FIP and FDP are noted by every non-control instruction.
 *
 * To add an instruction: a handler, and its place in memory_forms or
 * register_forms.
 */
#include "i386/fpu.h"
#include "softfloat/floatx80.h"

#define INLINE static inline __attribute__((always_inline))
#define X87(name) static int name(struct ucpu *u, const struct uop *op)

#define PRE_FLAGS (FLOAT_INVALID | FLOAT_DENORMAL | FLOAT_DIVZERO)

/* ---- availability and pending errors ---- */

static void ferr_update(struct i386_cpu *c)
{
    struct i386_state *st = c->st;
    bool error = (st->fsw & FSW_ES) && !(st->cr0 & CR0_NE), level;

    if (!error)
        st->ferr &= ~FERR_IGNNE;
    level = error && !(st->ferr & FERR_IGNNE);
    if (level == !!(st->ferr & FERR_LINE))
        return;
    st->ferr ^= FERR_LINE;
    line_set(&c->ferr_line, level);
}

void i386_fpu_ignne(struct i386_cpu *c)
{
    if ((c->st->fsw & FSW_ES) && !(c->st->cr0 & CR0_NE))
        c->st->ferr |= FERR_IGNNE;
    ferr_update(c);
}

void i386_fpu_update_es(struct i386_cpu *c)
{
    struct i386_state *st = c->st;

    if (st->fsw & ~st->fcw & FLOAT_FLAGS)
        st->fsw |= FSW_ES | FSW_B;
    else
        st->fsw &= (uint16_t)~(FSW_ES | FSW_B);
    if (unlikely(!(st->cr0 & CR0_NE) || st->ferr))
        ferr_update(c);
}

int i386_fpu_pending(struct i386_cpu *c)
{
    if (c->st->cr0 & CR0_NE)
        return i386_raise(c, EXC_MF);
    ferr_update(c);
    return UOP_NEXT;
}

INLINE int available(struct i386_cpu *c)
{
    if (unlikely(c->st->cr0 & (CR0_EM | CR0_TS)))
        return i386_raise(c, EXC_NM);
    return UOP_NEXT;
}

/* May the instruction in progress touch the FERR line? It must then be alone, for an interrupt may follow. */
INLINE bool may_signal(const struct i386_cpu *c)
{
    return !(c->st->cr0 & CR0_NE) && ((c->st->fcw & FLOAT_FLAGS) != FLOAT_FLAGS || (c->st->fsw & FSW_ES));
}

INLINE int available_and_no_error(struct i386_cpu *c)
{
    if (unlikely(c->st->cr0 & (CR0_EM | CR0_TS)))
        return i386_raise(c, EXC_NM);
    if (unlikely(may_signal(c)) && !ucpu_be_alone(&c->u))
        return UOP_FAULT;
    if (unlikely(c->st->fsw & FSW_ES))
        return i386_fpu_pending(c);
    return UOP_NEXT;
}

#define ENTER_NOWAIT \
    struct i386_cpu *c = i386_of(u); \
    struct i386_state *st = c->st; \
    if (available(c)) \
        return UOP_FAULT; \
    (void)st; \
    (void)op

#define ENTER \
    struct i386_cpu *c = i386_of(u); \
    struct i386_state *st = c->st; \
    if (available_and_no_error(c)) \
        return UOP_FAULT; \
    (void)st; \
    (void)op

int i386_op_x87_unavailable(struct ucpu *u, const struct uop *op)
{
    (void)op;
    return i386_raise(i386_of(u), EXC_NM);
}

int i386_op_x87_pending(struct ucpu *u, const struct uop *op)
{
    (void)op;
    if (!(i386_of(u)->st->fsw & FSW_ES))
        return UOP_NEXT;
    if (may_signal(i386_of(u)) && !ucpu_be_alone(u))
        return UOP_FAULT;
    return i386_fpu_pending(i386_of(u));
}

const struct x87_layout i386_x87_layout = {
    .fcw = S_OFF(fcw), .ftag = S_OFF(ftag), .fpr = S_OFF(fpr), .fip = S_OFF(fip), .fdp = S_OFF(fdp),
    .fcs = S_OFF(fcs), .fds = S_OFF(fds), .fop = S_OFF(fop), .selectors = S_OFF(seg) + offsetof(struct i386_segment, selector),
    .stride = sizeof(struct i386_segment), .cs = SEG_CS, .gpr = S_GPR64(EAX), .offset = S_T(0), .linear = S_T(4), .imm8 = S_T(1), .eip = S_T(2),
    .fop_switch = S_OFF(misc_enable)};

_Static_assert(S_OFF(fcw) % 4 == 0 && S_OFF(fsw) == S_OFF(fcw) + 2 && S_OFF(ftag) == S_OFF(fcw) + 4, "as it says");

bool i386_x87_notes_opcode(const struct i386_model *m)
{
    return ((m->signature >> 8) & 15) != 15; /* not a Pentium 4 */
}

int i386_fwait(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);

    (void)op;
    if ((c->st->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        return i386_raise(c, EXC_NM);
    return c->st->fsw & FSW_ES ? i386_fpu_pending(c) : UOP_NEXT;
}

/* ---- the register stack ---- */

INLINE unsigned physical(const struct i386_state *st, unsigned i)
{
    return ((st->fsw >> 11) + i) & 7;
}

INLINE bool empty(const struct i386_state *st, unsigned i)
{
    return !(st->ftag >> physical(st, i) & 1);
}

INLINE struct floatx80 get(const struct i386_state *st, unsigned i)
{
    const struct i386_fpr *r = &st->fpr[physical(st, i)];

    return (struct floatx80){r->mantissa, r->exponent};
}

INLINE void put(struct i386_state *st, unsigned i, struct floatx80 v)
{
    unsigned n = physical(st, i);

    st->fpr[n].mantissa = v.sig;
    st->fpr[n].exponent = v.se;
    st->ftag |= (uint8_t)(1u << n);
}

INLINE void move_top(struct i386_state *st, int by)
{
    st->fsw = (uint16_t)((st->fsw & ~FSW_TOP) | ((st->fsw + ((unsigned)by << 11)) & FSW_TOP));
}

INLINE void pop(struct i386_state *st)
{
    st->ftag &= (uint8_t)~(1u << physical(st, 0));
    move_top(st, 1);
}

INLINE void push(struct i386_state *st, struct floatx80 v)
{
    move_top(st, -1);
    put(st, 0, v);
}

/* ---- bookkeeping and exceptions ---- */

static void note_opcode(struct i386_cpu *c, const struct uop *op, bool unmasked)
{
    if (unmasked || i386_x87_notes_opcode(c->model) || (c->st->misc_enable & 4))
        c->st->fop = (uint16_t)((op->d & 7) << 8 | (op->a & 0xff));
}

/* This non-control instruction is the last one (SDM 1, 8.1.8). */
INLINE void note(struct i386_cpu *c, const struct uop *op)
{
    struct i386_state *st = c->st;

    st->fip = st->t[2];
    st->fcs = st->seg[SEG_CS].selector;
    if (op->b & I386_FX_MEM) {
        st->fdp = st->t[0];
        st->fds = st->seg[op->b & I386_FX_SEG].selector;
    }
    note_opcode(c, op, false);
}

/* The control word as softfloat wants it. */
INLINE struct float_status status(const struct i386_state *st)
{
    static const uint8_t precision[4] = {24, 64, 53, 64};

    return (struct float_status){
        .rounding = (st->fcw >> 10) & 3,
        .precision = precision[(st->fcw >> 8) & 3],
        .nan_rule = NAN_LARGER,
        .trap_overflow = !(st->fcw & FLOAT_OVERFLOW),
        .trap_underflow = !(st->fcw & FLOAT_UNDERFLOW),
    };
}

/* Take over the flags of an operation; C1 becomes "rounded up". False: an exception of
 * `stopping` is unmasked, the result must not be stored. */
INLINE bool commit_flags(struct i386_cpu *c, const struct uop *op, unsigned flags, unsigned stopping)
{
    struct i386_state *st = c->st;
    unsigned unmasked = flags & ~st->fcw & FLOAT_FLAGS;

    note(c, op);
    if (unlikely(unmasked & PRE_FLAGS))
        flags &= PRE_FLAGS;
    st->fsw = (uint16_t)((st->fsw & ~FSW_C1) | (flags & (FLOAT_FLAGS | FLOAT_ROUNDED_UP)));
    if (likely(!unmasked))
        return true;
    note_opcode(c, op, true);
    i386_fpu_update_es(c);
    return !(unmasked & stopping);
}
_Static_assert(FLOAT_ROUNDED_UP == FSW_C1, "C1 says that the result was rounded up");

/* Stack overflow or underflow. True: masked, go on with the default NaN. */
static bool stack_fault(struct i386_cpu *c, const struct uop *op, bool overflow)
{
    struct i386_state *st = c->st;

    note(c, op);
    st->fsw = (uint16_t)((st->fsw & ~FSW_C1) | FSW_IE | FSW_SF | (overflow ? FSW_C1 : 0));
    if (st->fcw & FLOAT_INVALID)
        return true;
    note_opcode(c, op, true);
    i386_fpu_update_es(c);
    return false;
}

static void set_condition(struct i386_state *st, enum float_relation r)
{
    static const uint16_t codes[] = {FSW_C0, FSW_C3, 0, FSW_C0 | FSW_C2 | FSW_C3};

    st->fsw = (uint16_t)((st->fsw & ~(FSW_C0 | FSW_C2 | FSW_C3)) | codes[r + 1]);
}

/* ---- arithmetic: D8, DA, DC, DE ---- */

enum arithmetic { ADD, MUL, COM, COMP, SUB, SUBR, DIV, DIVR };

INLINE struct floatx80 compute(enum arithmetic f, struct floatx80 a, struct floatx80 b, struct float_status *s)
{
    switch (f) {
    case ADD:  return fx80_add(a, b, s);
    case MUL:  return fx80_mul(a, b, s);
    case SUB:  return fx80_sub(a, b, s);
    case SUBR: return fx80_sub(b, a, s);
    case DIV:  return fx80_div(a, b, s);
    default:   return fx80_div(b, a, s);
    }
}

/* Compare ST(0) with b, then pop `pops` registers. `unusable`: an operand is an empty register. */
INLINE int compare(struct i386_cpu *c, const struct uop *op, struct floatx80 b, bool denormal, bool unusable, bool quiet,
                   unsigned pops)
{
    struct i386_state *st = c->st;
    struct float_status s = status(st);
    enum float_relation r = FLOAT_UNORDERED;

    bool go_on;

    if (unlikely(unusable)) {
        go_on = stack_fault(c, op, false);
    } else {
        r = fx80_compare(get(st, 0), b, quiet, &s);
        if (denormal && r != FLOAT_UNORDERED)
            s.flags |= FLOAT_DENORMAL;
        go_on = commit_flags(c, op, s.flags, PRE_FLAGS);
    }
    set_condition(st, r); /* even if an unmasked exception stops the pop */
    while (go_on && pops-- > 0)
        pop(st);
    return UOP_NEXT;
}

/* ST(dest) = ST(0) f b. */
INLINE int arithmetic(struct i386_cpu *c, const struct uop *op, enum arithmetic f, struct floatx80 b, bool denormal,
                      bool unusable, unsigned dest, bool pops)
{
    struct i386_state *st = c->st;
    struct float_status s = status(st);
    struct floatx80 a = get(st, 0), r;

    if (unlikely(unusable)) {
        if (!stack_fault(c, op, false))
            return UOP_NEXT;
        r = fx80_default_nan();
    } else {
        r = compute(f, a, b, &s);
        if (unlikely(denormal) && !(s.flags & (FLOAT_INVALID | FLOAT_DIVZERO)) && fx80_classify(a) != X80_NAN)
            s.flags |= FLOAT_DENORMAL;
        if (!commit_flags(c, op, s.flags, PRE_FLAGS))
            return UOP_NEXT;
    }
    put(st, dest, r);
    if (pops)
        pop(st);
    return UOP_NEXT;
}

INLINE int with_memory(struct i386_cpu *c, const struct uop *op, enum arithmetic f, struct floatx80 b, bool denormal)
{
    if (f == COM || f == COMP)
        return compare(c, op, b, denormal, empty(c->st, 0), false, f == COMP);
    return arithmetic(c, op, f, b, denormal, empty(c->st, 0), 0, false);
}

#define ARITHMETIC(f) \
    X87(f##_m32) \
    { \
        uint32_t v; \
        bool denormal; \
        ENTER; \
        if (!fx_read(c, op, &v, 4)) \
            return UOP_FAULT; \
        struct floatx80 b = fx80_operand_f32(v, &denormal); \
        return with_memory(c, op, f, b, denormal); \
    } \
    X87(f##_m64) \
    { \
        uint64_t v; \
        bool denormal; \
        ENTER; \
        if (!fx_read(c, op, &v, 8)) \
            return UOP_FAULT; \
        struct floatx80 b = fx80_operand_f64(v, &denormal); \
        return with_memory(c, op, f, b, denormal); \
    } \
    X87(f##_i32) \
    { \
        int32_t v; \
        ENTER; \
        if (!fx_read(c, op, &v, 4)) \
            return UOP_FAULT; \
        return with_memory(c, op, f, fx80_from_int(v), false); \
    } \
    X87(f##_i16) \
    { \
        int16_t v; \
        ENTER; \
        if (!fx_read(c, op, &v, 2)) \
            return UOP_FAULT; \
        return with_memory(c, op, f, fx80_from_int(v), false); \
    }
ARITHMETIC(ADD)
ARITHMETIC(MUL)
ARITHMETIC(COM)
ARITHMETIC(COMP)
ARITHMETIC(SUB)
ARITHMETIC(SUBR)
ARITHMETIC(DIV)
ARITHMETIC(DIVR)

INLINE bool either_empty(const struct i386_state *st, unsigned i)
{
    return empty(st, 0) || empty(st, i);
}

/* D8 /f, DC /f and DE /f with a register: the same f computes ST(0) f ST(i) for D8, and for the other
 * two what their mnemonics call the reverse. */
#define REGISTER_ARITHMETIC(f) \
    X87(f##_st0_sti) \
    { \
        ENTER; \
        unsigned i = op->a & 7; \
        return arithmetic(c, op, f, get(st, i), false, either_empty(st, i), 0, false); \
    } \
    X87(f##_sti_st0) \
    { \
        ENTER; \
        unsigned i = op->a & 7; \
        return arithmetic(c, op, f, get(st, i), false, either_empty(st, i), i, false); \
    } \
    X87(f##_sti_st0_pop) \
    { \
        ENTER; \
        unsigned i = op->a & 7; \
        return arithmetic(c, op, f, get(st, i), false, either_empty(st, i), i, true); \
    }
REGISTER_ARITHMETIC(ADD)
REGISTER_ARITHMETIC(MUL)
REGISTER_ARITHMETIC(SUB)
REGISTER_ARITHMETIC(SUBR)
REGISTER_ARITHMETIC(DIV)
REGISTER_ARITHMETIC(DIVR)

#define COMPARISON(name, quiet, pops) \
    X87(name) \
    { \
        ENTER; \
        unsigned i = op->a & 7; \
        return compare(c, op, get(st, i), false, either_empty(st, i), quiet, pops); \
    }
COMPARISON(fcom, false, 0)
COMPARISON(fcomp, false, 1)
COMPARISON(fcompp, false, 2)
COMPARISON(fucom, true, 0)
COMPARISON(fucomp, true, 1)
COMPARISON(fucompp, true, 2)

X87(ftst)
{
    ENTER;
    return compare(c, op, (struct floatx80){0, 0}, false, empty(st, 0), false, 0);
}

/* Any escape opcode asks for the x87 first: with EM or TS it is #NM, which an emulator of the x87 relies on
 * (SDM 3A 2.5), whether the x87 knows the instruction or not. */
X87(undefined)
{
    (void)op;
    if (available(i386_of(u)))
        return UOP_FAULT;
    return i386_raise(i386_of(u), EXC_UD);
}

static bool has_cmov(const struct i386_cpu *c)
{
    return c->model->features_edx >> 15 & 1;
}

INLINE int compare_flags(struct i386_cpu *c, const struct uop *op, bool quiet, bool pops)
{
    static const uint16_t flags[] = {FLAG_C, FLAG_Z, 0, FLAG_C | FLAG_P | FLAG_Z};
    struct i386_state *st = c->st;
    struct float_status s = status(st);
    enum float_relation r = FLOAT_UNORDERED;
    unsigned i = op->a & 7;

    bool go_on;

    if (either_empty(st, i)) {
        go_on = stack_fault(c, op, false);
    } else {
        r = fx80_compare(get(st, 0), get(st, i), quiet, &s);
        go_on = commit_flags(c, op, s.flags, PRE_FLAGS);
    }
    st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = flags[r + 1]};
    if (go_on && pops)
        pop(st);
    return UOP_NEXT;
}

#define FLAG_COMPARISON(name, quiet, pops) \
    X87(name) \
    { \
        if (!has_cmov(i386_of(u))) \
            return undefined(u, op); \
        ENTER; \
        return compare_flags(c, op, quiet, pops); \
    }
FLAG_COMPARISON(fcomi, false, false)
FLAG_COMPARISON(fcomip, false, true)
FLAG_COMPARISON(fucomi, true, false)
FLAG_COMPARISON(fucomip, true, true)

INLINE int conditional_move(struct ucpu *u, const struct uop *op, enum cond cond)
{
    ENTER;
    unsigned i = op->a & 7;

    if (either_empty(st, i)) {
        if (stack_fault(c, op, false)) /* whatever the condition */
            put(st, 0, fx80_default_nan());
        return UOP_NEXT;
    }
    note(c, op);
    if (flags_cond(&st->cc, cond))
        put(st, 0, get(st, i));
    return UOP_NEXT;
}

#define CONDITIONAL_MOVE(name, cond) \
    X87(name) \
    { \
        if (!has_cmov(i386_of(u))) \
            return undefined(u, op); \
        return conditional_move(u, op, cond); \
    }
CONDITIONAL_MOVE(fcmovb, COND_C)
CONDITIONAL_MOVE(fcmove, COND_Z)
CONDITIONAL_MOVE(fcmovbe, COND_BE)
CONDITIONAL_MOVE(fcmovu, COND_P)
CONDITIONAL_MOVE(fcmovnb, COND_NC)
CONDITIONAL_MOVE(fcmovne, COND_NZ)
CONDITIONAL_MOVE(fcmovnbe, COND_A)
CONDITIONAL_MOVE(fcmovnu, COND_NP)

/* ---- loads ---- */

/* Push v with the flags that making it raised. */
INLINE int load(struct i386_cpu *c, const struct uop *op, struct floatx80 v, unsigned flags)
{
    struct i386_state *st = c->st;

    if (unlikely(!empty(st, 7))) {
        if (!stack_fault(c, op, true))
            return UOP_NEXT;
        v = fx80_default_nan();
    } else if (!commit_flags(c, op, flags, FLOAT_INVALID)) { /* a denormal is loaded all the same */
        return UOP_NEXT;
    }
    push(st, v);
    return UOP_NEXT;
}

#define LOAD_INTEGER(name, T) \
    X87(name) \
    { \
        T v; \
        ENTER; \
        if (!fx_read(c, op, &v, sizeof v)) \
            return UOP_FAULT; \
        return load(c, op, fx80_from_int(v), 0); \
    }
LOAD_INTEGER(fild_16, int16_t)
LOAD_INTEGER(fild_32, int32_t)
LOAD_INTEGER(fild_64, int64_t)

#define LOAD_FLOAT(name, T, convert) \
    X87(name) \
    { \
        T v; \
        struct float_status s = {.nan_rule = NAN_LARGER}; \
        ENTER; \
        if (!fx_read(c, op, &v, sizeof v)) \
            return UOP_FAULT; \
        struct floatx80 r = convert(v, &s); \
        return load(c, op, r, s.flags); \
    }
LOAD_FLOAT(fld_32, uint32_t, fx80_from_f32)
LOAD_FLOAT(fld_64, uint64_t, fx80_from_f64)

X87(fld_80)
{
    uint8_t image[10];
    struct floatx80 v;
    ENTER;

    if (!fx_read(c, op, image, sizeof image))
        return UOP_FAULT;
    __builtin_memcpy(&v.sig, image, 8);
    __builtin_memcpy(&v.se, image + 8, 2);
    return load(c, op, v, 0);
}

X87(fld_sti)
{
    ENTER;
    unsigned i = op->a & 7;
    struct floatx80 v = get(st, i);

    if (empty(st, i)) {
        if (!stack_fault(c, op, false))
            return UOP_NEXT;
        push(st, fx80_default_nan());
        return UOP_NEXT;
    }
    return load(c, op, v, 0);
}

/* A constant as the processor holds it: truncated, and which way to nearest is. */
INLINE int load_constant(struct ucpu *u, const struct uop *op, uint16_t se, uint64_t truncated, bool nearest_is_up)
{
    ENTER;
    unsigned rc = (st->fcw >> 10) & 3;
    bool up = rc == ROUND_UP || (rc == ROUND_NEAREST_EVEN && nearest_is_up);

    return load(c, op, (struct floatx80){truncated + up, se}, 0);
}

X87(fldl2t) { return load_constant(u, op, 0x4000, 0xd49a784bcd1b8afe, false); }
X87(fldl2e) { return load_constant(u, op, 0x3fff, 0xb8aa3b295c17f0bb, true); }
X87(fldpi)  { return load_constant(u, op, 0x4000, 0xc90fdaa22168c234, true); }
X87(fldlg2) { return load_constant(u, op, 0x3ffd, 0x9a209a84fbcff798, true); }
X87(fldln2) { return load_constant(u, op, 0x3ffe, 0xb17217f7d1cf79ab, true); }

X87(fld1)
{
    ENTER;
    return load(c, op, (struct floatx80){0x8000000000000000, 0x3fff}, 0);
}

X87(fldz)
{
    ENTER;
    return load(c, op, (struct floatx80){0, 0}, 0);
}

#define BCD_DIGITS 18
#define BCD_LIMIT  1000000000000000000u

X87(fbld)
{
    uint8_t image[10];
    uint64_t v = 0;
    ENTER;

    if (!fx_read(c, op, image, sizeof image))
        return UOP_FAULT;
    for (int i = 8; i >= 0; i--)
        v = v * 100 + (image[i] >> 4) * 10u + (image[i] & 15);
    struct floatx80 r = fx80_from_int((int64_t)v);
    if (image[9] & 0x80)
        r.se |= 0x8000;
    return load(c, op, r, 0);
}

/* ---- stores ---- */

/* Store `size` bytes of a result that raised `flags`, or of `indefinite` if ST(0) is empty. */
INLINE int store(struct i386_cpu *c, const struct uop *op, const void *result, const void *indefinite, unsigned size,
                 unsigned flags, bool pops)
{
    struct i386_state *st = c->st;
    bool is_empty = empty(st, 0);
    const unsigned stopping = PRE_FLAGS | FLOAT_OVERFLOW | FLOAT_UNDERFLOW;
    unsigned unmasked = (is_empty ? FLOAT_INVALID : flags) & ~st->fcw & stopping;

    if (unmasked) /* nothing is stored, so nothing is inexact */
        flags &= ~(FLOAT_INEXACT | FLOAT_ROUNDED_UP);
    if (!unmasked && !fx_write(c, op, is_empty ? indefinite : result, size))
        return UOP_FAULT;
    if (is_empty ? !stack_fault(c, op, false) : !commit_flags(c, op, flags, stopping))
        return UOP_NEXT;
    if (pops)
        pop(st);
    return UOP_NEXT;
}

INLINE int store_integer(struct ucpu *u, const struct uop *op, unsigned size, bool pops, bool truncate)
{
    ENTER;
    struct float_status s = status(st);
    int64_t indefinite = INT64_MIN >> (64 - 8 * size);
    int64_t v = fx80_to_int(get(st, 0), 8 * size, truncate ? ROUND_ZERO : (enum float_rounding)s.rounding, &s);

    return store(c, op, &v, &indefinite, size, s.flags, pops);
}

X87(fist_16)  { return store_integer(u, op, 2, false, false); }
X87(fistp_16) { return store_integer(u, op, 2, true, false); }
X87(fist_32)  { return store_integer(u, op, 4, false, false); }
X87(fistp_32) { return store_integer(u, op, 4, true, false); }
X87(fistp_64) { return store_integer(u, op, 8, true, false); }

/* FISTTP came with SSE3. */
INLINE int store_truncated(struct ucpu *u, const struct uop *op, unsigned size)
{
    if (!i386_has(i386_of(u)->model, FEATURE_SSE3))
        return undefined(u, op);
    return store_integer(u, op, size, true, true);
}

X87(fisttp_16) { return store_truncated(u, op, 2); }
X87(fisttp_32) { return store_truncated(u, op, 4); }
X87(fisttp_64) { return store_truncated(u, op, 8); }

INLINE int store_32(struct ucpu *u, const struct uop *op, bool pops)
{
    static const uint32_t indefinite = 0xffc00000u;
    ENTER;
    struct float_status s = status(st);
    uint32_t v = fx80_to_f32(get(st, 0), &s);

    return store(c, op, &v, &indefinite, 4, s.flags, pops);
}

INLINE int store_64(struct ucpu *u, const struct uop *op, bool pops)
{
    static const uint64_t indefinite = 0xfff8000000000000u;
    ENTER;
    struct float_status s = status(st);
    uint64_t v = fx80_to_f64(get(st, 0), &s);

    return store(c, op, &v, &indefinite, 8, s.flags, pops);
}

X87(fst_32)  { return store_32(u, op, false); }
X87(fstp_32) { return store_32(u, op, true); }
X87(fst_64)  { return store_64(u, op, false); }
X87(fstp_64) { return store_64(u, op, true); }

X87(fstp_80)
{
    static const uint8_t indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
    ENTER;
    struct floatx80 v = get(st, 0);
    uint8_t image[10];

    __builtin_memcpy(image, &v.sig, 8);
    __builtin_memcpy(image + 8, &v.se, 2);
    return store(c, op, image, indefinite, sizeof image, 0, true);
}

X87(fbstp)
{
    static const uint8_t indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
    ENTER;
    struct float_status s = status(st);
    struct floatx80 a = get(st, 0);
    int64_t v = fx80_to_int(a, 64, (enum float_rounding)s.rounding, &s);
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    uint8_t image[10];

    if (rest >= BCD_LIMIT || (s.flags & FLOAT_INVALID)) {
        __builtin_memcpy(image, indefinite, sizeof image);
        s.flags = FLOAT_INVALID;
    } else {
        for (int i = 0; i < BCD_DIGITS / 2; i++, rest /= 100)
            image[i] = (uint8_t)(rest / 10 % 10 << 4 | rest % 10);
        image[9] = a.se >> 8 & 0x80;
    }
    return store(c, op, image, indefinite, sizeof image, s.flags, true);
}

INLINE int store_register(struct ucpu *u, const struct uop *op, bool pops)
{
    ENTER;
    unsigned i = op->a & 7;
    struct floatx80 v = get(st, 0);

    if (empty(st, 0)) {
        if (!stack_fault(c, op, false))
            return UOP_NEXT;
        v = fx80_default_nan();
    } else {
        commit_flags(c, op, 0, 0);
    }
    put(st, i, v);
    if (pops)
        pop(st);
    return UOP_NEXT;
}

X87(fst_sti)  { return store_register(u, op, false); }
X87(fstp_sti) { return store_register(u, op, true); }

X87(fstpnce) /* undocumented, D9 D8+i: as FSTP, but an empty ST(0) is no error */
{
    ENTER;

    commit_flags(c, op, 0, 0);
    if (!empty(st, 0))
        put(st, op->a & 7, get(st, 0));
    pop(st);
    return UOP_NEXT;
}

X87(fxch)
{
    ENTER;
    unsigned i = op->a & 7;
    struct floatx80 a = get(st, 0), b = get(st, i);

    if (either_empty(st, i)) {
        if (!stack_fault(c, op, false))
            return UOP_NEXT;
        if (empty(st, 0))
            a = fx80_default_nan();
        if (empty(st, i))
            b = fx80_default_nan();
    } else {
        commit_flags(c, op, 0, 0);
    }
    put(st, 0, b);
    put(st, i, a);
    return UOP_NEXT;
}

/* ---- one operand ---- */

/* ST(0) = result, which raised `flags`. */
INLINE int replace_top(struct i386_cpu *c, const struct uop *op, struct floatx80 result, unsigned flags)
{
    if (empty(c->st, 0)) {
        if (!stack_fault(c, op, false))
            return UOP_NEXT;
        result = fx80_default_nan();
    } else if (!commit_flags(c, op, flags, PRE_FLAGS)) {
        return UOP_NEXT;
    }
    put(c->st, 0, result);
    return UOP_NEXT;
}

#define UNARY(name, function) \
    X87(name) \
    { \
        ENTER; \
        struct float_status s = status(st); \
        struct floatx80 r = function(get(st, 0), &s); \
        return replace_top(c, op, r, s.flags); \
    }
UNARY(fsqrt, fx80_sqrt)
UNARY(frndint, fx80_round_to_int)
UNARY(f2xm1, fx80_2xm1)

X87(fchs)
{
    ENTER;
    struct floatx80 v = get(st, 0);

    v.se ^= 0x8000;
    return replace_top(c, op, v, 0);
}

X87(fabs_)
{
    ENTER;
    struct floatx80 v = get(st, 0);

    v.se &= 0x7fff;
    return replace_top(c, op, v, 0);
}

X87(fxam)
{
    static const uint16_t codes[] = {
        [X80_UNSUPPORTED] = 0, [X80_NAN] = FSW_C0, [X80_NORMAL] = FSW_C2, [X80_INFINITY] = FSW_C2 | FSW_C0,
        [X80_ZERO] = FSW_C3, [X80_DENORMAL] = FSW_C3 | FSW_C2,
    };
    ENTER;
    struct floatx80 v = get(st, 0);
    unsigned code = empty(st, 0) ? FSW_C3 | FSW_C0 : codes[fx80_classify(v)];

    note(c, op);
    st->fsw = (uint16_t)((st->fsw & ~(FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)) | code | (v.se & 0x8000 ? FSW_C1 : 0));
    return UOP_NEXT;
}

/* ---- two operands: ST(0) and ST(1) ---- */

typedef struct floatx80 binary_function(struct floatx80 st0, struct floatx80 st1, struct float_status *s);

/* ST(1) = function, pop. */
INLINE int replace_and_pop(struct ucpu *u, const struct uop *op, binary_function *function)
{
    ENTER;
    struct float_status s = status(st);
    struct floatx80 r;

    if (either_empty(st, 1)) {
        if (!stack_fault(c, op, false))
            return UOP_NEXT;
        r = fx80_default_nan();
    } else {
        r = function(get(st, 0), get(st, 1), &s);
        if (!commit_flags(c, op, s.flags, PRE_FLAGS))
            return UOP_NEXT;
    }
    put(st, 1, r);
    pop(st);
    return UOP_NEXT;
}

X87(fyl2x)   { return replace_and_pop(u, op, fx80_yl2x); }
X87(fyl2xp1) { return replace_and_pop(u, op, fx80_yl2xp1); }
X87(fpatan)  { return replace_and_pop(u, op, fx80_patan); }

X87(fscale)
{
    ENTER;
    struct float_status s = status(st);
    struct floatx80 r;

    if (either_empty(st, 1)) {
        if (stack_fault(c, op, false))
            put(st, 0, fx80_default_nan());
        return UOP_NEXT;
    }
    r = fx80_scale(get(st, 0), get(st, 1), &s);
    return replace_top(c, op, r, s.flags);
}

INLINE int remainder_of_top(struct ucpu *u, const struct uop *op, bool nearest)
{
    ENTER;
    struct float_status s = status(st);
    struct floatx80 r;
    uint64_t q;
    bool partial;

    st->fsw &= (uint16_t)~FSW_C2;
    if (either_empty(st, 1)) {
        if (stack_fault(c, op, false))
            put(st, 0, fx80_default_nan());
        return UOP_NEXT;
    }
    r = fx80_rem(get(st, 0), get(st, 1), nearest, &q, &partial, &s);
    if (!commit_flags(c, op, s.flags, PRE_FLAGS))
        return UOP_NEXT;
    put(st, 0, r);
    if ((r.se & 0x7fff) == 0x7fff) /* a NaN: there is no quotient */
        return UOP_NEXT;
    st->fsw = (uint16_t)((st->fsw & ~(FSW_C0 | FSW_C1 | FSW_C3)) | (partial ? FSW_C2 : 0) |
                         (q & 4 ? FSW_C0 : 0) | (q & 2 ? FSW_C3 : 0) | (q & 1 ? FSW_C1 : 0));
    return UOP_NEXT;
}

X87(fprem)  { return remainder_of_top(u, op, false); }
X87(fprem1) { return remainder_of_top(u, op, true); }

/* ---- one operand, two results ---- */

/* Is there an operand, and room for one more? False: *result says what the helper returns; the masked
 * response was made. */
static bool can_split(struct i386_cpu *c, const struct uop *op)
{
    struct i386_state *st = c->st;
    bool underflow = empty(st, 0);

    if (!underflow && empty(st, 7))
        return true;
    if (stack_fault(c, op, !underflow)) {
        put(st, 0, fx80_default_nan());
        push(st, fx80_default_nan());
    }
    return false;
}

/* ST(0) = below, then push above. */
static int split(struct i386_cpu *c, const struct uop *op, struct floatx80 below, struct floatx80 above, unsigned flags)
{
    struct i386_state *st = c->st;

    if (!commit_flags(c, op, flags, PRE_FLAGS))
        return UOP_NEXT;
    put(st, 0, below);
    push(st, above);
    return UOP_NEXT;
}

X87(fxtract)
{
    ENTER;
    struct float_status s = status(st);
    struct floatx80 significand, exponent;

    if (!can_split(c, op))
        return UOP_NEXT;
    significand = fx80_extract(get(st, 0), &exponent, &s);
    return split(c, op, exponent, significand, s.flags);
}

/* The operand is out of range: only C2 tells (SDM 1, 8.3.8). */
static int out_of_range(struct i386_cpu *c, const struct uop *op)
{
    commit_flags(c, op, 0, 0);
    c->st->fsw |= FSW_C2;
    return UOP_NEXT;
}

X87(fsincos)
{
    ENTER;
    struct float_status s = status(st);
    struct floatx80 sine, cosine;

    st->fsw &= (uint16_t)~FSW_C2;
    if (!can_split(c, op))
        return UOP_NEXT;
    if (!fx80_trig(get(st, 0), &sine, &cosine, NULL, &s))
        return out_of_range(c, op);
    return split(c, op, sine, cosine, s.flags);
}

X87(fptan)
{
    ENTER;
    struct float_status s = status(st);
    struct floatx80 tangent, above = {0x8000000000000000, 0x3fff};

    st->fsw &= (uint16_t)~FSW_C2;
    if (!can_split(c, op))
        return UOP_NEXT;
    if (!fx80_trig(get(st, 0), NULL, NULL, &tangent, &s))
        return out_of_range(c, op);
    if ((tangent.se & 0x7fff) == 0x7fff)
        above = tangent; /* a NaN is pushed too */
    return split(c, op, tangent, above, s.flags);
}

INLINE int sine_or_cosine(struct ucpu *u, const struct uop *op, bool want_sine)
{
    ENTER;
    struct float_status s = status(st);
    struct floatx80 r = {0, 0};

    st->fsw &= (uint16_t)~FSW_C2;
    if (!empty(st, 0) && !fx80_trig(get(st, 0), want_sine ? &r : NULL, want_sine ? NULL : &r, NULL, &s))
        return out_of_range(c, op);
    return replace_top(c, op, r, s.flags);
}

X87(fsin) { return sine_or_cosine(u, op, true); }
X87(fcos) { return sine_or_cosine(u, op, false); }

/* ---- control ---- */

X87(fnop)
{
    ENTER;
    note(c, op);
    return UOP_NEXT;
}

/* FNENI, FNDISI, FNSETPM: meant something to an 8087 or 287 (SDM 1, 8.3.13... 22.18). */
X87(fnothing)
{
    ENTER_NOWAIT;
    return UOP_NEXT;
}

X87(fdecstp)
{
    ENTER;
    commit_flags(c, op, 0, 0);
    move_top(st, -1);
    return UOP_NEXT;
}

X87(fincstp)
{
    ENTER;
    commit_flags(c, op, 0, 0);
    move_top(st, 1);
    return UOP_NEXT;
}

X87(ffree)
{
    ENTER;
    commit_flags(c, op, 0, 0);
    st->ftag &= (uint8_t)~(1u << physical(st, op->a & 7));
    return UOP_NEXT;
}

X87(ffreep) /* undocumented: FFREE, then pop */
{
    ENTER;
    commit_flags(c, op, 0, 0);
    st->ftag &= (uint8_t)~(1u << physical(st, op->a & 7));
    pop(st);
    return UOP_NEXT;
}

X87(fnclex)
{
    ENTER_NOWAIT;
    st->fsw &= (uint16_t)~(FLOAT_FLAGS | FSW_SF | FSW_ES | FSW_B);
    i386_fpu_update_es(c);
    return UOP_NEXT;
}

X87(fninit)
{
    ENTER_NOWAIT;
    return i386_op_fninit(u, op);
}

X87(fldcw)
{
    uint16_t v;
    ENTER;

    if (!fx_read(c, op, &v, 2))
        return UOP_FAULT;
    st->fcw = (uint16_t)((v & 0x1f3f) | 0x40);
    i386_fpu_update_es(c);
    return UOP_NEXT;
}

X87(fnstcw)
{
    ENTER_NOWAIT;
    return fx_write(c, op, &st->fcw, 2) ? UOP_NEXT : UOP_FAULT;
}

X87(fnstsw_m16)
{
    ENTER_NOWAIT;
    return fx_write(c, op, &st->fsw, 2) ? UOP_NEXT : UOP_FAULT;
}

X87(fnstsw_ax)
{
    ENTER_NOWAIT;
    st->gpr[EAX] = (st->gpr[EAX] & ~(uint64_t)0xffff) | st->fsw;
    return UOP_NEXT;
}

X87(fldenv)
{
    ENTER;
    return i386_op_fldenv(u, op);
}

X87(frstor)
{
    ENTER;
    return i386_op_frstor(u, op);
}

X87(fnstenv)
{
    ENTER_NOWAIT;
    return i386_op_fnstenv(u, op);
}

X87(fnsave)
{
    ENTER_NOWAIT;
    return i386_op_fnsave(u, op);
}

/* ---- the opcode map (SDM 2, appendix A, escape opcodes) ---- */

/* [opcode & 7][reg field] */
static i386_helper *const memory_forms[8][8] = {
    {ADD_m32, MUL_m32, COM_m32, COMP_m32, SUB_m32, SUBR_m32, DIV_m32, DIVR_m32},             /* D8 */
    {fld_32, undefined, fst_32, fstp_32, fldenv, fldcw, fnstenv, fnstcw},                    /* D9 */
    {ADD_i32, MUL_i32, COM_i32, COMP_i32, SUB_i32, SUBR_i32, DIV_i32, DIVR_i32},             /* DA */
    {fild_32, fisttp_32, fist_32, fistp_32, undefined, fld_80, undefined, fstp_80},          /* DB */
    {ADD_m64, MUL_m64, COM_m64, COMP_m64, SUB_m64, SUBR_m64, DIV_m64, DIVR_m64},             /* DC */
    {fld_64, fisttp_64, fst_64, fstp_64, frstor, undefined, fnsave, fnstsw_m16},             /* DD */
    {ADD_i16, MUL_i16, COM_i16, COMP_i16, SUB_i16, SUBR_i16, DIV_i16, DIVR_i16},             /* DE */
    {fild_16, fisttp_16, fist_16, fistp_16, fbld, fild_64, fbstp, fistp_64},                 /* DF */
};

/* [opcode & 7][reg field]; NULL: by the whole ModRM, below. Undocumented aliases (DC D0, DC D8, DD C8,
 * DE D0, DF C0, C8, D0, D8) behave as every processor of the family does. */
static i386_helper *const register_forms[8][8] = {
    {ADD_st0_sti, MUL_st0_sti, fcom, fcomp, SUB_st0_sti, SUBR_st0_sti, DIV_st0_sti, DIVR_st0_sti},
    {fld_sti, fxch, NULL, fstpnce, NULL, NULL, NULL, NULL},
    {fcmovb, fcmove, fcmovbe, fcmovu, undefined, NULL, undefined, undefined},
    {fcmovnb, fcmovne, fcmovnbe, fcmovnu, NULL, fucomi, fcomi, undefined},
    {ADD_sti_st0, MUL_sti_st0, fcom, fcomp, SUB_sti_st0, SUBR_sti_st0, DIV_sti_st0, DIVR_sti_st0},
    {ffree, fxch, fst_sti, fstp_sti, fucom, fucomp, undefined, undefined},
    {ADD_sti_st0_pop, MUL_sti_st0_pop, fcomp, NULL, SUB_sti_st0_pop, SUBR_sti_st0_pop, DIV_sti_st0_pop,
     DIVR_sti_st0_pop},
    {ffreep, fxch, fstp_sti, fstp_sti, NULL, fucomip, fcomip, undefined},
};

/* D9 D0-D7 and D9 E0-FF */
static i386_helper *const d9_d0[8] = {fnop, undefined, undefined, undefined, undefined, undefined, undefined, undefined};
static i386_helper *const d9_e0[32] = {
    fchs, fabs_, undefined, undefined, ftst, fxam, undefined, undefined,
    fld1, fldl2t, fldl2e, fldpi, fldlg2, fldln2, fldz, undefined,
    f2xm1, fyl2x, fptan, fpatan, fxtract, fprem1, fdecstp, fincstp,
    fprem, fyl2xp1, fsqrt, fsincos, frndint, fscale, fsin, fcos,
};
/* DB E0-E7 */
static i386_helper *const db_e0[8] = {fnothing, fnothing, fnclex, fninit, fnothing, undefined, undefined, undefined};

i386_helper *i386_x87_handler(unsigned opcode, unsigned modrm)
{
    unsigned row = opcode & 7, reg = (modrm >> 3) & 7, rm = modrm & 7;

    if (modrm < 0xc0)
        return memory_forms[row][reg];
    if (register_forms[row][reg])
        return register_forms[row][reg];
    switch (row) {
    case 1: return reg == 2 ? d9_d0[rm] : d9_e0[modrm & 31];
    case 2: return rm == 1 ? fucompp : undefined;   /* DA E9 */
    case 3: return db_e0[rm];
    case 6: return rm == 1 ? fcompp : undefined;    /* DE D9 */
    default: return rm == 0 ? fnstsw_ax : undefined; /* DF E0 */
    }
}

int i386_x87(struct ucpu *u, const struct uop *op)
{
    return i386_x87_handler(op->d, op->a)(u, op);
}
