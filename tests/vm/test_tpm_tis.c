/*
 * A TPM's FIFO interface (vm/dev/tpm_tis.c), register by register, before a TPM that is made up here.
 */
#include "tests/vm/disk_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/tpm_tis.h"

#define BASE 0xfed40000u

static struct device *dut;

static struct line line_of(void *ctx, unsigned irq)
{
    (void)ctx;
    ck_assert_uint_eq(irq, 5);
    return probe_line(0);
}

static int plug_text(plug_fn *fn, const char *text, bool isa, struct error *e)
{
    struct sockets s = {.machine = m, .pci = &bench_bus, .isa_irq = isa ? line_of : NULL, .tpm_base = BASE};

    return bench_plug(&s, "dut", fn, text, NULL, e);
}

static void new_tpm(void)
{
    struct error e = {0};

    new_disk_bench();
    ck_assert_msg(plug_text(tpm_tis_plug, "x,tpmdev=t", true, &e) == 0, "%s", e.text);
    dut = machine_find_device(m, "dut");
    reset_all();
    buffer_clear(&sent);
}

static uint32_t get(unsigned l, unsigned at, unsigned size)
{
    return (uint32_t)memory_read(&m->memory, BASE + 0x1000 * l + at, size);
}

static void set(unsigned l, unsigned at, unsigned size, uint32_t value)
{
    memory_write(&m->memory, BASE + 0x1000 * l + at, size, value);
}

static uint32_t status(unsigned l)
{
    return get(l, 0x18, 4) & 0xff;
}

static uint32_t burst(unsigned l)
{
    return get(l, 0x18, 4) >> 8 & 0xffff;
}

static void use(unsigned l)
{
    set(l, 0, 1, 0x02);
    ck_assert_uint_eq(get(l, 0, 1), 0xa1);
    set(l, 0x18, 4, 0x40);
    ck_assert_uint_eq(status(l), 0xc0);
}

static const uint8_t command[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8};
static const uint8_t reply[20] = {0x80, 0x01, 0, 0, 0, 20, 0, 0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8};

static void write_command(unsigned l)
{
    for (unsigned i = 0; i < sizeof(command); i++)
        set(l, 0x24, 1, command[i]);
}

static void answer(uint32_t sequence, bool established, const void *bytes, uint32_t len)
{
    uint8_t message[TPM_INPUT_HEAD + TPM_BUFFER_BYTES + 3] = {0};

    tpm_input_head(message, sequence, established, len);
    memcpy(message + TPM_INPUT_HEAD, bytes, len);
    input(dut, message, TPM_INPUT_HEAD + len + 3); /* and what else comes with it */
}

/* What went out last is that. */
static struct tpm_output went_out(enum tpm_request what)
{
    struct tpm_output o = {0};

    ck_assert(tpm_parse(sent.data, sent.len, &o));
    ck_assert_uint_eq(o.request, what);
    return o;
}

static void execute(unsigned l)
{
    write_command(l);
    buffer_clear(&sent);
    set(l, 0x18, 4, 0x20);
}

START_TEST(identities_and_capabilities_are_those_of_a_tpm_2)
{
    new_tpm();
    for (unsigned l = 0; l < 5; l++) {
        ck_assert_uint_eq(get(l, 0, 1), 0x81);
        ck_assert_uint_eq(get(l, 0x08, 4), 0x08);
        ck_assert_uint_eq(get(l, 0x0c, 1), 5);
        ck_assert_uint_eq(get(l, 0x10, 4), 0);
        ck_assert_uint_eq(get(l, 0x14, 4), 0x30000697);
        ck_assert_uint_eq(get(l, 0x18, 4), 0xffffffff); /* it is not in use */
        ck_assert_uint_eq(get(l, 0x24, 4), 0xffffffff);
        ck_assert_uint_eq(get(l, 0x30, 4), 0x2100);
        ck_assert_uint_eq(get(l, 0xf00, 4), 0x00011014);
        ck_assert_uint_eq(get(l, 0xf00, 2), 0x1014);
        ck_assert_uint_eq(get(l, 0xf02, 2), 0x0001);
        ck_assert_uint_eq(get(l, 0xf04, 1), 1);
    }
    set(2, 0x30, 4, 1u << 19); /* the lock of the interface's choice */
    ck_assert_uint_eq(get(0, 0x30, 4), 0x82100);
    reset_all();
    ck_assert_uint_eq(get(0, 0x30, 4), 0x2100);
    ck_assert_uint_eq(memory_read(&m->memory, BASE + 0x5000, 4), 0xffffffff);
}
END_TEST

