/*
 * The virtio GPU: every command as virtio 1.2, 5.7 has it, and as no driver should send it.
 */
#include "tests/vm/virtio_bench.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/display.h"
#include "vm/dev/virtio_gpu.h"

#define CONFIG     (BAR4 + 0x2000u)
#define COMMAND_AT 0x40000u
#define ANSWER_AT  0x44000u
#define BACKING    0x50000u
#define EVENT_IDX  (1ull << 29)

enum { INFO = 0x100, CREATE, UNREF, SCANOUT, FLUSH, TRANSFER, ATTACH, DETACH, CAPSET_INFO, CAPSET, EDID,
       UPDATE = 0x300, MOVE, OK = 0x1100, OK_INFO, OK_EDID = 0x1104,
       UNSPEC = 0x1200, NO_MEMORY, NO_SCANOUT, NO_RESOURCE, NO_CONTEXT, BAD_PARAMETER };

static struct device *dut;

static int plug(const char *text, struct error *e)
{
    struct sockets s = {.pci = &bench_bus, .machine = m};
    struct option_list props;
    int r;

    ck_assert_int_eq(option_list_parse(&props, "--device", text, "driver", NULL, e), 0);
    r = virtio_gpu_pci_plug(&s, "dut", PCI_DEVFN(3, 0), NULL, &props, e);
    option_list_finish(&props);
    return r;
}

static void ready(uint64_t want)
{
    struct pci_function *f = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));

    reset_all();
    pci_config_write(f, 0x20, 4, BAR4);
    pci_config_write(f, PCI_COMMAND, 2, 7);
    start(want);
}

static void new_gpu(const char *text)
{
    struct error e;

    new_disk_bench();
    ck_assert_msg(plug(text, &e) == 0, "%s", e.text);
    dut = machine_find_device(m, "dut");
    ready(~EVENT_IDX);
}

/* Put a request into a queue: what is at COMMAND_AT, and room for an answer. */
static void offer(unsigned queue, uint32_t len, uint32_t room)
{
    uint16_t id = 0, index = (uint16_t)++next_avail[queue];

    poke64(RINGS_AT(queue), COMMAND_AT);
    poke32(RINGS_AT(queue) + 8, len);
    poke32(RINGS_AT(queue) + 12, room ? 1 | 1u << 16 : 0);
    poke64(RINGS_AT(queue) + 16, ANSWER_AT);
    poke32(RINGS_AT(queue) + 24, room);
    poke32(RINGS_AT(queue) + 28, 2);
    poke(AVAIL_AT(queue) + 4 + 2 * ((index - 1u) % QUEUE), &id, 2);
    poke(AVAIL_AT(queue) + 2, &index, 2);
    memory_write(&m->memory, NOTIFY + 4 * queue, 2, queue);
}

/* Bytes written to the next request that came back; -1: none has. */
static int taken(unsigned queue)
{
    if ((uint16_t)memory_read(&m->memory, USED_AT(queue) + 2, 2) == (uint16_t)next_used[queue])
        return -1;
    return (int)peek32(USED_AT(queue) + 4 + 8 * (next_used[queue]++ % QUEUE) + 4);
}

static void let_it_end(void)
{
    vtime_t at = dut->ops->deadline(dut);

    ck_assert_uint_ne(at, VTIME_NEVER);
    m->st->warp = at;
    dut->ops->expire(dut, at);
}

/* The answer's type to a command of words after the header; `written`: bytes of it. */
static uint32_t fence;

