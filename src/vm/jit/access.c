/*
 * Loads and stores in x86-64 code: the TLB is looked at in line, everything else
 * (misses, devices, watched and clean pages, page crossings) is done by softmmu.c
 * from a path out of line, which first stores what is dirty: if the access faults,
 * the state is as before it.
 *
 * In line: rax is the address, rcx the entry's offset in the TLB and then
 * its addend, rdx the tag.
 */
#include "vm/jit/jit_priv.h"

#include <stddef.h>

_Static_assert(sizeof(struct tlb_entry) == 32, "the index into the TLB is shifted by 5");

enum address_form {
    ADDRESS_W, ADDRESS_XW, ADDRESS_POST_W, ADDRESS_PRE_W, /* of 32 bits */
    ADDRESS_X, ADDRESS_XX, ADDRESS_POST_X, ADDRESS_PRE_X, /* of 64 */
};

static bool is_64(enum address_form form)
{
    return form >= ADDRESS_X;
}

/* The address register changes by imm: after a load from it, before a store. */
static bool pops(enum address_form form)
{
    return form == ADDRESS_POST_W || form == ADDRESS_POST_X;
}

static bool pushes(enum address_form form)
{
    return form == ADDRESS_PRE_W || form == ADDRESS_PRE_X;
}

/* The address of the access. */
static struct address address_of(struct jit *j, const struct uop *u, enum address_form form)
{
    unsigned bits = is_64(form) ? 64 : 32, home = home_of(j, is_64(form));
    struct address at = {.bits = (uint8_t)bits, .imm = (int32_t)u->imm};

    if (!pushes(form) && !pops(form) && operand_known(j, u->a, bits, &at.value)) {
        at.known = form == ADDRESS_W || form == ADDRESS_X;
        at.value += bits == 32 ? (uint64_t)u->imm : (uint64_t)(int64_t)(int32_t)u->imm;
        if (bits == 32)
            at.value = (uint32_t)at.value;
        if (at.known)
            return at;
    }
    at.a = (uint8_t)operand_use(j, u->a, bits, home);
    if (pushes(form))
        at.imm = (int32_t)(0 - u->imm);
    else if (pops(form))
        at.imm = 0;
    if (form == ADDRESS_XX || form == ADDRESS_XW) {
        at.indexed = true;
        at.b = (uint8_t)operand_use(j, u->b, bits, home);
        at.scale = u->aux;
    }
    return at;
}

void address_make(struct code *e, const struct address *at)
{
    if (at->known) {
        x_mov_imm(e, RAX, at->value);
    } else if (at->indexed && at->scale > 3) {
        x_mov(e, at->bits, RAX, at->b);
        x_shift_imm(e, at->bits, SHIFT_SHL, RAX, at->scale);
        x_rmx(e, at->bits, X_LEA, RAX, at->a, RAX, 0, at->imm);
    } else if (at->indexed) {
        x_rmx(e, at->bits, X_LEA, RAX, at->a, at->b, at->scale, at->imm);
    } else if (at->imm) {
        x_rm(e, at->bits, X_LEA, RAX, at->a, at->imm);
    } else {
        x_rr(e, at->bits, X_MOV_LOAD, RAX, at->a);
    }
}

/* rax = the address of the access. */
static void make_address(struct jit *j, const struct address *at)
{
    address_make(&j->code, at);
    j->address_known = at->known;
    j->address = at->value;
}

static void emit_address(struct jit *j, const struct uop *u, enum address_form form)
{
    struct address at = address_of(j, u, form);

    make_address(j, &at);
}

/* Where in the TLB is the entry for these bytes, if that is known now? False: it is not. */
static bool entry_known(const struct jit *j, int32_t low, int32_t high, int32_t *entry)
{
    uint64_t first = j->address + (uint64_t)(int64_t)low, last = j->address + (uint64_t)(int64_t)(high - 1);

    *entry = (int32_t)(tlb_index(j->c->exec->shared, first) * sizeof(struct tlb_entry));
    return j->address_known && !((first ^ last) & PAGE_MASK);
}

/* `s` goes on, on that condition. */
static void leave_if(struct jit *j, struct slow *s, unsigned cc)
{
    unsigned n = 0;

    while (s->from[n])
        n++;
    s->from[n] = x_jcc(&j->code, cc);
}

/* Compare rdx with a tag of that entry; not the same: `s` goes on. */
static void compare_tag(struct jit *j, struct slow *s, int32_t entry, size_t member)
{
    x_rm(&j->code, 64, 8u * ALU_CMP + 3u, RDX, R_TLB, entry + (int32_t)member);
    leave_if(j, s, CC_NE);
}

