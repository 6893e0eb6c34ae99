/*
 * virtio devices that are neither disk nor network: entropy, keyboard, mouse, tablet, consoles. Each is driven as a driver
 * would, and as none should.
 */
#include "tests/vm/virtio_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/keys.h"
#include "vm/dev/virtio_balloon.h"
#include "vm/dev/virtio_console.h"
#include "vm/dev/virtio_input.h"
#include "vm/dev/virtio_rng.h"

#define CONFIG (BAR4 + 0x2000u)
#define BUFFER_AT(n) (0x40000u + (n) * 0x4000u)

static struct device *dut;
static uint8_t drawn;

static void entropy(void *ctx, struct machine *machine, void *buf, size_t len)
{
    uint8_t *p = buf;

    (void)ctx, (void)machine;
    while (len--)
        *p++ = ++drawn;
}

static const struct machine_env with_entropy = {.host_clock = host_clock, .output = output, .entropy = entropy};

static int plug(plug_fn *fn, const char *name, unsigned slot, const char *text, struct error *e)
{
    struct sockets s = {.pci = &bench_bus, .machine = m};
    struct option_list props;
    int r;

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, e), 0);
    r = fn(&s, name, PCI_DEVFN(slot, 0), NULL, &props, e);
    option_list_finish(&props);
    return r;
}

static void new_bench(void)
{
    new_disk_bench();
    m->env = &with_entropy;
    drawn = 0;
}

static void ready(const char *name, uint64_t want)
{
    struct pci_function *f;

    dut = machine_find_device(m, name);
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x20, 4, BAR4);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    start(want);
}

static void new_device(plug_fn *fn, const char *text)
{
    struct error e;

    new_bench();
    ck_assert_msg(plug(fn, "dut", 3, text, &e) == 0, "%s", e.text);
    ready("dut", ~0ull & ~(1ull << 29));
}

/* A buffer of the n-th descriptor of that queue: `flags` 2 for the device to write. */
static void give(unsigned queue, unsigned n, paddr_t at, uint32_t len, unsigned flags)
{
    uint16_t id = (uint16_t)n, index = (uint16_t)++next_avail[queue];

    poke64(RINGS_AT(queue) + 16 * n, at);
    poke32(RINGS_AT(queue) + 16 * n + 8, len);
    poke32(RINGS_AT(queue) + 16 * n + 12, flags);
    poke(AVAIL_AT(queue) + 4 + 2 * ((index - 1u) % QUEUE), &id, 2);
    poke(AVAIL_AT(queue) + 2, &index, 2);
    memory_write(&m->memory, NOTIFY + 4 * queue, 2, queue);
}

/* Bytes written to the next buffer that came back; -1: none has. */
static int taken(unsigned queue)
{
    if ((uint16_t)memory_read(&m->memory, USED_AT(queue) + 2, 2) == (uint16_t)next_used[queue])
        return -1;
    return (int)peek32(USED_AT(queue) + 4 + 8 * (next_used[queue]++ % QUEUE) + 4);
}

static void run_until(vtime_t t)
{
    m->st->warp = t;
    if (dut->ops->deadline(dut) <= t)
        dut->ops->expire(dut, t);
}

/* ---- entropy ---- */

START_TEST(buffers_come_back_full_of_entropy)
{
    new_device(virtio_rng_pci_plug, "virtio-rng-pci");
    give(0, 0, BUFFER_AT(0), 600, 2);
    ck_assert_int_eq(taken(0), 600);
    for (unsigned i = 0; i < 600; i++)
        ck_assert_uint_eq((uint8_t)memory_read(&m->memory, BUFFER_AT(0) + i, 1), (uint8_t)(i + 1));
    ck_assert_uint_eq(memory_read(&m->memory, BUFFER_AT(0) + 600, 1), 0);
    give(0, 1, BUFFER_AT(0), 100, 0); /* nothing to be written */
    ck_assert_int_eq(taken(0), 0);
    give(0, 2, 0x90000000u, 100, 2); /* no memory: it is lost on the way, as PCI has it */
    ck_assert_int_eq(taken(0), 100);
}
END_TEST

