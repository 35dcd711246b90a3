"""A web server with TLS for records and bookings on a host of the world, and curl to speak with it.

    portal = RecordServer(world, "portal/web", own.server("portal.example")).start()
    portal.ask("patient/tablet", "/", own.person("hanako", "patient"), address="100.64.9.10")
"""

import time
from dataclasses import dataclass

from lab.world import REPOSITORY, wait_for

PORT = 443
# What curl ends with: no connection was made, none in time; TLS was refused by us, or by the server.
UNREACHED, TIMED_OUT = 7, 28
TLS_REFUSED = (35, 55, 56, 58, 60)


@dataclass(frozen=True)
class Answer:
    status: int  # 0: none came
    text: str
    ended: int  # curl's exit status
    said: str

    def __str__(self):
        return f"{self.status}, curl ended with {self.ended} {self.said}: {self.text[:200]}"


class RecordServer:
    """lab/record_server.py on a host, with the server's Credentials."""

    def __init__(self, world, node, credentials, port=PORT):
        self.world, self.node, self.port = world, node, port
        self.credentials = credentials
        self.process = None

    def start(self):
        own = self.credentials
        self.process = self.world.spawn(self.node, ["/usr/bin/python3",
            REPOSITORY / "lab" / "record_server.py", self.world.address(self.node), self.port,
            own.certificate, own.key, own.authority], ready="listening")
        return self

    def argv(self, path, person=None, address=None, timeout=5, authority=None):
        """The command line of curl that asks as the person (Credentials; None: without a
        certificate), for run() or spawn() on any node. `timeout` is for the connection."""
        name, address = self.credentials.name, address or self.world.address(self.node)
        argv = ["curl", "-q", "--noproxy", "*", "--silent", "--show-error", "--no-buffer",
            "--connect-timeout", timeout, "--cacert", authority or self.credentials.authority,
            "--resolve", f"{name}:{self.port}:{address}"]
        if person:
            argv += ["--cert", person.certificate, "--key", person.key]
        return argv + [f"https://{name}:{self.port}{path}"]

    def ask(self, node, path, person=None, data=None, kind="text/plain; charset=utf-8", timeout=5,
            **options):
        """One request from a node: GET, or POST of `data` (text, or a file's path). An Answer."""
        argv = self.argv(path, person, timeout=timeout, **options)
        if data is not None:
            body = data if isinstance(data, str) else f"@{data}"
            argv += ["--header", f"Content-Type: {kind}", "--header", "Expect:", "--data-binary",
                body]
        done = self.world.run(node, argv + ["--max-time", timeout + 15, "--write-out",
            "\n%{http_code}"], timeout=timeout + 30, check=False)
        text, _, status = done.stdout.rpartition("\n")
        return Answer(int(status or 0), text, done.returncode, done.stderr.strip()[-300:])

    def accesses(self):
        """What it has answered, as (address, name, kind, method, path, status)."""
        return [(*words[1:6], int(words[6])) for words in map(str.split,
            self.process.text().splitlines()) if words and words[0] == "access"]

    def refusals(self):
        """Addresses of those who had no good certificate."""
        return [line.split()[1] for line in self.process.text().splitlines()
            if line.startswith("refused ")]


def live_stopped(page, quiet=1.0):
    """Waits until a page of /live says nothing any more: ten lines that it misses. What had come
    before the cut may still be on its way from curl to its log."""
    def stopped():
        said = len(page.text())
        time.sleep(quiet)
        return len(page.text()) == said
    wait_for(stopped, 5 * quiet, "the page stops")
