/*
 * CPU models: what CPUID says and what depends on the generation (SDM 2A, CPUID; AP-485; AMD APM 3,
 * appendix E). Of a model's features those are shown that are implemented.
 *
 *   486       a 486DX4 with CPUID and VME
 *   pentium3  Coppermine
 *   pentium4  a Prescott of the E0 stepping (execute disable), as a 32-bit CPU without
 *             hyper-threading and SSE3
 * and under the names that QEMU gives them, with what is said there:
 *   coreduo, n270                       of 32 bits
 *   qemu64, kvm64, Opteron_G1, core2duo, Nehalem, SandyBridge, IvyBridge, Haswell
 *                                       of 64 bits (Haswell without transactional memory)
 *   max                                 everything that there is; `max32`: without long mode
 */
#include "i386/model.h"

#include <string.h>

#define F(name) (1u << (FEATURE_##name % 32))

#define F_P6 \
    (F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | F(MCE) | F(CX8) | F(SEP) | F(MTRR) | F(PGE) | F(MCA) | \
     F(CMOV) | F(PAT) | F(PSE36) | F(MMX) | F(FXSR) | F(SSE))
#define F_64 (F_P6 | F(CLFSH) | F(SSE2))
#define X_64 (F(SYSCALL) | F(NX) | F(LM))

#define HAS_P6 .has_cpuid = true, .has_fxsr = true, .has_sse = true, .has_apic = true
#define HAS_64 HAS_P6, .has_sse2 = true

#define MAX_FEATURES \
    .features_edx = F_64 | F(SS), \
    .leaf7_edx = ~0u, .leaf_d1_eax = ~0u
/* What is of use in long mode only. */
#define ECX_OF_LM   (F(CX16) | F(PCID))
#define EBX_7_OF_LM F(FSGSBASE)
#define ECX_7_OF_LM (F(PKU) | F(LA57))

