/*
 * The 9P server over a real directory: each message as a client sends it, and as none should.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/whole/chip_bench.h"

#include "base/bytes.h"
#include "host/files.h"
#include "vm/dev/p9.h"

#define NOFID 0xffffffffu

static struct p9 *p;
static struct host_files *files;
static char top[64], dir[100];

static void call(void *ctx, struct machine *machine, const struct file_request *r, struct file_answer *a)
{
    (void)ctx, (void)machine;
    ck_assert_str_eq(r->system, "shared");
    host_files_call(files, r, a);
}

static const struct machine_env with_files = {.host_clock = host_clock, .output = output, .file_call = call};
static const struct device_ops plain_ops = {.name = "p9", .state_size = sizeof(struct p9_state)};

static void new_server(unsigned flags)
{
    struct error e = {0};

    strcpy(top, "/tmp/hindcast-p9-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(dir, sizeof(dir), "%s/shared", top);
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    files = host_files_open(dir, HOST_FILES_SYSTEM | flags, &e);
    ck_assert_msg(files != NULL, "%s", e.text);
    machine_destroy(m);
    m = machine_create(16);
    m->env = &with_files;
    p = xcalloc(1, sizeof(*p));
    p->dev = machine_add_device(m, &plain_ops, "p9", NULL);
    strcpy(p->dev->backend, "shared");
    p->st = p->dev->state;
    p9_fids_init(&p->fids, "fids");
    p9_reset(p);
}

static void remove_tree(const char *name)
{
    struct dirent *e;
    DIR *d = opendir(name);
    char path[600];

    while (d && (e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(path, sizeof(path), "%s/%.300s", name, e->d_name);
        if (e->d_type == DT_DIR)
            remove_tree(path);
        else
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(name);
}

static void end_server(void)
{
    host_files_close(files);
    p9_fids_finish(&p->fids);
    free(p);
    remove_tree(top);
}

/* Fields: 1, 2, 4, 8 a number of so many bytes; s a string; * bytes and their number. */
static uint32_t compose(unsigned type, const char *fields, va_list ap)
{
    uint8_t *to = p->in + 7;

    for (; *fields; fields++) {
        if (*fields == 's') {
            const char *s = va_arg(ap, const char *);

            put_le(to, strlen(s), 2);
            memcpy(to + 2, s, strlen(s));
            to += 2 + strlen(s);
        } else if (*fields == '*') {
            const void *bytes = va_arg(ap, const void *);
            size_t n = va_arg(ap, size_t);

            memcpy(to, bytes, n);
            to += n;
        } else if (*fields == '8') {
            put_le(to, va_arg(ap, uint64_t), 8);
            to += 8;
        } else {
            put_le(to, va_arg(ap, unsigned), (size_t)(*fields - '0'));
            to += *fields - '0';
        }
    }
    put_le(p->in, (uint64_t)(to - p->in), 4);
    p->in[4] = (uint8_t)type;
    put_le(p->in + 5, 77, 2);
    return (uint32_t)(to - p->in);
}

/* Send it. The answer's error, or 0 and its body. */
static uint32_t send_it(const uint8_t **body, unsigned type, const char *fields, ...)
{
    uint32_t len;
    va_list ap;

    va_start(ap, fields);
    len = compose(type, fields, ap);
    va_end(ap);
    len = p9_serve(p, len, sizeof(p->out));
    ck_assert_uint_ge(len, 7);
    ck_assert_uint_eq(get_le32(p->out), len);
    ck_assert_uint_eq(get_le16(p->out + 5), 77);
    *body = p->out + 7;
    if (p->out[4] == 7)
        return get_le32(*body);
    ck_assert_uint_eq(p->out[4], type + 1);
    return 0;
}

static const uint8_t *b;
#define SEND(type, ...) send_it(&b, type, __VA_ARGS__)

