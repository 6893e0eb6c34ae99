/*
 * CPU models with flags and properties, in QEMU's words:
 *
 *   MODEL,+FLAG,-FLAG,FLAG=on|off,FLAG       flags by QEMU's names ('_' is '-'; what it has several names for, too)
 *   pmu=on|off                               performance counters (pmu.c), which no model has by itself: systems that find some take
 *                                            samples of their own for ever (Linux's watchdog)
 *   vendor=  model-id=  family=  model=  stepping=  level=  xlevel=  phys-bits=
 *
 * A flag that is taken away takes those along that need it; one that is added and lacks what it needs is refused, as is
 * one that is not modelled: nothing is dropped in silence. The leaves of CPUID that added flags are in are there, as QEMU
 * has it, unless level= or xlevel= says otherwise.
 *
 * Without what CPUID does not show here, instructions are undefined, bits of control registers reserved, and MSRs absent.
 * Hints are for all (PREFETCHW, REP MOVS however fast); FPU and CMOV cannot be taken away: what else there is follows them.
 *
 * A flag that comes to be: its row in `flags`, its bit in model.c; its name goes from `not_modelled`.
 */
#include "i386/model.h"

#include "base/buffer.h"
#include "base/guess.h"
#include "base/option_list.h"

#include <errno.h>
#include <string.h>

#define MAX_NEEDS 3

/* The first row of a feature has the name that is shown, others are aliases. Needs are of features that have no bit 0 of the first
 * word: FPU, which all have. */
