/*
 * A number for what the machines do.
 *
 * Whoever changes what a guest can see (an instruction's result, a register's reset value, a
 * device's answer, when a timer fires, how many steps something takes) raises it, in the same
 * commit. A recording says under which number it was made. Under another it is replayed all
 * the same: most guests do not meet what was changed, and where one does, the first witness
 * that disagrees says so. Layouts of states have numbers of their own (device_ops.state_version).
 */
#ifndef HINDCAST_VM_SEMANTICS_H
#define HINDCAST_VM_SEMANTICS_H

#define MACHINE_SEMANTICS 44u

#endif
