/*
 * The 82574L: NVM, PHY, two queues each way, descriptors of all three forms, receive-side scaling, interrupts by pin, MSI and MSI-X with
 * what they clear and mask, SYSTIM, statistics, reset. What it shares with the 82540EM, test_e1000 tests.
 */
#include "tests/vm/e1000_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/e1000e.h"

#define TABLE     0x10040000u
#define RING(q)   (0x1000u + 0x1000u * (q))
#define TX(q)     (0x3000u + 0x1000u * (q))
#define DATA_AT   0x20000u
#define BUFFER_AT 0x40000u

enum { CTRL = 0, STATUS = 8, EEC = 0x10, EERD = 0x14, CTRL_EXT = 0x18, MDIC = 0x20, VET = 0x38, ICR = 0xc0, ICS = 0xc8, IMS = 0xd0, IMC = 0xd8,
       EIAC = 0xdc, IAM = 0xe0, IVAR = 0xe4, RCTL = 0x100, TCTL = 0x400, EXTCNF = 0xf00, EEWR = 0x102c, RDBAL = 0x2800, TDBAL = 0x3800,
       PSRCTL = 0x2170, RXCSUM = 0x5000, RFCTL = 0x5008, MTA = 0x5200, RA = 0x5400, MRQC = 0x5818, SWSM = 0x5b50, RETA = 0x5c00, RSSRK = 0x5c80 };

static const uint8_t ours[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static struct device *card;
static struct pci_function *f;

static void new_card(void)
{
    struct sockets s = {.pci = &bench_bus};
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(bench_plug(&s, "net", e1000e_plug, "e1000e,netdev=n0", NULL, &e), 0);
    card = machine_find_device(m, "net");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, 4, REGISTERS);
    pci_config_write(f, 0x18, 4, 0xc000);
    pci_config_write(f, 0x1c, 4, TABLE);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    for (unsigned q = 0; q < 2; q++) {
        set_ring(RDBAL + 0x100 * q, RING(q));
        set_ring(TDBAL + 0x100 * q, TX(q));
        for (unsigned i = 0; i < ENTRIES; i++)
            poke64(RING(q) + 16 * i, BUFFER_AT + 0x8000 * q + 2048 * i);
    }
    set(TCTL, 0xa);
    buffer_clear(&sent);
}

static void new_message_card(unsigned capability, unsigned control_at, uint16_t enable)
{
    unsigned at;

    new_card();
    for (at = (unsigned)pci_config_read(f, PCI_CAPABILITIES, 1); pci_config_read(f, at, 1) != capability;)
        at = (unsigned)pci_config_read(f, at + 1, 1);
    if (capability == PCI_CAP_MSI) {
        pci_config_write(f, at + 4, 4, MESSAGES_AT);
        pci_config_write(f, at + 12, 2, 0x55);
    }
    for (unsigned v = 0; v < 5; v++) {
        memory_write(&m->memory, TABLE + 16 * v, 4, MESSAGES_AT);
        memory_write(&m->memory, TABLE + 16 * v + 8, 4, 0x100 + v);
        memory_write(&m->memory, TABLE + 16 * v + 12, 4, 0);
    }
    pci_config_write(f, at + control_at, 2, enable);
    bench_messages = 0;
}

static void new_msix_card(void)
{
    new_message_card(PCI_CAP_MSIX, 2, 0x8000);
    set(IVAR, 0x80000000 | 0xcba98); /* queue 0 in: vector 0, 1 in: 1, 0 out: 2, 1 out: 3, the rest: 4 */
}

/* A frame of `len` bytes to us; IPv4 and TCP from 10.0.0.1:1000 + n to 10.0.0.2:80. */
static void arrive(unsigned n, unsigned len)
{
    uint8_t frame[1600] = {0};

    memcpy(frame, ours, 6);
    put_be16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put_be16(frame + 16, (uint16_t)(len - 14));
    frame[22] = 64;
    frame[23] = 6;
    put_be32(frame + 26, 0x0a000001);
    put_be32(frame + 30, 0x0a000002);
    put_be16(frame + 34, (uint16_t)(1000 + n));
    put_be16(frame + 36, 80);
    input(card, frame, len);
}

static void send(unsigned q, unsigned n, unsigned len)
{
    poke64(TX(q) + 16 * n, DATA_AT);
    poke32(TX(q) + 16 * n + 8, 0x09000000 | len);
    poke32(TX(q) + 16 * n + 12, 0);
    set(TDBAL + 0x100 * q + 0x18, n + 1);
}

/* ---- NVM, PHY, registers ---- */

START_TEST(the_nvm_is_read_and_written)
{
    unsigned sum = 0;

    new_card();
    for (unsigned n = 0; n < 64; n++) {
        set(EERD, n << 2 | 1);
        ck_assert_uint_eq(get(EERD) & 0xffff, n << 2 | 2);
        sum += get(EERD) >> 16;
    }
    ck_assert_uint_eq(sum & 0xffff, 0xbaba);
    set(EERD, 1);
    ck_assert_uint_eq(get(EERD) >> 16, get_le16(ours));
    set(EERD, 64 << 2 | 1);
    ck_assert_uint_eq(get(EERD) >> 16, 0xffff);
    set(EEWR, 0x9abcu << 16 | 0 << 2 | 1);
    ck_assert_uint_eq(get(EEWR) & 2, 2);
    set(EERD, 1);
    ck_assert_uint_eq(get(EERD) >> 16, 0x9abc);
    reset_all(); /* it is kept, and the address comes from there */
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x10d38086);
    pci_config_write(f, 0x10, 4, REGISTERS);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    ck_assert_uint_eq(get(RA) & 0xffff, 0x9abc);
    ck_assert_uint_eq(get(EEC) & 0x300, 0x300);
    set(EEC, 0x40);
    ck_assert_uint_eq(get(EEC) & 0x80, 0x80);
}
END_TEST

