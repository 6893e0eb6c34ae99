"""The main job: the bug of the example guest is found by going backwards."""
import os
import subprocess
import sys

import harness
from harness import HINDCAST, SOURCE, STORE, check, contains, patience

DEMO = os.path.join(SOURCE, "examples", "stale-pointer", "demo")


def claim_the_demo_ends_on_the_culprits_line():
    result = subprocess.run(["sh", DEMO, HINDCAST, STORE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=patience(120))
    text = result.stdout.decode("utf-8", "replace")
    check(result.returncode == 0, text)
    contains(text, r"store: tick 1000: .* audit passed")
    contains(text, r"session_timeout \(arg=")


def claim_it_does_on_the_virt_board_too():
    store = os.path.join(os.path.dirname(os.path.dirname(STORE)), "aarch64", "store.elf")
    if not os.path.exists(store):
        print("no compiler for aarch64: left out")
        return
    result = subprocess.run(["sh", DEMO, HINDCAST, store], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=patience(120))
    text = result.stdout.decode("utf-8", "replace")
    check(result.returncode == 0, text)
    contains(text, r"store: tick 1000: .* audit passed")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
