/*
 * Differential test of the instructions on XMM and YMM registers: every row of simd_map.c, with and without VEX, with
 * registers and memory, in 64-bit and 32-bit code, on the host's own processor and on the emulator (host64.h). Operands are often special
 * numbers; rounding, flushing and unmasked exceptions vary. What the host lacks is left out, and so are RCPPS and RSQRTPS,
 * whose results differ between processors, and DPPS and DPPD where the host adds in another order for each element, which
 * shows in NaNs (Intel's do).
 *
 *   difftest_simd [rounds [seed [map opcode]]]
 *
 * Exit status 77: the host is no x86-64 Linux.
 */
#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host64.h"
#include "i386/simd.h"
#include "tests/whole/with_jit.h"

static bool dot_is_one; /* see dot_products_are_one() */

/* One encoding. */
struct encoding {
    const struct simd_row *row;
    unsigned map, opcode, prefix;
    bool vex, l, w;
};

static bool host_supports(const struct encoding *e)
{
    const struct simd_row *r = e->row;

    switch (r->set) {
    case SET_SSE3: if (!__builtin_cpu_supports("sse3")) return false; break;
    case SET_SSSE3: if (!__builtin_cpu_supports("ssse3")) return false; break;
    case SET_SSE41: if (!__builtin_cpu_supports("sse4.1")) return false; break;
    case SET_SSE42: if (!__builtin_cpu_supports("sse4.2")) return false; break;
    case SET_AES: if (!__builtin_cpu_supports("aes") || (e->l && !__builtin_cpu_supports("vaes"))) return false; break;
    case SET_PCLMUL: if (!__builtin_cpu_supports("pclmul") || (e->l && !__builtin_cpu_supports("vpclmulqdq"))) return false; break;
    case SET_SSE4A: if (!__builtin_cpu_supports("sse4a")) return false; break;
    default: break;
    }
    if (!e->vex)
        return true;
    if (!host_has_avx())
        return false;
    switch (r->vex) {
    case VEX_INT: case VEX_AVX2: case VEX_AVX2_L1: return __builtin_cpu_supports("avx2");
    case VEX_FMA: case VEX_FMA_SCALAR: return __builtin_cpu_supports("fma");
    case VEX_F16C: return __builtin_cpu_supports("avx2"); /* whoever has that has this */
    default: return r->form != SIMD_BROADCAST || __builtin_cpu_supports("avx2");
    }
}

/* ---- values ---- */

static uint32_t single(void)
{
    static const uint32_t special[] = {0, 0x80000000u, 0x3f800000u, 0xbf800000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc12345u,
                                       0x7f800001u, 0xffa00000u, 1, 0x80000001u, 0x007fffffu, 0x00800000u, 0x7f7fffffu,
                                       0xff7fffffu, 0x4f000000u, 0xcf000000u, 0x4effffffu, 0x3f000000u, 0x5f000000u, 0x33800000u,
                                       0x387fc000u, 0x477fe000u, 0x477ff000u, 0x33000000u};
    uint32_t v = (uint32_t)rnd();

    switch (below(4)) {
    case 0: return special[below(ARRAY_LEN(special))];
    case 1: return (v & 0x807fffffu) | (120u + below(16)) << 23; /* near one another */
    case 2: return (v & 0x80000000u) | (127u + below(24)) << 23 | (v & 0x7ff000u);
    default: return v;
    }
}

