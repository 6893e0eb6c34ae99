/*
 * A64 floating point, Advanced SIMD and cryptographic instructions: every word
 * that a64_fp_handler() is asked for, random ones of the whole group, gives
 * what libunicorn's Cortex-A57 gives: the 32 V registers, the general ones,
 * FPSR and NZCV, in all rounding modes, with FZ, DN and AHP; and what is
 * unallocated there is unallocated here. SQRDMLAH and SQRDMLSH, which that
 * core lacks, are compared with the "max" one. The helpers are called directly.
 *
 *     test_a64_fp [CASES [SEED]]
 *
 * Exit status: 77 without libunicorn.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aarch64/fp.h"

#ifndef HAVE_UNICORN

int main(void)
{
    puts("test_a64_fp: libunicorn is not there");
    return 77;
}

#else

#include <unicorn/unicorn.h>

/* ---- fakes ---- */

static struct a64_state state;
static struct a64_cpu cpu;
static uint32_t flags;

uint32_t a64_get_nzcv(const struct a64_cpu *c)
{
    (void)c;
    return flags;
}

void a64_set_nzcv(struct a64_cpu *c, uint32_t nzcv)
{
    (void)c;
    flags = nzcv;
}

/* ---- random cases ---- */

static uint64_t rng_state = 88172645463325252u;

static uint64_t rnd(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * UINT64_C(0x2545f4914f6cdd1d) >> 8 ^ rng_state << 40;
}

static uint64_t rnd_double(void)
{
    static const uint64_t edges[] = {
        0, 1, 0x3ff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0x7fefffffffffffff,
        0x0010000000000000, 0x000fffffffffffff, 0x41dfffffffc00000, 0x43e0000000000000, 0x3fe0000000000000,
        0x7ff8dead00000000, 0x40efffe000000000, 0x0007ffffffffffff, 0x3e70000000000000, 0x7fd0000000000000,
    };
    uint64_t v = edges[rnd() % (sizeof edges / sizeof edges[0])];

    switch (rnd() % 4) {
    case 0:  break;
    case 1:  v += rnd() % 5 - 2; break;
    case 2:  v = (UINT64_C(0x3c0) + rnd() % 0x80) << 52 | rnd() >> 12; break;
    default: v = rnd(); break;
    }
    return v ^ rnd() << 63;
}

static uint32_t rnd_single(void)
{
    static const uint32_t edges[] = {
        0, 1, 0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001, 0x7f7fffff, 0x00800000, 0x007fffff, 0x4f000000,
        0x5f000000, 0x3f000000, 0x7fc12345, 0x477fe000, 0x003fffff, 0x33800000, 0x7e800000, 0x4effffff, 0x387fc000,
    };
    uint32_t v = edges[rnd() % (sizeof edges / sizeof edges[0])];

    switch (rnd() % 4) {
    case 0:  break;
    case 1:  v += (uint32_t)(rnd() % 5) - 2; break;
    case 2:  v = (uint32_t)(100 + rnd() % 60) << 23 | (uint32_t)(rnd() & 0x7fffff); break;
    default: v = (uint32_t)rnd(); break;
    }
    return v ^ (uint32_t)rnd() << 31;
}

static uint64_t rnd_half(void)
{
    static const uint64_t edges[] = {0, 0x7fff, 0x8000, 0xffff, 1, 0x00ff, 0x0101, 0x7c00, 0x7e00, 0x7c01, 0x8001, 0xff80};

    return rnd() % 3 ? rnd() & 0xffff : edges[rnd() % 12];
}

static union a64_vreg rnd_vector(void)
{
    static const uint32_t specials[] = {0, 0x7f800000, 0x00000001, 0x7fc00000};
    union a64_vreg v;

    switch (rnd() % 6) {
    case 4:
        for (unsigned i = 0; i < 4; i++)
            v.s[i] = specials[rnd() % 4] | (uint32_t)(rnd() & 1) << 31;
        break;
    case 5:
        for (unsigned i = 0; i < 2; i++)
            v.d[i] = (uint64_t[]){0, (uint64_t)0x7ff << 52, 1, (uint64_t)0xfff << 51}[rnd() % 4] ^ rnd() << 63;
        break;
    case 0:
        for (unsigned i = 0; i < 2; i++)
            v.d[i] = rnd_double();
        break;
    case 1:
        for (unsigned i = 0; i < 4; i++)
            v.s[i] = rnd_single();
        break;
    case 2:
        for (unsigned i = 0; i < 8; i++)
            v.h[i] = (uint16_t)rnd_half();
        break;
    default:
        for (unsigned i = 0; i < 16; i++) /* small: table indices, shift counts */
            v.b[i] = (uint8_t)(rnd() % 80 - 16);
        break;
    }
    return v;
}

/* A word of the group; most random ones would be unallocated, so the fixed bits of the
 * encoding classes are favoured. */