START_TEST(a_quota_is_renewed_each_period)
{
    new_device(virtio_rng_pci_plug, "virtio-rng-pci,max-bytes=100,period=10");
    give(0, 0, BUFFER_AT(0), 60, 2);
    ck_assert_int_eq(taken(0), 60);
    give(0, 1, BUFFER_AT(0), 60, 2);
    ck_assert_int_eq(taken(0), 40);
    give(0, 2, BUFFER_AT(0), 60, 2);
    ck_assert_int_eq(taken(0), -1);
    ck_assert_uint_eq(dut->ops->deadline(dut), 10000000);
    run_until(10000000);
    ck_assert_int_eq(taken(0), 60);
    run_until(20000000);
    ck_assert_uint_eq(dut->ops->deadline(dut), VTIME_NEVER);
}
END_TEST

START_TEST(properties_that_make_no_sense_are_refused)
{
    struct error e;

    new_bench();
    ck_assert_int_lt(plug(virtio_rng_pci_plug, "a", 3, "virtio-rng-pci,max-bytes=0", &e), 0);
    ck_assert_int_lt(plug(virtio_rng_pci_plug, "a", 3, "virtio-rng-pci,packed=maybe", &e), 0);
    ck_assert_int_lt(plug(virtio_rng_mmio_plug, "a", 3, "virtio-rng-device", &e), 0); /* this board has no slots */
}
END_TEST

/* ---- input ---- */

/* Buffers for so many events. */
static void give_events(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        give(0, next_avail[0] % QUEUE, BUFFER_AT(0) + 8 * (next_avail[0] % QUEUE), 8, 2);
}

static void expect_event(unsigned type, unsigned code, int value)
{
    unsigned n = next_used[0] % QUEUE;

    ck_assert_int_eq(taken(0), 8);
    ck_assert_uint_eq(memory_read(&m->memory, BUFFER_AT(0) + 8 * n, 2), type);
    ck_assert_uint_eq(memory_read(&m->memory, BUFFER_AT(0) + 8 * n + 2, 2), code);
    ck_assert_int_eq((int32_t)peek32(BUFFER_AT(0) + 8 * n + 4), value);
}

static void type(const char *keys)
{
    struct buffer b;
    struct error e;

    buffer_init(&b);
    ck_assert_int_eq(keys_press(keys, 100, &b, &e), 0);
    input(dut, b.data, b.len);
    buffer_finish(&b);
}

START_TEST(keys_go_down_and_up_in_guest_time)
{
    new_device(virtio_keyboard_pci_plug, "virtio-keyboard-pci");
    ck_assert_ptr_eq(m->keyboard, dut);
    give_events(12);
    type("ctrl-up");
    expect_event(1, 29, 1), expect_event(0, 0, 0);
    ck_assert_int_eq(taken(0), -1);
    run_until(dut->ops->deadline(dut));
    expect_event(1, 103, 1), expect_event(0, 0, 0);
    ck_assert_uint_eq(dut->ops->deadline(dut), machine_now(m) + 100000000);
    run_until(dut->ops->deadline(dut));
    expect_event(1, 103, 0), expect_event(0, 0, 0);
    run_until(dut->ops->deadline(dut));
    expect_event(1, 29, 0), expect_event(0, 0, 0);
    run_until(dut->ops->deadline(dut));
    ck_assert_uint_eq(dut->ops->deadline(dut), VTIME_NEVER);
    type("pause");
    expect_event(1, 119, 1), expect_event(0, 0, 0);
}
END_TEST

START_TEST(events_wait_for_buffers_and_are_lost_without_a_driver)
{
    new_device(virtio_keyboard_pci_plug, "virtio-keyboard-pci");
    type("a");
    ck_assert_int_eq(taken(0), -1);
    give_events(2);
    expect_event(1, 30, 1), expect_event(0, 0, 0);
    set(0x14, 1, 0);
    type("b");
    start(~0ull & ~(1ull << 29));
    give_events(4);
    ck_assert_int_eq(taken(0), -1);
    for (unsigned i = 0; i < 100 && dut->ops->input_room(dut) >= 8; i++)
        type("c");
    ck_assert_uint_lt(dut->ops->input_room(dut), 8);
}
END_TEST

/* What `select` and `subsel` answer: the size. */
static unsigned ask(unsigned select, unsigned subsel)
{
    memory_write(&m->memory, CONFIG, 1, select);
    memory_write(&m->memory, CONFIG + 1, 1, subsel);
    return (unsigned)memory_read(&m->memory, CONFIG + 2, 1);
}