static const struct flag { const char *name; unsigned feature, needs[MAX_NEEDS]; } flags[] = {
    {"fpu", FEATURE_FPU, {0}},
    {"vme", FEATURE_VME, {0}},
    {"de", FEATURE_DE, {0}},
    {"pse", FEATURE_PSE, {0}},
    {"tsc", FEATURE_TSC, {0}},
    {"msr", FEATURE_MSR, {0}},
    {"pae", FEATURE_PAE, {0}},
    {"mce", FEATURE_MCE, {0}},
    {"cx8", FEATURE_CX8, {0}},
    {"apic", FEATURE_APIC, {FEATURE_MSR}},
    {"sep", FEATURE_SEP, {FEATURE_MSR}},
    {"mtrr", FEATURE_MTRR, {FEATURE_MSR}},
    {"pge", FEATURE_PGE, {0}},
    {"mca", FEATURE_MCA, {FEATURE_MSR}},
    {"cmov", FEATURE_CMOV, {0}},
    {"pat", FEATURE_PAT, {FEATURE_MSR}},
    {"pse36", FEATURE_PSE36, {FEATURE_PSE}},
    {"clflush", FEATURE_CLFSH, {FEATURE_SSE2}},
    {"mmx", FEATURE_MMX, {FEATURE_CMOV}},
    {"fxsr", FEATURE_FXSR, {FEATURE_CMOV}},
    {"sse", FEATURE_SSE, {FEATURE_FXSR, FEATURE_MMX}},
    {"sse2", FEATURE_SSE2, {FEATURE_SSE}},
    {"ss", FEATURE_SS, {0}},
    {"pni", FEATURE_SSE3, {FEATURE_SSE2}},
    {"sse3", FEATURE_SSE3, {0}},
    {"pclmulqdq", FEATURE_PCLMUL, {FEATURE_SSE2}},
    {"pclmuldq", FEATURE_PCLMUL, {0}},
    {"monitor", FEATURE_MONITOR, {0}},
    {"ssse3", FEATURE_SSSE3, {FEATURE_SSE2}},
    {"fma", FEATURE_FMA, {FEATURE_AVX}},
    {"cx16", FEATURE_CX16, {FEATURE_LM}},
    {"pcid", FEATURE_PCID, {FEATURE_LM}},
    {"sse4.1", FEATURE_SSE41, {FEATURE_SSE2}},
    {"sse4-1", FEATURE_SSE41, {0}},
    {"sse4.2", FEATURE_SSE42, {FEATURE_SSE2}},
    {"sse4-2", FEATURE_SSE42, {0}},
    {"x2apic", FEATURE_X2APIC, {FEATURE_APIC}},
    {"movbe", FEATURE_MOVBE, {0}},
    {"popcnt", FEATURE_POPCNT, {0}},
    {"tsc-deadline", FEATURE_TSC_DEADLINE, {FEATURE_APIC, FEATURE_TSC}},
    {"aes", FEATURE_AES, {FEATURE_SSE2}},
    {"xsave", FEATURE_XSAVE, {FEATURE_SSE}},
    {"avx", FEATURE_AVX, {FEATURE_XSAVE, FEATURE_SSE2}},
    {"f16c", FEATURE_F16C, {FEATURE_AVX}},
    {"rdrand", FEATURE_RDRAND, {0}},
    {"hypervisor", FEATURE_HYPERVISOR, {0}},
    {"arat", FEATURE_ARAT, {FEATURE_APIC}},
    {"fsgsbase", FEATURE_FSGSBASE, {FEATURE_LM}},
    {"tsc-adjust", FEATURE_TSC_ADJUST, {FEATURE_TSC, FEATURE_MSR}},
    {"bmi1", FEATURE_BMI1, {0}},
    {"avx2", FEATURE_AVX2, {FEATURE_AVX}},
    {"smep", FEATURE_SMEP, {0}},
    {"bmi2", FEATURE_BMI2, {0}},
    {"erms", FEATURE_ERMS, {0}},
    {"invpcid", FEATURE_INVPCID, {0}},
    {"rdseed", FEATURE_RDSEED, {0}},
    {"adx", FEATURE_ADX, {0}},
    {"smap", FEATURE_SMAP, {0}},
    {"clflushopt", FEATURE_CLFLUSHOPT, {FEATURE_CLFSH}},
    {"clwb", FEATURE_CLWB, {FEATURE_CLFSH}},
    {"umip", FEATURE_UMIP, {0}},
    {"pku", FEATURE_PKU, {FEATURE_LM, FEATURE_XSAVE}},
    {"vaes", FEATURE_VAES, {FEATURE_AVX, FEATURE_AES}},
    {"vpclmulqdq", FEATURE_VPCLMUL, {FEATURE_AVX, FEATURE_PCLMUL}},
    {"la57", FEATURE_LA57, {FEATURE_LM}},
    {"rdpid", FEATURE_RDPID, {0}},
    {"fsrm", FEATURE_FSRM, {0}},
    {"xsaveopt", FEATURE_XSAVEOPT, {FEATURE_XSAVE}},
    {"xsavec", FEATURE_XSAVEC, {FEATURE_XSAVE}},
    {"xgetbv1", FEATURE_XGETBV1, {FEATURE_XSAVE}},
    {"xsaves", FEATURE_XSAVES, {FEATURE_XSAVEC}},
    {"syscall", FEATURE_SYSCALL, {FEATURE_MSR}},
    {"nx", FEATURE_NX, {FEATURE_PAE, FEATURE_MSR}},
    {"xd", FEATURE_NX, {0}},
    {"mmxext", FEATURE_MMXEXT, {FEATURE_SSE}}, /* they are SSE's on MMX registers */
    {"pdpe1gb", FEATURE_PDPE1GB, {FEATURE_LM}},
    {"rdtscp", FEATURE_RDTSCP, {FEATURE_TSC, FEATURE_MSR}},
    {"lm", FEATURE_LM, {FEATURE_PAE, FEATURE_SSE2, FEATURE_SYSCALL}},
    {"i64", FEATURE_LM, {0}},
    {"lahf-lm", FEATURE_LAHF_LM, {0}},
    {"abm", FEATURE_ABM, {0}},
    {"lzcnt", FEATURE_ABM, {0}},
    {"3dnowprefetch", FEATURE_3DNOWPREFETCH, {0}},
    {"cr8legacy", FEATURE_CR8LEGACY, {FEATURE_APIC}},
    {"sse4a", FEATURE_SSE4A, {FEATURE_SSE2}},
    {"clzero", FEATURE_CLZERO, {0}},
    {"xsaveerptr", FEATURE_XSAVEERPTR, {FEATURE_FXSR}}, /* pointers of x87 exceptions are always saved */
    {"wbnoinvd", FEATURE_WBNOINVD, {0}},              /* there are no caches: it is WBINVD */
    {"svm", FEATURE_SVM, {FEATURE_MSR}},
    {"npt", FEATURE_SVM_NPT, {FEATURE_SVM}},
    {"vgif", FEATURE_SVM_VGIF, {FEATURE_SVM}},
    {"svme-addr-chk", FEATURE_SVM_ADDRESS_CHECK, {FEATURE_SVM}},
};