START_TEST(the_phy_is_the_82574s)
{
    new_card();
    set(MDIC, 2u << 26 | 1u << 21 | 3u << 16);
    ck_assert_uint_eq(get(MDIC) & 0xf000ffffu, 0x10000cb1u);
    set(MDIC, 1u << 26 | 1u << 21 | 22u << 16 | 0x300); /* its page */
    set(MDIC, 2u << 26 | 1u << 21 | 22u << 16);
    ck_assert_uint_eq(get(MDIC) & 0xffff, 0x300);
    set(MDIC, 2u << 26 | 4u << 21 | 2u << 16);
    ck_assert_uint_eq(get(MDIC) >> 30 & 1, 1);
    /* Registers below 16 are the same ones in each page, others are not. */
    for (unsigned page = 2; page < 4; page++) {
        set(MDIC, 1u << 26 | 1u << 21 | 22u << 16 | page);
        set(MDIC, 2u << 26 | 1u << 21 | 3u << 16);
        ck_assert_uint_eq(get(MDIC) & 0xffff, 0x0cb1);
        set(MDIC, 2u << 26 | 1u << 21 | 16u << 16);
        ck_assert_uint_eq(get(MDIC) & 0xffff, page == 2 ? 0x0088 : 0);
        set(MDIC, 1u << 26 | 1u << 21 | 16u << 16 | page << 8);
    }
    set(MDIC, 1u << 26 | 1u << 21 | 22u << 16 | 2);
    set(MDIC, 2u << 26 | 1u << 21 | 16u << 16);
    ck_assert_uint_eq(get(MDIC) & 0xffff, 0x0200);
    set(MDIC, 1u << 26 | 1u << 21 | 22u << 16);
    set(MDIC, 2u << 26 | 1u << 21 | 16u << 16);
    ck_assert_uint_eq(get(MDIC) & 0xffff, 0x0360);
}
END_TEST

START_TEST(registers_have_their_bits)
{
    static const struct {
        unsigned at;
        uint32_t bits;
    } some[] = {{CTRL_EXT, ~0u}, {VET, 0xffff}, {EIAC, 0x01f00000}, {IAM, ~0u}, {IVAR, 0x800fffff}, {RCTL, 0x77fffffe}, {EXTCNF, 0x0fff00ff},
                {RDBAL, 0xfffffff0}, {RDBAL + 0x108, 0xfff80}, {TDBAL + 0x104, ~0u}, {RXCSUM, 0x37ff}, {RFCTL, ~0u}, {MRQC, 0x1f0003},
                {RETA, ~0u}, {RETA + 0x7c, ~0u}, {RSSRK, ~0u}, {RSSRK + 0x24, ~0u}, {MTA + 0x1fc, ~0u}, {0x5b5c, ~0u}, {0xb608, ~0u}, {0x9000, 0}};

    new_card();
    for (unsigned i = 0; i < ARRAY_LEN(some); i++) {
        set(some[i].at, ~0u);
        ck_assert_msg(get(some[i].at) == some[i].bits, "%x: %x", some[i].at, get(some[i].at));
        set(some[i].at, 0);
        ck_assert_uint_eq(get(some[i].at), 0);
    }
    ck_assert_uint_eq(get(STATUS) & 0x80083, 0x80081);
    set(CTRL, 0x44); /* the link is up, no new requests on PCIe */
    ck_assert_uint_eq(get(STATUS) & 0x80083, 0x83);
    ck_assert_uint_eq(get(SWSM) & 1, 0); /* who reads it has it */
    ck_assert_uint_eq(get(SWSM) & 1, 1);
    set(SWSM, 0);
    ck_assert_uint_eq(get(SWSM) & 1, 0);
    set(MRQC, 1);
    set(CTRL, 1u << 26);
    ck_assert_uint_eq(get(MRQC), 0);
    ck_assert_uint_eq(get(CTRL), 0xa09);
    ports_write(&bench_ports, 0xc000, 4, MRQC);
    ports_write(&bench_ports, 0xc004, 4, 2);
    ck_assert_uint_eq(get(MRQC), 2);
    ck_assert_uint_eq(ports_read(&bench_ports, 0xc004, 4), 2);
}
END_TEST

START_TEST(systim_counts_virtual_time)
{
    new_card();
    set(0xb608, 2u << 24 | 5);
    run_for(80 * 100);
    ck_assert_uint_eq(get(0xb600), 500);
    set(0xb604, 7);
    set(0xb600, 0xfffffffe);
    run_for(80);
    ck_assert_uint_eq(get(0xb604), 8);
    ck_assert_uint_eq(get(0xb600), 3);
    set(0xb608, 0);
    run_for(800);
    ck_assert_uint_eq(get(0xb600), 3);
}
END_TEST

/* A ring of two hundred million descriptors, all of one packet, would be looked through for a minute. */
START_TEST(a_state_has_only_bits_that_can_be_written)
{
    uint8_t *state, *at;
    uint32_t value = 0xabc80;

    new_card();
    set(TDBAL + 8, value);
    ck_assert(card->ops->possible(card));
    state = card->state;
    for (at = state; memcmp(at, &value, 4) != 0;)
        at += 4;
    at[3] = 0xff;
    ck_assert(!card->ops->possible(card));
}
END_TEST

/* ---- frames ---- */

