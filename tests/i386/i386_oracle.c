/* See i386_oracle.h. */
#include "i386_oracle.h"

#include "i386/insn.h"

#include <string.h>

enum source { BY_JUMP, BY_CALL, BY_IRET, BY_INT };
enum raised { SOFTWARE, OTHERWISE };

enum {
    T_TSS16 = 1, T_LDT = 2, T_BUSY16 = 3, T_CALL16 = 4, T_TASK = 5, T_TSS32 = 9, T_BUSY32 = 11, T_CALL32 = 12,
    T_INT16 = 6, T_TRAP16 = 7, T_INT32 = 14, T_TRAP32 = 15,
};

/* ---- faults ---- */

static _Noreturn void fault(struct oracle *o, unsigned vector, uint32_t error)
{
    o->vector = vector;
    o->error = error | o->ext;
    longjmp(o->caught, 1);
}

static _Noreturn void gp(struct oracle *o, uint32_t selector) { fault(o, EXC_GP, selector & 0xfffc); }
static _Noreturn void np(struct oracle *o, uint32_t selector) { fault(o, EXC_NP, selector & 0xfffc); }
static _Noreturn void ts(struct oracle *o, uint32_t selector) { fault(o, EXC_TS, selector & 0xfffc); }
static _Noreturn void ss(struct oracle *o, uint32_t selector) { fault(o, EXC_SS, selector & 0xfffc); }
static _Noreturn void astray(struct oracle *o)
{
    o->astray = true;
    longjmp(o->caught, 1);
}

/* ---- memory ---- */

enum reach { READS = 0, WRITES = 2, BY_USER = 4, FETCHES = 16 }; /* as in a page fault's error code */

/* Does that page fault for such an access? Its error code, or -1. */
static int page_error(const struct oracle *o, uint64_t at, unsigned how)
{
    const struct i386_state *s = &o->now.s;
    unsigned wrong = o->page[s->cr3 >> 12 & 1][at >> 12];

    if (!(s->cr0 & CR0_PG))
        return -1;
    if (!(s->efer & EFER_NXE))
        how &= ~FETCHES;
    if (wrong & ORACLE_ABSENT)
        return (int)how;
    if ((wrong & ORACLE_SYSTEM && how & BY_USER) || (wrong & ORACLE_NO_CODE && how & FETCHES) ||
        (wrong & ORACLE_READONLY && how & WRITES && (how & BY_USER || s->cr0 & CR0_WP)))
        return (int)how | 1;
    return -1;
}

static _Noreturn void page_fault(struct oracle *o, uint64_t at, unsigned error)
{
    if (o->either)
        astray(o);
    o->vector = EXC_PF;
    o->error = error;
    o->address = at;
    o->rough = o->roughly;
    o->seen |= SEEN_PAGE_FAULT | (error & WRITES ? SEEN_PAGE_WRITE : 0) | (error & BY_USER ? SEEN_PAGE_USER : 0);
    longjmp(o->caught, 1);
}

/* Are those bytes all there? Else a page fault. */
static void touch(struct oracle *o, uint64_t at, unsigned size, unsigned how)
{
    uint64_t last = at + size - 1;
    int error;

    if (at > ORACLE_BYTES - size)
        astray(o);
    error = page_error(o, at, how);
    if (error >= 0)
        page_fault(o, at, (unsigned)error);
    error = page_error(o, last, how);
    if (error >= 0)
        page_fault(o, last & ~UINT64_C(0xfff), (unsigned)error);
}

static uint64_t rd_as(struct oracle *o, uint64_t at, unsigned size, unsigned user)
{
    uint64_t v = 0;

    touch(o, at, size, READS | user);
    memcpy(&v, o->now.mem + at, size);
    return v;
}

static void wr_as(struct oracle *o, uint64_t at, unsigned size, uint64_t v, unsigned user)
{
    touch(o, at, size, WRITES | user);
    memcpy(o->now.mem + at, &v, size);
}

static uint64_t rd(struct oracle *o, uint64_t at, unsigned size) { return rd_as(o, at, size, 0); }
static void wr(struct oracle *o, uint64_t at, unsigned size, uint64_t v) { wr_as(o, at, size, v, 0); }

/* ---- modes ---- */

static bool lma(const struct oracle *o) { return o->now.s.efer & (1 << 10); }
static bool mode64(const struct oracle *o) { return lma(o) && o->now.s.seg[SEG_CS].attr & SEG_ATTR_L; }
static bool protected_mode(const struct oracle *o) { return o->now.s.cr0 & CR0_PE && !(o->now.efl & EFLAGS_VM); }
static unsigned cpl(const struct oracle *o) { return o->now.s.cpl; }
static bool canonical(uint64_t a) { return (uint64_t)((int64_t)(a << 16) >> 16) == a; }

/* ---- descriptors ---- */

static bool is_null(uint16_t selector) { return !(selector & 0xfffc); }
static unsigned d_type(uint64_t d) { return d >> 40 & 0x1f; }
static unsigned d_dpl(uint64_t d) { return d >> 45 & 3; }
static bool d_present(uint64_t d) { return d >> 47 & 1; }
static bool is_code(uint64_t d) { return (d_type(d) & 0x18) == 0x18; }
static bool is_conforming(uint64_t d) { return d_type(d) & 4; }
static bool is_writable(uint64_t d) { return (d_type(d) & 0x1a) == 0x12; }
static bool d_l(uint64_t d) { return d >> 53 & 1; }
static bool d_d(uint64_t d) { return d >> 54 & 1; }
static uint32_t d_base(uint64_t d) { return (uint32_t)((d >> 16 & 0xffffff) | (d >> 32 & 0xff000000)); }

