/* The 8254 interval timer and port 61h: see pit.c. */
#ifndef HINDCAST_I386_PC_PIT_H
#define HINDCAST_I386_PC_PIT_H

#include "vm/device.h"

#define PIT_HZ 1193182u

struct pit_wiring {
    struct line irq; /* OUT of counter 0 */
    /* Can it cause an interrupt, as the interrupt controllers are programmed? NULL: yes. */
    bool (*irq_heard)(void *ctx);
    void *irq_ctx;
    /* What is heard of counter 2 and port 61h up to now is to be told before it changes, and that it has. NULL: nobody
     * listens. */
    void (*speaker_sync)(void *ctx);
    void (*speaker_changed)(void *ctx);
    void *speaker;
};

/* Ranges: ports 40h-43h, and port 61h. */
enum { PIT_COUNTERS, PIT_PORT_61 };

extern const struct device_ops pit_ops;

/* The speaker is driven when port 61h bit 1 and OUT of counter 2 are high. Is the bit? */
bool pit_speaker_data(const struct device *pit);
/* Will OUT of counter 2 change by itself? */
bool pit_speaker_counts(const struct device *pit);
/* How much of the time from `from` to `to` (ns; not later than now) it is driven, if nothing was written since `from`: in 1e-9
 * ticks of the crystal, exactly; all of it is (to - from) * PIT_HZ. */
uint64_t pit_speaker_driven(const struct device *pit, vtime_t from, vtime_t to);

#endif
