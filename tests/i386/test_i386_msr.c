/*
 * Claims about model-specific registers, control and debug registers and XCR0: every number, every model, every bit, against
 * tables that were written from the manuals and know nothing of those in targets/i386: SDM 4, chapter 2 (Intel's, by table of the
 * processor), SDM 3A 2.5, 9.1, 11.11, 11.12 and 3B 15.3, 17.2, 17.4 to 17.17, 18.2 (20.2 of later editions), AMD APM 2, 3.1.7,
 * 13.1.1.6 and appendix A. Where it leaves open which bits are there and whether a reserved one faults or is dropped, family 0FH's
 * are as reports of an Athlon 64 X2's registers have them.
 *
 * `qemu-system-x86_64 --cpu X` (TCG) holds nothing against it: there what is not known reads as 0 and takes anything, on every model.
 */
#include "i386/protect.h"
#include "i386_bench.h"
#include "i386_bench64.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

static struct bench *b;
static struct i386_state *s;

static void with_model(const char *model)
{
    if (b)
        bench_free(b);
    b = bench_new(model);
    s = b->s;
}

static void teardown(void)
{
    if (b)
        bench_free(b);
    b = NULL;
}

/* ---- what the manuals say ---- */

/* A letter for each model; canonical addresses have that many bits, 0: there is no long mode. */
static const struct model {
    char letter;
    const char *name;
    unsigned physical, linear;
    uint32_t cr4;
} models[] = {
    {'4', "486", 36, 0, 0x3}, {'3', "pentium3", 36, 0, 0x7ff}, {'P', "pentium4", 36, 0, 0x7ff}, {'k', "kvm64", 40, 48, 0x7ff},
    {'D', "coreduo", 32, 0, 0x7ff}, {'d', "coreduo,pmu=on", 32, 0, 0x7ff}, {'n', "n270", 32, 0, 0x7ff},
    {'2', "core2duo", 36, 48, 0x7ff}, {'N', "Nehalem", 40, 48, 0x7ff}, {'S', "SandyBridge", 40, 48, 0x407ff},
    {'I', "IvyBridge", 40, 48, 0x1507ff}, {'H', "Haswell", 40, 48, 0x1507ff}, {'h', "Haswell,pmu=on", 40, 48, 0x1507ff},
    {'q', "qemu64", 40, 48, 0x7fc}, {'o', "Opteron_G1", 40, 48, 0x7ff}, {'M', "max", 40, 57, 0x751fff},
    {'x', "max,pmu=on", 40, 57, 0x751fff}, {'m', "max32", 36, 0, 0x340fff},
};
#define INTEL "3PkDdn2NSIHh"
#define AMD   "qoMxm"
#define EVERY INTEL AMD
#define LM    "k2NSIHhqoMx"

enum { RO = 1, WO = 2, PHYS = 4, CANONICAL = 8, SIGNED40 = 16, SIGNED48 = 32, NAME = 64, TIME = 128 };
#define ALL  UINT64_MAX
#define LOW  UINT64_C(0xffffffff)
#define UPPER (LOW << 32)
#define MTRR UINT64_C(0x0505050505050505) /* a bit alone: 1 and 4 are types of memory, 2 and others are none */

/* Of each register: value after a reset; bits that, written alone, are kept; bits that are dropped, what they were staying; any
 * other is #GP. */
