/*
 * Random code for the virt board: EL0 to EL3, in both security states, without translation and with one stage
 * or two, whose tables lie among the data; with timers that interrupt. Instructions come from the decoder's
 * own patterns, system registers from the CPU's table.
 *
 * To add a mode: a row in fuzz_a64_modes.
 */
#include "tests/whole/fuzz_code.h"

#include "aarch64/insn.h"
#include "aarch64/system.h"
#include "aarch64/virt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECENT = 16 };
enum { LEVEL = 3, EL2 = 4, EL3 = 8, MMU = 16, STAGE2 = 32, GIC3 = 64 };

#define RAM        VIRT_RAM_BASE
#define RAM_BYTES  (UINT64_C(1) << 20)
#define VECTORS    (RAM + 0x10000) /* of EL1; 1000h further those of EL2 and EL3 */
#define CODE       (RAM + 0x14000)
#define CODE_BYTES UINT64_C(0x4000)
#define STACK      (RAM + 0x18000)
#define STACK_BYTES UINT64_C(0x2000)
#define TABLES     (RAM + 0x20000)
#define DATA       (RAM + 0x30000)
#define DATA_BYTES UINT64_C(0x10000)

#define D_PAGE  UINT64_C(3)
#define D_BLOCK UINT64_C(1)
#define D_TABLE UINT64_C(3)
#define D_AF    UINT64_C(0x400)

struct guest {
    struct machine *m;
    struct a64_cpu *c;
    struct a64_state *s;
    struct fuzz_rng *r;
    unsigned what;
    uint32_t recent[RECENT]; /* numbers of words where something begins that was made lately */
    unsigned nrecent;
    uint16_t sysreg[1024];
    unsigned nsysregs, nrows;
};

static uint32_t roll(struct guest *g, uint32_t n) { return fuzz_roll(g->r, n); }
static bool chance(struct guest *g, unsigned percent) { return fuzz_chance(g->r, percent); }

static void poke(struct guest *g, paddr_t at, uint64_t v, unsigned size)
{
    memory_write_bytes(&g->m->memory, at, &v, size, true);
}

/* An address worth to be at. */
static uint64_t place(struct guest *g)
{
    static const uint64_t devices[] = {0x09000000, 0x08000000, 0x08010000, 0x09020000, 0x09010000, 0x0a000000, 0};
    uint64_t at;

    switch (roll(g, 18)) {
    case 16:
        return CODE + 4 * (uint64_t)g->recent[roll(g, RECENT)];
    case 0: case 1: case 2: case 3:
        at = CODE + roll(g, CODE_BYTES);
        break;
    case 4: case 5:
        at = STACK + roll(g, STACK_BYTES);
        break;
    case 6:
        at = TABLES + roll(g, 0x6000);
        break;
    case 7:
        at = VECTORS + roll(g, 0x4000);
        break;
    case 8:
        at = devices[roll(g, ARRAY_LEN(devices))] + roll(g, 0x1000);
        break;
    case 9:
        at = RAM + ((uint64_t)roll(g, 0x40) << 12) - 1 - roll(g, 16);
        break;
    case 10:
        at = fuzz_roll64(g->r);
        break;
    case 11:
        at = RAM + roll(g, RAM_BYTES);
        break;
    default:
        at = DATA + roll(g, DATA_BYTES);
        break;
    }
    return chance(g, 75) ? at & ~UINT64_C(15) : at;
}

static uint64_t number(struct guest *g)
{
    switch (roll(g, 6)) {
    case 0:
        return roll(g, 64);
    case 1:
        return fuzz_roll64(g->r);
    case 2:
        return (uint64_t)0 - roll(g, 4096);
    default:
        return place(g);
    }
}

static uint64_t somewhere_in_code(struct guest *g)
{
    return CODE + (roll(g, CODE_BYTES) & ~3u);
}

/* ---- code ---- */

struct out {
    uint32_t *begin, *at, *end;
};

static void put(struct out *o, uint32_t word)
{
    if (o->at < o->end)
        *o->at++ = word;
}

