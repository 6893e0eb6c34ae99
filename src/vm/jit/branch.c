/*
 * The ends of blocks in x86-64 code. Every value is stored first; then the block
 * goes where its chain leads, by a jump that is changed when the chain is (jit_chained()), to another page if that is still mapped
 * there; through the jump cache, if the target is known only now; or leaves for the engine.
 */
#include "vm/jit/jit_priv.h"

#include "base/error.h"

#include <stddef.h>

#define PLACE(member) ((int32_t)offsetof(struct jump_place, member))
#define JUMP_PLACE_BITS 6u /* of its size */
_Static_assert(sizeof(struct jump_place) == 1u << JUMP_PLACE_BITS, "a shift finds a place");
#define EXEC(member)  ((int32_t)offsetof(struct exec, member))

/* Compare 64 bits at [base + disp]. Destroys rcx. */
static void compare_imm(struct code *e, unsigned base, int32_t disp, uint64_t value)
{
    if (fits_32((int64_t)value)) {
        x_rm(e, 64, fits_8((int64_t)value) ? 0x83 : 0x81, ALU_CMP, base, disp);
        if (fits_8((int64_t)value))
            code_8(e, (uint8_t)value);
        else
            code_32(e, (uint32_t)value);
    } else {
        x_mov_imm(e, RCX, value);
        x_rm(e, 64, 8u * ALU_CMP + 3u, RCX, base, disp);
    }
}

static void miss_if_not_equal(struct jit *j, struct misses *m)
{
    m->at[m->count++] = x_jcc(&j->code, CC_NE);
}

/* Unless that member of the place in rax is `value`. */
static void unless_same(struct jit *j, int32_t member, uint64_t value, struct misses *m)
{
    compare_imm(&j->code, RAX, member, value);
    miss_if_not_equal(j, m);
}

static void misses_here(struct jit *j, const struct misses *m)
{
    for (unsigned i = 0; i < m->count; i++)
        x_here(&j->code, m->at[i]);
}

struct jump_made *note_jump(struct jit *j, const struct block *b, unsigned edge, uint8_t *displacement)
{
    struct jump_made *m = &j->jumps_made[j->njumps_made++];

    CHECK(j->njumps_made <= MAX_JUMPS);
    *m = (struct jump_made){.block = b, .edge = edge, .at = displacement};
    return m;
}

/* To another page: if fetches from there go where the bytes of the block are that the edge is chained to. */
void go_far(struct jit *j, const struct block *b, unsigned n)
{
    struct code *e = &j->code;
    uint64_t va = b->target[n] + block_bias(b);
    int32_t entry = (int32_t)(tlb_index(j->c->exec->shared, va) * sizeof(struct tlb_entry));
    uint8_t *addend, *others[2];
    struct jump_made *m;

    compare_imm(e, R_TLB, entry + (int32_t)offsetof(struct tlb_entry, fetch), va & PAGE_MASK);
    others[0] = x_jcc(e, CC_NE);
    x_load(e, 64, RAX, R_TLB, entry + (int32_t)offsetof(struct tlb_entry, addend));
    x_opcode(e, 64, 0xb8 | RCX, 0, 0, RCX, false);
    addend = e->at;
    code_64(e, 0);
    x_alu(e, 64, ALU_CMP, RAX, RCX);
    others[1] = x_jcc(e, CC_NE);
    m = note_jump(j, b, n, x_jmp(e));
    memcpy(m->others, others, sizeof(others));
    CHECK(e->full || e->at - 4 - addend == FAR_ADDEND);
}

/* By edge n. */
static void go(struct jit *j, unsigned n)
{
    if (edge_is_near(j->block, n))
        note_jump(j, j->block, n, x_jmp(&j->code));
    else
        go_far(j, j->block, n);
}

/* Jump to `stub` with the block's block_shown() in rsi. */
static void jump_with_block(struct jit *j, const struct block *b, uint8_t *stub)
{
    x_mov_imm(&j->code, RSI, block_shown(j, b));
    jump_stub(j, stub);
}

/* Where a jump goes without a chain, or while that leads to a block without code. */
static void edge_away(struct jit *j, struct jump_made *m)
{
    struct code *e = &j->code;

    m->away = e->at;
    for (unsigned i = 0; i < ARRAY_LEN(m->others) && m->others[i]; i++)
        x_here(e, m->others[i]);
    jump_with_block(j, m->block, j->stubs.edge[m->edge]);
}

