/*
 * xHCI: a driver's way from reset to a device's descriptors and data, commands and their errors, events and interrupts, rings
 * as no driver should make them.
 */
#include "tests/vm/disk_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/keys.h"
#include "vm/dev/usb.h"
#include "vm/dev/usb_hid.h"
#include "vm/dev/usb_serial.h"
#include "vm/dev/usb_storage.h"
#include "vm/dev/xhci.h"

#define BAR       0x10010000u
#define DCBAA_AT  0x1000u
#define COMMANDS  0x2000u  /* ring of 32 blocks, the last a link */
#define ERST_AT   0x3000u
#define EVENTS    0x4000u  /* ring of EVENTS_N */
#define EVENTS_N  16u
#define INPUT_AT  0x5000u
#define DEVICE_AT 0x6000u  /* output context */
#define RING_AT(dci) (0x7000u + 0x400u * (dci))
#define RING_N    32u
#define DATA_AT   0x40000u

/* Types and flags of blocks. */
enum { NORMAL = 1, SETUP, DATA, STATUS, LINK = 6, EVENT_DATA, NOOP, ENABLE = 9, DISABLE, ADDRESS, CONFIGURE, EVALUATE, RESET_EP,
       STOP_EP, SET_DEQUEUE, RESET_DEVICE, COMMAND_NOOP = 23 };
#define CHAIN 0x10u
#define IOC 0x20u
#define IDT 0x40u
#define ISP 4u
#define IN_ 0x10000u

struct trb {
    uint64_t parameter;
    uint32_t status, control;
};

static struct device *xhci;
static struct pci_function *f;
static unsigned command_at, event_at, ring_at[32];
static unsigned command_cycle, event_cycle;

static uint32_t reg(unsigned at)
{
    return peek32(BAR + at);
}

static void set(unsigned at, uint32_t value)
{
    memory_write(&m->memory, BAR + at, 4, value);
}

static void set64(unsigned at, uint64_t value)
{
    memory_write(&m->memory, BAR + at, 8, value);
}

static struct device *plug(plug_fn *fn, const char *text, const char *name, struct drive *d)
{
    struct sockets s = {.machine = m, .pci = &bench_bus};
    struct option_list props;
    struct error e = {0};

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, &e), 0);
    ck_assert_msg(fn(&s, name, PCI_DEVFN(3, 0), d, &props, &e) == 0, "%s", e.text);
    option_list_finish(&props);
    return machine_find_device(m, name);
}

static void put_trb(paddr_t at, uint64_t parameter, uint32_t status, uint32_t control)
{
    poke64(at, parameter);
    poke32(at + 8, status);
    poke32(at + 12, control);
}

static void start(void)
{
    static const uint8_t zeros[0x10000];

    poke(DCBAA_AT, zeros, sizeof(zeros));
    set(0x40, 2);
    ck_assert_uint_eq(reg(0x40), 0);
    set(0x78, 32);
    set64(0x70, DCBAA_AT);
    set64(0x58, COMMANDS | 1);
    put_trb(COMMANDS + 31 * 16, COMMANDS, 0, LINK << 10 | 2 | 1);
    poke64(ERST_AT, EVENTS);
    poke32(ERST_AT + 8, EVENTS_N);
    set(0x1028, 1);
    set64(0x1038, EVENTS);
    set64(0x1030, ERST_AT);
    set(0x1024, 0);
    set(0x1020, 2);
    set(0x40, 5);
    memset(ring_at, 0, sizeof(ring_at));
    command_at = event_at = 0;
    command_cycle = event_cycle = 1;
}

static void new_xhci(plug_fn *fn, struct drive *d)
{
    if (!d)
        new_disk_bench();
    xhci = plug(qemu_xhci_plug, "qemu-xhci", "xhci", NULL);
    if (fn)
        plug(fn, "device,port=1,chardev=c", "dev", d);
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, 4, BAR);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    start();
}

/* The next event, which must be there; the ring is told. */
static struct trb event(void)
{
    paddr_t at = EVENTS + 16 * event_at;
    struct trb t = {memory_read(&m->memory, at, 8), peek32(at + 8), peek32(at + 12)};

    ck_assert_uint_eq(t.control & 1, event_cycle);
    if (++event_at == EVENTS_N) {
        event_at = 0;
        event_cycle ^= 1;
    }
    set64(0x1038, (EVENTS + 16 * event_at) | 8);
    return t;
}

static bool no_event(void)
{
    return (peek32(EVENTS + 16 * event_at + 12) & 1) != event_cycle;
}

static unsigned code(const struct trb *t)
{
    return t->status >> 24;
}

static unsigned type_of(const struct trb *t)
{
    return t->control >> 10 & 63;
}

