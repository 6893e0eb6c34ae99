/*
 * A bench for controllers of disks: RAM from 0 on, a PCI bus with windows for memory and ports, drives over images in
 * memory. Sector n of an image begins with n in four bytes, then noise.
 */
#ifndef HINDCAST_TESTS_DISK_BENCH_H
#define HINDCAST_TESTS_DISK_BENCH_H

#include "tests/whole/chip_bench.h"

#include "base/option_list.h"
#include "vm/dev/parts.h"
#include "vm/dev/pci_host.h"
#include "vm/drive.h"
#include "vm/footprint.h"

#define RAM_BYTES     0x100000u
#ifndef BENCH_PAGES
#define BENCH_PAGES   1024u /* of memory that there may be, with that of devices */
#endif
#define DISK_SECTORS  4096u
#define CD_SECTORS    600u
#define MESSAGES_AT   0xfee00000u
#define BENCH_BAR_AT  0x10000000u

CHIP_BENCH struct pci_bus bench_bus;
CHIP_BENCH struct ports bench_ports;
CHIP_BENCH unsigned bench_messages;
CHIP_BENCH uint32_t bench_message;

CHIP_BENCH uint8_t image_byte(uint64_t at, uint32_t sector_size)
{
    uint32_t sector = (uint32_t)(at / sector_size), in = (uint32_t)(at % sector_size);

    return in < 4 ? (uint8_t)(sector >> (8 * in)) : (uint8_t)((sector * 2654435761u + in * 40503u) >> 11);
}

CHIP_BENCH int bench_image_read(void *ctx, struct machine *machine, const struct drive *d, uint64_t offset, void *buf,
                                size_t len)
{
    uint8_t *to = buf;

    (void)ctx, (void)machine;
    for (size_t i = 0; i < len; i++)
        to[i] = image_byte(offset + i, d->c.sector_size);
    return 0;
}

static const struct machine_env disk_env = {.host_clock = host_clock, .output = output, .image_read = bench_image_read};

CHIP_BENCH bool bench_take_message(void *ctx, uint32_t requester, paddr_t address, uint32_t data)
{
    (void)ctx, (void)requester;
    if (address >> 20 != MESSAGES_AT >> 20)
        return false;
    bench_messages++;
    bench_message = data;
    return true;
}

/* RAM and a bus whose four lines are the probes. */
CHIP_BENCH void new_disk_bench(void)
{
    struct region ram = {.size = RAM_BYTES, .kind = REGION_RAM, .enabled = true};

    machine_destroy(m);
    m = machine_create(BENCH_PAGES);
    m->env = &disk_env;
    memset(&bench_ports, 0, sizeof(bench_ports));
    bench_messages = 0;
    bench_bus = (struct pci_bus){.machine = m, .ports = &bench_ports, .nwindows = 1, .message = bench_take_message,
                                 .windows = {{BENCH_BAR_AT, 0x10000000}}};
    for (unsigned n = 0; n < 4; n++)
        bench_bus.lines[n] = probe_line(n);
    ram.page = memory_alloc(&m->memory, "ram", ram.size);
    memory_map(&m->memory, &ram);
}

CHIP_BENCH struct drive *new_drive(const char *name, enum drive_media media, const struct drive_fault *fault)
{
    struct drive_config c = {.name = name, .media = media, .sector_size = media == DRIVE_CDROM ? 2048 : 512,
                             .read_only = media == DRIVE_CDROM, .latency_ns = DRIVE_LATENCY_NS, .rate = DRIVE_RATE,
                             .discard = DRIVE_DISCARD_ZERO, .faults = fault, .nfaults = fault ? 1 : 0};
    struct drive *d;
    struct error e;

    c.size = media == DRIVE_CDROM ? CD_SECTORS * 2048u : DISK_SECTORS * 512u;
    ck_assert_int_eq(drive_create(&d, m, &c, &e), 0);
    return d;
}

CHIP_BENCH void poke(paddr_t at, const void *bytes, size_t len)
{
    memory_write_bytes(&m->memory, at, bytes, len, false);
}

