/*
 * EHCI: registers, ports and their owners, a driver's schedules: queues, short packets, toggles, errors, splits, isochronous
 * transfers, the doorbell, the threshold, rollover, and what an idle schedule costs.
 */
#include "tests/vm/disk_bench.h"

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/ehci.h"
#include "vm/dev/keys.h"
#include "vm/dev/uhci.h"
#include "vm/dev/usb.h"
#include "vm/dev/usb_hid.h"
#include "vm/dev/usb_hub.h"
#include "vm/dev/usb_serial.h"
#include "vm/dev/usb_storage.h"

#define AT       0x10000000u
#define IO       0xc000u
#define LIST_AT  0x1000u
#define HEAD_AT  0x3000u /* queue heads, of 64 bytes */
#define QTD_AT   0x4000u
#define ITD_AT   0x5000u
#define DATA_AT  0x8000u
#define UFRAME   125000u

enum { CMD = 0x20, STS = 0x24, INTR = 0x28, FRINDEX = 0x2c, SEGMENT = 0x30, LIST = 0x34, ASYNC = 0x38, FLAG = 0x60, PORT = 0x64 };

#define T 1u
#define QH 2u
#define ACTIVE 0x80u
#define HALTED 0x40u
#define BUFERR 0x20u
#define BABBLE 0x10u
#define XACT 0x08u
#define PING 0x01u
#define IOC 0x8000u
#define ERRORS(n) ((uint32_t)(n) << 10)
#define OUT 0u
#define IN 0x100u
#define SETUP 0x200u
#define BYTES(n) ((uint32_t)(n) << 16)
#define DT 0x80000000u

static struct device *ehci;
static struct pci_function *f;
static struct usb_device *dev;

static uint32_t get(unsigned at)
{
    return (uint32_t)memory_read(&m->memory, AT + at, 4);
}

static void set(unsigned at, uint32_t value)
{
    memory_write(&m->memory, AT + at, 4, value);
}

static struct device *plug_at(unsigned slot, plug_fn *fn, const char *text, const char *name, struct drive *d)
{
    struct sockets s = {.machine = m, .pci = &bench_bus};
    struct option_list props;
    struct error e = {0};

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, &e), 0);
    ck_assert_msg(fn(&s, name, PCI_DEVFN(slot, 0), d, &props, &e) == 0, "%s", e.text);
    option_list_finish(&props);
    return machine_find_device(m, name);
}

static bool interrupts(void)
{
    return probe[0].level || probe[1].level || probe[2].level || probe[3].level;
}

/* Where it answers, empty schedules, and all its interrupts but that of rollover. */
static void bring_up(void)
{
    f = pci_find(&bench_bus, 0, PCI_DEVFN(1, 0));
    pci_config_write(f, 0x10, 4, AT);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    for (unsigned i = 0; i < 1024; i++)
        poke32(LIST_AT + 4 * i, T);
    set(LIST, LIST_AT);
    set(ASYNC, HEAD_AT);
    set(INTR, 0x37);
}

static void enable(unsigned port)
{
    set(PORT + 4 * port, get(PORT + 4 * port) | 0x100);
    set(PORT + 4 * port, get(PORT + 4 * port) & ~0x100u);
}

/* A controller with a device in port 1, enabled. */
static void new_ehci(plug_fn *fn, const char *text)
{
    new_disk_bench();
    ehci = plug_at(1, ich9_usb_ehci1_plug, "ich9-usb-ehci1", "ehci", NULL);
    dev = fn ? plug_at(0, fn, text ? text : "device,port=1", "dev", fn == usb_storage_plug ? new_drive("d0", DRIVE_DISK, NULL) : NULL)->wiring
             : NULL;
    reset_all();
    bring_up();
    set(FLAG, 1);
    if (dev)
        enable(0);
}

static uint32_t qtd_at(unsigned n)
{
    return QTD_AT + 32 * n;
}

static void qtd(unsigned n, uint32_t next, uint32_t alternate, uint32_t token)
{
    poke32(qtd_at(n), next);
    poke32(qtd_at(n) + 4, alternate);
    poke32(qtd_at(n) + 8, token);
    for (unsigned i = 0; i < 5; i++)
        poke32(qtd_at(n) + 12 + 4 * i, DATA_AT + 4096 * i + 64 * n);
}

static uint32_t token_of(unsigned n)
{
    return peek32(qtd_at(n) + 8);
}

static uint32_t head_at(unsigned n)
{
    return HEAD_AT + 64 * n;
}

/* A queue head: of high speed, reload count 4. */
static void queue(unsigned n, uint32_t link, uint32_t chars, uint32_t caps, uint32_t first)
{
    uint32_t words[12] = {link, chars, caps, 0, first, T};

    poke(head_at(n), words, sizeof(words));
}

static uint32_t chars(unsigned address, unsigned endpoint, unsigned packet)
{
    return 4u << 28 | packet << 16 | 1u << 14 | 2u << 12 | endpoint << 8 | address;
}

/* The head of the list, and a queue behind it, that begins with qTD 0. */
static void async_list(uint32_t of_queue)
{
    queue(0, head_at(1) | QH, 0x8000 | chars(99, 0, 64), 1u << 30, T);
    poke32(head_at(0) + 24, HALTED);
    queue(1, head_at(0) | QH, of_queue, 1u << 30, qtd_at(0));
}

/* GET_DESCRIPTOR of the device, 18 bytes. */
static void descriptor_transfer(unsigned address)
{
    static const uint8_t setup[8] = {0x80, 6, 0, 1, 0, 0, 18, 0};

    poke(DATA_AT, setup, 8);
    qtd(0, qtd_at(1), T, ACTIVE | ERRORS(3) | SETUP | BYTES(8));
    qtd(1, qtd_at(2), qtd_at(2), ACTIVE | ERRORS(3) | IN | BYTES(18) | DT);
    qtd(2, T, T, ACTIVE | ERRORS(3) | OUT | BYTES(0) | DT | IOC);
    async_list(chars(address, 0, 64));
}

static void go(uint32_t schedules)
{
    set(CMD, 0x00010001 | schedules); /* threshold: a microframe */
}

