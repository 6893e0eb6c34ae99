/*
 * Events: the few things that are not a function of the machine's past.
 *
 * An event is bound to a position and a virtual time. It belongs to the step
 * that follows `position`: it is applied when the machine stands at that
 * position and its clock shows `vtime`. A vtime later than the position's own
 * means that the CPU was idle there and that its sleep ended early.
 */
#ifndef HINDCAST_VM_EVENT_H
#define HINDCAST_VM_EVENT_H

#include "base/types.h"

enum event_kind {
    EVENT_INPUT = 1,  /* bytes for a device: `source` is its index; layout is the device's own;
                       * a serial port's is bytes, none: a break */
    EVENT_HOST_CLOCK, /* the answer to a host clock reading: 8 bytes, ns since 1970 UTC */
    EVENT_ENTROPY,    /* the answer to a request for random bytes */
    /* Events that are a step of their own (they advance the position by one): */
    EVENT_WRITE_MEMORY,   /* debugger: u64 address, u8 physical?, then the bytes */
    EVENT_WRITE_REGISTER, /* debugger: u32 register number, then the value */
    EVENT_RESET,          /* debugger or user: system reset, no data */
    EVENT_POWERDOWN,      /* the user pressed the power button, no data */
    /* An answer again, no step: */
    EVENT_FILE,           /* the answer to a request about files: u32 enum file_op, u32 error, u64 value,
                           * u64 offset, the bytes answered (struct file_answer) */
    EVENT_IMAGE,          /* a cluster of a drive's image was read for the first time, or the host could not: u64
                           * cluster, u32 error (0, or Linux's errno), u32 0, u64 hash_bytes() of it; `source`: drive */
    /* A step of its own again: */
    EVENT_MEDIUM,         /* the user changed a drive's medium: u64 size of the image in bytes (0: there is none any more), u32
                           * its number, u8 read only?, u8[3] 0, then file, NUL, format, NUL; `source`: drive */
    EVENT_HOLD,           /* the debugger holds CPUs, and lets the others go: u64, bit n: cpus[n] is held */
    /* An answer again, no step: */
    EVENT_SOUND,          /* what a sound card records: u32 bytes of a sample (2 or 4), then the frames, left and right, signed */
    EVENT_KINDS           /* one more than the last */
};

/* Bytes of an EVENT_MEDIUM before its names. */
#define EVENT_MEDIUM_HEAD 16u

/* `source` of events that belong to no device. */
#define EVENT_SOURCE_MACHINE 0xffffu

struct event {
    icount_t position;
    vtime_t vtime;
    uint16_t kind;       /* enum event_kind */
    uint16_t source;     /* index of a device (EVENT_IMAGE, EVENT_MEDIUM: of a drive); of a write by the debugger, whose registers or
                          * addresses: CPU index, where EVENT_SOURCE_MACHINE is CPU 0; else EVENT_SOURCE_MACHINE */
    uint32_t len;        /* bytes at `data` */
    const uint8_t *data; /* owned by whoever hands the event over */
};

/* Does an event of this kind take a step of its own? */
static inline bool event_is_step(uint16_t kind)
{
    return (kind >= EVENT_WRITE_MEMORY && kind <= EVENT_POWERDOWN) || kind == EVENT_MEDIUM || kind == EVENT_HOLD;
}

#endif
