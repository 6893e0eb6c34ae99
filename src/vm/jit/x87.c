/*
 * The micro-op X87 in x86-64 code: the host's own x87, which is the guest's (SDM 1, chapter 8).
 *
 * While exec.x87_live, the host's x87 has the guest's state: registers with their tags, TOP, control and status word; what
 * memory has of them is older, but for the control word. All exceptions are masked there, and no error is pending. It gets there when the first
 * instruction comes by (stubs.c), and goes back into memory before C code runs. So an instruction of the guest is the same one of
 * the host: stack faults, flags, C1 and the condition codes are the host's, too, which are the architecture's. Where a
 * processor might do as it likes with a condition code, x87_look() asks this one, and what does not do as the
 * interpreter is the helper's business, as are an unmasked exception, and what has no case here. The address of the last instruction and of its operand is noted
 * in memory as ever: the host's is of no use.
 *
 * Adding an instruction: a case in kind_of(), and an example of its kind in x87_look(). Its helper stays what it means.
 */
#include "vm/jit/jit_priv.h"

#include "base/error.h"

#include <stddef.h>

#define SW_C1         0x0200u
#define SW_CONDITIONS 0x4500u /* C0, C2, C3 */
#define SW_ES         0x0080u

/* What differs in how instructions are compiled, and with what they may do to condition codes. */
enum x87_kind {
    X87_NONE,          /* not one of these */
    X87_LOAD,          /* something is pushed */
    X87_ARITHMETIC,
    X87_COMPARE,       /* into the condition codes */
    X87_COMPARE_FLAGS, /* into the flags */
    X87_STORE,         /* to memory */
    X87_MOVE,          /* between registers */
    X87_SIGN, X87_ROOT, X87_ROUND, X87_EXAMINE, X87_CHOOSE, X87_TURN,
    X87_LOAD_CONTROL, X87_STORE_CONTROL, X87_STORE_STATUS, X87_STATUS_TO_AX, X87_CLEAR,
};

/* The instruction in progress. */
struct x87 {
    const struct x87_layout *at;
    const struct uop *u;
    unsigned op, field, i; /* low bits of the opcode, ModRM.reg, ModRM.rm */
    unsigned offset, address; /* registers with the operand's offset and address */
    unsigned eip;          /* one with the instruction's address, which is not known when this is compiled; 0: it is */
    struct slow *slow;
};

/* ---- what the host does with condition codes ---- */

struct environment { uint32_t control, status, tags, others[4]; };

/* Run `insns` with registers 1 and 0, and all condition codes set: the status word after it. */
#define LOOK(insns) \
    __extension__({ \
        struct environment env_; \
        uint16_t control_, status_, word_ = 0; \
        __asm__ volatile("fnstcw %0\n\tfninit\n\tfldz\n\tfld1\n\tfnstenv %1" : "=m"(control_), "=m"(env_)); \
        env_.status |= SW_CONDITIONS | SW_C1; \
        __asm__ volatile("fldenv %3\n\t" insns "\n\tfnstsw %0\n\tfninit\n\tfldcw %2" \
                         : "=m"(status_), "+m"(word_) : "m"(control_), "m"(env_) : "cc", "st", "st(1)", "st(2)"); \
        status_; \
    })

static bool keeps(uint16_t status)
{
    return (status & SW_CONDITIONS) == SW_CONDITIONS && !(status & SW_C1);
}

static bool has_codes(uint16_t status, unsigned codes)
{
    return (status & (SW_CONDITIONS | SW_C1)) == codes;
}

