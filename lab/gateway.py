"""A gateway of the world: its configuration, its processes, its local socket.

    gateway = Gateway(world, "core-hospital", files)
    gateway.start()
    gateway.ask({"command": "status"})
"""

import contextlib
import json
import os
import shutil
import signal
import socket
from dataclasses import dataclass

from lab.softhsm import MODULE
from lab.world import CENTER_ADDRESS, LabError, wait_for

PROVIDER = "regional-vpn"


@dataclass(frozen=True)
class GatewayFiles:
    """What is put on a gateway by hand, and the token the maker delivered it with."""

    root: str  # accreditor's certificate, PEM
    owner: str  # site owner's public key, PEM
    softhsm: str  # SoftHSM configuration of the token
    label: str
    pin_file: str


class Gateway:
    def __init__(self, world, site, files, program, **settings):
        self.world, self.site, self.files = world, site, files
        self.program = str(program)
        self.config = world.path("gateway", site, "gateway.conf")
        self.run_dir = world.path("gateway", site, "run")
        self.state_dir = world.path("gateway", site, "state")
        self.process = None
        self.config.write_text(self._text(settings))

    def _text(self, settings):
        wanted = {
            "": {
                "provider": PROVIDER,
                "center": CENTER_ADDRESS,
                "trust-root": self.files.root,
                "site-owner": self.files.owner,
                "state-dir": self.state_dir,
                "run-dir": self.run_dir,
            },
            "network": {},
            "token": {
                "module": MODULE,
                "label": self.files.label,
                "pin-file": self.files.pin_file,
                "softhsm-conf": self.files.softhsm,
            },
            "limits": {},
        }
        for key, value in settings.items():
            section, _, name = key.rpartition("__")
            wanted[section][name.replace("_", "-")] = value
        lines = []
        for section, keys in wanted.items():
            lines += [f"[{section}]"] if section else []
            lines += [f"{key} = {value}" for key, value in keys.items()]
        return "\n".join(lines) + "\n"

    def start(self):
        """Starts it; returns at once. wait_online() waits for the link to the center."""
        self.process = self.world.spawn(self.site, [self.program, "--config", str(self.config)],
            log=f"{self.site}.log")
        return self

    def stop(self):
        """Ends it as an administrator would: every connection is shut."""
        if self.process:
            self.process.stop(timeout=15)
            self.process = None

    def kill(self):
        """Ends all of its processes at once, as a power cut would."""
        for pid in self.pids().values():
            with contextlib.suppress(ProcessLookupError):  # it ended since
                os.kill(pid, signal.SIGKILL)
        if self.process:
            self.process.wait(10)
            self.process = None

    def ask(self, question, timeout=30):
        """One question to the local socket; LabError when there is no answer."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(timeout)
            try:
                link.connect(str(self.run_dir / "gateway.socket"))
                link.sendall(json.dumps(question).encode() + b"\n")
                answer = b""
                while not answer.endswith(b"\n"):
                    piece = link.recv(65536)
                    if not piece:
                        raise LabError(f"{self.site}: the gateway closed its socket")
                    answer += piece
            except OSError as error:
                raise LabError(f"{self.site}: {error}") from None
        return json.loads(answer)

    def status(self):
        return self.ask({"command": "status"})

    def state(self):
        """The state word, "" while the gateway does not answer."""
        try:
            return self.status().get("state", "")
        except LabError:
            return ""

    def state_text(self):
        """What the gateway says of its link, "" while it does not answer."""
        try:
            return self.status().get("state_text", "")
        except LabError:
            return ""

    def wait_state(self, state, timeout=30):
        wait_for(lambda: self.state() == state, timeout, f"gateway {self.site} is {state}", 0.05)

    def wait_online(self, timeout=30):
        """Connected, with charon and packet filter ready and a policy active."""
        def ready():
            try:
                status = self.status()
            except LabError:
                return False
            return (status.get("state") == "online" and status.get("charon")
                and status.get("filter") and status.get("policy_version", 0) > 0)
        try:
            wait_for(ready, timeout, f"gateway {self.site} is ready", 0.05)
        except LabError as error:
            raise LabError(f"{error}; {self._why_not()}") from None

    def _why_not(self):
        """What it says of itself, for who looks for the reason."""
        try:
            status = self.status()
        except LabError as error:
            return f"{error}: {self.log()[-600:]}"
        return ", ".join(f"{key} {status.get(key)!r}" for key in ("state", "state_text", "charon",
            "filter", "policy_version", "last_error"))

    def leases(self):
        """The elements of the lease map, as nft prints them."""
        done = self.world.run(self.site, ["nft", "-j", "list", "map", "ip", "sekisho", "lease"],
            check=False)
        if done.returncode:
            return None
        for item in json.loads(done.stdout)["nftables"]:
            if "map" in item:
                return item["map"].get("elem", [])
        return []

    def marks(self):
        """The numbers of the connections that the packet filter lets through; None: no table."""
        elements = self.leases()
        return None if elements is None else {int(mark) for _, mark in elements}

    def dropped(self, counter):
        """Packets that the rules of one counter of the packet filter dropped ("c_zone", "c_open")."""
        done = self.world.run(self.site, ["nft", "-j", "list", "counter", "ip", "sekisho", counter])
        return next(item["counter"]["packets"] for item in json.loads(done.stdout)["nftables"]
            if "counter" in item)

    def pids(self):
        """Its processes by name, charon and the token servers' children among them."""
        found = {}
        if self.process:
            found["main"] = self.process.pid
            for pid in _children(self.process.pid):
                with contextlib.suppress(OSError):  # it ended between the two looks
                    found[_process_name(pid)] = pid
        return found

    def log(self):
        return self.process.text() if self.process else ""

    def forget(self):
        """Removes what it kept, as a new device would be; the token stays."""
        shutil.rmtree(self.state_dir, ignore_errors=True)


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _process_name(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().decode(errors="replace").split("\0")
    if "--process" in words:
        return words[words.index("--process") + 1]
    for word in words:
        if word.endswith(".socket"):
            return os.path.basename(word)[:-len(".socket")]
    return os.path.basename(words[0])
