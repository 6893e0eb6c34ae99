/*
 * A compressed sample is a sign and a magnitude, which a scale makes larger: at scale 0 it is m, at the following ones
 * (2 m + 1) times 1, 2, 4... A large magnitude brings the next scale, none the one before.
 */
#include "vm/dev/sb16_adpcm.h"

unsigned sb16_adpcm_samples(unsigned bits)
{
    return bits == 3 ? 3 : 8 / bits;
}

void sb16_adpcm_decode(struct sb16_adpcm *a, unsigned bits)
{
    static const uint8_t steps[] = {1, 2, 4, 8, 16};
    const unsigned most = bits == 4 ? 3 : bits == 3 ? 4 : 5, up = bits == 4 ? 5 : bits == 3 ? 3 : 1;
    unsigned code = a->packed >> (8 - bits), m = code & ((1u << (bits - 1)) - 1);
    unsigned step = !a->scale ? 0 : bits == 3 && a->scale == 4 ? 5 : steps[a->scale - 1];
    int size = (int)(step ? (2 * m + 1) * step : m), value = a->reference + (code >> (bits - 1) ? -size : size);

    a->reference = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    if (!m && a->scale)
        a->scale--;
    else if (m >= up && a->scale < most)
        a->scale++;
    a->packed = (uint8_t)(a->packed << bits);
    a->samples--;
}