/* Look into the TLB for the bytes from rax + low to rax + high, which is where the others of its group are; then rcx is what is to be
 * added to an address. Where it is not found, `s` goes on. Destroys rdx. */
static void look_into_tlb(struct jit *j, struct slow *s, int32_t low, int32_t high, bool write, bool read)
{
    struct code *e = &j->code;
    unsigned n = 0;
    int32_t entry;

    if (entry_known(j, low, high, &entry)) {
        x_mov_imm(e, RDX, j->address & PAGE_MASK);
        if (write)
            compare_tag(j, s, entry, offsetof(struct tlb_entry, write));
        if (read)
            compare_tag(j, s, entry, offsetof(struct tlb_entry, read));
        x_load(e, 64, RCX, R_TLB, entry + (int32_t)offsetof(struct tlb_entry, addend));
        return;
    }
    while (s->from[n])
        n++;
    if (low)
        x_rm(e, 32, X_LEA, RCX, RAX, low);
    else
        x_rr(e, 32, X_MOV_LOAD, RCX, RAX);
    x_shift_imm(e, 32, SHIFT_SHR, RCX, PAGE_SHIFT - 5);
    x_alu_imm(e, 32, ALU_AND, RCX, (int32_t)(j->c->exec->shared->tlb_mask << 5));
    if (high > 1)
        x_rm(e, 64, X_LEA, RDX, RAX, high - 1);
    else
        x_rr(e, 64, X_MOV_LOAD, RDX, RAX);
    x_alu_imm(e, 64, ALU_AND, RDX, -(int32_t)PAGE_SIZE);
    if (write) {
        x_rmx(e, 64, 8u * ALU_CMP + 3u, RDX, R_TLB, RCX, 0, offsetof(struct tlb_entry, write));
        s->from[n++] = x_jcc(e, CC_NE);
    }
    if (read) {
        x_rmx(e, 64, 8u * ALU_CMP + 3u, RDX, R_TLB, RCX, 0, offsetof(struct tlb_entry, read));
        s->from[n++] = x_jcc(e, CC_NE);
    }
    x_rmx(e, 64, X_MOV_LOAD, RCX, R_TLB, RCX, 0, offsetof(struct tlb_entry, addend));
}

/* What look_into_tlb() does, for those whose group was not found. */
static uint8_t *make_find(struct jit *j, bool read, bool write)
{
    struct code *e = &j->code;
    uint8_t *stub = e->at, *not_read = NULL, *not_written = NULL;

    x_rr(e, 32, X_MOV_LOAD, RCX, RAX);
    x_shift_imm(e, 32, SHIFT_SHR, RCX, PAGE_SHIFT - 5);
    x_rm(e, 32, 8u * ALU_AND + 3u, RCX, R_EXEC, (int32_t)offsetof(struct exec, tlb_offsets)); /* TLBs grow, and stubs stay */
    x_alu_imm(e, 64, ALU_AND, RDX, -(int32_t)PAGE_SIZE);
    if (write) {
        x_rmx(e, 64, 8u * ALU_CMP + 3u, RDX, R_TLB, RCX, 0, offsetof(struct tlb_entry, write));
        not_written = x_jcc(e, CC_NE);
    }
    if (read) {
        x_rmx(e, 64, 8u * ALU_CMP + 3u, RDX, R_TLB, RCX, 0, offsetof(struct tlb_entry, read));
        not_read = x_jcc(e, CC_NE);
    }
    x_rmx(e, 64, X_MOV_LOAD, RCX, R_TLB, RCX, 0, offsetof(struct tlb_entry, addend));
    if (write)
        x_here(e, not_written);
    if (read)
        x_here(e, not_read);
    x_ret(e);
    return stub;
}

void access_stubs(struct jit *j)
{
    for (unsigned i = 1; i < 4; i++)
        j->stubs.find[i & 1][i >> 1] = make_find(j, i & 1, i >> 1);
}

/* Look for `bytes` bytes at rax, in the TLB or by what another access near this one has found. */
void access_probe(struct jit *j, struct slow *s, unsigned bytes, bool write, bool read)
{
    struct code *e = &j->code;
    struct near_group g;
    enum near_role role = j->compact || s->from[0] ? NEAR_NONE : near_role(j, &g);
    if (role == NEAR_NONE) {
        look_into_tlb(j, s, 0, (int32_t)bytes, write, read);
        return;
    }
    s->near = (uint8_t)role;
    s->near_place = g.place;
    s->near_bytes = (uint8_t)bytes;
    s->near_read = read;
    s->near_write = write;
    if (role == NEAR_LEADS) {
        look_into_tlb(j, s, g.low, g.high, g.write, g.read);
        x_store(e, 64, R_EXEC, place_disp(g.place), RCX);
    } else {
        x_load(e, 64, RCX, R_EXEC, place_disp(g.place));
        x_test(e, 64, RCX, RCX);
        s->from[0] = x_jcc(e, CC_E);
    }
    s->found = e->at;
}