static uint32_t ask(uint32_t type, const uint32_t *words, unsigned n, uint32_t room, int written)
{
    uint8_t c[24] = {0};

    put_le32(c, type);
    put_le32(c + 4, 1); /* a fence, */
    put_le64(c + 8, 0x123456789abc0000ull + ++fence);
    put_le32(c + 16, 7); /* of a context */
    poke(COMMAND_AT, c, sizeof(c));
    poke(COMMAND_AT + 24, words, 4 * n);
    memset(m->memory.host + ANSWER_AT, 0xee, 2048);
    offer(0, 24 + 4 * n, room);
    ck_assert_int_eq(taken(0), -1); /* it takes its time */
    let_it_end();
    ck_assert_int_eq(taken(0), written);
    if (room >= 24) {
        ck_assert_uint_eq(peek32(ANSWER_AT + 4), 1);
        ck_assert_uint_eq(memory_read(&m->memory, ANSWER_AT + 8, 8), 0x123456789abc0000ull + fence);
        ck_assert_uint_eq(peek32(ANSWER_AT + 16), 7);
    }
    return peek32(ANSWER_AT);
}

#define ASK(type, ...) ask(type, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4, 24, 24)

/* A pixel as 0xRRGGBB; nothing is shown: width 0. */
static unsigned width, height;

static uint32_t pixel(unsigned head, unsigned x, unsigned y)
{
    struct display_picture p;
    uint32_t rgb = 0;
    struct error e;

    display_picture_init(&p);
    width = height = 0;
    if (display_draw(m, "dut", head, &p, &e) == 0) {
        const uint8_t *at = p.rgb.data + 3 * (y * p.width + x);

        width = p.width;
        height = p.height;
        rgb = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
    }
    display_picture_finish(&p);
    return rgb;
}

START_TEST(configuration_and_features_are_those_of_two_dimensions)
{
    new_gpu("virtio-gpu-pci,max_outputs=3");
    ck_assert_uint_eq(pci_config_read(pci_find(&bench_bus, 0, PCI_DEVFN(3, 0)), PCI_VENDOR, 4), 0x10501af4);
    ck_assert_uint_eq(pci_config_read(pci_find(&bench_bus, 0, PCI_DEVFN(3, 0)), PCI_REVISION, 4) >> 8, 0x038000);
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG, 4), 0);
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG + 8, 4), 3);
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG + 12, 4), 0);
    memory_write(&m->memory, CONFIG + 4, 4, 0xffffffff);
    ck_assert_uint_eq(memory_read(&m->memory, CONFIG + 4, 4), 0);
    set(0x00, 4, 0);
    ck_assert_uint_eq(get(0x04, 4) & 0x1f, 2); /* EDID; not VIRGL, UUIDs, blobs, contexts */
    new_gpu("virtio-gpu-pci,edid=off");
    set(0x00, 4, 0);
    ck_assert_uint_eq(get(0x04, 4) & 0x1f, 0);
    ck_assert_uint_eq(ASK(EDID, 0, 0), UNSPEC);
}
END_TEST

START_TEST(display_info_and_edid_tell_what_is_wanted)
{
    new_gpu("virtio-gpu-pci,max_outputs=2,xres=800,yres=600");
    ck_assert_uint_eq(ask(INFO, NULL, 0, 408, 408), OK_INFO);
    ck_assert_uint_eq(memory_read(&m->memory, ANSWER_AT + 24, 8), 0);
    ck_assert_uint_eq(peek32(ANSWER_AT + 32), 800);
    ck_assert_uint_eq(peek32(ANSWER_AT + 36), 600);
    ck_assert_uint_eq(peek32(ANSWER_AT + 40), 1);
    ck_assert_uint_eq(peek32(ANSWER_AT + 48 + 16), 0); /* the second head is not wanted on */
    ck_assert_uint_eq(ask(INFO, NULL, 0, 100, 100), OK_INFO);
    ck_assert_uint_eq(peek32(ANSWER_AT + 100), 0xeeeeeeee);
    ck_assert_uint_eq(ask(EDID, (const uint32_t[]){1, 0}, 2, 1056, 1056), OK_EDID);
    ck_assert_uint_eq(peek32(ANSWER_AT + 24), 128);
    ck_assert_uint_eq(memory_read(&m->memory, ANSWER_AT + 32, 8), 0x00ffffffffffff00ull);
    ck_assert_uint_eq(peek32(ANSWER_AT + 32 + 56) & 0xff, 800 & 0xff);
    ck_assert_uint_eq(ASK(EDID, 2, 0), BAD_PARAMETER);
}
END_TEST

