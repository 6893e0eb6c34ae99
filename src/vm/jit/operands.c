/*
 * Which values of the state block are in host registers while a block runs.
 *
 * A value is loaded when it is first used and stored when the block may be left or
 * C code may look. Constants (the noted flag operation above all) need no register
 * until somebody computes with them. Since lazy flags are operands like others, those
 * that are noted again before anybody looks cost no store.
 *
 * Values of 128 bits are in XMM registers in the same way. One of which a part is wanted as an integer
 * is stored first, and one that was made in halves is put together in a register.
 *
 * Values that are the same because one was copied, or is the result that flags are noted of, share a register until one of them
 * is changed, unless the copy has a register already and another is free.
 *
 * An operand of 8 or 16 bits lives in the slot of its whole register (`home`). One
 * that overlaps a slot in another way than lying in it makes that slot be stored
 * and forgotten.
 */
#include "vm/jit/jit_priv.h"

#include "base/error.h"

#include <limits.h>

static const uint8_t pool[] = {RSI, RDI, R8, R9, R10, R11, RBX, R12};
#define FIRST_VECTOR 4u /* XMM registers from here on hold values */
#define VECTORS 16u

/* ---- slots ---- */

static void store_slot(struct jit *j, const struct slot *s)
{
    struct code *e = &j->code;
    int32_t at = state_disp(s->offset);

    if (s->kind == SLOT_VECTOR) {
        x_sse_rm(e, 0, X_MOVUPS_STORE, s->reg, R_STATE, at);
    } else if (s->kind == SLOT_REG) {
        x_store(e, 8u * s->size, R_STATE, at, s->reg);
    } else if (s->size == 4 || fits_32((int64_t)s->value)) {
        x_store_imm(e, 8u * s->size, R_STATE, at, (uint32_t)s->value);
    } else {
        x_store_imm(e, 32, R_STATE, at, (uint32_t)s->value);
        x_store_imm(e, 32, R_STATE, at + 4, (uint32_t)(s->value >> 32));
    }
}

static void drop_slot(struct jit *j, struct slot *s, bool store)
{
    if (store && s->dirty)
        store_slot(j, s);
    *s = (struct slot){0};
}

static bool overlaps(const struct slot *s, unsigned offset, unsigned len)
{
    return s->kind && s->offset < offset + len && offset < s->offset + s->size;
}

/* The slot, other than a vector's, that holds all of these bytes. */
static struct slot *find(struct jit *j, unsigned offset, unsigned len)
{
    for (unsigned i = 0; i < j->nslots; i++) {
        struct slot *s = &j->slots[i];

        if (s->kind && s->kind != SLOT_VECTOR && offset >= s->offset && offset + len <= (unsigned)s->offset + s->size)
            return s;
    }
    return NULL;
}

/* ---- places in the host ---- */

static struct slot *find_place(struct jit *j)
{
    for (unsigned i = 0; i < j->nslots; i++)
        if (j->slots[i].kind == SLOT_PLACE)
            return &j->slots[i];
    return NULL;
}

static void place_forget(struct jit *j)
{
    struct slot *s = find_place(j);

    if (s)
        *s = (struct slot){0};
}

/* Bytes of the state get another value. */
static void place_changes(struct jit *j, unsigned offset, unsigned len)
{
    const struct place *p = &j->place;

    if ((offset < p->a + 8u && p->a < offset + len) || (p->indexed && offset < p->b + 8u && p->b < offset + len))
        place_forget(j);
}

void place_expire(struct jit *j, unsigned uop, bool ends)
{
    if (ends || uop >= j->place.end)
        place_forget(j);
}

static bool any_within(const struct jit *j, unsigned offset, unsigned len)
{
    for (unsigned i = 0; i < j->nslots; i++)
        if (overlaps(&j->slots[i], offset, len))
            return true;
    return false;
}