/* Load `bits` at rax + rcx + disp, extended. */
static void emit_load(struct jit *j, unsigned to, unsigned bits, enum extend extend, int32_t disp)
{
    struct code *e = &j->code;
    unsigned width = extend == EXTEND_SIGN_64 || bits == 64 ? 64 : 32;
    unsigned op = X_MOV_LOAD;

    if (bits == 8)
        op = extend == EXTEND_ZERO ? X_MOVZX8 : X_MOVSX8;
    else if (bits == 16)
        op = extend == EXTEND_ZERO ? X_MOVZX16 : X_MOVSX16;
    else if (bits == 32 && extend == EXTEND_SIGN_64)
        op = X_MOVSXD;
    x_rmx(e, width, op, to, RAX, RCX, 0, disp);
}

static struct place place_of(const struct uop *u, unsigned bits, enum address_form form)
{
    bool indexed = form == ADDRESS_XW || form == ADDRESS_XX;

    return (struct place){.form = form, .bits = bits, .a = u->a, .b = u->b, .indexed = indexed, .scale = u->aux, .imm = u->imm};
}

/* The register for the place of what is loaded and will be stored by the same instruction, which ends no block. */
static unsigned place_for_store(struct jit *j, const struct uop *u, unsigned bits, enum address_form form)
{
    const struct block *b = j->block;
    struct place p = place_of(u, bits, form);
    unsigned at = (unsigned)(u - b->uops), i = 0;

    while (i < b->steps && b->insns[i].first_uop <= at)
        i++;
    p.end = i < b->steps ? b->insns[i].first_uop : b->nuops;
    return place_def(j, &p);
}

static bool is_temporary(const struct jit *j, unsigned offset)
{
    const struct frontend *fe = j->c->fe;

    return offset >= fe->temporaries && offset < fe->temporaries + fe->temporaries_len;
}

static void load(struct jit *j, const struct uop *u, unsigned bits, unsigned to_bits, enum extend extend,
                 enum address_form form, bool rw)
{
    unsigned home = home_of(j, is_64(form)), to = RAX, place = 0;
    struct slow *s;

    if (to_bits < 32 && is_temporary(j, u->d))
        to_bits = home; /* nobody reads its bits above */
    emit_address(j, u, form);
    if (to_bits >= 32 && !(pops(form) && u->a == u->d))
        to = operand_reserve(j, u->d, to_bits);
    if (rw)
        place = place_for_store(j, u, bits, form);
    s = slow_path(j, SLOW_LOAD);
    s->place = (uint8_t)place;
    s->bits = (uint8_t)bits;
    s->extend = (uint8_t)extend;
    s->rw = rw;
    s->reg[0] = (uint8_t)to;
    access_probe(j, s, bits / 8, rw, true);
    if (pops(form)) {
        unsigned width = is_64(form) ? 64 : 32, base;

        emit_load(j, to, bits, extend, 0);
        s->back = j->code.at;
        base = operand_use(j, u->a, width, home);
        x_rm(&j->code, width, X_LEA, operand_def(j, u->a, width), base, (int32_t)u->imm);
        if (to == RAX) /* the base is the destination, which wins */
            operand_put(j, u->d, width, home, RAX);
        else
            operand_commit(j, u->d, to_bits, to);
        return;
    }
    if (place)
        x_rmx(&j->code, 64, X_LEA, place, RAX, RCX, 0, 0);
    emit_load(j, to, bits, extend, 0);
    s->back = j->code.at;
    if (to_bits >= 32)
        operand_commit(j, u->d, to_bits, to);
    else
        operand_put(j, u->d, to_bits, home, RAX);
}

/* The operand d, or the immediate x, goes to [at], with RAX for that to [rax + rcx]. Destroys rdx. */
static void store_value(struct jit *j, const struct uop *u, unsigned bits, unsigned home, bool immediate, unsigned at)
{
    struct code *e = &j->code;
    unsigned op = ALU8(bits, immediate ? 0xc7u : X_MOV_STORE), from = immediate ? 0 : RDX;

    if (!immediate && bits >= 32)
        from = operand_use(j, u->d, bits, home);
    else if (!immediate)
        operand_get(j, RDX, u->d, bits, home);
    if (at == RAX)
        x_rmx(e, bits, op, from, RAX, RCX, 0, 0);
    else
        x_rm(e, bits, op, from, at, 0);
    if (immediate)
        x_imm(e, bits, u->aux);
}

