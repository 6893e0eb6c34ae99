/*
 * Displays that are plugged in: their registers, as QEMU's description of the interface has them, EDID, and what they show.
 */
#define BENCH_PAGES 16384u
#include "tests/vm/disk_bench.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/bochs_display.h"
#include "vm/dev/display.h"
#include "vm/dev/edid.h"
#include "vm/dev/fwcfg.h"
#include "vm/dev/parts.h"
#include "vm/dev/ramfb.h"
#include "vm/dev/vga.h"

#define FRAME (BENCH_BAR_AT + 0x01000000u)
#define REGS  (BENCH_BAR_AT + 0x00010000u)
#define VBE(n) (REGS + 0x500u + 2 * (n))
enum { ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY_64K };

static struct fwcfg_wiring fwcfg;

static int plug(plug_fn *fn, const char *text, struct error *e)
{
    struct sockets s = {.pci = &bench_bus, .machine = m, .fwcfg = &fwcfg};

    return bench_plug(&s, "dut", fn, text, NULL, e);
}

static struct pci_function *function(void)
{
    return pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
}

static void new_display(plug_fn *fn, const char *text)
{
    struct error e;

    new_disk_bench();
    ck_assert_msg(plug(fn, text, &e) == 0, "%s", e.text);
    reset_all();
    pci_config_write(function(), PCI_BAR0, 4, FRAME);
    pci_config_write(function(), PCI_BAR0 + 8, 4, REGS);
    pci_config_write(function(), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static uint16_t vbe(unsigned n)
{
    return (uint16_t)memory_read(&m->memory, VBE(n), 2);
}

static void set_vbe(unsigned n, unsigned value)
{
    memory_write(&m->memory, VBE(n), 2, value);
}

static void set_mode(unsigned width, unsigned height, unsigned bpp)
{
    set_vbe(ENABLE, 0);
    set_vbe(XRES, width);
    set_vbe(YRES, height);
    set_vbe(BPP, bpp);
    set_vbe(ENABLE, 0x41);
}

/* What is shown: the size and a pixel as 0xRRGGBB; or nothing, and width is 0. */
static unsigned width, height;

static uint32_t pixel(unsigned x, unsigned y)
{
    struct display_picture p;
    struct error e;
    uint32_t rgb = 0;

    display_picture_init(&p);
    width = height = 0;
    if (display_draw(m, "dut", 0, &p, &e) == 0) {
        width = p.width;
        height = p.height;
        ck_assert_uint_eq(p.rgb.len, (size_t)width * height * 3);
        rgb = (uint32_t)p.rgb.data[3 * (y * width + x)] << 16 | (uint32_t)p.rgb.data[3 * (y * width + x) + 1] << 8 |
              p.rgb.data[3 * (y * width + x) + 2];
    } else {
        ck_assert_int_eq(e.code, -ENODATA);
    }
    display_picture_finish(&p);
    return rgb;
}

static bool shows_nothing(void)
{
    pixel(0, 0);
    return !width;
}

/* ---- EDID ---- */

static void check_edid(const uint8_t *b, unsigned xres, unsigned yres)
{
    uint8_t sum = 0;
    uint64_t total;

    for (unsigned i = 0; i < 128; i++)
        sum = (uint8_t)(sum + b[i]);
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(get_be64(b), 0x00ffffffffffff00ull);
    ck_assert_uint_eq(get_be16(b + 8), 8 << 10 | 4 << 5 | 3); /* HDC */
    ck_assert_uint_eq(b[18], 1);
    ck_assert_uint_eq(b[19], 4);
    ck_assert_uint_eq(b[126], 0);
    ck_assert_uint_eq(b[56] | (b[58] & 0xf0u) << 4, xres);
    ck_assert_uint_eq(b[59] | (b[61] & 0xf0u) << 4, yres);
    total = (uint64_t)(xres + (b[57] | (b[58] & 15u) << 8)) * (yres + (b[60] | (b[61] & 15u) << 8));
    if (total * 60 < 655000000) { /* 60 Hz, with a clock that is a multiple of 250 kHz */
        ck_assert_uint_le(get_le16(b + 54) * 10000ull, total * 60);
        ck_assert_uint_gt(get_le16(b + 54) * 10000ull + 250000, total * 60);
    }
    ck_assert_int_eq(memcmp(b + 72, "\0\0\0\xfc\0hindcast\n    ", 18), 0);
}

START_TEST(edid_says_what_size_is_wanted)
{
    static const unsigned sizes[][2] = {{64, 64}, {640, 480}, {1024, 768}, {1280, 800}, {1366, 768}, {1920, 1080}, {2560, 1600},
                                        {3840, 2160}, {4095, 4095}, {64, 4095}, {4095, 64}};
    uint8_t b[EDID_BYTES];

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        edid_make(b, sizes[i][0], sizes[i][1]);
        check_edid(b, sizes[i][0], sizes[i][1]);
    }
    /* CVT 1.1 with reduced blanking: 1920x1080 at 60 Hz is 138.5 MHz, 2080 by 1111. */
    edid_make(b, 1920, 1080);
    ck_assert_uint_eq(get_le16(b + 54), 13850);
    ck_assert_uint_eq(b[57], 160);
    ck_assert_uint_eq(b[60], 31);
    ck_assert_uint_eq(b[62], 48);
    ck_assert_uint_eq(b[63], 32);
    ck_assert_uint_eq(b[64], 0x35);
    ck_assert_uint_eq(b[35], 0x21); /* established: 640x480, 800x600; */
    ck_assert_uint_eq(b[36], 0x08); /* 1024x768 */
    edid_make(b, 640, 480);
    ck_assert_uint_eq(b[35], 0x20);
    ck_assert_uint_eq(b[36], 0);
    ck_assert_uint_eq(get_le16(b + 38), 0x0101);
}
END_TEST

/* ---- bochs-display ---- */

START_TEST(bochs_display_is_the_pci_function_that_drivers_look_for)
{
    new_display(bochs_display_plug, "bochs-display,vgamem=5M");
    ck_assert_uint_eq(pci_config_read(function(), PCI_VENDOR, 4), 0x11111234);
    ck_assert_uint_eq(pci_config_read(function(), PCI_REVISION, 4), 0x03800002);
    ck_assert_uint_eq(pci_config_read(function(), PCI_SUBSYSTEM_VENDOR, 4), 0x11001af4);
    ck_assert_uint_eq(pci_config_read(function(), PCI_BAR0, 4), FRAME | 8);
    pci_config_write(function(), PCI_BAR0, 4, 0xffffffff);
    ck_assert_uint_eq(pci_config_read(function(), PCI_BAR0, 4), 0xff800008); /* a power of two: 8 MiB */
    pci_config_write(function(), PCI_BAR0 + 8, 4, 0xffffffff);
    ck_assert_uint_eq(pci_config_read(function(), PCI_BAR0 + 8, 4), 0xfffff000);
    ck_assert_uint_eq(pci_config_read(function(), PCI_INTERRUPT_PIN, 1), 0);
}
END_TEST

START_TEST(bochs_display_registers_are_kept)
{
    static const uint8_t kept[] = {XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET};

    new_display(bochs_display_plug, "bochs-display");
    for (unsigned i = 0; i < sizeof(kept); i++) {
        ck_assert_uint_eq(vbe(kept[i]), 0);
        set_vbe(kept[i], 0x1230 + kept[i]);
    }
    for (unsigned i = 0; i < sizeof(kept); i++)
        ck_assert_uint_eq(vbe(kept[i]), 0x1230 + kept[i]);
    set_vbe(ID, 0x1111);
    set_vbe(MEMORY_64K, 0x1111);
    ck_assert_uint_eq(vbe(ID), 0xb0c5);
    ck_assert_uint_eq(vbe(MEMORY_64K), 256);
    ck_assert_uint_eq(memory_read(&m->memory, VBE(XRES), 4), 0x12321231); /* two of them */
    memory_write(&m->memory, VBE(XRES) + 1, 1, 0x77);
    ck_assert_uint_eq(vbe(XRES), 0x7731);
    ck_assert_uint_eq(memory_read(&m->memory, VBE(11), 2), 0);
    ck_assert_uint_eq(memory_read(&m->memory, REGS + 0x600, 4), 8);
    ck_assert_uint_eq(memory_read(&m->memory, REGS + 0x604, 4), 0x1e1e1e1e);
    memory_write(&m->memory, REGS + 0x604, 4, 0xbebebebe);
    ck_assert_uint_eq(memory_read(&m->memory, REGS + 0x604, 4), 0xbebebebe);
    memory_write(&m->memory, REGS + 0x604, 4, 0x12345678);
    ck_assert_uint_eq(memory_read(&m->memory, REGS + 0x604, 4), 0xbebebebe);
    reset_all();
    pci_config_write(function(), PCI_BAR0 + 8, 4, REGS);
    pci_config_write(function(), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    ck_assert_uint_eq(vbe(XRES), 0);
    ck_assert_uint_eq(memory_read(&m->memory, REGS + 0x604, 4), 0x1e1e1e1e);
}
END_TEST

START_TEST(bochs_display_has_an_edid_unless_it_shall_not)
{
    uint8_t b[EDID_BYTES];

    new_display(bochs_display_plug, "bochs-display,xres=1440,yres=900");
    memory_read(&m->memory, REGS, 1);
    for (unsigned i = 0; i < EDID_BYTES; i++)
        b[i] = (uint8_t)memory_read(&m->memory, REGS + i, 1);
    check_edid(b, 1440, 900);
    ck_assert_uint_eq(memory_read(&m->memory, REGS, 8), 0x00ffffffffffff00ull);
    new_display(bochs_display_plug, "bochs-display,edid=off");
    ck_assert_uint_eq(memory_read(&m->memory, REGS, 8), 0);
}
END_TEST

START_TEST(bochs_display_shows_its_framebuffer)
{
    new_display(bochs_display_plug, "bochs-display,vgamem=4M");
    ck_assert(shows_nothing());
    set_mode(64, 100, 32);
    memory_write(&m->memory, FRAME + (64 * 99 + 63) * 4, 4, 0x00123456);
    ck_assert_uint_eq(pixel(63, 99), 0x123456);
    ck_assert_uint_eq(width, 64);
    ck_assert_uint_eq(height, 100);
    set_vbe(VIRT_WIDTH, 200);
    set_vbe(X_OFFSET, 3);
    set_vbe(Y_OFFSET, 5);
    memory_write(&m->memory, FRAME + (200 * 5 + 3) * 4, 4, 0x00abcdef);
    ck_assert_uint_eq(pixel(0, 0), 0xabcdef);
    memory_write(&m->memory, REGS + 0x604, 4, 0xbebebebe);
    ck_assert_uint_eq(pixel(0, 0), 0xcdab00);
    set_vbe(VIRT_WIDTH, 0);
    set_vbe(X_OFFSET, 0);
    set_vbe(Y_OFFSET, 0);
    set_mode(64, 64, 16);
    memory_write(&m->memory, FRAME + 2, 2, 0xf81f);
    ck_assert_uint_eq(pixel(1, 0), 0xff00ff);
    memory_write(&m->memory, FRAME + 2, 2, 0x07e0);
    ck_assert_uint_eq(pixel(1, 0), 0x00ff00);
}
END_TEST

START_TEST(bochs_display_shows_no_mode_that_it_has_not)
{
    new_display(bochs_display_plug, "bochs-display,vgamem=4M");
    set_mode(1024, 1024, 32);
    ck_assert(!shows_nothing());
    set_vbe(Y_OFFSET, 1); /* one line too many */
    ck_assert(shows_nothing());
    set_vbe(Y_OFFSET, 0);
    set_mode(63, 64, 32);
    ck_assert(shows_nothing());
    set_mode(64, 63, 32);
    ck_assert(shows_nothing());
    set_mode(640, 480, 24);
    ck_assert(shows_nothing());
    set_mode(640, 480, 8);
    ck_assert(shows_nothing());
    set_mode(65535, 65535, 32);
    ck_assert(shows_nothing());
    set_mode(640, 480, 32);
    set_vbe(VIRT_WIDTH, 65535);
    ck_assert(shows_nothing());
    set_vbe(VIRT_WIDTH, 0);
    ck_assert(!shows_nothing());
    set_vbe(ENABLE, 0x40);
    ck_assert(shows_nothing());
}
END_TEST

START_TEST(properties_that_make_no_sense_are_refused)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"bochs-display,vgamem=1M", "vgamem=1M: from 4M to 256M"}, {"bochs-display,vgamem=512M", "vgamem=512M: from 4M to 256M"},
        {"bochs-display,vgamem=256M", "no room"}, {"bochs-display,xres=63", "xres"}, {"bochs-display,yres=4096", "yres"},
        {"bochs-display,edid=perhaps", "edid"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct error e = {0};

        new_disk_bench();
        ck_assert_int_eq(plug(bochs_display_plug, bad[i].text, &e), -EINVAL);
        ck_assert_msg(strstr(e.text, bad[i].says) != NULL, "%s", e.text);
    }
}
END_TEST

