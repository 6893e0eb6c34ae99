/*
 * Differential test of the integer instructions in 64-bit mode: random ones run on the host's own
 * processor and on the emulator, from the same state; registers, flags, memory and exceptions must
 * agree. Then the emulator runs them again with blocks of one instruction, without
 * optimisation, with the plain interpreter, and compiled: position and state must be the same each time.
 *
 *   difftest_host64 [cases [seed]]
 *
 * Both sides have the same memory at a low and at a high address; the emulator's is behind four
 * levels of page tables, at privilege level 3. Not covered, since a user program cannot run them: system
 * instructions, ports. Exit status 77: the host is no x86-64 Linux.
 */
#if defined(__x86_64__) && defined(__linux__)
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "i386/cpu.h"
#include "i386/insn.h"
#include "i386/protect.h"
#include "i386_undefined.h"
#include "tests/whole/with_jit.h"

#define SIZE      0x10000u /* what both sides have */
#define CODE      0x0000u
#define DATA      0x4000u
#define STACK     0x8000u
#define AREA      0x2000u
/* The emulator's own, behind SIZE. */
#define GDT       0x10000u
#define IDT       0x11000u
#define TSS       0x12000u
#define HANDLERS  0x13000u
#define KSTACK    0x15000u
#define PAGES     0x18000u
#define GUEST     0x40000u

static const uint64_t bases[2] = {0x40000000u, 0x2bcdef000000u};

/* ---- random numbers ---- */

static uint64_t rng_state;

static uint64_t rnd(void)
{
    uint64_t z = rng_state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(rnd() >> 20) % n;
}

static uint64_t value(void)
{
    static const uint64_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000u, 0xffffffffu,
                                     0x100000000u, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX, 63, 64};

    switch (below(4)) {
    case 0: return edges[below(ARRAY_LEN(edges))] + (below(4) ? 0 : below(3) - 1);
    case 1: return below(256);
    case 2: return (uint64_t)(int64_t)(int32_t)rnd();
    default: return rnd();
    }
}

/* ---- cases ---- */

#define MAX_CODE 500

struct one_case {
    uint64_t base;
    uint64_t gpr[16];
    uint64_t rip;
    uint32_t eflags, undefined;
    uint8_t code[MAX_CODE];
    unsigned len, op;
    uint8_t data[AREA], stack[AREA];
};

struct regs {
    uint64_t gpr[16], rip, rflags;
    uint64_t vector;
};

static void byte(struct one_case *c, unsigned b) { c->code[c->len++] = (uint8_t)b; }
static void bytes(struct one_case *c, const void *p, unsigned n)
{
    memcpy(c->code + c->len, p, n);
    c->len += n;
}
static void word32(struct one_case *c, uint32_t v) { bytes(c, &v, 4); }

static void mov_imm(struct one_case *c, unsigned r, uint64_t v)
{
    byte(c, 0x48 | r >> 3);
    byte(c, 0xb8 | (r & 7));
    bytes(c, &v, 8);
}

static uint64_t data_pointer(const struct one_case *c)
{
    return c->base + DATA + AREA / 4 + below(AREA / 2);
}

enum how { NEVER, PLAIN, STACKY, STRINGY, BRANCHY, SPECIAL };

/* Has the host the instruction, and the emulator? Only those of which processors may have none are asked for. */
static bool there(unsigned op)
{
    const struct i386_model *m = i386_model_find("max");

    switch (op) {
    case INSN_POPCNT: return __builtin_cpu_supports("popcnt") && i386_has(m, FEATURE_POPCNT);
    case INSN_LZCNT: return __builtin_cpu_supports("lzcnt") && i386_has(m, FEATURE_ABM);
    case INSN_CRC32: return __builtin_cpu_supports("sse4.2") && i386_has(m, FEATURE_SSE42);
    case INSN_ADCX: case INSN_ADOX: return __builtin_cpu_supports("adx") && i386_has(m, FEATURE_ADX);
    case INSN_TZCNT: case INSN_ANDN: case INSN_BLSR: case INSN_BLSMSK: case INSN_BLSI: case INSN_BEXTR:
        return __builtin_cpu_supports("bmi") && i386_has(m, FEATURE_BMI1);
    case INSN_BZHI: case INSN_SHLX: case INSN_SARX: case INSN_SHRX: case INSN_MULX: case INSN_PDEP: case INSN_PEXT: case INSN_RORX:
        return __builtin_cpu_supports("bmi2") && i386_has(m, FEATURE_BMI2);
    default: return true;
    }
}

