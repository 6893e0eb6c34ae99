/*
 * Semihosting: handles. Files on the host (machine_file_call()), ":tt", the
 * console, and ":semihosting-features". See semihost.h.
 *
 * A handle is a number from 1 on. Reads and writes of any length are made of
 * requests of at most FILE_PIECE bytes; one operation transfers at most
 * TRANSFER_MAX, and says that the rest was not.
 */
#include <errno.h>
#include <string.h>

#include "aarch64/virt/semihost.h"

#define TRANSFER_MAX ((uint64_t)256 << 20)

/* SHFB; SH_EXT_EXIT_EXTENDED, SH_EXT_STDOUT_STDERR. */
static const uint8_t features[] = {0x53, 0x48, 0x46, 0x42, 0x03};

/* ---- handles ---- */

static struct semihost_handle *find(struct semihost_call *c, uint64_t number)
{
    struct semihost_handle *h = number - 1 < SEMIHOST_HANDLES ? &c->st->handles[number - 1] : NULL;

    if (h && h->kind)
        return h;
    c->st->error = EBADF;
    return NULL;
}

static struct semihost_handle *find_free(struct semihost_call *c, uint64_t *number)
{
    for (unsigned i = 0; i < SEMIHOST_HANDLES; i++) {
        *number = i + 1;
        if (!c->st->handles[i].kind)
            return &c->st->handles[i];
    }
    c->st->error = EMFILE;
    return NULL;
}

static struct file_request request_for(const struct semihost_handle *h, enum file_op op)
{
    return (struct file_request){
        .op = op,
        .file = h->file,
        .access = h->access & (FILE_ACCESS_READ | FILE_ACCESS_WRITE | FILE_APPEND),
        .name = h->name,
        .offset = h->position,
    };
}

/* False: errno is set. */
static bool ask(struct semihost_call *c, const struct file_request *request, struct file_answer *answer)
{
    machine_file_call(c->v->machine, request, answer);
    if (answer->error)
        c->st->error = answer->error;
    return !answer->error;
}

/* A name of `len` bytes (some programs count its NUL, too). 0, or an errno. */
static uint32_t load_name(struct semihost_call *c, uint64_t va, uint64_t len, char name[SEMIHOST_NAME_MAX + 1])
{
    if (len > SEMIHOST_NAME_MAX)
        return ENAMETOOLONG;
    memset(name, 0, SEMIHOST_NAME_MAX + 1);
    if (!semihost_load(c, va, name, (size_t)len))
        return EFAULT;
    while (len && !name[len - 1])
        len--;
    return strlen(name) != len ? EINVAL : 0;
}

/* ---- opening ---- */

/* fopen()'s modes r, rb, r+, r+b, w, wb, w+, w+b, a, ab, a+, a+b. */
static unsigned access_of_mode(uint64_t mode)
{
    static const uint8_t access[] = {FILE_ACCESS_READ, FILE_ACCESS_WRITE | FILE_CREATE | FILE_TRUNCATE,
                                     FILE_ACCESS_WRITE | FILE_CREATE | FILE_APPEND};

    return access[mode / 4] | (mode & 2 ? FILE_ACCESS_READ | FILE_ACCESS_WRITE : 0);
}

/* A file's opening is asked of the host. 0, or an errno. */
static uint32_t open_file(struct semihost_call *c, struct semihost_handle *h)
{
    struct file_request request;
    struct file_answer answer = {0};

    h->file = ++c->st->opened;
    request = request_for(h, FILE_OPEN);
    request.access = h->access;
    machine_file_call(c->v->machine, &request, &answer);
    return answer.error;
}

static uint32_t open_name(struct semihost_call *c, struct semihost_handle *h, uint64_t mode)
{
    if (!strcmp(h->name, ":tt")) {
        h->kind = mode < 4 ? SEMIHOST_CONSOLE_IN : SEMIHOST_CONSOLE_OUT;
        return 0;
    }
    if (!strcmp(h->name, ":semihosting-features")) {
        h->kind = SEMIHOST_FEATURES;
        return mode < 2 ? 0 : EACCES;
    }
    h->kind = SEMIHOST_FILE;
    return h->name[0] == ':' ? ENOENT : open_file(c, h); /* such names are kept for special files */
}

