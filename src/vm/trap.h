/*
 * Traps: the break- and watchpoints that an outside observer (the timeline)
 * sets on the CPU, and footprints. Nothing here is guest state: a trap never
 * changes a position or a value, only where machine_run() pauses.
 *
 * An execution trap hits at position P when the step from P begins the
 * instruction at `address` (not when that step is an interrupt entry, and not
 * again at each iteration of a repeated string instruction). The callback runs
 * with the machine standing at P.
 * An access trap hits when a CPU access of the step P -> P+1 overlaps the
 * range. The callback runs with the machine standing at P + 1.
 * A *storage* trap is of bytes of a page space, memory's (by whatever address they are mapped) or a drive's, and hits
 * when anybody writes them in that step: a CPU, a device (DMA, the contents of flash), a page-table walk, a debugger, a
 * reset; and when a device reads them. Whoever writes memory goes by memory_touch(), a device that reads it by
 * memory_dma_read(), and a drive by itself, which is all that it takes; who it is, machine.acting says.
 */
#ifndef HINDCAST_VM_TRAP_H
#define HINDCAST_VM_TRAP_H

#include "base/types.h"
#include "vm/page_space.h"

enum trap_kind {
    TRAP_EXEC  = 1,
    TRAP_WRITE = 2,
    TRAP_READ  = 4,
    TRAP_STEP  = 8, /* not settable: the end of a debugger's step */
};

struct trap {
    uint64_t address; /* virtual (i386: linear) */
    uint64_t len;     /* bytes; ignored for TRAP_EXEC */
    unsigned kinds;   /* TRAP_* or-ed */
    bool storage;     /* `address` is traps_storage_at() something; the bytes are of one page space */
};

struct trap_hit {
    unsigned kind;     /* the one TRAP_* that hit */
    unsigned cpu;      /* whose step it is; one that is nobody's (a debugger's write, a reset) counts as the first one's */
    icount_t position; /* P above: where the step that hits begins */
    uint64_t address;  /* TRAP_EXEC: the PC; else the first byte of the range that was touched */
    unsigned trap;     /* accesses: 1 + the trap's index in the list; 0: whichever has the address */
    bool changed;      /* TRAP_WRITE: bytes of the range are others now (or may be: a device's) */
    uint64_t len;      /* bytes from there that were touched within the trap; 0: not known */
    bool storage;      /* of a storage trap: `address` is of its kind */
    const char *writer; /* who touched it, if not an instruction of the CPU; NULL: that */
};

struct traps {
    struct trap *list;
    unsigned count;
    /* A trap hit: true: stop machine_run() here. May be called for the same
     * position more than once when several traps hit. NULL: ignore hits. */
    bool (*hit)(void *ctx, const struct trap_hit *hit);
    void *ctx;

    /* Kept by this file and the CPU that runs. */
    uint64_t generation;     /* counts changes of the list */
    icount_t asked;          /* position whose execution trap was already reported in this
                              * machine_run(); ICOUNT_MAX: none */
    bool stopped;            /* a callback asked for a stop: the CPU's run() returns */
    struct trap_hit stop_hit; /* ... because of this hit */
    struct trap_hit *pending; /* hits of storage traps in the step in progress */
    unsigned npending, pending_cap;
};

struct machine;
/* Replace the set of traps; `list` is copied. False, and cheap: it is the same. Else the CPU that runs next drops
 * what it must of cached translations and blocks. */
bool machine_set_traps(struct machine *m, const struct trap *list, unsigned count);
bool traps_have_exec(const struct traps *t, uint64_t pc);
/* The first trap of one of `kinds` that overlaps [va, va+len), or NULL. Not storage traps. */
const struct trap *traps_overlap(const struct traps *t, unsigned kinds, uint64_t va, uint64_t len);

/* For a CPU's run(): the machine stands where the hit is to be reported (state
 * canonical, machine_state.position current, cpu.running false). Calls the
 * callback; true: return from run() now. An execution trap is reported only
 * once for a position. */
bool traps_report(struct machine *m, const struct trap_hit *hit);

/* A byte of a page space, as storage traps call it. */
uint64_t traps_storage_at(const struct page_space *s, uint64_t offset);
/* Is there a storage trap for writing on some of these bytes of a page of memory? */
bool traps_overlap_storage(const struct traps *t, uint32_t page, unsigned offset, unsigned len);
/* Bytes of a page of memory with PAGE_FLAG_WATCHED, or of a space that is `watched`, are about to be written
 * (TRAP_WRITE), or are read by a device (TRAP_READ). */
void traps_touch(struct machine *m, unsigned kind, const struct page_space *s, uint64_t offset, uint64_t len);
/* For the machine: report what the steps that are done have touched; forget what is not of the step from here. */
void traps_report_pending(struct machine *m);
void traps_forget_pending(struct machine *m);

#endif
