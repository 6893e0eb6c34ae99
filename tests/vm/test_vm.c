/*
 * The machine around the CPU: memory map, dirty pages, the order of things in a
 * step, events, deadlines, idling, traps, footprints. On the toy CPU where one
 * is needed.
 */
#include "vm_toy.h"

#include "base/buffer.h"
#include "base/page_set.h"
#include "vm/footprint.h"
#include "tests/check_main.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ALU32(kind) (0x80 | (kind))

static void load(struct machine *m, const uint8_t *code, size_t len)
{
    toy_poke(m, 0x1000, code, len);
}

static struct toy_state *state(struct machine *m)
{
    return toy_of(m)->st;
}

/* ---- memory ---- */

START_TEST(later_regions_hide_earlier_ones_and_disabled_ones_are_transparent)
{
    struct machine *m = toy_machine();
    struct memory *mem = &m->memory;
    unsigned rom;

    toy_poke(m, 0x3000, "below", 5);
    toy_poke(m, TOY_ROM, "above", 5);
    rom = memory_map(mem, &(struct region){.base = 0x3000, .size = PAGE_SIZE, .kind = REGION_ROM,
                                           .page = memory_page_of(mem, TOY_ROM), .enabled = true});
    ck_assert_uint_eq(memory_read(mem, 0x3000, 1), 'a');
    memory_region_enable(mem, rom, false);
    ck_assert_uint_eq(memory_read(mem, 0x3000, 1), 'b');
    memory_region_enable(mem, rom, true);
    memory_region_move(mem, rom, 0x5000);
    ck_assert_uint_eq(memory_read(mem, 0x3000, 1), 'b');
    ck_assert_uint_eq(memory_read(mem, 0x5000, 1), 'a');
    memory_region_kind(mem, rom, REGION_RAM);
    memory_write(mem, 0x5000, 1, 'x');
    ck_assert_uint_eq(memory_read(mem, TOY_ROM, 1), 'x');
    machine_destroy(m);
}
END_TEST

START_TEST(nothing_reads_as_ones_and_rom_drops_writes)
{
    struct machine *m = toy_machine();
    struct memory *mem = &m->memory;

    ck_assert_uint_eq(memory_read(mem, 0x900000, 4), 0xffffffff);
    ck_assert_uint_eq(memory_read(mem, 0x900000, 8), UINT64_MAX);
    memory_write(mem, 0x900000, 4, 1);
    toy_poke(m, TOY_ROM, "rom!", 4);
    memory_write(mem, TOY_ROM, 4, 0);
    ck_assert_uint_eq(memory_read(mem, TOY_ROM, 1), 'r');
    ck_assert(memory_find(mem, 0x900000) == NULL);
    ck_assert_uint_eq(memory_page_of(mem, TOY_MMIO), UINT32_MAX);
    machine_destroy(m);
}
END_TEST

START_TEST(accesses_across_regions_are_split)
{
    struct machine *m = toy_machine();
    struct memory *mem = &m->memory;
    uint64_t v;

    /* The last two bytes of RAM, and two of the device (register 0, size 2). */
    memory_write(mem, TOY_RAM - 2, 2, 0xbeef);
    v = memory_read(mem, TOY_RAM - 2, 4);
    ck_assert_uint_eq(v & 0xffff, 0xbeef);
    ck_assert_uint_eq(toy_device(m)->reads, 1);
    /* Three bytes are a pair and one. */
    memory_write(mem, TOY_MMIO + 28, 3, 0);
    ck_assert_uint_eq(toy_device(m)->writes, 3);
    /* The end of the device's range: the rest is nobody's. */
    v = memory_read(mem, TOY_MMIO + 60, 8);
    ck_assert_uint_eq(v >> 32, 0xffffffff);
    machine_destroy(m);
}
END_TEST

START_TEST(bulk_reads_skip_devices_and_bulk_writes_count_what_landed)
{
    struct machine *m = toy_machine();
    uint8_t buf[256];

    ck_assert_uint_eq(memory_read_bytes(&m->memory, TOY_RAM - 128, buf, 256), 128);
    ck_assert_uint_eq(buf[128], 0xff);
    ck_assert_uint_eq(toy_device(m)->reads, 0);
    ck_assert_uint_eq(memory_write_bytes(&m->memory, TOY_RAM - 128, buf, 256, false), 128);
    ck_assert_uint_eq(memory_write_bytes(&m->memory, TOY_ROM, buf, 16, false), 0);
    ck_assert_uint_eq(memory_write_bytes(&m->memory, TOY_ROM, buf, 16, true), 16);
    machine_destroy(m);
}
END_TEST

START_TEST(dma_reaches_neither_secure_memory_nor_what_is_for_cpus_only)
{
    for (unsigned n = 0; n < 2; n++) {
        struct machine *m = toy_machine();
        struct region r = {.base = 0x40000000, .size = 0x1000, .kind = REGION_RAM, .enabled = true, .secure = !n, .cpu_only = n};
        uint32_t value = 0x12345678, got = 0;

        r.page = memory_alloc(&m->memory, "own", r.size);
        memory_map(&m->memory, &r);
        ck_assert_uint_eq(memory_write_bytes(&m->memory, r.base, &value, 4, true), 4); /* a loader */
        ck_assert_uint_eq(memory_read_bytes(&m->memory, r.base, &got, 4), 4);
        ck_assert_uint_eq(got, value);
        ck_assert_uint_eq(memory_dma_read(&m->memory, r.base, &got, 4), 0);
        ck_assert_uint_eq(got, 0xffffffff);
        got = 0;
        ck_assert_uint_eq(memory_write_bytes(&m->memory, r.base, &got, 4, false), 0);
        ck_assert_uint_eq(memory_read(&m->memory, r.base, 4), value);
        machine_destroy(m);
    }
}
END_TEST

