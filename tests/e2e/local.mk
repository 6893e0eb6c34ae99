# End to end: a real gdb and raw clients against the whole program.
E2E_TESTS = tests/e2e/test_gdb.py tests/e2e/test_connection.py tests/e2e/test_cli.py tests/e2e/test_terminal.py \
	tests/e2e/test_flash.py tests/e2e/test_dump.py tests/e2e/test_bios.py tests/e2e/test_record.py tests/e2e/test_semihosting.py \
	tests/e2e/test_corpus.py tests/e2e/test_drives.py tests/e2e/test_dma.py tests/e2e/test_network.py \
	tests/e2e/test_ports.py tests/e2e/test_smm.py tests/e2e/test_sleep.py tests/e2e/test_floppy.py tests/e2e/test_ends.py \
	tests/e2e/test_astray.py tests/e2e/test_registers.py tests/e2e/test_usb.py tests/e2e/test_usb_host.py
TESTS += $(E2E_TESTS)
# Long conversations about what is answered rather than how: with sanitizers, under which each takes minutes, by check-long only.
E2E_LONG_TESTS = tests/e2e/test_branches.py tests/e2e/test_calls.py tests/e2e/test_dap.py tests/e2e/test_demo.py \
	tests/e2e/test_gdb_aarch64.py tests/e2e/test_gdb_arch.py tests/e2e/test_gdb_helper.py tests/e2e/test_litmus.py \
	tests/e2e/test_lldb.py tests/e2e/test_mi.py tests/e2e/test_queries.py tests/e2e/test_query_oracle.py \
	tests/e2e/test_race_hunt.py tests/e2e/test_record_kill.py tests/e2e/test_reverse.py tests/e2e/test_scenario.py \
	tests/e2e/test_screen.py tests/e2e/test_segments.py tests/e2e/test_sound.py tests/e2e/test_threads.py \
	tests/e2e/test_tracepoints.py tests/e2e/test_watch.py
if !SANITIZED
TESTS += $(E2E_LONG_TESTS)
endif
check-long: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(E2E_LONG_TESTS) tests/whole/engines.sh'
.PHONY: check-long
EXTRA_DIST += tests/e2e/fake_libusb.c
EXTRA_DIST += tests/e2e/litmus/litmus.c tests/e2e/litmus/virt.S
EXTRA_DIST += tests/e2e/recordings $(E2E_TESTS) $(E2E_LONG_TESTS) tests/e2e/harness.py tests/e2e/hcrec.py tests/rspclient.py tests/capture.py tests/e2e/semihosting/guest.c tests/e2e/semihosting/start.S
EXTRA_DIST += tests/guests/test_detection.py
EXTRA_DIST += tests/guests/test_branches_i386.py
EXTRA_DIST += tests/guests/test_disk_arm64.py
EXTRA_DIST += tests/guests/fetch-debian tests/guests/make-initramfs tests/guests/test_debian_i386.py tests/guests/test_debian_amd64.py tests/guests/test_disk_i386.py tests/guests/test_debian_arm64.py tests/guests/test_debian_record.py tests/guests/test_kernels.py tests/guests/test_smp.py tests/guests/test_usb.py
EXTRA_DIST += tests/guests/test_virtio_i386.py tests/guests/test_net_i386.py tests/guests/test_net_pair.py tests/guests/test_net_services.py tests/guests/guest_programs.py tests/guests/test_serial.py tests/guests/test_tools.py tests/guests/test_netboot.py
EXTRA_DIST += tests/guests/test_sound.py tests/guests/sound/player.c tests/guests/test_watchdogs.py tests/guests/test_tpm.py
EXTRA_DIST += tests/guests/firmware_guest.py tests/guests/test_firmware_record.py tests/guests/test_uboot_arm64.py tests/guests/test_edk2_arm64.py tests/guests/test_boot_disks.py tests/guests/boot_media.py tests/guests/boot/hello.S tests/guests/boot/sector.S tests/guests/test_xen_arm64.py
EXTRA_DIST += tests/guests/test_perf_arm64.py tests/guests/perf/events.c
EXTRA_DIST += tests/guests/test_svm_amd64.py tests/guests/svm/build tests/guests/svm/link.ld tests/guests/svm/start.S tests/guests/svm/svm.h \
	tests/guests/svm/machine.c tests/guests/svm/intercepts.c tests/guests/svm/states.c tests/guests/svm/events.c tests/guests/svm/paging.c \
	tests/guests/svm/expected tests/guests/svm/qemu-differs tests/guests/kvm/amd64/build tests/guests/kvm/amd64/vm.c tests/guests/kvm/amd64/nested.c tests/guests/kvm/amd64/nested.h \
	tests/guests/kvm/amd64/nested.ld
EXTRA_DIST += tests/guests/test_kvm_arm64.py tests/guests/kvm/build tests/guests/kvm/nested.h tests/guests/kvm/nested.ld \
	tests/guests/kvm/start.S tests/guests/kvm/nested.c tests/guests/kvm/vm.c

EXTRA_DIST += tests/guests/test_tables.py
EXTRA_DIST += tests/guests/exercise.c tests/guests/make-system tests/guests/test_systems.py

# A kernel as tutorials teach it, and other people's guests (the latter by run-tests).
TESTS += tests/guests/test_hobby.py
TESTS += tests/guests/test_teaching.py
TESTS += tests/guests/test_hobby64.py
TESTS += tests/guests/test_svm_amd64.py
EXTRA_DIST += tests/guests/test_hobby64.py tests/guests/hobby64/boot.S tests/guests/hobby64/kernel.c \
	tests/guests/hobby64/link.ld
EXTRA_DIST += tests/guests/test_ovmf_amd64.py tests/guests/test_xen_amd64.py
EXTRA_DIST += tests/guests/test_hobby.py tests/guests/screen.py tests/guests/test_guests_i386.py \
	tests/guests/hobby/boot.S tests/guests/hobby/kernel.c tests/guests/hobby/link.ld \
	tests/guests/test_teaching.py tests/guests/teaching/boot.S tests/guests/teaching/kernel.c tests/guests/teaching/layout.h \
	tests/guests/teaching/link.ld

# Guests of several CPUs that check what these do to each other.
TESTS += tests/guests/test_cpus.py
EXTRA_DIST += tests/guests/test_cpus.py tests/guests/cpus/claims.h tests/guests/cpus/pc.S tests/guests/cpus/pc.c \
	tests/guests/cpus/pc.ld tests/guests/cpus/virt.S tests/guests/cpus/virt.c tests/guests/cpus/virt.ld