static uint64_t double_(void)
{
    static const uint64_t special[] = {0, 0x8000000000000000u, 0x3ff0000000000000u, 0xbff0000000000000u, 0x7ff0000000000000u,
                                       0xfff0000000000000u, 0x7ff8000000000000u, 0xfff8123456789abcu, 0x7ff0000000000001u,
                                       0xfff4000000000000u, 1, 0x800fffffffffffffu, 0x0010000000000000u, 0x7fefffffffffffffu,
                                       0x41e0000000000000u, 0xc1e0000000000000u, 0x43e0000000000000u, 0x3fe0000000000000u,
                                       0x41dfffffffe00000u, 0x36a0000000000000u, 0x380fffffe0000000u, 0x47efffffe0000000u};
    uint64_t v = rnd();

    switch (below(4)) {
    case 0: return special[below(ARRAY_LEN(special))];
    case 1: return (v & 0x800fffffffffffffu) | (uint64_t)(1018 + below(12)) << 52;
    case 2: return (v & 0x8000000000000000u) | (uint64_t)(1023 + below(53)) << 52 | (v & 0xff00000000000u);
    default: return v;
    }
}

static void fill(uint8_t *p, unsigned n)
{
    for (unsigned at = 0, kind = 0; at < n; at += 8) {
        uint64_t v;

        if (!(at & 31))
            kind = below(5);
        switch (kind) {
        case 0: v = single() | (uint64_t)single() << 32; break;
        case 1: v = double_(); break;
        case 2: v = value() | (below(2) ? value() << 32 : 0); break;
        case 3: /* letters of a small alphabet: strings */
            v = 0;
            for (unsigned i = 0; i < 8; i++)
                v = v << 8 | (uint8_t)"abcaa\0\xff\x80"[below(8)];
            break;
        default: v = below(2) ? rnd() : rnd() & rnd() & rnd(); break;
        }
        memcpy(p + at, &v, 8);
    }
}

/* ---- code ---- */

static bool writes_gpr_reg(const struct simd_row *r, unsigned map)
{
    return r->form == SIMD_TO_INTEGER || r->form == SIMD_SIGNS || (r->form == SIMD_EXTRACT && map == 1);
}

static bool writes_gpr_rm(const struct simd_row *r, unsigned map)
{
    return (r->form == SIMD_EXTRACT && map != 1) || r->form == SIMD_STORE_GENERAL;
}

static bool has_immediate(unsigned map, unsigned opcode)
{
    return map == 3 || (map == 1 && ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0x78 || opcode == 0xc2 ||
                                    (opcode >= 0xc4 && opcode <= 0xc6)));
}

static unsigned registers(const struct one_case *c)
{
    return c->compat ? 8 : 16;
}

static unsigned any_but_rsp(const struct one_case *c)
{
    unsigned r;

    do
        r = below(registers(c));
    while (r == ESP);
    return r;
}

static void opcode_bytes(struct one_case *c, const struct encoding *e, unsigned reg, unsigned vvvv, unsigned x, unsigned b)
{
    static const uint8_t prefixes[] = {[PREFIX_66] = 0x66, [PREFIX_F3] = 0xf3, [PREFIX_F2] = 0xf2};
    static const uint8_t pp[] = {[PREFIX_66] = 1, [PREFIX_F3] = 2, [PREFIX_F2] = 3};
    unsigned rex = e->w << 3 | (reg >> 3) << 2 | x << 1 | b;

    if (!e->vex) {
        if (e->prefix)
            byte(c, prefixes[e->prefix]);
        if (!c->compat && (rex || below(8) == 0))
            byte(c, 0x40 | rex);
        byte(c, 0x0f);
        if (e->map > 1)
            byte(c, e->map == 2 ? 0x38 : 0x3a);
    } else if (e->map == 1 && !(rex & 0xb) && below(2)) {
        byte(c, 0xc5);
        byte(c, (reg < 8) << 7 | (~vvvv & 15) << 3 | e->l << 2 | pp[e->prefix]);
    } else {
        byte(c, 0xc4);
        byte(c, (reg < 8) << 7 | !x << 6 | !b << 5 | e->map);
        byte(c, e->w << 7 | (~vvvv & 15) << 3 | e->l << 2 | pp[e->prefix]);
    }
    byte(c, e->opcode);
}