START_TEST(one_locality_is_in_use_at_a_time)
{
    new_tpm();
    set(1, 0, 1, 0x02);
    ck_assert_uint_eq(get(1, 0, 1), 0xa1);
    set(0, 0, 1, 0x02);
    set(3, 0, 1, 0x02);
    ck_assert_uint_eq(get(0, 0, 1), 0x87); /* it asks, and another one does */
    ck_assert_uint_eq(get(1, 0, 1), 0xa5);
    ck_assert_uint_eq(get(2, 0, 1), 0x85);
    set(1, 0, 1, 0x20);
    ck_assert_uint_eq(get(1, 0, 1), 0x85);
    ck_assert_uint_eq(get(3, 0, 1), 0xa5); /* the highest that asked */
    set(0, 0, 1, 0x20);
    ck_assert_uint_eq(get(3, 0, 1), 0xa1); /* the other one asks no more */
    set(3, 0, 1, 0x20);
    ck_assert_uint_eq(get(3, 0, 1), 0x81);
}
END_TEST

START_TEST(higher_localities_seize_it)
{
    new_tpm();
    use(1);
    execute(1);
    set(1, 0, 1, 0x08);
    set(0, 0, 1, 0x08);
    ck_assert_uint_eq(get(1, 0, 1), 0xa1);
    buffer_clear(&sent);
    set(2, 0, 1, 0x08);
    ck_assert_uint_eq(get(2, 0, 1), 0xa1);
    ck_assert_uint_eq(get(1, 0, 1), 0x91);
    ck_assert_uint_eq(went_out(TPM_CANCEL).locality, 1);
    answer(1, false, reply, sizeof(reply)); /* which is nobody's */
    ck_assert_uint_eq(status(2), 0x80);
    set(1, 0, 1, 0x10);
    ck_assert_uint_eq(get(1, 0, 1), 0x81);
}
END_TEST

START_TEST(a_command_is_received_executed_and_answered)
{
    struct tpm_output o;

    new_tpm();
    set(0, 0, 1, 0x02);
    ck_assert_uint_eq(get(0, 0x18, 4), 0x04000080); /* idle, of family 2.0 */
    set(0, 0x24, 1, 0x80);
    ck_assert_uint_eq(status(0), 0x80);
    use(0);
    ck_assert_uint_eq(burst(0), 4096);
    ck_assert_uint_eq(get(0, 0x19, 1), 0xff); /* no 0 for who reads bytes */
    for (unsigned i = 0; i < sizeof(command); i++) {
        set(0, 0x24, 1, command[i]);
        ck_assert_uint_eq(status(0), i + 1 < sizeof(command) ? 0x88 : 0x80);
        ck_assert_uint_eq(burst(0), 4095 - i);
        buffer_clear(&sent);
        if (i + 1 < sizeof(command))
            set(0, 0x18, 4, 0x20); /* too soon */
        ck_assert_uint_eq(sent.len, 0);
    }
    set(0, 0x24, 1, 0xff); /* one too many */
    set(0, 0x18, 4, 0x20);
    o = went_out(TPM_COMMAND);
    ck_assert_uint_eq(o.len, sizeof(command));
    ck_assert(!memcmp(o.bytes, command, sizeof(command)));
    ck_assert_uint_eq(o.sequence, 1);
    ck_assert(tpm_pending(dut, &o) && o.sequence == 1 && !memcmp(o.bytes, command, sizeof(command)));
    ck_assert_uint_eq(get(0, 0x18, 4), 0x04000080);
    ck_assert_uint_eq(get(0, 0x24, 1), 0xff);
    answer(7, false, reply, sizeof(reply)); /* not its number */
    ck_assert_uint_eq(status(0), 0x80);
    answer(1, false, reply, sizeof(reply));
    ck_assert(!tpm_pending(dut, &o));
    ck_assert_uint_eq(status(0), 0x90);
    ck_assert_uint_eq(burst(0), 20);
    ck_assert_uint_eq(get(0, 0x24, 4), 0x00000180);
    ck_assert_uint_eq(get(0, 0x80, 2), 0x1400); /* the FIFO of 64 bytes is the same */
    set(0, 0x18, 4, 0x02);
    for (unsigned i = 0; i < sizeof(reply); i++) {
        ck_assert_uint_eq(status(0), 0x90);
        ck_assert_uint_eq(get(0, 0x24 + i % 4, 1), reply[i]);
    }
    ck_assert_uint_eq(status(0), 0x80);
    ck_assert_uint_eq(burst(0), 0);
    ck_assert_uint_eq(get(0, 0x24, 1), 0xff);
    set(0, 0x18, 4, 0x40);
    ck_assert_uint_eq(status(0), 0xc0);
}
END_TEST

