/*
 * Claims about instructions that a differential test in a user program cannot
 * make: what a fault leaves behind, string instructions cut at every step,
 * segment limits, 16-bit code.
 */
#include "base/bytes.h"
#include "i386_bench.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"

static struct bench *b;
static struct i386_state *s;

static void setup(void)
{
    b = bench_new("pentium4");
    s = b->s;
}

static void teardown(void)
{
    bench_free(b);
}

/* Paging on, everything mapped 1:1 for users; page at `address` gets `flags`. */
static void paging_with(uint32_t address, uint32_t flags)
{
    poke32(b, PAGES, (PAGES + 0x1000) | 7);
    for (uint32_t n = 0; n < 1024; n++)
        poke32(b, PAGES + 0x1000 + 4 * n, n << 12 | 0x67);
    poke32(b, PAGES + 0x1000 + (address >> 12) * 4, (address & ~0xfffu) | flags);
    s->cr3 = PAGES;
    s->cr0 |= CR0_PG | CR0_WP;
    refresh(b);
}

/* ---- faults ---- */

START_TEST(a_store_that_faults_leaves_registers_and_flags)
{
    static const uint8_t code[][8] = {
        {0x01, 0x03},             /* add [ebx], eax */
        {0x11, 0x03},             /* adc [ebx], eax */
        {0xff, 0x03},             /* inc [ebx] */
        {0xf7, 0x1b},             /* neg [ebx] */
        {0xd1, 0x13},             /* rcl [ebx], 1 */
        {0xc1, 0x23, 0x05},       /* shl [ebx], 5 */
        {0x0f, 0xa4, 0x03, 0x04}, /* shld [ebx], eax, 4 */
        {0x0f, 0xab, 0x03},       /* bts [ebx], eax */
        {0x0f, 0xc1, 0x03},       /* xadd [ebx], eax */
        {0x0f, 0xb1, 0x0b},       /* cmpxchg [ebx], ecx */
        {0x0f, 0xc7, 0x0b},       /* cmpxchg8b [ebx] */
        {0x87, 0x03},             /* xchg [ebx], eax */
        {0x8f, 0x03},             /* pop [ebx] */
        {0xab},                   /* stosd */
        {0xa5},                   /* movsd */
        {0x60},                   /* pusha */
        {0xc8, 0x10, 0x00, 0x02}, /* enter 16, 2 */
    };
    const uint8_t *bytes = code[_i];
    uint64_t before[16];

    paging_with(DATA, 0x65); /* present, user, read-only */
    user_mode(b);
    poke(b, UCODE, bytes, 8);
    for (unsigned r = 0; r < 8; r++)
        s->gpr[r] = 5 + r;
    s->gpr[EBX] = s->gpr[EDI] = DATA + 0x10;
    s->gpr[ESI] = CODE2;
    s->gpr[ESP] = _i < 15 ? USTACK : DATA + 0x10;
    s->gpr[EBP] = USTACK - 0x100;
    s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = FLAG_C | FLAG_O};
    memcpy(before, s->gpr, sizeof before);
    EQ(steps(b, 1), STOP_LIMIT);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(stack32(b, 0), 7); /* a write, by a user, of a present page: never reported as a read */
    EQ(stack32(b, 1), UCODE);
    EQ(stack32(b, 3) & FLAGS_ALL, FLAG_C | FLAG_O);
    EQ(stack32(b, 4), before[ESP]);
    EQ(s->cr2 & ~0xfffu, DATA & ~0xfffu);
    s->gpr[ESP] = before[ESP];
    ck_assert_mem_eq(s->gpr, before, sizeof before);
}
END_TEST

START_TEST(an_absent_page_is_reported_as_written_by_read_modify_write)
{
    paging_with(DATA, 0);
    CODE(b, 0x83, 0x05, DATA & 0xff, DATA >> 8 & 0xff, DATA >> 16 & 0xff, 0, 1); /* add [DATA], 1 */
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(stack32(b, 0), 2);
}
END_TEST

/* ENTER pushes, and makes room: what it makes must be there before anything is pushed. */
START_TEST(an_enter_whose_frame_cannot_be_written_does_nothing)
{
    paging_with(0x7000, 0);
    user_mode(b);
    s->gpr[EBP] = 0x12345678;
    poke32(b, USTACK - 4, 0xabcdef01);
    CODE(b, 0xc8, 0x00, 0x20, 0x00); /* enter 0x2000, 0 */
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(stack32(b, 0), 6);
    EQ(s->cr2, USTACK - 4 - 0x2000);
    EQ(stack32(b, 4), USTACK);
    EQ(s->gpr[EBP], 0x12345678);
    EQ(peek32(b, USTACK - 4), 0xabcdef01);
    poke32(b, PAGES + 0x1000 + 4 * 7, 0x7067);
    s->seg[SEG_CS].selector = 0;
    user_mode(b);
    s->cr0 |= CR0_PG;
    steps(b, 1);
    EQ(s->gpr[ESP], USTACK - 4 - 0x2000);
    EQ(s->gpr[EBP], USTACK - 4);
    EQ(peek32(b, USTACK - 4), 0x12345678);
}
END_TEST