START_TEST(both_queues_send)
{
    new_card();
    poke(DATA_AT, ours, 6);
    send(0, 0, 64);
    ck_assert_uint_eq(sent.len, 64);
    ck_assert_uint_eq(get(TDBAL + 0x10), 1);
    ck_assert_uint_eq(peek32(TX(0) + 12) & 1, 1);
    ck_assert_uint_eq(get(ICR), 0x00400003); /* descriptor, queue empty; by queue 0 */
    send(1, 0, 100);
    ck_assert_uint_eq(sent.len, 164);
    ck_assert_uint_eq(get(TDBAL + 0x110), 1);
    ck_assert_uint_eq(get(ICR), 0x00800003);
    ck_assert_uint_eq(get(0x4080), 2); /* GPTC */
}
END_TEST

START_TEST(legacy_descriptors_receive)
{
    new_card();
    set(RCTL, 0x8002);
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    set(RDBAL + 0x18, 4);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
    arrive(0, 100);
    ck_assert_uint_eq(peek32(RING(0) + 8) & 0xffff, 104);
    ck_assert_uint_eq(peek32(RING(0) + 12) & 0xff, 7);
    ck_assert_uint_eq(get(RDBAL + 0x10), 1);
    ck_assert_uint_eq(get(ICR) & ~0x10u, 0x00100080);
    ck_assert_uint_eq(peek32(BUFFER_AT), get_le32(ours));
}
END_TEST

START_TEST(extended_descriptors_receive)
{
    new_card();
    set(RCTL, 0x04008002); /* without check sequence */
    set(RFCTL, 1u << 15);
    set(RXCSUM, 14);
    set(RDBAL + 0x18, 4);
    arrive(0, 100);
    ck_assert_uint_eq(peek32(RING(0)), 0);
    ck_assert_uint_ne(peek32(RING(0) + 4) >> 16, 0); /* the packet checksum */
    ck_assert_uint_eq(peek32(RING(0) + 8), 7);
    ck_assert_uint_eq(peek32(RING(0) + 12), 100);
    set(RCTL, 0x24008002 | 0x08000000); /* FLXBUF: buffers of 5 KiB */
    set(RCTL, 0x04008002 | 3u << 16);   /* of 256 bytes: several to a frame */
    arrive(0, 600);
    ck_assert_uint_eq(peek32(RING(0) + 16 + 8), 1);
    ck_assert_uint_eq(peek32(RING(0) + 16 + 12), 256);
    ck_assert_uint_eq(peek32(RING(0) + 48 + 8), 7);
    ck_assert_uint_eq(peek32(RING(0) + 48 + 12), 88);
    set(RCTL, 0x04008002 | 1u << 10);
    arrive(0, 100);
    ck_assert_ptr_nonnull(card->refused);
}
END_TEST

START_TEST(checksums_of_what_comes_in_are_looked_at)
{
    uint8_t frame[200];

    new_card();
    set(RCTL, 0x04008002);
    set(RDBAL + 0x18, 7);
    set(RXCSUM, 0x300);
    datagram(frame, 17, sizeof(frame));
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(peek32(RING(0) + 12) & 0xffff, 0x73); /* UDPCS, too */
    set(RFCTL, 1u << 15);
    datagram(frame, 6, sizeof(frame));
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(peek32(RING(0) + 16 + 8), 0x63);
    frame[100]++;
    frame[22]++;
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(peek32(RING(0) + 32 + 8), 0x60000063);
}
END_TEST

/* ---- packet split ---- */

#define SPLIT_AT(n) (BUFFER_AT + 0x2000u * (n))

/* Four descriptors of four buffers, three of them free; the sizes of those are PSRCTL's. Head and tail count halves of descriptors. */
static void new_splitter(uint32_t psrctl)
{
    new_card();
    ck_assert_uint_eq(get(PSRCTL), 0x00040402);
    set(PSRCTL, 0xffffffff);
    ck_assert_uint_eq(get(PSRCTL), 0x3f3f3f7f);
    set(PSRCTL, psrctl);
    set(RFCTL, 1u << 15);
    set(RCTL, 0x04008422); /* long ones, too; no check sequence */
    for (unsigned i = 0; i < 16; i++)
        poke64(RING(0) + 8 * i, SPLIT_AT(i));
    set(RDBAL + 0x18, 6);
}

/* The descriptor says so: bytes in the header's buffer and in the others, header status; and the frame is there. */
static void expect_split(unsigned n, const uint16_t lengths[4], unsigned header, const uint8_t *frame)
{
    uint32_t at = RING(0) + 32 * n;

    ck_assert_uint_eq(peek32(at + 8) & 1, 1);
    ck_assert_uint_eq(peek32(at + 16) & 0xffff, header);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(memory_read(&m->memory, i ? at + 16 + 2 * i : at + 12, 2), lengths[i]);
        for (unsigned k = 0; k < lengths[i]; k++)
            ck_assert_uint_eq(memory_read(&m->memory, SPLIT_AT(4 * n + i) + k, 1), *frame++);
    }
    ck_assert_uint_eq(peek32(at + 24) | peek32(at + 28), 0);
}

/* Make IPv6 of a frame. */
static void six(uint8_t *frame, unsigned next, size_t len)
{
    put_be16(frame + 12, 0x86dd);
    frame[14] = 0x60;
    put_be16(frame + 18, (uint16_t)(len - 54));
    frame[20] = (uint8_t)next;
}

