# Example guests, for the quickstart and the end-to-end tests.
STALE = examples/i386-stale-pointer
EXTRA_DIST += $(STALE)/Makefile $(STALE)/start.S $(STALE)/machine.c $(STALE)/machine.h $(STALE)/store.c \
	$(STALE)/link.ld $(STALE)/demo

guest_cflags = -m32 -march=i686 -std=gnu11 -O0 -g -ffreestanding -fno-pic -fno-stack-protector \
	-fcf-protection=none -fno-omit-frame-pointer -Wall -Wextra
guest_ldflags = -m32 -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack

noinst_DATA =
if HAVE_M32
noinst_DATA += $(STALE)/store.elf
endif
CLEANFILES += $(STALE)/store.elf

# The same on the virt board.
STALE64 = examples/aarch64-stale-pointer
EXTRA_DIST += $(STALE64)/start.S $(STALE64)/machine.c $(STALE64)/link.ld
guest64_cflags = -std=gnu11 -O0 -g -ffreestanding -fno-pic -fno-stack-protector -fno-omit-frame-pointer \
	-mgeneral-regs-only -mstrict-align -Wall -Wextra
guest64_ldflags = -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096
if HAVE_AARCH64_CC
noinst_DATA += $(STALE64)/store.elf
endif
CLEANFILES += $(STALE64)/store.elf

$(STALE64)/store.elf: $(STALE64)/start.S $(STALE64)/machine.c $(STALE)/machine.h $(STALE)/store.c \
		$(STALE64)/link.ld examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(STALE64) && d=`cd $(srcdir)/examples && pwd` && \
	$(AARCH64_CC) $(guest64_cflags) $(guest64_ldflags) -T $$d/aarch64-stale-pointer/link.ld -o $@ \
		$$d/aarch64-stale-pointer/start.S $$d/aarch64-stale-pointer/machine.c $$d/i386-stale-pointer/store.c

$(STALE)/store.elf: $(STALE)/start.S $(STALE)/machine.c $(STALE)/machine.h $(STALE)/store.c $(STALE)/link.ld \
		examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(STALE) && d=`cd $(srcdir)/$(STALE) && pwd` && \
	$(CC) $(guest_cflags) $(guest_ldflags) -T $$d/link.ld -o $@ $$d/start.S $$d/machine.c $$d/store.c