/* Any of the 65536 masks of bytes in a register; often none at all. */
static void signs_at_random(struct one_case *c, unsigned r)
{
    unsigned signs = below(3) ? (unsigned)rnd() & 0xffff : 0;

    for (unsigned k = 0; k < 16; k++)
        c->ymm[r][k] = (uint8_t)((c->ymm[r][k] & 0x7f) | (signs >> k & 1) << 7);
}

/* VSIB: small indices in a register of their own. */
static void gather(struct one_case *c, const struct encoding *e)
{
    unsigned n = registers(c), reg = below(n), index = (reg + 1 + below(n - 1)) & (n - 1), mask, base = any_but_rsp(c);

    do
        mask = below(n);
    while (mask == reg || mask == index);
    for (unsigned k = 0; k < 32; k += e->opcode & 1 ? 8 : 4) {
        int64_t v = (int64_t)below(400) - 200;

        memcpy(c->ymm[index] + k, &v, e->opcode & 1 ? 8 : 4);
    }
    mov_imm(c, base, data_pointer(c) - 64);
    if (below(10) == 0) { /* across the end of what there is, or near it: of one element, for others need not be loaded before a fault */
        unsigned bytes = e->w ? 8 : 4;

        memset(c->ymm[index], 0, sizeof(c->ymm[index]));
        memset(c->ymm[mask], 0, sizeof(c->ymm[mask]));
        memset(c->ymm[mask] + bytes * below(32 / bytes), 0xff, bytes);
        mov_imm(c, base, c->base + SIZE - below(20) - 64);
    }
    opcode_bytes(c, e, reg, mask, index >> 3, base >> 3);
    byte(c, 0x84 | (reg & 7) << 3);
    byte(c, below(4) << 6 | (index & 7) << 3 | (base & 7));
    word32(c, 64);
}

