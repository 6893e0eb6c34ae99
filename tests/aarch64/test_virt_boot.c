/*
 * The virt board's loaders: where a kernel, its initrd and its device tree end
 * up, what a bad file gets as an answer, and that no file, however mangled,
 * does harm.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "aarch64/boot/boot.h"
#include "aarch64/system.h"
#include "aarch64/virt.h"
#include "tests/check_main.h"

#define MIB ((uint64_t)1 << 20)
#define IMAGE_BYTES 4096u

static uint8_t image[IMAGE_BYTES];
static struct error err;

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
    while (bytes--) {
        *p++ = (uint8_t)v;
        v >>= 8;
    }
}

static void make_image(uint64_t text_offset, uint64_t size, uint64_t flags)
{
    memset(image, 0, sizeof(image));
    put(image, 0x14000000, 4);
    put(image + 8, text_offset, 8);
    put(image + 16, size, 8);
    put(image + 24, flags, 8);
    memcpy(image + 56, "ARM\x64", 4);
}

/* A segment of 16 bytes in the file, 64 in memory, at `at`. */
static void make_elf(uint64_t at)
{
    memset(image, 0, sizeof(image));
    memcpy(image, "\177ELF\2\1\1", 7);
    put(image + 16, 2, 2);
    put(image + 18, 183, 2);
    put(image + 20, 1, 4);
    put(image + 24, at + 8, 8);
    put(image + 32, 64, 8);
    put(image + 52, 64, 2);
    put(image + 54, 56, 2);
    put(image + 56, 1, 2);
    put(image + 64, 1, 4);
    put(image + 72, 1024, 8);
    put(image + 80, at, 8);
    put(image + 88, at, 8);
    put(image + 96, 16, 8);
    put(image + 104, 64, 8);
    put(image + 1024, 0x1122334455667788ull, 8);
}

static int boot(struct machine **m, const void *data, size_t len, const char *initrd)
{
    struct virt_config c = VIRT_CONFIG_INIT;

    c.kernel = (struct boot_image){.data = data, .len = len, .name = "k"};
    c.append = "console=ttyAMA0";
    if (initrd)
        c.initrd = (struct boot_image){.data = initrd, .len = strlen(initrd), .name = "i"};
    memset(&err, 0, sizeof(err));
    return virt_create(m, &c, &err);
}

static struct a64_state *state(struct machine *m)
{
    return m->cpus[0]->state;
}

START_TEST(image_starts_at_el1_with_the_device_tree_in_x0)
{
    struct machine *m;
    const void *dtb;
    size_t len;
    uint8_t there[64];

    make_image(0x80000, 0x10000, 0xa);
    ck_assert_int_eq(boot(&m, image, sizeof(image), "initrd!"), 0);
    ck_assert_uint_eq(state(m)->pc, VIRT_RAM_BASE + 0x80000);
    ck_assert_uint_eq(state(m)->el, 1);
    memory_read_bytes(&m->memory, state(m)->pc, there, sizeof(there));
    ck_assert_mem_eq(there, image, sizeof(there));
    dtb = virt_device_tree(m, &len);
    ck_assert_uint_eq(state(m)->x[0] % 8, 0);
    memory_read_bytes(&m->memory, state(m)->x[0], there, sizeof(there));
    ck_assert_mem_eq(there, dtb, sizeof(there));
    machine_destroy(m);
}
END_TEST