/* Of d, or of the immediate x. */
static void store(struct jit *j, const struct uop *u, unsigned bits, enum address_form form, bool immediate)
{
    struct code *e = &j->code;
    unsigned home = home_of(j, is_64(form)), width = is_64(form) ? 64 : 32;
    struct address address;
    struct place p;
    struct slow *s;
    unsigned at;

    p = place_of(u, bits, form);
    at = place_take(j, &p);
    address = address_of(j, u, form);
    if (!at)
        make_address(j, &address);
    if (!immediate) /* after the address, which may be of bytes of its register */
        operand_hold(j, u->d, bits, home);
    s = slow_path(j, SLOW_STORE);
    if (at || pushes(form))
        s->address = address;
    s->pushes = pushes(form);
    s->bits = (uint8_t)bits;
    s->immediate = immediate;
    s->value = u->aux;
    if (at) {
        x_test(e, 64, at, at);
        s->from[0] = x_jcc(e, CC_E);
        store_value(j, u, bits, home, immediate, at);
    } else {
        access_probe(j, s, bits / 8, true, false);
        store_value(j, u, bits, home, immediate, RAX);
    }
    s->back = e->at;
    if (pushes(form)) /* to the address, which rax is */
        operand_put(j, u->a, width, home, RAX);
}

/* One value of 128 bits rather than two? */
static bool is_whole(const struct uop *u)
{
    return u->op == UOP_LDV128_X || u->op == UOP_LDXV128_X || u->op == UOP_ST128_X || u->op == UOP_STX128_X;
}

/* Two values to d and `second`, the offset of an operand. */
static void load_pair(struct jit *j, const struct uop *u, unsigned bits, enum extend extend, enum address_form form,
                      unsigned second)
{
    unsigned to[2];
    struct slow *s;

    emit_address(j, u, form);
    to[0] = operand_reserve(j, u->d, 64);
    to[1] = operand_reserve(j, second, 64);
    s = slow_path(j, SLOW_LOAD_PAIR);
    s->bits = (uint8_t)bits;
    s->whole = is_whole(u);
    s->extend = (uint8_t)extend;
    s->reg[0] = (uint8_t)to[0];
    s->reg[1] = (uint8_t)to[1];
    access_probe(j, s, bits / 4, false, true);
    emit_load(j, to[0], bits, extend, 0);
    emit_load(j, to[1], bits, extend, (int32_t)bits / 8);
    s->back = j->code.at;
    operand_commit(j, u->d, 64, to[0]);
    operand_commit(j, second, 64, to[1]);
}

static void store_pair(struct jit *j, const struct uop *u, unsigned bits, enum address_form form, unsigned second)
{
    struct code *e = &j->code;
    unsigned from[2];
    struct slow *s;

    from[0] = operand_use(j, u->d, bits, 64);
    from[1] = operand_use(j, second, bits, 64);
    emit_address(j, u, form);
    s = slow_path(j, SLOW_STORE_PAIR);
    s->bits = (uint8_t)bits;
    s->whole = is_whole(u);
    s->reg[0] = (uint8_t)from[0];
    s->reg[1] = (uint8_t)from[1];
    access_probe(j, s, bits / 4, true, false);
    x_rmx(e, bits, X_MOV_STORE, from[0], RAX, RCX, 0, 0);
    x_rmx(e, bits, X_MOV_STORE, from[1], RAX, RCX, 0, (int32_t)bits / 8);
    s->back = e->at;
}

/* ---- 16 bytes, or two operands of 16 bytes; else by the micro-op's function ---- */

/* The parts of an access of 16 bytes, or two times 16. A load's vectors get their registers before it: should it be
 * done out of line, they are loaded again. */
static void vector_access(struct jit *j, const struct uop *u, enum address_form form, bool load, bool pair)
{
    struct code *e = &j->code;
    unsigned reg[2];
    struct slow *s;

    if (pair && u->d < u->b + 16u && u->b < u->d + 16u && (load || u->d != u->b)) {
        emit_generic(j, u);
        return;
    }
    emit_address(j, u, form);
    reg[0] = load ? vector_reserve(j, u->d) : vector_use(j, u->d);
    reg[1] = !pair ? 0 : load ? vector_reserve(j, u->b) : vector_use(j, u->b);
    s = slow_path(j, SLOW_GENERIC);
    access_probe(j, s, pair ? 32 : 16, !load, load);
    for (unsigned n = 0; n < (pair ? 2 : 1); n++)
        x_sse_rmx(e, 0, load ? X_MOVUPS_LOAD : X_MOVUPS_STORE, reg[n], RAX, RCX, 16 * (int32_t)n);
    s->back = e->at;
    if (load)
        vector_def(j, u->d);
    if (load && pair)
        vector_def(j, u->b);
}

