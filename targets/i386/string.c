/*
 * String instructions and port I/O (SDM 2: MOVS, CMPS, STOS, LODS, SCAS, INS,
 * OUTS, REP, IN, OUT).
 *
 * One iteration of a repeated instruction is one step. Iterations over memory
 * that the softmmu lets be accessed inline are made in bulk, as many as the
 * budget has; the result is that of single iterations in the same order. An
 * iteration that needs more than that (TLB miss, page crossing, device,
 * watched page, one with code that is running, page-table entries that it was found through) is made alone, as the
 * first of a call, so that what it does besides (accessed bits, exceptions) happens at its own position.
 *
 * In mid-instruction the PC stays on it, with rep_active and rep_start set.
 * Whoever enters an interrupt or exception handler clears both.
 */
#include "i386/helpers.h"
#include "i386/protect.h"
#include "i386/svm.h"

#include <string.h>

#include "base/bytes.h"

struct string {
    struct i386_cpu *c;
    struct i386_state *st;
    unsigned kind, size;
    unsigned seg;   /* of ESI */
    uint64_t mask;  /* of addresses and counts */
    int64_t delta;  /* of ESI and EDI: size or -size */
    bool repeated, while_equal;
    uint8_t *read_host; /* host address of the source page that iterate() just read, or NULL... */
    uint64_t read_page; /* ...and its linear address */
};

static uint64_t element_mask(const struct string *s)
{
    return UINT64_MAX >> (64 - 8 * s->size);
}

static bool compares(const struct string *s)
{
    return s->kind == STRING_CMPS || s->kind == STRING_SCAS;
}

static bool uses_source(const struct string *s)
{
    return s->kind == STRING_MOVS || s->kind == STRING_CMPS || s->kind == STRING_LODS || s->kind == STRING_OUTS;
}

static bool uses_destination(const struct string *s)
{
    return s->kind != STRING_LODS && s->kind != STRING_OUTS;
}

static bool writes_destination(const struct string *s)
{
    return s->kind == STRING_MOVS || s->kind == STRING_STOS || s->kind == STRING_INS;
}

/* Add `n` to a register as far as the address size reaches. */
static void advance(const struct string *s, unsigned reg, int64_t n)
{
    uint64_t *r = &s->st->gpr[reg];

    /* With 32-bit addresses in 64-bit mode the result is zero-extended; elsewhere that is the same. */
    *r = (s->mask == 0xffff ? *r & ~s->mask : 0) | ((*r + (uint64_t)n) & s->mask);
}

static uint64_t offset(const struct string *s, unsigned reg)
{
    return s->st->gpr[reg] & s->mask;
}

static uint64_t linear_of(const struct string *s, unsigned seg, uint64_t off)
{
    if (i386_64bit(s->st))
        return off + (seg >= SEG_FS ? s->st->seg[seg].base : 0);
    return (uint32_t)(s->st->seg[seg].base + off);
}

/* AL, AX, EAX (zero-extended), RAX. */
static void set_accumulator(const struct string *s, uint64_t v)
{
    if (s->size == 4)
        s->st->gpr[EAX] = (uint32_t)v;
    else
        memcpy(&s->st->gpr[EAX], &v, s->size);
}

static void compare(const struct string *s, uint64_t a, uint64_t b)
{
    uint64_t mask = element_mask(s);

    s->st->cc = (struct lazy_flags){.op = FLAGS_SUB | (uint32_t)__builtin_ctz(s->size), .dst = (a - b) & mask, .src = b & mask};
}

/* Does the comparison just made end a repetition? */
static bool mismatch(const struct string *s)
{
    return compares(s) && (s->st->cc.dst == 0) != s->while_equal;
}

/* ---- ports ---- */

/* i386_io_allowed(), which need not be asked mostly; and a guest's monitor has to allow it: `kind` is for i386_svm_io(). */
static bool may_use(struct i386_cpu *c, uint16_t port, unsigned size, unsigned kind)
{
    const struct i386_state *s = c->st;

    if (((s->eflags & EFLAGS_VM) || s->cpl > (s->eflags >> 12 & 3)) && !i386_io_allowed(c, port, size))
        return false;
    return !i386_svm_guest(s) || i386_svm_io(c, port, size, kind);
}

static uint32_t port_read(struct i386_cpu *c, uint16_t port, unsigned size)
{
    uint32_t v = c->io_read ? c->io_read(c->io_ctx, port, size) : 0xffffffffu;

    if (c->st->cr4 & CR4_DE)
        i386_io_break(c, port, size);
    return v;
}

