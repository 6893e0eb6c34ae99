"""Sound: what a guest plays is in a file, once, and is the same whoever runs it and however."""
import os
import struct
import subprocess
import sys
import tempfile

import harness
from harness import HINDCAST, Server, build_c_guest, check, contains, end_process, equal, until

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

# AC97 and HDA play at the same time, to the same audiodev, and record; it says the sums of what came in.
CARDS = r"""
static void out8(unsigned short p, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static void out16(unsigned short p, unsigned short v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(p)); }
static void out32(unsigned short p, unsigned v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(p)); }
static unsigned in32(unsigned short p) { unsigned v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }

#define FRAMES 4096u
static unsigned tone[FRAMES], heard[2][FRAMES / 2];
static unsigned out_list[64] __attribute__((aligned(128))), in_list[64] __attribute__((aligned(128)));
static unsigned hda_out[64] __attribute__((aligned(128))), hda_in[64] __attribute__((aligned(128)));
static volatile unsigned char *hda;

static unsigned config(unsigned slot, unsigned at) { out32(0xcf8, 1u << 31 | slot << 11 | at); return in32(0xcfc); }

static unsigned find(unsigned id)
{
    for (unsigned slot = 0; slot < 32; slot++)
        if (config(slot, 0) == id) {
            out32(0xcf8, 1u << 31 | slot << 11 | 4);
            out32(0xcfc, 7);
            return slot;
        }
    return 0;
}

static void set32(unsigned at, unsigned v) { *(volatile unsigned *)(hda + at) = v; }
static unsigned get32(unsigned at) { return *(volatile unsigned *)(hda + at); }
static void verb(unsigned v) { set32(0x60, v); *(volatile unsigned short *)(hda + 0x68) = 3; }

static void stream(unsigned sd, unsigned *list, void *data, unsigned bytes, unsigned tag)
{
    list[0] = list[4] = (unsigned)data;
    list[4] += bytes / 2;
    list[2] = list[6] = bytes / 2;
    list[7] = 1;
    set32(sd + 0x18, (unsigned)list);
    set32(sd + 8, bytes);
    set32(sd + 0xc, 1);
    *(volatile unsigned short *)(hda + sd + 0x12) = 0x11;
    set32(sd, tag << 20 | 2);
}

static void put(unsigned c) { out8(0x3f8, c); }

static void sum(const unsigned *p)
{
    unsigned v = 0;
    for (unsigned i = 0; i < FRAMES / 2; i++)
        v = v * 31 + p[i];
    for (int i = 28; i >= 0; i -= 4)
        put("0123456789abcdef"[v >> i & 15]);
    put(10);
}

int main(void)
{
    unsigned slot = find(0x24158086), nam = config(slot, 0x10) & ~3u, nabm = config(slot, 0x14) & ~3u;

    hda = (void *)(config(find(0x26688086), 0x10) & ~15u);
    for (unsigned i = 0; i < FRAMES; i++)
        tone[i] = (i * 2654435761u & 0x1fff1fff) - 0x10001000;
    out32(nabm + 0x2c, 2);
    out16(nam + 0x02, 0);
    out16(nam + 0x18, 0x0808);
    out16(nam + 0x1a, 0x0404);
    out16(nam + 0x1c, 0);
    out_list[0] = (unsigned)tone;
    out_list[1] = 2 * FRAMES;
    in_list[0] = (unsigned)heard[0];
    in_list[1] = FRAMES;
    out32(nabm + 0x10, (unsigned)out_list);
    out32(nabm + 0x00, (unsigned)in_list);
    set32(8, 1);
    verb(0x00270650);
    verb(0x00470660);
    out8(nabm + 0x1b, 1);
    out8(nabm + 0x0b, 1);
    for (volatile unsigned i = 0; i < 20000; i++)
        ;
    stream(0x100, hda_out, tone, sizeof(tone), 5);
    stream(0x80, hda_in, heard[1], sizeof(heard[1]), 6);
    while (!(get32(0x80) >> 24 & 4))
        ;
    set32(0x80, 6u << 20);
    sum(heard[1]);
    while (!(in32(nabm + 0x04) >> 16 & 1) || !(in32(nabm + 0x14) >> 16 & 1))
        ;
    sum(heard[0]);
    while (!(get32(0x100) >> 24 & 4))
        ;
    set32(0x100, 5u << 20);
    put('E');
    put('N');
    put('D');
    return 0;
}
"""

