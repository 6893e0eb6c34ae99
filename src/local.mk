bin_PROGRAMS += hindcast
hindcast_SOURCES = src/main.c
hindcast_LDADD = $(HC_LIBS) $(HC_SYSLIBS)

# Completion for shells, printed by the program itself.
bashcompletiondir = $(datadir)/bash-completion/completions
bashcompletion_DATA = completion/bash/hindcast
zshcompletiondir = $(datadir)/zsh/vendor-completions
zshcompletion_DATA = completion/zsh/_hindcast
fishcompletiondir = $(datadir)/fish/vendor_completions.d
fishcompletion_DATA = completion/fish/hindcast.fish
CLEANFILES += $(bashcompletion_DATA) $(zshcompletion_DATA) $(fishcompletion_DATA)

$(bashcompletion_DATA) $(zshcompletion_DATA) $(fishcompletion_DATA): hindcast$(EXEEXT)
	$(AM_V_GEN)shell=`echo $@ | cut -d / -f 2` && $(MKDIR_P) completion/$$shell && \
	./hindcast$(EXEEXT) --completion $$shell >$@.tmp && mv $@.tmp $@
