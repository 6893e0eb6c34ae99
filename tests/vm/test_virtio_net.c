/*
 * The virtio network card: frames out and in, checksums, filters, and requests that no driver should make.
 */
#include "tests/vm/virtio_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/nic_ip.h"
#include "vm/dev/virtio_net.h"

#define HEADER 12u
#define FRAME_AT  0x20000u /* what is sent: header and frame */
#define BUFFER_AT 0x30000u /* what is received */
#define ANSWER_AT 0x5800u

enum { RECEIVE, TRANSMIT, CONTROL };

static const uint8_t ours[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

static struct device *card;

static void new_card(const char *text)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct pci_function *f;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, &e), 0);
    ck_assert_int_eq(virtio_net_pci_plug(&s, "net", PCI_DEVFN(3, 0), NULL, &props, &e), 0);
    option_list_finish(&props);
    card = machine_find_device(m, "net");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x20, 4, BAR4);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    start(~0ull & ~(1ull << 29));
}

static void desc(unsigned queue, unsigned n, paddr_t at, uint32_t len, unsigned flags, unsigned next)
{
    poke64(RINGS_AT(queue) + 16 * n, at);
    poke32(RINGS_AT(queue) + 16 * n + 8, len);
    poke32(RINGS_AT(queue) + 16 * n + 12, flags | next << 16);
}

static void offer(unsigned queue, unsigned head)
{
    uint16_t id = (uint16_t)head, index = (uint16_t)++next_avail[queue];

    poke(AVAIL_AT(queue) + 4 + 2 * ((index - 1u) % QUEUE), &id, 2);
    poke(AVAIL_AT(queue) + 2, &index, 2);
    memory_write(&m->memory, NOTIFY + 4 * queue, 2, queue);
}

static unsigned used(unsigned queue)
{
    return (unsigned)memory_read(&m->memory, USED_AT(queue) + 2, 2);
}

static void make_frame(uint8_t *frame, size_t len, const uint8_t *to)
{
    for (size_t i = 0; i < len; i++)
        frame[i] = (uint8_t)(i * 7 + 1);
    memcpy(frame, to, 6);
    put_be16(frame + 12, 0x0800);
}

/* The frame goes in, if the card has room for it. Was it taken? */
static bool arrives(const uint8_t *to, unsigned type, unsigned tag)
{
    unsigned before = used(RECEIVE);
    uint8_t frame[80];

    make_frame(frame, sizeof(frame), to);
    put_be16(frame + 12, (uint16_t)type);
    put_be16(frame + 14, (uint16_t)tag);
    desc(RECEIVE, 0, BUFFER_AT, 2048, 2, 0);
    if (!card->ops->input_room(card))
        offer(RECEIVE, 0);
    ck_assert_uint_ge(card->ops->input_room(card), 1518);
    input(card, frame, sizeof(frame));
    return used(RECEIVE) != before;
}

/* A command of the control queue: its answer. */
static unsigned command(unsigned class, unsigned what, const void *data, size_t len)
{
    uint8_t bytes[512] = {(uint8_t)class, (uint8_t)what};

    memcpy(bytes + 2, data, len);
    poke(FRAME_AT, bytes, (unsigned)len + 2);
    poke(ANSWER_AT, "\xff", 1);
    desc(CONTROL, 0, FRAME_AT, (uint32_t)len + 2, 1, 1);
    desc(CONTROL, 1, ANSWER_AT, 1, 2, 0);
    offer(CONTROL, 0);
    return (unsigned)memory_read(&m->memory, ANSWER_AT, 1);
}

START_TEST(frames_go_out_as_they_are)
{
    uint8_t bytes[HEADER + 100] = {0};

    new_card("virtio-net-pci,netdev=n0");
    ck_assert_str_eq(card->backend, "n0");
    make_frame(bytes + HEADER, 100, (const uint8_t *)"\xff\xff\xff\xff\xff\xff");
    poke(FRAME_AT, bytes, sizeof(bytes));
    desc(TRANSMIT, 0, FRAME_AT, HEADER, 1, 1);
    desc(TRANSMIT, 1, FRAME_AT + HEADER, 60, 1, 2);
    desc(TRANSMIT, 2, FRAME_AT + HEADER + 60, 40, 0, 0);
    offer(TRANSMIT, 0);
    ck_assert_uint_eq(used(TRANSMIT), 1);
    ck_assert_uint_eq(sent.len, 100);
    ck_assert_int_eq(memcmp(sent.data, bytes + HEADER, 100), 0);
}
END_TEST

