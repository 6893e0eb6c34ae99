/*
 * CPUID (SDM 2A, CPUID; AMD APM 3, appendix E). What a model says is in model.c; what depends on the state, and
 * tables that go with features, here.
 *
 * Leaves between the last one that a model has and those written out here are zeros, as processors
 * have them that lack what the leaf is about.
 */
#include "i386/lower.h"
#include "i386/protect.h"
#include "vm/line.h"

#include <string.h>

struct cpuid { uint32_t eax, ebx, ecx, edx; };

#define APIC_BASE_ENABLE 0x800u

/* Of a package. */
static uint32_t logical_processors(const struct i386_cpu *c)
{
    return (c->threads ? c->threads : 1) * (c->cores ? c->cores : 1);
}

static struct cpuid features(const struct i386_cpu *c)
{
    const struct i386_model *m = c->model;
    struct cpuid r = {.eax = m->signature, .ecx = i386_model_features(m, CPUID_1_ECX), .edx = m->features_edx};

    if (i386_has(m, FEATURE_CLFSH))
        r.ebx |= 8 << 8; /* CLFLUSH line, in 8 bytes */
    if (m->signature == 0x686)
        r.ebx |= 2; /* brand index: Pentium III */
    if (c->thread_bits + c->core_bits) { /* IDs that logical processors of the package may have (AMD: how many there are): HTT */
        r.ebx |= m->amd ? logical_processors(c) << 16 : 1u << (16 + c->thread_bits + c->core_bits);
        r.edx |= 1u << 28;
    }
    r.ebx |= (uint32_t)c->apic_id << 24;
    if (m->has_apic && c->apic_base_written && (c->st->apic_base & APIC_BASE_ENABLE))
        r.edx |= 1u << 9;
    else
        r.ecx &= ~(1u << (FEATURE_X2APIC & 31) | 1u << (FEATURE_TSC_DEADLINE & 31));
    if (!i386_monitor_enabled(c))
        r.ecx &= ~(1u << (FEATURE_MONITOR & 31));
    if (c->st->cr4 & CR4_OSXSAVE)
        r.ecx |= 1u << 27;
    return r;
}

/* Caches one by one (leaf 4): L1 data, L1 code, L2, and L3 of 16 MiB, which all cores share. */
static struct cpuid cache(const struct i386_cpu *c, uint32_t n)
{
    static const struct { uint32_t type, level, sets, ways; } caches[] = {{1, 1, 64, 8}, {2, 1, 64, 8}, {3, 2, 4096, 16}, {3, 3, 16384, 16}};
    unsigned sharing;

    if (n >= ARRAY_LEN(caches))
        return (struct cpuid){0, 0, 0, 0};
    sharing = caches[n].level == 3 ? c->thread_bits + c->core_bits : c->thread_bits;
    return (struct cpuid){.eax = caches[n].type | caches[n].level << 5 | 1u << 8 | ((1u << sharing) - 1) << 14 |
                                 ((1u << c->core_bits) - 1) << 26,
                          .ebx = (caches[n].ways - 1) << 22 | (64 - 1),
                          .ecx = caches[n].sets - 1, .edx = caches[n].level == 3 ? 6 : 1}; /* inclusive, hashed */
}

/* Which bits of the ID name the thread, the thread and the core (leaf 0BH). */
static struct cpuid topology(const struct i386_cpu *c, uint32_t level)
{
    uint32_t threads = c->threads ? c->threads : 1, cores = c->cores ? c->cores : 1;
    struct cpuid r = {.ecx = level & 0xffu, .edx = c->apic_id};

    if (level == 0)
        r = (struct cpuid){.eax = c->thread_bits, .ebx = threads, .ecx = 1u << 8, .edx = c->apic_id};
    else if (level == 1)
        r = (struct cpuid){.eax = c->thread_bits + c->core_bits, .ebx = threads * cores, .ecx = 1 | 2u << 8, .edx = c->apic_id};
    return r;
}

/* Sizes of the XSAVE area (leaf 0DH): in all, and by component. */
static struct cpuid xsave(const struct i386_cpu *c, uint32_t n)
{
    uint64_t mask = i386_xcr0_mask(c->model);
    struct cpuid r = {0, 0, 0, 0};

    if (!mask)
        return r;
    if (n == 0)
        return (struct cpuid){(uint32_t)mask, i386_xsave_bytes(c->st->xcr0, false), i386_xsave_bytes(mask, false),
                              (uint32_t)(mask >> 32)};
    if (n == 1) {
        r.eax = i386_model_features(c->model, CPUID_D1_EAX);
        if (i386_has(c->model, FEATURE_XSAVES) || i386_has(c->model, FEATURE_XSAVEC))
            r.ebx = i386_xsave_bytes(c->st->xcr0, true);
    } else if (n < 64 && (mask & (uint64_t)1 << n)) {
        i386_xsave_component(n, &r.ebx, &r.eax);
    }
    return r;
}

/* Of the basic ones. IA32_MISC_ENABLE can limit them to what old systems understand. */
static uint32_t last_leaf(const struct i386_cpu *c)
{
    return i386_misc_enabled(c, MISC_ENABLE_LIMIT_CPUID) && c->model->max_leaf > 2 ? 2 : c->model->max_leaf;
}

static struct cpuid basic(const struct i386_cpu *c, uint32_t leaf, uint32_t sub)
{
    const struct i386_model *m = c->model;
    bool netburst = !m->amd && (m->signature >> 8 & 15) == 15;
    struct cpuid r = {0, 0, 0, 0};

