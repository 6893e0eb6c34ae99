/* Event injection, events within events, interrupts virtual and physical, GIF (APM volume 2, 15.13, 15.17, 15.20, 15.21). */
#include "svm.h"

#define INJECTED(name, event)  \
    do {                       \
        BEGIN(name, "nop");    \
        EVENTINJ = (event);    \
        go();                  \
    } while (0)

#define CODE_ONLY() \
    do {            \
        run();      \
        asm volatile("stgi"); \
        print(" %lx", EXITCODE); \
    } while (0)

static void injections(void)
{
    INJECTED("injected: interrupt", INJECT(INTR_EVENT, 0x40));
    INJECTED("injected: nmi", INJECT(NMI_EVENT, 2));
    INJECTED("injected: #UD", INJECT(EXCEPTION, 6));
    INJECTED("injected: #GP", INJECT(EXCEPTION, 13) | WITH_ERROR(0x5678));
    INJECTED("injected: software interrupt", INJECT(SOFTWARE, 0x80));
    INJECTED("injected: software interrupt of a gate for CPL 0 at CPL 0", INJECT(SOFTWARE, 0x40));
    INJECTED("injected: #BP as an exception", INJECT(EXCEPTION, 3));
    INJECTED("injected: #BP as a software interrupt", INJECT(SOFTWARE, 3));
    BEGIN("injected: #PF", "nop");
    EVENTINJ = INJECT(EXCEPTION, 14) | WITH_ERROR(6);
    CR2 = 0xabc000;
    go();
    more(" cr2:%lx", CR2);
    BEGIN("injected: interrupt at CPL 3", "nop");
    user();
    EVENTINJ = INJECT(INTR_EVENT, 0x40);
    go();
    more(" cs:%lx rsp:%lx cpl:%d", SEEN_AT->cs, RSP, CPL);
    BEGIN("injected: software interrupt at CPL 3", "nop");
    user();
    EVENTINJ = INJECT(SOFTWARE, 0x80);
    go();
    BEGIN("injected: and back", "mov eax, 7");
    EVENTINJ = INJECT(INTR_EVENT, 0x40);
    RFLAGS |= IF;
    SEEN_AT->go_on = 1;
    go();
    BEGIN("injected: an exception that is intercepted", "nop");
    EVENTINJ = INJECT(EXCEPTION, 13) | WITH_ERROR(0);
    EXCEPTIONS = 1u << 13;
    go();
    BEGIN("injected: int n that is intercepted", "nop");
    EVENTINJ = INJECT(SOFTWARE, 0x80);
    misc1(21);
    go();
    BEGIN("injected: nmi that is intercepted", "nop");
    EVENTINJ = INJECT(NMI_EVENT, 2);
    misc1(1);
    go();
    BEGIN("injected: interrupts intercepted", "nop");
    EVENTINJ = INJECT(INTR_EVENT, 0x40);
    misc1(0);
    misc1(4);
    go();
    BEGIN("injected: with an interrupt shadow", "nop");
    EVENTINJ = INJECT(EXCEPTION, 6);
    SHADOW = 1;
    go();
    BEGIN_AS("injected: #OF in a 32-bit guest", "32", "nop", LEGACY);
    EVENTINJ = INJECT(EXCEPTION, 4);
    go();
    BEGIN_AS("injected: interrupt in a real-mode guest", "16", "nop", REAL);
    *(volatile uint32_t *)(0x40 * 4) = (REAL_CODE >> 4) << 16 | 0x40;
    *(volatile uint32_t *)(uintptr_t)(REAL_CODE + 0x40) = 0xd9010f90; /* NOP, VMMCALL */
    EVENTINJ = INJECT(INTR_EVENT, 0x40);
    go();
    more(" sp:%lx", RSP);
}

static void invalid_injections(void)
{
    INJECTED("invalid: type 1", INJECT(1, 0x40));
    INJECTED("invalid: type 5", INJECT(5, 0x40));
    INJECTED("invalid: type 6", INJECT(6, 0x40));
    INJECTED("invalid: type 7", INJECT(7, 0x40));
    INJECTED("invalid: exception 2", INJECT(EXCEPTION, 2));
    INJECTED("invalid: exception 32", INJECT(EXCEPTION, 32));
    INJECTED("invalid: exception 255", INJECT(EXCEPTION, 255));
    INJECTED("injection that is not valid", INJECT(EXCEPTION, 6) & ~(1ull << 31));
}