/* Events of ports come when the controller starts. */
static void skip_port_events(void)
{
    while (!no_event()) {
        struct trb t = event();

        ck_assert_uint_eq(type_of(&t), 34);
    }
}

/* Carry out a command; its completion code. *slot may be NULL. */
static unsigned command(uint64_t parameter, uint32_t control, unsigned *slot)
{
    paddr_t at = COMMANDS + 16 * command_at;
    struct trb t;

    put_trb(at, parameter, 0, control | command_cycle);
    if (++command_at == 31) {
        poke32(COMMANDS + 31 * 16 + 12, LINK << 10 | 2 | command_cycle);
        command_at = 0;
        command_cycle ^= 1;
    }
    set(0x2000, 0);
    run_for(20000);
    do
        t = event();
    while (type_of(&t) == 34 || type_of(&t) == 32);
    ck_assert_uint_eq(type_of(&t), 33);
    ck_assert_uint_eq(t.parameter, at);
    if (slot)
        *slot = t.control >> 24;
    return code(&t);
}

static unsigned slot_command(unsigned type, uint64_t parameter, uint32_t flags)
{
    return command(parameter, 1u << 24 | type << 10 | flags, NULL);
}

static void context(paddr_t at, uint32_t w0, uint32_t w1, uint64_t dequeue, uint32_t w4)
{
    poke32(at, w0);
    poke32(at + 4, w1);
    poke64(at + 8, dequeue);
    poke32(at + 16, w4);
}

/* The input context for slot 1 at a root port, with endpoint 0. */
static void input_context(unsigned root_port, unsigned speed, unsigned packet)
{
    poke32(INPUT_AT, 0);
    poke32(INPUT_AT + 4, 3);
    context(INPUT_AT + 32, 1u << 27 | speed << 20, root_port << 16, 0, 0);
    context(INPUT_AT + 64, 0, 4 << 3 | 3 << 1 | packet << 16, RING_AT(1) | 1, 8);
    poke64(DCBAA_AT + 8, DEVICE_AT);
}

static void reset_port(unsigned n)
{
    set(0x430 + 16 * n, reg(0x430 + 16 * n) | 0x10);
    set(0x430 + 16 * n, (reg(0x430 + 16 * n) & ~2u) | 0xfe0000);
    skip_port_events();
}

/* Slot 1 for the device in connector 1. */
static void address(bool super)
{
    unsigned slot, port = super ? 1 : 5;

    reset_port(port);
    ck_assert_uint_eq(command(0, ENABLE << 10, &slot), 1);
    ck_assert_uint_eq(slot, 1);
    input_context(port, super ? 4 : 3, super ? 512 : 64);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0), 1);
}

static void add_block(unsigned dci, uint64_t parameter, uint32_t status, uint32_t control)
{
    ck_assert_uint_lt(ring_at[dci], RING_N);
    put_trb(RING_AT(dci) + 16 * ring_at[dci]++, parameter, status, control | 1);
}

static void ring(unsigned dci)
{
    set(0x2004, dci);
}

static void get_descriptor(unsigned what, unsigned len)
{
    add_block(1, 0x0680ull | (uint64_t)what << 16 | (uint64_t)len << 48, 8, SETUP << 10 | IDT | 3 << 16);
    add_block(1, DATA_AT, len, DATA << 10 | IN_);
    add_block(1, 0, 0, STATUS << 10 | IOC);
}

static void request(unsigned type, unsigned number, unsigned value, unsigned index)
{
    add_block(1, type | number << 8 | (uint64_t)value << 16 | (uint64_t)index << 32, 8, SETUP << 10 | IDT);
    add_block(1, 0, 0, STATUS << 10 | IOC | IN_);
    ring(1);
    run_for(MS);
}

static void configure(unsigned dci, unsigned type, unsigned packet, unsigned interval)
{
    poke32(INPUT_AT, 0);
    poke32(INPUT_AT + 4, 1u | 1u << dci);
    context(INPUT_AT + 32 * (dci + 1), interval << 16, type << 3 | 3 << 1 | packet << 16, RING_AT(dci) | 1, packet);
    ck_assert_uint_eq(slot_command(CONFIGURE, INPUT_AT, 0), 1);
}

static unsigned ep_state(unsigned dci)
{
    return peek32(DEVICE_AT + 32 * dci) & 7;
}

/* ---- registers ---- */

