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

#include "aarch64/virt.h"
#include "base/buffer.h"
#include "host/code_memory.h"
#include "host/file.h"
#include "host/poller.h"
#include "i386/cpu.h"
#include "i386/pc.h"
#include "base/hash.h"
#include "server/options.h"
#include "server/recordings.h"
#include "server/server.h"

#define STATUS_UNUSABLE 1
/* Address space for compiled guest code; memory is used as far as there is code. */
#define CODE_BYTES ((size_t)64 << 20)
/* No firmware is larger than a flash bank. */
#define BIOS_LIMIT VIRT_FLASH_BYTES

/* Everything that was read or split for the machine; lives as long as it. */
struct images {
    struct buffer kernel, bios, vga_bios, pflash[OPTIONS_MAX_PFLASH];
    struct buffer rom[OPTIONS_MAX_ROMS];
    struct pc_image roms[OPTIONS_MAX_ROMS];
    unsigned nroms;
    struct buffer module[OPTIONS_MAX_MODULES];
    struct pc_image modules[OPTIONS_MAX_MODULES];
    char *words[OPTIONS_MAX_MODULES]; /* "FILE WORDS" with the space made NUL; or NULL */
    unsigned nmodules;
    /* What a recording says of them; `data` is not owned. */
    struct recording_image described[OPTIONS_MAX_MODULES + OPTIONS_MAX_PFLASH + OPTIONS_MAX_ROMS + 3];
    uint32_t ndescribed;
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

static struct pc_image image_of(const struct buffer *b, const char *name)
{
    /* An empty file is given, but empty: the loader says what is wrong with it. */
    return (struct pc_image){.data = b->data ? (const void *)b->data : (const void *)"", .len = b->len, .name = name};
}

static int load_rom(struct images *im, const char *file, struct error *err)
{
    unsigned n = im->nroms++;
    int r = host_load_file(file, BIOS_LIMIT, "any option ROM", &im->rom[n], err);

    im->roms[n] = image_of(&im->rom[n], file);
    return r;
}

static int load_images(struct images *im, const struct options *o, struct error *err)
{
    int r = 0;

    if (o->kernel)
        r = host_load_file(o->kernel, UINT32_MAX, "4 GiB", &im->kernel, err);
    if (r == 0 && o->bios)
        r = host_load_file(o->bios, BIOS_LIMIT, "any firmware", &im->bios, err);
    if (r == 0 && o->vga_bios)
        r = host_load_file(o->vga_bios, BIOS_LIMIT, "any video BIOS", &im->vga_bios, err);
    for (unsigned i = 0; r == 0 && i < o->rom_count; i++)
        r = load_rom(im, o->rom[i], err);
    for (unsigned i = 0; r == 0 && i < OPTIONS_MAX_PFLASH; i++)
        if (o->pflash[i])
            r = host_load_file(o->pflash[i], VIRT_FLASH_BYTES, "a flash bank", &im->pflash[i], err);
    for (unsigned i = 0; r == 0 && i < o->initrd_count; i++)
        r = load_module(im, o->initrd[i], o->memory_bytes, err);
    return r;
}

static int load_recorded_rom(struct images *im, const struct recording_image *ri, const struct options *o,
                             struct error *err)
{
    unsigned n = im->nroms;
    int status;

    if (n == OPTIONS_MAX_ROMS)
        return error_set(err, -EINVAL, "%s: more than %d option ROMs", o->replay, OPTIONS_MAX_ROMS);
    im->nroms++;
    status = recordings_load_image(ri, n < o->rom_count ? o->rom[n] : NULL, o->replay, &im->rom[n], err);
    im->roms[n] = image_of(&im->rom[n], ri->name);
    return status;
}

/* The images of a recording, from where they are now. */
static int load_recorded_images(struct images *im, const struct recording *r, const struct options *o,
                                struct error *err)
{
    const char *file = o->replay;
    int status = 0;

