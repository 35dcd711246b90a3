"""gateway_driver in a world: the C program that drives a gateway's kernel and charon side by lines.

    credentials_make(folder, ["core-hospital", "device-maker"])      # before the guest is started
    ...
    driver = Driver(world, "core-hospital", program, "kernel", folder)
    why = driver.ask("setup", 0)
    driver.expect("child-up")

Its commands are in tests/net/dataplane_smoke/gateway_driver.c.
"""

import os
import pathlib
import re
import shutil
import subprocess

from lab.softhsm import MODULE
from lab.world import SITES, LabError, wait_for

PIN = "1234"
KEY_ID = "01"
PKCS11_CLIENT = f"/usr/lib/{os.uname().machine}-linux-gnu/pkcs11/p11-kit-client.so"


def identity(name):
    return f"{name}.example"


def credentials_make(folder, names):
    """A service CA, and for each name a token with a key that never leaves it and a certificate."""
    folder = pathlib.Path(folder)

    def pki(out, *arguments):
        with open(folder / out, "wb") as file:
            subprocess.run(["pki", *map(str, arguments)], stdout=file, check=True,
                stderr=subprocess.DEVNULL)  # tells of every plugin that it does without

    folder.mkdir(parents=True, exist_ok=True)
    pki("ca.key", "--gen", "--type", "ecdsa", "--size", "256")
    pki("ca.der", "--self", "--ca", "--type", "ecdsa", "--in", folder / "ca.key", "--dn",
        "CN=Service CA", "--lifetime", "2")
    for name in names:
        tokens = folder / name / "tokens"
        tokens.mkdir(parents=True)
        environment = dict(os.environ, SOFTHSM2_CONF=_softhsm(folder, name))

        def run(*arguments):
            subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
        tool = ("pkcs11-tool", "--module", MODULE, "--login", "--pin", PIN, "--token-label", name)
        run("softhsm2-util", "--init-token", "--free", "--label", name, "--so-pin", "12345678",
            "--pin", PIN)
        run(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--id", KEY_ID)
        run(*tool, "--read-object", "--type", "pubkey", "--id", KEY_ID, "-o",
            str(folder / f"{name}.pub"))
        pki(f"{name}.der", "--issue", "--type", "pub", "--in", folder / f"{name}.pub", "--cacert",
            folder / "ca.der", "--cakey", folder / "ca.key", "--lifetime", "1", "--dn",
            f"CN={identity(name)}", "--san", identity(name))


def _softhsm(folder, name):
    """The token's configuration, for where the folder is now."""
    path = pathlib.Path(folder, name, "softhsm2.conf")
    path.write_text(f"directories.tokendir = {path.parent / 'tokens'}\n"
        "objectstore.backend = file\nlog.level = ERROR\n")
    return str(path)


class Folder:
    """As much of a world as the ceremony needs: sites, and a place for files."""

    def __init__(self, folder, sites):
        self.folder = pathlib.Path(folder)
        self.sites = {name: SITES[name] for name in sites}

    def path(self, *parts):
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class Driver:
    def __init__(self, world, node, program, dataplane, credentials):
        """Starts it on a node, with a token of its own. `credentials` is only read."""
        self.world, self.node = world, node
        self.credentials = world.path("driver", "credentials")
        if not self.credentials.exists():
            shutil.copytree(credentials, self.credentials)
        self.directory = world.path("driver", node)
        server = world.path("driver", f"{node}.token")
        self.token = world.spawn(node, ["p11-kit", "server", "--foreground", "--provider", MODULE,
            "--name", server, f"pkcs11:token={node}"],
            env={"SOFTHSM2_CONF": _softhsm(self.credentials, node)})
        wait_for(server.exists, 20, f"the token of {node} is served")
        self.process = world.spawn(node, [program, self.directory, dataplane, PKCS11_CLIENT,
            f"unix:path={server}"], stdin=subprocess.PIPE, log=f"driver/{node}.said")
        self.asked = 0

    def lines(self):
        """What it said so far, in whole lines."""
        return self.process.text().rpartition("\n")[0].splitlines()

    def replies(self):
        return [line for line in self.lines() if line.startswith("reply ")]

    def events(self):
        return [line[6:] for line in self.lines() if line.startswith("event ")]

    def ask(self, command, want=None, timeout=40):
        """One command; returns the text of its reply, whose result has to be `want`."""
        self.process.popen.stdin.write(f"{command}\n".encode())
        self.process.popen.stdin.flush()
        self.asked += 1

        def answered():
            if len(self.replies()) < self.asked and not self.process.alive():
                raise LabError(f"{self.node}: the driver ended at {command}: {self.process.text()}")
            return len(self.replies()) >= self.asked
        wait_for(answered, timeout, f"{self.node} answers {command}", 0.002)
        reply = self.replies()[self.asked - 1]
        result, text = re.match(r"reply (\S+) (.*) \d+ us$", reply).groups()
        if want is not None and result != str(want):
            raise LabError(f"{self.node}: {command}: {result} {text}, not {want}\n{self.log()}")
        return text

    def collect(self, command):
        """The events that a command brought before its reply."""
        before = len(self.events())
        self.ask(command)
        return self.events()[before:]

    def expect(self, pattern, timeout=20):
        """Waits for an event; returns the newest."""
        def found():
            return [event for event in self.events() if re.search(pattern, event)]
        return wait_for(found, timeout, f"{self.node} tells {pattern}")[-1]

    def start(self):
        """charon, up to the key in the token."""
        self.ask("start", 0)
        self.expect("^charon alive", 40)
        self.ask(f"token {KEY_ID} {PIN}", "ok")

    def peer(self, other, if_id, *children):
        """Loads a peer: children are (name, own service address, the other's)."""
        words = ["peer", other, self.world.address(self.node), self.world.address(other),
            identity(self.node), identity(other), self.credentials / f"{self.node}.der",
            self.credentials / f"{other}.der", self.credentials / "ca.der", if_id]
        for child in children:
            words += child
        self.ask(" ".join(map(str, words)), "ok")

    def log(self):
        path = self.directory / "charon.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def stop(self):
        """Ends driver and charon as the driver itself does; returns its exit status."""
        if self.process.alive():
            self.process.popen.stdin.write(b"quit\n")
            self.process.popen.stdin.close()
        return self.process.wait(20)
