/*
 * Tracepoints over recorded history: gdb manual, chapter "Tracepoints" and "Tracepoint Packets"; doc/tracepoints.md says
 * what they mean here.
 *
 * An experiment (`tstart` to `tstop`) is a stretch of history. What hits in it is looked for afterwards, when somebody asks
 * (struct rsp_target_ops, find_hits()): running costs nothing, and nothing need be collected, for a selected trace frame
 * is the guest itself, standing there.
 *
 * Tracepoints, trace state variables and the experiment outlive the session that made them.
 */
#ifndef HINDCAST_RSP_TRACE_H
#define HINDCAST_RSP_TRACE_H

#include "rsp/rsp.h"

struct rsp_tracing;

/* All must outlive it. The target must have find_hits() and what belongs to it. */
struct rsp_tracing *rsp_tracing_create(const struct rsp_target_info *info, const struct rsp_target_ops *ops, void *ctx);
void rsp_tracing_destroy(struct rsp_tracing *t);
/* Offer it to this session's client. */
void rsp_set_tracing(struct rsp_session *s, struct rsp_tracing *t);
/* The client goes: no frame is selected any more, the guest stands where it stood; the experiment ends, unless it is to
 * go on without it (QTDisconnected). */
void rsp_tracing_client_gone(struct rsp_tracing *t);
/* The experiment, this and those to come, is of the steps from `from` on and before `to` (ICOUNT_MAX: whatever history
 * there is), whether the guest runs or not; !on: of what it runs through from `tstart` on. */
void rsp_tracing_set_stretch(struct rsp_tracing *t, bool on, icount_t from, icount_t to);
/* The same question asked: false: none is set. */
bool rsp_tracing_stretch(const struct rsp_tracing *t, icount_t *from, icount_t *to);

#endif
