/*
 * UHCI: registers, ports, and a driver's schedules: control transfers, queues by depth and by breadth, errors, toggles, loops.
 */
#include "tests/vm/disk_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/keys.h"
#include "vm/dev/uhci.h"
#include "vm/dev/usb.h"
#include "vm/dev/usb_hid.h"
#include "vm/dev/usb_hub.h"

#define IO      0xc000u
#define LIST_AT 0x1000u
#define QH_AT   0x3000u
#define TD_AT   0x4000u
#define DATA_AT 0x8000u

#define T 1u
#define Q 2u
#define VF 4u
#define ACTIVE (1u << 23)
#define STALLED (1u << 22)
#define BABBLE (1u << 20)
#define NAK (1u << 19)
#define TIMEOUT (1u << 18)
#define IOC (1u << 24)
#define LS (1u << 26)
#define SPD (1u << 29)
#define ERRORS(n) ((uint32_t)(n) << 27)

static struct device *uhci;
static struct pci_function *f;
static struct usb_device *dev;

static unsigned inw(unsigned at)
{
    return ports_read(&bench_ports, (uint16_t)(IO + at), 2);
}

static void outw(unsigned at, unsigned value)
{
    ports_write(&bench_ports, (uint16_t)(IO + at), 2, value);
}

static struct device *plug(plug_fn *fn, const char *text, const char *name)
{
    struct sockets s = {.machine = m, .pci = &bench_bus};
    struct option_list props;
    struct error e = {0};

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, &e), 0);
    ck_assert_msg(fn(&s, name, PCI_DEVFN(1, 2), NULL, &props, &e) == 0, "%s", e.text);
    option_list_finish(&props);
    return machine_find_device(m, name);
}

/* A controller with a device in port 1, addressed as 0 and enabled; frames that do nothing. */
static void new_uhci(plug_fn *fn)
{
    new_disk_bench();
    uhci = plug(piix3_usb_uhci_plug, "piix3-usb-uhci", "uhci");
    dev = fn ? plug(fn, "device,port=1", "dev")->wiring : NULL;
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(1, 2));
    pci_config_write(f, 0x20, 4, IO);
    pci_config_write(f, PCI_COMMAND, 2, 5);
    for (unsigned i = 0; i < 1024; i++)
        poke32(LIST_AT + 4 * i, QH_AT | Q);
    poke32(QH_AT, T);
    poke32(QH_AT + 4, T);
    ports_write(&bench_ports, IO + 8, 4, LIST_AT);
    outw(0x10, 0x200);
    outw(0x10, 0);
    outw(0x10, 0x0e);
    outw(4, 15);
}

static void go(void)
{
    outw(0, 1);
}

static void frame(void)
{
    run_for(MS);
}

static void td(unsigned n, uint32_t link, uint32_t control, unsigned pid, unsigned address, unsigned ep, unsigned toggle, unsigned len)
{
    paddr_t at = TD_AT + 32 * n;

    poke32(at, link);
    poke32(at + 4, control);
    poke32(at + 8, pid | address << 8 | ep << 15 | toggle << 19 | ((len - 1) & 0x7ffu) << 21);
    poke32(at + 12, DATA_AT + 64 * n);
}

static uint32_t next_td(unsigned n)
{
    return TD_AT + 32 * n;
}

static uint32_t control_of(unsigned n)
{
    return peek32(TD_AT + 32 * n + 4);
}

static unsigned len_of(unsigned n)
{
    return (control_of(n) + 1) & 0x7ffu;
}

static void queue(uint32_t element)
{
    poke32(QH_AT + 4, element);
}

/* GET_DESCRIPTOR of the device, 18 bytes, from TD `n` on; five TDs by depth. */
static void descriptor_transfer(unsigned n, unsigned address)
{
    static const uint8_t setup[8] = {0x80, 6, 0, 1, 0, 0, 18, 0};

    poke(DATA_AT + 64 * n, setup, 8);
    td(n, next_td(n + 1) | VF, ACTIVE | ERRORS(3), 0x2d, address, 0, 0, 8);
    td(n + 1, next_td(n + 2) | VF, ACTIVE | ERRORS(3) | SPD, 0x69, address, 0, 1, 8);
    td(n + 2, next_td(n + 3) | VF, ACTIVE | ERRORS(3) | SPD, 0x69, address, 0, 0, 8);
    td(n + 3, next_td(n + 4) | VF, ACTIVE | ERRORS(3), 0x69, address, 0, 1, 2);
    td(n + 4, T, ACTIVE | ERRORS(3) | IOC, 0xe1, address, 0, 1, 0);
    queue(next_td(n));
}

