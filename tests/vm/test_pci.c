/*
 * PCI: configuration space, base addresses behind windows and bridges, interrupt pins, messages,
 * bus mastering, on a bus with a function of every kind of BAR.
 */
#include "tests/whole/chip_bench.h"

#include "vm/dev/pci_bridge.h"
#include "vm/dev/pci_host.h"

/* ---- a function with everything ---- */

#define VECTORS 40u
#define MSIX_AT 0x800u

enum { RANGE_IO = 1, RANGE_MEMORY, RANGE_BIG };

DEVICE_STATE_BEGIN
struct card_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t table[VECTORS][4];
    uint32_t pending[2];
    uint64_t last;    /* what was written */
    uint32_t range, offset;
};
DEVICE_STATE_END

struct card_wiring {
    struct pci_function pci;
};

static uint64_t card_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct card_wiring *w = dev->wiring;

    if (range == RANGE_MEMORY && pci_msix_owns(&w->pci, offset))
        return pci_msix_read(&w->pci, offset, size);
    return range << 16 | offset;
}

static void card_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct card_wiring *w = dev->wiring;
    struct card_state *s = dev->state;

    if (range == RANGE_MEMORY && pci_msix_owns(&w->pci, offset)) {
        pci_msix_write(&w->pci, offset, size, value);
        return;
    }
    s->last = value;
    s->range = range;
    s->offset = (uint32_t)offset;
}

static void card_reset(struct device *dev)
{
    struct card_wiring *w = dev->wiring;

    pci_function_reset(&w->pci);
}

static const struct device_ops card_ops = {
    .name = "card", .state_size = sizeof(struct card_state), .reset = card_reset, .read = card_read, .write = card_write};

/* ---- the machine ---- */

static struct pci_bus root;
static struct ports ports;
static struct device *host, *bridge, *card[4];
static struct card_wiring card_wiring[4];
static struct pci_bridge_wiring bridge_wiring;
static unsigned messages;
static uint32_t message_requester, message_data;
static paddr_t message_address;

#define MESSAGES 0xfee00000u

static bool take_message(void *ctx, uint32_t requester, paddr_t address, uint32_t data)
{
    (void)ctx;
    if (address >> 20 != MESSAGES >> 20)
        return false;
    messages++;
    message_requester = requester;
    message_address = address;
    message_data = data;
    return true;
}

static void plug_card(unsigned n, struct pci_bus *bus, uint8_t devfn, uint32_t rom)
{
    static const struct pci_identity id = {.vendor = 0x1234, .device = 0x5678, .subsystem_vendor = 0xabcd,
                                           .subsystem = 0xef01, .class_code = 0x010802, .revision = 7, .pin = 2};
    static const char *const names[] = {"card0", "card1", "card2", "card3"};
    struct card_state *s;
    struct pci_function *f = &card_wiring[n].pci;

    card[n] = machine_add_device(m, &card_ops, names[n], &card_wiring[n]);
    s = card[n]->state;
    pci_function_init(f, bus, devfn, card[n], s->config, &id);
    pci_add_bar(f, 0, PCI_BAR_IO, false, 0x20, RANGE_IO);
    pci_add_bar(f, 1, PCI_BAR_MEMORY, false, 0x1000, RANGE_MEMORY);
    pci_add_bar(f, 2, PCI_BAR_MEMORY_64, true, (uint64_t)1 << 33, RANGE_BIG);
    pci_add_paged_bar(f, PCI_ROM_BAR, PCI_BAR_ROM, false, 0x1000, rom);
    pci_add_msi(f, 4, true);
    pci_add_msix(f, &(struct pci_msix){.table = s->table[0], .pending = s->pending, .vectors = VECTORS, .bar = 1,
                                       .table_at = MSIX_AT, .pending_at = MSIX_AT + VECTORS * 16});
    pci_add_express(f, 0);
}