static uint32_t d_limit(uint64_t d)
{
    uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

    return d >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

static struct i386_segment cached(uint16_t selector, uint64_t d)
{
    return (struct i386_segment){.selector = selector, .base = d_base(d), .limit = d_limit(d), .valid = 1,
                                 .attr = (uint16_t)((d >> 40 & 0xff) | (d >> 52 & 0xf) << 12)};
}

/* Where the descriptor is, or false: outside the table. */
static bool find(struct oracle *o, uint16_t selector, unsigned bytes, uint64_t *at)
{
    const struct i386_state *s = &o->now.s;
    uint64_t base = s->gdtr.base, limit = s->gdtr.limit;

    if (selector & 4) {
        if (!s->seg[SEG_LDTR].valid)
            return false;
        base = s->seg[SEG_LDTR].base;
        limit = s->seg[SEG_LDTR].limit;
    }
    *at = base + (selector & 0xfff8);
    return (selector & 0xfff8u) + bytes - 1 <= limit;
}

static bool fetch(struct oracle *o, uint16_t selector, uint64_t *d)
{
    uint64_t at;

    if (!find(o, selector, 8, &at))
        return false;
    *d = rd(o, at, 8);
    return true;
}

/* Load a segment register; the descriptor becomes accessed. */
static void load(struct oracle *o, unsigned seg, uint16_t selector, uint64_t d)
{
    uint64_t at;

    o->roughly = true; /* of CS or of SS first */
    if (find(o, selector, 8, &at) && !(rd(o, at + 5, 1) & 1))
        wr(o, at + 5, 1, rd(o, at + 5, 1) | 1);
    o->roughly = false;
    o->now.s.seg[seg] = cached(selector, d | UINT64_C(1) << 40);
}

static void load_null(struct oracle *o, unsigned seg, uint16_t selector)
{
    o->now.s.seg[seg].selector = selector;
    o->now.s.seg[seg].valid = 0;
}

/* ---- stacks ---- */

struct stack {
    struct i386_segment ss;
    uint64_t sp;
    unsigned bits; /* of the pointer that count */
    unsigned user; /* BY_USER: it is one of level 3 */
};

static uint64_t sp_mask(const struct stack *k) { return k->bits == 64 ? UINT64_MAX : k->bits == 32 ? 0xffffffff : 0xffff; }

static unsigned user_of(unsigned level) { return level == 3 ? BY_USER : READS; }

static struct stack stack_now(const struct oracle *o)
{
    const struct i386_segment *sg = &o->now.s.seg[SEG_SS];

    return (struct stack){*sg, o->now.s.gpr[4], mode64(o) ? 64 : sg->attr & SEG_ATTR_DB ? 32 : 16,
                          user_of(cpl(o))};
}

static bool inside(const struct i386_segment *sg, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1, top = sg->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;

    return (sg->attr & 0xc) == 4 ? offset > sg->limit && last <= top : last <= sg->limit;
}

/* Around the end of 4 GiB: as processors like. */
static bool reaches(struct oracle *o, const struct stack *k, uint64_t offset, unsigned size)
{
    if (k->bits == 64)
        return canonical(offset) && canonical(offset + size - 1);
    if (k->ss.limit == 0xffffffff && offset + size - 1 > 0xffffffff)
        astray(o);
    return inside(&k->ss, offset, size);
}

static uint64_t k_linear(const struct stack *k, uint64_t offset)
{
    return k->bits == 64 ? offset : (uint32_t)(k->ss.base + offset);
}

/* Something is found outside: unless one of the items from `sp` on, or a part of one, is not there, which may be found first. */
static bool ends(struct oracle *o, const struct stack *k, uint64_t sp, unsigned items, unsigned size)
{
    for (unsigned n = 0; n < items; n++)
        for (unsigned byte = 0; byte < size; byte += size - 1) {
            uint64_t at = k_linear(k, (sp + (uint64_t)n * size + byte) & sp_mask(k));

            if (at < ORACLE_BYTES && (page_error(o, at, k->user) >= 0 || page_error(o, at, WRITES | k->user) >= 0))
                astray(o);
        }
    return false;
}

/* Is there room for that many items? */
static bool room(struct oracle *o, const struct stack *k, unsigned items, unsigned size)
{
    if (k->bits != 64 && !k->ss.valid)
        astray(o);
    for (unsigned n = 1; n <= items; n++)
        if (!reaches(o, k, (k->sp - (uint64_t)n * size) & sp_mask(k), size))
            return ends(o, k, k->sp - (uint64_t)items * size, items, size);
    return true;
}

/* Are the top items within the stack? */
static bool holds(struct oracle *o, const struct stack *k, unsigned items, unsigned size)
{
    if (k->bits != 64 && !k->ss.valid)
        astray(o);
    for (unsigned n = 0; n < items; n++)
        if (!reaches(o, k, (k->sp + (uint64_t)n * size) & sp_mask(k), size))
            return ends(o, k, k->sp, items, size);
    return true;
}

static void push(struct oracle *o, struct stack *k, unsigned size, uint64_t v)
{
    uint64_t mask = sp_mask(k);

    k->sp = (k->sp & ~mask) | ((k->sp - size) & mask);
    wr_as(o, k_linear(k, k->sp & mask), size, v, k->user);
}

static uint64_t peek(struct oracle *o, const struct stack *k, unsigned n, unsigned size)
{
    return rd_as(o, k_linear(k, (k->sp + (uint64_t)n * size) & sp_mask(k)), size, k->user);
}

static void release(struct stack *k, uint64_t bytes)
{
    uint64_t mask = sp_mask(k);

    k->sp = (k->sp & ~mask) | ((k->sp + bytes) & mask);
}

/* ---- task switches (SDM 3A 8.3) ---- */

static bool available_tss(uint64_t d) { return d_type(d) == T_TSS16 || d_type(d) == T_TSS32; }
static bool busy_tss(uint64_t d) { return d_type(d) == T_BUSY16 || d_type(d) == T_BUSY32; }

static void set_busy(struct oracle *o, uint16_t selector, bool busy)
{
    uint64_t at = o->now.s.gdtr.base + (selector & 0xfff8), v = rd(o, at + 5, 1);

    wr(o, at + 5, 1, busy ? v | 2 : v & ~UINT64_C(2));
}

static void save_task(struct oracle *o, uint32_t eip, uint32_t efl)
{
    struct i386_state *s = &o->now.s;
    uint64_t base = s->seg[SEG_TR].base;

    if (s->seg[SEG_TR].attr & 8) {
        wr(o, base + 0x20, 4, eip);
        wr(o, base + 0x24, 4, efl);
        for (unsigned n = 0; n < 8; n++)
            wr(o, base + 0x28 + 4 * n, 4, s->gpr[n]);
        for (unsigned n = 0; n < 6; n++)
            wr(o, base + 0x48 + 4 * n, 2, s->seg[n].selector);
        return;
    }
    wr(o, base + 0x0e, 2, eip);
    wr(o, base + 0x10, 2, efl);
    for (unsigned n = 0; n < 8; n++)
        wr(o, base + 0x12 + 2 * n, 2, s->gpr[n]);
    for (unsigned n = 0; n < 4; n++)
        wr(o, base + 0x22 + 2 * n, 2, s->seg[n].selector);
}

/* The new task's image; returns the selector of its LDT. */
static uint16_t load_image(struct oracle *o, bool big)
{
    struct i386_state *s = &o->now.s;
    uint64_t base = s->seg[SEG_TR].base;
    uint16_t ldt;

    for (unsigned n = 0; n < 6; n++)
        load_null(o, n, big ? (uint16_t)rd(o, base + 0x48 + 4 * n, 2) : n < 4 ? (uint16_t)rd(o, base + 0x22 + 2 * n, 2) : 0);
    if (!big) {
        s->rip = rd(o, base + 0x0e, 2);
        o->now.efl = (rd(o, base + 0x10, 2) & 0x7fd5) | 2;
        for (unsigned n = 0; n < 8; n++)
            s->gpr[n] = rd(o, base + 0x12 + 2 * n, 2) | 0xffff0000; /* the manual does not say */
        return (uint16_t)rd(o, base + 0x2a, 2);
    }
    s->rip = rd(o, base + 0x20, 4);
    o->now.efl = (rd(o, base + 0x24, 4) & 0x3f7fd5) | 2;
    for (unsigned n = 0; n < 8; n++)
        s->gpr[n] = rd(o, base + 0x28 + 4 * n, 4);
    o->trapped = rd(o, base + 0x64, 2) & 1;
    ldt = (uint16_t)rd(o, base + 0x60, 2);
    if (s->cr0 & CR0_PG) {
        if ((s->cr3 ^ rd(o, base + 0x1c, 4)) & ~UINT64_C(0x1000))
            astray(o); /* the tests have two directories, side by side, both of the identity */
        s->cr3 = rd(o, base + 0x1c, 4);
        o->either = true; /* a TSS must be mapped by both (8.6) */
        touch(o, base, 0x68, READS);
        touch(o, base, 0x68, WRITES);
        o->either = false;
    }
    return ldt;
}

static void load_ldt(struct oracle *o, uint16_t selector)
{
    uint64_t d;

    load_null(o, SEG_LDTR, selector);
    if (is_null(selector))
        return;
    if (selector & 4 || !fetch(o, selector, &d) || d_type(d) != T_LDT || !d_present(d))
        ts(o, selector);
    o->now.s.seg[SEG_LDTR] = cached(selector, d);
}

static void load_task_code(struct oracle *o, uint16_t selector)
{
    uint64_t d;

    if (is_null(selector) || !fetch(o, selector, &d) || !is_code(d))
        ts(o, selector);
    if (is_conforming(d) ? d_dpl(d) > (selector & 3u) : d_dpl(d) != (selector & 3u))
        ts(o, selector);
    if (!d_present(d))
        np(o, selector);
    load(o, SEG_CS, selector, d);
}

static void load_task_stack(struct oracle *o, uint16_t selector)
{
    uint64_t d;

    if (is_null(selector) || !fetch(o, selector, &d) || !is_writable(d))
        ts(o, selector);
    if (d_dpl(d) != cpl(o) || (selector & 3u) != cpl(o))
        ts(o, selector);
    if (!d_present(d))
        ss(o, selector);
    load(o, SEG_SS, selector, d);
}

static void load_task_data(struct oracle *o, unsigned seg, uint16_t selector)
{
    uint64_t d;

    if (is_null(selector))
        return;
    if (!fetch(o, selector, &d) || !(d_type(d) & 0x10) || (is_code(d) && !(d_type(d) & 2)))
        ts(o, selector);
    if (!(is_code(d) && is_conforming(d)) && (d_dpl(d) < cpl(o) || d_dpl(d) < (selector & 3u)))
        ts(o, selector);
    if (!d_present(d))
        np(o, selector);
    load(o, seg, selector, d);
}

static void load_vm86(struct oracle *o)
{
    for (unsigned n = 0; n < 6; n++) {
        uint16_t selector = o->now.s.seg[n].selector;

        o->now.s.seg[n] = (struct i386_segment){.selector = selector, .base = (uint64_t)selector << 4, .limit = 0xffff,
                                                .valid = 1, .attr = 0xf3};
    }
    o->now.s.cpl = 3;
}

/* All that is reached before the switch is made: a page fault there is the old task's (SDM 3A 8.3). */
static void touch_tasks(struct oracle *o, uint16_t selector, uint64_t d, enum source source)
{
    const struct i386_segment *tr = &o->now.s.seg[SEG_TR];
    uint64_t base = d_base(d), at;
    bool big = d_type(d) & 8, old_big = tr->attr & 8;

    o->roughly = o->switching = true;
    touch(o, base + (big ? 0x1c : 0x0e), big ? 0x66 - 0x1c : 0x2c - 0x0e, READS);
    touch(o, tr->base + (old_big ? 0x20 : 0x0e), old_big ? 0x5e - 0x20 : 0x2a - 0x0e, WRITES);
    if (source == BY_CALL || source == BY_INT)
        touch(o, base, 2, WRITES);
    else if (find(o, tr->selector, 8, &at))
        touch(o, at, 8, READS), touch(o, at + 5, 1, WRITES);
    if (source != BY_IRET && find(o, selector, 8, &at))
        touch(o, at + 5, 1, WRITES);
    o->roughly = o->switching = false;
}

/* What becomes of descriptors that a TSS lies in, nobody says. */
static void check_apart(struct oracle *o, uint64_t tss, uint64_t table, uint64_t limit)
{
    if (tss <= table + limit && table <= tss + 0x67)
        astray(o);
}

/* The checks of the descriptor are made, but for its limit. */
static void switch_tasks(struct oracle *o, uint16_t selector, enum source source, uint64_t next)
{
    static const unsigned data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    struct i386_state *s = &o->now.s;
    uint16_t old = s->seg[SEG_TR].selector, ldt;
    uint32_t efl = o->now.efl;
    uint64_t d = 0;
    bool big;

    fetch(o, selector, &d);
    big = d_type(d) & 8;
    if (d_limit(d) < (big ? 0x67 : 0x2b))
        ts(o, selector);
    check_apart(o, d_base(d), s->gdtr.base, s->gdtr.limit);
    check_apart(o, d_base(d), s->idtr.base, s->idtr.limit);
    touch_tasks(o, selector, d, source);
    if (source == BY_IRET)
        efl &= ~EFLAGS_NT;
    save_task(o, (uint32_t)next, efl);
    if (source == BY_JUMP || source == BY_IRET)
        set_busy(o, old, false);
    if (source == BY_CALL || source == BY_INT)
        wr(o, d_base(d), 2, old);
    if (source != BY_IRET)
        set_busy(o, selector, true);
    s->seg[SEG_TR] = cached(selector, d | UINT64_C(2) << 40);
    s->cr0 |= CR0_TS;
    s->dr[7] &= ~UINT64_C(0x155);
    o->switched = true;
    o->seen |= SEEN_TASK | (big ? 0 : SEEN_TASK_16) | (source == BY_IRET ? SEEN_TASK_RETURN : 0);
    ldt = load_image(o, big);
    if (source == BY_CALL || source == BY_INT)
        o->now.efl |= EFLAGS_NT;
    s->cpl = o->now.efl & EFLAGS_VM ? 3 : s->seg[SEG_CS].selector & 3;
    o->half = true;
    load_ldt(o, ldt);
    if (o->now.efl & EFLAGS_VM) {
        load_vm86(o);
        o->seen |= SEEN_TASK_VM86;
    } else {
        load_task_code(o, s->seg[SEG_CS].selector);
        load_task_stack(o, s->seg[SEG_SS].selector);
        for (unsigned n = 0; n < 4; n++)
            load_task_data(o, data[n], s->seg[data[n]].selector);
    }
    o->half = false;
    o->seen |= o->trapped ? SEEN_TRAPPED : 0;
}

static void check_eip(struct oracle *o)
{
    if (!mode64(o) && o->now.s.rip > o->now.s.seg[SEG_CS].limit)
        gp(o, 0);
}

/* The switch to a TSS that is `fit`; what is said of another one. */
static void enter_task(struct oracle *o, uint16_t selector, enum source source, uint64_t next, bool (*fit)(uint64_t d),
                       void (*refuse)(struct oracle *o, uint32_t selector))
{
    uint64_t d = 0;

    if (selector & 4 || is_null(selector) || !fetch(o, selector, &d) || !fit(d))
        refuse(o, selector);
    if (!d_present(d))
        np(o, selector);
    switch_tasks(o, selector, source, next);
    check_eip(o);
}

/* CALL and JMP to a TSS, directly or by a task gate. */
static void to_task(struct oracle *o, uint16_t selector, enum source source, uint64_t next)
{
    enter_task(o, selector, source, next, available_tss, gp);
}

static void return_from_task(struct oracle *o, uint64_t next)
{
    uint16_t selector = (uint16_t)rd(o, o->now.s.seg[SEG_TR].base, 2);

    enter_task(o, selector, BY_IRET, next, busy_tss, ts);
}

/* ---- the stack of an inner level ---- */

static struct stack inner_stack(struct oracle *o, unsigned level, unsigned ist)
{
    const struct i386_segment *tr = &o->now.s.seg[SEG_TR];
    unsigned at = ist ? ist * 8 + 28 : level * 8 + 4;
    struct stack k = {.bits = 64, .user = user_of(level)};
    uint64_t d;
    uint16_t selector;

    if (lma(o)) {
        if (at + 7 > tr->limit)
            ts(o, tr->selector);
        k.sp = rd(o, tr->base + at, 8);
        k.ss = (struct i386_segment){.selector = (uint16_t)level};
        return k;
    }
    if (tr->attr & 8) {
        if (at + 5 > tr->limit)
            ts(o, tr->selector);
        k.sp = rd(o, tr->base + at, 4);
        selector = (uint16_t)rd(o, tr->base + at + 4, 2);
    } else {
        at = level * 4 + 2;
        if (at + 3 > tr->limit)
            ts(o, tr->selector);
        k.sp = rd(o, tr->base + at, 2);
        selector = (uint16_t)rd(o, tr->base + at + 2, 2);
    }
    if (is_null(selector) || !fetch(o, selector, &d) || (selector & 3u) != level || d_dpl(d) != level || !is_writable(d))
        ts(o, selector);
    if (!d_present(d))
        ss(o, selector);
    k.ss = cached(selector, d);
    k.bits = d_d(d) ? 32 : 16;
    return k;
}

static void take_stack(struct oracle *o, const struct stack *k)
{
    uint64_t d;

    o->now.s.gpr[4] = k->sp;
    if (lma(o))
        load_null(o, SEG_SS, k->ss.selector);
    else if (fetch(o, k->ss.selector, &d))
        load(o, SEG_SS, k->ss.selector, d);
}

/* ---- CALL and JMP ---- */

static bool outside(const struct oracle *o, uint64_t d, uint64_t rip)
{
    if (lma(o) && d_l(d))
        return !canonical(rip);
    return rip > d_limit(d);
}

static uint64_t target(const struct oracle *o, const struct oracle_insn *i, uint64_t d)
{
    if (i->kind == ORACLE_CALL && i->size == 8 && !d_l(d) && lma(o))
        return (uint32_t)i->offset;
    return i->size == 2 ? i->offset & 0xffff : i->size == 4 ? (uint32_t)i->offset : i->offset;
}

static void to_code(struct oracle *o, const struct oracle_insn *i, uint64_t d, uint64_t next)
{
    uint16_t selector = i->selector;
    uint16_t old = o->now.s.seg[SEG_CS].selector;
    struct stack k = stack_now(o);

    if (lma(o) && d_l(d) && d_d(d))
        gp(o, selector);
    if (is_conforming(d) ? d_dpl(d) > cpl(o) : (selector & 3u) > cpl(o) || d_dpl(d) != cpl(o))
        gp(o, selector);
    if (!d_present(d))
        np(o, selector);
    if (i->kind == ORACLE_CALL && !room(o, &k, 2, i->size))
        ss(o, 0);
    o->either = outside(o, d, target(o, i, d));
    if (i->kind == ORACLE_CALL) {
        push(o, &k, i->size, old);
        push(o, &k, i->size, next);
        o->now.s.gpr[4] = k.sp;
    }
    if (outside(o, d, target(o, i, d)))
        gp(o, 0);
    o->seen |= SEEN_CODE;
    load(o, SEG_CS, (uint16_t)((selector & ~3u) | cpl(o)), d);
    o->now.s.rip = target(o, i, d);
}

/* What is pushed on the way to an inner level: parameters, too. */
static void call_inward(struct oracle *o, uint16_t selector, uint64_t d, uint64_t rip, unsigned size, unsigned count, uint64_t next)
{
    struct i386_state *s = &o->now.s;
    struct stack old = stack_now(o), k = inner_stack(o, d_dpl(d), 0);
    uint64_t parameter[32];

    if (!room(o, &k, 4 + count, size)) {
        ends(o, &old, old.sp, count, size);
        ss(o, k.ss.selector);
    }
    if (!holds(o, &old, count, size))
        astray(o);
    o->either = outside(o, d, rip);
    for (unsigned n = 0; n < count; n++)
        parameter[n] = peek(o, &old, n, size);
    push(o, &k, size, s->seg[SEG_SS].selector);
    push(o, &k, size, s->gpr[4]);
    for (unsigned n = count; n-- > 0;)
        push(o, &k, size, parameter[n]);
    push(o, &k, size, s->seg[SEG_CS].selector);
    push(o, &k, size, next);
    if (outside(o, d, rip))
        gp(o, 0);
    o->seen |= SEEN_GATE_INWARD | (count ? SEEN_PARAMETERS : 0);
    s->cpl = d_dpl(d);
    take_stack(o, &k);
    load(o, SEG_CS, (uint16_t)((selector & ~3u) | cpl(o)), d);
    s->rip = rip;
}

static void call_level(struct oracle *o, uint16_t selector, uint64_t d, uint64_t rip, unsigned size, uint64_t next)
{
    struct stack k = stack_now(o);

    if (!room(o, &k, 2, size))
        ss(o, 0);
    o->either = outside(o, d, rip);
    push(o, &k, size, o->now.s.seg[SEG_CS].selector);
    push(o, &k, size, next);
    if (outside(o, d, rip))
        gp(o, 0);
    o->seen |= SEEN_GATE_LEVEL;
    o->now.s.gpr[4] = k.sp;
    load(o, SEG_CS, (uint16_t)((selector & ~3u) | cpl(o)), d);
    o->now.s.rip = rip;
}

static void by_gate(struct oracle *o, const struct oracle_insn *i, uint64_t g, uint64_t next)
{
    uint16_t selector = (uint16_t)(g >> 16);
    unsigned size = lma(o) ? 8 : d_type(g) == T_CALL32 ? 4 : 2, count = lma(o) ? 0 : g >> 32 & 0x1f;
    uint64_t rip = (g & 0xffff) | (size > 2 ? g >> 32 & 0xffff0000 : 0), at = 0, d;

    if (d_dpl(g) < cpl(o) || d_dpl(g) < (i->selector & 3u))
        gp(o, i->selector);
    if (!d_present(g))
        np(o, i->selector);
    if (lma(o) && (!find(o, i->selector, 16, &at) || rd(o, at + 12, 4) & 0x1f00))
        gp(o, i->selector);
    if (lma(o))
        rip |= rd(o, at + 8, 4) << 32;
    if (is_null(selector))
        gp(o, 0);
    if (!fetch(o, selector, &d) || !is_code(d) || d_dpl(d) > cpl(o))
        gp(o, selector);
    if (i->kind == ORACLE_JUMP && !is_conforming(d) && d_dpl(d) != cpl(o))
        gp(o, selector);
    if (lma(o) && (!d_l(d) || d_d(d)))
        gp(o, selector);
    if (!d_present(d))
        np(o, selector);
    if (i->kind == ORACLE_JUMP) {
        if (outside(o, d, rip))
            gp(o, 0);
        load(o, SEG_CS, (uint16_t)((selector & ~3u) | cpl(o)), d);
        o->now.s.rip = rip;
    } else if (!is_conforming(d) && d_dpl(d) < cpl(o)) {
        call_inward(o, selector, d, rip, size, count, next);
    } else {
        call_level(o, selector, d, rip, size, next);
    }
}

static void far_real(struct oracle *o, const struct oracle_insn *i, uint64_t next)
{
    struct i386_state *s = &o->now.s;
    struct stack k = stack_now(o);
    uint64_t rip = i->size == 2 ? i->offset & 0xffff : (uint32_t)i->offset;

    if (i->kind == ORACLE_CALL && !room(o, &k, 2, i->size))
        ss(o, 0);
    o->either = rip > s->seg[SEG_CS].limit;
    if (i->kind == ORACLE_CALL) {
        push(o, &k, i->size, s->seg[SEG_CS].selector);
        push(o, &k, i->size, next);
        s->gpr[4] = k.sp;
    }
    if (rip > s->seg[SEG_CS].limit)
        gp(o, 0);
    s->seg[SEG_CS].selector = i->selector;
    s->seg[SEG_CS].base = (uint64_t)i->selector << 4;
    s->rip = rip;
}

static void far_transfer(struct oracle *o, const struct oracle_insn *i, uint64_t next)
{
    enum source source = i->kind == ORACLE_CALL ? BY_CALL : BY_JUMP;
    uint64_t d;

    if (!protected_mode(o)) {
        far_real(o, i, next);
        return;
    }
    if (is_null(i->selector))
        gp(o, 0);
    if (!fetch(o, i->selector, &d))
        gp(o, i->selector);
    if (is_code(d)) {
        to_code(o, i, d, next);
        return;
    }
    if (d_type(d) == T_CALL32 || (d_type(d) == T_CALL16 && !lma(o))) {
        by_gate(o, i, d, next);
        return;
    }
    if (lma(o) || (d_type(d) != T_TASK && !available_tss(d)) || d_dpl(d) < cpl(o) || d_dpl(d) < (i->selector & 3u))
        gp(o, i->selector);
    if (d_type(d) != T_TASK) {
        to_task(o, i->selector, source, next);
        return;
    }
    if (!d_present(d))
        np(o, i->selector);
    to_task(o, (uint16_t)(d >> 16), source, next);
}

/* ---- RET and IRET ---- */

/* The descriptor that a return goes to. */
static uint64_t return_code(struct oracle *o, uint16_t selector)
{
    uint64_t d;

    if (is_null(selector))
        gp(o, 0);
    if (!fetch(o, selector, &d) || !is_code(d) || (selector & 3u) < cpl(o))
        gp(o, selector);
    if (lma(o) && d_l(d) && d_d(d))
        gp(o, selector);
    if (is_conforming(d) ? d_dpl(d) > (selector & 3u) : d_dpl(d) != (selector & 3u))
        gp(o, selector);
    if (!d_present(d))
        np(o, selector);
    return d;
}

/* May the stack be that one? A null one: 0. */
static uint64_t return_stack(struct oracle *o, uint16_t selector, unsigned level, bool to64)
{
    uint64_t d;

    if (is_null(selector)) {
        if (!to64 || level == 3 || (selector & 3u) != level)
            gp(o, 0);
        return 0;
    }
    if (!fetch(o, selector, &d) || (selector & 3u) != level || !is_writable(d) || d_dpl(d) != level)
        gp(o, selector);
    if (!d_present(d))
        ss(o, selector);
    return d;
}

static void load_return_stack(struct oracle *o, uint16_t selector, uint64_t d, uint64_t sp, bool to64)
{
    struct i386_state *s = &o->now.s;

    if (d)
        load(o, SEG_SS, selector, d);
    else
        load_null(o, SEG_SS, selector);
    if (!to64 && d && !d_d(d))
        s->gpr[4] = (s->gpr[4] & ~UINT64_C(0xffff)) | (sp & 0xffff); /* as every processor: SS.B says what is written */
    else
        s->gpr[4] = to64 ? sp : (uint32_t)sp;
}

/* An outer level has no access to these. */
static void hide(struct oracle *o)
{
    static const unsigned data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};

    for (unsigned n = 0; n < 4; n++) {
        struct i386_segment *sg = &o->now.s.seg[data[n]];

        if (!sg->valid || ((sg->attr & 0x1c) != 0x1c && (sg->attr >> 5 & 3u) < cpl(o)))
            load_null(o, data[n], 0);
    }
}