START_TEST(resources_are_made_once_and_within_bounds)
{
    new_gpu("virtio-gpu-pci,max_hostmem=1M");
    ck_assert_uint_eq(ASK(CREATE, 0, 2, 16, 16), NO_RESOURCE);
    ck_assert_uint_eq(ASK(CREATE, 5, 0, 16, 16), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(CREATE, 5, 2, 0, 16), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(CREATE, 5, 2, 16, 0), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(CREATE, 5, 2, 512, 513), NO_MEMORY);
    ck_assert_uint_eq(ASK(CREATE, 5, 2, UINT32_MAX, UINT32_MAX), NO_MEMORY);
    ck_assert_uint_eq(ASK(CREATE, 5, 2, 0x80000000u, 2), NO_MEMORY);
    ck_assert_uint_eq(ASK(CREATE, 5, 2, 0x40000000u, 4), NO_MEMORY);
    ck_assert_uint_eq(ASK(CREATE, 5, 2, 512, 512), OK);
    ck_assert_uint_eq(ASK(CREATE, 5, 2, 1, 1), NO_RESOURCE);
    ck_assert_uint_eq(ASK(CREATE, 6, 2, 1, 1), NO_MEMORY);
    ck_assert_uint_eq(ASK(UNREF, 6, 0), NO_RESOURCE);
    ck_assert_uint_eq(ASK(UNREF, 0, 0), NO_RESOURCE);
    ck_assert_uint_eq(ASK(UNREF, 5, 0), OK);
    for (unsigned n = 1; n <= 512; n++)
        ck_assert_uint_eq(ASK(CREATE, n, 2, 1, 1), OK);
    ck_assert_uint_eq(ASK(CREATE, 513, 2, 1, 1), NO_MEMORY); /* there are so many places */
    ck_assert_uint_eq(ASK(UNREF, 7, 0), OK);
    ck_assert_uint_eq(ASK(CREATE, 513, 2, 1, 1), OK);
    ck_assert(dut->ops->possible(dut));
}
END_TEST

/* A resource of 16 times 16 pixels, whose backing is 8 lines at BACKING + 0x2000 and 8 at BACKING. */
static void new_picture(uint32_t format)
{
    new_gpu("virtio-gpu-pci,max_outputs=2");
    for (unsigned n = 0; n < 256; n++)
        poke32(BACKING + (n < 128 ? 0x2000u : 0) + 4 * (n % 128), n | n << 16 | 0x01000100u * (n & 15u));
    ck_assert_uint_eq(ASK(CREATE, 9, format, 16, 16), OK);
    ck_assert_uint_eq(ASK(ATTACH, 9, 3, BACKING + 0x2000, 0, 512, 0, 0, 0, 0, 0, BACKING, 0, 512, 0), OK);
}

/* What the backing has for a pixel, as 0xAARRGGBB of format 2. */
static uint32_t wanted(unsigned x, unsigned y)
{
    unsigned n = 16 * y + x;

    return (n | n << 16 | 0x01000100u * (n & 15u)) & 0xffffff;
}

START_TEST(what_is_transferred_is_shown)
{
    new_picture(2);
    ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 16, 16, 0, 9), OK);
    ck_assert_uint_eq(pixel(0, 3, 3), 0);
    ck_assert_uint_eq(width, 16);
    ck_assert_uint_eq(height, 16);
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 16, 16, 0, 0, 9, 0), OK);
    for (unsigned y = 0; y < 16; y++)
        for (unsigned x = 0; x < 16; x++)
            ck_assert_uint_eq(pixel(0, x, y), wanted(x, y));
    ck_assert_uint_eq(ASK(FLUSH, 0, 0, 16, 16, 9, 0), OK);
    /* A part of it on the other head. */
    pixel(1, 0, 0);
    ck_assert_uint_eq(width, 0);
    ck_assert_uint_eq(ASK(SCANOUT, 3, 4, 5, 6, 1, 9), OK);
    ck_assert_uint_eq(pixel(1, 4, 5), wanted(7, 9));
    ck_assert_uint_eq(width, 5);
    ck_assert_uint_eq(height, 6);
    ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 0, 0, 1, 0), OK);
    pixel(1, 0, 0);
    ck_assert_uint_eq(width, 0);
    ck_assert(dut->ops->possible(dut));
    ck_assert_uint_eq(ASK(UNREF, 9, 0), OK);
    pixel(0, 0, 0);
    ck_assert_uint_eq(width, 0);
}
END_TEST

