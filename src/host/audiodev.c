/*
 * Sound back ends: RIFF/WAVE files (Multimedia Programming Interface and Data Specifications 1.0, 3; WAVEFORMATEXTENSIBLE).
 * See audiodev.h.
 *
 * Written: PCM of 8, 16 or 32 bits, up to the 4 GiB that its header can tell of. Read: PCM of 8 to 32 bits, plain or extensible,
 * of which the first two channels count.
 */
#include "host/audiodev.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/option_list.h"
#include "host/output.h"

#define HEADER_BYTES 44u
#define FLUSH_BYTES  ((size_t)64 << 10)
/* RIFF's size is in 32 bits, and counts all of the file but 8 bytes. */
#define DATA_MOST    (UINT32_MAX - HEADER_BYTES)

#define RATE_LEAST 1000u
#define RATE_MOST  192000u

enum { WAVE_PCM = 1, WAVE_EXTENSIBLE = 0xfffe };

/* A file that is read. */
struct wave {
    int fd;              /* -1: none */
    uint32_t rate;       /* Hz, */
    unsigned channels, width, bytes; /* of it, bytes of a sample, of a frame */
    uint64_t data;       /* where the first frame is, */
    uint64_t frames;     /* and how many */
};

enum driver { DRIVER_WAV, DRIVER_NONE };
enum format { FORMAT_U8, FORMAT_S16, FORMAT_S32 };

struct audiodev {
    char id[32];
    enum driver driver;
    char *path, *in_path;
    uint32_t rate;
    unsigned channels;
    enum format format;
    int fd;              /* of the output, or -1 */
    bool plain;          /* a file whose header can be written again */
    uint64_t written;    /* bytes of data in it */
    struct buffer waiting;
    struct wave in;
};

/* ---- the option ---- */

static const char *const drivers[] = {"wav", "none", NULL};
static const char *const formats[] = {"u8", "s16", "s32", NULL};
static const char *const channel_counts[] = {"1", "2", NULL};

static int take(struct audiodev *a, const char *text, const struct option_list *l, struct error *err)
{
    unsigned driver = DRIVER_WAV, format = FORMAT_S16, channels = 1;
    uint64_t rate = 44100;
    const char *id = option_list_get(l, "id"), *path = option_list_get(l, "path"), *in = option_list_get(l, "in");

    if (!option_list_get(l, "driver"))
        return error_set(err, -EINVAL, "--audiodev %s: write wav,id=ID,path=FILE or none,id=ID", text);
    if (option_list_choice(l, "driver", drivers, &driver, err) < 0 ||
        option_list_choice(l, "out.format", formats, &format, err) < 0 ||
        option_list_choice(l, "out.channels", channel_counts, &channels, err) < 0 ||
        option_list_number(l, "out.frequency", RATE_LEAST, RATE_MOST, &rate, err) < 0)
        return -EINVAL;
    if (!id || !*id || strlen(id) >= sizeof(a->id))
        return error_set(err, -EINVAL, "--audiodev %s: it needs an id=ID of 1 to %zu characters, which a sound card names", text,
                         sizeof(a->id) - 1);
    if (driver == DRIVER_WAV && !path && !in)
        return error_set(err, -EINVAL, "--audiodev %s: it needs path=FILE, which gets what is played, or in=FILE", text);
    if (driver == DRIVER_NONE && (path || in))
        return error_set(err, -EINVAL, "--audiodev %s: 'none' has no files: write wav", text);
    strcpy(a->id, id);
    a->driver = driver;
    a->format = format;
    a->channels = channels + 1;
    a->rate = (uint32_t)rate;
    a->path = path ? xstrdup(path) : NULL;
    a->in_path = in ? xstrdup(in) : NULL;
    return 0;
}

static int parse(struct audiodev *a, const char *text, struct error *err)
{
    static const struct option_key keys[] = {
        {"driver", "wav|none"}, {"id", "ID"}, {"path", "FILE"}, {"in", "FILE"}, {"out.frequency", "HZ (1000 to 192000)"},
        {"out.channels", "1|2"}, {"out.format", "u8|s16|s32"}, {NULL, NULL},
    };
    struct option_list l;
    int r = option_list_parse(&l, "--audiodev", text, "driver", keys, err);

    if (r == 0)
        r = take(a, text, &l, err);
    option_list_finish(&l);
    return r;
}

static struct audiodev *create(void)
{
    struct audiodev *a = xcalloc(1, sizeof(*a));

    a->fd = a->in.fd = -1;
    buffer_init(&a->waiting);
    return a;
}

static void destroy(struct audiodev *a)
{
    if (a->fd >= 0)
        close(a->fd);
    if (a->in.fd >= 0)
        close(a->in.fd);
    buffer_finish(&a->waiting);
    free(a->path);
    free(a->in_path);
    free(a);
}

int audiodev_check(const char *text, char *id, size_t size, struct error *err)
{
    struct audiodev *a = create();
    int r = parse(a, text, err);

    snprintf(id, size, "%s", a->id);
    destroy(a);
    return r;
}

