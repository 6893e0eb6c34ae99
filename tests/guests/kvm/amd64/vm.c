/*
 * A user of KVM on amd64 (Linux, Documentation/virt/kvm/api.rst): a guest in real mode without interrupt controllers, which uses ports and a device
 * in memory and halts; then nested.bin (argument) in 64-bit mode with KVM's interrupt controllers. Lines of the guest begin with "guest: ", its own
 * with "vm: ".
 */
#include "nested.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* What fails is told and ends the program. */
#define TRY(x)                                                \
    ({                                                        \
        long r_ = (long)(x);                                  \
        if (r_ < 0) {                                         \
            printf("vm: %s: %s\n", #x, strerror(errno));      \
            exit(1);                                          \
        }                                                     \
        r_;                                                   \
    })

struct vm {
    int kvm, fd, cpu;
    struct kvm_run *run;
    uint8_t *ram;
    char line[200];
    size_t len;
};

static uint8_t *add_memory(struct vm *v, unsigned slot, uint64_t at, size_t bytes, unsigned flags)
{
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region m = {
        .slot = slot, .flags = flags, .guest_phys_addr = at, .memory_size = bytes, .userspace_addr = (uintptr_t)memory,
    };

    TRY(memory == MAP_FAILED ? -1 : 0);
    TRY(ioctl(v->fd, KVM_SET_USER_MEMORY_REGION, &m));
    return memory;
}

static void create(struct vm *v, bool irqchip, size_t ram_bytes)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[120];
    } cpuid = {.head = {.nent = 120}};
    long size;

    memset(v, 0, sizeof(*v));
    v->kvm = (int)TRY(open("/dev/kvm", O_RDWR));
    v->fd = (int)TRY(ioctl(v->kvm, KVM_CREATE_VM, 0));
    TRY(ioctl(v->fd, KVM_SET_TSS_ADDR, 0xfffbd000));
    v->ram = add_memory(v, 0, 0, ram_bytes, 0);
    if (irqchip)
        TRY(ioctl(v->fd, KVM_CREATE_IRQCHIP, 0));
    v->cpu = (int)TRY(ioctl(v->fd, KVM_CREATE_VCPU, 0));
    TRY(ioctl(v->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid));
    TRY(ioctl(v->cpu, KVM_SET_CPUID2, &cpuid));
    size = TRY(ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    v->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->cpu, 0);
    TRY(v->run == MAP_FAILED ? -1 : 0);
}

static void destroy(struct vm *v)
{
    close(v->cpu);
    close(v->fd);
    close(v->kvm);
}

static uint64_t value_of(const void *bytes, size_t n)
{
    uint64_t value = 0;

    memcpy(&value, bytes, n);
    return value;
}

static void mmio(struct vm *v)
{
    static const uint64_t answer = DEVICE_VALUE;
    struct kvm_run *r = v->run;

    if (r->mmio.is_write)
        printf("vm: %u bytes stored at %llx: %llx\n", r->mmio.len, (unsigned long long)r->mmio.phys_addr,
               (unsigned long long)value_of(r->mmio.data, r->mmio.len));
    else
        memcpy(r->mmio.data, &answer, r->mmio.len);
}

/* ---- real mode ---- */

extern char real_begin[], real_end[];
__asm__(".section .rodata\nreal_begin:\n.code16\n"
        "movw $5, %cx\nmovw $0x300, %dx\n"
        "1: movw %cx, %ax\nmulw %cx\nmovw $0x300, %dx\noutw %ax, %dx\nloop 1b\n"
        "inb $0x40, %al\naddb $1, %al\nmovb %al, 0x2000\noutb %al, $0x41\n"
        "movw $0x9000, %sp\nint $0x21\n"
        "movw $0xd000, %ax\nmovw %ax, %es\nmovb $0x5a, %es:4\nmovw %es:6, %ax\noutw %ax, $0x42\n"
        "movw $2, %cx\nmovw $text - real_begin + 0x1000, %si\nmovw $0x43, %dx\ncld\nrep outsb\n"
        "hlt\nmovw $0x77, %ax\noutw %ax, $0x44\nhlt\n"
        ".org real_begin + 0x80\npushw %ax\nmovw $0x2121, %ax\noutw %ax, $0x45\npopw %ax\niret\n"
        "text: .ascii \"hi\"\n.code64\nreal_end:\n.text");

