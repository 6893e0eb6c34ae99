/*
 * A program that lives by semihosting alone, as those of newlib and picolibc do:
 * it tries every operation, says on the console what came of it, and exits with
 * status 42. Words on its command line:
 *   bad   also bad pointers and handles (a result for each)
 *   echo  read the console to its end, and give it back
 *   read  read a file that was there before
 *   noappend, extended, panic  other modes, other ways to end
 */
typedef unsigned long u64;

u64 semihost(u64 op, const void *arg);
int semihost_at_el0(void);

enum {
    OPEN = 1, CLOSE, WRITEC, WRITE0, WRITE, READ, READC, ISERROR, ISTTY, SEEK, FLEN = 0xc, TMPNAM, REMOVE, RENAME,
    CLOCK, TIME, SYSTEM, ERRNO, GET_CMDLINE = 0x15, HEAPINFO, EXIT = 0x18, EXIT_EXTENDED = 0x20, ELAPSED = 0x30, TICKFREQ,
};

static char line[256];
u64 counter;
char buffer[4096];

static u64 length(const char *s)
{
    u64 n = 0;

    while (s[n])
        n++;
    return n;
}

static int same(const char *a, const char *b, u64 n)
{
    while (n--)
        if (*a++ != *b++)
            return 0;
    return 1;
}

static int has_word(const char *word)
{
    u64 n = length(word);

    for (const char *p = line; *p; p++)
        if ((p == line || p[-1] == ' ') && same(p, word, n) && (!p[n] || p[n] == ' '))
            return 1;
    return 0;
}

static void say(const char *text)
{
    semihost(WRITE0, text);
}

static void say_number(const char *what, u64 n)
{
    char digits[24], *p = digits + sizeof(digits) - 1;
    int negative = (long)n < 0;

    if (negative)
        n = -n;
    *p = 0;
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    if (negative)
        *--p = '-';
    say(what);
    say(" ");
    say(p);
    say("\n");
}

static u64 call1(u64 op, u64 a)
{
    u64 block[1] = {a};

    return semihost(op, block);
}

static u64 call2(u64 op, u64 a, u64 b)
{
    u64 block[2] = {a, b};

    return semihost(op, block);
}

static u64 call3(u64 op, u64 a, u64 b, u64 c)
{
    u64 block[3] = {a, b, c};

    return semihost(op, block);
}

static u64 open_file(const char *name, u64 mode)
{
    return call3(OPEN, (u64)name, mode, length(name));
}

static u64 rename_file(const char *name, const char *to)
{
    u64 block[4] = {(u64)name, length(name), (u64)to, length(to)};

    return semihost(RENAME, block);
}

static void put(u64 handle, const char *text)
{
    say_number("not written", call3(WRITE, handle, (u64)text, length(text)));
}

static void get(u64 handle, u64 n)
{
    u64 left = call3(READ, handle, (u64)buffer, n);

    buffer[left <= n ? n - left : 0] = 0;
    say("read: ");
    say(buffer);
    say("\n");
    say_number("not read", left);
}

/* A breakpoint goes here. */
__attribute__((noinline)) void files_begin(void)
{
    __asm__ volatile("");
}

static void try_files(void)
{
    u64 h;

    files_begin();
    h = open_file("notes.txt", 4);
    put(h, "one two three");
    counter++;
    say_number("length", call1(FLEN, h));
    say_number("tty", call1(ISTTY, h));
    say_number("close", call1(CLOSE, h));
    h = open_file("notes.txt", has_word("noappend") ? 2 : 8);
    if (has_word("noappend"))
        call2(SEEK, h, 13);
    put(h, " four");
    counter++;
    call1(CLOSE, h);
    h = open_file("notes.txt", 2);
    say_number("length", call1(FLEN, h));
    say_number("seek", call2(SEEK, h, 4));
    get(h, 3);
    put(h, "+");
    counter++;
    call2(SEEK, h, 0);
    get(h, 100);
    get(h, 10);
    call1(CLOSE, h);
    h = open_file("notes.txt", 6);
    say_number("emptied", call1(FLEN, h));
    put(h, "new");
    call1(CLOSE, h);
    say_number("rename", rename_file("notes.txt", "kept.txt"));
    h = open_file("notes.txt", 0);
    say_number("gone", h);
    say_number("errno", semihost(ERRNO, 0));
    h = open_file("kept.txt", 0);
    get(h, 100);
    call1(CLOSE, h);
    h = open_file("brief.txt", 4);
    call1(CLOSE, h);
    say_number("remove", call2(REMOVE, (u64)"brief.txt", 9));
    say_number("remove", call2(REMOVE, (u64)"brief.txt", 9));
    say_number("errno", semihost(ERRNO, 0));
}

