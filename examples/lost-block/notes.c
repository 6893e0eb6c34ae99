/*
 * A little file system on the bare machine, and a program that lives on it.
 *
 * The disk has one block with all inodes, and groups of blocks behind it, each of which begins with a bitmap of what is
 * in use in it. There are a few files; the program appends to them, looks things up, and every now and then reads all
 * that it has ever written and compares.
 *
 * It runs well for a while, and then one of the oldest blocks is not what was written to it. (Nobody wrote to that file;
 * finding out who did is what hindcast is for.)
 */
#include "disk.h"

#define MAGIC         0x65746f6e
#define GROUPS        8
#define GROUP_BLOCKS  64  /* the first is the bitmap */
#define FIRST_GROUP   1   /* block in which the first group begins */
#define FILES         4
#define FILE_BLOCKS   60
#define AUDIT_EVERY   50

struct inode {
    char name[12];
    u32 blocks;
    u32 block[FILE_BLOCKS];
};

static struct {
    u32 magic;
    struct inode file[FILES];
} root __attribute__((aligned(BLOCK_BYTES)));

/* What a block of a file holds: to whom it belongs, and words that follow from that. */
struct page {
    u32 file, index;
    u32 words[BLOCK_BYTES / 4 - 2];
};

static struct page page __attribute__((aligned(BLOCK_BYTES)));
static u8 bitmap[BLOCK_BYTES] __attribute__((aligned(BLOCK_BYTES)));
static volatile u32 ticks;

void timer_interrupt(void);
void timer_interrupt(void)
{
    ticks++;
    timer_acknowledge();
}

/* ---- blocks ---- */

static u32 first_of(u32 group)
{
    return FIRST_GROUP + group * GROUP_BLOCKS;
}

/* Is a block of the group free? Then it is taken. */
static int take(u32 group, u32 n)
{
    disk_read(first_of(group), bitmap);
    if (bitmap[n])
        return 0;
    bitmap[n] = 1;
    disk_write(first_of(group), bitmap);
    return 1;
}

/* A free block, the one after `near` if it can be had: files are read from one end to the other. */
static u32 block_alloc(u32 near)
{
    u32 group = (near - FIRST_GROUP) / GROUP_BLOCKS;
    u32 next = (near - FIRST_GROUP) % GROUP_BLOCKS + 1;

    if (next < GROUP_BLOCKS && take(group, next))
        return FIRST_GROUP + next;
    for (group = 0; group < GROUPS; group++)
        for (u32 n = 1; n < GROUP_BLOCKS; n++)
            if (take(group, n))
                return first_of(group) + n;
    panic("the disk is full");
}

/* ---- files ---- */

static void fill(struct page *p, u32 file, u32 index)
{
    u32 x = file * 7919 + index;

    p->file = file;
    p->index = index;
    for (u32 i = 0; i < sizeof p->words / 4; i++)
        p->words[i] = x = x * 1664525 + 1013904223;
}

static void file_append(u32 file)
{
    struct inode *f = &root.file[file];
    u32 near = f->blocks ? f->block[f->blocks - 1] : FIRST_GROUP;
    u32 block = block_alloc(near);

    f->block[f->blocks] = block;
    fill(&page, file, f->blocks);
    disk_write(block, &page);
    f->blocks++;
    disk_write(0, &root);
}

static void file_check(u32 file, u32 index)
{
    static struct page wanted;
    struct inode *f = &root.file[file];

    disk_read(f->block[index], &page);
    fill(&wanted, file, index);
    for (u32 i = 0; i < sizeof page / 4; i++)
        if (((u32 *)&page)[i] != ((u32 *)&wanted)[i])
            panic("%s: page %u is not what was written", f->name, index);
}

/* ---- the program ---- */

static void make_files(void)
{
    static const char *const names[FILES] = {"ledger", "letters", "diary", "sketches"};

    for (u32 i = 0; i < FILES; i++) {
        struct inode *f = &root.file[i];

        for (u32 k = 0; names[i][k]; k++)
            f->name[k] = names[i][k];
        f->blocks = 0;
    }
    for (u32 group = 0; group < GROUPS; group++)
        disk_write(first_of(group), bitmap);
    root.magic = MAGIC;
    disk_write(0, &root);
    console_printf("notes: an empty disk: made four files\n");
}

static void audit(void)
{
    u32 pages = 0;

    for (u32 file = 0; file < FILES; file++)
        for (u32 i = 0; i < root.file[file].blocks; i++, pages++)
            file_check(file, i);
    console_printf("notes: %u pages, audit passed\n", pages);
}

/* Which file grows: now this one, now that one. */
static u32 draw(void)
{
    static u32 state = 12;

    state = state * 1664525 + 1013904223;
    return state >> 24;
}

void kernel_main(void);
void kernel_main(void)
{
    machine_init(100);
    disk_init();
    disk_read(0, &root);
    if (root.magic != MAGIC)
        make_files();
    console_printf("notes: ready\n");
    interrupts_on();
    for (u32 turn = 1;; turn++) {
        u32 file = draw() % FILES;
        struct inode *f = &root.file[file];

        if (f->blocks < FILE_BLOCKS)
            file_append(file);
        if (f->blocks)
            file_check(file, draw() % f->blocks);
        if (turn % AUDIT_EVERY == 0)
            audit();
    }
}