static uint64_t told(unsigned at, unsigned size)
{
    return memory_read(&m->memory, CONFIG + 8 + at, size);
}

START_TEST(configuration_says_what_there_is)
{
    new_device(virtio_keyboard_pci_plug, "virtio-keyboard-pci");
    ck_assert_uint_eq(ask(1, 0), strlen("hindcast virtio keyboard"));
    ck_assert_uint_eq(told(0, 1), 'h');
    ck_assert_uint_eq(ask(3, 0), 8);
    ck_assert_uint_eq(told(0, 8), 0x0001000106270006ull);
    ck_assert_uint_gt(ask(0x11, 1), 100 / 8);
    ck_assert_uint_eq(told(30 / 8, 1) >> 30 % 8 & 1, 1);
    ck_assert_uint_eq(told(0, 1) & 1, 0); /* KEY_RESERVED */
    ck_assert_uint_eq(ask(0x11, 0x11), 1);
    ck_assert_uint_eq(told(0, 1), 7);
    ck_assert_uint_eq(ask(0x11, 0x14), 1);
    ck_assert_uint_eq(ask(0x11, 2), 0);
    ck_assert_uint_eq(ask(0x77, 0), 0);
    new_device(virtio_mouse_pci_plug, "virtio-mouse-pci");
    ck_assert_uint_eq(ask(0x11, 2), 2);
    ck_assert_uint_eq(told(0, 2), 0x103);
    ck_assert_uint_eq(ask(0x11, 1), 0x112 / 8 + 1);
    ck_assert_uint_eq(told(0x110 / 8, 1), 31);
    new_device(virtio_tablet_pci_plug, "virtio-tablet-pci");
    ck_assert_uint_eq(ask(0x11, 3), 1);
    ck_assert_uint_eq(told(0, 1), 3);
    ck_assert_uint_eq(ask(0x12, 1), 20);
    ck_assert_uint_eq(told(0, 8), 32767ull << 32);
    ck_assert_uint_eq(ask(0x12, 2), 0);
}
END_TEST

static void point(int x, int y, int z, unsigned buttons)
{
    int16_t record[4] = {(int16_t)x, (int16_t)y, (int16_t)z, (int16_t)buttons};

    input(dut, record, sizeof(record));
}

START_TEST(pointers_tell_distances_or_places_and_buttons)
{
    new_device(virtio_mouse_pci_plug, "virtio-mouse-pci");
    ck_assert_ptr_eq(m->mouse, dut);
    give_events(14);
    point(5, -3, 1, 1);
    expect_event(2, 0, 5), expect_event(2, 1, -3), expect_event(2, 8, -1), expect_event(1, 0x110, 1), expect_event(0, 0, 0);
    point(0, 0, 0, 6);
    expect_event(1, 0x110, 0), expect_event(1, 0x111, 1), expect_event(1, 0x112, 1), expect_event(0, 0, 0);
    new_device(virtio_tablet_pci_plug, "virtio-tablet-pci");
    ck_assert_ptr_eq(m->tablet, dut);
    give_events(4);
    point(32767, 1, 0, 0);
    expect_event(3, 0, 32767), expect_event(3, 1, 1), expect_event(0, 0, 0);
}
END_TEST

START_TEST(leds_are_what_the_driver_says)
{
    static const uint8_t caps_on[8] = {0x11, 0, 1, 0, 1}, nonsense[8] = {0x11, 0, 77, 0, 1};
    struct buffer b;

    new_device(virtio_keyboard_pci_plug, "virtio-keyboard-pci");
    poke(BUFFER_AT(1), caps_on, 8);
    give(1, 0, BUFFER_AT(1), 8, 0);
    ck_assert_int_eq(taken(1), 0);
    poke(BUFFER_AT(1), nonsense, 8);
    give(1, 1, BUFFER_AT(1), 8, 0);
    give(1, 2, BUFFER_AT(1), 3, 0); /* too short */
    ck_assert_int_eq(taken(1), 0);
    ck_assert_int_eq(taken(1), 0);
    buffer_init(&b);
    dut->ops->describe(dut, &b);
    buffer_append_byte(&b, 0);
    ck_assert_ptr_nonnull(strstr((char *)b.data, "LEDs 2"));
    buffer_finish(&b);
}
END_TEST

/* ---- consoles ---- */

static struct device *console, *channel;

