/*
 * See p9.h. Messages: intro(5), and for the .L ones Linux's documentation of the dialect (Tlopen, Tgetattr...).
 *
 * A request is done at once and whole, so a Tflush always comes too late. Locks are granted: there is one client. There
 * are no extended attributes (EOPNOTSUPP). Owners are the host's; attach names (aname) and user names make no difference.
 */
#include "vm/dev/p9.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "vm/machine.h"

enum {
    TSTATFS = 8, TLOPEN = 12, TLCREATE = 14, TSYMLINK = 16, TMKNOD = 18, TRENAME = 20, TREADLINK = 22, TGETATTR = 24, TSETATTR = 26,
    TXATTRWALK = 30, TXATTRCREATE = 32, TREADDIR = 40, TFSYNC = 50, TLOCK = 52, TGETLOCK = 54, TLINK = 70, TMKDIR = 72,
    TRENAMEAT = 74, TUNLINKAT = 76, TVERSION = 100, TAUTH = 102, TATTACH = 104, TFLUSH = 108, TWALK = 110, TREAD = 116, TWRITE = 118,
    TCLUNK = 120, TREMOVE = 122,
};

#define RLERROR       7u
#define HEADER        7u /* size[4] type[1] tag[2] */
#define ERROR_BYTES   (HEADER + 4u)
#define WALK_MOST     16u
#define QID_BYTES     13u
#define READDIR_HEAD  (QID_BYTES + 8u + 1u + 2u)
#define QID_DIRECTORY 0x80u
#define QID_SYMLINK   0x02u
#define GETATTR_BASIC 0x7ffu
#define V9FS_MAGIC    0x01021997u
#define NAME_MOST     255u
/* Flags of Tlopen: Linux's of the generic architectures. */
#define L_ACCESS      3u
#define L_CREATE      0100u
#define L_EXCLUSIVE   0200u
#define L_TRUNCATE    01000u
#define L_APPEND      02000u
#define L_DIRECTORY   0200000u
#define L_REMOVEDIR   0x200u
#define MODE_TYPE     0170000u
#define MODE_DIR      0040000u
#define MODE_LINK     0120000u
#define MODE_FIFO     0010000u
#define MODE_FILE     0100000u
#define DT_DIRECTORY  4u
#define DT_SYMLINK    10u
#define LOCK_UNLOCKED 2u

/* The request that is being read, and the answer that is being made. */
struct message {
    struct p9 *p;
    const uint8_t *at;    /* what is not read yet */
    size_t left;
    bool bad;             /* more was read than is there */
    uint8_t *to;          /* where the answer goes on */
    size_t room;
    uint32_t error;       /* the answer is this errno */
};

/* ---- fields ---- */

static uint64_t take(struct message *m, size_t n)
{
    uint64_t v;

    if (m->left < n) {
        m->bad = true;
        m->left = 0;
        return 0;
    }
    v = get_le(m->at, n);
    m->at += n;
    m->left -= n;
    return v;
}

static uint32_t take32(struct message *m)
{
    return (uint32_t)take(m, 4);
}

/* A string of at most size - 1 bytes. False: it is longer, or has a NUL in it, which nothing here has. */
static bool take_string(struct message *m, char *to, size_t size)
{
    size_t len = take(m, 2);
    const uint8_t *from = m->at;

    to[0] = 0;
    if (m->left < len) {
        m->bad = true;
        m->left = 0;
        return false;
    }
    m->at += len;
    m->left -= len;
    if (len >= size || memchr(from, 0, len))
        return false;
    memcpy(to, from, len);
    to[len] = 0;
    return true;
}

static bool fail(struct message *m, uint32_t error)
{
    m->error = error;
    return false;
}

static void put(struct message *m, uint64_t v, size_t n)
{
    if (m->room < n) {
        m->error = m->error ? m->error : EMSGSIZE;
        return;
    }
    put_le(m->to, v, n);
    m->to += n;
    m->room -= n;
}

