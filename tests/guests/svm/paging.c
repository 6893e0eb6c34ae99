/* Nested paging, ASIDs and flushes (APM volume 2, 15.16, 15.25). */
#include "svm.h"

#define WORD(at) (*(volatile uint64_t *)(uintptr_t)(at))

static void begin_nested(void)
{
    nested();
    for (unsigned i = 0; i < 8; i++)
        WORD(GTEST + 0x1000 * i) = 0x1110 + i;
}

#define NPF(name, text, ...)     \
    do {                         \
        BEGIN(name, text);       \
        begin_nested();          \
        __VA_ARGS__;             \
        go();                    \
    } while (0)

/* Read, write, fetch of GTEST + 0x10; jump to code of VMMCALL there. */
#define READ "mov rax, [0x2400000]"
#define WRITE "mov qword ptr [0x2400018], 5"
#define FETCH "mov eax, 0x2400020; jmp rax"

static void faults(void)
{
    NPF("nested: identity", READ, (void)0);
    NPF("nested: remapped", READ, ENTRY(NPT_TEST, 0) = (GTEST + 0x3000) | P | W | U);
    NPF("nested: absent, read", READ, ENTRY(NPT_TEST, 0) = 0);
    NPF("nested: absent, write", WRITE, ENTRY(NPT_TEST, 0) = 0);
    NPF("nested: absent, fetch", FETCH, ENTRY(NPT_TEST, 0) = 0);
    NPF("nested: read-only, read", READ, ENTRY(NPT_TEST, 0) = GTEST | P | U);
    NPF("nested: read-only, write", WRITE, ENTRY(NPT_TEST, 0) = GTEST | P | U);
    NPF("nested: supervisor's, read", READ, ENTRY(NPT_TEST, 0) = GTEST | P | W);
    NPF("nested: no execution, read", READ, ENTRY(NPT_TEST, 0) = GTEST | P | W | U | NX);
    NPF("nested: no execution, fetch", FETCH, ENTRY(NPT_TEST, 0) = GTEST | P | W | U | NX);
    NPF("nested: reserved bit", READ, ENTRY(NPT_TEST, 0) = GTEST | P | W | U | 1ull << 51);
    NPF("nested: absent table", READ, ENTRY(NPD, GTEST >> 21) = 0);
    NPF("nested: table of the guest absent", READ, ENTRY(NPT_LOW, (GPT - SEEN) >> 12) = 0);
    NPF("nested: directory of the guest absent", READ, ENTRY(NPT_LOW, (GPD - SEEN) >> 12) = 0);
    NPF("nested: PML4 of the guest absent", READ, ENTRY(NPT_LOW, (GPML4 - SEEN) >> 12) = 0);
    NPF("nested: table of the guest read-only", READ, ENTRY(NPT_LOW, (GPT - SEEN) >> 12) = GPT | P | U);
    NPF("nested: code of the guest absent", "nop", ENTRY(NPT_LOW, (GCODE - SEEN) >> 12) = 0);
    NPF("nested: fault of the guest first", READ, ENTRY(NPT_TEST, 0) = 0; ENTRY(GPT, 0) = 0);
    more(" cr2:%lx", CR2);
    NPF("nested: fault of the guest, write to what it may only read", WRITE, ENTRY(GPT, 0) = GTEST | P | U);
    more(" cr2:%lx", CR2);
    NPF("nested: push", "push rax", ENTRY(NPT_LOW, (GSTACK - 0x1000 - SEEN) >> 12) = 0);
    more(" rsp:%lx", RSP);
    NPF("nested: of the second page of an access", "mov rax, [0x2400ffc]", ENTRY(NPT_TEST, 1) = 0);
    NPF("nested: after an exit it goes on", READ, ENTRY(NPT_TEST, 0) = 0);
    ENTRY(NPT_TEST, 0) = (GTEST + 0x2000) | P | W | U;
    again();
    NPF("nested: at CPL 3", READ, user(); ENTRY(NPT_TEST, 0) = 0);
    NPF("nested: large page absent", "mov rax, [0x2800010]", ENTRY(NPD, 0x2800000 >> 21) = 0);
    NPF("nested: large page elsewhere", "mov rax, [0x2800000]", ENTRY(NPD, 0x2800000 >> 21) = 0x2a00000 | P | W | U | PS; WORD(0x2a00000) = 0x77);
    NPF("nested: large page read-only", "mov [0x2800010], rax", ENTRY(NPD, 0x2800000 >> 21) = 0x2800000 | P | U | PS);
    NPF("nested: beyond the tables", "mov rax, 0x4000000000; mov rbx, cr3; mov rax, [rax]", ENTRY(GPML4, 0) |= 0;
        ENTRY(GPDPT, 0x100) = 0x4000000000 | P | W | U; ENTRY(GPML4, 1) = 0);
    NPF("nested: an address beyond what is mapped", "mov eax, 0x2405010; mov rax, [rax]", ENTRY(GPT, 5) = 0x180000000 | P | W | U);
    NPF("nested: mmio of the host", "mov eax, 0x2405030; mov eax, [rax]; shr eax, 24; and eax, 0", ENTRY(GPT, 5) = 0xfee00000 | P | W | U);
}

