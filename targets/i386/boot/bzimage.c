/*
 * Linux kernels by the 32-bit and the 64-bit boot protocol (Linux, Documentation/arch/x86/
 * boot.rst; field names are its): bzImage and the old zImage, initrd, command
 * line, the E820 map and the address of the ACPI tables in the zero page.
 *
 * The kernel starts at code32_start with CS 10h and DS, ES, SS 18h flat, paging
 * and interrupts off, ESI at the zero page; no setup code runs. One with a 64-bit entry point starts there, 200h bytes
 * further, in 64-bit mode with the first 4 GiB mapped where they are, if the CPU has it. screen_info tells of
 * a VGA in mode 3, or stays zero where there is no display.
 *
 * Not handled: the 16-bit entry, EFI, setup_data, kernels older than protocol 2.00 (firmware starts those: linuxrom.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"

#define PARAMS_BYTES 4096u
#define HEADER       0x1f1u
#define E820_MAX     128u

/* Offsets in the zero page. */
enum {
    EXT_MEM_K = 0x002, VIDEO_MODE = 0x006, VIDEO_COLS = 0x007, VIDEO_EGA_BX = 0x00a, VIDEO_LINES = 0x00e,
    VIDEO_ISVGA = 0x00f, VIDEO_POINTS = 0x010, ACPI_RSDP_ADDR = 0x070, ALT_MEM_K = 0x1e0, E820_ENTRIES = 0x1e8, SETUP_SECTS = 0x1f1,
    SYSSIZE = 0x1f4, VID_MODE = 0x1fa, BOOT_FLAG = 0x1fe, JUMP = 0x200, HEADER_MAGIC = 0x202, VERSION = 0x206,
    TYPE_OF_LOADER = 0x210, LOADFLAGS = 0x211, CODE32_START = 0x214, RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c, CMD_LINE_PTR = 0x228, INITRD_ADDR_MAX = 0x22c, KERNEL_ALIGNMENT = 0x230,
    RELOCATABLE = 0x234, XLOADFLAGS = 0x236, CMDLINE_SIZE = 0x238, PREF_ADDRESS = 0x258, INIT_SIZE = 0x260, E820_TABLE = 0x2d0,
};

#define LOADED_HIGH 0x01u
#define XLF_KERNEL_64 0x01u
#define ENTRY_64    0x200u
#define UNKNOWN_LOADER 0xffu

#define ZIMAGE_BASE   0x10000u
#define BZIMAGE_BASE  0x100000u
#define DEFAULT_INITRD_MAX  0x37ffffffu
#define DEFAULT_CMDLINE_MAX 255u

bool boot_is_bzimage(const struct boot_image *image)
{
    const uint8_t *p = image->data;

    return image->len >= 0x260 && get_le16(p + BOOT_FLAG) == 0xaa55 && memcmp(p + HEADER_MAGIC, "HdrS", 4) == 0;
}

bool boot_is_old_zimage(const struct boot_image *image)
{
    const uint8_t *p = image->data;
    size_t setup;

    if (image->len < 0x260 || get_le16(p + BOOT_FLAG) != 0xaa55 || memcmp(p + HEADER_MAGIC, "HdrS", 4) == 0)
        return false;
    setup = boot_setup_bytes(image);
    return setup < image->len && (image->len - setup + 15) / 16 == get_le16(p + SYSSIZE);
}

size_t boot_setup_bytes(const struct boot_image *image)
{
    const uint8_t sectors = ((const uint8_t *)image->data)[SETUP_SECTS];

    return ((sectors ? sectors : 4u) + 1u) * 512u;
}

static void fill_e820(uint8_t *params, const struct pc_config *config)
{
    struct boot_memory_map map;

    boot_memory_map(&map, config->memory_bytes);
    params[E820_ENTRIES] = (uint8_t)map.nranges;
    for (unsigned i = 0; i < map.nranges && i < E820_MAX; i++) {
        uint8_t *e = params + E820_TABLE + i * 20;

        put_le64(e, map.ranges[i].base);
        put_le64(e + 8, map.ranges[i].size);
        put_le32(e + 16, map.ranges[i].type);
    }
    put_le16(params + EXT_MEM_K, (uint32_t)((map.low_top - 0x100000) >> 10 > 0xfc00 ? 0xfc00
                                                                                     : (map.low_top - 0x100000) >> 10));
    put_le32(params + ALT_MEM_K, (uint32_t)((map.low_top - 0x100000) >> 10));
}