static void put_bytes(struct message *m, const void *bytes, size_t n)
{
    if (m->room < n) {
        m->error = m->error ? m->error : EMSGSIZE;
        return;
    }
    memcpy(m->to, bytes, n);
    m->to += n;
    m->room -= n;
}

static void put_string(struct message *m, const char *s)
{
    put(m, strlen(s), 2);
    put_bytes(m, s, strlen(s));
}

static void put_qid(struct message *m, uint8_t type, uint64_t version, uint64_t id)
{
    put(m, type, 1);
    put(m, version & 0xffffffffu, 4);
    put(m, id, 8);
}

static void put_qid_of(struct message *m, const struct file_status *st)
{
    uint64_t type = st->mode & MODE_TYPE;

    put_qid(m, type == MODE_DIR ? QID_DIRECTORY : type == MODE_LINK ? QID_SYMLINK : 0, st->version, st->id);
}

/* ---- fids and names ---- */

static const struct p9_fid *find(struct message *m, uint32_t fid)
{
    const struct p9_fid *e = p9_fid_find(&m->p->fids, fid);

    if (!e)
        fail(m, EBADF);
    return e;
}

static const struct p9_fid *take_fid(struct message *m)
{
    return find(m, take32(m));
}

/* A name in a directory: one component. */
static bool take_name(struct message *m, char name[NAME_MOST + 1])
{
    if (!take_string(m, name, NAME_MOST + 1))
        return fail(m, m->bad ? EINVAL : ENAMETOOLONG);
    return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..") ? true : fail(m, EINVAL);
}

/* The path of a name in a directory. */
static bool join(struct message *m, char path[P9_PATH_BYTES], const char *directory, const char *name)
{
    int n = snprintf(path, P9_PATH_BYTES, "%s%s%s", directory, *directory ? "/" : "", name);

    return n < (int)P9_PATH_BYTES ? true : fail(m, ENAMETOOLONG);
}

/* fid[4] and name[s] of a directory's entry. */
static bool take_place(struct message *m, char path[P9_PATH_BYTES])
{
    char name[NAME_MOST + 1];
    const struct p9_fid *e = take_fid(m);

    return e && take_name(m, name) && join(m, path, e->path, name);
}

/* ---- the host ---- */

static struct file_request request(const struct message *m, enum file_op op, const char *path)
{
    return (struct file_request){.op = op, .system = m->p->dev->backend, .name = path};
}

/* Of a fid: by its open file, if it has one. */
static struct file_request request_of(const struct message *m, enum file_op op, const struct p9_fid *e)
{
    struct file_request r = request(m, op, e->path);

    r.file = e->opened ? e->file : 0;
    r.access = e->access;
    return r;
}

static bool ask(struct message *m, const struct file_request *r, struct file_answer *a)
{
    machine_file_call(m->p->dev->machine, r, a);
    return a->error ? fail(m, a->error) : true;
}

/* With no answer but whether it was done. */
static bool ask_plainly(struct message *m, const struct file_request *r)
{
    struct file_answer a = {0};

    return ask(m, r, &a);
}

static bool status(struct message *m, struct file_request r, struct file_status *st)
{
    uint8_t bytes[sizeof(*st)];
    uint64_t words[FILE_STATUS_WORDS];
    struct file_answer a = {.data = bytes};

    r.len = sizeof(bytes);
    if (!ask(m, &r, &a))
        return false;
    if (a.value != sizeof(bytes))
        return fail(m, EIO);
    for (size_t i = 0; i < FILE_STATUS_WORDS; i++)
        words[i] = get_le64(bytes + 8 * i);
    memcpy(st, words, sizeof(*st));
    return true;
}

static bool status_of_path(struct message *m, const char *path, struct file_status *st)
{
    return status(m, request(m, FILE_STATUS, path), st);
}

static bool put_status_qid(struct message *m, const char *path)
{
    struct file_status st;

    if (!status_of_path(m, path, &st))
        return false;
    put_qid_of(m, &st);
    return true;
}

/* ---- the connection ---- */