static enum how how_of(unsigned op)
{
    switch (op) {
    case INSN_ADD: case INSN_OR: case INSN_ADC: case INSN_SBB: case INSN_AND: case INSN_SUB: case INSN_XOR: case INSN_CMP:
    case INSN_ROL: case INSN_ROR: case INSN_RCL: case INSN_RCR: case INSN_SHL: case INSN_SHR: case INSN_SAL: case INSN_SAR:
    case INSN_TEST: case INSN_NOT: case INSN_NEG: case INSN_MUL: case INSN_IMUL1: case INSN_DIV: case INSN_IDIV:
    case INSN_INC: case INSN_DEC: case INSN_MOV: case INSN_XCHG: case INSN_LEA: case INSN_NOP: case INSN_IMUL:
    case INSN_IMUL3: case INSN_SETCC: case INSN_CMOVCC: case INSN_CBW: case INSN_CWD: case INSN_SAHF: case INSN_LAHF:
    case INSN_CMC: case INSN_CLC: case INSN_STC: case INSN_CLD: case INSN_STD: case INSN_MOVZX: case INSN_MOVSX:
    case INSN_MOVSXD: case INSN_BSWAP: case INSN_BT: case INSN_BTS: case INSN_BTR: case INSN_BTC: case INSN_BSF:
    case INSN_BSR: case INSN_SHLD: case INSN_SHRD: case INSN_CMPXCHG: case INSN_CMPXCHG8B: case INSN_CMPXCHG16B:
    case INSN_XADD: case INSN_XLAT: case INSN_MOVBE:
    case INSN_POPCNT: case INSN_TZCNT: case INSN_LZCNT: case INSN_ADCX: case INSN_ADOX: case INSN_CRC32: case INSN_ANDN:
    case INSN_BLSR: case INSN_BLSMSK: case INSN_BLSI: case INSN_BZHI: case INSN_BEXTR: case INSN_SHLX: case INSN_SARX:
    case INSN_SHRX: case INSN_MULX: case INSN_PDEP: case INSN_PEXT: case INSN_RORX:
        return there(op) ? PLAIN : NEVER;
    case INSN_PUSH: case INSN_POP: case INSN_PUSHF: case INSN_POPF: case INSN_ENTER: case INSN_LEAVE:
        return STACKY;
    case INSN_MOVS: case INSN_CMPS: case INSN_STOS: case INSN_LODS: case INSN_SCAS:
        return STRINGY;
    case INSN_JCC: case INSN_JMP: case INSN_CALL: case INSN_LOOP: case INSN_LOOPE: case INSN_LOOPNE: case INSN_JCXZ:
        return BRANCHY;
    case INSN_RET: case INSN_JMP_IND: case INSN_CALL_IND: case INSN_UD:
        return SPECIAL;
    default:
        return NEVER;
    }
}

#define DECODE_64 (DECODE_CODE64 | DECODE_P6 | DECODE_LM | DECODE_VEX)

static bool is_prefix(uint8_t b)
{
    return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x2e || (b & 0xf0) == 0x40;
}

static unsigned prefixes_of(const uint8_t *b)
{
    unsigned n = 0;

    while (is_prefix(b[n]))
        n++;
    return n;
}

