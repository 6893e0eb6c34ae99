/*
 * The registers as gdb sees them (gdb manual, "i386 Features"), and pictures
 * of them for the monitor.
 *
 * The standard features (core, SSE; with 64 bits segments, with AVX that), and one of our own with the
 * system registers. There are two layouts: of gdb's i386, and for models with long mode
 * of its i386:x86-64. A model has one of them whatever mode the CPU is in. The core's eip or rip is
 * the offset within CS, as on every i386 target.
 *
 * Writes take effect as if the CPU had loaded the value, minus privilege
 * checks; a value that the CPU could not hold is refused. Where a load drops reserved bits, the timeline
 * refuses them to a debugger (reg_desc.exact), and a recording that has them replays as it did. Loading a selector
 * in protected mode reads its descriptor without side effects. EFLAGS.VM, CPL,
 * LDTR and TR cannot be changed.
 *
 * Adding a register: a number, a line in i386_regs or i386_regs_64 (there with its number), and a case
 * in system_read() and system_write().
 */
#include "i386/fpu.h"
#include "i386/protect.h"
#include "i386/svm.h"

#include <string.h>

#define CORE   "org.gnu.gdb.i386.core"
#define SSE    "org.gnu.gdb.i386.sse"
#define SYSTEM "org.hindcast.i386.system"
#define SEGMENTS "org.gnu.gdb.i386.segments"
#define AVX    "org.gnu.gdb.i386.avx"

/* Numbers of registers, in the order of the table. */
enum {
    R_GPR = 0, R_EIP = I386_REG_EIP, R_EFLAGS = I386_REG_EFLAGS, R_SEG = 10, R_ST = 16, R_FPU = 24, R_XMM = 32, R_MXCSR = 40,
    R_CR0 = 41, R_CR2, R_CR3, R_CR4, R_EFER, R_GDTR_BASE, R_GDTR_LIMIT, R_IDTR_BASE, R_IDTR_LIMIT,
    R_LDTR, R_LDTR_BASE, R_LDTR_LIMIT, R_TR, R_TR_BASE, R_TR_LIMIT,
    R_SEG_BASE, R_SEG_LIMIT = R_SEG_BASE + 6, R_DR0 = R_SEG_LIMIT + 6, R_DR6 = R_DR0 + 4, R_DR7, R_CPL, R_A20,
    R_COUNT,
    /* Only in the 64-bit layout. */
    R_R8 = R_COUNT, R_XMM8 = R_R8 + 8, R_YMMH = R_XMM8 + 8, R_CR8 = R_YMMH + 16, R_KERNEL_GS_BASE, R_STAR, R_LSTAR, R_CSTAR,
    R_SFMASK, R_ALL,
};
_Static_assert(R_COUNT == I386_NREGS, "the table and its numbers agree");

#define INT32(n, f)  {.name = n, .bits = 32, .type = "int32", .group = "general", .feature = f}
#define FPU32(n)     {.name = n, .bits = 32, .type = "int", .group = "float", .feature = CORE}
#define ST80(n)      {.name = n, .bits = 80, .type = "i387_ext", .group = "float", .feature = CORE}
#define XMM128(n)    {.name = n, .bits = 128, .type = "vec128", .group = "vector", .feature = SSE}
#define SYS(n, t)    {.name = n, .bits = 32, .type = t, .group = "system", .feature = SYSTEM, .no_save = true, .exact = true}

const struct reg_desc i386_regs[I386_NREGS] = {
    INT32("eax", CORE), INT32("ecx", CORE), INT32("edx", CORE), INT32("ebx", CORE),
    {.name = "esp", .bits = 32, .type = "data_ptr", .group = "general", .feature = CORE},
    {.name = "ebp", .bits = 32, .type = "data_ptr", .group = "general", .feature = CORE},
    INT32("esi", CORE), INT32("edi", CORE),
    {.name = "eip", .bits = 32, .type = "code_ptr", .group = "general", .feature = CORE},
    {.name = "eflags", .bits = 32, .type = "i386_eflags", .group = "general", .feature = CORE, .exact = true},
    INT32("cs", CORE), INT32("ss", CORE), INT32("ds", CORE), INT32("es", CORE), INT32("fs", CORE), INT32("gs", CORE),
    ST80("st0"), ST80("st1"), ST80("st2"), ST80("st3"), ST80("st4"), ST80("st5"), ST80("st6"), ST80("st7"),
    FPU32("fctrl"), FPU32("fstat"), FPU32("ftag"), FPU32("fiseg"), FPU32("fioff"), FPU32("foseg"), FPU32("fooff"),
    FPU32("fop"),
    XMM128("xmm0"), XMM128("xmm1"), XMM128("xmm2"), XMM128("xmm3"),
    XMM128("xmm4"), XMM128("xmm5"), XMM128("xmm6"), XMM128("xmm7"),
    {.name = "mxcsr", .bits = 32, .type = "i386_mxcsr", .group = "vector", .feature = SSE},
    SYS("cr0", "i386_cr0"), SYS("cr2", "data_ptr"), SYS("cr3", "int32"), SYS("cr4", "i386_cr4"),
    {.name = "efer", .bits = 64, .type = "i386_efer", .group = "system", .feature = SYSTEM, .no_save = true, .exact = true},
    SYS("gdtr_base", "data_ptr"), SYS("gdtr_limit", "int32"), SYS("idtr_base", "data_ptr"), SYS("idtr_limit", "int32"),
    SYS("ldtr", "int32"), SYS("ldtr_base", "data_ptr"), SYS("ldtr_limit", "int32"),
    SYS("tr", "int32"), SYS("tr_base", "data_ptr"), SYS("tr_limit", "int32"),
    SYS("cs_base", "int32"), SYS("ss_base", "int32"), SYS("ds_base", "int32"),
    SYS("es_base", "int32"), SYS("fs_base", "int32"), SYS("gs_base", "int32"),
    SYS("cs_limit", "int32"), SYS("ss_limit", "int32"), SYS("ds_limit", "int32"),
    SYS("es_limit", "int32"), SYS("fs_limit", "int32"), SYS("gs_limit", "int32"),
    SYS("dr0", "data_ptr"), SYS("dr1", "data_ptr"), SYS("dr2", "data_ptr"), SYS("dr3", "data_ptr"),
    SYS("dr6", "i386_dr6"), SYS("dr7", "int32"), SYS("cpl", "int32"), SYS("a20", "int32"),
};

