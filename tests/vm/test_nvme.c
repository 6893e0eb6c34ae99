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
static uint32_t result; /* of the last command */

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
    result = peek32(cqe);
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
    ck_assert_uint_eq(submit(0, (struct sqe){{5, 0, 0, 0, 0, 0, CQ_AT, 0, 0, 0, (ADMIN - 1) << 16 | 1, 3}}), 0);
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

static unsigned admin(unsigned opcode, uint32_t nsid, uint32_t dw10, uint32_t dw11)
{
    return submit(0, (struct sqe){{opcode, nsid, 0, 0, 0, 0, DATA_AT, 0, 0, 0, dw10, dw11}});
}

START_TEST(registers_are_those_of_version_1_4)
{
    new_nvme(NULL);
    ck_assert_uint_eq(reg_get(0x00), 0x040103ff); /* 1,024 entries in one piece, 2 s */
    ck_assert_uint_eq(reg_get(0x04), 0x00400020); /* doorbells side by side, NVM commands, pages of 4 to 64 KiB */
    ck_assert_uint_eq(reg_get(0x20), 0);          /* no subsystem reset, */
    ck_assert_uint_eq(reg_get(0x38), 0);          /* no controller memory */
    reg(0x0c, 0x5);
    reg(0x10, 0x4);
    ck_assert_uint_eq(reg_get(0x0c), 1);
    ck_assert_uint_eq(reg_get(0x10), 1);
    ck_assert_uint_eq(reg_get(0x24), (ADMIN - 1) << 16 | (ADMIN - 1));
    ck_assert_uint_eq(reg_get(0x28), ASQ_AT);
    ck_assert_uint_eq(reg_get(0x30), ACQ_AT);
    reg(0x14, 0x00464001); /* shut down */
    ck_assert_uint_eq(reg_get(0x1c), 0x9);
    reg(0x14, 0x00460000);
    ck_assert_uint_eq(reg_get(0x1c), 0);
    ck_assert_msg(reg_get(0x14) == 0, "all of CC is as after a reset");
    ck_assert_msg(!reg_get(0x0c), "a controller reset takes the masks, but not the admin queues' places");
    ck_assert_uint_eq(reg_get(0x28), ASQ_AT);
    reg(0x24, 0x0fff0fff); /* admin queues may have 4,096 entries */
    reg(0x14, 0x00460001);
    ck_assert_uint_eq(reg_get(0x1c), 1);
    reg(0x14, 0);
    reg(0x14, 0x00460011); /* a command set that is not there */
    ck_assert_uint_eq(reg_get(0x1c), 2);
}
END_TEST

START_TEST(the_pin_follows_masks_and_heads)
{
    new_nvme(NULL);
    poke32(ASQ_AT, 0x06 | 1 << 16);
    poke32(ASQ_AT + 24, DATA_AT);
    poke32(ASQ_AT + 40, 1);
    reg(0x1000, 1);
    run_for(10 * MS);
    ck_assert(probe[3].level);
    reg(0x0c, 1);
    ck_assert(!probe[3].level);
    reg(0x10, 1);
    ck_assert(probe[3].level);
    pci_config_write(f, f->msix_at + 2u, 2, 0x8000); /* MSI-X takes over, and gives back */
    ck_assert(!probe[3].level);
    pci_config_write(f, f->msix_at + 2u, 2, 0);
    ck_assert(probe[3].level);
    reg(0x1004, 1);
    ck_assert(!probe[3].level);
}
END_TEST

/* A completion queue that is full holds the commands back, and phases turn with each round. */
START_TEST(a_full_completion_queue_waits_for_its_head)
{
    new_nvme(NULL);
    for (unsigned i = 0; i < ADMIN; i++) {
        poke32(ASQ_AT + 64 * i, 0x0a | i << 16);
        poke32(ASQ_AT + 64 * i + 40, 6);
    }
    reg(0x24, 1 << 16 | (ADMIN - 1));
    reg(0x14, 0x00460000);
    reg(0x14, 0x00460001);
    reg(0x1000, 3);
    run_for(10 * MS);
    ck_assert_uint_eq(peek32(ACQ_AT + 12), 1 << 16 | 0);
    ck_assert_uint_eq(peek32(ACQ_AT + 28), 0);
    reg(0x1004, 1);
    run_for(10 * MS);
    ck_assert_uint_eq(peek32(ACQ_AT + 28), 1 << 16 | 1);
    reg(0x1004, 0);
    run_for(10 * MS);
    ck_assert_uint_eq(peek32(ACQ_AT + 12), 2);
}
END_TEST