static const struct row {
    const char *on;
    uint32_t first, last, step;
    uint64_t reset, kept, dropped;
    unsigned how;
} rows[] = {
    {EVERY, 0x0, 0x1, 1, 0, 0, ALL, 0},                          /* P5_MC_ADDR, P5_MC_TYPE */
    {"Ddn2", 0x6, 0x6, 1, 64, 0xffff, 0, 0},                     /* MONITOR_FILTER_SIZE, with CPUID.MONITOR */
    {"PkDdn2NSIHh" AMD, 0x10, 0x10, 1, 0, ALL, 0, TIME},         /* TSC */
    {"3", 0x10, 0x10, 1, 0, LOW, UPPER, TIME},                    /* 17.17: before 0F_03H the upper half is cleared */
    {INTEL, 0x17, 0x17, 1, 0, 0, 0, RO},                         /* PLATFORM_ID */
    {"3PkDdn2N", 0x1b, 0x1b, 1, 0xfee00900, ~UINT64_C(0x6ff), 0, PHYS}, /* APIC_BASE; EXTD: x2APIC, and not without EN */
    {"SIHh", 0x1b, 0x1b, 1, 0xfee00900, ~UINT64_C(0x6ff), 0, PHYS},
    {AMD, 0x1b, 0x1b, 1, 0xfee00900, ~UINT64_C(0x7ff), 0x100, PHYS}, /* BSC is read-only */
    {"3", 0x2a, 0x2a, 1, 0, 0x40000de, 0xbfff700, 0},            /* EBL_CR_POWERON of the P6: bits 1-4, 6, 7, 26 */
    {"Pk", 0x2a, 0x2a, 1, 0, 0, ALL, 0},                         /* EBC_HARD_POWERON: read-only bits */
    {"Ddn2", 0x2a, 0x2a, 1, 0x2800000, 0x9e, 0x7f75700, 0},      /* EBL_CR_POWERON: bits 1-4, 7; a ratio of 10 */
    {"NSIHh" AMD, 0x2a, 0x2a, 1, 0, 0, 0, RO},
    {"Pk", 0x2b, 0x2b, 1, 0, 0x7f, 0, 0},                        /* EBC_SOFT_POWERON */
    {"Pk", 0x2c, 0x2c, 1, 0xa000000, 0, 0, RO},                  /* EBC_FREQUENCY_ID: 10 * 100 MHz */
    {"3", 0x33, 0x33, 1, 0, 0xc0000000, 0, 0},                   /* TEST_CTL */
    {"NSIHh", 0x34, 0x34, 1, 0, 0, 0, RO},                       /* SMI_COUNT */
    {"HhMxm", 0x3b, 0x3b, 1, 0, ALL, 0, 0},                      /* TSC_ADJUST */
    {"Ddn", 0x40, 0x47, 1, 0, ALL, 0, 0},                        /* LASTBRANCH_n; _FROM */
    {"2", 0x40, 0x43, 1, 0, ALL, 0, 0},
    {"n", 0x60, 0x67, 1, 0, ALL, 0, 0},                          /* _TO */
    {"2", 0x60, 0x63, 1, 0, ALL, 0, 0},
    {INTEL, 0x79, 0x79, 1, 0, 0, ALL, WO},                       /* BIOS_UPDT_TRIG */
    {"3", 0x88, 0x8b, 1, 0, ALL, 0, 0},                          /* BBL_CR_Dn, BIOS_SIGN */
    {"PkDdn2NSIHh", 0x8b, 0x8b, 1, 0, UPPER, 0, 0},               /* BIOS_SIGN_ID: 31:0 are reserved */
    {AMD, 0x8b, 0x8b, 1, 0, 0, 0, RO},                           /* PATCH_LEVEL */
    {"3", 0xc1, 0xc2, 1, 0, 0x7fffffff, UPPER, SIGNED40},         /* PERFCTRn */
    {"dh", 0xc1, 0xc4, 1, 0, 0x7fffffff, UPPER, SIGNED48},        /* PMCn, without full-width writes */
    {"Ddn2", 0xcd, 0xcd, 1, 5, 0, 0, RO},                        /* FSB_FREQ: 101B is 100 MHz */
    {"SIHh", 0xce, 0xce, 1, UINT64_C(0xa0000000a00), 0, 0, RO},  /* PLATFORM_INFO: 10 * 100 MHz */
    {EVERY, 0xfe, 0xfe, 1, 0x508, 0, 0, RO},                     /* MTRRCAP */
    {"3", 0x116, 0x116, 1, 0, 0xfffffff8, 0, 0},                 /* BBL_CR_ADDR, _DECC, _CTL, _TRIG (0 only), _BUSY, _CTL3 */
    {"3", 0x118, 0x118, 1, 0, 0xff, 0, 0},
    {"3", 0x119, 0x119, 1, 0, 0x3aff7f, 0, 0},
    {"3", 0x11a, 0x11a, 1, 0, 0, 0, WO},
    {"3", 0x11b, 0x11b, 1, 0, 0, 0, RO},
    {"3", 0x11e, 0x11e, 1, 0, 0x7e1ff, 0x2f01e00, 0},
    {"Ddn2", 0x11e, 0x11e, 1, 1, 0x100, 0x800001, 0},
    {EVERY, 0x174, 0x174, 1, 0, LOW, UPPER, 0},                   /* SYSENTER_CS: 63:32 are not used */
    {"3PDdn" AMD, 0x175, 0x176, 1, 0, LOW, UPPER, 0},             /* _ESP, _EIP */
    {"k2NSIHh", 0x175, 0x176, 1, 0, ALL, 0, CANONICAL},
    {EVERY, 0x179, 0x179, 1, 4, 0, 0, RO},                       /* MCG_CAP: no MCG_CTL_P, _EXT_P, CMCI_P */
    {EVERY, 0x17a, 0x17a, 1, 0, 7, 0, 0},                        /* MCG_STATUS */
    {"3", 0x186, 0x187, 1, 0, 0xffdfffff, 0, 0},                 /* PERFEVTSELn */
    {"dh", 0x186, 0x189, 1, 0, 0xffdfffff, 0, 0},                /* version 2: no AnyThread */
    /* MISC_ENABLE: fast strings, CPUID's limit, MONITOR and XD where CPUID has them; P4: 2, 4, 8, 9, 19; Core 2: 9, 19, 37, 39.
     * No thermal monitor, SpeedStep, FERR# multiplexing, xTPR, turbo, by CPUID. 7, 11, 12 are read-only. */
    {"P", 0x1a0, 0x1a0, 1, 0x1801, UINT64_C(0x400480315), 0x1880, 0},
    {"k", 0x1a0, 0x1a0, 1, 0x1801, UINT64_C(0x400480315), 0x1880, 0},
    {"D", 0x1a0, 0x1a0, 1, 0x40801, UINT64_C(0x400440001), 0x1880, 0},
    {"d", 0x1a0, 0x1a0, 1, 0x40881, UINT64_C(0x400440001), 0x1880, 0},
    {"n", 0x1a0, 0x1a0, 1, 0x41801, UINT64_C(0x400440001), 0x1880, 0},
    {"2", 0x1a0, 0x1a0, 1, 0x41801, UINT64_C(0xa4004c0201), 0x1880, 0},
    {"NSIH", 0x1a0, 0x1a0, 1, 0x1801, UINT64_C(0x400400001), 0x1880, 0},
    {"h", 0x1a0, 0x1a0, 1, 0x1881, UINT64_C(0x400400001), 0x1880, 0},
    {"Pk", 0x1a1, 0x1a1, 1, 0, 0, 0, RO},                        /* PLATFORM_BRV */
    {"NSI", 0x1c8, 0x1c8, 1, 0, 0x1ff, 0, 0},                    /* LBR_SELECT */
    {"Hh", 0x1c8, 0x1c8, 1, 0, 0x3ff, 0, 0},
    {"Ddn", 0x1c9, 0x1c9, 1, 0, 7, 0, 0},                        /* LASTBRANCH_TOS */
    {"2", 0x1c9, 0x1c9, 1, 0, 3, 0, 0},
    {"NSIHh", 0x1c9, 0x1c9, 1, 0, 15, 0, 0},
    {"Pk", 0x1d7, 0x1d8, 1, 0, 0, 0, RO},                        /* LER_FROM, LER_TO */
    {"3Pk", 0x1d9, 0x1d9, 1, 0, 0x7f, 0, 0},                     /* DEBUGCTL */
    {"D", 0x1d9, 0x1d9, 1, 0, 0x1c3, 0, 0},
    {"d", 0x1d9, 0x1d9, 1, 0, 0x19c3, 0, 0},
    {"n2", 0x1d9, 0x1d9, 1, 0, 0x5fc3, 0, 0},
    {"NSIHh", 0x1d9, 0x1d9, 1, 0, 0x7fc3, 0, 0},
    {AMD, 0x1d9, 0x1d9, 1, 0, 0x3f, ~UINT64_C(0x7f), 0},         /* APM 2, 13.1.1.6: bit 6 is MBZ, others RAZ */
    {"Pk", 0x1da, 0x1da, 1, 0, 0, 0, RO},                        /* LASTBRANCH_TOS */
    {"3" AMD, 0x1db, 0x1dc, 1, 0, 0, 0, RO},                     /* LASTBRANCHFROMIP, TOIP */
    {"3Ddn2NSIHh" AMD, 0x1dd, 0x1de, 1, 0, 0, 0, RO},            /* LASTINTFROMIP, TOIP, LER_FROM, LER_TO */
    {"3", 0x1e0, 0x1e0, 1, 4, 4, 0, 0},                          /* ROB_CR_BKUPTMPDR6 */
    {EVERY, 0x200, 0x20e, 2, 0, ~UINT64_C(0xffa), 0, PHYS},      /* MTRR_PHYSBASEn */
    {EVERY, 0x201, 0x20f, 2, 0, ~UINT64_C(0x7ff), 0, PHYS},      /* MTRR_PHYSMASKn */
    {EVERY, 0x250, 0x250, 1, 0, MTRR, 0, 0},                     /* MTRR_FIX* */
    {EVERY, 0x258, 0x259, 1, 0, MTRR, 0, 0},
    {EVERY, 0x268, 0x26f, 1, 0, MTRR, 0, 0},
    {EVERY, 0x277, 0x277, 1, UINT64_C(0x0007040600070406), MTRR, 0, 0}, /* PAT */
    {EVERY, 0x2ff, 0x2ff, 1, 0, 0xc05, 0, 0},                    /* MTRR_DEF_TYPE */
    {"dh", 0x309, 0x30b, 1, 0, UINT64_C(0xffffffffffff), 0, 0},  /* FIXED_CTRn */
    {"dh", 0x38d, 0x38d, 1, 0, 0xbbb, 0, 0},                     /* FIXED_CTR_CTRL */
    {"dh", 0x38e, 0x38e, 1, 0, 0, 0, RO},                        /* PERF_GLOBAL_STATUS, _CTRL, _OVF_CTRL */
    {"dh", 0x38f, 0x38f, 1, 15, UINT64_C(0x70000000f), 0, 0},
    {"dh", 0x390, 0x390, 1, 0, 0, UINT64_C(0xc00000070000000f), 0},
    {"3", 0x400, 0x40c, 4, 0, 0, 0, 0},                          /* MCi_CTL: 15.3.2.1: all or nothing on the P6 */
    {"PkDdn2NSIHh" AMD, 0x400, 0x40c, 4, 0, ALL, 0, 0},
    {EVERY, 0x401, 0x40d, 4, 0, 0, 0, 0},                        /* MCi_STATUS: 15.3.2.2: can be cleared */
    {INTEL, 0x402, 0x40e, 4, 0, 0, 0, 0},                        /* MCi_ADDR: 15.3.2.3, too */
    {"PkDd2NSIHh", 0x403, 0x40f, 4, 0, 0, 0, 0},                 /* MCi_MISC: 15.3.2.4: not on P6 and Atom */
    {AMD, 0x402, 0x40e, 4, 0, ALL, 0, 0},
    {AMD, 0x403, 0x40f, 4, 0, ALL, 0, 0},
    {"PkNSIHh", 0x680, 0x68f, 1, 0, ALL, 0, 0},                  /* LASTBRANCH_n_FROM, _TO */
    {"PkNSIHh", 0x6c0, 0x6cf, 1, 0, ALL, 0, 0},
    {"Mxm", 0xda0, 0xda0, 1, 0, 0, 0, 0},                        /* XSS: no supervisor components */
    /* EFER: SCE where CPUID has SYSCALL, LME, NXE; LMA is read-only; APM 2, 3.1.7: LMA is to be what it is, 7:1 are RAZ. */
    {"PDdn", 0xc0000080, 0xc0000080, 1, 0, 0x800, 0, 0},
    {"k2NSIHh", 0xc0000080, 0xc0000080, 1, 0, 0x901, 0x400, 0},
    {"o", 0xc0000080, 0xc0000080, 1, 0, 0x901, 0xfe, 0},
    {"qMx", 0xc0000080, 0xc0000080, 1, 0, 0x1901, 0xfe, 0},       /* SVME */
    {"m", 0xc0000080, 0xc0000080, 1, 0, 0x800, 0xfe, 0},
    {LM, 0xc0000081, 0xc0000081, 1, 0, ALL, 0, 0},               /* STAR */
    {LM, 0xc0000082, 0xc0000083, 1, 0, ALL, 0, CANONICAL},       /* LSTAR, CSTAR */
    {LM, 0xc0000084, 0xc0000084, 1, 0, LOW, UPPER, 0},            /* FMASK */
    {LM, 0xc0000100, 0xc0000102, 1, 0, ALL, 0, CANONICAL},       /* FS_BASE, GS_BASE, KERNEL_GS_BASE */
    {"SIHh", 0xc0000103, 0xc0000103, 1, 0, LOW, 0, 0},           /* TSC_AUX */
    {"Mxm", 0xc0000103, 0xc0000103, 1, 0, LOW, UPPER, 0},
    {"qoMm", 0xc0010000, 0xc0010007, 1, 0, 0, ALL, 0},           /* PERF_CTLn, PERF_CTRn without counters */
    {"x", 0xc0010000, 0xc0010003, 1, 0, UINT64_C(0x30fffdfffff), ~UINT64_C(0x30fffdfffff), 0},
    {"x", 0xc0010004, 0xc0010007, 1, 0, UINT64_C(0xffffffffffff), ~UINT64_C(0xffffffffffff), 0},
    {AMD, 0xc0010010, 0xc0010010, 1, 0, 0x7f07ff, ~UINT64_C(0x7f07ff), 0},      /* SYSCFG */
    {AMD, 0xc0010015, 0xc0010015, 1, 0, 0xc00fffdf, ~UINT64_C(0xc00fffdf), 0},  /* HWCR */
    {AMD, 0xc0010016, 0xc0010018, 2, 0, ~UINT64_C(0xfe7), 0, PHYS},             /* IORR_BASEn, IORR_MASKn */
    {AMD, 0xc0010017, 0xc0010019, 2, 0, ~UINT64_C(0x7ff), 0, PHYS},
    {AMD, 0xc001001a, 0xc001001a, 1, 0, ~UINT64_C(0x7fffff), 0, PHYS},          /* TOP_MEM, TOP_MEM2 */
    {AMD, 0xc001001d, 0xc001001d, 1, 0, ~UINT64_C(0x7fffff), 0, PHYS},
    {AMD, 0xc001001e, 0xc001001e, 1, 0, 0, 0, RO},                              /* MANID */
    {AMD, 0xc001001f, 0xc001001f, 1, 0, ~UINT64_C(0x3fbf000000000000), UINT64_C(0x3fbf000000000000), 0}, /* NB_CFG */
    {AMD, 0xc0010020, 0xc0010020, 1, 0, 0, ALL, WO},                            /* PATCH_LOADER */
    {AMD, 0xc0010030, 0xc0010035, 1, 0, ALL, 0, NAME},                          /* processor name string */
    {AMD, 0xc0010044, 0xc0010047, 1, 0, ALL, 0, 0},                             /* MCi_CTL_MASK */
    {AMD, 0xc0010055, 0xc0010055, 1, 0, 0x1fffffff, UPPER, 0},                   /* interrupt pending message */
    {AMD, 0xc0010060, 0xc0010060, 1, 0, 0, 0, RO},                              /* BIST results */
    {AMD, 0xc0010111, 0xc0010111, 1, 0x30000, LOW, UPPER, 0},                    /* SMM_BASE, SMM_ADDR, SMM_MASK */
    {AMD, 0xc0010112, 0xc0010112, 1, 0, UINT64_C(0xfffffe0000), ~UINT64_C(0xfffffe0000), 0},
    {AMD, 0xc0010113, 0xc0010113, 1, 0, UINT64_C(0xfffffe773f), ~UINT64_C(0xfffffe773f), 0},
    {"om", 0xc0010114, 0xc0010114, 1, 0x18, 7, UPPER | 0x18, 0},                  /* VM_CR: locked, SVM disabled */
    {"qMx", 0xc0010114, 0xc0010114, 1, 0, 0x1f, UPPER, 0},                        /* where there is SVM it is not */
    {AMD, 0xc0010115, 0xc0010115, 1, 0, 1, UPPER, 0},                            /* IGNNE */
    {AMD, 0xc0010117, 0xc0010117, 1, 0, ~UINT64_C(0xfff), 0, PHYS},             /* VM_HSAVE_PA */
    {AMD, 0xc0011020, 0xc0011022, 1, 0, LOW, UPPER, 0},                          /* LS_CFG, IC_CFG, DC_CFG */
    {AMD, 0xc0011023, 0xc0011023, 1, 0, ALL, 0, 0},                             /* BU_CFG */
};

