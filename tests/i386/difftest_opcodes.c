/*
 * Every opcode of every map, in 64-bit mode and in code segments of 32 and of 16 bits, in register and memory forms, with and
 * without VEX, with each mandatory prefix, several of them in each order, LOCK, REX that counts and that does not, VEX with a
 * register where none belongs and behind other prefixes; and with so many prefixes that it is too long: is it there, and how
 * long is it? The host's processor tells: an instruction at the end of a page
 * whose next one is absent faults at its fetch if it is longer.
 *
 *   difftest_opcodes [every Nth case [seed]]
 *
 * What exists here must exist there, with the same length; what exists there and not here must be of a set that is not
 * offered (`not_offered`), or that the CPUID of this model does not show yet. What is undefined must be as long on a host of AMD's
 * (`longer_there`); what Intel's have there is not known to us. Exit status 77: the host is no x86-64 Linux.
 */
#if defined(__x86_64__) && defined(__linux__)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "i386/insn.h"
#include "i386_host.h"
#include "i386_user.h"

#define BASE32 0x20000000u
#define END    0x1000u /* code ends here; the page that begins here is absent */
#define DATA   0x4000u
#define AREA   0x4000u
#define BEFORE 256u    /* bytes of INT3 before the code: it may jump there */

/* ---- encodings ---- */

struct encoding {
    enum user_mode mode;
    const char *before; /* prefixes, as bytes */
    uint8_t map;        /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
    uint8_t vex;        /* 0, or 1 + L */
    uint8_t vvvv, pp;   /* of VEX, as it is in its bytes */
    uint8_t prefix;     /* what counts: 0, 66, F3, F2 */
    bool opsize, lock;  /* there is 66, F0 */
    uint8_t w, opcode, modrm;
    uint8_t bytes[32];  /* and zeros for displacement and immediate */
    unsigned head;      /* bytes up to ModRM */
};

static void make_bytes(struct encoding *e)
{
    uint8_t *b = e->bytes;
    unsigned n = (unsigned)strlen(e->before);

    memset(b, 0, sizeof e->bytes);
    memcpy(b, e->before, n);
    if (e->vex) {
        b[n++] = 0xc4;
        b[n++] = 0xe0 | e->map;
        b[n++] = (uint8_t)(e->w << 7 | e->vvvv << 3 | (e->vex - 1) << 2 | e->pp);
    } else {
        if (e->map)
            b[n++] = 0x0f;
        if (e->map > 1)
            b[n++] = e->map == 2 ? 0x38 : 0x3a;
    }
    b[n++] = e->opcode;
    b[n++] = e->modrm;
    e->head = n;
}

/* The prefixes, and which of them count. */
static void set_before(struct encoding *e, const char *before)
{
    e->before = before;
    e->prefix = e->w = 0;
    e->opsize = e->lock = false;
    for (const char *at = before; *at; at++) {
        uint8_t byte = (uint8_t)*at;

        e->w = e->mode == USER_64 && (byte & 0xf8) == 0x48; /* right before the opcode only */
        e->lock |= byte == 0xf0;
        e->opsize |= byte == 0x66;
        if (byte == 0xf2 || byte == 0xf3)
            e->prefix = byte;
        else if (byte == 0x66 && !e->prefix)
            e->prefix = byte;
    }
}

/* Of Intel's processors: near branches with 66 in 64-bit mode ignore it, AMD's (and this model) have 16-bit ones; VPEXTRD and
 * VPINSRD with W outside 64-bit mode ignore it. SYSRET outside 64-bit mode is AMD's, LOCK MOV CR0 for CR8, VERW with
 * LOCK, and 0F 78 with immediates; PREFETCHW of a register does nothing on Intel's, and PTWRITE and XEND are theirs. VPERMQ and
 * VPERMPD without W are AMD's, and so are EXTRQ, INSERTQ, MOVNTSS, MOVNTSD and CLZERO. */