/* ---- registers ---- */

START_TEST(registers_are_as_after_power_on)
{
    new_uhci(NULL);
    outw(0, 2);
    ck_assert_uint_eq(inw(0), 0);
    ck_assert_uint_eq(inw(2), 0x20);
    ck_assert_uint_eq(inw(4), 0);
    ck_assert_uint_eq(inw(6), 0);
    ck_assert_uint_eq(ports_read(&bench_ports, IO + 8, 4), 0);
    ck_assert_uint_eq(ports_read(&bench_ports, IO + 12, 1), 0x40);
    ck_assert_uint_eq(inw(0x10), 0x80);
    ck_assert_uint_eq(inw(0x12), 0x80);
    ck_assert_uint_eq(inw(0x14), 0);
    ck_assert_uint_eq(pci_config_read(f, 0x60, 1), 0x10);
    ck_assert_uint_eq(pci_config_read(f, 0x3d, 1), 4);
    outw(6, 0xffff);
    ck_assert_uint_eq(inw(6), 0x7ff);
    ports_write(&bench_ports, IO + 8, 4, 0x12345fff);
    ck_assert_uint_eq(ports_read(&bench_ports, IO + 8, 4), 0x12345000);
    outw(4, 0xffff);
    ck_assert_uint_eq(inw(4), 15);
}
END_TEST

START_TEST(frames_are_counted_while_the_schedule_runs)
{
    new_uhci(NULL);
    outw(6, 0x7fe);
    go();
    ck_assert_uint_eq(inw(2) & 0x20, 0);
    run_for(5 * MS);
    ck_assert_uint_eq(inw(6), 3);
    outw(6, 99); /* not while it runs */
    ck_assert_uint_eq(inw(6), 3);
    outw(0, 0);
    ck_assert_uint_eq(inw(2) & 0x20, 0x20);
    run_for(5 * MS);
    ck_assert_uint_eq(inw(6), 3);
    ck_assert_uint_eq(uhci->ops->deadline(uhci), VTIME_NEVER);
}
END_TEST

START_TEST(a_frame_takes_what_sofmod_says)
{
    new_uhci(NULL);
    ports_write(&bench_ports, IO + 12, 1, 0);
    go();
    run_for(11936 * 250 / 3 - 1);
    ck_assert_uint_eq(inw(6), 0);
    run_for(1);
    ck_assert_uint_eq(inw(6), 1);
}
END_TEST

START_TEST(ports_tell_of_devices_and_are_enabled_by_hand)
{
    new_uhci(usb_kbd_plug);
    outw(0, 2);
    ck_assert_uint_eq(inw(0x10), 0x93); /* connected, changed, D+ */
    ck_assert_uint_eq(inw(0x12), 0x80);
    outw(0x10, 2);
    ck_assert_uint_eq(inw(0x10), 0x91);
    dev->st->address = 7;
    outw(0x10, 0x204);
    ck_assert_uint_eq(inw(0x10), 0x291); /* not enabled while in reset */
    ck_assert_uint_eq(dev->st->address, 0);
    outw(0x10, 0);
    outw(0x10, 4);
    ck_assert_uint_eq(inw(0x10), 0x95);
    outw(0x12, 4);
    ck_assert_uint_eq(inw(0x12), 0x80); /* nothing is there */
    ports_write(&bench_ports, IO + 0x11, 1, 0x10); /* a byte: suspend, the rest stays */
    ck_assert_uint_eq(inw(0x10), 0x1095);
    outw(0, 4); /* global reset */
    ck_assert_uint_eq(inw(0), 4);
    ck_assert_uint_eq(inw(0x10), 0x93);
}
END_TEST

/* ---- transfers ---- */

