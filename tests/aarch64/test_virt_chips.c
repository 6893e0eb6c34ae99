/*
 * The chips of the virt board, each alone on a machine without CPU: what their
 * manuals promise.
 */
#include <stdlib.h>
#include <string.h>

#include "aarch64/cpu.h"
#include "aarch64/virt/gic.h"
#include "base/buffer.h"
#include "vm/dev/cfi_flash.h"
#include "vm/dev/fwcfg.h"
#include "vm/dev/pl011.h"
#include "vm/dev/pl031.h"
#include "vm/dev/pl061.h"
#include "vm/dev/virtio_mmio.h"
#include "vm/machine.h"
#include "tests/check_main.h"

#define SECOND 1000000000ull
#define FLASH_BYTES (2ull * CFI_FLASH_BLOCK_BYTES)

static struct machine *m;
static struct buffer sent;
static bool line[4];

static void set_line(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    line[n] = level;
}

static uint64_t host_clock(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    return 1700000000ull * SECOND + 5;
}

static void output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)ctx, (void)dev;
    buffer_append(&sent, buf, len);
}

static const struct machine_env env = {.host_clock = host_clock, .output = output};

static struct device *add(const struct device_ops *ops, void *wiring)
{
    struct device *dev = machine_add_device(m, ops, ops->name, wiring);

    if (ops->reset)
        ops->reset(dev);
    return dev;
}

static uint64_t in(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    uint64_t v = dev->ops->read(dev, range, offset, size);

    return size == 8 ? v : v & ((1ull << (8 * size)) - 1);
}

static void out(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    dev->ops->write(dev, range, offset, size, value);
}

static void to(vtime_t t)
{
    for (;;) {
        struct device *first = NULL;
        vtime_t when = t;

        for (unsigned i = 0; i < m->ndevices; i++) {
            struct device *d = m->devices[i];

            if (d->ops->deadline && d->ops->deadline(d) <= when) {
                when = d->ops->deadline(d);
                first = d;
            }
        }
        if (when > machine_now(m))
            m->st->warp += when - machine_now(m);
        if (!first)
            return;
        first->ops->expire(first, when);
    }
}

static struct pl011_wiring uart_wiring;
static struct pl031_wiring rtc_wiring;
static struct pl061_wiring gpio_wiring;
static struct cfi_flash_wiring flash_wiring;
static struct fwcfg_wiring fwcfg_wiring;
static struct gic_wiring gic_wiring;
static struct a64_cpu cpu;
static struct a64_state cpu_state;

static void setup(void)
{
    m = machine_create(256);
    m->env = &env;
    buffer_init(&sent);
    memset(line, 0, sizeof(line));
    uart_wiring.irq = rtc_wiring.irq = gpio_wiring.irq = (struct line){.set = set_line};
    memset(&cpu_state, 0, sizeof(cpu_state));
    cpu.st = &cpu_state;
    cpu_state.el = 1;
    gic_wiring = (struct gic_wiring){.version = 2, .cpu = &cpu, .irq = {.set = set_line},
                                     .fiq = {.set = set_line, .n = 1}, .virq = {.set = set_line, .n = 2},
                                     .vfiq = {.set = set_line, .n = 3}};
}

static void teardown(void)
{
    machine_destroy(m);
    buffer_finish(&sent);
}

/* ---- PL011 ---- */

enum { DR = 0, FR = 0x18, LCR_H = 0x2c, IFLS = 0x34, IMSC = 0x38, RIS = 0x3c, ICR = 0x44 };

static void receive(struct device *dev, const char *text)
{
    struct event e = {.kind = EVENT_INPUT, .len = (uint32_t)strlen(text), .data = (const uint8_t *)text};

    dev->ops->input(dev, &e);
}

START_TEST(pl011_sends_bytes_and_never_looks_full)
{
    struct device *u = add(&pl011_ops, &uart_wiring);

    for (unsigned i = 0; i < 40; i++) {
        ck_assert_uint_eq(in(u, 0, FR, 4) & 0x28, 0);
        out(u, 0, DR, 4, 'a' + i % 26);
    }
    ck_assert_uint_eq(sent.len, 40);
    ck_assert_int_eq(sent.data[1], 'b');
}
END_TEST

START_TEST(pl011_interrupts_at_the_trigger_level_and_after_a_silence)
{
    struct device *u = add(&pl011_ops, &uart_wiring);

    out(u, 0, LCR_H, 4, 0x70);
    out(u, 0, IFLS, 4, 2 << 3); /* half full: 8 */
    out(u, 0, IMSC, 4, 0x50);
    receive(u, "1234567");
    ck_assert(!line[0]);
    receive(u, "8");
    ck_assert(line[0]);
    ck_assert_uint_eq(in(u, 0, DR, 4), '1');
    ck_assert(!line[0]);
    to(SECOND);
    ck_assert(line[0]); /* receive timeout */
    while (!(in(u, 0, FR, 4) & 0x10))
        in(u, 0, DR, 4);
    ck_assert(!line[0]);
}
END_TEST

START_TEST(pl011_takes_as_much_as_its_fifo_holds_and_reports_an_overrun)
{
    struct device *u = add(&pl011_ops, &uart_wiring);

    ck_assert_uint_eq(u->ops->input_room(u), 1);
    out(u, 0, LCR_H, 4, 0x10);
    ck_assert_uint_eq(u->ops->input_room(u), 16);
    receive(u, "0123456789abcdefX");
    ck_assert_uint_eq(u->ops->input_room(u), 0);
    ck_assert(in(u, 0, RIS, 4) & 0x400);
    ck_assert_uint_eq(in(u, 0, DR, 4), '0');
    receive(u, "Y");
    for (unsigned i = 0; i < 15; i++)
        in(u, 0, DR, 4);
    ck_assert_uint_eq(in(u, 0, DR, 4), 0x800 | 'Y');
}
END_TEST

START_TEST(pl011_transmit_interrupt_comes_after_the_byte)
{
    struct device *u = add(&pl011_ops, &uart_wiring);

    out(u, 0, IMSC, 4, 0x20);
    ck_assert(!line[0]);
    out(u, 0, DR, 4, 'x');
    ck_assert(!line[0]);
    to(SECOND);
    ck_assert(line[0]);
    out(u, 0, ICR, 4, 0x20);
    ck_assert(!line[0]);
}
END_TEST

