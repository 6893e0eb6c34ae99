/*
 * Segmentation: descriptors, segment registers, checked accesses, and far
 * transfers between code segments (SDM 3A chapters 3 and 5; SDM 2: MOV, LDS,
 * JMP, CALL, RET).
 *
 * A real-mode load of a segment register sets selector and base and keeps the
 * limit, as the processors do ("unreal mode" works). In virtual-8086 mode
 * it sets the whole register.
 *
 * Task switches are in task.c, gates of the IDT in exception.c.
 */
#include "i386/protect.h"

#include "base/bytes.h"

#include <string.h>

/* ---- faults ---- */

bool i386_fail(struct i386_cpu *c, unsigned vector, uint32_t error)
{
    i386_raise_error(c, vector, error);
    return false;
}

int i386_fault_selector(struct i386_cpu *c, unsigned vector, uint16_t selector)
{
    return i386_raise_error(c, vector, selector & 0xfffcu);
}

static bool fail_selector(struct i386_cpu *c, unsigned vector, uint16_t selector)
{
    return i386_fail(c, vector, selector & 0xfffcu);
}

/* ---- descriptors ---- */

bool i386_desc_locate(const struct i386_cpu *c, uint16_t selector, uint64_t *addr)
{
    const struct i386_state *s = c->st;
    uint32_t offset = selector & 0xfff8u, limit;
    uint64_t base;

    if (selector & 4) {
        if (!s->seg[SEG_LDTR].valid)
            return false;
        base = s->seg[SEG_LDTR].base;
        limit = s->seg[SEG_LDTR].limit;
    } else {
        base = s->gdtr.base;
        limit = s->gdtr.limit;
    }
    if (offset + 7 > limit)
        return false;
    *addr = i386_system_address(s, base + offset);
    return true;
}

bool i386_desc_read(struct i386_cpu *c, uint16_t selector, unsigned vector, struct i386_desc *d)
{
    uint32_t words[2];

    if (!i386_desc_locate(c, selector, &d->addr))
        return fail_selector(c, vector, selector);
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, d->addr, words, 8))
        return false;
    d->lo = words[0];
    d->hi = words[1];
    d->upper = 0;
    return true;
}

bool i386_desc_read_upper(struct i386_cpu *c, uint16_t selector, struct i386_desc *d)
{
    uint32_t words[2];
    uint64_t last;

    if (!i386_desc_locate(c, (uint16_t)(selector + 8), &last) || last != d->addr + 8)
        return fail_selector(c, EXC_GP, selector);
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, d->addr + 8, words, 8))
        return false;
    if (words[1] & 0x1f00)
        return fail_selector(c, EXC_GP, selector);
    d->upper = words[0];
    return true;
}

/* Code of 64 and of 32 bits at once there is none. */
static bool is_no_mode(const struct i386_cpu *c, const struct i386_desc *d)
{
    return i386_long(c->st) && desc_is_64bit(d) && desc_is_32bit(d);
}

bool i386_code_target(struct i386_cpu *c, const struct i386_desc *d, uint64_t offset)
{
    bool good = i386_long(c->st) && desc_is_64bit(d) ? i386_canonical(c->st, offset) : offset <= desc_limit(d);

    return good || i386_fail(c, EXC_GP, 0);
}

struct i386_segment i386_desc_segment(const struct i386_desc *d, uint16_t selector)
{
    return (struct i386_segment){
        .selector = selector,
        .attr = (uint16_t)(d->hi >> 8 & 0xf0ff),
        .base = desc_base(d),
        .limit = desc_limit(d),
        .valid = 1,
    };
}

/* ---- stores that wait ---- */

static bool plan(struct i386_cpu *c, struct i386_stores *s, unsigned mode, uint64_t va, unsigned size, uint64_t value)
{
    CHECK(s->count < I386_MAX_STORES);
    if (!ucpu_plan_store(&c->u, mode, va, size, &s->store[s->count].plan))
        return false;
    s->store[s->count].va = va;
    s->store[s->count].value = value;
    s->store[s->count].size = size;
    s->count++;
    return true;
}

bool i386_stores_add(struct i386_cpu *c, struct i386_stores *s, unsigned mode, uint64_t va, unsigned size,
                     uint64_t value)
{
    if (s->direct) {
        s->direct = NULL;
        plan(c, s, s->frame_mode, s->frame_va, s->frame_bytes, 0); /* inline access is still allowed */
    }
    return plan(c, s, mode, va, size, value);
}