static const struct row *expected(char letter, uint32_t n)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (strchr(rows[i].on, letter) && n >= rows[i].first && n <= rows[i].last && (n - rows[i].first) % rows[i].step == 0)
            return &rows[i];
    return NULL;
}

static uint64_t reset_value(const struct row *r, uint32_t n)
{
    uint64_t part = 0;

    if (r->how & NAME) {
        char brand[48] = {0};

        memcpy(brand, b->model.brand, strnlen(b->model.brand, 48));
        memcpy(&part, brand + 8 * (n - r->first), 8);
    }
    return r->reset | part;
}

static void reset_cpu(void)
{
    b->m->cpus[0]->ops->reset(b->m->cpus[0]);
}

/* ---- every number on every model ---- */

static void try_bit(const struct model *m, const struct row *r, uint32_t n, unsigned bit)
{
    uint64_t v = (uint64_t)1 << bit, kept = r->kept, before, after = 0, want;
    bool taken;

    if ((r->how & PHYS) && bit >= m->physical)
        kept = 0;
    if (r->how & CANONICAL)
        kept = ((uint64_t)1 << (m->linear - 1)) - 1;
    if ((r->how & (SIGNED40 | SIGNED48)) && bit == 31)
        kept = v;
    reset_cpu();
    before = reset_value(r, n);
    want = (v & kept) | (before & r->dropped);
    if (bit == 31 && (r->how & (SIGNED40 | SIGNED48)))
        want = (r->how & SIGNED40 ? UINT64_C(0xff80000000) : UINT64_C(0xffff80000000));
    if (n == 0x1b && v == 0x800)
        kept |= v, want |= v;
    taken = v & (kept | r->dropped);
    ck_assert_msg(i386_write_msr(b->c, n, v) == taken, "%s: %x bit %u is %s", m->name, n, bit, taken ? "refused" : "taken");
    if (r->how & WO)
        return;
    ck_assert_msg(i386_read_msr(b->c, n, &after), "%s: %x", m->name, n);
    ck_assert_msg(after == (taken ? want : before), "%s: %x bit %u: %llx", m->name, n, bit, (unsigned long long)after);
}