# A Sound Blaster 16 plays words in stereo by DMA, in two blocks, then bytes, and records words; it says their sum.
BLASTER = r"""
static void out8(unsigned short p, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static unsigned char in8(unsigned short p) { unsigned char v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }

#define FRAMES 4096u
static unsigned tone[FRAMES] __attribute__((aligned(32768))), heard[FRAMES / 2] __attribute__((aligned(32768)));
static unsigned char bytes[1024] __attribute__((aligned(1024)));

static void put(unsigned c) { out8(0x3f8, c); }
static void mixer(unsigned reg, unsigned v) { out8(0x224, reg); out8(0x225, v); }

static void dsp(unsigned v)
{
    while (in8(0x22c) & 0x80)
        ;
    out8(0x22c, v);
}

/* Once, in the direction of `mode`. */
static void words(unsigned mode, const void *p, unsigned bytes)
{
    unsigned at = (unsigned)p;

    out8(0xd4, 5);
    out8(0xd8, 0);
    out8(0xd6, mode | 1);
    out8(0xc4, at >> 1);
    out8(0xc4, at >> 9);
    out8(0x8b, at >> 16);
    out8(0xc6, bytes / 2 - 1);
    out8(0xc6, (bytes / 2 - 1) >> 8);
    out8(0xd4, 1);
}

static void wait(unsigned bit)
{
    do
        out8(0x224, 0x82);
    while (!(in8(0x225) & bit));
    in8(bit == 2 ? 0x22f : 0x22e);
}

int main(void)
{
    unsigned at = (unsigned)bytes, sum = 0;

    for (unsigned i = 0; i < FRAMES; i++)
        tone[i] = i * 2654435761u;
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = i * 7;
    out8(0x226, 1);
    for (volatile unsigned i = 0; i < 100; i++)
        ;
    out8(0x226, 0);
    while (!(in8(0x22e) & 0x80))
        ;
    if (in8(0x22a) != 0xaa)
        put('?');
    for (unsigned reg = 0x30; reg < 0x34; reg++)
        mixer(reg, 0xf8);
    mixer(0x38, 0xf8);
    mixer(0x39, 0xf8);
    mixer(0x3d, 0x10);
    mixer(0x3e, 0x08);
    dsp(0x41);
    dsp(44100 >> 8);
    dsp(44100 & 255);
    words(0x48, tone, sizeof(tone));
    dsp(0xb6);
    dsp(0x30);
    dsp((FRAMES - 1) & 255);
    dsp((FRAMES - 1) >> 8);
    wait(2);
    dsp(0xd9);
    wait(2);
    out8(0x0a, 5);
    out8(0x0c, 0);
    out8(0x0b, 0x49);
    out8(0x02, at);
    out8(0x02, at >> 8);
    out8(0x83, at >> 16);
    out8(0x03, 255);
    out8(0x03, 3);
    out8(0x0a, 1);
    dsp(0xc0);
    dsp(0x00);
    dsp(255);
    dsp(3);
    wait(1);
    dsp(0x42);
    dsp(44100 >> 8);
    dsp(44100 & 255);
    words(0x44, heard, sizeof(heard));
    dsp(0xb8);
    dsp(0x30);
    dsp((FRAMES - 1) & 255);
    dsp((FRAMES - 1) >> 8);
    wait(2);
    for (unsigned i = 0; i < FRAMES / 2; i++)
        sum = sum * 31 + heard[i];
    for (int i = 28; i >= 0; i -= 4)
        put("0123456789abcdef"[sum >> i & 15]);
    put(10);
    put('E');
    put('N');
    put('D');
    return 0;
}
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


def run(directory, name, *options, replay=None, pattern=b"END", machine=None, more="", rate=48000):
    """Run the guest to its end; the wav file's path."""
    path, out = os.path.join(directory, name + ".wav"), os.path.join(directory, name + ".out")
    process = subprocess.Popen([HINDCAST, "--run", "--listen", "none", "--serial", "file:" + out,
                                "--audiodev", "wav,id=A,path=%s,out.frequency=%d%s" % (path, rate, more), *options,
                                *(["--replay", replay] if replay else machine or SPEAKER + [guest()])],
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


def claim_cards_play_together_and_record_the_same_however_they_are_run():
    machine = ["--icount", "shift=5,sleep=off", "--device", "AC97,audiodev=A", "--device", "intel-hda", "--device", "hda-micro,audiodev=A",
               build_c_guest(CARDS, "cards")[1]]
    with tempfile.TemporaryDirectory() as d:
        known, record, frames = os.path.join(d, "in.wav"), os.path.join(d, "r.hcrec"), [(i * 40503 & 0xffff) for i in range(8192)]
        with open(known, "wb") as f:
            f.write(b"RIFF" + struct.pack("<I", 36 + 2 * len(frames)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 48000, 192000, 4, 16) +
                    b"data" + struct.pack("<I", 2 * len(frames)) + struct.pack("<%dH" % len(frames), *frames))
        path = run(d, "first", "--record", record, "--checkpoints-in-file", "every=500000", machine=machine, more=",in=" + known)
        wanted = 0
        for i in range(2048):
            wanted = (wanted * 31 + (frames[2 * i] | frames[2 * i + 1] << 16)) & 0xffffffff
        with open(os.path.join(d, "first.out")) as f:
            equal(f.read().split(), ["%08x" % wanted] * 2 + ["END"], "what was recorded")
        with open(path, "rb") as f:
            first = f.read()
        _, _, _, samples = wave(path)
        tone = [((i * 2654435761 & 0x1fff1fff) - 0x10001000) & 0xffff for i in range(4096)]
        tone = [v - 0x10000 if v & 0x8000 else v for v in tone]
        later = len(samples) - 4096
        check(50 < later < 4096, later)
        for i, sample in enumerate(samples):
            equal(sample, (tone[i] if i < 4096 else 0) + (tone[i - later] if i >= later else 0), "frame %d" % i)
        with open(run(d, "interpreter", "--engine", "interpreter", machine=machine, more=",in=" + known), "rb") as f:
            check(f.read() == first, "the interpreter's")
        os.unlink(known)
        with open(run(d, "replayed", replay=record), "rb") as f:
            check(f.read() == first, "the replay's")
        for engine in "jit", "interpreter":
            done = subprocess.run([HINDCAST, "verify", "--from", "checkpoints", "--engine", engine, record], stdout=subprocess.PIPE, text=True)
            equal(done.returncode, 0, done.stdout)


def claim_a_sound_blaster_plays_and_records_sample_by_sample():
    machine = ["--icount", "shift=5,sleep=off", "--device", "sb16,audiodev=A", build_c_guest(BLASTER, "blaster")[1]]
    with tempfile.TemporaryDirectory() as d:
        known, record, frames = os.path.join(d, "in.wav"), os.path.join(d, "r.hcrec"), [(i * 40503 & 0xffff) for i in range(8192)]
        with open(known, "wb") as f:
            f.write(b"RIFF" + struct.pack("<I", 36 + 2 * len(frames)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 44100, 176400, 4, 16) +
                    b"data" + struct.pack("<I", 2 * len(frames)) + struct.pack("<%dH" % len(frames), *frames))
        path = run(d, "first", "--record", record, "--checkpoints-in-file", "every=500000", machine=machine, more=",in=" + known, rate=44100)
        wanted = 0
        for i in range(2048):
            wanted = (wanted * 31 + (frames[2 * i] | frames[2 * i + 1] << 16)) & 0xffffffff
        with open(os.path.join(d, "first.out")) as f:
            equal(f.read().split(), ["%08x" % wanted, "END"], "what was recorded")
        with open(path, "rb") as f:
            first = f.read()
        tone = struct.pack("<4096I", *((i * 2654435761) & 0xffffffff for i in range(4096)))
        plain = b"".join(struct.pack("<hh", v, v) for v in (((i * 7 & 255) - 128) * 256 for i in range(1024)))
        equal(first[44:].hex(), (tone + plain).hex(), "what was played")
        with open(run(d, "interpreter", "--engine", "interpreter", machine=machine, more=",in=" + known, rate=44100), "rb") as f:
            check(f.read() == first, "the interpreter's")
        os.unlink(known)
        with open(run(d, "replayed", replay=record, rate=44100), "rb") as f:
            check(f.read() == first, "the replay's")
        for engine in "jit", "interpreter":
            done = subprocess.run([HINDCAST, "verify", "--from", "checkpoints", "--engine", engine, record], stdout=subprocess.PIPE, text=True)
            equal(done.returncode, 0, done.stdout)


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