static void port_write(struct i386_cpu *c, uint16_t port, unsigned size, uint32_t v)
{
    if (c->io_write)
        c->io_write(c->io_ctx, port, size, v & 0xffffffffu >> (32 - 8 * size));
    if (c->st->cr4 & CR4_DE)
        i386_io_break(c, port, size);
}

int i386_op_in(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    unsigned size = op->b & 15;
    uint16_t port;
    uint32_t v;

    memcpy(&port, u->s + op->a, sizeof port);
    if (!may_use(c, port, size, SVM_IO_IN | SVM_IO_ADDRESS(op->b >> 4)))
        return UOP_FAULT;
    v = port_read(c, port, size);
    if (size == 4)
        c->st->gpr[EAX] = v;
    else if (size == 2)
        memcpy(u->s + op->d, &v, 2);
    else
        memcpy(u->s + op->d, &v, 1);
    return UOP_NEXT;
}

int i386_op_out(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    unsigned size = op->b & 15;
    uint32_t v = 0;
    uint16_t port;

    memcpy(&port, u->s + op->a, sizeof port);
    memcpy(&v, u->s + op->d, size);
    if (!may_use(c, port, size, SVM_IO_ADDRESS(op->b >> 4)))
        return UOP_FAULT;
    port_write(c, port, size, v);
    return UOP_NEXT;
}

/* ucpu_host(), which may refuse a source only because the destination took its
 * place in the TLB since it was read in this call: then it is remembered. */
static uint8_t *host_pointer(const struct string *s, uint64_t va, enum access access)
{
    uint8_t *host = ucpu_host(&s->c->u, va, access);

    if (host || access != ACCESS_READ || !s->read_host || s->read_page != (va & PAGE_MASK))
        return host;
    return s->read_host + (va & ~PAGE_MASK);
}

/* The source element was just read: remember where its page is. */
static void remember_source(struct string *s)
{
    s->read_page = linear_of(s, s->seg, offset(s, ESI)) & PAGE_MASK;
    s->read_host = ucpu_host(&s->c->u, s->read_page, ACCESS_READ);
}

/* ---- one iteration ---- */

/* For may_use(). */
static unsigned port_access(const struct string *s)
{
    unsigned address = s->mask == UINT64_MAX ? 8 : s->mask == UINT32_MAX ? 4 : 2;

    return SVM_IO_STRING | (s->kind == STRING_INS ? SVM_IO_IN : 0) | (s->repeated ? SVM_IO_REP : 0) | SVM_IO_ADDRESS(address);
}

/* INS and OUTS: the port is touched only when memory is known to answer. */
static bool port_iteration(const struct string *s)
{
    uint16_t port = (uint16_t)s->st->gpr[EDX];
    struct planned_store plan;
    uint64_t linear;
    uint32_t v = 0;

    if (!may_use(s->c, port, s->size, port_access(s)))
        return false;
    if (s->kind == STRING_OUTS) {
        if (!i386_read(s->c, s->seg, offset(s, ESI), &v, s->size))
            return false;
        port_write(s->c, port, s->size, v);
        return true;
    }
    if (!i386_linear(s->c, SEG_ES, offset(s, EDI), s->size, true, &linear) ||
        !ucpu_plan_store(&s->c->u, s->c->u.tlb_mode, linear, s->size, &plan))
        return false;
    v = port_read(s->c, port, s->size);
    ucpu_make_store(&s->c->u, &plan, &v);
    return true;
}

/* One iteration with all checks; false: it did not happen. */
static bool iterate(struct string *s)
{
    uint64_t a = s->st->gpr[EAX], b = 0;

    switch (s->kind) {
    case STRING_INS:
    case STRING_OUTS:
        if (!port_iteration(s))
            return false;
        break;
    case STRING_MOVS:
        if (!i386_read(s->c, s->seg, offset(s, ESI), &a, s->size))
            return false;
        remember_source(s);
        if (!i386_write(s->c, SEG_ES, offset(s, EDI), &a, s->size))
            return false;
        break;
    case STRING_STOS:
        if (!i386_write(s->c, SEG_ES, offset(s, EDI), &a, s->size))
            return false;
        break;
    case STRING_LODS:
        if (!i386_read(s->c, s->seg, offset(s, ESI), &a, s->size))
            return false;
        set_accumulator(s, a);
        break;
    case STRING_CMPS:
        if (!i386_read(s->c, s->seg, offset(s, ESI), &a, s->size))
            return false;
        /* fall through */
    default:
        if (!i386_read(s->c, SEG_ES, offset(s, EDI), &b, s->size))
            return false;
        compare(s, a, b);
    }
    if (uses_source(s))
        advance(s, ESI, s->delta);
    if (uses_destination(s))
        advance(s, EDI, s->delta);
    if (s->repeated)
        advance(s, ECX, -1);
    return true;
}

