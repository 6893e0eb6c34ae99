/*
 * virtio over PCI (virtio 1.2, 4.1): modern devices, by capabilities that say where in BAR 4 the structures are, and
 * transitional ones, which also have the registers of before 1.0 in the ports of BAR 0. MSI-X in BAR 1.
 *
 * The layout of BAR 4: 0000h common configuration, 1000h interrupt status, 2000h device configuration, 3000h
 * notifications (4 bytes a queue). Of a display with a VGA it is BAR 2, which begins with the VGA's registers: 0000h these,
 * 1000h common configuration, 1800h interrupt status, the rest as above.
 *
 * Not modelled: shared memory, queue reset, notification data, administration queues.
 */
#include "vm/dev/virtio_pci.h"


#include "base/bytes.h"
#include "vm/dev/vga.h"
#include "vm/machine.h"

#define VENDOR 0x1af4u

enum { RANGE_LEGACY = 1, RANGE_MSIX, RANGE_MODERN };

#define PART_BYTES   0x1000u
#define PART_COMMON  0x0000u
#define PART_ISR     0x1000u
#define PART_DEVICE  0x2000u
#define PART_NOTIFY  0x3000u
#define MODERN_BYTES 0x4000u
#define NOTIFY_STEP  4u
#define VGA_COMMON   0x1000u /* with a VGA */
#define VGA_ISR      0x1800u

/* Registers of before 1.0 (4.1.4.10). */
enum { L_DEVICE_FEATURES = 0, L_DRIVER_FEATURES = 4, L_QUEUE_PFN = 8, L_QUEUE_SIZE = 12, L_QUEUE_SELECT = 14,
       L_QUEUE_NOTIFY = 16, L_STATUS = 18, L_ISR = 19, L_CONFIG_VECTOR = 20, L_QUEUE_VECTOR = 22 };
#define LEGACY_BYTES 0x80u
#define LEGACY_ALIGN 4096ull

/* The common configuration (4.1.4.3). */
enum { C_DEVICE_SELECT = 0x00, C_DEVICE_FEATURES = 0x04, C_DRIVER_SELECT = 0x08, C_DRIVER_FEATURES = 0x0c,
       C_CONFIG_VECTOR = 0x10, C_QUEUES = 0x12, C_STATUS = 0x14, C_GENERATION = 0x15, C_QUEUE_SELECT = 0x16,
       C_QUEUE_SIZE = 0x18, C_QUEUE_VECTOR = 0x1a, C_QUEUE_ENABLE = 0x1c, C_QUEUE_NOTIFY_OFF = 0x1e, C_QUEUE_DESC = 0x20,
       C_QUEUE_DRIVER = 0x28, C_QUEUE_DEVICE = 0x30, C_END = 0x38,
       C_QUEUE_RESET = 0x3a, C_RESET_END = 0x3c };

/* Capabilities (4.1.4). */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI };

static struct virtio_pci *of(struct virtio *v)
{
    return (struct virtio_pci *)(void *)v; /* the first member */
}

/* ---- for virtio.c ---- */

static bool dma_read(struct virtio *v, paddr_t address, void *buf, size_t len)
{
    return pci_dma_read(&of(v)->pci, address, buf, len);
}

static bool dma_write(struct virtio *v, paddr_t address, const void *buf, size_t len)
{
    return pci_dma_write(&of(v)->pci, address, buf, len);
}

static void interrupt(struct virtio *v, uint16_t vector)
{
    struct virtio_pci *t = of(v);

    if (!pci_msix_enabled(&t->pci))
        pci_set_intx(&t->pci, true);
    else if (vector != VIRTIO_NO_VECTOR)
        pci_notify(&t->pci, vector);
}

static const struct virtio_transport transport = {.dma_read = dma_read, .dma_write = dma_write, .interrupt = interrupt};

static uint8_t take_isr(struct virtio_pci *t)
{
    uint8_t isr = t->v.st->isr;

    t->v.st->isr = 0;
    pci_set_intx(&t->pci, false);
    return isr;
}

static void set_status(struct virtio_pci *t, uint8_t status)
{
    virtio_set_status(&t->v, status);
    if (!status)
        pci_set_intx(&t->pci, false);
}

