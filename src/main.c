/*
 * hindcast: reads the images, builds the machine, starts the server.
 *
 * Exit status: 0 normal end; 1 an option, file or address cannot be used; with
 * --run --listen none what the guest's end says (options.c, --help).
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "host/file.h"
#include "host/poller.h"
#include "i386/cpu.h"
#include "i386/pc.h"
#include "options.h"
#include "server.h"

#define STATUS_UNUSABLE 1
/* A firmware image ends below 4 GiB and its copy below 1 MiB; more makes no sense. */
#define BIOS_LIMIT ((uint64_t)16 << 20)

/* Everything that was read or split for the machine; lives as long as it. */
struct images {
    struct buffer kernel, bios;
    struct buffer module[OPTIONS_MAX_MODULES];
    struct pc_image modules[OPTIONS_MAX_MODULES];
    char *words[OPTIONS_MAX_MODULES]; /* "FILE WORDS" with the space made NUL; or NULL */
    unsigned nmodules;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "hindcast: %s\n", err->text);
    return STATUS_UNUSABLE;
}

/* A module: a file, or "FILE WORDS", where WORDS is its own command line. */
static int load_module(struct images *im, const char *spec, uint64_t limit, struct error *err)
{
    unsigned n = im->nmodules++;
    struct buffer *b = &im->module[n];
    const char *space = strchr(spec, ' '), *file = spec;
    int r;

    if (space && !host_file_exists(spec)) {
        im->words[n] = xstrdup(spec);
        im->words[n][space - spec] = 0;
        file = im->words[n];
    }
    r = host_load_file(file, limit, "the guest's memory", b, err);
    if (r < 0)
        return r;
    im->modules[n] = (struct pc_image){
        .data = b->data,
        .len = b->len,
        .name = file,
        .cmdline = file == spec ? NULL : spec,
    };
    return 0;
}

static int load_images(struct images *im, const struct options *o, struct error *err)
{
    int r = 0;

    if (o->kernel)
        r = host_load_file(o->kernel, UINT32_MAX, "a PC can address", &im->kernel, err);
    if (r == 0 && o->bios)
        r = host_load_file(o->bios, BIOS_LIMIT, "any firmware", &im->bios, err);
    for (unsigned i = 0; r == 0 && i < o->initrd_count; i++)
        r = load_module(im, o->initrd[i], o->memory_bytes, err);
    return r;
}

static void free_images(struct images *im)
{
    buffer_finish(&im->kernel);
    buffer_finish(&im->bios);
    for (unsigned i = 0; i < im->nmodules; i++) {
        buffer_finish(&im->module[i]);
        free(im->words[i]);
    }
}

static struct pc_image image_of(const struct buffer *b, const char *name)
{
    /* An empty file is given, but empty: the loader says what is wrong with it. */
    return (struct pc_image){.data = b->data ? (const void *)b->data : (const void *)"", .len = b->len, .name = name};
}

static int build_machine(struct machine **m, const struct images *im, const struct options *o, struct error *err)
{
    struct pc_config c = PC_CONFIG_INIT;

    c.memory_bytes = o->memory_bytes;
    c.cpu_model = o->cpu;
    if (o->kernel)
        c.kernel = image_of(&im->kernel, o->kernel);
    if (o->bios)
        c.bios = image_of(&im->bios, o->bios);
    c.modules = im->modules;
    c.nmodules = im->nmodules;
    c.append = o->append;
    c.icount_shift = o->icount_shift;
    c.no_reboot = o->no_reboot;
    c.debug_exit_count = o->debug_exit_count;
    memcpy(c.debug_exit_ports, o->debug_exit, sizeof c.debug_exit_ports);
    return pc_create(m, &c, err);
}

static int open_serial(struct server_config *c, const struct options *o, struct error *err)
{
    for (unsigned i = 0; i < o->serial_count; i++) {
        char name[24], *note;

        snprintf(name, sizeof name, "serial%u", i);
        c->serial[i] = chardev_open(o->serial[i], name, &note, err);
        if (!c->serial[i])
            return err->code;
        c->serial_count++;
        if (note)
            fprintf(stderr, "hindcast: %s\n", note);
        free(note);
    }
    return 0;
}

/* gdb can read symbols from it. */
static bool is_elf(const struct buffer *b)
{
    return b->len >= 4 && !memcmp(b->data, "\177ELF", 4);
}

/* Says where the guest was when an invariant of hindcast broke. */
static struct server *panicking;

static void on_panic(void)
{
    if (panicking)
        server_dump(panicking);
}

static int serve(const struct options *o, const struct images *im, struct machine *m)
{
    struct server_config c = {
        .machine = m,
        .checkpoint_bytes = o->checkpoint_bytes,
        .sleep = o->sleep,
        .listener = {.fd = -1},
        .gdb_stdio = o->gdb_stdio,
        .run = o->run,
        .hold = o->hold,
        .exit_at_end = o->run && !o->listen && !o->gdb_stdio,
        .version = PACKAGE_VERSION,
        .symbols = o->kernel && is_elf(&im->kernel) ? o->kernel : NULL,
        .triple = "i386-unknown-unknown",
    };
    struct error err = {0};
    struct server *s;
    int status;

    if ((o->listen && !o->gdb_stdio && listener_open(&c.listener, o->listen, &err) < 0) ||
        open_serial(&c, o, &err) < 0) {
        listener_close(&c.listener);
        for (unsigned i = 0; i < c.serial_count; i++)
            chardev_close(c.serial[i]);
        machine_destroy(m);
        return fail(&err);
    }
    s = server_create(&c);
    panicking = s;
    panic_hook = on_panic;
    status = server_run(s);
    panicking = NULL;
    server_destroy(s);
    return status;
}

static int boot(const struct options *o)
{
    struct images *im = xcalloc(1, sizeof *im);
    struct error err = {0};
    struct machine *m;
    int status;

    if (load_images(im, o, &err) < 0 || build_machine(&m, im, o, &err) < 0)
        status = fail(&err);
    else
        status = serve(o, im, m);
    free_images(im);
    free(im);
    return status;
}

int main(int argc, char **argv)
{
    struct options o;
    struct error err = {0};

    switch (options_parse(argc, argv, &o, &err)) {
    case OPTIONS_HELP:
        options_print_help(i386_model_names);
        return 0;
    case OPTIONS_VERSION:
        printf("hindcast %s\n", PACKAGE_VERSION);
        return 0;
    case OPTIONS_BAD:
        return fail(&err);
    case OPTIONS_GO:
        break;
    }
    host_signals_install();
    return boot(&o);
}
