/*
 * Model-specific registers (SDM 4, chapter 2; 3A 9.5 and 11.11, 11.12; 3B 15, 17.4 to 17.17, 18; AMD APM 2, appendix A; what of
 * family 0FH's registers is reserved, as an Athlon 64 X2 was found to have it), RDMSR, WRMSR, RDPMC.
 *
 * What there is is a table: each row is a register, or some that are alike, on the generations (i386_generation()) and with
 * the feature of CPUID that have it. Adding one is a row, and where it keeps something of its own, a member of i386_state; the
 * rules of the manuals that many registers share are columns: bits that can be written, bits whose value is dropped, others being
 * reserved (#GP), addresses that are to be canonical, MAXPHYADDR. tests/i386/test_i386_msr has the same once more, written from the manuals.
 *
 * What is in no row is #GP(0): so are, on every model, registers of features that CPUID says are absent (VMX, SMX, SGX, SVM's
 * key, speculation control, PERF_CAPABILITIES, APERF and MPERF, thermal and power management, branch trace store, CMCI, SMRR, OSVW,
 * L2 and uncore registers that no manual gives bits of), the Pentium 4's counters, which IA32_MISC_ENABLE says are not available,
 * and MSR_PLATFORM_INFO of Nehalem, whose unit the time stamp counter's 1 GHz is no multiple of.
 * Performance counters are in pmu.c, last branches in lbr.c; AMD's counters without pmu=on read as 0, and writes do nothing.
 *
 * Registers that are held have no effect but where said here: caches, buses and power are not modelled. A microcode update is
 * not loaded. EFER.LMSLE is reserved.
 */
#include "i386/lower.h"
#include "i386/protect.h"
#include "i386/svm.h"

#include <string.h>

#define ALL  UINT64_MAX
#define HIGH ((uint64_t)0xffffffffu << 32)
#define LOW  ((uint64_t)0xffffffffu)

#define MTRR_CAP       0x508u /* write combining, fixed ranges, 8 variable ranges */
#define MC_BANKS       4
#define APIC_BASE_BSP  0x100u
#define APIC_BASE_EXTD 0x400u
#define APIC_BASE_EN   0x800u
#define PAT_RESET      0x0007040600070406ull

/* IA32_MISC_ENABLE: fast strings; counters are available; branch trace store and precise events are not. */
#define MISC_FAST_STRINGS 0x0001u
#define MISC_COUNTERS     0x0080u
#define MISC_NO_BTS       0x0800u
#define MISC_NO_PEBS      0x1000u

/* Columns of rows. */
enum {
    READ_ONLY = 1, WRITE_ONLY = 2,
    PHYS = 4,      /* bits from MAXPHYADDR on are reserved */
    CANONICAL = 8, /* the value is to be a canonical address, where the model has long mode */
    WORD = 16,     /* `state` is of 32 bits */
};

/* `where`: sets of generations. */
#define G(name) (1u << GENERATION_##name)
#define P6       G(P6)
#define NETBURST G(NETBURST)
#define CORE     G(CORE)
#define CORE2    G(CORE2)
#define ATOM     G(ATOM)
#define CORES    (CORE | CORE2 | ATOM) /* with a front side bus */
#define SANDY    (G(SANDYBRIDGE) | G(HASWELL))
#define NEHALEM  (G(NEHALEM) | SANDY)
#define INTEL    (P6 | NETBURST | CORES | NEHALEM)
#define K8       G(K8)
#define AMD      (K8 | G(AMD10))
#define ANY      (G(OLD) | INTEL | AMD)

/* Places in i386_state.held, of each maker's. */
enum {
    POWERON, SOFT_POWERON, MONITOR_FILTER, TEST_CTL, BBL_D, BBL_ADDR = BBL_D + 3, BBL_DECC, BBL_CTL3, ROB_DR6, HELD_INTEL,

    SYSCFG = 0, HWCR, IORR, TOP_MEM = IORR + 4, TOP_MEM2, NB_CFG, NAME, MC_MASK = NAME + 6, INT_PENDING = MC_MASK + MC_BANKS,
    SMM_ADDR, SMM_MASK, VM_CR, IGNNE, HSAVE, UNITS, MMIO_BASE = UNITS + 4, DE_CFG, HELD_AMD,
};
#define HELD(n) (S_OFF(held) + 8u * (unsigned)(n))
_Static_assert(HELD_INTEL <= 32 && HELD_AMD <= 32, "i386_state.held");

#define HWCR_SMM_LOCK     0x00001u
#define HWCR_MC_STATUS_WR 0x40000u
#define SYSCFG_FIX_DRAM_MOD 0x80000u
#define FIX_DRAM            UINT64_C(0x1818181818181818) /* RdMem and WrMem of each range */
#define VM_CR_LOCK          0x08u
#define VM_CR_SVMDIS        0x10u

struct msr {
    const char *name;
    uint32_t first;
    uint16_t count, step;  /* how many, and how far they are apart: a power of two */
    uint16_t where;
    unsigned feature;      /* of CPUID, that is to be there, too; 0: none */
    unsigned state;        /* offset of the first one's 64 bits in i386_state; 0: nothing is kept */
    uint64_t value;        /* after a reset, or, with nothing kept, always */
    uint64_t writable, dropped;
    unsigned columns;
    /* For models that differ: what is written above being for the others. */
    uint64_t (*reset)(const struct i386_model *m, unsigned i);
    uint64_t (*bits)(const struct i386_model *m);
    /* Is the value, whose reserved bits are clear, allowed? */
    bool (*allows)(const struct i386_cpu *c, uint32_t n, uint64_t value);
    /* In the place of a load and a store. False: #GP. */
    bool (*read)(struct i386_cpu *c, uint32_t n, uint64_t *value);
    bool (*write)(struct i386_cpu *c, uint32_t n, uint64_t value);
};