void x87_look(struct jit *j)
{
    const bool good[] = {
        [X87_LOAD] = keeps(LOOK("fld %%st(1)")) && keeps(LOOK("filds %1")) && keeps(LOOK("fldz")),
        [X87_ARITHMETIC] = keeps(LOOK("fadd %%st(1), %%st")) && keeps(LOOK("fmul %%st(1), %%st")) && keeps(LOOK("fsubp")) &&
                           keeps(LOOK("fdiv %%st, %%st(1)")) && keeps(LOOK("fiadds %1")),
        [X87_COMPARE] = has_codes(LOOK("fcom %%st(1)"), 0) && has_codes(LOOK("fucompp"), 0) && has_codes(LOOK("ftst"), 0) &&
                        has_codes(LOOK("ficoms %1"), 0),
        [X87_COMPARE_FLAGS] = (LOOK("fcomi %%st(1), %%st") & LOOK("fucomip %%st(1), %%st") & SW_CONDITIONS) == SW_CONDITIONS,
        [X87_STORE] = keeps(LOOK("fistps %1")) && keeps(LOOK("fists %1")),
        [X87_MOVE] = keeps(LOOK("fxch %%st(1)")) && keeps(LOOK("fst %%st(1)")) && keeps(LOOK("fstp %%st(1)")),
        [X87_SIGN] = keeps(LOOK("fchs")) && keeps(LOOK("fabs")),
        [X87_ROOT] = keeps(LOOK("fsqrt")),
        [X87_ROUND] = keeps(LOOK("frndint")),
        [X87_EXAMINE] = has_codes(LOOK("fxam"), 0x0400) && has_codes(LOOK("fchs\n\tfxam"), 0x0400 | SW_C1) &&
                        has_codes(LOOK("ffree %%st(0)\n\tfxam"), 0x4100),
        [X87_CHOOSE] = !(~LOOK("test %%rsp, %%rsp\n\tfcmovne %%st(1), %%st") & (SW_CONDITIONS | SW_C1)),
        [X87_TURN] = keeps(LOOK("fdecstp")) && keeps(LOOK("fincstp")),
        [X87_LOAD_CONTROL] = true, [X87_STORE_CONTROL] = true, [X87_STORE_STATUS] = true, [X87_STATUS_TO_AX] = true,
        [X87_CLEAR] = (LOOK("fnclex") & (SW_CONDITIONS | SW_C1)) == (SW_CONDITIONS | SW_C1),
    };

    j->host_mmx = __builtin_cpu_supports("mmx") && !(~LOOK("pxor %%mm1, %%mm0") & ~LOOK("emms") & (SW_CONDITIONS | SW_C1));
    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        j->host_x87 |= (uint32_t)good[i] << i;
    /* FCOMI clears C1 (SDM 2); not on processors of AMD's. */
    j->fcomi_keeps_c1 = LOOK("fcomi %%st(1), %%st") & SW_C1;
}

/* ---- which it is ---- */

/* Of an operand in memory: bytes, or 0 if there is no case for it; is it written? */
static unsigned memory_bytes(unsigned op, unsigned field, bool *written)
{
    static const uint8_t arithmetic[4] = {4, 4, 8, 2};
    /* D9, DB, DD, DF by ModRM.reg */
    static const uint8_t others[4][8] = {
        {4, 0, 4, 4, 0, 2, 0, 2}, {4, 4, 4, 4, 0, 10, 0, 10}, {8, 8, 8, 8, 0, 0, 0, 2}, {2, 2, 2, 2, 0, 8, 0, 8}};

    *written = (op & 1) && field != 0 && field != 5;
    return op & 1 ? others[op >> 1][field] : arithmetic[op >> 1];
}

static enum x87_kind memory_kind(unsigned op, unsigned field)
{
    if (!(op & 1))
        return field == 2 || field == 3 ? X87_COMPARE : X87_ARITHMETIC;
    if (field == 0)
        return X87_LOAD;
    if (field == 5)
        return op == 1 ? X87_LOAD_CONTROL : X87_LOAD;
    if (field == 7 && op == 1)
        return X87_STORE_CONTROL;
    return field == 7 && op == 5 ? X87_STORE_STATUS : X87_STORE;
}

static enum x87_kind d9_kind(unsigned modrm)
{
    switch (modrm) {
    case 0xe0: case 0xe1: return X87_SIGN;
    case 0xe4: return X87_COMPARE;
    case 0xe5: return X87_EXAMINE;
    case 0xe8: case 0xe9: case 0xea: case 0xeb: case 0xec: case 0xed: case 0xee: return X87_LOAD;
    case 0xf6: case 0xf7: return X87_TURN;
    case 0xfa: return X87_ROOT;
    case 0xfc: return X87_ROUND;
    default: return modrm < 0xc8 ? X87_LOAD : modrm < 0xd0 ? X87_MOVE : X87_NONE;
    }
}

