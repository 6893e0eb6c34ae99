/*
 * The VGA as a program sees it through ports and memory, and its pictures.
 */
#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "i386/pc.h"
#include "i386/pc/board.h"
#include "tests/check_main.h"
#include "vm/dev/display.h"

#define MIB ((uint64_t)1 << 20)

static struct machine *m;
static struct pc *pc;
static struct error err;
static struct buffer out;

static uint64_t no_clock(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    return 0;
}

static const struct machine_env env = {.host_clock = no_clock};

/* A kernel that stands still: jmp . */
static void make(enum pc_vga vga, const char *options)
{
    static uint8_t kernel[64] = {0x02, 0xb0, 0xad, 0x1b, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x4f, 0x51, 0xe4,
                                 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x10, 0x00, 0, 0, 0, 0, 0, 0, 0, 0,
                                 0x20, 0x00, 0x10, 0x00, 0xeb, 0xfe};
    struct pc_config c = PC_CONFIG_INIT;

    c.memory_bytes = 16 * MIB;
    c.vga = vga;
    c.vga_options = options;
    c.kernel = (struct boot_image){.data = kernel, .len = sizeof(kernel), .name = "kernel"};
    ck_assert_msg(pc_create(&m, &c, &err) == 0, "%s", err.text);
    m->env = &env;
    pc = m->board;
    buffer_init(&out);
}

static void setup(void)
{
    make(PC_VGA_STD, NULL);
}

static void teardown(void)
{
    buffer_finish(&out);
    machine_destroy(m);
}

static uint8_t in(uint16_t port)
{
    return (uint8_t)ports_read(&pc->ports, port, 1);
}

static void outb(uint16_t port, uint8_t value)
{
    ports_write(&pc->ports, port, 1, value);
}

static void outw(uint16_t port, uint16_t value)
{
    ports_write(&pc->ports, port, 2, value);
}

static void set(uint16_t port, uint8_t index, uint8_t value)
{
    outb(port, index);
    outb((uint16_t)(port + 1), value);
}

static void attr(uint8_t index, uint8_t value)
{
    in(0x3da);
    outb(0x3c0, index);
    outb(0x3c0, value);
}

static uint8_t peek8(uint32_t at)
{
    return (uint8_t)memory_read(&m->memory, at, 1);
}

static void poke8(uint32_t at, uint8_t value)
{
    memory_write(&m->memory, at, 1, value);
}

static const char *screen(void)
{
    buffer_clear(&out);
    ck_assert_msg(display_read(m, NULL, 0, &out, &err) == 0, "%s", err.text);
    buffer_append_byte(&out, 0);
    return (const char *)out.data;
}

/* The picture's size, and a pixel of it as 0xRRGGBB. */
static unsigned width, height;

static uint32_t pixel(unsigned x, unsigned y)
{
    struct display_picture picture;
    const uint8_t *p;
    uint32_t rgb;

    display_picture_init(&picture);
    ck_assert_int_eq(display_draw(m, NULL, 0, &picture, &err), 0);
    width = picture.width;
    height = picture.height;
    ck_assert_uint_eq(picture.rgb.len, (size_t)width * height * 3);
    p = picture.rgb.data + 3 * (y * width + x);
    rgb = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    display_picture_finish(&picture);
    return rgb;
}

START_TEST(screen_is_blank_text_when_a_kernel_starts)
{
    const char *text = screen();

    ck_assert_uint_eq(strspn(text, "\n"), 25);
    ck_assert_uint_eq(memory_read(&m->memory, 0xb8000, 4), 0x07200720);
    ck_assert_uint_eq(in(0x3cc), 0x67);
    ck_assert_uint_eq(in(0x3b4), 0xff); /* the colour addresses answer, the others do not */
    outb(0x3d4, 0x09);
    ck_assert_uint_eq(in(0x3d5), 0x4f);
}
END_TEST