static bool is_lm(const struct i386_cpu *c)
{
    return i386_has(c->model, FEATURE_LM);
}

static uint64_t held(const struct i386_cpu *c, unsigned n)
{
    return c->st->held[n];
}

/* ---- time stamp, APIC ---- */

static bool read_tsc(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    (void)n;
    *value = i386_seen_tsc(c);
    return true;
}

/* IA32_TIME_STAMP_COUNTER or IA32_TSC_ADJUST was written: what that adds to the one, it adds to the other (SDM 3B 17.17.3). */
static void add_to_tsc(struct i386_cpu *c, uint64_t n)
{
    c->st->tsc_offset += n;
    if (i386_has(c->model, FEATURE_TSC_ADJUST))
        c->st->tsc_adjust += n;
    if (c->tsc_written)
        c->tsc_written(c->io_ctx);
}

/* Before family 0FH, model 3 the lower half can be written, and that clears the upper one (SDM 3B 17.17). */
static bool write_tsc(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)n;
    add_to_tsc(c, (i386_generation(c->model) <= GENERATION_P6 ? (uint32_t)value : value) - i386_tsc(c));
    return true;
}

static bool write_tsc_adjust(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)n;
    add_to_tsc(c, value - c->st->tsc_adjust);
    return true;
}

/* EN and EXTD: x2APIC mode is entered from xAPIC mode, and left by disabling the APIC (SDM 3A, "x2APIC State
 * Transitions"). */
static bool apic_mode_switches(uint64_t from, uint64_t to)
{
    if ((to & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EXTD)
        return false;
    if (from & APIC_BASE_EXTD)
        return (to & APIC_BASE_EXTD) || !(to & APIC_BASE_EN);
    return !(to & APIC_BASE_EXTD) || (from & APIC_BASE_EN);
}

static bool read_apic_base(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    (void)n;
    *value = c->st->apic_base;
    return c->model->has_apic;
}

/* BSP can only be read on AMD's. */
static bool write_apic_base(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)n;
    if (c->model->amd)
        value = (value & ~(uint64_t)APIC_BASE_BSP) | (c->st->apic_base & APIC_BASE_BSP);
    if (!c->model->has_apic || ((value & APIC_BASE_EXTD) && !i386_has(c->model, FEATURE_X2APIC)) ||
        !apic_mode_switches(c->st->apic_base, value))
        return false;
    c->st->apic_base = value;
    if (c->apic_base_written)
        c->apic_base_written(c->io_ctx, value);
    return true;
}

static bool read_apic(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    return c->apic_msr_read && c->apic_msr_read(c->io_ctx, n, value);
}

static bool write_apic(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    return c->apic_msr_write && c->apic_msr_write(c->io_ctx, n, value);
}

/* ---- memory types (SDM 3A 11.11, 11.12) ---- */

static bool is_memory_type(uint64_t type)
{
    return type <= 6 && type != 2 && type != 3;
}

/* Every byte of the value is a memory type; 7 (UC-) in the PAT only. */
static bool are_memory_types(uint64_t value, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t type = value >> (8 * i) & 0xff;

        if (!is_memory_type(type) && !(pat && type == 7))
            return false;
    }
    return true;
}

static bool pat_allows(const struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)c;
    (void)n;
    return are_memory_types(value, true);
}

/* AMD's fixed ranges say, too, whether DRAM is accessed: while SYSCFG lets them be seen (MtrrFixDramModEn). */
static uint64_t fixed_hidden(const struct i386_cpu *c)
{
    return c->model->amd && !(held(c, SYSCFG) & SYSCFG_FIX_DRAM_MOD) ? FIX_DRAM : 0;
}

static bool fixed_allows(const struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)n;
    return are_memory_types(c->model->amd ? value & ~(FIX_DRAM & ~fixed_hidden(c)) : value, false);
}

static bool type_allows(const struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)c;
    (void)n;
    return is_memory_type(value & 0xff);
}

static uint64_t *fixed_range(struct i386_cpu *c, uint32_t n)
{
    return &c->st->mtrr_fixed[n == 0x250 ? 0 : n < 0x268 ? n - 0x257 : n - 0x265];
}

static bool read_fixed(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    *value = *fixed_range(c, n) & ~fixed_hidden(c);
    return true;
}

static bool write_fixed(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    *fixed_range(c, n) = value | (*fixed_range(c, n) & fixed_hidden(c));
    return true;
}

/* ---- machine check (SDM 3B 15.3) ---- */

/* P6: all or nothing. */
static bool bank_control_allows(const struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)n;
    return !value || value == ALL || i386_generation(c->model) != GENERATION_P6;
}

/* The rest of a bank can only be cleared, on Intel's; AMD's HWCR lets a status be written. */
static bool bank_allows(const struct i386_cpu *c, uint32_t n, uint64_t value)
{
    if (c->model->amd)
        return !value || (n & 3) != 1 || (held(c, HWCR) & HWCR_MC_STATUS_WR);
    return !value;
}

/* ---- IA32_MISC_ENABLE, IA32_DEBUGCTL, counters ---- */

/* Besides it, bits of features that CPUID has not are reserved: TM1, TM2, EIST, FERR#'s multiplexing, xTPR, L1 context, turbo. */
static uint64_t misc_bits(const struct i386_model *m)
{
    uint64_t bits = MISC_FAST_STRINGS | MISC_ENABLE_LIMIT_CPUID;

    switch (i386_generation(m)) {
    case GENERATION_NETBURST: bits |= 0x80314; break; /* FOP's compatibility (fpu.c); split locks, bus locks, prefetches */
    case GENERATION_CORE2: bits |= 0xa000080200; break; /* prefetchers */
    default: break;
    }
    return bits | (i386_has(m, FEATURE_MONITOR) ? MISC_ENABLE_MONITOR : 0) | (i386_has(m, FEATURE_NX) ? MISC_ENABLE_XD_DISABLE : 0);
}