static void configure(unsigned address)
{
    dev->st->address = (uint8_t)address;
    dev->st->configuration = 1;
    memset(dev->st->toggle, 0, sizeof(dev->st->toggle));
    dev->class->reset(dev);
}

static void type(const char *keys)
{
    struct buffer b;
    struct error e;

    buffer_init(&b);
    ck_assert_int_eq(keys_press(keys, 100, &b, &e), 0);
    input(dev->dev, b.data, b.len);
    buffer_finish(&b);
}

/* ---- registers ---- */

START_TEST(capabilities_say_what_there_is)
{
    new_ehci(NULL, NULL);
    ck_assert_uint_eq(get(0), 0x01000020);
    ck_assert_uint_eq(memory_read(&m->memory, AT, 1), 0x20);
    ck_assert_uint_eq(memory_read(&m->memory, AT + 2, 2), 0x0100);
    ck_assert_uint_eq(get(4), 6);
    ck_assert_uint_eq(get(8), 0x6880);
    ck_assert_uint_eq(get(0xc), 0);
    set(4, ~0u);
    ck_assert_uint_eq(get(4), 6);
    ck_assert_uint_eq(memory_read(&m->memory, AT, 8), 0x601000020);
}
END_TEST

START_TEST(configuration_space_is_that_of_an_ehci)
{
    new_ehci(NULL, NULL);
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x293a8086);
    ck_assert_uint_eq(pci_config_read(f, 8, 4) >> 8, 0x0c0320);
    ck_assert_uint_eq(pci_config_read(f, 0x60, 4), 0x2020);
    pci_config_write(f, 0x61, 1, 0xff);
    ck_assert_uint_eq(pci_config_read(f, 0x61, 1), 0x3f);
    pci_config_write(f, 0x62, 2, 0xffff);
    ck_assert_uint_eq(pci_config_read(f, 0x62, 2), 0x7f);
    ck_assert_uint_eq(pci_config_read(f, 0x68, 4), 1);
    pci_config_write(f, 0x6b, 1, 1); /* the system's, from now on */
    ck_assert_uint_eq(pci_config_read(f, 0x68, 4), 0x01000001);
    pci_config_write(f, 0x6c, 4, ~0u);
    ck_assert_uint_eq(pci_config_read(f, 0x6c, 4), 0xe03f);
    plug_at(2, usb_ehci_plug, "usb-ehci", "other", NULL);
    ck_assert_uint_eq(get_le16(machine_find_device(m, "other")->state), 0);
    reset_all();
    ck_assert_uint_eq(pci_config_read(pci_find(&bench_bus, 0, PCI_DEVFN(2, 0)), 0, 4), 0x24cd8086);
}
END_TEST

START_TEST(usbcmd_runs_halts_and_resets)
{
    new_ehci(NULL, NULL);
    ck_assert_uint_eq(get(CMD), 0x00080000);
    set(CMD, 0xffffff8c); /* what cannot be written, or means nothing while it is halted */
    ck_assert_uint_eq(get(CMD), 0x00ff0000);
    set(CMD, 0x00080071);
    ck_assert_uint_eq(get(CMD), 0x00080071);
    set(CMD, 0x00080031); /* the doorbell is not taken back */
    ck_assert_uint_eq(get(CMD), 0x00080071);
    set(CMD, 0x00080000);
    set(LIST, 0x7000);
    set(CMD, 2);
    ck_assert_uint_eq(get(CMD), 0x00080000);
    ck_assert_uint_eq(get(LIST), 0);
    ck_assert_uint_eq(get(ASYNC), 0);
    ck_assert_uint_eq(get(INTR), 0);
    ck_assert_uint_eq(get(FLAG), 0);
    ck_assert_uint_eq(get(STS), 0x1000);
}
END_TEST

START_TEST(usbsts_tells_of_schedules_and_is_cleared_by_ones)
{
    new_ehci(NULL, NULL);
    ck_assert_uint_eq(get(STS), 0x1000);
    go(0x30);
    ck_assert_uint_eq(get(STS), 0xc000);
    set(CMD, 0x11);
    ck_assert_uint_eq(get(STS), 0x4000);
    set(CMD, 0);
    ck_assert_uint_eq(get(STS), 0x1000);
    descriptor_transfer(5);
    go(0x20);
    run_for(MS);
    ck_assert_uint_eq(get(STS) & 0x3f, 2); /* nobody has that address */
    set(STS, 0x3d);
    ck_assert_uint_eq(get(STS) & 0x3f, 2);
    set(STS, 2);
    ck_assert_uint_eq(get(STS) & 0x3f, 0);
}
END_TEST

START_TEST(usbintr_lets_status_bits_interrupt)
{
    new_ehci(usb_storage_plug, NULL);
    set(INTR, ~0u);
    ck_assert_uint_eq(get(INTR), 0x3f);
    set(STS, 0x3f);
    set(INTR, 0x3e);
    descriptor_transfer(0);
    go(0x20);
    run_for(MS);
    ck_assert_uint_eq(get(STS) & 1, 1);
    ck_assert(!interrupts());
    set(INTR, 1);
    ck_assert(interrupts());
    set(STS, 1);
    ck_assert(!interrupts());
}
END_TEST

START_TEST(frindex_counts_microframes)
{
    new_ehci(NULL, NULL);
    set(FRINDEX, 0xffffffff);
    ck_assert_uint_eq(get(FRINDEX), 0x3fff);
    set(FRINDEX, 0x1234);
    go(0);
    run_for(10 * UFRAME);
    ck_assert_uint_eq(get(FRINDEX), 0x123e);
    set(FRINDEX, 7); /* not while it runs */
    ck_assert_uint_eq(get(FRINDEX), 0x123e);
    set(CMD, 0);
    run_for(10 * UFRAME);
    ck_assert_uint_eq(get(FRINDEX), 0x123e);
    ck_assert_uint_eq(ehci->ops->deadline(ehci), VTIME_NEVER);
}
END_TEST