/* MOVZ and MOVKs */
static void put_load(struct out *o, unsigned rd, uint64_t v)
{
    put(o, 0xd2800000u | (uint32_t)(v & 0xffff) << 5 | rd);
    for (unsigned i = 1; i < 4; i++)
        if (v >> 16 * i & 0xffff)
            put(o, 0xf2800000u | i << 21 | (uint32_t)(v >> 16 * i & 0xffff) << 5 | rd);
}

static bool sleeps(uint32_t word)
{
    return (word & 0xffffffdfu) == 0xd503205fu; /* WFE, WFI */
}

/* Any instruction there is. */
static void put_any(struct guest *g, struct out *o)
{
    const struct a64_row *row = a64_row(roll(g, g->nrows));
    uint32_t word = (uint32_t)fuzz_roll64(g->r);
    bool branch = (row->value >> 26 & 7) == 5;

    word = (word & ~row->mask) | row->value;
    if (branch && chance(g, 85) && (row->mask >> 24) == 0x7c) /* B, BL: not far */
        word = (word & 0xfc000000u) | ((roll(g, 64) - 32) & 0x3ffffffu);
    else if (branch && chance(g, 85))
        word = (word & ~0x00ffffe0u) | (((roll(g, 64) - 32) & 0x7ffff) << 5 & 0x00ffffe0u);
    if (!sleeps(word) || chance(g, 3))
        put(o, word);
}

/* A load or store of some kind with a base that points somewhere. */
static void put_access(struct guest *g, struct out *o)
{
    static const uint32_t forms[] = {0xf9400000, 0xf9000000, 0xb9400000, 0xb9000000, 0x39400000, 0x39000000, 0x78400400,
                                     0x78000c00, 0xa9400000, 0xa9000000, 0xa8c00000, 0xa9800000, 0xad400000, 0xad000000,
                                     0x3dc00000, 0x3d800000, 0xc85f7c00, 0xc8007c00, 0x0c400000, 0x0c000000, 0x4c9f0000,
                                     0xf8400800, 0xf8000800, 0xc8c00000, 0xf8200000, 0xc8200000, 0xc87f0000, 0xc8dffc00,
                                     0xc89ffc00, 0x48207c00};
    unsigned base = roll(g, 31);
    uint32_t form = forms[roll(g, ARRAY_LEN(forms))];

    if (chance(g, 70))
        put_load(o, base, place(g));
    form |= base << 5 | roll(g, 32);
    if (chance(g, 50))
        form |= roll(g, 64) << 10 & 0x3000; /* structures of other shapes, small offsets */
    if (chance(g, 50))
        form |= roll(g, 32) << 16;
    put(o, form);
}

static void put_system(struct guest *g, struct out *o)
{
    uint32_t enc = g->sysreg[roll(g, g->nsysregs)];
    unsigned rt = roll(g, 31);

    switch (roll(g, 6)) {
    case 0:
        put(o, 0xd5300000u | (enc & 0x7fffu) << 5 | rt); /* MRS */
        break;
    case 1: /* some bits of a register */
        put(o, 0xd5300000u | (enc & 0x7fffu) << 5 | rt);
        put(o, 0xd2400000u | roll(g, 64) << 16 | rt << 5 | rt); /* EOR of one bit */
        put(o, 0xd5100000u | (enc & 0x7fffu) << 5 | rt);
        break;
    case 2:
        if (chance(g, 70))
            put_load(o, rt, number(g));
        put(o, 0xd5100000u | (enc & 0x7fffu) << 5 | rt);
        break;
    case 3: /* back to the level that we came from, or another one */
        if (chance(g, 60)) {
            put_load(o, rt, somewhere_in_code(g));
            put(o, 0xd5100000u | (SYSREG(3, (chance(g, 60) ? 0 : chance(g, 50) ? 4 : 6), 4, 0, 1) & 0x7fffu) << 5 | rt);
            put_load(o, rt, roll(g, 16) << 28 | roll(g, 16) << 6 | roll(g, 4) << 2 | roll(g, 2) | roll(g, 2) << 21);
            put(o, 0xd5100000u | (SYSREG(3, (chance(g, 60) ? 0 : chance(g, 50) ? 4 : 6), 4, 0, 0) & 0x7fffu) << 5 | rt);
        }
        put(o, 0xd69f03e0u);
        break;
    case 4:
        put(o, (chance(g, 50) ? 0xd50340dfu : 0xd50340ffu) | roll(g, 16) << 8); /* DAIFSet, DAIFClr */
        break;
    default:
        put(o, 0xd4000001u | roll(g, 3) << 5 | roll(g, 3)); /* SVC, HVC, SMC */
        break;
    }
}

