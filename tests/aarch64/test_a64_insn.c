/*
 * A64 instructions by themselves: what random streams against libunicorn (difftest_a64)
 * cannot see: faults, alignment, tagged addresses, exclusives, models.
 */
#include "a64_flat.h"
#include "aarch64/insn.h"
#include "aarch64/lower.h"
#include "base/error.h"
#include "vm/trap.h"
#include "tests/check_main.h"

#include <stdarg.h>
#include <string.h>

#define CODE UINT64_C(0x40000000)
#define DATA UINT64_C(0x40010000)
#define RAM_SIZE 0x20000u
#define NOP 0xd503201fu
#define END 0u /* of a list of words; also UDF #0 */


/* A device that counts what is asked of it. */
#define DEVICE UINT64_C(0x50000000)

DEVICE_STATE_BEGIN
struct counter_state {
    uint32_t sizes[16]; /* accesses of n bytes */
    uint64_t last;      /* value written */
};
DEVICE_STATE_END

static uint64_t counter_read(struct device *d, unsigned range, uint64_t offset, unsigned size)
{
    struct counter_state *st = d->state;

    (void)range;
    st->sizes[size]++;
    return offset + 1;
}

static void counter_write(struct device *d, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct counter_state *st = d->state;

    (void)range, (void)offset;
    st->sizes[size]++;
    st->last = value;
}

static const struct device_ops counter_ops = {
    .name = "counter", .state_size = sizeof(struct counter_state), .read = counter_read, .write = counter_write};

static struct machine *m;
static struct counter_state *counter;
static struct a64_cpu *c;
static struct a64_state *s;

static void make(const char *model)
{
    m = machine_create((RAM_SIZE >> PAGE_SHIFT) + 1);
    c = a64_create(m, a64_model_find(model), A64_HAS_EL2);
    memory_map(&m->memory, &(struct region){.base = CODE, .size = RAM_SIZE, .kind = REGION_RAM,
                                            .page = memory_alloc(&m->memory, "ram", RAM_SIZE), .enabled = true});
    memory_map(&m->memory, &(struct region){.base = DEVICE, .size = PAGE_SIZE, .kind = REGION_MMIO,
                                            .dev = machine_add_device(m, &counter_ops, "counter", NULL), .enabled = true});
    counter = m->devices[m->ndevices - 1]->state;
    machine_reset(m);
    s = c->st;
    a64_enter_el(c, 1, CODE);
    a64_flat_map(m, c);
    s->sp = DATA + 0x800;
    s->x[0] = DATA;
    s->vbar[1] = CODE + 0x8000;
}

static void setup(void)
{
    make("max");
}

static void teardown(void)
{
    machine_destroy(m);
}

static void set_sctlr(uint64_t bits)
{
    s->sctlr[1] |= bits;
    a64_regime_changed(c);
}

static void poke(uint64_t at, uint64_t v, unsigned size)
{
    ck_assert_uint_eq(memory_write_bytes(&m->memory, at, &v, size, true), size);
}

static uint64_t peek(uint64_t at, unsigned size)
{
    uint64_t v = 0;

    ck_assert_uint_eq(memory_read_bytes(&m->memory, at, &v, size), size);
    return v;
}

static void run_steps(uint64_t steps)
{
    struct stop stop;

    machine_run(m, m->st->position + steps, &stop);
}

/* Put words (up to END) at CODE and run them, one step each. */
static void run(uint32_t word, ...)
{
    uint64_t n = 0;
    va_list ap;

    va_start(ap, word);
    for (; word != END; word = va_arg(ap, uint32_t))
        poke(CODE + 4 * n++, word, 4);
    va_end(ap);
    s->pc = CODE;
    s->esr[1] = 0;
    run_steps(n);
}

static unsigned exception_class(void)
{
    return (unsigned)(s->esr[1] >> 26);
}

