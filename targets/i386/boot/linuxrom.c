/*
 * Linux kernels by the 16-bit boot protocol (Linux, Documentation/arch/x86/
 * boot.rst), started by firmware: for kernels whose real-mode code calls the
 * BIOS (iPXE, GRUB's lnxboot, memdisk, old Linux).
 *
 * The kernel's parts are items of the firmware configuration device under the
 * numbers that QEMU gives them, so that other firmware (U-Boot's `qfw`) finds
 * them too; SeaBIOS gets an option ROM of ours that names itself a boot device
 * ("Plug and Play BIOS Specification" 1.0A, 3.3: bootstrap entry vector). It lets
 * the device's DMA put the parts where they belong and jumps to the setup code.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"
#include "vm/dev/fwcfg.h"

#define ROM_BYTES 512u

/* Items (QEMU, standard-headers/linux/qemu_fw_cfg.h). */
enum { KERNEL_ADDR = 0x07, KERNEL_SIZE = 0x08, INITRD_ADDR = 0x0a, INITRD_SIZE = 0x0b, KERNEL_DATA = 0x11,
       INITRD_DATA = 0x12, CMDLINE_ADDR = 0x13, CMDLINE_SIZE_ITEM = 0x14, CMDLINE_DATA = 0x15, SETUP_ADDR = 0x16,
       SETUP_SIZE = 0x17, SETUP_DATA = 0x18 };

/* Offsets in the setup header. */
enum { HEADER_MAGIC = 0x202, VERSION = 0x206, TYPE_OF_LOADER = 0x210, LOADFLAGS = 0x211, RAMDISK_IMAGE = 0x218,
       RAMDISK_SIZE = 0x21c, HEAP_END_PTR = 0x224, CMD_LINE_PTR = 0x228, INITRD_ADDR_MAX = 0x22c, OLD_CMD_MAGIC = 0x20,
       OLD_CMD_OFFSET = 0x22 };
#define LOADED_HIGH  0x01u
#define CAN_USE_HEAP 0x80u
#define UNKNOWN_LOADER 0xffu
#define FIRMWARE_TOP 0x100000u /* firmware keeps its tables at the top of memory */

/* Its boot protocol; 0: that of before the header, whose fields are code. */
static uint16_t protocol(const uint8_t *setup)
{
    return memcmp(setup + HEADER_MAGIC, "HdrS", 4) == 0 ? get_le16(setup + VERSION) : 0;
}

/* A part of the kernel, and where it goes. */
struct part {
    uint16_t addr_item, size_item, data_item;
    uint32_t at;
    const uint8_t *data;
    size_t len;
};

static void add_part(struct fwcfg_wiring *w, const struct part *p)
{
    uint8_t n[4];

    put_le32(n, p->at);
    fwcfg_add(w, p->addr_item, n, 4);
    put_le32(n, (uint32_t)p->len);
    fwcfg_add(w, p->size_item, n, 4);
    fwcfg_add(w, p->data_item, p->data, p->len);
}