/* PUSHA and POPA of a program, with ESP at the end of a page and beyond, of which one cannot be written or is not there:
 * compiled, after some rounds on a good stack, or one step after the other. */
static void all_registers(bool compiled, unsigned at, unsigned entry, bool high)
{
    const uint32_t place = DATA + 0x1000, page = high ? place : place - 0x1000;

    bench_free(b);
    setup();
    user_mode(b);
    for (unsigned n = 0; n < 1024; n++)
        poke32(b, PAGES + 0x1000 + 4 * n, n << 12 | 7);
    poke32(b, PAGES, (PAGES + 0x1000) | 7);
    s->cr3 = PAGES;
    s->cr0 |= CR0_PG;
    refresh(b);
    if (compiled)
        with_jit(&b->c->u);
    CODE(b, 0x60, 0x61, 0x40, 0xeb, 0xfb); /* pusha; popa; inc eax; jmp */
    s->gpr[ESP] = DATA + 0x3000;
    steps(b, 200);
    for (unsigned r = EAX; r <= EDI; r++)
        s->gpr[r] = 0x01010101u * (r + 1);
    for (unsigned n = 0; n < 32; n++)
        poke32(b, place - 64 + 4 * n, 0xa0000000u + n);
    poke32(b, PAGES + 0x1000 + 4 * (page >> 12), page | entry);
    s->gpr[ESP] = place - 40 + at;
    s->rip = UCODE;
    refresh(b);
}

START_TEST(all_registers_are_pushed_and_popped_alike_in_every_engine)
{
    static const unsigned entries[] = {7, 5, 0};
    uint8_t memory[2][128];
    struct i386_state states[2];

    for (unsigned n = 0; n < 3 * 2 * 80; n++) {
        for (unsigned compiled = 0; compiled < 2; compiled++) {
            all_registers(compiled, n / 6, entries[n % 3], n / 3 % 2);
            for (unsigned i = 0; i < (compiled ? 1 : 5); i++)
                steps(b, compiled ? 5 : 1);
            for (unsigned i = 0; i < 128; i += 4)
                put_le32(memory[compiled] + i, peek32(b, DATA + 0x1000 - 64 + i));
            states[compiled] = *s;
        }
        ck_assert_msg(states[0].cr2 == states[1].cr2 && states[0].rip == states[1].rip && !memcmp(memory[0], memory[1], 128) &&
                      !memcmp(states[0].gpr, states[1].gpr, sizeof states[0].gpr), "%u: ESP %#x", n, DATA + 0x1000 - 40 + n / 6);
        if (entries[n % 3] == 7)
            ck_assert(states[0].rip == UCODE + 1 || states[0].rip == UCODE); /* (a loop of four) */
    }
}
END_TEST

/* What one instruction computed with is nothing to the next one's state, in mid-repetition, too. */
START_TEST(a_repetition_after_an_exchange_of_eight_bytes_starts_where_it_is)
{
    if (_i)
        with_jit(&b->c->u);
    for (unsigned n = 0; n < 20; n++) {
        kernel_mode(b);
        s->gpr[EDX] = s->gpr[ECX] = 0x89abcdef;
        s->gpr[EDI] = DATA + 0x100;
        CODE(b, 0x0f, 0xc7, 0x0d, DATA & 0xff, DATA >> 8 & 0xff, DATA >> 16 & 0xff, 0, /* cmpxchg8b [DATA] */
             0xb9, 0, 1, 0, 0, 0xf3, 0xab);                                          /* mov ecx, 0x100; rep stosd */
        steps(b, 2 + n);
        EQ(s->rip, KCODE + 12);
        EQ(s->gpr[ECX], 0x100 - n);
        EQ(s->rep_active, n > 0);
    }
}
END_TEST

