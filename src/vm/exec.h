/*
 * The execution core that every instruction-translating CPU shares: softmmu,
 * block cache, run loop. A target supplies a `struct frontend`.
 *
 * Coherence instead of a guest-visible TLB: a cached translation is dropped
 * when a page-table byte that it depends on is written (PAGE_FLAG_WALKED), and
 * accessed/dirty bits are set by the walk that fills the cache. So the outcome
 * of an access is always that of a walk made now, caches may be dropped at any
 * time, and they cannot influence the state. (Architectures allow this: a TLB
 * may be of any size, even none.)
 */
#ifndef HINDCAST_VM_EXEC_H
#define HINDCAST_VM_EXEC_H

#include "base/code_memory.h"
#include "base/types.h"
#include "vm/cpu.h"
#include "vm/trap.h"
#include "vm/uop.h"

struct footprint;

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

#define TLB_MODES 4 /* translation regimes a target may keep apart (i386: supervisor, user) */
#define TLB_NO_TAG 1u /* never equal to a page address */
#define TLB_ROOTS 8   /* words that say which tables translations come from; */
#define TLB_PARTS 4   /* the first of them each for a part of the address space */

/* Inline accesses: hit if tag == (va + size - 1) & PAGE_MASK at index va >> 12, modulo the TLB's size. */
struct tlb_entry {
    uint64_t read;    /* page address if inline reads are allowed, else TLB_NO_TAG */
    uint64_t write;   /* the same for writes */
    uint64_t fetch;   /* the same for instruction fetch, by jumps to a block that is known */
    uintptr_t addend; /* host address = va + addend */
};

/* A page translation, as the target's walk reports it. */
struct translation {
    paddr_t page;     /* physical address of the 4 KiB page */
    bool read, write, fetch; /* what may be cached; `write` only once the dirty bit is set */
    bool secure;      /* accesses to it are Secure: they reach regions that others do not */
    bool aligned;     /* data accesses must be aligned: none is inline, and for one that is not
                       * (ucpu.misaligned) the walk is made again, to fail */
    bool own_entry;   /* what the walk read last is this page's own entry, in a table of one entry a page in
                       * the order of the addresses (a 4 KiB page's; not a large page's, not stage 2's) */
};

/* A table of translations: entry n is for the addresses whose bits from `shift` on are n, modulo `count`. */
struct top_table {
    paddr_t at;
    unsigned count; /* a power of two, to TOP_TABLE_MOST */
    unsigned size;  /* bytes of an entry, 4 or 8; all of them are in one page */
    unsigned shift;
};

#define TOP_TABLE_MOST 1024

/* What a block was made from and for. */
struct block_key {
    uint64_t pc;     /* the target's program counter value (i386: EIP, not linear) */
    uint64_t va;     /* virtual (linear) address of the first byte */
    uint64_t mode;   /* everything else that the meaning of the bytes depends on */
};

#define BLOCK_MAX_INSNS 32
#define BLOCK_ALIGN 64u    /* bytes: a cache line; and its place and its instructions fit in one number (jit/jit_priv.h) */
#define BLOCK_MAX_UOPS  192 /* room for one more instruction is checked before each */

struct block_insn {
    uint32_t pc_offset; /* from key.pc */
    uint16_t first_uop;
    uint8_t len;        /* bytes */
    uint8_t flags;
};

/* One of a block's chains, in the list of those that lead to the same block. */
struct chain {
    struct block *from;
    struct chain *other;    /* the next one, */
    struct chain **place;   /* and what points to this one; NULL: the edge has no chain */
};

/* The ways from a block to another one. */
enum { EDGE_FALL, EDGE_BRANCH, EDGE_RETURN, EDGES, EDGE_NONE = EDGES };

struct block {
    /* What finding, entering and leaving it looks at is one cache line. */
    _Alignas(BLOCK_ALIGN) const uint8_t *entry; /* the JIT's: where compiled code enters it; see native */
    uint16_t steps;         /* instructions */
    bool alone : 1;         /* one instruction, run by itself: never chained, nor to be found by jumps */
    bool trapped : 1;       /* an execution trap may be set on its first instruction: check */
    bool valid : 1;
    bool native : 1;        /* `entry` is its own code, else one that turns to the interpreter */
    bool wide : 1;          /* as builder.wide */
    bool crosses : 1;       /* into page[1]: whoever enters it sees that this is mapped there still */
    bool traced : 1;        /* the JIT's: its code is a trace, or stays what it is */
    uint8_t lead;           /* of an instruction that crosses pages: bytes of code at `entry` that see whether the second
                             * one is where it was */
    uint32_t hash_page;     /* page[0] */
    struct block *next[2];  /* chained successors within the page, or NULL */
    struct block_key key;   /* .mode is UINT64_MAX once the block is not valid any more */
    uintptr_t addend;       /* as tlb_entry.addend while key.va is mapped to these bytes */

