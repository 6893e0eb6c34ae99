/*
 * The 82540EM: EEPROM and PHY, frames out by descriptors of each kind, frames in, filters, interrupts, statistics, reset.
 */
#include "tests/vm/e1000_bench.h"

#include <zlib.h>

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/e1000.h"

#define TX_RING   0x1000u
#define RX_RING   0x2000u
#define DATA_AT   0x20000u
#define BUFFER_AT 0x40000u

enum { CTRL = 0, STATUS = 8, EECD = 0x10, EERD = 0x14, MDIC = 0x20, VET = 0x38, ICR = 0xc0, ICS = 0xc8, IMS = 0xd0, IMC = 0xd8,
       RCTL = 0x100, TCTL = 0x400, RDBAL = 0x2800, TDBAL = 0x3800, RXCSUM = 0x5000, MTA = 0x5200, RA = 0x5400, VFTA = 0x5600 };

static const uint8_t ours[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};

static struct device *card;
static struct pci_function *f;
static unsigned tail;

static void new_card(void)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", "e1000,netdev=n0", "driver", NULL, &e), 0);
    ck_assert_int_eq(e1000_plug(&s, "net", PCI_DEVFN(3, 0), NULL, &props, &e), 0);
    option_list_finish(&props);
    card = machine_find_device(m, "net");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, 4, REGISTERS);
    pci_config_write(f, 0x14, 4, 0xc000);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    set_ring(TDBAL, TX_RING);
    set_ring(RDBAL, RX_RING);
    set(TCTL, 0xa);
    tail = 0;
    buffer_clear(&sent);
}

START_TEST(the_eeprom_is_read_both_ways)
{
    unsigned sum = 0, word = 0;

    new_card();
    for (unsigned n = 0; n < 64; n++) {
        set(EERD, n << 8 | 1);
        ck_assert_uint_eq(get(EERD) & 0x10, 0x10);
        sum += get(EERD) >> 16;
    }
    ck_assert_uint_eq(sum & 0xffff, 0xbaba);
    set(EERD, 1);
    ck_assert_uint_eq(get(EERD) >> 16, get_le16(ours));
    /* Bit by bit: start, read, address 2; then its 16 bits. */
    set(EECD, 0x40);
    ck_assert_uint_eq(get(EECD) & 0x180, 0x180);
    set(EECD, 0x42);
    for (unsigned i = 9; i-- > 0;) {
        unsigned di = 0x182u >> i & 1 ? 4 : 0;

        set(EECD, 0x42 | di);
        set(EECD, 0x43 | di);
        set(EECD, 0x42 | di);
    }
    for (unsigned i = 0; i < 16; i++) {
        set(EECD, 0x43);
        word = word << 1 | (get(EECD) >> 3 & 1);
        set(EECD, 0x42);
    }
    ck_assert_uint_eq(word, get_le16(ours + 4));
}
END_TEST

START_TEST(the_phy_is_behind_mdic)
{
    new_card();
    set(MDIC, 2u << 26 | 1u << 21 | 2u << 16);
    ck_assert_uint_eq(get(MDIC) & 0xf000ffffu, 0x10000141u);
    set(MDIC, 2u << 26 | 2u << 21 | 2u << 16);
    ck_assert_uint_eq(get(MDIC) >> 30 & 1, 1); /* there is no PHY 2 */
    set(MDIC, 1u << 26 | 1u << 21 | 4u << 16 | 0x1234);
    set(MDIC, 2u << 26 | 1u << 21 | 4u << 16);
    ck_assert_uint_eq(get(MDIC) & 0xffff, 0x1234);
    set(MDIC, 1u << 26 | 1u << 21 | 1u << 16 | 0x1234); /* status cannot be written */
    set(MDIC, 2u << 26 | 1u << 21 | 1u << 16);
    ck_assert_uint_eq(get(MDIC) & 0x24, 0x24); /* link, negotiated */
    set(IMS, 1u << 9);
    set(MDIC, 2u << 26 | 1u << 21 | 1u << 29);
    ck_assert_uint_eq(get(ICR) >> 9 & 1, 1);
}
END_TEST

