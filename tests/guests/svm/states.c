/* What enables SVM, states of a VMCB that are none, guests in every mode, VMLOAD and VMSAVE, the TSC (APM volume 2, 15.4 to 15.6, 15.30). */
#include "svm.h"

#define VM_CR 0xc0010114u
#define VM_HSAVE_PA 0xc0010117u

static void host_write(const char *name, uint32_t msr, uint64_t value)
{
    host_in = (struct host_in){(uint32_t)value, msr, value >> 32};
    HOST(name, "wrmsr");
}

void state_cases(void)
{
    uint64_t efer = read_msr(0xc0000080);

    host_in = (struct host_in){(uintptr_t)vmcb, 0, 0};
    HOST("without SVME: vmrun", "vmrun");
    HOST("without SVME: vmload", "vmload");
    HOST("without SVME: vmsave", "vmsave");
    HOST("without SVME: clgi", "clgi");
    HOST("without SVME: invlpga", "invlpga");
    HOST("without SVME: vmmcall", "vmmcall");
    print("\nVM_CR | %lx", read_msr(VM_CR));
    print("\nVM_HSAVE_PA | %lx", read_msr(VM_HSAVE_PA));
    host_write("VM_HSAVE_PA: not a page's", VM_HSAVE_PA, 0x2000800);
    host_write("VM_HSAVE_PA: beyond the addresses", VM_HSAVE_PA, 1ull << 60);
    host_write("VM_HSAVE_PA: a page's", VM_HSAVE_PA, (uintptr_t)hsave);
    print(" %d", read_msr(VM_HSAVE_PA) == (uintptr_t)hsave);
    host_write("VM_CR: SVMDIS", VM_CR, 0x10);
    print(" %lx", read_msr(VM_CR));
    host_write("VM_CR: SVMDIS, then SVME", 0xc0000080, efer | EFER_SVME);
    host_write("VM_CR: without SVMDIS", VM_CR, 0);
    print(" %lx", read_msr(VM_CR));
    host_write("EFER: SVME", 0xc0000080, efer | EFER_SVME);
    host_write("VM_CR: SVMDIS with SVME", VM_CR, 0x10);
    host_in = (struct host_in){(uintptr_t)vmcb + 0x10, 0, 0};
    HOST("not aligned: vmrun", "vmrun");
    HOST("not aligned: vmload", "vmload");
    HOST("not aligned: vmsave", "vmsave");
    host_in = (struct host_in){1ull << 60, 0, 0};
    HOST("beyond the addresses: vmrun", "vmrun");
    HOST("beyond the addresses: vmload", "vmload");
    HOST("beyond the addresses: vmsave", "vmsave");
    host_in = (struct host_in){0, 1, 0};
    HOST("host: invlpga", "invlpga");
    HOST("host: vmmcall", "vmmcall");
}

#define INVALID(name, ...)               \
    do {                                 \
        BEGIN("state: " name, "nop");    \
        __VA_ARGS__;                     \
        go();                            \
    } while (0)

static uint64_t addresses_end(void)
{
    uint32_t a = 0x80000008, b, c = 0, d;

    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return 1ull << (a & 0xff);
}

static void invalid_states(void)
{
    INVALID("EFER.SVME is 0", EFER &= ~(uint64_t)EFER_SVME);
    INVALID("EFER, a reserved bit", EFER |= 1u << 20);
    INVALID("EFER, upper bits", EFER |= 1ull << 40);
    INVALID("CR0: CD 0, NW 1", CR0 |= 1u << 29);
    INVALID("CR0: CD 1, NW 1", CR0 |= 3u << 29);
    INVALID("CR0: CD 1, NW 0", CR0 |= 1u << 30);
    INVALID("CR0: upper bits", CR0 |= 1ull << 32);
    INVALID("CR3: upper bits", CR3 |= 1ull << 60);
    INVALID("CR4: a reserved bit", CR4 |= 1u << 31);
    INVALID("CR4: upper bits", CR4 |= 1ull << 40);
    INVALID("DR6: upper bits", DR6 |= 1ull << 32);
    INVALID("DR7: upper bits", DR7 |= 1ull << 32);
    INVALID("long mode without PAE", CR4 &= ~0x20ull);
    INVALID("long mode without PE", CR0 &= ~1ull);
    INVALID("CS.L and CS.D", V16(CS + 2) |= 0x400);
    INVALID("VMRUN is not intercepted", V32(0x10) = 2);
    INVALID("ASID 0", ASID = 0);
    INVALID("IOPM beyond the addresses", IOPM = 1ull << 60; misc1(27));
    INVALID("MSRPM beyond the addresses", MSRPM = 1ull << 60; misc1(28));
    INVALID("IOPM, its last byte is the first beyond the addresses", IOPM = addresses_end() - 0x2000; misc1(27));
    INVALID("IOPM in the last pages", IOPM = addresses_end() - 0x3000; misc1(27));
    INVALID("IOPM's low bits", IOPM |= 0xfff; misc1(27));
    INVALID("LME without PG", CR0 &= ~0x80000000ull; EFER = EFER_SVME | 0x100; segment(CS, 0x28, 0xc9b, ~0u, 0));
    INVALID("it is told once more", ASID = 0);
    more(" exitcode:%lx", EXITCODE);
}

