/*
 * Commands of the NVMe controller for blocks (NVM Express 1.4, 6; Copy: TP 4065a): what they do when their time has come.
 *
 * Blocks that Write Uncorrectable has marked are a bit each of a page space, until they are written, deallocated or erased. A copy is as
 * if what it copies were read before anything of a range is written; it takes as long as reading and writing.
 */
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/nvme_internal.h"
#include "vm/machine.h"

/* ---- unreadable blocks ---- */

#define MARKS_SHIFT (PAGE_SHIFT + 3) /* blocks of one page of marks */

static bool unreadable(const struct nvme *n, uint64_t lba, uint64_t count)
{
    if (!n->st->unreadable)
        return false;
    for (uint64_t end = lba + count; lba < end; lba++) {
        const uint8_t *page = sparse_page(&n->marks, lba >> MARKS_SHIFT);
        uint64_t in = lba & ((1u << MARKS_SHIFT) - 1);

        if (!page)
            lba |= (1u << MARKS_SHIFT) - 1;
        else if (page[in / 8] >> (in & 7u) & 1u)
            return true;
    }
    return false;
}

/* In one page of marks. */
static void mark_page(struct nvme *n, uint64_t lba, uint64_t end, bool set)
{
    uint8_t *page = sparse_page_touch(&n->marks, lba >> MARKS_SHIFT);

    for (; lba < end; lba++) {
        uint64_t in = lba & ((1u << MARKS_SHIFT) - 1);
        uint8_t bit = (uint8_t)(1u << (in & 7u));

        if (!(page[in / 8] & bit) == set)
            n->st->unreadable += set ? 1 : ~0ull;
        page[in / 8] = (uint8_t)(set ? page[in / 8] | bit : page[in / 8] & ~bit);
    }
}

static void mark(struct nvme *n, uint64_t lba, uint64_t count, bool set)
{
    uint64_t end = lba + count;

    while (lba < end && (set || n->st->unreadable)) {
        uint64_t next = (lba | ((1u << MARKS_SHIFT) - 1)) + 1, to = next < end ? next : end;

        if (set || unreadable(n, lba, to - lba))
            mark_page(n, lba, to, set);
        lba = next;
    }
}

void nvme_written(struct nvme *n, uint64_t lba, uint64_t count)
{
    n->st->sanitize_status &= (uint16_t)~0x100u; /* not all of it is erased any more */
    mark(n, lba, count, false);
}

/* ---- blocks ---- */

static uint64_t lba_of(const struct command *c)
{
    return c->dw10 | (uint64_t)c->dw11 << 32;
}

static uint64_t length_of(const struct nvme *n, const struct command *c)
{
    return ((uint64_t)(c->dw12 & 0xffffu) + 1) * nvme_block_bytes(n);
}

static bool range_fits(const struct nvme *n, const struct command *c)
{
    uint64_t total = nvme_block_count(n), lba = lba_of(c);

    return lba <= total && (c->dw12 & 0xffffu) + 1ull <= total - lba;
}

/* The status of a command after what became of its blocks; `bad`: they are bad. */
static uint16_t status_of(struct nvme *n, enum drive_status status, uint16_t bad)
{
    switch (status) {
    case DRIVE_OK:              return OK;
    case DRIVE_OUT_OF_RANGE:    return BAD_LBA | DNR;
    case DRIVE_WRITE_PROTECTED: return READ_ONLY | DNR;
    default:
        n->st->media_errors++;
        return bad;
    }
}

/* Read blocks of which none may be marked. */
static uint16_t read_blocks(struct nvme *n, uint64_t at, void *buf, size_t len)
{
    uint32_t sector = nvme_block_bytes(n);

    if (unreadable(n, at / sector, len / sector)) {
        n->st->media_errors++;
        return READ_ERROR;
    }
    return status_of(n, drive_read(n->drive, at, buf, len, NULL), READ_ERROR);
}

static uint16_t write_blocks(struct nvme *n, uint64_t at, const void *buf, size_t len)
{
    uint32_t sector = nvme_block_bytes(n);
    uint16_t status = status_of(n, drive_write(n->drive, at, buf, len, NULL), WRITE_FAULT);

    if (status == OK)
        nvme_written(n, at / sector, len / sector);
    return status;
}

