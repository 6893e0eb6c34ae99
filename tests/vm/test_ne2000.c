/*
 * NE2000 cards: each register of the DP8390D in each page, remote DMA in words and bytes, the PROM, the ring and its boundary, filters,
 * transmission, loopback, overflow, both buses, and accesses at random.
 */
#include "tests/vm/nic_bench.h"

#include "vm/dev/ne2000.h"

#define START 0x46u /* pages of the ring */
#define STOP  0x80u
#define ISA_PORTS 0x300u

enum { CR, PSTART, PSTOP, BNRY, TPSR, TSR = 4, TBCR0, NCR = 5, TBCR1, ISR, RSAR0, RSAR1, RBCR0, RBCR1, RCR, RSR = 12, TCR, DCR, IMR, CNTR2 = 15,
       DATA, RESET = 0x18 };

static void page(unsigned n)
{
    set(CR, 1, (get(CR, 1) & 0x3b) | n << 6);
}

static unsigned in_page(unsigned n, unsigned reg)
{
    unsigned value;

    page(n);
    value = get(reg, 1);
    page(0);
    return value;
}

static void out_page(unsigned n, unsigned reg, unsigned value)
{
    page(n);
    set(reg, 1, value);
    page(0);
}

static void remote(unsigned command, unsigned at, unsigned count)
{
    set(RBCR0, 1, count & 255);
    set(RBCR1, 1, count >> 8);
    set(RSAR0, 1, at & 255);
    set(RSAR1, 1, at >> 8);
    set(CR, 1, command | 2);
}

static void store_card(unsigned at, const uint8_t *bytes, unsigned len)
{
    remote(0x10, at, len);
    for (unsigned i = 0; i < len; i += 2)
        set(DATA, 2, get_le16(bytes + i));
}

static void load_card(unsigned at, uint8_t *bytes, unsigned len)
{
    remote(0x08, at, len);
    for (unsigned i = 0; i < len; i += 2)
        put_le16(bytes + i, get(DATA, 2));
}

/* As a driver leaves it. */
static void start(unsigned rcr)
{
    set(CR, 1, 0x21);
    set(DCR, 1, 0x49);
    set(RBCR0, 1, 0);
    set(RBCR1, 1, 0);
    set(RCR, 1, rcr);
    set(TCR, 1, 0);
    set(PSTART, 1, START);
    set(PSTOP, 1, STOP);
    set(BNRY, 1, START);
    set(ISR, 1, 0xff);
    page(1);
    for (unsigned i = 0; i < 6; i++)
        set(1 + i, 1, nic_ours[i]);
    set(7, 1, START + 1);
    page(0);
    set(CR, 1, 0x22);
}

START_TEST(registers_are_as_the_data_sheet_says)
{
    nic_new(ne2k_pci_plug, "ne2k_pci");
    ck_assert_uint_eq(pci_config_read(nic_function, 0, 4), 0x802910ec);
    ck_assert_uint_eq(get(CR, 1), 0x21);
    ck_assert_uint_eq(get(ISR, 1), 0x80);
    ck_assert_uint_eq(get(10, 2), 0x4350); /* RTL8029 */
    ck_assert_uint_eq(in_page(2, DCR), 0x84);
    ck_assert_uint_eq(in_page(2, TCR), 0xe0);
    ck_assert_uint_eq(in_page(2, RCR), 0xc0);
    ck_assert_uint_eq(in_page(2, IMR), 0x80);
    for (unsigned reg = 1; reg < 16; reg++)
        if (reg != ISR)
            set(reg, 1, 0xf0 + reg);
    ck_assert_uint_eq(get(BNRY, 1), 0xf3);
    ck_assert_uint_eq(get(8, 2), 0xf9f8); /* CRDA follows RSAR */
    ck_assert_uint_eq(in_page(2, PSTART), 0xf1);
    ck_assert_uint_eq(in_page(2, PSTOP), 0xf2);
    ck_assert_uint_eq(in_page(2, TPSR), 0xf4);
    ck_assert_uint_eq(in_page(2, RCR), 0xfc);
    ck_assert_uint_eq(in_page(2, TCR), 0xfd);
    ck_assert_uint_eq(in_page(2, DCR), 0xfe);
    ck_assert_uint_eq(in_page(2, IMR), 0xff);
    for (unsigned reg = 1; reg < 16; reg++)
        out_page(1, reg, 0x30 + reg);
    for (unsigned reg = 1; reg < 16; reg++)
        ck_assert_uint_eq(in_page(1, reg), 0x30 + reg);
    ck_assert_uint_eq(in_page(2, 5), 0x38); /* the page after CURR */
    out_page(2, 3, 0x55);
    ck_assert_uint_eq(in_page(2, 3), 0x55);
    out_page(2, 1, 0x12);
    out_page(2, 6, 0x34);
    ck_assert_uint_eq(get(1, 2), 0x3412);
    /* Page 3: configuration, behind its lock. */
    ck_assert_uint_eq(in_page(3, 14) << 8 | in_page(3, 15), 0x2980);
    out_page(3, 6, 0x10);
    ck_assert_uint_eq(in_page(3, 6), 0x40);
    out_page(3, 1, 0xc0);
    out_page(3, 6, 0x10);
    out_page(3, 5, 0xff);
    ck_assert_uint_eq(in_page(3, 6) << 8 | in_page(3, 5), 0x10f0);
    /* The reset port leaves what has no reset value. */
    get(RESET, 1);
    ck_assert_uint_eq(get(CR, 1), 0x21);
    ck_assert_uint_eq(get(ISR, 1), 0x80);
    ck_assert_uint_eq(in_page(2, IMR), 0x80);
    ck_assert_uint_eq(in_page(1, 1), 0x31);
    ck_assert_uint_eq(get(NCR, 2), 0);
}
END_TEST

