/*
 * What the files of the running server share (server*.c); command line, drives and images have headers of their own.
 */
#ifndef HINDCAST_SERVER_INTERNAL_H
#define HINDCAST_SERVER_INTERNAL_H

#include <inttypes.h>

#include "host/writer.h"
#include "replay/recorder.h"
#include "replay/timeline.h"
#include "rsp/rsp.h"
#include "rsp/trace.h"
#include "server.h"
#include "vm/dev/sound_mixer.h"

/* A break- or watchpoint of the client as the timeline knows it. */
struct server_point {
    enum rsp_breakpoint_type type;
    uint64_t address;
    uint64_t len;
    bool physical;
    const struct drive *drive; /* not NULL: bytes of this, of `monitor watch-disk` */
    bool conditional; /* the session must be asked whether it counts */
    unsigned id;      /* the timeline's */
};

/* A place where bytes go out of the guest to the host, and come in. */
struct server_port {
    struct device *dev;       /* the guest's end */
    struct chardev *back;     /* the host's end; one of config.backs */
    const struct server_port_ops *ops;
    bool used;                /* the guest has put something out there */
    bool focused;             /* it gets what is typed at the back end */
};

/* An audiodev with all that plays to it. */
struct server_sound {
    struct audiodev *audiodev;
    struct sound_mixer mixer;
};

/* NULL: such a port takes no input. */
struct server_port_ops {
    /* Would the port take input now? */
    bool (*wants_input)(const struct server *s, const struct server_port *p);
    /* Pass on to the guest what the host has. True: there was some for a guest that waits for it. */
    bool (*take_input)(struct server *s, struct server_port *p);
};

/* Input for a port: how far the guest may be behind with it, in bytes. */
#define SERVER_INPUT_BACKLOG 4096u

/* The debugger that does not read its console gets no more than this. */
#define SERVER_CONSOLE_BACKLOG ((size_t)1 << 22)

/* A network, seen from here. */
struct server_net {
    struct device *card;         /* NULL: nobody is connected to it */
    uint64_t arrived;            /* frames that have come to the card, live */
    uint64_t joined;             /* of those that were accepted: made part of the frame before them */
    uint64_t resets;             /* frames for it that are ours (server_resets.c) */
    bool begun;                  /* a timed one: it is known where it is in its file, */
    unsigned branch;             /* for this history */
};

/* The guest's TPM. */
struct server_tpm {
    struct device *dev;          /* NULL: there is none, or nobody stands behind it */
    bool resume;                 /* what goes on live from here is another history than the TPM's own */
    bool told_gone;
    uint64_t noted[TPMDEV_BLOBS]; /* hashes of what the log has last of its state; 0: nothing of this history's */
};

/* The hit that the debugger was told last. */
struct server_told {
    bool hit;                    /* the last stop was one */
    bool reverse;
    icount_t position;           /* where the guest stands with it */
    struct timeline_stop stop;
    unsigned next;               /* of stop.others, to be told yet */
};

/* A debugger that connected while another one is here. */
struct server_second {
    bool open;
    struct stream stream;
    struct rsp_session *session; /* answers it with the reason; NULL: the other may be about to go */
    uint64_t since_ns;           /* host time when it came */
};

/* Where rsp_arm_move() goes. */
struct server_move {
    unsigned branch;
    bool drop;                   /* and `from`, the branch that is left, is dropped */
    unsigned from;
};

struct server {
    struct server_config config;
    struct timeline *timeline;
    struct machine *machine;     /* == timeline_machine() */

    /* The debugger. */
    struct stream client;
    struct rsp_session *session; /* NULL: nobody is connected */
    struct server_second second;
    struct rsp_target_info info;
    struct rsp_target_ops ops;
    struct rsp_reg *regs;
    struct rsp_tracing *tracing; /* tracepoints, whoever is connected */
    struct server_look *look;    /* server_trace.c: where they are looked at */
    unsigned cpu;                /* whose registers and addresses the debugger means */

    uint64_t began_ns;             /* the host's clock when the server was made */
    uint64_t drawn;                /* numbers drawn from config.seed so far */