static void far_return(struct oracle *o, const struct oracle_insn *i)
{
    struct i386_state *s = &o->now.s;
    struct stack k = stack_now(o);
    unsigned size = i->size;
    uint64_t rip, d, sp, e;
    uint16_t selector, stack;
    bool to64;

    if (!holds(o, &k, 2, size))
        ss(o, 0);
    rip = peek(o, &k, 0, size);
    selector = (uint16_t)peek(o, &k, 1, size);
    if (!protected_mode(o)) {
        if (rip > s->seg[SEG_CS].limit)
            gp(o, 0);
        s->seg[SEG_CS].selector = selector;
        s->seg[SEG_CS].base = (uint64_t)selector << 4;
        release(&k, 2 * size + i->release);
        s->gpr[4] = k.sp;
        s->rip = rip;
        return;
    }
    d = return_code(o, selector);
    to64 = lma(o) && d_l(d);
    if ((selector & 3u) == cpl(o)) {
        if (outside(o, d, rip))
            gp(o, 0);
        release(&k, 2 * size + i->release);
        s->gpr[4] = k.sp;
        load(o, SEG_CS, selector, d);
        s->rip = rip;
        return;
    }
    release(&k, 2 * size + i->release);
    if (!holds(o, &k, 2, size))
        ss(o, 0);
    sp = peek(o, &k, 0, size);
    stack = (uint16_t)peek(o, &k, 1, size);
    e = return_stack(o, stack, selector & 3, to64);
    if (outside(o, d, rip))
        gp(o, 0);
    s->cpl = selector & 3;
    load(o, SEG_CS, selector, d);
    load_return_stack(o, stack, e, sp, to64);
    s->rip = rip;
    k = stack_now(o);
    release(&k, i->release);
    s->gpr[4] = k.sp;
    o->seen |= SEEN_OUTWARD | (e ? 0 : SEEN_NULL_STACK);
    hide(o);
}