static void new_console(uint64_t want)
{
    struct error e;

    new_bench();
    ck_assert_int_eq(plug(virtio_serial_pci_plug, "dut", 3, "virtio-serial-pci", &e), 0);
    ck_assert_msg(plug(virtconsole_plug, "console", 0, "virtconsole,chardev=a", &e) == 0, "%s", e.text);
    ck_assert_int_eq(plug(virtserialport_plug, "channel", 0, "virtserialport,chardev=b,name=org.test", &e), 0);
    console = machine_find_device(m, "console");
    channel = machine_find_device(m, "channel");
    ready("dut", want);
}

static void control(uint32_t port, unsigned event, unsigned value)
{
    uint8_t bytes[8];

    put_le32(bytes, port);
    put_le16(bytes + 4, (uint16_t)event);
    put_le16(bytes + 6, (uint16_t)value);
    poke(BUFFER_AT(3), bytes, 8);
    give(3, next_avail[3] % QUEUE, BUFFER_AT(3), 8, 0);
    ck_assert_int_eq(taken(3), 0);
}

static void expect_control(uint32_t port, unsigned event, unsigned value, const char *name)
{
    unsigned n = next_avail[2] % QUEUE;
    paddr_t at = BUFFER_AT(2) + 128 * n;

    give(2, n, at, 128, 2);
    ck_assert_int_eq(taken(2), 8 + (*name ? (int)strlen(name) + 1 : 0));
    ck_assert_uint_eq(peek32(at), port);
    ck_assert_uint_eq(memory_read(&m->memory, at + 4, 2), event);
    ck_assert_uint_eq(memory_read(&m->memory, at + 6, 2), value);
    for (unsigned i = 0; *name && i <= strlen(name); i++)
        ck_assert_uint_eq(memory_read(&m->memory, at + 8 + i, 1), (uint8_t)name[i]);
}

static void expect_sent(const char *text)
{
    ck_assert_uint_eq(sent.len, strlen(text));
    ck_assert(!memcmp(sent.data, text, sent.len));
    buffer_clear(&sent);
}

START_TEST(ports_are_announced_opened_and_used)
{
    new_console(~0ull & ~(1ull << 29));
    control(0, 0, 1);
    expect_control(0, 1, 1, "");
    expect_control(1, 1, 1, "");
    control(0, 3, 1);
    expect_control(0, 4, 1, "");
    expect_control(0, 6, 1, "");
    control(1, 3, 1);
    expect_control(1, 7, 1, "org.test");
    expect_control(1, 6, 1, "");
    ck_assert_uint_eq(console->ops->input_room(console), 0);
    control(0, 6, 1);
    control(1, 6, 1);
    ck_assert_uint_eq(console->ops->input_room(console), 4096);
    input(console, "typed", 5);
    input(channel, "sent", 4);
    give(0, 0, BUFFER_AT(0), 3, 2);
    ck_assert_int_eq(taken(0), 3);
    give(0, 1, BUFFER_AT(0) + 3, 100, 2);
    ck_assert_int_eq(taken(0), 2);
    ck_assert_uint_eq(peek32(BUFFER_AT(0)), 0x65707974);
    give(4, 0, BUFFER_AT(4), 100, 2);
    ck_assert_int_eq(taken(4), 4);
    poke(BUFFER_AT(1), "hello", 5);
    give(1, 0, BUFFER_AT(1), 5, 0);
    ck_assert_int_eq(taken(1), 0);
    expect_sent("hello");
    poke(BUFFER_AT(5), "there", 5);
    give(5, 0, BUFFER_AT(5), 5, 0);
    expect_sent("there");
    control(1, 6, 0);
    ck_assert_uint_eq(channel->ops->input_room(channel), 0);
}
END_TEST

START_TEST(a_driver_without_the_feature_has_one_console)
{
    new_console(0);
    ck_assert_uint_eq(console->ops->input_room(console), 4096);
    ck_assert_uint_eq(channel->ops->input_room(channel), 0);
    input(console, "x", 1);
    give(0, 0, BUFFER_AT(0), 3, 2);
    ck_assert_int_eq(taken(0), 1);
    set(0x2000 + 8, 4, 'E'); /* the emergency write */
    expect_sent("E");
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG + 4, 4), 3);
}
END_TEST