static void modes(void)
{
#define COMPUTE "mov eax, 6; mov ecx, 7; mul ecx; push eax; pop ebx"
    BEGIN("mode: 64 bits", "mov rax, 0x123456789a; push rax; pop rbx; mov ecx, cs");
    go();
    more(" rbx:%lx cs:%lx rsp:%lx", reg[RBX], reg[RCX], RSP);
    BEGIN_AS("mode: compatibility", "32", COMPUTE, COMPAT);
    go();
    more(" rbx:%lx rsp:%lx", reg[RBX], RSP);
    BEGIN_AS("mode: PAE", "32", COMPUTE "; mov edx, cr4", PAE);
    go();
    more(" rbx:%lx rdx:%lx", reg[RBX], reg[RDX]);
    BEGIN_AS("mode: 32 bits", "32", COMPUTE "; mov edx, cr3", LEGACY);
    go();
    more(" rbx:%lx rdx:%lx", reg[RBX], reg[RDX]);
    BEGIN_AS("mode: 32 bits, #PF", "32", "mov eax, [0xc0000000]", LEGACY);
    ((volatile uint32_t *)(uintptr_t)GPD32)[0x300] = 0;
    go();
    more(" cr2:%lx", CR2);
    BEGIN_AS("mode: no paging", "32", COMPUTE, FLAT);
    go();
    more(" rbx:%lx", reg[RBX]);
    BEGIN_AS("mode: no paging, int n", "32", "int 0x80", FLAT);
    go();
    BEGIN_AS("mode: 16 bits", "16", "mov ax, 6; mov cx, 7; mul cx; push ax; pop bx", PROT16);
    go();
    more(" rbx:%lx rsp:%lx", reg[RBX], RSP);
    BEGIN_AS("mode: real", "16", "mov ax, 6; mov cx, 7; mul cx; push ax; pop bx; mov dx, cs", REAL);
    go();
    more(" rbx:%lx rdx:%lx rsp:%lx", reg[RBX], reg[RDX], RSP);
    BEGIN_AS("mode: real, int n", "16", "nop; int 0x42", REAL);
    *(volatile uint32_t *)(0x42 * 4) = (REAL_CODE >> 4) << 16 | 0x40;
    *(volatile uint32_t *)(uintptr_t)(REAL_CODE + 0x40) = 0xd9010f90;
    go();
    more(" sp:%lx cs:%x", RSP, V16(CS));
    BEGIN_AS("mode: real, vmload is undefined", "16", "vmload", REAL);
    EXCEPTIONS = 1u << 6;
    go();
    BEGIN_AS("mode: real with paging", "16", "mov ax, 6; mov cx, 7; mul cx; push ax; pop bx", REAL);
    CR0 |= 0x80000000;
    CR3 = GPD32;
    CR4 = 0x610;
    go();
    more(" rbx:%lx", reg[RBX]);
    BEGIN_AS("mode: virtual 8086", "16", "mov ax, 6; push ax; pop bx; cpuid", REAL);
    CR0 |= 0x80000001;
    CR3 = GPD32;
    CR4 = 0x610;
    RFLAGS |= 0x20000;
    CPL = 3;
    data_segments_v86();
    misc1(18);
    go();
    more(" rbx:%lx", reg[RBX]);
    BEGIN_AS("mode: real to protected", "16", "mov eax, cr0; or al, 1; mov cr0, eax; .byte 0x66, 0xea; .long 0x8040; .word 0x28; nop; nop", REAL);
    segment(GDTR, 0, 0, 0xff, GGDT);
    for (unsigned i = 0; i < 3; i++)
        ((volatile uint8_t *)(uintptr_t)(REAL_CODE + 0x40))[i] = (uint8_t)(0xd9010f >> 8 * i);
    go();
    more(" cr0:%lx cs:%x,%x,%x ", CR0, V16(CS), V16(CS + 2), V32(CS + 4));
    BEGIN_AS("mode: to 64 bits by itself", "32", "mov eax, 0x620; mov cr4, eax; mov eax, 0x2100000; mov cr3, eax; mov ecx, 0xc0000080; "
             "rdmsr; or eax, 0x100; wrmsr; mov eax, 0x80010011; mov cr0, eax; .byte 0xea; .long 0x2020800; .word 8; nop", FLAT);
    ((volatile uint32_t *)(uintptr_t)(GCODE + 0x800))[0] = 0xd9010f;
    go();
    more(" efer:%lx cr0:%lx cs:%x,%x", EFER, CR0, V16(CS), V16(CS + 2));
}

