/*
 * The guest's sound cards and what they are connected to on the host.
 *
 * What a card plays comes here from the timeline, once, past the live edge only; all cards of one audiodev are mixed
 * (vm/dev/sound_mixer.h). What it records is asked of the file where history ends, and is in the log from then on: a replay needs
 * no such file.
 */
#include "server_internal.h"

#include <string.h>

#include "host/audiodev.h"
#include "vm/dev/sound_mixer.h"

static struct server_sound *sound_of(struct server *s, const struct device *dev)
{
    for (unsigned i = 0; i < s->config.naudiodevs && dev->backend_kind == BACKEND_AUDIODEV; i++)
        if (!strcmp(dev->backend, audiodev_id(s->config.audiodevs[i])))
            return &s->sounds[i];
    return NULL;
}

static void on_mixed(void *ctx, const struct sound_frame *frames, size_t n)
{
    const struct server_sound *sound = ctx;

    audiodev_play(sound->audiodev, &frames->left, n);
}

void server_sound_init(struct server *s)
{
    for (unsigned i = 0; i < s->config.naudiodevs; i++) {
        s->sounds[i].audiodev = s->config.audiodevs[i];
        sound_mixer_init(&s->sounds[i].mixer, audiodev_rate(s->config.audiodevs[i]), on_mixed, &s->sounds[i]);
    }
}

void server_sound_finish(struct server *s)
{
    for (unsigned i = 0; i < s->config.naudiodevs; i++) {
        sound_mixer_finish(&s->sounds[i].mixer);
        audiodev_close(s->config.audiodevs[i]);
    }
}

void server_sound_serve(struct server *s)
{
    for (unsigned i = 0; i < s->config.naudiodevs; i++)
        audiodev_flush(s->config.audiodevs[i]);
}

bool server_sound_output(struct server *s, const struct device *dev, const void *data, size_t len)
{
    struct server_sound *sound = sound_of(s, dev);
    struct sound_output o;

    if (sound && sound_parse(data, len, &o))
        sound_mixer_take(&sound->mixer, dev, &o);
    return dev->backend_kind == BACKEND_AUDIODEV;
}

size_t server_sound_input(void *ctx, struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n)
{
    struct server_sound *sound = sound_of(ctx, dev);

    return sound ? audiodev_record(sound->audiodev, at, rate, samples, n) : 0;
}

void server_sound_describe(const struct server *s, struct buffer *out)
{
    for (unsigned i = 0; i < s->config.naudiodevs; i++)
        audiodev_describe(s->config.audiodevs[i], out);
    for (unsigned i = 0; i < s->machine->ndevices; i++)
        if (s->machine->devices[i]->backend_kind == BACKEND_AUDIODEV)
            buffer_printf(out, "    %s: %s\n", s->machine->devices[i]->name, s->machine->devices[i]->backend);
    if (!out->len)
        buffer_printf(out, "no sound cards are connected\n");
}
