/*
 * The XSAVE feature set (SDM 1, chapter 13): XCR0, and areas that hold state by component: x87, SSE,
 * the upper halves of YMM registers, PKRU. There are no supervisor components: IA32_XSS holds 0.
 *
 * Choices where the manual leaves room:
 *   - XINUSE is a function of the registers: a component is in use if it differs from its initial configuration
 *     (13.6; processors may go on reporting one that does not). Of SSE and AVX all sixteen registers count, in
 *     every mode
 *   - the modified optimisation (XSAVEOPT, XSAVES) is not made: what is in use is always written
 *   - of a segment's limit, all of the area up to the last component that is asked for is checked
 *
 * Areas are written by their parts, all of which are checked before the first is. To add a component: its bit
 * (cpu.h), its row in `components`, its case in make_component(), load_component() and in_use().
 */
#include <string.h>

#include "base/bytes.h"
#include "i386/fpu.h"
#include "i386/protect.h"

#define HEADER       512 /* XSTATE_BV, XCOMP_BV, and zeros */
#define HEADER_BYTES 64
#define EXTENDED     576 /* the first component of a compacted area */
#define AREA_BYTES   2696
#define COMPACTED    ((uint64_t)1 << 63) /* XCOMP_BV */

/* What is saved behind the header; the legacy region's places are in fpu.h. */
static const struct part {
    uint64_t bit;
    uint16_t offset; /* in an area of the standard form */
    uint16_t size;
} components[] = {{XCR0_AVX, 576, 256}, {XCR0_PKRU, 2688, 8}};

/* ---- sizes (CPUID 0DH) ---- */

bool i386_xsave_component(unsigned n, uint32_t *offset, uint32_t *size)
{
    for (unsigned i = 0; i < ARRAY_LEN(components); i++)
        if (components[i].bit == (uint64_t)1 << n) {
            *offset = components[i].offset;
            *size = components[i].size;
            return true;
        }
    return false;
}

/* Where a component is in an area with those of `mask` that is compacted, or of the standard form. */
static unsigned place(const struct part *which, uint64_t mask, bool compacted)
{
    unsigned at = EXTENDED;

    if (!compacted)
        return which->offset;
    for (const struct part *c = components; c < which; c++)
        if (mask & c->bit)
            at += c->size;
    return at;
}

uint32_t i386_xsave_bytes(uint64_t mask, bool compacted)
{
    uint32_t end = EXTENDED;

    for (unsigned i = 0; i < ARRAY_LEN(components); i++)
        if (mask & components[i].bit)
            end = place(&components[i], mask, compacted) + components[i].size;
    return end;
}

uint64_t i386_xcr0_mask(const struct i386_model *m)
{
    uint64_t mask = 0;

    if (i386_has(m, FEATURE_XSAVE))
        mask |= XCR0_X87 | XCR0_SSE;
    if (i386_has(m, FEATURE_AVX))
        mask |= XCR0_AVX;
    if (mask && i386_has(m, FEATURE_PKU))
        mask |= XCR0_PKRU;
    return mask;
}

/* ---- components ---- */

static bool all_zero(const void *p, size_t len)
{
    const uint8_t *bytes = p;

    return !len || (!bytes[0] && !memcmp(bytes, bytes + 1, len - 1));
}

static bool x87_in_use(const struct i386_state *s)
{
    return s->fcw != FCW_INIT || s->fsw || s->ftag || s->fip || s->fdp || s->fcs || s->fds || s->fop ||
           !all_zero(s->fpr, sizeof s->fpr);
}

static uint64_t in_use(const struct i386_state *s)
{
    return (x87_in_use(s) ? XCR0_X87 : 0) | (all_zero(s->xmm, sizeof s->xmm) ? 0 : XCR0_SSE) |
           (all_zero(s->ymm_high, sizeof s->ymm_high) ? 0 : XCR0_AVX) | (s->pkru ? XCR0_PKRU : 0);
}

static void make_component(const struct i386_state *s, uint64_t bit, uint8_t *to)
{
    if (bit == XCR0_AVX)
        memcpy(to, s->ymm_high, i386_xmm_bytes(s));
    else
        put_le64(to, s->pkru);
}