/* ---- many iterations ---- */

/* A host pointer to the current element through `seg`, and how many elements from
 * it on lie within page, limit and address size; 0: none that can be done inline. The pointer may be NULL if they are to be written: overwritten()
 * may have one. */
static uint64_t span(const struct string *s, unsigned seg, unsigned reg, enum access access, uint8_t **host)
{
    const struct i386_segment *g = &s->st->seg[seg];
    enum seg_class class = mode_seg(s->c->block_mode, seg);
    bool limited = class == SEG_UP || (access == ACCESS_READ && mode_reads(s->c->block_mode, seg));
    uint64_t off = offset(s, reg), va = linear_of(s, seg, off), in_page = va & ~PAGE_MASK;
    uint64_t last = limited && g->limit < s->mask ? g->limit : s->mask; /* last valid offset */
    uint64_t n, room;

    if (i386_64bit(s->st)) {
        class = s->c->block_mode & MODE_ALIGN || !i386_canonical(s->st, va) ? SEG_GENERAL : SEG_FLAT;
        last = s->mask;
    }
    if ((class == SEG_GENERAL && !limited) || off > last || last - off < s->size - 1 || in_page + s->size > PAGE_SIZE)
        return 0;
    *host = host_pointer(s, va, access);
    if (!*host && access != ACCESS_WRITE)
        return 0;
    if (s->delta < 0) {
        n = in_page / s->size + 1;
        room = off / s->size + 1;
    } else {
        n = (PAGE_SIZE - in_page) / s->size;
        room = last - off == UINT64_MAX ? UINT64_MAX : (last - off + 1) / s->size;
    }
    return n < room ? n : room;
}

/* The same of a page that is not written inline, for *n elements that will be, or the first of them. */
static uint8_t *overwritten(struct string *s, uint64_t *n)
{
    uint64_t va = linear_of(s, SEG_ES, offset(s, EDI));
    unsigned len = (unsigned)*n * s->size, most = len;
    uint8_t *host = ucpu_host_overwritten(&s->c->u, s->delta < 0 ? va - (len - s->size) : va, &len);

    s->read_host = NULL;
    if (s->delta < 0)
        return host && len == most ? host + (len - s->size) : NULL;
    *n = len / s->size;
    return *n ? host : NULL;
}

/* Copy n elements in the order of iterations. */
static void copy(const struct string *s, uint8_t *dst, const uint8_t *src, uint64_t n)
{
    size_t len = n * s->size;
    ptrdiff_t step = s->delta;
    bool forward = step > 0;
    uint8_t *low_dst = forward ? dst : dst - (len - s->size);
    const uint8_t *low_src = forward ? src : src - (len - s->size);

    /* An element is overwritten before it is read only if the destination runs ahead. */
    if (low_dst + len <= low_src || low_src + len <= low_dst || (forward ? dst <= src : dst >= src)) {
        memmove(low_dst, low_src, len);
        return;
    }
    for (; n; n--, dst += step, src += step)
        memmove(dst, src, s->size);
}

static void fill(const struct string *s, uint8_t *dst, uint64_t n)
{
    uint64_t v = s->st->gpr[EAX], len = n * s->size;

    if (s->delta < 0)
        dst -= len - s->size;
    if (s->size < 8)
        v &= element_mask(s);
    for (unsigned bits = 8 * s->size; bits < 64; bits *= 2)
        v |= v << bits;
    for (; len >= 8; len -= 8, dst += 8)
        memcpy(dst, &v, 8);
    memcpy(dst, &v, len);
}

/* Compare up to n elements; returns how many were. Leaves the flags of the last. */
static uint64_t scan(const struct string *s, const uint8_t *src, const uint8_t *dst, uint64_t n)
{
    uint64_t a = s->st->gpr[EAX] & element_mask(s), b = 0;
    ptrdiff_t step = s->delta;
    uint64_t i;

    for (i = 0; i < n;) {
        if (src)
            a = get_le(src + (ptrdiff_t)i * step, s->size);
        b = get_le(dst + (ptrdiff_t)i * step, s->size);
        i++;
        if ((a == b) != s->while_equal)
            break;
    }
    compare(s, a, b);
    return i;
}

/* How many iterations may be made, when `made` were, `own` of them as the step that is taken off the budget already. */
static uint64_t may_be_made(const struct string *s, unsigned own, uint64_t made)
{
    uint64_t room = ucpu_rep_room(&s->c->u) + own;

    return room > made ? room - made : 0;
}

