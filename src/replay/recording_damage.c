/*
 * Damage: where reading a recording goes on behind a chunk that is damaged, and what was lost with it. What a reader may do without is
 * decided in recording_read.c.
 */
#include "replay/recording_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* ---- where the file ends ---- */

uint64_t recording_zero_tail(const struct recording *r)
{
    uint64_t at = r->len;
    uint8_t piece[4096];

    while (at) {
        size_t n = at < sizeof(piece) ? (size_t)at : sizeof(piece);

        if (r->source.read(r->source.ctx, at - n, piece, n) < 0)
            break;
        for (; n && !piece[n - 1]; n--)
            at--;
        if (n)
            break;
    }
    return at;
}

bool recording_has_trailer(const struct recording *r)
{
    uint8_t bytes[RECORDING_TRAILER_BYTES];

    return r->len >= sizeof(bytes) && r->source.read(r->source.ctx, r->len - sizeof(bytes), bytes, sizeof(bytes)) >= 0 &&
           !memcmp(bytes, RECORDING_TRAILER_MAGIC, 8) && chunk_crc(bytes, 20) == (uint32_t)get_le32(bytes + 20);
}

void recording_note_zeros(struct recording *r, uint64_t zeros)
{
    size_t n = strlen(r->note);

    /* Some a sound file ends with, too. */
    if (r->len - zeros > RECORDING_CHUNK_BYTES)
        snprintf(r->note + n, sizeof(r->note) - n, "; from byte %llu on there are zeros: the host of its writer stopped, "
                 "or lost its power, before the disk had the rest", (unsigned long long)zeros);
}

void recording_note_damage(struct recording *r, uint64_t offset, const char *wrong)
{
    uint64_t zeros = recording_zero_tail(r);

    if (zeros <= offset && r->len - offset > RECORDING_CHUNK_BYTES) {
        snprintf(r->note, sizeof(r->note), "the file was not closed");
        recording_note_zeros(r, offset);
        return;
    }
    snprintf(r->note, sizeof(r->note), "chunk %llu, at byte %llu, %s", (unsigned long long)r->nchunks,
             (unsigned long long)offset, wrong);
    recording_note_zeros(r, zeros);
}

/* ---- going on ---- */

void recording_seek_index(const struct recording *r, struct recording_index *index)
{
    struct chunk_room room = {.stored = {.data = NULL}};
    uint8_t bytes[RECORDING_TRAILER_BYTES];
    struct chunk c;

    index->sought = true;
    if (recording_has_trailer(r) && r->source.read(r->source.ctx, r->len - sizeof(bytes), bytes, sizeof(bytes)) >= 0 &&
        !chunk_header(r, get_le(bytes + 8, 8), &c) && c.type == RECORDING_INDX && !chunk_payload(r, &c, &room) &&
        c.raw == c.count * 32u) {
        struct cursor in = {c.payload, c.raw, false};

        index->entries = xcalloc((size_t)c.count + 1, sizeof(index->entries[0]));
        for (; index->count < c.count; index->count++) {
            struct recording_entry *e = &index->entries[index->count];

            e->offset = cursor_take(&in, 8);
            e->type = (uint32_t)cursor_take(&in, 4);
            e->count = (uint32_t)cursor_take(&in, 4);
            e->from = cursor_take(&in, 8);
            e->to = cursor_take(&in, 8);
        }
        /* An end for the last one. */
        index->entries[index->count++] = (struct recording_entry){.offset = c.offset, .type = RECORDING_INDX};
    }
    chunk_room_finish(&room);
}

uint64_t recording_next_by_index(const struct recording *r, const struct recording_index *index, struct chunk *lost)
{
    for (size_t i = 0; i + 1 < index->count; i++) {
        const struct recording_entry *e = &index->entries[i];

        if (e->offset != lost->offset)
            continue;
        lost->type = e->type;
        lost->count = e->count;
        lost->from = e->from;
        lost->to = e->to;
        lost->raw = e->to - e->from <= RECORDING_PAYLOAD_MAX ? (uint32_t)(e->to - e->from) : 0;
        return e[1].offset > e->offset && e[1].offset < r->len && e->from <= e->to ? e[1].offset : 0;
    }
    return 0;
}

/* Do headers lead from here to where the writer stopped? (A chunk may hold a file that holds chunks.) */
static bool leads_to_end(const struct recording *r, uint64_t offset, uint64_t zeros)
{
    while (offset < zeros && r->len - offset > RECORDING_CHUNK_BYTES) {
        struct chunk c;
        const char *wrong = chunk_header(r, offset, &c);

        if (wrong)
            return wrong == chunk_cut_off;
        if (c.type == RECORDING_INDX)
            return true;
        offset += RECORDING_CHUNK_BYTES + c.stored;
    }
    return true;
}

