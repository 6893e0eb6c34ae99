/*
 * CPU models and the features that their CPUID shows (model.c, cpuid.c; SDM 2A, CPUID).
 *
 * A feature is a bit of one of the words below. What instructions and registers exist is asked
 * by i386_has(). To add one: its name here, its bit in `implemented` (model.c) when it is there.
 */
#ifndef HINDCAST_I386_MODEL_H
#define HINDCAST_I386_MODEL_H

#include "base/error.h"
#include "base/types.h"

/* Words of CPUID that hold features. */
enum cpuid_word {
    CPUID_1_EDX, CPUID_1_ECX, CPUID_6_EAX, CPUID_7_EBX, CPUID_7_ECX, CPUID_7_EDX, CPUID_D1_EAX, CPUID_81_EDX, CPUID_81_ECX,
    CPUID_88_EBX, CPUID_8A_EDX, CPUID_WORDS
};
#define FEATURE(word, bit) ((unsigned)(word) * 32u + (bit))
enum {
    FEATURE_FPU = FEATURE(CPUID_1_EDX, 0), FEATURE_VME = FEATURE(CPUID_1_EDX, 1), FEATURE_DE = FEATURE(CPUID_1_EDX, 2),
    FEATURE_PSE = FEATURE(CPUID_1_EDX, 3), FEATURE_TSC = FEATURE(CPUID_1_EDX, 4), FEATURE_MSR = FEATURE(CPUID_1_EDX, 5),
    FEATURE_PAE = FEATURE(CPUID_1_EDX, 6), FEATURE_MCE = FEATURE(CPUID_1_EDX, 7), FEATURE_CX8 = FEATURE(CPUID_1_EDX, 8),
    FEATURE_APIC = FEATURE(CPUID_1_EDX, 9), FEATURE_SEP = FEATURE(CPUID_1_EDX, 11), FEATURE_MTRR = FEATURE(CPUID_1_EDX, 12),
    FEATURE_PGE = FEATURE(CPUID_1_EDX, 13), FEATURE_MCA = FEATURE(CPUID_1_EDX, 14), FEATURE_CMOV = FEATURE(CPUID_1_EDX, 15),
    FEATURE_PAT = FEATURE(CPUID_1_EDX, 16), FEATURE_PSE36 = FEATURE(CPUID_1_EDX, 17), FEATURE_CLFSH = FEATURE(CPUID_1_EDX, 19),
    FEATURE_ACPI = FEATURE(CPUID_1_EDX, 22), FEATURE_MMX = FEATURE(CPUID_1_EDX, 23), FEATURE_FXSR = FEATURE(CPUID_1_EDX, 24),
    FEATURE_SSE = FEATURE(CPUID_1_EDX, 25), FEATURE_SSE2 = FEATURE(CPUID_1_EDX, 26), FEATURE_SS = FEATURE(CPUID_1_EDX, 27),

    FEATURE_SSE3 = FEATURE(CPUID_1_ECX, 0), FEATURE_PCLMUL = FEATURE(CPUID_1_ECX, 1), FEATURE_MONITOR = FEATURE(CPUID_1_ECX, 3),
    FEATURE_SSSE3 = FEATURE(CPUID_1_ECX, 9), FEATURE_FMA = FEATURE(CPUID_1_ECX, 12), FEATURE_CX16 = FEATURE(CPUID_1_ECX, 13),
    FEATURE_PCID = FEATURE(CPUID_1_ECX, 17), FEATURE_SSE41 = FEATURE(CPUID_1_ECX, 19), FEATURE_SSE42 = FEATURE(CPUID_1_ECX, 20),
    FEATURE_X2APIC = FEATURE(CPUID_1_ECX, 21), FEATURE_MOVBE = FEATURE(CPUID_1_ECX, 22), FEATURE_POPCNT = FEATURE(CPUID_1_ECX, 23),
    FEATURE_TSC_DEADLINE = FEATURE(CPUID_1_ECX, 24), FEATURE_AES = FEATURE(CPUID_1_ECX, 25), FEATURE_XSAVE = FEATURE(CPUID_1_ECX, 26),
    FEATURE_AVX = FEATURE(CPUID_1_ECX, 28), FEATURE_F16C = FEATURE(CPUID_1_ECX, 29), FEATURE_RDRAND = FEATURE(CPUID_1_ECX, 30),
    FEATURE_HYPERVISOR = FEATURE(CPUID_1_ECX, 31),

    FEATURE_ARAT = FEATURE(CPUID_6_EAX, 2),

    FEATURE_FSGSBASE = FEATURE(CPUID_7_EBX, 0), FEATURE_TSC_ADJUST = FEATURE(CPUID_7_EBX, 1), FEATURE_BMI1 = FEATURE(CPUID_7_EBX, 3), FEATURE_AVX2 = FEATURE(CPUID_7_EBX, 5),
    FEATURE_SMEP = FEATURE(CPUID_7_EBX, 7), FEATURE_BMI2 = FEATURE(CPUID_7_EBX, 8), FEATURE_ERMS = FEATURE(CPUID_7_EBX, 9),
    FEATURE_INVPCID = FEATURE(CPUID_7_EBX, 10), FEATURE_RDSEED = FEATURE(CPUID_7_EBX, 18), FEATURE_ADX = FEATURE(CPUID_7_EBX, 19),
    FEATURE_SMAP = FEATURE(CPUID_7_EBX, 20), FEATURE_CLFLUSHOPT = FEATURE(CPUID_7_EBX, 23), FEATURE_CLWB = FEATURE(CPUID_7_EBX, 24),

