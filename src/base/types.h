/*
 * The scalar types that every room shares.
 *
 * A *position* counts architectural steps from the first reset; one step is
 * one retired guest instruction, one iteration of a repeated string
 * instruction, one exception or interrupt entry, or one log event that changes
 * state while the guest stands still. A position names exactly one state: the
 * one right after the step before it, before anything (timer expiry, clock
 * warp, input) that belongs to the step that follows. See doc/DETERMINISM.md.
 */
#ifndef HINDCAST_BASE_TYPES_H
#define HINDCAST_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A position on the timeline, in steps since the first reset. */
typedef uint64_t icount_t;
/* Guest virtual time, in nanoseconds since the first reset. */
typedef uint64_t vtime_t;
/* A guest physical address. */
typedef uint64_t paddr_t;

#define ICOUNT_MAX  UINT64_MAX
/* The deadline of a device that waits for nothing. */
#define VTIME_NEVER UINT64_MAX

#define PAGE_SHIFT 12
#define PAGE_SIZE  ((uint64_t)1 << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)

/* Guest state is kept in host byte order and micro-ops name parts of a
 * register by byte offset, so the host must be little-endian. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian hosts only");

#endif
