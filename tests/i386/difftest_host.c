/*
 * Differential test of the integer instructions: random ones run on the host's
 * own processor and on the emulator, from the same state; registers, flags,
 * memory and exceptions must agree. Then the emulator runs them again with
 * blocks of one instruction, without optimisation, with the plain interpreter,
 * and compiled: position and state must be the same each time.
 *
 *   difftest_host [cases [seed]]
 *
 * Flags that the manual leaves undefined are masked. Not covered, since a user
 * program cannot run them: 16-bit code and addresses, system instructions, ports.
 * Exit status 77: this host cannot run 32-bit code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "i386/cpu.h"
#include "i386/insn.h"
#include "i386_host.h"
#include "i386_undefined.h"
#include "tests/whole/with_jit.h"

#define BASE      0x10000000u
#define SIZE      0x10000u       /* what both sides have */
#define CODE      (BASE + 0x0000u)
#define CODE_SIZE 0x2000u
#define DATA      (BASE + 0x4000u)
#define STACK     (BASE + 0x8000u)
#define AREA      0x2000u        /* bytes of data, of stack */
#define GUEST     0x20000u       /* RAM of the emulator: tables after SIZE */
#define TABLES    (BASE + SIZE)
#define GDT       (TABLES + 0x0000u)
#define IDT       (TABLES + 0x0800u)
#define TSS       (TABLES + 0x1000u)
#define HANDLERS  (TABLES + 0x2000u) /* 16 bytes for each vector, a HLT */
#define KSTACK    (TABLES + 0x4000u)

/* ---- random numbers ---- */

static uint64_t rng_state;

static uint32_t rnd(void)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng_state >> 33) ^ (uint32_t)(rng_state >> 13);
}

static uint32_t below(uint32_t n)
{
    return rnd() % n;
}

/* A value that is often near an edge. */
static uint32_t value(void)
{
    static const uint32_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000u,
                                     0xffffffffu, 9, 10, 0x99, 0x9a};

    switch (below(4)) {
    case 0:
        return edges[below(ARRAY_LEN(edges))] + (below(4) == 0 ? below(3) - 1 : 0);
    case 1:
        return below(256);
    default:
        return rnd();
    }
}

/* ---- cases ---- */

#define MAX_CODE 400

struct one_case {
    uint32_t gpr[8];
    uint32_t eflags;
    uint32_t eip;
    uint8_t code[MAX_CODE];
    unsigned len;
    uint32_t undefined; /* flags to ignore at the end */
    unsigned op;        /* the last instruction's */
    uint8_t data[AREA], stack[AREA];
};

static void byte(struct one_case *c, uint32_t b)
{
    c->code[c->len++] = (uint8_t)b;
}

static void bytes(struct one_case *c, const uint8_t *p, unsigned n)
{
    memcpy(c->code + c->len, p, n);
    c->len += n;
}

static void long_word(struct one_case *c, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        byte(c, v >> 8 * i);
}

static void mov_imm(struct one_case *c, unsigned r, uint32_t v)
{
    byte(c, 0xb8 + r);
    long_word(c, v);
}

/* A place in the middle of the data. */
static uint32_t data_pointer(void)
{
    return DATA + AREA / 4 + below(AREA / 2);
}

/* Which instructions are generated, and how. */
enum how { NEVER, PLAIN, STACKY, STRINGY, BRANCHY, SPECIAL };

