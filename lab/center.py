"""The provider's center of the world: its configuration, its processes, its operator interface.

    center = Center(world, files, "build/src/center/sekisho-center")
    center.start()
    center.api("POST", "/connections", {...})
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import ssl
from dataclasses import dataclass

from lab.softhsm import MODULE
from lab.world import CENTER_ADDRESS, LabError, wait_for

PROVIDER = "regional-vpn"
OPERATOR_PORT = 8445
PUBLIC_PORT = 8080
METRICS_PORT = 9464


@dataclass(frozen=True)
class CenterToken:
    softhsm: str
    label: str
    pin_file: str


@dataclass(frozen=True)
class CenterFiles:
    """What the ceremony made for the center."""

    root: str
    device_ca: str
    service_ca: str
    ocsp: str
    tls_chain: str
    tls: CenterToken
    ca: CenterToken
    provider: CenterToken


class ApiError(LabError):
    """The center's refusal: `status` and the problem as it came."""

    def __init__(self, status, problem):
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', problem)}")
        self.status, self.problem = status, problem

    def __reduce__(self):
        return ApiError, (self.status, self.problem)  # it may cross a process


class Center:
    def __init__(self, world, files, program, node="center", **settings):
        """`node` is where it runs, and the name of its directory."""
        self.world, self.files, self.program, self.node = world, files, str(program), node
        self.config = world.path(node, "center.conf")
        self.state = world.path(node, "state", "x").parent
        self.token_file = world.path(node, "first.token")
        self.process = None
        self.config.write_text(self._text(settings))

    def _text(self, settings):
        files = self.files
        wanted = {
            "": {
                "provider": PROVIDER,
                "state": self.state,
                "checkpoint-copy": self.world.path(self.node, "copy", "checkpoint"),
                "first-token": self.token_file,
                "fronts": 1,
            },
            "listen": {
                "device": "0.0.0.0:8443",
                "enrol": "0.0.0.0:8444",
                "operator": f"0.0.0.0:{OPERATOR_PORT}",
                "public": f"0.0.0.0:{PUBLIC_PORT}",
                "metrics": f"127.0.0.1:{METRICS_PORT}",
            },
            "tls": {"chain": files.tls_chain, **_token(files.tls)},
            "ca-token": _token(files.ca),
            "provider-token": {key: value for key, value in _token(files.provider).items()
                if key != "softhsm-conf"},
            "trust": {
                "root": files.root,
                "device-ca": files.device_ca,
                "service-ca": files.service_ca,
                "ocsp-certificate": files.ocsp,
            },
            "certificates": {
                "crl-url": f"http://{CENTER_ADDRESS}:{PUBLIC_PORT}/crl/service.crl",
                "ocsp-url": f"http://{CENTER_ADDRESS}:{PUBLIC_PORT}/ocsp",
            },
        }
        for key, value in settings.items():
            section, _, name = key.rpartition("__")
            wanted.setdefault(section.replace("_", "-"), {})[name.replace("_", "-")] = value
        lines = []
        for section, keys in wanted.items():
            lines += [f"[{section}]"] if section else []
            lines += [f"{key} = {value}" for key, value in keys.items()]
        return "\n".join(lines) + "\n"

    def start(self, timeout=20):
        """Starts it and waits until it answers."""
        self.process = self.world.spawn(self.node, [self.program, "--config", str(self.config)],
            log=f"{self.node}.log")
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=20):
        def ready():
            if not self.process.alive():
                raise LabError(f"the center ended: {self.process.text()[-1500:]}")
            try:
                return self.public("GET", "/health")[0] == 200
            except (OSError, LabError):
                return False
        wait_for(ready, timeout, "the center answers", 0.05)

    def stop(self):
        if self.process:
            self.process.stop(timeout=10)
            self.process = None

    def kill(self):
        """Ends all of its processes at once, as a power cut would."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def pids(self):
        """Its processes by name."""
        found = {"main": self.process.pid}
        for pid in _children(self.process.pid):
            with contextlib.suppress(OSError):  # it ended between the two looks
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                found[next((word for word in words if word in ("front", "core", "signer")),
                    words[0])] = pid
        return found

    @property
    def token(self):
        return self.token_file.read_text().strip()

    def api(self, method, path, body=None, token=None, raw=None, timeout=30):
        """One call of the operator interface; returns the JSON answer. A refusal is an ApiError."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        elif raw is not None:
            data = raw.encode() if isinstance(raw, str) else raw
            headers["Content-Type"] = "application/octet-stream"
        status, text = self.world.call(self.node, _https, "127.0.0.1", OPERATOR_PORT,
            self.files.root, method, "/api/v1" + path, data, headers, timeout=timeout)
        answer = json.loads(text) if text else {}
        if status >= 400:
            raise ApiError(status, answer)
        return answer

    def together(self, work, timeout=60):
        """Calls work(api) in the center's network, where api(method, path, body, token=None) is as
        above, and returns its result: many calls over one connection."""
        return self.world.call(self.node, _work, "127.0.0.1", OPERATOR_PORT, self.files.root,
            self.token, work, timeout=timeout)

    def public(self, method, path, body=None, timeout=10):
        """Status and body of a call on the public listener."""
        return self.world.call(self.node, _http, "127.0.0.1", PUBLIC_PORT, method, path, body,
            timeout=timeout)

    def metrics(self):
        """The metrics by name (with labels, as printed)."""
        _, text = self.world.call(self.node, _http, "127.0.0.1", METRICS_PORT, "GET", "/metrics",
            None)
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.decode().splitlines() if line and not line.startswith("#")}

    def log(self):
        return self.process.text() if self.process else ""


def _token(token):
    return {"module": MODULE, "label": token.label, "pin-file": token.pin_file,
        "softhsm-conf": token.softhsm}


def _https(host, port, root, method, path, body, headers):
    context = ssl.create_default_context(cafile=root)
    context.check_hostname = False  # reached over loopback; the chain is checked
    link = http.client.HTTPSConnection(host, port, context=context, timeout=20)
    link.request(method, path, body, headers)
    answer = link.getresponse()
    return answer.status, answer.read()


def _work(host, port, root, own, work):
    context = ssl.create_default_context(cafile=root)
    context.check_hostname = False
    link = http.client.HTTPSConnection(host, port, context=context, timeout=20)

    def api(method, path, body=None, token=None):
        link.request(method, "/api/v1" + path, json.dumps(body or {}), {"Authorization":
            f"Bearer {token or own}", "Content-Type": "application/json"})
        answer = link.getresponse()
        text = answer.read()
        found = json.loads(text) if text else {}
        if answer.status >= 400:
            raise ApiError(answer.status, found)
        return found
    return work(api)


def _http(host, port, method, path, body):
    link = http.client.HTTPConnection(host, port, timeout=10)
    link.request(method, path, body)
    answer = link.getresponse()
    return answer.status, answer.read()


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []  # it ended just now
