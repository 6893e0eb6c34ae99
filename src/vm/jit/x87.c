/*
 * The micro-op X87 in x86-64 code: the host's own x87, which is the guest's (SDM 1, chapter 8), one instruction at a time
 * on registers that stay in the guest's state.
 *
 * While exec.x87_live, the host's control word is the guest's, with all exceptions masked, and its status word has no
 * flag but those that guest instructions raised since. The flags, C1 and the condition codes of each
 * instruction are taken over at once. An empty register that is read, a full one that is pushed to, an unmasked
 * exception, and what has no case here, are the helper's business.
 *
 * Adding an instruction: a case in emit_x87(). Its helper stays what it means.
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>

#define SW_FLAGS      0x003fu
#define SW_C1         0x0200u
#define SW_CONDITIONS 0x4500u /* C0, C2, C3 */
#define SW_TOP        0x3800u
#define SW_ONE        0x0800u /* one register, in TOP */

/* The instruction in progress. */
struct x87 {
    const struct x87_layout *at;
    const struct uop *u;
    unsigned op, field, i; /* low bits of the opcode, ModRM.reg, ModRM.rm */
    unsigned eip, offset;  /* registers with the instruction's and the operand's address; */
    unsigned word, tags;   /* with the control word and, above it, the status word; with the tags */
    struct slow *slow;
};

static void slow_if(struct jit *j, struct x87 *x, unsigned cc)
{
    unsigned n = 1; /* from[0] is begin()'s */

    while (x->slow->from[n])
        n++;
    x->slow->from[n] = x_jcc(&j->code, cc);
}

/* Out of line unless the host is set up; the same if the opcode may have to be noted and is not always. */
static void begin(struct jit *j, struct x87 *x)
{
    struct code *e = &j->code;

    operands_release(j, x->at->value, 8);
    operands_release(j, x->at->status, 8);
    x->word = operand_own(j, x->at->fcw, 32);
    x->tags = operand_own(j, x->at->ftag, 32);
    x->eip = operand_use(j, x->at->eip, 64, 64);
    if (x->u->b & X87_MEM)
        x->offset = x->u->b & X87_WIDE ? operand_use(j, x->at->offset, 64, 64) : operand_use(j, x->at->offset, 32, 32);
    x->slow = slow_path(j, SLOW_X87);
    x->slow->retry = e->at;
    x_rm(e, 32, 0x83, ALU_CMP, R_EXEC, (int32_t)offsetof(struct exec, x87_live));
    code_8(e, 0);
    x->slow->from[0] = x_jcc(e, CC_E);
    if (j->c->x87_notes_opcode)
        return;
    x_rm(e, 32, 0xf7, 0, R_STATE, state_disp(x->at->fop_switch));
    code_32(e, 4);
    slow_if(j, x, CC_NE);
}

static void end(struct jit *j, const struct x87 *x)
{
    operand_def(j, x->at->fcw, 32);
    operand_def(j, x->at->ftag, 32);
    x->slow->back = j->code.at;
}

static void move_word(struct jit *j, unsigned to, unsigned from)
{
    x_rm(&j->code, 32, X_MOVZX16, RAX, R_STATE, state_disp(from));
    x_store(&j->code, 16, R_STATE, state_disp(to), RAX);
}

/* Which instruction was the last one (SDM 1, 8.1.8). */
static void note(struct jit *j, const struct x87 *x)
{
    const struct x87_layout *at = x->at;
    struct code *e = &j->code;

    x_store(e, 64, R_STATE, state_disp(at->fip), x->eip);
    move_word(j, at->fcs, at->selectors + (unsigned)at->cs * at->stride);
    if (x->u->b & X87_MEM) {
        x_store(e, 64, R_STATE, state_disp(at->fdp), x->offset);
        move_word(j, at->fds, at->selectors + (x->u->b & X87_SEG) * (unsigned)at->stride);
    }
    if (j->c->x87_notes_opcode)
        x_store_imm(e, 16, R_STATE, state_disp(at->fop), (x->u->d & 7u) << 8 | (x->u->a & 0xffu));
}

/* reg = the physical number of ST(i) */
static void number(struct jit *j, const struct x87 *x, unsigned reg, unsigned i)
{
    struct code *e = &j->code;

    x_rr(e, 32, X_MOV_LOAD, reg, x->word);
    x_shift_imm(e, 32, SHIFT_SHR, reg, 16 + 11);
    if (i)
        x_alu_imm(e, 32, ALU_ADD, reg, (int32_t)i);
    x_alu_imm(e, 32, ALU_AND, reg, 7);
}