/* Opcodes that mandatory prefixes choose, without and with VEX. */
static unsigned chosen_by_prefix(uint8_t *b, unsigned at)
{
    static const uint8_t legacy[][4] = {{0xf3, 0xb8}, {0xf3, 0xbc}, {0xf3, 0xbd}, {0xf2, 0x38, 0xf0}, {0xf2, 0x38, 0xf1},
                                        {0x66, 0x38, 0xf6}, {0xf3, 0x38, 0xf6}};
    static const uint8_t vex[][3] = {{0, 2, 0xf2}, {0, 2, 0xf3}, {0, 2, 0xf5}, {2, 2, 0xf5}, {3, 2, 0xf5}, {3, 2, 0xf6},
                                     {0, 2, 0xf7}, {1, 2, 0xf7}, {2, 2, 0xf7}, {3, 2, 0xf7}, {3, 3, 0xf0}};

    if (below(3)) {
        const uint8_t *row = vex[below(ARRAY_LEN(vex))];

        b[at++] = 0xc4;
        b[at++] = (uint8_t)(rnd() & 0xe0) | row[1];
        b[at++] = (uint8_t)(rnd() & 0xf8 & (below(16) ? 0xfb : 0xff)) | row[0];
        if (row[1] == 3)
            b[at - 1] |= below(8) ? 0x78 : 0;
        b[at++] = row[2];
    } else {
        const uint8_t *row = legacy[below(ARRAY_LEN(legacy))];

        b[at++] = row[0];
        if (below(2))
            b[at++] = (uint8_t)(0x40 | below(16));
        b[at++] = 0x0f;
        b[at++] = row[1];
        if (row[2])
            b[at++] = row[2];
    }
    return at;
}

/* Random bytes that decode to something wanted. */
static void pick(const struct one_case *c, uint8_t *b, struct insn *i)
{
    for (;;) {
        unsigned at = 0;
        enum how h;

        bool fresh = below(6) == 0;

        if (below(4) == 0)
            b[at++] = 0x66;
        if (below(16) == 0 && c->base < 0x80000000u)
            b[at++] = 0x67;
        if (below(12) == 0)
            b[at++] = (const uint8_t[]){0xf0, 0xf2, 0xf3, 0x2e}[below(4)];
        if (!fresh && below(3))
            b[at++] = (uint8_t)(0x40 | below(16));
        if (fresh) {
            at = chosen_by_prefix(b, at);
        } else if (below(3) == 0) {
            b[at++] = 0x0f;
            if (below(40) == 0) {
                b[at++] = 0x38;
                b[at++] = (uint8_t)(0xf0 | below(2));
            } else if (below(40) == 0) { /* CMPXCHG8B, CMPXCHG16B */
                b[at++] = 0xc7;
                b[at++] = (uint8_t)(0x08 | below(8));
            }
        }
        while (at < 20)
            b[at++] = (uint8_t)(below(8) ? rnd() : value());
        if (i386_decode(b, 16, DECODE_64, i) != DECODE_OK)
            continue;
        h = how_of(i->op);
        if (h == NEVER || (prefixes_of(b) < 15 && (b[prefixes_of(b)] == 0x64 || b[prefixes_of(b)] == 0x65)))
            continue;
        if ((i->flags & (INSN_REP | INSN_REPNE)) && h != STRINGY && !fresh)
            continue;
        if ((h == BRANCHY || h == SPECIAL) && (i->flags & INSN_OPSIZE))
            continue; /* makers differ */
        if (i->op == INSN_MOV && (i->flags & INSN_MEM) && !(i->flags & INSN_MODRM) && i->asize == 4 && c->base > UINT32_MAX)
            continue;
        return;
    }
}

static bool writes_rsp(const struct insn *i)
{
    for (unsigned n = 0; n < 2; n++)
        if (i->arg[n].kind == OPERAND_REG && ((i->arg[n].reg & 15) == ESP) && (i->arg[n].size > 1 || i->arg[n].reg == 20))
            return true;
    return false;
}

static unsigned register_but(unsigned a, unsigned b)
{
    unsigned r;

    do
        r = below(16);
    while (r == ESP || r == ECX || r == a || r == b);
    return r;
}

