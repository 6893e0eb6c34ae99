/*
 * Last branches (SDM 3B 17.4.8 and 17.9 to 17.16; AMD APM 2, 13.1.1.6): while DEBUGCTL.LBR is set, where each taken branch,
 * interrupt and exception came from and went to. Instructions run one at a time meanwhile (exception.c), so that nothing is paid
 * for it while LBR is clear.
 *
 *   P6, AMD's                one, and the one that was the last before the last interrupt or exception
 *   Core 2 4, Core, Atom 8, NetBurst (models 3, 4, 6) and Nehalem and later 16
 *                            a stack, whose top is told, and the latter two, too
 *
 * NetBurst's, Core's and Atom's addresses are linear, the others' offsets in the code segment. Of Nehalem's and later ones' sources
 * bit 63 says that the branch was mispredicted: none is. MSR_LBR_SELECT leaves out some there; Haswell's makes a stack of calls.
 *
 * A #DB clears LBR before its own entry would be recorded, and so does an overflow's interrupt with FREEZE_LBRS_ON_PMI. RSM is
 * a branch, an SMI is none.
 */
#include "i386/insn.h"
#include "i386/lower.h"
#include "i386/protect.h"

/* MSR_LBR_SELECT: what is not recorded. */
enum {
    NOT_LEVEL_0 = 1, NOT_OTHERS = 2, NOT_JCC = 4, NOT_RELATIVE_CALL = 8, NOT_INDIRECT_CALL = 0x10, NOT_RETURN = 0x20,
    NOT_INDIRECT_JUMP = 0x40, NOT_RELATIVE_JUMP = 0x80, NOT_FAR = 0x100, CALL_STACK = 0x200,
};

unsigned i386_lbr_depth(const struct i386_model *m)
{
    switch (i386_generation(m)) {
    case GENERATION_OLD: return 0;
    case GENERATION_P6: case GENERATION_K8: case GENERATION_AMD10: return 1;
    case GENERATION_CORE2: return 4;
    case GENERATION_CORE: case GENERATION_ATOM: return 8;
    default: return 16;
    }
}

static bool is_linear(const struct i386_model *m)
{
    enum i386_generation g = i386_generation(m);

    return g >= GENERATION_NETBURST && g <= GENERATION_ATOM;
}

static bool selects(const struct i386_model *m)
{
    enum i386_generation g = i386_generation(m);

    return g >= GENERATION_NEHALEM && g <= GENERATION_HASWELL;
}

static void record(struct i386_cpu *c, uint64_t from, uint64_t to)
{
    struct i386_state *s = c->st;

    s->lbr_top = (s->lbr_top + 1) & (i386_lbr_depth(c->model) - 1);
    s->lbr_from[s->lbr_top] = selects(c->model) ? from & ~((uint64_t)1 << 63) : from;
    s->lbr_to[s->lbr_top] = to;
}

static uint64_t target(const struct i386_cpu *c)
{
    const struct i386_state *s = c->st;

    if (i386_64bit(s) || !is_linear(c->model))
        return s->rip;
    return (uint32_t)(s->seg[SEG_CS].base + s->rip);
}

/* Is what MSR_LBR_SELECT says of it that it is left out? */
static bool left_out(const struct i386_cpu *c, unsigned kind)
{
    return selects(c->model) && (c->st->lbr_select & (kind | (c->st->cpl ? NOT_OTHERS : NOT_LEVEL_0)));
}

/* The instruction in progress. False: its code is to be seen no more, after it changed what is where. */
static bool decode(const struct i386_cpu *c, struct insn *i)
{
    const struct block *b = c->u.block;
    uint8_t bytes[INSN_MAX_LEN];

    for (unsigned n = 0; n < b->len && n < sizeof bytes; n++) {
        paddr_t pa;

        if (!i386_translate(&c->u.cpu, b->key.va + n, &pa) || memory_read_bytes(&c->u.cpu.machine->memory, pa, &bytes[n], 1) != 1)
            return false;
    }
    return i386_decode(bytes, b->len, i386_decode_mode(b->key.mode), i) == DECODE_OK;
}