START_TEST(the_frame_list_rolls_over)
{
    new_ehci(NULL, NULL);
    set(FRINDEX, 0x1ffe);
    go(0);
    run_for(UFRAME);
    ck_assert_uint_eq(get(STS) & 8, 0);
    ck_assert_uint_eq(ehci->ops->deadline(ehci), VTIME_NEVER); /* nobody is waiting for it */
    run_for(UFRAME);
    ck_assert_uint_eq(get(STS) & 8, 8);
    set(STS, 8);
    ck_assert_uint_eq(get(STS) & 8, 0);
    set(INTR, 8);
    run_for(8191 * UFRAME);
    ck_assert(!interrupts());
    run_for(UFRAME);
    ck_assert(interrupts());
    ck_assert_uint_eq(get(FRINDEX), 0);
}
END_TEST

START_TEST(base_addresses_are_aligned)
{
    new_ehci(NULL, NULL);
    set(SEGMENT, ~0u); /* there are no 64-bit addresses */
    ck_assert_uint_eq(get(SEGMENT), 0);
    set(LIST, 0x12345fff);
    ck_assert_uint_eq(get(LIST), 0x12345000);
    set(ASYNC, 0x1234567f);
    ck_assert_uint_eq(get(ASYNC), 0x12345660);
    memory_write(&m->memory, AT + ASYNC + 1, 1, 0x77);
    ck_assert_uint_eq(get(ASYNC), 0x12347760);
    memory_write(&m->memory, AT + LIST + 2, 2, 0xabcd);
    ck_assert_uint_eq(get(LIST), 0xabcd5000);
    ck_assert_uint_eq(get(0x100), 0);
}
END_TEST

START_TEST(portsc_resets_and_enables)
{
    new_disk_bench();
    ehci = plug_at(1, ich9_usb_ehci1_plug, "ich9-usb-ehci1", "ehci", NULL);
    dev = plug_at(0, usb_kbd_plug, "usb-kbd,port=2", "dev", NULL)->wiring;
    reset_all();
    bring_up();
    set(FLAG, 1);
    ck_assert_uint_eq(get(PORT), 0x1000);
    ck_assert_uint_eq(get(PORT + 4), 0x1803); /* J, power, change, connection */
    set(PORT + 4, 0x1002);
    ck_assert_uint_eq(get(PORT + 4), 0x1801);
    set(PORT + 4, 0x1004); /* not enabled by hand */
    ck_assert_uint_eq(get(PORT + 4), 0x1801);
    dev->st->address = 7;
    set(PORT + 4, 0x1100);
    ck_assert_uint_eq(get(PORT + 4), 0x1101);
    ck_assert_uint_eq(dev->st->address, 0);
    set(PORT + 4, 0x1000);
    ck_assert_uint_eq(get(PORT + 4), 0x1005);
    set(PORT + 4, 0x7f1004);
    ck_assert_uint_eq(get(PORT + 4), 0x7f1005);
    set(PORT + 4, 0x1000);
    ck_assert_uint_eq(get(PORT + 4), 0x1801);
    set(PORT, 0x1100);
    set(PORT, 0x1000);
    ck_assert_uint_eq(get(PORT), 0x1000); /* nothing is there to be enabled */
    set(PORT + 4, 0x3000); /* no companion to hand it to */
    ck_assert_uint_eq(get(PORT + 4), 0x1801);
}
END_TEST

START_TEST(ports_sleep_and_devices_wake_them)
{
    new_ehci(usb_kbd_plug, NULL);
    configure(1);
    dev->st->wakeup = 1;
    set(STS, 0x3f);
    set(PORT, 0x1084);
    ck_assert_uint_eq(get(PORT) & 0xfc, 0x84);
    set(PORT, 0x1004); /* written 0 it stays suspended */
    ck_assert_uint_eq(get(PORT) & 0xfc, 0x84);
    type("a");
    ck_assert_uint_eq(get(PORT) & 0xfc, 0xc4);
    ck_assert_uint_eq(get(STS) & 0x3f, 4);
    ck_assert(interrupts());
    set(PORT, 0x1084); /* the resume ends */
    ck_assert_uint_eq(get(PORT) & 0xfc, 0x04);
    set(PORT, 0x1084);
    set(PORT, 0x10c4); /* and by the driver */
    ck_assert_uint_eq(get(PORT) & 0xfc, 0xc4);
    set(PORT, 0x1004);
    ck_assert_uint_eq(get(PORT) & 0xfc, 0x04);
}
END_TEST

/* ---- companions ---- */

static struct device *uhci;

static unsigned uhci_port(unsigned n)
{
    return ports_read(&bench_ports, (uint16_t)(IO + 0x10 + 2 * n), 2);
}

static void new_pair(void)
{
    new_disk_bench();
    ehci = plug_at(1, ich9_usb_ehci1_plug, "ich9-usb-ehci1", "ehci", NULL);
    uhci = plug_at(2, ich9_usb_uhci2_plug, "ich9-usb-uhci2,masterbus=ehci.0,firstport=2", "uhci", NULL);
    dev = plug_at(0, usb_kbd_plug, "usb-kbd,port=4", "dev", NULL)->wiring;
    reset_all();
    bring_up();
    pci_config_write(pci_find(&bench_bus, 0, PCI_DEVFN(2, 0)), 0x20, 4, IO);
    pci_config_write(pci_find(&bench_bus, 0, PCI_DEVFN(2, 0)), PCI_COMMAND, 2, 5);
}