/* reg = 16 times that, of a register which must be in use or not */
static void locate(struct jit *j, struct x87 *x, unsigned reg, unsigned i, bool full)
{
    struct code *e = &j->code;

    number(j, x, reg, i);
    x_rr(e, 32, 0x0fa3, reg, x->tags); /* BT */
    slow_if(j, x, full ? CC_AE : CC_B);
    x_shift_imm(e, 32, SHIFT_SHL, reg, 4);
}

static void load(struct jit *j, const struct x87 *x, unsigned reg) /* FLD m80 */
{
    x_rmx(&j->code, 32, 0xdb, 5, R_STATE, reg, 0, state_disp(x->at->fpr));
}

static void store(struct jit *j, const struct x87 *x, unsigned reg) /* FSTP m80 */
{
    x_rmx(&j->code, 32, 0xdb, 7, R_STATE, reg, 0, state_disp(x->at->fpr));
}

static void host(struct jit *j, unsigned opcode, unsigned modrm)
{
    code_8(&j->code, opcode);
    code_8(&j->code, modrm);
}

static void host_status(struct jit *j) /* FNSTSW AX */
{
    host(j, 0xdf, 0xe0);
}

static void drop(struct jit *j) /* FSTP ST(0) */
{
    host(j, 0xdd, 0xd8);
}

/* Of the guest's status word `clear` is cleared, then what eax has of `take` set. Destroys rax. */
static void take_status(struct jit *j, const struct x87 *x, unsigned take, unsigned clear)
{
    struct code *e = &j->code;

    x_alu_imm(e, 32, ALU_AND, x->word, (int32_t)~(clear << 16));
    if (!take)
        return;
    x_alu_imm(e, 32, ALU_AND, RAX, (int32_t)take);
    x_shift_imm(e, 32, SHIFT_SHL, RAX, 16);
    x_alu(e, 32, ALU_OR, x->word, RAX);
}

/* Add `by`, SW_ONE or its negative, to TOP. Destroys rax. */
static void move_top(struct jit *j, const struct x87 *x, int32_t by)
{
    struct code *e = &j->code;

    x_rm(e, 32, X_LEA, RAX, x->word, by * 0x10000);
    x_alu(e, 32, ALU_XOR, RAX, x->word);
    x_alu_imm(e, 32, ALU_AND, RAX, (int32_t)(SW_TOP << 16));
    x_alu(e, 32, ALU_XOR, x->word, RAX);
}

/* Mark the register of physical number rcx as in use or not. */
static void mark(struct jit *j, const struct x87 *x, bool full)
{
    x_rr(&j->code, 32, full ? 0x0fab : 0x0fb3, RCX, x->tags); /* BTS, BTR */
}

static void pop(struct jit *j, const struct x87 *x)
{
    number(j, x, RCX, 0);
    mark(j, x, false);
    move_top(j, x, SW_ONE);
}

/* The host's ST(0) becomes the guest's new one, at rcx; the status word is taken from eax. */
static void push(struct jit *j, const struct x87 *x, unsigned take)
{
    store(j, x, RCX);
    take_status(j, x, take, SW_C1);
    x_shift_imm(&j->code, 32, SHIFT_SHR, RCX, 4);
    mark(j, x, true);
    move_top(j, x, -(int32_t)SW_ONE);
}

/* ---- instructions ---- */

static void push_memory(struct jit *j, struct x87 *x, unsigned opcode, unsigned field)
{
    begin(j, x);
    locate(j, x, RCX, 7, false);
    x_rm(&j->code, 32, opcode, field, R_STATE, state_disp(x->at->value));
    host_status(j);
    push(j, x, SW_FLAGS);
    note(j, x);
    end(j, x);
}

static void push_register(struct jit *j, struct x87 *x)
{
    begin(j, x);
    locate(j, x, RDX, x->i, true);
    locate(j, x, RCX, 7, false);
    load(j, x, RDX);
    push(j, x, 0);
    note(j, x);
    end(j, x);
}

static void push_constant(struct jit *j, struct x87 *x)
{
    begin(j, x);
    locate(j, x, RCX, 7, false);
    host(j, 0xd9, x->u->a & 0xffu);
    push(j, x, 0);
    note(j, x);
    end(j, x);
}

/* ST(0) = ST(0) f the operand in memory. */
static void arithmetic_memory(struct jit *j, struct x87 *x)
{
    begin(j, x);
    locate(j, x, RCX, 0, true);
    load(j, x, RCX);
    x_rm(&j->code, 32, 0xd8 | x->op, x->field, R_STATE, state_disp(x->at->value));
    host_status(j);
    store(j, x, RCX);
    take_status(j, x, SW_FLAGS | SW_C1, SW_C1);
    note(j, x);
    end(j, x);
}

