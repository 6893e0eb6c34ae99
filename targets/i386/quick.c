/*
 * Interrupts, IRET and loads of segment registers in the shape that they usually have (SDM 3A 6.12; SDM 2, IRET, MOV): from one level
 * to the same or an inner one through a 32-bit gate, and back; segments of the GDT that are marked accessed; the frame within one page
 * of a stack that grows down; and everything where inline accesses are allowed, so that nothing has to be noticed, faults or comes
 * from a device.
 *
 * All is looked at before anything is changed: what is not in that shape is left as it is, for exception.c, long.c and segment.c,
 * which have all of the rules. Done here, it is what they would have done, to the bit (tests/i386/test_i386_quick).
 *
 * Not here: task gates, virtual-8086 mode, 16-bit gates and operands, interrupt stacks, compatibility mode.
 */
#include "i386/protect.h"

#include "base/bytes.h"

/* Bits 40-47 of descriptors, at their places in the upper half. */
#define GATE_BITS  0x9e00u /* P, S, type without bit 0 */
#define GATE_32    0x8e00u /* present, an interrupt or trap gate of 32 bits (long mode: of 64) */
#define CODE_BITS  0x9d00u /* P, S, code, conforming, accessed */
#define CODE_USUAL 0x9900u
#define DATA_BITS  0x9b00u /* P, S, code, writable, accessed */
#define DATA_USUAL 0x9300u
#define DATA_DOWN  0x0400u /* expand-down */
#define BIT_L      0x200000u
#define BIT_DB     0x400000u

static unsigned dpl(uint32_t hi)
{
    return hi >> 13 & 3;
}

/* The descriptor that a selector names, where it may be read at once from the GDT; else 0, which is absent. */
static inline uint64_t descriptor(const struct i386_state *s, const struct ucpu_window *w, uint16_t selector)
{
    uint32_t offset = selector & 0xfff8u;
    const uint8_t *at;

    if ((selector & 4) || !offset || offset + 7 > s->gdtr.limit)
        return 0;
    at = window_read(w, i386_system_address(s, s->gdtr.base + offset), 8);
    return at ? get_le64(at) : 0;
}

static inline uint32_t limit_of(uint64_t d)
{
    return desc_limit(&(struct i386_desc){.lo = (uint32_t)d, .hi = (uint32_t)(d >> 32)});
}

/* i386_desc_segment(), member by member into its place: a whole that was written in parts is slow to read. */
static inline void load(struct i386_segment *sg, uint64_t d, uint16_t selector)
{
    sg->base = desc_base(&(struct i386_desc){.lo = (uint32_t)d, .hi = (uint32_t)(d >> 32)});
    sg->selector = selector;
    sg->attr = (uint16_t)(d >> 40 & 0xf0ff);
    sg->limit = limit_of(d);
    sg->valid = 1;
    sg->reserved = 0;
}

/* The code segment changes. True: what blocks know of it does, too. */
static inline bool load_code(struct i386_segment *sg, uint64_t d, uint16_t selector)
{
    uint64_t base = sg->base;
    uint32_t limit = sg->limit, valid = sg->valid;
    uint16_t attr = sg->attr;

    load(sg, d, selector);
    return base != sg->base || limit != sg->limit || attr != sg->attr || !valid;
}

/* ---- interrupts ---- */

/* Where a gate leads. */
struct target {
    uint64_t code;    /* descriptor */
    uint64_t offset;
    uint16_t selector;
    bool interrupts;  /* a trap gate: IF stays */
    bool inner;
    unsigned cpl;
};

static inline bool find_target(const struct i386_state *s, const struct ucpu_window *w, const struct i386_delivery *d, uint64_t gate,
                        struct target *t)
{
    uint32_t hi = (uint32_t)(gate >> 32);
    bool software = d->source == FROM_INT_N || d->source == FROM_SOFTWARE;

    if ((hi & GATE_BITS) != GATE_32 || (software && dpl(hi) < s->cpl))
        return false;
    t->code = descriptor(s, w, (uint16_t)(gate >> 16));
    t->offset = (gate & 0xffff) | (hi & 0xffff0000u);
    t->interrupts = hi & 0x100;
    t->cpl = dpl((uint32_t)(t->code >> 32));
    t->selector = (uint16_t)((gate >> 16 & 0xfffcu) | t->cpl);
    t->inner = t->cpl < s->cpl;
    return (t->code >> 32 & CODE_BITS) == CODE_USUAL && t->cpl <= s->cpl;
}