/* A piece of a read, write or compare. */
static uint16_t move_blocks(struct nvme *n, const struct command *c, uint64_t whole, uint64_t done, size_t len)
{
    uint64_t at = lba_of(c) * nvme_block_bytes(n) + done;
    uint8_t piece[PAGE_SIZE], other[PAGE_SIZE];
    uint16_t status = OK;

    if (c->opcode != N_WRITE)
        status = read_blocks(n, at, piece, len);
    if (status == OK)
        status = nvme_move(n, c, whole, done, c->opcode == N_COMPARE ? other : piece, len, c->opcode == N_READ);
    if (status != OK || c->opcode == N_READ)
        return status;
    if (c->opcode == N_COMPARE)
        return memcmp(piece, other, len) ? DIFFERENT | DNR : OK;
    return write_blocks(n, at, piece, len);
}

static uint16_t read_write(struct nvme *n, const struct command *c)
{
    struct nvme_state *s = n->st;
    uint64_t len = length_of(n, c);
    bool writes = c->opcode == N_WRITE;

    if (len > (uint64_t)PAGE_SIZE << MDTS)
        return BAD_FIELD | DNR;
    if (!range_fits(n, c))
        return BAD_LBA | DNR;
    for (uint64_t done = 0; done < len;) {
        size_t take = len - done < PAGE_SIZE ? (size_t)(len - done) : PAGE_SIZE;
        uint16_t status = move_blocks(n, c, len, done, take);

        if (status != OK)
            return status;
        done += take;
    }
    s->reads += !writes;
    s->writes += writes;
    s->bytes_read += writes ? 0 : len;
    s->bytes_written += writes ? len : 0;
    return OK;
}

/* Dataset management: only the deallocation of ranges does something. */
static uint16_t dataset(struct nvme *n, const struct command *c)
{
    struct {
        uint32_t attributes, blocks;
        uint64_t lba;
    } range;
    uint64_t total = nvme_block_count(n), ranges = (c->dw10 & 0xffu) + 1ull;

    for (uint64_t i = 0; i < ranges; i++) {
        uint16_t status = nvme_move(n, c, ranges * sizeof(range), i * sizeof(range), &range, sizeof(range), false);

        if (status != OK)
            return status;
        if (!(c->dw11 & 4u))
            continue;
        if (range.lba > total || range.blocks > total - range.lba)
            return BAD_LBA | DNR;
        status = status_of(n, drive_discard(n->drive, range.lba * nvme_block_bytes(n),
                                            (uint64_t)range.blocks * nvme_block_bytes(n), NULL), WRITE_FAULT);
        if (status != OK)
            return status;
        nvme_written(n, range.lba, range.blocks);
    }
    return OK;
}

/* ---- copies ---- */

/* A range of a copy, descriptor format 0. */
struct copy_range {
    uint64_t reserved, lba;
    uint16_t blocks, reserved_blocks[3]; /* less one */
    uint64_t tags;
};

/* The ranges of the command; *total: how many blocks they are. */
static uint16_t copy_ranges(struct nvme *n, const struct command *c, struct copy_range *r, uint32_t *count, uint64_t *total)
{
    uint16_t status;

    *count = (c->dw12 & 0xffu) + 1;
    *total = 0;
    if (c->dw12 >> 8 & 15u)
        return BAD_FIELD | DNR;
    if (*count > COPY_RANGES)
        return TOO_MUCH | DNR;
    status = nvme_move(n, c, *count * sizeof(*r), 0, r, *count * sizeof(*r), false);
    for (uint32_t i = 0; status == OK && i < *count; i++) {
        *total += r[i].blocks + 1u;
        if (r[i].blocks + 1u > COPY_RANGE || *total > COPY_BLOCKS)
            status = TOO_MUCH | DNR;
    }
    return status;
}

