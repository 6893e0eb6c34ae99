/*
 * A guest for differential tests of the system side in long mode: random cases of segment loads, far transfers, gates with
 * and without interrupt stacks, returns, SYSCALL and SYSRET, bases, system registers, and page protection, from 64-bit and from
 * compatibility mode, each reported on the debug console (port E9h) as one line. Two emulators that agree print the same.
 *
 * Every exception has a gate with an interrupt stack of its own, so a case ends there whatever its stack was; the handler
 * prints the frame, prepares the next case in it, and returns by IRET. Low memory is full of INT3: a transfer that
 * succeeds ends the case where it lands.
 *
 * Built freestanding as 64-bit code in an ELF file of 32 bits, loaded by Multiboot. -DCASES, -DSEED: how many, which. -DLA57: five
 * levels of page tables.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef CASES
#define CASES 4000
#endif
#ifndef SEED
#define SEED 1
#endif

enum {
    KCODE = 0x08, KDATA = 0x10, UCODE32 = 0x1b, UDATA = 0x23, UCODE = 0x2b, KCODE32 = 0x30, TSS_SEL = 0x40, LDT_SEL = 0x50,
    FIRST_RANDOM = 12, NRANDOM = 24, GDT_ENTRIES = FIRST_RANDOM + NRANDOM + 1,
    KTEXT = 0x20000, UTEXT = 0x30000, KSTACK = 0x58000, USTACK = 0x68000, DATA = 0x78000, LOW_END = 0x9f000,
    STACKS = 0x50000, /* RSP0..2, IST2...: pages of their own */
    KIND_COUNT = 21,
};
/* With five levels of tables, too: a frame that reaches into an absent page is partly written by some, and pushed by the
 * supervisor whatever the new level. */
#define NOT_CANONICAL(...) PICK(0x8000000000000000, 0x100000000000010, __VA_ARGS__)
#define MIRROR 0xffff800000000000ull
#ifdef LA57
#define ROOT   pml5
#define LEVELS 0x1000ull /* CR4.LA57 */
#define UNUSED_BITS 7
#define PAGED  0x1000000000000ull
#else
#define ROOT   pml4
#define LEVELS 0ull
#define UNUSED_BITS 16
#define PAGED  0x8000000000ull
#endif

struct tss { u32 reserved; u64 rsp[3]; u64 reserved1; u64 ist[8]; u16 reserved2[3], io_map; } __attribute__((packed));
struct frame { u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax, vector, error, rip, cs, rflags, rsp, ss; };

static struct { u32 lo, hi; } gdt[GDT_ENTRIES] __attribute__((aligned(16))), ldt[8] __attribute__((aligned(16)));
static struct { u32 word[4]; } idt[256] __attribute__((aligned(16)));
static struct tss tss_main __attribute__((aligned(16))), tss_other[4] __attribute__((aligned(16)));
u8 ist1[16384] __attribute__((aligned(16)));
/* Tables: one to one, and those of PAGED. */
u64 pml5[512] __attribute__((aligned(4096))), pml4[512] __attribute__((aligned(4096))), low_pdpt[512] __attribute__((aligned(4096))),
    low_pd[512] __attribute__((aligned(4096))), low_pt[512] __attribute__((aligned(4096)));
static u64 test_pml4[512] __attribute__((aligned(4096), unused)), test_pdpt[512] __attribute__((aligned(4096))),
    test_pd[512] __attribute__((aligned(4096))), test_pt[512] __attribute__((aligned(4096)));
/* The entries for PAGED, from the root's to the page's. */
static u64 *const path[] = {
#ifdef LA57
    &pml5[1], &test_pml4[0],
#else
    &pml4[1],
#endif
    &test_pdpt[0], &test_pd[0], &test_pt[0],
};
enum { DEPTH = sizeof path / sizeof path[0] };

static u32 number, kind, rng = SEED, compat, level;
static u32 seg_selector;
static u64 cr0, cr4;
u64 seen_cr4;

/* ---- output ---- */

static void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static void put(char c) { outb(0xe9, (u8)c); }

static void hex(u64 v)
{
    int digits = 1;

    while (digits < 16 && v >> (4 * digits))
        digits++;
    while (digits--)
        put("0123456789abcdef"[v >> (4 * digits) & 15]);
    put(' ');
}

/* ---- random ---- */