void operands_release(struct jit *j, unsigned offset, unsigned len)
{
    place_changes(j, offset, len);
    for (unsigned i = 0; i < j->nslots; i++)
        if (overlaps(&j->slots[i], offset, len))
            drop_slot(j, &j->slots[i], true);
}

void operands_discard(struct jit *j, unsigned offset, unsigned len)
{
    place_changes(j, offset, len);
    for (unsigned i = 0; i < j->nslots; i++)
        if (overlaps(&j->slots[i], offset, len))
            drop_slot(j, &j->slots[i], false);
}

static bool pinned(const struct jit *j, unsigned reg)
{
    return j->pinned >> reg & 1;
}

static void pin(struct jit *j, unsigned reg)
{
    j->pinned |= (uint16_t)(1u << reg);
}

/* One of the general registers. */
static bool in_register(const struct slot *s)
{
    return s->kind == SLOT_REG || s->kind == SLOT_PLACE;
}

static struct slot *least_recent(struct jit *j)
{
    struct slot *best = NULL;

    for (unsigned i = 0; i < j->nslots; i++) {
        struct slot *s = &j->slots[i];

        if (!s->kind || (in_register(s) && pinned(j, s->reg)) ||
            (s->kind == SLOT_VECTOR && (j->pinned_vectors >> s->reg & 1)))
            continue;
        if (!best || s->used < best->used)
            best = s;
    }
    CHECK(best);
    return best;
}

/* Does another value lie in the same register? */
static bool shared(const struct jit *j, const struct slot *s)
{
    for (unsigned i = 0; i < j->nslots; i++)
        if (&j->slots[i] != s && in_register(&j->slots[i]) && j->slots[i].reg == s->reg)
            return true;
    return false;
}

/* Values that lie in the same register, at most: slots of registers that are pinned must leave some for others. */
#define MOST_SHARED 3u

static bool may_share(const struct jit *j, unsigned reg)
{
    unsigned n = 0;

    for (unsigned i = 0; i < j->nslots; i++)
        n += in_register(&j->slots[i]) && j->slots[i].reg == reg;
    return n < MOST_SHARED;
}

/* What it costs to give up all values in a register: less is better. */
static unsigned worth(const struct jit *j, unsigned reg)
{
    unsigned next = AHEAD_NEVER, dirty = 0;

    for (unsigned i = 0; i < j->nslots; i++) {
        const struct slot *s = &j->slots[i];
        unsigned use;

        if (!in_register(s) || s->reg != reg)
            continue;
        use = ahead_use(j, s);
        if (use < next)
            next = use;
        dirty += s->dirty;
    }
    return 2 * (AHEAD_NEVER - next) + 15 * dirty;
}

static uint16_t busy_registers(const struct jit *j)
{
    uint16_t busy = j->pinned;

    for (unsigned i = 0; i < j->nslots; i++)
        if (in_register(&j->slots[i]))
            busy |= (uint16_t)(1u << j->slots[i].reg);
    return busy;
}

/* One that is free, if one is: where the operand at `offset` is when the loop turns, or else where none is. RSP: there is none. */
static unsigned free_register(const struct jit *j, unsigned offset)
{
    const uint16_t busy = busy_registers(j);
    uint16_t others = 0;
    unsigned any = RSP;

    for (unsigned i = 0; j->head && i < SLOTS; i++) {
        const struct slot *s = &j->head[i];

        if (s->kind != SLOT_REG)
            continue;
        if (s->offset == offset && !(busy >> s->reg & 1))
            return s->reg;
        others |= (uint16_t)(1u << s->reg);
    }
    for (unsigned i = sizeof(pool); i-- > 0;)
        if (!(busy >> pool[i] & 1) && (any == RSP || !(others >> pool[i] & 1)))
            any = pool[i];
    return any;
}

