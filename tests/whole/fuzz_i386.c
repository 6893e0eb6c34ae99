/*
 * Random code for the PC: real mode, protected mode of 16 and 32 bits, at levels 0 and 3, virtual-8086
 * mode; without paging, with 32-bit paging and with PAE; long mode with 64-bit and with compatibility code; with timers
 * that interrupt. Whatever a guest can
 * name (stack, descriptor tables, page tables, task segments, devices) may lie in the way of its code.
 *
 * To add a mode: a row in fuzz_i386_modes.
 */
#include "tests/whole/fuzz_code.h"

#include "i386/pc.h"
#include "i386/insn.h"
#include "i386/protect.h"
#include "vm/dev/ports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROTECTED = 1, CODE32 = 2, USER = 4, VM86 = 8, PAGING = 16, PAE = 32, BIG_REAL = 64, WITH_PSE = 128,
       LONG = 256, CODE64 = 512 };

enum {
    IVT = 0, IDT = 0x800, GDT = 0x1000, LDT = 0x1400, TSS = 0x1800, TSS_DF = 0x1900, TSS16 = 0x1a00, TSS2 = 0x1b00,
    CODE = 0x2000, CODE_BYTES = 0x4000, STACK = 0x6000, STACK_BYTES = 0x2000, DIR = 0x8000, TABLES = 0x9000, PDPT = 0xb000,
    DATA = 0xc000, DATA_BYTES = 0x8000, LOW_BYTES = 0x20000,
    IDT_LONG = 0x20000, PML4 = 0x21000, PDPT_LONG = 0x22000,
    S_CODE = 0x08, S_DATA = 0x10, S_UCODE = 0x1b, S_UDATA = 0x23, S_TSS = 0x28, S_TSS_DF = 0x30, S_LDT = 0x38,
    S_CALL = 0x40, S_CODE16 = 0x48, S_DATA16 = 0x50, S_TASK = 0x58, S_TSS16 = 0x60, S_TSS2 = 0x68, S_CODE64 = 0x70, S_UCODE64 = 0x7b,
    GDT_ENTRIES = 32, RECENT = 24,
};

struct guest {
    struct machine *m;
    struct i386_cpu *c;
    struct i386_state *s;
    struct fuzz_rng *r;
    unsigned what;
    uint32_t recent[RECENT]; /* where instructions begin that were made lately */
    unsigned nrecent;
};

static uint32_t roll(struct guest *g, uint32_t n) { return fuzz_roll(g->r, n); }
static bool chance(struct guest *g, unsigned percent) { return fuzz_chance(g->r, percent); }

static void poke(struct guest *g, uint32_t at, uint64_t v, unsigned size)
{
    memory_write_bytes(&g->m->memory, at, &v, size, true);
}

/* An address worth to be at. */
static uint32_t place(struct guest *g)
{
    static const uint32_t devices[] = {0xa0000, 0xb8000, 0xc0000, 0xf0000, 0xfec00000, 0xfee00000, 0xfffff000};
    uint32_t at;

    switch (roll(g, 18)) {
    case 16:
        return g->recent[roll(g, RECENT)] + roll(g, 8);
    case 0: case 1: case 2:
        at = CODE + roll(g, CODE_BYTES);
        break;
    case 3: case 4: case 5:
        at = STACK + roll(g, STACK_BYTES);
        break;
    case 6:
        at = roll(g, CODE); /* descriptors, vectors, task segments */
        break;
    case 7:
        at = DIR + roll(g, DATA - DIR);
        break;
    case 8:
        at = devices[roll(g, ARRAY_LEN(devices))] + roll(g, 0x1000);
        break;
    case 9:
        at = (roll(g, LOW_BYTES / 0x1000) << 12) - 1 - roll(g, 8); /* the end of a page */
        break;
    case 10:
        at = 0x100000 + roll(g, 0x80000);
        break;
    case 11:
        at = (uint32_t)fuzz_roll64(g->r);
        break;
    default:
        at = DATA + roll(g, DATA_BYTES);
        break;
    }
    return chance(g, 60) ? at & ~3u : at;
}

/* A number worth to be had. */
static uint32_t number(struct guest *g)
{
    switch (roll(g, 6)) {
    case 0:
        return roll(g, 64);
    case 1:
        return (uint32_t)fuzz_roll64(g->r);
    case 2:
        return (roll(g, GDT_ENTRIES) << 3) | roll(g, 8);
    default:
        return place(g);
    }
}

/* ---- code ---- */

struct out {
    uint8_t *begin, *at, *end;
};

static uint32_t address(const struct out *o)
{
    return CODE + (uint32_t)(o->at - o->begin);
}

static void put(struct out *o, uint32_t v, unsigned size)
{
    for (unsigned i = 0; i < size && o->at < o->end; i++, v >>= 8)
        *o->at++ = (uint8_t)v;
}

