noinst_LIBRARIES += libvm.a
libvm_a_SOURCES = \
	src/vm/cpu.h \
	src/vm/device.h \
	src/vm/event.h \
	src/vm/bits.c src/vm/bits.h \
	src/vm/block.c \
	src/vm/drive.c src/vm/drive.h \
	src/vm/boot_image.c src/vm/boot_image.h \
	src/vm/gunzip.c src/vm/gunzip.h \
	src/vm/exec.c src/vm/exec.h src/vm/exec_priv.h \
	src/vm/flags.c src/vm/flags.h src/vm/flags_inline.h \
	src/vm/interp.c src/vm/interp_cold.c src/vm/interp_switch.c \
	src/vm/jit/jit.h \
	src/vm/footprint.c src/vm/footprint.h src/vm/touches.c src/vm/touches.h \
	src/vm/line.c src/vm/line.h \
	src/vm/machine.c src/vm/machine.h \
	src/vm/memory.c src/vm/memory.h \
	src/vm/optimise.c \
	src/vm/page_space.c src/vm/page_space.h \
	src/vm/schedule.c src/vm/schedule.h \
	src/vm/semantics.h \
	src/vm/softmmu.c \
	src/vm/tlb.c \
	src/vm/topology.h \
	src/vm/translate.c \
	src/vm/trap.c src/vm/trap.h \
	src/vm/uop.c src/vm/uop.def src/vm/uop.h src/vm/uop_words.h \
	src/vm/dev/boot_order.c src/vm/dev/boot_order.h \
	src/vm/dev/cfi_flash.c src/vm/dev/cfi_flash.h \
	src/vm/dev/bochs_display.c src/vm/dev/bochs_display.h \
	src/vm/dev/display.c src/vm/dev/display.h \
	src/vm/dev/edid.c src/vm/dev/edid.h \
	src/vm/dev/fwcfg.c src/vm/dev/fwcfg.h \
	src/vm/dev/clock.h \
	src/vm/dev/serial_cards.c src/vm/dev/serial_cards.h \
	src/vm/dev/virtio_balloon.c src/vm/dev/virtio_balloon.h \
	src/vm/dev/isa_dma.h src/vm/dev/opl.c src/vm/dev/opl.h src/vm/dev/opl3.c src/vm/dev/opl3.h src/vm/dev/opl_timers.c src/vm/dev/opl_timers.h \
	src/vm/dev/sb16.c src/vm/dev/sb16.h src/vm/dev/sb16_adpcm.c src/vm/dev/sb16_adpcm.h \
	src/vm/dev/sb16_mixer.c src/vm/dev/sb16_mixer.h \
	src/vm/dev/tpm.c src/vm/dev/tpm.h src/vm/dev/tpm_crb.c src/vm/dev/tpm_crb.h src/vm/dev/tpm_ppi.c src/vm/dev/tpm_ppi.h src/vm/dev/tpm_tis.c src/vm/dev/tpm_tis.h \
	src/vm/dev/testdev.c src/vm/dev/testdev.h src/vm/dev/watchdog.c src/vm/dev/watchdog.h \
	src/vm/dev/uart16550.c src/vm/dev/uart16550.h \
	src/vm/dev/virtio_carried.c src/vm/dev/virtio_carried.h \
	src/vm/dev/p9.c src/vm/dev/p9.h \
	src/vm/dev/p9_fids.c src/vm/dev/p9_fids.h \
	src/vm/dev/virtio_9p.c src/vm/dev/virtio_9p.h \
	src/vm/dev/virtio_console.c src/vm/dev/virtio_console.h \
	src/vm/dev/virtio_gpu.c src/vm/dev/virtio_gpu.h \
	src/vm/dev/virtio_input.c src/vm/dev/virtio_input.h \
	src/vm/dev/virtio_rng.c src/vm/dev/virtio_rng.h \
	src/vm/dev/models.c src/vm/dev/parts.c src/vm/dev/parts.h \
	src/vm/dev/ac97.c src/vm/dev/ac97.h \
	src/vm/dev/ahci.c src/vm/dev/ahci.h \
	src/vm/dev/ata.c src/vm/dev/ata.h \
	src/vm/dev/ata_smart.c src/vm/dev/ata_smart.h \
	src/vm/dev/ata_security.c src/vm/dev/ata_security.h \
	src/vm/dev/hda.c src/vm/dev/hda.h src/vm/dev/hda_codec.c \
	src/vm/dev/ide.c src/vm/dev/ide.h \
	src/vm/dev/isa_debugcon.c src/vm/dev/isa_debugcon.h \
	src/vm/dev/keys.c src/vm/dev/keys.h \
	src/vm/dev/disk_props.c src/vm/dev/disk_props.h \
	src/vm/dev/nvme.c src/vm/dev/nvme.h src/vm/dev/nvme_internal.h \
	src/vm/dev/nvme_admin.c src/vm/dev/nvme_background.c src/vm/dev/nvme_blocks.c \
	src/vm/dev/pci.c src/vm/dev/pci.h \
	src/vm/dev/pci_bridge.c src/vm/dev/pci_bridge.h \
	src/vm/dev/pci_host.c src/vm/dev/pci_host.h \
	src/vm/dev/pci_msi.c \
	src/vm/dev/pci_root.c src/vm/dev/pci_root.h \
	src/vm/dev/ports.c src/vm/dev/ports.h \
	src/vm/dev/scsi.c src/vm/dev/scsi.h src/vm/dev/scsi_reserve.c src/vm/dev/scsi_reserve.h \
	src/vm/dev/sd.c src/vm/dev/sd.h \
	src/vm/dev/sdhci.c src/vm/dev/sdhci.h \
	src/vm/dev/pl011.c src/vm/dev/pl011.h \
	src/vm/dev/pl031.c src/vm/dev/pl031.h \
	src/vm/dev/pl061.c src/vm/dev/pl061.h \
	src/vm/dev/ehci.c src/vm/dev/ehci.h src/vm/dev/ehci_internal.h src/vm/dev/ehci_periodic.c src/vm/dev/ehci_queue.c \
	src/vm/dev/uhci.c src/vm/dev/uhci.h \
	src/vm/dev/usb.c src/vm/dev/usb.h \
	src/vm/dev/usb_hid.c src/vm/dev/usb_hid.h \
	src/vm/dev/usb_host.c src/vm/dev/usb_host.h \
	src/vm/dev/usb_hub.c src/vm/dev/usb_hub.h \
	src/vm/dev/usb_serial.c src/vm/dev/usb_serial.h \
	src/vm/dev/usb_storage.c src/vm/dev/usb_storage.h \
	src/vm/dev/ramfb.c src/vm/dev/ramfb.h \
	src/vm/dev/vga.c src/vm/dev/vga.h src/vm/dev/vga_draw.c src/vm/dev/vga_font.c src/vm/dev/vga_memory.c \
	src/vm/dev/virtio.c src/vm/dev/virtio.h \
	src/vm/dev/e1000.c src/vm/dev/e1000.h src/vm/dev/e1000_internal.h src/vm/dev/e1000_mac.c src/vm/dev/e1000_transmit.c src/vm/dev/e1000e.c src/vm/dev/e1000e.h src/vm/dev/e1000e_ptp.c src/vm/dev/e1000e_ptp.h \
	src/vm/dev/eeprom93.c src/vm/dev/eeprom93.h \
	src/vm/dev/ne2000.c src/vm/dev/ne2000.h \
	src/vm/dev/nic_ip.c src/vm/dev/nic_ip.h \
	src/vm/dev/pcnet.c src/vm/dev/pcnet.h \
	src/vm/dev/rtl8139.c src/vm/dev/rtl8139.h \
	src/vm/dev/nic.c src/vm/dev/nic.h \
	src/vm/dev/sound.c src/vm/dev/sound.h \
	src/vm/dev/sound_mixer.c src/vm/dev/sound_mixer.h \
	src/vm/dev/virtio_blk.c src/vm/dev/virtio_blk.h \
	src/vm/dev/virtio_net.c src/vm/dev/virtio_net.h \
	src/vm/dev/virtio_mmio.c src/vm/dev/virtio_mmio.h \
	src/vm/dev/virtio_pci.c src/vm/dev/virtio_pci.h \
	src/vm/dev/virtio_scsi.c src/vm/dev/virtio_scsi.h \
	src/vm/dev/xhci.c src/vm/dev/xhci.h \
	src/vm/dev/xhci_command.c \
	src/vm/dev/xhci_event.c \
	src/vm/dev/xhci_internal.h \
	src/vm/dev/xhci_transfer.c

# The JIT, where the host is an x86-64; else a stand-in.
if HAVE_JIT
libvm_a_SOURCES += \
	src/vm/jit/access.c \
	src/vm/jit/ahead.c \
	src/vm/jit/branch.c \
	src/vm/jit/compile.c \
	src/vm/jit/ran.c \
	src/vm/jit/trace.c \
	src/vm/jit/emit_x64.h \
	src/vm/jit/flags.c \
	src/vm/jit/float.c \
	src/vm/jit/generic.c \
	src/vm/jit/integer.c \
	src/vm/jit/jit.c \
	src/vm/jit/jit_priv.h \
	src/vm/jit/bits.c \
	src/vm/jit/masked.c \
	src/vm/jit/mmx.c \
	src/vm/jit/muldiv.c \
	src/vm/jit/near.c \
	src/vm/jit/operands.c \
	src/vm/jit/returns.c \
	src/vm/jit/simd.c \
	src/vm/jit/sse.c \
	src/vm/jit/stubs.c \
	src/vm/jit/vector.c \
	src/vm/jit/x87.c
else
libvm_a_SOURCES += src/vm/jit/none.c
endif