/* The instruction at b without its addressing: prefixes with a REX of our choice, opcode. */
static void head(struct one_case *c, const uint8_t *b, const struct insn *i, unsigned x, unsigned base)
{
    for (unsigned n = 0; n < prefixes_of(b); n++)
        if ((b[n] & 0xf0) != 0x40)
            byte(c, b[n]);
    if (i->vex) {
        unsigned pp = i->flags & INSN_OPSIZE ? 1 : i->flags & INSN_REP ? 2 : i->flags & INSN_REPNE ? 3 : 0;

        byte(c, 0xc4);
        byte(c, (i->rex & REX_R ? 0 : 0x80) | (x ? 0 : 0x40) | (base ? 0 : 0x20) | i->map);
        byte(c, (i->rex & REX_W ? 0x80 : 0) | (~i->vvvv & 15u) << 3 | pp);
        byte(c, i->opcode);
        return;
    }
    if ((i->flags & INSN_REX) || x || base)
        byte(c, 0x40 | (i->rex & (REX_W | REX_R)) | x << 1 | base);
    if (i->map)
        byte(c, 0x0f);
    if (i->map == 2)
        byte(c, 0x38);
    byte(c, i->opcode);
}

static unsigned immediate_bytes(const struct insn *i)
{
    for (unsigned n = 0; n < 3; n++)
        if (i->arg[n].kind == OPERAND_IMM && !(i->opcode >= 0xd0 && i->opcode <= 0xd3 && !i->map)) {
            if (!i->map && (i->opcode == 0x83 || i->opcode == 0x6b || i->opcode == 0xc1 || i->opcode == 0xc0))
                return 1;
            if (i->map)
                return 1;
            return i->arg[n].size > 4 ? 4 : i->arg[n].size;
        }
    return 0;
}

static void place(struct one_case *c, const uint8_t *b, const struct insn *i)
{
    unsigned reg = i->modrm & 0x38, base, index, scale, small, imm = immediate_bytes(i), bits = ESP;
    uint64_t target = data_pointer(c);
    bool bit_string = i->op >= INSN_BT && i->op <= INSN_BTC && i->arg[1].kind == OPERAND_REG;
    bool needs_rex = i->flags & INSN_REX;

    if (!(i->flags & INSN_MEM)) {
        bytes(c, b, i->len);
        return;
    }
    if (i->op == INSN_CMPXCHG16B)
        target &= ~(uint64_t)(below(8) ? 15 : 0);
    if (!(i->flags & INSN_MODRM)) { /* MOV with an offset */
        bytes(c, b, i->len - i->asize);
        bytes(c, &target, i->asize);
        return;
    }
    if (bit_string) {
        bits = i->arg[1].reg;
        mov_imm(c, bits, (uint64_t)(int64_t)((int)below(4096) - 2048));
    }
    base = register_but(bits, ESP);
    index = register_but(bits, base);
    scale = below(4);
    small = below(64);
    /* Without REX, AH is AH: then no register above 7, either. */
    if (!needs_rex) {
        while (base > 7)
            base = register_but(bits, index);
        while (index > 7 || index == base)
            index = register_but(bits, base);
    }
    switch (below(4)) {
    case 0: { /* RIP-relative */
        uint64_t end;

        head(c, b, i, 0, 0);
        byte(c, 0x05 | reg);
        end = c->rip + c->len + 4 + imm;
        word32(c, (uint32_t)(target - end));
        break;
    }
    case 1: /* [base + disp8] */
        if ((base & 7) == 4)
            base = EBX;
        mov_imm(c, base, target - 16);
        head(c, b, i, 0, base >> 3);
        byte(c, 0x40 | reg | (base & 7));
        byte(c, 16);
        break;
    default: /* [base + index * scale + disp32] */
        mov_imm(c, base, target + 0x1000);
        mov_imm(c, index, small);
        head(c, b, i, index >> 3, base >> 3);
        byte(c, 0x84 | reg);
        byte(c, scale << 6 | (index & 7) << 3 | (base & 7));
        word32(c, 0u - 0x1000u - (small << scale));
    }
    bytes(c, b + i->len - imm, imm);
}

static void place_branch(struct one_case *c, const uint8_t *b, const struct insn *i)
{
    unsigned ahead = below(6), n = i->arg[0].size > 4 ? 4 : i->arg[0].size;

    bytes(c, b, i->len - n);
    for (unsigned k = 0; k < n; k++)
        byte(c, k ? 0 : 2 * ahead);
    for (unsigned k = 0; k < ahead; k++) { /* INC of 8 bits */
        byte(c, 0xfe);
        byte(c, 0xc0 | (const unsigned[]){EAX, ECX, EDX, EBX}[below(4)]);
    }
}