static void try_console(void)
{
    u64 out = open_file(":tt", 4), err = open_file(":tt", 8), features = open_file(":semihosting-features", 0);

    say_number("tty", call1(ISTTY, out));
    put(out, "to the output\n");
    if (has_word("bad"))
        put(err, "to the errors\n"); /* elsewhere these go another way */
    semihost(WRITEC, "c");
    semihost(WRITEC, "\n");
    get(features, 4);
    call3(READ, features, (u64)buffer, 1);
    say_number("features", (u64)buffer[0] & 3);
    say_number("close", call1(CLOSE, features));
}

static void try_the_rest(void)
{
    u64 block[4] = {0}, begin, end;
    char other[64];

    say_number("iserror", call1(ISERROR, 0) != 0);
    say_number("iserror", call1(ISERROR, -5ul) != 0);
    say_number("tickfreq", semihost(TICKFREQ, 0));
    semihost(ELAPSED, &begin);
    for (volatile int i = 0; i < 1000; i++)
        ;
    semihost(ELAPSED, &end);
    say_number("time passes", end > begin);
    say_number("clock", semihost(CLOCK, 0) < 100000);
    say_number("it is after 2020", semihost(TIME, 0) > 1577836800);
    block[0] = (u64)buffer;
    semihost(HEAPINFO, block);
    say_number("heap", ((u64 *)buffer)[0] < ((u64 *)buffer)[1] && ((u64 *)buffer)[2] > ((u64 *)buffer)[3]);
    ((volatile char *)((u64 *)buffer)[0])[0] = 1;
    ((volatile char *)((u64 *)buffer)[1])[-1] = 1;
    say_number("tmpnam", call3(TMPNAM, (u64)buffer, 7, 64));
    call3(TMPNAM, (u64)other, 8, 64);
    say_number("another", same(buffer, other, length(buffer) + 1));
}

static void try_bad(void)
{
    static const char *const names[] = {"../outside.txt", "/etc/hostname", "link.txt", "inner/../../outside.txt", "linked/outside.txt",
                                        "", ".", "inner", "fifo", "nowhere/x", ":other", "inner/", "inner/./good.txt"};
    const u64 nowhere = 0xdead000000000000;
    u64 h;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        h = open_file(names[i], i % 2 ? 4 : 0);
        say(names[i]);
        say_number(" opened", (long)h > 0);
        say_number(" errno", (long)h > 0 ? 0 : semihost(ERRNO, 0));
    }
    say_number("rename out", rename_file("kept.txt", "../kept.txt"));
    say_number("remove out", call2(REMOVE, (u64)"../outside.txt", 14));
    h = open_file("kept.txt", 0);
    say_number("write to what is read", call3(WRITE, h, (u64)buffer, 3));
    say_number("errno", semihost(ERRNO, 0));
    say_number("read to nowhere", call3(READ, h, nowhere, 3));
    say_number("errno", semihost(ERRNO, 0));
    get(h, 3);
    say_number("write from nowhere", call3(WRITE, open_file("kept.txt", 8), nowhere, 5));
    say_number("mode", call3(OPEN, (u64)"kept.txt", 12, 8));
    say_number("name nowhere", call3(OPEN, nowhere, 0, 8));
    say_number("long name", call3(OPEN, (u64)buffer, 0, 4000));
    for (u64 op = 0; op <= 0x33; op++) {
        if (op == EXIT || op == EXIT_EXTENDED || op == READC || op == CLOCK || op == TIME || op == TICKFREQ || op == ERRNO ||
            op == 0x19)
            continue;
        say_number("operation", op);
        say_number(" block nowhere", (long)semihost(op, (void *)nowhere) != 0);
        if (op == CLOSE || op == ISTTY || op == FLEN || op == SEEK) {
            say_number(" handle 0", call2(op, 0, 0));
            say_number(" handle 33", call2(op, 33, 0));
            say_number(" handle -1", call2(op, -1ul, 0));
        }
    }
    say_number("system", call2(SYSTEM, (u64)"true", 4));
    say_number("unknown", semihost(0x1234, 0));
    say_number("at EL0 it is undefined", semihost_at_el0());
}

static void echo(void)
{
    u64 in = open_file(":tt", 0), out = open_file(":tt", 4), left;
    u64 c = semihost(READC, 0);

    say_number("first character", c);
    while ((left = call3(READ, in, (u64)buffer, 64)) < 64)
        call3(WRITE, out, (u64)buffer, 64 - left);
    say_number("end", left);
    say_number("again", semihost(READC, 0));
}

void main(void)
{
    u64 block[2] = {(u64)line, sizeof(line)};

    say_number("command line", semihost(GET_CMDLINE, block));
    say_number("as long as told", block[1] == length(line));
    try_console();
    if (has_word("read")) {
        u64 h = open_file("there.txt", 0);

        say_number("length", call1(FLEN, h));
        get(h, 200);
    }
    try_files();
    try_the_rest();
    if (has_word("bad"))
        try_bad();
    if (has_word("echo"))
        echo();
    if (has_word("panic"))
        call2(EXIT, 0x20023, 5);
    call2(has_word("extended") ? EXIT_EXTENDED : EXIT, 0x20026, 42);
    for (;;)
        ;
}