static bool makers_differ(const struct encoding *e)
{
    bool registers = e->modrm >> 6 == 3;

    if (e->map == 1 && !e->vex && ((e->opcode == 0x07 && e->mode != USER_64) || (e->opcode == 0x0d && registers) ||
                                   (e->opcode == 0x01 && (e->modrm == 0xd5 || e->modrm == 0xfc)) || (e->opcode & 0xfe) == 0x78 ||
                                   (e->opcode == 0x2b && (e->prefix == 0xf2 || e->prefix == 0xf3)) ||
                                   (e->opcode == 0xae && e->prefix == 0xf3 && (e->modrm >> 3 & 7) == 4)))
        return true;
    if (e->map == 1 && !e->vex && e->lock &&
        (e->opcode == 0x20 || e->opcode == 0x22 || (e->opcode == 0x00 && (e->modrm >> 3 & 7) == 5 && !registers)))
        return true;
    if (e->vex && e->map == 3 && e->opcode <= 0x01 && !e->w)
        return true;
    if (e->vex && e->map == 1 && e->opcode == 0x78) /* its length */
        return true;
    if (e->mode != USER_64 && e->vex && e->map == 3 && e->w)
        return e->opcode == 0x16 || e->opcode == 0x22;
    if (e->mode != USER_64 || e->vex || !e->opsize || e->w)
        return false;
    if (e->map == 1)
        return (e->opcode & 0xf0) == 0x80;
    return e->map == 0 && ((e->opcode & 0xf0) == 0x70 || (e->opcode & 0xfc) == 0xe0 || (e->opcode & 0xfc) == 0xe8 ||
                           e->opcode == 0xc2 || e->opcode == 0xc3 || e->opcode == 0xff);
}

/* Not to be run on the host: they leave the process, or change what it needs. */
static bool dangerous(const struct encoding *e)
{
    unsigned digit = e->modrm >> 3 & 7;
    bool registers = e->modrm >> 6 == 3;

    if (e->vex || e->map > 1)
        return false;
    if (e->map == 0)
        switch (e->opcode) {
        case 0x07: case 0x17: case 0x1f: case 0x8e: case 0xc4: case 0xc5: case 0xca: case 0xcb: case 0xcd: case 0xcf:
        case 0x9a: case 0xea:
            return true;
        case 0xff:
            return digit == 3 || digit == 5;
        case 0x70 ... 0x7f: case 0xe0 ... 0xe3: case 0xeb: /* into their own prefixes, for ever */
            return strlen(e->before) > 5;
        case 0xc2: case 0xc3: /* to 32-bit code without bounds */
            return e->mode == USER_16 && e->opsize;
        default: /* prefixes are no opcodes */
            return e->opcode == 0x0f || (e->opcode & 0xe7) == 0x26 || (e->opcode >= 0x64 && e->opcode <= 0x67) ||
                   (e->opcode >= 0xf0 && e->opcode <= 0xf3 && e->opcode != 0xf1) || (e->mode == USER_64 && (e->opcode & 0xf0) == 0x40);
        }
    switch (e->opcode) {
    case 0x05: case 0x34: case 0xa1: case 0xa9: case 0xb2: case 0xb4: case 0xb5:
        return true;
    case 0x01: /* VMCALL, VMMCALL, MONITORX, MWAITX */
        return e->modrm == 0xc1 || e->modrm == 0xd9 || e->modrm == 0xfa || e->modrm == 0xfb;
    case 0xae: /* WRFSBASE, WRGSBASE; waits */
        return registers && (digit == 2 || digit == 3 || digit == 6) && e->prefix;
    case 0x38: case 0x3a:
        return true;
    default:
        return false;
    }
}

/* ---- both sides ---- */

struct answer {
    bool exists;
    bool starved; /* the fetch needs another byte */
};

static struct answer judge(uint64_t vector, uint64_t error, uint64_t rip, uint64_t start)
{
    struct answer a = {.exists = !(vector == 6 && rip == start), .starved = vector == 14 && (error & 0x10) && rip == start};

    return a;
}

/* The low base of either side, or its segment's. */
static uint64_t base_of(const struct encoding *e, bool host)
{
    return e->mode == USER_16 ? 0 : host && e->mode == USER_32 ? BASE32 : user_bases[0];
}

/* All registers point into the data but for the counter. */
static uint64_t pointer(const struct encoding *e, unsigned n, bool host)
{
    uint64_t middle = DATA + AREA / 2;

    if (n == ESP && e->mode == USER_16)
        return middle + (host ? BASE32 : user_bases[0]);
    return n == ECX ? 2 : n >= 8 && e->mode != USER_64 ? 0 : base_of(e, host) + middle;
}

/* With the first `len` bytes of it at the end of the page. */
static struct answer host_says(const struct encoding *e, unsigned len)
{
    uint64_t memory = e->mode == USER_64 ? user_bases[0] : BASE32, start = base_of(e, true) + END - len;
    struct answer a;

