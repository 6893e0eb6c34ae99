/*
 * virtio devices on either transport against hostile guests: see hostile.h.
 */
#include "tests/whole/hostile.h"

#include "vm/dev/virtio_9p.h"
#include "vm/dev/virtio_balloon.h"
#include "vm/dev/virtio_blk.h"
#include "vm/dev/virtio_gpu.h"
#include "vm/dev/virtio_net.h"
#include "vm/dev/virtio_scsi.h"

/* ---- virtio ---- */

/* Registers of the transports in this order. */
enum { V_FEATURE_SELECT, V_FEATURES, V_STATUS, V_QUEUE, V_SIZE, V_READY, V_DESC, V_DRIVER, V_DEVICE };
static const uint16_t pci_at[] = {0x08, 0x0c, 0x14, 0x16, 0x18, 0x1c, 0x20, 0x28, 0x30};
static const uint8_t pci_size[] = {4, 4, 1, 2, 2, 2, 8, 8, 8};
static const uint16_t mmio_at[] = {0x24, 0x20, 0x70, 0x30, 0x38, 0x44, 0x80, 0x90, 0xa0};
static bool mmio, old, packed_ring; /* old: registers of version 1 */
static unsigned ring_queues;
static bool scsi_requests; /* of SCSI requests */
static bool gpu_requests;

static void vset(unsigned reg, uint64_t value)
{
    if (!mmio) {
        memory_write(&m->memory, BAR + pci_at[reg], pci_size[reg], value);
        return;
    }
    memory_write(&m->memory, SLOT + mmio_at[reg], 4, (uint32_t)value);
    if (reg >= V_DESC)
        memory_write(&m->memory, SLOT + mmio_at[reg] + 4, 4, value >> 32);
}

static void vkick(unsigned queue)
{
    if (mmio)
        memory_write(&m->memory, SLOT + 0x50, 4, queue);
    else
        memory_write(&m->memory, BAR + 0x3000 + 4 * queue, 2, queue);
}

/* The rings of all queues share one stretch: what one is given, another may have to bear. */
static paddr_t ring(unsigned queue, unsigned part)
{
    return TABLES + 0x1000 * part + 0x400 * (queue % 3);
}

static void vstart(void)
{
    uint64_t want = ~0ull;

    packed_ring = !old && chance(2);
    if (!packed_ring)
        want &= ~(1ull << 34);
    if (chance(4))
        want &= ~(1ull << (28 + below(2)));
    if (chance(8))
        want &= (uint64_t)draw() << 32 | draw();
    vset(V_STATUS, 0);
    vset(V_STATUS, 3);
    for (unsigned half = 0; half < 2; half++) {
        vset(V_FEATURE_SELECT, half);
        vset(V_FEATURES, (uint32_t)((want | 1ull << 32) >> (32 * half)));
    }
    if (!old)
        vset(V_STATUS, 11);
    for (unsigned q = 0; q < ring_queues; q++) {
        vset(V_QUEUE, q);
        vset(V_SIZE, chance(10) ? draw() : 8);
        vset(V_DESC, chance(20) ? place() : ring(q, 0));
        vset(V_DRIVER, chance(20) ? place() : ring(q, 1));
        vset(V_DEVICE, chance(20) ? place() : ring(q, 2));
        if (old) {
            memory_write(&m->memory, SLOT + 0x28, 4, chance(8) ? draw() : 0x400);
            memory_write(&m->memory, SLOT + 0x3c, 4, chance(8) ? draw() : 1u << below(13));
            memory_write(&m->memory, SLOT + 0x40, 4, chance(8) ? draw() : (TABLES >> 10) + below(16));
        } else {
            vset(V_READY, 1);
        }
        poke64(ring(q, 1), 0);
        poke64(ring(q, 2), 0);
        for (unsigned n = 0; n < 8; n++)
            poke64(ring(q, 0) + 16 * n + 8, 0);
    }
    vset(V_STATUS, 15);
}

