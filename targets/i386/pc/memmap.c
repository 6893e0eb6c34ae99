/*
 * The PC's physical memory map (290549, 4.1): RAM below 640 KiB and from 1 MiB
 * on, the part above 3.5 GiB moved to 4 GiB; the firmware image (or flash: two banks, the
 * second below the first) below 4 GiB and its end below 1 MiB; between C0000h and FFFFFh
 * what the PAM registers say.
 */
#include "i386/cpu.h"
#include "i386/pc/board.h"

#define LOW_END     0xa0000u
#define SEGMENTS    0xc0000u
#define ONE_MIB     0x100000u
#define HIGH_BASE   ((paddr_t)1 << 32)
#define BIOS_ALIAS  0x20000u

static paddr_t segment_base(unsigned n)
{
    return SEGMENTS + n * 0x4000u;
}

static uint64_t segment_size(unsigned n)
{
    return n == I440FX_BIOS_SEGMENT ? 0x10000u : 0x4000u;
}

static unsigned map_pages(struct pc *pc, paddr_t base, uint64_t size, enum region_kind kind, uint32_t page, bool enabled)
{
    const struct region r = {.base = base, .size = size, .kind = kind, .page = page, .enabled = enabled};

    return memory_map(&pc->machine->memory, &r);
}

static unsigned map_device(struct pc *pc, paddr_t base, uint64_t size, struct device *dev, unsigned range, bool enabled)
{
    const struct region r = {
        .base = base, .size = size, .kind = REGION_MMIO, .dev = dev, .range = range, .enabled = enabled};

    return memory_map(&pc->machine->memory, &r);
}

/* The display's memory and ROM, which its BARs show. */
static void alloc_vga(struct pc *pc)
{
    struct memory *mem = &pc->machine->memory;
    struct vga_wiring *w = &pc->vga_wiring;

    w->page = memory_alloc(mem, "vga", VGA_MEMORY_BYTES);
    w->text_page = memory_alloc(mem, "vga-text", VGA_TEXT_BYTES);
    if (!w->has_rom)
        return;
    w->rom_page = memory_alloc(mem, "vga-rom", VGA_ROM_BYTES);
    memory_load(mem, w->rom_page, pc->config.vga_bios.data, pc->config.vga_bios.len);
}

/* A0000h to BFFFFh: the device, and pages for text where they can answer. */
static void map_vga_window(struct pc *pc)
{
    map_device(pc, VGA_WINDOW_BASE, VGA_WINDOW_BYTES, pc->vga, VGA_WINDOW, true);
    pc->vga_text_region =
        map_pages(pc, VGA_WINDOW_BASE, VGA_TEXT_BYTES, REGION_RAM, pc->vga_wiring.text_page, false);
}

/* Writes to segment `range` that go to DRAM while reads come from the bus. */
static void shadow_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct memory *mem = &dev->machine->memory;
    uint32_t first = *(const uint32_t *)dev->wiring;
    uint64_t at = segment_base(range) + offset;

    for (unsigned i = 0; i < size; i++, at++) {
        uint32_t page = first + (uint32_t)(at >> PAGE_SHIFT);

        memory_touch(mem, page, at & (PAGE_SIZE - 1), 1);
        mem->host[((uint64_t)page << PAGE_SHIFT) + (at & (PAGE_SIZE - 1))] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t shadow_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    (void)dev, (void)range, (void)offset, (void)size;
    return UINT64_MAX;
}

DEVICE_STATE_BEGIN
struct shadow_state {
    uint64_t reserved; /* it has none: what is written lies in RAM */
};
DEVICE_STATE_END

const struct device_ops pc_shadow_ops = {
    .name = "shadow",
    .state_size = sizeof(struct shadow_state),
    .read = shadow_read,
    .write = shadow_write,
};

/* What runs from the reset vector, and where it lies: size 0: nothing. */
struct firmware {
    uint64_t size;
    uint32_t page;
};

