/*
 * Compiling one block: the micro-ops in order, then the paths out of line.
 */
#include "vm/jit/jit_priv.h"

#include "base/buffer.h"
#include "base/error.h"

#include <stddef.h>

#define EXEC(member) ((int32_t)offsetof(struct exec, member))

static unsigned number(const struct jit *j)
{
    return (unsigned)(j->u - j->block->uops);
}

struct slow *slow_path(struct jit *j, enum slow_kind kind)
{
    struct slow *s = &j->slow[j->nslow++];

    memset(s, 0, offsetof(struct slow, slots));
    s->kind = kind;
    s->block = j->block;
    s->uop = (uint16_t)number(j);
    memcpy(s->slots, j->slots, sizeof(s->slots));
    return s;
}

/* ---- paths out of line ---- */

static unsigned log2_of(unsigned bits)
{
    return bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
}

/* A value of `bits` that was loaded into `from`, zero-extended, goes to its register. */
static void extend_to(struct code *e, unsigned to, unsigned from, unsigned bits, enum extend extend)
{
    if (bits == 64)
        x_mov(e, 64, to, from);
    else if (extend == EXTEND_ZERO)
        x_rr(e, 32, bits == 8 ? X_MOVZX8 : bits == 16 ? X_MOVZX16 : X_MOV_LOAD, to, from);
    else
        x_rr(e, extend == EXTEND_SIGN_64 ? 64 : 32, bits == 8 ? X_MOVSX8 : bits == 16 ? X_MOVSX16 :
             extend == EXTEND_SIGN_64 ? X_MOVSXD : X_MOV_LOAD, to, from);
}

/* Call a micro-op's helper, or its function in generic.c. */
static void call_function(struct jit *j, unsigned uop, int (*fn)(struct ucpu *, const struct uop *))
{
    x_mov_imm(&j->code, RCX, (uint64_t)(uintptr_t)&j->block->uops[uop]);
    x_mov_imm(&j->code, RAX, (uint64_t)(uintptr_t)fn);
    call_stub(j, j->stubs.function);
}

static void call_helper(struct jit *j, unsigned uop)
{
    call_function(j, uop, j->block->uops[uop].fn);
}

static void call_generic(struct jit *j, unsigned uop)
{
    call_function(j, uop, generic_functions[j->block->uops[uop].op]);
}

/* rdx = what a store stores, zero-extended: everything dirty was stored just now. */
static void value_to_rdx(struct jit *j, const struct slow *s)
{
    const struct uop *u = &j->block->uops[s->uop];
    unsigned op = s->bits == 8 ? X_MOVZX8 : s->bits == 16 ? X_MOVZX16 : X_MOV_LOAD;

    if (s->immediate) {
        x_mov_imm(&j->code, RDX, s->bits == 8 ? (uint8_t)s->value : s->bits == 16 ? (uint16_t)s->value :
                  s->bits == 64 ? (uint64_t)(int32_t)s->value : s->value);
        return;
    }
    x_rm(&j->code, s->bits == 64 ? 64 : 32, op, RDX, R_STATE, state_disp(u->d));
}

/* One that is near others: its group's bytes are not all in a page that may be accessed; but its own may be. */
static void find_place(struct jit *j, const struct slow *s)
{
    struct code *e = &j->code;

    if (s->near == NEAR_LEADS)
        x_store_imm(e, 64, R_EXEC, place_disp(s->near_place), 0);
    x_rm(e, 64, X_LEA, RDX, RAX, s->near_bytes - 1);
    call_stub(j, j->stubs.find[s->near_read][s->near_write]);
    x_point(e, x_jcc(e, CC_E), s->found);
}

