/* The high precision event timers: see hpet.c. */
#ifndef HINDCAST_I386_PC_HPET_H
#define HINDCAST_I386_PC_HPET_H

#include "vm/device.h"

#define HPET_BASE   0xfed00000u
#define HPET_BYTES  0x400u
#define HPET_TIMERS 3u
/* Low half of the capabilities: 64-bit counter, legacy replacement, three timers; as in the ACPI table. */
#define HPET_BLOCK_ID (0x8086a001u | (HPET_TIMERS - 1) << 8)

struct hpet_wiring {
    struct line irq0, irq8; /* where the legacy replacement goes, and without it PIT and RTC */
    struct line gsi2;       /* the I/O APIC's input 2 */
};

extern const struct device_ops hpet_ops;

/* What PIT (n 0) and RTC (n 1) drive: goes on to IRQ 0 and 8 unless the timers replace them. Fits line.set. */
void hpet_set_legacy(void *ctx, unsigned n, bool level);
/* Do the timers replace it? */
bool hpet_replaces(const struct device *dev, unsigned n);

#endif
