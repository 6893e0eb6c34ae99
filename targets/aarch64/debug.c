/*
 * Self-hosted debug (DDI 0487 chapter D2): whether debug exceptions are enabled,
 * software step, breakpoint and watchpoint registers.
 *
 * The address comparisons are guest traps of the execution core
 * (ucpu_set_guest_traps); they are set while MDSCR_EL1.MDE is, and whether one
 * that is met counts here and now (level, security state, linked context) is decided
 * when it is met. Breakpoints that match a context and no address stop before any
 * instruction of it: they are events (a64_context_break), because whatever makes them
 * match, a change of level or of a register, ends a block.
 *
 * CONSTRAINED UNPREDICTABLE choices: reserved values of BT and of HMC:SSC:PMC, a link
 * to a breakpoint that does not match contexts, a reserved MASK, and MASK with a BAS that is not
 * all ones disable the breakpoint or watchpoint; of bytes selected with gaps between
 * them just those are watched.
 *
 * Not modelled: address mismatch (AArch32), what came after v8.0 (CONTEXTIDR_EL2,
 * 16-bit VMIDs), external debug.
 */
#include "aarch64/system.h"

#define BCR_E(v)   ((v) & 1)
#define BCR_PMC(v) ((unsigned)((v) >> 1) & 3)
#define BCR_HMC(v) ((unsigned)((v) >> 13) & 1)
#define BCR_SSC(v) ((unsigned)((v) >> 14) & 3)
#define BCR_LBN(v) ((unsigned)((v) >> 16) & 15)
#define BCR_BT(v)  ((unsigned)((v) >> 20) & 15)
#define WCR_WT(v)  ((unsigned)((v) >> 20) & 1)
#define WCR_LSC(v) ((unsigned)((v) >> 3) & 3)
#define WCR_BAS(v) ((unsigned)((v) >> 5) & 255)
#define WCR_MASK(v) ((unsigned)((v) >> 24) & 31)

/* DBGBCR_EL1.BT */
#define BT_LINKED  1u
#define BT_CONTEXT 2u /* with bit 3: VMID and CONTEXTIDR_EL1 */
#define BT_VMID    8u

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

/* ---- software step ---- */

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

/* ---- breakpoints and watchpoints ---- */

static bool is_secure(const struct a64_cpu *c)
{
    return c->st->el == 3 || a64_secure_below_el3(c);
}

/* Is this choice of levels and security states a reserved one, given the levels that exist? */
static bool reserved_choice(const struct a64_cpu *c, unsigned pmc, unsigned hmc, unsigned ssc)
{
    bool el2 = a64_has_el(c, 2), el3 = a64_has_el(c, 3);

    if (!hmc && (ssc == 3 || !pmc))
        return true;
    if (hmc && ((ssc < 2 && !(pmc & 1)) || (ssc == 2 && pmc == 2) || (ssc == 3 && pmc)))
        return true;
    if (!el3 && (ssc == 1 || ssc == 2))
        return true;
    if (!el3 && !el2 && (hmc || ssc) && !(hmc && ssc == 3))
        return true;
    return !el2 && hmc && ssc == 3;
}

/* Do the fields that choose levels and security states choose the present ones (tables D2-9
 * and D2-14)? `el` is 0 for unprivileged accesses. */
static bool chosen(const struct a64_cpu *c, unsigned el, unsigned pmc, unsigned hmc, unsigned ssc)
{
    bool secure = is_secure(c);

    if (reserved_choice(c, pmc, hmc, ssc) || (ssc == 1 && secure) || (ssc == 2 && !secure))
        return false;
    switch (el) {
    case 0:
        return pmc & 2;
    case 1:
        return pmc & 1;
    case 2:
        return hmc;
    default:
        return hmc && !(ssc & 1);
    }
}

/* Does what breakpoint n compares with the context (not the address) match, if it compares any?
 * `linked`: is it asked for a breakpoint or watchpoint that links to it? */
static bool context_matches(const struct a64_cpu *c, unsigned n, bool linked)
{
    const struct a64_state *s = c->st;
    uint64_t bcr, bvr;
    unsigned type;

    if (n >= A64_BREAKPOINTS || n < A64_BREAKPOINTS - A64_CONTEXT_BREAKPOINTS)
        return false;
    bcr = s->dbgbcr[n];
    bvr = s->dbgbvr[n];
    type = BCR_BT(bcr);
    if (!BCR_E(bcr) || (type & BT_LINKED) != linked)
        return false;
    type &= ~BT_LINKED;
    if (type != BT_CONTEXT && type != BT_VMID && type != (BT_VMID | BT_CONTEXT))
        return false;
    if (s->el > 1 || ((type & BT_VMID) && !a64_el2_enabled(c)))
        return false;
    if ((type & BT_CONTEXT) && (uint32_t)s->contextidr_el1 != (uint32_t)bvr)
        return false;
    return !(type & BT_VMID) || (s->vttbr_el2 >> 48 & 0xff) == (bvr >> 32 & 0xff);
}