static enum how how_of(unsigned op)
{
    switch (op) {
    case INSN_ADD: case INSN_OR: case INSN_ADC: case INSN_SBB: case INSN_AND: case INSN_SUB: case INSN_XOR:
    case INSN_CMP: case INSN_ROL: case INSN_ROR: case INSN_RCL: case INSN_RCR: case INSN_SHL: case INSN_SHR:
    case INSN_SAL: case INSN_SAR: case INSN_TEST: case INSN_NOT: case INSN_NEG: case INSN_MUL: case INSN_IMUL1:
    case INSN_DIV: case INSN_IDIV: case INSN_INC: case INSN_DEC: case INSN_MOV: case INSN_XCHG: case INSN_LEA:
    case INSN_NOP: case INSN_ARPL: case INSN_IMUL: case INSN_IMUL3: case INSN_SETCC: case INSN_CMOVCC:
    case INSN_CBW: case INSN_CWD: case INSN_SAHF: case INSN_LAHF: case INSN_CMC: case INSN_CLC: case INSN_STC:
    case INSN_CLD: case INSN_STD: case INSN_DAA: case INSN_DAS: case INSN_AAA: case INSN_AAS: case INSN_AAM:
    case INSN_AAD: case INSN_SALC: case INSN_MOVZX: case INSN_MOVSX: case INSN_BSWAP: case INSN_BT: case INSN_BTS:
    case INSN_BTR: case INSN_BTC: case INSN_BSF: case INSN_BSR: case INSN_SHLD: case INSN_SHRD: case INSN_CMPXCHG:
    case INSN_CMPXCHG8B: case INSN_XADD: case INSN_MOV_FROM_SREG: case INSN_BOUND: case INSN_XLAT:
        return PLAIN;
    case INSN_PUSH: case INSN_POP: case INSN_PUSHA: case INSN_POPA: case INSN_PUSHF: case INSN_POPF: case INSN_ENTER:
    case INSN_LEAVE: case INSN_PUSH_SREG:
        return STACKY;
    case INSN_MOVS: case INSN_CMPS: case INSN_STOS: case INSN_LODS: case INSN_SCAS:
        return STRINGY;
    case INSN_JCC: case INSN_JMP: case INSN_CALL: case INSN_LOOP: case INSN_LOOPE: case INSN_LOOPNE: case INSN_JCXZ:
        return BRANCHY;
    case INSN_RET: case INSN_JMP_IND: case INSN_CALL_IND: case INSN_INT3: case INSN_INTO: case INSN_UD:
        return SPECIAL;
    default:
        return NEVER;
    }
}

static bool reads_auxiliary(unsigned op)
{
    return op == INSN_PUSHF || op == INSN_LAHF || op == INSN_DAA || op == INSN_DAS || op == INSN_AAA || op == INSN_AAS;
}

static bool is_prefix(uint8_t b)
{
    return b == 0x66 || b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0xf0 || b == 0xf2 || b == 0xf3;
}

static unsigned prefixes_of(const uint8_t *b)
{
    unsigned n = 0;

    while (is_prefix(b[n]))
        n++;
    return n;
}

/* Does the host write all of the slot when it pushes a segment register as 32 bits? Intel's later processors write 16 (SDM 2B, PUSH);
 * then there is none of that. */
static bool pushes_all_of_segments;

static bool probe_push_of_segment(void)
{
    uint8_t *host = (uint8_t *)(uintptr_t)BASE, *slot = host + (STACK - BASE) + AREA / 2 - 4;
    struct host32_regs h = {.eip = CODE, .eflags = 0x202};

    h.gpr[ESP] = STACK + AREA / 2;
    host[CODE - BASE] = 0x0e; /* push cs */
    host32_leave(host + (CODE - BASE) + 1);
    memset(slot, 0xff, 4);
    host32_run(&h);
    return !slot[2] && !slot[3];
}

/* Random bytes that decode to something wanted. */
static void pick(uint8_t *b, struct insn *i, bool plain_only)
{
    for (;;) {
        unsigned at = 0;
        enum how h;

        if (below(4) == 0)
            b[at++] = 0x66;
        if (below(12) == 0)
            b[at++] = (const uint8_t[]){0x26, 0x2e, 0x36, 0x3e}[below(4)];
        if (below(12) == 0)
            b[at++] = (const uint8_t[]){0xf0, 0xf2, 0xf3}[below(3)];
        if (below(3) == 0)
            b[at++] = 0x0f;
        while (at < 16)
            b[at++] = (uint8_t)(below(8) ? rnd() : value());
        if (i386_decode(b, 16, DECODE_CODE32 | DECODE_P6, i) != DECODE_OK)
            continue;
        h = how_of(i->op);
        if (b[prefixes_of(b)] >= 0x64 && b[prefixes_of(b)] <= 0x67)
            continue; /* 16-bit addresses; FS and GS are the host's own */
        if (h == NEVER || (plain_only && h != PLAIN))
            continue;
        if ((i->flags & (INSN_REP | INSN_REPNE)) && h != STRINGY)
            continue; /* ignored or not: depends on the generation (PAUSE, LZCNT, TZCNT...) */
        if (i->op == INSN_PUSH_SREG && i->osize == 4 && !pushes_all_of_segments)
            continue;
        if ((i->op == INSN_IMUL3 || i->op == INSN_BOUND || i->op == INSN_MOVZX) && below(2))
            continue;
        return;
    }
}