static void place_special(struct one_case *c, const struct insn *i)
{
    unsigned r = register_but(ESP, ESP);

    switch (i->op) {
    case INSN_RET:
        mov_imm(c, r, c->rip + c->len + 10 + 2 + (i->arg[0].kind == OPERAND_IMM ? 3 : 1));
        byte(c, 0x40 | r >> 3);
        byte(c, 0x50 | (r & 7));
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
        mov_imm(c, r, c->rip + c->len + 10 + 3);
        byte(c, 0x40 | r >> 3);
        byte(c, 0xff);
        byte(c, (i->op == INSN_CALL_IND ? 0xd0 : 0xe0) | (r & 7));
        break;
    default:
        byte(c, 0x0f);
        byte(c, 0x0b);
    }
}

/* Append one random instruction with what it needs before it. False: not this one. */
static bool append(struct one_case *c, bool defined_only)
{
    unsigned cl = below(4) ? below(68) : (unsigned)rnd() & 0xff;
    uint32_t undefined;
    uint8_t b[20];
    struct insn i;
    enum how h;

    pick(c, b, &i);
    h = how_of(i.op);
    if (writes_rsp(&i) && h == PLAIN)
        return false;
    undefined = undefined_flags(&i, cl);
    if ((defined_only && (undefined & ~FLAG_A)) || undefined_result(&i, cl))
        return false;
    if ((c->undefined & FLAG_A) && (i.op == INSN_PUSHF || i.op == INSN_LAHF))
        return false;
    if ((i.op == INSN_DIV || i.op == INSN_IDIV) && below(4))
        mov_imm(c, EDX, below(2) ? 0 : below(100));
    if ((i.arg[1].kind == OPERAND_REG || i.arg[2].kind == OPERAND_REG) &&
        (i.op == INSN_SHLD || i.op == INSN_SHRD || (i.op >= INSN_ROL && i.op <= INSN_SAR)))
        mov_imm(c, ECX, (rnd() & ~(uint64_t)0xff) | cl);
    if (i.op == INSN_XLAT)
        mov_imm(c, EBX, data_pointer(c));
    switch (h) {
    case STACKY:
        mov_imm(c, ESP, c->base + STACK + AREA / 2 + 8 * below(64));
        if (i.op == INSN_ENTER || i.op == INSN_LEAVE)
            mov_imm(c, EBP, c->base + STACK + AREA / 2 + below(64) * 8);
        if (i.op == INSN_ENTER) {
            byte(c, 0xc8);
            byte(c, below(256));
            byte(c, below(4));
            byte(c, below(3) ? 0 : below(256));
            break;
        }
        if (i.op == INSN_POPF) {
            byte(c, 0x68);
            word32(c, (uint32_t)rnd() & ~(EFLAGS_TF | EFLAGS_AC | EFLAGS_NT | EFLAGS_ID | EFLAGS_RF | 0x80000000u));
        }
        if ((i.flags & INSN_MEM) && i.op == INSN_POP && below(4) == 0) { /* based on RSP */
            bytes(c, "\x8f\x44\x24\x20", 4);
            break;
        }
        place(c, b, &i);
        break;
    case STRINGY: {
        uint64_t p = data_pointer(c);

        mov_imm(c, ESI, p);
        mov_imm(c, EDI, below(3) ? data_pointer(c) : p + below(33) - 16);
        mov_imm(c, ECX, below(4) ? below(20) : below(250));
        place(c, b, &i);
        break;
    }
    case BRANCHY:
        if (i.op == INSN_CALL)
            mov_imm(c, ESP, c->base + STACK + AREA / 2);
        place_branch(c, b, &i);
        break;
    case SPECIAL:
        mov_imm(c, ESP, c->base + STACK + AREA / 2);
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
    unsigned n = below(2) ? 1 : 2 + below(6);

    memset(c, 0, sizeof(*c));
    c->base = bases[below(2)];
    for (unsigned r = 0; r < 16; r++)
        c->gpr[r] = value();
    c->gpr[ESP] = c->base + STACK + AREA / 2;
    c->eflags = ((uint32_t)rnd() & (FLAGS_ALL | EFLAGS_DF)) | EFLAGS_1 | EFLAGS_IF;
    if (below(3))
        c->eflags &= ~EFLAGS_DF;
    c->rip = c->base + CODE + (below(8) ? below(0x800) : 0x1000 - below(60));
    for (unsigned k = 0; k < AREA; k += 8) {
        uint64_t v = value();

        memcpy(c->data + k, &v, 8);
        v = value();
        memcpy(c->stack + k, &v, 8);
    }
    while (n && c->len < MAX_CODE - 120) {
        unsigned len = c->len;

        if (append(c, n > 1))
            n--;
        else
            c->len = len;
    }
}

/* ---- the host's side ---- */

static struct regs passage;
static uint64_t passage_stack __attribute__((used));
static uint8_t signal_stack[65536];

void host64_enter(void);
extern const char host64_resume[];
__asm__(".text\n.globl host64_enter\nhost64_enter:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, passage_stack(%rip)\n"
        "    pushq passage+136(%rip); popfq\n"
        "    mov passage+0(%rip), %rax; mov passage+8(%rip), %rcx; mov passage+16(%rip), %rdx; mov passage+24(%rip), %rbx\n"
        "    mov passage+40(%rip), %rbp; mov passage+48(%rip), %rsi; mov passage+56(%rip), %rdi\n"
        "    mov passage+64(%rip), %r8; mov passage+72(%rip), %r9; mov passage+80(%rip), %r10; mov passage+88(%rip), %r11\n"
        "    mov passage+96(%rip), %r12; mov passage+104(%rip), %r13; mov passage+112(%rip), %r14; mov passage+120(%rip), %r15\n"
        "    mov passage+32(%rip), %rsp\n"
        "    jmp *passage+128(%rip)\n"
        ".globl host64_resume\nhost64_resume:\n"
        "    cld\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

static void on_signal(int n, siginfo_t *info, void *context)
{
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;

    (void)n;
    (void)info;
    for (unsigned r = 0; r < 16; r++)
        passage.gpr[r] = (uint64_t)g[order[r]];
    passage.rip = (uint64_t)g[REG_RIP];
    passage.rflags = (uint64_t)g[REG_EFL];
    passage.vector = (uint64_t)g[REG_TRAPNO];
    g[REG_RIP] = (greg_t)(uintptr_t)host64_resume;
    g[REG_RSP] = (greg_t)passage_stack;
    g[REG_EFL] &= ~(greg_t)(EFLAGS_AC | EFLAGS_TF | EFLAGS_DF);
}

static bool host_init(void)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};

    for (unsigned i = 0; i < 2; i++)
        if (mmap((void *)(uintptr_t)bases[i], SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)(uintptr_t)bases[i])
            return false;
    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &sa, NULL);
    return true;
}

