/*
 * virtio over memory-mapped registers (virtio 1.2, 4.2.2, version 2; with force-legacy=on 4.2.4, version 1), and slots with
 * nothing in them: each of those shows the magic value, version 1, the vendor, and device ID 0, which tells a driver to leave
 * it alone.
 *
 * A device that is plugged in takes a slot's range for itself. Its interrupt line is high while InterruptStatus is
 * not 0.
 *
 * Version 1 has the first 32 features, queues in one piece (GuestPageSize, QueueAlign, QueuePFN), and no generation. QEMU's
 * devices have it unless -global virtio-mmio.force-legacy=false says otherwise; here they have version 2 unless =true does.
 *
 * Not modelled: shared memory (no device has any), queue reset; version 1 of a guest that is big-endian.
 */
#include "vm/dev/virtio_mmio.h"

#include <errno.h>
#include <stdio.h>

#include "vm/machine.h"

enum { MAGIC_VALUE = 0x000, VERSION = 0x004, DEVICE_ID = 0x008, VENDOR_ID = 0x00c, DEVICE_FEATURES = 0x010,
       DEVICE_FEATURES_SEL = 0x014, DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024, GUEST_PAGE_SIZE = 0x028,
       QUEUE_SEL = 0x030, QUEUE_NUM_MAX = 0x034, QUEUE_NUM = 0x038, QUEUE_ALIGN = 0x03c, QUEUE_PFN = 0x040, QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050, INTERRUPT_STATUS = 0x060,
       INTERRUPT_ACK = 0x064, STATUS = 0x070, QUEUE_DESC = 0x080, QUEUE_DRIVER = 0x090, QUEUE_DEVICE = 0x0a0,
       SHM_LEN = 0x0b0, SHM_BASE = 0x0b8, QUEUE_RESET = 0x0c0, GENERATION = 0x0fc, CONFIG = 0x100 };

#define MAGIC  0x74726976u /* "virt" */
#define VENDOR 0x554d4551u /* "QEMU" */

/* ---- for virtio.c ---- */

static bool dma_read(struct virtio *v, paddr_t address, void *buf, size_t len)
{
    memory_dma_read(&v->dev->machine->memory, address, buf, len);
    return true;
}

static bool dma_write(struct virtio *v, paddr_t address, const void *buf, size_t len)
{
    memory_write_bytes(&v->dev->machine->memory, address, buf, len, false);
    return true;
}

static void update_irq(struct virtio *v)
{
    const struct virtio_mmio *t = v->dev->wiring;

    line_set(&t->irq, v->st->isr != 0);
}

static void interrupt(struct virtio *v, uint16_t vector)
{
    (void)vector;
    update_irq(v);
}

static const struct virtio_transport transport = {.dma_read = dma_read, .dma_write = dma_write, .interrupt = interrupt};

int virtio_mmio_plug(struct virtio_mmio *t, struct sockets *s, const struct option_list *props, char *path, size_t size,
                     struct error *err)
{
    paddr_t base = 0;

    if (option_list_switch(props, "force-legacy", &t->v.old, err) < 0)
        return err->code;
    if (t->v.old && t->v.packed)
        return error_set(err, -EINVAL, "packed=on: packed rings came with virtio 1.0, and force-legacy=on is what was before");
    t->v.transport = &transport;
    virtio_init(&t->v);
    if (s->mmio_slot(s->ctx, s->wanted_slot, t->v.dev, &t->irq, &base, err) < 0)
        return err->code;
    snprintf(path, size, "/virtio-mmio@%016llx", (unsigned long long)base);
    return 0;
}

void virtio_mmio_reset(struct device *dev)
{
    struct virtio_mmio *t = dev->wiring;

    virtio_reset(&t->v);
    update_irq(&t->v);
}

/* ---- registers ---- */

/* GuestPageSize, QueueAlign: the state has their logarithms; until the driver writes them, of 4096. */
static unsigned shift_of(uint16_t log2)
{
    return log2 < 32 ? log2 : 12;
}

static void take_size(uint16_t *log2, uint32_t value)
{
    if (value)
        *log2 = (uint16_t)__builtin_ctz(value);
}

/* Registers that version 1 has or that are others there. False: it is none. */
static bool old_read(const struct virtio_mmio *t, uint64_t offset, uint64_t *value)
{
    const struct virtio_state *s = t->v.st;
    const struct virtio_queue *q = virtio_selected(&t->v);

    switch (offset) {
    case VERSION:         *value = 1; return true;
    case DEVICE_FEATURES: *value = s->device_select ? 0 : t->v.offered; return true;
    case QUEUE_PFN:       *value = q ? (uint32_t)(q->desc >> shift_of(s->config_vector)) : 0; return true;
    case QUEUE_READY: case GENERATION: case SHM_LEN: case SHM_LEN + 4: case SHM_BASE: case SHM_BASE + 4:
        *value = 0;
        return true;
    default:
        return false;
    }
}

