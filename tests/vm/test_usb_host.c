/*
 * A USB device of the host: what goes out to it and what comes of its answers, in any order, and what is nonsense.
 */
#include "tests/vm/disk_bench.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/usb_message.h"
#include "vm/dev/uhci.h"
#include "vm/dev/usb.h"
#include "vm/dev/usb_host.h"

/* A device of full speed with endpoints 81h (bulk), 02h (bulk), 83h (isochronous). */
#define DEVICE_HEX "12010002000000406b1ddefa00010001" "0001"
#define CONFIGURATION_HEX "0902270001010080" "32" "0904000003ff000000" "07058102400000" "07050202400000" "07058301400001"

static struct usb_device *u;

static int plug_host(const char *text, struct error *e)
{
    struct sockets s = {.machine = m, .pci = &bench_bus};
    struct option_list props;
    int r;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(bench_plug(&s, "uhci", piix3_usb_uhci_plug, "x", NULL, e), 0);
    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, e), 0);
    r = usb_host_plug(&s, "h", 0, NULL, &props, e);
    option_list_finish(&props);
    return r;
}

static void new_host(void)
{
    struct error e = {0};

    ck_assert_msg(plug_host("usb-host,vendorid=1,speed=full,descriptors=" DEVICE_HEX CONFIGURATION_HEX, &e) == 0, "%s", e.text);
    u = machine_find_device(m, "h")->wiring;
    reset_all();
    usb_bus_reset(u);
    u->st->configuration = 1;
    buffer_clear(&sent);
}

/* The next message to the host: its number. */
static uint32_t asked(unsigned kind, unsigned endpoint, unsigned len, const void *data, size_t bytes)
{
    uint32_t number;

    ck_assert_uint_ge(sent.len, USB_HOST_HEAD + bytes);
    number = get_le32(sent.data);
    ck_assert_uint_eq(sent.data[4], kind);
    ck_assert_uint_eq(sent.data[5], endpoint);
    ck_assert_uint_eq(get_le16(sent.data + 6), len);
    ck_assert_mem_eq(sent.data + USB_HOST_HEAD, data, bytes);
    ck_assert_uint_eq(sent.len, USB_HOST_HEAD + bytes);
    buffer_clear(&sent);
    return number;
}

static void tell(uint32_t number, unsigned status, unsigned endpoint, const char *text)
{
    uint8_t bytes[USB_HOST_HEAD + 64] = {0};

    put_le32(bytes, number);
    bytes[4] = (uint8_t)status;
    bytes[5] = (uint8_t)endpoint;
    memcpy(bytes + USB_HOST_HEAD, text, strlen(text));
    input(u->dev, bytes, USB_HOST_HEAD + strlen(text));
    ck_assert(u->dev->ops->possible(u->dev));
}

static uint8_t packet[64];
static size_t packet_len;

static enum usb_answer take(unsigned endpoint)
{
    packet_len = 64;
    return usb_transact(u, USB_PID_IN, endpoint, packet, &packet_len);
}

static enum usb_answer give(unsigned endpoint, const char *text)
{
    size_t len = strlen(text);
    uint8_t copy[64];

    memcpy(copy, text, len);
    return usb_transact(u, USB_PID_OUT, endpoint, copy, &len);
}

static const uint8_t *request(unsigned type, unsigned request, unsigned value, unsigned index, unsigned length)
{
    static uint8_t bytes[8];
    uint8_t copy[8];
    size_t len = 8;

    bytes[0] = (uint8_t)type;
    bytes[1] = (uint8_t)request;
    put_le16(bytes + 2, (uint16_t)value);
    put_le16(bytes + 4, (uint16_t)index);
    put_le16(bytes + 6, (uint16_t)length);
    memcpy(copy, bytes, 8);
    ck_assert_int_eq(usb_transact(u, USB_PID_SETUP, 0, copy, &len), USB_ACK);
    return bytes;
}

