/* Intercepts of instructions, ports, model-specific registers and exceptions (APM volume 2, 15.9 to 15.12). */
#include "svm.h"

/* ---- instructions ---- */

/* With its intercept: its code, RIP at it, nothing done. */
#define FIRST(bit, name, text)         \
    do {                               \
        BEGIN(name, text);             \
        misc1(bit);                    \
        go();                          \
    } while (0)
#define SECOND(bit, name, text)        \
    do {                               \
        BEGIN(name, text);             \
        misc2(bit);                    \
        go();                          \
    } while (0)
/* ... at CPL 3. */
#define USER_FIRST(bit, name, text)    \
    do {                               \
        BEGIN(name, text);             \
        user();                        \
        misc1(bit);                    \
        go();                          \
    } while (0)

static void simple_instructions(void)
{
    FIRST(6, "sidt", "sidt [0x2000800]");
    more(" stored:%lx", *(volatile uint64_t *)(uintptr_t)GDATA);
    FIRST(7, "sgdt", "sgdt [0x2000800]");
    FIRST(8, "sldt", "sldt eax");
    FIRST(8, "sldt to memory", "sldt [0x2000800]");
    FIRST(9, "str", "str eax");
    FIRST(10, "lidt", "lidt [0x2000800]");
    more(" idt:%lx,%x", V64(IDTR + 8), V32(IDTR + 4));
    FIRST(11, "lgdt", "lgdt [0x2000800]");
    FIRST(12, "lldt", "xor eax, eax; lldt ax");
    more(" ldt:%x", V16(LDTR));
    FIRST(13, "ltr", "mov eax, 0x40; ltr ax");
    FIRST(14, "rdtsc", "nop; rdtsc");
    FIRST(15, "rdpmc", "xor ecx, ecx; rdpmc");
    FIRST(16, "pushf", "pushfq");
    more(" rsp:%lx", RSP);
    FIRST(17, "popf", "push 0; popfq");
    FIRST(18, "cpuid", "cpuid");
    FIRST(20, "iret", "iretq");
    FIRST(21, "int n", "int 0x80");
    FIRST(21, "int n at CPL 0 by a gate beyond the IDT", "int 0xff");
    FIRST(22, "invd", "invd");
    FIRST(23, "pause", "pause");
    FIRST(24, "hlt", "hlt");
    FIRST(25, "invlpg", "invlpg [0x2000800]");
    FIRST(26, "invlpga", "xor ecx, ecx; invlpga");
    SECOND(2, "vmload", "vmload");
    SECOND(3, "vmsave", "vmsave");
    SECOND(4, "stgi", "stgi");
    SECOND(5, "clgi", "clgi");
    SECOND(0, "vmrun in the guest", "vmrun");
    SECOND(7, "rdtscp", "rdtscp");
    SECOND(8, "icebp", ".byte 0xf1");
    SECOND(9, "wbinvd", "wbinvd");
    SECOND(10, "monitor", "mov eax, 0x2000800; xor ecx, ecx; xor edx, edx; monitor");
    SECOND(11, "mwait", "xor ecx, ecx; mwait");
    BEGIN("xsetbv", "xor ecx, ecx; xor edx, edx; mov eax, 1; xsetbv");
    CR4 |= has_npt ? 0x40000 : 0; /* a model without NPT has no XSAVE: #UD */
    misc2(13);
    go();
    SECOND(13, "xsetbv without OSXSAVE", "xor ecx, ecx; xor edx, edx; mov eax, 1; xsetbv");
    FIRST(19, "rsm", "rsm");
    SECOND(1, "vmmcall", "nop; nop; vmmcall");
    BEGIN("vmmcall without its intercept", "nop");
    V32(0x10) = 1;
    EXCEPTIONS = 1u << 6;
    go();
    BEGIN("pause with a count of 0", "nop; pause");
    misc1(23);
    go();
    BEGIN("int n without its intercept", "int 0x81");
    go();
    BEGIN("int3 is no int n", "int3");
    misc1(21);
    go();
    BEGIN("rsm without its intercept", "rsm");
    EXCEPTIONS = 1u << 6;
    go();
    BEGIN("icebp without its intercept", ".byte 0xf1");
    go();
    more(" dr6:%lx", DR6);
    BEGIN("intercepts of others change nothing", "pushfq; popfq; xor ecx, ecx; mov rax, cr0; mov rax, cr3; mov rax, cr4; mov rax, dr0; sidt [0x2000800]; "
                                                  "sgdt [0x2000810]; str ax; sldt ax; clts; wbinvd; mov eax, 5");
    go();
    more(" stored:%lx,%lx", *(volatile uint64_t *)(uintptr_t)(GDATA + 2), *(volatile uint64_t *)(uintptr_t)(GDATA + 18));
}

