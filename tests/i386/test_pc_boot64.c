/*
 * Loaders of 64-bit kernels: ELF64 by itself, by its PVH note, by Multiboot 1 and 2; Linux's 64-bit entry;
 * compressed files.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/cpu.h"
#include "i386/pc.h"
#include "i386/pc/board.h"
#include "tests/check_main.h"

#define MIB ((uint64_t)1 << 20)
#define HIGHER_HALF 0xffffffff80000000ull

static struct error err;
static struct buffer file; /* the kernel under test */
static struct machine *m;

static uint64_t host_clock(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    return 1709164798ull * 1000000000;
}

static const struct machine_env env = {.host_clock = host_clock};

static void setup(void)
{
    memset(&err, 0, sizeof(err));
    buffer_init(&file);
    m = NULL;
}

static void teardown(void)
{
    buffer_finish(&file);
    if (m)
        machine_destroy(m);
}

static void put(uint64_t value, size_t size)
{
    buffer_append_le(&file, value, size);
}

static void pad(size_t to)
{
    while (file.len < to)
        buffer_append_byte(&file, 0);
}

static void phdr(uint32_t type, uint64_t offset, uint64_t vaddr, uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
    put(type, 4);
    put(7, 4);
    put(offset, 8);
    put(vaddr, 8);
    put(paddr, 8);
    put(filesz, 8);
    put(memsz, 8);
    put(1, 8);
}

#define CONTENTS 0x100u /* offset of the segment's contents in the file */

/* An x86-64 executable with one segment, and a note of `note` bytes at its beginning. */
static void make_elf64(uint64_t entry, uint64_t vaddr, uint64_t paddr, const void *code, size_t len, size_t note)
{
    static const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

    buffer_clear(&file);
    buffer_append(&file, ident, 16);
    put(2, 2); /* ET_EXEC */
    put(62, 2);
    put(1, 4);
    put(entry, 8);
    put(64, 8);
    put(0, 8); /* section headers: set by add_sections() */
    put(0, 4);
    put(64, 2);
    put(56, 2);
    put(note ? 2 : 1, 2);
    put(64, 2);
    put(0, 2);
    put(0, 2);
    phdr(1, CONTENTS, vaddr, paddr, len, len + 0x1000);
    if (note)
        phdr(4, CONTENTS, vaddr, paddr, note, note);
    pad(CONTENTS);
    buffer_append(&file, code, len);
}

/* A section of strings that no segment loads. */
static void add_sections(void)
{
    size_t at;

    pad((file.len + 7) & ~(size_t)7);
    buffer_append(&file, "symbols", 8);
    at = file.len;
    pad(at + 64); /* section 0 */
    put(0, 4);
    put(3, 4); /* SHT_STRTAB */
    put(0, 8);
    put(0, 8);
    put(at - 8, 8);
    put(8, 8);
    pad(at + 128);
    put_le64(file.data + 40, at);
    put_le16(file.data + 60, 2);
    put_le16(file.data + 62, 1);
}

/* mov rax, 11h; mov dx, 0f4h; out dx, al; jmp $: only in 64-bit mode is 48h no DEC EAX */
static const uint8_t exit_64[] = {0x48, 0xc7, 0xc0, 0x11, 0, 0, 0, 0x66, 0xba, 0xf4, 0, 0xee, 0xeb, 0xfe};

static struct pc_config config_of(void)
{
    struct pc_config c = PC_CONFIG_INIT;

    c.memory_bytes = 32 * MIB;
    c.cpu_model = "qemu64";
    c.kernel = (struct boot_image){.data = file.data, .len = file.len, .name = "test-kernel"};
    return c;
}

static struct i386_state *create(const struct pc_config *c)
{
    ck_assert_msg(pc_create(&m, c, &err) == 0, "%s", err.text);
    m->env = &env;
    return ((struct i386_cpu *)(void *)m->cpus[0])->st;
}

static void refuse(const struct pc_config *c, const char *words)
{
    ck_assert_int_lt(pc_create(&m, c, &err), 0);
    ck_assert_msg(strstr(err.text, words) != NULL, "'%s' should say '%s'", err.text, words);
}

static uint64_t peek(paddr_t at, unsigned size)
{
    return memory_read(&m->memory, at, size);
}

static const char *text_at(paddr_t at)
{
    static char text[128];

    memory_read_bytes(&m->memory, at, text, sizeof(text) - 1);
    return text;
}

static void expect_exit(unsigned status)
{
    struct stop stop;

    machine_run(m, m->st->position + 1000, &stop);
    ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
    ck_assert_uint_eq(m->st->end_status, status);
}