static unsigned kind_of(const struct insn *i)
{
    switch (i->op) {
    case INSN_JCC: case INSN_LOOPNE: case INSN_LOOPE: case INSN_LOOP: case INSN_JCXZ: return NOT_JCC;
    case INSN_JMP: return NOT_RELATIVE_JUMP;
    case INSN_JMP_IND: return NOT_INDIRECT_JUMP;
    case INSN_CALL: return NOT_RELATIVE_CALL;
    case INSN_CALL_IND: return NOT_INDIRECT_CALL;
    case INSN_RET: return NOT_RETURN;
    default: return NOT_FAR;
    }
}

/* LOOPcc and JCXZ, after them. */
static bool count_allows(const struct i386_cpu *c, const struct insn *i)
{
    const struct i386_state *s = c->st;
    uint64_t count = i->asize == 8 ? s->gpr[ECX] : i->asize == 4 ? (uint32_t)s->gpr[ECX] : (uint16_t)s->gpr[ECX];
    bool zero = flags_cond(&s->cc, COND_Z);

    if (i->op == INSN_JCXZ)
        return !count;
    return count && (i->op == INSN_LOOP || zero == (i->op == INSN_LOOPE));
}

/* It goes on behind itself: does it, as a branch that is taken? */
static bool branches_to_next(const struct i386_cpu *c, const struct insn *i)
{
    switch (i->op) {
    case INSN_JCC:
        return flags_cond(&c->st->cc, (enum cond)(i->opcode & 15));
    case INSN_LOOPNE: case INSN_LOOPE: case INSN_LOOP: case INSN_JCXZ:
        return count_allows(c, i);
    case INSN_JMP: case INSN_JMP_IND: case INSN_CALL: case INSN_CALL_IND: case INSN_RET: case INSN_JMPF: case INSN_JMPF_IND:
    case INSN_CALLF: case INSN_CALLF_IND: case INSN_RETF: case INSN_IRET: case INSN_INT: case INSN_INT3: case INSN_ICEBP:
    case INSN_SYSCALL: case INSN_SYSRET: case INSN_SYSENTER: case INSN_SYSEXIT:
        return true;
    default:
        return false;
    }
}

/* Haswell's stack of calls (17.11): returns take the top away; a call of what comes next is none. */
static bool stacks(struct i386_cpu *c, unsigned kind, bool next)
{
    struct i386_state *s = c->st;

    if (!selects(c->model) || !(s->lbr_select & CALL_STACK))
        return true;
    if (kind == NOT_RETURN) {
        s->lbr_from[s->lbr_top] = s->lbr_to[s->lbr_top] = 0;
        s->lbr_top = (s->lbr_top - 1) & (i386_lbr_depth(c->model) - 1);
        return false;
    }
    return !(kind == NOT_RELATIVE_CALL && next);
}

void i386_lbr_instruction(struct i386_cpu *c)
{
    const struct block *b = c->u.block;
    bool next = c->st->rip == i386_next_eip(c);
    unsigned kind = NOT_FAR;
    struct insn i;

    if (c->st->rep_active)
        return;
    if (next || (selects(c->model) && c->st->lbr_select)) {
        if (decode(c, &i))
            kind = kind_of(&i);
        else if (next)
            return;
        if (next && !branches_to_next(c, &i))
            return;
    }
    if (!left_out(c, kind) && stacks(c, kind, next))
        record(c, is_linear(c->model) ? b->key.va : b->key.pc, target(c));
}

void i386_lbr_event(struct i386_cpu *c, uint64_t base, uint64_t eip)
{
    struct i386_state *s = c->st;

    s->ler_from = s->lbr_from[s->lbr_top];
    s->ler_to = s->lbr_to[s->lbr_top];
    if (left_out(c, NOT_FAR))
        return;
    if (is_linear(c->model) && !i386_64bit(s))
        eip = (uint32_t)(base + eip);
    record(c, eip, target(c));
}