START_TEST(packets_are_split_behind_their_headers)
{
    static const struct {
        unsigned protocol, tcp, header;
    } cases[] = {{6, 0x50, 54}, {6, 0x80, 66}, {17, 0, 42}, {1, 0, 34}, {6, 0x10, 34}};
    uint8_t frame[3000];

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        new_splitter(0x00040401);
        datagram(frame, cases[i].protocol, 1400);
        frame[46] = (uint8_t)cases[i].tcp;
        input(card, frame, 1400);
        ck_assert_uint_eq(get(RDBAL + 0x10), 2);
        expect_split(0, (uint16_t[4]){(uint16_t)cases[i].header, (uint16_t)(1400 - cases[i].header)}, 0x8000 | cases[i].header, frame);
        ck_assert_uint_eq(peek32(RING(0) + 8) & 3, 3);
    }
    new_splitter(0x00010101); /* on, through buffers and descriptors: header buffers stay empty */
    datagram(frame, 17, 3000);
    input(card, frame, 3000);
    ck_assert_uint_eq(get(RDBAL + 0x10), 4);
    expect_split(0, (uint16_t[4]){42, 1024, 1024, 0}, 0x8000 | 42, frame);
    expect_split(1, (uint16_t[4]){0, 3000 - 42 - 2048, 0, 0}, 0x8000 | 42, frame + 42 + 2048);
    ck_assert_uint_eq(peek32(RING(0) + 8) & 3, 1);
    ck_assert_uint_eq(peek32(RING(0) + 32 + 8) & 3, 3);
    new_splitter(0x00040401); /* a fragment's header is IP's, */
    datagram(frame, 17, 200);
    put_be16(frame + 20, 0x2000);
    input(card, frame, 200);
    expect_split(0, (uint16_t[4]){34, 166}, 0x8000 | 34, frame);
    set(RFCTL, 3u << 14); /* or none */
    input(card, frame, 200);
    expect_split(1, (uint16_t[4]){128, 72}, 0, frame);
    new_splitter(0x00040401);
    datagram(frame, 17, 200); /* IPv6 */
    six(frame, 17, 200);
    input(card, frame, 200);
    expect_split(0, (uint16_t[4]){62, 138}, 0x8000 | 62, frame);
    frame[20] = 6;
    frame[66] = 0x60;
    input(card, frame, 200);
    expect_split(1, (uint16_t[4]){78, 122}, 0x8000 | 78, frame);
    frame[20] = 58;
    input(card, frame, 200);
    expect_split(2, (uint16_t[4]){54, 146}, 0x8000 | 54, frame);
    new_splitter(0x00040401); /* behind an extension header */
    six(frame, 60, 200);
    frame[54] = 17;
    frame[55] = 0;
    input(card, frame, 200);
    expect_split(0, (uint16_t[4]){70, 130}, 0x8000 | 70, frame);
}
END_TEST

START_TEST(what_cannot_be_split_goes_through_all_buffers)
{
    uint8_t frame[3000];

    new_splitter(0x00010101);
    datagram(frame, 6, 2500);
    put_be16(frame + 12, 0x0806);
    input(card, frame, 2500);
    ck_assert_uint_eq(get(RDBAL + 0x10), 4);
    expect_split(0, (uint16_t[4]){128, 1024, 1024, 0}, 0, frame);
    expect_split(1, (uint16_t[4]){128, 2500 - 2176 - 128, 0, 0}, 0, frame + 2176);
}
END_TEST

START_TEST(headers_that_have_no_room_are_not_split)
{
    uint8_t frame[300];

    new_splitter(0x00040001);
    datagram(frame, 6, 300);
    frame[14] = 0x4f; /* options */
    frame[86] = 0xf0;
    nic_put_ip_checksum(frame, &(struct nic_ip){.header = 14, .transport = 74, .end = 300});
    input(card, frame, 300); /* 134 bytes */
    expect_split(0, (uint16_t[4]){128, 0, 172, 0}, 0, frame);
    new_splitter(0x00000001); /* nowhere else to go */
    datagram(frame, 6, 300);
    input(card, frame, 300);
    ck_assert_uint_eq(get(RDBAL + 0x10), 6);
    expect_split(2, (uint16_t[4]){44}, 0, frame + 256);
    new_splitter(0); /* no buffers at all */
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    input(card, frame, 300);
    ck_assert_uint_eq(get(RDBAL + 0x10), 0);
    ck_assert_uint_eq(get(ICR) & 0x40, 0x40);
}
END_TEST

START_TEST(a_split_ring_counts_halves_of_descriptors)
{
    uint8_t frame[200];

    new_splitter(0x00040401);
    ck_assert_uint_eq(card->ops->input_room(card), 16384); /* the longest frame */
    datagram(frame, 17, sizeof(frame));
    for (unsigned i = 0; i < 6; i++) {
        input(card, frame, sizeof(frame));
        ck_assert_uint_eq(get(RDBAL + 0x10), 2 * ((i + 1) % 4));
        set(RDBAL + 0x18, 2 * (i % 4));
    }
    set(RDBAL + 0x18, 4);
    ck_assert_uint_eq(card->ops->input_room(card), 0); /* none is free, */
    set(RDBAL + 0x18, 5);
    ck_assert_uint_eq(card->ops->input_room(card), 0); /* nor is half of one */
    set(RDBAL + 0x18, 6);
    ck_assert_uint_eq(card->ops->input_room(card), 8 * 1024 - 4);
    set(RDBAL + 0x18, 8); /* there is no such one */
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    set(RDBAL + 0x18, 6);
    set(RFCTL, 0); /* not with legacy descriptors */
    ck_assert_uint_eq(card->ops->input_room(card), 2 * 2048 - 4);
}
END_TEST