START_TEST(what_no_driver_should_say_does_no_harm)
{
    static const uint32_t ports[] = {2, 3, 0xffffffffu};

    new_console(~0ull & ~(1ull << 29));
    for (unsigned i = 0; i < ARRAY_LEN(ports); i++)
        for (unsigned event = 0; event < 12; event++)
            control(ports[i], event, 1);
    for (unsigned i = 0; i < 100; i++)
        control(0, 3, 1);
    give(3, 0, BUFFER_AT(3), 2, 0);
    ck_assert_int_eq(taken(3), 0);
    give(7, 0, BUFFER_AT(7), 5, 0); /* of a port that is not there */
    ck_assert_int_eq(taken(7), 0);
    ck_assert_uint_eq(sent.len, 0);
    give(2, 0, BUFFER_AT(2), 2, 2); /* no room for a message */
    ck_assert_uint_eq(get(0x14, 1) & 0x40, 0x40);
    ck_assert(dut->ops->possible(dut));
}
END_TEST

START_TEST(ports_that_cannot_be_are_refused)
{
    struct error e;

    new_bench();
    ck_assert_int_lt(plug(virtconsole_plug, "a", 0, "virtconsole,chardev=a", &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "virtio-serial-pci"));
    ck_assert_int_eq(plug(virtio_serial_pci_plug, "s", 3, "virtio-serial-pci", &e), 0);
    ck_assert_int_lt(plug(virtserialport_plug, "a", 0, "virtserialport,chardev=a,nr=0", &e), 0);
    ck_assert_int_lt(plug(virtserialport_plug, "a", 0, "virtserialport,chardev=a,nr=3", &e), 0);
    ck_assert_int_lt(plug(virtserialport_plug, "a", 0, "virtserialport,chardev=a,bus=t.0", &e), 0);
    ck_assert_int_eq(plug(virtserialport_plug, "a", 0, "virtserialport,chardev=a,bus=s.0,nr=2", &e), 0);
    ck_assert_int_lt(plug(virtserialport_plug, "b", 0, "virtserialport,chardev=b,nr=2", &e), 0);
    ck_assert_int_eq(plug(virtserialport_plug, "b", 0, "virtserialport,chardev=b", &e), 0);
    ck_assert_int_lt(plug(virtserialport_plug, "c", 0, "virtserialport,chardev=c", &e), 0);
    ck_assert_int_lt(plug(virtconsole_plug, "d", 0, "virtconsole", &e), 0);
}
END_TEST

/* ---- balloon ---- */

enum { INFLATE, DEFLATE, STATS, REPORTING };

static void wish(uint64_t bytes)
{
    uint8_t data[VIRTIO_BALLOON_INPUT];

    put_le64(data, bytes);
    input(dut, data, sizeof(data));
}

static void new_balloon(const char *text)
{
    new_device(virtio_balloon_pci_plug, text);
    ck_assert_ptr_eq(m->balloon, dut);
}

START_TEST(a_wish_is_told_to_the_driver)
{
    new_balloon("x");
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG, 8), 0);
    wish(RAM_BYTES - 64 * 1024);
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG, 4), 16);
    ck_assert_uint_eq(memory_read(&m->memory, BAR4 + 0x1000, 1), 2); /* the configuration */
    memory_write(&m->memory, CONFIG + 4, 4, 0x01020304);
    memory_write(&m->memory, CONFIG, 4, 7); /* not the driver's */
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG, 8), 0x0102030400000010);
    wish(RAM_BYTES * 2ull); /* more than there is */
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG, 4), 0);
    wish(0);
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG, 4), RAM_BYTES >> 12);
    input(dut, "abc", 3); /* no wish */
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG, 4), RAM_BYTES >> 12);
}
END_TEST

