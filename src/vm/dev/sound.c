/*
 * What sound cards have in common. See sound.h.
 */
#include "vm/dev/sound.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

/* Output begins with kind, rate, and time; then the frames. */
#define HEAD_BYTES  16u
#define FRAME_BYTES 8u

/* ---- the sample clock ---- */

void sound_clock_start(struct sound_clock *c, vtime_t now, uint32_t rate)
{
    *c = (struct sound_clock){.began = now, .rate = rate};
}

void sound_clock_stop(struct sound_clock *c)
{
    *c = (struct sound_clock){0};
}

void sound_clock_change(struct sound_clock *c, uint32_t rate)
{
    if (c->rate && c->rate != rate)
        sound_clock_start(c, c->began + clock_time(c->done, c->rate), rate);
}

uint64_t sound_clock_due(const struct sound_clock *c, vtime_t now)
{
    uint64_t all = c->rate && now > c->began ? clock_ticks(now - c->began, c->rate) : 0;

    return all > c->done ? all - c->done : 0;
}

vtime_t sound_clock_when(const struct sound_clock *c, uint64_t frames)
{
    return c->rate ? c->began + clock_time(c->done + frames, c->rate) : VTIME_NEVER;
}

bool sound_clock_possible(const struct sound_clock *c, vtime_t now)
{
    if (c->rate > SOUND_RATE_MAX || c->began > VTIME_NEVER / 2)
        return false;
    /* Neither far ahead of its time nor with so much behind that it is a day's work. */
    return !c->rate || (c->began <= now + NS_PER_SEC && now < c->began + VTIME_NEVER / 4 &&
                        c->done <= clock_ticks(now > c->began ? now - c->began : 0, c->rate) + c->rate &&
                        sound_clock_due(c, now) <= c->rate);
}

/* ---- playing ---- */

int sound_connect(struct device *dev, const struct option_list *props, struct error *err)
{
    const char *id = option_list_get(props, "audiodev");

    if (!id)
        return 0;
    if (!*id || strlen(id) >= sizeof(dev->backend))
        return error_set(err, -EINVAL, "audiodev=%s: an id has 1 to %zu characters", id, sizeof(dev->backend) - 1);
    strcpy(dev->backend, id);
    dev->backend_kind = BACKEND_AUDIODEV;
    return 0;
}

static void send(struct device *dev, enum sound_kind kind, uint32_t rate, const struct sound_frame *frames, size_t n)
{
    uint8_t bytes[HEAD_BYTES + SOUND_PIECE * FRAME_BYTES];

    CHECK(n <= SOUND_PIECE);
    if (dev->backend_kind != BACKEND_AUDIODEV)
        return;
    put_le32(bytes, kind);
    put_le32(bytes + 4, rate);
    put_le64(bytes + 8, machine_now(dev->machine));
    for (size_t i = 0; i < n; i++) {
        put_le32(bytes + HEAD_BYTES + i * FRAME_BYTES, (uint32_t)frames[i].left);
        put_le32(bytes + HEAD_BYTES + i * FRAME_BYTES + 4, (uint32_t)frames[i].right);
    }
    machine_output(dev, bytes, HEAD_BYTES + n * FRAME_BYTES);
}

void sound_begin(struct device *dev, uint32_t rate)
{
    send(dev, SOUND_BEGIN, rate, NULL, 0);
}

void sound_play(struct device *dev, uint32_t rate, const struct sound_frame *frames, size_t n)
{
    if (n)
        send(dev, SOUND_FRAMES, rate, frames, n);
}

void sound_end(struct device *dev, uint32_t rate)
{
    send(dev, SOUND_END, rate, NULL, 0);
}

bool sound_parse(const void *data, size_t len, struct sound_output *out)
{
    const uint8_t *p = data;

    if (len < HEAD_BYTES || (len - HEAD_BYTES) % FRAME_BYTES)
        return false;
    *out = (struct sound_output){.kind = get_le32(p), .rate = get_le32(p + 4), .at = get_le64(p + 8), .frames = p + HEAD_BYTES,
                                 .count = (len - HEAD_BYTES) / FRAME_BYTES};
    return out->kind >= SOUND_BEGIN && out->kind <= SOUND_END && out->rate >= SOUND_RATE_MIN && out->rate <= SOUND_RATE_MAX;
}