static uint64_t misc_reset(const struct i386_model *m, unsigned i)
{
    (void)i;
    return MISC_FAST_STRINGS | MISC_NO_BTS | (i386_generation(m) == GENERATION_CORE ? 0 : MISC_NO_PEBS) |
           (m->pmu ? MISC_COUNTERS : 0) | (i386_has(m, FEATURE_MONITOR) ? MISC_ENABLE_MONITOR : 0);
}

static bool write_misc_enable(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    struct i386_state *s = c->st;
    const uint64_t told = MISC_COUNTERS | MISC_NO_BTS | MISC_NO_PEBS;

    (void)n;
    s->misc_enable = (value & ~told) | (s->misc_enable & told);
    if ((value & MISC_ENABLE_XD_DISABLE) && (s->efer & EFER_NXE)) {
        s->efer &= ~(uint64_t)EFER_NXE;
        ucpu_flush_tlb(&c->u);
    }
    return true;
}

/* LBR and BTF are in all of them (SDM 3B 17.4.1 and 17.10 to 17.16; AMD APM 2, 13.1.1.6, where bits from 7 on read as 0). */
static uint64_t debugctl_bits(const struct i386_model *m)
{
    switch (i386_generation(m)) {
    case GENERATION_K8: case GENERATION_AMD10: return 0x3f;         /* pins */
    case GENERATION_P6: case GENERATION_NETBURST: return 0x7f;      /* P6: pins, TR; NetBurst: TR, BTS, BTINT, BTS_OFF_OS, BTS_OFF_USR */
    case GENERATION_CORE: return m->pmu ? 0x1c3 | 0x1800 : 0x1c3;   /* TR, BTS, BTINT; FREEZE_*_ON_PMI come with counters of version 2 */
    case GENERATION_CORE2: case GENERATION_ATOM: return 0x5fc3;     /* BTS_OFF_*, FREEZE_LBRS_ON_PMI, _PERFMON_ON_PMI, _WHILE_SMM */
    default: return 0x7fc3;                                         /* UNCORE_PMI */
    }
}

/* P6 counters are written with 32 bits, sign-extended to 40. */
static bool write_p6_counter(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    c->st->perf_ctr[n - 0xc1] = (uint64_t)(int64_t)(int32_t)value & 0xffffffffffull;
    return true;
}

/* ---- EFER, system calls, bases ---- */

uint64_t i386_efer_allowed(const struct i386_cpu *c)
{
    const struct i386_model *m = c->model;
    uint64_t allowed = 0;

    if (i386_has(m, FEATURE_NX) && !i386_misc_enabled(c, MISC_ENABLE_XD_DISABLE))
        allowed |= EFER_NXE;
    if (i386_has(m, FEATURE_SYSCALL))
        allowed |= EFER_SCE;
    if (i386_has(m, FEATURE_LM))
        allowed |= EFER_LME | EFER_LMA;
    if (i386_has(m, FEATURE_SVM) && !(held(c, VM_CR) & VM_CR_SVMDIS))
        allowed |= EFER_SVME;
    return allowed;
}

/* Without SVM it is off for good. */
static uint64_t vm_cr_reset(const struct i386_model *m, unsigned i)
{
    (void)i;
    return i386_has(m, FEATURE_SVM) ? 0 : VM_CR_LOCK | VM_CR_SVMDIS;
}

/* APM 2, 15.30.1 and 15.31: LOCK holds itself and SVMDIS. */
static bool write_vm_cr(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    const uint64_t kept = VM_CR_LOCK | VM_CR_SVMDIS;
    uint64_t old = held(c, VM_CR);

    (void)n;
    if (old & VM_CR_LOCK)
        value = (value & ~kept) | (old & kept);
    if ((value & VM_CR_SVMDIS) && (c->st->efer & EFER_SVME))
        return false;
    c->st->held[VM_CR] = value & (kept | 7);
    return true;
}

static bool has_efer(const struct i386_model *m)
{
    return i386_has(m, FEATURE_NX) || i386_has(m, FEATURE_SYSCALL) || i386_has(m, FEATURE_LM) || i386_has(m, FEATURE_SVM);
}

static bool read_efer(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    (void)n;
    *value = c->st->efer;
    return has_efer(c->model);
}

/* LMA is the processor's: what is written of it is dropped, or on AMD's models to be what it is (APM 2, 3.1.7), whose bits 1-7
 * read as 0. */
static bool write_efer(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    struct i386_state *s = c->st;

    (void)n;
    if (c->model->amd)
        value &= ~(uint64_t)0xfe;
    if (!has_efer(c->model) || (value & ~i386_efer_allowed(c)))
        return false;
    if (((value ^ s->efer) & EFER_LME) && (s->cr0 & CR0_PG))
        return false;
    if (c->model->amd && ((value ^ s->efer) & EFER_LMA))
        return false;
    value = (value & ~(uint64_t)EFER_LMA) | (s->efer & EFER_LMA);
    if ((value ^ s->efer) & EFER_NXE) {
        s->efer = value;
        ucpu_flush_tlb(&c->u);
    }
    s->efer = value;
    return true;
}