/* ---- atomics: what is not served in line is done by the micro-op's function ---- */

/* Store the operand b at rax + rcx. Destroys rdx. */
static void store_b(struct jit *j, const struct uop *u, unsigned bits)
{
    operand_get(j, RDX, u->b, bits, 64);
    x_rmx(&j->code, bits, ALU8(bits, X_MOV_STORE), RDX, RAX, RCX, 0, 0);
}

static void compare_and_swap(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;
    int32_t d = state_disp(u->d);
    struct slow *s;
    unsigned a, b;
    uint8_t *other;

    operands_release(j, u->d, 8);
    a = operand_use(j, u->a, 64, 64);
    b = operand_use(j, u->b, bits, 64);
    s = slow_path(j, SLOW_GENERIC);
    x_rr(e, 64, X_MOV_LOAD, RAX, a);
    access_probe(j, s, bits / 8, true, true);
    x_rmx(e, bits, X_MOV_LOAD, RDX, RAX, RCX, 0, 0);
    x_rm(e, bits, 8u * ALU_CMP + 3u, RDX, R_STATE, d);
    other = x_jcc(e, CC_NE);
    x_rmx(e, bits, X_MOV_STORE, b, RAX, RCX, 0, 0);
    x_here(e, other);
    x_store(e, 64, R_STATE, d, RDX);
    s->back = e->at;
    operands_discard(j, u->d, 8);
}

static void store_conditional(struct jit *j, const struct uop *u, unsigned bits)
{
    struct code *e = &j->code;
    int32_t d = state_disp(u->d), monitor = state_disp(u->imm);
    struct slow *s;
    unsigned a;

    operands_release(j, u->d, 8);
    operands_release(j, u->imm, 16);
    operands_release(j, u->aux, 4);
    a = operand_use(j, u->a, 64, 64);
    operand_hold(j, u->b, bits, 64);
    s = slow_path(j, SLOW_GENERIC);
    x_rm(e, 64, 8u * ALU_CMP + 3u, a, R_STATE, monitor);
    leave_if(j, s, CC_NE);
    x_rm(e, 32, 0x83, ALU_CMP, R_STATE, state_disp(u->aux));
    code_8(e, bits / 8);
    leave_if(j, s, CC_NE);
    x_rr(e, 64, X_MOV_LOAD, RAX, a);
    access_probe(j, s, bits / 8, true, true);
    x_rmx(e, bits, ALU8(bits, X_MOV_LOAD), RDX, RAX, RCX, 0, 0);
    x_rm(e, bits, ALU8(bits, 8u * ALU_CMP + 3u), RDX, R_STATE, monitor + 8);
    leave_if(j, s, CC_NE);
    store_b(j, u, bits);
    x_store_imm(e, 64, R_STATE, monitor, UINT32_MAX);
    x_store_imm(e, 64, R_STATE, d, 0);
    s->back = e->at;
    operands_discard(j, u->d, 8);
    operands_discard(j, u->imm, 8);
}

/* a += imm, after a pair was loaded from a or stored to a + imm. */
static void write_back(struct jit *j, const struct uop *u)
{
    x_rm(&j->code, 64, X_LEA, RCX, operand_use(j, u->a, 64, 64), (int32_t)u->imm);
    operand_put(j, u->a, 64, 64, RCX);
}

/* LIMIT32: a helper is called if a + d > b. CHECK32, CHECK64: if a & d. CANON64: if bits 47 to 63 of a differ. The helper changes
 * nothing unless it faults. */
static void check(struct jit *j, const struct uop *u)
{
    struct code *e = &j->code;
    struct slow *s;

    if (u->op == UOP_CANON64) {
        unsigned a = operand_use(j, u->a, 64, 64);

        s = slow_path(j, SLOW_HELPER);
        x_mov(e, 64, RAX, a);
        x_shift_imm(e, 64, SHIFT_SAR, RAX, 47); /* 0 or -1 */
        x_alu_imm(e, 32, ALU_ADD, RAX, 1);
        x_alu_imm(e, 32, ALU_CMP, RAX, 1);
        s->from[0] = x_jcc(e, CC_A);
    } else if (u->op != UOP_LIMIT32) {
        unsigned bits = u->op == UOP_CHECK64 ? 64 : 32, a = operand_use(j, u->a, bits, home_of(j, bits == 64));

        s = slow_path(j, SLOW_HELPER);
        x_test_imm(e, 32, a, u->d);
        s->from[0] = x_jcc(e, CC_NE);
    } else {
        unsigned a = operand_use(j, u->a, 32, 32), b = operand_use(j, u->b, 32, 32);

        s = slow_path(j, SLOW_HELPER);
        x_mov(e, 32, RCX, b);
        x_mov(e, 32, RAX, a);
        if (u->d)
            x_alu_imm(e, 64, ALU_ADD, RAX, u->d);
        x_alu(e, 64, ALU_CMP, RAX, RCX);
        s->from[0] = x_jcc(e, CC_A);
    }
    s->back = e->at;
}