START_TEST(the_first_write_since_cleaning_makes_a_page_dirty_whoever_writes)
{
    static const uint8_t code[] = {TOY_ST, 2, 0, 7, 0, 0, TOY_ST, 2, 0, 7, 0, 0, TOY_JMP, 0, (uint8_t)-16, 0xff};
    struct machine *m = toy_machine();
    struct memory *mem = &m->memory;
    struct stop stop;

    load(m, code, sizeof(code));
    page_space_clean(&mem->pages);
    ck_assert_uint_eq(mem->pages.ndirty, 0);
    memory_write(mem, 0x3ffe, 4, 1);
    ck_assert_uint_eq(mem->pages.ndirty, 2);
    ck_assert_uint_eq(mem->pages.dirty[0], 3);
    ck_assert_uint_eq(mem->pages.dirty[1], 4);
    state(m)->r[7] = 0x8000;
    for (unsigned i = 0; i < 3; i++) {
        page_space_clean(&mem->pages);
        machine_run(m, m->st->position + 30, &stop);
        ck_assert_uint_eq(mem->pages.ndirty, 1);
        ck_assert_uint_eq(mem->pages.dirty[0], 8);
    }
    page_space_clean(&mem->pages);
    memory_read(mem, 0x8000, 4);
    ck_assert_uint_eq(mem->pages.ndirty, 0);
    machine_destroy(m);
}
END_TEST

START_TEST(restored_pages_are_not_dirty)
{
    struct machine *m = toy_machine();
    uint8_t page[PAGE_SIZE];

    memset(page, 7, sizeof(page));
    page_space_clean(&m->memory.pages);
    page_space_restore(&m->memory.pages, 5, page);
    ck_assert_uint_eq(m->memory.pages.ndirty, 0);
    ck_assert_uint_eq(memory_read(&m->memory, 0x5fff, 1), 7);
    page_space_restore(&m->memory.pages, 5, NULL);
    ck_assert_uint_eq(memory_read(&m->memory, 0x5fff, 1), 0);
    machine_destroy(m);
}
END_TEST

START_TEST(code_that_is_restored_differently_runs_differently)
{
    static const uint8_t one[] = {TOY_ALUI, ALU32(TOY_ADD), 0, 0, 1, TOY_JMP, 0, (uint8_t)-9, 0xff};
    struct machine *m = toy_machine();
    uint8_t page[PAGE_SIZE];
    struct stop stop;

    load(m, one, sizeof(one));
    machine_run(m, 100, &stop);
    ck_assert_uint_eq(state(m)->r[0], 50);
    memcpy(page, memory_page(&m->memory, 1), sizeof(page));
    page[4] = 2;
    page_space_restore(&m->memory.pages, 1, page);
    machine_restored(m);
    machine_run(m, 200, &stop);
    ck_assert_uint_eq(state(m)->r[0], 150);
    machine_destroy(m);
}
END_TEST

/* ---- events and deadlines ---- */

struct script {
    const struct event *events;
    unsigned n, next;
};

static const struct event *peek(void *ctx, struct machine *m)
{
    struct script *s = ctx;

    (void)m;
    return s->next < s->n ? &s->events[s->next] : NULL;
}

static void take(void *ctx, struct machine *m)
{
    (void)m;
    ((struct script *)ctx)->next++;
}

static const uint8_t spin[] = {TOY_ALUI, ALU32(TOY_ADD), 0, 0, 1, TOY_JMP, 0, (uint8_t)-9, 0xff};

START_TEST(a_run_stops_at_every_position_asked_for)
{
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, spin, sizeof(spin));
    for (icount_t p = 0, step = 1; p < 500; p += step++ % 7 + 1) {
        machine_run(m, p, &stop);
        ck_assert_int_eq(stop.kind, STOP_LIMIT);
        ck_assert_uint_eq(m->st->position, p);
        ck_assert_uint_eq(state(m)->r[0], (p + 1) / 2);
    }
    machine_destroy(m);
}
END_TEST

START_TEST(nothing_is_done_at_the_limit)
{
    static const struct event events[] = {{.position = 10, .kind = EVENT_INPUT, .len = 1}};
    struct script s = {.events = events, .n = 1};
    const struct machine_env env = {.ctx = &s, .peek_event = peek, .take_event = take};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, spin, sizeof(spin));
    m->env = &env;
    machine_run(m, 10, &stop);
    ck_assert_uint_eq(toy_device(m)->inputs, 0);
    ck_assert(!m->between);
    machine_run(m, 10, &stop);
    ck_assert_uint_eq(toy_device(m)->inputs, 0);
    machine_run(m, 11, &stop);
    ck_assert_uint_eq(toy_device(m)->inputs, 1);
    ck_assert_uint_eq(toy_device(m)->last_position, 10);
    machine_destroy(m);
}
END_TEST

