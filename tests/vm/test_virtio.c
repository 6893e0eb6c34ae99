/*
 * virtio: a driver of each kind (modern and of before 1.0, split and packed rings, indirect, event index) against the
 * block device, and rings that no driver should make.
 */
#include "tests/vm/disk_bench.h"

#include "base/option_list.h"
#include "vm/dev/virtio_blk.h"

#define BAR4 0x10010000u
#define BAR1 0x10008000u
#define NOTIFY (BAR4 + 0x3000u)
#define QUEUE  16u /* entries */

#define DESC_AT   0x1000u
#define AVAIL_AT  0x2000u
#define USED_AT   0x3000u
#define TABLE_AT  0x4000u
#define HEADER_AT 0x5000u
#define STATUS_AT 0x5800u
#define DATA_AT   0x10000u

static struct device *blk;
static struct pci_function *f;
static unsigned next_avail;
static uint64_t features;

static void new_blk(const char *text)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, &e), 0);
    ck_assert_int_eq(virtio_blk_pci_plug(&s, "blk", PCI_DEVFN(3, 0), new_drive("d0", DRIVE_DISK, NULL), &props, &e), 0);
    option_list_finish(&props);
    blk = machine_find_device(m, "blk");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, 4, 0xc000);
    pci_config_write(f, 0x14, 4, BAR1);
    pci_config_write(f, 0x20, 4, BAR4);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    next_avail = 0;
}

static uint64_t get(unsigned reg, unsigned size)
{
    return memory_read(&m->memory, BAR4 + reg, size);
}

static void set(unsigned reg, unsigned size, uint64_t value)
{
    memory_write(&m->memory, BAR4 + reg, size, value);
}

static void negotiate(uint64_t want)
{
    uint64_t offered;

    set(0x14, 1, 0);
    set(0x14, 1, 3);
    set(0x00, 4, 0);
    offered = get(0x04, 4);
    set(0x00, 4, 1);
    offered |= get(0x04, 4) << 32;
    features = offered & want;
    for (unsigned half = 0; half < 2; half++) {
        set(0x08, 4, half);
        set(0x0c, 4, features >> (32 * half) & 0xffffffffu);
    }
    set(0x14, 1, 11);
    ck_assert_uint_eq(get(0x14, 1), 11);
}

static void start(uint64_t want)
{
    negotiate(want | 1ull << 32);
    set(0x16, 2, 0);
    ck_assert_uint_eq(get(0x18, 2), 256);
    set(0x18, 2, QUEUE);
    set(0x20, 8, DESC_AT);
    set(0x28, 4, AVAIL_AT);
    set(0x2c, 4, 0);
    set(0x30, 8, USED_AT);
    set(0x1c, 2, 1);
    set(0x14, 1, 15);
}

static void desc(paddr_t table, unsigned n, paddr_t at, uint32_t len, unsigned flags, unsigned next)
{
    poke64(table + 16 * n, at);
    poke32(table + 16 * n + 8, len);
    poke32(table + 16 * n + 12, flags | next << 16);
}

static void header(uint32_t type, uint64_t sector)
{
    poke32(HEADER_AT, type);
    poke32(HEADER_AT + 4, 0);
    poke64(HEADER_AT + 8, sector);
    poke(STATUS_AT, "\xff", 1);
}

/* Header, data, status as three descriptors from `table` on. */
static void three(paddr_t table, uint32_t type, uint64_t sector, uint32_t len)
{
    header(type, sector);
    desc(table, 0, HEADER_AT, 16, 1, 1);
    desc(table, 1, DATA_AT, len, 1 | (type == 0 || type == 8 ? 2 : 0), 2);
    desc(table, 2, STATUS_AT, 1, 2, 0);
}

static void make_available(unsigned head)
{
    uint16_t id = (uint16_t)head, index = (uint16_t)++next_avail;

    poke(AVAIL_AT + 4 + 2 * ((next_avail - 1) % QUEUE), &id, 2);
    poke(AVAIL_AT + 2, &index, 2);
}

static unsigned used_index(void)
{
    return (unsigned)memory_read(&m->memory, USED_AT + 2, 2);
}

static uint8_t status(void)
{
    return (uint8_t)memory_read(&m->memory, STATUS_AT, 1);
}

static void kick(void)
{
    memory_write(&m->memory, NOTIFY, 2, 0);
    run_for(10 * MS);
}