/* As many iterations as can be made inline, at most those that may be made now; 0: none. */
static uint64_t bulk(struct string *s, unsigned own, uint64_t made)
{
    uint8_t *src = NULL, *dst = NULL;
    uint64_t n = may_be_made(s, own, made);

    if (n > offset(s, ECX))
        n = offset(s, ECX);
    if (uses_destination(s)) {
        uint64_t m = span(s, SEG_ES, EDI, writes_destination(s) ? ACCESS_WRITE : ACCESS_READ, &dst);

        n = m < n ? m : n;
        if (n && !dst) {
            dst = overwritten(s, &n);
            m = may_be_made(s, own, made); /* translations that were dropped with the bytes may want the run loop */
            n = m < n ? m : n;
        }
        if (!dst)
            return 0;
    }
    if (uses_source(s)) {
        uint64_t m = span(s, s->seg, ESI, ACCESS_READ, &src);

        n = m < n ? m : n;
    }
    if (!n)
        return 0;
    switch (s->kind) {
    case STRING_MOVS:
        copy(s, dst, src, n);
        break;
    case STRING_STOS:
        fill(s, dst, n);
        break;
    case STRING_LODS:
        set_accumulator(s, get_le(src + (ptrdiff_t)(n - 1) * s->delta, s->size));
        break;
    default:
        n = scan(s, src, dst, n);
    }
    if (uses_source(s))
        advance(s, ESI, (int64_t)n * s->delta);
    if (uses_destination(s))
        advance(s, EDI, (int64_t)n * s->delta);
    advance(s, ECX, -(int64_t)n);
    return n;
}

/* ---- the instruction ---- */

static int repetition_done(struct i386_state *st)
{
    st->rep_active = 0;
    st->rep_start = 0;
    return UOP_NEXT;
}

/* Bulk until something needs a single iteration, the end, or the budget's. `own`: as may_be_made() has it. */
static uint64_t bulk_all(struct string *s, unsigned own)
{
    uint64_t done = 0, n;

    do {
        n = bulk(s, own, done);
        done += n;
    } while (n && may_be_made(s, own, done) && offset(s, ECX) && !mismatch(s));
    return done;
}

/* May what was remembered before the destination was stored at `edi` be used after it? A store changes no
 * translation if it is in one page that is written inline afterwards: that is where bulk() goes on. */
static bool goes_on_in_page(const struct string *s, uint64_t edi)
{
    uint64_t first = linear_of(s, SEG_ES, edi), next = linear_of(s, SEG_ES, offset(s, EDI));

    return !((first ^ next) & PAGE_MASK) && (first & ~PAGE_MASK) + s->size <= PAGE_SIZE;
}

static int repeat(struct string *s, uint64_t eip)
{
    struct ucpu *u = &s->c->u;
    struct i386_state *st = s->st;
    icount_t position = u->cpu.limit - u->cpu.budget - 1; /* of the block's last instruction */
    bool ports = s->kind == STRING_INS || s->kind == STRING_OUTS;
    uint64_t edi = offset(s, EDI), done;

    if (!offset(s, ECX))
        return repetition_done(st);
    done = ports ? 0 : bulk_all(s, 1);
    if (!done) {
        if (!iterate(s))
            return UOP_FAULT;
        done = 1;
        if (!goes_on_in_page(s, edi))
            s->read_host = NULL;
        if (!ports && !mismatch(s))
            done += bulk_all(s, 0);
    }
    if (done > 1)
        ucpu_rep_used(u, done - 1);
    i386_pmu_uncount(s->c, done - 1);
    if (!offset(s, ECX) || mismatch(s))
        return repetition_done(st);
    i386_pmu_uncount(s->c, 1);
    if (!st->rep_active) {
        st->rep_active = 1;
        st->rep_start = position;
    }
    st->rip = eip;
    return UOP_LEAVE;
}

int i386_op_string(struct ucpu *u, const struct uop *op)
{
    struct string s = {.c = i386_of(u), .st = i386_of(u)->st, .kind = op->d & 15, .size = op->b, .seg = op->a};

    s.mask = op->d & STRING_ADDR64 ? UINT64_MAX : op->d & STRING_ADDR32 ? 0xffffffffu : 0xffffu;
    s.delta = s.st->eflags & EFLAGS_DF ? -(int64_t)s.size : s.size;
    s.repeated = op->d & (STRING_REP | STRING_REPNE);
    s.while_equal = op->d & STRING_REP;
    if (s.repeated)
        return repeat(&s, s.st->t[2]);
    return iterate(&s) ? UOP_NEXT : UOP_FAULT;
}