static void within_events(void)
{
#define ABSENT_GATE(v) (*(volatile uint8_t *)(uintptr_t)(GIDT + (v) * 16 + 5) &= 0x7f)
    BEGIN("gate absent, #NP intercepted", "ud2");
    ABSENT_GATE(6);
    EXCEPTIONS = 1u << 11;
    go();
    BEGIN("gate absent, #NP delivered", "ud2");
    ABSENT_GATE(6);
    go();
    BEGIN("injected interrupt, gate absent, #NP intercepted", "nop");
    ABSENT_GATE(0x40);
    EVENTINJ = INJECT(INTR_EVENT, 0x40);
    EXCEPTIONS = 1u << 11;
    go();
    BEGIN("injected #GP, gate absent, #DF delivered", "nop");
    ABSENT_GATE(13);
    EVENTINJ = INJECT(EXCEPTION, 13) | WITH_ERROR(0x10);
    go();
    BEGIN("injected #GP, gate absent, #NP intercepted", "nop");
    ABSENT_GATE(13);
    EVENTINJ = INJECT(EXCEPTION, 13) | WITH_ERROR(0x10);
    EXCEPTIONS = 1u << 11;
    go();
    BEGIN("#GP, gate absent, #DF intercepted", "mov eax, 0x1238; mov ds, ax");
    ABSENT_GATE(13);
    EXCEPTIONS = 1u << 8;
    CODE_ONLY();
    more(" i1:%lx", INFO1);
    BEGIN("#UD, IDT too short, #GP intercepted", "ud2");
    V32(IDTR + 4) = 0x5f;
    EXCEPTIONS = 1u << 13;
    go();
    BEGIN("#UD, page of the IDT absent, #PF intercepted", "ud2");
    V64(IDTR + 8) = GTEST;
    ENTRY(GPT, 0) = 0;
    EXCEPTIONS = 1u << 14;
    go();
    BEGIN("int n, stack absent, #PF intercepted", "int 0x80");
    RSP = GTEST + 0x800;
    ENTRY(GPT, 0) = 0;
    EXCEPTIONS = 1u << 14;
    go();
    BEGIN("no way to go on", "ud2");
    V32(IDTR + 4) = 0;
    CODE_ONLY();
    BEGIN("no way to go on from an injection", "nop");
    V32(IDTR + 4) = 0;
    EVENTINJ = INJECT(INTR_EVENT, 0x40);
    CODE_ONLY();
}

static void shadows(void)
{
    BEGIN("shadow of sti", "sti");
    go();
    BEGIN("shadow of sti has an end", "sti; nop");
    go();
    BEGIN("sti when it is on", "sti");
    RFLAGS |= IF;
    go();
    BEGIN("shadow of mov ss", "mov eax, 0x10; mov ss, ax; cpuid");
    misc1(18);
    go();
    BEGIN("shadow from the VMCB", "nop; nop");
    RFLAGS |= IF;
    INT_CTL = V_IRQ | V_PRIO(15) | V_VECTOR(0x41);
    SHADOW = 1;
    go();
    BEGIN("shadow from the VMCB, first instruction intercepted", "cpuid");
    misc1(18);
    RFLAGS |= IF;
    INT_CTL = V_IRQ | V_PRIO(15) | V_VECTOR(0x41);
    SHADOW = 1;
    go();
}

void event_cases(void)
{
    injections();
    invalid_injections();
    within_events();
    shadows();
}

/* ---- virtual interrupts ---- */

static uint64_t host_cr8(void)
{
    uint64_t value;

    asm volatile("mov %%cr8, %0" : "=r"(value));
    return value;
}

