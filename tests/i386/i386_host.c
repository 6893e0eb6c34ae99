#include "i386_host.h"

#include <string.h>

#if defined(__x86_64__) && defined(__linux__)

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* The passage. It is copied below 4 GiB, so it addresses its data by RIP. */
__asm__(
    ".pushsection .text\n"
    "host32_blob:\n"
    "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "    mov %rsp, blob_rsp(%rip)\n"
    "    mov $0x2b, %eax; mov %eax, %ds; mov %eax, %es\n"
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
    "host32_blob_end:\n"
    ".popsection\n");
extern const char host32_blob[], host32_blob_end[], blob_exit[], blob_eflags[], blob_gpr[], blob_target[];

static uint8_t *passage;
static uint32_t fault_vector, fault_error, fault_eip;

static void *in_passage(const char *symbol)
{
    return passage + (symbol - host32_blob);
}

/* A fault in 32-bit code: note it and leave as if by the leaving code. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;

    (void)info;
    if ((g[REG_CSGSFS] & 0xffff) != HOST32_CS) {
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

bool host32_init(uint32_t base, uint32_t size)
{
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
    static uint8_t signal_stack[65536];
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    void *want = (void *)(uintptr_t)base;

    if (mmap(want, size + 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != want)
        return false;
    passage = (uint8_t *)want + size;
    memcpy(passage, host32_blob, (size_t)(host32_blob_end - host32_blob));
    if (sigaltstack(&stack, NULL) != 0)
        return false;
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    return true;
}

void host32_leave(uint8_t *at)
{
    uint32_t to = (uint32_t)(uintptr_t)in_passage(blob_exit);

    at[0] = 0xea;
    memcpy(at + 1, &to, 4);
    at[5] = 0x33;
    at[6] = 0;
}

void host32_run(struct host32_regs *r)
{
    uint64_t eflags = r->eflags;
    uint32_t *gpr = in_passage(blob_gpr);

    memcpy(gpr, r->gpr, sizeof r->gpr);
    memcpy(in_passage(blob_eflags), &eflags, 8);
    memcpy(in_passage(blob_target), &r->eip, 4);
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

#else

bool host32_init(uint32_t base, uint32_t size)
{
    (void)base;
    (void)size;
    return false;
}

void host32_leave(uint8_t *at)
{
    (void)at;
}

void host32_run(struct host32_regs *r)
{
    (void)r;
}

#endif
