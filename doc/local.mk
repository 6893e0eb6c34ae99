# Files of doc/
dist_man_MANS += doc/hindcast.1
EXTRA_DIST += doc/ARCHITECTURE.md doc/DETERMINISM.md doc/HACKING.md doc/log-format.md doc/protocol.md