/* What every handler begins with. */
static inline void enter(struct i386_cpu *c, const struct target *t)
{
    struct i386_state *s = c->st;
    bool moved = load_code(&s->seg[SEG_CS], t->code, t->selector) || t->inner;

    s->cpl = t->cpl;
    s->rip = t->offset;
    s->eflags &= ~(EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM);
    if (!t->interrupts)
        s->eflags &= ~EFLAGS_IF;
    if (moved)
        i386_level_moved(c);
}

/* The stack that the TSS has for an inner level. */
static inline bool inner_stack(const struct i386_state *s, const struct ucpu_window *w, unsigned cpl, uint64_t *ss, uint16_t *selector,
                        uint32_t *esp)
{
    const struct i386_segment *tr = &s->seg[SEG_TR];
    uint32_t offset = 4 + cpl * 8, hi;
    const uint8_t *at;

    if (!tr->valid || !(tr->attr & SYS_32BIT) || offset + 5 > tr->limit)
        return false;
    at = window_read(w, i386_system_address(s, tr->base + offset), 6);
    if (!at)
        return false;
    *esp = get_le32(at);
    *selector = get_le16(at + 4);
    *ss = descriptor(s, w, *selector);
    hi = (uint32_t)(*ss >> 32);
    return (hi & (DATA_BITS | DATA_DOWN | BIT_DB)) == (DATA_USUAL | BIT_DB) && dpl(hi) == cpl && (*selector & 3u) == cpl;
}

static inline bool ordinary_stack(const struct i386_segment *ss)
{
    return ss->valid && (ss->attr & (SEG_ATTR_DB | 0xeu)) == (SEG_ATTR_DB | 2u);
}

static bool gate_32(struct i386_cpu *c, const struct i386_delivery *d)
{
    struct i386_state *s = c->st;
    struct ucpu_window w = ucpu_window(&c->u, MMU_SUPERVISOR);
    const struct i386_segment *current = &s->seg[SEG_SS];
    uint64_t ss = 0, base = current->base, first;
    uint32_t limit = current->limit, esp = (uint32_t)s->gpr[ESP], bytes;
    uint16_t ss_selector = 0;
    const uint8_t *at;
    struct target t;
    uint8_t *to;

    if (d->vector * 8 + 7 > s->idtr.limit)
        return false;
    at = window_read(&w, i386_system_address(s, s->idtr.base + d->vector * 8), 8);
    if (!at || !find_target(s, &w, d, get_le64(at), &t) || t.offset > limit_of(t.code))
        return false;
    if (t.inner) {
        if (!inner_stack(s, &w, t.cpl, &ss, &ss_selector, &esp))
            return false;
        base = desc_base(&(struct i386_desc){.lo = (uint32_t)ss, .hi = (uint32_t)(ss >> 32)});
        limit = limit_of(ss);
    } else {
        if (!ordinary_stack(current))
            return false;
        if (c->u.tlb_mode != MMU_SUPERVISOR)
            w = ucpu_window(&c->u, c->u.tlb_mode);
    }
    bytes = (t.inner ? 20 : 12) + (d->has_error ? 4 : 0);
    first = (uint32_t)(esp - bytes);
    if (first + (bytes - 1) > limit)
        return false;
    to = window_write(&w, (uint32_t)(base + first), bytes);
    if (!to)
        return false;

    if (d->has_error) {
        put_le32(to, d->error);
        to += 4;
    }
    put_le32(to, (uint32_t)d->eip);
    put_le32(to + 4, s->seg[SEG_CS].selector);
    put_le32(to + 8, i386_get_eflags(c) | (d->set_rf ? EFLAGS_RF : 0));
    if (t.inner) {
        put_le32(to + 12, (uint32_t)s->gpr[ESP]);
        put_le32(to + 16, current->selector);
        load(&s->seg[SEG_SS], ss, ss_selector);
    }
    s->gpr[ESP] = first;
    enter(c, &t);
    return true;
}