START_TEST(registers_are_as_after_power_on)
{
    new_xhci(usb_kbd_plug, NULL);
    ck_assert_uint_eq(reg(0), 0x01000040);
    ck_assert_uint_eq(reg(4), 0x08001020);
    ck_assert_uint_eq(reg(0x10) & 0xf4, 0);
    ck_assert_uint_eq(reg(0x14), 0x2000);
    ck_assert_uint_eq(reg(0x18), 0x1000);
    ck_assert_uint_eq(reg(0x20), 0x02000402);
    ck_assert_uint_eq(reg(0x28), 0x0405);
    ck_assert_uint_eq(reg(0x38), 0x0401);
    ck_assert_uint_eq(reg(0x48), 1);
    set(0x40, 0);
    set(0x40, 2);
    ck_assert_uint_eq(reg(0x44), 0x11); /* halted; a port has changed */
    ck_assert_uint_eq(reg(0x1024), 4000);
    ck_assert_uint_eq(reg(0x480), 0x00020ee1); /* port 5: connected, high speed, polling, changed */
    ck_assert_uint_eq(reg(0x440), 0x2a0);
    ck_assert_uint_eq(memory_read(&m->memory, BAR + 0x40, 1), 0);
    set(0x78, 0xffffffff);
    ck_assert_uint_eq(reg(0x78), 0xff);
    ck_assert_uint_eq(pci_config_read(f, 0x60, 1), 0x30);
    set(0x444, 0xffffffff); /* PORTPMSC of USB 3, and of USB 2 */
    set(0x484, 0xffffffff);
    ck_assert_uint_eq(reg(0x444), 0x0001ffff);
    ck_assert_uint_eq(reg(0x484), 0xf001fff8);
    set(0x40, 0x0c00);
    ck_assert_uint_eq(reg(0x40), 0x0c00);
}
END_TEST

START_TEST(mfindex_counts_microframes)
{
    new_xhci(NULL, NULL);
    run_for(10 * MS);
    ck_assert_uint_eq(reg(0x1000), 80);
    run_for(2048 * MS);
    ck_assert_uint_eq(reg(0x1000), 80);
    ck_assert(no_event());
    set(0x40, 0x405);
    run_for(2048 * MS);
    ck_assert_uint_eq(event().control >> 10, 39);
    set(0x40, 0x404);
    ck_assert_uint_eq(reg(0x1000), 0);
    ck_assert_uint_eq(reg(0x44) & 1, 1);
}
END_TEST

START_TEST(ports_are_reset_suspended_resumed)
{
    struct trb t;

    new_xhci(usb_kbd_plug, NULL);
    t = event();
    ck_assert_uint_eq(type_of(&t), 34);
    ck_assert_uint_eq(t.parameter, 5u << 24);
    set(0x480, 0x210);
    ck_assert_uint_eq(reg(0x480), 0x00220e03);
    t = event();
    ck_assert_uint_eq(t.parameter, 5u << 24);
    set(0x480, 0x00220200);
    ck_assert_uint_eq(reg(0x480), 0x00000e03);
    set(0x480, 0x10260);
    ck_assert_uint_eq(reg(0x480), 0xe63); /* U3 */
    set(0x480, 0x103e0);
    ck_assert_uint_eq(reg(0x480) & 0x1e0, 0x1e0); /* resume */
    set(0x480, 0x10200);
    ck_assert_uint_eq(reg(0x480), 0x400e03);
    t = event();
    ck_assert_uint_eq(t.parameter, 5u << 24);
    set(0x480, 0x202); /* disable */
    ck_assert_uint_eq(reg(0x480), 0x400e81);
}
END_TEST

/* ---- commands ---- */

START_TEST(commands_are_carried_out_in_order)
{
    unsigned slot;

    new_xhci(NULL, NULL);
    for (unsigned i = 0; i < 40; i++) /* over the link, and round the events' ring */
        ck_assert_uint_eq(command(0, COMMAND_NOOP << 10, NULL), 1);
    ck_assert_uint_eq(command(0, 60u << 10, NULL), 5);
    for (unsigned i = 1; i <= 32; i++) {
        ck_assert_uint_eq(command(0, ENABLE << 10, &slot), 1);
        ck_assert_uint_eq(slot, i);
    }
    ck_assert_uint_eq(command(0, ENABLE << 10, NULL), 9);
    ck_assert_uint_eq(command(0, 7u << 24 | DISABLE << 10, NULL), 1);
    ck_assert_uint_eq(command(0, 7u << 24 | DISABLE << 10, NULL), 11);
    ck_assert_uint_eq(command(0, ENABLE << 10, &slot), 1);
    ck_assert_uint_eq(slot, 7);
    ck_assert_uint_eq(command(0, 99u << 24 | STOP_EP << 10, NULL), 11);
    ck_assert_uint_eq(reg(0x58), 8); /* CRR */
    set(0x58, 2);
    ck_assert_uint_eq(reg(0x58), 0);
    ck_assert_uint_eq(event().status >> 24, 24);
}
END_TEST