/* From its image; NULL: its initial configuration. */
static void load_component(struct i386_cpu *c, uint64_t bit, const uint8_t *from)
{
    struct i386_state *s = c->st;

    if (bit == XCR0_AVX) {
        if (from)
            memcpy(s->ymm_high, from, i386_xmm_bytes(s));
        else
            memset(s->ymm_high, 0, i386_xmm_bytes(s));
    } else {
        i386_set_pkru(c, from ? get_le32(from) : 0);
    }
}

/* What of a component is transferred: outside 64-bit mode there are fewer registers. */
static unsigned bytes_of(const struct i386_state *s, const struct part *which)
{
    return which->bit == XCR0_AVX ? i386_xmm_bytes(s) : which->size;
}

/* ---- areas in memory ---- */

/* An instruction's area, and what it transfers of it. */
struct area {
    uint8_t bytes[AREA_BYTES];
    uint64_t linear;
    unsigned count;
    struct { uint16_t offset, size; } part[6];
};

#define UNIT 8 /* what a device sees */

static void add_part(struct area *a, unsigned offset, unsigned size)
{
    a->part[a->count].offset = (uint16_t)offset;
    a->part[a->count].size = (uint16_t)size;
    a->count++;
}

static bool write_parts(struct i386_cpu *c, const struct area *a)
{
    for (unsigned i = 0; i < a->count; i++)
        if (!ucpu_probe(&c->u, c->u.tlb_mode, a->linear + a->part[i].offset, a->part[i].size, ACCESS_WRITE))
            return false;
    for (unsigned i = 0; i < a->count; i++)
        if (!ucpu_store_units(&c->u, a->linear + a->part[i].offset, a->bytes + a->part[i].offset, a->part[i].size, UNIT))
            return false;
    return true;
}

static bool read_part(struct i386_cpu *c, struct area *a, unsigned offset, unsigned size)
{
    return ucpu_load_units(&c->u, a->linear + offset, a->bytes + offset, size, UNIT);
}

/* The checks that all of them have in common. */
static int begin(struct i386_cpu *c, const struct uop *op, bool supervisor)
{
    const struct i386_state *s = c->st;

    if (!(s->cr4 & CR4_OSXSAVE))
        return i386_raise(c, EXC_UD);
    if (s->cr0 & CR0_TS)
        return i386_raise(c, EXC_NM);
    if ((supervisor && s->cpl) || fx_misaligned(c, op, 64))
        return i386_raise_error(c, EXC_GP, 0);
    return UOP_NEXT;
}

/* Components asked for. */
static uint64_t requested(const struct i386_state *s)
{
    return s->xcr0 & (s->gpr[EDX] << 32 | (uint32_t)s->gpr[EAX]);
}

/* Where an area of that many bytes is; false: not within its segment. */
static bool locate(struct i386_cpu *c, const struct uop *op, unsigned bytes, bool write, struct area *a)
{
    return i386_linear(c, op->b & I386_FX_SEG, c->st->t[0], bytes, write, &a->linear);
}

/* ---- saving ---- */

static void save_extended(const struct i386_state *s, struct area *a, uint64_t mask, uint64_t saved, bool compacted)
{
    for (unsigned i = 0; i < ARRAY_LEN(components); i++)
        if (saved & components[i].bit) {
            unsigned at = place(&components[i], mask, compacted);

            make_component(s, components[i].bit, a->bytes + at);
            add_part(a, at, bytes_of(s, &components[i]));
        }
}

static void save_legacy(const struct i386_cpu *c, struct area *a, uint64_t saved, bool mxcsr, bool wide_pointers)
{
    if (saved & XCR0_X87) {
        i386_x87_image(c->st, a->bytes, wide_pointers);
        add_part(a, 0, FXSAVE_MXCSR);
        add_part(a, FXSAVE_ST, FXSAVE_XMM - FXSAVE_ST);
    }
    if (mxcsr) {
        put_le32(a->bytes + FXSAVE_MXCSR, c->st->mxcsr);
        put_le32(a->bytes + FXSAVE_MXCSR + 4, i386_mxcsr_mask(c->model));
        add_part(a, FXSAVE_MXCSR, 8);
    }
    if (saved & XCR0_SSE) {
        memcpy(a->bytes + FXSAVE_XMM, c->st->xmm, i386_xmm_bytes(c->st));
        add_part(a, FXSAVE_XMM, i386_xmm_bytes(c->st));
    }
}

