# Files of doc/
dist_man_MANS += doc/hindcast.1
dist_doc_DATA = README.md doc/ARCHITECTURE.md doc/DETERMINISM.md doc/HACKING.md doc/ide.md doc/long-record.md doc/lost-block.md doc/log-format.md doc/protocol.md \
	doc/race-hunt.md \
	doc/branches.md \
	doc/gdb-helper.md \
	doc/queries.md \
	doc/tracepoints.md
EXTRA_DIST += debian/changelog debian/control debian/copyright debian/rules debian/source/format
