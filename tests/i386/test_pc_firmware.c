/*
 * What firmware finds on the PC board: flash, the configuration device and what is handed over
 * through it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/cpu.h"
#include "i386/pc.h"
#include "i386/pc/board.h"
#include "tests/check_main.h"

#define MIB ((uint64_t)1 << 20)
#define HIGH ((paddr_t)1 << 32)

static struct error err;
static struct machine *m;
static struct pc *pc;
static uint8_t code[0x3000], vars[0x2000]; /* contents of the two flash banks */

static uint64_t host_clock(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    return 1709164798ull * 1000000000;
}

static const struct machine_env env = {.host_clock = host_clock};

static void setup(void)
{
    memset(&err, 0, sizeof(err));
    memset(code, 0xf4, sizeof(code));
    memcpy(code + sizeof(code) - 16, "\xea\x00\xf0\x00\xf0", 5); /* jmp f000:f000 */
    memset(vars, 0xff, sizeof(vars));
    memcpy(vars, "VARS", 4);
    m = NULL;
}

static void teardown(void)
{
    if (m)
        machine_destroy(m);
}

static struct pc_config flash_config(void)
{
    struct pc_config c = PC_CONFIG_INIT;

    c.memory_bytes = 16 * MIB;
    c.pflash[0] = (struct boot_image){.data = code, .len = sizeof(code), .name = "code"};
    c.pflash[1] = (struct boot_image){.data = vars, .len = sizeof(vars), .name = "vars"};
    return c;
}

static void create(const struct pc_config *c)
{
    ck_assert_msg(pc_create(&m, c, &err) == 0, "%s", err.text);
    m->env = &env;
    pc = m->board;
}

static void refuse(const struct pc_config *c, const char *words)
{
    ck_assert_int_lt(pc_create(&m, c, &err), 0);
    ck_assert_msg(strstr(err.text, words) != NULL, "'%s' should say '%s'", err.text, words);
}

static uint32_t peek(paddr_t at, unsigned size)
{
    return (uint32_t)memory_read(&m->memory, at, size);
}

static void poke(paddr_t at, uint8_t value)
{
    memory_write(&m->memory, at, 1, value);
}

/* ---- flash ---- */

#define VARS (HIGH - sizeof(code) - sizeof(vars))

START_TEST(flash_banks_end_at_4_gib_the_second_below_the_first)
{
    struct pc_config c = flash_config();

    create(&c);
    ck_assert_uint_eq(peek(HIGH - 16, 1), 0xea);
    ck_assert_uint_eq(peek(0xffff0, 1), 0xea);
    ck_assert_uint_eq(peek(HIGH - sizeof(code), 4), 0xf4f4f4f4);
    ck_assert_mem_eq(memory_page(&m->memory, memory_page_of(&m->memory, VARS)), "VARS\xff", 5);
    ck_assert_uint_eq(peek(VARS - 4, 4), 0xffffffff);
    ck_assert_uint_eq(((struct i386_cpu *)(void *)m->cpus[0])->st->rip, 0xfff0);
}
END_TEST

/* As OVMF's QemuFlashDetected() and its like do it. */
START_TEST(flash_is_recognised_programmed_and_erased_by_bytes)
{
    struct pc_config c = flash_config();

    create(&c);
    poke(VARS + 0x1004, 0x50);
    poke(VARS + 0x1004, 0x70);
    ck_assert_uint_eq(peek(VARS + 0x1004, 1), 0x00);
    poke(VARS + 0x1004, 0xff);
    ck_assert_uint_eq(peek(VARS + 0x1004, 1), 0xff);
    poke(VARS + 0x1004, 0x10);
    poke(VARS + 0x1004, 0x5a);
    ck_assert_uint_eq(peek(VARS + 0x1004, 1), 0x80);
    poke(VARS, 0xff);
    ck_assert_uint_eq(peek(VARS + 0x1000, 4), 0xffffffff);
    ck_assert_uint_eq(peek(VARS + 0x1004, 4), 0xffffff5a);
    poke(VARS + 0x1000, 0x20);
    poke(VARS + 0x1000, 0xd0);
    ck_assert_uint_eq(peek(VARS, 4), 0x80808080);
    poke(VARS, 0xff);
    ck_assert_uint_eq(peek(VARS + 0x1004, 4), 0xffffffff);
    ck_assert_uint_eq(peek(VARS, 4), 0x53524156);
    machine_reset(m);
    ck_assert_uint_eq(peek(VARS, 4), 0x53524156);
}
END_TEST

