"""An initial file system for Debian's cloud kernel: programs of this machine with everything they
need, under the same paths, and the kernel's modules.

    image = Image(folder)                       # folder: where the modules' tree may be made
    image.program("/usr/sbin/nft")              # with its shared libraries
    image.tree("/usr/lib/python3.11", skip=("test",))
    image.text("/init", "#!/bin/sh\\n…", 0o755)
    image.modules("/…/linux-image-…", MODULES)
    image.write(folder / "initramfs")

The format is "newc", as the kernel's Documentation/driver-api/early-userspace/buffer-format.rst has
it. Times are kept: Python believes its compiled files only when they are.
"""

import os
import pathlib
import shutil
import stat
import subprocess

# Debian's /bin, /lib … are links into /usr; a path through one is stored where it really lies.
MERGED = ("bin", "sbin", "lib", "lib64")


class Image:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.entries = {}  # path in the image: (mode, time, content: bytes or a path to read)
        self.unresolved = set()  # what ldd has not been asked about yet
        for name in MERGED:
            self.link("/" + name, f"usr/{name}")
            self.directory(f"/usr/{name}")
        for name in ("proc", "sys", "dev", "run", "tmp", "root", "mnt"):
            self.directory("/" + name)
        self.directory("/var/log")

    # What is in it

    def directory(self, path, mode=0o755):
        self._put(path, stat.S_IFDIR | mode, 0, b"")

    def link(self, path, target):
        self._put(path, stat.S_IFLNK | 0o777, 0, target.encode())

    def text(self, path, text, mode=0o644):
        self._put(path, stat.S_IFREG | mode, 0, text.encode())

    def file(self, source, path=None):
        """One file, under its own path or another. A link becomes a link to the file itself."""
        source = pathlib.Path(source)
        path = self._merged(path or str(source))
        real = pathlib.Path(os.path.realpath(source))
        where = path
        if source.is_symlink() and self._merged(str(real)) != path:
            self.link(path, self._merged(str(real)))
            where = self._merged(str(real))
        status = real.stat()
        self._put(where, stat.S_IFREG | stat.S_IMODE(status.st_mode), int(status.st_mtime), real)
        return real

    def program(self, *sources):
        """Programs or libraries, with the libraries that they are linked to."""
        for source in sources:
            self.unresolved.add(str(self.file(source)))

    def tree(self, source, path=None, skip=()):
        """A folder with everything below it but what is named in `skip` (names, at any depth)."""
        source = pathlib.Path(source)
        base = path or str(source)
        for folder, names, files in os.walk(source):
            names[:] = sorted(name for name in names if name not in skip)
            inside = os.path.relpath(folder, source)
            here = base if inside == "." else f"{base}/{inside}"
            self.directory(self._merged(here), stat.S_IMODE(os.stat(folder).st_mode))
            for name in sorted(files):
                full = pathlib.Path(folder, name)
                if name in skip or not full.is_file():
                    continue
                real = self.file(full, f"{here}/{name}")
                if name.endswith(".so"):
                    self.unresolved.add(str(real))

    def modules(self, kernel, folders):
        """The modules below these folders of the kernel's tree, with their index."""
        source = next(pathlib.Path(kernel, "lib", "modules").iterdir())
        copy = self.folder / "modules" / "lib" / "modules" / source.name
        for name in folders:
            found = source / "kernel" / name
            if found.is_dir():
                shutil.copytree(found, copy / "kernel" / name, dirs_exist_ok=True)
            else:
                (copy / "kernel" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, copy / "kernel" / name)
        for index in source.glob("modules.*"):
            shutil.copy2(index, copy)
        subprocess.run(["depmod", "-b", str(self.folder / "modules"), source.name], check=True)
        self.tree(copy, f"/lib/modules/{source.name}")

    # Writing it

    def write(self, path):
        """Writes the image; returns its size in bytes."""
        self._libraries()
        with open(path, "wb") as out:
            for number, name in enumerate(sorted(self.entries), 1):
                mode, moment, content = self.entries[name]
                if isinstance(content, pathlib.Path):
                    content = content.read_bytes()
                self._entry(out, number, name.lstrip("/"), mode, moment, content)
            self._entry(out, 0, "TRAILER!!!", 0, 0, b"")
            return out.tell()

    @staticmethod
    def _entry(out, number, name, mode, moment, content):
        title = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (number, mode, 0, 0, links, moment, len(content), 0, 0, 0, 0, len(title), 0)
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + title)
        out.write(b"\0" * (-out.tell() % 4))
        out.write(content)
        out.write(b"\0" * (-out.tell() % 4))

    def _put(self, path, mode, moment, content):
        path = self._merged(path)
        parent = os.path.dirname(path)
        if parent != "/" and parent not in self.entries:
            self.directory(parent)
        self.entries[path] = (mode, moment, content)

    @staticmethod
    def _merged(path):
        first = path.split("/")[1]
        return f"/usr{path}" if first in MERGED and path != f"/{first}" else path

    def _libraries(self):
        """Adds what the programs are linked to; ldd names it with all that follows from it."""
        if not self.unresolved:
            return
        said = subprocess.run(["ldd", *sorted(self.unresolved)], capture_output=True, text=True)
        found = set()
        for line in said.stdout.splitlines():
            words = line.split()
            if "not" in words and "found" in words:
                raise FileNotFoundError(f"a library is missing: {line.strip()}")
            found |= {word for word in words if word.startswith("/") and not word.endswith(":")}
        self.unresolved.clear()
        for library in found:
            self.file(library)