/* POPF on every level with every IOPL, of words and doublewords: which flags it changes (SDM 2B, POPF). */
START_TEST(popf_changes_what_the_manual_lets_it)
{
    static const uint32_t system[] = {0, EFLAGS_DF, EFLAGS_IF, EFLAGS_NT, EFLAGS_IOPL, 1u << 12, EFLAGS_AC, EFLAGS_ID, EFLAGS_RF, EFLAGS_VM,
                                      EFLAGS_VIF, EFLAGS_VIP};
    const uint32_t settable = EFLAGS_DF | EFLAGS_IF | EFLAGS_NT | EFLAGS_IOPL | EFLAGS_AC | EFLAGS_ID;
    uint32_t noise = 1;

    if (_i)
        with_jit(&b->c->u);
    for (unsigned n = 0; n < 20000; n++) {
        const bool user = n & 1, word = n & 2;
        uint32_t image, old, mask, want;

        noise = noise * 1664525u + 1013904223u;
        old = (system[(noise >> 8) % 12] | system[(noise >> 12) % 12]) & settable;
        image = n & 4 ? old : (old ^ system[(noise >> 16) % 12] ^ system[(noise >> 20) % 12]) & ~EFLAGS_TF;
        image |= noise >> 24 & FLAGS_ALL;
        kernel_mode(b);
        if (user)
            user_mode(b);
        s->eflags = EFLAGS_1 | old;
        s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = noise >> 5 & FLAGS_ALL};
        refresh(b);
        poke32(b, s->gpr[ESP], image);
        if (word)
            CODE(b, 0x66, 0x9d, 0xeb, 0xfe);
        else
            CODE(b, 0x9d, 0x90, 0xeb, 0xfe); /* and a jump to itself */
        steps(b, 20);
        mask = FLAGS_ALL | EFLAGS_DF | EFLAGS_NT | (word ? 0 : EFLAGS_AC | EFLAGS_ID);
        mask |= !user || (old & EFLAGS_IOPL) == EFLAGS_IOPL ? EFLAGS_IF : 0;
        mask |= user ? 0 : EFLAGS_IOPL;
        want = EFLAGS_1 | (old & ~mask) | ((noise >> 5 & FLAGS_ALL) & ~mask) | (image & mask);
        ck_assert_msg(i386_get_eflags(b->c) == want, "of %x by %x: %x, not %x", old, image, i386_get_eflags(b->c), want);
        EQ(s->gpr[ESP], (user ? (uint32_t)USTACK : (uint32_t)KSTACK) + (word ? 2 : 4));
        EQ(s->rip, (user ? (uint32_t)UCODE : (uint32_t)KCODE) + 2);
    }
}
END_TEST

START_TEST(division_faults_point_at_the_division)
{
    CODE(b, 0x90, 0xf7, 0xf1); /* nop; div ecx */
    s->gpr[ECX] = 0;
    steps(b, 2);
    EXPECT_VECTOR(b, EXC_DE);
    EQ(stack32(b, 0), KCODE + 1);
}
END_TEST

START_TEST(an_instruction_of_sixteen_bytes_is_gp)
{
    CODE(b, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_GP);
    EQ(stack32(b, 0), 0);
    EQ(stack32(b, 1), KCODE);
}
END_TEST

START_TEST(an_instruction_across_pages_needs_both)
{
    paging_with(CODE2 + 0x1000, 0);
    s->rip = CODE2 + 0xffd;
    poke(b, CODE2 + 0xffd, "\xb8\x01\x02\x03\x04", 5); /* mov eax, imm */
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(s->cr2, CODE2 + 0x1000);
    EQ(stack32(b, 1), CODE2 + 0xffd);
    /* the handler maps it, and the same bytes run */
    poke32(b, PAGES + 0x1000 + ((CODE2 + 0x1000) >> 12) * 4, (CODE2 + 0x1000) | 0x67);
    s->rip = CODE2 + 0xffd;
    s->gpr[ESP] = KSTACK;
    steps(b, 1);
    EQ(s->gpr[EAX], 0x04030201);
    EQ(s->rip, CODE2 + 0x1002);
}
END_TEST

START_TEST(lock_on_the_wrong_instruction_is_ud)
{
    CODE(b, 0xf0, 0x89, 0x03); /* lock mov */
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_UD);
    EQ(stack32(b, 0), KCODE);
}
END_TEST

/* ---- string instructions ---- */

/* Like memmove by single iterations. */
static void expect_copy(uint8_t *mem, uint32_t to, uint32_t from, unsigned count, unsigned size, bool down)
{
    for (unsigned n = 0; n < count; n++) {
        uint8_t t[4];

        memcpy(t, mem + from, size);
        memcpy(mem + to, t, size);
        from = down ? from - size : from + size;
        to = down ? to - size : to + size;
    }
}

