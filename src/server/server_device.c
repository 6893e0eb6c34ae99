/*
 * Devices' registers, as the CPU would read them now.
 *
 * A read may do something to the device: take a byte from a FIFO, acknowledge an interrupt. So a replica of the machine goes to where
 * the guest stands, reads there, and is not gone on with. What is told is the very value that an instruction would get that reads there next;
 * the guest is not touched. Where the outside would have to answer, nobody knows what it will say.
 */
#include <errno.h>
#include <inttypes.h>

#include "replay/query.h"
#include "server_internal.h"

#define PORTS 0x10000u

struct device_read {
    unsigned cpu;
    bool port;
    uint64_t addr;
    unsigned size;
    uint64_t value;
    bool made;
};

static void make_read(void *ctx, struct machine *m)
{
    struct device_read *d = ctx;
    struct cpu *cpu = m->cpus[d->cpu];

    d->made = cpu->ops->read_device && cpu->ops->read_device(cpu, d->port, d->addr, d->size, &d->value);
}

/* Is there anything to be read? */
static int check_place(const struct server *s, bool port, uint64_t addr, unsigned size, struct error *err)
{
    const struct region *r = port ? NULL : memory_find(&s->machine->memory, addr);

    if (port && addr + size > PORTS)
        return error_set(err, -EFAULT, "there is no port 0x%" PRIx64 " of %u bytes", addr, size);
    if (!port && (!r || !r->dev))
        return error_set(err, -EFAULT, "no memory at physical address 0x%" PRIx64, addr);
    if (!port && (addr & (PAGE_SIZE - 1)) + size > PAGE_SIZE)
        return error_set(err, -EFAULT, "0x%" PRIx64 " is a device's, and goes over the end of a page", addr);
    return 0;
}

int server_read_device(void *ctx, bool port, uint64_t addr, unsigned size, uint64_t *value, struct error *err)
{
    struct server *s = ctx;
    struct device_read d = {.cpu = s->cpu, .port = port, .addr = addr, .size = size};
    icount_t here = timeline_position(s->timeline);
    int r = check_place(s, port, addr, size, err);

    if (r == 0 && !timeline_scout(s->timeline, 0, err))
        r = err->code ? err->code : -ENOTSUP;
    if (r < 0)
        return r;
    server_begin_search(s);
    r = timeline_scout_to(s->timeline, here, err);
    server_end_search(s);
    if (r == 0)
        r = timeline_scout_try(s->timeline, make_read, &d, err);
    if (r == 0 && !d.made)
        r = error_set(err, -ENOTSUP, "the CPU has no %s", port ? "ports" : "devices that can be read");
    *value = d.value;
    return r;
}