#define INT64(n)     {.name = n, .bits = 64, .type = "int64", .group = "general", .feature = CORE}
#define SEG64(n)     {.name = n, .bits = 32, .type = "int32", .group = "general", .feature = CORE}
#define SYS64(n, t)  {.name = n, .bits = 64, .type = t, .group = "system", .feature = SYSTEM, .no_save = true, .exact = true}
#define BASE64(n)    {.name = n, .bits = 64, .type = "int", .group = "system", .feature = SEGMENTS}
#define YMMH(n)      {.name = n, .bits = 128, .type = "uint128", .group = "vector", .feature = AVX}

/* Each with its number (above) and the one that DWARF has for it, plus 1. */
static const struct reg_64 {
    struct reg_desc desc;
    uint8_t number, dwarf;
} regs_64[] = {
    {INT64("rax"), R_GPR + EAX, 1}, {INT64("rbx"), R_GPR + EBX, 4}, {INT64("rcx"), R_GPR + ECX, 3}, {INT64("rdx"), R_GPR + EDX, 2},
    {INT64("rsi"), R_GPR + ESI, 5}, {INT64("rdi"), R_GPR + EDI, 6},
    {{.name = "rbp", .bits = 64, .type = "data_ptr", .group = "general", .feature = CORE}, R_GPR + EBP, 7},
    {{.name = "rsp", .bits = 64, .type = "data_ptr", .group = "general", .feature = CORE}, R_GPR + ESP, 8},
    {INT64("r8"), R_R8, 9}, {INT64("r9"), R_R8 + 1, 10}, {INT64("r10"), R_R8 + 2, 11}, {INT64("r11"), R_R8 + 3, 12},
    {INT64("r12"), R_R8 + 4, 13}, {INT64("r13"), R_R8 + 5, 14}, {INT64("r14"), R_R8 + 6, 15}, {INT64("r15"), R_R8 + 7, 16},
    {{.name = "rip", .bits = 64, .type = "code_ptr", .group = "general", .feature = CORE}, R_EIP, 17},
    {{.name = "eflags", .bits = 32, .type = "i386_eflags", .group = "general", .feature = CORE, .exact = true}, R_EFLAGS, 0},
    {SEG64("cs"), R_SEG, 0}, {SEG64("ss"), R_SEG + 1, 0}, {SEG64("ds"), R_SEG + 2, 0}, {SEG64("es"), R_SEG + 3, 0},
    {SEG64("fs"), R_SEG + 4, 0}, {SEG64("gs"), R_SEG + 5, 0},
    {ST80("st0"), R_ST, 0}, {ST80("st1"), R_ST + 1, 0}, {ST80("st2"), R_ST + 2, 0}, {ST80("st3"), R_ST + 3, 0},
    {ST80("st4"), R_ST + 4, 0}, {ST80("st5"), R_ST + 5, 0}, {ST80("st6"), R_ST + 6, 0}, {ST80("st7"), R_ST + 7, 0},
    {FPU32("fctrl"), R_FPU, 0}, {FPU32("fstat"), R_FPU + 1, 0}, {FPU32("ftag"), R_FPU + 2, 0}, {FPU32("fiseg"), R_FPU + 3, 0},
    {FPU32("fioff"), R_FPU + 4, 0}, {FPU32("foseg"), R_FPU + 5, 0}, {FPU32("fooff"), R_FPU + 6, 0}, {FPU32("fop"), R_FPU + 7, 0},
    {XMM128("xmm0"), R_XMM, 0}, {XMM128("xmm1"), R_XMM + 1, 0}, {XMM128("xmm2"), R_XMM + 2, 0}, {XMM128("xmm3"), R_XMM + 3, 0},
    {XMM128("xmm4"), R_XMM + 4, 0}, {XMM128("xmm5"), R_XMM + 5, 0}, {XMM128("xmm6"), R_XMM + 6, 0}, {XMM128("xmm7"), R_XMM + 7, 0},
    {XMM128("xmm8"), R_XMM8, 0}, {XMM128("xmm9"), R_XMM8 + 1, 0}, {XMM128("xmm10"), R_XMM8 + 2, 0},
    {XMM128("xmm11"), R_XMM8 + 3, 0}, {XMM128("xmm12"), R_XMM8 + 4, 0}, {XMM128("xmm13"), R_XMM8 + 5, 0},
    {XMM128("xmm14"), R_XMM8 + 6, 0}, {XMM128("xmm15"), R_XMM8 + 7, 0},
    {{.name = "mxcsr", .bits = 32, .type = "i386_mxcsr", .group = "vector", .feature = SSE}, R_MXCSR, 0},
    {BASE64("fs_base"), R_SEG_BASE + 4, 0}, {BASE64("gs_base"), R_SEG_BASE + 5, 0},
    {SYS64("cr0", "i386_cr0"), R_CR0, 0}, {SYS64("cr2", "data_ptr"), R_CR2, 0}, {SYS64("cr3", "int64"), R_CR3, 0},
    {SYS64("cr4", "i386_cr4"), R_CR4, 0}, {SYS64("cr8", "int64"), R_CR8, 0}, {SYS64("efer", "i386_efer"), R_EFER, 0},
    {SYS64("k_gs_base", "int64"), R_KERNEL_GS_BASE, 0}, {SYS64("star", "int64"), R_STAR, 0}, {SYS64("lstar", "code_ptr"), R_LSTAR, 0},
    {SYS64("cstar", "code_ptr"), R_CSTAR, 0}, {SYS64("sfmask", "int64"), R_SFMASK, 0},
    {SYS64("gdtr_base", "data_ptr"), R_GDTR_BASE, 0}, {SYS("gdtr_limit", "int32"), R_GDTR_LIMIT, 0},
    {SYS64("idtr_base", "data_ptr"), R_IDTR_BASE, 0}, {SYS("idtr_limit", "int32"), R_IDTR_LIMIT, 0},
    {SYS("ldtr", "int32"), R_LDTR, 0}, {SYS64("ldtr_base", "data_ptr"), R_LDTR_BASE, 0}, {SYS("ldtr_limit", "int32"), R_LDTR_LIMIT, 0},
    {SYS("tr", "int32"), R_TR, 0}, {SYS64("tr_base", "data_ptr"), R_TR_BASE, 0}, {SYS("tr_limit", "int32"), R_TR_LIMIT, 0},
    {SYS64("cs_base", "int64"), R_SEG_BASE, 0}, {SYS64("ss_base", "int64"), R_SEG_BASE + 1, 0},
    {SYS64("ds_base", "int64"), R_SEG_BASE + 2, 0}, {SYS64("es_base", "int64"), R_SEG_BASE + 3, 0},
    {SYS("cs_limit", "int32"), R_SEG_LIMIT, 0}, {SYS("ss_limit", "int32"), R_SEG_LIMIT + 1, 0},
    {SYS("ds_limit", "int32"), R_SEG_LIMIT + 2, 0}, {SYS("es_limit", "int32"), R_SEG_LIMIT + 3, 0},
    {SYS("fs_limit", "int32"), R_SEG_LIMIT + 4, 0}, {SYS("gs_limit", "int32"), R_SEG_LIMIT + 5, 0},
    {SYS64("dr0", "data_ptr"), R_DR0, 0}, {SYS64("dr1", "data_ptr"), R_DR0 + 1, 0}, {SYS64("dr2", "data_ptr"), R_DR0 + 2, 0},
    {SYS64("dr3", "data_ptr"), R_DR0 + 3, 0}, {SYS64("dr6", "i386_dr6"), R_DR6, 0}, {SYS64("dr7", "int64"), R_DR7, 0},
    {SYS("cpl", "int32"), R_CPL, 0}, {SYS("a20", "int32"), R_A20, 0},
    {YMMH("ymm0h"), R_YMMH, 0}, {YMMH("ymm1h"), R_YMMH + 1, 0}, {YMMH("ymm2h"), R_YMMH + 2, 0}, {YMMH("ymm3h"), R_YMMH + 3, 0},
    {YMMH("ymm4h"), R_YMMH + 4, 0}, {YMMH("ymm5h"), R_YMMH + 5, 0}, {YMMH("ymm6h"), R_YMMH + 6, 0}, {YMMH("ymm7h"), R_YMMH + 7, 0},
    {YMMH("ymm8h"), R_YMMH + 8, 0}, {YMMH("ymm9h"), R_YMMH + 9, 0}, {YMMH("ymm10h"), R_YMMH + 10, 0},
    {YMMH("ymm11h"), R_YMMH + 11, 0}, {YMMH("ymm12h"), R_YMMH + 12, 0}, {YMMH("ymm13h"), R_YMMH + 13, 0},
    {YMMH("ymm14h"), R_YMMH + 14, 0}, {YMMH("ymm15h"), R_YMMH + 15, 0},
};
#define NREGS_64 (unsigned)ARRAY_LEN(regs_64)
_Static_assert(ARRAY_LEN(regs_64) == I386_NREGS_64 + 16, "the table and its numbers agree");