START_TEST(a_deadline_expires_before_the_step_at_its_position)
{
    /* r1 = device; start the timer (1 + 99 ns from there), then spin */
    static const uint8_t code[] = {TOY_MOVI, 1, 0, 0, 2, 0, TOY_MOVI, 2, 99, 0, 0, 0,
                                   TOY_ST, 2, 2, 1, TOY_REG_TIMER, 0, TOY_JMP, 0, (uint8_t)-4, 0xff};

    for (unsigned shift = 0; shift < 4; shift++) {
        struct machine *m = toy_machine();
        uint64_t due = (2u << shift) + 100, at = (due + (1u << shift) - 1) >> shift;
        struct stop stop;

        load(m, code, sizeof(code));
        m->icount_shift = shift;
        machine_run(m, at, &stop);
        ck_assert_uint_eq(toy_device(m)->expiries, 0);
        machine_run(m, at + 1, &stop);
        ck_assert_uint_eq(toy_device(m)->expiries, 1);
        ck_assert_uint_eq(toy_device(m)->last_position, at);
        machine_destroy(m);
    }
}
END_TEST

START_TEST(events_that_are_steps_take_one)
{
    static const uint8_t value[8] = {0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12};
    static const uint8_t memory[] = {0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 'h', 'i'};
    static const uint8_t everybody[] = {255, 255, 255, 255, 255, 255, 255, 255}, nobody[8] = {0};
    static const struct event events[] = {
        {.position = 3, .kind = EVENT_WRITE_REGISTER, .len = 8, .data = value},
        {.position = 4, .kind = EVENT_WRITE_MEMORY, .len = sizeof(memory), .data = memory},
        {.position = 5, .kind = EVENT_WRITE_MEMORY, .len = 3, .data = memory},    /* malformed */
        {.position = 6, .kind = EVENT_WRITE_REGISTER, .len = 4, .data = memory},  /* malformed */
        {.position = 7, .kind = EVENT_HOLD, .len = 8, .data = everybody},
        {.position = 8, .kind = EVENT_HOLD, .len = 7, .data = nobody},            /* malformed */
        {.position = 9, .kind = EVENT_HOLD, .len = 8, .data = nobody},
    };
    struct script s = {.events = events, .n = ARRAY_LEN(events)};
    const struct machine_env env = {.ctx = &s, .peek_event = peek, .take_event = take};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, spin, sizeof(spin));
    m->env = &env;
    machine_run(m, 4, &stop);
    ck_assert_uint_eq(state(m)->r[0], 0x12345678);
    ck_assert(!m->between);
    machine_run(m, 5, &stop);
    ck_assert_uint_eq(memory_read(&m->memory, 0x8000, 2), 'h' | 'i' << 8);
    machine_run(m, 7, &stop);
    ck_assert_uint_eq(s.next, 4);
    ck_assert_uint_eq(state(m)->pc, 0x1005);
    machine_run(m, 9, &stop);
    ck_assert_uint_eq(machine_held(m), 1);
    machine_run(m, 10, &stop);
    ck_assert_uint_eq(machine_held(m), 0);
    ck_assert_uint_eq(state(m)->pc, 0x1005);
    machine_destroy(m);
}
END_TEST

START_TEST(an_idle_cpu_warps_to_the_next_deadline_and_no_position_passes)
{
    static const uint8_t code[] = {TOY_MOVI, 1, 0, 0, 2, 0, TOY_MOVI, 2, 0xff, 0x0f, 0, 0,
                                   TOY_ST, 2, 2, 1, TOY_REG_TIMER, 0, TOY_EI, 1, TOY_HLT, TOY_NOP};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, code, sizeof(code));
    m->stop_when_idle = true;
    machine_run(m, 100, &stop);
    ck_assert_int_eq(stop.kind, STOP_IDLE);
    ck_assert_uint_eq(m->st->position, 5);
    ck_assert_uint_eq(stop.wake, 2 + 0x1000);
    machine_warp(m, 50);
    ck_assert(m->between);
    ck_assert_uint_eq(machine_now(m), 50);
    machine_run(m, 100, &stop);
    ck_assert_int_eq(stop.kind, STOP_IDLE);
    m->stop_when_idle = false;
    machine_run(m, 6, &stop); /* the interrupt entry */
    ck_assert_int_eq(stop.kind, STOP_LIMIT);
    ck_assert(!m->between);
    ck_assert_uint_eq(toy_device(m)->last_position, 5);
    ck_assert_uint_eq(machine_now(m), 2 + 0x1000 + 1);
    ck_assert_uint_eq(state(m)->pc, 0x4800);
    machine_destroy(m);
}
END_TEST

START_TEST(sleep_with_nothing_to_wake_says_so)
{
    static const uint8_t code[] = {TOY_HLT};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, code, sizeof(code));
    machine_run(m, 100, &stop);
    ck_assert_int_eq(stop.kind, STOP_IDLE);
    ck_assert_uint_eq(stop.wake, VTIME_NEVER);
    machine_destroy(m);
}
END_TEST