/* Privilege is checked before the intercept; what needs none is intercepted at CPL 3 as well. */
static void user_instructions(void)
{
    USER_FIRST(24, "user: hlt", "hlt");
    USER_FIRST(18, "user: cpuid", "cpuid");
    USER_FIRST(14, "user: rdtsc", "rdtsc");
    USER_FIRST(23, "user: pause", "pause");
    USER_FIRST(16, "user: pushf", "pushfq");
    USER_FIRST(25, "user: invlpg", "invlpg [0x2000800]");
    USER_FIRST(22, "user: invd", "invd");
    USER_FIRST(21, "user: int n", "int 0x80");
    USER_FIRST(6, "user: sidt", "sidt [0x2000800]");
    USER_FIRST(10, "user: lidt", "lidt [0x2000800]");
    BEGIN("user: wbinvd", "wbinvd");
    user();
    misc2(9);
    go();
    BEGIN("user: mov from cr0", "mov rax, cr0");
    user();
    CR_READS = 1;
    go();
    BEGIN("user: rdmsr", "mov ecx, 0x10; rdmsr");
    user();
    misc1(28);
    fill_msrpm();
    go();
    BEGIN("user: vmmcall", "nop");
    user();
    go();
    more(" cpl:%d", CPL);
    BEGIN("user: vmload", "vmload");
    user();
    misc2(2);
    go();
    BEGIN("user: handler at CPL 0", "int 0x80");
    user();
    go();
    more(" cpl:%d rsp:%lx ss:%x", CPL, RSP, V16(SS));
}