bool i386_stores_accessed(struct i386_cpu *c, struct i386_stores *s, struct i386_desc *d)
{
    if (d->hi & 0x100)
        return true;
    d->hi |= 0x100;
    return i386_stores_add(c, s, MMU_SUPERVISOR, d->addr + 5, 1, d->hi >> 8 & 0xff);
}

void i386_stores_commit(struct i386_cpu *c, const struct i386_stores *s)
{
    if (s->direct)
        memcpy(s->direct, s->frame, s->frame_bytes);
    for (unsigned i = 0; i < s->count; i++)
        ucpu_make_store(&c->u, &s->store[i].plan, s->store[i].size > 8 ? (const void *)s->frame : &s->store[i].value);
}

void i386_stores_show(const struct i386_stores *s, uint64_t va, unsigned size, void *buf)
{
    uint8_t *bytes = buf;

    for (unsigned i = 0; i < s->count; i++)
        for (unsigned n = 0; n < size && s->store[i].size <= 8; n++)
            if (va + n - s->store[i].va < s->store[i].size)
                bytes[n] = (uint8_t)(s->store[i].value >> 8 * (va + n - s->store[i].va));
}

/* ---- checked accesses ---- */

static bool is_expand_down(const struct i386_segment *sg)
{
    return (sg->attr & (SEG_ATTR_S | 0xc)) == (SEG_ATTR_S | 0x4);
}

static bool within_limit(const struct i386_segment *sg, uint32_t offset, unsigned size)
{
    uint32_t last = offset + (size - 1);

    if (is_expand_down(sg))
        return offset > sg->limit && last >= offset && last <= (sg->attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu);
    if (sg->limit == 0xffffffffu)
        return true; /* wraps around the address space */
    return last >= offset && last <= sg->limit;
}

static bool type_allows(const struct i386_segment *sg, bool write)
{
    bool code = sg->attr & 8;
    bool read_or_write = sg->attr & 2;

    if (write)
        return !code && read_or_write;
    return !code || read_or_write;
}

/* What an operand of that many bytes must be aligned to (SDM 3A table 6-7): also far pointers of 6, x87
 * registers of 10, environments of 14 and 28, and images of 94 and 108 bytes. 16 and 32 bytes are what may be unaligned: processors
 * want 16 (the SDM leaves it to them). */
static unsigned alignment_of(unsigned size)
{
    switch (size) {
    case 2: case 14: case 94: return 2;
    case 4: case 6: case 28: case 108: return 4;
    case 8: case 10: return 8;
    case 16: case 32: return 16;
    default: return 1;
    }
}

static bool misaligned(const struct i386_state *s, uint64_t linear, unsigned alignment)
{
    return i386_alignment_checked(s) && (linear & (alignment - 1));
}

