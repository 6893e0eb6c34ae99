/*
 * What the files of the execution core share: softmmu.c, tlb.c, block.c, translate.c,
 * optimise.c, exec.c, the interpreter (by uop_words.h) and jit/ (by jit.h). Nobody else includes this.
 *
 * A machine's CPUs share what is derived from memory: translated blocks, compiled code, the jump cache, and
 * what is known of each page (struct exec_shared). What depends on a CPU's registers is its own: cached
 * translations, the run in progress (struct exec). One CPU runs at a time, so
 * what only a run in progress needs may be in either. Whatever one CPU does to a page is noticed by what all
 * of them have cached of it.
 *
 * Nothing here is guest state. All of it may be dropped at any step without a
 * trace in positions or states.
 */
#ifndef HINDCAST_VM_EXEC_PRIV_H
#define HINDCAST_VM_EXEC_PRIV_H

#include "base/page_set.h"
#include "vm/exec.h"
#include "vm/machine.h"

#define JUMP_BITS 16
#define JUMP_SIZE (1u << JUMP_BITS)
/* A block of one instruction alone (each turn of several CPUs ends with some) is that far from the place of its PC, where
 * compiled code does not look for it. */
#define JUMP_ALONE (JUMP_SIZE / 2)
/* Two jumps that want the same place, in turn, each have one: the place beside it is the other's. */
#define JUMP_OTHER 1u
#define HASH_BITS 17
#define HASH_SIZE (1u << HASH_BITS)
/* Host memory for translated blocks; when it is full all of them are dropped. */
#define POOL_BYTES ((size_t)64 << 20)
/* How many values of the roots a CPU has the translations of cached at a time. */
#define TLB_CONTEXTS 16
/* Entries of a TLB, by powers of two: so many at first, and at most when the guest's working set is larger. */
#define TLB_BITS_FIRST 10
#define TLB_BITS_MOST  15
#define TLB_VICTIMS    8 /* entries that others took the place of; behind those found by address */
#define MAX_PENDING_HITS 16
#define IO_PLACES_BITS 10
#define IO_PLACES (1u << IO_PLACES_BITS)
#define MAX_WALK_READS   80 /* 4-byte granules; two stages of five levels, of 8 bytes each */
#define NO_PAGE UINT32_MAX
#define DEVICE_UNIT 8u       /* wider accesses to devices are cut into these */

/* What is known of a cached page translation besides the inline tags; parallel to the TLB. */
struct tlb_info {
    uint64_t tag;     /* virtual page address, or TLB_NO_TAG */
    paddr_t page;     /* physical page address */
    uint32_t number;  /* page number if one page-backed region answers for all of it, else NO_PAGE */
    uint8_t kind;     /* enum region_kind, when `number` is set */
    uint8_t perms;    /* 1 << enum access */
    uint8_t watched;  /* TRAP_READ, TRAP_WRITE: kinds of traps that touch the page */
    bool secure;      /* accesses are Secure */
    bool aligned;     /* translation.aligned */
    uint8_t listed;   /* of the entry, whatever it has: bit n: it is in tlb_context.filled[n] */
    uint8_t noted;    /* 1 << enum access: the footprint, if there is one, has this page */
    const struct region *device; /* whose accesses need nothing but to be alone: one answers for all of the page */
    uint64_t leaf;    /* walk_granule() of the table entry that is for this page alone, or UINT64_MAX */
};

/* What is cached under one value of the translation roots. */
struct tlb_context {
    uint64_t roots[TLB_ROOTS];
    unsigned number;       /* exec_shared.contexts[number] */
    uint64_t used;         /* exec.context_uses when it was last chosen */
    struct tlb_table {
        struct tlb_entry *entries; /* [tlb_mask + 1 + TLB_VICTIMS]; NULL: the regime was not used yet */
        struct tlb_info *infos;    /* parallel to them */
        unsigned next_victim;      /* 0 to TLB_VICTIMS - 1: the oldest */
    } tables[TLB_MODES];
    unsigned emptied;      /* bit n: what was known of part n was forgotten, or never known */
    unsigned bare;         /* bit n: forgotten it was, and nothing is known of it since */
    struct tlb_filled {    /* TLB_SLOT() of every entry in use for that part, and of some that were */
        uint32_t *slots;
        unsigned count, cap;
    } filled[TLB_PARTS];
};

