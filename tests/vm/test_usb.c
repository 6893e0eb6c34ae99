/*
 * USB devices, transaction by transaction: chapter 9, HID, hubs, serial ports, mass storage by bulk-only transport.
 */
#include "tests/vm/disk_bench.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/keys.h"
#include "vm/dev/usb.h"
#include "vm/dev/usb_hid.h"
#include "vm/dev/usb_hub.h"
#include "vm/dev/usb_serial.h"
#include "vm/dev/usb_storage.h"

static const struct device_ops host_ops = {.name = "host", .state_size = 8};
static struct usb_bus bus;
static unsigned readies, wakeups, last_ready;

static bool enabled(const struct usb_bus *b, unsigned port)
{
    (void)b, (void)port;
    return true;
}

static void wakeup(struct usb_bus *b, unsigned port)
{
    (void)b, (void)port;
    wakeups++;
}

static void ready(struct usb_bus *b, struct usb_device *d, unsigned endpoint)
{
    (void)b, (void)d;
    readies++;
    last_ready = endpoint;
}

static const struct usb_bus_ops bus_ops = {.enabled = enabled, .wakeup = wakeup, .ready = ready};

static struct usb_device *plug(plug_fn *fn, const char *text, const char *name, struct drive *d, struct error *e)
{
    struct sockets s = {.machine = m, .pci = &bench_bus};
    struct option_list props;
    int r;

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, e), 0);
    r = fn(&s, name, 0, d, &props, e);
    option_list_finish(&props);
    return r == 0 ? machine_find_device(m, name)->wiring : NULL;
}

/* A bus whose ports have these speeds, and nothing in them. */
static void new_bus(unsigned speeds)
{
    new_disk_bench();
    memset(&bus, 0, sizeof(bus));
    usb_bus_init(&bus, m, machine_add_device(m, &host_ops, "host", NULL), &bus_ops, 4, speeds);
    readies = wakeups = 0;
}

static struct usb_device *new_device(plug_fn *fn, enum usb_speed speed, struct drive *d)
{
    struct error e = {0};
    struct usb_device *u = plug(fn, "device", "dev", d, &e);

    ck_assert_msg(u != NULL, "%s", e.text);
    ck_assert_int_eq((int)u->speed, (int)speed);
    reset_all();
    return u;
}

/* ---- a host ---- */

static enum usb_answer send(struct usb_device *u, enum usb_pid pid, unsigned ep, const void *data, size_t len)
{
    uint8_t buf[USB_PACKET_MOST];

    memcpy(buf, data, len);
    return usb_transact(u, pid, ep, buf, &len);
}

static enum usb_answer take(struct usb_device *u, unsigned ep, void *data, size_t *len)
{
    return usb_transact(u, USB_PID_IN, ep, data, len);
}

/* A control transfer; how its last stage was answered. *got: bytes of data IN. */
static enum usb_answer control(struct usb_device *u, uint8_t type, uint8_t request, uint16_t value, uint16_t index, void *data,
                               uint16_t len, unsigned *got)
{
    uint8_t setup[8] = {type, request}, buf[USB_PACKET_MOST];
    unsigned at = 0, packet = usb_packet_size(u, 0);
    enum usb_answer a;
    size_t n = 0;

    put_le16(setup + 2, value);
    put_le16(setup + 4, index);
    put_le16(setup + 6, len);
    ck_assert_int_eq(send(u, USB_PID_SETUP, 0, setup, 8), USB_ACK);
    if (type & USB_REQUEST_IN) {
        do {
            n = packet;
            a = take(u, 0, buf, &n);
            if (a != USB_ACK)
                return a;
            ck_assert_uint_le(at + n, len);
            memcpy((uint8_t *)data + at, buf, n);
            at += (unsigned)n;
        } while (n == packet && at < len);
        if (got)
            *got = at;
        return send(u, USB_PID_OUT, 0, "", 0);
    }
    for (; at < len; at += (unsigned)n) {
        n = len - at < packet ? len - at : packet;
        a = send(u, USB_PID_OUT, 0, (uint8_t *)data + at, n);
        if (a != USB_ACK)
            return a;
    }
    n = packet;
    return take(u, 0, buf, &n);
}

static enum usb_answer order(struct usb_device *u, uint8_t type, uint8_t request, uint16_t value, uint16_t index)
{
    return control(u, type, request, value, index, NULL, 0, NULL);
}

static void configure(struct usb_device *u)
{
    ck_assert_int_eq(order(u, 0, USB_SET_ADDRESS, 5, 0), USB_ACK);
    ck_assert_int_eq(order(u, 0, USB_SET_CONFIGURATION, 1, 0), USB_ACK);
}

/* ---- chapter 9 ---- */

START_TEST(descriptors_say_what_the_device_is)
{
    static plug_fn *const fns[] = {usb_kbd_plug, usb_mouse_plug, usb_tablet_plug};
    struct usb_device *u;
    uint8_t d[512];
    unsigned got;

    for (unsigned i = 0; i < ARRAY_LEN(fns); i++) {
        new_bus(1u << USB_FULL | 1u << USB_HIGH);
        u = new_device(fns[i], USB_HIGH, NULL);
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0100, 0, d, 64, &got), USB_ACK);
        ck_assert_uint_eq(got, 18);
        ck_assert_uint_eq(d[0], 18);
        ck_assert_uint_eq(get_le16(d + 2), 0x0200);
        ck_assert_uint_eq(d[7], 64);
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0200, 0, d, 9, &got), USB_ACK);
        ck_assert_uint_eq(got, 9);
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0200, 0, d, 512, &got), USB_ACK);
        ck_assert_uint_eq(got, get_le16(d + 2));
        ck_assert_uint_eq(d[5], 1);
        ck_assert_int_eq(control(u, 0x81, USB_GET_DESCRIPTOR, 0x2200, 0, d + 256, 256, &got), USB_ACK);
        ck_assert_uint_eq(got, get_le16(d + 18 + 7)); /* the report descriptor is as long as the HID descriptor says */
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0600, 0, d, 10, &got), USB_ACK);
        ck_assert_uint_eq(d[1], USB_DT_QUALIFIER);
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0700, 0, d, 512, &got), USB_ACK);
        ck_assert_uint_eq(d[1], USB_DT_OTHER_SPEED);
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0302, 0x409, d, 255, &got), USB_ACK);
        ck_assert_uint_eq(got, 2 * (1 + strlen(u->class->product)));
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0309, 0x409, d, 255, &got), USB_STALL);
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0201, 0, d, 255, &got), USB_STALL);
        ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0f00, 0, d, 255, &got), USB_STALL);
    }
}
END_TEST