/* The register operand that a wild write would make the stack pointer. */
static bool writes_esp(const struct insn *i)
{
    for (unsigned n = 0; n < 2; n++)
        if (i->arg[n].kind == OPERAND_REG && i->arg[n].reg == ESP && i->arg[n].size > 1)
            return true;
    return false;
}

/* Append the instruction at b, its memory operand moved into the data area by a
 * choice of addressing form. */
static void place(struct one_case *c, const uint8_t *b, const struct insn *i)
{
    unsigned prefix_len = prefixes_of(b), opcode_len, reg = i->modrm & 0x38, base, index, scale, small;
    uint32_t target = data_pointer();
    bool bit_string = i->op >= INSN_BT && i->op <= INSN_BTC && i->arg[1].kind == OPERAND_REG;

    opcode_len = i->map ? 2 : 1;
    if (!(i->flags & INSN_MEM)) {
        bytes(c, b, i->len);
        return;
    }
    if (!(i->flags & INSN_MODRM)) { /* MOV with an offset */
        bytes(c, b, prefix_len + opcode_len);
        long_word(c, target);
        return;
    }
    if (bit_string) /* the bit offset stays near */
        mov_imm(c, i->arg[1].reg, below(4096) - 2048);
    do
        base = below(8);
    while (base == ESP || base == ECX || (bit_string && base == i->arg[1].reg));
    do
        index = below(8);
    while (index == ESP || index == ECX || index == base || (bit_string && index == i->arg[1].reg));
    scale = below(4);
    small = below(64);
    switch (below(3)) {
    case 0: /* [disp32] */
        bytes(c, b, prefix_len + opcode_len);
        byte(c, 0x05 | reg);
        long_word(c, target);
        break;
    case 1: /* [base + disp8] */
        mov_imm(c, base, target - 16);
        bytes(c, b, prefix_len + opcode_len);
        byte(c, 0x40 | reg | base);
        byte(c, 16);
        break;
    default: /* [base + index * scale + disp32] */
        mov_imm(c, base, target + 0x1000);
        mov_imm(c, index, small);
        bytes(c, b, prefix_len + opcode_len);
        byte(c, 0x84 | reg);
        byte(c, scale << 6 | index << 3 | base);
        long_word(c, 0u - 0x1000u - (small << scale));
    }
    /* the immediate, if any, is at the end */
    {
        unsigned imm = 0;

        for (unsigned n = 0; n < 3; n++)
            if (i->arg[n].kind == OPERAND_IMM && !(i->opcode >= 0xd0 && i->opcode <= 0xd3 && !i->map))
                imm = i->opcode == 0x83 || i->opcode == 0x6b || i->opcode == 0xc1 ? 1 : i->arg[n].size;
        bytes(c, b + i->len - imm, imm);
    }
}

/* Replace a random target by one a few bytes ahead, over harmless instructions. */
static void place_branch(struct one_case *c, const uint8_t *b, const struct insn *i)
{
    unsigned ahead = below(6), wide = i->arg[0].size, at;

    bytes(c, b, i->len - wide);
    at = c->len;
    for (unsigned n = 0; n < wide; n++)
        byte(c, n ? 0 : ahead);
    (void)at;
    for (unsigned n = 0; n < ahead; n++)
        byte(c, 0x40 + (unsigned[]){EAX, ECX, EDX, EBX, ESI, EDI}[n]);
}

static void place_special(struct one_case *c, const struct insn *i)
{
    uint32_t after;
    unsigned r = (const unsigned[]){EAX, EDX, EBX, ESI, EDI, EBP}[below(6)];

    switch (i->op) {
    case INSN_RET:
        byte(c, 0x68); /* push the address after the return */
        after = c->eip + c->len + 4 + (i->arg[0].kind == OPERAND_IMM ? 3 : 1);
        long_word(c, after);
        if (i->arg[0].kind == OPERAND_IMM) {
            byte(c, 0xc2);
            byte(c, below(64));
            byte(c, 0);
        } else {
            byte(c, 0xc3);
        }
        break;
    case INSN_JMP_IND:
    case INSN_CALL_IND:
        after = c->eip + c->len + 5 + 2;
        mov_imm(c, r, after);
        byte(c, 0xff);
        byte(c, (i->op == INSN_CALL_IND ? 0xd0 : 0xe0) | r);
        break;
    case INSN_INT3:
        byte(c, 0xcc);
        break;
    case INSN_INTO:
        byte(c, 0xce);
        break;
    default:
        byte(c, 0x0f);
        byte(c, 0x0b);
    }
}

