/*
 * The virtio network card: frames out and in, checksums, filters, and requests that no driver should make.
 */
#include "tests/vm/virtio_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
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

static void claims(TCase *tc)
{
    ADD(frames_go_out_as_they_are);
    ADD(a_checksum_is_completed);
    ADD(frames_come_in_behind_a_header);
    ADD(what_comes_in_is_filtered);
    ADD(commands_that_make_no_sense_are_errors);
}

CHIP_TESTS("virtio-net", claims)
