/*
 * The RTL8139C+: each register as the data sheet has it, EEPROM, timer, both modes in both directions, filters, checksums,
 * segmentation, VLAN tags, counters, reset.
 */
#include "tests/vm/nic_bench.h"

#include "vm/dev/eeprom93.h"
#include "vm/dev/rtl8139.h"

#define RING_AT  0x40000u
#define DATA_AT  0x20000u
#define RX_DESCS 0x1000u
#define TX_DESCS 0x2000u
#define HIGH_DESCS 0x3000u
#define TALLY_AT 0x4000u

enum { IDR, MAR = 8, TSD = 0x10, TSAD = 0x20, RBSTART = 0x30, CR = 0x37, CAPR = 0x38, CBR = 0x3a, IMR = 0x3c, ISR = 0x3e, TCR = 0x40,
       RCR = 0x44, TCTR = 0x48, MPC = 0x4c, CR9346 = 0x50, CONFIG1 = 0x52, TIMERINT = 0x54, MSR = 0x58, CONFIG3 = 0x59, BMCR = 0x62,
       CONFIG5 = 0xd8, TPPOLL = 0xd9, CPCR = 0xe0, RDSAR = 0xe4 };

static void new_card(const char *text)
{
    nic_new(rtl8139_plug, text);
}

/* ---- registers ---- */

START_TEST(registers_are_as_the_data_sheet_says_after_power_on)
{
    static const struct {
        unsigned at, size;
        uint32_t value;
    } row[] = {
        {IDR, 4, 0x12005452}, {4, 2, 0x5634}, {6, 2, 0}, {MAR, 4, 0}, {MAR + 4, 4, 0}, {TSD, 4, 0x2000}, {TSD + 12, 4, 0x2000},
        {TSAD, 4, 0}, {RBSTART, 4, 0}, {0x34, 2, 0}, {0x36, 1, 0}, {CR, 1, 1}, {CAPR, 2, 0xfff0}, {CBR, 2, 0}, {IMR, 2, 0}, {ISR, 2, 0},
        {TCR, 4, 0x77800000}, {RCR, 4, 0}, {MPC, 4, 0}, {CR9346, 1, 1}, {0x51, 1, 0}, {CONFIG1, 1, 0x0c}, {TIMERINT, 4, 0},
        {MSR, 1, 0xd0}, {CONFIG3, 1, 1}, {0x5a, 1, 0}, {0x5e, 1, 0x20}, {0x60, 2, 0xf}, {BMCR, 2, 0x1100}, {0x64, 2, 0x782d},
        {0x66, 2, 0x05e1}, {0x68, 2, 0x45e1}, {0x6a, 2, 1}, {CONFIG5, 1, 0}, {CPCR, 2, 0}, {RDSAR, 4, 0}, {0xff, 1, 0},
    };

    new_card("rtl8139");
    ck_assert_uint_eq(pci_config_read(nic_function, 0, 4), 0x813910ec);
    ck_assert_uint_eq(pci_config_read(nic_function, 8, 4), 0x02000020);
    for (unsigned i = 0; i < ARRAY_LEN(row); i++)
        ck_assert_msg(get(row[i].at, row[i].size) == row[i].value, "register %02x is %x, not %x", row[i].at,
                      get(row[i].at, row[i].size), row[i].value);
    /* In memory they are the same, of any width. */
    ck_assert_uint_eq(memory_read(&m->memory, NIC_REGISTERS + TCR, 4), 0x77800000);
    ck_assert_uint_eq(memory_read(&m->memory, NIC_REGISTERS + 3, 1), 0x12);
    ck_assert_uint_eq(memory_read(&m->memory, NIC_REGISTERS + 0x800, 4), 0xffffffff);
    pci_config_write(nic_function, 0x14, 4, ~0u);
    ck_assert_uint_eq(pci_config_read(nic_function, 0x14, 4), 0xffffff00);
    new_card("rtl8139,chip=c");
    ck_assert_uint_eq(pci_config_read(nic_function, 8, 4), 0x02000010);
    ck_assert_uint_eq(get(TCR, 4), 0x77000000);
    ck_assert_uint_eq(get(0x5e, 1), 0x10); /* the revision that configuration space tells */
    set(CPCR, 2, 3);
    ck_assert_uint_eq(get(CPCR, 2), 0);
}
END_TEST