START_TEST(the_structures_are_found_by_capabilities)
{
    unsigned seen = 0;

    new_blk("virtio-blk-pci");
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x10011af4);
    ck_assert_uint_eq(pci_config_read(f, 0x2c, 4), 0x00021af4);
    for (unsigned at = (unsigned)pci_config_read(f, 0x34, 1); at; at = (unsigned)pci_config_read(f, at + 1, 1))
        if (pci_config_read(f, at, 1) == 9)
            seen |= 1u << pci_config_read(f, at + 3, 1);
    ck_assert_uint_eq(seen, 0x3e);
    ck_assert_uint_eq(get(0x2000, 8), DISK_SECTORS);
    ck_assert_uint_eq(get(0x12, 2), 1);
    new_blk("virtio-blk-pci,disable-legacy=on,num-queues=4");
    ck_assert_uint_eq(pci_config_read(f, 0, 4), 0x10421af4);
    ck_assert_uint_eq(get(0x12, 2), 4);
    ck_assert_uint_eq(get(0x2000 + 34, 2), 4);
    new_blk("virtio-blk-pci,serial=S1,physical_block_size=4096,min_io_size=4K,opt_io_size=1M");
    ck_assert_uint_eq(get(0x2000 + 24, 1), 3);
    ck_assert_uint_eq(get(0x2000 + 26, 2), 8);
    ck_assert_uint_eq(get(0x2000 + 28, 4), 2048);
    ck_assert_str_eq(drive_find(m, "d0")->serial, "S1");
}
END_TEST

START_TEST(sectors_are_read_and_written)
{
    new_blk("virtio-blk-pci");
    start(0);
    three(DESC_AT, 0, 5, 2048);
    make_available(0);
    memory_write(&m->memory, NOTIFY, 2, 0);
    ck_assert_uint_eq(used_index(), 0);
    run_for(10 * MS);
    ck_assert_uint_eq(used_index(), 1);
    ck_assert_uint_eq(peek32(USED_AT + 4), 0);
    ck_assert_uint_eq(peek32(USED_AT + 8), 2049);
    ck_assert_uint_eq(status(), 0);
    ck_assert(holds_image(DATA_AT, 5 * 512, 2048, 512));
    ck_assert(probe[3].level); /* INTA of slot 3 */
    ck_assert_uint_eq(get(0x1000, 1), 1);
    ck_assert(!probe[3].level);
    poke32(DATA_AT, 0x12345678);
    three(DESC_AT, 1, 8, 512);
    make_available(0);
    kick();
    ck_assert_uint_eq(status(), 0);
    three(DESC_AT, 0, 8, 512);
    poke32(DATA_AT, 0);
    make_available(0);
    kick();
    ck_assert_uint_eq(peek32(DATA_AT), 0x12345678);
}
END_TEST

START_TEST(watchpoints_see_what_it_moves)
{
    struct drive *d;

    new_blk("virtio-blk-pci");
    d = drive_find(m, "d0");
    start(0);
    watch(d, DATA_AT, 5, 2048);
    for (unsigned type = 0; type < 2; type++) {
        three(DESC_AT, type, 5, 2048);
        make_available(0);
        kick();
        expect_moved(blk, type == 0, 2048);
    }
    unwatch();
}
END_TEST

START_TEST(other_requests_and_errors)
{
    new_blk("virtio-blk-pci");
    start(~0ull & ~(1ull << 29));
    three(DESC_AT, 8, 0, 20);
    make_available(0);
    kick();
    ck_assert_uint_eq(peek32(DATA_AT), 0x00003064); /* "d0" */
    three(DESC_AT, 0, DISK_SECTORS - 1, 1024);
    make_available(0);
    kick();
    ck_assert_uint_eq(status(), 1);
    three(DESC_AT, 77, 0, 512);
    make_available(0);
    kick();
    ck_assert_uint_eq(status(), 2);
    three(DESC_AT, 13, 0, 16); /* write zeroes */
    poke64(DATA_AT, 40);
    poke64(DATA_AT + 8, 2);
    make_available(0);
    kick();
    ck_assert_uint_eq(status(), 0);
    three(DESC_AT, 0, 41, 512);
    make_available(0);
    kick();
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    header(4, 0);
    desc(DESC_AT, 0, HEADER_AT, 16, 1, 1);
    desc(DESC_AT, 1, STATUS_AT, 1, 2, 0);
    make_available(0);
    kick();
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(used_index(), 6);
}
END_TEST

