"""The chapter on races: a short hunt finds a seed, the recording of it fails again, and gdb finds both writers backwards; on
both boards. Its scripts for many machines are scripts, and the one for GNU parallel hunts."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import HINDCAST, SOURCE, Server, check, contains, equal, patience

EXAMPLE = os.path.join(SOURCE, "examples", "lost-update")
CHAPTER = os.path.join(SOURCE, "doc", "race-hunt.md")
MOST = 200 # seeds; each tenth or so fails
found = {}


def guest():
    board = "aarch64" if harness.target is harness.AARCH64 else ""
    return os.path.join(os.path.abspath(harness.BUILD), "examples", "lost-update", board, "jobs.elf")


def options():
    return ["--semihosting"] if harness.target is harness.AARCH64 else []


def run(*options):
    return subprocess.run([HINDCAST, "--run", "--listen", "none", "--serial", "stdio"] + list(options), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=patience(60))


def hunt():
    """The first seed that the script of the chapter finds, and its recording."""
    if guest() not in found:
        directory = tempfile.TemporaryDirectory(prefix="hindcast-hunt-")
        for first in range(1, MOST, 20):
            out = subprocess.run([os.path.join(EXAMPLE, "hunt"), os.path.abspath(HINDCAST), guest(), str(first), str(first + 19)] +
                                 options(), cwd=directory.name, capture_output=True, text=True, timeout=patience(300))
            seeds = out.stdout.split()
            equal(sorted(os.listdir(directory.name)), sorted(f"race-{seed}.hcrec" for seed in seeds), out)
            if seeds:
                found[guest()] = (seeds[0], os.path.join(directory.name, f"race-{seeds[0]}.hcrec"), directory)
                return found[guest()]
        raise harness.Failed(f"none of {MOST} seeds")
    return found[guest()]


def claim_without_a_seed_the_race_does_not_show():
    out = run("--smp", "4", *options(), guest())
    equal((out.returncode, out.stdout), (0, "all jobs are there\n"), out)


def claim_a_seed_is_an_interleaving_that_comes_again():
    seed, recording, _ = hunt()
    again = [run("--smp", "4", "--interleave", f"quantum=1000,seed={seed}", *options(), guest()) for _ in range(2)]
    replayed = run("--replay", recording)
    for out in again:
        contains(out.stdout, r"^lost: job \d of CPU \d$")
        equal(out.returncode, 5, out)
    equal(len({out.stdout for out in again + [replayed]}), 1, (again, replayed))


def claim_gdb_finds_both_writers_backwards():
    seed, _, _ = hunt()
    demo = subprocess.run([os.path.join(EXAMPLE, "demo"), HINDCAST, guest(), seed] + options(), capture_output=True, text=True,
                          timeout=patience(120), stdin=subprocess.DEVNULL)
    check(demo.returncode == 0, demo.stdout, demo.stderr)
    contains(demo.stdout, "demo: both writers were found")


def claim_the_recording_alone_leads_there_too():
    _, recording, _ = hunt()
    with Server("--replay", recording, guest=None) as s:
        out = harness.gdb(s, ["continue", "set variable $lost = lost", "watch -location done_list if done_list == $lost", "reverse-continue",
                              "print job->next == $lost", "info threads"], symbols=guest())
    contains(out, r"^\$1 = 0$")
    contains(out, r"^\* \d +Thread \d .*put \(job=")


def blocks(language):
    """The chapter's blocks of code in a language."""
    with open(CHAPTER) as f:
        return re.findall(r"^```%s\n(.*?)^```$" % language, f.read(), re.M | re.S)


def is_a_script(text, what):
    for shell in filter(shutil.which, ("bash", "dash")):
        out = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True)
        equal((out.returncode, out.stderr), (0, ""), what)


def claim_the_scripts_of_the_chapter_are_scripts():
    if harness.target is harness.AARCH64:
        return
    scripts = blocks("sh")
    check(len(scripts) >= 3 and any("SBATCH" in text for text in scripts) and any("parallel" in text for text in scripts), scripts)
    for text in scripts:
        is_a_script(text, text)
    with open(os.path.join(EXAMPLE, "hunt")) as f:
        check(scripts[0] in f.read(), "the chapter shows the hunt as it is")
    [job] = blocks("yaml")
    try:
        import yaml
    except ImportError:
        return
    job = yaml.safe_load(job)
    equal((job["apiVersion"], job["kind"], job["spec"]["completionMode"]), ("batch/v1", "Job", "Indexed"))
    spec = job["spec"]["template"]["spec"]
    [container] = spec["containers"]
    equal((container["command"], spec["restartPolicy"]), (["sh", "-c"], "Never"))
    equal({mount["name"] for mount in container["volumeMounts"]}, {volume["name"] for volume in spec["volumes"]})
    # What a task does: the part of the seeds that is its own.
    for text in container["args"]:
        is_a_script(text, text)
        out = subprocess.run(["sh", "-c", "hunt() { echo \"$@\"; }; " + text], env={"JOB_COMPLETION_INDEX": "3"}, capture_output=True, text=True)
        equal(out.stdout, "hindcast /jobs.elf 301 400\n")
    [slurm] = [text for text in scripts if "SBATCH" in text]
    with tempfile.TemporaryDirectory() as directory:
        os.makedirs(os.path.join(directory, "examples", "lost-update"))
        hunt = os.path.join(directory, "examples", "lost-update", "hunt")
        with open(hunt, "w") as f:
            f.write("#!/bin/sh\necho \"$@\"\n")
        os.chmod(hunt, 0o755)
        out = subprocess.run(["sh", "-c", slurm], env={"SLURM_ARRAY_TASK_ID": "7", "SLURM_SUBMIT_DIR": directory}, capture_output=True, text=True)
        equal(out.stdout, "hindcast jobs.elf 701 800\n", out.stderr)


def claim_gnu_parallel_hunts():
    """GNU's, not that of moreutils."""
    if harness.target is harness.AARCH64 or not shutil.which("parallel") or \
            "GNU" not in subprocess.run(["parallel", "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout:
        return
    seed, _, _ = hunt()
    [script] = [text for text in blocks("sh") if "parallel" in text]
    with tempfile.TemporaryDirectory() as directory:
        os.symlink(guest(), os.path.join(directory, "jobs.elf"))
        os.symlink(os.path.abspath(HINDCAST), os.path.join(directory, "hindcast"))
        script = script.replace("seq 1 10000", "seq %d %s" % (max(1, int(seed) - 8), seed))
        environment = dict(os.environ, PATH=directory + ":" + os.environ["PATH"], HOME=directory)
        out = subprocess.run(["sh", "-c", script], cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=patience(300))
        jobs = out.stdout.split()
        equal(len(jobs), 1, out)
        recordings = sorted(name for name in os.listdir(directory) if name.endswith(".hcrec"))
        equal(recordings, [f"race-{seed}.hcrec"], out)
        contains(run("--replay", os.path.join(directory, recordings[0])).stdout, r"^lost: job")


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64))
