/*
 * Keys by QEMU's names, and what a keyboard is told of them (EVENT_INPUT): u16 little-endian words, one per key going
 * down or up and per wait between them.
 *
 * A word: bits 0-6 the set 1 make code, KEY_EXTENDED for keys with an E0 prefix, KEY_PAUSE and KEY_PRINT for the two odd
 * ones, KEY_RELEASE when let go; or KEY_WAIT with milliseconds of virtual time (1-KEY_WAIT_MAX) before the next word.
 */
#ifndef HINDCAST_VM_DEV_KEYS_H
#define HINDCAST_VM_DEV_KEYS_H

#include "base/error.h"
#include "base/types.h"

struct buffer;

#define KEY_EXTENDED 0x0100u
#define KEY_PAUSE    0x0200u
#define KEY_PRINT    0x0137u /* E0 37: sent with its fake shifts */
#define KEY_RELEASE  0x8000u
#define KEY_WAIT     0x4000u
#define KEY_WAIT_MAX 0x3fffu

/* The word of a key named as in QEMU's `sendkey` ("a", "ret", "ctrl", "f1", "0x1e"); false: no such key. */
bool key_code(const char *name, uint16_t *code);
/* Input for a keyboard that presses keys ("ctrl-alt-delete") in order, holds them for so many milliseconds of virtual
 * time, and lets them go in the opposite order. 0, or a negative errno. */
int keys_press(const char *keys, uint64_t hold_ms, struct buffer *out, struct error *err);

#endif
