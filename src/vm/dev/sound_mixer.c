/*
 * Several voices become one stream. See sound_mixer.h.
 *
 * Voices need not come in the order of their time: a frame is ready when all that play have gone past it.
 */
#include "vm/dev/sound_mixer.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/clock.h"

/* A voice can be behind the others for so many seconds; then the stream goes on without it. */
#define BEHIND_MOST 2u

void sound_mixer_init(struct sound_mixer *m, uint32_t rate, void (*out)(void *ctx, const struct sound_frame *, size_t), void *ctx)
{
    *m = (struct sound_mixer){.rate = rate, .out = out, .ctx = ctx};
}

static int32_t clip(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

/* Everything before frame `to` comes out. */
static void emit(struct sound_mixer *m, uint64_t to)
{
    size_t n = to > m->base + m->count ? m->count : to > m->base ? (size_t)(to - m->base) : 0;
    struct sound_frame piece[SOUND_PIECE];

    for (size_t i = 0; i < n;) {
        size_t k = 0;

        for (; k < SOUND_PIECE && i < n; k++, i++)
            piece[k] = (struct sound_frame){clip(m->sums[i][0]), clip(m->sums[i][1])};
        m->out(m->ctx, piece, k);
    }
    if (n)
        memmove(m->sums, m->sums + n, (m->count - n) * sizeof(m->sums[0]));
    m->count -= n;
    m->base += n;
}

static bool any_plays(const struct sound_mixer *m)
{
    for (unsigned i = 0; i < SOUND_MIXER_VOICES; i++)
        if (m->voices[i].who)
            return true;
    return false;
}

/* What all have gone past comes out; everything, if nobody plays any more. */
static void emit_ready(struct sound_mixer *m)
{
    uint64_t to = UINT64_MAX;

    for (unsigned i = 0; i < SOUND_MIXER_VOICES; i++)
        if (m->voices[i].who && m->voices[i].at < to)
            to = m->voices[i].at;
    emit(m, to);
}

void sound_mixer_finish(struct sound_mixer *m)
{
    emit(m, UINT64_MAX);
    free(m->sums);
    m->sums = NULL;
    m->count = m->room = 0;
}

static void add(struct sound_mixer *m, struct sound_mixer_voice *v, struct sound_frame f)
{
    size_t most = (size_t)m->rate * BEHIND_MOST, n;

    if (v->at < m->base)
        v->at = m->base;
    if (v->at - m->base >= most) {
        uint64_t to = v->at - most / 2;

        emit(m, to);
        m->base = to; /* (what lies between was nobody's) */
    }
    n = (size_t)(v->at++ - m->base) + 1;
    if (n > m->room) {
        m->room = n * 2;
        m->sums = xrealloc(m->sums, m->room * sizeof(m->sums[0]));
    }
    if (n > m->count) {
        memset(m->sums + m->count, 0, (n - m->count) * sizeof(m->sums[0]));
        m->count = n;
    }
    m->sums[n - 1][0] += f.left;
    m->sums[n - 1][1] += f.right;
}

static int32_t between(int32_t a, int32_t b, uint64_t phase, uint32_t whole)
{
    return (int32_t)(a + ((int64_t)b - a) * (int64_t)phase / whole);
}

/* The voice's next frame: those of the stream up to its time can be told. */
static void advance(struct sound_mixer *m, struct sound_mixer_voice *v, struct sound_frame f)
{
    if (!v->any) {
        v->any = true;
        v->last = f;
        v->phase = v->rate;
        add(m, v, f);
        return;
    }
    for (; v->phase <= m->rate; v->phase += v->rate)
        add(m, v, (struct sound_frame){between(v->last.left, f.left, v->phase, m->rate),
                                       between(v->last.right, f.right, v->phase, m->rate)});
    v->phase -= m->rate;
    v->last = f;
}

static struct sound_mixer_voice *find(struct sound_mixer *m, const void *who)
{
    for (unsigned i = 0; i < SOUND_MIXER_VOICES; i++)
        if (m->voices[i].who == who)
            return &m->voices[i];
    return NULL;
}

/* It is in the stream from now on; one whose beginning was not heard (in a replay that begins in the middle), too. */
static struct sound_mixer_voice *begin(struct sound_mixer *m, const void *who, const struct sound_output *o)
{
    struct sound_mixer_voice *v = find(m, NULL);

    if (!v)
        return NULL;
    if (!any_plays(m)) {
        m->began = o->at;
        m->base = 0;
    }
    *v = (struct sound_mixer_voice){.who = who, .rate = o->rate};
    v->at = o->at > m->began ? clock_ticks(o->at - m->began, m->rate) : 0;
    return v;
}

void sound_mixer_take(struct sound_mixer *m, const void *who, const struct sound_output *o)
{
    struct sound_mixer_voice *v = find(m, who);

    if (o->kind == SOUND_END || (o->kind == SOUND_BEGIN && v)) {
        if (v)
            *v = (struct sound_mixer_voice){0};
        v = NULL;
        emit_ready(m);
    }
    if (o->kind != SOUND_END && !v)
        v = begin(m, who, o);
    if (v && v->rate != o->rate) {
        v->phase = v->phase * o->rate / v->rate;
        v->rate = o->rate;
    }
    for (size_t i = 0; v && i < o->count; i++)
        advance(m, v, (struct sound_frame){(int32_t)get_le32(o->frames + 8 * i), (int32_t)get_le32(o->frames + 8 * i + 4)});
    emit_ready(m);
}
