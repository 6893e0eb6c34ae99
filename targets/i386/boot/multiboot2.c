/*
 * Multiboot 2 kernels (Multiboot2 Specification 2.0) by the 32-bit i386 machine
 * state: ELF files (for x86-64, too), or flat ones that say their addresses in a header tag; the
 * entry, module alignment, console, framebuffer and relocatable tags of the header.
 *
 * Boot information given: command line, loader name, modules, memory sizes and
 * map, framebuffer (graphics, or EGA text), ELF sections, copies of the ACPI
 * RSDP (old and new) and of the SMBIOS entry point, load address.
 *
 * Not given: boot device (there is none), VBE, APM, network, everything of EFI.
 * A relocatable image is loaded where it is linked, if there is room and its tag allows it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"

#define HEADER_MAGIC 0xe85250d6u
#define LOADER_MAGIC 0x36d76289u
#define SEARCH_BYTES 32768u
#define STACK_BYTES  0x1000u

#define TAG_OPTIONAL 1u
enum { ASK_END, ASK_INFORMATION, ASK_ADDRESS, ASK_ENTRY, ASK_CONSOLE, ASK_FRAMEBUFFER, ASK_ALIGN, ASK_EFI_SERVICES,
       ASK_EFI_I386_ENTRY, ASK_EFI_AMD64_ENTRY, ASK_RELOCATABLE };
#define CONSOLE_EGA_TEXT 2u
#define CONSOLE_REQUIRED 1u

enum { TAG_END, TAG_CMDLINE, TAG_LOADER, TAG_MODULE, TAG_MEMORY, TAG_BOOT_DEVICE, TAG_MMAP, TAG_VBE, TAG_FRAMEBUFFER,
       TAG_ELF, TAG_APM, TAG_EFI32, TAG_EFI64, TAG_SMBIOS, TAG_ACPI_1, TAG_ACPI_2, TAG_LOAD_BASE = 21,
       TAG_LAST_KNOWN = 21 };

/* What the header's tags ask for. */
struct asks {
    size_t header;           /* offset in the file */
    const uint8_t *address;  /* address tag */
    const uint8_t *relocatable; /* relocatable header tag */
    uint64_t slide;          /* by which the image is moved, */
    uint64_t base;           /* and where it begins then */
    bool has_entry;
    uint32_t entry;
    bool framebuffer;
    struct boot_video video;
};

static long find_header(const struct boot_image *image)
{
    const uint8_t *p = image->data;
    size_t end = image->len < SEARCH_BYTES ? image->len : SEARCH_BYTES;

    for (size_t at = 0; at + 16 <= end; at += 8)
        if (get_le32(p + at) == HEADER_MAGIC &&
            get_le32(p + at) + get_le32(p + at + 4) + get_le32(p + at + 8) + get_le32(p + at + 12) == 0)
            return (long)at;
    return -1;
}

bool boot_is_multiboot2(const struct boot_image *image)
{
    return find_header(image) >= 0;
}

/* ---- the header ---- */

static int check_information(const struct pc_config *config, const uint8_t *tag, uint32_t size, struct error *err)
{
    if (get_le16(tag + 2) & TAG_OPTIONAL)
        return 0;
    for (uint32_t at = 8; at + 4 <= size; at += 4)
        if (get_le32(tag + at) > TAG_LAST_KNOWN)
            return error_set(err, -ENOTSUP, "%s: its Multiboot 2 header requires unknown boot information (tag %u)",
                             config->kernel.name, get_le32(tag + at));
    return 0;
}

static int take_framebuffer(struct asks *asks, const struct pc_config *config, const uint8_t *tag, struct error *err)
{
    if (config->vga == PC_VGA_NONE) {
        if (get_le16(tag + 2) & TAG_OPTIONAL)
            return 0;
        return error_set(err, -ENOTSUP, "%s: its Multiboot 2 header asks for a framebuffer; this machine has no display",
                         config->kernel.name);
    }
    if (boot_choose_video(&asks->video, config, get_le32(tag + 8), get_le32(tag + 12), get_le32(tag + 16),
                          err) == 0 || (get_le16(tag + 2) & TAG_OPTIONAL))
        return 0;
    return -ENOTSUP;
}

static uint32_t least_size(unsigned type)
{
    return type == ASK_ADDRESS || type == ASK_RELOCATABLE ? 24 : type == ASK_FRAMEBUFFER ? 20 : type == ASK_ENTRY || type == ASK_CONSOLE ? 12 : 8;
}

