/*
 * Accesses near each other: those whose addresses differ by constants, as of a stack frame's values or a structure's
 * members, look into the TLB once. The first one of such a group, its leader, asks for all the bytes that the group
 * reaches: if they lie in one page that accesses in line may read, or write, as the group does, what is to be added to an
 * address is left in exec.places[], where the others find it. Else it is 0 there, and each looks for itself, out of line.
 *
 * What was found is good as long as no C function runs that may change a TLB: whatever calls one sets all places
 * to 0. A group begins and ends between two calls, in one block or trace, which is entered at its beginning only; so its
 * leader comes before the others, whatever way is taken out.
 *
 * Code that is no trace yet has no groups: it is not run often enough for them to be looked for.
 *
 * Which accesses belong together, is found by following what micro-ops add to registers. Nothing depends on
 * finding all of them.
 */
#include "vm/jit/jit_priv.h"

#include <string.h>

/* A group reaches at most so far: one that lies across two pages is slower than its members alone. */
#define REACH 128

#define SYMBOLS 24
/* Bytes of the widest operand. */
#define WIDEST 16u

/* The operand at `offset` is what number `id` stands for, plus `delta`; of 32 bits modulo 2^32. */
struct symbol {
    uint16_t offset;
    uint8_t bits; /* 0: no symbol */
    uint32_t id;
    int64_t delta;
};

struct group {
    uint32_t id;
    int64_t leader, low, high; /* deltas: of the first one's address; of all bytes, [low, high) */
    uint16_t first, last;      /* members in j->near */
    uint16_t members;
    bool read, write, open;
};

struct survey {
    struct jit *j;
    struct symbol symbols[SYMBOLS];
    uint32_t ids;
    struct group groups[NEAR_GROUPS];
    unsigned ngroups;
};

/* ---- what registers stand for ---- */