/* ModRM with what follows it, memory operands at places. */
static void put_modrm(struct guest *g, struct out *o, bool addr32, uint8_t modrm)
{
    unsigned mod = modrm >> 6, rm = modrm & 7;

    put(o, modrm, 1);
    if (mod == 3)
        return;
    if (!addr32) {
        if (mod == 1)
            put(o, roll(g, 256), 1);
        else if (mod == 2 || rm == 6)
            put(o, place(g), 2);
        return;
    }
    if (rm == 4) {
        uint8_t sib = (uint8_t)roll(g, 256);

        put(o, sib, 1);
        if (mod == 0 && (sib & 7) == 5)
            put(o, place(g), 4);
    }
    if (mod == 1)
        put(o, roll(g, 256), 1);
    else if (mod == 0 && rm == 5 && g->what & CODE64)
        put(o, place(g) - (address(o) + 4), 4); /* relative to the next instruction, if there is no immediate */
    else if (mod == 2 || (mod == 0 && rm == 5))
        put(o, place(g), 4);
}

/* What REX, VEX and the three-byte maps make of an opcode; ModRM and an immediate for those that take one. */
static void put_newer(struct guest *g, struct out *o)
{
    static const uint8_t prefixes[] = {0x66, 0xf2, 0xf3};

    if (chance(g, 50)) {
        put(o, 0xc4, 1);
        put(o, roll(g, 8) << 5 | (1 + roll(g, 3)), 1);
        put(o, roll(g, 256), 1);
    } else {
        if (chance(g, 60))
            put(o, prefixes[roll(g, 3)], 1);
        if (g->what & CODE64 && chance(g, 50))
            put(o, 0x40 | roll(g, 16), 1);
        put(o, 0x0f, 1);
        if (chance(g, 70))
            put(o, chance(g, 70) ? 0x38 : 0x3a, 1);
    }
    put(o, roll(g, 256), 1);
    put_modrm(g, o, true, (uint8_t)roll(g, 256));
    if (chance(g, 30))
        put(o, roll(g, 256), 1);
}

/* Any instruction there is. */
static void put_any(struct guest *g, struct out *o, bool code32)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65};
    unsigned mode = DECODE_P6 | (g->what & LONG ? DECODE_LM : 0) | (g->what & CODE64 ? DECODE_CODE64 : code32 ? DECODE_CODE32 : 0), map = chance(g, 35);
    uint8_t opcode = (uint8_t)roll(g, 256);
    bool addr32 = code32;

    if (!i386_opcode_defined(map, opcode, mode) || (!map && opcode == 0xf4 && chance(g, 95)))
        return;
    while (chance(g, 20)) {
        uint8_t prefix = prefixes[roll(g, ARRAY_LEN(prefixes))];

        put(o, prefix, 1);
        if (prefix == 0x67)
            addr32 = !code32;
    }
    if (g->what & CODE64 && chance(g, 40))
        put(o, 0x40 | roll(g, 16), 1);
    if (map)
        put(o, 0x0f, 1);
    put(o, opcode, 1);
    if (i386_opcode_has_modrm(map, opcode))
        put_modrm(g, o, addr32, (uint8_t)roll(g, 256));
    else if (!map && opcode >= 0xa0 && opcode <= 0xa3)
        put(o, place(g), g->what & CODE64 ? 8 : addr32 ? 4 : 2);
    if (chance(g, 60))
        put(o, number(g), 1u << roll(g, 3));
}

static void put_load(struct guest *g, struct out *o, bool code32, unsigned reg, uint32_t v)
{
    (void)g;
    put(o, 0xb8 + reg, 1);
    put(o, v, code32 ? 4 : 2);
}

static void put_string(struct guest *g, struct out *o, bool code32)
{
    static const uint8_t ops[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0x6c, 0x6d, 0x6e, 0x6f};

    if (chance(g, 70))
        put_load(g, o, code32, EDI, place(g));
    if (chance(g, 60))
        put_load(g, o, code32, ESI, place(g));
    put_load(g, o, code32, ECX, roll(g, chance(g, 90) ? 80 : 6000));
    if (chance(g, 10))
        put(o, chance(g, 50) ? 0xfd : 0xfc, 1); /* STD, CLD */
    if (chance(g, 15))
        put(o, 0x66, 1);
    if (chance(g, 85))
        put(o, chance(g, 70) ? 0xf3 : 0xf2, 1);
    put(o, ops[roll(g, ARRAY_LEN(ops))], 1);
}