START_TEST(narrow_minima_and_maxima_look_at_their_own_bits_only)
{
    static const struct {
        uint32_t word;
        uint64_t old, v, result;
        unsigned size;
    } cases[] = {
        {0x38214002, 0x7f, 0xffffff80, 0x7f, 1},               /* ldsmaxb w1, w2, [x0] */
        {0x38215002, 0x7f, 0xffffff80, 0x80, 1},               /* ldsminb */
        {0x78217002, 0x8001, UINT64_C(0x10007fff), 0x7fff, 2}, /* lduminh */
        {0x78216002, 0x8001, UINT64_C(0x10007fff), 0x8001, 2}, /* ldumaxh */
        {0xb8214002, 0x80000000, 1, 1, 4},                     /* ldsmax */
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        poke(DATA, UINT64_C(0xaaaaaaaaaaaaaaaa), 8);
        poke(DATA, cases[i].old, cases[i].size);
        s->x[1] = cases[i].v;
        run(cases[i].word, END);
        ck_assert_uint_eq(peek(DATA, cases[i].size), cases[i].result);
        ck_assert_uint_eq(peek(DATA + cases[i].size, 1), 0xaa);
        ck_assert_uint_eq(s->x[2], cases[i].old);
    }
}
END_TEST

START_TEST(a_misaligned_stack_pointer_is_noticed_when_it_is_used)
{
    set_sctlr(SCTLR_SA);
    s->x[1] = 5;
    run(0xf94003e1, END); /* ldr x1, [sp] */
    ck_assert_uint_eq(exception_class(), 0);
    ck_assert_uint_eq(s->x[1], 0);
    s->x[1] = 5;
    run(0x910023ff, 0xf94003e1, END); /* add sp, sp, #8; ldr x1, [sp] */
    ck_assert_uint_eq(exception_class(), EC_SP_ALIGN);
    ck_assert_uint_eq(s->elr[1], CODE + 4);
    ck_assert_uint_eq(s->x[1], 5);
}
END_TEST

START_TEST(a_stack_pointer_that_was_aligned_earlier_in_the_block_is_checked_again)
{
    set_sctlr(SCTLR_SA);
    run(0xa9bf0be1, 0x910043ff, 0xd10023ff, 0xa9bf0be1, END); /* stp; add sp, #16; sub sp, #8; stp */
    ck_assert_uint_eq(exception_class(), EC_SP_ALIGN);
    ck_assert_uint_eq(s->elr[1], CODE + 12);
    ck_assert_uint_eq(s->sp, DATA + 0x800 - 8);
}
END_TEST

START_TEST(prefetches_never_fault)
{
    set_sctlr(SCTLR_SA);
    s->sp++;
    run(0xf98003e0, END); /* prfm pldl1keep, [sp] */
    ck_assert_uint_eq(exception_class(), 0);
    ck_assert_uint_eq(s->pc, CODE + 4);
}
END_TEST

static void assert_misaligned(uint64_t far, bool write)
{
    ck_assert_uint_eq(exception_class(), EC_DABORT);
    ck_assert_uint_eq(s->esr[1] & 0x3f, 0x21);
    ck_assert_uint_eq(s->esr[1] >> 6 & 1, write);
    ck_assert_uint_eq(s->far[1], far);
    ck_assert_uint_eq(s->elr[1], CODE);
}

START_TEST(accesses_must_be_aligned_where_sctlr_a_says_so)
{
    run(0xb8402001, END); /* ldr w1, [x0, #2] */
    ck_assert_uint_eq(exception_class(), 0);
    set_sctlr(SCTLR_A);
    run(0xb8402001, END);
    assert_misaligned(DATA + 2, false);
    run(0x39400401, END); /* ldrb w1, [x0, #1] */
    ck_assert_uint_eq(exception_class(), 0);
    s->x[0] = DATA + 4;
    run(0xf9000001, END); /* str x1, [x0] */
    assert_misaligned(DATA + 4, true);
    s->x[0] = DATA + 0x804;
    run(0xa9bf0801, END); /* stp x1, x2, [x0, #-16]! */
    assert_misaligned(DATA + 0x7f4, true);
    ck_assert_uint_eq(s->x[0], DATA + 0x804);
}
END_TEST

START_TEST(exclusives_ordered_accesses_and_atomics_must_always_be_aligned)
{
    s->x[0] = DATA + 2;
    run(0x885f7c01, END); /* ldxr w1, [x0] */
    assert_misaligned(DATA + 2, false);
    run(0x88037c02, END); /* stxr w3, w2, [x0] */
    assert_misaligned(DATA + 2, true);
    run(0x88dffc01, END); /* ldar w1, [x0] */
    assert_misaligned(DATA + 2, false);
    run(0x88a17c02, END); /* cas w1, w2, [x0]: a read would fault too */
    assert_misaligned(DATA + 2, false);
    run(0xb8210002, END); /* ldadd w1, w2, [x0] */
    assert_misaligned(DATA + 2, false);
}
END_TEST

