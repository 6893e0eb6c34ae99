/*
 * Traces: a block that is entered often and those that it goes on to as a rule, in one piece of code. From one to the
 * next values stay in their registers, and what is known of them stays known. Where the trace comes back to
 * its first block it is a loop: it is compiled twice, as it is entered, and as it goes round, where values stay in the
 * registers that they are in, and flags which are noted anew each turn are stored by none.
 *
 * Nothing else differs from chains: each block is gone to only while its predecessor's chain leads there (so it may be
 * dropped; a NOP between the two becomes a jump out of the trace then), and takes its steps off the budget. Where that
 * does not suffice, or another edge is taken, everything is stored, as it is at the end of any block.
 *
 * What the rule is, the chains and counts say that there are when the trace is made.
 */
#include "vm/jit/jit_priv.h"

unsigned trace_heat(const struct jit *j)
{
    unsigned n = j->threshold - 1;

    return n < 64 ? 20 * n * n : 80000;
}

/* ---- which blocks ---- */

struct trace {
    const struct block *block[2 * TRACE_BLOCKS]; /* of a loop once more, behind its end */
    int edge[TRACE_BLOCKS]; /* by which each leads to the next; the last one: to the first, or -1 */
    unsigned n;
};

/* The block that an edge is chained to; one that leads to itself may be. NULL: none. */
static const struct block *chained(const struct block *b, unsigned edge)
{
    const struct block *to = b->next[edge];

    if (b->target[edge] == b->key.pc && b->page[1] == NO_PAGE && !b->trapped)
        return b;
    return to && to->valid && !to->trapped && to->page[1] == NO_PAGE && to->wide == b->wide ? to : NULL;
}

/* How often it was entered, as far as that was counted. */
static uint64_t entries(const struct jit *j, const struct block *b)
{
    if (b->traced)
        return UINT64_MAX;
    if (!b->native)
        return b->heat < j->threshold ? j->threshold - b->heat : 0;
    return (uint64_t)j->threshold + trace_heat(j) - j->counters[b->heat];
}

/* The edge by which a trace that begins with `first` goes on from b, or -1. */
static int edge_from(const struct jit *j, const struct block *b, const struct block *first)
{
    const struct block *to[2] = {chained(b, 0), chained(b, 1)};
    unsigned op = b->uops[b->nuops - 1].op;

    if (op == UOP_JMP)
        to[0] = NULL;
    if (op == UOP_FALL)
        to[1] = NULL;
    if (to[1] == first)
        return 1;
    if (!to[0] || !to[1] || to[0] == first)
        return to[0] ? 0 : to[1] ? 1 : -1;
    return entries(j, to[1]) > entries(j, to[0]);
}

static bool has(const struct trace *t, const struct block *b)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->block[i] == b)
            return true;
    return false;
}

static void find_blocks(const struct jit *j, struct trace *t)
{
    const struct block *b = j->block;
    unsigned uops = 0;

    t->n = 0;
    while (b) {
        int edge = edge_from(j, b, t->n ? t->block[0] : b);
        const struct block *to = edge >= 0 ? chained(b, (unsigned)edge) : NULL;

        t->block[t->n] = b;
        t->edge[t->n++] = edge;
        uops += b->nuops;
        if (to == t->block[0]) {
            memcpy(&t->block[t->n], t->block, t->n * sizeof(t->block[0]));
            return;
        }
        if (!to || has(t, to) || t->n == TRACE_BLOCKS || uops + to->nuops > TRACE_MAX_UOPS) {
            t->edge[t->n - 1] = -1;
            return;
        }
        b = to;
    }
}

/* ---- code ---- */

void note_way_out(struct jit *j, uint8_t *from, const struct block *b, unsigned edge, const struct slot *slots)
{
    struct way_out *w = &j->ways_out[j->nways_out++];

    w->from = from;
    w->block = b;
    w->edge = edge;
    w->guard = NULL;
    memcpy(w->slots, slots, sizeof(w->slots));
}

/* Out of the trace when the edge's chain does not lead to `to` any more, which is the block in progress otherwise. */
static void emit_chain(struct jit *j, const struct block *b, unsigned edge, const struct block *to, const struct slot *slots)
{
    struct jump_made *guard;

    if (b == to)
        return;
    guard = note_jump(j, b, edge, x_jmp(&j->code));
    guard->guards = to;
    note_way_out(j, guard->at, b, edge, slots);
    j->ways_out[j->nways_out - 1].guard = guard;
}