static void new_bus(void)
{
    struct region ram = {.size = 0x4000, .kind = REGION_RAM, .enabled = true};
    uint32_t rom;

    memset(&ports, 0, sizeof(ports));
    messages = 0;
    root = (struct pci_bus){.machine = m, .ports = &ports, .nwindows = 2, .message = take_message,
                            .windows = {{0x10000000, 0x2eff0000}, {0x8000000000, 0x8000000000}}};
    for (unsigned n = 0; n < 4; n++)
        root.lines[n] = probe_line(n);
    ram.page = memory_alloc(&m->memory, "ram", ram.size);
    memory_map(&m->memory, &ram);
    rom = memory_alloc(&m->memory, "rom", 0x1000);
    memory_load(&m->memory, rom, "\x55\xaa", 2);
    host = machine_add_device(m, &pci_host_ops, "pci", &root);
    bridge = machine_add_device(m, &pci_bridge_ops, "bridge", &bridge_wiring);
    pci_bridge_plug(bridge, &root, PCI_DEVFN(4, 0), PCI_BRIDGE_ROOT_PORT);
    plug_card(0, &root, PCI_DEVFN(1, 0), rom);
    plug_card(1, &bridge_wiring.secondary, PCI_DEVFN(0, 0), rom);
    plug_card(2, &root, PCI_DEVFN(1, 1), rom);
    reset_all();
}

static uint64_t ecam(unsigned bus, unsigned devfn, unsigned reg)
{
    return bus << 20 | devfn << 12 | reg;
}

static uint32_t get(unsigned bus, unsigned devfn, unsigned reg)
{
    return (uint32_t)host->ops->read(host, PCI_HOST_ECAM, ecam(bus, devfn, reg), 4);
}

static void put(unsigned bus, unsigned devfn, unsigned reg, unsigned size, uint32_t value)
{
    host->ops->write(host, PCI_HOST_ECAM, ecam(bus, devfn, reg), size, value);
}

#define CARD PCI_DEVFN(1, 0)
#define PORT PCI_DEVFN(4, 0)

/* ---- claims ---- */

START_TEST(configuration_space_is_the_same_by_both_mechanisms)
{
    new_bus();
    ck_assert_uint_eq(get(0, CARD, 0), 0x56781234);
    ck_assert_uint_eq(get(0, CARD, 8), 0x01080207);
    ck_assert_uint_eq(get(0, CARD, 0x2c), 0xef01abcd);
    ck_assert_uint_eq(get(0, CARD, 0x0c) >> 16 & 0xff, 0x80); /* function 1 is there, too */
    ck_assert_uint_eq(get(0, PORT, 0x0c) >> 16 & 0xff, 0x01);
    ck_assert_uint_eq(get(0, PCI_DEVFN(9, 0), 0), 0xffffffff);
    host->ops->write(host, PCI_HOST_ADDRESS, 0, 4, 0x80000000u | CARD << 8);
    ck_assert_uint_eq(host->ops->read(host, PCI_HOST_DATA, 0, 4), 0x56781234);
    ck_assert_uint_eq(host->ops->read(host, PCI_HOST_DATA, 2, 2), 0x5678);
    put(0, CARD, 0, 4, 0);
    put(0, CARD, 0x3d, 1, 7);
    ck_assert_uint_eq(get(0, CARD, 0), 0x56781234);
    ck_assert_uint_eq(get(0, CARD, 0x3c) >> 8, 2);
    ck_assert_uint_eq(get(0, CARD, 0x100), 0); /* no extended capabilities */
    put(0, CARD, 0xffc, 4, 1);
}
END_TEST

START_TEST(capabilities_are_a_list)
{
    unsigned seen = 0, at;

    new_bus();
    ck_assert_uint_eq(get(0, CARD, 4) >> 20 & 1, 1);
    for (at = get(0, CARD, 0x34) & 0xff; at; at = get(0, CARD, at) >> 8 & 0xff)
        seen |= 1u << (get(0, CARD, at) & 0xff);
    ck_assert_uint_eq(seen, 1u << PCI_CAP_MSI | 1u << PCI_CAP_MSIX | 1u << PCI_CAP_EXPRESS);
}
END_TEST

