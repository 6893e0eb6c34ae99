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

static void new_nvme_with(const char *text, const struct drive_fault *fault)
{
    struct sockets s = {.pci = &bench_bus};
    struct option_list props;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, &e), 0);
    ck_assert_int_eq(nvme_plug(&s, "nvme", PCI_DEVFN(3, 0), new_drive("d0", DRIVE_DISK, fault), &props, &e), 0);
    option_list_finish(&props);
    nvme = machine_find_device(m, "nvme");
    reset_all();
    f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(f, 0x10, 4, BAR);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    enable();
}

static void new_nvme(const struct drive_fault *fault)
{
    new_nvme_with("nvme", fault);
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
    reg(0x14, 0);
    reg(0x14, 0x00460801); /* an arbitration that is not there */
    ck_assert_uint_eq(reg_get(0x1c), 2);
    reg(0x14, 0);
    reg(0x14, 0x00460081); /* queues in the middle of pages of 8 KiB */
    ck_assert_uint_eq(reg_get(0x1c), 2);
    reg(0x14, 0);
    enable();
    pci_config_write(f, PCI_COMMAND, 2, 2); /* no way to memory */
    reg(0x1000, 1);
    run_for(10 * MS);
    ck_assert_uint_eq(reg_get(0x1c), 3);
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
    ck_assert_uint_eq(peek32(DATA_AT + 256) & 0xffff, 0x12);   /* formatting, self-tests */
    ck_assert_uint_eq(peek32(DATA_AT + 520) & 0xffff, 0x1df);  /* all but reservations */
    ck_assert_uint_eq(peek32(DATA_AT + 534 - 2) >> 16, 1);     /* copies of format 0 */
    ck_assert_uint_eq(peek32(DATA_AT + 328), 7);               /* each way to sanitize */
    ck_assert_uint_eq(peek32(DATA_AT + 316), 1 << 16 | 1);     /* a minute; one self-test at a time */
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
    ck_assert_uint_eq(identify(0x10, 0), 0); /* namespaces that are allocated are those that are active */
    ck_assert_uint_eq(peek32(DATA_AT), 1);
    ck_assert_uint_eq(identify(0x10, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    ck_assert_uint_eq(identify(0x11, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT), DISK_SECTORS);
    ck_assert_uint_eq(peek32(DATA_AT + 72) >> 16, 1024); /* blocks of a range of a copy, of all; ranges */
    ck_assert_uint_eq(peek32(DATA_AT + 76), 8192);
    ck_assert_uint_eq(peek32(DATA_AT + 80) & 0xff, 127);
    ck_assert_uint_eq(peek32(DATA_AT + 32) & 0xff, 0x80);
    ck_assert_uint_eq(identify(0x11, 2), 0x0b);
    ck_assert_uint_eq(identify(0x12, 1), 0); /* controllers: number 0 */
    ck_assert_uint_eq(peek32(DATA_AT), 1);
    ck_assert_uint_eq(identify(0x13 | 1 << 16, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    ck_assert_uint_eq(identify(0x12, 2), 0x0b);
    ck_assert_uint_eq(identify(0x14, 0), 0x02);
}
END_TEST

START_TEST(properties_show_in_identify)
{
    new_nvme_with("nvme,serial=S1,physical_block_size=8192", NULL);
    ck_assert_uint_eq(identify(1, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4), 'S' | '1' << 8 | ' ' << 16 | ' ' << 24);
    ck_assert_uint_eq(identify(0, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 24) & 0x10, 0x10);
    ck_assert_uint_eq(peek32(DATA_AT + 64), 15 << 16 | 15);
    ck_assert_uint_eq(peek32(DATA_AT + 72) & 0xffff, 15);
}
END_TEST

/* What an older layout had is there, and the controller goes on. */
START_TEST(a_state_of_the_first_layout_is_upgraded)
{
    static uint8_t old[8192];
    size_t len = 0, size;

    new_nvme(NULL);
    create_queues();
    size = nvme->ops->state_size;
    ck_assert_uint_le(size, sizeof(old));
    memcpy(old, nvme->state, size);
    memset(nvme->state, 0xa5, size);
    while (len < size && !nvme->ops->upgrade(nvme, 1, old, len))
        len++;
    ck_assert_uint_lt(len, size);
    ck_assert(nvme->ops->possible(nvme));
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(admin(0x0a, 0, 4 | 2 << 8, 0), 0);
    ck_assert_uint_eq(result, 343);
}
END_TEST

START_TEST(features_are_set_got_and_refused)
{
    static const uint8_t known[] = {1, 2, 4, 6, 7, 8, 9, 10, 11}, unknown[] = {0, 3, 12, 13, 15, 16, 0x80};

    new_nvme(NULL);
    for (unsigned i = 0; i < sizeof(known); i++) {
        ck_assert_uint_eq(admin(0x0a, 0, known[i], 0), 0);
        ck_assert_uint_eq(admin(0x0a, 0, known[i] | 3 << 8, 0), 0);
        ck_assert_uint_eq(result, known[i] == 7 || known[i] == 9 ? 4 : 5); /* what is not of one run can be saved */
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
    ck_assert_uint_eq(admin(0x09, 0, 0x80000007, 0x00010001), 0x10d);
    ck_assert_uint_eq(admin(0x09, 0, 0x80000009, 0), 0x10d);
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

START_TEST(features_are_saved_for_resets)
{
    new_nvme(NULL);
    ck_assert_uint_eq(admin(0x09, 0, 6, 0), 0);
    ck_assert_uint_eq(admin(0x09, 0, 0x80000008, 0x0204), 0);
    ck_assert_uint_eq(admin(0x09, 0, 0x80000004, 1 << 20 | 250), 0);
    ck_assert_uint_eq(admin(0x0a, 0, 6 | 2 << 8, 0), 0);
    ck_assert_msg(result == 1, "it was not saved");
    enable();
    ck_assert_uint_eq(admin(0x0a, 0, 6, 0), 0);
    ck_assert_uint_eq(result, 1);
    ck_assert_uint_eq(admin(0x0a, 0, 8, 0), 0);
    ck_assert_uint_eq(result, 0x0204);
    ck_assert_uint_eq(admin(0x0a, 0, 8 | 1 << 8, 0), 0);
    ck_assert_uint_eq(result, 0);
    ck_assert_uint_eq(admin(0x0a, 0, 4 | 2 << 8, 1 << 20), 0);
    ck_assert_uint_eq(result, 250);
    reset_all();
    pci_config_write(f, 0x10, 4, BAR);
    pci_config_write(f, PCI_COMMAND, 2, 6);
    enable();
    ck_assert_uint_eq(admin(0x0a, 0, 8, 0), 0);
    ck_assert_uint_eq(result, 0x0204);
}
END_TEST

START_TEST(the_timestamp_goes_on_from_what_was_set)
{
    new_nvme(NULL);
    ck_assert_uint_eq(admin(0x0a, 0, 14 | 3 << 8, 0), 0);
    ck_assert_uint_eq(result, 4);
    poke64(DATA_AT, 0x123456789000);
    ck_assert_uint_eq(admin(0x09, 0, 14, 0), 0);
    run_for(1000 * MS);
    ck_assert_uint_eq(admin(0x0a, 0, 14, 0), 0);
    ck_assert_uint_ge(peek32(DATA_AT), 0x56789000 + 1000);
    ck_assert_uint_lt(peek32(DATA_AT), 0x56789000 + 1100);
    ck_assert_uint_eq(peek32(DATA_AT + 4), 0x00021234); /* the host has set it */
    enable();
    ck_assert_uint_eq(admin(0x0a, 0, 14, 0), 0);
    ck_assert_uint_lt(peek32(DATA_AT), 100);
    ck_assert_uint_eq(peek32(DATA_AT + 4), 0);
}
END_TEST

START_TEST(effects_of_commands_and_changed_namespaces_are_told)
{
    new_nvme(NULL);
    ck_assert_uint_eq(submit(0, (struct sqe){{2, 0, 0, 0, 0, 0, DATA_AT, 0, 0, 0, 1023 << 16 | 5}}), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4 * 6), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 4 * 3), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4 * 0x80), 0x10003);
    ck_assert_uint_eq(peek32(DATA_AT + 1024 + 4 * 1), 3);
    ck_assert_uint_eq(peek32(DATA_AT + 1024 + 4 * 2), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 1024 + 4 * 0x19), 3);
    ck_assert_uint_eq(submit(0, (struct sqe){{2, 0, 0, 0, 0, 0, DATA_AT, 0, 0, 0, 1023 << 16 | 4}}), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
}
END_TEST

/* A flush, which nobody waits for. */
static void flush_later(void)
{
    struct sqe e = io(0, 0, 1, 0, 0);

    poke(SQ_AT + 64 * tail[1], &e, sizeof(e));
    tail[1] = (tail[1] + 1) % ADMIN;
    reg(0x1008, tail[1]);
    run_for(MS);
}

/* Interrupts of I/O queues come when enough has come, or after a time; the admin queue's at once. */
START_TEST(interrupts_are_coalesced)
{
    new_nvme(NULL);
    create_queues();
    ck_assert_uint_eq(admin(0x09, 0, 8, 100 << 8 | 2), 0); /* three, or 10 ms */
    ck_assert(!probe[3].level);
    for (unsigned i = 0; i < 3; i++) {
        flush_later();
        ck_assert_uint_eq(peek32(CQ_AT + 16 * i + 12), 1 << 16);
        ck_assert_int_eq(probe[3].level, i == 2);
    }
    reg(0x100c, 3);
    ck_assert(!probe[3].level);
    flush_later();
    run_for(5 * MS);
    ck_assert_uint_eq(peek32(CQ_AT + 16 * 3 + 12), 1 << 16);
    ck_assert(!probe[3].level);
    run_for(6 * MS);
    ck_assert_msg(probe[3].level, "the time is over");
    reg(0x100c, 4);
    head[1] = 4;
    ck_assert_uint_eq(admin(0x09, 0, 9, 1 << 16), 0); /* not of vector 0 */
    flush_later();
    ck_assert(probe[3].level);
}
END_TEST

START_TEST(blocks_marked_uncorrectable_cannot_be_read_until_written)
{
    new_nvme(NULL);
    create_queues();
    ck_assert_uint_eq(submit(1, io(4, 100, 4, 0, 0)), 0);
    ck_assert_uint_eq(submit(1, io(2, 99, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(submit(1, io(2, 99, 2, DATA_AT, 0)), 0x281);
    ck_assert_uint_eq(submit(1, io(5, 103, 1, DATA_AT, 0)), 0x281);
    ck_assert_uint_eq(submit(1, io(0x0c, 96, 8, 0, 0)), 0x281);
    ck_assert_uint_eq(submit(1, io(2, 104, 1, DATA_AT, 0)), 0);
    enable(); /* resets change nothing */
    create_queues();
    ck_assert_uint_eq(submit(1, io(2, 100, 1, DATA_AT, 0)), 0x281);
    ck_assert_uint_eq(submit(1, io(1, 100, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(submit(1, io(2, 100, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(submit(1, io(8, 101, 1, 0, 0)), 0);
    ck_assert_uint_eq(submit(1, io(2, 101, 1, DATA_AT, 0)), 0);
    poke32(DATA_AT, 0);
    poke32(DATA_AT + 4, 1);
    poke64(DATA_AT + 8, 102);
    ck_assert_uint_eq(submit(1, (struct sqe){{9, 1, 0, 0, 0, 0, DATA_AT, 0, 0, 0, 0, 4}}), 0);
    ck_assert_uint_eq(submit(1, io(2, 102, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(submit(1, io(2, 103, 1, DATA_AT, 0)), 0x281);
    ck_assert_uint_eq(submit(1, io(4, DISK_SECTORS - 1, 2, 0, 0)), 0x80);
    drive_find(m, "d0")->c.read_only = true;
    ck_assert_uint_eq(submit(1, io(4, 9, 1, 0, 0)), 0x182);
}
END_TEST

/* Copy `count` ranges that were put to DATA_AT. */
static unsigned copy(uint32_t to, unsigned count)
{
    return submit(1, (struct sqe){{0x19, 1, 0, 0, 0, 0, DATA_AT, 0, 0, 0, to, 0, count - 1}});
}

static void copy_range(unsigned i, uint32_t lba, uint32_t blocks)
{
    static const uint8_t zeros[32];

    poke(DATA_AT + 32 * i, zeros, sizeof(zeros));
    poke64(DATA_AT + 32 * i + 8, lba);
    poke32(DATA_AT + 32 * i + 16, blocks - 1);
}

/* Do blocks from `at` on hold what those from `lba` on did? */
static bool copied(uint32_t at, uint32_t lba, unsigned blocks)
{
    ck_assert_uint_eq(submit(1, io(2, at, blocks, 0x40000, blocks > 8 ? 0x41000 : 0)), 0);
    return holds_image(0x40000, lba * 512, blocks * 512, 512);
}

START_TEST(blocks_are_copied)
{
    new_nvme(NULL);
    create_queues();
    copy_range(0, 10, 3);
    copy_range(1, 50, 12);
    ck_assert_uint_eq(copy(1000, 2), 0);
    ck_assert(copied(1000, 10, 3) && copied(1003, 50, 12) && copied(1015, 1015, 1));
    copy_range(0, 200, 16); /* onto itself: up, and down */
    ck_assert_uint_eq(copy(204, 1), 0);
    ck_assert(copied(204, 200, 16));
    copy_range(0, 304, 16);
    ck_assert_uint_eq(copy(300, 1), 0);
    ck_assert(copied(300, 304, 16));
    ck_assert_uint_eq(submit(1, io(4, 400, 1, 0, 0)), 0);
    copy_range(0, 399, 2);
    ck_assert_uint_eq(copy(500, 1), 0x281);
    copy_range(0, 500, 2);
    ck_assert_uint_eq(copy(400, 1), 0);
    ck_assert(copied(400, 500, 2));
    copy_range(0, DISK_SECTORS - 1, 2);
    ck_assert_uint_eq(copy(0, 1), 0x80);
    copy_range(0, 0, 2);
    ck_assert_uint_eq(copy(DISK_SECTORS - 1, 1), 0x80);
    copy_range(0, 0, 1025);
    ck_assert_uint_eq(copy(0, 1), 0x183);
    ck_assert_uint_eq(copy(0, 129), 0x183);
    for (unsigned i = 0; i < 9; i++)
        copy_range(i, 0, 1024);
    ck_assert_uint_eq(copy(0, 9), 0x183);
    ck_assert_uint_eq(submit(1, (struct sqe){{0x19, 1, 0, 0, 0, 0, DATA_AT, 0, 0, 0, 0, 0, 1 << 8}}), 2); /* another format */
    drive_find(m, "d0")->c.read_only = true;
    copy_range(0, 0, 2);
    ck_assert_uint_eq(copy(10, 1), 0x182);
}
END_TEST

/* A drive on which nothing is quick: each operation takes a second. */
static void slow(void)
{
    drive_find(m, "d0")->c.latency_ns = 1000 * (uint64_t)MS;
}

static unsigned test_log(void)
{
    return admin(2, 0xffffffff, 140 << 16 | 6, 0);
}

START_TEST(self_tests_take_time_and_leave_results)
{
    static const struct drive_fault bad = {.first = 50, .count = 1};

    new_nvme(&bad);
    slow();
    ck_assert_uint_eq(test_log(), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4) & 0xff, 0x0f);
    ck_assert_uint_eq(admin(0x14, 0, 1, 0), 0); /* of the controller alone */
    ck_assert_uint_eq(admin(0x14, 0, 2, 0), 0x11d);
    run_for(500 * MS);
    ck_assert_uint_eq(test_log(), 0);
    ck_assert_uint_eq(peek32(DATA_AT) & 0xff, 1);
    ck_assert_uint_ge(peek32(DATA_AT) >> 8 & 0x7f, 50);
    ck_assert_uint_lt(peek32(DATA_AT) >> 8 & 0x7f, 60);
    run_for(500 * MS);
    ck_assert_uint_eq(test_log(), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4), 0x00010010);
    ck_assert_uint_eq(admin(0x14, 1, 2, 0), 0); /* it finds what is bad, and a reset is no matter */
    enable();
    run_for(1100 * MS);
    ck_assert_uint_eq(test_log(), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4), 0x000f0227);
    ck_assert_uint_eq(peek32(DATA_AT + 16), 1);
    ck_assert_uint_eq(peek32(DATA_AT + 20), 50);
    ck_assert_uint_eq(peek32(DATA_AT + 28) & 0xffff, 0x8102);
    ck_assert_uint_eq(peek32(DATA_AT + 32) & 0xff, 0x10);
    ck_assert_uint_eq(admin(0x14, 0xffffffff, 1, 0), 0); /* a short one is */
    enable();
    ck_assert_uint_eq(test_log(), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4) & 0xff, 0x12);
    ck_assert_uint_eq(admin(0x14, 1, 2, 0), 0);
    ck_assert_uint_eq(admin(0x14, 1, 15, 0), 0);
    ck_assert_uint_eq(admin(0x14, 1, 15, 0), 0); /* there is none any more */
    ck_assert_uint_eq(test_log(), 0);
    ck_assert_uint_eq(peek32(DATA_AT) & 0xff, 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4) & 0xff, 0x21);
    ck_assert_uint_eq(peek32(DATA_AT + 32) & 0xff, 0x12);
    ck_assert_uint_eq(admin(0x14, 1, 3, 0), 2);
    ck_assert_uint_eq(admin(0x14, 2, 1, 0), 0x0b);
}
END_TEST

/* Submit a command that goes on; expect_completion() is of its end. */
static void submit_long(unsigned opcode, unsigned id, uint32_t dw10)
{
    struct sqe e = {{opcode | id << 16, 1, [10] = dw10}};

    poke(ASQ_AT + 64 * tail[0], &e, sizeof(e));
    tail[0] = (tail[0] + 1) % ADMIN;
    reg(0x1000, tail[0]);
    run_for(10 * MS);
}

START_TEST(formatting_erases_all_in_its_time)
{
    static const struct drive_fault bad = {.first = 50, .count = 2};

    new_nvme(&bad);
    create_queues();
    ck_assert_uint_eq(submit(1, io(4, 100, 1, 0, 0)), 0);
    slow();
    ck_assert_uint_eq(admin(0x14, 1, 2, 0), 0);
    submit_long(0x80, 0x501, 1 << 9);
    ck_assert_uint_eq(peek32(ACQ_AT + 16 * head[0] + 12) & 0xffff, 0); /* it takes its second */
    drive_find(m, "d0")->c.latency_ns = 0;
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0x84);
    ck_assert_uint_eq(submit(1, io(0, 0, 1, 0, 0)), 0);
    ck_assert_uint_eq(admin(0x80, 1, 0, 0), 0x84);
    ck_assert_uint_eq(admin(0x84, 0, 2, 0), 0x84);
    ck_assert_uint_eq(identify(0, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 32) & 0xff, 0x80 | 100);
    ck_assert_uint_eq(test_log(), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4) & 0xff, 0x24);
    run_for(1000 * MS);
    expect_completion(0x501, 0, 0);
    ck_assert_uint_eq(identify(0, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 32) & 0xff, 0x80);
    for (unsigned lba = 0; lba < DISK_SECTORS; lba += lba == 40 ? 20 : 1) {
        poke32(DATA_AT, 1);
        ck_assert_uint_eq(submit(1, io(2, lba, 1, DATA_AT, 0)), 0);
        ck_assert_uint_eq(peek32(DATA_AT), 0);
    }
    ck_assert_uint_eq(submit(1, io(2, 51, 1, DATA_AT, 0)), 0x281);
    ck_assert_uint_eq(admin(0x80, 1, 2, 0), 0x10a);      /* blocks of two sizes, */
    ck_assert_uint_eq(admin(0x80, 1, 1 << 5, 0), 0x10a); /* no protection information */
    ck_assert_uint_eq(admin(0x80, 1, 3 << 9, 0), 2);
    ck_assert_uint_eq(admin(0x80, 0, 0, 0), 0x0b);
    drive_find(m, "d0")->c.read_only = true;
    ck_assert_uint_eq(admin(0x80, 1, 0, 0), 0x182);
}
END_TEST

START_TEST(a_namespace_is_formatted_to_blocks_of_4_kib)
{
    new_nvme(NULL);
    create_queues();
    ck_assert_uint_eq(identify(0, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 24) >> 8 & 0xffff, 1);     /* two formats, the first is in use */
    ck_assert_uint_eq(peek32(DATA_AT + 128) >> 16 & 0xff, 9);
    ck_assert_uint_eq(peek32(DATA_AT + 132) >> 16 & 0xff, 12);
    ck_assert_uint_eq(submit(1, io(4, 100, 1, 0, 0)), 0);
    ck_assert_uint_eq(admin(0x80, 1, 1 | 2 << 9, 0), 0);          /* erased cryptographically */
    ck_assert_uint_eq(identify(0, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 24) >> 8 & 0xffff, 0x101);
    ck_assert_uint_eq(peek32(DATA_AT), DISK_SECTORS / 8);
    ck_assert_uint_eq(submit(1, io(2, DISK_SECTORS / 8, 1, DATA_AT, 0)), 0x80);
    for (unsigned i = 0; i < 4096; i += 4)
        poke32(DATA_AT + i, 0x1000 + i);
    ck_assert_uint_eq(submit(1, io(1, 12, 1, DATA_AT, 0)), 0);    /* which was marked as uncorrectable */
    poke32(DATA_AT + 4092, 0);
    ck_assert_uint_eq(submit(1, io(2, 12, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 4092), 0x1000 + 4092);
    ck_assert_uint_eq(submit(1, io(4, 511, 1, 0, 0)), 0);
    ck_assert_uint_eq(submit(1, io(2, 511, 1, DATA_AT, 0)), 0x281);
    ck_assert(nvme->ops->possible(nvme));
    ck_assert_uint_eq(admin(0x80, 1, 0, 0), 0);                   /* and back */
    ck_assert_uint_eq(identify(0, 1), 0);
    ck_assert_uint_eq(peek32(DATA_AT), DISK_SECTORS);
    poke32(DATA_AT, 1);
    ck_assert_uint_eq(submit(1, io(2, 96, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    ck_assert_uint_eq(submit(1, io(2, 511, 1, DATA_AT, 0)), 0);
}
END_TEST

/* A completion queue that is full when the namespace is formatted has it told later; a reset ends it. */
START_TEST(formatting_ends_when_there_is_room_and_with_a_reset)
{
    new_nvme(NULL);
    create_queues();
    slow();
    submit_long(0x80, 0x501, 0);
    for (unsigned i = 0; i < ADMIN - 1; i++)
        submit_long(0x0a, 0x600 + i, 6);
    run_for(2000 * MS);
    for (unsigned i = 0; i < ADMIN - 1; i++)
        expect_completion(0x600 + i, 0, 1);
    expect_completion(0x501, 0, 0);
    submit_long(0x80, 0x502, 0);
    enable();
    create_queues();
    run_for(2000 * MS);
    ck_assert_uint_eq(peek32(ACQ_AT + 16 * head[0] + 12), 0);
    drive_find(m, "d0")->c.latency_ns = 0;
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0);
}
END_TEST

START_TEST(sanitizing_goes_on_over_resets_and_is_an_event)
{
    new_nvme(NULL);
    create_queues();
    ck_assert_uint_eq(admin(2, 0, 127 << 16 | 0x81, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0xffff);
    slow();
    ck_assert_uint_eq(admin(0x84, 0, 5, 0), 2);
    ck_assert_uint_eq(admin(0x84, 0, 1, 0), 0);
    ck_assert_uint_eq(admin(0x84, 0, 2, 0), 0);
    ck_assert_uint_eq(admin(0x84, 0, 2, 0), 0x1d);
    ck_assert_uint_eq(admin(0x80, 1, 0, 0), 0x1d);
    ck_assert_uint_eq(admin(0x14, 1, 1, 0), 0x1d);
    ck_assert_uint_eq(admin(2, 0, 127 << 16 | 0x81, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 2 << 16);
    ck_assert_uint_eq(peek32(DATA_AT + 4), 2);
    enable();
    drive_find(m, "d0")->c.latency_ns = 0;
    create_queues();
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0x1d);
    await_event(0x101);
    run_for(1000 * MS);
    expect_completion(0x101, 0, 0x00810106);
    ck_assert_uint_eq(admin(2, 0, 127 << 16 | 0x81, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0x0101ffff);
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0);
    ck_assert_uint_eq(submit(1, io(1, 9, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(admin(2, 0, 127 << 16 | 0x81, 0), 0);
    ck_assert_msg(peek32(DATA_AT) == 0x0001ffff, "not all is erased any more");
}
END_TEST

/* Sanitize with these words; the states on the way, and what is on the disk then. */
static void sanitize(uint32_t dw10, uint32_t dw11, unsigned passes, uint32_t leaves)
{
    unsigned seen = 0, before = 0;

    poke32(DATA_AT, 0x12345678);
    ck_assert_uint_eq(submit(1, io(1, 9, 1, DATA_AT, 0)), 0);
    drive_find(m, "d0")->c.latency_ns = 100 * (uint64_t)MS;
    ck_assert_uint_eq(admin(0x84, 0, dw10, dw11), 0);
    for (unsigned tries = 0; tries < 1000; tries++) {
        ck_assert_uint_eq(admin(2, 0, 127 << 16 | 0x81, 0), 0);
        if ((peek32(DATA_AT) >> 16 & 7) != 2)
            break;
        ck_assert_uint_eq(peek32(DATA_AT + 4), dw10);
        ck_assert_uint_ge(peek32(DATA_AT) & 0xffff, before);
        before = peek32(DATA_AT) & 0xffff;
        seen |= 1u << (peek32(DATA_AT) >> 19 & 31);
        run_for(MS);
    }
    ck_assert_uint_eq(peek32(DATA_AT), 0x0101ffff | passes << 19);
    ck_assert_uint_eq(seen, passes ? (1u << passes) - 1 : 1); /* each of the passes */
    drive_find(m, "d0")->c.latency_ns = 0;
    for (unsigned lba = 0; lba < 20; lba += 9) {
        ck_assert_uint_eq(submit(1, io(2, lba, 1, DATA_AT, 0)), 0);
        ck_assert_uint_eq(peek32(DATA_AT), leaves);
        ck_assert_uint_eq(peek32(DATA_AT + 508), leaves);
    }
}

START_TEST(sanitizing_overwrites_in_passes_and_forgets_keys)
{
    new_nvme(NULL);
    create_queues();
    ck_assert_uint_eq(identify(0, 1), 0);
    ck_assert_uint_eq(admin(6, 0, 1, 0), 0);
    ck_assert_uint_eq(peek32(DATA_AT + 328), 7);
    sanitize(4, 0xa5a5a5a5, 0, 0);                       /* the key is another */
    sanitize(3 | 3 << 4 | 1 << 9, 0xa5a5a5a5, 3, 0xa5a5a5a5);
    sanitize(3 | 2 << 4 | 3 << 8, 0x01020304, 2, 0x01020304); /* inverted between passes: the last is the pattern */
    sanitize(3 | 0 << 4 | 1 << 9, 0xffffffff, 16, 0xffffffff);
    sanitize(3 | 1 << 4, 0xffffffff, 1, 0);              /* deallocated */
    sanitize(2, 0, 0, 0);
    ck_assert_uint_eq(admin(0x84, 0, 0, 0), 2);
    ck_assert_uint_eq(admin(0x84, 0, 7, 0), 2);
}
END_TEST

/* Overwriting goes on over a reset with its pattern. */
START_TEST(overwriting_goes_on_over_resets)
{
    new_nvme(NULL);
    create_queues();
    slow();
    ck_assert_uint_eq(admin(0x84, 0, 3 | 2 << 4 | 1 << 9, 0xcafe1234), 0);
    run_for(1);
    enable();
    create_queues();
    drive_find(m, "d0")->c.latency_ns = 0;
    run_for(3000 * MS);
    ck_assert_uint_eq(submit(1, io(2, 9, 1, DATA_AT, 0)), 0);
    ck_assert_uint_eq(peek32(DATA_AT), 0xcafe1234);
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
        e.dw[0] &= x & 8 ? 0xffff009f : 0xffff000f;
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
    ADD(features_are_saved_for_resets);
    ADD(the_timestamp_goes_on_from_what_was_set);
    ADD(effects_of_commands_and_changed_namespaces_are_told);
    ADD(interrupts_are_coalesced);
    ADD(blocks_marked_uncorrectable_cannot_be_read_until_written);
    ADD(blocks_are_copied);
    ADD(self_tests_take_time_and_leave_results);
    ADD(formatting_erases_all_in_its_time);
    ADD(formatting_ends_when_there_is_room_and_with_a_reset);
    ADD(sanitizing_goes_on_over_resets_and_is_an_event);
    ADD(sanitizing_overwrites_in_passes_and_forgets_keys);
    ADD(overwriting_goes_on_over_resets);
    ADD(properties_show_in_identify);
    ADD(a_state_of_the_first_layout_is_upgraded);
    ADD(prps_in_device_registers_do_no_harm);
    ADD(a_namespace_is_formatted_to_blocks_of_4_kib);
    tcase_add_loop_test(tc, nvme_bears_random_rings, 0, 6);
}

CHIP_TESTS("nvme", claims)
