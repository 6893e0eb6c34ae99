"""Sound: what a guest plays is in a file, once, and is the same whoever runs it and however."""
import os
import struct
import subprocess
import sys
import tempfile

import harness
from harness import HINDCAST, Server, check, contains, end_process, equal, until

# A tone of 1 kHz for half a second by counter 2; then END.
TONE = """
        movb $0xb6, %al
        outb %al, $0x43
        movb $(1193 & 255), %al
        outb %al, $0x42
        movb $(1193 >> 8), %al
        outb %al, $0x42
        inb $0x61, %al
        orb $3, %al
        outb %al, $0x61
        movl $7812500, %ecx
1:      decl %ecx
        jnz 1b
        inb $0x61, %al
        andb $0xfc, %al
        outb %al, $0x61
        movl $3125000, %ecx
1:      decl %ecx
        jnz 1b
        movw $0x3f8, %dx
        movb $'E', %al
        outb %al, %dx
        movb $'N', %al
        outb %al, %dx
        movb $'D', %al
        outb %al, %dx
        cli
2:      hlt
        jmp 2b
"""

SPEAKER = ["--machine", "pc,pcspk-audiodev=A", "--icount", "shift=5,sleep=off"]
built = {}


def guest():
    if "tone" not in built:
        built["tone"] = harness.build_guest(TONE, "tone")
    return built["tone"]


def wave(path):
    """Rate, channels, bits, samples of the first channel; the header is that of the file's length."""
    with open(path, "rb") as f:
        b = f.read()
    check(len(b) >= 44 and b[:4] == b"RIFF" and b[8:16] == b"WAVEfmt " and b[36:40] == b"data", b[:44])
    equal(struct.unpack_from("<I", b, 4)[0], len(b) - 8, "the size of RIFF")
    equal(struct.unpack_from("<I", b, 40)[0], len(b) - 44, "the size of data")
    channels, rate = struct.unpack_from("<HI", b, 22)
    bits = struct.unpack_from("<H", b, 34)[0]
    equal(bits, 16)
    samples = struct.unpack("<%dh" % ((len(b) - 44) // 2), b[44:])
    return rate, channels, bits, samples[::channels]


def crossings(samples):
    return sum((a > 0) != (b > 0) for a, b in zip(samples, samples[1:]))


def run(directory, name, *options, replay=None, pattern=b"END"):
    """Run the guest to its end; the wav file's path."""
    path, out = os.path.join(directory, name + ".wav"), os.path.join(directory, name + ".out")
    process = subprocess.Popen([HINDCAST, "--run", "--listen", "none", "--serial", "file:" + out,
                                "--audiodev", "wav,id=A,path=" + path + ",out.frequency=48000", *options,
                                *(["--replay", replay] if replay else SPEAKER + [guest()])],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(lambda: process.poll() is not None or harness.shown_in(out, pattern), "the guest's end")
    finally:
        end_process(process)
    check(harness.shown_in(out, pattern), process.stderr.read())
    process.stderr.close()
    return path


def claim_the_speakers_tone_is_in_the_file_and_in_a_replay_of_it():
    with tempfile.TemporaryDirectory() as d:
        record = os.path.join(d, "r.hcrec")
        path = run(d, "first", "--record", record)
        rate, channels, _, samples = wave(path)
        equal((rate, channels), (48000, 2))
        # 0.5 s of tone, by a loop of two steps of 32 ns; a tenth of a second to fade.
        check(24000 <= len(samples) <= 24000 + 6000, len(samples))
        n = crossings(samples[:24000])
        check(995 <= n <= 1003, n)
        check(8000 < max(samples[1000:23000]) < 9000 and -9000 < min(samples[1000:23000]) < -8000)
        with open(path, "rb") as f:
            first = f.read()
        for name, options in (("interpreter", ["--engine", "interpreter"]), ("again", [])):
            with open(run(d, name, *options), "rb") as f:
                check(f.read() == first, name)
        with open(run(d, "replayed", replay=record), "rb") as f:
            check(f.read() == first, "a replay sounds as the recording did")
        # And it needs nobody who listens.
        contains(subprocess.run([HINDCAST, "verify", record], stdout=subprocess.PIPE, text=True).stdout, "hashes agree")


def claim_sound_goes_out_once_however_often_the_past_is_run():
    with tempfile.TemporaryDirectory() as d:
        path, straight = os.path.join(d, "a.wav"), run(d, "straight")
        with Server("--audiodev", "wav,id=A,path=%s,out.frequency=48000" % path, *SPEAKER, guest=guest()) as s:
            rsp = s.client()
            for to in (3100000, 9300000, 17000000, 20000000):
                rsp.monitor("replay_break %d" % to)
                rsp.ask("c")
                equal(rsp.position(), to)
                rsp.monitor("replay_delete_break")
                rsp.monitor("seek %d" % (to // 2))
                rsp.ask("c")
                equal(rsp.position(), to // 2)
                rsp.monitor("seek %d" % to)
                rsp.ask("c")
            contains(rsp.monitor("info audio"), r"audiodev A: .*a\.wav, 48000 Hz, 2 channels, s16, \d+ frames\n    pcspk: A")
            rsp.close()
        with open(path, "rb") as a, open(straight, "rb") as b:
            check(a.read() == b.read(), "once")


def claim_a_killed_hindcast_leaves_a_file_that_plays():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "a.wav")
        with Server("--run", "--audiodev", "wav,id=A,path=" + path, *SPEAKER, guest=guest()) as s:
            until(lambda: os.path.exists(path) and os.path.getsize(path) > 20000, "some sound")
            s.process.kill()
            s.process.wait()
        rate, _, _, samples = wave(path)
        equal(rate, 44100)
        check(len(samples) > 4000 and crossings(samples) > 100)


def claim_what_makes_no_sense_is_refused():
    def refused(pattern, *options):
        done = subprocess.run([HINDCAST, "--run", "--listen", "none", *options, guest()], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, text=True)
        equal(done.returncode, 1)
        contains(done.stderr, pattern)

    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "a.wav")
        refused("no sound card is connected to it", "--audiodev", "wav,id=A,path=" + path)
        refused("sound card pcspk: there is no --audiodev with id=A", *SPEAKER)
        refused("there is one with that id already", "--audiodev", "none,id=A", "--audiodev", "none,id=A", *SPEAKER)
        with open(path, "w") as f:
            f.write("precious")
        refused("exists, and would be lost", "--audiodev", "wav,id=A,path=" + path, *SPEAKER)
        with open(path) as f:
            equal(f.read(), "precious")
        refused("there is no 'out.voices'", "--audiodev", "wav,id=A,out.voices=2,path=" + path, *SPEAKER)
        refused("pcspk-audiodev=", "--machine", "pc,pcspk-audiodev=")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
