/* What a display tells of itself: EDID (VESA Enhanced EDID Standard, release A, revision 2). See edid.c. */
#ifndef HINDCAST_VM_DEV_EDID_H
#define HINDCAST_VM_DEV_EDID_H

#include "base/error.h"
#include "base/option_list.h"
#include "base/types.h"

#define EDID_BYTES 128u

/* The properties xres, yres and edid that displays have. */
struct edid_config {
    bool on;             /* it tells */
    uint32_t xres, yres; /* the size that it would like */
};

#define EDID_DEFAULT_XRES 1280u
#define EDID_DEFAULT_YRES 800u
#define EDID_MOST 4095u /* pixels, in either direction: 12 bits */
#define EDID_KEYS {"edid", "on|off"}, {"xres", "PIXELS"}, {"yres", "PIXELS"}

/* Take these properties. 0, or -EINVAL with *err. */
int edid_take(struct edid_config *c, const struct option_list *props, struct error *err);
/* The block of 128 bytes of a monitor that is best at `xres` times `yres` pixels (64 to EDID_MOST). */
void edid_make(uint8_t block[EDID_BYTES], uint32_t xres, uint32_t yres);

#endif