START_TEST(a_rectangle_is_transferred_from_its_offset)
{
    new_picture(2);
    ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 16, 16, 0, 9), OK);
    /* 3 by 4 pixels to 2,6: lines of it are as far apart in the backing as the resource's. */
    ck_assert_uint_eq(ASK(TRANSFER, 2, 6, 3, 4, (6 * 16 + 2) * 4, 0, 9, 0), OK);
    for (unsigned y = 0; y < 16; y++)
        for (unsigned x = 0; x < 16; x++)
            ck_assert_uint_eq(pixel(0, x, y), x >= 2 && x < 5 && y >= 6 && y < 10 ? wanted(x, y) : 0);
    /* The backing ends: the rest stays. */
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 16, 16, 14 * 64, 0, 9, 0), OK);
    ck_assert_uint_eq(pixel(0, 5, 0), wanted(5, 14));
    ck_assert_uint_eq(pixel(0, 15, 1), wanted(15, 15));
    ck_assert_uint_eq(pixel(0, 2, 6), wanted(2, 6));
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 16, 16, 0xffffffff, 0xffffffff, 9, 0), OK);
    ck_assert_uint_eq(pixel(0, 15, 1), wanted(15, 15));
}
END_TEST

START_TEST(formats_say_where_the_colours_are)
{
    static const struct {
        uint32_t format, rgb;
    } formats[] = {{1, 0x332211}, {2, 0x332211}, {3, 0x223344}, {4, 0x223344}, {67, 0x112233}, {134, 0x112233}, {68, 0x443322}, {121, 0x443322}};

    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        new_picture(formats[i].format);
        poke32(BACKING + 0x2000, 0x44332211);
        ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 16, 16, 0, 9), OK);
        ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 16, 16, 0, 0, 9, 0), OK);
        ck_assert_uint_eq(pixel(0, 0, 0), formats[i].rgb);
    }
}
END_TEST

START_TEST(what_makes_no_sense_gets_the_errors_of_the_specification)
{
    new_picture(2);
    ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 16, 16, 2, 9), NO_SCANOUT);
    ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 16, 16, 0, 8), NO_RESOURCE);
    ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 17, 16, 0, 9), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(SCANOUT, 1, 0, 16, 16, 0, 9), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(SCANOUT, UINT32_MAX, 0, 16, 16, 0, 9), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 0, 16, 0, 9), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(FLUSH, 0, 0, 16, 16, 8, 0), NO_RESOURCE);
    ck_assert_uint_eq(ASK(FLUSH, 0, 1, 16, 16, 9, 0), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 16, 16, 0, 0, 8, 0), NO_RESOURCE);
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 16, UINT32_MAX, 0, 0, 9, 0), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(ATTACH, 8, 0), NO_RESOURCE);
    ck_assert_uint_eq(ASK(ATTACH, 9, 0), UNSPEC); /* it has a backing */
    ck_assert_uint_eq(ASK(DETACH, 8, 0), NO_RESOURCE);
    ck_assert_uint_eq(ASK(DETACH, 9, 0), OK);
    ck_assert_uint_eq(ASK(DETACH, 9, 0), UNSPEC);
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 16, 16, 0, 0, 9, 0), UNSPEC);
    ck_assert_uint_eq(ASK(ATTACH, 9, 1), BAD_PARAMETER);         /* an entry that is not there */
    ck_assert_uint_eq(ASK(ATTACH, 9, 16385), BAD_PARAMETER);
    ck_assert_uint_eq(ASK(ATTACH, 9, 1, 0x90000000u, 0, 16, 0), UNSPEC); /* no memory */
    ck_assert_uint_eq(ASK(ATTACH, 9, 1, 0xffffffffu, 0xffffffffu, 16, 0), UNSPEC);
    ck_assert_uint_eq(ASK(ATTACH, 9, 1, BACKING, 0, 64, 0), OK);
    ck_assert_uint_eq(ASK(CAPSET_INFO, 0, 0), UNSPEC);
    ck_assert_uint_eq(ASK(0x200, 0, 0), UNSPEC);
    ck_assert_uint_eq(ASK(UPDATE, 0, 0), UNSPEC); /* in this queue */
    ck_assert_uint_eq(ask(CREATE, (const uint32_t[]){1, 2, 3}, 3, 24, 24), BAD_PARAMETER);
    ck_assert_uint_eq(ask(UNREF, (const uint32_t[]){9, 0}, 2, 0, 0), 0xeeeeeeee); /* it is done all the same */
    ck_assert_uint_eq(ASK(UNREF, 9, 0), NO_RESOURCE);
}
END_TEST

