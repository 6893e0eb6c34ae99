/*
 * Devices that suites of tests expect from an emulator, as QEMU has them:
 *
 *   isa-debug-exit   a write of V to any of its ports ends the guest with status (V << 1) | 1. No device of its own: the
 *                    board's debug exit answers at more ports
 *   pc-testdev       ports E0h-E3h and E8h-EBh: four bytes that are kept, seen through both; E4h: a page that an emulator
 *                    may drop and fetch again, which changes nothing for the guest; 2000h + N, a byte: the level of interrupt
 *                    N of the ISA bus; 64 KiB of a device's memory at FF000000h
 *   pci-testdev      docs/specs/pci-testdev: six tests, three for each BAR (0: memory, 1: ports). A write of N to byte 0 of a
 *                    BAR begins its test N and sets its count to 0; a write of one byte to the test's offset is then
 *                    counted (test 0: if it is the test's data), or taken by an event descriptor, which the guest does not
 *                    see (test 1: any value; test 2: the data). Reads give the test's header
 *
 * Not modelled: pci-testdev's third BAR (membar=).
 */
#include "vm/dev/testdev.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/pci.h"
#include "vm/dev/ports.h"
#include "vm/machine.h"

/* ---- isa-debug-exit ---- */

const struct option_key isa_debug_exit_keys[] = {{"iobase", "PORT"}, {"iosize", "N"}, {NULL, NULL}};

int isa_debug_exit_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    uint64_t base = 0x501, size = 2;

    (void)name, (void)devfn, (void)d;
    if (!s->debug_exit)
        return error_set(err, -EINVAL, "this board has no ISA bus");
    if (option_list_number(props, "iobase", 0, UINT16_MAX, &base, err) < 0 ||
        option_list_number(props, "iosize", 1, UINT16_MAX + 1u - base, &size, err) < 0)
        return -EINVAL;
    return s->debug_exit(s->ctx, (uint16_t)base, (uint16_t)size, err);
}

/* ---- pc-testdev ---- */

#define ISA_LINES 16u
#define LINE_PORTS 24u

/* Ranges: both views of the bytes; the page that is dropped; the interrupts; the memory. */
enum { PC_BYTES, PC_FLUSH, PC_LINES, PC_MEMORY };

DEVICE_STATE_BEGIN
struct pc_testdev_state {
    uint8_t bytes[4];
    uint8_t reserved[4];
    uint8_t memory[PC_TESTDEV_MEMORY_BYTES];
};
DEVICE_STATE_END

struct pc_testdev {
    struct line irq[ISA_LINES];
};

static uint64_t pc_testdev_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct pc_testdev_state *st = dev->state;

    if (range == PC_BYTES)
        return st->bytes[offset % 4];
    if (range == PC_MEMORY && offset + size <= PC_TESTDEV_MEMORY_BYTES)
        return get_le(st->memory + offset, size);
    return UINT64_MAX;
}

static void pc_testdev_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct pc_testdev_state *st = dev->state;
    const struct pc_testdev *t = dev->wiring;

    if (range == PC_BYTES)
        st->bytes[offset % 4] = (uint8_t)value;
    else if (range == PC_LINES && offset < ISA_LINES)
        line_set(&t->irq[offset], value & 0xff);
    else if (range == PC_MEMORY && offset + size <= PC_TESTDEV_MEMORY_BYTES)
        put_le(st->memory + offset, value, size);
}

static void pc_testdev_describe(const struct device *dev, struct buffer *b)
{
    const struct pc_testdev_state *st = dev->state;

    buffer_printf(b, "bytes %02x %02x %02x %02x\n", st->bytes[0], st->bytes[1], st->bytes[2], st->bytes[3]);
}

static const struct device_ops pc_testdev_ops = {
    .name = "pc-testdev",
    .state_size = sizeof(struct pc_testdev_state),
    .describe = pc_testdev_describe,
    .read = pc_testdev_read,
    .write = pc_testdev_write,
};

int pc_testdev_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                    struct error *err)
{
    struct pc_testdev *t;
    struct device *dev;

    (void)devfn, (void)d, (void)props;
    if (!s->isa_irq)
        return error_set(err, -EINVAL, "this board has no ISA bus");
    if (s->pci->ports->owner[0xe0])
        return error_set(err, -EINVAL, "there is one already");
    dev = machine_add_owned_device(s->machine, &pc_testdev_ops, name, sizeof(*t));
    t = dev->wiring;
    for (unsigned n = 0; n < ISA_LINES; n++)
        t->irq[n] = s->isa_irq(s->ctx, n);
    ports_claim(s->pci->ports, dev, 0xe0, 4, PC_BYTES, 1);
    ports_claim(s->pci->ports, dev, 0xe4, 4, PC_FLUSH, 4);
    ports_claim(s->pci->ports, dev, 0xe8, 4, PC_BYTES, 1); /* so E9h is no debug console */
    ports_claim(s->pci->ports, dev, 0x2000, LINE_PORTS, PC_LINES, 1);
    memory_map(&s->machine->memory, &(struct region){.base = PC_TESTDEV_MEMORY, .size = PC_TESTDEV_MEMORY_BYTES, .enabled = true,
                                                     .kind = REGION_MMIO, .dev = dev, .range = PC_MEMORY});
    return 0;
}

