/*
 * What time it is for the guest. See guest_clock.h.
 */
#include "guest_clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/option_list.h"
#include "host/clock.h"

#define NS_PER_SEC UINT64_C(1000000000)

/* The date as it stands there, in UTC. False: it is none. */
static bool parse_date(const char *text, uint64_t *ns)
{
    int year, month, day, hour = 0, minute = 0, second = 0, n = 0, more = 0;
    struct tm tm, back;
    time_t t;

    if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &n) != 3)
        return false;
    if (text[n] && (sscanf(text + n, "T%2d:%2d:%2d%n", &hour, &minute, &second, &more) != 3 || text[n + more]))
        return false;
    tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = second};
    t = timegm(&tm);
    /* What was no date (the 31st of June, 25 o'clock) comes back as another one. */
    if (t < 0 || !gmtime_r(&t, &back) || back.tm_mon != month - 1 || back.tm_mday != day || back.tm_hour != hour ||
        back.tm_min != minute || back.tm_sec != second)
        return false;
    *ns = (uint64_t)t * NS_PER_SEC;
    return true;
}

int guest_clock_parse(struct guest_clock *c, const char *text, struct error *err)
{
    static const struct option_key keys[] = {
        {"base", "utc|localtime|YYYY-MM-DD[THH:MM:SS]"}, {"clock", "vm|host"}, {"driftfix", "none|slew"}, {NULL, NULL},
    };
    static const char *const clocks[] = {"vm", "host", NULL}, *const fixes[] = {"none", "slew", NULL};
    unsigned clock = 0, fix = 0; /* no interrupt is ever lost: there is nothing to fix */
    const char *base;
    struct option_list l;
    int r = option_list_parse(&l, "--rtc", text, NULL, keys, err);

    *c = (struct guest_clock){0};
    if (r == 0)
        r = option_list_choice(&l, "clock", clocks, &clock, err);
    if (r == 0)
        r = option_list_choice(&l, "driftfix", fixes, &fix, err);
    base = r == 0 ? option_list_get(&l, "base") : NULL;
    c->local = base && !strcmp(base, "localtime");
    c->follows_host = clock;
    if (base && !c->local && strcmp(base, "utc")) {
        c->fixed = parse_date(base, &c->base_ns);
        if (!c->fixed)
            r = error_set(err, -EINVAL, "--rtc base=%s: write utc, localtime, or a date such as 2006-06-17T16:01:21", base);
    }
    option_list_finish(&l);
    return r;
}

uint64_t guest_clock_tell(const struct guest_clock *c, uint64_t wall, uint64_t began, vtime_t now)
{
    if (c->fixed)
        return c->base_ns + (c->follows_host ? wall - began : now);
    return c->local ? wall + (uint64_t)(host_zone_seconds(wall) * (int64_t)NS_PER_SEC) : wall;
}