/* ST(0) or ST(i) = ST(0) f ST(i): D8, DC, DE. */
static void arithmetic(struct jit *j, struct x87 *x)
{
    begin(j, x);
    locate(j, x, RDX, 0, true);
    locate(j, x, RCX, x->i, true);
    load(j, x, RCX);
    load(j, x, RDX);
    host(j, 0xd8, 0xc1 | x->field << 3);
    host_status(j);
    store(j, x, x->op ? RCX : RDX);
    drop(j);
    take_status(j, x, SW_FLAGS | SW_C1, SW_C1);
    if (x->op == 6)
        pop(j, x);
    note(j, x);
    end(j, x);
}

/* ST(0) = f ST(0); `quiet`: no exceptions. */
static void one_operand(struct jit *j, struct x87 *x, bool quiet)
{
    begin(j, x);
    locate(j, x, RCX, 0, true);
    load(j, x, RCX);
    host(j, 0xd9, x->u->a & 0xffu);
    if (!quiet)
        host_status(j);
    store(j, x, RCX);
    take_status(j, x, quiet ? 0 : SW_FLAGS | SW_C1, SW_C1);
    note(j, x);
    end(j, x);
}

static void compare_memory(struct jit *j, struct x87 *x)
{
    begin(j, x);
    locate(j, x, RCX, 0, true);
    load(j, x, RCX);
    x_rm(&j->code, 32, 0xd8 | x->op, 2, R_STATE, state_disp(x->at->value));
    host_status(j);
    drop(j);
    take_status(j, x, SW_FLAGS | SW_CONDITIONS, SW_C1 | SW_CONDITIONS);
    if (x->field == 3)
        pop(j, x);
    note(j, x);
    end(j, x);
}

/* ST(0) with ST(i), which are put on the host's stack. */
static void compare_begin(struct jit *j, struct x87 *x)
{
    begin(j, x);
    locate(j, x, RDX, 0, true);
    locate(j, x, RCX, x->i, true);
    load(j, x, RCX);
    load(j, x, RDX);
}

static void compare(struct jit *j, struct x87 *x, bool quiet, unsigned pops)
{
    compare_begin(j, x);
    host(j, quiet ? 0xdd : 0xd8, quiet ? 0xe1 : 0xd1);
    host_status(j);
    drop(j);
    drop(j);
    take_status(j, x, SW_FLAGS | SW_CONDITIONS, SW_C1 | SW_CONDITIONS);
    while (pops-- > 0)
        pop(j, x);
    note(j, x);
    end(j, x);
}

/* Into ZF, PF and CF: FCOMI, FUCOMI. */
static void compare_flags(struct jit *j, struct x87 *x, bool quiet, bool pops)
{
    unsigned flags = j->c->flags_offset, dst = flags + (unsigned)offsetof(struct lazy_flags, dst);
    struct code *e = &j->code;

    operands_release(j, flags, sizeof(struct lazy_flags));
    operand_own(j, dst, 64);
    compare_begin(j, x);
    host(j, 0xdb, quiet ? 0xe9 : 0xf1);
    code_8(e, 0x9f); /* LAHF */
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 8);
    x_alu_imm(e, 32, ALU_AND, RAX, FLAG_Z | FLAG_P | FLAG_C);
    x_rr(e, 64, X_MOV_LOAD, operand_def(j, dst, 64), RAX);
    host_status(j);
    drop(j);
    drop(j);
    take_status(j, x, SW_FLAGS, SW_C1);
    if (pops)
        pop(j, x);
    note(j, x);
    end(j, x);
    operand_def_const(j, flags + (unsigned)offsetof(struct lazy_flags, src), 64, 0);
    operand_def_const(j, flags + (unsigned)offsetof(struct lazy_flags, op), 32, FLAGS_EXPLICIT);
}

/* FST and FSTP to ST(i), which may be empty. */
static void store_register(struct jit *j, struct x87 *x, bool pops)
{
    struct code *e = &j->code;

    begin(j, x);
    locate(j, x, RDX, 0, true);
    number(j, x, RCX, x->i);
    mark(j, x, true);
    x_shift_imm(e, 32, SHIFT_SHL, RCX, 4);
    load(j, x, RDX);
    store(j, x, RCX);
    take_status(j, x, 0, SW_C1);
    if (pops)
        pop(j, x);
    note(j, x);
    end(j, x);
}

static void exchange(struct jit *j, struct x87 *x)
{
    begin(j, x);
    locate(j, x, RDX, 0, true);
    locate(j, x, RCX, x->i, true);
    load(j, x, RCX);
    load(j, x, RDX);
    store(j, x, RCX);
    store(j, x, RDX);
    take_status(j, x, 0, SW_C1);
    note(j, x);
    end(j, x);
}

