/*
 * What the files of the JIT share.
 *
 *   jit.c       the engine: counting, turning between interpreter and compiled code
 *   stubs.c     code made once: entry, exits, calls of C functions
 *   operands.c  which values of the state block are in host registers
 *   ahead.c     which of them are used next
 *   compile.c   a block: micro-op by micro-op, then the paths out of line
 *   ran.c       which blocks were run: counters, footprints
 *   near.c      accesses that look into the TLB together
 *   trace.c     blocks that follow each other as a rule, and loops, in one piece
 *   integer.c muldiv.c bits.c vector.c float.c sse.c masked.c x87.c mmx.c flags.c access.c branch.c   micro-ops by kind
 *   generic.c   a C function for every micro-op
 *
 * Registers of compiled code:
 *   rbp  state block + STATE_BIAS      r13  budget (cpu.budget is stale)
 *   r14  TLB                           r15  struct exec: whose code it is that runs
 *   rax rcx rdx xmm0-xmm3  scratch within a micro-op
 *   others       values of the state block, as struct slot says
 *   MXCSR        the guest's while exec.sse_live (sse.c)
 *   the x87      the guest's while exec.x87_live (x87.c)
 * Whenever a C function is called that may look at the CPU, the budget, the
 * block and the steps are stored, and so is every dirty value; between blocks no
 * value is in a register, but between those of a trace.
 */
#ifndef HINDCAST_VM_JIT_JIT_PRIV_H
#define HINDCAST_VM_JIT_JIT_PRIV_H

#include "vm/jit/jit.h"

#include "vm/jit/emit_x64.h"

#define STATE_BIAS 128
#define R_STATE  RBP
#define R_BUDGET R13
#define R_TLB    R14
#define R_EXEC   R15

/* ---- operands.c ---- */

enum slot_kind { SLOT_FREE, SLOT_REG, SLOT_CONST, SLOT_VECTOR, SLOT_PLACE };

/* A value of the state block that is known at compile time or is in a register. Slots
 * never overlap, but may share a register. SLOT_PLACE (of no bytes) is none of the state: struct place. */
struct slot {
    uint16_t offset;
    uint8_t size;   /* 4 or 8 bytes; SLOT_VECTOR: 16 */
    uint8_t kind;   /* enum slot_kind */
    uint8_t reg;    /* SLOT_REG, SLOT_PLACE: bits above the size are 0; SLOT_VECTOR: number of an XMM register */
    bool dirty;     /* memory has another value */
    uint16_t used;  /* when last: the least recent is evicted */
    uint64_t value; /* SLOT_CONST */
};

#define SLOTS 28
/* Bytes from what a jump to another page compares with tlb_entry.addend to the jump's displacement. */
#define FAR_ADDEND 18
/* A trace has at most so many blocks, and micro-ops: each of these may have a path out of line, twice if the trace is a loop. */
#define TRACE_BLOCKS   8u
#define TRACE_MAX_UOPS (BLOCK_MAX_UOPS + 128u)
#define JIT_MAX_SLOW   (2u * TRACE_MAX_UOPS)

/* Why a piece of code out of line is there. */
enum slow_kind {
    SLOW_LOAD, SLOW_LOAD_PAIR, SLOW_STORE, SLOW_STORE_PAIR,
    SLOW_HELPER,  /* the micro-op's helper, which leaves results in memory */
    SLOW_GENERIC, /* the micro-op's function in generic.c, likewise */
    SLOW_SSE,     /* `retry` once the guest's MXCSR is in the host; where it cannot be, as SLOW_GENERIC */
    SLOW_X87,     /* the same of its x87 state, for from[0]; from the others at once as SLOW_HELPER */
    SLOW_MMX,     /* as SLOW_X87, of the x87 state and MXCSR */
    SLOW_FLOAT,   /* on from[0] a second look at the result in xmm0 (float.c): good, `retry`; else, and from the others, as
                   * SLOW_GENERIC */
};