START_TEST(an_event_ends_a_sleep_at_its_virtual_time)
{
    static const uint8_t code[] = {TOY_EI, 1, TOY_HLT};
    static const struct event events[] = {{.position = 2, .vtime = 777, .kind = EVENT_INPUT, .len = 1}};
    struct script s = {.events = events, .n = 1};
    const struct machine_env env = {.ctx = &s, .peek_event = peek, .take_event = take};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, code, sizeof(code));
    m->env = &env;
    machine_run(m, 3, &stop);
    ck_assert_int_eq(stop.kind, STOP_LIMIT);
    ck_assert_uint_eq(machine_now(m), 778);
    ck_assert_uint_eq(state(m)->pc, 0x4800);
    machine_destroy(m);
}
END_TEST

START_TEST(the_guest_end_stays_until_an_event_resets)
{
    static const uint8_t code[] = {TOY_MOVI, 1, 0, 0, 2, 0, TOY_ST, 2, 1, 1, TOY_REG_END, 0, TOY_NOP};
    static const struct event events[] = {{.position = 2, .kind = EVENT_RESET}};
    struct script s = {.events = events, .n = 0};
    const struct machine_env env = {.ctx = &s, .peek_event = peek, .take_event = take};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, code, sizeof(code));
    m->env = &env;
    for (unsigned i = 0; i < 2; i++) {
        machine_run(m, 100, &stop);
        ck_assert_int_eq(stop.kind, STOP_GUEST_END);
        ck_assert_uint_eq(m->st->position, 2);
        ck_assert_uint_eq(m->st->end, GUEST_DEBUG_EXIT);
        ck_assert_uint_eq(m->st->end_status, TOY_MMIO);
    }
    s.n = 1;
    machine_run(m, 3, &stop);
    ck_assert_int_eq(stop.kind, STOP_LIMIT);
    ck_assert_uint_eq(m->st->end, GUEST_RUNS);
    ck_assert_uint_eq(state(m)->pc, 0x1000);
    machine_destroy(m);
}
END_TEST

START_TEST(a_reset_request_is_a_step_of_its_own)
{
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, spin, sizeof(spin));
    machine_run(m, 7, &stop);
    machine_request_reset(m);
    machine_run(m, 8, &stop);
    ck_assert_uint_eq(state(m)->pc, 0x1000);
    ck_assert_uint_eq(state(m)->r[0], 0);
    ck_assert_uint_eq(m->st->reset_request, 0);
    m->no_reboot = true;
    machine_request_reset(m);
    machine_run(m, 9, &stop);
    ck_assert_int_eq(stop.kind, STOP_GUEST_END);
    ck_assert_uint_eq(m->st->end, GUEST_RESET);
    machine_destroy(m);
}
END_TEST

/* ---- traps ---- */

struct hits {
    struct machine *m;
    struct trap_hit list[64];
    icount_t stood[64];
    uint32_t r0[64];
    unsigned n;
    unsigned stop_at; /* answer true to the hit of this number */
};

static bool on_hit(void *ctx, const struct trap_hit *hit)
{
    struct hits *h = ctx;

    ck_assert(!h->m->cpus[0]->running);
    ck_assert_uint_eq(state(h->m)->cc.op, FLAGS_EXPLICIT);
    ck_assert_uint_lt(h->n, 64);
    h->stood[h->n] = machine_position(h->m);
    h->r0[h->n] = state(h->m)->r[0];
    h->list[h->n] = *hit;
    return ++h->n == h->stop_at;
}

static void watch_hits(struct machine *m, struct hits *h)
{
    h->m = m;
    m->traps->hit = on_hit;
    m->traps->ctx = h;
}

START_TEST(an_execution_trap_is_told_before_its_instruction)
{
    const struct trap trap = {.address = 0x1005, .kinds = TRAP_EXEC};
    struct machine *m = toy_machine();
    struct hits h = {.stop_at = 3};
    struct stop stop;

    load(m, spin, sizeof(spin));
    machine_run(m, 100, &stop); /* blocks without the trap are there */
    watch_hits(m, &h);
    machine_set_traps(m, &trap, 1);
    machine_run(m, 200, &stop);
    ck_assert_int_eq(stop.kind, STOP_TRAP);
    ck_assert_uint_eq(stop.hit.position, 105);
    ck_assert_uint_eq(m->st->position, 105);
    ck_assert_uint_eq(state(m)->pc, 0x1005);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(h.stood[i], 101 + 2 * i);
        ck_assert_uint_eq(h.list[i].address, 0x1005);
    }
    /* a new run begins at the same position: asked again */
    machine_run(m, 106, &stop);
    ck_assert_uint_eq(h.n, 4);
    ck_assert_uint_eq(h.stood[3], 105);
    machine_set_traps(m, NULL, 0);
    machine_run(m, 200, &stop);
    ck_assert_uint_eq(h.n, 4);
    machine_destroy(m);
}
END_TEST

START_TEST(a_write_trap_is_told_after_its_instruction_with_the_first_byte_touched)
{
    static const uint8_t code[] = {TOY_MOVI, 7, 0xfe, 0x8f, 0, 0, TOY_NOP, TOY_ST, 2, 0, 7, 0, 0,
                                   TOY_LD, 2, 1, 7, 0, 0, TOY_NOP};
    const struct trap traps[] = {{.address = 0x9000, .len = 4, .kinds = TRAP_WRITE},
                                 {.address = 0x9002, .len = 4, .kinds = TRAP_WRITE},
                                 {.address = 0x8000, .len = 0xfff, .kinds = TRAP_READ}};
    struct machine *m = toy_machine();
    struct hits h = {0};
    struct stop stop;

    load(m, code, sizeof(code));
    watch_hits(m, &h);
    machine_set_traps(m, traps, 3);
    machine_run(m, 5, &stop);
    ck_assert_uint_eq(h.n, 2);
    ck_assert_uint_eq(h.list[0].kind, TRAP_WRITE);
    ck_assert_uint_eq(h.list[0].position, 2);
    ck_assert_uint_eq(h.list[0].address, 0x9000);
    ck_assert_uint_eq(h.stood[0], 3);
    ck_assert_uint_eq(h.list[1].kind, TRAP_READ);
    ck_assert_uint_eq(h.list[1].address, 0x8ffe);
    ck_assert_uint_eq(h.stood[1], 4);
    machine_destroy(m);
}
END_TEST

