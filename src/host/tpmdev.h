/*
 * A TPM outside of the machine: an emulator (swtpm) that is spoken to by its control channel, a unix socket, as
 * QEMU does (swtpm_ioctls(3)); commands and answers go by a second one that it is handed.
 *
 * Commands never block: they are queued, one at a time is with the TPM. What the control channel is asked does, for the moment
 * that an answer takes.
 */
#ifndef HINDCAST_HOST_TPMDEV_H
#define HINDCAST_HOST_TPMDEV_H

#include "base/buffer.h"
#include "base/error.h"
#include "host/poller.h"

struct tpmdev;

/* Parts of a TPM's state: struct tpmdev_blob.type. */
enum { TPMDEV_PERMANENT = 1, TPMDEV_VOLATILE, TPMDEV_SAVED, TPMDEV_BLOBS = 3 };
#define TPMDEV_BLOB_MOST ((size_t)1 << 20) /* bytes of one */

struct tpmdev_blob {
    uint32_t type, flags;
    struct buffer bytes; /* empty: it has none */
};

/* Connect to the socket at `path`; commands and answers have up to `bytes` bytes. The TPM is off. NULL with *err: nobody is there, or it is no TPM 2.0. */
struct tpmdev *tpmdev_open(const char *path, const char *id, uint32_t bytes, struct error *err);
/* Switches it off. NULL is taken. */
void tpmdev_close(struct tpmdev *t);
/* Switch it on, or off and on: with what it remembers, or with what it was then (`blobs`, TPMDEV_BLOBS of them). What was being
 * done is forgotten. 0 or negative errno with *err. */
int tpmdev_start(struct tpmdev *t, const struct tpmdev_blob *blobs, struct error *err);
/* Ask it for its state, while it does nothing: TPMDEV_BLOBS blobs, whose buffers are the caller's, initialised. */
void tpmdev_state(struct tpmdev *t, struct tpmdev_blob *blobs);
void tpmdev_send(struct tpmdev *t, unsigned locality, uint32_t sequence, const void *command, size_t len);
/* What it does now is to end early. */
void tpmdev_cancel(struct tpmdev *t);
/* An answer that is there: its bytes in *answer (cleared first), and the number of its command. False: none yet. The TPM does nothing then,
 * until tpmdev_next(). */
bool tpmdev_receive(struct tpmdev *t, uint32_t *sequence, struct buffer *answer);
/* Let it go on with what waits. */
void tpmdev_next(struct tpmdev *t);
/* Was a dynamic root of trust established? Forget it. */
bool tpmdev_established(struct tpmdev *t);
void tpmdev_reset_established(struct tpmdev *t, unsigned locality);
void tpmdev_poll(const struct tpmdev *t, struct poller *p);
/* The emulator has gone, or does not answer: nothing comes any more. */
bool tpmdev_gone(const struct tpmdev *t);

#endif
