/*
 * --chardev, taken apart (QEMU's words: qemu(1), "Character device options").
 *
 * A back end is what --serial could say, too; here it has a name by which a port can be connected to it
 * (`--serial chardev:ID`), and perhaps a file that gets a copy of the output. Adding one: its row here, and in
 * host/chardev.c what it does. Not here: udp, and the host's own serial and parallel ports.
 */
#include "chardev_options.h"

#include <errno.h>
#include <string.h>

#include "base/option_list.h"

#define COMMON {"backend", "socket|pty|file|pipe|stdio|stderr|ringbuf|null"}, {"id", "ID"}, {"logfile", "FILE"}, \
    {"logappend", "on|off"}, {"mux", "on|off"}
#define RINGBUF_USUAL ((uint64_t)64 << 10) /* bytes */

static const struct option_key plain_keys[] = {COMMON, {NULL, NULL}};
static const struct option_key stdio_keys[] = {COMMON, {"signal", "on|off"}, {NULL, NULL}};
static const struct option_key path_keys[] = {COMMON, {"path", "FILE"}, {NULL, NULL}};
static const struct option_key file_keys[] = {COMMON, {"path", "FILE"}, {"append", "on|off"}, {"input-path", "FILE"}, {NULL, NULL}};
static const struct option_key ring_keys[] = {COMMON, {"size", "BYTES"}, {NULL, NULL}};
static const struct option_key socket_keys[] = {
    COMMON, {"host", "HOST"}, {"port", "PORT"}, {"path", "FILE"}, {"server", "on|off"}, {"wait", "on|off"},
    {"nodelay", "on|off"}, {"telnet", "on|off"}, {"reconnect", "SECONDS"}, {NULL, NULL},
};

static int socket_spec(const struct option_list *l, struct buffer *spec, struct error *err)
{
    const char *host = option_list_get(l, "host"), *port = option_list_get(l, "port"), *path = option_list_get(l, "path");
    bool server = false, wait = true, telnet = false;
    uint64_t seconds = 0;

    if (option_list_switch(l, "server", &server, err) < 0 || option_list_switch(l, "wait", &wait, err) < 0 ||
        option_list_switch(l, "telnet", &telnet, err) < 0 || option_list_number(l, "reconnect", 0, 86400, &seconds, err) < 0)
        return -EINVAL;
    if (!path == !port)
        return error_set(err, -EINVAL, "--chardev socket: give port=PORT (and host=HOST), or path=FILE");
    if (path)
        buffer_printf(spec, "unix:%s", path);
    else
        buffer_printf(spec, "tcp:%s:%s", host ? host : "127.0.0.1", port);
    buffer_printf(spec, "%s%s%s", server ? ",server" : "", server && !wait ? ",nowait" : "", telnet ? ",telnet" : "");
    if (seconds)
        buffer_printf(spec, ",reconnect=%u", (unsigned)seconds);
    return 0;
}

static int path_spec(const struct option_list *l, struct buffer *spec, struct error *err)
{
    const char *backend = option_list_get(l, "backend"), *path = option_list_get(l, "path");

    if (!path || !*path)
        return error_set(err, -EINVAL, "--chardev %s: path=FILE is missing", backend);
    buffer_printf(spec, "%s:%s", backend, path);
    return 0;
}

static int ring_spec(const struct option_list *l, struct buffer *spec, struct error *err)
{
    uint64_t size = RINGBUF_USUAL;

    if (option_list_size(l, "size", 1, &size, err) < 0)
        return -EINVAL;
    buffer_printf(spec, "ringbuf:%llu", (unsigned long long)size);
    return 0;
}

/* Ctrl-c in the terminal is the guest's once it runs, and hindcast's before. */
static int stdio_spec(const struct option_list *l, struct buffer *spec, struct error *err)
{
    bool signal = true;

    if (option_list_switch(l, "signal", &signal, err) < 0)
        return -EINVAL;
    buffer_printf(spec, "stdio");
    return 0;
}

static int plain_spec(const struct option_list *l, struct buffer *spec, struct error *err)
{
    (void)err;
    buffer_printf(spec, "%s", option_list_get(l, "backend"));
    return 0;
}

static const struct backend {
    const char *name;
    const struct option_key *keys;
    int (*spec)(const struct option_list *l, struct buffer *spec, struct error *err);
} backends[] = {
    {"socket", socket_keys, socket_spec}, {"file", file_keys, path_spec}, {"pipe", path_keys, path_spec},
    {"pty", plain_keys, plain_spec}, {"stdio", stdio_keys, stdio_spec}, {"stderr", plain_keys, plain_spec},
    {"ringbuf", ring_keys, ring_spec}, {"null", plain_keys, plain_spec},
};

static int take_apart(struct chardev_options *o, struct option_list *l, struct error *err)
{
    const char *name = option_list_get(l, "backend"), *id = option_list_get(l, "id"), *log = option_list_get(l, "logfile");
    const char *input = option_list_get(l, "input-path");
    const struct backend *b = NULL;

    for (unsigned i = 0; name && i < ARRAY_LEN(backends); i++)
        if (!strcmp(backends[i].name, name))
            b = &backends[i];
    if (!b)
        return error_set(err, -EINVAL, "--chardev %s: there are socket, pty, file, pipe, stdio, stderr, ringbuf and null",
                         name ? name : "");
    if (option_list_check(l, b->keys, err) < 0)
        return -EINVAL;
    if (!id || !*id)
        return error_set(err, -EINVAL, "--chardev %s: id=ID is missing, by which --serial chardev:ID names it", name);
    if (option_list_switch(l, "mux", &o->mux, err) < 0 || option_list_switch(l, "append", &o->append, err) < 0 ||
        option_list_switch(l, "logappend", &o->log_append, err) < 0)
        return -EINVAL;
    if (o->log_append && !log)
        return error_set(err, -EINVAL, "--chardev %s,id=%s: logappend=on is of a logfile=FILE", name, id);
    buffer_printf(&o->input, "%s", input ? input : "");
    buffer_printf(&o->id, "%s", id);
    buffer_printf(&o->logfile, "%s", log ? log : "");
    return b->spec(l, &o->spec, err);
}

int chardev_options_parse(struct chardev_options *o, const char *text, struct error *err)
{
    struct option_list l;
    int r = option_list_parse(&l, "--chardev", text, "backend", NULL, err);

    buffer_init(&o->id);
    buffer_init(&o->spec);
    buffer_init(&o->logfile);
    buffer_init(&o->input);
    o->append = o->log_append = o->mux = false;
    if (r == 0)
        r = take_apart(o, &l, err);
    buffer_append_byte(&o->id, 0);
    buffer_append_byte(&o->spec, 0);
    buffer_append_byte(&o->logfile, 0);
    buffer_append_byte(&o->input, 0);
    option_list_finish(&l);
    return r;
}

void chardev_options_finish(struct chardev_options *o)
{
    buffer_finish(&o->id);
    buffer_finish(&o->spec);
    buffer_finish(&o->logfile);
    buffer_finish(&o->input);
}