/* On AMD's, where SYSENTER is not there in long mode, they have 32 bits. */
static bool write_sysenter(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    bool wide = is_lm(c) && !c->model->amd;

    if (wide && !i386_register_canonical(c, value))
        return false;
    *(n == 0x175 ? &c->st->sysenter_esp : &c->st->sysenter_eip) = wide ? value : (uint32_t)value;
    return true;
}

static uint64_t *segment_base(struct i386_cpu *c, uint32_t n)
{
    return n == 0xc0000102u ? &c->st->kernel_gs_base : &c->st->seg[n == 0xc0000100u ? SEG_FS : SEG_GS].base;
}

static bool read_base(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    *value = *segment_base(c, n);
    return true;
}

static bool write_base(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    *segment_base(c, n) = value;
    i386_mode_changed(c);
    return true;
}

static bool has_tsc_aux(const struct i386_model *m)
{
    return i386_has(m, FEATURE_RDTSCP) || i386_has(m, FEATURE_RDPID);
}

static bool read_tsc_aux(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    (void)n;
    *value = c->st->tsc_aux;
    return has_tsc_aux(c->model);
}

/* The upper half is reserved, and AMD's processors drop it. */
static bool write_tsc_aux(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)n;
    if (!has_tsc_aux(c->model) || (!c->model->amd && value >> 32))
        return false;
    c->st->tsc_aux = (uint32_t)value;
    return true;
}

/* ---- one maker's ---- */

/* Last branches of Core Duo: both addresses in one register. */
static bool read_packed(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    *value = (uint32_t)c->st->lbr_from[n - 0x40] | c->st->lbr_to[n - 0x40] << 32;
    return true;
}

static bool write_packed(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    c->st->lbr_from[n - 0x40] = (uint32_t)value;
    c->st->lbr_to[n - 0x40] = value >> 32;
    return true;
}

static uint64_t top_bits(const struct i386_model *m)
{
    return i386_lbr_depth(m) - 1;
}

/* The processor name string, which CPUID tells. */
static uint64_t name_reset(const struct i386_model *m, unsigned i)
{
    char brand[48] = {0};
    uint64_t part;

    memcpy(brand, m->brand, strnlen(m->brand, sizeof brand));
    memcpy(&part, brand + 8 * i, 8);
    return part;
}

const uint64_t *i386_name_string(const struct i386_cpu *c)
{
    return &c->st->held[NAME];
}

static bool smm_allows(const struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)n;
    (void)value;
    return !(held(c, HWCR) & HWCR_SMM_LOCK);
}

/* SMMLOCK stays until a reset. */
static bool write_hwcr(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    (void)n;
    c->st->held[HWCR] = (value & 0xc00fffdf) | (held(c, HWCR) & HWCR_SMM_LOCK);
    return true;
}

/* ---- the table ---- */

#define ROW(number, how_many, apart, generations) \
    .first = (number), .count = (how_many), .step = (apart), .where = (generations)

