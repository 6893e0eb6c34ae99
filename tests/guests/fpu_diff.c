/*
 * Floating point and SIMD through the whole emulator: compiled twice from this
 * one source, for the host's own processor (NATIVE: a 32-bit Linux program) and
 * as a bare-metal Multiboot guest; both print hashes of the results, which must
 * agree (fpu_diff.sh). The guest alone then provokes the faults of the x87 and
 * SSE; what it should see is what the native program prints.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef NATIVE
static void put(char c)
{
    int call = 4;
    __asm__ volatile("int $0x80" : "+a"(call) : "b"(1), "c"(&c), "d"(1) : "memory");
}
#else
static void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static void put(char c) { outb(0xe9, (u8)c); }
#endif

static void print(const char *s)
{
    while (*s)
        put(*s++);
}

static void report(const char *name, u64 v)
{
    print(name);
    put(' ');
    for (int i = 60; i >= 0; i -= 4)
        put("0123456789abcdef"[v >> i & 15]);
    put('\n');
}

void *memset(void *p, int c, unsigned n);
void *memset(void *p, int c, unsigned n)
{
    u8 *b = p;
    while (n--)
        *b++ = (u8)c;
    return p;
}
void *memcpy(void *d, const void *s, unsigned n);
void *memcpy(void *d, const void *s, unsigned n)
{
    u8 *to = d;
    const u8 *from = s;
    while (n--)
        *to++ = *from++;
    return d;
}

static u64 hash;
static void mix(const void *p, unsigned n)
{
    const u8 *b = p;
    while (n--)
        hash = (hash ^ *b++) * 0x100000001b3u;
}

/* ---- what both do ---- */

static volatile double one = 1.0, third = 1.0 / 3.0;

struct body {
    double x[3], v[3], mass;
};

static double root(double x)
{
#ifdef __SSE2__
    __asm__("sqrtsd %0, %0" : "+x"(x));
#else
    __asm__("fsqrt" : "+t"(x));
#endif
    return x;
}

static void gravity(void)
{
    struct body b[5];

    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 3; k++) {
            b[i].x[k] = one * (i * 7 + k * 3) / 5 - 2;
            b[i].v[k] = third * (k - i);
            b[i].mass = one / (i + 1);
        }
    for (int step = 0; step < 2000; step++) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++) {
                double d[3], r2 = 0.01, f;
                for (int k = 0; k < 3; k++) {
                    d[k] = b[i].x[k] - b[j].x[k];
                    r2 += d[k] * d[k];
                }
                f = 0.001 / (r2 * root(r2));
                for (int k = 0; k < 3; k++) {
                    b[i].v[k] -= d[k] * b[j].mass * f;
                    b[j].v[k] += d[k] * b[i].mass * f;
                }
            }
        for (int i = 0; i < 5; i++)
            for (int k = 0; k < 3; k++)
                b[i].x[k] += 0.001 * b[i].v[k];
    }
    mix(b, sizeof b);
}

static float lanes[256];
static int numbers[256];
static u8 bytes[256];

static void arrays(void)
{
    for (int i = 0; i < 256; i++) {
        lanes[i] = (float)(i * i) * 0.37f - 5000.0f;
        numbers[i] = i * 12345677;
        bytes[i] = (u8)(i * 37);
    }
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 256; i++)
            lanes[i] = lanes[i] * 0.9f + (float)numbers[i] / 65536.0f;
        for (int i = 0; i < 256; i++)
            numbers[i] += (int)lanes[i] ^ (numbers[i] << 3) ^ (int)((u32)numbers[i] >> 7);
        for (int i = 0; i < 256; i++)
            bytes[i] = (u8)(bytes[i] > 100 ? bytes[i] - round : bytes[i] + numbers[i]);
    }
    mix(lanes, sizeof lanes);
    mix(numbers, sizeof numbers);
    mix(bytes, sizeof bytes);
}

