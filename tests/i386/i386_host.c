#include "i386_host.h"

#include <string.h>

#if defined(__x86_64__) && defined(__linux__)

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <asm/ldt.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* The LDT's first two descriptors. */
#define HOST16_CS 0x07
#define HOST16_DS 0x0f

/* The passage. It is copied below 4 GiB, so it addresses its data by RIP. */
__asm__(
    ".pushsection .text\n"
    "host32_blob:\n"
    "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "    mov %rsp, blob_rsp(%rip)\n"
    "    mov blob_data(%rip), %eax; mov %eax, %ds; mov %eax, %es\n"
    "    pushq blob_eflags(%rip); popfq\n"
    "    mov blob_gpr+0(%rip), %eax; mov blob_gpr+4(%rip), %ecx; mov blob_gpr+8(%rip), %edx\n"
    "    mov blob_gpr+12(%rip), %ebx; mov blob_gpr+20(%rip), %ebp; mov blob_gpr+24(%rip), %esi\n"
    "    mov blob_gpr+28(%rip), %edi; mov blob_gpr+16(%rip), %esp\n"
    "    ljmpl *blob_target(%rip)\n"
    "blob_exit:\n"
    "    mov %eax, blob_gpr+0(%rip); mov %ecx, blob_gpr+4(%rip); mov %edx, blob_gpr+8(%rip)\n"
    "    mov %ebx, blob_gpr+12(%rip); mov %esp, blob_gpr+16(%rip); mov %ebp, blob_gpr+20(%rip)\n"
    "    mov %esi, blob_gpr+24(%rip); mov %edi, blob_gpr+28(%rip)\n"
    "    mov blob_rsp(%rip), %rsp\n"
    "    pushfq; popq blob_eflags(%rip)\n"
    "    pushq $2; popfq\n"
    "    xor %eax, %eax; mov %eax, %ds; mov %eax, %es\n"
    "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "    ret\n"
    ".balign 16\n"
    "blob_rsp:    .quad 0\n"
    "blob_eflags: .quad 0\n"
    "blob_gpr:    .fill 8, 4, 0\n"
    "blob_target: .long 0; .word 0x23; .word 0\n"
    "blob_data:   .long 0x2b\n"
    "host32_blob_end:\n"
    ".popsection\n");
extern const char host32_blob[], host32_blob_end[], blob_exit[], blob_eflags[], blob_gpr[], blob_target[], blob_data[];

static uint8_t *passage;
static uint32_t fault_vector, fault_error, fault_eip;

static uint8_t *in_passage(const char *symbol)
{
    return passage + (symbol - host32_blob);
}

/* ---- 64-bit code ---- */

static struct host64_regs *run64; /* whose code is in progress; else NULL */
static uint64_t stack64 __attribute__((used));

void host64_enter(const struct host64_regs *r);
extern const char host64_resume[];
__asm__(".text\n.globl host64_enter\nhost64_enter:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, stack64(%rip)\n"
        "    push 128(%rdi); push 136(%rdi); popfq\n"
        "    mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
        "    mov 40(%rdi), %rbp; mov 48(%rdi), %rsi; mov 64(%rdi), %r8; mov 72(%rdi), %r9\n"
        "    mov 80(%rdi), %r10; mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13\n"
        "    mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
        "    popq target64(%rip)\n"
        "    mov 32(%rdi), %rsp; mov 56(%rdi), %rdi\n"
        "    jmp *target64(%rip)\n"
        ".globl host64_resume\nhost64_resume:\n"
        "    cld\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n"
        ".pushsection .bss\ntarget64: .quad 0\n.popsection\n");

/* It is over: keep the registers, and return from host64_enter(). */
static void leave64(ucontext_t *uc, const siginfo_t *info)
{
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    greg_t *g = uc->uc_mcontext.gregs;

    for (unsigned n = 0; n < 16; n++)
        run64->gpr[n] = (uint64_t)g[order[n]];
    run64->rip = (uint64_t)g[REG_RIP];
    run64->rflags = (uint64_t)g[REG_EFL];
    run64->vector = (uint64_t)g[REG_TRAPNO];
    run64->error = (uint64_t)g[REG_ERR];
    run64->address = (uint64_t)(uintptr_t)info->si_addr;
    run64 = NULL;
    g[REG_RIP] = (greg_t)(uintptr_t)host64_resume;
    g[REG_RSP] = (greg_t)stack64;
    g[REG_EFL] &= ~(greg_t)0x40500; /* AC, DF, TF */
}

void host64_run(struct host64_regs *r)
{
    run64 = r;
    host64_enter(r);
}

/* ---- signals ---- */