/* MASKMOVQ and MASKMOVDQU, and conversions of MMX registers; often over code. */
static void put_masked(struct guest *g, struct out *o, bool code32)
{
    const bool vector = chance(g, 50);

    if (chance(g, 70)) { /* a mask: MOVQ, MOVDQU */
        put(o, vector ? 0x6f0ff3 : 0x6f0f, vector ? 3 : 2);
        put_modrm(g, o, code32, (uint8_t)(roll(g, 2) << 3 | (code32 ? 5 : 6)));
    }
    if (chance(g, 80))
        put_load(g, o, code32, EDI, chance(g, 70) ? place(g) : g->recent[roll(g, RECENT)] + roll(g, 16) - 8);
    if (chance(g, 10))
        put(o, chance(g, 50) ? 0x67 : 0x64, 1);
    if (chance(g, 20)) {
        put(o, 0x0f66 >> (vector ? 0 : 8), vector ? 2 : 1);
        put(o, (const uint8_t[]){0x2a, 0x2c, 0x2d}[roll(g, 3)], 1);
        put_modrm(g, o, code32, (uint8_t)(roll(g, 8) << 3 | (code32 ? 5 : 6)));
        return;
    }
    put(o, vector ? 0xf70f66 : 0xf70f, vector ? 3 : 2);
    put(o, 0xc0 | roll(g, 64), 1);
}

/* The displacement of a branch that ends in `left` bytes: back to an instruction, or anywhere near. */
static uint32_t displacement(struct guest *g, const struct out *o, unsigned left)
{
    if (chance(g, 15))
        return roll(g, 600) - 300;
    return g->recent[roll(g, RECENT)] - (address(o) + left);
}

/* Around and around, on a count that few others use. */
static void put_loop(struct guest *g, struct out *o, bool code32)
{
    unsigned size = code32 ? 4 : 2;

    if (g->what & CODE64)
        put(o, 0xcdff, 2);
    else
        put(o, 0x4d, 1); /* DEC ebp; JNZ */
    put(o, 0x850f, 2);
    put(o, displacement(g, o, size), size);
    if (chance(g, 70))
        put_load(g, o, code32, EBP, 2 + roll(g, 30));
}

static void put_branch(struct guest *g, struct out *o, bool code32)
{
    unsigned size = code32 ? 4 : 2;

    switch (roll(g, 9)) {
    case 0:
        put(o, 0xe2, 1); /* LOOP back */
        put(o, displacement(g, o, 1), 1);
        break;
    case 7: case 8:
        put_loop(g, o, code32);
        break;
    case 1:
        put(o, 0xe8 + roll(g, 2), 1); /* CALL, JMP */
        put(o, displacement(g, o, size), size);
        break;
    case 2:
        put(o, 0xcd, 1); /* INT n */
        put(o, roll(g, 256), 1);
        break;
    case 3:
        put(o, chance(g, 50) ? 0x9a : 0xea, 1); /* far CALL, JMP */
        put(o, CODE + roll(g, CODE_BYTES), size);
        put(o, g->what & PROTECTED && !(g->what & VM86) ? roll(g, GDT_ENTRIES) << 3 | roll(g, 4) : roll(g, 3), 2);
        break;
    case 4:
        put(o, chance(g, 50) ? 0xc3 : chance(g, 50) ? 0xcb : 0xcf, 1); /* RET, RETF, IRET */
        break;
    default:
        put(o, 0x70 + roll(g, 16), 1); /* Jcc */
        put(o, chance(g, 50) ? roll(g, 60) - 30 : displacement(g, o, 1), 1);
        break;
    }
}

/* Something that stores several times, or that cannot be taken back, over code that has just run. */
static void put_over_code(struct guest *g, struct out *o, bool code32)
{
    static const uint8_t stores[][2] = {{0xcd, 0x30}, {0x60, 0x90}, {0x6c, 0x6c}, {0xcc, 0x90}, {0x0f, 0x0b}, {0xe8, 0x00},
                                        {0x9c, 0x9c}, {0xab, 0xa5}, {0xc8, 0x00}};
    unsigned n = roll(g, ARRAY_LEN(stores));
    bool calls = stores[n][0] == 0xe8 || stores[n][0] == 0xc8;

    if (chance(g, 60))
        put_string(g, o, code32);
    put_load(g, o, code32, ESP, g->recent[roll(g, RECENT)] + roll(g, 16));
    put_load(g, o, code32, EDI, g->recent[roll(g, RECENT)] + roll(g, 4));
    put(o, stores[n][0], 1);
    put(o, stores[n][1], 1);
    if (calls)
        put(o, stores[n][0] == 0xc8 ? roll(g, 8) << 8 : 0, stores[n][0] == 0xc8 ? 2 : code32 ? 3 : 1);
    put_load(g, o, code32, ESP, STACK + roll(g, STACK_BYTES));
}