/* In 64-bit mode: only FS and GS have a base. */
static bool linear_64(struct i386_cpu *c, unsigned seg, uint64_t offset, unsigned size, uint64_t *linear)
{
    *linear = offset + (seg >= SEG_FS ? c->st->seg[seg].base : 0);
    return (i386_canonical(c->st, *linear) && i386_canonical(c->st, *linear + size - 1)) || i386_fail(c, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

static bool linear_32(struct i386_cpu *c, unsigned seg, uint32_t offset, unsigned size, uint64_t *linear)
{
    const struct i386_segment *sg = &c->st->seg[seg];

    *linear = (uint32_t)(sg->base + offset);
    return (sg->valid && within_limit(sg, offset, size)) || i386_fail(c, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

bool i386_linear_line(struct i386_cpu *c, unsigned seg, uint64_t offset, uint64_t *linear)
{
    return i386_64bit(c->st) ? linear_64(c, seg, offset, 1, linear) : linear_32(c, seg, (uint32_t)offset, 1, linear);
}

bool i386_linear_aligned(struct i386_cpu *c, unsigned seg, uint64_t offset, unsigned size, unsigned alignment, bool write, uint64_t *linear)
{
    if (i386_64bit(c->st)) {
        if (!linear_64(c, seg, offset, size, linear))
            return false;
    } else {
        if (!type_allows(&c->st->seg[seg], write))
            return i386_fail(c, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
        if (!linear_32(c, seg, (uint32_t)offset, size, linear))
            return false;
    }
    return !misaligned(c->st, *linear, alignment) || i386_fail(c, EXC_AC, 0);
}

bool i386_linear(struct i386_cpu *c, unsigned seg, uint64_t offset, unsigned size, bool write, uint64_t *linear)
{
    return i386_linear_aligned(c, seg, offset, size, alignment_of(size), write, linear);
}

bool i386_read(struct i386_cpu *c, unsigned seg, uint64_t offset, void *buf, unsigned size)
{
    uint64_t linear;

    return i386_linear(c, seg, offset, size, false, &linear) && ucpu_load(&c->u, linear, buf, size);
}

bool i386_write(struct i386_cpu *c, unsigned seg, uint64_t offset, const void *buf, unsigned size)
{
    uint64_t linear;

    return i386_linear(c, seg, offset, size, true, &linear) && ucpu_store(&c->u, linear, buf, size);
}

/* ---- stacks ---- */

static unsigned regime_of(unsigned cpl)
{
    return cpl == 3 ? MMU_USER : MMU_SUPERVISOR;
}

static uint32_t stack_mask(const struct i386_stack *st)
{
    return st->ss.attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu;
}

/* RSP += bytes, within the stack's address size. */
static void stack_skip(struct i386_stack *st, uint32_t bytes)
{
    uint32_t mask = stack_mask(st);

    if (st->wide)
        st->rsp += (uint64_t)(int32_t)bytes;
    else
        st->rsp = ((uint32_t)st->rsp & ~mask) | ((st->rsp + bytes) & mask);
}

void i386_stack_current(const struct i386_cpu *c, struct i386_stack *st)
{
    st->ss = c->st->seg[SEG_SS];
    st->rsp = c->st->gpr[ESP];
    st->mode = i386_regime(c->st);
    st->wide = i386_64bit(c->st);
    st->error = 0;
}

/* Linear address of `size` bytes on the stack's top, or #SS. */
static bool stack_linear(struct i386_cpu *c, const struct i386_stack *st, unsigned size, bool write, uint64_t *linear)
{
    uint32_t offset = (uint32_t)st->rsp & stack_mask(st);

    if (st->wide) {
        *linear = st->rsp;
        return (i386_canonical(c->st, st->rsp) && i386_canonical(c->st, st->rsp + size - 1)) ||
               i386_fail(c, EXC_SS, st->error);
    }

    if (!st->ss.valid || !type_allows(&st->ss, write) || !within_limit(&st->ss, offset, size))
        return i386_fail(c, EXC_SS, st->error);
    *linear = (uint32_t)(st->ss.base + offset);
    return true;
}

bool i386_stack_push(struct i386_cpu *c, struct i386_stores *s, struct i386_stack *st, unsigned size, uint64_t value)
{
    uint64_t linear;

    stack_skip(st, 0u - size);
    return stack_linear(c, st, size, true, &linear) && i386_stores_add(c, s, st->mode, linear, size, value);
}

bool i386_stack_pop(struct i386_cpu *c, struct i386_stack *st, unsigned size, uint64_t *value)
{
    uint64_t linear;

    *value = 0;
    if (!stack_linear(c, st, size, false, &linear) || !ucpu_load_mode(&c->u, st->mode, linear, value, size))
        return false;
    stack_skip(st, size);
    return true;
}

/* Linear address of `bytes` from st->rsp + skip on, all of them in an ordinary stack. False: go by single ones. */
static bool frame_linear(const struct i386_cpu *c, const struct i386_stack *st, int64_t skip, unsigned bytes, bool write,
                         uint64_t *linear)
{
    uint64_t first = st->rsp + (uint64_t)skip, last;

    if (st->wide) {
        last = first + (bytes - 1);
        *linear = first;
        return !((first ^ last) & PAGE_MASK) && i386_canonical(c->st, first);
    }
    first = (uint32_t)first;
    last = first + (bytes - 1);
    *linear = (uint32_t)(st->ss.base + first);
    return st->ss.valid && (st->ss.attr & SEG_ATTR_DB) && type_allows(&st->ss, write) && !is_expand_down(&st->ss) &&
           last <= st->ss.limit;
}

bool i386_stack_push_all(struct i386_cpu *c, struct i386_stores *s, struct i386_stack *st, unsigned size, const uint64_t *values,
                         unsigned n)
{
    unsigned bytes = n * size;
    uint8_t *to = NULL;
    uint64_t linear;

    CHECK(bytes <= I386_MAX_FRAME);
    if (size > 2 && frame_linear(c, st, -(int64_t)bytes, bytes, true, &linear))
        to = ucpu_host_mode(&c->u, st->mode, linear, bytes, ACCESS_WRITE);
    if (!to) {
        for (unsigned i = 0; i < n; i++)
            if (!i386_stack_push(c, s, st, size, values[i]))
                return false;
        return true;
    }
    for (unsigned i = 0; size == 4 && i < n; i++)
        put_le(s->frame + (n - 1 - i) * 4, values[i], 4);
    for (unsigned i = 0; size == 8 && i < n; i++)
        put_le(s->frame + (n - 1 - i) * 8, values[i], 8);
    stack_skip(st, 0u - bytes);
    s->frame_va = linear;
    s->frame_bytes = bytes;
    s->frame_mode = st->mode;
    if (s->count)
        return plan(c, s, st->mode, linear, bytes, 0);
    s->direct = to;
    return true;
}

bool i386_stack_pop_all(struct i386_cpu *c, struct i386_stack *st, unsigned size, uint64_t *values, unsigned n)
{
    unsigned bytes = n * size;
    const uint8_t *from = NULL;
    uint64_t linear;

    if (size > 2 && frame_linear(c, st, 0, bytes, false, &linear))
        from = ucpu_host_mode(&c->u, st->mode, linear, bytes, ACCESS_READ);
    if (!from) {
        for (unsigned i = 0; i < n; i++)
            if (!i386_stack_pop(c, st, size, &values[i]))
                return false;
        return true;
    }
    for (unsigned i = 0; size == 4 && i < n; i++)
        values[i] = get_le32(from + i * 4);
    for (unsigned i = 0; size == 8 && i < n; i++)
        values[i] = get_le64(from + i * 8);
    stack_skip(st, bytes);
    return true;
}

bool i386_stack_inner(struct i386_cpu *c, struct i386_stores *s, unsigned cpl, struct i386_stack *st)
{
    const struct i386_segment *tr = &c->st->seg[SEG_TR];
    bool tss32 = tr->attr & SYS_32BIT;
    uint32_t offset = tss32 ? 4 + cpl * 8 : 2 + cpl * 4;
    unsigned size = tss32 ? 4 : 2;
    struct i386_desc d;
    uint32_t esp = 0;
    uint16_t ss = 0;

    if (!tr->valid || offset + size + 1 > tr->limit)
        return fail_selector(c, EXC_TS, tr->selector);
    if (!ucpu_load_mode(&c->u, MMU_SUPERVISOR, i386_system_address(c->st, tr->base + offset), &esp, size) ||
        !ucpu_load_mode(&c->u, MMU_SUPERVISOR, i386_system_address(c->st, tr->base + offset + size), &ss, 2))
        return false;
    if (selector_is_null(ss))
        return i386_fail(c, EXC_TS, 0);
    if (!i386_desc_read(c, ss, EXC_TS, &d))
        return false;
    if ((ss & 3) != cpl || desc_dpl(&d) != cpl || !desc_is_writable_data(&d))
        return fail_selector(c, EXC_TS, ss);
    if (!desc_present(&d))
        return fail_selector(c, EXC_SS, ss);
    if (!i386_stores_accessed(c, s, &d))
        return false;
    st->ss = i386_desc_segment(&d, ss);
    st->rsp = esp;
    st->mode = regime_of(cpl);
    st->wide = false;
    st->error = ss & 0xfffcu;
    return true;
}

bool i386_stack_tss64(struct i386_cpu *c, unsigned offset, unsigned cpl, struct i386_stack *st)
{
    const struct i386_segment *tr = &c->st->seg[SEG_TR];

    *st = (struct i386_stack){.mode = regime_of(cpl), .wide = true};
    if (!tr->valid || offset + 7 > tr->limit)
        return fail_selector(c, EXC_TS, tr->selector);
    return ucpu_load_mode(&c->u, MMU_SUPERVISOR, tr->base + offset, &st->rsp, 8);
}

/* ---- loading segment registers ---- */

void i386_null_segment(struct i386_cpu *c, unsigned seg, uint16_t selector)
{
    c->st->seg[seg] = (struct i386_segment){.selector = selector};
}

void i386_real_segment(struct i386_state *s, unsigned seg, uint16_t selector, bool vm86)
{
    struct i386_segment *sg = &s->seg[seg];

    sg->selector = selector;
    sg->base = (uint32_t)selector << 4;
    if (vm86) {
        sg->limit = 0xffff;
        sg->attr = SEG_ATTR_P | SEG_ATTR_DPL | SEG_ATTR_S | 3;
    } else {
        if (!sg->valid)
            sg->limit = 0xffff; /* a null segment has none to keep */
        sg->attr = (sg->attr & (SEG_ATTR_DB | SEG_ATTR_G)) | SEG_ATTR_P | SEG_ATTR_S | 3;
    }
    sg->valid = 1;
}

/* SS in protected mode (SDM 2B, MOV). */
static bool check_stack_segment(struct i386_cpu *c, uint16_t selector, struct i386_desc *d)
{
    unsigned cpl = c->st->cpl;

    if (selector_is_null(selector))
        return i386_fail(c, EXC_GP, 0);
    if (!i386_desc_read(c, selector, EXC_GP, d))
        return false;
    if ((selector & 3) != cpl || !desc_is_writable_data(d) || desc_dpl(d) != cpl)
        return fail_selector(c, EXC_GP, selector);
    if (!desc_present(d))
        return fail_selector(c, EXC_SS, selector);
    return true;
}

static bool check_data_segment(struct i386_cpu *c, uint16_t selector, struct i386_desc *d)
{
    unsigned cpl = c->st->cpl, rpl = selector & 3;
    bool conforming;

    if (!i386_desc_read(c, selector, EXC_GP, d))
        return false;
    if (!desc_is_readable(d))
        return fail_selector(c, EXC_GP, selector);
    conforming = desc_is_code(d) && desc_is_conforming(d);
    if (!conforming && (desc_dpl(d) < cpl || desc_dpl(d) < rpl))
        return fail_selector(c, EXC_GP, selector);
    if (!desc_present(d))
        return fail_selector(c, EXC_NP, selector);
    return true;
}

int i386_load_segment(struct i386_cpu *c, unsigned seg, uint16_t selector)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    struct i386_desc d;

    if (i386_quick_segment(c, seg, selector))
        return UOP_NEXT;
    i386_stores_begin(&stores);
    if (!i386_uses_descriptors(s)) {
        i386_real_segment(s, seg, selector, i386_vm86(s));
        i386_mode_changed(c);
        return UOP_NEXT;
    }
    if (selector_is_null(selector) && (seg != SEG_SS || (i386_64bit(s) && s->cpl < 3 && (selector & 3) == s->cpl))) {
        i386_null_segment(c, seg, selector);
        i386_segment_loaded(c, seg);
        return UOP_NEXT;
    }
    if (seg == SEG_SS ? !check_stack_segment(c, selector, &d) : !check_data_segment(c, selector, &d))
        return UOP_FAULT;
    if (!i386_stores_accessed(c, &stores, &d))
        return UOP_FAULT;
    i386_stores_commit(c, &stores);
    s->seg[seg] = i386_desc_segment(&d, selector);
    i386_segment_loaded(c, seg);
    return UOP_NEXT;
}

void i386_hide_segments(struct i386_cpu *c)
{
    static const unsigned data[] = {SEG_ES, SEG_FS, SEG_GS, SEG_DS};

    for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
        struct i386_segment *sg = &c->st->seg[data[i]];
        bool conforming_code = (sg->attr & 0xc) == 0xc;
        uint64_t base = sg->base;

        if (!sg->valid) {
            sg->selector = 0; /* whatever its RPL was */
        } else if (!conforming_code && (unsigned)(sg->attr >> 5 & 3) < c->st->cpl) {
            i386_null_segment(c, data[i], 0);
            if (i386_long(c->st))
                sg->base = base; /* 64-bit mode looks at that of FS and GS, null or not */
        }
    }
}

/* ---- far transfers ---- */

/* Continue at selector:eip in the code segment *d with privilege `cpl`. */
static void enter_code(struct i386_cpu *c, const struct i386_desc *d, uint16_t selector, uint64_t eip, unsigned cpl)
{
    struct i386_state *s = c->st;

    s->seg[SEG_CS] = i386_desc_segment(d, (uint16_t)((selector & 0xfffcu) | cpl));
    s->cpl = cpl;
    s->rip = eip;
}

/* Far JMP and CALL outside protected mode. */
static int far_real(struct i386_cpu *c, uint16_t selector, uint64_t offset, bool call, unsigned size, uint64_t next_eip)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    struct i386_stack st;
    uint32_t limit = i386_vm86(s) ? 0xffff : s->seg[SEG_CS].limit;

    i386_stores_begin(&stores);
    i386_stack_current(c, &st);
    if (call && (!i386_stack_push(c, &stores, &st, size, s->seg[SEG_CS].selector) ||
                 !i386_stack_push(c, &stores, &st, size, next_eip)))
        return UOP_FAULT;
    if (offset > limit)
        return i386_raise_error(c, EXC_GP, 0);
    i386_stores_commit(c, &stores);
    s->gpr[ESP] = st.rsp;
    i386_real_segment(s, SEG_CS, selector, i386_vm86(s));
    s->rip = offset;
    i386_mode_changed(c);
    return UOP_LEAVE;
}

/* A code segment named directly by a far JMP or CALL. */
static int far_code(struct i386_cpu *c, struct i386_desc *d, uint16_t selector, uint64_t offset, bool call, unsigned size,
                    uint64_t next_eip)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    unsigned rpl = selector & 3;
    struct i386_stack st;

    i386_stores_begin(&stores);
    if (!desc_is_code(d) || is_no_mode(c, d))
        return i386_fault_selector(c, EXC_GP, selector);
    if (desc_is_conforming(d) ? desc_dpl(d) > s->cpl : rpl > s->cpl || desc_dpl(d) != s->cpl)
        return i386_fault_selector(c, EXC_GP, selector);
    if (!desc_present(d))
        return i386_fault_selector(c, EXC_NP, selector);
    if (call && i386_long(s) && !desc_is_64bit(d))
        offset = (uint32_t)offset; /* JMP does not (SDM 2A, both) */
    i386_stack_current(c, &st);
    if (call && (!i386_stack_push(c, &stores, &st, size, s->seg[SEG_CS].selector) ||
                 !i386_stack_push(c, &stores, &st, size, next_eip)))
        return UOP_FAULT;
    if (!i386_code_target(c, d, offset))
        return UOP_FAULT;
    if (!i386_stores_accessed(c, &stores, d))
        return UOP_FAULT;
    i386_stores_commit(c, &stores);
    s->gpr[ESP] = st.rsp;
    enter_code(c, d, selector, offset, s->cpl);
    i386_mode_changed(c);
    return UOP_LEAVE;
}

/* CALL through a gate to a more privileged level: the stack changes, parameters move over. */
static int call_gate_inner(struct i386_cpu *c, const struct i386_desc *gate, struct i386_desc *code, uint64_t next_eip)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    unsigned cpl = desc_dpl(code), size = desc_type(gate) & SYS_32BIT ? 4 : 2;
    unsigned nparams = gate->hi & 31;
    struct i386_stack st, old;
    uint64_t params[31];

    i386_stores_begin(&stores);
    if (!i386_stack_inner(c, &stores, cpl, &st))
        return UOP_FAULT;
    i386_stack_current(c, &old);
    for (unsigned i = 0; i < nparams; i++) {
        if (!i386_stack_pop(c, &old, size, &params[i]))
            return UOP_FAULT;
    }
    if (!i386_stack_push(c, &stores, &st, size, s->seg[SEG_SS].selector) ||
        !i386_stack_push(c, &stores, &st, size, s->gpr[ESP]))
        return UOP_FAULT;
    for (unsigned i = nparams; i-- > 0;) {
        if (!i386_stack_push(c, &stores, &st, size, params[i]))
            return UOP_FAULT;
    }
    if (!i386_stack_push(c, &stores, &st, size, s->seg[SEG_CS].selector) ||
        !i386_stack_push(c, &stores, &st, size, next_eip))
        return UOP_FAULT;
    if (gate_offset(gate) > desc_limit(code))
        return i386_raise_error(c, EXC_GP, 0);
    if (!i386_stores_accessed(c, &stores, code))
        return UOP_FAULT;
    i386_stores_commit(c, &stores);
    s->seg[SEG_SS] = st.ss;
    s->gpr[ESP] = st.rsp;
    enter_code(c, code, gate_selector(gate), gate_offset(gate), cpl);
    i386_mode_changed(c);
    return UOP_LEAVE;
}

