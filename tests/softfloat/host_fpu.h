/*
 * The host's own SSE and x87 units, for comparing against: x86-64 only. Each
 * function runs one instruction with the given control word from clean flags,
 * everything masked, and returns the flags that it raised.
 */
#ifndef HINDCAST_TESTS_HOST_FPU_H
#define HINDCAST_TESTS_HOST_FPU_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#define HOST_FPU 1

/* Where the manual leaves a choice (undefined condition bits, how far FPREM goes in one
 * step, whether an unmasked overflow is also inexact...), the expectations were taken from AMD's
 * processors; elsewhere such details are not compared. */
static inline int host_details(void)
{
    return __builtin_cpu_is("amd");
}

struct host_x80 {
    uint64_t sig;
    uint16_t se;
} __attribute__((packed));

/* A small generator of its own, so that failures repeat. */
static uint64_t host_random_state = 0x9e3779b97f4a7c15u;
static inline uint64_t host_random(void)
{
    host_random_state ^= host_random_state << 13;
    host_random_state ^= host_random_state >> 7;
    host_random_state ^= host_random_state << 17;
    return host_random_state * 0x2545f4914f6cdd1du;
}

/* Operands that meet: zeros, infinities, NaNs, limits, denormals, small integers, near exponents. */
static inline uint64_t host_operand(unsigned ebits, unsigned fbits)
{
    uint64_t r = host_random(), emax = ((uint64_t)1 << ebits) - 1, fmask = ((uint64_t)1 << fbits) - 1;
    uint64_t e, f = host_random() & fmask, sign = (r >> 63) << (ebits + fbits);

    switch (r % 16) {
    case 0: e = 0; f = 0; break;
    case 1: e = emax; f = 0; break;
    case 2: e = emax; break;
    case 3: e = emax; f |= (uint64_t)1 << (fbits - 1); break;
    case 4: e = 0; break;
    case 5: e = 0; f >>= (r >> 8) % fbits; break;
    case 6: e = 1 + (r >> 8) % 3; break;
    case 7: e = emax - 1 - (r >> 8) % 3; break;
    case 8: e = (emax >> 1) + (r >> 8) % 8 - 3; f = 0; break;
    case 9: e = (emax >> 1) + (r >> 8) % 64; f &= ~(fmask >> ((r >> 16) % (fbits + 1))); break;
    case 10: e = (emax >> 1) + (r >> 8) % 66 - 1; break;
    case 11: e = (r >> 8) % (emax + 1); f = fmask; break;
    case 12: e = (r >> 8) % (emax + 1); break;
    default: e = (emax >> 1) + (r >> 8) % 5 - 2; break;
    }
    return sign | e << fbits | f;
}

static inline struct host_x80 host_operand80(void)
{
    uint64_t v = host_operand(15, 48);
    struct host_x80 r = {0, (uint16_t)(v >> 48)};
    uint64_t c = host_random();

    r.sig = (v & 0xffffffffffffu) << 15 | (c & 0x8000000000000000u ? c & 0x7fff : c & 0x800000000 ? 0x7fff : 0);
    if ((v & 0xffffffffffffu) == 0 && c % 8)
        r.sig = 0;
    if (r.se & 0x7fff)
        r.sig |= 0x8000000000000000u;
    if (c % 32 == 0)
        r.sig ^= 0x8000000000000000u; /* unnormal, pseudo-denormal */
    return r;
}

static inline void host_set_mxcsr(uint32_t v)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
}
static inline uint32_t host_get_mxcsr(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}
static inline void host_set_fcw(uint16_t v)
{
    __asm__ volatile("fnclex; fldcw %0" : : "m"(v));
}
static inline uint16_t host_get_fsw(void)
{
    uint16_t v;
    __asm__ volatile("fnstsw %0" : "=m"(v));
    return v;
}

#endif
#endif