static void put_file_in(const char *name, const void *data, size_t len)
{
    char path[300];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    ck_assert(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
}

static void begin(void)
{
    ck_assert_uint_eq(SEND(100, "4s", 8192u, "9P2000.L"), 0);
    ck_assert(get_le32(b) == 8192 && !memcmp(b + 4, "\10\0" "9P2000.L", 10));
    ck_assert_uint_eq(SEND(104, "44ss4", 0u, NOFID, "", "", 0u), 0);
    ck_assert_uint_eq(b[0], 0x80);
}

START_TEST(a_version_is_agreed_upon_first)
{
    new_server(0);
    ck_assert_uint_eq(SEND(104, "44ss4", 0u, NOFID, "", "", 0u), EPROTO);
    ck_assert_uint_eq(SEND(100, "4s", 8192u, "9P2000.u"), 0);
    ck_assert_mem_eq(b + 4, "\7\0unknown", 9);
    ck_assert_uint_eq(SEND(104, "44ss4", 0u, NOFID, "", "", 0u), EPROTO);
    ck_assert_uint_eq(SEND(100, "4s", 4095u, "9P2000.L"), EMSGSIZE);
    ck_assert_uint_eq(SEND(100, "4s", 1u << 30, "9P2000.L"), 0);
    ck_assert_uint_eq(get_le32(b), P9_MESSAGE_MOST);
    begin();
    ck_assert_uint_eq(SEND(104, "44ss4", 0u, NOFID, "", "", 0u), EINVAL); /* the fid is in use */
    begin();                                                              /* but not after another version */
    ck_assert_uint_eq(SEND(102, "4ss4", 9u, "", "", 0u), EOPNOTSUPP);
    ck_assert_uint_eq(SEND(200, ""), EOPNOTSUPP);
    ck_assert_uint_eq(SEND(108, "2", 5u), 0);
    end_server();
}
END_TEST

START_TEST(a_walk_goes_as_far_as_there_is_something)
{
    new_server(0);
    begin();
    ck_assert_uint_eq(SEND(72, "4s44", 0u, "d", 0755u, 0u), 0);
    put_file_in("d/f", "text", 4);
    ck_assert_uint_eq(SEND(110, "442ss", 0u, 1u, 2u, "d", "f"), 0);
    ck_assert(get_le16(b) == 2 && b[2] == 0x80 && b[15] == 0);
    ck_assert_uint_eq(SEND(110, "442ss", 0u, 2u, 2u, "d", "none"), 0); /* the first is there: no fid */
    ck_assert_uint_eq(get_le16(b), 1);
    ck_assert_uint_eq(SEND(120, "4", 2u), EBADF);
    ck_assert_uint_eq(SEND(110, "442s", 0u, 2u, 1u, "none"), ENOENT);
    ck_assert_uint_eq(SEND(110, "442s", 1u, 2u, 1u, "x"), ENOTDIR);
    ck_assert_uint_eq(SEND(110, "442ssss", 0u, 2u, 4u, "..", "..", "d", ".."), 0); /* not above the root */
    ck_assert_uint_eq(SEND(24, "48", 2u, (uint64_t)0x7ff), 0);
    ck_assert_uint_eq(get_le32(b + 8 + 13) & S_IFMT, S_IFDIR);
    ck_assert_uint_eq(SEND(110, "442s", 0u, 3u, 1u, "d/f"), ENOENT);
    ck_assert_uint_eq(SEND(110, "442s", 0u, 3u, 1u, ""), ENOENT);
    ck_assert_uint_eq(SEND(110, "442", 0u, 1u, 0u), EINVAL); /* in use */
    ck_assert_uint_eq(SEND(110, "442", 7u, 8u, 0u), EBADF);
    ck_assert_uint_eq(SEND(110, "442", 0u, 8u, 17u), EINVAL);
    ck_assert_uint_eq(SEND(110, "442s", 0u, 0u, 1u, "d"), 0); /* the fid itself */
    ck_assert_uint_eq(SEND(110, "442s", 0u, 4u, 1u, "f"), 0);
    ck_assert_uint_eq(SEND(12, "44", 4u, 0u), 0);
    ck_assert_uint_eq(SEND(110, "442", 4u, 5u, 0u), EINVAL); /* it is open */
    end_server();
}
END_TEST

START_TEST(files_are_opened_read_and_written)
{
    uint8_t big[9000];

    new_server(0);
    begin();
    memset(big, 'x', sizeof(big));
    ck_assert_uint_eq(SEND(110, "442", 0u, 1u, 0u), 0);
    ck_assert_uint_eq(SEND(14, "4s444", 1u, "new", 02 | 0100 | 0200 | 0u, 0640u, 0u), 0);
    ck_assert_uint_eq(get_le32(b + 13), 8192 - 24);
    ck_assert_uint_eq(SEND(118, "484*", 1u, (uint64_t)3, 5u, "hello", (size_t)5), 0);
    ck_assert_uint_eq(get_le32(b), 5);
    ck_assert_uint_eq(SEND(116, "484", 1u, (uint64_t)0, 100u), 0);
    ck_assert(get_le32(b) == 8 && !memcmp(b + 4, "\0\0\0hello", 8));
    ck_assert_uint_eq(SEND(116, "484", 1u, UINT64_MAX, 100u), EINVAL);
    ck_assert_uint_eq(SEND(118, "484*", 1u, (uint64_t)0, 50u, "short", (size_t)5), EINVAL);
    put_file_in("big", big, sizeof(big));
    ck_assert_uint_eq(SEND(110, "442s", 0u, 2u, 1u, "big"), 0);
    ck_assert_uint_eq(SEND(116, "484", 2u, (uint64_t)0, 1u), EBADF); /* not open */
    ck_assert_uint_eq(SEND(12, "44", 2u, 0u), 0);
    ck_assert_uint_eq(SEND(116, "484", 2u, (uint64_t)0, 9000u), 0);
    ck_assert_uint_eq(get_le32(b), 8192 - 7 - 4); /* as much as a message holds */
    ck_assert_uint_eq(SEND(118, "484*", 2u, (uint64_t)0, 1u, "x", (size_t)1), EBADF); /* for reading only */
    ck_assert_uint_eq(SEND(12, "44", 2u, 0u), EINVAL);
    ck_assert_uint_eq(SEND(50, "44", 1u, 0u), 0);
    ck_assert_uint_eq(SEND(110, "442", 0u, 3u, 0u), 0);
    ck_assert_uint_eq(SEND(12, "44", 3u, 1u), EISDIR);
    ck_assert_uint_eq(SEND(12, "44", 3u, 0200000u), 0);
    ck_assert_uint_eq(SEND(116, "484", 3u, (uint64_t)0, 9u), EISDIR);
    ck_assert_uint_eq(SEND(14, "4s444", 3u, "y", 0u, 0640u, 0u), EINVAL); /* of an open fid */
    ck_assert_uint_eq(SEND(52, "414488s", 1u, 1u, 0u, 0u, (uint64_t)0, (uint64_t)0, "me"), 0);
    ck_assert_uint_eq(b[0], 0);
    ck_assert_uint_eq(SEND(54, "41884s", 1u, 1u, (uint64_t)5, (uint64_t)6, 7u, "me"), 0);
    ck_assert(b[0] == 2 && get_le64(b + 1) == 5 && get_le32(b + 17) == 7);
    end_server();
}
END_TEST

START_TEST(an_open_file_outlives_its_name)
{
    new_server(0);
    begin();
    put_file_in("f", "text", 4);
    ck_assert_uint_eq(SEND(110, "442s", 0u, 1u, 1u, "f"), 0);
    ck_assert_uint_eq(SEND(12, "44", 1u, 2u), 0);
    ck_assert_uint_eq(SEND(76, "4s4", 0u, "f", 0u), 0);
    ck_assert_uint_eq(SEND(110, "442s", 0u, 2u, 1u, "f"), ENOENT);
    ck_assert_uint_eq(SEND(116, "484", 1u, (uint64_t)0, 9u), 0);
    ck_assert_uint_eq(get_le32(b), 4);
    ck_assert_uint_eq(SEND(24, "48", 1u, (uint64_t)0x7ff), 0);
    ck_assert_uint_eq(get_le64(b + 8 + 13 + 12 + 16), 4);
    ck_assert_uint_eq(SEND(26, "44444" "8" "8888", 1u, 8u, 0u, 0u, 0u, (uint64_t)2, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0), 0);
    ck_assert_uint_eq(SEND(24, "48", 1u, (uint64_t)0x7ff), 0);
    ck_assert_uint_eq(get_le64(b + 8 + 13 + 12 + 16), 2);
    ck_assert_uint_eq(SEND(122, "4", 1u), ENOENT); /* and its fid is gone all the same */
    ck_assert_uint_eq(SEND(120, "4", 1u), EBADF);
    end_server();
}
END_TEST

START_TEST(a_directory_is_listed_piece_by_piece)
{
    uint64_t offset = 0;
    unsigned seen = 0;
    char name[20];

    new_server(0);
    begin();
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "file%03u", i);
        put_file_in(name, "", 0);
    }
    ck_assert_uint_eq(SEND(110, "442", 0u, 1u, 0u), 0);
    ck_assert_uint_eq(SEND(40, "484", 1u, (uint64_t)0, 1000u), EBADF);
    ck_assert_uint_eq(SEND(12, "44", 1u, 0u), 0);
    for (;;) {
        uint32_t count, at = 4;

        ck_assert_uint_eq(SEND(40, "484", 1u, offset, 700u), 0);
        count = get_le32(b);
        ck_assert_uint_le(count, 700);
        if (!count)
            break;
        for (; at < 4 + count; at += 24u + get_le16(b + at + 22)) {
            ck_assert(b[at + 21] == (seen < 2 ? 4 : 8) && b[at] == (seen < 2 ? 0x80 : 0)); /* DT_DIR, DT_REG */
            snprintf(name, sizeof(name), "file%03u", seen - 2);
            if (seen >= 2)
                ck_assert(get_le16(b + at + 22) == 7 && !memcmp(b + at + 24, name, 7));
            offset = get_le64(b + at + 13);
            seen++;
        }
        ck_assert_uint_eq(at, 4 + count);
    }
    ck_assert_uint_eq(seen, 502);
    end_server();
}
END_TEST

