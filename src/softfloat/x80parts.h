/*
 * Inside libsoftfloat: the 80-bit format taken apart; shared by floatx80.c and
 * transcendental.c.
 */
#ifndef HINDCAST_SOFTFLOAT_X80PARTS_H
#define HINDCAST_SOFTFLOAT_X80PARTS_H

#include "softfloat/floatx80.h"
#include "softfloat/parts.h"

#define X80_BIAS 16383
/* The full precision, whatever the precision control. */
#define X80_FULL ((struct format){X80_BIAS, 64, true})

struct parts fx80_unpack(struct floatx80 a);
struct floatx80 fx80_pack(struct parts p);

#endif