static void set_flags(struct oracle *o, uint64_t v, uint32_t mask)
{
    o->now.efl = (o->now.efl & ~mask) | ((uint32_t)v & mask);
}

static bool is_iopl_3(const struct oracle *o) { return (o->now.efl & EFLAGS_IOPL) == EFLAGS_IOPL; }
static bool has_vme(const struct oracle *o) { return o->now.efl & EFLAGS_VM && o->now.s.cr4 & CR4_VME; }

/* IRET from real and from virtual-8086 mode: in that one with IOPL 3, or with its extensions (SDM 3B 20.3, 22.3.3). */
static void iret_8086(struct oracle *o, unsigned size)
{
    struct i386_state *s = &o->now.s;
    struct stack k = stack_now(o);
    uint32_t mask = size == 2 ? 0x7fd5 : 0x257fd5;
    bool virtual = o->now.efl & EFLAGS_VM && !is_iopl_3(o);
    uint64_t rip, efl;
    uint16_t selector;

    if (virtual && (!has_vme(o) || size != 2))
        gp(o, 0);
    if (!holds(o, &k, 3, size))
        ss(o, 0);
    rip = peek(o, &k, 0, size);
    selector = (uint16_t)peek(o, &k, 1, size);
    efl = peek(o, &k, 2, size);
    if (virtual && (efl & EFLAGS_TF || (efl & EFLAGS_IF && o->now.efl & EFLAGS_VIP)))
        gp(o, 0);
    if (rip > s->seg[SEG_CS].limit)
        gp(o, 0);
    if (virtual) {
        mask &= ~EFLAGS_IF;
        set_flags(o, efl & EFLAGS_IF ? EFLAGS_VIF : 0, EFLAGS_VIF);
        o->seen |= SEEN_VIRTUAL;
    }
    s->rip = rip;
    s->seg[SEG_CS].selector = selector;
    s->seg[SEG_CS].base = (uint64_t)s->seg[SEG_CS].selector << 4;
    set_flags(o, efl, o->now.efl & EFLAGS_VM ? mask & ~EFLAGS_IOPL : mask);
    release(&k, 3 * size);
    s->gpr[4] = k.sp;
}