/* The key and what it makes of addresses and ports that Microsoft publishes to verify RSS with. */
START_TEST(scaling_chooses_the_queue_by_the_hash)
{
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    uint8_t frame[64] = {0};

    new_card();
    for (unsigned i = 0; i < 10; i++)
        set(RSSRK + 4 * i, get_le32(key + 4 * i));
    set(RCTL, 0x04008002);
    set(RFCTL, 1u << 15);
    set(RXCSUM, 1u << 13);
    set(MRQC, 0x30001); /* TCP and IPv4 */
    set(RDBAL + 0x18, 4);
    ck_assert_uint_eq(card->ops->input_room(card), 0); /* the other one has no room */
    set(RDBAL + 0x118, 4);
    memcpy(frame, ours, 6);
    put_be16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put_be16(frame + 16, 40);
    frame[23] = 6;
    put_be32(frame + 26, 0x420995bb); /* 66.9.149.187:2794 to 161.142.100.80:1766 */
    put_be32(frame + 30, 0xa18e6450);
    put_be16(frame + 34, 2794);
    put_be16(frame + 36, 1766);
    set(RETA + (0x51ccc178 & 0x7c), 0x80u << (8 * (0x51ccc178 & 3)));
    input(card, frame, 64);
    ck_assert_uint_eq(get(RDBAL + 0x10), 0);
    ck_assert_uint_eq(get(RDBAL + 0x110), 1);
    ck_assert_uint_eq(peek32(RING(1)), 0x101); /* TCP, queue 1 */
    ck_assert_uint_eq(peek32(RING(1) + 4), 0x51ccc178);
    ck_assert_uint_eq(get(ICR) & 0x300000, 0x200000);
    set(MRQC, 0x20001); /* addresses only */
    input(card, frame, 64);
    ck_assert_uint_eq(peek32(RING(0)), 2);
    ck_assert_uint_eq(peek32(RING(0) + 4), 0x323e8fc2);
    frame[12] = 8;
    frame[13] = 6; /* no IP */
    input(card, frame, 64);
    ck_assert_uint_eq(peek32(RING(0) + 16), 0);
    ck_assert_uint_eq(peek32(RING(0) + 20), 0);
}
END_TEST

/* ---- interrupts ---- */

START_TEST(icr_is_cleared_by_reading_if_it_was_asserted)
{
    new_card();
    set(ICS, 0x80);
    ck_assert_uint_eq(get(ICR), 0x80); /* nothing is enabled: cleared */
    ck_assert_uint_eq(get(ICR), 0);
    set(IMS, 0x1);
    set(ICS, 0x80);
    ck_assert_uint_eq(get(ICR), 0x80); /* not asserted: it stays */
    ck_assert_uint_eq(get(ICR), 0x80);
    ck_assert(!probe[3].level);
    set(IMS, 0x80);
    ck_assert(probe[3].level);
    ck_assert_uint_eq(get(ICR), 0x80000080);
    ck_assert(!probe[3].level);
    set(ICS, 0x81);
    set(ICR, 0x80);
    ck_assert(probe[3].level);
    set(IMC, 1);
    ck_assert(!probe[3].level);
    ck_assert_uint_eq(get(0x4100), 2); /* IAC */
    ck_assert_uint_eq(get(0x4100), 0);
}
END_TEST

START_TEST(the_mask_follows_iam)
{
    new_card();
    set(CTRL_EXT, 1u << 27);
    set(IAM, 0x80);
    set(IMS, 0x84);
    set(ICS, 0x80);
    ck_assert_uint_eq(get(ICR), 0x80000080);
    ck_assert_uint_eq(get(IMS), 0x04);
    set(IMS, 0x80);
    set(ICS, 0x80);
    set(ICR, 0); /* a write, too */
    ck_assert_uint_eq(get(IMS), 0x04);
}
END_TEST

START_TEST(msi_sends_one_message_for_each_assertion)
{
    new_message_card(PCI_CAP_MSI, 2, 1);
    set(IMS, 0x80);
    set(ICS, 0x80);
    set(ICS, 0x80);
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(bench_message, 0x55);
    ck_assert(!probe[3].level);
    get(ICR);
    set(ICS, 0x80);
    ck_assert_uint_eq(bench_messages, 2);
}
END_TEST

START_TEST(ivar_gives_causes_their_vectors)
{
    static const unsigned vectors[] = {0, 1, 2, 3, 4};

    new_msix_card();
    set(IMS, 0x01f00000);
    for (unsigned n = 0; n < 5; n++) {
        set(ICS, 1u << (20 + n));
        ck_assert_uint_eq(bench_messages, n + 1);
        ck_assert_uint_eq(bench_message, 0x100 + vectors[n]);
    }
    set(ICS, 1u << 20); /* a new one of the same */
    ck_assert_uint_eq(bench_messages, 6);
    set(IVAR, 0);
    set(ICR, ~0u);
    set(ICS, 1u << 20);
    ck_assert_uint_eq(bench_messages, 6); /* no vector */
    set(IVAR, 0xc);
    set(ICR, ~0u);
    set(ICS, 1u << 20);
    ck_assert_uint_eq(bench_message, 0x104);
    set(IMS, 1u << 24 | 4);
    set(IVAR, 0x90000);
    set(ICS, 4); /* the link: among the others */
    ck_assert_uint_eq(bench_message, 0x101);
    ck_assert(!probe[3].level);
}
END_TEST

START_TEST(messages_clear_and_mask_by_themselves)
{
    new_msix_card();
    set(EIAC, 1u << 20);
    set(IMS, 0x300000);
    set(ICS, 0x300000);
    ck_assert_uint_eq(bench_messages, 2);
    ck_assert_uint_eq(get(IMS), 0x200000); /* cleared, and masked */
    ck_assert_uint_eq(get(ICR) & 0x300000, 0x200000);
    set(ICS, 0x100000);
    ck_assert_uint_eq(bench_messages, 2);
    set(IMS, 0x100000); /* what came meanwhile */
    ck_assert_uint_eq(bench_messages, 3);
    set(CTRL_EXT, 1u << 24);
    set(EIAC, 0);
    set(IAM, 1u << 20);
    set(IMS, 0x100000);
    set(ICS, 0x100000);
    ck_assert_uint_eq(get(IMS) & 0x100000, 0);
    ck_assert_uint_eq(get(ICR) & 0x100000, 0x100000);
}
END_TEST

