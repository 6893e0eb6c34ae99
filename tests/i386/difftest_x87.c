/*
 * Differential test of the x87 and of MMX: random code of their instructions, with registers and memory, in 64-bit and 32-bit code, on the
 * host's own processor and on the emulator (host64.h). Registers are often special numbers, some are empty; rounding,
 * precision and unmasked exceptions vary. Left out is what processors differ in: transcendental functions, and images of the state,
 * which hold addresses that not every processor keeps.
 *
 *   difftest_x87 [rounds [seed]]
 *
 * Exit status 77: the host is no x86-64 Linux.
 */
#if defined(__x86_64__) && defined(__linux__)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host64.h"
#include "i386/fpu.h"
#include "tests/softfloat/host_fpu.h"
#include "tests/whole/with_jit.h"

#define SW_CONDITIONS 0x4700u
#define SW_C1         0x0200u

/* ---- what is left out ---- */

/* Where processors differ; those that save or load the state; undefined ones, which have no flags to compare by. */
static bool left_out(unsigned op, unsigned modrm)
{
    unsigned field = modrm >> 3 & 7;

    if (modrm < 0xc0)
        return (op == 1 && (field == 1 || field == 4 || field == 6)) || (op == 5 && (field == 4 || field >= 5)) ||
               (op == 3 && (field == 4 || field == 6)) || (op == 7 && (field == 4 || field == 6));
    if (op == 1)
        return modrm >= 0xf0 ? modrm != 0xf6 && modrm != 0xf7 && modrm != 0xfa && modrm != 0xfc && modrm != 0xfd && modrm != 0xf4
                             : (modrm >= 0xd0 && modrm < 0xe0) || modrm == 0xe2 || modrm == 0xe3 || modrm == 0xe6 || modrm == 0xe7 || modrm == 0xef;
    return (op == 2 && modrm >= 0xe0 && modrm != 0xe9) || (op == 3 && ((modrm >= 0xe0 && modrm < 0xe8 && modrm != 0xe2) || modrm >= 0xf8)) ||
           (op == 4 && (field == 2 || field == 3)) || (op == 5 && (field == 0 || field == 1 || field >= 6)) ||
           (op == 6 && field == 2) || (op == 6 && field == 3 && modrm != 0xd9) ||
           (op == 7 && (field < 4 || field == 7 || (field == 4 && modrm != 0xe0)));
}

static bool compares_into_flags(unsigned op, unsigned modrm)
{
    return modrm >= 0xe8 && modrm < 0xf8 && (op == 3 || op == 7);
}

/* ---- values ---- */

static struct i386_fpr extended(void)
{
    struct host_x80 v = host_operand80();

    if (below(4) == 0) { /* near one */
        v.se = (uint16_t)((v.se & 0x8000) | (0x3ffe + below(4)));
        v.sig |= 0x8000000000000000u;
    } else if (below(6) == 0) { /* an integer of moderate size */
        v.se = (uint16_t)((v.se & 0x8000) | (0x3fff + below(66)));
        v.sig |= 0x8000000000000000u;
    }
    return (struct i386_fpr){.mantissa = v.sig, .exponent = v.se};
}

/* Numbers of every format. */
static void fill(uint8_t *p, unsigned n)
{
    for (unsigned at = 0, kind = 0; at + 16 <= n; at += 16) {
        uint64_t v[2] = {rnd(), rnd()};
        struct i386_fpr r;

        kind = below(5);
        for (unsigned i = 0; i < 2; i++)
            switch (kind) {
            case 0: v[i] = host_operand(11, 52); break;
            case 1: v[i] = host_operand(8, 23) | host_operand(8, 23) << 32; break;
            case 2: v[i] = value(); break;
            default: break;
            }
        if (kind == 3) {
            r = extended();
            v[0] = r.mantissa;
            v[1] = r.exponent;
        }
        memcpy(p + at, v, 16);
    }
}

/* ---- code ---- */

static unsigned any_but(const struct one_case *c, unsigned other)
{
    unsigned r;

    do
        r = below(c->compat ? 8 : 16);
    while (r == ESP || r == other);
    return r;
}

/* All exceptions are masked, and stay so. */
static bool is_masked(const struct one_case *c)
{
    return (c->fcw & 0x3f) == 0x3f;
}