/* At most one of a case is given registers that depend on its state. */
static void append(struct one_case *c, const struct encoding *e)
{
    const struct simd_row *r = e->row;
    bool mem = r->flags & SIMD_MEM ? true : r->flags & SIMD_REG ? false : below(2), imm = has_immediate(e->map, e->opcode);
    unsigned n = registers(c), reg = below(n), rm = below(n), vvvv = below(n), base = any_but_rsp(c);
    uint64_t target = data_pointer(c);

    if (r->form == SIMD_GATHER) {
        gather(c, e);
        return;
    }
    if (r->form == SIMD_ZERO) {
        opcode_bytes(c, e, 0, 0, 0, 0);
        return;
    }
    if (r->form == SIMD_FIELD && e->prefix == PREFIX_66)
        reg = 0;
    if (writes_gpr_reg(r, e->map))
        reg = any_but_rsp(c);
    if (writes_gpr_rm(r, e->map))
        rm = any_but_rsp(c);
    if (r->form == SIMD_MXCSR)
        reg = 2 + below(2);
    if (r->form == SIMD_SHIFT)
        reg = (const unsigned[]){2, 4, 6, 2, 6, e->opcode == 0x73 ? 3 : 4, e->opcode == 0x73 ? 7 : 6}[below(7)];
    switch (r->form) { /* mostly as it must be */
    case SIMD_ONE: case SIMD_WIDEN: case SIMD_BROADCAST: case SIMD_FLOAT_ONE: case SIMD_NARROW: case SIMD_TO_INTEGER: case SIMD_COMPARE:
    case SIMD_TO_HALF: case SIMD_LOAD: case SIMD_STORE: case SIMD_STORE_HALF: case SIMD_LOAD_Q: case SIMD_STORE_Q:
    case SIMD_LOAD_GENERAL: case SIMD_STORE_GENERAL: case SIMD_SIGNS: case SIMD_EXTRACT: case SIMD_EXTRACT_128:
    case SIMD_BROADCAST_128: case SIMD_TEST: case SIMD_STRING: case SIMD_MASKMOVDQU: case SIMD_MXCSR:
        vvvv = below(30) ? 0 : vvvv;
        break;
    case SIMD_LOAD_LOW: case SIMD_STORE_LOW:
        vvvv = mem && below(30) ? 0 : vvvv;
        break;
    case SIMD_PERMUTE:
        vvvv = e->map == 3 && below(30) ? 0 : vvvv;
        break;
    default:
        break;
    }
    if (below(12))
        target &= ~(uint64_t)31;
    if ((r->form == SIMD_MASK_LOAD || r->form == SIMD_MASK_STORE || r->form == SIMD_TO_HALF) && below(6) == 0)
        target = c->base + SIZE - below(40); /* some elements, or the end of a result, may be beyond what there is */
    if (r->form == SIMD_MXCSR) {
        uint32_t v = 0x1f80u | ((uint32_t)rnd() & 0xffffu);

        memcpy(c->data + (target - c->base - DATA), &v, 4);
    }
    if (r->form == SIMD_MASKMOVDQU && c->base == bases[0] && !c->compat && below(3) == 0) { /* at EDI */
        mov_imm(c, EDI, target | rnd() << 32);
        byte(c, 0x67);
    } else if (r->form == SIMD_MASKMOVDQU) {
        mov_imm(c, EDI, target);
    }
    if (r->form == SIMD_MASKMOVDQU && below(4) == 0)
        signs_at_random(c, rm);
    if (!mem) {
        opcode_bytes(c, e, reg, vvvv, 0, rm >> 3);
        byte(c, 0xc0 | (reg & 7) << 3 | (rm & 7));
    } else if (below(2)) { /* RIP-relative */
        opcode_bytes(c, e, reg, vvvv, 0, 0);
        byte(c, 0x05 | (reg & 7) << 3); /* in 32-bit code absolute */
        word32(c, (uint32_t)(c->compat ? target : target - (c->rip + c->len + 4 + imm)));
    } else {
        mov_imm(c, base, target - 64);
        opcode_bytes(c, e, reg, vvvv, 0, base >> 3);
        byte(c, 0x84 | (reg & 7) << 3);
        byte(c, 0x20 | (base & 7)); /* no index */
        word32(c, 64);
    }
    if (imm)
        byte(c, (unsigned)rnd() & 0xff);
    if (r->form == SIMD_FIELD)
        byte(c, (unsigned)rnd() & 0xff);
}

/* Is a NaN of DPPS the same one in all elements? */
__attribute__((target("sse4.1"))) static bool dot_products_are_one(void)
{
    const __m128 nans = _mm_castsi128_ps(_mm_setr_epi32(0x7fc00001, 0x7fc00002, 0x7fc00003, 0x7fc00004)), ones = _mm_set1_ps(1);
    uint32_t sum[4];

    _mm_storeu_si128((__m128i *)(void *)sum, _mm_castps_si128(_mm_dp_ps(nans, ones, 0xff)));
    return sum[0] == sum[1] && sum[1] == sum[2] && sum[2] == sum[3];
}

/* Do processors differ in what that gives? */
static bool varies(unsigned map, unsigned opcode)
{
    return (map == 1 && (opcode == 0x52 || opcode == 0x53)) || (map == 3 && (opcode == 0x40 || opcode == 0x41) && !dot_is_one);
}

/* The row's encodings in turn: without VEX; with it 128 and 256 bits, each with W clear and set. */
static bool encode(struct encoding *e, unsigned map, unsigned opcode, unsigned prefix, unsigned form)
{
    *e = (struct encoding){.row = i386_simd_row(map, opcode, (enum simd_prefix)prefix), .map = map, .opcode = opcode, .prefix = prefix};
    if (e->row->form == SIMD_NONE || varies(map, opcode))
        return false;
    e->vex = form > 1;
    e->l = form > 3;
    e->w = form & 1;
    if (e->vex ? e->row->vex == VEX_NONE : e->row->set == SET_NONE)
        return false;
    if ((e->row->flags & SIMD_W1) && !e->w && !__builtin_cpu_is("amd"))
        return false; /* the model's like take it all the same */
    return host_supports(e);
}