START_TEST(a_control_transfer_goes_through_in_a_frame)
{
    new_uhci(usb_kbd_plug);
    descriptor_transfer(0, 0);
    go();
    ck_assert(!probe[(3 + 1) % 4].level);
    frame();
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(control_of(i) & 0x00ff0000u, 0);
    ck_assert_uint_eq(len_of(1), 8);
    ck_assert_uint_eq(len_of(3), 2);
    ck_assert_uint_eq(peek32(DATA_AT + 64) & 0xffff, 0x0112);
    ck_assert_uint_eq(peek32(QH_AT + 4), T);
    ck_assert_uint_eq(inw(2) & 0x3f, 1);
    ck_assert(probe[0].level || probe[1].level || probe[2].level || probe[3].level);
    outw(2, 1);
    ck_assert(!probe[0].level && !probe[1].level && !probe[2].level && !probe[3].level);
}
END_TEST

START_TEST(breadth_first_does_one_of_a_queue_in_a_round)
{
    new_uhci(usb_kbd_plug);
    descriptor_transfer(0, 0);
    for (unsigned i = 0; i < 4; i++)
        poke32(TD_AT + 32 * i, next_td(i + 1)); /* no Vf */
    go();
    frame();
    ck_assert_uint_eq(control_of(0) & ACTIVE, 0);
    ck_assert_uint_eq(control_of(1) & ACTIVE, ACTIVE);
    ck_assert_uint_eq(peek32(QH_AT + 4), next_td(1));
    poke32(QH_AT, QH_AT | Q); /* a ring of queues: bandwidth is reclaimed */
    frame();
    ck_assert_uint_eq(control_of(4) & ACTIVE, 0);
}
END_TEST

START_TEST(nobody_answers_and_errors_are_counted)
{
    new_uhci(usb_kbd_plug);
    td(0, T, ACTIVE | ERRORS(2), 0x69, 9, 0, 1, 8);
    td(1, T, ACTIVE, 0x69, 9, 0, 1, 8);
    queue(next_td(0));
    go();
    frame();
    ck_assert_uint_eq(control_of(0), ACTIVE | ERRORS(1) | TIMEOUT);
    ck_assert_uint_eq(inw(2), 0);
    frame();
    ck_assert_uint_eq(control_of(0), STALLED | TIMEOUT);
    ck_assert_uint_eq(inw(2), 2);
    queue(next_td(1));
    run_for(10 * MS);
    ck_assert_uint_eq(control_of(1), ACTIVE | TIMEOUT); /* C_ERR 0: for ever */
    td(2, T, ACTIVE | ERRORS(1) | LS, 0x69, 0, 0, 1, 8); /* of low speed: the device is not */
    queue(next_td(2));
    frame();
    ck_assert_uint_eq(control_of(2) & (STALLED | TIMEOUT), STALLED | TIMEOUT);
}
END_TEST

START_TEST(stalls_and_babble_end_a_descriptor)
{
    static const uint8_t setup[8] = {0x80, 6, 0, 99, 0, 0, 18, 0};

    new_uhci(usb_kbd_plug);
    poke(DATA_AT, setup, 8);
    td(0, next_td(1) | VF, ACTIVE | ERRORS(3), 0x2d, 0, 0, 0, 8);
    td(1, T, ACTIVE | ERRORS(3) | IOC, 0x69, 0, 0, 1, 8);
    queue(next_td(0));
    go();
    frame();
    ck_assert_uint_eq(control_of(1) & (ACTIVE | STALLED | BABBLE), STALLED);
    ck_assert_uint_eq(inw(2), 3);
    ck_assert_uint_eq(peek32(QH_AT + 4) & ~15u, next_td(1));
    descriptor_transfer(2, 0);
    td(3, T, ACTIVE | ERRORS(3), 0x69, 0, 0, 1, 4); /* room for half of a packet */
    frame();
    ck_assert_uint_eq(control_of(3) & (ACTIVE | STALLED | BABBLE), STALLED | BABBLE);
}
END_TEST

