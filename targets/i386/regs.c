/*
 * The registers as gdb sees them (gdb manual, "i386 Features"), and pictures
 * of them for the monitor.
 *
 * Three features: the standard core and SSE ones, and one of our own with the
 * system registers. The layout is the same in every CPU mode. The core's eip is
 * the offset within CS, as on every i386 target.
 *
 * Writes take effect as if the CPU had loaded the value, minus privilege
 * checks; a value that the CPU could not hold is refused. Loading a selector
 * in protected mode reads its descriptor without side effects. EFLAGS.VM, CPL,
 * LDTR and TR cannot be changed.
 *
 * Adding a register: a line in i386_regs and a case in system_read() and system_write().
 */
#include "i386/fpu.h"
#include "i386/protect.h"

#include <string.h>

#define CORE   "org.gnu.gdb.i386.core"
#define SSE    "org.gnu.gdb.i386.sse"
#define SYSTEM "org.hindcast.i386.system"

/* Numbers of registers, in the order of the table. */
enum {
    R_GPR = 0, R_EIP = I386_REG_EIP, R_EFLAGS = I386_REG_EFLAGS, R_SEG = 10, R_ST = 16, R_FPU = 24, R_XMM = 32, R_MXCSR = 40,
    R_CR0 = 41, R_CR2, R_CR3, R_CR4, R_EFER, R_GDTR_BASE, R_GDTR_LIMIT, R_IDTR_BASE, R_IDTR_LIMIT,
    R_LDTR, R_LDTR_BASE, R_LDTR_LIMIT, R_TR, R_TR_BASE, R_TR_LIMIT,
    R_SEG_BASE, R_SEG_LIMIT = R_SEG_BASE + 6, R_DR0 = R_SEG_LIMIT + 6, R_DR6 = R_DR0 + 4, R_DR7, R_CPL, R_A20,
    R_COUNT,
};
_Static_assert(R_COUNT == I386_NREGS, "the table and its numbers agree");

#define INT32(n, f)  {.name = n, .bits = 32, .type = "int32", .group = "general", .feature = f}
#define FPU32(n)     {.name = n, .bits = 32, .type = "int", .group = "float", .feature = CORE}
#define ST80(n)      {.name = n, .bits = 80, .type = "i387_ext", .group = "float", .feature = CORE}
#define XMM128(n)    {.name = n, .bits = 128, .type = "vec128", .group = "vector", .feature = SSE}
#define SYS(n, t)    {.name = n, .bits = 32, .type = t, .group = "system", .feature = SYSTEM, .no_save = true}