/* XSAVE (13.7); XSAVEOPT (13.9) leaves out what is not in use. */
static int save_standard(struct i386_cpu *c, const struct uop *op, bool optimise)
{
    struct i386_state *s = c->st;
    uint64_t mask = requested(s), used = in_use(s), present;
    struct area a = {.count = 0};

    if (begin(c, op, false) || !locate(c, op, i386_xsave_bytes(mask, false), true, &a) ||
        !read_part(c, &a, HEADER, 8))
        return UOP_FAULT;
    save_legacy(c, &a, optimise ? mask & used : mask, mask & (XCR0_SSE | XCR0_AVX), op->b & I386_FX_W);
    save_extended(s, &a, mask, optimise ? mask & used : mask, false);
    present = (get_le64(a.bytes + HEADER) & ~mask) | (used & mask);
    put_le64(a.bytes + HEADER, present);
    add_part(&a, HEADER, 8);
    return write_parts(c, &a) ? UOP_NEXT : UOP_FAULT;
}

/* XSAVEC (13.10), XSAVES (13.11): the compacted form. MXCSR goes with SSE, and counts as in use. */
static int save_compacted(struct i386_cpu *c, const struct uop *op, bool supervisor)
{
    struct i386_state *s = c->st;
    uint64_t mask = requested(s), used = in_use(s) | (s->mxcsr != MXCSR_RESET ? XCR0_SSE : 0);
    struct area a = {.count = 0};

    if (begin(c, op, supervisor) || !locate(c, op, i386_xsave_bytes(mask, true), true, &a))
        return UOP_FAULT;
    save_legacy(c, &a, mask & used, mask & used & XCR0_SSE, op->b & I386_FX_W);
    save_extended(s, &a, mask, mask & used, true);
    put_le64(a.bytes + HEADER, mask & used);
    put_le64(a.bytes + HEADER + 8, mask | COMPACTED);
    add_part(&a, HEADER, 16);
    return write_parts(c, &a) ? UOP_NEXT : UOP_FAULT;
}

/* ---- restoring ---- */

/* Is the header one that XRSTOR or XRSTORS takes (13.8, 13.12)? */
static bool header_is_good(const struct i386_cpu *c, const struct area *a, bool supervisor)
{
    uint64_t present = get_le64(a->bytes + HEADER), form = get_le64(a->bytes + HEADER + 8), xcr0 = c->st->xcr0;

    if (!(form & COMPACTED))
        return !supervisor && !form && !(present & ~xcr0) && all_zero(a->bytes + HEADER + 16, 8);
    return (supervisor || i386_has(c->model, FEATURE_XSAVEC)) && !(form & ~COMPACTED & ~xcr0) && !(present & ~form) &&
           all_zero(a->bytes + HEADER + 16, HEADER_BYTES - 16);
}

/* Read what will be loaded. */
static bool read_area(struct i386_cpu *c, struct area *a, uint64_t form, uint64_t loaded, bool mxcsr)
{
    if ((loaded & XCR0_X87) && !(read_part(c, a, 0, FXSAVE_MXCSR) && read_part(c, a, FXSAVE_ST, FXSAVE_XMM - FXSAVE_ST)))
        return false;
    if (mxcsr && !read_part(c, a, FXSAVE_MXCSR, 4))
        return false;
    if ((loaded & XCR0_SSE) && !read_part(c, a, FXSAVE_XMM, i386_xmm_bytes(c->st)))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(components); i++)
        if ((loaded & components[i].bit) &&
            !read_part(c, a, place(&components[i], form, form & COMPACTED), bytes_of(c->st, &components[i])))
            return false;
    return true;
}