static void host_run(const struct one_case *c, struct regs *out)
{
    uint8_t *host = (uint8_t *)(uintptr_t)c->base;

    memcpy(host + (c->rip - c->base), c->code, c->len);
    host[c->rip - c->base + c->len] = 0xcc;
    memcpy(host + DATA, c->data, AREA);
    memcpy(host + STACK, c->stack, AREA);
    memcpy(passage.gpr, c->gpr, sizeof(c->gpr));
    passage.rip = c->rip;
    passage.rflags = c->eflags;
    host64_enter();
    *out = passage;
}

/* ---- the emulator's side ---- */

struct guest {
    struct machine *m;
    struct i386_cpu *c;
    uint8_t *ram;
};

static const struct event *no_event(void *ctx, struct machine *m)
{
    (void)ctx;
    (void)m;
    return NULL;
}

static void poke64(struct guest *g, uint32_t at, uint64_t v)
{
    memcpy(g->ram + at, &v, 8);
}

static uint64_t peek64(const struct guest *g, uint64_t at)
{
    uint64_t v;

    memcpy(&v, g->ram + (at & (GUEST - 1)), 8);
    return v;
}

/* The kernel's view of everything is at the low base. */
static void make_tables(struct guest *g)
{
    const uint32_t base = (uint32_t)bases[0];
    uint32_t next = PAGES + 0x1000;

    poke64(g, GDT + 0x08, 0x00209b0000000000u); /* 64-bit code, level 0 */
    poke64(g, GDT + 0x10, 0x00cf93000000ffffu);
    poke64(g, GDT + 0x28, 0x00cff3000000ffffu);
    poke64(g, GDT + 0x30, 0x0020fb0000000000u); /* 64-bit code, level 3 */
    for (unsigned v = 0; v < 256; v++) {
        uint64_t to = base + HANDLERS + 16 * v;

        poke64(g, IDT + 16 * v, (to & 0xffff) | 0x080000u | (uint64_t)(v == 3 ? 0xee00 : 0x8e00) << 32 | (to >> 16 & 0xffff) << 48);
        poke64(g, IDT + 16 * v + 8, to >> 32);
        g->ram[HANDLERS + 16 * v] = 0xf4;
    }
    poke64(g, TSS + 4, base + KSTACK + 0x1000);
    for (unsigned n = 0; n < 2; n++) {
        uint32_t table = PAGES;

        for (unsigned shift = 39; shift > 12; shift -= 9) {
            uint32_t entry = table + 8 * (unsigned)(bases[n] >> shift & 511);

            if (!peek64(g, entry)) {
                poke64(g, entry, next | 7);
                next += 0x1000;
            }
            table = (uint32_t)peek64(g, entry) & ~0xfffu;
        }
        for (unsigned page = 0; page < GUEST >> 12; page++)
            poke64(g, table + 8 * page, page << 12 | (page < SIZE >> 12 ? 7 : 3));
    }
}