CHIP_BENCH void poke32(paddr_t at, uint32_t value)
{
    poke(at, &value, 4);
}

CHIP_BENCH void poke64(paddr_t at, uint64_t value)
{
    poke(at, &value, 8);
}

CHIP_BENCH uint32_t peek32(paddr_t at)
{
    return (uint32_t)memory_read(&m->memory, at, 4);
}

/* ---- what is seen of DMA ---- */

CHIP_BENCH struct footprint seen_pages;

/* Watch memory and sectors of a drive, for reading and writing. */
CHIP_BENCH void watch(const struct drive *d, paddr_t at, uint64_t sector, uint32_t len)
{
    const unsigned both = TRAP_READ | TRAP_WRITE;
    uint64_t storage = (uint64_t)memory_storage_of(&m->memory, at) << PAGE_SHIFT | (at & ~PAGE_MASK);
    struct trap traps[2] = {{.len = len, .kinds = both, .storage = true}, {.len = len, .kinds = both, .storage = true}};

    machine_lay_out(m);
    traps[0].address = traps_storage_at(&m->memory.pages, storage);
    traps[1].address = traps_storage_at(&d->pages.space, sector * d->c.sector_size);
    machine_set_traps(m, traps, 2);
    footprint_init(&seen_pages);
    m->footprint = &seen_pages;
}

/* The bytes of a watched range that `dev` touched in that way. */
CHIP_BENCH uint64_t touched(const struct device *dev, unsigned trap, unsigned kind)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < m->traps->npending; i++) {
        const struct trap_hit *hit = &m->traps->pending[i];

        if (hit->trap == trap + 1 && hit->kind == kind) {
            ck_assert(hit->storage);
            ck_assert_str_eq(hit->writer, dev->name);
            bytes += hit->len;
        }
    }
    return bytes;
}

/* `dev` has moved `len` bytes between what is watched, and reverse searches will know where. */
CHIP_BENCH void expect_moved(const struct device *dev, bool to_memory, uint32_t len)
{
    const struct page_set *from = &seen_pages.fetched, *to = &seen_pages.storage;
    uint64_t memory = m->traps->list[0].address >> PAGE_SHIFT, disk = m->traps->list[1].address >> PAGE_SHIFT;

    ck_assert_uint_eq(touched(dev, 0, TRAP_WRITE), to_memory ? len : 0);
    ck_assert_uint_eq(touched(dev, 0, TRAP_READ), to_memory ? 0 : len);
    ck_assert_uint_eq(touched(dev, 1, TRAP_READ), to_memory ? len : 0);
    ck_assert_uint_eq(touched(dev, 1, TRAP_WRITE), to_memory ? 0 : len);
    ck_assert(page_set_has(to_memory ? to : from, memory));
    ck_assert(page_set_has(to_memory ? from : to, disk));
    m->traps->npending = 0;
    footprint_clear(&seen_pages);
}

CHIP_BENCH void unwatch(void)
{
    machine_set_traps(m, NULL, 0);
    m->footprint = NULL;
    footprint_finish(&seen_pages);
}

/* Does memory hold bytes [offset, offset + len) of an image with such sectors? */
CHIP_BENCH bool holds_image(paddr_t at, uint64_t offset, uint32_t len, uint32_t sector_size)
{
    for (uint32_t i = 0; i < len; i++)
        if ((uint8_t)memory_read(&m->memory, at + i, 1) != image_byte(offset + i, sector_size))
            return false;
    return true;
}

typedef int plug_fn(struct sockets *, const char *, uint8_t, struct drive *, const struct option_list *, struct error *);

/* What --device TEXT asks for, in slot 3. */
CHIP_BENCH int bench_plug(struct sockets *s, const char *name, plug_fn *fn, const char *text, struct drive *d, struct error *e)
{
    struct option_list props;
    int r;

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, e), 0);
    r = fn(s, name, PCI_DEVFN(3, 0), d, &props, e);
    option_list_finish(&props);
    return r;
}

#endif