START_TEST(configflag_routes_ports_to_companions_and_back)
{
    new_pair();
    ck_assert_uint_eq(get(4), 0x1206); /* a companion of two ports */
    ck_assert_uint_eq(get(FLAG), 0);
    ck_assert_uint_eq(get(PORT + 4 * 1), 0x1000);
    ck_assert_uint_eq(get(PORT + 4 * 2), 0x3000);
    ck_assert_uint_eq(get(PORT + 4 * 3), 0x3000);
    ck_assert_uint_eq(uhci_port(1), 0x93);
    ck_assert_uint_eq(dev->speed, USB_FULL);
    ports_write(&bench_ports, IO + 0x12, 2, 6);
    ck_assert_uint_eq(uhci_port(1), 0x95);
    set(FLAG, 0xffffffff);
    ck_assert_uint_eq(get(FLAG), 1);
    ck_assert_uint_eq(get(PORT + 4 * 3), 0x1803);
    ck_assert_uint_eq(get(STS) & 4, 4);
    ck_assert_uint_eq(uhci_port(1), 0x82); /* gone */
    ck_assert_uint_eq(dev->speed, USB_HIGH);
    enable(3);
    ck_assert_uint_eq(get(PORT + 4 * 3) & ~2u, 0x1005);
    set(FLAG, 0);
    ck_assert_uint_eq(get(PORT + 4 * 3) & ~2u, 0x3000);
    ck_assert_uint_eq(uhci_port(1), 0x93);
    ck_assert_uint_eq(dev->speed, USB_FULL);
}
END_TEST

START_TEST(a_port_is_handed_over_by_its_owner_bit)
{
    new_pair();
    set(PORT + 4 * 3, 0x1000); /* not before CONFIGFLAG is set */
    ck_assert_uint_eq(get(PORT + 4 * 3), 0x3000);
    set(FLAG, 1);
    set(PORT + 4 * 3, 0x3002);
    ck_assert_uint_eq(get(PORT + 4 * 3), 0x3002); /* to EHCI it is as if it was unplugged */
    ck_assert_uint_eq(uhci_port(1), 0x93);
    set(PORT + 4 * 3, 0x1002);
    ck_assert_uint_eq(get(PORT + 4 * 3), 0x1803);
    ck_assert_uint_eq(uhci_port(1), 0x82);
}
END_TEST

START_TEST(whoever_has_the_port_reaches_the_device)
{
    new_pair();
    set(FLAG, 1);
    enable(3);
    descriptor_transfer(0);
    go(0x20);
    run_for(MS);
    ck_assert_uint_eq(token_of(2) & 0xff, 0);
    ck_assert_uint_eq(peek32(DATA_AT + 64) & 0xffffff, 0x000112);
    set(PORT + 4 * 3, 0x3000);
    descriptor_transfer(0);
    run_for(MS);
    ck_assert_uint_eq(token_of(0) & HALTED, HALTED);
    dev->st->wakeup = 1;
    configure(1);
    ports_write(&bench_ports, IO + 0x12, 2, 4);
    ports_write(&bench_ports, IO + 0x12, 2, 0x1004);
    type("a"); /* the companion is woken, not EHCI */
    ck_assert_uint_eq(uhci_port(1) & 0x40, 0x40);
}
END_TEST

START_TEST(a_restored_state_has_the_speed_that_the_owner_knows)
{
    new_pair();
    set(FLAG, 1);
    dev->speed = USB_FULL; /* as another state left it */
    ehci->ops->restored(ehci);
    ck_assert_uint_eq(dev->speed, USB_HIGH);
}
END_TEST

START_TEST(companions_that_cannot_be_are_refused)
{
    static const char *const texts[] = {"x,masterbus=nowhere", "x,masterbus=ehci.0,firstport=3", "x,masterbus=ehci.0,firstport=5",
                                        "x,masterbus=ehci.0,firstport=2", "x,firstport=2"};
    char name[] = "a";

    new_pair();
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++, name[0]++) {
        struct sockets s = {.machine = m, .pci = &bench_bus};
        struct option_list props;
        struct error e = {0};

        ck_assert_int_eq(option_list_parse(&props, "--device", texts[i], "driver", NULL, &e), 0);
        ck_assert_int_lt(ich9_usb_uhci1_plug(&s, name, PCI_DEVFN(3 + i, 0), NULL, &props, &e), 0);
        option_list_finish(&props);
    }
}
END_TEST

/* ---- the asynchronous schedule ---- */

START_TEST(a_control_transfer_goes_through)
{
    new_ehci(usb_storage_plug, NULL);
    set(STS, 0x3f);
    descriptor_transfer(0);
    go(0x20);
    run_for(UFRAME - 1);
    ck_assert_uint_eq(token_of(0) & ACTIVE, ACTIVE);
    run_for(1);
    ck_assert_uint_eq(token_of(0), DT | ERRORS(3) | SETUP); /* nothing is left of it */
    ck_assert_uint_eq(token_of(1) & 0x7fff00ff, 0);
    ck_assert_uint_eq(token_of(2) & 0xff, 0);
    ck_assert_uint_eq(peek32(DATA_AT + 64), 0x02000112);
    ck_assert_uint_eq(get(STS) & 0x3f, 1);
    ck_assert(interrupts());
    ck_assert_uint_eq(peek32(head_at(1) + 12), qtd_at(2)); /* where the queue is */
    ck_assert_uint_eq(peek32(head_at(1) + 24) & ACTIVE, 0);
}
END_TEST

START_TEST(a_short_packet_goes_by_the_alternate_link)
{
    new_ehci(usb_storage_plug, NULL);
    set(STS, 0x3f);
    descriptor_transfer(0);
    qtd(1, qtd_at(3), qtd_at(2), ACTIVE | ERRORS(3) | IN | BYTES(64) | DT);
    qtd(3, T, T, ACTIVE | ERRORS(3) | IN | BYTES(64));
    qtd(2, T, T, ACTIVE | ERRORS(3) | OUT | DT);
    go(0x20);
    run_for(UFRAME);
    ck_assert_uint_eq(token_of(1) >> 16 & 0x7fff, 46);
    ck_assert_uint_eq(token_of(2) & ACTIVE, 0);
    ck_assert_uint_eq(token_of(3) & ACTIVE, ACTIVE);
    ck_assert_uint_eq(get(STS) & 0x3f, 1); /* without IOC */
}
END_TEST

/* A disk answers the first command with a unit attention: that has been. */
static void forget_attention(void)
{
    uint8_t buf[512] = {'U', 'S', 'B', 'C', [8] = 18, [12] = 0x80, [14] = 6, [15] = 3, [19] = 18};
    size_t len = 31;

    ck_assert_int_eq(usb_transact(dev, USB_PID_OUT, 2, buf, &len), USB_ACK);
    for (unsigned n = 0; n < 2; n++) {
        run_for(20 * MS);
        len = 512;
        ck_assert_int_eq(usb_transact(dev, USB_PID_IN, 1, buf, &len), USB_ACK);
    }
}