START_TEST(names_are_made_and_moved_with_what_is_below_them)
{
    new_server(0);
    begin();
    ck_assert_uint_eq(SEND(72, "4s44", 0u, "d", 0755u, 0u), 0);
    ck_assert_uint_eq(SEND(72, "4s44", 0u, "d", 0755u, 0u), EEXIST);
    ck_assert_uint_eq(SEND(72, "4s44", 0u, "..", 0755u, 0u), EINVAL);
    ck_assert_uint_eq(SEND(72, "4s44", 0u, "a/b", 0755u, 0u), EINVAL);
    ck_assert_uint_eq(SEND(110, "442s", 0u, 1u, 1u, "d"), 0);
    ck_assert_uint_eq(SEND(18, "4s4444", 1u, "f", S_IFREG | 0600u, 0u, 0u, 0u), 0);
    ck_assert_uint_eq(SEND(18, "4s4444", 1u, "null", S_IFCHR | 0600u, 1u, 3u, 0u), EPERM);
    ck_assert_uint_eq(SEND(16, "4ss4", 1u, "l", "/etc/passwd", 0u), 0);
    ck_assert_uint_eq(b[0], 0x02);
    ck_assert_uint_eq(SEND(110, "442ss", 0u, 2u, 2u, "d", "f"), 0);
    ck_assert_uint_eq(SEND(110, "442ss", 0u, 3u, 2u, "d", "l"), 0);
    ck_assert_uint_eq(SEND(22, "4", 3u), 0);
    ck_assert(get_le16(b) == 11 && !memcmp(b + 2, "/etc/passwd", 11));
    ck_assert_uint_ne(SEND(12, "44", 3u, 0u), 0); /* never through a link */
    ck_assert_uint_eq(SEND(22, "4", 2u), EINVAL);
    ck_assert_uint_eq(SEND(70, "44s", 0u, 2u, "g"), 0);
    ck_assert_uint_eq(SEND(74, "4s4s", 0u, "d", 0u, "dd"), 0); /* fids 1, 2, 3 go with it */
    ck_assert_uint_eq(SEND(24, "48", 2u, (uint64_t)0x7ff), 0);
    ck_assert_uint_eq(get_le64(b + 8 + 13 + 12), 2); /* links */
    ck_assert_uint_eq(SEND(20, "44s", 2u, 0u, "h"), 0);
    ck_assert_uint_eq(SEND(76, "4s4", 0u, "h", 0u), 0);
    ck_assert_uint_eq(SEND(76, "4s4", 0u, "dd", 0x200u), ENOTEMPTY);
    ck_assert_uint_eq(SEND(76, "4s4", 0u, "dd", 0u), EISDIR);
    ck_assert_uint_eq(SEND(122, "4", 3u), 0);
    ck_assert_uint_eq(SEND(122, "4", 1u), 0);
    ck_assert_uint_eq(SEND(8, "4", 0u), 0);
    ck_assert_uint_eq(get_le32(b), 0x01021997);
    ck_assert_uint_eq(SEND(30, "44s", 0u, 9u, "user.x"), EOPNOTSUPP);
    ck_assert_uint_eq(SEND(20, "44s", 0u, 0u, "x"), EBUSY); /* the root */
    end_server();
}
END_TEST