START_TEST(text_memory_is_what_the_screen_shows)
{
    memory_write(&m->memory, 0xb8000, 8, 0x07c907b307410748ull); /* H A and two line characters */
    poke8(0xb8000 + 24 * 160 + 158, 'x');
    ck_assert_int_eq(strncmp(screen(), "HA\u2502\u2554\n\n", 10), 0);
    ck_assert_ptr_nonnull(strstr(screen(), " x\n"));
    /* The same cells through the planes. */
    set(0x3c4, 4, 0x06);
    set(0x3ce, 5, 0x00);
    set(0x3ce, 6, 0x04);
    set(0x3ce, 4, 0);
    ck_assert_uint_eq(peek8(0xa0000), 'H');
    ck_assert_uint_eq(peek8(0xa0002), 'A');
    set(0x3ce, 4, 1);
    ck_assert_uint_eq(peek8(0xa0000), 0x07);
    ck_assert_uint_eq(peek8(0xb8000), 0xff); /* the window is elsewhere now */
}
END_TEST

START_TEST(start_address_scrolls_the_screen)
{
    poke8(0xb8000 + 160, 'S');
    set(0x3d4, 0x0c, 0);
    set(0x3d4, 0x0d, 80);
    ck_assert_int_eq(screen()[0], 'S');
}
END_TEST

START_TEST(font_and_cursor_are_drawn)
{
    /* A glyph whose first row is all set, through plane 2 as a driver loads fonts. */
    set(0x3c4, 2, 0x04);
    set(0x3c4, 4, 0x06);
    set(0x3ce, 5, 0x00);
    set(0x3ce, 6, 0x00);
    poke8(0xa0000 + 'A' * 32, 0xff);
    set(0x3c4, 2, 0x03);
    set(0x3c4, 4, 0x02);
    set(0x3ce, 5, 0x10);
    set(0x3ce, 6, 0x0e);
    memory_write(&m->memory, 0xb8000, 2, 0x1e41); /* yellow on blue */
    ck_assert_uint_eq(pixel(0, 0), 0xffff55);
    ck_assert_uint_eq(width, 720);
    ck_assert_uint_eq(height, 400);
    ck_assert_uint_eq(pixel(8, 0), 0x0000aa); /* the ninth dot */
    /* Cursor at column 1, lines 13 to 14. */
    set(0x3d4, 0x0a, 13);
    set(0x3d4, 0x0b, 14);
    set(0x3d4, 0x0e, 0);
    set(0x3d4, 0x0f, 1);
    ck_assert_uint_eq(pixel(9, 13), 0xaaaaaa);
    ck_assert_uint_eq(pixel(9, 12), 0x000000);
    set(0x3d4, 0x0a, 0x20 | 13);
    ck_assert_uint_eq(pixel(9, 13), 0x000000);
    /* Switched off. */
    in(0x3da);
    outb(0x3c0, 0);
    ck_assert_uint_eq(pixel(0, 0), 0x000000);
}
END_TEST

/* Mode 12h, 640x480 in 16 colours, as far as memory is concerned. */
static void planar(void)
{
    set(0x3c4, 2, 0x0f);
    set(0x3c4, 4, 0x06);
    set(0x3ce, 5, 0x00);
    set(0x3ce, 6, 0x05);
    set(0x3ce, 8, 0xff);
}

static void expect_planes(uint32_t at, unsigned p0, unsigned p1, unsigned p2, unsigned p3)
{
    const unsigned want[4] = {p0, p1, p2, p3};

    set(0x3ce, 5, 0x00);
    for (uint8_t p = 0; p < 4; p++) {
        set(0x3ce, 4, p);
        ck_assert_uint_eq(peek8(at), want[p]);
    }
}