    struct block *hash_next; /* the block cache's own, as page_next and index */
    struct uop *uops;
    uint32_t heat;          /* entries before it is compiled; with code: the number of the JIT's counter of those before it is a trace */
    uint32_t epoch;         /* exec_shared.epoch when it was last interpreted */
    uint64_t target[EDGES]; /* PC values: fall-through, branch, and of a block that ends with CALLS the return */
    struct block_insn *insns; /* [steps] */
    uint32_t page[2];       /* page numbers of the bytes; [1] UINT32_MAX unless the one instruction
                             * crosses; [0] UINT32_MAX: not from page-backed memory, never kept */
    uint16_t offset, len;   /* of the bytes, in page[0] (len counts into page[1]) */
    uint32_t nuops;
    struct block *page_next[2];
    uint32_t index;
    struct block *far[EDGES]; /* chained successors that are good while what is there is mapped; compiled code's alone */
    struct chain chains[EDGES];
    struct chain *led_by;   /* chains to this block */
    uint32_t jumps[EDGES];  /* the JIT's: the number of the first of its jumps by each edge, from 1 on */
};

/* Handed to frontend.build: append instructions until it says stop. */
struct builder {
    struct ucpu *cpu;
    struct block_key key;
    const uint8_t *bytes;   /* the bytes from key.va to the end of the page (and, for the first
                             * instruction only, 16 more if the next page could be fetched) */
    unsigned avail;         /* bytes to the page's end */
    unsigned avail_first;   /* bytes readable for the first instruction, >= avail */
    unsigned max_insns;     /* 1 when single-stepping */
    uint32_t page;          /* of storage, in which the bytes are; NO_PAGE: devices answer */
    bool wide;              /* the front end's: operands of less than 64 bits are parts of registers of 64 bits
                             * (a hint: the JIT then keeps whole ones) */
    struct uop uops[BLOCK_MAX_UOPS + 64];
    unsigned nuops;
    struct block_insn insns[BLOCK_MAX_INSNS];
    unsigned ninsns;
    unsigned len;           /* bytes consumed so far */
    uint64_t target[EDGES];
};

/* For a front end that lowers an instruction otherwise if another one is sure to follow it in the block: would one that begins `len`
 * bytes after the beginning of this one be asked for? Of this one at most BUILD_SPARE_UOPS micro-ops may be missing. (Whether the
 * other one can be decoded, and is not refused, is the front end's to know.) */
bool builder_goes_on(const struct builder *b, unsigned len);
#define BUILD_SPARE_UOPS 8u

/* Append a micro-op. */
static inline struct uop *build(struct builder *b, enum uop_code op, unsigned d, unsigned a, unsigned bb,
                                uint32_t imm, uint32_t aux)
{
    struct uop *u = &b->uops[b->nuops++];

    *u = (struct uop){.op = (uint16_t)op, .d = (uint16_t)d, .a = (uint16_t)a, .b = (uint16_t)bb,
                      .imm = imm, .aux = aux};
    return u;
}

static inline struct uop *build_call(struct builder *b, int (*fn)(struct ucpu *, const struct uop *),
                                     unsigned d, unsigned a, unsigned bb)
{
    struct uop *u = build(b, UOP_CALL, d, a, bb, 0, 0);

    u->fn = fn;
    return u;
}

enum build_next {
    BUILD_MORE, /* the instruction was appended; the block may go on after it */
    BUILD_END,  /* the instruction was appended with a UOP_ENDS micro-op: the block is complete */
    BUILD_STOP, /* the instruction was NOT appended: it must start a block of its own (alone),
                 * or its bytes reach beyond `avail` */
};