static void guest_init(struct guest *g)
{
    static const struct machine_env env = {.peek_event = no_event};
    struct region ram = {.base = 0, .size = GUEST, .kind = REGION_RAM, .enabled = true};

    g->m = machine_create(GUEST >> PAGE_SHIFT);
    g->m->env = &env;
    g->m->stop_when_idle = true;
    ram.page = memory_alloc(&g->m->memory, "ram", GUEST);
    memory_map(&g->m->memory, &ram);
    g->ram = g->m->memory.host + ((size_t)ram.page << PAGE_SHIFT);
    g->c = i386_create(g->m, i386_model_find("max"));
    machine_reset(g->m);
    make_tables(g);
}

static void guest_prepare(struct guest *g, const struct one_case *c)
{
    struct i386_state *st = g->c->st;
    struct memory *mem = &g->m->memory;
    uint32_t at = (uint32_t)(c->rip - c->base);

    memory_write_bytes(mem, at, c->code, c->len, false);
    memory_write_bytes(mem, at + c->len, "\xcc", 1, false);
    memory_write_bytes(mem, DATA, c->data, AREA, false);
    memory_write_bytes(mem, STACK, c->stack, AREA, false);
    memcpy(st->gpr, c->gpr, sizeof(st->gpr));
    st->rip = c->rip;
    st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = c->eflags & FLAGS_ALL};
    st->eflags = c->eflags & ~FLAGS_ALL;
    st->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    st->cr3 = PAGES;
    st->cr4 = CR4_PAE;
    st->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    st->cpl = 3;
    st->halted = 0;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        st->seg[n] = (struct i386_segment){0};
    st->seg[SEG_CS] = i386_flat_segment(0x33, 11, 3, SEG_ATTR_L);
    st->seg[SEG_SS] = i386_flat_segment(0x2b, 3, 3, SEG_ATTR_DB);
    st->seg[SEG_TR] = (struct i386_segment){.selector = 0x38, .base = bases[0] + TSS, .limit = 0x67, .valid = 1,
                                            .attr = SEG_ATTR_P | 11};
    st->gdtr = (struct i386_dtr){.base = bases[0] + GDT, .limit = 0x37};
    st->idtr = (struct i386_dtr){.base = bases[0] + IDT, .limit = 0xfff};
    i386_mode_changed(g->c);
    ucpu_flush_tlb(&g->c->u);
}

struct outcome {
    struct regs regs;
    icount_t steps;
};