/* True: it is a queue's register, or the page size. */
static bool old_write(struct virtio_mmio *t, struct virtio_queue *q, uint64_t offset, uint32_t value)
{
    struct virtio_state *s = t->v.st;

    switch (offset) {
    case GUEST_PAGE_SIZE:
        take_size(&s->config_vector, value);
        return true;
    case QUEUE_NUM:
        if (q && !q->enabled && value && value <= VIRTIO_QUEUE_SIZE)
            q->size = (uint16_t)value;
        return true;
    case QUEUE_ALIGN:
        if (q && !q->enabled)
            take_size(&q->vector, value);
        return true;
    case QUEUE_PFN:
        if (q)
            virtio_queue_at(q, (uint64_t)value << shift_of(s->config_vector), 1ull << shift_of(q->vector));
        return true;
    default:
        return offset >= QUEUE_READY && offset != QUEUE_NOTIFY && offset != INTERRUPT_ACK && offset != STATUS;
    }
}

uint64_t virtio_mmio_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct virtio_mmio *t = dev->wiring;
    const struct virtio_state *s = t->v.st;
    const struct virtio_queue *q = virtio_selected(&t->v);
    uint64_t value;

    (void)range;
    if (offset >= CONFIG)
        return virtio_config_read(&t->v, offset - CONFIG, size);
    if (t->v.old && old_read(t, offset, &value))
        return value;
    switch (offset) {
    case MAGIC_VALUE:      return MAGIC;
    case VERSION:          return 2;
    case DEVICE_ID:        return t->v.class->id;
    case VENDOR_ID:        return VENDOR;
    case DEVICE_FEATURES:
        return s->device_select > 1 ? 0
               : (uint32_t)((t->v.offered & ~VIRTIO_F_ANY_LAYOUT) >> (32 * s->device_select));
    case QUEUE_NUM_MAX:    return q ? VIRTIO_QUEUE_SIZE : 0;
    case QUEUE_READY:      return q ? q->enabled : 0;
    case INTERRUPT_STATUS: return s->isr;
    case STATUS:           return s->status;
    case GENERATION:       return s->generation;
    case SHM_LEN: case SHM_LEN + 4: case SHM_BASE: case SHM_BASE + 4:
        return 0xffffffffu; /* there is no such region, whatever was selected */
    default:               return 0;
    }
}

static void set_half(uint64_t *reg, bool upper, uint32_t value)
{
    *reg = upper ? (*reg & 0xffffffffu) | (uint64_t)value << 32 : (*reg & ~0xffffffffull) | value;
}

/* Where the queue lies, and that it is there. */
static void queue_write(struct virtio_queue *q, uint64_t offset, uint32_t value)
{
    if (offset == QUEUE_READY) {
        q->enabled = (value & 1u) && q->size;
        return;
    }
    if (q->enabled)
        return;
    switch (offset & ~4ull) {
    case QUEUE_NUM & ~4u:
        if (value && value <= VIRTIO_QUEUE_SIZE)
            q->size = (uint16_t)value;
        break;
    case QUEUE_DESC:   set_half(&q->desc, offset & 4u, value); break;
    case QUEUE_DRIVER: set_half(&q->driver, offset & 4u, value); break;
    case QUEUE_DEVICE: set_half(&q->device, offset & 4u, value); break;
    default:           break;
    }
}

/* A reset by the driver leaves the page size as it is: Linux writes it before. */
static void set_status(struct virtio_mmio *t, uint8_t status)
{
    uint16_t page_size = t->v.st->config_vector;

    virtio_set_status(&t->v, status);
    if (t->v.old)
        t->v.st->config_vector = page_size;
    update_irq(&t->v);
}

void virtio_mmio_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_mmio *t = dev->wiring;
    struct virtio_state *s = t->v.st;
    struct virtio_queue *q = virtio_selected(&t->v);
    uint32_t word = (uint32_t)value;

    (void)range;
    if (offset >= CONFIG) {
        virtio_config_write(&t->v, offset - CONFIG, size, value);
        return;
    }
    if (size != 4 || (t->v.old && old_write(t, q, offset, word))) /* registers are 32 bits (4.2.2.2) */
        return;
    switch (offset) {
    case DEVICE_FEATURES_SEL: s->device_select = word; break;
    case DRIVER_FEATURES:     virtio_take_features(&t->v, s->driver_select, word); break;
    case DRIVER_FEATURES_SEL: s->driver_select = word; break;
    case QUEUE_SEL:           s->queue_select = word; break;
    case QUEUE_NOTIFY:        virtio_notify(&t->v, word & 0xffffu); break;
    case INTERRUPT_ACK:
        s->isr &= (uint8_t)~word;
        update_irq(&t->v);
        break;
    case STATUS:
        set_status(t, (uint8_t)word);
        break;
    case QUEUE_RESET: /* done at once: it reads as 0 */
        if (q && word == 1)
            virtio_queue_reset(&t->v, q);
        break;
    default:
        if (q)
            queue_write(q, offset, word);
        break;
    }
}

/* ---- empty slots ---- */

DEVICE_STATE_BEGIN
struct empty_state {
    uint64_t reserved; /* it has none */
};
DEVICE_STATE_END

static uint64_t slot_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    (void)dev, (void)range, (void)size;
    switch (offset % VIRTIO_MMIO_SLOT_BYTES) {
    case MAGIC_VALUE: return MAGIC;
    case VERSION:     return 1;
    case VENDOR_ID:   return VENDOR;
    default:          return 0;
    }
}

static void slot_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    (void)dev, (void)range, (void)offset, (void)size, (void)value;
}

const struct device_ops virtio_mmio_ops = {
    .name = "virtio_mmio",
    .state_size = sizeof(struct empty_state),
    .read = slot_read,
    .write = slot_write,
};