/* A path out of line: what the fast path knew, and where it goes on. */
struct slow {
    enum slow_kind kind;
    const struct block *block;
    uint16_t uop;
    uint8_t bits;          /* of the access (of one of a pair) */
    uint8_t extend;        /* loads: enum extend of the value */
    bool rw;               /* LOAD_RW */
    bool whole;            /* a pair: it is one value of 128 bits */
    bool immediate;        /* the value stored is `value`; else it is an operand */
    uint8_t reg[3];        /* loads: to; stores: from; SLOW_FLOAT: operands */
    uint8_t look;          /* SLOW_FLOAT: enum float_look */
    bool scalar;           /* of an element in general registers, which the result goes back to, by rax */
    uint8_t shift;         /* stores: the value's place in the register */
    uint8_t place;         /* LOAD_RW: the register of struct place, or 0 (which is none of those) */
    bool pushes;           /* stores: rax is to be the address behind it, too */
    struct address {       /* stores to a struct place: what rax is to be; bits = 0: it is that already */
        uint8_t bits, a, b, scale;
        bool indexed;
        bool known;        /* it is `value` */
        uint64_t value;
        int32_t imm;
    } address;
    struct result {        /* SLOW_HELPER: operands that are then loaded into these registers; of so many bits, 0: none */
        uint16_t offset;
        uint8_t bits, reg;
    } result[2];
    uint32_t value;
    uint8_t *from[5];      /* jumps that lead here, then NULL */
    uint8_t *back;
    uint8_t *retry;
    uint8_t near;          /* enum near_role; if it is in a group: */
    uint8_t near_place, near_bytes;
    bool near_read, near_write;
    uint8_t *found;        /* where it goes on with what is to be added to the address in rcx */
    struct slot slots[SLOTS];
};

/* Which special results of a floating-point operation are exact. */
enum float_look { LOOK_SUM, LOOK_PRODUCT, LOOK_QUOTIENT, LOOK_FUSED, LOOKS };

/* Where in the host the bytes are that an instruction has loaded to change them: its store goes there, without another look
 * into the TLB. In the register of the slot of kind SLOT_PLACE; 0: they were not served in line, or it is not known any more. */
struct place {
    unsigned end;          /* number of the micro-op before which it is forgotten: another instruction's */
    unsigned form, bits;   /* of the access */
    uint16_t a, b;         /* its address: operands, of which `b` if `indexed`; */
    bool indexed;
    uint32_t scale, imm;
};

/* Accesses near each other (near.c). */
enum near_role { NEAR_NONE, NEAR_LEADS, NEAR_FOLLOWS };
#define NEAR_GROUPS 64u
#define NEAR_NOBODY UINT16_MAX

/* What one of a micro-op's accesses, to operand a plus a constant, is and does. */
struct near_access {
    unsigned bits, bytes;  /* of the address; of the access */
    int64_t imm;           /* the constant; */
    int64_t moves;         /* is added to a afterwards */
    bool read, write;      /* what the TLB is asked for */
    bool loads, pair;      /* it changes d; and b */
};

/* A group: where its place is, and what its members do to which bytes, [low, high), counted from some address. */
struct near_group {
    uint8_t place;
    bool read, write;
    int16_t low, high;
};

/* How a loaded value becomes an operand. */
enum extend { EXTEND_ZERO, EXTEND_SIGN_32, EXTEND_SIGN_64 };

/* A way out of a block or trace, taken by the jump `from`. */
struct way_out {
    uint8_t *from;
    const struct block *block; /* out of that by edge `edge`, or by one of these: */
    unsigned edge;
    struct jump_made *guard;   /* `from` is that one's, and no jump but while the chain leads elsewhere; else NULL */
    struct slot slots[SLOTS];
};
/* The budget does not suffice for the block; it is to be compiled as a trace. */
enum { OUT_OF_BUDGET = 2, OUT_HOT };
#define MAX_WAYS_OUT (6u * TRACE_BLOCKS + 2u)
/* Jumps by edges in a piece of code, at most: of each block of a loop, two as it ends, two of ways out, and one where a call lands. */
#define MAX_JUMPS (10u * TRACE_BLOCKS + 8u)

