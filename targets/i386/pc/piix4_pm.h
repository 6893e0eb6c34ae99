/* The power management function of the PIIX4: see piix4_pm.c. */
#ifndef HINDCAST_I386_PC_PIIX4_PM_H
#define HINDCAST_I386_PC_PIIX4_PM_H

#include "vm/dev/pci.h"

#define PM_TIMER_HZ 3579545u
#define PM_IO_BYTES 64u
/* Where direct-booted guests find it, and what the FADT says. */
#define PM_DEFAULT_BASE 0x600u
#define PM_SCI_IRQ 9u
#define PM_APM_PORT 0xb2u
/* SLP_TYP of suspend to RAM (soft-off's is 0). */
#define PM_SLP_TYP_S3 1u
/* Values at that port that switch ACPI mode on and off. */
#define PM_ACPI_ENABLE  0xf1u
#define PM_ACPI_DISABLE 0xf0u

struct piix4_pm_wiring {
    struct pci_function pci;
    struct line sci;
    bool has_s3; /* the board can be suspended to RAM */
    /* SMI#: a pulse. */
    void (*smi)(void *ctx);
    void *smi_ctx;
    /* PMBA or PMIOSE changed: the port map must follow. */
    void (*map_changed)(void *ctx);
    void *map_ctx;
};

/* Ranges: the PM I/O space, and the APM ports B2h-B3h. */
enum { PM_IO, PM_APM };

extern const struct device_ops piix4_pm_ops;

void piix4_pm_plug(struct device *dev, struct pci_bus *bus);
/* Base of the PM I/O space; 0: not decoded. */
uint16_t piix4_pm_base(const struct device *dev);
/* As a BIOS leaves it: at PM_DEFAULT_BASE, in ACPI mode. */
void piix4_pm_firmware_setup(struct device *dev);
/* It wakes a machine that is asleep. */
void piix4_pm_power_button(struct device *dev);
/* Is the machine suspended to RAM, or about to be, or about to wake? */
bool piix4_pm_asleep(const struct device *dev);
/* The clock asserts IRQ8# for an alarm. */
void piix4_pm_rtc_alarm(struct device *dev);

#endif