/* The same in long mode: no parameters, a stack without segment. */
static int call_gate_inner_long(struct i386_cpu *c, const struct i386_desc *gate, struct i386_desc *code, uint64_t next_eip)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    unsigned cpl = desc_dpl(code);
    struct i386_stack st;

    i386_stores_begin(&stores);
    if (!i386_stack_tss64(c, TSS64_RSP(cpl), cpl, &st))
        return UOP_FAULT;
    if (!i386_stack_push(c, &stores, &st, 8, s->seg[SEG_SS].selector) || !i386_stack_push(c, &stores, &st, 8, s->gpr[ESP]) ||
        !i386_stack_push(c, &stores, &st, 8, s->seg[SEG_CS].selector) || !i386_stack_push(c, &stores, &st, 8, next_eip))
        return UOP_FAULT;
    if (!i386_code_target(c, code, gate_offset(gate)) || !i386_stores_accessed(c, &stores, code))
        return UOP_FAULT;
    i386_stores_commit(c, &stores);
    i386_null_segment(c, SEG_SS, (uint16_t)cpl);
    s->gpr[ESP] = st.rsp;
    enter_code(c, code, gate_selector(gate), gate_offset(gate), cpl);
    i386_mode_changed(c);
    return UOP_LEAVE;
}

static int far_call_gate(struct i386_cpu *c, const struct i386_desc *gate, bool call, uint64_t next_eip)
{
    struct i386_state *s = c->st;
    uint16_t selector = gate_selector(gate);
    struct i386_desc code;
    bool is_long = i386_long(s);
    unsigned size = is_long ? 8 : desc_type(gate) & SYS_32BIT ? 4 : 2;

    if (selector_is_null(selector))
        return i386_raise_error(c, EXC_GP, 0);
    if (!i386_desc_read(c, selector, EXC_GP, &code))
        return UOP_FAULT;
    if (!desc_is_code(&code) || desc_dpl(&code) > s->cpl ||
        (is_long && (!desc_is_64bit(&code) || desc_is_32bit(&code))))
        return i386_fault_selector(c, EXC_GP, selector);
    if (!call && !desc_is_conforming(&code) && desc_dpl(&code) != s->cpl)
        return i386_fault_selector(c, EXC_GP, selector);
    if (!desc_present(&code))
        return i386_fault_selector(c, EXC_NP, selector);
    if (call && !desc_is_conforming(&code) && desc_dpl(&code) < s->cpl)
        return is_long ? call_gate_inner_long(c, gate, &code, next_eip) : call_gate_inner(c, gate, &code, next_eip);
    /* Same level. The RPL of the gate's selector does not count. */
    return far_code(c, &code, selector & 0xfffcu, gate_offset(gate), call, size, next_eip);
}

