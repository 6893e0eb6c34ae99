/*
 * What the boot loaders share: the memory map, the plan, and its application.
 */
#include "i386/boot/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/cpu.h"
#include "vm/gunzip.h"

#define ONE_MIB   0x100000ull
#define GDT_ENTRIES 5u
#define TSS32_LAST  0x67u /* the limit of a TSS of 32 bits without I/O permissions (SDM 3A 8.2.1) */
#define MAPPED_GIB  4u
#define PTE_PRESENT 0x01u
#define PTE_WRITE   0x02u
#define PTE_LARGE   0x80u

static void add_range(struct boot_memory_map *map, paddr_t base, paddr_t end, uint32_t type)
{
    if (end > base && map->nranges < BOOT_MAX_RANGES)
        map->ranges[map->nranges++] = (struct boot_range){.base = base, .size = end - base, .type = type};
}

void boot_memory_map(struct boot_memory_map *map, uint64_t memory_bytes)
{
    uint64_t low = boot_low_bytes(memory_bytes);

    memset(map, 0, sizeof(*map));
    map->low_top = low;
    add_range(map, 0, BOOT_EBDA, E820_RAM);
    add_range(map, BOOT_EBDA, 0xa0000, E820_RESERVED);
    add_range(map, 0xf0000, ONE_MIB, E820_RESERVED);
    add_range(map, ONE_MIB, low, E820_RAM);
    add_range(map, 0xfec00000u, 0xfec01000u, E820_RESERVED);
    add_range(map, 0xfee00000u, 0xfee01000u, E820_RESERVED);
    add_range(map, (uint64_t)1 << 32, ((uint64_t)1 << 32) + (memory_bytes - low), E820_RAM);
}

void boot_add(struct boot_plan *plan, paddr_t at, const void *data, size_t len, uint64_t size)
{
    plan->chunks = xrealloc(plan->chunks, (plan->nchunks + 1) * sizeof(*plan->chunks));
    plan->chunks[plan->nchunks++] =
        (struct boot_chunk){.at = at, .data = data, .len = len, .size = size < len ? len : size};
}

void boot_add_owned(struct boot_plan *plan, paddr_t at, uint8_t *data, size_t len)
{
    boot_add(plan, at, data, len, len);
    plan->chunks[plan->nchunks - 1].owned = data;
}

const uint8_t *boot_chunk_at(const struct boot_plan *plan, paddr_t at)
{
    for (unsigned i = 0; i < plan->nchunks; i++)
        if (plan->chunks[i].at == at)
            return plan->chunks[i].data;
    return NULL;
}

void boot_finish(struct boot_plan *plan)
{
    for (unsigned i = 0; i < plan->nchunks; i++)
        free(plan->chunks[i].owned);
    free(plan->chunks);
    memset(plan, 0, sizeof(*plan));
}

/* Is the whole range usable RAM from `first` on? */
static bool is_ram(const struct pc_config *config, paddr_t first, paddr_t at, uint64_t size)
{
    struct boot_memory_map map;

    boot_memory_map(&map, config->memory_bytes);
    for (unsigned i = 0; i < map.nranges; i++) {
        const struct boot_range *r = &map.ranges[i];

        if (r->type == E820_RAM && at >= r->base && at - r->base <= r->size && size <= r->size - (at - r->base))
            return at >= first || size == 0;
    }
    return false;
}

/* What is in the way of [at, at + size): its first byte and length. */
static bool overlap(const struct boot_plan *plan, paddr_t at, uint64_t size, struct boot_range *with)
{
    if (at < plan->keep_at + plan->keep_size && plan->keep_at < at + size) {
        *with = (struct boot_range){.base = plan->keep_at, .size = plan->keep_size};
        return true;
    }
    for (unsigned i = 0; i < plan->nchunks; i++) {
        const struct boot_chunk *c = &plan->chunks[i];

        if (at < c->at + c->size && c->at < at + size) {
            *with = (struct boot_range){.base = c->at, .size = c->size};
            return true;
        }
    }
    return false;
}

int boot_claim(const struct boot_plan *plan, const struct pc_config *config, paddr_t at, uint64_t size,
               const char *what, struct error *err)
{
    struct boot_range with;
    /* Multiboot has no word on what a BIOS keeps at 0: who wants that page has it (memtest86+ 5 does), as from GRUB and QEMU. */
    paddr_t first = boot_is_multiboot(&config->kernel) ? 0 : BOOT_LOW_FREE;

    if (!is_ram(config, first, at, size))
        return error_set(err, -ENOMEM,
                         "%s: %s wants %llu bytes at %#llx, where a machine with %llu MiB has no free memory "
                         "(give it more with --memory, or link the kernel elsewhere)",
                         config->kernel.name, what, (unsigned long long)size, (unsigned long long)at,
                         (unsigned long long)(config->memory_bytes >> 20));
    if (overlap(plan, at, size, &with))
        return error_set(err, -EINVAL, "%s: %s at %#llx overlaps something loaded before it", config->kernel.name,
                         what, (unsigned long long)at);
    return 0;
}