static void control_registers(void)
{
#define CR_CASE(field, n, name, text) \
    do {                              \
        BEGIN(name, text);            \
        field = 1u << (n);            \
        go();                         \
    } while (0)
    CR_CASE(CR_READS, 0, "mov from cr0", "mov rax, cr0");
    CR_CASE(CR_READS, 2, "mov from cr2", "mov rax, cr2");
    CR_CASE(CR_READS, 3, "mov from cr3", "mov rbx, cr3");
    CR_CASE(CR_READS, 4, "mov from cr4", "mov r9, cr4");
    CR_CASE(CR_READS, 8, "mov from cr8", "mov rax, cr8");
    CR_CASE(CR_READS, 0, "smsw", "smsw eax");
    CR_CASE(CR_READS, 0, "smsw to memory", "smsw [0x2000800]");
    CR_CASE(CR_WRITES, 0, "mov to cr0", "mov eax, 0x80010011; mov cr0, rax");
    CR_CASE(CR_WRITES, 2, "mov to cr2", "mov cr2, rax");
    CR_CASE(CR_WRITES, 3, "mov to cr3", "mov eax, 0x2100000; mov cr3, rax");
    CR_CASE(CR_WRITES, 4, "mov to cr4", "mov eax, 0x620; mov cr4, rax");
    CR_CASE(CR_WRITES, 8, "mov to cr8", "mov cr8, rax");
    CR_CASE(CR_WRITES, 0, "lmsw", "mov eax, 0x1; lmsw ax");
    CR_CASE(CR_WRITES, 0, "clts", "clts");
    CR_CASE(CR_READS, 4, "other intercepts of cr", "mov rax, cr0; mov cr0, rax; mov rax, cr3; mov cr3, rax; xor eax, eax");

    BEGIN("selective cr0: ts and mp", "mov rax, cr0; xor eax, 0xa; mov cr0, rax; xor eax, eax");
    misc1(5);
    go();
    more(" cr0:%lx", CR0);
    BEGIN("selective cr0: others", "mov rax, cr0; xor eax, 0x40000; mov cr0, rax");
    misc1(5);
    go();
    more(" cr0:%lx", CR0);
    BEGIN("selective cr0: the same", "mov rax, cr0; mov cr0, rax");
    misc1(5);
    go();
    BEGIN("selective cr0: ne", "mov rax, cr0; xor eax, 0x20; mov cr0, rax");
    misc1(5);
    go();
    BEGIN("selective cr0: lmsw of ts", "mov eax, 0x9; lmsw ax");
    misc1(5);
    go();
    more(" cr0:%lx", CR0);
    BEGIN("selective cr0: lmsw of em", "mov eax, 0x5; lmsw ax");
    misc1(5);
    go();
    more(" cr0:%lx", CR0);
    BEGIN("selective cr0: clts", "clts");
    CR0 |= 8;
    misc1(5);
    go();
    more(" cr0:%lx", CR0);
    BEGIN("selective cr0, and all writes", "mov rax, cr0; xor eax, 0x40000; mov cr0, rax");
    misc1(5);
    CR_WRITES = 1;
    go();
    BEGIN("mov to cr0 of what is forbidden", "mov eax, 0x80000000; mov cr0, rax");
    CR_WRITES = 1;
    EXCEPTIONS = 1u << 13;
    go();
    BEGIN("registers as they were changed", "mov eax, 0x8005003b; mov cr0, rax; mov eax, 0x6a0; mov cr4, rax; mov eax, 0x1234; mov cr2, rax; "
                                            "mov eax, 0x55; mov dr0, rax; mov eax, 0x2106000; mov cr3, rax; xor eax, eax");
    go();
    more(" cr0:%lx cr4:%lx cr2:%lx cr3:%lx", CR0, CR4, CR2, CR3);
}

static void debug_registers(void)
{
#define DR_READ(n) CR_CASE(DR_READS, n, "mov from dr" #n, "mov rax, dr" #n)
#define DR_WRITE(n) CR_CASE(DR_WRITES, n, "mov to dr" #n, "mov dr" #n ", rax")
    DR_READ(0);
    DR_READ(1);
    DR_READ(2);
    DR_READ(3);
    DR_READ(6);
    DR_READ(7);
    DR_WRITE(0);
    DR_WRITE(1);
    DR_WRITE(2);
    DR_WRITE(3);
    DR_WRITE(6);
    DR_WRITE(7);
    BEGIN("dr4 with de is undefined", "mov rax, dr4");
    CR4 |= 8;
    DR_READS = 1u << 4;
    EXCEPTIONS = 1u << 6;
    go();
    BEGIN("dr7 of the guest", "mov rax, dr7");
    DR7 = 0x455;
    go();
    BEGIN("dr6 and dr7 written", "mov eax, 0xffff0ff1; mov dr6, rax; mov eax, 0x700; mov dr7, rax");
    go();
    more(" dr6:%lx dr7:%lx", DR6, DR7);
    BEGIN("a breakpoint in the guest", "mov eax, 0x2020400; mov dr0, rax; mov edx, 0x402; mov dr7, rdx; jmp rax");
    EXCEPTIONS = 2;
    go();
    more(" dr6:%lx dr7:%lx", DR6, DR7);
    BEGIN("general detect", "mov rax, dr0");
    DR7 = 0x2400;
    DR_READS = 1;
    EXCEPTIONS = 2;
    go();
    more(" dr7:%lx", DR7);
}

/* ---- ports ---- */

#define PORT(name, port, n, text)   \
    do {                            \
        BEGIN(name, text);          \
        misc1(27);                  \
        io_bits(port, n);           \
        go();                       \
    } while (0)

