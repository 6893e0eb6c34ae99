/*
 * CPU models: ID registers (D19.2) and what depends on them. Fields are set for
 * what is implemented, no more; so they differ from the silicon's where that has
 * what we have not (AArch32, big-endian data, trace), and all models have the three translation granules.
 *
 *   cortex-a53, -a57, -a72   ARMv8.0-A with CRC32, AES, SHA1, SHA2, PMULL
 *   max                      the same with LSE atomics, PAN, and caches that need
 *                            no maintenance (CTR_EL0.IDC, DIC)
 */
#include "aarch64/cpu.h"

#include <string.h>

/* AES and PMULL, SHA1, SHA256, CRC32. */
#define ISAR0_BASE   UINT64_C(0x00011120)
#define ISAR0_ATOMIC (UINT64_C(2) << 20)
/* EL0 to EL3 in AArch64 only; FP and SIMD without half-precision arithmetic. */
#define PFR0_BASE    UINT64_C(0x00001111)
#define PFR0_CSV     (UINT64_C(1) << 56 | UINT64_C(1) << 60)
/* 16-bit ASIDs, distinction of secure memory, 4K, 16K and 64K granules. */
#define MMFR0_BASE   UINT64_C(0x00101020)
#define MMFR1_PAN    (UINT64_C(1) << 20)
/* v8.0 debug: 6 breakpoints, 2 of them match contexts, 4 watchpoints; PMUv3. */
#define DFR0_BASE    UINT64_C(0x10305106)
#define CTR_IDC_DIC  (UINT64_C(3) << 28)

static const struct a64_model models[] = {
    {
        .name = "cortex-a53",
        .midr = 0x410fd034,
        .id_aa64isar0 = ISAR0_BASE,
        .id_aa64pfr0 = PFR0_BASE,
        .id_aa64mmfr0 = MMFR0_BASE | 2,
        .id_aa64dfr0 = DFR0_BASE,
        .ctr = 0x84448004,
        .dczid = 4,
        .clidr = 0x0a200023,
        .ccsidr = {{0x700fe01a, 0x201fe00a}, {0x707fe07a, 0}},
        .crc = true, .crypto = true,
        .pa_bits = 40,
        .pmu_id = 3,
    },
    {
        .name = "cortex-a57",
        .midr = 0x411fd070,
        .id_aa64isar0 = ISAR0_BASE,
        .id_aa64pfr0 = PFR0_BASE,
        .id_aa64mmfr0 = MMFR0_BASE | 4,
        .id_aa64dfr0 = DFR0_BASE,
        .ctr = 0x8444c004,
        .dczid = 4,
        .clidr = 0x0a200023,
        .ccsidr = {{0x701fe00a, 0x201fe012}, {0x70ffe07a, 0}},
        .crc = true, .crypto = true,
        .pa_bits = 44,
        .pmu_id = 1,
    },
    {
        .name = "cortex-a72",
        .midr = 0x410fd083,
        .id_aa64isar0 = ISAR0_BASE,
        .id_aa64pfr0 = PFR0_BASE,
        .id_aa64mmfr0 = MMFR0_BASE | 4,
        .id_aa64dfr0 = DFR0_BASE,
        .ctr = 0x8444c004,
        .dczid = 4,
        .clidr = 0x0a200023,
        .ccsidr = {{0x701fe00a, 0x201fe012}, {0x707fe07a, 0}},
        .crc = true, .crypto = true,
        .pa_bits = 44,
        .pmu_id = 2,
    },
    {
        .name = "max",
        .midr = 0x000f0510,
        .id_aa64isar0 = ISAR0_BASE | ISAR0_ATOMIC,
        .id_aa64pfr0 = PFR0_BASE | PFR0_CSV,
        .id_aa64mmfr0 = MMFR0_BASE | 5,
        .id_aa64mmfr1 = MMFR1_PAN,
        .id_aa64dfr0 = DFR0_BASE,
        .ctr = 0x8444c004 | CTR_IDC_DIC,
        .dczid = 4,
        .clidr = 0x0a200023,
        .ccsidr = {{0x701fe00a, 0x201fe012}, {0x70ffe07a, 0}},
        .lse = true, .pan = true, .crc = true, .crypto = true,
        .pa_bits = 48,
    },
};

const char a64_model_names[] = "cortex-a53 cortex-a57 cortex-a72 max";

const struct a64_model *a64_model_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        if (!strcmp(models[i].name, name))
            return &models[i];
    }
    return NULL;
}