START_TEST(the_state_of_reset_ends_with_a_start)
{
    nic_new(ne2k_pci_plug, "ne2k_pci");
    set(ISR, 1, 0xff);
    ck_assert_uint_eq(get(ISR, 1), 0x80);
    set(CR, 1, 0x22);
    ck_assert_uint_eq(get(ISR, 1), 0);
    set(CR, 1, 0x21);
    ck_assert_uint_eq(get(ISR, 1), 0x80);
    set(IMR, 1, 0xff);
    ck_assert(!probe[3].level); /* it is a state */
}
END_TEST

START_TEST(remote_dma_moves_words_and_bytes)
{
    uint8_t bytes[40];

    nic_new(ne2k_pci_plug, "ne2k_pci");
    start(4);
    load_card(0, bytes, 32);
    for (unsigned i = 0; i < 6; i++)
        ck_assert(bytes[2 * i] == nic_ours[i] && bytes[2 * i + 1] == nic_ours[i]);
    ck_assert_uint_eq(get_le32(bytes + 28), 0x57575757);
    ck_assert_uint_eq(get(ISR, 1), 0x40);
    ck_assert_uint_eq(get(8, 2), 32);
    set(ISR, 1, 0x40);
    for (unsigned i = 0; i < 40; i++)
        bytes[i] = (uint8_t)(i + 1);
    store_card(0x4000, bytes, 40);
    ck_assert_uint_eq(get(ISR, 1), 0x40);
    set(DATA, 2, 0xffff); /* no more is taken */
    ck_assert_uint_eq(get(DATA, 2), 0xffff);
    remote(0x08, 0x4000, 8);
    ck_assert_uint_eq(get(DATA, 4), 0x04030201);
    ck_assert_uint_eq(get(DATA, 1), 5); /* of a word, the lower half */
    ck_assert_uint_eq(get(DATA, 2), 0x0807);
    ck_assert_uint_eq(get(DATA, 2), 0xffff);
    /* An odd count ends with a whole word. */
    remote(0x08, 0x4000, 3);
    ck_assert_uint_eq(get(DATA, 2) << 16 | get(DATA, 2), 0x02010403);
    ck_assert_uint_eq(get(DATA, 2), 0xffff);
    /* In bytes, a wide access is several. */
    set(DCR, 1, 0x48);
    remote(0x08, 0x4001, 3);
    ck_assert_uint_eq(get(DATA, 2), 0x0302);
    ck_assert_uint_eq(get(DATA, 1), 4);
    remote(0x10, 0x4001, 2);
    set(DATA, 2, 0xbbaa);
    remote(0x08, 0x4000, 4);
    ck_assert_uint_eq(get(DATA, 4), 0x04bbaa01);
    /* The other order; not the wrong direction, not after an abort. */
    set(DCR, 1, 0x4b);
    remote(0x08, 0x4004, 4);
    ck_assert_uint_eq(get(DATA, 2), 0x0506);
    set(DATA, 2, 0x7777);
    set(CR, 1, 0x22);
    ck_assert_uint_eq(get(DATA, 2), 0xffff);
    set(DCR, 1, 0x49);
    load_card(0x4006, bytes, 2);
    ck_assert_uint_eq(get_le16(bytes), 0x0807);
    /* At the end of the ring it goes on at its start; there is no memory elsewhere. */
    store_card(START << 8, bytes, 2);
    remote(0x08, (STOP << 8) - 2, 4);
    get(DATA, 2);
    ck_assert_uint_eq(get(DATA, 2), 0x0807);
    load_card(0x3ffe, bytes, 4);
    ck_assert_uint_eq(get_le16(bytes), 0xffff);
    /* Nothing to be moved is done at once. */
    set(ISR, 1, 0xff);
    remote(0x08, 0, 0);
    ck_assert_uint_eq(get(ISR, 1), 0x40);
}
END_TEST