START_TEST(a_short_packet_is_detected)
{
    new_uhci(usb_kbd_plug);
    descriptor_transfer(0, 0);
    td(3, next_td(4) | VF, ACTIVE | ERRORS(3) | SPD, 0x69, 0, 0, 1, 8);
    outw(4, 8);
    go();
    frame();
    ck_assert_uint_eq(len_of(3), 2);
    ck_assert_uint_eq(control_of(3) & ACTIVE, 0);
    ck_assert_uint_eq(control_of(4) & ACTIVE, ACTIVE);
    ck_assert_uint_eq(peek32(QH_AT + 4) & ~15u, next_td(3)); /* the queue stays there */
    ck_assert_uint_eq(inw(2), 1);
}
END_TEST

START_TEST(a_packet_of_the_wrong_toggle_is_lost)
{
    new_uhci(usb_kbd_plug);
    descriptor_transfer(0, 0);
    td(1, T, ACTIVE | ERRORS(3), 0x69, 0, 0, 0, 8); /* DATA1 comes */
    go();
    frame();
    ck_assert_uint_eq(control_of(1), ACTIVE | ERRORS(3));
    frame();
    ck_assert_uint_eq(control_of(1) & ACTIVE, 0); /* the one after it */
    ck_assert_uint_eq(peek32(DATA_AT + 64) & 0xffff, 0x0627);
}
END_TEST

START_TEST(keys_come_by_an_interrupt_endpoint)
{
    struct buffer b;
    struct error e;

    new_uhci(usb_kbd_plug);
    dev->st->configuration = 1;
    td(0, T, ACTIVE | ERRORS(3) | IOC, 0x69, 0, 1, 0, 8);
    queue(next_td(0));
    go();
    frame();
    ck_assert_uint_eq(control_of(0) & 0xff0000, (ACTIVE | NAK) & 0xff0000);
    buffer_init(&b);
    keys_press("a", 100, &b, &e);
    input(dev->dev, b.data, b.len);
    buffer_finish(&b);
    frame();
    ck_assert_uint_eq(control_of(0) & 0xff0000, 0);
    ck_assert_uint_eq(peek32(DATA_AT), 4u << 16);
    ck_assert_uint_eq(inw(2), 1);
}
END_TEST

START_TEST(a_key_wakes_the_bus)
{
    struct buffer b;
    struct error e;

    new_uhci(usb_kbd_plug);
    dev->st->configuration = dev->st->wakeup = 1;
    outw(0x10, 0x1004);
    buffer_init(&b);
    keys_press("a", 100, &b, &e);
    input(dev->dev, b.data, b.len);
    buffer_finish(&b);
    ck_assert_uint_eq(inw(0x10), 0x10d5); /* resume detected */
    ck_assert_uint_eq(inw(2), 0x24);
    outw(0x10, 4);
    ck_assert_uint_eq(inw(0x10), 0x95);
}
END_TEST

START_TEST(a_device_behind_a_hub_is_reached)
{
    static const uint8_t reset[8] = {0x23, 3, 4, 0, 3, 0, 0, 0};
    struct usb_device *kbd;

    new_disk_bench();
    uhci = plug(piix3_usb_uhci_plug, "piix3-usb-uhci", "uhci");
    dev = plug(usb_hub_plug, "device,port=1", "dev")->wiring;
    kbd = plug(usb_kbd_plug, "device,port=1.3", "kbd")->wiring;
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(1, 2));
    pci_config_write(f, 0x20, 4, IO);
    pci_config_write(f, PCI_COMMAND, 2, 5);
    for (unsigned i = 0; i < 1024; i++)
        poke32(LIST_AT + 4 * i, QH_AT | Q);
    poke32(QH_AT, T);
    ports_write(&bench_ports, IO + 8, 4, LIST_AT);
    outw(0x10, 0x0e);
    usb_bus_reset(dev);
    dev->st->address = 3;
    dev->st->configuration = 1;
    dev->class->reset(dev);
    poke(DATA_AT, reset, 8);
    td(0, next_td(1) | VF, ACTIVE | ERRORS(3), 0x2d, 3, 0, 0, 8);
    td(1, T, ACTIVE | ERRORS(3), 0x69, 3, 0, 1, 0);
    queue(next_td(0));
    go();
    frame();
    ck_assert_uint_eq(control_of(1) & 0xff0000, 0);
    descriptor_transfer(2, 0);
    frame();
    ck_assert_uint_eq(control_of(6) & 0xff0000, 0);
    ck_assert_ptr_eq(usb_find(dev->port, 0), kbd);
}
END_TEST

