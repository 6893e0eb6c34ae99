/*
 * Chunks of a recording (doc/log-format.md), and the fields in them: for whoever reads one.
 */
#ifndef HINDCAST_REPLAY_CHUNK_H
#define HINDCAST_REPLAY_CHUNK_H

#include "base/buffer.h"
#include "replay/recording.h"

/* A chunk's header, and its payload once that was inflated. */
struct chunk {
    uint64_t offset;
    uint32_t type, stored, raw, count, flags;
    icount_t from, to;
    uint32_t crc;
    const uint8_t *payload;
};

/* What a chunk is read into. */
struct chunk_room {
    struct buffer stored, inflated;
};

/* What chunk_header() says of one that goes on behind the end of the file. */
extern const char chunk_cut_off[];
/* The header at `offset`: NULL, or what is wrong. */
const char *chunk_header(const struct recording *r, uint64_t offset, struct chunk *c);
/* Read the payload, check it and inflate it. The same. */
const char *chunk_payload(const struct recording *r, struct chunk *c, struct chunk_room *room);
void chunk_room_finish(struct chunk_room *room);
uint32_t chunk_crc(const uint8_t *data, size_t len);

/* Bytes that are taken one field after the other; `bad` once there were too few. */
struct cursor {
    const uint8_t *at;
    size_t left;
    bool bad;
};

/* A number of so many bytes. */
uint64_t cursor_take(struct cursor *c, unsigned bytes);
/* So many bytes, where they are; NULL: there are less. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);
/* A new string, or NULL; a string with a NUL in it is none. */
char *cursor_string(struct cursor *c, size_t n);

/* What an event's source is a number of, in the layout; 0: nothing's. */
enum layout_kind chunk_source_kind(uint16_t kind);
/* The next event of a chunk; its data stay where they are. False: there is none. */
bool chunk_take_event(struct cursor *in, struct event *e);
/* The head of a BRAN chunk and the number of events that follow. False: malformed. */
bool chunk_take_branch(struct cursor *in, const struct chunk *c, struct recording_branch_head *h, uint32_t *count);
/* Go through a CKPT chunk's pages; `page` may be NULL. NULL, or what is wrong. */
const char *chunk_pages(const struct recording *r, struct cursor in, uint32_t count, recording_page_fn *page, void *ctx);

#endif