/* ---- pci-testdev ---- */

#define TESTS_A_BAR  3u
#define TESTS        (2u * TESTS_A_BAR)
#define HEADER_BYTES 16u
#define MEMORY_TESTS_AT 2048u
#define PORT_TESTS_AT   128u

enum { NO_EVENT, WILDCARD_EVENT, DATAMATCH_EVENT };

static const char *const test_names[TESTS] = {
    "mmio-no-eventfd", "mmio-wildcard-eventfd", "mmio-datamatch-eventfd",
    "portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd",
};

DEVICE_STATE_BEGIN
struct pci_testdev_state {
    uint32_t counts[TESTS];
    uint32_t running;       /* the test that was begun, plus 1; 0: none */
    uint32_t reserved;
    uint8_t config[PCI_CONFIG_BYTES];
};
DEVICE_STATE_END

struct pci_testdev {
    struct pci_function pci;
};

static uint32_t test_offset(unsigned test)
{
    return (test < TESTS_A_BAR ? MEMORY_TESTS_AT : PORT_TESTS_AT) + test;
}

static uint8_t test_data(unsigned test)
{
    return test % TESTS_A_BAR == WILDCARD_EVENT ? 0xce : 0xfa;
}

static uint8_t header_byte(const struct pci_testdev_state *st, unsigned test, uint64_t offset)
{
    const char *name = test_names[test];
    uint8_t header[HEADER_BYTES] = {(uint8_t)test, 1, [8] = test_data(test)};

    put_le32(header + 4, test_offset(test));
    put_le32(header + 12, st->counts[test]);
    if (offset < HEADER_BYTES)
        return header[offset];
    return offset - HEADER_BYTES < strlen(name) ? (uint8_t)name[offset - HEADER_BYTES] : 0;
}

static uint64_t pci_testdev_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct pci_testdev_state *st = dev->state;
    uint64_t value = 0;

    (void)range;
    for (unsigned i = 0; st->running && i < size; i++)
        value |= (uint64_t)header_byte(st, st->running - 1, offset + i) << (8 * i);
    return value;
}

static void write_byte(struct pci_testdev_state *st, unsigned range, uint64_t offset, uint8_t value)
{
    unsigned test = st->running - 1;

    if (offset == 0) {
        st->running = value < TESTS_A_BAR ? range * TESTS_A_BAR + value + 1 : 0;
        if (st->running)
            st->counts[st->running - 1] = 0;
    } else if (st->running && offset == test_offset(test) &&
               (test % TESTS_A_BAR == WILDCARD_EVENT || value == test_data(test))) {
        st->counts[test]++;
    }
}

/* The event of the running test takes the access: of one byte, in its own BAR. */
static bool taken_by_event(const struct pci_testdev_state *st, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    unsigned test = st->running - 1;

    if (!st->running || size != 1 || range != test / TESTS_A_BAR || offset != test_offset(test))
        return false;
    return test % TESTS_A_BAR == WILDCARD_EVENT || (test % TESTS_A_BAR == DATAMATCH_EVENT && value == test_data(test));
}

static void pci_testdev_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_testdev_state *st = dev->state;

    if (taken_by_event(st, range, offset, size, value))
        return;
    for (unsigned i = 0; i < size; i++)
        write_byte(st, range, offset + i, (uint8_t)(value >> (8 * i)));
}

static void pci_testdev_reset(struct device *dev)
{
    struct pci_testdev *t = dev->wiring;
    struct pci_testdev_state *st = dev->state;

    pci_function_reset(&t->pci);
    st->running = 0;
}

static bool pci_testdev_possible(const struct device *dev)
{
    const struct pci_testdev_state *st = dev->state;

    return st->running <= TESTS;
}

static void pci_testdev_describe(const struct device *dev, struct buffer *b)
{
    const struct pci_testdev_state *st = dev->state;

    if (st->running)
        buffer_printf(b, "%s: %u counted\n", test_names[st->running - 1], st->counts[st->running - 1]);
    else
        buffer_printf(b, "no test\n");
}

static const struct device_ops pci_testdev_ops = {
    .name = "pci-testdev",
    .state_size = sizeof(struct pci_testdev_state),
    .possible = pci_testdev_possible,
    .reset = pci_testdev_reset,
    .describe = pci_testdev_describe,
    .read = pci_testdev_read,
    .write = pci_testdev_write,
};

int pci_testdev_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                     struct error *err)
{
    static const struct pci_identity id = {.vendor = 0x1b36, .device = 0x0005, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x00ff00};
    struct device *dev = machine_add_owned_device(s->machine, &pci_testdev_ops, name, sizeof(struct pci_testdev));
    struct pci_testdev *t = dev->wiring;
    struct pci_testdev_state *st = dev->state;

    (void)d, (void)props, (void)err;
    pci_function_init(&t->pci, s->pci, devfn, dev, st->config, &id);
    pci_add_bar(&t->pci, 0, PCI_BAR_MEMORY, false, 2 * MEMORY_TESTS_AT, 0);
    pci_add_bar(&t->pci, 1, PCI_BAR_IO, false, 2 * PORT_TESTS_AT, 1);
    return 0;
}
