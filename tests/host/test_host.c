/*
 * Streams, listening sockets, files, serial back ends, and the files that a guest may use.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/chardev.h"
#include "host/clock.h"
#include "host/code_memory.h"
#include "host/file.h"
#include "host/files.h"
#include "host/stream.h"
#include "host/writer.h"
#include "tests/check_main.h"

static char dir[64];

static void make_dir(void)
{
    strcpy(dir, "/tmp/hindcast-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

/* Nothing may be left in it. */
static void remove_dir(void)
{
    ck_assert_msg(rmdir(dir) == 0, "something was left in %s", dir);
}

static bool accept_soon(struct listener *l, struct stream *s)
{
    struct poller p;

    poller_clear(&p);
    poller_add(&p, l->fd, true, false);
    poller_wait(&p, 60000000000u);
    return listener_accept(l, s);
}

static long read_soon(struct stream *s, void *buf, size_t len)
{
    struct poller p;

    poller_clear(&p);
    stream_poll(s, &p, true);
    poller_wait(&p, 60000000000u);
    return stream_read(s, buf, len);
}

static void talk_over(const char *where)
{
    struct error err = {0};
    struct listener l;
    struct stream client, server;
    char buf[16], name[320];

    ck_assert_int_eq(listener_open(&l, where, &err), 0);
    ck_assert(!listener_accept(&l, &server));
    snprintf(name, sizeof name, "%s%s", strchr(l.name, '/') ? "unix:" : "", l.name);
    ck_assert_int_eq(stream_connect(&client, name, &err), 0);
    ck_assert(accept_soon(&l, &server));
    ck_assert_int_eq(stream_read(&server, buf, sizeof buf), 0);
    stream_write(&client, "hello", 5);
    ck_assert_int_eq(read_soon(&server, buf, sizeof buf), 5);
    ck_assert(!memcmp(buf, "hello", 5));
    stream_close(&client);
    ck_assert_int_eq(read_soon(&server, buf, sizeof buf), -1);
    ck_assert(!stream_open(&server));
    /* Writing to a peer that is gone is dropped, not an accident. */
    stream_write(&server, "x", 1);
    stream_close(&server);
    listener_close(&l);
}

START_TEST(bytes_go_over_tcp)
{
    talk_over("127.0.0.1:0");
    talk_over(":0");
    talk_over("0");
}
END_TEST

START_TEST(bytes_go_over_a_unix_socket_that_is_removed_at_the_end)
{
    char where[128];

    snprintf(where, sizeof where, "unix:%s/s", dir);
    talk_over(where);
    ck_assert_int_ne(access(where + 5, F_OK), 0);
}
END_TEST

START_TEST(a_writer_never_blocks_and_nothing_is_lost)
{
    struct error err = {0};
    struct listener l;
    struct stream client, server;
    size_t sent = (size_t)8 << 20, got = 0;
    uint8_t *data = malloc(sent);
    uint64_t sum = 0, want = 0;

    for (size_t i = 0; i < sent; i++)
        want += data[i] = (uint8_t)(i * 7 + (i >> 8));
    ck_assert_int_eq(listener_open(&l, "127.0.0.1:0", &err), 0);
    ck_assert_int_eq(stream_connect(&client, l.name, &err), 0);
    ck_assert(accept_soon(&l, &server));
    stream_write(&server, data, sent);
    ck_assert_uint_gt(server.queue.len, 0);
    while (got < sent) {
        uint8_t buf[65536];
        long n = read_soon(&client, buf, sizeof buf);

        ck_assert_int_ge(n, 0);
        for (long i = 0; i < n; i++)
            sum += buf[i];
        got += (size_t)n;
        stream_flush(&server);
    }
    ck_assert_uint_eq(sum, want);
    stream_close(&client);
    stream_close(&server);
    listener_close(&l);
    free(data);
}
END_TEST

/* Or a client that sends each packet in pieces, and knows nothing of TCP_NODELAY, waits 40 ms before each. */
START_TEST(what_came_by_tcp_is_acknowledged_at_once)
{
    struct error err = {0};
    struct listener l;
    struct stream client, server;
    char c;

    ck_assert_int_eq(listener_open(&l, "127.0.0.1:0", &err), 0);
    ck_assert_int_eq(stream_connect(&client, l.name, &err), 0);
    ck_assert(accept_soon(&l, &server));
    for (unsigned i = 0; i < 20; i++) {
        int quick = 0;
        socklen_t len = sizeof quick;

        stream_write(&client, "x", 1);
        ck_assert_int_eq(read_soon(&server, &c, 1), 1);
        ck_assert_int_eq(getsockopt(server.in, IPPROTO_TCP, TCP_QUICKACK, &quick, &len), 0);
        ck_assert_int_eq(quick, 1);
        stream_write(&server, "y", 1);
        ck_assert_int_eq(read_soon(&client, &c, 1), 1);
    }
    stream_close(&client);
    stream_close(&server);
    listener_close(&l);
}
END_TEST

