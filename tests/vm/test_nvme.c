/*
 * NVM Express: a driver's way from reset to reads through PRP lists, its errors, and rings at random.
 */
#include "tests/vm/disk_bench.h"

#include "base/option_list.h"
#include "vm/dev/nvme.h"

#define BAR     0x10010000u
#define ADMIN   8u   /* entries */
#define ASQ_AT  0x1000u
#define ACQ_AT  0x2000u
#define SQ_AT   0x3000u
#define CQ_AT   0x4000u
#define LIST_AT 0x5000u
#define DATA_AT 0x20000u

struct sqe {
    uint32_t dw[16];
};

static struct device *nvme;
static struct pci_function *f;
static unsigned tail[2], head[2];

static void reg(unsigned offset, uint32_t value)
{
    memory_write(&m->memory, BAR + offset, 4, value);
}

static uint32_t reg_get(unsigned offset)
{
    return peek32(BAR + offset);
}

static void enable(void)
{
    static const uint8_t zeros[4096];

    poke(ACQ_AT, zeros, sizeof(zeros));
    poke(CQ_AT, zeros, sizeof(zeros));
    reg(0x14, 0);
    reg(0x24, (ADMIN - 1) << 16 | (ADMIN - 1));
    memory_write(&m->memory, BAR + 0x28, 8, ASQ_AT);
    memory_write(&m->memory, BAR + 0x30, 8, ACQ_AT);
    reg(0x14, 0x00460001);
    memset(tail, 0, sizeof(tail));
    memset(head, 0, sizeof(head));
}

static void new_nvme(const struct drive_fault *fault)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", "nvme", "driver", NULL, &e), 0);
    ck_assert_int_eq(nvme_plug(&s, "nvme", PCI_DEVFN(3, 0), new_drive("d0", DRIVE_DISK, fault), &props, &e), 0);
    option_list_finish(&props);
    nvme = machine_find_device(m, "nvme");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, 4, BAR);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    enable();
}

/* Submit on queue 0 or 1, let it be done, return its status. */
static unsigned submit(unsigned queue, struct sqe e)
{
    paddr_t cqe = (queue ? CQ_AT : ACQ_AT) + 16 * head[queue];
    unsigned status;

    e.dw[0] |= 0x77u << 16;
    poke((queue ? SQ_AT : ASQ_AT) + 64 * tail[queue], &e, sizeof(e));
    tail[queue] = (tail[queue] + 1) % ADMIN;
    reg(0x1000 + 8 * queue, tail[queue]);
    run_for(10 * MS);
    ck_assert_uint_eq(peek32(cqe + 12) & 0xffff, 0x77);
    status = peek32(cqe + 12) >> 17;
    head[queue] = (head[queue] + 1) % ADMIN;
    reg(0x1004 + 8 * queue, head[queue]);
    return status & 0x7ff;
}

static unsigned identify(unsigned cns, unsigned nsid)
{
    return submit(0, (struct sqe){{6, nsid, 0, 0, 0, 0, DATA_AT, 0, 0, 0, cns}});
}

static void create_queues(void)
{
    ck_assert_uint_eq(submit(0, (struct sqe){{5, 0, 0, 0, 0, 0, CQ_AT, 0, 0, 0, (ADMIN - 1) << 16 | 1, 1 << 16 | 3}}), 0);
    ck_assert_uint_eq(submit(0, (struct sqe){{1, 0, 0, 0, 0, 0, SQ_AT, 0, 0, 0, (ADMIN - 1) << 16 | 1, 1 << 16 | 1}}), 0);
}

static struct sqe io(unsigned opcode, uint32_t lba, uint32_t blocks, uint32_t prp1, uint32_t prp2)
{
    return (struct sqe){{opcode, 1, 0, 0, 0, 0, prp1, 0, prp2, 0, lba, 0, blocks - 1}};
}