/* Are the level, the security state and the linked context those of a control register? The
 * fields lie alike in DBGBCR and DBGWCR. */
static bool state_matches(const struct a64_cpu *c, unsigned el, uint64_t control, bool linked)
{
    return chosen(c, el, BCR_PMC(control), BCR_HMC(control), BCR_SSC(control)) &&
           (!linked || context_matches(c, BCR_LBN(control), true));
}

static uint64_t sign_extended(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 15) >> 15); /* RESS: bits 63-49 repeat bit 48 */
}

/* Does breakpoint i compare addresses? */
static bool breakpoint_set(const struct a64_state *s, unsigned i)
{
    return BCR_E(s->dbgbcr[i]) && !(BCR_BT(s->dbgbcr[i]) & ~BT_LINKED);
}

/* The bytes that a watchpoint watches. False: none. */
static bool watched_range(const struct a64_state *s, unsigned i, uint64_t *address, uint64_t *len)
{
    uint64_t wcr = s->dbgwcr[i];
    unsigned bas = WCR_BAS(wcr), mask = WCR_MASK(wcr);

    if (!BCR_E(wcr) || !WCR_LSC(wcr))
        return false;
    *address = sign_extended(s->dbgwvr[i] & ~UINT64_C(3));
    if (*address & 4)
        bas &= 15; /* a word's */
    if (!bas)
        return false;
    if (mask) {
        if (mask < 3 || WCR_BAS(wcr) != 255)
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

/* The exceptions of fetching the instruction come before a breakpoint's (D1.12.4). True: there is none. */
static bool fetchable(struct a64_cpu *c)
{
    return ucpu_probe(&c->u, c->u.tlb_mode, c->st->pc, 4, ACCESS_FETCH);
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
        if (!state_matches(c, s->el, bcr, BCR_BT(bcr) & BT_LINKED))
            continue;
        if (fetchable(c))
            a64_raise_to(c, a64_debug_target(c), EC_BREAK, FSC_DEBUG);
        return true;
    }
    return false;
}

bool a64_context_break(const struct a64_cpu *c)
{
    const struct a64_state *s = c->st;

    if (!(s->mdscr_el1 & MDSCR_MDE))
        return false;
    for (unsigned i = A64_BREAKPOINTS - A64_CONTEXT_BREAKPOINTS; i < A64_BREAKPOINTS; i++)
        if (context_matches(c, i, false) && state_matches(c, s->el, s->dbgbcr[i], false) && enabled(c))
            return true;
    return false;
}

void a64_raise_context_break(struct a64_cpu *c)
{
    if (fetchable(c))
        a64_raise_to(c, a64_debug_target(c), EC_BREAK, FSC_DEBUG);
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

/* The watchpoint of the bytes from `address` on that counts for this access, or none. */
static bool watchpoint_matches(const struct a64_cpu *c, uint64_t address, bool write)
{
    const struct a64_state *s = c->st;

    for (unsigned i = 0; i < A64_WATCHPOINTS; i++) {
        uint64_t wcr = s->dbgwcr[i];

        if ((WCR_LSC(wcr) & (write ? 2u : 1u)) && selected(s, i, address) &&
            state_matches(c, c->unprivileged ? 0 : s->el, wcr, WCR_WT(wcr)))
            return true;
    }
    return false;
}

/* Before an access to watched bytes: the exception instead of it. */
bool a64_guest_watch_early(struct ucpu *u, const struct trap_hit *hit)
{
    struct a64_cpu *c = a64_of(u);
    bool write = hit->kind == TRAP_WRITE;

    if (!(c->st->mdscr_el1 & MDSCR_MDE) || !enabled(c) || !watchpoint_matches(c, hit->address, write))
        return false;
    a64_raise_to(c, a64_debug_target(c), EC_WATCH, FSC_DEBUG | (write ? ISS_WNR : 0));
    c->exc.has_far = true;
    c->exc.far = hit->address;
    return true;
}

bool a64_guest_watch_line(struct a64_cpu *c, uint64_t va, unsigned bytes)
{
    uint64_t line = a64_untagged(&c->u, va) & ~(uint64_t)(bytes - 1);

    if (!(c->st->mdscr_el1 & MDSCR_MDE) || !enabled(c))
        return false;
    for (unsigned i = 0; i < bytes; i++) {
        if (!watchpoint_matches(c, line + i, true))
            continue;
        a64_raise_to(c, a64_debug_target(c), EC_WATCH, FSC_DEBUG | ISS_CM | ISS_WNR);
        c->exc.has_far = true;
        c->exc.far = va;
        return true;
    }
    return false;
}
