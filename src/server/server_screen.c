/*
 * The monitor's commands that look at displays: what they show at the present position, as text and as files.
 */
#include "server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "vm/dev/display.h"

static const char *word(const struct rsp_monitor_call *call, unsigned n)
{
    return n < call->argc ? call->argv[n].text : NULL;
}

/* [DEVICE [HEAD]] from word *n on; *n is behind them then. */
static int take_display(const struct rsp_monitor_call *call, unsigned *n, const char **name, unsigned *head, struct error *err)
{
    const char *text = word(call, *n);
    unsigned long number;
    char *end;

    *name = NULL;
    *head = 0;
    if (!text || !strcmp(text, "force") || !strcmp(text, "-f"))
        return 0;
    *name = text;
    text = word(call, ++*n);
    if (!text || *text < '0' || *text > '9')
        return 0;
    number = strtoul(text, &end, 10);
    if (*end || number > UINT16_MAX)
        return error_set(err, -EINVAL, "'%s' is no number of a head", text);
    *head = (unsigned)number;
    ++*n;
    return 0;
}

int monitor_screen(struct rsp_monitor_call *call, struct error *err)
{
    const struct server *s = call->ctx;
    const char *name;
    unsigned n = 0, head;
    int r = take_display(call, &n, &name, &head, err);

    if (r == 0 && word(call, n))
        return error_set(err, -EINVAL, "'%s' means nothing here", word(call, n));
    return r < 0 ? r : display_read(s->machine, name, head, call->out, err);
}

/* A head of a display: what it shows here. */
static void list_head(const struct server *s, const struct device *dev, unsigned head, struct buffer *out)
{
    struct display_picture picture;
    struct error err = {0};
    struct buffer text;
    int r;

    buffer_init(&text);
    display_picture_init(&picture);
    buffer_printf(out, "    head %u: ", head);
    if (display_draw(s->machine, dev->name, head, &picture, &err) < 0)
        buffer_printf(out, "nothing\n");
    else if ((r = dev->ops->display->text ? display_read(s->machine, dev->name, head, &text, &err) : -EINVAL) == -ENODATA)
        buffer_printf(out, "nothing so far\n");
    else
        buffer_printf(out, "%ux%u, %s\n", picture.width, picture.height, r == 0 ? "text" : "graphics");
    display_picture_finish(&picture);
    buffer_finish(&text);
}

int monitor_info_displays(struct rsp_monitor_call *call, struct error *err)
{
    const struct server *s = call->ctx;
    const struct device *first = display_find(s->machine, NULL, err);

    if (!first)
        return -ENODEV;
    for (unsigned i = 0; i < s->machine->ndevices; i++) {
        const struct device *dev = s->machine->devices[i];
        unsigned heads = dev->ops->display && dev->ops->display->heads ? dev->ops->display->heads(dev) : 1;

        if (!dev->ops->display)
            continue;
        buffer_printf(call->out, "%s%s\n", dev->name, dev == first ? " (the screen)" : "");
        for (unsigned n = 0; n < heads; n++)
            list_head(s, dev, n, call->out);
    }
    return 0;
}

/* ---- screendump ---- */

struct dump {
    const char *device;
    unsigned head;
    enum picture_format format;
    bool force;
};

static int take_format(const char *text, enum picture_format *format, struct error *err)
{
    if (!text || (strcmp(text, "png") && strcmp(text, "ppm")))
        return error_set(err, -EINVAL, "-f %s: formats are png and ppm", text ? text : "");
    *format = !strcmp(text, "png") ? PICTURE_PNG : PICTURE_PPM;
    return 0;
}

/* [-f FORMAT] [DEVICE [HEAD]] [-f FORMAT] [force] */
static int take_dump(const struct rsp_monitor_call *call, unsigned n, struct dump *d, struct error *err)
{
    *d = (struct dump){.format = PICTURE_BY_NAME};
    while (word(call, n)) {
        int r = 0;

        if (!strcmp(word(call, n), "-f")) {
            r = take_format(word(call, n + 1), &d->format, err);
            n += 2;
        } else if (!strcmp(word(call, n), "force") && !word(call, n + 1)) {
            d->force = true;
            n++;
        } else if (!d->device) {
            r = take_display(call, &n, &d->device, &d->head, err);
        } else {
            r = error_set(err, -EINVAL, "'%s' means nothing here: there is force", word(call, n));
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* What a head of a display shows here, to a file. */
static int write_picture(const struct server *s, const struct dump *d, const char *path, struct error *err)
{
    const struct device *dev = display_find(s->machine, d->device, err);
    struct picture_note notes[] = {{.key = "Software"}, {.key = "Position"}, {.key = "Virtual time"}, {.key = "Display"}};
    uint64_t now = machine_now(s->machine);
    struct display_picture picture;
    int r;

    if (!dev)
        return -ENODEV;
    snprintf(notes[0].text, sizeof(notes[0].text), "hindcast");
    snprintf(notes[1].text, sizeof(notes[1].text), "%" PRIu64, timeline_position(s->timeline));
    snprintf(notes[2].text, sizeof(notes[2].text), "%" PRIu64 ".%09" PRIu64 " s", now / 1000000000u, now % 1000000000u);
    snprintf(notes[3].text, sizeof(notes[3].text), "%s, head %u", dev->name, d->head);
    display_picture_init(&picture);
    r = display_draw(s->machine, d->device, d->head, &picture, err);
    if (r == 0)
        r = picture_write(path, d->format, &picture, notes, ARRAY_LEN(notes), HOST_MONITOR | HOST_EMPTY_ONLY | (d->force ? HOST_FORCE : 0),
                          err);
    display_picture_finish(&picture);
    return r;
}

int monitor_screendump(struct rsp_monitor_call *call, struct error *err)
{
    struct dump d;
    int r = take_dump(call, 1, &d, err);

    return r < 0 ? r : write_picture(call->ctx, &d, word(call, 0), err);
}

int server_write_picture(const struct server *s, const char *path, bool force, struct error *err)
{
    const struct dump d = {.format = PICTURE_PNG, .force = force};

    return write_picture(s, &d, path, err);
}