static void virtual_interrupts(void)
{
    const uint64_t v41 = V_IRQ | V_VECTOR(0x41);

    BEGIN("virtual: taken", "nop");
    RFLAGS |= IF;
    INT_CTL = v41 | V_PRIO(15);
    go();
    BEGIN("virtual: IF is 0", "nop");
    INT_CTL = v41 | V_PRIO(15);
    go();
    BEGIN("virtual: after sti", "nop; sti; nop; nop");
    INT_CTL = v41 | V_PRIO(15);
    go();
    BEGIN("virtual: intercepted", "nop");
    RFLAGS |= IF;
    INT_CTL = v41 | V_PRIO(15);
    misc1(4);
    go();
    BEGIN("virtual: intercepted after sti", "nop; sti; nop; nop");
    INT_CTL = v41 | V_PRIO(15);
    misc1(4);
    go();
    BEGIN("virtual: intercepted after popf", "push 0x202; popfq; nop; nop");
    INT_CTL = v41 | V_PRIO(15);
    misc1(4);
    go();
    BEGIN("virtual: intercepted, IF is 0", "nop");
    INT_CTL = v41 | V_PRIO(15);
    misc1(4);
    go();
    BEGIN("virtual: not above V_TPR", "nop");
    RFLAGS |= IF;
    INT_CTL = v41 | V_PRIO(5) | 5;
    go();
    BEGIN("virtual: above V_TPR", "nop");
    RFLAGS |= IF;
    INT_CTL = v41 | V_PRIO(6) | 5;
    go();
    BEGIN("virtual: V_TPR ignored", "nop");
    RFLAGS |= IF;
    INT_CTL = v41 | V_PRIO(5) | V_IGN_TPR | 9;
    go();
    BEGIN("virtual: taken when cr8 gets lower", "mov cr8, rax; nop; nop");
    RFLAGS |= IF;
    INT_CTL = v41 | V_PRIO(5) | V_INTR_MASKING | 9;
    if (!in_tcg)
        go();
    BEGIN("virtual: with masking", "nop");
    RFLAGS |= IF;
    INT_CTL = v41 | V_PRIO(5) | V_INTR_MASKING;
    go();
    BEGIN("virtual: woken from hlt", "sti; hlt; nop");
    INT_CTL = v41 | V_PRIO(5);
    SEEN_AT->go_on = 1;
    go();
    BEGIN("virtual: with an injection", "nop");
    RFLAGS |= IF;
    INT_CTL = v41 | V_PRIO(15);
    EVENTINJ = INJECT(INTR_EVENT, 0x50);
    SEEN_AT->go_on = 1;
    go();
    BEGIN("cr8 with masking", "mov rbx, cr8; mov eax, 6; mov cr8, rax; mov rcx, cr8");
    INT_CTL = V_INTR_MASKING | 3;
    go();
    more(" rbx:%lx rcx:%lx host:%lx", reg[RBX], reg[RCX], host_cr8());
    BEGIN("cr8 without masking", "mov rbx, cr8; mov eax, 6; mov cr8, rax; mov rcx, cr8");
    CODE_ONLY();
    more(" rbx:%lx rcx:%lx host:%lx", reg[RBX], reg[RCX], host_cr8());
    asm volatile("mov %0, %%cr8" ::"r"(0ul));
}

/* ---- physical interrupts ---- */

/* One that waits when the guest is entered. What the host got after STGI. */
#define PHYSICAL(name, text, ...)                        \
    do {                                                 \
        BEGIN(name, text);                               \
        __VA_ARGS__;                                     \
        pending(0x60);                                   \
    } while (0)

static void pending(unsigned vector)
{
    uint32_t before;

    asm volatile("clgi");
    self_interrupt(vector);
    before = host_interrupts;
    go();
    host_takes_interrupts();
    more(" host:%d", host_interrupts - before);
    write_apic(0xb0, 0);
}

static void pending_nmi(void)
{
    uint32_t before = host_nmis;

    asm volatile("clgi");
    self_nmi();
    go();
    host_takes_interrupts();
    more(" host:%d", host_nmis - before);
}

static void timer(unsigned vector)
{
    write_apic(0x3e0, 0xb);
    write_apic(0x320, vector);
    write_apic(0x380, 3000000);
}