START_TEST(a_device_of_super_speed_has_companions_and_a_bos)
{
    struct usb_device *u;
    uint8_t d[512];
    unsigned got;

    new_bus(1u << USB_FULL | 1u << USB_HIGH | 1u << USB_SUPER);
    u = new_device(usb_storage_plug, USB_SUPER, new_drive("d0", DRIVE_DISK, NULL));
    ck_assert_uint_ne(u->serial[0], 0); /* the drive's */
    ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0303, 0x409, d, 255, &got), USB_ACK);
    ck_assert_uint_eq(got, 2 * (1 + strlen(u->serial)));
    ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0100, 0, d, 18, &got), USB_ACK);
    ck_assert_uint_eq(get_le16(d + 2), 0x0300);
    ck_assert_uint_eq(d[7], 9);
    ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0f00, 0, d, 255, &got), USB_ACK);
    ck_assert_uint_eq(got, get_le16(d + 2));
    ck_assert_uint_eq(d[4], 2);
    ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0200, 0, d, 255, &got), USB_ACK);
    ck_assert_uint_eq(got, 44);
    ck_assert_uint_eq(d[18 + 7 + 1], USB_DT_COMPANION);
    ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0600, 0, d, 10, &got), USB_STALL);
}
END_TEST

START_TEST(an_address_counts_after_the_status_stage)
{
    static const uint8_t setup[8] = {0, USB_SET_ADDRESS, 9};
    struct usb_device *u;
    uint8_t buf[64];
    size_t n = sizeof(buf);

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    ck_assert_int_eq(send(u, USB_PID_SETUP, 0, setup, 8), USB_ACK);
    ck_assert_ptr_eq(usb_bus_find(&bus, 0), u);
    ck_assert_int_eq(take(u, 0, buf, &n), USB_ACK);
    ck_assert_uint_eq(n, 0);
    ck_assert_ptr_null(usb_bus_find(&bus, 0));
    ck_assert_ptr_eq(usb_bus_find(&bus, 9), u);
    usb_bus_reset(u);
    ck_assert_ptr_eq(usb_bus_find(&bus, 0), u);
}
END_TEST