START_TEST(a_store_exclusive_succeeds_once_and_only_for_its_load)
{
    poke(DATA, 7, 8);
    s->x[2] = 9;
    run(0x885f7c01, 0x88037c02, END); /* ldxr w1, [x0]; stxr w3, w2, [x0] */
    ck_assert_uint_eq(s->x[1], 7);
    ck_assert_uint_eq(s->x[3], 0);
    ck_assert_uint_eq(peek(DATA, 8), 9);
    run(0x88037c02, END); /* again */
    ck_assert_uint_eq(s->x[3], 1);
    run(0xc85f7c01, 0x88037c02, END); /* ldxr x1; stxr w2: another size */
    ck_assert_uint_eq(s->x[3], 1);
    run(0x885f7c01, 0xd5033f5f, 0x88037c02, END); /* clrex between */
    ck_assert_uint_eq(s->x[3], 1);
    ck_assert_uint_eq(peek(DATA, 8), 9);
}
END_TEST

START_TEST(a_store_exclusive_notices_a_device_that_wrote)
{
    poke(DATA, 7, 8);
    s->x[2] = 9;
    run(0x885f7c01, END);
    poke(CODE, 0x88037c02, 4);
    poke(DATA, 8, 4);
    s->pc = CODE;
    run_steps(1);
    ck_assert_uint_eq(s->x[3], 1);
    ck_assert_uint_eq(peek(DATA, 8), 8);
}
END_TEST

START_TEST(a_misaligned_pc_faults_where_it_points)
{
    s->x[0] = CODE + 0x102;
    run(0xd61f0000, NOP, END); /* br x0 */
    ck_assert_uint_eq(exception_class(), EC_PC_ALIGN);
    ck_assert_uint_eq(s->elr[1], CODE + 0x102);
    ck_assert_uint_eq(s->far[1], CODE + 0x102);
}
END_TEST

START_TEST(nothing_runs_in_the_illegal_execution_state)
{
    s->pstate |= PSTATE_IL;
    a64_regime_changed(c);
    s->x[1] = 3;
    run(0xd2800021, END); /* mov x1, #1 */
    ck_assert_uint_eq(exception_class(), EC_ILLEGAL);
    ck_assert_uint_eq(s->x[1], 3);
}
END_TEST

START_TEST(branches_drop_the_tag_that_translation_ignores)
{
    s->tcr[1] |= TCR_TBI0;
    a64_regime_changed(c);
    s->x[0] = UINT64_C(0xab) << 56 | (CODE + 0x40);
    run(0xd61f0000, END); /* br x0 */
    ck_assert_uint_eq(s->pc, CODE + 0x40);
}
END_TEST

static bool stop_at_hit(void *ctx, const struct trap_hit *hit)
{
    *(struct trap_hit *)ctx = *hit;
    return true;
}

START_TEST(a_watchpoint_sees_a_store_through_a_tagged_address)
{
    struct trap watch = {.address = DATA + 8, .len = 8, .kinds = TRAP_WRITE};
    struct trap_hit hit = {0};

    s->tcr[1] |= TCR_TBI0;
    a64_regime_changed(c);
    ucpu_flush_tlb(&c->u);
    m->traps->hit = stop_at_hit;
    m->traps->ctx = &hit;
    machine_set_traps(m, &watch, 1);
    s->x[0] = UINT64_C(0x5a) << 56 | (DATA + 8);
    s->x[1] = 0x1234;
    run(NOP, 0xf9000001, NOP, NOP, END); /* str x1, [x0] */
    ck_assert_uint_eq(hit.kind, TRAP_WRITE);
    ck_assert_uint_eq(hit.address, DATA + 8);
    ck_assert_uint_eq(peek(DATA + 8, 8), 0x1234);
    ck_assert_uint_eq(s->pc, CODE + 8);
}
END_TEST

START_TEST(a_load_that_writes_back_to_its_target_leaves_the_address)
{
    poke(DATA, 7, 8);
    run(0xf8408400, END); /* ldr x0, [x0], #8 */
    ck_assert_uint_eq(s->x[0], DATA + 8);
}
END_TEST