static void with_memory(struct one_case *c, unsigned opcode, unsigned field)
{
    uint64_t target = data_pointer(c);
    unsigned base;

    if (below(4))
        target &= ~(uint64_t)15;
    /* The end of what there is. (AMD's processors fault there before they find that an unmasked exception leaves nothing to store.) */
    if (below(60) == 0 && is_masked(c))
        target = c->base + SIZE - below(12);
    if (opcode == 0xd9 && field == 5) { /* FLDCW */
        uint16_t v = (uint16_t)(0x40 | (is_masked(c) || below(3) ? 0x3f : rnd() & 0x3f) | (rnd() & 0xe0c0) | below(16) << 8);

        memcpy(c->data + AREA - 16, &v, 2);
        target = c->base + DATA + AREA - 16;
    }
    if (below(2)) {
        byte(c, opcode);
        byte(c, field << 3 | 5);
        word32(c, (uint32_t)(c->compat ? target : target - (c->rip + c->len + 4)));
        return;
    }
    base = any_but(c, EAX);
    mov_imm(c, base, target - 64);
    if (base >= 8)
        byte(c, 0x41);
    byte(c, opcode);
    byte(c, 0x80 | field << 3 | (base & 7));
    if ((base & 7) == ESP)
        byte(c, 0x24);
    word32(c, 64);
}

static bool has_imm8(unsigned map, unsigned opcode)
{
    return map == 2 || (map == 0 && ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc4 || opcode == 0xc5));
}

/* To what there is: AMD's processors go to MMX state even if it faults. */
static void maskmovq(struct one_case *c)
{
    uint64_t target = data_pointer(c);

    if (below(2)) { /* a mask from the data: else that of what was computed */
        mov_imm(c, EDI, data_pointer(c));
        bytes(c, "\x0f\x6f\x0f", 3); /* movq mm1, [rdi] */
    }
    if (c->base == bases[0] && !c->compat && below(3) == 0) {
        mov_imm(c, EDI, target | rnd() << 32);
        byte(c, 0x67);
    } else {
        mov_imm(c, EDI, target);
    }
    bytes(c, "\x0f\xf7", 2);
    byte(c, 0xc1 | below(8) << 3 | (below(3) ? 0 : below(8)));
}

static void one_of_mmx(struct one_case *c)
{
    static const struct { uint8_t byte; unsigned fx; } prefixes[] = {{0, 0}, {0x66, I386_FX_66}, {0xf2, I386_FX_F2}, {0xf3, I386_FX_F3}};
    unsigned map = below(8) ? 0 : 1 + below(2), opcode = (unsigned)rnd() & 0xff, modrm = (unsigned)rnd() & 0xff, rex = 0, base = 0;
    unsigned prefix = below(5) ? 0 : below(4), fx = prefixes[prefix].fx | (modrm < 0xc0 ? I386_FX_MEM : 0);
    bool memory = modrm < 0xc0, to_rm = map == 0 && opcode == 0x7e, to_reg = map == 0 && (opcode == 0xc5 || opcode == 0xd7);
    uint64_t target = data_pointer(c);

    if (below(16) == 0 || (map == 0 && opcode == 0xf7)) {
        maskmovq(c);
        return;
    }
    if (below(4) == 0)
        opcode = (const uint8_t[]){0x6e, 0x7e, 0x6f, 0x7f, 0xc4, 0xc5, 0xd7, 0x77}[map = 0, below(8)];
    if (below(6) == 0) {
        opcode = (const uint8_t[]){0x2a, 0x2c, 0x2d, 0xd6}[map = 0, below(4)];
        memory &= opcode != 0xd6;
        modrm |= memory ? 0 : 0xc0;
        fx = prefixes[prefix = opcode == 0xd6 ? 2 + below(2) : below(2)].fx | (memory ? I386_FX_MEM : 0);
    }
    if (!(i386_is_mmx(i386_model_find("max"), opcode | map << 8, modrm, fx) ||
          (!map && i386_is_mmx_and_sse(i386_model_find("max"), opcode, modrm, fx))) ||
        (map && !__builtin_cpu_supports("ssse3")))
        return;
    if (!c->compat && below(2))
        rex = 0x40 | (below(16) & 0xd);
    if ((to_rm && !memory && (modrm & 7) == ESP && !(rex & 1)) || (to_reg && (modrm >> 3 & 7) == ESP && !(rex & 4)))
        return;
    if (memory && map == 0 && opcode == 0x2a) { /* CVTPI2PS from memory: Intel's change to MMX state (SDM 2), AMD's do not */
        if (below(2))
            bytes(c, "\x0f\x6f\xdb", 3); /* movq mm3, mm3 */
        else
            c->varies = true;
    }
    if (memory) {
        base = any_but(c, 0x100);
        if (prefix == 1 && below(8)) /* CVTPD2PI */
            target &= ~(uint64_t)15;
        mov_imm(c, base, target - 64);
        rex = base >= 8 ? 0x41 | rex : rex & ~1u;
    }
    if (prefix)
        byte(c, prefixes[prefix].byte);
    if (rex)
        byte(c, rex);
    byte(c, 0x0f);
    if (map)
        byte(c, map == 1 ? 0x38 : 0x3a);
    byte(c, opcode);
    if (map == 0 && opcode == 0x77)
        return; /* EMMS */
    if (!memory) {
        byte(c, modrm);
    } else {
        byte(c, 0x80 | (modrm & 0x38) | (base & 7));
        if ((base & 7) == ESP)
            byte(c, 0x24);
        word32(c, 64);
    }
    if (has_imm8(map, opcode))
        byte(c, below(2) ? below(70) : (unsigned)rnd() & 0xff);
}

