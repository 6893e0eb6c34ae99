/*
 * Writes and reads random sectors of a block device, from 24 MiB on, and compares what it reads with what it has written:
 * test_disk_i386.py runs it in a Debian kernel, without a C library, and knows the same sequence.
 *
 *   exercise DEVICE
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

#define FIRST      49152u /* sector */
#define SECTORS    16384u
#define OPERATIONS 600u
#define MOST       64u    /* sectors in one */
#define TOLD_EVERY 50u

enum { SYS_EXIT = 1, SYS_WRITE = 4, SYS_OPEN = 5, SYS_PREAD = 180, SYS_PWRITE = 181 };
enum { O_RDWR = 2, O_DIRECT = 040000 };

static u16 model[SECTORS]; /* the operation that wrote it; 0: none */
static u32 buffer[MOST * 128] __attribute__((aligned(4096)));
static u32 state = 1;

static int call(int number, u32 a, u32 b, u32 c, u32 d, u32 e)
{
    int result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
    return result;
}

static void say(const char *text)
{
    u32 n = 0;

    while (text[n])
        n++;
    call(SYS_WRITE, 1, (u32)text, n, 0, 0);
}

static void say_number(const char *before, u32 n)
{
    char digits[12] = {[10] = '\n'};
    int i = 10;

    do
        digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    say(before);
    say(digits + i);
}

static void fail(const char *why, u32 n)
{
    say_number(why, n);
    call(SYS_EXIT, 1, 0, 0, 0, 0);
}

static u32 draw(u32 below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

/* Word `i` of a sector as operation `n` writes it. */
static u32 word(u32 sector, u32 n, u32 i)
{
    return n ? (sector * 2654435761u) ^ (n * 40503u + i) : 0;
}

static void do_one(int fd, u32 n)
{
    u32 writes = draw(2), count = 1 + draw(MOST), first = draw(SECTORS - MOST);
    u32 at = (FIRST + first) * 512u;

    for (u32 s = 0; s < count && writes; s++) {
        model[first + s] = (u16)n;
        for (u32 i = 0; i < 128; i++)
            buffer[s * 128 + i] = word(first + s, n, i);
    }
    if (call(writes ? SYS_PWRITE : SYS_PREAD, (u32)fd, (u32)buffer, count * 512, at, 0) != (int)(count * 512))
        fail("exercise: an error at operation ", n);
    for (u32 s = 0; s < count && !writes; s++)
        for (u32 i = 0; i < 128; i++)
            if (buffer[s * 128 + i] != word(first + s, model[first + s], i))
                fail("exercise: not what was written: sector ", first + s);
}

__attribute__((used)) static void run(u32 *stack)
{
    int fd = call(SYS_OPEN, stack[2], O_RDWR | O_DIRECT, 0, 0, 0);

    if (fd < 0)
        fail("exercise: cannot open it: ", (u32)-fd);
    for (u32 n = 1; n <= OPERATIONS; n++) {
        do_one(fd, n);
        if (n % TOLD_EVERY == 0)
            say_number("exercise: operation ", n);
    }
    say("exercise: all as written\n");
    call(SYS_EXIT, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start: movl %esp, %eax\n pushl %eax\n call run\n");