/* The option ROM: header, code, one DMA descriptor for each part. */
static void make_rom(uint8_t rom[ROM_BYTES], const struct part *parts, unsigned nparts, uint32_t real_mode,
                     uint16_t stack)
{
    enum { PNP = 0x20, CODE = 0x60, TABLE = 0x100, NAME = 0x50 };
    const uint8_t code[] = {
        0xfa,                               /* cli */
        0xfc,                               /* cld */
        0x8c, 0xc8,                         /* mov ax, cs */
        0x8e, 0xd8,                         /* mov ds, ax */
        0x66, 0x0f, 0xb7, 0xd8,             /* movzx ebx, ax */
        0x66, 0xc1, 0xe3, 0x04,             /* shl ebx, 4 */
        0x66, 0x81, 0xc3, TABLE & 0xff, TABLE >> 8, 0, 0, /* add ebx, TABLE */
        0xb9, (uint8_t)nparts, 0x00,        /* mov cx, nparts */
        /* next: */
        0x66, 0x31, 0xc0,                   /* xor eax, eax */
        0xba, 0x14, 0x05,                   /* mov dx, 514h: DMA address, high half */
        0x66, 0xef,                         /* out dx, eax */
        0x66, 0x89, 0xd8,                   /* mov eax, ebx */
        0x66, 0x0f, 0xc8,                   /* bswap eax */
        0x83, 0xc2, 0x04,                   /* add dx, 4: low half, which starts it */
        0x66, 0xef,                         /* out dx, eax */
        0x66, 0x83, 0xc3, 0x10,             /* add ebx, 16 */
        0xe2, 0xe7,                         /* loop next */
        0xb8, (uint8_t)(real_mode >> 4), (uint8_t)(real_mode >> 12), /* mov ax, segment of the setup code */
        0x8e, 0xd8, 0x8e, 0xc0,             /* mov ds, ax; mov es, ax */
        0x8e, 0xe0, 0x8e, 0xe8,             /* mov fs, ax; mov gs, ax */
        0x8e, 0xd0,                         /* mov ss, ax */
        0xbc, (uint8_t)stack, (uint8_t)(stack >> 8), /* mov sp, stack */
        0xea, 0x00, 0x00, (uint8_t)((real_mode + 0x200) >> 4), (uint8_t)((real_mode + 0x200) >> 12), /* jmp far */
    };
    uint8_t sum = 0;

    _Static_assert(sizeof(code) <= TABLE - CODE, "the code ends before the table");
    memset(rom, 0, ROM_BYTES);
    rom[0] = 0x55;
    rom[1] = 0xaa;
    rom[2] = ROM_BYTES / 512;
    rom[3] = 0xcb; /* initialisation: retf */
    put_le16(rom + 0x1a, PNP);
    memcpy(rom + PNP, "$PnP\x01\x02", 6); /* 1.0, 32 bytes */
    put_le16(rom + PNP + 16, NAME);
    rom[PNP + 18] = 0x02; /* device type: mass storage */
    rom[PNP + 21] = 0x94; /* boot device, of the initial program load kind */
    put_le16(rom + PNP + 26, CODE);
    memcpy(rom + NAME, "Linux kernel", 13);
    memcpy(rom + CODE, code, sizeof(code));
    for (unsigned i = 0; i < nparts; i++) {
        uint8_t *d = rom + TABLE + 16 * i;

        put_be32(d, (uint32_t)parts[i].data_item << 16 | 0x0a); /* select, read */
        put_be32(d + 4, (uint32_t)parts[i].len);
        put_be32(d + 12, parts[i].at);
    }
    for (unsigned i = 0; i < 32; i++)
        sum = (uint8_t)(sum + rom[PNP + i]);
    rom[PNP + 9] = (uint8_t)-sum;
    sum = 0;
    for (unsigned i = 0; i < ROM_BYTES; i++)
        sum = (uint8_t)(sum + rom[i]);
    rom[ROM_BYTES - 1] = (uint8_t)-sum;
}

static int place_initrd(struct part *p, const struct pc_config *config, const uint8_t *setup, struct error *err)
{
    const struct boot_image *initrd = &config->modules[0];
    uint64_t top = boot_low_bytes(config->memory_bytes);
    uint64_t most = protocol(setup) >= 0x0203 ? get_le32(setup + INITRD_ADDR_MAX) : 0x37ffffffu;

    if (protocol(setup) < 0x0200)
        return error_set(err, -EINVAL, "%s: a kernel of before boot protocol 2.00 takes no initrd", config->kernel.name);
    top = top - FIRMWARE_TOP < most + 1 ? top - FIRMWARE_TOP : most + 1;
    if (initrd->len > top || top - initrd->len < 2 * (uint64_t)FIRMWARE_TOP)
        return error_set(err, -ENOMEM, "%s: an initrd of %zu bytes does not fit into %llu MiB of memory", initrd->name,
                         initrd->len, (unsigned long long)(config->memory_bytes >> 20));
    *p = (struct part){.addr_item = INITRD_ADDR, .size_item = INITRD_SIZE, .data_item = INITRD_DATA,
                       .at = (uint32_t)((top - initrd->len) & PAGE_MASK), .data = initrd->data, .len = initrd->len};
    return 0;
}