START_TEST(rep_movs_is_the_same_however_it_is_cut)
{
    static const int distance[] = {-5000, -7, -4, -1, 0, 1, 2, 3, 4, 5, 8, 4096, 5000};
    static uint8_t initial[0xc000], want[0xc000], got[0xc000];
    unsigned size = 1u << _i % 3, count = 2000, cut = _i & 8 ? 1 : 377;
    bool down = _i & 4;

    for (unsigned n = 0; n < sizeof initial; n++)
        initial[n] = (uint8_t)(n * 167 + (n >> 8));
    for (unsigned d = 0; d < ARRAY_LEN(distance); d++) {
        uint32_t half = count * size / 2, from = (down ? 0x6000 + half : 0x6000 - half) + 3;
        uint32_t to = from + (uint32_t)distance[d];
        icount_t begin;

        memcpy(want, initial, sizeof want);
        expect_copy(want, to, from, count, size, down);
        poke(b, DATA, initial, sizeof initial);
        kernel_mode(b);
        if (size == 2)
            CODE(b, 0x66);
        poke(b, b->at, size == 1 ? "\xf3\xa4\xf4" : "\xf3\xa5\xf4", 3);
        s->eflags = EFLAGS_1 | (down ? EFLAGS_DF : 0);
        s->gpr[ESI] = DATA + from;
        s->gpr[EDI] = DATA + to;
        s->gpr[ECX] = count;
        begin = b->m->st->position;
        while (b->m->st->position < begin + count) {
            uint64_t left = begin + count - b->m->st->position;

            EQ(steps(b, left < cut ? (unsigned)left : cut), STOP_LIMIT);
            EQ(s->gpr[ECX], begin + count - b->m->st->position);
            EQ(s->rep_active, s->gpr[ECX] != 0);
            EQ(s->rep_start, s->gpr[ECX] ? begin : 0);
            EQ(s->rip, s->gpr[ECX] ? KCODE : KCODE + 2u + (size == 2));
        }
        memory_read_bytes(&b->m->memory, DATA, got, sizeof got);
        ck_assert_msg(!memcmp(got, want, sizeof got), "size %u, distance %d, %s", size, distance[d], down ? "down" : "up");
    }
}
END_TEST

START_TEST(rep_with_a_count_of_zero_is_one_step)
{
    CODE(b, 0xf3, 0xa4, 0x90);
    s->gpr[ECX] = 0;
    s->gpr[ESI] = 0xfffffff0;
    steps(b, 1);
    EQ(s->rip, KCODE + 2);
    EQ(s->gpr[ESI], 0xfffffff0);
    EQ(s->rep_active, 0);
}
END_TEST

START_TEST(a_page_fault_in_rep_happens_at_its_own_iteration)
{
    icount_t begin = b->m->st->position;

    paging_with(DATA + 0x1000, 0x65);
    CODE(b, 0xf3, 0xab); /* rep stosd over the edge of a writable page */
    s->gpr[EAX] = 0x11223344;
    s->gpr[ECX] = 2000;
    s->gpr[EDI] = DATA + 0x800;
    steps(b, 512);
    EQ(s->gpr[ECX], 2000 - 512);
    EQ(s->gpr[EDI], DATA + 0x1000);
    EQ(s->rip, KCODE);
    EQ(s->cr2, 0);
    EQ(s->rep_start, begin);
    steps(b, 1);
    EXPECT_VECTOR(b, EXC_PF);
    EQ(s->cr2, DATA + 0x1000);
    EQ(stack32(b, 1), KCODE);
    EQ(s->rep_active, 0);
    EQ(peek32(b, DATA + 0xffc), 0x11223344);
}
END_TEST

START_TEST(scas_and_cmps_stop_at_the_right_element)
{
    poke(b, DATA, "hello, world", 13);
    poke(b, DATA + 100, "hello, w0rld", 13);
    CODE(b, 0xf2, 0xae, 0xf3, 0xa6); /* repne scasb; repe cmpsb */
    s->gpr[EAX] = 'w';
    s->gpr[EDI] = DATA;
    s->gpr[ECX] = 100;
    steps(b, 8);
    EQ(s->rip, KCODE + 2);
    EQ(s->gpr[EDI], DATA + 8);
    EQ(s->gpr[ECX], 92);
    ck_assert(s->cc.dst & FLAG_Z);
    s->gpr[ESI] = DATA;
    s->gpr[EDI] = DATA + 100;
    s->gpr[ECX] = 13;
    steps(b, 9);
    EQ(s->rip, KCODE + 4);
    EQ(s->gpr[ECX], 4);
    EQ(s->gpr[ESI], DATA + 9);
    ck_assert(!(s->cc.dst & FLAG_Z));
}
END_TEST

START_TEST(sixteen_bit_strings_wrap_within_the_segment)
{
    real_mode(b);
    CODE(b, 0xf3, 0xaa); /* rep stosb */
    s->seg[SEG_ES].selector = DATA >> 4;
    s->seg[SEG_ES].base = DATA;
    refresh(b);
    s->gpr[EAX] = 0x77;
    s->gpr[EDI] = 0xabcdfffe;
    s->gpr[ECX] = 0x12340005;
    steps(b, 5);
    EQ(s->rip, 2);
    EQ(s->gpr[EDI], 0xabcd0003);
    EQ(s->gpr[ECX], 0x12340000);
    EQ(peek8(b, DATA + 0xffff), 0x77);
    EQ(peek8(b, DATA + 0x10000), 0);
    EQ(peek8(b, DATA + 2), 0x77);
    EQ(peek8(b, DATA + 3), 0);
}
END_TEST