static void iret_to_vm86(struct oracle *o, struct stack *k)
{
    static const unsigned order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    struct i386_state *s = &o->now.s;
    uint64_t rip = peek(o, k, 0, 4), sp;

    if (!holds(o, k, 9, 4))
        ss(o, 0);
    if (rip > 0xffff)
        gp(o, 0);
    s->rip = rip;
    s->seg[SEG_CS].selector = (uint16_t)peek(o, k, 1, 4);
    o->now.efl = ((uint32_t)peek(o, k, 2, 4) & 0x3f7fd5) | 2;
    sp = peek(o, k, 3, 4);
    for (unsigned n = 0; n < 5; n++)
        s->seg[order[n]].selector = (uint16_t)peek(o, k, 4 + n, 4);
    s->gpr[4] = sp;
    o->seen |= SEEN_TO_VM86;
    load_vm86(o);
}

static uint32_t iret_mask(const struct oracle *o, unsigned size)
{
    uint32_t mask = 0x4dd5 | (size > 2 ? EFLAGS_RF | EFLAGS_AC | EFLAGS_ID : 0);

    if (cpl(o) <= (o->now.efl >> 12 & 3))
        mask |= EFLAGS_IF;
    if (cpl(o) == 0)
        mask |= EFLAGS_IOPL | (size > 2 ? EFLAGS_VIF | EFLAGS_VIP : 0);
    return mask;
}