/* What else QEMU knows: it can be off. Prefixes end with a '*'. */
static const char not_modelled[] =
    " 3dnow 3dnowext ace2 ace2-en acpi amd-no-ssb amd-ssbd amd-stibp amx-bf16 amx-int8 amx-tile arch-capabilities arch-lbr avic"
    " avx-vnni avx512* avx512-4fmaps bus-lock-detect cid cldemote cmp-legacy core-capability dca decodeassists ds"
    " ds-cpl dtes64 est extapic ffxsr flushbyasid fma4 full-width-write fxsr-opt gfni hle ht hv-* ia64 ibpb ibrs ibrs-all ibs"
    " intel-pt intel-pt-lip invtsc kvm* lbrv lm-prefetch lwp md-clear mds-no misalignsse movdir64b movdiri mpx nodeid-msr"
    " nrip-save osvw pause-filter pbe pcommit pdcm perfctr-core perfctr-nb pfthreshold phe phe-en pks pmm pmm-en pn"
    " pschange-mc-no rdctl-no rsba rtm serialize sgx* sha-ni skinit skip-l1dfl-vmentry smx spec-ctrl split-lock-detect ssb-no"
    " ssbd stibp svm-* taa-no tbm tce tm tm2 topoext tsc-scale tsx-ctrl tsx-ldtrk v-vmsave-vmload"
    " virt-ssbd vmcb-clean vmx* waitpkg wdt xcrypt xcrypt-en xfd xop xstore xstore-en xtpr"
    " ";

/* Properties of QEMU's CPUs that change nothing here, or that are not there. */
static const char other_properties[] =
    " min-level max-level min-xlevel max-xlevel xlevel2 min-xlevel2 tsc-frequency tsc-freq lmce l3-cache legacy-cache cpuid-0xb"
    " full-cpuid-auto-level host-phys-bits host-phys-bits-limit host-cache-info migratable fill-mtrr-mask ucode-rev kvm* hv-* x-*"
    " kernel-irqchip enforce-cpuid lbr-fmt apic-id thread-id core-id die-id socket-id node-id memory start-powered-off"
    " vmware-cpuid-freq tcg-cpuid unavailable-features hotpluggable realized type ";

/* Those that are off here. */
static const char off_properties[] = " host-phys-bits host-cache-info lmce ";

/* Is `name` in a list of words with spaces around them? */
static bool listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = list + 1; *at;) {
        size_t word = strcspn(at, " ");

        if (at[word - 1] == '*' ? len >= word - 1 && !memcmp(at, name, word - 1) : len == word && !memcmp(at, name, len))
            return true;
        at += word + 1;
    }
    return false;
}

const char *i386_flag_name(unsigned n)
{
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++)
        if ((!i || flags[i].feature != flags[i - 1].feature) && !n--)
            return flags[i].name;
    return NULL;
}

static const struct flag *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++)
        if (!strcmp(flags[i].name, name))
            return &flags[i];
    return NULL;
}

/* The first row of a feature. */
static const struct flag *row_of(unsigned feature)
{
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++)
        if (flags[i].feature == feature)
            return &flags[i];
    CHECK(!"a flag needs one without a row");
    return NULL;
}

/* ---- a model's flags ---- */

static bool is_on(const struct i386_model *m, unsigned feature)
{
    return feature == FEATURE_APIC ? m->has_apic : i386_has(m, feature);
}

static void put(struct i386_model *m, unsigned feature, bool on)
{
    uint32_t *word = i386_model_word(m, (enum cpuid_word)(feature / 32)), bit = (uint32_t)1 << (feature % 32);

    if (feature == FEATURE_APIC)
        m->has_apic = on;
    else
        *word = on ? *word | bit : *word & ~bit;
}

