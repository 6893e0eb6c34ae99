/*
 * Claims about what must be done alone (vm/uop.h): a device, translated or watched bytes, bits
 * that a walk sets. Whatever came before in the same run, and however the instruction's block was
 * come to, it is done once, and the states are those of single steps.
 */
#include "i386_bench.h"

#include "vm/trap.h"
#include "tests/check_main.h"

#define PT0    (PAGES + 0x1000)
#define PT1    (PAGES + 0x2000)
#define DEVICE 0x500000u
#define OLD_DIRECTORY 0x60000u

static struct bench *b;
static struct i386_state *s;
static unsigned reads; /* of the port and of the device */

static uint32_t count_in(void *ctx, uint16_t port, unsigned size)
{
    (void)ctx;
    (void)port;
    (void)size;
    return ++reads;
}

/* Entries of a page table: pages from DATA on. */
static uint64_t bench_device_read(struct device *d, unsigned range, uint64_t offset, unsigned size)
{
    (void)d;
    (void)range;
    (void)size;
    reads++;
    return (DATA + (uint32_t)offset / 4 * 0x1000) | 7;
}

static const struct device_ops device_ops = {.name = "tables", .read = bench_device_read};

static void begin(void)
{
    struct region device = {.base = DEVICE, .size = PAGE_SIZE, .kind = REGION_MMIO, .enabled = true};

    b = bench_new("pentium3");
    s = b->s;
    b->c->io_read = count_in;
    device.dev = machine_add_device(b->m, &device_ops, "tables0", NULL);
    memory_map(&b->m->memory, &device);
    reads = 0;
}

static void end(void)
{
    bench_free(b);
}

/* 32-bit paging: 8 MiB identity-mapped, A and D clear. */
static void map(void)
{
    for (unsigned i = 0; i < 2; i++)
        poke32(b, PAGES + 4 * i, (PT0 + i * (uint32_t)PAGE_SIZE) | 7);
    for (unsigned i = 0; i < 2048; i++)
        poke32(b, PT0 + 4 * i, i << 12 | 7);
    s->cr3 = PAGES;
    s->cr0 |= CR0_PG;
    refresh(b);
}

/* What `prepare` sets up has the same state after `n` steps made at once and one by one. */
static void same_at_once_and_one_by_one(void (*prepare)(void), unsigned n)
{
    uint64_t at_once;
    unsigned reads_at_once;

    begin();
    prepare();
    steps(b, n);
    at_once = machine_hash(b->m);
    reads_at_once = reads;
    end();
    begin();
    prepare();
    for (unsigned i = 0; i < n; i++)
        steps(b, 1);
    ck_assert(machine_hash(b->m) == at_once);
    ck_assert_uint_eq(reads, reads_at_once);
    end();
}

/* ---- after a bulk REP ---- */

/* 64 iterations at DATA; in bulk but for the first time around. */
#define REP       0xbf, 0x00, 0x00, 0x04, 0x00, 0xb9, 0x40, 0x00, 0x00, 0x00, 0xf3, 0xaa
#define REP_STEPS (2 + 64)

static void jump(uint32_t to)
{
    poke8(b, b->at, 0xe9);
    poke32(b, b->at + 1, to - (b->at + 5));
    b->at += 5;
}

/* dec ebp; jnz; and round and round */
static void loop(uint32_t to)
{
    CODE(b, 0x4d, 0x0f, 0x85);
    poke32(b, b->at, to - (b->at + 4));
    b->at += 4;
    CODE(b, 0xeb, 0xfe);
}