static uint32_t rnd_word(void)
{
    static const struct {
        uint32_t mask, value;
    } classes[] = {
        {0x9f200400, 0x0e200400}, /* three same */
        {0x9f200c00, 0x0e200000}, /* three different */
        {0x9f3e0c00, 0x0e200800}, /* two registers */
        {0x9f3e0c00, 0x0e300800}, /* across lanes */
        {0x9fe08400, 0x0e000400}, /* copy */
        {0xbf208c00, 0x0e000800}, /* permute */
        {0xbfe08c00, 0x0e000000}, /* table */
        {0xbfe08400, 0x2e000000}, /* extract */
        {0x9f000400, 0x0f000000}, /* by element */
        {0x9f800400, 0x0f000400}, /* shift by immediate, modified immediate */
        {0xdf200400, 0x5e200400}, /* and the scalar ones */
        {0xdf200c00, 0x5e200000}, {0xdf3e0c00, 0x5e200800}, {0xdf3e0c00, 0x5e300800}, {0xdfe08400, 0x5e000400},
        {0xdf000400, 0x5f000000}, {0xdf800400, 0x5f000400},
        {0xff3e0c00, 0x4e280800}, {0xff208c00, 0x5e000000}, {0xff3e0c00, 0x5e280800}, /* AES, SHA */
        {0x7f200000, 0x1e000000}, /* fixed point */
        {0x7f20fc00, 0x1e200000}, /* integer */
        {0xff207c00, 0x1e204000}, /* one source */
        {0xff20fc07, 0x1e202000}, /* comparison */
        {0xff201fe0, 0x1e201000}, /* immediate */
        {0xff200c00, 0x1e200400}, {0xff200c00, 0x1e200800}, {0xff200c00, 0x1e200c00},
        {0xff000000, 0x1f000000}, /* three sources */
        {0x0e000000, 0x0e000000}, /* anything */
    };
    unsigned n = (unsigned)(rnd() % (sizeof classes / sizeof classes[0]));

    return ((uint32_t)rnd() & ~classes[n].mask) | classes[n].value;
}

/* ---- one case on both ---- */

#define CODE 0x10000u
#define CODE_WORDS 4096u

struct registers {
    uint64_t x[31];
    union a64_vreg v[32];
    uint32_t fpsr, nzcv;
};

static int x_id(unsigned r)
{
    return r < 29 ? UC_ARM64_REG_X0 + (int)r : r == 29 ? UC_ARM64_REG_X29 : UC_ARM64_REG_X30;
}

static bool run_reference(uc_engine *uc, unsigned at, const struct registers *in, uint32_t fpcr, struct registers *out)
{
    uint64_t fpcr64 = fpcr, fpsr = in->fpsr, nzcv = in->nzcv;
    uint64_t pc = CODE + 4 * at;

    for (unsigned i = 0; i < 31; i++)
        uc_reg_write(uc, x_id(i), &in->x[i]);
    for (unsigned i = 0; i < 32; i++)
        uc_reg_write(uc, UC_ARM64_REG_Q0 + (int)i, &in->v[i]);
    uc_reg_write(uc, UC_ARM64_REG_FPCR, &fpcr64);
    uc_reg_write(uc, UC_ARM64_REG_FPSR, &fpsr);
    uc_reg_write(uc, UC_ARM64_REG_NZCV, &nzcv);
    if (uc_emu_start(uc, pc, pc + 4, 0, 1))
        return false;
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < 31; i++)
        uc_reg_read(uc, x_id(i), &out->x[i]);
    for (unsigned i = 0; i < 32; i++)
        uc_reg_read(uc, UC_ARM64_REG_Q0 + (int)i, &out->v[i]);
    fpsr = nzcv = 0;
    uc_reg_read(uc, UC_ARM64_REG_FPSR, &fpsr);
    uc_reg_read(uc, UC_ARM64_REG_NZCV, &nzcv);
    out->fpsr = (uint32_t)fpsr;
    out->nzcv = (uint32_t)nzcv & 0xf0000000;
    return true;
}

static void run_subject(a64_helper *fn, uint32_t word, const struct registers *in, uint32_t fpcr, struct registers *out)
{
    struct uop op = {.d = (uint16_t)word, .a = (uint16_t)(word >> 16)};

    memcpy(state.x, in->x, sizeof state.x);
    memcpy(state.v, in->v, sizeof state.v);
    state.fpcr = fpcr;
    state.fpsr = in->fpsr;
    flags = in->nzcv;
    fn(&cpu.u, &op);
    memset(out, 0, sizeof *out);
    memcpy(out->x, state.x, sizeof state.x);
    memcpy(out->v, state.v, sizeof state.v);
    out->fpsr = state.fpsr;
    out->nzcv = flags;
}

