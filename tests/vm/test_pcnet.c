/*
 * The Am79C970A: both widths of I/O, CSRs and BCRs as the data sheet has them, the PROM, initialization, rings of every style in both
 * directions, filters, interrupts, polling, the driver's own check sequences, loopback, suspension, reset.
 */
#include "tests/vm/nic_bench.h"

#include "vm/dev/pcnet.h"

#define INIT_AT 0x1000u
#define RX_AT   0x2000u
#define TX_AT   0x3000u
#define DATA_AT 0x20000u
#define BUF_AT  0x40000u

static bool dwio;
static unsigned style;

static void select_register(unsigned n)
{
    set(dwio ? 0x14 : 0x12, dwio ? 4 : 2, n);
}

static uint32_t csr(unsigned n)
{
    select_register(n);
    return get(0x10, dwio ? 4 : 2);
}

static void set_csr(unsigned n, unsigned value)
{
    select_register(n);
    set(0x10, dwio ? 4 : 2, value);
}

static uint32_t bcr(unsigned n)
{
    select_register(n);
    return get(dwio ? 0x1c : 0x16, dwio ? 4 : 2);
}

static void set_bcr(unsigned n, unsigned value)
{
    select_register(n);
    set(dwio ? 0x1c : 0x16, dwio ? 4 : 2, value);
}

static void new_card(void)
{
    dwio = false;
    nic_new(pcnet_plug, "pcnet");
}

static bool wide(void)
{
    return style != 0;
}

/* Rings of 1 << rx, 1 << tx descriptors by the initialization block. */
static void init(unsigned of_style, unsigned mode, unsigned rx, unsigned tx)
{
    uint8_t b[28] = {0};

    style = of_style;
    put_le16(b, (uint16_t)mode);
    if (wide()) {
        b[2] = (uint8_t)(rx << 4);
        b[3] = (uint8_t)(tx << 4);
        memcpy(b + 4, nic_ours, 6);
        put_le32(b + 20, RX_AT);
        put_le32(b + 24, TX_AT);
    } else {
        memcpy(b + 2, nic_ours, 6);
        put_le32(b + 16, RX_AT | rx << 29);
        put_le32(b + 20, TX_AT | tx << 29);
    }
    poke(INIT_AT, b, sizeof(b));
    set_csr(0, 4);
    set_bcr(20, style);
    set_csr(1, INIT_AT);
    set_csr(2, 0);
    set_csr(0, 1);
}

static paddr_t descriptor_at(paddr_t ring, unsigned n)
{
    return ring + n * (wide() ? 16 : 8);
}

static void descriptor(paddr_t ring, unsigned n, unsigned flags, unsigned count, uint32_t at)
{
    paddr_t d = descriptor_at(ring, n);

    if (!wide()) {
        poke32(d, at | flags << 16);
        poke32(d + 4, (0xf000u | (-count & 0xfffu)));
        return;
    }
    poke32(d + 4, flags << 16 | 0xf000u | (-count & 0xfffu));
    poke32(d + (style == 3 ? 8 : 0), at);
    poke32(d + (style == 3 ? 0 : 8), 0x12345678);
}

static unsigned flags_of(paddr_t ring, unsigned n)
{
    return wide() ? peek32(descriptor_at(ring, n) + 4) >> 16 : peek32(descriptor_at(ring, n)) >> 16 & 0xff00;
}

static uint32_t result_of(paddr_t ring, unsigned n)
{
    paddr_t d = descriptor_at(ring, n);

    return wide() ? peek32(d + (style == 3 ? 0 : 8)) : peek32(d + 4) >> 16;
}

