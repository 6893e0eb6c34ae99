/*
 * Code made once for all CPUs of a machine: the way into compiled code and out of it, and the
 * calls of C functions from it (System V ABI).
 *
 * Blocks are entered by a jump with the block in rax. Where a micro-op faults in a C
 * function, its stub does not return but leaves with LEFT_FAULT.
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>
#include <xmmintrin.h>

#define CPU(member)   ((int32_t)offsetof(struct ucpu, member))
#define EXEC(member)  ((int32_t)offsetof(struct exec, member))
#define BLOCK(member) ((int32_t)offsetof(struct block, member))

static const uint8_t scratch[] = {RSI, RDI, R8, R9, R10, R11}; /* values that C functions do not keep */

static uint64_t address(void (*fn)(void))
{
    return (uint64_t)(uintptr_t)fn;
}
#define ADDRESS(fn) address((void (*)(void))(fn))

static bool store_pair(struct ucpu *c, uint64_t va, unsigned each, uint64_t first, uint64_t second)
{
    uint64_t pair[2] = {first, second};

    if (each == 4)
        pair[0] = (uint32_t)first | second << 32;
    return softmmu_store_pair_slow(c, va, pair, each);
}

static bool store_one(struct ucpu *c, uint64_t va, unsigned size, uint64_t value)
{
    return softmmu_store_slow(c, va, value, size);
}

static unsigned condition(const struct lazy_flags *f, unsigned cond)
{
    return flags_cond(f, cond);
}

/* A jump over what is there for the case that [exec + live] is not 0. */
static uint8_t *unless_live(struct jit *j, int32_t live)
{
    x_rm(&j->code, 32, 0x83, ALU_CMP, R_EXEC, live);
    code_8(&j->code, 0);
    return x_jcc(&j->code, CC_E);
}

/* C code is about to run: give it its MXCSR and an empty x87, and the guest's state what was live. Destroys the
 * flags alone. */
static void leave_float(struct jit *j)
{
    struct code *e = &j->code;
    uint8_t *dead;

    if (j->c->fe->sse_op) {
        dead = unless_live(j, EXEC(sse_live));
        x_rm(e, 32, 0x0fae, 3, R_STATE, state_disp(j->c->fe->mxcsr_at)); /* STMXCSR */
        x_rm(e, 32, 0x0fae, 2, R_EXEC, EXEC(host_mxcsr));                /* LDMXCSR */
        x_store_imm(e, 32, R_EXEC, EXEC(sse_live), 0);
        x_here(e, dead);
    }
    if (j->c->fe->x87) {
        dead = unless_live(j, EXEC(x87_live));
        call_stub(j, j->stubs.x87_leave);
        x_here(e, dead);
    }
}

/* Put the guest's MXCSR into the host's, if all exceptions are masked there: then Z is set. Destroys eax. */
static void make_sse_enter(struct jit *j)
{
    const uint32_t masks = 0x1f80;
    struct code *e = &j->code;
    uint8_t *unmasked;
    int32_t mxcsr;

    j->stubs.sse_enter = e->at;
    if (!j->c->fe->sse_op)
        return;
    mxcsr = state_disp(j->c->fe->mxcsr_at);
    x_load(e, 32, RAX, R_STATE, mxcsr);
    x_not(e, 32, RAX);
    x_test_imm(e, 32, RAX, masks);
    unmasked = x_jcc(e, CC_NE);
    x_rm(e, 32, 0x0fae, 2, R_STATE, mxcsr);
    x_store_imm(e, 32, R_EXEC, EXEC(sse_live), 1);
    x_here(e, unmasked);
    x_ret(e);
}

/* ---- the x87, whose whole state is the guest's or not (SDM 1, figure 8-9: the image of FNSAVE, whose beginning is FLDENV's) ---- */

#define IMAGE_STATUS 4
#define IMAGE_TAGS   8
#define IMAGE_FIP    12
#define IMAGE_ST     28 /* ST(0): 10 bytes each */
#define IMAGE_BYTES  112 /* and some more: the stack stays aligned */