/* Flash keeps its contents over resets: they are put there once. */
static uint32_t map_flash(struct pc *pc, unsigned n, paddr_t end)
{
    const struct boot_image *image = &pc->config.pflash[n];
    struct memory *mem = &pc->machine->memory;
    struct region r = {.base = end - image->len, .size = image->len, .kind = REGION_ROMD, .dev = pc->flash[n],
                       .enabled = true};

    r.page = memory_alloc(mem, n ? "flash1" : "flash0", image->len);
    pc->flash_wiring[n] = (struct cfi_flash_wiring){.page = r.page, .size = image->len, .byte_wide = true,
                                                    .read_only = pc->config.pflash_read_only[n]};
    pc->flash_wiring[n].region = memory_map(mem, &r);
    memory_load(mem, r.page, image->data, image->len);
    return r.page;
}

static uint32_t map_bios(struct pc *pc)
{
    uint64_t size = pc->config.bios.len;
    uint32_t page = memory_alloc(&pc->machine->memory, "bios", size);

    map_pages(pc, HIGH_BASE - size, size, REGION_ROM, page, true);
    memory_load(&pc->machine->memory, page, pc->config.bios.data, size);
    return page;
}

static struct firmware map_firmware(struct pc *pc)
{
    struct firmware f = {.size = pc->config.bios.len ? pc->config.bios.len : pc->config.pflash[0].len};
    uint64_t alias = f.size < BIOS_ALIAS ? f.size : BIOS_ALIAS;

    if (!f.size)
        return f;
    f.page = pc->flash[0] ? map_flash(pc, 0, HIGH_BASE) : map_bios(pc);
    if (pc->flash[1])
        map_flash(pc, 1, HIGH_BASE - f.size);
    map_pages(pc, ONE_MIB - alias, alias, REGION_ROM, f.page + (uint32_t)((f.size - alias) >> PAGE_SHIFT), true);
    return f;
}

static void map_segments(struct pc *pc, uint32_t ram, const struct firmware *f)
{
    uint64_t size = f->size;

    for (unsigned n = 0; n < I440FX_SEGMENTS; n++) {
        paddr_t base = segment_base(n);
        bool rom = size && ONE_MIB - base <= size && ONE_MIB - base <= BIOS_ALIAS;
        struct region r = {.base = base, .size = segment_size(n), .kind = rom ? REGION_ROMD : REGION_MMIO,
                           .dev = pc->shadow, .range = n};

        if (rom)
            r.page = f->page + (uint32_t)((size - (ONE_MIB - base)) >> PAGE_SHIFT);
        pc->shadow_region[n] =
            map_pages(pc, base, r.size, REGION_RAM, ram + (uint32_t)(base >> PAGE_SHIFT), false);
        pc->write_region[n] = memory_map(&pc->machine->memory, &r);
    }
}

/* SMRAM as CPUs in system management mode find it (i386_physical()). */
static void map_smram_view(struct pc *pc, uint32_t ram)
{
    struct region r = {.base = I386_SMRAM_BASE | I386_SMRAM_VIEW, .size = I386_SMRAM_SIZE, .kind = REGION_RAM,
                       .page = ram + (I386_SMRAM_BASE >> PAGE_SHIFT), .enabled = true, .cpu_only = true};

    memory_map(&pc->machine->memory, &r);
}