START_TEST(registers_are_as_the_data_sheet_says_after_power_on)
{
    static const uint16_t csrs[][2] = {{0, 4}, {1, 0}, {2, 0}, {3, 0}, {4, 0x115}, {5, 0}, {6, 0}, {8, 0}, {12, 0x5452}, {13, 0x1200}, {14, 0x5634},
                                       {15, 0}, {58, 0x200}, {80, 0x1410}, {88, 0x1003}, {89, 0x262}, {100, 0x200}, {112, 0}};
    static const uint16_t bcrs[][2] = {{0, 5}, {1, 5}, {2, 2}, {3, 0}, {4, 0x80c0}, {5, 0x84}, {6, 0x88}, {7, 0x90}, {9, 0}, {16, 0}, {17, 0},
                                       {18, 0x9001}, {19, 2}, {20, 0x200}, {21, 0}, {22, 0xff06}, {31, 0}};
    unsigned sum = 0;

    new_card();
    ck_assert_uint_eq(pci_config_read(nic_function, 0, 4), 0x20001022);
    ck_assert_uint_eq(pci_config_read(nic_function, 6, 2), 0x0280);
    ck_assert_uint_eq(pci_config_read(nic_function, 0x2c, 4), 0);
    for (unsigned i = 0; i < ARRAY_LEN(csrs); i++)
        ck_assert_msg(csr(csrs[i][0]) == csrs[i][1], "CSR%u is %04x", csrs[i][0], csr(csrs[i][0]));
    for (unsigned i = 0; i < ARRAY_LEN(bcrs); i++)
        ck_assert_msg(bcr(bcrs[i][0]) == bcrs[i][1], "BCR%u is %04x", bcrs[i][0], bcr(bcrs[i][0]));
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_eq(get(i, 1), nic_ours[i]);
    ck_assert_uint_eq(get(14, 2), 0x5757);
    for (unsigned i = 0; i < 16; i++)
        sum += i == 12 || i == 13 ? 0 : get(i, 1);
    ck_assert_uint_eq(get(12, 2), sum);
    set(0, 1, 0x99);
    ck_assert_uint_eq(get(0, 1), 0x52);
    set_bcr(2, 0x100);
    set(0, 1, 0x99);
    ck_assert_uint_eq(get(0, 1), 0x99);
    ck_assert_uint_eq(get(0x12, 2), 2); /* RAP */
    ck_assert_uint_eq(memory_read(&m->memory, NIC_REGISTERS + 4, 2), 0x5634);
    pci_config_write(nic_function, 0x14, 4, ~0u);
    ck_assert_uint_eq(pci_config_read(nic_function, 0x14, 4), 0xffffffe0);
}
END_TEST

START_TEST(io_is_in_words_or_in_double_words)
{
    new_card();
    set(0x12, 2, 88);
    ck_assert_uint_eq(get(0x10, 1), 0xff);
    set(0x10, 4, 0);
    dwio = true;
    ck_assert_uint_eq(bcr(18), 0x9081);
    ck_assert_uint_eq(csr(88), 0x1003);
    ck_assert_uint_eq(get(0x12, 2), 0xffff);
    set_csr(8, 0x1234);
    ck_assert_uint_eq(csr(8), 0x1234);
    get(0x18, 4); /* a software reset does not change it */
    ck_assert_uint_eq(csr(8), 0);
    ck_assert_uint_eq(csr(0), 4);
    reset_all();
    dwio = false;
    pci_config_write(nic_function, 0x10, 4, NIC_PORTS);
    pci_config_write(nic_function, PCI_COMMAND, 2, 7);
    ck_assert_uint_eq(bcr(18), 0x9001);
}
END_TEST

START_TEST(registers_are_written_as_far_as_they_may_be)
{
    static const uint16_t csrs[][2] = {{1, 0xffff}, {2, 0xffff}, {3, 0x5f7c}, {6, 0}, {7, 0}, {8, 0xffff}, {15, 0xffff}, {16, 0xffff}, {24, 0xffff},
                                       {47, 0xffff}, {76, 0xffff}, {80, 0x3fff}, {88, 0x1003}, {89, 0x262}, {112, 0xffff}, {122, 1}, {127, 0}};

    new_card();
    for (unsigned i = 0; i < ARRAY_LEN(csrs); i++) {
        set_csr(csrs[i][0], 0xffff);
        ck_assert_msg(csr(csrs[i][0]) == csrs[i][1], "CSR%u is %04x", csrs[i][0], csr(csrs[i][0]));
    }
    set_csr(17, 0x0010);
    ck_assert_uint_eq(csr(2), 0x0010);
    for (unsigned n = 0; n < 5; n++) {
        set_bcr(20, n);
        ck_assert_uint_eq(bcr(20), n | (n == 1 ? 0x100 : n == 2 || n == 3 ? 0x300 : 0x200));
        ck_assert_uint_eq(csr(58), bcr(20));
    }
    set_bcr(22, 0x1234);
    ck_assert_uint_eq(bcr(22), 0x1234);
    set_bcr(0, 0);
    ck_assert_uint_eq(bcr(0), 5);
    /* While it runs, addresses cannot be changed, masks can. */
    init(2, 0, 2, 2);
    set_csr(0, 2);
    set_csr(24, 0x5555);
    set_csr(15, 0x8000);
    set_bcr(20, 0);
    set_csr(3, 0x0100);
    ck_assert_uint_eq(csr(24), RX_AT);
    ck_assert_uint_eq(csr(15), 0);
    ck_assert_uint_eq(bcr(20), 0x302);
    ck_assert_uint_eq(csr(3), 0x100);
    set_csr(5, 1); /* suspended */
    set_csr(15, 0x8000);
    ck_assert_uint_eq(csr(15), 0x8000);
}
END_TEST

