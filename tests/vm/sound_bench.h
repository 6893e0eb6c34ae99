/*
 * A bench for sound cards: what they play is kept frame by frame, message by message as they send it.
 */
#ifndef HINDCAST_TESTS_SOUND_BENCH_H
#define HINDCAST_TESTS_SOUND_BENCH_H

#include "tests/vm/disk_bench.h"

#include "base/bytes.h"
#include "vm/dev/sound.h"

CHIP_BENCH struct buffer frames_out; /* two words of 32 bits each */

CHIP_BENCH void hear(void *ctx, struct device *dev, const void *buf, size_t len)
{
    struct sound_output o;

    ck_assert(sound_parse(buf, len, &o));
    if (o.kind == SOUND_FRAMES)
        buffer_append(&frames_out, o.frames, 8 * o.count);
    output(ctx, dev, buf, len);
}

/* The bench's machine plays into this, and records what `bring` brings. */
CHIP_BENCH void connect_sound(size_t (*bring)(void *, struct device *, uint64_t, uint32_t, int32_t *, size_t))
{
    static struct machine_env sound_env;

    sound_env = disk_env;
    sound_env.sound = bring;
    sound_env.output = hear;
    m->env = &sound_env;
    buffer_clear(&frames_out);
}

/* Frames that went out since the last time; `list`: the first `most` of them, left and right. */
CHIP_BENCH unsigned played(int32_t (*list)[2], unsigned most)
{
    unsigned n = (unsigned)(frames_out.len / 8);

    for (unsigned i = 0; list && i < n && i < most; i++) {
        list[i][0] = (int32_t)get_le32(frames_out.data + 8 * i);
        list[i][1] = (int32_t)get_le32(frames_out.data + 8 * i + 4);
    }
    buffer_clear(&frames_out);
    buffer_clear(&sent);
    return n;
}

/* Frames of 16 bits in memory: `from`, `from` + 1... on the left, the same below zero on the right. */
CHIP_BENCH void fill(uint32_t at, unsigned n, unsigned from)
{
    for (unsigned i = 0; i < n; i++)
        poke32(at + 4 * i, (uint32_t)(uint16_t)(from + i) | (uint32_t)(uint16_t)-(from + i) << 16);
}

#endif