START_TEST(boards_reserve_the_memory_of_displays)
{
    struct machine_parts p = {.ndevices = 5, .devices = {"bochs-display", "virtio-rng-pci", "bochs-display,vgamem=5M,id=x", "secondary-vga",
                                                         "bochs-display,vgamem=1G"}};

    ck_assert_uint_eq(parts_storage(&p), (16u << 20) + (8u << 20) + VGA_MEMORY_BYTES + VGA_TEXT_BYTES);
    ck_assert_uint_eq(parts_storage(NULL), 0);
}
END_TEST

/* ---- secondary-vga ---- */

START_TEST(secondary_vga_is_a_vga_by_its_base_addresses)
{
    uint8_t b[EDID_BYTES];

    new_display(secondary_vga_plug, "secondary-vga,xres=800,yres=600");
    ck_assert_uint_eq(pci_config_read(function(), PCI_VENDOR, 4), 0x11111234);
    ck_assert_uint_eq(pci_config_read(function(), PCI_REVISION, 4), 0x03800002);
    pci_config_write(function(), PCI_COMMAND, 2, 0xffff);
    ck_assert_uint_eq(pci_config_read(function(), PCI_COMMAND, 2), PCI_COMMAND_MEMORY); /* no ports */
    for (unsigned i = 0; i < EDID_BYTES; i++)
        b[i] = (uint8_t)memory_read(&m->memory, REGS + i, 1);
    check_edid(b, 800, 600);
    memory_write(&m->memory, REGS + 0x402, 1, 0xe7); /* 3C2h */
    ck_assert_uint_eq(memory_read(&m->memory, REGS + 0x40c, 1), 0xe7);
    set_mode(640, 480, 32);
    memory_write(&m->memory, FRAME + (640 * 479 + 639) * 4, 4, 0x00fedcba);
    ck_assert_uint_eq(pixel(639, 479), 0xfedcba);
    ck_assert_uint_eq(vbe(MEMORY_64K), 256);
}
END_TEST