START_TEST(standard_requests_have_their_answers)
{
    struct usb_device *u;
    uint8_t d[8];
    unsigned got;

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    ck_assert_int_eq(control(u, 0x80, USB_GET_CONFIGURATION, 0, 0, d, 1, &got), USB_ACK);
    ck_assert_uint_eq(d[0], 0);
    ck_assert_int_eq(control(u, 0x81, USB_GET_INTERFACE, 0, 0, d, 1, &got), USB_STALL); /* not configured */
    configure(u);
    ck_assert_int_eq(control(u, 0x80, USB_GET_CONFIGURATION, 0, 0, d, 1, &got), USB_ACK);
    ck_assert_uint_eq(d[0], 1);
    ck_assert_int_eq(control(u, 0x81, USB_GET_INTERFACE, 0, 0, d, 1, &got), USB_ACK);
    ck_assert_int_eq(order(u, 1, USB_SET_INTERFACE, 1, 0), USB_STALL);
    ck_assert_int_eq(order(u, 0, USB_SET_CONFIGURATION, 2, 0), USB_STALL);
    ck_assert_int_eq(control(u, 0x80, USB_GET_STATUS, 0, 0, d, 2, &got), USB_ACK);
    ck_assert_uint_eq(d[0], 0);
    ck_assert_int_eq(order(u, 0, USB_SET_FEATURE, 1, 0), USB_ACK);
    ck_assert_int_eq(control(u, 0x80, USB_GET_STATUS, 0, 0, d, 2, &got), USB_ACK);
    ck_assert_uint_eq(d[0], 2);
    ck_assert_int_eq(order(u, 0, USB_SET_FEATURE, 2, 0), USB_STALL);
    ck_assert_int_eq(order(u, 2, USB_SET_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_int_eq(control(u, 0x82, USB_GET_STATUS, 0, 0x81, d, 2, &got), USB_ACK);
    ck_assert_uint_eq(d[0], 1);
    ck_assert_int_eq(control(u, 0x82, USB_GET_STATUS, 0, 0x83, d, 2, &got), USB_STALL);
    got = 8;
    ck_assert_int_eq(take(u, 1, d, &(size_t){8}), USB_STALL);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_int_eq(take(u, 1, d, &(size_t){8}), USB_NAK);
    ck_assert_int_eq(take(u, 2, d, &(size_t){8}), USB_SILENCE); /* no such endpoint */
    ck_assert_int_eq(order(u, 0x40, 77, 0, 0), USB_STALL);
}
END_TEST

START_TEST(data_that_a_request_does_not_take_stall)
{
    static const uint8_t setup[8] = {0x21, 9, 0, 2, 0, 0, 0xff, 0xff}; /* SET_REPORT of 65535 bytes */
    struct usb_device *u;
    uint8_t d[64] = {0};

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    ck_assert_int_eq(send(u, USB_PID_SETUP, 0, setup, 8), USB_ACK);
    ck_assert_int_eq(send(u, USB_PID_OUT, 0, d, 8), USB_STALL);
    ck_assert_int_eq(take(u, 0, d, &(size_t){8}), USB_STALL);
    ck_assert_int_eq(send(u, USB_PID_SETUP, 0, setup, 7), USB_SILENCE);
    ck_assert_int_eq(order(u, 0, USB_SET_ADDRESS, 1, 0), USB_ACK); /* a SETUP ends the stall */
}
END_TEST

/* ---- HID ---- */

static void type(struct usb_device *u, const char *keys)
{
    struct buffer b;
    struct error e;

    buffer_init(&b);
    ck_assert_int_eq(keys_press(keys, 100, &b, &e), 0);
    input(u->dev, b.data, b.len);
    buffer_finish(&b);
}

static void expect_keys(struct usb_device *u, uint8_t modifiers, uint8_t key)
{
    uint8_t r[8];
    size_t n = 8;

    ck_assert_int_eq(take(u, 1, r, &n), USB_ACK);
    ck_assert_uint_eq(n, 8);
    ck_assert_uint_eq(r[0], modifiers);
    ck_assert_uint_eq(r[2], key);
    ck_assert_uint_eq(r[3], 0);
}

START_TEST(no_key_is_lost_between_two_polls)
{
    struct usb_device *u;
    uint8_t r[8];

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    ck_assert_ptr_eq(m->keyboard, u->dev);
    type(u, "a"); /* nobody listens */
    run_for(1000 * MS);
    configure(u);
    ck_assert_int_eq(take(u, 1, r, &(size_t){8}), USB_NAK);
    type(u, "shift-a");
    ck_assert_uint_eq(readies, 1);
    ck_assert_uint_eq(last_ready, 0x81);
    run_for(1000 * MS);
    expect_keys(u, 2, 0);
    run_for(1000 * MS);
    expect_keys(u, 2, 4);
    run_for(1000 * MS);
    expect_keys(u, 2, 0);
    run_for(1000 * MS);
    expect_keys(u, 0, 0);
    ck_assert_int_eq(take(u, 1, r, &(size_t){8}), USB_NAK);
    ck_assert_uint_eq(u->dev->ops->deadline(u->dev), VTIME_NEVER);
}
END_TEST

START_TEST(keys_are_held_as_long_as_was_asked)
{
    struct usb_device *u;
    uint8_t r[8];

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    configure(u);
    type(u, "ret");
    expect_keys(u, 0, 0x28);
    run_for(99 * MS);
    ck_assert_int_eq(take(u, 1, r, &(size_t){8}), USB_NAK);
    run_for(1 * MS);
    expect_keys(u, 0, 0);
}
END_TEST

START_TEST(too_many_keys_are_rolled_over)
{
    struct usb_device *u;
    uint8_t r[8];
    size_t n;

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    configure(u);
    type(u, "a-b-c-d-e-f-g");
    for (unsigned i = 0; i < 7; i++) {
        n = 8;
        ck_assert_int_eq(take(u, 1, r, &n), USB_ACK);
        ck_assert_uint_eq(r[2], i < 6 ? 4 : 1);
        run_for(10 * MS);
    }
}
END_TEST

START_TEST(idle_rates_repeat_reports)
{
    struct usb_device *u;
    uint8_t r[8];
    unsigned got;

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    configure(u);
    ck_assert_int_eq(order(u, 0x21, 10, 25 << 8, 0), USB_ACK); /* 100 ms */
    ck_assert_int_eq(control(u, 0xa1, 2, 0, 0, r, 1, &got), USB_ACK);
    ck_assert_uint_eq(r[0], 25);
    run_for(100 * MS - 1);
    ck_assert_int_eq(take(u, 1, r, &(size_t){8}), USB_NAK);
    run_for(1);
    expect_keys(u, 0, 0);
    ck_assert_int_eq(take(u, 1, r, &(size_t){8}), USB_NAK);
    run_for(1000 * MS); /* nobody asks: one waits */
    expect_keys(u, 0, 0);
    ck_assert_int_eq(order(u, 0x21, 10, 0, 0), USB_ACK);
    run_for(1000 * MS);
    ck_assert_int_eq(take(u, 1, r, &(size_t){8}), USB_NAK);
}
END_TEST

START_TEST(leds_and_protocols_are_kept)
{
    struct usb_device *u;
    struct buffer b;
    uint8_t r[8] = {5};
    unsigned got;

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    configure(u);
    ck_assert_int_eq(control(u, 0x21, 9, 0x0200, 0, r, 1, NULL), USB_ACK);
    buffer_init(&b);
    u->dev->ops->describe(u->dev, &b);
    buffer_append_byte(&b, 0);
    ck_assert_ptr_nonnull(strstr((char *)b.data, "leds 5"));
    buffer_finish(&b);
    ck_assert_int_eq(control(u, 0xa1, 3, 0, 0, r, 1, &got), USB_ACK);
    ck_assert_uint_eq(r[0], 1);
    ck_assert_int_eq(order(u, 0x21, 11, 0, 0), USB_ACK);
    ck_assert_int_eq(control(u, 0xa1, 3, 0, 0, r, 1, &got), USB_ACK);
    ck_assert_uint_eq(r[0], 0);
    ck_assert_int_eq(control(u, 0xa1, 1, 0x0100, 0, r, 8, &got), USB_ACK);
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(control(u, 0x21, 9, 0x0300, 0, r, 1, NULL), USB_STALL);
}
END_TEST

START_TEST(a_long_way_of_the_mouse_is_several_reports)
{
    static const int16_t way[4] = {300, -130, 1, 1}, up[4] = {0, 0, 0, 0};
    int x = 0, y = 0, z = 0;
    struct usb_device *u;
    unsigned reports = 0;
    uint8_t r[8];

    new_bus(1u << USB_FULL);
    u = new_device(usb_mouse_plug, USB_FULL, NULL);
    ck_assert_ptr_eq(m->mouse, u->dev);
    configure(u);
    input(u->dev, way, sizeof(way));
    input(u->dev, up, sizeof(up));
    for (size_t n = 8; take(u, 1, r, &n) == USB_ACK; n = 8, reports++) {
        ck_assert_uint_eq(n, 4);
        ck_assert_uint_eq(r[0], reports < 3);
        x += (int8_t)r[1];
        y += (int8_t)r[2];
        z += (int8_t)r[3];
    }
    ck_assert_uint_eq(reports, 4);
    ck_assert_int_eq(x, 300);
    ck_assert_int_eq(y, -130);
    ck_assert_int_eq(z, -1);
    ck_assert_int_eq(order(u, 0x21, 11, 0, 0), USB_ACK); /* the boot protocol knows no wheel */
    input(u->dev, way, sizeof(way));
    ck_assert_int_eq(take(u, 1, r, &(size_t){8}), USB_ACK);
}
END_TEST

START_TEST(a_tablet_tells_places)
{
    static const int16_t at[4] = {32767, 17, -2, 2}, wrong[4] = {-5, 5, 0, 0};
    struct usb_device *u;
    uint8_t r[8];
    size_t n = 8;

    new_bus(1u << USB_FULL);
    u = new_device(usb_tablet_plug, USB_FULL, NULL);
    ck_assert_ptr_eq(m->tablet, u->dev);
    configure(u);
    input(u->dev, at, sizeof(at));
    input(u->dev, wrong, sizeof(wrong));
    ck_assert_int_eq(take(u, 1, r, &n), USB_ACK);
    ck_assert_uint_eq(n, 6);
    ck_assert_uint_eq(r[0], 2);
    ck_assert_uint_eq(get_le16(r + 1), 32767);
    ck_assert_uint_eq(get_le16(r + 3), 17);
    ck_assert_int_eq((int8_t)r[5], 2);
    n = 8;
    ck_assert_int_eq(take(u, 1, r, &n), USB_ACK);
    ck_assert_uint_eq(get_le16(r + 1), 0);
    ck_assert_int_eq(take(u, 1, r, &(size_t){8}), USB_NAK);
}
END_TEST

START_TEST(input_wakes_a_host_that_asked_for_it)
{
    struct usb_device *u;

    new_bus(1u << USB_FULL);
    u = new_device(usb_kbd_plug, USB_FULL, NULL);
    configure(u);
    type(u, "a");
    ck_assert_uint_eq(wakeups, 0);
    expect_keys(u, 0, 4);
    ck_assert_int_eq(order(u, 0, USB_SET_FEATURE, 1, 0), USB_ACK);
    run_for(100 * MS);
    ck_assert_uint_eq(wakeups, 1);
}
END_TEST

/* ---- plugging in ---- */

START_TEST(ports_are_found_by_their_numbers)
{
    struct error e = {0};
    struct usb_device *hub, *kbd;

    new_bus(1u << USB_FULL);
    hub = plug(usb_hub_plug, "h,port=2", "h", NULL, &e);
    ck_assert_ptr_eq(bus.ports[1].dev, hub);
    kbd = plug(usb_kbd_plug, "k,port=2.8", "k", NULL, &e);
    ck_assert_ptr_eq(hub->ports[7].dev, kbd);
    ck_assert_ptr_null(plug(usb_kbd_plug, "k,port=2.8", "k2", NULL, &e));
    ck_assert_ptr_null(plug(usb_kbd_plug, "k,port=2.9", "k3", NULL, &e));
    ck_assert_ptr_null(plug(usb_kbd_plug, "k,port=1.1", "k4", NULL, &e));
    ck_assert_ptr_null(plug(usb_kbd_plug, "k,port=", "k5", NULL, &e));
    ck_assert_ptr_null(plug(usb_kbd_plug, "k,bus=other", "k6", NULL, &e));
    ck_assert_ptr_nonnull(plug(usb_kbd_plug, "k,bus=usb-bus.0", "k7", NULL, &e));
    ck_assert_ptr_nonnull(plug(usb_kbd_plug, "k,bus=host.0", "k8", NULL, &e));
    ck_assert_ptr_nonnull(plug(usb_kbd_plug, "k,bus=host", "k9", NULL, &e));
    ck_assert_ptr_nonnull(plug(usb_kbd_plug, "k", "k10", NULL, &e)); /* the controller is full: of the hub */
    ck_assert_ptr_nonnull(hub->ports[0].dev);
}
END_TEST

START_TEST(hubs_do_not_follow_one_another_without_end)
{
    char text[32] = "h,port=1", name[8];
    struct error e = {0};

    new_bus(1u << USB_FULL);
    for (unsigned i = 0; i < USB_DEPTH; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        ck_assert_msg(plug(usb_hub_plug, text, name, NULL, &e) != NULL, "%s", e.text);
        strcat(text, ".1");
    }
    ck_assert_ptr_nonnull(plug(usb_kbd_plug, text, "k", NULL, &e));
    text[strlen(text) - 1] = '2';
    ck_assert_ptr_nonnull(plug(usb_hub_plug, text, "last", NULL, &e));
    strcat(text, ".1");
    ck_assert_ptr_null(plug(usb_kbd_plug, text, "deep", NULL, &e));
}
END_TEST

START_TEST(a_device_needs_a_speed_that_the_port_has)
{
    struct error e = {0};

    new_bus(1u << USB_SUPER);
    ck_assert_ptr_null(plug(usb_kbd_plug, "k,port=1", "k", NULL, &e));
    ck_assert_ptr_null(plug(usb_kbd_plug, "k", "k1", NULL, &e));
}
END_TEST

/* ---- hubs ---- */

START_TEST(a_hub_tells_of_its_ports_and_resets_them)
{
    struct error e = {0};
    struct usb_device *hub, *kbd;
    uint8_t d[16];
    unsigned got;

    new_bus(1u << USB_FULL);
    hub = plug(usb_hub_plug, "h", "h", NULL, &e);
    kbd = plug(usb_kbd_plug, "k,port=1.3", "k", NULL, &e);
    reset_all();
    ck_assert_int_eq(control(hub, 0xa3, USB_GET_STATUS, 0, 3, d, 4, &got), USB_STALL); /* not configured */
    configure(hub);
    ck_assert_int_eq(control(hub, 0xa0, USB_GET_DESCRIPTOR, 0x2900, 0, d, 16, &got), USB_ACK);
    ck_assert_uint_eq(d[2], 8);
    ck_assert_int_eq(take(hub, 1, d, &(size_t){2}), USB_ACK);
    ck_assert_uint_eq(get_le16(d), 1u << 3);
    ck_assert_int_eq(control(hub, 0xa3, USB_GET_STATUS, 0, 3, d, 4, &got), USB_ACK);
    ck_assert_uint_eq(get_le32(d), 0x00010101);
    ck_assert_int_eq(order(hub, 0x23, USB_CLEAR_FEATURE, 16, 3), USB_ACK);
    ck_assert_int_eq(take(hub, 1, d, &(size_t){2}), USB_NAK);
    ck_assert_ptr_null(usb_bus_find(&bus, 0));
    kbd->st->address = 77;
    ck_assert_int_eq(order(hub, 0x23, USB_SET_FEATURE, 4, 3), USB_ACK); /* reset */
    ck_assert_ptr_eq(usb_bus_find(&bus, 0), kbd);
    ck_assert_int_eq(control(hub, 0xa3, USB_GET_STATUS, 0, 3, d, 4, &got), USB_ACK);
    ck_assert_uint_eq(get_le32(d), 0x00100103);
    ck_assert_int_eq(order(hub, 0x23, USB_CLEAR_FEATURE, 20, 3), USB_ACK);
    ck_assert_int_eq(order(hub, 0x23, USB_SET_FEATURE, 2, 3), USB_ACK); /* suspend */
    ck_assert_ptr_null(usb_bus_find(&bus, 0));
    kbd->st->wakeup = 1;
    kbd->st->configuration = 1;
    type(kbd, "a");
    ck_assert_int_eq(take(hub, 1, d, &(size_t){2}), USB_ACK);
    ck_assert_int_eq(control(hub, 0xa3, USB_GET_STATUS, 0, 3, d, 4, &got), USB_ACK);
    ck_assert_uint_eq(get_le32(d), 0x00040103);
    ck_assert_ptr_eq(usb_bus_find(&bus, 0), kbd);
    ck_assert_int_eq(order(hub, 0x23, USB_CLEAR_FEATURE, 1, 3), USB_ACK); /* disable */
    ck_assert_ptr_null(usb_bus_find(&bus, 0));
    ck_assert_int_eq(order(hub, 0x23, USB_SET_FEATURE, 4, 9), USB_STALL); /* no such port */
}
END_TEST

/* ---- serial ports ---- */

enum { FTDI_RESET, SET_MDM_CTRL, SET_FLOW_CTRL, SET_BAUD_RATE, SET_DATA, GET_MDM_ST, SET_EVENT_CHR, SET_ERROR_CHR,
       SET_LATENCY = 9, GET_LATENCY };
enum { MODEM = 0xb1, LINE = 0x60 }; /* CTS, DSR, DCD; the transmitter is empty */

static struct usb_device *new_serial(void)
{
    struct error e = {0};
    struct usb_device *u;

    new_bus(1u << USB_FULL | 1u << USB_HIGH);
    u = plug(usb_serial_plug, "usb-serial,chardev=c", "dev", NULL, &e);
    ck_assert_msg(u != NULL, "%s", e.text);
    ck_assert_int_eq((int)u->speed, USB_FULL);
    reset_all();
    configure(u);
    return u;
}

static enum usb_answer vendor(struct usb_device *u, uint8_t request, uint16_t value, uint16_t index)
{
    return order(u, 0x40, request, value, index);
}

static void expect_packet(struct usb_device *u, uint8_t line, const void *bytes, size_t len)
{
    uint8_t p[64];
    size_t n = sizeof(p);

    ck_assert_int_eq(take(u, 1, p, &n), USB_ACK);
    ck_assert_uint_eq(n, 2 + len);
    ck_assert_uint_eq(p[0], MODEM);
    ck_assert_uint_eq(p[1], line);
    ck_assert_mem_eq(p + 2, bytes, len);
}

static void expect_nothing(struct usb_device *u)
{
    uint8_t p[64];

    ck_assert_int_eq(take(u, 1, p, &(size_t){64}), USB_NAK);
}

/* `text` is in what the device says of itself. */
static void expect_told(struct usb_device *u, const char *text)
{
    struct buffer b;

    buffer_init(&b);
    u->dev->ops->describe(u->dev, &b);
    buffer_append_byte(&b, 0);
    ck_assert_msg(strstr((char *)b.data, text) != NULL, "no \"%s\" in %s", text, (char *)b.data);
    ck_assert(u->dev->ops->possible(u->dev));
    buffer_finish(&b);
}

START_TEST(a_serial_port_is_an_ft232bm)
{
    static const uint8_t endpoints[] = {7, 5, 0x81, 2, 64, 0, 0, 7, 5, 2, 2, 64, 0, 0};
    struct usb_device *u = new_serial();
    uint8_t d[64];
    unsigned got;

    ck_assert_str_eq(u->dev->backend, "c");
    ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0100, 0, d, 18, &got), USB_ACK);
    ck_assert_uint_eq(get_le16(d + 8), 0x0403);
    ck_assert_uint_eq(get_le16(d + 10), 0x6001);
    ck_assert_uint_eq(get_le16(d + 12), 0x0400);
    ck_assert_uint_eq(d[16], 3);
    ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0200, 0, d, 64, &got), USB_ACK);
    ck_assert_uint_eq(got, 32);
    ck_assert_uint_eq(get_le16(d + 2), 32);
    ck_assert_uint_eq(d[14], 0xff);
    ck_assert_mem_eq(d + 18, endpoints, sizeof(endpoints));
    ck_assert_int_eq(control(u, 0x80, USB_GET_DESCRIPTOR, 0x0303, 0x409, d, 64, &got), USB_ACK);
    ck_assert_uint_eq(got, 4);
    ck_assert_uint_eq(d[2], '1');
}
END_TEST