START_TEST(an_answer_that_has_no_room_is_an_error)
{
    const uint8_t *body;
    uint32_t len;

    new_server(0);
    begin();
    ck_assert_uint_eq(SEND(110, "442", 0u, 1u, 0u), 0);
    send_it(&body, 24, "48", 1u, (uint64_t)0x7ff);
    len = get_le32(p->in);
    ck_assert_uint_eq(p9_serve(p, len, 30), 11);
    ck_assert(p->out[4] == 7 && get_le32(p->out + 7) == EMSGSIZE);
    ck_assert_uint_eq(p9_serve(p, len, 10), 0);
    ck_assert_uint_eq(p9_serve(p, len - 1, 100), 0); /* less than it says */
    ck_assert_uint_eq(p9_serve(p, 6, 100), 0);
    end_server();
}
END_TEST

/* ---- fids ---- */

/* Against a table without cleverness. */
START_TEST(fids_are_found_until_they_are_removed)
{
    static uint32_t fids[3000];
    static char paths[3000][16];
    struct p9_fids f;
    unsigned count = 0, seed = 1;

    p9_fids_init(&f, "fids");
    for (unsigned n = 0; n < 60000; n++) {
        uint32_t fid = (seed = seed * 1103515245u + 12345u) >> 8;
        unsigned k = count ? fid % count : 0;

        fid = fid % 7 == 0 ? fid : fid % 4000 * 65536u; /* many that would like the same place */
        if (count == 3000 || (count && fid % 5 < 2)) {
            p9_fid_remove(&f, fids[k]);
            ck_assert_ptr_null(p9_fid_find(&f, fids[k]));
            fids[k] = fids[--count];
            memcpy(paths[k], paths[count], sizeof(paths[k]));
        } else if (!p9_fid_find(&f, fid)) {
            fids[count] = fid;
            snprintf(paths[count], sizeof(paths[0]), "p%u", n);
            ck_assert(p9_fid_add(&f, fid, paths[count]));
            ck_assert(!p9_fid_add(&f, fid, "again"));
            count++;
        }
        if (n % 500)
            continue;
        for (unsigned i = 0; i < count; i++)
            ck_assert_str_eq(p9_fid_find(&f, fids[i])->path, paths[i]);
        ck_assert_uint_eq(p9_fids_count(&f), count);
    }
    p9_fids_clear(&f);
    ck_assert_uint_eq(p9_fids_count(&f), 0);
    p9_fids_finish(&f);
}
END_TEST

