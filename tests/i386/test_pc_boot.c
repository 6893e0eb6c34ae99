/*
 * Boot loaders and board: what a kernel finds in memory and registers, what a
 * bad file gets as an answer, and that no file, however mangled, does harm.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"
#include "i386/cpu.h"
#include "i386/protect.h"
#include "i386/pc.h"
#include "i386/pc/board.h"
#include "i386/pc/tables.h"
#include "tests/check_main.h"
#include "vm/dev/display.h"

#define MIB ((uint64_t)1 << 20)

static struct error err;
static struct buffer sent;
static struct buffer file; /* the kernel under test */
static struct device *sender;

static uint64_t host_clock(void *ctx, struct machine *m)
{
    (void)ctx, (void)m;
    return 1709164798ull * 1000000000;
}

static void output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)ctx;
    sender = dev;
    buffer_append(&sent, buf, len);
}

static const struct machine_env env = {.host_clock = host_clock, .output = output};

static void setup(void)
{
    memset(&err, 0, sizeof(err));
    buffer_init(&sent);
    buffer_init(&file);
    sender = NULL;
}

static void teardown(void)
{
    buffer_finish(&sent);
    buffer_finish(&file);
}

/* ---- kernels made to measure ---- */

static void put16(uint32_t v)
{
    buffer_append_le(&file, v, 2);
}

static void put32(uint32_t v)
{
    buffer_append_le(&file, v, 4);
}

static void pad(size_t to)
{
    while (file.len < to)
        buffer_append_byte(&file, 0);
}

static void elf_phdr(uint32_t offset, uint32_t vaddr, uint32_t paddr, uint32_t filesz, uint32_t memsz)
{
    put32(1); /* PT_LOAD */
    put32(offset);
    put32(vaddr);
    put32(paddr);
    put32(filesz);
    put32(memsz);
    put32(7);
    put32(1);
}

/* An i386 executable with one segment, whose contents are `code` at file offset 128. */
static void make_elf(uint32_t entry, uint32_t vaddr, uint32_t paddr, const void *code, uint32_t len, uint32_t memsz)
{
    static const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', 1, 1, 1};

    buffer_clear(&file);
    buffer_append(&file, ident, 16);
    put16(2); /* ET_EXEC */
    put16(3); /* EM_386 */
    put32(1);
    put32(entry);
    put32(52);
    put32(0);
    put32(0);
    put16(52);
    put16(32);
    put16(1);
    put16(40);
    put16(0);
    put16(0);
    elf_phdr(128, vaddr, paddr, len, memsz);
    pad(128);
    buffer_append(&file, code, len);
}

static struct pc_config config_of(void)
{
    struct pc_config c = PC_CONFIG_INIT;

    c.memory_bytes = 16 * MIB;
    c.kernel = (struct boot_image){.data = file.data, .len = file.len, .name = "test-kernel"};
    return c;
}

static struct pc_config bios_config(const uint8_t *image, size_t len)
{
    struct pc_config c = PC_CONFIG_INIT;

    c.memory_bytes = 16 * MIB;
    c.bios = (struct boot_image){.data = image, .len = len, .name = "test-bios"};
    return c;
}

static void expect_error(const struct pc_config *c, int code, const char *words)
{
    struct machine *m = NULL;

    ck_assert_int_eq(pc_create(&m, c, &err), code);
    ck_assert_ptr_null(m);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, words) != NULL, "'%s' should say '%s'", err.text, words);
}

static struct machine *create(const struct pc_config *c)
{
    struct machine *m = NULL;

    ck_assert_msg(pc_create(&m, c, &err) == 0, "%s", err.text);
    m->env = &env;
    return m;
}

static struct i386_state *state_of(struct machine *m)
{
    return ((struct i386_cpu *)(void *)m->cpus[0])->st;
}

static uint32_t peek(struct machine *m, paddr_t at)
{
    return (uint32_t)memory_read(&m->memory, at, 4);
}

static const char *text_at(struct machine *m, paddr_t at)
{
    static char text[256];

    memory_read_bytes(&m->memory, at, text, sizeof(text) - 1);
    return text;
}

static void run(struct machine *m, icount_t steps)
{
    struct stop stop;

    machine_run(m, m->st->position + steps, &stop);
}

/* ---- ELF ---- */

/* mov dx, 0xf4; mov al, 0x11; out dx, al; jmp $ */
static const uint8_t exit_code[] = {0x66, 0xba, 0xf4, 0x00, 0xb0, 0x11, 0xee, 0xeb, 0xfe};