/* ST(0) to the temporary, in the format of the instruction's operand. */
static void convert(struct jit *j, struct x87 *x)
{
    struct code *e = &j->code;

    begin(j, x);
    locate(j, x, RCX, 0, true);
    load(j, x, RCX);
    x_rm(e, 32, 0xd8 | x->op, x->op == 7 && x->field == 7 ? 7 : 3, R_STATE, state_disp(x->at->value));
    host_status(j);
    x_alu_imm(e, 32, ALU_AND, RAX, SW_FLAGS | SW_C1);
    x_store(e, 64, R_STATE, state_disp(x->at->status), RAX);
    end(j, x);
}

/* ... which has been stored. */
static void commit(struct jit *j, struct x87 *x)
{
    struct code *e = &j->code;

    begin(j, x);
    x_load(e, 32, RAX, R_STATE, state_disp(x->at->status));
    take_status(j, x, SW_FLAGS | SW_C1, SW_C1);
    if (x->field & 1)
        pop(j, x);
    note(j, x);
    end(j, x);
}

/* An error that is pending: none is while the host is set up, for all are masked. */
static void check(struct jit *j, struct x87 *x)
{
    x->slow = slow_path(j, SLOW_X87);
    x->slow->retry = j->code.at;
    x_rm(&j->code, 32, 0x83, ALU_CMP, R_EXEC, (int32_t)offsetof(struct exec, x87_live));
    code_8(&j->code, 0);
    x->slow->from[0] = x_jcc(&j->code, CC_E);
    x->slow->back = j->code.at;
}

/* ---- which it is ---- */

static bool emit_memory(struct jit *j, struct x87 *x)
{
    static const struct { uint8_t op, field, opcode; } loads[] = {
        {1, 0, 0xd9}, {3, 0, 0xdb}, {5, 0, 0xdd}, {7, 0, 0xdf}, {7, 5, 0xdf}};

    if (x->u->b & X87_CONVERT) {
        convert(j, x);
        return true;
    }
    if (x->u->b & X87_COMMIT) {
        commit(j, x);
        return true;
    }
    if (!(x->u->b & X87_LOADED))
        return false;
    if (!(x->op & 1)) {
        if (x->field == 2 || x->field == 3)
            compare_memory(j, x);
        else
            arithmetic_memory(j, x);
        return true;
    }
    for (unsigned n = 0; n < ARRAY_LEN(loads); n++)
        if (loads[n].op == x->op && loads[n].field == x->field) {
            push_memory(j, x, loads[n].opcode, x->field);
            return true;
        }
    return false;
}

static bool emit_d9(struct jit *j, struct x87 *x)
{
    switch (x->u->a & 0xffu) {
    case 0xe0: case 0xe1: one_operand(j, x, true); return true;
    case 0xe8: case 0xe9: case 0xea: case 0xeb: case 0xec: case 0xed: case 0xee: push_constant(j, x); return true;
    case 0xfa: case 0xfc: one_operand(j, x, false); return true;
    default: break;
    }
    if (x->field == 0)
        push_register(j, x);
    else if (x->field == 1)
        exchange(j, x);
    else
        return false;
    return true;
}

static bool emit_register(struct jit *j, struct x87 *x)
{
    switch (x->op << 3 | x->field) {
    case 0 << 3 | 2: case 0 << 3 | 3: compare(j, x, false, x->field - 2); return true;
    case 2 << 3 | 5: /* FUCOMPP */
        if (x->i != 1)
            return false;
        compare(j, x, true, 2);
        return true;
    case 3 << 3 | 5: case 3 << 3 | 6: compare_flags(j, x, x->field == 5, false); return true;
    case 5 << 3 | 2: case 5 << 3 | 3: store_register(j, x, x->field == 3); return true;
    case 5 << 3 | 4: case 5 << 3 | 5: compare(j, x, true, x->field - 4); return true;
    case 6 << 3 | 3: /* FCOMPP */
        if (x->i != 1)
            return false;
        compare(j, x, false, 2);
        return true;
    case 7 << 3 | 5: case 7 << 3 | 6: compare_flags(j, x, x->field == 5, true); return true;
    default: break;
    }
    if (x->op == 1)
        return emit_d9(j, x);
    if ((x->op & 1) || x->op == 2 || x->field == 2 || x->field == 3)
        return false;
    arithmetic(j, x);
    return true;
}

bool emit_x87(struct jit *j, const struct uop *u)
{
    struct x87 x = {.at = j->c->fe->x87, .u = u, .op = u->d & 7u, .field = u->a >> 3 & 7u, .i = u->a & 7u};

    if (u->op != UOP_X87 || !x.at)
        return false;
    if (u->b & X87_CHECK) {
        check(j, &x);
        return true;
    }
    return u->b & X87_MEM ? emit_memory(j, &x) : emit_register(j, &x);
}