paddr_t boot_place(const struct boot_plan *plan, const struct pc_config *config, uint64_t size, uint64_t align,
                   paddr_t low, paddr_t high, bool upwards)
{
    struct boot_range r;
    struct boot_memory_map map;
    paddr_t at, next;

    boot_memory_map(&map, config->memory_bytes);
    if (high > map.low_top)
        high = map.low_top;
    if (high < low || size > high - low)
        return 0;
    at = upwards ? (low + align - 1) & ~(align - 1) : (high - size) & ~(align - 1);
    while (at >= low && at + size <= high) {
        bool taken = overlap(plan, at, size, &r);

        if (!taken && is_ram(config, BOOT_LOW_FREE, at, size))
            return at;
        if (upwards) {
            at = taken ? (r.base + r.size + align - 1) & ~(align - 1) : at + align;
            continue;
        }
        next = taken ? r.base : at + size - align;
        if (next < size)
            return 0;
        at = (next - size) & ~(align - 1);
    }
    return 0;
}

int boot_flat_gdt(struct boot_plan *plan, const struct pc_config *config, uint16_t code, struct error *err)
{
    uint8_t *gdt = xcalloc(GDT_ENTRIES, 8);
    paddr_t at = boot_place(plan, config, GDT_ENTRIES * 8, 16, BOOT_LOW_FREE, BOOT_EBDA, false);

    if (!at) {
        free(gdt);
        return error_set(err, -ENOMEM, "%s: leaves no room below 640 KiB for a descriptor table",
                         config->kernel.name);
    }
    put_le64(gdt + code, 0x00cf9b000000ffffull);     /* code: base 0, limit 4 GiB, readable */
    put_le64(gdt + code + 8, 0x00cf93000000ffffull); /* data: the same, writable */
    boot_add_owned(plan, at, gdt, GDT_ENTRIES * 8);
    plan->gdt = (uint32_t)at;
    plan->gdt_len = GDT_ENTRIES * 8;
    plan->code_selector = code;
    plan->data_selector = (uint16_t)(code + 8);
    return 0;
}

bool boot_cpu_is_64bit(const struct pc_config *config)
{
    struct i386_model model;
    struct error err;

    return i386_model_parse(&model, config->cpu_model, &err) == 0 && i386_has(&model, FEATURE_LM);
}

/* A level 4 table, a level 3 table, and a level 2 table of 2 MiB pages for each GiB. */
static void fill_page_tables(uint8_t *tables, uint32_t at)
{
    put_le64(tables, (at + PAGE_SIZE) | PTE_PRESENT | PTE_WRITE);
    for (unsigned n = 0; n < MAPPED_GIB; n++)
        put_le64(tables + PAGE_SIZE + 8 * n, (at + (2 + n) * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE);
    for (uint64_t n = 0; n < MAPPED_GIB * 512; n++)
        put_le64(tables + 2 * PAGE_SIZE + 8 * n, n << 21 | PTE_PRESENT | PTE_WRITE | PTE_LARGE);
}

int boot_long_tables(struct boot_plan *plan, const struct pc_config *config, struct error *err)
{
    const uint64_t size = (2 + MAPPED_GIB) * PAGE_SIZE;
    paddr_t at = boot_place(plan, config, size, PAGE_SIZE, BOOT_LOW_FREE, BOOT_EBDA, false);
    uint8_t *tables;
    int rc;

    if (!at)
        return error_set(err, -ENOMEM, "%s: leaves no room below 640 KiB for page tables", config->kernel.name);
    tables = xcalloc(1, size);
    fill_page_tables(tables, (uint32_t)at);
    boot_add_owned(plan, at, tables, size);
    plan->cr3 = (uint32_t)at;
    rc = boot_flat_gdt(plan, config, 0x10, err);
    if (rc)
        return rc;
    /* The GDT is the last chunk; its code segment has 64 bits. */
    put_le64(plan->chunks[plan->nchunks - 1].owned + 0x10, 0x00af9b000000ffffull);
    plan->mode = BOOT_LONG;
    return 0;
}

/* Does the kernel begin within what was loaded? */
static int check_entry(const struct boot_plan *plan, const struct pc_config *config, struct error *err)
{
    for (unsigned i = 0; i < plan->nchunks; i++)
        if (plan->eip >= plan->chunks[i].at && plan->eip - plan->chunks[i].at < plan->chunks[i].size)
            return 0;
    return error_set(err, -ENOEXEC, "%s: its entry point %#x lies outside of what was loaded", config->kernel.name,
                     plan->eip);
}

int boot_load(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
              struct error *err)
{
    int rc;

    memset(plan, 0, sizeof(*plan));
    if (boot_is_bzimage(&config->kernel))
        rc = boot_load_bzimage(plan, config, tables->rsdp, err);
    else if (boot_is_multiboot2(&config->kernel)) /* before version 1: it tells more */
        rc = boot_load_multiboot2(plan, config, tables, err);
    else if (boot_is_multiboot(&config->kernel))
        rc = boot_load_multiboot(plan, config, err);
    else if (boot_is_elf(&config->kernel))
        rc = boot_load_elf(plan, config, tables, err);
    else if (boot_is_old_zimage(&config->kernel))
        rc = error_set(err, -ENOEXEC, "%s: of before Linux's boot protocol 2.00, its setup code is started by firmware: "
                       "give it a --bios", config->kernel.name);
    else
        rc = error_set(err, -ENOEXEC,
                       "%s: not a kernel that can be loaded (neither ELF, Multiboot nor Linux bzImage); "
                       "a flat firmware image is given with --bios",
                       config->kernel.name);
    if (rc == 0)
        rc = check_entry(plan, config, err);
    if (rc)
        boot_finish(plan);
    return rc;
}

bool pc_is_64bit(const void *data, size_t len)
{
    struct boot_image image = {.data = data, .len = len};
    const uint8_t *p = data;
    uint8_t head[0x400];

    if (p && gunzip_recognises(data, len)) {
        image = (struct boot_image){.data = head, .len = gunzip_peek(data, len, head, sizeof(head))};
        p = head;
        len = image.len;
    }

    if (boot_is_bzimage(&image)) /* boot protocol 2.12: XLF_KERNEL_64 */
        return get_le16(p + 0x206) >= 0x020c && (p[0x236] & 1);
    if (boot_is_uefi(&image))
        return true;
    return boot_is_elf(&image) && len > 20 && p[4] == 2 && /* ELFCLASS64, EM_X86_64 or (elf.c) EM_386 */
           (get_le16(p + 18) == 62 || get_le16(p + 18) == 3);
}

static void zero_fill(struct memory *memory, paddr_t at, uint64_t size)
{
    static const uint8_t zeros[PAGE_SIZE];

    while (size) {
        size_t n = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);

        memory_write_bytes(memory, at, zeros, n, true);
        at += n;
        size -= n;
    }
}