    switch (leaf) {
    case 0:
        r.eax = last_leaf(c);
        memcpy(&r.ebx, m->vendor, 4);
        memcpy(&r.edx, m->vendor + 4, 4);
        memcpy(&r.ecx, m->vendor + 8, 4);
        break;
    case 1:
        return features(c);
    case 2: /* caches and TLBs: 16 KiB + 16 KiB and 256 KiB; 16 KiB, trace cache and 1 MiB; 32 + 32 KiB and 4 MiB */
        if (m->amd)
            break;
        r.eax = i386_is_core(m) ? 1 : netburst ? 0x605b5001 : 0x03020101;
        r.ecx = i386_is_core(m) ? 0x4d : 0; /* L3 */
        r.edx = i386_is_core(m) ? 0x002c307d : netburst ? 0x007c7040 : 0x0c040882;
        break;
    case 4:
        return i386_is_core(m) ? cache(c, sub) : r;
    case 5: /* MONITOR's line; MWAIT's extensions, and one kind of C1 */
        if (i386_has(m, FEATURE_MONITOR))
            r = (struct cpuid){LINE_BYTES, LINE_BYTES, 3, 0x10};
        break;
    case 6: /* the APIC's timer always runs */
        r.eax = i386_model_features(m, CPUID_6_EAX);
        break;
    case 7:
        if (sub == 0) {
            r.ebx = i386_model_features(m, CPUID_7_EBX);
            r.ecx = i386_model_features(m, CPUID_7_ECX) | (c->st->cr4 & CR4_PKE ? 1u << 4 : 0);
            r.edx = i386_model_features(m, CPUID_7_EDX);
        }
        break;
    case 0xa:
        i386_pmu_leaf(m, &r.eax, &r.ebx, &r.edx);
        break;
    case 0xb:
        return topology(c, sub);
    case 0xd:
        return xsave(c, sub);
    }
    return r;
}

static struct cpuid extended(const struct i386_cpu *c, uint32_t leaf)
{
    const struct i386_model *m = c->model;
    struct cpuid r = {0, 0, 0, 0};
    char brand[48] = {0};

    switch (leaf) {
    case 0x80000000u:
        r.eax = m->max_extended_leaf;
        if (m->amd)
            r = (struct cpuid){r.eax, 0x68747541, 0x444d4163, 0x69746e65};
        break;
    case 0x80000001u:
        r.eax = m->amd ? m->signature : 0;
        r.edx = i386_model_features(m, CPUID_81_EDX);
        r.ecx = i386_model_features(m, CPUID_81_ECX);
        if (i386_misc_enabled(c, MISC_ENABLE_XD_DISABLE))
            r.edx &= ~(1u << (FEATURE_NX & 31));
        if (m->amd && c->thread_bits + c->core_bits)
            r.ecx |= 1u << 1; /* CmpLegacy: what HTT tells of are cores */
        if (m->amd) /* AMD's copy of the first leaf's bits */
            r.edx |= features(c).edx & 0x0183f3ff;
        if (!m->amd && !i386_64bit(c->st))
            r.edx &= ~(1u << (FEATURE_SYSCALL & 31));
        break;
    case 0x80000002u: case 0x80000003u: case 0x80000004u:
        memcpy(brand, m->brand, strnlen(m->brand, sizeof brand));
        memcpy(&r, (m->amd ? (const char *)i386_name_string(c) : brand) + (leaf - 0x80000002u) * 16, 16);
        break;
    case 0x80000005u: /* L1: 64 KiB each, and its TLBs */
        if (m->amd)
            r = (struct cpuid){0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140};
        break;
    case 0x80000006u: /* L2: 512 KiB; AMD: L3 of 16 MiB */
        if (m->amd)
            r = (struct cpuid){0, 0x42004200, 0x02008140, 0x00808140};
        else if (i386_is_core(m))
            r.ecx = 0x10008040;
        break;
    case 0x8000000au: /* SVM: its revision, how many address space identifiers */
        if (i386_has(m, FEATURE_SVM))
            r = (struct cpuid){1, 16, 0, i386_model_features(m, CPUID_8A_EDX)};
        break;
    case 0x80000008u: /* physical and linear address bits, features; AMD: logical processors of the package, bits of their IDs */
        if (m->amd && c->thread_bits + c->core_bits)
            r.ecx = (logical_processors(c) - 1) | (c->thread_bits + c->core_bits) << 12;
        r.ebx = i386_model_features(m, CPUID_88_EBX);
        r.eax = i386_phys_bits(m) | (i386_has(m, FEATURE_LA57) ? 57u : i386_has(m, FEATURE_LM) ? 48u : 32u) << 8;
        break;
    }
    return r;
}

int i386_op_cpuid(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    uint32_t leaf = (uint32_t)c->st->gpr[EAX], sub = (uint32_t)c->st->gpr[ECX];
    bool is_extended = leaf >= 0x80000000u && leaf <= c->model->max_extended_leaf;
    uint32_t last = last_leaf(c);
    struct cpuid r;

    (void)op;
    /* Beyond the end: the data of the highest basic leaf (SDM 2A, CPUID). */
    if (!is_extended && leaf > last)
        leaf = last;
    r = is_extended ? extended(c, leaf) : basic(c, leaf, sub);
    c->st->gpr[EAX] = r.eax;
    c->st->gpr[EBX] = r.ebx;
    c->st->gpr[ECX] = r.ecx;
    c->st->gpr[EDX] = r.edx;
    return UOP_NEXT;
}