/* Forms of real mode that are seldom seen. */
START_TEST(real_mode_has_32_bit_forms)
{
    real_mode(b);
    s->cr0 |= CR0_CD;
    s->gpr[EAX] = 0x12345678;
    s->gpr[EBX] = 0xaced;
    s->gpr[ESP] = 0x12348000;
    refresh(b);
    CODE(b, 0x66, 0x0f, 0x01, 0xe1); /* smsw ecx: all of CR0 */
    CODE(b, 0x0f, 0x23, 0xc3);       /* mov dr0, ebx */
    CODE(b, 0x0f, 0x21, 0x00);       /* mov eax, dr0, whatever mod says */
    CODE(b, 0x66, 0x0f, 0xa0);       /* push fs, of 32 bits */
    CODE(b, 0x66, 0x0f, 0xa9);       /* pop gs */
    CODE(b, 0xf9, 0xd6);             /* stc; salc */
    steps(b, 3);
    EQ(s->gpr[ECX], s->cr0);
    EQ(s->gpr[EAX], 0xaced);
    s->seg[SEG_FS].selector = 0x3000;
    s->seg[SEG_FS].base = 0x30000;
    refresh(b);
    steps(b, 1);
    EQ(s->gpr[ESP], 0x12347ffc);
    EQ(peek16(b, 0x7ffc), 0x3000);
    steps(b, 1);
    EQ(s->gpr[ESP], 0x12348000);
    EQ(s->seg[SEG_GS].base, 0x30000);
    steps(b, 2);
    EQ(s->gpr[EAX], 0xacff);
    EQ(s->rip, 18);
}
END_TEST

/* CX or ECX by the address size, and not by the operand size. */
START_TEST(jcxz_looks_at_what_addresses_have)
{
    real_mode(b);
    s->gpr[ECX] = 0x10000;
    CODE(b, 0xe3, 0x02, 0xf4, 0xf4, 0x67, 0xe3, 0x02, 0x66, 0xe3, 0x01, 0xf4, 0x90);
    steps(b, 1);
    EQ(s->rip, 4);
    steps(b, 1);
    EQ(s->rip, 7);
    steps(b, 1);
    EQ(s->rip, 11);
}
END_TEST

START_TEST(a_far_return_releases_what_it_says_in_real_mode)
{
    real_mode(b);
    s->gpr[ESP] = 0x7ff0;
    CODE(b, 0x9a, 0x00, 0x01, 0x00, 0x20); /* call 2000:0100 */
    poke(b, 0x20100, "\xca\x0a\x00", 3);  /* retf 10 */
    steps(b, 1);
    EQ(s->gpr[ESP], 0x7fec);
    steps(b, 1);
    EQ(s->rip, 5);
    EQ(s->gpr[ESP], 0x7ffa);
}
END_TEST

START_TEST(port_strings_take_one_iteration_a_step)
{
    CODE(b, 0xf3, 0x6d, 0xf3, 0x6e); /* rep insd; rep outsb */
    s->gpr[EDX] = 0x1f0;
    s->gpr[EDI] = DATA;
    s->gpr[ECX] = 3;
    steps(b, 2);
    EQ(s->gpr[ECX], 1);
    EQ(s->rep_active, 1);
    steps(b, 1);
    EQ(s->rip, KCODE + 2);
    EQ(peek32(b, DATA + 8), 0x12345678);
    EQ(b->last_port, 0x1f0);
    s->gpr[ESI] = DATA;
    s->gpr[ECX] = 2;
    steps(b, 2);
    EQ(s->rip, KCODE + 4);
    EQ(b->last_out, 0x56);
}
END_TEST

/* ---- segments and 16-bit code ---- */

START_TEST(a_word_at_the_end_of_a_real_mode_segment_is_gp)
{
    real_mode(b);
    poke16(b, 13 * 4, 0x1234);
    CODE(b, 0xa1, 0xff, 0xff); /* mov ax, [ffff] */
    steps(b, 1);
    EQ(s->rip, 0x1234);
    EQ(stack16(b, 0), 0);
}
END_TEST