static void real_mode(void)
{
    struct vm v;
    struct kvm_sregs s;
    struct kvm_regs r = {.rip = 0x1000, .rflags = 2, .rsp = 0x9000};
    unsigned halts = 0;

    create(&v, false, 0xa0000);
    memcpy(v.ram + 0x1000, real_begin, (size_t)(real_end - real_begin));
    memcpy(v.ram + 0x21 * 4, (uint16_t[]){0x1080, 0}, 4);
    TRY(ioctl(v.cpu, KVM_GET_SREGS, &s));
    s.cs.base = s.cs.selector = 0;
    TRY(ioctl(v.cpu, KVM_SET_SREGS, &s));
    TRY(ioctl(v.cpu, KVM_SET_REGS, &r));
    while (halts < 2) {
        TRY(ioctl(v.cpu, KVM_RUN, 0));
        switch (v.run->exit_reason) {
        case KVM_EXIT_IO:
            if (v.run->io.direction == KVM_EXIT_IO_OUT)
                for (unsigned i = 0; i < v.run->io.count; i++)
                    printf("vm: real mode: out %x, %llx\n", v.run->io.port,
                           (unsigned long long)value_of((uint8_t *)v.run + v.run->io.data_offset + i * v.run->io.size, v.run->io.size));
            else
                memset((uint8_t *)v.run + v.run->io.data_offset, 0x33, v.run->io.size);
            break;
        case KVM_EXIT_MMIO:
            mmio(&v);
            break;
        case KVM_EXIT_HLT:
            TRY(ioctl(v.cpu, KVM_GET_REGS, &r));
            printf("vm: real mode: halted, AX %llx, CX %llx, %x in memory\n", r.rax & 0xffff, r.rcx & 0xffff, v.ram[0x2000]);
            halts++;
            break;
        default:
            printf("vm: real mode: exit %u\n", v.run->exit_reason);
            exit(1);
        }
    }
    destroy(&v);
}

/* ---- 64 bits ---- */

static void load(struct vm *v, const char *name)
{
    int fd = (int)TRY(open(name, O_RDONLY));

    TRY(read(fd, v->ram + CODE_AT, RAM_BYTES / 2 - CODE_AT));
    close(fd);
}

static void long_mode(struct vm *v)
{
    static const uint64_t gdt[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff};
    struct kvm_segment code = {.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_regs r = {.rip = CODE_AT, .rflags = 2, .rsp = STACK_TOP};
    uint64_t *pml4 = (uint64_t *)(v->ram + TABLES_AT), *pdpt = pml4 + 512, *pd = pdpt + 512;
    struct kvm_sregs s;

    memcpy(v->ram + GDT_AT, gdt, sizeof(gdt));
    pml4[0] = (TABLES_AT + 0x1000) | 7;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = (TABLES_AT + 0x2000 + 0x1000 * i) | 7;
    for (uint64_t i = 0; i < 2048; i++)
        pd[i] = i << 21 | 0x87;
    TRY(ioctl(v->cpu, KVM_GET_SREGS, &s));
    s.cs = code;
    s.ds = s.es = s.ss = s.fs = s.gs = data;
    s.gdt.base = GDT_AT;
    s.gdt.limit = 0x7f;
    s.cr3 = TABLES_AT;
    s.cr4 = 0x620;
    s.cr0 = 0x80010031;
    s.efer = 0xd00;
    TRY(ioctl(v->cpu, KVM_SET_SREGS, &s));
    TRY(ioctl(v->cpu, KVM_SET_REGS, &r));
}

static void put(struct vm *v, char c)
{
    if (c != '\n') {
        v->line[v->len++ % sizeof(v->line)] = c;
        return;
    }
    printf("guest: %.*s\n", (int)v->len, v->line);
    v->len = 0;
}

/* The end's status, or -1. */
static int port(struct vm *v)
{
    struct kvm_run *r = v->run;
    uint8_t *data = (uint8_t *)r + r->io.data_offset;
    struct kvm_irq_level line = {.irq = *data, .level = 1};

    switch (r->io.port) {
    case CONSOLE:
        for (unsigned i = 0; i < r->io.count; i++)
            put(v, (char)data[i]);
        return -1;
    case IRQ_PORT:
        TRY(ioctl(v->fd, KVM_IRQ_LINE, &line));
        line.level = 0;
        TRY(ioctl(v->fd, KVM_IRQ_LINE, &line));
        return -1;
    case NMI_PORT:
        TRY(ioctl(v->cpu, KVM_NMI));
        return -1;
    case END_PORT:
        return *data;
    default:
        printf("vm: port %x\n", r->io.port);
        return -1;
    }
}

/* Is the host QEMU's emulator? */
static bool in_tcg(void)
{
    unsigned a, b, c, d;

    __cpuid(0x40000000, a, b, c, d);
    return b == 0x54474354;
}

static int wide_mode(const char *name)
{
    struct vm v;
    int status = -1;
    uint8_t *read_only;

    create(&v, true, RAM_BYTES);
    load(&v, name);
    long_mode(&v);
    v.ram[CAREFUL_AT] = in_tcg();
    read_only = add_memory(&v, 1, READ_ONLY_AT, 0x1000, KVM_MEM_READONLY);
    memcpy(read_only, "\x22\x22", 2);
    while (status < 0) {
        TRY(ioctl(v.cpu, KVM_RUN, 0));
        switch (v.run->exit_reason) {
        case KVM_EXIT_IO:
            status = port(&v);
            break;
        case KVM_EXIT_MMIO:
            mmio(&v);
            break;
        default:
            printf("vm: exit %u, %llx %llx\n", v.run->exit_reason, v.run->internal.suberror + 0ull,
                   (unsigned long long)v.run->hw.hardware_exit_reason);
            status = 2;
        }
    }
    destroy(&v);
    return status;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    real_mode();
    printf("vm: status %d\n", wide_mode(argc > 1 ? argv[1] : "/nested.bin"));
    return 0;
}