START_TEST(a_device_is_addressed_and_asked)
{
    struct trb t;

    new_xhci(usb_kbd_plug, NULL);
    address(false);
    ck_assert_uint_eq(peek32(DEVICE_AT + 12), 2u << 27 | 1); /* addressed, as 1 */
    ck_assert_uint_eq(ep_state(1), 1);
    get_descriptor(0x0100, 18);
    ring(1);
    ck_assert(no_event());
    run_for(MS);
    t = event();
    ck_assert_uint_eq(type_of(&t), 32);
    ck_assert_uint_eq(code(&t), 1);
    ck_assert_uint_eq(t.control >> 16, 0x0101);
    ck_assert_uint_eq(t.parameter, RING_AT(1) + 32);
    ck_assert_uint_eq(peek32(DATA_AT) & 0xffff, 0x0112);
    ck_assert(no_event());
    get_descriptor(0x0100, 64); /* more than there is */
    poke32(RING_AT(1) + 16 * 4 + 12, DATA << 10 | IN_ | ISP | 1);
    ring(1);
    run_for(MS);
    t = event();
    ck_assert_uint_eq(code(&t), 13);
    ck_assert_uint_eq(t.status & 0xffffff, 46);
    ck_assert_uint_eq(t.parameter, RING_AT(1) + 64);
    t = event();
    ck_assert_uint_eq(code(&t), 1);
}
END_TEST

START_TEST(addressing_has_its_errors)
{
    unsigned slot;

    new_xhci(usb_kbd_plug, NULL);
    ck_assert_uint_eq(command(0, ENABLE << 10, &slot), 1);
    input_context(5, 3, 64);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0), 4); /* the port is not enabled */
    reset_port(5);
    input_context(9, 3, 64);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0), 17);
    input_context(1, 3, 64);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0), 4); /* it is no device of SuperSpeed */
    input_context(5, 3, 0);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0), 17);
    input_context(5, 3, 64);
    ck_assert_uint_eq(slot_command(CONFIGURE, INPUT_AT, 0), 19);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0x200), 1); /* BSR */
    ck_assert_uint_eq(peek32(DEVICE_AT + 12), 1u << 27);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0), 1);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0), 19);
    ck_assert_uint_eq(slot_command(RESET_DEVICE, 0, 0), 1);
    ck_assert_uint_eq(peek32(DEVICE_AT + 12) >> 27, 1);
    ck_assert_uint_eq(slot_command(RESET_DEVICE, 0, 0), 19);
}
END_TEST

START_TEST(endpoints_go_through_their_states)
{
    struct trb t;

    new_xhci(usb_kbd_plug, NULL);
    address(false);
    ck_assert_uint_eq(slot_command(STOP_EP, 0, 3u << 16), 12);
    poke32(INPUT_AT, 0);
    poke32(INPUT_AT + 4, 1u | 1u << 3);
    context(INPUT_AT + 32 * 4, 1u << 10, 7 << 3 | 8u << 16, RING_AT(3) | 1, 8); /* streams */
    ck_assert_uint_eq(slot_command(CONFIGURE, INPUT_AT, 0), 17);
    context(INPUT_AT + 32 * 4, 0, 3 << 3 | 8u << 16, RING_AT(3) | 1, 8); /* OUT where IN belongs */
    ck_assert_uint_eq(slot_command(CONFIGURE, INPUT_AT, 0), 17);
    ck_assert_uint_eq(ep_state(3), 0);
    configure(3, 7, 8, 6);
    ck_assert_uint_eq(ep_state(3), 1);
    ck_assert_uint_eq(peek32(DEVICE_AT + 12) >> 27, 3);
    ck_assert_uint_eq(peek32(DEVICE_AT) >> 27, 3);
    ck_assert_uint_eq(slot_command(RESET_EP, 0, 3u << 16), 19);
    ck_assert_uint_eq(slot_command(SET_DEQUEUE, RING_AT(3) | 1, 3u << 16), 19);
    ck_assert_uint_eq(slot_command(STOP_EP, 0, 3u << 16), 1);
    ck_assert_uint_eq(ep_state(3), 3);
    ck_assert_uint_eq(slot_command(STOP_EP, 0, 3u << 16), 19);
    ck_assert_uint_eq(slot_command(SET_DEQUEUE, (RING_AT(3) + 0x100) | 1, 3u << 16), 1);
    ck_assert_uint_eq(peek32(DEVICE_AT + 32 * 3 + 8), (RING_AT(3) + 0x100) | 1);
    /* A request that stalls halts endpoint 0. */
    get_descriptor(0x6300, 18);
    ring(1);
    run_for(MS);
    t = event();
    ck_assert_uint_eq(code(&t), 6);
    ck_assert_uint_eq(t.parameter, RING_AT(1) + 16);
    ck_assert_uint_eq(ep_state(1), 2);
    ring(1);
    run_for(MS);
    ck_assert(no_event());
    ck_assert_uint_eq(slot_command(RESET_EP, 0, 1u << 16), 1);
    ck_assert_uint_eq(ep_state(1), 3);
    ck_assert_uint_eq(slot_command(SET_DEQUEUE, (RING_AT(1) + 48) | 1, 1u << 16), 1);
    get_descriptor(0x0100, 18);
    ring(1);
    run_for(MS);
    t = event();
    ck_assert_uint_eq(code(&t), 1);
    ck_assert_uint_eq(ep_state(1), 1);
    poke32(INPUT_AT + 4, 2);
    context(INPUT_AT + 64, 0, 32u << 16, 0, 0);
    ck_assert_uint_eq(slot_command(EVALUATE, INPUT_AT, 0), 1);
    ck_assert_uint_eq(peek32(DEVICE_AT + 36) >> 16, 32);
    ck_assert_uint_eq(slot_command(CONFIGURE, 0, 0x200), 1); /* deconfigure */
    ck_assert_uint_eq(ep_state(3), 0);
    ck_assert_uint_eq(peek32(DEVICE_AT + 12) >> 27, 2);
}
END_TEST

