/* The two timers of Yamaha's FM chips (YM3812, YMF262), by which programs find them: see opl_timers.c. */
#ifndef HINDCAST_VM_DEV_OPL_TIMERS_H
#define HINDCAST_VM_DEV_OPL_TIMERS_H

#include "vm/device.h"

DEVICE_STATE_BEGIN
struct opl_timers {
    uint64_t began[2];  /* vtime */
    uint8_t index;      /* of the register that is written next */
    uint8_t reg[3];     /* 02h to 04h */
    uint8_t flags;      /* of the timers that have run out */
    uint8_t reserved[3];
};
DEVICE_STATE_END

/* Bits: 80h any, 40h timer 1, 20h timer 2. */
uint8_t opl_status(struct opl_timers *t, vtime_t now);
/* To the register that the index names. */
void opl_write(struct opl_timers *t, vtime_t now, uint8_t value);

#endif