START_TEST(a_port_in_use_is_said_to_be)
{
    struct error err = {0};
    struct listener a, b;

    ck_assert_int_eq(listener_open(&a, "127.0.0.1:0", &err), 0);
    ck_assert_int_eq(listener_open(&b, a.name, &err), -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err.text, "already in use"));
    ck_assert_ptr_nonnull(strstr(err.text, a.name));
    listener_close(&a);
}
END_TEST

START_TEST(nonsense_is_no_address)
{
    static const char *const bad[] = {"", "x", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:12a", "unix:",
                                      "127.0.0.1:-1"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = {0};
        struct listener l;

        ck_assert_msg(listener_open(&l, bad[i], &err) < 0, "%s", bad[i]);
        ck_assert_uint_gt(strlen(err.text), 0);
    }
}
END_TEST

START_TEST(files_load_up_to_their_limit)
{
    struct error err = {0};
    struct buffer b;
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/f", dir);
    f = fopen(path, "w");
    fputs("0123456789", f);
    fclose(f);
    buffer_init(&b);
    ck_assert_int_eq(host_load_file(path, 10, "ten", &b, &err), 0);
    ck_assert_uint_eq(b.len, 10);
    ck_assert_int_eq(host_load_file(path, 9, "the guest's memory", &b, &err), -EFBIG);
    ck_assert_ptr_nonnull(strstr(err.text, "the guest's memory"));
    ck_assert_int_eq(host_load_file(dir, 9, "x", &b, &err), -EISDIR);
    ck_assert_int_eq(host_load_file("/nonexistent", 9, "x", &b, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent"));
    ck_assert(host_file_exists(path));
    unlink(path);
    ck_assert(!host_file_exists(path));
    buffer_finish(&b);
}
END_TEST

START_TEST(a_file_is_written_cut_rewritten_and_read_in_pieces)
{
    struct host_writer w;
    struct host_reader r;
    struct error err = {0};
    char path[200], got[20] = "";

    snprintf(path, sizeof path, "%s/written", dir);
    ck_assert_int_eq(host_writer_open(&w, path, 0, &err), 0);
    ck_assert(w.seekable);
    ck_assert_int_eq(host_writer_write(&w, "0123456789", 10), 0);
    /* Nobody waits for the disk, however often it is asked. */
    for (unsigned i = 0; i < 1000; i++)
        ck_assert_int_eq(host_writer_sync(&w), 0);
    ck_assert_int_eq(host_writer_cut(&w, 6), 0);
    ck_assert_int_eq(host_writer_rewrite(&w, 2, "xy", 2), 0);
    ck_assert_int_eq(host_writer_write(&w, "end", 3), 0);
    ck_assert_int_eq(host_writer_close(&w), 0);

    ck_assert_int_eq(host_reader_open(&r, path, 100, "x", &err), 0);
    ck_assert_uint_eq(r.len, 9);
    ck_assert_int_eq(host_reader_read(&r, 1, got, 8), 0);
    ck_assert_str_eq(got, "1xy45end");
    ck_assert_int_eq(host_reader_read(&r, 9, got, 0), 0);
    ck_assert_int_eq(host_reader_read(&r, 8, got, 2), -EIO);
    ck_assert_int_eq(host_reader_read(&r, UINT64_MAX, got, 2), -EIO);
    /* It has become shorter under us. */
    ck_assert_int_eq(truncate(path, 3), 0);
    ck_assert_int_eq(host_reader_read(&r, 1, got, 8), -EIO);
    host_reader_close(&r);
    unlink(path);

    /* What is no file is read whole, without being opened again: its writer would be left without a reader. */
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    struct inotify_event seen[16];
    bool left = false;
    int watch = inotify_init1(IN_NONBLOCK);
    ck_assert_int_gt(inotify_add_watch(watch, path, IN_OPEN | IN_CLOSE_NOWRITE), 0);
    pid_t writer = fork();
    if (!writer) {
        int fd = open(path, O_WRONLY);

        _exit(write(fd, "0123456789", 10) != 10);
    }
    int gone;
    ck_assert_int_eq(host_reader_open(&r, path, UINT64_MAX, "x", &err), 0);
    ssize_t events = read(watch, seen, sizeof seen) / (ssize_t)sizeof seen[0];
    ck_assert_int_gt(events, 1);
    for (ssize_t i = 0; i < events; i++) {
        left |= seen[i].mask & IN_CLOSE_NOWRITE;
        ck_assert(!left || !(seen[i].mask & IN_OPEN));
    }
    close(watch);
    ck_assert_uint_eq(r.len, 10);
    ck_assert_int_eq(host_reader_read(&r, 5, got, 5), 0);
    ck_assert(!memcmp(got, "56789", 5));
    host_reader_close(&r);
    ck_assert_int_eq(waitpid(writer, &gone, 0), writer);
    ck_assert(WIFEXITED(gone) && !WEXITSTATUS(gone));
    unlink(path);
    ck_assert_int_eq(host_writer_open(&w, "/dev/null", 0, &err), 0);
    ck_assert(!w.seekable);
    ck_assert_int_eq(host_writer_write(&w, "x", 1), 0);
    host_writer_sync(&w);
    ck_assert_int_eq(host_writer_sync(&w), 0);
    ck_assert_int_eq(host_writer_close(&w), 0);
}
END_TEST

static void name_file(char path[100], const char *name)
{
    snprintf(path, 100, "%s/%s", dir, name);
}

static void put_file(const char *path, const char *text, size_t len)
{
    struct error err = {0};

    ck_assert_msg(host_write_file(path, text, len, HOST_FORCE, &err) == 0, "%s", err.text);
}

static void expect_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "r");
    char got[100];
    size_t n;

    ck_assert_ptr_nonnull(f);
    n = fread(got, 1, sizeof got, f);
    fclose(f);
    ck_assert_uint_eq(n, strlen(text));
    ck_assert(!memcmp(got, text, n));
}