/* A register, pinned, for the operand at `offset` (or of none, UINT16_MAX). */
static unsigned take_register(struct jit *j, unsigned offset)
{
    unsigned reg = free_register(j, offset), least = UINT_MAX;

    if (reg == RSP) {
        for (unsigned i = 0; i < sizeof(pool); i++) {
            unsigned cost;

            if (pinned(j, pool[i]))
                continue;
            cost = worth(j, pool[i]);
            if (cost < least) {
                least = cost;
                reg = pool[i];
            }
        }
        CHECK(reg != RSP);
        for (unsigned i = 0; i < j->nslots; i++)
            if (in_register(&j->slots[i]) && j->slots[i].reg == reg)
                drop_slot(j, &j->slots[i], true);
    }
    pin(j, reg);
    return reg;
}

/* The value, which is pinned, is about to be changed in its register: others that lie there stay. */
static void unshare(struct jit *j, struct slot *s)
{
    unsigned reg;

    if (!shared(j, s))
        return;
    reg = take_register(j, s->offset);
    x_rr(&j->code, 64, X_MOV_LOAD, reg, s->reg);
    s->reg = (uint8_t)reg;
}

static struct slot *free_slot(struct jit *j)
{
    struct slot *s;

    for (unsigned i = 0; i < j->nslots; i++)
        if (!j->slots[i].kind)
            return &j->slots[i];
    if (j->nslots < SLOTS)
        return &j->slots[j->nslots++];
    s = least_recent(j);
    drop_slot(j, s, true);
    return s;
}

static void touch(struct jit *j, struct slot *s)
{
    s->used = ++j->now;
    if (in_register(s))
        pin(j, s->reg);
}

unsigned place_def(struct jit *j, const struct place *p)
{
    unsigned reg;
    struct slot *s;

    place_forget(j);
    reg = take_register(j, UINT16_MAX);
    s = free_slot(j);
    *s = (struct slot){.offset = UINT16_MAX, .kind = SLOT_PLACE, .reg = (uint8_t)reg};
    touch(j, s);
    j->place = *p;
    return reg;
}

unsigned place_take(struct jit *j, const struct place *p)
{
    struct slot *s = find_place(j);
    const struct place *q = &j->place;
    unsigned reg;

    if (!s || q->form != p->form || q->bits != p->bits || q->a != p->a || q->imm != p->imm ||
        (q->indexed && (q->b != p->b || q->scale != p->scale)))
        return 0;
    reg = s->reg;
    pin(j, reg);
    place_forget(j);
    return reg;
}

static void into_register(struct jit *j, struct slot *s)
{
    if (s->kind == SLOT_CONST) {
        unsigned reg = take_register(j, s->offset);

        x_mov_imm(&j->code, reg, s->value);
        s->kind = SLOT_REG;
        s->reg = (uint8_t)reg;
    }
    touch(j, s);
}

/* The slot, in a register, that has the operand's bytes; NULL: the operand does not lie within
 * one register of the guest (memory has it then). */
static struct slot *cached(struct jit *j, unsigned offset, unsigned bits, unsigned home)
{
    unsigned len = bits / 8, size = home / 8;
    struct slot *s = find(j, offset, len);
    unsigned at;

    if (s) {
        into_register(j, s);
        return s;
    }
    operands_release(j, offset, len);
    if (size < len)
        size = len;
    if (offset % size + len > size || (len < 8 && size == 8 && any_within(j, offset & ~7u, 8)))
        size = 4; /* the other half of a register is in use by itself */
    at = offset & ~(size - 1);
    if (offset + len > at + size)
        return NULL;
    operands_release(j, at, size);
    s = free_slot(j);
    *s = (struct slot){.offset = (uint16_t)at, .size = (uint8_t)size, .kind = SLOT_REG};
    s->reg = RSP; /* nobody's, while one is looked for */
    pin(j, RSP);
    s->reg = (uint8_t)take_register(j, at);
    touch(j, s);
    x_load(&j->code, 8 * size, s->reg, R_STATE, state_disp(at));
    return s;
}

/* ---- operands ---- */