START_TEST(elf_is_loaded_at_its_physical_address)
{
    struct pc_config c;
    struct machine *m;

    make_elf(0xc0200000, 0xc0200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    c = config_of();
    m = create(&c);
    ck_assert_uint_eq(state_of(m)->rip, 0x200000);
    ck_assert_uint_eq(peek(m, 0x200000), 0x00f4ba66);
    ck_assert(state_of(m)->cr0 & CR0_PE);
    ck_assert(!(state_of(m)->cr0 & CR0_PG));
    ck_assert_uint_eq(state_of(m)->eflags & EFLAGS_IF, 0);
    run(m, 100);
    ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
    ck_assert_uint_eq(m->st->end_status, 0x23);
    machine_destroy(m);
}
END_TEST

START_TEST(elf_entry_that_is_already_physical_stays)
{
    struct pc_config c;
    struct machine *m;

    make_elf(0x200004, 0xc0200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    c = config_of();
    m = create(&c);
    ck_assert_uint_eq(state_of(m)->rip, 0x200004);
    machine_destroy(m);
}
END_TEST

START_TEST(truncated_elf_is_told_so)
{
    struct pc_config c;

    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    c = config_of();
    c.kernel.len = file.len - 1;
    expect_error(&c, -ENOEXEC, "truncated");
    c.kernel.len = 60;
    expect_error(&c, -ENOEXEC, "truncated");
    c.kernel.len = 20;
    expect_error(&c, -ENOEXEC, "ELF");
}
END_TEST

START_TEST(kernel_larger_than_memory_is_refused)
{
    struct pc_config c;

    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 15 * MIB);
    c = config_of();
    expect_error(&c, -ENOMEM, "--memory");
    make_elf(0x200000, 0xfff00000, 0xfff00000, exit_code, sizeof(exit_code), 0xfffff);
    c = config_of();
    expect_error(&c, -ENOMEM, "no free memory");
}
END_TEST

START_TEST(elf_over_reserved_memory_is_refused)
{
    struct pc_config c;

    make_elf(0xf0000, 0xf0000, 0xf0000, exit_code, sizeof(exit_code), 0x100);
    c = config_of();
    expect_error(&c, -ENOMEM, "a segment");
}
END_TEST

START_TEST(elf_for_another_machine_is_refused)
{
    struct pc_config c;

    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    file.data[18] = 40; /* EM_ARM */
    c = config_of();
    expect_error(&c, -ENOEXEC, "a pc runs those for the i386");
}
END_TEST

START_TEST(elf_that_is_not_an_executable_is_refused)
{
    struct pc_config c;

    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    file.data[16] = 1; /* ET_REL */
    c = config_of();
    expect_error(&c, -ENOEXEC, "not an executable");
}
END_TEST

START_TEST(files_of_no_known_kind_are_refused)
{
    static const char text[] = "#!/bin/sh\necho I am no kernel\n";
    struct pc_config c = PC_CONFIG_INIT;

    c.kernel = (struct boot_image){.data = text, .len = sizeof(text), .name = "script"};
    expect_error(&c, -ENOEXEC, "--bios");
    c.kernel.len = 0;
    expect_error(&c, -ENOEXEC, "not a kernel");
}
END_TEST

/* ---- Multiboot ---- */

static void multiboot_header(uint32_t flags)
{
    put32(0x1badb002);
    put32(flags);
    put32(-(0x1badb002 + flags));
}

/* A flat kernel at 1 MiB with the a.out kludge: header, then code. */
static void make_flat(uint32_t flags, uint32_t load_end, uint32_t bss_end)
{
    buffer_clear(&file);
    multiboot_header(flags | 0x10000);
    put32(0x100000); /* header */
    put32(0x100000); /* load */
    put32(load_end);
    put32(bss_end);
    put32(0x100020); /* entry */
    buffer_append(&file, exit_code, sizeof(exit_code));
}

START_TEST(multiboot_kernel_finds_what_the_specification_promises)
{
    static const struct boot_image modules[] = {
        {.data = "module one", .len = 10, .name = "a.mod", .cmdline = "a.mod with words"},
        {.data = "two", .len = 3, .name = "b.mod"},
    };
    struct i386_state *st;
    struct pc_config c;
    struct machine *m;
    uint32_t info, mods, mmap, top = 0;

    make_flat(0x3, 0, 0x180000);
    c = config_of();
    c.append = "one=1 two";
    c.modules = modules;
    c.nmodules = 2;
    m = create(&c);
    st = state_of(m);
    info = st->gpr[EBX];
    ck_assert_uint_eq(st->gpr[EAX], 0x2badb002);
    ck_assert_uint_eq(st->rip, 0x100020);
    ck_assert_uint_eq(peek(m, info) & 0x24f, 0x24d);
    ck_assert_uint_eq(peek(m, info + 4), 639);
    ck_assert_uint_eq(peek(m, info + 8), 15 * 1024);
    ck_assert_str_eq(text_at(m, peek(m, info + 16)), "test-kernel one=1 two");
    ck_assert_str_eq(text_at(m, peek(m, info + 64)), "hindcast");
    ck_assert_uint_eq(peek(m, info + 20), 2);
    mods = peek(m, info + 24);
    ck_assert_uint_ge(peek(m, mods), 0x180000);
    ck_assert_uint_eq(peek(m, mods) % 4096, 0);
    ck_assert_uint_eq(peek(m, mods + 4) - peek(m, mods), 10);
    ck_assert_int_eq(memcmp(text_at(m, peek(m, mods)), "module one", 10), 0);
    ck_assert_str_eq(text_at(m, peek(m, mods + 8)), "a.mod with words");
    ck_assert_int_eq(memcmp(text_at(m, peek(m, mods + 16)), "two", 3), 0);
    ck_assert_str_eq(text_at(m, peek(m, mods + 24)), "b.mod");
    mmap = peek(m, info + 48);
    for (uint32_t at = mmap; at < mmap + peek(m, info + 44); at += peek(m, at) + 4)
        if (peek(m, at + 20) == 1)
            top = peek(m, at + 4) + peek(m, at + 12);
    ck_assert_uint_eq(top, 16 * MIB);
    run(m, 100);
    ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
    machine_destroy(m);
}
END_TEST

START_TEST(multiboot_elf_is_loaded_by_its_segments)
{
    struct pc_config c;
    struct machine *m;

    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    pad(256);
    multiboot_header(0);
    c = config_of();
    m = create(&c);
    ck_assert_uint_eq(state_of(m)->gpr[EAX], 0x2badb002);
    ck_assert_uint_eq(state_of(m)->rip, 0x200000);
    machine_destroy(m);
}
END_TEST

START_TEST(multiboot_elf_that_may_lie_anywhere_lies_where_it_says)
{
    struct pc_config c;
    struct machine *m;

    make_elf(0, 0, 0, exit_code, sizeof(exit_code), 0x100);
    file.data[16] = 3; /* ET_DYN */
    c = config_of();
    expect_error(&c, -ENOEXEC, "not an executable"); /* a library, for all that is known */
    pad(256);
    multiboot_header(0);
    c = config_of();
    m = create(&c);
    ck_assert_uint_eq(state_of(m)->rip, 0);
    run(m, 100);
    ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
    machine_destroy(m);
}
END_TEST

START_TEST(multiboot_demands_that_cannot_be_met_are_refused)
{
    struct pc_config c;

    make_flat(0x4, 0, 0);
    c = config_of();
    c.vga = PC_VGA_NONE;
    expect_error(&c, -ENOTSUP, "no display");
    make_flat(0x100, 0, 0);
    c = config_of();
    expect_error(&c, -ENOTSUP, "unknown features");
}
END_TEST

START_TEST(multiboot_header_with_a_wrong_checksum_is_refused_and_not_started_as_something_else)
{
    struct pc_config c;

    make_flat(0x3, 0, 0);
    file.data[8] ^= 1;
    c = config_of();
    expect_error(&c, -ENOEXEC, "checksum");
    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    pad(256);
    multiboot_header(0);
    file.data[file.len - 1] ^= 0x80;
    c = config_of();
    expect_error(&c, -ENOEXEC, "checksum");
}
END_TEST

START_TEST(an_entry_point_outside_of_what_was_loaded_is_refused)
{
    static const uint32_t entries[] = {0, 0x0fffff, 0x900000, 0xfffffff0};
    struct pc_config c;

    for (unsigned i = 0; i < ARRAY_LEN(entries); i++) {
        make_flat(0, 0, 0x180000);
        put_le32(file.data + 28, entries[i]);
        c = config_of();
        expect_error(&c, -ENOEXEC, "entry point");
    }
    make_elf(0x300000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    c = config_of();
    expect_error(&c, -ENOEXEC, "entry point");
}
END_TEST

/* A flat Multiboot 1 kernel that asks for graphics. */
static void make_graphical(uint32_t width, uint32_t height, uint32_t depth)
{
    buffer_clear(&file);
    multiboot_header(0x10004);
    put32(0x100000);
    put32(0x100000);
    put32(0);
    put32(0);
    put32(0x100030); /* entry */
    put32(0);        /* linear graphics */
    put32(width);
    put32(height);
    put32(depth);
    buffer_append(&file, exit_code, sizeof(exit_code));
}

START_TEST(multiboot_framebuffer_is_the_one_that_was_asked_for)
{
    struct display_picture shown;
    struct pc_config c;
    struct machine *m;
    uint32_t info;

    make_graphical(800, 600, 32);
    c = config_of();
    m = create(&c);
    info = state_of(m)->gpr[EBX];
    ck_assert_uint_eq(peek(m, info) & 0x1000, 0x1000);
    ck_assert_uint_eq(peek(m, info + 88), 0xfd000000);
    ck_assert_uint_eq(peek(m, info + 96), 3200);
    ck_assert_uint_eq(peek(m, info + 100), 800);
    ck_assert_uint_eq(peek(m, info + 104), 600);
    ck_assert_uint_eq(peek(m, info + 108) & 0xffff, 0x0120);
    memory_write(&m->memory, 0xfd000000u, 4, 0x00ff8040);
    display_picture_init(&shown);
    ck_assert_int_eq(display_draw(m, NULL, 0, &shown, &err), 0);
    ck_assert_uint_eq(shown.width, 800);
    ck_assert_uint_eq(shown.height, 600);
    ck_assert_int_eq(memcmp(shown.rgb.data, "\xff\x80\x40\0\0\0", 6), 0);
    display_picture_finish(&shown);
    machine_destroy(m);
}
END_TEST

START_TEST(multiboot_video_mode_that_the_display_has_not_is_refused)
{
    struct pc_config c;

    make_graphical(5000, 5000, 32);
    c = config_of();
    expect_error(&c, -ENOTSUP, "5000x5000");
    make_graphical(800, 600, 7);
    c = config_of();
    expect_error(&c, -ENOTSUP, "7 bits");
    make_graphical(0, 0, 0);
    c = config_of();
    machine_destroy(create(&c));
}
END_TEST

START_TEST(multiboot_text_framebuffer_is_the_screen)
{
    struct pc_config c;
    struct machine *m;
    uint32_t info;

    make_flat(0, 0, 0);
    c = config_of();
    m = create(&c);
    info = state_of(m)->gpr[EBX];
    ck_assert_uint_eq(peek(m, info + 88), 0xb8000);
    ck_assert_uint_eq(peek(m, info + 96), 160);
    ck_assert_uint_eq(peek(m, info + 100), 80);
    ck_assert_uint_eq(peek(m, info + 104), 25);
    ck_assert_uint_eq(peek(m, info + 108) & 0xffff, 0x0210);
    memory_write(&m->memory, 0xb8000 + 160, 4, 0x0f690f48);
    ck_assert_int_eq(display_read(m, NULL, 0, &sent, &err), 0);
    ck_assert_int_eq(memcmp(sent.data, "\nHi\n\n", 5), 0);
    machine_destroy(m);
    c.vga = PC_VGA_NONE;
    m = create(&c);
    ck_assert_uint_eq(peek(m, state_of(m)->gpr[EBX]) & 0x1000, 0);
    ck_assert_int_eq(display_read(m, NULL, 0, &sent, &err), -ENODEV);
    machine_destroy(m);
}
END_TEST

/* ---- Multiboot 2 ---- */

static void multiboot2_tag(uint32_t type, uint32_t flags, unsigned nwords, const uint32_t *words)
{
    put16(type);
    put16(flags);
    put32(8 + 4 * nwords);
    for (unsigned i = 0; i < nwords; i++)
        put32(words[i]);
    pad((file.len + 7) & ~(size_t)7);
}

/* A flat kernel at 1 MiB whose header has one more tag. */
static void make_multiboot2(uint32_t type, uint32_t flags, unsigned nwords, const uint32_t *words)
{
    static const uint32_t addresses[] = {0x100000, 0x100000, 0, 0x180000}, entry[] = {0x100100};

    buffer_clear(&file);
    put32(0xe85250d6);
    put32(0);
    put32(0);
    put32(0);
    multiboot2_tag(2, 0, 4, addresses);
    multiboot2_tag(3, 0, 1, entry);
    multiboot2_tag(type, flags, nwords, words);
    multiboot2_tag(0, 0, 0, NULL);
    put_le32(file.data + 8, (uint32_t)file.len);
    put_le32(file.data + 12, -(0xe85250d6 + (uint32_t)file.len));
    pad(0x100);
    buffer_append(&file, exit_code, sizeof(exit_code));
}

/* The address of a tag of the boot information, or 0. */
static uint32_t find_tag(struct machine *m, uint32_t info, uint32_t type)
{
    for (uint32_t at = info + 8; at < info + peek(m, info); at += (peek(m, at + 4) + 7) & ~7u)
        if (peek(m, at) == type)
            return at;
    return 0;
}

START_TEST(multiboot2_kernel_finds_what_the_specification_promises)
{
    static const struct boot_image module = {.data = "module one", .len = 10, .name = "a.mod", .cmdline = "a.mod words"};
    static const uint32_t requests[] = {1, 6, 8};
    struct pc_config c;
    struct machine *m;
    uint32_t info, tag, top = 0;

    make_multiboot2(1, 0, 3, requests);
    c = config_of();
    c.append = "one=1 two";
    c.modules = &module;
    c.nmodules = 1;
    m = create(&c);
    info = state_of(m)->gpr[EBX];
    ck_assert_uint_eq(state_of(m)->gpr[EAX], 0x36d76289);
    ck_assert_uint_eq(state_of(m)->rip, 0x100100);
    ck_assert_uint_eq(info & 7, 0);
    ck_assert_str_eq(text_at(m, find_tag(m, info, 1) + 8), "one=1 two");
    ck_assert_str_eq(text_at(m, find_tag(m, info, 2) + 8), "hindcast");
    tag = find_tag(m, info, 3);
    ck_assert_uint_ge(peek(m, tag + 8), 0x180000);
    ck_assert_uint_eq(peek(m, tag + 12) - peek(m, tag + 8), 10);
    ck_assert_str_eq(text_at(m, tag + 16), "a.mod words");
    ck_assert_int_eq(memcmp(text_at(m, peek(m, tag + 8)), "module one", 10), 0);
    tag = find_tag(m, info, 4);
    ck_assert_uint_eq(peek(m, tag + 8), 639);
    ck_assert_uint_eq(peek(m, tag + 12), 15 * 1024);
    tag = find_tag(m, info, 6);
    for (uint32_t at = tag + 16; at < tag + peek(m, tag + 4); at += peek(m, tag + 8))
        if (peek(m, at + 16) == 1)
            top = peek(m, at) + peek(m, at + 8);
    ck_assert_uint_eq(top, 16 * MIB);
    tag = find_tag(m, info, 8);
    ck_assert_uint_eq(peek(m, tag + 8), 0xb8000);
    ck_assert_uint_eq(peek(m, tag + 28) & 0xffff, 0x0210);
    ck_assert_int_eq(memcmp(text_at(m, find_tag(m, info, 14) + 8), "RSD PTR ", 8), 0);
    run(m, 100);
    ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
    machine_destroy(m);
}
END_TEST

START_TEST(multiboot2_framebuffer_and_demands)
{
    static const uint32_t mode[] = {640, 480, 16}, unknown[] = {77};
    struct pc_config c;
    struct machine *m;
    uint32_t tag;

    make_multiboot2(5, 0, 3, mode);
    c = config_of();
    m = create(&c);
    tag = find_tag(m, state_of(m)->gpr[EBX], 8);
    ck_assert_uint_eq(peek(m, tag + 8), 0xfd000000);
    ck_assert_uint_eq(peek(m, tag + 16), 1280);
    ck_assert_uint_eq(peek(m, tag + 20), 640);
    ck_assert_uint_eq(peek(m, tag + 24), 480);
    ck_assert_uint_eq(peek(m, tag + 28), 0x0110);
    ck_assert_uint_eq(peek(m, tag + 32), 0x0605050b); /* red 5 bits at 11, green 6 at 5 */
    machine_destroy(m);
    c.vga = PC_VGA_NONE;
    expect_error(&c, -ENOTSUP, "no display");
    make_multiboot2(5, 1, 3, mode); /* optional */
    c = config_of();
    c.vga = PC_VGA_NONE;
    m = create(&c);
    machine_destroy(m);
    make_multiboot2(1, 0, 1, unknown);
    c = config_of();
    expect_error(&c, -ENOTSUP, "tag 77");
    make_multiboot2(99, 0, 0, NULL);
    c = config_of();
    expect_error(&c, -ENOTSUP, "tag 99");
    make_multiboot2(5, 0, 1, mode);
    c = config_of();
    expect_error(&c, -ENOEXEC, "bad Multiboot 2 header");
}
END_TEST

START_TEST(linux_learns_that_there_is_a_vga)
{
    struct pc_config c;
    struct machine *m;
    uint32_t zero_page;

    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    c = config_of();
    m = create(&c);
    zero_page = state_of(m)->gpr[ESI];
    ck_assert_uint_eq(peek(m, zero_page + 0x06) & 0xffff, 0x5003);
    ck_assert_uint_eq(peek(m, zero_page + 0x0e) & 0xffff, 0x0119);
    ck_assert_uint_eq(peek(m, zero_page + 0x10) & 0xffff, 16);
    machine_destroy(m);
    c.vga = PC_VGA_NONE;
    m = create(&c);
    ck_assert_uint_eq(peek(m, state_of(m)->gpr[ESI] + 0x0e) & 0xffff, 0);
    machine_destroy(m);
}
END_TEST

START_TEST(multiboot_addresses_that_make_no_sense_are_refused)
{
    struct pc_config c;

    make_flat(0, 0x200000, 0);
    c = config_of();
    expect_error(&c, -ENOEXEC, "truncated");
    make_flat(0, 0x1000, 0);
    c = config_of();
    expect_error(&c, -ENOEXEC, "load_end_addr");
    make_flat(0, 0, 0x100001);
    c = config_of();
    expect_error(&c, -ENOEXEC, "bss_end_addr");
    make_flat(0, 0, 0x10000000);
    c = config_of();
    expect_error(&c, -ENOMEM, "--memory");
    make_flat(0, 0, 0);
    put_le32(file.data + 16, 0x200000); /* load_addr after header_addr */
    c = config_of();
    expect_error(&c, -ENOEXEC, "load_addr");
}
END_TEST

START_TEST(modules_that_do_not_fit_are_refused)
{
    static const struct boot_image module = {.data = "x", .len = 64 * MIB, .name = "huge"};
    struct pc_config c;

    make_flat(0, 0, 0);
    c = config_of();
    c.modules = &module;
    c.nmodules = 1;
    expect_error(&c, -ENOMEM, "huge");
}
END_TEST

/* ---- Linux ---- */

/* A bzImage of protocol 2.12 with one sector of setup code. */
static void make_bzimage(const void *code, size_t len)
{
    buffer_clear(&file);
    pad(1024);
    file.data[0x1f1] = 1;
    put_le32(file.data + 0x1f4, (uint32_t)((len + 15) / 16));
    put_le16(file.data + 0x1fe, 0xaa55);
    file.data[0x200] = 0xeb;
    file.data[0x201] = 0x66;
    memcpy(file.data + 0x202, "HdrS", 4);
    put_le16(file.data + 0x206, 0x020c);
    file.data[0x211] = 1;
    put_le32(file.data + 0x22c, 0x7fffffff);
    put_le32(file.data + 0x238, 64);
    put_le32(file.data + 0x258, 0x100000);
    put_le32(file.data + 0x260, 0x300000);
    buffer_append(&file, code, len);
}

START_TEST(linux_starts_by_the_32_bit_boot_protocol)
{
    static uint8_t initrd_bytes[5000];
    struct boot_image initrd = {.data = initrd_bytes, .len = sizeof(initrd_bytes), .name = "initrd"};
    struct i386_state *st;
    struct pc_config c;
    struct machine *m;
    uint32_t params;

    memset(initrd_bytes, 'i', sizeof(initrd_bytes));
    make_bzimage(exit_code, sizeof(exit_code));
    c = config_of();
    c.append = "console=ttyS0";
    c.modules = &initrd;
    c.nmodules = 1;
    m = create(&c);
    st = state_of(m);
    params = st->gpr[ESI];
    ck_assert_uint_eq(st->rip, 0x100000);
    ck_assert_uint_eq(st->seg[SEG_CS].selector, 0x10);
    ck_assert_uint_eq(st->seg[SEG_DS].selector, 0x18);
    ck_assert_uint_eq(st->seg[SEG_SS].base, 0);
    ck_assert_uint_eq(st->seg[SEG_DS].limit, 0xffffffff);
    ck_assert_uint_eq(st->gpr[EBX] | st->gpr[EBP] | st->gpr[EDI], 0);
    ck_assert_uint_eq(peek(m, params + 0x202), 0x53726448);
    ck_assert_uint_eq(memory_read(&m->memory, params + 0x210, 1), 0xff);
    ck_assert_str_eq(text_at(m, peek(m, params + 0x228)), "console=ttyS0");
    ck_assert_uint_eq(peek(m, params + 0x21c), sizeof(initrd_bytes));
    ck_assert_uint_ge(peek(m, params + 0x218), 0x400000);
    ck_assert_uint_eq(peek(m, peek(m, params + 0x218)), 0x69696969);
    ck_assert_uint_ge(memory_read(&m->memory, params + 0x1e8, 1), 4);
    ck_assert_uint_eq(peek(m, params + 0x70), TABLES_BASE);
    ck_assert_uint_eq(peek(m, TABLES_BASE), 0x20445352); /* "RSD " */
    run(m, 100);
    ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
    machine_destroy(m);
}
END_TEST

START_TEST(truncated_bzimage_is_told_so)
{
    struct pc_config c;

    make_bzimage(exit_code, sizeof(exit_code));
    put_le32(file.data + 0x1f4, 1000);
    c = config_of();
    expect_error(&c, -ENOEXEC, "truncated");
    c.kernel.len = 0x300;
    expect_error(&c, -ENOEXEC, "truncated");
}
END_TEST

START_TEST(linux_that_cannot_unpack_itself_here_is_refused)
{
    struct pc_config c;

    make_bzimage(exit_code, sizeof(exit_code));
    put_le32(file.data + 0x260, 0x2000000);
    c = config_of();
    expect_error(&c, -ENOMEM, "unpack");
}
END_TEST

START_TEST(command_line_and_initrd_have_limits)
{
    struct boot_image initrd = {.data = "x", .len = 13 * MIB, .name = "big.img"};
    char line[66];
    struct pc_config c;

    memset(line, 'a', 65);
    line[65] = 0;
    make_bzimage(exit_code, sizeof(exit_code));
    c = config_of();
    c.append = line;
    expect_error(&c, -E2BIG, "command line");
    c.append = NULL;
    c.modules = &initrd;
    c.nmodules = 1;
    expect_error(&c, -ENOMEM, "big.img");
}
END_TEST

/* ---- BIOS ---- */

static uint8_t bios[65536];

START_TEST(bios_starts_at_the_reset_vector_in_real_mode)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m;

    memset(bios, 0xf4, sizeof(bios));
    memcpy(bios + 0xfff0, "\xea\x00\x00\x00\xf0", 5); /* jmp f000:0000 */
    memcpy(bios, "\xba\xf4\x00\xb0\x05\xee", 6);
    m = create(&c);
    ck_assert_uint_eq(state_of(m)->rip, 0xfff0);
    ck_assert_uint_eq(state_of(m)->seg[SEG_CS].base, 0xffff0000);
    ck_assert(!(state_of(m)->cr0 & CR0_PE));
    ck_assert_uint_eq(peek(m, 0xfffffff0), peek(m, 0xffff0));
    run(m, 100);
    ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
    ck_assert_uint_eq(m->st->end_status, 11);
    machine_destroy(m);
}
END_TEST

START_TEST(bios_can_be_shadowed_in_place)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m;
    struct pc *pc;

    memset(bios, 0xf4, sizeof(bios));
    memcpy(bios + 0x100, "BIOS", 4);
    m = create(&c);
    pc = m->board;
    memory_write(&m->memory, 0xf0100, 4, 0);
    ck_assert_uint_eq(peek(m, 0xf0100), 0x534f4942);
    i440fx_set_pam(pc->i440fx, I440FX_BIOS_SEGMENT, PAM_WRITE);
    memory_write(&m->memory, 0xf0100, 4, 0x12345678);
    ck_assert_msg(peek(m, 0xf0100) == 0x534f4942, "reads still come from the ROM");
    i440fx_set_pam(pc->i440fx, I440FX_BIOS_SEGMENT, PAM_READ);
    ck_assert_uint_eq(peek(m, 0xf0100), 0x12345678);
    memory_write(&m->memory, 0xf0100, 4, 0);
    ck_assert_msg(peek(m, 0xf0100) == 0x12345678, "write-protected");
    i440fx_set_pam(pc->i440fx, I440FX_BIOS_SEGMENT, PAM_READ | PAM_WRITE);
    memory_write(&m->memory, 0xf0100, 4, 1);
    ck_assert_uint_eq(peek(m, 0xf0100), 1);
    machine_reset(m);
    ck_assert_uint_eq(peek(m, 0xf0100), 0x534f4942);
    machine_destroy(m);
}
END_TEST