static void during_events(void)
{
    NPF("nested: IDT absent", "ud2", ENTRY(NPT_LOW, (GIDT - SEEN) >> 12) = 0);
    NPF("nested: IDT absent, injected", "nop", ENTRY(NPT_LOW, (GIDT - SEEN) >> 12) = 0; EVENTINJ = INJECT(INTR_EVENT, 0x40));
    NPF("nested: stack absent, injected #GP", "nop", ENTRY(NPT_LOW, (GSTACK - 0x1000 - SEEN) >> 12) = 0;
        EVENTINJ = INJECT(EXCEPTION, 13) | WITH_ERROR(0x18));
    NPF("nested: stack absent, int n", "int 0x80", ENTRY(NPT_LOW, (GSTACK - 0x1000 - SEEN) >> 12) = 0);
    NPF("nested: GDT absent, segment load", "mov eax, 0x10; mov ds, ax", ENTRY(NPT_LOW, (GGDT - SEEN) >> 12) = 0);
    NPF("nested: TSS absent, int n at CPL 3", "int 0x80", user(); ENTRY(NPT_LOW, (GTSS - SEEN) >> 12) = 0);
    NPF("nested: injected again after the exit", "nop", ENTRY(NPT_LOW, (GIDT - SEEN) >> 12) = 0; EVENTINJ = INJECT(INTR_EVENT, 0x40));
    ENTRY(NPT_LOW, (GIDT - SEEN) >> 12) = GIDT | P | W | U;
    EVENTINJ = INTINFO;
    again();
    NPF("nested: virtual interrupt, IDT absent", "nop", ENTRY(NPT_LOW, (GIDT - SEEN) >> 12) = 0; RFLAGS |= IF;
        INT_CTL = V_IRQ | V_PRIO(15) | V_VECTOR(0x41));
}

static void bits(void)
{
    NPF("nested: accessed", READ, (void)0);
    more(" nested:%lx guest:%lx", ENTRY(NPT_TEST, 0), ENTRY(GPT, 0));
    NPF("nested: dirty", WRITE, (void)0);
    more(" nested:%lx guest:%lx", ENTRY(NPT_TEST, 0), ENTRY(GPT, 0));
    NPF("nested: tables are dirty", READ, (void)0);
    more(" table:%lx directory:%lx unused:%lx", ENTRY(NPT_LOW, (GPT - SEEN) >> 12), ENTRY(NPD, SEEN >> 21), ENTRY(NPT_TEST, 5));
    NPF("nested: large page accessed", "mov rax, [0x2800000]; xor eax, eax", (void)0);
    more(" nested:%lx guest:%lx", ENTRY(NPD, 0x2800000 >> 21), ENTRY(GPD, 0x2800000 >> 21));
    NPF("nested: large page dirty", "mov [0x2800000], rax", (void)0);
    more(" nested:%lx guest:%lx", ENTRY(NPD, 0x2800000 >> 21), ENTRY(GPD, 0x2800000 >> 21));
}

static void changes(void)
{
    NPF("nested: the guest's cr3", READ "; mov ecx, 0x2106000; mov cr3, rcx; mov rbx, [0x2400000]", (void)0);
    more(" rbx:%lx cr3:%lx", reg[RBX], CR3);
    NPF("nested: the guest's table and invlpg", READ "; mov rcx, [0x2103010]; mov [0x2103000], rcx; invlpg [0x2400000]; mov rbx, [0x2400000]", (void)0);
    more(" rbx:%lx", reg[RBX]);
    NPF("nested: the nested table, TLB_CONTROL 1", READ "; nop; vmmcall; mov rbx, [0x2400000]", (void)0);
    ENTRY(NPT_TEST, 0) = (GTEST + 0x4000) | P | W | U;
    RIP += 3;
    again();
    more(" rbx:%lx", reg[RBX]);
    NPF("nested: the nested table, TLB_CONTROL 3", READ "; nop; vmmcall; mov rbx, [0x2400000]", (void)0);
    ENTRY(NPT_TEST, 0) = (GTEST + 0x4000) | P | W | U;
    RIP += 3;
    TLB_CONTROL = 3;
    again();
    more(" rbx:%lx", reg[RBX]);
    NPF("nested: another nested table, another ASID", READ "; nop; vmmcall; mov rbx, [0x2400000]", TLB_CONTROL = 0; ASID = 2);
    ENTRY(NPT_TEST, 0) = (GTEST + 0x5000) | P | W | U;
    RIP += 3;
    ASID = 3;
    again();
    more(" rbx:%lx", reg[RBX]);
    NPF("nested: an ASID of its own and the host's translations", READ, ENTRY(NPT_TEST, 0) = (GTEST + 0x3000) | P | W | U);
    more(" host:%lx", WORD(GTEST));
}

