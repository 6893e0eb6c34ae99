/*
 * A TPM's command response buffer (vm/dev/tpm_crb.c), register by register, before a TPM that is made up here.
 */
#include "tests/vm/disk_bench.h"

#include "base/option_list.h"
#include "vm/dev/tpm_crb.h"
#include "vm/dev/tpm_ppi.h"

#define BASE 0xfed40000u

static struct device *dut;

static struct line line_of(void *ctx, unsigned irq)
{
    (void)ctx, (void)irq;
    return (struct line){0};
}

static void new_tpm(void)
{
    struct sockets s = {.pci = &bench_bus, .isa_irq = line_of, .tpm_base = BASE};
    struct error e = {0};

    new_disk_bench();
    s.machine = m;
    ck_assert_msg(bench_plug(&s, "dut", tpm_crb_plug, "x,tpmdev=t", NULL, &e) == 0, "%s", e.text);
    dut = machine_find_device(m, "dut");
    reset_all();
    buffer_clear(&sent);
}

static uint32_t get(unsigned at)
{
    return (uint32_t)memory_read(&m->memory, BASE + at, 4);
}

static void set(unsigned at, uint32_t value)
{
    memory_write(&m->memory, BASE + at, 4, value);
}

static void answer(uint32_t sequence, bool established, const void *bytes, uint32_t len)
{
    uint8_t message[TPM_INPUT_HEAD + TPM_BUFFER_BYTES] = {0};

    tpm_input_head(message, sequence, established, len);
    memcpy(message + TPM_INPUT_HEAD, bytes, len);
    input(dut, message, TPM_INPUT_HEAD + len);
}

static struct tpm_output went_out(enum tpm_request what)
{
    struct tpm_output o = {0};

    ck_assert(tpm_parse(sent.data, sent.len, &o));
    ck_assert_uint_eq(o.request, what);
    return o;
}

/* A command of 12 bytes lies in the buffer. */
static void make_ready(void)
{
    set(0x08, 1);
    set(0x40, 1);
    set(0x80, 0x00000180);
    set(0x84, 0x00000c00);
    set(0x88, 0x08007b01);
    buffer_clear(&sent);
}

START_TEST(its_registers_say_what_it_is)
{
    new_tpm();
    ck_assert_uint_eq(get(0x00), 0x81);
    ck_assert_uint_eq(get(0x0c), 0);
    ck_assert_uint_eq(get(0x30), 0x00025811);
    ck_assert_uint_eq(get(0x34), 0x1014);
    ck_assert_uint_eq(memory_read(&m->memory, BASE + 0x30, 8), 0x101400025811u);
    ck_assert_uint_eq(get(0x44), 2);
    ck_assert_uint_eq(get(0x58), 0xf80);
    ck_assert_uint_eq(get(0x5c), BASE + 0x80);
    ck_assert_uint_eq(get(0x60), 0);
    ck_assert_uint_eq(get(0x64), 0xf80);
    ck_assert_uint_eq(memory_read(&m->memory, BASE + 0x68, 8), BASE + 0x80);
    ck_assert_uint_eq(memory_read(&m->memory, BASE + 0x1000, 4), 0xffffffff);
    ck_assert_uint_eq(tpm_buffer_bytes(dut), 0xf80);
}
END_TEST

START_TEST(a_command_lies_in_the_buffer_and_so_does_its_answer)
{
    static const uint8_t reply[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0, 0, 1, 2};
    struct tpm_output o;

    new_tpm();
    set(0x80, 0x12345678); /* nobody has it in use */
    ck_assert_uint_eq(get(0x80), 0);
    set(0x4c, 1);
    ck_assert_uint_eq(sent.len, 0);
    set(0x08, 1);
    ck_assert_uint_eq(get(0x00), 0x83);
    ck_assert_uint_eq(get(0x0c), 1);
    set(0x4c, 1); /* it is idle */
    ck_assert_uint_eq(sent.len, 0);
    make_ready();
    ck_assert_uint_eq(get(0x40), 0);
    ck_assert_uint_eq(get(0x44), 0);
    set(0x4c, 1);
    ck_assert_uint_eq(get(0x4c), 1);
    o = went_out(TPM_COMMAND);
    ck_assert_uint_eq(o.len, 12);
    ck_assert(!memcmp(o.bytes, "\x80\x01\0\0\0\x0c\0\0\x01\x7b\0\x08", 12));
    ck_assert(tpm_pending(dut, &o) && o.sequence == 1);
    set(0x80, 0); /* not now */
    set(0x40, 2);
    ck_assert_uint_eq(get(0x44), 0);
    ck_assert_uint_eq(get(0x80), 0x00000180);
    answer(9, false, reply, 12);
    ck_assert_uint_eq(get(0x4c), 1);
    answer(1, false, reply, 12);
    ck_assert_uint_eq(get(0x4c), 0);
    ck_assert_uint_eq(get(0x88), 0x02010000);
    set(0x40, 2);
    ck_assert_uint_eq(get(0x44), 2);
    set(0x08, 2);
    ck_assert_uint_eq(get(0x00), 0x81);
}
END_TEST