/* Spread the low 8 bits of eax, or gather every second one of 16: masks and distances by which that is done. Destroys edx. */
static void spread(struct jit *j)
{
    struct code *e = &j->code;

    for (unsigned n = 4; n > 0; n /= 2) {
        x_mov(e, 32, RDX, RAX);
        x_shift_imm(e, 32, SHIFT_SHL, RDX, n);
        x_alu(e, 32, ALU_OR, RAX, RDX);
        x_alu_imm(e, 32, ALU_AND, RAX, n == 4 ? 0x0f0f : n == 2 ? 0x3333 : 0x5555);
    }
}

static void gather(struct jit *j)
{
    struct code *e = &j->code;

    for (unsigned n = 1; n < 8; n *= 2) {
        x_alu_imm(e, 32, ALU_AND, RAX, n == 4 ? 0x0f0f : n == 2 ? 0x3333 : 0x5555);
        x_mov(e, 32, RDX, RAX);
        x_shift_imm(e, 32, SHIFT_SHR, RDX, n);
        x_alu(e, 32, ALU_OR, RAX, RDX);
    }
}

/* rcx = 16 times TOP, which is in the status word eax; destroys it. */
static void find_top(struct jit *j)
{
    x_shift_imm(&j->code, 32, SHIFT_SHR, RAX, 7);
    x_alu_imm(&j->code, 32, ALU_AND, RAX, 0x70);
    x_mov(&j->code, 32, RCX, RAX);
}

static void next_register(struct jit *j)
{
    x_alu_imm(&j->code, 32, ALU_ADD, RCX, 16);
    x_alu_imm(&j->code, 32, ALU_AND, RCX, 0x70);
}

/* Put the guest's x87 into the host's, if all exceptions are masked there and no error is pending: then Z is set. Destroys rax and
 * rcx; keeps rdx. */
static void make_x87_enter(struct jit *j)
{
    const struct x87_layout *at = j->c->fe->x87;
    struct code *e = &j->code;
    uint8_t *unmasked, *pending;

    j->stubs.x87_enter = e->at;
    if (!at)
        return;
    x_load(e, 32, RAX, R_STATE, state_disp(at->fcw));
    x_mov(e, 32, RCX, RAX);
    x_not(e, 32, RCX);
    x_test_imm(e, 32, RCX, X87_MASKS);
    unmasked = x_jcc(e, CC_NE);
    x_test_imm(e, 32, RAX, 0x80800000u); /* ES, B */
    pending = x_jcc(e, CC_NE);
    x_push(e, RDX);
    x_alu_imm(e, 64, ALU_SUB, RSP, IMAGE_BYTES);
    x_rr(e, 32, X_MOVZX16, RCX, RAX);
    x_store(e, 32, RSP, 0, RCX);
    x_shift_imm(e, 32, SHIFT_SHR, RAX, 16);
    x_store(e, 32, RSP, IMAGE_STATUS, RAX);
    x_rm(e, 32, X_MOVZX8, RAX, R_STATE, state_disp(at->ftag));
    spread(j);
    x_alu_imm(e, 32, ALU_XOR, RAX, 0x5555);
    x_rmx(e, 32, X_LEA, RAX, RAX, RAX, 1, 0); /* 3 where a register is empty */
    x_store(e, 32, RSP, IMAGE_TAGS, RAX);
    x_store_imm(e, 64, RSP, IMAGE_FIP, 0);
    x_store_imm(e, 64, RSP, IMAGE_FIP + 8, 0);
    code_8(e, 0x0f); /* EMMS: all are empty, and TOP is 0 (SDM 3A, table 12-2), as C leaves it */
    code_8(e, 0x77);
    for (unsigned i = 8; i-- > 0;)
        x_rm(e, 32, 0xdb, 5, R_STATE, state_disp(at->fpr) + 16 * (int32_t)i); /* FLD m80 */
    x_rm(e, 32, 0xd9, 4, RSP, 0);                                             /* FLDENV */
    x_alu_imm(e, 64, ALU_ADD, RSP, IMAGE_BYTES);
    x_pop(e, RDX);
    x_store_imm(e, 32, R_EXEC, EXEC(x87_live), 1);
    x_alu(e, 32, ALU_XOR, RAX, RAX);
    x_here(e, unmasked);
    x_here(e, pending);
    x_ret(e);
}

