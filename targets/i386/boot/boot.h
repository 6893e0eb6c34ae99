/*
 * What a boot loader makes of its files: chunks for physical memory and the
 * state in which the CPU starts. Made once, when the machine is created, so
 * that every mistake in a file is told then; applied at every reset.
 *
 * A loader gets images as bytes and trusts nothing in them. Adding one: write
 * a boot_load_*() that fills a plan, and call it from boot_load().
 */
#ifndef HINDCAST_I386_BOOT_H
#define HINDCAST_I386_BOOT_H

#include "base/error.h"
#include "i386/pc.h"

struct i386_cpu;
struct fwcfg_wiring;
struct memory;

/* E820 types (ACPI 6, table "System address map"). */
enum { E820_RAM = 1, E820_RESERVED = 2 };

struct boot_range {
    paddr_t base;
    uint64_t size;
    uint32_t type; /* E820_* */
    uint32_t reserved;
};

#define BOOT_MAX_RANGES 16
struct boot_memory_map {
    struct boot_range ranges[BOOT_MAX_RANGES]; /* sorted, not overlapping */
    unsigned nranges;
    uint64_t low_top; /* end of the RAM that begins at 1 MiB and ends below 4 GiB */
};

/* `data` goes to `at`, zeros follow up to `size`. */
struct boot_chunk {
    paddr_t at;
    uint64_t size;
    const uint8_t *data;
    size_t len;
    uint8_t *owned; /* == data if the plan must free it */
};

/* The graphics mode in which a kernel asked to be started. */
struct boot_video {
    uint16_t width, height, bpp; /* 0: none, text */
    uint16_t reserved;
};

enum boot_mode {
    BOOT_RESET_VECTOR, /* leave the CPU as reset left it */
    BOOT_FLAT,         /* protected mode, flat 4 GiB segments, paging off */
    BOOT_LONG,         /* 64-bit mode, the first 4 GiB mapped where they are */
};

struct boot_plan {
    struct boot_chunk *chunks;
    unsigned nchunks;
    paddr_t keep_at;      /* memory that the kernel unpacks itself into: nothing else goes there */
    uint64_t keep_size;
    enum boot_mode mode;
    struct boot_video video;
    const char *protocol; /* for messages: "ELF", "Multiboot"... */
    uint16_t code_selector, data_selector;
    uint32_t gdt;         /* address of `gdt_len` bytes of descriptors, 0: none */
    uint32_t gdt_len;
    uint32_t cr3;         /* BOOT_LONG: address of the page tables */
    uint32_t eip, eax, ebx, esi, esp;
    bool pvh;             /* BOOT_FLAT: CR0 and TR are what PVH promises, not what reset left */
};

/* Firmware tables that a kernel is told of. */
struct boot_tables {
    uint32_t rsdp;        /* address of the ACPI RSDP; 0: none */
    const uint8_t *rsdp_bytes;
    size_t rsdp_len;      /* 20 bytes of ACPI 1.0, 36 of later ones */
    const uint8_t *smbios; /* the SMBIOS entry point; NULL: none */
    size_t smbios_len;
};

/* What lies where no loader may put anything (EBDA, BIOS area, firmware tables). */
#define BOOT_EBDA       0x9fc00u
#define BOOT_LOW_FREE   0x01000u /* first byte that a loader may use */
/* RAM below 4 GiB, of `memory_bytes`; the rest begins at 4 GiB. As QEMU's: all of it if it ends
 * below 3.5 GiB, else 3 GiB. */
static inline uint64_t boot_low_bytes(uint64_t memory_bytes)
{
    return memory_bytes < 0xe0000000u ? memory_bytes : 0xc0000000u;
}

/* The memory map of a board without firmware. */
void boot_memory_map(struct boot_memory_map *map, uint64_t memory_bytes);

/* Recognise config->kernel and plan its start. */
int boot_load(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
              struct error *err);
void boot_finish(struct boot_plan *plan);
/* Put everything into memory and set the CPU up. After its reset. */
void boot_apply(const struct boot_plan *plan, struct memory *memory, struct i386_cpu *cpu);

/* ---- for loaders ---- */

/* Add a chunk; the bytes stay the caller's, or (owned) become the plan's. */
void boot_add(struct boot_plan *plan, paddr_t at, const void *data, size_t len, uint64_t size);
void boot_add_owned(struct boot_plan *plan, paddr_t at, uint8_t *data, size_t len);
/* Check that [at, at + size) is RAM that no chunk uses and no firmware owns; `what` names it in the error. */
int boot_claim(const struct boot_plan *plan, const struct pc_config *config, paddr_t at, uint64_t size,
               const char *what, struct error *err);
/* Highest (or, upwards, lowest) address at a multiple of `align` in [low, high) where `size` bytes are free RAM;
 * 0: nowhere. */
paddr_t boot_place(const struct boot_plan *plan, const struct pc_config *config, uint64_t size, uint64_t align,
                   paddr_t low, paddr_t high, bool upwards);