/* ---- transfers ---- */

static void type(const char *keys)
{
    struct device *kbd = machine_find_device(m, "dev");
    struct buffer b;
    struct error e;

    buffer_init(&b);
    keys_press(keys, 100, &b, &e);
    input(kbd, b.data, b.len);
    buffer_finish(&b);
}

static void new_keyboard(void)
{
    new_xhci(usb_kbd_plug, NULL);
    address(false);
    request(0, 9, 1, 0);
    ck_assert_uint_eq(event().status >> 24, 1);
    configure(3, 7, 8, 6);
}

START_TEST(keys_come_when_they_are_pressed)
{
    struct trb t;

    new_keyboard();
    for (unsigned i = 0; i < 4; i++)
        add_block(3, DATA_AT + 8 * i, 8, NORMAL << 10 | IOC);
    ring(3);
    run_for(100 * MS);
    ck_assert(no_event());
    ck_assert_uint_eq(xhci->ops->deadline(xhci), VTIME_NEVER); /* nobody is asked again and again */
    type("a");
    run_for(8 * MS);
    t = event();
    ck_assert_uint_eq(code(&t), 1);
    ck_assert_uint_eq(t.parameter, RING_AT(3));
    ck_assert_uint_eq(peek32(DATA_AT), 4u << 16);
    ck_assert(no_event());
    run_for(200 * MS);
    t = event();
    ck_assert_uint_eq(t.parameter, RING_AT(3) + 16);
    ck_assert_uint_eq(slot_command(STOP_EP, 0, 3u << 16), 1);
}
END_TEST

START_TEST(an_endpoint_that_waits_says_that_it_stops)
{
    struct trb t;

    new_keyboard();
    add_block(3, DATA_AT, 8, NORMAL << 10 | IOC);
    ring(3);
    run_for(100 * MS);
    put_trb(COMMANDS + 16 * command_at, 0, 0, 1u << 24 | STOP_EP << 10 | 3u << 16 | 1);
    set(0x2000, 0);
    run_for(20000);
    t = event();
    ck_assert_uint_eq(type_of(&t), 32);
    ck_assert_uint_eq(code(&t), 26);
    ck_assert_uint_eq(t.status & 0xffffff, 8);
    ck_assert_uint_eq(t.parameter, RING_AT(3));
    t = event();
    ck_assert_uint_eq(type_of(&t), 33);
    ck_assert_uint_eq(ep_state(3), 3);
    ring(3); /* and it goes on there */
    run_for(100 * MS);
    type("b");
    run_for(8 * MS);
    ck_assert_uint_eq(event().status >> 24, 1);
    ck_assert_uint_eq(peek32(DATA_AT), 5u << 16);
}
END_TEST

START_TEST(a_key_wakes_a_suspended_port)
{
    new_keyboard();
    request(0, 3, 1, 0);
    event();
    set(0x480, 0x10260);
    type("a");
    ck_assert_uint_eq(reg(0x480) & 0x004001e0, 0x004001e0);
    ck_assert_uint_eq(event().parameter, 5u << 24);
}
END_TEST