START_TEST(write_modes_and_latches)
{
    planar();
    /* Mode 0: map mask, rotation, set/reset, bit mask. */
    poke8(0xa0000, 0x81);
    expect_planes(0xa0000, 0x81, 0x81, 0x81, 0x81);
    set(0x3c4, 2, 0x05);
    set(0x3ce, 3, 1);
    poke8(0xa0000, 0x81);
    expect_planes(0xa0000, 0xc0, 0x81, 0xc0, 0x81);
    planar();
    set(0x3ce, 3, 0);
    set(0x3ce, 0, 0x0a);
    set(0x3ce, 1, 0x0f);
    set(0x3ce, 8, 0x0f);
    peek8(0xa0000); /* latches */
    poke8(0xa0000, 0x00);
    expect_planes(0xa0000, 0xc0, 0x8f, 0xc0, 0x8f);
    /* Mode 1 copies. */
    planar();
    set(0x3ce, 1, 0);
    peek8(0xa0000);
    set(0x3ce, 5, 0x01);
    poke8(0xa0100, 0x55);
    expect_planes(0xa0100, 0xc0, 0x8f, 0xc0, 0x8f);
    /* Mode 2: a colour; XOR with the latches. */
    planar();
    set(0x3ce, 3, 0x18);
    peek8(0xa0100);
    set(0x3ce, 5, 0x02);
    set(0x3ce, 8, 0xf0);
    poke8(0xa0100, 0x03);
    expect_planes(0xa0100, 0x30, 0x7f, 0xc0, 0x8f);
    /* Mode 3: the byte is a mask for the set/reset colour. */
    planar();
    set(0x3ce, 3, 0);
    poke8(0xa0200, 0);
    set(0x3ce, 0, 0x05);
    peek8(0xa0200);
    set(0x3ce, 5, 0x03);
    poke8(0xa0200, 0x3c);
    expect_planes(0xa0200, 0x3c, 0x00, 0x3c, 0x00);
    /* Read mode 1: where the colour is 5. */
    set(0x3ce, 2, 0x05);
    set(0x3ce, 7, 0x0f);
    set(0x3ce, 5, 0x08);
    ck_assert_uint_eq(peek8(0xa0200), 0x3c);
}
END_TEST

START_TEST(chained_odd_and_even_share_a_byte_of_the_plane)
{
    planar();
    for (uint32_t i = 0; i < 2; i++) {
        poke8(0xa1000 + i, 0);
        poke8(0xa2000 + i, 0);
    }
    set(0x3c4, 2, 0x04);
    set(0x3ce, 4, 2);
    set(0x3ce, 6, 0x07); /* chain odd/even; the sequencer says sequential */
    poke8(0xa1000, 0x11);
    poke8(0xa1001, 0x22);
    ck_assert_uint_eq(peek8(0xa1000), 0x22);
    ck_assert_uint_eq(peek8(0xa1001), 0x22);
    set(0x3ce, 6, 0x05);
    ck_assert_uint_eq(peek8(0xa1000), 0x22);
    ck_assert_uint_eq(peek8(0xa1001), 0x00);
    /* The sequencer alone chooses planes and leaves the address as it is. */
    set(0x3c4, 2, 0x0f);
    set(0x3c4, 4, 0x02);
    poke8(0xa2000, 0x33);
    poke8(0xa2001, 0x44);
    set(0x3c4, 4, 0x06);
    expect_planes(0xa2000, 0x33, 0, 0x33, 0);
    expect_planes(0xa2001, 0, 0x44, 0, 0x44);
}
END_TEST

START_TEST(vga_registers_have_the_bits_of_the_reference)
{
    static const uint8_t seq[] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e}, gr[] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff},
                         ar[] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};

    for (uint8_t i = 0; i < sizeof(seq); i++) {
        set(0x3c4, i, 0xff);
        ck_assert_uint_eq(in(0x3c5), seq[i]);
    }
    for (uint8_t i = 0; i < sizeof(gr); i++) {
        set(0x3ce, i, 0xff);
        ck_assert_uint_eq(in(0x3cf), gr[i]);
    }
    for (uint8_t i = 0; i < sizeof(ar); i++) {
        attr(0x10 + i, 0xff);
        in(0x3da);
        outb(0x3c0, 0x10 + i);
        ck_assert_uint_eq(in(0x3c1), ar[i]);
    }
    outb(0x3c6, 0x5a);
    ck_assert_uint_eq(in(0x3c6), 0x5a);
    outb(0x3c8, 1);
    for (unsigned i = 0; i < 3; i++)
        outb(0x3c9, 0xff);
    outb(0x3c7, 1);
    ck_assert_uint_eq(in(0x3c9), 0x3f); /* six bits a colour */
    outb(0x3c2, 0xff);
    ck_assert_uint_eq(in(0x3cc), 0xef);
}
END_TEST

