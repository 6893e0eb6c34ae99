/*
 * Semihosting, one operation at a time, on a virt board with a host that this
 * file plays (Arm, "Semihosting for AArch32 and AArch64").
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aarch64/cpu.h"
#include "aarch64/virt.h"
#include "base/buffer.h"
#include "vm/machine.h"
#include "tests/check_main.h"

#define CODE  (VIRT_RAM_BASE + 0x100000)
#define BLOCK (CODE + 0x1000)
#define DATA  (CODE + 0x2000)
#define HLT   0xd45e0000u
#define LOOP  0x17ffffffu /* b .-4 */
#define HALTED_SEMIHOST 4u

static struct machine *m;
static struct a64_state *st;
static struct buffer sent;
static struct file_request asked;
static char asked_name[256];
static unsigned calls;
static uint32_t host_error;
static struct event event;
static bool event_there;

static void output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)ctx, (void)dev;
    buffer_append(&sent, buf, len);
}

/* A host on which every file is as long as a request wants it, of bytes 'x'. */
static void file_call(void *ctx, struct machine *machine, const struct file_request *r, struct file_answer *a)
{
    (void)ctx, (void)machine;
    calls++;
    asked = *r;
    strcpy(asked_name, r->name);
    *a = (struct file_answer){.error = host_error, .data = a->data};
    if (host_error)
        return;
    a->value = r->op == FILE_LENGTH ? 1234 : r->len;
    a->offset = r->offset + r->len;
    if (r->op == FILE_READ)
        memset(a->data, 'x', r->len);
}

static const struct event *peek(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    return event_there ? &event : NULL;
}

static void take(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    event_there = false;
}

static uint64_t host_clock(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    return 1700000000999999999u;
}

static const struct machine_env env = {
    .host_clock = host_clock, .output = output, .file_call = file_call, .peek_event = peek, .take_event = take};

static void make(bool semihosting)
{
    static uint8_t image[4096];
    struct virt_config c = VIRT_CONFIG_INIT;
    const uint32_t code[] = {HLT, LOOP};
    struct error err = {0};

    memcpy(image + 56, "ARM\x64", 4);
    image[17] = 0x10;
    c.kernel = (struct boot_image){.data = image, .len = sizeof(image), .name = "k"};
    c.semihosting = semihosting;
    c.semihost_cmdline = "prog one";
    c.virtualization = true;
    ck_assert_int_eq(virt_create(&m, &c, &err), 0);
    m->env = &env;
    st = m->cpus[0]->state;
    memory_write_bytes(&m->memory, CODE, code, sizeof(code), true);
    st->pc = CODE;
}

static void setup(void)
{
    make(true);
    buffer_init(&sent);
    calls = 0;
    host_error = 0;
    event_there = false;
}

static void teardown(void)
{
    machine_destroy(m);
    buffer_finish(&sent);
}

static void step(void)
{
    struct stop stop;

    machine_run(m, m->st->position + 1, &stop);
}

static uint64_t operation(uint64_t op, uint64_t x1)
{
    st->pc = CODE;
    st->x[0] = op | 0xffffffff00000000; /* W0 counts */
    st->x[1] = x1;
    step();
    ck_assert_uint_eq(st->pc, CODE + 4);
    return st->x[0];
}

static uint64_t call(uint64_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t block[] = {a, b, c, d};

    memory_write_bytes(&m->memory, BLOCK, block, sizeof(block), true);
    return operation(op, BLOCK);
}

static void put_text(paddr_t at, const char *text)
{
    memory_write_bytes(&m->memory, at, text, strlen(text) + 1, true);
}

static uint64_t open_name(const char *name, uint64_t mode)
{
    put_text(DATA, name);
    return call(1, DATA, mode, strlen(name), 0);
}

static uint64_t word_at(paddr_t at)
{
    uint64_t v;

    memory_read_bytes(&m->memory, at, &v, 8);
    return v;
}

