/*
 * A guest that prints all that CPUID says on the debug console (port E9h): leaf, subleaf, EAX EBX ECX EDX. Loaded by
 * Multiboot; for cpuid_leaves.py.
 */
typedef unsigned int u32;

static void outb(unsigned short port, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }

static void hex(u32 v)
{
    for (int n = 28; n >= 0; n -= 4)
        outb(0xe9, (unsigned char)"0123456789abcdef"[v >> n & 15]);
    outb(0xe9, ' ');
}

static u32 leaf(u32 n, u32 sub)
{
    u32 a, b, c, d;

    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(n), "c"(sub));
    hex(n);
    hex(sub);
    hex(a);
    hex(b);
    hex(c);
    hex(d);
    outb(0xe9, '\n');
    return a;
}

void start(void);
void start(void)
{
    u32 last = leaf(0, 0);

    for (u32 n = 1; n <= last; n++) {
        u32 subs = n == 4 ? 5 : n == 0xb ? 3 : n == 0xd ? 12 : 1;

        for (u32 sub = 0; sub < subs; sub++)
            leaf(n, sub);
    }
    last = leaf(0x80000000, 0);
    if (last >= 0x80000000 && last < 0x80000100)
        for (u32 n = 0x80000001; n <= last; n++)
            leaf(n, 0);
    outb(0xe9, '.');
    outb(0xf4, 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}

__asm__(
    ".section .multiboot, \"a\"\n.balign 4\n.long 0x1badb002, 0, -0x1badb002\n"
    ".text\n.globl _start\n_start:\n cli\n mov $0x90000, %esp\n call start\n");