void i386_layout_64(struct reg_desc out[], bool avx, unsigned *count)
{
    *count = avx ? NREGS_64 : I386_NREGS_64;
    for (unsigned n = 0; n < *count; n++) {
        out[n] = regs_64[n].desc;
        out[n].dwarf = regs_64[n].dwarf;
    }
}

/* gdb's order of segment registers. */
static const uint8_t gdb_seg[6] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};

/* ---- types ---- */

#define FLAG(name, bit) "<field name=\"" name "\" start=\"" #bit "\" end=\"" #bit "\"/>"

static const char core_types[] =
    "<flags id=\"i386_eflags\" size=\"4\">"
    FLAG("CF", 0) FLAG("", 1) FLAG("PF", 2) FLAG("AF", 4) FLAG("ZF", 6) FLAG("SF", 7) FLAG("TF", 8) FLAG("IF", 9)
    FLAG("DF", 10) FLAG("OF", 11) "<field name=\"IOPL\" start=\"12\" end=\"13\" type=\"uint32\"/>" FLAG("NT", 14)
    FLAG("RF", 16) FLAG("VM", 17) FLAG("AC", 18) FLAG("VIF", 19) FLAG("VIP", 20) FLAG("ID", 21)
    "</flags>";

static const char sse_types[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
    "<union id=\"vec128\">"
    "<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/>"
    "</union>"
    "<flags id=\"i386_mxcsr\" size=\"4\">"
    FLAG("IE", 0) FLAG("DE", 1) FLAG("ZE", 2) FLAG("OE", 3) FLAG("UE", 4) FLAG("PE", 5) FLAG("DAZ", 6) FLAG("IM", 7)
    FLAG("DM", 8) FLAG("ZM", 9) FLAG("OM", 10) FLAG("UM", 11) FLAG("PM", 12)
    "<field name=\"RC\" start=\"13\" end=\"14\" type=\"uint32\"/>" FLAG("FZ", 15)
    "</flags>";

#define SYSTEM_TYPES(size) \
    "<flags id=\"i386_cr0\" size=\"" size "\">" \
    FLAG("PE", 0) FLAG("MP", 1) FLAG("EM", 2) FLAG("TS", 3) FLAG("ET", 4) FLAG("NE", 5) FLAG("WP", 16) FLAG("AM", 18) \
    FLAG("NW", 29) FLAG("CD", 30) FLAG("PG", 31) \
    "</flags>" \
    "<flags id=\"i386_cr4\" size=\"" size "\">" \
    FLAG("VME", 0) FLAG("PVI", 1) FLAG("TSD", 2) FLAG("DE", 3) FLAG("PSE", 4) FLAG("PAE", 5) FLAG("MCE", 6) \
    FLAG("PGE", 7) FLAG("PCE", 8) FLAG("OSFXSR", 9) FLAG("OSXMMEXCPT", 10) FLAG("UMIP", 11) FLAG("LA57", 12) \
    FLAG("FSGSBASE", 16) FLAG("PCIDE", 17) FLAG("OSXSAVE", 18) FLAG("SMEP", 20) FLAG("SMAP", 21) FLAG("PKE", 22) \
    "</flags>" \
    "<flags id=\"i386_efer\" size=\"8\">" FLAG("SCE", 0) FLAG("LME", 8) FLAG("LMA", 10) FLAG("NXE", 11) "</flags>" \
    "<flags id=\"i386_dr6\" size=\"" size "\">" \
    FLAG("B0", 0) FLAG("B1", 1) FLAG("B2", 2) FLAG("B3", 3) FLAG("BD", 13) FLAG("BS", 14) FLAG("BT", 15) \
    "</flags>"

static const char *feature_types(const char *feature, const char *system)
{
    if (!strcmp(feature, CORE))
        return core_types;
    if (!strcmp(feature, SSE))
        return sse_types;
    if (!strcmp(feature, SYSTEM))
        return system;
    return NULL;
}

const char *i386_feature_types(const char *feature)
{
    return feature_types(feature, SYSTEM_TYPES("4"));
}

const char *i386_feature_types_64(const char *feature)
{
    return feature_types(feature, SYSTEM_TYPES("8"));
}

/* ---- x87 ---- */

static unsigned st_index(const struct i386_state *s, unsigned i)
{
    return ((s->fsw >> 11 & 7) + i) & 7;
}

static uint32_t fpu_read(const struct i386_state *s, unsigned i)
{
    switch (i) {
    case 0: return s->fcw;
    case 1: return s->fsw;
    case 2: return i386_fpu_tag_word(s);
    case 3: return s->fcs;
    case 4: return (uint32_t)s->fip;
    case 5: return s->fds;
    case 6: return (uint32_t)s->fdp;
    default: return s->fop;
    }
}

/* ST(i) stays what it is when TOP changes, as FXRSTOR has it: gdb writes st0 to st7 before fstat. */
static void write_status(struct i386_state *s, uint16_t fsw)
{
    uint16_t tags = (uint16_t)i386_fpu_tag_word(s), rotated = 0;
    struct i386_fpr st[8];
    unsigned tag[8];

    for (unsigned i = 0; i < 8; i++) {
        st[i] = s->fpr[st_index(s, i)];
        tag[i] = tags >> (2 * st_index(s, i)) & 3;
    }
    s->fsw = fsw;
    for (unsigned i = 0; i < 8; i++) {
        s->fpr[st_index(s, i)] = st[i];
        rotated |= (uint16_t)(tag[i] << (2 * st_index(s, i)));
    }
    i386_fpu_set_tag_word(s, rotated);
}

static bool fpu_write(struct i386_state *s, unsigned i, uint32_t v)
{
    if (i != 4 && i != 6 && v > 0xffff)
        return false;
    switch (i) {
    case 0: s->fcw = (uint16_t)((v & 0x1f3f) | 0x40); return true;
    case 1: write_status(s, (uint16_t)v); return true;
    case 2:
        i386_fpu_set_tag_word(s, (uint16_t)v);
        return true;
    case 3: s->fcs = (uint16_t)v; return true;
    case 4: s->fip = v; return true;
    case 5: s->fds = (uint16_t)v; return true;
    case 6: s->fdp = v; return true;
    default: s->fop = v & 0x7ff; return v <= 0x7ff;
    }
}

/* ---- system registers ---- */

static uint64_t system_read(const struct i386_cpu *c, unsigned n)
{
    const struct i386_state *s = c->st;

    if (n >= R_SEG_BASE && n < R_SEG_BASE + 6)
        return s->seg[gdb_seg[n - R_SEG_BASE]].base;
    if (n >= R_SEG_LIMIT && n < R_SEG_LIMIT + 6)
        return s->seg[gdb_seg[n - R_SEG_LIMIT]].limit;
    if (n >= R_DR0 && n < R_DR0 + 4)
        return s->dr[n - R_DR0];
    switch (n) {
    case R_CR0: return s->cr0;
    case R_CR2: return s->cr2;
    case R_CR3: return s->cr3;
    case R_CR4: return s->cr4;
    case R_EFER: return s->efer;
    case R_GDTR_BASE: return s->gdtr.base;
    case R_GDTR_LIMIT: return s->gdtr.limit;
    case R_IDTR_BASE: return s->idtr.base;
    case R_IDTR_LIMIT: return s->idtr.limit;
    case R_LDTR: return s->seg[SEG_LDTR].selector;
    case R_LDTR_BASE: return s->seg[SEG_LDTR].base;
    case R_LDTR_LIMIT: return s->seg[SEG_LDTR].limit;
    case R_TR: return s->seg[SEG_TR].selector;
    case R_TR_BASE: return s->seg[SEG_TR].base;
    case R_TR_LIMIT: return s->seg[SEG_TR].limit;
    case R_DR6: return s->dr[6];
    case R_DR7: return s->dr[7];
    case R_CR8: return c->cr8_read ? c->cr8_read(c->io_ctx) : 0;
    case R_KERNEL_GS_BASE: return s->kernel_gs_base;
    case R_STAR: return s->star;
    case R_LSTAR: return s->lstar;
    case R_CSTAR: return s->cstar;
    case R_SFMASK: return s->sfmask;
    case R_CPL: return s->cpl;
    default: return s->a20_mask == 0xffffffffu;
    }
}

/* CR0 by a debugger: what MOV CR0 accepts, and also the loss of PG and PE at any CPL 0 state. */
static bool write_cr0(struct i386_cpu *c, uint64_t v)
{
    if ((v ^ c->st->cr0) & CR0_PE && c->st->cpl)
        return false; /* CPL 3 does not exist outside protected mode */
    return i386_set_cr0(c, v);
}

/* An address that a register of this model can hold. */
static bool holds(const struct i386_cpu *c, uint64_t v)
{
    return i386_has(c->model, FEATURE_LM) ? i386_register_canonical(c, v) : !(v >> 32);
}

static bool write_base(struct i386_cpu *c, uint64_t *base, uint64_t v)
{
    if (!holds(c, v))
        return false;
    *base = v;
    return true;
}

static bool write_hidden_base(struct i386_cpu *c, unsigned n, uint64_t v)
{
    if (!holds(c, v))
        return false;
    c->st->seg[gdb_seg[n - R_SEG_BASE]].base = v;
    i386_mode_changed(c);
    return true;
}

static bool write_hidden_limit(struct i386_cpu *c, unsigned n, uint32_t v)
{
    c->st->seg[gdb_seg[n - R_SEG_LIMIT]].limit = v;
    i386_mode_changed(c);
    return true;
}

static bool write_limit(uint32_t *limit, uint64_t v)
{
    if (v > 0xffff)
        return false;
    *limit = (uint32_t)v;
    return true;
}

static bool system_write(struct i386_cpu *c, unsigned n, uint64_t value)
{
    struct i386_state *s = c->st;
    uint64_t v = value;

    if (value == system_read(c, n))
        return true; /* also those that cannot be changed: a debugger may write all of them back */
    if (n >= R_SEG_BASE && n < R_SEG_BASE + 6)
        return write_hidden_base(c, n, v);
    if (n >= R_SEG_LIMIT && n < R_SEG_LIMIT + 6)
        return write_hidden_limit(c, n, (uint32_t)v);
    if (n >= R_DR0 && n < R_DR0 + 4)
        return i386_set_dr(c, n - R_DR0, v);
    switch (n) {
    case R_CR0: return write_cr0(c, v);
    case R_CR2: s->cr2 = v; return true;
    case R_CR3: return i386_set_cr3(c, v);
    case R_CR4: return i386_set_cr4(c, v);
    case R_EFER: return i386_write_msr(c, 0xc0000080u, value);
    case R_GDTR_BASE: return write_base(c, &s->gdtr.base, v);
    case R_GDTR_LIMIT: return write_limit(&s->gdtr.limit, value);
    case R_IDTR_BASE: return write_base(c, &s->idtr.base, v);
    case R_IDTR_LIMIT: return write_limit(&s->idtr.limit, value);
    case R_DR6: return i386_set_dr(c, 6, v);
    case R_DR7: return i386_set_dr(c, 7, v);
    case R_CR8:
        if (value > 15 || !c->cr8_write)
            return false;
        c->cr8_write(c->io_ctx, (unsigned)value);
        return true;
    case R_KERNEL_GS_BASE: return i386_write_msr(c, 0xc0000102u, value);
    case R_STAR: return i386_write_msr(c, 0xc0000081u, value);
    case R_LSTAR: return i386_write_msr(c, 0xc0000082u, value);
    case R_CSTAR: return i386_write_msr(c, 0xc0000083u, value);
    case R_SFMASK: return i386_write_msr(c, 0xc0000084u, value);
    case R_A20:
        if (value > 1)
            return false;
        i386_set_a20(c, value);
        return true;
    default:
        return false;
    }
}

/* ---- segment selectors ---- */

/* Read linear memory without side effects. */
static bool peek(const struct i386_cpu *c, uint64_t va, void *buf, unsigned len)
{
    uint8_t *out = buf;
    paddr_t pa;

    for (unsigned i = 0; i < len; i++) {
        if (!i386_translate(&c->u.cpu, i386_system_address(c->st, va + i), &pa) ||
            memory_read_bytes(&c->u.cpu.machine->memory, pa, &out[i], 1) != 1)
            return false;
    }
    return true;
}

/* May the descriptor be loaded into the register? Privilege counts for CS and SS only, which
 * must go on matching CPL. */
static bool loadable(const struct i386_cpu *c, unsigned seg, uint16_t selector, const struct i386_desc *d)
{
    unsigned cpl = c->st->cpl;

    if (!desc_present(d))
        return false;
    if (seg == SEG_SS)
        return desc_is_writable_data(d) && (selector & 3) == cpl && desc_dpl(d) == cpl;
    if (seg == SEG_CS)
        return desc_is_code(d) && (selector & 3) == cpl &&
               (desc_is_conforming(d) ? desc_dpl(d) <= cpl : desc_dpl(d) == cpl);
    return desc_is_readable(d);
}

static bool write_selector(struct i386_cpu *c, unsigned seg, uint32_t value)
{
    struct i386_state *s = c->st;
    uint16_t selector = (uint16_t)value;
    struct i386_desc d = {0};
    uint32_t words[2];

    if (value > 0xffff)
        return false;
    if (selector == s->seg[seg].selector)
        return true;
    if (!i386_uses_descriptors(s)) {
        i386_real_segment(s, seg, selector, i386_vm86(s));
        i386_mode_changed(c);
        return true;
    }
    if (selector_is_null(selector)) {
        if (seg == SEG_CS || seg == SEG_SS)
            return false;
        i386_null_segment(c, seg, selector);
        i386_mode_changed(c);
        return true;
    }
    if (!i386_desc_locate(c, selector, &d.addr) || !peek(c, d.addr, words, sizeof words))
        return false;
    d.lo = words[0];
    d.hi = words[1];
    if (!loadable(c, seg, selector, &d))
        return false;
    d.hi |= 0x100;
    s->seg[seg] = i386_desc_segment(&d, selector);
    i386_mode_changed(c);
    return true;
}

static bool write_eflags(struct i386_cpu *c, uint32_t v)
{
    const uint32_t kept = EFLAGS_VM;

    if ((v ^ c->st->eflags) & kept)
        return false;
    i386_set_eflags(c, v, ~kept);
    c->st->tf_latched = 0; /* no instruction is in progress */
    return true;
}

/* ---- cpu_ops ---- */

/* The XMM register, or upper half of a YMM register, that it is; NULL: neither. */
static union i386_xmm *vector_register(struct i386_state *s, unsigned number)
{
    if (number >= R_XMM && number < R_XMM + 8)
        return &s->xmm[number - R_XMM];
    if (number >= R_XMM8 && number < R_XMM8 + 8)
        return &s->xmm[8 + number - R_XMM8];
    if (number >= R_YMMH && number < R_YMMH + 16)
        return &s->ymm_high[number - R_YMMH];
    return NULL;
}

static uint64_t *general_register(struct i386_state *s, unsigned number)
{
    if (number < R_EIP)
        return &s->gpr[number];
    return number >= R_R8 && number < R_R8 + 8 ? &s->gpr[8 + number - R_R8] : NULL;
}

/* `bytes` bytes of what has this number. */
static void read_number(const struct i386_cpu *c, unsigned n, void *buf, unsigned bytes)
{
    struct i386_state *s = c->st;
    uint64_t v;

    if (n >= R_ST && n < R_ST + 8) {
        const struct i386_fpr *r = &s->fpr[st_index(s, n - R_ST)];

        memcpy(buf, &r->mantissa, 8);
        memcpy((uint8_t *)buf + 8, &r->exponent, 2);
        return;
    }
    if (vector_register(s, n)) {
        memcpy(buf, vector_register(s, n), 16);
        return;
    }
    if (general_register(s, n))
        v = *general_register(s, n);
    else if (n == R_EIP)
        v = s->rip;
    else if (n == R_EFLAGS)
        v = i386_get_eflags(c);
    else if (n < R_ST)
        v = s->seg[gdb_seg[n - R_SEG]].selector;
    else if (n < R_XMM)
        v = fpu_read(s, n - R_FPU);
    else if (n == R_MXCSR)
        v = s->mxcsr;
    else
        v = system_read(c, n);
    memcpy(buf, &v, bytes);
}

static bool write_rip(struct i386_state *s, uint64_t v)
{
    if (i386_64bit(s) ? !i386_canonical(s, v) : v >> 32)
        return false;
    if (s->rip != v)
        s->rep_active = 0, s->rep_start = 0;
    s->rip = v;
    return true;
}

static bool write_number(struct i386_cpu *c, unsigned n, const void *buf, unsigned bytes)
{
    struct i386_state *s = c->st;
    uint64_t v = 0;

    if (n >= R_ST && n < R_ST + 8) {
        struct i386_fpr *r = &s->fpr[st_index(s, n - R_ST)];

        memcpy(&r->mantissa, buf, 8);
        memcpy(&r->exponent, (const uint8_t *)buf + 8, 2);
        return true;
    }
    if (vector_register(s, n)) {
        memcpy(vector_register(s, n), buf, 16);
        return true;
    }
    memcpy(&v, buf, bytes);
    if (general_register(s, n)) {
        if (n < R_EIP && !i386_64bit(s) && v >> 32)
            return false; /* there they have 32 bits */
        *general_register(s, n) = v;
        return true;
    }
    if (n == R_EIP)
        return write_rip(s, v);
    if (n == R_EFLAGS)
        return write_eflags(c, (uint32_t)v);
    if (n < R_ST)
        return write_selector(c, gdb_seg[n - R_SEG], (uint32_t)v);
    if (n < R_XMM)
        return fpu_write(s, n - R_FPU, (uint32_t)v);
    if (n == R_MXCSR) {
        if (v & ~(uint64_t)(c->model->has_sse2 ? 0xffff : 0xffbf))
            return false;
        s->mxcsr = (uint32_t)v;
        return true;
    }
    return system_write(c, n, v);
}

void i386_read_reg(const struct cpu *cpu, unsigned n, void *buf)
{
    read_number((const struct i386_cpu *)(const void *)cpu, n, buf, i386_regs[n].bits / 8u);
}

bool i386_write_reg(struct cpu *cpu, unsigned n, const void *buf)
{
    return n < R_COUNT && write_number((struct i386_cpu *)(void *)cpu, n, buf, i386_regs[n].bits / 8u);
}

void i386_read_reg_64(const struct cpu *cpu, unsigned n, void *buf)
{
    read_number((const struct i386_cpu *)(const void *)cpu, regs_64[n].number, buf, regs_64[n].desc.bits / 8u);
}

bool i386_write_reg_64(struct cpu *cpu, unsigned n, const void *buf)
{
    return n < NREGS_64 &&
           write_number((struct i386_cpu *)(void *)cpu, regs_64[n].number, buf, regs_64[n].desc.bits / 8u);
}

/* ---- monitor info registers ---- */

static const char *segment_kind(const struct i386_state *s, const struct i386_segment *sg)
{
    if (!sg->valid)
        return "null";
    if (!i386_uses_descriptors(s))
        return "";
    if (!(sg->attr & SEG_ATTR_S))
        return (sg->attr & SEG_ATTR_TYPE) == SYS_LDT ? "LDT" : sg->attr & SYS_32BIT ? "TSS32-busy" : "TSS16-busy";
    if ((sg->attr & 8) && i386_long(s) && (sg->attr & SEG_ATTR_L))
        return "CS64";
    if (sg->attr & 8)
        return sg->attr & SEG_ATTR_DB ? "CS32" : "CS16";
    return sg->attr & SEG_ATTR_DB ? "DS" : "DS16";
}

/* How wide addresses are shown. */
static int digits(const struct i386_cpu *c)
{
    return i386_has(c->model, FEATURE_LM) ? 16 : 8;
}

static void describe_segment(const struct i386_cpu *c, struct buffer *out, const char *name, unsigned seg)
{
    const struct i386_state *s = c->st;
    const struct i386_segment *sg = &s->seg[seg];

    buffer_printf(out, "%-3s=%04x %0*llx %08x %04x", name, sg->selector, digits(c), (unsigned long long)sg->base, sg->limit,
                  sg->attr);
    if (sg->valid)
        buffer_printf(out, " DPL=%u", (unsigned)sg->attr >> 5 & 3);
    buffer_printf(out, " %s\n", segment_kind(s, sg));
}

static void describe_fpu(const struct i386_state *s, struct buffer *out, unsigned nxmm)
{
    buffer_printf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", s->fcw, s->fsw, (unsigned)s->fsw >> 11 & 7,
                  s->ftag, s->mxcsr);
    for (unsigned i = 0; i < 8; i++)
        buffer_printf(out, "FPR%u=%016llx %04x%s", i, (unsigned long long)s->fpr[i].mantissa, s->fpr[i].exponent,
                      i & 1 ? "\n" : " ");
    for (unsigned i = 0; i < nxmm; i++)
        buffer_printf(out, "XMM%02u=%016llx%016llx%s", i, (unsigned long long)s->xmm[i].q[1],
                      (unsigned long long)s->xmm[i].q[0], i & 1 ? "\n" : " ");
}

