"""Who took over a center: its keys, its TLS identity, and grants of its own making.

    forge = Forge(stage, stage.pki.center_files().provider, "grant")
    jws = forge.grant(grant_make(stage, "device-maker/terminal", "core-hospital/ct"))
    with FakeCenter(stage) as center:              # after stage.center.stop()
        center.wait_streams(["core-hospital"])
        center.send("core-hospital", "grant", {"grant": jws,
            "certificate": certificate_text(stage, serial)})  # the peer's
        center.wait_report("core-hospital", identity, "refused")

The programs are tests/tools/forge and tests/tools/fake_center.
"""

import base64
import contextlib
import json
import os
import random
import secrets
import sqlite3
import subprocess
import time

from lab.center import PROVIDER
from lab.softhsm import MODULE
from lab.stage import gateway_name
from lab.world import LabError, wait_for

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def canonical(value):
    """JSON as it is sealed: keys sorted, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def stamp(offset=0.0):
    """RFC 3339 with milliseconds, `offset` seconds from now."""
    moment = int((time.time() + offset) * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1000)) + f".{moment % 1000:03}Z"


def identity_new():
    """A fresh id as the center makes them: time and chance in Crockford's base 32."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(CROCKFORD[(number >> 5 * place) & 31] for place in range(25, -1, -1))


def tool(stage, name):
    return stage.build / "tests" / "tools" / name


class Forge:
    """Signs anything with one key of a token; `token` has softhsm, label and pin_file."""

    def __init__(self, stage, token, key):
        self.process = subprocess.Popen([str(tool(stage, "forge")), MODULE, token.label,
            str(token.pin_file), key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, SOFTHSM2_CONF=str(token.softhsm)))
        # SoftHSM writes a token's file at every login; who opens it at that moment finds no token.
        # So nobody else is started before this one has logged in.
        self.spki = self("spki")

    def __call__(self, do, **order):
        self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise LabError("forge ended: " + str(self.process.wait()))
        answer = json.loads(line)
        if not answer["ok"]:
            raise LabError(f"forge {do}: {answer['error']}")
        return answer["out"]

    def seal(self, typ, payload):
        return self("seal", typ=typ, payload=payload if isinstance(payload, str)
            else canonical(payload))

    def grant(self, payload):
        return self.seal("sekisho-grant", payload)

    def lease(self, payload):
        return self.seal("sekisho-lease", payload)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Place:
    """A token of the ceremony as Forge wants it."""

    def __init__(self, stage, store, label):
        token = stage.pki.token(store, label)
        self.softhsm, self.label = stage.pki.store(store).config, token.label
        self.pin_file = token.pin_file


class Rogue:
    """Authorities that nobody accredited: a root of their own, a device CA and a service CA. The
    certificates as PEM in `root`, `device_ca`, `service_ca`; `issue("device-ca", kind=…)` signs."""

    KEYS = ("root", "device-ca", "service-ca")

    def __init__(self, stage):
        place = Place(stage, "rogue", "rogue")
        token = stage.pki.token("rogue", "rogue")
        for number, key in enumerate(self.KEYS):
            stage.pki.store("rogue").key(token, key, f"{number + 1:02}")
        self.forges = {key: Forge(stage, place, key) for key in self.KEYS}
        dates = {"organization": "Rogue", "not_before": stamp(-3600), "not_after": stamp(86400)}
        self.certificates = {"root": self.forges["root"]("root", common_name="Rogue Root", **dates)}
        for key in self.KEYS[1:]:
            self.certificates[key] = self.forges["root"]("cert", ca=self.certificates["root"],
                kind=key, spki=self.forges[key].spki, common_name=f"Rogue {key}", **dates)

    def issue(self, ca, **order):
        return self.forges[ca]("cert", ca=self.certificates[ca], **order)

    def close(self):
        for forge in self.forges.values():
            forge.close()