/* What ran in another page is forgotten with its entry: the run loop wants to know. */
static void fill_entries_of_code(void)
{
    map();
    CODE(b, 0xa3, 0xf0, 0x1f, 0x10, 0x00); /* mov [PT0 + ff0h], eax */
    jump(CODE2);
    b->at = CODE2;
    CODE(b, 0xbf, 0x80, 0x10, 0x10, 0x00, 0xb8, 0x07, 0x00, 0x02, 0x00); /* mov edi, the entry of KCODE; mov eax, KCODE | 7 */
    CODE(b, 0xb9, 0x08, 0x00, 0x00, 0x00, 0xf3, 0xab, 0x40, 0x40);       /* mov ecx, 8; rep stosd; inc eax twice */
    s->eflags &= ~EFLAGS_DF;
}

START_TEST(rep_over_entries_of_code_that_ran_stops_where_the_run_loop_wants_it)
{
    for (unsigned n = 1; n < 16; n++)
        same_at_once_and_one_by_one(fill_entries_of_code, n);
}
END_TEST

START_TEST(ins_over_code_reads_its_port_once_after_a_bulk_rep)
{
    begin();
    reads = 0x8f; /* so that the port gives NOP and two that do no harm */
    s->gpr[EBP] = 3;
    CODE(b, REP, 0xbf, 0x40, 0x00, 0x02, 0x00, 0x6c); /* mov edi, KCODE + 40h; insb */
    jump(KCODE + 0x40);
    b->at = KCODE + 0x40;
    CODE(b, 0x90);
    loop(KCODE);
    steps(b, 3 * (REP_STEPS + 1 + 1 + 1 + 3));
    ck_assert_uint_eq(s->gpr[EBP], 0);
    ck_assert_uint_eq(reads, 0x8f + 3);
    end();
}
END_TEST

#define LAND (KCODE + 0x200)

/* Push a frame over bytes that have just run, after a REP. */
static void push_over_code(const uint8_t *op, size_t len)
{
    s->gpr[EBP] = 5;
    CODE(b, 0xbf, 0x00, 0x80, 0x03, 0x00, 0xb8, 0x90, 0x90, 0x90, 0x90); /* mov edi, CODE2; mov eax, NOPs */
    CODE(b, 0xb9, 0x0c, 0x00, 0x00, 0x00, 0xf3, 0xab);                   /* mov ecx, 12; rep stosd */
    CODE(b, 0xbb, 0x00, 0x01, 0x02, 0x00);                               /* mov ebx, KCODE + 100h */
    jump(CODE2);
    b->at = CODE2 + 0x30;
    CODE(b, 0xff, 0xe3); /* jmp ebx */
    b->at = KCODE + 0x100;
    CODE(b, 0xbc, 0x28, 0x80, 0x03, 0x00, REP); /* mov esp, CODE2 + 28h */
    poke(b, b->at, op, len);
    b->at += (uint32_t)len;
    jump(LAND);
    b->at = LAND;
    loop(KCODE);
    gate(b, IDT + 0x40 * 8, S_CODE, LAND, 0x8e, 0);
    gate(b, IDT + EXC_UD * 8, S_CODE, LAND, 0x8e, 0);
}

static void int_over_code(void)
{
    static const uint8_t op[] = {0xcd, 0x40};

    push_over_code(op, sizeof op);
}

static void far_call_over_code(void)
{
    static const uint8_t op[] = {0x9a, 0x00, 0x02, 0x02, 0x00, S_CODE, 0x00};

    push_over_code(op, sizeof op);
}

static void ud_over_code(void)
{
    static const uint8_t op[] = {0x0f, 0x0b};

    push_over_code(op, sizeof op);
}

static void pusha_over_code(void)
{
    static const uint8_t op[] = {0x60};

    push_over_code(op, sizeof op);
}

/* ENTER that copies frame pointers from where it pushes. */
static void enter_over_code(void)
{
    static const uint8_t op[] = {0x89, 0xee, 0xbd, 0x24, 0x80, 0x03, 0x00, /* mov esi, ebp; mov ebp, CODE2 + 24h */
                                 0xc8, 0x00, 0x00, 0x05, 0x89, 0xf5};      /* enter 0, 5; mov ebp, esi */

    push_over_code(op, sizeof op);
}