START_TEST(memory_nobody_claims_reads_as_ones)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m = create(&c);

    ck_assert_uint_eq(peek(m, 0xc0000), 0xffffffff);
    ck_assert_uint_eq(peek(m, 16 * MIB), 0xffffffff);
    ck_assert_uint_eq(peek(m, 0xfee00030), 0x00050014);
    ck_assert_uint_eq(peek(m, 0x9fffc), 0);
    machine_destroy(m);
    c.vga = PC_VGA_NONE;
    m = create(&c);
    ck_assert_uint_eq(peek(m, 0xa0000), 0xffffffff);
    ck_assert_uint_eq(peek(m, 0xb8000), 0xffffffff);
    machine_destroy(m);
}
END_TEST

START_TEST(bios_of_odd_size_is_refused)
{
    struct pc_config c = bios_config(bios, 65535);

    expect_error(&c, -EINVAL, "multiple of 4096");
    c.bios.len = 0;
    expect_error(&c, -EINVAL, "empty");
}
END_TEST

START_TEST(guest_can_talk_and_read_the_time)
{
    /* mov dx,3f8; mov al,'!'; out dx,al; xor al,al; out 70,al; in al,71; mov dx,e9; out dx,al; hlt */
    static const uint8_t code[] = {0xba, 0xf8, 0x03, 0xb0, '!', 0xee, 0x30, 0xc0, 0xe6, 0x70, 0xe4, 0x71,
                                   0xba, 0xe9, 0x00, 0xee, 0xf4};
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m;

    memset(bios, 0xf4, sizeof(bios));
    memcpy(bios + 0xfff0, "\xea\x00\x00\x00\xf0", 5);
    memcpy(bios, code, sizeof(code));
    m = create(&c);
    m->stop_when_idle = true;
    run(m, 100);
    ck_assert_uint_eq(sent.len, 2);
    ck_assert_uint_eq(sent.data[0], '!'); /* though nobody programmed the line */
    ck_assert_uint_eq(sent.data[1], 0x58);
    ck_assert_str_eq(sender->name, "debugcon");
    machine_destroy(m);
}
END_TEST