/* Append one random instruction with what it needs before it. False: not this one. */
static bool append(struct one_case *c, bool plain_only, bool defined_only)
{
    uint8_t b[16];
    struct insn i;
    uint32_t cl = below(4) ? below(34) : rnd() & 0xff, undefined, pointer;
    bool divides;

    if (c->len > MAX_CODE - 80)
        return false;
    pick(b, &i, plain_only);
    if (writes_esp(&i) && how_of(i.op) == PLAIN)
        return false;
    undefined = undefined_flags(&i, cl);
    if ((defined_only && (undefined & ~FLAG_A)) || undefined_result(&i, cl))
        return false;
    if ((c->undefined & FLAG_A) && reads_auxiliary(i.op))
        return false;
    divides = i.op == INSN_DIV || i.op == INSN_IDIV;
    if (divides && below(4)) {
        mov_imm(c, EDX, below(2) ? 0 : below(100));
        if (i.arg[0].size == 1)
            mov_imm(c, EAX, below(256));
    }
    if ((i.arg[1].kind == OPERAND_REG || i.arg[2].kind == OPERAND_REG) &&
        (i.op == INSN_SHLD || i.op == INSN_SHRD || (i.op >= INSN_ROL && i.op <= INSN_SAR)))
        mov_imm(c, ECX, (rnd() & ~0xffu) | cl);
    if (i.op == INSN_XLAT)
        mov_imm(c, EBX, data_pointer());
    switch (how_of(i.op)) {
    case STACKY:
        mov_imm(c, ESP, STACK + AREA / 2 + below(64) * (below(8) ? 4 : 1));
        if (i.op == INSN_ENTER || i.op == INSN_LEAVE)
            mov_imm(c, EBP, STACK + AREA / 2 + below(64) * 4);
        if (i.op == INSN_ENTER) { /* few bytes */
            byte(c, 0xc8);
            byte(c, below(256));
            byte(c, below(4));
            byte(c, below(3) ? 0 : below(256));
            break;
        }
        if (i.op == INSN_POPF) {
            byte(c, 0x68);
            long_word(c, rnd() & ~(EFLAGS_TF | EFLAGS_AC | EFLAGS_NT | EFLAGS_ID | EFLAGS_RF));
        }
        if ((i.flags & INSN_MEM) && i.op == INSN_POP && below(4) == 0) { /* based on ESP */
            static const uint8_t pop[] = {0x8f, 0x44, 0x24, 0x20};

            bytes(c, pop, sizeof pop);
            break;
        }
        place(c, b, &i);
        break;
    case STRINGY:
        mov_imm(c, ESI, data_pointer());
        mov_imm(c, EDI, data_pointer());
        if (below(3) == 0) { /* overlapping */
            c->len -= 10;
            pointer = data_pointer();
            mov_imm(c, ESI, pointer);
            mov_imm(c, EDI, pointer + below(17) - 8);
        }
        mov_imm(c, ECX, below(4) ? below(20) : below(300));
        place(c, b, &i);
        break;
    case BRANCHY:
        if (i.osize == 2)
            return false; /* would truncate EIP */
        if (i.op == INSN_CALL)
            mov_imm(c, ESP, STACK + AREA / 2);
        place_branch(c, b, &i);
        break;
    case SPECIAL:
        mov_imm(c, ESP, STACK + AREA / 2);
        place_special(c, &i);
        break;
    default:
        place(c, b, &i);
    }
    c->undefined |= undefined;
    c->op = i.op;
    return true;
}

