/*
 * Page walks at random against the manual's sentences (SDM 3A 4.3 to 4.8), written down here once more and without looking
 * at anything but the entries: 32-bit paging, PAE paging, four and five levels; reads, writes, fetches, and what the processor
 * does by itself to a descriptor table, from levels 0 and 3; CR0.WP, CR4.PSE, SMEP, SMAP and PKE, EFLAGS.AC, EFER.NXE, PKRU;
 * reserved bits, large pages, accessed and dirty bits, error codes.
 */
#include <stdio.h>

#include "i386_bench64.h"
#include "tests/check_main.h"
#include "tests/storm.h"

#define ROUNDS STORM(40000)

enum mode { MODE_32BIT, MODE_PAE, MODE_FOUR, MODE_FIVE, MODES };
enum kind { READ, WRITE, MODIFY, FETCH, DESCRIPTOR, KINDS };

enum {
    OWN = 0x300000,    /* tables of the machine's own memory: the identity */
    TRIED = 0x310000,  /* those under test, one page each from the topmost */
    FRAME = 0x220000,  /* the page that they lead to, or whose like in a larger page */
    LDT_SELECTOR = 0x0f,
};

static const uint64_t P = 1, RW = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80, NX = UINT64_C(1) << 63;

static struct bench *b;
static struct i386_state *s;
static uint64_t seed;

/* One access to one address. */
struct try {
    enum mode mode;
    enum kind kind;
    bool user;
    uint64_t va;
    unsigned levels;
    unsigned shift[5];
    uint32_t at[5];     /* physical addresses of the entries, from the topmost */
    uint64_t entry[5];
    unsigned bytes;     /* of an entry */
    unsigned used;      /* entries that a walk comes to */
};

static uint64_t any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static bool one_in(unsigned n)
{
    return any() % n == 0;
}

static unsigned phys_bits(void)
{
    return i386_phys_bits(&b->model);
}

/* ---- the machine's own memory ---- */

static bool users_page(unsigned page)
{
    return page == UCODE >> 12 || page == (USTACK - 1) >> 12;
}

static void map_own(void)
{
    unsigned bytes[] = {4, 8};

    for (unsigned wide = 0; wide < 2; wide++)
        for (unsigned n = 0; n < 1024; n++)
            poke(b, OWN + 0x1000 + wide * 0x1000 + n * bytes[wide], &(uint64_t){n << 12 | P | RW | (users_page(n) ? US : 0)}, bytes[wide]);
    poke32(b, OWN, (OWN + 0x1000) | P | RW | US);                 /* 32 bits: one table */
    poke64(b, OWN + 0x4000, (OWN + 0x2000) | P | RW | US);        /* a page directory: two */
    poke64(b, OWN + 0x4008, (OWN + 0x3000) | P | RW | US);
    for (unsigned n = 5; n < 8; n++)                              /* and tables above it */
        poke64(b, OWN + n * 0x1000, (OWN + (n - 1) * 0x1000) | P | RW | US);
}

/* ---- what is tried ---- */

static void choose_place(struct try *t)
{
    static const unsigned levels[] = {2, 2, 4, 5};
    static const unsigned top[] = {22, 30, 39, 48};
    uint32_t frame = FRAME + ((uint32_t)any() & 0x7f8) + 0x400;

    t->levels = levels[t->mode];
    t->bytes = t->mode == MODE_32BIT ? 4 : 8;
    t->va = (t->mode == MODE_32BIT ? UINT64_C(0x40000000) : UINT64_C(1) << top[t->mode]) | frame;
    for (unsigned i = 0; i < t->levels; i++) {
        unsigned width = t->mode == MODE_32BIT ? 10 : 9;

        t->shift[i] = 12 + (t->levels - 1 - i) * width;
        t->at[i] = TRIED + i * 0x1000 + (uint32_t)(t->va >> t->shift[i] & ((1u << width) - 1)) * t->bytes;
    }
}