/* What comes behind block i. */
static void ahead(struct jit *j, const struct trace *t, unsigned i)
{
    bool loop = t->edge[t->n - 1] >= 0;

    j->ahead = &t->block[i + 1];
    j->nahead = loop ? t->n : t->n - 1 - i;
}

/* All blocks, up to where the last one's edge is to be taken. False: it has no such end, or goes on as any. */
static bool emit_blocks(struct jit *j, const struct trace *t)
{
    near_begin(j);
    for (unsigned i = 0; i < t->n; i++) {
        j->block = t->block[i];
        j->follow = t->edge[i];
        ahead(j, t, i);
        emit_block(j);
        if (!j->followed)
            return false;
        if (j->left)
            note_way_out(j, j->left, t->block[i], !t->edge[i], j->slots);
        if (i + 1 == t->n)
            return true;
        emit_chain(j, t->block[i], (unsigned)t->edge[i], t->block[i + 1], j->slots);
        note_way_out(j, emit_budget(j, t->block[i + 1], CC_B), t->block[i + 1], OUT_OF_BUDGET, j->slots);
    }
    return false;
}

/* How often the head is tried with less in registers before there is no loop. */
#define HEADS 8

/* The trace was compiled up to where it turns: go round. False: that cannot be done, and nothing was emitted. */
static bool emit_loop(struct jit *j, const struct trace *t)
{
    const struct block *head_block = t->block[0], *last = t->block[t->n - 1];
    const unsigned edge = (unsigned)t->edge[t->n - 1], nslow = j->nslow, nways_out = j->nways_out, njumps = j->njumps_made,
        nlandings = j->nlandings;
    struct code *e = &j->code;
    struct slot first[SLOTS], head[SLOTS];
    uint8_t *start = e->at, *again;

    memcpy(first, j->slots, sizeof(first));
    memcpy(head, first, sizeof(head));
    for (unsigned tries = 0; tries < HEADS; tries++) {
        e->at = start;
        j->result_at = NULL;
        j->nslow = nslow;
        j->nways_out = nways_out;
        j->njumps_made = njumps;
        j->nlandings = nlandings;
        operands_are(j, first);
        operands_store_others(j, head);
        emit_chain(j, last, edge, head_block, head);
        note_way_out(j, emit_budget(j, head_block, CC_B), head_block, OUT_OF_BUDGET, head);
        operands_are(j, head);
        again = e->at;
        j->head = head;
        emit_blocks(j, t);
        j->head = NULL;
        if (!operands_turn(j, head))
            continue;
        emit_chain(j, last, edge, head_block, head);
        x_point(e, emit_budget(j, head_block, CC_AE), again);
        operands_store_as(j, head);
        show_block(j, head_block);
        jump_stub(j, j->stubs.no_budget);
        return true;
    }
    e->at = start;
    j->nslow = nslow;
    j->nways_out = nways_out;
    j->njumps_made = njumps;
    j->nlandings = nlandings;
    operands_are(j, first);
    return false;
}

void emit_ways_out(struct jit *j)
{
    struct code *e = &j->code;

    for (unsigned i = 0; i < j->nways_out; i++) {
        const struct way_out *w = &j->ways_out[i];

        if (w->edge < 2) {
            j->block = w->block;
            if (w->guard)
                w->guard->away = e->at;
            emit_edge(j, w->edge, w->guard ? NULL : w->from, w->slots);
            continue;
        }
        x_here(e, w->from);
        if (w->edge == OUT_HOT) {
            x_mov_imm(e, RAX, (uint64_t)(uintptr_t)w->block);
            jump_stub(j, j->stubs.turn);
        } else {
            operands_store_as(j, w->slots);
            show_block(j, w->block);
            jump_stub(j, j->stubs.no_budget);
        }
    }
}

void emit_trace(struct jit *j)
{
    struct trace t;

    find_blocks(j, &t);
    for (unsigned i = 0; i < t.n; i++)
        ran_add(j, t.block[i], true);
    near_survey(j, t.block, t.n);
    if (emit_blocks(j, &t) && !emit_loop(j, &t)) {
        j->nahead = 0;
        j->block = t.block[t.n - 1];
        emit_edge(j, (unsigned)t.edge[t.n - 1], NULL, j->slots);
    }
}
