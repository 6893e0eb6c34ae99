#!/usr/bin/env python3
"""What images hold is what qemu-img says, and what is written is an image that it calls clean.
Skipped where qemu-img is not there."""
import os
import random
import shutil
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.environ.get("top_builddir", "."), "tests/block/blocktool")
MIB = 1 << 20


def run(*words, **kw):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, timeout=600, **kw).stdout


def img(*words):
    return run("qemu-img", *words)


def refused(*words):
    """The message with which it is refused."""
    done = subprocess.run([TOOL, *map(str, words)], capture_output=True, timeout=600)
    assert done.returncode == 1, f"exit status {done.returncode}"
    return done.stderr.decode()


def contents(image, fmt="-", snapshot="-"):
    return run(TOOL, "cat", image, fmt, snapshot)


def patterned(size, seed):
    """Data, holes, runs that compress, ending within a cluster."""
    rng = random.Random(seed)
    out = bytearray(size)
    for _ in range(40):
        at, n = rng.randrange(size), rng.randrange(1, 200000)
        n = min(n, size - at)
        out[at:at + n] = rng.randbytes(n) if rng.random() < 0.5 else bytes([rng.randrange(256)]) * n
    return bytes(out)


class Images:
    """A directory with a raw image and what it holds."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hindcast-block-")
        self.raw = self.path("base.raw")
        self.data = patterned(5 * MIB + 512 * 3, 1)
        with open(self.raw, "wb") as f:
            f.write(self.data)

    def path(self, name):
        return os.path.join(self.dir, name)

    def close(self):
        shutil.rmtree(self.dir)


def write(image, fmt, offset, length, pattern):
    run("qemu-io", "-f", fmt, "-c", f"write -P {pattern} {offset} {length}", image)


def every_cluster_size_and_version_is_read(im):
    for options in ("compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=4k", "cluster_size=2M",
                    "cluster_size=64k,extended_l2=on", "refcount_bits=1", "preallocation=metadata",
                    "lazy_refcounts=on"):
        out = im.path("o.qcow2")
        img("convert", "-f", "raw", "-O", "qcow2", "-o", options, im.raw, out)
        assert contents(out) == im.data, options
        assert contents(out, "qcow2") == im.data, options


def compressed_clusters_are_read(im):
    for options in ("compression_type=zlib", "compression_type=zstd", "cluster_size=512", "cluster_size=2M",
                    "cluster_size=16k,extended_l2=on"):
        out = im.path("c.qcow2")
        img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, im.raw, out)
        assert contents(out) == im.data, options


def subclusters_are_read(im):
    out = im.path("sub.qcow2")
    img("create", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=64k", "-b", im.raw, "-F", "raw", out)
    want = bytearray(im.data)
    rng = random.Random(5)
    for _ in range(60):
        at, n = rng.randrange(0, 5 * MIB) & ~511, 512 * rng.randrange(1, 40)
        pattern = rng.randrange(256)
        command = f"write -P {pattern} {at} {n}" if pattern & 1 else f"write -z {at} {n}"
        run("qemu-io", "-f", "qcow2", "-c", command, out)
        want[at:at + n] = bytes([pattern if pattern & 1 else 0]) * n
    assert contents(out) == bytes(want[:len(im.data)])


def chains_with_relative_names_and_discards_are_read(im):
    want = bytearray(im.data)
    below, fmt = "base.raw", "raw"
    for i, options in enumerate(("compat=0.10", "cluster_size=4k", "cluster_size=128k,extended_l2=on", "compat=1.1")):
        name = f"chain{i}.qcow2"
        img("create", "-f", "qcow2", "-o", options, "-b", below, "-F", fmt, im.path(name))
        at = 100 * 1024 * (i + 1)
        write(im.path(name), "qcow2", at, 300 * 512, 0x40 + i)
        want[at:at + 300 * 512] = bytes([0x40 + i]) * (300 * 512)
        if i == 3:
            run("qemu-io", "-f", "qcow2", "-c", f"write -z {at} 65536", im.path(name))
            want[at:at + 65536] = bytes(65536)
        below, fmt = name, "qcow2"
    assert contents(im.path(below)) == bytes(want)
    # Without the format that the backing file has in the header, it is what its first bytes say.
    img("rebase", "-u", "-F", "qcow2", "-b", im.path("chain2.qcow2"), im.path("chain3.qcow2"))
    assert contents(im.path("chain3.qcow2")) == bytes(want)


def an_image_larger_than_its_backing_file_ends_in_zeros(im):
    out = im.path("large.qcow2")
    img("create", "-f", "qcow2", "-b", im.raw, "-F", "raw", out, "7M")
    assert contents(out) == im.data + bytes(7 * MIB - len(im.data))


def a_large_disk_costs_nothing(im):
    out = im.path("huge.qcow2")
    img("create", "-f", "qcow2", out, "64T")
    write(out, "qcow2", (64 << 40) - 4096, 4096, 7)
    done = subprocess.run(f"{TOOL} cat {out} - - | head -c 1000000 | cmp - /dev/zero", shell=True,
                          capture_output=True, timeout=600)
    assert b"EOF" in done.stderr, done.stderr


def internal_snapshots_are_read(im):
    out = im.path("snap.qcow2")
    img("convert", "-f", "raw", "-O", "qcow2", im.raw, out)
    img("snapshot", "-c", "first", out)
    write(out, "qcow2", 65536, 100000 & ~511, 9)
    img("snapshot", "-c", "second one", out)
    second = contents(out)
    write(out, "qcow2", 0, 512, 10)
    img("resize", "-f", "qcow2", out, "6M")
    assert contents(out, "-", "first") == im.data
    assert contents(out, "-", "1") == im.data
    assert contents(out, "qcow2", "second one") == second
    assert contents(out)[:512] == bytes([10]) * 512
    assert "no snapshot 'third'" in refused("cat", out, "-", "third")


def an_external_data_file_is_read(im):
    out = im.path("ext.qcow2")
    img("convert", "-f", "raw", "-O", "qcow2", "-o", f"data_file={im.path('ext.data')}", im.raw, out)
    assert contents(out) == im.data
    img("convert", "-f", "raw", "-O", "qcow2", "-o", f"data_file={im.path('ext2.data')},data_file_raw=on", im.raw, out)
    assert contents(out) == im.data


def what_is_written_is_clean_and_equal(im):
    bases = [(im.raw, "raw")]
    for i, size in enumerate((512, MIB, 530 * MIB)):
        base = im.path(f"w{i}.raw")
        with open(base, "wb") as f:
            f.truncate(size)
        bases.append((base, "raw"))
    base = im.path("w.qcow2")
    img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", im.raw, base)
    bases.append((base, "qcow2"))
    for i, (base, fmt) in enumerate(bases):
        new, model = im.path("new.qcow2"), im.path("model.raw")
        with open(model, "wb") as f:
            subprocess.run([TOOL, "overlay", base, fmt, new, str(i)], check=True, stdout=f, timeout=600)
        assert b"No errors" in img("check", "-f", "qcow2", new)
        img("compare", "-f", "raw", "-F", "qcow2", model, new)
        if os.path.getsize(model) < 10 * MIB:
            with open(model, "rb") as f:
                assert contents(new) == f.read()


def what_is_wrong_is_said(im):
    out = im.path("bad.qcow2")
    img("create", "-f", "qcow2", "-b", im.raw, "-F", "raw", out)
    img("rebase", "-u", "-F", "qcow2", "-b", out, out)
    assert "its own backing file" in refused("cat", out, "-", "-")
    img("rebase", "-u", "-F", "raw", "-b", im.path("gone"), out)
    assert "gone" in refused("cat", out, "-", "-")
    img("rebase", "-u", "-F", "vmdk", "-b", im.raw, out)
    assert "'vmdk' is not known" in refused("cat", out, "-", "-")
    img("convert", "-f", "raw", "-O", "qcow2", im.raw, out)
    os.truncate(out, 400000)
    assert "cannot read" in refused("cat", out, "-", "-")
    os.truncate(out, 100)
    assert "bad.qcow2" in refused("cat", out, "-", "-")
    assert "no qcow2 image" in refused("cat", im.raw, "qcow2", "-")
    assert "raw image has no snapshots" in refused("cat", im.raw, "-", "x")


def a_file_that_qemu_writes_is_not_opened(im):
    out = im.path("locked.qcow2")
    img("create", "-f", "qcow2", out, "1M")
    writer = subprocess.Popen(["qemu-io", "-f", "qcow2", out], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdout.read(8)  # its prompt: the image is open
    assert "being written" in refused("cat", out, "-", "-")
    writer.communicate(b"quit\n", timeout=60)
    assert contents(out) == bytes(MIB)


def nbd_exports_are_read(im):
    if not shutil.which("qemu-nbd") or "without libnbd" in subprocess.run(
            [TOOL, "cat", "nbd:unix:/none", "-", "-"], capture_output=True, timeout=60).stderr.decode():
        return
    sock = im.path("nbd")
    server = subprocess.Popen(["qemu-nbd", "-r", "-f", "raw", "-k", sock, "-t", "-e", "4", "-x", "disk", im.raw])
    try:
        for _ in range(600):
            if os.path.exists(sock):
                break
            subprocess.run(["sleep", "0.1"], check=True)
        assert contents(f"nbd+unix:///disk?socket={sock}") == im.data
        assert contents(f"nbd:unix:{sock}:exportname=disk") == im.data
        out = im.path("over.qcow2")
        img("create", "-f", "qcow2", "-u", "-b", f"nbd:unix:{sock}:exportname=disk", "-F", "raw", out, str(len(im.data)))
        assert contents(out) == im.data
        assert "nbd" in refused("cat", f"nbd+unix:///nosuch?socket={sock}", "-", "-")
    finally:
        server.terminate()
        server.wait()


CLAIMS = [every_cluster_size_and_version_is_read, compressed_clusters_are_read, subclusters_are_read,
          chains_with_relative_names_and_discards_are_read, an_image_larger_than_its_backing_file_ends_in_zeros,
          a_large_disk_costs_nothing, internal_snapshots_are_read, an_external_data_file_is_read,
          what_is_written_is_clean_and_equal, what_is_wrong_is_said, a_file_that_qemu_writes_is_not_opened,
          nbd_exports_are_read]


def main():
    if not shutil.which("qemu-img"):
        print("no qemu-img (Debian: qemu-utils)")
        return 77
    failed = 0
    wanted = sys.argv[1:]
    im = Images()
    for claim in CLAIMS:
        if wanted and claim.__name__ not in wanted:
            continue
        try:
            claim(im)
            print("ok", claim.__name__)
        except (AssertionError, subprocess.CalledProcessError) as e:
            failed += 1
            print("not ok", claim.__name__, repr(e), getattr(e, "stderr", b"") or b"")
    im.close()
    print(f"{len(CLAIMS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