const struct reg_desc i386_regs[I386_NREGS] = {
    INT32("eax", CORE), INT32("ecx", CORE), INT32("edx", CORE), INT32("ebx", CORE),
    {.name = "esp", .bits = 32, .type = "data_ptr", .group = "general", .feature = CORE},
    {.name = "ebp", .bits = 32, .type = "data_ptr", .group = "general", .feature = CORE},
    INT32("esi", CORE), INT32("edi", CORE),
    {.name = "eip", .bits = 32, .type = "code_ptr", .group = "general", .feature = CORE},
    {.name = "eflags", .bits = 32, .type = "i386_eflags", .group = "general", .feature = CORE},
    INT32("cs", CORE), INT32("ss", CORE), INT32("ds", CORE), INT32("es", CORE), INT32("fs", CORE), INT32("gs", CORE),
    ST80("st0"), ST80("st1"), ST80("st2"), ST80("st3"), ST80("st4"), ST80("st5"), ST80("st6"), ST80("st7"),
    FPU32("fctrl"), FPU32("fstat"), FPU32("ftag"), FPU32("fiseg"), FPU32("fioff"), FPU32("foseg"), FPU32("fooff"),
    FPU32("fop"),
    XMM128("xmm0"), XMM128("xmm1"), XMM128("xmm2"), XMM128("xmm3"),
    XMM128("xmm4"), XMM128("xmm5"), XMM128("xmm6"), XMM128("xmm7"),
    {.name = "mxcsr", .bits = 32, .type = "i386_mxcsr", .group = "vector", .feature = SSE},
    SYS("cr0", "i386_cr0"), SYS("cr2", "data_ptr"), SYS("cr3", "int32"), SYS("cr4", "i386_cr4"),
    {.name = "efer", .bits = 64, .type = "i386_efer", .group = "system", .feature = SYSTEM, .no_save = true},
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

static const char system_types[] =
    "<flags id=\"i386_cr0\" size=\"4\">"
    FLAG("PE", 0) FLAG("MP", 1) FLAG("EM", 2) FLAG("TS", 3) FLAG("ET", 4) FLAG("NE", 5) FLAG("WP", 16) FLAG("AM", 18)
    FLAG("NW", 29) FLAG("CD", 30) FLAG("PG", 31)
    "</flags>"
    "<flags id=\"i386_cr4\" size=\"4\">"
    FLAG("VME", 0) FLAG("PVI", 1) FLAG("TSD", 2) FLAG("DE", 3) FLAG("PSE", 4) FLAG("PAE", 5) FLAG("MCE", 6)
    FLAG("PGE", 7) FLAG("PCE", 8) FLAG("OSFXSR", 9) FLAG("OSXMMEXCPT", 10)
    "</flags>"
    "<flags id=\"i386_efer\" size=\"8\">" FLAG("NXE", 11) "</flags>"
    "<flags id=\"i386_dr6\" size=\"4\">"
    FLAG("B0", 0) FLAG("B1", 1) FLAG("B2", 2) FLAG("B3", 3) FLAG("BD", 13) FLAG("BS", 14) FLAG("BT", 15)
    "</flags>";

const char *i386_feature_types(const char *feature)
{
    if (!strcmp(feature, CORE))
        return core_types;
    if (!strcmp(feature, SSE))
        return sse_types;
    if (!strcmp(feature, SYSTEM))
        return system_types;
    return NULL;
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

static uint64_t system_read(const struct i386_state *s, unsigned n)
{
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
    case R_CPL: return s->cpl;
    default: return s->a20_mask == 0xffffffffu;
    }
}

/* CR0 by a debugger: what MOV CR0 accepts, and also the loss of PG and PE at any CPL 0 state. */
static bool write_cr0(struct i386_cpu *c, uint32_t v)
{
    if ((v ^ c->st->cr0) & CR0_PE && c->st->cpl)
        return false; /* CPL 3 does not exist outside protected mode */
    return i386_set_cr0(c, v);
}

static bool write_hidden_base(struct i386_cpu *c, unsigned n, uint32_t v)
{
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
    uint32_t v = (uint32_t)value;

    if (value == system_read(s, n))
        return true; /* also those that cannot be changed: a debugger may write all of them back */
    if (n >= R_SEG_BASE && n < R_SEG_BASE + 6)
        return write_hidden_base(c, n, v);
    if (n >= R_SEG_LIMIT && n < R_SEG_LIMIT + 6)
        return write_hidden_limit(c, n, v);
    if (n >= R_DR0 && n < R_DR0 + 4)
        return i386_set_dr(c, n - R_DR0, v);
    switch (n) {
    case R_CR0: return write_cr0(c, v);
    case R_CR2: s->cr2 = v; return true;
    case R_CR3: return i386_set_cr3(c, v);
    case R_CR4: return i386_set_cr4(c, v);
    case R_EFER: return i386_write_msr(c, 0xc0000080u, value);
    case R_GDTR_BASE: s->gdtr.base = v; return true;
    case R_GDTR_LIMIT: return write_limit(&s->gdtr.limit, value);
    case R_IDTR_BASE: s->idtr.base = v; return true;
    case R_IDTR_LIMIT: return write_limit(&s->idtr.limit, value);
    case R_DR6: return i386_set_dr(c, 6, v);
    case R_DR7: return i386_set_dr(c, 7, v);
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

void i386_read_reg(const struct cpu *cpu, unsigned n, void *buf)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct i386_state *s = c->st;
    uint64_t v;

    if (n >= R_ST && n < R_ST + 8) {
        const struct i386_fpr *r = &s->fpr[st_index(s, n - R_ST)];

        memcpy(buf, &r->mantissa, 8);
        memcpy((uint8_t *)buf + 8, &r->exponent, 2);
        return;
    }
    if (n >= R_XMM && n < R_XMM + 8) {
        memcpy(buf, &s->xmm[n - R_XMM], 16);
        return;
    }
    if (n < R_EIP)
        v = s->gpr[n];
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
        v = system_read(s, n);
    memcpy(buf, &v, i386_regs[n].bits / 8u);
}

bool i386_write_reg(struct cpu *cpu, unsigned n, const void *buf)
{
    struct i386_cpu *c = (struct i386_cpu *)(void *)cpu;
    struct i386_state *s = c->st;
    uint64_t v = 0;

    if (n >= R_COUNT)
        return false;
    if (n >= R_ST && n < R_ST + 8) {
        struct i386_fpr *r = &s->fpr[st_index(s, n - R_ST)];

        memcpy(&r->mantissa, buf, 8);
        memcpy(&r->exponent, (const uint8_t *)buf + 8, 2);
        return true;
    }
    if (n >= R_XMM && n < R_XMM + 8) {
        memcpy(&s->xmm[n - R_XMM], buf, 16);
        return true;
    }
    memcpy(&v, buf, i386_regs[n].bits / 8u);
    if (n < R_EIP) {
        s->gpr[n] = (uint32_t)v;
        return true;
    }
    if (n == R_EIP) {
        if (s->rip != (uint32_t)v)
            s->rep_active = 0, s->rep_start = 0;
        s->rip = (uint32_t)v;
        return true;
    }
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

/* ---- monitor info registers ---- */

static const char *segment_kind(const struct i386_state *s, const struct i386_segment *sg)
{
    if (!sg->valid)
        return "null";
    if (!i386_uses_descriptors(s))
        return "";
    if (!(sg->attr & SEG_ATTR_S))
        return (sg->attr & SEG_ATTR_TYPE) == SYS_LDT ? "LDT" : sg->attr & SYS_32BIT ? "TSS32-busy" : "TSS16-busy";
    if (sg->attr & 8)
        return sg->attr & SEG_ATTR_DB ? "CS32" : "CS16";
    return sg->attr & SEG_ATTR_DB ? "DS" : "DS16";
}

static void describe_segment(const struct i386_state *s, struct buffer *out, const char *name, unsigned seg)
{
    const struct i386_segment *sg = &s->seg[seg];

    buffer_printf(out, "%-3s=%04x %08x %08x %04x", name, sg->selector, (uint32_t)sg->base, sg->limit, sg->attr);
    if (sg->valid)
        buffer_printf(out, " DPL=%u", (unsigned)sg->attr >> 5 & 3);
    buffer_printf(out, " %s\n", segment_kind(s, sg));
}

static void describe_fpu(const struct i386_state *s, struct buffer *out)
{
    buffer_printf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", s->fcw, s->fsw, (unsigned)s->fsw >> 11 & 7,
                  s->ftag, s->mxcsr);
    for (unsigned i = 0; i < 8; i++)
        buffer_printf(out, "FPR%u=%016llx %04x%s", i, (unsigned long long)s->fpr[i].mantissa, s->fpr[i].exponent,
                      i & 1 ? "\n" : " ");
    for (unsigned i = 0; i < 8; i++)
        buffer_printf(out, "XMM%02u=%016llx%016llx%s", i, (unsigned long long)s->xmm[i].q[1],
                      (unsigned long long)s->xmm[i].q[0], i & 1 ? "\n" : " ");
}

void i386_describe(const struct cpu *cpu, struct buffer *out)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"};
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)cpu;
    const struct i386_state *s = c->st;
    uint32_t f = i386_get_eflags(c);

    buffer_printf(out, "EAX=%08x EBX=%08x ECX=%08x EDX=%08x\n", (uint32_t)s->gpr[EAX], (uint32_t)s->gpr[EBX], (uint32_t)s->gpr[ECX], (uint32_t)s->gpr[EDX]);
    buffer_printf(out, "ESI=%08x EDI=%08x EBP=%08x ESP=%08x\n", (uint32_t)s->gpr[ESI], (uint32_t)s->gpr[EDI], (uint32_t)s->gpr[EBP], (uint32_t)s->gpr[ESP]);
    buffer_printf(out, "EIP=%08x EFL=%08x [%c%c%c%c%c%c%c] CPL=%u II=%u A20=%u HLT=%u\n", (uint32_t)s->rip, f,
                  f & EFLAGS_DF ? 'D' : '-', f & FLAG_O ? 'O' : '-', f & FLAG_S ? 'S' : '-', f & FLAG_Z ? 'Z' : '-',
                  f & FLAG_A ? 'A' : '-', f & FLAG_P ? 'P' : '-', f & FLAG_C ? 'C' : '-', s->cpl, s->shadow,
                  s->a20_mask == 0xffffffffu, s->halted);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        describe_segment(s, out, names[i], i);
    buffer_printf(out, "GDT=     %08x %08x\n", (uint32_t)s->gdtr.base, s->gdtr.limit);
    buffer_printf(out, "IDT=     %08x %08x\n", (uint32_t)s->idtr.base, s->idtr.limit);
    buffer_printf(out, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n", s->cr0, (uint32_t)s->cr2, (uint32_t)s->cr3, s->cr4);
    buffer_printf(out, "DR0=%08x DR1=%08x DR2=%08x DR3=%08x\n", (uint32_t)s->dr[0], (uint32_t)s->dr[1], (uint32_t)s->dr[2], (uint32_t)s->dr[3]);
    buffer_printf(out, "DR6=%08x DR7=%08x\n", (uint32_t)s->dr[6], (uint32_t)s->dr[7]);
    buffer_printf(out, "EFER=%016llx\n", (unsigned long long)s->efer);
    describe_fpu(s, out);
}