START_TEST(a_repeated_instruction_hits_its_trap_once_and_each_watched_byte_at_its_step)
{
    static const uint8_t code[] = {TOY_NOP, TOY_FILL, TOY_NOP};
    const struct trap traps[] = {{.address = 0x1001, .kinds = TRAP_EXEC},
                                 {.address = 0x8064, .len = 2, .kinds = TRAP_WRITE}};
    struct machine *m = toy_machine();
    struct hits h = {0};
    struct stop stop;

    load(m, code, sizeof(code));
    state(m)->r[6] = 200;
    state(m)->r[7] = 0x8000;
    watch_hits(m, &h);
    machine_set_traps(m, traps, 2);
    machine_run(m, 201, &stop);
    ck_assert_uint_eq(m->st->position, 201);
    ck_assert_uint_eq(state(m)->pc, 0x1002);
    ck_assert_uint_eq(h.n, 3);
    ck_assert_uint_eq(h.list[0].position, 1);
    ck_assert_uint_eq(h.list[1].position, 1 + 100);
    ck_assert_uint_eq(h.list[2].position, 1 + 101);
    machine_destroy(m);
}
END_TEST

START_TEST(a_repeated_instruction_is_interrupted_at_the_exact_limit)
{
    static const uint8_t code[] = {TOY_NOP, TOY_FILL, TOY_NOP};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, code, sizeof(code));
    state(m)->r[6] = 5000;
    state(m)->r[7] = 0x8000;
    for (icount_t p = 1; p < 5000; p += 37) {
        machine_run(m, p, &stop);
        ck_assert_uint_eq(m->st->position, p);
        ck_assert_uint_eq(state(m)->r[6], 5000 - (p - 1));
        if (p > 1)
            ck_assert_uint_eq(m->cpus[0]->ops->in_progress(m->cpus[0]), 1);
    }
    machine_run(m, 5001, &stop);
    ck_assert_uint_eq(state(m)->pc, 0x1002);
    machine_destroy(m);
}
END_TEST

START_TEST(devices_see_the_exact_position)
{
    static const uint8_t code[] = {TOY_NOP, TOY_NOP, TOY_NOP, TOY_LD, 2, 0, 7, TOY_REG_POSITION, 0, TOY_NOP,
                                   TOY_LD, 2, 1, 7, TOY_REG_POSITION, 0, TOY_POS, 2, TOY_JMP, 0, (uint8_t)-22, 0xff};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, code, sizeof(code));
    state(m)->r[7] = TOY_MMIO;
    machine_run(m, 8 * 50, &stop);
    ck_assert_uint_eq(state(m)->r[0], 8 * 49 + 3);
    ck_assert_uint_eq(state(m)->r[1], 8 * 49 + 5);
    ck_assert_uint_eq(state(m)->r[2], 8 * 49 + 6);
    ck_assert_uint_eq(toy_device(m)->reads, 100); /* refused accesses had no side effects */
    machine_destroy(m);
}
END_TEST

/* ---- translations ---- */

#define TABLE 0x10000u

/* Identity for the first 64 pages, and paging on. */
static struct machine *paged_machine(void)
{
    struct machine *m = toy_machine();

    for (uint32_t i = 0; i < 64; i++) {
        uint32_t pte = i << 12 | 3;

        toy_poke(m, TABLE + 4 * i, &pte, 4);
    }
    state(m)->ptbase = TABLE;
    machine_restored(m);
    return m;
}

START_TEST(a_changed_page_table_is_obeyed_at_once)
{
    /* r1: entry of page 1024, in the table's second page; r2, r3 entries; r4: address 4 MiB */
    static const uint8_t code[] = {
        TOY_ST, 2, 2, 1, 4, 0,   /* a neighbour: the table's page is written before it is walked */
        TOY_ST, 2, 2, 1, 0, 0, TOY_LD, 2, 5, 4, 0, 0,
        TOY_ST, 2, 3, 1, 0, 0, TOY_LD, 2, 6, 4, 0, 0,
        TOY_ST, 2, 2, 1, 0, 0, TOY_LD, 2, 7, 4, 0, 0, TOY_NOP};
    struct machine *m = paged_machine();
    struct stop stop;

    load(m, code, sizeof(code));
    toy_poke(m, 0x8000, "one ", 4);
    toy_poke(m, 0x9000, "two ", 4);
    state(m)->r[1] = TABLE + 4 * 1024;
    state(m)->r[2] = 0x8003;
    state(m)->r[3] = 0x9003;
    state(m)->r[4] = 1024 << 12;
    machine_run(m, 7, &stop);
    ck_assert(!memcmp(&state(m)->r[5], "one ", 4));
    ck_assert(!memcmp(&state(m)->r[6], "two ", 4));
    ck_assert(!memcmp(&state(m)->r[7], "one ", 4));
    ck_assert_uint_eq(memory_read(&m->memory, TABLE + 4 * 1024, 4), 0x8023); /* accessed */
    machine_destroy(m);
}
END_TEST

