/*
 * A 9P2000.L server (Linux's dialect of Plan 9's protocol) for the files of a --fsdev: a message in, a message out.
 *
 * What of the host it needs it asks by file calls (base/file_call.h), which are recorded; what it remembers between
 * messages is in struct p9_state and in the fids, both guest-visible state.
 */
#ifndef HINDCAST_VM_DEV_P9_H
#define HINDCAST_VM_DEV_P9_H

#include "base/file_call.h"
#include "vm/dev/p9_fids.h"
#include "vm/device.h"

/* The largest message: one piece of a file, and what is around it (Linux reckons with 24 bytes). */
#define P9_HEADER_ROOM 24u
#define P9_MESSAGE_MOST (FILE_PIECE + P9_HEADER_ROOM)
/* The smallest size of messages that a client may ask for. */
#define P9_MESSAGE_LEAST 4096u

DEVICE_STATE_BEGIN
struct p9_state {
    uint32_t message_most; /* as agreed; 0: no version was agreed upon */
    uint32_t reserved;
    uint64_t opened;       /* files so far: the number of the last */
    uint64_t requests;
};
DEVICE_STATE_END

struct p9 {
    struct device *dev;    /* with its --fsdev: device.backend */
    struct p9_state *st;
    struct p9_fids fids;
    uint8_t in[P9_MESSAGE_MOST], out[P9_MESSAGE_MOST]; /* of the request being served */
};

/* Answer the request of `len` bytes in p->in; the length of the answer in p->out, which is at most `room`. 0: it is no
 * message, or there is no room even for an error. */
uint32_t p9_serve(struct p9 *p, uint32_t len, uint32_t room);
/* Everything is forgotten. */
void p9_reset(struct p9 *p);

#endif