/* RFC 1071's own example: 0001 f203 f4f5 f6f7 has the sum ddf2. */
START_TEST(a_checksum_is_completed)
{
    static const uint8_t data[] = {0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7, 0, 0};
    uint8_t bytes[HEADER + 14 + sizeof(data)] = {1};

    new_card("virtio-net-pci");
    put_le16(bytes + 6, 14);
    put_le16(bytes + 8, 8);
    memcpy(bytes + HEADER + 14, data, sizeof(data));
    poke(FRAME_AT, bytes, sizeof(bytes));
    desc(TRANSMIT, 0, FRAME_AT, sizeof(bytes), 0, 0);
    offer(TRANSMIT, 0);
    ck_assert_uint_eq(get_be16(sent.data + 14 + 8), (uint16_t)~0xddf2u);
    /* One that is not in the frame is left alone. */
    put_le16(bytes + 8, 0xffff);
    poke(FRAME_AT, bytes, sizeof(bytes));
    buffer_clear(&sent);
    offer(TRANSMIT, 0);
    ck_assert_int_eq(memcmp(sent.data, bytes + HEADER, sizeof(bytes) - HEADER), 0);
}
END_TEST

START_TEST(frames_come_in_behind_a_header)
{
    uint8_t got[HEADER + 80], frame[80];

    new_card("virtio-net-pci");
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    ck_assert(arrives(ours, 0x0800, 0x1234));
    memory_read_bytes(&m->memory, BUFFER_AT, got, sizeof(got));
    make_frame(frame, sizeof(frame), ours);
    put_be16(frame + 14, 0x1234);
    ck_assert_uint_eq(get_le16(got + 10), 1);
    ck_assert_int_eq(memcmp(got + HEADER, frame, sizeof(frame)), 0);
    ck_assert_uint_eq(memory_read(&m->memory, USED_AT(RECEIVE) + 4 + 4, 4), sizeof(got));
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    /* A buffer that is too small loses the frame, not the buffer. */
    desc(RECEIVE, 0, BUFFER_AT, 40, 2, 0);
    offer(RECEIVE, 0);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(used(RECEIVE), 1);
}
END_TEST

START_TEST(what_comes_in_is_filtered)
{
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 9}, group[6] = {1, 0, 0x5e, 0, 0, 1}, all[6] = {255, 255, 255, 255, 255, 255};
    static const uint8_t tables[] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1};

    new_card("virtio-net-pci");
    ck_assert(arrives(other, 0x0800, 0)); /* until a driver says otherwise */
    ck_assert_uint_eq(command(0, 0, "\0", 1), 0);
    ck_assert(!arrives(other, 0x0800, 0));
    ck_assert(arrives(ours, 0x0800, 0));
    ck_assert(arrives(all, 0x0800, 0));
    ck_assert(!arrives(group, 0x0800, 0));
    ck_assert_uint_eq(command(1, 0, tables, sizeof(tables)), 0);
    ck_assert(arrives(other, 0x0800, 0));
    ck_assert(arrives(group, 0x0800, 0));
    ck_assert_uint_eq(command(1, 0, "\0\0\0\0\0\0\0\0", 8), 0);
    ck_assert(!arrives(group, 0x0800, 0));
    for (unsigned n = 1; n < 6; n++) /* ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST */
        ck_assert_uint_eq(command(0, n, "\1", 1), 0);
    ck_assert(!arrives(group, 0x0800, 0) && !arrives(ours, 0x0800, 0) && !arrives(all, 0x0800, 0));
    for (unsigned n = 3; n < 6; n++)
        ck_assert_uint_eq(command(0, n, "\0", 1), 0);
    ck_assert(arrives(group, 0x0800, 0) && arrives(other, 0x0800, 0) && arrives(all, 0x0800, 0));
    ck_assert(!arrives(ours, 0x8100, 5));
    ck_assert_uint_eq(command(2, 0, "\5\0", 2), 0);
    ck_assert(arrives(ours, 0x8100, 0xe005));
    ck_assert_uint_eq(command(2, 1, "\5\0", 2), 0);
    ck_assert(!arrives(ours, 0x8100, 5));
    ck_assert_uint_eq(command(1, 1, other, 6), 0);
    ck_assert_uint_eq(get(0x2000, 4), 0x00000002); /* the address in the configuration */
}
END_TEST