static void iret(struct oracle *o, unsigned size, uint64_t next)
{
    struct i386_state *s = &o->now.s;
    struct stack k = stack_now(o);
    uint64_t rip, efl, d, sp, e;
    uint16_t selector, stack;
    bool to64, outer;

    if (!protected_mode(o)) {
        iret_8086(o, size);
        return;
    }
    if (o->now.efl & EFLAGS_NT) {
        if (lma(o))
            gp(o, 0);
        return_from_task(o, next);
        return;
    }
    if (!holds(o, &k, 3, size))
        ss(o, 0);
    rip = peek(o, &k, 0, size);
    selector = (uint16_t)peek(o, &k, 1, size);
    efl = peek(o, &k, 2, size);
    if (!lma(o) && size == 4 && efl & EFLAGS_VM && cpl(o) == 0) {
        iret_to_vm86(o, &k);
        return;
    }
    d = return_code(o, selector);
    to64 = lma(o) && d_l(d);
    outer = (selector & 3u) > cpl(o);
    if (!outer && !mode64(o)) {
        if (outside(o, d, rip))
            gp(o, 0);
        set_flags(o, efl, iret_mask(o, size));
        release(&k, 3 * size);
        s->gpr[4] = k.sp;
        load(o, SEG_CS, selector, d);
        s->rip = rip;
        return;
    }
    release(&k, 3 * size);
    if (!holds(o, &k, 2, size))
        ss(o, 0);
    sp = peek(o, &k, 0, size);
    stack = (uint16_t)peek(o, &k, 1, size);
    e = return_stack(o, stack, selector & 3, to64);
    if (outside(o, d, rip))
        gp(o, 0);
    set_flags(o, efl, iret_mask(o, size));
    s->cpl = selector & 3;
    load(o, SEG_CS, selector, d);
    load_return_stack(o, stack, e, sp, to64);
    s->rip = rip;
    o->seen |= (outer ? SEEN_OUTWARD : SEEN_LEVEL) | (e ? 0 : SEEN_NULL_STACK);
    if (outer)
        hide(o);
}

/* ---- delivery ---- */