/* ---- writing ---- */

static unsigned width_of(const struct audiodev *a)
{
    return a->format == FORMAT_U8 ? 1 : a->format == FORMAT_S16 ? 2 : 4;
}

static void make_header(const struct audiodev *a, uint8_t *h)
{
    unsigned frame = a->channels * width_of(a);

    memcpy(h, "RIFF", 4);
    put_le32(h + 4, (uint32_t)(a->written + HEADER_BYTES - 8));
    memcpy(h + 8, "WAVEfmt ", 8);
    put_le32(h + 16, 16);
    put_le16(h + 20, WAVE_PCM);
    put_le16(h + 22, (uint16_t)a->channels);
    put_le32(h + 24, a->rate);
    put_le32(h + 28, a->rate * frame);
    put_le16(h + 32, (uint16_t)frame);
    put_le16(h + 34, (uint16_t)(8 * width_of(a)));
    memcpy(h + 36, "data", 4);
    put_le32(h + 40, (uint32_t)a->written);
}

/* 0 or a negative errno. */
static int put(int fd, bool plain, uint64_t offset, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = plain ? pwrite(fd, p, len, (off_t)offset) : write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static void give_up(struct audiodev *a, const char *why)
{
    fprintf(stderr, "hindcast: --audiodev %s: %s: %s; what is played from now on is not in it\n", a->id, a->path, why);
    close(a->fd);
    a->fd = -1;
}

/* Data first: the header never tells of what is not there. */
void audiodev_flush(struct audiodev *a)
{
    uint8_t header[HEADER_BYTES];
    size_t len = a->waiting.len;
    bool full = a->written + len > DATA_MOST;
    int r;

    if (a->fd < 0 || !len) {
        buffer_clear(&a->waiting);
        return;
    }
    if (full)
        len = (size_t)(DATA_MOST - a->written) / (a->channels * width_of(a)) * (a->channels * width_of(a));
    r = put(a->fd, a->plain, HEADER_BYTES + a->written, a->waiting.data, len);
    if (r == 0) {
        a->written += len;
        make_header(a, header);
        r = a->plain ? put(a->fd, true, 0, header, sizeof(header)) : 0;
    }
    buffer_clear(&a->waiting);
    if (r < 0 || full)
        give_up(a, r < 0 ? strerror(-r) : "such a file has at most 4 GiB");
}

static int open_output(struct audiodev *a, unsigned may, struct error *err)
{
    uint8_t header[HEADER_BYTES];
    struct stat st;
    int r;

    /* A pipe's reader could hold the guest back for ever, and could not be told the length. */
    if (stat(a->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
        return error_set(err, -EINVAL, "path=%s: is no ordinary file", a->path);
    r = host_output_open(a->path, may | HOST_EMPTY_ONLY, err);
    if (r < 0)
        return r;
    a->fd = r;
    a->plain = fstat(a->fd, &st) == 0 && S_ISREG(st.st_mode);
    make_header(a, header);
    r = put(a->fd, a->plain, 0, header, sizeof(header));
    return r < 0 ? error_set(err, r, "%s: %s", a->path, strerror(-r)) : 0;
}

static void append_sample(struct audiodev *a, int32_t sample)
{
    uint8_t bytes[4];

    if (a->format == FORMAT_U8) {
        buffer_append_byte(&a->waiting, (uint8_t)((uint32_t)sample >> 24 ^ 0x80));
        return;
    }
    put_le32(bytes, a->format == FORMAT_S16 ? (uint32_t)sample >> 16 : (uint32_t)sample);
    buffer_append(&a->waiting, bytes, width_of(a));
}

void audiodev_play(struct audiodev *a, const int32_t *samples, size_t n)
{
    for (size_t i = 0; a->fd >= 0 && i < n; i++) {
        if (a->channels == 1) {
            append_sample(a, (int32_t)(((int64_t)samples[2 * i] + samples[2 * i + 1]) / 2));
        } else {
            append_sample(a, samples[2 * i]);
            append_sample(a, samples[2 * i + 1]);
        }
    }
    if (a->waiting.len >= FLUSH_BYTES)
        audiodev_flush(a);
}

/* ---- reading ---- */

/* Bytes that are there; the rest is 0. */
static size_t get(int fd, uint64_t offset, uint8_t *p, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, p + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    memset(p + done, 0, len - done);
    return done;
}

static int take_format(struct wave *w, uint64_t at, uint32_t len, const char *path, struct error *err)
{
    uint8_t f[40];
    unsigned tag, bits, block;

    if (len < 16 || get(w->fd, at, f, len < sizeof(f) ? len : sizeof(f)) < 16)
        return error_set(err, -EINVAL, "%s: its format is cut off", path);
    tag = get_le16(f);
    if (tag == WAVE_EXTENSIBLE && len >= 40)
        tag = get_le16(f + 24);
    w->channels = get_le16(f + 2);
    w->rate = get_le32(f + 4);
    block = get_le16(f + 12);
    bits = get_le16(f + 14);
    w->width = (bits + 7) / 8;
    w->bytes = w->channels * w->width;
    if (tag != WAVE_PCM || bits < 8 || bits > 32 || !w->channels || w->channels > 64 || block != w->bytes)
        return error_set(err, -EINVAL, "%s: has a format other than PCM of 8 to 32 bits", path);
    if (w->rate < RATE_LEAST || w->rate > 768000)
        return error_set(err, -EINVAL, "%s: %u Hz is not from %u to 768000", path, w->rate, RATE_LEAST);
    return 0;
}

/* Find format and data. */
static int take_chunks(struct wave *w, const char *path, struct error *err)
{
    uint8_t head[12];
    uint64_t at = 12, end = (uint64_t)lseek(w->fd, 0, SEEK_END);
    bool known = false;

    if (get(w->fd, 0, head, 12) < 12 || memcmp(head, "RIFF", 4) != 0 || memcmp(head + 8, "WAVE", 4) != 0)
        return error_set(err, -EINVAL, "%s: is no RIFF/WAVE file", path);
    while (get(w->fd, at, head, 8) == 8) {
        uint32_t len = get_le32(head + 4);

        at += 8;
        if (!memcmp(head, "fmt ", 4)) {
            if (take_format(w, at, len, path, err) < 0)
                return err->code;
            known = true;
        } else if (!memcmp(head, "data", 4) && known) {
            w->data = at;
            w->frames = (len < end - at ? len : end - at) / w->bytes;
            return 0;
        }
        at += len + (len & 1u);
    }
    return error_set(err, -EINVAL, "%s: has no sound", path);
}

static int open_input(struct audiodev *a, struct error *err)
{
    struct wave *w = &a->in;
    struct stat st;

    w->fd = open(a->in_path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (w->fd < 0)
        return error_set(err, -errno, "in=%s: cannot open: %s", a->in_path, strerror(errno));
    if (fstat(w->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "in=%s: is no ordinary file", a->in_path);
    host_output_spare(w->fd);
    return take_chunks(w, a->in_path, err);
}

static int32_t sample_at(const struct wave *w, const uint8_t *p)
{
    uint32_t bits = (uint32_t)get_le(p, w->width) << (32 - 8 * w->width);

    return (int32_t)(w->width == 1 ? bits ^ 0x80000000u : bits);
}

/* Frame `n` of the file; silence after its end. */
static void frame_at(const struct wave *w, uint64_t n, int32_t *frame)
{
    uint8_t bytes[64 * 4];

    frame[0] = frame[1] = 0;
    if (n >= w->frames)
        return;
    get(w->fd, w->data + n * w->bytes, bytes, w->bytes);
    frame[0] = sample_at(w, bytes);
    frame[1] = w->channels > 1 ? sample_at(w, bytes + w->width) : frame[0];
}

size_t audiodev_record(struct audiodev *a, uint64_t at, uint32_t rate, int32_t *samples, size_t n)
{
    const struct wave *w = &a->in;
    size_t i;

    for (i = 0; w->fd >= 0 && i < n; i++, at++) {
        uint64_t from = at / rate * w->rate + at % rate * w->rate / rate, phase = at % rate * w->rate % rate;
        int32_t near[2], far[2];

        if (from >= w->frames)
            break;
        frame_at(w, from, near);
        if (phase)
            frame_at(w, from + 1, far);
        for (unsigned c = 0; c < 2; c++)
            samples[2 * i + c] = !phase ? near[c] : (int32_t)(near[c] + ((int64_t)far[c] - near[c]) * (int64_t)phase / rate);
    }
    return i;
}

/* ---- all of it ---- */

struct audiodev *audiodev_open(const char *text, unsigned may, struct error *err)
{
    struct audiodev *a = create();
    int r = parse(a, text, err);

    if (r == 0) {
        r = a->in_path ? open_input(a, err) : 0;
        if (r == 0 && a->path)
            r = open_output(a, may, err);
        if (r < 0)
            error_prefix(err, "--audiodev %s", text);
    }
    if (r == 0)
        return a;
    destroy(a);
    return NULL;
}

void audiodev_close(struct audiodev *a)
{
    audiodev_flush(a);
    destroy(a);
}

const char *audiodev_id(const struct audiodev *a)
{
    return a->id;
}

uint32_t audiodev_rate(const struct audiodev *a)
{
    return a->rate;
}

void audiodev_describe(const struct audiodev *a, struct buffer *out)
{
    buffer_printf(out, "audiodev %s:", a->id);
    if (a->path)
        buffer_printf(out, " %s, %u Hz, %u channel%s, %s, %" PRIu64 " frames%s", a->path, a->rate, a->channels,
                      a->channels > 1 ? "s" : "", formats[a->format],
                      (a->written + a->waiting.len) / (a->channels * width_of(a)), a->fd < 0 ? " (closed after an error)" : "");
    if (a->in_path)
        buffer_printf(out, "%s from %s, %u Hz, %" PRIu64 " frames", a->path ? ";" : "", a->in_path, a->in.rate, a->in.frames);
    buffer_printf(out, "%s\n", a->path || a->in_path ? "" : " none");
}