START_TEST(commands_that_make_no_sense_are_errors)
{
    static const uint8_t many[] = {255, 255, 255, 255};

    new_card("virtio-net-pci,mac=02:00:00:00:00:07");
    ck_assert_uint_eq(get(0x2004, 4) & 0xffffff, 0x010700); /* its end, and that the link is up */
    ck_assert_uint_eq(command(0, 6, "\1", 1), 1);
    ck_assert_uint_eq(command(0, 0, "\1\1", 2), 1);
    ck_assert_uint_eq(command(1, 0, many, sizeof(many)), 1);
    ck_assert_uint_eq(command(1, 1, "\1", 1), 1);
    ck_assert_uint_eq(command(2, 0, "\0\x10", 2), 1);
    ck_assert_uint_eq(command(9, 0, "", 0), 1);
    /* Nothing but a header, no place for the answer: nothing goes on before a reset. */
    desc(TRANSMIT, 0, FRAME_AT, HEADER, 0, 0);
    offer(TRANSMIT, 0);
    ck_assert_uint_eq(get(0x14, 1) & 0x40, 0x40);
    start(0);
    desc(CONTROL, 0, FRAME_AT, 3, 0, 0);
    offer(CONTROL, 0);
    ck_assert_uint_eq(get(0x14, 1) & 0x40, 0x40);
}
END_TEST

/* TCP over IPv4 to us, from byte `at` of a connection on, with right checksums. */
#define HEADERS 54u

static void make_packet(uint8_t *frame, size_t data, uint32_t at, unsigned flags)
{
    struct nic_ip ip;

    memset(frame, 0, HEADERS);
    memcpy(frame, ours, 6);
    put_be16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put_be16(frame + 16, (uint16_t)(HEADERS - 14 + data));
    put_be16(frame + 18, (uint16_t)(at / 100));
    frame[22] = 64;
    frame[23] = IP_PROTOCOL_TCP;
    put_be32(frame + 26, 0x0a000202);
    put_be32(frame + 30, 0x0a00020f);
    put_be32(frame + 38, at);
    frame[46] = 0x50;
    frame[47] = (uint8_t)flags;
    for (size_t i = 0; i < data; i++)
        frame[HEADERS + i] = (uint8_t)((at + i) * 5 + ((at + i) >> 8));
    ck_assert(nic_find_ip(frame, HEADERS + data, &ip));
    nic_put_ip_checksum(frame, &ip);
    nic_put_transport_checksum(frame, &ip);
}

START_TEST(a_long_packet_goes_out_in_segments)
{
    uint8_t bytes[HEADER + HEADERS + 250] = {1, 1}, segment[HEADERS + 100];

    put_le16(bytes + 4, 100);
    put_le16(bytes + 6, 34);
    put_le16(bytes + 8, 16);
    make_packet(bytes + HEADER, 250, 1000, 0x18);
    for (unsigned on = 0; on < 2; on++) {
        new_card(on ? "virtio-net-pci" : "virtio-net-pci,host_tso4=off");
        poke(FRAME_AT, bytes, sizeof(bytes));
        desc(TRANSMIT, 0, FRAME_AT, sizeof(bytes), 0, 0);
        offer(TRANSMIT, 0);
        ck_assert_uint_eq(used(TRANSMIT), 1);
        ck_assert_uint_eq(sent.len, on ? 3 * HEADERS + 250 : HEADERS + 250);
    }
    for (unsigned n = 0; n < 3; n++) {
        size_t data = n < 2 ? 100 : 50;

        make_packet(segment, data, 1000 + 100 * n, n < 2 ? 0x10 : 0x18);
        ck_assert_int_eq(memcmp(sent.data + n * sizeof(segment), segment, HEADERS + data), 0);
    }
}
END_TEST

/* How long may TCP packets of that version of IP be put together for the card? */
static size_t joined_room(unsigned version)
{
    uint8_t frame[74] = {0};

    put_be16(frame + 12, version == 4 ? 0x0800 : 0x86dd);
    frame[14] = (uint8_t)(version << 4 | 5);
    put_be16(frame + 16, 40);
    put_be16(frame + 18, 20);
    if (version == 6)
        frame[16] = frame[17] = 0;
    if (version == 6)
        frame[20] = IP_PROTOCOL_TCP;
    else
        frame[23] = IP_PROTOCOL_TCP;
    return card->ops->joined_room(card, frame, sizeof(frame));
}

/* Buffers `first` to end-1 of `each` bytes, 4 KiB apart. */
static void give_buffers(unsigned first, unsigned end, uint32_t each)
{
    for (unsigned i = first; i < end; i++) {
        desc(RECEIVE, i, BUFFER_AT + 0x1000 * i, each, 2, 0);
        offer(RECEIVE, i);
    }
}