START_TEST(base_addresses_tell_their_size)
{
    new_bus();
    for (unsigned reg = 0x10; reg < 0x28; reg += 4)
        put(0, CARD, reg, 4, 0xffffffff);
    ck_assert_uint_eq(get(0, CARD, 0x10), 0xffffffe1);
    ck_assert_uint_eq(get(0, CARD, 0x14), 0xfffff000);
    ck_assert_uint_eq(get(0, CARD, 0x18), 0x0000000c);
    ck_assert_uint_eq(get(0, CARD, 0x1c), 0xfffffffe);
    ck_assert_uint_eq(get(0, CARD, 0x20), 0);
    put(0, CARD, 0x30, 4, 0xffffffff);
    ck_assert_uint_eq(get(0, CARD, 0x30), 0xfffff001);
}
END_TEST

START_TEST(bars_answer_where_command_and_windows_let_them)
{
    new_bus();
    put(0, CARD, 0x10, 4, 0xc000);
    put(0, CARD, 0x14, 4, 0x10004000);
    put(0, CARD, 0x18, 4, 0);
    put(0, CARD, 0x1c, 4, 0x82);
    ck_assert_uint_eq(memory_read(&m->memory, 0x10004010, 4), 0xffffffff);
    put(0, CARD, 4, 2, 3);
    ck_assert_uint_eq(memory_read(&m->memory, 0x10004010, 4), RANGE_MEMORY << 16 | 0x10);
    ck_assert_uint_eq(memory_read(&m->memory, 0x8200001000, 4), RANGE_BIG << 16 | 0x1000);
    ck_assert_uint_eq(ports_read(&ports, 0xc004, 4), RANGE_IO << 16 | 4);
    ck_assert_uint_eq(host->ops->read(host, PCI_HOST_IO, 0xc004, 4), RANGE_IO << 16 | 4);
    put(0, CARD, 0x14, 4, 0x3f000000); /* not a window's */
    ck_assert_uint_eq(memory_read(&m->memory, 0x3f000010, 4), 0xffffffff);
    put(0, CARD, 0x14, 4, 0x1000); /* memory is there */
    ck_assert_uint_eq(memory_read(&m->memory, 0x1010, 4), 0);
    put(0, CARD, 0x30, 4, 0x20000001);
    ck_assert_uint_eq(memory_read(&m->memory, 0x20000000, 2), 0xaa55);
    put(0, CARD, 0x30, 4, 0x20000000);
    ck_assert_uint_eq(memory_read(&m->memory, 0x20000000, 2), 0xffff);
    put(0, CARD, 4, 2, 0);
    ck_assert_uint_eq(ports_read(&ports, 0xc004, 4), 0xffffffff);
}
END_TEST

START_TEST(port_0_is_an_address_on_some_boards)
{
    new_bus();
    put(0, CARD, 0x10, 4, 0);
    put(0, CARD, 4, 2, 1);
    ck_assert_uint_eq(ports_read(&ports, 4, 4), 0xffffffff);
    root.port_zero = true;
    put(0, CARD, 4, 2, 0);
    ck_assert_uint_eq(ports_read(&ports, 4, 4), 0xffffffff);
    put(0, CARD, 4, 2, 1);
    ck_assert_uint_eq(ports_read(&ports, 4, 4), RANGE_IO << 16 | 4);
}
END_TEST

START_TEST(a_bridge_hands_on_what_its_windows_say)
{
    new_bus();
    ck_assert_uint_eq(get(1, 0, 0), 0xffffffff);
    put(0, PORT, 0x18, 4, 0x00020100); /* primary 0, secondary 1, up to 2 */
    ck_assert_uint_eq(get(1, 0, 0), 0x56781234);
    put(1, 0, 0x10, 4, 0xd000);
    put(1, 0, 0x14, 4, 0x11000000);
    put(1, 0, 0x1c, 4, 0x80);
    put(1, 0, 4, 2, 7);
    put(0, PORT, 4, 2, 3);
    ck_assert_uint_eq(memory_read(&m->memory, 0x11000010, 4), 0xffffffff);
    put(0, PORT, 0x20, 4, 0x11001100);
    ck_assert_uint_eq(memory_read(&m->memory, 0x11000010, 4), RANGE_MEMORY << 16 | 0x10);
    put(0, PORT, 0x24, 4, 0xfff00000);
    put(0, PORT, 0x28, 4, 0x80);
    put(0, PORT, 0x2c, 4, 0x81);
    ck_assert_uint_eq(memory_read(&m->memory, 0x8000000010, 4), RANGE_BIG << 16 | 0x10);
    put(0, PORT, 0x1c, 2, 0xd0d0);
    ck_assert_uint_eq(ports_read(&ports, 0xd004, 4), RANGE_IO << 16 | 4);
    put(0, PORT, 4, 2, 0);
    ck_assert_uint_eq(memory_read(&m->memory, 0x11000010, 4), 0xffffffff);
    ck_assert_uint_eq(ports_read(&ports, 0xd004, 4), 0xffffffff);
}
END_TEST