static void load_area(struct i386_cpu *c, const struct area *a, uint64_t form, uint64_t mask, uint64_t loaded, bool wide_pointers)
{
    struct i386_state *s = c->st;

    if (loaded & XCR0_X87)
        i386_x87_load(c, a->bytes, wide_pointers);
    else if (mask & XCR0_X87)
        i386_x87_init(c);
    if (loaded & XCR0_SSE)
        memcpy(s->xmm, a->bytes + FXSAVE_XMM, i386_xmm_bytes(s));
    else if (mask & XCR0_SSE)
        memset(s->xmm, 0, i386_xmm_bytes(s));
    for (unsigned i = 0; i < ARRAY_LEN(components); i++)
        if (mask & components[i].bit)
            load_component(c, components[i].bit,
                           loaded & components[i].bit ? a->bytes + place(&components[i], form, form & COMPACTED) : NULL);
}

static int restore(struct i386_cpu *c, const struct uop *op, bool supervisor)
{
    struct i386_state *s = c->st;
    uint64_t mask = requested(s), form, loaded;
    struct area a = {.count = 0};
    bool mxcsr;

    if (begin(c, op, supervisor) || !locate(c, op, EXTENDED, false, &a) ||
        !read_part(c, &a, HEADER, HEADER_BYTES))
        return UOP_FAULT;
    if (!header_is_good(c, &a, supervisor))
        return i386_raise_error(c, EXC_GP, 0);
    form = get_le64(a.bytes + HEADER + 8);
    loaded = mask & get_le64(a.bytes + HEADER);
    /* The standard form has MXCSR whatever its header says of SSE. */
    mxcsr = form & COMPACTED ? loaded & XCR0_SSE : mask & (XCR0_SSE | XCR0_AVX);
    if (!locate(c, op, i386_xsave_bytes(form & COMPACTED ? form : mask, form & COMPACTED), false, &a) ||
        !read_area(c, &a, form, loaded, mxcsr))
        return UOP_FAULT;
    if (mxcsr && (get_le32(a.bytes + FXSAVE_MXCSR) & ~i386_mxcsr_mask(c->model)))
        return i386_raise_error(c, EXC_GP, 0);
    if (mxcsr)
        s->mxcsr = get_le32(a.bytes + FXSAVE_MXCSR);
    else if (mask & XCR0_SSE)
        s->mxcsr = MXCSR_RESET;
    load_area(c, &a, form, mask, loaded, op->b & I386_FX_W);
    return UOP_NEXT;
}

/* ---- instructions ---- */

int i386_op_xsave(struct ucpu *u, const struct uop *op)
{
    return save_standard(i386_of(u), op, false);
}

int i386_op_xsaveopt(struct ucpu *u, const struct uop *op)
{
    return save_standard(i386_of(u), op, true);
}

int i386_op_xsavec(struct ucpu *u, const struct uop *op)
{
    return save_compacted(i386_of(u), op, false);
}

int i386_op_xsaves(struct ucpu *u, const struct uop *op)
{
    return save_compacted(i386_of(u), op, true);
}

int i386_op_xrstor(struct ucpu *u, const struct uop *op)
{
    return restore(i386_of(u), op, false);
}

int i386_op_xrstors(struct ucpu *u, const struct uop *op)
{
    return restore(i386_of(u), op, true);
}

int i386_op_xgetbv(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint32_t n = (uint32_t)s->gpr[ECX];
    uint64_t value;

    (void)op;
    if (!(s->cr4 & CR4_OSXSAVE))
        return i386_raise(c, EXC_UD);
    if (n > 1 || (n == 1 && !i386_has(c->model, FEATURE_XGETBV1)))
        return i386_raise_error(c, EXC_GP, 0);
    value = n ? s->xcr0 & in_use(s) : s->xcr0;
    s->gpr[EAX] = (uint32_t)value;
    s->gpr[EDX] = value >> 32;
    return UOP_NEXT;
}

int i386_op_xsetbv(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint64_t value = s->gpr[EDX] << 32 | (uint32_t)s->gpr[EAX];

    (void)op;
    if (!(s->cr4 & CR4_OSXSAVE))
        return i386_raise(c, EXC_UD);
    if (s->cpl || (uint32_t)s->gpr[ECX] || (value & ~i386_xcr0_mask(c->model)) || !(value & XCR0_X87) ||
        ((value & XCR0_AVX) && !(value & XCR0_SSE)))
        return i386_raise_error(c, EXC_GP, 0);
    s->xcr0 = value;
    i386_mode_changed(c);
    return UOP_NEXT;
}