START_TEST(a_frame_goes_into_as_many_buffers_as_it_needs)
{
    uint8_t frame[250], got[300];

    new_card("virtio-net-pci");
    make_frame(frame, sizeof(frame), ours);
    give_buffers(0, 2, 100);
    ck_assert_uint_eq(card->ops->input_room(card), 200 - HEADER);
    input(card, frame, sizeof(frame)); /* all the same: lost, and the buffers are not */
    ck_assert_ptr_nonnull(card->refused);
    ck_assert_uint_eq(used(RECEIVE), 0);
    give_buffers(2, 6, 100);
    ck_assert_uint_eq(card->ops->input_room(card), 600 - HEADER);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(used(RECEIVE), 3);
    for (unsigned i = 0; i < 3; i++) {
        memory_read_bytes(&m->memory, BUFFER_AT + 0x1000 * i, got + 100 * i, 100);
        ck_assert_uint_eq(memory_read(&m->memory, USED_AT(RECEIVE) + 4 + 8 * i + 4, 4), i < 2 ? 100 : sizeof(frame) + HEADER - 200);
    }
    ck_assert_uint_eq(card->ops->input_room(card), 300 - HEADER);
    ck_assert_int_eq(memcmp(got + HEADER, frame, sizeof(frame)), 0);
    ck_assert_uint_eq(get_le16(got + 10), 3);
}
END_TEST

START_TEST(checksums_that_hold_are_said_to)
{
    uint8_t frame[HEADERS + 101];

    new_card("virtio-net-pci");
    give_buffers(0, 2, 2048);
    make_packet(frame, 101, 7, 0x10);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(memory_read(&m->memory, BUFFER_AT, 1), 2);
    frame[80]++;
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(memory_read(&m->memory, BUFFER_AT + 0x1000, 1), 0);
    new_card("virtio-net-pci,guest_csum=off");
    ck_assert_uint_eq(joined_room(4), 0);
    give_buffers(0, 1, 2048);
    frame[80]--;
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(memory_read(&m->memory, BUFFER_AT, 1), 0);
}
END_TEST

START_TEST(packets_that_follow_one_another_come_as_one)
{
    static uint8_t frame[HEADERS + 3 * 1460], got[sizeof(frame) + HEADER];
    uint8_t next[HEADERS + 1460], other[HEADERS + 1460];
    size_t len = HEADERS + 1460, mss = 0;
    struct nic_ip ip;

    new_card("virtio-net-pci");
    ck_assert_uint_eq(joined_room(4), 0);
    give_buffers(0, 2, 4096);
    ck_assert_uint_eq(joined_room(4), 2 * 4096 - HEADER);
    make_packet(frame, 1460, 5000, 0x10);
    make_packet(next, 1460, 6460, 0x10);
    /* Not of it: later data, another connection, a checksum that does not hold, a flag. */
    make_packet(other, 1460, 6461, 0x10);
    ck_assert(!nic_join(frame, &len, sizeof(frame), other, sizeof(other), &mss));
    memcpy(other, next, sizeof(next));
    other[35]++;
    ck_assert(!nic_join(frame, &len, sizeof(frame), other, sizeof(other), &mss));
    memcpy(other, next, sizeof(next));
    other[700]++;
    ck_assert(!nic_join(frame, &len, sizeof(frame), other, sizeof(other), &mss));
    make_packet(other, 1460, 6460, 0x11);
    ck_assert(!nic_join(frame, &len, sizeof(frame), other, sizeof(other), &mss));
    ck_assert(!nic_join(frame, &len, sizeof(frame) - 1461, next, sizeof(next), &mss)); /* no room */
    ck_assert_uint_eq(len, HEADERS + 1460);
    ck_assert(nic_join(frame, &len, sizeof(frame), next, sizeof(next), &mss));
    make_packet(other, 1000, 7920, 0x18);
    ck_assert(nic_join(frame, &len, sizeof(frame), other, HEADERS + 1000, &mss));
    ck_assert_uint_eq(mss, 1460);
    make_packet(other, 10, 8920, 0x10);
    ck_assert(!nic_join(frame, &len, sizeof(frame), other, HEADERS + 10, &mss)); /* the last one was pushed, and not full */
    nic_joined(frame, len);
    ck_assert_uint_eq(len, HEADERS + 3920);
    ck_assert(nic_find_ip(frame, len, &ip) && nic_ip_checksum_holds(frame, &ip) && nic_transport_checksum_holds(frame, &ip));
    ck_assert_uint_eq(frame[47], 0x18);
    for (size_t i = 0; i < 3920; i++)
        ck_assert_uint_eq(frame[HEADERS + i], (uint8_t)((5000 + i) * 5 + ((5000 + i) >> 8)));
    /* The card tells it as what is to be segmented: TCP over IPv4, headers, what a segment holds, where the checksum is to be. */
    input(card, frame, len);
    memory_read_bytes(&m->memory, BUFFER_AT, got, len + HEADER);
    ck_assert_uint_eq(get_le16(got), 0x0101);
    ck_assert_uint_eq(get_le16(got + 2), HEADERS);
    ck_assert_uint_eq(get_le16(got + 4), 1460);
    ck_assert_uint_eq(get_le16(got + 6), 34);
    ck_assert_uint_eq(get_le16(got + 8), 16);
    ck_assert_uint_eq(get_le16(got + 10), 1);
    ck_assert_uint_eq(get_be16(got + HEADER + 50), nic_sum(frame + 26, 8, 6 + (uint32_t)len - 34));
    ck_assert_int_eq(memcmp(got + HEADER + HEADERS, frame + HEADERS, len - HEADERS), 0);
}
END_TEST