static void deliver_real(struct oracle *o, unsigned vector, uint64_t ip)
{
    struct i386_state *s = &o->now.s;
    struct stack k = stack_now(o);

    if (vector * 4 + 3 > s->idtr.limit)
        gp(o, vector * 8 + 2);
    if (!room(o, &k, 3, 2))
        ss(o, 0);
    push(o, &k, 2, o->now.efl);
    push(o, &k, 2, s->seg[SEG_CS].selector);
    push(o, &k, 2, ip);
    s->gpr[4] = k.sp;
    o->now.efl &= ~(EFLAGS_IF | EFLAGS_TF | EFLAGS_AC | EFLAGS_RF);
    s->rip = rd(o, s->idtr.base + vector * 4, 2);
    s->seg[SEG_CS].selector = (uint16_t)rd(o, s->idtr.base + vector * 4 + 2, 2);
    s->seg[SEG_CS].base = (uint64_t)s->seg[SEG_CS].selector << 4;
}

static void deliver_to_task(struct oracle *o, uint64_t g, uint64_t ip, bool has_error, uint32_t error)
{
    uint16_t selector = (uint16_t)(g >> 16);
    struct stack k;
    unsigned size;
    uint64_t d;

    if (selector & 4 || is_null(selector) || !fetch(o, selector, &d) || !available_tss(d))
        gp(o, selector);
    if (!d_present(d))
        np(o, selector);
    switch_tasks(o, selector, BY_INT, ip);
    size = d_type(d) & 8 ? 4 : 2;
    k = stack_now(o);
    if (has_error) {
        if (!room(o, &k, 1, size))
            ss(o, 0);
        push(o, &k, size, error);
        o->now.s.gpr[4] = k.sp;
        o->seen |= SEEN_ERROR_TO_TASK;
    }
    check_eip(o);
}

struct entry {
    uint64_t d, rip, ip;
    uint16_t selector;
    unsigned size, ist;
    bool traps, has_error;
    uint32_t error;
};

static void enter(struct oracle *o, const struct entry *e, unsigned level)
{
    load(o, SEG_CS, (uint16_t)((e->selector & ~3u) | level), e->d);
    o->now.s.cpl = level;
    o->now.s.rip = e->rip;
    o->now.efl &= ~(EFLAGS_TF | EFLAGS_NT | EFLAGS_VM | EFLAGS_RF);
    if (!e->traps)
        o->now.efl &= ~EFLAGS_IF;
}

static void push_frame(struct oracle *o, struct stack *k, const struct entry *e)
{
    push(o, k, e->size, o->now.efl);
    push(o, k, e->size, o->now.s.seg[SEG_CS].selector);
    push(o, k, e->size, e->ip);
    if (e->has_error)
        push(o, k, e->size, e->error);
}