START_TEST(sixteen_colours_are_drawn)
{
    static const uint8_t crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0,
                                   0xea, 0x0c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff};

    planar();
    set(0x3d4, 0x11, 0x0c);
    for (uint8_t i = 0; i < sizeof(crtc); i++)
        set(0x3d4, i, crtc[i]);
    set(0x3c4, 1, 0x01);
    attr(0x10, 0x01);
    in(0x3da);
    outb(0x3c0, 0x20);
    set(0x3c4, 2, 0x04);
    poke8(0xa0000 + 80 * 479 + 79, 0x01);
    ck_assert_uint_eq(pixel(639, 479), 0xaa0000);
    ck_assert_uint_eq(width, 640);
    ck_assert_uint_eq(height, 480);
    ck_assert_uint_eq(pixel(638, 479), 0x000000);
    ck_assert_int_eq(display_read(m, NULL, 0, &out, &err), -EINVAL);
}
END_TEST

START_TEST(mode_13h_is_a_byte_for_a_pixel)
{
    static const uint8_t crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0,
                                   0x9c, 0x0e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff};

    set(0x3c4, 2, 0x0f);
    set(0x3c4, 4, 0x0e);
    set(0x3c4, 1, 0x01);
    set(0x3ce, 5, 0x40);
    set(0x3ce, 6, 0x05);
    set(0x3d4, 0x11, 0x0e);
    for (uint8_t i = 0; i < sizeof(crtc); i++)
        set(0x3d4, i, crtc[i]);
    attr(0x10, 0x41);
    in(0x3da);
    outb(0x3c0, 0x20);
    outb(0x3c8, 200);
    outb(0x3c9, 63);
    outb(0x3c9, 32);
    outb(0x3c9, 0);
    for (uint32_t i = 0; i < 64000; i += 2)
        memory_write(&m->memory, 0xa0000 + i, 2, 0xc800);
    ck_assert_uint_eq(pixel(319, 199), 0xff8200);
    ck_assert_uint_eq(width, 320);
    ck_assert_uint_eq(height, 200);
    ck_assert_uint_eq(pixel(318, 199), 0x000000);
    ck_assert_uint_eq(memory_read(&m->memory, 0xa0000 + 63996, 4), 0xc800c800);
}
END_TEST

START_TEST(palette_can_be_read_back)
{
    outb(0x3c8, 10);
    for (uint8_t i = 1; i <= 6; i++)
        outb(0x3c9, i);
    ck_assert_uint_eq(in(0x3c7), 0);
    outb(0x3c7, 10);
    ck_assert_uint_eq(in(0x3c7), 3);
    for (uint8_t i = 1; i <= 6; i++)
        ck_assert_uint_eq(in(0x3c9), i);
}
END_TEST

START_TEST(attribute_port_takes_index_and_value_in_turn)
{
    attr(0x11 | 0x20, 0x3f);
    in(0x3da);
    outb(0x3c0, 0x11 | 0x20);
    ck_assert_uint_eq(in(0x3c1), 0x3f);
    in(0x3da);
    outb(0x3c0, 0x20 | 1); /* the palette is not written while it is shown */
    outb(0x3c0, 0x15);
    ck_assert_uint_eq(in(0x3c1), 1);
}
END_TEST

START_TEST(crtc_timing_registers_can_be_protected)
{
    outb(0x3d4, 0);
    outb(0x3d5, 0x11);
    ck_assert_uint_eq(in(0x3d5), 0x5f); /* mode 3 leaves them protected */
    set(0x3d4, 0x11, 0x0e);
    outb(0x3d4, 0);
    outb(0x3d5, 0x11);
    ck_assert_uint_eq(in(0x3d5), 0x11);
}
END_TEST

START_TEST(retrace_comes_seventy_times_a_second)
{
    unsigned frames = 0, lines = 0;
    uint8_t before = in(0x3da);

    for (vtime_t t = 0; t < 100000000; t += 2000) {
        uint8_t now;

        m->st->warp = t;
        now = in(0x3da);
        frames += (now & 8) && !(before & 8);
        lines += (now & 9) == 1 && !(before & 1);
        before = now;
    }
    ck_assert_uint_eq(frames, 7);
    ck_assert_uint_ge(lines, 400 * 6);
}
END_TEST

static void vbe(uint16_t index, uint16_t value)
{
    outw(0x1ce, index);
    outw(0x1cf, value);
}