/* SDM 3A 4.4.1, 4.5, 9.8.5: what a loader has gone through by then. */
static void enable_long_mode(const struct boot_plan *plan, struct i386_state *st)
{
    st->cr0 |= CR0_PG;
    st->cr3 = plan->cr3;
    st->cr4 |= CR4_PAE;
    st->efer |= EFER_LME | EFER_LMA;
}

static void set_segment(struct i386_segment *seg, uint16_t selector, uint16_t attr)
{
    *seg = (struct i386_segment){
        .selector = selector, .attr = attr, .base = 0, .limit = 0xffffffffu, .valid = 1};
}

/* SDM 3A 3.4.5: 32-bit segments over all 4 GiB; or a 64-bit code segment. */
static void enter_flat(const struct boot_plan *plan, struct i386_cpu *cpu)
{
    struct i386_state *st = cpu->st;

    st->cr0 |= CR0_PE;
    st->eflags = EFLAGS_1;
    st->cpl = 0;
    if (plan->mode == BOOT_LONG)
        enable_long_mode(plan, st);
    set_segment(&st->seg[SEG_CS], plan->code_selector, plan->mode == BOOT_LONG ? 0xa09b : 0xc09b);
    for (unsigned n = 0; n < 6; n++)
        if (n != SEG_CS)
            set_segment(&st->seg[n], plan->data_selector, 0xc093);
    st->gdtr.base = plan->gdt;
    st->gdtr.limit = plan->gdt_len ? plan->gdt_len - 1 : 0;
    memset(st->gpr, 0, sizeof(st->gpr));
    st->gpr[EAX] = plan->eax;
    st->gpr[EBX] = plan->ebx;
    st->gpr[ESI] = plan->esi;
    st->gpr[ESP] = plan->esp;
    st->rip = plan->eip;
    if (plan->pvh) { /* (CR0.ET is no bit that one can write) */
        st->cr0 = CR0_PE | CR0_ET;
        st->seg[SEG_TR].limit = TSS32_LAST;
    }
    i386_mode_changed(cpu);
}

void boot_apply(const struct boot_plan *plan, struct memory *memory, struct i386_cpu *cpu)
{
    for (unsigned i = 0; i < plan->nchunks; i++) {
        const struct boot_chunk *c = &plan->chunks[i];

        memory_write_bytes(memory, c->at, c->data, c->len, true);
        zero_fill(memory, c->at + c->len, c->size - c->len);
    }
    if (plan->mode != BOOT_RESET_VECTOR)
        enter_flat(plan, cpu);
}