struct frontend {
    /* Bits of a virtual address: addresses and fall-through PCs wrap there. 0 means 32. */
    unsigned va_bits;
    /* Fill in the key of the instruction that comes next. */
    void (*where)(const struct ucpu *, struct block_key *);
    /* Set the PC to a value of block_key.pc's kind. */
    void (*set_pc)(struct ucpu *, uint64_t pc);
    /* Decode and lower one instruction at b->bytes + b->len. The first one of a
     * block is always appended (an undecodable one as a CALL that raises), except
     * that one whose bytes reach beyond avail_first may give BUILD_STOP: the core
     * then makes the fetch from the next page fault.
     * Appending is: its micro-ops, its insns[ninsns++] (all four fields), and
     * b->len += its bytes; with BUILD_END also b->target[] (target[0] is preset to
     * the instruction that follows). When a block ends without a UOP_ENDS
     * micro-op, the core appends FALL to key.pc + len. */
    enum build_next (*build)(struct builder *b);
    /* Translate one page for an access from the current mode. On success fill *t
     * (A/D bits are set in guest memory as a side effect, through ucpu_walk_*). On
     * failure leave the exception pending in the target and return false. `mode`
     * is the TLB regime. */
    bool (*walk)(struct ucpu *, uint64_t va, enum access access, unsigned mode, struct translation *t);
    /* Nobody answers at the physical address of an access to `va` (of the instruction
     * there): leave an exception pending instead of it. NULL: it reads as ones. */
    void (*bus_error)(struct ucpu *, uint64_t va, enum access access);
    /* Whatever changes often and decides which tables translations come from (CR3; TTBR0,
     * TTBR1): what is cached under one value is found again under the same. Pure. All else
     * that a walk depends on flushes when it changes. May be NULL. */
    void (*roots)(const struct ucpu *, uint64_t roots[TLB_ROOTS]);
    /* The table that walks begin with, under these roots, for addresses of that part. False: it is not known. May be NULL.
     * What is cached under other roots is taken over where the entries of both tables are the same (the kernel's). */
    bool (*top_table)(const struct ucpu *, const uint64_t roots[TLB_ROOTS], unsigned part, struct top_table *t);
    /* Bits part_shift and part_shift + 1 of an address say in which of TLB_PARTS parts it is:
     * its translation depends on that one of the first roots and on the roots that follow
     * them, not on the roots of other parts. (A root of 0 is never taken for the same as
     * another 0.) 0: all addresses are in part 0. wide_part_shift, if it is not 0, is the same for addresses from 2^32 on:
     * halves that change by themselves are best in parts of their own. */
    unsigned part_shift, wide_part_shift;
    /* Something must happen before the next instruction: an interrupt is
     * deliverable, a trap is pending. Pure. Called whenever run() is (re)entered
     * or a block ended with EXIT or UOP_LEAVE. */
    bool (*event_ready)(const struct ucpu *);
    /* Neither event_ready() nor cpu_ops.idle() nor single_step() holds; false may be said whatever they are. Pure. NULL: they
     * are asked. */
    bool (*quiet)(const struct ucpu *);
    /* Do it: one step (an entry). False: nothing was done after all (not a step). */
    bool (*take_event)(struct ucpu *);
    /* An instruction faulted; PC names it. Deliver the pending exception: one step. */
    void (*take_exception)(struct ucpu *);
    /* Is the pending exception that of an instruction which counts as executed (A64: SVC, HVC, SMC)? Pure. NULL: none is. */
    bool (*retires)(const struct ucpu *);
    /* Must instructions be run one at a time now (i386 TF, a64 software step)? Pure. */
    bool (*single_step)(const struct ucpu *);
    /* While it holds: may an instruction that repeats make many of its steps at once? Pure. NULL: it may not. */
    bool (*repeats)(const struct ucpu *);
    /* After each instruction while single_step() held at its beginning, and each step of one that repeats unless repeats() held, too. */
    void (*stepped)(struct ucpu *);
    /* A guest execution trap matches the next instruction: true: an exception was
     * left pending instead of the instruction (take_exception follows). May be NULL. */
    bool (*guest_break)(struct ucpu *, const struct trap_hit *);
    /* A guest access trap was hit by the instruction just completed. May be NULL. */
    void (*guest_watch)(struct ucpu *, const struct trap_hit *);
    /* The same, before the access: true: an exception was left pending instead of it (the
     * instruction faults). May be NULL. */
    bool (*guest_watch_early)(struct ucpu *, const struct trap_hit *);
    /* The address by which traps and footprints know a data access to `va` (A64: without
     * the tag byte that translation ignores). Pure. May be NULL: `va` itself. */
    uint64_t (*untagged)(const struct ucpu *, uint64_t va);
    /* Do the floating-point micro-op `u` (uop.def, F...), flags and all. May be NULL, if none is made. */
    void (*float_op)(struct ucpu *, const struct uop *u);
    /* Do the micro-op SSE or SSE_COMPARE `u`, whose control and flags are the 32-bit MXCSR (SDM 1, 10.2.3) at
     * mxcsr_at of the state. UOP_FAULT: an exception is pending. May be NULL, if none is made. */
    int (*sse_op)(struct ucpu *, const struct uop *u);
    unsigned mxcsr_at;
    /* The micro-ops VECTOR, and VECTOR_TEST and VECTOR_STRINGS, which give the flags. May be NULL likewise. */
    void (*vector_op)(struct ucpu *, const struct uop *u);
    uint32_t (*vector_test)(struct ucpu *, const struct uop *u);
    uint32_t (*vector_strings)(struct ucpu *, const struct uop *u);
    /* What RCPPS, or RSQRTPS (`root`), makes of an element. May be NULL. That of one of exponent e, 0 < e < 255, with another fraction from
     * bit 12 on is not asked for: bits below do not count; of RCPPS, exponent and sign follow from those of e = 127, if the result's
     * exponent is above 0; of RSQRTPS, from e = 127 or 128. */
    uint32_t (*approximation)(bool root, uint32_t a);
    unsigned vector_high; /* SSE_PAIR, in bytes of the state */
    unsigned vectors, vector_offset; /* for VECTOR_MASKED: vector register 0, of 16 bytes; a temporary */
    unsigned zero;        /* where in the state 8 bytes are always 0; 0: nowhere */
    unsigned temporaries, temporaries_len; /* bytes of the state that no instruction reads before it has written them */
    const struct x87_layout *x87; /* may be NULL, if no X87 is made */
    /* Bring lazies to their canonical form, zero temporaries. */
    void (*settle)(struct ucpu *);
};