static uint16_t vbe_get(uint16_t index)
{
    outw(0x1ce, index);
    return (uint16_t)ports_read(&pc->ports, 0x1cf, 2);
}

START_TEST(display_interface_sets_modes)
{
    ck_assert_uint_eq(vbe_get(0), 0xb0c5);
    ck_assert_uint_eq(vbe_get(10), 256);
    memory_write(&m->memory, 0xfd000000, 4, 0x12345678);
    vbe(4, 0);
    vbe(1, 1024);
    vbe(2, 768);
    vbe(3, 32);
    vbe(4, 0x41);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfd000000, 4), 0);
    ck_assert_uint_eq(vbe_get(6), 1024);
    ck_assert_uint_eq(vbe_get(7), 4096);
    memory_write(&m->memory, 0xfd000000 + (1024 * 767 + 1023) * 4, 4, 0x00123456);
    ck_assert_uint_eq(pixel(1023, 767), 0x123456);
    ck_assert_uint_eq(width, 1024);
    ck_assert_uint_eq(height, 768);
    vbe(9, 767);
    ck_assert_uint_eq(pixel(1023, 0), 0x123456);
    /* The bank at A0000h is the same memory. */
    vbe(5, 1024 * 768 * 4 / 65536 - 1);
    ck_assert_uint_eq(memory_read(&m->memory, 0xafffc, 4), 0x00123456);
    memory_write(&m->memory, 0xafffc, 4, 0x00654321);
    ck_assert_uint_eq(pixel(1023, 0), 0x654321);
    vbe(4, 0);
    ck_assert_int_eq(display_read(m, NULL, 0, &out, &err), -EINVAL); /* the old registers show graphics now */
}
END_TEST

START_TEST(nonsense_in_the_display_interface_is_bounded)
{
    static const uint16_t odd[] = {0, 1, 7, 9, 100, 0x7fff, 0xfff8, 0xffff};

    for (unsigned i = 0; i < ARRAY_LEN(odd); i++)
        for (unsigned bpp = 0; bpp < 40; bpp++) {
            vbe(4, 0);
            vbe(1, odd[i]);
            vbe(2, odd[(i + bpp) % ARRAY_LEN(odd)]);
            vbe(3, (uint16_t)bpp);
            vbe(4, 0x81);
            vbe(6, odd[bpp % ARRAY_LEN(odd)]);
            vbe(8, 0xffff);
            vbe(9, 0xffff);
            ck_assert_uint_ge(vbe_get(6), vbe_get(1));
            ck_assert_uint_ge(vbe_get(6), vbe_get(1) + vbe_get(8));
            ck_assert_uint_ge(vbe_get(7), vbe_get(2) + vbe_get(9));
            ck_assert_uint_ge(vbe_get(1), 8);
        }
}
END_TEST

START_TEST(framebuffer_goes_where_its_base_register_says)
{
    ports_write(&pc->ports, 0xcf8, 4, 0x80001010);
    ck_assert_uint_eq(ports_read(&pc->ports, 0xcfc, 4), 0xfd000008);
    ports_write(&pc->ports, 0xcfc, 4, 0xffffffff);
    ck_assert_uint_eq(ports_read(&pc->ports, 0xcfc, 4), 0xff000008); /* 16 MiB */
    ports_write(&pc->ports, 0xcfc, 4, 0xe0000000);
    memory_write(&m->memory, 0xe0ffffff, 1, 0x77);
    ck_assert_uint_eq(peek8(0xe0ffffff), 0x77);
    ck_assert_uint_eq(peek8(0xfdffffff), 0xff);
    ports_write(&pc->ports, 0xcf8, 4, 0x80001004);
    ports_write(&pc->ports, 0xcfc, 2, 0);
    ck_assert_uint_eq(peek8(0xe0ffffff), 0xff);
}
END_TEST

START_TEST(registers_are_in_memory_too)
{
    memory_write(&m->memory, 0xfebf0000 + 0x500 + 2, 2, 640);
    ck_assert_uint_eq(vbe_get(1), 640);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf0000 + 0x500, 2), 0xb0c5);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf0000 + 0x40c, 1), 0x67);
}
END_TEST