START_TEST(a_serial_port_needs_a_chardev_and_is_always_plugged)
{
    struct error e = {0};

    new_bus(1u << USB_FULL);
    ck_assert_ptr_null(plug(usb_serial_plug, "s", "a", NULL, &e));
    ck_assert_ptr_nonnull(strstr(e.text, "chardev=ID"));
    ck_assert_ptr_null(plug(usb_serial_plug, "s,chardev=c,always-plugged=off", "b", NULL, &e));
    ck_assert_ptr_nonnull(plug(usb_serial_plug, "s,chardev=c,always-plugged=on,serial=FT1", "c", NULL, &e));
    ck_assert_str_eq(((struct usb_device *)machine_find_device(m, "c")->wiring)->serial, "FT1");
}
END_TEST

START_TEST(what_is_written_goes_out)
{
    struct usb_device *u = new_serial();
    uint8_t p[64];

    memset(p, 'x', sizeof(p));
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, "hello", 5), USB_ACK);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, "", 0), USB_ACK);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 64), USB_ACK);
    ck_assert_uint_eq(sent.len, 69);
    ck_assert_mem_eq(sent.data, "helloxxx", 8);
}
END_TEST

START_TEST(what_comes_waits_for_the_latency_timer)
{
    struct usb_device *u = new_serial();

    expect_nothing(u);
    input(u->dev, "abc", 3);
    expect_nothing(u);
    ck_assert_uint_eq(readies, 0);
    run_for(16 * MS - 1);
    expect_nothing(u);
    ck_assert_uint_eq(readies, 0);
    run_for(1);
    ck_assert_uint_eq(readies, 1);
    ck_assert_uint_eq(last_ready, 0x81);
    expect_packet(u, LINE, "abc", 3);
    expect_nothing(u);
    run_for(16 * MS); /* no data: the status alone */
    expect_packet(u, LINE, "", 0);
    run_for(1000 * MS); /* nobody asks: no timer runs, and one packet waits */
    ck_assert_uint_eq(u->dev->ops->deadline(u->dev), VTIME_NEVER);
    input(u->dev, "d", 1);
    expect_packet(u, LINE, "d", 1);
    expect_nothing(u);
}
END_TEST