static void try_register(const struct model *m, uint32_t n)
{
    const struct row *r = expected(m->letter, n);
    uint64_t value = 0;
    bool there = i386_read_msr(b->c, n, &value);

    ck_assert_msg(there == (r && !(r->how & WO)), "%s: %x %s", m->name, n, there ? "can be read" : "cannot be read");
    if (there)
        ck_assert_msg(value == reset_value(r, n), "%s: %x is %llx", m->name, n, (unsigned long long)value);
    if (!r || (r->how & RO)) {
        ck_assert_msg(!i386_write_msr(b->c, n, value), "%s: %x can be written", m->name, n);
        return;
    }
    ck_assert_msg(i386_write_msr(b->c, n, 0) || n == 0xffffffffu, "%s: %x does not take 0", m->name, n);
    for (unsigned bit = 0; bit < 64; bit++)
        try_bit(m, r, n, bit);
    reset_cpu();
}

START_TEST(every_register_of_every_model_has_the_bits_of_the_manual)
{
    static const uint32_t ranges[][2] = {{0, 0x1fff}, {0xc0000000u, 0xc0001fffu}, {0xc0010000u, 0xc0011fffu}, {0x40000000u, 0x400000ffu}};
    const struct model *m = &models[_i];

    with_model(m->name);
    reset_cpu();
    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
        for (uint32_t n = ranges[i][0]; n <= ranges[i][1]; n++)
            try_register(m, n);
}
END_TEST

/* SDM 3A 2.5; APM 2, 3.1. CR4's bits are those of features that CPUID has. */
START_TEST(cr4_has_the_bits_of_the_model)
{
    const struct model *m = &models[_i];

    with_model(m->name);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t v = (uint64_t)1 << bit;

        s->cr4 = 0;
        ck_assert_msg(i386_set_cr4(b->c, v) == ((m->cr4 & v & ~CR4_PCIDE) != 0), "%s: bit %u", m->name, bit);
        EQ(s->cr4, m->cr4 & v & ~CR4_PCIDE);
    }
}
END_TEST

/* ---- what depends on more than one bit ---- */

static bool put(uint32_t n, uint64_t value)
{
    return i386_write_msr(b->c, n, value);
}