static void describe_general(const struct i386_cpu *c, struct buffer *out)
{
    static const char *const names[16] = {"AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP",
                                          "8", "9", "10", "11", "12", "13", "14", "15"};
    static const uint8_t order[8] = {EAX, EBX, ECX, EDX, ESI, EDI, EBP, ESP};
    bool wide = i386_has(c->model, FEATURE_LM);

    for (unsigned i = 0; i < (wide ? 16 : 8); i++)
        buffer_printf(out, "%c%s=%0*llx%s", wide ? 'R' : 'E', names[i], digits(c),
                      (unsigned long long)c->st->gpr[i < 8 ? order[i] : i], i % 4 == 3 ? "\n" : " ");
}

/* What of virtual machines is in no register of a debugger's. */
static void describe_svm(const struct i386_state *s, struct buffer *out)
{
    static const char *const who[] = {"host", "guest", "SMM, the guest waits"};

    buffer_printf(out, "SVM: %s GIF=%u", who[s->svm.guest], !s->svm.gif_clear);
    if (s->svm.guest) {
        buffer_printf(out, " VMCB=%016llx V_TPR=%llu V_IRQ=%u vector %02x", (unsigned long long)s->svm.vmcb,
                      (unsigned long long)(s->svm.interrupts & V_TPR), (s->svm.interrupts & V_IRQ) != 0,
                      V_INTR_VECTOR(s->svm.interrupts));
        if (s->svm.nested)
            buffer_printf(out, " nCR3=%016llx", (unsigned long long)s->svm.nested_cr3);
        buffer_printf(out, " host: RIP=%016llx RSP=%016llx CR3=%016llx", (unsigned long long)s->svm.host.rip,
                      (unsigned long long)s->svm.host.rsp, (unsigned long long)s->svm.host.cr3);
    }
    buffer_printf(out, "\n");
}