START_TEST(causes_interrupt_as_far_as_they_are_enabled)
{
    new_card();
    set(ICS, 0x80);
    ck_assert(!probe[3].level);
    set(IMS, 0x84);
    ck_assert_uint_eq(get(IMS), 0x84);
    ck_assert(probe[3].level);
    set(IMC, 0x80);
    ck_assert(!probe[3].level);
    set(IMS, 0x80);
    ck_assert_uint_eq(get(ICR), 0x80);
    ck_assert(!probe[3].level && !get(ICR));
    set(CTRL, 0x40); /* the link comes up */
    ck_assert_uint_eq(get(STATUS) & 0x83, 0x83);
    ck_assert(probe[3].level);
    set(ICR, 4);
    ck_assert(!probe[3].level);
    set(CTRL, 1u << 26);
    ck_assert_uint_eq(get(IMS) | get(TCTL), 0);
    ck_assert_uint_eq(get(RA + 4), 0x80005634u);
}
END_TEST

static void tx(uint64_t at, uint32_t command, uint32_t options)
{
    poke64(TX_RING + 16 * tail, at);
    poke32(TX_RING + 16 * tail + 8, command);
    poke32(TX_RING + 16 * tail + 12, options);
    tail = (tail + 1) % ENTRIES;
}

static void context(uint32_t ip, uint32_t tcp, uint32_t command, uint32_t last)
{
    tx((uint64_t)tcp << 32 | ip, command, last);
}

START_TEST(legacy_descriptors_send)
{
    uint8_t frame[100];

    new_card();
    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i + 1);
    poke(DATA_AT, frame, sizeof(frame));
    tx(DATA_AT, 40, 0);
    set(TDBAL + 0x18, tail);
    ck_assert_uint_eq(sent.len, 0); /* its end is not there yet */
    tx(DATA_AT + 40, 60 | 9u << 24, 0);
    set(TDBAL + 0x18, tail);
    ck_assert_uint_eq(sent.len, 100);
    ck_assert_int_eq(memcmp(sent.data, frame, 100), 0);
    ck_assert_uint_eq(memory_read(&m->memory, TX_RING + 16 + 12, 4), 1);
    ck_assert_uint_eq(memory_read(&m->memory, TX_RING + 12, 4), 0);
    ck_assert_uint_eq(get(TDBAL + 0x10), 2);
    ck_assert_uint_eq(get(ICR) & 3, 3);
    /* A short one is filled up; a checksum is inserted. */
    buffer_clear(&sent);
    tx(DATA_AT, 20 | 0xdu << 24 | 16u << 16, 14u << 8);
    set(TDBAL + 0x18, tail);
    ck_assert_uint_eq(sent.len, 60);
    ck_assert_uint_eq(get_be16(sent.data + 16), (uint16_t)~(0x0f10 + 0x1112 + 0x1314));
    ck_assert_uint_eq(get(0x4080), 2); /* GPTC, gone when it was read */
    ck_assert_uint_eq(get(0x4080), 0);
    ck_assert_uint_eq(get(0x4090), 104 + 64);
}
END_TEST

START_TEST(a_ring_around_nothing_sends_nothing)
{
    new_card();
    set(TDBAL + 8, 0);
    set(TDBAL + 0x18, 3);
    set(TDBAL + 8, ENTRIES * 16);
    set(TDBAL + 0x10, 200);
    set(TDBAL + 0x18, 3);
    set(RDBAL + 0x18, 900);
    set(RCTL, 2);
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    ck_assert_uint_eq(sent.len, 0);
}
END_TEST

/* Ethernet, IPv4, TCP with 10 bytes of options; then data. */
#define HEADERS 64u

static void make_tcp(uint8_t *frame, size_t len)
{
    memset(frame, 0, HEADERS);
    memcpy(frame, all, 6);
    put_be16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put_be16(frame + 18, 7);
    put_be32(frame + 38, 1000);
    frame[46] = 0x70;
    frame[47] = 0x19; /* FIN, PSH, ACK */
    put_be16(frame + 50, 0x1234);
    for (size_t i = HEADERS; i < len; i++)
        frame[i] = (uint8_t)i;
}

static uint16_t sum_of(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2)
        sum += (uint32_t)bytes[i] << 8 | (i + 1 < len ? bytes[i + 1] : 0u);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