static uint64_t error(void)
{
    return operation(0x13, 0);
}

static void type(const char *text, bool end)
{
    static uint8_t message[64];

    message[0] = end;
    memcpy(message + 1, text, strlen(text));
    event = (struct event){.position = m->st->position, .vtime = machine_now(m), .kind = EVENT_INPUT,
                           .source = machine_find_device(m, "semihosting")->index,
                           .len = (uint32_t)strlen(text) + 1, .data = message};
    event_there = true;
}

START_TEST(modes_are_those_of_fopen)
{
    static const unsigned access[] = {
        FILE_ACCESS_READ, FILE_ACCESS_READ | FILE_ACCESS_WRITE, FILE_ACCESS_WRITE | FILE_CREATE | FILE_TRUNCATE,
        FILE_ACCESS_READ | FILE_ACCESS_WRITE | FILE_CREATE | FILE_TRUNCATE, FILE_ACCESS_WRITE | FILE_CREATE | FILE_APPEND,
        FILE_ACCESS_READ | FILE_ACCESS_WRITE | FILE_CREATE | FILE_APPEND};

    for (unsigned mode = 0; mode < 12; mode++) {
        ck_assert_uint_eq(open_name("name", mode), mode + 1);
        ck_assert_int_eq(asked.op, FILE_OPEN);
        ck_assert_uint_eq(asked.access, access[mode / 2]);
        ck_assert_uint_eq(asked.file, mode + 1);
        ck_assert_str_eq(asked_name, "name");
    }
    ck_assert_uint_eq(open_name("name", 12), UINT64_MAX);
    ck_assert_uint_eq(error(), EINVAL);
}
END_TEST

START_TEST(handles_run_out_and_are_used_again)
{
    for (unsigned i = 1; i <= 32; i++)
        ck_assert_uint_eq(open_name("n", 0), i);
    ck_assert_uint_eq(open_name("n", 0), UINT64_MAX);
    ck_assert_uint_eq(error(), EMFILE);
    ck_assert_uint_eq(call(2, 7, 0, 0, 0), 0);
    ck_assert_int_eq(asked.op, FILE_CLOSE);
    ck_assert_uint_eq(asked.file, 7);
    ck_assert_uint_eq(call(2, 7, 0, 0, 0), UINT64_MAX);
    ck_assert_uint_eq(error(), EBADF);
    ck_assert_uint_eq(open_name("n", 0), 7);
    ck_assert_uint_eq(asked.file, 33); /* a file's number is never another's */
}
END_TEST

START_TEST(positions_move_with_reads_and_writes_of_any_length)
{
    const uint64_t len = 3 * FILE_PIECE + 5;
    uint8_t last[2];

    ck_assert_uint_eq(open_name("n", 2), 1);
    calls = 0;
    ck_assert_uint_eq(call(6, 1, DATA, len, 0), 0);
    ck_assert_uint_eq(calls, 4);
    ck_assert_uint_eq(asked.offset, 3 * FILE_PIECE);
    memory_read_bytes(&m->memory, DATA + len - 1, last, 2);
    ck_assert_uint_eq(last[0], 'x');
    ck_assert_uint_eq(last[1], 0);
    ck_assert_uint_eq(call(5, 1, DATA, 10, 0), 0);
    ck_assert_uint_eq(asked.offset, len);
    ck_assert_uint_eq(call(0xa, 1, 3, 0, 0), 0);
    ck_assert_uint_eq(call(5, 1, DATA, 1, 0), 0);
    ck_assert_uint_eq(asked.offset, 3);
    ck_assert_uint_eq(call(0xa, 1, UINT64_MAX, 0, 0), UINT64_MAX);
    ck_assert_uint_eq(call(0xc, 1, 0, 0, 0), 1234);
    ck_assert_uint_eq(call(9, 1, 0, 0, 0), 0);
}
END_TEST