static const struct i386_model models[] = {
    {
        .name = "486",
        .max_leaf = 1,
        .signature = 0x480,
        .features_edx = F(FPU) | F(VME),
        .vendor = "GenuineIntel",
        .has_cpuid = true,
    },
    {
        .name = "pentium3",
        .max_leaf = 2,
        .signature = 0x686,
        .features_edx = F_P6,
        .vendor = "GenuineIntel",
        HAS_P6,
    },
    {
        .name = "pentium4",
        .max_leaf = 2, .max_extended_leaf = 0x80000008u,
        .signature = 0xf41,
        .features_edx = F_64,
        .ext_edx = F(NX),
        .vendor = "GenuineIntel",
        .brand = "Intel(R) Pentium(R) 4 CPU 1.00GHz",
        HAS_64,
    },
    {
        .name = "coreduo",
        .max_leaf = 10, .max_extended_leaf = 0x80000008u,
        .signature = 0x6e8,
        .features_edx = (F_64 | F(SS)) & ~F(PSE36),
        .features_ecx = F(SSE3) | F(MONITOR) | F(HYPERVISOR),
        .ext_edx = F(NX),
        .vendor = "GenuineIntel",
        .brand = "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
        .phys_bits = 32,
        HAS_64,
    },
    {
        .name = "n270",
        .max_leaf = 10, .max_extended_leaf = 0x80000008u,
        .signature = 0x106c2,
        .features_edx = (F_64 | F(SS)) & ~F(PSE36),
        .features_ecx = F(SSE3) | F(MONITOR) | F(SSSE3) | F(MOVBE) | F(HYPERVISOR),
        .ext_edx = F(NX), .ext_ecx = F(LAHF_LM),
        .vendor = "GenuineIntel",
        .brand = "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
        .phys_bits = 32,
        HAS_64,
    },
    {
        .name = "qemu64",
        .max_leaf = 13, .max_extended_leaf = 0x8000000au,
        .signature = 0x60fb1,
        .features_edx = F_64 & ~F(VME),
        .features_ecx = F(SSE3) | F(CX16) | F(HYPERVISOR),
        .ext_edx = X_64, .ext_ecx = F(LAHF_LM) | F(SVM),
        .vendor = "AuthenticAMD",
        .brand = "QEMU Virtual CPU version 2.5+",
        .amd = true,
        .phys_bits = 40,
        HAS_64,
    },
    {
        .name = "kvm64",
        .max_leaf = 13, .max_extended_leaf = 0x80000008u,
        .signature = 0xf61,
        .features_edx = F_64,
        .features_ecx = F(SSE3) | F(CX16) | F(HYPERVISOR),
        .ext_edx = X_64,
        .vendor = "GenuineIntel",
        .brand = "Common KVM processor",
        .phys_bits = 40,
        HAS_64,
    },
    {
        .name = "Opteron_G1",
        .max_leaf = 5, .max_extended_leaf = 0x80000008u,
        .signature = 0xf61,
        .features_edx = F_64,
        .features_ecx = F(SSE3) | F(HYPERVISOR),
        .ext_edx = X_64,
        .vendor = "AuthenticAMD",
        .brand = "AMD Opteron 240 (Gen 1 Class Opteron)",
        .amd = true,
        .phys_bits = 40,
        HAS_64,
    },
    {
        .name = "core2duo",
        .max_leaf = 10, .max_extended_leaf = 0x80000008u,
        .signature = 0x6fb,
        .features_edx = F_64 | F(SS),
        .features_ecx = F(SSE3) | F(MONITOR) | F(SSSE3) | F(CX16) | F(HYPERVISOR),
        .ext_edx = X_64, .ext_ecx = F(LAHF_LM),
        .vendor = "GenuineIntel",
        .brand = "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
        .phys_bits = 36,
        HAS_64,
    },
    {
        .name = "Nehalem",
        .max_leaf = 11, .max_extended_leaf = 0x80000008u,
        .signature = 0x106a3,
        .features_edx = F_64,
        .features_ecx = F(SSE3) | F(SSSE3) | F(CX16) | F(SSE41) | F(SSE42) | F(POPCNT) | F(HYPERVISOR),
        .ext_edx = X_64, .ext_ecx = F(LAHF_LM),
        .vendor = "GenuineIntel",
        .brand = "Intel Core i7 9xx (Nehalem Class Core i7)",
        .phys_bits = 40,
        HAS_64,
    },
    {
        .name = "SandyBridge",
        .max_leaf = 13, .max_extended_leaf = 0x80000008u,
        .signature = 0x206a1,
        .features_edx = F_64,
        .features_ecx = F(SSE3) | F(PCLMUL) | F(SSSE3) | F(CX16) | F(SSE41) | F(SSE42) | F(X2APIC) | F(POPCNT) | F(TSC_DEADLINE) |
                        F(AES) | F(XSAVE) | F(AVX) | F(HYPERVISOR),
        .leaf_d1_eax = F(XSAVEOPT),
        .ext_edx = X_64 | F(RDTSCP), .ext_ecx = F(LAHF_LM),
        .vendor = "GenuineIntel",
        .brand = "Intel Xeon E312xx (Sandy Bridge)",
        .phys_bits = 40,
        .leaf6_eax = F(ARAT),
        HAS_64,
    },
    {
        .name = "IvyBridge",
        .max_leaf = 13, .max_extended_leaf = 0x80000008u,
        .signature = 0x306a9,
        .features_edx = F_64,
        .features_ecx = F(SSE3) | F(PCLMUL) | F(SSSE3) | F(CX16) | F(SSE41) | F(SSE42) | F(X2APIC) | F(POPCNT) | F(TSC_DEADLINE) |
                        F(AES) | F(XSAVE) | F(AVX) | F(F16C) | F(RDRAND) | F(HYPERVISOR),
        .leaf7_ebx = F(FSGSBASE) | F(SMEP) | F(ERMS),
        .leaf_d1_eax = F(XSAVEOPT),
        .ext_edx = X_64 | F(RDTSCP), .ext_ecx = F(LAHF_LM),
        .vendor = "GenuineIntel",
        .brand = "Intel Xeon E3-12xx v2 (Ivy Bridge)",
        .phys_bits = 40,
        .leaf6_eax = F(ARAT),
        HAS_64,
    },
    {
        .name = "Haswell",
        .max_leaf = 13, .max_extended_leaf = 0x80000008u,
        .signature = 0x306c1,
        .features_edx = F_64,
        .features_ecx = F(SSE3) | F(PCLMUL) | F(SSSE3) | F(FMA) | F(CX16) | F(PCID) | F(SSE41) | F(SSE42) | F(X2APIC) | F(MOVBE) |
                        F(POPCNT) | F(TSC_DEADLINE) | F(AES) | F(XSAVE) | F(AVX) | F(F16C) | F(RDRAND) | F(HYPERVISOR),
        .leaf7_ebx = F(FSGSBASE) | F(TSC_ADJUST) | F(BMI1) | F(AVX2) | F(SMEP) | F(BMI2) | F(ERMS) | F(INVPCID),
        .leaf_d1_eax = F(XSAVEOPT),
        .ext_edx = X_64 | F(RDTSCP), .ext_ecx = F(LAHF_LM) | F(ABM),
        .vendor = "GenuineIntel",
        .brand = "Intel Core Processor (Haswell, no TSX)",
        .phys_bits = 40,
        .leaf6_eax = F(ARAT),
        HAS_64,
    },
    {
        .name = "max",
        .max_leaf = 13, .max_extended_leaf = 0x8000000au,
        .signature = 0x60fb1,
        MAX_FEATURES,
        .features_ecx = ~0u, .leaf7_ebx = ~0u, .leaf7_ecx = ~0u, .ext_ecx = ~0u, .leaf88_ebx = ~0u,
        .ext_edx = X_64 | F(MMXEXT) | F(RDTSCP) | F(PDPE1GB), .leaf8a_edx = ~0u,
        .vendor = "AuthenticAMD",
        .brand = "QEMU TCG CPU version 2.5+",
        .amd = true,
        .phys_bits = 40,
        .leaf6_eax = F(ARAT),
        HAS_64,
    },
    {
        .name = "max32",
        .max_leaf = 13, .max_extended_leaf = 0x80000008u,
        .signature = 0x60fb1,
        MAX_FEATURES,
        .features_ecx = ~ECX_OF_LM, .leaf7_ebx = ~EBX_7_OF_LM, .leaf7_ecx = ~ECX_7_OF_LM, .ext_ecx = ~F(SVM), .leaf88_ebx = ~0u,
        .ext_edx = F(NX) | F(MMXEXT) | F(RDTSCP),
        .vendor = "AuthenticAMD",
        .brand = "QEMU TCG CPU version 2.5+",
        .amd = true,
        .phys_bits = 36,
        .leaf6_eax = F(ARAT),
        HAS_64,
    },
};