START_TEST(flash_answers_the_cfi_query_of_a_byte_wide_chip)
{
    struct pc_config c = flash_config();

    create(&c);
    poke(VARS, 0x98);
    ck_assert_uint_eq(peek(VARS + 0x10, 1), 'Q');
    ck_assert_uint_eq(peek(VARS + 0x11, 1), 'R');
    ck_assert_uint_eq(peek(VARS + 0x12, 1), 'Y');
    ck_assert_uint_eq(peek(VARS + 0x27, 1), 13); /* 8 KiB */
    ck_assert_uint_eq(peek(VARS + 0x2d, 1), 1);  /* two blocks, */
    ck_assert_uint_eq(peek(VARS + 0x2f, 1), 0x10); /* of 4 KiB */
    poke(VARS, 0xff);
    poke(VARS, 0xe8); /* write buffer: four bytes, the last two at once */
    poke(VARS, 3);
    poke(VARS + 0x10, 1);
    poke(VARS + 0x11, 2);
    memory_write(&m->memory, VARS + 0x12, 2, 0x0403);
    poke(VARS, 0xd0);
    poke(VARS, 0xff);
    ck_assert_uint_eq(peek(VARS + 0x10, 4), 0x04030201);
}
END_TEST

START_TEST(read_only_flash_says_that_it_cannot_be_written)
{
    struct pc_config c = flash_config();

    c.pflash_read_only[1] = true;
    create(&c);
    poke(VARS, 0x10);
    poke(VARS, 0);
    ck_assert_uint_eq(peek(VARS, 1), 0x90);
    poke(VARS, 0x50);
    poke(VARS, 0x20);
    poke(VARS, 0xd0);
    ck_assert_uint_eq(peek(VARS, 1), 0xa0);
    poke(VARS, 0xff);
    ck_assert_uint_eq(peek(VARS, 4), 0x53524156);
}
END_TEST

START_TEST(flash_that_cannot_be_mapped_is_refused)
{
    struct pc_config c = flash_config();

    c.pflash[1].len = 0;
    refuse(&c, "vars: an empty firmware image");
    c.pflash[1].len = 5000;
    refuse(&c, "vars: a firmware image ends at 4 GiB and must be a multiple of 4096 bytes long, not 5000");
    c = flash_config();
    c.bios = c.pflash[0];
    refuse(&c, "both would end at 4 GiB");
    c = flash_config();
    c.pflash[0] = (struct boot_image){0};
    refuse(&c, "nothing to boot");
}
END_TEST

START_TEST(firmware_for_a_pc_is_told_by_its_reset_vector)
{
    ck_assert(pc_is_firmware(code, sizeof(code)));
    ck_assert(!pc_is_firmware(vars, sizeof(vars)));
    ck_assert(!pc_is_firmware(code, sizeof(code) - 1));
    ck_assert(!pc_is_firmware(NULL, 0));
    memcpy(code + sizeof(code) - 16, "\x0f\x09\x90\x90\xe9", 5);
    ck_assert(pc_is_firmware(code, sizeof(code)));
}
END_TEST

/* ---- what is handed over ---- */

static const struct fwcfg_item *item_of_key(uint16_t key)
{
    for (unsigned i = 0; i < pc->fwcfg_wiring.nitems; i++)
        if (pc->fwcfg_wiring.items[i].key == key)
            return &pc->fwcfg_wiring.items[i];
    ck_abort_msg("no item %#x", key);
}

