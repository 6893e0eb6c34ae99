/*
 * The images of a run. See images.h.
 *
 * To add a kind: its row here, its enum in options.h and in replay/recording.h, the option that takes it in
 * option_table.c, and the board that gets it in main.c.
 */
#include "images.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "host/file.h"
#include "host/path.h"

#define MIB ((uint64_t)1 << 20)
/* What is in a recording was read once. */
#define RECORDED_LIMIT ((uint64_t)1 << 50)

struct image_row {
    enum recording_role role;
    const char *option;
    uint64_t limit;          /* most bytes; 0: the guest's memory */
    const char *limit_means; /* what that is */
    unsigned most;           /* how many there can be */
};

/* No firmware is larger than a flash bank. */
static const struct image_row rows[IMAGE_KINDS] = {
    [IMAGE_KERNEL] = {RECORDING_KERNEL, "kernel", UINT32_MAX, "4 GiB", 1},
    [IMAGE_BIOS] = {RECORDING_BIOS, "bios", 64 * MIB, "any firmware", 1},
    [IMAGE_VGA_BIOS] = {RECORDING_VGA_BIOS, "vga-bios", 64 * MIB, "any video BIOS", 1},
    [IMAGE_ROM] = {RECORDING_ROM, "option-rom", 64 * MIB, "any option ROM", OPTIONS_MAX_ROMS},
    [IMAGE_PFLASH0] = {RECORDING_PFLASH0, "pflash", 64 * MIB, "a flash bank", 1},
    [IMAGE_PFLASH1] = {RECORDING_PFLASH1, "pflash", 64 * MIB, "a flash bank", 1},
    [IMAGE_DEVICE_ROM] = {RECORDING_DEVICE_ROM, "romfile", 16 * MIB, "any option ROM", PARTS_MAX_DEVICES},
    [IMAGE_MODULE] = {RECORDING_MODULE, "initrd", 0, "the guest's memory", OPTIONS_MAX_MODULES},
};

const char *images_option(uint32_t role)
{
    for (unsigned k = 0; k < IMAGE_KINDS; k++)
        if (rows[k].role == role)
            return rows[k].option;
    return "kernel";
}

void images_finish(struct images *im)
{
    for (unsigned i = 0; i < im->count; i++) {
        buffer_finish(&im->bytes[i]);
        free(im->words[i]);
    }
    im->count = 0;
}

/* One more image, without bytes so far. */
static unsigned add(struct images *im, enum image_kind kind)
{
    unsigned n = im->count++;

    CHECK(n < RECORDING_MAX_IMAGES);
    im->kind[n] = kind;
    buffer_init(&im->bytes[n]);
    im->words[n] = NULL;
    return n;
}

/* Its bytes are there. (An empty file is given, but empty: who loads it says what is wrong with it.) */
static void name_image(struct images *im, unsigned n, const char *name, const char *cmdline)
{
    const struct buffer *b = &im->bytes[n];

    im->boot[n] = (struct boot_image){
        .data = b->data ? (const void *)b->data : "", .len = b->len, .name = name, .cmdline = cmdline};
}

const struct boot_image *images_of(const struct images *im, enum image_kind kind, unsigned *count)
{
    static const struct boot_image none;
    const struct boot_image *first = NULL;

    *count = 0;
    for (unsigned i = 0; i < im->count; i++) {
        if (im->kind[i] != kind)
            continue;
        first = first ? first : &im->boot[i];
        ++*count;
    }
    return first ? first : &none;
}

struct boot_image images_first(const struct images *im, enum image_kind kind)
{
    unsigned count;

    return *images_of(im, kind, &count);
}

/* ---- that options name ---- */

/* Bytes that are surely not what the option asks for. */
static int check_bytes(enum image_kind kind, const struct boot_image *b, struct error *err)
{
    const char *option = rows[kind].option, *machine = boot_image_elf_machine(b);

    /* The second flash bank may be empty: there are no variables so far. The first one has the firmware. */
    if (!b->len && rows[kind].role != RECORDING_PFLASH1)
        return error_set(err, -EINVAL, "%s: an empty file (--%s)", b->name, option);
    if (b->len >= RECORDING_MAGIC_BYTES && !memcmp(b->data, RECORDING_MAGIC, RECORDING_MAGIC_BYTES))
        return error_set(err, -EINVAL, "%s: a recording, not what --%s takes; --replay %s opens it", b->name, option,
                         b->name);
    if (kind == IMAGE_KERNEL && machine && !*machine)
        return error_set(err, -EINVAL, "%s: an ELF file that is cut short: %zu bytes", b->name, b->len);
    return 0;
}

/* OVMF's builds with Secure Boot want memory that only SMM reaches, which this board has not. They say nothing, and go no further. */
static void warn_of_secure_boot(const char *file)
{
    const char *name = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;

    if (strstr(name, "OVMF") && (strstr(name, ".secboot.") || strstr(name, ".ms.") || strstr(name, ".snakeoil.")))
        fprintf(stderr, "hindcast: %s: a build of OVMF for Secure Boot, which wants a q35 with SMM; on this board use the one without "
                        "secboot, ms or snakeoil in its name\n", file);
}