START_TEST(data_cross_pages_by_the_list_of_pages)
{
    uint8_t wrapper[31] = {'U', 'S', 'B', 'C', 1, 0, 0, 0, 0, 0x20, 0, 0, 0x80, 0, 10, 0x28, 0, 0, 0, 0, 7, 0, 0, 16};

    new_ehci(usb_storage_plug, NULL);
    configure(3);
    forget_attention();
    configure(3);
    poke(DATA_AT, wrapper, sizeof(wrapper));
    qtd(0, T, T, ACTIVE | ERRORS(3) | OUT | BYTES(31));
    async_list(chars(3, 2, 512));
    qtd(1, qtd_at(2), T, ACTIVE | ERRORS(3) | IN | BYTES(8192));
    poke32(qtd_at(1) + 12, 0x20e00);
    poke32(qtd_at(1) + 16, 0x30000);
    poke32(qtd_at(1) + 20, 0x40fff); /* its offset means nothing */
    qtd(2, T, T, ACTIVE | ERRORS(3) | IN | BYTES(13) | IOC);
    queue(0, head_at(1) | QH, 0x8000 | chars(3, 1, 512), 1u << 30, qtd_at(1));
    poke32(head_at(0) + 4, 0x8000 | (chars(3, 1, 512) & ~(1u << 14))); /* its own toggle */
    go(0x20);
    run_for(20 * MS);
    ck_assert_uint_eq(token_of(0) & 0xff, 0);
    ck_assert_uint_eq(token_of(1) & 0x7fff00ff, 0);
    ck_assert_uint_eq(token_of(1) >> 12 & 7, 2);
    ck_assert_uint_eq(token_of(2) & 0xff, 0);
    ck_assert(holds_image(0x20e00, 7 * 512, 512, 512));
    ck_assert(holds_image(0x30000, 8 * 512, 4096, 512));
    ck_assert(holds_image(0x40000, 16 * 512, 3584, 512));
    ck_assert_uint_eq(peek32(qtd_at(2) + 12) & 0xfff, 0x80 + 13);
    poke32(qtd_at(3), T);
    qtd(3, T, T, ACTIVE | ERRORS(3) | OUT | BYTES(31) | 5u << 12); /* a page that there is not */
    queue(1, head_at(0) | QH, chars(3, 2, 512), 1u << 30, qtd_at(3));
    run_for(2 * MS);
    ck_assert_uint_eq(token_of(3) & 0xff, HALTED | BUFERR);
}
END_TEST

START_TEST(who_is_not_ready_is_asked_again)
{
    uint8_t wrapper[31] = {'U', 'S', 'B', 'C', 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 10, 0x2a, 0, 0, 0, 0, 7, 0, 0, 1};

    new_ehci(usb_storage_plug, NULL);
    configure(3);
    poke(DATA_AT, wrapper, sizeof(wrapper));
    qtd(0, qtd_at(1), T, ACTIVE | ERRORS(3) | OUT | BYTES(31));
    qtd(1, qtd_at(2), T, ACTIVE | ERRORS(3) | OUT | BYTES(512) | DT);
    qtd(2, T, T, ACTIVE | ERRORS(3) | OUT | BYTES(31));
    async_list(chars(3, 2, 512));
    go(0x20);
    run_for(UFRAME);
    ck_assert_uint_eq(peek32(head_at(1) + 12), qtd_at(2)); /* it writes now, and takes nothing */
    ck_assert_uint_eq(peek32(head_at(1) + 24) & 0xff, ACTIVE | PING);
    ck_assert_uint_eq(peek32(head_at(1) + 20) & 0x1e, 0); /* NakCnt */
}
END_TEST

START_TEST(stalls_babble_and_silence_halt_a_queue)
{
    static const uint8_t setup[8] = {0x80, 6, 0, 99, 0, 0, 18, 0};

    new_ehci(usb_storage_plug, NULL);
    set(STS, 0x3f);
    descriptor_transfer(0);
    poke(DATA_AT, setup, 8);
    go(0x20);
    run_for(UFRAME);
    ck_assert_uint_eq(token_of(1) & 0xff, HALTED);
    ck_assert_uint_eq(peek32(head_at(1) + 24) & 0xff, HALTED);
    ck_assert_uint_eq(get(STS) & 0x3f, 2);
    descriptor_transfer(0);
    qtd(1, qtd_at(2), T, ACTIVE | ERRORS(3) | IN | BYTES(4) | DT | IOC);
    run_for(UFRAME);
    ck_assert_uint_eq(token_of(1) & 0xff, HALTED | BABBLE);
    ck_assert_uint_eq(get(STS) & 0x3f, 3);
    descriptor_transfer(9);
    run_for(3 * UFRAME);
    ck_assert_uint_eq(token_of(0) & 0xcff, HALTED | XACT);
    descriptor_transfer(9);
    qtd(0, T, T, ACTIVE | ERRORS(0) | SETUP | BYTES(8));
    run_for(20 * MS);
    ck_assert_uint_eq(peek32(head_at(1) + 24) & 0xff, ACTIVE | XACT); /* for ever */
    descriptor_transfer(0);
    qtd(0, T, T, ACTIVE | ERRORS(3) | 0x300);
    run_for(MS);
    ck_assert_uint_eq(token_of(0) & HALTED, HALTED);
}
END_TEST

START_TEST(a_packet_of_the_wrong_toggle_is_lost)
{
    new_ehci(usb_storage_plug, NULL);
    descriptor_transfer(0);
    qtd(1, T, T, ACTIVE | ERRORS(3) | IN | BYTES(18));
    go(0x20);
    run_for(UFRAME);
    ck_assert_uint_eq(token_of(1) & 0x7fff00ff, BYTES(18)); /* it ends with the empty one that came after it */
    ck_assert_uint_eq(peek32(DATA_AT + 64), 0);
}
END_TEST