static u32 rnd(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 17;
    rng ^= rng << 5;
    return rng;
}

static u32 below(u32 n) { return (rnd() >> 8) % n; }

#define PICK(...) \
    ({ static const u64 list_[] = {__VA_ARGS__}; list_[below(sizeof list_ / sizeof list_[0])]; })

/* ---- registers ---- */

static void wrmsr(u32 n, u64 v) { __asm__ volatile("wrmsr" : : "c"(n), "a"((u32)v), "d"((u32)(v >> 32))); }
static u64 rdmsr(u32 n)
{
    u32 lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
    return lo | (u64)hi << 32;
}
enum { EFER = 0xc0000080u, STAR, LSTAR, CSTAR, SFMASK, FS_BASE = 0xc0000100u, GS_BASE, KERNEL_GS_BASE };

/* ---- tables ---- */

static void set_descriptor(u32 i, u64 base, u32 limit, u32 type, u32 flags)
{
    gdt[i].lo = (u32)base << 16 | (limit & 0xffff);
    gdt[i].hi = ((u32)base & 0xff000000) | flags << 20 | (limit & 0xf0000) | type << 8 | ((u32)base >> 16 & 0xff);
}

static void set_gate(u32 *w, u32 selector, u64 offset, u32 type, u32 ist)
{
    w[0] = selector << 16 | ((u32)offset & 0xffff);
    w[1] = ((u32)offset & 0xffff0000) | type << 8 | ist;
    w[2] = (u32)(offset >> 32);
    w[3] = 0;
}

static u32 random_selector(void)
{
    u32 index = below(8) ? FIRST_RANDOM + below(NRANDOM) : below(FIRST_RANDOM + NRANDOM + 2);

    if (!below(12))
        return below(10) << 3 | 4 | below(4);
    return index << 3 | below(4);
}

static u64 random_offset(void)
{
    u64 v = PICK(0x44000, 0x45000, 0x2000, 0x3456, 0x4000, 0x6000); /* nowhere near the stacks, whatever the base */

    /* Targets that are not canonical: makers differ. */
    return below(5) ? v : PICK(0x100044000, MIRROR + 0x44000, MIRROR + 0x3456);
}

static void random_segment(u32 *lo, u32 *hi)
{
    u32 base = (u32)PICK(0, 0, 0, 0x1000, 0x40000), type = (below(8) ? 0x80 : 0) | below(4) << 5 | 0x10 | below(16);
    u32 flags = 8 | (below(3) ? 2 : 4) | below(2);

    if (!below(8)) /* both L and D: reserved, and not refused by everybody */
        flags = 8 | below(6);
    *lo = base << 16 | 0xffff;
    *hi = (base & 0xff000000) | flags << 20 | 0xf0000 | type << 8 | (base >> 16 & 0xff);
}

static void random_gate(u32 *w, u32 type)
{
    u32 code = below(2) ? (u32)PICK(KCODE, UCODE, KCODE32, UCODE32, KCODE, KCODE) : random_selector();

    set_gate(w, code, random_offset(), (below(8) ? 0x80 : 0) | below(4) << 5 | type, type == 12 ? 0 : below(8) == 1 ? 2 : below(8));
    if ((w[1] & 7) == 1)
        w[1] += 1; /* the first is the handlers' */
    if (type == 12 && !below(8))
        w[3] = (u32)PICK(0x100, 0xc00, 0x1f00, 0xff); /* reserved, but for the low byte */
}

static void random_system(u32 i)
{
    u32 present = below(8) ? 0x80 : 0, dpl = below(4) << 5, upper = below(8) ? 0 : 0x8000, which = below(8);

    if (which < 3) {
        u32 w[4];

        random_gate(w, 12);
        gdt[i].lo = w[0];
        gdt[i].hi = w[1];
        gdt[i + 1].lo = w[2];
        gdt[i + 1].hi = w[3];
        return;
    }
    if (which < 5)
        set_descriptor(i, (u64)&tss_other[below(4)], below(6) ? 0x67 : 0xfff, present | dpl | (u32)PICK(9, 9, 9, 11), 0);
    else if (which < 7)
        set_descriptor(i, (u64)ldt, 0x3f, present | dpl | 2, 0);
    else
        set_descriptor(i, below(0x10000), 0xffff, present | dpl | (u32)PICK(0, 6, 7, 8, 10, 13, 14, 15), 0);
    gdt[i + 1].lo = upper;
    gdt[i + 1].hi = below(8) ? 0 : (u32)PICK(0xd00, 0x1f00, 0xff, 0xe000);
}