static void vdescriptor(paddr_t table, unsigned n)
{
    unsigned flags = below(8), id = chance(8) ? draw() & 0xffff : below(9);
    paddr_t at = flags & 4 ? TABLES + 0x3000 + (below(64) << 4) : place();
    uint32_t len = flags & 4 ? (chance(4) ? length() : 16 * below(9)) : length();

    if (packed_ring)
        flags |= (chance(2) ? 0x80u : 0) | (chance(3) ? 0x8000u : 0);
    poke64(table + 16 * n, at);
    poke32(table + 16 * n + 8, len);
    poke32(table + 16 * n + 12, packed_ring ? id | flags << 16 : flags | id << 16);
}

/* IPv4 or IPv6 with TCP, UDP or extension headers, such as can be segmented and such as can not, behind its header of 12 bytes. */
static void ip_packet(uint8_t *bytes)
{
    bool six = chance(2);
    uint8_t *frame = bytes + 12;

    bytes[4] = (uint8_t)draw();
    bytes[5] = (uint8_t)below(3);
    memcpy(frame + 12, six ? "\x86\xdd\x60" : "\x08\0\x45", 3);
    if (six) {
        frame[18] = (uint8_t)(chance(4) ? draw() : 0);
        frame[20] = (const uint8_t[]){6, 6, 17, 17, 0, 43, 44, 60}[below(8)];
    } else {
        frame[16] = (uint8_t)(chance(4) ? draw() : 0);
        frame[17] = (uint8_t)(chance(4) ? draw() : 40 + below(12));
        frame[20] = (uint8_t)(chance(4) ? draw() : 0);
        frame[23] = (uint8_t)(chance(2) ? 6 : 17);
        frame[46] = (uint8_t)(below(16) << 4);
    }
}

/* What block, SCSI and network requests begin with. */
static void vheader(paddr_t at, unsigned kind)
{
    uint8_t bytes[64];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = chance(3) ? 0 : (uint8_t)draw();
    switch (kind) {
    case 0: /* block */
        memset(bytes, 0, 16);
        bytes[0] = (uint8_t)below(16);
        bytes[8] = (uint8_t)draw();
        bytes[9] = (uint8_t)below(18);
        break;
    case 1: /* SCSI: a unit, a CDB */
        memcpy(bytes, (const uint8_t[8]){1, (uint8_t)below(3), 0x40}, 8);
        bytes[19] = (const uint8_t[]){0x00, 0x12, 0x28, 0x2a, 0x88, 0x8a, 0x42, 0x41, 0x93, 0x35, 0x43, 0x5a, 0x1a, 0xbe, 0xa0, 0x46}[below(16)];
        break;
    case 2: /* task management */
        memset(bytes, 0, 24);
        bytes[4] = (uint8_t)below(9);
        memcpy(bytes + 8, (const uint8_t[4]){1, (uint8_t)below(3), 0x40}, 4);
        break;
    default: /* a frame with an offload header; a command of the control queue */
        bytes[0] = (uint8_t)below(6);
        bytes[1] = (uint8_t)below(6);
        if (chance(2))
            ip_packet(bytes);
        break;
    }
    poke(at, bytes, sizeof(bytes));
}

static void vpiece(unsigned queue, unsigned n, paddr_t at, uint32_t len, unsigned flags)
{
    poke64(ring(queue, 0) + 16 * n, at);
    poke32(ring(queue, 0) + 16 * n + 8, len);
    poke32(ring(queue, 0) + 16 * n + 12, packed_ring ? n | (flags | 0x80) << 16 : flags | (n + 1) << 16);
}

/* A command of a GPU's driver: resources 0 to 5, small or of any size, rectangles within them or anywhere. */
static void gpu_command(paddr_t at)
{
    static const uint16_t types[] = {0x100, 0x101, 0x101, 0x101, 0x102, 0x103, 0x104, 0x105, 0x105, 0x105, 0x106, 0x106, 0x107, 0x108, 0x109,
                                     0x10a, 0x300, 0x301, 0x200};
    static const uint8_t formats[] = {1, 2, 3, 4, 67, 68, 121, 134, 0, 5};
    uint32_t c[64], type = types[below(ARRAY_LEN(types))];

    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        c[i] = chance(12) ? draw() : below(6);
    c[0] = type;
    switch (type) {
    case 0x101: /* create */
        c[7] = chance(8) ? draw() : formats[below(sizeof(formats))];
        c[8] = chance(8) ? length() : 1 + below(64);
        c[9] = chance(8) ? length() : 1 + below(64);
        break;
    case 0x103: /* scanout */
        c[11] = below(6);
        break;
    case 0x105: /* transfer */
        for (unsigned i = 8; i < 11; i++)
            c[i] = chance(8) ? length() : below(64);
        c[11] = chance(8) ? draw() : 0;
        c[12] = below(6);
        break;
    case 0x106: /* attach */
        c[7] = chance(8) ? draw() : below(15);
        for (unsigned i = 8; i + 4 <= ARRAY_LEN(c); i += 4) {
            uint64_t memory = chance(16) ? place() : draw() % (RAM_BYTES - 8192);

            c[i] = (uint32_t)memory;
            c[i + 1] = (uint32_t)(memory >> 32);
            c[i + 2] = chance(16) ? length() : below(8192);
        }
        break;
    default:
        break;
    }
    poke(at, c, sizeof(c));
}

