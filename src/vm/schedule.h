/*
 * Whose turn it is: time is cut into slots, and each slot begins with some CPU.
 *
 * The step from position P belongs to the first CPU that is awake (and not held by the debugger), counting from the CPU of the slot
 * that P is in. So an interleaving is a pure function of configuration, position and state: there is nothing
 * to save, nothing to record, and it can be asked for at any position in any order.
 *
 * Without a seed the slots are `quantum` steps long and go round the CPUs. With one, the CPU of each is drawn,
 * and so are their lengths: in each frame of FRAME_SLOTS slots there is one stretch, somewhere, of at most
 * STRETCH_SLOTS slots of another length, from one step to the quantum, all powers of two equally likely. With
 * `starve`, one CPU at a time is now and then passed over as long as another one is awake: for a fifth of the time,
 * from a thousand steps to a second, every octave of lengths having the same share.
 *
 * Not modelled: priorities, or anything that a processor's own speed would be.
 */
#ifndef HINDCAST_VM_SCHEDULE_H
#define HINDCAST_VM_SCHEDULE_H

#include "base/types.h"

/* Steps of a slot where --interleave has no other number (whoever draws slots looks for races, which long ones hide); and a
 * recording that says nothing of turns has been made with these. */
#define SCHEDULE_QUANTUM     10000u
/* The --interleave of those who do not ask for any. A turn's change costs some microseconds of the host's, most of it in its
 * caches, so turns are as long as interrupts between CPUs can wait: the fourth's for 300 microseconds of guest time. */
#define SCHEDULE_USUAL       "quantum=100000"
#define SCHEDULE_QUANTUM_MAX 1000000000u

struct schedule {
    icount_t quantum; /* steps, 1 to SCHEDULE_QUANTUM_MAX */
    uint64_t seed;    /* if seeded */
    bool seeded;
    bool starve;      /* only with a seed */
};

struct time_slot {
    icount_t first, end; /* [first, end) */
    uint16_t cpu;        /* counted from */
    uint16_t starved;    /* the CPU that is passed over, or SCHEDULE_NOBODY */
};
#define SCHEDULE_NOBODY 0xffffu

/* The slot that `position` is in, for `ncpus` CPUs and steps of 1 << shift ns. */
struct time_slot schedule_slot(const struct schedule *s, unsigned ncpus, unsigned shift, icount_t position);

#endif