START_TEST(a_segmentation_makes_whole_frames)
{
    uint8_t frame[HEADERS + 250];

    new_card();
    make_tcp(frame, sizeof(frame));
    poke(DATA_AT, frame, sizeof(frame));
    context(14 | 24u << 8 | 33u << 16, 34 | 50u << 8, 250 | 0x27u << 24, HEADERS << 8 | 100u << 16);
    tx(DATA_AT, 1u << 20 | 0x24u << 24 | HEADERS, 3u << 8);
    tx(DATA_AT + HEADERS, 1u << 20 | 0x2du << 24 | 250, 0);
    set(TDBAL + 0x18, tail);
    ck_assert_uint_eq(sent.len, 3 * HEADERS + 250);
    for (unsigned n = 0; n < 3; n++) {
        const uint8_t *s = sent.data + n * (HEADERS + 100);
        size_t len = n < 2 ? HEADERS + 100 : HEADERS + 50;

        ck_assert_uint_eq(get_be16(s + 16), len - 14);
        ck_assert_uint_eq(get_be16(s + 18), 7 + n);
        ck_assert_uint_eq(get_be32(s + 38), 1000 + 100 * n);
        ck_assert_uint_eq(s[47], n < 2 ? 0x10 : 0x19);
        ck_assert_int_eq(memcmp(s + HEADERS, frame + HEADERS + 100 * n, len - HEADERS), 0);
        ck_assert_uint_eq(sum_of(s + 14, 20), 0xffff);
        /* The sum with the pseudo header's, which the driver put there but for the length. */
        ck_assert_uint_eq((sum_of(s + 34, len - 34) + 0xffffu - 0 + 0) % 0xffff,
                          (0xffffu + 0xffffu - 0x1234 - (uint32_t)(len - 34)) % 0xffff);
    }
}
END_TEST

static void give_buffers(unsigned n)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        poke64(RX_RING + 16 * i, BUFFER_AT + 0x1000 * i);
        poke64(RX_RING + 16 * i + 8, 0);
    }
    set(RDBAL + 0x18, n);
}

static void arrives(const uint8_t *to, unsigned type, unsigned tag, size_t len)
{
    uint8_t frame[2000];

    for (size_t i = 0; i < len; i++)
        frame[i] = (uint8_t)(i * 3);
    memcpy(frame, to, 6);
    put_be16(frame + 12, (uint16_t)type);
    put_be16(frame + 14, (uint16_t)tag);
    input(card, frame, len);
}

static bool taken(const uint8_t *to, unsigned type, unsigned tag)
{
    unsigned before = get(RDBAL + 0x10);

    set(RDBAL + 0x18, (before + ENTRIES - 1) % ENTRIES);
    arrives(to, type, tag, 80);
    return get(RDBAL + 0x10) != before;
}

START_TEST(frames_come_in_by_descriptors)
{
    uint8_t bytes[64];

    new_card();
    give_buffers(4);
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    set(RCTL, 2 | 1u << 15);
    ck_assert_uint_ge(card->ops->input_room(card), 1518);
    arrives(ours, 0x0800, 0, 40);
    ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 8, 2), 64); /* filled up, with the check sequence */
    ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 12, 1), 7);
    memory_read_bytes(&m->memory, BUFFER_AT, bytes, 64);
    ck_assert_uint_eq(get_le32(bytes + 60), (uint32_t)crc32(0, bytes, 60));
    ck_assert_uint_eq(get(ICR) & 0x80, 0x80);
    /* Smaller buffers: one frame in several; the check sequence stripped. */
    set(RCTL, 2 | 1u << 15 | 3u << 16 | 1u << 26);
    arrives(ours, 0x0800, 0, 600);
    ck_assert_uint_eq(get(RDBAL + 0x10), 4);
    ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 16 + 12, 1), 1);
    ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 48 + 8, 2), 600 - 512);
    ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 48 + 12, 1) & 3, 3);
    /* The ring is empty: nobody asks for more, and what comes all the same is lost and counted. */
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    get(ICR);
    arrives(ours, 0x0800, 0, 60);
    ck_assert_uint_eq(get(ICR) & 0x40, 0x40);
    ck_assert_uint_eq(get(0x4010), 1);
    ck_assert_uint_eq(get(0x4074), 2);
}
END_TEST