START_TEST(pictures_change_no_state)
{
    uint64_t before = machine_hash(m);

    pixel(0, 0);
    screen();
    ck_assert_uint_eq(machine_hash(m), before);
}
END_TEST

static void again(enum pc_vga vga, const char *options)
{
    teardown();
    make(vga, options);
}

static uint32_t config(unsigned at)
{
    ports_write(&pc->ports, 0xcf8, 4, 0x80001000 | at);
    return (uint32_t)ports_read(&pc->ports, 0xcfc, 4);
}

/* Older recordings are of machines without it. */
START_TEST(the_display_has_an_edid_if_it_is_asked_for)
{
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf0000, 8), 0);
    again(PC_VGA_STD, "std,edid=on");
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf0000, 8), 0x00ffffffffffff00);
    ck_assert_uint_eq(peek8(0xfebf0000 + 0x38) | (peek8(0xfebf0000 + 0x3a) & 0xf0) << 4, 1280);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf0080, 4), 0);
    again(PC_VGA_STD, "std,xres=800,yres=600");
    ck_assert_uint_eq(peek8(0xfebf0000 + 0x38) | (peek8(0xfebf0000 + 0x3a) & 0xf0) << 4, 800);
    again(PC_VGA_STD, "std,edid=off");
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf0000, 8), 0);
}
END_TEST

START_TEST(a_virtio_gpu_with_a_vga_is_both_in_one_function)
{
    again(PC_VGA_VIRTIO, "virtio,max_outputs=2");
    ck_assert_uint_eq(config(0x00), 0x10501af4);
    ck_assert_uint_eq(config(0x08), 0x03000001);
    ck_assert_uint_eq(config(0x04) & 0xffff, 3);
    ck_assert_uint_eq(config(0x10), 0xfd000008);
    ck_assert_uint_eq(config(0x18), 0xfebf000c);
    /* The VGA. */
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf0000, 8), 0x00ffffffffffff00);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf0500, 2), 0xb0c5);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf040c, 1), 0x67);
    poke8(0xb8000, 'V');
    ck_assert_int_eq(strncmp(screen(), "V\n", 2), 0);
    memory_write(&m->memory, 0xfebf0500 + 2, 2, 640);
    ck_assert_uint_eq(vbe_get(1), 640);
    /* The GPU: queues, configuration, interrupt status, a status that is kept. */
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf1012, 2), 2);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf2008, 4), 2);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf1800, 1), 0);
    memory_write(&m->memory, 0xfebf1014, 1, 3);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf1014, 1), 3);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf1812, 2), 0);
    ck_assert_int_eq(display_read(m, "vga", 1, &out, &err), -EINVAL);
    ck_assert_ptr_null(machine_find_device(m, "virtio-vga")->ops->display);
    machine_reset(m);
    ck_assert_uint_eq(memory_read(&m->memory, 0xfebf1014, 1), 0);
}
END_TEST

#define ADD(t) tcase_add_test(tc, t)

Suite *test_suite(void)
{
    Suite *suite = suite_create("pc_vga");
    TCase *tc = tcase_create("pc_vga");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    ADD(screen_is_blank_text_when_a_kernel_starts);
    ADD(text_memory_is_what_the_screen_shows);
    ADD(start_address_scrolls_the_screen);
    ADD(font_and_cursor_are_drawn);
    ADD(write_modes_and_latches);
    ADD(sixteen_colours_are_drawn);
    ADD(chained_odd_and_even_share_a_byte_of_the_plane);
    ADD(vga_registers_have_the_bits_of_the_reference);
    ADD(mode_13h_is_a_byte_for_a_pixel);
    ADD(palette_can_be_read_back);
    ADD(attribute_port_takes_index_and_value_in_turn);
    ADD(crtc_timing_registers_can_be_protected);
    ADD(retrace_comes_seventy_times_a_second);
    ADD(display_interface_sets_modes);
    ADD(nonsense_in_the_display_interface_is_bounded);
    ADD(framebuffer_goes_where_its_base_register_says);
    ADD(registers_are_in_memory_too);
    ADD(pictures_change_no_state);
    ADD(the_display_has_an_edid_if_it_is_asked_for);
    ADD(a_virtio_gpu_with_a_vga_is_both_in_one_function);
    suite_add_tcase(suite, tc);
    return suite;
}
