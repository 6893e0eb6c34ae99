/*
 * Timers of an FM chip (YMF262 application manual, "Timers"): from a value up to 256 in steps of 80 and of 320 us. Nobody is interrupted,
 * so whether one has run out is looked at when somebody asks. Not modelled: that a timer starts again by itself.
 */
#include "vm/dev/opl_timers.h"

enum { TIMER_1 = 2, CONTROL = 4 };
#define RESET_FLAGS 0x80u /* of CONTROL; bits 6 and 5 mask the timers, bits 0 and 1 start them */

uint8_t opl_status(struct opl_timers *t, vtime_t now)
{
    static const uint32_t step_ns[2] = {80000, 320000};

    for (unsigned i = 0; i < 2; i++)
        if ((t->reg[CONTROL - TIMER_1] >> i & 1u) && !(t->reg[CONTROL - TIMER_1] >> (6 - i) & 1u) &&
            now - t->began[i] >= (uint64_t)step_ns[i] * (256u - t->reg[i]))
            t->flags |= (uint8_t)(0x40u >> i);
    return (uint8_t)(t->flags | (t->flags ? 0x80u : 0));
}

void opl_write(struct opl_timers *t, vtime_t now, uint8_t value)
{
    if (t->index < TIMER_1 || t->index > CONTROL)
        return;
    opl_status(t, now);
    if (t->index == CONTROL && (value & RESET_FLAGS)) {
        t->flags = 0;
        t->began[0] = t->began[1] = now;
        return;
    }
    for (unsigned i = 0; t->index == CONTROL && i < 2; i++)
        if ((value & ~t->reg[CONTROL - TIMER_1]) >> i & 1u)
            t->began[i] = now;
    t->reg[t->index - TIMER_1] = value;
}