/* A fault in 32-bit code: note it and leave as if by the leaving code. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;

    if (run64) {
        leave64(uc, info);
        return;
    }
    if ((g[REG_CSGSFS] & 0xffff) != HOST32_CS && (g[REG_CSGSFS] & 0xffff) != HOST16_CS) {
        static const char text[] = "host32: a signal outside of 32-bit code\n";

        if (write(2, text, sizeof text - 1) < 0)
            _exit(3);
        signal(sig, SIG_DFL);
        return;
    }
    fault_vector = (uint32_t)g[REG_TRAPNO];
    fault_error = (uint32_t)g[REG_ERR];
    fault_eip = (uint32_t)g[REG_RIP];
    g[REG_RIP] = (greg_t)(uintptr_t)in_passage(blob_exit);
    g[REG_CSGSFS] = (g[REG_CSGSFS] & ~(greg_t)0xffff) | 0x33;
}

static bool catch_signals(void)
{
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
    static uint8_t signal_stack[65536];
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    if (sigaltstack(&stack, NULL) != 0)
        return false;
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    return true;
}

static bool map(uint64_t base, uint32_t size)
{
    void *want = (void *)(uintptr_t)base;

    return mmap(want, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == want;
}

/* Does the kernel let anybody run 32-bit code? Whoever tries may die. */
static bool host32_runs(uint32_t base, uint32_t size)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct host32_regs r = {.gpr = {[4] = base + size}, .eip = base, .eflags = 2};
        int nowhere = open("/dev/null", O_WRONLY);

        dup2(nowhere, 2);
        host32_leave((uint8_t *)(uintptr_t)base);
        host32_run(&r);
        _exit(r.vector != HOST32_DONE);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool host32_init(uint32_t base, uint32_t size)
{
    if (!map(base, size + 4096))
        return false;
    passage = (uint8_t *)(uintptr_t)base + size;
    memcpy(passage, host32_blob, (size_t)(host32_blob_end - host32_blob));
    return catch_signals() && host32_runs(base, size);
}

bool host64_init(uint64_t base, uint32_t size)
{
    return map(base, size) && catch_signals();
}

void host32_leave(uint8_t *at)
{
    uint32_t to = (uint32_t)(uintptr_t)in_passage(blob_exit);

    at[0] = 0xea;
    memcpy(at + 1, &to, 4);
    at[5] = 0x33;
    at[6] = 0;
}

static bool set_ldt(unsigned entry, uint32_t base, unsigned contents)
{
    struct user_desc d = {.entry_number = entry, .base_addr = base, .limit = 0xffff, .contents = contents & 3u};

    return syscall(SYS_modify_ldt, 0x11, &d, sizeof d) == 0;
}

bool host16_init(uint32_t base)
{
    return set_ldt(HOST16_CS >> 3, base, MODIFY_LDT_CONTENTS_CODE) && set_ldt(HOST16_DS >> 3, base, MODIFY_LDT_CONTENTS_DATA);
}

static void run_segments(struct host32_regs *r, uint16_t code, uint32_t data)
{
    uint64_t eflags = r->eflags;
    uint8_t *gpr = in_passage(blob_gpr);

    memcpy(gpr, r->gpr, sizeof r->gpr);
    memcpy(in_passage(blob_eflags), &eflags, 8);
    memcpy(in_passage(blob_target), &r->eip, 4);
    memcpy(in_passage(blob_target) + 4, &code, 2);
    memcpy(in_passage(blob_data), &data, 4);
    fault_vector = HOST32_DONE;
    fault_error = 0;
    fault_eip = 0;
    ((void (*)(void))(uintptr_t)passage)();
    memcpy(r->gpr, gpr, sizeof r->gpr);
    memcpy(&r->eflags, in_passage(blob_eflags), 4);
    r->eip = fault_eip;
    r->vector = fault_vector;
    r->error = fault_error;
}

void host32_run(struct host32_regs *r)
{
    run_segments(r, HOST32_CS, HOST32_DS);
}

void host16_run(struct host32_regs *r)
{
    run_segments(r, HOST16_CS, HOST16_DS);
}

#else

bool host32_init(uint32_t base, uint32_t size)
{
    (void)base;
    (void)size;
    return false;
}

bool host64_init(uint64_t base, uint32_t size)
{
    (void)base;
    (void)size;
    return false;
}

void host64_run(struct host64_regs *r)
{
    (void)r;
}

void host32_leave(uint8_t *at)
{
    (void)at;
}

void host32_run(struct host32_regs *r)
{
    (void)r;
}

bool host16_init(uint32_t base)
{
    (void)base;
    return false;
}

void host16_run(struct host32_regs *r)
{
    (void)r;
}

#endif