START_TEST(bits_that_are_not_the_drivers_cannot_be_written)
{
    static const struct {
        unsigned at, size;
        uint32_t value;
        bool kept; /* over a software reset */
    } row[] = {
        {IDR, 4, 0xffffffff, true}, {4, 2, 0xffff, true}, {6, 2, 0, true}, {MAR + 4, 4, 0xffffffff, true}, {TSAD + 4, 4, 0xffffffff, false},
        {RBSTART, 4, 0xffffffff, false}, {0x34, 2, 0, true}, {CBR, 2, 0, true}, {IMR, 2, 0xe1ff, false}, {RCR, 4, 0x0f03ffbf, false}, {MPC, 4, 0, true},
        {0x51, 1, 7, true}, {CONFIG1, 1, 0xff, true}, {MSR, 1, 0xd0, true}, {CONFIG3, 1, 0x71, true}, {0x5a, 1, 0xf5, true}, {0x5c, 2, 0xfff, false},
        {0x5e, 1, 0x20, true}, {0x64, 2, 0x782d, true}, {0x66, 2, 0xffff, true}, {0x68, 2, 0x45e1, true},
        {0x84, 4, 0xffffffff, true}, {0xcc, 4, 0xffffffff, true}, {CONFIG5, 1, 0x7f, true}, {CPCR, 2, 0x7b, false}, {0xe2, 2, 0xffff, false},
        {RDSAR, 4, 0xffffffff, false}, {RDSAR + 4, 4, 0xffffffff, false}, {0xec, 1, 0x3f, false},
    };

    new_card("rtl8139");
    set(CR9346, 1, 0xc0);
    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        set(row[i].at, row[i].size, 0xffffffff);
        ck_assert_msg(get(row[i].at, row[i].size) == row[i].value, "register %02x is %x, not %x", row[i].at,
                      get(row[i].at, row[i].size), row[i].value);
    }
    set(CR, 1, 0x10);
    ck_assert_uint_eq(get(CR, 1) & 0x1e, 0);
    for (unsigned i = 0; i < ARRAY_LEN(row); i++)
        if (row[i].kept)
            ck_assert_msg(get(row[i].at, row[i].size) == row[i].value, "register %02x was lost", row[i].at);
        else
            ck_assert_msg(get(row[i].at, row[i].size) == 0, "register %02x is %x after a reset", row[i].at, get(row[i].at, row[i].size));
    reset_all();
    ck_assert_uint_eq(get(CONFIG3, 1) | get(0x84, 4), 0xffffffff); /* nothing is decoded */
    pci_config_write(nic_function, 0x10, 4, NIC_PORTS);
    pci_config_write(nic_function, PCI_COMMAND, 2, 7);
    ck_assert_uint_eq(get(CONFIG3, 1), 1);
    ck_assert_uint_eq(get(0x84, 4), 0);
    ck_assert_uint_eq(get(IDR, 4), 0x12005452);
}
END_TEST

START_TEST(configuration_is_locked_and_parts_of_registers_are_written)
{
    new_card("rtl8139");
    set(CONFIG1, 1, 0xff);
    set(BMCR, 2, 0);
    ck_assert_uint_eq(get(CONFIG1, 1), 0x0c);
    ck_assert_uint_eq(get(BMCR, 2), 0x1100);
    set(CR9346, 1, 0xc0);
    set(BMCR, 2, 0x2300);
    ck_assert_uint_eq(get(BMCR, 2), 0x2100);
    set(BMCR, 2, 0x8000);
    ck_assert_uint_eq(get(BMCR, 2), 0x1100);
    /* Of TCR, only with TE. */
    set(TCR, 4, 0x700);
    ck_assert_uint_eq(get(TCR, 4), 0x77800000);
    set(CR, 1, 4);
    set(TCR + 1, 1, 7);
    ck_assert_uint_eq(get(TCR, 4), 0x77800700);
    set(MAR + 2, 2, 0xabcd);
    set(MAR + 1, 1, 0x12);
    ck_assert_uint_eq(get(MAR, 4), 0xabcd1200);
    /* Two registers at once. */
    set(CAPR, 4, 0x12345678);
    ck_assert_uint_eq(get(CAPR, 4), 0x00005678);
    set(IMR, 4, 0xffff0005);
    ck_assert_uint_eq(get(IMR, 4), 5);
}
END_TEST

static void ee_pins(unsigned di)
{
    set(CR9346, 1, 0x88 | di << 1);
    set(CR9346, 1, 0x8c | di << 1);
}

static void ee_command(uint32_t bits, unsigned count)
{
    set(CR9346, 1, 0x80);
    set(CR9346, 1, 0x88);
    while (count-- > 0)
        ee_pins(bits >> count & 1);
}

static unsigned ee_word(void)
{
    unsigned word = 0;

    for (unsigned i = 0; i < 16; i++) {
        ee_pins(0);
        word = word << 1 | (get(CR9346, 1) & 1);
    }
    return word;
}

