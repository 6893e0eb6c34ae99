/*
 * Power control for a machine that comes without Secure firmware: PSCI 1.1
 * (ARM DEN 0022) and the queries of the SMC calling convention (ARM DEN
 * 0028), by HVC, or by SMC where a hypervisor may run (EL2 exists).
 *
 * CPU_SUSPEND is a WFI that keeps all state, whatever state was asked for. Where an address is that of no memory, it and
 * CPU_ON refuse it. CPU_ON takes effect
 * at once. A machine of which all CPUs are off is one that nothing wakes any more. Of CPUs that a spin-table releases
 * it says that they are on, as they are; machine power-off and reset are its own as before.
 *
 * Not modelled: MEM_PROTECT, statistics, OS-initiated mode. Unknown calls give
 * NOT_SUPPORTED. To extend: a case in call(), and a name in is_known().
 */
#include "aarch64/virt/board.h"

enum {
    PSCI_VERSION = 0x84000000, CPU_SUSPEND_32 = 0x84000001, CPU_OFF = 0x84000002, CPU_ON_32 = 0x84000003,
    AFFINITY_INFO_32 = 0x84000004, MIGRATE_32 = 0x84000005, MIGRATE_INFO_TYPE = 0x84000006,
    SYSTEM_OFF = 0x84000008, SYSTEM_RESET = 0x84000009, PSCI_FEATURES = 0x8400000a, SYSTEM_RESET2_32 = 0x84000012,
    SMCCC_VERSION = 0x80000000, SMCCC_ARCH_FEATURES = 0x80000001,
};
/* The 64-bit variant of a function. */
#define SMC64 0x40000000u

#define SUCCESS            0
#define NOT_SUPPORTED      (-1)
#define INVALID_PARAMETERS (-2)
#define ALREADY_ON         (-4)
#define INVALID_ADDRESS    (-9)

#define VERSION_1_1 0x10001
#define TOS_NOT_PRESENT 2
#define RESERVED_POWER_STATE 0xfcfe0000u /* the original format of CPU_SUSPEND's state */
#define POWER_DOWN           0x00010000u

static bool is_known(uint32_t fn)
{
    switch (fn & ~SMC64) {
    case CPU_SUSPEND_32: case CPU_ON_32: case AFFINITY_INFO_32: case SYSTEM_RESET2_32:
        return true;
    default:
        break;
    }
    switch (fn) {
    case PSCI_VERSION: case CPU_OFF: case MIGRATE_INFO_TYPE: case SYSTEM_OFF: case SYSTEM_RESET: case PSCI_FEATURES:
    case SMCCC_VERSION: case SMCCC_ARCH_FEATURES:
        return true;
    default:
        return false;
    }
}

/* The CPU that MPIDR's affinity fields name, or NULL. */
static struct a64_cpu *find_cpu(const struct virt *v, uint64_t affinity)
{
    for (unsigned n = 0; n < v->machine->ncpus; n++)
        if ((virt_cpu(v, n)->mpidr & UINT64_C(0xff00ffffff)) == affinity)
            return virt_cpu(v, n);
    return NULL;
}

/* AFFINITY_INFO (5.1.5): 0: at least one of the CPUs whose affinity fields from `level` on are these is on; 1: all are off. */
static int64_t affinity_info(const struct virt *v, uint64_t affinity, uint32_t level)
{
    static const uint64_t fields[4] = {0xff00ffffff, 0xff00ffff00, 0xff00ff0000, 0xff00000000};
    bool found = false;

    if (level > 3 || (affinity & ~fields[0]))
        return INVALID_PARAMETERS;
    for (unsigned n = 0; n < v->machine->ncpus; n++) {
        const struct a64_cpu *c = virt_cpu(v, n);

        if ((c->mpidr ^ affinity) & fields[level])
            continue;
        if (!a64_is_off(c))
            return 0;
        found = true;
    }
    return found ? 1 : INVALID_PARAMETERS;
}

/* Can a CPU begin there: at an instruction in memory that is not Secure? */
static bool is_entry(const struct virt *v, uint64_t entry)
{
    const struct region *r = memory_find(&v->machine->memory, entry);

    return !(entry & 3) && r && !r->secure && memory_page_of(&v->machine->memory, entry) != UINT32_MAX;
}

static int64_t cpu_suspend(struct virt *v, struct a64_cpu *c, uint32_t state, uint64_t entry)
{
    if (state & RESERVED_POWER_STATE)
        return INVALID_PARAMETERS;
    if ((state & POWER_DOWN) && !is_entry(v, entry))
        return INVALID_ADDRESS;
    a64_wait_for_interrupt(c);
    return SUCCESS;
}

static int64_t cpu_on(struct virt *v, uint64_t affinity, uint64_t entry, uint64_t context)
{
    struct a64_cpu *c = find_cpu(v, affinity);

    if (!c)
        return INVALID_PARAMETERS;
    if (!a64_is_off(c))
        return ALREADY_ON;
    if (!is_entry(v, entry))
        return INVALID_ADDRESS;
    a64_switch_on(c, v->config.virtualization ? 2 : 1, entry, context);
    return SUCCESS;
}

static int64_t call(struct virt *v, struct a64_cpu *cpu, uint32_t fn, const uint64_t *x)
{
    uint64_t target = fn & SMC64 ? x[1] : (uint32_t)x[1];

    if (!is_known(fn))
        return NOT_SUPPORTED;
    switch (fn & ~SMC64) {
    case SMCCC_VERSION:
        return VERSION_1_1;
    case SMCCC_ARCH_FEATURES:
        return (uint32_t)x[1] == SMCCC_VERSION || (uint32_t)x[1] == SMCCC_ARCH_FEATURES ? SUCCESS : NOT_SUPPORTED;
    case PSCI_VERSION:
        return VERSION_1_1;
    case CPU_SUSPEND_32:
        return cpu_suspend(v, cpu, (uint32_t)x[1], fn & SMC64 ? x[2] : (uint32_t)x[2]);
    case CPU_OFF:
        a64_switch_off(cpu);
        return SUCCESS;
    case CPU_ON_32:
        return fn & SMC64 ? cpu_on(v, target, x[2], x[3]) : cpu_on(v, target, (uint32_t)x[2], (uint32_t)x[3]);
    case AFFINITY_INFO_32:
        return affinity_info(v, target, (uint32_t)x[2]);
    case MIGRATE_INFO_TYPE:
        return TOS_NOT_PRESENT;
    case SYSTEM_OFF:
        machine_end(v->machine, GUEST_POWEROFF, 0);
        return SUCCESS;
    case SYSTEM_RESET:
        machine_request_reset(v->machine);
        return SUCCESS;
    case SYSTEM_RESET2_32:
        if ((uint32_t)x[1] != 0 && !(x[1] >> 31 & 1u))
            return INVALID_PARAMETERS;
        machine_request_reset(v->machine);
        return SUCCESS;
    case PSCI_FEATURES:
        return is_known((uint32_t)x[1]) ? SUCCESS : NOT_SUPPORTED;
    default:
        return NOT_SUPPORTED;
    }
}

bool virt_firmware_call(void *ctx, struct a64_cpu *cpu, bool smc)
{
    struct virt *v = ctx;

    if (v->psci != (smc ? PSCI_SMC : PSCI_HVC))
        return false;
    cpu->st->x[0] = (uint64_t)call(v, cpu, (uint32_t)cpu->st->x[0], cpu->st->x);
    return true;
}