unsigned operand_use(struct jit *j, unsigned offset, unsigned bits, unsigned home)
{
    struct slot *s = find(j, offset, bits / 8);

    if (offset % (home / 8))
        home = bits; /* a register's upper half is in nobody's way */
    if (s && s->offset != offset)
        operands_release(j, offset, bits / 8);
    s = cached(j, offset, bits, s && s->offset != offset ? bits : home);
    if (!s || s->offset != offset) {
        unsigned reg;

        operands_release(j, offset, bits / 8);
        reg = take_register(j, offset);
        x_load(&j->code, bits, reg, R_STATE, state_disp(offset));
        return reg;
    }
    return s->reg;
}

/* Has the operand a register of its own, which it had better keep while others are free? (Where a loop turns it must be there again.) */
static bool has_own(struct jit *j, unsigned offset, unsigned bits)
{
    const struct slot *s = find(j, offset, bits / 8);

    return s && s->offset == offset && 8u * s->size == bits && s->kind == SLOT_REG && !shared(j, s);
}

unsigned operand_reserve(struct jit *j, unsigned offset, unsigned bits)
{
    unsigned len = bits / 8;
    struct slot *s = find(j, offset, len);

    if (has_own(j, offset, bits)) {
        touch(j, s);
        return s->reg;
    }
    if (!s || s->offset != offset || s->size != len)
        operands_release(j, offset, len);
    return take_register(j, offset);
}

void operands_overwrite(struct jit *j, unsigned offset, unsigned len)
{
    place_changes(j, offset, len);
    for (unsigned i = 0; i < j->nslots; i++) {
        struct slot *s = &j->slots[i];

        if (overlaps(s, offset, len))
            drop_slot(j, s, s->offset < offset || s->offset + s->size > offset + len);
    }
}

void operand_commit(struct jit *j, unsigned offset, unsigned bits, unsigned reg)
{
    struct slot *s;

    operands_overwrite(j, offset, bits / 8);
    s = free_slot(j);
    *s = (struct slot){.offset = (uint16_t)offset, .size = (uint8_t)(bits / 8), .kind = SLOT_REG,
                       .reg = (uint8_t)reg, .dirty = true};
    touch(j, s);
}

unsigned operand_def(struct jit *j, unsigned offset, unsigned bits)
{
    struct slot *s = find(j, offset, bits / 8);
    unsigned reg;

    if (has_own(j, offset, bits)) {
        place_changes(j, offset, bits / 8);
        s->dirty = true;
        touch(j, s);
        return s->reg;
    }
    operands_overwrite(j, offset, bits / 8);
    reg = take_register(j, offset);
    operand_commit(j, offset, bits, reg);
    return reg;
}

unsigned operand_own(struct jit *j, unsigned offset, unsigned bits)
{
    struct slot *s = find(j, offset, bits / 8);
    unsigned reg;

    if (s && s->offset == offset && 8u * s->size == bits) {
        into_register(j, s);
        unshare(j, s);
        return s->reg;
    }
    operands_release(j, offset, bits / 8);
    reg = take_register(j, offset);
    x_load(&j->code, bits, reg, R_STATE, state_disp(offset));
    operand_commit(j, offset, bits, reg);
    find(j, offset, bits / 8)->dirty = false;
    return reg;
}

bool operand_share(struct jit *j, unsigned offset, unsigned from, unsigned bits)
{
    const struct slot *s = find(j, from, bits / 8);

    if (!s || s->kind != SLOT_REG || s->offset != from || (has_own(j, offset, bits) && free_register(j, UINT16_MAX) != RSP) || 8u * s->size != bits || (offset < from + bits / 8 && from < offset + bits / 8))
        return false;
    if (!may_share(j, s->reg))
        return false;
    operand_commit(j, offset, bits, s->reg);
    return true;
}

