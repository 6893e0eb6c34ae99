/*
 * ELF kernels, read with libelf: executables for i386 and x86-64, loaded at the
 * physical addresses of their program headers (System V ABI, chapter 5).
 *
 * A kernel with a note for PVH starts as that says (pvh.c). Another one for x86-64 starts in 64-bit mode with the first
 * 4 GiB mapped where they are, RSI pointing at Linux boot parameters; another one for i386 starts in 32-bit protected mode with flat segments, paging
 * and interrupts off, EAX 0, a small stack, and ESI pointing at Linux boot
 * parameters (so that an uncompressed vmlinux boots with initrd and command
 * line). If the entry point is a virtual address of a loaded segment, it is
 * turned into the physical one.
 *
 * One that is linked to lie anywhere (ET_DYN: memtest86+ 5's, Rust's x86_64-unknown-none) lies where its headers say,
 * if a Multiboot header or that note says that it is a kernel; without, it is a library or a program.
 *
 * Not handled: relocatable files, relocations.
 */
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"

#define STACK_BYTES 0x1000u
#define MAX_SECTIONS 4096u
#define NOTE_PVH_ENTRY 18u /* XEN_ELFNOTE_PHYS32_ENTRY */

bool boot_is_elf(const struct boot_image *image)
{
    return image->len >= SELFMAG && memcmp(image->data, ELFMAG, SELFMAG) == 0;
}

static bool is_elf64(const struct boot_image *image)
{
    return boot_is_elf(image) && image->len > EI_CLASS && ((const uint8_t *)image->data)[EI_CLASS] == ELFCLASS64;
}

/* libelf wants a buffer that it may write to, so it gets a copy of what it reads: never the image itself. */
static Elf *open_elf(const struct pc_config *config, char **copy, struct error *err)
{
    Elf *elf;

    if (elf_version(EV_CURRENT) == EV_NONE) {
        error_set(err, -EINVAL, "libelf is too old");
        return NULL;
    }
    *copy = xmalloc(config->kernel.len);
    memcpy(*copy, config->kernel.data, config->kernel.len);
    elf = elf_memory(*copy, config->kernel.len);
    if (!elf || elf_kind(elf) != ELF_K_ELF) {
        error_set(err, -ENOEXEC, "%s: a damaged ELF file", config->kernel.name);
        if (elf)
            elf_end(elf);
        free(*copy);
        return NULL;
    }
    return elf;
}

/* Notes (System V ABI, "Note Section") of [p, end): the entry point of PVH, if one says it. */
static bool find_pvh_note(const uint8_t *p, const uint8_t *end, uint32_t *entry)
{
    while (end - p >= 12) {
        uint64_t name = get_le32(p), desc = get_le32(p + 4), left = (uint64_t)(end - p) - 12;
        const uint8_t *text = p + 12;
        uint64_t skip = (name + 3) & ~3ull;

        if (skip > left || desc > left - skip)
            return false;
        if (name == 4 && !memcmp(text, "Xen", 4) && get_le32(p + 8) == NOTE_PVH_ENTRY && desc >= 4) {
            *entry = get_le32(text + skip);
            return true;
        }
        skip += (desc + 3) & ~3ull;
        if (skip > left)
            return false;
        p = text + skip;
    }
    return false;
}

static bool has_pvh_note(const struct pc_config *config, uint32_t *entry)
{
    const uint8_t *file = config->kernel.data;
    struct error ignored;
    bool found = false;
    char *copy;
    Elf *elf = open_elf(config, &copy, &ignored);
    GElf_Phdr ph;
    size_t n = 0;

    if (!elf)
        return false;
    for (size_t i = 0; elf_getphdrnum(elf, &n) == 0 && i < n && !found; i++)
        found = gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_NOTE && ph.p_offset <= config->kernel.len &&
                ph.p_filesz <= config->kernel.len - ph.p_offset &&
                find_pvh_note(file + ph.p_offset, file + ph.p_offset + ph.p_filesz, entry);
    elf_end(elf);
    free(copy);
    return found;
}

/* Something in it says so: then its type is no matter. */
static bool is_kernel(const struct pc_config *config)
{
    uint32_t entry;

    return boot_is_multiboot(&config->kernel) || boot_is_multiboot2(&config->kernel) || has_pvh_note(config, &entry);
}

static bool is_for_pc(Elf *elf, unsigned machine, const struct pc_config *config)
{
    uint32_t entry;

    if (gelf_getclass(elf) == ELFCLASS32)
        return machine == EM_386 || machine == 6 /* EM_486 */;
    /* One that starts by PVH begins with 32-bit code: EDK2's for Cloud Hypervisor says so in a file of 64 bits. */
    return machine == EM_X86_64 || (machine == EM_386 && has_pvh_note(config, &entry));
}

