/*
 * The block mode: what of the state decoding and lowering depend on, as a number that is part of a block's key (lower.h).
 */
#include "i386/insn.h"
#include "i386/lower.h"
#include "i386/protect.h"
#include "i386/svm.h"

unsigned i386_decode_mode(uint64_t mode)
{
    return (mode & MODE_LONG ? DECODE_CODE64 : mode & MODE_CODE32 ? DECODE_CODE32 : 0) | (mode & MODE_P6 ? DECODE_P6 : 0) |
           (mode & MODE_LM ? DECODE_LM : 0) | (mode & MODE_VEX ? DECODE_VEX : 0);
}

static enum seg_class class_of(const struct i386_segment *s)
{
    /* Present, data, writable, not expand-down: asked at once, as this is asked at each entry to a handler and return. */
    if (!s->valid || (s->attr & (SEG_ATTR_S | SEG_ATTR_P | 14u)) != (SEG_ATTR_S | SEG_ATTR_P | 2u))
        return SEG_GENERAL;
    if (s->limit != 0xffffffffu)
        return SEG_UP;
    return s->base ? SEG_BIG : SEG_FLAT;
}

/* What a segment register's descriptor is in the mode. */
static uint64_t segment_mode(const struct i386_segment *s, unsigned seg)
{
    enum seg_class class = class_of(s);
    bool code = s->attr & 8;

    if (class != SEG_GENERAL || !s->valid || (s->attr & (SEG_ATTR_S | SEG_ATTR_P)) != (SEG_ATTR_S | SEG_ATTR_P) ||
        !(code ? s->attr & 2 : !(s->attr & 4)))
        return (uint64_t)class << (MODE_SEG_SHIFT + 2 * seg);
    return UINT64_C(1) << (MODE_READS_SHIFT + seg);
}

/* Where that is. */
static uint64_t segment_mask(unsigned seg)
{
    return UINT64_C(3) << (MODE_SEG_SHIFT + 2 * seg) | UINT64_C(1) << (MODE_READS_SHIFT + seg);
}

uint64_t i386_model_mode(const struct i386_model *m)
{
    uint32_t later = i386_model_features(m, CPUID_1_ECX) | i386_model_features(m, CPUID_7_EBX) | i386_model_features(m, CPUID_7_ECX) |
                     i386_model_features(m, CPUID_81_ECX) | i386_model_features(m, CPUID_88_EBX);
    uint64_t mode = 0;

    if (i386_has(m, FEATURE_CMOV)) /* the mark of the P6 */
        mode |= MODE_P6;
    if (i386_has(m, FEATURE_LM) || later)
        mode |= MODE_LM;
    if (m->has_sse)
        mode |= MODE_SSE;
    if (i386_has(m, FEATURE_AVX) || i386_has(m, FEATURE_BMI1) || i386_has(m, FEATURE_BMI2))
        mode |= MODE_VEX;
    return mode;
}

/* What instructions there are. */
static uint64_t mode_of_model(const struct i386_cpu *c)
{
    const struct i386_state *st = c->st;
    uint64_t mode = c->model_mode;

    if (!(st->cr4 & CR4_OSFXSR))
        mode &= ~MODE_SSE;
    if (!i386_protected(st) || i386_vm86(st))
        mode &= ~MODE_VEX;
    if ((st->cr4 & CR4_OSXSAVE) && (st->xcr0 & (XCR0_SSE | XCR0_AVX)) == (XCR0_SSE | XCR0_AVX))
        mode |= MODE_AVX;
    if (i386_svm_guest(st))
        mode |= MODE_GUEST;
    return mode;
}

/* In 64-bit mode segments do not matter, but for the bases of FS and GS, which are operands. */
static uint64_t block_mode_64(const struct i386_cpu *c)
{
    const struct i386_state *st = c->st;
    uint64_t mode = UINT64_C(0xffffffff) << 32 | MODE_PE | MODE_LONG | mode_of_model(c);

    if (st->cpl == 3)
        mode |= MODE_USER;
    if (!(st->cr0 & CR0_NE))
        mode |= MODE_FERR;
    if (st->cpl == 3 && (st->cr0 & CR0_AM) && (st->eflags & EFLAGS_AC))
        mode |= MODE_ALIGN;
    return mode;
}

uint64_t i386_block_mode(const struct i386_cpu *c)
{
    const struct i386_state *st = c->st;
    uint64_t mode = (uint64_t)st->seg[SEG_CS].limit << 32;

    if (i386_64bit(st))
        return block_mode_64(c);
    if (st->cr0 & CR0_PE)
        mode |= MODE_PE;
    if (st->eflags & EFLAGS_VM)
        mode |= MODE_VM;
    if (st->seg[SEG_CS].attr & SEG_ATTR_DB)
        mode |= MODE_CODE32;
    if (st->seg[SEG_SS].attr & SEG_ATTR_DB)
        mode |= MODE_STACK32;
    if (st->cpl == 3)
        mode |= MODE_USER;
    if (!(st->cr0 & CR0_NE))
        mode |= MODE_FERR;
    mode |= mode_of_model(c);
    if (st->cpl == 3 && (st->cr0 & CR0_AM) && (st->eflags & EFLAGS_AC))
        return mode | MODE_ALIGN; /* every segment is SEG_GENERAL */
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        mode |= segment_mode(&st->seg[n], n);
    return mode;
}

uint64_t i386_block_mode_moved(const struct i386_cpu *c, unsigned cpl)
{
    const uint64_t stays = UINT32_MAX & ~(MODE_CODE32 | MODE_STACK32 | MODE_USER | segment_mask(SEG_CS) | segment_mask(SEG_SS));
    const struct i386_state *st = c->st;
    uint64_t mode = c->block_mode;
    bool user = cpl == 3;

    if ((mode & MODE_ALIGN) || (user && (st->eflags & EFLAGS_AC) && (st->cr0 & CR0_AM)))
        return i386_block_mode(c); /* segments' classes are in the one mode and not in the other */
    if (mode & MODE_LONG)
        return user ? mode | MODE_USER : mode & ~(uint64_t)MODE_USER;
    mode &= stays;
    mode |= (uint64_t)st->seg[SEG_CS].limit << 32 | (st->seg[SEG_CS].attr & SEG_ATTR_DB ? MODE_CODE32 : 0);
    mode |= st->seg[SEG_SS].attr & SEG_ATTR_DB ? MODE_STACK32 : 0;
    mode |= user ? MODE_USER : 0;
    return mode | segment_mode(&st->seg[SEG_CS], SEG_CS) | segment_mode(&st->seg[SEG_SS], SEG_SS);
}

uint64_t i386_block_mode_loaded(const struct i386_cpu *c, unsigned seg)
{
    const struct i386_segment *sg = &c->st->seg[seg];
    uint64_t mode = c->block_mode;

    if (mode & MODE_LONG)
        return mode;
    if (seg == SEG_SS)
        mode = sg->attr & SEG_ATTR_DB ? mode | MODE_STACK32 : mode & ~(uint64_t)MODE_STACK32;
    if (mode & MODE_ALIGN)
        return mode;
    return (mode & ~segment_mask(seg)) | segment_mode(sg, seg);
}
