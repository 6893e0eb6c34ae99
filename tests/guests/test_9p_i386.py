#!/usr/bin/env python3
"""A Debian kernel with directories of the host's, by virtio-9p.

    test_9p_i386.py HINDCAST

It reads what is there, and cannot change it; in a second one it writes, renames, links and removes. Going back and again
forward leads to the same state and does nothing outside a second time; and so does the recording, elsewhere, without the
directories.

Exit status 77: the packages cannot be fetched here.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import test_debian_i386
from test_debian_i386 import Guest, fetched, check
from test_net_i386 import make_initrd
from test_virtio_i386 import go_back

DRIVERS = ["virtio_pci", "9pnet_virtio", "9p"]
BIG = bytes(i * i >> 3 & 0xff for i in range(300000))


def make_directories(tmp):
    given, taken = os.path.join(tmp, "given"), os.path.join(tmp, "taken")
    os.makedirs(given + "/deep/er")
    os.makedirs(taken)
    for name, data in ("hello", b"from outside\n"), ("big", BIG), ("deep/er/file", b"deep\n"):
        with open(os.path.join(given, name), "wb") as f:
            f.write(data)
    for i in range(300):
        with open("%s/deep/number%03d" % (given, i), "w") as f:
            f.write("%d\n" % i)
    os.symlink("deep/er/file", given + "/link")
    os.symlink("/etc/passwd", given + "/out")
    return given, taken


def tree(directory):
    """Names, kinds, contents, modes."""
    found = {}
    for where, names, files in os.walk(directory):
        for name in names + files:
            path = os.path.join(where, name)
            st = os.lstat(path)
            data = os.readlink(path) if os.path.islink(path) else open(path, "rb").read() if os.path.isfile(path) else None
            found[os.path.relpath(path, directory)] = (oct(st.st_mode), data)
    return found


class Shell:
    def __init__(self, guest):
        self.guest = guest
        self.end = guest.wait_console(rb"guest# ")[0]
        self.count = 0

    def ask(self, command):
        """What a command shows."""
        self.count += 1
        self.guest.type("%s; echo e'nd%d'\n" % (command, self.count))
        end, _ = self.guest.wait_console(rb"\nend%d" % self.count, start=self.end)
        text = self.guest.console[self.end:end].decode("latin-1")
        self.end = end
        return text.split("\n", 1)[1].replace("\r", "") if "\n" in text else text


def read_only(shell, given):
    shell.ask("mkdir /mnt /mnt/g /mnt/t; mount -t 9p -o trans=virtio,version=9p2000.L,msize=20000 given /mnt/g")
    check("a file is read", "from outside" in shell.ask("cat /mnt/g/hello"))
    check("and one of many pieces, all of it", re.search(r"^%s " % subprocess.check_output(["md5sum", given + "/big"]).decode().split()[0],
                                                        shell.ask("md5sum /mnt/g/big"), re.M))
    check("a directory of many entries is listed whole", "\n300\n" in "\n" + shell.ask("ls /mnt/g/deep | grep -c number"))
    check("links are the guest's to follow", "deep" in shell.ask("cat /mnt/g/link") and "root:" not in shell.ask("cat /mnt/g/out"))
    text = shell.ask("stat -c '%s %a %h %F' /mnt/g/big; df /mnt/g | tail -n 1")
    check("it is what it is", "300000 644 1 regular file" in text and "given" in text, text)
    check("one cannot go up and out of it", "hello" in shell.ask("ls /mnt/g/../g/deep/../../g/") and
          "No such" in shell.ask("cat /mnt/g/nothing 2>&1"))
    before = tree(given)
    text = shell.ask("for c in 'touch /mnt/g/x' 'rm /mnt/g/hello' 'mkdir /mnt/g/d' 'mv /mnt/g/big /mnt/g/b' 'ln -s a /mnt/g/s' "
                     "'chmod 777 /mnt/g/hello' 'rmdir /mnt/g/deep/er' 'truncate -s 1 /mnt/g/hello'; do $c 2>&1; done")
    check("nothing of it can be changed", text.count("Read-only file system") == 8 and tree(given) == before, text)


def writable(shell, taken):
    shell.ask("mount -t 9p -o trans=virtio,version=9p2000.L taken /mnt/t; cd /mnt/t")
    text = shell.ask("mkdir -p a/b && cp /mnt/g/big a/b/big && cmp a/b/big /mnt/g/big && mv a/b a/c && echo more >>a/c/big && "
                     "wc -c <a/c/big; echo new >n; chmod 640 n; ln n m; ln -s n l; mkfifo p; truncate -s 10 n; stat -c '%h %a' m; "
                     "cat l | wc -c; touch -d '2001-02-03 04:05:06' n; mv n a/n; ls -R | wc -l")
    check("it writes, renames, links", "300005" in text and "2 640" in text and "\n10\n" in text, text)
    text = shell.ask("exec 5>gone; rm gone; echo held >&5; exec 5>&-; mkdir d; rmdir d a 2>&1; rm l; mknod dev c 1 3 2>&1; "
                     "sync; echo l'eft'; ls")
    check("what is removed is gone, what is not empty stays", "Directory not empty" in text and "gone" not in text.split("left")[-1], text)
    check("no device is made", re.search("dev: Operation not permitted", text), text)
    found = tree(taken)
    check("and outside it is so", sorted(found) == ["a", "a/c", "a/c/big", "a/n", "m", "p"] and found["a/c/big"][1] == BIG + b"more\n" and
          found["m"] == ("0o100640", b"new\n" + 6 * b"\0") and int(os.stat(taken + "/m").st_mtime) == 981173106, sorted(found))
    return found


def through(tmp, program, root, version):
    given, taken = make_directories(tmp)
    recording = os.path.join(tmp, "r.hcrec")
    guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), make_initrd(tmp, root, version, DRIVERS),
                  ["--record", recording, "--embed", "--checkpoints-in-file", "every=1500000000",
                   "--virtfs", "local,path=%s,mount_tag=given,security_model=none" % given,
                   "--fsdev", "local,id=f,path=%s,readonly=off" % taken, "--device", "virtio-9p-pci,fsdev=f,mount_tag=taken"])
    guest.rsp.send("c")
    shell = Shell(guest)
    read_only(shell, given)
    outside = writable(shell, taken)
    guest.rsp.interrupt()
    guest.rsp.wait()
    os.rename(given, given + ".away")
    shutil.rmtree(taken)
    os.makedirs(taken)
    go_back(guest)
    check("which happens to nothing outside", not tree(taken) and "a/n" in outside)
    guest.close()
    done = subprocess.run([program, "verify", "--from", "checkpoints", recording], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    check("the recording replays by itself, from every checkpoint", done.returncode == 0, done.stdout[-300:])


def main():
    program, (root, version) = sys.argv[1], fetched("i386", "linux-image-686")
    with tempfile.TemporaryDirectory() as tmp:
        through(tmp, program, root, version)
    print("%d passed, %d failed" % (test_debian_i386.passed, test_debian_i386.failed))
    sys.exit(1 if test_debian_i386.failed else 0)


if __name__ == "__main__":
    main()