static void make_case(struct one_case *c)
{
    unsigned n;

    memset(c, 0, sizeof *c);
    for (unsigned r = 0; r < 8; r++)
        c->gpr[r] = value();
    c->gpr[ESP] = STACK + AREA / 2;
    c->eflags = (rnd() & (FLAGS_ALL | EFLAGS_DF)) | EFLAGS_1 | EFLAGS_IF;
    if (below(3))
        c->eflags &= ~EFLAGS_DF;
    c->eip = CODE + (below(8) ? below(0x800) : 0x1000 - below(60));
    for (unsigned k = 0; k < AREA; k += 4) {
        uint32_t v = value();

        memcpy(c->data + k, &v, 4);
        v = value();
        memcpy(c->stack + k, &v, 4);
    }
    /* one instruction of any kind, or a run of those that leave nothing undefined */
    if (below(2)) {
        while (!append(c, false, false))
            c->len = 0;
        return;
    }
    n = 2 + below(12);
    while (n) {
        unsigned len = c->len;

        if (len > MAX_CODE - 80)
            return;
        if (append(c, below(2), true))
            n--;
        else
            c->len = len;
    }
}

/* ---- the emulator's side ---- */

struct guest {
    struct machine *m;
    struct i386_cpu *c;
    uint8_t *ram; /* at BASE */
    uint8_t *initial; /* RAM as it was made */
};

struct outcome {
    struct host32_regs regs;
    icount_t steps;
};

static void poke(struct guest *g, uint32_t address, uint32_t v)
{
    memcpy(g->ram + (address - BASE), &v, 4);
}

/* GDT with the host's selectors for user code and data, IDT whose handlers stop. */
static void make_tables(struct guest *g)
{
    static const uint64_t descriptors[6] = {0, 0x00cf9b000000ffffu, 0x00cf93000000ffffu, 0, 0x00cffb000000ffffu,
                                            0x00cff3000000ffffu};

    memcpy(g->ram + (GDT - BASE), descriptors, sizeof descriptors);
    for (unsigned v = 0; v < 256; v++) {
        uint32_t to = HANDLERS + 16 * v;

        poke(g, IDT + 8 * v, 0x00080000u | (to & 0xffff));
        poke(g, IDT + 8 * v + 4, (to & 0xffff0000u) | (v == 3 || v == 4 ? 0xee00 : 0x8e00));
        g->ram[to - BASE] = 0xf4;
    }
    poke(g, TSS + 4, KSTACK + 0x1000);
    poke(g, TSS + 8, 0x10);
    poke(g, TSS + 0x64, 0x00680000);
}

static void guest_init(struct guest *g, const char *model)
{
    static const struct machine_env env = {0};
    struct region ram = {.base = BASE, .size = GUEST, .kind = REGION_RAM, .enabled = true};

    g->m = machine_create(GUEST >> PAGE_SHIFT);
    g->m->env = &env;
    g->m->stop_when_idle = true;
    ram.page = memory_alloc(&g->m->memory, "ram", GUEST);
    memory_map(&g->m->memory, &ram);
    g->ram = g->m->memory.host + ((size_t)ram.page << PAGE_SHIFT);
    g->c = i386_create(g->m, i386_model_find(model));
    machine_reset(g->m);
    make_tables(g);
}

static struct i386_segment flat(uint16_t selector, unsigned type, unsigned dpl)
{
    return (struct i386_segment){.selector = selector, .limit = 0xffffffffu, .valid = 1,
        .attr = (uint16_t)(type | SEG_ATTR_S | dpl << 5 | SEG_ATTR_P | SEG_ATTR_DB | SEG_ATTR_G)};
}

static void guest_prepare(struct guest *g, const struct one_case *c)
{
    struct i386_state *st = g->c->st;
    struct memory *mem = &g->m->memory;

    memory_write_bytes(mem, c->eip, c->code, c->len, false);
    memory_write_bytes(mem, c->eip + c->len, "\xf4", 1, false); /* HLT: #GP in user code */
    memory_write_bytes(mem, DATA, c->data, AREA, false);
    memory_write_bytes(mem, STACK, c->stack, AREA, false);
    for (unsigned r = EAX; r <= EDI; r++)
        st->gpr[r] = c->gpr[r];
    st->rip = c->eip;
    st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = c->eflags & FLAGS_ALL};
    st->eflags = c->eflags & ~FLAGS_ALL;
    st->cr0 = CR0_PE | CR0_ET | CR0_NE;
    st->cpl = 3;
    st->halted = 0;
    st->seg[SEG_CS] = flat(HOST32_CS, 11, 3);
    st->seg[SEG_SS] = st->seg[SEG_DS] = st->seg[SEG_ES] = flat(HOST32_DS, 3, 3);
    st->seg[SEG_FS] = st->seg[SEG_GS] = (struct i386_segment){0};
    st->seg[SEG_TR] = (struct i386_segment){.selector = 0x30, .base = TSS, .limit = 0x67, .valid = 1,
                                            .attr = SEG_ATTR_P | 11};
    st->gdtr = (struct i386_dtr){.base = GDT, .limit = 0x2f};
    st->idtr = (struct i386_dtr){.base = IDT, .limit = 0x7ff};
    i386_mode_changed(g->c);
    ucpu_flush_tlb(&g->c->u);
}