/* What was asked for: sets of rows' features. */
struct wishes { uint32_t added[CPUID_WORDS], taken[CPUID_WORDS]; };

static bool wished(const uint32_t *set, unsigned feature)
{
    return set[feature / 32] >> (feature % 32) & 1;
}

/* What a flag needs and the model has not, all the way down, as "+x,+y". */
static void missing(const struct i386_model *m, const struct flag *f, struct buffer *b)
{
    for (unsigned n = 0; n < MAX_NEEDS; n++) {
        const struct flag *need;

        if (!f->needs[n] || is_on(m, f->needs[n]))
            continue;
        need = row_of(f->needs[n]);
        missing(m, need, b);
        buffer_printf(b, "%s+%s", b->len ? "," : "", need->name);
    }
}

/* Take away what lacks what it needs, until nothing does; refuse it if it was asked for. */
static int settle(struct i386_model *m, const struct wishes *w, const char *words, struct error *err)
{
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag *f = &flags[i];
        struct buffer b;

        if (!is_on(m, f->feature))
            continue;
        buffer_init(&b);
        missing(m, f, &b);
        if (b.len && wished(w->added, f->feature)) {
            buffer_append_byte(&b, 0);
            error_set(err, -EINVAL, "--cpu %s: %s needs %s, too", words, f->name, (const char *)b.data);
            buffer_finish(&b);
            return err->code;
        }
        if (b.len) {
            put(m, f->feature, false);
            i = UINT32_MAX; /* from the beginning */
        }
        buffer_finish(&b);
    }
    return 0;
}

/* ---- words ---- */

static int unknown(const char *name, const char *words, struct error *err)
{
    struct guess g;

    guess_begin(&g, name, strlen(name));
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++)
        guess_consider(&g, flags[i].name);
    if (g.best)
        return error_set(err, -EINVAL, "--cpu %s: no flag or property '%s'; did you mean %s?", words, name, g.best);
    return error_set(err, -EINVAL, "--cpu %s: no flag or property '%s' (--cpu help lists them)", words, name);
}

static int take_flag(struct wishes *w, const char *name, bool on, const char *words, struct error *err)
{
    const struct flag *f = find(name);
    uint32_t bit;

    if (!f)
        return on ? error_set(err, -EINVAL, "--cpu %s: %s is not modelled (--cpu help lists what is)", words, name) : 0;
    if (!on && (f->feature == FEATURE_FPU || f->feature == FEATURE_CMOV))
        return error_set(err, -EINVAL, "--cpu %s: %s cannot be taken away%s", words, f->name,
                         f->feature == FEATURE_CMOV ? " (--cpu 486 is without it)" : "");
    bit = (uint32_t)1 << (f->feature % 32);
    if (wished(on ? w->taken : w->added, f->feature))
        return error_set(err, -EINVAL, "--cpu %s: %s is both added and taken away", words, f->name);
    (on ? w->added : w->taken)[f->feature / 32] |= bit;
    return 0;
}

/* "on", "yes", "true" or their opposites: 1, 0, or -1. */
static int switch_of(const char *value)
{
    static const char *const words[][2] = {{"off", "on"}, {"no", "yes"}, {"false", "true"}, {"n", "y"}};

    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        for (int on = 0; on < 2; on++)
            if (!strcmp(value, words[i][on]))
                return on;
    return -1;
}

static int number(const char *words, const struct option_pair *p, uint64_t least, uint64_t most, uint64_t *out, struct error *err)
{
    if (option_parse_number(p->value, out) && *out >= least && *out <= most)
        return 0;
    return error_set(err, -EINVAL, "--cpu %s: %s is a number from %llu to %llu, not '%s'", words, p->key, (unsigned long long)least,
                     (unsigned long long)most, p->value);
}

static int take_text(char *out, size_t least, size_t most, const char *words, const struct option_pair *p, struct error *err)
{
    size_t len = strlen(p->value);

    if (len < least || len > most)
        return error_set(err, -EINVAL, "--cpu %s: %s has %s%zu characters, not %zu", words, p->key, least < most ? "up to " : "", most, len);
    memset(out, 0, most + 1);
    memcpy(out, p->value, len);
    return 0;
}