/* The place of an entry in a context. */
#define TLB_SLOT(mode, index) ((uint32_t)(mode) << 24 | (uint32_t)(index))
#define TLB_SLOT_MODE(slot)   ((slot) >> 24)
#define TLB_SLOT_INDEX(slot)  ((slot) & 0xffffffu)

/* Which 4-byte granules of a page cached walks have read. One bit each. */
#define WALKED_WORDS (PAGE_SIZE / 4 / 64)
#define WALKED_QUARTERS 4u
struct walked {
    uint64_t granules[WALKED_WORDS];
    uint64_t shared[WALKED_WORDS]; /* for more than one page, or as anything but a walk's last entry */
    uint64_t code[WALKED_WORDS];   /* for an instruction fetch */
    uint64_t first_va;             /* the page that entry 0 is for, if the others are for those after it */
    uint64_t contexts;             /* context_bit()s of those that may depend on the page */
    uint8_t parts[WALKED_QUARTERS]; /* of the page; bit n: they do for addresses of part n */
    bool inner;                    /* walks came to it from another table; else they all began with it */
    uint8_t entry_size;            /* bytes; 0: not known yet */
    bool listed;                   /* in exec_shared.walked_pages */
};

/* What is derived from one page of storage. */
struct page_derived {
    uint64_t chunks;      /* page_chunks() that belong to some block */
    uint64_t *bytes;      /* [PAGE_SIZE / 64], a bit for each byte that does; NULL: chunks have been enough to know */
    struct block *blocks; /* every block with bytes of this page */
    uint64_t granted_epoch; /* the tlb_epoch that `granted` is of */
    uint64_t granted;       /* context_bit()s of those in which inline writes may be allowed, */
    uint64_t granted_va;    /* and at which page; GRANTED_MANY: at more than one */
    struct walked *walked;  /* good while the page is flagged WALKED; NULL: never was */
};

#define GRANTED_MANY UINT64_MAX

struct pending_hit {
    bool guest; /* a trap of the guest's own, else of the observer */
    struct trap_hit hit;
};

/* A copy of a list of traps, as it was when caches were last brought in line with it. */
struct trap_copy {
    struct trap *list;
    unsigned count;
};

/* Entry of the compact index of live blocks: enough to find those near an address. */
struct live_block {
    uint32_t va; /* low bits of key.va */
    uint32_t len;
};

/* A place of the jump cache: the block, and what compiled code asks of it before it enters, together in one cache line. (The block's
 * own line is another one, and not at hand when thousands are run in turns.) */
struct jump_place {
    _Alignas(64) const uint8_t *entry; /* what the block has, each; of no block: zeros, which match nothing that is mapped */
    struct block_key key;
    uintptr_t addend;
    struct block *block;               /* NULL: none */
};

/* What the CPUs of a machine share. */
struct exec_shared {
    struct machine *machine;
    unsigned users;                        /* CPUs that have it */
    unsigned part_shift, wide_part_shift;  /* of the front end; not 0 */

    /* tlb.c */
    struct tlb_context **contexts;         /* of all CPUs */
    unsigned ncontexts;
    struct page_derived *pages;            /* [memory.max_pages] */
    uint64_t tlb_mask;                     /* entries of a TLB, less one; compiled code has it as a constant */
    uint64_t tlb_lost, tlb_lost_since;     /* what its smallness cost since that position (note_loss()) */
    bool tlb_short;                        /* so many that the TLBs are to grow */
    uint64_t tlb_epoch;                    /* how often nothing at all was cached, plus 1 */
    uint32_t *walked_pages;                /* page numbers with PAGE_FLAG_WALKED */
    unsigned nwalked_pages, cap_walked_pages;
    bool walk_writes;                      /* ucpu_walk_write is storing: no flush */

    /* block.c */
    struct block *hash[HASH_SIZE];
    struct jump_place *jump;               /* [JUMP_SIZE]: the jump cache, by PC and mode */
    struct block **live;                   /* every valid block that is kept; block.index is its place */
    struct live_block *live_index;         /* parallel to live[] */
    unsigned nlive, cap_live;
    uint8_t *pool;
    size_t pool_used;
    struct block *link_from;               /* the block whose edge link_edge led to the PC, or NULL */
    unsigned link_edge;
    uint32_t epoch;                        /* goes on where a footprint begins: what is run from then on is in it */