static void make_tss(struct tss *t)
{
    for (u32 i = 0; i < 3; i++)
        t->rsp[i] = STACKS + 0x1000 * i + 0xff0 + below(16);
    t->ist[0] = (u64)(ist1 + sizeof ist1);
    for (u32 i = 1; i < 7; i++)
        t->ist[i] = below(8) ? STACKS + 0x3800 + 0x200 * i : NOT_CANONICAL(MIRROR + STACKS + 0x800);
    t->io_map = 0x68;
}

static void random_tables(void)
{
    for (u32 i = FIRST_RANDOM; i < FIRST_RANDOM + NRANDOM; i++) {
        if (below(3) || i + 1 == FIRST_RANDOM + NRANDOM) {
            random_segment(&gdt[i].lo, &gdt[i].hi);
        } else {
            random_system(i);
            i++;
        }
    }
    for (u32 i = 0; i < 8; i++)
        random_segment(&ldt[i].lo, &ldt[i].hi);
    for (u32 v = 0x90; v < 0xa0; v++)
        random_gate(idt[v].word, (u32)PICK(5, 6, 7, 14, 14, 14, 14, 15, 15, 12));
}

/* ---- cases ---- */

static u8 *code;
static struct frame *f;

static void emit(u32 n, u64 bytes)
{
    while (n--) {
        *code++ = (u8)bytes;
        bytes >>= 8;
    }
}

static void push(u64 v)
{
    u32 size = compat ? 4 : 8;

    f->rsp -= size;
    if (size == 4)
        *(u32 *)f->rsp = (u32)v;
    else
        *(u64 *)f->rsp = v;
}

/* Operand sizes: by default, with 66, with REX.W. */
static u32 far_prefix(void)
{
    u32 which = below(compat ? 4 : 8);

    if (which == 0) {
        emit(1, 0x66);
        return 2;
    }
    if (!compat && which > 3) {
        emit(1, 0x48);
        return 8;
    }
    return 4;
}

/* Does the case's selector name 64-bit code? To other code an offset of 64 bits is not refused everywhere. */
static u32 names_long(void)
{
    return ((seg_selector & 4 ? ldt[seg_selector >> 3].hi : gdt[seg_selector >> 3].hi) & 0x201800) == 0x201800;
}

static void case_far(u32 digit, u32 direct)
{
    u64 offset = random_offset() & (names_long() ? ~0ull : 0xffffffff);
    u32 size;

    if (compat && below(2)) {
        size = below(4) ? 4 : 2;
        if (size == 2)
            emit(1, 0x66);
        emit(1, direct);
        emit(size, offset);
        emit(2, seg_selector);
        return;
    }
    size = far_prefix();
    emit(2, 0x2cff & 0xff); /* ff /n [disp32] */
    code--;
    emit(1, compat ? 0x05 | digit << 3 : 0x04 | digit << 3);
    if (!compat)
        emit(1, 0x25);
    emit(4, DATA);
    for (u32 i = 0; i < size; i++)
        ((u8 *)DATA)[i] = (u8)(offset >> (8 * i));
    *(u16 *)(u64)(DATA + size) = (u16)seg_selector;
}

static void push_sized(u32 size, u64 v)
{
    f->rsp -= size;
    for (u32 i = 0; i < size; i++)
        ((u8 *)f->rsp)[i] = (u8)(v >> (8 * i));
}

static void case_return(u32 iret)
{
    u32 size = far_prefix(), flags = (rnd() & 0x240ed5 & ~0x100u) | 2, ss = below(3) ? (UDATA & ~3u) | (seg_selector & 3) : random_selector();
    u64 rsp = below(6) ? (compat || below(2) ? USTACK : USTACK - 8) : PICK(0x800000000000, 0xffffffffffff8000, 0x1234567890);
    u32 extra = 0;

    if (!below(4))
        ss = (u32)PICK(KDATA, 0, UDATA);
    if (ss < 4) /* SDM 3A 6.15: of another level, or to other than 64-bit code #GP; not everywhere */
        ss = names_long() ? seg_selector & 3 : UDATA;
    if (!iret && below(3) == 0)
        extra = 8 * below(3);
    push_sized(size, ss);
    push_sized(size, rsp);
    f->rsp -= extra;
    if (iret)
        push_sized(size, flags);
    push_sized(size, seg_selector);
    push_sized(size, random_offset() & (names_long() ? ~0ull : 0xffffffff));
    if (iret) {
        emit(1, 0xcf);
    } else if (extra) {
        emit(1, 0xca);
        emit(2, extra);
    } else {
        emit(1, 0xcb);
    }
}