START_TEST(what_a_run_has_read_is_never_written_to)
{
    char path[100], other[100];
    struct host_writer w;
    struct error err = {0};
    struct buffer b;

    name_file(path, "kernel");
    name_file(other, "link");
    put_file(path, "kernel", 6);
    ck_assert_int_eq(link(path, other), 0);
    buffer_init(&b);
    ck_assert_int_eq(host_load_file(path, 1000, "the test", &b, &err), 0);
    buffer_finish(&b);
    ck_assert_int_lt(host_output_open(other, HOST_FORCE, &err), 0);
    ck_assert_msg(strstr(err.text, "link: is read by this run") != NULL, "%s", err.text);
    ck_assert_int_lt(host_write_file(path, "x", 1, HOST_FORCE, &err), 0);
    ck_assert_int_lt(host_writer_open(&w, path, HOST_FORCE, &err), 0);
    expect_file(path, "kernel");
    ck_assert_int_eq(host_write_file(path, "x", 1, HOST_OVER_INPUT, &err), 0);
    expect_file(other, "kernel");
    expect_file(path, "x");
    unlink(other);
    unlink(path);
}
END_TEST

START_TEST(a_recording_is_replaced_only_when_that_is_asked_for)
{
    static const char recording[] = "\211HCREC\r\nrest";
    struct error err = {0};
    char path[100];
    int fd;

    name_file(path, "r.hcrec");
    put_file(path, recording, strlen(recording));
    ck_assert_int_lt(host_output_open(path, 0, &err), 0);
    ck_assert_msg(strstr(err.text, "r.hcrec: is a recording") && strstr(err.text, "--force"), "%s", err.text);
    ck_assert_int_lt(host_write_file(path, "x", 1, 0, &err), 0);
    expect_file(path, recording);
    unlink(path);
    put_file(path, recording, strlen(recording));
    fd = host_output_open(path, HOST_FORCE, &err);
    ck_assert_int_ge(fd, 0);
    close(fd);
    unlink(path);
    put_file(path, "notes", 5);
    ck_assert_int_lt(host_output_open(path, HOST_EMPTY_ONLY, &err), 0);
    ck_assert_msg(strstr(err.text, "exists") != NULL, "%s", err.text);
    ck_assert_int_eq(host_write_file(path, "more", 4, 0, &err), 0);
    expect_file(path, "more");
    unlink(path);
}
END_TEST

START_TEST(a_file_has_one_writer)
{
    struct error err = {0};
    char path[100];
    int fd;

    name_file(path, "log");
    fd = host_output_open(path, 0, &err);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_lt(host_output_open(path, HOST_FORCE | HOST_OVER_INPUT, &err), 0);
    ck_assert_msg(strstr(err.text, "being written to already") != NULL, "%s", err.text);
    ck_assert_int_lt(host_write_file(path, "x", 1, HOST_FORCE | HOST_OVER_INPUT, &err), 0);
    ck_assert_int_eq(write(fd, "line", 4), 4);
    close(fd);
    expect_file(path, "line");
    unlink(path);
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_is_refused_and_not_waited_for)
{
    struct error err = {0};
    char path[100];

    name_file(path, "fifo");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_lt(host_output_open(path, 0, &err), 0);
    ck_assert_msg(strstr(err.text, "nobody reads this pipe") != NULL, "%s", err.text);
    unlink(path);
}
END_TEST