START_TEST(pl011_loopback_brings_the_modem_outputs_back_with_their_interrupts)
{
    static const struct {
        unsigned cr, fr, ris;
    } lines[] = {{0x800, 0x001, 0x2}, {0x400, 0x002, 0x8}, {0x1000, 0x004, 0x4}, {0x2000, 0x100, 0x1}};
    struct device *u = add(&pl011_ops, &uart_wiring);

    ck_assert_uint_eq(in(u, 0, FR, 4) & 0x107, 0x007); /* the far end holds CTS, DSR, DCD */
    ck_assert_uint_eq(in(u, 0, RIS, 4), 0);
    out(u, 0, 0x30, 4, 0x381);
    ck_assert_uint_eq(in(u, 0, FR, 4) & 0x107, 0);
    out(u, 0, IMSC, 4, 0xf);
    for (unsigned i = 0; i < 4; i++) {
        out(u, 0, ICR, 4, 0x7ff);
        ck_assert(!line[0]);
        out(u, 0, 0x30, 4, 0x381 | lines[i].cr);
        ck_assert_uint_eq(in(u, 0, FR, 4) & 0x107, lines[i].fr);
        ck_assert_uint_eq(in(u, 0, RIS, 4), lines[i].ris);
        ck_assert(line[0]);
        out(u, 0, ICR, 4, 0x7ff);
        out(u, 0, 0x30, 4, 0x381);
        ck_assert_uint_eq(in(u, 0, RIS, 4), lines[i].ris);
    }
}
END_TEST

START_TEST(pl011_overrun_stays_in_rsr_until_ecr_is_written)
{
    struct device *u = add(&pl011_ops, &uart_wiring);

    out(u, 0, LCR_H, 4, 0x10);
    receive(u, "0123456789abcdefX");
    ck_assert_uint_eq(in(u, 0, 0x04, 4), 8);
    ck_assert_uint_eq(in(u, 0, DR, 4), '0');
    ck_assert_uint_eq(in(u, 0, 0x04, 4), 8);
    out(u, 0, 0x04, 4, 0);
    ck_assert_uint_eq(in(u, 0, 0x04, 4), 0);
}
END_TEST

START_TEST(pl011_break_in_loopback_belongs_to_its_character)
{
    struct device *u = add(&pl011_ops, &uart_wiring);

    out(u, 0, LCR_H, 4, 0x70);
    out(u, 0, 0x30, 4, 0x381);
    out(u, 0, DR, 4, 'a');
    out(u, 0, LCR_H, 4, 0x71);
    ck_assert_uint_eq(in(u, 0, RIS, 4) & 0x200, 0x200);
    ck_assert_uint_eq(in(u, 0, DR, 4), 'a');
    ck_assert_uint_eq(in(u, 0, 0x04, 4), 0);
    ck_assert_uint_eq(in(u, 0, DR, 4), 0x400);
    ck_assert_uint_eq(in(u, 0, 0x04, 4), 4);
}
END_TEST

/* What reset leaves in each register, and which bits of it can be written. */
struct reg {
    unsigned offset, reset, writable;
};

static void expect_registers(struct device *d, const struct reg *regs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ck_assert_msg(in(d, 0, regs[i].offset, 4) == regs[i].reset, "reset value of %03x: %llx", regs[i].offset,
                      (unsigned long long)in(d, 0, regs[i].offset, 4));
        out(d, 0, regs[i].offset, 4, 0xffffffffu);
        ck_assert_msg(in(d, 0, regs[i].offset, 4) == (regs[i].writable | (regs[i].writable ? 0 : regs[i].reset)),
                      "%03x after ones: %llx", regs[i].offset, (unsigned long long)in(d, 0, regs[i].offset, 4));
    }
}

START_TEST(primecell_registers_have_the_bits_of_their_manuals)
{
    static const struct reg uart[] = {{0x18, 0x97, 0}, {0x20, 0, 0xff}, {0x24, 0, 0xffff}, {0x28, 0, 0x3f},
                                      {0x34, 0x12, 0x3f}, {0x38, 0, 0x7ff}, {0x40, 0, 0}, {0x3c, 0, 0}, {0x48, 0, 7},
                                      {0x2c, 0, 0xff}, {0x30, 0x300, 0xff87}};
    static const struct reg rtc[] = {{0x0c, 1, 1}, {0x10, 0, 1}, {0x14, 0, 0}, {0x18, 0, 0}, {0x04, 0, 0xffffffff}};
    static const struct reg gpio[] = {{0x400, 0, 0xff}, {0x404, 0, 0xff}, {0x408, 0, 0xff}, {0x40c, 0, 0xff},
                                      {0x410, 0, 0xff}, {0x41c, 0, 0}, {0x420, 0, 0xff}, {0x3fc, 0, 0xff}};

    expect_registers(add(&pl011_ops, &uart_wiring), uart, 11);
    expect_registers(add(&pl031_ops, &rtc_wiring), rtc, 5);
    expect_registers(add(&pl061_ops, &gpio_wiring), gpio, 8);
}
END_TEST

START_TEST(primecells_have_their_identification)
{
    static const struct {
        const struct device_ops *ops;
        unsigned part;
    } cells[] = {{&pl011_ops, 0x11}, {&pl031_ops, 0x31}, {&pl061_ops, 0x61}};
    void *wirings[] = {&uart_wiring, &rtc_wiring, &gpio_wiring};

    for (unsigned i = 0; i < 3; i++) {
        struct device *d = add(cells[i].ops, wirings[i]);

        ck_assert_uint_eq(in(d, 0, 0xfe0, 4), cells[i].part);
        ck_assert_uint_eq(in(d, 0, 0xff0, 4), 0x0d);
        ck_assert_uint_eq(in(d, 0, 0xffc, 4), 0xb1);
    }
}
END_TEST

/* ---- PL031, PL061 ---- */

START_TEST(pl031_shows_the_hosts_date_and_counts_virtual_seconds)
{
    struct device *r = add(&pl031_ops, &rtc_wiring);

    ck_assert_uint_eq(in(r, 0, 0, 4), 1700000000);
    to(3 * SECOND - 1);
    ck_assert_uint_eq(in(r, 0, 0, 4), 1700000002);
    to(3 * SECOND);
    ck_assert_uint_eq(in(r, 0, 0, 4), 1700000003);
}
END_TEST

START_TEST(pl031_alarm_comes_with_the_second_that_matches)
{
    struct device *r = add(&pl031_ops, &rtc_wiring);

    out(r, 0, 0x08, 4, 100);
    out(r, 0, 0x10, 4, 1);
    out(r, 0, 0x04, 4, 102);
    to(2 * SECOND - 1);
    ck_assert(!line[0]);
    to(2 * SECOND);
    ck_assert(line[0]);
    out(r, 0, 0x1c, 4, 1);
    ck_assert(!line[0]);
}
END_TEST