    memset((void *)(uintptr_t)(memory + END - BEFORE), 0xcc, BEFORE);
    memcpy((void *)(uintptr_t)(memory + END - len), e->bytes, len);
    memset((void *)(uintptr_t)(memory + DATA), 0, AREA);
    if (e->mode != USER_64) {
        struct host32_regs r = {.eip = (uint32_t)start, .eflags = EFLAGS_1};

        for (unsigned n = 0; n < 8; n++)
            r.gpr[n] = (uint32_t)pointer(e, n, true);
        (e->mode == USER_16 ? host16_run : host32_run)(&r);
        a = judge(r.vector, r.error, r.eip, start);
    } else {
        struct host64_regs r = {.rip = start, .rflags = EFLAGS_1};

        for (unsigned n = 0; n < 16; n++)
            r.gpr[n] = pointer(e, n, true);
        host64_run(&r);
        a = judge(r.vector, r.error, r.rip, start);
    }
    __asm__ volatile("fninit; ldmxcsr %0" : : "m"((const uint32_t){0x1f80}));
    return a;
}

static bool emulator_says(struct user_guest *g, const struct encoding *e, unsigned len)
{
    uint64_t start = base_of(e, false) + END - len;
    struct user_outcome o = {.regs = {.rip = start, .rflags = EFLAGS_1}};
    uint8_t code[BEFORE];

    memset(code, 0xcc, sizeof code);
    memcpy(code + sizeof code - len, e->bytes, len);
    user_guest_write(g, END - BEFORE, code, sizeof code);
    for (unsigned n = 0; n < 16; n++)
        o.regs.gpr[n] = pointer(e, n, false);
    return user_guest_run(g, e->mode, &o) && judge(o.regs.vector, 0, o.regs.rip, start).exists;
}

/* ---- what is not offered ---- */

static const struct i386_model *model;

/* Sets of later processors, or of the other maker, that this model's CPUID never shows. */
static bool not_offered(const struct encoding *e)
{
    bool registers = e->modrm >> 6 == 3;

    if (e->map == 0)
        return e->opcode == 0x62 && e->mode == USER_64; /* EVEX: AVX-512 */
    if (e->map == 1 && !e->vex)
        switch (e->opcode) {
        case 0x01: return registers && ((e->modrm >= 0xfa && e->modrm != 0xfc) || (e->modrm >= 0xd8 && e->modrm <= 0xdf) ||
                                        e->modrm == 0xe8 || e->modrm == 0xea); /* SVM, MONITORX... */
        case 0x35: return true; /* SYSEXIT: there, but not in long mode; privileges are asked for first */
        default: return false;
        }
    if (e->map == 1) /* masks of AVX-512 */
        return (e->opcode >= 0x41 && e->opcode <= 0x4b) || (e->opcode >= 0x90 && e->opcode <= 0x99);
    if (e->map == 2 && !e->vex)
        return (e->opcode >= 0xc8 && e->opcode <= 0xcf) || e->opcode >= 0xf8; /* SHA, GFNI; MOVDIRI... */
    if (e->map == 3 && !e->vex)
        return e->opcode == 0xcc || e->opcode == 0xce || e->opcode == 0xcf; /* SHA, GFNI */
    if (e->map == 2)
        return e->opcode == 0xcf || (e->vex == 2 && e->opcode >= 0xdc && e->opcode <= 0xdf && !__builtin_cpu_supports("vaes")) || /* GFNI */
               (e->opcode >= 0x50 && e->opcode <= 0x53) || (e->opcode >= 0xb0 && e->opcode <= 0xb5) || (e->opcode & 0xf0) == 0xe0;
    return e->opcode == 0xce || e->opcode == 0xcf || (e->opcode == 0x44 && e->vex == 2 && !__builtin_cpu_supports("vpclmulqdq")) ||
           (e->opcode & 0xfc) == 0x30; /* GFNI, masks */
}

/* What is undefined here and has more bytes, or fewer, on AMD's: XOP; some that are no more in 64-bit mode; EVEX,
 * fetched whole before it is refused where there is AVX-512, and refused at its first bytes where there is none. */
static bool longer_there(const struct encoding *e)
{
    if (e->map == 0 && e->opcode == 0x62 && (e->mode == USER_64 || e->modrm >> 6 == 3))
        return __builtin_cpu_supports("avx512f");
    if (e->map == 0)
        return e->opcode == 0x8f || (e->mode == USER_64 && (e->opcode == 0x82 || e->opcode == 0xd4 || e->opcode == 0xd5));
    return false;
}