START_TEST(what_is_in_memory_is_sent)
{
    uint8_t frame[100];

    nic_new(ne2k_pci_plug, "ne2k_pci");
    start(4);
    nic_frame(frame, nic_other, sizeof(frame));
    store_card(0x4000, frame, 100);
    set(ISR, 1, 0xff);
    set(IMR, 1, 2);
    set(TPSR, 1, 0x40);
    set(TBCR0, 1, 100);
    set(TBCR1, 1, 0);
    set(CR, 1, 0x26);
    ck_assert(nic_sent(frame, 100));
    ck_assert_uint_eq(get(CR, 1), 0x22);
    ck_assert_uint_eq(get(TSR, 1), 1);
    ck_assert_uint_eq(get(ISR, 1), 2);
    ck_assert(probe[3].level);
    set(ISR, 1, 2);
    ck_assert(!probe[3].level);
    ck_assert_uint_eq(get(1, 2), 0x4064);
    /* A short one; the driver's own check sequence, wrong and right. */
    set(TBCR0, 1, 20);
    set(CR, 1, 0x26);
    ck_assert_uint_eq(sent.len, 60);
    buffer_clear(&sent);
    set(TCR, 1, 1);
    set(TBCR0, 1, 64);
    set(CR, 1, 0x26);
    ck_assert_uint_eq(sent.len, 0);
    put_le32(frame + 60, (uint32_t)crc32(0, frame, 60));
    store_card(0x4000, frame, 64);
    set(CR, 1, 0x26);
    ck_assert(nic_sent(frame, 60));
    /* Loopback: nothing comes out, or in. */
    for (unsigned mode = 1; mode < 4; mode++) {
        static const uint8_t tsr[] = {0, 0x53, 0x43, 0x03};

        set(TCR, 1, mode << 1);
        set(ISR, 1, 0xff);
        set(CR, 1, 0x26);
        ck_assert_uint_eq(sent.len, 0);
        ck_assert_uint_eq(get(ISR, 1), 2);
        ck_assert_uint_eq(get(TSR, 1), tsr[mode]);
        ck_assert_uint_eq(get(RSR, 1), 2);
        ck_assert_uint_eq(card->ops->input_room(card), 0);
    }
    set(TCR, 1, 0);
    set(CR, 1, 0x25); /* stopped */
    ck_assert_uint_eq(sent.len, 0);
}
END_TEST

START_TEST(frames_come_into_the_ring)
{
    uint8_t bytes[700], frame[600];

    nic_new(ne2k_pci_plug, "ne2k_pci");
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    start(4);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
    nic_frame(frame, nic_ours, sizeof(frame));
    nic_arrives(nic_ours, 600);
    ck_assert_uint_eq(get(ISR, 1), 1);
    ck_assert_uint_eq(get(RSR, 1), 1);
    load_card((START + 1) << 8, bytes, 608);
    ck_assert_uint_eq(get_le32(bytes), 0x01 | (START + 4) << 8 | 604 << 16);
    ck_assert_int_eq(memcmp(bytes + 4, frame, 600), 0);
    ck_assert_uint_eq(get_le32(bytes + 604), (uint32_t)crc32(0, frame, 600));
    ck_assert_uint_eq(in_page(1, 7), START + 4);
    /* The check sequence takes its place: with it, 257 bytes are two pages. */
    nic_arrives(nic_all, 249);
    load_card((START + 4) << 8, bytes, 4);
    ck_assert_uint_eq(get_le32(bytes), 0x21 | (START + 6) << 8 | 253 << 16);
    nic_arrives(nic_all, 248);
    ck_assert_uint_eq(in_page(1, 7), START + 7);
    nic_arrives(nic_all, 20);
    load_card((START + 7) << 8, bytes, 4);
    ck_assert_uint_eq(get_le16(bytes + 2), 64);
    /* The packet that is next, by RD_SEND. */
    set(BNRY, 1, START + 4);
    set(CR, 1, 0x1a);
    ck_assert_uint_eq(get(DATA, 2), 0x21 | (START + 6) << 8);
    ck_assert_uint_eq(get(DATA, 2), 253);
    for (unsigned i = 4; i < 252; i += 2)
        get(DATA, 2);
    ck_assert_uint_eq(get(BNRY, 1), START + 4);
    get(DATA, 2);
    ck_assert_uint_eq(get(BNRY, 1), START + 6);
}
END_TEST