/* ---- ramfb ---- */

#define FWCFG    0x20000000u
#define CONTROL  0x1000u
#define CONTENTS 0x2000u
#define PICTURE  0x10000u
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SELECT = 8, DMA_WRITE = 16 };

/* A DMA command of the configuration device; what it leaves in the control word. */
static uint32_t dma(unsigned key, unsigned command, uint64_t address, uint32_t len)
{
    uint8_t c[16];

    put_be32(c, key << 16 | command);
    put_be32(c + 4, len);
    put_be64(c + 8, address);
    poke(CONTROL, c, sizeof(c));
    memory_write(&m->memory, FWCFG + 16, 8, __builtin_bswap64(CONTROL));
    return __builtin_bswap32(peek32(CONTROL));
}

static uint32_t configure(uint64_t address, const char *fourcc, uint32_t w, uint32_t h, uint32_t stride)
{
    uint8_t c[28] = {0};

    put_be64(c, address);
    put_be32(c + 8, get_le32(fourcc));
    put_be32(c + 16, w);
    put_be32(c + 20, h);
    put_be32(c + 24, stride);
    poke(CONTENTS, c, sizeof(c));
    return dma(FWCFG_FILE_FIRST, DMA_SELECT | DMA_WRITE, CONTENTS, sizeof(c));
}

