/*
 * virtio over memory-mapped registers of version 1 (virtio 1.2, 4.2.4), as drivers of before 1.0 have it: its registers, a queue
 * in one piece, devices' layouts of then.
 */
#include "tests/vm/disk_bench.h"

#include "base/option_list.h"
#include "vm/dev/virtio_blk.h"
#include "vm/dev/virtio_net.h"

#define SLOT    0x0a000000u
#define PAGE    0x400u     /* GuestPageSize */
#define PFN     0x10u
#define RINGS   (PFN * PAGE)
#define ALIGN   0x200u
#define SIZE    8u
#define AVAIL   (RINGS + 16 * SIZE)
#define USED    (RINGS + 0x200u)
#define DATA    0x8000u

static struct device *dut;

static int map_slot(void *ctx, unsigned wanted, struct device *dev, struct line *irq, paddr_t *base, struct error *err)
{
    const struct region r = {.base = SLOT, .size = 0x200, .kind = REGION_MMIO, .dev = dev, .enabled = true};

    (void)ctx, (void)wanted, (void)err;
    *irq = probe_line(1);
    *base = SLOT;
    memory_map(&m->memory, &r);
    return 0;
}

static int plug(plug_fn *fn, const char *text, struct drive *d, struct error *e)
{
    struct sockets s = {.machine = m, .mmio_slot = map_slot};

    return bench_plug(&s, "dut", fn, text, d, e);
}

static void new_device(plug_fn *fn, bool with_drive)
{
    struct error e;

    new_disk_bench();
    ck_assert_int_eq(plug(fn, "x,force-legacy=on", with_drive ? new_drive("d0", DRIVE_DISK, NULL) : NULL, &e), 0);
    dut = machine_find_device(m, "dut");
    reset_all();
}

static void put(unsigned reg, uint32_t value)
{
    memory_write(&m->memory, SLOT + reg, 4, value);
}

static uint32_t get(unsigned reg)
{
    return (uint32_t)memory_read(&m->memory, SLOT + reg, 4);
}

/* As Linux begins: the page size, a reset, features, queue `n`. */
static void begin(unsigned n, uint32_t features)
{
    put(0x28, PAGE);
    put(0x70, 0);
    put(0x70, 3);
    put(0x24, 0);
    put(0x20, features);
    put(0x30, n);
    put(0x38, SIZE);
    put(0x3c, ALIGN);
    put(0x40, PFN);
    put(0x70, 7);
}

static void piece(unsigned n, paddr_t at, uint32_t len, unsigned flags)
{
    poke64(RINGS + 16 * n, at);
    poke32(RINGS + 16 * n + 8, len);
    poke32(RINGS + 16 * n + 12, flags | (n + 1) << 16);
}

static void offer(unsigned queue)
{
    poke32(AVAIL, (uint32_t)(memory_read(&m->memory, AVAIL + 2, 2) + 1) << 16);
    put(0x50, queue);
    run_for(100 * MS);
}

START_TEST(registers_are_those_of_version_1)
{
    new_device(virtio_blk_mmio_plug, true);
    ck_assert_uint_eq(get(0x00), 0x74726976);
    ck_assert_uint_eq(get(0x04), 1);
    ck_assert_uint_eq(get(0x08), 2);
    ck_assert_uint_eq(get(0x0c), 0x554d4551);
    put(0x14, 0);
    ck_assert_uint_eq(get(0x10) & 3u << 28, 3u << 28);
    ck_assert_uint_eq(get(0x10) >> 27 & 1, 1); /* ANY_LAYOUT */
    put(0x14, 1);
    ck_assert_uint_eq(get(0x10), 0); /* there are 32 */
    put(0x24, 1);
    put(0x20, ~0u);
    put(0x24, 0);
    put(0x20, ~0u);
    put(0x30, 1);
    ck_assert_uint_eq(get(0x34), 0); /* one queue */
    ck_assert_uint_eq(get(0x40), 0);
    put(0x40, 7);
    ck_assert_uint_eq(get(0x40), 0);
    put(0x30, 0);
    ck_assert_uint_eq(get(0x34), 256);
    ck_assert_uint_eq(get(0x40), 0);
    ck_assert_uint_eq(get(0x44), 0); /* nor QueueReady, nor a generation */
    put(0x44, 1);
    put(0x80, 0x1000);
    ck_assert_uint_eq(get(0x44), 0);
    ck_assert_uint_eq(get(0x40), 0);
    ck_assert_uint_eq(get(0xfc), 0);
    ck_assert_uint_eq(get(0xb0), 0);
    ck_assert_uint_eq(memory_read(&m->memory, SLOT + 0x100, 8), DISK_SECTORS);
    put(0x70, 0x0f);
    ck_assert_uint_eq(get(0x70), 0x0f);
}
END_TEST

