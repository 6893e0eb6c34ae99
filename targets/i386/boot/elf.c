/*
 * ELF kernels, read with libelf: 32-bit i386 executables, loaded at the
 * physical addresses of their program headers (System V ABI, chapter 5).
 *
 * A plain ELF kernel starts in 32-bit protected mode with flat segments, paging
 * and interrupts off, EAX 0, a small stack, and ESI pointing at Linux boot
 * parameters (so that an uncompressed vmlinux boots with initrd and command
 * line). If the entry point is a virtual address of a loaded segment, it is
 * turned into the physical one.
 *
 * Not handled: relocatable and dynamic executables, PVH notes.
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
#define SECTION_HEADER_BYTES 40u

bool boot_is_elf(const struct boot_image *image)
{
    return image->len >= SELFMAG && memcmp(image->data, ELFMAG, SELFMAG) == 0;
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

static int check_header(Elf *elf, const struct pc_config *config, GElf_Ehdr *eh, struct error *err)
{
    const char *name = config->kernel.name;

    if (!gelf_getehdr(elf, eh))
        return error_set(err, -ENOEXEC, "%s: truncated ELF header", name);
    if (gelf_getclass(elf) != ELFCLASS32 || (eh->e_machine != EM_386 && eh->e_machine != 6 /* EM_486 */))
        return error_set(err, -ENOEXEC, "%s: an ELF file for %s; a pc runs those for the i386%s", name,
                         boot_image_elf_machine(&config->kernel),
                         eh->e_machine == EM_X86_64 ? " (build it with -m32)" : "");
    if (eh->e_ident[EI_DATA] != ELFDATA2LSB)
        return error_set(err, -ENOEXEC, "%s: a big-endian ELF file", name);
    if (eh->e_type != ET_EXEC)
        return error_set(err, -ENOEXEC, "%s: not an executable (ELF type %u); link it, statically", name,
                         (unsigned)eh->e_type);
    return 0;
}

static int load_segment(struct boot_plan *plan, const struct pc_config *config, const GElf_Phdr *ph, struct error *err)
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
    rc = boot_claim(plan, config, ph->p_paddr, ph->p_memsz, "a segment", err);
    if (rc)
        return rc;
    boot_add(plan, ph->p_paddr, data + ph->p_offset, (size_t)ph->p_filesz, ph->p_memsz);
    return 0;
}

/* The physical address of the entry point. */
static uint32_t physical_entry(Elf *elf, size_t n, uint64_t entry)
{
    GElf_Phdr ph;

    for (size_t i = 0; i < n; i++)
        if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_LOAD && entry >= ph.p_paddr &&
            entry - ph.p_paddr < ph.p_memsz)
            return (uint32_t)entry;
    for (size_t i = 0; i < n; i++)
        if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_LOAD && entry >= ph.p_vaddr &&
            entry - ph.p_vaddr < ph.p_memsz)
            return (uint32_t)(entry - ph.p_vaddr + ph.p_paddr);
    return (uint32_t)entry;
}

static int load_all(struct boot_plan *plan, const struct pc_config *config, Elf *elf, uint32_t *entry,
                    struct error *err)
{
    unsigned loaded = 0;
    GElf_Ehdr eh;
    GElf_Phdr ph;
    size_t n = 0;
    int rc = check_header(elf, config, &eh, err);

    if (rc)
        return rc;
    if (elf_getphdrnum(elf, &n) || eh.e_phoff > config->kernel.len ||
        (uint64_t)eh.e_phnum * eh.e_phentsize > config->kernel.len - eh.e_phoff)
        return error_set(err, -ENOEXEC, "%s: truncated: the program headers are missing", config->kernel.name);
    for (size_t i = 0; i < n; i++) {
        if (!gelf_getphdr(elf, (int)i, &ph))
            return error_set(err, -ENOEXEC, "%s: truncated: program header %zu is missing", config->kernel.name, i);
        if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
            continue;
        rc = load_segment(plan, config, &ph, err);
        if (rc)
            return rc;
        loaded++;
    }
    if (!loaded)
        return error_set(err, -ENOEXEC, "%s: has no loadable segment", config->kernel.name);
    *entry = physical_entry(elf, n, eh.e_entry);
    return 0;
}

int boot_elf_segments(struct boot_plan *plan, const struct pc_config *config, uint32_t *entry, struct error *err)
{
    char *copy;
    Elf *elf = open_elf(config, &copy, err);
    int rc;

    if (!elf)
        return -ENOEXEC;
    rc = load_all(plan, config, elf, entry, err);
    elf_end(elf);
    free(copy);
    return rc;
}

/* Place a section that no segment loads (symbols, strings) above the kernel; 0: not possible. */
static uint32_t place_section(struct boot_plan *plan, const struct pc_config *config, uint32_t offset, uint32_t size)
{
    paddr_t at;

    if (!size || offset > config->kernel.len || size > config->kernel.len - offset)
        return 0;
    at = boot_place(plan, config, size, 16, 0x100000, UINT32_MAX, true);
    if (at)
        boot_add(plan, at, (const uint8_t *)config->kernel.data + offset, size, size);
    return (uint32_t)at;
}

bool boot_elf_sections(struct boot_plan *plan, const struct pc_config *config, uint32_t *num, uint32_t *size,
                       uint32_t *addr, uint32_t *shndx)
{
    const uint8_t *file = config->kernel.data;
    size_t len = config->kernel.len;
    uint32_t offset, count;
    uint8_t *headers;
    paddr_t at;

    if (len < 52)
        return false;
    offset = get_le32(file + 32);
    count = get_le16(file + 48);
    if (get_le16(file + 46) != SECTION_HEADER_BYTES || !count || count > MAX_SECTIONS || offset > len ||
        count * SECTION_HEADER_BYTES > len - offset)
        return false;
    at = boot_place(plan, config, count * SECTION_HEADER_BYTES, 16, 0x100000, UINT32_MAX, true);
    if (!at)
        return false;
    headers = xmalloc(count * SECTION_HEADER_BYTES);
    memcpy(headers, file + offset, count * SECTION_HEADER_BYTES);
    boot_add_owned(plan, at, headers, count * SECTION_HEADER_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *h = headers + i * SECTION_HEADER_BYTES;
        uint32_t type = get_le32(h + 4), flags = get_le32(h + 8);

        if ((type == SHT_SYMTAB || type == SHT_STRTAB) && !(flags & SHF_ALLOC))
            put_le32(h + 12, place_section(plan, config, get_le32(h + 16), get_le32(h + 20)));
    }
    *num = count;
    *size = SECTION_HEADER_BYTES;
    *addr = (uint32_t)at;
    *shndx = get_le16(file + 50);
    return true;
}

int boot_load_elf(struct boot_plan *plan, const struct pc_config *config, uint32_t rsdp, struct error *err)
{
    paddr_t stack;
    int rc = boot_elf_segments(plan, config, &plan->eip, err);

    if (rc)
        return rc;
    rc = boot_linux_params(plan, config, rsdp, NULL, 0, &plan->esi, err);
    if (rc)
        return rc;
    rc = boot_flat_gdt(plan, config, 0x10, err);
    if (rc)
        return rc;
    stack = boot_place(plan, config, STACK_BYTES, 16, BOOT_LOW_FREE, BOOT_EBDA, false);
    plan->esp = stack ? (uint32_t)stack + STACK_BYTES : 0;
    plan->mode = BOOT_FLAT;
    plan->protocol = "ELF";
    return 0;
}