/* ---- page tables of many CPUs ---- */

#define ROOTS     15u     /* as many as a CPU keeps translations of, with the one that it begins with */
#define OTHERS    12u     /* then so many more */
#define FIRST     4u      /* pages: the tables of ROOTS, then of OTHERS */
#define SEEN_AT   40u     /* the page that they map differently */
#define CODE(cpu) (0x1000u + 0x300u * (cpu))

static void put_bytes(struct machine *m, uint32_t *at, const uint8_t *bytes, size_t n)
{
    toy_poke(m, *at, bytes, n);
    *at += (uint32_t)n;
}

/* r1 = the table of page `page`, which is used; r5 = what its SEEN_AT shows, added to r6. */
static void put_visit(struct machine *m, uint32_t *at, uint32_t page)
{
    const uint8_t code[] = {TOY_MOVI, 1, 0, (uint8_t)(page << 4), (uint8_t)(page >> 4), 0, TOY_SETPT, 1, TOY_LD, 2, 5, 4, 0, 0,
                            TOY_ALU, ALU32(TOY_ADD), 6, 6, 5};

    put_bytes(m, at, code, sizeof(code));
}

static void put_visits(struct machine *m, uint32_t *at, uint32_t first, unsigned count)
{
    for (uint32_t page = first; page < first + count; page++)
        put_visit(m, at, page);
}

/* Each CPU visits ROOTS, so that together they have more contexts than there are bits for them; the first one goes on to OTHERS,
 * and changes ROOTS; the last one comes back to them. */
START_TEST(a_changed_page_table_is_obeyed_by_each_of_many_cpus)
{
    static const uint8_t yield[] = {TOY_YIELD}, halt[] = {TOY_HLT}, begin_sum[] = {TOY_MOVI, 6, 0, 0, 0, 0};
    struct machine *m = toy_machine_of(5);
    uint32_t at, value;
    struct stop stop;

    for (uint32_t page = FIRST; page < FIRST + ROOTS + OTHERS; page++) {
        for (uint32_t i = 0; i < 32; i++) {
            value = i << 12 | 3;
            toy_poke(m, (page << PAGE_SHIFT) + 4 * i, &value, 4);
        }
        value = 0x2003;
        toy_poke(m, (page << PAGE_SHIFT) + 4 * SEEN_AT, &value, 4);
    }
    value = 1;
    toy_poke(m, 0x2000, &value, 4);
    value = 1000;
    toy_poke(m, 0x3000, &value, 4);
    for (unsigned n = 0; n < 5; n++) {
        toy_nth(m, n)->st->pc = at = CODE(n);
        toy_nth(m, n)->st->r[4] = SEEN_AT << PAGE_SHIFT;
        toy_nth(m, n)->st->r[3] = 0x3003;
        put_visits(m, &at, FIRST, ROOTS);
        put_bytes(m, &at, yield, sizeof(yield));
        if (n == 0) {
            put_visits(m, &at, FIRST + ROOTS, OTHERS);
            for (uint32_t page = FIRST; page < FIRST + ROOTS; page++) {
                const uint8_t change[] = {TOY_MOVI, 1, 0, (uint8_t)(page << 4), (uint8_t)(page >> 4), 0, TOY_ST, 2, 3, 1, 4 * SEEN_AT, 0};

                put_bytes(m, &at, change, sizeof(change));
            }
            put_bytes(m, &at, yield, sizeof(yield));
        } else if (n == 4) {
            put_bytes(m, &at, begin_sum, sizeof(begin_sum));
            put_visits(m, &at, FIRST, ROOTS);
        }
        put_bytes(m, &at, halt, sizeof(halt));
        ck_assert_uint_le(at, CODE(n + 1));
    }
    m->schedule = (struct schedule){.quantum = 1000000};
    machine_restored(m);
    machine_run(m, 10000, &stop);
    ck_assert_int_eq(stop.kind, STOP_IDLE);
    ck_assert_uint_eq(toy_nth(m, 1)->st->r[6], ROOTS);
    ck_assert_uint_eq(toy_nth(m, 4)->st->r[6], 1000 * ROOTS);
    machine_destroy(m);
}
END_TEST

