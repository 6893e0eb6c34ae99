/*
 * CPU models: what CPUID says and what depends on the generation (SDM 2A,
 * CPUID; AP-485). Feature bits are set for what is implemented, no more.
 *
 *   486       a 486DX4 with CPUID and VME
 *   pentium3  Coppermine
 *   pentium4  a Prescott of the E0 stepping (execute disable), as a 32-bit CPU without
 *             hyper-threading and SSE3
 */
#include "i386/cpu.h"

#include <string.h>

enum {
    F_FPU = 1 << 0, F_VME = 1 << 1, F_DE = 1 << 2, F_PSE = 1 << 3, F_TSC = 1 << 4, F_MSR = 1 << 5, F_PAE = 1 << 6,
    F_MCE = 1 << 7, F_CX8 = 1 << 8, F_SEP = 1 << 11, F_MTRR = 1 << 12, F_PGE = 1 << 13, F_MCA = 1 << 14,
    F_CMOV = 1 << 15, F_PAT = 1 << 16, F_PSE36 = 1 << 17, F_CLFSH = 1 << 19, F_MMX = 1 << 23, F_FXSR = 1 << 24,
    F_SSE = 1 << 25, F_SSE2 = 1 << 26,
};
#define F_P6 \
    (F_FPU | F_VME | F_DE | F_PSE | F_TSC | F_MSR | F_PAE | F_MCE | F_CX8 | F_SEP | F_MTRR | F_PGE | F_MCA | F_CMOV | \
     F_PAT | F_PSE36 | F_MMX | F_FXSR | F_SSE)
#define X_NX (1u << 20)

static const struct i386_model models[] = {
    {
        .name = "486",
        .max_leaf = 1,
        .signature = 0x480,
        .features_edx = F_FPU | F_VME,
        .vendor = "GenuineIntel",
        .has_cpuid = true,
    },
    {
        .name = "pentium3",
        .max_leaf = 2,
        .signature = 0x686,
        .features_edx = F_P6,
        .vendor = "GenuineIntel",
        .has_cpuid = true, .has_fxsr = true, .has_sse = true, .has_sysenter = true, .has_pae = true, .has_apic = true,
    },
    {
        .name = "pentium4",
        .max_leaf = 2,
        .signature = 0xf41,
        .features_edx = F_P6 | F_CLFSH | F_SSE2,
        .ext_edx = X_NX,
        .vendor = "GenuineIntel",
        .brand = "Intel(R) Pentium(R) 4 CPU 1.00GHz",
        .has_cpuid = true, .has_fxsr = true, .has_sse = true, .has_sse2 = true, .has_sysenter = true,
        .has_pae = true, .has_apic = true, .has_nx = true,
    },
};

const char i386_model_names[] = "486 pentium3 pentium4";

const struct i386_model *i386_model_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        if (!strcmp(models[i].name, name))
            return &models[i];
    }
    return NULL;
}
