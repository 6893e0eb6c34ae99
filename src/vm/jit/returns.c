/*
 * Calls and returns. Where a call comes back to is known when it is made, but a return that looks for it in the jump cache reads a cache
 * line of its own, which is not at hand when thousands of functions are called in turns. So each CPU has a ring (exec.returns) of
 * *landings*: code behind a call, to which the return goes at once. The landing sees whether it is the right one (the PC is the one behind its
 * call, the mode is that of the call, and what is mapped there is what it is chained to) and goes on as by any edge to another
 * page; else it goes back to the code of the return, which looks into the jump cache.
 *
 * The ring is but a guess: it has no part in the machine's state, and whatever is in it, the same instructions are run. Calls that do not come
 * back, and returns without a call, are outlasted: each return takes one off, whether it is its own or not.
 *
 * rdx: the PC; rdi: what stands for the mode of the code that returns; r8: where the landing goes back to.
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>

#define EXEC(member) ((int32_t)offsetof(struct exec, member))
#define RING_MASK ((int32_t)((RETURNS - 1) * RETURN_SIZE))

_Static_assert((RETURNS & (RETURNS - 1)) == 0, "a mask makes a ring");

/* What stands for a mode and bias; 0: there are too many. */
static unsigned mode_number(struct jit *j, uint64_t mode, uint64_t bias)
{
    for (unsigned i = 0; i < j->nreturn_modes; i++)
        if (j->return_modes[i].mode == mode && j->return_modes[i].bias == bias)
            return i + 1;
    if (j->nreturn_modes == RETURN_MODES)
        return 0;
    j->return_modes[j->nreturn_modes++] = (struct return_mode){.mode = mode, .bias = bias};
    return j->nreturn_modes;
}

/* The top of the ring, in eax, goes on by so many bytes. */
static void move_top(struct jit *j, int by)
{
    struct code *e = &j->code;

    x_alu_imm(e, 32, ALU_ADD, RAX, by);
    x_alu_imm(e, 32, ALU_AND, RAX, RING_MASK);
    x_store(e, 32, R_EXEC, EXEC(return_top), RAX);
}

/* reg = an address in code, of which the displacement is returned. */
static uint8_t *lea_code(struct jit *j, unsigned reg)
{
    struct code *e = &j->code;

    x_opcode(e, 64, X_LEA, reg, 0, 0, false);
    code_8(e, (reg & 7) << 3 | 5);
    code_32(e, 0);
    return e->at - 4;
}

void returns_make_stub(struct jit *j)
{
    uint8_t *at = j->code.at;
    const struct machine *m = j->c->cpu.machine;

    x_jmp_reg(&j->code, R8);
    for (unsigned i = 0; i < m->ncpus; i++)
        ucpu_of(m->cpus[i])->exec->return_unknown = at + j->execute;
    returns_forget(j);
}

void returns_forget(struct jit *j)
{
    const struct machine *m = j->c->cpu.machine;

    for (unsigned i = 0; i < m->ncpus; i++) {
        struct exec *x = ucpu_of(m->cpus[i])->exec;

        for (unsigned n = 0; n < RETURNS; n++)
            x->returns[n] = x->return_unknown;
    }
}

bool emit_return(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;

    if (u->op != UOP_CALLS)
        return false;
    j->landings[j->nlandings++] = (struct landing){.block = j->block, .at = lea_code(j, RCX)};
    x_load(e, 32, RAX, R_EXEC, EXEC(return_top));
    move_top(j, (int)RETURN_SIZE);
    x_rmx(e, 64, X_MOV_STORE, RCX, R_EXEC, RAX, 0, EXEC(returns));
    return true;
}

void go_back(struct jit *j, uint64_t mode, uint64_t bias)
{
    unsigned number = mode_number(j, mode, bias);
    struct code *e = &j->code;
    uint8_t *back;

    x_load(e, 32, RAX, R_EXEC, EXEC(return_top));
    if (number)
        x_rmx(e, 64, X_MOV_LOAD, RCX, R_EXEC, RAX, 0, EXEC(returns));
    move_top(j, -(int)RETURN_SIZE);
    if (!number)
        return;
    x_mov_imm(e, RDI, number);
    back = lea_code(j, R8);
    x_jmp_reg(e, RCX);
    x_here(e, back);
}

static void emit_landing(struct jit *j, const struct landing *l)
{
    const uint64_t pc = l->block->target[EDGE_RETURN];
    struct code *e = &j->code;
    uint8_t *other = e->at;

    x_jmp_reg(e, R8);
    x_here(e, l->at);
    x_alu_imm(e, 32, ALU_CMP, RDI, (int32_t)mode_number(j, l->block->key.mode, block_bias(l->block)));
    x_point(e, x_jcc(e, CC_NE), other);
    if (fits_32((int64_t)pc)) {
        x_alu_imm(e, 64, ALU_CMP, RDX, (int32_t)pc);
    } else {
        x_mov_imm(e, RCX, pc);
        x_alu(e, 64, ALU_CMP, RDX, RCX);
    }
    x_point(e, x_jcc(e, CC_NE), other);
    go_far(j, l->block, EDGE_RETURN);
}

void emit_landings(struct jit *j)
{
    for (unsigned i = 0; i < j->nlandings; i++)
        emit_landing(j, &j->landings[i]);
}