START_TEST(the_latency_timer_is_set_and_told)
{
    struct usb_device *u = new_serial();
    uint8_t d[8];
    unsigned got;

    ck_assert_int_eq(control(u, 0xc0, GET_LATENCY, 0, 0, d, 1, &got), USB_ACK);
    ck_assert_uint_eq(got, 1);
    ck_assert_uint_eq(d[0], 16);
    ck_assert_int_eq(vendor(u, SET_LATENCY, 3, 0), USB_ACK);
    ck_assert_int_eq(control(u, 0xc0, GET_LATENCY, 0, 0, d, 1, &got), USB_ACK);
    ck_assert_uint_eq(d[0], 3);
    run_for(3 * MS - 1);
    expect_nothing(u);
    ck_assert_int_eq(vendor(u, SET_LATENCY, 255, 0), USB_ACK); /* while the host waits */
    run_for(252 * MS);
    ck_assert_uint_eq(readies, 0);
    expect_nothing(u);
    run_for(1);
    ck_assert_uint_eq(readies, 1);
    expect_packet(u, LINE, "", 0);
    ck_assert_int_eq(vendor(u, SET_LATENCY, 0, 0), USB_ACK); /* never without end */
    expect_nothing(u);
    run_for(MS);
    expect_packet(u, LINE, "", 0);
}
END_TEST

START_TEST(a_full_packet_waits_for_nothing)
{
    struct usb_device *u = new_serial();
    uint8_t bytes[100];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    expect_nothing(u);
    input(u->dev, bytes, 61);
    ck_assert_uint_eq(readies, 0);
    input(u->dev, bytes + 61, 39);
    ck_assert_uint_eq(readies, 1);
    ck_assert_int_eq(take(u, 1, (uint8_t[64]){0}, &(size_t){63}), USB_BABBLE);
    expect_packet(u, LINE, bytes, 62);
    expect_nothing(u);
    run_for(16 * MS);
    expect_packet(u, LINE, bytes + 62, 38);
}
END_TEST

START_TEST(more_than_the_buffer_holds_is_an_overrun)
{
    struct usb_device *u = new_serial();
    uint8_t bytes[62 + 384], d[8];
    unsigned got;

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    ck_assert_uint_eq(u->dev->ops->input_room(u->dev), 384);
    input(u->dev, bytes, 100);
    ck_assert_uint_eq(u->dev->ops->input_room(u->dev), 284);
    expect_packet(u, LINE, bytes, 62);
    input(u->dev, bytes + 100, 300); /* round the end of the buffer */
    ck_assert_uint_eq(u->dev->ops->input_room(u->dev), 46);
    input(u->dev, bytes + 400, 46);
    ck_assert_uint_eq(u->dev->ops->input_room(u->dev), 0);
    input(u->dev, "lost", 4);
    ck_assert_int_eq(control(u, 0xc0, GET_MDM_ST, 0, 0, d, 2, &got), USB_ACK);
    ck_assert_uint_eq(d[1], LINE | 2);
    for (unsigned at = 62; at + 62 <= sizeof(bytes); at += 62) /* it is told once */
        expect_packet(u, at == 62 ? LINE | 2 : LINE, bytes + at, 62);
    expect_nothing(u);
    run_for(16 * MS);
    expect_packet(u, LINE, bytes + 434, 12);
}
END_TEST

START_TEST(input_waits_until_somebody_could_read_it)
{
    struct usb_device *u = new_serial();

    ck_assert_int_eq(order(u, 0, USB_SET_CONFIGURATION, 0, 0), USB_ACK);
    ck_assert_uint_eq(u->dev->ops->input_room(u->dev), 0);
    input(u->dev, "x", 1);
    ck_assert_int_eq(order(u, 0, USB_SET_CONFIGURATION, 1, 0), USB_ACK);
    ck_assert_uint_eq(u->dev->ops->input_room(u->dev), 384);
    ck_assert_int_eq(order(u, 0, USB_SET_FEATURE, 1, 0), USB_ACK);
    input(u->dev, "y", 1);
    ck_assert_uint_eq(wakeups, 1);
    run_for(16 * MS);
    expect_packet(u, LINE, "y", 1);
}
END_TEST