    /* translate.c */
    struct io_place {
        uint64_t at;                       /* page number and offset of an instruction */
        unsigned refusals;
    } io_places[IO_PLACES];                /* by hash; what has no room is forgotten */
    struct builder *builder;
    uint8_t bytes[PAGE_SIZE + 16];         /* code bytes that are not contiguous in the host */

    /* exec.c */
    struct jit *jit;                       /* NULL: everything is interpreted */
    uint64_t traps_generation;             /* of machine.traps when last looked at */
    struct trap_copy observer;
    unsigned nexec;                        /* execution traps: the observer's, and all CPUs' own */
    struct ucpu_stats stats;
};

/* Places in a page that compiled code remembers at a time. */
#define NEAR_PLACES 6

/* Calls that are known at a time. A power of 2. */
#define RETURNS 32u
#define RETURN_SIZE ((unsigned)sizeof(uint8_t *))

/* What is a CPU's own. */
struct exec {
    struct ucpu *cpu;                      /* compiled code finds the CPU by these three */
    uint8_t *state;
    struct lazy_flags *flags;
    uint32_t tlb_offsets;                  /* of entries in a TLB: the bits that they may have */
    uint32_t shown;                        /* compiled code: where in the pool the block in progress is, and in the low bits its steps,
                                            * whenever C code may look; they become ucpu.block and cpu.steps */
    uint8_t *pool;                         /* exec_shared.pool */
    uint32_t slow_uop;                     /* compiled code: number of the micro-op whose access is being made */
    uint32_t return_top;                   /* of returns[]: the place of the last call, in bytes */
    const uint8_t *returns[RETURNS];       /* a ring of calls that did not return yet: what compiled code runs when they do (jit/returns.c) */
    const uint8_t *return_unknown;         /* that of a call that the interpreter made */
    uint64_t places[NEAR_PLACES];          /* of compiled code (jit/near.c): 0, or good as long as no TLB changes */
    struct exec_shared *shared;

    /* softmmu.c */
    uint64_t va_mask;                      /* ucpu_set_va_bits() */
    paddr_t walk_reads[MAX_WALK_READS];    /* granules read by the walk in progress */
    unsigned nwalk_reads;
    unsigned first_walk_size;      /* bytes of its first entry */
    unsigned last_walk_read, last_walk_size; /* index of its last entry's first granule; bytes */
    unsigned unit;                         /* the access in progress is made of ones of this many bytes; 0: it is one */
    bool walk_uncacheable;                 /* the walk in progress read from a device */
    bool only_looking;                     /* walks change nothing; and are not cached if they would have */

    /* tlb.c */
    struct tlb_context *contexts[TLB_CONTEXTS], *context; /* made when first wanted; the current one */
    unsigned ncontexts;
    uint64_t context_uses;

    /* exec.c */
    uint64_t entry_pc;     /* what ops->pc() was before the entry in progress */
    bool retry;            /* run the next instruction alone */
    bool look;             /* events, idling and single-stepping must be looked at */
    bool stepping;         /* fe->single_step() held when last looked at */
    bool repeating;        /* and the instruction that begins may make many steps (fe->repeats()) */
    bool plain;            /* in this run blocks need not be of one instruction for any other reason */
    uint64_t withheld;     /* budget (and limit) set aside so that the run loop is reached soon */
    bool io_refused;       /* with ucpu.retry_alone: it was an access to a device */
    uint64_t go_pc;        /* interpreter: where it left for */
    unsigned go_edge;      /* interpreter: by which edge of ucpu.block, or EDGE_NONE */
    const struct uop *fault_uop; /* interpreter: what faulted */
    struct block *turn;    /* LEFT_TURN: the block to enter next */
    uint32_t left;         /* compiled code: enum left that exec_go_on() wants to have */
    uint64_t slow_value[2]; /* softmmu_load_slow()'s value */
    uint32_t sse_live;     /* compiled code: the guest's MXCSR is in the host's, and memory has an older one */
    uint32_t host_mxcsr;   /* what C code wants there */
    uint32_t x87_live;     /* compiled code: the guest's x87 is the host's, and memory has an older state */
    uint16_t host_fcw;     /* what C code wants there */
    struct pending_hit hits[MAX_PENDING_HITS];
    struct trap_copy guest;
};

/* An interpreter's call begins; one comes back. (More than there is room for, and those that never do, are forgotten: it is but a guess.) */
static inline void exec_push_return(struct exec *x)
{
    x->return_top = (x->return_top + RETURN_SIZE) % (RETURNS * RETURN_SIZE);
    x->returns[x->return_top / RETURN_SIZE] = x->return_unknown;
}