void data_segments_v86(void)
{
    static const uint16_t at[] = {CS, ES, SS, DS, FS, GS};

    for (unsigned i = 0; i < 6; i++)
        segment(at[i], i ? 0 : REAL_CODE >> 4, 0xf3, 0xffff, i ? 0 : REAL_CODE);
}

/* Every field that VMLOAD loads and VMSAVE stores, through the processor and back. */
static void round_trip(void)
{
    static uint8_t copy[4096] __attribute__((aligned(4096)));
    static const uint16_t segments[] = {FS, GS, TR, LDTR};
    static const uint16_t msrs[] = {0x600, 0x608, 0x610, 0x618, 0x620, 0x628, 0x630, 0x638};
    unsigned bad = 0;

    print("\nVMLOAD and VMSAVE |");
    for (unsigned i = 0; i < 4; i++)
        segment(segments[i], 0x40 + 8 * i, i == 2 ? 0x8b : i == 3 ? 0x82 : 0xc93, 0x12345 + i, 0x1234567000 + i);
    for (unsigned i = 0; i < 8; i++)
        V64(msrs[i]) = 0x12345600 + i;
    asm volatile("vmsave %%rax" ::"a"(host_vmcb) : "memory");
    asm volatile("vmload %%rax" ::"a"(vmcb) : "memory");
    print(" %lx %lx %lx", read_msr(0xc0000100), read_msr(0xc0000102), read_msr(0x176));
    asm volatile("vmsave %%rax" ::"a"(copy) : "memory");
    asm volatile("vmload %%rax" ::"a"(host_vmcb) : "memory");
    for (unsigned i = 0; i < 4; i++)
        for (unsigned b = 0; b < 16; b++)
            if (copy[segments[i] + b] != vmcb[segments[i] + b])
                bad++, print(" %x", segments[i] + b);
    for (unsigned i = 0; i < 8; i++)
        for (unsigned b = 0; b < 8; b++)
            if (copy[msrs[i] + b] != vmcb[msrs[i] + b])
                bad++, print(" %x", msrs[i] + b);
    for (unsigned i = 0; i < 4096; i++)
        if (i < 0x400 && copy[i])
            bad++, print(" %x", i);
    print(" %d differ", bad);

    BEGIN("save area", "mov eax, 0x23; mov es, ax; mov eax, 0x10; mov ds, ax; xor eax, eax; mov rbp, rsp; mov r15d, 15; sgdt [0x2000800]");
    go();
    more(" es:%x,%x,%x cs:%x,%x,%x ss:%x,%x cpl:%d efer:%lx cr4:%lx gdt:%lx,%x idt:%lx,%x rbp:%lx r15:%lx", V16(ES), V16(ES + 2), V32(ES + 4), V16(CS),
         V16(CS + 2), V32(CS + 4), V16(SS), V16(SS + 2), CPL, EFER, CR4, V64(GDTR + 8), V32(GDTR + 4), V64(IDTR + 8), V32(IDTR + 4), reg[RBP], reg[R15]);
    BEGIN("implicit state of the guest", "mov eax, 0x10; mov fs, ax; mov ecx, 0xc0000101; mov eax, 0x777; xor edx, edx; wrmsr; swapgs; xor eax, eax");
    KERNEL_GS = 0x5550;
    go();
    more(" fs:%x gs:%lx kernel:%lx", V16(FS), V64(GS + 8), KERNEL_GS);
}