START_TEST(the_event_character_hurries_the_packet)
{
    struct usb_device *u = new_serial();

    input(u->dev, "a\r", 2); /* the one after a reset, but it is not enabled */
    expect_nothing(u);
    ck_assert_int_eq(vendor(u, SET_EVENT_CHR, 0x100 | '\n', 0), USB_ACK);
    expect_told(u, "event 0a,");
    input(u->dev, "b", 1);
    ck_assert_uint_eq(readies, 0);
    input(u->dev, "\nc", 2);
    ck_assert_uint_eq(readies, 1);
    expect_packet(u, LINE, "a\rb\nc", 5);
    input(u->dev, "d", 1);
    expect_nothing(u);
    ck_assert_int_eq(vendor(u, SET_EVENT_CHR, '\n', 0), USB_ACK);
    input(u->dev, "\n", 1);
    expect_nothing(u);
}
END_TEST

START_TEST(the_error_character_is_kept)
{
    struct usb_device *u = new_serial();

    ck_assert_int_eq(vendor(u, SET_ERROR_CHR, 0x100 | '?', 0), USB_ACK);
    expect_told(u, "error 3f,");
    ck_assert_int_eq(vendor(u, SET_ERROR_CHR, '!', 0), USB_ACK);
    expect_told(u, "error 21 off,");
}
END_TEST

START_TEST(modem_control_sets_what_it_names)
{
    struct usb_device *u = new_serial();
    uint8_t d[8];
    unsigned got;

    ck_assert_int_eq(vendor(u, SET_MDM_CTRL, 0x0303, 0), USB_ACK);
    expect_told(u, "dtr 1 rts 1");
    ck_assert_int_eq(vendor(u, SET_MDM_CTRL, 0x0100, 0), USB_ACK);
    expect_told(u, "dtr 0 rts 1");
    ck_assert_int_eq(vendor(u, SET_MDM_CTRL, 0x0001, 0), USB_ACK);
    expect_told(u, "dtr 0 rts 1");
    ck_assert_int_eq(vendor(u, SET_FLOW_CTRL, 0, 0x0100), USB_ACK); /* RTS is the handshake's */
    ck_assert_int_eq(vendor(u, SET_MDM_CTRL, 0x0301, 0), USB_ACK);
    expect_told(u, "dtr 1 rts 1");
    ck_assert_int_eq(control(u, 0xc0, GET_MDM_ST, 0, 0, d, 2, &got), USB_ACK);
    ck_assert_uint_eq(got, 2);
    ck_assert_uint_eq(d[0], MODEM);
    ck_assert_uint_eq(d[1], LINE);
}
END_TEST

START_TEST(xoff_holds_the_output_up)
{
    struct usb_device *u = new_serial();

    input(u->dev, "\x13", 1); /* no handshake: data */
    run_for(16 * MS);
    expect_packet(u, LINE, "\x13", 1);
    ck_assert_int_eq(vendor(u, SET_FLOW_CTRL, 0x1311, 0x0400), USB_ACK);
    input(u->dev, "a\x13z", 3);
    run_for(16 * MS);
    expect_packet(u, LINE, "az", 2);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, "x", 1), USB_NAK);
    expect_told(u, "handshakes 4 (held)");
    readies = 0;
    input(u->dev, "\x11", 1);
    ck_assert_uint_eq(readies, 1);
    ck_assert_uint_eq(last_ready, 2);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, "x", 1), USB_ACK);
    input(u->dev, "\x13", 1);
    ck_assert_int_eq(vendor(u, SET_FLOW_CTRL, 0, 0), USB_ACK);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, "y", 1), USB_ACK);
    ck_assert_uint_eq(sent.len, 2);
}
END_TEST

START_TEST(baud_rates_are_those_of_the_divisors)
{
    /* AN232B-05; the index has bit 16 of the divisor. */
    static const struct {
        uint16_t value, index;
        const char *told;
    } rates[] = {{0x4138, 0, "9600 baud"}, {0x001a, 0, "115384 baud"}, {0x2710, 0, "300 baud"}, {0, 0, "3000000 baud"},
                 {1, 0, "2000000 baud"}, {0x809c, 0, "19200 baud"}, {0xc034, 0, "57553 baud"}, {0x0002, 1, "1263157 baud"}};
    struct usb_device *u = new_serial();

    for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
        ck_assert_int_eq(vendor(u, SET_BAUD_RATE, rates[i].value, rates[i].index), USB_ACK);
        expect_told(u, rates[i].told);
    }
}
END_TEST

START_TEST(formats_and_breaks_are_kept)
{
    struct usb_device *u = new_serial();

    expect_told(u, "8N1,");
    ck_assert_int_eq(vendor(u, SET_DATA, 7 | 2 << 8 | 2 << 11, 0), USB_ACK);
    expect_told(u, "7E2,");
    ck_assert_int_eq(vendor(u, SET_DATA, 8 | 4 << 8 | 1 << 11 | 0x4000, 0), USB_ACK);
    expect_told(u, "8S1.5, break,");
    ck_assert_int_eq(vendor(u, SET_DATA, 5, 0), USB_ACK); /* none that it has */
    expect_told(u, "8N1, dtr");
    ck_assert_int_eq(vendor(u, SET_DATA, 8 | 5 << 8, 0), USB_STALL);
    ck_assert_int_eq(vendor(u, SET_DATA, 8 | 3 << 11, 0), USB_STALL);
    expect_told(u, "8N1, dtr");
}
END_TEST

START_TEST(a_reset_of_the_port_leaves_rate_and_format)
{
    struct usb_device *u = new_serial();

    vendor(u, SET_BAUD_RATE, 0x001a, 0);
    vendor(u, SET_DATA, 7 | 1 << 8, 0);
    vendor(u, SET_MDM_CTRL, 0x0303, 0);
    vendor(u, SET_EVENT_CHR, 0x100 | 'e', 0);
    vendor(u, SET_FLOW_CTRL, 0x1311, 0x0400);
    vendor(u, SET_LATENCY, 1, 0);
    input(u->dev, "e\x13", 2);
    ck_assert_int_eq(vendor(u, FTDI_RESET, 2, 0), USB_ACK); /* the transmitter has nothing */
    ck_assert_uint_eq(u->dev->ops->input_room(u->dev), 383);
    ck_assert_int_eq(vendor(u, FTDI_RESET, 1, 0), USB_ACK);
    ck_assert_uint_eq(u->dev->ops->input_room(u->dev), 384);
    expect_nothing(u);
    expect_told(u, "dtr 1 rts 1, handshakes 4 (held), latency 1 ms, event 65,");
    ck_assert_int_eq(vendor(u, FTDI_RESET, 0, 0), USB_ACK);
    expect_told(u, "115384 baud, 7O1, dtr 0 rts 0, handshakes 0, latency 1 ms, event 0d off,");
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, "x", 1), USB_ACK);
    ck_assert_int_eq(vendor(u, FTDI_RESET, 3, 0), USB_STALL);
}
END_TEST