static bool gate_64(struct i386_cpu *c, const struct i386_delivery *d)
{
    struct i386_state *s = c->st;
    struct ucpu_window w = ucpu_window(&c->u, MMU_SUPERVISOR);
    const struct i386_segment *tr = &s->seg[SEG_TR];
    uint64_t rsp = s->gpr[ESP], upper;
    const uint8_t *at;
    struct target t;
    uint8_t *to;

    if (d->vector * 16 + 15 > s->idtr.limit)
        return false;
    at = window_read(&w, s->idtr.base + d->vector * 16, 16);
    if (!at || (get_le64(at) >> 32 & 7) || !find_target(s, &w, d, get_le64(at), &t))
        return false;
    upper = get_le64(at + 8);
    t.offset |= upper << 32;
    if ((upper >> 32 & 0x1f00) || (t.code >> 32 & (BIT_L | BIT_DB)) != BIT_L || !i386_canonical(s, t.offset))
        return false;
    if (t.inner) {
        if (!tr->valid || TSS64_RSP(t.cpl) + 7 > tr->limit)
            return false;
        at = window_read(&w, tr->base + TSS64_RSP(t.cpl), 8);
        if (!at)
            return false;
        rsp = get_le64(at);
        if (!i386_canonical(s, rsp))
            return false;
    } else if (c->u.tlb_mode != MMU_SUPERVISOR) {
        w = ucpu_window(&c->u, c->u.tlb_mode);
    }
    rsp = (rsp & ~(uint64_t)15) - (d->has_error ? 48 : 40);
    to = i386_canonical(s, rsp) ? window_write(&w, rsp, d->has_error ? 48 : 40) : NULL;
    if (!to)
        return false;

    if (d->has_error) {
        put_le64(to, d->error);
        to += 8;
    }
    put_le64(to, d->eip);
    put_le64(to + 8, s->seg[SEG_CS].selector);
    put_le64(to + 16, i386_get_eflags(c) | (d->set_rf ? EFLAGS_RF : 0));
    put_le64(to + 24, s->gpr[ESP]);
    put_le64(to + 32, s->seg[SEG_SS].selector);
    if (t.inner)
        i386_null_segment(c, SEG_SS, (uint16_t)t.cpl);
    s->gpr[ESP] = rsp;
    enter(c, &t);
    return true;
}

bool i386_quick_gate(struct i386_cpu *c, const struct i386_delivery *d)
{
    const struct i386_state *s = c->st;

    if (c->u.careful || !i386_uses_descriptors(s))
        return false;
    if (!i386_long(s))
        return gate_32(c, d);
    return i386_64bit(s) && gate_64(c, d);
}

/* ---- IRET ---- */

static const unsigned data_segments[] = {SEG_ES, SEG_FS, SEG_GS, SEG_DS};

/* Would i386_hide_segments() leave all of them at that level, but for null selectors? */
static inline bool may_keep_segments(const struct i386_state *s, unsigned cpl)
{
    for (unsigned i = 0; i < ARRAY_LEN(data_segments); i++) {
        const struct i386_segment *sg = &s->seg[data_segments[i]];

        if (sg->valid && (sg->attr & 0xc) != 0xc && (unsigned)(sg->attr >> 5 & 3) < cpl)
            return false;
    }
    return true;
}

static inline void keep_segments(struct i386_state *s)
{
    for (unsigned i = 0; i < ARRAY_LEN(data_segments); i++)
        if (!s->seg[data_segments[i]].valid)
            s->seg[data_segments[i]].selector = 0;
}

/* Can the code segment be returned to from this level? */
static inline bool is_return_code(const struct i386_state *s, uint64_t d, uint16_t selector)
{
    uint32_t hi = (uint32_t)(d >> 32);

    return (hi & CODE_BITS) == CODE_USUAL && dpl(hi) == (selector & 3u) && (selector & 3u) >= s->cpl;
}

static inline bool is_return_stack(uint64_t d, uint16_t selector, unsigned rpl)
{
    uint32_t hi = (uint32_t)(d >> 32);

    return (hi & DATA_BITS) == DATA_USUAL && dpl(hi) == rpl && (selector & 3u) == rpl;
}

/* The last of an IRET: `flags` are popped, by those rules that held before. */
static inline void back(struct i386_cpu *c, uint32_t flags, uint32_t mask, bool outer, bool moved)
{
    i386_set_eflags(c, flags, mask);
    if (outer)
        keep_segments(c->st);
    c->st->nmi_blocked = 0;
    if (moved)
        i386_level_moved(c);
}