static void physical_interrupts(void)
{
    PHYSICAL("physical: intercepted", "nop", RFLAGS |= IF; misc1(0));
    PHYSICAL("physical: intercepted, IF is 0", "nop", misc1(0));
    PHYSICAL("physical: intercepted after sti", "nop; sti; nop; nop", misc1(0));
    PHYSICAL("physical: masking, IF is 0, the host's is 1", "nop", misc1(0); INT_CTL = V_INTR_MASKING; host_if = true);
    PHYSICAL("physical: masking, IF is 1, the host's is 0", "nop", misc1(0); INT_CTL = V_INTR_MASKING; RFLAGS |= IF);
    PHYSICAL("physical: no masking, the host's IF counts for nothing", "nop", misc1(0); host_if = true);
    PHYSICAL("physical: the guest's", "nop", RFLAGS |= IF);
    PHYSICAL("physical: the guest's, IF is 0", "nop", misc1(31));
    PHYSICAL("physical: in a shadow", "nop; nop", RFLAGS |= IF; SHADOW = 1; misc1(0));
    PHYSICAL("physical: before a virtual one", "nop", RFLAGS |= IF; misc1(0); INT_CTL = V_IRQ | V_PRIO(15) | V_VECTOR(0x41));
    PHYSICAL("physical: after an injection", "nop", RFLAGS |= IF; misc1(0); EVENTINJ = INJECT(INTR_EVENT, 0x40));
    PHYSICAL("physical: an injected trap's handler opens the window", "nop", misc1(0); RFLAGS |= IF; EVENTINJ = INJECT(SOFTWARE, 0x80);
             SEEN_AT->go_on = 1);
    BEGIN("nmi: intercepted", "nop");
    misc1(1);
    pending_nmi();
    BEGIN("nmi: the guest's", "nop");
    pending_nmi();
    asm volatile("int $0x60"); /* its IRET ends the masking that the guest's NMI began */
    BEGIN("nmi: before an interrupt", "nop");
    misc1(1);
    misc1(0);
    RFLAGS |= IF;
    asm volatile("clgi");
    self_interrupt(0x60);
    pending_nmi();
    BEGIN("timer: in a loop", "sti; 1: jmp 1b");
    misc1(0);
    timer(0x61);
    go();
    host_takes_interrupts();
    more(" host:%x", host_vector);
    BEGIN("timer: in hlt", "sti; hlt");
    misc1(0);
    timer(0x62);
    go();
    host_takes_interrupts();
    more(" host:%x", host_vector);
    BEGIN("timer: masking, in hlt with IF 0", "hlt");
    misc1(0);
    INT_CTL = V_INTR_MASKING;
    host_if = true;
    timer(0x63);
    go();
    host_takes_interrupts();
    more(" host:%x", host_vector);
    BEGIN("timer: the guest's, in hlt", "sti; hlt");
    SEEN_AT->go_on = 1;
    timer(0x64);
    go();
    write_apic(0xb0, 0);
}

/* ---- the global interrupt flag ---- */

static void global_flag(void)
{
    uint32_t before = host_interrupts, held;

    print("\nGIF |");
    asm volatile("clgi");
    self_interrupt(0x60);
    asm volatile("sti; nop; nop; nop; cli" ::: "memory");
    held = host_interrupts - before;
    asm volatile("stgi; sti; nop; nop; cli" ::: "memory");
    print(" with 0: %d, with 1: %d", held, host_interrupts - before);
    before = host_nmis;
    asm volatile("clgi");
    self_nmi();
    for (volatile int i = 0; i < 100; i++)
        ;
    held = host_nmis - before;
    asm volatile("stgi; nop; nop" ::: "memory");
    print(", nmi: %d, %d", held, host_nmis - before);

    BEGIN("GIF is 0 after an exit", "nop");
    run();
    before = host_interrupts;
    self_interrupt(0x60);
    asm volatile("sti; nop; nop; nop; cli" ::: "memory");
    held = host_interrupts - before;
    host_takes_interrupts();
    print(" with 0: %d, with 1: %d", held, host_interrupts - before);
    BEGIN("GIF is 0 after an invalid VMCB", "nop");
    ASID = 0;
    run();
    before = host_interrupts;
    self_interrupt(0x60);
    asm volatile("sti; nop; nop; nop; cli" ::: "memory");
    held = host_interrupts - before;
    host_takes_interrupts();
    print(" with 0: %d, with 1: %d", held, host_interrupts - before);
    if (!has_vgif)
        return;
    BEGIN("VGIF: clgi", "clgi; nop");
    INT_CTL = V_GIF_ENABLE | V_GIF | V_IRQ | V_PRIO(15) | V_VECTOR(0x41);
    go();
    BEGIN("VGIF: is 0", "sti; nop; nop");
    INT_CTL = V_GIF_ENABLE | V_IRQ | V_PRIO(15) | V_VECTOR(0x41);
    go();
    BEGIN("VGIF: stgi", "sti; nop; stgi; nop; nop");
    INT_CTL = V_GIF_ENABLE | V_IRQ | V_PRIO(15) | V_VECTOR(0x41);
    SEEN_AT->go_on = 1;
    go();
    BEGIN("VGIF: stgi intercepted", "stgi");
    misc2(4);
    INT_CTL = V_GIF_ENABLE;
    go();
    BEGIN("VGIF: is not the host's", "clgi; sti; nop");
    INT_CTL = V_GIF_ENABLE | V_GIF;
    misc1(0);
    pending(0x60);
}

void interrupt_cases(void)
{
    virtual_interrupts();
    physical_interrupts();
    global_flag();
}