/* Where the state has the x87 (SDM 1, 8.1), as offsets, for the micro-op X87. */
struct x87_layout {
    uint16_t fcw;       /* 32 bits, aligned: the status word above the control word */
    uint16_t ftag;      /* 32 bits, aligned: bit n: register n is in use */
    uint16_t fpr;       /* 8 registers by their physical numbers, 80 bits in 16 bytes each */
    uint16_t fip, fdp;  /* 64 bits: of the last instruction */
    uint16_t fcs, fds, fop; /* 16 bits each */
    uint16_t selectors; /* 16 bits of each segment register, `stride` bytes apart; */
    uint16_t stride;
    uint16_t cs;        /* the number of CS among them */
    uint16_t gpr;       /* general registers, AX first, of 64 bits each */
    uint16_t offset, linear, imm8, eip; /* temporaries: of the operand in memory its offset and address, an immediate operand, the
                         * instruction's address */
    uint16_t fop_switch; /* 32 bits: bit 2 set, or fop_always: the opcode is noted */
};

/* When the host's arithmetic may stand in for the target's: all of `clear` is clear in the word of the
 * state at clear_at, and `set`, one bit, is set in that at set_at. The first then means rounding to nearest and no
 * flushing of denormals, the second that inexact is raised already. */
struct float_rules {
    uint16_t clear_at, set_at;
    uint32_t clear, set;
};

/* A CPU that is run by this core; its target's struct begins with it. */
struct ucpu {
    struct cpu cpu;
    const struct frontend *fe;
    uint8_t *s;              /* == cpu.state */
    struct lazy_flags *flags; /* within the state block */
    unsigned flags_offset;
    struct tlb_entry *tlb;   /* of the current context and regime */
    unsigned tlb_mode;
    struct block *block;     /* in progress */
    bool misaligned;         /* walks are for a data access that is not aligned to its size (pairs and
                              * structures: of one register, of one element) */
    bool retry_alone;        /* UOP_FAULT meant: stop before this instruction, run it alone */
    bool no_cache;           /* testing aid: translate every block anew */
    bool no_optimise;        /* testing aid: blocks of lowered micro-ops as they are */
    bool single;             /* testing aid: blocks of one instruction */
    bool careful;            /* testing aid: the front end takes no short ways */
    bool plain_switch;       /* testing aid: the interpreter without computed goto */
    bool no_avx;             /* testing aid: compiled code is as on a host without AVX */
    unsigned npending_hits;  /* access traps hit by the step in progress */
    struct float_rules float_rules; /* with fe->float_op */
    bool x87_notes_opcode;   /* with fe->x87: whatever fop_switch says */
    struct exec *exec;       /* block cache, jump cache, TLB storage: exec.c's own */
};