static inline void exec_pop_return(struct exec *x)
{
    x->return_top = (x->return_top - RETURN_SIZE) % (RETURNS * RETURN_SIZE);
}

/* The CPU that has these members first (all CPUs of a machine are run by this core, or none). */
static inline struct ucpu *ucpu_of(struct cpu *cpu)
{
    return (struct ucpu *)(void *)cpu;
}

/* What stands for a context in a page's masks. With very many it is shared: a mask names a superset. */
static inline uint64_t context_bit(const struct tlb_context *t)
{
    return (uint64_t)1 << (t->number & 63);
}

/* ---- softmmu.c ---- */
void softmmu_init(struct exec_shared *sh, const struct frontend *fe);
void softmmu_finish(struct exec_shared *sh);
/* The cached or fresh translation of `va` for `access` (of ucpu.misaligned's kind); NULL: an
 * exception is pending or retry_alone is set. Good until the next call. */
const struct tlb_info *softmmu_lookup(struct ucpu *c, unsigned mode, uint64_t va, enum access access);
/* Does nobody answer an access there? Then, if the target has exceptions for
 * that, one is pending. */
bool softmmu_bus_fails(struct ucpu *c, const struct access_part *p, enum access access);
/* Slow halves of the interpreter's inline accesses; size 1, 2, 4, 8. */
bool softmmu_load_slow(struct ucpu *c, uint64_t va, unsigned size); /* value: exec.slow_value */
bool softmmu_load_rw_slow(struct ucpu *c, uint64_t va, unsigned size); /* faults as a write does */
bool softmmu_store_slow(struct ucpu *c, uint64_t va, uint64_t value, unsigned size);
/* Pairs of values of `each` bytes, 4 or 8: one access to memory, two to a device. 16: one value of 16. */
bool softmmu_load_pair_slow(struct ucpu *c, uint64_t va, unsigned each); /* values: exec.slow_value, packed */
bool softmmu_store_pair_slow(struct ucpu *c, uint64_t va, const void *pair, unsigned each);
/* Make the block in progress, whichever CPU's it is, the last one before the run loop. */
void exec_leave_soon(const struct exec_shared *sh);

/* ---- tlb.c ---- */
/* What is shared, what is a CPU's. */
void tlb_init(struct exec_shared *sh);
void tlb_finish(struct exec_shared *sh);
void tlb_init_cpu(struct ucpu *c);
/* Make an entry for the page of `va` in the current context, empty, about to be filled. */
struct tlb_info *tlb_renew(struct ucpu *c, unsigned mode, uint64_t va);
/* Put the victim that is for the page of `va` back into its place. False: there is none. */
bool tlb_recall(struct ucpu *c, unsigned mode, uint64_t va);
/* The current context's TLB of a regime, made when it is first asked for. */
void tlb_make_table(struct ucpu *c, unsigned mode);
/* Larger TLBs for all CPUs, if they were too small lately. Only from the run loop: it moves them. */
void tlb_grow(struct exec_shared *sh);
/* The walk just made (walk_reads) for `va` is going to be cached: from now on changes of what
 * it read are noticed. `own_entry`: see struct translation. Returns tlb_info.leaf. */
uint64_t tlb_note_walk(struct ucpu *c, uint64_t va, enum access access, bool own_entry);
/* How many of these bytes of a WALKED page, from the first on, the translation of the code in progress does not depend on. (What other
 * code's depend on may change in mid-block: all ways there look into the TLB.) */
unsigned tlb_free_of_code(struct ucpu *c, uint32_t page, unsigned offset, unsigned len);
/* Does any translation depend on these bytes of a WALKED page? */
bool tlb_depends_on(const struct exec_shared *sh, uint32_t page, unsigned offset, unsigned len);
/* Bytes of a WALKED page are about to change. */
void tlb_table_changes(struct exec_shared *sh, uint32_t page, unsigned offset, unsigned len);
/* Inline writes to a page are being allowed in the current context. */
void tlb_note_write(struct ucpu *c, uint32_t page, uint64_t va);
/* No inline writes to this page any more; to any page. */
void tlb_revoke_write(struct exec_shared *sh, uint32_t page);
void tlb_allow_no_writes(struct exec_shared *sh);
/* Drop every cached translation of every CPU. */
void tlb_flush_all(struct exec_shared *sh);