/* TCP or UDP over IPv6 to us with `before` bytes of destination options, from byte `at` of a connection on, with a right checksum. */
static size_t make_packet6(uint8_t *frame, unsigned protocol, size_t before, size_t data, uint32_t at, unsigned flags)
{
    size_t transport = 54 + before, headers = transport + (protocol == IP_PROTOCOL_TCP ? 20 : 8);
    struct nic_ip ip;

    memset(frame, 0, headers);
    memcpy(frame, ours, 6);
    put_be16(frame + 12, 0x86dd);
    frame[14] = 0x60;
    put_be16(frame + 18, (uint16_t)(headers - 54 + data));
    frame[20] = (uint8_t)(before ? 60 : protocol);
    frame[21] = 64;
    for (unsigned i = 0; i < 32; i++)
        frame[22 + i] = (uint8_t)(0xfe - 5 * i);
    if (before) {
        frame[54] = (uint8_t)protocol;
        frame[55] = (uint8_t)(before / 8 - 1);
    }
    put_be16(frame + transport, 0x1234);
    put_be16(frame + transport + 2, 80);
    if (protocol == IP_PROTOCOL_TCP) {
        put_be32(frame + transport + 4, at);
        frame[transport + 12] = 0x50;
        frame[transport + 13] = (uint8_t)flags;
    } else {
        put_be16(frame + transport + 4, (uint16_t)(8 + data));
    }
    for (size_t i = 0; i < data; i++)
        frame[headers + i] = (uint8_t)((at + i) * 5 + ((at + i) >> 8));
    ck_assert(nic_find_ip6(frame, headers + data, &ip));
    ck_assert_uint_eq(ip.transport, transport);
    nic_put_transport_checksum(frame, &ip);
    return headers + data;
}

/* In words of this test's own: is the checksum right of what is carried, of `protocol`, from `transport` on to `len`? */
static bool sum_holds6(const uint8_t *frame, unsigned protocol, size_t transport, size_t len)
{
    uint64_t sum = protocol + len - transport;

    for (unsigned i = 0; i < 32; i += 2)
        sum += get_be16(frame + 22 + i);
    for (size_t i = transport; i < len; i++)
        sum += (uint64_t)frame[i] << ((i - transport) & 1 ? 0 : 8);
    return sum % 0xffff == 0;
}

/* Send that frame with a header that asks for a kind of segmentation, and the checksum at `start` + `offset`. */
static void send_whole(const uint8_t *frame, size_t len, unsigned kind, unsigned size, unsigned start, unsigned offset)
{
    uint8_t bytes[HEADER] = {1, (uint8_t)kind};

    put_le16(bytes + 4, size);
    put_le16(bytes + 6, start);
    put_le16(bytes + 8, offset);
    poke(FRAME_AT, bytes, sizeof(bytes));
    poke(FRAME_AT + HEADER, frame, (unsigned)len);
    desc(TRANSMIT, 0, FRAME_AT, HEADER + (uint32_t)len, 0, 0);
    buffer_clear(&sent);
    offer(TRANSMIT, 0);
}