/* Before boot protocol 2.00 there was no header (memtest86 is still made so): where one would be is code. */
START_TEST(kernel_without_a_header_is_started_low_and_its_code_left_alone)
{
    static uint8_t kernel[5 * 512 + 100];
    struct pc_config c = PC_CONFIG_INIT;
    struct boot_image initrd = {.data = vars, .len = sizeof(vars), .name = "initrd"};
    const uint8_t *setup;

    memset(kernel, 0xff, sizeof(kernel));
    kernel[0x1f1] = 4;
    put_le16(kernel + 0x1f4, 7);
    put_le16(kernel + 0x1fe, 0xaa55);
    c.memory_bytes = 16 * MIB;
    c.bios = (struct boot_image){.data = code, .len = sizeof(code), .name = "bios"};
    c.kernel = (struct boot_image){.data = kernel, .len = sizeof(kernel), .name = "old-kernel"};
    c.append = "words";
    create(&c);
    ck_assert_uint_eq(get_le32(item_of_key(0x07)->data), 0x10000); /* the kernel's place and length */
    ck_assert_uint_eq(item_of_key(0x11)->len, 100);
    ck_assert_uint_eq(get_le32(item_of_key(0x16)->data), 0x90000); /* the setup code's */
    setup = item_of_key(0x18)->data;
    ck_assert_uint_eq(item_of_key(0x18)->len, 5 * 512);
    ck_assert_uint_eq(get_le16(setup + 0x20), 0xa33f); /* where the command line is */
    ck_assert_uint_eq(get_le16(setup + 0x22), get_le32(item_of_key(0x13)->data) - 0x90000);
    ck_assert_mem_eq(setup + 0x200, kernel + 0x200, 4 * 512);
    machine_destroy(m);
    m = NULL;
    c.modules = &initrd;
    c.nmodules = 1;
    refuse(&c, "takes no initrd");
    c.nmodules = 0;
    put_le16(kernel + 0x1f4, 6); /* not its length: any boot sector */
    refuse(&c, "bzImages only");
    put_le16(kernel + 0x1f4, 7);
    c.bios.data = NULL;
    refuse(&c, "give it a --bios");
}
END_TEST

static const struct fwcfg_item *item_of(const char *name)
{
    for (unsigned i = 0; i < pc->fwcfg_wiring.nitems; i++)
        if (!strcmp(pc->fwcfg_wiring.items[i].name, name))
            return &pc->fwcfg_wiring.items[i];
    ck_abort_msg("no %s", name);
}

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t s = 0;

    while (len--)
        s = (uint8_t)(s + *p++);
    return s;
}

/* As firmware does what the script says: the tables lie at TABLES afterwards. */
#define TABLES 0x300000u

static void run_loader(uint8_t *tables, uint8_t *rsdp)
{
    const struct fwcfg_item *script = item_of("etc/table-loader");

    ck_assert_uint_eq(script->len % 128, 0);
    for (const uint8_t *e = script->data; e < script->data + script->len; e += 128) {
        uint8_t *file = strcmp((const char *)e + 4, "etc/acpi/rsdp") ? tables : rsdp;
        uint32_t at = get_le32(e + 60);

        switch (get_le32(e)) {
        case 1:
            ck_assert_uint_eq(e[64], file == rsdp ? 2 : 1);
            break;
        case 2:
            ck_assert_str_eq((const char *)e + 60, "etc/acpi/tables");
            at = get_le32(e + 116);
            put_le32(file + at, get_le32(file + at) + TABLES);
            break;
        case 3:
            ck_assert_uint_eq(file[at], 0);
            file[at] = (uint8_t)-sum(file + get_le32(e + 64), get_le32(e + 68));
            break;
        default:
            ck_abort_msg("command %u", get_le32(e));
        }
    }
}

static const uint8_t *find_table(const uint8_t *tables, const uint8_t *rsdp, const char *signature)
{
    const uint8_t *rsdt = tables + get_le32(rsdp + 16) - TABLES;

    for (uint32_t at = 36; at < get_le32(rsdt + 4); at += 4) {
        const uint8_t *t = tables + get_le32(rsdt + at) - TABLES;

        ck_assert_uint_eq(sum(t, get_le32(t + 4)), 0);
        if (!memcmp(t, signature, 4))
            return t;
    }
    return NULL;
}