/* The other way round. Destroys the flags alone. */
static void make_x87_leave(struct jit *j)
{
    const struct x87_layout *at = j->c->fe->x87;
    struct code *e = &j->code;

    j->stubs.x87_leave = e->at;
    if (!at)
        return;
    x_push(e, RAX);
    x_push(e, RCX);
    x_push(e, RDX);
    x_alu_imm(e, 64, ALU_SUB, RSP, IMAGE_BYTES);
    x_rm(e, 32, 0xdd, 6, RSP, 0);                 /* FNSAVE */
    x_rm(e, 32, 0xd9, 5, R_EXEC, EXEC(host_fcw)); /* FLDCW */
    x_rm(e, 32, X_MOVZX16, RAX, RSP, IMAGE_TAGS);
    x_mov(e, 32, RDX, RAX);
    x_shift_imm(e, 32, SHIFT_SHR, RDX, 1);
    x_alu(e, 32, ALU_AND, RAX, RDX);
    gather(j);
    x_not(e, 32, RAX);
    x_store(e, 8, R_STATE, state_disp(at->ftag), RAX);
    x_rm(e, 32, X_MOVZX16, RAX, RSP, IMAGE_STATUS);
    x_store(e, 16, R_STATE, state_disp(at->fcw) + 2, RAX);
    find_top(j);
    for (unsigned i = 0; i < 8; i++) {
        x_load(e, 64, RAX, RSP, IMAGE_ST + 10 * (int32_t)i);
        x_rm(e, 32, X_MOVZX16, RDX, RSP, IMAGE_ST + 10 * (int32_t)i + 8);
        x_rmx(e, 64, X_MOV_STORE, RAX, R_STATE, RCX, 0, state_disp(at->fpr));
        x_rmx(e, 16, X_MOV_STORE, RDX, R_STATE, RCX, 0, state_disp(at->fpr) + 8);
        next_register(j);
    }
    x_store_imm(e, 32, R_EXEC, EXEC(x87_live), 0);
    x_alu_imm(e, 64, ALU_ADD, RSP, IMAGE_BYTES);
    x_pop(e, RDX);
    x_pop(e, RCX);
    x_pop(e, RAX);
    x_ret(e);
}

/* Both MXCSR and the x87, or which of them is not there yet. */
static void make_both_enter(struct jit *j)
{
    struct code *e = &j->code;
    uint8_t *unmasked, *live;

    j->stubs.both_enter = e->at;
    if (!j->c->fe->x87 || !j->c->fe->sse_op)
        return;
    x_rm(e, 32, 0x83, ALU_CMP, R_EXEC, EXEC(sse_live));
    code_8(e, 0);
    live = x_jcc(e, CC_NE);
    call_stub(j, j->stubs.sse_enter);
    unmasked = x_jcc(e, CC_NE);
    x_here(e, live);
    live = unless_live(j, EXEC(x87_live));
    x_alu(e, 32, ALU_XOR, RAX, RAX);
    x_ret(e);
    x_here(e, live);
    jump_stub(j, j->stubs.x87_enter);
    x_here(e, unmasked);
    x_ret(e);
}

/* reg = the block in progress. */
static void get_shown(struct jit *j, unsigned reg)
{
    x_load(&j->code, 32, reg, R_EXEC, EXEC(shown));
    x_alu_imm(&j->code, 32, ALU_AND, reg, -(int32_t)BLOCK_ALIGN);
    x_rm(&j->code, 64, 8u * ALU_ADD + 3u, reg, R_EXEC, EXEC(pool));
}

/* reg = its steps. (The block itself is in nobody's cache.) */
static void get_shown_steps(struct jit *j, unsigned reg)
{
    x_load(&j->code, 32, reg, R_EXEC, EXEC(shown));
    x_alu_imm(&j->code, 32, ALU_AND, reg, (int32_t)BLOCK_ALIGN - 1);
}