START_TEST(device_tree_tells_of_memory_command_line_and_initrd)
{
    struct machine *m;
    const void *dtb;
    const fdt32_t *p;
    size_t len;
    int n;
    uint8_t there[7];

    make_image(0x80000, 0x10000, 0xa);
    ck_assert_int_eq(boot(&m, image, sizeof(image), "initrd!"), 0);
    dtb = virt_device_tree(m, &len);
    ck_assert_int_eq(fdt_check_full(dtb, len), 0);
    n = fdt_path_offset(dtb, "/chosen");
    ck_assert_str_eq(fdt_getprop(dtb, n, "bootargs", NULL), "console=ttyAMA0");
    p = fdt_getprop(dtb, n, "linux,initrd-start", NULL);
    ck_assert_ptr_nonnull(p);
    memory_read_bytes(&m->memory, (uint64_t)fdt32_to_cpu(p[0]) << 32 | fdt32_to_cpu(p[1]), there, 7);
    ck_assert_mem_eq(there, "initrd!", 7);
    n = fdt_path_offset(dtb, "/memory@40000000");
    p = fdt_getprop(dtb, n, "reg", NULL);
    ck_assert_uint_eq(fdt32_to_cpu(p[3]), 128 * MIB);
    machine_destroy(m);
}
END_TEST

/* The machine of an ELF program or of an Image with EL3 and two CPUs. */
static struct machine *boot_secure(bool elf, bool spin_table)
{
    struct virt_config c = VIRT_CONFIG_INIT;
    struct machine *m;

    if (elf)
        make_elf(VIRT_RAM_BASE + MIB);
    else
        make_image(0x80000, 0x10000, 0xa);
    c.kernel = (struct boot_image){.data = image, .len = sizeof(image), .name = "k"};
    c.secure = true;
    c.spin_table = spin_table;
    c.topology.cpus = 2;
    ck_assert_int_eq(virt_create(&m, &c, &err), 0);
    return m;
}

static bool has_psci(struct machine *m)
{
    size_t len;

    return fdt_path_offset(virt_device_tree(m, &len), "/psci") >= 0;
}

START_TEST(an_elf_program_is_firmware_where_el3_exists)
{
    struct machine *m = boot_secure(true, false);

    for (unsigned n = 0; n < 2; n++) {
        const struct a64_state *s = m->cpus[n]->state;

        ck_assert_uint_eq(s->el, 3);
        ck_assert_uint_eq(s->pc, VIRT_RAM_BASE + MIB + 8);
        ck_assert_uint_eq(s->x[0], VIRT_RAM_BASE);
        ck_assert_uint_eq(s->scr_el3 & SCR_NS, 0);
        ck_assert_uint_eq(s->halted, 0);
    }
    ck_assert(!has_psci(m));
    machine_destroy(m);
    m = boot_secure(false, false); /* an Image is a kernel */
    ck_assert_uint_eq(state(m)->el, 1);
    ck_assert(has_psci(m));
    machine_destroy(m);
    m = boot_secure(true, true);
    ck_assert_uint_eq(state(m)->el, 1);
    machine_destroy(m);
}
END_TEST

START_TEST(pci_windows_answer_where_no_function_does)
{
    static const paddr_t inside[] = {0x10000000, 0x20218040, 0x3efefff8, 0x8000000000, 0xffffffff80};
    struct machine *m;

    make_image(0x80000, 0x10000, 0xa);
    ck_assert_int_eq(boot(&m, image, sizeof(image), NULL), 0);
    for (unsigned i = 0; i < ARRAY_LEN(inside); i++) {
        ck_assert_ptr_nonnull(memory_find(&m->memory, inside[i])); /* else it were an abort */
        memory_write(&m->memory, inside[i], 4, 5);
        ck_assert_uint_eq(memory_read(&m->memory, inside[i], 4), 0xffffffff);
    }
    ck_assert_ptr_null(memory_find(&m->memory, 0x3ff00000));
    ck_assert_ptr_null(memory_find(&m->memory, 0x10000000000));
    machine_destroy(m);
}
END_TEST