    /* Ports (server_ports.c). */
    struct server_port ports[SERVER_MAX_PORTS];
    unsigned nports;
    struct server_port *program;    /* semihosting's console; NULL: there is none */
    struct server_port *typed_port; /* the serial port that shares its back end */
    struct buffer typed;            /* input for one of the two */
    bool files_refused;          /* it was told that there are none */
    uint32_t mouse_buttons;      /* held, by monitor mouse_button */
    int tablet_at[2];            /* where monitor tablet_move has put the pen */

    struct server_sound sounds[SERVER_MAX_AUDIODEVS]; /* of config.audiodevs (server_sound.c) */
    struct server_tpm tpm;       /* in front of config.tpm (server_tpm.c) */
    struct server_net nets[SERVER_MAX_NETDEVS]; /* of config.netdevs (server_net.c) */

    /* Break- and watchpoints in force. */
    struct server_point *points;
    unsigned npoints;
    struct server_point *watches; /* those of `monitor watch-phys` and `watch-disk`, which no debugger knows of */
    unsigned nwatches;

    /* The run in progress. */
    bool running;                /* inside a timeline call that polls */
    bool forward;                /* in which direction */
    bool progress;               /* worth a progress line */
    bool cut_short;              /* a step ended before another CPU's hit (server.c) */
    bool others_moved;           /* in a step of one thread alone, as the client believes, CPUs made steps that it believes to stand */
    icount_t cut_at;             /* and there, the last one that was; ICOUNT_MAX: none */
    uint64_t passed_over;        /* hits of CPUs that the client believes to stand */
    bool brief;                  /* ends by itself after a second (rsp_run.brief) */
    struct server_told told;
    uint64_t run_began_ns;
    uint64_t kept_waiting;       /* how often its client was told to wait on */
    uint64_t progress_next_ns;
    bool progress_shown;
    /* The condition that was asked last in this run, and the answer. */
    bool condition_known;
    icount_t condition_position;
    unsigned condition_id, condition_cpu;
    bool condition_answer;
    struct error refusal;        /* why the run was not begun; .code 0: it was */
    /* Branches (server_branch.c). */
    struct server_move move;
    char moved[128];             /* the run that ends has gone to another branch: its name; "": it has not */
    struct buffer branch_line;   /* what the guest puts out on a branch, up to a line's end */

    bool told_deaf;              /* that the guest sleeps with interrupts disabled */
    bool told_unkept;            /* that names do not keep their checkpoints for want of memory */
    uint64_t told_lost;          /* bit n: that the client of config.backs[n] does not get all that the guest puts out */

    /* Recordings. */
    struct recorder *recorder;   /* writes to `record`; NULL: does not, or could not any more */
    struct host_writer record;
    uint64_t recorded_ns;        /* host time of the last update */
    bool record_paused;          /* it could not be written to; next try at: */
    uint64_t record_retry_ns;
    bool record_lacks;           /* the file is not all that was to be recorded */
    bool record_sync_told;       /* the disk's complaint was passed on */
    struct recorder_checks *checks; /* of the recording that is replayed; NULL: none */

    bool free_running;           /* no client, the guest runs */
    bool client_lost;            /* the connection ended by itself */
    bool quit;
    bool prepare;                /* a stop was reported: the way back from there is to be prepared, when nobody asks for anything */
    bool preparing;              /* ... it is: who asks for something interrupts it */
    uint64_t heard_ns;           /* host time when the debugger said something last, or was told */
    bool finishing;              /* after the end, going to the live edge: nobody is listened to */
    int exit_status;
};

/* server_target.c: what a CPU does: "running", "halted", "off". */
const char *server_cpu_activity(const struct cpu *cpu);
/* server_target.c: fill s->info and s->ops. */
void server_target_init(struct server *s);
/* server_trace.c: the target's operations for tracepoints; s->tracing, made and destroyed. */
void server_trace_init(struct server *s);
void server_trace_finish(struct server *s);
/* `monitor trace-history`. */
int server_trace_history(struct rsp_monitor_call *call, struct error *err);
/* Was a breakpoint there in the last run that the debugger has taken out since? */
bool server_breakpoint_removed(const struct server *s, uint64_t address);
/* Make the timeline's points those of the session; `keep_removed`: and leave in the breakpoints that it had and has no more. */
void server_sync_points(struct server *s, bool keep_removed);
/* Is there a point of the timeline's that is the session's? */
bool server_has_point(const struct server *s, unsigned id);
/* The debugger has gone: drop all of them, and what monitor commands have runs stop at (watch-phys, watch-disk, replay_break). */
void server_forget_stops(struct server *s);