START_TEST(a_serial_port_says_when_there_is_something)
{
    struct device *dev;
    struct trb t;

    new_xhci(usb_serial_plug, NULL);
    dev = machine_find_device(m, "dev");
    reset_port(5);
    ck_assert_uint_eq(command(0, ENABLE << 10, NULL), 1);
    input_context(5, 1, 8);
    ck_assert_uint_eq(slot_command(ADDRESS, INPUT_AT, 0), 1);
    request(0, 9, 1, 0);
    ck_assert_uint_eq(event().status >> 24, 1);
    configure(3, 6, 64, 0);
    configure(4, 2, 64, 0);
    run_for(100 * MS);
    add_block(3, DATA_AT, 512, NORMAL << 10 | IOC | ISP); /* what has gone by is status */
    ring(3);
    run_for(MS);
    t = event();
    ck_assert_uint_eq(code(&t), 13);
    ck_assert_uint_eq(t.status & 0xffffff, 510);
    add_block(3, DATA_AT, 512, NORMAL << 10 | IOC | ISP);
    ring(3);
    run_for(5 * MS);
    input(dev, "abc", 3);
    run_for(5 * MS);
    ck_assert(no_event());
    ck_assert_uint_eq(xhci->ops->deadline(xhci), VTIME_NEVER);
    run_for(8 * MS); /* the latency timer */
    t = event();
    ck_assert_uint_eq(code(&t), 13);
    ck_assert_uint_eq(t.status & 0xffffff, 507);
    ck_assert_uint_eq(peek32(DATA_AT), 0xb1u | 0x60u << 8 | 'a' << 16 | (uint32_t)'b' << 24);
    ck_assert(no_event());
    poke(DATA_AT, "0123456789", 10);
    add_block(4, DATA_AT, 10, NORMAL << 10 | IOC);
    ring(4);
    run_for(MS);
    ck_assert_uint_eq(event().status >> 24, 1);
    ck_assert_uint_eq(sent.len, 10);
    ck_assert_mem_eq(sent.data, "0123456789", 10);
}
END_TEST

static void new_storage(void)
{
    new_disk_bench();
    new_xhci(usb_storage_plug, new_drive("d0", DRIVE_DISK, NULL));
    address(true);
    request(0, 9, 1, 0);
    ck_assert_uint_eq(event().status >> 24, 1);
    configure(3, 6, 1024, 0);
    configure(4, 2, 1024, 0);
}

static void wrapper(const uint8_t *cdb, bool in_, uint32_t len)
{
    uint8_t p[31] = {'U', 'S', 'B', 'C', 1};

    put_le32(p + 8, len);
    p[12] = in_ ? 0x80 : 0;
    p[14] = 10;
    memcpy(p + 15, cdb, 10);
    poke(DATA_AT, p, 31);
    add_block(4, DATA_AT, 31, NORMAL << 10 | IOC);
    ring(4);
}

static void status(unsigned wanted)
{
    struct trb t;

    add_block(3, DATA_AT + 64, 13, NORMAL << 10 | IOC);
    ring(3);
    run_for(10 * MS);
    t = event();
    ck_assert_uint_eq(code(&t), 1);
    ck_assert_uint_eq(t.status & 0xffffff, 0);
    ck_assert_uint_eq(memory_read(&m->memory, DATA_AT + 76, 1), wanted);
}

START_TEST(blocks_of_any_size_make_packets)
{
    static const uint8_t ready[10] = {0}, read_[10] = {0x28, 0, 0, 0, 0, 9, 0, 0, 8}, write_[10] = {0x2a, 0, 0, 0, 0, 3, 0, 0, 4};
    struct trb t;

    new_storage();
    wrapper(ready, false, 0);
    run_for(MS);
    ck_assert_uint_eq(event().status >> 24, 1);
    status(1);
    wrapper(read_, true, 4096);
    add_block(3, DATA_AT + 0x1003, 700, NORMAL << 10 | CHAIN);
    add_block(3, DATA_AT + 0x2001, 3000, NORMAL << 10 | CHAIN);
    add_block(3, DATA_AT + 0x3000, 396, NORMAL << 10 | CHAIN);
    add_block(3, 0x1234567890ull, 0, EVENT_DATA << 10 | IOC);
    ring(3);
    run_for(10 * MS);
    ck_assert_uint_eq(event().status >> 24, 1); /* the wrapper */
    t = event();
    ck_assert_uint_eq(t.parameter, 0x1234567890ull);
    ck_assert_uint_eq(t.control & 4, 4);
    ck_assert_uint_eq(code(&t), 1);
    ck_assert_uint_eq(t.status & 0xffffff, 4096);
    ck_assert(holds_image(DATA_AT + 0x1003, 9 * 512, 700, 512));
    ck_assert(holds_image(DATA_AT + 0x2001, 9 * 512 + 700, 3000, 512));
    ck_assert(holds_image(DATA_AT + 0x3000, 9 * 512 + 3700, 396, 512));
    status(0);
    for (unsigned i = 0; i < 2048; i += 4)
        poke32(DATA_AT + 0x4000 + i, i * 77);
    wrapper(write_, false, 2048);
    add_block(4, DATA_AT + 0x4000, 1, NORMAL << 10 | CHAIN);
    add_block(4, DATA_AT + 0x4001, 2000, NORMAL << 10 | CHAIN);
    add_block(4, 0x0706050403020100ull, 7, NORMAL << 10 | CHAIN | IDT);
    add_block(4, DATA_AT + 0x4000 + 2008, 40, NORMAL << 10 | IOC);
    ring(4);
    run_for(10 * MS);
    ck_assert_uint_eq(event().status >> 24, 1);
    t = event();
    ck_assert_uint_eq(code(&t), 1);
    status(0);
    {
        static const uint8_t again[10] = {0x28, 0, 0, 0, 0, 3, 0, 0, 4};

        wrapper(again, true, 2048);
        add_block(3, DATA_AT + 0x5000, 2048, NORMAL << 10 | IOC);
        ring(3);
        run_for(10 * MS);
        event();
        event();
        for (unsigned i = 0; i < 2048; i++) {
            unsigned is = (unsigned)memory_read(&m->memory, DATA_AT + 0x5000 + i, 1);

            ck_assert_uint_eq(is, i < 2001 || i >= 2008 ? memory_read(&m->memory, DATA_AT + 0x4000 + i, 1) : i - 2001);
        }
        status(0);
    }
}
END_TEST

