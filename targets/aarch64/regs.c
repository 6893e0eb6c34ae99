/*
 * The registers as gdb sees them (gdb manual, "AArch64 Features"), and a picture
 * of them for the monitor.
 *
 * Three features: the standard core and FPU ones, and one of our own with every
 * system register that the CPU has (the rows of sysreg.c, by their names in the
 * manual). The numbers of the last depend on the CPU, so the table is made with it.
 *
 * Writes take effect as if the CPU had loaded the value, without traps; a value that the
 * CPU could not hold is refused. Where a system register drops reserved bits, the timeline refuses them to a
 * debugger (reg_desc.exact).
 */
#include "aarch64/system.h"

#include "base/buffer.h"

#include <string.h>

#define CORE   "org.gnu.gdb.aarch64.core"
#define FPU    "org.gnu.gdb.aarch64.fpu"
#define SYSTEM "org.hindcast.aarch64.system"

enum { R_X = 0, R_SP = 31, R_PC = 32, R_CPSR = 33, R_V = 34, R_FPSR = 66, R_FPCR = 67, R_SYSTEM = 68 };

#define X(n) {.name = "x" #n, .bits = 64, .type = "int", .group = "general", .feature = CORE}
#define V(n) {.name = "v" #n, .bits = 128, .type = "aarch64v", .group = "vector", .feature = FPU}

static const struct reg_desc fixed[R_SYSTEM] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15),
    X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30),
    {.name = "sp", .bits = 64, .type = "data_ptr", .group = "general", .feature = CORE},
    {.name = "pc", .bits = 64, .type = "code_ptr", .group = "general", .feature = CORE},
    {.name = "cpsr", .bits = 32, .type = "cpsr_flags", .group = "general", .feature = CORE},
    V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15),
    V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(26), V(27), V(28), V(29), V(30), V(31),
    {.name = "fpsr", .bits = 32, .type = "fpsr_flags", .group = "float", .feature = FPU},
    {.name = "fpcr", .bits = 32, .type = "fpcr_flags", .group = "float", .feature = FPU},
};

/* ---- types ---- */

#define FLAG(name, bit) "<field name=\"" name "\" start=\"" #bit "\" end=\"" #bit "\"/>"

static const char core_types[] =
    "<flags id=\"cpsr_flags\" size=\"4\">"
    FLAG("SP", 0) "<field name=\"EL\" start=\"2\" end=\"3\"/>" FLAG("nRW", 4)
    FLAG("F", 6) FLAG("I", 7) FLAG("A", 8) FLAG("D", 9) FLAG("IL", 20) FLAG("SS", 21) FLAG("PAN", 22)
    FLAG("V", 28) FLAG("C", 29) FLAG("Z", 30) FLAG("N", 31)
    "</flags>";

static const char fpu_types[] =
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v2u\" type=\"uint64\" count=\"2\"/>"
    "<vector id=\"v2i\" type=\"int64\" count=\"2\"/>"
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v4u\" type=\"uint32\" count=\"4\"/>"
    "<vector id=\"v4i\" type=\"int32\" count=\"4\"/>"
    "<vector id=\"v8f\" type=\"ieee_half\" count=\"8\"/>"
    "<vector id=\"v8u\" type=\"uint16\" count=\"8\"/>"
    "<vector id=\"v8i\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v16u\" type=\"uint8\" count=\"16\"/>"
    "<vector id=\"v16i\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v1u\" type=\"uint128\" count=\"1\"/>"
    "<vector id=\"v1i\" type=\"int128\" count=\"1\"/>"
    "<union id=\"vnd\"><field name=\"f\" type=\"v2d\"/><field name=\"u\" type=\"v2u\"/><field name=\"s\" type=\"v2i\"/></union>"
    "<union id=\"vns\"><field name=\"f\" type=\"v4f\"/><field name=\"u\" type=\"v4u\"/><field name=\"s\" type=\"v4i\"/></union>"
    "<union id=\"vnh\"><field name=\"f\" type=\"v8f\"/><field name=\"u\" type=\"v8u\"/><field name=\"s\" type=\"v8i\"/></union>"
    "<union id=\"vnb\"><field name=\"u\" type=\"v16u\"/><field name=\"s\" type=\"v16i\"/></union>"
    "<union id=\"vnq\"><field name=\"u\" type=\"v1u\"/><field name=\"s\" type=\"v1i\"/></union>"
    "<union id=\"aarch64v\">"
    "<field name=\"d\" type=\"vnd\"/><field name=\"s\" type=\"vns\"/><field name=\"h\" type=\"vnh\"/>"
    "<field name=\"b\" type=\"vnb\"/><field name=\"q\" type=\"vnq\"/>"
    "</union>"
    "<flags id=\"fpsr_flags\" size=\"4\">"
    FLAG("IOC", 0) FLAG("DZC", 1) FLAG("OFC", 2) FLAG("UFC", 3) FLAG("IXC", 4) FLAG("IDC", 7) FLAG("QC", 27)
    "</flags>"
    "<flags id=\"fpcr_flags\" size=\"4\">"
    "<field name=\"RMode\" start=\"22\" end=\"23\"/>" FLAG("FZ", 24) FLAG("DN", 25) FLAG("AHP", 26)
    "</flags>";

const char *a64_feature_types(const char *feature)
{
    if (!strcmp(feature, CORE))
        return core_types;
    if (!strcmp(feature, FPU))
        return fpu_types;
    return NULL;
}

/* ---- the table ---- */

/* Row in sysregs[] of the system feature's register `n`. */
static unsigned row_of(const struct a64_cpu *c, unsigned n)
{
    return n < c->ops.nregs ? c->reg_rows[n - R_SYSTEM] : a64_nsysregs;
}

