/*
 * Micro-ops: what instructions are lowered to, and all that an execution
 * engine (interpreter or JIT) has to understand.
 *
 * An operand is the byte offset of a value in the CPU's state block, so an
 * 8-bit register is simply the right byte of the wide one. vm/uop.def has one
 * line for each micro-op, with its operands, attributes and meaning.
 *
 * Rules for lowering an instruction:
 *  - Restartable: until its last access that can fault has succeeded, an
 *    instruction changes nothing but temporaries. (An access to a device, to a
 *    watched address or to translated code, and a walk that sets bits, make the block
 *    stop before the instruction and run it again *alone*, as a block of its own.)
 *    So one that makes several stores plans them all before it makes the first
 *    (ucpu_plan_store), and one that touches a port plans its store before that.
 *  - Whatever needs the exact position, touches a device port, changes what
 *    the block's key depends on, or may make an interrupt deliverable, is
 *    alone or ends its block with EXIT or CALM.
 *  - A micro-op that may fault leaves the flags as they were before its
 *    instruction.
 */
#ifndef HINDCAST_VM_UOP_H
#define HINDCAST_VM_UOP_H

#include "base/types.h"
#include "vm/flags.h"

struct ucpu;
struct buffer;

struct uop {
    uint16_t op;      /* enum uop_code */
    uint16_t d, a, b; /* operands: byte offsets into the state block (or small numbers, see uop.def) */
    union {
        struct {
            uint32_t imm; /* immediate or displacement */
            uint32_t aux; /* scale, width... */
        };
        uint64_t imm64;
        int (*fn)(struct ucpu *, const struct uop *); /* CALL */
    };
};
_Static_assert(sizeof(struct uop) == 16, "a micro-op is 16 bytes");

/* Results of a CALL helper. */
enum uop_result {
    UOP_NEXT = 0, /* go on with the next micro-op */
    UOP_FAULT,    /* the instruction did not happen: an exception is pending in the target's
                   * state, or ucpu.retry_alone is set */
    UOP_LEAVE,    /* the instruction is complete and the helper has set the PC: leave the block */
};

enum uop_code {
#define UOP(name, operands, attributes, ...) UOP_##name,
#include "vm/uop.def"
#undef UOP
    UOP_COUNT
};

/* imm of SSE, SSE_COMPARE, VECTOR, VECTOR_TEST and VECTOR_STRINGS: the instruction (SDM 2): opcode, its map (1: 0F, 2: 0F 38, 3: 0F 3A),
 * mandatory prefix (0, 66, F3, F2), imm8. */
#define SSE_OPERATION(opcode, prefix, imm8) ((uint32_t)(opcode) | (uint32_t)(prefix) << 8 | (uint32_t)(imm8) << 16)
#define SSE_MAP(map) (((uint32_t)(map) - 1) << 26)
#define SSE_WIDE 0x01000000u /* REX.W or VEX.W */
#define SSE_PAIR 0x02000000u /* 256 bits: the upper half of an operand is frontend.vector_high bytes behind it */
#define SSE_OPCODE(imm) ((imm) & 0xffu)
#define SSE_PREFIX(imm) ((imm) >> 8 & 0xffu)
#define SSE_IMM8(imm)   ((imm) >> 16 & 0xffu)
#define SSE_MAP_OF(imm) (((imm) >> 26 & 3u) + 1)
/* and of VECTOR alone */
#define VECTOR_ONE    0x10000000u /* a does not matter */
#define VECTOR_BY_IMM  0x20000000u /* shift of b by imm8; which one says VECTOR_DIGIT */
#define VECTOR_CHOICE 0x40000000u /* there is a third operand, VECTOR_C */
#define VECTOR_IMM    0x80000000u /* there is an imm8 */
/* aux of VECTOR, and of VECTOR_TEST the last */
#define VECTOR_C(aux) ((aux) & 0xffffu) /* an operand */
#define VECTOR_DIGIT_SHIFT 16
#define VECTOR_DIGIT(aux) ((aux) >> VECTOR_DIGIT_SHIFT & 7u) /* the reg field of ModRM */
#define VECTOR_HOST_SHIFT 20
#define VECTOR_HOST(aux) ((enum vector_host)((aux) >> VECTOR_HOST_SHIFT & 15u))
/* aux of VECTOR_STRINGS: two operands */
#define VECTOR_LENGTHS(a, b) ((uint32_t)(a) | (uint32_t)(b) << 16)
#define VECTOR_LENGTH(aux, n) ((aux) >> 16 * (n) & 0xffffu)
/* What a host must have to do it itself. */
enum vector_host {
    VECTOR_HOST_SSE2, VECTOR_HOST_SSE3, VECTOR_HOST_SSSE3, VECTOR_HOST_SSE41, VECTOR_HOST_SSE42, VECTOR_HOST_AES,
    VECTOR_HOST_PCLMUL, VECTOR_HOST_AVX, VECTOR_HOST_AVX2, VECTOR_HOST_FMA, VECTOR_HOST_F16C,
    VECTOR_HOST_NONE, /* no host does it as it is meant */
};