static bool iret_32(struct i386_cpu *c)
{
    struct i386_state *s = c->st;
    struct ucpu_window w = ucpu_window(&c->u, c->u.tlb_mode);
    uint32_t esp = (uint32_t)s->gpr[ESP], eip, flags, mask = i386_iret_mask(s, 4);
    uint64_t code, ss = 0;
    uint16_t cs, ss_selector = 0;
    const uint8_t *at;
    bool outer, moved;

    if (!ordinary_stack(&s->seg[SEG_SS]) || (uint64_t)esp + 11 > s->seg[SEG_SS].limit)
        return false;
    at = window_read(&w, (uint32_t)(s->seg[SEG_SS].base + esp), 12);
    if (!at)
        return false;
    eip = get_le32(at);
    cs = get_le16(at + 4);
    flags = get_le32(at + 8);
    outer = (cs & 3u) > s->cpl;
    if (flags & EFLAGS_VM)
        return false;
    if (outer) {
        if ((uint64_t)esp + 19 > s->seg[SEG_SS].limit || !may_keep_segments(s, cs & 3u))
            return false;
        at = window_read(&w, (uint32_t)(s->seg[SEG_SS].base + esp), 20);
        if (!at)
            return false;
        esp = get_le32(at + 12);
        ss_selector = get_le16(at + 16);
    } else {
        esp += 12;
    }
    if (c->u.tlb_mode != MMU_SUPERVISOR)
        w = ucpu_window(&c->u, MMU_SUPERVISOR);
    code = descriptor(s, &w, cs);
    if (!is_return_code(s, code, cs) || eip > limit_of(code))
        return false;
    if (outer) {
        ss = descriptor(s, &w, ss_selector);
        if (!is_return_stack(ss, ss_selector, cs & 3u) || !(ss >> 32 & BIT_DB))
            return false;
        load(&s->seg[SEG_SS], ss, ss_selector);
    }
    moved = load_code(&s->seg[SEG_CS], code, cs) || outer;
    s->gpr[ESP] = esp;
    s->cpl = cs & 3u;
    s->rip = eip;
    back(c, flags, mask, outer, moved);
    return true;
}

static bool iret_64(struct i386_cpu *c)
{
    struct i386_state *s = c->st;
    struct ucpu_window w = ucpu_window(&c->u, c->u.tlb_mode);
    uint32_t flags, mask = i386_iret_mask(s, 8);
    uint64_t code, ss = 0, rip, rsp = s->gpr[ESP];
    uint16_t cs, ss_selector;
    bool outer, null, moved;
    const uint8_t *at;

    at = i386_canonical(s, rsp) ? window_read(&w, rsp, 40) : NULL;
    if (!at)
        return false;
    rip = get_le64(at);
    cs = get_le16(at + 8);
    flags = get_le32(at + 16);
    rsp = get_le64(at + 24);
    ss_selector = get_le16(at + 32);
    outer = (cs & 3u) > s->cpl;
    if (c->u.tlb_mode != MMU_SUPERVISOR)
        w = ucpu_window(&c->u, MMU_SUPERVISOR);
    code = descriptor(s, &w, cs);
    if (!is_return_code(s, code, cs) || (code >> 32 & (BIT_L | BIT_DB)) != BIT_L || !i386_canonical(s, rip))
        return false;
    null = selector_is_null(ss_selector);
    if (null ? (cs & 3u) == 3 || ((ss_selector ^ cs) & 3u) : !is_return_stack(ss = descriptor(s, &w, ss_selector), ss_selector, cs & 3u))
        return false;
    if (outer && !may_keep_segments(s, cs & 3u))
        return false;

    if (null)
        i386_null_segment(c, SEG_SS, ss_selector);
    else
        load(&s->seg[SEG_SS], ss, ss_selector);
    moved = load_code(&s->seg[SEG_CS], code, cs) || outer;
    s->gpr[ESP] = rsp;
    s->cpl = cs & 3u;
    s->rip = rip;
    back(c, flags, mask, outer, moved);
    return true;
}

bool i386_quick_iret(struct i386_cpu *c, unsigned size)
{
    const struct i386_state *s = c->st;

    if (c->u.careful || !i386_uses_descriptors(s) || (s->eflags & EFLAGS_NT))
        return false;
    if (!i386_long(s))
        return size == 4 && iret_32(c);
    return size == 8 && i386_64bit(s) && iret_64(c);
}

/* ---- segment registers ---- */

bool i386_quick_segment(struct i386_cpu *c, unsigned seg, uint16_t selector)
{
    const struct i386_state *s = c->st;
    struct ucpu_window w;
    uint64_t d;
    uint32_t hi;

    if (c->u.careful || !i386_uses_descriptors(s))
        return false;
    w = ucpu_window(&c->u, MMU_SUPERVISOR);
    d = descriptor(s, &w, selector);
    hi = (uint32_t)(d >> 32);
    if ((hi & DATA_BITS) != DATA_USUAL || dpl(hi) < s->cpl || dpl(hi) < (selector & 3u))
        return false;
    if (seg == SEG_SS && (dpl(hi) != s->cpl || (selector & 3u) != s->cpl))
        return false;
    load(&c->st->seg[seg], d, selector);
    i386_segment_loaded(c, seg);
    return true;
}