static void conversions(void)
{
    for (int i = -40; i < 80; i++) {
        long double x = (long double)third * (1ull << (i & 63)) * (i & 1 ? -1 : 1);
        double d = (double)x;
        float f = (float)x;
        long long l = (long long)x;
        int n = (int)(f / 1e10f);
        u64 u = (u64)(x < 0 ? -x : x);
        mix(&d, 8);
        mix(&f, 4);
        mix(&l, 8);
        mix(&n, 4);
        mix(&u, 8);
        x = (long double)l + (long double)n;
        mix(&x, 10);
    }
}

/* Every precision and rounding of the control word; FPREM to its end, FRNDINT, FSCALE, BCD. */
static void control_words(void)
{
    for (u16 cw = 0; cw < 16; cw++) {
        u16 word = (u16)(0x7f | cw << 8), normal = 0x37f, status;
        long double x = 1;
        u8 bcd[10];

        __asm__ volatile("fldcw %0" : : "m"(word));
        for (int i = 1; i < 200; i++) {
            long double y = (long double)one / i;
            x = x * 3 + y;
            x = x / 7 - y * y;
            __asm__ volatile("fsqrt" : "+t"(y));
            x += y;
        }
        mix(&x, 10);
        x *= 123456789;
        __asm__ volatile("frndint" : "+t"(x));
        __asm__ volatile("fld %%st; fbstp %0" : "=m"(bcd) : "t"(x));
        mix(bcd, 10);
        __asm__ volatile("fldt %1; fldt %2; 1: fprem1; fnstsw %%ax; testb $4, %%ah; jnz 1b; fnstsw %0; fstpt %1; fstp %%st"
                         : "=m"(status), "+m"(x) : "m"(*&(long double){2.718281828459045235L}) : "ax");
        mix(&x, 10);
        __asm__ volatile("fnclex; fldcw %0" : : "m"(normal));
    }
}

/* Only the bits that any correct processor gives. */
static void transcendental(void)
{
    for (int i = 1; i < 100; i++) {
        long double x = (long double)third * i / 64, r[6];
        u64 m;

        __asm__ volatile("fldt %1; fsin; fstpt %0" : "=m"(r[0]) : "m"(x));
        __asm__ volatile("fldt %1; fcos; fstpt %0" : "=m"(r[1]) : "m"(x));
        __asm__ volatile("fldt %1; fptan; fstp %%st; fstpt %0" : "=m"(r[2]) : "m"(x));
        __asm__ volatile("fldt %1; fld1; fpatan; fstpt %0" : "=m"(r[3]) : "m"(x));
        __asm__ volatile("fldt %1; f2xm1; fstpt %0" : "=m"(r[4]) : "m"(x));
        __asm__ volatile("fld1; fldt %1; fyl2x; fstpt %0" : "=m"(r[5]) : "m"(x));
        for (int k = 0; k < 6; k++) {
            memcpy(&m, &r[k], 8);
            m = (m + 0x8000) >> 16;
            mix(&m, 8);
        }
    }
}

/* State saved in the middle of a computation, clobbered, and restored. */
/* What is left in empty registers may be a sine's last bit. */
#define ZERO_ALL "fninit; fldz; fldz; fldz; fldz; fldz; fldz; fldz; fldz;"

static void saved_state(void)
{
    u8 image[108];
    long double x;

    __asm__ volatile(ZERO_ALL "fninit; fld1; fldpi; fldl2e; fadd %%st(1), %%st; fnsave %1; fninit; fldz; fldz; frstor %1;"
                     "fmulp; faddp; fstpt %0" : "=m"(x), "+m"(image));
    mix(&x, 10);
    mix(image + 28, 80);
    __asm__ volatile("fninit");
}

/* Numbers of 32 bits, or halves of 64, worth a look. */
static const u32 kinds[] = {0, 0x80000000, 1, 0x807fffff, 0x00800000, 0x3f800000, 0xbf800001, 0x40490fdb, 0x7f7fffff, 0x7f800000,
    0xff800000, 0x7fc12345, 0x7f812345, 0x4f000000, 0xcf000000, 0x4effffff, 0x3effffff, 0x00000000, 0x3ff00000, 0x7ff00000,
    0x7ff80000, 0xfff00001, 0x7fefffff, 0x000fffff, 0x41dfffff, 0xc1e00000, 0x43e00000, 0x380fffff, 0x47efffff, 0x36a00000};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* Every x87 instruction of arithmetic on operands of every kind, in each mode of rounding and precision, with all that it
 * leaves but addresses. */