START_TEST(a_whole_file_is_there_when_it_is_whole)
{
    struct host_writer w;
    struct error err = {0};
    char path[100];

    name_file(path, "whole");
    put_file(path, "old", 3);
    ck_assert_int_eq(chmod(path, 0640), 0);
    ck_assert_int_eq(host_writer_open_whole(&w, path, 0, &err), 0);
    ck_assert_int_eq(host_writer_write(&w, "half", 4), 0);
    expect_file(path, "old");
    host_writer_close(&w); /* rmdir() of the fixture finds that nothing is left */
    expect_file(path, "old");
    ck_assert_int_eq(unlink(path), 0);
    put_file(path, "old", 3);
    ck_assert_int_eq(host_writer_open_whole(&w, path, 0, &err), 0);
    ck_assert_int_eq(host_writer_write(&w, "new", 3), 0);
    ck_assert_int_eq(host_writer_commit(&w), 0);
    expect_file(path, "new");
    unlink(path);
    ck_assert_int_eq(host_writer_open_whole(&w, "/dev/null", 0, &err), 0);
    ck_assert_int_eq(host_writer_commit(&w), 0);
    name_file(path, "nowhere/file");
    ck_assert_int_lt(host_write_file(path, "x", 1, 0, &err), 0);
    ck_assert_msg(strstr(err.text, "nowhere/file: cannot create") != NULL, "%s", err.text);
}
END_TEST

/* Its line for `monitor info chardev`, until the next call. */
static const char *described(const struct chardev *c)
{
    static char text[200];
    struct buffer b;

    buffer_init(&b);
    chardev_describe(c, &b);
    snprintf(text, sizeof text, "%.*s", (int)b.len, (const char *)b.data);
    buffer_finish(&b);
    return text;
}

START_TEST(a_serial_port_can_be_a_file)
{
    struct error err = {0};
    struct buffer b;
    char spec[128], *note;
    struct chardev *c;

    snprintf(spec, sizeof spec, "file:%s/f", dir);
    c = chardev_open(spec, "serial0", 0, &note, &err);
    ck_assert_ptr_nonnull(c);
    ck_assert_ptr_null(note);
    chardev_write(c, "output", 6);
    chardev_close(c);
    buffer_init(&b);
    ck_assert_int_eq(host_load_file(spec + 5, 100, "x", &b, &err), 0);
    ck_assert_uint_eq(b.len, 6);
    buffer_finish(&b);
    unlink(spec + 5);
}
END_TEST

START_TEST(a_client_that_does_not_read_loses_what_is_beyond_16_mib_and_holds_nobody)
{
    struct error err = {0};
    char where[100] = "", *note;
    struct chardev *c = chardev_open("tcp:127.0.0.1:0,server,nowait", "serial0", 0, &note, &err);
    uint8_t *piece = xcalloc(1, 1u << 20), *buf = xmalloc(1u << 20);
    uint64_t got = 0, most = 0;
    struct stream s;
    size_t n;

    ck_assert_int_eq(sscanf(note, "serial0 listens on %99s", where), 1);
    stream_init(&s);
    ck_assert_int_eq(stream_connect(&s, where, &err), 0);
    for (int i = 0; i < 1000 && !strstr(described(c), ", connected"); i++)
        chardev_service(c);
    for (int i = 0; i < 40; i++)
        chardev_write(c, piece, 1u << 20);
    ck_assert_uint_eq(chardev_backlog(c), 0);
    ck_assert_uint_ge(chardev_client_backlog(c), 16u << 20);
    ck_assert_uint_gt(chardev_lost(c), 0);
    ck_assert_msg(strstr(described(c), " bytes were lost") != NULL, "%s", described(c));
    chardev_client_reads(c);
    chardev_service(c);
    ck_assert(!chardev_client_reads(c));
    most = (40u << 20) - chardev_lost(c);
    while (got < most) {
        long r = stream_read(&s, buf, 1u << 20);

        chardev_service(c);
        if (r > 0)
            got += (uint64_t)r;
    }
    ck_assert(chardev_client_reads(c));
    n = chardev_client_backlog(c);
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_eq(got, most);
    chardev_write(c, "again", 5);
    ck_assert_uint_eq(chardev_lost(c), (40u << 20) - most);
    stream_close(&s);
    chardev_close(c);
    free(note);
    free(piece);
    free(buf);
}
END_TEST