static int check_header(Elf *elf, const struct pc_config *config, GElf_Ehdr *eh, struct error *err)
{
    const char *name = config->kernel.name;

    if (!gelf_getehdr(elf, eh))
        return error_set(err, -ENOEXEC, "%s: truncated ELF header", name);
    if (!is_for_pc(elf, eh->e_machine, config))
        return error_set(err, -ENOEXEC, "%s: an ELF file for %s; a pc runs those for the i386 and for x86-64", name,
                         boot_image_elf_machine(&config->kernel));
    if (eh->e_ident[EI_DATA] != ELFDATA2LSB)
        return error_set(err, -ENOEXEC, "%s: a big-endian ELF file", name);
    if (eh->e_type != ET_EXEC && !(eh->e_type == ET_DYN && is_kernel(config)))
        return error_set(err, -ENOEXEC, "%s: not an executable (ELF type %u); link it, statically", name,
                         (unsigned)eh->e_type);
    return 0;
}

static int load_segment(struct boot_plan *plan, const struct pc_config *config, const GElf_Phdr *ph, uint64_t slide,
                        struct error *err)
{
    const uint8_t *data = config->kernel.data;
    int rc;

    if (ph->p_offset > config->kernel.len || ph->p_filesz > config->kernel.len - ph->p_offset)
        return error_set(err, -ENOEXEC,
                         "%s: truncated: a segment of %llu bytes at offset %llu lies beyond the file's %llu bytes",
                         config->kernel.name, (unsigned long long)ph->p_filesz, (unsigned long long)ph->p_offset,
                         (unsigned long long)config->kernel.len);
    if (ph->p_memsz < ph->p_filesz)
        return error_set(err, -ENOEXEC, "%s: a segment is larger in the file than in memory", config->kernel.name);
    rc = boot_claim(plan, config, ph->p_paddr + slide, ph->p_memsz, "a segment", err);
    if (rc)
        return rc;
    boot_add(plan, ph->p_paddr + slide, data + ph->p_offset, (size_t)ph->p_filesz, ph->p_memsz);
    return 0;
}

/* The physical address of the entry point. */
static uint64_t physical_entry(Elf *elf, size_t n, uint64_t entry)
{
    GElf_Phdr ph;

    for (size_t i = 0; i < n; i++)
        if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_LOAD && entry >= ph.p_paddr &&
            entry - ph.p_paddr < ph.p_memsz)
            return entry;
    for (size_t i = 0; i < n; i++)
        if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_LOAD && entry >= ph.p_vaddr &&
            entry - ph.p_vaddr < ph.p_memsz)
            return entry - ph.p_vaddr + ph.p_paddr;
    return entry;
}

/* Its headers are all there: how many program headers. */
static int open_segments(const struct pc_config *config, Elf *elf, GElf_Ehdr *eh, size_t *n, struct error *err)
{
    int rc = check_header(elf, config, eh, err);

    if (rc)
        return rc;
    if (elf_getphdrnum(elf, n) || eh->e_phoff > config->kernel.len ||
        (uint64_t)eh->e_phnum * eh->e_phentsize > config->kernel.len - eh->e_phoff)
        return error_set(err, -ENOEXEC, "%s: truncated: the program headers are missing", config->kernel.name);
    return 0;
}

static int load_all(struct boot_plan *plan, const struct pc_config *config, Elf *elf, uint64_t slide, uint32_t *entry,
                    struct error *err)
{
    unsigned loaded = 0;
    GElf_Ehdr eh;
    GElf_Phdr ph;
    size_t n = 0;
    uint64_t physical;
    int rc = open_segments(config, elf, &eh, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (!gelf_getphdr(elf, (int)i, &ph))
            return error_set(err, -ENOEXEC, "%s: truncated: program header %zu is missing", config->kernel.name, i);
        if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
            continue;
        rc = load_segment(plan, config, &ph, slide, err);
        if (rc)
            return rc;
        loaded++;
    }
    if (!loaded)
        return error_set(err, -ENOEXEC, "%s: has no loadable segment", config->kernel.name);
    physical = physical_entry(elf, n, eh.e_entry) + slide;
    if (physical > UINT32_MAX)
        return error_set(err, -ENOEXEC, "%s: its entry point %#llx lies above 4 GiB", config->kernel.name,
                         (unsigned long long)physical);
    *entry = (uint32_t)physical;
    return 0;
}

static int find_extent(const struct pc_config *config, Elf *elf, uint64_t *first, uint64_t *end, struct error *err)
{
    GElf_Ehdr eh;
    GElf_Phdr ph;
    size_t n = 0;
    int rc = open_segments(config, elf, &eh, &n, err);

    *first = UINT64_MAX;
    *end = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD || ph.p_memsz == 0)
            continue;
        if (ph.p_paddr > UINT32_MAX || ph.p_memsz > UINT32_MAX)
            return error_set(err, -ENOEXEC, "%s: a segment above 4 GiB", config->kernel.name);
        *first = ph.p_paddr < *first ? ph.p_paddr : *first;
        *end = ph.p_paddr + ph.p_memsz > *end ? ph.p_paddr + ph.p_memsz : *end;
    }
    if (rc == 0 && !*end)
        rc = error_set(err, -ENOEXEC, "%s: has no loadable segment", config->kernel.name);
    return rc;
}

