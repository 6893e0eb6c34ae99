/* The MC146818 real-time clock and its CMOS memory: see rtc.c. */
#ifndef HINDCAST_I386_PC_RTC_H
#define HINDCAST_I386_PC_RTC_H

#include "vm/device.h"

struct rtc_wiring {
    struct line irq;
    /* IRQ8# is asserted for an alarm: what wakes a machine. NULL: nobody is told. */
    void (*alarm)(void *ctx);
    void *alarm_ctx;
    uint64_t memory_bytes; /* for the size bytes that a BIOS looks for */
    uint8_t floppies[2];   /* likewise: kinds of the floppy drives (fdc.h), 0: there is none */
    unsigned cpus;         /* likewise: QEMU's byte of how many there are */
    char boot_order[4];    /* letters (vm/dev/parts.h) for the bytes by which QEMU tells a BIOS; "": they are left alone */
    char boot_once[4];     /* the same, as long as there was no reset; "": boot_order */
};

/* The bits of the equipment byte, in CMOS and in a BIOS's data, that tell of floppy drives. */
unsigned rtc_floppy_equipment(const struct rtc_wiring *w);

/* A machine that slept starts anew instead of resuming: its firmware is to find nothing of it. */
void rtc_forget_sleep(struct device *dev);

/* Range 0: ports 70h-71h (72h-73h the upper bank). */
extern const struct device_ops rtc_ops;

#endif