/* ---- what no driver should do ---- */

START_TEST(what_is_inconsistent_halts_the_controller)
{
    new_uhci(usb_kbd_plug);
    td(0, T, ACTIVE, 0x77, 0, 0, 0, 8);
    queue(next_td(0));
    go();
    frame();
    ck_assert_uint_eq(inw(2), 0x30);
    ck_assert_uint_eq(inw(0) & 1, 0);
    outw(2, 0x10);
    td(0, T, ACTIVE, 0x69, 0, 0, 0, 1281);
    go();
    frame();
    ck_assert_uint_eq(inw(2), 0x30);
}
END_TEST

START_TEST(loops_end_with_the_frame)
{
    new_uhci(usb_kbd_plug);
    for (unsigned i = 0; i < 8; i++)
        td(i, next_td((i + 1) % 8) | VF, 0, 0x69, 0, 0, 0, 8);
    poke32(LIST_AT, next_td(0)); /* descriptors in a ring, none of them active */
    poke32(LIST_AT + 4, QH_AT | Q);
    poke32(QH_AT, QH_AT | Q);
    poke32(QH_AT + 4, QH_AT | Q); /* a queue in itself */
    poke32(LIST_AT + 8, 0xfffffff0 | Q); /* nowhere: ones, which end it */
    poke32(LIST_AT + 24, 0xfffffff0);
    go();
    run_for(6 * MS);
    ck_assert_uint_eq(inw(6), 6);
    ck_assert_uint_eq(inw(2), 0);
    run_for(3 * MS);
    ck_assert_uint_eq(inw(6), 7);
    ck_assert_uint_eq(inw(2), 0x30); /* a descriptor of ones is none */
}
END_TEST

START_TEST(a_frame_has_no_more_bits_than_it_has)
{
    new_uhci(usb_kbd_plug);
    for (unsigned i = 0; i < 40; i++)
        td(i, next_td(i + 1) | VF, ACTIVE | (1u << 25), 0x69, 99, 1, 0, 64); /* isochronous: each ends at once */
    td(40, T, 0, 0x69, 0, 0, 0, 8);
    queue(next_td(0));
    go();
    frame();
    ck_assert_uint_eq(control_of(18) & ACTIVE, 0); /* 19 of 64 bytes (USB 2.0, 5.8.4) */
    ck_assert_uint_eq(control_of(19) & ACTIVE, ACTIVE);
    frame();
    ck_assert_uint_eq(control_of(37) & ACTIVE, 0);
    ck_assert_uint_eq(control_of(38) & ACTIVE, ACTIVE);
}
END_TEST

START_TEST(without_bus_mastering_nothing_is_read)
{
    new_uhci(usb_kbd_plug);
    descriptor_transfer(0, 0);
    pci_config_write(f, PCI_COMMAND, 2, 1);
    go();
    frame();
    ck_assert_uint_eq(control_of(0) & ACTIVE, ACTIVE);
    ck_assert_uint_eq(inw(6), 1);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(registers_are_as_after_power_on);
    ADD(frames_are_counted_while_the_schedule_runs);
    ADD(a_frame_takes_what_sofmod_says);
    ADD(ports_tell_of_devices_and_are_enabled_by_hand);
    ADD(a_control_transfer_goes_through_in_a_frame);
    ADD(breadth_first_does_one_of_a_queue_in_a_round);
    ADD(nobody_answers_and_errors_are_counted);
    ADD(stalls_and_babble_end_a_descriptor);
    ADD(a_short_packet_is_detected);
    ADD(a_packet_of_the_wrong_toggle_is_lost);
    ADD(keys_come_by_an_interrupt_endpoint);
    ADD(a_key_wakes_the_bus);
    ADD(a_device_behind_a_hub_is_reached);
    ADD(what_is_inconsistent_halts_the_controller);
    ADD(loops_end_with_the_frame);
    ADD(a_frame_has_no_more_bits_than_it_has);
    ADD(without_bus_mastering_nothing_is_read);
}

CHIP_TESTS("uhci", claims)
