#!/usr/bin/env python3
"""Sound cards as Debian kernels drive them.

    test_sound.py HINDCAST [NAME...]

A kernel with the card's driver plays frames that are known (sound/player.c), which then are in the WAVE file sample by sample, and
records a file that is known, which it then has; the PC's speaker beeps ("pcspk"); both at other rates, too, and at the same time. The recording replays without the
file that was recorded, and plays the same.

Exit status 77: the packages cannot be fetched here, or programs cannot be made for a guest.
"""

import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import test_debian_i386 as common
from test_debian_i386 import check, fetched
from test_disk_i386 import HERE, copy_module, find_modules, needs

PLAYED, RECORDED, RATE = 12288, 2048, 48000

SCRIPT = """#!/bin/sh
# instead of init
for m in MODULES; do insmod /$m.ko OPTIONS_$m || echo "no $m"; done
i=0; while [ ! -e /dev/snd/pcmC0D0p ] && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
cat /proc/asound/cards
/player controls
WORK
grep -i -E "snd|HDA|Intel" /proc/interrupts
echo "hindcast-guest: done"
sleep 1
poweroff -f
"""

# By name: architecture, options, modules, the mixer, how the widest samples are played, what else the guest has to say.
AC97 = (["snd_intel8x0"], [("Master Playback Switch", "1 1"), ("Master Playback Volume", "31 31"), ("PCM Playback Switch", "1 1"),
                           ("PCM Playback Volume", "23 23"), ("Capture Switch", "1"), ("Capture Volume", "0 0"),
                           ("Capture Source", "4 4")], r"Intel 82801AA-ICH")
HDA = (["snd_hda_codec_generic", "snd_hda_intel"],
       [("Master Playback Volume", "74 74"), ("Master Playback Switch", "1 1"), ("Capture Volume", "74 74"), ("Capture Switch", "1 1")],
       r"HDA Intel")
GUESTS = {
    "ac97-amd64": ("amd64", ["--device", "AC97,audiodev=A"], *AC97),
    "hda-amd64": ("amd64", ["--device", "intel-hda", "--device", "hda-duplex,audiodev=A"], *HDA),
    "hda-arm64": ("arm64", ["--device", "ich9-intel-hda", "--device", "hda-duplex,audiodev=A"], *HDA),
}

# A key's bell, and one that is turned off again: struct input_event of 64 bits.
BEEP = """#!/bin/sh
# instead of init
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
sleep 1
for d in /sys/class/input/event*; do
    grep -q "PC Speaker" $d/device/name && event=/dev/input/${d##*/}
done
tone() { printf '\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\022\\0\\002\\0'"$1"'\\0\\0' >$event; }
tone '\\350\\003'; sleep 0.5; tone '\\0\\0'
echo "hindcast-guest: done"
sleep 1
poweroff -f
"""

COMPILERS = {"amd64": ["gcc"], "arm64": ["aarch64-linux-gnu-gcc"], "i386": ["gcc", "-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"]}


def tone(i, seed):
    x = (i + seed) * 2654435761 & 0xffffffff
    return x ^ x >> 15


def pcm(frames, seed):
    """What the player plays: 2 channels, 16 bits."""
    return b"".join(struct.pack("<H", tone(i, seed) >> 16) for i in range(2 * frames))


def wave_file(path, data, rate=RATE):
    with open(path, "wb") as f:
        f.write(b"RIFF" + struct.pack("<I", len(data) + 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, rate, rate * 4, 4, 16) +
                b"data" + struct.pack("<I", len(data)) + data)


def played(path):
    with open(path, "rb") as f:
        b = f.read()
    check("the file's header is right", struct.unpack_from("<I", b, 4)[0] == len(b) - 8 and struct.unpack_from("<I", b, 40)[0] == len(b) - 44)
    return b[44:]


def make_initrd(tmp, arch, root, version, drivers, script):
    player = os.path.join(tmp, "player")
    if not shutil.which(COMPILERS[arch][0]) or subprocess.run(COMPILERS[arch] + ["-O1", "-static", "-o", player,
                                                                                os.path.join(HERE, "sound", "player.c")]).returncode:
        print("skipped: no static programs can be made for %s" % arch)
        sys.exit(77)
    modules, order = find_modules("%s/lib/modules/%s" % (root, version)), []
    for module in drivers:
        order += needs(modules, module)
    order = list(dict.fromkeys(order))
    copies = [copy_module(modules[m], tmp, m) for m in order]
    path, initrd = os.path.join(tmp, "script"), os.path.join(tmp, "initrd.gz")
    with open(path, "w") as f:
        f.write(script.replace("MODULES", " ".join(order)).replace(" OPTIONS_$m", ""))
    subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, path, player] + copies, check=True)
    return initrd


