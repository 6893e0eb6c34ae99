/*
 * Multiboot 1 kernels (Multiboot Specification 0.6.96): ELF files (for x86-64, too: they start in 32 bits all
 * the same), or flat ones that say their addresses in the header (the "a.out kludge"); memory sizes and
 * map, command line, modules, ELF sections, loader name.
 *
 * A header that demands what cannot be given is refused: a video mode that the machine has
 * not, and flag bits that the specification does not know. A kernel that asks for graphics
 * without preference gets 1024x768. So is one whose checksum is wrong, rather than to start
 * the kernel as something else.
 *
 * Not given: boot device, drives, APM table, configuration table, VBE.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"

#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
#define SEARCH_BYTES 8192u

#define ASKS_ALIGN   0x00000001u
#define ASKS_MEMORY  0x00000002u
#define ASKS_VIDEO   0x00000004u
#define ASKS_KNOWN   (ASKS_ALIGN | ASKS_MEMORY | ASKS_VIDEO)
#define ASKS_UNKNOWN 0x0000fff8u /* bits 3-15: features a loader must provide or refuse */
#define HAS_ADDRESSES 0x00010000u

#define INFO_BYTES   116u
#define INFO_MEMORY  0x001u
#define INFO_CMDLINE 0x004u
#define INFO_MODS    0x008u
#define INFO_ELF     0x020u
#define INFO_MMAP    0x040u
#define INFO_NAME    0x200u
#define INFO_FRAMEBUFFER 0x1000u

#define HEADER_VIDEO 32u /* where the header's graphics fields begin */

#define STACK_BYTES 0x1000u

static bool checksum_fits(const uint8_t *header)
{
    return get_le32(header) + get_le32(header + 4) + get_le32(header + 8) == 0;
}

/* The header's offset in the file, or -1. One whose checksum is wrong is taken if there is no other
 * and its flags are sensible: the magic number alone may be an operand of somebody's boot loader. */
static long find_header(const struct boot_image *image)
{
    const uint8_t *p = image->data;
    size_t end = image->len < SEARCH_BYTES ? image->len : SEARCH_BYTES;
    long damaged = -1;

    for (size_t at = 0; at + 12 <= end; at += 4) {
        if (get_le32(p + at) != HEADER_MAGIC)
            continue;
        if (checksum_fits(p + at))
            return (long)at;
        if (damaged < 0 && !(get_le32(p + at + 4) & ~(ASKS_KNOWN | HAS_ADDRESSES)))
            damaged = (long)at;
    }
    return damaged;
}

bool boot_is_multiboot(const struct boot_image *image)
{
    return find_header(image) >= 0;
}

int boot_load_flat(struct boot_plan *plan, const struct pc_config *config, const struct boot_flat *f, struct error *err)
{
    const uint8_t *file = config->kernel.data;
    const char *name = config->kernel.name;
    uint32_t header_addr = f->header_addr, load = f->load, load_end = f->load_end, bss_end = f->bss_end;
    size_t offset, have;
    uint64_t len, size;
    int rc;

    if (load > header_addr || header_addr - load > f->header)
        return error_set(err, -ENOEXEC, "%s: bad Multiboot header: load_addr %#x does not fit header_addr %#x", name,
                         load, header_addr);
    offset = f->header - (header_addr - load);
    have = config->kernel.len - offset;
    len = load_end ? (uint64_t)load_end - load : have;
    if (load_end && load_end < load)
        return error_set(err, -ENOEXEC, "%s: bad Multiboot header: load_end_addr %#x lies before load_addr %#x", name,
                         load_end, load);
    if (len > have)
        return error_set(err, -ENOEXEC, "%s: truncated: its Multiboot header promises %llu bytes, %zu are there", name,
                         (unsigned long long)len, have);
    if (bss_end && bss_end < load + len)
        return error_set(err, -ENOEXEC, "%s: bad Multiboot header: bss_end_addr %#x lies within the loaded part", name,
                         bss_end);
    size = bss_end ? (uint64_t)bss_end - load : len;
    rc = boot_claim(plan, config, load, size, "the kernel", err);
    if (rc)
        return rc;
    boot_add(plan, load, file + offset, (size_t)len, size);
    return 0;
}

static int load_flat(struct boot_plan *plan, const struct pc_config *config, size_t header, struct error *err)
{
    const uint8_t *h = (const uint8_t *)config->kernel.data + header;
    struct boot_flat f = {.header = header};

    if (header + 32 > config->kernel.len)
        return error_set(err, -ENOEXEC, "%s: truncated Multiboot header", config->kernel.name);
    f.header_addr = get_le32(h + 12);
    f.load = get_le32(h + 16);
    f.load_end = get_le32(h + 20);
    f.bss_end = get_le32(h + 24);
    plan->eip = get_le32(h + 28);
    return boot_load_flat(plan, config, &f, err);
}