/* Code made once. */
struct stubs {
    uint8_t *turn, *no_budget, *unchained, *indirect_miss, *exit, *exit_shown, *go_on, *fault, *leave_exit;
    uint8_t *load[4], *load_rw[4], *store[4], *load_pair[3], *store_pair[3];
    uint8_t *function, *condition, *carry, *flags, *sse_enter, *x87_enter, *x87_leave, *both_enter;
    uint8_t *edge[EDGES];  /* by an edge of the block that block_shown() in rsi stands for: to a block without code, or by no chain */
    uint8_t *find[2][2];   /* by whether it reads, and writes: from rax, and the last byte's address in rdx, to rcx; Z: found */
    uint8_t *float_look[LOOKS][2], *float_bounds[2]; /* by float.c; for 32 bits, 64 */
    uint8_t *enter;
};

/* Jumps to a PC that is known only then (in rdx), out of blocks of the same mode and bias, of which rsi is block_shown(). */
struct indirect {
    uint64_t mode, bias;
    uint8_t *at;
};
#define INDIRECTS 32u
#define RETURN_MODES 100u

struct jit {
    const struct ucpu *c;  /* one of those that it is for: where things are in the state */
    struct code_memory memory;
    ptrdiff_t execute;     /* from where code is written to where it is run */
    struct code code;      /* what is run as a rule; */
    struct code cold;      /* what is not is far away, so that it is in nobody's way: written by cold_begin() to cold_end() */
    uint8_t *first, *first_cold; /* where blocks begin, behind the stubs */
    uint8_t *backed, *cold_backed; /* up to there the host has given memory */
    uint32_t *counters;    /* behind all code: see ran.c */
    uint32_t ncounters, max_counters;
    struct ran {
        bool some;         /* compiled code was entered since the last look */
        uint32_t *seen;    /* [ncounters]: what the counters were then */
        uint32_t *first;   /* [ncounters + 1]: of each one's spans */
        struct span {
            uint64_t va;   /* bytes of code, all in one page */
            uint16_t len;
            bool mark;     /* the counter is one */
        } *spans;
        uint32_t nspans, cap_spans, cap_seen;
    } ran;
    struct stubs stubs;
    struct return_mode {   /* of code that calls and returns: a byte stands for it in compiled code, from 1 on */
        uint64_t mode, bias;
    } return_modes[RETURN_MODES];
    unsigned nreturn_modes;
    struct indirect indirect_stubs[INDIRECTS];
    unsigned indirects;
    struct jump {          /* [njumps]: by an edge of a block, which its chain changes */
        uint32_t at;       /* where in memory its displacement is, */
        uint32_t away;     /* and where it goes without a chain */
        uint32_t next;     /* the number of another one by the same edge, from 1 on; 0: none */
        bool counted;      /* in code that counts the block's entries, and is replaced some time */
        const struct block *guards; /* it is a NOP while the chain leads to that block */
    } *jumps;
    uint32_t njumps, cap_jumps;
    unsigned threshold;    /* entries before a block is compiled */
    unsigned host;         /* bit n: the host has n of enum vector_host */
    bool host_lzcnt;
    uint32_t *approximations[2]; /* simd.c: of RCPPS and RSQRTPS; NULL: not wanted yet */
    uint32_t host_x87;     /* bit n: of kind n of x87.c it does as the interpreter does */
    bool host_mmx;         /* so does MMX */
    bool fcomi_keeps_c1;   /* FCOMI is none that clears C1 */
    uint64_t compiled, flushes;
    uint64_t calls;        /* emitted so far, of C functions, on paths that are run as a rule */

