/*
 * Edit distance of Damerau and Levenshtein (the restricted one: no further edits within a swapped pair),
 * and which distance is still a typing error.
 */
#include "base/guess.h"

#include <string.h>

#define LENGTH_MAX 64u

unsigned guess_distance(const char *a, size_t na, const char *b, size_t nb)
{
    unsigned rows[3][LENGTH_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];

    if (na > LENGTH_MAX || nb > LENGTH_MAX)
        return UINT32_MAX;
    for (size_t j = 0; j <= nb; j++)
        last[j] = before[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *spare = before;

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);

            d = last[j] + 1 < d ? last[j] + 1 : d;
            d = now[j - 1] + 1 < d ? now[j - 1] + 1 : d;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < d)
                d = before[j - 2] + 1;
            now[j] = d;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

/* A third of the letters, and at most three, may be wrong. */
bool guess_is_near(unsigned distance, size_t len)
{
    return distance <= 3 && distance * 3 <= len;
}

void guess_begin(struct guess *g, const char *given, size_t len)
{
    *g = (struct guess){.given = given, .len = len};
}

void guess_consider(struct guess *g, const char *candidate)
{
    size_t len = strlen(candidate), shorter = len < g->len ? len : g->len;
    unsigned d = guess_distance(g->given, g->len, candidate, len);

    if (guess_is_near(d, shorter) && (!g->best || d < g->distance)) {
        g->best = candidate;
        g->distance = d;
    }
}
