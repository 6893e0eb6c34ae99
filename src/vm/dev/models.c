/*
 * The devices that there are for --device, by QEMU's names.
 *
 * Adding one: its plug function, declared in its header, and a line here.
 */
#include "vm/dev/ac97.h"
#include "vm/dev/ahci.h"
#include "vm/dev/bochs_display.h"
#include "vm/dev/e1000.h"
#include "vm/dev/e1000e.h"
#include "vm/dev/ehci.h"
#include "vm/dev/hda.h"
#include "vm/dev/isa_debugcon.h"
#include "vm/dev/ne2000.h"
#include "vm/dev/nvme.h"
#include "vm/dev/opl.h"
#include "vm/dev/parts.h"
#include "vm/dev/pci_bridge.h"
#include "vm/dev/pcnet.h"
#include "vm/dev/ramfb.h"
#include "vm/dev/rtl8139.h"
#include "vm/dev/sb16.h"
#include "vm/dev/sdhci.h"
#include "vm/dev/serial_cards.h"
#include "vm/dev/testdev.h"
#include "vm/dev/tpm_crb.h"
#include "vm/dev/tpm_tis.h"
#include "vm/dev/uhci.h"
#include "vm/dev/usb_hid.h"
#include "vm/dev/usb_host.h"
#include "vm/dev/usb_hub.h"
#include "vm/dev/usb_serial.h"
#include "vm/dev/usb_storage.h"
#include "vm/dev/vga.h"
#include "vm/dev/virtio_9p.h"
#include "vm/dev/virtio_balloon.h"
#include "vm/dev/virtio_blk.h"
#include "vm/dev/virtio_console.h"
#include "vm/dev/virtio_gpu.h"
#include "vm/dev/virtio_input.h"
#include "vm/dev/virtio_net.h"
#include "vm/dev/virtio_rng.h"
#include "vm/dev/virtio_scsi.h"
#include "vm/dev/watchdog.h"
#include "vm/dev/xhci.h"

const struct device_storage device_storage[] = {
    {"bochs-display", bochs_display_storage},
    {"secondary-vga", secondary_vga_storage},
    {NULL, NULL},
};