START_TEST(pl031_match_is_noticed_when_rtclr_makes_it)
{
    struct device *r = add(&pl031_ops, &rtc_wiring);

    out(r, 0, 0x08, 4, 1000);
    out(r, 0, 0x04, 4, 5);
    ck_assert_uint_eq(in(r, 0, 0x14, 4), 0);
    out(r, 0, 0x08, 4, 5);
    ck_assert_uint_eq(in(r, 0, 0x14, 4), 1);
    out(r, 0, 0x1c, 4, 1);
    ck_assert_uint_eq(in(r, 0, 0x14, 4), 0);
    to(SECOND);
    ck_assert_uint_eq(in(r, 0, 0x14, 4), 0); /* 6 */
}
END_TEST

START_TEST(pl061_power_key_is_an_edge_each_way)
{
    struct device *g = add(&pl061_ops, &gpio_wiring);

    out(g, 0, 0x408, 4, 8); /* both edges of line 3 */
    out(g, 0, 0x410, 4, 8);
    pl061_pulse(g, 3, 1000);
    ck_assert(line[0]);
    ck_assert_uint_eq(in(g, 0, 8 << 2, 4), 8);
    out(g, 0, 0x41c, 4, 8);
    ck_assert(!line[0]);
    to(1000);
    ck_assert(line[0]);
    ck_assert_uint_eq(in(g, 0, 0x3fc, 4), 0);
}
END_TEST

START_TEST(pl061_data_is_masked_by_the_address)
{
    struct device *g = add(&pl061_ops, &gpio_wiring);

    out(g, 0, 0x400, 4, 0xff);
    out(g, 0, 0x0f << 2, 4, 0xff);
    ck_assert_uint_eq(in(g, 0, 0x3fc, 4), 0x0f);
    ck_assert_uint_eq(in(g, 0, 0x03 << 2, 4), 0x03);
}
END_TEST

/* ---- flash ---- */

static struct device *make_flash(void)
{
    struct device *f;
    struct region r = {.base = 0, .size = FLASH_BYTES, .kind = REGION_ROMD, .enabled = true};

    r.page = memory_alloc(&m->memory, "ram", FLASH_BYTES);
    flash_wiring = (struct cfi_flash_wiring){.page = r.page, .size = FLASH_BYTES, .region = 0};
    f = machine_add_device(m, &cfi_flash_ops, "flash", &flash_wiring);
    r.dev = f;
    flash_wiring.region = memory_map(&m->memory, &r);
    f->ops->reset(f);
    return f;
}

START_TEST(flash_is_erased_to_ones_and_programming_clears_bits)
{
    make_flash();
    memory_write(&m->memory, 0x1000, 4, 0x00200020);
    memory_write(&m->memory, 0x1000, 4, 0x00d000d0);
    ck_assert_uint_eq(memory_read(&m->memory, 0, 4), 0x00800080); /* status */
    memory_write(&m->memory, 0, 4, 0x00ff00ff);
    ck_assert_uint_eq(memory_read(&m->memory, 0x1000, 8), UINT64_MAX);
    ck_assert_uint_eq(memory_read(&m->memory, CFI_FLASH_BLOCK_BYTES, 4), 0);
    memory_write(&m->memory, 0x1000, 4, 0x00400040);
    memory_write(&m->memory, 0x1000, 4, 0x12345678);
    memory_write(&m->memory, 0x1000, 4, 0x00400040);
    memory_write(&m->memory, 0x1000, 4, 0xffff00ff);
    memory_write(&m->memory, 0, 4, 0x00ff00ff);
    ck_assert_uint_eq(memory_read(&m->memory, 0x1000, 4), 0x12340078);
}
END_TEST

START_TEST(flash_write_buffer_programs_what_was_counted)
{
    make_flash();
    memory_write(&m->memory, 0, 4, 0x00200020);
    memory_write(&m->memory, 0, 4, 0x00d000d0);
    memory_write(&m->memory, 0, 4, 0x00e800e8);
    ck_assert(memory_read(&m->memory, 0, 4) & 0x80);
    memory_write(&m->memory, 0, 4, 0x00010001); /* two words */
    memory_write(&m->memory, 8, 4, 0x11111111);
    memory_write(&m->memory, 12, 4, 0x22222222);
    memory_write(&m->memory, 0, 4, 0x00d000d0);
    ck_assert_uint_eq(memory_read(&m->memory, 0, 4), 0x00800080);
    memory_write(&m->memory, 0, 4, 0x00ff00ff);
    ck_assert_uint_eq(memory_read(&m->memory, 8, 8), 0x2222222211111111ull);
    ck_assert_uint_eq(memory_read(&m->memory, 16, 4), 0xffffffff);
}
END_TEST

START_TEST(flash_answers_the_cfi_query)
{
    make_flash();
    memory_write(&m->memory, 0x55 * 4, 4, 0x00980098);
    ck_assert_uint_eq(memory_read(&m->memory, 0x10 * 4, 4), 0x00510051);
    ck_assert_uint_eq(memory_read(&m->memory, 0x12 * 4, 4), 0x00590059);
    ck_assert_uint_eq(memory_read(&m->memory, 0x27 * 4, 4) & 0xff, 18); /* 256 KiB a chip */
    ck_assert_uint_eq(memory_read(&m->memory, 0x30 * 4, 4) & 0xff, 2);  /* 128 KiB a block */
    memory_write(&m->memory, 0, 4, 0x00900090);
    ck_assert_uint_eq(memory_read(&m->memory, 0, 4), 0x00890089);
}
END_TEST

START_TEST(flash_bears_random_commands)
{
    struct device *f = make_flash();
    uint32_t x = 1;

    for (unsigned i = 0; i < 200000; i++) {
        x = x * 1664525 + 1013904223;
        if (x >> 31)
            memory_write(&m->memory, (x >> 3) % FLASH_BYTES, 1u << (x >> 28 & 3), x >> 5);
        else
            memory_read(&m->memory, (x >> 3) % FLASH_BYTES, 1u << (x >> 28 & 3));
    }
    ck_assert_ptr_nonnull(f);
}
END_TEST

/* ---- fw_cfg, virtio ---- */