START_TEST(requests_that_the_chip_has_not_stall)
{
    struct usb_device *u = new_serial();
    uint8_t d[8] = {0};

    ck_assert_int_eq(vendor(u, GET_MDM_ST, 0, 0), USB_STALL);
    ck_assert_int_eq(vendor(u, 8, 0, 0), USB_STALL);
    ck_assert_int_eq(vendor(u, GET_LATENCY, 0, 0), USB_STALL);
    ck_assert_int_eq(vendor(u, 11, 0, 0), USB_STALL);
    ck_assert_int_eq(control(u, 0xc0, SET_LATENCY, 0, 0, d, 1, NULL), USB_STALL);
    ck_assert_int_eq(control(u, 0xc0, 0x90, 0, 0, d, 2, NULL), USB_STALL);
    ck_assert_int_eq(order(u, 0x41, SET_LATENCY, 1, 0), USB_STALL);
    ck_assert_int_eq(order(u, 0x20, SET_LATENCY, 1, 0), USB_STALL);
    ck_assert_int_eq(order(u, 0x21, 0x22, 3, 0), USB_STALL); /* CDC's */
    ck_assert_int_eq(take(u, 2, d, &(size_t){8}), USB_SILENCE);
    expect_told(u, "latency 16 ms");
}
END_TEST

/* ---- storage ---- */

static struct usb_device *new_storage(enum drive_media media, const struct drive_fault *fault)
{
    struct usb_device *u;

    new_bus(1u << USB_FULL | 1u << USB_HIGH);
    u = new_device(usb_storage_plug, USB_HIGH, new_drive("d0", media, fault));
    configure(u);
    return u;
}

static void cbw(struct usb_device *u, const uint8_t *cdb, unsigned cdb_len, bool in_, uint32_t len)
{
    uint8_t p[31] = {'U', 'S', 'B', 'C', 0x11, 0x22, 0x33, 0x44};

    put_le32(p + 8, len);
    p[12] = in_ ? 0x80 : 0;
    p[14] = (uint8_t)cdb_len;
    memcpy(p + 15, cdb, cdb_len);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 31), USB_ACK);
}

/* The status; *residue may be NULL. */
static unsigned csw(struct usb_device *u, uint32_t *residue)
{
    uint8_t p[64];
    size_t n = sizeof(p);

    run_for(100 * MS);
    ck_assert_int_eq(take(u, 1, p, &n), USB_ACK);
    ck_assert_uint_eq(n, 13);
    ck_assert_uint_eq(get_le32(p), 0x53425355);
    ck_assert_uint_eq(get_le32(p + 4), 0x44332211);
    if (residue)
        *residue = get_le32(p + 8);
    return p[12];
}

/* Data IN until a short packet or a stall. */
static enum usb_answer data_in(struct usb_device *u, uint8_t *data, size_t len, size_t *got)
{
    *got = 0;
    for (;;) {
        size_t n = 512;
        enum usb_answer a = take(u, 1, data + *got, &n);

        if (a == USB_NAK) {
            run_for(MS);
            continue;
        }
        if (a != USB_ACK)
            return a;
        *got += n;
        if (*got >= len || n < 512)
            return USB_ACK;
    }
}

static uint8_t data[16384];

static const uint8_t test_ready[6] = {0};

static void forget_attention(struct usb_device *u)
{
    cbw(u, test_ready, 6, false, 0);
    csw(u, NULL);
}

static void rw_cdb(uint8_t *cdb, uint8_t op, uint32_t lba, unsigned n)
{
    memset(cdb, 0, 10);
    cdb[0] = op;
    cdb[2] = (uint8_t)(lba >> 24);
    cdb[3] = (uint8_t)(lba >> 16);
    cdb[4] = (uint8_t)(lba >> 8);
    cdb[5] = (uint8_t)lba;
    cdb[7] = (uint8_t)(n >> 8);
    cdb[8] = (uint8_t)n;
}

START_TEST(sectors_are_read_and_written)
{
    struct usb_device *u = new_storage(DRIVE_DISK, NULL);
    uint8_t cdb[10], p[512];
    uint32_t residue;
    size_t got;

    cbw(u, test_ready, 6, false, 0);
    ck_assert_uint_eq(csw(u, NULL), 1); /* power on */
    rw_cdb(cdb, 0x28, 7, 4);
    cbw(u, cdb, 10, true, 2048);
    ck_assert_int_eq(take(u, 1, p, &(size_t){512}), USB_NAK); /* it takes its time */
    ck_assert_int_eq(data_in(u, data, 2048, &got), USB_ACK);
    ck_assert_uint_eq(got, 2048);
    for (unsigned i = 0; i < 2048; i++)
        ck_assert_uint_eq(data[i], image_byte(7 * 512 + i, 512));
    ck_assert_uint_eq(csw(u, &residue), 0);
    ck_assert_uint_eq(residue, 0);
    rw_cdb(cdb, 0x2a, 9, 2);
    cbw(u, cdb, 10, false, 1024);
    memset(p, 0xab, sizeof(p));
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_int_eq(take(u, 1, p, &(size_t){512}), USB_NAK);
    ck_assert_uint_eq(csw(u, &residue), 0);
    rw_cdb(cdb, 0x28, 8, 4);
    cbw(u, cdb, 10, true, 2048);
    ck_assert_int_eq(data_in(u, data, 2048, &got), USB_ACK);
    for (unsigned i = 0; i < 2048; i++)
        ck_assert_uint_eq(data[i], i >= 512 && i < 1536 ? 0xab : image_byte(8 * 512 + i, 512));
    ck_assert_uint_eq(csw(u, &residue), 0);
}
END_TEST

/* 6.7: what the host expects (Hn, Hi, Ho) and what the device has (Dn, Di, Do). */
START_TEST(the_thirteen_cases)
{
    static const uint8_t inquiry[6] = {0x12, 0, 0, 0, 36, 0}, p[512] = {0};
    struct usb_device *u = new_storage(DRIVE_DISK, NULL);
    uint8_t cdb[10];
    uint32_t residue;
    size_t got;

    forget_attention(u);
    cbw(u, test_ready, 6, false, 0); /* 1: Hn = Dn */
    ck_assert_uint_eq(csw(u, &residue), 0);
    cbw(u, inquiry, 6, false, 0); /* 2: Hn < Di */
    ck_assert_uint_eq(csw(u, &residue), 2);
    rw_cdb(cdb, 0x2a, 0, 1);
    cbw(u, cdb, 10, false, 0); /* 3: Hn < Do */
    ck_assert_uint_eq(csw(u, &residue), 2);
    cbw(u, test_ready, 6, true, 64); /* 4: Hi > Dn */
    ck_assert_int_eq(data_in(u, data, 64, &got), USB_STALL);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 0);
    ck_assert_uint_eq(residue, 64);
    cbw(u, inquiry, 6, true, 100); /* 5: Hi > Di */
    ck_assert_int_eq(data_in(u, data, 100, &got), USB_ACK);
    ck_assert_uint_eq(got, 36);
    ck_assert_uint_eq(csw(u, &residue), 0);
    ck_assert_uint_eq(residue, 64);
    rw_cdb(cdb, 0x28, 0, 1);
    cbw(u, cdb, 10, true, 1024); /* 5, of whole packets */
    ck_assert_int_eq(data_in(u, data, 1024, &got), USB_STALL);
    ck_assert_uint_eq(got, 512);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 0);
    ck_assert_uint_eq(residue, 512);
    cbw(u, inquiry, 6, true, 36); /* 6: Hi = Di */
    ck_assert_int_eq(data_in(u, data, 36, &got), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 0);
    ck_assert_uint_eq(residue, 0);
    rw_cdb(cdb, 0x28, 0, 2);
    cbw(u, cdb, 10, true, 512); /* 7: Hi < Di */
    ck_assert_int_eq(data_in(u, data, 512, &got), USB_STALL);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 2);
    rw_cdb(cdb, 0x2a, 0, 1);
    cbw(u, cdb, 10, true, 512); /* 8: Hi <> Do */
    ck_assert_int_eq(data_in(u, data, 512, &got), USB_STALL);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 2);
    cbw(u, test_ready, 6, false, 512); /* 9: Ho > Dn */
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 0);
    ck_assert_uint_eq(residue, 512);
    cbw(u, inquiry, 6, false, 512); /* 10: Ho <> Di */
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 2);
    rw_cdb(cdb, 0x2a, 0, 1);
    cbw(u, cdb, 10, false, 1024); /* 11: Ho > Do */
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 0);
    ck_assert_uint_eq(residue, 512);
    cbw(u, cdb, 10, false, 512); /* 12: Ho = Do */
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 0);
    ck_assert_uint_eq(residue, 0);
    rw_cdb(cdb, 0x2a, 0, 2);
    cbw(u, cdb, 10, false, 512); /* 13: Ho < Do */
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 2);
}
END_TEST