/* Status and errors of what came last. */
static unsigned told(const uint8_t *frame, size_t len)
{
    unsigned before = get(RDBAL + 0x10);

    set(RDBAL + 0x18, (before + ENTRIES - 1) % ENTRIES);
    input(card, frame, len);
    ck_assert_uint_ne(get(RDBAL + 0x10), before);
    return (unsigned)memory_read(&m->memory, RX_RING + 16 * before + 12, 2);
}

START_TEST(checksums_of_what_comes_in_are_looked_at)
{
    uint8_t frame[201];

    new_card();
    give_buffers(7);
    set(RCTL, 2 | 1u << 15);
    datagram(frame, 6, sizeof(frame));
    ck_assert_uint_eq(told(frame, sizeof(frame)), 0x07); /* IXSM: nobody asked for it */
    set(RXCSUM, 0x300);
    ck_assert_uint_eq(told(frame, sizeof(frame)), 0x63);
    set(RXCSUM, 0x100);
    ck_assert_uint_eq(told(frame, sizeof(frame)), 0x43);
    set(RXCSUM, 0x200);
    ck_assert_uint_eq(told(frame, sizeof(frame)), 0x23);
    set(RXCSUM, 0x300);
    frame[200] ^= 1; /* the data, the header */
    ck_assert_uint_eq(told(frame, sizeof(frame)), 0x2063);
    frame[200] ^= 1;
    frame[19] ^= 1;
    ck_assert_uint_eq(told(frame, sizeof(frame)), 0x4063);
    datagram(frame, 17, 200);
    ck_assert_uint_eq(told(frame, 200), 0x63);
    put_be16(frame + 40, 0); /* UDP without one */
    ck_assert_uint_eq(told(frame, 200), 0x43);
    datagram(frame, 1, 200);
    ck_assert_uint_eq(told(frame, 200), 0x43);
    datagram(frame, 6, 200);
    put_be16(frame + 20, 0x2000); /* a fragment */
    ck_assert_uint_eq(told(frame, 200), 0x4043);
    put_be16(frame + 12, 0x0806);
    ck_assert_uint_eq(told(frame, 200), 0x07);
    /* The packet checksum, from any byte to the last. */
    set(RCTL, 2 | 1u << 15 | 1u << 26);
    for (unsigned start = 0; start < 64; start++) {
        unsigned at = get(RDBAL + 0x10);

        set(RXCSUM, start);
        told(frame, 200 - start % 3);
        ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 16 * at + 10, 2), sum_of(frame + start, 200 - start % 3 - start));
    }
}
END_TEST

START_TEST(what_comes_in_is_filtered)
{
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 9}, group[6] = {1, 0, 0x5e, 0, 0, 0xfb};
    unsigned hash = (0xfbu << 8) >> 4 & 0xfff;

    new_card();
    give_buffers(7);
    set(RCTL, 2);
    ck_assert(taken(ours, 0x0800, 0));
    ck_assert(!taken(other, 0x0800, 0) && !taken(group, 0x0800, 0) && !taken(all, 0x0800, 0));
    set(RCTL, 2 | 1u << 15);
    ck_assert(taken(all, 0x0800, 0));
    set(MTA + 4 * (hash >> 5), 1u << (hash & 31));
    ck_assert(taken(group, 0x0800, 0));
    set(MTA + 4 * (hash >> 5), 0);
    set(RCTL, 2 | 1u << 4);
    ck_assert(taken(group, 0x0800, 0) && !taken(other, 0x0800, 0));
    set(RCTL, 2 | 1u << 3);
    ck_assert(taken(other, 0x0800, 0) && !taken(group, 0x0800, 0));
    set(RCTL, 2);
    set(RA + 8, get_le32(other));
    set(RA + 12, 0x80000000u | get_le16(other + 4));
    ck_assert(taken(other, 0x0800, 0));
    set(VET, 0x8100);
    set(RCTL, 2 | 1u << 18);
    ck_assert(!taken(ours, 0x8100, 0x2005) && taken(ours, 0x0800, 0));
    set(VFTA, 1u << 5);
    ck_assert(taken(ours, 0x8100, 0x2005));
    /* The tag goes to the descriptor. */
    set(CTRL, 1u << 30);
    hash = get(RDBAL + 0x10);
    ck_assert(taken(ours, 0x8100, 0x2005));
    ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 16 * hash + 8, 2), 80);
    ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 16 * hash + 12, 1) & 8, 8);
    ck_assert_uint_eq(memory_read(&m->memory, RX_RING + 16 * hash + 14, 2), 0x2005);
}
END_TEST