START_TEST(a_frame_waits_until_the_driver_is_done_with_the_one_before)
{
    nic_new(ne2k_pci_plug, "ne2k_pci");
    start(4);
    set(ISR, 1, 0xff);
    set(IMR, 1, 0x3f);
    nic_arrives(nic_ours, 60);
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    set(BNRY, 1, in_page(1, 7) - 1); /* read, but it goes on looking */
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    set(ISR, 1, 1);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
    /* Said to be done with, unread. */
    nic_arrives(nic_ours, 60);
    set(ISR, 1, 1);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
    /* Without interrupts. */
    set(IMR, 1, 0);
    nic_arrives(nic_ours, 60);
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    for (unsigned ahead = 0; ahead < 2; ahead++) {
        set(BNRY, 1, in_page(1, 7) - ahead);
        ck_assert_uint_gt(card->ops->input_room(card), 1514);
    }
}
END_TEST

START_TEST(a_frame_goes_around_the_end_of_the_ring)
{
    uint8_t bytes[600], frame[500];

    nic_new(ne2k_pci_plug, "ne2k_pci");
    start(4);
    out_page(1, 7, STOP - 1);
    set(BNRY, 1, STOP - 2);
    nic_frame(frame, nic_ours, sizeof(frame));
    nic_arrives(nic_ours, 500);
    ck_assert_uint_eq(in_page(1, 7), START + 1);
    load_card((STOP - 1) << 8, bytes, 504); /* so does the remote DMA */
    ck_assert_uint_eq(get_le16(bytes), 1 | (START + 1) << 8);
    ck_assert_int_eq(memcmp(bytes + 4, frame, 500), 0);
}
END_TEST

START_TEST(a_full_ring_overflows)
{
    unsigned n = 0, bnry;

    nic_new(ne2k_pci_plug, "ne2k_pci");
    start(4);
    while (card->ops->input_room(card)) {
        nic_arrives(nic_ours, 1000);
        ck_assert_uint_eq(get(ISR, 1), 1);
        set(ISR, 1, 1);
        n++;
    }
    ck_assert_uint_eq(n, 13); /* of 4 pages each: 5 are left before the boundary */
    nic_arrives(nic_ours, 1514);
    ck_assert_uint_eq(get(ISR, 1), 0x90);
    ck_assert_uint_eq(get(RSR, 1), 0x10);
    ck_assert_uint_eq(get(CNTR2, 1), 1);
    ck_assert_uint_eq(get(CNTR2, 1), 0);
    nic_arrives(nic_ours, 1000); /* that one fits */
    bnry = get(BNRY, 1);
    ck_assert_uint_eq(in_page(1, 7), bnry - 1 + (bnry == START ? STOP - START : 0));
    nic_arrives(nic_ours, 60); /* CURR may not become the boundary */
    ck_assert_uint_eq(in_page(1, 7), bnry - 1 + (bnry == START ? STOP - START : 0));
    set(BNRY, 1, START + 8);
    ck_assert_uint_eq(get(ISR, 1), 0x11);
    set(ISR, 1, 0x11);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
    /* The counter interrupts when it is half full, and stays at its end. */
    set(RCR, 1, 0x24);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
    for (unsigned i = 0; i < 126; i++)
        nic_arrives(nic_ours, 60);
    ck_assert_uint_eq(get(ISR, 1) & 0x20, 0);
    ck_assert_uint_eq(get(RSR, 1) & 0x40, 0x40);
    nic_arrives(nic_ours, 60);
    ck_assert_uint_eq(get(ISR, 1) & 0x20, 0x20);
    for (unsigned i = 0; i < 300; i++)
        nic_arrives(nic_ours, 60);
    ck_assert_uint_eq(get(CNTR2, 1), 192);
}
END_TEST