START_TEST(the_eeprom_is_read_and_programmed_pin_by_pin)
{
    new_card("rtl8139");
    ee_command(0x180 | 0, 9);
    ck_assert_uint_eq(get(CR9346, 1) & 1, 0);
    ck_assert_uint_eq(ee_word(), 0x8129);
    ck_assert_uint_eq(ee_word(), 0x10ec); /* and goes on */
    ee_command(0x180 | 7, 9);
    ck_assert_uint_eq(ee_word(), 0x5452);
    /* A reader of the larger kind sees that it is none. */
    ee_command(0x600, 11);
    ck_assert_uint_ne(ee_word(), 0x8129);
    /* Nothing is written before it is enabled, nor if it is not whole. */
    ee_command(0x147u << 16 | 0xbeef, 25);
    ee_command(0x130, 9);
    ee_command((0x147u << 16 | 0xbeef) >> 1, 24);
    ee_command(0x187, 9);
    ck_assert_uint_eq(ee_word(), 0x5452);
    ee_command(0x147u << 16 | 0xbee2, 25);
    ck_assert_uint_eq(get(CR9346, 1) & 1, 1);
    ee_command(0x187, 9);
    ck_assert_uint_eq(ee_word(), 0xbee2);
    ee_command(0x1c8, 9); /* erase 8 */
    ee_command(0x100, 9); /* disable */
    ee_command(0x1c9, 9);
    ee_command(0x188, 9);
    ck_assert_uint_eq(ee_word(), 0xffff);
    ck_assert_uint_eq(ee_word(), 0x5634);
    /* The chip takes it up when it is told so, and after a reset. */
    ck_assert_uint_eq(get(IDR, 4), 0x12005452);
    set(CR9346, 1, 0x40);
    ck_assert_uint_eq(get(IDR, 4), 0xffffbee2);
    ck_assert_uint_eq(get(CR9346, 1) & 0xc0, 0);
    reset_all();
    pci_config_write(nic_function, 0x10, 4, NIC_PORTS);
    pci_config_write(nic_function, PCI_COMMAND, 2, 7);
    ck_assert_uint_eq(get(IDR, 4), 0xffffbee2);
    ee_command(0x130, 9);
    ee_command(0x110u << 16 | 0x1234, 25); /* all of it */
    ee_command(0x180, 9);
    ck_assert_uint_eq(ee_word(), 0x1234);
    ee_command(0x120, 9); /* erased */
    ee_command(0x1bf, 9);
    ck_assert_uint_eq(ee_word(), 0xffff);
    ck_assert_uint_eq(ee_word(), 0xffff);
}
END_TEST

START_TEST(the_timer_interrupts_when_it_gets_there)
{
    new_card("rtl8139");
    run_for(1000);
    ck_assert_uint_eq(get(TCTR, 4), 33);
    set(TCTR, 4, 77);
    ck_assert_uint_eq(get(TCTR, 4), 0);
    set(IMR, 2, 0x4000);
    set(TIMERINT, 4, 33000);
    run_for(999999);
    ck_assert(!probe[3].level);
    run_for(1);
    ck_assert(probe[3].level);
    ck_assert_uint_eq(get(ISR, 2), 0x4000);
    ck_assert_uint_eq(get(TCTR, 4), 33000); /* it goes on */
    set(ISR, 2, 0x4000);
    ck_assert(!probe[3].level);
    run_for(200 * MS);
    ck_assert(!probe[3].level);
    set(TCTR, 4, 0);
    run_for(1 * MS);
    ck_assert(probe[3].level);
    set(ISR, 2, 0xffff);
    run_for(131000 * MS); /* once around */
    ck_assert(probe[3].level);
    set(TIMERINT, 4, 0);
    ck_assert_uint_eq(card->ops->deadline(card), VTIME_NEVER);
}
END_TEST

START_TEST(causes_interrupt_as_far_as_they_are_enabled)
{
    new_card("rtl8139");
    set(TPPOLL, 1, 1); /* by software */
    ck_assert_uint_eq(get(ISR, 2), 0x100);
    ck_assert(!probe[3].level);
    set(IMR, 2, 0x100);
    ck_assert(probe[3].level);
    set(ISR, 1, 0xff);
    ck_assert(probe[3].level);
    set(ISR + 1, 1, 1);
    ck_assert(!probe[3].level && !get(ISR, 2));
}
END_TEST

/* ---- the option ROM, which any card may have ---- */

static const struct boot_image *told_rom;

static void take_rom(void *ctx, const struct boot_image *rom)
{
    (void)ctx;
    told_rom = rom;
}

static int plug_with_rom(const char *device, size_t len, struct error *e)
{
    static uint8_t rom[0x1001000];
    static struct boot_image image;
    struct sockets s = {.pci = &bench_bus, .next_slot = 3, .option_rom = take_rom};
    struct machine_parts p = {.devices = {device}, .ndevices = 1, .roms = &image, .nroms = 1};

    memset(rom, 0, sizeof(rom));
    memcpy(rom, "\x55\xaa\x02", 3);
    rom[0x18] = 0x40;
    memcpy(rom + 0x40, "PCIR\x12\x34\x56\x78", 8);
    rom[6] = 1;
    rom[700] = 0x99;
    image = (struct boot_image){.data = rom, .len = len, .name = "a.rom"};
    new_disk_bench();
    s.machine = m;
    told_rom = NULL;
    if (parts_plug(&p, &s, e) < 0)
        return e->code;
    ck_assert_uint_eq(parts_rom_bytes(&p), device[strlen(device) - 1] == '=' ? 0 : len <= 4096 ? 4096 : 8192);
    reset_all();
    nic_function = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    pci_config_write(nic_function, PCI_ROM, 4, 0xfffff801);
    return 0;
}

START_TEST(an_option_rom_is_what_its_bar_shows)
{
    struct error e = {0};
    uint8_t bytes[1024];
    unsigned sum = 0;

    ck_assert_int_eq(plug_with_rom("rtl8139,romfile=a.rom", 1024, &e), 0);
    ck_assert_uint_eq(pci_config_read(nic_function, PCI_ROM, 4), 0xfffff001);
    pci_config_write(nic_function, PCI_ROM, 4, 0x10030001);
    pci_config_write(nic_function, PCI_COMMAND, 2, 2);
    memory_read_bytes(&m->memory, 0x10030000, bytes, sizeof(bytes));
    ck_assert_uint_eq(bytes[700], 0x99);
    ck_assert_uint_eq(get_le32(bytes + 0x44), 0x813910ec); /* it is for this one */
    for (unsigned i = 0; i < sizeof(bytes); i++)
        sum += bytes[i];
    ck_assert_uint_eq(sum & 255, (0x55 + 0xaa + 2 + 0x40 + 'P' + 'C' + 'I' + 'R' + 0x12 + 0x34 + 0x56 + 0x78 + 1 + 0x99) & 255);
    memory_write(&m->memory, 0x10030000, 4, 0);
    ck_assert_uint_eq(memory_read(&m->memory, 0x10030000, 2), 0xaa55);
    pci_config_write(nic_function, PCI_ROM, 4, 0x10030000);
    ck_assert_uint_eq(memory_read(&m->memory, 0x10030000, 2), 0xffff);
    ck_assert_int_eq(plug_with_rom("rtl8139,romfile=a.rom", 4097, &e), 0);
    ck_assert_uint_eq(pci_config_read(nic_function, PCI_ROM, 4), 0xffffe001);
    ck_assert_int_eq(plug_with_rom("rtl8139,romfile=", 1024, &e), 0);
    ck_assert_uint_eq(pci_config_read(nic_function, PCI_ROM, 4), 0);
    ck_assert_int_eq(plug_with_rom("rtl8139,romfile=a.rom,rombar=0", 1024, &e), 0);
    ck_assert_uint_eq(pci_config_read(nic_function, PCI_ROM, 4), 0);
    ck_assert(told_rom && told_rom->len == 1024);
    ck_assert_int_lt(plug_with_rom("rtl8139,romfile=b.rom", 1024, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "b.rom"));
    ck_assert_int_lt(plug_with_rom("rtl8139,romfile=a.rom", 0x1000001, &e), 0);
    ck_assert_int_lt(plug_with_rom("rtl8139,romfile=a.rom,rombar=2", 1024, &e), 0);
}
END_TEST

/* ---- C mode ---- */

static void start_c_mode(uint32_t rcr)
{
    set(CR, 1, 0x10);
    set(RBSTART, 4, RING_AT);
    set(CR, 1, 0xc);
    set(RCR, 4, rcr);
}

START_TEST(four_descriptors_send_one_after_the_other)
{
    uint8_t frame[200];

    new_card("rtl8139,chip=c");
    nic_frame(frame, nic_other, sizeof(frame));
    poke(DATA_AT, frame, sizeof(frame));
    set(TSAD, 4, DATA_AT);
    set(TSD, 4, 100);
    ck_assert_uint_eq(sent.len, 0); /* the transmitter is off */
    set(CR, 1, 4);
    ck_assert(nic_sent(frame, 100));
    ck_assert_uint_eq(get(TSD, 4), 0xa000 | 100);
    ck_assert_uint_eq(get(ISR, 2), 4);
    set(TSAD + 8, 4, DATA_AT);
    set(TSD + 8, 4, 0x00080000 | 150);
    ck_assert_uint_eq(sent.len, 0); /* it is the second one's turn */
    ck_assert_uint_eq(get(0x60, 2), 0x100b);
    set(TSAD + 4, 4, DATA_AT + 1);
    set(TSD + 4, 4, 61);
    ck_assert_uint_eq(sent.len, 61 + 150);
    ck_assert_uint_eq(get(0x60, 2), 0x700f);
    ck_assert_uint_eq(get(TSD + 8, 4), 0x0008a000 | 150);
    buffer_clear(&sent);
    set(TSD + 12, 4, 0x2000 | 10); /* not to be sent */
    ck_assert_uint_eq(sent.len, 0);
    /* A short one is filled up, not with what follows. */
    set(TSAD + 12, 4, DATA_AT);
    set(TSD + 12, 4, 20);
    memset(frame + 20, 0, 40);
    ck_assert(nic_sent(frame, 60));
    /* The driver's own check sequence. */
    set(TCR, 4, 0x10000);
    set(TSD, 4, 64);
    ck_assert_uint_eq(sent.len, 0);
    nic_frame(frame, nic_other, 60);
    put_le32(frame + 60, (uint32_t)crc32(0, frame, 60));
    poke(DATA_AT, frame, 64);
    set(TSAD + 4, 4, DATA_AT);
    set(TSD + 4, 4, 64);
    ck_assert(nic_sent(frame, 60));
    /* Loopback. */
    start_c_mode(0xf | 1);
    set(TCR, 4, 0x60000);
    set(TSAD, 4, DATA_AT);
    set(TSD, 4, 60);
    ck_assert_uint_eq(sent.len, 0);
    ck_assert(nic_holds(RING_AT + 4, nic_other, 60));
}
END_TEST

START_TEST(frames_come_into_the_ring)
{
    new_card("rtl8139");
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    start_c_mode(0xa);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
    ck_assert_uint_eq(get(CR, 1), 0xd);
    nic_arrives(nic_ours, 61);
    ck_assert_uint_eq(get(CR, 1), 0xc);
    ck_assert_uint_eq(peek32(RING_AT), 0x4001 | 65 << 16);
    ck_assert(nic_holds(RING_AT + 4, nic_ours, 61));
    ck_assert_uint_eq(get(CBR, 2), 72);
    ck_assert_uint_eq(get(ISR, 2), 1);
    nic_arrives(nic_all, 40);
    ck_assert_uint_eq(peek32(RING_AT + 72), 0x2001 | 64 << 16); /* filled up */
    ck_assert_uint_eq(peek32(RING_AT + 72 + 4 + 44), 0);
    ck_assert_uint_eq(get(CBR, 2), 72 + 68);
    set(CAPR, 2, 72 + 68 - 16);
    ck_assert_uint_eq(get(CR, 1), 0xd);
    nic_arrives(nic_ours, 4093); /* too long */
    ck_assert_uint_eq(get(ISR, 2), 3);
    ck_assert_uint_eq(get(CR, 1), 0xd);
    nic_arrives(nic_ours, 10); /* no header */
    ck_assert_uint_eq(get(CBR, 2), 72 + 68);
}
END_TEST

/* The ring with its write pointer at `at`, all free. */
static void ring_at(uint32_t at, uint32_t rcr)
{
    start_c_mode(rcr);
    for (uint32_t done = 0; done < at;) {
        uint32_t len = at - done >= 3000 ? 1000 : at - done > 1500 ? (at - done) / 2 - 8 : at - done - 8;

        len = (len + 3) & ~3u;
        nic_arrives(nic_ours, len);
        done += len + 8;
        set(CAPR, 2, done - 16);
    }
    ck_assert_uint_eq(get(CBR, 2), at);
    set(ISR, 2, 0xffff);
}

START_TEST(the_ring_ends_around_or_past_its_end)
{
    uint32_t at = 0x2000 - 100;

    new_card("rtl8139");
    poke32(RING_AT + 0x2000, 0x55555555);
    ring_at(at, 0xa);
    nic_arrives(nic_ours, 300);
    ck_assert(nic_holds(RING_AT + at + 4, nic_ours, 96));
    ck_assert_uint_eq(peek32(RING_AT + 0x2000), 0x55555555);
    ck_assert_uint_eq(peek32(RING_AT), (uint32_t)((96 * 3 & 255) | (97 * 3 & 255) << 8 | (98 * 3 & 255) << 16 | (99u * 3 & 255) << 24));
    ck_assert_uint_eq(get(CBR, 2), 308 - 100);
    /* WRAP: the frame in one piece; the next one at the beginning all the same. */
    ring_at(at, 0x8a);
    nic_arrives(nic_ours, 300);
    ck_assert(nic_holds(RING_AT + at + 4, nic_ours, 300));
    ck_assert_uint_eq(get(CBR, 2), 308 - 100);
    /* 64 KiB have no such end. */
    ring_at(0x10000 - 100, 0x188a);
    poke32(RING_AT + 0x10000, 0x55555555);
    nic_arrives(nic_ours, 300);
    ck_assert_uint_eq(peek32(RING_AT + 0x10000), 0x55555555);
    ck_assert_uint_eq(get(CBR, 2), 308 - 100);
}
END_TEST

START_TEST(a_full_ring_takes_nothing_and_counts)
{
    unsigned n = 0;

    new_card("rtl8139");
    start_c_mode(0xa);
    while (card->ops->input_room(card)) {
        nic_arrives(nic_ours, 1000);
        n++;
    }
    ck_assert_uint_eq(n, 7); /* 8 KiB, but for a frame of the usual length */
    nic_arrives(nic_ours, 1514);
    ck_assert_uint_eq(get(ISR, 2), 0x11);
    ck_assert_uint_eq(get(MPC, 4), 1);
    ck_assert_uint_eq(get(CBR, 2), 7 * 1008);
    set(MPC, 4, 55);
    ck_assert_uint_eq(get(MPC, 4), 0);
    set(CAPR, 2, 1008 - 16);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
}
END_TEST

static bool taken(const uint8_t *to)
{
    unsigned before = get(CBR, 2);

    nic_arrives(to, 80);
    set(CAPR, 2, get(CBR, 2) - 16);
    return get(CBR, 2) != before;
}

START_TEST(what_comes_in_is_filtered)
{
    uint32_t crc = 0xffffffff;

    new_card("rtl8139");
    start_c_mode(0);
    ck_assert(!taken(nic_ours) && !taken(nic_all) && !taken(nic_group) && !taken(nic_other));
    set(RCR, 4, 2);
    ck_assert(taken(nic_ours) && !taken(nic_all) && !taken(nic_group) && !taken(nic_other));
    set(RCR, 4, 8);
    ck_assert(!taken(nic_ours) && taken(nic_all));
    set(RCR, 4, 1);
    ck_assert(taken(nic_ours) && taken(nic_other) && !taken(nic_all) && !taken(nic_group));
    set(RCR, 4, 4);
    ck_assert(!taken(nic_group));
    for (unsigned i = 0; i < 48; i++) { /* IEEE 802.3, 3.2.8; each byte's lowest bit first */
        bool bit = (crc >> 31) ^ (nic_group[i / 8] >> i % 8 & 1);

        crc = crc << 1 ^ (bit ? 0x04c11db7 : 0);
    }
    set(MAR + (crc >> 31 ? 4 : 0), 4, 1u << (crc >> 26 & 31));
    ck_assert(taken(nic_group) && !taken(nic_all));
    set(IDR, 4, get_le32(nic_other));
    set(4, 4, get_le16(nic_other + 4));
    set(RCR, 4, 2);
    ck_assert(taken(nic_other) && !taken(nic_ours));
}
END_TEST

/* ---- C+ mode ---- */

static void start_plus_mode(unsigned cpcr)
{
    set(CR, 1, 0x10);
    set(CPCR, 2, cpcr);
    set(CR, 1, 0xc);
    set(RCR, 4, 0xf);
    set(TSAD, 4, TX_DESCS);
    set(TSAD + 8, 4, HIGH_DESCS);
    set(RDSAR, 4, RX_DESCS);
}

static void descriptor(paddr_t ring, unsigned n, uint32_t command, uint32_t tag, paddr_t at)
{
    poke32(ring + 16 * n, command);
    poke32(ring + 16 * n + 4, tag);
    poke64(ring + 16 * n + 8, at);
}

START_TEST(descriptors_send)
{
    uint8_t frame[300];

    new_card("rtl8139");
    start_plus_mode(1);
    nic_frame(frame, nic_other, sizeof(frame));
    poke(DATA_AT, frame, sizeof(frame));
    set(TPPOLL, 1, 0x40);
    ck_assert_uint_eq(get(ISR, 2), 0x80); /* there is nothing */
    descriptor(TX_DESCS, 0, 0xa0000000 | 100, 0, DATA_AT);
    set(TPPOLL, 1, 0x40);
    ck_assert_uint_eq(sent.len, 0); /* its end is not there yet */
    descriptor(TX_DESCS, 1, 0xd0000000 | 150, 0, DATA_AT + 100);
    set(ISR, 2, 0xffff);
    set(TPPOLL, 1, 0x40);
    ck_assert(nic_sent(frame, 250));
    ck_assert_uint_eq(peek32(TX_DESCS), 0x20000000 | 100);
    ck_assert_uint_eq(peek32(TX_DESCS + 16), 0x50000000 | 150);
    ck_assert_uint_eq(get(ISR, 2), 0x84);
    /* Around the end, with a tag. */
    descriptor(TX_DESCS, 0, 0xb0000000 | 70, 0x20000 | 0x0520, DATA_AT);
    set(TPPOLL, 1, 0x40);
    ck_assert_uint_eq(sent.len, 74);
    ck_assert_uint_eq(get_be32(sent.data + 12), 0x81002005);
    ck_assert_int_eq(memcmp(sent.data + 16, frame + 12, 58), 0);
    buffer_clear(&sent);
    /* The other ring. */
    descriptor(HIGH_DESCS, 0, 0xb0000000 | 70, 0, DATA_AT);
    set(TPPOLL, 1, 0x40);
    ck_assert_uint_eq(sent.len, 0);
    set(TPPOLL, 1, 0x80);
    ck_assert(nic_sent(frame, 70));
    /* A ring where no memory answers. */
    set(ISR, 2, 0xffff);
    set(TSAD, 4, 0xf0000000);
    set(TPPOLL, 1, 0x40);
    ck_assert_uint_eq(get(ISR, 2), 0x8080);
    ck_assert_uint_eq(sent.len, 0);
}
END_TEST

START_TEST(what_is_sent_gets_checksums)
{
    uint8_t frame[301];

    new_card("rtl8139");
    start_plus_mode(1);
    for (unsigned tcp = 0; tcp < 2; tcp++) {
        nic_ip_frame(frame, tcp ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP, sizeof(frame));
        poke(DATA_AT, frame, sizeof(frame));
        set(TSAD, 4, TX_DESCS);
        descriptor(TX_DESCS, 0, 0xf0000000 | sizeof(frame) | 1u << 18 | (tcp ? 1u << 16 : 1u << 17), 0, DATA_AT);
        set(TPPOLL, 1, 0x40);
        ck_assert(sent.len == sizeof(frame) && nic_sums_hold(sent.data));
        buffer_clear(&sent);
        /* Not asked for: left as it is; the wrong protocol: too. */
        descriptor(TX_DESCS, 0, 0xf0000000 | sizeof(frame) | (tcp ? 1u << 17 : 1u << 16), 0, DATA_AT);
        set(TPPOLL, 1, 0x40);
        ck_assert(nic_sent(frame, sizeof(frame)));
    }
}
END_TEST

START_TEST(a_large_packet_is_sent_in_segments)
{
    uint8_t frame[NIC_HEADERS + 2500];

    new_card("rtl8139");
    start_plus_mode(1);
    nic_ip_frame(frame, IP_PROTOCOL_TCP, sizeof(frame));
    poke(DATA_AT, frame, sizeof(frame));
    descriptor(TX_DESCS, 0, 0xf8000000 | 1000u << 16 | sizeof(frame), 0, DATA_AT);
    set(TPPOLL, 1, 0x40);
    ck_assert_uint_eq(sent.len, 3 * NIC_HEADERS + 2500);
    for (unsigned n = 0; n < 3; n++) {
        const uint8_t *s = sent.data + n * (NIC_HEADERS + 1000);
        size_t len = n < 2 ? 1000 : 500;

        ck_assert_uint_eq(get_be16(s + 16), 40 + len);
        ck_assert_uint_eq(get_be16(s + 18), 7 + n);
        ck_assert_uint_eq(get_be32(s + 38), 1000 + 1000 * n);
        ck_assert_uint_eq(s[47], n < 2 ? 0x10 : 0x19);
        ck_assert_int_eq(memcmp(s + NIC_HEADERS, frame + NIC_HEADERS + 1000 * n, len), 0);
        ck_assert(nic_sums_hold(s));
    }
    ck_assert_uint_eq(peek32(TX_DESCS) >> 24, 0x78);
}
END_TEST

START_TEST(descriptors_receive)
{
    new_card("rtl8139");
    start_plus_mode(2);
    ck_assert_uint_eq(card->ops->input_room(card), 0);
    descriptor(RX_DESCS, 0, 0x80000000 | 100, 0x10055, DATA_AT);
    descriptor(RX_DESCS, 1, 0x80000000 | 96, 0, DATA_AT + 0x1000);
    descriptor(RX_DESCS, 2, 0xc0000000 | 0x1000, 0, DATA_AT + 0x2000);
    ck_assert_uint_gt(card->ops->input_room(card), 1514);
    nic_arrives(nic_ours, 150);
    ck_assert_uint_eq(peek32(RX_DESCS), 0x20000000 | 100);
    ck_assert_uint_eq(peek32(RX_DESCS + 4), 0);
    ck_assert_uint_eq(peek32(RX_DESCS + 16), 0x12000000 | 154);
    ck_assert_uint_eq(peek32(RX_DESCS + 32), 0xc0001000);
    ck_assert(nic_holds(DATA_AT, nic_ours, 100));
    ck_assert_uint_eq(memory_read(&m->memory, DATA_AT + 0x1000, 1), (100 * 3) & 255);
    nic_arrives(nic_all, 60);
    ck_assert_uint_eq(peek32(RX_DESCS + 32), 0x71000000 | 64);
    ck_assert_uint_eq(get(ISR, 2), 1);
    nic_arrives(nic_ours, 60); /* around: there is none */
    ck_assert_uint_eq(get(ISR, 2), 0x11);
    ck_assert_uint_eq(get(MPC, 4), 1);
    descriptor(RX_DESCS, 0, 0x80000000 | 40, 0, DATA_AT);
    nic_arrives(nic_ours, 60); /* too little */
    ck_assert_uint_eq(get(MPC, 4), 2);
    ck_assert_uint_eq(peek32(RX_DESCS), 0x80000000 | 40);
    /* No bus master, no memory. */
    descriptor(RX_DESCS, 0, 0x80000000 | 0x1000, 0, DATA_AT);
    pci_config_write(nic_function, PCI_COMMAND, 2, 3);
    ck_assert_uint_eq(card->ops->input_room(card), 0);
}
END_TEST

START_TEST(what_comes_in_is_checked_and_untagged)
{
    uint8_t frame[120];
    static const struct {
        unsigned protocol, spoil, status;
    } row[] = {
        {IP_PROTOCOL_TCP, 0, 0x10000}, {IP_PROTOCOL_TCP, 60, 0x12000}, {IP_PROTOCOL_UDP, 0, 0x20000}, {IP_PROTOCOL_UDP, 60, 0x24000},
        {IP_PROTOCOL_TCP, 22, 0x18000}, {1, 0, 0x30000}, {1, 22, 0x38000},
    };

    new_card("rtl8139");
    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        start_plus_mode(0x22);
        descriptor(RX_DESCS, 0, 0xc0000000 | 0x1000, 0, DATA_AT);
        nic_ip_frame(frame, row[i].protocol, sizeof(frame));
        put_be16(frame + 24, 0);
        put_be16(frame + 24, (uint16_t)~nic_sum(frame + 14, 20, 0));
        if (row[i].protocol != 1) {
            uint8_t *at = frame + (row[i].protocol == IP_PROTOCOL_TCP ? 50 : 40);

            put_be16(at, 0);
            put_be16(at, (uint16_t)~nic_sum(frame + 34, sizeof(frame) - 34,
                                            nic_sum(frame + 26, 8, (uint32_t)(row[i].protocol + sizeof(frame) - 34))));
            ck_assert(nic_sums_hold(frame));
        }
        if (row[i].spoil)
            frame[row[i].spoil] ^= 1;
        input(card, frame, sizeof(frame));
        ck_assert_msg((peek32(RX_DESCS) & 0x3e000) == row[i].status, "%u: %x", i, peek32(RX_DESCS));
    }
    start_plus_mode(0x42);
    descriptor(RX_DESCS, 0, 0xc0000000 | 0x1000, 0, DATA_AT);
    nic_frame(frame, nic_ours, sizeof(frame));
    put_be32(frame + 12, 0x81002005);
    input(card, frame, sizeof(frame));
    ck_assert_uint_eq(peek32(RX_DESCS) & 0x1fff, 120);
    ck_assert_uint_eq(peek32(RX_DESCS + 4), 0x10000 | 0x0520);
    ck_assert_uint_eq(memory_read(&m->memory, DATA_AT + 12, 1), frame[16]);
}
END_TEST

START_TEST(counters_are_dumped_to_memory)
{
    new_card("rtl8139");
    start_plus_mode(3);
    descriptor(TX_DESCS, 0, 0xf0000000 | 70, 0, DATA_AT);
    set(TPPOLL, 1, 0x40);
    descriptor(RX_DESCS, 0, 0x80000000 | 0x1000, 0, DATA_AT);
    descriptor(RX_DESCS, 1, 0x80000000 | 0x1000, 0, DATA_AT);
    nic_arrives(nic_ours, 60);
    nic_arrives(nic_all, 60);
    nic_arrives(nic_all, 60);
    poke32(TALLY_AT + 28, 0xffffffff);
    set(TSD + 4, 4, 0);
    set(TSD, 4, TALLY_AT | 8);
    ck_assert_uint_eq(get(TSD, 4), TALLY_AT);
    ck_assert_uint_eq(peek32(TALLY_AT), 1);
    ck_assert_uint_eq(peek32(TALLY_AT + 8), 2);
    ck_assert_uint_eq(peek32(TALLY_AT + 28), 1);
    ck_assert_uint_eq(peek32(TALLY_AT + 40), 1);
    ck_assert_uint_eq(peek32(TALLY_AT + 48), 1);
    ck_assert_uint_eq(peek32(TALLY_AT + 56), 0);
}
END_TEST

static void claims(TCase *tc)
{
    ADD(registers_are_as_the_data_sheet_says_after_power_on);
    ADD(bits_that_are_not_the_drivers_cannot_be_written);
    ADD(configuration_is_locked_and_parts_of_registers_are_written);
    ADD(the_eeprom_is_read_and_programmed_pin_by_pin);
    ADD(the_timer_interrupts_when_it_gets_there);
    ADD(causes_interrupt_as_far_as_they_are_enabled);
    ADD(an_option_rom_is_what_its_bar_shows);
    ADD(four_descriptors_send_one_after_the_other);
    ADD(frames_come_into_the_ring);
    ADD(the_ring_ends_around_or_past_its_end);
    ADD(a_full_ring_takes_nothing_and_counts);
    ADD(what_comes_in_is_filtered);
    ADD(descriptors_send);
    ADD(what_is_sent_gets_checksums);
    ADD(a_large_packet_is_sent_in_segments);
    ADD(descriptors_receive);
    ADD(what_comes_in_is_checked_and_untagged);
    ADD(counters_are_dumped_to_memory);
}

CHIP_TESTS("rtl8139", claims)