START_TEST(system_registers_read_inline_are_those_written_inline)
{
    s->x[2] = 0x1234567890;
    run(0xd51bd042, 0xd53bd041, END); /* msr tpidr_el0, x2; mrs x1, tpidr_el0 */
    ck_assert_uint_eq(s->x[1], 0x1234567890);
    ck_assert_uint_eq(s->tpidr[0], 0x1234567890);
    run(0xd5184102, 0xd5384101, END); /* msr sp_el0, x2; mrs x1, sp_el0 */
    ck_assert_uint_eq(s->x[1], 0x1234567890);
    ck_assert_uint_eq(s->sp_el[0], 0x1234567890);
    s->pstate &= ~(PSTATE_I | PSTATE_F);
    run(0xd50342df, 0xd53b4221, END); /* msr daifset, #2; mrs x1, daif */
    ck_assert_uint_eq(s->x[1] & (PSTATE_I | PSTATE_F), PSTATE_I);
    run(0xd5384241, END); /* mrs x1, currentel */
    ck_assert_uint_eq(s->x[1], 4);
}
END_TEST

START_TEST(dc_zva_clears_its_64_bytes)
{
    for (unsigned i = 0; i < 32; i++)
        poke(DATA + 8 * i, UINT64_MAX, 8);
    s->x[0] = DATA + 0x55;
    run(0xd50b7420, END); /* dc zva, x0 */
    for (unsigned i = 0; i < 32; i++)
        ck_assert_uint_eq(peek(DATA + 8 * i, 8), i >= 8 && i < 16 ? 0 : UINT64_MAX);
}
END_TEST

START_TEST(unprivileged_accesses_load_and_store)
{
    poke(DATA + 4, 0x89abcdef, 4);
    run(0xb8404801, END); /* ldtr w1, [x0, #4] */
    ck_assert_uint_eq(s->x[1], 0x89abcdef);
    s->x[2] = 0x1111111122222222;
    run(0xb8004802, END); /* sttr w2, [x0, #4] */
    ck_assert_uint_eq(peek(DATA, 8), UINT64_C(0x2222222200000000));
}
END_TEST

START_TEST(a_pair_is_two_accesses_to_a_device)
{
    s->x[0] = DEVICE + 8;
    run(NOP, 0x29400801, END); /* ldp w1, w2, [x0] */
    ck_assert_uint_eq(counter->sizes[4], 2);
    ck_assert_uint_eq(s->x[1], 9);
    ck_assert_uint_eq(s->x[2], 13);
    run(NOP, 0xa9400801, END); /* ldp x1, x2, [x0] */
    ck_assert_uint_eq(counter->sizes[8], 2);
    ck_assert_uint_eq(s->x[2], 17);
    run(NOP, 0x29000801, END); /* stp w1, w2, [x0] */
    ck_assert_uint_eq(counter->sizes[4], 4);
    ck_assert_uint_eq(counter->last, 17);
}
END_TEST

START_TEST(an_access_to_a_device_happens_once)
{
    s->x[0] = DEVICE;
    run(NOP, NOP, 0xf9400001, NOP, END); /* ldr x1, [x0] */
    ck_assert_uint_eq(counter->sizes[8], 1);
    run(NOP, 0xb8200002, NOP, END); /* ldadd w0, w2, [x0] */
    ck_assert_uint_eq(counter->sizes[4], 2);
    ck_assert_uint_eq(s->x[2], 1);
}
END_TEST

START_TEST(a_probe_at_the_end_of_the_address_space_looks_there)
{
    ck_assert(!ucpu_probe(&c->u, c->u.tlb_mode, UINT64_MAX - 7, 16, ACCESS_READ));
    ck_assert(ucpu_probe(&c->u, c->u.tlb_mode, DATA + PAGE_SIZE - 8, 16, ACCESS_READ));
}
END_TEST

START_TEST(what_the_model_lacks_is_undefined)
{
    teardown();
    make("cortex-a53");
    s->x[1] = s->x[2] = 0;
    run(0x88a17c02, END); /* cas w1, w2, [x0] */
    ck_assert_uint_eq(s->elr[1], CODE);
    ck_assert_uint_eq(s->esr[1], 1u << 25); /* EC 0, IL */
}
END_TEST

/* ---- AES ---- */