bool operand_share_zero_extended(struct jit *j, unsigned offset, unsigned to, unsigned from, unsigned bits)
{
    const struct slot *s = find(j, from, bits / 8);

    if (!s || s->kind != SLOT_REG || s->offset != from || 8u * s->size != bits || (offset < from + bits / 8 && from < offset + to / 8) ||
        !may_share(j, s->reg))
        return false;
    operand_commit(j, offset, to, s->reg);
    return true;
}

void operand_def_const(struct jit *j, unsigned offset, unsigned bits, uint64_t value)
{
    struct slot *s;

    operands_overwrite(j, offset, bits / 8);
    s = free_slot(j);
    *s = (struct slot){.offset = (uint16_t)offset, .size = (uint8_t)(bits / 8), .kind = SLOT_CONST, .dirty = true,
                       .value = value};
    touch(j, s);
}

void operand_hold(struct jit *j, unsigned offset, unsigned bits, unsigned home)
{
    struct slot *s = find(j, offset, bits / 8);

    if (bits >= 32)
        operand_use(j, offset, bits, home);
    else if (s && s->kind == SLOT_CONST && s->offset == offset)
        s->used = ++j->now;
    else if (!cached(j, offset, bits, home))
        operands_release(j, offset, bits / 8);
}

/* Zero-extended. */
static void move_bits(struct code *e, unsigned bits, unsigned to, unsigned from)
{
    if (bits == 8)
        x_rr(e, 32, X_MOVZX8, to, from);
    else if (bits == 16)
        x_rr(e, 32, X_MOVZX16, to, from);
    else
        x_rr(e, bits, X_MOV_LOAD, to, from);
}

void operand_get(struct jit *j, unsigned to, unsigned offset, unsigned bits, unsigned home)
{
    struct code *e = &j->code;
    struct slot *s;

    s = find(j, offset, bits / 8);
    if (s && s->kind == SLOT_CONST && s->offset == offset) {
        s->used = ++j->now;
        x_mov_imm(e, to, s->value & UINT64_MAX >> (64 - bits));
        return;
    }
    if (bits >= 32) {
        move_bits(e, bits, to, operand_use(j, offset, bits, home));
        return;
    }
    s = cached(j, offset, bits, home);
    if (!s) {
        x_rm(e, 32, bits == 8 ? X_MOVZX8 : X_MOVZX16, to, R_STATE, state_disp(offset));
    } else if (s->offset == offset) {
        move_bits(e, bits, to, s->reg);
    } else {
        x_rr(e, 64, X_MOV_LOAD, to, s->reg);
        x_shift_imm(e, 64, SHIFT_SHR, to, 8 * (offset - s->offset));
        move_bits(e, bits, to, to);
    }
}

unsigned operand_low(struct jit *j, unsigned offset, unsigned bits, unsigned home)
{
    const struct slot *s = cached(j, offset, bits, home);

    if (s && s->offset == offset)
        return s->reg;
    operand_get(j, RAX, offset, bits, home);
    return RAX;
}

void operand_put(struct jit *j, unsigned offset, unsigned bits, unsigned home, unsigned from)
{
    struct code *e = &j->code;
    struct slot *s;
    unsigned turn;

    if (bits >= 32) {
        if (from == RAX && j->rax_in && may_share(j, j->rax_in) && (bits == j->rax_bits || j->rax_bits == 32) && (free_register(j, UINT16_MAX) == RSP || !has_own(j, offset, bits)))
            operand_commit(j, offset, bits, j->rax_in);
        else
            x_rr(e, bits, X_MOV_LOAD, operand_def(j, offset, bits), from);
        return;
    }
    place_changes(j, offset, bits / 8);
    s = cached(j, offset, bits, home);
    if (!s) {
        x_store(e, bits, R_STATE, state_disp(offset), from);
        return;
    }
    unshare(j, s);
    s->dirty = true;
    turn = 8 * (offset - s->offset);
    if (turn)
        x_shift_imm(e, 8u * s->size, SHIFT_ROR, s->reg, turn);
    x_rr(e, bits, ALU8(bits, X_MOV_LOAD), s->reg, from);
    if (turn)
        x_shift_imm(e, 8u * s->size, SHIFT_ROL, s->reg, turn);
}