static uint64_t get(uint32_t n)
{
    uint64_t value = 0;

    ck_assert_msg(i386_read_msr(b->c, n, &value), "%x", n);
    return value;
}

/* RDMSR, WRMSR: level 0; virtual-8086 mode is of level 3; real mode is of level 0. */
START_TEST(msrs_are_for_level_0)
{
    static const uint8_t insns[] = {0x32, 0x30};
    void (*const modes[])(struct bench *) = {user_mode, vm86_mode, kernel_mode, real_mode};

    for (unsigned i = 0; i < ARRAY_LEN(insns); i++)
        for (unsigned n = 0; n < ARRAY_LEN(modes); n++) {
            uint64_t rip;

            with_model("Haswell");
            s->seg[SEG_TR].base = TSS;
            modes[n](b);
            rip = s->rip;
            s->gpr[ECX] = 0x174;
            poke16(b, b->at, (uint16_t)(insns[i] << 8 | 0x0f));
            steps(b, 1);
            if (n < 2)
                EXPECT_VECTOR(b, EXC_GP);
            else
                EQ(s->rip, rip + 2);
        }
}
END_TEST

/* SDM 3A 9.8.5, APM 2, 3.1.7: LME changes without paging; LMA is the processor's. */
START_TEST(efer_in_long_mode)
{
    teardown();
    b = bench64_new(_i ? "qemu64" : "Haswell");
    s = b->s;
    ck_assert(!put(0xc0000080, EFER_LMA | EFER_SCE));
    ck_assert(put(0xc0000080, EFER_LMA | EFER_LME | EFER_NXE));
    EQ(s->efer, EFER_LMA | EFER_LME | EFER_NXE);
    EQ(put(0xc0000080, EFER_LME), !_i); /* AMD's is to be what it is */
    EQ(s->efer, EFER_LMA | EFER_LME | (_i ? EFER_NXE : 0));
    EQ(put(0xc0000080, EFER_LMA | EFER_LME | EFER_SVME), _i); /* with SVM */
}
END_TEST

/* Table 2-2, IA32_MISC_ENABLE: bits 22 and 34. */
START_TEST(misc_enable_limits_cpuid_and_takes_execute_disable_away)
{
    with_model("core2duo");
    s->efer = EFER_NXE;
    ck_assert(put(0x1a0, get(0x1a0) | UINT64_C(0x400400000)));
    EQ(s->efer, 0);
    ck_assert(!put(0xc0000080, EFER_NXE));
    CODE(b, 0x0f, 0xa2, 0x0f, 0xa2);
    s->gpr[EAX] = 0;
    steps(b, 1);
    EQ(s->gpr[EAX], 2);
    s->gpr[EAX] = 0x80000001;
    steps(b, 1);
    EQ(s->gpr[EDX] & 1u << 20, 0);
    ck_assert(put(0x1a0, get(0x1a0) & ~UINT64_C(0x400400000)));
    ck_assert(put(0xc0000080, EFER_NXE));
    CODE(b, 0x0f, 0xa2);
    s->gpr[EAX] = 0;
    steps(b, 1);
    EQ(s->gpr[EAX], 10);
}
END_TEST

/* SDM 3B 15.3.2. */
START_TEST(machine_check_banks)
{
    with_model("pentium3");
    ck_assert(put(0x404, ALL) && put(0x404, 0) && !put(0x404, ALL - 1) && !put(0x401, ALL));
    with_model("Nehalem");
    ck_assert(put(0x404, ALL - 1) && !put(0x401, ALL));
    with_model("qemu64");
    ck_assert(!put(0x401, 5) && put(0xc0010015, 0x40000) && put(0x401, 5)); /* HWCR.McStatusWrEn */
    EQ(get(0x401), 5);
}
END_TEST

/* RdMem and WrMem of fixed ranges, behind SYSCFG.MtrrFixDramModEn. */
START_TEST(amds_fixed_ranges_say_where_dram_is)
{
    with_model("qemu64");
    ck_assert(!put(0x268, 0x1e) && put(0xc0010010, 0x80000) && put(0x268, 0x1e));
    EQ(get(0x268), 0x1e);
    ck_assert(!put(0x268, 0x3e) && !put(0x268, 0x1a));
    ck_assert(put(0xc0010010, 0));
    EQ(get(0x268), 0x06);
    ck_assert(put(0x268, 0x05) && put(0xc0010010, 0x80000));
    EQ(get(0x268), 0x1d);
}
END_TEST

START_TEST(hwcr_locks_the_registers_of_smm)
{
    with_model("qemu64");
    ck_assert(put(0xc0010111, 0xa0000));
    EQ(s->smbase, 0xa0000);
    ck_assert(put(0xc0010015, 1) && !put(0xc0010111, 0x30000) && !put(0xc0010112, 0) && put(0xc0010015, 0));
    EQ(get(0xc0010015), 1);
}
END_TEST

START_TEST(the_name_string_is_what_cpuid_tells)
{
    with_model("qemu64");
    ck_assert(put(0xc0010032, UINT64_C(0x4847464544434241)));
    CODE(b, 0x0f, 0xa2);
    s->gpr[EAX] = 0x80000003;
    steps(b, 1);
    EQ(s->gpr[EAX], 0x44434241);
    EQ(s->gpr[EBX], 0x48474645);
}
END_TEST

START_TEST(smis_are_counted)
{
    with_model("Nehalem");
    i386_raise_smi(b->c);
    steps(b, 1);
    EQ(get(0x34), 1);
}
END_TEST

/* The layout before there were last branches and most registers that are only held. */
START_TEST(states_of_before_get_registers_as_after_a_reset)
{
    const size_t kept = offsetof(struct i386_state, smi_count), len = kept + sizeof s->t;
    struct cpu *cpu;
    uint8_t *old;

    with_model("core2duo");
    cpu = b->m->cpus[0];
    s->gpr[EBX] = 0x1234;
    s->pat = 6;
    old = calloc(1, len);
    memcpy(old, s, kept);
    memset(s, 0x55, sizeof *s);
    ck_assert(!cpu->ops->upgrade(cpu, 5, old, len - 8) && !cpu->ops->upgrade(cpu, 3, old, len));
    ck_assert(cpu->ops->upgrade(cpu, 5, old, len));
    free(old);
    EQ(s->gpr[EBX], 0x1234);
    EQ(get(0x277), 6);
    EQ(get(0x6), 64);
    EQ(get(0x2a), 10u << 22);
    EQ(get(0x40), 0);
    EQ(s->t[0], 0);
    ck_assert(cpu->ops->possible(cpu));
    s->lbr_top = 16; /* an index */
    ck_assert(!cpu->ops->possible(cpu));
}
END_TEST