/* A file; or a module with a command line of its own, "FILE WORDS". */
static int load(struct images *im, enum image_kind kind, const char *spec, uint64_t memory_bytes, struct error *err)
{
    const struct image_row *row = &rows[kind];
    unsigned n = add(im, kind);
    const char *space = kind == IMAGE_MODULE ? strchr(spec, ' ') : NULL, *file = spec;
    int r;

    if (space && !host_file_exists(spec)) {
        im->words[n] = xstrdup(spec);
        im->words[n][space - spec] = 0;
        file = im->words[n];
    }
    r = host_load_file(file, row->limit ? row->limit : memory_bytes, row->limit_means, &im->bytes[n], err);
    name_image(im, n, file, file == spec ? NULL : spec);
    if (r == 0 && kind == IMAGE_PFLASH0)
        warn_of_secure_boot(file);
    return r < 0 ? r : check_bytes(kind, &im->boot[n], err);
}

int images_load(struct images *im, const struct options *o, struct error *err)
{
    int r = 0;

    for (enum image_kind k = 0; k < IMAGE_KINDS; k++)
        for (unsigned i = 0; r == 0 && i < o->files[k].count; i++)
            r = load(im, k, o->files[k].path[i], o->memory_bytes, err);
    return r;
}

/* ---- of a recording ---- */

/* What the user is told to do. */
struct remedy {
    char text[80];
};

/* `verb`: what to do by an option. A device's property is none: then the file has to be where it was. */
static struct remedy remedy_for(const struct recording_image *ri, const char *verb)
{
    struct remedy r;

    if (ri->role == RECORDING_DEVICE_ROM)
        snprintf(r.text, sizeof(r.text), "put it beside the recording");
    else
        snprintf(r.text, sizeof(r.text), "%s with --%s FILE", verb, images_option(ri->role));
    return r;
}

static int check_image(const struct recording_image *ri, const char *path, const struct buffer *b, struct error *err)
{
    uint64_t hash = hash_bytes(0, b->data, b->len);
    const char *option = images_option(ri->role);

    if (b->len == ri->len && hash == ri->hash)
        return 0;
    return error_set(err, -EINVAL,
                     "%s is not the %s that was recorded: it has %zu bytes, hash %016" PRIx64 "; recorded were %" PRIu64
                     " bytes, hash %016" PRIx64 ". %s", path, option,
                     b->len, hash, ri->len, ri->hash, remedy_for(ri, "Give the right file").text);
}

/* `given`: where an option says that it is; NULL: none does. */
static int load_recorded(const struct recording *r, size_t n, const char *given, const char *recording,
                         struct buffer *out, struct error *err)
{
    const struct recording_image *ri = &r->images[n];
    const char *path = given ? given : ri->name, *option = images_option(ri->role);
    struct error inside = {0};
    char *near = NULL;
    int status;

    if (ri->embedded && !given) {
        status = recording_image_read(r, n, out, &inside);
        if (status == 0)
            return 0;
        buffer_clear(out);
    }
    if (!given && !host_file_exists(path)) {
        near = host_path_beside(recording, ri->name);
        if (host_file_exists(near))
            path = near;
    }
    if (!host_file_exists(path) && inside.code)
        status = error_set(err, -EINVAL, "%s; the file %s itself is not there (and not beside the recording): "
                           "%s", inside.text, path, remedy_for(ri, "say where it is").text);
    else if (!host_file_exists(path))
        status = error_set(err, -ENOENT,
                           "the recording needs its %s, %s, which is not there (and not beside the recording): "
                           "%s", option, path, remedy_for(ri, "say where it is").text);
    else
        status = host_load_file(path, RECORDED_LIMIT, "any image", out, err);
    if (status == 0)
        status = check_image(ri, path, out, err);
    if (status == 0 && inside.code)
        fprintf(stderr, "hindcast: %s: %s; it is taken from %s, which is the same\n", recording, inside.text, path);
    else if (status < 0 && inside.code)
        error_prefix(err, "%s, and", inside.text);
    free(near);
    return status;
}

/* Those of one kind, in their order. */
static int load_kind(struct images *im, enum image_kind kind, const struct recording *r, const struct options *o,
                     struct error *err)
{
    const struct option_files *given = &o->files[kind];
    unsigned n = 0;
    int status = 0;

    for (size_t i = 0; status == 0 && i < r->nimages; i++) {
        const struct recording_image *ri = &r->images[i];
        unsigned image;

        if (ri->role != rows[kind].role)
            continue;
        if (n == rows[kind].most)
            return error_set(err, -EINVAL, "%s: more than %u of --%s", o->replay, n, rows[kind].option);
        image = add(im, kind);
        status = load_recorded(r, i, n < given->count ? given->path[n] : NULL, o->replay, &im->bytes[image], err);
        name_image(im, image, ri->name, *ri->words ? ri->words : NULL);
        n++;
    }
    return status;
}

int images_load_recorded(struct images *im, const struct recording *r, struct options *o, struct error *err)
{
    int status = 0;

    for (enum image_kind k = 0; status == 0 && k < IMAGE_KINDS; k++)
        status = load_kind(im, k, r, o, err);
    if (status < 0)
        return status;
    memset(o->files, 0, sizeof o->files);
    for (unsigned i = 0; i < im->count; i++) {
        struct option_files *f = &o->files[im->kind[i]];

        f->path[f->count++] = im->boot[i].name;
    }
    return 0;
}

/* ---- to a recording ---- */

void images_describe(struct images *im, bool embed)
{
    for (unsigned i = 0; i < im->count; i++) {
        const struct boot_image *b = &im->boot[i];

        im->described[i] = (struct recording_image){
            .role = rows[im->kind[i]].role,
            .embedded = embed,
            .len = b->len,
            .hash = hash_bytes(0, im->bytes[i].data, b->len),
            .name = (char *)(uintptr_t)b->name,
            .words = (char *)(uintptr_t)(b->cmdline ? b->cmdline : ""),
            .data = im->bytes[i],
        };
    }
}