const char i386_model_names[] = "486 pentium3 pentium4 coreduo n270 max32 qemu64 kvm64 Opteron_G1 core2duo Nehalem SandyBridge IvyBridge Haswell max";

/* What is there, of all that CPUID can say. */
static const uint32_t implemented[CPUID_WORDS] = {
    [CPUID_1_EDX] = F_64 | F(SS),
    [CPUID_1_ECX] = F(CX16) | F(PCID) | F(MOVBE) | F(MONITOR) | F(HYPERVISOR) |
                    F(X2APIC) | F(TSC_DEADLINE) |
                    F(POPCNT) | F(RDRAND) | F(XSAVE) |
                    F(SSE3) | F(SSSE3) | F(SSE41) | F(SSE42) | F(AES) | F(PCLMUL) | F(AVX) | F(FMA) | F(F16C),
    [CPUID_6_EAX] = F(ARAT),
    [CPUID_7_EBX] = F(FSGSBASE) | F(TSC_ADJUST) | F(SMEP) | F(ERMS) | F(INVPCID) | F(SMAP) |
                    F(BMI1) | F(BMI2) | F(ADX) | F(RDSEED) | F(CLFLUSHOPT) | F(CLWB) |
                    F(AVX2),
    [CPUID_7_ECX] = F(UMIP) | F(PKU) | F(VAES) | F(VPCLMUL) | F(LA57) | F(RDPID),
    [CPUID_7_EDX] = F(FSRM),
    [CPUID_D1_EAX] = F(XSAVEOPT) | F(XSAVEC) | F(XGETBV1) | F(XSAVES),
    [CPUID_81_EDX] = X_64 | F(MMXEXT) | F(RDTSCP) | F(PDPE1GB),
    [CPUID_81_ECX] = F(LAHF_LM) | F(3DNOWPREFETCH) |
                     F(ABM) | F(SVM) | F(CR8LEGACY) | F(SSE4A),
    [CPUID_88_EBX] = F(CLZERO) | F(XSAVEERPTR) | F(WBNOINVD),
    [CPUID_8A_EDX] = F(SVM_NPT) | F(SVM_VGIF) | F(SVM_ADDRESS_CHECK),
};