static int take_tag(struct asks *asks, const struct pc_config *config, const uint8_t *tag, uint32_t size,
                    struct error *err)
{
    unsigned type = get_le16(tag);

    if (size < least_size(type))
        return error_set(err, -ENOEXEC, "%s: bad Multiboot 2 header: tag %u has only %u bytes", config->kernel.name,
                         type, size);
    switch (type) {
    case ASK_INFORMATION:
        return check_information(config, tag, size, err);
    case ASK_ADDRESS:
        asks->address = tag;
        return 0;
    case ASK_ENTRY:
        asks->has_entry = true;
        asks->entry = get_le32(tag + 8);
        return 0;
    case ASK_CONSOLE:
        if ((get_le32(tag + 8) & CONSOLE_REQUIRED) && config->vga == PC_VGA_NONE)
            return error_set(err, -ENOTSUP, "%s: its Multiboot 2 header requires a console; this machine has no display",
                             config->kernel.name);
        return 0;
    case ASK_FRAMEBUFFER:
        return take_framebuffer(asks, config, tag, err);
    case ASK_RELOCATABLE:
        asks->relocatable = tag;
        return 0;
    case ASK_ALIGN: case ASK_EFI_I386_ENTRY: case ASK_EFI_AMD64_ENTRY:
        return 0; /* modules always are aligned; the others are for other loaders */
    default:
        if (get_le16(tag + 2) & TAG_OPTIONAL)
            return 0;
        return error_set(err, -ENOTSUP, "%s: its Multiboot 2 header requires an unknown feature (tag %u)",
                         config->kernel.name, type);
    }
}

static int read_header(struct asks *asks, const struct pc_config *config, struct error *err)
{
    const uint8_t *file = config->kernel.data, *h = file + asks->header;
    size_t left = config->kernel.len - asks->header, len = get_le32(h + 8), at = 16;

    if (get_le32(h + 4) != 0)
        return error_set(err, -ENOTSUP, "%s: a Multiboot 2 kernel for another architecture (%u)", config->kernel.name,
                         get_le32(h + 4));
    if (len > left)
        return error_set(err, -ENOEXEC, "%s: truncated Multiboot 2 header", config->kernel.name);
    while (at + 8 <= len && get_le16(h + at) != ASK_END) {
        uint32_t size = get_le32(h + at + 4);
        int rc;

        if (size < 8 || size > len - at)
            return error_set(err, -ENOEXEC, "%s: bad Multiboot 2 header: a tag of %u bytes", config->kernel.name, size);
        rc = take_tag(asks, config, h + at, size, err);
        if (rc)
            return rc;
        at += ((size_t)size + 7) & ~(size_t)7;
    }
    return 0;
}

/* Where an image of [first, end) goes: a relocatable one that cannot lie there moves (tag 10: least and greatest
 * address, alignment, preference: 2 is for high addresses). */
static int choose_place(const struct boot_plan *plan, struct asks *asks, const struct pc_config *config, uint64_t first,
                        uint64_t end, struct error *err)
{
    const uint8_t *r = asks->relocatable;
    uint64_t low, high, align;
    struct error ignored;
    paddr_t at;

    asks->base = first;
    if (!r)
        return 0;
    low = get_le32(r + 8);
    high = (uint64_t)get_le32(r + 12) + 1;
    align = get_le32(r + 16);
    if (first >= low && end <= high && boot_claim(plan, config, first, end - first, "the kernel", &ignored) == 0)
        return 0;
    if (!align || (align & (align - 1)) || end <= first)
        return error_set(err, -ENOEXEC, "%s: bad Multiboot 2 header: an alignment of %#llx", config->kernel.name,
                         (unsigned long long)align);
    at = boot_place(plan, config, end - first, align, low < 0x100000 ? 0x100000 : low, high, get_le32(r + 20) != 2);
    if (!at)
        return error_set(err, -ENOMEM, "%s: a relocatable kernel of %llu bytes finds no room between %#llx and %#llx",
                         config->kernel.name, (unsigned long long)(end - first), (unsigned long long)low,
                         (unsigned long long)high);
    asks->slide = at - first;
    asks->base = at;
    return 0;
}