START_TEST(a_serial_port_can_be_a_server_whose_clients_come_and_go)
{
    struct error err = {0};
    char where[100] = "", *note, buf[8];
    struct chardev *c = chardev_open("tcp:127.0.0.1:0,server,nowait", "serial0", 0, &note, &err);

    ck_assert_ptr_nonnull(c);
    ck_assert_int_eq(sscanf(note, "serial0 listens on %99s", where), 1);
    chardev_write(c, "lost", 4);
    ck_assert_uint_eq(chardev_backlog(c), 0);
    for (int i = 0; i < 2; i++) {
        struct stream s;
        size_t n = 0;

        ck_assert_int_eq(stream_connect(&s, where, &err), 0);
        stream_write(&s, "in", 2);
        for (uint64_t end = host_monotonic_ns() + 60000000000u; n == 0 && host_monotonic_ns() < end;) {
            struct poller p;

            poller_clear(&p);
            chardev_poll(c, &p, true);
            poller_wait(&p, 1000000000u);
            chardev_service(c);
            n = chardev_read(c, buf, sizeof buf);
        }
        ck_assert_uint_eq(n, 2);
        chardev_write(c, "out", 3);
        ck_assert_int_eq(read_soon(&s, buf, sizeof buf), 3);
        stream_close(&s);
        while (chardev_read(c, buf, sizeof buf))
            ;
    }
    free(note);
    chardev_close(c);
}
END_TEST

START_TEST(what_no_serial_port_can_be_is_refused)
{
    static const char *const bad[] = {"", "tty", "file:", "tcp:nowhere", "tcp:127.0.0.1:0,sever", "pty:x",
                                      "ringbuf:", "ringbuf:0", "ringbuf:3", "ringbuf:134217728", "ringbuf:8x", "telnet:nowhere",
                                      "tcp:127.0.0.1:0,reconnect=x"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = {0};
        char *note;

        ck_assert_msg(!chardev_open(bad[i], "serial1", 0, &note, &err), "%s", bad[i]);
        ck_assert_ptr_eq(strstr(err.text, "serial1: "), err.text);
    }
}
END_TEST

/* ---- a guest's files ---- */

static struct host_files *guest_files(void)
{
    struct error err = {0};
    struct host_files *f = host_files_open(dir, 0, &err);

    ck_assert_msg(f != NULL, "%s", err.text);
    return f;
}

static struct file_answer ask(struct host_files *f, struct file_request r)
{
    static uint8_t bytes[FILE_PIECE];
    struct file_answer a = {.data = bytes};

    host_files_call(f, &r, &a);
    return a;
}

static void in_dir(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", dir, name);
}

static void clean(const char *name)
{
    char path[128];

    in_dir(path, name);
    ck_assert_int_eq(remove(path), 0);
}

START_TEST(a_guest_reads_and_writes_files_of_its_directory)
{
    struct host_files *f = guest_files();
    struct file_request r = {.op = FILE_OPEN, .file = 1, .name = "./a", .access = FILE_ACCESS_READ | FILE_ACCESS_WRITE | FILE_CREATE};
    struct file_answer a;

    ck_assert_uint_eq(ask(f, r).error, 0);
    r.op = FILE_WRITE, r.data = "hello", r.len = 5, r.offset = 2;
    a = ask(f, r);
    ck_assert(!a.error && a.value == 5 && a.offset == 7);
    r.access |= FILE_APPEND, r.offset = 0;
    a = ask(f, r);
    ck_assert(!a.error && a.value == 5 && a.offset == 12);
    r.op = FILE_LENGTH;
    ck_assert_uint_eq(ask(f, r).value, 12);
    r.op = FILE_READ, r.offset = 1, r.len = 100;
    a = ask(f, r);
    ck_assert_uint_eq(a.value, 11);
    ck_assert_mem_eq(a.data, "\0hellohello", 11);
    r.offset = UINT64_MAX;
    ck_assert_uint_eq(ask(f, r).error, EINVAL);
    host_files_close(f);
    clean("a");
}
END_TEST

START_TEST(a_guests_open_file_outlives_its_name_and_is_found_again_by_it)
{
    struct host_files *f = guest_files();
    struct file_request r = {.op = FILE_OPEN, .file = 1, .name = "a", .access = FILE_ACCESS_WRITE | FILE_CREATE | FILE_TRUNCATE};
    struct file_request renaming = {.op = FILE_RENAME, .name = "a", .to = "b"};

    ck_assert_uint_eq(ask(f, r).error, 0);
    r.access = FILE_ACCESS_WRITE, r.op = FILE_WRITE, r.data = "x", r.len = 1;
    ck_assert_uint_eq(ask(f, renaming).error, 0);
    ck_assert_uint_eq(ask(f, r).error, 0);
    host_files_close(f);
    f = guest_files(); /* as when a recording is continued */
    ck_assert_uint_eq(ask(f, r).error, ENOENT);
    r.name = "b", r.offset = 1;
    ck_assert_uint_eq(ask(f, r).error, 0);
    r.op = FILE_LENGTH;
    ck_assert_uint_eq(ask(f, r).value, 2); /* not emptied */
    host_files_close(f);
    clean("b");
}
END_TEST