/* rdi = the CPU, with budget, block and steps as they are. Destroys rdx. */
static void show_cpu(struct jit *j)
{
    struct code *e = &j->code;

    x_load(e, 64, RDI, R_EXEC, EXEC(cpu));
    x_store(e, 64, RDI, CPU(cpu.budget), R_BUDGET);
    get_shown(j, RDX);
    x_store(e, 64, RDI, CPU(block), RDX);
    get_shown_steps(j, RDX);
    x_store(e, 32, RDI, CPU(cpu.steps), RDX);
}

void show_block(struct jit *j, const struct block *b)
{
    x_store_imm(&j->code, 32, R_EXEC, EXEC(shown), block_shown(j, b));
}

/* A C function may have changed the TLB: no place (near.c) is known any more. */
static void forget_places(struct jit *j)
{
    for (unsigned i = 0; i < NEAR_PLACES; i++)
        x_store_imm(&j->code, 64, R_EXEC, place_disp(i), 0);
}

static void look_at_budget(struct jit *j)
{
    struct code *e = &j->code;

    x_load(e, 64, RDX, R_EXEC, EXEC(cpu));
    x_load(e, 64, R_BUDGET, RDX, CPU(cpu.budget));
}

static void leave(struct jit *j, enum left left)
{
    x_mov_imm(&j->code, RAX, left);
    jump_stub(j, j->stubs.exit);
}

static void make_enter_and_exit(struct jit *j)
{
    static const uint8_t kept[] = {RBX, RBP, R12, R13, R14, R15};
    struct code *e = &j->code;

    /* enum left enter(struct block *, code, struct exec *) */
    j->stubs.enter = e->at;
    for (unsigned i = 0; i < sizeof(kept); i++)
        x_push(e, kept[i]);
    x_alu_imm(e, 64, ALU_SUB, RSP, 8);
    x_rr(e, 64, X_MOV_LOAD, RAX, RDI);
    x_rr(e, 64, X_MOV_LOAD, R_EXEC, RDX);
    x_load(e, 64, RDX, R_EXEC, EXEC(cpu));
    x_load(e, 64, R_STATE, R_EXEC, EXEC(state));
    x_alu_imm(e, 64, ALU_ADD, R_STATE, STATE_BIAS);
    x_load(e, 64, R_TLB, RDX, CPU(tlb));
    x_load(e, 64, R_BUDGET, RDX, CPU(cpu.budget));
    x_opcode(e, 32, 0xff, 0, 0, RSI, false);
    code_8(e, 0xe0 | RSI);

    /* eax: enum left */
    j->stubs.exit = e->at;
    leave_float(j);
    show_cpu(j);
    j->stubs.exit_shown = e->at; /* all is in memory already */
    x_alu_imm(e, 64, ALU_ADD, RSP, 8);
    for (unsigned i = sizeof(kept); i-- > 0;)
        x_pop(e, kept[i]);
    x_ret(e);
}

/* Leave with enum left eax, if there is no block to go on with. */
static void make_go_on(struct jit *j)
{
    struct code *e = &j->code;
    uint8_t *none;

    j->stubs.go_on = e->at;
    leave_float(j);
    show_cpu(j);
    x_rr(e, 32, X_MOV_LOAD, RSI, RAX);
    x_mov_imm(e, RAX, ADDRESS(exec_go_on));
    x_call_reg(e, RAX);
    x_test(e, 64, RAX, RAX);
    none = x_jcc(e, CC_E);
    look_at_budget(j);
    x_load(e, 64, R_TLB, RDX, CPU(tlb));
    x_jmp_mem(e, RAX, BLOCK(entry));
    x_here(e, none);
    x_load(e, 32, RAX, R_EXEC, EXEC(left));
    jump_stub(j, j->stubs.exit_shown);
}