/* Modulo 2^64. */
static int64_t sum(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static void forget(struct survey *s, unsigned offset, unsigned len)
{
    for (unsigned i = 0; i < SYMBOLS; i++)
        if (s->symbols[i].bits && s->symbols[i].offset < offset + len && offset < s->symbols[i].offset + 8u)
            s->symbols[i].bits = 0;
}

static struct symbol *symbol_of(struct survey *s, unsigned offset, unsigned bits)
{
    struct symbol *free = &s->symbols[s->ids % SYMBOLS];

    for (unsigned i = 0; i < SYMBOLS; i++) {
        struct symbol *y = &s->symbols[i];

        if (y->bits == bits && y->offset == offset)
            return y;
        if (!y->bits)
            free = y;
    }
    *free = (struct symbol){.offset = (uint16_t)offset, .bits = (uint8_t)bits, .id = ++s->ids};
    return free;
}

/* The operand becomes another one, plus a constant. */
static void becomes(struct survey *s, const struct uop *u, unsigned bits, int64_t plus)
{
    struct symbol y = *symbol_of(s, u->a, bits);

    forget(s, u->d, bits / 8);
    *symbol_of(s, u->d, bits) = (struct symbol){.offset = u->d, .bits = (uint8_t)bits, .id = y.id, .delta = sum(y.delta, plus)};
}

/* ---- groups ---- */

static int64_t distance(int64_t a, int64_t b, unsigned bits)
{
    return bits == 32 ? (int32_t)(uint32_t)((uint64_t)a - (uint64_t)b) : (int64_t)((uint64_t)a - (uint64_t)b);
}

static void close_all(struct survey *s)
{
    for (unsigned i = 0; i < s->ngroups; i++)
        s->groups[i].open = false;
}

/* Micro-op `at` is in a group: in one that there is, if it is near, else the first one of another. */
static void join(struct survey *s, unsigned at, const struct near_access *access, const struct symbol *base)
{
    unsigned bits = access->bits;
    int64_t delta = sum(base->delta, access->imm);
    struct group *g = NULL;

    for (unsigned i = s->ngroups; i-- > 0;) {
        struct group *h = &s->groups[i];
        int64_t low, high;

        if (!h->open || h->id != base->id)
            continue;
        low = distance(delta, h->leader, bits);
        if (low < -REACH || low > REACH) {
            h->open = false;
            continue;
        }
        high = low + access->bytes;
        if (low > h->low)
            low = h->low;
        if (high < h->high)
            high = h->high;
        if (high - low > REACH) {
            h->open = false;
            continue;
        }
        h->low = low;
        h->high = high;
        g = h;
        break;
    }
    if (!g) {
        if (s->ngroups == NEAR_GROUPS)
            return;
        g = &s->groups[s->ngroups++];
        *g = (struct group){.id = base->id, .leader = delta, .high = access->bytes, .first = (uint16_t)at, .open = true};
    }
    g->members++;
    g->last = (uint16_t)at;
    g->read |= access->read;
    g->write |= access->write;
    s->j->near[at] = (struct near){.group = (uint16_t)(g - s->groups), .offset = (int16_t)distance(delta, g->leader, bits)};
}

/* ---- micro-ops ---- */

/* Does it change another operand than d, for all that is known? */
static bool may_change_others(unsigned op)
{
    switch (op) {
    case UOP_ADD32: case UOP_SUB32: case UOP_AND32: case UOP_OR32: case UOP_XOR32: case UOP_ADD32_F: case UOP_SUB32_F: case UOP_AND32_F:
    case UOP_OR32_F: case UOP_XOR32_F: case UOP_AND32I: case UOP_OR32I: case UOP_XOR32I: case UOP_AND32I_F: case UOP_OR32I_F:
    case UOP_XOR32I_F: case UOP_SHL32I: case UOP_SHR32I: case UOP_SAR32I: case UOP_LEAX_W: case UOP_ZX8_32: case UOP_ZX16_32:
    case UOP_SX8_32: case UOP_SX16_32: case UOP_MOV8: case UOP_MOV16: case UOP_MOVI8: case UOP_MOVI16: case UOP_MOVI32: case UOP_MOVI64:
    case UOP_ADD32Z: case UOP_SUB32Z: case UOP_AND32Z: case UOP_OR32Z: case UOP_XOR32Z: case UOP_ADD32Z_F: case UOP_SUB32Z_F:
    case UOP_AND32Z_F: case UOP_OR32Z_F: case UOP_XOR32Z_F: case UOP_ADD32ZI: case UOP_SUB32ZI: case UOP_AND32ZI: case UOP_OR32ZI:
    case UOP_XOR32ZI: case UOP_ADD32ZI_F: case UOP_SUB32ZI_F: case UOP_AND32ZI_F: case UOP_MOV32Z:
    case UOP_ADD64: case UOP_SUB64: case UOP_AND64: case UOP_OR64: case UOP_XOR64: case UOP_ADD64_F: case UOP_SUB64_F: case UOP_AND64_F:
    case UOP_OR64_F: case UOP_XOR64_F: case UOP_AND64I: case UOP_OR64I: case UOP_XOR64I: case UOP_AND64I_F:
        return false;
    default:
        return true;
    }
}

static void follow_registers(struct survey *s, const struct uop *u)
{
    const char *letters = uop_infos[u->op].operands;

    switch (u->op) {
    case UOP_MOV32: becomes(s, u, 32, 0); return;
    case UOP_ADD32I: case UOP_ADD32I_F: case UOP_LEA_W: becomes(s, u, 32, (int32_t)u->imm); return;
    case UOP_SUB32I: case UOP_SUB32I_F: becomes(s, u, 32, -(int64_t)(int32_t)u->imm); return;
    case UOP_INC32_F: becomes(s, u, 32, 1); return;
    case UOP_DEC32_F: becomes(s, u, 32, -1); return;
    case UOP_MOV64: becomes(s, u, 64, 0); return;
    case UOP_ADD64I: case UOP_ADD64I_F: becomes(s, u, 64, (int64_t)u->imm64); return;
    case UOP_SUB64I: case UOP_SUB64I_F: case UOP_SUBN64I_F: becomes(s, u, 64, (int64_t)(0 - u->imm64)); return;
    case UOP_INC64_F: becomes(s, u, 64, 1); return;
    case UOP_DEC64_F: becomes(s, u, 64, -1); return;
    case UOP_CALL: case UOP_X87:
        for (unsigned i = 0; i < SYMBOLS; i++)
            s->symbols[i].bits = 0;
        close_all(s);
        return;
    default:
        break;
    }
    /* The last one of a block changes no register, nor does what only compares. */
    if ((uop_infos[u->op].attributes & UOP_ENDS) || ((uop_infos[u->op].attributes & UOP_SETF) && !strchr(letters, 'd')))
        return;
    forget(s, u->d, WIDEST);
    if (!may_change_others(u->op))
        return;
    forget(s, u->a, WIDEST);
    forget(s, u->b, WIDEST);
    if (strchr(letters, 'i') && u->imm < UINT16_MAX)
        forget(s, u->imm, WIDEST);
}

/* After an access: what it loads, and what it does to its base. */
static void follow_access(struct survey *s, const struct uop *u, const struct near_access *access)
{
    if (access->moves) {
        struct symbol *base = symbol_of(s, u->a, access->bits);
        struct symbol moved = *base;

        moved.delta = sum(moved.delta, access->moves);
        forget(s, u->a, 8);
        *symbol_of(s, u->a, access->bits) = moved;
    }
    if (access->loads)
        forget(s, u->d, WIDEST);
    if (access->loads && access->pair)
        forget(s, u->b, WIDEST);
}

/* The place of the store that ends a read-modify-write is known by its load. */
static bool is_same_place(const struct uop *load, const struct uop *store, const struct near_access *a, const struct near_access *b)
{
    return a->read && a->write && b->write && !b->read && load->a == store->a && load->imm == store->imm && a->bytes == b->bytes;
}

static void survey_block(struct survey *s, const struct block *b, unsigned first)
{
    struct near_access access, before = {0};
    const struct uop *load = NULL;

    for (unsigned i = 0; i < b->nuops; i++) {
        const struct uop *u = &b->uops[i];

        s->j->near[first + i] = (struct near){.group = NEAR_NOBODY};
        if (!access_is_near(u, &access)) {
            follow_registers(s, u);
            continue;
        }
        if (!load || !is_same_place(load, u, &before, &access)) {
            struct symbol base = *symbol_of(s, u->a, access.bits);

            join(s, first + i, &access, &base);
        }
        load = access.read && access.write ? u : NULL;
        before = access;
        follow_access(s, u, &access);
    }
}

/* ---- places ---- */

/* Places for the groups, as long as they are needed; a group of one needs none. */
static void give_places(struct survey *s)
{
    unsigned until[NEAR_PLACES] = {0};
    bool taken[NEAR_PLACES] = {false};

    for (unsigned i = 0; i < s->ngroups; i++) {
        struct group *g = &s->groups[i];
        unsigned place = 0;

        g->open = false;
        if (g->members < 2)
            continue;
        while (place < NEAR_PLACES && taken[place] && until[place] >= g->first)
            place++;
        if (place == NEAR_PLACES)
            continue;
        taken[place] = true;
        until[place] = g->last;
        g->open = true;
        s->j->near_groups[i] = (struct near_group){.place = (uint8_t)place, .read = g->read, .write = g->write,
                                                   .low = (int16_t)g->low, .high = (int16_t)g->high};
    }
}

void near_survey(struct jit *j, const struct block *const *blocks, unsigned n)
{
    struct survey s;
    unsigned first = 0;

    s.j = j;
    s.ids = s.ngroups = 0;
    memset(s.symbols, 0, sizeof(s.symbols));
    for (unsigned i = 0; i < n; first += blocks[i++]->nuops)
        survey_block(&s, blocks[i], first);
    give_places(&s);
    for (unsigned i = 0; i < first; i++)
        if (j->near[i].group != NEAR_NOBODY && !s.groups[j->near[i].group].open)
            j->near[i].group = NEAR_NOBODY;
    near_begin(j);
}

void near_begin(struct jit *j)
{
    j->near_next = 0;
    memset(j->near_led, 0xff, sizeof(j->near_led));
}

void near_block(struct jit *j)
{
    j->near_first = j->near_next;
    j->near_next += j->block->nuops;
}

enum near_role near_role(struct jit *j, struct near_group *g)
{
    const struct near *n = &j->near[j->near_first + (unsigned)(j->u - j->block->uops)];
    bool leads;

    if (n->group == NEAR_NOBODY)
        return NEAR_NONE;
    *g = j->near_groups[n->group];
    g->low = (int16_t)(g->low - n->offset);
    g->high = (int16_t)(g->high - n->offset);
    leads = j->near_led[g->place] != n->group;
    j->near_led[g->place] = n->group;
    return leads ? NEAR_LEADS : NEAR_FOLLOWS;
}