START_TEST(more_files_than_are_kept_open_all_work)
{
    struct host_files *f = guest_files();
    char name[16];

    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 1; i <= 300; i++) {
            struct file_request r = {.op = round ? FILE_LENGTH : FILE_OPEN, .file = i, .name = name,
                                     .access = FILE_ACCESS_WRITE | (round ? 0 : FILE_CREATE)};

            snprintf(name, sizeof name, "f%u", i);
            ck_assert_uint_eq(ask(f, r).error, 0);
        }
    for (unsigned i = 1; i <= 300; i++) {
        snprintf(name, sizeof name, "f%u", i);
        ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_REMOVE, .name = name}).error, 0);
    }
    host_files_close(f);
}
END_TEST

/* A history that was left gave the number to another file. */
START_TEST(a_number_that_is_opened_again_is_the_new_file)
{
    struct host_files *f = guest_files();
    struct file_request r = {.op = FILE_OPEN, .file = 1, .name = "a", .access = FILE_ACCESS_WRITE | FILE_CREATE};

    ck_assert_uint_eq(ask(f, r).error, 0);
    r.name = "b";
    ck_assert_uint_eq(ask(f, r).error, 0);
    r.op = FILE_WRITE, r.data = "x", r.len = 1;
    ck_assert_uint_eq(ask(f, r).error, 0);
    r.op = FILE_LENGTH;
    ck_assert_uint_eq(ask(f, r).value, 1);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_OPEN, .file = 2, .name = "a", .access = FILE_ACCESS_READ}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_LENGTH, .file = 2, .name = "a"}).value, 0);
    host_files_close(f);
    clean("a");
    clean("b");
}
END_TEST

static struct host_files *guest_system(unsigned flags)
{
    struct error err = {0};
    struct host_files *f = host_files_open(dir, HOST_FILES_SYSTEM | flags, &err);

    ck_assert_msg(f != NULL, "%s", err.text);
    return f;
}

static struct file_status status_of(struct host_files *f, const char *name)
{
    struct file_answer a = ask(f, (struct file_request){.op = FILE_STATUS, .name = name, .len = sizeof(struct file_status)});
    struct file_status st = {0};

    if (a.error)
        return st;
    ck_assert_uint_eq(a.value, sizeof(st));
    for (size_t i = 0; i < FILE_STATUS_WORDS; i++)
        ((uint64_t *)&st)[i] = get_le64(a.data + 8 * i);
    return st;
}

START_TEST(a_file_system_has_directories_links_and_attributes)
{
    struct host_files *f = guest_system(0);
    struct file_change change = {.what = FILE_CHANGE_MODE | FILE_CHANGE_SIZE | FILE_CHANGE_MTIME | FILE_CHANGE_MTIME_SET,
                                 .mode = 0640, .size = 1000, .mtime = 1234567890, .mtime_ns = 99};
    struct file_answer a;
    const uint8_t *p;

    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_MAKE, .name = "d", .mode = S_IFDIR | 0755}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_MAKE, .name = "d", .mode = S_IFDIR | 0755}).error, EEXIST);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_MAKE, .name = "d/f", .mode = S_IFREG | 0600}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_MAKE, .name = "d/pipe", .mode = S_IFIFO | 0600}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_MAKE, .name = "d/device", .mode = S_IFCHR | 0600}).error, EPERM);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_SYMLINK, .name = "d/l", .to = "../../etc/passwd"}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_LINK, .name = "d/f", .to = "d/g"}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_CHANGE, .name = "d/f", .change = &change}).error, 0);
    ck_assert_uint_eq(status_of(f, "d/g").size, 1000);
    ck_assert_uint_eq(status_of(f, "d/g").mode, S_IFREG | 0640);
    ck_assert_uint_eq(status_of(f, "d/g").links, 2);
    ck_assert_uint_eq(status_of(f, "d/g").mtime_ns, 99);
    ck_assert_uint_eq(status_of(f, "d/g").id, status_of(f, "d/f").id);
    ck_assert(S_ISDIR(status_of(f, "").mode) && S_ISLNK(status_of(f, "d/l").mode) && S_ISFIFO(status_of(f, "d/pipe").mode));
    a = ask(f, (struct file_request){.op = FILE_READ_LINK, .name = "d/l", .len = 100});
    ck_assert(!a.error && a.value == 16 && !memcmp(a.data, "../../etc/passwd", 16));
    /* Nothing follows a link, and nothing but plain files is opened. */
    ck_assert_uint_ne(ask(f, (struct file_request){.op = FILE_OPEN, .file = 1, .name = "d/l", .access = FILE_ACCESS_READ}).error, 0);
    ck_assert_uint_ne(ask(f, (struct file_request){.op = FILE_OPEN, .file = 1, .name = "d/pipe", .access = FILE_ACCESS_READ}).error, 0);
    ck_assert_uint_ne(ask(f, (struct file_request){.op = FILE_CHANGE, .name = "d/l", .change = &change}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_STATUS, .name = "d/f/x", .len = 200}).error, ENOTDIR);
    /* In the order of the names, from any of them on. */
    a = ask(f, (struct file_request){.op = FILE_LIST, .file = 2, .name = "d", .len = 1000});
    ck_assert(!a.error && a.value == 6 * FILE_ENTRY_HEAD + 1 + 2 + 1 + 1 + 1 + 4);
    a = ask(f, (struct file_request){.op = FILE_LIST, .file = 2, .name = "d", .offset = 2, .len = 2 * FILE_ENTRY_HEAD + 2});
    p = a.data;
    ck_assert(!a.error && a.value == 2 * FILE_ENTRY_HEAD + 2 && p[18] == 'f' && p[FILE_ENTRY_HEAD + 1 + 18] == 'g');
    ck_assert_uint_eq(get_le64(p + 8), 3);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_REMOVE_DIRECTORY, .name = "d"}).error, ENOTEMPTY);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_RENAME, .name = "d", .to = "e"}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_SYSTEM_STATUS, .name = "", .len = 100}).value, sizeof(struct file_system_status));
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_STATUS, .name = "..", .len = 200}).error, EACCES);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_REMOVE, .name = (const char *[]){"e/f", "e/g", "e/l", "e/pipe"}[i]}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_REMOVE_DIRECTORY, .name = "e"}).error, 0);
    host_files_close(f);
}
END_TEST