START_TEST(command_ready_ends_what_is_going_on)
{
    new_tpm();
    use(0);
    set(0, 0x24, 1, 0x80);
    set(0, 0x18, 4, 0x40);
    ck_assert_uint_eq(status(0), 0xc0);
    execute(0);
    ck_assert_uint_eq(went_out(TPM_COMMAND).sequence, 1);
    buffer_clear(&sent);
    set(0, 0x18, 4, 0x40);
    ck_assert_uint_eq(went_out(TPM_CANCEL).sequence, 1);
    ck_assert_uint_eq(status(0), 0xc0);
    execute(0);
    answer(1, false, reply, sizeof(reply)); /* that of the first one */
    ck_assert_uint_eq(status(0), 0x80);
    answer(2, false, reply, sizeof(reply));
    ck_assert_uint_eq(status(0), 0x90);
}
END_TEST

START_TEST(a_command_may_be_cancelled)
{
    new_tpm();
    use(0);
    execute(0);
    buffer_clear(&sent);
    set(0, 0x1b, 1, 0x01);
    ck_assert_uint_eq(went_out(TPM_CANCEL).sequence, 1);
    ck_assert_uint_eq(status(0), 0x80); /* its answer comes all the same */
    answer(1, false, reply, 10);
    ck_assert_uint_eq(burst(0), 10);
    buffer_clear(&sent);
    set(0, 0x1b, 1, 0x01);
    ck_assert_uint_eq(sent.len, 0);
}
END_TEST

START_TEST(interrupts_are_raised_and_cleared)
{
    new_tpm();
    set(0, 0x08, 4, 0x80000087); /* not in use */
    ck_assert_uint_eq(get(0, 0x08, 4), 0x08);
    set(0, 0, 1, 0x02);
    set(0, 0x08, 4, 0x87);
    set(0, 0x18, 4, 0x40);
    ck_assert(!probe[0].level && !get(0, 0x10, 4));
    set(0, 0x08, 4, 0xffffffff);
    ck_assert_uint_eq(get(0, 0x08, 4), 0x8000009f);
    set(0, 0x0b, 1, 0x80); /* a byte of it */
    ck_assert_uint_eq(get(0, 0x08, 4), 0x8000009f);
    write_command(0);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(get(0, 0x10, 4), 0x02);
    set(0, 0x10, 4, 0x02);
    ck_assert(!probe[0].level);
    set(0, 0x18, 4, 0x20);
    answer(1, false, reply, sizeof(reply));
    ck_assert_uint_eq(get(0, 0x10, 4), 0x03);
    set(0, 0x10, 4, 0x01);
    ck_assert(probe[0].level);
    set(0, 0x10, 4, 0xff);
    ck_assert(!probe[0].level);
    for (unsigned i = 0; i < sizeof(reply); i++)
        get(0, 0x24, 1);
    ck_assert_uint_eq(get(0, 0x10, 4), 0x02);
    set(0, 0x18, 4, 0x40);
    ck_assert_uint_eq(get(0, 0x10, 4), 0x82);
    set(0, 0x10, 4, 0xff);
    set(1, 0, 1, 0x02);
    set(0, 0, 1, 0x20);
    ck_assert(!probe[0].level); /* locality 1 has enabled none */
    set(0, 0, 1, 0x02);
    set(1, 0, 1, 0x20);
    ck_assert_uint_eq(get(0, 0x10, 4), 0x04);
    reset_all();
    ck_assert(!probe[0].level);
}
END_TEST

START_TEST(establishment_is_the_tpms_to_say)
{
    new_tpm();
    answer(0, true, "", 0);
    ck_assert_uint_eq(get(3, 0, 1), 0x80);
    set(3, 0, 1, 0x02);
    buffer_clear(&sent);
    set(3, 0x1b, 1, 0x02);
    ck_assert_uint_eq(went_out(TPM_RESET_ESTABLISHED).locality, 3);
    answer(0, false, "", 0);
    ck_assert_uint_eq(get(3, 0, 1), 0xa1);
    set(3, 0, 1, 0x20);
    set(0, 0, 1, 0x02);
    buffer_clear(&sent);
    set(0, 0x1b, 1, 0x02); /* not locality 0's to do */
    ck_assert_uint_eq(sent.len, 0);
    reset_all();
    went_out(TPM_RESET);
}
END_TEST