static void version(struct message *m)
{
    struct p9 *p = m->p;
    char name[32];
    uint32_t size = take32(m);
    bool known = take_string(m, name, sizeof(name)) && !strcmp(name, "9P2000.L");

    if (m->bad)
        return;
    if (size < P9_MESSAGE_LEAST) {
        fail(m, EMSGSIZE);
        return;
    }
    p9_fids_clear(&p->fids);
    size = size < P9_MESSAGE_MOST ? size : P9_MESSAGE_MOST;
    p->st->message_most = known ? size : 0;
    put(m, size, 4);
    put_string(m, known ? "9P2000.L" : "unknown");
}

static void attach(struct message *m)
{
    uint32_t fid = take32(m);

    if (p9_fid_find(&m->p->fids, fid))
        fail(m, EINVAL);
    else if (put_status_qid(m, "") && !p9_fid_add(&m->p->fids, fid, ""))
        fail(m, ENFILE);
}

/* One step of a walk from `path` on. */
static bool step(struct message *m, char path[P9_PATH_BYTES])
{
    char name[NAME_MOST + 1], from[P9_PATH_BYTES];
    char *slash;

    if (!take_string(m, name, sizeof(name)))
        return fail(m, m->bad ? EINVAL : ENAMETOOLONG);
    if (!*name || strchr(name, '/'))
        return fail(m, ENOENT);
    if (!strcmp(name, "."))
        return true;
    if (!strcmp(name, "..")) {
        slash = strrchr(path, '/');
        *(slash ? slash : path) = 0;
        return true;
    }
    memcpy(from, path, strlen(path) + 1);
    return join(m, path, from, name);
}

/* All the names, or those until the first that is not there: then newfid is none, and that there is nothing at all is an error. */
static void walk(struct message *m)
{
    uint32_t fid = take32(m), newfid = take32(m), done = 0, names = (uint32_t)take(m, 2);
    const struct p9_fid *e = find(m, fid);
    char path[P9_PATH_BYTES];
    uint8_t *count = m->to;

    if (!e)
        return;
    if (names > WALK_MOST || e->opened || (newfid != fid && p9_fid_find(&m->p->fids, newfid))) {
        fail(m, EINVAL);
        return;
    }
    memcpy(path, e->path, strlen(e->path) + 1);
    put(m, 0, 2);
    while (done < names && step(m, path) && put_status_qid(m, path))
        done++;
    if (m->error && (!done || m->bad))
        return;
    m->error = 0;
    put_le(count, done, 2);
    if (done < names)
        return;
    if (newfid == fid)
        p9_fid_remove(&m->p->fids, fid);
    if (!p9_fid_add(&m->p->fids, newfid, path))
        fail(m, ENFILE);
}

static void forget(struct message *m, uint32_t fid, const struct p9_fid *e)
{
    struct file_request r = request_of(m, FILE_CLOSE, e);

    if (e->opened)
        ask_plainly(m, &r);
    p9_fid_remove(&m->p->fids, fid);
}

static void clunk(struct message *m)
{
    uint32_t fid = take32(m);
    const struct p9_fid *e = find(m, fid);

    if (e)
        forget(m, fid, e);
}

/* ---- opening ---- */

static unsigned access_of(uint32_t flags)
{
    static const unsigned access[] = {FILE_ACCESS_READ, FILE_ACCESS_WRITE, FILE_ACCESS_READ | FILE_ACCESS_WRITE, FILE_ACCESS_READ};

    return access[flags & L_ACCESS] | (flags & L_APPEND ? FILE_APPEND : 0);
}

static void put_opened(struct message *m, const struct file_status *st)
{
    put_qid_of(m, st);
    put(m, m->p->st->message_most - P9_HEADER_ROOM, 4);
}

/* The fid is open now, as its new number. */
static void opened(struct message *m, uint32_t fid, enum p9_opened how, unsigned access)
{
    struct p9_fid *e = p9_fid_change(&m->p->fids, fid);

    e->opened = how;
    e->access = access & (FILE_ACCESS_READ | FILE_ACCESS_WRITE | FILE_APPEND);
    e->file = m->p->st->opened;
}