static void not_nested(void)
{
    BEGIN("not nested: cr3 of the guest", READ "; mov ecx, 0x2106000; mov cr3, rcx; mov rbx, [0x2400000]");
    begin_nested();
    NESTED = 0;
    go();
    more(" rbx:%lx host:%lx", reg[RBX], WORD(GTEST));
    BEGIN("not nested: table changed, TLB_CONTROL 1", READ "; nop; vmmcall; mov rbx, [0x2400000]");
    begin_nested();
    NESTED = 0;
    go();
    ENTRY(GPT, 0) = (GTEST + 0x6000) | P | W | U;
    RIP += 3;
    again();
    more(" rbx:%lx", reg[RBX]);
    BEGIN("not nested: table changed, INVLPGA", READ "; nop; vmmcall; mov rbx, [0x2400000]");
    begin_nested();
    NESTED = 0;
    TLB_CONTROL = 0;
    go();
    ENTRY(GPT, 0) = (GTEST + 0x7000) | P | W | U;
    RIP += 3;
    asm volatile("invlpga" ::"a"((uint64_t)GTEST), "c"(1));
    again();
    more(" rbx:%lx", reg[RBX]);
}

static void modes(void)
{
#define NESTED_AS(name, bits, text, mode, ...) \
    do {                                       \
        BEGIN_AS(name, bits, text, mode);      \
        begin_nested();                        \
        __VA_ARGS__;                           \
        go();                                  \
    } while (0)
    NESTED_AS("nested: PAE", "32", "mov eax, [0x2400000]", PAE, ENTRY(NPT_TEST, 0) = (GTEST + 0x3000) | P | W | U);
    NESTED_AS("nested: PAE, absent", "32", "mov eax, [0x2400000]", PAE, ENTRY(NPT_TEST, 0) = 0);
    NESTED_AS("nested: PAE, directory absent", "32", "mov eax, [0x2400000]", PAE, ENTRY(NPT_LOW, (GPD - SEEN) >> 12) = 0);
    NESTED_AS("nested: PAE, cr3 loaded again", "32", "mov eax, cr3; mov cr3, eax; mov eax, [0x2400000]", PAE, (void)0);
    NESTED_AS("nested: 32 bits", "32", "mov eax, [0x2400000]", LEGACY, ENTRY(NPT_TEST, 0) = (GTEST + 0x3000) | P | W | U);
    NESTED_AS("nested: 32 bits, write to an absent page", "32", "mov [0x2400014], eax", LEGACY, ENTRY(NPT_TEST, 0) = 0);
    NESTED_AS("nested: no paging", "32", "mov eax, [0x2400000]", FLAT, ENTRY(NPT_TEST, 0) = (GTEST + 0x3000) | P | W | U);
    NESTED_AS("nested: no paging, absent", "32", "mov eax, [0x2400008]", FLAT, ENTRY(NPT_TEST, 0) = 0);
    NESTED_AS("nested: real", "16", "mov ax, 3; push ax; pop bx; int 0x42", REAL, *(volatile uint32_t *)(0x42 * 4) = (REAL_CODE >> 4) << 16 | 0x40;
              *(volatile uint32_t *)(uintptr_t)(REAL_CODE + 0x40) = 0xd9010f90);
    more(" rbx:%lx sp:%lx", reg[RBX], RSP);
    NESTED_AS("nested: real, absent", "16", "mov ax, [0x9000]", REAL, ENTRY(NPD, 0) = 0);
    NESTED_AS("nested: paging turned on by the guest", "32",
              "mov eax, 0x2105000; mov cr3, eax; mov eax, 0x610; mov cr4, eax; mov eax, 0x80010011; mov cr0, eax; mov eax, [0x2400000]", FLAT,
              ENTRY(NPT_TEST, 0) = (GTEST + 0x3000) | P | W | U);
    more(" cr0:%lx", CR0);
    NESTED_AS("nested: pat of the guest", "64", "mov ecx, 0x277; rdmsr", LONG, G_PAT = 0x0001040600070406ull);
    more(" rdx:%lx", reg[RDX]);
}

void paging_cases(void)
{
    not_nested();
    if (!has_npt)
        return;
    faults();
    during_events();
    bits();
    changes();
    modes();
}