    /* The block that is being compiled. */
    const struct block *owner; /* whose code it is: of a trace the first one */
    const struct block *block;
    const struct uop *u;
    unsigned home;         /* bits of the registers that narrow operands are parts of: block.wide */
    uint16_t now;          /* counts uses of slots; that it goes round in very large traces makes worse code, no more */
    uint16_t pinned;       /* registers that the micro-op in progress needs */
    uint16_t pinned_vectors; /* the same of XMM registers */
    uint8_t rax_in, rax_bits; /* rax, which is not changed any more by the micro-op in progress, is in that register, too, of so
                             * many bits, those above 0; 0: in none */
    uint8_t *result_at;    /* if code goes on there: the host's Z and S are those of the result noted, of so many bits */
    unsigned result_bits;
    unsigned x87_noted;    /* the block has noted the selector of CS, if bit X87_SEG is set, and last that of segment n, if bit n is */
    struct slot slots[SLOTS];
    unsigned nslots;       /* those from here on are free */
    bool address_known;    /* of the access in progress: it is `address` */
    uint64_t address;
    struct place place;    /* while there is such a slot */
    struct slow *slow;     /* [JIT_MAX_SLOW] */
    unsigned nslow;
    const struct block *const *ahead; /* [nahead]: what comes next as a rule; */
    unsigned nahead;
    const struct slot *head; /* [SLOTS]: where values are to be when the loop in progress turns; NULL: it is none */
    int follow;            /* its end is not to go by this edge: what comes next in memory follows; -1: as any */
    bool followed;         /* the end has done so; */
    uint8_t *left;         /* a jump to where the other edge is taken, or NULL */
    struct near {
        uint16_t group;    /* NEAR_NOBODY: of none */
        int16_t offset;    /* of its address, from what the group counts from */
    } near[TRACE_MAX_UOPS];    /* of each micro-op that is emitted now, */
    unsigned near_first, near_next; /* those of the block in progress, and of the next one, from here on */
    struct near_group near_groups[NEAR_GROUPS];
    uint16_t near_led[NEAR_PLACES]; /* whose place it is, once its leader was emitted */
    struct way_out ways_out[MAX_WAYS_OUT];
    unsigned nways_out;
    struct misses {
        uint8_t *at[8];    /* jumps to where it is said that no block was found */
        unsigned count;
    } indirect;            /* those of the jump to a PC that is known only then, which may end it; out of that block: */
    const struct block *indirect_from;
    struct jump_made {
        const struct block *block; /* by this edge of that; */
        unsigned edge;
        uint8_t *at;       /* its displacement */
        uint8_t *others[2]; /* those of jumps that always go where it goes without a chain, or NULL */
        uint8_t *away;     /* where that is, out of line */
        const struct block *guards;
    } jumps_made[MAX_JUMPS];
    unsigned njumps_made;
    struct landing {       /* where a call's return goes: */
        const struct block *block; /* that calls */
        uint8_t *at;       /* the displacement of what is to lead there */
    } landings[2 * TRACE_BLOCKS];
    unsigned nlandings;
    bool compact;          /* what is compiled counts its entries: it is small, and made in little time */
};

/* The same for a micro-op that is one of those of 64-bit registers (`wide`) or not. */
static inline unsigned home_of(const struct jit *j, bool wide)
{
    return wide ? 64 : j->home;
}

static inline int32_t state_disp(unsigned offset)
{
    return (int32_t)offset - STATE_BIAS;
}

/* A register with the operand of 32 or 64 bits at `offset`; `home` is the width in bits of the
 * register that it belongs to. Pinned. The flags of the host stay as they are in all of these
 * but operand_put() for less than 32 bits. */