START_TEST(a_short_transfer_is_passed_over)
{
    static const uint8_t inquiry[10] = {0x12, 0, 0, 0, 36};
    struct trb t;

    new_storage();
    wrapper(inquiry, true, 4096);
    add_block(3, DATA_AT + 0x1000, 20, NORMAL << 10 | CHAIN);
    add_block(3, DATA_AT + 0x2000, 2048, NORMAL << 10 | CHAIN | ISP);
    add_block(3, DATA_AT + 0x3000, 2028, NORMAL << 10 | IOC);
    ring(3);
    run_for(10 * MS);
    event();
    t = event();
    ck_assert_uint_eq(code(&t), 13);
    ck_assert_uint_eq(t.parameter, RING_AT(3) + 16);
    ck_assert_uint_eq(t.status & 0xffffff, 2048 - 16);
    status(0);
}
END_TEST

START_TEST(a_packet_that_does_not_fit_is_babble)
{
    static const uint8_t inquiry[10] = {0x12, 0, 0, 0, 36};

    new_storage();
    wrapper(inquiry, true, 36);
    add_block(3, DATA_AT + 0x1000, 20, NORMAL << 10 | IOC);
    ring(3);
    run_for(10 * MS);
    event();
    ck_assert_uint_eq(event().status >> 24, 3);
    ck_assert_uint_eq(ep_state(3), 2);
}
END_TEST

/* ---- events and interrupts ---- */

static bool any_pin(void)
{
    return probe[0].level || probe[1].level || probe[2].level || probe[3].level;
}

START_TEST(interrupts_are_told_by_the_pin)
{
    new_xhci(NULL, NULL);
    ck_assert(!any_pin());
    put_trb(COMMANDS, 0, 0, COMMAND_NOOP << 10 | 1);
    set(0x2000, 0);
    run_for(20000);
    ck_assert(any_pin());
    ck_assert_uint_eq(reg(0x1020), 3);
    ck_assert_uint_eq(reg(0x44) & 8, 8);
    ck_assert_uint_eq(reg(0x1038) & 8, 8);
    set(0x44, 8);
    set(0x1020, 3);
    ck_assert(!any_pin());
    set64(0x1038, (EVENTS + 16) | 8);
    ck_assert(!any_pin());
    put_trb(COMMANDS + 16, 0, 0, COMMAND_NOOP << 10 | 1);
    set(0x2000, 0);
    run_for(20000);
    ck_assert(any_pin());
}
END_TEST

START_TEST(moderation_holds_interrupts_back)
{
    new_xhci(NULL, NULL);
    set(0x1024, 4000); /* a millisecond */
    for (unsigned i = 0; i < 2; i++) {
        put_trb(COMMANDS + 16 * i, 0, 0, COMMAND_NOOP << 10 | 1);
        set(0x2000, 0);
        run_for(20000);
        set(0x1020, 3);
        event();
        ck_assert(!any_pin());
    }
    put_trb(COMMANDS + 32, 0, 0, COMMAND_NOOP << 10 | 1);
    set(0x2000, 0);
    run_for(900000);
    ck_assert(!any_pin());
    run_for(100000);
    ck_assert(any_pin());
}
END_TEST

START_TEST(interrupts_are_told_by_messages)
{
    new_xhci(NULL, NULL);
    memory_write(&m->memory, BAR + 0x3000, 4, MESSAGES_AT);
    memory_write(&m->memory, BAR + 0x3008, 4, 0x4041);
    memory_write(&m->memory, BAR + 0x300c, 4, 0);
    pci_config_write(f, f->msix_at + 2u, 2, 0x8000);
    ck_assert_uint_eq(command(0, COMMAND_NOOP << 10, NULL), 1);
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(bench_message, 0x4041);
    ck_assert_uint_eq(reg(0x1020), 2); /* IP is cleared by the message */
    ck_assert(!any_pin());
}
END_TEST