START_TEST(frames_are_pushed_over_code_after_a_bulk_rep)
{
    static void (*const ways[])(void) = {int_over_code, far_call_over_code, ud_over_code, pusha_over_code,
                                         enter_over_code};

    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        begin();
        ways[i]();
        steps(b, 2000);
        ck_assert_uint_eq(s->gpr[EBP], 0);
        end();
        same_at_once_and_one_by_one(ways[i], 600);
    }
}
END_TEST

/* ---- devices that are polled ---- */

static void poll_a_device(void)
{
    CODE(b, 0x90, 0xa1, 0x00, 0x00, 0x50, 0x00, 0x01, 0xc3, 0x49, 0x75, 0xf6, 0xeb, 0xfe);
    s->gpr[ECX] = 3000;
}

/* A retry each time would be 3,000 instructions alone. */
START_TEST(an_instruction_that_reaches_a_device_again_and_again_gets_a_block_of_its_own)
{
    struct ucpu_stats stats;

    begin();
    poll_a_device();
    steps(b, 13000);
    ck_assert_uint_eq(reads, 3000);
    ck_assert_uint_eq(s->gpr[ECX], 0);
    ucpu_stats(&b->c->u, &stats);
    ck_assert_uint_lt(stats.alone, 100);
    end();
    same_at_once_and_one_by_one(poll_a_device, 900);
}
END_TEST

/* ---- whole instructions ---- */

static void fill_a_mebibyte(void)
{
    CODE(b, 0xf3, 0xaa, 0xf3, 0xaa, 0x90);
    s->gpr[EDI] = 0x200001;
    s->gpr[ECX] = 1 << 20;
}

START_TEST(a_repeated_instruction_is_made_whole_in_bulk)
{
    struct ucpu_stats stats;
    struct stop stop;
    uint64_t whole;

    begin();
    fill_a_mebibyte();
    machine_run_instruction(b->m, ICOUNT_MAX, 1, &stop);
    ck_assert_int_eq(stop.kind, STOP_LIMIT);
    ck_assert_uint_eq(b->m->st->position, 1 << 20);
    ck_assert_uint_eq(s->rip, KCODE + 2);
    ucpu_stats(&b->c->u, &stats);
    ck_assert_uint_lt(stats.alone, 2000); /* a few for each page */
    whole = machine_hash(b->m);
    machine_run_instruction(b->m, ICOUNT_MAX, 1, &stop);
    ck_assert_uint_eq(b->m->st->position, (1 << 20) + 1);
    end();
    begin();
    fill_a_mebibyte();
    steps(b, 99);
    machine_run_instruction(b->m, 5000, 1, &stop);
    ck_assert_uint_eq(b->m->st->position, 5000);
    steps(b, (1 << 20) - 5000);
    ck_assert(machine_hash(b->m) == whole);
    end();
}
END_TEST

/* ---- stores that change what others of the same instruction need ---- */

/* The second table is at 401000h, so a push there can take away the page below it. */
static void call_with_the_stack_over_its_page_table(void)
{
    map();
    poke32(b, PT1, 0x60007);
    poke32(b, PT1 + 4, PT1 | 7);
    s->gpr[ESP] = 0x401004;
    CODE(b, 0x9a, 0x00, 0x80, 0x03, 0x00, S_CODE, 0x00);
    b->at = CODE2;
    CODE(b, 0xeb, 0xfe);
}

START_TEST(a_push_that_takes_away_the_next_ones_page_does_not_stop_it)
{
    begin();
    call_with_the_stack_over_its_page_table();
    steps(b, 1);
    ck_assert_uint_eq(s->rip, CODE2);
    ck_assert_uint_eq(peek32(b, PT1), S_CODE);
    ck_assert_uint_eq(peek32(b, 0x60ffc), KCODE + 7);
    end();
    same_at_once_and_one_by_one(call_with_the_stack_over_its_page_table, 3);
}
END_TEST