START_TEST(the_toggle_is_the_queues_unless_it_says_otherwise)
{
    new_ehci(usb_kbd_plug, NULL);
    configure(1);
    dev->st->toggle[1] = 2; /* DATA1 is next */
    qtd(0, T, T, ACTIVE | ERRORS(3) | IN | BYTES(8));
    async_list(chars(1, 1, 8) & ~(1u << 14));
    poke32(head_at(1) + 24, DT);
    go(0x20);
    type("a");
    run_for(MS);
    ck_assert_uint_eq(peek32(DATA_AT), 4u << 16);
    ck_assert_uint_eq(peek32(head_at(1) + 24) & (DT | ACTIVE), 0);
}
END_TEST

START_TEST(the_doorbell_is_answered)
{
    new_ehci(NULL, NULL);
    async_list(chars(1, 1, 8));
    go(0x20);
    run_for(10 * MS);
    set(CMD, get(CMD) | 0x40);
    ck_assert_uint_eq(get(CMD) & 0x40, 0x40);
    run_for(UFRAME);
    ck_assert_uint_eq(get(CMD) & 0x40, 0);
    ck_assert_uint_eq(get(STS) & 0x20, 0x20);
    ck_assert_uint_eq(get(ASYNC), HEAD_AT); /* nothing is kept of queues that may go */
    ck_assert(interrupts());
}
END_TEST

START_TEST(reclamation_ends_at_the_head)
{
    new_ehci(NULL, NULL);
    async_list(chars(1, 1, 8));
    poke32(head_at(1) + 24, HALTED);
    go(0x20);
    run_for(MS);
    ck_assert_uint_eq(get(STS) & 0x2000, 0);
    poke32(head_at(0) + 4, chars(99, 0, 64)); /* no head at all */
    run_for(MS);
    ck_assert_uint_eq(get(STS) & 0x2000, 0x2000);
}
END_TEST

START_TEST(interrupts_wait_for_their_threshold)
{
    new_ehci(usb_storage_plug, NULL);
    set(STS, 0x3f);
    descriptor_transfer(0);
    set(CMD, 0x00100021); /* 16 microframes */
    run_for(15 * UFRAME);
    ck_assert_uint_eq(token_of(2) & ACTIVE, 0);
    ck_assert_uint_eq(get(STS) & 0x3f, 0);
    run_for(UFRAME);
    ck_assert_uint_eq(get(STS) & 0x3f, 1);
}
END_TEST

START_TEST(a_microframe_has_no_more_bits_than_it_has)
{
    uint8_t wrapper[31] = {'U', 'S', 'B', 'C', 1, 0, 0, 0, 0, 0x40, 0, 0, 0x80, 0, 10, 0x28, 0, 0, 0, 0, 7, 0, 0, 32};
    size_t len = sizeof(wrapper);

    new_ehci(usb_storage_plug, NULL);
    configure(3);
    forget_attention();
    configure(3);
    ck_assert_int_eq(usb_transact(dev, USB_PID_OUT, 2, wrapper, &len), USB_ACK);
    run_for(20 * MS);
    async_list(chars(3, 1, 512));
    qtd(0, T, T, ACTIVE | ERRORS(3) | IN | BYTES(0x4000));
    go(0x20);
    run_for(UFRAME);
    ck_assert_uint_eq(peek32(head_at(1) + 24) >> 16 & 0x7fff, 0x4000 - 13 * 512); /* USB 2.0, 5.8.4 */
    run_for(2 * UFRAME);
    ck_assert_uint_eq(token_of(0) & 0x7fff00ff, 0);
}
END_TEST

/* ---- the periodic schedule ---- */

/* A queue for the keyboard, in each frame, at microframe 2. */
static void interrupt_queue(void)
{
    configure(1);
    qtd(0, T, T, ACTIVE | ERRORS(3) | IN | BYTES(8) | IOC);
    queue(1, T, chars(1, 1, 8) & 0x0fffffff, 1u << 30 | 4, qtd_at(0));
    for (unsigned i = 0; i < 1024; i++)
        poke32(LIST_AT + 4 * i, head_at(1) | QH);
}

START_TEST(keys_come_by_an_interrupt_queue)
{
    new_ehci(usb_kbd_plug, NULL);
    interrupt_queue();
    set(STS, 0x3f);
    go(0x10);
    run_for(5 * MS + UFRAME);
    ck_assert_uint_eq(peek32(head_at(1) + 24) & 0xff, ACTIVE);
    type("a");
    run_for(UFRAME);
    ck_assert_uint_eq(token_of(0) & ACTIVE, ACTIVE); /* not its turn yet */
    run_for(UFRAME);
    ck_assert_uint_eq(token_of(0) & 0x7fff00ff, 0);
    ck_assert_uint_eq(peek32(DATA_AT), 4u << 16);
    ck_assert_uint_eq(get(STS) & 0x3f, 1);
}
END_TEST

/* An iTD at the first frame: microframe 1 with `token`. */
static void itd(uint32_t token, unsigned address, unsigned endpoint, uint32_t in, unsigned packet, unsigned mult)
{
    uint32_t w[16] = {T, 0, token};

    for (unsigned i = 0; i < 7; i++)
        w[9 + i] = DATA_AT + 4096 * i;
    w[9] |= endpoint << 8 | address;
    w[10] |= in | packet;
    w[11] |= mult;
    poke(ITD_AT, w, sizeof(w));
    poke32(LIST_AT, ITD_AT);
    set(CMD, 0);
    set(FRINDEX, 0);
    set(STS, 0x3f);
    go(0x10);
}