START_TEST(a_bridge_resets_its_other_side)
{
    new_bus();
    put(0, PORT, 0x18, 4, 0x00010100);
    put(1, 0, 0x14, 4, 0x11000000);
    put(0, PORT, 0x3e, 2, 0x40);
    put(0, PORT, 0x3e, 2, 0);
    ck_assert_uint_eq(get(1, 0, 0x14), 0);
}
END_TEST

START_TEST(pins_are_turned_by_their_slots_and_shared)
{
    new_bus();
    pci_set_intx(&card_wiring[0].pci, true); /* INTB of slot 1 */
    ck_assert(probe[2].level);
    pci_set_intx(&card_wiring[2].pci, true);
    pci_set_intx(&card_wiring[0].pci, false);
    ck_assert(probe[2].level);
    ck_assert_uint_eq(get(0, CARD, 4) >> 19 & 1, 0);
    put(0, PCI_DEVFN(1, 1), 4, 2, 0x400);
    ck_assert(!probe[2].level);
    put(0, PCI_DEVFN(1, 1), 4, 2, 0);
    ck_assert(probe[2].level);
    reset_all();
    ck_assert(!probe[2].level);
    pci_set_intx(&card_wiring[1].pci, true); /* INTB of slot 0 behind slot 4: 1 + 0 + 4 */
    ck_assert(probe[1].level);
}
END_TEST

static unsigned find_capability(unsigned id)
{
    unsigned at = get(0, CARD, 0x34) & 0xff;

    while (at && (get(0, CARD, at) & 0xff) != id)
        at = get(0, CARD, at) >> 8 & 0xff;
    return at;
}

START_TEST(msi_messages_go_where_they_are_told_and_wait_while_masked)
{
    struct pci_function *f = &card_wiring[0].pci;
    unsigned at;

    new_bus();
    at = find_capability(PCI_CAP_MSI);
    ck_assert_uint_eq(get(0, CARD, at) >> 16, 0x0184);
    put(0, CARD, at + 4, 4, MESSAGES | 0x5004);
    put(0, CARD, at + 12, 2, 0x4140);
    put(0, CARD, at + 2, 2, 0x0021); /* on, 4 messages */
    pci_notify(f, 3);
    ck_assert_msg(messages == 0, "not a bus master");
    put(0, CARD, 4, 2, 4);
    pci_notify(f, 3);
    ck_assert_uint_eq(messages, 1);
    ck_assert_uint_eq(message_address, MESSAGES | 0x5004);
    ck_assert_uint_eq(message_data, 0x4143);
    ck_assert_uint_eq(message_requester, CARD);
    put(0, CARD, at + 16, 4, 0xffffffff);
    ck_assert_uint_eq(get(0, CARD, at + 16), 0xf);
    pci_notify(f, 2);
    ck_assert_uint_eq(messages, 1);
    ck_assert_uint_eq(get(0, CARD, at + 20), 4);
    put(0, CARD, at + 16, 4, 0);
    ck_assert_uint_eq(messages, 2);
    ck_assert_uint_eq(message_data, 0x4142);
    ck_assert_uint_eq(get(0, CARD, at + 20), 0);
    put(0, CARD, at + 2, 2, 0x0001); /* one message */
    pci_notify(f, 3);
    ck_assert_uint_eq(message_data, 0x4140);
    put(0, CARD, at + 4, 4, 0x2000); /* an ordinary write */
    pci_notify(f, 0);
    ck_assert_uint_eq(memory_read(&m->memory, 0x2000, 4), 0x4140);
}
END_TEST