static void mov_selector(void)
{
    emit(1, 0xb8);
    emit(4, seg_selector | (below(8) ? 0 : rnd() << 16));
}

static void case_syscall(void)
{
    u64 star = (u64)(rnd() & 0xffff) << 48 | (u64)(rnd() & 0xffff) << 32 | (rnd() & 0xffff);

    if (below(4))
        star = (u64)PICK(0x1b, 0x18) << 48 | (u64)KCODE << 32 | 0x2000;
    wrmsr(STAR, star);
    wrmsr(LSTAR, PICK(0x2000, 0x44000, MIRROR + 0x44000));
    wrmsr(CSTAR, PICK(0x3456, 0x45000, MIRROR + 0x45000));
    wrmsr(SFMASK, rnd() & 0xffff);
    if (!below(4))
        wrmsr(EFER, rdmsr(EFER) & ~1ull);
    if (below(2)) {
        emit(2, 0x050f);
    } else {
        f->rcx = random_offset() & (below(4) ? 0xffffffff : ~0ull);
        if (f->rcx >> 47 && f->rcx >> 47 != 0x1ffff)
            f->rcx = 0x44000; /* makers differ */
        f->r11 = rnd() & 0x240ed5 & ~0x100u;
        if (!compat && below(2))
            emit(1, 0x48);
        else
            f->rcx &= 0xffffffff;
        emit(2, 0x070f);
    }
}

static void case_page(void)
{
    u64 offset = PICK(0, 8, 0xffc, 0x7f0), address = PAGED + offset;
    u64 bits = below(6) ? 0 : PICK(1ull << 51, 1ull << 45, 1ull << 52, 1ull << 62, 0x80);
    u32 where = below(DEPTH), nx = !below(4), large = below(3) ? 0 : 1 + below(2), leaf = DEPTH - 1 - large;

    for (u32 i = 0; i < DEPTH; i++) {
        *path[i] = (i + 1 < DEPTH ? (u64)path[i + 1] : DATA) | (rnd() & 0x66) | 6 * (below(3) != 0) | (below(10) ? 1 : 0);
        if (large && i == leaf) { /* memory from 0; PAT, G, and what is reserved in the address */
            *path[i] = (*path[i] & 0xfff) | 0x80 | (rnd() & 0x1100) | (below(6) ? 0 : PICK(0x2000, 0x40000, 0x100000, 1ull << 29));
            address += DATA;
        }
        if (i == where)
            *path[i] |= bits | (u64)nx << 63;
    }
    if (large == 1)
        *path[leaf] &= ~(1ull << 29);
    *path[leaf] |= (u64)(rnd() & 15) << 59;
    cr0 = (cr0 & ~0x10000ull) | below(2) << 16;
    cr4 |= (u64)below(2) << 20 | (u64)below(2) << 21 | (u64)below(2) << 22;
    if (below(3) == 0)
        wrmsr(EFER, rdmsr(EFER) & ~0x800ull);
    if (cr4 >> 22 & 1) {
        u32 pkru = rnd() & rnd();

        __asm__ volatile("mov %0, %%cr4; wrpkru" : : "r"(cr4 & ~0x300000ull), "a"(pkru), "c"(0), "d"(0));
    }
    f->rflags |= (u64)below(2) << 18;
    f->rdi = address;
    switch (below(3)) {
    case 0: emit(2, 0x078b); break; /* mov eax, [rdi] */
    case 1: emit(2, 0x0789); break; /* mov [rdi], eax */
    default: emit(2, 0xe7ff); break; /* jmp rdi */
    }
    *(u64 *)(DATA + offset) = 0xccccccccccccccccull;
}