START_TEST(descriptors_are_those_of_the_host)
{
    new_host();
    request(0x80, 6, 0x100, 0, 18);
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(packet[7], 8); /* packets of our control pipe */
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(get_le32(packet), 0xfade1d6b);
    request(0x80, 6, 0x200, 0, 9);
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(get_le16(packet + 2), 39);
    request(0x80, 8, 0, 0, 1);
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(packet[0], 1);
    request(0, 9, 2, 0, 0);
    ck_assert_int_eq(take(0), USB_STALL);
    request(0, 9, 0, 0, 0);
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(u->st->configuration, 0);
    request(0, 5, 9, 0, 0);
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(u->st->address, 9);
    ck_assert_uint_eq(sent.len, 0); /* the host was asked nothing */
}
END_TEST

START_TEST(a_request_waits_for_its_answer)
{
    const uint8_t *s;
    uint32_t n;

    new_host();
    s = request(0x80, 6, 0x302, 0x409, 255);
    n = asked(USB_HOST_CONTROL, 0, 8, s, 8);
    ck_assert_int_eq(take(0), USB_NAK);
    tell(n + 7, USB_HOST_OK, 0, "not this one");
    ck_assert_int_eq(take(0), USB_NAK);
    tell(n, USB_HOST_OK, 0, "something long");
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(packet_len, 8);
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_mem_eq(packet, "g long", 6);
    ck_assert_int_eq(give(0, ""), USB_ACK);
    tell(n, USB_HOST_OK, 0, "twice");
    s = request(0xc0, 1, 0, 0, 4);
    n = asked(USB_HOST_CONTROL, 0, 8, s, 8);
    tell(n, USB_HOST_STALL, 0, "");
    ck_assert_int_eq(take(0), USB_STALL);
    s = request(0xc0, 1, 0, 0, 4);
    tell(asked(USB_HOST_CONTROL, 0, 8, s, 8), USB_HOST_OK, 0, "more than four");
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(packet_len, 4);
}
END_TEST

START_TEST(a_request_with_data_is_done_when_the_device_has_done_it)
{
    uint8_t message[12];
    uint32_t n;

    new_host();
    memcpy(message, request(0x40, 7, 1, 2, 4), 8);
    memcpy(message + 8, "data", 4);
    ck_assert_uint_eq(sent.len, 0);
    ck_assert_int_eq(give(0, "data"), USB_ACK);
    ck_assert_int_eq(take(0), USB_NAK);
    n = asked(USB_HOST_CONTROL, 0, 12, message, 12);
    ck_assert_int_eq(take(0), USB_NAK);
    ck_assert_uint_eq(sent.len, 0);
    tell(n, USB_HOST_OK, 0, "");
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_uint_eq(packet_len, 0);
    request(0x40, 7, 1, 2, 0);
    ck_assert_int_eq(take(0), USB_NAK);
    tell(get_le32(sent.data), USB_HOST_FAILED, 0, "");
    ck_assert_int_eq(take(0), USB_STALL);
}
END_TEST

START_TEST(a_packet_is_asked_for_once_and_told_once)
{
    uint32_t n;

    new_host();
    ck_assert_int_eq(take(1), USB_NAK);
    n = asked(USB_HOST_IN, 0x81, 64, "", 0);
    ck_assert_int_eq(take(1), USB_NAK);
    ck_assert_uint_eq(sent.len, 0);
    tell(n, USB_HOST_OK, 0x81, "hello");
    ck_assert_int_eq(take(1), USB_ACK);
    ck_assert_uint_eq(packet_len, 5);
    ck_assert_mem_eq(packet, "hello", 5);
    tell(n, USB_HOST_OK, 0x81, "again");
    ck_assert_int_eq(take(1), USB_NAK);
    tell(asked(USB_HOST_IN, 0x81, 64, "", 0), USB_HOST_OK, 0x81, "");
    ck_assert_int_eq(take(1), USB_ACK); /* an empty one */
    ck_assert_uint_eq(packet_len, 0);
    ck_assert_int_eq(take(3), USB_SILENCE); /* isochronous */
    ck_assert_int_eq(take(4), USB_SILENCE);
    ck_assert_uint_eq(sent.len, 0);
}
END_TEST

