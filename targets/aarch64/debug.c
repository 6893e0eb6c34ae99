/*
 * Self-hosted debug (DDI 0487 chapter D2): whether debug exceptions are enabled,
 * software step, breakpoint and watchpoint registers.
 *
 * The address comparisons are guest traps of the execution core
 * (ucpu_set_guest_traps); they are set while MDSCR_EL1.MDE is, and whether one
 * that is met counts here and now is decided when it is met.
 *
 * Not modelled: context-matching and linked breakpoints (ID_AA64DFR0_EL1 says
 * that breakpoint 5 alone can match contexts; it never does), address mismatch
 * (AArch32), external debug.
 */
#include "aarch64/system.h"

#define BCR_E(v)   ((v) & 1)
#define BCR_PMC(v) ((unsigned)((v) >> 1) & 3)
#define BCR_BAS(v) ((unsigned)((v) >> 5) & 15)
#define BCR_HMC(v) ((unsigned)((v) >> 13) & 1)
#define BCR_SSC(v) ((unsigned)((v) >> 14) & 3)
#define BCR_BT(v)  ((unsigned)((v) >> 20) & 15)
#define WCR_LSC(v) ((unsigned)((v) >> 3) & 3)
#define WCR_BAS(v) ((unsigned)((v) >> 5) & 255)
#define WCR_MASK(v) ((unsigned)((v) >> 24) & 31)

#define FSC_DEBUG 0x22u

unsigned a64_debug_target(const struct a64_cpu *c)
{
    if (a64_el2_enabled(c) && ((c->st->hcr_el2 & HCR_TGE) || (c->st->mdcr_el2 & MDCR_TDE)))
        return 2;
    return 1;
}

bool a64_debug_enabled_from(const struct a64_cpu *c, unsigned el, bool secure, bool masked)
{
    const struct a64_state *s = c->st;
    unsigned target = a64_debug_target(c);

    if ((s->oslsr_el1 & 2) || (s->osdlr_el1 & 1))
        return false;
    if (secure && (el == 3 || (s->mdcr_el3 & MDCR3_SDD)))
        return false;
    if (el < target)
        return true;
    return el == target && (s->mdscr_el1 & MDSCR_KDE) && !masked;
}

static bool enabled(const struct a64_cpu *c)
{
    const struct a64_state *s = c->st;

    return a64_debug_enabled_from(c, s->el, s->el == 3 || a64_secure_below_el3(c), s->pstate & PSTATE_D);
}

/* ---- software step -------------------------------------------------------------------- */

bool a64_step_active(const struct a64_cpu *c)
{
    return (c->st->mdscr_el1 & MDSCR_SS) && enabled(c);
}

bool a64_single_step(const struct ucpu *u)
{
    const struct a64_cpu *c = (const struct a64_cpu *)(const void *)u;

    return (c->st->pstate & PSTATE_SS) && a64_step_active(c);
}

/* LDXR and its kin, pairs and acquires too. */
static bool is_load_exclusive(uint32_t insn)
{
    return (insn & 0x3fc00000u) == 0x08400000u;
}

void a64_stepped(struct ucpu *u)
{
    struct a64_cpu *c = a64_of(u);
    uint32_t insn;
    bool ex = a64_peek_insn(c, u->block->key.va, &insn) && is_load_exclusive(insn);

    c->st->pstate &= ~PSTATE_SS;
    c->st->step_syndrome = 1u << 24 | (uint32_t)ex << 6;
}

/* ---- breakpoints and watchpoints --------------------------------------------------------- */

/* Do the fields that choose a level and a security state choose the present ones
 * (tables D2-9 and D2-14)? `el` is 0 for unprivileged accesses. */
static bool chosen(const struct a64_cpu *c, unsigned el, unsigned pmc, unsigned hmc, unsigned ssc)
{
    bool secure = c->st->el == 3 || a64_secure_below_el3(c);

    if ((ssc == 1 && secure) || (ssc == 2 && !secure))
        return false;
    switch (el) {
    case 0:
        return pmc & 2 && !(ssc == 3 && hmc && pmc == 2);
    case 1:
        return pmc & 1;
    case 2:
        return hmc && ssc != 2;
    default:
        return hmc && ssc != 1 && ssc != 3;
    }
}

static uint64_t sign_extended(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 15) >> 15); /* RESS: bits 63-49 repeat bit 48 */
}

static bool breakpoint_set(const struct a64_state *s, unsigned i)
{
    return BCR_E(s->dbgbcr[i]) && BCR_BT(s->dbgbcr[i]) == 0 && BCR_BAS(s->dbgbcr[i]);
}

