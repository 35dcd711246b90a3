"""User-Mode Linux: a kernel that has what this machine's may lack, started as a program. Its files
are this machine's own and can only be read; what it writes is in its own memory or in one folder.

    init_write(folder / "init", modules="l2tp_ppp", then="…")   # a shell script; its end is power-off
    argv(folder, folder / "init", memory="64M")                 # what to start

    guest = Guest(world, "campus", "lac", "l2tp_ppp", ("lac-lan", "lac-campus")).start()
    guest.run("ip addr add 10.0.0.1/24 dev vec0")               # a line of shell, and what it said
"""

import itertools
import pathlib
import re
import shlex
import shutil
import signal
import subprocess

from lab.world import LabError, tools_missing, wait_for

PROGRAM = "linux.uml"
MODULES = pathlib.Path("/usr/lib/uml/modules")

# Modules come all at once, and then none on demand: the kernel's vain look-ups cost seconds.
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev
mkdir -p {folder}
mount -t hostfs none {folder} -o {folder}
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/zero c 1 5
mknod -m 666 /dev/random c 1 8
mknod -m 666 /dev/urandom c 1 9
mkdir /dev/net
mknod -m 666 /dev/net/tun c 10 200
mknod -m 600 /dev/ppp c 108 0
ln -s /proc/self/fd /dev/fd
mkdir -p /run/kernel/lib/modules
ln -s {kernels}/* /run/kernel/lib/modules/
modprobe -d /run/kernel -a {modules}
echo >/proc/sys/kernel/modprobe
ip link set lo up
{then}
echo o >/proc/sysrq-trigger
sleep 5
"""

# Lines of shell from the console; what each said is followed by its number and status.
SERVE = """stty -echo -onlcr
echo serving
while read -r number line; do
	eval "$line" </dev/null
	echo "answered $number $?"
done
"""


def missing(*tools):
    """Why no guest can be started here, or None. `tools` are those that it runs."""
    reason = tools_missing(PROGRAM, "modprobe", "ip", *tools)
    return reason or (None if MODULES.exists() else f"needs {MODULES} (dev/setup installs it)")


def init_write(path, folder, modules, then):
    """The guest's first process; `then` is shell. `folder` is the one it may write to."""
    path.write_text(INIT.format(folder=shlex.quote(str(folder)), kernels=MODULES, modules=modules,
        then=then))
    path.chmod(0o755)


def argv(folder, init, memory, console, *more):
    """The command line. What the kernel itself needs (a control socket) stays in the folder."""
    return [shutil.which(PROGRAM, path="/usr/bin"), "root=/dev/root", "rootfstype=hostfs",
        "rootflags=/", "ro", f"mem={memory}", f"init={init}", f"uml_dir={folder / 'uml'}",
        "con=null", f"con0={console}", "quiet", *more]


class Guest:
    """A guest in a node of a world, with an Ethernet interface vec0, vec1, … on each of `taps`
    (interfaces of the node). It is ended with the world."""

    def __init__(self, world, node, name, modules, taps=(), tools=(), memory="64M"):
        self.world, self.node, self.name, self.taps = world, node, name, taps
        self.folder = world.path("guest", name, "x").parent
        self.memory, self.modules, self.process = memory, modules, None
        self._numbers = itertools.count(1)

    def start(self, wait=True):
        """Starts it; without `wait`, ready() has to be called before run()."""
        init = self.folder / "init"
        init_write(init, self.folder, self.modules, SERVE)
        links = [f"vec{n}:transport=tap,ifname={tap}" for n, tap in enumerate(self.taps)]
        self.process = self.world.spawn(self.node, argv(self.folder, init, self.memory, "fd:0,fd:1",
            *links), log=f"guest-{self.name}.log", stdin=subprocess.PIPE,
            env={"TMPDIR": self.folder})
        if wait:
            self.ready()
        return self

    def ready(self, timeout=30):
        self.process.expect_text("serving", timeout)
        return self

    def run(self, line, timeout=10, check=True):
        """Runs a line of shell in the guest; what it said. With `check`, a status other than 0 is a
        LabError."""
        number = next(self._numbers)
        before = len(self.process.text())
        self.process.popen.stdin.write(f"{number} {line}\n".encode())
        self.process.popen.stdin.flush()
        said = wait_for(lambda: self._answer(before, number), timeout, f"{self.name}: {line}", 0.01)
        if check and said[1] != "0":
            raise LabError(f"{line} in {self.name} ended with {said[1]}: {said[0][-600:].strip()}")
        return said[0]

    def _answer(self, before, number):
        if not self.process.alive():
            raise LabError(f"{self.name} ended: {self.process.text()[-600:]}")
        found = re.match(rf"(.*?)^answered {number} (\d+)$",
            self.process.text()[before:].replace("\r", ""), re.DOTALL | re.MULTILINE)
        return found.groups() if found else None

    def stop(self):
        """Ends it as a power cut would: there is nothing in it to save."""
        if self.process:
            self.process.stop(first=signal.SIGKILL)
            self.process = None