static int load_elf(struct boot_plan *plan, struct asks *asks, const struct pc_config *config, struct error *err)
{
    uint64_t first, end;
    int rc = boot_elf_extent(config, &first, &end, err);

    if (rc == 0)
        rc = choose_place(plan, asks, config, first, end, err);
    return rc ? rc : boot_elf_segments(plan, config, asks->slide, &plan->eip, err);
}

static int load_image(struct boot_plan *plan, struct asks *asks, const struct pc_config *config, struct error *err)
{
    const uint8_t *t = asks->address;
    int rc;

    if (t) {
        struct boot_flat f = {.header = asks->header, .header_addr = get_le32(t + 8), .load = get_le32(t + 12),
                              .load_end = get_le32(t + 16), .bss_end = get_le32(t + 20)};

        if (!asks->has_entry)
            return error_set(err, -ENOEXEC, "%s: bad Multiboot 2 header: load addresses without an entry address",
                             config->kernel.name);
        asks->base = f.load;
        rc = boot_load_flat(plan, config, &f, err);
    } else if (boot_is_elf(&config->kernel)) {
        rc = load_elf(plan, asks, config, err);
    } else {
        rc = error_set(err, -ENOEXEC, "%s: a Multiboot 2 kernel that is neither ELF nor says where it is to be loaded",
                       config->kernel.name);
    }
    if (asks->has_entry)
        plan->eip = asks->entry + (uint32_t)asks->slide;
    return rc;
}

/* ---- the boot information ---- */

static size_t begin(struct buffer *b, uint32_t type)
{
    size_t at = b->len;

    buffer_append_le(b, type, 4);
    buffer_append_le(b, 0, 4);
    return at;
}

/* The tag's size; the next one begins at a multiple of 8. */
static void end(struct buffer *b, size_t at)
{
    put_le32(b->data + at + 4, (uint32_t)(b->len - at));
    while (b->len & 7)
        buffer_append_byte(b, 0);
}

static void put_text(struct buffer *b, uint32_t type, const char *a, const char *more)
{
    size_t at = begin(b, type);

    buffer_append(b, a, strlen(a));
    if (more[0]) {
        buffer_append_byte(b, ' ');
        buffer_append(b, more, strlen(more));
    }
    buffer_append_byte(b, 0);
    end(b, at);
}

static void put_memory(struct buffer *b, const struct pc_config *config)
{
    struct boot_memory_map map;
    size_t at = begin(b, TAG_MEMORY);

    boot_memory_map(&map, config->memory_bytes);
    buffer_append_le(b, BOOT_EBDA >> 10, 4);
    buffer_append_le(b, (uint32_t)((map.low_top - 0x100000) >> 10), 4);
    end(b, at);
    at = begin(b, TAG_MMAP);
    buffer_append_le(b, 24, 4);
    buffer_append_le(b, 0, 4);
    for (unsigned i = 0; i < map.nranges; i++) {
        buffer_append_le(b, map.ranges[i].base, 8);
        buffer_append_le(b, map.ranges[i].size, 8);
        buffer_append_le(b, map.ranges[i].type, 4);
        buffer_append_le(b, 0, 4);
    }
    end(b, at);
}

static void put_framebuffer(struct buffer *b, const struct pc_config *config, const struct boot_video *video)
{
    struct boot_framebuffer f;
    size_t at;

    if (!boot_framebuffer(&f, config, video))
        return;
    at = begin(b, TAG_FRAMEBUFFER);
    buffer_append_le(b, f.address, 8);
    buffer_append_le(b, f.pitch, 4);
    buffer_append_le(b, f.width, 4);
    buffer_append_le(b, f.height, 4);
    buffer_append_byte(b, f.bpp);
    buffer_append_byte(b, f.type);
    buffer_append_le(b, 0, 2);
    if (f.type == BOOT_FRAMEBUFFER_RGB)
        buffer_append(b, f.fields, sizeof(f.fields));
    end(b, at);
}

static void put_sections(struct boot_plan *plan, struct buffer *b, const struct pc_config *config)
{
    const uint8_t *headers;
    uint32_t num, size, addr, shndx;
    size_t at;

    if (!boot_is_elf(&config->kernel) || !boot_elf_sections(plan, config, &num, &size, &addr, &shndx))
        return;
    headers = boot_chunk_at(plan, addr);
    at = begin(b, TAG_ELF);
    buffer_append_le(b, num, 4);
    buffer_append_le(b, size, 4);
    buffer_append_le(b, shndx, 4);
    buffer_append(b, headers, (size_t)num * size);
    end(b, at);
}

