/* PS/2 keyboard and mouse behind the i8042: see ps2kbd.c, ps2mouse.c. */
#ifndef HINDCAST_I386_PC_PS2_H
#define HINDCAST_I386_PC_PS2_H

#include <string.h>

#include "vm/device.h"

#define PS2_ACK    0xfau
#define PS2_RESEND 0xfeu
#define PS2_BAT_OK 0xaau

struct ps2_wiring {
    struct line ready; /* the device has a byte for the host */
    /* It is touched. True: that only woke the machine, and nobody hears of it. NULL: the machine never sleeps. */
    bool (*wakes)(void *ctx);
    void *wakes_ctx;
};

#define PS2_QUEUE 32u

DEVICE_STATE_BEGIN
/* Bytes on their way to the host. */
struct ps2_queue {
    uint8_t bytes[PS2_QUEUE];
    uint8_t head, count;
    uint8_t last;     /* the byte sent last, for the resend command */
    uint8_t reserved[5];
};
DEVICE_STATE_END

static inline void ps2_put(struct ps2_queue *q, uint8_t byte)
{
    if (q->count == PS2_QUEUE)
        return; /* callers make sure that whole packets fit */
    q->bytes[(q->head + q->count) % PS2_QUEUE] = byte;
    q->count++;
}

static inline uint8_t ps2_take(struct ps2_queue *q)
{
    if (!q->count)
        return q->last;
    q->last = q->bytes[q->head];
    q->head = (uint8_t)((q->head + 1) % PS2_QUEUE);
    q->count--;
    return q->last;
}

/* device_ops.possible */
static inline bool ps2_possible(const struct ps2_queue *q)
{
    return q->head < PS2_QUEUE && q->count <= PS2_QUEUE;
}

static inline void ps2_clear(struct ps2_queue *q)
{
    memset(q->bytes, 0, sizeof(q->bytes));
    q->head = 0;
    q->count = 0;
}

/* For the controller: the device's byte (its `ready` line tells when), and a byte for the device. */
uint8_t ps2kbd_take(struct device *dev);
void ps2kbd_command(struct device *dev, uint8_t byte);
uint8_t ps2mouse_take(struct device *dev);
void ps2mouse_command(struct device *dev, uint8_t byte);

extern const struct device_ops ps2kbd_ops;
extern const struct device_ops ps2mouse_ops;

#endif