/* For targets: create and destroy the shared part. `state` is the arena block,
 * `flags_offset` where its struct lazy_flags is. */
void ucpu_init(struct ucpu *c, struct machine *m, const struct cpu_ops *ops, const struct frontend *fe,
               void *state, unsigned flags_offset);
void ucpu_finish(struct ucpu *c);
/* Compile blocks that were entered `threshold` times (0: a good number), by any CPU of the machine, into `memory`,
 * which is the machine's from now on. All its CPUs are there already. False: the host or the build has no JIT, or there is too little memory;
 * it is still the caller's, and blocks are interpreted. */
bool ucpu_use_jit(struct ucpu *c, const struct code_memory *memory, unsigned threshold);
/* A testing aid: begin with TLBs of 2^bits entries. They grow as the guest needs it. */
void ucpu_set_tlb_bits(struct ucpu *c, unsigned bits);
/* cpu_ops.run of such a CPU. */
void ucpu_run(struct cpu *cpu, icount_t until);
/* cpu_ops.step_pc of such a CPU. */
uint64_t ucpu_step_pc(const struct cpu *cpu);
/* cpu_ops.drop_derived of such a CPU, or a part of it. */
void ucpu_drop_derived(struct cpu *cpu);
/* cpu_ops.note_code of such a CPU. */
void ucpu_note_code(struct cpu *cpu, struct footprint *f);

/* Translation state changed (CR0.PG, TCR, ...): drop every cached translation and the jump
 * caches. Call it after the change. */
void ucpu_flush_tlb(struct ucpu *c);
/* fe->roots may give another answer now. Call it after the change. */
void ucpu_roots_changed(struct ucpu *c);
/* Addresses wrap at 2^bits from now on (frontend.va_bits at first). Changes nothing that is cached: the caller flushes
 * if it has to. */
void ucpu_set_va_bits(struct ucpu *c, unsigned bits);
/* Use another regime from the next access on. */
void ucpu_set_tlb_mode(struct ucpu *c, unsigned mode);

/* The instruction in progress is about to do something that must be *alone* (uop.h).
 * False: it is in mid-block and has to be run again alone (return UOP_FAULT). The answer is
 * the same throughout an instruction: whoever got true is refused nothing later. */
bool ucpu_be_alone(struct ucpu *c);

/* Accesses by virtual address for helpers: up to a page, little-endian, any
 * alignment, page crossing checked before anything is transferred. False: the
 * instruction faults (return UOP_FAULT). */
bool ucpu_load(struct ucpu *c, uint64_t va, void *buf, unsigned size);
bool ucpu_store(struct ucpu *c, uint64_t va, const void *buf, unsigned size);
/* The same, made as accesses of `unit` bytes each (a power of two): that is what devices see, and
 * what alignment is of. */
bool ucpu_load_units(struct ucpu *c, uint64_t va, void *buf, unsigned size, unsigned unit);
bool ucpu_store_units(struct ucpu *c, uint64_t va, const void *buf, unsigned size, unsigned unit);
/* The same in a given regime (implicit supervisor accesses: descriptor tables, TSS, ...). */
bool ucpu_load_mode(struct ucpu *c, unsigned mode, uint64_t va, void *buf, unsigned size);
bool ucpu_store_mode(struct ucpu *c, unsigned mode, uint64_t va, const void *buf, unsigned size);

/* The part of an access that lies in one page, translated. */
struct access_part {
    uint64_t va;
    uint64_t trap_va; /* the same as traps see it */
    paddr_t page;     /* physical page address */
    uint32_t number;  /* the page of storage, or UINT32_MAX: devices answer */
    uint16_t offset;  /* in the page */
    uint16_t len;
    uint8_t kind;     /* enum region_kind, when `number` is set */
    uint8_t watched;  /* TRAP_READ, TRAP_WRITE: kinds of traps that touch the page */
    bool secure;      /* the access is Secure */
};

/* A store that is going to be made: translated, permitted, and refused by nobody any more. For
 * instructions with an effect that cannot be taken back (another store, a port) before it. */
