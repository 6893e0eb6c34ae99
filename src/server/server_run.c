/*
 * What a debugger's step, continue and seek do: which hits are told, who is held meanwhile, and when a step is over.
 */
#include "server_internal.h"

static bool was_told_here(const struct server *s)
{
    return s->told.hit && s->told.position == timeline_position(s->timeline);
}

/* A step may hit several watchpoints, and gdb looks at the one that it is told of. If it goes on from there, the others
 * are told, one by one, before the guest moves. (Not where gdb makes the access itself, with its watchpoints
 * taken out, after it was told: report() names them then.) */
static bool tell_another(struct server *s, const struct rsp_run *run, struct timeline_stop *stop)
{
    struct server_told *told = &s->told;

    if (!was_told_here(s) || told->reverse != run->reverse || s->info.watch_before)
        return false;
    while (told->next < told->stop.nothers) {
        const struct timeline_other *other = &told->stop.others[told->next++];

        if (!server_has_point(s, other->point))
            continue;
        *stop = (struct timeline_stop){
            .reason = TIMELINE_WATCHPOINT, .cpu = told->stop.cpu, .point = other->point, .address = other->address};
        return true;
    }
    return false;
}

/* Hold whom the debugger wants to stand while the others run (gdb's scheduler-locking), let the others go. False: that is
 * refused, and so is the run.
 *
 * Only a continue of some threads without the others asks for that, at the live edge also one that a seek is armed for:
 * where history is, a seek goes through it as it was. A step of one thread alone is how debuggers get off a
 * breakpoint, too: it is never refused, lets nobody go but that thread, and holds the others where that can be
 * (hold_for_step()). At a load-exclusive gdb makes that step by a
 * continue, up to breakpoints of its own behind the store: in the past that is no reason to refuse it. */
static bool hold_others(struct server *s, const struct rsp_run *run, bool steps_off, struct timeline_stop *stop)
{
    uint64_t held = machine_held(s->machine);
    bool asked = run->kind == RSP_RUN_CONTINUE && !(steps_off && !timeline_at_edge(s->timeline));
    struct error err = {0};

    if (run->kind == RSP_RUN_SEEK)
        asked = timeline_at_edge(s->timeline);

    if (!timeline_hold(s->timeline, asked ? run->left_out : run->left_out & held, &err))
        return true;
    error_set(&s->refusal, err.code, "%s; set scheduler-locking off lets what happened happen again; monitor branch NAME "
              "begins a branch here, on which CPUs can be held", err.text);
    stop->reason = TIMELINE_INTERRUPTED;
    return false;
}

/* Is it the hit of a thread that the client believes to stand? It could make no sense of that stop. */
static bool anothers_hit(const struct rsp_run *run, const struct timeline_stop *stop)
{
    return (stop->reason == TIMELINE_BREAKPOINT || stop->reason == TIMELINE_WATCHPOINT) && (run->left_out >> stop->cpu & 1);
}

/* Then the run goes on: the client is told at the end, in words. */
static bool passes_over(struct server *s, const struct rsp_run *run, const struct timeline_stop *stop)
{
    bool passes = anothers_hit(run, stop);

    s->passed_over += passes;
    return passes;
}

static void continue_run(struct server *s, const struct rsp_run *run, bool steps_off, struct timeline_stop *stop)
{
    bool told = was_told_here(s);

    if (tell_another(s, run, stop))
        return;
    if (run->reverse)
        do
            timeline_continue(s->timeline, BACKWARD, stop);
        while (passes_over(s, run, stop));
    else if (!hold_others(s, run, steps_off, stop))
        return;
    else if (rsp_stops_at_once(s->session, told))
        timeline_continue_from_here(s->timeline, stop);
    else
        timeline_continue(s->timeline, FORWARD, stop);
}

/* The CPU that has stepped is in the range that it is to step out of: does it step on? A breakpoint ends that. */
static bool steps_on(struct server *s, const struct rsp_run *run, struct timeline_stop *stop)
{
    const struct rsp_range *range = &run->ranges[stop->cpu];
    uint64_t pc = s->machine->cpus[stop->cpu]->ops->pc(s->machine->cpus[stop->cpu]);

    if (stop->reason != TIMELINE_STEP_DONE || pc < range->start || pc >= range->end)
        return false;
    stop->point = timeline_breakpoint_here(s->timeline, stop->cpu);
    if (!stop->point)
        return true;
    stop->reason = TIMELINE_BREAKPOINT;
    stop->address = pc;
    return false;
}

/* Another thread's hit on the way of a step that the client believes to be of one thread alone (so gdb steps off a
 * breakpoint). So the step ends before the hit, which the next run comes to at once; but if that is the same step
 * again (scheduler-locking), it passes over. */
static void stop_before_hit(struct server *s, const struct rsp_run *run, struct timeline_stop *stop)
{
    bool after = stop->reason == TIMELINE_WATCHPOINT && !s->info.watch_before && !run->reverse;
    struct timeline_stop there;

    if (after || run->reverse)
        timeline_seek(s->timeline, timeline_position(s->timeline) + (run->reverse ? 1 : -1), &there);
    *stop = (struct timeline_stop){.reason = TIMELINE_STEP_DONE, .cpu = (unsigned)__builtin_ctzll(run->steppers)};
    s->cut_short = true;
    s->cut_at = timeline_position(s->timeline);
}