START_TEST(a_read_only_file_system_is_not_changed)
{
    static const enum file_op ops[] = {FILE_WRITE, FILE_REMOVE, FILE_RENAME, FILE_CHANGE, FILE_MAKE, FILE_SYMLINK, FILE_LINK,
                                       FILE_REMOVE_DIRECTORY};
    struct file_change change = {.what = FILE_CHANGE_MODE};
    struct host_files *f = guest_system(HOST_FILES_READ_ONLY);
    char path[128];

    in_dir(path, "a");
    put_file(path, "text", 4);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        ck_assert_uint_eq(ask(f, (struct file_request){.op = ops[i], .file = 1, .name = "a", .to = "b", .change = &change, .data = "x", .len = 1,
                                                       .access = FILE_ACCESS_WRITE, .mode = S_IFREG}).error, EROFS);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_OPEN, .file = 1, .name = "a", .access = FILE_ACCESS_READ | FILE_TRUNCATE}).error, EROFS);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_OPEN, .file = 1, .name = "a", .access = FILE_ACCESS_READ}).error, 0);
    ck_assert_uint_eq(ask(f, (struct file_request){.op = FILE_READ, .file = 1, .name = "a", .len = 9}).value, 4);
    host_files_close(f);
    clean("a");
}
END_TEST

START_TEST(a_guest_can_neither_write_nor_remove_what_its_run_reads_and_writes)
{
    static const enum file_op ops[] = {FILE_OPEN, FILE_REMOVE, FILE_RENAME};
    struct host_files *f = guest_files();
    struct error err = {0};
    struct buffer b;
    char path[100];
    int fd;

    name_file(path, "kernel");
    put_file(path, "kernel", 6);
    buffer_init(&b);
    ck_assert_int_eq(host_load_file(path, 1000, "the test", &b, &err), 0);
    buffer_finish(&b);
    name_file(path, "console");
    fd = host_output_open(path, 0, &err);
    for (unsigned i = 0; i < 2; i++) {
        struct file_request r = {.file = 1, .name = i ? "kernel" : "console", .to = "new", .access = FILE_ACCESS_WRITE | FILE_TRUNCATE};

        for (unsigned k = 0; k < ARRAY_LEN(ops); k++) {
            r.op = ops[k];
            ck_assert_uint_eq(ask(f, r).error, EACCES);
        }
        r.op = FILE_OPEN;
        r.access = FILE_ACCESS_READ;
        ck_assert_uint_eq(ask(f, r).error, 0);
    }
    host_files_close(f);
    close(fd);
    unlink(path);
    name_file(path, "kernel");
    expect_file(path, "kernel");
    unlink(path);
}
END_TEST