static void report(uint32_t word, uint32_t fpcr, const struct registers *in, const struct registers *want,
                   const struct registers *got)
{
    unsigned n[4] = {RN(word), RM(word), RA(word), RD(word)};

    printf("%08" PRIx32 " fpcr %08" PRIx32 ":", word, fpcr);
    for (unsigned i = 0; i < 4; i++)
        printf(" v%u=%016" PRIx64 "'%016" PRIx64, n[i], in->v[n[i]].d[1], in->v[n[i]].d[0]);
    printf("\n   fpsr %08" PRIx32 " is %08" PRIx32 ", nzcv %08" PRIx32 " is %08" PRIx32 "\n", want->fpsr, got->fpsr,
           want->nzcv, got->nzcv);
    for (unsigned i = 0; i < 32; i++)
        if (memcmp(&want->v[i], &got->v[i], 16))
            printf("   v%u %016" PRIx64 "'%016" PRIx64 " is %016" PRIx64 "'%016" PRIx64 "\n", i, want->v[i].d[1],
                   want->v[i].d[0], got->v[i].d[1], got->v[i].d[0]);
    for (unsigned i = 0; i < 31; i++)
        if (want->x[i] != got->x[i])
            printf("   x%u %016" PRIx64 " is %016" PRIx64 "\n", i, want->x[i], got->x[i]);
}

/* SQRDMLAH, SQRDMLSH: vector, scalar and by element, sizes allocated. */
static uint32_t rnd_rdm_word(void)
{
    static const uint32_t forms[] = {0x2e008400, 0x2f00d000, 0x7e008400, 0x7f00d000};
    uint32_t w = forms[rnd() % 4] | ((uint32_t)rnd() & 0x001f03ff) | (uint32_t)(1 + rnd() % 2) << 22;

    w |= w & 0x01000000 ? (uint32_t)rnd() & 0x00202800 : (uint32_t)rnd() & 0x00000800;
    return w & 0x10000000 ? w : w | ((uint32_t)rnd() & 0x40000000);
}

/* Random words on one core; the failures. */
static unsigned compare_with(int core, const struct a64_model *model, uint32_t (*word)(void), unsigned long cases)
{
    unsigned failures = 0, allocated = 0;
    static uint32_t words[CODE_WORDS];
    uint64_t cpacr = 3u << 20;
    struct registers in, want, got;
    uc_engine *uc;

    if (uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &uc) || uc_ctl_set_cpu_model(uc, core) ||
        uc_mem_map(uc, CODE, 4 * CODE_WORDS, UC_PROT_ALL)) {
        puts("test_a64_fp: no libunicorn");
        exit(77);
    }
    uc_reg_write(uc, UC_ARM64_REG_CPACR_EL1, &cpacr);
    for (unsigned long k = 0; k < cases && failures < 40; k++) {
        unsigned at = (unsigned)(k % CODE_WORDS);
        uint32_t fpcr = (uint32_t)(rnd() & 0x07c00000);
        a64_helper *fn;
        bool ran;

        if (at == 0) {
            for (unsigned i = 0; i < CODE_WORDS; i++)
                words[i] = word();
            uc_ctl_remove_cache(uc, CODE, CODE + 4 * CODE_WORDS);
            uc_mem_write(uc, CODE, words, sizeof words);
        }
        memset(&in, 0, sizeof in);
        for (unsigned i = 0; i < 31; i++)
            in.x[i] = rnd() % 3 ? rnd() : (uint64_t)(int64_t)(rnd() % 7) - 3;
        for (unsigned i = 0; i < 32; i++)
            in.v[i] = rnd_vector();
        in.nzcv = (uint32_t)rnd() & 0xf0000000;
        in.fpsr = rnd() & 1 ? 0 : FPSR_QC | 1;
        fn = a64_fp_handler(words[at], model);
        ran = run_reference(uc, at, &in, fpcr, &want);
        if (ran != (fn != NULL)) {
            printf("%08" PRIx32 " is %s\n", words[at], fn ? "allocated and should not be" : "missing");
            failures++;
            continue;
        }
        if (!fn)
            continue;
        allocated++;
        run_subject(fn, words[at], &in, fpcr, &got);
        if (memcmp(&want, &got, sizeof got)) {
            report(words[at], fpcr, &in, &want, &got);
            failures++;
        }
    }
    uc_close(uc);
    printf("test_a64_fp: %u instructions, %u failures\n", allocated, failures);
    return failures;
}

int main(int argc, char **argv)
{
    static const struct a64_model a57 = {.name = "A57", .crypto = true};
    static const struct a64_model max = {.name = "max", .crypto = true, .id_aa64isar0 = 1u << 28};
    unsigned long cases = argc > 1 ? strtoul(argv[1], NULL, 0) : 200000;
    unsigned failures;

    if (argc > 2)
        rng_state ^= strtoull(argv[2], NULL, 0) << 20;
    cpu.st = &state;
    failures = compare_with(UC_CPU_ARM64_A57, &a57, rnd_word, cases);
    failures += compare_with(UC_CPU_ARM64_MAX, &max, rnd_rdm_word, cases / 10);
    return failures != 0;
}

#endif