/* Run to the exception that ends it, and take the state back from the frame. */
static bool guest_run(struct guest *g, const struct one_case *c, struct outcome *o)
{
    struct i386_state *st = g->c->st;
    icount_t from = g->m->st->position;
    struct stop stop;
    uint64_t frame, vector;

    guest_prepare(g, c);
    machine_run(g->m, from + 100000, &stop);
    vector = (st->rip - bases[0] - HANDLERS) / 16;
    if (stop.kind != STOP_IDLE || vector > 255) {
        fprintf(stderr, "the emulator stopped with %d at %llx\n", stop.kind, (unsigned long long)st->rip);
        return false;
    }
    frame = st->gpr[ESP] - bases[0];
    if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
        frame += 8;
    memcpy(o->regs.gpr, st->gpr, sizeof(st->gpr));
    o->regs.vector = vector;
    o->regs.rip = peek64(g, frame);
    o->regs.rflags = peek64(g, frame + 16);
    o->regs.gpr[ESP] = peek64(g, frame + 24);
    o->steps = g->m->st->position - from;
    return true;
}

/* ---- comparison ---- */

static void print_case(const struct one_case *c)
{
    printf("  at %llx:", (unsigned long long)c->rip);
    for (unsigned n = 0; n < c->len; n++)
        printf(" %02x", c->code[n]);
    printf("\n  flags %08x", c->eflags);
    for (unsigned r = 0; r < 16; r++)
        printf(" %llx", (unsigned long long)c->gpr[r]);
    printf("\n");
}

static void print_regs(const char *who, const struct regs *r)
{
    printf("  %-8s vector %u rip %llx flags %08x", who, (unsigned)r->vector, (unsigned long long)r->rip, (unsigned)r->rflags);
    for (unsigned n = 0; n < 16; n++)
        printf(" %llx", (unsigned long long)r->gpr[n]);
    printf("\n");
}

static bool same_memory(const char *name, const uint8_t *host, const uint8_t *guest)
{
    for (unsigned n = 0; n < AREA; n++)
        if (host[n] != guest[n]) {
            printf("  %s at %x: host %02x, emulator %02x\n", name, n, host[n], guest[n]);
            return false;
        }
    return true;
}

static bool same_regs(const struct one_case *c, const struct regs *host, const struct regs *guest)
{
    uint32_t flags = (FLAGS_ALL | EFLAGS_DF) & ~c->undefined;

    return !memcmp(host->gpr, guest->gpr, sizeof(host->gpr)) && host->vector == guest->vector && host->rip == guest->rip &&
           !((host->rflags ^ guest->rflags) & flags);
}

enum way { NOT_OPTIMISED, SINGLE, PLAIN_SWITCH, NO_CACHE, COMPILED, COMPILED_NOT_OPTIMISED, WAYS };

static const char *const ways[WAYS] = {
    "not optimised", "one instruction at a time", "plain switch", "without a cache", "compiled", "compiled, not optimised",
};

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
        good = guest_run(guest, c, &o) && !memcmp(&o.regs, &first->regs, sizeof(o.regs)) && o.steps == first->steps &&
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
    const uint8_t *host = (const uint8_t *)(uintptr_t)c->base;
    struct outcome o;
    struct regs h;
    bool good;

    host_run(c, &h);
    if (!guest_run(g, c, &o)) {
        print_case(c);
        return false;
    }
    memcpy(after, g->ram, SIZE);
    good = same_regs(c, &h, &o.regs);
    good &= same_memory("data", host + DATA, g->ram + DATA);
    good &= same_memory("stack", host + STACK, g->ram + STACK);
    if (!good) {
        print_case(c);
        print_regs("host", &h);
        print_regs("emulator", &o.regs);
        printf("  flags undefined: %03x, instruction %u\n", c->undefined, c->op);
        memory_write_bytes(&jit->m->memory, 0, after, SIZE, false);
        return false;
    }
    good = same_every_way(g, jit, c, &o, after);
    if (!good)
        print_case(c);
    return good;
}

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

    if (!host_init()) {
        printf("the memory for host code cannot be mapped\n");
        return 77;
    }
    guest_init(&g);
    guest_init(&jit);
    with_jit(&jit.c->u);
    for (unsigned long n = 0; n < cases && failures < 10; n++) {
        rng_state = seed * 1000003u + n;
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
#else
int main(void)
{
    return 77;
}
#endif