START_TEST(a_packet_out_waits_for_the_one_before_it)
{
    uint32_t n;

    new_host();
    ck_assert_int_eq(give(2, "one"), USB_ACK);
    n = asked(USB_HOST_OUT, 2, 3, "one", 3);
    ck_assert_int_eq(give(2, "two"), USB_NAK);
    tell(n, USB_HOST_OK, 2, "");
    ck_assert_int_eq(give(2, "two"), USB_ACK);
    tell(asked(USB_HOST_OUT, 2, 3, "two", 3), USB_HOST_STALL, 2, "");
    ck_assert_int_eq(give(2, "three"), USB_STALL);
    request(2, 1, 0, 2, 0); /* the halt ends here and there */
    ck_assert_int_eq(take(0), USB_NAK);
    tell(get_le32(sent.data), USB_HOST_OK, 0, "");
    ck_assert_int_eq(take(0), USB_ACK);
    ck_assert_int_eq(give(2, "three"), USB_ACK);
}
END_TEST

START_TEST(a_bus_reset_cancels_what_is_under_way)
{
    uint32_t n;

    new_host();
    ck_assert_int_eq(take(1), USB_NAK);
    n = asked(USB_HOST_IN, 0x81, 64, "", 0);
    usb_bus_reset(u);
    asked(USB_HOST_CANCEL, 0xff, 0, "", 0);
    usb_bus_reset(u);
    ck_assert_uint_eq(sent.len, 0); /* there is nothing any more */
    u->st->configuration = 1;
    tell(n, USB_HOST_OK, 0x81, "late");
    ck_assert_int_eq(take(1), USB_NAK);
    ck_assert_uint_gt(asked(USB_HOST_IN, 0x81, 64, "", 0), n + 1);
    reset_all();
    ck_assert_uint_eq(sent.data[4], USB_HOST_CANCEL);
}
END_TEST

START_TEST(what_is_lost_is_asked_for_again)
{
    new_host();
    ck_assert_int_eq(take(1), USB_NAK);
    ck_assert_int_eq(give(2, "x"), USB_ACK);
    request(0xc0, 1, 0, 0, 4);
    buffer_clear(&sent);
    tell(0, USB_HOST_LOST, 0, "");
    ck_assert_int_eq(take(0), USB_STALL);
    ck_assert_int_eq(give(2, "y"), USB_ACK);
    buffer_clear(&sent);
    ck_assert_int_eq(take(1), USB_NAK);
    asked(USB_HOST_IN, 0x81, 64, "", 0);
}
END_TEST

START_TEST(a_device_that_is_gone_is_silent)
{
    new_host();
    ck_assert_int_eq(take(1), USB_NAK);
    tell(0, USB_HOST_GONE, 0, "");
    ck_assert_int_eq(take(1), USB_SILENCE);
    ck_assert_int_eq(give(2, "x"), USB_SILENCE);
    request(0xc0, 1, 0, 0, 4);
    ck_assert_int_eq(take(0), USB_STALL);
    reset_all();
    u->st->configuration = 1;
    ck_assert_int_eq(take(1), USB_SILENCE); /* still */
}
END_TEST

START_TEST(nonsense_from_outside_does_no_harm)
{
    uint8_t bytes[USB_HOST_HEAD + USB_HOST_DATA_MOST + 1];

    new_host();
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = (size_t)rand() % 24;

        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)rand();
        if (round % 50 == 0)
            len = sizeof(bytes) - (size_t)(rand() % 2);
        put_le32(bytes, ((const uint32_t *)u->dev->state)[0] ? (uint32_t)(rand() % 3) + round / 4 : 0);
        bytes[4] = (uint8_t)(rand() % 4);
        take((unsigned)rand() % 16);
        give((unsigned)rand() % 16, "text");
        if (rand() % 3 == 0)
            request((unsigned)rand() & 0xffu, (unsigned)rand() % 13, (unsigned)rand() & 0xffffu, (unsigned)rand() & 0xffu, (unsigned)rand() % 300);
        input(u->dev, bytes, len);
        u->st->configuration = 1;
        ck_assert(u->dev->ops->possible(u->dev));
        buffer_clear(&sent);
    }
}
END_TEST