/* An access where RBX or RSP says. QEMU takes a branch to an address that is not canonical, and faults there: processors do not. */
static void case_canonical(void)
{
    static const u32 list[][2] = {{3, 0x038b48}, {3, 0x038948}, {1, 0x50}, {1, 0x58}, {2, 0x23ff}, {2, 0xe3ff}, {2, 0xd3ff}, {4, 0x24048b48},
        {4, 0x24448b48}, {1, 0xc3}, {2, 0x006a}, {4, 0x000001c8}, {1, 0xc9}, {3, 0x45848b}, {2, 0xa548}, {4, 0x03b10f48}, {3, 0x306548}};
    u32 n = below(13);
    u64 v = below(2) ? PICK(0x800000000000, 0x7ffffffffffc, 0xffff7ffffffffffc, 0xffff800000078000, 0x8000000000000000, 0x7fffffffffffffff, DATA) :
        PICK(0x100000000000000, 0xfffffffffffffc, 0xfefffffffffffffc, 0xff00000000078000, 0xffffffffffffff, 0x1ffffffffffffff);

    if ((n == 5 || n == 6) && (u64)((long long)(v << UNUSED_BITS) >> UNUSED_BITS) != v)
        v = DATA;
    if (n == 4 || n == 9)
        *(u64 *)DATA = *(u64 *)f->rsp = DATA;
    f->rbx = f->rbp = v;
    if (below(2) && (n != 9 || v >> 63))
        f->rsp = v;
    emit(list[n][0], list[n][1]);
    if (n == 8)
        emit(1, 8);
}

static void case_system_register(void)
{
    static const u32 cr[] = {0, 3, 4, 8};
    u32 which = below(6);
    u64 v;

    if (which < 2) {
        u32 n = cr[below(compat ? 3 : 4)];

        v = n == 0 ? cr0 ^ (below(3) ? PICK(1, 2, 4, 8, 0x10, 0x20, 0x10000, 0x40000, 0x40000000) : 0) : n == 3 ? (u64)ROOT | below(4) << 3 :
            n == 4 ? cr4 ^ PICK(1, 2, 4, 8, 0x10, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x10000, 0x100000, 0x200000, 0x400000) : below(16);
        /* CR4.LA57 and the upper half of CR0 stay: not everybody refuses to change them. */
        if (n == 0)
            v |= 0x80000001; /* not out of long mode */
        f->rax = v;
        emit(compat ? 2 : 3, compat ? 0x220f : n == 8 ? 0x220f44 : 0x220f40);
        emit(1, 0xc0 | (n & 7) << 3);
    } else if (which == 2) {
        f->rax = rnd(); /* the upper half of DR6 and DR7 is reserved; not everywhere */
        emit(2, 0x230f);
        emit(1, 0xc0 | PICK(0, 1, 6) << 3);
    } else {
        v = PICK(0x1000, 0xffff800000000000, 0x7fffffffffff); /* that others are refused is not known everywhere */
        f->rcx = PICK(FS_BASE, GS_BASE, KERNEL_GS_BASE, LSTAR, CSTAR, 0x175, 0x176);
        f->rax = v & 0xffffffff;
        f->rdx = v >> 32;
        emit(2, 0x300f);
    }
}

static void case_base(void)
{
    static const u32 list[][2] = {{5, 0}, {3, 0xf8010f}};
    u64 v = PICK(0x1000, 0xffff800000000000, 0x7fffffffffff); /* likewise */
    u32 n = below(4);

    cr4 |= below(3) ? 0x10000 : 0;
    f->rax = v;
    if (n < 3) { /* rdfsbase... wrgsbase */
        emit(1, 0xf3);
        if (below(2) && !compat)
            emit(1, 0x48);
        emit(2, 0xae0f);
        emit(1, 0xc0 | below(4) << 3);
    } else {
        emit(list[1][0], list[1][1]);
    }
}

/* What UMIP keeps from level 3. */
static void case_store(void)
{
    static const u32 list[][2] = {{3, 0xc0000f}, {3, 0xc8000f}, {3, 0xe0010f}, {3, 0x07010f}, {3, 0x0f010f}, {3, 0x00000f}, {3, 0x27010f}};
    u32 n = below(7);

    cr4 |= (u64)below(2) << 11;
    f->rdi = f->rax = DATA;
    emit(list[n][0], list[n][1]);
}

static void segments(u32 selector)
{
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(selector));
}