static void emit_slow(struct jit *j, const struct slow *s)
{
    struct code *e = &j->code;
    unsigned log2 = log2_of(s->bits);
    struct slot slots[SLOTS];

    j->block = s->block;
    if (s->from[0])
        x_here(e, s->from[0]);
    if (s->kind == SLOW_FLOAT && s->from[0]) {
        float_second_look(j, s);
        x_point(e, x_jcc(e, CC_E), s->retry);
    } else if (s->retry) {
        call_stub(j, s->kind == SLOW_SSE ? j->stubs.sse_enter : s->kind == SLOW_MMX ? j->stubs.both_enter : j->stubs.x87_enter);
        x_point(e, x_jcc(e, CC_E), s->retry);
    }
    for (unsigned i = 1; i < ARRAY_LEN(s->from) && s->from[i]; i++)
        x_here(e, s->from[i]);
    if (s->near)
        find_place(j, s);
    show_block(j, s->block);
    if (s->kind >= SLOW_HELPER) {
        operands_store_as(j, s->slots);
        if (s->kind == SLOW_HELPER || s->kind == SLOW_X87 || s->kind == SLOW_MMX)
            call_helper(j, s->uop);
        else
            call_generic(j, s->uop);
        memcpy(slots, s->slots, sizeof(slots));
        for (unsigned i = 0; i < ARRAY_LEN(s->result) && s->result[i].bits; i++)
            slots_remove(slots, s->result[i].offset, s->result[i].bits / 8u);
        operands_reload_as(j, slots);
        for (unsigned i = 0; i < ARRAY_LEN(s->result) && s->result[i].bits; i++)
            x_load(e, s->result[i].bits, s->result[i].reg, R_STATE, state_disp(s->result[i].offset));
        x_point(e, x_jmp(e), s->back);
        return;
    }
    operands_store_as(j, s->slots);
    x_store_imm(e, 32, R_EXEC, EXEC(slow_uop), s->uop);
    switch (s->kind) {
    case SLOW_LOAD:
        call_stub(j, s->rw ? j->stubs.load_rw[log2] : j->stubs.load[log2]);
        extend_to(e, s->reg[0], RAX, s->bits, (enum extend)s->extend);
        if (s->place)
            x_alu(e, 32, ALU_XOR, s->place, s->place);
        break;
    case SLOW_LOAD_PAIR:
        call_stub(j, j->stubs.load_pair[s->whole ? 2 : log2 - 2]);
        if (s->bits == 32) {
            x_rr(e, 64, X_MOV_LOAD, RDX, RAX); /* they come packed */
            x_shift_imm(e, 64, SHIFT_SHR, RDX, 32);
        }
        extend_to(e, s->reg[0], RAX, s->bits, (enum extend)s->extend);
        extend_to(e, s->reg[1], RDX, s->bits, (enum extend)s->extend);
        break;
    case SLOW_STORE:
        if (s->address.bits && !s->pushes)
            address_make(e, &s->address);
        value_to_rdx(j, s);
        call_stub(j, j->stubs.store[log2]);
        if (s->pushes)
            address_make(e, &s->address);
        break;
    case SLOW_STORE_PAIR:
        x_rr(e, s->bits, X_MOV_LOAD, RDX, s->reg[0]);
        x_rr(e, s->bits, X_MOV_LOAD, RCX, s->reg[1]);
        call_stub(j, j->stubs.store_pair[s->whole ? 2 : log2 - 2]);
        break;
    default:
        break;
    }
    vectors_reload_as(j, s->slots);
    x_point(e, x_jmp(e), s->back);
}

/* ---- micro-ops ---- */

static void emit_call(struct jit *j, const struct uop *u)
{
    (void)u;
    operands_store(j);
    operands_forget(j);
    j->x87_noted = 0;
    show_block(j, j->block);
    call_helper(j, number(j));
    j->calls++;
}

void emit_generic(struct jit *j, const struct uop *u)
{
    (void)u;
    operands_store(j);
    operands_forget(j);
    show_block(j, j->block);
    call_generic(j, number(j));
    j->calls++;
}

static void emit(struct jit *j, const struct uop *u)
{
    j->u = u;
    j->pinned = 0;
    j->pinned_vectors = 0;
    j->rax_in = 0;
    j->address_known = false;
    place_expire(j, number(j), uop_infos[u->op].attributes & UOP_ENDS);
    if (emit_end(j, u) || emit_return(j, u) || emit_access(j, u) || emit_integer(j, u) || emit_muldiv(j, u) || emit_bits(j, u) ||
        emit_flags(j, u) || emit_vector(j, u) || emit_simd(j, u) || emit_float(j, u) || emit_sse(j, u) || emit_masked(j, u) || emit_x87(j, u))
        return;
    if (u->op == UOP_CALL || u->op == UOP_X87 || u->op == UOP_VECTOR_MASKED)
        emit_call(j, u);
    else
        emit_generic(j, u);
}

void emit_block(struct jit *j)
{
    j->followed = false;
    j->x87_noted = 0;
    near_block(j);
    for (unsigned i = 0; i < j->block->nuops; i++)
        emit(j, &j->block->uops[i]);
}

uint8_t *emit_budget(struct jit *j, const struct block *b, unsigned cc)
{
    x_alu_imm(&j->code, 64, ALU_SUB, R_BUDGET, b->steps);
    return x_jcc(&j->code, cc);
}

