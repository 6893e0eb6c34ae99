/*
 * A user of KVM on arm64 (Linux, Documentation/virt/kvm/api.rst): makes a virtual machine with a vGIC (v3, else v2)
 * and one VCPU with PSCI 0.2, runs nested.bin in it, and tells what it is asked for by exits.
 *
 *   vm NESTED.BIN
 *   vm IMAGE INITRD DTB
 *
 * The second starts a Linux with 128 MiB at 40000000, in huge pages where the host has them; its console is a
 * PL011's data register at CONSOLE (earlycon=pl011,mmio,0x9000000 keep_bootcon), and
 * initrd=0x46000000,BYTES among its words. Lines of the guest begin with "guest: ", its own with "vm: ". Exit
 * status 0: the guest has called SYSTEM_OFF.
 * Runs on any arm64 Linux with /dev/kvm; of the machine it asks nothing but a GIC. Adding a command: nested.h.
 */
#include "nested.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* What fails is told and ends the program. */
#define TRY(x)                                                                                     \
    ({                                                                                             \
        long r_ = (long)(x);                                                                       \
        if (r_ < 0) {                                                                              \
            printf("vm: %s: %s\n", #x, strerror(errno));                                           \
            exit(1);                                                                               \
        }                                                                                          \
        r_;                                                                                        \
    })

#define CORE(reg) (KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(reg))
#define CORE_64(reg) (CORE(reg) | KVM_REG_SIZE_U64)

/* A virtual machine. */
struct vm {
    int kvm;              /* /dev/kvm */
    int fd;               /* the machine */
    int cpu;              /* its VCPU */
    struct kvm_run *run;  /* what KVM_RUN leaves */
    uint8_t *ram;         /* slot 0 */
    unsigned gic;         /* 2 or 3 */
    bool is_linux;        /* its devices are a PL011's data register and nothing */
    unsigned steps;       /* steps to be told yet */
    const char *name;     /* before its lines */
    char line[200];       /* that it is printing */
    size_t len;           /* of line */
};

#define LINUX_AT 0x40000000u
#define LINUX_BYTES 0x8000000u
#define IMAGE_AT 0x200000u  /* from there: 2 MiB aligned (Documentation/arm64/booting.rst) */
#define INITRD_AT 0x6000000u

static const char *image_name;

static void set_reg(struct vm *v, uint64_t id, const void *value)
{
    struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)value};

    TRY(ioctl(v->cpu, KVM_SET_ONE_REG, &r));
}

static void get_reg(struct vm *v, uint64_t id, void *value)
{
    struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)value};

    TRY(ioctl(v->cpu, KVM_GET_ONE_REG, &r));
}

static uint64_t get_pc(struct vm *v)
{
    uint64_t pc;

    get_reg(v, CORE_64(regs.pc), &pc);
    return pc;
}

/* In pages of 4 KiB, that each is seen to come; the memory of Linux in huge ones if possible. */
static uint8_t *add_memory(struct vm *v, unsigned slot, uint64_t at, size_t bytes, unsigned flags)
{
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region m = {
        .slot = slot, .flags = flags, .guest_phys_addr = at, .memory_size = bytes, .userspace_addr = (uintptr_t)memory,
    };

    TRY(memory == MAP_FAILED ? -1 : 0);
    madvise(memory, bytes, bytes == LINUX_BYTES ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    TRY(ioctl(v->fd, KVM_SET_USER_MEMORY_REGION, &m));
    return memory;
}

static void set_device(int device, unsigned group, uint64_t attr, const void *value)
{
    struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};

    TRY(ioctl(device, KVM_SET_DEVICE_ATTR, &a));
}