/* b of VECTOR_MASKED. */
#define MASKED_SEG     0x07u /* the segment of the operand in memory */
#define MASKED_256     0x08u
#define MASKED_INDEX64 0x10u /* indices have 64 bits, not 32 */
#define MASKED_ADDR32  0x20u /* the addresses of a gather have 32 bits */
#define MASKED_SCALE_SHIFT 6
#define MASKED_SCALE(b) ((b) >> MASKED_SCALE_SHIFT & 3u)
#define MASKED_PLAIN   0x0100u /* the operand in memory, of a gather without the index, is at frontend.vector_offset, */
#define MASKED_WIDE    0x0200u /* of 64 bits; else of 32 */
#define MASKED_STORE   0x0400u
#define MASKED_GATHER  0x0800u
#define MASKED_PROBE   0x1000u /* nothing is moved: can `a` bytes be written? */

/* b of X87. */
#define X87_SEG     0x07u   /* the segment of the operand in memory */
#define X87_MEM     0x08u   /* there is one, */
#define X87_WIDE    0x0800u /* its offset has 64 bits; else 32, and 0 above */
#define X87_PLAIN   0x1000u /* the CPU has the instruction, and the operand in memory is where its offset says, */
#define X87_LINEAR  0x8000u /* or, if it is not MMX, where x87_layout.linear says */
#define X87_WAIT    0x2000u /* FWAIT, or no instruction: the helper looks for an error that is pending */
#define X87_66      0x0020u /* prefixes of an MMX instruction */
#define X87_F2      0x0040u
#define X87_F3      0x0080u
#define X87_MMX     0x4000u /* an MMX instruction: d is its opcode, above it its map (0: 0F, 1: 0F 38, 2: 0F 3A), in a are */
#define X87_REX_R   0x0100u /* two bits, */
#define X87_REX_B   0x0200u
#define X87_REX_W   0x0100u /* in b one; */
                            /* an immediate operand is x87_layout.imm8 */

#define UOP_FAULTS 0x01u /* may leave with UOP_FAULT */
#define UOP_ENDS   0x02u /* ends the block */
#define UOP_READF  0x04u /* reads the lazy flags */
#define UOP_SETF   0x08u /* overwrites all lazy flags */
#define UOP_LOAD   0x10u
#define UOP_STORE  0x20u

struct uop_info {
    const char *name;
    const char *operands; /* letters of d a b i x l n: see uop.def */
    unsigned attributes;  /* UOP_* */
};
extern const struct uop_info uop_infos[UOP_COUNT];

/* Append a one-line picture of `u`; `reg_name` names a state offset (may be NULL). */
void uop_print(struct buffer *out, const struct uop *u, const char *(*reg_name)(unsigned offset));

#endif
