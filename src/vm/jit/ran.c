/*
 * Which compiled blocks were run. Code has a counter each: of entries before a block is compiled as a trace, else (a trace, an
 * instruction that crosses pages) a mark. Counters lie close together, as most blocks are entered without a look at struct block. What
 * has changed since a footprint was begun tells what it has to know; so chains and the jump cache hold while
 * footprints come and go. Of a trace that was entered, all blocks are said to have been run.
 */
#include "vm/footprint.h"
#include "vm/jit/jit_priv.h"

#include "base/buffer.h"

#include <stdlib.h>

static void add_span(struct jit *j, uint64_t va, unsigned len, bool mark)
{
    struct ran *r = &j->ran;

    if (r->nspans == r->cap_spans) {
        r->cap_spans = r->cap_spans ? 2 * r->cap_spans : 1024;
        r->spans = xrealloc(r->spans, r->cap_spans * sizeof(r->spans[0]));
    }
    r->spans[r->nspans++] = (struct span){.va = va, .len = (uint16_t)len, .mark = mark};
}

void ran_add(struct jit *j, const struct block *b, bool mark)
{
    unsigned first = (unsigned)PAGE_SIZE - b->offset;

    add_span(j, b->key.va, b->len < first ? b->len : first, mark);
    if (b->len > first)
        add_span(j, next_page(j->c, b->key.va), b->len - first, mark);
}

bool ran_begin(struct jit *j)
{
    struct ran *r = &j->ran;

    if (j->ncounters == j->max_counters)
        return false;
    if (j->ncounters == r->cap_seen) {
        r->cap_seen = r->cap_seen ? 2 * r->cap_seen : 1024;
        r->seen = xrealloc(r->seen, r->cap_seen * sizeof(r->seen[0]));
        r->first = xrealloc(r->first, (r->cap_seen + 1) * sizeof(r->first[0]));
    }
    r->first[j->ncounters] = r->nspans;
    return true;
}

void ran_undo(struct jit *j)
{
    j->ran.nspans = j->ran.first[j->ncounters];
}

void ran_end(struct jit *j, uint32_t count)
{
    uint32_t n = j->ncounters++;

    j->counters[n] = j->ran.seen[n] = count;
    j->ran.first[n + 1] = j->ran.nspans;
}

void ran_gather(struct jit *j, struct footprint *f)
{
    struct ran *r = &j->ran;

    if (!r->some)
        return;
    r->some = false;
    for (uint32_t n = 0; n < j->ncounters; n++) {
        if (j->counters[n] == r->seen[n])
            continue;
        if (r->spans[r->first[n]].mark)
            j->counters[n] = 0;
        r->seen[n] = j->counters[n];
        for (uint32_t i = r->first[n]; f && i < r->first[n + 1]; i++)
            footprint_add_code(f, r->spans[i].va, r->spans[i].len);
    }
}

void ran_finish(struct jit *j)
{
    free(j->ran.seen);
    free(j->ran.first);
    free(j->ran.spans);
}

/* The instruction with an operand [rip + away] and 8 bits of immediate: `op` and its /digit. Destroys rcx. */
static void emit_on_counter(struct jit *j, uint8_t op, unsigned digit)
{
    const unsigned len = 7;
    struct code *e = &j->code;
    const uint8_t *counter = (const uint8_t *)&j->counters[j->ncounters];
    intptr_t away = (intptr_t)counter - (intptr_t)(e->at + len + j->execute);

    if (fits_32(away)) {
        code_8(e, op);
        code_8(e, (uint8_t)(digit << 3 | 5));
        code_32(e, (uint32_t)away);
    } else {
        x_mov_imm(e, RCX, (uint64_t)(uintptr_t)counter);
        x_rm(e, 32, op, digit, RCX, 0);
    }
    code_8(e, 1);
}

void ran_count(struct jit *j)
{
    emit_on_counter(j, 0x83, ALU_SUB); /* SUB dword, 1 */
    note_way_out(j, x_jcc(&j->code, CC_E), j->owner, OUT_HOT, j->slots);
}

void ran_mark(struct jit *j)
{
    emit_on_counter(j, 0xc6, 0); /* MOV byte, 1 */
}