static void next_case(void)
{
    u64 *g = (u64 *)f;

    number++;
    kind = below(KIND_COUNT);
    level = below(2) * 3;
    compat = below(3) == 0;
    code = (u8 *)(u64)(level ? UTEXT : KTEXT);
    for (u32 i = 0; i < 64; i++)
        code[i] = 0xcc;
    for (u64 a = STACKS; a < USTACK + 0x1000; a += 8)
        *(u64 *)a = a >= STACKS + 0x6000 && (a & 0xffff) < 0x4000 ? 0xccccccccccccccccull : 0;
    for (u32 i = 0; i < 4; i++)
        make_tss(&tss_other[i]);
    make_tss(&tss_main);
    random_tables();
    seg_selector = random_selector();
    *path[0] = 0;
    for (u32 i = 0; i < 15; i++)
        g[i] = 0x1000 + i;
    f->cs = compat ? (level ? UCODE32 : KCODE32) : level ? UCODE : KCODE;
    f->ss = level ? UDATA : KDATA;
    f->rip = (u64)code;
    f->rsp = level ? USTACK : KSTACK;
    f->rflags = 2;
    cr0 = 0x80010033;
    cr4 = 0x630 | LEVELS;
    wrmsr(EFER, 0xd01);
    *(u64 *)DATA = *(u64 *)(DATA + 8) = 0xccccccccccccccccull;
    segments(UDATA);
    wrmsr(FS_BASE, 0x111000);
    wrmsr(GS_BASE, MIRROR + 0x222000);
    wrmsr(KERNEL_GS_BASE, 0x333000);
    set_descriptor(TSS_SEL >> 3, (u64)&tss_main, 0x67, 0x89, 0);
    gdt[(TSS_SEL >> 3) + 1].lo = gdt[(TSS_SEL >> 3) + 1].hi = 0;
    set_descriptor(LDT_SEL >> 3, (u64)ldt, 0x3f, 0x82, 0);
    gdt[(LDT_SEL >> 3) + 1].lo = gdt[(LDT_SEL >> 3) + 1].hi = 0;
    __asm__ volatile("ltr %w0; lldt %w1" : : "r"(TSS_SEL), "r"(below(3) ? LDT_SEL : 0));
    switch (kind) {
    case 0: case 1:
        mov_selector();
        emit(1, 0x8e);
        emit(1, PICK(0xc0, 0xd0, 0xd8, 0xe0, 0xe8));
        break;
    case 2: /* lar, lsl */
        mov_selector();
        if (!below(3))
            emit(1, 0x66);
        else if (!compat && !below(3))
            emit(1, 0x48);
        emit(1, 0x0f);
        emit(1, 2 + below(2));
        emit(1, 0xd8);
        break;
    case 3: /* verr, verw */
        mov_selector();
        emit(2, 0x000f);
        emit(1, below(2) ? 0xe0 : 0xe8);
        break;
    case 4: case 5: case_far(5, 0xea); break;
    case 6: case 7: case_far(3, 0x9a); break;
    case 8: case_return(0); break;
    case 9: case 10: case_return(1); break;
    case 11: case 12:
        emit(1, 0xcd);
        emit(1, 0x90 + below(16));
        break;
    case 13:
        if (seg_selector < 4) /* LTR of none is not refused everywhere */
            seg_selector = TSS_SEL;
        mov_selector();
        emit(2, 0x000f); /* lldt, ltr; LLDT does not look at the upper half everywhere */
        emit(1, below(2) && !gdt[(seg_selector >> 3) + 1].hi && !gdt[(seg_selector >> 3) + 1].lo ? 0xd0 : 0xd8);
        break;
    case 14: case_syscall(); break;
    case 15: case 16:
        compat = 0;
        f->cs = level ? UCODE : KCODE;
        case_page();
        break;
    case 17:
        compat = 0;
        f->cs = level ? UCODE : KCODE;
        case_canonical();
        break;
    case 18: case_system_register(); break;
    case 19: case_base(); break;
    case 20: case_store(); break;
    }
    if (compat)
        for (u32 i = 0; i < 15; i++)
            g[i] &= 0xffffffff;
    __asm__ volatile("mov %0, %%cr0; mov %1, %%cr4" : : "r"(cr0), "r"(cr4));
}

/* ---- reports ---- */

static void mark_accessed(void)
{
    for (u32 i = FIRST_RANDOM; i < FIRST_RANDOM + NRANDOM; i++)
        if (gdt[i].hi & 0x1000)
            gdt[i].hi |= 0x100;
    for (u32 i = 0; i < 8; i++)
        ldt[i].hi |= 0x100;
}