/* A flat GDT with code at `code` and data at `code` + 8; sets the plan's selectors. */
int boot_flat_gdt(struct boot_plan *plan, const struct pc_config *config, uint16_t code, struct error *err);

/* Descriptor and page tables for BOOT_LONG. */
int boot_long_tables(struct boot_plan *plan, const struct pc_config *config, struct error *err);
/* Has the machine's CPU long mode? */
bool boot_cpu_is_64bit(const struct pc_config *config);

/* elf.c */
bool boot_is_elf(const struct boot_image *image);
/* Put the loadable segments at their physical addresses, moved by `slide`; *entry physical. */
int boot_elf_segments(struct boot_plan *plan, const struct pc_config *config, uint64_t slide, uint32_t *entry,
                      struct error *err);
/* The first address of the loadable segments, and the one after the last. */
int boot_elf_extent(const struct pc_config *config, uint64_t *first, uint64_t *end, struct error *err);
/* Section headers for Multiboot: those that are not loaded are placed too. False: there are none. */
bool boot_elf_sections(struct boot_plan *plan, const struct pc_config *config, uint32_t *num, uint32_t *size,
                       uint32_t *addr, uint32_t *shndx);
int boot_load_elf(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
                  struct error *err);

/* pvh.c: after the segments are loaded; `entry`: what the note says. */
int boot_start_pvh(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
                   uint32_t entry, struct error *err);

/* The bytes of the chunk that begins at `at`, or NULL. */
const uint8_t *boot_chunk_at(const struct boot_plan *plan, paddr_t at);

/* video.c */
enum { BOOT_FRAMEBUFFER_RGB = 1, BOOT_FRAMEBUFFER_TEXT = 2 }; /* as in both Multiboot specifications */
struct boot_framebuffer {
    uint64_t address;
    uint32_t pitch, width, height; /* bytes; pixels, or characters */
    uint8_t bpp, type;
    uint8_t fields[6];             /* position and size of red, green, blue */
};
/* The mode for a kernel that asks for this one (0: anything). -ENOTSUP: the display has it not. */
int boot_choose_video(struct boot_video *v, const struct pc_config *config, uint32_t width, uint32_t height,
                      uint32_t bpp, struct error *err);
/* What to tell of the display in that mode (width 0: text); false: there is none. */
bool boot_framebuffer(struct boot_framebuffer *f, const struct pc_config *config, const struct boot_video *v);

/* multiboot.c */
bool boot_is_multiboot(const struct boot_image *image);
/* A flat file that says where it is to be loaded (Multiboot 1 and 2). */
struct boot_flat {
    size_t header; /* offset of the header in the file */
    uint32_t header_addr, load, load_end, bss_end;
};
int boot_load_flat(struct boot_plan *plan, const struct pc_config *config, const struct boot_flat *f, struct error *err);
int boot_place_module(struct boot_plan *plan, const struct pc_config *config, const struct boot_image *m, uint32_t *at,
                      struct error *err);
int boot_load_multiboot(struct boot_plan *plan, const struct pc_config *config, struct error *err);

/* multiboot2.c */
bool boot_is_multiboot2(const struct boot_image *image);
int boot_load_multiboot2(struct boot_plan *plan, const struct pc_config *config, const struct boot_tables *tables,
                         struct error *err);

/* bzimage.c */
bool boot_is_bzimage(const struct boot_image *image);

/* Of before boot protocol 2.00, without its header (memtest86 is made like one): its length is what its boot sector says. */
bool boot_is_old_zimage(const struct boot_image *image);

/* Of either kind: the length of boot sector and setup code. */
size_t boot_setup_bytes(const struct boot_image *image);
int boot_load_bzimage(struct boot_plan *plan, const struct pc_config *config, uint32_t rsdp, struct error *err);
/* Linux's struct boot_params with what every loader has to fill in; places initrd and command line.
 * `header` (of `header_len` bytes, from 1F1h) NULL: a kernel without setup code. */
int boot_linux_params(struct boot_plan *plan, const struct pc_config *config, uint32_t rsdp, const uint8_t *header,
                      size_t header_len, uint32_t *address, struct error *err);

/* linuxrom.c: firmware starts config->kernel (a bzImage), which it finds in the configuration device. */
#define BOOT_LINUX_ROM_FILE "genroms/linuxboot.bin"
#define BOOT_LINUX_ROM      "/rom@" BOOT_LINUX_ROM_FILE "\n" /* its line in the order of booting (vm/dev/boot_order.h) */
int boot_linux_rom(struct fwcfg_wiring *w, const struct pc_config *config, struct error *err);

/* bios.c */
int boot_check_bios(const struct boot_image *bios, struct error *err);
int boot_check_flash(const struct pc_config *config, struct error *err);
/* Is it a UEFI firmware volume? */
bool boot_is_uefi(const struct boot_image *image);

#endif