START_TEST(a_full_ring_loses_nothing)
{
    unsigned seen = 0;

    new_xhci(NULL, NULL);
    for (unsigned i = 0; i < 30; i++)
        put_trb(COMMANDS + 16 * i, 0, 0, COMMAND_NOOP << 10 | 1);
    set(0x2000, 0);
    run_for(100 * MS);
    for (unsigned i = 0; i < EVENTS_N - 2; i++, seen++)
        ck_assert_uint_eq(event().parameter, COMMANDS + 16 * seen);
    ck_assert_uint_eq(event().status >> 24, 21); /* Ring Full */
    run_for(100 * MS);
    while (!no_event()) {
        struct trb t = event();

        if (code(&t) == 21) {
            run_for(100 * MS);
            continue;
        }
        ck_assert_uint_eq(t.parameter, COMMANDS + 16 * seen++);
        run_for(100 * MS);
    }
    ck_assert_uint_eq(seen, 30);
}
END_TEST

START_TEST(segments_follow_one_another)
{
    new_xhci(NULL, NULL);
    poke64(ERST_AT + 16, EVENTS + 0x400);
    poke32(ERST_AT + 24, 16);
    set(0x1028, 2);
    for (unsigned i = 0; i < 20; i++)
        put_trb(COMMANDS + 16 * i, 0, 0, COMMAND_NOOP << 10 | 1);
    set(0x2000, 0);
    run_for(100 * MS);
    ck_assert_uint_eq(memory_read(&m->memory, EVENTS + 0x400 + 48, 8), COMMANDS + 16 * 19);
}
END_TEST

/* ---- what no driver should do ---- */

START_TEST(links_that_lead_nowhere_end_in_errors)
{
    struct trb t;

    new_keyboard();
    put_trb(RING_AT(3), RING_AT(3), 0, LINK << 10 | 1);
    ring(3);
    run_for(10 * MS);
    t = event();
    ck_assert_uint_eq(code(&t), 5);
    ck_assert_uint_eq(ep_state(3), 4);
    put_trb(COMMANDS + 16 * command_at, COMMANDS + 16 * command_at, 0, LINK << 10 | 1);
    set(0x2000, 0);
    run_for(10 * MS);
    ck_assert_uint_eq(event().status >> 24, 5);
    ck_assert_uint_eq(reg(0x58), 0);
}
END_TEST

START_TEST(blocks_that_are_none_end_in_errors)
{
    new_keyboard();
    add_block(1, 0, 8, SETUP << 10); /* no immediate data */
    ring(1);
    run_for(MS);
    ck_assert_uint_eq(event().status >> 24, 5);
    ck_assert_uint_eq(ep_state(1), 4);
    add_block(3, DATA_AT, 8, 63u << 10);
    ring(3);
    run_for(10 * MS);
    ck_assert_uint_eq(event().status >> 24, 5);
    ck_assert_uint_eq(ep_state(3), 4);
}
END_TEST

START_TEST(without_bus_mastering_it_halts)
{
    new_xhci(NULL, NULL);
    pci_config_write(f, PCI_COMMAND, 2, 2);
    set(0x2000, 0);
    run_for(MS);
    ck_assert_uint_eq(reg(0x44) & 5, 5);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(registers_are_as_after_power_on);
    ADD(mfindex_counts_microframes);
    ADD(ports_are_reset_suspended_resumed);
    ADD(commands_are_carried_out_in_order);
    ADD(a_device_is_addressed_and_asked);
    ADD(addressing_has_its_errors);
    ADD(endpoints_go_through_their_states);
    ADD(keys_come_when_they_are_pressed);
    ADD(an_endpoint_that_waits_says_that_it_stops);
    ADD(a_key_wakes_a_suspended_port);
    ADD(a_serial_port_says_when_there_is_something);
    ADD(blocks_of_any_size_make_packets);
    ADD(a_short_transfer_is_passed_over);
    ADD(a_packet_that_does_not_fit_is_babble);
    ADD(interrupts_are_told_by_the_pin);
    ADD(moderation_holds_interrupts_back);
    ADD(interrupts_are_told_by_messages);
    ADD(a_full_ring_loses_nothing);
    ADD(segments_follow_one_another);
    ADD(links_that_lead_nowhere_end_in_errors);
    ADD(blocks_that_are_none_end_in_errors);
    ADD(without_bus_mastering_it_halts);
}

CHIP_TESTS("xhci", claims)