START_TEST(registers_are_reached_by_ports_too)
{
    new_card();
    ports_write(&bench_ports, 0xc000, 4, RA + 4);
    ck_assert_uint_eq(ports_read(&bench_ports, 0xc000, 4), RA + 4);
    ck_assert_uint_eq(ports_read(&bench_ports, 0xc004, 4), 0x80005634u);
    ports_write(&bench_ports, 0xc000, 4, VET);
    ports_write(&bench_ports, 0xc004, 4, 0x88a8);
    ck_assert_uint_eq(get(VET), 0x88a8);
    ports_write(&bench_ports, 0xc000, 4, 0xfffffff0u);
    ports_write(&bench_ports, 0xc004, 4, 1);
    ck_assert_uint_eq(ports_read(&bench_ports, 0xc004, 4), 0);
}
END_TEST

/* ---- delays and intervals of interrupts ---- */

static void receive_one(bool immediately)
{
    unsigned delay = get(RDTR);

    if (immediately)
        set(RDTR, 0);
    ck_assert(taken(ours, 0x0800, 0));
    set(RDTR, delay);
}

static void send_one(bool immediately)
{
    unsigned n = get(TDBAL + 0x10);

    poke64(TX_RING + 16 * n, DATA_AT);
    poke32(TX_RING + 16 * n + 8, (immediately ? 0x09000000 : 0x89000000) | 60);
    poke32(TX_RING + 16 * n + 12, 0);
    set(TDBAL + 0x18, (n + 1) % ENTRIES);
    ck_assert_uint_eq(peek32(TX_RING + 16 * n + 12) & 1, 1); /* the descriptor is done at once */
    set(ICR, 2);
}

static void new_receiver(void)
{
    new_card();
    give_buffers(7);
    set(RCTL, 2 | 1u << 15);
}

START_TEST(itr_is_the_least_time_between_interrupts)
{
    new_receiver();
    expect_delay_register(BENCH_ITR);
    expect_moderation(card);
}
END_TEST

START_TEST(rdtr_and_radv_delay_what_came)
{
    new_card();
    expect_delay_register(RDTR);
    expect_delay_register(RADV);
    new_receiver();
    expect_delays(card, RDTR, RADV, receive_one, 0x80);
    new_receiver(); /* what is no frame that came waits for none */
    set(RDTR, 100);
    set(IMS, 0x40);
    set(RDBAL + 0x18, get(RDBAL + 0x10));
    arrives(ours, 0x0800, 0, 80);
    acknowledge(0x40);
}
END_TEST

START_TEST(tidv_and_tadv_delay_what_was_sent)
{
    new_card();
    expect_delay_register(TIDV);
    expect_delay_register(TADV);
    new_card();
    expect_delays(card, TIDV, TADV, send_one, 1);
    new_card(); /* only of descriptors that ask for both, report and delay */
    set(TIDV, 10);
    set(IMS, 1);
    tx(DATA_AT, 0x81000000 | 60, 0);
    set(TDBAL + 0x18, tail);
    expect_quiet(card);
    tx(DATA_AT, 0x09000000 | 60, 0);
    set(TDBAL + 0x18, tail);
    ck_assert(probe[3].level);
}
END_TEST

START_TEST(a_restored_state_interrupts_at_the_same_time)
{
    expect_delays_restored(&card, new_receiver, receive_one, send_one);
}
END_TEST

START_TEST(a_state_without_timers_becomes_one_with_them)
{
    const uint32_t len = 1960;
    uint8_t old[1960];

    new_card();
    set(IMS, 0x84);
    set(ICS, 0x04);
    memcpy(old, card->state, len);
    memset(old + len - 7, 0, 7); /* INTA was not in it */
    new_card();
    ck_assert(!card->ops->upgrade(card, 0, old, len - 1) && !card->ops->upgrade(card, 1, old, len));
    ck_assert(card->ops->upgrade(card, 0, old, len));
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
    ck_assert_uint_eq(get(IMS), 0x84);
    set(BENCH_ITR, 10);
    get(ICR);
    set(ICS, 4); /* the first interval */
    acknowledge(4);
}
END_TEST