/* Around and around, on a count that few others use. */
static void put_loop(struct guest *g, struct out *o)
{
    put(o, 0xd100079c); /* SUB x28, x28, #1 */
    put(o, 0xb5000000u | ((g->recent[roll(g, RECENT)] - (uint32_t)(o->at - o->begin)) & 0x7ffff) << 5 | 28);
    if (chance(g, 70))
        put_load(o, 28, 2 + roll(g, 30));
}

static void put_code(struct guest *g, uint32_t *words, size_t n)
{
    struct out o = {.begin = words, .at = words, .end = words + n};

    while (o.at < o.end) {
        unsigned kind = roll(g, 100);

        g->recent[g->nrecent++ % RECENT] = (uint32_t)(o.at - words);

        if (kind < 50)
            put_any(g, &o);
        else if (kind < 62)
            put_load(&o, roll(g, 31), number(g));
        else if (kind < 80)
            put_access(g, &o);
        else if (kind < 90)
            put_system(g, &o);
        else if (kind < 93) /* CBNZ, backwards or on */
            put(&o, 0xb5000000u | ((roll(g, 24) - 16) & 0x7ffff) << 5 | roll(g, 31));
        else if (kind < 97)
            put_loop(g, &o);
        else
            put(&o, (uint32_t)fuzz_roll64(g->r));
    }
}

/* Handlers that mostly go back behind what they are for. */
static void make_vectors(struct guest *g)
{
    for (unsigned el = 1; el <= 3; el++)
        for (unsigned v = 0; v < 16; v++) {
            uint32_t words[32];
            uint32_t elr = SYSREG(3, el == 1 ? 0 : el == 2 ? 4 : 6, 4, 0, 1) & 0x7fffu;
            struct out o = {.begin = words, .at = words, .end = words + 32};

            put_code(g, words, 32);
            if (chance(g, 75)) {
                if (chance(g, 70)) {
                    put(&o, 0xd5300000u | elr << 5 | 17);
                    put(&o, 0x91000000u | roll(g, 16) << 12 | 17 << 5 | 17); /* ADD: some instructions on */
                    put(&o, 0xd5100000u | elr << 5 | 17);
                }
                put(&o, 0xd69f03e0u);
            }
            memory_write_bytes(&g->m->memory, VECTORS + 0x1000 * (el - 1) + 0x80 * v, words, sizeof words, true);
        }
}

/* ---- translation ---- */

static uint64_t page_entry(struct guest *g, uint64_t page)
{
    uint64_t e = page | D_PAGE | (chance(g, 97) ? D_AF : 0);

    if (chance(g, 5))
        e = (place(g) & UINT64_C(0xfffff000)) | D_PAGE | D_AF;
    if (chance(g, 15))
        e |= (uint64_t)roll(g, 4) << 6; /* AP */
    if (chance(g, 3))
        e |= (uint64_t)roll(g, 4) << 53; /* XN, PXN */
    if (chance(g, 5))
        e |= 4; /* Device memory */
    if (chance(g, 2))
        e &= ~UINT64_C(3);
    return chance(g, 50) ? e | 0x40 : e;
}