START_TEST(tcp_over_ipv6_goes_out_in_segments)
{
    uint8_t frame[400], want[400];
    size_t len, each;

    new_card("virtio-net-pci");
    for (unsigned before = 0; before <= 16; before += 16) {
        len = make_packet6(frame, IP_PROTOCOL_TCP, before, 250, 1000, 0xd9); /* CWR, ECE, ACK, PSH, FIN */
        send_whole(frame, len, 0x84, 100, 54 + before, 16);
        each = 74 + before + 100;
        ck_assert_uint_eq(sent.len, 3 * each - 50);
        for (unsigned n = 0; n < 3; n++) {
            len = make_packet6(want, IP_PROTOCOL_TCP, before, n < 2 ? 100 : 50, 1000 + 100 * n, n == 0 ? 0xd0 : n == 1 ? 0x50 : 0x59);
            ck_assert_int_eq(memcmp((uint8_t *)sent.data + n * each, want, len), 0);
            ck_assert(sum_holds6((uint8_t *)sent.data + n * each, IP_PROTOCOL_TCP, 54 + before, len));
        }
    }
    /* What the header says, the frame has to be; and what was not offered is not done. */
    len = make_packet6(frame, IP_PROTOCOL_TCP, 0, 250, 1000, 0x10);
    send_whole(frame, len, 1, 100, 54, 16);
    ck_assert_uint_eq(sent.len, len);
    new_card("virtio-net-pci,host_tso6=off");
    send_whole(frame, len, 4, 100, 54, 16);
    ck_assert_uint_eq(sent.len, len);
}
END_TEST

START_TEST(udp_goes_out_in_datagrams_or_in_fragments)
{
    uint8_t frame[600], v4[600] = {0};
    const uint8_t *out;
    struct nic_ip ip;
    size_t len;

    new_card("virtio-net-pci");
    len = make_packet6(frame, IP_PROTOCOL_UDP, 0, 250, 7, 0);
    send_whole(frame, len, 5, 100, 54, 6);
    ck_assert_uint_eq(sent.len, 3 * 62 + 250);
    for (unsigned n = 0; n < 3; n++) {
        size_t data = n < 2 ? 100 : 50;

        out = (uint8_t *)sent.data + 162 * n;
        ck_assert_uint_eq(get_be16(out + 18), 8 + data);
        ck_assert_uint_eq(get_be16(out + 58), 8 + data);
        ck_assert(sum_holds6(out, IP_PROTOCOL_UDP, 54, 62 + data));
        ck_assert_int_eq(memcmp(out + 62, frame + 62 + 100 * n, data), 0);
    }
    /* Fragments: 258 bytes in pieces of 96, the first with the header of UDP, whose checksum is of it all. */
    ck_assert(nic_find_ip6(frame, len, &ip));
    put_be16(frame + 60, nic_pseudo_sum(frame, &ip)); /* as a driver leaves it */
    send_whole(frame, len, 3, 100, 54, 6);
    ck_assert_uint_eq(sent.len, 3 * 62 + 258);
    for (unsigned n = 0; n < 3; n++) {
        size_t data = n < 2 ? 96 : 66;

        out = (uint8_t *)sent.data + 158 * n;
        ck_assert_uint_eq(get_be16(out + 18), 8 + data);
        ck_assert_uint_eq(out[20], 44);
        ck_assert_uint_eq(out[54], IP_PROTOCOL_UDP);
        ck_assert_uint_eq(get_be16(out + 56), 96 * n + (n < 2));
        ck_assert_uint_eq(get_be32(out + 58), get_be32((uint8_t *)sent.data + 58));
        if (n)
            ck_assert_int_eq(memcmp(out + 62, frame + 54 + 96 * n, data), 0);
    }
    memcpy(frame + 54, (uint8_t *)sent.data + 62, 96);
    ck_assert(sum_holds6(frame, IP_PROTOCOL_UDP, 54, len));
    /* IPv4. */
    make_packet(v4, 250, 0, 0);
    v4[23] = IP_PROTOCOL_UDP;
    put_be16(v4 + 18, 77);
    put_be16(v4 + 38, 270);
    ck_assert(nic_find_ip(v4, HEADERS + 250, &ip));
    nic_put_ip_checksum(v4, &ip);
    send_whole(v4, HEADERS + 250, 3, 200, 34, 6);
    ck_assert_uint_eq(sent.len, 2 * 34 + 270);
    for (unsigned n = 0; n < 2; n++) {
        out = (uint8_t *)sent.data + 234 * n;
        ck_assert_uint_eq(get_be16(out + 16), n ? 90 : 220);
        ck_assert_uint_eq(get_be16(out + 18), 77);
        ck_assert_uint_eq(get_be16(out + 20), n ? 25 : 0x2000);
        ck_assert_uint_eq(nic_sum(out + 14, 20, 0), 0xffff);
    }
    new_card("virtio-net-pci,host_ufo=off,host_uso=off");
    for (unsigned kind = 3; kind < 6; kind += 2) {
        send_whole(frame, len, kind, 100, 54, 6);
        ck_assert_uint_eq(sent.len, len);
    }
}
END_TEST