START_TEST(indirect_tables_hold_the_request)
{
    new_blk("virtio-blk-pci");
    start(1ull << 28);
    three(TABLE_AT, 0, 17, 512);
    desc(DESC_AT, 4, TABLE_AT, 48, 4, 0);
    make_available(4);
    kick();
    ck_assert_uint_eq(used_index(), 1);
    ck_assert_uint_eq(peek32(USED_AT + 4), 4);
    ck_assert(holds_image(DATA_AT, 17 * 512, 512, 512));
}
END_TEST

START_TEST(the_event_index_holds_interrupts_back)
{
    new_blk("virtio-blk-pci");
    start(1ull << 29);
    poke(AVAIL_AT + 4 + 2 * QUEUE, "\2\0", 2); /* tell when the third is done */
    three(DESC_AT, 0, 1, 512);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(!probe[3].level);
        make_available(0);
        kick();
    }
    ck_assert(probe[3].level);
    ck_assert_uint_eq(memory_read(&m->memory, USED_AT + 4 + 8 * QUEUE, 2), 3); /* notify again then */
}
END_TEST

START_TEST(msix_tells_which_queue)
{
    new_blk("virtio-blk-pci");
    memory_write(&m->memory, BAR1 + 16, 8, MESSAGES_AT);
    memory_write(&m->memory, BAR1 + 24, 8, 0x41);
    for (unsigned at = (unsigned)pci_config_read(f, 0x34, 1); at; at = (unsigned)pci_config_read(f, at + 1, 1))
        if (pci_config_read(f, at, 1) == PCI_CAP_MSIX)
            pci_config_write(f, at + 2, 2, 0x8000);
    start(0);
    set(0x1a, 2, 1);
    ck_assert_uint_eq(get(0x1a, 2), 1);
    set(0x10, 2, 9);
    ck_assert_uint_eq(get(0x10, 2), 0xffff); /* there is no such vector */
    three(DESC_AT, 0, 1, 512);
    make_available(0);
    kick();
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(bench_message, 0x41);
    ck_assert(!probe[3].level);
}
END_TEST

START_TEST(packed_rings_go_round)
{
    unsigned place = 0;
    bool wrap = true;

    new_blk("virtio-blk-pci,packed=on");
    start(1ull << 34);
    for (unsigned i = 0; i < 20; i++) {
        unsigned avail = wrap ? 0x80 : 0x8000, head = place;
        static const unsigned flags[3] = {1, 3, 2};

        header(0, i);
        for (unsigned k = 0; k < 3; k++) {
            unsigned turned = wrap ? 0x80 : 0x8000;

            poke64(DESC_AT + 16 * place, k == 0 ? HEADER_AT : k == 1 ? DATA_AT : STATUS_AT);
            poke32(DESC_AT + 16 * place + 8, k == 0 ? 16 : k == 1 ? 512 : 1);
            poke32(DESC_AT + 16 * place + 12, (100 + i) | (flags[k] | turned) << 16);
            if (++place == QUEUE) {
                place = 0;
                wrap = !wrap;
            }
        }
        kick();
        ck_assert_uint_eq(status(), 0);
        ck_assert(holds_image(DATA_AT, i * 512, 512, 512));
        ck_assert_uint_eq(peek32(DESC_AT + 16 * head + 8), 513);
        ck_assert_uint_eq(peek32(DESC_AT + 16 * head + 12) & 0xffff, 100 + i);
        ck_assert_uint_eq(peek32(DESC_AT + 16 * head + 12) >> 16 & 0x8080, avail == 0x80 ? 0x8080 : 0);
        ck_assert_uint_eq(get(0x1000, 1), 1);
    }
}
END_TEST