static enum x87_kind register_kind(unsigned op, unsigned modrm)
{
    unsigned field = modrm >> 3 & 7;
    bool compares = field == 2 || field == 3;

    switch (op) {
    case 0: return compares ? X87_COMPARE : X87_ARITHMETIC;
    case 1: return d9_kind(modrm);
    case 2: return field < 4 ? X87_CHOOSE : modrm == 0xe9 ? X87_COMPARE : X87_NONE;
    case 3: return field < 4 ? X87_CHOOSE : field == 5 || field == 6 ? X87_COMPARE_FLAGS : modrm == 0xe2 ? X87_CLEAR : X87_NONE;
    case 4: return compares ? X87_NONE : X87_ARITHMETIC;
    case 5: return compares ? X87_MOVE : field == 4 || field == 5 ? X87_COMPARE : X87_NONE;
    case 6: return modrm == 0xd9 ? X87_COMPARE : compares ? X87_NONE : X87_ARITHMETIC;
    default: return field == 5 || field == 6 ? X87_COMPARE_FLAGS : modrm == 0xe0 ? X87_STATUS_TO_AX : X87_NONE;
    }
}

/* ---- parts of an instruction ---- */

static void slow_if(struct jit *j, struct x87 *x, unsigned cc)
{
    unsigned n = 1; /* from[0] is begin()'s */

    while (x->slow->from[n])
        n++;
    x->slow->from[n] = x_jcc(&j->code, cc);
}

struct slow *x87_begin(struct jit *j)
{
    struct slow *s = slow_path(j, SLOW_X87);
    struct code *e = &j->code;

    s->retry = e->at;
    x_rm(e, 32, 0x83, ALU_CMP, R_EXEC, (int32_t)offsetof(struct exec, x87_live));
    code_8(e, 0);
    s->from[0] = x_jcc(e, CC_E);
    return s;
}

static void begin(struct jit *j, struct x87 *x)
{
    x->slow = x87_begin(j);
}

static void host(struct jit *j, unsigned opcode, unsigned modrm)
{
    code_8(&j->code, opcode);
    code_8(&j->code, modrm);
}

/* The guest's instruction. */
static void same(struct jit *j, const struct x87 *x)
{
    host(j, 0xd8 | x->op, x->u->a & 0xffu);
}

/* The same, on the operand that access_probe() has found. */
static void same_memory(struct jit *j, const struct x87 *x)
{
    x_rmx(&j->code, 32, 0xd8 | x->op, x->field, RAX, RCX, 0, 0);
}

static void move_word(struct jit *j, unsigned to, unsigned from)
{
    x_rm(&j->code, 32, X_MOVZX16, RAX, R_STATE, state_disp(from));
    x_store(&j->code, 16, R_STATE, state_disp(to), RAX);
}

/* Which instruction was the last one (SDM 1, 8.1.8); within a block selectors stay. Destroys rax. */
static void note(struct jit *j, const struct x87 *x)
{
    const struct x87_layout *at = x->at;
    const unsigned segment = x->u->b & X87_SEG;
    struct code *e = &j->code;

    if (!(j->x87_noted & 1u << X87_SEG))
        move_word(j, at->fcs, at->selectors + (unsigned)at->cs * at->stride);
    j->x87_noted |= 1u << X87_SEG;
    if (x->u->b & X87_MEM) {
        x_store(e, 64, R_STATE, state_disp(at->fdp), x->offset);
        if (!(j->x87_noted & 1u << segment))
            move_word(j, at->fds, at->selectors + segment * at->stride);
        j->x87_noted = 1u << X87_SEG | 1u << segment;
    }
    if (j->c->x87_notes_opcode)
        x_store_imm(e, 16, R_STATE, state_disp(at->fop), (x->u->d & 7u) << 8 | (x->u->a & 0xffu));
}

/* It is done, here or by the helper. */
static void end(struct jit *j, const struct x87 *x)
{
    x->slow->back = j->code.at;
}