static void ports(void)
{
    PORT("in 8", 0x80, 1, "in al, 0x80");
    PORT("in 16", 0x80, 1, "in ax, 0x80");
    PORT("in 32", 0x80, 1, "in eax, 0x80");
    PORT("in by dx", 0x1234, 1, "mov dx, 0x1234; in al, dx");
    PORT("out 8", 0x80, 1, "mov al, 7; out 0x80, al");
    PORT("out 16", 0x80, 1, "out 0x80, ax");
    PORT("out 32", 0x80, 1, "out 0x80, eax");
    PORT("out 32 by dx", 0xffff, 1, "mov dx, 0xffff; out dx, al");
    PORT("in 16, only the second port", 0x81, 1, "in ax, 0x80");
    PORT("in 32, only the fourth port", 0x83, 1, "in eax, 0x80");
    PORT("in 32, only the port after", 0x84, 1, "in eax, 0x80; xor eax, eax");
    PORT("in 8, only its neighbour", 0x81, 1, "in al, 0x80; xor eax, eax");
    PORT("in 32 over a byte of the map", 0x80, 1, "mov dx, 0x7e; in eax, dx");
    PORT("in 32 over the end", 0x10000, 1, "mov dx, 0xfffe; in eax, dx");
    PORT("insb", 0x80, 1, "cld; mov edi, 0x2000800; mov edx, 0x80; insb");
    more(" rdi:%lx", reg[RDI]);
    PORT("insd", 0x80, 1, "mov edi, 0x2000800; mov edx, 0x80; insd");
    PORT("rep insw", 0x80, 1, "mov ecx, 3; mov edi, 0x2000800; mov edx, 0x80; rep insw");
    more(" rcx:%lx", reg[RCX]);
    PORT("outsb", 0x80, 1, "mov esi, 0x2000800; mov edx, 0x80; outsb");
    PORT("rep outsd", 0x80, 1, "mov ecx, 3; mov esi, 0x2000800; mov edx, 0x80; rep outsd");
    more(" rcx:%lx rsi:%lx", reg[RCX], reg[RSI]);
    PORT("outsb of 32-bit addresses", 0x80, 1, "mov esi, 0x2000800; mov edx, 0x80; .byte 0x67; outsb");
    PORT("without a bit", 0x4000, 1, "mov al, 0; out 0x80, al; in al, 0x80; xor eax, eax");
    BEGIN("without the intercept", "mov al, 0; out 0x80, al");
    io_bits(0x80, 4);
    go();
    BEGIN("privilege before the port's intercept", "in al, 0x80");
    user();
    misc1(27);
    io_bits(0x80, 1);
    EXCEPTIONS = 1u << 13;
    go();
    BEGIN("iopl 3 at CPL 3", "in al, 0x80");
    user();
    RFLAGS |= 0x3000;
    misc1(27);
    io_bits(0x80, 1);
    go();
    BEGIN("the TSS's map at CPL 3", "in al, 0x80");
    user();
    V32(TR + 4) = 0x67 + 0x40;
    *(volatile uint16_t *)(uintptr_t)(GTSS + 0x66) = 0x68;
    misc1(27);
    io_bits(0x80, 1);
    go();
    more(" next:%x", (unsigned)(INFO2 - GCODE));
    BEGIN_AS("in of a 32-bit guest", "32", "in ax, 0x80", LEGACY);
    misc1(27);
    io_bits(0x80, 1);
    go();
    BEGIN_AS("outsb of a 16-bit guest", "16", "mov dx, 0x80; outsb", REAL);
    misc1(27);
    io_bits(0x80, 1);
    go();
}

/* ---- model-specific registers ---- */

#define MSR(name, msr, write, text) \
    do {                            \
        BEGIN(name, text);          \
        misc1(28);                  \
        msr_bit(msr, write, true);  \
        go();                       \
    } while (0)

