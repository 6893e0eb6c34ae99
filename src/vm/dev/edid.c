/*
 * EDID 1.4: one block, without extensions. The preferred timing is that of CVT with reduced blanking (VESA
 * CVT 1.1, 3.4) at 60 Hz, or at as many as the pixel clock's 16 bits allow; besides, the established and standard
 * timings that are not larger.
 */
#include "vm/dev/edid.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#define REFRESH_HZ      60u
#define CLOCK_MOST      655350000ull /* Hz: 16 bits of 10 kHz */
#define CLOCK_STEP      250000ull    /* of CVT */
/* CVT 1.1, table 8. */
#define RB_H_BLANK      160u
#define RB_H_FRONT      48u
#define RB_H_SYNC       32u
#define RB_V_FRONT      3u
#define RB_V_BACK_LEAST 6u
#define RB_V_BLANK_NS   460000u

int edid_take(struct edid_config *c, const struct option_list *props, struct error *err)
{
    uint64_t xres = EDID_DEFAULT_XRES, yres = EDID_DEFAULT_YRES;

    c->on = true;
    if (option_list_switch(props, "edid", &c->on, err) < 0 || option_list_number(props, "xres", 64, EDID_MOST, &xres, err) < 0 ||
        option_list_number(props, "yres", 64, EDID_MOST, &yres, err) < 0)
        return -EINVAL;
    c->xres = (uint32_t)xres;
    c->yres = (uint32_t)yres;
    return 0;
}

/* How many lines the vertical synchronisation takes says the picture's form (CVT 1.1, table 1). */
static uint32_t sync_lines(uint32_t xres, uint32_t yres)
{
    static const struct {
        uint32_t x, y, lines;
    } forms[] = {{4, 3, 4}, {16, 9, 5}, {16, 10, 6}, {5, 4, 7}, {15, 9, 7}};

    for (unsigned i = 0; i < ARRAY_LEN(forms); i++)
        if (xres * forms[i].y == yres * forms[i].x)
            return forms[i].lines;
    return 10;
}

/* 3.10.2, detailed timing descriptor. */
static void put_timing(uint8_t d[18], uint32_t xres, uint32_t yres, uint32_t x_mm, uint32_t y_mm)
{
    uint32_t line_ns = (1000000000u / REFRESH_HZ - RB_V_BLANK_NS) / yres, sync = sync_lines(xres, yres);
    uint32_t blank = RB_V_BLANK_NS / (line_ns ? line_ns : 1) + 1, least = RB_V_FRONT + sync + RB_V_BACK_LEAST;
    uint64_t clock;

    if (blank < least)
        blank = least;
    clock = (uint64_t)(xres + RB_H_BLANK) * (yres + blank) * REFRESH_HZ / CLOCK_STEP * CLOCK_STEP;
    if (clock > CLOCK_MOST)
        clock = CLOCK_MOST;
    put_le16(d, (uint16_t)(clock / 10000));
    d[2] = (uint8_t)xres;
    d[3] = (uint8_t)RB_H_BLANK;
    d[4] = (uint8_t)(xres >> 8 << 4 | RB_H_BLANK >> 8);
    d[5] = (uint8_t)yres;
    d[6] = (uint8_t)blank;
    d[7] = (uint8_t)(yres >> 8 << 4 | blank >> 8);
    d[8] = (uint8_t)RB_H_FRONT;
    d[9] = (uint8_t)RB_H_SYNC;
    d[10] = (uint8_t)((RB_V_FRONT & 15u) << 4 | (sync & 15u));
    d[11] = 0; /* their upper bits */
    d[12] = (uint8_t)x_mm;
    d[13] = (uint8_t)y_mm;
    d[14] = (uint8_t)(x_mm >> 8 << 4 | y_mm >> 8);
    d[17] = 0x1a; /* digital separate synchronisation, horizontal positive, vertical negative: reduced blanking */
}

/* 3.8, established timings: those at 60 Hz. */
static void put_established(uint8_t e[3], uint32_t xres, uint32_t yres)
{
    if (xres >= 640 && yres >= 480)
        e[0] |= 0x20;
    if (xres >= 800 && yres >= 600)
        e[0] |= 0x01;
    if (xres >= 1024 && yres >= 768)
        e[1] |= 0x08;
}

/* 3.9, standard timings, at 60 Hz: bits 7:6 of the second byte are the form. */
static void put_standard(uint8_t s[16], uint32_t xres, uint32_t yres)
{
    enum { F16_10 = 0x00, F4_3 = 0x40, F5_4 = 0x80, F16_9 = 0xc0 };
    static const struct {
        uint16_t x, y;
        uint8_t form;
    } sizes[] = {{1920, 1200, F16_10}, {1920, 1080, F16_9}, {1680, 1050, F16_10}, {1600, 1200, F4_3},
                 {1440, 900, F16_10}, {1280, 1024, F5_4}, {1280, 800, F16_10}, {1280, 720, F16_9}};
    unsigned n = 0;

    memset(s, 0x01, 16); /* none */
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
        if (sizes[i].x <= xres && sizes[i].y <= yres) {
            s[n++] = (uint8_t)(sizes[i].x / 8 - 31);
            s[n++] = sizes[i].form;
        }
}

void edid_make(uint8_t b[EDID_BYTES], uint32_t xres, uint32_t yres)
{
    static const uint8_t header[8] = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
    static const uint8_t srgb[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
    static const char name[] = "hindcast\n    ";
    uint32_t x_mm = xres * 254 / 1000, y_mm = yres * 254 / 1000; /* 100 dots an inch */
    uint8_t sum = 0;

    memset(b, 0, EDID_BYTES);
    memcpy(b, header, sizeof(header));
    put_be16(b + 8, ('H' - '@') << 10 | ('D' - '@') << 5 | ('C' - '@'));
    put_le16(b + 10, 1);                 /* product */
    b[16] = 1;                           /* week */
    b[17] = 2024 - 1990;
    b[18] = 1;                           /* EDID 1.4 */
    b[19] = 4;
    b[20] = 0xa5;                        /* digital, 8 bits a colour, DisplayPort */
    b[21] = (uint8_t)(x_mm / 10 < 255 ? x_mm / 10 : 255);
    b[22] = (uint8_t)(y_mm / 10 < 255 ? y_mm / 10 : 255);
    b[23] = 120;                         /* gamma 2.2 */
    b[24] = 0x06;                        /* sRGB; the first timing is the native one */
    memcpy(b + 25, srgb, sizeof(srgb));
    put_established(b + 35, xres, yres);
    put_standard(b + 38, xres, yres);
    put_timing(b + 54, xres, yres, x_mm, y_mm);
    b[72 + 3] = 0xfc;                    /* name */
    memcpy(b + 72 + 5, name, 13);
    b[90 + 3] = b[108 + 3] = 0x10;       /* dummies */
    for (unsigned i = 0; i < EDID_BYTES - 1; i++)
        sum = (uint8_t)(sum + b[i]);
    b[127] = (uint8_t)-sum;
}