/* Tables of 4 KiB pages for 39 bits at `at`, with RAM by pages and the rest by blocks. */
static void make_tables(struct guest *g, paddr_t at, bool stage2)
{
    uint64_t extra = stage2 ? 0xfc : 0x40, attributes = stage2 ? 0x3c : 0;

    poke(g, at, D_BLOCK | D_AF | extra | (stage2 ? 0 : 4), 8);
    poke(g, at + 8, (at + 0x1000) | D_TABLE, 8);
    poke(g, at + 0x1000, (at + 0x2000) | D_TABLE, 8);
    if (chance(g, 30))
        poke(g, at + 0x1008, RAM | D_BLOCK | D_AF | extra | attributes, 8);
    if (chance(g, 10))
        poke(g, at + 0x1010, 0x09000000 | D_TABLE, 8); /* a table in a device */
    for (uint64_t i = 0; i < RAM_BYTES / 0x1000; i++) {
        uint64_t e = page_entry(g, RAM + i * 0x1000);

        if (stage2)
            e = (e & ~UINT64_C(0xfc)) | 0x3c | (chance(g, 95) ? 0xc0 : (uint64_t)roll(g, 4) << 6);
        poke(g, at + 0x2000 + 8 * i, e, 8);
    }
}

static void make_translation(struct guest *g)
{
    struct a64_state *s = g->s;

    make_tables(g, TABLES, false);
    make_tables(g, TABLES + 0x3000, true);
    for (unsigned el = 1; el <= 3; el++) {
        s->ttbr0[el] = TABLES;
        s->tcr[el] = 25 | (el == 1 ? UINT64_C(25) << 16 | UINT64_C(2) << 30 : 0);
        s->mair[el] = 0x04ff;
        if ((g->what & MMU) && (el == (g->what & LEVEL) || el == 1 || chance(g, 50)))
            s->sctlr[el] |= SCTLR_M;
        s->sctlr[el] ^= chance(g, 20) ? SCTLR_A : 0;
    }
    s->ttbr1 = TABLES;
    s->vttbr_el2 = TABLES + 0x3000;
    s->vtcr_el2 = 25 | 1 << 6 | 2 << 16;
    if (g->what & EL2)
        s->hcr_el2 = HCR_RW | (g->what & STAGE2 ? HCR_VM : 0) | (chance(g, 20) ? HCR_DC : 0) |
                     (chance(g, 30) ? HCR_TVM : 0) | (chance(g, 20) ? HCR_IMO | HCR_FMO : 0);
    if (g->what & EL3)
        s->scr_el3 = 0x530 | (chance(g, 60) ? SCR_NS : 0) | (chance(g, 50) ? SCR_EA : 0) | (uint64_t)roll(g, 8) << 1;
}

/* ---- the CPU ---- */

static void make_cpu(struct guest *g)
{
    struct a64_state *s = g->s;
    unsigned el = g->what & LEVEL;

    for (unsigned i = 0; i < 31; i++)
        s->x[i] = number(g);
    for (unsigned i = 0; i < 32; i++)
        s->v[i].d[0] = s->v[i].d[1] = fuzz_roll64(g->r);
    for (unsigned i = 1; i <= 3; i++) {
        s->vbar[i] = VECTORS + 0x1000 * (i - 1);
        s->sp_el[i] = STACK + (roll(g, STACK_BYTES) & ~15u);
        s->elr[i] = somewhere_in_code(g);
        s->spsr[i] = roll(g, 2) ? 0 : 5;
    }
    s->sp_el[0] = STACK + (roll(g, STACK_BYTES) & ~15u);
    s->cpacr_el1 = chance(g, 90) ? 3 << 20 : 0;
    s->oslsr_el1 &= ~UINT64_C(2);
    if (chance(g, 30))
        s->mdscr_el1 = MDSCR_MDE | (chance(g, 50) ? MDSCR_KDE : 0) | (chance(g, 20) ? MDSCR_SS : 0);
    s->cntkctl_el1 = 0x303;
    s->timer[TIMER_VIRT].cval = roll(g, 20000);
    s->timer[TIMER_VIRT].ctl = 1;
    s->timer[TIMER_PHYS].cval = roll(g, 20000);
    s->timer[TIMER_PHYS].ctl = roll(g, 2);
    a64_set_mode(g->c, el, el != 0);
    s->pstate = el ? 1 : 0; /* SP_ELx, nothing masked */
    s->sp = s->sp_el[el];
    s->pc = somewhere_in_code(g);
    s->halted = 0;
}