struct extended {
    u64 significand;
    u16 exponent;
} __attribute__((packed));

static const struct extended extended_kinds[] = {
    {0, 0}, {0, 0x8000}, {1, 0}, {0x8000000000000000, 0}, {0x7fffffffffffffff, 0x8000}, {0x8000000000000000, 1},
    {0x8000000000000000, 0x3fff}, {0x8000000000000001, 0xbfff}, {0xc90fdaa22168c235, 0x4000}, {0xffffffffffffffff, 0x7ffe},
    {0x8000000000000000, 0x7fff}, {0x8000000000000000, 0xffff}, {0xc000000000000000, 0xffff}, {0xc000000000001234, 0x7fff},
    {0x8000000000001234, 0x7fff}, {0xa000000000000000, 0xffff}, {0x4000000000000000, 0x3fff}, {0, 0x7fff}, {1, 0x4000},
    {0x8000000000000000, 0x401e}, {0xffffffff80000000, 0x401d}, {0x8000000000000000, 0x403e}, {0xffffff8000000000, 0x407e},
    {0xfffffffffffffc00, 0x43fe}, {0x8000000000000000, 0x3c00}, {0x8000000000000000, 0x3f80}, {0xd555555555555555, 0x3ffd}};
#define EXTENDED_KINDS (sizeof extended_kinds / sizeof extended_kinds[0])

#define BY_NAME __attribute__((used)) static /* in assembly */
BY_NAME struct extended left, right;
BY_NAME u32 number[2]; /* an operand in memory, of any format */
BY_NAME u16 control;
BY_NAME u8 image[108];
BY_NAME u32 ax, compared;

#define X87(name, instructions) \
    static void x87_##name(void) \
    { \
        __asm__ volatile(ZERO_ALL "fninit\n fldcw control\n fldt right\n fldt left\n" instructions "\n fnsave image" \
                         : : : "eax", "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"); \
    }