static u32 sum(const void *p, u32 bytes)
{
    const u32 *w = p;
    u32 s = 0;

    for (u32 i = 0; i < bytes / 4; i++)
        s = (s << 5 | s >> 27) ^ w[i];
    return s;
}

static void report(void)
{
    u64 cr2, now0, now8;
    u16 ds, es, fs, gs, tr, ldtr;

    __asm__ volatile("mov %%cr2, %0; mov %%cr0, %1; mov %%cr8, %2" : "=r"(cr2), "=r"(now0), "=r"(now8));
    __asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3; str %4; sldt %5"
                     : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs), "=r"(tr), "=r"(ldtr));
    mark_accessed();
    if (kind == 17 && f->vector == 12)
        f->vector = 13; /* an address that is not canonical, of the stack (SDM 3A 6.15): not everywhere */
    if (f->vector == 14 && f->error & 8)
        f->error |= 1; /* SDM 3A 4.7: RSVD comes with P; not everywhere */
    if (f->error & 2 && f->error >= 0x800)
        f->error = (f->error & ~7ull) / 2 | (f->error & 7); /* of vector n, which is 80h at least: n * 8 (SDM 2A, INT); older QEMUs: n * 16 */
    /* Code that is not present and not of 64 bits: either comes first. */
    if ((kind == 11 || kind == 12) && f->vector == 11 && (f->error & ~7ull) != (f->error & 2 ? f->error & ~7ull : 0))
        f->vector = 13;
    if (compat) /* the upper halves are undefined after compatibility mode */
        for (u32 i = 7; i < 15; i++)
            ((u64 *)f)[i] &= 0xffffffff;
    hex(number);
    hex(kind);
    hex(level | compat << 4);
    hex(seg_selector);
    put(':');
    hex(f->vector);
    hex(f->error);
    if (f->vector == 14)
        hex(cr2);
    for (u32 i = 0; i < 15; i++)
        hex(((u64 *)f)[i]);
    put('=');
    hex(f->rip);
    hex(f->cs);
    hex(f->rflags & ~0x10000ull);
    hex(f->rsp);
    hex(f->ss);
    put('|');
    hex(ds);
    hex(es);
    hex(fs);
    hex(gs);
    hex(tr);
    hex(ldtr);
    hex(rdmsr(FS_BASE));
    hex(rdmsr(GS_BASE));
    hex(rdmsr(KERNEL_GS_BASE));
    hex(rdmsr(LSTAR));
    put('|');
    hex(now0);
    hex(seen_cr4);
    hex(now8);
    hex(sum(&gdt[FIRST_RANDOM], NRANDOM * 8));
    hex(sum(ldt, sizeof ldt));
    hex(sum((void *)STACKS, 0x6000));
    hex(sum((void *)(KSTACK - 0x200), 0x200));
    hex(sum((void *)(USTACK - 0x200), 0x200));
    hex(sum((void *)DATA, 16));
    if (kind == 15 || kind == 16) {
        u64 a = f->vector == 14 ? 0x20 : 0; /* A after a fault: implementation's choice */

        for (u32 i = 0; i < DEPTH; i++)
            hex(*path[i] & ~a);
    }
    put('\n');
    __asm__ volatile("mov %0, %%cr8; mov %1, %%dr7; mov %2, %%cr3" : : "r"(0ull), "r"(0x400ull), "r"(ROOT));
}