static const struct msr msrs[] = {
    /* Those that systems use all the time. */
    {"IA32_FS_BASE, GS_BASE, KERNEL_GS_BASE", ROW(0xc0000100u, 3, 1, ANY), .feature = FEATURE_LM, .writable = ALL,
     .columns = CANONICAL, .read = read_base, .write = write_base},
    {"IA32_TSC_DEADLINE", ROW(0x6e0, 1, 1, ANY), .feature = FEATURE_TSC_DEADLINE, .writable = ALL, .read = read_apic,
     .write = write_apic},
    {"x2APIC", ROW(0x800, 0x100, 1, ANY), .feature = FEATURE_X2APIC, .writable = ALL, .read = read_apic, .write = write_apic},

    {"IA32_P5_MC_ADDR, TYPE", ROW(0x0, 2, 1, ANY), .feature = FEATURE_MCE, .dropped = ALL},
    {"IA32_MONITOR_FILTER_SIZE", ROW(0x6, 1, 1, INTEL), .feature = FEATURE_MONITOR, .state = HELD(MONITOR_FILTER), .value = 64,
     .writable = 0xffff},
    {"IA32_TIME_STAMP_COUNTER", ROW(0x10, 1, 1, ANY), .feature = FEATURE_TSC, .writable = ALL, .read = read_tsc,
     .write = write_tsc},
    {"IA32_PLATFORM_ID", ROW(0x17, 1, 1, INTEL), .columns = READ_ONLY},
    {"IA32_APIC_BASE", ROW(0x1b, 1, 1, ANY), .writable = ~(uint64_t)0x2ff, .columns = PHYS, .read = read_apic_base,
     .write = write_apic_base},
    {"EBL_CR_POWERON", ROW(0x2a, 1, 1, P6), .state = HELD(POWERON), .writable = 0x040000de, .dropped = 0x0bfff700},
    {"MSR_EBC_HARD_POWERON", ROW(0x2a, 1, 1, NETBURST), .dropped = ALL},
    {"MSR_EBL_CR_POWERON", ROW(0x2a, 1, 1, CORES), .state = HELD(POWERON), .value = 10u << 22, .writable = 0x9e,
     .dropped = 0x07f75700}, /* 10 times 100 MHz */
    {"MSR_EBL_CR_POWERON", ROW(0x2a, 1, 1, NEHALEM | AMD), .columns = READ_ONLY},
    {"MSR_EBC_SOFT_POWERON", ROW(0x2b, 1, 1, NETBURST), .state = HELD(SOFT_POWERON), .writable = 0x7f},
    {"MSR_EBC_FREQUENCY_ID", ROW(0x2c, 1, 1, NETBURST), .value = 10u << 24, .columns = READ_ONLY}, /* 10 times 100 MHz */
    {"TEST_CTL", ROW(0x33, 1, 1, P6), .state = HELD(TEST_CTL), .writable = 0xc0000000},
    {"MSR_SMI_COUNT", ROW(0x34, 1, 1, NEHALEM), .state = S_OFF(smi_count), .columns = READ_ONLY},
    {"IA32_TSC_ADJUST", ROW(0x3b, 1, 1, ANY), .feature = FEATURE_TSC_ADJUST, .state = S_OFF(tsc_adjust), .writable = ALL,
     .write = write_tsc_adjust},
    {"MSR_LASTBRANCH_n", ROW(0x40, 8, 1, CORE), .writable = ALL, .read = read_packed, .write = write_packed},
    {"MSR_LASTBRANCH_n_FROM_IP", ROW(0x40, 4, 1, CORE2), .state = S_OFF(lbr_from), .writable = ALL},
    {"MSR_LASTBRANCH_n_FROM_IP", ROW(0x40, 8, 1, ATOM), .state = S_OFF(lbr_from), .writable = ALL},
    {"MSR_LASTBRANCH_n_TO_IP", ROW(0x60, 4, 1, CORE2), .state = S_OFF(lbr_to), .writable = ALL},
    {"MSR_LASTBRANCH_n_TO_IP", ROW(0x60, 8, 1, ATOM), .state = S_OFF(lbr_to), .writable = ALL},
    {"IA32_BIOS_UPDT_TRIG", ROW(0x79, 1, 1, INTEL), .dropped = ALL, .columns = WRITE_ONLY},
    {"BBL_CR_Dn", ROW(0x88, 3, 1, P6), .state = HELD(BBL_D), .writable = ALL},
    {"BIOS_SIGN, BBL_CR_D3", ROW(0x8b, 1, 1, P6), .state = S_OFF(ucode_rev), .writable = ALL},
    {"IA32_BIOS_SIGN_ID", ROW(0x8b, 1, 1, INTEL & ~P6), .state = S_OFF(ucode_rev), .writable = HIGH},
    {"PATCH_LEVEL", ROW(0x8b, 1, 1, AMD), .columns = READ_ONLY},
    {"PERFCTRn", ROW(0xc1, 2, 1, P6), .state = S_OFF(perf_ctr), .writable = ALL, .write = write_p6_counter},
    {"MSR_FSB_FREQ", ROW(0xcd, 1, 1, CORES), .value = 5, .columns = READ_ONLY},                          /* 100 MHz */
    {"MSR_PLATFORM_INFO", ROW(0xce, 1, 1, SANDY), .value = UINT64_C(0x0a0000000a00), .columns = READ_ONLY}, /* 10 times 100 MHz, at least and at most */
    {"IA32_MTRRCAP", ROW(0xfe, 1, 1, ANY), .feature = FEATURE_MTRR, .value = MTRR_CAP, .columns = READ_ONLY},
    {"BBL_CR_ADDR", ROW(0x116, 1, 1, P6), .state = HELD(BBL_ADDR), .writable = 0xfffffff8},
    {"BBL_CR_DECC", ROW(0x118, 1, 1, P6), .state = HELD(BBL_DECC), .writable = 0xff},
    {"BBL_CR_CTL", ROW(0x119, 1, 1, P6), .state = S_OFF(bbl_ctl), .writable = 0x3aff7f},
    {"BBL_CR_TRIG", ROW(0x11a, 1, 1, P6), .columns = WRITE_ONLY},
    {"BBL_CR_BUSY", ROW(0x11b, 1, 1, P6), .columns = READ_ONLY},
    {"BBL_CR_CTL3", ROW(0x11e, 1, 1, P6), .state = HELD(BBL_CTL3), .writable = 0x7e1ff, .dropped = 0x2f01e00},
    {"MSR_BBL_CR_CTL3", ROW(0x11e, 1, 1, CORES), .state = HELD(BBL_CTL3), .value = 1, .writable = 0x100, .dropped = 0x800001}, /* the L2 is enabled */
    {"IA32_SYSENTER_CS", ROW(0x174, 1, 1, ANY), .feature = FEATURE_SEP, .state = S_OFF(sysenter_cs), .writable = LOW,
     .dropped = HIGH, .columns = WORD}, /* bits 16-31 are not used */
    {"IA32_SYSENTER_ESP", ROW(0x175, 1, 1, ANY), .feature = FEATURE_SEP, .state = S_OFF(sysenter_esp), .writable = ALL,
     .write = write_sysenter},
    {"IA32_SYSENTER_EIP", ROW(0x176, 1, 1, ANY), .feature = FEATURE_SEP, .state = S_OFF(sysenter_eip), .writable = ALL,
     .write = write_sysenter},
    {"IA32_MCG_CAP", ROW(0x179, 1, 1, ANY), .feature = FEATURE_MCA, .value = MC_BANKS, .columns = READ_ONLY},
    {"IA32_MCG_STATUS", ROW(0x17a, 1, 1, ANY), .feature = FEATURE_MCA, .state = S_OFF(mcg_status), .writable = 7},
    {"PERFEVTSELn", ROW(0x186, 2, 1, P6), .state = S_OFF(perf_ctl), .writable = 0xffdfffff},
    {"IA32_MISC_ENABLE", ROW(0x1a0, 1, 1, INTEL & ~P6), .state = S_OFF(misc_enable),
     .dropped = MISC_COUNTERS | MISC_NO_BTS | MISC_NO_PEBS, .reset = misc_reset, .bits = misc_bits, .write = write_misc_enable},
    {"MSR_PLATFORM_BRV", ROW(0x1a1, 1, 1, NETBURST), .columns = READ_ONLY},
    {"MSR_LBR_SELECT", ROW(0x1c8, 1, 1, NEHALEM & ~G(HASWELL)), .state = S_OFF(lbr_select), .writable = 0x1ff},
    {"MSR_LBR_SELECT", ROW(0x1c8, 1, 1, G(HASWELL)), .state = S_OFF(lbr_select), .writable = 0x3ff},
    {"MSR_LASTBRANCH_TOS", ROW(0x1c9, 1, 1, CORES | NEHALEM), .state = S_OFF(lbr_top), .bits = top_bits},
    {"MSR_LER_FROM_LIP", ROW(0x1d7, 1, 1, NETBURST), .state = S_OFF(ler_from), .columns = READ_ONLY},
    {"MSR_LER_TO_LIP", ROW(0x1d8, 1, 1, NETBURST), .state = S_OFF(ler_to), .columns = READ_ONLY},
    {"IA32_DEBUGCTL", ROW(0x1d9, 1, 1, INTEL), .state = S_OFF(debugctl), .bits = debugctl_bits},
    {"DebugCtl", ROW(0x1d9, 1, 1, AMD), .state = S_OFF(debugctl), .dropped = ~(uint64_t)0x7f, .bits = debugctl_bits},
    {"MSR_LASTBRANCH_TOS", ROW(0x1da, 1, 1, NETBURST), .state = S_OFF(lbr_top), .columns = READ_ONLY},
    {"LASTBRANCHFROMIP", ROW(0x1db, 1, 1, P6 | AMD), .state = S_OFF(lbr_from), .columns = READ_ONLY},
    {"LASTBRANCHTOIP", ROW(0x1dc, 1, 1, P6 | AMD), .state = S_OFF(lbr_to), .columns = READ_ONLY},
    {"LASTINTFROMIP, MSR_LER_FROM_LIP", ROW(0x1dd, 1, 1, P6 | CORES | NEHALEM | AMD), .state = S_OFF(ler_from),
     .columns = READ_ONLY},
    {"LASTINTTOIP, MSR_LER_TO_LIP", ROW(0x1de, 1, 1, P6 | CORES | NEHALEM | AMD), .state = S_OFF(ler_to), .columns = READ_ONLY},
    {"ROB_CR_BKUPTMPDR6", ROW(0x1e0, 1, 1, P6), .state = HELD(ROB_DR6), .value = 4, .writable = 4}, /* fast strings */
    {"IA32_MTRR_PHYSBASEn", ROW(0x200, 8, 2, ANY), .feature = FEATURE_MTRR, .state = S_OFF(mtrr_base),
     .writable = ~(uint64_t)0xf00, .columns = PHYS, .allows = type_allows},
    {"IA32_MTRR_PHYSMASKn", ROW(0x201, 8, 2, ANY), .feature = FEATURE_MTRR, .state = S_OFF(mtrr_mask),
     .writable = ~(uint64_t)0x7ff, .columns = PHYS},
    {"IA32_MTRR_FIX64K", ROW(0x250, 1, 1, ANY), .feature = FEATURE_MTRR, .writable = ALL, .allows = fixed_allows,
     .read = read_fixed, .write = write_fixed},
    {"IA32_MTRR_FIX16K", ROW(0x258, 2, 1, ANY), .feature = FEATURE_MTRR, .writable = ALL, .allows = fixed_allows,
     .read = read_fixed, .write = write_fixed},
    {"IA32_MTRR_FIX4K", ROW(0x268, 8, 1, ANY), .feature = FEATURE_MTRR, .writable = ALL, .allows = fixed_allows,
     .read = read_fixed, .write = write_fixed},
    {"IA32_PAT", ROW(0x277, 1, 1, ANY), .feature = FEATURE_PAT, .state = S_OFF(pat), .value = PAT_RESET, .writable = ALL,
     .allows = pat_allows},
    {"IA32_MTRR_DEF_TYPE", ROW(0x2ff, 1, 1, ANY), .feature = FEATURE_MTRR, .state = S_OFF(mtrr_def_type), .writable = 0xcff,
     .allows = type_allows},
    {"IA32_MCi_CTL", ROW(0x400, MC_BANKS, 4, ANY), .feature = FEATURE_MCA, .state = S_OFF(mc_ctl), .writable = ALL,
     .allows = bank_control_allows},
    {"IA32_MCi_STATUS", ROW(0x401, MC_BANKS, 4, ANY), .feature = FEATURE_MCA, .state = S_OFF(mc_status), .writable = ALL,
     .allows = bank_allows},
    {"IA32_MCi_ADDR", ROW(0x402, MC_BANKS, 4, ANY), .feature = FEATURE_MCA, .state = S_OFF(mc_addr), .writable = ALL,
     .allows = bank_allows},
    {"IA32_MCi_MISC", ROW(0x403, MC_BANKS, 4, ANY & ~(P6 | ATOM)), .feature = FEATURE_MCA, .state = S_OFF(mc_misc),
     .writable = ALL, .allows = bank_allows},
    {"MSR_LASTBRANCH_n_FROM_IP", ROW(0x680, 16, 1, NETBURST | NEHALEM), .state = S_OFF(lbr_from), .writable = ALL},
    {"MSR_LASTBRANCH_n_TO_IP", ROW(0x6c0, 16, 1, NETBURST | NEHALEM), .state = S_OFF(lbr_to), .writable = ALL},
    {"IA32_XSS", ROW(0xda0, 1, 1, ANY), .feature = FEATURE_XSAVES}, /* there are no supervisor components */

    {"IA32_EFER", ROW(0xc0000080u, 1, 1, ANY), .writable = ALL, .read = read_efer, .write = write_efer},
    {"IA32_STAR", ROW(0xc0000081u, 1, 1, ANY), .feature = FEATURE_LM, .state = S_OFF(star), .writable = ALL},
    {"STAR", ROW(0xc0000081u, 1, 1, ANY), .feature = FEATURE_SYSCALL, .state = S_OFF(star), .writable = ALL}, /* of SYSCALL in legacy mode */
    {"IA32_LSTAR", ROW(0xc0000082u, 1, 1, ANY), .feature = FEATURE_LM, .state = S_OFF(lstar), .writable = ALL,
     .columns = CANONICAL},
    {"IA32_CSTAR", ROW(0xc0000083u, 1, 1, ANY), .feature = FEATURE_LM, .state = S_OFF(cstar), .writable = ALL,
     .columns = CANONICAL},
    {"IA32_FMASK", ROW(0xc0000084u, 1, 1, ANY), .feature = FEATURE_LM, .state = S_OFF(sfmask), .writable = LOW,
     .dropped = HIGH},
    {"IA32_TSC_AUX", ROW(0xc0000103u, 1, 1, ANY), .writable = ALL, .read = read_tsc_aux, .write = write_tsc_aux},

    {"PERF_CTLn, PERF_CTRn", ROW(0xc0010000u, 8, 1, AMD), .dropped = ALL},
    {"SYSCFG", ROW(0xc0010010u, 1, 1, AMD), .state = HELD(SYSCFG), .writable = 0x7f07ff, .dropped = ~(uint64_t)0x7f07ff},
    {"HWCR", ROW(0xc0010015u, 1, 1, AMD), .state = HELD(HWCR), .writable = ALL, .write = write_hwcr},
    {"IORR_BASEn", ROW(0xc0010016u, 2, 2, AMD), .state = HELD(IORR), .writable = ~(uint64_t)0xfe7, .columns = PHYS},
    {"IORR_MASKn", ROW(0xc0010017u, 2, 2, AMD), .state = HELD(IORR + 2), .writable = ~(uint64_t)0x7ff, .columns = PHYS},
    {"TOP_MEM", ROW(0xc001001au, 1, 1, AMD), .state = HELD(TOP_MEM), .writable = ~(uint64_t)0x7fffff, .columns = PHYS},
    {"TOP_MEM2", ROW(0xc001001du, 1, 1, AMD), .state = HELD(TOP_MEM2), .writable = ~(uint64_t)0x7fffff, .columns = PHYS},
    {"MANID", ROW(0xc001001eu, 1, 1, K8), .columns = READ_ONLY},
    {"NB_CFG", ROW(0xc001001fu, 1, 1, AMD), .state = HELD(NB_CFG), .writable = ~UINT64_C(0x3fbf000000000000),
     .dropped = UINT64_C(0x3fbf000000000000)},
    {"PATCH_LOADER", ROW(0xc0010020u, 1, 1, AMD), .dropped = ALL, .columns = WRITE_ONLY},
    {"PROCESSOR_NAME_STRING", ROW(0xc0010030u, 6, 1, AMD), .state = HELD(NAME), .writable = ALL, .reset = name_reset},
    {"MCi_CTL_MASK", ROW(0xc0010044u, MC_BANKS, 1, AMD), .feature = FEATURE_MCA, .state = HELD(MC_MASK), .writable = ALL},
    {"INT_PENDING_MSG", ROW(0xc0010055u, 1, 1, AMD), .state = HELD(INT_PENDING), .writable = 0x1fffffff, .dropped = HIGH},
    {"MMIO_CONFIGURATION_BASE", ROW(0xc0010058u, 1, 1, G(AMD10)), .state = HELD(MMIO_BASE), .writable = ~(uint64_t)0xfffc2,
     .columns = PHYS},
    {"BIST", ROW(0xc0010060u, 1, 1, K8), .columns = READ_ONLY},
    {"SMM_BASE", ROW(0xc0010111u, 1, 1, AMD), .state = S_OFF(smbase), .value = SMBASE_RESET, .writable = LOW, .dropped = HIGH,
     .columns = WORD, .allows = smm_allows},
    {"SMM_ADDR", ROW(0xc0010112u, 1, 1, AMD), .state = HELD(SMM_ADDR), .writable = UINT64_C(0xfffffe0000),
     .dropped = ~UINT64_C(0xfffffe0000), .allows = smm_allows},
    {"SMM_MASK", ROW(0xc0010113u, 1, 1, AMD), .state = HELD(SMM_MASK), .writable = UINT64_C(0xfffffe773f),
     .dropped = ~UINT64_C(0xfffffe773f), .allows = smm_allows},
    {"VM_CR", ROW(0xc0010114u, 1, 1, AMD), .state = HELD(VM_CR), .writable = 7,
     .dropped = HIGH | VM_CR_LOCK | VM_CR_SVMDIS, .reset = vm_cr_reset, .write = write_vm_cr},
    {"IGNNE", ROW(0xc0010115u, 1, 1, AMD), .state = HELD(IGNNE), .writable = 1, .dropped = HIGH},
    {"VM_HSAVE_PA", ROW(0xc0010117u, 1, 1, AMD), .state = HELD(HSAVE), .writable = ~(uint64_t)0xfff, .columns = PHYS},
    {"LS_CFG, IC_CFG, DC_CFG", ROW(0xc0011020u, 3, 1, AMD), .state = HELD(UNITS), .writable = LOW, .dropped = HIGH},
    {"BU_CFG", ROW(0xc0011023u, 1, 1, AMD), .state = HELD(UNITS + 3), .writable = ALL},
    {"DE_CFG", ROW(0xc0011029u, 1, 1, G(AMD10)), .state = HELD(DE_CFG), .writable = ALL},
};