static void put_port(struct guest *g, struct out *o, bool code32)
{
    static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x40, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x92, 0x3f8,
                                     0x3f9, 0x3fa, 0x3fc, 0x3fd, 0x3d4, 0x3d5, 0x3c4, 0x3c5, 0x3ce, 0x3cf, 0x00, 0x0c,
                                     0xcf8, 0xcfc, 0x510, 0x511, 0x1f7, 0x80, 0x402};

    put_load(g, o, code32, EDX, ports[roll(g, ARRAY_LEN(ports))]);
    if (chance(g, 50))
        put_load(g, o, code32, EAX, number(g));
    put(o, 0xec + roll(g, 4), 1);
}

static void put_system(struct guest *g, struct out *o, bool code32)
{
    switch (roll(g, 8)) {
    case 0: /* a control or debug register, most of it as it was */
        put(o, 0x0f, 1);
        put(o, chance(g, 50) ? 0x20 : 0x21, 1);
        put(o, 0xc0 | roll(g, 5) << 3, 1);
        put(o, 0x83, 1); /* XOR eax, imm8 */
        put(o, 0xf0, 1);
        put(o, roll(g, 64) & ~1u, 1);
        put(o, 0x0f, 1);
        put(o, chance(g, 50) ? 0x22 : 0x23, 1);
        put(o, 0xc0 | roll(g, 8) << 3, 1);
        break;
    case 1:
        put_load(g, o, code32, EAX, place(g)); /* a breakpoint of the guest's */
        put(o, 0x230f, 2);
        put(o, 0xc0 | roll(g, 4) << 3, 1);
        put_load(g, o, code32, EAX, roll(g, 256) | roll(g, 256) << 16);
        put(o, 0x230f, 2);
        put(o, 0xf8, 1);
        break;
    case 2:
        put(o, 0xfb, 1); /* STI */
        break;
    case 3:
        put(o, 0x9c, 1); /* PUSHF; POPF */
        put(o, 0x9d, 1);
        break;
    case 4: /* an entry of the page tables */
        put(o, 0xc7, 1);
        put_modrm(g, o, code32, (uint8_t)(code32 ? 0x05 : 0x06));
        put(o, place(g) | roll(g, 256), code32 ? 4 : 2);
        break;
    case 5:
        put(o, 0x8e, 1); /* MOV Sreg, r/m */
        put(o, 0xc0 | roll(g, 6) << 3 | roll(g, 8), 1);
        break;
    case 6:
        put(o, 0x200f, 2); /* reload CR3 */
        put(o, 0xd8, 1);
        put(o, 0x220f, 2);
        put(o, 0xd8, 1);
        break;
    default:
        put(o, 0x010f, 2);
        put_modrm(g, o, code32, (uint8_t)roll(g, 192));
        break;
    }
}

static void put_code(struct guest *g, uint8_t *buf, size_t len, bool code32)
{
    struct out o = {.begin = buf, .at = buf, .end = buf + len};

    while (o.at < o.end) {
        unsigned n = roll(g, 100);

        g->recent[g->nrecent++ % RECENT] = address(&o);
        if (g->what & LONG && n < 8)
            put_newer(g, &o);
        else if (n < 42)
            put_any(g, &o, code32);
        else if (n < 46)
            put(&o, roll(g, 256), 1);
        else if (n < 60)
            put_load(g, &o, code32, chance(g, 15) ? ESP : roll(g, 8), number(g));
        else if (n < 69)
            put_string(g, &o, code32);
        else if (n < 70)
            put_masked(g, &o, code32);
        else if (n < 83)
            put_branch(g, &o, code32);
        else if (n < 85)
            put_over_code(g, &o, code32);
        else if (n < 90)
            put_port(g, &o, code32);
        else if (n < 95)
            put_system(g, &o, code32);
        else if (g->what & CODE64 && n < 97)
            put(&o, chance(g, 50) ? 0x050f : 0xf8010f, 2 + chance(g, 50)); /* SYSCALL, SWAPGS, or parts of them */
        else
            put(&o, 0x50 + roll(g, 16), 1); /* PUSH, POP */
    }
}

/* ---- tables ---- */

static void descriptor(struct guest *g, unsigned selector, uint32_t base, uint32_t limit, unsigned type, unsigned flags)
{
    uint32_t at = GDT + (selector & ~7u);

    poke(g, at, (base & 0xffff) << 16 | (limit & 0xffff), 4);
    poke(g, at + 4, (base & 0xff000000) | flags << 20 | (limit & 0xf0000) | type << 8 | (base >> 16 & 0xff), 4);
}

static void gate(struct guest *g, uint32_t at, unsigned selector, uint32_t offset, unsigned type)
{
    poke(g, at, (uint32_t)selector << 16 | (offset & 0xffff), 4);
    poke(g, at + 4, (offset & 0xffff0000) | type << 8 | roll(g, 4), 4);
}

#define UPPER_HALF UINT64_C(0xffff800000000000)

static uint32_t somewhere_in_code(struct guest *g)
{
    return CODE + roll(g, CODE_BYTES);
}