/* A property. 1: it is none. */
static int take_property(struct i386_model *m, const char *words, const struct option_pair *p, struct error *err)
{
    uint64_t v = 0;
    int rc = 0;

    if (!strcmp(p->key, "vendor")) {
        rc = take_text(m->vendor, 12, 12, words, p, err);
        m->amd = !strcmp(m->vendor, "AuthenticAMD") || !strcmp(m->vendor, "HygonGenuine");
    } else if (!strcmp(p->key, "model-id")) {
        rc = take_text(m->brand, 0, 48, words, p, err);
    } else if (!strcmp(p->key, "family")) {
        rc = number(words, p, 0, 15 + 255, &v, err);
        m->signature = (m->signature & ~0x0ff00f00u) | (uint32_t)(v > 15 ? 0xf00 | (v - 15) << 20 : v << 8);
    } else if (!strcmp(p->key, "model")) {
        rc = number(words, p, 0, 255, &v, err);
        m->signature = (m->signature & ~0x000f00f0u) | (uint32_t)((v & 15) << 4 | v >> 4 << 16);
    } else if (!strcmp(p->key, "stepping")) {
        rc = number(words, p, 0, 15, &v, err);
        m->signature = (m->signature & ~15u) | (uint32_t)v;
    } else if (!strcmp(p->key, "level")) {
        rc = number(words, p, 1, 0x1f, &v, err);
        m->max_leaf = (uint32_t)v;
    } else if (!strcmp(p->key, "xlevel")) {
        rc = number(words, p, 0x80000000u, 0x8000001fu, &v, err);
        m->max_extended_leaf = (uint32_t)v;
    } else if (!strcmp(p->key, "phys-bits")) {
        rc = number(words, p, 32, 40, &v, err);
        m->phys_bits = (uint8_t)v;
    } else if (!strcmp(p->key, "check") || !strcmp(p->key, "enforce")) {
        /* Whatever they say: what is not there is refused. */
        rc = switch_of(p->value) < 0 ? error_set(err, -EINVAL, "--cpu %s: %s is on or off", words, p->key) : 0;
    } else if (listed(off_properties, p->key) && !switch_of(p->value)) {
        rc = 0;
    } else if (listed(other_properties, p->key) && !listed(not_modelled, p->key)) {
        rc = error_set(err, -EINVAL, "--cpu %s: QEMU's property %s is not there: flags are (--cpu help), and vendor, family, model, "
                       "stepping, model-id, level, xlevel, phys-bits", words, p->key);
    } else {
        rc = 1;
    }
    return rc;
}

static int take_word(struct i386_model *m, struct wishes *w, const char *words, struct option_pair *p, struct error *err)
{
    char name[32];
    const char *key = p->key;
    bool sign = *key == '+' || *key == '-';
    size_t n = 0;
    int rc = sign ? 1 : take_property(m, words, p, err), on;

    if (rc <= 0)
        return rc;
    for (key += sign; key[n] && n < sizeof name - 1; n++)
        name[n] = key[n] == '_' ? '-' : key[n];
    name[n] = 0;
    on = sign ? (p->alone ? *p->key == '+' : -1) : switch_of(p->value);
    if (!find(name) && !listed(not_modelled, name) && strcmp(name, "pmu") != 0)
        return unknown(name, words, err);
    if (on < 0)
        return error_set(err, -EINVAL, "--cpu %s: write +%s, -%s, or %s=on|off", words, name, name, name);
    if (strcmp(name, "pmu") != 0)
        return take_flag(w, name, on, words, err);
    m->pmu = on;
    return 0;
}