bool operand_known(const struct jit *j, unsigned offset, unsigned bits, uint64_t *value)
{
    const struct slot *s = find((struct jit *)(uintptr_t)j, offset, bits / 8);
    unsigned zero = j->c->fe->zero;

    if (zero && offset >= zero && offset + bits / 8 <= zero + 8) {
        *value = 0;
        return true;
    }
    if (!s || s->kind != SLOT_CONST || s->offset != offset || 8u * s->size != bits)
        return false;
    *value = s->value;
    return true;
}

/* ---- vectors ---- */

static struct slot *find_vector(struct jit *j, unsigned offset)
{
    for (unsigned i = 0; i < j->nslots; i++)
        if (j->slots[i].kind == SLOT_VECTOR && j->slots[i].offset == offset) {
            j->slots[i].used = ++j->now;
            j->pinned_vectors |= (uint16_t)(1u << j->slots[i].reg);
            return &j->slots[i];
        }
    return NULL;
}

/* A slot with a register of its own for the vector at `offset`, which is in none; clean. */
static struct slot *new_vector(struct jit *j, unsigned offset)
{
    uint16_t busy = j->pinned_vectors;
    struct slot *s, *oldest = NULL;
    unsigned reg = FIRST_VECTOR;

    for (unsigned i = 0; i < j->nslots; i++) {
        s = &j->slots[i];
        if (s->kind != SLOT_VECTOR)
            continue;
        busy |= (uint16_t)(1u << s->reg);
        if (!(j->pinned_vectors >> s->reg & 1) && (!oldest || s->used < oldest->used))
            oldest = s;
    }
    while (reg < VECTORS && (busy >> reg & 1))
        reg++;
    if (reg == VECTORS) {
        CHECK(oldest);
        reg = oldest->reg;
        drop_slot(j, oldest, true);
    }
    j->pinned_vectors |= (uint16_t)(1u << reg);
    s = free_slot(j);
    *s = (struct slot){.offset = (uint16_t)offset, .size = 16, .kind = SLOT_VECTOR, .reg = (uint8_t)reg,
                       .used = ++j->now};
    return s;
}

/* xmm = the 8 bytes of the slot, or of memory; bits above are 0. */
static void half_to(struct jit *j, unsigned xmm, const struct slot *s, unsigned offset)
{
    struct code *e = &j->code;

    if (!s) {
        x_sse_rm(e, 0xf3, 0x7e, xmm, R_STATE, state_disp(offset)); /* MOVQ */
        return;
    }
    code_8(e, 0x66);
    x_rr(e, 64, 0x0f6e, xmm, s->reg);
}

static struct slot *exact(struct jit *j, unsigned offset)
{
    struct slot *s = find(j, offset, 8);

    return s && s->offset == offset && s->size == 8 ? s : NULL;
}

/* Halves that were made as integers become a vector without a way through memory, which would stall. */
static bool join_halves(struct jit *j, unsigned xmm, unsigned offset)
{
    struct slot *low = exact(j, offset), *high = exact(j, offset + 8);
    struct code *e = &j->code;

    if ((low && low->kind != SLOT_REG) || !(low || high) || (high && high->kind != SLOT_REG && high->value))
        return false;
    for (unsigned i = 0; i < j->nslots; i++)
        if (&j->slots[i] != low && &j->slots[i] != high && overlaps(&j->slots[i], offset, 16))
            return false;
    half_to(j, xmm, low, offset);
    if (high && high->kind == SLOT_CONST)
        return true;
    if (high) {
        half_to(j, 3, high, offset + 8);
        x_sse_rr(e, 0x66, 0x6c, xmm, 3); /* PUNPCKLQDQ */
    } else {
        x_sse_rm(e, 0, 0x16, xmm, R_STATE, state_disp(offset + 8)); /* MOVHPS */
    }
    return true;
}