static void msix_set(unsigned vector, uint32_t address, uint32_t data, uint32_t control)
{
    paddr_t at = 0x10004000 + MSIX_AT + vector * 16;

    memory_write(&m->memory, at, 8, address);
    memory_write(&m->memory, at + 8, 4, data);
    memory_write(&m->memory, at + 12, 4, control);
}

START_TEST(a_conventional_bridge_takes_requests_upon_itself)
{
    static struct pci_bridge_wiring wiring;
    struct pci_function *f = &card_wiring[3].pci;
    struct device *conventional;
    unsigned at;

    new_bus();
    conventional = machine_add_device(m, &pci_bridge_ops, "bridge1", &wiring);
    pci_bridge_plug(conventional, &root, PCI_DEVFN(5, 0), PCI_BRIDGE_CONVENTIONAL);
    plug_card(3, pci_bridge_secondary(conventional), PCI_DEVFN(2, 0), 0);
    reset_all();
    ck_assert(pci_bridge_is_port(&bridge_wiring.pci) && !pci_bridge_is_port(&wiring.pci));
    ck_assert_ptr_null(pci_bridge_secondary(card[0]));
    for (unsigned n = 0; n < 2; n++) { /* behind the root port, behind the other */
        unsigned slot = n ? PCI_DEVFN(5, 0) : PORT, devfn = n ? PCI_DEVFN(2, 0) : 0;

        put(0, slot, 0x18, 4, 0x030300);
        put(0, slot, 4, 2, 4);
        at = find_capability(PCI_CAP_MSI);
        put(3, devfn, 4, 2, 4);
        put(3, devfn, at + 4, 4, MESSAGES);
        put(3, devfn, at + 2, 2, 1);
        pci_notify(n ? f : &card_wiring[1].pci, 0);
        ck_assert_uint_eq(messages, n + 1);
        ck_assert_uint_eq(message_requester, n ? PCI_DEVFN(5, 0) : 0x300);
        put(0, slot, 0x18, 4, 0);
    }
}
END_TEST

START_TEST(msix_has_a_table_and_pending_bits)
{
    struct pci_function *f = &card_wiring[0].pci;
    unsigned at;

    new_bus();
    put(0, CARD, 0x14, 4, 0x10004000);
    put(0, CARD, 4, 2, 6);
    at = find_capability(PCI_CAP_MSIX);
    ck_assert_uint_eq(get(0, CARD, at) >> 16, VECTORS - 1);
    ck_assert_uint_eq(get(0, CARD, at + 4), MSIX_AT | 1);
    ck_assert_uint_eq(memory_read(&m->memory, 0x10004000 + MSIX_AT + 12, 4), 1);
    put(0, CARD, at + 2, 2, 0x8000);
    msix_set(39, MESSAGES | 0x1000, 0x77, 0);
    pci_notify(f, 39);
    ck_assert_uint_eq(messages, 1);
    ck_assert_uint_eq(message_data, 0x77);
    pci_notify(f, 40); /* there is none */
    pci_notify(f, 38); /* masked since reset */
    ck_assert_uint_eq(messages, 1);
    ck_assert_uint_eq(memory_read(&m->memory, 0x10004000 + MSIX_AT + VECTORS * 16, 8), (uint64_t)1 << 38);
    msix_set(38, MESSAGES, 0x66, 0);
    ck_assert_uint_eq(messages, 2);
    ck_assert_uint_eq(message_data, 0x66);
    put(0, CARD, at + 2, 2, 0xc000);
    pci_notify(f, 39);
    ck_assert_uint_eq(messages, 2);
    put(0, CARD, at + 2, 2, 0x8000);
    ck_assert_uint_eq(messages, 3);
}
END_TEST

