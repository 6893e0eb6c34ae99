# Example guests, for the quickstart and the end-to-end tests: programs for two machines. What lost-block needs of its
# machine besides a disk is stale-pointer's.
STALE = examples/stale-pointer
stale_common = $(STALE)/store.c $(STALE)/console.c $(STALE)/machine.h
stale_i386 = $(STALE)/i386/start.S $(STALE)/i386/machine.c
stale_x86_64 = $(STALE)/x86_64/start.S $(STALE)/i386/machine.c
stale_aarch64 = $(STALE)/aarch64/start.S $(STALE)/aarch64/machine.c
LOST = examples/lost-block
lost_common = $(LOST)/notes.c $(LOST)/disk.h
lost_disks = $(LOST)/i386/disk.c $(LOST)/aarch64/disk.c
LONG = examples/long-record
long_common = $(LONG)/records.c $(LONG)/net.h
long_cards = $(LONG)/i386/net.c $(LONG)/aarch64/net.c
HUNT = examples/lost-update
hunt_sources = $(HUNT)/start.S $(HUNT)/pc.c $(HUNT)/jobs.c $(HUNT)/jobs.h
hunt_aarch64 = $(HUNT)/aarch64/start.S $(HUNT)/aarch64/virt.c
EXTRA_DIST += $(hunt_sources) $(hunt_aarch64) $(HUNT)/hunt $(HUNT)/demo
EXTRA_DIST += examples/pci.h examples/virtio_mmio.h
EXTRA_DIST += $(long_common) $(long_cards) $(LONG)/demo $(LONG)/packets
EXTRA_DIST += examples/session.sh $(lost_common) $(lost_disks) $(LOST)/demo
EXTRA_DIST += $(stale_common) $(STALE)/demo $(stale_i386) $(STALE)/i386/link.ld \
	$(STALE)/x86_64/start.S $(STALE)/x86_64/link.ld \
	$(stale_aarch64) $(STALE)/aarch64/link.ld

guest_cflags = -std=gnu11 -O0 -g -ffreestanding -fno-pic -fno-stack-protector -fno-omit-frame-pointer -Wall -Wextra
guest_ldflags = -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack
i386_cflags = -m32 -march=i686 -fcf-protection=none
x86_64_cflags = -m64 -mno-red-zone -mno-sse -fcf-protection=none -Wl,--no-warn-rwx-segments
aarch64_cflags = -mgeneral-regs-only -mstrict-align -Wl,-z,max-page-size=4096

noinst_DATA =
if HAVE_X86_64_CC
noinst_DATA += $(STALE)/x86_64/store.elf
endif
if HAVE_M32
noinst_DATA += $(STALE)/i386/store.elf
noinst_DATA += $(LOST)/i386/notes.elf
noinst_DATA += $(LONG)/i386/records.elf
noinst_DATA += $(HUNT)/jobs.elf
endif
if HAVE_AARCH64_CC
noinst_DATA += $(STALE)/aarch64/store.elf
noinst_DATA += $(LOST)/aarch64/notes.elf
noinst_DATA += $(LONG)/aarch64/records.elf
noinst_DATA += $(HUNT)/aarch64/jobs.elf
endif
CLEANFILES += $(HUNT)/jobs.elf
CLEANFILES += $(HUNT)/aarch64/jobs.elf
CLEANFILES += $(LONG)/i386/records.elf $(LONG)/aarch64/records.elf
CLEANFILES += $(LOST)/i386/notes.elf $(LOST)/aarch64/notes.elf
CLEANFILES += $(STALE)/x86_64/store.elf
CLEANFILES += $(STALE)/i386/store.elf $(STALE)/aarch64/store.elf

$(HUNT)/jobs.elf: $(hunt_sources) $(STALE)/i386/link.ld examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(HUNT) && d=`cd $(srcdir)/$(HUNT) && pwd` && s=`cd $(srcdir)/$(STALE) && pwd` && \
	$(CC) $(guest_cflags) $(i386_cflags) $(guest_ldflags) -T $$s/i386/link.ld -o $@ \
		$$d/start.S $$d/pc.c $$d/jobs.c