static void make_descriptors(struct guest *g)
{
    for (unsigned n = 1; n < GDT_ENTRIES; n++)
        descriptor(g, n << 3, chance(g, 50) ? 0 : place(g), chance(g, 60) ? 0xfffff : roll(g, 0x10000), roll(g, 256), roll(g, 16));
    descriptor(g, S_CODE, 0, 0xfffff, 0x9a, g->what & CODE32 ? 0xc : 0x8);
    descriptor(g, S_DATA, 0, 0xfffff, 0x92, 0xc);
    descriptor(g, S_UCODE, 0, 0xfffff, 0xfa, g->what & CODE32 ? 0xc : 0x8);
    descriptor(g, S_UDATA, 0, 0xfffff, 0xf2, 0xc);
    descriptor(g, S_TSS, TSS, 0xff, 0x8b, 0);
    descriptor(g, S_TSS_DF, TSS_DF, 0xff, 0x89, 0);
    descriptor(g, S_TSS2, TSS2, 0xff, 0xe9, 0);
    descriptor(g, S_TSS16, TSS16, 0x7f, 0xe1, 0);
    descriptor(g, S_LDT, LDT, 0x3ff, 0x82, 0);
    gate(g, GDT + S_CALL, S_CODE, somewhere_in_code(g), 0xec);
    gate(g, GDT + S_TASK, S_TSS2, 0, 0xe5);
    if (g->what & LONG) {
        descriptor(g, S_CODE64, 0, 0, 0x9b, 2);
        descriptor(g, S_UCODE64 & ~7u, 0, 0, 0xfb, 2);
    }
    descriptor(g, S_CODE16, 0, 0xffff, 0x9a, 0);
    descriptor(g, S_DATA16, roll(g, 2) ? 0 : STACK, 0xffff, 0x92, 0);
    for (uint32_t at = LDT; at < LDT + 0x80; at += 4)
        poke(g, at, fuzz_roll64(g->r), 4);
}

static void make_task(struct guest *g, uint32_t at)
{
    static const uint8_t selectors[6] = {S_DATA, S_CODE, S_DATA, S_DATA, S_DATA, S_DATA16};

    poke(g, at + 4, STACK + 0x1000 + roll(g, 0x1000), 4);
    poke(g, at + 8, S_DATA, 2);
    poke(g, at + 0x1c, g->s->cr3, 4);
    poke(g, at + 0x20, somewhere_in_code(g), 4);
    poke(g, at + 0x24, roll(g, 2) << 9 | 2, 4);
    for (unsigned i = 0; i < 8; i++)
        poke(g, at + 0x28 + 4 * i, i == ESP ? STACK + roll(g, STACK_BYTES) : number(g), 4);
    for (unsigned i = 0; i < 6; i++)
        poke(g, at + 0x48 + 4 * i, selectors[i], 2);
    poke(g, at + 0x66, 0x88, 2);
    if (g->what & LONG) { /* stacks of the levels and of interrupts */
        poke(g, at + 4, STACK + 0x1000 + roll(g, 0x1000), 8);
        for (unsigned i = 0; i < 7; i++)
            poke(g, at + 36 + 8 * i, STACK + roll(g, STACK_BYTES), 8);
    }
}

/* Of a kernel in 64-bit mode: mostly in the upper half of the address space, where low memory is again. */
static uint64_t somewhere_in_kernel(struct guest *g)
{
    return somewhere_in_code(g) | (chance(g, 60) ? UPPER_HALF : 0);
}

static void make_long_vectors(struct guest *g)
{
    for (unsigned v = 0; v < 256; v++) {
        uint32_t at = IDT_LONG + v * 16;

        gate(g, at, chance(g, 95) ? S_CODE64 : number(g), somewhere_in_code(g), (chance(g, 70) ? 0x8e : 0x8f) | roll(g, 4) << 5);
        poke(g, at + 4, chance(g, 30) ? roll(g, 8) : 0, 1); /* the interrupt stack */
        poke(g, at + 8, chance(g, 98) ? somewhere_in_kernel(g) >> 32 : fuzz_roll64(g->r), 8);
        if (v >= 32 && chance(g, 50)) { /* one that comes back, from a repeated instruction of its own: xor ecx, ecx; rep movsb; iretq */
            uint32_t to = somewhere_in_code(g) & ~7u;

            gate(g, at, S_CODE64, to, 0xee);
            poke(g, to, UINT64_C(0x9090cf48a4f3c931), 8);
        }
    }
}