/* What a boot loader writes into the header. */
static void fill_header(uint8_t *setup, const struct part *cmdline, const struct part *initrd, uint32_t real_mode)
{
    uint16_t version = protocol(setup);

    if (version >= 0x0200)
        setup[TYPE_OF_LOADER] = UNKNOWN_LOADER;
    if (version >= 0x0201) {
        setup[LOADFLAGS] |= CAN_USE_HEAP;
        put_le16(setup + HEAP_END_PTR, cmdline->at - real_mode - 0x200);
    }
    if (version >= 0x0202) {
        put_le32(setup + CMD_LINE_PTR, cmdline->at);
    } else {
        put_le16(setup + OLD_CMD_MAGIC, 0xa33f);
        put_le16(setup + OLD_CMD_OFFSET, cmdline->at - real_mode);
    }
    if (initrd) {
        put_le32(setup + RAMDISK_IMAGE, initrd->at);
        put_le32(setup + RAMDISK_SIZE, (uint32_t)initrd->len);
    }
}

int boot_linux_rom(struct fwcfg_wiring *w, const struct pc_config *config, struct error *err)
{
    const struct boot_image *k = &config->kernel;
    const uint8_t *file = k->data;
    const char *append = config->append ? config->append : "";
    uint8_t rom[ROM_BYTES], *setup;
    struct part parts[4];
    unsigned n = 3;
    size_t setup_len, cmdline_len = strlen(append) + 1;
    uint32_t real_mode, cmdline;
    bool high;
    int rc;

    if (!boot_is_bzimage(k) && !boot_is_old_zimage(k))
        return error_set(err, -EINVAL, "%s: firmware (%s) can start Linux bzImages only; give one of the two", k->name,
                         config->bios.name);
    setup_len = boot_setup_bytes(k);
    if (setup_len >= k->len)
        return error_set(err, -ENOEXEC, "%s: truncated: %zu bytes, of which %zu should be setup code", k->name, k->len,
                         setup_len);
    if (cmdline_len > 2048)
        return error_set(err, -E2BIG, "%s: a command line of %zu characters: 2047 is the most", k->name, cmdline_len - 1);
    if (config->nmodules > 1)
        return error_set(err, -EINVAL, "%s: a Linux kernel takes one initrd, not %u", k->name, config->nmodules);
    high = protocol(file) >= 0x0200 && (file[LOADFLAGS] & LOADED_HIGH);
    real_mode = high ? 0x10000 : 0x90000;
    cmdline = high ? 0x20000 : 0x9a000 - 2048;
    parts[0] = (struct part){SETUP_ADDR, SETUP_SIZE, SETUP_DATA, real_mode, NULL, setup_len};
    parts[1] = (struct part){CMDLINE_ADDR, CMDLINE_SIZE_ITEM, CMDLINE_DATA, cmdline, (const uint8_t *)append, cmdline_len};
    parts[2] = (struct part){KERNEL_ADDR, KERNEL_SIZE, KERNEL_DATA, high ? 0x100000 : 0x10000, file + setup_len,
                             k->len - setup_len};
    if (config->nmodules && config->modules[0].len) {
        rc = place_initrd(&parts[n++], config, file, err);
        if (rc)
            return rc;
    }
    setup = xmalloc(setup_len);
    memcpy(setup, file, setup_len);
    fill_header(setup, &parts[1], n > 3 ? &parts[3] : NULL, real_mode);
    parts[0].data = setup;
    for (unsigned i = 0; i < n; i++)
        add_part(w, &parts[i]);
    make_rom(rom, parts, n, real_mode, (uint16_t)(cmdline - real_mode - 16));
    fwcfg_add_file(w, BOOT_LINUX_ROM_FILE, rom, sizeof(rom));
    fwcfg_add_file(w, "bootorder", BOOT_LINUX_ROM, sizeof(BOOT_LINUX_ROM));
    free(setup);
    return 0;
}