unsigned operand_use(struct jit *j, unsigned offset, unsigned bits, unsigned home);
/* A register for the operand of 32 or 64 bits, which is about to get a value. Pinned. */
unsigned operand_def(struct jit *j, unsigned offset, unsigned bits);
/* A register that holds the operand in a slot of just its own bytes, so that operand_def() will
 * give the same. Pinned. */
unsigned operand_own(struct jit *j, unsigned offset, unsigned bits);
/* Let the operand at `offset` have the value of that at `from`, by sharing its register. False: it is in none of its own. */
bool operand_share(struct jit *j, unsigned offset, unsigned from, unsigned bits);
/* The same of one of `to` bits with the zero-extended value of one of `bits`, even if it has a register of its own. */
bool operand_share_zero_extended(struct jit *j, unsigned offset, unsigned to, unsigned from, unsigned bits);
void operand_def_const(struct jit *j, unsigned offset, unsigned bits, uint64_t value);
/* The same in two steps: nothing changes until the operand is committed. */
unsigned operand_reserve(struct jit *j, unsigned offset, unsigned bits);
void operand_commit(struct jit *j, unsigned offset, unsigned bits, unsigned reg);
/* A register for a struct place, until its end: it is forgotten when a micro-op changes what the address was made of. */
unsigned place_def(struct jit *j, const struct place *p);
/* The register (pinned) in which this one is; it is forgotten then. 0: none. */
unsigned place_take(struct jit *j, const struct place *p);
/* Another micro-op begins. */
void place_expire(struct jit *j, unsigned uop, bool ends);
/* Make sure that operand_get() of this operand will not change any slot. */
void operand_hold(struct jit *j, unsigned offset, unsigned bits, unsigned home);
/* No register is needed any more by the micro-op in progress: what it goes on with is in scratch registers. */
static inline void operands_unpin(struct jit *j)
{
    j->pinned = 0;
}
/* Copy an operand of any width, zero-extended, to a register that is pinned or scratch. */
void operand_get(struct jit *j, unsigned to, unsigned offset, unsigned bits, unsigned home);
/* A register, pinned, or RAX, whose low `bits` (8, 16) are the operand. */
unsigned operand_low(struct jit *j, unsigned offset, unsigned bits, unsigned home);
/* Copy the low bits of a scratch register to an operand of any width. */
void operand_put(struct jit *j, unsigned offset, unsigned bits, unsigned home, unsigned from);
/* The value, if it is known. */
bool operand_known(const struct jit *j, unsigned offset, unsigned bits, uint64_t *value);
/* ---- values of 128 bits, in XMM registers ---- */
/* A register with the 16 bytes at `offset`. Pinned. */
unsigned vector_use(struct jit *j, unsigned offset);
/* A register for them, about to get a value; one that has them, about to be changed in part. Pinned. */
unsigned vector_def(struct jit *j, unsigned offset);
unsigned vector_own(struct jit *j, unsigned offset);
/* A register for them that vector_def() will give after a path out of line was noted: until then it may hold
 * anything, and memory has the value. Pinned. */
unsigned vector_reserve(struct jit *j, unsigned offset);
/* A register whose low 32 or 64 bits are the operand: the vector's if it is in one, else `scratch`. */
unsigned scalar_use(struct jit *j, unsigned offset, unsigned bits, unsigned scratch);
/* Load the vectors of a copy of the slots again; store and forget all of them. C functions keep none. */
void vectors_reload_as(struct jit *j, const struct slot *slots);
void vectors_release(struct jit *j);

/* Store what is dirty; as it was in a copy of the slots. */
void operands_store(struct jit *j);
void operands_store_as(struct jit *j, const struct slot *slots);
/* Load the registers of a copy again. */
void operands_reload_as(struct jit *j, const struct slot *slots);
/* Forget those of a copy that overlap [offset, offset + len). */
void slots_remove(struct slot *slots, unsigned offset, unsigned len);
/* Forget all values, stored or not. */
void operands_forget(struct jit *j);
/* Let the slots be those of a copy. */
void operands_are(struct jit *j, const struct slot *slots);
/* Store what is dirty and not among those of `head`. */
void operands_store_others(struct jit *j, const struct slot *head);
/* Where a loop turns: make the present slots those of its head. False: they cannot be; those of the head are
 * fewer now, or dirty, and nothing was emitted. */