/* ---- delays and intervals of interrupts ---- */

#define EITR(v) (0xe8u + 4 * (v))

static void receive_one(bool immediately)
{
    unsigned delay = get(RDTR), head = get(RDBAL + 0x10);

    if (immediately)
        set(RDTR, 0);
    set(RDBAL + 0x18, (head + 7) % ENTRIES);
    arrive(0, 200);
    ck_assert_uint_eq(get(RDBAL + 0x10), (head + 1) % ENTRIES);
    set(RDTR, delay);
}

static void send_one(bool immediately)
{
    unsigned n = get(TDBAL + 0x10);

    poke64(TX(0) + 16 * n, DATA_AT);
    poke32(TX(0) + 16 * n + 8, (immediately ? 0x09000000 : 0x89000000) | 60);
    poke32(TX(0) + 16 * n + 12, 0);
    set(TDBAL + 0x18, (n + 1) % ENTRIES);
    ck_assert_uint_eq(peek32(TX(0) + 16 * n + 12) & 1, 1);
    set(ICR, 2);
}

static void new_receiver(void)
{
    new_card();
    set(RCTL, 0x04008002);
}

START_TEST(itr_is_the_least_time_between_interrupts)
{
    new_receiver();
    expect_delay_register(BENCH_ITR);
    expect_moderation(card);
    new_card(); /* while one is held back, none is asserted: reading acknowledges nothing */
    set(BENCH_ITR, 10);
    set(IMS, 0x80);
    set(ICS, 0x80);
    ck_assert_uint_eq(get(ICR), 0x80000080);
    set(ICS, 0x80);
    ck_assert_uint_eq(get(ICR), 0x80);
    expect_after(10 * ITR_TICK);
    ck_assert_uint_eq(get(ICR), 0x80000080);
    ck_assert_uint_eq(get(0x4100), 2); /* IAC */
}
END_TEST

START_TEST(itr_moderates_msi)
{
    new_message_card(PCI_CAP_MSI, 2, 1);
    set(BENCH_ITR, 100);
    set(EITR(0), 1000);
    set(IMS, 0x80);
    for (unsigned i = 0; i < 3; i++) {
        set(ICS, 0x80);
        get(ICR);
    }
    ck_assert_uint_eq(bench_messages, 1);
    run_for(100 * ITR_TICK - 1);
    ck_assert_uint_eq(bench_messages, 1);
    run_for(1);
    ck_assert_uint_eq(bench_messages, 2);
    ck_assert(!probe[3].level);
}
END_TEST

START_TEST(eitr_is_the_least_time_between_messages_of_a_vector)
{
    for (unsigned v = 0; v < 5; v++) {
        uint32_t bit = 1u << (20 + v);

        new_msix_card();
        expect_delay_register(EITR(v));
        new_msix_card();
        set(IMS, 0x01f00000);
        set(BENCH_ITR, 1000);
        set(EITR(v), 100);
        set(ICS, bit);
        ck_assert_uint_eq(bench_messages, 1);
        set(ICS, bit);
        set(ICS, bit);
        ck_assert_uint_eq(bench_messages, 1);
        set(ICS, 1u << (20 + (v + 1) % 5)); /* another vector's are its own */
        ck_assert_uint_eq(bench_messages, 2);
        ck_assert_uint_eq(bench_message, 0x100 + (v + 1) % 5);
        run_for(100 * ITR_TICK - 1);
        ck_assert_uint_eq(bench_messages, 2);
        run_for(1);
        ck_assert_uint_eq(bench_messages, 3);
        ck_assert_uint_eq(bench_message, 0x100 + v);
        ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
        set(ICS, bit); /* masked meanwhile, acknowledged meanwhile */
        set(IMC, bit);
        ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
        set(IMS, bit);
        ck_assert_uint_ne(card->ops->deadline(card), VTIME_NEVER);
        set(ICR, bit);
        ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
        set(ICS, bit);
        ck_assert_uint_eq(bench_messages, 3);
        set(EITR(v), 0); /* no interval */
        ck_assert_uint_eq(bench_messages, 4);
        set(ICS, bit);
        set(ICS, bit);
        ck_assert_uint_eq(bench_messages, 6);
    }
}
END_TEST

START_TEST(causes_of_one_vector_share_its_interval)
{
    new_msix_card();
    set(IVAR, 0x80000000 | 0xcaa88); /* both queues in: vector 0; out: vector 2 */
    set(EITR(0), 100);
    set(EIAC, 0x300000);
    set(IMS, 0x300000);
    set(ICS, 0x300000);
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(get(ICR) & 0x300000, 0); /* both told, and cleared */
    ck_assert_uint_eq(get(IMS), 0);
    set(IMS, 0x300000);
    set(ICS, 0x100000);
    set(ICS, 0x200000);
    ck_assert_uint_eq(bench_messages, 1);
    run_for(100 * ITR_TICK);
    ck_assert_uint_eq(bench_messages, 2);
    ck_assert_uint_eq(get(IMS), 0);
    set(IMS, 0x100000); /* what is held back goes as IVAR says by then */
    set(ICS, 0x100000);
    ck_assert_uint_eq(bench_messages, 2);
    set(IVAR, 0x80000000 | 0xcaa8c);
    run_for(0);
    ck_assert_uint_eq(bench_messages, 3);
    ck_assert_uint_eq(bench_message, 0x104);
}
END_TEST