/* What the card says of a frame: flags. */
static unsigned flags_of(uint8_t *frame, size_t len)
{
    give_buffers(0, 1, 2048);
    input(card, frame, len);
    return (unsigned)memory_read(&m->memory, BUFFER_AT, 1);
}

START_TEST(checksums_over_ipv6_are_said_to_hold)
{
    uint8_t frame[300];
    size_t len;

    new_card("virtio-net-pci");
    for (unsigned n = 0; n < 4; n++) {
        unsigned before = n & 1 ? 8 : 0, protocol = n & 2 ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP;

        len = make_packet6(frame, protocol, before, 101, 7, 0x10);
        ck_assert_uint_eq(flags_of(frame, len), 2);
        frame[30]++; /* an address */
        ck_assert_uint_eq(flags_of(frame, len), 0);
    }
    /* Over IPv6, UDP has a checksum. */
    len = make_packet6(frame, IP_PROTOCOL_UDP, 0, 101, 7, 0);
    put_be16(frame + 60, 0);
    ck_assert_uint_eq(flags_of(frame, len), 0);
    /* On its way by a routing header: the checksum is of another address. */
    len = make_packet6(frame, IP_PROTOCOL_TCP, 24, 101, 7, 0x10);
    frame[20] = 43;
    frame[57] = 1;
    ck_assert_uint_eq(flags_of(frame, len), 0);
    frame[57] = 0;
    ck_assert_uint_eq(flags_of(frame, len), 2);
    /* A fragment, then one that is all there is of its packet. */
    len = make_packet6(frame, IP_PROTOCOL_TCP, 8, 101, 7, 0x10);
    frame[20] = 44;
    frame[57] = 1;
    ck_assert_uint_eq(flags_of(frame, len), 0);
    frame[57] = 0;
    ck_assert_uint_eq(flags_of(frame, len), 2);
    /* Headers without end. */
    len = make_packet6(frame, IP_PROTOCOL_TCP, 8, 101, 7, 0x10);
    frame[55] = 255;
    ck_assert_uint_eq(flags_of(frame, len), 0);
}
END_TEST

START_TEST(packets_over_ipv6_come_as_one)
{
    static uint8_t frame[74 + 3 * 1440], got[sizeof(frame) + HEADER];
    uint8_t next[74 + 1440];
    size_t len, mss = 0, more;

    new_card("virtio-net-pci");
    give_buffers(0, 2, 4096);
    ck_assert_uint_eq(joined_room(6), 2 * 4096 - HEADER);
    len = make_packet6(frame, IP_PROTOCOL_TCP, 0, 1440, 5000, 0x10);
    more = make_packet6(next, IP_PROTOCOL_TCP, 0, 1440, 6440, 0x10);
    next[17]++; /* another flow */
    ck_assert(!nic_join(frame, &len, sizeof(frame), next, more, &mss));
    next[17]--;
    next[30]++; /* another connection */
    ck_assert(!nic_join(frame, &len, sizeof(frame), next, more, &mss));
    next[30]--;
    ck_assert(nic_join(frame, &len, sizeof(frame), next, more, &mss));
    more = make_packet6(next, IP_PROTOCOL_TCP, 0, 1000, 7880, 0x18);
    ck_assert(nic_join(frame, &len, sizeof(frame), next, more, &mss));
    nic_joined(frame, len);
    ck_assert_uint_eq(len, 74 + 3880);
    ck_assert(sum_holds6(frame, IP_PROTOCOL_TCP, 54, len));
    input(card, frame, len);
    memory_read_bytes(&m->memory, BUFFER_AT, got, len + HEADER);
    ck_assert_uint_eq(get_le16(got), 0x0401);
    ck_assert_uint_eq(get_le16(got + 2), 74);
    ck_assert_uint_eq(get_le16(got + 4), 1440);
    ck_assert_uint_eq(get_le16(got + 6), 54);
    ck_assert_uint_eq(get_le16(got + 8), 16);
    ck_assert_int_eq(memcmp(got + HEADER + 74, frame + 74, len - 74), 0);
    new_card("virtio-net-pci,guest_tso6=off");
    give_buffers(0, 2, 4096);
    ck_assert_uint_eq(joined_room(6), 0);
    ck_assert_uint_gt(joined_room(4), 0);
}
END_TEST