static uint32_t peek(const struct guest *g, uint32_t address)
{
    uint32_t v;

    memcpy(&v, g->ram + (address - BASE), 4);
    return v;
}

static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* Run to the exception that ends it, and take the state back from the frame. */
static bool guest_run(struct guest *g, const struct one_case *c, struct outcome *o)
{
    struct i386_state *st = g->c->st;
    icount_t from = g->m->st->position;
    struct stop stop;
    uint32_t frame, vector;

    guest_prepare(g, c);
    machine_run(g->m, from + 100000, &stop);
    if (stop.kind != STOP_IDLE || st->rip < HANDLERS || st->rip >= HANDLERS + 0x1000) {
        fprintf(stderr, "the emulator stopped with %d at %08x\n", stop.kind, (unsigned)st->rip);
        return false;
    }
    vector = (st->rip - HANDLERS) / 16;
    frame = st->gpr[ESP];
    o->regs.error = 0;
    if (has_error_code(vector)) {
        o->regs.error = peek(g, frame);
        frame += 4;
    }
    for (unsigned r = EAX; r <= EDI; r++)
        o->regs.gpr[r] = (uint32_t)st->gpr[r];
    o->regs.vector = vector;
    o->regs.eip = peek(g, frame);
    o->regs.eflags = peek(g, frame + 8);
    o->regs.gpr[ESP] = peek(g, frame + 12);
    o->steps = g->m->st->position - from;
    if (vector == EXC_GP && o->regs.eip == c->eip + c->len) {
        o->regs.vector = HOST32_DONE;
        o->regs.error = 0;
        o->regs.eip = 0;
    }
    return true;
}

/* ---- comparison ---- */

static void print_case(const struct one_case *c)
{
    printf("  at %08x:", c->eip);
    for (unsigned n = 0; n < c->len; n++)
        printf(" %02x", c->code[n]);
    printf("\n  eflags %08x", c->eflags);
    for (unsigned r = 0; r < 8; r++)
        printf(" %s=%08x", &"eax\0ecx\0edx\0ebx\0esp\0ebp\0esi\0edi"[4 * r], c->gpr[r]);
    printf("\n");
}

static void print_regs(const char *who, const struct host32_regs *r)
{
    printf("  %-8s vector %u error %x eip %08x eflags %08x", who, r->vector, r->error, r->eip, r->eflags);
    for (unsigned n = 0; n < 8; n++)
        printf(" %08x", r->gpr[n]);
    printf("\n");
}

static bool same_memory(const char *name, const uint8_t *host, const uint8_t *guest, uint32_t base)
{
    for (unsigned n = 0; n < AREA; n++)
        if (host[n] != guest[n]) {
            printf("  %s at %08x: host %02x, emulator %02x\n", name, base + n, host[n], guest[n]);
            return false;
        }
    return true;
}

static bool same_regs(const struct one_case *c, const struct host32_regs *host, const struct host32_regs *guest)
{
    uint32_t flags = (FLAGS_ALL | EFLAGS_DF) & ~c->undefined;
    return !memcmp(host->gpr, guest->gpr, sizeof host->gpr) && host->vector == guest->vector &&
           host->eip == guest->eip && !((host->eflags ^ guest->eflags) & flags);
}

enum way { NOT_OPTIMISED, SINGLE, PLAIN_SWITCH, NO_CACHE, COMPILED, COMPILED_NOT_OPTIMISED, WAYS };