static void gpu_request(unsigned queue)
{
    paddr_t at = 0x20000u + (below(0x80000u) & ~511u);

    gpu_command(at);
    if (chance(3)) { /* in pieces */
        vpiece(queue, 0, at, 24, 1);
        vpiece(queue, 1, at + 24, 232, chance(8) ? 0 : 1);
    } else {
        vpiece(queue, 0, at, chance(8) ? below(64) : 256, 1);
        vpiece(queue, 1, place(), chance(2) ? 24 : below(2048), chance(2) ? 2 : 3);
    }
    vpiece(queue, 2, place(), chance(4) ? length() : 1056, 2);
}

/* A request as a driver makes it, from descriptor 0 on; then perhaps one thing about it is not so. */
static void vrequest(unsigned queue)
{
    static const uint8_t heads[] = {16, 51, 24, 12, 2}, tails[] = {1, 108, 1, 1, 16};
    paddr_t head = 0x20000u + (below(0x80000u) & ~511u);
    unsigned kind;

    if (gpu_requests && !chance(12)) {
        gpu_request(queue);
        for (unsigned n = 0; n < 8; n++)
            memory_write(&m->memory, ring(queue, 1) + 4 + 2 * n, 2, 0);
        return;
    }
    kind = chance(6) ? below(sizeof(heads)) : dev->ops->input ? (queue == 2 ? 4 : 3) : scsi_requests ? (queue ? 1 : 2) : 0;

    vheader(head, kind);
    vpiece(queue, 0, head, heads[kind], 1);
    if (chance(2)) {
        vpiece(queue, 1, place(), 512 * below(9), 1 | (chance(2) ? 2 : 0));
        vpiece(queue, 2, head + 256, tails[kind], 2);
    } else {
        vpiece(queue, 1, head + 256, tails[kind], chance(2) ? 3 : 2);
        vpiece(queue, 2, place(), chance(3) ? length() : 2048, 2);
    }
    if (chance(3))
        vdescriptor(ring(queue, 0), below(3));
    for (unsigned n = 0; n < 8; n++)
        memory_write(&m->memory, ring(queue, 1) + 4 + 2 * n, 2, 0);
}

static void vstep(unsigned step)
{
    unsigned queue = below(ring_queues + 1);

    if (step % 40 == 0) {
        decode(4);
        vstart();
    }
    for (unsigned n = below(10); n; n--)
        vdescriptor(chance(4) ? TABLES + 0x3000 + (below(4) << 8) : ring(queue, 0), below(9));
    for (unsigned n = below(4); n; n--) {
        paddr_t at = 0x20000u + (below(0xc0000u) & ~511u);

        vheader(at, below(5));
        poke64(ring(below(3), 0) + 16 * below(8), at);
    }
    if (chance(6))
        scribble(1 + below(8));
    for (unsigned n = 0; n < 8; n++)
        memory_write(&m->memory, ring(queue, 1) + 4 + 2 * n, 2, chance(8) ? draw() : below(8));
    if (chance(2))
        vrequest(queue);
    if (chance(20))
        memory_write(&m->memory, ring(queue, 1) + 2, 2, draw());
    else
        memory_write(&m->memory, ring(queue, 1) + 2, 2, memory_read(&m->memory, ring(queue, 2) + 2, 2) + below(4));
    vkick(queue);
    feed();
    if (chance(8))
        poke_register(mmio ? SLOT : BAR, mmio ? 0x200 : 0x4000);
    if (chance(60))
        vset(V_STATUS, chance(2) ? 0 : draw() & 0xff); /* with requests in progress */
}