bool operands_turn(struct jit *j, struct slot *head);
/* Store and forget those that overlap [offset, offset + len). */
void operands_release(struct jit *j, unsigned offset, unsigned len);
/* Forget what lies within; store what only overlaps it: all of it gets new values. */
void operands_overwrite(struct jit *j, unsigned offset, unsigned len);
/* Forget those that lie within: memory has newer values. */
void operands_discard(struct jit *j, unsigned offset, unsigned len);

/* ---- ahead.c ---- */
/* So many micro-ops lie between the one in progress and the next that uses the value. AHEAD_NEVER: none is known to, or it gets another
 * value before. */
#define AHEAD_NEVER 1000u
unsigned ahead_use(const struct jit *j, const struct slot *s);

/* ---- near.c ---- */
static inline int32_t place_disp(unsigned place)
{
    return (int32_t)(offsetof(struct exec, places) + place * sizeof(uint64_t));
}
/* These blocks are going to be emitted, in this order; their emission begins (once more); that of j->block does. */
void near_survey(struct jit *j, const struct block *const *blocks, unsigned n);
void near_begin(struct jit *j);
void near_block(struct jit *j);
/* Is the access of the micro-op in progress in a group? Then *g is it, counted from the access. Who is told that it leads has to leave
 * exec.places[g->place]. */
enum near_role near_role(struct jit *j, struct near_group *g);

/* ---- access.c ---- */
void access_stubs(struct jit *j);
/* Is it one whose address is an operand plus a constant, and which may be served in line? */
bool access_is_near(const struct uop *u, struct near_access *access);

/* ---- jit.c ---- */
/* Let the jump, by an edge of b, go where that is chained to. */
void jump_follow(struct jit *j, const struct jump *jump, const struct block *b, unsigned edge);

/* ---- stubs.c ---- */
bool stubs_make(struct jit *j);
static inline void call_stub(struct jit *j, uint8_t *stub)
{
    x_point(&j->code, x_call(&j->code), stub);
}
static inline void jump_stub(struct jit *j, uint8_t *stub)
{
    x_point(&j->code, x_jmp(&j->code), stub);
}

/* What exec.shown is for a block. */
static inline uint32_t block_shown(const struct jit *j, const struct block *b)
{
    return (uint32_t)((const uint8_t *)b - j->c->exec->pool) | b->steps;
}

/* b is the block in progress: before every call of C code that may look at the CPU, and every exit (but `turn`). */
void show_block(struct jit *j, const struct block *b);

/* ---- compile.c ---- */
/* Compile b: once as it is, and counting its entries, then as a trace. False: no room. */
bool compile(struct jit *j, struct block *b);
/* The micro-ops of j->block. */
void emit_block(struct jit *j);
/* Take its steps off the budget; a jump on `cc`: CC_B if there were less. */
uint8_t *emit_budget(struct jit *j, const struct block *b, unsigned cc);
/* A call of the micro-op's function in generic.c. */
void emit_generic(struct jit *j, const struct uop *u);
/* Note a path out of line of the micro-op in progress. */
struct slow *slow_path(struct jit *j, enum slow_kind kind);

/* ---- ran.c ---- */
/* The next counter is for the block to be compiled. False: there is none. */
bool ran_begin(struct jit *j);
/* It stands for the bytes of b, too; if it is a mark, of all its blocks. */
void ran_add(struct jit *j, const struct block *b, bool mark);
/* There is code that counts down from `count`, or has a mark (0); or none after all. */
void ran_end(struct jit *j, uint32_t count);
void ran_undo(struct jit *j);
/* Count an entry of the block: after some the engine makes a trace of it. Destroys rcx. */
void ran_count(struct jit *j);
/* Mark that it was entered. Destroys rcx. */
void ran_mark(struct jit *j);
/* What was run since the last call goes into the footprint, unless that is NULL. */
void ran_gather(struct jit *j, struct footprint *f);
void ran_finish(struct jit *j);