START_TEST(identify_has_what_is_mandatory)
{
    uint32_t eui[2];

    new_nvme(NULL);
    ck_assert_uint_eq(identify(1, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 80), 0x00010400);
    ck_assert_uint_eq(peek32(DATA_AT + 108) >> 24, 1); /* an I/O controller */
    ck_assert_uint_eq(peek32(DATA_AT + 516), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 520) & 0xffff, 0x9d);
    ck_assert_uint_eq(peek32(DATA_AT + 536), 0); /* no SGLs */
    ck_assert_uint_eq(identify(0, 0xffffffff), 0x0b);
    ck_assert_uint_eq(identify(0, 1), 0);
    eui[0] = peek32(DATA_AT + 120);
    eui[1] = peek32(DATA_AT + 124);
    ck_assert_uint_eq(eui[0] & 3, 2); /* locally administered */
    ck_assert_uint_eq(identify(3, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0x0801);
    ck_assert_uint_eq(peek32(DATA_AT + 4), eui[0]);
    ck_assert_uint_eq(peek32(DATA_AT + 8), eui[1]);
    ck_assert_uint_eq(identify(2, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 1);
    ck_assert_uint_eq(identify(2, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    ck_assert_uint_eq(identify(2, 0xfffffffe), 0x0b);
    ck_assert_uint_eq(identify(0x10, 0), 0x02);
}
END_TEST

START_TEST(features_are_set_got_and_refused)
{
    static const uint8_t known[] = {1, 2, 4, 6, 7, 8, 9, 10, 11}, unknown[] = {0, 3, 12, 13, 14, 15, 16, 0x80};

    new_nvme(NULL);
    for (unsigned i = 0; i < sizeof(known); i++) {
        ck_assert_uint_eq(admin(0x0a, 0, known[i], 0), 0);
        ck_assert_uint_eq(admin(0x0a, 0, known[i] | 3 << 8, 0), 0);
        ck_assert_uint_eq(result, 4);
    }
    for (unsigned i = 0; i < sizeof(unknown); i++) {
        ck_assert_uint_eq(admin(0x0a, 0, unknown[i], 0), 2);
        ck_assert_uint_eq(admin(0x09, 0, unknown[i], 0), 2);
    }
    ck_assert_uint_eq(admin(0x09, 0, 6, 0), 0);
    ck_assert_uint_eq(admin(0x0a, 0, 6, 0), 0);
    ck_assert_uint_eq(result, 0);
    ck_assert_uint_eq(admin(0x0a, 0, 6 | 1 << 8, 0), 0);
    ck_assert_uint_eq(result, 1);
    ck_assert_uint_eq(admin(0x09, 0, 0x80000006, 0), 0x10d);
    ck_assert_uint_eq(admin(0x09, 1, 6, 0), 0x10f);
    ck_assert_uint_eq(admin(0x09, 7, 6, 0), 0x0b);
    ck_assert_uint_eq(admin(0x09, 0, 2, 1), 0x02); /* no other power state */
    ck_assert_uint_eq(admin(0x09, 1, 5, 0x10000), 0x02);
    ck_assert_uint_eq(admin(0x09, 1, 5, 100), 0);
    ck_assert_uint_eq(admin(0x0a, 1, 5, 0), 0);
    ck_assert_uint_eq(result, 100);
    ck_assert_uint_eq(admin(0x09, 0, 4, 1 << 20 | 250), 0);
    ck_assert_uint_eq(admin(0x0a, 0, 4, 1 << 20), 0);
    ck_assert_uint_eq(result, 250);
    ck_assert_uint_eq(admin(0x0a, 0, 4, 0), 0);
    ck_assert_uint_eq(result, 343);
    ck_assert_uint_eq(admin(0x0a, 0, 4, 1 << 16), 2); /* no such sensor */
    ck_assert_uint_eq(admin(0x09, 0, 9, 1 << 16 | 3), 0);
    ck_assert_uint_eq(admin(0x0a, 0, 9, 3), 0);
    ck_assert_uint_eq(result, 1 << 16 | 3);
    ck_assert_uint_eq(admin(0x0a, 0, 9, 9), 2);
    ck_assert_uint_eq(admin(0x09, 0, 7, 0xffff), 2);
    ck_assert_uint_eq(admin(0x09, 0, 7, 0x00200020), 0);
    ck_assert_uint_eq(result, 7 << 16 | 7);
    create_queues();
    ck_assert_uint_eq(admin(0x09, 0, 7, 0), 0x0c); /* too late */
}
END_TEST

START_TEST(queues_are_refused_with_the_status_for_it)
{
    new_nvme(NULL);
    ck_assert_uint_eq(admin(5, 0, 7 << 16, 1), 0x101);
    ck_assert_uint_eq(admin(5, 0, 7 << 16 | 9, 1), 0x101);
    ck_assert_uint_eq(admin(5, 0, 1, 1), 0x102);
    ck_assert_uint_eq(admin(5, 0, 1024 << 16 | 1, 1), 0x102);
    ck_assert_uint_eq(admin(5, 0, 7 << 16 | 1, 9 << 16 | 3), 0x108);
    ck_assert_msg(admin(5, 0, 7 << 16 | 1, 1 << 16 | 3) == 0x108, "other vectors are MSI-X's");
    ck_assert_uint_eq(admin(5, 0, 7 << 16 | 1, 2), 0x02); /* not in one piece */
    ck_assert_uint_eq(submit(0, (struct sqe){{5, 0, 0, 0, 0, 0, CQ_AT + 64, 0, 0, 0, 7 << 16 | 1, 1}}), 0x13);
    ck_assert_uint_eq(admin(1, 0, 7 << 16 | 1, 1 << 16 | 1), 0x100);
    create_queues();
    ck_assert_uint_eq(admin(1, 0, 7 << 16 | 1, 1 << 16 | 1), 0x101);
    ck_assert_uint_eq(admin(1, 0, 7 << 16 | 2, 1), 0x100);
    ck_assert_uint_eq(admin(1, 0, 2, 1 << 16 | 1), 0x102);
    ck_assert_uint_eq(submit(0, (struct sqe){{1, 0, 0, 0, 0, 0, SQ_AT + 64, 0, 0, 0, 7 << 16 | 2, 1 << 16 | 1}}), 0x13);
    ck_assert_uint_eq(admin(0, 0, 0, 0), 0x101);
    ck_assert_uint_eq(admin(0, 0, 2, 0), 0x101);
    ck_assert_uint_eq(admin(4, 0, 0, 0), 0x101);
    reg(0x14, 0);
    enable();
    reg(0x14, 0x00000001); /* without the sizes of entries */
    ck_assert_uint_eq(admin(5, 0, 7 << 16 | 1, 1), 0x102);
}
END_TEST

START_TEST(logs_tell_errors_health_and_firmware)
{
    new_nvme(NULL);
    create_queues();
    ck_assert_uint_eq(submit(1, io(2, 9, 8, DATA_AT, 0)), 0);
    ck_assert_uint_eq(submit(1, io(2, DISK_SECTORS, 1, DATA_AT, 0)), 0x80);
    ck_assert_uint_eq(admin(2, 0xffffffff, 63 << 16 | 1, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 8), 0x77 << 16 | 1);
    ck_assert_uint_eq(peek32(DATA_AT + 12) & 0xffe, 0x80 << 1);
    ck_assert_uint_eq(peek32(DATA_AT + 16), DISK_SECTORS);
    ck_assert_uint_eq(peek32(DATA_AT + 64), 0);
    ck_assert_uint_eq(admin(2, 0xffffffff, 127 << 16 | 2, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT) & 0xffffff, 300 << 8);
    ck_assert_uint_eq(peek32(DATA_AT + 32), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 64), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 176), 1);
    /* A part of it, from byte 64 on. */
    ck_assert_uint_eq(submit(0, (struct sqe){{2, 0, 0, 0, 0, 0, DATA_AT, 0, 0, 0, 2, 0, 64}}), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 1);
    ck_assert_uint_eq(submit(0, (struct sqe){{2, 0, 0, 0, 0, 0, DATA_AT, 0, 0, 0, 2, 0, 516}}), 2);
    ck_assert_uint_eq(submit(0, (struct sqe){{2, 0, 0, 0, 0, 0, DATA_AT, 0, 0, 0, 2, 0, 2}}), 2);
    ck_assert_uint_eq(admin(2, 0, 127 << 16 | 3, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 8), '1' | '.' << 8 | '0' << 16 | ' ' << 24);
    ck_assert_uint_eq(admin(2, 0, 127 << 16 | 0x42, 0), 0x109);
    ck_assert_uint_eq(admin(2, 9, 127 << 16 | 2, 0), 0x0b);
}
END_TEST

/* A request for events, which stays. */
static void await_event(unsigned id)
{
    poke32(ASQ_AT + 64 * tail[0], 0x0c | id << 16);
    tail[0] = (tail[0] + 1) % ADMIN;
    reg(0x1000, tail[0]);
    run_for(10 * MS);
}

/* The next completion, of another command than submit()'s. */
static void expect_completion(unsigned id, unsigned status, uint32_t value)
{
    paddr_t cqe = ACQ_AT + 16 * head[0];

    ck_assert_uint_eq(peek32(cqe + 12) & 0xffff, id);
    ck_assert_uint_eq(peek32(cqe + 12) >> 17 & 0x7ff, status);
    ck_assert_uint_eq(peek32(cqe), value);
    head[0] = (head[0] + 1) % ADMIN;
    reg(0x1004, head[0]);
}

START_TEST(bad_doorbells_are_events)
{
    new_nvme(NULL);
    await_event(0x101);
    await_event(0x102);
    reg(0x1008, 1); /* a queue that is not there */
    expect_completion(0x101, 0, 0x00010000);
    reg(0x1000, ADMIN); /* no such entry: kept back until the log is read */
    run_for(10 * MS);
    ck_assert_uint_eq(peek32(ACQ_AT + 16 * head[0] + 12), 0);
    ck_assert_uint_eq(admin(2, 0, 15 << 16 | 1, 0), 0);
    expect_completion(0x102, 0, 0x00010100);
    ck_assert_uint_eq(reg_get(0x1c), 1);
}
END_TEST

START_TEST(temperature_thresholds_are_events)
{
    new_nvme(NULL);
    await_event(0x101);
    ck_assert_uint_eq(admin(9, 0, 4, 290), 0);
    ck_assert_uint_eq(admin(9, 0, 11, 2), 0); /* only now it is wanted */
    expect_completion(0x101, 0, 0x00020101);
    ck_assert_uint_eq(admin(2, 0, 127 << 16 | 2, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT) & 0xff, 2);
}
END_TEST

START_TEST(requests_for_events_are_limited_and_aborted)
{
    new_nvme(NULL);
    for (unsigned i = 0; i < 4; i++)
        await_event(0x100 + i);
    ck_assert_uint_eq(admin(0x0c, 0, 0, 0), 0x105);
    poke32(ASQ_AT + 64 * tail[0], 0x08 | 0x55 << 16);
    poke32(ASQ_AT + 64 * tail[0] + 40, 0x102 << 16);
    tail[0] = (tail[0] + 1) % ADMIN;
    reg(0x1000, tail[0]);
    run_for(10 * MS);
    expect_completion(0x102, 0x07, 0);
    expect_completion(0x55, 0, 0);
    ck_assert_uint_eq(admin(8, 0, 0x102 << 16, 0), 0);
    ck_assert_uint_eq(result, 1); /* it is gone */
}
END_TEST

START_TEST(blocks_are_compared_verified_zeroed_and_flushed)
{
    static const struct drive_fault bad = {.first = 50, .count = 1};

    new_nvme(&bad);
    create_queues();
    ck_assert_uint_eq(submit(1, io(2, 9, 16, DATA_AT, DATA_AT + 0x1000)), 0);
    ck_assert_uint_eq(submit(1, io(5, 9, 16, DATA_AT, DATA_AT + 0x1000)), 0);
    poke32(DATA_AT + 0x1ffc, 0xdead);
    ck_assert_uint_eq(submit(1, io(5, 9, 16, DATA_AT, DATA_AT + 0x1000)), 0x285);
    ck_assert_uint_eq(submit(1, io(0x0c, 40, 10, 0, 0)), 0);
    ck_assert_uint_eq(submit(1, io(0x0c, 40, 11, 0, 0)), 0x281);
    ck_assert_uint_eq(submit(1, io(0x08, 9, 1, 0, 0)), 0);
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    ck_assert_uint_eq(submit(1, io(0, 0, 1, 0, 0)), 0);
    ck_assert_uint_eq(submit(1, (struct sqe){{0, 0xffffffff}}), 0);
    ck_assert_uint_eq(submit(1, (struct sqe){{0, 2}}), 0x0b);
    ck_assert_uint_eq(submit(1, (struct sqe){{2, 0xffffffff}}), 0x0b);
    ck_assert_uint_eq(submit(1, io(2, 0, 1025, DATA_AT, LIST_AT)), 0x02); /* more than 512 KiB */
    drive_find(m, "d0")->c.read_only = true;
    ck_assert_uint_eq(submit(1, io(1, 9, 1, DATA_AT, 0)), 0x182);
    ck_assert_uint_eq(submit(1, io(8, 9, 1, DATA_AT, 0)), 0x182);
}
END_TEST

START_TEST(prps_that_are_not_of_whole_pages_are_refused)
{
    struct sqe e = io(2, 9, 1, DATA_AT, 0);

    new_nvme(NULL);
    create_queues();
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT + 2, 0)), 0x13);
    ck_assert_uint_eq(submit(1, io(2, 9, 16, DATA_AT, 0x30004)), 0x13);
    ck_assert_uint_eq(submit(1, io(2, 9, 24, DATA_AT, LIST_AT + 4)), 0x13);
    poke64(LIST_AT, 0x40000);
    poke64(LIST_AT + 8, 0x41200);
    ck_assert_uint_eq(submit(1, io(2, 9, 24, DATA_AT, LIST_AT)), 0x13);
    poke64(LIST_AT + 0xff8, 0x6008); /* where the list goes on */
    ck_assert_uint_eq(submit(1, io(2, 9, 24, DATA_AT, LIST_AT + 0xff8)), 0x13);
    ck_assert_msg(submit(1, io(2, 9, 8, DATA_AT, 0x30004)) == 0, "PRP 2 is not looked at");
    e.dw[0] |= 1 << 8;
    ck_assert_uint_eq(submit(1, e), 0x02); /* fused */
    e.dw[0] = 2 | 1 << 14;
    ck_assert_uint_eq(submit(1, e), 0x02); /* an SGL */
}
END_TEST