def run(program, words, audio, timeout=900):
    done = subprocess.run([program, "--run", "--listen", "none", "--serial", "stdio", "--audiodev", audio] +
                          words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return done.stdout.decode("latin-1")


def through(tmp, program, name):
    arch, device, drivers, mixer, card = GUESTS[name]
    root, version = fetched(arch, "linux-image-" + arch)
    work = ["/player set '%s' %s" % (control, values) for control, values in mixer]
    work += ["/player play 0 48000 2 16 %d 1" % PLAYED, "/player play 0 8000 2 16 4096 2", "/player record 0 48000 2 16 %d" % RECORDED,
             "/player both 0 48000 %d 3" % PLAYED]
    initrd = make_initrd(tmp, arch, root, version, drivers, SCRIPT.replace("WORK", "\n".join(work)))
    recording, out, known = (os.path.join(tmp, n) for n in ("r.hcrec", "out.wav", "in.wav"))
    content = random.Random(name).randbytes(4 * (RECORDED + PLAYED // 2))
    wave_file(known, content)
    console = "ttyAMA0" if arch == "arm64" else "ttyS0"
    text = run(program, ["--kernel", "%s/boot/vmlinuz-%s" % (root, version), "--initrd", initrd, "--append", "console=%s quiet" % console,
                         "--icount", "shift=0,sleep=off",
                         "--record", recording, "--embed"] + device,
               "wav,id=A,path=%s,in=%s,out.frequency=%d" % (out, known, RATE))
    check(name + ": the guest comes to its end", "hindcast-guest: done" in text, text[-900:])
    check(name + ": it knows the card", re.search(card, text), text[:3000])
    for control, _ in mixer:
        check("%s: %s" % (name, control), "player: %s is set" % control in text, text[-6000:])
    check(name + ": all is played", text.count("frames played") == 3, text[-3000:])
    sound = played(out)
    first, third = sound.find(pcm(PLAYED, 1)), sound.find(pcm(PLAYED, 3))
    check(name + ": what was played is in the file, sample by sample", first >= 0 and first % 4 == 0)
    check(name + ": also what was played while another was recorded", third > first)
    slow = pcm(4096, 2)
    every = b"".join(slow[4 * i:4 * i + 4] for i in range(64))
    at = -1
    for at in range(first + 4 * PLAYED, min(third, len(sound)) if third > 0 else len(sound), 4):
        if all(sound[at + 24 * i:at + 24 * i + 4] == every[4 * i:4 * i + 4] for i in range(64)):
            break
    else:
        at = -1
    check(name + ": at 8000 Hz, too, each frame in its place", at >= 0)
    recorded = bytes.fromhex("".join(re.findall(r"^recorded ([0-9a-f]+)\r?$", text, re.M)))
    check(name + ": what it records is the file", recorded[:4 * RECORDED] == content[:4 * RECORDED], recorded[:64].hex())
    # The driver runs a little further than was asked for.
    more = recorded[4 * RECORDED:]
    where = content.find(more[:4096], 4 * RECORDED)
    check(name + ": it goes on from there", 0 <= where < 4 * (RECORDED + 2048) and
          content[where:where + len(more)] == more, where)
    os.unlink(known)
    os.rename(out, out + ".first")
    done = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    check(name + ": the recording replays", done.returncode == 0, done.stdout[-500:])
    run(program, ["--replay", recording], "wav,id=A,path=%s,out.frequency=%d" % (out, RATE))
    with open(out, "rb") as a, open(out + ".first", "rb") as b:
        check(name + ": and sounds the same", a.read() == b.read())


def speaker(tmp, program):
    root, version = fetched("amd64", "linux-image-amd64")
    initrd, out = make_initrd(tmp, "amd64", root, version, ["pcspkr", "evdev"], BEEP), os.path.join(tmp, "out.wav")
    text = run(program, ["--machine", "pc,pcspk-audiodev=A", "--kernel", "%s/boot/vmlinuz-%s" % (root, version), "--initrd", initrd,
                         "--append", "console=ttyS0 quiet", "--icount", "shift=0,sleep=off"], "wav,id=A,path=%s,out.frequency=%d" % (out, RATE))
    check("pcspk: the guest comes to its end", "hindcast-guest: done" in text, text[-900:])
    samples = [s[0] for s in struct.iter_unpack("<hh", played(out))]
    rises = sum(a <= 0 < b for a, b in zip(samples, samples[1:]))
    check("pcspk: half a second of 1000 Hz", 495 <= rises <= 530, (rises, len(samples)))


# Its driver cannot find it without being told; 45 kHz at most.
BLASTER = {"snd_sb16": "port=0x220 irq=5 dma8=1 dma16=5 mpu_port=0 fm_port=0 isapnp=0"}


def blaster(tmp, program):
    root, version = fetched("i386", "linux-image-686")
    work = ["/player set '%s' '31 31'" % control for control in ("Master Playback Volume", "PCM Playback Volume", "Line Playback Volume")]
    work = [w.replace("'31 31'", "31 31") for w in work]
    work += ["/player set 'Line Capture Route' 1 0 0 1", "/player play 0 44100 2 16 %d 1" % PLAYED, "/player play 0 22050 1 16 4096 2",
             "/player record 0 44100 2 16 %d" % RECORDED]
    script = SCRIPT.replace("WORK", "\n".join(work))
    for module, options in BLASTER.items():
        script = script.replace(" OPTIONS_$m", " $([ $m = %s ] && echo %s)" % (module, options))
    initrd = make_initrd(tmp, "i386", root, version, list(BLASTER), script)
    recording, out, known = (os.path.join(tmp, n) for n in ("r.hcrec", "out.wav", "in.wav"))
    content = random.Random("blaster").randbytes(8 * RECORDED)
    wave_file(known, content, 44100)
    text = run(program, ["--kernel", "%s/boot/vmlinuz-%s" % (root, version), "--initrd", initrd, "--append", "console=ttyS0 quiet",
                         "--icount", "shift=0,sleep=off", "--record", recording, "--embed", "--device", "sb16,audiodev=A"],
               "wav,id=A,path=%s,in=%s,out.frequency=44100" % (out, known))
    check("sb16: the guest comes to its end", "hindcast-guest: done" in text, text[-3000:])
    check("sb16: it knows the card", re.search(r"SB16[\s\S]*Sound Blaster 16 at 0x220, irq 5, dma 1&5", text) is not None, text[-3000:])
    check("sb16: all is played", text.count("frames played") == 2, text[-3000:])
    sound = played(out)
    first = sound.find(pcm(PLAYED, 1))
    check("sb16: what was played is in the file, sample by sample", first >= 0 and first % 4 == 0)
    slow = b"".join(struct.pack("<hh", v, v) for v in struct.unpack("<64h", pcm(32, 2)))
    check("sb16: of one channel, too, each frame in its place",
          any(all(sound[at + 8 * i:at + 8 * i + 4] == slow[4 * i:4 * i + 4] for i in range(64)) for at in range(first + 4 * PLAYED, len(sound), 4)))
    recorded = bytes.fromhex("".join(re.findall(r"^recorded ([0-9a-f]+)\r?$", text, re.M)))
    check("sb16: what it records is the file", recorded[:4 * RECORDED] == content[:4 * RECORDED], (recorded[:64].hex(), text[-6000:]))
    os.unlink(known)
    os.rename(out, out + ".first")
    done = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    check("sb16: the recording replays", done.returncode == 0, done.stdout[-500:])
    run(program, ["--replay", recording], "wav,id=A,path=%s,out.frequency=44100" % out)
    with open(out, "rb") as a, open(out + ".first", "rb") as b:
        check("sb16: and sounds the same", a.read() == b.read())


def main():
    for name in sys.argv[2:] or ["pcspk", "sb16"] + list(GUESTS):
        with tempfile.TemporaryDirectory() as tmp:
            if name == "pcspk":
                speaker(tmp, sys.argv[1])
            elif name == "sb16":
                blaster(tmp, sys.argv[1])
            else:
                through(tmp, sys.argv[1], name)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