/* ---- trace.c ---- */
/* What is run from the present block on, whose steps are off the budget. */
void emit_trace(struct jit *j);
/* Entries to a compiled block before it is compiled as a trace. 0: at once. */
unsigned trace_heat(const struct jit *j);
/* Note a way out of a block, where values are as in a copy of the slots. */
void note_way_out(struct jit *j, uint8_t *from, const struct block *b, unsigned edge, const struct slot *slots);
/* The ways out that were noted. */
void emit_ways_out(struct jit *j);

/* ---- access.c ---- */
/* rax = an address */
void address_make(struct code *e, const struct address *at);
/* Look into the TLB for `bytes` bytes at rax, to be written, read, or both; then rax + rcx is the place in the host. Else a jump, the next
 * of s->from[]. Destroys rdx. */
void access_probe(struct jit *j, struct slow *s, unsigned bytes, bool write, bool read);

/* ---- integer.c, muldiv.c, bits.c, vector.c, float.c, sse.c, masked.c, x87.c, mmx.c, access.c, branch.c: false: not one of theirs ---- */
bool emit_integer(struct jit *j, const struct uop *u);
bool emit_muldiv(struct jit *j, const struct uop *u);
bool emit_bits(struct jit *j, const struct uop *u);
bool emit_flags(struct jit *j, const struct uop *u);
bool emit_vector(struct jit *j, const struct uop *u);
bool emit_float(struct jit *j, const struct uop *u);
bool emit_sse(struct jit *j, const struct uop *u);
bool emit_simd(struct jit *j, const struct uop *u);
bool emit_masked(struct jit *j, const struct uop *u);
bool emit_x87(struct jit *j, const struct uop *u);
bool emit_mmx(struct jit *j, const struct uop *u);
bool emit_access(struct jit *j, const struct uop *u);
bool emit_end(struct jit *j, const struct uop *u);
/* branch.c: go on by an edge; `from`, unless it is NULL, jumps here. Slots that are dirty are stored as they were in a copy. */
void emit_edge(struct jit *j, unsigned edge, uint8_t *from, const struct slot *slots);
/* branch.c: to the target of b by edge n, if what is mapped there is what it is chained to. Destroys rax and rcx. */
void go_far(struct jit *j, const struct block *b, unsigned n);
/* branch.c: a jump by an edge of a block, which its chain changes, has its displacement there. */
struct jump_made *note_jump(struct jit *j, const struct block *b, unsigned edge, uint8_t *displacement);
/* branch.c: what is out of line of the jumps noted: where they go without a chain. */
void emit_edges_away(struct jit *j);
/* branch.c: jumps out of the block to a PC that is known only then can be shared with others: make what they share, before its own code. */
void share_indirect(struct jit *j, const struct block *b);
/* branch.c: before the first micro-op of an instruction that crosses pages: it goes on only if the second page is
 * where it was. */
void emit_lead(struct jit *j);

/* ---- returns.c ---- */
void returns_make_stub(struct jit *j);
/* Code is gone: no CPU knows a call any more. */
void returns_forget(struct jit *j);
bool emit_return(struct jit *j, const struct uop *u);
/* Jump to the PC in rdx where the last call comes back to, if it is that one. Else code goes on. Keeps rdx. */
void go_back(struct jit *j, uint64_t mode, uint64_t bias);
/* Where the calls of the code in progress come back to. */
void emit_landings(struct jit *j);