static void new_ramfb(void)
{
    struct region r = {.base = FWCFG, .size = 24, .kind = REGION_MMIO, .range = FWCFG_MMIO, .enabled = true};
    struct error e;

    new_disk_bench();
    fwcfg_finish(&fwcfg);
    fwcfg = (struct fwcfg_wiring){0};
    ck_assert_int_eq(plug(ramfb_plug, "ramfb", &e), 0);
    ck_assert_int_eq(plug(ramfb_plug, "ramfb", &e), -EINVAL);
    fwcfg_add_file(&fwcfg, "etc/other", "other", 5);
    fwcfg_seal(&fwcfg);
    r.dev = machine_add_device(m, &fwcfg_ops, "fwcfg", &fwcfg);
    memory_map(&m->memory, &r);
    reset_all();
}

START_TEST(ramfb_shows_what_firmware_has_told_it_of)
{
    static const struct {
        char fourcc[5];
        uint32_t raw, rgb;
    } formats[] = {{"XR24", 0x11223344, 0x223344}, {"AR24", 0x11223344, 0x223344}, {"XB24", 0x11223344, 0x443322},
                   {"AB24", 0x11223344, 0x443322}, {"RG24", 0x00223344, 0x223344}, {"RG16", 0x0000f800, 0xff0000}};

    new_ramfb();
    ck_assert(shows_nothing());
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        unsigned bytes = i < 4 ? 4 : i == 4 ? 3 : 2;

        ck_assert_uint_eq(configure(PICTURE, formats[i].fourcc, 16, 20, i % 2 ? 0 : 100), 0);
        memory_write(&m->memory, PICTURE + 19 * (i % 2 ? 16 * bytes : 100) + 15 * bytes, bytes, formats[i].raw);
        ck_assert_uint_eq(pixel(15, 19), formats[i].rgb);
        ck_assert_uint_eq(width, 16);
        ck_assert_uint_eq(height, 20);
    }
    ck_assert_uint_eq(dma(FWCFG_FILE_FIRST, DMA_SELECT | DMA_READ, CONTENTS + 100, 28), 0);
    ck_assert_uint_eq(memory_read(&m->memory, CONTENTS + 100 + 8, 4), __builtin_bswap32(get_le32("RG16")));
    reset_all();
    ck_assert(shows_nothing());
}
END_TEST