START_TEST(x87_errors_reach_irq_13_until_port_f0_is_written)
{
    /* xor ax,ax; mov ds,ax; mov word [500],37b; fninit; fldcw [500]; fld1; fldz; fdivp; fwait; out f0,al; hlt */
    static const uint8_t code[] = {0x31, 0xc0, 0x8e, 0xd8, 0xc7, 0x06, 0x00, 0x05, 0x7b, 0x03, 0xdb, 0xe3, 0xd9, 0x2e,
                                   0x00, 0x05, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x9b, 0xe6, 0xf0, 0xf4};
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m;
    struct pc *pc;

    memset(bios, 0xf4, sizeof(bios));
    memcpy(bios + 0xfff0, "\xea\x00\x00\x00\xf0", 5);
    memcpy(bios, code, sizeof(code));
    m = create(&c);
    pc = m->board;
    m->stop_when_idle = true;
    run(m, 10);
    ck_assert_uint_eq(pic_ops.read(pc->pic, PIC_SLAVE, 0, 1) & 0x20, 0x20);
    run(m, 1);
    ck_assert_uint_eq(pic_ops.read(pc->pic, PIC_SLAVE, 0, 1) & 0x20, 0);
    machine_destroy(m);
}
END_TEST

START_TEST(a20_opens_and_closes_and_a_reset_opens_it)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m = create(&c);
    struct pc *pc = m->board;

    ports_write(&pc->ports, 0x92, 1, 0x00);
    ck_assert_uint_eq(state_of(m)->a20_mask, ~(1u << 20));
    ports_write(&pc->ports, 0x64, 1, 0xd0);
    ck_assert_msg(!(ports_read(&pc->ports, 0x60, 1) & 2), "the 8042 sees it too");
    machine_reset(m);
    ck_assert_uint_eq(state_of(m)->a20_mask, ~0u);
    ck_assert_uint_eq(ports_read(&pc->ports, 0x92, 1), 2);
    machine_destroy(m);
}
END_TEST