/* The bytes that a watchpoint watches. False: none. */
static bool watched_range(const struct a64_state *s, unsigned i, uint64_t *address, uint64_t *len)
{
    uint64_t wcr = s->dbgwcr[i];
    unsigned bas = WCR_BAS(wcr), mask = WCR_MASK(wcr);

    if (!BCR_E(wcr) || !WCR_LSC(wcr) || !bas)
        return false;
    *address = sign_extended(s->dbgwvr[i] & ~UINT64_C(3));
    if (mask) {
        if (mask < 3 || bas != 255)
            return false;
        *len = BIT64(mask);
        *address &= ~(*len - 1);
        return true;
    }
    *address += (unsigned)__builtin_ctz(bas);
    *len = 32u - (unsigned)__builtin_clz(bas) - (unsigned)__builtin_ctz(bas);
    return true;
}

void a64_update_traps(struct a64_cpu *c)
{
    const struct a64_state *s = c->st;
    struct trap list[A64_BREAKPOINTS + A64_WATCHPOINTS];
    unsigned n = 0;

    for (unsigned i = 0; (s->mdscr_el1 & MDSCR_MDE) && i < A64_BREAKPOINTS; i++)
        if (breakpoint_set(s, i))
            list[n++] = (struct trap){.address = sign_extended(s->dbgbvr[i] & ~UINT64_C(3)), .len = 4, .kinds = TRAP_EXEC};
    for (unsigned i = 0; (s->mdscr_el1 & MDSCR_MDE) && i < A64_WATCHPOINTS; i++) {
        struct trap t = {0};

        if (!watched_range(s, i, &t.address, &t.len))
            continue;
        t.kinds = (WCR_LSC(s->dbgwcr[i]) & 1 ? TRAP_READ : 0) | (WCR_LSC(s->dbgwcr[i]) & 2 ? TRAP_WRITE : 0);
        list[n++] = t;
    }
    ucpu_set_guest_traps(&c->u, list, n);
}

bool a64_guest_break(struct ucpu *u, const struct trap_hit *hit)
{
    struct a64_cpu *c = a64_of(u);
    const struct a64_state *s = c->st;

    if (!(s->mdscr_el1 & MDSCR_MDE) || !enabled(c))
        return false;
    for (unsigned i = 0; i < A64_BREAKPOINTS; i++) {
        uint64_t bcr = s->dbgbcr[i];

        if (!breakpoint_set(s, i) || sign_extended(s->dbgbvr[i] & ~UINT64_C(3)) != hit->address)
            continue;
        if (!chosen(c, s->el, BCR_PMC(bcr), BCR_HMC(bcr), BCR_SSC(bcr)))
            continue;
        a64_raise_to(c, a64_debug_target(c), EC_BREAK, FSC_DEBUG);
        return true;
    }
    return false;
}

/* Is `address` one of the bytes that watchpoint i selects? */
static bool selected(const struct a64_state *s, unsigned i, uint64_t address)
{
    uint64_t first, len;

    if (!watched_range(s, i, &first, &len) || address < first || address - first >= len)
        return false;
    if (WCR_MASK(s->dbgwcr[i]))
        return true;
    return WCR_BAS(s->dbgwcr[i]) >> (address - sign_extended(s->dbgwvr[i] & ~UINT64_C(3))) & 1;
}

/* Before an access to watched bytes: the exception instead of it. */
bool a64_guest_watch_early(struct ucpu *u, const struct trap_hit *hit)
{
    struct a64_cpu *c = a64_of(u);
    const struct a64_state *s = c->st;
    unsigned lsc = hit->kind == TRAP_WRITE ? 2 : 1;

    if (!(s->mdscr_el1 & MDSCR_MDE) || !enabled(c))
        return false;
    for (unsigned i = 0; i < A64_WATCHPOINTS; i++) {
        uint64_t wcr = s->dbgwcr[i];

        if (!(WCR_LSC(wcr) & lsc) || !selected(s, i, hit->address))
            continue;
        if (!chosen(c, s->el, BCR_PMC(wcr), BCR_HMC(wcr), BCR_SSC(wcr)))
            continue;
        a64_raise_to(c, a64_debug_target(c), EC_WATCH, FSC_DEBUG | (hit->kind == TRAP_WRITE ? ISS_WNR : 0));
        c->exc.has_far = true;
        c->exc.far = hit->address;
        return true;
    }
    return false;
}