void pc_map_memory(struct pc *pc)
{
    struct memory *mem = &pc->machine->memory;
    uint64_t bytes = pc->config.memory_bytes, low = boot_low_bytes(bytes);
    uint32_t *first = pc->shadow->wiring;
    uint32_t ram = memory_alloc(mem, "ram", bytes);
    struct firmware f;

    *first = ram;
    if (pc->vga)
        alloc_vga(pc);
    map_pages(pc, 0, LOW_END, REGION_RAM, ram, true);
    map_pages(pc, ONE_MIB, low - ONE_MIB, REGION_RAM, ram + (ONE_MIB >> PAGE_SHIFT), low > ONE_MIB);
    if (bytes > low)
        map_pages(pc, HIGH_BASE, bytes - low, REGION_RAM, ram + (uint32_t)(low >> PAGE_SHIFT), true);
    if (pc->vga)
        map_vga_window(pc);
    pc->smram_region = map_pages(pc, LOW_END, SEGMENTS - LOW_END, REGION_RAM, ram + (LOW_END >> PAGE_SHIFT), false);
    mem->regions[pc->smram_region].cpu_only = true;
    map_smram_view(pc, ram);
    f = map_firmware(pc);
    map_segments(pc, ram, &f);
    pc->apic_region = map_device(pc, APIC_DEFAULT_BASE, PAGE_SIZE, pc->apic, 0, false);
    if (pc->hpet)
        map_device(pc, HPET_BASE, HPET_BYTES, pc->hpet, 0, true);
    if (pc->ioapic)
        map_device(pc, IOAPIC_BASE, PAGE_SIZE, pc->ioapic, 0, true);
}

/* Change only what differs: every change drops the cached translations. */
static void set_enabled(struct memory *mem, unsigned index, bool enabled)
{
    if (mem->regions[index].enabled != enabled)
        memory_region_enable(mem, index, enabled);
}

static void place(struct memory *mem, unsigned index, uint32_t base, bool enabled)
{
    if (enabled && mem->regions[index].base != base)
        memory_region_move(mem, index, base);
    set_enabled(mem, index, enabled);
}

void pc_update_vga_map(struct pc *pc)
{
    struct memory *mem = &pc->machine->memory;
    uint32_t base;
    bool on = vga_text_window(pc->vga, &base);

    place(mem, pc->vga_text_region, base, on);
}

/* Does a CPU see the registers of its local APIC in memory? */
static bool apic_in_memory(const struct pc *pc)
{
    for (unsigned n = 0; n < pc->machine->ncpus; n++) {
        const struct i386_cpu *c = (const struct i386_cpu *)(const void *)pc->machine->cpus[n];

        if ((c->st->apic_base & (APIC_BASE_ENABLE | APIC_BASE_X2)) == APIC_BASE_ENABLE)
            return true;
    }
    return false;
}

static void show_smram(struct pc *pc)
{
    enum i386_smram smram = !i440fx_smram_enabled(pc->i440fx, false)  ? I386_SMRAM_OFF
                            : i440fx_smram_enabled(pc->i440fx, true) ? I386_SMRAM_ON
                                                                     : I386_SMRAM_CODE;

    set_enabled(&pc->machine->memory, pc->smram_region, i440fx_smram_open(pc->i440fx));
    for (unsigned n = 0; n < pc->machine->ncpus; n++)
        i386_set_smram((struct i386_cpu *)(void *)pc->machine->cpus[n], smram);
}

void pc_update_map(struct pc *pc)
{
    struct memory *mem = &pc->machine->memory;
    paddr_t base = pc->cpu->st->apic_base & ~(uint64_t)0xfff;
    bool enabled = pc->cpu->model->has_apic && apic_in_memory(pc);

    for (unsigned n = 0; n < I440FX_SEGMENTS; n++) {
        unsigned pam = i440fx_pam(pc->i440fx, n);
        enum region_kind kind = pam & PAM_WRITE ? REGION_RAM : REGION_ROM;

        if (mem->regions[pc->shadow_region[n]].kind != kind)
            memory_region_kind(mem, pc->shadow_region[n], kind);
        set_enabled(mem, pc->shadow_region[n], pam & PAM_READ);
        set_enabled(mem, pc->write_region[n], pam == PAM_WRITE);
    }
    show_smram(pc);
    if (mem->regions[pc->apic_region].base != base)
        memory_region_move(mem, pc->apic_region, base);
    set_enabled(mem, pc->apic_region, enabled);
    if (pc->vga)
        pc_update_vga_map(pc);
}