const struct device_model device_models[] = {
    {"AC97", "PCI", "AC'97 sound card of Intel's 82801AA", TAKES_NONE, ac97_keys, ac97_plug},
    {"adlib", "ISA", "AdLib sound card: Yamaha YM3812 (OPL2)", TAKES_NONE, adlib_keys, adlib_plug},
    {"bochs-display", "PCI", "framebuffer by the display interface of Bochs", TAKES_NONE, bochs_display_keys, bochs_display_plug},
    {"e1000", "PCI", "Intel 82540EM Gigabit Ethernet", TAKES_NONE, e1000_keys, e1000_plug},
    {"e1000e", "PCI", "Intel 82574L Gigabit Ethernet", TAKES_NONE, e1000e_keys, e1000e_plug},
    {"floppy", "FDC", "floppy drive of the board's controller", TAKES_FLOPPY, floppy_keys, floppy_plug},
    {"hda-duplex", "HDA", "HDA codec: line out and line in", TAKES_NONE, hda_codec_keys, hda_duplex_plug},
    {"hda-micro", "HDA", "HDA codec: speaker and microphone", TAKES_NONE, hda_codec_keys, hda_micro_plug},
    {"hda-output", "HDA", "HDA codec: line out", TAKES_NONE, hda_codec_keys, hda_output_plug},
    {"ich9-intel-hda", "PCI", "High Definition Audio controller of an ICH9", TAKES_NONE, intel_hda_keys, ich9_intel_hda_plug},
    {"intel-hda", "PCI", "High Definition Audio controller of an ICH6", TAKES_NONE, intel_hda_keys, intel_hda_plug},
    {"i6300esb", "PCI", "watchdog of an Intel 6300ESB", TAKES_NONE, i6300esb_keys, i6300esb_plug},
    {"ib700", "ISA", "watchdog of an iBASE IB700", TAKES_NONE, ib700_keys, ib700_plug},
    {"ich9-ahci", "PCI", "AHCI host adapter with six ports", TAKES_NONE, ahci_keys, ahci_plug},
    {"ide-cd", "IDE", "ATAPI CD-ROM drive, on AHCI or bus=ide.N", TAKES_CDROM, ahci_cd_keys, ahci_disk_plug},
    {"ide-hd", "IDE", "ATA disk, on AHCI or bus=ide.N", TAKES_DRIVE, ahci_disk_keys, ahci_disk_plug},
    {"ich9-usb-ehci1", "PCI", "EHCI USB host controller of an ICH9, six ports", TAKES_NONE, NULL, ich9_usb_ehci1_plug},
    {"ich9-usb-uhci1", "PCI", "UHCI USB host controller of an ICH9, two ports", TAKES_NONE, uhci_keys, ich9_usb_uhci1_plug},
    {"ich9-usb-uhci2", "PCI", "UHCI USB host controller of an ICH9, two ports", TAKES_NONE, uhci_keys, ich9_usb_uhci2_plug},
    {"ich9-usb-uhci3", "PCI", "UHCI USB host controller of an ICH9, two ports", TAKES_NONE, uhci_keys, ich9_usb_uhci3_plug},
    {"isa-debug-exit", "ISA", "ports (501h) through which the guest ends itself", TAKES_NONE, isa_debug_exit_keys,
     isa_debug_exit_plug},
    {"isa-debugcon", "ISA", "firmware's debug port (402h) to the debug console", TAKES_NONE, isa_debugcon_keys, isa_debugcon_plug},
    {"isa-serial", "ISA", "16550A serial port, connected by chardev=ID", TAKES_NONE, isa_serial_keys, isa_serial_plug},
    {"ne2k_isa", "ISA", "NE2000 Ethernet", TAKES_NONE, ne2k_isa_keys, ne2k_isa_plug},
    {"ne2k_pci", "PCI", "Realtek RTL8029AS Ethernet, an NE2000 on PCI", TAKES_NONE, ne2k_pci_keys, ne2k_pci_plug},
    {"nvme", "PCI", "NVM Express controller", TAKES_DRIVE, nvme_keys, nvme_plug},
    {"pc-testdev", "ISA", "interrupt lines, ports and memory for test suites", TAKES_NONE, NULL, pc_testdev_plug},
    {"pci-bridge", "PCI", "PCI-to-PCI bridge: devices go behind it by bus=ID", TAKES_NONE, pci_bridge_keys, pci_bridge_device_plug},
    {"pci-serial", "PCI", "16550A serial port, connected by chardev=ID", TAKES_NONE, pci_serial_keys, pci_serial_plug},
    {"pci-testdev", "PCI", "counts accesses, for test suites", TAKES_NONE, NULL, pci_testdev_plug},
    {"pcnet", "PCI", "AMD Am79C970A (PCnet-PCI II) Ethernet", TAKES_NONE, pcnet_keys, pcnet_plug},
    {"pcie-root-port", "PCI", "PCI Express root port: a device goes behind it by bus=ID", TAKES_NONE, pci_root_port_keys,
     pci_root_port_plug},
    {"piix3-usb-uhci", "PCI", "UHCI USB host controller of a PIIX3, two ports", TAKES_NONE, uhci_keys, piix3_usb_uhci_plug},
    {"piix4-usb-uhci", "PCI", "UHCI USB host controller of a PIIX4, two ports", TAKES_NONE, uhci_keys, piix4_usb_uhci_plug},
    {"qemu-xhci", "PCI", "xHCI USB host controller, four ports of USB 2 and 3", TAKES_NONE, qemu_xhci_keys, qemu_xhci_plug},
    {"ramfb", "fw_cfg", "framebuffer in guest memory, set up by firmware", TAKES_NONE, NULL, ramfb_plug},
    {"rtl8139", "PCI", "Realtek RTL8139C+ Fast Ethernet", TAKES_NONE, rtl8139_keys, rtl8139_plug},
    {"secondary-vga", "PCI", "VGA without ports, beside another display", TAKES_NONE, secondary_vga_keys, secondary_vga_plug},
    {"sb16", "ISA", "Sound Blaster 16", TAKES_NONE, sb16_keys, sb16_plug},
    {"sd-card", "SD", "SD memory card, in the slot of an sdhci-pci", TAKES_DRIVE, sd_card_keys, sd_card_plug},
    {"sdhci-pci", "PCI", "SD host controller with one slot", TAKES_NONE, sdhci_keys, sdhci_plug},
    {"tpm-crb", "memory", "TPM 2.0 (--tpmdev) by the command response buffer interface", TAKES_NONE, tpm_crb_keys, tpm_crb_plug},
    {"tpm-tis", "ISA", "TPM 2.0 (--tpmdev) by the FIFO interface", TAKES_NONE, tpm_tis_keys, tpm_tis_plug},
    {"tpm-tis-device", "platform", "the same on the virt board", TAKES_NONE, tpm_tis_device_keys, tpm_tis_device_plug},
    {"usb-ehci", "PCI", "EHCI USB host controller of an ICH4, six ports", TAKES_NONE, NULL, usb_ehci_plug},
    {"usb-host", "USB", "USB device of the host: vendorid=,productid= or hostbus=,hostaddr=", TAKES_NONE, usb_host_keys, usb_host_plug},
    {"usb-hub", "USB", "USB hub with eight ports", TAKES_NONE, usb_hub_keys, usb_hub_plug},
    {"usb-kbd", "USB", "USB keyboard", TAKES_NONE, usb_hid_keys, usb_kbd_plug},
    {"usb-mouse", "USB", "USB mouse", TAKES_NONE, usb_hid_keys, usb_mouse_plug},
    {"usb-serial", "USB", "FTDI FT232BM serial port, connected by chardev=ID", TAKES_NONE, usb_serial_keys, usb_serial_plug},
    {"usb-storage", "USB", "USB disk, or CD-ROM drive by its drive", TAKES_DRIVE, usb_storage_keys, usb_storage_plug},
    {"usb-tablet", "USB", "USB tablet: a pointer that knows places", TAKES_NONE, usb_hid_keys, usb_tablet_plug},
    {"VGA", "PCI", "pc: its display, as --vga std", TAKES_NONE, secondary_vga_keys, board_display_plug},
    {"virtconsole", "virtio-serial", "console of a virtio-serial, connected by chardev=ID", TAKES_NONE, virtio_port_keys,
     virtconsole_plug},
    {"virtserialport", "virtio-serial", "port of a virtio-serial, connected by chardev=ID", TAKES_NONE, virtio_port_keys,
     virtserialport_plug},
    {"virtio-9p-device", "virtio-mmio", "shared directory (--fsdev) in a slot of the virt board", TAKES_NONE, virtio_9p_mmio_keys,
     virtio_9p_mmio_plug},
    {"virtio-9p-pci", "PCI", "shared directory (--fsdev)", TAKES_NONE, virtio_9p_keys, virtio_9p_pci_plug},
    {"virtio-balloon-device", "virtio-mmio", "virtio memory balloon in a slot of the virt board", TAKES_NONE, virtio_balloon_mmio_keys,
     virtio_balloon_mmio_plug},
    {"virtio-balloon-pci", "PCI", "virtio memory balloon (monitor balloon MB)", TAKES_NONE, virtio_balloon_keys, virtio_balloon_pci_plug},
    {"virtio-blk-device", "virtio-mmio", "virtio block device in a slot of the virt board", TAKES_DRIVE, virtio_blk_mmio_keys,
     virtio_blk_mmio_plug},
    {"virtio-blk-pci", "PCI", "virtio block device", TAKES_DRIVE, virtio_blk_keys, virtio_blk_pci_plug},
    {"virtio-gpu-device", "virtio-mmio", "virtio GPU in a slot of the virt board", TAKES_NONE, virtio_gpu_mmio_keys, virtio_gpu_mmio_plug},
    {"virtio-gpu-pci", "PCI", "virtio GPU", TAKES_NONE, virtio_gpu_keys, virtio_gpu_pci_plug},
    {"virtio-keyboard-device", "virtio-mmio", "virtio keyboard in a slot of the virt board", TAKES_NONE, virtio_input_mmio_keys,
     virtio_keyboard_mmio_plug},
    {"virtio-keyboard-pci", "PCI", "virtio keyboard", TAKES_NONE, virtio_input_keys, virtio_keyboard_pci_plug},
    {"virtio-mouse-device", "virtio-mmio", "virtio mouse in a slot of the virt board", TAKES_NONE, virtio_input_mmio_keys,
     virtio_mouse_mmio_plug},
    {"virtio-mouse-pci", "PCI", "virtio mouse", TAKES_NONE, virtio_input_keys, virtio_mouse_pci_plug},
    {"virtio-net-device", "virtio-mmio", "virtio network card in a slot of the virt board", TAKES_NONE, virtio_net_mmio_keys,
     virtio_net_mmio_plug},
    {"virtio-net-pci", "PCI", "virtio network card", TAKES_NONE, virtio_net_keys, virtio_net_pci_plug},
    {"virtio-rng-device", "virtio-mmio", "virtio entropy device in a slot of the virt board", TAKES_NONE, virtio_rng_mmio_keys,
     virtio_rng_mmio_plug},
    {"virtio-rng-pci", "PCI", "virtio entropy device", TAKES_NONE, virtio_rng_keys, virtio_rng_pci_plug},
    {"virtio-scsi-device", "virtio-mmio", "virtio SCSI host adapter in a slot of the virt board", TAKES_NONE, virtio_scsi_mmio_keys,
     virtio_scsi_mmio_plug},
    {"virtio-scsi-pci", "PCI", "virtio SCSI host adapter", TAKES_NONE, virtio_scsi_keys, virtio_scsi_pci_plug},
    {"virtio-serial-device", "virtio-mmio", "virtio consoles and serial ports in a slot of the virt board", TAKES_NONE,
     virtio_serial_mmio_keys, virtio_serial_mmio_plug},
    {"virtio-serial-pci", "PCI", "virtio consoles and serial ports", TAKES_NONE, virtio_serial_keys, virtio_serial_pci_plug},
    {"virtio-vga", "PCI", "pc: its display, as --vga virtio: a VGA and virtio GPU", TAKES_NONE, virtio_vga_keys, board_display_plug},
    {"virtio-tablet-device", "virtio-mmio", "virtio tablet in a slot of the virt board", TAKES_NONE, virtio_input_mmio_keys,
     virtio_tablet_mmio_plug},
    {"virtio-tablet-pci", "PCI", "virtio tablet", TAKES_NONE, virtio_input_keys, virtio_tablet_pci_plug},
    {"scsi-cd", "SCSI", "SCSI CD-ROM drive", TAKES_CDROM, scsi_cd_keys, scsi_disk_plug},
    {"scsi-hd", "SCSI", "SCSI disk", TAKES_DRIVE, scsi_disk_keys, scsi_disk_plug},
    {NULL, NULL, NULL, TAKES_NONE, NULL, NULL},
};
