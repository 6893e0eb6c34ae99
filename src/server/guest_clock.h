/*
 * --rtc: what the guest is told when it asks what time it is (QEMU's words: qemu(1), "Real-time clock").
 *
 * The guest asks once, as a rule, and counts guest time from there (clock=vm); with clock=host its clock is set to the
 * host's whenever it is looked at. Every answer is an event of the history: a replay asks nobody.
 */
#ifndef HINDCAST_GUEST_CLOCK_H
#define HINDCAST_GUEST_CLOCK_H

#include "base/error.h"
#include "base/types.h"

struct guest_clock {
    bool fixed;         /* it begins at `base`; else it is the host's */
    uint64_t base_ns;   /* since 1970 */
    bool local;         /* the host's, in the host's time zone; else in UTC */
    bool follows_host;  /* clock=host */
};

/* "base=utc|localtime|YYYY-MM-DD[THH:MM:SS],clock=vm|host,driftfix=none|slew". 0 or -EINVAL with *err. */
int guest_clock_parse(struct guest_clock *c, const char *text, struct error *err);
/* Nanoseconds since 1970 to be told. `wall`: the host's clock, in UTC; `began`: what it was when the guest began;
 * `now`: guest time. */
uint64_t guest_clock_tell(const struct guest_clock *c, uint64_t wall, uint64_t began, vtime_t now);

#endif
