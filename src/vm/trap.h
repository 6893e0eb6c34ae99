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
 * One that says so (`loads`) hits when a CPU loads them, too: not when it fetches them, nor when a walk reads them.
 *
 * Besides, what CPUs and devices do may be *noted* (traps.notes): exceptions, interrupts, system calls, changes of
 * mode, accesses to ports and to devices in memory. Such a note is a hit of the step P -> P+1 in which it happens, and
 * the callback runs with the machine standing at P + 1, as for an access.
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
    /* Not of traps but of traps.notes; `number`, `value` of the hit: */
    TRAP_EXCEPTION = 0x10, /* a vector (i386) or class (A64); error code or syndrome. `address`: what it is about (CR2, FAR) */
    TRAP_INTERRUPT = 0x20, /* a vector (i386), offset of the vector (A64) */
    TRAP_SYSCALL   = 0x40, /* enum trap_syscall; its immediate or vector. `address`: the caller's stack pointer */
    TRAP_MODE      = 0x80, /* the new mode, the old one: as cpu_ops.mode_name() takes them */
    TRAP_IO_READ   = 0x100, /* 0: a port, 1: memory; the value. `address`, `len`: where; `writer`: the device's name */
    TRAP_IO_WRITE  = 0x200, /* the same */
    /* Frames of a network card, noted at once, wherever in the step that is: the callback may look at the hit only, and
     * what it answers is ignored. Whose they are: `device`; the frame's number among those that came to it, or that it
     * sent; virtual time. `len`: bytes of the frame; a piece of it at `bytes`, from `address` on; `writer`: why it was
     * dropped, NULL: it was not. */
    TRAP_FRAME_IN  = 0x400,
    TRAP_FRAME_OUT = 0x800,
    TRAP_OUTPUT    = 0x1000, /* index of the device that puts bytes out; the next `len` of them, in `before`. Long ones are several */
};

/* Most bytes of a frame in one note: longer ones are several, in order. */
#define TRAP_FRAME_PIECE 1536u

/* By what instruction a system call was made. */
enum trap_syscall { TRAP_INT, TRAP_SYSENTER, TRAP_SYSCALL_INSN, TRAP_SVC };

/* Bytes that a hit keeps of what was there. */
#define TRAP_BYTES 16u

struct trap {
    uint64_t address; /* virtual (i386: linear) */
    uint64_t len;     /* bytes; ignored for TRAP_EXEC */
    unsigned kinds;   /* TRAP_* or-ed */
    bool storage;     /* `address` is traps_storage_at() something; the bytes are of one page space */
    bool loads;       /* of a storage trap for reading: CPUs that load count, not devices alone */
};

struct device;
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
    uint64_t pc;       /* the instruction whose step it is, as traps have addresses (an entry: the one that did not
                        * come to be made); 0 where nobody knows */
    uint64_t number, value; /* of notes: see enum trap_kind */
    const struct device *device;
    uint8_t *bytes;         /* of frames, and how many; good during the callback */
    uint32_t nbytes;
    bool asked;        /* TRAP_EXCEPTION: by an instruction that says the vector (INT n): no fault of that number */
    bool untaken;      /* TRAP_EXCEPTION: on the way to its handler came another one, or the CPU shut down */
    uint8_t before[TRAP_BYTES]; /* accesses: the first `len` bytes (at most so many) from `address` on, before them */
};

struct traps {
    struct trap *list;
    unsigned count;
    bool filtered;           /* bit n of `filter` is set if there may be an execution trap whose address has that hash */
    uint64_t filter[16];
    bool loads;              /* one of them has `loads` */
    unsigned notes;          /* kinds that are noted */
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
/* The first trap of a list of one of `kinds` that overlaps [va, va+len), or NULL. Not storage traps. */
const struct trap *traps_overlap(const struct trap *list, unsigned count, unsigned kinds, uint64_t va, uint64_t len);

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
/* Is there one with `loads`? */
bool traps_overlap_loads(const struct traps *t, uint32_t page, unsigned offset, unsigned len);
/* For CPUs and devices: this happens in the step in progress. `kind`, `number`, `value`, `address`, `len`, `writer` are
 * told; costs nothing unless it is asked for. In a block of several instructions, it is the last. */
void traps_add_note(struct machine *m, const struct trap_hit *note);
/* The same: a frame came to a network card, was taken or `dropped` (why), or was sent. */
void traps_note_frame(struct machine *m, unsigned kind, const struct device *card, uint64_t number, const char *dropped,
                      const uint8_t *frame, size_t len);
/* For the machine: report what the steps that are done have touched; forget what is not of the step from here. */
void traps_report_pending(struct machine *m);
void traps_forget_pending(struct machine *m);
/* Forget all. */
void traps_drop_pending(struct traps *t);

#endif