static void msrs(void)
{
    MSR("rdmsr, first range", 0x174, false, "mov ecx, 0x174; rdmsr");
    MSR("wrmsr, first range", 0x174, true, "mov ecx, 0x174; xor edx, edx; mov eax, 0x55; wrmsr");
    MSR("rdmsr, only its write", 0x174, true, "mov ecx, 0x174; rdmsr; xor eax, eax");
    MSR("wrmsr, only its read", 0x174, false, "mov ecx, 0x174; xor eax, eax; wrmsr");
    MSR("rdmsr, end of the first range", 0x1fff, false, "mov ecx, 0x1fff; rdmsr");
    MSR("rdmsr, second range", 0xc0000080, false, "mov ecx, 0xc0000080; rdmsr");
    MSR("wrmsr, second range", 0xc0000102, true, "mov ecx, 0xc0000102; wrmsr");
    MSR("rdmsr, end of the second range", 0xc0001fff, false, "mov ecx, 0xc0001fff; rdmsr");
    MSR("rdmsr, third range", 0xc0010117, false, "mov ecx, 0xc0010117; rdmsr");
    MSR("wrmsr, third range", 0xc0010114, true, "mov ecx, 0xc0010114; wrmsr");
    MSR("rdmsr, end of the third range", 0xc0011fff, false, "mov ecx, 0xc0011fff; rdmsr");
    MSR("rdmsr after the first range", 0x10, false, "mov ecx, 0x2000; rdmsr");
    MSR("rdmsr beyond the ranges", 0x10, false, "mov ecx, 0x40000000; rdmsr");
    MSR("wrmsr beyond the ranges", 0x10, false, "mov ecx, 0xc0012000; wrmsr");
    BEGIN("rdmsr beyond the ranges without the intercept", "mov ecx, 0x40000000; rdmsr");
    EXCEPTIONS = 1u << 13;
    go();
    BEGIN("rdmsr of what does not exist, a bit of it", "mov ecx, 0x1ff0; rdmsr");
    EXCEPTIONS = 1u << 13;
    misc1(28);
    msr_bit(0x1ff0, false, true);
    go();
    BEGIN("rdmsr of what does not exist", "mov ecx, 0x1ff0; rdmsr");
    EXCEPTIONS = 1u << 13;
    misc1(28);
    go();
    BEGIN("wrmsr that is not intercepted", "mov ecx, 0x174; mov eax, 0x1230; xor edx, edx; wrmsr; xor eax, eax");
    misc1(28);
    go();
    more(" sysenter_cs:%lx", V64(0x628));
    BEGIN("efer of a guest", "mov ecx, 0xc0000080; rdmsr");
    go();
    more(" edx:%lx", reg[RDX]);
}

void fill_msrpm(void)
{
    for (unsigned i = 0; i < sizeof(msrpm); i++)
        msrpm[i] = 0xff;
}

/* ---- exceptions ---- */

#define FAULT(n, name, text)              \
    do {                                  \
        BEGIN(name " intercepted", text); \
        EXCEPTIONS = 1u << (n);           \
        go();                             \
        more(" cr2:%lx", CR2);            \
        BEGIN(name, text);                \
        go();                             \
        more(" cr2:%lx", CR2);            \
    } while (0)