START_TEST(the_initialization_block_sets_it_up)
{
    new_card();
    for (unsigned s = 0; s < 4; s++) {
        init(s, 0x80, 3, 5);
        ck_assert_uint_eq(csr(0), 0x181);
        ck_assert_uint_eq(csr(15), 0x80);
        ck_assert_uint_eq(csr(12), 0x5452);
        ck_assert_uint_eq(csr(24) | csr(25) << 16, RX_AT);
        ck_assert_uint_eq(csr(30) | csr(31) << 16, TX_AT);
        ck_assert_uint_eq(csr(76), 0xfff8);
        ck_assert_uint_eq(csr(78), 0xffe0);
        ck_assert_uint_eq(csr(72), 0xfff8);
        ck_assert_uint_eq(csr(6), 0x5300);
        ck_assert_uint_eq(csr(28), RX_AT & 0xffff);
    }
    init(2, 0, 15, 12);
    ck_assert_uint_eq(csr(76), 0xfe00); /* 512 at most */
    set_csr(0, 2);
    ck_assert_uint_eq(csr(0) & 0x3f, 0x33);
    init(2, 3, 2, 2);
    set_csr(0, 2);
    ck_assert_uint_eq(csr(0) & 0x3f, 0x03); /* neither receiver nor transmitter */
    set_csr(0, 4);
    ck_assert_uint_eq(csr(0), 4);
    get(0x14, 2);
    ck_assert_uint_eq(csr(76), 0);
    ck_assert_uint_eq(csr(12), 0x5452);
    ck_assert_uint_eq(csr(1), INIT_AT & 0xffff); /* a reset by software leaves it: who initializes finds the block again */
    set_csr(0, 1);
    ck_assert_uint_eq(csr(0) & 0x101, 0x101);
    ck_assert_uint_eq(csr(24), RX_AT & 0xffff);
}
END_TEST

START_TEST(causes_interrupt_as_far_as_they_are_enabled)
{
    new_card();
    init(2, 0, 2, 2);
    ck_assert(!probe[3].level);
    set_csr(0, 0x40);
    ck_assert_uint_eq(csr(0), 0x1c1);
    ck_assert(probe[3].level);
    set_csr(3, 0x100);
    ck_assert(!probe[3].level);
    ck_assert_uint_eq(csr(0), 0x141);
    set_csr(3, 0);
    set_csr(0, 0x140);
    ck_assert(!probe[3].level);
    ck_assert_uint_eq(csr(0), 0x41);
    set_csr(4, 0x80 | 0x115); /* the user's */
    ck_assert(probe[3].level);
    ck_assert_uint_eq(csr(4) & 0x40, 0x40);
    set_csr(4, 0x40 | 0x115);
    ck_assert(!probe[3].level);
    set_csr(0, 0x42);
    nic_arrives(nic_ours, 60);
    ck_assert_uint_eq(csr(0), 0x90f3); /* ERR, MISS */
    ck_assert_uint_eq(csr(112), 1);
    set_csr(0, 0x1040);
    ck_assert_uint_eq(csr(0), 0x73);
    ck_assert(!probe[3].level);
}
END_TEST

START_TEST(frames_are_sent_in_every_style)
{
    uint8_t frame[300];

    nic_frame(frame, nic_other, sizeof(frame));
    for (unsigned s = 0; s < 4; s++) {
        new_card();
        poke(DATA_AT, frame, sizeof(frame));
        init(s, 0, 1, 1);
        set_csr(0, 2);
        descriptor(TX_AT, 0, 0x8200, 100, DATA_AT);
        descriptor(TX_AT, 1, 0x0100, 150, DATA_AT + 100);
        set_csr(0, 8);
        ck_assert_uint_eq(sent.len, 0); /* its end is not there yet */
        descriptor(TX_AT, 1, 0x8100, 150, DATA_AT + 100);
        set_csr(0, 0x108);
        ck_assert(nic_sent(frame, 250));
        ck_assert_uint_eq(flags_of(TX_AT, 0), 0x0200);
        ck_assert_uint_eq(flags_of(TX_AT, 1), 0x0100);
        ck_assert_uint_eq(result_of(TX_AT, 1), 0);
        ck_assert_uint_eq(csr(0), 0x2b3);
        ck_assert_uint_eq(csr(4) & 8, 8); /* a transmission started */
        descriptor(TX_AT, 0, 0x8300, 20, DATA_AT);
        set_csr(0, 8);
        ck_assert_uint_eq(sent.len, 60);
        ck_assert_uint_eq(csr(74), 0xffff);
    }
}
END_TEST