static void enter_inward(struct oracle *o, const struct entry *e)
{
    static const unsigned order[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
    struct i386_state *s = &o->now.s;
    bool vm = o->now.efl & EFLAGS_VM;
    struct stack k = inner_stack(o, d_dpl(e->d), e->ist);

    if (k.bits == 64)
        k.sp &= ~UINT64_C(15);
    if (!room(o, &k, 5 + (vm ? 4 : 0) + e->has_error, e->size))
        ss(o, k.ss.selector);
    o->either = outside(o, e->d, e->rip);
    for (unsigned n = 0; vm && n < 4; n++)
        push(o, &k, e->size, s->seg[order[n]].selector);
    push(o, &k, e->size, s->seg[SEG_SS].selector);
    push(o, &k, e->size, s->gpr[4]);
    push_frame(o, &k, e);
    if (outside(o, e->d, e->rip))
        gp(o, 0);
    o->seen |= (vm ? SEEN_FROM_VM86 : SEEN_INWARD) | (e->ist ? SEEN_IST : 0);
    enter(o, e, d_dpl(e->d));
    take_stack(o, &k);
    for (unsigned n = 0; vm && n < 4; n++)
        load_null(o, order[n], 0);
}

static void enter_level(struct oracle *o, const struct entry *e)
{
    struct i386_state *s = &o->now.s;
    struct stack k = e->ist ? inner_stack(o, cpl(o), e->ist) : stack_now(o);
    bool wide = lma(o);

    if (wide) {
        k.bits = 64;
        k.sp &= ~UINT64_C(15);
    }
    if (!room(o, &k, 3 + (wide ? 2 : 0) + e->has_error, e->size))
        ss(o, 0);
    o->either = outside(o, e->d, e->rip);
    if (wide) {
        push(o, &k, 8, s->seg[SEG_SS].selector);
        push(o, &k, 8, s->gpr[4]);
    }
    push_frame(o, &k, e);
    if (outside(o, e->d, e->rip))
        gp(o, 0);
    o->seen |= SEEN_LEVEL | (e->ist ? SEEN_IST : 0);
    enter(o, e, cpl(o));
    s->gpr[4] = k.sp;
    if (e->ist)
        load_null(o, SEG_SS, (uint16_t)cpl(o));
}

static bool gate_of_interrupt(const struct oracle *o, uint64_t g)
{
    unsigned type = d_type(g);

    if (lma(o))
        return type == T_INT32 || type == T_TRAP32;
    return type == T_INT16 || type == T_TRAP16 || type == T_INT32 || type == T_TRAP32 || type == T_TASK;
}

static void deliver(struct oracle *o, unsigned vector, enum raised how, uint64_t ip, bool has_error, uint32_t error)
{
    struct i386_state *s = &o->now.s;
    struct entry e = {.ip = ip, .has_error = has_error, .error = error};
    uint32_t idt = vector * 8 + 2, bytes = lma(o) ? 16 : 8;
    uint64_t g;
    bool vm = o->now.efl & EFLAGS_VM;

    if (!(s->cr0 & CR0_PE)) {
        deliver_real(o, vector, ip);
        return;
    }
    if (vector * bytes + bytes - 1 > s->idtr.limit)
        fault(o, EXC_GP, idt);
    g = rd(o, s->idtr.base + vector * bytes, 8);
    if (!gate_of_interrupt(o, g) || (how == SOFTWARE && d_dpl(g) < cpl(o)))
        fault(o, EXC_GP, idt);
    if (!d_present(g))
        fault(o, EXC_NP, idt);
    if (d_type(g) == T_TASK) {
        deliver_to_task(o, g, ip, has_error, error);
        return;
    }
    e.selector = (uint16_t)(g >> 16);
    e.size = lma(o) ? 8 : d_type(g) & 8 ? 4 : 2;
    e.traps = d_type(g) & 1;
    e.rip = (g & 0xffff) | (e.size > 2 ? g >> 32 & 0xffff0000 : 0);
    if (lma(o)) {
        e.ist = g >> 32 & 7;
        e.rip |= rd(o, s->idtr.base + vector * bytes + 8, 4) << 32;
    }
    if (is_null(e.selector))
        gp(o, 0);
    if (!fetch(o, e.selector, &e.d) || !is_code(e.d) || d_dpl(e.d) > cpl(o))
        gp(o, e.selector);
    if (lma(o) && (!d_l(e.d) || d_d(e.d)))
        gp(o, e.selector);
    if (!d_present(e.d))
        np(o, e.selector);
    if (!is_conforming(e.d) && d_dpl(e.d) < cpl(o)) {
        if (vm && d_dpl(e.d) != 0)
            gp(o, e.selector);
        enter_inward(o, &e);
    } else {
        if (vm)
            gp(o, e.selector);
        enter_level(o, &e);
    }
}

static bool contributory(unsigned vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* SDM 3A table 6-5 */
static bool makes_double(unsigned first, unsigned second)
{
    return (contributory(first) || first == EXC_PF) && (contributory(second) || (first == EXC_PF && second == EXC_PF));
}

/* Back to before the instruction; a switch of tasks stays. */
static void undo(struct oracle *o)
{
    if (o->vector == EXC_PF)
        o->seen |= o->switched ? SEEN_PAGE_NEW_TASK : o->switching ? SEEN_PAGE_OLD_TASK : 0;
    if (o->switched) {
        o->before = o->now;
        o->seen |= o->half ? SEEN_TASK_HALF : SEEN_TASK_FAULT;
    }
    o->switched = false;
    o->now = o->before;
    o->either = o->roughly = o->switching = false;
    if (o->vector == EXC_PF)
        o->now.s.cr2 = o->before.s.cr2 = o->address;
}

/* Deliver a fault; false: another one came of that. */
static bool delivered(struct oracle *o, unsigned vector, uint32_t error)
{
    if (setjmp(o->caught))
        return false;
    deliver(o, vector, OTHERWISE, o->now.s.rip, o->now.s.cr0 & CR0_PE, error);
    return true;
}

static void deliver_faults(struct oracle *o)
{
    unsigned vector = o->vector;
    uint32_t error = o->error;

    while (!o->astray) {
        o->ext = 1;
        o->faulted = true;
        undo(o);
        if (vector != EXC_DF) /* an abort */
            o->now.efl |= EFLAGS_RF;
        if (delivered(o, vector, error))
            return;
        o->shutdown = vector == EXC_DF && (contributory(o->vector) || o->vector == EXC_PF);
        if (o->shutdown)
            return;
        if (makes_double(vector, o->vector)) {
            o->seen |= SEEN_DOUBLE | (vector == EXC_PF ? SEEN_PAGE_DOUBLE : 0);
            vector = EXC_DF;
            error = 0;
        } else {
            vector = o->vector;
            error = o->error;
        }
    }
}

/* INT n of virtual-8086 mode whose bit in the TSS is clear: to the 8086 program's own handler (SDM 3B 20.3.3). */
static bool is_redirected(struct oracle *o, unsigned vector)
{
    const struct i386_segment *tr = &o->now.s.seg[SEG_TR];
    uint64_t map;

    if (!has_vme(o))
        return false;
    map = rd(o, tr->base + 0x66, 2);
    return !(rd(o, tr->base + map - 32 + vector / 8, 1) >> vector % 8 & 1);
}

static void redirect(struct oracle *o, unsigned vector, uint64_t ip)
{
    struct i386_state *s = &o->now.s;
    struct stack k = stack_now(o);
    uint32_t efl = o->now.efl, flag = is_iopl_3(o) ? EFLAGS_IF : EFLAGS_VIF, entry;

    if (!is_iopl_3(o))
        efl = (efl & ~EFLAGS_IF) | EFLAGS_IOPL | (efl & EFLAGS_VIF ? EFLAGS_IF : 0);
    if (page_error(o, 0, BY_USER) >= 0)
        astray(o); /* by which level it is read, nobody says */
    entry = (uint32_t)rd(o, vector * 4, 4);
    if (!room(o, &k, 3, 2))
        ss(o, 0);
    if ((k.sp & 0xffff) < vector * 4 + 4 + 6)
        astray(o); /* onto the vector itself */
    push(o, &k, 2, efl);
    push(o, &k, 2, s->seg[SEG_CS].selector);
    push(o, &k, 2, ip);
    s->gpr[4] = k.sp;
    o->now.efl &= ~(EFLAGS_TF | EFLAGS_RF | flag);
    s->rip = entry & 0xffff;
    s->seg[SEG_CS].selector = (uint16_t)(entry >> 16);
    s->seg[SEG_CS].base = (uint64_t)s->seg[SEG_CS].selector << 4;
    o->seen |= SEEN_VIRTUAL;
}

static void interrupt(struct oracle *o, const struct oracle_insn *i, uint64_t next)
{
    if (i->opcode == 0xf1) { /* as by hardware (SDM 3A 6.13) */
        o->ext = 1;
        deliver(o, EXC_DB, OTHERWISE, next, false, 0);
    } else if (i->opcode != 0xcd) {
        deliver(o, i->opcode == 0xcc ? EXC_BP : EXC_OF, SOFTWARE, next, false, 0);
    } else if (is_redirected(o, i->vector)) {
        redirect(o, i->vector, next);
    } else if (o->now.efl & EFLAGS_VM && !is_iopl_3(o)) {
        gp(o, 0);
    } else {
        deliver(o, i->vector, SOFTWARE, next, false, 0);
    }
}

static void make(struct oracle *o, const struct oracle_insn *i)
{
    uint64_t next = o->now.s.rip + i->len;

    if (i->kind == ORACLE_RETURN)
        far_return(o, i);
    else if (i->kind == ORACLE_IRET)
        iret(o, i->size, next);
    else if (i->kind == ORACLE_OUTSIDE)
        deliver(o, i->vector, OTHERWISE, o->now.s.rip, false, 0);
    else if (i->kind == ORACLE_INT)
        interrupt(o, i, next);
    else
        far_transfer(o, i, next);
}

void oracle_run(struct oracle *o, const struct oracle_insn *i)
{
    o->before = o->now;
    o->ext = i->kind == ORACLE_OUTSIDE;
    o->seen = 0;
    o->astray = o->shutdown = o->faulted = o->switched = o->half = o->trapped = o->either = o->roughly = o->switching = false;
    if (!setjmp(o->caught))
        make(o, i);
    else
        deliver_faults(o);
}

bool oracle_fetch(struct oracle *o)
{
    uint64_t at = mode64(o) ? o->now.s.rip : (uint32_t)(o->now.s.seg[SEG_CS].base + o->now.s.rip);
    unsigned how = FETCHES | user_of(cpl(o));

    if (at >= ORACLE_BYTES || page_error(o, at, how) < 0)
        return false;
    o->before = o->now;
    o->switched = o->half = false;
    o->seen |= SEEN_PAGE_FETCH;
    if (!setjmp(o->caught))
        page_fault(o, at, (unsigned)page_error(o, at, how));
    deliver_faults(o);
    return true;
}