/* ---- walks ---- */

/* Tables that a device answers: each walk reads it, and only walks that are made. */
static void tables_in_a_device(void)
{
    map();
    poke32(b, PAGES + 4 * 0x10, DEVICE | 7); /* 4000000h on */
    poke32(b, DATA, 0x11111111);
    CODE(b, 0x43, 0x8b, 0x0e, 0x8b, 0x0e, 0x43, 0x8b, 0x0e, 0x43); /* inc ebx; mov ecx, [esi]... */
    s->gpr[ESI] = 0x04000000;
}

START_TEST(a_walk_through_a_device_reads_it_once)
{
    begin();
    tables_in_a_device();
    steps(b, 6);
    ck_assert_uint_eq(s->gpr[ECX], 0x11111111);
    ck_assert_uint_eq(reads, 3);
    end();
    same_at_once_and_one_by_one(tables_in_a_device, 6);
}
END_TEST

static bool stop_there(void *ctx, const struct trap_hit *hit)
{
    (void)ctx;
    (void)hit;
    return true;
}

START_TEST(a_breakpoint_stops_before_the_fetch_sets_a_bit)
{
    static const struct trap at = {.address = CODE2, .len = 1, .kinds = TRAP_EXEC};
    uint64_t canonical;

    begin();
    map();
    poke8(b, KCODE, 0xe9);
    poke32(b, KCODE + 1, CODE2 - (KCODE + 5));
    poke8(b, CODE2, 0x90);
    steps(b, 1);
    canonical = machine_hash(b->m);
    b->m->traps->hit = stop_there;
    machine_set_traps(b->m, &at, 1);
    steps(b, 5);
    ck_assert_uint_eq(s->rip, CODE2);
    ck_assert(machine_hash(b->m) == canonical);
    ck_assert_uint_eq(peek32(b, PT0 + 4 * (CODE2 >> 12)) & 0x20, 0);
    machine_set_traps(b->m, NULL, 0);
    steps(b, 1);
    ck_assert_uint_eq(s->rip, CODE2 + 1);
    ck_assert_uint_eq(peek32(b, PT0 + 4 * (CODE2 >> 12)) & 0x20, 0x20);
    end();
}
END_TEST

/* Put an AND whose last byte is in the next page over the directory, so that the entry which that page is
 * found by is part of its displacement: fetching it sets the accessed bit, and the AND is at DATA. */
static void code_over_its_directory(void)
{
    const uint32_t directory = 0x3ff000, and = 0xffbffff7;

    map();
    s->cr4 |= CR4_PSE;
    s->cr3 = directory;
    poke32(b, directory, 0x83);
    poke8(b, directory + 0xff7, 0x81);
    poke32(b, directory + 4 * 1022, 0xa3);  /* ModRM, and three bytes of the displacement; maps these bytes */
    poke32(b, directory + 4 * 1023, PT0 | 7); /* its last byte, 27h when accessed; three of the immediate */
    poke32(b, PT0, 0x50007);
    poke8(b, 0x50000, 0x80);
    poke32(b, DATA, 0xffffffff);
    s->gpr[EBX] = DATA - 0x27000000;
    s->rip = and;
    refresh(b);
}

START_TEST(an_instruction_over_two_pages_is_what_it_is_after_its_fetch)
{
    begin();
    code_over_its_directory();
    steps(b, 1);
    ck_assert_uint_eq(s->rip, 0xffc00001);
    ck_assert_uint_eq(peek32(b, DATA), 0x80001010);
    end();
}
END_TEST