START_TEST(only_bus_masters_reach_memory)
{
    struct pci_function *f = &card_wiring[1].pci;
    uint32_t v = 0x11223344;

    new_bus();
    put(0, PORT, 0x18, 4, 0x00010100);
    ck_assert(!pci_dma_write(f, 0x1000, &v, 4));
    put(1, 0, 4, 2, 4);
    ck_assert_msg(!pci_dma_write(f, 0x1000, &v, 4), "its bridge may not");
    put(0, PORT, 4, 2, 4);
    ck_assert(pci_dma_write(f, 0x1000, &v, 4));
    ck_assert_uint_eq(memory_read(&m->memory, 0x1000, 4), v);
    ck_assert(pci_dma_read(f, 0xfff00000, &v, 4));
    ck_assert_uint_eq(v, 0xffffffff);
}
END_TEST

START_TEST(a_bios_gives_everything_its_place)
{
    static const uint8_t irq[] = {10, 11, 5, 7};
    uint64_t base[3];

    new_bus();
    pci_assign(&root, 0xc000, 0x20000000, 0x30000000, irq);
    for (unsigned n = 0; n < 3; n++) {
        ck_assert(pci_bar_base(&card_wiring[n].pci, 1, &base[n]));
        ck_assert_uint_eq(memory_read(&m->memory, base[n] + 8, 4), RANGE_MEMORY << 16 | 8);
    }
    ck_assert(base[0] != base[1] && base[1] != base[2]);
    ck_assert_uint_eq(get(0, CARD, 0x3c) & 0xff, 5);
    ck_assert_uint_eq(get(1, 0, 0), 0x56781234);
}
END_TEST

START_TEST(maps_follow_a_state_that_was_restored)
{
    static uint8_t before[MACHINE_ARENA_BYTES];

    new_bus();
    put(0, CARD, 0x14, 4, 0x10004000);
    put(0, CARD, 4, 2, 2);
    memcpy(before, m->arena, m->arena_len);
    put(0, CARD, 0x14, 4, 0x12000000);
    memcpy(m->arena, before, m->arena_len);
    host->ops->restored(host);
    ck_assert_uint_eq(memory_read(&m->memory, 0x10004010, 4), RANGE_MEMORY << 16 | 0x10);
    ck_assert_uint_eq(memory_read(&m->memory, 0x12000010, 4), 0xffffffff);
}
END_TEST

/* Whatever is written where: an answer, and nothing breaks. */
START_TEST(pci_bears_random_accesses)
{
    uint32_t x = (uint32_t)_i * 2654435761u + 1;

    new_bus();
    for (unsigned i = 0; i < 20000; i++) {
        unsigned bus, devfn, reg, size;

        x = x * 1664525u + 1013904223u;
        bus = x >> 28 & 3u;
        devfn = x >> 27 & 1u ? CARD | (x >> 26 & 1u) : x >> 26 & 1u ? PORT : 0;
        reg = x >> 8 & 0xffu;
        size = 1u << (x >> 6 & 1u);
        put(bus, devfn, reg & ~(size - 1), size, x * 2654435761u);
        pci_notify(&card_wiring[x % 3].pci, x >> 4 & 63u);
        pci_set_intx(&card_wiring[x % 3].pci, x >> 3 & 1u);
        memory_write(&m->memory, 0x10004000 + (x >> 12 & 0xffcu), 4, x);
    }
    host->ops->restored(host);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(configuration_space_is_the_same_by_both_mechanisms);
    ADD(capabilities_are_a_list);
    ADD(base_addresses_tell_their_size);
    ADD(bars_answer_where_command_and_windows_let_them);
    ADD(port_0_is_an_address_on_some_boards);
    ADD(a_bridge_hands_on_what_its_windows_say);
    ADD(a_bridge_resets_its_other_side);
    ADD(pins_are_turned_by_their_slots_and_shared);
    ADD(msi_messages_go_where_they_are_told_and_wait_while_masked);
    ADD(a_conventional_bridge_takes_requests_upon_itself);
    ADD(msix_has_a_table_and_pending_bits);
    ADD(only_bus_masters_reach_memory);
    ADD(a_bios_gives_everything_its_place);
    ADD(maps_follow_a_state_that_was_restored);
    tcase_add_loop_test(tc, pci_bears_random_accesses, 0, 8);
}

CHIP_TESTS("pci", claims)