START_TEST(packed_rings_have_indirect_tables_and_event_indices)
{
    new_blk("virtio-blk-pci,packed=on");
    start(1ull << 34 | 1ull << 28 | 1ull << 29);
    header(0, 23);
    for (unsigned k = 0; k < 3; k++) {
        poke64(TABLE_AT + 16 * k, k == 0 ? HEADER_AT : k == 1 ? DATA_AT : STATUS_AT);
        poke32(TABLE_AT + 16 * k + 8, k == 0 ? 16 : k == 1 ? 512 : 1);
        poke32(TABLE_AT + 16 * k + 12, k ? 2u << 16 : 0);
    }
    for (unsigned i = 0; i < 2 * QUEUE + 3; i++) {
        unsigned place = i % QUEUE, turn = i / QUEUE & 1u, wanted = (i + 1) % QUEUE | (((i + 1) / QUEUE & 1u) ? 0 : 0x8000);

        /* Odd ones are wanted to be told, even ones are not yet. */
        poke32(AVAIL_AT, (i & 1 ? i % QUEUE | (turn ? 0 : 0x8000u) : wanted) | 2u << 16);
        poke64(DESC_AT + 16 * place, TABLE_AT);
        poke32(DESC_AT + 16 * place + 8, 48);
        poke32(DESC_AT + 16 * place + 12, 7 | (4u | (turn ? 0x8000 : 0x80)) << 16);
        kick();
        ck_assert_uint_eq(status(), 0);
        ck_assert_uint_eq(peek32(DESC_AT + 16 * place + 12) >> 16 & 0x8080, turn ? 0 : 0x8080);
        ck_assert_uint_eq(get(0x1000, 1), i & 1);
    }
    ck_assert(holds_image(DATA_AT, 23 * 512, 512, 512));
}
END_TEST

START_TEST(drivers_of_before_1_0_find_their_registers)
{
    paddr_t rings = 0x8000;
    uint16_t one = 1, head = 0;

    new_blk("virtio-blk-pci");
    ports_write(&bench_ports, 0xc012, 1, 0);
    ports_write(&bench_ports, 0xc012, 1, 3);
    ck_assert(ports_read(&bench_ports, 0xc000, 4) & 1u << 9);
    ports_write(&bench_ports, 0xc004, 4, 0);
    ck_assert_uint_eq(ports_read(&bench_ports, 0xc014, 4), DISK_SECTORS);
    ports_write(&bench_ports, 0xc00e, 2, 0);
    ck_assert_uint_eq(ports_read(&bench_ports, 0xc00c, 2), 256);
    ports_write(&bench_ports, 0xc008, 4, (uint32_t)(rings >> 12));
    ports_write(&bench_ports, 0xc012, 1, 7);
    three(rings, 0, 3, 512);
    poke(rings + 4096 + 4, &head, 2);
    poke(rings + 4096 + 2, &one, 2);
    ports_write(&bench_ports, 0xc010, 2, 0);
    run_for(10 * MS);
    ck_assert_uint_eq(memory_read(&m->memory, rings + 8192 + 2, 2), 1);
    ck_assert(holds_image(DATA_AT, 3 * 512, 512, 512));
    ck_assert(probe[3].level);
    ck_assert_uint_eq(ports_read(&bench_ports, 0xc013, 1), 1);
    ck_assert(!probe[3].level);
}
END_TEST

START_TEST(the_window_in_configuration_space_reaches_the_bar)
{
    unsigned cap = 0;

    new_blk("virtio-blk-pci");
    for (unsigned at = (unsigned)pci_config_read(f, 0x34, 1); at; at = (unsigned)pci_config_read(f, at + 1, 1))
        if (pci_config_read(f, at, 1) == 9 && pci_config_read(f, at + 3, 1) == 5)
            cap = at;
    pci_config_write(f, cap + 4, 1, 4);
    pci_config_write(f, cap + 8, 4, 0x2000);
    pci_config_write(f, cap + 12, 4, 4);
    ck_assert_uint_eq(pci_config_read(f, cap + 16, 4), DISK_SECTORS);
    pci_config_write(f, cap + 8, 4, 0x14);
    pci_config_write(f, cap + 12, 4, 1);
    pci_config_write(f, cap + 16, 1, 3);
    ck_assert_uint_eq(get(0x14, 1), 3);
}
END_TEST

START_TEST(a_chain_that_loops_or_makes_no_sense_breaks_the_device_until_a_reset)
{
    for (unsigned bad = 0; bad < 6; bad++) {
        new_blk("virtio-blk-pci");
        start(1ull << 28);
        three(DESC_AT, 0, 0, 512);
        switch (bad) {
        case 0: desc(DESC_AT, 1, DATA_AT, 512, 3, 0); break;           /* a loop */
        case 1: desc(DESC_AT, 1, DATA_AT, 512, 3, QUEUE); break;       /* out of the table */
        case 2: desc(DESC_AT, 2, STATUS_AT, 1, 0, 0); break;           /* to be read after to be written */
        case 3: desc(DESC_AT, 1, DATA_AT, 40, 4, 0); break;            /* a table of a part of a descriptor */
        case 4: desc(DESC_AT, 0, HEADER_AT, 8, 1, 1); desc(DESC_AT, 1, STATUS_AT, 1, 2, 0); break; /* no header */
        default: next_avail = 1000; break;                             /* more requests than there can be */
        }
        make_available(0);
        kick();
        ck_assert_uint_eq(get(0x14, 1) & 0x40, 0x40);
        ck_assert_uint_eq(used_index(), 0);
        next_avail = 0;
        poke32(AVAIL_AT, 0);
        start(0);
        three(DESC_AT, 0, 0, 512);
        make_available(0);
        kick();
        ck_assert_uint_eq(used_index(), 1);
    }
}
END_TEST