/* GICv2: everything enabled, no priority masked. */
static void make_ticks(struct guest *g)
{
    struct memory *m = &g->m->memory;

    if (g->what & GIC3)
        return;
    memory_write(m, 0x08000000, 4, 3);
    for (unsigned i = 0; i < 4; i++)
        memory_write(m, 0x08000100 + 4 * i, 4, fuzz_roll64(g->r));
    memory_write(m, 0x08000100, 4, 0xffffffff);
    memory_write(m, 0x08010000, 4, 1 | roll(g, 16) << 1);
    memory_write(m, 0x08010004, 4, 0xff);
    memory_write(m, 0x09000030, 4, 0x301);
    memory_write(m, 0x09000038, 4, roll(g, 0x800));
}

static void find_encodings(struct guest *g)
{
    while (a64_row(g->nrows))
        g->nrows++;
    for (unsigned enc = 0; enc < 1u << 16 && g->nsysregs < ARRAY_LEN(g->sysreg); enc++)
        if (g->c->sysreg_index[enc] != UINT16_MAX)
            g->sysreg[g->nsysregs++] = (uint16_t)enc;
}

static struct machine *make(const struct fuzz_mode *mode, struct fuzz_rng *r)
{
    static const uint32_t nothing[] = {0x14000000, 0x14000000};
    static uint32_t code[CODE_BYTES / 4];
    struct virt_config config = VIRT_CONFIG_INIT;
    struct guest g = {.r = r, .what = mode->what};
    struct error err;

    config.memory_bytes = RAM_BYTES;
    config.cpu_model = "max";
    config.no_reboot = true;
    config.virtualization = g.what & EL2;
    config.secure = g.what & EL3;
    config.gic_version = g.what & GIC3 ? 3 : 2;
    config.icount_shift = fuzz_roll(r, 8);
    config.bios = (struct boot_image){.data = (const uint8_t *)nothing, .len = sizeof nothing, .name = "nothing"};
    if (virt_create(&g.m, &config, &err) < 0) {
        fprintf(stderr, "fuzz_code: %s\n", err.text);
        exit(2);
    }
    g.c = (struct a64_cpu *)(void *)g.m->cpus[0];
    g.s = g.c->st;
    find_encodings(&g);
    put_code(&g, code, ARRAY_LEN(code));
    memory_write_bytes(&g.m->memory, CODE, code, sizeof code, true);
    make_vectors(&g);
    make_translation(&g);
    make_ticks(&g);
    make_cpu(&g);
    a64_regime_changed(g.c);
    g.m->cpus[0]->ops->drop_derived(g.m->cpus[0]);
    return g.m;
}

#define MODE(what_, name_) \
    {.name = name_, .make = make, .what = what_, .ram = RAM, .ram_bytes = RAM_BYTES, .code = CODE, .code_bytes = CODE_BYTES, \
     .input = "uart0"}

const struct fuzz_mode fuzz_a64_modes[] = {
    MODE(0, "el0"),
    MODE(0 | MMU, "el0-mmu"),
    MODE(1, "el1"),
    MODE(1 | MMU, "el1-mmu"),
    MODE(1 | MMU | EL2 | STAGE2, "el1-stage2"),
    MODE(0 | MMU | EL2 | STAGE2 | GIC3, "el0-stage2"),
    MODE(2 | EL2, "el2"),
    MODE(2 | EL2 | MMU, "el2-mmu"),
    MODE(3 | EL3 | EL2, "el3"),
    MODE(3 | EL3 | EL2 | MMU | GIC3, "el3-mmu"),
    MODE(1 | EL3 | MMU, "el1-secure"),
};
const unsigned fuzz_a64_count = ARRAY_LEN(fuzz_a64_modes);