static uint64_t random_flags(const struct try *t)
{
    uint64_t e = any() & (D | A | 0x18 | 0xf00);

    e |= one_in(10) ? 0 : P;
    e |= one_in(3) ? 0 : RW;
    e |= one_in(3) ? 0 : US;
    if (t->mode == MODE_32BIT)
        return e;
    e |= one_in(4) ? NX : 0;
    if (t->mode >= MODE_FOUR)
        e |= any() & UINT64_C(0x7ff0000000000000);
    else if (one_in(20))
        e |= UINT64_C(1) << (52 + any() % 11);
    if (one_in(12))
        e |= UINT64_C(1) << (phys_bits() + any() % (52 - phys_bits()));
    return e;
}

static void choose_entries(struct try *t)
{
    bool ended = false;

    t->used = t->levels;
    for (unsigned i = 0; i < t->levels; i++) {
        bool last = i == t->levels - 1, large = !last && one_in(5), can = t->shift[i] < 39 && (t->bytes == 8 || (s->cr4 & CR4_PSE));
        uint64_t e = random_flags(t), span = UINT64_C(1) << t->shift[i];

        if (last)
            e |= FRAME | (any() & PS); /* the PAT's bit */
        else if (large && can)
            e |= (FRAME & ~(span - 1)) | PS | (one_in(2) ? 0x1000 : 0) |
                 (one_in(6) ? t->bytes == 8 ? UINT64_C(1) << (13 + any() % (t->shift[i] - 13)) : 1u << 21 : 0);
        else
            e |= (TRIED + (i + 1) * 0x1000) | (large ? PS : 0);
        t->entry[i] = e;
        if ((last || (large && (can || t->bytes == 8))) && !ended) {
            t->used = i + 1;
            ended = true;
        }
        poke(b, t->at[i], &e, t->bytes);
    }
}

static void choose_state(struct try *t)
{
    bool is_long = t->mode >= MODE_FOUR;

    b->c->st->efer = 0;
    s->cr4 = 0;
    if (is_long)
        long_mode(b, t->user ? 3 : 0);
    else if (t->user)
        kernel_mode(b), user_mode(b);
    else
        kernel_mode(b);
    if (!is_long) {
        s->gdtr = (struct i386_dtr){.base = GDT, .limit = GDT_LIMIT};
        s->idtr = (struct i386_dtr){.base = IDT, .limit = 0x7ff};
        s->seg[SEG_TR] = (struct i386_segment){.selector = S_TSS, .attr = 0x8b, .base = TSS, .limit = 0x1ff, .valid = 1};
    }
    s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG | (one_in(2) ? CR0_WP : 0);
    s->cr4 = (uint32_t)any() & (CR4_PSE | CR4_SMEP | CR4_SMAP | (is_long ? CR4_PKE : 0));
    s->cr4 |= (t->mode == MODE_32BIT ? 0 : CR4_PAE) | (t->mode == MODE_FIVE ? CR4_LA57 : 0);
    s->efer = (is_long ? EFER_LME | EFER_LMA : 0) | (one_in(2) ? EFER_NXE : 0);
    s->eflags = EFLAGS_1 | (one_in(2) ? EFLAGS_AC : 0);
    s->pkru = (uint32_t)any();
    s->cr2 = 0;
    s->halted = s->shadow = s->pending_db = 0;
}

/* Roots: the own memory at 0, what is tried at its place. */
static void set_roots(const struct try *t)
{
    if (t->mode == MODE_32BIT) {
        s->cr3 = TRIED;
        poke32(b, TRIED, (OWN + 0x1000) | P | RW | US);
    } else if (t->mode == MODE_PAE) {
        s->cr3 = 0;
        s->pdpte[0] = (OWN + 0x4000) | P;
        s->pdpte[1] = TRIED | P;
        s->pdpte[2] = s->pdpte[3] = 0;
    } else {
        s->cr3 = TRIED;
        poke64(b, TRIED, (OWN + (t->mode == MODE_FIVE ? 0x6000 : 0x5000)) | P | RW | US);
    }
    refresh(b);
    ucpu_flush_tlb(&b->c->u);
}

