/*
 * Lines of memory whose next writer a CPU wants to know of: what MONITOR has armed, what a load-exclusive has marked.
 *
 * Which line it is, a CPU's state says (cpu_ops.line); what is here is derived from it: the page is flagged
 * (PAGE_FLAG_LINE), so that no TLB serves writes to it inline, and each write comes by memory_touch(), be it a CPU's, a
 * walk's, a device's or the debugger's. A store to such a line is made by an instruction alone, for it may wake a CPU.
 * A page that nobody has a line in any more loses its flag at the next write.
 *
 * The CPU that runs is told of its own instructions' writes only if it wants to be (cpu.own_line): the others are
 * where their last step has left them, so that what they wait for is a function of the position.
 */
#ifndef HINDCAST_VM_LINE_H
#define HINDCAST_VM_LINE_H

#include "vm/cpu.h"

struct machine;

#define LINE_BYTES 64u
#define LINE_NONE  UINT64_MAX

/* The CPU's line is that of this physical address from now on; LINE_NONE: it has none. */
void line_watch(struct cpu *cpu, paddr_t pa);
/* States were replaced, or the memory map: as the states say. */
void line_renew(struct machine *m);
/* For memory_touch(): bytes of a page with PAGE_FLAG_LINE are about to change. Tells the CPUs. */
void line_touch(struct machine *m, uint32_t page, unsigned offset, unsigned len);
/* Would line_touch() tell anybody? */
bool line_is_watched(const struct machine *m, uint32_t page, unsigned offset, unsigned len);

#endif
