"""Recordings that older versions made open and replay in this one.

tests/e2e/recordings has one of each board for each version of the layouts of its state (build-aux/layouts.golden). Whoever
changes a layout, or what a guest can see (vm/semantics.h), adds those of the new version:

    top_builddir=build python3 tests/e2e/test_corpus.py --add

A recording that was made under other semantics may diverge; then it must be said that it was. None may be refused.
"""

import glob
import os
import subprocess
import sys

import harness
from harness import Server, check, contains, equal

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recordings")
STEPS = 200000


def verify(name):
    p = subprocess.run([harness.HINDCAST, "verify", name], capture_output=True, text=True, timeout=harness.patience(60))
    return p.returncode, p.stdout + p.stderr


def is_replayed(name):
    status, text = verify(name)
    if status == 0:
        contains(text, r"it replays: \d+ state hashes agree|the whole recording replays")
    else:
        equal(status, 2, text)
        contains(text, r"made by a hindcast whose machines do some things otherwise \(semantics")


def claim_recordings_of_every_layout_replay():
    names = sorted(glob.glob(os.path.join(HERE, "*.hcrec")))
    check(len(names) >= 2, "there are some")
    for name in names:
        is_replayed(name)


def claim_their_checkpoints_are_used_or_left_out():
    for name in sorted(glob.glob(os.path.join(HERE, "*.hcrec"))):
        if verify(name)[0]:
            continue
        with Server("--replay", name, guest=None) as s:
            rsp = s.client()
            rsp.monitor("seek %d" % (STEPS // 2))
            rsp.ask("c")
            equal(rsp.position(), STEPS // 2, "it goes there")


def add(board, elf):
    """A new recording of a board: with input, a debugger's writes, a reset, checkpoints, and its kernel inside."""
    number = 1
    while os.path.exists(os.path.join(HERE, "%s-%d.hcrec" % (board, number))):
        number += 1
    name = os.path.join(HERE, "%s-%d.hcrec" % (board, number))
    with Server("--record", name, "--embed", "--checkpoints-in-file", "every=%d" % (STEPS // 4), "--machine", board, "--memory", "16M", elf, guest=None) as s:
        rsp = s.client()
        for n in range(1, 5):
            rsp.monitor("replay_break %d" % (n * STEPS // 4))
            rsp.ask("c")
            rsp.monitor("replay_delete_break")
            rsp.monitor("checkpoint")
            rsp.ask("P0=%s" % ("11223344" if board == "pc" else "1122334455667788"))
            if board == "pc":
                rsp.monitor("sendkey a")
            if n == 3:
                rsp.monitor("system_reset")
    print("added", name, os.path.getsize(name))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--add"]:
        os.makedirs(HERE, exist_ok=True)
        # The file says what its kernel was called: no directory of this host.
        harness.HINDCAST, store = os.path.abspath(harness.HINDCAST), os.path.abspath(harness.STORE)
        for board, elf in ("pc", store), ("virt", store.replace("i386", "aarch64")):
            os.chdir(os.path.dirname(elf))
            add(board, os.path.basename(elf))
    else:
        harness.main(sys.modules[__name__])