static void make_vectors(struct guest *g)
{
    if (g->what & LONG)
        make_long_vectors(g);
    for (unsigned v = 0; v < 256; v++) {
        uint32_t at = IDT + v * 8;
        unsigned kind = roll(g, 100);

        /* An exception of an 8086 program must come to level 0. */
        if (kind < 90)
            gate(g, at, S_CODE, somewhere_in_code(g), (kind < 60 ? 0x8e : 0x8f) | roll(g, 4) << 5);
        else if (kind < 95)
            gate(g, at, S_CODE, somewhere_in_code(g) & 0xffff, 0xe6);
        else if (kind < 98)
            gate(g, at, S_TSS2, 0, 0xe5);
        else
            poke(g, at, fuzz_roll64(g->r), 8);
    }
    gate(g, IDT + EXC_DF * 8, S_TSS_DF, 0, 0x85);
    if (!(g->what & PROTECTED))
        for (unsigned v = 0; v < 256; v++)
            poke(g, IVT + 4 * v, somewhere_in_code(g) | roll(g, 2) << 16, 4);
}

/* Of a page of the low 4 MiB: mostly itself, with the bits that walks set mostly clear. */
static uint64_t entry(struct guest *g, uint32_t page)
{
    static const uint32_t devices[] = {0xa0000, 0xfee00000, 0xfec00000, 0x7ffff000};
    uint64_t e = page | 7;

    if (chance(g, 4))
        e = (place(g) & ~0xfffu) | 7;
    if (chance(g, 2))
        e = devices[roll(g, ARRAY_LEN(devices))] | 7;
    if (chance(g, 50))
        e |= 0x20u | (chance(g, 50) ? 0x40u : 0);
    if (chance(g, 3))
        e &= ~(uint64_t)(1u << roll(g, 3));
    if ((g->what & PAE) && chance(g, 2))
        e |= (uint64_t)1 << 63;
    return e;
}

static void make_tables(struct guest *g)
{
    unsigned size = g->what & PAE ? 8 : 4, per_page = 4096u / size, tables = g->what & PAE ? 2 : 1;

    for (unsigned t = 0; t < tables; t++) {
        poke(g, DIR + size * t, (uint32_t)(TABLES + 0x1000 * t) | 7 | (uint32_t)roll(g, 2) << 5, size);
        for (unsigned i = 0; i < per_page; i++)
            poke(g, TABLES + 0x1000 * t + size * i, entry(g, (t * per_page + i) << 12), size);
    }
    if (g->what & WITH_PSE)
        poke(g, DIR + size * (tables + roll(g, 2)), 0x83 | roll(g, 128), size); /* 4 or 2 MiB, again the low ones */
    if (chance(g, 20))
        poke(g, DIR + size * 3, 0xfee00007, size); /* a table in a device */
    if (g->what & PAE) {
        for (unsigned i = 0; i < 4; i++)
            poke(g, PDPT + 8 * i, (g->s->pdpte[i] = i == 0 || chance(g, 30) ? DIR | 1 : 0), 8);
        g->s->efer |= chance(g, 50) ? EFER_NXE : 0;
    }
    g->s->cr3 = g->what & PAE ? PDPT : DIR;
    if (g->what & LONG) {
        for (unsigned i = 0; i < 512; i++) {
            poke(g, PDPT_LONG + 8 * i, i == 0 || chance(g, 5) ? DIR | 7 : chance(g, 5) ? entry(g, 0) | 0x80 : 0, 8);
            poke(g, PML4 + 8 * i, i == 0 || i == 256 || chance(g, 3) ? PDPT_LONG | 7 : chance(g, 1) ? entry(g, PML4) : 0, 8);
        }
        g->s->cr3 = PML4;
    }
}

/* ---- the CPU ---- */

static void segments(struct guest *g)
{
    struct i386_state *s = g->s;
    bool user = g->what & USER;

    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        if (g->what & PROTECTED && !(g->what & VM86))
            s->seg[n] = (struct i386_segment){.selector = user ? S_UDATA : S_DATA, .attr = user ? 0xc0f3 : 0xc093,
                                              .limit = 0xffffffff, .valid = 1};
        else
            s->seg[n] = (struct i386_segment){.attr = g->what & VM86 ? 0xf3 : 0x93, .valid = 1,
                                              .limit = g->what & BIG_REAL ? 0xffffffff : 0xffff};
    }
    if (g->what & PROTECTED && !(g->what & VM86)) {
        s->seg[SEG_CS].selector = user ? S_UCODE : S_CODE;
        s->seg[SEG_CS].attr = (uint16_t)((g->what & CODE32 ? 0xc000 : 0x8000) | (user ? 0xfb : 0x9b));
        s->seg[SEG_SS].attr = (uint16_t)((chance(g, 80) ? 0xc000 : 0x8000) | (user ? 0xf3 : 0x93));
    }
    if (g->what & CODE64)
        s->seg[SEG_CS] = i386_flat_segment(user ? S_UCODE64 : S_CODE64, 11, user ? 3 : 0, SEG_ATTR_L);
    s->cpl = user || (g->what & VM86) ? 3 : 0;
    s->seg[SEG_TR] = (struct i386_segment){.selector = S_TSS, .attr = 0x8b, .base = TSS, .limit = 0xff, .valid = 1};
    s->seg[SEG_LDTR] = (struct i386_segment){.selector = S_LDT, .attr = 0x82, .base = LDT, .limit = 0x3ff, .valid = 1};
}