/* Rings, tables, headers and data in the device's own registers, in another's window, and nowhere. */
START_TEST(rings_in_device_registers_do_no_harm)
{
    static const paddr_t places[] = {BAR4, NOTIFY, BAR1, 0x10ff0000, 0xfffffffffffff000, RAM_BYTES - 8};

    for (unsigned i = 0; i < ARRAY_LEN(places); i++)
        for (unsigned what = 0; what < 6; what++) {
            new_blk("virtio-blk-pci");
            start(1ull << 28);
            set(0x1c, 2, 0);
            three(DESC_AT, what & 1, 0, 512);
            set(0x20, 8, what == 0 ? places[i] : DESC_AT);
            set(0x28, 8, what == 1 ? places[i] : AVAIL_AT);
            set(0x30, 8, what == 2 ? places[i] : USED_AT);
            if (what == 3)
                desc(DESC_AT, 1, places[i], 512, 1, 2);
            if (what == 4)
                desc(DESC_AT, 1, places[i], 512, 3, 2);
            if (what == 5)
                desc(DESC_AT, 0, places[i], 64, 4, 0);
            set(0x1c, 2, 1);
            make_available(0);
            kick();
            ck_assert(blk->ops->possible(blk));
            ck_assert_msg(get(0x12, 2) == 1, "its registers are as they were");
        }
}
END_TEST

/* Rings, tables and registers at random: an answer or a broken device, and the state stays possible. */
START_TEST(virtio_bears_random_rings)
{
    uint64_t rng = (uint64_t)_i * 99991 + 3;
    bool packed = _i & 1;

    new_blk(packed ? "virtio-blk-pci,packed=on,num-queues=3" : "virtio-blk-pci,num-queues=2");
    for (unsigned i = 0; i < 4000; i++) {
        if (i % 50 == 0) {
            next_avail = 0;
            start(packed ? ~0ull : ~(1ull << 34));
        }
        for (unsigned k = 0; k < 8; k++) {
            uint32_t x, y;

            rng = rng * 6364136223846793005u + 1442695040888963407u;
            x = (uint32_t)(rng >> 33);
            y = (uint32_t)(rng >> 21);
            desc(x & 64 ? TABLE_AT : DESC_AT, x % QUEUE, x & 128 ? y : HEADER_AT + (y & 0xffff),
                 y & 1 ? y >> 8 : y >> 3 & 0x3ff, packed ? y & 0xf : y & 7, packed ? (x & 8 ? 0x80 : 0x8080) | (y >> 9 & 7)
                                                                                   : y >> 9 & 15);
            header(y & 15, x & 0xfff);
        }
        make_available(rng >> 40 & 15);
        if (!(rng >> 50 & 31))
            memory_write(&m->memory, BAR4 + (rng >> 12 & 0x3c), 4, rng >> 30 & 0xffff);
        kick();
        ck_assert(blk->ops->possible(blk));
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(the_structures_are_found_by_capabilities);
    ADD(sectors_are_read_and_written);
    ADD(watchpoints_see_what_it_moves);
    ADD(other_requests_and_errors);
    ADD(indirect_tables_hold_the_request);
    ADD(the_event_index_holds_interrupts_back);
    ADD(msix_tells_which_queue);
    ADD(packed_rings_go_round);
    ADD(packed_rings_have_indirect_tables_and_event_indices);
    ADD(drivers_of_before_1_0_find_their_registers);
    ADD(the_window_in_configuration_space_reaches_the_bar);
    ADD(a_chain_that_loops_or_makes_no_sense_breaks_the_device_until_a_reset);
    ADD(rings_in_device_registers_do_no_harm);
    tcase_add_loop_test(tc, virtio_bears_random_rings, 0, 8);
}

CHIP_TESTS("virtio", claims)