START_TEST(isochronous_transfers_take_a_microframe)
{
    new_ehci(usb_kbd_plug, NULL);
    configure(1);
    type("a");
    itd(0x80000000 | 64u << 16 | IOC | 0xffc, 1, 1, 0x800, 64, 1); /* it says no more than a keyboard has */
    run_for(UFRAME);
    ck_assert_uint_eq(peek32(ITD_AT + 8) >> 31, 1);
    run_for(UFRAME);
    ck_assert_uint_eq(peek32(ITD_AT + 8), 8u << 16 | IOC | 0xffc);
    ck_assert_uint_eq(peek32(DATA_AT + 0xffc), 4u << 16); /* over two pages */
    ck_assert_uint_eq(get(STS) & 0x3f, 1);
    itd(0x80000000 | 64u << 16 | 0x10, 5, 1, 0x800, 64, 3); /* nobody */
    run_for(2 * UFRAME);
    ck_assert_uint_eq(peek32(ITD_AT + 8), 0x10000010);
    ck_assert_uint_eq(get(STS) & 0x3f, 2);
    itd(0x80000000 | 64u << 16 | IOC | 0x10, 5, 1, 0, 64, 1); /* OUT nobody has to answer */
    run_for(2 * UFRAME);
    ck_assert_uint_eq(peek32(ITD_AT + 8), 64u << 16 | IOC | 0x10);
    ck_assert_uint_eq(get(STS) & 0x3f, 1);
    itd(0x80000000 | 64u << 16 | 7u << 12, 5, 1, 0, 64, 1); /* a page that there is not */
    run_for(2 * UFRAME);
    ck_assert_uint_eq(peek32(ITD_AT + 8) >> 28, 4);
}
END_TEST

/* ---- behind a hub of high speed ---- */

static struct usb_device *below;

static void new_hub(void)
{
    static const uint8_t reset[8] = {0x23, 3, 4, 0, 3, 0, 0, 0};

    new_disk_bench();
    ehci = plug_at(1, usb_ehci_plug, "usb-ehci", "ehci", NULL);
    dev = plug_at(0, usb_hub_plug, "usb-hub,port=1", "dev", NULL)->wiring;
    below = plug_at(0, usb_serial_plug, "usb-serial,port=1.3,chardev=c", "serial", NULL)->wiring;
    reset_all();
    bring_up();
    set(FLAG, 1);
    enable(0);
    configure(2);
    poke(DATA_AT, reset, 8);
    qtd(0, qtd_at(1), T, ACTIVE | ERRORS(3) | SETUP | BYTES(8));
    qtd(1, T, T, ACTIVE | ERRORS(3) | IN | DT);
    async_list(chars(2, 0, 64));
    go(0x20);
    run_for(UFRAME);
    ck_assert_uint_eq(token_of(1) & 0xff, 0);
}

START_TEST(a_hub_without_companions_is_of_high_speed)
{
    new_hub();
    ck_assert_uint_eq(dev->speed, USB_HIGH);
    ck_assert_uint_eq(below->speed, USB_FULL);
    descriptor_transfer(2);
    run_for(MS);
    ck_assert_uint_eq(peek32(DATA_AT + 64), 0x02000112);
    ck_assert_uint_eq(peek32(DATA_AT + 68), 0x40010009); /* one transaction translator */
}
END_TEST

START_TEST(split_transactions_reach_what_is_slower)
{
    new_hub();
    descriptor_transfer(0);
    queue(1, head_at(0) | QH, (chars(0, 0, 8) & ~(3u << 12)) | 1u << 27, 1u << 30 | 3u << 23 | 2u << 16, qtd_at(0));
    run_for(2 * MS);
    ck_assert_uint_eq(token_of(2) & 0xff, 0);
    ck_assert_uint_eq(peek32(DATA_AT + 64), 0x01100112);
    descriptor_transfer(0);
    queue(1, head_at(0) | QH, (chars(0, 0, 8) & ~(3u << 12)) | 1u << 12, 1u << 30 | 3u << 23 | 2u << 16, qtd_at(0));
    run_for(5 * MS);
    ck_assert_uint_eq(token_of(0) & (HALTED | XACT), HALTED | XACT); /* it is not of low speed */
    descriptor_transfer(0);
    queue(1, head_at(0) | QH, chars(0, 0, 8), 1u << 30, qtd_at(0));
    run_for(5 * MS);
    ck_assert_uint_eq(token_of(0) & (HALTED | XACT), HALTED | XACT); /* nor of high */
}
END_TEST

START_TEST(an_interrupt_queue_is_split_at_its_first_complete_split)
{
    new_hub();
    below->st->address = 9;
    below->st->configuration = 1;
    below->class->reset(below);
    set(CMD, 0);
    set(FRINDEX, 0);
    qtd(0, T, T, ACTIVE | ERRORS(3) | IN | BYTES(64));
    queue(1, T, (chars(9, 1, 64) & 0x0fff4fff), 1u << 30 | 3u << 23 | 2u << 16 | 0x3801, qtd_at(0));
    for (unsigned i = 0; i < 1024; i++)
        poke32(LIST_AT + 4 * i, head_at(1) | QH);
    go(0x10);
    run_for(40 * MS);
    ck_assert_uint_eq(token_of(0) & 0xff, 0); /* the status that comes each 16 ms */
    ck_assert_uint_eq(token_of(0) >> 16 & 0x7fff, 62);
    ck_assert_uint_eq(peek32(DATA_AT) & 0xffff, 0x60b1);
}
END_TEST

START_TEST(split_isochronous_transfers_end_in_their_frame)
{
    uint32_t s[7] = {T, 0x80000000 | 3u << 24 | 2u << 16 | 1u << 8 | 9, 0x1c01, 0x80000000 | 64u << 16 | ACTIVE, DATA_AT + 0xffe, 0xa000, T};

    new_hub();
    below->st->address = 9;
    below->st->configuration = 1;
    below->class->reset(below);
    set(CMD, 0);
    set(STS, 0x3f);
    set(FRINDEX, 0);
    poke(ITD_AT, s, sizeof(s));
    poke32(LIST_AT, ITD_AT | 4);
    go(0x10);
    run_for(2 * UFRAME);
    ck_assert_uint_eq(peek32(ITD_AT + 12) & 0xff, ACTIVE);
    run_for(UFRAME);
    ck_assert_uint_eq(peek32(ITD_AT + 12) & 0xff, 0x40); /* nothing to say, and no time to wait */
    ck_assert_uint_eq(get(STS) & 0x3f, 3);
    s[1] = 3u << 24 | 2u << 16 | 2u << 8 | 9; /* OUT */
    s[2] = 0x01;
    set(CMD, 0);
    set(FRINDEX, 0);
    poke(ITD_AT, s, sizeof(s));
    buffer_clear(&sent);
    poke(DATA_AT + 0xffe, "he", 2);
    poke(0xa000, "llo", 3);
    poke32(ITD_AT + 12, 0x80000000 | 5u << 16 | ACTIVE);
    go(0x10);
    run_for(MS);
    ck_assert_uint_eq(peek32(ITD_AT + 12), 0x80000000 | 0x40000000);
    ck_assert_uint_eq(peek32(ITD_AT + 16) & 0xfff, 3);
    ck_assert_uint_eq(sent.len, 5);
    ck_assert(!memcmp(sent.data, "hello", 5));
}
END_TEST