#define TLB_ALL_PARTS ((1u << TLB_PARTS) - 1)

/* Which part of the address space `va` is in. */
static inline unsigned tlb_part(const struct exec_shared *sh, uint64_t va)
{
    return (unsigned)(va >> (va >> 32 ? sh->wide_part_shift : sh->part_shift)) & (TLB_PARTS - 1);
}

static inline struct tlb_table *tlb_table(struct ucpu *c, unsigned mode)
{
    struct tlb_table *t = &c->exec->context->tables[mode];

    if (__builtin_expect(!t->entries, 0))
        tlb_make_table(c, mode);
    return t;
}

static inline unsigned tlb_index(const struct exec_shared *sh, uint64_t va)
{
    return (unsigned)((va >> PAGE_SHIFT) & sh->tlb_mask);
}

/* A 4-byte granule of page-backed storage: it is the bytes that matter, not where they are mapped. */
static inline uint64_t walk_granule(uint32_t page, unsigned offset)
{
    return (uint64_t)page << PAGE_SHIFT | offset;
}

/* ---- block.c ---- */
extern const struct block no_block; /* matches nothing */
void block_cache_init(struct exec_shared *sh);
void block_cache_finish(struct exec_shared *sh);
struct block *block_find(struct exec_shared *sh, uint32_t page, const struct block_key *key, bool alone);
/* Room for a block (uninitialised but for its pointers); may drop every block. */
struct block *block_alloc(struct exec_shared *sh, unsigned nuops, unsigned ninsns);
/* Make it findable, and note its bytes. */
void block_insert(struct exec_shared *sh, struct block *b);
/* Drop one block. Its memory stays until the pool is flushed. */
void block_drop(struct exec_shared *sh, struct block *b);
/* Drop the blocks that have bytes in [offset, offset + len) of a page. */
void block_invalidate(struct exec_shared *sh, uint32_t page, unsigned offset, unsigned len);
/* Does one of these bytes of the page belong to a block? */
static inline bool block_overlaps(const struct exec_shared *sh, uint32_t page, unsigned offset, unsigned len)
{
    const struct page_derived *p = &sh->pages[page];

    if (!(p->chunks & page_chunks(offset, len)))
        return false;
    for (unsigned i = offset; p->bytes && i < offset + len; i++)
        if (p->bytes[i / 64] >> i % 64 & 1)
            return true;
    return !p->bytes;
}
/* Drop the blocks that contain one of these virtual addresses. */
void block_drop_at(struct exec_shared *sh, const uint64_t *vas, unsigned count);
void block_flush_all(struct exec_shared *sh);
/* Jumps find `b` from now on, until another takes its place or it is dropped. */
void block_found_by_jumps(struct exec_shared *sh, struct block *b);
/* Of a block that jumps may find: b->entry has changed. */
void block_entry_changed(const struct exec_shared *sh, const struct block *b);
/* Chain `to` to an edge of `from`, if that is allowed. */
void block_link(struct exec_shared *sh, struct block *from, unsigned edge, struct block *to);
/* The interpreter is about to run `b` for the first time in this epoch. */
void block_note_entry(struct ucpu *c, struct block *b);

/* By what a mode changes the place of a PC in the jump cache: code that is run in several modes in turns (a kernel's, with the
 * segments of this process and of that) has a place for each. */
static inline unsigned jump_mode(uint64_t mode)
{
    return (unsigned)(mode * UINT64_C(0x9e3779b97f4a7c15) >> (64 - JUMP_BITS));
}

static inline unsigned jump_hash(uint64_t pc, uint64_t mode)
{
    return ((unsigned)(pc ^ pc >> JUMP_BITS) & (JUMP_SIZE - 1)) ^ jump_mode(mode);
}

/* The place of a block of that PC and mode, or (n is 1) the other one that it may have. */
static inline struct jump_place *jump_place(const struct exec_shared *sh, uint64_t pc, uint64_t mode, bool alone, unsigned n)
{
    return &sh->jump[jump_hash(pc, mode) ^ (alone ? JUMP_ALONE : 0) ^ (n ? JUMP_OTHER : 0)];
}