START_TEST(fw_cfg_gives_an_item_through_memory_registers_of_any_width)
{
    struct device *f;

    memset(&fwcfg_wiring, 0, sizeof(fwcfg_wiring));
    fwcfg_add(&fwcfg_wiring, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_seal(&fwcfg_wiring);
    f = add(&fwcfg_ops, &fwcfg_wiring);
    out(f, FWCFG_MMIO, 8, 2, 0);
    ck_assert_uint_eq(in(f, FWCFG_MMIO, 0, 1), 'Q');
    ck_assert_uint_eq(in(f, FWCFG_MMIO, 0, 2), 'E' | 'M' << 8);
    out(f, FWCFG_MMIO, 8, 2, 0x1900); /* big-endian: the directory */
    ck_assert_uint_eq(in(f, FWCFG_MMIO, 0, 4), 0);
    ck_assert_uint_eq(in(f, FWCFG_MMIO, 16, 8), 0x47464320554d4551ull);
    fwcfg_finish(&fwcfg_wiring);
}
END_TEST

START_TEST(fw_cfg_dma_tells_of_its_own_errors_only)
{
    const struct region ram = {.base = 0x40000000, .size = 0x1000, .kind = REGION_RAM, .enabled = true,
                               .page = memory_alloc(&m->memory, "ram", 0x1000)};
    struct device *f;

    memset(&fwcfg_wiring, 0, sizeof(fwcfg_wiring));
    fwcfg_add(&fwcfg_wiring, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_seal(&fwcfg_wiring);
    f = add(&fwcfg_ops, &fwcfg_wiring);
    memory_map(&m->memory, &ram);
    memory_write(&m->memory, 0x40000000, 4, 0x01000000); /* the error bit alone: nothing to do */
    out(f, FWCFG_MMIO, 16, 8, 0x0000004000000000);
    ck_assert_uint_eq(memory_read(&m->memory, 0x40000000, 4), 0);
    memory_write(&m->memory, 0x40000000, 4, 0x10000000); /* writing an item that cannot be */
    memory_write(&m->memory, 0x40000004, 4, 0x04000000);
    out(f, FWCFG_MMIO, 16, 8, 0x0000004000000000);
    ck_assert_uint_eq(memory_read(&m->memory, 0x40000000, 4), 0x01000000);
    fwcfg_finish(&fwcfg_wiring);
}
END_TEST

START_TEST(empty_virtio_slots_say_so)
{
    struct device *v = add(&virtio_mmio_ops, NULL);

    for (unsigned slot = 0; slot < 32; slot++) {
        ck_assert_uint_eq(in(v, 0, slot * 0x200, 4), 0x74726976);
        ck_assert_uint_eq(in(v, 0, slot * 0x200 + 8, 4), 0);
    }
}
END_TEST

/* ---- GIC ---- */

#define SPI(n) (32u + (n))

static struct device *make_gic(unsigned version)
{
    struct device *g;

    gic_wiring.version = version;
    g = add(version == 2 ? &gicv2_ops : &gicv3_ops, &gic_wiring);
    if (version == 2) {
        out(g, GICV2_DIST, 0, 4, 1);
        out(g, GICV2_CPU, 4, 4, 0xf0);
        out(g, GICV2_CPU, 0, 4, 1);
    } else {
        out(g, GICV3_DIST, 0, 4, 2);
        for (unsigned n = 1; n < GIC_WORDS; n++)
            out(g, GICV3_DIST, 0x80 + 4 * n, 4, ~0u);
        out(g, GICV3_REDIST, 0x10080, 4, ~0u);
        gicv3_sysreg_write(g, SYSREG(3, 0, 4, 6, 0), 0xf0);
        gicv3_sysreg_write(g, SYSREG(3, 0, 12, 12, 7), 1);
    }
    return g;
}

static void enable(struct device *g, unsigned irq, unsigned priority)
{
    bool private = gic_wiring.version == 3 && irq < 32;

    out(g, private ? GICV3_REDIST : GICV2_DIST, (private ? 0x10000 : 0) + 0x100 + irq / 32 * 4, 4, 1u << irq % 32);
    out(g, private ? GICV3_REDIST : GICV2_DIST, (private ? 0x10000 : 0) + 0x400 + irq, 1, priority);
}

static unsigned ack(struct device *g)
{
    uint64_t v;

    if (gic_wiring.version == 2)
        return (unsigned)in(g, GICV2_CPU, 0x0c, 4);
    ck_assert(gicv3_sysreg_read(g, SYSREG(3, 0, 12, 12, 0), &v));
    return (unsigned)v;
}

static void eoi(struct device *g, unsigned irq)
{
    if (gic_wiring.version == 2)
        out(g, GICV2_CPU, 0x10, 4, irq);
    else
        ck_assert(gicv3_sysreg_write(g, SYSREG(3, 0, 12, 12, 1), irq));
}

START_TEST(gic_level_interrupt_goes_away_with_its_line)
{
    struct device *g = make_gic((unsigned)_i);

    enable(g, SPI(1), 0x80);
    gic_set_line(g, SPI(1), true);
    ck_assert(line[0] && !line[1]);
    gic_set_line(g, SPI(1), false);
    ck_assert(!line[0]);
    gic_set_line(g, SPI(1), true);
    ck_assert_uint_eq(ack(g), SPI(1));
    ck_assert(!line[0]);
    eoi(g, SPI(1));
    ck_assert(line[0]); /* still high */
    gic_set_line(g, SPI(1), false);
    ck_assert_uint_eq(ack(g), 1023);
}
END_TEST

START_TEST(gic_edge_interrupt_is_remembered_once)
{
    struct device *g = make_gic((unsigned)_i);

    out(g, GICV2_DIST, 0xc08, 4, 2u << 2); /* SPI 1 */
    enable(g, SPI(1), 0x80);
    gic_set_line(g, SPI(1), true);
    gic_set_line(g, SPI(1), false);
    ck_assert(line[0]);
    ck_assert_uint_eq(ack(g), SPI(1));
    gic_set_line(g, SPI(1), true); /* pending while active */
    ck_assert(!line[0]);
    eoi(g, SPI(1));
    ck_assert_uint_eq(ack(g), SPI(1));
    eoi(g, SPI(1));
    ck_assert(!line[0]);
}
END_TEST

START_TEST(gic_higher_priority_preempts_and_equal_does_not)
{
    struct device *g = make_gic((unsigned)_i);

    enable(g, SPI(1), 0xa0);
    enable(g, SPI(2), 0xa0);
    enable(g, SPI(3), 0x40);
    gic_set_line(g, SPI(1), true);
    ck_assert_uint_eq(ack(g), SPI(1));
    gic_set_line(g, SPI(2), true);
    ck_assert(!line[0]);
    gic_set_line(g, SPI(3), true);
    ck_assert(line[0]);
    ck_assert_uint_eq(ack(g), SPI(3));
    gic_set_line(g, SPI(3), false);
    eoi(g, SPI(3));
    ck_assert(!line[0]);
    gic_set_line(g, SPI(1), false);
    eoi(g, SPI(1));
    ck_assert_uint_eq(ack(g), SPI(2));
}
END_TEST

START_TEST(gicv2_without_group_priorities_nothing_preempts)
{
    struct device *g = make_gic(2);

    enable(g, SPI(1), 0xa0);
    enable(g, SPI(2), 0);
    gic_set_line(g, SPI(1), true);
    ck_assert_uint_eq(ack(g), SPI(1));
    out(g, GICV2_CPU, 8, 4, 7); /* BPR, after that one was taken */
    gic_set_line(g, SPI(2), true);
    ck_assert(!line[0]);
    ck_assert_uint_eq(ack(g), 1023);
    out(g, GICV2_CPU, 8, 4, 3);
    ck_assert_uint_eq(ack(g), SPI(2));
}
END_TEST

START_TEST(gic_priority_mask_holds_interrupts_back)
{
    struct device *g = make_gic((unsigned)_i);

    enable(g, SPI(1), 0xa0);
    if (_i == 2)
        out(g, GICV2_CPU, 4, 4, 0xa0);
    else
        gicv3_sysreg_write(g, SYSREG(3, 0, 4, 6, 0), 0xa0);
    gic_set_line(g, SPI(1), true);
    ck_assert(!line[0]);
    enable(g, SPI(1), 0x98);
    ck_assert(line[0]);
}
END_TEST

START_TEST(gic_lowest_number_comes_first_among_equals)
{
    struct device *g = make_gic((unsigned)_i);

    enable(g, SPI(9), 0x80);
    enable(g, SPI(5), 0x80);
    gic_set_line(g, SPI(9), true);
    gic_set_line(g, SPI(5), true);
    ck_assert_uint_eq(ack(g), SPI(5));
}
END_TEST

START_TEST(gic_software_interrupt_to_oneself)
{
    struct device *g = make_gic((unsigned)_i);

    enable(g, 3, 0x80);
    if (_i == 2)
        out(g, GICV2_DIST, 0xf00, 4, 2u << 24 | 3);
    else
        gicv3_sysreg_write(g, SYSREG(3, 0, 12, 11, 5), 3ull << 24 | 1);
    ck_assert(line[0]);
    ck_assert_uint_eq(ack(g), 3);
    eoi(g, 3);
    ck_assert(!line[0]);
}
END_TEST

START_TEST(gic_split_end_drops_the_priority_and_deactivates_later)
{
    struct device *g = make_gic((unsigned)_i);

    if (_i == 2)
        out(g, GICV2_CPU, 0, 4, 0x201);
    else
        gicv3_sysreg_write(g, SYSREG(3, 0, 12, 12, 4), 2);
    enable(g, SPI(1), 0x80);
    enable(g, SPI(2), 0x80);
    gic_set_line(g, SPI(1), true);
    ck_assert_uint_eq(ack(g), SPI(1));
    eoi(g, SPI(1));
    ck_assert(!line[0]); /* still active */
    gic_set_line(g, SPI(2), true);
    ck_assert(line[0]);
    gic_set_line(g, SPI(2), false);
    if (_i == 2)
        out(g, GICV2_CPU, 0x1000, 4, SPI(1));
    else
        gicv3_sysreg_write(g, SYSREG(3, 0, 12, 11, 1), SPI(1));
    ck_assert(line[0]);
}
END_TEST

START_TEST(gicv2_group_0_can_be_fiq)
{
    struct device *g = make_gic(2);

    out(g, GICV2_CPU, 0, 4, 9);
    enable(g, SPI(1), 0x80);
    gic_set_line(g, SPI(1), true);
    ck_assert(line[1] && !line[0]);
}
END_TEST

START_TEST(gicv2_identifies_itself)
{
    struct device *g = make_gic(2);

    ck_assert_uint_eq(in(g, GICV2_DIST, 4, 4), 8);
    ck_assert_uint_eq(in(g, GICV2_DIST, 0xfe8, 4) >> 4, 2);
    ck_assert_uint_eq(in(g, GICV2_DIST, 0x800, 4), 0); /* a uniprocessor has no targets */
}
END_TEST

START_TEST(gicv3_identifies_itself)
{
    struct device *g = make_gic(3);

    ck_assert_uint_eq(in(g, GICV3_DIST, 4, 4) & 0x1f, 8);
    ck_assert_uint_eq(in(g, GICV3_DIST, 0xffe8, 4) >> 4, 3);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0xffe8, 4) >> 4, 3);
    ck_assert_uint_eq(in(g, GICV3_DIST, 0xffe0, 4), 0x92);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0xffe0, 4), 0x93);
    ck_assert_uint_eq(in(g, GICV3_DIST, 0xffd0, 4), 0x44);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0xffd0, 4), 0x44);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 8, 8), 0x10);
    ck_assert(in(g, GICV3_DIST, 0, 4) & 0x10);
}
END_TEST