static void make_exits(struct jit *j)
{
    struct code *e = &j->code;

    /* To a block (rax) that has no code, or is to have other code. */
    j->stubs.turn = e->at;
    x_store(e, 64, R_EXEC, EXEC(turn), RAX);
    x_rm(e, 32, X_MOVZX16, RDX, RAX, BLOCK(steps));
    x_rm(e, 64, 8u * ALU_SUB + 3u, RAX, R_EXEC, EXEC(pool));
    x_alu(e, 32, ALU_OR, RAX, RDX);
    x_store(e, 32, R_EXEC, EXEC(shown), RAX);
    leave(j, LEFT_TURN);

    /* The block's steps were taken off the budget, which had less. */
    j->stubs.no_budget = e->at;
    get_shown_steps(j, RCX);
    x_alu(e, 64, ALU_ADD, R_BUDGET, RCX);
    get_shown(j, RDX);
    x_load(e, 64, RCX, RDX, BLOCK(key.pc));
    x_store(e, 64, R_EXEC, EXEC(go_pc), RCX);
    leave(j, LEFT_BUDGET);

    /* By edge eax, without a chain; and to the PC in rax. */
    j->stubs.unchained = e->at;
    x_store(e, 32, R_EXEC, EXEC(go_edge), RAX);
    get_shown(j, RDX);
    x_rmx(e, 64, X_MOV_LOAD, RCX, RDX, RAX, 3, BLOCK(target));
    x_store(e, 64, R_EXEC, EXEC(go_pc), RCX);
    leave(j, LEFT_UNCHAINED);
    for (unsigned n = 0; n < 2; n++) {
        uint8_t *none;

        j->stubs.edge[n] = e->at;
        x_load(e, 64, RCX, R_EXEC, EXEC(pool));
        x_rr(e, 32, X_MOV_LOAD, RAX, RSI);
        x_alu_imm(e, 32, ALU_AND, RAX, -(int32_t)BLOCK_ALIGN);
        x_rmx(e, 64, X_MOV_LOAD, RAX, RCX, RAX, 0, BLOCK(next) + 8 * (int32_t)n);
        x_test(e, 64, RAX, RAX);
        none = x_jcc(e, CC_E);
        x_jmp_mem(e, RAX, BLOCK(entry));
        x_here(e, none);
        x_store(e, 32, R_EXEC, EXEC(shown), RSI);
        x_mov_imm(e, RAX, n);
        jump_stub(j, j->stubs.unchained);
    }
    j->stubs.edge[EDGE_RETURN] = e->at;
    x_store(e, 32, R_EXEC, EXEC(shown), RSI);
    x_store(e, 64, R_EXEC, EXEC(go_pc), RDX);
    x_store_imm(e, 32, R_EXEC, EXEC(go_edge), EDGE_RETURN);
    leave(j, LEFT_UNCHAINED);
    j->stubs.indirect_miss = e->at;
    x_store(e, 64, R_EXEC, EXEC(go_pc), RAX);
    x_store_imm(e, 32, R_EXEC, EXEC(go_edge), EDGE_NONE);
    leave(j, LEFT_UNCHAINED);

    j->stubs.leave_exit = e->at;
    get_shown(j, RDX);
    x_load(e, 64, RCX, RDX, BLOCK(target));
    x_store(e, 64, R_EXEC, EXEC(go_pc), RCX);
    x_mov_imm(e, RAX, LEFT_EXIT);
    jump_stub(j, j->stubs.go_on);

    /* Micro-op ecx faulted. */
    j->stubs.fault = e->at;
    x_shift_imm(e, 32, SHIFT_SHL, RCX, 4);
    get_shown(j, RDX);
    x_rm(e, 64, 8u * ALU_ADD + 3u, RCX, RDX, BLOCK(uops));
    x_store(e, 64, R_EXEC, EXEC(fault_uop), RCX);
    leave(j, LEFT_FAULT);
}

/* An access that the inline path does not serve: va in rax, what is stored in rdx (and rcx), what is
 * loaded in rax (and rdx); keeps everything else. exec.slow_uop is the micro-op's number. */