static int check_header(const struct pc_config *config, const uint8_t *header, struct error *err)
{
    uint32_t flags = get_le32(header + 4);

    if (!checksum_fits(header))
        return error_set(err, -ENOEXEC, "%s: bad Multiboot header: checksum %#x, it should be %#x", config->kernel.name,
                         get_le32(header + 8), -(HEADER_MAGIC + flags));
    if ((flags & ASKS_VIDEO) && config->vga == PC_VGA_NONE)
        return error_set(err, -ENOTSUP,
                         "%s: its Multiboot header asks for a video mode (flag bit 2); this machine has no display",
                         config->kernel.name);
    if (flags & ASKS_UNKNOWN)
        return error_set(err, -ENOTSUP, "%s: its Multiboot header requires unknown features (flags %#x)",
                         config->kernel.name, flags);
    return 0;
}

/* Where the information goes: one block below 640 KiB that is filled from its start. */
struct info {
    uint8_t *bytes;
    size_t used, size;
    uint32_t at;
};

static uint32_t put(struct info *info, const void *data, size_t len)
{
    uint32_t at = info->at + (uint32_t)info->used;

    memcpy(info->bytes + info->used, data, len);
    info->used += (len + 3) & ~(size_t)3;
    return at;
}

static uint32_t put_string(struct info *info, const char *a, const char *b)
{
    struct buffer text;
    uint32_t at;

    buffer_init(&text);
    buffer_append(&text, a, strlen(a));
    if (b[0]) {
        buffer_append_byte(&text, ' ');
        buffer_append(&text, b, strlen(b));
    }
    buffer_append_byte(&text, 0);
    at = put(info, text.data, text.len);
    buffer_finish(&text);
    return at;
}

static const char *module_text(const struct boot_image *m)
{
    return m->cmdline ? m->cmdline : m->name ? m->name : "";
}

static size_t info_size(const struct pc_config *config)
{
    size_t size = INFO_BYTES + 64 + BOOT_MAX_RANGES * 24 + config->nmodules * 16;

    size += strlen(config->kernel.name) + 1 + (config->append ? strlen(config->append) : 0) + 8;
    for (unsigned i = 0; i < config->nmodules; i++)
        size += strlen(module_text(&config->modules[i])) + 8;
    return size;
}

static void put_memory(struct info *info, uint8_t *mbi, const struct pc_config *config)
{
    uint8_t entries[BOOT_MAX_RANGES * 24];
    struct boot_memory_map map;

    boot_memory_map(&map, config->memory_bytes);
    for (unsigned i = 0; i < map.nranges; i++) {
        uint8_t *e = entries + i * 24;

        put_le32(e, 20);
        put_le64(e + 4, map.ranges[i].base);
        put_le64(e + 12, map.ranges[i].size);
        put_le32(e + 20, map.ranges[i].type);
    }
    put_le32(mbi + 4, BOOT_EBDA >> 10);
    put_le32(mbi + 8, (uint32_t)((map.low_top - 0x100000) >> 10));
    put_le32(mbi + 44, map.nranges * 24);
    put_le32(mbi + 48, put(info, entries, map.nranges * 24));
}

int boot_place_module(struct boot_plan *plan, const struct pc_config *config, const struct boot_image *m, uint32_t *at,
                      struct error *err)
{
    paddr_t where = boot_place(plan, config, m->len, PAGE_SIZE, 0x100000, (uint64_t)1 << 32, true);

    if (!where)
        return error_set(err, -ENOMEM,
                         "%s: a module of %zu bytes does not fit beside the kernel into %llu MiB of memory "
                         "(give the machine more with --memory)",
                         m->name, m->len, (unsigned long long)(config->memory_bytes >> 20));
    if (m->len)
        boot_add(plan, where, m->data, m->len, m->len);
    *at = (uint32_t)where;
    return 0;
}

static int place_modules(struct boot_plan *plan, const struct pc_config *config, struct info *info, uint8_t *mbi,
                         struct error *err)
{
    uint8_t *table = xcalloc(config->nmodules + 1, 16);

    for (unsigned i = 0; i < config->nmodules; i++) {
        const struct boot_image *m = &config->modules[i];
        uint32_t at;
        int rc = boot_place_module(plan, config, m, &at, err);

        if (rc) {
            free(table);
            return rc;
        }
        put_le32(table + i * 16, at);
        put_le32(table + i * 16 + 4, (uint32_t)(at + m->len));
        put_le32(table + i * 16 + 8, put_string(info, module_text(m), ""));
    }
    put_le32(mbi + 20, config->nmodules);
    put_le32(mbi + 24, put(info, table, config->nmodules * 16));
    free(table);
    return 0;
}