START_TEST(offloads_are_turned_off_and_on)
{
    uint8_t frame[HEADERS + 101], set_to[8] = {0};

    new_card("virtio-net-pci");
    make_packet(frame, 101, 7, 0x10);
    ck_assert_uint_eq(flags_of(frame, sizeof(frame)), 2);
    ck_assert_uint_eq(command(5, 0, set_to, 8), 0);
    ck_assert_uint_eq(flags_of(frame, sizeof(frame)), 0);
    give_buffers(0, 1, 2048);
    ck_assert_uint_eq(joined_room(4), 0);
    put_le16(set_to, 0x102); /* GUEST_CSUM, GUEST_TSO6 */
    ck_assert_uint_eq(command(5, 0, set_to, 8), 0);
    ck_assert_uint_eq(joined_room(4), 0);
    ck_assert_uint_ne(joined_room(6), 0);
    ck_assert_uint_eq(command(5, 1, set_to, 8), 1);
    ck_assert_uint_eq(command(5, 0, set_to, 7), 1);
    set_to[0] |= 1; /* CSUM is none of them */
    ck_assert_uint_eq(command(5, 0, set_to, 8), 1);
    ck_assert_uint_eq(command(3, 0, "", 0), 1); /* nothing was to be announced */
    start(0xffffffffu & ~(1u << 29 | 1u << 10)); /* a reset turns all on; without GUEST_UFO, it cannot be turned on */
    ck_assert_uint_eq(flags_of(frame, sizeof(frame)), 2);
    put_le16(set_to, 0x782);
    ck_assert_uint_eq(command(5, 0, set_to, 8), 1);
    put_le16(set_to, 0x382);
    ck_assert_uint_eq(command(5, 0, set_to, 8), 0);
}
END_TEST

START_TEST(a_queue_is_reset_by_itself)
{
    uint8_t frame[HEADERS + 101];

    new_card("virtio-net-pci");
    make_packet(frame, 101, 7, 0x10);
    give_buffers(0, 3, 2048);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(used(RECEIVE), 1);
    set(0x16, 2, RECEIVE);
    ck_assert_uint_eq(get(0x1c, 2), 1);
    set(0x3a, 2, 1);
    ck_assert_uint_eq(get(0x3a, 2), 0);
    ck_assert_uint_eq(get(0x1c, 2), 0);
    ck_assert_uint_eq(get(0x18, 2), 256);
    ck_assert_uint_eq(get(0x20, 8), 0);
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    /* The others go on, and it does where it is set up anew, from the beginning. */
    send_whole(frame, sizeof(frame), 0, 0, 0, 0);
    ck_assert_uint_eq(sent.len, sizeof(frame));
    memory_write(&m->memory, AVAIL_AT(RECEIVE), 4, 0);
    memory_write(&m->memory, USED_AT(RECEIVE), 4, 0);
    next_avail[RECEIVE] = 0;
    set(0x16, 2, RECEIVE);
    set(0x18, 2, QUEUE);
    set(0x20, 8, RINGS_AT(RECEIVE));
    set(0x28, 8, AVAIL_AT(RECEIVE));
    set(0x30, 8, USED_AT(RECEIVE));
    set(0x1c, 2, 1);
    give_buffers(0, 1, 2048);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(used(RECEIVE), 1);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(frames_go_out_as_they_are);
    ADD(a_checksum_is_completed);
    ADD(frames_come_in_behind_a_header);
    ADD(what_comes_in_is_filtered);
    ADD(commands_that_make_no_sense_are_errors);
    ADD(a_long_packet_goes_out_in_segments);
    ADD(a_frame_goes_into_as_many_buffers_as_it_needs);
    ADD(checksums_that_hold_are_said_to);
    ADD(packets_that_follow_one_another_come_as_one);
    ADD(tcp_over_ipv6_goes_out_in_segments);
    ADD(udp_goes_out_in_datagrams_or_in_fragments);
    ADD(checksums_over_ipv6_are_said_to_hold);
    ADD(packets_over_ipv6_come_as_one);
    ADD(offloads_are_turned_off_and_on);
    ADD(a_queue_is_reset_by_itself);
}

CHIP_TESTS("virtio-net", claims)
