/*
 * Accesses of AVX and AVX2 that depend on a mask, element by element: VMASKMOV, VPMASKMOV, VGATHER,
 * VPGATHER (SDM 2); and what has to know before whether it can store.
 *
 * An element whose mask is clear is not accessed, and cannot fault. A masked move happens wholly or not at all. A
 * gather that faults has loaded the elements before the one that did, and cleared their masks, so that it goes on with
 * that one; one that is only to be run again alone has done nothing.
 */
#include "i386/protect.h"

#include "i386/lower.h"

#include <string.h>

/* Element `n` of `bytes` bytes of the 256 bits of register `number`. */
static uint8_t *element(struct i386_state *st, unsigned number, unsigned n, unsigned bytes)
{
    unsigned at = n * bytes;

    return (at < 16 ? st->xmm : st->ymm_high)[number].b + (at & 15);
}

static bool is_masked_in(struct i386_state *st, unsigned number, unsigned n, unsigned bytes)
{
    return element(st, number, n, bytes)[bytes - 1] & 0x80;
}

static unsigned elements(const struct uop *op, unsigned bytes)
{
    return (op->b & MASKED_256 ? 32 : 16) / bytes;
}

static void clear_high(struct i386_state *st, unsigned number)
{
    st->ymm_high[number] = (union i386_xmm){.q = {0, 0}};
}

/* No alignment is asked for of elements, whatever AC says (SDM 2, exceptions of types 6 and 12). */
static bool element_address(struct i386_cpu *c, const struct uop *op, uint64_t offset, unsigned bytes, bool write, uint64_t *linear)
{
    return i386_linear_aligned(c, op->b & MASKED_SEG, offset, bytes, 1, write, linear);
}

static bool read_element(struct i386_cpu *c, const struct uop *op, uint64_t offset, uint8_t *value, unsigned bytes)
{
    uint64_t linear;

    return element_address(c, op, offset, bytes, false, &linear) && ucpu_load(&c->u, linear, value, bytes);
}

int i386_op_masked_load(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    unsigned data = op->d & 15, mask = op->d >> 4 & 15, bytes = op->a;
    uint8_t r[32] = {0};

    for (unsigned i = 0; i < elements(op, bytes); i++)
        if (is_masked_in(st, mask, i, bytes) &&
            !read_element(c, op, st->t[0] + i * bytes, r + i * bytes, bytes))
            return UOP_FAULT;
    memcpy(&st->xmm[data], r, 16);
    memcpy(&st->ymm_high[data], r + 16, 16);
    return UOP_NEXT;
}

int i386_op_masked_store(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    unsigned data = op->d & 15, mask = op->d >> 4 & 15, bytes = op->a;
    struct i386_stores stores;

    if (!ucpu_be_alone(u))
        return UOP_FAULT;
    i386_stores_begin(&stores);
    for (unsigned i = 0; i < elements(op, bytes); i++) {
        uint64_t linear, value = 0;

        if (!is_masked_in(st, mask, i, bytes))
            continue;
        memcpy(&value, element(st, data, i, bytes), bytes);
        if (!element_address(c, op, st->t[0] + i * bytes, bytes, true, &linear) ||
            !i386_stores_add(c, &stores, c->u.tlb_mode, linear, bytes, value))
            return UOP_FAULT;
    }
    i386_stores_commit(c, &stores);
    return UOP_NEXT;
}

/* The offset of element n: base and displacement are in S_T(0). */
static uint64_t gather_offset(struct i386_state *st, const struct uop *op, unsigned n)
{
    unsigned index = op->d >> 8 & 15, scale = MASKED_SCALE(op->b);
    int64_t i = 0;
    int32_t narrow;
    uint64_t offset;

    if (op->b & MASKED_INDEX64) {
        memcpy(&i, element(st, index, n, 8), 8);
    } else {
        memcpy(&narrow, element(st, index, n, 4), 4);
        i = narrow;
    }
    offset = st->t[0] + ((uint64_t)i << scale);
    return op->b & MASKED_ADDR32 ? (uint32_t)offset : offset;
}

int i386_op_gather(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    unsigned data = op->d & 15, mask = op->d >> 4 & 15, bytes = op->a;
    unsigned index_bytes = op->b & MASKED_INDEX64 ? 8 : 4, count = elements(op, bytes > index_bytes ? bytes : index_bytes);
    union i386_xmm before[4] = {st->xmm[data], st->ymm_high[data], st->xmm[mask], st->ymm_high[mask]};

    for (unsigned i = 0; i < count; i++) {
        uint8_t value[8];

        if (!is_masked_in(st, mask, i, bytes))
            continue;
        if (!read_element(c, op, gather_offset(st, op, i), value, bytes)) {
            if (u->retry_alone) {
                st->xmm[data] = before[0];
                st->ymm_high[data] = before[1];
                st->xmm[mask] = before[2];
                st->ymm_high[mask] = before[3];
            }
            return UOP_FAULT;
        }
        memcpy(element(st, data, i, bytes), value, bytes);
        memset(element(st, mask, i, bytes), 0, bytes);
    }
    st->xmm[mask] = (union i386_xmm){.q = {0, 0}};
    clear_high(st, mask);
    if (count * bytes <= 16)
        clear_high(st, data);
    if (count * bytes == 8)
        st->xmm[data].q[1] = 0;
    return UOP_NEXT;
}

int i386_op_writable(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);

    return ucpu_probe(u, u->tlb_mode, i386_system_address(c->st, c->st->t[0]), op->a, ACCESS_WRITE) ? UOP_NEXT : UOP_FAULT;
}