static bool dirty_within(const struct jit *j, unsigned offset)
{
    for (unsigned i = 0; i < j->nslots; i++)
        if (overlaps(&j->slots[i], offset, 16) && j->slots[i].dirty)
            return true;
    return false;
}

unsigned vector_use(struct jit *j, unsigned offset)
{
    struct slot *s = find_vector(j, offset);
    bool joined, dirty;

    if (s)
        return s->reg;
    dirty = dirty_within(j, offset);
    joined = join_halves(j, 2, offset);
    if (joined)
        operands_overwrite(j, offset, 16);
    else
        operands_release(j, offset, 16);
    s = new_vector(j, offset);
    if (joined) {
        x_sse_rr(&j->code, 0, 0x28, s->reg, 2); /* MOVAPS */
        s->dirty = dirty;
    } else {
        x_sse_rm(&j->code, 0, X_MOVUPS_LOAD, s->reg, R_STATE, state_disp(offset));
    }
    return s->reg;
}

unsigned vector_def(struct jit *j, unsigned offset)
{
    struct slot *s = find_vector(j, offset);

    if (!s) {
        operands_overwrite(j, offset, 16);
        s = new_vector(j, offset);
    }
    s->dirty = true;
    return s->reg;
}

unsigned vector_reserve(struct jit *j, unsigned offset)
{
    struct slot *s = find_vector(j, offset);

    if (!s) {
        operands_release(j, offset, 16);
        s = new_vector(j, offset);
    }
    return s->reg;
}

unsigned vector_own(struct jit *j, unsigned offset)
{
    unsigned reg = vector_use(j, offset);

    find_vector(j, offset)->dirty = true;
    return reg;
}

unsigned scalar_use(struct jit *j, unsigned offset, unsigned bits, unsigned scratch)
{
    struct slot *s = find_vector(j, offset);

    if (s)
        return s->reg;
    s = find(j, offset, bits / 8);
    if (s && s->offset == offset && s->kind == SLOT_REG) {
        code_8(&j->code, 0x66);
        x_rr(&j->code, bits, 0x0f6e, scratch, s->reg); /* MOVD, MOVQ */
        return scratch;
    }
    operands_release(j, offset, bits / 8);
    x_sse_rm(&j->code, bits == 64 ? 0xf2 : 0xf3, 0x10, scratch, R_STATE, state_disp(offset)); /* MOVSD, MOVSS */
    return scratch;
}

void vectors_reload_as(struct jit *j, const struct slot *slots)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].kind == SLOT_VECTOR)
            x_sse_rm(&j->code, 0, X_MOVUPS_LOAD, slots[i].reg, R_STATE, state_disp(slots[i].offset));
}

void vectors_release(struct jit *j)
{
    for (unsigned i = 0; i < j->nslots; i++)
        if (j->slots[i].kind == SLOT_VECTOR)
            drop_slot(j, &j->slots[i], true);
}

/* ---- all of them ---- */

void operands_store_as(struct jit *j, const struct slot *slots)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].kind && slots[i].dirty)
            store_slot(j, &slots[i]);
}

void operands_store(struct jit *j)
{
    operands_store_as(j, j->slots);
    for (unsigned i = 0; i < j->nslots; i++)
        j->slots[i].dirty = false;
}

void operands_reload_as(struct jit *j, const struct slot *slots)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].kind == SLOT_REG)
            x_load(&j->code, 8u * slots[i].size, slots[i].reg, R_STATE, state_disp(slots[i].offset));
        else if (slots[i].kind == SLOT_PLACE)
            x_alu(&j->code, 32, ALU_XOR, slots[i].reg, slots[i].reg);
    vectors_reload_as(j, slots);
}

void slots_remove(struct slot *slots, unsigned offset, unsigned len)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (overlaps(&slots[i], offset, len))
            slots[i] = (struct slot){0};
}

void operands_forget(struct jit *j)
{
    memset(j->slots, 0, j->nslots * sizeof(j->slots[0]));
    j->nslots = 0;
}