/* ---- x87.c ---- */
#define X87_KINDS 0x3fffeu /* of jit.host_x87: all */
/* Find out what the host's x87 does where the manual leaves a choice. */
void x87_look(struct jit *j);
/* A jump out of line unless the guest's x87 is the host's; there it becomes that, or the helper is called. */
struct slow *x87_begin(struct jit *j);
/* Of the control word: the masks of all exceptions. */
#define X87_MASKS 0x3fu

/* ---- masked.c ---- */
/* Those of the 16 bytes (not `whole`: 8) at rax + rcx become the vector `data`'s whose byte in `mask` has its top bit set.
 * access_probe() has found that they may be written. Destroys xmm2 and xmm3. */
void masked_bytes(struct jit *j, unsigned mask, unsigned data, bool whole);

/* ---- simd.c ---- */
/* Find out what the host has; has it this? */
void host_look(struct jit *j);
bool host_has(const struct jit *j, enum vector_host what);

/* ---- float.c ---- */
void float_stubs(struct jit *j);
/* The second look of a SLOW_FLOAT: the host's NE if it will not do. */
void float_second_look(struct jit *j, const struct slow *s);

/* ---- flags.c ---- */
/* Note lazy flags: operation, operand bits, result and operand in registers (zero-extended). */
void flags_note(struct jit *j, unsigned op, unsigned bits, unsigned result, unsigned operand);
void flags_note_imm(struct jit *j, unsigned op, unsigned bits, unsigned result, uint64_t operand);
/* The same where the operand noted before is to stay. */
void flags_note_result(struct jit *j, unsigned op, unsigned bits, unsigned result);
/* In parts. First the operand, which is a constant, the operand of 32 or 64 bits at `offset`, which is in `reg`, or what the register
 * that is returned will hold (zero-extended), or what that of an operand defined just now holds; then the operation and its result: a constant, what the register that is
 * returned will hold, or what the register of an operand defined just now holds (of 32 bits: zero-extended). */
void flags_note_operand_imm(struct jit *j, uint64_t operand);
void flags_note_operand(struct jit *j, unsigned bits, unsigned offset, unsigned reg);
unsigned flags_note_operand_def(struct jit *j);
void flags_note_operand_shared(struct jit *j, unsigned reg);
void flags_note_result_imm(struct jit *j, unsigned op, unsigned bits, uint64_t result);
unsigned flags_note_result_def(struct jit *j, unsigned op, unsigned bits);
/* The result is the operand at `offset`, which lies in `reg`. */
void flags_note_result_of(struct jit *j, unsigned op, unsigned bits, unsigned offset, unsigned reg);
void flags_note_result_shared(struct jit *j, unsigned op, unsigned bits, unsigned reg);
/* The host's Z and S, and its flags as far as they are known to be those of the result noted just now, stay so until more is emitted. */
static inline void flags_are_of_result(struct jit *j, unsigned bits)
{
    j->result_at = j->code.at;
    j->result_bits = bits;
}
/* What is known of the carry: nothing, that it is 0, or that the operand noted is just it. */
enum flags_carry { CARRY_UNKNOWN, CARRY_CLEAR, CARRY_IS_OPERAND };
enum flags_carry flags_kept_carry(const struct jit *j);
/* Code after which the host's condition code that is returned tells whether the guest's
 * condition `cond` holds. Uses rax and rdx. */
unsigned flags_condition(struct jit *j, unsigned cond);
/* eax = the flags now, as FLAG_* bits. Uses rdx. */
void flags_get(struct jit *j);
/* The flags become the FLAG_* bits in rax. */
void flags_put(struct jit *j);

/* ---- generic.c ---- */
/* What a micro-op's function returns: enum uop_result, or where the block goes. */
enum generic_result { GENERIC_GO_0 = 16, GENERIC_GO_1, GENERIC_JUMP, GENERIC_EXIT };
extern int (*const generic_functions[UOP_COUNT])(struct ucpu *, const struct uop *);

#endif
