# Example guests, for the quickstart and the end-to-end tests.
STALE = examples/i386-stale-pointer
EXTRA_DIST += $(STALE)/Makefile $(STALE)/start.S $(STALE)/machine.c $(STALE)/machine.h $(STALE)/store.c \
	$(STALE)/link.ld $(STALE)/demo

guest_cflags = -m32 -march=i686 -std=gnu11 -O0 -g -ffreestanding -fno-pic -fno-stack-protector \
	-fcf-protection=none -fno-omit-frame-pointer -Wall -Wextra
guest_ldflags = -m32 -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack

if HAVE_M32
noinst_DATA = $(STALE)/store.elf
endif
CLEANFILES += $(STALE)/store.elf

$(STALE)/store.elf: $(STALE)/start.S $(STALE)/machine.c $(STALE)/machine.h $(STALE)/store.c $(STALE)/link.ld \
		examples/local.mk
	$(AM_V_GEN)$(MKDIR_P) $(STALE) && d=`cd $(srcdir)/$(STALE) && pwd` && \
	$(CC) $(guest_cflags) $(guest_ldflags) -T $$d/link.ld -o $@ $$d/start.S $$d/machine.c $$d/store.c
