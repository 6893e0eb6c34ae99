"""The chapter on races: a short hunt finds a seed, the recording of it fails again, and gdb finds both writers backwards."""
import os
import subprocess
import sys
import tempfile

import harness
from harness import HINDCAST, SOURCE, Server, check, contains, equal, patience

EXAMPLE = os.path.join(SOURCE, "examples", "lost-update")
GUEST = os.path.join(harness.BUILD, "examples", "lost-update", "jobs.elf")
MOST = 200 # seeds; each tenth or so fails
found = []


def run(*options):
    return subprocess.run([HINDCAST, "--run", "--listen", "none", "--serial", "stdio"] + list(options), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=patience(60))


def hunt():
    """The first seed that the script of the chapter finds, and its recording."""
    if not found:
        directory = tempfile.TemporaryDirectory(prefix="hindcast-hunt-")
        for first in range(1, MOST, 20):
            out = subprocess.run([os.path.join(EXAMPLE, "hunt"), os.path.abspath(HINDCAST), os.path.abspath(GUEST), str(first), str(first + 19)],
                                 cwd=directory.name, capture_output=True, text=True, timeout=patience(300))
            seeds = out.stdout.split()
            equal(sorted(os.listdir(directory.name)), sorted(f"race-{seed}.hcrec" for seed in seeds), out)
            if seeds:
                found.append((seeds[0], os.path.join(directory.name, f"race-{seeds[0]}.hcrec"), directory))
                return found[0]
        raise harness.Failed(f"none of {MOST} seeds")
    return found[0]


def claim_without_a_seed_the_race_does_not_show():
    out = run("--smp", "4", GUEST)
    equal((out.returncode, out.stdout), (0, "all jobs are there\n"), out)


def claim_a_seed_is_an_interleaving_that_comes_again():
    seed, recording, _ = hunt()
    again = [run("--smp", "4", "--interleave", f"quantum=1000,seed={seed}", GUEST) for _ in range(2)]
    replayed = run("--replay", recording)
    for out in again:
        contains(out.stdout, r"^lost: job \d of CPU \d$")
        equal(out.returncode, 5, out)
    equal(len({out.stdout for out in again + [replayed]}), 1, (again, replayed))


def claim_gdb_finds_both_writers_backwards():
    seed, _, _ = hunt()
    demo = subprocess.run([os.path.join(EXAMPLE, "demo"), HINDCAST, GUEST, seed], capture_output=True, text=True,
                          timeout=patience(120), stdin=subprocess.DEVNULL)
    check(demo.returncode == 0, demo.stdout, demo.stderr)
    contains(demo.stdout, "demo: both writers were found")


def claim_the_recording_alone_leads_there_too():
    _, recording, _ = hunt()
    with Server("--replay", recording, guest=None) as s:
        out = harness.gdb(s, ["continue", "set variable $lost = lost", "watch -location done_list if done_list == $lost", "reverse-continue",
                              "print job->next == $lost", "info threads"], symbols=GUEST)
    contains(out, r"^\$1 = 0$")
    contains(out, r"^\* \d +Thread \d .*put \(job=")


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386,))
