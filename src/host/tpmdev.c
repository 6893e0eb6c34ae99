/*
 * See tpmdev.h. The control channel (swtpm_ioctls(3), "UnixIO and Socket-based control channel"): a command is its number in
 * 32 bits and its arguments, an answer begins with a result in 32 bits, 0 if it was done; all big-endian.
 */
#include "host/tpmdev.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"

enum { CMD_GET_CAPABILITY = 1, CMD_INIT = 2, CMD_SHUTDOWN = 3, CMD_GET_ESTABLISHED = 4, CMD_SET_LOCALITY = 5, CMD_CANCEL = 9,
       CMD_RESET_ESTABLISHED = 11, CMD_GET_STATE = 12, CMD_SET_STATE = 13, CMD_STOP = 14, CMD_SET_DATAFD = 16,
       CMD_SET_BUFFERSIZE = 17 };
/* Of what it can. */
enum { CAN_INIT = 1u << 0, CAN_SHUTDOWN = 1u << 1, CAN_GET_ESTABLISHED = 1u << 2, CAN_SET_LOCALITY = 1u << 3, CAN_CANCEL = 1u << 5,
       CAN_GET_STATE = 1u << 8, CAN_SET_STATE = 1u << 9, CAN_STOP = 1u << 10, CAN_SET_DATAFD = 1u << 12, CAN_SET_BUFFERSIZE = 1u << 13 };
#define NEEDED     (CAN_INIT | CAN_SHUTDOWN | CAN_GET_ESTABLISHED | CAN_SET_LOCALITY | CAN_STOP | CAN_SET_DATAFD)
#define CAN_STATES (CAN_GET_STATE | CAN_SET_STATE)

#define INIT_DELETE_VOLATILE 1u /* what was handed over is no more than once for use */
#define BUFFER_BYTES 4096u
#define HEADER_BYTES 10u
#define TAG_TPM2 0x8001u
#define PATIENCE_MS 30000

struct waiting {
    struct waiting *next;
    unsigned locality;
    uint32_t sequence;
    size_t len;
    uint8_t bytes[];
};

struct tpmdev {
    char *id;
    int control, data;
    uint32_t bytes;         /* of the longest command, and answer */
    uint32_t can;
    bool gone;
    bool busy;              /* a command is with the TPM, */
    uint32_t sequence;      /* this one */
    struct buffer answer;   /* what has come of its answer */
    struct waiting *first;  /* commands after it */
};

/* ---- both channels ---- */

static bool await(int fd, short what)
{
    struct pollfd p = {.fd = fd, .events = what};
    int r;

    do
        r = poll(&p, 1, PATIENCE_MS);
    while (r < 0 && errno == EINTR);
    return r > 0;
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n < 0 && (errno == EINTR || ((errno == EAGAIN || errno == EWOULDBLOCK) && await(fd, POLLOUT))))
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = await(fd, POLLIN) ? recv(fd, p, len, 0) : 0;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- the control channel ---- */

/* Returns the result, UINT32_MAX if there is none. With `out`, so many bytes that follow it. */
static uint32_t control(struct tpmdev *t, uint32_t command, const void *args, size_t len, void *out, size_t out_len)
{
    struct buffer message;
    uint8_t result[4] = {0};

    if (t->gone)
        return UINT32_MAX;
    buffer_init(&message); /* (a command is read at once) */
    buffer_append_be(&message, command, 4);
    buffer_append(&message, args, len);
    if (!write_all(t->control, message.data, message.len) || !read_all(t->control, result, sizeof(result)) ||
        (out_len && !read_all(t->control, out, out_len)))
        t->gone = true;
    buffer_finish(&message);
    return t->gone ? UINT32_MAX : get_be32(result);
}

/* With one number for an argument. */
static uint32_t control32(struct tpmdev *t, uint32_t command, uint32_t arg)
{
    uint8_t bytes[4];

    put_be32(bytes, arg);
    return control(t, command, bytes, 4, NULL, 0);
}

static uint32_t control_locality(struct tpmdev *t, uint32_t command, unsigned locality)
{
    return control32(t, command, (uint32_t)locality << 24);
}

/* Hand it the other end of the data channel. */
static bool give_data(struct tpmdev *t)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } ancillary = {.room = {0}};
    uint8_t command[4], result[4];
    struct iovec bytes = {command, sizeof(command)};
    struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    int pair[2];
    bool done;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    t->data = pair[0];
    put_be32(command, CMD_SET_DATAFD);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &pair[1], sizeof(int));
    done = sendmsg(t->control, &m, MSG_NOSIGNAL) == 4 && read_all(t->control, result, 4) && get_be32(result) == 0;
    close(pair[1]);
    return done;
}