START_TEST(ramfb_goes_on_showing_what_it_did_if_it_is_told_nonsense)
{
    new_ramfb();
    memory_write(&m->memory, PICTURE, 4, 0x00112233);
    ck_assert_uint_eq(configure(PICTURE, "XR24", 64, 64, 0), 0);
    configure(PICTURE, "NV12", 64, 64, 0);
    configure(PICTURE, "XR24", 15, 64, 0);
    configure(PICTURE, "XR24", 64, 15, 0);
    configure(PICTURE, "XR24", 16001, 64, 0);
    configure(PICTURE, "XR24", 64, 12001, 0);
    configure(PICTURE, "XR24", 64, 64, 255);                  /* lines overlap */
    configure(RAM_BYTES - 64 * 64 * 4 + 1, "XR24", 64, 64, 0); /* beyond memory */
    configure(UINT64_MAX - 100, "XR24", 64, 64, 0);
    configure(FWCFG & ~0xfffu, "XR24", 64, 64, 0);
    ck_assert_uint_eq(pixel(0, 0), 0x112233);
    ck_assert_uint_eq(width, 64);
    ck_assert_uint_eq(configure(RAM_BYTES - 64 * 64 * 4, "XR24", 64, 64, 0), 0);
    memory_write(&m->memory, RAM_BYTES - 4, 4, 0x00778899);
    ck_assert_uint_eq(pixel(63, 63), 0x778899);
}
END_TEST