/* Colour text of 80x25 on a VGA with 256 KiB, the cursor at the top left. */
static void fill_screen_info(uint8_t *params)
{
    params[VIDEO_MODE] = 3;
    params[VIDEO_COLS] = 80;
    put_le16(params + VIDEO_EGA_BX, 0x0003);
    params[VIDEO_LINES] = 25;
    params[VIDEO_ISVGA] = 1;
    put_le16(params + VIDEO_POINTS, 16);
}

static int place_initrd(struct boot_plan *plan, const struct pc_config *config, uint8_t *params, struct error *err)
{
    const struct boot_image *initrd = config->nmodules ? &config->modules[0] : NULL;
    uint64_t max = get_le32(params + INITRD_ADDR_MAX);
    paddr_t at;

    if (config->nmodules > 1)
        return error_set(err, -EINVAL, "%s: a Linux kernel takes one initrd, not %u", config->kernel.name,
                         config->nmodules);
    if (!initrd || !initrd->len)
        return 0;
    at = boot_place(plan, config, initrd->len, PAGE_SIZE, 0x100000, max + 1, false);
    if (!at)
        return error_set(err, -ENOMEM,
                         "%s: an initrd of %zu bytes does not fit beside the kernel into %llu MiB of memory "
                         "(give the machine more with --memory)",
                         initrd->name, initrd->len, (unsigned long long)(config->memory_bytes >> 20));
    boot_add(plan, at, initrd->data, initrd->len, initrd->len);
    put_le32(params + RAMDISK_IMAGE, (uint32_t)at);
    put_le32(params + RAMDISK_SIZE, (uint32_t)initrd->len);
    return 0;
}

static int place_cmdline(struct boot_plan *plan, const struct pc_config *config, uint8_t *params, struct error *err)
{
    const char *append = config->append ? config->append : "";
    size_t len = strlen(append), max = get_le32(params + CMDLINE_SIZE);
    uint8_t *copy;
    paddr_t at;

    if (len > max)
        return error_set(err, -E2BIG, "%s: the command line has %zu characters; this kernel takes %zu",
                         config->kernel.name, len, max);
    at = boot_place(plan, config, len + 1, 16, BOOT_LOW_FREE, BOOT_EBDA, false);
    if (!at)
        return error_set(err, -ENOMEM, "%s: leaves no room below 640 KiB for its command line", config->kernel.name);
    copy = xmalloc(len + 1);
    memcpy(copy, append, len + 1);
    boot_add_owned(plan, at, copy, len + 1);
    put_le32(params + CMD_LINE_PTR, (uint32_t)at);
    return 0;
}

/* What fields that this protocol version lacks would have said. */
static void default_fields(uint8_t *params)
{
    uint16_t version = get_le16(params + VERSION);

    if (version < 0x0203 || !get_le32(params + INITRD_ADDR_MAX))
        put_le32(params + INITRD_ADDR_MAX, DEFAULT_INITRD_MAX);
    if (version < 0x0206 || !get_le32(params + CMDLINE_SIZE))
        put_le32(params + CMDLINE_SIZE, DEFAULT_CMDLINE_MAX);
}

/* A kernel without setup header (vmlinux): the newest protocol is assumed. */
static void make_header(uint8_t *params)
{
    memcpy(params + HEADER_MAGIC, "HdrS", 4);
    put_le16(params + BOOT_FLAG, 0xaa55);
    put_le16(params + VERSION, 0x020f);
    params[LOADFLAGS] = LOADED_HIGH;
    put_le32(params + CMDLINE_SIZE, 2047);
    put_le32(params + INITRD_ADDR_MAX, 0x7fffffffu);
}

static int fill_params(struct boot_plan *plan, const struct pc_config *config, uint32_t rsdp, const uint8_t *header,
                       size_t header_len, uint8_t *params, struct error *err)
{
    int rc;

    if (header)
        memcpy(params + HEADER, header, header_len);
    else
        make_header(params);
    default_fields(params);
    params[TYPE_OF_LOADER] = UNKNOWN_LOADER;
    put_le32(params + RAMDISK_IMAGE, 0);
    put_le32(params + RAMDISK_SIZE, 0);
    put_le64(params + ACPI_RSDP_ADDR, rsdp);
    fill_e820(params, config);
    if (config->vga != PC_VGA_NONE)
        fill_screen_info(params);
    rc = place_initrd(plan, config, params, err);
    return rc ? rc : place_cmdline(plan, config, params, err);
}