/* REP MOVSD whose first element moves the page that it copies from. */
static void copy_over_the_sources_entry(void)
{
    map();
    poke32(b, PT0 + 4 * 0x60, PT0 | 0x67); /* 60000h is the table; its last entry is that of the source */
    poke32(b, PT0 + 4 * 1023, 0x70067);
    for (unsigned i = 0; i < 32; i++) {
        poke32(b, 0x70000 + 4 * i, 0x50067);
        poke32(b, 0x50000 + 4 * i, 0xabababab);
    }
    CODE(b, 0xa3, 0x00, 0x10, 0x06, 0x00, 0xa3, 0x00, 0x10, 0x06, 0x00); /* mov [61000h], eax */
    CODE(b, 0xa1, 0x00, 0xf0, 0x3f, 0x00, 0xa1, 0x00, 0xf0, 0x3f, 0x00); /* mov eax, [3ff000h] */
    CODE(b, 0xf3, 0xa5);
    CODE(b, 0xeb, 0xfe);
    s->gpr[ESI] = 0x3ff000;
    s->gpr[EDI] = 0x60ffc;
    s->gpr[ECX] = 16;
}

/* Else a debugger's step would look for its end for ever. */
START_TEST(a_rep_that_overwrites_itself_is_over)
{
    struct cpu *cpu;

    begin();
    cpu = b->m->cpus[0];
    CODE(b, 0xf3, 0xaa, 0xeb, 0xfc); /* rep stosb; jmp to it */
    s->gpr[EAX] = 0x90;
    s->gpr[EDI] = KCODE - 1;
    s->gpr[ECX] = 1000;
    steps(b, 1);
    ck_assert_uint_eq(cpu->ops->in_progress(cpu), 0);
    steps(b, 1); /* the prefix is gone: STOSB, once and again */
    ck_assert_uint_eq(s->rip, KCODE);
    ck_assert_uint_eq(cpu->ops->in_progress(cpu), ICOUNT_MAX);
    end();
}
END_TEST

START_TEST(rep_movs_follows_the_page_table_that_it_writes)
{
    begin();
    copy_over_the_sources_entry();
    steps(b, 4 + 16);
    ck_assert_uint_eq(peek32(b, 0x61000), 0xabababab);
    end();
    same_at_once_and_one_by_one(copy_over_the_sources_entry, 20);
}
END_TEST

/* A function of 40 INC EBX, overwritten by NOPs between two calls, forwards and (the second time) backwards; another one in its page
 * stays, so that the page is never written inline. */
static void fill_over_a_function(void)
{
    map();
    for (unsigned i = 0; i < 40; i++)
        poke8(b, CODE2 + i, 0x43);
    poke8(b, CODE2 + 40, 0xc3);
    poke8(b, CODE2 + 0x800, 0x42); /* inc edx; ret */
    poke8(b, CODE2 + 0x801, 0xc3);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned calls = 0; calls < 2; calls++) {
            CODE(b, 0xe8);
            poke32(b, b->at, CODE2 - (b->at + 4));
            b->at += 4;
            CODE(b, 0xe8);
            poke32(b, b->at, CODE2 + 0x800 - (b->at + 4));
            b->at += 4;
            poke8(b, b->at++, 0xb0);                              /* mov al: NOP, INC ECX */
            poke8(b, b->at++, turn ? 0x41 : 0x90);
            CODE(b, 0xbf);
            poke32(b, b->at, CODE2 + (turn ? 39 : 0));
            b->at += 4;
            poke8(b, b->at++, turn ? 0xfd : 0xfc);                /* cld; std */
            CODE(b, 0xb9, 0x28, 0x00, 0x00, 0x00, 0xf3, 0xaa);    /* mov ecx, 40; rep stosb */
        }
    }
    CODE(b, 0xe8);
    poke32(b, b->at, CODE2 - (b->at + 4));
    b->at += 4;
    CODE(b, 0xeb, 0xfe);
    s->gpr[EBX] = s->gpr[EDX] = 0;
}