/* Of a set that the model is to have, and does not show yet. */
static bool not_shown(const struct encoding *e)
{
    if (e->vex)
        return (e->map == 1 || e->map == 2 || e->map == 3) && !i386_has(model, e->map == 1 ? FEATURE_AVX : FEATURE_FMA) && (e->map != 2 || e->opcode < 0xf0);
    if (e->map == 2)
        return e->opcode < 0xf0 ? !i386_has(model, FEATURE_AES) : !i386_has(model, FEATURE_SSE42);
    if (e->map == 3)
        return !i386_has(model, FEATURE_PCLMUL);
    return e->map == 1 && !i386_has(model, FEATURE_SSE3);
}

/* ---- comparison ---- */

static bool amd; /* the host */
static unsigned long failures, here_alone, there_alone, lengths, lengths_of_none;

static void tell(const struct encoding *e, const char *what, unsigned len)
{
    if (failures++ > 60)
        return;
    printf("%u-bit code,", e->mode == USER_64 ? 64 : e->mode == USER_32 ? 32 : 16);
    for (unsigned n = 0; n < (len > e->head ? len : e->head); n++)
        printf(" %02x", e->bytes[n]);
    printf(": %s (%u bytes)\n", what, len);
}

static void compare_lengths(const struct encoding *e, unsigned len)
{
    bool too_short = host_says(e, len).starved, too_long = len > 1 && !host_says(e, len - 1).starved;

    if (too_short || too_long)
        tell(e, too_short ? "it is longer on the host" : "it is shorter on the host", len);
}

static void compare(struct user_guest *g, const struct encoding *e)
{
    static const uint8_t sizes[] = {[USER_64] = DECODE_CODE64, [USER_32] = DECODE_CODE32, [USER_16] = 0};
    unsigned mode = DECODE_P6 | DECODE_LM | DECODE_VEX | DECODE_AMD | sizes[e->mode]; /* the model is AMD's, too */
    bool exists, exists_there, too_long;
    struct insn i;

    too_long = i386_decode(e->bytes, sizeof e->bytes, mode, &i) == DECODE_LONG; /* #GP */
    if (too_long)
        i.len = INSN_MAX_LEN + 1;
    exists = emulator_says(g, e, i.len);
    exists_there = host_says(e, INSN_MAX_LEN + 1).exists;
    if (exists && !exists_there) {
        here_alone++;
        if (!too_long || !(amd && longer_there(e)))
            tell(e, "only the emulator has it", i.len);
    } else if (!exists && exists_there) {
        there_alone++;
        if (!not_offered(e) && !not_shown(e) && !(amd && longer_there(e)))
            tell(e, "only the host has it", i.len);
    } else if (exists && !too_long) {
        lengths++;
        compare_lengths(e, i.len);
    } else if (!exists && amd && !longer_there(e)) {
        lengths_of_none++;
        compare_lengths(e, i.len);
        if (i.len > 1 && !emulator_says(g, e, i.len - 1)) /* the fetch faults first */
            tell(e, "undefined before all of it is there", i.len);
    }
}

static unsigned long every = 199, number;

static void one(struct user_guest *g, struct encoding *e)
{
    if (number++ % every)
        return;
    make_bytes(e);
    if (!dangerous(e) && (amd || !makers_differ(e)))
        compare(g, e);
}

static void modrms(struct user_guest *g, struct encoding *e)
{
    static const uint8_t others[] = {0x04, 0x05, 0x06, 0x43, 0x44, 0x83, 0x84};
    bool all = !e->vex && ((e->map == 0 && e->opcode >= 0xd8 && e->opcode <= 0xdf) ||
                           (e->map == 1 && (e->opcode == 0x01 || e->opcode == 0xae || e->opcode == 0xc7)));

    for (unsigned reg = 0; reg < 8; reg++) {
        e->modrm = (uint8_t)(reg << 3 | 3);
        one(g, e);
        for (unsigned rm = 0; rm < 8; rm++)
            if (all || rm == 1) {
                e->modrm = (uint8_t)(0xc0 | reg << 3 | rm);
                one(g, e);
            }
    }
    for (unsigned n = 0; n < sizeof others; n++) {
        e->modrm = others[n];
        one(g, e);
    }
}