START_TEST(cursor_commands_are_kept)
{
    uint32_t c[14] = {UPDATE, [6] = 1, 100, 200, 0, 9, 3, 4, 0};
    struct buffer told;

    new_picture(2);
    buffer_init(&told);
    poke(COMMAND_AT, c, sizeof(c));
    offer(1, sizeof(c), 24);
    ck_assert_int_eq(taken(1), 24);
    ck_assert_uint_eq(peek32(ANSWER_AT), OK);
    dut->ops->describe(dut, &told);
    buffer_append_byte(&told, 0);
    ck_assert_ptr_nonnull(strstr((char *)told.data, "scanout 1: cursor is resource 9 at 100,200 (its hot spot 3,4)"));
    c[0] = MOVE;
    c[7] = 7;
    poke(COMMAND_AT, c, sizeof(c));
    offer(1, sizeof(c), 0); /* as Linux does: no room for an answer */
    ck_assert_int_eq(taken(1), 0);
    buffer_clear(&told);
    dut->ops->describe(dut, &told);
    buffer_append_byte(&told, 0);
    ck_assert_ptr_nonnull(strstr((char *)told.data, "resource 9 at 7,200"));
    c[0] = UPDATE;
    c[10] = 8;
    poke(COMMAND_AT, c, sizeof(c));
    offer(1, sizeof(c), 24);
    ck_assert_int_eq(taken(1), 24);
    ck_assert_uint_eq(peek32(ANSWER_AT), NO_RESOURCE);
    c[6] = 2;
    poke(COMMAND_AT, c, sizeof(c));
    offer(1, sizeof(c), 24);
    ck_assert_int_eq(taken(1), 24);
    ck_assert_uint_eq(peek32(ANSWER_AT), NO_SCANOUT);
    offer(1, 55, 24);
    ck_assert_int_eq(taken(1), 24);
    ck_assert_uint_eq(peek32(ANSWER_AT), BAD_PARAMETER);
    buffer_finish(&told);
}
END_TEST

START_TEST(pixels_are_state_until_a_reset)
{
    uint64_t full;
    bool found = false;

    new_picture(2);
    machine_lay_out(m);
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 16, 16, 0, 0, 9, 0), OK);
    full = machine_hash(m);
    poke32(BACKING, 0x00ffffff);
    ck_assert_uint_eq(ASK(TRANSFER, 0, 8, 1, 1, 512, 0, 9, 0), OK);
    ck_assert_uint_ne(machine_hash(m), full);
    ready(~EVENT_IDX);
    for (uint64_t n = 0; n < dut->machine->nspaces; n++)
        if (!strcmp(m->spaces[n]->name, "g:dut")) {
            ck_assert_uint_eq(page_space_hash(m->spaces[n]), 0);
            found = true;
        }
    ck_assert(found);
    ck_assert_uint_eq(ASK(UNREF, 9, 0), NO_RESOURCE);
    ck_assert_uint_eq(ASK(CREATE, 9, 2, 16, 16), OK);
    ck_assert_uint_eq(ASK(SCANOUT, 0, 0, 16, 16, 0, 9), OK);
    ck_assert_uint_eq(pixel(0, 0, 8), 0);
}
END_TEST