/* What is beside it, too: SP of 17 has room for no eighth doubleword, and AMD's processors know no difference. */
START_TEST(pusha_with_a_low_odd_stack_pointer_is_gp_in_real_mode)
{
    static const struct { const char *model; uint8_t prefix, sp; unsigned vector; } cases[] = {
        {"pentium4", 0x90, 7, EXC_GP}, {"pentium4", 0x90, 9, EXC_GP}, {"pentium4", 0x90, 15, EXC_GP}, {"pentium4", 0x66, 7, EXC_GP},
        {"pentium4", 0x66, 17, EXC_SS}, {"pentium4", 0x66, 31, EXC_SS}, {"qemu64", 0x90, 7, EXC_SS}, {"qemu64", 0x90, 15, EXC_SS},
        {"pentium4", 0x90, 17, 0}, {"pentium4", 0x90, 8, 0},
    };
    unsigned skip = cases[_i].prefix == 0x90;

    teardown();
    b = bench_new(cases[_i].model);
    s = b->s;
    real_mode(b);
    poke16(b, EXC_GP * 4, 0x1234);
    poke16(b, EXC_SS * 4, 0x2345);
    s->seg[SEG_SS].base = DATA;
    s->gpr[ESP] = cases[_i].sp;
    CODE(b, 0x90, 0x60);
    poke8(b, KCODE, cases[_i].prefix);
    refresh(b);
    steps(b, 1 + skip);
    EQ(s->rip, cases[_i].vector == EXC_GP ? 0x1234 : cases[_i].vector ? 0x2345 : 2);
    EQ(s->gpr[ESP], (uint16_t)(cases[_i].sp - (cases[_i].vector ? 6 : 16)));
    if (cases[_i].vector)
        EQ(peek16(b, DATA + cases[_i].sp - 6), skip);
}
END_TEST

START_TEST(pusha_where_no_exception_can_be_pushed_shuts_down)
{
    real_mode(b);
    s->gpr[ESP] = (const unsigned[]){1, 3, 5}[_i];
    CODE(b, 0x60);
    refresh(b);
    EQ(steps(b, 5), STOP_GUEST_END);
    EQ(b->m->st->end, GUEST_TRIPLE_FAULT);
}
END_TEST

START_TEST(sixteen_bit_addresses_wrap)
{
    real_mode(b);
    s->seg[SEG_DS].base = DATA;
    refresh(b);
    poke8(b, DATA + 0x10, 0x5a);
    CODE(b, 0x8a, 0x40, 0x20); /* mov al, [bx + si + 20] */
    s->gpr[EBX] = 0xfff0;
    s->gpr[ESI] = 0xffff0000;
    steps(b, 1);
    EQ(s->gpr[EAX] & 0xff, 0x5a);
}
END_TEST

START_TEST(a_sixteen_bit_stack_pointer_wraps_and_keeps_its_upper_half)
{
    real_mode(b);
    s->seg[SEG_SS].base = DATA;
    refresh(b);
    s->gpr[ESP] = 0xaaaa0000;
    s->gpr[EAX] = 0x1122;
    CODE(b, 0x50, 0x5b); /* push ax; pop bx */
    steps(b, 1);
    EQ(s->gpr[ESP], 0xaaaafffe);
    EQ(peek16(b, DATA + 0xfffe), 0x1122);
    steps(b, 1);
    EQ(s->gpr[ESP], 0xaaaa0000);
    EQ(s->gpr[EBX] & 0xffff, 0x1122);
}
END_TEST

START_TEST(branches_of_sixteen_bits_wrap_ip)
{
    real_mode(b);
    poke(b, KCODE + 0xfff0, "\xeb\x20", 2); /* jmp short beyond ffff */
    s->rip = 0xfff0;
    steps(b, 1);
    EQ(s->rip, 0x12);
}
END_TEST

START_TEST(running_off_the_code_limit_is_gp)
{
    real_mode(b);
    poke16(b, 13 * 4, 0x1234);
    poke(b, KCODE + 0xffff, "\x90\x90", 2);
    s->rip = 0xffff;
    steps(b, 2);
    EQ(s->rip, 0x1234);
}
END_TEST

START_TEST(an_instruction_that_straddles_the_code_limit_is_gp)
{
    real_mode(b);
    poke16(b, 13 * 4, 0x1234);
    poke(b, KCODE + 0xfffe, "\xb8\x01\x02", 3);
    s->rip = 0xfffe;
    steps(b, 1);
    EQ(s->rip, 0x1234);
    EQ(stack16(b, 0), 0xfffe);
    EQ(s->gpr[EAX], 0);
}
END_TEST

START_TEST(fs_with_a_base_is_added)
{
    s->seg[SEG_FS].base = DATA;
    refresh(b);
    poke32(b, DATA + 0x124, 0xcafe);
    CODE(b, 0x64, 0x8b, 0x44, 0x8b, 0x04); /* mov eax, fs:[ebx + ecx*4 + 4] */
    CODE(b, 0x64, 0xff, 0x05, 0x24, 0x01, 0, 0); /* inc fs:[124] */
    s->gpr[EBX] = 0x100;
    s->gpr[ECX] = 8;
    steps(b, 2);
    EQ(s->gpr[EAX], 0xcafe);
    EQ(peek32(b, DATA + 0x124), 0xcaff);
}
END_TEST