/* ---- what no driver should do, and what nobody should notice ---- */

START_TEST(unreachable_memory_is_a_host_system_error)
{
    new_ehci(usb_storage_plug, NULL);
    descriptor_transfer(0);
    set(ASYNC, 0xf0000000);
    go(0x20);
    run_for(UFRAME);
    ck_assert_uint_eq(get(STS) & 0x1010, 0x1010);
    ck_assert_uint_eq(get(CMD) & 1, 0);
    ck_assert(interrupts());
    set(STS, 0x10);
    set(ASYNC, HEAD_AT);
    pci_config_write(f, PCI_COMMAND, 2, 2); /* no bus mastering */
    go(0x20);
    run_for(UFRAME);
    ck_assert_uint_eq(get(STS) & 0x1010, 0x1010);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    set(STS, 0x10);
    go(0x20);
    run_for(MS);
    ck_assert_uint_eq(token_of(2) & 0xff, 0);
}
END_TEST

START_TEST(loops_end_with_the_microframe)
{
    new_ehci(usb_storage_plug, NULL);
    queue(0, head_at(0) | QH, chars(3, 2, 512), 1u << 30, T); /* no head: round and round */
    poke32(LIST_AT, ITD_AT | 6);
    poke32(ITD_AT, ITD_AT | 6); /* a node that follows itself */
    go(0x30);
    run_for(10 * MS);
    ck_assert_uint_eq(get(FRINDEX), 80);
    ck_assert_uint_eq(get(STS) & 0x1010, 0);
}
END_TEST

START_TEST(nothing_wakes_who_sleeps_while_nothing_is_scheduled)
{
    new_ehci(usb_kbd_plug, NULL);
    go(0);
    ck_assert_uint_eq(ehci->ops->deadline(ehci), VTIME_NEVER);
    interrupt_queue();
    set(CMD, get(CMD) | 0x10);
    ck_assert(!ehci->ops->unheard(ehci));
    run_for(10 * MS); /* nobody has made a step meanwhile, and the keyboard has nothing to say */
    ck_assert(ehci->ops->unheard(ehci));
    ck_assert_uint_ge(ehci->ops->deadline(ehci), m->st->warp + UFRAME);
    type("a");
    ck_assert(!ehci->ops->unheard(ehci));
    run_for(2 * MS);
    ck_assert_uint_eq(peek32(DATA_AT), 4u << 16);
    run_for(10 * MS);
    ck_assert(ehci->ops->unheard(ehci));
    m->st->position++; /* somebody did something */
    ck_assert(!ehci->ops->unheard(ehci));
}
END_TEST

START_TEST(no_state_is_impossible_that_it_makes_itself)
{
    struct buffer b;

    new_ehci(usb_storage_plug, NULL);
    descriptor_transfer(0);
    go(0x30);
    run_for(MS);
    ck_assert(ehci->ops->possible(ehci));
    buffer_init(&b);
    ehci->ops->describe(ehci, &b);
    usb_describe(m, &b);
    buffer_append(&b, "", 1);
    ck_assert_ptr_nonnull(strstr((char *)b.data, "running, frame 1"));
    buffer_finish(&b);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(capabilities_say_what_there_is);
    ADD(configuration_space_is_that_of_an_ehci);
    ADD(usbcmd_runs_halts_and_resets);
    ADD(usbsts_tells_of_schedules_and_is_cleared_by_ones);
    ADD(usbintr_lets_status_bits_interrupt);
    ADD(frindex_counts_microframes);
    ADD(the_frame_list_rolls_over);
    ADD(base_addresses_are_aligned);
    ADD(portsc_resets_and_enables);
    ADD(ports_sleep_and_devices_wake_them);
    ADD(configflag_routes_ports_to_companions_and_back);
    ADD(a_port_is_handed_over_by_its_owner_bit);
    ADD(whoever_has_the_port_reaches_the_device);
    ADD(a_restored_state_has_the_speed_that_the_owner_knows);
    ADD(companions_that_cannot_be_are_refused);
    ADD(a_control_transfer_goes_through);
    ADD(a_short_packet_goes_by_the_alternate_link);
    ADD(data_cross_pages_by_the_list_of_pages);
    ADD(who_is_not_ready_is_asked_again);
    ADD(stalls_babble_and_silence_halt_a_queue);
    ADD(a_packet_of_the_wrong_toggle_is_lost);
    ADD(the_toggle_is_the_queues_unless_it_says_otherwise);
    ADD(the_doorbell_is_answered);
    ADD(reclamation_ends_at_the_head);
    ADD(interrupts_wait_for_their_threshold);
    ADD(a_microframe_has_no_more_bits_than_it_has);
    ADD(keys_come_by_an_interrupt_queue);
    ADD(isochronous_transfers_take_a_microframe);
    ADD(a_hub_without_companions_is_of_high_speed);
    ADD(split_transactions_reach_what_is_slower);
    ADD(an_interrupt_queue_is_split_at_its_first_complete_split);
    ADD(split_isochronous_transfers_end_in_their_frame);
    ADD(unreachable_memory_is_a_host_system_error);
    ADD(loops_end_with_the_microframe);
    ADD(nothing_wakes_who_sleeps_while_nothing_is_scheduled);
    ADD(no_state_is_impossible_that_it_makes_itself);
}

CHIP_TESTS("ehci", claims)