/* SDM 2, RDPMC. */
START_TEST(rdpmc_has_the_counters_of_the_model)
{
    static const struct { const char *model; uint32_t n; bool there; } cases[] = {
        {"pentium3", 1, true}, {"pentium3", 2, false}, {"pentium4", 17, true}, {"pentium4", 0x80000011, true}, {"pentium4", 18, false},
        {"Haswell", 0, false}, {"Haswell", 0x40000000, false}, {"Haswell,pmu=on", 3, true}, {"Haswell,pmu=on", 0x40000002, true},
        {"Haswell,pmu=on", 0x40000003, false}, {"Haswell,pmu=on", 4, false}, {"max", 3, true}, {"max", 4, false},
        {"max", 0x40000000, false},
    };

    with_model(cases[_i].model);
    CODE(b, 0x0f, 0x33);
    s->gpr[ECX] = cases[_i].n;
    steps(b, 1);
    EQ(s->rip, cases[_i].there ? KCODE + 2 : handler(EXC_GP));
}
END_TEST

/* ---- control and debug registers ---- */

/* SDM 3A 2.5: reserved bits of the lower half are ignored, the upper half is #GP; PG wants PE, NW wants CD. */
START_TEST(cr0_bit_by_bit)
{
    teardown();
    b = bench64_new("Haswell");
    s = b->s;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t before = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP, v = (uint64_t)1 << bit;
        bool allowed = bit < 32 && bit != 29;

        s->cr0 = (uint32_t)before;
        ck_assert_msg(i386_set_cr0(b->c, before | v) == allowed, "bit %u", bit);
        EQ(s->cr0, before | (allowed && (0xe005003fu & v) ? v : 0));
    }
    ck_assert(i386_set_cr0(b->c, CR0_PE | CR0_PG | CR0_NW | CR0_CD));
    ck_assert(!i386_set_cr0(b->c, CR0_PG) && !i386_set_cr0(b->c, CR0_PE)); /* PG is not cleared in 64-bit mode */
}
END_TEST

START_TEST(cr3_cr4_and_cr8_in_long_mode)
{
    teardown();
    b = bench64_new("Haswell");
    s = b->s;
    for (unsigned bit = 0; bit < 64; bit++)
        ck_assert_msg(i386_set_cr3(b->c, PML4 | (uint64_t)1 << bit) == (bit < 40), "bit %u", bit);
    ck_assert(i386_set_cr3(b->c, PML4) && !i386_set_cr4(b->c, 0)); /* PAE stays */
    s->cr3 = PML4 | 1;
    ck_assert(!i386_set_cr4(b->c, CR4_PAE | CR4_PCIDE));
    s->cr3 = PML4;
    ck_assert(i386_set_cr4(b->c, CR4_PAE | CR4_PCIDE));
    ck_assert(i386_set_cr3(b->c, PML4 | (uint64_t)1 << 63));
    EQ(s->cr3, PML4);
    ck_assert(!i386_set_cr3(b->c, PML4 | (uint64_t)1 << 62));
    for (unsigned bit = 0; bit < 64; bit++) {
        s->rip = b->at = KCODE;
        CODE(b, 0x44, 0x0f, 0x22, 0xc0); /* mov cr8, rax */
        s->gpr[EAX] = (uint64_t)1 << bit;
        steps(b, 1);
        EQ(s->rip, bit < 4 ? KCODE + 4 : handler(EXC_GP));
        long_mode(b, 0);
    }
    teardown();
    b = bench64_new("max");
    s = b->s;
    ck_assert(!i386_set_cr4(b->c, CR4_PAE | CR4_LA57));
}
END_TEST

/* SDM 3B 17.2: DR6 and DR7 have fixed bits and no upper halves, DR0 to DR3 no reserved ones; 4 and 5 are 6 and 7, or #UD with DE. */
START_TEST(debug_registers_bit_by_bit)
{
    static const struct { unsigned n; uint64_t kept, fixed; } regs[] = {
        {0, UINT64_MAX, 0}, {3, UINT64_MAX, 0}, {6, 0xe00f, 0xffff0ff0}, {7, 0xffff23ff, 0x400},
    };

    teardown();
    b = bench64_new("Haswell");
    s = b->s;
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t v = (uint64_t)1 << bit;
            bool allowed = regs[i].n < 6 || bit < 32;

            ck_assert_msg(i386_set_dr(b->c, regs[i].n, v) == allowed, "dr%u bit %u", regs[i].n, bit);
            if (allowed)
                EQ(s->dr[regs[i].n], (v & regs[i].kept) | regs[i].fixed);
        }
    i386_set_dr(b->c, 7, 0);
    CODE(b, 0x0f, 0x21, 0xe0); /* mov rax, dr4 */
    steps(b, 1);
    EQ(s->gpr[EAX], s->dr[6]);
    s->cr4 |= CR4_DE;
    s->rip = b->at = KCODE;
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
}
END_TEST

/* SDM 1, 13.3; 2, XSETBV. */
START_TEST(xcr0_bit_by_bit)
{
    static const struct { const char *model; uint64_t bits; } cases[] = {{"Haswell", 7}, {"SandyBridge", 7}, {"max", 0x207}};

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        teardown();
        b = bench64_new(cases[i].model);
        s = b->s;
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t v = (uint64_t)3 | (uint64_t)1 << bit;

            long_mode(b, 0);
            s->cr4 |= CR4_OSXSAVE;
            s->xcr0 = 1;
            CODE(b, 0x0f, 0x01, 0xd1);
            s->gpr[ECX] = 0;
            s->gpr[EAX] = (uint32_t)v;
            s->gpr[EDX] = v >> 32;
            steps(b, 1);
            EQ(s->xcr0, cases[i].bits & v & ~UINT64_C(3) || bit < 2 ? v : 1);
        }
    }
    for (unsigned v = 0; v < 8; v++) { /* x87 always; AVX not without SSE */
        long_mode(b, 0);
        s->xcr0 = 0x201;
        CODE(b, 0x0f, 0x01, 0xd1);
        s->gpr[ECX] = s->gpr[EDX] = 0;
        s->gpr[EAX] = v;
        steps(b, 1);
        EQ(s->xcr0, v == 1 || v == 3 || v == 7 ? v : 0x201);
    }
}
END_TEST