    for (size_t i = 0; status == 0 && i < r->nimages; i++) {
        const struct recording_image *ri = &r->images[i];
        unsigned n = im->nmodules;

        if (ri->role == RECORDING_KERNEL) {
            status = recordings_load_image(ri, o->kernel, file, &im->kernel, err);
        } else if (ri->role == RECORDING_BIOS) {
            status = recordings_load_image(ri, o->bios, file, &im->bios, err);
        } else if (ri->role == RECORDING_PFLASH0 || ri->role == RECORDING_PFLASH1) {
            unsigned bank = ri->role - RECORDING_PFLASH0;

            status = recordings_load_image(ri, o->pflash[bank], file,
                                           &im->pflash[bank], err);
        } else if (ri->role == RECORDING_VGA_BIOS) {
            status = recordings_load_image(ri, o->vga_bios, file, &im->vga_bios, err);
        } else if (ri->role == RECORDING_ROM) {
            status = load_recorded_rom(im, ri, o, err);
        } else if (n == OPTIONS_MAX_MODULES) {
            status = error_set(err, -EINVAL, "%s: more than %d modules", file, OPTIONS_MAX_MODULES);
        } else {
            im->nmodules++;
            status = recordings_load_image(ri, n < o->initrd_count ? o->initrd[n] : NULL, file, &im->module[n], err);
            im->modules[n] = (struct pc_image){
                .data = im->module[n].data ? (const void *)im->module[n].data : (const void *)"",
                .len = im->module[n].len,
                .name = ri->name,
                .cmdline = *ri->words ? ri->words : NULL,
            };
        }
    }
    return status;
}

static void describe_image(struct images *im, uint32_t role, const char *name, const char *words,
                           const struct buffer *b, bool embed)
{
    struct recording_image *d = &im->described[im->ndescribed++];

    *d = (struct recording_image){
        .role = role,
        .embedded = embed,
        .len = b->len,
        .hash = hash_bytes(0, b->data, b->len),
        .name = (char *)(uintptr_t)name,
        .words = (char *)(uintptr_t)(words ? words : ""),
        .data = *b,
    };
}

static void describe_images(struct images *im, const struct options *o)
{
    if (o->kernel)
        describe_image(im, RECORDING_KERNEL, o->kernel, NULL, &im->kernel, o->embed);
    if (o->bios)
        describe_image(im, RECORDING_BIOS, o->bios, NULL, &im->bios, o->embed);
    if (o->vga_bios)
        describe_image(im, RECORDING_VGA_BIOS, o->vga_bios, NULL, &im->vga_bios, o->embed);
    for (unsigned i = 0; i < im->nroms; i++)
        describe_image(im, RECORDING_ROM, im->roms[i].name, NULL, &im->rom[i], o->embed);
    for (unsigned i = 0; i < OPTIONS_MAX_PFLASH; i++)
        if (o->pflash[i])
            describe_image(im, RECORDING_PFLASH0 + i, o->pflash[i], NULL, &im->pflash[i], o->embed);
    for (unsigned i = 0; i < im->nmodules; i++)
        describe_image(im, RECORDING_MODULE, im->modules[i].name, im->modules[i].cmdline, &im->module[i], o->embed);
}

/* The guest saw the names that were recorded: those are used, wherever the files are now. */
static void name_recorded_images(const struct recording *r, struct options *o)
{
    o->kernel = o->bios = o->vga_bios = NULL;
    o->pflash[0] = o->pflash[1] = NULL;
    for (size_t i = 0; i < r->nimages; i++) {
        if (r->images[i].role == RECORDING_KERNEL)
            o->kernel = r->images[i].name;
        else if (r->images[i].role == RECORDING_BIOS)
            o->bios = r->images[i].name;
        else if (r->images[i].role == RECORDING_VGA_BIOS)
            o->vga_bios = r->images[i].name;
        else if (r->images[i].role == RECORDING_PFLASH0 || r->images[i].role == RECORDING_PFLASH1)
            o->pflash[r->images[i].role - RECORDING_PFLASH0] = r->images[i].name;
    }
}

static void free_images(struct images *im)
{
    buffer_finish(&im->kernel);
    buffer_finish(&im->bios);
    buffer_finish(&im->vga_bios);
    for (unsigned i = 0; i < im->nroms; i++)
        buffer_finish(&im->rom[i]);
    for (unsigned i = 0; i < OPTIONS_MAX_PFLASH; i++)
        buffer_finish(&im->pflash[i]);
    for (unsigned i = 0; i < im->nmodules; i++) {
        buffer_finish(&im->module[i]);
        free(im->words[i]);
    }
}

static struct virt_image virt_image_of(const struct buffer *b, const char *name)
{
    return (struct virt_image){.data = b->data ? (const void *)b->data : (const void *)"", .len = b->len, .name = name};
}

static int build_virt(struct machine **m, const struct images *im, const struct options *o, struct error *err)
{
    struct virt_config c = VIRT_CONFIG_INIT;

    c.memory_bytes = o->memory_bytes;
    c.cpu_model = o->cpu;
    c.gic_version = o->gic_version;
    c.secure = o->secure;
    c.virtualization = o->virtualization;
    if (o->kernel)
        c.kernel = virt_image_of(&im->kernel, o->kernel);
    if (o->bios)
        c.bios = virt_image_of(&im->bios, o->bios);
    else if (o->dumpdtb && !o->kernel && !o->pflash[0])
        c.bios = (struct virt_image){.data = "", .name = "empty flash"}; /* a board can be described that starts nothing */
    for (unsigned i = 0; i < OPTIONS_MAX_PFLASH; i++)
        if (o->pflash[i])
            c.pflash[i] = virt_image_of(&im->pflash[i], o->pflash[i]);
    if (im->nmodules)
        c.initrd = virt_image_of(&im->module[0], im->modules[0].name);
    c.append = o->append;
    c.icount_shift = o->icount_shift;
    c.no_reboot = o->no_reboot;
    c.semihosting = o->semihosting;
    c.semihost_cmdline = o->semihost_cmdline;
    return virt_create(m, &c, err);
}

static int build_pc(struct machine **m, const struct images *im, const struct options *o, struct error *err)
{
    struct pc_config c = PC_CONFIG_INIT;

    c.memory_bytes = o->memory_bytes;
    c.cpu_model = o->cpu;
    if (o->kernel)
        c.kernel = image_of(&im->kernel, o->kernel);
    if (o->bios)
        c.bios = image_of(&im->bios, o->bios);
    c.vga = !strcmp(o->vga, "std") ? PC_VGA_STD : PC_VGA_NONE;
    if (o->vga_bios)
        c.vga_bios = image_of(&im->vga_bios, o->vga_bios);
    c.serial_out2 = o->serial_out2;
    c.roms = im->roms;
    c.nroms = im->nroms;
    c.modules = im->modules;
    c.nmodules = im->nmodules;
    c.append = o->append;
    c.icount_shift = o->icount_shift;
    c.no_reboot = o->no_reboot;
    c.debug_exit_count = o->debug_exit_count;
    memcpy(c.debug_exit_ports, o->debug_exit, sizeof c.debug_exit_ports);
    return pc_create(m, &c, err);
}

/* Without the JIT the guest is slower and otherwise the same: that is worth a message only. */
static int choose_engine(struct machine *m, const struct options *o, struct error *err)
{
    struct code_memory memory = {0};
    int r;

    if (o->engine == ENGINE_INTERPRETER)
        return 0;
    r = code_memory_map(&memory, CODE_BYTES, err);
    if (r == 0 && ucpu_use_jit((struct ucpu *)(void *)m->cpu, &memory, 0))
        return 0;
    if (r == 0) {
        code_memory_unmap(&memory);
        r = error_set(err, -ENOSYS, "there is no JIT for this host, or not in this build");
        if (o->engine == ENGINE_AUTO)
            return 0;
    }
    if (o->engine == ENGINE_AUTO) {
        fprintf(stderr, "hindcast: %s; the guest is interpreted, which is slower\n", err->text);
        return 0;
    }
    machine_destroy(m);
    return r;
}

/* The machine that the options ask for, or else the kernel. */
static int build_machine(struct machine **m, const struct images *im, struct options *o, struct error *err)
{
    int r = options_settle(o, o->pflash[0] || virt_recognises(im->kernel.data, im->kernel.len), err);

    if (r < 0)
        return r;
    r = o->kind == MACHINE_VIRT ? build_virt(m, im, o, err) : build_pc(m, im, o, err);
    if (r == 0)
        r = choose_engine(*m, o, err);
    return r;
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

static int serve(const struct options *o, struct images *im, struct machine *m, struct recording *replay)
{
    struct recordings_text text;
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
        .record = o->record,
        .checkpoint_steps = o->checkpoint_steps,
        .replay = replay,
        .replay_name = o->replay,
        .continue_live = o->continue_live,
        .ignore_checkpoints = o->ignore_checkpoints,
        .symbols = o->kernel && is_elf(&im->kernel) ? o->kernel : NULL,
        .triple = o->kind == MACHINE_VIRT ? "aarch64-unknown-unknown" : "i386-unknown-unknown",
    };
    struct error err = {0};
    struct server *s;
    int status;

    for (unsigned i = 0; i < OPTIONS_MAX_PFLASH; i++)
        if (o->pflash_write_back[i])
            c.flash[i] = (struct server_flash){o->pflash[i], im->pflash[i].data, im->pflash[i].len};
    if (o->semihost_dir) {
        c.files = host_files_open(o->semihost_dir, &err);
        if (!c.files) {
            machine_destroy(m);
            return fail(&err);
        }
    }
    if ((o->listen && !o->gdb_stdio && listener_open(&c.listener, o->listen, &err) < 0) ||
        open_serial(&c, o, &err) < 0) {
        listener_close(&c.listener);
        for (unsigned i = 0; i < c.serial_count; i++)
            chardev_close(c.serial[i]);
        host_files_close(c.files);
        machine_destroy(m);
        return fail(&err);
    }
    recordings_describe(o, PACKAGE_VERSION, &text);
    describe_images(im, o);
    c.description = (struct server_description){
        (const char *const (*)[2])text.pairs, text.npairs, im->described, im->ndescribed,
    };
    s = server_create(&c, &err);
    if (!s)
        return fail(&err);
    panicking = s;
    panic_hook = on_panic;
    status = server_run(s);
    panicking = NULL;
    server_destroy(s);
    return status;
}

static int dump_device_tree(const char *path, struct machine *m)
{
    struct host_writer w;
    struct error err = {0};
    size_t len;
    const void *dtb = virt_device_tree(m, &len);
    int r = host_writer_open(&w, path, &err);

    if (r == 0) {
        r = host_writer_write(&w, dtb, len);
        if (r == 0)
            r = host_writer_close(&w);
        else
            host_writer_close(&w);
        if (r < 0)
            error_set(&err, r, "%s: cannot write: %s", path, strerror(-r));
    }
    machine_destroy(m);
    return r < 0 ? fail(&err) : 0;
}

static int boot(struct options *o)
{
    struct images *im = xcalloc(1, sizeof *im);
    struct error err = {0};
    struct machine *m;
    int status;

    if (load_images(im, o, &err) < 0 || build_machine(&m, im, o, &err) < 0)
        status = fail(&err);
    else if (o->dumpdtb)
        status = dump_device_tree(o->dumpdtb, m);
    else
        status = serve(o, im, m, NULL);
    free_images(im);
    free(im);
    return status;
}

struct recorded {
    struct images *im;
    struct options *o;
};

static int build_recorded(void *ctx, struct machine **m, struct error *err)
{
    const struct recorded *d = ctx;

    return build_machine(m, d->im, d->o, err);
}

/* --replay and `hindcast verify`: the machine is the recording's. */
static int boot_recorded(struct options *o, struct recording *r)
{
    struct images *im = xcalloc(1, sizeof *im);
    struct recorded d = {im, o};
    struct error err = {0};
    struct machine *m;
    int status;

    if (o->record && host_same_file(o->record, o->replay))
        status = fail((error_set(&err, -EINVAL, "--record and --replay name the same file"), &err));
    else if (recordings_configure(r, o, &err) < 0 || load_recorded_images(im, r, o, &err) < 0) {
        status = fail(&err);
    } else {
        name_recorded_images(r, o);
        if (o->command == OPTIONS_VERIFY)
            status = recordings_verify(o, r, build_recorded, &d);
        else if (build_machine(&m, im, o, &err) < 0)
            status = fail(&err);
        else
            status = serve(o, im, m, r);
    }
    free_images(im);
    free(im);
    return status;
}

static int replay(struct options *o)
{
    struct error err = {0};
    struct host_reader file;
    struct recording *r;
    int status;

    r = xcalloc(1, sizeof *r);
    if (recordings_load(o->replay, &file, o->command == OPTIONS_VERIFY, r, &err) < 0) {
        status = fail(&err);
    } else {
        if (*r->note && o->command == OPTIONS_SERVE)
            fprintf(stderr, "hindcast: %s: %s; its history is used as far as it is whole, to position %llu\n",
                    o->replay, r->note, (unsigned long long)r->edge);
        status = boot_recorded(o, r);
        recording_finish(r);
    }
    free(r);
    host_reader_close(&file);
    return status;
}

static int run(int argc, char **argv, struct options *o)
{
    struct error err = {0};

    switch (options_parse(argc, argv, o, &err)) {
    case OPTIONS_HELP:
        options_print_help(i386_model_names, a64_model_names);
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
    if (o->command == OPTIONS_INFO)
        return recordings_info(o->replay);
    return o->replay ? replay(o) : boot(o);
}

int main(int argc, char **argv)
{
    struct options o;
    int status = run(argc, argv, &o);

    options_finish(&o);
    return status;
}