/* To the PC in rdx, by the jump cache; where that does not have the block, by the jumps that are returned. Keeps rdx and rsi. */
static struct misses jump_by_cache(struct jit *j, uint64_t mode, uint64_t bias)
{
    struct code *e = &j->code;
    struct misses m = {.count = 0};
    uint8_t *found;

    x_rr(e, 64, X_MOV_LOAD, RAX, RDX);
    x_shift_imm(e, 64, SHIFT_SHR, RAX, JUMP_BITS);
    x_alu(e, 32, ALU_XOR, RAX, RDX);
    x_alu_imm(e, 32, ALU_AND, RAX, JUMP_SIZE - 1);
    if (jump_mode(mode))
        x_alu_imm(e, 32, ALU_XOR, RAX, (int32_t)jump_mode(mode));
    x_shift_imm(e, 32, SHIFT_SHL, RAX, JUMP_PLACE_BITS);
    x_mov_imm(e, RCX, (uint64_t)(uintptr_t)j->c->exec->shared->jump);
    x_alu(e, 64, ALU_ADD, RAX, RCX);
    x_rm(e, 64, 8u * ALU_CMP + 3u, RDX, RAX, PLACE(key.pc));
    found = x_jcc(e, CC_E);
    x_alu_imm(e, 64, ALU_XOR, RAX, JUMP_OTHER << JUMP_PLACE_BITS);
    x_rm(e, 64, 8u * ALU_CMP + 3u, RDX, RAX, PLACE(key.pc));
    miss_if_not_equal(j, &m);
    x_here(e, found);
    unless_same(j, PLACE(key.mode), mode, &m);
    if (bias)
        x_mov_imm(e, RCX, bias);
    else
        x_rr(e, 64, X_MOV_LOAD, RCX, RDX);
    if (bias)
        x_alu(e, 64, ALU_ADD, RCX, RDX);
    x_rm(e, 64, 8u * ALU_CMP + 3u, RCX, RAX, PLACE(key.va));
    miss_if_not_equal(j, &m);
    x_rr(e, 32, X_MOV_LOAD, RDI, RCX);
    x_shift_imm(e, 32, SHIFT_SHR, RDI, PAGE_SHIFT - 5);
    x_alu_imm(e, 32, ALU_AND, RDI, (int32_t)(j->c->exec->shared->tlb_mask << 5));
    x_alu_imm(e, 64, ALU_AND, RCX, -(int32_t)PAGE_SIZE);
    x_rmx(e, 64, 8u * ALU_CMP + 3u, RCX, R_TLB, RDI, 0, offsetof(struct tlb_entry, fetch));
    miss_if_not_equal(j, &m);
    x_rmx(e, 64, X_MOV_LOAD, RCX, R_TLB, RDI, 0, offsetof(struct tlb_entry, addend));
    x_rm(e, 64, 8u * ALU_CMP + 3u, RCX, RAX, PLACE(addend));
    miss_if_not_equal(j, &m);
    /* (Code of a block that is not compiled wants to know whose it is.) */
    x_load(e, 64, RCX, RAX, PLACE(entry));
    x_load(e, 64, RAX, RAX, PLACE(block));
    x_jmp_reg(e, RCX);
    return m;
}

static uint8_t *shared_indirect(const struct jit *j, uint64_t mode, uint64_t bias)
{
    for (unsigned i = 0; i < j->indirects; i++)
        if (j->indirect_stubs[i].mode == mode && j->indirect_stubs[i].bias == bias)
            return j->indirect_stubs[i].at;
    return NULL;
}

void share_indirect(struct jit *j, const struct block *b)
{
    const uint64_t mode = b->key.mode, bias = block_bias(b);
    const unsigned op = b->uops[b->nuops - 1].op;
    struct code *e = &j->code;
    uint8_t *start = e->at;
    struct misses m;

    if ((op != UOP_JMPR32 && op != UOP_JMPR64 && op != UOP_RET32 && op != UOP_RET64) || j->indirects == INDIRECTS ||
        shared_indirect(j, mode, bias))
        return;
    m = jump_by_cache(j, mode, bias);
    misses_here(j, &m);
    x_store(e, 32, R_EXEC, EXEC(shown), RSI);
    x_rr(e, 64, X_MOV_LOAD, RAX, RDX);
    jump_stub(j, j->stubs.indirect_miss);
    if (!e->full)
        j->indirect_stubs[j->indirects++] = (struct indirect){.mode = mode, .bias = bias, .at = start};
}