/* Bases that are not canonical, of 48 bits nor of 57: 55ff8... becomes ffff8... */
static void bases(void)
{
#define NOT_CANONICAL 0x55ff800000001230ull
    static const uint16_t at[] = {FS + 8, GS + 8, TR + 8, LDTR + 8, 0x620};
    static uint8_t copy[4096] __attribute__((aligned(4096)));

    print("\nVMLOAD of bases that are not canonical |");
    asm volatile("vmsave %%rax" ::"a"(host_vmcb) : "memory");
    asm volatile("vmsave %%rax" ::"a"(vmcb) : "memory");
    for (unsigned i = 0; i < 5; i++)
        V64(at[i]) = NOT_CANONICAL + i;
    asm volatile("vmload %%rax" ::"a"(vmcb) : "memory");
    asm volatile("vmsave %%rax" ::"a"(copy) : "memory");
    asm volatile("vmload %%rax" ::"a"(host_vmcb) : "memory");
    for (unsigned i = 0; i < 5; i++)
        print(" %lx", *(volatile uint64_t *)(copy + at[i]));
    BEGIN("VMRUN of bases that are not canonical", "sgdt [0x2000800]; sidt [0x2000810]; int 0x80");
    V64(ES + 8) = V64(CS + 8) = V64(SS + 8) = V64(DS + 8) = NOT_CANONICAL;
    V64(GDTR + 8) |= 0x55ull << 57;
    V64(IDTR + 8) |= 0x55ull << 57;
    go();
    more(" gdt:%lx idt:%lx", *(volatile uint64_t *)(uintptr_t)(GDATA + 2), *(volatile uint64_t *)(uintptr_t)(GDATA + 0x12));
}

/* VMRUN under TF: to the host it is one instruction, over which the trap comes after #VMEXIT (15.5.1). */
static void stepped_host(void)
{
    extern char stepped_vmrun[];

    host_vector = ~0u;
    asm volatile("clgi\n\tmovq $774f, host_resume\n\tpushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\t"
                 ".globl stepped_vmrun\nstepped_vmrun: vmrun %%rax\n\tnop\n\tnop\n774:" ::"a"(vmcb) : "memory", "cc");
    host_resume = 0;
    print(" %x", (unsigned)EXITCODE);
    if (host_vector != ~0u)
        print(" #%d after:%d", host_vector, (unsigned)(host_rip - (uintptr_t)stepped_vmrun));
}

static void steps(void)
{
    BEGIN("TF of the host", "nop");
    stepped_host();
    BEGIN("TF of the host, the guest is left by an exception", "ud2");
    EXCEPTIONS |= 1u << 6;
    stepped_host();
    BEGIN("TF of the host, of an invalid VMCB", "nop");
    ASID = 0;
    stepped_host();
}

static void tsc(void)
{
    uint64_t before, after, guest;
    uint32_t lo, hi;

#define TSC(name, text, offset)                                                \
    do {                                                                       \
        BEGIN(name, text);                                                     \
        TSC_OFFSET = (uint64_t)(offset);                                       \
        asm volatile("rdtsc" : "=a"(lo), "=d"(hi));                            \
        before = (uint64_t)hi << 32 | lo;                                      \
        run();                                                                 \
        asm volatile("stgi; rdtsc" : "=a"(lo), "=d"(hi));                      \
        after = (uint64_t)hi << 32 | lo;                                       \
        guest = (RAX | reg[RDX] << 32) - (uint64_t)(offset);                   \
        more(" %lx between:%d", EXITCODE, before <= guest && guest <= after);  \
    } while (0)
    TSC("TSC offset 0", "rdtsc", 0);
    TSC("TSC offset", "rdtsc", 0x1234567890000);
    TSC("TSC offset backwards", "rdtsc", -0x1234567890000);
    TSC("TSC offset of the MSR", "mov ecx, 0x10; rdmsr", 0x1234567890000);
    if (has_npt)
        TSC("TSC offset of rdtscp", "rdtscp", 0x1234567890000);
}

void mode_cases(void)
{
    invalid_states();
    modes();
    round_trip();
    bases();
    steps();
    tsc();
}