START_TEST(a_command_is_cancelled_or_lost)
{
    new_tpm();
    make_ready();
    set(0x4c, 1);
    buffer_clear(&sent);
    set(0x48, 1);
    ck_assert_uint_eq(went_out(TPM_CANCEL).sequence, 1);
    ck_assert_uint_eq(get(0x48), 1);
    ck_assert_uint_eq(get(0x4c), 1); /* its answer comes */
    answer(1, false, "0123456789", 10);
    ck_assert_uint_eq(get(0x4c), 0);
    make_ready();
    set(0x4c, 1);
    ck_assert_uint_eq(get(0x48), 0);
    buffer_clear(&sent);
    set(0x08, 2);
    ck_assert_uint_eq(went_out(TPM_CANCEL).sequence, 2);
    ck_assert_uint_eq(get(0x4c), 0);
    answer(2, true, "0123456789", 10); /* nobody's */
    ck_assert_uint_eq(get(0x00), 0x80);
    buffer_clear(&sent);
    set(0x08, 8);
    went_out(TPM_RESET_ESTABLISHED);
}
END_TEST

START_TEST(accesses_at_random_do_no_harm)
{
    static uint8_t most[TPM_BUFFER_BYTES];
    uint64_t hash[2];

    for (unsigned round = 0; round < 2; round++) {
        uint32_t seed = 815;

        new_tpm();
        for (unsigned i = 0; i < 40000; i++) {
            uint32_t x = seed = seed * 1664525u + 1013904223u;
            unsigned at = x >> 30 ? (x >> 8) % 0x90u : 0xff0 + (x >> 8) % 16u;
            struct tpm_output o;

            if (x >> 27 & 1u)
                memory_write(&m->memory, BASE + at, 1u << (x >> 24 & 3u), x >> 26 & 1u ? 1 : x);
            else
                memory_read(&m->memory, BASE + at, 1u << (x >> 24 & 3u));
            if (tpm_pending(dut, &o) && x >> 29 == 0)
                answer(o.sequence, x >> 9 & 1u, most, x >> 10 & 1u ? sizeof(most) : 10);
            ck_assert(dut->ops->possible(dut));
        }
        hash[round] = machine_hash(m);
    }
    ck_assert_uint_eq(hash[0], hash[1]);
}
END_TEST

/* The physical presence interface keeps over a reset what it holds, and if it says so, RAM does not. */
START_TEST(memory_is_overwritten_if_somebody_asked_for_it)
{
    const paddr_t base = 0x10045000u;

    new_tpm();
    tpm_ppi_add(m, base);
    memory_write(&m->memory, base + TPM_PPI_REQUEST, 4, 0x12345678);
    ck_assert_uint_eq(memory_read(&m->memory, base + TPM_PPI_BYTES - 4, 4), 0);
    poke32(0x5000, 0xdeadbeef);
    reset_all();
    ck_assert_uint_eq(peek32(0x5000), 0xdeadbeef);
    memory_write(&m->memory, base + TPM_PPI_OVERWRITE, 1, 1);
    reset_all();
    ck_assert_uint_eq(peek32(0x5000), 0);
    ck_assert_uint_eq(memory_read(&m->memory, base + TPM_PPI_REQUEST, 4), 0x12345678);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(its_registers_say_what_it_is);
    ADD(a_command_lies_in_the_buffer_and_so_does_its_answer);
    ADD(a_command_is_cancelled_or_lost);
    ADD(accesses_at_random_do_no_harm);
    ADD(memory_is_overwritten_if_somebody_asked_for_it);
}

CHIP_TESTS("TPM by CRB", claims)