START_TEST(gicv3_private_interrupts_are_in_the_redistributor)
{
    struct device *g = make_gic(3);

    out(g, GICV3_DIST, 0x100, 4, ~0u);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0x10100, 4), 0);
    enable(g, 27, 0x80);
    gic_set_line(g, 27, true);
    ck_assert_uint_eq(ack(g), 27);
}
END_TEST

START_TEST(gicv3_interrupt_routed_elsewhere_does_not_come)
{
    struct device *g = make_gic(3);

    enable(g, SPI(1), 0x80);
    out(g, GICV3_DIST, 0x6000 + 8 * SPI(1), 8, 1);
    gic_set_line(g, SPI(1), true);
    ck_assert(!line[0]);
    out(g, GICV3_DIST, 0x6000 + 8 * SPI(1), 8, 1u << 31); /* any */
    ck_assert(line[0]);
}
END_TEST

START_TEST(gicv3_group_0_is_fiq)
{
    struct device *g = make_gic(3);

    out(g, GICV3_DIST, 0, 4, 3);
    gicv3_sysreg_write(g, SYSREG(3, 0, 12, 12, 6), 1);
    out(g, GICV3_DIST, 0x84, 4, 0);
    enable(g, SPI(1), 0x80);
    gic_set_line(g, SPI(1), true);
    ck_assert(line[1] && !line[0]);
    ck_assert_uint_eq(ack(g), 1023); /* group 1's register */
}
END_TEST