/* A step of some threads alone: at the live edge the others are held, if it is one of theirs that would be made first; so a step
 * off a breakpoint, by the CPU that has come to it, leaves no trace. In the past they do what they did. */
static void hold_for_step(struct server *s, const struct rsp_run *run)
{
    if (timeline_at_edge(s->timeline) && (run->left_out >> machine_whose_turn(s->machine) & 1))
        timeline_hold(s->timeline, run->left_out, NULL);
}

/* Steps that threads have made which the client believes to stand. */
static icount_t made_by_others(const struct server *s, const struct rsp_run *run)
{
    icount_t made = 0;

    for (unsigned i = 0; i < s->machine->ncpus; i++)
        made += run->left_out >> i & 1 ? s->machine->cpus[i]->share->steps : 0;
    return made;
}

/* Steps: the whole guest runs until a CPU has made one, or goes back to before its last one. */
static void step_run(struct server *s, const struct rsp_run *run, bool steps_off, struct timeline_stop *stop)
{
    bool from_here = !run->reverse && !was_told_here(s), again = s->cut_at == timeline_position(s->timeline);
    icount_t others = made_by_others(s, run);

    s->cut_at = ICOUNT_MAX;
    if (!run->reverse && !hold_others(s, run, false, stop))
        return;
    do {
        if (!run->reverse && run->left_out && !steps_off)
            hold_for_step(s, run);
        if (from_here)
            timeline_step_from_here(s->timeline, run->steppers, stop);
        else
            timeline_step(s->timeline, run->reverse ? BACKWARD : FORWARD, run->steppers, stop);
        from_here = false;
    } while ((again && passes_over(s, run, stop)) || steps_on(s, run, stop));
    s->others_moved = !steps_off && made_by_others(s, run) != others;
    if (anothers_hit(run, stop))
        stop_before_hit(s, run, stop);
}

/* Does the thread that is to go on stand at a breakpoint that was there in the last run, and is not any more? */
static bool is_taken_out(const struct server *s, const struct rsp_run *run)
{
    const struct cpu *cpu = s->machine->cpus[__builtin_ctzll(~run->left_out)];

    return server_breakpoint_removed(s, cpu->ops->pc(cpu));
}

/* Does it stand before an access that it was told of, which it now makes with its watchpoints taken out? */
static bool is_before_access(const struct server *s)
{
    return s->info.watch_before && was_told_here(s) && s->told.stop.reason == TIMELINE_WATCHPOINT;
}

/* Does the debugger step off a breakpoint, only to go with its next continue to where it stands? At the live edge that step would
 * lengthen history. */
static bool goes_nowhere(struct server *s, const struct rsp_run *run)
{
    icount_t armed;

    if (run->kind != RSP_RUN_STEP || run->reverse || !is_taken_out(s, run) || !rsp_armed_seek(s->session, &armed) ||
        rsp_armed_move(s->session) || armed != timeline_position(s->timeline))
        return false;
    rsp_disarm_seek(s->session, NULL);
    return true;
}

void server_make_run(struct server *s, const struct rsp_run *run, struct timeline_stop *stop)
{
    struct timeline *tl = s->timeline;
    bool steps_off = run->left_out && (is_taken_out(s, run) || is_before_access(s));

    if (goes_nowhere(s, run)) {
        stop->reason = TIMELINE_SEEK_DONE;
        return;
    }
    /* gdb takes its breakpoints out for a step of one thread alone and puts them back: leave them in. */
    server_sync_points(s, run->kind == RSP_RUN_STEP && (run->left_out || s->machine->ncpus == 1));
    server_begin_run(s, !run->reverse, run->reverse || run->kind == RSP_RUN_SEEK);
    s->brief = run->brief;
    if (run->kind == RSP_RUN_CONTINUE || run->kind == RSP_RUN_SEEK)
        s->cut_at = ICOUNT_MAX;
    switch (run->kind) {
    case RSP_RUN_CONTINUE:
        continue_run(s, run, steps_off, stop);
        break;
    case RSP_RUN_STEP:
    case RSP_RUN_RANGE:
        step_run(s, run, steps_off, stop);
        break;
    case RSP_RUN_SEEK:
        if (run->move && server_branch_move(s, &s->refusal) < 0) {
            stop->reason = TIMELINE_INTERRUPTED;
            break;
        }
        if (run->position > timeline_position(tl) && !hold_others(s, run, false, stop))
            break;
        timeline_seek(tl, run->position, stop);
        if (run->brief && stop->reason == TIMELINE_INTERRUPTED && !rsp_interrupt_requested(s->session))
            stop->reason = TIMELINE_SEEK_DONE;
        break;
    }
    server_end_search(s);
}

/* Remember what is told, for tell_another(). */
void server_note_told(struct server *s, const struct timeline_stop *stop, bool reverse)
{
    struct server_told *told = &s->told;
    bool hit = stop->reason == TIMELINE_BREAKPOINT || stop->reason == TIMELINE_WATCHPOINT;
    bool another = hit && was_told_here(s) && told->next;

    told->hit = hit;
    if (another)
        return;
    told->reverse = reverse;
    told->position = timeline_position(s->timeline);
    told->stop = *stop;
    told->next = 0;
}