uint64_t semihost_open(struct semihost_call *c)
{
    uint64_t number, mode = c->args[1];
    struct semihost_handle made = {0}, *h;
    uint32_t error;

    if (mode > 11)
        return semihost_fail(c, EINVAL);
    error = load_name(c, c->args[0], c->args[2], made.name);
    if (error)
        return semihost_fail(c, error);
    h = find_free(c, &number);
    if (!h)
        return SEMIHOST_FAILED;
    made.access = access_of_mode(mode);
    error = open_name(c, &made, mode);
    if (error)
        return semihost_fail(c, error);
    *h = made;
    return number;
}

uint64_t semihost_close(struct semihost_call *c)
{
    struct semihost_handle *h = find(c, c->args[0]);
    struct file_answer answer = {0};
    struct file_request request;
    bool good = true;

    if (!h)
        return SEMIHOST_FAILED;
    if (h->kind == SEMIHOST_FILE) {
        request = request_for(h, FILE_CLOSE);
        good = ask(c, &request, &answer);
    }
    memset(h, 0, sizeof(*h));
    return good ? 0 : SEMIHOST_FAILED;
}

/* ---- writing ---- */

/* Put these bytes there; how many went. */
static size_t write_piece(struct semihost_call *c, struct semihost_handle *h, const uint8_t *bytes, size_t len)
{
    struct file_request request = request_for(h, FILE_WRITE);
    struct file_answer answer = {0};

    if (h->kind == SEMIHOST_CONSOLE_OUT) {
        semihost_print(c, bytes, len);
        return len;
    }
    request.data = bytes;
    request.len = len;
    if (!ask(c, &request, &answer))
        return 0;
    if (answer.offset <= INT64_MAX)
        h->position = answer.offset;
    return (size_t)answer.value;
}

/* X0: how many bytes were not written. */
uint64_t semihost_write(struct semihost_call *c)
{
    struct semihost_handle *h = find(c, c->args[0]);
    uint64_t from = c->args[1], len = c->args[2], most = len < TRANSFER_MAX ? len : TRANSFER_MAX, done = 0;
    uint8_t bytes[FILE_PIECE];

    if (!h)
        return len;
    if ((h->kind != SEMIHOST_FILE && h->kind != SEMIHOST_CONSOLE_OUT) || !(h->access & FILE_ACCESS_WRITE)) {
        semihost_fail(c, EBADF);
        return len;
    }
    while (done < most) {
        size_t n = most - done < sizeof(bytes) ? (size_t)(most - done) : sizeof(bytes), went;

        if (!semihost_load(c, from + done, bytes, n)) {
            semihost_fail(c, EFAULT);
            break;
        }
        went = write_piece(c, h, bytes, n);
        done += went;
        if (went < n)
            break;
    }
    return len - done;
}

/* ---- reading ---- */

/* The console gives what it has, and waits for the first byte. X0: bytes that are missing. */
static uint64_t read_console(struct semihost_call *c, uint64_t to, uint64_t len)
{
    struct semihost_state *st = c->st;
    uint64_t done = 0;

    if (!len)
        return 0;
    if (!st->count && !st->ended) {
        c->wait = true;
        return 0;
    }
    if (!st->count)
        st->ended = 0;
    while (st->count && done < len) {
        if (!semihost_store(c, to + done, &st->input[st->first], 1)) {
            semihost_fail(c, EFAULT);
            break;
        }
        st->first = (st->first + 1) % SEMIHOST_INPUT_MAX;
        st->count--;
        done++;
    }
    return len - done;
}

/* Bytes of the file at the handle's position into `bytes`; how many. */
static size_t read_piece(struct semihost_call *c, const struct semihost_handle *h, uint8_t *bytes, size_t len)
{
    struct file_request request = request_for(h, FILE_READ);
    struct file_answer answer = {.data = bytes};

    if (h->kind == SEMIHOST_FEATURES) {
        size_t left = h->position < sizeof(features) ? sizeof(features) - (size_t)h->position : 0;

        len = len < left ? len : left;
        memcpy(bytes, features + sizeof(features) - left, len);
        return len;
    }
    request.len = len;
    return ask(c, &request, &answer) ? (size_t)answer.value : 0;
}