START_TEST(there_are_not_more_fids_than_there_may_be)
{
    struct p9_fids f;
    unsigned n = 0;

    p9_fids_init(&f, "fids");
    while (p9_fid_add(&f, n, ""))
        n++;
    ck_assert_uint_eq(n, P9_FIDS_MOST);
    p9_fid_remove(&f, 5);
    ck_assert(p9_fid_add(&f, 1000000, "x"));
    p9_fids_finish(&f);
}
END_TEST

/* ---- hostile clients ---- */

static uint64_t rng;

static uint32_t draw(uint32_t below)
{
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return (uint32_t)(rng >> 20) % below;
}

static uint8_t *put_name(uint8_t *to)
{
    static const char *const names[] = {"a", "b", "c", "..", ".", "", "a/b", "/etc", "../x", "link", "d"};
    const char *name = names[draw(ARRAY_LEN(names))];

    put_le(to, draw(20) ? strlen(name) : draw(70000), 2);
    memcpy(to + 2, name, strlen(name));
    return to + 2 + strlen(name);
}

/* Words of a message as they may come: fids that there are, names, noise. */
static uint32_t noise(void)
{
    static const uint8_t types[] = {8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76, 100, 102, 104, 108, 110, 110, 110, 116, 118, 120, 122};
    uint8_t *to = p->in + 7;
    unsigned words = draw(8);

    p->in[4] = draw(50) ? types[draw(sizeof(types))] : (uint8_t)draw(256);
    if (p->in[4] == 100 && draw(4))
        p->in[4] = 110;
    for (unsigned i = 0; i < words; i++) {
        switch (draw(6)) {
        case 0: case 1: put_le(to, draw(6), 4); to += 4; break;
        case 2: to = put_name(to); break;
        case 3: put_le(to, draw(3) ? draw(5) : draw(1u << 31), 2); to += 2; break;
        case 4: put_le(to, draw(2) ? draw(100) : rng, 8); to += 8; break;
        default: put_le(to, draw(3) ? draw(0x400) : (uint32_t)rng, 4); to += 4; break;
        }
    }
    if (p->in[4] == 110) { /* so that there are fids */
        put_le(p->in + 7, draw(4), 4);
        put_le(p->in + 11, draw(6), 4);
        put_le(p->in + 15, 1, 2);
        to = put_name(p->in + 17);
    }
    put_le(p->in, draw(30) ? (uint64_t)(to - p->in) : rng, 4);
    return (uint32_t)(to - p->in);
}