START_TEST(errors_of_the_host_are_the_guests)
{
    ck_assert_uint_eq(open_name("n", 2), 1);
    host_error = ENOSPC;
    ck_assert_uint_eq(call(5, 1, DATA, 10, 0), 10);
    ck_assert_uint_eq(error(), ENOSPC);
    ck_assert_uint_eq(call(6, 1, DATA, 10, 0), 10);
    ck_assert_uint_eq(call(0xc, 1, 0, 0, 0), UINT64_MAX);
    ck_assert_uint_eq(open_name("n", 2), UINT64_MAX);
    put_text(DATA, "n");
    ck_assert_uint_eq(call(0xe, DATA, 1, 0, 0), UINT64_MAX);
    ck_assert_uint_eq(call(0xf, DATA, 1, DATA, 1), UINT64_MAX);
    ck_assert_uint_eq(call(2, 1, 0, 0, 0), UINT64_MAX);
    ck_assert_uint_eq(call(9, 1, 0, 0, 0), UINT64_MAX); /* it is closed all the same */
}
END_TEST

START_TEST(a_name_may_count_its_end_but_not_contain_one)
{
    put_text(DATA, "name");
    ck_assert_uint_eq(call(1, DATA, 0, 5, 0), 1);
    ck_assert_str_eq(asked_name, "name");
    memory_write_bytes(&m->memory, DATA, "na\0me", 5, true);
    ck_assert_uint_eq(call(1, DATA, 0, 5, 0), UINT64_MAX);
    ck_assert_uint_eq(error(), EINVAL);
}
END_TEST