static void one_of_x87(struct one_case *c)
{
    unsigned op = below(8), modrm = (unsigned)rnd() & 0xff;

    if (below(4) == 0) { /* often what programs are made of */
        op = 1;
        modrm = 0xc0 + below(16);
    }
    if (left_out(op, modrm) || (op == 7 && modrm == 0xe0 && !host_details()))
        return;
    if (modrm < 0xc0) {
        with_memory(c, 0xd8 | op, modrm >> 3 & 7);
    } else {
        byte(c, 0xd8 | op);
        byte(c, modrm);
    }
    if (compares_into_flags(op, modrm)) {
        c->fsw_undefined |= SW_C1;
        if (host_details()) /* AMD's processors leave C1: let nothing come of it */
            bytes(c, "\xd9\xf6\xd9\xf7", 4);
    }
}

static void movnti(struct one_case *c)
{
    unsigned base = any_but(c, 0x100), reg = below(c->compat ? 8 : 16);

    mov_imm(c, base, data_pointer(c) - 64);
    if (!c->compat)
        byte(c, 0x40 | below(2) << 3 | (reg >> 3) << 2 | base >> 3);
    bytes(c, "\x0f\xc3", 2);
    byte(c, 0x80 | (reg & 7) << 3 | (base & 7));
    if ((base & 7) == ESP)
        byte(c, 0x24);
    word32(c, 64);
}

static void others(struct one_case *c)
{
    switch (below(8)) {
    case 6: movnti(c); break;
    case 7: bytes(c, "\x0f\xae", 2); byte(c, 0xe8 | below(3) << 3); break; /* lfence, mfence, sfence */
    case 0: bytes(c, "\x01\xc8", 2); break;         /* add eax, ecx */
    case 1: bytes(c, "\x39\xd1", 2); break;         /* cmp ecx, edx */
    case 2: byte(c, 0x9e); break;                   /* sahf */
    case 3: byte(c, 0x9b); break;                   /* fwait */
    case 4: bytes(c, "\x74\x02\x01\xca", 4); break; /* jz over an add */
    default: bytes(c, "\x66\x05\x01\x00", 4); break; /* add ax, 1 */
    }
}

static void make_case(struct one_case *c)
{
    unsigned n = 1 + below(below(3) ? 12 : 40), mmx;

    memset(c, 0, sizeof(*c));
    c->with_x87 = true;
    c->compat = below(3) == 0;
    c->base = bases[c->compat ? 0 : below(2)];
    for (unsigned r = 0; r < 16; r++)
        c->gpr[r] = c->compat ? (uint32_t)value() : value();
    c->gpr[ESP] = c->base + STACK + AREA / 2;
    c->eflags = ((uint32_t)rnd() & FLAGS_ALL) | EFLAGS_1 | EFLAGS_IF;
    c->rip = c->base + CODE + (below(8) ? below(0x800) : 0x1000 - below(60));
    c->mxcsr = 0x1f80u | below(4) << 13 | (below(8) ? 0 : (uint32_t)rnd() & 0x803fu);
    for (unsigned i = 0; i < 16; i++)
        fill(c->ymm[i], 32);
    c->fcw = (uint16_t)(0x40 | (below(4) ? 0x3f : rnd() & 0x3f) | (below(3) ? 0x300 : below(16) << 8));
    c->fsw = (uint16_t)(rnd() & 0x7f00);
    c->ftag = (uint8_t)(below(3) ? rnd() | rnd() : rnd());
    if (below(4) == 0) /* the lower half in use, as in programs */
        c->ftag = (uint8_t)(0x0f0f >> (8 - (c->fsw >> 11 & 7)));
    for (unsigned i = 0; i < 8; i++)
        c->fpr[i] = extended();
    if (!host_details())
        c->fsw_undefined |= SW_CONDITIONS;
    fill(c->data, AREA);
    mmx = below(4);
    while (n-- && c->len < MAX_CODE - 40)
        if (below(6))
            (below(4) < mmx ? one_of_mmx : one_of_x87)(c);
        else
            others(c);
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 4000, seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1, failures = 0;
    static struct one_case c;
    struct guest g, jit;

    if (!sides_begin(&g, &jit))
        return 77;
    for (unsigned long n = 0; n < rounds && failures < 5; n++) {
        rng_state = seed * 1000003u + n;
        host_random_state = rnd() | 1;
        make_case(&c);
        failures += !run_case(&g, &jit, &c);
    }
    return sides_end(&g, &jit, rounds, failures > 0);
}
#else
int main(void)
{
    return 77;
}
#endif