START_TEST(pages_in_the_balloon_hold_zeros)
{
    new_balloon("x");
    for (unsigned n = 0; n < 4; n++)
        poke64(0x60000 + 0x1000 * n + 0x800, 0x5555);
    poke32(BUFFER_AT(0), 0x60);
    poke32(BUFFER_AT(0) + 4, 0x62);
    poke32(BUFFER_AT(0) + 8, 0x63);
    give(INFLATE, 0, BUFFER_AT(0), 8, 0);
    ck_assert_int_eq(taken(INFLATE), 0);
    for (unsigned n = 0; n < 4; n++)
        ck_assert_uint_eq(peek32(0x60000 + 0x1000 * n + 0x800), n == 0 || n == 2 ? 0 : 0x5555);
    give(DEFLATE, 0, BUFFER_AT(0) + 8, 4, 0);
    ck_assert_int_eq(taken(DEFLATE), 0);
    ck_assert_uint_eq(peek32(0x63800), 0x5555);
    poke32(BUFFER_AT(0), BAR4 >> 12); /* its own registers are no memory */
    give(INFLATE, 1, BUFFER_AT(0), 4, 0);
    ck_assert_int_eq(taken(INFLATE), 0);
    ck_assert_uint_eq(get(0x14, 1), 15);
}
END_TEST

START_TEST(statistics_are_asked_for)
{
    static const uint8_t stats[30] = {4, 0, 0, 0x10, [10] = 15, 0, 7, [20] = 99, 0, 9};
    struct buffer b;

    new_balloon("x,guest-stats-polling-interval=2");
    poke(BUFFER_AT(0), stats, sizeof(stats));
    give(STATS, 0, BUFFER_AT(0), sizeof(stats), 0);
    ck_assert_int_eq(taken(STATS), -1); /* it stays here */
    buffer_init(&b);
    virtio_balloon_report(dut, &b);
    buffer_append_byte(&b, 0);
    ck_assert_str_eq((const char *)b.data, "balloon: actual=1 wanted=1 (MB)\n  the guest said at 0.000000000 s:\n    free_mem 4096\n    statistic 15 7\n");
    buffer_finish(&b);
    ck_assert_uint_eq(dut->ops->deadline(dut), 2000 * MS);
    run_until(2000 * MS);
    ck_assert_int_eq(taken(STATS), 0);
    ck_assert_uint_eq(dut->ops->deadline(dut), VTIME_NEVER);
    give(STATS, 0, BUFFER_AT(0), sizeof(stats), 0);
    ck_assert_uint_eq(dut->ops->deadline(dut), 4000 * MS);
    wish(RAM_BYTES);
    ck_assert_int_eq(taken(STATS), 0);
}
END_TEST

START_TEST(pages_that_are_reported_free_hold_zeros)
{
    new_balloon("x,free-page-reporting=on,deflate-on-oom=on");
    set(0x00, 4, 0);
    ck_assert_uint_eq(get(0x04, 4) & 0x27, 0x26);
    poke64(0x70000, 0x5555);
    poke64(0x72000, 0x5555);
    give(REPORTING, 0, 0x70000, 0x2000, 2);
    ck_assert_int_eq(taken(REPORTING), 0);
    ck_assert_uint_eq(peek32(0x70000), 0);
    ck_assert_uint_eq(peek32(0x72000), 0x5555);
    give(REPORTING, 1, 0x72000, 0x800, 2); /* less than a page */
    ck_assert_uint_eq(peek32(0x72000), 0x5555);
}
END_TEST

START_TEST(there_is_one_balloon)
{
    struct error e;

    new_bench();
    ck_assert_int_eq(plug(virtio_balloon_pci_plug, "a", 3, "x", &e), 0);
    ck_assert_int_lt(plug(virtio_balloon_pci_plug, "b", 4, "x", &e), 0);
    ck_assert_int_lt(plug(virtio_balloon_mmio_plug, "c", 4, "x", &e), 0);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(buffers_come_back_full_of_entropy);
    ADD(a_quota_is_renewed_each_period);
    ADD(properties_that_make_no_sense_are_refused);
    ADD(keys_go_down_and_up_in_guest_time);
    ADD(events_wait_for_buffers_and_are_lost_without_a_driver);
    ADD(configuration_says_what_there_is);
    ADD(pointers_tell_distances_or_places_and_buttons);
    ADD(leds_are_what_the_driver_says);
    ADD(ports_are_announced_opened_and_used);
    ADD(a_driver_without_the_feature_has_one_console);
    ADD(what_no_driver_should_say_does_no_harm);
    ADD(ports_that_cannot_be_are_refused);
    ADD(a_wish_is_told_to_the_driver);
    ADD(pages_in_the_balloon_hold_zeros);
    ADD(statistics_are_asked_for);
    ADD(pages_that_are_reported_free_hold_zeros);
    ADD(there_is_one_balloon);
}

CHIP_TESTS("virtio: entropy, input, consoles", claims)