START_TEST(x2apic_mode_is_entered_and_left_by_ia32_apic_base)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    const uint64_t off = APIC_DEFAULT_BASE, on = off | APIC_BASE_ENABLE, x2 = on | APIC_BASE_X2;
    const struct { uint64_t from, to; bool allowed; } steps[] = {
        {off, off | APIC_BASE_X2, false}, {off, x2, false}, {off, on, true}, {on, off | APIC_BASE_X2, false}, {on, off, true},
        {on, x2, true}, {x2, on, false}, {x2, off | APIC_BASE_X2, false}, {x2, x2, true}, {x2, off, true},
    };
    struct i386_cpu *cpu;
    struct machine *m;

    c.cpu_model = "Haswell";
    m = create(&c);
    cpu = (struct i386_cpu *)(void *)m->cpus[0];
    ck_assert(i386_has(cpu->model, FEATURE_X2APIC) && i386_has(cpu->model, FEATURE_TSC_DEADLINE));
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        i386_write_msr(cpu, 0x1b, off);
        if (steps[i].from != off)
            ck_assert(i386_write_msr(cpu, 0x1b, on) && i386_write_msr(cpu, 0x1b, steps[i].from));
        ck_assert_msg(i386_write_msr(cpu, 0x1b, steps[i].to) == steps[i].allowed, "step %u", i);
        ck_assert_uint_eq(cpu->st->apic_base, steps[i].allowed ? steps[i].to : steps[i].from);
    }
    i386_write_msr(cpu, 0x1b, on);
    ck_assert(!i386_write_msr(cpu, 0x808, 0x20));
    ck_assert_uint_eq(peek(m, 0xfee00030), 0x00050014);
    i386_write_msr(cpu, 0x1b, x2);
    ck_assert(i386_write_msr(cpu, 0x808, 0x20) && cpu->cr8_read(cpu->io_ctx) == 2);
    ck_assert_uint_eq(peek(m, 0xfee00030), 0xffffffff);
    machine_destroy(m);
    c.cpu_model = "core2duo";
    m = create(&c);
    cpu = (struct i386_cpu *)(void *)m->cpus[0];
    ck_assert_msg(!i386_write_msr(cpu, 0x1b, x2) && !i386_write_msr(cpu, 0x6e0, 0), "a Core 2 has neither");
    machine_destroy(m);
}
END_TEST