/* To the PC in rdx. */
static void go_indirect(struct jit *j)
{
    const uint64_t mode = j->block->key.mode, bias = block_bias(j->block);
    uint8_t *stub = j->compact ? shared_indirect(j, mode, bias) : NULL;

    if (stub) {
        jump_with_block(j, j->block, stub);
        return;
    }
    CHECK(!j->indirect.count);
    j->indirect = jump_by_cache(j, mode, bias);
    j->indirect_from = j->block;
}

/* Where the jump cache does not have the block. */
static void indirect_misses(struct jit *j)
{
    if (!j->indirect.count)
        return;
    misses_here(j, &j->indirect);
    show_block(j, j->indirect_from);
    x_rr(&j->code, 64, X_MOV_LOAD, RAX, RDX);
    jump_stub(j, j->stubs.indirect_miss);
}

void emit_edges_away(struct jit *j)
{
    indirect_misses(j);
    for (unsigned i = 0; i < j->njumps_made; i++)
        if (!j->jumps_made[i].guards)
            edge_away(j, &j->jumps_made[i]);
}

void emit_lead(struct jit *j)
{
    struct code *e = &j->code;
    const struct block *b = j->block;
    uint64_t second = next_page(j->c, b->key.va);
    int32_t entry = (int32_t)(tlb_index(j->c->exec->shared, second) * sizeof(struct tlb_entry));
    struct misses m = {.count = 0};
    uint8_t *good;

    compare_imm(e, R_TLB, entry + (int32_t)offsetof(struct tlb_entry, fetch), second);
    miss_if_not_equal(j, &m);
    compare_imm(e, R_TLB, entry + (int32_t)offsetof(struct tlb_entry, addend),
                  page_addend(j->c, b->page[1], second));
    good = x_jcc(e, CC_E);
    misses_here(j, &m);
    show_block(j, b); /* for the one before it, of the same mode and bias */
    x_mov_imm(e, RAX, b->key.pc);
    jump_stub(j, j->stubs.indirect_miss);
    x_here(e, good);
}

void emit_edge(struct jit *j, unsigned edge, uint8_t *from, const struct slot *slots)
{
    if (from)
        x_here(&j->code, from);
    operands_store_as(j, slots);
    go(j, edge);
}

/* Does what follows in memory have what this edge leads to? `left` is a jump for the other one. */
static bool follows(struct jit *j, int edge, uint8_t *left)
{
    if (j->follow != edge)
        return false;
    j->followed = true;
    j->left = left;
    return true;
}

/* The block's last instruction is complete but for where it leads to. */
static void forget_temporaries(struct jit *j)
{
    operands_discard(j, j->c->fe->temporaries, j->c->fe->temporaries_len);
}

/* By edge 1 if the host's condition holds, else by edge 0. */
static void go_if(struct jit *j, unsigned cc)
{
    uint8_t *taken;

    forget_temporaries(j);
    if (j->follow >= 0) {
        follows(j, j->follow, x_jcc(&j->code, j->follow ? cc ^ 1u : cc));
        return;
    }
    operands_store(j);
    taken = x_jcc(&j->code, cc);
    if (edge_is_near(j->block, 1)) {
        note_jump(j, j->block, 1, taken);
        go(j, 0);
        return;
    }
    go(j, 0);
    x_here(&j->code, taken);
    go(j, 1);
}

/* ---- compare and branch ---- */

struct comparison {
    enum alu op;    /* ALU_SUB, ALU_AND */
    uint8_t bits;
    bool wide;
    bool immediate;
    uint64_t value;
    unsigned flags; /* enum flags_op */
    unsigned cc;    /* the host's */
};

