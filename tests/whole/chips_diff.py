#!/usr/bin/env python3
"""
Chips against QEMU's: plays the scenarios of chips_pc.py and the others (chips_play.py says how) and tells what differs.

    chips_diff.py [-v] [SCENARIO...]

HINDCAST_FUZZ_SEEDS=N: so many rounds of random accesses for each scenario that has some, and the slow ones, too. Exit status 77:
there is no QEMU.
"""
import os
import re
import shutil
import signal
import sys
import time

import chips_play
from chips_accepted import ACCEPTED
import chips_pc  # noqa: F401
import chips_cards  # noqa: F401
import chips_virt  # noqa: F401

LONG = "HINDCAST_FUZZ_SEEDS" in os.environ


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and the processes end, too
    words = sys.argv[1:]
    chips_play.VERBOSE = "-v" in words
    chips_play.ACCEPTED += ACCEPTED
    words = [w for w in words if w != "-v"]
    for program in ("qemu-system-x86_64", "qemu-system-aarch64"):
        if not shutil.which(program):
            print(f"no {program}: skipped")
            return 77
    found = 0
    for name in chips_play.SCENARIOS:
        if not any(re.fullmatch(w, name) for w in words) if words else name in chips_play.SLOW and not LONG:
            continue
        began = time.time()
        p = chips_play.play(name)
        chips_play.report(p, time.time() - began)
        found += len(p.found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