void i386_describe(const struct cpu *cpu, struct buffer *out)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"};
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct i386_state *s = c->st;
    uint32_t f = i386_get_eflags(c);
    int n = digits(c);

    describe_general(c, out);
    buffer_printf(out, "%cIP=%0*llx %cFL=%08x [%c%c%c%c%c%c%c] CPL=%u II=%u A20=%u SMM=%u HLT=%u\n", n == 16 ? 'R' : 'E', n,
                  (unsigned long long)s->rip, n == 16 ? 'R' : 'E', f,
                  f & EFLAGS_DF ? 'D' : '-', f & FLAG_O ? 'O' : '-', f & FLAG_S ? 'S' : '-', f & FLAG_Z ? 'Z' : '-',
                  f & FLAG_A ? 'A' : '-', f & FLAG_P ? 'P' : '-', f & FLAG_C ? 'C' : '-', s->cpl, s->shadow,
                  s->a20_mask == 0xffffffffu, s->smm != 0, s->halted);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        describe_segment(c, out, names[i], i);
    buffer_printf(out, "GDT=     %0*llx %08x\n", n, (unsigned long long)s->gdtr.base, s->gdtr.limit);
    buffer_printf(out, "IDT=     %0*llx %08x\n", n, (unsigned long long)s->idtr.base, s->idtr.limit);
    buffer_printf(out, "CR0=%08x CR2=%0*llx CR3=%0*llx CR4=%08x\n", s->cr0, n, (unsigned long long)s->cr2, n,
                  (unsigned long long)s->cr3, s->cr4);
    for (unsigned i = 0; i < 4; i++)
        buffer_printf(out, "DR%u=%0*llx%s", i, n, (unsigned long long)s->dr[i], i == 3 ? "\n" : " ");
    buffer_printf(out, "DR6=%08x DR7=%08x\n", (uint32_t)s->dr[6], (uint32_t)s->dr[7]);
    buffer_printf(out, "SMBASE=%08x\n", s->smbase);
    buffer_printf(out, "EFER=%016llx\n", (unsigned long long)s->efer);
    if (n == 16)
        buffer_printf(out, "KGS=%016llx STAR=%016llx LSTAR=%016llx\n", (unsigned long long)s->kernel_gs_base,
                      (unsigned long long)s->star, (unsigned long long)s->lstar);
    if (s->efer & EFER_SVME)
        describe_svm(s, out);
    describe_fpu(s, out, n == 16 ? 16 : 8);
}