START_TEST(what_rep_stos_overwrites_in_bulk_runs_as_it_is_now)
{
    begin();
    fill_over_a_function();
    steps(b, 700);
    ck_assert_uint_eq(s->gpr[EBX], 40);
    ck_assert_uint_eq(s->gpr[EDX], 4);
    ck_assert_uint_eq(s->gpr[ECX], 40);
    end();
    same_at_once_and_one_by_one(fill_over_a_function, 500);
}
END_TEST

/* A function of one INC, and data in the same 64 bytes: written thrice, then the INC itself, and once more. */
static void write_beside_a_function(void)
{
    static const uint8_t incs[] = {0x43, 0x42, 0x46}; /* inc ebx, edx, esi */

    map();
    poke8(b, CODE2, incs[0]);
    poke8(b, CODE2 + 1, 0xc3);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned n = 0; n < 3; n++) {
            poke8(b, b->at, 0xe8);
            poke32(b, b->at + 1, CODE2 - (b->at + 5));
            b->at += 5;
            CODE(b, 0xa2);                                        /* mov [CODE2 + 8], al */
            poke32(b, b->at, CODE2 + 8);
            b->at += 4;
        }
        CODE(b, 0xc6, 0x05);                                      /* mov byte [CODE2], the next INC */
        poke32(b, b->at, CODE2);
        poke8(b, b->at + 4, incs[(i + 1) % 3]);
        b->at += 5;
    }
    CODE(b, 0xeb, 0xfe);
    s->gpr[EBX] = s->gpr[EDX] = s->gpr[ESI] = 0;
}

START_TEST(data_beside_code_is_written_and_code_is_what_it_is)
{
    begin();
    write_beside_a_function();
    steps(b, 3 * (3 * 4 + 1));
    ck_assert_uint_eq(s->gpr[EBX], 3);
    ck_assert_uint_eq(s->gpr[EDX], 3);
    ck_assert_uint_eq(s->gpr[ESI], 3);
    end();
    same_at_once_and_one_by_one(write_beside_a_function, 3 * (3 * 4 + 1));
}
END_TEST

/* Sixteen entries of a page table, used before and after they are filled with another frame's address. */
static void fill_over_a_page_table(void)
{
    map();
    poke32(b, 0x50000, 0x11111111);
    poke32(b, 0x51000, 0x22222222);
    for (unsigned i = 0; i < 16; i++)
        poke32(b, PT0 + 4 * (0x300 + i), 0x50067);
    poke32(b, PT0 + 4 * 0x60, PT0 | 0x67); /* 60000h is the table */
    for (unsigned i = 0; i < 2; i++) {
        CODE(b, 0x03, 0x1d, 0x00, 0x00, 0x30, 0x00);              /* add ebx, [300000h] */
        CODE(b, 0x03, 0x1d, 0x00, 0xf0, 0x30, 0x00);              /* add ebx, [30f000h] */
        CODE(b, 0xbf, 0x00, 0x0c, 0x06, 0x00);                    /* mov edi, 60c00h */
        CODE(b, 0xb9, 0x10, 0x00, 0x00, 0x00, 0xf3, 0xab);        /* mov ecx, 16; rep stosd */
        CODE(b, 0x03, 0x1d, 0x00, 0x80, 0x30, 0x00);              /* add ebx, [308000h] */
    }
    CODE(b, 0xeb, 0xfe);
    s->gpr[EAX] = 0x51067;
    s->gpr[EBX] = 0;
}

START_TEST(what_rep_stos_overwrites_in_a_page_table_is_followed)
{
    begin();
    fill_over_a_page_table();
    steps(b, 2 * (5 + 16));
    ck_assert_uint_eq(s->gpr[EBX], 2 * 0x11111111u + 4 * 0x22222222u);
    end();
    same_at_once_and_one_by_one(fill_over_a_page_table, 2 * (5 + 16));
}
END_TEST