static void make_cpu(struct guest *g)
{
    struct i386_state *s = g->s;

    s->cr0 = CR0_ET | CR0_NE | (g->what & PROTECTED ? CR0_PE : 0) | (g->what & PAGING ? CR0_PG : 0) |
             (chance(g, 50) ? CR0_WP : 0);
    s->cr4 = (g->what & PAE ? CR4_PAE : 0) | (g->what & WITH_PSE ? CR4_PSE : 0) | CR4_OSFXSR |
             (chance(g, 30) ? CR4_VME | CR4_PVI : 0) | (chance(g, 30) ? CR4_DE : 0);
    segments(g);
    s->gdtr = (struct i386_dtr){.base = GDT, .limit = GDT_ENTRIES * 8 - 1};
    s->idtr = (struct i386_dtr){.base = g->what & PROTECTED ? IDT : IVT, .limit = g->what & PROTECTED ? 0x7ff : 0x3ff};
    s->eflags = 2 | (chance(g, 80) ? EFLAGS_IF : 0) | (g->what & VM86 ? EFLAGS_VM : 0) |
                (chance(g, 50) ? EFLAGS_IOPL : 0) | (chance(g, 3) ? EFLAGS_TF : 0);
    for (unsigned i = 0; i < 8; i++)
        s->gpr[i] = number(g);
    s->gpr[ESP] = STACK + (roll(g, STACK_BYTES) & ~1u);
    s->rip = somewhere_in_code(g);
    s->halted = 0;
    if (g->what & LONG) {
        s->efer |= EFER_LME | EFER_LMA | EFER_SCE;
        s->cr4 = (s->cr4 & ~(uint32_t)(CR4_VME | CR4_PVI)) | CR4_PAE | CR4_OSXMMEXCPT | (chance(g, 50) ? CR4_FSGSBASE : 0) |
                 (chance(g, 70) ? CR4_OSXSAVE : 0) | (chance(g, 10) ? CR4_SMAP : 0) | (chance(g, 20) ? CR4_PKE : 0);
        s->xcr0 = i386_xcr0_mask(g->c->model);
        s->pkru = chance(g, 20) ? (uint32_t)fuzz_roll64(g->r) & ~3u : 0;
        s->star = (uint64_t)S_UCODE << 48 | (uint64_t)S_CODE64 << 32;
        s->lstar = somewhere_in_kernel(g);
        s->cstar = somewhere_in_kernel(g);
        s->sfmask = roll(g, 0x10000);
        s->kernel_gs_base = place(g);
        s->idtr = (struct i386_dtr){.base = IDT_LONG, .limit = 0xfff};
        for (unsigned i = 8; i < 16 && g->what & CODE64; i++)
            s->gpr[i] = chance(g, 80) ? number(g) : fuzz_roll64(g->r);
    }
}

static void out_port(struct guest *g, uint16_t port, uint32_t v)
{
    g->c->io_write(g->c->io_ctx, port, 1, v);
}

/* Interrupt controllers and timers as a system sets them up, that tick fast. */
static void make_ticks(struct guest *g)
{
    static const uint16_t setup[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 0x04}, {0x21, 0x01}, {0xa0, 0x11}, {0xa1, 0x28},
                                        {0xa1, 0x02}, {0xa1, 0x01}, {0x43, 0x34}};
    uint16_t count = (uint16_t)(1 + roll(g, 30));

    for (unsigned i = 0; i < ARRAY_LEN(setup); i++)
        out_port(g, setup[i][0], setup[i][1]);
    out_port(g, 0x40, count & 0xff);
    out_port(g, 0x40, 0);
    out_port(g, 0x21, roll(g, 256) & ~1u);
    out_port(g, 0xa1, roll(g, 256));
    out_port(g, 0x3f9, roll(g, 16));
}

/* On no APIC's word: an overflow is an NMI. */
static void counter_nmi(void *ctx)
{
    const struct ports *ports = ctx;

    i386_raise_nmi((struct i386_cpu *)(void *)ports->machine->runner);
}