#define X87_ARITHMETIC(name) \
    X87(name, "f" #name " %%st(1), %%st\n f" #name " %%st, %%st(1)\n f" #name " %%st, %%st\n f" #name "p %%st, %%st(1)") \
    X87(name##_m32, "f" #name "s number\n f" #name "s number") X87(name##_m64, "f" #name "l number\n f" #name "l number") \
    X87(name##_i16, "fi" #name "s number") X87(name##_i32, "fi" #name "l number")
#define X87_SIX(f) f(add) f(sub) f(subr) f(mul) f(div) f(divr)
X87_SIX(X87_ARITHMETIC)
X87(compare, "fcom %%st(1)\n fnstsw %%ax\n mov %%eax, ax\n fucom %%st(1)\n fcoms number\n fcoml number\n ficoms number\n ficoml number\n"
    "fnstsw %%ax\n mov %%ax, ax+2")
X87(compare_pop, "fcomp %%st(1)\n fld %%st\n fucomp %%st(1)\n fld %%st\n fcompp\n fld1\n fldz\n fucompp")
X87(compare_memory_pop, "fld %%st\n fcomps number\n fld %%st\n fcompl number\n fld %%st\n ficomps number\n ficompl number")
X87(one, "fchs\n fabs\n fsqrt\n frndint\n fxch %%st(1)\n frndint\n fsqrt\n fxch\n fst %%st(3)\n fstp %%st(1)")
X87(constants, "fld1\n fldl2t\n fldl2e\n fldpi\n fldlg2\n fldln2\n fldz") /* the last does not fit */
X87(loads, "flds number\n fldl number\n filds number\n fildl number\n fildll number\n fld %%st(2)\n fld %%st(7)")
X87(stores, "fsts number\n fstps number\n fstpl number+4\n fsts number")
X87(store_wide, "fstl number\n fstpl number\n fistpl number")
X87(store_integer, "fists number\n fistps number+2\n fistl number+4")
X87(store_integers, "fistl number\n fistpl number+4\n fistpll number")
X87(empties, "fstp %%st(4)\n fadd %%st(2), %%st\n fxch %%st(5)\n fmul %%st, %%st(1)\n fcom %%st(4)\n fstp %%st(0)\n fstp %%st(0)\n fstps number")
#ifndef __i486__
X87(compare_flags, "fcomi %%st(1), %%st\n pushf\n fucomi %%st(1), %%st\n pushf\n fcomip %%st(1), %%st\n ja 1f\n jp 2f\n"
    "incl compared\n 1: incl compared\n 2: incl compared\n fld %%st\n fucomip %%st(1), %%st\n pushf\n pop %%eax\n and $0x8d5, %%eax\n"
    "add %%eax, compared\n pop %%eax\n and $0x8d5, %%eax\n add %%eax, compared\n pop %%eax\n and $0x8d5, %%eax\n add %%eax, compared")
X87(moves, "fcmovb %%st(1), %%st\n fcmovne %%st(1), %%st")
#endif

#define X87_NAMES(name) x87_##name, x87_##name##_m32, x87_##name##_m64, x87_##name##_i16, x87_##name##_i32,
static void (*const x87_instructions[])(void) = {
    X87_SIX(X87_NAMES) x87_compare, x87_compare_pop, x87_compare_memory_pop, x87_one, x87_constants, x87_loads, x87_stores,
    x87_store_wide, x87_store_integer, x87_store_integers, x87_empties,
#ifndef __i486__
    x87_compare_flags, x87_moves,
#endif
};

static void every_x87_instruction(void)
{
    static const u16 controls[] = {0x37f, 0x77f, 0xb7f, 0xf7f, 0x27f, 0x07f, 0xe7f, 0x47f};
    u32 r = 1;

    for (unsigned i = 0; i < sizeof x87_instructions / sizeof x87_instructions[0]; i++) {
        hash = i;
        for (unsigned n = 0; n < 1500; n++) {
            r = r * 1664525 + 1013904223;
            left = extended_kinds[(r >> 8) % EXTENDED_KINDS];
            left.significand ^= n % 3 ? 0 : r >> 24;
            r = r * 1664525 + 1013904223;
            right = extended_kinds[(r >> 8) % EXTENDED_KINDS];
            for (unsigned k = 0; k < 2; k++) {
                r = r * 1664525 + 1013904223;
                number[k] = kinds[(r >> 8) % KINDS] ^ (n % 5 ? 0 : r >> 24);
            }
            control = controls[n & 7];
            compared = ax = 0;
            x87_instructions[i]();
            memset(image + 12, 0, 16); /* addresses */
            mix(image, sizeof image);
            mix(number, sizeof number);
            mix(&ax, sizeof ax);
            mix(&compared, sizeof compared);
        }
        report("x87 instruction", hash);
    }
}

#ifdef __SSE2__
/* Every SSE and SSE2 instruction of floating point on operands of every kind, with MXCSR before and after. */
typedef u32 lanes4[4] __attribute__((aligned(16)));

BY_NAME u32 mxcsr;
BY_NAME lanes4 first, second;

#define WITH(name, instruction) \
    static void do_##name(void) \
    { \
        __asm__ volatile("movaps second, %%xmm1\n movaps first, %%xmm0\n ldmxcsr mxcsr\n" instruction " %%xmm1, %%xmm0\n" \
                         "stmxcsr mxcsr\n movaps %%xmm0, first\n ldmxcsr mxcsr\n" instruction " second, %%xmm0\n" \
                         "stmxcsr mxcsr\n movaps %%xmm0, second" : : : "xmm0", "xmm1", "memory"); \
    }
#define EACH(name) WITH(name##ps, #name "ps") WITH(name##pd, #name "pd") WITH(name##ss, #name "ss") WITH(name##sd, #name "sd")
#define COMPARED(name) \
    static void do_##name(void) \
    { \
        __asm__ volatile("movaps second, %%xmm1\n movaps first, %%xmm0\n ldmxcsr mxcsr\n" #name " %%xmm1, %%xmm0\n" \
                         "pushf\n pop first\n andl $0x45, first\n stmxcsr mxcsr\n" #name " second, %%xmm0\n jp 1f\n ja 2f\n jb 3f\n" \
                         "incl first+4\n 1: incl first+4\n 2: incl first+4\n 3: incl first+4" \
                         : : : "xmm0", "xmm1", "memory", "cc"); \
    }
#define TO_INTEGER(name) \
    static void do_##name(void) \
    { \
        __asm__ volatile("movaps first, %%xmm0\n ldmxcsr mxcsr\n" #name " %%xmm0, %%eax\n mov %%eax, first\n" \
                         #name " second, %%eax\n mov %%eax, first+4\n stmxcsr mxcsr" : : : "eax", "xmm0", "memory"); \
    }
#define FROM_INTEGER(name) \
    static void do_##name(void) \
    { \
        __asm__ volatile("movaps first, %%xmm0\n ldmxcsr mxcsr\n mov second, %%eax\n" #name " %%eax, %%xmm0\n" \
                         "movaps %%xmm0, first\n" #name " second+4, %%xmm0\n movaps %%xmm0, second\n stmxcsr mxcsr" \
                         : : : "eax", "xmm0", "memory"); \
    }
EACH(add) EACH(sub) EACH(mul) EACH(div) EACH(min) EACH(max) EACH(sqrt)
EACH(cmpeq) EACH(cmplt) EACH(cmple) EACH(cmpunord) EACH(cmpneq) EACH(cmpnlt) EACH(cmpnle) EACH(cmpord)
WITH(cvtps2pd, "cvtps2pd") WITH(cvtpd2ps, "cvtpd2ps") WITH(cvtss2sd, "cvtss2sd") WITH(cvtsd2ss, "cvtsd2ss")
WITH(cvtdq2ps, "cvtdq2ps") WITH(cvtps2dq, "cvtps2dq") WITH(cvttps2dq, "cvttps2dq") WITH(cvtdq2pd, "cvtdq2pd")
WITH(cvtpd2dq, "cvtpd2dq") WITH(cvttpd2dq, "cvttpd2dq")
WITH(shufps, "shufps $0x6c,") WITH(shufpd, "shufpd $1,") WITH(unpcklps, "unpcklps") WITH(unpckhps, "unpckhps")
WITH(unpcklpd, "unpcklpd") WITH(unpckhpd, "unpckhpd")
COMPARED(comiss) COMPARED(comisd) COMPARED(ucomiss) COMPARED(ucomisd)
TO_INTEGER(cvtss2si) TO_INTEGER(cvtsd2si) TO_INTEGER(cvttss2si) TO_INTEGER(cvttsd2si)
FROM_INTEGER(cvtsi2ss) FROM_INTEGER(cvtsi2sd)

#define FOUR(name) do_##name##ps, do_##name##pd, do_##name##ss, do_##name##sd
static void (*const instructions[])(void) = {
    FOUR(add), FOUR(sub), FOUR(mul), FOUR(div), FOUR(min), FOUR(max), FOUR(sqrt), FOUR(cmpeq), FOUR(cmplt), FOUR(cmple),
    FOUR(cmpunord), FOUR(cmpneq), FOUR(cmpnlt), FOUR(cmpnle), FOUR(cmpord), do_cvtps2pd, do_cvtpd2ps, do_cvtss2sd, do_cvtsd2ss,
    do_cvtdq2ps, do_cvtps2dq, do_cvttps2dq, do_cvtdq2pd, do_cvtpd2dq, do_cvttpd2dq, do_shufps, do_shufpd, do_unpcklps,
    do_unpckhps, do_unpcklpd, do_unpckhpd, do_comiss, do_comisd, do_ucomiss, do_ucomisd, do_cvtss2si, do_cvtsd2si,
    do_cvttss2si, do_cvttsd2si, do_cvtsi2ss, do_cvtsi2sd};

static void every_instruction(void)
{
    static const u32 controls[] = {0x1f80, 0x3f80, 0x5f80, 0x7f80, 0x9fc0, 0x1fbf, 0x1fc0, 0x9f80};
    u32 r = 1;

    for (unsigned i = 0; i < sizeof instructions / sizeof instructions[0]; i++) {
        hash = i;
        for (unsigned n = 0; n < 1200; n++) {
            for (unsigned k = 0; k < 4; k++) {
                r = r * 1664525 + 1013904223;
                first[k] = kinds[(r >> 8) % KINDS] ^ (n % 3 ? 0 : r >> 20);
                r = r * 1664525 + 1013904223;
                second[k] = kinds[(r >> 8) % KINDS] ^ (n % 5 ? 0 : r >> 24);
            }
            mxcsr = controls[n & 7];
            instructions[i]();
            mix(first, sizeof first);
            mix(second, sizeof second);
            mix(&mxcsr, sizeof mxcsr);
        }
        report("SSE instruction", hash);
    }
    __asm__ volatile("ldmxcsr %0" : : "m"((u32){0x1f80}));
}
#endif

static void both(void)
{
    hash = 0xcbf29ce484222325u;
    gravity();
    report("gravity", hash);
    arrays();
    report("arrays", hash);
    conversions();
    report("conversions", hash);
    control_words();
    report("control words", hash);
    transcendental();
    report("transcendental", hash);
    saved_state();
    report("saved state", hash);
    every_x87_instruction();
#ifdef __SSE2__
    every_instruction();
#endif
}

/* ---- faults ---- */

#ifdef NATIVE

static const char faults[] =
    "divide by zero: none at once\n"
    "next x87 instruction: 16\n"
    "integer instruction: none at once\n"
    "fwait: 16\n"
    "TS: 7\n"
    "fwait with TS and MP: 7\n"
    "EM: 7\n"
    "FERR: interrupt 13\n"
#ifdef __SSE__
    "SSE with EM: 6\n"
    "misaligned: 13\n"
    "reserved MXCSR: 13\n"
    "SSE divide by zero: 19\n"
    "without OSXMMEXCPT: 6\n"
    "without OSFXSR: 6\n"
#endif
    "end\n";

void _start(void)
{
    both();
    print(faults);
    __asm__ volatile("int $0x80" : : "a"(1), "b"(0));
}

#else

struct gate {
    u16 low, selector, attributes, high;
};
static struct gate idt[256] __attribute__((aligned(8)));
static const u64 gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
extern u8 stubs[][16];
static volatile u32 vector; /* of the last exception or interrupt; 0: none */
static volatile u32 resume; /* where it returns to */

/* All vectors: note the number, and return to `resume`, or for an interrupt to where it was. */
void caught(u32 n, u32 *frame);
void caught(u32 n, u32 *frame)
{
    vector = n;
    if (n >= 32) {
        outb(0xf0, 0);
        __asm__ volatile("fnclex");
        outb(0xa0, 0x20);
        outb(0x20, 0x20);
        return;
    }
    /* an error code lies below the return address */
    if (n == 13)
        frame++;
    frame[0] = resume;
}

__asm__(".text\n.globl stubs\nstubs:\n"
        ".set n, 0\n.rept 48\n.balign 16\n push $n\n jmp common\n.set n, n + 1\n.endr\n"
        "common:\n pusha\n lea 36(%esp), %eax\n push %eax\n push 36(%esp)\n call caught\n add $8, %esp\n popa\n"
        " cmpl $13, (%esp)\n lea 4(%esp), %esp\n jne 1f\n add $4, %esp\n1: iret\n"
        ".section .multiboot, \"a\"\n.balign 4\n.long 0x1badb002, 0, -0x1badb002\n"
        ".text\n.globl _start\n_start:\n cli\n mov $0x90000, %esp\n"
        " mov %cr0, %eax\n and $0xfffffff3, %eax\n or $0x22, %eax\n mov %eax, %cr0\n fninit\n"
#ifdef __SSE__
        " mov $0x600, %eax\n mov %eax, %cr4\n" /* the compiler may use it anywhere */
#endif
        " call start\n");

static u32 get_cr0(void)
{
    u32 v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}
static void set_cr0(u32 v) { __asm__ volatile("mov %0, %%cr0" : : "r"(v)); }
static void set_cr4(u32 v) { __asm__ volatile("mov %0, %%cr4" : : "r"(v)); }

static void outcome(const char *name)
{
    print(name);
    if (vector == 0)
        print("none at once");
    else if (vector >= 32) {
        print("interrupt ");
        put((char)('0' + (vector - 32) / 10));
        put((char)('0' + (vector - 32) % 10));
    } else {
        if (vector >= 10)
            put((char)('0' + vector / 10));
        put((char)('0' + vector % 10));
    }
    put('\n');
}

#define ATTEMPT(name, code) \
    do { \
        vector = 0; \
        __asm__ volatile("movl $9f, %0\n" code "\n9:" : "=m"(resume) : : "memory", "eax"); \
        outcome(name); \
    } while (0)

#define NE 0x20u
#define TS 0x08u
#define EM 0x04u
#define MP 0x02u

static const u16 no_divide_mask = 0x37b;
#ifdef __SSE__
static const u32 mxcsr_reserved = 0x10000, mxcsr_divide = 0x1d80, mxcsr_normal = 0x1f80;
static const float float_one __attribute__((used)) = 1;
#endif

static void x87_faults(void)
{
    __asm__ volatile("fninit; fldcw %0; fldz; fld1" : : "m"(no_divide_mask));
    ATTEMPT("divide by zero: ", "fdiv %%st(1), %%st");
    ATTEMPT("next x87 instruction: ", "fld1");
    ATTEMPT("integer instruction: ", "incl %%eax");
    ATTEMPT("fwait: ", "fwait");
    __asm__ volatile("fninit");
    set_cr0(get_cr0() | TS);
    ATTEMPT("TS: ", "fld1");
    ATTEMPT("fwait with TS and MP: ", "fwait");
    set_cr0((get_cr0() & ~TS) | EM);
    ATTEMPT("EM: ", "fld1");
    set_cr0(get_cr0() & ~(EM | NE));
    __asm__ volatile("sti");
    ATTEMPT("FERR: ", "fldcw no_divide_mask_\nfldz\nfld1\nfdiv %%st(1), %%st\nnop");
    __asm__ volatile("cli; fninit");
    set_cr0(get_cr0() | NE);
}
__asm__(".data\nno_divide_mask_: .word 0x37b\n.text");

#ifdef __SSE__
static void sse_faults(void)
{
    set_cr0(get_cr0() | EM);
    ATTEMPT("SSE with EM: ", "xorps %%xmm0, %%xmm0");
    set_cr0(get_cr0() & ~EM);
    ATTEMPT("misaligned: ", "movaps stubs + 4, %%xmm0");
    vector = 0;
    __asm__ volatile("movl $9f, %0\n ldmxcsr %1\n9:" : "=m"(resume) : "m"(mxcsr_reserved));
    outcome("reserved MXCSR: ");
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr_divide));
    ATTEMPT("SSE divide by zero: ", "xorps %%xmm0, %%xmm0\n movss float_one, %%xmm1\n divss %%xmm0, %%xmm1");
    set_cr4(0x200);
    ATTEMPT("without OSXMMEXCPT: ", "divss %%xmm0, %%xmm1");
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr_normal));
    set_cr4(0);
    ATTEMPT("without OSFXSR: ", "xorps %%xmm0, %%xmm0");
}
#endif

static void set_pic(void)
{
    static const u16 words[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28}, {0x21, 4}, {0xa1, 2},
                                   {0x21, 1}, {0xa1, 1}, {0x21, 0xfb}, {0xa1, 0xdf}};

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        outb(words[i][0], (u8)words[i][1]);
}

void start(void);
void start(void)
{
    struct { u16 limit; u32 base; } __attribute__((packed)) dtr = {sizeof gdt - 1, (u32)gdt};

    __asm__ volatile("lgdt %0; ljmp $8, $1f; 1: mov %1, %%ds; mov %1, %%es; mov %1, %%ss" : : "m"(dtr), "r"(16));
    for (unsigned i = 0; i < 48; i++) {
        u32 at = (u32)stubs[i];
        idt[i] = (struct gate){(u16)at, 8, 0x8e00, (u16)(at >> 16)};
    }
    dtr.limit = sizeof idt - 1;
    dtr.base = (u32)idt;
    __asm__ volatile("lidt %0" : : "m"(dtr));
    set_pic();
    both();
    x87_faults();
#ifdef __SSE__
    sse_faults();
#endif
    print("end\n");
    outb(0xf4, 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}

#endif