/* The register of the model with that number, and which of its row it is. NULL: there is none. */
static const struct msr *find(const struct i386_model *m, uint32_t n, unsigned *which)
{
    unsigned generation = 1u << i386_generation(m);

    for (unsigned i = 0; i < ARRAY_LEN(msrs); i++) {
        const struct msr *r = &msrs[i];
        uint32_t at = n - r->first;

        if (at >= (uint32_t)r->count * r->step || (at & (r->step - 1u)) || !(r->where & generation) ||
            (r->feature && !i386_has(m, r->feature)))
            continue;
        *which = at / r->step;
        return r;
    }
    return NULL;
}

static uint64_t kept(const struct i386_cpu *c, const struct msr *r, unsigned which)
{
    const void *at = (const unsigned char *)c->st + r->state;

    return r->columns & WORD ? ((const uint32_t *)at)[which] : ((const uint64_t *)at)[which];
}

static void keep(struct i386_cpu *c, const struct msr *r, unsigned which, uint64_t value)
{
    void *at = (unsigned char *)c->st + r->state;

    if (r->columns & WORD)
        ((uint32_t *)at)[which] = (uint32_t)value;
    else
        ((uint64_t *)at)[which] = value;
}

void i386_reset_msrs(struct i386_cpu *c, size_t from)
{
    struct i386_state *s = c->st;
    unsigned generation = 1u << i386_generation(c->model);

    for (unsigned i = 0; i < ARRAY_LEN(msrs); i++) {
        const struct msr *r = &msrs[i];

        for (unsigned k = 0; r->state && r->state >= from && (r->where & generation) && k < r->count; k++)
            keep(c, r, k, r->reset ? r->reset(c->model, k) : r->value);
    }
    if (from)
        return;
    s->tsc_offset = 0 - machine_now(c->u.cpu.machine);
    s->apic_base = c->model->has_apic ? 0xfee00000u | (c->u.cpu.index ? 0 : APIC_BASE_BSP) | APIC_BASE_EN : 0;
    s->efer = 0;
    s->xcr0 = XCR0_X87;
    s->kernel_gs_base = s->tsc_aux = 0;
    s->pkru = 0;
    i386_pmu_reset(c);
}