START_TEST(rdtr_and_radv_delay_what_came)
{
    new_card();
    expect_delay_register(RDTR);
    expect_delay_register(RADV);
    new_receiver();
    expect_delays(card, RDTR, RADV, receive_one, 0x80);
    new_msix_card(); /* and their queue's message */
    set(RCTL, 0x04008002);
    set(IMS, 0x00100000);
    set(RDTR, 10);
    receive_one(false);
    run_for(10 * TICK - 1);
    ck_assert_uint_eq(bench_messages, 0);
    run_for(1);
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(bench_message, 0x100);
}
END_TEST

START_TEST(tidv_and_tadv_delay_what_was_sent)
{
    new_card();
    expect_delay_register(TIDV);
    expect_delay_register(TADV);
    new_card();
    expect_delays(card, TIDV, TADV, send_one, 1);
    new_msix_card(); /* and their queues' messages, also when another queue's is immediate */
    set(IMS, 0x00c00000);
    set(TIDV, 10);
    send_one(false);
    run_for(10 * TICK - 1);
    ck_assert_uint_eq(bench_messages, 0);
    run_for(1);
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(bench_message, 0x102);
    set(ICR, ~0u);
    send_one(false);
    send(1, 0, 60);
    ck_assert_uint_eq(bench_messages, 3);
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
}
END_TEST

START_TEST(a_restored_state_interrupts_at_the_same_time)
{
    uint8_t state[8192];

    expect_delays_restored(&card, new_receiver, receive_one, send_one);
    for (unsigned v = 0; v < 5; v++) {
        vtime_t now;

        new_msix_card();
        set(IMS, 1u << (20 + v));
        set(EITR(v), 1000);
        set(ICS, 1u << (20 + v));
        run_for(9);
        set(ICS, 1u << (20 + v));
        memcpy(state, card->state, card->ops->state_size);
        now = m->st->warp;
        new_msix_card();
        memcpy(card->state, state, card->ops->state_size);
        m->st->warp = now;
        run_for(1000 * ITR_TICK - 10);
        ck_assert_uint_eq(bench_messages, 0);
        run_for(1);
        ck_assert_uint_eq(bench_messages, 1);
    }
}
END_TEST

START_TEST(a_state_without_timers_becomes_one_with_them)
{
    const uint32_t plain = 392, tail = 24 + 8 + 24 + 8 + 7 * 32, older = 8 * 6 + 2 * 24;
    uint8_t old[8192];
    uint32_t len;

    new_card();
    len = card->ops->state_size - 16 - tail;
    set(IMS, 0x04);
    set(ICS, 0x04);
    set(0xb608, 0x12345678); /* the last register of version 2; MTA is next */
    set(MTA, 0x9abcdef0);
    memcpy(old, card->state, plain + 81 * 4u + 256);
    ck_assert_uint_eq(get_le32(old + plain + 80 * 4), 0x12345678);
    memcpy(old + plain + 81 * 4u, (uint8_t *)card->state + plain + 85 * 4u, len - plain - 81 * 4u);
    new_card();
    ck_assert(!card->ops->upgrade(card, 2, old, len - 1) && card->ops->upgrade(card, 2, old, len));
    ck_assert_uint_eq(get(0xb608), 0x12345678);
    ck_assert_uint_eq(get(MTA), 0x9abcdef0);
    ck_assert_uint_eq(get(0xb634), 0x88f7);
    len -= older;
    new_card();
    ck_assert(!card->ops->upgrade(card, 1, old, len - 1) && !card->ops->upgrade(card, 0, old, len));
    ck_assert(card->ops->upgrade(card, 1, old, len));
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
    ck_assert_uint_eq(get(ICR), 0x81000004);
    set(BENCH_ITR, 10);
    set(ICS, 4); /* the first interval */
    acknowledge(4);
}
END_TEST

/* PTP version 2, a message of that type, over UDP or as an Ethernet type. */
static size_t message(uint8_t *frame, bool ethernet, unsigned type)
{
    uint8_t *ptp = frame + (ethernet ? 14 : 42);

    datagram(frame, 17, 90);
    if (ethernet)
        put_be16(frame + 12, 0x88f7);
    else
        put_be16(frame + 36, 319);
    memset(ptp, 0, 40);
    ptp[0] = (uint8_t)type;
    put_be16(ptp + 22, 0xabcd);
    put_be32(ptp + 24, 0x01234567);
    put_be16(ptp + 30, 0x77);
    return 90;
}