void a64_make_regs(struct a64_cpu *c)
{
    unsigned n = R_SYSTEM;

    c->regs = xcalloc(R_SYSTEM + a64_nsysregs, sizeof c->regs[0]);
    c->reg_rows = xcalloc(a64_nsysregs, sizeof c->reg_rows[0]);
    memcpy(c->regs, fixed, sizeof fixed);
    for (unsigned row = 0; row < a64_nsysregs; row++)
        if (a64_sysreg_visible(c, row)) {
            c->reg_rows[n - R_SYSTEM] = (uint16_t)row;
            c->regs[n++] = (struct reg_desc){.name = a64_sysreg_name(row), .bits = 64, .type = "uint64",
                                             .group = "system", .feature = SYSTEM, .no_save = true,
                                             .exact = a64_sysreg_exact(row)};
        }
    c->ops.regs = c->regs;
    c->ops.nregs = n;
    c->ops.address_bits = 64;
    c->ops.pc_reg = R_PC;
    c->ops.sp_reg = R_SP;
    c->ops.fp_reg = R_X + 29;
    c->ops.flags_reg = R_CPSR;
}

void a64_read_reg(const struct cpu *cpu, unsigned n, void *buf)
{
    const struct a64_cpu *c = a64_const(cpu);
    const struct a64_state *s = c->st;
    uint64_t v;

    if (n >= R_V && n < R_V + 32) {
        memcpy(buf, &s->v[n - R_V], 16);
        return;
    }
    if (n < R_SP)
        v = s->x[n];
    else if (n == R_SP)
        v = s->sp;
    else if (n == R_PC)
        v = s->pc;
    else if (n == R_CPSR)
        v = a64_get_spsr(c);
    else if (n == R_FPSR)
        v = s->fpsr;
    else if (n == R_FPCR)
        v = s->fpcr;
    else
        v = a64_sysreg_peek(c, row_of(c, n));
    memcpy(buf, &v, c->regs[n].bits / 8u);
}

bool a64_write_reg(struct cpu *cpu, unsigned n, const void *buf)
{
    struct a64_cpu *c = (struct a64_cpu *)(void *)cpu;
    struct a64_state *s = c->st;
    uint64_t v = 0;

    if (n >= c->ops.nregs)
        return false;
    if (n >= R_V && n < R_V + 32) {
        memcpy(&s->v[n - R_V], buf, 16);
        return true;
    }
    memcpy(&v, buf, c->regs[n].bits / 8u);
    if (n < R_SP) {
        s->x[n] = v;
    } else if (n == R_SP) {
        s->sp = v;
    } else if (n == R_PC) {
        s->pc = v;
    } else if (n == R_CPSR) {
        return a64_write_pstate(c, (uint32_t)v);
    } else if (n == R_FPSR) {
        if (v & ~UINT64_C(0x0800009f))
            return false;
        s->fpsr = (uint32_t)v;
    } else if (n == R_FPCR) {
        if (v & ~UINT64_C(0x07c00000))
            return false;
        s->fpcr = (uint32_t)v;
    } else {
        return a64_sysreg_poke(c, row_of(c, n), v);
    }
    return true;
}

/* ---- monitor info registers ---- */

void a64_describe(const struct cpu *cpu, struct buffer *out)
{
    const struct a64_cpu *c = a64_const(cpu);
    const struct a64_state *s = c->st;
    uint32_t f = a64_get_spsr(c);
    unsigned el = a64_regime_el(s->el);

    buffer_printf(out, " PC=%016llx  SP=%016llx\n", (unsigned long long)s->pc, (unsigned long long)s->sp);
    for (unsigned i = 0; i < 31; i++)
        buffer_printf(out, "X%02u=%016llx%s", i, (unsigned long long)s->x[i], i % 4 == 3 || i == 30 ? "\n" : " ");
    buffer_printf(out, "PSTATE=%08x %c%c%c%c EL%u%c %c%c%c%c%s%s%s%s\n", f, f & PSTATE_N ? 'N' : '-',
                  f & PSTATE_Z ? 'Z' : '-', f & PSTATE_C ? 'C' : '-', f & PSTATE_V ? 'V' : '-', s->el,
                  f & PSTATE_SP ? 'h' : 't', f & PSTATE_D ? 'D' : '-', f & PSTATE_A ? 'A' : '-',
                  f & PSTATE_I ? 'I' : '-', f & PSTATE_F ? 'F' : '-', f & PSTATE_PAN ? " PAN" : "",
                  f & PSTATE_IL ? " IL" : "", f & PSTATE_SS ? " SS" : "",
                  s->halted == HALTED_OFF ? " off" : s->halted ? " asleep" : "");
    for (unsigned i = 1; i <= 3; i++)
        if (a64_has_el(c, i))
            buffer_printf(out, "EL%u: SCTLR=%016llx ESR=%08llx FAR=%016llx ELR=%016llx SPSR=%08llx VBAR=%016llx\n", i,
                          (unsigned long long)s->sctlr[i], (unsigned long long)s->esr[i], (unsigned long long)s->far[i],
                          (unsigned long long)s->elr[i], (unsigned long long)s->spsr[i],
                          (unsigned long long)s->vbar[i]);
    buffer_printf(out, "TTBR0=%016llx TTBR1=%016llx TCR=%016llx\n", (unsigned long long)s->ttbr0[el],
                  (unsigned long long)s->ttbr1, (unsigned long long)s->tcr[el]);
    buffer_printf(out, "FPCR=%08x FPSR=%08x\n", s->fpcr, s->fpsr);
    for (unsigned i = 0; i < 32; i++)
        buffer_printf(out, "Q%02u=%016llx%016llx%s", i, (unsigned long long)s->v[i].d[1], (unsigned long long)s->v[i].d[0],
                      i & 1 ? "\n" : " ");
}
