/* The MC146818 real-time clock and its CMOS memory: see rtc.c. */
#ifndef HINDCAST_I386_PC_RTC_H
#define HINDCAST_I386_PC_RTC_H

#include "vm/device.h"

struct rtc_wiring {
    struct line irq;
    uint64_t memory_bytes; /* for the size bytes that a BIOS looks for */
    unsigned cpus;         /* likewise: QEMU's byte of how many there are */
};

/* Range 0: ports 70h-71h (72h-73h the upper bank). */
extern const struct device_ops rtc_ops;

#endif