START_TEST(bad_sectors_end_the_data)
{
    static const struct drive_fault fault = {.first = 10, .count = 1};
    static const uint8_t sense[6] = {0x03, 0, 0, 0, 18, 0}, p[512] = {0};
    struct usb_device *u = new_storage(DRIVE_DISK, &fault);
    uint8_t cdb[10];
    uint32_t residue;
    size_t got;

    forget_attention(u);
    rw_cdb(cdb, 0x28, 8, 4);
    cbw(u, cdb, 10, true, 2048);
    ck_assert_int_eq(data_in(u, data, 2048, &got), USB_STALL);
    ck_assert_uint_eq(got, 1024);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 1);
    ck_assert_uint_eq(residue, 1024);
    cbw(u, sense, 6, true, 18);
    ck_assert_int_eq(data_in(u, data, 18, &got), USB_ACK);
    ck_assert_uint_eq(data[2], 3);
    ck_assert_uint_eq(csw(u, &residue), 0);
    rw_cdb(cdb, 0x2a, 10, 1);
    cbw(u, cdb, 10, false, 512);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 512), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 1);
    rw_cdb(cdb, 0x28, DISK_SECTORS, 1);
    cbw(u, cdb, 10, true, 512);
    ck_assert_int_eq(data_in(u, data, 512, &got), USB_STALL);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_uint_eq(csw(u, &residue), 1);
}
END_TEST

START_TEST(a_wrapper_that_is_none_needs_reset_recovery)
{
    struct usb_device *u = new_storage(DRIVE_DISK, NULL);
    uint8_t p[64] = {'U', 'S', 'B', 'C'};
    unsigned got;

    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 30), USB_STALL);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 2), USB_ACK);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_int_eq(send(u, USB_PID_OUT, 2, p, 31), USB_STALL); /* it holds until */
    ck_assert_int_eq(take(u, 1, p, &(size_t){64}), USB_STALL);
    ck_assert_int_eq(order(u, 0x21, 0xff, 0, 0), USB_ACK);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 0x81), USB_ACK);
    ck_assert_int_eq(order(u, 2, USB_CLEAR_FEATURE, 0, 2), USB_ACK);
    forget_attention(u);
    cbw(u, test_ready, 6, false, 0);
    ck_assert_uint_eq(csw(u, NULL), 0);
    ck_assert_int_eq(control(u, 0xa1, 0xfe, 0, 0, p, 1, &got), USB_ACK);
    ck_assert_uint_eq(p[0], 0);
    ck_assert_int_eq(order(u, 0x21, 0xff, 0, 1), USB_STALL);
}
END_TEST

START_TEST(a_cdrom_drive_is_one)
{
    struct usb_device *u = new_storage(DRIVE_CDROM, NULL);
    uint8_t cdb[10];
    size_t got;

    static const uint8_t inquiry[6] = {0x12, 0, 0, 0, 36, 0};

    cbw(u, inquiry, 6, true, 36);
    ck_assert_int_eq(data_in(u, data, 36, &got), USB_ACK);
    ck_assert_uint_eq(data[0], 5);
    csw(u, NULL);
    forget_attention(u);
    rw_cdb(cdb, 0x28, 16, 2);
    cbw(u, cdb, 10, true, 4096);
    ck_assert_int_eq(data_in(u, data, 4096, &got), USB_ACK);
    for (unsigned i = 0; i < 4096; i++)
        ck_assert_uint_eq(data[i], image_byte(16 * 2048 + i, 2048));
    ck_assert_uint_eq(csw(u, NULL), 0);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(descriptors_say_what_the_device_is);
    ADD(a_device_of_super_speed_has_companions_and_a_bos);
    ADD(an_address_counts_after_the_status_stage);
    ADD(standard_requests_have_their_answers);
    ADD(data_that_a_request_does_not_take_stall);
    ADD(no_key_is_lost_between_two_polls);
    ADD(keys_are_held_as_long_as_was_asked);
    ADD(too_many_keys_are_rolled_over);
    ADD(idle_rates_repeat_reports);
    ADD(leds_and_protocols_are_kept);
    ADD(a_long_way_of_the_mouse_is_several_reports);
    ADD(a_tablet_tells_places);
    ADD(input_wakes_a_host_that_asked_for_it);
    ADD(ports_are_found_by_their_numbers);
    ADD(hubs_do_not_follow_one_another_without_end);
    ADD(a_device_needs_a_speed_that_the_port_has);
    ADD(a_hub_tells_of_its_ports_and_resets_them);
    ADD(a_serial_port_is_an_ft232bm);
    ADD(a_serial_port_needs_a_chardev_and_is_always_plugged);
    ADD(what_is_written_goes_out);
    ADD(what_comes_waits_for_the_latency_timer);
    ADD(the_latency_timer_is_set_and_told);
    ADD(a_full_packet_waits_for_nothing);
    ADD(more_than_the_buffer_holds_is_an_overrun);
    ADD(input_waits_until_somebody_could_read_it);
    ADD(the_event_character_hurries_the_packet);
    ADD(the_error_character_is_kept);
    ADD(modem_control_sets_what_it_names);
    ADD(xoff_holds_the_output_up);
    ADD(baud_rates_are_those_of_the_divisors);
    ADD(formats_and_breaks_are_kept);
    ADD(a_reset_of_the_port_leaves_rate_and_format);
    ADD(requests_that_the_chip_has_not_stall);
    ADD(sectors_are_read_and_written);
    ADD(the_thirteen_cases);
    ADD(bad_sectors_end_the_data);
    ADD(a_wrapper_that_is_none_needs_reset_recovery);
    ADD(a_cdrom_drive_is_one);
}

CHIP_TESTS("usb", claims)