static uint16_t vector_of(const struct virtio_pci *t, uint64_t value)
{
    return value < t->pci.msix.vectors ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

/* ---- modern ---- */

/* Bytes of one register, written as part of a larger or smaller access. */
static void set64(uint64_t *reg, uint64_t offset, unsigned size, uint64_t value)
{
    unsigned shift = 8 * (offset & 7u);
    uint64_t mask = (size >= 8 ? ~0ull : (1ull << (8 * size)) - 1) << shift;

    *reg = (*reg & ~mask) | (value << shift & mask);
}

static uint64_t common_read(struct virtio_pci *t, uint64_t offset, unsigned size)
{
    const struct virtio_state *s = t->v.st;
    const struct virtio_queue none = {.vector = VIRTIO_NO_VECTOR}, *selected = virtio_selected(&t->v),
                              *q = selected ? selected : &none;

    switch (offset) {
    case C_DEVICE_SELECT:   return s->device_select;
    case C_DEVICE_FEATURES:
        return s->device_select > 1 ? 0
               : (uint32_t)((t->v.offered & ~VIRTIO_F_ANY_LAYOUT) >> (32 * s->device_select));
    case C_DRIVER_SELECT:   return s->driver_select;
    case C_DRIVER_FEATURES: return s->driver_select > 1 ? 0 : (uint32_t)(s->features >> (32 * s->driver_select));
    case C_CONFIG_VECTOR:   return s->config_vector;
    case C_QUEUES:          return t->v.queues;
    case C_STATUS:          return s->status;
    case C_GENERATION:      return s->generation & 0xffu;
    case C_QUEUE_SELECT:    return s->queue_select;
    case C_QUEUE_SIZE:      return q->size;
    case C_QUEUE_VECTOR:    return q->vector;
    case C_QUEUE_ENABLE:    return q->enabled;
    case C_QUEUE_NOTIFY_OFF: return selected ? s->queue_select : 0;
    default:
        break;
    }
    (void)size;
    if (offset >= C_QUEUE_DESC && offset < C_END) {
        uint64_t reg = offset < C_QUEUE_DRIVER ? q->desc : offset < C_QUEUE_DEVICE ? q->driver : q->device;

        return reg >> (8 * (offset & 7u));
    }
    return 0;
}

static void queue_write(struct virtio_pci *t, struct virtio_queue *q, uint64_t offset, unsigned size, uint64_t value)
{
    switch (offset) {
    case C_QUEUE_SIZE:
        if (value && value <= VIRTIO_QUEUE_SIZE && !q->enabled)
            q->size = (uint16_t)value;
        return;
    case C_QUEUE_VECTOR:
        q->vector = vector_of(t, value);
        return;
    case C_QUEUE_ENABLE:
        if (value == 1 && q->size)
            q->enabled = 1;
        return;
    case C_QUEUE_RESET: /* done at once: it reads as 0 */
        if (value == 1)
            virtio_queue_reset(&t->v, q);
        return;
    default:
        break;
    }
    if (q->enabled)
        return;
    if (offset >= C_QUEUE_DESC && offset < C_QUEUE_DRIVER)
        set64(&q->desc, offset, size, value);
    else if (offset >= C_QUEUE_DRIVER && offset < C_QUEUE_DEVICE)
        set64(&q->driver, offset, size, value);
    else if (offset >= C_QUEUE_DEVICE && offset < C_END)
        set64(&q->device, offset, size, value);
}

static void common_write(struct virtio_pci *t, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_state *s = t->v.st;
    struct virtio_queue *q = virtio_selected(&t->v);

    switch (offset) {
    case C_DEVICE_SELECT:   s->device_select = (uint32_t)value; break;
    case C_DRIVER_SELECT:   s->driver_select = (uint32_t)value; break;
    case C_DRIVER_FEATURES: virtio_take_features(&t->v, s->driver_select, (uint32_t)value); break;
    case C_CONFIG_VECTOR:   s->config_vector = vector_of(t, value); break;
    case C_STATUS:          set_status(t, (uint8_t)value); break;
    case C_QUEUE_SELECT:    s->queue_select = (uint16_t)value; break;
    default:
        if (q)
            queue_write(t, q, offset, size, value);
        break;
    }
}

static unsigned modern_bar(const struct virtio_pci *t)
{
    return t->vga ? 2 : 4;
}

/* An offset into a BAR that a VGA's registers are in, as one into BAR 4 of others. False: it is the VGA's. */
static bool behind_vga(uint64_t *offset)
{
    if (*offset < VGA_COMMON)
        return false;
    if (*offset < PART_DEVICE)
        *offset -= *offset < VGA_ISR ? VGA_COMMON - PART_COMMON : VGA_ISR - PART_ISR;
    return true;
}

static uint64_t modern_read(struct virtio_pci *t, uint64_t offset, unsigned size)
{
    if (t->vga && !behind_vga(&offset))
        return device_read(t->vga, VGA_MMIO, offset, size);
    switch (offset & ~(uint64_t)(PART_BYTES - 1)) {
    case PART_COMMON: return common_read(t, offset, size);
    case PART_ISR:    return offset == PART_ISR ? take_isr(t) : 0;
    case PART_DEVICE: return virtio_config_read(&t->v, offset - PART_DEVICE, size);
    default:          return 0;
    }
}

static void modern_write(struct virtio_pci *t, uint64_t offset, unsigned size, uint64_t value)
{
    if (t->vga && !behind_vga(&offset)) {
        device_write(t->vga, VGA_MMIO, offset, size, value);
        return;
    }
    switch (offset & ~(uint64_t)(PART_BYTES - 1)) {
    case PART_COMMON: common_write(t, offset, size, value); break;
    case PART_DEVICE: virtio_config_write(&t->v, offset - PART_DEVICE, size, value); break;
    case PART_NOTIFY: virtio_notify(&t->v, (unsigned)(offset - PART_NOTIFY) / NOTIFY_STEP); break;
    default:          break;
    }
}

/* ---- before 1.0 ---- */

static unsigned legacy_config(const struct virtio_pci *t)
{
    return pci_msix_enabled(&t->pci) ? 24 : 20;
}

static uint64_t legacy_read(struct virtio_pci *t, uint64_t offset, unsigned size)
{
    const struct virtio_state *s = t->v.st;
    const struct virtio_queue *q = virtio_selected(&t->v);

    if (offset >= legacy_config(t))
        return virtio_config_read(&t->v, offset - legacy_config(t), size);
    switch (offset) {
    case L_DEVICE_FEATURES: return (uint32_t)t->v.offered;
    case L_DRIVER_FEATURES: return (uint32_t)s->features;
    case L_QUEUE_PFN:       return q ? q->desc / LEGACY_ALIGN : 0;
    case L_QUEUE_SIZE:      return q ? q->size : 0;
    case L_QUEUE_SELECT:    return s->queue_select;
    case L_STATUS:          return s->status;
    case L_ISR:             return take_isr(t);
    case L_CONFIG_VECTOR:   return s->config_vector;
    case L_QUEUE_VECTOR:    return q ? q->vector : VIRTIO_NO_VECTOR;
    default:                return 0;
    }
}

static void legacy_write(struct virtio_pci *t, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_state *s = t->v.st;
    struct virtio_queue *q = virtio_selected(&t->v);

    if (offset >= legacy_config(t)) {
        virtio_config_write(&t->v, offset - legacy_config(t), size, value);
        return;
    }
    switch (offset) {
    case L_DRIVER_FEATURES: virtio_take_features(&t->v, 0, (uint32_t)value); break;
    case L_QUEUE_PFN:
        if (q)
            virtio_queue_at(q, (uint32_t)value * LEGACY_ALIGN, LEGACY_ALIGN);
        break;
    case L_QUEUE_SELECT:    s->queue_select = (uint16_t)value; break;
    case L_QUEUE_NOTIFY:    virtio_notify(&t->v, (uint16_t)value); break;
    case L_STATUS:          set_status(t, (uint8_t)value); break;
    case L_CONFIG_VECTOR:   s->config_vector = vector_of(t, value); break;
    case L_QUEUE_VECTOR:
        if (q)
            q->vector = vector_of(t, value);
        break;
    default:
        break;
    }
}

/* ---- the device ---- */

uint64_t virtio_pci_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct virtio_pci *t = dev->wiring;

    switch (range) {
    case RANGE_LEGACY: return legacy_read(t, offset, size);
    case RANGE_MSIX:   return pci_msix_owns(&t->pci, offset) ? pci_msix_read(&t->pci, offset, size) : 0;
    default:           return modern_read(t, offset, size);
    }
}