START_TEST(descriptors_that_are_none_are_refused)
{
    static const char *const bad[] = {
        "", "12", "zz" DEVICE_HEX CONFIGURATION_HEX, DEVICE_HEX, DEVICE_HEX "09022000010100", DEVICE_HEX "0902090001020080" "32", /* number 2 */
        DEVICE_HEX "09020a0001010080" "3200", DEVICE_HEX "09020b0001010080" "320305", DEVICE_HEX "0902100001010080" "32" "070581020007ff",
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct error e = {0};
        char text[800];

        snprintf(text, sizeof(text), "usb-host,vendorid=1,descriptors=%s", bad[i]);
        ck_assert_int_lt(plug_host(text, &e), 0);
    }
}
END_TEST

/* Cameras and sound cards have long ones. */
START_TEST(a_long_configuration_is_read_in_full)
{
    enum { INTERFACES = 100, LEN = 9 + 9 * INTERFACES };
    char text[2 * (18 + LEN) + 100] = "usb-host,vendorid=1,speed=full,descriptors=" DEVICE_HEX;
    uint8_t want[LEN] = {9, 2, LEN & 0xff, LEN >> 8, 1, 1, 0, 0x80, 0x32}, setup[8] = {0x80, 6, 0, 2, 0, 0, 0xff, 0xff};
    struct error e = {0};
    size_t n, got = 0;

    for (unsigned i = 0; i < INTERFACES; i++)
        memcpy(want + 9 + 9 * i, (uint8_t[]){9, 4, 0, (uint8_t)i, 0, 255, 0, 0, 0}, 9);
    for (unsigned i = 0; i < LEN; i++)
        snprintf(text + strlen(text), 3, "%02x", want[i]);
    ck_assert_msg(plug_host(text, &e) == 0, "%s", e.text);
    u = machine_find_device(m, "h")->wiring;
    reset_all();
    usb_bus_reset(u);
    for (unsigned wanted = 300; wanted <= 0xffff; wanted += 0xffff - 300) {
        put_le16(setup + 6, wanted);
        n = 8;
        ck_assert_int_eq(usb_transact(u, USB_PID_SETUP, 0, setup, &n), USB_ACK);
        for (got = 0;; got += n) {
            uint8_t piece[8];

            n = sizeof(piece);
            ck_assert_int_eq(usb_transact(u, USB_PID_IN, 0, piece, &n), USB_ACK);
            ck_assert(u->dev->ops->possible(u->dev));
            ck_assert_uint_le(got + n, LEN);
            ck_assert_mem_eq(piece, want + got, n);
            if (n < sizeof(piece))
                break;
        }
        ck_assert_uint_eq(got + n, wanted < LEN ? wanted : LEN);
        n = 0;
        ck_assert_int_eq(usb_transact(u, USB_PID_OUT, 0, setup, &n), USB_ACK);
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(descriptors_are_those_of_the_host);
    ADD(a_long_configuration_is_read_in_full);
    ADD(a_request_waits_for_its_answer);
    ADD(a_request_with_data_is_done_when_the_device_has_done_it);
    ADD(a_packet_is_asked_for_once_and_told_once);
    ADD(a_packet_out_waits_for_the_one_before_it);
    ADD(a_bus_reset_cancels_what_is_under_way);
    ADD(what_is_lost_is_asked_for_again);
    ADD(a_device_that_is_gone_is_silent);
    ADD(nonsense_from_outside_does_no_harm);
    ADD(descriptors_that_are_none_are_refused);
}

CHIP_TESTS("usb-host", claims)