static void walk_opcodes(struct user_guest *g, struct encoding *e)
{
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        e->opcode = (uint8_t)opcode;
        modrms(g, e);
    }
}

/* Without VEX. From REX_ONLY on they are of 64-bit mode. */
static const char *const befores[] = {
    "", "\x66", "\xf3", "\xf2", "\x67", "\x2e", "\x65", "\xf0", "\x66\xf3", "\xf3\x66", "\x66\xf2", "\xf2\x66", "\xf2\xf3", "\xf3\xf2",
    "\x66\xf2\xf3", "\xf0\x66", "\xf3\xf0", "\xf0\xf2", "\xf0\xf0", "\x66\xf0\xf3", "\x67\x66", "\x67\x67",
    "\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", "\xf3\xf3\xf3\xf3\xf3\xf3\xf3\xf3\xf3\xf3\xf3\xf3",
    "\x48", "\x66\x48", "\xf3\x48", "\xf2\x48", "\x66\xf3\x48", "\x66\xf2\x48", "\xf0\x48", "\x48\x66", "\x48\xf3", "\x48\xf2", "\x48\xf0",
    "\x48\x40", "\x40\x48", "\x44", "\x41", "\x42", "\x4f", "\x66\x44", "\xf3\x44", "\xf3\x41", "\x66\x41", "\x65\x2e",
    "\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x48",
};
#define REX_ONLY 25

/* With VEX. */
static const struct { const char *before; uint8_t vvvv; } vex_befores[] = {
    {"", 15}, {"", 14}, {"", 8}, {"", 0}, {"\x67", 15}, {"\x2e", 15}, {"\x66", 15}, {"\xf3", 15}, {"\xf2", 15}, {"\xf0", 15},
    {"\x65\x65\x65\x65\x65\x65\x65\x65", 15},
    {"\x48", 15}, {"\x40", 15}, {"\x48\x2e", 15},
};
#define VEX_REX_ONLY 11

static void walk(struct user_guest *g, enum user_mode mode)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
    const size_t count = mode == USER_64 ? ARRAY_LEN(befores) : REX_ONLY,
                 vex_count = mode == USER_64 ? ARRAY_LEN(vex_befores) : VEX_REX_ONLY;
    struct encoding e = {.mode = mode};

    for (size_t n = 0; n < count; n++) {
        set_before(&e, befores[n]);
        for (e.map = 0; e.map <= 3; e.map++)
            walk_opcodes(g, &e);
    }
    for (size_t n = 0; n < vex_count; n++) {
        set_before(&e, vex_befores[n].before);
        e.vvvv = vex_befores[n].vvvv;
        for (e.vex = 1; e.vex <= 2; e.vex++)
            for (e.map = 1; e.map <= 3; e.map++)
                for (e.pp = 0; e.pp < 4; e.pp++)
                    for (e.w = 0; e.w <= 1; e.w++) {
                        if (*e.before && (e.w != (e.map == 2) || (e.vex == 2) != (e.pp & 1)))
                            continue; /* some of them are enough */
                        e.prefix = prefixes[e.pp];
                        walk_opcodes(g, &e);
                    }
    }
}

static bool absent(uint64_t at)
{
    return mprotect((void *)(uintptr_t)at, 4096, PROT_NONE) == 0;
}

int main(int argc, char **argv)
{
    struct user_guest g;
    bool narrow;

    every = argc > 1 ? strtoul(argv[1], NULL, 0) : every;
    number = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
    narrow = host32_init(BASE32, USER_SIZE);
    if (!host64_init(user_bases[0], USER_SIZE) || !absent(user_bases[0] + END) || (narrow && !absent(BASE32 + END))) {
        printf("the memory for host code cannot be mapped\n");
        return 77;
    }
    amd = __builtin_cpu_is("amd");
    model = i386_model_find("max");
    user_guest_init(&g, "max");
    user_guest_map(&g, END, false);
    walk(&g, USER_64);
    if (narrow)
        walk(&g, USER_32);
    else
        printf("the host does not run 32-bit code\n");
    if (narrow && host16_init(BASE32))
        walk(&g, USER_16);
    else if (narrow)
        printf("the host has no LDT for 16-bit code\n");
    machine_destroy(g.m);
    printf("%lu encodings of both and %lu of neither were of the same length, %lu of the host alone, %lu of the emulator alone\n",
           lengths, lengths_of_none, there_alone, here_alone);
    return failures != 0;
}
#else
int main(void)
{
    return 77;
}
#endif
