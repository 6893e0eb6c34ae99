/*
 * Differential test of the integer instructions in 64-bit mode: random ones run on the host's own
 * processor and on the emulator, from the same state (host64.h).
 *
 *   difftest_host64 [cases [seed]]
 *
 * Not covered, since a user program cannot run them: system instructions, ports. Exit status 77: the host is no
 * x86-64 Linux.
 */
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host64.h"
#include "i386/insn.h"
#include "i386_undefined.h"
#include "tests/whole/with_jit.h"

enum how { NEVER, PLAIN, STACKY, STRINGY, BRANCHY, SPECIAL };

/* Has the host the instruction, and the emulator? Only those of which processors may have none are asked for. */
static bool there(unsigned op)
{
    const struct i386_model *m = i386_model_find("max");
    unsigned eax, ebx, ecx, edx; /* not every compiler's __builtin_cpu_supports() knows LZCNT (BMI1 came with it) and ADX */

    switch (op) {
    case INSN_POPCNT: return __builtin_cpu_supports("popcnt") && i386_has(m, FEATURE_POPCNT);
    case INSN_LZCNT: return __builtin_cpu_supports("bmi") && i386_has(m, FEATURE_ABM);
    case INSN_CRC32: return __builtin_cpu_supports("sse4.2") && i386_has(m, FEATURE_SSE42);
    case INSN_ADCX: case INSN_ADOX: return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx >> 19 & 1) && i386_has(m, FEATURE_ADX);
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

#define DECODE_64 (DECODE_CODE64 | DECODE_P6 | DECODE_LM | DECODE_VEX | DECODE_AMD)

static bool amd; /* the host, as the model is */

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
        if (((h == BRANCHY || h == SPECIAL) && (i->flags & INSN_OPSIZE) && !amd) || (i->op == INSN_MOVSXD && i->osize == 2 && !amd))
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
    if ((i->op == INSN_CMPXCHG || i->op == INSN_CMPXCHG8B || i->op == INSN_CMPXCHG16B) && below(2)) { /* of what is equal */
        mov_imm(c, ESI, target);
        bytes(c, (const uint8_t[]){0x48, 0x8b, 0x06}, 3); /* mov rax, [rsi] */
        bytes(c, (const uint8_t[]){0x48, 0x8b, 0x56, i->op == INSN_CMPXCHG16B ? 8 : 4}, 4);
    }
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
    bool opsize = i->flags & INSN_OPSIZE; /* to where there is nothing */

    switch (i->op) {
    case INSN_RET:
        mov_imm(c, r, c->rip + c->len + 10 + 2 + (i->arg[0].kind == OPERAND_IMM ? 3 : 1));
        byte(c, 0x40 | r >> 3);
        byte(c, 0x50 | (r & 7));
        if (opsize)
            byte(c, 0x66);
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
        if (opsize)
            byte(c, 0x66);
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
    c->mxcsr = 0x1f80;
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

    if (!sides_begin(&g, &jit))
        return 77;
    amd = __builtin_cpu_is("amd");
    for (unsigned long n = 0; n < cases && failures < 10; n++) {
        rng_state = seed * 1000003u + n;
        make_case(&c);
        covered[c.op]++;
        if (!run_case(&g, &jit, &c)) {
            printf("case %lu of seed %lu differs\n", n, seed);
            failures++;
        }
    }
    return sides_end(&g, &jit, cases, failures || (cases >= 10000 && !all_covered()));
}
#else
int main(void)
{
    return 77;
}
#endif
