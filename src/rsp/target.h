/*
 * What the protocol layer needs of the thing that is being debugged: a table
 * of operations that src/server/server.c fills in. Nothing here knows the machine.
 *
 * An operation that is NULL is not offered: its packets answer as unknown ones
 * do, and `qSupported` does not mention them. Operations marked "required" must
 * be there.
 *
 * Running is not an operation. A resume packet becomes a request
 * (rsp_wants_run() in rsp.h) that the server carries out in slices between
 * rounds of its event loop, and ends with rsp_report_stop(). All operations
 * below are called while the guest stands, or from rsp_exec_hit() and
 * rsp_watch_counts() while a run pauses at a breakpoint; they see the state that
 * the guest has at that moment.
 */
#ifndef HINDCAST_RSP_TARGET_H
#define HINDCAST_RSP_TARGET_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/types.h"

struct rsp_session;
struct rsp_breakpoint;

/* A register as the client sees it; its index in rsp_target_info.regs is its number
 * in the protocol. The layout must stay the same whatever mode the CPU is in. */
struct rsp_reg {
    const char *name;
    unsigned bits;       /* a multiple of 8 */
    const char *type;    /* gdb type name: "int32", "code_ptr", "i387_ext", or one of feature_types() */
    const char *group;   /* "general", "float", "vector", "system"; NULL: none */
    const char *feature; /* e.g. "org.gnu.gdb.i386.core"; registers of one feature are contiguous */
    bool no_save;        /* the client shall not put it back after a call of a function of the guest's */
    uint8_t dwarf;       /* its number in DWARF, plus 1; 0: its own number, or none after the program counter's */
};

#define RSP_MAX_REG_BYTES 64u
#define RSP_NO_REG UINT32_MAX

/* Fixed facts about the target. */
struct rsp_target_info {
    const char *version;   /* of the program, for qGDBServerVersion */
    const char *arch;      /* <architecture> of the target description: "i386", "aarch64" */
    const char *triple;    /* for lldb: "i386-unknown-unknown", "aarch64-unknown-unknown" */
    bool char_unsigned;    /* plain char is unsigned in the target's C ABI */
    unsigned pointer_bytes; /* 4 or 8: width of an address; addresses above it are refused */
    const struct rsp_reg *regs;
    unsigned nregs;
    /* Numbers of the registers with a role; RSP_NO_REG: none. pc is required. They are
     * sent along with every stop. */
    unsigned pc_reg, sp_reg, fp_reg, flags_reg;
    bool reverse;          /* offers running backwards */
    bool seek;             /* offers going to a position: `run N`, `monitor seek N` */
    bool watch_before;     /* going forward, a watchpoint's stop is before the access (aarch64) */
    const char *cpu_name;  /* name of a thread but for its number, which follows: "CPU#" */
    unsigned nthreads;     /* at least 1; a thread is a CPU. Without select_thread(), 1 */
};

/* Kinds of memory in the memory map. */
enum rsp_memory_kind { RSP_MEMORY_RAM, RSP_MEMORY_ROM };

struct rsp_memory_area {
    uint64_t start;
    uint64_t len; /* bytes */
    enum rsp_memory_kind kind;
};

/* Answer of memory_region(): the stretch around an address with one set of permissions. */
struct rsp_memory_region {
    uint64_t start;
    uint64_t len;    /* bytes */
    bool mapped;
    bool read, write, exec;
    const char *name; /* may be NULL */
};

/* ---- monitor commands (monitor.c) ---- */

#define RSP_MONITOR_MAX_ARGS 8

struct rsp_monitor_arg {
    const char *text; /* as typed, quotes removed */
    uint64_t number;  /* value, if the argument is a number by its spec */
};

struct rsp_monitor_call {
    struct rsp_session *session;
    void *ctx;                       /* the target's */
    const struct rsp_monitor_command *command;
    unsigned argc;                   /* arguments after the command's name */
    struct rsp_monitor_arg argv[RSP_MONITOR_MAX_ARGS];
    struct buffer *out;              /* text for the user; lines end with '\n' */
};

/*
 * `name` may be of several words ("info replay"). `args` says what follows, and
 * is what `help` shows; words separated by single spaces:
 *   NAME        a word            [NAME]      an optional word (only at the end)
 *   NAME:n      a number (decimal, 0x hex, 1k/1M/1G multiples, 10_000)
 *   [NAME:n]    an optional number
 *   TEXT...     the rest of the line, unparsed; [TEXT...] may be empty
 *   a|b|c       one of these words
 *   [/FMT]      an optional word that starts with '/', anywhere (may stick to the name: xp/4xw)
 * An optional argument that is absent is not in argv, except that an absent [/FMT]
 * is there as "".
 * The handler returns 0, or fills *err and returns a negative errno; what it wrote to
 * `out` by then is shown all the same.
 */
struct rsp_monitor_command {
    const char *name;
    const char *args; /* "" or NULL: none */
    const char *help; /* first line: the summary; more lines: shown by `help NAME` */
    int (*run)(struct rsp_monitor_call *call, struct error *err);
};