START_TEST(only_files_that_are_for_it_can_be_written)
{
    new_ramfb();
    configure(PICTURE, "XR24", 64, 64, 0);
    ck_assert_uint_eq(dma(FWCFG_FILE_FIRST, DMA_SELECT | DMA_WRITE, CONTENTS, 29), DMA_ERROR); /* one byte too many: none is written */
    ck_assert_uint_eq(dma(FWCFG_FILE_FIRST + 1, DMA_SELECT | DMA_WRITE, CONTENTS, 5), DMA_ERROR);
    ck_assert_uint_eq(dma(FWCFG_FILE_DIR, DMA_SELECT | DMA_WRITE, CONTENTS, 4), DMA_ERROR);
    ck_assert_uint_eq(dma(0x4444, DMA_SELECT | DMA_WRITE, CONTENTS, 4), DMA_ERROR);
    ck_assert_uint_eq(dma(FWCFG_FILE_FIRST, DMA_SELECT | DMA_WRITE, 0x90000000u, 28), DMA_ERROR); /* no memory */
    ck_assert_uint_eq(dma(FWCFG_FILE_FIRST + 1, DMA_SELECT | DMA_READ, CONTENTS, 5), 0);
    ck_assert_uint_eq(memory_read(&m->memory, CONTENTS, 4), get_le32("othe"));
    ck_assert(!shows_nothing());
    /* In two pieces. */
    configure(PICTURE, "XR24", 32, 16, 0);
    poke32(CONTENTS, 0);
    put_be32(m->memory.host + CONTENTS, 24);
    ck_assert_uint_eq(dma(FWCFG_FILE_FIRST, DMA_SELECT, 0, 0), 0);
    ck_assert_uint_eq(dma(0, 4, 0, 20), 0); /* skip */
    ck_assert_uint_eq(dma(0, DMA_WRITE, CONTENTS, 4), 0);
    ck_assert(!shows_nothing());
    ck_assert_uint_eq(height, 24);
}
END_TEST

static void end(void)
{
    fwcfg_finish(&fwcfg);
    teardown();
}

Suite *test_suite(void)
{
    Suite *suite = suite_create("display");
    TCase *tc = tcase_create("display");

    tcase_add_checked_fixture(tc, setup, end);
    tcase_set_timeout(tc, 60);
#define ADD(t) tcase_add_test(tc, t)
    ADD(edid_says_what_size_is_wanted);
    ADD(bochs_display_is_the_pci_function_that_drivers_look_for);
    ADD(bochs_display_registers_are_kept);
    ADD(bochs_display_has_an_edid_unless_it_shall_not);
    ADD(bochs_display_shows_its_framebuffer);
    ADD(bochs_display_shows_no_mode_that_it_has_not);
    ADD(properties_that_make_no_sense_are_refused);
    ADD(boards_reserve_the_memory_of_displays);
    ADD(secondary_vga_is_a_vga_by_its_base_addresses);
    ADD(ramfb_shows_what_firmware_has_told_it_of);
    ADD(ramfb_goes_on_showing_what_it_did_if_it_is_told_nonsense);
    ADD(only_files_that_are_for_it_can_be_written);
    suite_add_tcase(suite, tc);
    return suite;
}
