/* Lines of memory whose next writer a CPU wants to know of. See line.h. */
#include "vm/line.h"

#include "vm/machine.h"

/* Does the CPU hear of a write made now? */
static bool listens(const struct cpu *cpu)
{
    return cpu->line != LINE_NONE && (!cpu->running || cpu->own_line);
}

static bool overlaps(const struct cpu *cpu, uint32_t page, unsigned offset, unsigned len)
{
    uint64_t first = (uint64_t)page << PAGE_SHIFT | offset;

    return first < cpu->line + LINE_BYTES && cpu->line < first + len;
}

void line_watch(struct cpu *cpu, paddr_t pa)
{
    struct memory *m = &cpu->machine->memory;
    uint32_t page = pa == LINE_NONE ? UINT32_MAX : memory_page_of(m, pa);

    cpu->line = LINE_NONE;
    if (page == UINT32_MAX)
        return;
    cpu->line = (uint64_t)page << PAGE_SHIFT | (pa & ~PAGE_MASK & ~(paddr_t)(LINE_BYTES - 1));
    memory_flag_line(m, page);
}

void line_renew(struct machine *m)
{
    for (unsigned i = 0; i < m->ncpus; i++)
        if (m->cpus[i]->ops->line)
            line_watch(m->cpus[i], m->cpus[i]->ops->line(m->cpus[i]));
}

bool line_is_watched(const struct machine *m, uint32_t page, unsigned offset, unsigned len)
{
    for (unsigned i = 0; i < m->ncpus; i++)
        if (listens(m->cpus[i]) && overlaps(m->cpus[i], page, offset, len))
            return true;
    return false;
}

void line_touch(struct machine *m, uint32_t page, unsigned offset, unsigned len)
{
    bool any = false;

    for (unsigned i = 0; i < m->ncpus; i++) {
        struct cpu *cpu = m->cpus[i];

        if (listens(cpu) && overlaps(cpu, page, offset, len)) {
            cpu->line = LINE_NONE;
            cpu->ops->line_written(cpu);
            machine_attention(m);
        }
        any |= cpu->line != LINE_NONE && listens(cpu) && cpu->line >> PAGE_SHIFT == page;
    }
    if (!any)
        m->memory.flags[page] &= (uint8_t)~PAGE_FLAG_LINE;
}