START_TEST(acpi_tables_come_out_right_by_the_loader_script)
{
    struct pc_config c = flash_config();
    uint8_t tables[16384], rsdp[20];
    const uint8_t *fadt, *dsdt;

    create(&c);
    pci_config_write(&pc->pm_wiring.pci, 0x40, 4, 0xb001);
    pci_config_write(&pc->pm_wiring.pci, 0x80, 1, 1);
    pc->fwcfg_wiring.refresh(pc->fwcfg_wiring.refresh_ctx);
    ck_assert_uint_le(item_of("etc/acpi/tables")->len, sizeof(tables));
    memcpy(tables, item_of("etc/acpi/tables")->data, item_of("etc/acpi/tables")->len);
    memcpy(rsdp, item_of("etc/acpi/rsdp")->data, sizeof(rsdp));
    run_loader(tables, rsdp);
    ck_assert_mem_eq(rsdp, "RSD PTR ", 8);
    ck_assert_uint_eq(sum(rsdp, 20), 0);
    fadt = find_table(tables, rsdp, "FACP");
    ck_assert_ptr_nonnull(fadt);
    ck_assert_uint_eq(get_le32(fadt + 48), 0xb2);   /* SMI_CMD */
    ck_assert_uint_eq(get_le32(fadt + 56), 0xb000); /* where the registers are now */
    ck_assert_uint_eq(get_le32(fadt + 76), 0xb008);
    ck_assert_mem_eq(tables + get_le32(fadt + 36) - TABLES, "FACS", 4);
    ck_assert_uint_eq((get_le32(fadt + 36) - TABLES) % 64, 0);
    dsdt = tables + get_le32(fadt + 40) - TABLES;
    ck_assert_mem_eq(dsdt, "DSDT", 4);
    ck_assert_uint_eq(sum(dsdt, get_le32(dsdt + 4)), 0);
    ck_assert_uint_eq(get_le32(fadt + 140), get_le32(fadt + 40));
    ck_assert_ptr_nonnull(find_table(tables, rsdp, "APIC"));
    ck_assert_ptr_nonnull(find_table(tables, rsdp, "WAET"));
    ck_assert_uint_eq(get_le32(find_table(tables, rsdp, "HPET") + 44), HPET_BASE);
}
END_TEST

START_TEST(without_event_timers_nobody_speaks_of_them)
{
    struct pc_config c = flash_config();
    uint8_t tables[16384], rsdp[20];

    c.hpet = false;
    create(&c);
    memcpy(tables, item_of("etc/acpi/tables")->data, item_of("etc/acpi/tables")->len);
    memcpy(rsdp, item_of("etc/acpi/rsdp")->data, sizeof(rsdp));
    run_loader(tables, rsdp);
    ck_assert_ptr_null(find_table(tables, rsdp, "HPET"));
    ck_assert_uint_eq(peek(HPET_BASE, 4), 0xffffffff);
}
END_TEST

static const uint8_t *find_structure(const struct fwcfg_item *tables, unsigned type)
{
    const uint8_t *p = tables->data, *end = p + tables->len;

    while (p < end && *p != type) {
        for (p += p[1]; p[0] || p[1]; p++)
            continue;
        p += 2;
    }
    return p < end ? p : NULL;
}

static const char *string_of(const uint8_t *structure, unsigned at)
{
    const char *s = (const char *)structure + structure[1];

    ck_assert_uint_ne(structure[at], 0);
    for (unsigned n = structure[at]; n > 1; n--)
        s += strlen(s) + 1;
    return s;
}

START_TEST(smbios_says_what_the_options_say)
{
    static const char *const words[] = {"type=1,manufacturer=ACME,,Inc,serial=42", "type=11,value=one,value=two",
                                        "type=0,vendor=me,release=3.4,uefi=on", "type=17,speed=1600"};
    struct pc_config c = flash_config();
    const struct fwcfg_item *t;
    const uint8_t *s, *e;

    c.smbios = words;
    c.nsmbios = 4;
    c.uuid = "01234567-89ab-cdef-0123-456789abcdef";
    create(&c);
    e = item_of("etc/smbios/smbios-anchor")->data;
    t = item_of("etc/smbios/smbios-tables");
    ck_assert_mem_eq(e, "_SM_", 4);
    ck_assert_uint_eq(sum(e, 31), 0);
    ck_assert_uint_eq(sum(e + 16, 15), 0);
    ck_assert_uint_eq(get_le16(e + 22), t->len);
    s = find_structure(t, 1);
    ck_assert_str_eq(string_of(s, 4), "ACME,Inc");
    ck_assert_str_eq(string_of(s, 7), "42");
    ck_assert_mem_eq(s + 8, "\x67\x45\x23\x01\xab\x89\xef\xcd\x01\x23\x45\x67\x89\xab\xcd\xef", 16);
    s = find_structure(t, 11);
    ck_assert_uint_eq(s[4], 2);
    s = find_structure(t, 0);
    ck_assert_uint_eq(s[20], 3);
    ck_assert_uint_eq(s[21], 4);
    ck_assert_uint_eq(get_le16(find_structure(t, 17) + 21), 1600);
    ck_assert_ptr_null(find_structure(t, 2));
    ck_assert_ptr_nonnull(find_structure(t, 127));
    machine_destroy(m);
    c.smbios_64 = true;
    create(&c);
    e = item_of("etc/smbios/smbios-anchor")->data;
    ck_assert_mem_eq(e, "_SM3_", 5);
    ck_assert_uint_eq(sum(e, 24), 0);
}
END_TEST