$(HUNT)/aarch64/jobs.elf: $(hunt_sources) $(hunt_aarch64) $(STALE)/aarch64/link.ld examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(HUNT)/aarch64 && d=`cd $(srcdir)/$(HUNT) && pwd` && s=`cd $(srcdir)/$(STALE) && pwd` && \
	$(AARCH64_CC) $(guest_cflags) $(aarch64_cflags) -mno-outline-atomics $(guest_ldflags) -T $$s/aarch64/link.ld -o $@ \
		$$d/aarch64/start.S $$d/aarch64/virt.c $$d/jobs.c

$(STALE)/i386/store.elf: $(stale_common) $(stale_i386) $(STALE)/i386/link.ld examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(STALE)/i386 && d=`cd $(srcdir)/$(STALE) && pwd` && \
	$(CC) $(guest_cflags) $(i386_cflags) $(guest_ldflags) -T $$d/i386/link.ld -o $@ \
		$$d/i386/start.S $$d/i386/machine.c $$d/console.c $$d/store.c

$(STALE)/x86_64/store.elf: $(stale_common) $(stale_x86_64) $(STALE)/x86_64/link.ld examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(STALE)/x86_64 && d=`cd $(srcdir)/$(STALE) && pwd` && \
	$(CC) $(guest_cflags) $(x86_64_cflags) $(guest_ldflags) -T $$d/x86_64/link.ld -o $@ \
		$$d/x86_64/start.S $$d/i386/machine.c $$d/console.c $$d/store.c

$(STALE)/aarch64/store.elf: $(stale_common) $(stale_aarch64) $(STALE)/aarch64/link.ld examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(STALE)/aarch64 && d=`cd $(srcdir)/$(STALE) && pwd` && \
	$(AARCH64_CC) $(guest_cflags) $(aarch64_cflags) $(guest_ldflags) -T $$d/aarch64/link.ld -o $@ \
		$$d/aarch64/start.S $$d/aarch64/machine.c $$d/console.c $$d/store.c

$(LOST)/i386/notes.elf: $(lost_common) $(stale_common) $(stale_i386) $(LOST)/i386/disk.c examples/pci.h examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(LOST)/i386 && d=`cd $(srcdir)/$(STALE) && pwd` && l=`cd $(srcdir)/$(LOST) && pwd` && \
	$(CC) $(guest_cflags) $(i386_cflags) $(guest_ldflags) -T $$d/i386/link.ld -o $@ \
		$$d/i386/start.S $$d/i386/machine.c $$d/console.c $$l/i386/disk.c $$l/notes.c

$(LOST)/aarch64/notes.elf: $(lost_common) $(stale_common) $(stale_aarch64) $(LOST)/aarch64/disk.c examples/virtio_mmio.h examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(LOST)/aarch64 && d=`cd $(srcdir)/$(STALE) && pwd` && l=`cd $(srcdir)/$(LOST) && pwd` && \
	$(AARCH64_CC) $(guest_cflags) $(aarch64_cflags) $(guest_ldflags) -T $$d/aarch64/link.ld -o $@ \
		$$d/aarch64/start.S $$d/aarch64/machine.c $$d/console.c $$l/aarch64/disk.c $$l/notes.c

$(LONG)/i386/records.elf: $(long_common) $(stale_common) $(stale_i386) $(LONG)/i386/net.c examples/pci.h examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(LONG)/i386 && d=`cd $(srcdir)/$(STALE) && pwd` && l=`cd $(srcdir)/$(LONG) && pwd` && \
	$(CC) $(guest_cflags) $(i386_cflags) $(guest_ldflags) -T $$d/i386/link.ld -o $@ \
		$$d/i386/start.S $$d/i386/machine.c $$d/console.c $$l/i386/net.c $$l/records.c

$(LONG)/aarch64/records.elf: $(long_common) $(stale_common) $(stale_aarch64) $(LONG)/aarch64/net.c examples/virtio_mmio.h examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(LONG)/aarch64 && d=`cd $(srcdir)/$(STALE) && pwd` && l=`cd $(srcdir)/$(LONG) && pwd` && \
	$(AARCH64_CC) $(guest_cflags) $(aarch64_cflags) $(guest_ldflags) -T $$d/aarch64/link.ld -o $@ \
		$$d/aarch64/start.S $$d/aarch64/machine.c $$d/console.c $$l/aarch64/net.c $$l/records.c