bool access_is_near(const struct uop *u, struct near_access *access)
{
    const unsigned attributes = uop_infos[u->op].attributes;

    *access = (struct near_access){.bits = 64, .imm = (int32_t)u->imm, .read = attributes & UOP_LOAD, .write = attributes & UOP_STORE,
                                   .loads = attributes & UOP_LOAD};
    switch (u->op) {
#define NEAR(name, width, n) case UOP_##name: access->bits = (width); access->bytes = (n) / 8; return true;
#define SIZED(n) \
    NEAR(LD##n##_W, 32, n) NEAR(ST##n##_W, 32, n) NEAR(ST##n##_X, 64, n) NEAR(LDV##n##_X, 64, n) \
    case UOP_LDRW##n##_W: access->bits = 32; access->bytes = (n) / 8; access->write = true; return true;
    SIZED(8) SIZED(16) SIZED(32) SIZED(64)
#undef SIZED
    NEAR(LDZ8_32_W, 32, 8) NEAR(LDZ16_32_W, 32, 16) NEAR(LDS8_32_W, 32, 8) NEAR(LDS16_32_W, 32, 16)
    NEAR(STI8_W, 32, 8) NEAR(STI16_W, 32, 16) NEAR(STI32_W, 32, 32)
    NEAR(LD8_X, 64, 8) NEAR(LD16_X, 64, 16) NEAR(LDZ8_X, 64, 8) NEAR(LDZ16_X, 64, 16) NEAR(LDZ32_X, 64, 32) NEAR(LD64_X, 64, 64)
    NEAR(LDS8_64_X, 64, 8) NEAR(LDS16_64_X, 64, 16) NEAR(LDS32_64_X, 64, 32) NEAR(LDS8_32Z_X, 64, 8) NEAR(LDS16_32Z_X, 64, 16)
    NEAR(STI8_X, 64, 8) NEAR(STI16_X, 64, 16) NEAR(STI32_X, 64, 32) NEAR(STI64_X, 64, 64)
    NEAR(LDV128_X, 64, 128) NEAR(ST128_X, 64, 128) NEAR(LD128_W, 32, 128) NEAR(ST128_W, 32, 128)
    NEAR(LDU128_X, 64, 128) NEAR(STU128_X, 64, 128) NEAR(STP128_X, 64, 256) NEAR(STP64_X, 64, 128) NEAR(STP32_X, 64, 64)
#undef NEAR
#define RW(name, n) case UOP_##name: access->bytes = (n) / 8; access->write = true; return true;
    RW(LDRW8_X, 8) RW(LDRW16_X, 16) RW(LDRWZ32_X, 32) RW(LDRW64_X, 64)
#undef RW
#define PAIR(name, n) case UOP_##name: access->bytes = (n) / 8; access->pair = true; return true;
    PAIR(LDP64_X, 128) PAIR(LDP32Z_X, 64) PAIR(LDPS32_X, 64) PAIR(LDP128_X, 256)
#undef PAIR
    case UOP_ST32_PRE_W:
    case UOP_STI32_PRE_W:
    case UOP_ST64_PRE_X:
    case UOP_STI64_PRE_X:
        access->bits = u->op == UOP_ST32_PRE_W || u->op == UOP_STI32_PRE_W ? 32 : 64;
        access->bytes = access->bits / 8;
        access->moves = access->imm = -access->imm;
        return true;
    case UOP_LD32_POST_W:
    case UOP_LD64_POST_X:
        access->bits = u->op == UOP_LD32_POST_W ? 32 : 64;
        access->bytes = access->bits / 8;
        access->moves = access->imm;
        access->imm = 0;
        return true;
    case UOP_STP64_PRE_X:
        access->bytes = 16;
        access->moves = access->imm;
        return true;
    case UOP_LDP64_POST_X:
        access->bytes = 16;
        access->pair = true;
        access->moves = access->imm;
        access->imm = 0;
        return true;
    default:
        return false;
    }
}

bool emit_access(struct jit *j, const struct uop *u)
{
    switch (u->op) {
#define MEMORY(n) \
    case UOP_LD##n##_W: load(j, u, n, n, EXTEND_ZERO, ADDRESS_W, false); return true; \
    case UOP_LDX##n##_W: load(j, u, n, n, EXTEND_ZERO, ADDRESS_XW, false); return true; \
    case UOP_LDRW##n##_W: load(j, u, n, n, EXTEND_ZERO, ADDRESS_W, true); return true; \
    case UOP_LDRWX##n##_W: load(j, u, n, n, EXTEND_ZERO, ADDRESS_XW, true); return true; \
    case UOP_ST##n##_W: store(j, u, n, ADDRESS_W, false); return true; \
    case UOP_STX##n##_W: store(j, u, n, ADDRESS_XW, false); return true; \
    case UOP_ST##n##_X: store(j, u, n, ADDRESS_X, false); return true; \
    case UOP_STX##n##_X: store(j, u, n, ADDRESS_XX, false); return true; \
    case UOP_LDV##n##_X: \
    case UOP_LDXV##n##_X: \
        load(j, u, n, 64, EXTEND_ZERO, u->op == UOP_LDV##n##_X ? ADDRESS_X : ADDRESS_XX, false); \
        operand_def_const(j, u->d + 8u, 64, 0); \
        return true;
    MEMORY(8)
    MEMORY(16)
    MEMORY(32)
    MEMORY(64)
#undef MEMORY
    case UOP_LDZ8_32_W: load(j, u, 8, 32, EXTEND_ZERO, ADDRESS_W, false); return true;
    case UOP_LDZ16_32_W: load(j, u, 16, 32, EXTEND_ZERO, ADDRESS_W, false); return true;
    case UOP_LDS8_32_W: load(j, u, 8, 32, EXTEND_SIGN_32, ADDRESS_W, false); return true;
    case UOP_LDS16_32_W: load(j, u, 16, 32, EXTEND_SIGN_32, ADDRESS_W, false); return true;
    case UOP_LDXZ8_32_W: load(j, u, 8, 32, EXTEND_ZERO, ADDRESS_XW, false); return true;
    case UOP_LDXZ16_32_W: load(j, u, 16, 32, EXTEND_ZERO, ADDRESS_XW, false); return true;
    case UOP_LDXS8_32_W: load(j, u, 8, 32, EXTEND_SIGN_32, ADDRESS_XW, false); return true;
    case UOP_LDXS16_32_W: load(j, u, 16, 32, EXTEND_SIGN_32, ADDRESS_XW, false); return true;
    case UOP_STI8_W: store(j, u, 8, ADDRESS_W, true); return true;
    case UOP_STI16_W: store(j, u, 16, ADDRESS_W, true); return true;
    case UOP_STI32_W: store(j, u, 32, ADDRESS_W, true); return true;
    case UOP_ST32_PRE_W: store(j, u, 32, ADDRESS_PRE_W, false); return true;
    case UOP_STI32_PRE_W: store(j, u, 32, ADDRESS_PRE_W, true); return true;
    case UOP_LD32_POST_W: load(j, u, 32, 32, EXTEND_ZERO, ADDRESS_POST_W, false); return true;
#define PART(n) \
    case UOP_LD##n##_X: load(j, u, n, n, EXTEND_ZERO, ADDRESS_X, false); return true; \
    case UOP_LDX##n##_X: load(j, u, n, n, EXTEND_ZERO, ADDRESS_XX, false); return true; \
    case UOP_LDRW##n##_X: load(j, u, n, n, EXTEND_ZERO, ADDRESS_X, true); return true; \
    case UOP_LDRWX##n##_X: load(j, u, n, n, EXTEND_ZERO, ADDRESS_XX, true); return true;
    PART(8)
    PART(16)
#undef PART
    case UOP_LDRWZ32_X: load(j, u, 32, 64, EXTEND_ZERO, ADDRESS_X, true); return true;
    case UOP_LDRWXZ32_X: load(j, u, 32, 64, EXTEND_ZERO, ADDRESS_XX, true); return true;
    case UOP_LDRW64_X: load(j, u, 64, 64, EXTEND_ZERO, ADDRESS_X, true); return true;
    case UOP_LDRWX64_X: load(j, u, 64, 64, EXTEND_ZERO, ADDRESS_XX, true); return true;
    case UOP_STI8_X: store(j, u, 8, ADDRESS_X, true); return true;
    case UOP_STI16_X: store(j, u, 16, ADDRESS_X, true); return true;
    case UOP_STI32_X: store(j, u, 32, ADDRESS_X, true); return true;
    case UOP_STI64_X: store(j, u, 64, ADDRESS_X, true); return true;
    case UOP_ST64_PRE_X: store(j, u, 64, ADDRESS_PRE_X, false); return true;
    case UOP_STI64_PRE_X: store(j, u, 64, ADDRESS_PRE_X, true); return true;
    case UOP_LD64_POST_X: load(j, u, 64, 64, EXTEND_ZERO, ADDRESS_POST_X, false); return true;
#define LOAD_X(name, n, extend) \
    case UOP_LD##name##_X: load(j, u, n, 64, extend, ADDRESS_X, false); return true; \
    case UOP_LDX##name##_X: load(j, u, n, 64, extend, ADDRESS_XX, false); return true;
    LOAD_X(Z8, 8, EXTEND_ZERO)
    LOAD_X(Z16, 16, EXTEND_ZERO)
    LOAD_X(Z32, 32, EXTEND_ZERO)
    LOAD_X(64, 64, EXTEND_ZERO)
    LOAD_X(S8_64, 8, EXTEND_SIGN_64)
    LOAD_X(S16_64, 16, EXTEND_SIGN_64)
    LOAD_X(S32_64, 32, EXTEND_SIGN_64)
    LOAD_X(S8_32Z, 8, EXTEND_SIGN_32)
    LOAD_X(S16_32Z, 16, EXTEND_SIGN_32)
#undef LOAD_X
    case UOP_LDP64_X: load_pair(j, u, 64, EXTEND_ZERO, ADDRESS_X, u->b); return true;
    case UOP_LDP32Z_X: load_pair(j, u, 32, EXTEND_ZERO, ADDRESS_X, u->b); return true;
    case UOP_LDPS32_X: load_pair(j, u, 32, EXTEND_SIGN_64, ADDRESS_X, u->b); return true;
    case UOP_STP64_X: store_pair(j, u, 64, ADDRESS_X, u->b); return true;
    case UOP_STP32_X: store_pair(j, u, 32, ADDRESS_X, u->b); return true;
    case UOP_LDP64_POST_X:
        if (u->a == u->d || u->a == u->b)
            return false;
        load_pair(j, u, 64, EXTEND_ZERO, ADDRESS_POST_X, u->b);
        write_back(j, u);
        return true;
    case UOP_STP64_PRE_X:
        store_pair(j, u, 64, ADDRESS_X, u->b);
        write_back(j, u);
        return true;
    case UOP_LDV128_X: vector_access(j, u, ADDRESS_X, true, false); return true;
    case UOP_LDXV128_X: vector_access(j, u, ADDRESS_XX, true, false); return true;
    case UOP_ST128_X: vector_access(j, u, ADDRESS_X, false, false); return true;
    case UOP_STX128_X: vector_access(j, u, ADDRESS_XX, false, false); return true;
    case UOP_LDP128_X: vector_access(j, u, ADDRESS_X, true, true); return true;
    case UOP_STP128_X: vector_access(j, u, ADDRESS_X, false, true); return true;
    case UOP_LDU128_X: vector_access(j, u, ADDRESS_X, true, false); return true;
    case UOP_STU128_X: vector_access(j, u, ADDRESS_X, false, false); return true;
    case UOP_LDPU128_X: vector_access(j, u, ADDRESS_X, true, true); return true;
    case UOP_STPU128_X: vector_access(j, u, ADDRESS_X, false, true); return true;
    case UOP_LDP128_W: vector_access(j, u, ADDRESS_W, true, true); return true;
    case UOP_STP128_W: vector_access(j, u, ADDRESS_W, false, true); return true;
    case UOP_LD128_W: vector_access(j, u, ADDRESS_W, true, false); return true;
    case UOP_LDX128_W: vector_access(j, u, ADDRESS_XW, true, false); return true;
    case UOP_ST128_W: vector_access(j, u, ADDRESS_W, false, false); return true;
    case UOP_STX128_W: vector_access(j, u, ADDRESS_XW, false, false); return true;
    case UOP_CAS32_X: compare_and_swap(j, u, 32); return true;
    case UOP_CAS64_X: compare_and_swap(j, u, 64); return true;
    case UOP_STXC8_X: store_conditional(j, u, 8); return true;
    case UOP_STXC16_X: store_conditional(j, u, 16); return true;
    case UOP_STXC32_X: store_conditional(j, u, 32); return true;
    case UOP_STXC64_X: store_conditional(j, u, 64); return true;
    case UOP_CHECK32:
    case UOP_CHECK64:
    case UOP_CANON64:
    case UOP_LIMIT32:
        check(j, u);
        return true;
    default:
        return false;
    }
}