START_TEST(commands_and_answers_of_any_length_fit)
{
    static uint8_t most[TPM_BUFFER_BYTES];

    new_tpm();
    for (unsigned n = 0; n < 3; n++) {
        const uint32_t len[] = {0, 5000, UINT32_MAX};
        uint8_t head[10] = {0x80, 0x01};

        use(0);
        put_be32(head + 2, len[n]);
        for (unsigned i = 0; i < 5000; i++)
            set(0, 0x24, 1, i < 10 ? head[i] : i);
        buffer_clear(&sent);
        set(0, 0x18, 4, 0x20);
        ck_assert_uint_eq(went_out(TPM_COMMAND).len, n ? 4096 : 10);
        answer(n + 1, false, most, sizeof(most));
        ck_assert_uint_eq(burst(0), 4096);
        set(0, 0, 1, 0x20);
        ck_assert(dut->ops->possible(dut));
    }
    input(dut, "", 0); /* what is none */
    input(dut, most, 11);
    memset(most, 0xff, sizeof(most));
    input(dut, most, sizeof(most));
    ck_assert(dut->ops->possible(dut));
}
END_TEST

/* Whatever a guest does, the state is one that there can be, and the same each time. */
START_TEST(accesses_at_random_do_no_harm)
{
    uint64_t hash[2];

    for (unsigned round = 0; round < 2; round++) {
        uint32_t seed = 12345;

        new_tpm();
        for (unsigned i = 0; i < 40000; i++) {
            static const uint16_t at[] = {0, 0, 8, 0x10, 0x18, 0x18, 0x24, 0x24, 0x24, 0x24, 0x80, 0xbf, 0x30, 0xffe};
            struct tpm_output o;
            uint32_t x = seed = seed * 1664525u + 1013904223u;
            unsigned l = x >> 28 & 7u, where = at[(x >> 8 & 0xffu) % ARRAY_LEN(at)] + (x >> 20 & 3u);

            if (x >> 16 & 1u)
                set(l, where, 1u << (x >> 24 & 3u), x >> 18 & 4u ? 1u << (x >> 10 & 7u) : x >> 3);
            else
                get(l, where, 1u << (x >> 24 & 3u));
            if (tpm_pending(dut, &o) && !(x & 0x30000000u))
                answer(o.sequence, x & 1u, command, x >> 4 & 15u);
            ck_assert(dut->ops->possible(dut));
        }
        hash[round] = machine_hash(m);
    }
    ck_assert_uint_eq(hash[0], hash[1]);
}
END_TEST

START_TEST(it_goes_where_there_is_a_place_for_it)
{
    struct error e = {0};

    new_disk_bench();
    ck_assert_int_lt(plug_text(tpm_tis_plug, "x,tpmdev=t", false, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "tpm-tis-device"));
    ck_assert_int_lt(plug_text(tpm_tis_device_plug, "x,tpmdev=t", true, &e), 0);
    ck_assert_int_eq(plug_text(tpm_tis_device_plug, "x,tpmdev=t", false, &e), 0);
    ck_assert_uint_eq(get(0, 0x0c, 1), 0);
    new_disk_bench();
    ck_assert_int_lt(plug_text(tpm_tis_plug, "x", true, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "tpmdev=ID"));
    new_tpm();
    {
        struct sockets s = {.machine = m, .pci = &bench_bus, .isa_irq = line_of, .tpm_base = BASE};

        ck_assert_int_lt(bench_plug(&s, "another", tpm_tis_plug, "x,tpmdev=u", NULL, &e), 0);
        ck_assert_ptr_nonnull(strstr(e.text, "one TPM"));
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(identities_and_capabilities_are_those_of_a_tpm_2);
    ADD(one_locality_is_in_use_at_a_time);
    ADD(higher_localities_seize_it);
    ADD(a_command_is_received_executed_and_answered);
    ADD(command_ready_ends_what_is_going_on);
    ADD(a_command_may_be_cancelled);
    ADD(interrupts_are_raised_and_cleared);
    ADD(establishment_is_the_tpms_to_say);
    ADD(commands_and_answers_of_any_length_fit);
    ADD(accesses_at_random_do_no_harm);
    ADD(it_goes_where_there_is_a_place_for_it);
}

CHIP_TESTS("TPM by FIFO", claims)