static int far_protected(struct i386_cpu *c, uint16_t selector, uint64_t offset, bool call, unsigned size,
                         uint64_t next_eip)
{
    enum task_source source = call ? TASK_CALL : TASK_JUMP;
    unsigned rpl = selector & 3;
    struct i386_desc d;

    if (selector_is_null(selector))
        return i386_raise_error(c, EXC_GP, 0);
    if (!i386_desc_read(c, selector, EXC_GP, &d))
        return UOP_FAULT;
    if (!desc_is_system(&d))
        return far_code(c, &d, selector, offset, call, size, next_eip);
    if (i386_long(c->st) && desc_type(&d) != SYS_CALL32)
        return i386_fault_selector(c, EXC_GP, selector);
    switch (desc_type(&d)) {
    case SYS_TSS16: case SYS_TSS32: case SYS_CALL16: case SYS_CALL32: case SYS_TASK_GATE:
        break;
    default:
        return i386_fault_selector(c, EXC_GP, selector);
    }
    if (desc_dpl(&d) < c->st->cpl || desc_dpl(&d) < rpl)
        return i386_fault_selector(c, EXC_GP, selector);
    if (desc_type(&d) == SYS_TSS16 || desc_type(&d) == SYS_TSS32)
        return i386_task_switch(c, selector, source, next_eip, false, 0);
    if (!desc_present(&d))
        return i386_fault_selector(c, EXC_NP, selector);
    if (i386_long(c->st) && !i386_desc_read_upper(c, selector, &d))
        return UOP_FAULT;
    if (desc_type(&d) == SYS_TASK_GATE)
        return i386_task_switch(c, gate_selector(&d), source, next_eip, false, 0);
    return far_call_gate(c, &d, call, next_eip);
}