/* server_device.c: what the CPU that the user looks at would read there now (rsp_target_ops.read_device). */
int server_read_device(void *ctx, bool port, uint64_t addr, unsigned size, uint64_t *value, struct error *err);

/* Read memory as a CPU of the machine sees it, or by physical address, without side effects; how many bytes there
 * are from the start. */
size_t server_read_memory(const struct machine *m, const struct cpu *cpu, bool physical, uint64_t addr, void *buf, size_t len);

/* server_client.c */
/* What to wait for, and how long at most. */
void server_client_poll(const struct server *s, struct poller *p, uint64_t *timeout_ns);
/* Look whether somebody comes, read what the debugger sends, send what there is for it. */
void server_client_serve(struct server *s);
void server_client_flush(struct server *s);
/* Bytes that the debugger has not read yet. */
size_t server_client_backlog(const struct server *s);
/* Has the debugger gone? Needs a session. */
void server_client_check(struct server *s);
/* Nobody is to be served any more. */
void server_client_finish(struct server *s);

/* server_branch.c */
/* Room for what a branch is called, in a sentence. */
#define SERVER_BRANCH_TEXT (TIMELINE_NAME_MOST + 16)
/* What the one in use is called. */
void server_branch_text(const struct server *s, char *text, size_t size);
/* A line that says which one is in use; nothing on the trunk. */
void server_branch_describe(const struct server *s, struct buffer *out);
/* If branch `before` is not in use any more, tell of the one that was begun. */
void server_branch_noticed(struct server *s, unsigned before);
/* Arm a continue to go to a position of a branch; `drop`: and drop the one that is left. */
int server_branch_arm(struct rsp_monitor_call *call, unsigned id, bool drop, icount_t position, struct error *err);
/* Is such a continue armed? Then *text is where it goes. */
bool server_branch_armed(const struct server *s, const struct rsp_session *session, char *text, size_t size);
/* It has come. */
int server_branch_move(struct server *s, struct error *err);
/* Be on the trunk again. */
void server_branch_leave(struct server *s);
/* The guest has put bytes out on a branch that is not live; a run has ended. */
void server_branch_output(struct server *s, const struct device *dev, const void *buf, size_t len);
void server_branch_flush(struct server *s);
int monitor_branch(struct rsp_monitor_call *call, struct error *err);
int monitor_branch_list(struct rsp_monitor_call *call, struct error *err);
int monitor_branch_switch(struct rsp_monitor_call *call, struct error *err);
int monitor_branch_drop(struct rsp_monitor_call *call, struct error *err);
int monitor_branch_live(struct rsp_monitor_call *call, struct error *err);

/* server_screen.c */
int monitor_screen(struct rsp_monitor_call *call, struct error *err);
int monitor_info_displays(struct rsp_monitor_call *call, struct error *err);
int monitor_screendump(struct rsp_monitor_call *call, struct error *err);
/* What the first display shows here, as a PNG. As monitor screendump; -ENODATA: nothing. */
int server_write_picture(const struct server *s, const char *path, bool force, struct error *err);

/* server_film.c */
int monitor_screenshots(struct rsp_monitor_call *call, struct error *err);
int monitor_screen_wait(struct rsp_monitor_call *call, struct error *err);
int monitor_screen_first(struct rsp_monitor_call *call, struct error *err);
int monitor_console_find(struct rsp_monitor_call *call, struct error *err);

/* server_dump.c */
int monitor_dump_guest_memory(struct rsp_monitor_call *call, struct error *err);

/* server_monitor.c */
extern const struct rsp_monitor_command server_monitor_commands[];
extern const unsigned server_monitor_count;

/* server_words.c */
extern const struct rsp_monitor_word server_monitor_words[];
extern const unsigned server_monitor_nwords;

/* server.c: the timeline is about to be moved, forward or back, with a progress line or without. */
void server_begin_run(struct server *s, bool forward, bool progress);
/* server_run.c: make the debugger's run, and say why it stopped; that was told, of a run back or not. */
void server_make_run(struct server *s, const struct rsp_run *run, struct timeline_stop *stop);
void server_note_told(struct server *s, const struct timeline_stop *stop, bool reverse);
/* server.c: a monitor command is about to move through history, and is done with it:
 * for the progress line. */