START_TEST(the_controller_becomes_ready_and_tells_what_it_is)
{
    new_nvme(NULL);
    ck_assert_uint_eq(reg_get(0x1c), 1);
    ck_assert_uint_eq(reg_get(0x08), 0x00010400);
    ck_assert_uint_eq(identify(1, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0x1af41b36);
    ck_assert(probe[3].level || head[0] == tail[0]);
    ck_assert_uint_eq(identify(0, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT), DISK_SECTORS);
    ck_assert_uint_eq(peek32(DATA_AT + 128) >> 16 & 0xff, 9);
    ck_assert_uint_eq(identify(0, 7), 0x0b);
    ck_assert_uint_eq(submit(0, (struct sqe){{0x55}}), 0x01);
    reg(0x14, 0);
    ck_assert_uint_eq(reg_get(0x1c), 0);
}
END_TEST

START_TEST(data_go_where_the_prps_say)
{
    new_nvme(NULL);
    create_queues();
    /* One page, from its middle. */
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT + 0x200, 0)), 0);
    ck_assert(holds_image(DATA_AT + 0x200, 9 * 512, 512, 512));
    /* Over two pages. */
    ck_assert_uint_eq(submit(1, io(2, 16, 8, DATA_AT + 0x800, 0x30000)), 0);
    ck_assert(holds_image(DATA_AT + 0x800, 16 * 512, 2048, 512));
    ck_assert(holds_image(0x30000, 16 * 512 + 2048, 2048, 512));
    /* A list: five pages. */
    for (unsigned i = 0; i < 4; i++)
        poke64(LIST_AT + 8 * i, 0x40000 + 0x2000 * i);
    ck_assert_uint_eq(submit(1, io(2, 100, 40, DATA_AT, LIST_AT)), 0);
    ck_assert(holds_image(DATA_AT, 100 * 512, 4096, 512));
    for (unsigned i = 0; i < 4; i++)
        ck_assert(holds_image(0x40000 + 0x2000 * i, 108 * 512 + 4096 * i, 4096, 512));
    /* The list goes on in another page. */
    poke64(LIST_AT + 0xff8, 0x6000);
    poke64(0x6000, 0x50000);
    poke64(0x6008, 0x52000);
    ck_assert_uint_eq(submit(1, io(2, 200, 24, DATA_AT, LIST_AT + 0xff8)), 0);
    ck_assert(holds_image(0x52000, 216 * 512, 4096, 512));
    /* Written and read again. */
    poke32(DATA_AT, 0xcafe);
    ck_assert_uint_eq(submit(1, io(1, 300, 1, DATA_AT, 0)), 0);
    poke32(DATA_AT, 0);
    ck_assert_uint_eq(submit(1, io(2, 300, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0xcafe);
}
END_TEST

START_TEST(watchpoints_see_what_it_moves)
{
    struct drive *d;

    new_nvme(NULL);
    d = drive_find(m, "d0");
    create_queues();
    watch(d, DATA_AT, 9, 1024);
    submit(1, io(2, 9, 2, DATA_AT, 0));
    expect_moved(nvme, true, 1024);
    submit(1, io(1, 9, 2, DATA_AT, 0));
    expect_moved(nvme, false, 1024);
    unwatch();
}
END_TEST

START_TEST(errors_are_those_of_the_specification)
{
    static const struct drive_fault bad = {.first = 50, .count = 1};

    new_nvme(&bad);
    create_queues();
    ck_assert_uint_eq(submit(1, io(2, DISK_SECTORS, 1, DATA_AT, 0)), 0x80);
    ck_assert_uint_eq(submit(1, io(2, 50, 1, DATA_AT, 0)), 0x281);
    ck_assert_uint_eq(submit(1, io(1, 50, 1, DATA_AT, 0)), 0x280);
    ck_assert_uint_eq(submit(1, io(0x7f, 0, 1, DATA_AT, 0)), 0x01);
    ck_assert_uint_eq(submit(0, (struct sqe){{5, 0, 0, 0, 0, 0, CQ_AT, 0, 0, 0, 7 << 16 | 1, 3}}), 0x101);
    ck_assert_uint_eq(submit(0, (struct sqe){{4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}), 0x10c); /* its SQ is there */
    ck_assert_uint_eq(submit(0, (struct sqe){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}), 0);
    ck_assert_uint_eq(submit(0, (struct sqe){{4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}), 0);
}
END_TEST

START_TEST(deallocated_blocks_read_as_zeros)
{
    new_nvme(NULL);
    create_queues();
    poke32(DATA_AT, 0);
    poke32(DATA_AT + 4, 2);
    poke64(DATA_AT + 8, 500);
    ck_assert_uint_eq(submit(1, (struct sqe){{9, 1, 0, 0, 0, 0, DATA_AT, 0, 0, 0, 0, 4}}), 0);
    ck_assert_uint_eq(submit(1, io(2, 501, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
}
END_TEST

/* Data, PRP lists and queues in the controller's own registers, and nowhere. */
START_TEST(prps_in_device_registers_do_no_harm)
{
    static const uint32_t places[] = {BAR, BAR + 0x1000, 0x1fff0000, 0xfffff000};

    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        new_nvme(NULL);
        create_queues();
        submit(1, io(2, 9, 1, places[i], 0));
        submit(1, io(1, 9, 1, places[i], 0));
        submit(1, io(2, 0, 32, DATA_AT, places[i]));
        submit(1, io(1, 0, 32, DATA_AT, places[i]));
        ck_assert(nvme->ops->possible(nvme));
        ck_assert_uint_eq(reg_get(0x1c), 1);
        ck_assert_uint_eq(reg_get(0x08), 0x00010400);
        ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0);
    }
}
END_TEST

START_TEST(nvme_bears_random_rings)
{
    uint64_t rng = (uint64_t)_i * 31337 + 5;

    new_nvme(NULL);
    create_queues();
    for (unsigned i = 0; i < 6000; i++) {
        struct sqe e;
        uint32_t x;

        for (unsigned k = 0; k < 16; k++) {
            rng = rng * 6364136223846793005u + 1442695040888963407u;
            e.dw[k] = (uint32_t)(rng >> 33) >> (rng >> 20 & 31);
        }
        x = (uint32_t)(rng >> 35);
        e.dw[0] &= 0xffff000f;
        if (x & 1) {
            e.dw[1] = 1;
            e.dw[7] = e.dw[9] = e.dw[11] = 0;
        }
        poke((x & 2 ? SQ_AT : ASQ_AT) + 64 * (x >> 4 & 7), &e, sizeof(e));
        if (x & 4)
            poke64(LIST_AT + (x >> 8 & 0xff8), x);
        reg(0x1000 + 4 * (x >> 10 & 7), x >> 14 & 7);
        if (!(x >> 17 & 63))
            reg(x >> 4 & 0x3c, e.dw[5]);
        if (i % 300 == 299) {
            pci_config_write(f, PCI_COMMAND, 2, 6);
            enable();
        }
        run_for(10 * MS);
        ck_assert(nvme->ops->possible(nvme));
    }
}
END_TEST

static void claims(TCase *tc)
{
    ADD(the_controller_becomes_ready_and_tells_what_it_is);
    ADD(data_go_where_the_prps_say);
    ADD(watchpoints_see_what_it_moves);
    ADD(errors_are_those_of_the_specification);
    ADD(deallocated_blocks_read_as_zeros);
    ADD(prps_in_device_registers_do_no_harm);
    tcase_add_loop_test(tc, nvme_bears_random_rings, 0, 6);
}

CHIP_TESTS("nvme", claims)