bool i386_read_msr(struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    const struct msr *r;
    unsigned which;

    if (i386_pmu_has_msr(c->model, n)) {
        *value = i386_pmu_read(c, n);
        return true;
    }
    r = find(c->model, n, &which);
    if (!r || (r->columns & WRITE_ONLY))
        return false;
    if (r->read)
        return r->read(c, n, value);
    *value = r->state ? kept(c, r, which) : r->value;
    return true;
}

static uint64_t reserved(const struct i386_cpu *c, const struct msr *r)
{
    uint64_t bits = ~(r->writable | r->dropped | (r->bits ? r->bits(c->model) : 0));

    return r->columns & PHYS ? bits | ALL << i386_phys_bits(c->model) : bits;
}

bool i386_write_msr(struct i386_cpu *c, uint32_t n, uint64_t value)
{
    const struct msr *r;
    unsigned which;

    if (i386_pmu_has_msr(c->model, n))
        return i386_pmu_write(c, n, value);
    r = find(c->model, n, &which);
    if (!r || (r->columns & READ_ONLY) || (value & reserved(c, r)) ||
        ((r->columns & CANONICAL) && is_lm(c) && !i386_register_canonical(c, value)) || (r->allows && !r->allows(c, n, value)))
        return false;
    if (r->write)
        return r->write(c, n, value);
    if (r->state)
        keep(c, r, which, (value & ~r->dropped) | (kept(c, r, which) & r->dropped));
    return true;
}