START_TEST(an_instruction_across_two_pages_follows_both_mappings)
{
    /* r5 times: the instruction at 0x1ffd has its immediate in the second page */
    static const uint8_t code[] = {TOY_ALUI, ALU32(TOY_DEC), 5, 5, 5, TOY_BR, 4, 0x0e, 0,
                                   TOY_JMP, 0, 0xf0, 0x0f};
    static const uint8_t crossing[] = {TOY_MOVI, 0, 1};
    static const uint8_t rest[] = {0, 0, 0, TOY_ALU, ALU32(TOY_ADD), 1, 1, 0, TOY_JMP, 0, 0xf4, 0xef};
    /* at 0x1017: map 0xb000 in place of 0x2000, and again */
    static const uint8_t remap[] = {TOY_ST, 2, 3, 4, 0, 0, TOY_MOVI, 5, 5, 0, 0, 0, TOY_JMP, 0, 0xd9, 0xff};
    struct machine *m = paged_machine();
    uint8_t other[sizeof(rest)];
    struct stop stop;

    load(m, code, sizeof(code));
    toy_poke(m, 0x1017, remap, sizeof(remap));
    toy_poke(m, 0x1ffd, crossing, sizeof(crossing));
    toy_poke(m, 0x2000, rest, sizeof(rest));
    memcpy(other, rest, sizeof(rest));
    other[0] = 1; /* 0x0101, not 1 */
    toy_poke(m, 0xb000, other, sizeof(other));
    state(m)->r[3] = 0xb003;
    state(m)->r[4] = TABLE + 4 * 2;
    state(m)->r[5] = 6;
    machine_run(m, 5 * 6 + 2, &stop); /* five rounds, and the branch out */
    ck_assert_uint_eq(state(m)->pc, 0x1017);
    ck_assert_uint_eq(state(m)->r[1], 5);
    machine_run(m, m->st->position + 3 + 4 * 6, &stop);
    ck_assert_uint_eq(state(m)->r[1], 5 + 4 * 0x0101);
    machine_destroy(m);
}
END_TEST

START_TEST(single_stepping_traps_after_every_instruction)
{
    static const uint8_t code[] = {TOY_TF, 1, TOY_NOP, TOY_NOP, TOY_MOVI, 0, 7, 0, 0, 0, TOY_NOP};
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, code, sizeof(code));
    machine_run(m, 1, &stop);
    ck_assert_uint_eq(state(m)->dbcount, 0); /* it did not hold when TF was set */
    for (unsigned i = 1; i <= 3; i++) {
        machine_run(m, 2 * i, &stop);
        ck_assert_uint_eq(state(m)->dbcount, i - 1);
        ck_assert_uint_eq(state(m)->pending_db, 1);
        machine_run(m, 2 * i + 1, &stop);
        ck_assert_uint_eq(state(m)->dbcount, i);
    }
    ck_assert_uint_eq(state(m)->r[0], 7);
    machine_destroy(m);
}
END_TEST

/* ---- footprints ---- */

START_TEST(footprints_name_every_page_that_ran_was_read_or_written)
{
    static const uint8_t code[] = {TOY_LD, 2, 1, 6, 0, 0, TOY_ST, 2, 0, 7, 0, 0, TOY_JMP, 0, 0xe8, 0x0f};
    static const uint8_t far[] = {TOY_NOP, TOY_JMP, 0, 0xfb, 0xef};
    struct machine *m = toy_machine();
    struct footprint f;
    struct stop stop;

    load(m, code, sizeof(code));
    toy_poke(m, 0x1ff8, far, sizeof(far));
    state(m)->r[6] = 0x9ffe;
    state(m)->r[7] = 0xb000;
    machine_run(m, 100, &stop);
    for (unsigned i = 0; i < 2; i++) {
        footprint_init(&f);
        machine_set_footprint(m, &f);
        machine_run(m, m->st->position + 100, &stop);
        machine_set_footprint(m, NULL);
        ck_assert(page_set_has(&f.code, 1));
        ck_assert(page_set_has(&f.read, 9) && page_set_has(&f.read, 10));
        ck_assert(page_set_has(&f.written, 11));
        ck_assert(!page_set_has(&f.written, 9) && !page_set_has(&f.code, 11));
        footprint_finish(&f);
    }
    machine_destroy(m);
}
END_TEST

START_TEST(page_sets_keep_what_was_added_sealed_or_not)
{
    struct page_set s;

    page_set_init(&s);
    ck_assert(!page_set_has(&s, 0));
    for (uint64_t i = 0; i < 5000; i++)
        page_set_add(&s, i * i);
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        for (uint64_t i = 0; i < 5000; i++)
            ck_assert(page_set_has(&s, i * i));
        ck_assert(!page_set_has(&s, 2) && !page_set_has(&s, UINT64_MAX - 1));
        page_set_seal(&s);
    }
    page_set_clear(&s);
    page_set_add(&s, 3);
    ck_assert(page_set_has(&s, 3) && !page_set_has(&s, 4));
    /* Pages in a row are bits of few words. */
    for (uint64_t page = 640; page < 1280; page++)
        page_set_add(&s, page);
    page_set_seal(&s);
    ck_assert_uint_eq(page_set_bytes(&s), 11 * sizeof(struct page_group));
    page_set_finish(&s);
}
END_TEST

#define SET_PAGES 1000u

/* What a set says of its pages, and of ranges of them, is what an array of them says. */
static void check_set(const struct page_set *s, const uint64_t *chunks, uint64_t first)
{
    for (unsigned i = 0; i < SET_PAGES; i++) {
        ck_assert(page_set_has(s, first + i) == (chunks[i] != 0));
        for (unsigned chunk = 0; s->in_chunks && chunk < 64; chunk += 7)
            ck_assert(page_set_has_chunks(s, first + i, (uint64_t)1 << chunk) == (chunks[i] >> chunk & 1));
    }
    for (unsigned n = 0; n < 300; n++) {
        unsigned from = n * 37 % SET_PAGES, to = from + n * 11 % (SET_PAGES - from);
        bool any = false;

        for (unsigned i = from; i <= to; i++)
            any |= chunks[i] != 0;
        ck_assert(page_set_has_any(s, first + from, first + to) == any);
    }
    ck_assert(!page_set_has_any(s, 0, first - 1) && !page_set_has_any(s, first + SET_PAGES, UINT64_MAX - 1));
}