/* Version 3 where KVM offers it, else version 2. */
static void add_gic(struct vm *v)
{
    struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
    uint64_t dist = GICD_AT, cpu = GICC_AT, redist = GICR_AT;
    uint32_t irqs = 64;

    v->gic = 3;
    if (ioctl(v->fd, KVM_CREATE_DEVICE, &d) < 0) {
        v->gic = 2;
        d.type = KVM_DEV_TYPE_ARM_VGIC_V2;
        TRY(ioctl(v->fd, KVM_CREATE_DEVICE, &d));
        set_device((int)d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, &dist);
        set_device((int)d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, &cpu);
    } else {
        set_device((int)d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist);
        set_device((int)d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist);
    }
    set_device((int)d.fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs);
    set_device((int)d.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
}

/* A file into the memory from `at` on. */
static void load(struct vm *v, const char *name, size_t at, size_t ram_bytes)
{
    int fd = (int)TRY(open(name, O_RDONLY));
    ssize_t n;

    while ((n = TRY(read(fd, v->ram + at, ram_bytes - at))) > 0)
        at += (size_t)n;
    close(fd);
}

static void create(struct vm *v, const char *name, uint64_t ram_at, size_t ram_bytes)
{
    struct kvm_vcpu_init init;
    long size;

    *v = (struct vm){.name = name};
    v->kvm = (int)TRY(open("/dev/kvm", O_RDWR));
    v->fd = (int)TRY(ioctl(v->kvm, KVM_CREATE_VM, 0));
    v->ram = add_memory(v, 0, ram_at, ram_bytes, 0);
    v->cpu = (int)TRY(ioctl(v->fd, KVM_CREATE_VCPU, 0));
    add_gic(v);
    TRY(ioctl(v->fd, KVM_ARM_PREFERRED_TARGET, &init));
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
    TRY(ioctl(v->cpu, KVM_ARM_VCPU_INIT, &init));
    size = TRY(ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    v->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->cpu, 0);
    TRY(v->run == MAP_FAILED ? -1 : 0);
}

static void start_at(struct vm *v, uint64_t pc, uint64_t x0, uint64_t x1)
{
    uint64_t count = COUNTER_START;

    set_reg(v, CORE_64(regs.pc), &pc);
    set_reg(v, CORE_64(regs.regs[0]), &x0);
    set_reg(v, CORE_64(regs.regs[1]), &x1);
    set_reg(v, KVM_REG_ARM_TIMER_CNT, &count);
}

static void create_nested(struct vm *v, const char *name, uint64_t neighbour)
{
    create(v, name, RAM_AT, RAM_BYTES);
    load(v, image_name, 0, RAM_BYTES);
    start_at(v, RAM_AT, v->gic, neighbour);
}

static void create_linux(struct vm *v, char **files)
{
    create(v, "guest", LINUX_AT, LINUX_BYTES);
    v->is_linux = true;
    load(v, files[0], IMAGE_AT, LINUX_BYTES);
    load(v, files[1], INITRD_AT, LINUX_BYTES);
    load(v, files[2], 0, LINUX_BYTES);
    start_at(v, LINUX_AT + IMAGE_AT, LINUX_AT, 0);
}

static void destroy(struct vm *v)
{
    close(v->cpu);
    close(v->fd);
    close(v->kvm);
}

static void debug(struct vm *v, struct kvm_guest_debug *d)
{
    TRY(ioctl(v->cpu, KVM_SET_GUEST_DEBUG, d));
}

static void dirty_pages(struct vm *v)
{
    uint64_t pages = 0;
    struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = &pages};

    TRY(ioctl(v->fd, KVM_GET_DIRTY_LOG, &log));
    printf("vm: dirty pages: %llx\n", (unsigned long long)pages);
}

static void resident(struct vm *v, uint64_t ipa)
{
    unsigned char there = 0;

    TRY(mincore(v->ram + (ipa - RAM_AT), 4096, &there));
    printf("vm: the page at %llx is %s\n", (unsigned long long)ipa, there & 1 ? "there" : "not there");
}

/* The host's own use of the registers must not be seen by the guest, nor the guest's by the host. */
static void clobber(struct vm *v)
{
    uint64_t v5[2], kept;
    uint32_t fpcr;

    __asm__ volatile(
        "movi v0.16b, #0xee\n\tmov v5.16b, v0.16b\n\tmov v8.16b, v0.16b\n\tmov v15.16b, v0.16b\n\tmov v31.16b, v0.16b\n\t"
        "msr fpcr, xzr\n\tmsr fpsr, xzr" ::: "v0", "v5", "v8", "v15", "v31");
    get_reg(v, CORE(fp_regs.vregs[5]) | KVM_REG_SIZE_U128, v5);
    get_reg(v, CORE(fp_regs.fpcr) | KVM_REG_SIZE_U32, &fpcr);
    __asm__ volatile("fmov %0, d31" : "=r"(kept));
    printf("vm: V5 is %llx:%llx, FPCR %x; here D31 is %llx\n", (unsigned long long)v5[1], (unsigned long long)v5[0], fpcr,
           (unsigned long long)kept);
}

static int run(struct vm *v);

static void neighbour(void)
{
    struct vm v;

    create_nested(&v, "neighbour", 1);
    run(&v);
    destroy(&v);
}