START_TEST(elf64_starts_in_64_bit_mode_with_memory_where_it_is)
{
    struct pc_config c;
    struct i386_state *st;
    paddr_t pa;

    make_elf64(0x200000, 0x200000, 0x200000, exit_64, sizeof(exit_64), 0);
    ck_assert(pc_is_64bit(file.data, file.len));
    c = config_of();
    c.append = "words";
    st = create(&c);
    ck_assert_uint_eq(st->efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
    ck_assert_uint_eq(st->cr0 & (CR0_PG | CR0_PE), CR0_PG | CR0_PE);
    ck_assert(st->seg[SEG_CS].attr & SEG_ATTR_L);
    ck_assert_uint_eq(st->rip, 0x200000);
    ck_assert_str_eq(text_at(peek(st->gpr[ESI] + 0x228, 4)), "words");
    for (uint64_t va = 0; va < (uint64_t)4 << 30; va += 0x3fe12345) {
        ck_assert(m->cpus[0]->ops->translate(m->cpus[0], va, &pa));
        ck_assert_uint_eq(pa, va);
    }
    expect_exit(0x23);
}
END_TEST

START_TEST(elf64_in_the_higher_half_starts_at_its_physical_address)
{
    struct pc_config c;

    make_elf64(HIGHER_HALF + 0x200000, HIGHER_HALF + 0x200000, 0x200000, exit_64, sizeof(exit_64), 0);
    c = config_of();
    ck_assert_uint_eq(create(&c)->rip, 0x200000);
    expect_exit(0x23);
}
END_TEST

START_TEST(elf64_needs_a_cpu_with_64_bits)
{
    struct pc_config c;

    make_elf64(0x200000, 0x200000, 0x200000, exit_64, sizeof(exit_64), 0);
    c = config_of();
    c.cpu_model = "pentium3";
    refuse(&c, "the CPU pentium3 has 32 bits");
    file.data[18] = 183;
    c.cpu_model = "qemu64";
    refuse(&c, "a pc runs those for the i386 and for x86-64");
}
END_TEST

/* ---- PVH ---- */

/* Note, then code for 32 bits. */
static const uint8_t pvh_kernel[] = {
    4, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0, 'X', 'e', 'n', 0, 'l', 'n', 'x', 0, /* guest OS */
    4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0, 0x28, 0, 0x20, 0, 0, 0, 0, 0, /* entry: 200028h */
    /* 2Ch: */ 0x66, 0xba, 0xf4, 0, 0xb0, 0x12, 0xee, 0xeb, 0xfe,
};

START_TEST(pvh_note_starts_a_kernel_in_32_bits_with_its_start_info)
{
    static const struct boot_image module = {.data = "initrd", .len = 6, .name = "initrd", .cmdline = "mod words"};
    uint8_t kernel[sizeof(pvh_kernel)];
    struct pc_config c;
    struct i386_state *st;
    uint64_t info, top = 0, map;

    memcpy(kernel, pvh_kernel, sizeof(kernel));
    kernel[36] = 0x2c;
    make_elf64(0x200000, HIGHER_HALF, 0x200000, kernel, sizeof(kernel), 44);
    c = config_of();
    c.append = "console=x";
    c.modules = &module;
    c.nmodules = 1;
    st = create(&c);
    info = st->gpr[EBX];
    ck_assert_uint_eq(st->rip, 0x20002c);
    /* All other bits of CR0 that can be written are clear, and so is CR4; TR is a busy TSS of 32 bits (pvh.pandoc). */
    ck_assert(!(st->efer & EFER_LMA));
    ck_assert_uint_eq(st->cr0, CR0_PE | CR0_ET);
    ck_assert_uint_eq(st->cr4, 0);
    ck_assert_uint_eq(st->eflags, EFLAGS_1);
    ck_assert_uint_eq(st->seg[SEG_TR].base, 0);
    ck_assert_uint_eq(st->seg[SEG_TR].limit, 0x67);
    ck_assert_uint_eq(st->seg[SEG_TR].attr & 0x9f, 0x8b);
    ck_assert_uint_eq(peek(info, 4), 0x336ec578);
    ck_assert_uint_eq(peek(info + 4, 4), 1);
    ck_assert_uint_eq(peek(info + 12, 4), 1);
    ck_assert_str_eq(text_at(peek(info + 24, 8)), "console=x");
    ck_assert_int_eq(memcmp(text_at(peek(info + 32, 8)), "RSD PTR ", 8), 0);
    ck_assert_uint_eq(peek(peek(info + 16, 8) + 8, 8), 6);
    ck_assert_int_eq(memcmp(text_at(peek(peek(info + 16, 8), 8)), "initrd", 6), 0);
    ck_assert_str_eq(text_at(peek(peek(info + 16, 8) + 16, 8)), "mod words");
    map = peek(info + 40, 8);
    for (unsigned i = 0; i < peek(info + 48, 4); i++, map += 24)
        if (peek(map + 16, 4) == 1)
            top = peek(map, 8) + peek(map + 8, 8);
    ck_assert_uint_eq(top, 32 * MIB);
    expect_exit(0x25);
}
END_TEST

START_TEST(pvh_kernel_of_64_bits_may_say_that_it_is_code_for_the_i386)
{
    uint8_t kernel[sizeof(pvh_kernel)];
    struct pc_config c;

    memcpy(kernel, pvh_kernel, sizeof(kernel));
    kernel[36] = 0x2c;
    make_elf64(0x200000, HIGHER_HALF, 0x200000, kernel, sizeof(kernel), 44);
    file.data[18] = 3; /* EM_386 */
    ck_assert(pc_is_64bit(file.data, file.len));
    c = config_of();
    ck_assert_uint_eq(create(&c)->rip, 0x20002c);
    expect_exit(0x25);
    make_elf64(0x200000, HIGHER_HALF, 0x200000, kernel, sizeof(kernel), 0);
    file.data[18] = 3;
    c = config_of();
    ck_assert_int_eq(pc_create(&m, &c, &err), -ENOEXEC);
}
END_TEST

START_TEST(damaged_notes_are_no_notes)
{
    uint8_t kernel[sizeof(pvh_kernel)];
    struct pc_config c;

    memcpy(kernel, pvh_kernel, sizeof(kernel));
    for (unsigned i = 0; i < 28; i++) {
        kernel[i] = 0xff;
        make_elf64(0x200000, 0x200000, 0x200000, kernel, sizeof(kernel), 44);
        c = config_of();
        create(&c);
        machine_destroy(m);
        m = NULL;
        kernel[i] = pvh_kernel[i];
    }
}
END_TEST

/* ---- Multiboot ---- */

START_TEST(multiboot_1_takes_elf64_and_starts_it_in_32_bits)
{
    static const uint8_t kernel[] = {0x02, 0xb0, 0xad, 0x1b, 0, 0, 0, 0, 0xfe, 0x4f, 0x52, 0xe4,
                                     0x66, 0xba, 0xf4, 0, 0xb0, 0x13, 0xee, 0xeb, 0xfe};
    struct pc_config c;
    struct i386_state *st;
    uint64_t info, headers;

    make_elf64(HIGHER_HALF + 0x10000c, HIGHER_HALF + 0x100000, 0x100000, kernel, sizeof(kernel), 0);
    add_sections();
    c = config_of();
    st = create(&c);
    info = st->gpr[EBX];
    ck_assert_uint_eq(st->gpr[EAX], 0x2badb002);
    ck_assert_uint_eq(st->rip, 0x10000c);
    ck_assert(!(st->efer & EFER_LMA));
    ck_assert_uint_eq(peek(info, 4) & 0x20, 0x20);
    ck_assert_uint_eq(peek(info + 28, 4), 2);
    ck_assert_uint_eq(peek(info + 32, 4), 64);
    headers = peek(info + 36, 4);
    ck_assert_str_eq(text_at(peek(headers + 64 + 16, 8)), "symbols");
    expect_exit(0x27);
}
END_TEST

static uint64_t find_tag(uint64_t info, uint32_t type)
{
    for (uint64_t at = info + 8; at < info + peek(info, 4); at += (peek(at + 4, 4) + 7) & ~7ull)
        if (peek(at, 4) == type)
            return at;
    ck_abort_msg("no tag %u", type);
}

/* Linked at 0, where no kernel can lie; may be moved to [low, high] at multiples of 2 MiB. */
static void make_relocatable(uint32_t low, uint32_t high, uint32_t preference)
{
    uint8_t kernel[0x60 + 9] = {0};

    put_le32(kernel, 0xe85250d6);
    put_le32(kernel + 8, 0x30);
    put_le32(kernel + 12, -(0xe85250d6 + 0x30u));
    put_le16(kernel + 16, 10);
    put_le32(kernel + 20, 24);
    put_le32(kernel + 24, low);
    put_le32(kernel + 28, high);
    put_le32(kernel + 32, 0x200000);
    put_le32(kernel + 36, preference);
    put_le32(kernel + 44, 8); /* the end tag */
    memcpy(kernel + 0x60, "\x66\xba\xf4\x00\xb0\x14\xee\xeb\xfe", 9);
    make_elf64(0x60, 0, 0, kernel, sizeof(kernel), 0);
}

START_TEST(multiboot_2_moves_a_relocatable_elf64_and_says_where)
{
    struct pc_config c;
    struct i386_state *st;
    uint64_t info;

    make_relocatable(0x300000, 0xffffff, 1);
    c = config_of();
    st = create(&c);
    info = st->gpr[EBX];
    ck_assert_uint_eq(st->gpr[EAX], 0x36d76289);
    ck_assert_uint_eq(st->rip, 0x400060);
    ck_assert_uint_eq(peek(find_tag(info, 21) + 8, 4), 0x400000);
    ck_assert_int_eq(memcmp(text_at(find_tag(info, 14) + 8), "RSD PTR ", 8), 0);
    ck_assert_uint_eq(peek(find_tag(info, 15) + 4, 4), 8 + 36);
    ck_assert_uint_eq(peek(find_tag(info, 15) + 8 + 15, 1), 2);
    ck_assert_int_eq(memcmp(text_at(find_tag(info, 13) + 16), "_SM_", 4), 0);
    ck_assert_uint_eq(peek(find_tag(info, 13) + 8, 2), 0x0802);
    expect_exit(0x29);
    machine_destroy(m);
    make_relocatable(0x300000, 0xffffff, 2);
    c = config_of();
    ck_assert_uint_eq(create(&c)->rip, 0xe00060);
    machine_destroy(m);
    m = NULL;
    make_relocatable(0x4000000, 0x5000000, 1);
    c = config_of();
    refuse(&c, "finds no room");
}
END_TEST

/* ---- Linux ---- */

START_TEST(linux_with_a_64_bit_entry_starts_there_if_the_cpu_can)
{
    struct pc_config c;
    struct i386_state *st;

    pad(0x400 + 0x200);
    buffer_append(&file, exit_64, sizeof(exit_64));
    file.data[0x1f1] = 1;
    put_le32(file.data + 0x1f4, (uint32_t)((file.len - 0x400 + 15) / 16));
    put_le16(file.data + 0x1fe, 0xaa55);
    file.data[0x201] = 0x6a;
    memcpy(file.data + 0x202, "HdrS", 4);
    put_le16(file.data + 0x206, 0x020f);
    file.data[0x211] = 1;
    put_le32(file.data + 0x22c, 0x7fffffff);
    file.data[0x236] = 1; /* XLF_KERNEL_64 */
    put_le32(file.data + 0x238, 2047);
    put_le64(file.data + 0x258, 0x100000);
    put_le32(file.data + 0x260, 0x100000);
    c = config_of();
    st = create(&c);
    ck_assert_uint_eq(st->rip, 0x100200);
    ck_assert(st->efer & EFER_LMA);
    ck_assert_uint_eq(st->seg[SEG_CS].selector, 0x10);
    ck_assert_uint_eq(st->seg[SEG_DS].selector, 0x18);
    ck_assert_uint_eq(peek(st->gpr[ESI] + 0x1fe, 2), 0xaa55);
    ck_assert_uint_eq(peek(st->gdtr.base + 0x10, 8), 0x00af9b000000ffff);
    expect_exit(0x23);
    machine_destroy(m);
    c.cpu_model = "pentium3";
    st = create(&c);
    ck_assert_uint_eq(st->rip, 0x100000);
    ck_assert(!(st->cr0 & CR0_PG));
}
END_TEST

/* ---- compressed ---- */

START_TEST(a_gzip_file_is_what_is_in_it)
{
    uint8_t packed[4096];
    z_stream z = {0};
    struct pc_config c;

    make_elf64(0x200000, 0x200000, 0x200000, exit_64, sizeof(exit_64), 0);
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = file.data;
    z.avail_in = (uInt)file.len;
    z.next_out = packed;
    z.avail_out = sizeof(packed);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    buffer_clear(&file);
    buffer_append(&file, packed, sizeof(packed) - z.avail_out);
    ck_assert(pc_is_64bit(file.data, file.len));
    c = config_of();
    create(&c);
    expect_exit(0x23);
    machine_destroy(m);
    m = NULL;
    c.kernel.len -= 9;
    refuse(&c, "damaged gzip data");
}
END_TEST

#define ADD(name) tcase_add_test(tc, name)

Suite *test_suite(void)
{
    Suite *suite = suite_create("pc boot, 64 bits");
    TCase *tc = tcase_create("loaders");

    tcase_add_checked_fixture(tc, setup, teardown);
    ADD(elf64_starts_in_64_bit_mode_with_memory_where_it_is);
    ADD(elf64_in_the_higher_half_starts_at_its_physical_address);
    ADD(elf64_needs_a_cpu_with_64_bits);
    ADD(pvh_note_starts_a_kernel_in_32_bits_with_its_start_info);
    ADD(pvh_kernel_of_64_bits_may_say_that_it_is_code_for_the_i386);
    ADD(damaged_notes_are_no_notes);
    ADD(multiboot_1_takes_elf64_and_starts_it_in_32_bits);
    ADD(multiboot_2_moves_a_relocatable_elf64_and_says_where);
    ADD(linux_with_a_64_bit_entry_starts_there_if_the_cpu_can);
    ADD(a_gzip_file_is_what_is_in_it);
    suite_add_tcase(suite, tc);
    return suite;
}
