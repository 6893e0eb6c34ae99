# Files of tests/vm/

# The execution core. It runs the toy CPU of vm_toy.h.
if HAVE_CHECK
check_PROGRAMS += tests/vm/test_vm_exec
TESTS += tests/vm/test_vm_exec
tests_vm_test_vm_exec_SOURCES = tests/check_main.c tests/vm/test_vm_exec.c tests/vm/vm_toy.c tests/vm/vm_toy.h
tests_vm_test_vm_exec_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_vm_jit
TESTS += tests/vm/test_vm_jit
tests_vm_test_vm_jit_SOURCES = tests/check_main.c tests/vm/test_vm_jit.c
tests_vm_test_vm_jit_LDADD = libvm.a libsoftfloat.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_vm
TESTS += tests/vm/test_vm
tests_vm_test_vm_SOURCES = tests/check_main.c tests/vm/test_vm.c tests/vm/vm_toy.c tests/vm/vm_toy.h
tests_vm_test_vm_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_vm_uops
TESTS += tests/vm/test_vm_uops
tests_vm_test_vm_uops_SOURCES = tests/check_main.c tests/vm/test_vm_uops.c tests/vm/vm_toy.c tests/vm/vm_toy.h
tests_vm_test_vm_uops_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_schedule
TESTS += tests/vm/test_schedule
tests_vm_test_schedule_SOURCES = tests/vm/test_schedule.c tests/vm/vm_toy.c tests/vm/vm_toy.h tests/check_main.c
tests_vm_test_schedule_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_drive
TESTS += tests/vm/test_drive
tests_vm_test_drive_SOURCES = tests/vm/test_drive.c tests/check_main.c
tests_vm_test_drive_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_pci
TESTS += tests/vm/test_pci
tests_vm_test_pci_SOURCES = tests/check_main.c tests/vm/test_pci.c tests/whole/chip_bench.h
tests_vm_test_pci_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_ide
TESTS += tests/vm/test_ide
tests_vm_test_ide_SOURCES = tests/check_main.c tests/vm/test_ide.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_ide_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_sound
TESTS += tests/vm/test_sound
tests_vm_test_sound_SOURCES = tests/check_main.c tests/vm/test_sound.c tests/whole/chip_bench.h
tests_vm_test_sound_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_ac97
TESTS += tests/vm/test_ac97
tests_vm_test_ac97_SOURCES = tests/check_main.c tests/vm/test_ac97.c tests/vm/sound_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_ac97_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_hda
TESTS += tests/vm/test_hda
tests_vm_test_hda_SOURCES = tests/check_main.c tests/vm/test_hda.c tests/vm/sound_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_hda_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_e1000
TESTS += tests/vm/test_e1000
tests_vm_test_e1000_SOURCES = tests/check_main.c tests/vm/test_e1000.c tests/vm/e1000_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_e1000_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_e1000e
TESTS += tests/vm/test_e1000e
tests_vm_test_e1000e_SOURCES = tests/check_main.c tests/vm/test_e1000e.c tests/vm/e1000_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_e1000e_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_ne2000
TESTS += tests/vm/test_ne2000
tests_vm_test_ne2000_SOURCES = tests/check_main.c tests/vm/test_ne2000.c tests/vm/nic_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_ne2000_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_pcnet
TESTS += tests/vm/test_pcnet
tests_vm_test_pcnet_SOURCES = tests/check_main.c tests/vm/test_pcnet.c tests/vm/nic_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_pcnet_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_rtl8139
TESTS += tests/vm/test_rtl8139
tests_vm_test_rtl8139_SOURCES = tests/check_main.c tests/vm/test_rtl8139.c tests/vm/nic_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_rtl8139_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_virtio_net
TESTS += tests/vm/test_virtio_net
tests_vm_test_virtio_net_SOURCES = tests/check_main.c tests/vm/test_virtio_net.c tests/vm/virtio_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_virtio_net_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_display
TESTS += tests/vm/test_display
tests_vm_test_display_SOURCES = tests/check_main.c tests/vm/test_display.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_display_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_virtio_gpu
TESTS += tests/vm/test_virtio_gpu
tests_vm_test_virtio_gpu_SOURCES = tests/check_main.c tests/vm/test_virtio_gpu.c tests/vm/virtio_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_virtio_gpu_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_virtio_mmio
TESTS += tests/vm/test_virtio_mmio
tests_vm_test_virtio_mmio_SOURCES = tests/check_main.c tests/vm/test_virtio_mmio.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_virtio_mmio_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_opl
TESTS += tests/vm/test_opl
tests_vm_test_opl_SOURCES = tests/check_main.c tests/vm/test_opl.c tests/vm/sound_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_opl_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_sb16
TESTS += tests/vm/test_sb16
tests_vm_test_sb16_SOURCES = tests/check_main.c tests/vm/test_sb16.c tests/vm/sound_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_sb16_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_tpm_crb
TESTS += tests/vm/test_tpm_crb
tests_vm_test_tpm_crb_SOURCES = tests/check_main.c tests/vm/test_tpm_crb.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_tpm_crb_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_tpm_tis
TESTS += tests/vm/test_tpm_tis
tests_vm_test_tpm_tis_SOURCES = tests/check_main.c tests/vm/test_tpm_tis.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_tpm_tis_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_watchdog
TESTS += tests/vm/test_watchdog
tests_vm_test_watchdog_SOURCES = tests/check_main.c tests/vm/test_watchdog.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_watchdog_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_virtio_others
TESTS += tests/vm/test_virtio_others
tests_vm_test_virtio_others_SOURCES = tests/check_main.c tests/vm/test_virtio_others.c tests/vm/virtio_bench.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_virtio_others_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_testdev
TESTS += tests/vm/test_testdev
tests_vm_test_testdev_SOURCES = tests/check_main.c tests/vm/test_testdev.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_testdev_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_virtio
TESTS += tests/vm/test_virtio
tests_vm_test_virtio_SOURCES = tests/check_main.c tests/vm/test_virtio.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_virtio_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_nvme
TESTS += tests/vm/test_nvme
tests_vm_test_nvme_SOURCES = tests/check_main.c tests/vm/test_nvme.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_nvme_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_ehci
TESTS += tests/vm/test_ehci
tests_vm_test_ehci_SOURCES = tests/check_main.c tests/vm/test_ehci.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_ehci_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_usb_host
TESTS += tests/vm/test_usb_host
tests_vm_test_usb_host_SOURCES = tests/check_main.c tests/vm/test_usb_host.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_usb_host_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)

check_PROGRAMS += tests/vm/test_uhci
TESTS += tests/vm/test_uhci
tests_vm_test_uhci_SOURCES = tests/check_main.c tests/vm/test_uhci.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_uhci_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_usb
TESTS += tests/vm/test_usb
tests_vm_test_usb_SOURCES = tests/check_main.c tests/vm/test_usb.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_usb_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_xhci
TESTS += tests/vm/test_xhci
tests_vm_test_xhci_SOURCES = tests/check_main.c tests/vm/test_xhci.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_xhci_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_ahci
TESTS += tests/vm/test_ahci
tests_vm_test_ahci_SOURCES = tests/check_main.c tests/vm/test_ahci.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_ahci_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_sdhci
TESTS += tests/vm/test_sdhci
tests_vm_test_sdhci_SOURCES = tests/check_main.c tests/vm/test_sdhci.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_sdhci_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/vm/test_scsi
TESTS += tests/vm/test_scsi
tests_vm_test_scsi_SOURCES = tests/check_main.c tests/vm/test_scsi.c tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_vm_test_scsi_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif
