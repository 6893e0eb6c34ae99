/* What a 64-bit kernel finds when it starts by Multiboot 2: each claim is a line on the first serial port. */
#include <stdint.h>

static unsigned failures;

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char *s)
{
    for (; *s; s++)
        out8(0x3f8, (uint8_t)*s);
}

static void claim(const char *what, int holds)
{
    print(holds ? "ok   " : "FAIL ");
    print(what);
    print("\n");
    failures += !holds;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static int begins(const void *p, const char *with)
{
    for (const char *s = p; *with; s++, with++)
        if (*s != *with)
            return 0;
    return 1;
}

static uint8_t sum(const void *p, uint64_t len)
{
    uint8_t s = 0;

    for (const uint8_t *b = p; len--;)
        s = (uint8_t)(s + *b++);
    return s;
}

struct tag {
    uint32_t type, size;
    uint32_t data[];
};

static const struct tag *find(uint64_t info, uint32_t type)
{
    uint64_t at = info + 8, end = info + *(const uint32_t *)info;

    while (at < end) {
        const struct tag *t = (const struct tag *)at;

        if (t->type == type)
            return t;
        at += (t->size + 7) & ~7u;
    }
    return 0;
}

static uint64_t entry_64(const void *p)
{
    return *(const uint64_t *)p;
}

static void check_memory(uint64_t info)
{
    const struct tag *map = find(info, 6), *basic = find(info, 4);
    uint64_t most = 0;

    claim("there is a memory map of 24-byte entries", map && map->data[0] >= 24);
    for (uint64_t at = (uint64_t)map + 16; map && at < (uint64_t)map + map->size; at += map->data[0])
        if (((const uint32_t *)at)[4] == 1 && entry_64((void *)at) + entry_64((void *)(at + 8)) > most)
            most = entry_64((void *)at) + entry_64((void *)(at + 8));
    claim("it ends where memory does", most == 64ull << 20);
    claim("the basic sizes say the same", basic && basic->data[0] == 639 && basic->data[1] == 63 * 1024);
}

static void check_tables(uint64_t info)
{
    const struct tag *old = find(info, 14), *new = find(info, 15), *smbios = find(info, 13);
    const uint8_t *xsdt;
    int hpet = 0, madt = 0;

    claim("the RSDP of ACPI 1.0 is there", old && begins(old->data, "RSD PTR ") && !sum(old->data, 20));
    claim("the RSDP of ACPI 2.0 is there", new && begins(new->data, "RSD PTR ") && !sum(new->data, 36));
    if (!new)
        return;
    xsdt = (const uint8_t *)entry_64((const uint8_t *)new->data + 24);
    claim("it leads to an XSDT", begins(xsdt, "XSDT") && !sum(xsdt, *(const uint32_t *)(xsdt + 4)));
    for (uint32_t at = 36; at < *(const uint32_t *)(xsdt + 4); at += 8) {
        const uint8_t *table = (const uint8_t *)entry_64(xsdt + at);

        if (sum(table, *(const uint32_t *)(table + 4)))
            claim("all tables have good checksums", 0);
        hpet |= begins(table, "HPET");
        madt |= begins(table, "APIC");
    }
    claim("that to MADT and HPET", hpet && madt);
    claim("SMBIOS is there", smbios && begins((const uint8_t *)smbios + 16, "_SM_"));
}

static void check_modules(uint64_t info)
{
    const struct tag *module = find(info, 3);

    claim("a module lies at a page boundary", module && module->data[0] % 4096 == 0);
    claim("its contents are there", module && same((const char *)(uint64_t)module->data[0], "a module's contents"));
}

static void check_elf(uint64_t info)
{
    const struct tag *elf = find(info, 9);
    const uint8_t *headers;
    int strings = 0;

    claim("section headers of 64-bit ELF are there", elf && elf->data[1] == 64 && elf->data[0] > 3);
    headers = elf ? (const uint8_t *)elf + 20 : 0;
    for (uint32_t i = 0; elf && i < elf->data[0]; i++) {
        const uint8_t *h = headers + 64 * i;

        if (*(const uint32_t *)(h + 4) == 3 && entry_64(h + 16))
            strings = 1;
    }
    claim("a table of strings was loaded", strings);
}

void main(uint32_t magic, uint64_t info)
{
    const struct tag *text = find(info, 1), *frame = find(info, 8);
    uint64_t cr0, cs;

    __asm__ volatile("mov %%cr0, %0; mov %%cs, %1" : "=r"(cr0), "=r"(cs));
    claim("the loader is Multiboot 2", magic == 0x36d76289);
    claim("this is 64-bit mode with paging", (cr0 >> 31 & 1) && cs == 8 && sizeof(void *) == 8);
    claim("this code runs in the higher half", (uint64_t)main >> 32 == 0xffffffff);
    claim("the command line is there", text && same((const char *)text->data, "one two"));
    claim("a framebuffer of 800x600x32 is there", frame && frame->data[3] == 800 && frame->data[4] == 600 &&
          ((const uint8_t *)frame)[28] == 32);
    check_memory(info);
    check_tables(info);
    check_modules(info);
    check_elf(info);
    print(failures ? "some claims do not hold\n" : "all claims hold\n");
    out8(0xf4, failures ? 1 : 16);
}