START_TEST(a_queue_lies_where_its_page_number_says)
{
    new_device(virtio_blk_mmio_plug, true);
    put(0x40, 5);
    ck_assert_uint_eq(get(0x40), 5); /* of 4 KiB, as nothing was said */
    put(0x28, PAGE);
    ck_assert_uint_eq(get(0x40), 5 * 4096 / PAGE);
    put(0x28, 0);
    ck_assert_uint_eq(get(0x40), 5 * 4096 / PAGE);
    put(0x70, 0);
    ck_assert_uint_eq(get(0x40), 0);
    put(0x40, 5);
    put(0x28, 4096);
    ck_assert_uint_eq(get(0x40), 5 * PAGE / 4096); /* the size has stayed over a driver's reset, */
    reset_all();
    put(0x40, 5);
    put(0x28, PAGE);
    ck_assert_uint_eq(get(0x40), 5 * 4096 / PAGE); /* not over the machine's */
    put(0x40, 0);
    ck_assert_uint_eq(get(0x40), 0);
}
END_TEST

START_TEST(a_driver_of_before_virtio_1_reads_a_sector)
{
    new_device(virtio_blk_mmio_plug, true);
    begin(0, 0);
    poke64(DATA, 0);
    poke64(DATA + 8, 3); /* sector */
    piece(0, DATA, 16, 1);
    piece(1, DATA + 0x200, 512, 3);
    piece(2, DATA + 0x400, 1, 2);
    offer(0);
    ck_assert_uint_eq(memory_read(&m->memory, USED + 2, 2), 1);
    ck_assert_uint_eq(peek32(USED + 8), 513);
    ck_assert(holds_image(DATA + 0x200, 3 * 512, 512, 512));
    ck_assert_uint_eq(get(0x60), 1);
    ck_assert(probe[1].level);
    put(0x64, 1);
    ck_assert_uint_eq(get(0x60), 0);
    ck_assert(!probe[1].level);
    put(0x40, 0); /* it is used no more */
    offer(0);
    ck_assert_uint_eq(memory_read(&m->memory, USED + 2, 2), 1);
}
END_TEST

/* The used ring begins at a multiple of QueueAlign. */
START_TEST(rings_are_aligned_as_the_driver_says)
{
    new_device(virtio_blk_mmio_plug, true);
    begin(0, 0);
    put(0x70, 0);
    put(0x38, SIZE);
    put(0x3c, 0x1000);
    put(0x40, PFN);
    put(0x70, 7);
    poke64(DATA, 4);
    piece(0, DATA, 16, 1);
    piece(1, DATA + 0x400, 1, 2);
    poke32(AVAIL, 0);
    offer(0);
    ck_assert_uint_eq(memory_read(&m->memory, RINGS + 0x1000 + 2, 2), 1);
    ck_assert_uint_eq(memory_read(&m->memory, USED + 2, 2), 0);
}
END_TEST

/* Ten bytes before a frame, without a count of buffers; the address can be written. */
START_TEST(a_network_card_has_its_layout_of_then)
{
    static const uint8_t frame[60] = {[0] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [20] = 0x5a};

    new_device(virtio_net_mmio_plug, false);
    memory_write(&m->memory, SLOT + 0x105, 1, 0x77);
    ck_assert_uint_eq(memory_read(&m->memory, SLOT + 0x105, 1), 0x77);
    begin(1, 0);
    poke(DATA + 10, frame, sizeof(frame));
    piece(0, DATA, 10, 1);
    piece(1, DATA + 10, sizeof(frame), 0);
    buffer_clear(&sent);
    offer(1);
    ck_assert_uint_eq(sent.len, sizeof(frame));
    ck_assert_mem_eq(sent.data, frame, sizeof(frame));
    put(0x70, 0);
    begin(0, 0);
    poke32(AVAIL, 0);
    piece(0, DATA, 2048, 2);
    offer(0);
    input(dut, frame, sizeof(frame));
    ck_assert_uint_eq(peek32(USED + 8), 10 + sizeof(frame));
    ck_assert_uint_eq(memory_read(&m->memory, DATA + 10 + 20, 1), 0x5a);
}
END_TEST

START_TEST(packed_rings_are_refused)
{
    struct error e;

    new_disk_bench();
    ck_assert_int_lt(plug(virtio_blk_mmio_plug, "x,packed=on,force-legacy=on", new_drive("d0", DRIVE_DISK, NULL), &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "packed"));
}
END_TEST

static void claims(TCase *tc)
{
    tcase_add_test(tc, registers_are_those_of_version_1);
    tcase_add_test(tc, a_queue_lies_where_its_page_number_says);
    tcase_add_test(tc, a_driver_of_before_virtio_1_reads_a_sector);
    tcase_add_test(tc, rings_are_aligned_as_the_driver_says);
    tcase_add_test(tc, a_network_card_has_its_layout_of_then);
    tcase_add_test(tc, packed_rings_are_refused);
}

CHIP_TESTS("virtio in slots", claims)