static uint8_t *make_access(struct jit *j, uint64_t fn, unsigned size, bool stores, bool pair)
{
    struct code *e = &j->code;
    uint8_t *stub = e->at, *fault;

    leave_float(j);
    for (unsigned i = 0; i < sizeof(scratch); i++)
        x_push(e, scratch[i]);
    x_alu_imm(e, 64, ALU_SUB, RSP, 8);
    x_rr(e, 64, X_MOV_LOAD, RSI, RAX);
    if (stores) {
        x_rr(e, 64, X_MOV_LOAD, R8, RCX);
        x_rr(e, 64, X_MOV_LOAD, RCX, RDX);
    }
    show_cpu(j);
    x_mov_imm(e, RDX, size);
    x_mov_imm(e, RAX, fn);
    x_call_reg(e, RAX);
    look_at_budget(j);
    forget_places(j);
    x_alu_imm(e, 64, ALU_ADD, RSP, 8);
    for (unsigned i = sizeof(scratch); i-- > 0;)
        x_pop(e, scratch[i]);
    x_test(e, 8, RAX, RAX);
    fault = x_jcc(e, CC_E);
    if (!stores)
        x_load(e, 64, RAX, R_EXEC, EXEC(slow_value));
    if (pair && !stores)
        x_load(e, 64, RDX, R_EXEC, EXEC(slow_value[1]));
    x_ret(e);
    x_here(e, fault);
    x_alu_imm(e, 64, ALU_ADD, RSP, 8);
    x_load(e, 32, RCX, R_EXEC, EXEC(slow_uop));
    jump_stub(j, j->stubs.fault);
    return stub;
}

static void make_accesses(struct jit *j)
{
    for (unsigned i = 0; i < 4; i++) {
        j->stubs.load[i] = make_access(j, ADDRESS(softmmu_load_slow), 1u << i, false, false);
        j->stubs.load_rw[i] = make_access(j, ADDRESS(softmmu_load_rw_slow), 1u << i, false, false);
        j->stubs.store[i] = make_access(j, ADDRESS(store_one), 1u << i, true, false);
    }
    for (unsigned i = 0; i < 3; i++) {
        j->stubs.load_pair[i] = make_access(j, ADDRESS(softmmu_load_pair_slow), 4u << i, false, true);
        j->stubs.store_pair[i] = make_access(j, ADDRESS(store_pair), 4u << i, true, true);
    }
}

static void make_calls(struct jit *j)
{
    struct code *e = &j->code;
    uint8_t *other, *not_fault;

    /* The function in rax for the micro-op at rcx. All values are in memory. Returns, with eax, unless the micro-op
     * faulted or left. */
    j->stubs.function = e->at;
    leave_float(j);
    x_rr(e, 64, X_MOV_LOAD, RSI, RCX);
    x_push(e, RCX);
    show_cpu(j);
    x_call_reg(e, RAX);
    x_pop(e, RCX);
    look_at_budget(j);
    x_load(e, 64, R_TLB, RDX, CPU(tlb));
    forget_places(j);
    x_test(e, 32, RAX, RAX);
    other = x_jcc(e, CC_NE);
    x_ret(e);
    x_here(e, other);
    x_alu_imm(e, 32, ALU_CMP, RAX, UOP_FAULT);
    not_fault = x_jcc(e, CC_NE);
    x_alu_imm(e, 64, ALU_ADD, RSP, 8);
    x_store(e, 64, R_EXEC, EXEC(fault_uop), RCX);
    leave(j, LEFT_FAULT);
    x_here(e, not_fault);
    x_alu_imm(e, 32, ALU_CMP, RAX, UOP_LEAVE);
    not_fault = x_jcc(e, CC_NE);
    x_alu_imm(e, 64, ALU_ADD, RSP, 8);
    x_mov_imm(e, RAX, LEFT_LEAVE);
    jump_stub(j, j->stubs.go_on);
    x_here(e, not_fault);
    x_ret(e);
}

/* A function of the flags, which are in memory; its second argument is eax. Keeps everything but rax. */
static uint8_t *make_flags_call(struct jit *j, uint64_t fn)
{
    struct code *e = &j->code;
    uint8_t *stub = e->at;

    for (unsigned i = 0; i < sizeof(scratch); i++)
        x_push(e, scratch[i]);
    x_push(e, RCX);
    x_push(e, RDX);
    x_alu_imm(e, 64, ALU_SUB, RSP, 8);
    x_load(e, 64, RDI, R_EXEC, EXEC(flags));
    x_rr(e, 32, X_MOV_LOAD, RSI, RAX);
    x_mov_imm(e, RAX, fn);
    x_call_reg(e, RAX);
    x_alu_imm(e, 64, ALU_ADD, RSP, 8);
    x_pop(e, RDX);
    x_pop(e, RCX);
    for (unsigned i = sizeof(scratch); i-- > 0;)
        x_pop(e, scratch[i]);
    x_test(e, 32, RAX, RAX);
    x_ret(e);
    return stub;
}