int boot_linux_params(struct boot_plan *plan, const struct pc_config *config, uint32_t rsdp, const uint8_t *header,
                      size_t header_len, uint32_t *address, struct error *err)
{
    uint8_t *params = xcalloc(1, PARAMS_BYTES);
    paddr_t at;
    int rc = fill_params(plan, config, rsdp, header, header_len, params, err);

    if (rc) {
        free(params);
        return rc;
    }
    at = boot_place(plan, config, PARAMS_BYTES, 16, BOOT_LOW_FREE, BOOT_EBDA, false);
    if (!at) {
        free(params);
        return error_set(err, -ENOMEM, "%s: leaves no room below 640 KiB for boot parameters", config->kernel.name);
    }
    boot_add_owned(plan, at, params, PARAMS_BYTES);
    *address = (uint32_t)at;
    return 0;
}

/* Where the protected-mode part goes and how much memory it needs there to unpack itself. */
static int load_protected_part(struct boot_plan *plan, const struct pc_config *config, struct error *err)
{
    const uint8_t *file = config->kernel.data;
    size_t len = config->kernel.len;
    size_t setup = boot_setup_bytes(&config->kernel);
    uint16_t version = get_le16(file + VERSION);
    bool high = file[LOADFLAGS] & LOADED_HIGH;
    uint64_t base = high ? BZIMAGE_BASE : ZIMAGE_BASE;
    uint64_t size, needs;
    int rc;

    if (version < 0x0200)
        return error_set(err, -ENOEXEC, "%s: a Linux kernel of boot protocol %u.%02u; 2.00 is the oldest supported",
                         config->kernel.name, version >> 8, version & 0xffu);
    if (setup >= len)
        return error_set(err, -ENOEXEC, "%s: truncated: %zu bytes, of which %zu should be setup code",
                         config->kernel.name, len, setup);
    size = len - setup;
    /* The file says its size in 16-byte units (protocol 2.04; 16 bits before). */
    needs = version >= 0x0204 ? (uint64_t)get_le32(file + SYSSIZE) * 16 : (uint64_t)get_le16(file + SYSSIZE) * 16;
    if (needs > size + 15)
        return error_set(err, -ENOEXEC, "%s: truncated: %llu of %llu bytes of the kernel are there",
                         config->kernel.name, (unsigned long long)size, (unsigned long long)needs);
    rc = boot_claim(plan, config, base, size, "the kernel", err);
    if (rc)
        return rc;
    boot_add(plan, base, file + setup, (size_t)size, size);
    plan->eip = (uint32_t)base;
    if (high && version >= 0x020a) {
        /* Unpacking happens at pref_address (or, relocatable, at most an alignment away). */
        uint64_t pref = get_le32(file + PREF_ADDRESS);
        uint64_t start = pref > base ? pref : base;
        uint64_t end = start + get_le32(file + INIT_SIZE);
        struct boot_memory_map map;

        boot_memory_map(&map, config->memory_bytes);
        if (end > map.low_top)
            return error_set(err, -ENOMEM,
                             "%s: needs memory up to %#llx to unpack itself; the machine has %llu MiB "
                             "(give it more with --memory)",
                             config->kernel.name, (unsigned long long)end,
                             (unsigned long long)(config->memory_bytes >> 20));
        plan->keep_at = base;
        plan->keep_size = end - base;
    }
    return 0;
}

/* Protocol 2.12: is there an entry point for 64-bit mode, and a CPU for it? */
static bool starts_in_64(const struct pc_config *config)
{
    const uint8_t *file = config->kernel.data;

    return get_le16(file + VERSION) >= 0x020c && (file[XLOADFLAGS] & XLF_KERNEL_64) && boot_cpu_is_64bit(config);
}

int boot_load_bzimage(struct boot_plan *plan, const struct pc_config *config, uint32_t rsdp, struct error *err)
{
    const uint8_t *file = config->kernel.data;
    size_t header_end = 0x202u + file[JUMP + 1];
    int rc = load_protected_part(plan, config, err);

    if (rc)
        return rc;
    if (header_end > config->kernel.len)
        header_end = config->kernel.len;
    if (header_end > E820_TABLE) /* the header may not reach the next field of the zero page */
        header_end = 0x290;
    rc = boot_linux_params(plan, config, rsdp, file + HEADER, header_end > HEADER ? header_end - HEADER : 0,
                           &plan->esi, err);
    if (rc)
        return rc;
    plan->protocol = "Linux";
    if (starts_in_64(config)) {
        plan->eip += ENTRY_64;
        return boot_long_tables(plan, config, err);
    }
    plan->mode = BOOT_FLAT;
    return boot_flat_gdt(plan, config, 0x10, err);
}