static void command(struct vm *v, uint64_t value)
{
    uint64_t argument = value & 0xffffffffffffff;
    struct kvm_irq_level irq = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | SPI, .level = (uint32_t)argument};
    struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE};

    switch (value >> 56) {
    case LEVEL:
        TRY(ioctl(v->fd, KVM_IRQ_LINE, &irq));
        return;
    case RESIDENT:
        resident(v, argument);
        return;
    case DIRTY:
        dirty_pages(v);
        return;
    case CLOBBER:
        clobber(v);
        return;
    case STEP:
        v->steps = (unsigned)argument;
        d.control |= KVM_GUESTDBG_SINGLESTEP;
        break;
    case BREAK_AT:
        d.control |= KVM_GUESTDBG_USE_HW;
        d.arch.dbg_bvr[0] = argument;
        d.arch.dbg_bcr[0] = 0xf << 5 | 3 << 1 | 1; /* A64, EL1 and EL0, enabled */
        break;
    case WATCH:
        d.control |= KVM_GUESTDBG_USE_HW;
        d.arch.dbg_wvr[0] = argument;
        d.arch.dbg_wcr[0] = 0xff << 5 | 2 << 3 | 3 << 1 | 1; /* eight bytes, stores */
        break;
    case BRK:
        d.control |= KVM_GUESTDBG_USE_SW_BP;
        break;
    case NEIGHBOUR:
        neighbour();
        return;
    default:
        printf("vm: command %llx\n", (unsigned long long)value);
        return;
    }
    debug(v, &d);
}

static void print(struct vm *v, char c)
{
    if (c == '\r')
        return;
    if (c != '\n' && v->len < sizeof(v->line)) {
        v->line[v->len++] = c;
        return;
    }
    printf("%s: %.*s\n", v->name, (int)v->len, v->line);
    v->len = 0;
}

static void mmio_write(struct vm *v, uint64_t at, uint64_t value, unsigned len)
{
    if (at == CONSOLE)
        print(v, (char)value);
    else if (v->is_linux)
        return;
    else if (at == DOORBELL)
        command(v, value);
    else
        printf("vm: %u bytes stored at %llx: %llx\n", len, (unsigned long long)at, (unsigned long long)value);
}

/* Memory for the addresses that the guest has just read. */
static void give_memory(struct vm *v, uint64_t at)
{
    unsigned flags = at == READ_ONLY_AT ? KVM_MEM_READONLY : KVM_MEM_LOG_DIRTY_PAGES;
    size_t bytes = at == READ_ONLY_AT ? 4096 : DEMAND_BYTES;
    uint8_t *memory = add_memory(v, at == READ_ONLY_AT ? 2 : 1, at, bytes, flags);

    for (size_t i = 0; i < bytes; i += 4)
        memcpy(memory + i, &(uint32_t){0xd0000000 | (uint32_t)i}, 4);
    printf("vm: memory at %llx from now on\n", (unsigned long long)at);
}

static uint64_t mmio_read(struct vm *v, uint64_t at)
{
    if (v->is_linux)
        return 0;
    if (at == SENSOR)
        return SENSOR_VALUE;
    if (at >= DEMAND_AT && at < DEMAND_AT + DEMAND_BYTES) {
        give_memory(v, DEMAND_AT);
        return 0x1111;
    }
    if (at == READ_ONLY_AT) {
        give_memory(v, READ_ONLY_AT);
        return 0x2222;
    }
    printf("vm: read of %llx\n", (unsigned long long)at);
    return 0;
}

static void debug_exit(struct vm *v)
{
    unsigned class = v->run->debug.arch.hsr >> 26;
    uint64_t pc = get_pc(v);

    printf("vm: debug exit at %llx, class %x", (unsigned long long)pc, class);
    if (class == 0x34)
        printf(", address %llx", (unsigned long long)v->run->debug.arch.far);
    printf("\n");
    if (v->steps && --v->steps)
        return;
    debug(v, &(struct kvm_guest_debug){0});
    if (class == 0x3c) { /* BRK */
        pc += 4;
        set_reg(v, CORE_64(regs.pc), &pc);
    }
}

/* Until the guest ends: 0: by SYSTEM_OFF. */
static int run(struct vm *v)
{
    for (;;) {
        uint64_t value = 0;

        TRY(ioctl(v->cpu, KVM_RUN, 0));
        switch (v->run->exit_reason) {
        case KVM_EXIT_MMIO:
            memcpy(&value, v->run->mmio.data, v->run->mmio.len);
            if (v->run->mmio.is_write) {
                mmio_write(v, v->run->mmio.phys_addr, value, v->run->mmio.len);
                break;
            }
            value = mmio_read(v, v->run->mmio.phys_addr);
            memcpy(v->run->mmio.data, &value, v->run->mmio.len);
            break;
        case KVM_EXIT_DEBUG:
            debug_exit(v);
            break;
        default:
            printf("vm: %s: exit %u, type %u\n", v->name, v->run->exit_reason, v->run->system_event.type);
            return v->run->exit_reason != KVM_EXIT_SYSTEM_EVENT || v->run->system_event.type != KVM_SYSTEM_EVENT_SHUTDOWN;
        }
    }
}

int main(int argc, char **argv)
{
    struct vm v;
    int status;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2 && argc != 4)
        return 2;
    image_name = argv[1];
    if (argc == 2)
        create_nested(&v, "guest", 0);
    else
        create_linux(&v, argv + 1);
    printf("vm: the guest starts\n");
    status = run(&v);
    destroy(&v);
    return status;
}