START_TEST(apic_answers_where_its_msr_says)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m = create(&c);
    struct i386_cpu *cpu = (struct i386_cpu *)(void *)m->cpus[0];

    cpu->st->apic_base = 0xfe000000u | APIC_BASE_ENABLE;
    cpu->apic_base_written(cpu->io_ctx, cpu->st->apic_base);
    ck_assert_uint_eq(peek(m, 0xfe000030), 0x00050014);
    ck_assert_uint_eq(peek(m, 0xfee00030), 0xffffffff);
    cpu->st->apic_base = APIC_DEFAULT_BASE;
    cpu->apic_base_written(cpu->io_ctx, cpu->st->apic_base);
    ck_assert_uint_eq(peek(m, 0xfee00030), 0xffffffff);
    machine_destroy(m);
    c.cpu_model = "486";
    m = create(&c);
    ck_assert_msg(peek(m, 0xfee00030) == 0xffffffff, "a 486 has none");
    ck_assert_uint_eq(peek(m, 0xfec00000), 0xffffffff);
    machine_destroy(m);
}
END_TEST

START_TEST(pm_ports_follow_their_base_address)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m = create(&c);
    struct pc *pc = m->board;

    ck_assert_uint_eq(ports_read(&pc->ports, 0xb004, 2), 0xffff);
    ports_write(&pc->ports, 0xcf8, 4, 0x80000b40);
    ports_write(&pc->ports, 0xcfc, 4, 0xb001);
    ports_write(&pc->ports, 0xcf8, 4, 0x80000b80);
    ports_write(&pc->ports, 0xcfc, 1, 1);
    ck_assert_uint_eq(ports_read(&pc->ports, 0xb004, 2), 0);
    ports_write(&pc->ports, 0xb004, 2, 0x2000);
    ck_assert_uint_eq(m->st->end, GUEST_POWEROFF);
    machine_destroy(m);
}
END_TEST

START_TEST(restored_state_moves_the_maps_along)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m = create(&c);
    struct pc *pc = m->board;
    uint8_t *arena = xmalloc(m->arena_len);

    memcpy(arena, m->arena, m->arena_len);
    ports_write(&pc->ports, 0xcf8, 4, 0x80000058);
    ports_write(&pc->ports, 0xcfd, 1, 0x30);
    memory_write(&m->memory, 0xf0000, 4, 0x01020304);
    ck_assert_uint_eq(peek(m, 0xf0000), 0x01020304);
    memcpy(m->arena, arena, m->arena_len);
    machine_restored(m);
    ck_assert_uint_eq(peek(m, 0xf0000), get_le32(bios));
    free(arena);
    machine_destroy(m);
}
END_TEST

START_TEST(reset_loads_the_kernel_again)
{
    struct pc_config c;
    struct machine *m;
    uint64_t first;

    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x100);
    c = config_of();
    m = create(&c);
    first = machine_hash(m);
    memory_write(&m->memory, 0x200000, 4, 0);
    memory_write(&m->memory, 0x200080, 4, 0x55555555);
    state_of(m)->rip = 0;
    machine_reset(m);
    ck_assert_uint_eq(machine_hash(m), first);
    machine_destroy(m);
}
END_TEST

