/*
 * A little key-value server on the bare machine.
 *
 * Clients open a session, read or change an entry, and close the session. All
 * that it allocates comes from one pool of equal blocks. A timer interrupt counts
 * the ticks and runs the timeouts. Every now and then an audit looks at each entry.
 *
 * It runs well for a while, and then the audit panics over an entry that nobody
 * can have changed. (Somebody did; finding out who is what hindcast is for.)
 */
#include "machine.h"

#define TICKS_PER_SECOND 1000
#define BLOCKS           256
#define BLOCK_BYTES      64
#define TIMERS           64
#define BUCKETS          16
#define VALUE_BYTES      40
#define MAX_REFS         8
#define HANDSHAKE_TICKS  40
#define AUDIT_TICKS      1000
#define HANGUP_EVERY     2600       /* one client in so many goes away during its handshake */
#define KEY_REFUSED      0x80000000 /* entries that remember clients which went away */

/* ---- the pool ---- */

union block {
    union block *next;
    u8 bytes[BLOCK_BYTES];
};

static union block pool[BLOCKS];
static union block *pool_list;

static void pool_init(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        pool[i].next = pool_list;
        pool_list = &pool[i];
    }
}

static void *pool_alloc(void)
{
    u32 flags = interrupts_off();
    union block *b = pool_list;

    if (!b)
        panic("out of blocks");
    pool_list = b->next;
    interrupts_restore(flags);
    return b;
}

static void pool_free(void *p)
{
    u32 flags = interrupts_off();
    union block *b = p;

    b->next = pool_list;
    pool_list = b;
    interrupts_restore(flags);
}

/* ---- timeouts ---- */

struct timer {
    u32 due;              /* tick; 0: unused */
    void (*fire)(void *); /* called by the interrupt handler */
    void *arg;
};

static struct timer timers[TIMERS];
static volatile u32 ticks;

static struct timer *timer_start(u32 delay, void (*fire)(void *), void *arg)
{
    u32 flags = interrupts_off();
    struct timer *t = timers;

    while (t->due)
        if (++t == timers + TIMERS)
            panic("out of timers");
    t->due = ticks + delay;
    t->fire = fire;
    t->arg = arg;
    interrupts_restore(flags);
    return t;
}

static void timer_stop(struct timer *t)
{
    t->due = 0;
}

static void run_timers(void)
{
    for (struct timer *t = timers; t < timers + TIMERS; t++) {
        if (!t->due || t->due > ticks)
            continue;
        t->due = 0;
        t->fire(t->arg);
    }
}

void timer_interrupt(void);
void timer_interrupt(void)
{
    ticks++;
    run_timers();
    timer_acknowledge();
}

/* ---- sessions ---- */

enum session_state { SESSION_HANDSHAKE = 1, SESSION_OPEN };

struct session {
    u32 id;
    enum session_state state;
    struct timer *timeout;
    u32 last_try;            /* tick of the last attempt to reach the client */
};

static u32 sessions_opened, sessions_refused;

/* The client has not answered: note that we tried once more. */
static void session_timeout(void *arg)
{
    struct session *s = arg;

    s->last_try = ticks;
}

static struct session *session_open(u32 id)
{
    struct session *s = pool_alloc();

    s->id = id;
    s->state = SESSION_HANDSHAKE;
    s->last_try = 0;
    s->timeout = timer_start(HANDSHAKE_TICKS, session_timeout, s);
    sessions_opened++;
    return s;
}

static void session_ready(struct session *s)
{
    timer_stop(s->timeout);
    s->state = SESSION_OPEN;
}

static void session_close(struct session *s)
{
    pool_free(s);
}

/* ---- entries ---- */

struct entry {
    struct entry *next;
    u32 key;
    u32 len;
    u32 refs;                /* readers that hold it: 0 or a few */
    char value[VALUE_BYTES];
};

static struct entry *buckets[BUCKETS];
static u32 entries;

static u32 hash(u32 key)
{
    key ^= key >> 16;
    key *= 0x45d9f3b;
    key ^= key >> 16;
    return key;
}

static struct entry *entry_find(u32 key)
{
    struct entry *e;

    for (e = buckets[hash(key) % BUCKETS]; e; e = e->next)
        if (e->key == key)
            break;
    return e;
}

static struct entry *entry_add(u32 key)
{
    struct entry *e = pool_alloc();
    struct entry **bucket = &buckets[hash(key) % BUCKETS];

    e->key = key;
    e->refs = 0;
    e->len = 0;
    e->next = *bucket;
    *bucket = e;
    entries++;
    return e;
}

static void entry_write(struct entry *e, u32 seed)
{
    for (u32 i = 0; i < VALUE_BYTES; i++)
        e->value[i] = (char)('a' + (seed = hash(seed + i)) % 26);
    e->len = VALUE_BYTES;
}

static u32 entry_read(struct entry *e)
{
    u32 sum = 0;

    for (u32 round = 0; round < 20; round++)
        for (u32 i = 0; i < e->len; i++)
            sum = hash(sum + (u8)e->value[i]);
    return sum;
}

/* Nothing holds an entry for long: more than a few readers are none of ours. */
static void audit(void)
{
    u32 found = 0;

    for (u32 b = 0; b < BUCKETS; b++) {
        for (struct entry *e = buckets[b]; e; e = e->next) {
            if (e->refs > MAX_REFS)
                panic("audit: entry %u has %u readers", e->key, e->refs);
            found++;
        }
    }
    if (found != entries)
        panic("audit: %u entries, %u found", entries, found);
}

/* ---- the server ---- */

static u32 random_state = 20240229;
static u32 checksum;

static u32 random_number(u32 below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

static void serve(u32 id)
{
    struct session *s = session_open(id);
    struct entry *e;

    if (id % HANGUP_EVERY == HANGUP_EVERY - 1) {
        session_close(s);
        sessions_refused++;
        e = entry_add(KEY_REFUSED + id);
        entry_write(e, id);
        return;
    }
    session_ready(s);
    u32 key = random_number(20 + id / 32);
    e = entry_find(key);
    if (!e) {
        e = entry_add(key);
        entry_write(e, id);
    }
    e->refs++;
    checksum = checksum * 31 + entry_read(e);
    e->refs--;
    session_close(s);
}

void kernel_main(void);
void kernel_main(void)
{
    u32 id = 0, next_audit = AUDIT_TICKS;

    machine_init(TICKS_PER_SECOND);
    pool_init();
    console_printf("store: ready\n");
    interrupts_on();
    for (;;) {
        u32 now = ticks;

        serve(++id);
        serve(++id);
        if (ticks >= next_audit) {
            audit();
            console_printf("store: tick %u: %u sessions, %u entries, audit passed\n", ticks, sessions_opened,
                           entries);
            next_audit += AUDIT_TICKS;
        }
        while (ticks == now)
            wait_for_interrupt();
    }
}