START_TEST(a_console_read_sleeps_until_there_is_input)
{
    uint8_t got[8] = {0};

    ck_assert_uint_eq(open_name(":tt", 0), 1);
    ck_assert_uint_eq(call(9, 1, 0, 0, 0), 1);
    st->pc = CODE;
    st->x[0] = 7;
    step();
    ck_assert_uint_eq(st->pc, CODE);
    ck_assert_uint_eq(st->halted, HALTED_SEMIHOST);
    ck_assert_ptr_null(machine_impossible_part(m));
    type("abc", false);
    step();
    ck_assert_uint_eq(st->pc, CODE + 4);
    ck_assert_uint_eq(st->x[0], 'a');
    ck_assert_uint_eq(call(6, 1, DATA, 8, 0), 6);
    memory_read_bytes(&m->memory, DATA, got, 8);
    ck_assert_mem_eq(got, "bc", 2);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(the_end_of_the_input_is_told_once)
{
    ck_assert_uint_eq(open_name(":tt", 0), 1);
    type("", true);
    ck_assert_uint_eq(operation(7, 0), UINT64_MAX);
    type("", true);
    ck_assert_uint_eq(call(6, 1, DATA, 8, 0), 8);
    st->pc = CODE;
    st->x[0] = 7;
    step();
    ck_assert_uint_eq(st->pc, CODE);
}
END_TEST

START_TEST(input_is_taken_only_for_a_program_that_waits)
{
    struct device *dev = machine_find_device(m, "semihosting");

    ck_assert_uint_eq(dev->ops->input_room(dev), 0);
    st->pc = CODE;
    st->x[0] = 7;
    step();
    ck_assert_uint_gt(dev->ops->input_room(dev), 0);
}
END_TEST

START_TEST(an_interrupt_is_taken_while_a_read_waits)
{
    st->vbar[2] = CODE + 0x800;
    st->hcr_el2 |= 1u << 4; /* IMO */
    ck_assert_uint_eq(st->el, 2);
    st->pstate &= ~(uint32_t)PSTATE_I;
    st->pc = CODE;
    st->x[0] = 7;
    step();
    ck_assert_uint_eq(st->halted, HALTED_SEMIHOST);
    a64_set_line(m->cpus[0], 0, true);
    step();
    ck_assert_uint_eq(st->pc, CODE + 0x800 + 0x280);
    ck_assert_uint_eq(st->elr[2], CODE); /* to be made again */
}
END_TEST

START_TEST(exit_ends_the_guest_with_its_status)
{
    call(0x18, 0x20026, 7, 0, 0);
    ck_assert_uint_eq(m->st->end, GUEST_EXIT);
    ck_assert_uint_eq(m->st->end_status, 7);
    ck_assert_ptr_null(machine_impossible_part(m));
    machine_reset(m);
    ck_assert_uint_eq(m->st->end, GUEST_RUNS);
    st->pc = CODE;
    memory_write_bytes(&m->memory, CODE, (const uint32_t[]){HLT}, 4, true);
    call(0x20, 0x20023, 0, 0, 0);
    ck_assert_uint_eq(m->st->end_status, 1);
}
END_TEST

START_TEST(time_is_virtual_and_the_host_clock_recorded)
{
    uint64_t before;

    ck_assert_uint_eq(operation(0x31, 0), 1000000000);
    before = machine_now(m);
    ck_assert_uint_eq(operation(0x30, DATA), 0);
    ck_assert_uint_eq(word_at(DATA), before);
    m->st->warp += 70000000;
    ck_assert_uint_eq(operation(0x10, 0), 7);
    ck_assert_uint_eq(operation(0x11, 0), 1700000000);
}
END_TEST

START_TEST(heap_and_stack_are_where_nothing_was_loaded)
{
    uint64_t base, limit;

    ck_assert_uint_eq(call(0x16, DATA, 0, 0, 0), 0);
    base = word_at(DATA);
    limit = word_at(DATA + 8);
    ck_assert_uint_eq(word_at(DATA + 16), limit);
    ck_assert_uint_eq(word_at(DATA + 24), base);
    ck_assert_uint_lt(base, limit);
    ck_assert_uint_ge(base, VIRT_RAM_BASE);
    ck_assert_uint_le(limit, VIRT_RAM_BASE + ((uint64_t)128 << 20));
    ck_assert_uint_eq((base | limit) & 15, 0);
}
END_TEST

START_TEST(the_command_line_needs_room_for_its_end)
{
    char text[10] = {0};

    ck_assert_uint_eq(call(0x15, DATA, 8, 0, 0), UINT64_MAX);
    ck_assert_uint_eq(call(0x15, DATA, 9, 0, 0), 0);
    ck_assert_uint_eq(word_at(BLOCK + 8), 8);
    memory_read_bytes(&m->memory, DATA, text, 9);
    ck_assert_str_eq(text, "prog one");
}
END_TEST

START_TEST(output_goes_to_the_console)
{
    put_text(DATA, "string");
    operation(4, DATA);
    operation(3, DATA + 1);
    ck_assert_uint_eq(open_name(":tt", 4), 1);
    put_text(DATA, "bytes");
    ck_assert_uint_eq(call(5, 1, DATA, 5, 0), 0);
    ck_assert_uint_eq(sent.len, 12);
    ck_assert_mem_eq(sent.data, "stringtbytes", 12);
}
END_TEST

START_TEST(the_features_file_says_what_there_is)
{
    uint8_t got[6] = {0};

    ck_assert_uint_eq(open_name(":semihosting-features", 0), 1);
    ck_assert_uint_eq(call(0xc, 1, 0, 0, 0), 5);
    ck_assert_uint_eq(call(6, 1, DATA, 6, 0), 1);
    memory_read_bytes(&m->memory, DATA, got, 6);
    ck_assert_mem_eq(got, "SHFB\3", 5);
    ck_assert_uint_eq(call(0xa, 1, 4, 0, 0), 0);
    ck_assert_uint_eq(call(6, 1, DATA, 6, 0), 5);
    ck_assert_uint_eq(open_name(":semihosting-features", 4), UINT64_MAX);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(temporary_names_differ_by_number_only)
{
    char a[20] = {0}, b[20] = {0};

    ck_assert_uint_eq(call(0xd, DATA, 1, 16, 0), 0);
    memory_read_bytes(&m->memory, DATA, a, 16);
    ck_assert_uint_eq(call(0xd, DATA, 255, 16, 0), 0);
    memory_read_bytes(&m->memory, DATA, b, 16);
    ck_assert_str_ne(a, b);
    ck_assert_uint_eq(call(0xd, DATA, 1, 15, 0), UINT64_MAX);
    ck_assert_uint_eq(call(0xd, DATA, 256, 16, 0), UINT64_MAX);
}
END_TEST

/* One operation, with a word that is wrong: nothing but an error may come of it. */
START_TEST(addresses_that_lead_nowhere_are_errors)
{
    static const uint64_t nowhere[] = {0, 0x7fffffffffff, 0xffffffffffffffff, 0x08000000, VIRT_RAM_BASE + ((uint64_t)128 << 20) - 4,
                                       0xdead0000dead0000};

    ck_assert_uint_eq(open_name("n", 2), 1);
    for (uint64_t op = 0; op < 0x40; op++) {
        if (op == 0x18 || op == 0x20 || op == 7)
            continue;
        for (unsigned i = 0; i < ARRAY_LEN(nowhere); i++) {
            operation(op, nowhere[i]);
            call(op, nowhere[i], 1, nowhere[i], 1);
            call(op, 1, nowhere[i], nowhere[i], nowhere[i]);
            ck_assert_uint_eq(st->el, 2);
        }
        if (op == 2)
            ck_assert_uint_eq(open_name("n", 2), 1);
    }
}
END_TEST

START_TEST(at_el0_the_instruction_is_undefined)
{
    a64_enter_el((struct a64_cpu *)(void *)m->cpus[0], 0, CODE);
    st->vbar[1] = CODE + 0x800;
    st->x[0] = 4;
    step();
    ck_assert_uint_eq(st->el, 1);
    ck_assert_uint_eq(st->esr[1] >> 26, 0);
    ck_assert_uint_eq(st->elr[1], CODE);
}
END_TEST

START_TEST(without_the_option_there_is_no_such_device)
{
    machine_destroy(m);
    make(false);
    ck_assert_ptr_null(machine_find_device(m, "semihosting"));
    st->vbar[2] = CODE + 0x800;
    step();
    ck_assert_uint_eq(st->esr[2] >> 26, 0);
    ck_assert_uint_eq(st->elr[2], CODE);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("semihosting");
    TCase *tc = tcase_create("semihosting");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, modes_are_those_of_fopen);
    tcase_add_test(tc, handles_run_out_and_are_used_again);
    tcase_add_test(tc, positions_move_with_reads_and_writes_of_any_length);
    tcase_add_test(tc, errors_of_the_host_are_the_guests);
    tcase_add_test(tc, a_name_may_count_its_end_but_not_contain_one);
    tcase_add_test(tc, a_console_read_sleeps_until_there_is_input);
    tcase_add_test(tc, the_end_of_the_input_is_told_once);
    tcase_add_test(tc, input_is_taken_only_for_a_program_that_waits);
    tcase_add_test(tc, an_interrupt_is_taken_while_a_read_waits);
    tcase_add_test(tc, exit_ends_the_guest_with_its_status);
    tcase_add_test(tc, time_is_virtual_and_the_host_clock_recorded);
    tcase_add_test(tc, heap_and_stack_are_where_nothing_was_loaded);
    tcase_add_test(tc, the_command_line_needs_room_for_its_end);
    tcase_add_test(tc, output_goes_to_the_console);
    tcase_add_test(tc, the_features_file_says_what_there_is);
    tcase_add_test(tc, temporary_names_differ_by_number_only);
    tcase_add_test(tc, addresses_that_lead_nowhere_are_errors);
    tcase_add_test(tc, at_el0_the_instruction_is_undefined);
    tcase_add_test(tc, without_the_option_there_is_no_such_device);
    suite_add_tcase(suite, tc);
    return suite;
}