/* ---- what the manual says ---- */

struct verdict {
    bool faults;
    unsigned error;
    unsigned accessed; /* entries */
    bool dirty;
};

static bool has_reserved(const struct try *t, unsigned i)
{
    uint64_t e = t->entry[i], reserved = 0;
    bool large = i < t->levels - 1 && (e & PS);

    if (t->mode == MODE_32BIT)
        return large && (s->cr4 & CR4_PSE) && (e & 1u << 21);
    for (unsigned bit = phys_bits(); bit < 52; bit++)
        reserved |= UINT64_C(1) << bit;
    if (t->mode == MODE_PAE)
        reserved |= UINT64_C(0x7ff0000000000000);
    if (!(s->efer & EFER_NXE))
        reserved |= NX;
    if (large && t->shift[i] >= 39)
        reserved |= PS;
    else if (large)
        for (unsigned bit = 13; bit < t->shift[i]; bit++)
            reserved |= UINT64_C(1) << bit;
    return e & reserved;
}

static unsigned error_bits(bool write, bool user, bool fetch)
{
    bool tells = (s->cr4 & CR4_SMEP) || ((s->cr4 & CR4_PAE) && (s->efer & EFER_NXE));

    return (write ? 2 : 0) | (user ? 4 : 0) | (fetch && tells ? 16 : 0);
}

/* An access of one sort; `by_itself`: the processor's own. */
static struct verdict judge(const struct try *t, bool write, bool fetch, bool by_itself)
{
    bool user = t->user && !by_itself, users = true, writable = true, nx = false, denied;
    bool ac = (s->eflags & EFLAGS_AC) && !by_itself, wp = s->cr0 & CR0_WP;
    unsigned key, error = error_bits(write, user, fetch);
    bool forbidden;

    for (unsigned i = 0; i < t->used; i++) {
        uint64_t e = t->entry[i];

        if (!(e & P))
            return (struct verdict){.faults = true, .error = error};
        if (has_reserved(t, i))
            return (struct verdict){.faults = true, .error = error | 1 | 8};
        users = users && (e & US);
        writable = writable && (e & RW);
        nx = nx || (e & NX);
    }
    if (fetch)
        denied = (user ? !users : users && (s->cr4 & CR4_SMEP)) || (nx && t->mode != MODE_32BIT && (s->efer & EFER_NXE));
    else if (user)
        denied = !users || (write && !writable);
    else
        denied = (users && (s->cr4 & CR4_SMAP) && !ac) || (write && wp && !writable);
    key = t->entry[t->used - 1] >> 59 & 15;
    forbidden = (s->cr4 & CR4_PKE) && users && !fetch &&
                ((s->pkru >> (2 * key) & 1) || (write && (s->pkru >> (2 * key + 1) & 1) && (user || wp)));
    if (denied || forbidden)
        return (struct verdict){.faults = true, .error = error | 1 | (forbidden ? 32 : 0)};
    return (struct verdict){.accessed = t->used, .dirty = write};
}

static struct verdict expected(const struct try *t)
{
    struct verdict v = judge(t, t->kind == WRITE || t->kind == MODIFY, t->kind == FETCH, t->kind == DESCRIPTOR), w;

    if (t->kind != DESCRIPTOR || v.faults)
        return v;
    w = judge(t, true, false, true); /* the descriptor's accessed bit */
    w.accessed = v.accessed;
    return w;
}

/* ---- running it ---- */

