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

static const struct event *no_event(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    return NULL;
}

static const struct machine_env env = {.host_clock = host_clock, .peek_event = no_event};

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
    suite_add_tcase(suite, tc);
    return suite;
}