static void put_framebuffer(uint8_t *mbi, const struct boot_framebuffer *f)
{
    put_le64(mbi + 88, f->address);
    put_le32(mbi + 96, f->pitch);
    put_le32(mbi + 100, f->width);
    put_le32(mbi + 104, f->height);
    mbi[108] = f->bpp;
    mbi[109] = f->type;
    memcpy(mbi + 110, f->fields, sizeof(f->fields));
}

/* Bit 2 of the header's flags: mode type (0 graphics, 1 text), width, height, depth. */
static int choose_video(struct boot_plan *plan, const struct pc_config *config, size_t header, struct error *err)
{
    const uint8_t *h = (const uint8_t *)config->kernel.data + header;

    if (header + HEADER_VIDEO + 16 > config->kernel.len)
        return boot_choose_video(&plan->video, config, 0, 0, 0, err);
    if (get_le32(h + HEADER_VIDEO) != 0) /* text: the screen is in 80x25 */
        return 0;
    return boot_choose_video(&plan->video, config, get_le32(h + HEADER_VIDEO + 4), get_le32(h + HEADER_VIDEO + 8),
                             get_le32(h + HEADER_VIDEO + 12), err);
}

static int fill_info(struct boot_plan *plan, const struct pc_config *config, struct info *info, struct error *err)
{
    uint32_t flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_NAME;
    uint8_t mbi[INFO_BYTES] = {0};
    struct boot_framebuffer framebuffer;
    uint32_t num, size, addr, shndx;
    int rc;

    info->used = INFO_BYTES;
    put_memory(info, mbi, config);
    put_le32(mbi + 16, put_string(info, config->kernel.name, config->append ? config->append : ""));
    put_le32(mbi + 64, put_string(info, "hindcast", ""));
    if (boot_is_elf(&config->kernel) && boot_elf_sections(plan, config, &num, &size, &addr, &shndx)) {
        flags |= INFO_ELF;
        put_le32(mbi + 28, num);
        put_le32(mbi + 32, size);
        put_le32(mbi + 36, addr);
        put_le32(mbi + 40, shndx);
    }
    if (boot_framebuffer(&framebuffer, config, &plan->video)) {
        flags |= INFO_FRAMEBUFFER;
        put_framebuffer(mbi, &framebuffer);
    }
    rc = place_modules(plan, config, info, mbi, err);
    if (rc)
        return rc;
    put_le32(mbi, flags);
    memcpy(info->bytes, mbi, sizeof(mbi));
    return 0;
}

static int make_info(struct boot_plan *plan, const struct pc_config *config, struct error *err)
{
    struct info info = {.size = info_size(config)};
    int rc;

    info.at = (uint32_t)boot_place(plan, config, info.size, 16, BOOT_LOW_FREE, BOOT_EBDA, false);
    if (!info.at)
        return error_set(err, -ENOMEM, "%s: leaves no room below 640 KiB for %zu bytes of boot information",
                         config->kernel.name, info.size);
    info.bytes = xcalloc(1, info.size);
    boot_add_owned(plan, info.at, info.bytes, info.size);
    rc = fill_info(plan, config, &info, err);
    plan->ebx = info.at;
    return rc;
}

int boot_load_multiboot(struct boot_plan *plan, const struct pc_config *config, struct error *err)
{
    long header = find_header(&config->kernel);
    const uint8_t *h = (const uint8_t *)config->kernel.data + header;
    uint32_t flags = get_le32(h + 4);
    paddr_t stack;
    int rc = check_header(config, h, err);

    if (rc)
        return rc;
    if (flags & HAS_ADDRESSES)
        rc = load_flat(plan, config, (size_t)header, err);
    else if (boot_is_elf(&config->kernel))
        rc = boot_elf_segments(plan, config, 0, &plan->eip, err);
    else
        rc = error_set(err, -ENOEXEC, "%s: a Multiboot kernel that is neither ELF nor says where it is to be loaded",
                       config->kernel.name);
    if (rc == 0 && (flags & ASKS_VIDEO))
        rc = choose_video(plan, config, (size_t)header, err);
    if (rc == 0)
        rc = make_info(plan, config, err);
    if (rc)
        return rc;
    rc = boot_flat_gdt(plan, config, 0x08, err);
    if (rc)
        return rc;
    stack = boot_place(plan, config, STACK_BYTES, 16, BOOT_LOW_FREE, BOOT_EBDA, false);
    plan->esp = stack ? (uint32_t)stack + STACK_BYTES : 0;
    plan->eax = LOADER_MAGIC;
    plan->mode = BOOT_FLAT;
    plan->protocol = "Multiboot";
    return 0;
}