/* The version is to be seen by the tag of any answer; it is not switched on yet. */
static bool is_tpm2(const struct tpmdev *t)
{
    static const uint8_t get_capability[] = {0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a, 0, 0, 0, 6, 0, 0, 0x01, 0, 0, 0, 0, 1};
    uint8_t answer[BUFFER_BYTES];
    uint32_t len;

    if (!write_all(t->data, get_capability, sizeof(get_capability)) || !read_all(t->data, answer, HEADER_BYTES))
        return false;
    len = get_be32(answer + 2);
    return len >= HEADER_BYTES && len <= sizeof(answer) && read_all(t->data, answer + HEADER_BYTES, len - HEADER_BYTES) &&
           get_be16(answer) == TAG_TPM2;
}

static int set_up(struct tpmdev *t, const char *path, struct error *err)
{
    uint8_t can[4];

    if (control(t, CMD_GET_CAPABILITY, NULL, 0, can, sizeof(can)) != 0)
        return error_set(err, -EPROTO, "who listens at %s is no TPM's control channel (swtpm socket --tpm2 --ctrl "
                         "type=unixio,path=%s --tpmstate dir=DIR)", path, path);
    t->can = get_be32(can);
    if ((t->can & NEEDED) != NEEDED)
        return error_set(err, -EPROTO, "the TPM at %s lacks what is needed of its control channel (capabilities %#" PRIx32 ")", path, t->can);
    if (!give_data(t))
        return error_set(err, -EPROTO, "the TPM at %s does not take a data channel: is another emulator connected to it?", path);
    if (!is_tpm2(t))
        return error_set(err, -EPROTO, "the TPM at %s is none of version 2.0 (swtpm: --tpm2)", path);
    return 0;
}

struct tpmdev *tpmdev_open(const char *path, const char *id, uint32_t bytes, struct error *err)
{
    struct tpmdev *t = xcalloc(1, sizeof(*t));
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int r = 0;

    t->id = xstrdup(id);
    t->bytes = bytes;
    t->data = -1;
    buffer_init(&t->answer);
    t->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof(to.sun_path)) {
        r = error_set(err, -EINVAL, "%s: the path of a socket has at most %zu characters", path, sizeof(to.sun_path) - 1);
    } else {
        strcpy(to.sun_path, path);
        if (t->control < 0 || connect(t->control, (const struct sockaddr *)&to, sizeof(to)) < 0)
            r = error_set(err, -errno, "cannot connect to the TPM at %s: %s", path, strerror(errno));
    }
    if (r == 0)
        r = set_up(t, path, err);
    if (r == 0)
        return t;
    tpmdev_close(t);
    return NULL;
}

static void forget_commands(struct tpmdev *t)
{
    uint8_t old[BUFFER_BYTES];

    while (t->first) {
        struct waiting *next = t->first->next;

        free(t->first);
        t->first = next;
    }
    while (t->data >= 0 && recv(t->data, old, sizeof(old), MSG_DONTWAIT) > 0)
        ;
    buffer_clear(&t->answer);
    t->busy = false;
}

void tpmdev_close(struct tpmdev *t)
{
    if (!t)
        return;
    if (t->can)
        control(t, CMD_SHUTDOWN, NULL, 0, NULL, 0);
    forget_commands(t);
    if (t->data >= 0)
        close(t->data);
    if (t->control >= 0)
        close(t->control);
    buffer_finish(&t->answer);
    free(t->id);
    free(t);
}

bool tpmdev_gone(const struct tpmdev *t)
{
    return t->gone;
}

/* ---- on and off ---- */

static bool put_blob(struct tpmdev *t, const struct tpmdev_blob *blob)
{
    struct buffer b;
    uint32_t result;

    if (!blob->bytes.len)
        return true;
    buffer_init(&b);
    buffer_append_be(&b, blob->flags, 4);
    buffer_append_be(&b, blob->type, 4);
    buffer_append_be(&b, blob->bytes.len, 4);
    buffer_append(&b, blob->bytes.data, blob->bytes.len);
    result = control(t, CMD_SET_STATE, b.data, b.len, NULL, 0);
    buffer_finish(&b);
    return result == 0;
}

int tpmdev_start(struct tpmdev *t, const struct tpmdev_blob *blobs, struct error *err)
{
    uint8_t sizes[12];
    bool done;

    if (t->busy)
        tpmdev_cancel(t);
    done = control(t, CMD_STOP, NULL, 0, NULL, 0) == 0;
    forget_commands(t);
    if (blobs && (t->can & CAN_STATES) != CAN_STATES)
        return error_set(err, -ENOTSUP, "the TPM %s cannot be put into a state", t->id);
    for (unsigned i = 0; blobs && i < TPMDEV_BLOBS; i++)
        done = done && put_blob(t, &blobs[i]);
    if (done && (t->can & CAN_SET_BUFFERSIZE)) { /* it can have another buffer */
        uint8_t size[4];

        put_be32(size, t->bytes);
        done = control(t, CMD_SET_BUFFERSIZE, size, 4, sizes, sizeof(sizes)) == 0;
    }
    if (!done || control32(t, CMD_INIT, blobs ? INIT_DELETE_VOLATILE : 0) != 0)
        return error_set(err, -EIO, blobs ? "the TPM %s does not take the state that it had" : "the TPM %s cannot be switched on", t->id);
    return 0;
}