int i386_far_jump(struct i386_cpu *c, uint16_t selector, uint64_t offset, unsigned size)
{
    /* A task switch saves the EIP after the JMP, which ends its block. */
    uint64_t next_eip = i386_next_eip(c);

    if (size == 2)
        offset &= 0xffff;
    if (!i386_uses_descriptors(c->st))
        return far_real(c, selector, offset, false, size, 0);
    return far_protected(c, selector, offset, false, size, next_eip);
}

int i386_far_call(struct i386_cpu *c, uint16_t selector, uint64_t offset, unsigned size, uint64_t next_eip)
{
    if (size == 2)
        offset &= 0xffff;
    if (!i386_uses_descriptors(c->st))
        return far_real(c, selector, offset, true, size, next_eip);
    return far_protected(c, selector, offset, true, size, next_eip);
}

/* ---- returns ---- */

bool i386_return_code(struct i386_cpu *c, uint16_t selector, struct i386_desc *d)
{
    unsigned rpl = selector & 3;

    if (selector_is_null(selector))
        return i386_fail(c, EXC_GP, 0);
    if (!i386_desc_read(c, selector, EXC_GP, d))
        return false;
    if (rpl < c->st->cpl || !desc_is_code(d) || is_no_mode(c, d))
        return fail_selector(c, EXC_GP, selector);
    if (desc_is_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl)
        return fail_selector(c, EXC_GP, selector);
    if (!desc_present(d))
        return fail_selector(c, EXC_NP, selector);
    return true;
}