/* Whatever a client says: the answer is one, nothing outside the directory changes. */
START_TEST(a_hostile_client_reaches_nothing_else)
{
    char outside[100], link[200];
    struct stat st;

    new_server(_i & 1 ? HOST_FILES_READ_ONLY : 0);
    snprintf(outside, sizeof(outside), "%s/x", top);
    ck_assert_int_eq(close(open(outside, O_CREAT | O_WRONLY, 0600)), 0);
    put_file_in("a", "text", 4);
    snprintf(link, sizeof(link), "%s/link", dir);
    ck_assert_int_eq(symlink("../x", link), 0);
    begin();
    rng = 0x9e3779b97f4a7c15u * (unsigned)(_i + 1);
    for (unsigned n = 0; n < 5000; n++) {
        uint32_t len = noise(), room = draw(20) ? (uint32_t)sizeof(p->out) : draw(40);
        uint32_t answer = p9_serve(p, len, room);

        ck_assert(answer <= room && (answer == 0 || answer >= 7) && (!answer || get_le32(p->out) == answer));
        if (n % 500 == 0)
            begin();
    }
    ck_assert_int_eq(lstat(outside, &st), 0);
    ck_assert(st.st_size == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0600 && st.st_nlink == 1);
    end_server();
}
END_TEST

static void claims(TCase *tc)
{
    const char *seeds = getenv("HINDCAST_FUZZ_SEEDS");

    tcase_add_test(tc, a_version_is_agreed_upon_first);
    tcase_add_test(tc, a_walk_goes_as_far_as_there_is_something);
    tcase_add_test(tc, files_are_opened_read_and_written);
    tcase_add_test(tc, an_open_file_outlives_its_name);
    tcase_add_test(tc, a_directory_is_listed_piece_by_piece);
    tcase_add_test(tc, names_are_made_and_moved_with_what_is_below_them);
    tcase_add_test(tc, an_answer_that_has_no_room_is_an_error);
    tcase_add_test(tc, fids_are_found_until_they_are_removed);
    tcase_add_test(tc, there_are_not_more_fids_than_there_may_be);
    tcase_add_loop_test(tc, a_hostile_client_reaches_nothing_else, 0, seeds ? atoi(seeds) : 8);
}

CHIP_TESTS("9P", claims)