/* What another monitor calls something: `name` (as in a command), and what to say to who asks for it by that, the command that
 * does it here, or that there is none. */
struct rsp_monitor_word {
    const char *name, *here;
};

/* ---- tracepoints (trace.h) ---- */

struct agent_env;

/* An instruction about to be made, at a position of history. */
struct rsp_moment {
    icount_t position;
    unsigned thread; /* from 0 */
    uint64_t pc;
};

/* What find_hits() is asked. */
struct rsp_hits_wanted {
    icount_t from, to;      /* steps from this position on, before that one */
    const uint64_t *pcs;    /* instructions that hit, by address */
    unsigned npcs;
    size_t record_bytes;    /* of what is kept of a hit */
    void *ctx;
    /* Fill in the (zeroed) record of a hit; false: it is none. `env` sees the guest at that moment. In any thread,
     * several at once, in any order. */
    bool (*note)(void *ctx, const struct rsp_moment *at, const struct agent_env *env, void *record);
    /* In the caller's thread, in order. False: enough. */
    bool (*answer)(void *ctx, const struct rsp_moment *at, const void *record);
};

/* ---- operations ---- */

struct rsp_target_ops {
    /* Required. Value of register n, regs[n].bits / 8 bytes, little-endian. False: not available now. */
    bool (*read_register)(void *ctx, unsigned n, void *buf);
    /* Required. Refusals (the past is not writable, a reserved bit) go to *err. */
    int (*write_register)(void *ctx, unsigned n, const void *buf, struct error *err);

    /* Required. Read guest memory as the CPU sees it now (or, if `physical`, by physical
     * address), without side effects on the guest. Returns how many bytes could be read from the
     * start; fewer than len: the next one is not mapped. */
    size_t (*read_memory)(void *ctx, bool physical, uint64_t addr, void *buf, size_t len);
    /* A person asked for a physical address that read_memory() does not read, or (`port`) for a port: what the CPU would read there now, if it is
     * a device's. The guest is as it was afterwards. 0, or a negative errno with *err: why not. May be NULL. */
    int (*read_device)(void *ctx, bool port, uint64_t addr, unsigned size, uint64_t *value, struct error *err);
    /* Required. All or nothing as far as mapping goes. */
    int (*write_memory)(void *ctx, bool physical, uint64_t addr, const void *buf, size_t len,
                        struct error *err);

    /* Can this break- or watchpoint be had? Called for each new one. NULL: all can. */
    int (*check_breakpoint)(void *ctx, const struct rsp_breakpoint *bp, struct error *err);

    /* The memory map. gdb refuses to touch what is not in it (`set mem
     * inaccessible-by-default`), and virtual addresses are looked up in it as well: cover the
     * whole address space unless nothing but physical addresses makes sense. */
    const struct rsp_memory_area *(*memory_map)(void *ctx, unsigned *count);
    /* The region around addr, mapped or not (for lldb). */
    void (*memory_region)(void *ctx, uint64_t addr, struct rsp_memory_region *out);
    /* XML for flag and union types of a feature, or NULL. */
    const char *(*feature_types)(void *ctx, const char *feature);
    /* One line for `info threads`: "running", "halted, position 123"... */
    void (*describe_cpu)(void *ctx, struct buffer *out);
    /* The operations that follow are about this thread, counted from 0: its registers, its address space. At
     * first it is 0. */
    void (*select_thread)(void *ctx, unsigned thread);

    /* Needed with rsp_target_info.seek: first and last position of history, and the current one. */
    void (*positions)(void *ctx, icount_t *first, icount_t *now, icount_t *last);

    /* Tracepoints: all of these or none.
     * Every hit in a stretch of history. *reached: all before it were answered. 0, or negative errno with *err. */
    int (*find_hits)(void *ctx, const struct rsp_hits_wanted *wanted, icount_t *reached, struct error *err);
    /* Look at history elsewhere than where the guest stands, by another machine: at a position (`again`: it was asked
     * for before, and nothing else since); one step further, made by *thread; what it sees there, by a thread's eyes, until
     * the next of these calls; a register there, as read_register(). */
    int (*look_at)(void *ctx, icount_t position, bool again, struct error *err);
    int (*look_step)(void *ctx, icount_t *position, unsigned *thread, struct error *err);
    void (*look_env)(void *ctx, unsigned thread, struct agent_env *env);
    bool (*look_register)(void *ctx, unsigned thread, unsigned n, void *buf);
    /* The guest itself goes to a position, and stands there; `surely`: whatever the client says meanwhile. */
    int (*stand_at)(void *ctx, icount_t position, bool surely, struct error *err);
    /* The history that positions are of: its number; and up to which position it is also that of number `of`. */
    unsigned (*history)(void *ctx, unsigned of, icount_t *shared);

    /* Monitor commands beside the built-in ones (monitor.c lists those). A command
     * with the name of a built-in one replaces it. */
    const struct rsp_monitor_command *monitor;
    unsigned nmonitor;
    /* Words of other monitors for what is none of these commands; may be NULL. */
    const struct rsp_monitor_word *words;
    unsigned nwords;
};

#endif