/* FIPS 197, appendix C.1: AES-128's plain text, cipher text, and the schedule of its key. */
static const uint8_t aes_plain[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
static const uint8_t aes_cipher[] = {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
static const uint8_t aes_schedule[11][16] = {
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f},
    {0xd6, 0xaa, 0x74, 0xfd, 0xd2, 0xaf, 0x72, 0xfa, 0xda, 0xa6, 0x78, 0xf1, 0xd6, 0xab, 0x76, 0xfe},
    {0xb6, 0x92, 0xcf, 0x0b, 0x64, 0x3d, 0xbd, 0xf1, 0xbe, 0x9b, 0xc5, 0x00, 0x68, 0x30, 0xb3, 0xfe},
    {0xb6, 0xff, 0x74, 0x4e, 0xd2, 0xc2, 0xc9, 0xbf, 0x6c, 0x59, 0x0c, 0xbf, 0x04, 0x69, 0xbf, 0x41},
    {0x47, 0xf7, 0xf7, 0xbc, 0x95, 0x35, 0x3e, 0x03, 0xf9, 0x6c, 0x32, 0xbc, 0xfd, 0x05, 0x8d, 0xfd},
    {0x3c, 0xaa, 0xa3, 0xe8, 0xa9, 0x9f, 0x9d, 0xeb, 0x50, 0xf3, 0xaf, 0x57, 0xad, 0xf6, 0x22, 0xaa},
    {0x5e, 0x39, 0x0f, 0x7d, 0xf7, 0xa6, 0x92, 0x96, 0xa7, 0x55, 0x3d, 0xc1, 0x0a, 0xa3, 0x1f, 0x6b},
    {0x14, 0xf9, 0x70, 0x1a, 0xe3, 0x5f, 0xe2, 0x8c, 0x44, 0x0a, 0xdf, 0x4d, 0x4e, 0xa9, 0xc0, 0x26},
    {0x47, 0x43, 0x87, 0x35, 0xa4, 0x1c, 0x65, 0xb9, 0xe0, 0x16, 0xba, 0xf4, 0xae, 0xbf, 0x7a, 0xd2},
    {0x54, 0x99, 0x32, 0xd1, 0xf0, 0x85, 0x57, 0x68, 0x10, 0x93, 0xed, 0x9c, 0xbe, 0x2c, 0x97, 0x4e},
    {0x13, 0x11, 0x1d, 0x7f, 0xe3, 0x94, 0x4a, 0x17, 0xf3, 0x07, 0xa7, 0x8b, 0x4d, 0x2b, 0x30, 0xc5},
};
enum { AESE = 0x4e284800, AESD = 0x4e285800, AESMC = 0x4e286800, AESIMC = 0x4e287800, EOR_V0_V0_V1 = 0x6e211c00 };

/* V0 and the key in V1, by one instruction. */
static void aes(uint32_t word, const uint8_t *key)
{
    if (key)
        memcpy(&s->v[1], key, 16);
    run(word, END);
    ck_assert_uint_eq(exception_class(), 0);
}

/* SubBytes, ShiftRows and AddRoundKey come in other orders in FIPS 197: the key of a round is the next instruction's. */
START_TEST(aese_and_aesmc_encrypt_as_fips_197_does)
{
    s->cpacr_el1 = 3u << 20;
    a64_regime_changed(c);
    memcpy(&s->v[0], aes_plain, 16);
    for (unsigned round = 0; round < 9; round++) {
        aes(AESE | 1 << 5, aes_schedule[round]);
        aes(AESMC, NULL);
    }
    aes(AESE | 1 << 5, aes_schedule[9]);
    aes(EOR_V0_V0_V1, aes_schedule[10]);
    ck_assert_mem_eq(&s->v[0], aes_cipher, 16);
}
END_TEST

/* The equivalent inverse cipher (FIPS 197 5.3.5): AESIMC makes its keys, too. */
START_TEST(aesd_and_aesimc_decrypt_as_fips_197_does)
{
    s->cpacr_el1 = 3u << 20;
    a64_regime_changed(c);
    memcpy(&s->v[0], aes_cipher, 16);
    aes(AESD | 1 << 5, aes_schedule[10]);
    for (unsigned round = 9; round; round--) {
        aes(AESIMC, NULL);
        memcpy(&s->v[2], aes_schedule[round], 16);
        aes(AESIMC | 2 << 5 | 1, NULL);
        aes(AESD | 1 << 5, NULL);
    }
    aes(EOR_V0_V0_V1, aes_schedule[0]);
    ck_assert_mem_eq(&s->v[0], aes_plain, 16);
}
END_TEST

/* ---- any words ---- */

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state >> 8;
}