void server_begin_search(struct server *s);
void server_end_search(struct server *s);
/* Look after the outside; does the user want what is going on to end? */
bool server_interrupted(struct server *s);
/* So much of a query's work is done. */
void server_show_search(struct server *s, uint64_t done, uint64_t all);
/* Only look after the debugger for a while. */
void server_serve_client(struct server *s);

/* server_record.c */
/* Adopt the recording to replay, start the one to write. 0 or negative errno with *err. */
int server_record_start(struct server *s, struct error *err);
/* Write what is new, if it is time; `now`: whether it is or not. */
void server_record_update(struct server *s, bool now);
/* ns until the next update is due; UINT64_MAX: never. */
uint64_t server_record_due(const struct server *s);
/* Close the recording. */
void server_record_end(struct server *s);
/* From within a broken invariant: write the history to a new recording in the working directory, and say so on
 * stderr. */
void server_record_rescue(const struct server *s);
/* Write all history to a file (monitor save); `force`: also over a recording. */
int server_record_save(struct server *s, const char *path, bool force, uint64_t *bytes, struct error *err);

/* server_ports.c */
void server_ports_init(struct server *s);
void server_ports_finish(struct server *s);
/* What to wait for. */
void server_ports_poll(struct server *s, struct poller *poller);
/* Look after all back ends and what has come from them. */
void server_ports_serve(struct server *s);
/* Only pass on the input that is there. True: there was some for a guest that waits for it. */
bool server_ports_take_input(struct server *s);
/* The guest has put bytes out. */
void server_ports_output(struct server *s, const struct device *dev, const void *buf, size_t len);
/* The guest runs from now on. */
void server_ports_guest_runs(struct server *s);
/* Is one of the back ends the terminal, in raw mode? */
bool server_ports_have_terminal(const struct server *s);
/* Bytes that the slowest receiver has not taken yet; clients of sockets are none: nobody waits for them. */
size_t server_ports_backlog(const struct server *s);
/* Does a client that is behind by more than `limit` bytes read nonetheless? */
bool server_ports_clients_read(struct server *s, size_t limit);
/* Append a line for each back end and one for the ports that are connected to it. */
void server_ports_describe(const struct server *s, struct buffer *out);
/* The serial port of that name, or connected to that back end ("": the first); NULL: there is none. */
struct device *server_ports_line(const struct server *s, const char *id);
/* The ring buffer of that id, or NULL. */
struct chardev *server_ports_ring(const struct server *s, const char *id);

/* server_sound.c */
void server_sound_init(struct server *s);
void server_sound_finish(struct server *s);
/* What was played goes to its files. */
void server_sound_serve(struct server *s);
/* False: the device is no sound card. */
bool server_sound_output(struct server *s, const struct device *dev, const void *data, size_t len);
/* struct timeline_host.sound */
size_t server_sound_input(void *ctx, struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n);
/* `info audio`. */
void server_sound_describe(const struct server *s, struct buffer *out);

/* server_usb.c: as the ports' functions. */
void server_usb_finish(struct server *s);
void server_usb_poll(const struct server *s, struct poller *poller, uint64_t *timeout_ns);
void server_usb_serve(struct server *s);
bool server_usb_take_input(struct server *s);
/* False: the device is none of the host's. */
bool server_usb_output(struct server *s, const struct device *dev, const void *message, size_t len);
/* The history in use goes on live: what it has asked of devices is lost. */
void server_usb_lose(struct server *s);

/* server_net.c: as the ports' functions. */
void server_net_init(struct server *s);
/* The guest begins: captures get their heads. */
void server_net_begin(struct server *s);
void server_net_finish(struct server *s);
void server_net_poll(const struct server *s, struct poller *poller, uint64_t *timeout_ns);
void server_net_serve(struct server *s, const struct poller *poller);
bool server_net_take_input(struct server *s);
/* False: the device is no card. */
bool server_net_output(struct server *s, const struct device *dev, const void *frame, size_t len);
/* struct timeline_host.arrived */
void server_net_arrived(void *ctx, struct device *dev, const void *frame, size_t len, uint64_t number, const char *dropped);
/* How many frames came to a card before a position of this history. */
uint64_t server_net_arrivals(const struct server *s, const struct device *card, icount_t before);
/* The number-th that came to it, from 1. NULL: there was none. Both cost what lies between there and the present position. */
const struct event *server_net_arrival(const struct server *s, const struct device *card, uint64_t number);
/* server_wire.c: the packets that came to a card in the step from `position`, in words that go on a sentence (", packet 17 of n0, ..."),
 * if `who` (a device's name, or NULL) is a card to which some did; else nothing. */