void handle(struct frame *frame);
void handle(struct frame *frame)
{
    f = frame;
    if (number)
        report();
    if (number == CASES) {
        put('.');
        outb(0xf4, 0);
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    __asm__ volatile("mov %0, %%cr4" : : "r"(0x630 | LEVELS));
    next_case();
}

/* Stub n at stubs + 32 n. Whatever the level, the interrupt stack is whole; SMAP is off in the handler as AC is set. */
__asm__(
    ".globl stubs\n.balign 32\nstubs:\n"
    ".set vector, 0\n"
    ".rept 32\n"
    ".balign 32\n"
    ".if vector != 8 && vector != 17 && (vector < 10 || vector > 14) && vector != 21\n push $0\n .endif\n"
    "push $vector\n jmp common\n"
    ".set vector, vector + 1\n"
    ".endr\n"
    "common: push %rax; push %rcx; push %rdx; push %rbx; push %rbp; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11\n"
    "push %r12; push %r13; push %r14; push %r15\n"
    "cld; mov %cr4, %rax; mov %rax, seen_cr4; and $~0x700000, %rax; mov %rax, %cr4\n"
    "mov %rsp, %rdi; call handle\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rdx\n"
    "pop %rcx; pop %rax; add $16, %rsp; iretq\n");
extern u8 stubs[];

void start(void);
void start(void)
{
    struct { u16 limit; void *base; } __attribute__((packed)) dtr;
    u64 low = 0, low_bytes = LOW_END;

    outb(0x21, 0xff); /* no interrupts from outside */
    outb(0xa1, 0xff);
    __asm__ volatile("rep stosb" : "+D"(low), "+c"(low_bytes) : "a"(0xcc) : "memory");
    set_descriptor(KCODE >> 3, 0, 0xfffff, 0x9b, 10);
    set_descriptor(KDATA >> 3, 0, 0xfffff, 0x93, 12);
    set_descriptor(UCODE32 >> 3, 0, 0xfffff, 0xfb, 12);
    set_descriptor(UDATA >> 3, 0, 0xfffff, 0xf3, 12);
    set_descriptor(UCODE >> 3, 0, 0xfffff, 0xfb, 10);
    set_descriptor(KCODE32 >> 3, 0, 0xfffff, 0x9b, 12);
    for (u32 v = 0; v < 32; v++)
        set_gate(idt[v].word, KCODE, (u64)stubs + 32 * v, v == 3 ? 0xee : 0x8e, 1);
    dtr.limit = sizeof gdt - 9;
    dtr.base = gdt;
    __asm__ volatile("lgdt %0" : : "m"(dtr));
    dtr.limit = sizeof idt - 1;
    dtr.base = idt;
    __asm__ volatile("lidt %0" : : "m"(dtr));
    make_tss(&tss_main);
    set_descriptor(TSS_SEL >> 3, (u64)&tss_main, 0x67, 0x89, 0);
    __asm__ volatile("push $8; lea 1f(%%rip), %%rax; push %%rax; lretq; 1: mov %0, %%ss; ltr %w1; int3" : : "r"(KDATA), "r"(TSS_SEL) : "rax");
    for (;;)
        ;
}

/* From 32 bits: the first 2 MiB one to one (those of level 3 below 1 MiB but for what level 0 keeps), and again at MIRROR. */
__asm__(
    ".section .multiboot, \"a\"\n.balign 4\n.long 0x1badb002, 0, -0x1badb002\n"
    ".text\n.code32\n.globl _start\n_start:\n cli\n"
    "mov $low_pt, %edi\n mov $0, %ecx\n"
    "1: mov %ecx, %eax\n shl $12, %eax\n or $7, %eax\n"
    "cmp $0x100, %ecx\n jae 2f\n cmp $0x20, %ecx\n je 2f\n cmp $0x56, %ecx\n jb 3f\n cmp $0x5f, %ecx\n ja 3f\n"
    "2: and $~4, %eax\n"
    "3: mov %eax, (%edi, %ecx, 8)\n inc %ecx\n cmp $512, %ecx\n jb 1b\n"
    "movl $low_pt + 7, low_pd\n movl $low_pd + 7, low_pdpt\n movl $low_pdpt + 7, pml4\n movl $low_pdpt + 7, pml4 + 2048\n"
#ifdef LA57
    "movl $pml4 + 7, pml5\n movl $pml4 + 7, pml5 + 4088\n"
    "mov $pml5, %eax\n mov %eax, %cr3\n mov $0x1630, %eax\n mov %eax, %cr4\n"
#else
    "mov $pml4, %eax\n mov %eax, %cr3\n mov $0x630, %eax\n mov %eax, %cr4\n"
#endif
    "mov $0xc0000080, %ecx\n mov $0xd01 - 0x400, %eax\n xor %edx, %edx\n wrmsr\n"
    "mov $0x80010033, %eax\n mov %eax, %cr0\n"
    "lgdt boot_dtr\n ljmp $8, $4f\n"
    ".code64\n4: xor %eax, %eax\n mov %eax, %ds\n mov %eax, %es\n mov %eax, %ss\n lea ist1 + 8192(%rip), %rsp\n call start\n"
    ".balign 16\nboot_gdt: .quad 0, 0x00af9b000000ffff\nboot_dtr: .word 15\n .long boot_gdt\n");
