"""Programs of Debian's packages in a guest's initramfs, with the libraries that they need."""

import os
import re
import shutil
import subprocess
import tempfile

TRIPLETS = {"i386": "i386-linux-gnu", "amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
LOADERS = {"i386": "lib/ld-linux.so.2", "amd64": "lib64/ld-linux-x86-64.so.2", "arm64": "lib/ld-linux-aarch64.so.1"}


def needed(path):
    out = subprocess.run(["readelf", "-d", path], stdout=subprocess.PIPE, check=True, text=True).stdout
    return re.findall(r"\(NEEDED\)\s+Shared library: \[(.*)\]", out)


def add(initrd, architecture, root, programs, files=(), directories=()):
    """Append to `initrd`: programs of `root` (in /bin; run them by `LD_LIBRARY_PATH=/lib`), files as (path, bytes or where they are copied
    from, mode), directories of `root`."""
    with tempfile.TemporaryDirectory() as tree:
        loader = os.path.join(tree, LOADERS[architecture])
        for directory in os.path.join(tree, "lib"), os.path.join(tree, "bin"), os.path.dirname(loader):
            os.makedirs(directory, exist_ok=True)
        shutil.copy(os.path.join(root, LOADERS[architecture]), loader)
        places = ["%s/%s/%s" % (root, where, TRIPLETS[architecture]) for where in ("lib", "usr/lib")]
        wanted = []
        for program in programs:
            wanted += needed(shutil.copy(os.path.join(root, program), tree + "/bin"))
        while wanted:
            name = wanted.pop()
            if not os.path.exists(os.path.join(tree, "lib", name)) and name != os.path.basename(loader):
                wanted += needed(shutil.copy(next(os.path.join(p, name) for p in places if os.path.exists(os.path.join(p, name))), tree + "/lib"))
        for directory in directories:
            shutil.copytree(os.path.join(root, directory), os.path.join(tree, directory))
        for path, content, mode in files:
            path = os.path.join(tree, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if isinstance(content, bytes):
                with open(path, "wb") as f:
                    f.write(content)
            else:
                shutil.copy(content, path)
            os.chmod(path, mode)
        packed = subprocess.run("find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -1", shell=True, cwd=tree, check=True,
                                stdout=subprocess.PIPE).stdout
    with open(initrd, "ab") as f:
        f.write(packed)
