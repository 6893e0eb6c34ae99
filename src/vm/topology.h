/*
 * How many CPUs a machine has, and how they are packaged: sockets of cores of threads.
 */
#ifndef HINDCAST_VM_TOPOLOGY_H
#define HINDCAST_VM_TOPOLOGY_H

/* All 0: one CPU. Else cpus == sockets * cores * threads, none of them 0. */
struct cpu_topology {
    unsigned cpus;
    unsigned sockets, cores, threads; /* cores of a socket, threads of a core */
};

#endif