/* Nothing is sent for so many times 512 ns, or until another one says 0. */
START_TEST(a_pause_holds_back_what_is_to_be_sent)
{
    uint8_t frame[60] = {0x01, 0x80, 0xc2, 0, 0, 1};

    new_receiver();
    set(RDBAL + 0x18, 7);
    set(0x28, 0x00c28001);
    set(0x2c, 0x0100);
    set(0x30, 0x8808);
    put_be16(frame + 12, 0x8808);
    put_be16(frame + 14, 1);
    put_be16(frame + 16, 100);
    input(card, frame, sizeof(frame)); /* without RFCE it means nothing */
    ck_assert_uint_eq(get(0x4050), 0);
    set(0, get(0) | 1u << 27);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(get(0x4050), 1);
    poke64(TX_RING, 0x20000);
    poke32(TX_RING + 8, 0x0b000000 | 60);
    poke32(TX_RING + 12, 0);
    set(TDBAL + 0x18, 1);
    ck_assert_uint_eq(sent.len, 0);
    run_for(100 * 512 - 1);
    ck_assert_uint_eq(sent.len, 0);
    run_for(1);
    ck_assert_uint_eq(sent.len, 60);
    input(card, frame, sizeof(frame));
    put_be16(frame + 16, 0);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(get(0x4048), 1);
    run_for(1);
    poke32(TX_RING + 24, 0x0b000000 | 60);
    set(TDBAL + 0x18, 2);
    ck_assert_uint_eq(get(TDBAL + 0x10), 2);
    /* Neither such frames nor others of MAC control go into memory by themselves: by RCTL.DPF, without RCTL.PMCF. */
    memcpy(frame, ours, 6);
    card->refused = NULL;
    input(card, frame, sizeof(frame));
    ck_assert_ptr_null(card->refused);
    set(0x100, 0x04408002);
    input(card, frame, sizeof(frame));
    ck_assert_ptr_nonnull(card->refused);
    put_be16(frame + 14, 2);
    card->refused = NULL;
    input(card, frame, sizeof(frame));
    ck_assert_ptr_nonnull(card->refused);
    ck_assert_uint_eq(get(0x4058), 1);
    set(0x100, 0x04808002);
    card->refused = NULL;
    input(card, frame, sizeof(frame));
    ck_assert_ptr_null(card->refused);
}
END_TEST

START_TEST(a_small_packet_is_told_at_once)
{
    new_receiver();
    set(RDBAL + 0x18, 7);
    set(RDTR, 1000);
    set(0x2c00, 104);
    arrives(ours, 0x0800, 0, 101);
    ck_assert_uint_eq(get(BENCH_ICR), 0);
    arrives(ours, 0x0800, 0, 100);
    ck_assert_uint_eq(get(BENCH_ICR), 0x00010080);
}
END_TEST

/* What Linux's driver looks for (ethtool -t): bits that there are not do not hold. */
START_TEST(rah_has_its_bits)
{
    new_card();
    for (unsigned i = 0; i < 16; i++) {
        set(0x5404 + 8 * i, 0xffffffff);
        ck_assert_uint_eq(get(0x5404 + 8 * i), 0x8003ffff);
        set(0x5400 + 8 * i, 0xffffffff);
        ck_assert_uint_eq(get(0x5400 + 8 * i), 0xffffffff);
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(the_eeprom_is_read_both_ways);
    ADD(the_phy_is_behind_mdic);
    ADD(causes_interrupt_as_far_as_they_are_enabled);
    ADD(legacy_descriptors_send);
    ADD(a_ring_around_nothing_sends_nothing);
    ADD(a_segmentation_makes_whole_frames);
    ADD(frames_come_in_by_descriptors);
    ADD(checksums_of_what_comes_in_are_looked_at);
    ADD(what_comes_in_is_filtered);
    ADD(registers_are_reached_by_ports_too);
    ADD(itr_is_the_least_time_between_interrupts);
    ADD(rdtr_and_radv_delay_what_came);
    ADD(tidv_and_tadv_delay_what_was_sent);
    ADD(a_restored_state_interrupts_at_the_same_time);
    ADD(a_state_without_timers_becomes_one_with_them);
    ADD(a_pause_holds_back_what_is_to_be_sent);
    ADD(a_small_packet_is_told_at_once);
    ADD(rah_has_its_bits);
}

CHIP_TESTS("e1000", claims)