/* CPUID has the leaves of the features that are there. */
static void raise_levels(struct i386_model *m, bool basic, bool extended)
{
    static const struct { enum cpuid_word word; uint32_t leaf; } leaves[] = {
        {CPUID_6_EAX, 6}, {CPUID_7_EBX, 7}, {CPUID_7_ECX, 7}, {CPUID_7_EDX, 7}, {CPUID_D1_EAX, 0xd},
    };

    for (unsigned i = 0; basic && i < ARRAY_LEN(leaves); i++)
        if (i386_model_features(m, leaves[i].word) && m->max_leaf < leaves[i].leaf)
            m->max_leaf = leaves[i].leaf;
    if (basic && i386_has(m, FEATURE_XSAVE) && m->max_leaf < 0xd)
        m->max_leaf = 0xd;
    if (basic && m->pmu && !m->amd && m->max_leaf < 0xa)
        m->max_leaf = 0xa;
    if (basic && i386_has(m, FEATURE_MONITOR) && m->max_leaf < 5)
        m->max_leaf = 5;
    if (!extended)
        return;
    if ((i386_model_features(m, CPUID_81_EDX) || i386_model_features(m, CPUID_81_ECX)) && m->max_extended_leaf < 0x80000001u)
        m->max_extended_leaf = 0x80000001u;
    if ((i386_has(m, FEATURE_LM) || i386_model_features(m, CPUID_88_EBX)) && m->max_extended_leaf < 0x80000008u)
        m->max_extended_leaf = 0x80000008u;
    if (i386_has(m, FEATURE_SVM) && m->max_extended_leaf < 0x8000000au)
        m->max_extended_leaf = 0x8000000au;
}

/* SVM goes with AMD's name. */
static int without_svm(struct i386_model *m, const struct wishes *w, const char *words, struct error *err)
{
    static const unsigned all[] = {FEATURE_SVM, FEATURE_SVM_NPT, FEATURE_SVM_VGIF, FEATURE_SVM_ADDRESS_CHECK};

    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        if (wished(w->added, all[i]))
            return error_set(err, -EINVAL, "--cpu %s: svm is for AMD's models: qemu64, Opteron_G1, max", words);
        put(m, all[i], false);
    }
    return 0;
}

static int apply(struct i386_model *m, const struct option_list *l, const char *words, struct error *err)
{
    struct wishes w = {{0}, {0}};
    int rc = 0;

    m->age = m->max_leaf;
    for (unsigned i = 1; !rc && i < l->count; i++) {
        rc = take_word(m, &w, words, &l->pairs[i], err);
        for (unsigned before = 1; !rc && before < i; before++)
            if (!strcmp(l->pairs[before].key, l->pairs[i].key))
                rc = error_set(err, -EINVAL, "--cpu %s: %s is given twice", words, l->pairs[i].key);
    }
    if (rc)
        return rc;
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++)
        if (wished(w.added, flags[i].feature) || wished(w.taken, flags[i].feature))
            put(m, flags[i].feature, wished(w.added, flags[i].feature));
    rc = settle(m, &w, words, err);
    if (!rc && m->pmu && (!(m->amd || i386_is_core(m)) || !i386_has(m, FEATURE_MSR)))
        rc = error_set(err, -EINVAL, "--cpu %s: pmu is for Intel's models since coreduo and for AMD's", words);
    if (!rc && !m->amd)
        rc = without_svm(m, &w, words, err);
    if (!i386_has(m, FEATURE_LM) && i386_phys_bits(m) > 36 && !option_list_get(l, "phys-bits"))
        m->phys_bits = 36;
    m->has_fxsr = i386_has(m, FEATURE_FXSR);
    m->has_sse = i386_has(m, FEATURE_SSE);
    m->has_sse2 = i386_has(m, FEATURE_SSE2);
    raise_levels(m, !option_list_get(l, "level"), !option_list_get(l, "xlevel"));
    return rc;
}

int i386_model_parse(struct i386_model *m, const char *words, struct error *err)
{
    const struct i386_model *base = i386_model_find(words);
    struct option_list l;
    int rc;

    if (base) {
        *m = *base;
        return 0;
    }
    rc = option_list_parse(&l, "--cpu", words, "", NULL, err);
    if (!rc) {
        const char *name = l.count && l.pairs[0].implied ? l.pairs[0].value : words;

        base = i386_model_find(name);
        if (!strcmp(name, "host"))
            rc = error_set(err, -EINVAL, "--cpu host: a history that depended on this host could be replayed on no other: max has all "
                           "that there is");
        else if (!base)
            rc = error_set(err, -EINVAL, "no CPU model '%s'; there are: %s", name, i386_model_names);
        else
            *m = *base;
        if (!rc)
            rc = apply(m, &l, words, err);
    }
    option_list_finish(&l);
    return rc;
}