/* Blocks that may overlap: what moves up is moved from its end. */
static uint16_t copy_blocks(struct nvme *n, uint64_t from, uint64_t to, uint64_t len)
{
    uint8_t piece[PAGE_SIZE];
    bool up = to > from && to - from < len;
    uint16_t status = OK;

    for (uint64_t done = 0; status == OK && done < len;) {
        size_t take = len - done < PAGE_SIZE ? (size_t)(len - done) : PAGE_SIZE;
        uint64_t at = up ? len - done - take : done;

        status = read_blocks(n, from + at, piece, take);
        if (status == OK)
            status = write_blocks(n, to + at, piece, take);
        done += take;
    }
    return status;
}

static uint16_t copy(struct nvme *n, const struct command *c)
{
    struct copy_range r[COPY_RANGES];
    uint64_t to = lba_of(c), total, sectors = nvme_block_count(n), sector = nvme_block_bytes(n);
    uint32_t count;
    uint16_t status = copy_ranges(n, c, r, &count, &total);

    if (status != OK)
        return status;
    if (to > sectors || total > sectors - to)
        return BAD_LBA | DNR;
    for (uint32_t i = 0; i < count; i++)
        if (r[i].lba > sectors || r[i].blocks + 1u > sectors - r[i].lba)
            return BAD_LBA | DNR;
    for (uint32_t i = 0; status == OK && i < count; i++) {
        status = copy_blocks(n, r[i].lba * sector, to * sector, (r[i].blocks + 1u) * sector);
        to += r[i].blocks + 1u;
    }
    n->st->bytes_read += status == OK ? total * sector : 0;
    n->st->bytes_written += status == OK ? total * sector : 0;
    return status;
}

/* ---- the commands ---- */

uint64_t nvme_bytes_moved(struct nvme *n, const struct command *c)
{
    struct copy_range r[COPY_RANGES];
    uint64_t total;
    uint32_t count;

    switch (c->opcode) {
    case N_READ: case N_WRITE: case N_COMPARE: case N_VERIFY:
        return length_of(n, c);
    case N_COPY:
        return copy_ranges(n, c, r, &count, &total) == OK ? 2 * total * nvme_block_bytes(n) : 0;
    default:
        return 0;
    }
}

static uint16_t write_zeroes(struct nvme *n, const struct command *c)
{
    uint16_t status = status_of(n, drive_write_zeroes(n->drive, lba_of(c) * nvme_block_bytes(n), length_of(n, c), NULL), WRITE_FAULT);

    if (status == OK)
        nvme_written(n, lba_of(c), (c->dw12 & 0xffffu) + 1ull);
    return status;
}

static uint16_t write_uncorrectable(struct nvme *n, const struct command *c)
{
    if (n->drive->c.read_only)
        return READ_ONLY | DNR;
    mark(n, lba_of(c), (c->dw12 & 0xffffu) + 1ull, true);
    return OK;
}

static uint16_t verify(struct nvme *n, const struct command *c)
{
    if (!unreadable(n, lba_of(c), (c->dw12 & 0xffffu) + 1ull))
        return status_of(n, drive_verify(n->drive, lba_of(c) * nvme_block_bytes(n), length_of(n, c), NULL), READ_ERROR);
    n->st->media_errors++;
    return READ_ERROR;
}

uint16_t nvme_io(struct nvme *n, const struct command *c)
{
    uint16_t erasing = nvme_erasing_status(n->st);

    if (c->nsid != 1 && (c->opcode != N_FLUSH || c->nsid != 0xffffffffu))
        return BAD_NAMESPACE | DNR;
    if (erasing != OK && c->opcode != N_FLUSH)
        return erasing;
    switch (c->opcode) {
    case N_FLUSH:
        return OK;
    case N_READ: case N_WRITE: case N_COMPARE:
        return read_write(n, c);
    case N_ZEROES: case N_VERIFY: case N_UNCORRECTABLE:
        if (!range_fits(n, c))
            return BAD_LBA | DNR;
        return c->opcode == N_ZEROES ? write_zeroes(n, c) : c->opcode == N_VERIFY ? verify(n, c) : write_uncorrectable(n, c);
    case N_DATASET:
        return dataset(n, c);
    case N_COPY:
        return copy(n, c);
    default:
        return BAD_OPCODE | DNR;
    }
}