bool i386_return_stack(struct i386_cpu *c, uint16_t selector, unsigned rpl, struct i386_desc *d)
{
    if (selector_is_null(selector))
        return i386_fail(c, EXC_GP, 0);
    if (!i386_desc_read(c, selector, EXC_GP, d))
        return false;
    if ((selector & 3) != rpl || !desc_is_writable_data(d) || desc_dpl(d) != rpl)
        return fail_selector(c, EXC_GP, selector);
    if (!desc_present(d))
        return fail_selector(c, EXC_SS, selector);
    return true;
}

static int far_return_real(struct i386_cpu *c, unsigned size, uint16_t extra_bytes)
{
    struct i386_state *s = c->st;
    uint32_t limit = i386_vm86(s) ? 0xffff : s->seg[SEG_CS].limit;
    struct i386_stack st;
    uint64_t eip, cs;

    i386_stack_current(c, &st);
    if (!i386_stack_pop(c, &st, size, &eip) || !i386_stack_pop(c, &st, size, &cs))
        return UOP_FAULT;
    if (eip > limit)
        return i386_raise_error(c, EXC_GP, 0);
    stack_skip(&st, extra_bytes);
    s->gpr[ESP] = st.rsp;
    i386_real_segment(s, SEG_CS, (uint16_t)cs, i386_vm86(s));
    s->rip = eip;
    i386_mode_changed(c);
    return UOP_LEAVE;
}