    FEATURE_UMIP = FEATURE(CPUID_7_ECX, 2), FEATURE_PKU = FEATURE(CPUID_7_ECX, 3), FEATURE_VAES = FEATURE(CPUID_7_ECX, 9),
    FEATURE_VPCLMUL = FEATURE(CPUID_7_ECX, 10), FEATURE_LA57 = FEATURE(CPUID_7_ECX, 16),
    FEATURE_RDPID = FEATURE(CPUID_7_ECX, 22),

    FEATURE_FSRM = FEATURE(CPUID_7_EDX, 4),

    FEATURE_XSAVEOPT = FEATURE(CPUID_D1_EAX, 0), FEATURE_XSAVEC = FEATURE(CPUID_D1_EAX, 1),
    FEATURE_XGETBV1 = FEATURE(CPUID_D1_EAX, 2), FEATURE_XSAVES = FEATURE(CPUID_D1_EAX, 3),

    FEATURE_SYSCALL = FEATURE(CPUID_81_EDX, 11), FEATURE_NX = FEATURE(CPUID_81_EDX, 20), FEATURE_MMXEXT = FEATURE(CPUID_81_EDX, 22),
    FEATURE_PDPE1GB = FEATURE(CPUID_81_EDX, 26),
    FEATURE_RDTSCP = FEATURE(CPUID_81_EDX, 27), FEATURE_LM = FEATURE(CPUID_81_EDX, 29),

    FEATURE_LAHF_LM = FEATURE(CPUID_81_ECX, 0), FEATURE_SVM = FEATURE(CPUID_81_ECX, 2), FEATURE_CR8LEGACY = FEATURE(CPUID_81_ECX, 4),
    FEATURE_ABM = FEATURE(CPUID_81_ECX, 5), FEATURE_SSE4A = FEATURE(CPUID_81_ECX, 6), FEATURE_3DNOWPREFETCH = FEATURE(CPUID_81_ECX, 8),

    FEATURE_CLZERO = FEATURE(CPUID_88_EBX, 0), FEATURE_XSAVEERPTR = FEATURE(CPUID_88_EBX, 2), FEATURE_WBNOINVD = FEATURE(CPUID_88_EBX, 9),

    FEATURE_SVM_NPT = FEATURE(CPUID_8A_EDX, 0), FEATURE_SVM_VGIF = FEATURE(CPUID_8A_EDX, 16),
    FEATURE_SVM_ADDRESS_CHECK = FEATURE(CPUID_8A_EDX, 28),
};

/* CPU models: `--cpu`. */
struct i386_model {
    const char *name;
    uint32_t max_leaf, max_extended_leaf; /* 0: no extended leaves */
    uint32_t age;          /* max_leaf as processors of its age have it, whatever level= says; 0: max_leaf */
    uint32_t signature;    /* CPUID.1:EAX */
    uint32_t features_edx; /* CPUID.1:EDX without APIC, which the board decides */
    uint32_t ext_edx;      /* CPUID.80000001H:EDX */
    uint32_t features_ecx, leaf6_eax, leaf7_ebx, leaf7_ecx, leaf7_edx, leaf_d1_eax, ext_ecx, leaf88_ebx, leaf8a_edx;
    char vendor[13], brand[49];
    bool amd;              /* manners of AMD's processors: SYSCALL in legacy mode, SYSENTER not in long mode */
    uint8_t phys_bits;     /* 0: 36 */
    /* what else depends on the generation */
    bool has_cpuid, has_fxsr, has_sse, has_sse2, has_apic;
    bool pmu;              /* performance counters (pmu.c) */
};

const struct i386_model *i386_model_find(const char *name);
/* The model that `words` name, in QEMU's form: MODEL[,+FLAG][,-FLAG][,FLAG=on|off][,KEY=VALUE] (model_flags.c). 0, or
 * -EINVAL with a text that names what is not there. */
int i386_model_parse(struct i386_model *m, const char *words, struct error *err);
/* The n-th flag that can be added or taken away; NULL: there are not so many. */
const char *i386_flag_name(unsigned n);
/* A word of features as the model has it, implemented or not. */
uint32_t *i386_model_word(struct i386_model *m, enum cpuid_word word);
/* Space-separated names for --help. */
extern const char i386_model_names[];
/* A word of features, as far as they are implemented. */
uint32_t i386_model_features(const struct i386_model *m, enum cpuid_word word);

static inline bool i386_has(const struct i386_model *m, unsigned feature)
{
    return i386_model_features(m, (enum cpuid_word)(feature / 32)) >> (feature % 32) & 1;
}

/* Intel's since Core: caches one by one in leaf 4. */
static inline bool i386_is_core(const struct i386_model *m)
{
    return !m->amd && (m->age ? m->age : m->max_leaf) >= 10;
}

/* What model-specific registers and last branches go by: the family and the model that CPUID tells. */
enum i386_generation {
    GENERATION_OLD, /* the 486; with features that it did not have, of the Pentium */
    GENERATION_P6, GENERATION_NETBURST, GENERATION_CORE, GENERATION_CORE2, GENERATION_ATOM, GENERATION_NEHALEM,
    GENERATION_SANDYBRIDGE, /* and Ivy Bridge */
    GENERATION_HASWELL,     /* and later */
    GENERATION_K8,          /* AMD's family 0FH; */
    GENERATION_AMD10,       /* 10H and later */
};
enum i386_generation i386_generation(const struct i386_model *m);

static inline unsigned i386_phys_bits(const struct i386_model *m)
{
    return m->phys_bits ? m->phys_bits : 36;
}

#endif
