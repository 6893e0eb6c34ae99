/*
 * The S-boxes of AES (FIPS 197, figures 7 and 14): all targets' instructions for it are made of them.
 */
#ifndef HINDCAST_BASE_AES_H
#define HINDCAST_BASE_AES_H

#include "base/types.h"

extern const uint8_t aes_sbox[256], aes_inverse_sbox[256];

#endif