/* ---- recording ---- */

void sound_input_start(struct sound_input *in, uint32_t rate)
{
    if (in->rate && in->rate != rate)
        in->taken = in->taken / in->rate * rate + in->taken % in->rate * rate / in->rate;
    in->rate = rate;
    in->ended = 0;
}

void sound_record(struct device *dev, struct sound_input *in, struct sound_frame *frames, size_t n)
{
    size_t got = 0;

    CHECK(n <= SOUND_PIECE && in->rate);
    if (dev->backend_kind == BACKEND_AUDIODEV && !in->ended && n)
        got = machine_sound(dev, in->taken, in->rate, &frames->left, n);
    if (got < n)
        in->ended = 1;
    in->taken += got;
    memset(frames + got, 0, (n - got) * sizeof(*frames));
}

bool sound_input_possible(const struct sound_input *in)
{
    return in->rate <= SOUND_RATE_MAX && in->taken < UINT64_MAX / SOUND_RATE_MAX && in->ended <= 1;
}

/* ---- arithmetic ---- */

int32_t sound_scale(int32_t sample, uint32_t gain)
{
    int64_t v = gain == SOUND_UNITY ? sample : (int64_t)sample * gain / SOUND_UNITY;

    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

/* 10^(n/80), times 2^26: a step is a quarter of a decibel, 80 of them are a factor of ten. */
static const uint32_t powers[80] = {
    0x04000000, 0x041de6be, 0x043cad02, 0x045c5953, 0x047cf268, 0x049e7f2b, 0x04c106ba, 0x04e49068,
    0x050923be, 0x052ec87e, 0x055586a4, 0x057d6668, 0x05a6703e, 0x05d0acdb, 0x05fc2533, 0x0628e280,
    0x0656ee3e, 0x06865231, 0x06b71867, 0x06e94b37, 0x071cf547, 0x0752218d, 0x0788db4f, 0x07c12e28,
    0x07fb260b, 0x0836cf44, 0x08743679, 0x08b368b0, 0x08f47350, 0x09376426, 0x097c4964, 0x09c331a5,
    0x0a0c2bf5, 0x0a5747cd, 0x0aa4951c, 0x0af42447, 0x0b46062d, 0x0b9a4c2c, 0x0bf10824, 0x0c4a4c7a,
    0x0ca62c1d, 0x0d04ba8a, 0x0d660bcd, 0x0dca348b, 0x0e314a03, 0x0e9b6210, 0x0f089335, 0x0f78f498,
    0x0fec9e10, 0x1063a824, 0x10de2c15, 0x115c43de, 0x11de0a3c, 0x12639ab8, 0x12ed11a3, 0x137a8c26,
    0x140c2843, 0x14a204db, 0x153c41b8, 0x15daff8f, 0x167e600b, 0x172685d4, 0x17d39492, 0x1885b0fa,
    0x193d00d2, 0x19f9aafc, 0x1abbd77b, 0x1b83af7d, 0x1c515d66, 0x1d250cd4, 0x1dfeeaad, 0x1edf2527,
    0x1fc5ebcf, 0x20b36f98, 0x21a7e2e1, 0x22a37984, 0x23a668dc, 0x24b0e7d4, 0x25c32ef2, 0x26dd7861,
};

uint32_t sound_gain(int quarters)
{
    uint64_t gain;
    int tens = 0;

    for (; quarters < 0; quarters += 80)
        tens--;
    for (; quarters >= 80; quarters -= 80)
        tens++;
    gain = powers[quarters];
    for (; tens > 0; tens--)
        gain *= 10;
    for (; tens < 0; tens++)
        gain /= 10;
    return (uint32_t)((gain + (1u << 9)) >> 10);
}
