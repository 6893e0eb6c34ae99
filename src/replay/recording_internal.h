/*
 * The parts of the reader of recordings, for each other:
 *   recording_read.c    from chunk to chunk through the file
 *   recording_damage.c  where reading goes on behind a damaged chunk, and what was lost with it
 *   recording_load.c    what is read when it is asked for: events, images, pages
 */
#ifndef HINDCAST_REPLAY_RECORDING_INTERNAL_H
#define HINDCAST_REPLAY_RECORDING_INTERNAL_H

#include "replay/chunk.h"
#include "replay/recording.h"

/* ---- recording_damage.c ---- */

/* What the INDX at the end says, if it was asked for and is sound. */
struct recording_index {
    struct recording_entry *entries;
    size_t count;
    bool sought;
};
/* The index at the end of the file, by which the chunk behind a damaged header is found, and what that was. */
void recording_seek_index(const struct recording *r, struct recording_index *index);
/* What the index says of the damaged chunk; where the next one begins, or 0. */
uint64_t recording_next_by_index(const struct recording *r, const struct recording_index *index, struct chunk *lost);
/* The next chunk behind a damaged header of a file without an index, or 0. */
uint64_t recording_next_by_search(const struct recording *r, uint64_t offset);
/* Where the zeros begin with which the file ends. A host that lost its power may have kept how long the
 * file had become, and not what was in it. */
uint64_t recording_zero_tail(const struct recording *r);
/* Does the file end with a trailer? */
bool recording_has_trailer(const struct recording *r);
/* To what is wrong, add that the file ends in zeros, if it does: that is no damage on the way from there to here. */
void recording_note_zeros(struct recording *r, uint64_t zeros);
/* What is wrong with the chunk at `offset`, where reading ends. */
void recording_note_damage(struct recording *r, uint64_t offset, const char *wrong);

/* ---- recording_load.c ---- */

/* An event refers to parts of the machine by numbers of the layout. False: there are no such. */
bool recording_note_references(struct recording *r, const struct event *e);
/* Events of the trunk are loaded when they are asked for. */
void recording_load_later(struct recording *r);

#endif