START_TEST(a_guest_gets_nowhere_else_by_any_request)
{
    static const struct {
        const char *name;
        uint32_t error;
    } bad[] = {{"..", EACCES}, {"../x", EACCES}, {"sub/../../x", EACCES}, {"/etc/passwd", EACCES}, {"//etc/passwd", EACCES},
               {"link", EACCES}, {"up/x", EACCES}, {"fifo", EACCES}, {"", ENOENT}, {".", EISDIR}, {"sub", EISDIR},
               {"sub/", EISDIR}, {"./", EISDIR}, {"sub/..", EACCES}, {"fifo/x", EACCES}};
    static const enum file_op ops[] = {FILE_OPEN, FILE_READ, FILE_WRITE, FILE_LENGTH, FILE_REMOVE, FILE_RENAME};
    struct host_files *f;
    char path[128];

    in_dir(path, "sub");
    ck_assert_int_eq(mkdir(path, 0777), 0);
    in_dir(path, "link");
    ck_assert_int_eq(symlink("/etc/passwd", path), 0);
    in_dir(path, "up");
    ck_assert_int_eq(symlink("..", path), 0);
    in_dir(path, "fifo");
    ck_assert_int_eq(mkfifo(path, 0666), 0);
    f = guest_files();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        for (size_t op = 0; op < ARRAY_LEN(ops); op++) {
            struct file_request r = {.op = ops[op], .file = 1, .name = bad[i].name, .to = "new", .data = "x", .len = 1,
                                     .access = FILE_ACCESS_READ | FILE_ACCESS_WRITE | FILE_CREATE | FILE_TRUNCATE};

            ck_assert_msg(ask(f, r).error == bad[i].error, "%s, operation %d: %u", bad[i].name, (int)ops[op], ask(f, r).error);
            if (ops[op] != FILE_RENAME)
                continue;
            r.op = FILE_OPEN, r.name = "old";
            ck_assert_uint_eq(ask(f, r).error, 0);
            r.op = FILE_RENAME, r.to = bad[i].name;
            ck_assert_msg(ask(f, r).error == bad[i].error, "to %s: %u", bad[i].name, ask(f, r).error);
            r.op = FILE_CLOSE;
            ask(f, r);
        }
    host_files_close(f);
    clean("old"), clean("fifo"), clean("up"), clean("link"), clean("sub");
}
END_TEST

START_TEST(code_stays_what_it_is_while_its_memory_is_backed)
{
    enum { PIECE = 64 << 10, LARGE = 2 << 20, SIZE = 2 * LARGE + 3 * PIECE };
    struct code_memory m;
    struct error err;

    ck_assert_int_eq(code_memory_map(&m, SIZE, &err), 0);
    ck_assert_uint_eq((uintptr_t)m.write % LARGE | (uintptr_t)m.execute % LARGE, 0);
    for (size_t at = 0; at < SIZE; at += PIECE) {
        m.back(&m, at, PIECE);
        memset(m.write + at, (int)(at / PIECE + 1), PIECE);
        for (size_t i = 0; i <= at; i += PIECE) {
            ck_assert_uint_eq(m.execute[i], i / PIECE + 1);
            ck_assert_uint_eq(m.execute[i + PIECE - 1], i / PIECE + 1);
        }
    }
    code_memory_unmap(&m);
    ck_assert_uint_eq(m.size, 0);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("host");
    TCase *tc = tcase_create("host");

    tcase_add_checked_fixture(tc, make_dir, remove_dir);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, bytes_go_over_tcp);
    tcase_add_test(tc, bytes_go_over_a_unix_socket_that_is_removed_at_the_end);
    tcase_add_test(tc, a_writer_never_blocks_and_nothing_is_lost);
    tcase_add_test(tc, what_came_by_tcp_is_acknowledged_at_once);
    tcase_add_test(tc, a_port_in_use_is_said_to_be);
    tcase_add_test(tc, nonsense_is_no_address);
    tcase_add_test(tc, files_load_up_to_their_limit);
    tcase_add_test(tc, a_file_is_written_cut_rewritten_and_read_in_pieces);
    tcase_add_test(tc, what_a_run_has_read_is_never_written_to);
    tcase_add_test(tc, a_recording_is_replaced_only_when_that_is_asked_for);
    tcase_add_test(tc, a_file_has_one_writer);
    tcase_add_test(tc, a_pipe_that_nobody_reads_is_refused_and_not_waited_for);
    tcase_add_test(tc, a_whole_file_is_there_when_it_is_whole);
    tcase_add_test(tc, a_serial_port_can_be_a_file);
    tcase_add_test(tc, a_client_that_does_not_read_loses_what_is_beyond_16_mib_and_holds_nobody);
    tcase_add_test(tc, a_serial_port_can_be_a_server_whose_clients_come_and_go);
    tcase_add_test(tc, what_no_serial_port_can_be_is_refused);
    tcase_add_test(tc, a_guest_reads_and_writes_files_of_its_directory);
    tcase_add_test(tc, a_guests_open_file_outlives_its_name_and_is_found_again_by_it);
    tcase_add_test(tc, more_files_than_are_kept_open_all_work);
    tcase_add_test(tc, a_number_that_is_opened_again_is_the_new_file);
    tcase_add_test(tc, a_file_system_has_directories_links_and_attributes);
    tcase_add_test(tc, a_read_only_file_system_is_not_changed);
    tcase_add_test(tc, a_guest_can_neither_write_nor_remove_what_its_run_reads_and_writes);
    tcase_add_test(tc, a_guest_gets_nowhere_else_by_any_request);
    tcase_add_test(tc, code_stays_what_it_is_while_its_memory_is_backed);
    suite_add_tcase(suite, tc);
    return suite;
}