static void get_blob(struct tpmdev *t, struct tpmdev_blob *blob)
{
    uint8_t args[12], head[12];
    uint32_t total, len;

    do {
        put_be32(args, 0);
        put_be32(args + 4, blob->type);
        put_be32(args + 8, (uint32_t)blob->bytes.len);
        if (control(t, CMD_GET_STATE, args, sizeof(args), head, sizeof(head)) != 0)
            return;
        blob->flags = get_be32(head);
        total = get_be32(head + 4);
        len = get_be32(head + 8);
        if (total > TPMDEV_BLOB_MOST || len > total - blob->bytes.len) {
            t->gone = true;
            return;
        }
        if (len && !read_all(t->control, buffer_reserve(&blob->bytes, len), len))
            t->gone = true;
        else
            blob->bytes.len += len;
    } while (!t->gone && len && blob->bytes.len < total);
}

void tpmdev_state(struct tpmdev *t, struct tpmdev_blob *blobs)
{
    for (unsigned i = 0; i < TPMDEV_BLOBS; i++) {
        blobs[i].type = i + 1;
        buffer_clear(&blobs[i].bytes);
        if ((t->can & CAN_STATES) == CAN_STATES)
            get_blob(t, &blobs[i]);
    }
}

bool tpmdev_established(struct tpmdev *t)
{
    uint8_t flag[4] = {0};

    return control(t, CMD_GET_ESTABLISHED, NULL, 0, flag, sizeof(flag)) == 0 && flag[0];
}

void tpmdev_reset_established(struct tpmdev *t, unsigned locality)
{
    control_locality(t, CMD_RESET_ESTABLISHED, locality);
}

/* ---- commands ---- */

static void begin(struct tpmdev *t, unsigned locality, uint32_t sequence, const void *command, size_t len)
{
    if (control_locality(t, CMD_SET_LOCALITY, locality) == UINT32_MAX || !write_all(t->data, command, len)) {
        t->gone = true;
        return;
    }
    t->busy = true;
    t->sequence = sequence;
}

void tpmdev_send(struct tpmdev *t, unsigned locality, uint32_t sequence, const void *command, size_t len)
{
    struct waiting *w, **end = &t->first;

    if (!t->busy) {
        begin(t, locality, sequence, command, len);
        return;
    }
    w = xmalloc(sizeof(*w) + len);
    *w = (struct waiting){.locality = locality, .sequence = sequence, .len = len};
    memcpy(w->bytes, command, len);
    while (*end)
        end = &(*end)->next;
    *end = w;
}

void tpmdev_cancel(struct tpmdev *t)
{
    if (t->busy && (t->can & CAN_CANCEL))
        control(t, CMD_CANCEL, NULL, 0, NULL, 0);
}

/* Between commands the control channel says nothing, but that it has ended. */
static void look_if_gone(struct tpmdev *t)
{
    uint8_t byte;
    ssize_t n = t->gone ? -1 : recv(t->control, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    t->gone |= n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

bool tpmdev_receive(struct tpmdev *t, uint32_t *sequence, struct buffer *answer)
{
    uint32_t len = HEADER_BYTES;
    ssize_t n;

    look_if_gone(t);
    if (!t->busy || t->gone)
        return false;
    n = recv(t->data, buffer_reserve(&t->answer, BUFFER_BYTES), BUFFER_BYTES, MSG_DONTWAIT);
    t->answer.len += n > 0 ? (size_t)n : 0;
    if (t->answer.len >= HEADER_BYTES)
        len = get_be32(t->answer.data + 2);
    t->gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) || len < HEADER_BYTES || len > BUFFER_BYTES ||
              t->answer.len > len;
    if (t->gone || t->answer.len < len)
        return false;
    *sequence = t->sequence;
    buffer_clear(answer);
    buffer_append(answer, t->answer.data, t->answer.len);
    buffer_clear(&t->answer);
    t->busy = false;
    return true;
}

void tpmdev_next(struct tpmdev *t)
{
    struct waiting *w = t->first;

    if (t->busy || !w)
        return;
    t->first = w->next;
    begin(t, w->locality, w->sequence, w->bytes, w->len);
    free(w);
}

void tpmdev_poll(const struct tpmdev *t, struct poller *p)
{
    if (t->gone)
        return;
    poller_add(p, t->control, true, false);
    if (t->busy)
        poller_add(p, t->data, true, false);
}