def grant_make(stage, source, target, service="remote-maintenance", protocol="tcp", port=104,
        epoch=1, duration=600, lease=60):
    """The payload of a grant as the center would make it; change what is to be wrong."""
    def end(node):
        site, _, host = node.partition("/")
        certificate = stage.gateways[site].status()["certificate"]
        place = stage.world.sites[site]
        return {"site": site, "gateway": gateway_name(site), "identity": certificate["identity"],
            "serial": certificate["serial"], "address": "any" if place.nat else place.wan,
            "host": host, "service": stage.service(node)}
    initiator, responder = end(source), end(target)
    return {"v": 1, "id": identity_new(), "number": random.randrange(1 << 20, 1 << 31),
        "provider": PROVIDER, "epoch": epoch, "class": service, "person": "mallory",
        "initiator": initiator, "responder": responder,
        "ike": "responder" if responder["address"] == "any" else "initiator",
        "protocol": protocol, "port": port, "issued_at": stamp(), "not_before": stamp(),
        "not_after": stamp(duration), "lease_sec": lease,
        "work_order": "", "emergency": False, "outage": False, "idle_sec": 0,
        "policy": {"provider": 1, "initiator": 1, "responder": 1}}


def certificate_text(stage, serial):
    """A service certificate that the center issued, as it goes beside a grant. The center, which
    keeps its database to itself, has to be stopped."""
    with contextlib.closing(sqlite3.connect(stage.center.state / "center.db")) as database:
        row = database.execute("SELECT der FROM certificates WHERE tier = 2 AND serial = ?",
            (serial,)).fetchone()
    if not row:
        raise LabError(f"the center has issued no certificate {serial}")
    return base64.b64encode(row[0]).decode()


def lease_make(grant, seq, epoch=1, ttl=60, **more):
    return {"v": 1, "grant": grant, "provider": PROVIDER, "epoch": epoch, "seq": seq,
        "issued_at": stamp(), "ttl_sec": ttl, **more}


class FakeCenter:
    """Stands where the real center stood, with its certificate and the key in its token."""

    def __init__(self, stage):
        self.stage = stage
        self.process = None

    def __enter__(self):
        self.process = self.stage.world.spawn("center", [tool(self.stage, "fake_center"),
            self.stage.center.config], log="fake-center.log", stdin=subprocess.PIPE,
            ready="listening")
        return self

    def __exit__(self, kind, error, trace):
        self.process.popen.stdin.close()
        self.process.stop()

    def lines(self, word, site):
        """What the site's gateway sent of this kind, in order."""
        start = f"{word} {gateway_name(site)} "
        return [line[len(start):] for line in self.process.text().split("\n")[:-1]
            if line.startswith(start)]

    def send(self, site, event, data):
        """`data` is JSON, or the text of it. Site "*" is everybody."""
        name = site if site == "*" else gateway_name(site)
        text = data if isinstance(data, str) else json.dumps(data)
        self.process.popen.stdin.write(f"{name} {event} {text}\n".encode())
        self.process.popen.stdin.flush()

    def wait_streams(self, sites, timeout=30):
        for site in sites:
            wait_for(lambda: self.lines("stream", site), timeout, f"{site} comes to the new center")

    def hello(self, site="*", epoch=1):
        self.send(site, "hello", {"time": stamp(), "epoch": epoch, "heartbeat_sec": 10})

    def reports(self, site):
        found = []
        for line in self.lines("report", site):
            found += json.loads(line)["reports"]
        return found

    def wait_report(self, site, identity, timeout=5):
        """The first report about this connection."""
        def first():
            return next((report for report in self.reports(site)
                if report.get("id") == identity), None)
        return wait_for(first, timeout, f"{site} reports about {identity}")

    def records(self, site):
        """The journal as it came, as records; the key "seq" is added."""
        return journal_records(self.lines("journal", site))

    def wait_record(self, site, predicate, what, timeout=5, skip=0):
        """The first record after `skip` others that the predicate takes."""
        def first():
            return next((record for record in self.records(site)[skip:] if predicate(record)), None)
        return wait_for(first, timeout, f"{site} writes into its journal: {what}")


def journal_records(bodies):
    """Bodies of POST /journal to records; what was sent twice counts once. A link is a number and a
    hash of 40 bytes together, then the record."""
    found = {}
    for body in bodies:
        for text in json.loads(body)["records"]:
            link = base64.b64decode(text)
            seq = int.from_bytes(link[:8], "big")
            found[seq] = dict(json.loads(link[40:]), seq=seq)
    return [found[seq] for seq in sorted(found)]