START_TEST(the_ring_is_looked_at_without_being_asked)
{
    new_card();
    set_csr(47, 0xffff - 32999);
    init(2, 0, 2, 2);
    set_csr(0, 2);
    descriptor(TX_AT, 0, 0x8300, 64, DATA_AT);
    run_for(999000);
    ck_assert_uint_eq(sent.len, 0);
    run_for(2000);
    ck_assert_uint_eq(sent.len, 64);
    set_csr(4, 0x1115);
    descriptor(TX_AT, 1, 0x8300, 64, DATA_AT);
    run_for(100 * MS);
    ck_assert_uint_eq(sent.len, 64);
    set_csr(4, 0x0115);
    set_csr(5, 1);
    run_for(100 * MS);
    ck_assert_uint_eq(sent.len, 64);
    set_csr(5, 0);
    run_for(100 * MS);
    ck_assert_uint_eq(sent.len, 128);
    set_csr(0, 4);
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
}
END_TEST

START_TEST(successes_may_be_silent)
{
    new_card();
    init(2, 0, 2, 2);
    set_csr(5, 0xc000); /* TOKINTD, LTINTEN */
    set_csr(0, 0x102);
    descriptor(TX_AT, 0, 0x8300, 64, DATA_AT);
    set_csr(0, 8);
    ck_assert_uint_eq(csr(0) & 0x200, 0);
    descriptor(TX_AT, 1, 0x9300, 64, DATA_AT);
    set_csr(0, 8);
    ck_assert_uint_eq(csr(0) & 0x200, 0x200);
    ck_assert_uint_eq(sent.len, 128);
}
END_TEST

START_TEST(check_sequences_may_be_the_drivers)
{
    uint8_t frame[64];

    new_card();
    nic_frame(frame, nic_other, 60);
    put_le32(frame + 60, (uint32_t)crc32(0, frame, 60));
    poke(DATA_AT, frame, 64);
    init(2, 8, 2, 2);
    set_csr(0, 2);
    descriptor(TX_AT, 0, 0x8300, 64, DATA_AT);
    set_csr(0, 8);
    ck_assert(nic_sent(frame, 60));
    descriptor(TX_AT, 1, 0xa300, 64, DATA_AT); /* ADD_FCS */
    set_csr(0, 8);
    ck_assert(nic_sent(frame, 64));
    descriptor(TX_AT, 2, 0x8300, 63, DATA_AT); /* a wrong one */
    set_csr(0, 8);
    ck_assert_uint_eq(sent.len, 0);
    /* Loopback. */
    init(2, 0x8004, 2, 2);
    set_csr(0, 2);
    descriptor(TX_AT, 0, 0x8300, 60, DATA_AT);
    descriptor(RX_AT, 0, 0x8000, 1600, BUF_AT);
    set_csr(0, 8);
    ck_assert_uint_eq(sent.len, 0);
    ck_assert(nic_holds(BUF_AT, nic_other, 60));
    ck_assert_uint_eq(flags_of(RX_AT, 0) & 0x4f00, 0x0300);
    /* With the driver's own, a wrong one is told of: ERR, CRC. */
    init(2, 0x800c, 2, 2);
    set_csr(0, 2);
    for (unsigned i = 0; i < 2; i++) {
        frame[20] = (uint8_t)(frame[20] + i);
        poke(DATA_AT, frame, 64);
        descriptor(TX_AT, i, 0x8300, 64, DATA_AT);
        descriptor(RX_AT, i, 0x8000, 1600, BUF_AT);
        set_csr(0, 8);
        ck_assert_uint_eq(flags_of(RX_AT, i) & 0xff00, i ? 0x4b00 : 0x0300);
        ck_assert_uint_eq(result_of(RX_AT, i), 64);
    }
}
END_TEST