static void compare_and_go(struct jit *j, const struct uop *u, struct comparison o)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, o.wide), a = 0, b = RCX, dst;
    bool in_rcx;

    if (!o.immediate)
        o.immediate = operand_known(j, u->b, o.bits, &o.value);
    in_rcx = o.immediate && o.bits == 64 && !fits_32((int64_t)o.value);
    if (o.bits >= 32) {
        a = operand_use(j, u->a, o.bits, home);
        if (!o.immediate)
            b = operand_use(j, u->b, o.bits, home);
    } else { /* (registers for the flags are not taken from them) */
        operand_hold(j, u->a, o.bits, home);
        if (!o.immediate)
            operand_hold(j, u->b, o.bits, home);
    }
    if (o.bits >= 32 && !o.immediate && o.op == ALU_AND && u->a == u->b) { /* it is tested, and has its result already */
        flags_note_operand_imm(j, 0);
        flags_note_result_of(j, o.flags, o.bits, u->a, a);
        x_test(e, o.bits, a, a);
        go_if(j, o.cc);
        return;
    }
    if (in_rcx)
        x_mov_imm(e, RCX, o.value);
    if (o.op == ALU_AND)
        flags_note_operand_imm(j, 0);
    else if (o.immediate)
        flags_note_operand_imm(j, o.value);
    else if (o.bits < 32)
        b = flags_note_operand_def(j);
    else
        flags_note_operand(j, o.bits, u->b, b);
    dst = flags_note_result_def(j, o.flags, o.bits);
    if (o.bits >= 32) {
        x_mov(e, o.bits, dst, a);
    } else {
        operand_get(j, dst, u->a, o.bits, home);
        if (!o.immediate)
            operand_get(j, b, u->b, o.bits, home);
    }
    if (!o.immediate || in_rcx)
        x_alu(e, o.bits, o.op, dst, b);
    else
        x_alu_imm(e, o.bits, o.op, dst, o.bits == 8 ? (int8_t)o.value : o.bits == 16 ? (int16_t)o.value : (int32_t)o.value);
    /* From here on only moves: the host's flags are needed. */
    go_if(j, o.cc);
}