/* A page directory that was walked, for code and at its far end for data, is no longer used, and becomes zeros. */
static void clear_an_old_directory(void)
{
    map();
    for (unsigned i = 0; i < 1024; i++)
        poke32(b, OLD_DIRECTORY + 4 * i, i == 0 ? PT0 | 7 : i == 0x300 ? PT1 | 7 : 0);
    CODE(b, 0xb8, 0x00, 0x00, 0x06, 0x00, 0x0f, 0x22, 0xd8); /* mov eax, OLD_DIRECTORY; mov cr3, eax */
    CODE(b, 0x8b, 0x1d, 0x00, 0x00, 0x00, 0xc0);             /* mov ebx, [C0000000h] */
    CODE(b, 0xb8);
    poke32(b, b->at, PAGES);
    b->at += 4;
    CODE(b, 0x0f, 0x22, 0xd8);                               /* mov cr3, eax */
    CODE(b, 0x31, 0xc0, 0xbf, 0x00, 0x00, 0x06, 0x00);       /* xor eax, eax; mov edi, OLD_DIRECTORY */
    CODE(b, 0xb9, 0x00, 0x04, 0x00, 0x00, 0xf3, 0xab);       /* mov ecx, 1024; rep stosd */
    CODE(b, 0xeb, 0xfe);
}

static const struct frontend *usual;
static unsigned rounds; /* of the run loop */

static void count_rounds(const struct ucpu *c, struct block_key *key)
{
    rounds++;
    usual->where(c, key);
}

/* One by one up to the entry of the data it would be 768 rounds. */
START_TEST(an_old_page_directory_is_cleared_in_bulk)
{
    struct frontend counting;

    begin();
    usual = b->c->u.fe;
    counting = *usual;
    counting.where = count_rounds;
    b->c->u.fe = &counting;
    rounds = 0;
    clear_an_old_directory();
    steps(b, 8 + 1024 + 3);
    ck_assert_uint_eq(s->gpr[ECX], 0);
    ck_assert_uint_eq(peek32(b, OLD_DIRECTORY), 0);
    ck_assert_uint_eq(peek32(b, OLD_DIRECTORY + 4 * 0x300), 0);
    ck_assert_uint_lt(rounds, 50);
    end();
    same_at_once_and_one_by_one(clear_an_old_directory, 8 + 1024 + 3);
}
END_TEST

/* ---- all of them ---- */

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 restart");
    TCase *tc = tcase_create("alone");

    tcase_add_test(tc, rep_over_entries_of_code_that_ran_stops_where_the_run_loop_wants_it);
    tcase_add_test(tc, ins_over_code_reads_its_port_once_after_a_bulk_rep);
    tcase_add_test(tc, frames_are_pushed_over_code_after_a_bulk_rep);
    tcase_add_test(tc, an_instruction_that_reaches_a_device_again_and_again_gets_a_block_of_its_own);
    tcase_add_test(tc, a_repeated_instruction_is_made_whole_in_bulk);
    tcase_add_test(tc, a_push_that_takes_away_the_next_ones_page_does_not_stop_it);
    tcase_add_test(tc, a_walk_through_a_device_reads_it_once);
    tcase_add_test(tc, a_breakpoint_stops_before_the_fetch_sets_a_bit);
    tcase_add_test(tc, an_instruction_over_two_pages_is_what_it_is_after_its_fetch);
    tcase_add_test(tc, a_rep_that_overwrites_itself_is_over);
    tcase_add_test(tc, rep_movs_follows_the_page_table_that_it_writes);
    tcase_add_test(tc, what_rep_stos_overwrites_in_bulk_runs_as_it_is_now);
    tcase_add_test(tc, data_beside_code_is_written_and_code_is_what_it_is);
    tcase_add_test(tc, what_rep_stos_overwrites_in_a_page_table_is_followed);
    tcase_add_test(tc, an_old_page_directory_is_cleared_in_bulk);
    suite_add_tcase(suite, tc);
    return suite;
}