/* Carry of the flags, which are in memory, as the host's: usual operations are looked at here. Destroys rax. */
static void make_carry(struct jit *j)
{
    static const unsigned kept[] = {FLAGS_INC, FLAGS_DEC, FLAGS_SHR};
    const unsigned at = j->c->flags_offset;
    const int32_t op = state_disp(at), dst = state_disp(at + (unsigned)offsetof(struct lazy_flags, dst)),
                  src = state_disp(at + (unsigned)offsetof(struct lazy_flags, src));
    struct code *e = &j->code;
    uint8_t *to_kept[ARRAY_LEN(kept)], *other;

    j->stubs.carry = e->at;
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        unsigned size = bits == 64 ? 3 : 2;

        x_rm(e, 32, 0x83, ALU_CMP, R_STATE, op);
        code_8(e, FLAGS_SUB | size);
        other = x_jcc(e, CC_NE);
        x_load(e, bits, RAX, R_STATE, dst);
        x_rm(e, bits, 8u * ALU_ADD + 3u, RAX, R_STATE, src);
        x_rm(e, bits, 8u * ALU_CMP + 3u, RAX, R_STATE, src);
        x_ret(e);
        x_here(e, other);
        x_rm(e, 32, 0x83, ALU_CMP, R_STATE, op);
        code_8(e, FLAGS_ADD | size);
        other = x_jcc(e, CC_NE);
        x_load(e, bits, RAX, R_STATE, dst);
        x_rm(e, bits, 8u * ALU_CMP + 3u, RAX, R_STATE, src);
        x_ret(e);
        x_here(e, other);
        x_rm(e, 32, 0x83, ALU_CMP, R_STATE, op);
        code_8(e, FLAGS_ADC | size);
        other = x_jcc(e, CC_NE);
        x_load(e, bits, RAX, R_STATE, src);
        x_rm(e, bits, 8u * ALU_CMP + 3u, RAX, R_STATE, dst);
        code_8(e, 0xf5); /* CMC: the sum of three is not above the operand */
        x_ret(e);
        x_here(e, other);
    }
    x_load(e, 32, RAX, R_STATE, op);
    x_alu_imm(e, 32, ALU_AND, RAX, ~3);
    x_alu_imm(e, 32, ALU_CMP, RAX, FLAGS_LOGIC);
    other = x_jcc(e, CC_NE);
    x_ret(e); /* what is equal has no borrow */
    x_here(e, other);
    for (unsigned i = 0; i < ARRAY_LEN(kept); i++) {
        x_alu_imm(e, 32, ALU_CMP, RAX, (int32_t)kept[i]);
        to_kept[i] = x_jcc(e, CC_E);
    }
    x_mov_imm(e, RAX, COND_C);
    call_stub(j, j->stubs.condition);
    x_bt_imm(e, 32, RAX, 0);
    x_ret(e);
    for (unsigned i = 0; i < ARRAY_LEN(kept); i++)
        x_here(e, to_kept[i]);
    x_load(e, 32, RAX, R_STATE, src);
    x_bt_imm(e, 32, RAX, 0);
    x_ret(e);
}

bool stubs_make(struct jit *j)
{
    const struct machine *m = j->c->cpu.machine;

    for (unsigned i = 0; i < m->ncpus; i++) {
        struct exec *x = ucpu_of(m->cpus[i])->exec;

        x->host_mxcsr = _mm_getcsr();
        __asm__("fnstcw %0" : "=m"(x->host_fcw));
    }
    make_sse_enter(j);
    make_x87_enter(j);
    make_x87_leave(j);
    make_both_enter(j);
    make_enter_and_exit(j);
    make_go_on(j);
    make_exits(j);
    float_stubs(j);
    make_accesses(j);
    access_stubs(j);
    make_calls(j);
    returns_make_stub(j);
    j->stubs.condition = make_flags_call(j, ADDRESS(condition)); /* does condition eax hold? */
    make_carry(j);
    j->stubs.flags = make_flags_call(j, ADDRESS(flags_compute));
    return !j->code.full;
}