START_TEST(sets_of_pages_and_chunks_answer_as_an_array_of_them_does)
{
    uint64_t chunks[SET_PAGES], state = 1;

    for (unsigned kind = 0; kind < 6; kind++) {
        uint64_t first = kind & 2 ? 0xfffffffc0005 : 70;
        struct page_set s, joined;

        page_set_init(&s);
        page_set_init(&joined);
        memset(chunks, 0, sizeof(chunks));
        for (unsigned n = 0; n < (kind < 2 ? 4 : 150); n++) {
            unsigned page;

            state = state * UINT64_C(6364136223846793005) + 1;
            page = (unsigned)(state >> 40) % SET_PAGES;
            chunks[page] |= kind & 1 ? state >> 7 & state >> 20 & 0xfffff : 1;
            if (kind & 1 && chunks[page])
                page_set_add_chunks(&s, first + page, chunks[page]);
            else if (!(kind & 1))
                page_set_add(&s, first + page);
        }
        check_set(&s, chunks, first);
        page_set_seal(&s);
        check_set(&s, chunks, first);
        page_set_join(&joined, &s);
        page_set_join(&joined, &s);
        check_set(&joined, chunks, first);
        if (!(kind & 1)) {
            size_t n, at = 0;
            uint64_t *list = page_set_list(&s, &n);

            for (unsigned i = 0; i < SET_PAGES; i++)
                if (chunks[i])
                    ck_assert(at < n && list[at++] == first + i);
            ck_assert_uint_eq(at, n);
            free(list);
        }
        page_set_finish(&joined);
        page_set_finish(&s);
    }
}
END_TEST

/* ---- two machines ---- */

static void *run_alone(void *arg)
{
    struct machine *m = toy_machine();
    struct stop stop;

    load(m, spin, sizeof(spin));
    machine_run(m, 2000000, &stop);
    *(uint64_t *)arg = machine_hash(m);
    machine_destroy(m);
    return NULL;
}

START_TEST(two_machines_run_in_two_threads)
{
    pthread_t threads[2];
    uint64_t hashes[2];

    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_alone, &hashes[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ck_assert(hashes[0] == hashes[1]);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("vm");
    TCase *t = tcase_create("memory");

    tcase_add_test(t, later_regions_hide_earlier_ones_and_disabled_ones_are_transparent);
    tcase_add_test(t, nothing_reads_as_ones_and_rom_drops_writes);
    tcase_add_test(t, accesses_across_regions_are_split);
    tcase_add_test(t, bulk_reads_skip_devices_and_bulk_writes_count_what_landed);
    tcase_add_test(t, dma_reaches_neither_secure_memory_nor_what_is_for_cpus_only);
    tcase_add_test(t, the_first_write_since_cleaning_makes_a_page_dirty_whoever_writes);
    tcase_add_test(t, restored_pages_are_not_dirty);
    tcase_add_test(t, code_that_is_restored_differently_runs_differently);
    suite_add_tcase(s, t);
    t = tcase_create("order");
    tcase_add_test(t, a_run_stops_at_every_position_asked_for);
    tcase_add_test(t, nothing_is_done_at_the_limit);
    tcase_add_test(t, a_deadline_expires_before_the_step_at_its_position);
    tcase_add_test(t, events_that_are_steps_take_one);
    tcase_add_test(t, an_idle_cpu_warps_to_the_next_deadline_and_no_position_passes);
    tcase_add_test(t, sleep_with_nothing_to_wake_says_so);
    tcase_add_test(t, an_event_ends_a_sleep_at_its_virtual_time);
    tcase_add_test(t, the_guest_end_stays_until_an_event_resets);
    tcase_add_test(t, a_reset_request_is_a_step_of_its_own);
    suite_add_tcase(s, t);
    t = tcase_create("traps");
    tcase_add_test(t, an_execution_trap_is_told_before_its_instruction);
    tcase_add_test(t, a_write_trap_is_told_after_its_instruction_with_the_first_byte_touched);
    tcase_add_test(t, a_repeated_instruction_hits_its_trap_once_and_each_watched_byte_at_its_step);
    tcase_add_test(t, a_repeated_instruction_is_interrupted_at_the_exact_limit);
    tcase_add_test(t, devices_see_the_exact_position);
    suite_add_tcase(s, t);
    t = tcase_create("translations");
    tcase_add_test(t, a_changed_page_table_is_obeyed_at_once);
    tcase_add_test(t, a_changed_page_table_is_obeyed_by_each_of_many_cpus);
    tcase_add_test(t, an_instruction_across_two_pages_follows_both_mappings);
    tcase_add_test(t, single_stepping_traps_after_every_instruction);
    suite_add_tcase(s, t);
    t = tcase_create("footprints");
    tcase_add_test(t, footprints_name_every_page_that_ran_was_read_or_written);
    tcase_add_test(t, page_sets_keep_what_was_added_sealed_or_not);
    tcase_add_test(t, sets_of_pages_and_chunks_answer_as_an_array_of_them_does);
    tcase_add_test(t, two_machines_run_in_two_threads);
    suite_add_tcase(s, t);
    return s;
}