static void lopen(struct message *m)
{
    uint32_t fid = take32(m), flags = take32(m);
    const struct p9_fid *e = find(m, fid);
    struct file_status st;
    struct file_request r;
    struct file_answer a = {0};
    bool directory;

    if (!e || m->bad)
        return;
    if (e->opened) {
        fail(m, EINVAL);
        return;
    }
    if (!status_of_path(m, e->path, &st))
        return;
    directory = (st.mode & MODE_TYPE) == MODE_DIR;
    if (directory ? (flags & L_ACCESS) != 0 : (flags & L_DIRECTORY) != 0) {
        fail(m, directory ? EISDIR : ENOTDIR);
        return;
    }
    r = request(m, directory ? FILE_LIST : FILE_OPEN, e->path);
    r.file = ++m->p->st->opened;
    r.access = access_of(flags) | (flags & L_TRUNCATE ? FILE_TRUNCATE : 0);
    if (!ask(m, &r, &a))
        return;
    opened(m, fid, directory ? P9_OPEN_DIRECTORY : P9_OPEN_FILE, r.access);
    put_opened(m, &st);
}

/* The fid of the directory becomes that of the file. */
static void lcreate(struct message *m)
{
    uint32_t fid = take32(m), flags;
    const struct p9_fid *e = find(m, fid);
    char name[NAME_MOST + 1], path[P9_PATH_BYTES];
    struct file_request r;
    struct file_status st;

    if (!e || !take_name(m, name) || !join(m, path, e->path, name))
        return;
    flags = take32(m);
    r = request(m, FILE_OPEN, path);
    r.mode = take32(m) & 07777;
    r.mode = r.mode ? r.mode : 0600;
    if (m->bad || e->opened) {
        fail(m, EINVAL);
        return;
    }
    r.file = ++m->p->st->opened;
    r.access = access_of(flags) | FILE_CREATE | (flags & L_EXCLUSIVE ? FILE_EXCLUSIVE : 0) | (flags & L_TRUNCATE ? FILE_TRUNCATE : 0);
    if (!ask_plainly(m, &r) || !status_of_path(m, path, &st))
        return;
    p9_fid_remove(&m->p->fids, fid);
    if (!p9_fid_add(&m->p->fids, fid, path)) {
        fail(m, ENFILE);
        return;
    }
    opened(m, fid, P9_OPEN_FILE, r.access);
    put_opened(m, &st);
}

/* ---- bytes and directories ---- */

/* How many bytes a reply with count[4] may carry. */
static uint32_t data_room(const struct message *m, uint32_t count)
{
    size_t room = m->room > 4 ? m->room - 4 : 0;

    room = room < FILE_PIECE ? room : FILE_PIECE;
    return count < room ? count : (uint32_t)room;
}

static void read_file(struct message *m)
{
    const struct p9_fid *e = take_fid(m);
    uint64_t offset = take(m, 8);
    uint32_t count = data_room(m, take32(m));
    struct file_answer a = {.data = m->to + 4};
    struct file_request r;

    if (!e || m->bad)
        return;
    if (e->opened != P9_OPEN_FILE || !(e->access & FILE_ACCESS_READ)) {
        fail(m, e->opened == P9_OPEN_DIRECTORY ? EISDIR : EBADF);
        return;
    }
    r = request_of(m, FILE_READ, e);
    r.offset = offset;
    r.len = count;
    if (m->room < 4 || !ask(m, &r, &a)) {
        fail(m, m->error ? m->error : EMSGSIZE);
        return;
    }
    put(m, a.value, 4);
    m->to += a.value;
    m->room -= (size_t)a.value;
}

static void write_file(struct message *m)
{
    const struct p9_fid *e = take_fid(m);
    uint64_t offset = take(m, 8);
    uint32_t count = take32(m);
    struct file_answer a = {0};
    struct file_request r;

    if (!e || m->bad)
        return;
    if (count > m->left) {
        m->bad = true;
        return;
    }
    if (e->opened != P9_OPEN_FILE || !(e->access & FILE_ACCESS_WRITE)) {
        fail(m, EBADF);
        return;
    }
    r = request_of(m, FILE_WRITE, e);
    r.offset = offset;
    r.data = m->at;
    r.len = count < FILE_PIECE ? count : FILE_PIECE;
    if (ask(m, &r, &a))
        put(m, a.value, 4);
}