START_TEST(gic_nonsecure_accesses_see_only_group_1)
{
    struct device *g;

    gic_wiring.security = true;
    g = make_gic(2);
    out(g, GICV2_DIST, 0x84, 4, 2); /* SPI 1 is group 1 */
    m->memory.nonsecure = true;
    out(g, GICV2_DIST, 0x104, 4, 3);
    ck_assert_uint_eq(in(g, GICV2_DIST, 0x104, 4), 2);
    out(g, GICV2_DIST, 0x420, 4, 0x4040);
    ck_assert_uint_eq(in(g, GICV2_DIST, 0x420, 4), 0x4000);
    m->memory.nonsecure = false;
    ck_assert_uint_eq(in(g, GICV2_DIST, 0x420, 4), 0xa000);
}
END_TEST

static uint64_t cpu_as(struct device *g, bool nonsecure, uint64_t reg)
{
    m->memory.nonsecure = nonsecure;
    return in(g, GICV2_CPU, reg, 4);
}

static void set_cpu_as(struct device *g, bool nonsecure, uint64_t reg, uint32_t value)
{
    m->memory.nonsecure = nonsecure;
    out(g, GICV2_CPU, reg, 4, value);
}

/* Of 256 priorities it has the lower 128 (IHI 0048, 3.8.1), and a binary point that is group 1's (3.6.1). */
START_TEST(gicv2_nonsecure_cpu_interface_has_half_of_the_priorities)
{
    enum { CTLR = 0, PMR = 4, BPR = 8 };
    struct device *g;

    gic_wiring.security = true;
    g = make_gic(2);
    set_cpu_as(g, false, PMR, 0xc0);
    ck_assert_uint_eq(cpu_as(g, true, PMR), 0x80);
    set_cpu_as(g, true, PMR, 0x10);
    ck_assert_uint_eq(cpu_as(g, false, PMR), 0x88);
    set_cpu_as(g, false, PMR, 0x40);
    ck_assert_uint_eq(cpu_as(g, true, PMR), 0);
    set_cpu_as(g, true, PMR, 0xf0);
    ck_assert_uint_eq(cpu_as(g, false, PMR), 0x40);
    set_cpu_as(g, true, BPR, 0);
    ck_assert_uint_eq(cpu_as(g, true, BPR), 3);
    set_cpu_as(g, false, BPR, 4);
    ck_assert_uint_eq(cpu_as(g, true, BPR), 3);
    set_cpu_as(g, false, CTLR, 0x10); /* CBPR */
    ck_assert_uint_eq(cpu_as(g, true, BPR), 5);
    set_cpu_as(g, true, BPR, 6);
    ck_assert_uint_eq(cpu_as(g, true, BPR), 5);
}
END_TEST

static uint64_t sysreg(struct device *g, uint32_t enc)
{
    uint64_t v = 0;

    ck_assert(gicv3_sysreg_read(g, enc, &v));
    return v;
}

#define ICC_PMR   SYSREG(3, 0, 4, 6, 0)
#define ICC_IAR0  SYSREG(3, 0, 12, 8, 0)
#define ICC_EOIR0 SYSREG(3, 0, 12, 8, 1)
#define ICC_HPPIR0 SYSREG(3, 0, 12, 8, 2)
#define ICC_HPPIR1 SYSREG(3, 0, 12, 12, 2)
#define ICC_SGI0R SYSREG(3, 0, 12, 11, 7)
#define ICC_SGI1R SYSREG(3, 0, 12, 11, 5)
#define ICC_DIR   SYSREG(3, 0, 12, 11, 1)
#define ICC_IGRPEN1 SYSREG(3, 0, 12, 12, 7)
#define ICC_CTLR_EL3 SYSREG(3, 6, 12, 12, 4)
#define ICC_IGRPEN1_EL3 SYSREG(3, 6, 12, 12, 7)
#define NS  1u
#define IRQ 2u
#define FIQ 4u

/* Where the CPU is. */
static void stand(struct device *g, unsigned el, uint64_t scr)
{
    cpu_state.el = el;
    cpu_state.scr_el3 = scr;
    gic_security_changed(g);
}

/* Version 3 with two security states, every group enabled: SGI 0 is of group 0, 1 of Secure group 1, 2 of
 * Non-secure group 1. The CPU is at EL3. */
static struct device *make_secure_gic(void)
{
    struct device *g;

    gic_wiring.security = true;
    gic_wiring.version = 3;
    g = add(&gicv3_ops, &gic_wiring);
    stand(g, 3, 0);
    out(g, GICV3_DIST, 0, 4, 7);
    out(g, GICV3_REDIST, 0x10080, 4, 4);
    out(g, GICV3_REDIST, 0x10d00, 4, 2);
    out(g, GICV3_REDIST, 0x10400, 4, 0xc0c0c0c0);
    out(g, GICV3_REDIST, 0x10100, 4, 0xf);
    gicv3_sysreg_write(g, ICC_PMR, 0xf8);
    gicv3_sysreg_write(g, SYSREG(3, 0, 12, 12, 6), 1);
    gicv3_sysreg_write(g, ICC_IGRPEN1_EL3, 3);
    return g;
}

START_TEST(gicv3_groups_are_irq_or_fiq_by_where_the_cpu_is)
{
    /* [where][group]: FIQ? At EL3, Secure EL1, Non-secure EL1 (IHI 0069, table 4-3). */
    static const bool fiq[3][3] = {{true, true, true}, {true, false, true}, {true, true, false}};
    struct device *g = make_secure_gic();

    for (unsigned group = 0; group < 3; group++) {
        out(g, GICV3_REDIST, 0x10200, 4, 1u << group);
        for (unsigned where = 0; where < 3; where++) {
            stand(g, where ? 1 : 3, where == 2 ? NS : 0);
            ck_assert_msg(line[1] == fiq[where][group] && line[0] == !fiq[where][group], "%u %u", where, group);
        }
        out(g, GICV3_REDIST, 0x10280, 4, 1u << group);
    }
}
END_TEST

START_TEST(gicv3_el3_is_told_whose_group_1_interrupt_is_pending)
{
    struct device *g = make_secure_gic();

    out(g, GICV3_REDIST, 0x10200, 4, 1u << 2);
    ck_assert_uint_eq(sysreg(g, ICC_HPPIR0), 1021);
    ck_assert_uint_eq(sysreg(g, ICC_IAR0), 1021); /* which takes nothing */
    ck_assert_uint_eq(sysreg(g, ICC_HPPIR1), 2);
    stand(g, 1, 0);
    ck_assert_uint_eq(sysreg(g, ICC_HPPIR0), 1023);
    ck_assert_uint_eq(sysreg(g, ICC_HPPIR1), 1023); /* not Secure EL1's */
    stand(g, 1, NS);
    ck_assert_uint_eq(ack(g), 2);
    stand(g, 3, 0);
    eoi(g, 2);
    out(g, GICV3_REDIST, 0x10200, 4, 1u << 1);
    ck_assert_uint_eq(sysreg(g, ICC_HPPIR0), 1020);
    stand(g, 1, NS);
    ck_assert_uint_eq(ack(g), 1023);
    stand(g, 1, 0);
    ck_assert_uint_eq(ack(g), 1);
    stand(g, 1, NS);
    eoi(g, 1); /* not its own */
    stand(g, 3, 0);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0x10300, 4), 2);
    eoi(g, 1);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0x10300, 4), 0);
}
END_TEST