START_TEST(smbios_words_that_make_no_sense_are_refused)
{
    static const char *const bad[][2] = {
        {"type=8,manufacturer=x", "one of 0, 1, 2, 3, 4, 11 and 17"}, {"manufacturer=x", "write type=N"},
        {"type=1,colour=red", "colour"}, {"type=0,release=3", "MAJOR.MINOR"}, {"type=1,uuid=12", "uuid"},
        {"type=4,max-speed=70000", "max-speed"}};
    struct pc_config c = flash_config();

    c.nsmbios = 1;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        c.smbios = bad[i];
        refuse(&c, bad[i][1]);
    }
    c.nsmbios = 0;
    c.uuid = "x";
    refuse(&c, "--uuid x");
}
END_TEST

/* ---- what to boot from ---- */

#define DISK(id_) {.interface = DRIVE_IF_NONE, .config = {.name = id_, .size = 1 << 20, .sector_size = 512}}
#define FLOPPY(id_) {.interface = DRIVE_IF_NONE, .config = {.name = id_, .media = DRIVE_FLOPPY, .size = 1440 << 10, .sector_size = 512}}
#define CDROM(id_) {.interface = DRIVE_IF_NONE, .config = {.name = id_, .media = DRIVE_CDROM, .size = 1 << 20, .sector_size = 2048}}

/* A board with that plugged in; false: it is refused. */
static bool plug_in(const struct machine_parts *parts)
{
    struct pc_config c = flash_config();

    c.parts = parts;
    if (m)
        machine_destroy(m);
    m = NULL;
    if (pc_create(&m, &c, &err) != 0)
        return false;
    m->env = &env;
    pc = m->board;
    return true;
}

/* The file as firmware reads it, through the ports. */
static const char *order_read(void)
{
    static char text[4096];
    uint16_t key = item_of("bootorder")->key;

    ports_write(&pc->ports, 0x510, 2, key);
    for (unsigned i = 0; i < item_of("bootorder")->len; i++)
        text[i] = (char)ports_read(&pc->ports, 0x511, 1);
    return text;
}

START_TEST(places_to_boot_from_are_told_in_qemus_words_by_bootindex)
{
    const struct machine_parts parts = {
        .drives = {DISK("a"), DISK("b"), DISK("c"), DISK("d"), FLOPPY("e"), CDROM("f"), DISK("g"), CDROM("h"), DISK("i"), DISK("j")},
        .ndrives = 10,
        .devices = {"virtio-blk-pci,drive=a,addr=4,bootindex=1", "ide-hd,bus=ide.1,unit=1,drive=b,bootindex=2",
                    "nvme,drive=c,addr=5,bootindex=30", "virtio-scsi-pci,id=s,addr=6", "scsi-hd,bus=s.0,scsi-id=3,drive=d,bootindex=0",
                    "e1000,addr=7,bootindex=6", "floppy,drive=e,bootindex=7", "ich9-ahci,id=x,addr=8",
                    "ide-cd,bus=x.2,drive=f,bootindex=9", "pci-bridge,id=y,addr=b.1", "nvme,bus=y,addr=3,drive=g,bootindex=10",
                    "ide-cd,bus=ide.0,drive=h,bootindex=4294967294", "virtio-blk-pci,drive=i",
                    "piix3-usb-uhci,id=u,addr=c.2", "usb-hub,bus=u.0,port=2", "usb-storage,bus=u.0,port=2.3,drive=j,bootindex=11"},
        .ndevices = 16, .boot_strict = true};

    ck_assert_msg(plug_in(&parts), "%s", err.text);
    ck_assert_str_eq(order_read(),
                     "/pci@i0cf8/scsi@6/channel@0/disk@3,0\n"
                     "/pci@i0cf8/scsi@4/disk@0,0\n"
                     "/pci@i0cf8/ide@1,1/drive@1/disk@1\n"
                     "/pci@i0cf8/ethernet@7/ethernet-phy@0\n"
                     "/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n"
                     "/pci@i0cf8/pci8086,2922@8/drive@2/disk@0\n"
                     "/pci@i0cf8/pci-bridge@b,1/pci1b36,0010@3/namespace@1,0\n"
                     "/pci@i0cf8/usb@c,2/hub@2/storage@3/channel@0/disk@0,0\n"
                     "/pci@i0cf8/pci1b36,0010@5/namespace@1,0\n"
                     "/pci@i0cf8/ide@1,1/drive@0/disk@0\n"
                     "HALT");
}
END_TEST