void virtio_pci_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_pci *t = dev->wiring;

    if (range == RANGE_LEGACY)
        legacy_write(t, offset, size, value);
    else if (range == RANGE_MODERN)
        modern_write(t, offset, size, value);
    else if (pci_msix_owns(&t->pci, offset))
        pci_msix_write(&t->pci, offset, size, value);
}

void virtio_pci_reset(struct device *dev)
{
    struct virtio_pci *t = dev->wiring;

    pci_function_reset(&t->pci);
    virtio_reset(&t->v);
}

static void add_capability(struct virtio_pci *t, unsigned type, uint32_t offset, uint32_t len, unsigned more)
{
    struct pci_function *f = &t->pci;
    uint8_t at = pci_add_capability(f, PCI_CAP_VENDOR, 16 + more);

    f->reset[at + 2u] = (uint8_t)(16 + more);
    f->reset[at + 3u] = (uint8_t)type;
    f->reset[at + 4u] = (uint8_t)modern_bar(t);
    put_le32(f->reset + at + 8u, offset);
    put_le32(f->reset + at + 12u, len);
    if (type == CAP_NOTIFY)
        put_le32(f->reset + at + 16u, NOTIFY_STEP);
}

/* The window into BAR 4 that is in configuration space (4.1.4.9): its length and whether the access lies in it. */
static bool window(const struct virtio_pci *t, unsigned offset, unsigned size, uint32_t *at, uint32_t *len)
{
    uint8_t cap = t->window_at;

    *at = get_le32(t->pci.config + cap + 8u);
    *len = get_le32(t->pci.config + cap + 12u);
    return offset < cap + 20u && cap + 16u < offset + size && (*len == 1 || *len == 2 || *len == 4) &&
           t->pci.config[cap + 4u] == modern_bar(t) && *at < MODERN_BYTES && !(*at & (*len - 1));
}