static const char *const ways[WAYS] = {
    "not optimised", "one instruction at a time", "plain switch", "without a cache", "compiled", "compiled, not optimised",
};

/* The same again in every way of running; all must agree to the last step. */
static bool same_every_way(struct guest *g, struct guest *jit, const struct one_case *c, const struct outcome *first,
                           const uint8_t *after)
{
    bool good = true;

    for (unsigned way = 0; way < WAYS && good; way++) {
        struct guest *guest = way >= COMPILED ? jit : g;
        struct ucpu *u = &guest->c->u;
        struct outcome o;

        u->no_optimise = way == NOT_OPTIMISED || way == COMPILED_NOT_OPTIMISED;
        u->single = way == SINGLE;
        u->plain_switch = way == PLAIN_SWITCH;
        u->no_cache = way == NO_CACHE;
        good = guest_run(guest, c, &o) && !memcmp(&o.regs, &first->regs, sizeof o.regs) && o.steps == first->steps &&
               !memcmp(after, guest->ram, SIZE);
        u->no_optimise = u->single = u->plain_switch = u->no_cache = false;
        if (!good) {
            printf("running it another way (%s) ends differently: %llu steps, not %llu\n", ways[way],
                   (unsigned long long)o.steps, (unsigned long long)first->steps);
            print_regs("first", &first->regs);
            print_regs("now", &o.regs);
        }
    }
    return good;
}

static bool run_case(struct guest *g, struct guest *jit, const struct one_case *c)
{
    static uint8_t after[SIZE];
    uint8_t *host = (uint8_t *)(uintptr_t)BASE;
    struct host32_regs h = {.eip = c->eip, .eflags = c->eflags};
    struct outcome o;
    bool good;

    memcpy(h.gpr, c->gpr, sizeof h.gpr);
    memcpy(host + (c->eip - BASE), c->code, c->len);
    host32_leave(host + (c->eip - BASE) + c->len);
    memcpy(host + (DATA - BASE), c->data, AREA);
    memcpy(host + (STACK - BASE), c->stack, AREA);
    host32_run(&h);
    if (!guest_run(g, c, &o)) {
        print_case(c);
        return false;
    }
    memcpy(after, g->ram, SIZE);
    good = same_regs(c, &h, &o.regs);
    good &= same_memory("data", host + (DATA - BASE), g->ram + (DATA - BASE), DATA);
    good &= same_memory("stack", host + (STACK - BASE), g->ram + (STACK - BASE), STACK);
    if (!good) {
        print_case(c);
        print_regs("host", &h);
        print_regs("emulator", &o.regs);
        printf("  flags undefined: %03x, instruction %u\n", c->undefined, c->op);
        return false;
    }
    good = same_every_way(g, jit, c, &o, after);
    if (!good)
        print_case(c);
    return good;
}

/* ---- the whole ---- */

static unsigned covered[INSN_COUNT];

static bool all_covered(void)
{
    bool all = true;

    for (unsigned op = 0; op < INSN_COUNT; op++)
        if (how_of(op) != NEVER && op != INSN_UD && !covered[op]) {
            printf("instruction %u was never generated\n", op);
            all = false;
        }
    return all;
}

int main(int argc, char **argv)
{
    unsigned long cases = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000, failures = 0;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    static struct one_case c;
    struct guest g, jit;

    if (!host32_init(BASE, SIZE)) {
        printf("this host cannot run 32-bit code\n");
        return 77;
    }
    pushes_all_of_segments = probe_push_of_segment();
    guest_init(&g, "pentium4");
    guest_init(&jit, "pentium4");
    with_jit(&jit.c->u);
    for (unsigned long n = 0; n < cases && failures < 10; n++) {
        rng_state = seed * 1000003u + n;
        for (unsigned k = 0; k < 4; k++)
            rnd();
        make_case(&c);
        covered[c.op]++;
        if (!run_case(&g, &jit, &c)) {
            printf("case %lu of seed %lu differs\n", n, seed);
            failures++;
        }
    }
    printf("%llu blocks were compiled\n", blocks_compiled(&jit.c->u));
    machine_destroy(g.m);
    machine_destroy(jit.m);
    if (failures || (cases >= 10000 && !all_covered()))
        return 1;
    printf("%lu cases agree\n", cases);
    return 0;
}