static int put_modules(struct boot_plan *plan, struct buffer *b, const struct pc_config *config, struct error *err)
{
    for (unsigned i = 0; i < config->nmodules; i++) {
        const struct boot_image *m = &config->modules[i];
        const char *text = m->cmdline ? m->cmdline : m->name ? m->name : "";
        uint32_t where;
        size_t at;
        int rc = boot_place_module(plan, config, m, &where, err);

        if (rc)
            return rc;
        at = begin(b, TAG_MODULE);
        buffer_append_le(b, where, 4);
        buffer_append_le(b, (uint32_t)(where + m->len), 4);
        buffer_append(b, text, strlen(text) + 1);
        end(b, at);
    }
    return 0;
}

/* Copies of what firmware leaves in memory. */
static void put_tables(struct buffer *b, const struct boot_tables *tables)
{
    size_t at;

    if (tables->smbios) {
        at = begin(b, TAG_SMBIOS);
        buffer_append(b, tables->smbios + (tables->smbios[3] == '3' ? 7 : 6), 2); /* its version */
        buffer_append_le(b, 0, 6);
        buffer_append(b, tables->smbios, tables->smbios_len);
        end(b, at);
    }
    if (!tables->rsdp)
        return;
    at = begin(b, TAG_ACPI_1);
    buffer_append(b, tables->rsdp_bytes, 20);
    end(b, at);
    if (tables->rsdp_len <= 20)
        return;
    at = begin(b, TAG_ACPI_2);
    buffer_append(b, tables->rsdp_bytes, tables->rsdp_len);
    end(b, at);
}

static void put_load_base(struct buffer *b, const struct asks *asks)
{
    size_t at = begin(b, TAG_LOAD_BASE);

    buffer_append_le(b, asks->base, 4);
    end(b, at);
}

static int fill(struct boot_plan *plan, struct buffer *b, const struct pc_config *config, const struct asks *asks,
                const struct boot_tables *tables, struct error *err)
{
    int rc;

    buffer_append_le(b, 0, 4); /* total size, in the end */
    buffer_append_le(b, 0, 4);
    put_text(b, TAG_CMDLINE, config->append ? config->append : "", "");
    put_text(b, TAG_LOADER, "hindcast", "");
    put_memory(b, config);
    put_framebuffer(b, config, &asks->video);
    put_tables(b, tables);
    if (asks->relocatable)
        put_load_base(b, asks);
    put_sections(plan, b, config);
    rc = put_modules(plan, b, config, err);
    if (rc)
        return rc;
    end(b, begin(b, TAG_END));
    put_le32(b->data, (uint32_t)b->len);
    return 0;
}

static int make_info(struct boot_plan *plan, const struct pc_config *config, const struct asks *asks,
                     const struct boot_tables *tables, struct error *err)
{
    struct buffer b;
    int rc;

    buffer_init(&b);
    rc = fill(plan, &b, config, asks, tables, err);
    if (rc == 0) {
        plan->ebx = (uint32_t)boot_place(plan, config, b.len, 8, BOOT_LOW_FREE, BOOT_EBDA, false);
        if (!plan->ebx)
            rc = error_set(err, -ENOMEM, "%s: leaves no room below 640 KiB for %zu bytes of boot information",
                           config->kernel.name, b.len);
    }
    if (rc) {
        buffer_finish(&b);
        return rc;
    }
    boot_add_owned(plan, plan->ebx, b.data, b.len);
    return 0;
}

int boot_load_multiboot2(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
                         struct error *err)
{
    struct asks asks = {.header = (size_t)find_header(&config->kernel)};
    paddr_t stack;
    int rc = read_header(&asks, config, err);

    if (rc == 0)
        rc = load_image(plan, &asks, config, err);
    if (rc == 0)
        rc = make_info(plan, config, &asks, tables, err);
    if (rc == 0)
        rc = boot_flat_gdt(plan, config, 0x08, err);
    if (rc)
        return rc;
    stack = boot_place(plan, config, STACK_BYTES, 16, BOOT_LOW_FREE, BOOT_EBDA, false);
    plan->esp = stack ? (uint32_t)stack + STACK_BYTES : 0;
    plan->eax = LOADER_MAGIC;
    plan->video = asks.video;
    plan->mode = BOOT_FLAT;
    plan->protocol = "Multiboot 2";
    return 0;
}