/* The same of one that notes where it is. */
static void end_noted(struct jit *j, const struct x87 *x)
{
    uint64_t eip;

    note(j, x);
    if (x->eip) {
        x_store(&j->code, 64, R_STATE, state_disp(x->at->fip), x->eip);
        end(j, x);
        return;
    }
    CHECK(operand_known(j, x->at->eip, 64, &eip));
    end(j, x);
    operand_def_const(j, x->at->fip, 64, eip);
}

/* Before begin(): the operands. */
static void prepare(struct jit *j, struct x87 *x)
{
    unsigned bits = x->u->b & X87_WIDE ? 64 : 32;
    uint64_t eip;

    x->eip = 0;
    if (!operand_known(j, x->at->eip, 64, &eip)) {
        operands_release(j, x->at->fip, 8);
        x->eip = operand_use(j, x->at->eip, 64, 64);
    }
    if (x->u->b & X87_MEM)
        x->offset = x->address = operand_use(j, x->at->offset, bits, bits);
    if (x->u->b & X87_LINEAR)
        x->address = operand_use(j, x->at->linear, bits, bits);
}

/* Behind begin(): out of line if the opcode may have to be noted and is not always. */
static void look_at_switch(struct jit *j, struct x87 *x)
{
    if (j->c->x87_notes_opcode)
        return;
    x_rm(&j->code, 32, 0xf7, 0, R_STATE, state_disp(x->at->fop_switch));
    code_32(&j->code, 4);
    slow_if(j, x, CC_NE);
}

static void probe(struct jit *j, struct x87 *x, unsigned bytes, bool written)
{
    x_rr(&j->code, 64, X_MOV_LOAD, RAX, x->address);
    access_probe(j, x->slow, bytes, written, !written);
}

/* ---- instructions ---- */

static void memory(struct jit *j, struct x87 *x, unsigned bytes, bool written)
{
    prepare(j, x);
    begin(j, x);
    look_at_switch(j, x);
    probe(j, x, bytes, written);
    same_memory(j, x);
    end_noted(j, x);
}

static void registers(struct jit *j, struct x87 *x)
{
    prepare(j, x);
    begin(j, x);
    look_at_switch(j, x);
    same(j, x);
    end_noted(j, x);
}

/* Into ZF, PF and CF: FCOMI, FUCOMI. */
static void compare_flags(struct jit *j, struct x87 *x)
{
    unsigned flags = j->c->flags_offset, dst = flags + (unsigned)offsetof(struct lazy_flags, dst), to;
    struct code *e = &j->code;

    operands_release(j, flags, sizeof(struct lazy_flags));
    to = operand_own(j, dst, 64);
    prepare(j, x);
    begin(j, x);
    look_at_switch(j, x);
    same(j, x);
    code_8(e, 0x9f); /* LAHF */
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 8);
    x_alu_imm(e, 32, ALU_AND, RAX, FLAG_Z | FLAG_P | FLAG_C);
    x_rr(e, 32, X_MOV_LOAD, to, RAX);
    if (j->fcomi_keeps_c1) {
        host(j, 0xd9, 0xf6); /* FDECSTP */
        host(j, 0xd9, 0xf7); /* FINCSTP */
    }
    end_noted(j, x);
    operand_def(j, dst, 64);
    operand_def_const(j, flags + (unsigned)offsetof(struct lazy_flags, src), 64, 0);
    operand_def_const(j, flags + (unsigned)offsetof(struct lazy_flags, op), 32, FLAGS_EXPLICIT);
}

/* FCMOV, by FCMOVNE. */
static void choose(struct jit *j, struct x87 *x)
{
    static const uint8_t conditions[2][4] = {{COND_C, COND_Z, COND_BE, COND_P}, {COND_NC, COND_NZ, COND_A, COND_NP}};

    prepare(j, x);
    x_setcc(&j->code, flags_condition(j, conditions[x->op & 1][x->field]), RDX);
    begin(j, x);
    look_at_switch(j, x);
    x_test(&j->code, 8, RDX, RDX);
    host(j, 0xdb, 0xc8 | x->i);
    end_noted(j, x);
}

