#include "i386_user.h"

#include "i386/fpu.h"
#include "i386/protect.h"

#include <stdio.h>
#include <string.h>

#define GDT      0x10000u
#define IDT      0x11000u
#define TSS      0x12000u
#define HANDLERS 0x13000u
#define KSTACK   0x15000u
#define PAGES    0x18000u
#define GUEST    0x40000u

enum { CODE_0 = 0x08, DATA_0 = 0x10, CODE32_3 = 0x23, DATA_3 = 0x2b, CODE64_3 = 0x33 };

const uint64_t user_bases[2] = {0x40000000u, 0x2bcdef000000u};

static void poke64(struct user_guest *g, uint32_t at, uint64_t v)
{
    memcpy(g->ram + at, &v, 8);
}

static uint64_t peek64(const struct user_guest *g, uint64_t at)
{
    uint64_t v;

    memcpy(&v, g->ram + (at & (GUEST - 1)), 8);
    return v;
}

/* Where the entry of the page is. */
static uint32_t entry_of(const struct user_guest *g, uint64_t va)
{
    uint32_t table = PAGES;

    for (unsigned shift = 39; shift > 12; shift -= 9)
        table = (uint32_t)peek64(g, table + 8 * (unsigned)(va >> shift & 511)) & ~0xfffu;
    return table + 8 * (unsigned)(va >> 12 & 511);
}

/* The kernel's view of everything is at the low base. */
static void make_tables(struct user_guest *g)
{
    const uint32_t base = (uint32_t)user_bases[0];
    uint32_t next = PAGES + 0x1000;

    poke64(g, GDT + CODE_0, 0x00209b0000000000u);
    poke64(g, GDT + DATA_0, 0x00cf93000000ffffu);
    poke64(g, GDT + (CODE32_3 & ~7), 0x00cffb000000ffffu);
    poke64(g, GDT + (DATA_3 & ~7), 0x00cff3000000ffffu);
    poke64(g, GDT + (CODE64_3 & ~7), 0x0020fb0000000000u);
    for (unsigned v = 0; v < 256; v++) {
        uint64_t to = base + HANDLERS + 16 * v;

        poke64(g, IDT + 16 * v, (to & 0xffff) | CODE_0 << 16 | (uint64_t)(v == 3 ? 0xee00 : 0x8e00) << 32 | (to >> 16 & 0xffff) << 48);
        poke64(g, IDT + 16 * v + 8, to >> 32);
        g->ram[HANDLERS + 16 * v] = 0xf4;
    }
    poke64(g, TSS + 4, base + KSTACK + 0x1000);
    for (unsigned n = 0; n < 2; n++) {
        uint32_t table = PAGES;

        for (unsigned shift = 39; shift > 12; shift -= 9) {
            uint32_t entry = table + 8 * (unsigned)(user_bases[n] >> shift & 511);

            if (!peek64(g, entry)) {
                poke64(g, entry, next | 7);
                next += 0x1000;
            }
            table = (uint32_t)peek64(g, entry) & ~0xfffu;
        }
        for (unsigned page = 0; page < GUEST >> 12; page++)
            poke64(g, table + 8 * page, page << 12 | (page < USER_SIZE >> 12 ? 7 : 3));
    }
}

void user_guest_init(struct user_guest *g, const char *model)
{
    static const struct machine_env env = {0};
    struct region ram = {.base = 0, .size = GUEST, .kind = REGION_RAM, .enabled = true};

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

void user_guest_write(struct user_guest *g, uint32_t at, const void *bytes, unsigned len)
{
    memory_write_bytes(&g->m->memory, at, bytes, len, false);
}

void user_guest_map(struct user_guest *g, uint32_t at, bool present)
{
    uint64_t entry = (at & ~0xfffu) | (present ? 7 : 0);

    memory_write_bytes(&g->m->memory, entry_of(g, user_bases[0] + at), &entry, 8, false);
}

static struct i386_segment segment16(uint16_t selector, unsigned type)
{
    struct i386_segment s = i386_flat_segment(selector, type, 3, 0);

    s.base = user_bases[0];
    s.limit = 0xffff;
    s.attr &= (uint16_t)~SEG_ATTR_G;
    return s;
}

static void prepare(struct user_guest *g, enum user_mode mode, const struct host64_regs *r)
{
    struct i386_state *st = g->c->st;

    memcpy(st->gpr, r->gpr, sizeof(st->gpr));
    st->rip = r->rip;
    st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = r->rflags & FLAGS_ALL};
    st->eflags = (uint32_t)r->rflags & ~FLAGS_ALL;
    st->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    st->cr3 = PAGES;
    st->cr4 = CR4_PAE;
    if (i386_has(g->c->model, FEATURE_FSGSBASE))
        st->cr4 |= CR4_FSGSBASE;
    if (g->c->model->has_sse)
        st->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    st->xcr0 = i386_xcr0_mask(g->c->model);
    if (st->xcr0)
        st->cr4 |= CR4_OSXSAVE;
    i386_fpu_reset(st);
    st->fcw = FCW_INIT;
    st->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    st->cpl = 3;
    st->halted = 0;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        st->seg[n] = mode != USER_64 ? i386_flat_segment(DATA_3, 3, 3, SEG_ATTR_DB) : (struct i386_segment){0};
    st->seg[SEG_CS] = i386_flat_segment(mode == USER_64 ? CODE64_3 : CODE32_3, 11, 3, mode == USER_64 ? SEG_ATTR_L : SEG_ATTR_DB);
    if (mode == USER_16) {
        st->seg[SEG_CS] = segment16(CODE32_3, 11);
        st->seg[SEG_DS] = st->seg[SEG_ES] = segment16(DATA_3, 3);
    }
    st->seg[SEG_SS] = i386_flat_segment(DATA_3, 3, 3, SEG_ATTR_DB);
    st->seg[SEG_TR] = (struct i386_segment){.selector = 0x38, .base = user_bases[0] + TSS, .limit = 0x67, .valid = 1,
                                            .attr = SEG_ATTR_P | 11};
    st->gdtr = (struct i386_dtr){.base = user_bases[0] + GDT, .limit = 0x37};
    st->idtr = (struct i386_dtr){.base = user_bases[0] + IDT, .limit = 0xfff};
    i386_mode_changed(g->c);
    ucpu_flush_tlb(&g->c->u);
}

bool user_guest_run(struct user_guest *g, enum user_mode mode, struct user_outcome *o)
{
    struct i386_state *st = g->c->st;
    icount_t from = g->m->st->position;
    struct stop stop;
    uint64_t frame, vector;

    prepare(g, mode, &o->regs);
    machine_run(g->m, from + 100000, &stop);
    vector = (st->rip - user_bases[0] - HANDLERS) / 16;
    if (stop.kind != STOP_IDLE || vector > 255) {
        fprintf(stderr, "the emulator stopped with %d at %llx\n", stop.kind, (unsigned long long)st->rip);
        return false;
    }
    frame = st->gpr[ESP] - user_bases[0];
    if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
        frame += 8;
    memset(&o->regs, 0, sizeof(o->regs));
    memcpy(o->regs.gpr, st->gpr, sizeof(st->gpr));
    o->regs.vector = vector;
    o->regs.rip = peek64(g, frame);
    o->regs.rflags = peek64(g, frame + 16);
    o->regs.gpr[ESP] = peek64(g, frame + 24);
    o->steps = g->m->st->position - from;
    return true;
}