static bool taken(const uint8_t *to)
{
    unsigned before = in_page(1, 7), now;

    nic_arrives(to, 80);
    now = in_page(1, 7);
    set(BNRY, 1, now == START ? STOP - 1 : now - 1);
    return now != before;
}

START_TEST(what_comes_in_is_filtered)
{
    nic_new(ne2k_pci_plug, "ne2k_pci");
    start(0);
    ck_assert(taken(nic_ours) && !taken(nic_all) && !taken(nic_group) && !taken(nic_other));
    set(RCR, 1, 4);
    ck_assert(taken(nic_all) && !taken(nic_group));
    set(RCR, 1, 0x10);
    ck_assert(taken(nic_other) && !taken(nic_group) && !taken(nic_all));
    set(RCR, 1, 8);
    ck_assert(!taken(nic_group));
    for (unsigned i = 8; i < 16; i++)
        out_page(1, i, 0);
    out_page(1, 8 + nic_hash(nic_group, false) / 8, 1u << nic_hash(nic_group, false) % 8);
    ck_assert(taken(nic_group) && !taken(nic_all));
    out_page(1, 1, 0xfe);
    ck_assert(!taken(nic_ours));
}
END_TEST

START_TEST(the_isa_card_is_at_its_ports)
{
    nic_new(ne2k_isa_plug, "ne2k_isa");
    ck_assert_uint_eq(ports_read(&bench_ports, ISA_PORTS, 1), 0x21);
    ports_write(&bench_ports, ISA_PORTS + DCR, 1, 0x49);
    ports_write(&bench_ports, ISA_PORTS + RBCR0, 1, 32);
    ports_write(&bench_ports, ISA_PORTS + CR, 1, 0x0a);
    ck_assert_uint_eq(ports_read(&bench_ports, ISA_PORTS + DATA, 2), 0x5252);
    ck_assert_uint_eq(ports_read(&bench_ports, ISA_PORTS + DATA, 2), 0x5454);
    ports_write(&bench_ports, ISA_PORTS + IMR, 1, 0x40);
    ck_assert(!probe[3].level);
    for (unsigned i = 0; i < 14; i++)
        ports_read(&bench_ports, ISA_PORTS + DATA, 2);
    ck_assert(probe[3].level);
    ports_write(&bench_ports, ISA_PORTS + CR, 1, 0xe1);
    ck_assert_uint_eq(ports_read(&bench_ports, ISA_PORTS + 14, 1), 0xff); /* no RTL8029AS */
    nic_new(ne2k_isa_plug, "ne2k_isa,iobase=0x340,irq=5");
    ck_assert_uint_eq(ports_read(&bench_ports, 0x340, 1), 0x21);
}
END_TEST

static uint64_t random_guest(uint64_t seed)
{
    uint64_t r = seed * 0x9e3779b97f4a7c15u + 1;

    nic_new(ne2k_pci_plug, "ne2k_pci");
    machine_lay_out(m);
    start(0x1c);
    for (unsigned n = 0; n < 20000; n++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        if ((r >> 60) == 0)
            nic_arrives(nic_all, 14 + (r >> 33) % 1600);
        else if (r >> 63)
            set((r >> 50) % 0x20, 1u << (r >> 48) % 3, (uint32_t)(r >> 16));
        else
            get((r >> 50) % 0x20, 1u << (r >> 48) % 3);
    }
    return machine_hash(m);
}

START_TEST(accesses_at_random_end_and_do_the_same_each_time)
{
    for (unsigned seed = 0; seed < 8; seed++)
        ck_assert_uint_eq(random_guest(seed), random_guest(seed));
}
END_TEST

static void claims(TCase *tc)
{
    ADD(registers_are_as_the_data_sheet_says);
    ADD(the_state_of_reset_ends_with_a_start);
    ADD(remote_dma_moves_words_and_bytes);
    ADD(what_is_in_memory_is_sent);
    ADD(frames_come_into_the_ring);
    ADD(a_frame_waits_until_the_driver_is_done_with_the_one_before);
    ADD(a_frame_goes_around_the_end_of_the_ring);
    ADD(a_full_ring_overflows);
    ADD(what_comes_in_is_filtered);
    ADD(the_isa_card_is_at_its_ports);
    ADD(accesses_at_random_end_and_do_the_same_each_time);
}

CHIP_TESTS("ne2000", claims)