START_TEST(without_highmem_nothing_lies_above_4_gib)
{
    struct virt_config c = VIRT_CONFIG_INIT;
    const fdt32_t *reg;
    struct machine *m;
    const void *dtb;
    size_t len;
    int n;

    make_image(0x80000, 0x10000, 0xa);
    c.kernel = (struct boot_image){.data = image, .len = sizeof(image), .name = "k"};
    c.lowmem = true;
    c.memory_bytes = 4096 * MIB;
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(virt_create(&m, &c, &err), -EINVAL);
    c.memory_bytes = 64 * MIB;
    ck_assert_int_eq(virt_create(&m, &c, &err), 0);
    dtb = virt_device_tree(m, &len);
    reg = fdt_getprop(dtb, fdt_path_offset(dtb, "/pcie@10000000"), "reg", NULL);
    ck_assert_uint_eq(fdt32_to_cpu(reg[0]), 0);
    ck_assert_uint_eq(fdt32_to_cpu(reg[1]), 0x3f000000);
    ck_assert_uint_eq(fdt32_to_cpu(reg[3]), 0x1000000);
    ck_assert_ptr_nonnull(fdt_getprop(dtb, fdt_path_offset(dtb, "/pcie@10000000"), "ranges", &n));
    ck_assert_int_eq(n, 14 * 4);
    ck_assert_uint_eq(memory_read(&m->memory, 0x3f000000, 4), 0x00081b36); /* the host bridge */
    ck_assert_uint_eq(memory_read(&m->memory, 0x3fff0000, 4), 0xffffffff);
    ck_assert_ptr_null(memory_find(&m->memory, 0x4010000000));
    ck_assert_ptr_null(memory_find(&m->memory, 0x8000000000));
    machine_destroy(m);
}
END_TEST

START_TEST(compressed_image_is_the_same_as_plain)
{
    struct machine *m;
    uint8_t gz[2 * IMAGE_BYTES];
    z_stream z = {.next_in = image, .avail_in = sizeof(image), .next_out = gz, .avail_out = sizeof(gz)};

    make_image(0, 0x10000, 0xa);
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    ck_assert(virt_recognises(gz, z.total_out));
    ck_assert_int_eq(boot(&m, gz, z.total_out, NULL), 0);
    ck_assert_uint_eq(state(m)->pc, VIRT_RAM_BASE + 2 * MIB);
    machine_destroy(m);
    ck_assert_int_eq(boot(&m, gz, z.total_out / 2, NULL), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(err.text, "truncated"));
    deflateEnd(&z);
}
END_TEST

START_TEST(decompression_stops_at_the_machines_memory)
{
    struct machine *m;
    size_t room = 2 * MIB, len = 256 * MIB;
    uint8_t *gz = malloc(room), *zeros = calloc(1, len);
    z_stream z = {.next_in = zeros, .avail_in = (uInt)len, .next_out = gz, .avail_out = (uInt)room};

    ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    ck_assert_int_eq(boot(&m, gz, z.total_out, NULL), -ENOMEM);
    deflateEnd(&z);
    free(gz);
    free(zeros);
}
END_TEST

START_TEST(elf_is_loaded_at_its_physical_addresses_and_its_bss_is_zero)
{
    struct machine *m;

    make_elf(VIRT_RAM_BASE + MIB);
    ck_assert_int_eq(boot(&m, image, sizeof(image), NULL), 0);
    ck_assert_uint_eq(state(m)->pc, VIRT_RAM_BASE + MIB + 8);
    ck_assert_uint_eq(memory_read(&m->memory, VIRT_RAM_BASE + MIB, 8), 0x1122334455667788ull);
    ck_assert_uint_eq(memory_read(&m->memory, VIRT_RAM_BASE + MIB + 16, 8), 0);
    ck_assert_uint_eq(state(m)->x[0], VIRT_RAM_BASE);
    machine_destroy(m);
}
END_TEST