const struct i386_model *i386_model_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        if (!strcmp(models[i].name, name))
            return &models[i];
    }
    return NULL;
}

enum i386_generation i386_generation(const struct i386_model *m)
{
    unsigned family = m->signature >> 8 & 15, model = (m->signature >> 4 & 15) | (m->signature >> 12 & 0xf0);

    if (m->amd)
        return m->signature >> 20 & 0xff ? GENERATION_AMD10 : GENERATION_K8;
    if (family == 15)
        return GENERATION_NETBURST;
    if (family != 6)
        return GENERATION_OLD;
    switch (model) {
    case 0x0e: return GENERATION_CORE;
    case 0x0f: case 0x16: case 0x17: case 0x1d: return GENERATION_CORE2;
    case 0x1c: case 0x26: case 0x27: case 0x35: case 0x36: return GENERATION_ATOM;
    case 0x1a: case 0x1e: case 0x1f: case 0x25: case 0x2c: case 0x2e: case 0x2f: return GENERATION_NEHALEM;
    case 0x2a: case 0x2d: case 0x3a: case 0x3e: return GENERATION_SANDYBRIDGE;
    default: return model < 0x0e ? GENERATION_P6 : GENERATION_HASWELL;
    }
}

uint32_t *i386_model_word(struct i386_model *m, enum cpuid_word word)
{
    uint32_t *const words[CPUID_WORDS] = {
        [CPUID_1_EDX] = &m->features_edx, [CPUID_1_ECX] = &m->features_ecx, [CPUID_6_EAX] = &m->leaf6_eax,
        [CPUID_7_EBX] = &m->leaf7_ebx, [CPUID_7_ECX] = &m->leaf7_ecx, [CPUID_7_EDX] = &m->leaf7_edx,
        [CPUID_D1_EAX] = &m->leaf_d1_eax, [CPUID_81_EDX] = &m->ext_edx, [CPUID_81_ECX] = &m->ext_ecx,
        [CPUID_88_EBX] = &m->leaf88_ebx, [CPUID_8A_EDX] = &m->leaf8a_edx,
    };

    return words[word];
}

uint32_t i386_model_features(const struct i386_model *m, enum cpuid_word word)
{
    switch (word) {
    case CPUID_1_EDX: return m->features_edx & implemented[word];
    case CPUID_1_ECX: return m->features_ecx & implemented[word];
    case CPUID_6_EAX: return m->leaf6_eax & implemented[word];
    case CPUID_7_EBX: return m->leaf7_ebx & implemented[word];
    case CPUID_7_ECX: return m->leaf7_ecx & implemented[word];
    case CPUID_7_EDX: return m->leaf7_edx & implemented[word];
    case CPUID_D1_EAX: return m->leaf_d1_eax & implemented[word];
    case CPUID_81_EDX: return m->ext_edx & implemented[word];
    case CPUID_81_ECX: return m->ext_ecx & implemented[word];
    case CPUID_88_EBX: return m->leaf88_ebx & implemented[word];
    case CPUID_8A_EDX: return m->leaf8a_edx & implemented[word];
    default: return 0;
    }
}