static void swap_code(struct jit *j)
{
    struct code other = j->cold;

    j->cold = j->code;
    j->code = other;
}

/* What lies out of line. */
static void emit_cold(struct jit *j, const struct block *b)
{
    swap_code(j);
    emit_ways_out(j);
    for (unsigned i = 0; i < j->nslow; i++)
        emit_slow(j, &j->slow[i]);
    j->block = b;
    emit_edges_away(j);
    swap_code(j);
}

/* The jumps of the code that a block had, which counted its entries, are run no more. */
static void forget_counted(struct jit *j, struct block *b)
{
    for (unsigned edge = 0; edge < EDGES; edge++)
        for (uint32_t *n = &b->jumps[edge]; *n;) {
            struct jump *jump = &j->jumps[*n - 1];

            if (jump->counted)
                *n = jump->next;
            else
                n = &jump->next;
        }
}

/* A jump by an edge goes where its chain leads, from now on. */
static void keep_jump(struct jit *j, const struct jump_made *m)
{
    struct block *from = (struct block *)(uintptr_t)m->block;
    struct jump *jump;

    if (j->njumps == j->cap_jumps) {
        j->cap_jumps = j->cap_jumps ? 2 * j->cap_jumps : 4096;
        j->jumps = xrealloc(j->jumps, j->cap_jumps * sizeof(j->jumps[0]));
    }
    jump = &j->jumps[j->njumps++];
    *jump = (struct jump){.at = (uint32_t)(m->at - j->memory.write), .away = (uint32_t)(m->away - j->memory.write),
                          .next = from->jumps[m->edge], .guards = m->guards, .counted = j->compact};
    from->jumps[m->edge] = j->njumps;
    jump_follow(j, jump, from, m->edge);
}

/* Chains to the block become jumps to its code. */
static void lead_here(struct jit *j, const struct block *b)
{
    for (const struct chain *c = b->led_by; c; c = c->other) {
        unsigned edge = (unsigned)(c - c->from->chains);

        for (uint32_t n = c->from->jumps[edge]; n; n = j->jumps[n - 1].next)
            if (!j->jumps[n - 1].guards)
                jump_follow(j, &j->jumps[n - 1], c->from, edge);
    }
}

static void keep_edges(struct jit *j, struct block *b)
{
    forget_counted(j, b);
    for (unsigned i = 0; i < j->njumps_made; i++)
        keep_jump(j, &j->jumps_made[i]);
    lead_here(j, b);
}

bool compile(struct jit *j, struct block *b)
{
    struct code *e = &j->code;
    uint8_t *start, *start_cold = j->cold.at;
    bool trace = b->page[1] == NO_PAGE && (b->native || !trace_heat(j)), counted = !trace && b->page[1] == NO_PAGE;

    if (!ran_begin(j))
        return false;
    if (counted)
        share_indirect(j, b);
    start = e->at;
    j->block = b;
    j->compact = counted;
    j->home = b->wide ? 64 : 32;
    j->nslow = 0;
    j->now = 0;
    j->njumps_made = 0;
    j->nlandings = 0;
    j->indirect.count = 0;
    j->follow = -1;
    j->nways_out = 0;
    j->owner = b;
    j->result_at = NULL;
    j->nahead = 0;
    operands_forget(j);
    if (b->page[1] != NO_PAGE)
        emit_lead(j);
    b->lead = (uint8_t)(e->at - start);
    if (counted)
        ran_count(j);
    else
        ran_mark(j);
    note_way_out(j, emit_budget(j, b, CC_B), b, OUT_OF_BUDGET, j->slots);
    if (trace) {
        emit_trace(j);
    } else {
        ran_add(j, b, !counted);
        if (!j->compact)
            near_survey(j, &j->block, 1);
        emit_block(j);
    }
    emit_landings(j);
    if (!e->full)
        emit_cold(j, b);
    if (e->full || j->cold.full) {
        e->at = start;
        j->cold.at = start_cold;
        e->full = j->cold.full = false;
        ran_undo(j);
        return false;
    }
    b->entry = start + j->execute;
    block_entry_changed(j->c->exec->shared, b);
    b->native = true;
    b->traced = !counted;
    if (counted)
        b->heat = j->ncounters;
    ran_end(j, counted ? trace_heat(j) : 0);
    keep_edges(j, b);
    j->compiled++;
    return true;
}
