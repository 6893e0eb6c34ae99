/*
 * What somebody may have meant: names that are nearly the one that was typed.
 */
#ifndef HINDCAST_BASE_GUESS_H
#define HINDCAST_BASE_GUESS_H

#include "base/types.h"

/* Edit distance (insert, delete, replace, swap neighbours) of two short strings of `na` and `nb` bytes;
 * UINT32_MAX: one of them is too long to be compared. */
unsigned guess_distance(const char *a, size_t na, const char *b, size_t nb);
/* Is a name of `len` bytes at that distance worth naming, or just another word? */
bool guess_is_near(unsigned distance, size_t len);

/* Going through candidates for what was typed. */
struct guess {
    const char *given; /* what was typed, `len` bytes of it */
    size_t len;
    const char *best;  /* the nearest that is near enough; NULL: none is */
    unsigned distance; /* its distance */
};

void guess_begin(struct guess *g, const char *given, size_t len);
/* Consider one candidate; it must stay while `best` is used. */
void guess_consider(struct guess *g, const char *candidate);

#endif
