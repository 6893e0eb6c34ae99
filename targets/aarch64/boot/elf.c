/*
 * ELF programs for aarch64, read with libelf and loaded at the physical
 * addresses of their program headers (System V ABI, chapter 5). They start
 * with X0 = device tree, MMU off, no stack. If the entry point is a virtual
 * address of a loaded segment, it is turned into the physical one.
 *
 * Position-independent executables are loaded where they are linked; they
 * relocate themselves if they must. Not handled: relocatable files.
 */
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "aarch64/boot/boot.h"
#include "base/buffer.h"

/* e_machine is at the same place in both classes. */
bool a64_boot_is_elf(const void *data, size_t len)
{
    const uint8_t *p = data;

    return len >= 20 && memcmp(p, ELFMAG, SELFMAG) == 0 && (p[18] | p[19] << 8) == EM_AARCH64;
}

static int check_header(Elf *elf, const char *name, GElf_Ehdr *eh, struct error *err)
{
    if (!gelf_getehdr(elf, eh))
        return error_set(err, -ENOEXEC, "%s: truncated ELF header", name);
    if (gelf_getclass(elf) != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
        return error_set(err, -ENOEXEC, "%s: not a 64-bit little-endian ELF file", name);
    if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
        return error_set(err, -ENOEXEC, "%s: not an executable (ELF type %u); link it", name, (unsigned)eh->e_type);
    return 0;
}

static int load_segment(struct a64_boot_plan *plan, const struct virt_config *config, const struct a64_kernel *kernel,
                        const GElf_Phdr *ph, struct error *err)
{
    if (ph->p_offset > kernel->len || ph->p_filesz > kernel->len - ph->p_offset)
        return error_set(err, -ENOEXEC,
                         "%s: truncated: a segment of %llu bytes at offset %llu lies beyond the file's %llu bytes",
                         kernel->name, (unsigned long long)ph->p_filesz, (unsigned long long)ph->p_offset,
                         (unsigned long long)kernel->len);
    if (ph->p_memsz < ph->p_filesz)
        return error_set(err, -ENOEXEC, "%s: a segment is larger in the file than in memory", kernel->name);
    return a64_boot_add(plan, config, ph->p_paddr, kernel->data + ph->p_offset, (size_t)ph->p_filesz, ph->p_memsz,
                        "a segment", err);
}

static paddr_t physical_entry(Elf *elf, size_t n, uint64_t entry)
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

static int load_all(struct a64_boot_plan *plan, const struct virt_config *config, const struct a64_kernel *kernel,
                    Elf *elf, struct error *err)
{
    unsigned loaded = 0;
    GElf_Ehdr eh;
    GElf_Phdr ph;
    size_t n = 0;
    int rc = check_header(elf, kernel->name, &eh, err);

    if (rc)
        return rc;
    if (elf_getphdrnum(elf, &n) || eh.e_phoff > kernel->len ||
        (uint64_t)eh.e_phnum * eh.e_phentsize > kernel->len - eh.e_phoff)
        return error_set(err, -ENOEXEC, "%s: truncated: the program headers are missing", kernel->name);
    for (size_t i = 0; i < n; i++) {
        if (!gelf_getphdr(elf, (int)i, &ph))
            return error_set(err, -ENOEXEC, "%s: truncated: program header %zu is missing", kernel->name, i);
        if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
            continue;
        rc = load_segment(plan, config, kernel, &ph, err);
        if (rc)
            return rc;
        loaded++;
    }
    if (!loaded)
        return error_set(err, -ENOEXEC, "%s: has no loadable segment", kernel->name);
    plan->protocol = "ELF";
    plan->entry = physical_entry(elf, n, eh.e_entry);
    return 0;
}

int a64_boot_load_elf(struct a64_boot_plan *plan, const struct virt_config *config, const struct a64_kernel *kernel,
                      struct error *err)
{
    char *copy;
    Elf *elf;
    int rc;

    if (elf_version(EV_CURRENT) == EV_NONE)
        return error_set(err, -EINVAL, "libelf is too old");
    copy = xmalloc(kernel->len); /* libelf wants a buffer that it may write to */
    memcpy(copy, kernel->data, kernel->len);
    elf = elf_memory(copy, kernel->len);
    if (!elf || elf_kind(elf) != ELF_K_ELF)
        rc = error_set(err, -ENOEXEC, "%s: damaged ELF file: %s", kernel->name, elf_errmsg(-1));
    else
        rc = load_all(plan, config, kernel, elf, err);
    if (elf)
        elf_end(elf);
    free(copy);
    return rc;
}