int boot_elf_extent(const struct pc_config *config, uint64_t *first, uint64_t *end, struct error *err)
{
    char *copy;
    Elf *elf = open_elf(config, &copy, err);
    int rc;

    if (!elf)
        return -ENOEXEC;
    rc = find_extent(config, elf, first, end, err);
    elf_end(elf);
    free(copy);
    return rc;
}

int boot_elf_segments(struct boot_plan *plan, const struct pc_config *config, uint64_t slide, uint32_t *entry,
                      struct error *err)
{
    char *copy;
    Elf *elf = open_elf(config, &copy, err);
    int rc;

    if (!elf)
        return -ENOEXEC;
    rc = load_all(plan, config, elf, slide, entry, err);
    elf_end(elf);
    free(copy);
    return rc;
}

/* Place a section that no segment loads (symbols, strings) above the kernel; 0: not possible. */
static uint32_t place_section(struct boot_plan *plan, const struct pc_config *config, uint64_t offset, uint64_t size)
{
    paddr_t at;

    if (!size || size > UINT32_MAX || offset > config->kernel.len || size > config->kernel.len - offset)
        return 0;
    at = boot_place(plan, config, size, 16, 0x100000, UINT32_MAX, true);
    if (at)
        boot_add(plan, at, (const uint8_t *)config->kernel.data + offset, size, size);
    return (uint32_t)at;
}

/* Where a class of ELF files has what of the file's and of a section's header. */
struct section_layout {
    size_t header, shoff, shentsize;     /* bytes of the file's header; offsets in it, shnum and shstrndx following */
    uint32_t entry;                      /* bytes of a section's header */
    size_t width, flags, addr, offset, size; /* of an address; offsets */
};

static uint64_t get_field(const uint8_t *p, size_t width)
{
    return width == 8 ? get_le64(p) : get_le32(p);
}

bool boot_elf_sections(struct boot_plan *plan, const struct pc_config *config, uint32_t *num, uint32_t *size,
                       uint32_t *addr, uint32_t *shndx)
{
    static const struct section_layout layouts[2] = {{52, 32, 46, 40, 4, 8, 12, 16, 20}, {64, 40, 58, 64, 8, 8, 16, 24, 32}};
    const struct section_layout *l = &layouts[is_elf64(&config->kernel)];
    const uint8_t *file = config->kernel.data;
    size_t len = config->kernel.len;
    uint64_t offset;
    uint32_t count;
    uint8_t *headers;
    paddr_t at;

    if (len < l->header)
        return false;
    offset = get_field(file + l->shoff, l->width);
    count = get_le16(file + l->shentsize + 2);
    if (get_le16(file + l->shentsize) != l->entry || !count || count > MAX_SECTIONS || offset > len ||
        count * l->entry > len - offset)
        return false;
    at = boot_place(plan, config, count * l->entry, 16, 0x100000, UINT32_MAX, true);
    if (!at)
        return false;
    headers = xmalloc(count * l->entry);
    memcpy(headers, file + offset, count * l->entry);
    boot_add_owned(plan, at, headers, count * l->entry);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *h = headers + i * l->entry;
        uint32_t type = get_le32(h + 4);

        if ((type == SHT_SYMTAB || type == SHT_STRTAB) && !(get_field(h + l->flags, l->width) & SHF_ALLOC))
            put_le32(h + l->addr, place_section(plan, config, get_field(h + l->offset, l->width),
                                                get_field(h + l->size, l->width)));
    }
    *num = count;
    *size = l->entry;
    *addr = (uint32_t)at;
    *shndx = get_le16(file + l->shentsize + 4);
    return true;
}

int boot_load_elf(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
                  struct error *err)
{
    bool is_64 = is_elf64(&config->kernel);
    uint32_t pvh;
    paddr_t stack;
    int rc = boot_elf_segments(plan, config, 0, &plan->eip, err);

    if (rc)
        return rc;
    if (has_pvh_note(config, &pvh))
        return boot_start_pvh(plan, config, tables, pvh, err);
    if (is_64 && !boot_cpu_is_64bit(config))
        return error_set(err, -EINVAL, "%s: an ELF file for x86-64; the CPU %s has 32 bits (--cpu qemu64)",
                         config->kernel.name, config->cpu_model);
    rc = boot_linux_params(plan, config, tables->rsdp, NULL, 0, &plan->esi, err);
    if (rc)
        return rc;
    plan->mode = BOOT_FLAT;
    rc = is_64 ? boot_long_tables(plan, config, err) : boot_flat_gdt(plan, config, 0x10, err);
    if (rc)
        return rc;
    stack = boot_place(plan, config, STACK_BYTES, 16, BOOT_LOW_FREE, BOOT_EBDA, false);
    plan->esp = stack ? (uint32_t)stack + STACK_BYTES : 0;
    plan->protocol = "ELF";
    return 0;
}