/* ---- last branches (SDM 3B 17.4.8, 17.9 to 17.16) ---- */

#define LBR 1u

static void begin(const char *model)
{
    with_model(model);
    ck_assert(put(0x1d9, LBR));
}

/* One jump is 5 bytes: from KCODE + 0x100 * n to the next. */
static void jumps(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        b->at = KCODE + 0x100 * i;
        CODE(b, 0xe9, 0xfb, 0x00, 0x00, 0x00);
    }
    b->at = KCODE + 0x100 * count;
}

START_TEST(each_model_has_its_stack_of_last_branches)
{
    static const struct { const char *model; uint32_t top, from, to; unsigned depth; } stacks[] = {
        {"pentium3", 0, 0x1db, 0x1dc, 1}, {"pentium4", 0x1da, 0x680, 0x6c0, 16}, {"core2duo", 0x1c9, 0x40, 0x60, 4},
        {"n270", 0x1c9, 0x40, 0x60, 8}, {"Nehalem", 0x1c9, 0x680, 0x6c0, 16}, {"Haswell", 0x1c9, 0x680, 0x6c0, 16},
        {"qemu64", 0, 0x1db, 0x1dc, 1}, {"coreduo", 0x1c9, 0x40, 0, 8},
    };
    const unsigned count = 18;

    begin(stacks[_i].model);
    jumps(count);
    CODE(b, 0x90, 0x75, 0x02, 0x90); /* nop; jnz, not taken; nop */
    s->cc.dst = FLAG_Z;
    steps(b, count + 3);
    EQ(s->rip, KCODE + 0x100 * count + 4);
    if (stacks[_i].top)
        EQ(get(stacks[_i].top), count % stacks[_i].depth);
    for (unsigned i = 0; i < stacks[_i].depth; i++) { /* the i-th from the newest */
        unsigned at = (count - i) % stacks[_i].depth, jump = count - 1 - i;
        uint64_t from = KCODE + 0x100 * jump, to = from + 0x100;

        EQ(get(stacks[_i].from + at), stacks[_i].to ? from : from | to << 32);
        if (stacks[_i].to)
            EQ(get(stacks[_i].to + at), to);
    }
}
END_TEST

START_TEST(nothing_is_recorded_while_lbr_is_clear)
{
    with_model("Haswell");
    jumps(2);
    steps(b, 2);
    EQ(get(0x1c9), 0);
    EQ(get(0x681), 0);
}
END_TEST

/* Also those that go to what comes next anyway, and none that is not taken. */
START_TEST(branches_to_the_next_instruction_are_branches)
{
    static const struct { uint8_t code[6], len; bool taken; } cases[] = {
        {{0xe8, 0, 0, 0, 0}, 5, true}, {{0xeb, 0}, 2, true}, {{0x74, 0}, 2, true}, {{0x75, 0}, 2, false}, {{0xe2, 0}, 2, true},
        {{0xe1, 0}, 2, true}, {{0xe0, 0}, 2, false}, {{0xe3, 0}, 2, false}, {{0x0f, 0x84, 0, 0, 0, 0}, 6, true}, {{0x90}, 1, false},
        {{0xf3, 0xa4}, 2, false}, {{0x0f, 0xa2}, 2, false},
    };

    begin("Haswell");
    s->cc.dst = FLAG_Z;
    s->gpr[ECX] = 3;
    s->gpr[ESI] = s->gpr[EDI] = DATA;
    for (unsigned i = 0; i < cases[_i].len; i++)
        poke8(b, KCODE + i, cases[_i].code[i]);
    while (s->rip == KCODE)
        steps(b, 1);
    EQ(s->rip, KCODE + cases[_i].len);
    EQ(get(0x1c9), cases[_i].taken);
    EQ(get(0x681), cases[_i].taken ? KCODE : 0);
    EQ(get(0x6c1), cases[_i].taken ? KCODE + cases[_i].len : 0);
}
END_TEST

START_TEST(interrupts_and_exceptions_are_branches_and_keep_the_last_one_before_them)
{
    begin("Nehalem");
    jumps(1);
    CODE(b, 0x0f, 0x0b); /* ud2 */
    poke8(b, handler(EXC_UD), 0x90);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(get(0x1c9), 2);
    EQ(get(0x682), KCODE + 0x100);
    EQ(get(0x6c2), handler(EXC_UD));
    EQ(get(0x1dd), KCODE);
    EQ(get(0x1de), KCODE + 0x100);
    s->eflags |= EFLAGS_IF;
    b->irq_vector = 0x40;
    i386_set_intr(b->c, 0, true);
    poke8(b, handler(0x40), 0xcf); /* iret */
    steps(b, 2);
    EQ(get(0x1c9), 4);
    EQ(get(0x683), handler(EXC_UD));
    EQ(get(0x6c3), handler(0x40));
    EQ(get(0x684), handler(0x40));
    EQ(get(0x6c4), handler(EXC_UD));
    EQ(get(0x1dd), KCODE + 0x100);
}
END_TEST

START_TEST(a_debug_exception_ends_the_recording_before_itself)
{
    begin("Haswell");
    jumps(1);
    s->eflags |= EFLAGS_TF;
    refresh(b);
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(get(0x1d9), 0);
    EQ(get(0x1c9), 1);
    EQ(get(0x681), KCODE);
}
END_TEST

/* TF that POPF sets and clears acts as without LBR. */
START_TEST(single_steps_are_the_same_while_branches_are_recorded)
{
    begin("Haswell");
    s->gpr[ESP] -= 4;
    poke32(b, (uint32_t)s->gpr[ESP], EFLAGS_1 | EFLAGS_TF);
    CODE(b, 0x9d, 0x90, 0x90);
    steps(b, 2);
    EQ(s->rip, KCODE + 2);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_DB);
    EQ(stack32(b, 0), KCODE + 2);
}
END_TEST