START_TEST(gicv3_at_el3_scr_ns_chooses_the_bank)
{
    struct device *g = make_secure_gic();

    gicv3_sysreg_write(g, ICC_IGRPEN1_EL3, 0);
    stand(g, 3, NS);
    gicv3_sysreg_write(g, ICC_IGRPEN1, 1);
    ck_assert_uint_eq(sysreg(g, ICC_IGRPEN1_EL3), 1);
    stand(g, 3, 0);
    ck_assert_uint_eq(sysreg(g, ICC_IGRPEN1), 0);
    gicv3_sysreg_write(g, ICC_IGRPEN1, 1);
    ck_assert_uint_eq(sysreg(g, ICC_IGRPEN1_EL3), 3);
}
END_TEST

START_TEST(gicv3_nonsecure_priorities_are_halved_only_if_fiqs_are_el3s)
{
    struct device *g = make_secure_gic();

    gicv3_sysreg_write(g, ICC_PMR, 0xc0);
    stand(g, 1, NS);
    ck_assert_uint_eq(sysreg(g, ICC_PMR), 0xc0);
    stand(g, 1, NS | FIQ);
    ck_assert_uint_eq(sysreg(g, ICC_PMR), 0x80);
    gicv3_sysreg_write(g, ICC_PMR, 0x10);
    stand(g, 3, 0);
    ck_assert_uint_eq(sysreg(g, ICC_PMR), 0x88);
    gicv3_sysreg_write(g, ICC_PMR, 0x40);
    stand(g, 1, NS | FIQ);
    ck_assert_uint_eq(sysreg(g, ICC_PMR), 0);
    gicv3_sysreg_write(g, ICC_PMR, 0xf8); /* a Secure mask is not theirs to change */
    stand(g, 3, 0);
    ck_assert_uint_eq(sysreg(g, ICC_PMR), 0x40);
}
END_TEST

START_TEST(gicv3_nonsecure_software_makes_no_secure_interrupts)
{
    struct device *g = make_secure_gic();

    stand(g, 1, NS);
    gicv3_sysreg_write(g, ICC_SGI0R, 0ull << 24 | 1);
    gicv3_sysreg_write(g, ICC_SGI1R, 1ull << 24 | 1);
    gicv3_sysreg_write(g, SYSREG(3, 0, 12, 11, 6), 1ull << 24 | 1);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0x10200, 4), 0);
    gicv3_sysreg_write(g, ICC_SGI1R, 2ull << 24 | 1);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0x10200, 4), 4);
    stand(g, 1, 0);
    gicv3_sysreg_write(g, ICC_SGI1R, 0ull << 24 | 1); /* group 0 is Secure, too */
    gicv3_sysreg_write(g, SYSREG(3, 0, 12, 11, 6), 2ull << 24 | 1);
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0x10200, 4), 5);
    m->memory.nonsecure = true;
    ck_assert_uint_eq(in(g, GICV3_REDIST, 0x10200, 4), 4);
}
END_TEST

START_TEST(gicv3_registers_trap_to_who_takes_the_interrupts)
{
    struct device *g;

    gic_wiring.virtualization = true;
    g = make_secure_gic();
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_IAR0, false), 0);
    stand(g, 1, NS | FIQ);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_IAR0, false), 3);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_HPPIR1, false), 0);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_PMR, false), 0);
    cpu_state.hcr_el2 = 1u << 3; /* FMO: the virtual interface's */
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_IAR0, false), 0);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_SGI1R, true), 2);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_SGI1R, false), 0); /* UNDEFINED: for nobody to trap */
    cpu_state.hcr_el2 = 0;
    stand(g, 2, NS | FIQ | IRQ);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_PMR, false), 3);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_HPPIR1, false), 3);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_HPPIR1, true), 0);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_DIR, true), 3);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_DIR, false), 0);
    stand(g, 1, NS);
    gicv3_sysreg_write(g, SYSREG(3, 4, 12, 11, 0), 1u << 12); /* ICH_HCR_EL2.TALL1 */
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_HPPIR1, false), 2);
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_IAR0, false), 0);
    stand(g, 1, 0); /* Secure EL1 has no hypervisor */
    ck_assert_uint_eq(gicv3_sysreg_trap(g, ICC_HPPIR1, false), 0);
}
END_TEST

START_TEST(gicv2_a_kernel_that_comes_without_firmware_may_lower_its_mask)
{
    struct device *g;

    gic_wiring.security = true;
    gic_wiring.version = 2;
    g = add(&gicv2_ops, &gic_wiring);
    gic_all_nonsecure(g);
    m->memory.nonsecure = true;
    out(g, GICV2_DIST, 0, 4, 1);
    out(g, GICV2_CPU, 4, 4, 0xf0);
    out(g, GICV2_CPU, 0, 4, 1);
    enable(g, SPI(1), 0xa0);
    gic_set_line(g, SPI(1), true);
    ck_assert(line[0]);
    ck_assert_uint_eq(ack(g), SPI(1));
}
END_TEST

START_TEST(pl061_drives_what_is_connected_to_it)
{
    struct device *d;

    gpio_wiring.out[1] = (struct line){.set = set_line, .n = 1};
    d = add(&pl061_ops, &gpio_wiring);
    out(d, 0, 2 << 2, 4, 2); /* an input yet */
    ck_assert(!line[1]);
    out(d, 0, 0x400, 4, 3);
    ck_assert(line[1]);
    out(d, 0, 2 << 2, 4, 0);
    ck_assert(!line[1]);
    memset(&gpio_wiring, 0, sizeof(gpio_wiring));
}
END_TEST