/* One of FILE_LIST's entries as one of Rreaddir's. False: it does not fit any more. */
static bool put_entry(struct message *m, const uint8_t *entry, uint32_t *count)
{
    uint8_t type = entry[16], len = entry[17];

    if (READDIR_HEAD + len > *count)
        return false;
    put_qid(m, type == DT_DIRECTORY ? QID_DIRECTORY : type == DT_SYMLINK ? QID_SYMLINK : 0, 0, get_le64(entry));
    put(m, get_le64(entry + 8), 8);
    put(m, type, 1);
    put(m, len, 2);
    put_bytes(m, entry + FILE_ENTRY_HEAD, len);
    *count -= READDIR_HEAD + len;
    return true;
}

static void read_directory(struct message *m)
{
    uint8_t entries[P9_MESSAGE_LEAST], *start = m->to;
    const struct p9_fid *e = take_fid(m);
    uint64_t offset = take(m, 8), at = 0;
    uint32_t count = data_room(m, take32(m));
    struct file_answer a = {.data = entries};
    struct file_request r;

    if (!e || m->bad)
        return;
    if (e->opened != P9_OPEN_DIRECTORY) {
        fail(m, e->opened ? ENOTDIR : EBADF);
        return;
    }
    r = request_of(m, FILE_LIST, e);
    r.offset = offset;
    r.len = count < sizeof(entries) ? count : sizeof(entries);
    if (!ask(m, &r, &a))
        return;
    put(m, 0, 4);
    while (a.value - at >= FILE_ENTRY_HEAD && a.value - at - FILE_ENTRY_HEAD >= entries[at + 17] && put_entry(m, entries + at, &count))
        at += FILE_ENTRY_HEAD + entries[at + 17];
    put_le(start, (uint64_t)(m->to - start) - 4, 4);
}

static void sync_file(struct message *m)
{
    const struct p9_fid *e = take_fid(m);
    struct file_request r;

    if (!e)
        return;
    r = request_of(m, FILE_SYNC, e);
    ask_plainly(m, &r);
}

/* ---- attributes ---- */

static void get_attributes(struct message *m)
{
    const struct p9_fid *e = take_fid(m);
    uint64_t mask = take(m, 8);
    struct file_status st;

    if (!e || m->bad || !status(m, request_of(m, FILE_STATUS, e), &st))
        return;
    put(m, mask & GETATTR_BASIC, 8);
    put_qid_of(m, &st);
    put(m, st.mode, 4);
    put(m, st.uid, 4);
    put(m, st.gid, 4);
    for (unsigned i = 0; i < 5; i++)
        put(m, (const uint64_t[]){st.links, st.rdev, st.size, st.block_size, st.blocks}[i], 8);
    for (unsigned i = 0; i < 6; i++)
        put(m, (const uint64_t[]){st.atime, st.atime_ns, st.mtime, st.mtime_ns, st.ctime, st.ctime_ns}[i], 8);
    for (unsigned i = 0; i < 4; i++) /* time of birth, generation, version of the data: not told */
        put(m, 0, 8);
}

static void set_attributes(struct message *m)
{
    const struct p9_fid *e = take_fid(m);
    struct file_change c = {.what = take32(m)};
    struct file_request r;

    c.mode = take32(m);
    c.uid = take32(m);
    c.gid = take32(m);
    c.size = take(m, 8);
    c.atime = take(m, 8);
    c.atime_ns = take(m, 8);
    c.mtime = take(m, 8);
    c.mtime_ns = take(m, 8);
    if (!e || m->bad)
        return;
    r = request_of(m, FILE_CHANGE, e);
    r.change = &c;
    ask_plainly(m, &r);
}