START_TEST(frames_are_received_in_every_style)
{
    for (unsigned s = 0; s < 4; s++) {
        new_card();
        init(s, 0, 2, 2);
        ck_assert_uint_eq(card->ops->input_room(card), 0);
        set_csr(0, 0x102);
        ck_assert_uint_eq(card->ops->input_room(card), 0);
        descriptor(RX_AT, 0, 0x8000, 1600, BUF_AT);
        descriptor(RX_AT, 1, 0x8000, 100, BUF_AT + 0x1000);
        descriptor(RX_AT, 2, 0x8000, 100, BUF_AT + 0x2000);
        descriptor(RX_AT, 3, 0x0000, 100, BUF_AT + 0x3000);
        ck_assert_uint_gt(card->ops->input_room(card), 1514);
        nic_arrives(nic_ours, 600);
        ck_assert_uint_eq(flags_of(RX_AT, 0), 0x0300 | (s ? 0x40 : 0));
        ck_assert_uint_eq(result_of(RX_AT, 0), 604);
        ck_assert(nic_holds(BUF_AT, nic_ours, 600));
        ck_assert_uint_eq(csr(0), 0x4b3);
        ck_assert_uint_eq(csr(72), 0xfffd);
        nic_arrives(nic_all, 150);
        ck_assert_uint_eq(flags_of(RX_AT, 1), 0x0200);
        ck_assert_uint_eq(flags_of(RX_AT, 2), 0x0100 | (s ? 0x10 : 0));
        ck_assert_uint_eq(result_of(RX_AT, 2), 154);
        ck_assert(nic_holds(BUF_AT + 0x1000, nic_all, 100));
        nic_arrives(nic_ours, 60);
        ck_assert_uint_eq(csr(0) & 0x1000, 0x1000);
        /* No room for the rest. */
        descriptor(RX_AT, 3, 0x8000, 100, BUF_AT + 0x3000);
        nic_arrives(nic_ours, 150);
        ck_assert_uint_eq(flags_of(RX_AT, 3), 0x5600);
    }
}
END_TEST

START_TEST(frames_by_length_are_stripped)
{
    uint8_t frame[60] = {0};

    new_card();
    init(2, 0, 2, 2);
    set_csr(4, 0x0515);
    set_csr(0, 2);
    descriptor(RX_AT, 0, 0x8000, 1600, BUF_AT);
    descriptor(RX_AT, 1, 0x8000, 1600, BUF_AT);
    memcpy(frame, nic_ours, 6);
    put_be16(frame + 12, 10);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(result_of(RX_AT, 0), 24);
    put_be16(frame + 12, 0x0800);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(result_of(RX_AT, 1), 64);
}
END_TEST

static bool taken(const uint8_t *to, unsigned mode, unsigned filter)
{
    init(2, mode, 2, 2);
    if (filter < 64) {
        uint8_t b[8] = {0};

        b[filter / 8] = (uint8_t)(1u << filter % 8);
        poke(INIT_AT + 12, b, 8);
        set_csr(0, 4);
        set_csr(0, 1);
    }
    set_csr(0, 2);
    descriptor(RX_AT, 0, 0x8000, 1600, BUF_AT);
    nic_arrives(to, 80);
    return !(flags_of(RX_AT, 0) & 0x8000);
}

START_TEST(what_comes_in_is_filtered)
{
    uint32_t crc = 0xffffffff;

    new_card();
    for (unsigned i = 0; i < 48; i++)
        crc = crc >> 1 ^ ((crc ^ nic_group[i / 8] >> i % 8) & 1 ? 0xedb88320 : 0);
    ck_assert(taken(nic_ours, 0, 64) && taken(nic_all, 0, 64) && !taken(nic_group, 0, 64) && !taken(nic_other, 0, 64));
    ck_assert(taken(nic_group, 0, crc >> 26) && !taken(nic_group, 0, (crc >> 26) ^ 1));
    ck_assert_uint_eq(flags_of(RX_AT, 0) & 0x8000, 0x8000);
    ck_assert(!taken(nic_all, 0x4000, 64) && !taken(nic_ours, 0x2000, 64));
    ck_assert(taken(nic_other, 0x8000, 64) && taken(nic_group, 0x8000, 64));
}
END_TEST

static void claims(TCase *tc)
{
    ADD(registers_are_as_the_data_sheet_says_after_power_on);
    ADD(io_is_in_words_or_in_double_words);
    ADD(registers_are_written_as_far_as_they_may_be);
    ADD(the_initialization_block_sets_it_up);
    ADD(causes_interrupt_as_far_as_they_are_enabled);
    ADD(frames_are_sent_in_every_style);
    ADD(the_ring_is_looked_at_without_being_asked);
    ADD(successes_may_be_silent);
    ADD(check_sequences_may_be_the_drivers);
    ADD(frames_are_received_in_every_style);
    ADD(frames_by_length_are_stripped);
    ADD(what_comes_in_is_filtered);
}

CHIP_TESTS("pcnet", claims)