struct planned_store {
    struct access_part part[2];
    uint8_t nparts;
    uint8_t mode;     /* TLB regime */
    bool alone;       /* the block in progress must not go on after it */
    uint8_t *direct;  /* the bytes, if inline access to them was allowed; NULL: it was not */
};

/* Faults like the store, transfers nothing (A/D bits may be set). */
bool ucpu_plan_store(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, struct planned_store *plan);
/* Make it: to where the plan says, even if a store since then changed the translation. */
void ucpu_make_store(struct ucpu *c, const struct planned_store *plan, const void *buf);

/* Would the access succeed? Faults like it, transfers nothing (A/D bits may be set). */
bool ucpu_probe(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access);
/* A host pointer for `va` if inline access to the rest of its page is allowed right
 * now, else NULL (use ucpu_load/store): for bulk string instructions. No side effects. */
uint8_t *ucpu_host(struct ucpu *c, uint64_t va, enum access access);
/* Where [va, va + *len), bytes of one page that the instruction in progress is going to overwrite, may be written at once, though code or page tables lie in
 * the page: what is cached of these bytes is dropped now, whether they are written or not. *len becomes less where the translation of running code
 * depends on later ones. NULL: not even the first (use ucpu_store()). Pointers that ucpu_host() gave before are not good any more. */
uint8_t *ucpu_host_overwritten(struct ucpu *c, uint64_t va, unsigned *len);
/* The same as ucpu_host() of `size` bytes, in a given regime, to read or to write. */
uint8_t *ucpu_host_mode(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access);
/* The same for who makes several accesses in a regime: looked up without a call. Good until anything is translated, or the regime's
 * translations change. */
struct ucpu_window {
    const struct tlb_entry *entries;
    uint64_t mask;
};
struct ucpu_window ucpu_window(struct ucpu *c, unsigned mode);
static inline const uint8_t *window_read(const struct ucpu_window *w, uint64_t va, unsigned size)
{
    const struct tlb_entry *e = &w->entries[va >> PAGE_SHIFT & w->mask];

    return e->read == (va & PAGE_MASK) && e->read == ((va + size - 1) & PAGE_MASK) ? (const uint8_t *)((uintptr_t)va + e->addend) : NULL;
}
static inline uint8_t *window_write(const struct ucpu_window *w, uint64_t va, unsigned size)
{
    const struct tlb_entry *e = &w->entries[va >> PAGE_SHIFT & w->mask];

    return e->write == (va & PAGE_MASK) && e->write == ((va + size - 1) & PAGE_MASK) ? (uint8_t *)((uintptr_t)va + e->addend) : NULL;
}

/* Page table reads and writes by a walk: physical, noted as WALKED. `size` 4 or 8. A write, and
 * a read that a device answers, must be alone: in mid-block ucpu.retry_alone is set instead,
 * and what the walk says is of no interest. */
uint64_t ucpu_walk_read(struct ucpu *c, paddr_t addr, unsigned size);
void ucpu_walk_write(struct ucpu *c, paddr_t addr, unsigned size, uint64_t value);

/* For a repeated string helper in the last instruction of a block: how many iterations
 * may be made now beyond the first, and the report of how many were. An access
 * through ucpu_load or ucpu_store may change the answer. */
uint64_t ucpu_rep_room(const struct ucpu *c);
void ucpu_rep_used(struct ucpu *c, uint64_t extra_steps);

/* For a helper in the last instruction of a block: see machine_yield(). */
void ucpu_yield(struct ucpu *c);

/* The guest's own debug registers (DR0-3; DBGB/WVR): traps like the observer's,
 * but reported to the frontend: execution hits through fe->guest_break before the
 * instruction, accesses through fe->guest_watch after it. `list` is copied. */
void ucpu_set_guest_traps(struct ucpu *c, const struct trap *list, unsigned count);

/* Statistics for `monitor info jit` and the benchmarks. */
struct ucpu_stats {
    uint64_t blocks_built, blocks_live, flushes, tlb_misses, tlb_flushes, jump_misses, alone;
    bool jit; /* there is one */
    /* of the JIT: blocks compiled, bytes of code in use, how often all of it was thrown away; in the blocks compiled, calls of C functions
     * that are made whenever they are run */
    uint64_t compiled, code_bytes, code_flushes, calls;
};
void ucpu_stats(const struct ucpu *c, struct ucpu_stats *out);

#endif