static void tell_file_system(struct message *m)
{
    const struct p9_fid *e = take_fid(m);
    uint8_t bytes[sizeof(struct file_system_status)];
    struct file_answer a = {.data = bytes};
    struct file_request r;

    if (!e)
        return;
    r = request(m, FILE_SYSTEM_STATUS, "");
    r.len = sizeof(bytes);
    if (!ask(m, &r, &a))
        return;
    put(m, V9FS_MAGIC, 4);
    put(m, get_le64(bytes), 4);
    for (unsigned i = 1; i < 7; i++) /* blocks, free, available, files, files free, its ID */
        put(m, get_le64(bytes + 8 * i), 8);
    put(m, get_le64(bytes + 8 * 7), 4);
}

/* ---- names ---- */

static void make(struct message *m, bool directory)
{
    char path[P9_PATH_BYTES];
    struct file_request r;

    if (!take_place(m, path))
        return;
    r = request(m, FILE_MAKE, path);
    r.mode = take32(m);
    if (directory)
        r.mode = MODE_DIR | (r.mode & 07777);
    if (!directory && (r.mode & MODE_TYPE) != MODE_FILE && (r.mode & MODE_TYPE) != MODE_FIFO)
        fail(m, EPERM);
    else if (!m->bad && ask_plainly(m, &r))
        put_status_qid(m, path);
}

static void make_symlink(struct message *m)
{
    char path[P9_PATH_BYTES], to[P9_PATH_BYTES];
    struct file_request r;

    if (!take_place(m, path))
        return;
    if (!take_string(m, to, sizeof(to)) || !*to) {
        fail(m, m->bad || !*to ? EINVAL : ENAMETOOLONG);
        return;
    }
    r = request(m, FILE_SYMLINK, path);
    r.to = to;
    if (ask_plainly(m, &r))
        put_status_qid(m, path);
}

static void read_link(struct message *m)
{
    const struct p9_fid *e = take_fid(m);
    char to[P9_PATH_BYTES];
    struct file_answer a = {.data = (uint8_t *)to};
    struct file_request r;

    if (!e)
        return;
    r = request(m, FILE_READ_LINK, e->path);
    r.len = sizeof(to) - 1;
    if (!ask(m, &r, &a))
        return;
    put(m, a.value, 2);
    put_bytes(m, to, (size_t)a.value);
}

static void make_link(struct message *m)
{
    const struct p9_fid *directory = take_fid(m), *e = directory ? take_fid(m) : NULL;
    char name[NAME_MOST + 1], path[P9_PATH_BYTES];
    struct file_request r;

    if (!e || !take_name(m, name) || !join(m, path, directory->path, name))
        return;
    r = request(m, FILE_LINK, e->path);
    r.to = path;
    ask_plainly(m, &r);
}

static void rename_path(struct message *m, const char *from, const char *to)
{
    struct file_request r = request(m, FILE_RENAME, from);

    r.to = to;
    if (!*from)
        fail(m, EBUSY);
    else if (strcmp(from, to) && ask_plainly(m, &r))
        p9_fids_renamed(&m->p->fids, from, to);
}

static void rename_fid(struct message *m)
{
    const struct p9_fid *e = take_fid(m);
    char from[P9_PATH_BYTES], to[P9_PATH_BYTES];

    if (!e)
        return;
    memcpy(from, e->path, strlen(e->path) + 1);
    if (take_place(m, to))
        rename_path(m, from, to);
}

static void rename_at(struct message *m)
{
    char from[P9_PATH_BYTES], to[P9_PATH_BYTES];

    if (take_place(m, from) && take_place(m, to))
        rename_path(m, from, to);
}

static void unlink_at(struct message *m)
{
    char path[P9_PATH_BYTES];
    struct file_request r;
    uint32_t flags;

    if (!take_place(m, path))
        return;
    flags = take32(m);
    r = request(m, flags & L_REMOVEDIR ? FILE_REMOVE_DIRECTORY : FILE_REMOVE, path);
    if (!m->bad)
        ask_plainly(m, &r);
}