/* Mostly allocated ones. */
static uint32_t any_word(void)
{
    static unsigned nrows;
    uint32_t word = (uint32_t)rng();
    const struct a64_row *row;

    while (a64_row(nrows))
        nrows++;
    row = a64_row((unsigned)(rng() % nrows));
    if (rng() % 8)
        word = (word & ~row->mask) | row->value;
    if (rng() % 2) /* a likely base */
        word = (word & ~(31u << 5)) | (rng() % 2 ? 28u << 5 : 31u << 5);
    return word;
}

/* The same words on each engine. `words` fill CODE and the vectors after it. */
static uint64_t state_after(const uint32_t *words, size_t count, unsigned engine, unsigned el, uint64_t steps)
{
    uint64_t hash;

    make("max");
    memory_write_bytes(&m->memory, CODE, words, count * sizeof words[0], true);
    a64_enter_el(c, el, CODE);
    s->sctlr[1] |= words[0] & (SCTLR_A | SCTLR_SA);
    a64_regime_changed(c);
    for (unsigned i = 0; i < 31; i++)
        s->x[i] = (uint64_t)words[i] << (words[i] & 31);
    s->x[28] = s->sp = DATA + 0x800;
    s->vbar[1] = CODE + 0x800;
    c->u.no_optimise = engine == 1;
    c->u.single = engine == 2;
    c->u.plain_switch = engine == 3;
    run_steps(steps);
    hash = machine_hash(m);
    machine_destroy(m);
    return hash;
}

START_TEST(any_words_leave_the_same_state_in_every_engine)
{
    static uint32_t words[1024];

    teardown();
    for (unsigned n = 0; n < 300; n++) {
        uint64_t want, steps = 1 + rng() % 300;

        for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
            words[i] = any_word();
        want = state_after(words, sizeof words / sizeof words[0], 0, n % 2, steps);
        for (unsigned engine = 1; engine < 4; engine++)
            ck_assert_msg(state_after(words, sizeof words / sizeof words[0], engine, n % 2, steps) == want,
                          "engine %u, program %u, %u steps", engine, n, (unsigned)steps);
    }
    make("max");
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("a64 instructions");
    TCase *t = tcase_create("instructions");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, narrow_minima_and_maxima_look_at_their_own_bits_only);
    tcase_add_test(t, a_misaligned_stack_pointer_is_noticed_when_it_is_used);
    tcase_add_test(t, a_stack_pointer_that_was_aligned_earlier_in_the_block_is_checked_again);
    tcase_add_test(t, prefetches_never_fault);
    tcase_add_test(t, accesses_must_be_aligned_where_sctlr_a_says_so);
    tcase_add_test(t, exclusives_ordered_accesses_and_atomics_must_always_be_aligned);
    tcase_add_test(t, a_store_exclusive_succeeds_once_and_only_for_its_load);
    tcase_add_test(t, a_store_exclusive_notices_a_device_that_wrote);
    tcase_add_test(t, a_misaligned_pc_faults_where_it_points);
    tcase_add_test(t, nothing_runs_in_the_illegal_execution_state);
    tcase_add_test(t, branches_drop_the_tag_that_translation_ignores);
    tcase_add_test(t, a_watchpoint_sees_a_store_through_a_tagged_address);
    tcase_add_test(t, a_load_that_writes_back_to_its_target_leaves_the_address);
    tcase_add_test(t, system_registers_read_inline_are_those_written_inline);
    tcase_add_test(t, dc_zva_clears_its_64_bytes);
    tcase_add_test(t, unprivileged_accesses_load_and_store);
    tcase_add_test(t, a_pair_is_two_accesses_to_a_device);
    tcase_add_test(t, an_access_to_a_device_happens_once);
    tcase_add_test(t, a_probe_at_the_end_of_the_address_space_looks_there);
    tcase_add_test(t, what_the_model_lacks_is_undefined);
    tcase_add_test(t, aese_and_aesmc_encrypt_as_fips_197_does);
    tcase_add_test(t, aesd_and_aesimc_decrypt_as_fips_197_does);
    suite_add_tcase(suite, t);
    t = tcase_create("any words");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, any_words_leave_the_same_state_in_every_engine);
    suite_add_tcase(suite, t);
    return suite;
}