START_TEST(two_machines_of_one_configuration_are_equal)
{
    struct machine *a, *b;
    struct pc_config c;

    make_bzimage(exit_code, sizeof(exit_code));
    c = config_of();
    a = create(&c);
    b = create(&c);
    ck_assert_uint_eq(machine_hash(a), machine_hash(b));
    machine_destroy(a);
    machine_destroy(b);
}
END_TEST

/* ---- configuration ---- */

START_TEST(configurations_that_cannot_be_built_are_told)
{
    struct pc_config c = PC_CONFIG_INIT;

    expect_error(&c, -EINVAL, "nothing to boot");
    c = bios_config(bios, sizeof(bios));
    c.memory_bytes = 4096;
    expect_error(&c, -EINVAL, "1 MiB");
    c = bios_config(bios, sizeof(bios));
    c.cpu_model = "z80";
    expect_error(&c, -EINVAL, "z80");
    c = bios_config(bios, sizeof(bios));
    c.kernel = c.bios;
    expect_error(&c, -EINVAL, "bzImages only");
    c = bios_config(bios, sizeof(bios));
    c.serial_count = PC_MAX_SERIAL + 1;
    expect_error(&c, -EINVAL, "serial");
}
END_TEST

START_TEST(large_memory_goes_around_the_hole_below_4_gib)
{
    struct boot_memory_map map;
    uint64_t total = 0;

    boot_memory_map(&map, 5120 * MIB);
    for (unsigned i = 0; i < map.nranges; i++)
        if (map.ranges[i].type == E820_RAM)
            total += map.ranges[i].size;
    ck_assert_uint_eq(map.low_top, 0xc0000000); /* as QEMU has it */
    ck_assert_uint_eq(total, 5120 * MIB - (MIB - BOOT_EBDA));
}
END_TEST

/* ---- firmware tables ---- */

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t s = 0;

    while (len--)
        s = (uint8_t)(s + *p++);
    return s;
}

START_TEST(firmware_tables_have_good_checksums_and_links)
{
    const struct tables_config tc = {.apic = true, .memory_bytes = 64 * MIB, .pci_hole = 64 * MIB, .serial_count = 2};
    struct buffer b;
    const uint8_t *t;
    uint32_t rsdt, mp;

    buffer_init(&b);
    tables_build(&b, &tc);
    t = b.data;
    ck_assert_int_eq(memcmp(t, "RSD PTR ", 8), 0);
    ck_assert_uint_eq(sum(t, 20), 0);
    rsdt = get_le32(t + 16) - TABLES_BASE;
    ck_assert_int_eq(memcmp(t + rsdt, "RSDT", 4), 0);
    ck_assert_uint_eq(sum(t + rsdt, get_le32(t + rsdt + 4)), 0);
    for (uint32_t at = 36; at < get_le32(t + rsdt + 4); at += 4) {
        uint32_t table = get_le32(t + rsdt + at) - TABLES_BASE;

        ck_assert_uint_le(table + get_le32(t + table + 4), b.len);
        ck_assert_uint_eq(sum(t + table, get_le32(t + table + 4)), 0);
        if (memcmp(t + table, "FACP", 4) == 0) {
            uint32_t dsdt = get_le32(t + table + 40) - TABLES_BASE;

            ck_assert_int_eq(memcmp(t + dsdt, "DSDT", 4), 0);
            ck_assert_uint_eq(sum(t + dsdt, get_le32(t + dsdt + 4)), 0);
            ck_assert_uint_eq(get_le32(t + table + 36) % 64, 0);
        }
    }
    ck_assert_int_eq(memcmp(t + 48, "_MP_", 4), 0);
    ck_assert_uint_eq(sum(t + 48, 16), 0);
    mp = get_le32(t + 52) - TABLES_BASE;
    ck_assert_int_eq(memcmp(t + mp, "PCMP", 4), 0);
    ck_assert_uint_eq(sum(t + mp, get_le16(t + mp + 4)), 0);
    buffer_finish(&b);
}
END_TEST

/* ---- mangled files ---- */

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* Try a mangled copy: it loads or is refused with words, and nothing else happens. */
static void try_mangled(const struct buffer *original, size_t header, unsigned kind)
{
    static const uint8_t rsdp[20], smbios[31];
    static const struct boot_tables tables = {TABLES_BASE, rsdp, sizeof(rsdp), smbios, sizeof(smbios)};
    uint8_t *copy = xmalloc(original->len);
    struct pc_config c = PC_CONFIG_INIT;
    struct boot_plan plan;
    size_t len = original->len;
    unsigned changes = 1 + next_random() % 6;

    memcpy(copy, original->data, len);
    if (kind % 4 == 0)
        len = next_random() % (len + 1);
    for (unsigned i = 0; i < changes && len; i++) {
        size_t at = next_random() % (header < len ? header : len);

        switch (next_random() % 4) {
        case 0:
            copy[at] ^= (uint8_t)(1u << next_random() % 8);
            break;
        case 1:
            copy[at] = 0xff;
            break;
        case 2:
            copy[at] = 0;
            break;
        default:
            copy[at] = (uint8_t)next_random();
            break;
        }
    }
    c.memory_bytes = 16 * MIB;
    /* An exact allocation, so that a sanitizer sees every byte too far. */
    copy = xrealloc(copy, len ? len : 1);
    c.kernel = (struct boot_image){.data = copy, .len = len, .name = "mangled"};
    memset(&err, 0, sizeof(err));
    if (boot_load(&plan, &c, &tables, &err) == 0) {
        for (unsigned i = 0; i < plan.nchunks; i++) {
            ck_assert_uint_le(plan.chunks[i].at + plan.chunks[i].size, c.memory_bytes);
            ck_assert_uint_le(plan.chunks[i].len, plan.chunks[i].size);
        }
        boot_finish(&plan);
    } else {
        ck_assert(err.text[0] != 0);
    }
    free(copy);
}

static void mangle(size_t header, uint32_t seed)
{
    random_state = seed;
    for (unsigned i = 0; i < 4000; i++)
        try_mangled(&file, header, i);
}

START_TEST(mangled_elf_does_no_harm)
{
    make_elf(0x200000, 0xc0200000, 0x200000, exit_code, sizeof(exit_code), 0x1000);
    mangle(128, 1);
}
END_TEST

START_TEST(mangled_multiboot_does_no_harm)
{
    make_flat(3, 0, 0x180000);
    mangle(32, 2);
    make_elf(0x200000, 0x200000, 0x200000, exit_code, sizeof(exit_code), 0x1000);
    pad(256);
    multiboot_header(0);
    put_le32(file.data + 32, 300); /* section headers: two, with a symbol table */
    put_le16(file.data + 48, 2);
    pad(300 + 80);
    file.data[300 + 40 + 4] = 2;
    put_le32(file.data + 300 + 40 + 16, 128);
    put_le32(file.data + 300 + 40 + 20, 9);
    mangle(400, 3);
}
END_TEST