/* The fid is gone, whatever became of the file. */
static void remove_fid(struct message *m)
{
    uint32_t fid = take32(m), error;
    const struct p9_fid *e = find(m, fid);
    struct file_request r;
    struct file_status st;

    if (!e)
        return;
    if (status_of_path(m, e->path, &st)) {
        r = request(m, (st.mode & MODE_TYPE) == MODE_DIR ? FILE_REMOVE_DIRECTORY : FILE_REMOVE, e->path);
        ask_plainly(m, &r);
    }
    error = m->error;
    forget(m, fid, e);
    m->error = error;
}

/* ---- locks ---- */

static void lock(struct message *m)
{
    if (take_fid(m))
        put(m, 0, 1); /* it is had */
}

static void get_lock(struct message *m)
{
    char who[NAME_MOST + 1];
    const struct p9_fid *e = take_fid(m);
    uint64_t start, length, process;

    take(m, 1);
    start = take(m, 8);
    length = take(m, 8);
    process = take(m, 4);
    if (!e || !take_string(m, who, sizeof(who))) {
        fail(m, e ? EINVAL : EBADF);
        return;
    }
    put(m, LOCK_UNLOCKED, 1);
    put(m, start, 8);
    put(m, length, 8);
    put(m, process, 4);
    put_string(m, who);
}

/* ---- requests ---- */

static void dispatch(struct message *m, unsigned type)
{
    switch (type) {
    case TVERSION:     version(m); break;
    case TATTACH:      attach(m); break;
    case TWALK:        walk(m); break;
    case TCLUNK:       clunk(m); break;
    case TFLUSH:       break;
    case TLOPEN:       lopen(m); break;
    case TLCREATE:     lcreate(m); break;
    case TREAD:        read_file(m); break;
    case TWRITE:       write_file(m); break;
    case TREADDIR:     read_directory(m); break;
    case TFSYNC:       sync_file(m); break;
    case TGETATTR:     get_attributes(m); break;
    case TSETATTR:     set_attributes(m); break;
    case TSTATFS:      tell_file_system(m); break;
    case TMKDIR:       make(m, true); break;
    case TMKNOD:       make(m, false); break;
    case TSYMLINK:     make_symlink(m); break;
    case TREADLINK:    read_link(m); break;
    case TLINK:        make_link(m); break;
    case TRENAME:      rename_fid(m); break;
    case TRENAMEAT:    rename_at(m); break;
    case TUNLINKAT:    unlink_at(m); break;
    case TREMOVE:      remove_fid(m); break;
    case TLOCK:        lock(m); break;
    case TGETLOCK:     get_lock(m); break;
    default:           fail(m, EOPNOTSUPP); break; /* Tauth, attributes with names, what is no request */
    }
}

uint32_t p9_serve(struct p9 *p, uint32_t len, uint32_t room)
{
    struct message m = {.p = p, .at = p->in + HEADER, .to = p->out + HEADER};
    uint32_t most = p->st->message_most ? p->st->message_most : P9_MESSAGE_LEAST, size;
    unsigned type = len < HEADER ? 0 : p->in[4];

    if (len < HEADER || get_le32(p->in) < HEADER || get_le32(p->in) > len || room < ERROR_BYTES)
        return 0;
    room = room < most ? room : most;
    m.left = get_le32(p->in) - HEADER;
    m.room = room - HEADER;
    p->st->requests++;
    if (!p->st->message_most && type != TVERSION)
        fail(&m, EPROTO);
    else
        dispatch(&m, type);
    if (m.bad)
        fail(&m, EINVAL);
    if (m.error) {
        m.to = p->out + HEADER;
        put_le(m.to, m.error, 4);
        m.to += 4;
    }
    size = (uint32_t)(m.to - p->out);
    put_le(p->out, size, 4);
    p->out[4] = (uint8_t)(m.error ? RLERROR : type + 1);
    memcpy(p->out + 5, p->in + 5, 2);
    return size;
}

/* Numbers of files go on: the host may still have some of them open. */
void p9_reset(struct p9 *p)
{
    p->st->message_most = 0;
    p9_fids_clear(&p->fids);
}
