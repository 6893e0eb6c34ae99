/*
 * What a guest's sound cards are connected to on the host.
 *
 *   wav,id=ID,path=FILE[,in=FILE][,out.frequency=HZ][,out.channels=1|2][,out.format=u8|s16|s32]
 *              what is played goes to a RIFF/WAVE file; what is recorded comes from another one
 *   none,id=ID nothing is heard, and silence is recorded
 *
 * These are QEMU's words, but for in=. As there: 44100 Hz, two channels, s16, and time in which nobody plays is not in the file.
 *
 * The file's header tells of what the file holds whenever somebody looks: also if hindcast was killed.
 */
#ifndef HINDCAST_HOST_AUDIODEV_H
#define HINDCAST_HOST_AUDIODEV_H

#include "base/error.h"

struct audiodev;

/* `text` as above. `may`: of host/output.h: what may be written over. NULL with *err, which names the option. */
struct audiodev *audiodev_open(const char *text, unsigned may, struct error *err);
/* The file gets its end. */
void audiodev_close(struct audiodev *a);
const char *audiodev_id(const struct audiodev *a);
/* Of the output, Hz. */
uint32_t audiodev_rate(const struct audiodev *a);

/* `n` frames of that rate: left and right, full scale is 2^31. They may wait until audiodev_flush(). */
void audiodev_play(struct audiodev *a, const int32_t *samples, size_t n);
/* What waits goes to the file. An error of the file ends it, and is told on stderr once. */
void audiodev_flush(struct audiodev *a);
/* `n` frames from frame `at` on, as they would be at `rate` Hz: a pure function of the file. Returns how many there are; the
 * file ends after the last one. */
size_t audiodev_record(struct audiodev *a, uint64_t at, uint32_t rate, int32_t *samples, size_t n);

/* For `monitor info`: one line. */
struct buffer;
void audiodev_describe(const struct audiodev *a, struct buffer *out);

/* Is that an --audiodev value that could be opened, as far as its words go? 0 or -EINVAL with *err. Its id: in *id, at most `size`
 * bytes with the NUL. */
int audiodev_check(const char *text, char *id, size_t size, struct error *err);

#endif