START_TEST(bad_files_are_told_why)
{
    struct machine *m;

    make_elf(0x1000);
    ck_assert_int_eq(boot(&m, image, sizeof(image), NULL), -ENOMEM);
    make_elf(VIRT_RAM_BASE);
    ck_assert_int_eq(boot(&m, image, 1025, NULL), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(err.text, "truncated"));
    make_image(0x80000, 0x10000, 1);
    ck_assert_int_eq(boot(&m, image, sizeof(image), NULL), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(err.text, "big-endian"));
    make_image(0x80000, UINT64_MAX, 0);
    ck_assert_int_eq(boot(&m, image, sizeof(image), NULL), -ENOMEM);
    make_image(UINT64_MAX - 8, 0x10000, 0);
    ck_assert_int_eq(boot(&m, image, sizeof(image), NULL), -ENOMEM);
    ck_assert_int_eq(boot(&m, "\x7f" "ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3\0", 20, NULL), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(err.text, "virt runs those for aarch64"));
    ck_assert_int_eq(boot(&m, "", 0, NULL), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(err.text, "empty"));
    ck_assert(!virt_recognises("", 0));
}
END_TEST

/* Where an initrd goes in the middle of RAM, and the device tree behind it, such a program has its heap. */
START_TEST(an_elf_at_the_beginning_of_ram_has_its_device_tree_at_the_end)
{
    const struct virt_config usual = VIRT_CONFIG_INIT;
    struct machine *m;
    const void *dtb;
    uint8_t there[64];
    size_t len;

    make_elf(VIRT_RAM_BASE);
    ck_assert_int_eq(boot(&m, image, sizeof(image), NULL), 0);
    ck_assert_uint_eq(state(m)->x[0], VIRT_RAM_BASE + usual.memory_bytes - A64_DTB_BYTES);
    dtb = virt_device_tree(m, &len);
    memory_read_bytes(&m->memory, state(m)->x[0], there, sizeof(there));
    ck_assert_mem_eq(there, dtb, sizeof(there));
    machine_destroy(m);
}
END_TEST

START_TEST(flat_binary_is_loaded_where_qemu_loads_it)
{
    struct machine *m;

    ck_assert_int_eq(boot(&m, "\x1f\x20\x03\xd5", 4, NULL), 0);
    ck_assert_uint_eq(state(m)->pc, VIRT_RAM_BASE + 0x80000);
    ck_assert_uint_eq(memory_read(&m->memory, VIRT_RAM_BASE + 0x80000, 4), 0xd503201f);
    ck_assert_uint_eq(memory_read(&m->memory, state(m)->x[0], 4), 0xedfe0dd0);
    machine_destroy(m);
}
END_TEST

START_TEST(mangled_images_do_no_harm)
{
    uint32_t x = (uint32_t)_i * 77 + 1;

    for (unsigned round = 0; round < 150; round++) {
        struct machine *m;

        if (_i)
            make_elf(VIRT_RAM_BASE + MIB);
        else
            make_image(0x80000, 0x10000, 0xa);
        for (unsigned i = 0; i < 4; i++) {
            x = x * 1664525 + 1013904223;
            image[(x >> 8) % 120] = (uint8_t)(x >> 24);
        }
        if (boot(&m, image, (x >> 3 & 1) ? sizeof(image) : (x >> 12) % 1200, NULL) == 0)
            machine_destroy(m);
        else
            ck_assert(err.text[0]);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("virt boot");
    TCase *t = tcase_create("boot");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, image_starts_at_el1_with_the_device_tree_in_x0);
    tcase_add_test(t, device_tree_tells_of_memory_command_line_and_initrd);
    tcase_add_test(t, an_elf_program_is_firmware_where_el3_exists);
    tcase_add_test(t, pci_windows_answer_where_no_function_does);
    tcase_add_test(t, without_highmem_nothing_lies_above_4_gib);
    tcase_add_test(t, compressed_image_is_the_same_as_plain);
    tcase_add_test(t, decompression_stops_at_the_machines_memory);
    tcase_add_test(t, elf_is_loaded_at_its_physical_addresses_and_its_bss_is_zero);
    tcase_add_test(t, an_elf_at_the_beginning_of_ram_has_its_device_tree_at_the_end);
    tcase_add_test(t, bad_files_are_told_why);
    tcase_add_test(t, flat_binary_is_loaded_where_qemu_loads_it);
    tcase_add_loop_test(t, mangled_images_do_no_harm, 0, 2);
    suite_add_tcase(suite, t);
    return suite;
}