static bool random_encoding(struct encoding *e)
{
    return encode(e, 1 + below(3), below(256), below(4), below(6));
}

/* In 32-bit code: there is no REX, and AMD's processors refuse W where Intel's ignore it (VPINSRQ). */
static bool exists_in_32(const struct encoding *e)
{
    return !e->w || (e->vex && e->row->form != SIMD_INSERT && e->row->form != SIMD_EXTRACT);
}

static void make_case(struct one_case *c, const struct encoding *first, unsigned more)
{
    memset(c, 0, sizeof(*c));
    c->compat = below(4) == 0 && exists_in_32(first);
    c->base = bases[c->compat ? 0 : below(2)];
    for (unsigned r = 0; r < 16; r++)
        c->gpr[r] = value();
    c->gpr[EAX] = below(2) ? below(20) : c->gpr[EAX]; /* lengths of strings */
    c->gpr[EDX] = below(2) ? below(20) : c->gpr[EDX];
    c->gpr[ESP] = c->base + STACK + AREA / 2;
    for (unsigned r = 0; r < 16 && c->compat; r++)
        c->gpr[r] = (uint32_t)c->gpr[r];
    c->eflags = ((uint32_t)rnd() & FLAGS_ALL) | EFLAGS_1 | EFLAGS_IF;
    c->rip = c->base + CODE + (below(8) ? below(0x800) : 0x1000 - below(60));
    c->mxcsr = 0x1f80u | below(4) << 13;
    if (below(3) == 0)
        c->mxcsr |= (uint32_t)rnd() & 0x8040u;
    if (below(3) == 0)
        c->mxcsr |= (uint32_t)rnd() & 0x3fu;
    if (below(4) == 0)
        c->mxcsr &= ~((uint32_t)rnd() & 0x1f80u);
    fill(&c->ymm[0][0], sizeof(c->ymm));
    fill(c->data, AREA);
    append(c, first);
    while (more && c->len < MAX_CODE - 60) {
        struct encoding e;

        if (!random_encoding(&e) || e.row->form == SIMD_GATHER || e.row->form == SIMD_MXCSR || (c->compat && !exists_in_32(&e)))
            continue;
        append(c, &e);
        more--;
    }
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 12, seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    long only_map = argc > 4 ? strtol(argv[3], NULL, 0) : -1, only_opcode = argc > 4 ? strtol(argv[4], NULL, 0) : -1;
    unsigned long cases = 0, failures = 0;
    static struct one_case c;
    struct guest g, jit;

    if (!sides_begin(&g, &jit))
        return 77;
    dot_is_one = __builtin_cpu_supports("sse4.1") && dot_products_are_one();
    for (unsigned map = 1; map <= 3; map++)
        for (unsigned k = 0; k < 256 * 4 * 6 && failures < 20; k++) {
            struct encoding e;
            bool good = true;

            if ((only_map >= 0 && ((unsigned)only_map != map || (unsigned)only_opcode != k / 24)) ||
                !encode(&e, map, k / 24, k / 6 % 4, k % 6))
                continue;
            for (unsigned long n = 0; n < rounds && good; n++) {
                rng_state = ((seed * 1000003u + map) * 1000003u + k) * 1000003u + n;
                make_case(&c, &e, n % 3 == 2 ? 1 + below(5) : 0);
                good = run_case(&g, &jit, &c);
                cases++;
            }
            if (!good) {
                printf("map %u opcode %02x prefix %u vex %d L %d W %d\n", map, e.opcode, e.prefix, e.vex, e.l, e.w);
                failures++;
            }
        }
    return sides_end(&g, &jit, cases, failures > 0);
}
#else
int main(void)
{
    return 77;
}
#endif