/* The block there; one that matches nothing, if there is none. */
static inline struct block *jump_block(const struct exec_shared *sh, uint64_t pc, uint64_t mode, bool alone)
{
    const struct jump_place *place = jump_place(sh, pc, mode, alone, 0);

    if (unlikely(place->key.pc != pc))
        place = jump_place(sh, pc, mode, alone, 1);
    return likely(place->block) ? place->block : (struct block *)(uintptr_t)&no_block;
}

/* What is added to a PC of a block's code segment to get its virtual address. */
static inline uint64_t block_bias(const struct block *b)
{
    return b->key.va - b->key.pc;
}

static inline bool jump_matches(const struct block *to, const struct block *from, uint64_t pc)
{
    return ((to->key.pc ^ pc) | (to->key.mode ^ from->key.mode) | (to->key.va ^ (pc + block_bias(from)))) == 0;
}

/* The block that an edge is chained to, or NULL. */
static inline struct block *block_chained(const struct block *b, unsigned edge)
{
    return edge < ARRAY_LEN(b->next) && b->next[edge] ? b->next[edge] : b->far[edge];
}

/* Does that edge lead to the block's own page, whatever is run before it is taken? */
static inline bool edge_is_near(const struct block *b, unsigned edge)
{
    return edge < ARRAY_LEN(b->next) && !(((b->target[edge] + block_bias(b)) ^ b->key.va) & PAGE_MASK);
}

/* Do fetches from `va` go, without a look at the tables, where tlb_entry.addend would be this? */
static inline bool fetches_from(const struct ucpu *c, uint64_t va, uintptr_t addend)
{
    const struct tlb_entry *e = &c->tlb[tlb_index(c->exec->shared, va)];

    return e->fetch == (va & PAGE_MASK) && e->addend == addend;
}

/* The page after that of `va`. */
static inline uint64_t next_page(const struct ucpu *c, uint64_t va)
{
    return ((va & PAGE_MASK) + PAGE_SIZE) & c->exec->va_mask;
}

static inline uintptr_t page_addend(const struct ucpu *c, uint32_t page, uint64_t va)
{
    return (uintptr_t)memory_page(&c->cpu.machine->memory, page) - (uintptr_t)(va & PAGE_MASK);
}

/* Are the bytes of a block that was found by its key, and not by its page, still those at its address? */
static inline bool block_is_mapped(const struct ucpu *c, const struct block *b)
{
    uint64_t second = next_page(c, b->key.va);

    return fetches_from(c, b->key.va, b->addend) &&
           (b->page[1] == NO_PAGE || fetches_from(c, second, page_addend(c, b->page[1], second)));
}

/* ---- translate.c ---- */
/* The block for `key`, found or built. NULL: the fetch faults (an exception is pending). */
struct block *translate(struct ucpu *c, const struct block_key *key, bool alone);
/* Instruction n of the block was refused an access to a device in mid-block. If that happens again and again, it gets a block of
 * its own (which is compiled and chained like any other): the block is dropped. */
void translate_note_io(struct exec_shared *sh, struct block *b, unsigned n);

/* ---- optimise.c ---- */
void optimise(struct builder *b);

/* Why an engine came back. */
enum left {
    LEFT_BUDGET, /* before a block that has more steps than the budget; PC is go_pc */
    LEFT_GO,     /* to go_pc, by go_edge, which no block was found for */
    LEFT_EXIT,   /* UOP_EXIT: to go_pc */
    LEFT_LEAVE,  /* a helper set the PC */
    LEFT_FAULT,  /* fault_uop faulted; nothing was given back yet */
    /* Between the two engines only: */
    LEFT_TURN,      /* before exec.turn, which is the other one's to run */
    LEFT_UNCHAINED, /* as LEFT_GO, but blocks were not looked for everywhere */
};

/* ---- exec.c ---- */
/* For compiled code that was about to leave with LEFT_EXIT or LEFT_LEAVE: the block to enter instead. NULL: there is
 * none at hand, or the run loop has something else to do; it leaves with exec.left. The budget may be another one. */
struct block *exec_go_on(struct ucpu *c, enum left left);

/* ---- interp.c ---- */
enum left interp_run(struct ucpu *c, struct block *b);
/* The same with a plain switch, whatever the compiler: the test's reference. */
enum left interp_run_switch(struct ucpu *c, struct block *b);
/* The same, counting entries: leaves (LEFT_TURN) before another block that is compiled or that
 * it is time to compile. */
enum left interp_run_cold(struct ucpu *c, struct block *b);

#endif
