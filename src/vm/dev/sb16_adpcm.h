/* Creative's compressed samples of 4, 2.6 and 2 bits: see sb16_adpcm.c. */
#ifndef HINDCAST_VM_DEV_SB16_ADPCM_H
#define HINDCAST_VM_DEV_SB16_ADPCM_H

#include "vm/device.h"

DEVICE_STATE_BEGIN
struct sb16_adpcm {
    uint8_t reference; /* the last sample, unsigned */
    uint8_t scale;     /* 0 to 5 */
    uint8_t packed;    /* what is left of the last byte, in its upper bits, */
    uint8_t samples;   /* and how many samples that are */
};
DEVICE_STATE_END

/* Samples in a byte, of `bits` (4, 3 or 2) each; of 3 bits the last one has two. */
unsigned sb16_adpcm_samples(unsigned bits);
/* The next sample of those that are left becomes the reference. */
void sb16_adpcm_decode(struct sb16_adpcm *a, unsigned bits);

#endif