START_TEST(small_and_expand_down_segments_are_held_to_their_limits)
{
    CODE(b, 0x8e, 0xe0, 0x64, 0x8b, 0x0b); /* mov fs, eax; mov ecx, fs:[ebx] */
    s->gpr[EAX] = _i & 1 ? S_DOWN : S_SMALL;
    s->gpr[EBX] = (const uint32_t[]){0xfc, 0x1000, 0xfd, 0xffc}[_i];
    poke32(b, DATA + s->gpr[EBX], 0xbeef);
    steps(b, 2);
    if (_i < 2) {
        EQ(s->gpr[ECX], 0xbeef);
        EQ(s->rip, KCODE + 5);
    } else {
        EXPECT_VECTOR(b, EXC_GP);
        EQ(stack32(b, 1), KCODE + 2);
    }
}
END_TEST

START_TEST(pop_to_memory_based_on_esp_uses_the_new_esp)
{
    CODE(b, 0x8f, 0x44, 0x24, 0x10); /* pop [esp + 16] */
    poke32(b, KSTACK, 0x1234567);
    steps(b, 1);
    EQ(s->gpr[ESP], KSTACK + 4);
    EQ(peek32(b, KSTACK + 4 + 16), 0x1234567);
}
END_TEST

START_TEST(loops_count_in_the_address_size)
{
    CODE(b, 0x67, 0xe2, 0x10, 0xe2, 0x10); /* loop by CX; loop by ECX */
    s->gpr[ECX] = 0x00010001;
    steps(b, 1);
    EQ(s->rip, KCODE + 3);
    EQ(s->gpr[ECX], 0x10000);
    steps(b, 1);
    EQ(s->rip, KCODE + 0x15);
    EQ(s->gpr[ECX], 0xffff);
}
END_TEST

/* It was taken for one on the result of the instruction before. */
START_TEST(a_branch_behind_fcomi_is_on_what_fcomi_found)
{
    CODE(b, 0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0x31, 0xc9, 0xdb, 0xf1, 0x74, 0x10); /* fninit; fld1; fldz; xor ecx, ecx; fcomi; je */
    steps(b, 6);
    EQ(s->rip, KCODE + 12);
    s->rip = b->at = CODE2;
    refresh(b);
    CODE(b, 0xd9, 0xc0, 0x83, 0xc9, 0x01, 0xdb, 0xf1, 0x74, 0x10); /* fld st0; or ecx, 1; fcomi; je */
    steps(b, 4);
    EQ(s->rip, CODE2 + 9 + 0x10);
}
END_TEST

/* What SDM 2A and 2B say in pseudo-code of AX and flags; `op`: its byte. */
static void adjust_as_the_manual_says(uint8_t op, uint16_t *ax, uint32_t *flags)
{
    uint8_t al = (uint8_t)*ax, ah = (uint8_t)(*ax >> 8);
    bool carry = *flags & FLAG_C, low = (al & 15) > 9 || (*flags & FLAG_A);
    bool subtracts = op & 8, high = al > 0x99 || carry, borrows = subtracts ? al < 6 : al > 0xff - 6;
    uint8_t by = (uint8_t)(low ? 6 : 0);

    if (op & 0x10) { /* AAA, AAS: on AX, and the upper half of AL goes */
        *ax = (uint16_t)(!low ? *ax : subtracts ? *ax - 0x106 : *ax + 0x106) & 0xff0f;
        *flags = low ? FLAG_C | FLAG_A : 0;
        return;
    }
    by = (uint8_t)(by + (high ? 0x60 : 0));
    al = (uint8_t)(subtracts ? al - by : al + by);
    *ax = (uint16_t)(ah << 8 | al);
    *flags = (low ? FLAG_A : 0u) | (high || (subtracts && low && borrows) ? FLAG_C : 0u) | (al & 0x80 ? FLAG_S : 0u) |
             (al ? 0u : FLAG_Z) | (__builtin_parity(al) ? 0u : FLAG_P);
}

START_TEST(decimal_adjustment_is_the_manuals_for_every_al_and_carry)
{
    static const uint8_t ops[] = {0x27, 0x2f, 0x37, 0x3f}; /* daa, das, aaa, aas */
    const uint32_t defined = _i < 2 ? FLAG_C | FLAG_A | FLAG_S | FLAG_Z | FLAG_P : FLAG_C | FLAG_A;

    const uint8_t code[] = {ops[_i], 0x9c, 0x5b}; /* ...; pushfd; pop ebx */

    poke(b, KCODE, code, sizeof code);
    for (unsigned n = 0; n < 0x400; n++) {
        uint32_t flags = (n & 0x100 ? FLAG_C : 0u) | (n & 0x200 ? FLAG_A : 0u);
        uint16_t ax = (uint16_t)(0x4000 | (n & 0xff));

        s->rip = KCODE;
        s->gpr[EAX] = 0x12340000u | ax;
        s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = flags};
        adjust_as_the_manual_says(ops[_i], &ax, &flags);
        steps(b, 3);
        ck_assert_msg(s->gpr[EAX] == (0x12340000u | ax), "%02x of %03x: %08x, not %04x", ops[_i], n, (unsigned)s->gpr[EAX], ax);
        ck_assert_msg((s->gpr[EBX] & defined) == flags, "%02x of %03x: flags %03x, not %03x", ops[_i], n,
                      (unsigned)(s->gpr[EBX] & defined), flags);
    }
}
END_TEST