/* (A chunk is not longer than the longest.) */
uint64_t recording_next_by_search(const struct recording *r, uint64_t offset)
{
    uint64_t zeros = recording_zero_tail(r), end = offset + 2 * RECORDING_CHUNK_BYTES + RECORDING_PAYLOAD_MAX + RECORDING_PAYLOAD_MAX / 64;
    uint8_t piece[65536];
    struct chunk c;

    end = end < zeros ? end : zeros;
    for (uint64_t at = offset + 1; at + 4 <= end; at += sizeof(piece) - 3) {
        size_t n = end - at < sizeof(piece) ? (size_t)(end - at) : sizeof(piece);

        if (r->source.read(r->source.ctx, at, piece, n) < 0)
            return 0;
        for (size_t i = 0; i + 4 <= n; i++)
            if (piece[i] == 'H' && !memcmp(piece + i, "HCCK", 4) && !chunk_header(r, at + i, &c) &&
                leads_to_end(r, at + i, zeros))
                return at + i;
    }
    return 0;
}

/* ---- what was lost ---- */

/* Where a cluster of a drive's image was first read; ICOUNT_MAX: nowhere. */
static icount_t first_read(const struct recording *r, uint32_t drive, uint64_t number)
{
    const struct event *e;

    for (uint64_t i = 0; (e = event_log_get(r->log, i)); i++)
        if (e->kind == EVENT_IMAGE && e->source == drive && e->len >= 16 && get_le64(e->data) == number &&
            !get_le32(e->data + 8))
            return e->position;
    return ICOUNT_MAX;
}

/* What was lost with a chunk. */
static void name_loss(const struct recording *r, const struct recording_harm *h, char *text, size_t size)
{
    unsigned long long from = h->from, to = h->to;
    icount_t read;

    switch (h->type) {
    case RECORDING_IMGD:
        snprintf(text, size, "with it, bytes %llu to %llu of the image %s", from, to - !!to,
                 h->count < r->nimages ? r->images[h->count].name : "");
        break;
    case RECORDING_CLST:
        read = first_read(r, h->count, h->from);
        if (read == ICOUNT_MAX || h->count >= layout_count(&r->layout, LAYOUT_DRIVE))
            snprintf(text, size, "with it, a cluster of a drive's image that the guest did not read");
        else
            snprintf(text, size, "with it, bytes %llu to %llu of the image of drive %s, which the guest first read at position "
                     "%llu: without that image, history ends there", from << DRIVE_CLUSTER_SHIFT,
                     ((from + 1) << DRIVE_CLUSTER_SHIFT) - 1, layout_entry(&r->layout, LAYOUT_DRIVE, h->count)->name,
                     (unsigned long long)read);
        break;
    case RECORDING_HASH:
        snprintf(text, size, "with it, the hash of the state at position %llu; a checkpoint there, and those that build on it, are "
                 "not used", from);
        break;
    case RECORDING_CKPT:
        snprintf(text, size, "with it, the checkpoint at position %llu; it, and those that build on it, are not used", from);
        break;
    case RECORDING_WITN:
        snprintf(text, size, "with it, witnesses of positions %llu to %llu", from, to);
        break;
    case RECORDING_BWIT:
        snprintf(text, size, "with it, witnesses of a branch, of positions %llu to %llu", from, to);
        break;
    case RECORDING_SNAP:
        snprintf(text, size, "with it, names of places that were given up to position %llu", from);
        break;
    case RECORDING_BRAN:
        snprintf(text, size, "with it, a part of branch number %u, which leaves its parent at position %llu: it ends before that, "
                 "or is not there", h->count, from);
        break;
    case RECORDING_MARK:
        snprintf(text, size, "nothing is missing: history up to position %llu is counted by the next mark", from);
        break;
    default:
        snprintf(text, size, "with it, something behind position %llu that was no event", from);
    }
}

void recording_harm_text(const struct recording *r, size_t n, char text[RECORDING_HARM_TEXT])
{
    const struct recording_harm *h = &r->harms[n];
    int len = snprintf(text, RECORDING_HARM_TEXT, "the chunk at byte %llu %s; ", (unsigned long long)h->offset, h->wrong);

    name_loss(r, h, text + len, RECORDING_HARM_TEXT - (size_t)len);
}