/* The second half of a far return to an outer level; `st` is behind the parameters. */
static int far_return_outer(struct i386_cpu *c, struct i386_stack *st, unsigned size, uint16_t extra_bytes,
                            struct i386_desc *code, uint16_t cs, uint64_t eip)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    struct i386_desc stack;
    uint64_t esp, ss;
    bool null;

    i386_stores_begin(&stores);
    if (!i386_stack_pop(c, st, size, &esp) || !i386_stack_pop(c, st, size, &ss))
        return UOP_FAULT;
    null = i386_long(s) && i386_null_stack_allowed((uint16_t)ss, cs & 3, code);
    if (!null && !i386_return_stack(c, (uint16_t)ss, cs & 3, &stack))
        return UOP_FAULT;
    if (!i386_code_target(c, code, eip))
        return UOP_FAULT;
    if (!i386_stores_accessed(c, &stores, code) || (!null && !i386_stores_accessed(c, &stores, &stack)))
        return UOP_FAULT;
    i386_stores_commit(c, &stores);
    enter_code(c, code, cs, eip, cs & 3);
    if (null)
        i386_null_segment(c, SEG_SS, (uint16_t)ss);
    else
        s->seg[SEG_SS] = i386_desc_segment(&stack, (uint16_t)ss);
    st->ss = s->seg[SEG_SS];
    st->wide = i386_64bit(s);
    st->rsp = st->wide || st->ss.attr & SEG_ATTR_DB ? esp : (s->gpr[ESP] & ~(uint64_t)0xffff) | (esp & 0xffff);
    stack_skip(st, extra_bytes);
    s->gpr[ESP] = st->rsp;
    i386_hide_segments(c);
    i386_mode_changed(c);
    return UOP_LEAVE;
}

int i386_far_return(struct i386_cpu *c, unsigned size, uint16_t extra_bytes)
{
    struct i386_state *s = c->st;
    struct i386_stores stores;
    struct i386_stack st;
    struct i386_desc d;
    uint64_t eip, cs;

    i386_stores_begin(&stores);
    if (!i386_uses_descriptors(s))
        return far_return_real(c, size, extra_bytes);
    i386_stack_current(c, &st);
    if (!i386_stack_pop(c, &st, size, &eip) || !i386_stack_pop(c, &st, size, &cs))
        return UOP_FAULT;
    if (!i386_return_code(c, (uint16_t)cs, &d))
        return UOP_FAULT;
    stack_skip(&st, extra_bytes);
    if ((cs & 3) > s->cpl)
        return far_return_outer(c, &st, size, extra_bytes, &d, (uint16_t)cs, eip);
    if (!i386_code_target(c, &d, eip))
        return UOP_FAULT;
    if (!i386_stores_accessed(c, &stores, &d))
        return UOP_FAULT;
    i386_stores_commit(c, &stores);
    s->gpr[ESP] = st.rsp;
    enter_code(c, &d, (uint16_t)cs, eip, s->cpl);
    i386_mode_changed(c);
    return UOP_LEAVE;
}