static void exceptions(void)
{
    FAULT(0, "#DE", "xor edx, edx; mov eax, 5; xor ecx, ecx; div ecx");
    FAULT(1, "#DB by TF", "push 0x102; popfq; nop; nop");
    more(" dr6:%lx", DR6);
    FAULT(3, "#BP", "nop; int3");
    FAULT(6, "#UD", "nop; ud2");
    FAULT(7, "#NM", "mov rax, cr0; or eax, 8; mov cr0, rax; xor eax, eax; fnop");
    FAULT(10, "#GP of iretq with NT", "xor eax, eax; mov ax, 0x60; push rax; push 0x2020000; pushfq; or qword ptr [rsp], 0x4000; popfq; iretq");
    FAULT(11, "#NP", "mov eax, 0x40; and byte ptr [0x2040025], 0x7f; mov eax, 0x20; mov ds, ax");
    FAULT(12, "#SS", "mov rax, 0x8000000000000000; mov rbp, rax; xor eax, eax; mov eax, [rbp]");
    FAULT(13, "#GP", "mov eax, 0x1238; mov ds, ax");
    FAULT(14, "#PF read", "mov rax, [0x50000000]");
    FAULT(14, "#PF write", "mov [0x50000010], rax");
    FAULT(14, "#PF fetch", "mov eax, 0x50000020; jmp rax");
    FAULT(17, "#AC", "nop; mov eax, [0x2000801]");
    FAULT(16, "#MF", "mov rax, cr0; or eax, 0x20; mov cr0, rax; xor eax, eax; fninit; fldcw [0x2000810]; fldz; fld1; fdivrp; fwait");
    FAULT(19, "#XM", "push 0; ldmxcsr [rsp]; xorps xmm0, xmm0; divps xmm0, xmm0");
    BEGIN("#AC at CPL 3 intercepted", "mov eax, [0x2000801]");
    user();
    CR0 |= 0x40000;
    RFLAGS |= 0x40000;
    EXCEPTIONS = 1u << 17;
    go();
    BEGIN("#PF at CPL 3 intercepted", "mov rax, [0x2400000]");
    user();
    ENTRY(GPT, 0) = GTEST | P | W;
    EXCEPTIONS = 1u << 14;
    go();
    BEGIN("#PF of a reserved bit intercepted", "mov rax, [0x2400000]");
    ENTRY(GPT, 0) = GTEST | P | W | 1ull << 51;
    EXCEPTIONS = 1u << 14;
    go();
    BEGIN("#PF keeps cr2 of the guest when it is intercepted", "mov rax, [0x50000000]");
    CR2 = 0x1234;
    EXCEPTIONS = 1u << 14;
    go();
    more(" cr2:%lx", CR2);
    BEGIN_AS("#OF intercepted", "32", "mov eax, 0x7fffffff; inc eax; into", LEGACY);
    EXCEPTIONS = 1u << 4;
    go();
    BEGIN_AS("#OF", "32", "mov eax, 0x7fffffff; inc eax; into", LEGACY);
    go();
    BEGIN_AS("#BR intercepted", "32", "mov eax, 5; bound eax, [0x2000800]", LEGACY);
    EXCEPTIONS = 1u << 5;
    go();
    BEGIN_AS("#BR", "32", "mov eax, 5; bound eax, [0x2000800]", LEGACY);
    go();
    BEGIN("int n of an exception's vector is no exception", ".byte 0xcd, 3; nop");
    EXCEPTIONS = 1u << 3;
    go();
    BEGIN("int 0x0d is no #GP", "int 0x0d");
    EXCEPTIONS = 1u << 13;
    user();
    V32(IDTR + 4) = 4095;
    go();
    BEGIN("int 0x81 with its gate absent", "int 0x81");
    *(volatile uint8_t *)(uintptr_t)(GIDT + 0x81 * 16 + 5) = 0x0e;
    EXCEPTIONS = 1u << 11;
    go();
}

/* ---- a task switch ---- */

static void task_switches(void)
{
    BEGIN_AS("task switch by jmp", "32", "jmp 0x60:0", LEGACY);
    misc1(29);
    go();
    BEGIN_AS("task switch by call", "32", "call 0x60:0", LEGACY);
    misc1(29);
    go();
    BEGIN_AS("task switch by call of a gate", "32", "call 0x70:0", LEGACY);
    misc1(29);
    go();
    BEGIN_AS("task switch by iret", "32", "push 0x4000; popfd; iretd", LEGACY);
    *(volatile uint16_t *)(uintptr_t)GTSS = 0x60;
    ENTRY(GGDT, 12) |= 2ull << 40;
    misc1(29);
    go();
    BEGIN_AS("task switch by int n", "32", "int 0x90", LEGACY);
    ENTRY(GIDT32, 0x90) = 0x0000e50000600000;
    misc1(29);
    go();
    BEGIN_AS("task switch by #GP", "32", "mov eax, 0x1238; mov ds, ax", LEGACY);
    ENTRY(GIDT32, 13) = 0x0000e50000600000;
    misc1(29);
    go();
    BEGIN_AS("task switch by an injected interrupt", "32", "nop", LEGACY);
    ENTRY(GIDT32, 0x40) = 0x0000e50000600000;
    EVENTINJ = INJECT(INTR_EVENT, 0x40);
    misc1(29);
    go();
}

void intercept_cases(void)
{
    simple_instructions();
    user_instructions();
    control_registers();
    debug_registers();
    ports();
    msrs();
    exceptions();
    task_switches();
}