START_TEST(letters_name_what_has_no_bootindex_and_once_means_until_the_next_reset)
{
    const struct machine_parts parts = {
        .drives = {DISK("a"), DISK("b"), CDROM("c")}, .ndrives = 3,
        .devices = {"virtio-blk-pci,drive=a,addr=4", "virtio-blk-pci,drive=b,addr=5,bootindex=1", "ide-cd,bus=ide.0,drive=c",
                    "e1000,addr=7"},
        .ndevices = 4, .boot_order = "c", .boot_once = "nd"};

    ck_assert_msg(plug_in(&parts), "%s", err.text);
    ck_assert_str_eq(order_read(), "/pci@i0cf8/scsi@5/disk@0,0\n/pci@i0cf8/ethernet@7/ethernet-phy@0\n"
                                   "/pci@i0cf8/ide@1,1/drive@0/disk@0");
    machine_reset(m);
    ck_assert_str_eq(order_read(), "/pci@i0cf8/scsi@5/disk@0,0\n/pci@i0cf8/scsi@4/disk@0,0");
    machine_reset(m);
    ck_assert_str_eq(order_read(), "/pci@i0cf8/scsi@5/disk@0,0\n/pci@i0cf8/scsi@4/disk@0,0");
}
END_TEST

START_TEST(a_bootindex_that_cannot_be_is_refused)
{
    static const char *const bad[][2] = {
        {"virtio-blk-pci,drive=a,bootindex=-1", "bootindex"},
        {"virtio-blk-pci,drive=a,bootindex=4294967295", "bootindex"},
        {"pci-bridge,bootindex=1", "nothing can be booted"},
        {"virtio-blk-pci,drive=a,bootindex=7", "another device has that index"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct machine_parts parts = {.drives = {DISK("a"), DISK("b")}, .ndrives = 2,
                                      .devices = {"nvme,drive=b,bootindex=7", bad[i][0]}, .ndevices = 2};

        ck_assert(!plug_in(&parts));
        ck_assert_msg(strstr(err.text, bad[i][1]) != NULL, "%s", err.text);
    }
}
END_TEST

#define ADD(name) tcase_add_test(tc, name)

Suite *test_suite(void)
{
    Suite *suite = suite_create("pc firmware");
    TCase *tc = tcase_create("firmware");

    tcase_add_checked_fixture(tc, setup, teardown);
    ADD(flash_banks_end_at_4_gib_the_second_below_the_first);
    ADD(flash_is_recognised_programmed_and_erased_by_bytes);
    ADD(flash_answers_the_cfi_query_of_a_byte_wide_chip);
    ADD(read_only_flash_says_that_it_cannot_be_written);
    ADD(flash_that_cannot_be_mapped_is_refused);
    ADD(firmware_for_a_pc_is_told_by_its_reset_vector);
    ADD(kernel_without_a_header_is_started_low_and_its_code_left_alone);
    ADD(acpi_tables_come_out_right_by_the_loader_script);
    ADD(without_event_timers_nobody_speaks_of_them);
    ADD(smbios_says_what_the_options_say);
    ADD(smbios_words_that_make_no_sense_are_refused);
    ADD(places_to_boot_from_are_told_in_qemus_words_by_bootindex);
    ADD(letters_name_what_has_no_bootindex_and_once_means_until_the_next_reset);
    ADD(a_bootindex_that_cannot_be_is_refused);
    suite_add_tcase(suite, tc);
    return suite;
}