void server_wire_blame(const struct server *s, const char *who, icount_t position, struct buffer *text);
/* server_resets.c: the history in use goes on live: connections that it had with a network of the past are reset. */
void server_net_reset_connections(struct server *s);
/* `info network`. */
void server_net_describe(const struct server *s, struct buffer *out);

/* server_tpm.c */
void server_tpm_init(struct server *s);
/* The guest begins: its TPM's state is noted. */
void server_tpm_begin(struct server *s);
void server_tpm_finish(struct server *s);
void server_tpm_poll(const struct server *s, struct poller *poller);
/* Pass on the answers that are there. True: there were some. */
bool server_tpm_serve(struct server *s);
/* False: the device is none. */
bool server_tpm_output(struct server *s, const struct device *dev, const void *data, size_t len);
/* The history in use goes on live: the TPM is put back to what it was there. */
void server_tpm_resume(struct server *s);

/* server.c: show bytes on the debugger's console. */
void server_to_debugger(struct server *s, const void *buf, size_t len);

/* server_semihost.c */
void server_semihost_init(struct server *s);
void server_semihost_finish(struct server *s);
/* Its console: deals out the input that it shares with a serial port. */
extern const struct server_port_ops server_semihost_ops;
/* server_files.c; the second is struct timeline_host.file_call */
void server_files_finish(struct server *s);
void server_file_call(void *ctx, const struct file_request *request, struct file_answer *answer);

/* server_flash.c */
/* Is a bank to be written back? Write those that are, as they are here. False: some could not be. */
bool server_flash_wants_write_back(const struct server *s);
bool server_flash_write_back(struct server *s);
/* Write bank `n`, as it is where the guest stands, to a file. */
int server_flash_save(struct server *s, uint64_t n, const char *path, bool force, uint64_t *bytes, struct error *err);

/* server_drives.c */
/* struct timeline_host.image_read */
int server_image_read(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len);
/* ... image_why, image_changed, and image_direct */
const char *server_image_why(void *ctx, const struct drive *d);
bool server_image_changed(void *ctx, const struct drive *d);
bool server_image_direct(void *ctx, const struct drive *d, uint64_t offset, size_t len);
/* Sectors of a drive as a point has them. 0, or negative errno with *err: no such drive, or no such sectors. */
int server_take_sectors(const struct server *s, const char *name, uint64_t first, uint64_t count,
                        struct timeline_point *point, struct error *err);
/* What they hold where the guest stands, as text. */
int server_drive_dump(const struct server *s, const char *name, uint64_t first, uint64_t count, struct buffer *out,
                      struct error *err);
/* Write what a drive holds where the guest stands: drives_commit(). */
int server_drive_commit(struct server *s, const char *name, const char *path, bool force, uint64_t *bytes,
                        struct error *err);
/* Take a drive's medium out, also (`force`) if the guest has locked it; put another one in. Recorded. */
int server_drive_eject(struct server *s, const char *name, bool force, struct error *err);
int server_drive_change(struct server *s, const char *name, const char *file, const char *format, bool read_only,
                        struct error *err);
/* The same as for flash banks. */
bool server_drives_want_write_back(const struct server *s);
bool server_drives_write_back(struct server *s);

/* server_monitor.c: a time as users write it: 1.5s, 200ms, 30us, 7ns; without a unit it is in seconds. *unit: is there one? False: it is
 * no time. */
bool server_parse_time(const char *text, uint64_t *ns, bool *unit);
/* server.c: a line on stderr. */
void server_say(struct server *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, and to the debugger if there is one. */
void server_tell(struct server *s, const char *text);

/* server.c: what a guest's end is called ("powered off"). */
/* How the guest ended, or that it runs. */
void server_end_text(const struct server *s, struct buffer *out);
/* Which CPU's end is that of the guest: the one that triple-faulted; else the one whose turn it is. */
unsigned server_ended_cpu(const struct server *s);

#endif