START_TEST(mangled_multiboot2_does_no_harm)
{
    static const uint32_t mode[] = {640, 480, 16};

    make_multiboot2(5, 0, 3, mode);
    mangle(112, 5);
}
END_TEST

START_TEST(mangled_bzimage_does_no_harm)
{
    make_bzimage(exit_code, sizeof(exit_code));
    mangle(0x270, 4);
}
END_TEST

/* ---- a guest that hammers on the board ---- */

static const uint16_t port_bases[] = {0x00, 0x20, 0x40, 0x60, 0x70, 0x80, 0x92, 0xa0, 0xb2, 0xc0, 0xe9, 0xf0, 0x170,
                                      0x1ce, 0x1f0, 0x2f8, 0x3b0, 0x3c0, 0x3d0,
                                      0x3f8, 0x4d0, 0x510, 0x600, 0xcf8, 0xcfc};
static const uint32_t mmio_bases[] = {0xfee00000, 0xfee00300, 0xfec00000, 0xfffff000, 0xa0000, 0xf0000, 0xc0000};

static void one_access(struct machine *m, struct pc *pc)
{
    uint32_t r = next_random(), value = next_random() << 8 ^ next_random();
    unsigned size = 1u << r % 3;

    if (r & 0x40) {
        uint16_t port = (uint16_t)(port_bases[next_random() % ARRAY_LEN(port_bases)] + next_random() % 20);

        if (r & 0x80)
            ports_write(&pc->ports, port, size, value);
        else
            ports_read(&pc->ports, port, size);
    } else {
        paddr_t at = mmio_bases[next_random() % ARRAY_LEN(mmio_bases)] + next_random() % 0x400;

        if (r & 0x80)
            memory_write(&m->memory, at, size, value);
        else
            memory_read(&m->memory, at, size);
    }
}

static void one_input(struct machine *m)
{
    static const char *const names[] = {"uart0", "uart1", "ps2kbd", "ps2mouse", "rtc"};
    struct device *dev = machine_find_device(m, names[next_random() % ARRAY_LEN(names)]);
    uint8_t data[40];
    struct event e = {.kind = EVENT_INPUT, .source = dev->index, .len = next_random() % sizeof(data), .data = data};

    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)next_random();
    if (dev->ops->input)
        dev->ops->input(dev, &e);
}

static uint64_t hammer(uint32_t seed)
{
    struct pc_config c = bios_config(bios, sizeof(bios));
    struct machine *m;
    uint64_t hash;

    memset(bios, 0x90, sizeof(bios));
    memcpy(bios + 0xfff0, "\xeb\xfe", 2);
    random_state = seed;
    c.icount_shift = seed % 12;
    m = create(&c);
    for (unsigned i = 0; i < 20000; i++) {
        one_access(m, m->board);
        if (i % 16 == 0)
            one_input(m);
        if (i % 32 == 0)
            run(m, 1 + next_random() % 300);
        if (i % 1000 == 999 || m->st->end)
            machine_reset(m);
    }
    hash = machine_hash(m);
    machine_destroy(m);
    return hash;
}

START_TEST(hammering_on_the_board_does_no_harm_and_is_repeatable)
{
    for (uint32_t seed = 1; seed <= 6; seed++)
        ck_assert_uint_eq(hammer(seed), hammer(seed));
}
END_TEST

#define ADD(t) tcase_add_test(tc, t)

Suite *test_suite(void)
{
    Suite *suite = suite_create("pc_boot");
    TCase *tc = tcase_create("pc_boot");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    ADD(elf_is_loaded_at_its_physical_address);
    ADD(elf_entry_that_is_already_physical_stays);
    ADD(truncated_elf_is_told_so);
    ADD(kernel_larger_than_memory_is_refused);
    ADD(elf_over_reserved_memory_is_refused);
    ADD(elf_for_another_machine_is_refused);
    ADD(elf_that_is_not_an_executable_is_refused);
    ADD(files_of_no_known_kind_are_refused);
    ADD(multiboot_kernel_finds_what_the_specification_promises);
    ADD(multiboot_elf_is_loaded_by_its_segments);
    ADD(multiboot_elf_that_may_lie_anywhere_lies_where_it_says);
    ADD(multiboot_demands_that_cannot_be_met_are_refused);
    ADD(multiboot_header_with_a_wrong_checksum_is_refused_and_not_started_as_something_else);
    ADD(an_entry_point_outside_of_what_was_loaded_is_refused);
    ADD(multiboot_framebuffer_is_the_one_that_was_asked_for);
    ADD(multiboot_video_mode_that_the_display_has_not_is_refused);
    ADD(multiboot_text_framebuffer_is_the_screen);
    ADD(multiboot2_kernel_finds_what_the_specification_promises);
    ADD(multiboot2_framebuffer_and_demands);
    ADD(linux_learns_that_there_is_a_vga);
    ADD(multiboot_addresses_that_make_no_sense_are_refused);
    ADD(modules_that_do_not_fit_are_refused);
    ADD(linux_starts_by_the_32_bit_boot_protocol);
    ADD(truncated_bzimage_is_told_so);
    ADD(linux_that_cannot_unpack_itself_here_is_refused);
    ADD(command_line_and_initrd_have_limits);
    ADD(bios_starts_at_the_reset_vector_in_real_mode);
    ADD(bios_can_be_shadowed_in_place);
    ADD(memory_nobody_claims_reads_as_ones);
    ADD(bios_of_odd_size_is_refused);
    ADD(guest_can_talk_and_read_the_time);
    ADD(x87_errors_reach_irq_13_until_port_f0_is_written);
    ADD(a20_opens_and_closes_and_a_reset_opens_it);
    ADD(apic_answers_where_its_msr_says);
    ADD(x2apic_mode_is_entered_and_left_by_ia32_apic_base);
    ADD(pm_ports_follow_their_base_address);
    ADD(restored_state_moves_the_maps_along);
    ADD(reset_loads_the_kernel_again);
    ADD(two_machines_of_one_configuration_are_equal);
    ADD(configurations_that_cannot_be_built_are_told);
    ADD(large_memory_goes_around_the_hole_below_4_gib);
    ADD(firmware_tables_have_good_checksums_and_links);
    ADD(mangled_elf_does_no_harm);
    ADD(mangled_multiboot_does_no_harm);
    ADD(mangled_multiboot2_does_no_harm);
    ADD(mangled_bzimage_does_no_harm);
    ADD(hammering_on_the_board_does_no_harm_and_is_repeatable);
    suite_add_tcase(suite, tc);
    return suite;
}