static int gp0(struct i386_cpu *c)
{
    return i386_raise_error(c, EXC_GP, 0);
}

int i386_op_rdmsr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint64_t value;

    (void)op;
    if (s->cpl)
        return gp0(c);
    if (i386_svm_guest(s) && !i386_svm_msr(c, (uint32_t)s->gpr[ECX], false))
        return UOP_FAULT;
    if (!i386_read_msr(c, (uint32_t)s->gpr[ECX], &value))
        return gp0(c);
    s->gpr[EAX] = (uint32_t)value;
    s->gpr[EDX] = (uint32_t)(value >> 32);
    return UOP_NEXT;
}

int i386_op_wrmsr(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    const struct i386_state *s = c->st;
    uint64_t value = s->gpr[EDX] << 32 | (uint32_t)s->gpr[EAX];

    (void)op;
    if (s->cpl)
        return gp0(c);
    if (i386_svm_guest(s) && !i386_svm_msr(c, (uint32_t)s->gpr[ECX], true))
        return UOP_FAULT;
    if (!i386_write_msr(c, (uint32_t)s->gpr[ECX], value))
        return gp0(c);
    return UOP_NEXT;
}

/* Counters that CPUID does not tell of are not there, but for those which processors had before it did, and AMD's four. */
static bool read_counter(const struct i386_cpu *c, uint32_t n, uint64_t *value)
{
    if (c->model->pmu)
        return i386_pmu_rdpmc(c, n, value);
    *value = 0;
    switch (i386_generation(c->model)) {
    case GENERATION_P6:
        if (n < 2)
            *value = c->st->perf_ctr[n];
        return n < 2;
    case GENERATION_NETBURST: return (n & 0x7fffffffu) < 18;
    case GENERATION_K8: case GENERATION_AMD10: return n < 4;
    default: return false;
    }
}

int i386_op_rdpmc(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st;
    uint64_t value;

    (void)op;
    if ((s->cpl && !(s->cr4 & CR4_PCE)) || !read_counter(c, (uint32_t)s->gpr[ECX], &value))
        return gp0(c);
    s->gpr[EAX] = (uint32_t)value;
    s->gpr[EDX] = (uint32_t)(value >> 32);
    return UOP_NEXT;
}