static void make_virtio(plug_fn *fn, const char *text, bool in_slot, unsigned queues, struct drive *d)
{
    mmio = in_slot;
    old = strstr(text, "force-legacy=on");
    ring_queues = queues;
    scsi_requests = !d;
    gpu_requests = false;
    plug(fn, text, d);
    dev = machine_find_device(m, "dev");
}

static void make_blk(void)
{
    make_virtio(virtio_blk_pci_plug, "x,packed=on,num-queues=3", false, 3, new_drive("d0", DRIVE_DISK, NULL));
}

static void make_blk_mmio(void)
{
    make_virtio(virtio_blk_mmio_plug, "x,packed=on,num-queues=2", true, 2, new_drive("d0", DRIVE_DISK, NULL));
}

static void make_blk_old(void)
{
    make_virtio(virtio_blk_mmio_plug, "x,force-legacy=on,num-queues=2", true, 2, new_drive("d0", DRIVE_DISK, NULL));
}

static void make_net_old(void)
{
    make_virtio(virtio_net_mmio_plug, "x,force-legacy=on", true, 3, NULL);
}

static void make_balloon(void)
{
    make_virtio(virtio_balloon_pci_plug, "x,packed=on,free-page-reporting=on,guest-stats-polling-interval=1", false, 4, NULL);
}

static void make_shared(void)
{
    make_virtio(virtio_9p_pci_plug, "x,packed=on,fsdev=f,mount_tag=t", false, 1, NULL);
}

static void make_scsi(bool in_slot)
{
    make_virtio(in_slot ? virtio_scsi_mmio_plug : virtio_scsi_pci_plug, "x", in_slot, 3, NULL);
    plug(scsi_disk_plug, "x", new_drive("d0", DRIVE_DISK, NULL));
    plug(scsi_disk_plug, "x", new_drive("c0", DRIVE_CDROM, NULL));
}

static void make_scsi_pci(void)
{
    make_scsi(false);
}

static void make_scsi_mmio(void)
{
    make_scsi(true);
}

static void make_net(void)
{
    make_virtio(virtio_net_pci_plug, "x,packed=on", false, 3, NULL);
}

static void make_net_mmio(void)
{
    make_virtio(virtio_net_mmio_plug, "x,packed=on", true, 3, NULL);
}

static void make_gpu(void)
{
    make_virtio(virtio_gpu_pci_plug, "x,packed=on,max_hostmem=1M,max_outputs=3", false, 2, NULL);
    gpu_requests = true;
}

static void make_gpu_mmio(void)
{
    make_virtio(virtio_gpu_mmio_plug, "x,packed=on,max_hostmem=1M", true, 2, NULL);
    gpu_requests = true;
}

/* ---- all of them ---- */

static const struct hostile kinds[] = {
    {"virtio-9p", make_shared, vstep, "how many files it has opened"},
    {"virtio-balloon", make_balloon, vstep, "what the user wants"},
    {"virtio-blk", make_blk, vstep, NULL},
    {"virtio-blk in a slot", make_blk_mmio, vstep, NULL},
    {"virtio-blk in an old slot", make_blk_old, vstep, NULL},
    {"virtio-gpu", make_gpu, vstep, NULL},
    {"virtio-gpu in a slot", make_gpu_mmio, vstep, NULL},
    {"virtio-net", make_net, vstep, NULL},
    {"virtio-net in a slot", make_net_mmio, vstep, NULL},
    {"virtio-net in an old slot", make_net_old, vstep, NULL},
    {"virtio-scsi", make_scsi_pci, vstep, NULL},
    {"virtio-scsi in a slot", make_scsi_mmio, vstep, NULL},
};

START_TEST(hostile_guests_do_no_harm)
{
    try_hostile(&kinds[(unsigned)_i % ARRAY_LEN(kinds)], (unsigned)_i / ARRAY_LEN(kinds));
}
END_TEST

static void claims(TCase *tc)
{
    tcase_add_loop_test(tc, hostile_guests_do_no_harm, 0, hostile_seeds() * (int)ARRAY_LEN(kinds));
}

CHIP_TESTS("hostile virtio", claims)