START_TEST(packets_of_ptp_are_time_stamped)
{
    uint8_t frame[100];
    size_t len;

    new_receiver();
    set(0xb608, 2u << 24 | 2);
    set(RFCTL, 1u << 15);
    set(RDBAL + 0x18, 7);
    ck_assert_uint_eq(get(0xb634), 0x88f7);
    ck_assert_uint_eq(get(0xb638), 0x3f01);
    set(0xb634, 1u << 24 | 0x88f7); /* Delay_Req */
    set(0xb620, 0x14);
    run_for(80 * 100);
    len = message(frame, false, 0);
    input(card, frame, len);
    ck_assert_uint_eq(peek32(RING(0) + 8) & 0x101, 1);
    ck_assert_uint_eq(get(0xb620), 0x14);
    len = message(frame, true, 1);
    input(card, frame, len);
    ck_assert_uint_eq(peek32(RING(0) + 16 + 8) & 0x101, 0x101);
    ck_assert_uint_eq(get(0xb620), 0x15);
    ck_assert_uint_eq(get(0xb624), 200);
    ck_assert_uint_eq(get(0xb62c), 0x01234567);
    ck_assert_uint_eq(get(0xb630), 0x0077abcd);
    /* It is kept until it has been read. */
    run_for(80 * 100);
    len = message(frame, false, 1);
    input(card, frame, len);
    ck_assert_uint_eq(peek32(RING(0) + 32 + 8) & 0x101, 1);
    ck_assert_uint_eq(get(0xb624), 200);
    ck_assert_uint_eq(get(0xb628), 0);
    ck_assert_uint_eq(get(0xb620), 0x14);
    input(card, frame, len);
    ck_assert_uint_eq(get(0xb624), 400);
    get(0xb628);
    /* All packets. */
    set(0xb620, 0x18);
    arrive(0, 100);
    ck_assert_uint_eq(get(0xb620), 0x19);
    /* What is sent, if the descriptor asks for it. */
    poke64(TX(0), DATA_AT);
    poke32(TX(0) + 8, 0x29100000 | 100);
    poke32(TX(0) + 12, 0x10);
    set(TDBAL + 0x18, 1);
    ck_assert_uint_eq(get(0xb614), 0);
    set(0xb614, 0x10);
    poke64(TX(0) + 16, DATA_AT);
    poke32(TX(0) + 24, 0x29100000 | 100);
    poke32(TX(0) + 28, 0x10);
    set(TDBAL + 0x18, 2);
    ck_assert_uint_eq(get(0xb614), 0x11);
    ck_assert_uint_eq(get(0xb618), 400);
    get(0xb61c);
    ck_assert_uint_eq(get(0xb614), 0x10);
    /* The clock is set forward and back. */
    set(0xb60c, 50);
    set(0xb610, 0);
    ck_assert_uint_eq(get(0xb600), 450);
    set(0xb610, 0x80000000);
    ck_assert_uint_eq(get(0xb600), 400);
}
END_TEST

START_TEST(small_packets_and_acknowledgements_are_told_at_once)
{
    uint8_t frame[100];

    new_receiver();
    set(RDBAL + 0x18, 7);
    set(RDTR, 1000);
    set(RFCTL, 1u << 12);
    set(0x2c00, 104);
    arrive(0, 101);
    ck_assert_uint_eq(get(ICR) & ~0x10u, 0);
    arrive(0, 100);
    ck_assert_uint_eq(get(ICR) & ~0x10u, 0x00110080); /* and what waited */
    set(0x2c00, 0);
    /* Acknowledgements: with data or without; none by ACKDIS. */
    datagram(frame, 6, 54);
    frame[46] = 0x50;
    frame[47] = 0x10;
    input(card, frame, 54);
    ck_assert_uint_eq(get(ICR) & ~0x10u, 0);
    set(RFCTL, 1u << 13);
    input(card, frame, 54);
    ck_assert_uint_eq(get(ICR) & ~0x10u, 0x00020000);
    put_be16(frame + 16, 60);
    input(card, frame, 80);
    ck_assert_uint_eq(get(ICR) & ~0x10u, 0);
    set(RFCTL, 0);
    set(0x2c08, 5);
    set(IMS, 0x00020000);
    input(card, frame, 80);
    run_for(5 * TICK - 1);
    ck_assert_uint_eq(get(ICR) & ~0x10u, 0);
    run_for(1);
    ck_assert_uint_eq(get(ICR) & ~0x10u, 0x81020000);
}
END_TEST

START_TEST(checksums_of_ipv6_are_looked_at)
{
    uint8_t frame[200] = {0};
    struct nic_ip ip;

    new_receiver();
    set(RDBAL + 0x18, 7);
    set(RXCSUM, 0x300);
    datagram(frame, 6, 200);
    six(frame, 6, 200);
    frame[66] = 0x50;
    ck_assert(nic_find_ip6(frame, 200, &ip));
    nic_put_transport_checksum(frame, &ip);
    input(card, frame, 200);
    ck_assert_uint_eq(peek32(RING(0) + 12) & 0xffff, 0x23);
    frame[100]++;
    input(card, frame, 200);
    ck_assert_uint_eq(peek32(RING(0) + 16 + 12) & 0xffff, 0x2023);
    set(RFCTL, 1u << 11);
    input(card, frame, 200);
    ck_assert_uint_eq(peek32(RING(0) + 32 + 12) & 0xffff, 0x07);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(the_nvm_is_read_and_written);
    ADD(the_phy_is_the_82574s);
    ADD(registers_have_their_bits);
    ADD(systim_counts_virtual_time);
    ADD(a_state_has_only_bits_that_can_be_written);
    ADD(both_queues_send);
    ADD(legacy_descriptors_receive);
    ADD(extended_descriptors_receive);
    ADD(checksums_of_what_comes_in_are_looked_at);
    ADD(packets_are_split_behind_their_headers);
    ADD(what_cannot_be_split_goes_through_all_buffers);
    ADD(headers_that_have_no_room_are_not_split);
    ADD(a_split_ring_counts_halves_of_descriptors);
    ADD(scaling_chooses_the_queue_by_the_hash);
    ADD(icr_is_cleared_by_reading_if_it_was_asserted);
    ADD(the_mask_follows_iam);
    ADD(msi_sends_one_message_for_each_assertion);
    ADD(ivar_gives_causes_their_vectors);
    ADD(messages_clear_and_mask_by_themselves);
    ADD(itr_is_the_least_time_between_interrupts);
    ADD(itr_moderates_msi);
    ADD(eitr_is_the_least_time_between_messages_of_a_vector);
    ADD(causes_of_one_vector_share_its_interval);
    ADD(rdtr_and_radv_delay_what_came);
    ADD(tidv_and_tadv_delay_what_was_sent);
    ADD(a_restored_state_interrupts_at_the_same_time);
    ADD(a_state_without_timers_becomes_one_with_them);
    ADD(packets_of_ptp_are_time_stamped);
    ADD(small_packets_and_acknowledgements_are_told_at_once);
    ADD(checksums_of_ipv6_are_looked_at);
}

CHIP_TESTS("e1000e", claims)