void operands_are(struct jit *j, const struct slot *slots)
{
    memcpy(j->slots, slots, sizeof(j->slots));
    j->nslots = SLOTS;
}

/* ---- loops ---- */

/* The slot among `slots` that has the same value of the state in the same way. */
static const struct slot *same_slot(const struct slot *slots, const struct slot *s)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].kind == s->kind && slots[i].offset == s->offset && slots[i].size == s->size &&
            (s->kind != SLOT_CONST || slots[i].value == s->value))
            return &slots[i];
    return NULL;
}

void operands_store_others(struct jit *j, const struct slot *head)
{
    for (unsigned i = 0; i < j->nslots; i++) {
        const struct slot *s = &j->slots[i];

        if (s->kind && s->dirty && !same_slot(head, s))
            store_slot(j, s);
    }
}

/* Those of the head that do not hold at the turn are given up, and one of two that lie in one register no longer; those that are dirty
 * here must be there. */
static bool reduce_head(const struct jit *j, struct slot *head)
{
    bool reduced = false;

    for (unsigned i = 0; i < SLOTS; i++) {
        const struct slot *s = head[i].kind ? same_slot(j->slots, &head[i]) : NULL;

        if (head[i].kind && !s)
            head[i] = (struct slot){0};
        else if (s && s->dirty && !head[i].dirty)
            head[i].dirty = true;
        else
            continue;
        reduced = true;
    }
    for (unsigned i = 0; i < SLOTS; i++)
        for (unsigned k = 0; k < i; k++)
            if (head[i].kind == SLOT_REG && head[k].kind == SLOT_REG && head[i].reg == head[k].reg &&
                same_slot(j->slots, &head[i])->reg != same_slot(j->slots, &head[k])->reg) {
                head[i] = (struct slot){0};
                reduced = true;
            }
    return reduced;
}

/* A register's way to where the head has it. */
struct move { uint8_t to, from; };

static void emit_move(struct jit *j, bool vector, unsigned to, unsigned from)
{
    if (vector)
        x_sse_rr(&j->code, 0, 0x28, to, from); /* MOVAPS */
    else
        x_rr(&j->code, 64, X_MOV_LOAD, to, from);
}

/* All at once: one after the other, where no other comes from where one goes. `spare` is nobody's. */
static void emit_moves(struct jit *j, bool vector, struct move *moves, unsigned n, unsigned spare)
{
    while (n) {
        unsigned i = 0, k = 0;

        for (i = 0; i < n; i++) {
            for (k = 0; k < n && (k == i || moves[k].from != moves[i].to); k++)
                ;
            if (k == n)
                break;
        }
        if (i == n) { /* they go round: one waits elsewhere */
            emit_move(j, vector, spare, moves[0].from);
            moves[0].from = (uint8_t)spare;
            continue;
        }
        if (moves[i].to != moves[i].from)
            emit_move(j, vector, moves[i].to, moves[i].from);
        moves[i] = moves[--n];
    }
}

static bool has_move(const struct move *moves, unsigned n, unsigned to)
{
    for (unsigned i = 0; i < n; i++)
        if (moves[i].to == to)
            return true;
    return false;
}

bool operands_turn(struct jit *j, struct slot *head)
{
    struct move moves[2][SLOTS];
    unsigned n[2] = {0, 0};

    if (reduce_head(j, head))
        return false;
    operands_store_others(j, head);
    for (unsigned i = 0; i < SLOTS; i++) {
        bool vector = head[i].kind == SLOT_VECTOR;

        if (vector || (head[i].kind == SLOT_REG && !has_move(moves[0], n[0], head[i].reg)))
            moves[vector][n[vector]++] = (struct move){head[i].reg, same_slot(j->slots, &head[i])->reg};
    }
    emit_moves(j, false, moves[0], n[0], RAX);
    emit_moves(j, true, moves[1], n[1], 0);
    return true;
}
