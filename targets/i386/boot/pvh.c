/*
 * The PVH start of ELF kernels (Xen, docs/misc/pvh.pandoc; xen/include/public/arch-x86/hvm/start_info.h): a
 * kernel whose note says its 32-bit entry point starts there in flat protected mode, EBX pointing at
 * an hvm_start_info of version 1 with command line, modules, ACPI RSDP and memory map. Linux's vmlinux has such a
 * note if it was configured with CONFIG_PVH.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"

#define MAGIC        0x336ec578u
#define START_INFO   56u /* bytes */
#define MODULE_BYTES 32u
#define MEMMAP_BYTES 24u

static const char *module_text(const struct boot_image *m)
{
    return m->cmdline ? m->cmdline : "";
}

static size_t info_bytes(const struct pc_config *config, const struct boot_memory_map *map)
{
    size_t n = START_INFO + config->nmodules * MODULE_BYTES + map->nranges * MEMMAP_BYTES;

    n += config->append ? strlen(config->append) + 1 : 1;
    for (unsigned i = 0; i < config->nmodules; i++)
        n += strlen(module_text(&config->modules[i])) + 1;
    return n;
}

/* A string at the end of what was put there so far; returns its address. */
static uint32_t put_string(uint8_t *info, uint32_t at, size_t *used, const char *text)
{
    uint32_t where = at + (uint32_t)*used;

    memcpy(info + *used, text, strlen(text) + 1);
    *used += strlen(text) + 1;
    return where;
}

static void put_memory_map(uint8_t *p, const struct boot_memory_map *map)
{
    for (unsigned i = 0; i < map->nranges; i++, p += MEMMAP_BYTES) {
        put_le64(p, map->ranges[i].base);
        put_le64(p + 8, map->ranges[i].size);
        put_le32(p + 16, map->ranges[i].type);
    }
}

static int fill(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
                const struct boot_memory_map *map, uint8_t *info, uint32_t at, struct error *err)
{
    size_t modules = START_INFO, memmap = modules + config->nmodules * MODULE_BYTES;
    size_t used = memmap + map->nranges * MEMMAP_BYTES;
    uint32_t where;
    int rc;

    put_le32(info, MAGIC);
    put_le32(info + 4, 1);
    put_le32(info + 12, config->nmodules);
    put_le64(info + 16, config->nmodules ? at + modules : 0);
    put_le64(info + 24, put_string(info, at, &used, config->append ? config->append : ""));
    put_le64(info + 32, tables->rsdp);
    put_le64(info + 40, at + memmap);
    put_le32(info + 48, map->nranges);
    for (unsigned i = 0; i < config->nmodules; i++) {
        uint8_t *m = info + modules + i * MODULE_BYTES;

        rc = boot_place_module(plan, config, &config->modules[i], &where, err);
        if (rc)
            return rc;
        put_le64(m, where);
        put_le64(m + 8, config->modules[i].len);
        put_le64(m + 16, put_string(info, at, &used, module_text(&config->modules[i])));
    }
    put_memory_map(info + memmap, map);
    return 0;
}

int boot_start_pvh(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
                   uint32_t entry, struct error *err)
{
    struct boot_memory_map map;
    uint8_t *info;
    paddr_t at;
    size_t size;
    int rc;

    boot_memory_map(&map, config->memory_bytes);
    size = info_bytes(config, &map);
    at = boot_place(plan, config, size, 16, BOOT_LOW_FREE, BOOT_EBDA, false);
    if (!at)
        return error_set(err, -ENOMEM, "%s: leaves no room below 640 KiB for %zu bytes of start information",
                         config->kernel.name, size);
    info = xcalloc(1, size);
    boot_add_owned(plan, at, info, size);
    rc = fill(plan, config, tables, &map, info, (uint32_t)at, err);
    if (rc == 0)
        rc = boot_flat_gdt(plan, config, 0x10, err);
    plan->eip = entry;
    plan->ebx = (uint32_t)at;
    plan->mode = BOOT_FLAT;
    plan->pvh = true;
    plan->protocol = "PVH";
    return rc;
}