START_TEST(gicv3_hypervisor_gives_its_guest_an_interrupt)
{
    struct device *g;
    uint64_t v;

    gic_wiring.virtualization = true;
    g = make_gic(3);
    cpu_state.hcr_el2 = 3ull << 3; /* FMO, IMO */
    enable(g, 25, 0x80);
    gicv3_sysreg_write(g, SYSREG(3, 4, 12, 11, 7), 0xf8000002);
    gicv3_sysreg_write(g, SYSREG(3, 4, 12, 11, 0), 1);
    gicv3_sysreg_write(g, SYSREG(3, 4, 12, 12, 1), 1ull << 62 | 1ull << 60 | 1ull << 41 | 0x80ull << 48 | 27);
    ck_assert(line[2] && !line[3] && !line[0]);
    ck_assert_uint_eq(ack(g), 27);
    ck_assert(!line[2]);
    eoi(g, 27);
    ck_assert(line[0]); /* maintenance: the EOI was asked for */
    gicv3_sysreg_read(g, SYSREG(3, 4, 12, 11, 3), &v);
    ck_assert_uint_eq(v, 2);
    cpu_state.el = 2;
    ck_assert_uint_eq(ack(g), 25);
}
END_TEST

START_TEST(gic_bears_random_accesses)
{
    struct device *g;
    uint32_t x = 7;
    uint64_t v;

    gic_wiring.virtualization = _i & 1;
    gic_wiring.security = _i & 2;
    g = make_gic(_i & 4 ? 3 : 2);
    for (unsigned i = 0; i < 100000; i++) {
        unsigned size = 1u << (x >> 28 & 3);
        unsigned range = (x >> 20) % (_i & 4 ? 2 : 4);
        uint64_t offset = (x >> 3 & (range == 1 && _i & 4 ? 0x1ffff : 0xffff)) & ~(uint64_t)(size - 1);

        x = x * 1664525 + 1013904223;
        cpu_state.el = x >> 9 & 3;
        cpu_state.scr_el3 = x >> 11 & 7;
        m->memory.nonsecure = x >> 14 & 1;
        if (x & 0x40000)
            offset &= 0xfff;
        if (x >> 31)
            out(g, range, offset, size, x * 2654435761u);
        else
            in(g, range, offset, size);
        if (_i & 4) {
            gicv3_sysreg_write(g, SYSREG(3, x & 4 ? 4 : 0, 12, 8 + (x >> 13) % 6, x >> 17 & 7), x);
            gicv3_sysreg_read(g, SYSREG(3, x & 4 ? 4 : 0, 12, 8 + (x >> 14) % 6, x >> 18 & 7), &v);
        }
        gic_set_line(g, 16 + (x >> 5) % 272, x >> 30 & 1);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("virt chips");
    TCase *t = tcase_create("chips");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, pl011_sends_bytes_and_never_looks_full);
    tcase_add_test(t, pl011_interrupts_at_the_trigger_level_and_after_a_silence);
    tcase_add_test(t, pl011_takes_as_much_as_its_fifo_holds_and_reports_an_overrun);
    tcase_add_test(t, pl011_transmit_interrupt_comes_after_the_byte);
    tcase_add_test(t, primecells_have_their_identification);
    tcase_add_test(t, pl011_loopback_brings_the_modem_outputs_back_with_their_interrupts);
    tcase_add_test(t, pl011_overrun_stays_in_rsr_until_ecr_is_written);
    tcase_add_test(t, pl011_break_in_loopback_belongs_to_its_character);
    tcase_add_test(t, primecell_registers_have_the_bits_of_their_manuals);
    tcase_add_test(t, pl031_match_is_noticed_when_rtclr_makes_it);
    tcase_add_test(t, pl031_shows_the_hosts_date_and_counts_virtual_seconds);
    tcase_add_test(t, pl031_alarm_comes_with_the_second_that_matches);
    tcase_add_test(t, pl061_power_key_is_an_edge_each_way);
    tcase_add_test(t, pl061_data_is_masked_by_the_address);
    tcase_add_test(t, flash_is_erased_to_ones_and_programming_clears_bits);
    tcase_add_test(t, flash_write_buffer_programs_what_was_counted);
    tcase_add_test(t, flash_answers_the_cfi_query);
    tcase_add_test(t, flash_bears_random_commands);
    tcase_add_test(t, fw_cfg_gives_an_item_through_memory_registers_of_any_width);
    tcase_add_test(t, fw_cfg_dma_tells_of_its_own_errors_only);
    tcase_add_test(t, empty_virtio_slots_say_so);
    tcase_add_loop_test(t, gic_level_interrupt_goes_away_with_its_line, 2, 4);
    tcase_add_loop_test(t, gic_edge_interrupt_is_remembered_once, 2, 4);
    tcase_add_loop_test(t, gic_higher_priority_preempts_and_equal_does_not, 2, 4);
    tcase_add_test(t, gicv2_without_group_priorities_nothing_preempts);
    tcase_add_loop_test(t, gic_priority_mask_holds_interrupts_back, 2, 4);
    tcase_add_loop_test(t, gic_lowest_number_comes_first_among_equals, 2, 4);
    tcase_add_loop_test(t, gic_software_interrupt_to_oneself, 2, 4);
    tcase_add_loop_test(t, gic_split_end_drops_the_priority_and_deactivates_later, 2, 4);
    tcase_add_test(t, gicv2_group_0_can_be_fiq);
    tcase_add_test(t, gicv2_identifies_itself);
    tcase_add_test(t, gicv3_identifies_itself);
    tcase_add_test(t, gicv3_private_interrupts_are_in_the_redistributor);
    tcase_add_test(t, gicv3_interrupt_routed_elsewhere_does_not_come);
    tcase_add_test(t, gicv3_group_0_is_fiq);
    tcase_add_test(t, gic_nonsecure_accesses_see_only_group_1);
    tcase_add_test(t, gicv2_nonsecure_cpu_interface_has_half_of_the_priorities);
    tcase_add_test(t, gicv3_groups_are_irq_or_fiq_by_where_the_cpu_is);
    tcase_add_test(t, gicv3_el3_is_told_whose_group_1_interrupt_is_pending);
    tcase_add_test(t, gicv3_at_el3_scr_ns_chooses_the_bank);
    tcase_add_test(t, gicv3_nonsecure_priorities_are_halved_only_if_fiqs_are_el3s);
    tcase_add_test(t, gicv3_nonsecure_software_makes_no_secure_interrupts);
    tcase_add_test(t, gicv3_registers_trap_to_who_takes_the_interrupts);
    tcase_add_test(t, gicv2_a_kernel_that_comes_without_firmware_may_lower_its_mask);
    tcase_add_test(t, pl061_drives_what_is_connected_to_it);
    tcase_add_test(t, gicv3_hypervisor_gives_its_guest_an_interrupt);
    tcase_add_loop_test(t, gic_bears_random_accesses, 0, 8);
    suite_add_tcase(suite, t);
    return suite;
}