START_TEST(messages_come_by_the_queues_vector)
{
    new_nvme(NULL);
    pci_config_write(f, f->msix_at + 2u, 2, 0x8000);
    reg(0x2030, MESSAGES_AT);
    reg(0x2038, 0x4242);
    reg(0x203c, 0);
    ck_assert_uint_eq(submit(0, (struct sqe){{5, 0, 0, 0, 0, 0, CQ_AT, 0, 0, 0, (ADMIN - 1) << 16 | 1, 3 << 16 | 3}}), 0);
    ck_assert_uint_eq(submit(0, (struct sqe){{1, 0, 0, 0, 0, 0, SQ_AT, 0, 0, 0, (ADMIN - 1) << 16 | 1, 1 << 16 | 1}}), 0);
    ck_assert_uint_eq(bench_messages, 0);
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(bench_message, 0x4242);
    reg(0x203c, 1); /* masked: it waits */
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(bench_messages, 1);
    ck_assert_uint_eq(reg_get(0x3000) & 1 << 3, 1 << 3);
    reg(0x203c, 0);
    ck_assert_uint_eq(bench_messages, 2);
    ck_assert(!probe[3].level);
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
    ADD(registers_are_those_of_version_1_4);
    ADD(the_pin_follows_masks_and_heads);
    ADD(a_full_completion_queue_waits_for_its_head);
    ADD(identify_has_what_is_mandatory);
    ADD(features_are_set_got_and_refused);
    ADD(queues_are_refused_with_the_status_for_it);
    ADD(logs_tell_errors_health_and_firmware);
    ADD(bad_doorbells_are_events);
    ADD(temperature_thresholds_are_events);
    ADD(requests_for_events_are_limited_and_aborted);
    ADD(blocks_are_compared_verified_zeroed_and_flushed);
    ADD(prps_that_are_not_of_whole_pages_are_refused);
    ADD(messages_come_by_the_queues_vector);
    ADD(deallocated_blocks_read_as_zeros);
    ADD(prps_in_device_registers_do_no_harm);
    tcase_add_loop_test(tc, nvme_bears_random_rings, 0, 6);
}

CHIP_TESTS("nvme", claims)