/* Values that other test suites know of processors: DAS of 0 with AF borrows, and then has CF; AAD and AAM with other bases. */
START_TEST(some_adjustments_are_known)
{
    CODE(b, 0x2f, 0x9c, 0x5b, 0xd5, 0x0a, 0xd4, 0x0a, 0xd5, 0x10, 0xd4, 0x10); /* das; pushfd; pop ebx; aad, aam; aad 16, aam 16 */
    s->gpr[EAX] = 0;
    s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = FLAG_A};
    steps(b, 3);
    EQ(s->gpr[EAX], 0xfa);
    EQ(s->gpr[EBX] & 0xff, 0x97);
    s->gpr[EAX] = 0x12345678;
    steps(b, 1);
    EQ(s->gpr[EAX], 0x123400d4);
    s->gpr[EAX] = 0x76543210;
    steps(b, 1);
    EQ(s->gpr[EAX], 0x76540106);
    s->gpr[EAX] = 0x0b07;
    steps(b, 1);
    EQ(s->gpr[EAX], 0xb7);
    steps(b, 1);
    EQ(s->gpr[EAX], 0x0b07);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 instructions");
    TCase *t = tcase_create("instructions");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_store_that_faults_leaves_registers_and_flags, 0, 17);
    tcase_add_test(t, an_absent_page_is_reported_as_written_by_read_modify_write);
    tcase_add_test(t, an_enter_whose_frame_cannot_be_written_does_nothing);
    tcase_add_test(t, all_registers_are_pushed_and_popped_alike_in_every_engine);
    tcase_add_loop_test(t, a_repetition_after_an_exchange_of_eight_bytes_starts_where_it_is, 0, 2);
    tcase_add_loop_test(t, popf_changes_what_the_manual_lets_it, 0, 2);
    tcase_add_test(t, division_faults_point_at_the_division);
    tcase_add_test(t, an_instruction_of_sixteen_bytes_is_gp);
    tcase_add_test(t, an_instruction_across_pages_needs_both);
    tcase_add_test(t, lock_on_the_wrong_instruction_is_ud);
    tcase_add_loop_test(t, rep_movs_is_the_same_however_it_is_cut, 0, 16);
    tcase_add_test(t, rep_with_a_count_of_zero_is_one_step);
    tcase_add_test(t, a_page_fault_in_rep_happens_at_its_own_iteration);
    tcase_add_test(t, scas_and_cmps_stop_at_the_right_element);
    tcase_add_test(t, sixteen_bit_strings_wrap_within_the_segment);
    tcase_add_test(t, port_strings_take_one_iteration_a_step);
    tcase_add_test(t, a_word_at_the_end_of_a_real_mode_segment_is_gp);
    tcase_add_loop_test(t, pusha_with_a_low_odd_stack_pointer_is_gp_in_real_mode, 0, 10);
    tcase_add_loop_test(t, pusha_where_no_exception_can_be_pushed_shuts_down, 0, 3);
    tcase_add_test(t, sixteen_bit_addresses_wrap);
    tcase_add_test(t, a_sixteen_bit_stack_pointer_wraps_and_keeps_its_upper_half);
    tcase_add_test(t, branches_of_sixteen_bits_wrap_ip);
    tcase_add_test(t, running_off_the_code_limit_is_gp);
    tcase_add_test(t, an_instruction_that_straddles_the_code_limit_is_gp);
    tcase_add_test(t, fs_with_a_base_is_added);
    tcase_add_loop_test(t, small_and_expand_down_segments_are_held_to_their_limits, 0, 4);
    tcase_add_test(t, pop_to_memory_based_on_esp_uses_the_new_esp);
    tcase_add_test(t, real_mode_has_32_bit_forms);
    tcase_add_test(t, jcxz_looks_at_what_addresses_have);
    tcase_add_test(t, a_far_return_releases_what_it_says_in_real_mode);
    tcase_add_test(t, loops_count_in_the_address_size);
    tcase_add_test(t, a_branch_behind_fcomi_is_on_what_fcomi_found);
    tcase_add_loop_test(t, decimal_adjustment_is_the_manuals_for_every_al_and_carry, 0, 4);
    tcase_add_test(t, some_adjustments_are_known);
    suite_add_tcase(suite, t);
    return suite;
}