static void load_control(struct jit *j, struct x87 *x)
{
    struct code *e = &j->code;
    int32_t control = state_disp(x->at->fcw);

    prepare(j, x);
    begin(j, x);
    probe(j, x, 2, false);
    x_rmx(e, 32, X_MOVZX16, RDX, RAX, RCX, 0, 0);
    x_mov(e, 32, RAX, RDX);
    x_not(e, 32, RAX);
    x_test_imm(e, 32, RAX, X87_MASKS);
    slow_if(j, x, CC_NE);
    x_alu_imm(e, 32, ALU_AND, RDX, 0x1f3f);
    x_alu_imm(e, 32, ALU_OR, RDX, 0x40);
    x_store(e, 16, R_STATE, control, RDX);
    x_rm(e, 32, 0xd9, 5, R_STATE, control);
    end(j, x);
}

/* It is in memory, whatever the host has. */
static void store_control(struct jit *j, struct x87 *x)
{
    struct code *e = &j->code;

    prepare(j, x);
    x->slow = slow_path(j, SLOW_HELPER);
    probe(j, x, 2, true);
    x_rm(e, 32, X_MOVZX16, RDX, R_STATE, state_disp(x->at->fcw));
    x_rmx(e, 16, X_MOV_STORE, RDX, RAX, RCX, 0, 0);
    end(j, x);
}

static void store_status(struct jit *j, struct x87 *x)
{
    prepare(j, x);
    begin(j, x);
    probe(j, x, 2, true);
    same_memory(j, x);
    end(j, x);
}

static void status_to_ax(struct jit *j, struct x87 *x)
{
    unsigned ax = operand_own(j, x->at->gpr, j->home);

    begin(j, x);
    same(j, x);
    x_rr(&j->code, 16, X_MOV_LOAD, ax, RAX);
    end(j, x);
    operand_def(j, x->at->gpr, j->home);
}

static void clear(struct jit *j, struct x87 *x)
{
    begin(j, x);
    same(j, x);
    end(j, x);
}

/* FWAIT: an error that is pending. None is while the host has the guest's state, nor in the older one in memory. */
static void look_for_error(struct jit *j, struct x87 *x)
{
    struct slow *s = slow_path(j, SLOW_HELPER);

    x_rm(&j->code, 32, 0xf7, 0, R_STATE, state_disp(x->at->fcw));
    code_32(&j->code, SW_ES << 16);
    s->from[0] = x_jcc(&j->code, CC_NE);
    s->back = j->code.at;
}

bool emit_x87(struct jit *j, const struct uop *u)
{
    struct x87 x = {.at = j->c->fe->x87, .u = u, .op = u->d & 7u, .field = u->a >> 3 & 7u, .i = u->a & 7u};
    bool written = false;
    unsigned bytes = 0;
    enum x87_kind kind;

    if (u->op != UOP_X87 || !x.at || !(u->b & X87_PLAIN))
        return false;
    if (u->b & X87_MMX)
        return emit_mmx(j, u);
    if (u->b & X87_WAIT) {
        look_for_error(j, &x);
        return true;
    }
    if (u->b & X87_MEM)
        bytes = memory_bytes(x.op, x.field, &written);
    kind = u->b & X87_MEM ? memory_kind(x.op, x.field) : register_kind(x.op, u->a & 0xffu);
    if (!(j->host_x87 >> kind & 1) || (u->b & X87_MEM && !bytes) || (x.field == 1 && written && !host_has(j, VECTOR_HOST_SSE3)))
        return false;
    switch (kind) {
    case X87_COMPARE_FLAGS: compare_flags(j, &x); break;
    case X87_CHOOSE: choose(j, &x); break;
    case X87_LOAD_CONTROL: load_control(j, &x); break;
    case X87_STORE_CONTROL: store_control(j, &x); break;
    case X87_STORE_STATUS: store_status(j, &x); break;
    case X87_STATUS_TO_AX: status_to_ax(j, &x); break;
    case X87_CLEAR: clear(j, &x); break;
    default:
        if (bytes)
            memory(j, &x, bytes, written);
        else
            registers(j, &x);
    }
    return true;
}