static void window_read(struct device *dev, unsigned offset, unsigned size)
{
    struct virtio_pci *t = dev->wiring;
    uint32_t at, len;

    if (window(t, offset, size, &at, &len))
        put_le32(t->pci.config + t->window_at + 16u, (uint32_t)modern_read(t, at, len));
}

static void window_written(struct device *dev, unsigned offset, unsigned size)
{
    struct virtio_pci *t = dev->wiring;
    uint32_t at, len;

    if (window(t, offset, size, &at, &len))
        modern_write(t, at, len, get_le32(t->pci.config + t->window_at + 16u) & (0xffffffffu >> (32 - 8 * len)));
}

static void add_window(struct virtio_pci *t)
{
    struct pci_function *f = &t->pci;

    t->window_at = f->next_capability;
    add_capability(t, CAP_PCI, 0, 0, 4);
    f->writable[t->window_at + 4u] = 0xff;
    for (unsigned reg = 8; reg < 20; reg += 4)
        put_le32(f->writable + t->window_at + reg, ~0u);
    f->reading = window_read;
    f->written = window_written;
}

void virtio_pci_plug(struct virtio_pci *t, struct pci_bus *bus, uint8_t devfn, uint32_t class_code)
{
    static const uint16_t transitional[] = {0, 0x1000, 0x1001, 0x1003, 0x1005, 0x1002, 0, 0, 0x1004, 0x1009};
    uint16_t id = t->v.class->id;
    const struct pci_identity identity = {
        .vendor = VENDOR, .device = t->legacy ? transitional[id] : (uint16_t)(0x1040 + id),
        .subsystem_vendor = VENDOR, .subsystem = t->legacy ? id : 0x1100, .class_code = class_code,
        .revision = t->legacy ? 0 : 1, .pin = 1,
        .command = t->vga ? PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR | PCI_COMMAND_NO_INTX : 0};
    const unsigned msix_bar = t->vga ? 4 : 1;

    t->v.st = &t->st->virtio;
    t->v.transport = &transport;
    virtio_init(&t->v);
    pci_function_init(&t->pci, bus, devfn, t->v.dev, t->st->config, &identity);
    if (t->legacy)
        pci_add_bar(&t->pci, 0, PCI_BAR_IO, false, LEGACY_BYTES, RANGE_LEGACY);
    pci_add_bar(&t->pci, msix_bar, PCI_BAR_MEMORY, false, 0x1000, RANGE_MSIX);
    pci_add_bar(&t->pci, modern_bar(t), PCI_BAR_MEMORY_64, true, MODERN_BYTES, RANGE_MODERN);
    pci_add_msix(&t->pci, &(struct pci_msix){.table = t->st->table[0], .pending = &t->st->pending,
                                             .vectors = t->v.queues + 1, .bar = msix_bar, .pending_at = 0x800});
    add_capability(t, CAP_COMMON, t->vga ? VGA_COMMON : PART_COMMON, t->v.offered & VIRTIO_F_RING_RESET ? C_RESET_END : C_END, 0);
    add_capability(t, CAP_ISR, t->vga ? VGA_ISR : PART_ISR, t->vga ? PART_DEVICE - VGA_ISR : PART_BYTES, 0);
    add_capability(t, CAP_DEVICE, PART_DEVICE, PART_BYTES, 0);
    add_capability(t, CAP_NOTIFY, PART_NOTIFY, VIRTIO_QUEUES * NOTIFY_STEP, 4);
    add_window(t);
}