static bool emit_fused(struct jit *j, const struct uop *u)
{
    switch (u->op) {
#define CASE(name, alu, n, wide, imm, v, fop, cc) \
    case UOP_##name: \
        compare_and_go(j, u, (struct comparison){alu, n, wide, imm, v, fop, cc}); \
        return true;
#define CMP(n, cond, cc) \
    CASE(CMP##n##_BR_##cond, ALU_SUB, n, false, false, 0, FLAGS_SUB, cc) \
    CASE(CMP##n##I_BR_##cond, ALU_SUB, n, false, true, (uint##n##_t)u->imm, FLAGS_SUB, cc)
#define TEST(n, cond, cc) \
    CASE(TEST##n##_BR_##cond, ALU_AND, n, false, false, 0, FLAGS_LOGIC, cc) \
    CASE(TEST##n##I_BR_##cond, ALU_AND, n, false, true, (uint##n##_t)u->imm, FLAGS_LOGIC, cc)
#define SIZE(n) \
    CMP(n, C, CC_B) CMP(n, NC, CC_AE) CMP(n, Z, CC_E) CMP(n, NZ, CC_NE) CMP(n, BE, CC_BE) CMP(n, A, CC_A) \
    CMP(n, L, CC_L) CMP(n, GE, CC_GE) CMP(n, LE, CC_LE) CMP(n, G, CC_G) \
    TEST(n, Z, CC_E) TEST(n, NZ, CC_NE) TEST(n, S, CC_S) TEST(n, NS, CC_NS) TEST(n, LE, CC_LE) TEST(n, G, CC_G)
    SIZE(8)
    SIZE(16)
    SIZE(32)
#define CMP_64(cond, cc) \
    CASE(CMP64_BR_##cond, ALU_SUB, 64, true, false, 0, FLAGS_SUB, cc) \
    CASE(CMP64I_BR_##cond, ALU_SUB, 64, true, true, u->imm64, FLAGS_SUB, cc)
    CMP_64(C, CC_B) CMP_64(NC, CC_AE) CMP_64(Z, CC_E) CMP_64(NZ, CC_NE) CMP_64(BE, CC_BE) CMP_64(A, CC_A)
    CMP_64(L, CC_L) CMP_64(GE, CC_GE) CMP_64(LE, CC_LE) CMP_64(G, CC_G)
#undef CMP_64
#undef SIZE
#undef CMP
#undef TEST
#define CMPN(z, n, v, cond, cc) \
    CASE(CMPN##z##_BR_##cond, ALU_SUB, n, true, false, 0, FLAGS_SUBN, cc) \
    CASE(CMPN##z##I_BR_##cond, ALU_SUB, n, true, true, v, FLAGS_SUBN, cc)
#define TST(z, n, v, cond, cc) \
    CASE(TST##z##_BR_##cond, ALU_AND, n, true, false, 0, FLAGS_LOGIC, cc) \
    CASE(TST##z##I_BR_##cond, ALU_AND, n, true, true, v, FLAGS_LOGIC, cc)
#define WIDE(z, n, v) \
    CMPN(z, n, v, C, CC_AE) CMPN(z, n, v, NC, CC_B) CMPN(z, n, v, Z, CC_E) CMPN(z, n, v, NZ, CC_NE) \
    CMPN(z, n, v, HI, CC_A) CMPN(z, n, v, LS, CC_BE) CMPN(z, n, v, S, CC_S) CMPN(z, n, v, NS, CC_NS) \
    CMPN(z, n, v, L, CC_L) CMPN(z, n, v, GE, CC_GE) CMPN(z, n, v, LE, CC_LE) CMPN(z, n, v, G, CC_G) \
    TST(z, n, v, Z, CC_E) TST(z, n, v, NZ, CC_NE) TST(z, n, v, S, CC_S) TST(z, n, v, NS, CC_NS) \
    TST(z, n, v, LE, CC_LE) TST(z, n, v, G, CC_G)
    WIDE(32Z, 32, u->imm)
    WIDE(64, 64, u->imm64)
#undef WIDE
#undef CMPN
#undef TST
#undef CASE
    default:
        return false;
    }
}

/* ---- the others ---- */

static void go_if_zero(struct jit *j, const struct uop *u, unsigned bits, unsigned cc)
{
    unsigned a = operand_use(j, u->a, bits, home_of(j, bits == 64));

    x_test(&j->code, bits, a, a);
    go_if(j, cc);
}

static void go_if_bit(struct jit *j, const struct uop *u, unsigned cc)
{
    unsigned a = operand_use(j, u->a, 64, 64);

    x_bt_imm(&j->code, 64, a, u->imm & 63);
    go_if(j, cc);
}

static void go_if_noted(struct jit *j, unsigned bits, unsigned cc)
{
    if (j->code.at != j->result_at || (bits != j->result_bits && cc != CC_E && cc != CC_NE)) {
        unsigned dst = operand_use(j, j->c->flags_offset + (unsigned)offsetof(struct lazy_flags, dst), 64, 64);

        x_test(&j->code, bits, dst, dst);
    }
    go_if(j, cc);
}

/* The top byte of a target whose bit 55 is n becomes copies of it, if bit n of imm is set. */
static void untag(struct jit *j, uint32_t imm)
{
    struct code *e = &j->code;

    if (!(imm & 3))
        return;
    x_rr(e, 64, X_MOV_LOAD, RAX, RDX);
    x_shift_imm(e, 64, SHIFT_SHL, RAX, 8);
    x_shift_imm(e, 64, SHIFT_SAR, RAX, 8);
    if ((imm & 3) == 3) {
        x_rr(e, 64, X_MOV_LOAD, RDX, RAX);
        return;
    }
    x_bt_imm(e, 64, RDX, 55);
    x_cmov(e, 64, imm & 1 ? CC_AE : CC_B, RDX, RAX);
}

static void leave_by_exit(struct jit *j)
{
    show_block(j, j->block);
    jump_stub(j, j->stubs.leave_exit);
}

static void go_if_calm(struct jit *j)
{
    struct code *e = &j->code;
    uint8_t *attention, *withheld;

    x_load(e, 64, RDX, R_EXEC, EXEC(cpu));
    x_rm(e, 32, 0x80, ALU_CMP, RDX, (int32_t)offsetof(struct ucpu, cpu.attention));
    code_8(e, 0);
    attention = x_jcc(e, CC_NE);
    x_rm(e, 64, 0x83, ALU_CMP, R_EXEC, EXEC(withheld));
    code_8(e, 0);
    withheld = x_jcc(e, CC_NE);
    go(j, 0);
    x_here(e, attention);
    x_here(e, withheld);
    leave_by_exit(j);
}

static void emit_generic_end(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    uint8_t *to_1, *to_jump, *to_exit;

    emit_generic(j, u);
    x_alu_imm(e, 32, ALU_CMP, RAX, GENERIC_GO_1);
    to_1 = x_jcc(e, CC_E);
    x_alu_imm(e, 32, ALU_CMP, RAX, GENERIC_JUMP);
    to_jump = x_jcc(e, CC_E);
    x_alu_imm(e, 32, ALU_CMP, RAX, GENERIC_EXIT);
    to_exit = x_jcc(e, CC_E);
    go(j, 0);
    x_here(e, to_1);
    go(j, 1);
    x_here(e, to_jump);
    x_load(e, 64, RDX, R_EXEC, EXEC(go_pc));
    go_indirect(j);
    x_here(e, to_exit);
    leave_by_exit(j);
}

static void go_to_rdx(struct jit *j, bool returns)
{
    if (returns)
        go_back(j, j->block->key.mode, block_bias(j->block));
    go_indirect(j);
}

static bool emit_plain_end(struct jit *j, const struct uop *u)
{
    switch (u->op) {
    case UOP_JMP:
    case UOP_FALL:
        forget_temporaries(j);
        if (follows(j, u->op == UOP_JMP, NULL))
            return true;
        operands_store(j);
        go(j, u->op == UOP_JMP);
        return true;
    case UOP_BR: {
        unsigned cc = flags_condition(j, u->b);

        go_if(j, cc);
        return true;
    }
    case UOP_BRZ32: go_if_zero(j, u, 32, CC_E); return true;
    case UOP_BRNZ32: go_if_zero(j, u, 32, CC_NE); return true;
    case UOP_BRZ64: go_if_zero(j, u, 64, CC_E); return true;
    case UOP_BRNZ64: go_if_zero(j, u, 64, CC_NE); return true;
    case UOP_BRBC64: go_if_bit(j, u, CC_AE); return true;
    case UOP_BRBS64: go_if_bit(j, u, CC_B); return true;
    case UOP_BR_DST_Z: go_if_noted(j, 64, CC_E); return true;
    case UOP_BR_DST_NZ: go_if_noted(j, 64, CC_NE); return true;
    case UOP_BR_DST8_S: go_if_noted(j, 8, CC_S); return true;
    case UOP_BR_DST8_NS: go_if_noted(j, 8, CC_NS); return true;
    case UOP_BR_DST16_S: go_if_noted(j, 16, CC_S); return true;
    case UOP_BR_DST16_NS: go_if_noted(j, 16, CC_NS); return true;
    case UOP_BR_DST32_S: go_if_noted(j, 32, CC_S); return true;
    case UOP_BR_DST32_NS: go_if_noted(j, 32, CC_NS); return true;
    case UOP_BR_DST64_S: go_if_noted(j, 64, CC_S); return true;
    case UOP_BR_DST64_NS: go_if_noted(j, 64, CC_NS); return true;
    case UOP_JMPR32:
    case UOP_RET32:
        operand_get(j, RDX, u->a, 32, 32);
        forget_temporaries(j);
        operands_store(j);
        go_to_rdx(j, u->op == UOP_RET32);
        return true;
    case UOP_JMPR64:
    case UOP_RET64:
        operand_get(j, RDX, u->a, 64, 64);
        forget_temporaries(j);
        operands_store(j);
        untag(j, u->imm);
        go_to_rdx(j, u->op == UOP_RET64);
        return true;
    case UOP_EXIT:
        operands_store(j);
        leave_by_exit(j);
        return true;
    case UOP_CALM:
        operands_store(j);
        go_if_calm(j);
        return true;
    default:
        return false;
    }
}

bool emit_end(struct jit *j, const struct uop *u)
{
    if (!(uop_infos[u->op].attributes & UOP_ENDS))
        return false;
    if (!emit_fused(j, u) && !emit_plain_end(j, u))
        emit_generic_end(j, u);
    return true;
}