static uint64_t read_file(struct semihost_call *c, struct semihost_handle *h, uint64_t to, uint64_t len)
{
    uint64_t most = len < TRANSFER_MAX ? len : TRANSFER_MAX, done = 0;
    uint8_t bytes[FILE_PIECE];

    while (done < most) {
        size_t n = most - done < sizeof(bytes) ? (size_t)(most - done) : sizeof(bytes), got;

        if (!semihost_writable(c, to + done, n)) {
            semihost_fail(c, EFAULT);
            break;
        }
        got = read_piece(c, h, bytes, n);
        if (!semihost_store(c, to + done, bytes, got)) {
            semihost_fail(c, EFAULT);
            break;
        }
        h->position += got;
        done += got;
        if (got < n)
            break;
    }
    return len - done;
}

/* X0: how many bytes were not read; all of them: the end of the file, or an error. */
uint64_t semihost_read(struct semihost_call *c)
{
    struct semihost_handle *h = find(c, c->args[0]);

    if (!h)
        return c->args[2];
    if (h->kind == SEMIHOST_CONSOLE_IN)
        return read_console(c, c->args[1], c->args[2]);
    if (h->kind != SEMIHOST_CONSOLE_OUT && (h->access & FILE_ACCESS_READ))
        return read_file(c, h, c->args[1], c->args[2]);
    semihost_fail(c, EBADF);
    return c->args[2];
}

/* ---- the rest ---- */

uint64_t semihost_istty(struct semihost_call *c)
{
    const struct semihost_handle *h = find(c, c->args[0]);

    if (!h)
        return SEMIHOST_FAILED;
    return h->kind == SEMIHOST_CONSOLE_IN || h->kind == SEMIHOST_CONSOLE_OUT;
}

uint64_t semihost_seek(struct semihost_call *c)
{
    struct semihost_handle *h = find(c, c->args[0]);

    if (!h)
        return SEMIHOST_FAILED;
    if (h->kind == SEMIHOST_CONSOLE_IN || h->kind == SEMIHOST_CONSOLE_OUT)
        return semihost_fail(c, ESPIPE);
    if (c->args[1] > INT64_MAX - TRANSFER_MAX)
        return semihost_fail(c, EINVAL);
    h->position = c->args[1];
    return 0;
}

uint64_t semihost_flen(struct semihost_call *c)
{
    const struct semihost_handle *h = find(c, c->args[0]);
    struct file_answer answer = {0};
    struct file_request request;

    if (!h)
        return SEMIHOST_FAILED;
    if (h->kind == SEMIHOST_FEATURES)
        return sizeof(features);
    if (h->kind != SEMIHOST_FILE)
        return semihost_fail(c, ESPIPE);
    request = request_for(h, FILE_LENGTH);
    return ask(c, &request, &answer) ? answer.value : SEMIHOST_FAILED;
}

uint64_t semihost_remove(struct semihost_call *c)
{
    char name[SEMIHOST_NAME_MAX + 1];
    struct file_request request = {.op = FILE_REMOVE, .name = name};
    struct file_answer answer = {0};
    uint32_t error = load_name(c, c->args[0], c->args[1], name);

    if (error)
        return semihost_fail(c, error);
    return ask(c, &request, &answer) ? 0 : SEMIHOST_FAILED;
}

uint64_t semihost_rename(struct semihost_call *c)
{
    char name[SEMIHOST_NAME_MAX + 1], to[SEMIHOST_NAME_MAX + 1];
    struct file_request request = {.op = FILE_RENAME, .name = name, .to = to};
    struct file_answer answer = {0};
    uint32_t error = load_name(c, c->args[0], c->args[1], name);

    if (!error)
        error = load_name(c, c->args[2], c->args[3], to);
    if (error)
        return semihost_fail(c, error);
    return ask(c, &request, &answer) ? 0 : SEMIHOST_FAILED;
}