START_TEST(a_large_transfer_takes_longer)
{
    vtime_t began;

    new_gpu("virtio-gpu-pci");
    ck_assert_uint_eq(ASK(CREATE, 1, 2, 1024, 1024), OK);
    ck_assert_uint_eq(ASK(ATTACH, 1, 0), OK);
    began = m->st->warp;
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 1, 1, 0, 0, 1, 0), OK);
    ck_assert_uint_le(m->st->warp - began, 2000);
    began = m->st->warp;
    ck_assert_uint_eq(ASK(TRANSFER, 0, 0, 1024, 1024, 0, 0, 1, 0), OK);
    ck_assert_uint_ge(m->st->warp - began, 1000000);
}
END_TEST

static int map_slot(void *ctx, unsigned wanted, struct device *dev, struct line *irq, paddr_t *base, struct error *err)
{
    struct region r = {.base = BENCH_BAR_AT, .size = 0x200, .kind = REGION_MMIO, .dev = dev, .enabled = true};

    (void)ctx, (void)wanted, (void)err;
    memory_map(&m->memory, &r);
    *irq = probe_line(1);
    *base = r.base;
    return 0;
}

/* Linux's driver looks for a region of shared memory, and takes one of no bytes for one (virtio 1.2, 4.2.2: SHMLen and SHMBase). */
START_TEST(a_slot_says_that_there_is_no_shared_memory)
{
    struct sockets s = {.machine = m, .mmio_slot = map_slot};
    struct option_list props;
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_int_eq(option_list_parse(&props, "--device", "virtio-gpu-device", "driver", NULL, &e), 0);
    ck_assert_int_eq(virtio_gpu_mmio_plug(&s, "dut", 0, NULL, &props, &e), 0);
    option_list_finish(&props);
    reset_all();
    ck_assert_uint_eq(memory_read(&m->memory, BENCH_BAR_AT + 8, 4), 16);
    memory_write(&m->memory, BENCH_BAR_AT + 0xac, 4, 1);
    for (unsigned reg = 0xb0; reg <= 0xbc; reg += 4)
        ck_assert_uint_eq(memory_read(&m->memory, BENCH_BAR_AT + reg, 4), 0xffffffff);
}
END_TEST

START_TEST(properties_that_make_no_sense_are_refused)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"virtio-gpu-pci,max_outputs=17", "max_outputs"}, {"virtio-gpu-pci,max_outputs=0", "max_outputs"},
        {"virtio-gpu-pci,max_hostmem=1K", "from 1M to 1G"}, {"virtio-gpu-pci,max_hostmem=2G", "from 1M to 1G"},
        {"virtio-gpu-pci,xres=1", "xres"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct error e = {0};

        new_disk_bench();
        ck_assert_int_eq(plug(bad[i].text, &e), -EINVAL);
        ck_assert_msg(strstr(e.text, bad[i].says) != NULL, "%s", e.text);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("virtio_gpu");
    TCase *tc = tcase_create("virtio_gpu");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
#define ADD(t) tcase_add_test(tc, t)
    ADD(configuration_and_features_are_those_of_two_dimensions);
    ADD(display_info_and_edid_tell_what_is_wanted);
    ADD(resources_are_made_once_and_within_bounds);
    ADD(what_is_transferred_is_shown);
    ADD(a_rectangle_is_transferred_from_its_offset);
    ADD(formats_say_where_the_colours_are);
    ADD(what_makes_no_sense_gets_the_errors_of_the_specification);
    ADD(cursor_commands_are_kept);
    ADD(pixels_are_state_until_a_reset);
    ADD(a_large_transfer_takes_longer);
    ADD(a_slot_says_that_there_is_no_shared_memory);
    ADD(properties_that_make_no_sense_are_refused);
    suite_add_tcase(suite, tc);
    return suite;
}