/* 17.9.2: by level and by kind of branch. */
START_TEST(lbr_select_leaves_out_what_it_says)
{
    static const struct { uint64_t select; uint8_t code[5]; bool recorded; } cases[] = {
        {0x001, {0xeb, 0x10}, false}, {0x002, {0xeb, 0x10}, true}, {0x080, {0xeb, 0x10}, false}, {0x17f & ~1, {0xeb, 0x10}, true},
        {0x004, {0x74, 0x10}, false}, {0x1fa, {0x74, 0x10}, true}, {0x008, {0xe8, 0x10}, false}, {0x1f6, {0xe8, 0x10}, true},
        {0x010, {0xff, 0xd3}, false}, {0x1ee, {0xff, 0xd3}, true}, {0x020, {0xc3}, false}, {0x1de, {0xc3}, true},
        {0x040, {0xff, 0xe3}, false}, {0x1be, {0xff, 0xe3}, true}, {0x100, {0xcd, 0x80}, false}, {0x0fe, {0xcd, 0x80}, true},
    };

    begin("SandyBridge");
    s->cc.dst = FLAG_Z;
    s->gpr[EBX] = CODE2;
    s->gpr[ESP] -= 4;
    poke32(b, (uint32_t)s->gpr[ESP], CODE2);
    poke(b, KCODE, cases[_i].code, 5);
    ck_assert(put(0x1c8, cases[_i].select));
    steps(b, 1);
    EQ(get(0x1c9), cases[_i].recorded);
}
END_TEST

/* 17.11: returns take calls away; a call of the next instruction is none. */
START_TEST(haswells_stack_of_calls)
{
    begin("Haswell");
    ck_assert(put(0x1c8, 0x3c4));
    CODE(b, 0xe8, 0x0b, 0x00, 0x00, 0x00, 0xe8, 0x00, 0x00, 0x00, 0x00, 0x90); /* call f; call next; nop */
    b->at = KCODE + 0x10;
    CODE(b, 0xe8, 0x0b, 0x00, 0x00, 0x00, 0xc3); /* f: call g; ret */
    b->at = KCODE + 0x20;
    CODE(b, 0xc3);
    steps(b, 2);
    EQ(get(0x1c9), 2);
    EQ(get(0x681), KCODE);
    EQ(get(0x682), KCODE + 0x10);
    steps(b, 1);
    EQ(get(0x1c9), 1);
    EQ(get(0x682), 0);
    steps(b, 2);
    EQ(s->rip, KCODE + 10);
    EQ(get(0x1c9), 0);
    EQ(get(0x681), 0);
}
END_TEST

/* WRMSR sets LBR within a loop that is compiled, clears it again, and what was recorded is what the interpreter records. */
START_TEST(last_branches_are_the_same_in_every_engine)
{
    struct i386_state states[2];

    for (unsigned compiled = 0; compiled < 2; compiled++) {
        with_model("Haswell");
        if (compiled)
            with_jit(&b->c->u);
        s->gpr[EDI] = 300;
        s->gpr[EBX] = CODE2;
        CODE(b, 0x89, 0xf8, 0xc1, 0xe8, 0x05, 0x83, 0xe0, 0x01); /* mov eax, edi; shr eax, 5; and eax, 1 */
        CODE(b, 0x31, 0xd2, 0xb9, 0xd9, 0x01, 0x00, 0x00, 0x0f, 0x30); /* xor edx, edx; mov ecx, 1d9h; wrmsr */
        CODE(b, 0xff, 0xd3, 0x4f, 0x75, 0xe8, 0xf4); /* call ebx; dec edi; jnz; hlt */
        b->at = CODE2;
        CODE(b, 0xb9, 0x28, 0x00, 0x00, 0x00, 0xf3, 0xac); /* mov ecx, 40; rep lodsb: a run ends within it now and then */
        CODE(b, 0xf7, 0xc7, 0x03, 0x00, 0x00, 0x00, 0x75, 0x01, 0x90, 0xc3); /* test edi, 3; jnz; nop; ret */
        s->gpr[ESI] = DATA;
        for (unsigned i = 0; i < 40; i++)
            steps(b, 150);
        states[compiled] = *s;
    }
    EQ(states[0].rip, states[1].rip);
    ck_assert(states[0].lbr_from[5] != 0);
    ck_assert_mem_eq(states[0].lbr_from, states[1].lbr_from, sizeof states[0].lbr_from);
    ck_assert_mem_eq(states[0].lbr_to, states[1].lbr_to, sizeof states[0].lbr_to);
    EQ(states[0].lbr_top, states[1].lbr_top);
    EQ(states[0].gpr[EDI], states[1].gpr[EDI]);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 MSRs");
    TCase *tc = tcase_create("MSRs");

    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, every_register_of_every_model_has_the_bits_of_the_manual, 0, (int)ARRAY_LEN(models));
    tcase_add_loop_test(tc, cr4_has_the_bits_of_the_model, 0, (int)ARRAY_LEN(models));
    tcase_add_test(tc, msrs_are_for_level_0);
    tcase_add_loop_test(tc, efer_in_long_mode, 0, 2);
    tcase_add_test(tc, misc_enable_limits_cpuid_and_takes_execute_disable_away);
    tcase_add_test(tc, machine_check_banks);
    tcase_add_test(tc, amds_fixed_ranges_say_where_dram_is);
    tcase_add_test(tc, hwcr_locks_the_registers_of_smm);
    tcase_add_test(tc, the_name_string_is_what_cpuid_tells);
    tcase_add_test(tc, smis_are_counted);
    tcase_add_test(tc, states_of_before_get_registers_as_after_a_reset);
    tcase_add_loop_test(tc, rdpmc_has_the_counters_of_the_model, 0, 14);
    tcase_add_test(tc, cr0_bit_by_bit);
    tcase_add_test(tc, cr3_cr4_and_cr8_in_long_mode);
    tcase_add_test(tc, debug_registers_bit_by_bit);
    tcase_add_test(tc, xcr0_bit_by_bit);
    tcase_add_loop_test(tc, each_model_has_its_stack_of_last_branches, 0, 8);
    tcase_add_test(tc, nothing_is_recorded_while_lbr_is_clear);
    tcase_add_loop_test(tc, branches_to_the_next_instruction_are_branches, 0, 12);
    tcase_add_test(tc, interrupts_and_exceptions_are_branches_and_keep_the_last_one_before_them);
    tcase_add_test(tc, a_debug_exception_ends_the_recording_before_itself);
    tcase_add_test(tc, single_steps_are_the_same_while_branches_are_recorded);
    tcase_add_loop_test(tc, lbr_select_leaves_out_what_it_says, 0, 16);
    tcase_add_test(tc, haswells_stack_of_calls);
    tcase_add_test(tc, last_branches_are_the_same_in_every_engine);
    suite_add_tcase(suite, tc);
    return suite;
}