/* Performance counters that are about to overflow. */
static void make_counters(struct guest *g)
{
    static const uint32_t events[] = {0xc0, 0x3c, 0x13c, 0xc0, 0x76};
    bool amd = g->c->model->amd;

    g->c->pmi = counter_nmi;
    for (unsigned n = 0; n < 4; n++) {
        i386_write_msr(g->c, (amd ? 0xc0010004u : 0xc1) + n, (uint64_t)0 - 1 - roll(g, chance(g, 50) ? 20 : 3000));
        i386_write_msr(g->c, (amd ? 0xc0010000u : 0x186) + n, events[roll(g, ARRAY_LEN(events))] | roll(g, 4) << 16 | roll(g, 2) << 20 | 1u << 22);
    }
    for (unsigned n = 0; n < 3 && !amd; n++)
        i386_write_msr(g->c, 0x309 + n, ((uint64_t)1 << 48) - 1 - roll(g, 5000));
    if (amd)
        return;
    i386_write_msr(g->c, 0x38d, fuzz_roll64(g->r) & 0xbbb);
    i386_write_msr(g->c, 0x38f, UINT64_C(0x70000000f));
}

/* Last branches are recorded, until a #DB. */
static void make_last_branches(struct guest *g)
{
    if (!chance(g, 15))
        return;
    if (!i386_write_msr(g->c, 0x1d9, DEBUGCTL_LBR | DEBUGCTL_FREEZE_LBRS))
        i386_write_msr(g->c, 0x1d9, DEBUGCTL_LBR);
    i386_write_msr(g->c, 0x1c8, fuzz_roll64(g->r) & fuzz_roll64(g->r) & 0x3ff);
}

static struct machine *make(const struct fuzz_mode *mode, struct fuzz_rng *r)
{
    static uint8_t nothing[0x10000];
    static const char *const long_models[] = {"max,pmu=on", "max,pmu=on,vendor=GenuineIntel", "Haswell,pmu=on"};
    struct pc_config config = PC_CONFIG_INIT;
    struct guest g = {.r = r, .what = mode->what};
    uint8_t code[CODE_BYTES];
    struct error err;

    config.memory_bytes = 1 << 20;
    config.debug_exit_count = 0;
    config.no_reboot = true;
    config.vga = PC_VGA_NONE;
    if (mode->what & LONG)
        config.cpu_model = long_models[fuzz_roll(r, ARRAY_LEN(long_models))];
    else if (fuzz_roll(r, 2))
        config.cpu_model = "coreduo,pmu=on";
    config.icount_shift = fuzz_roll(r, 7);
    config.bios = (struct boot_image){.data = nothing, .len = sizeof nothing, .name = "nothing"};
    if (pc_create(&g.m, &config, &err) < 0) {
        fprintf(stderr, "fuzz_code: %s\n", err.text);
        exit(2);
    }
    g.c = (struct i386_cpu *)(void *)g.m->cpus[0];
    g.s = g.c->st;
    put_code(&g, code, sizeof code, g.what & CODE32);
    memory_write_bytes(&g.m->memory, CODE, code, sizeof code, true);
    if (g.what & PAGING)
        make_tables(&g);
    make_descriptors(&g);
    make_vectors(&g);
    make_task(&g, TSS);
    make_task(&g, TSS_DF);
    make_task(&g, TSS2);
    make_cpu(&g);
    make_ticks(&g);
    g.m->cpus[0]->ops->drop_derived(g.m->cpus[0]);
    i386_mode_changed(g.c);
    if (g.c->model->pmu)
        make_counters(&g);
    make_last_branches(&g);
    return g.m;
}

#define MODE(what_, name_) \
    {.name = name_, .make = make, .what = what_, .ram = 0, .ram_bytes = 640 << 10, .code = CODE, .code_bytes = CODE_BYTES, \
     .input = "uart0"}

const struct fuzz_mode fuzz_i386_modes[] = {
    MODE(0, "real"),
    MODE(BIG_REAL, "big-real"),
    MODE(PROTECTED | CODE32, "protected32"),
    MODE(PROTECTED, "protected16"),
    MODE(PROTECTED | CODE32 | USER, "user32"),
    MODE(PROTECTED | CODE32 | PAGING | WITH_PSE, "paging32"),
    MODE(PROTECTED | CODE32 | PAGING | USER, "paging-user32"),
    MODE(PROTECTED | CODE32 | PAGING | PAE | WITH_PSE, "pae32"),
    MODE(PROTECTED | PAGING, "paging16"),
    MODE(PROTECTED | CODE32 | PAGING | PAE | LONG | CODE64, "long64"),
    MODE(PROTECTED | CODE32 | PAGING | PAE | LONG | CODE64 | USER | WITH_PSE, "long-user64"),
    MODE(PROTECTED | CODE32 | PAGING | PAE | LONG, "compatibility"),
    MODE(PROTECTED | CODE32 | PAGING | PAE | LONG | USER, "compatibility-user"),
    MODE(PROTECTED | VM86, "vm86"),
    MODE(PROTECTED | VM86 | PAGING, "paging-vm86"),
};
const unsigned fuzz_i386_count = ARRAY_LEN(fuzz_i386_modes);