static void make_step(const struct try *t)
{
    static const uint8_t code[KINDS][4] = {
        [READ] = {0x8b, 0x07}, [WRITE] = {0x89, 0x07}, [MODIFY] = {0x83, 0x07, 0x00}, [DESCRIPTOR] = {0x8e, 0xc1},
    };
    uint32_t at = t->user ? UCODE : KCODE, frame = FRAME | ((uint32_t)t->va & 0xfff);

    poke(b, at, code[t->kind], 4);
    if (t->kind == DESCRIPTOR)
        descriptor(b, frame, 0, 0xfffff, 0xf2, 0xc);
    else
        poke64(b, frame, UINT64_C(0x9090909090909090));
    s->gpr[EAX] = 0x90909090;
    s->gpr[EDI] = t->va;
    s->gpr[ECX] = LDT_SELECTOR;
    s->seg[SEG_LDTR] = (struct i386_segment){.selector = S_LDT, .attr = 0x82, .base = t->va - 8, .limit = 0xffff, .valid = 1};
    s->rip = t->kind == FETCH ? t->va : at;
    refresh(b);
    steps(b, 1);
}

static const char *describe(const struct try *t)
{
    static char text[400];

    snprintf(text, sizeof text, "mode %d kind %d user %d cr0 %x cr4 %x efer %x eflags %x pkru %x va %llx used %u: %llx %llx %llx %llx %llx",
             t->mode, t->kind, t->user, (unsigned)s->cr0, (unsigned)s->cr4, (unsigned)s->efer, (unsigned)s->eflags, (unsigned)s->pkru,
             (unsigned long long)t->va, t->used, (unsigned long long)t->entry[0], (unsigned long long)t->entry[1],
             (unsigned long long)t->entry[2], (unsigned long long)t->entry[3], (unsigned long long)t->entry[4]);
    return text;
}

static void check_outcome(const struct try *t, const struct verdict *v, const char *what)
{
    bool faulted = s->rip == handler(EXC_PF);
    uint64_t error = s->efer & EFER_LMA ? stack64(b, 0) : stack32(b, 0);

    ck_assert_msg(faulted == v->faults, "%s: eip %llx, a page fault is %d", what, (unsigned long long)s->rip, v->faults);
    if (faulted) {
        ck_assert_msg(error == v->error, "%s: error code %llx, not %x", what, (unsigned long long)error, v->error);
        ck_assert_msg(s->cr2 >> 3 == t->va >> 3, "%s: cr2 %llx", what, (unsigned long long)s->cr2);
    }
    for (unsigned i = 0; i < t->levels; i++) {
        uint64_t want = t->entry[i] | (i < v->accessed ? A : 0) | (v->dirty && i == t->used - 1 ? D : 0), is = 0;

        memory_read_bytes(&b->m->memory, t->at[i], &is, t->bytes);
        ck_assert_msg(is == want, "%s: entry %u is %llx, not %llx", what, i, (unsigned long long)is, (unsigned long long)want);
    }
}

static void walk_at_random(const char *model, uint64_t first)
{
    unsigned faults = 0;

    b = bench64_new(model);
    s = b->s;
    seed = first;
    map_own();
    for (unsigned n = 0; n < ROUNDS; n++) {
        struct try t = {.mode = (enum mode)(any() % MODES), .kind = (enum kind)(any() % KINDS), .user = one_in(2)};
        struct verdict v;
        const char *what;

        choose_state(&t);
        choose_place(&t);
        choose_entries(&t);
        set_roots(&t);
        v = expected(&t);
        faults += v.faults;
        what = describe(&t);
        make_step(&t);
        check_outcome(&t, &v, what);
    }
    ck_assert_uint_gt(faults, ROUNDS / 4);
    ck_assert_uint_lt(faults, ROUNDS - ROUNDS / 20);
    bench_free(b);
}

START_TEST(random_walks_end_as_the_manual_says)
{
    walk_at_random("max", UINT64_C(0x9e3779b97f4a7c15) * (unsigned)(_i + 1));
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 walks");
    TCase *t = tcase_create("walks");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, random_walks_end_as_the_manual_says, 0, 4);
    suite_add_tcase(suite, t);
    return suite;
}
