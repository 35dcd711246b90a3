"""What the benchmarks share: figures, how they are printed, the operator's kept-alive connection.

A benchmark's result are its last lines, `figure NAME VALUE UNIT`; what stands before them explains.
"""

import http.client
import json
import math
import socket
import ssl
import sys

from lab.center import OPERATOR_PORT, ApiError
from lab.world import LabError, missing


def percentile(values, part):
    """The value that `part` (0 to 1) of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def spread(name, values, unit="ms", digits=2):
    """One line for people: how the values lie."""
    print(f"{name:34} n {len(values):4}  min {min(values):.{digits}f}  median "
        f"{median(values):.{digits}f}  p95 {percentile(values, 0.95):.{digits}f}  p99 "
        f"{percentile(values, 0.99):.{digits}f}  max {max(values):.{digits}f} {unit}", flush=True)


def figure(name, value, unit, digits=3):
    print(f"figure {name} {value:.{digits}f} {unit}", flush=True)


def need_world():
    """Ends the benchmark with the reason when no world can be built here."""
    reason = missing()
    if reason:
        sys.exit(f"this cannot be measured here: {reason}")


class Operator:
    """One kept-alive TLS connection to the center's operator interface, as a portal has it."""

    def __init__(self, stage):
        center = stage.center
        self.token = center.token
        context = ssl.create_default_context(cafile=center.files.root)
        context.check_hostname = False
        plain = stage.world.socket("center", socket.AF_INET, socket.SOCK_STREAM)
        plain.settimeout(30)
        plain.connect(("127.0.0.1", OPERATOR_PORT))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link = http.client.HTTPConnection("127.0.0.1", OPERATOR_PORT)
        self.link.sock = context.wrap_socket(plain)

    def __call__(self, method, path, body=None):
        # One write for head and body, as a client in C would.
        data = json.dumps(body).encode() if body is not None else b""
        head = (f"{method} /api/v1{path} HTTP/1.1\r\nHost: center\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n")
        self.link.sock.sendall(head.encode() + data)
        answer = http.client.HTTPResponse(self.link.sock, method=method)
        answer.begin()
        text = answer.read()
        if answer.status >= 400:
            raise ApiError(answer.status, json.loads(text) if text else {})
        if answer.will_close:
            raise LabError("the center closed the operator's connection")
        return json.loads(text) if text else {}
