#!/usr/bin/env python3
"""What a center does, driven over its real interfaces: real TLS, real tokens, one machine.

Shows: procedure a to l with its twelve records and its refusals, enrolment by EST with approval, two
gateways on their event streams, a request that ends in the same sealed grant at both, armed, go, up,
renewals, a cut; a denial with its reasons; a revocation that ends what rests on it; restarts of each
process; and at the end the whole ledger checked against its signed head by this script alone.

    run.py CENTER CEREMONY        needs softhsm2, openssl; ports 29440 to 29444 on loopback
"""

import base64
import ctypes
import hashlib
import http.client
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))
from lab.people import People, agreement  # noqa: E402
from lab.softhsm import MODULE, TokenStore  # noqa: E402
from lab.tap import Bail, Tap, expect  # noqa: E402

CENTER, CEREMONY = sys.argv[1:3]
PORTS = {"device": 29440, "enrol": 29441, "operator": 29442, "public": 29443, "metrics": 29444}
PROVIDER = "regional-vpn"
SITES = {"core-hospital": ("gw-core", "AC000017"), "device-maker": ("gw-maker", "AC000018")}


def stamp(offset):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + offset))


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Stage:
    """Keys, certificates and a running center in a directory of its own."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sekisho-center-"))
        self.out = self.dir / "pki"
        self.out.mkdir()
        (self.dir / "state").mkdir()
        self.own_disk = self.mount_state()
        (self.dir / "copy").mkdir()
        self.store = TokenStore(self.dir / "tokens")
        for label in ("offline", "ca", "provider", "tls"):
            self.store.token(label)
        self.tool("all", PROVIDER)
        self.process = None
        self.token_file = self.dir / "copy" / "first.token"
        self.tokens = {}
        self.config = self.dir / "center.conf"
        self.write_config()

    def mount_state(self):
        """A small disk for the state, seen by this process and its children only."""
        if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(0x00020000) != 0:
            return False
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", self.dir / "state"],
            check=True)
        return True

    def write_config(self, **more):
        out, store = self.out, self.store
        token = lambda label: (f"module = {MODULE}\nlabel = {label}\n"
                               f"pin-file = {store.directory}/{label}.pin\n")
        listen = "".join(f"{k} = 127.0.0.1:{v}\n" for k, v in PORTS.items())
        self.config.write_text(
            f"provider = {PROVIDER}\nstate = {self.dir}/state\nfronts = 2\n"
            f"log-level = {more.get('log_level', 'info')}\n"
            f"checkpoint-copy = {self.dir}/copy/checkpoint\nfirst-token = {self.token_file}\n"
            f"[listen]\n{listen}"
            f"[tls]\nchain = {out}/server.pem\nsofthsm-conf = {store.config}\n{token('tls')}"
            f"[ca-token]\nsofthsm-conf = {store.config}\n{token('ca')}"
            f"[provider-token]\n{token('provider')}"
            f"[trust]\nroot = {out}/root.pem\ndevice-ca = {out}/device-ca.pem\n"
            f"service-ca = {out}/service-ca.pem\nocsp-certificate = {out}/ocsp.pem\n"
            f"[certificates]\ncrl-url = http://127.0.0.1:{PORTS['public']}/crl/service.crl\n"
            f"ocsp-url = http://127.0.0.1:{PORTS['public']}/ocsp\n")

    def tool(self, *args, stdin=None):
        done = subprocess.run([CEREMONY, self.store.directory, self.out, *args], input=stdin,
            capture_output=True, text=True, env=dict(os.environ, **self.store.environment()))
        if done.returncode:
            raise Bail(f"ceremony {args[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def spki(self, name):
        return (self.out / f"{name}.spki").read_text()

    def start(self):
        self.log = open(self.dir / "center.log", "ab")
        self.process = subprocess.Popen([CENTER, "-c", str(self.config)], stdout=self.log,
            stderr=self.log)
        self.wait()

    def wait(self, timeout=15):
        until = time.time() + timeout
        while time.time() < until:
            try:
                if public("GET", "/health")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Bail("the center did not become ready: " + self.log_end())

    def log_end(self):
        return (self.dir / "center.log").read_text()[-3000:]

    def pid_of(self, name):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = []
        for pid in children.read_text().split():
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if "--process" in words and words[words.index("--process") + 1] == name:
                found.append(int(pid))
        return found

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(timeout=15)
            self.process = None
            return code

    def close(self):
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.own_disk:
            subprocess.run(["umount", "--lazy", self.dir / "state"], check=False)
        if os.environ.get("KEEP"):
            print(f"# kept {self.dir}")
        else:
            shutil.rmtree(self.dir)


def public(method, path, body=None, headers=None, port="public"):
    link = http.client.HTTPConnection("127.0.0.1", PORTS[port], timeout=10)
    link.request(method, path, body=body, headers=headers or {})
    answer = link.getresponse()
    return answer.status, answer.read()


def tls_context(stage, cert=None, key=None):
    context = ssl.create_default_context(cafile=str(stage.out / "root.pem"))
    if cert:
        context.load_cert_chain(cert, key)
    return context


def tls_call(stage, port, method, path, body=None, headers=None, cert=None, key=None):
    link = http.client.HTTPSConnection("127.0.0.1", PORTS[port], timeout=20,
        context=tls_context(stage, cert, key))
    link.request(method, path, body=body, headers=headers or {})
    answer = link.getresponse()
    return answer.status, answer.read(), answer.headers


def api(stage, method, path, body=None, who="first", want=None):
    data = body
    if isinstance(body, (dict, list)):
        data = json.dumps(body)
    status, text, _ = tls_call(stage, "operator", method, "/api/v1" + path, data,
        {"Authorization": f"Bearer {stage.tokens[who]}"})
    answer = json.loads(text) if text else {}
    if want is not None:
        expect(status == want, f"{method} {path}: {status}, not {want}: {answer}")
    return answer if want is not None else (status, answer)


class Gateway:
    """Speaks as a gateway does; its keys are files, because the center cannot see where they are."""

    def __init__(self, stage, name, serial):
        self.stage, self.name = stage, name
        self.base = stage.out / name
        self.device_key = self.make_key("device")
        subprocess.run(["openssl", "pkey", "-in", self.device_key, "-pubout", "-outform", "DER", "-out",
            f"{self.base}.spki.der"], check=True)
        stage.tool("device", name, serial)
        self.device_cert = f"{self.base}.device.pem"
        self.information = pathlib.Path(f"{self.base}.information.jws").read_text().strip()
        self.service_key = self.make_key("service")
        self.service_cert = f"{self.base}.service.pem"
        self.events = queue.Queue()
        self.link = None

    def make_key(self, name):
        path = f"{self.base}.{name}.key"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-out", path], check=True, capture_output=True)
        return path

    def csr(self, key=None):
        return subprocess.run(["openssl", "req", "-new", "-key", key or self.service_key, "-subj",
            f"/CN={self.name}", "-outform", "DER"], check=True, capture_output=True).stdout

    def est(self, path, cert=None, key=None, csr=None):
        return tls_call(self.stage, "enrol", "POST", f"/.well-known/est/{PROVIDER}/{path}",
            base64.encodebytes(csr or self.csr_bytes), {"Content-Type": "application/pkcs10",
                "Sekisho-Device-Information": self.information}, cert or self.device_cert,
            key or self.device_key)

    def keep(self, body):
        der = f"{self.base}.p7"
        pathlib.Path(der).write_bytes(base64.b64decode(body))
        pem = subprocess.run(["openssl", "pkcs7", "-inform", "DER", "-in", der, "-print_certs"],
            check=True, capture_output=True, text=True).stdout
        pathlib.Path(self.service_cert).write_text(pem)

    def call(self, method, path, body=None):
        status, text, _ = tls_call(self.stage, "device", method, "/device/v1" + path,
            json.dumps(body) if body is not None else None, None, self.service_cert,
            self.service_key)
        return status, json.loads(text) if text else {}

    def connect(self, address):
        self.link = http.client.HTTPSConnection("127.0.0.1", PORTS["device"], timeout=40,
            context=tls_context(self.stage, self.service_cert, self.service_key))
        self.link.request("GET", f"/device/v1/stream?address={address}&version=0.1&dataplane=libipsec"
            "&journal=0&checkpoint=0")
        answer = self.link.getresponse()
        expect(answer.status == 200, f"stream: {answer.status}")
        self.events = queue.Queue()
        threading.Thread(target=self._read, args=(answer, self.events), daemon=True).start()

    def _read(self, answer, events):
        name = None
        try:
            for raw in answer:
                line = raw.decode().rstrip("\n")
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    events.put((time.monotonic(), name, json.loads(line[5:])))
        except (OSError, http.client.HTTPException, ValueError):
            pass
        events.put((time.monotonic(), "end", None))

    def event(self, name, timeout=5, match=None):
        until = time.monotonic() + timeout
        while True:
            try:
                when, got, data = self.events.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.name}: no event {name} within {timeout} s") from None
            if got == name and (match is None or match(data)):
                self.when = when
                return data

    def report(self, kind, ident, **more):
        status, answer = self.call("POST", "/report", {"reports": [{"type": kind, "id": ident, **more}]})
        expect(status == 200, f"report: {status} {answer}")


def statement(stage, role, ident, keys, seq=1, state="granted"):
    payload = {"v": 1, "seq": seq, "role": role, "id": ident, "state": state,
        "not_before": stamp(-3600), "not_after": stamp(86400), "issued_at": stamp(-1),
        "keys": [{"use": use, "spki": stage.spki(key)} for use, key in keys]}
    return stage.tool("seal", "root", "sekisho-statement", stdin=canonical(payload))


PROVIDER_POLICY = f"""sekisho provider-policy 1
provider {PROVIDER}
version 1
pool 100.64.0.0/10
site core-hospital prefix 100.64.2.0/24
site device-maker prefix 100.64.3.0/24
class remote-maintenance duration 2h lease 3s
class results-delivery
class mail
group a sites core-hospital device-maker classes remote-maintenance results-delivery
test permit from device-maker to core-hospital class remote-maintenance
test deny from device-maker to core-hospital class mail
"""

SITE_POLICIES = {
    "core-hospital": """sekisho site-policy 1
site core-hospital
version 1
host ct address 192.168.10.20 service 100.64.2.20
host pacs address 192.168.10.30 service 100.64.2.30
allow ct-dicom from device-maker/terminal to ct class remote-maintenance
  protocol tcp port 104 duration 1h approval standing factor one
allow results from device-maker/terminal to pacs class results-delivery protocol tcp port 443
  idle 1m open traffic
allow asked from device-maker/terminal to pacs class results-delivery protocol tcp port 444 idle 1m
test permit from device-maker/terminal to ct class remote-maintenance protocol tcp port 104
""",
    "device-maker": """sekisho site-policy 1
site device-maker
version 1
host terminal address 10.0.0.10 service 100.64.3.10
allow out from terminal to core-hospital/* class remote-maintenance protocol tcp port 104
  approval standing factor one
allow results from terminal to core-hospital/pacs class results-delivery protocol tcp port 443-444
  idle 1m open traffic
test permit from terminal to core-hospital/ct class remote-maintenance protocol tcp port 104
""",
}

ASK = {"from": "terminal", "to": "core-hospital/ct", "class": "remote-maintenance",
    "protocol": "tcp", "port": 104, "duration_sec": 600, "person": "suzuki"}


FIRST = {"from": "terminal", "site": "core-hospital", "address": "100.64.2.30", "protocol": "tcp",
    "port": 443}


def first_traffic(stage, core, maker):
    """protocol.md 3.1, by gateways that say what they like."""
    def ask(gateway=maker, want=403, **changes):
        status, answer = gateway.call("POST", "/traffic", {**FIRST, **changes})
        expect(status == want, f"{changes}: {status} {answer}")
        return answer

    def end(identity, **more):
        core.report("closed", identity, reason="because", **more)
        maker.report("closed", identity, reason="because")
        expect(api(stage, "GET", f"/connections/{identity}", want=200)["state"] == "closed", identity)

    for changes in ({"person": "suzuki"}, {"address": "pacs"}, {"port": 0}, {"protocol": "sctp"},
            {"from": "core-hospital/pacs"}):
        ask(want=400, **changes)
    for changes in ({"from": "nobody"}, {"address": "100.64.2.99"}, {"address": "100.64.2.20"},
            {"port": 445}, {"protocol": "udp"}, {"site": "nowhere"}, {"site": "device-maker"}):
        expect("no rule" in ask(**changes)["detail"], str(changes))
    expect("no rule" in ask(core)["detail"], "the other site's gateway asks in the host's name")
    refused = ask(port=444)
    expect([layer["layer"] for layer in refused["layers"] if layer["verdict"] == "deny"]
        == ["responder-site"] and "on request only" in refused["detail"], str(refused))
    opened = ask(want=201)["id"]
    grant = payload_of(core.event("grant", match=lambda e: payload_of(e["grant"])["id"] == opened)["grant"])
    expect(grant["person"] == "" and grant["idle_sec"] == 60, str(grant))
    record = [item["record"] for item in ledger(stage) if item["record"]["kind"] == "connection.requested"
        and item["record"]["subject"] == opened][0]
    expect(record["actor"] == {"type": "gateway", "name": maker.name}
        and record["data"]["cause"] == "first traffic", str(record))
    expect(ask(want=200)["id"] == opened, "it is there")
    end(opened)  # as when it is idle
    opened = ask(want=201)["id"]
    end(opened, local=True)
    expect(f"{core.name} has cut" in ask()["detail"], "after a cut")
    # Somebody asks, then traffic may again.
    status, answer = maker.call("POST", "/connections", {**ASK, "to": "core-hospital/pacs", "port": 443,
        "class": "results-delivery", "person": ""})
    expect(status == 201, f"{status} {answer}")
    end(answer["id"])
    opened = ask(want=201)["id"]
    end(opened)
    # A cut that is heard of when all is over; and not that of a gateway that has no part in it.
    maker.report("closed", "01J00000000000000000000000", reason="because", local=True)
    core.report("closed", opened, reason="because", local=True)
    expect("has cut" in ask()["detail"], "after a cut that came late")
    found = [maker.call("POST", "/traffic", FIRST)[0] for _ in range(60)]
    expect(set(found) == {403, 429} and found[-1] == 429, str(found))


def settle(stage):
    """The people of both organizations, and what they agreed on."""
    def call(method, path, body=None, token=None):
        status, text, _ = tls_call(stage, "operator", method, "/api/v1" + path, json.dumps(body),
            {"Authorization": f"Bearer {token or stage.tokens['first']}"})
        expect(status < 300, f"{method} {path}: {status} {text}")
        return json.loads(text)
    people = People(call)
    people.add("director", "hospital", "system-administrator")
    people.add("manager", "maintainer", "service-network-administrator")
    people.add("suzuki", "maintainer", "service-engineer")
    people.agree(("director", "manager"), agreement("ct-care", ("hospital", "maintainer"),
        "remote-maintenance", ("core-hospital/ct", "device-maker/terminal"), {"tcp": [104, 22]}))
    people.agree(("director", "manager"), agreement("results", ("hospital", "maintainer"),
        "results-delivery", ("core-hospital/pacs", "device-maker/terminal"), {"tcp": [443, 444]}))
    for name in ("director", "manager"):
        stage.tokens[name] = people.session(name)


def payload_of(jws):
    part = jws.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes):
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node(root_of(hashes[:split]), root_of(hashes[split:]))


def included(leaf, index, size, proof):
    """RFC 9162 2.1.3.2."""
    here, last, value = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return None
        if here & 1 or here == last:
            value = node(other, value)
            while not here & 1 and here:
                here >>= 1
                last >>= 1
        else:
            value = node(value, other)
        here >>= 1
        last >>= 1
    return value if last == 0 else None


def ledger(stage):
    entries, cursor = [], 0
    while True:
        page = api(stage, "GET", f"/ledger/entries?from={cursor}&limit=500", want=200)
        entries += page["items"]
        if not page["next"]:
            return entries
        cursor = int(page["next"])


def run(tap, stage):
    with tap.case("starts, makes one first token, says health"):
        stage.start()
        stage.tokens["first"] = stage.token_file.read_text().strip()
        expect(stage.token_file.stat().st_mode & 0o777 == 0o600, "the token file is readable")
        status = api(stage, "GET", "/status", want=200)
        expect(status["provider"] == PROVIDER and status["signer"], str(status))

    with tap.case("without a token, or with another, nothing is said"):
        status, _, _ = tls_call(stage, "operator", "GET", "/api/v1/status")
        expect(status == 401, str(status))
        stage.tokens["wrong"] = "sekisho_" + "A" * 43
        expect(api(stage, "GET", "/status", who="wrong")[0] == 401, "a wrong token is good")

    with tap.case("operators get roles"):
        for name, roles in (("maker", ["maker:acme"]), ("ca", ["device-ca"]), ("auditor", ["auditor"]),
                ("core", ["site:core-hospital"]), ("dm", ["site:device-maker"])):
            answer = api(stage, "POST", "/operators", {"name": name, "roles": roles}, want=201)
            stage.tokens[name] = answer["token"]
        expect(api(stage, "POST", "/operators", {"name": "x", "roles": ["root"]})[0] == 400, "role")
        answer = api(stage, "POST", "/operators", {"name": "x", "roles": ["provider"], "colour": 1})
        expect(answer[0] == 400 and "colour" in answer[1]["detail"], str(answer))
        expect(api(stage, "POST", "/operators", {"name": "x", "roles": ["provider"]}, who="auditor")[0]
            == 403, "an auditor gives tokens")

    with tap.case("statements, revocation lists, organizations, sites, policies"):
        for jws in (statement(stage, "provider", PROVIDER, [("grant", "grant"), ("policy", "policy"),
                        ("checkpoint", "checkpoint")]),
                    statement(stage, "maker", "acme", [("device-information", "maker")]),
                    statement(stage, "device-ca", "smoke-device-ca", [("ca", "device-ca")]),
                    statement(stage, "service-ca", "smoke-service-ca", [("ca", "service-ca")])):
            api(stage, "POST", "/statements", jws, want=201)
        expect(api(stage, "POST", "/statements", jws)[0] == 400, "the same number twice")
        forged = stage.tool("seal", "maker", "sekisho-statement", stdin="{}")
        expect(api(stage, "POST", "/statements", forged)[0] == 400, "sealed by another key")
        api(stage, "POST", "/crls", (stage.out / "root.crl").read_bytes(), want=201)
        api(stage, "POST", "/crls", (stage.out / "device.crl").read_bytes(), who="ca", want=201)
        for name, kind in (("hospital", "hospital"), ("maintainer", "device-maintenance")):
            api(stage, "POST", "/organizations", {"name": name, "kind": kind, "title": name}, want=201)
        for name, organization in (("core-hospital", "hospital"), ("device-maker", "maintainer")):
            api(stage, "POST", "/sites", {"name": name, "organization": organization,
                "owner_spki": stage.spki("owner")}, want=201)
        api(stage, "POST", "/policies/provider",
            stage.tool("seal", "policy", "sekisho-provider-policy", stdin=PROVIDER_POLICY), want=201)
        for site, text in SITE_POLICIES.items():
            who = "core" if site == "core-hospital" else "dm"
            api(stage, "POST", f"/policies/site/{site}",
                stage.tool("seal", "owner", "sekisho-site-policy", stdin=text), who=who, want=201)
        again = stage.tool("seal", "owner", "sekisho-site-policy", stdin=SITE_POLICIES["core-hospital"])
        expect(api(stage, "POST", "/policies/site/core-hospital", again)[0] == 400, "same version")
        settle(stage)
        expect(api(stage, "POST", "/policies/site/core-hospital", again, who="dm")[0] == 404,
            "another site's policy")

    with tap.case("policies that wait for an organization's acknowledgement are listed to it alone (H11)"):
        listed = lambda who, query="": api(stage, "GET", "/policies/unacknowledged" + query, who=who,
            want=200)["items"]
        expect(listed("manager") == listed("director") == [], "what was signed for waits")
        for version in (2, 3):
            newer = SITE_POLICIES["core-hospital"].replace("\nversion 1\n", f"\nversion {version}\n")
            api(stage, "POST", "/policies/site/core-hospital", stage.tool("seal", "owner",
                "sekisho-site-policy", stdin=newer), who="core", want=201)
        found = listed("manager")
        expect([(row["site"], row["version"], row["active"]) for row in found]
            == [("core-hospital", 1, 3)] and stamp(0) < found[0]["due"] < stamp(15 * 86400), found)
        expect(listed("manager", "?limit=1") == found, "another page")
        expect(listed("manager", "?after=core-hospital") == [], "the page after the last")
        expect(listed("director") == [], "the own policy waits")
        for who in ("first", "auditor", "dm"):
            expect(api(stage, "GET", "/policies/unacknowledged", who=who)[0] == 403, who)
        acknowledge = "/policies/site/core-hospital/acknowledge"
        status, answer = api(stage, "POST", acknowledge, {"version": 2}, who="manager")
        expect(status == 409 and "version 3" in answer["detail"], f"{status} {answer}")
        expect(listed("manager") == found, "a refused one counts")
        api(stage, "POST", acknowledge, {"version": 3}, who="manager", want=200)
        expect(listed("manager") == [], "it waits still")

    gateways = {}
    with tap.case("procedure a to g: by its parties, in its order"):
        for site, (name, serial) in SITES.items():
            gateway = gateways[site] = Gateway(stage, name, serial)
            who = "core" if site == "core-hospital" else "dm"
            steps = f"/procedures/{name}"
            api(stage, "POST", "/procedures", {"gateway": name, "site": site}, who=who, want=201)
            certificate = {"certificate": pathlib.Path(gateway.device_cert).read_text()}
            status, answer = api(stage, "POST", f"{steps}/certificate", certificate, who="ca")
            expect(status == 409 and "step b" in answer["detail"], f"{status} {answer}")
            api(stage, "POST", f"{steps}/purchase", {"maker": "acme"}, who=who, want=201)
            status, answer = api(stage, "POST", f"{steps}/installed", who="maker")
            expect(status == 409 and "step c" in answer["detail"], f"{status} {answer}")
            altered = gateway.information[:-8] + "AAAAAAAA"
            status, answer = api(stage, "POST", f"{steps}/register", {"information": altered}, who="maker")
            expect(status == 400, f"altered information: {status}")
            status, _ = api(stage, "POST", f"{steps}/register", {"information": gateway.information},
                who="ca")
            expect(status == 403, "the device CA registers")
            leaf = api(stage, "POST", f"{steps}/register", {"information": gateway.information},
                who="maker", want=201)["leaf"]
            again = api(stage, "POST", f"{steps}/register", {"information": gateway.information},
                who="maker", want=200)["leaf"]
            expect(leaf == again, "a step done twice has two leaves")
            api(stage, "POST", f"{steps}/certificate", certificate, who="ca", want=201)
            api(stage, "POST", f"{steps}/installed", who="maker", want=201)
            api(stage, "POST", f"{steps}/delivered", who="maker", want=201)
            gateway.csr_bytes = gateway.csr()
            status, body, _ = gateway.est("simpleenroll")
            expect(status == 409 and b"step g" in body, f"enrolment before g: {status} {body}")
            api(stage, "POST", f"{steps}/use", who=who, want=201)

    with tap.case("EST: cacerts for all, enrolment for the registered device only"):
        status, body, _ = tls_call(stage, "enrol", "GET", "/.well-known/est/cacerts")
        expect(status == 200 and b"MI" in body, str(status))
        status, _, _ = tls_call(stage, "enrol", "POST", "/.well-known/est/simpleenroll", b"AAAA")
        expect(status == 401, f"no certificate: {status}")
        stranger = Gateway(stage, "gw-other", "AC999999")
        stranger.csr_bytes = stranger.csr()
        status, body, _ = stranger.est("simpleenroll")
        expect(status == 403, f"an unregistered device: {status} {body}")

    with tap.case("EST: 202 until a person approves, then the certificate; the same request again"):
        for gateway in gateways.values():
            status, _, headers = gateway.est("simpleenroll")
            expect(status == 202 and headers["Retry-After"], str(status))
            waiting = [item for item in api(stage, "GET", "/enrolments", want=200)["items"]
                if item["gateway"] == gateway.name]
            expect(len(waiting) == 1 and waiting[0]["state"] == "waiting", str(waiting))
            expect(api(stage, "POST", f"/enrolments/{waiting[0]['id']}/approve", who="core")[0] == 403,
                "a site approves")
            api(stage, "POST", f"/enrolments/{waiting[0]['id']}/approve", want=200)
            status, body, _ = gateway.est("simpleenroll")
            expect(status == 200, f"{status} {body}")
            status, again, _ = gateway.est("simpleenroll")
            expect(status == 200 and again == body, "the second answer is another")
            gateway.keep(body)

    with tap.case("tier 1 opens no stream, tier 2 enrols nobody"):
        gateway = gateways["core-hospital"]
        try:
            status, _, _ = tls_call(stage, "device", "GET", "/device/v1/connections", None, None,
                gateway.device_cert, gateway.device_key)
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            status = None
        expect(status is None, f"the device certificate got {status}")
        status, _, _ = gateway.est("simpleenroll", gateway.service_cert, gateway.service_key)
        expect(status == 403, f"the service certificate got {status}")

    core, maker = gateways["core-hospital"], gateways["device-maker"]
    with tap.case("streams begin with hello, trust, policy, checkpoint"):
        for gateway, address in ((core, "192.0.2.1"), (maker, "192.0.2.2")):
            gateway.connect(address)
            hello = gateway.event("hello")
            expect(hello["epoch"] == 1 and hello["heartbeat_sec"] == 10, str(hello))
            trust = gateway.event("trust")
            expect(len(trust["statements"]) == 4 and len(trust["crls"]) == 3, str(trust.keys()))
            policy = gateway.event("policy")
            expect(policy["site"].count(".") == 2, str(policy))
            gateway.event("checkpoint")

    with tap.case("a request is decided, granted, sealed, and goes its way until up"):
        began = time.monotonic()
        status, answer = maker.call("POST", "/connections", ASK)
        expect(status == 201 and "leaf" in answer, f"{status} {answer}")
        ident = answer["id"]
        events = [gateway.event("grant") for gateway in (core, maker)]
        grants = [event["grant"] for event in events]
        print(f"# request to both grants {max(core.when, maker.when) - began:.4f} s")
        expect(grants[0] == grants[1], "two grants")
        grant = payload_of(grants[0])
        expect(grant["id"] == ident and grant["ike"] == "initiator" and grant["port"] == 104 and
            grant["responder"]["service"] == "100.64.2.20" and grant["lease_sec"] == 3, str(grant))
        for event, peer in zip(events, ("initiator", "responder")):
            expect(bytes.fromhex(grant[peer]["serial"]) in base64.b64decode(event["certificate"]),
                f"not the certificate of the {peer}")
        for gateway in (core, maker):
            gateway.report("armed", ident)
        expect(maker.event("go")["id"] == ident, "go")
        for gateway in (core, maker):
            gateway.report("up", ident)
        live = core.call("GET", "/connections")[1]["items"]
        expect(len(live) == 1 and live[0]["state"] == "up", str(live))

    with tap.case("leases are renewed at both"):
        first = [payload_of(gateway.event("lease", 6)["lease"]) for gateway in (core, maker)]
        second = [payload_of(gateway.event("lease", 6)["lease"]) for gateway in (core, maker)]
        for one, two in zip(first, second):
            expect(one["grant"] == ident and two["seq"] > one["seq"], f"{one} {two}")

    with tap.case("the hospital's token sees it and cuts it; another's does not"):
        seen = api(stage, "GET", f"/connections/{ident}", who="core", want=200)
        expect(seen["state"] == "up" and seen["person"] == "suzuki", str(seen))
        expect(api(stage, "GET", f"/connections/{ident}", who="maker")[0] == 403, "a maker sees it")
        began = time.monotonic()
        api(stage, "POST", f"/connections/{ident}/cut", {"reason": "end of work"}, who="core", want=200)
        for gateway in (core, maker):
            cut = gateway.event("cut", match=lambda data: data["id"] == ident)
            expect(cut["by"] == "core" and cut["reason"] == "end of work", str(cut))
        print(f"# cut to both gateways {max(core.when, maker.when) - began:.4f} s")
        for gateway in (core, maker):
            gateway.report("closed", ident, reason="cut")
        expect(api(stage, "GET", f"/connections/{ident}", want=200)["state"] == "closed", "state")

    with tap.case("all twelve steps are on record"):
        for name, _ in SITES.values():
            done = api(stage, "GET", f"/procedures/{name}", want=200)
            expect(done["steps"] == "abcdefghijkl", done["steps"])

    with tap.case("a denial names its layers, and explain says the same"):
        status, answer = maker.call("POST", "/connections", dict(ASK, port=22))
        expect(status == 403, str(status))
        denied = {layer["layer"] for layer in answer["layers"] if layer["verdict"] == "deny"}
        expect(denied == {"initiator-site", "responder-site"}, str(answer))
        said = api(stage, "POST", "/explain", dict(ASK, **{"from": "device-maker/terminal", "port": 22}),
            want=200)
        expect(said["verdict"] == "deny" and len(said["layers"]) == 13, str(said))
        status, answer = maker.call("POST", "/connections", dict(ASK, **{"class": "fun"}))
        expect(status == 400 and "class" in answer["detail"], str(answer))
        status, _ = core.call("POST", "/connections", dict(ASK, **{"from": "device-maker/terminal"}))
        expect(status == 403, "asks for another site's host")

    with tap.case("no gateway can cut or see another's connection"):
        status, _ = maker.call("POST", "/connections/01J00000000000000000000000/cut", {})
        expect(status == 404, str(status))

    with tap.case("a journal is taken once, without gaps and forks"):
        head, links = bytes(32), []
        for seq in (1, 2, 3):
            link = seq.to_bytes(8, "big") + head + b'{"n":%d}' % seq
            head = hashlib.sha256(link).digest()
            links.append(base64.b64encode(link).decode())
        status, answer = core.call("POST", "/journal", {"first": 1, "records": links[:2]})
        expect(status == 200 and answer["acknowledged"] == 2, f"{status} {answer}")
        status, answer = core.call("POST", "/journal", {"first": 1, "records": links[:2]})
        expect(status == 200 and answer["acknowledged"] == 2, f"again: {status} {answer}")
        fork = base64.b64encode((3).to_bytes(8, "big") + bytes(32) + b"{}").decode()
        status, answer = core.call("POST", "/journal", {"first": 3, "records": [fork]})
        expect(status == 409 and answer["expected"] == 3, f"fork: {status} {answer}")
        status, answer = core.call("POST", "/journal", {"first": 3, "records": links[2:]})
        expect(status == 200 and answer["acknowledged"] == 3, f"{status} {answer}")

    with tap.case("first traffic: only where both sites say so, and not after a cut"):
        first_traffic(stage, core, maker)

    with tap.case("renewal with the service certificate needs nobody"):
        key = maker.make_key("renewed")
        status, body, _ = maker.est("simplereenroll", maker.service_cert, maker.service_key,
            maker.csr(key))
        expect(status == 200, f"{status} {body}")

    name = "strongSwan's EST client renews as well"
    if not shutil.which("pki"):
        tap.skip(name, "strongswan-pki is not installed")
    else:
        with tap.case(name):
            request = stage.dir / "pki.csr"
            request.write_bytes(maker.csr(maker.make_key("strongswan")))
            done = subprocess.run(["pki", "--est", "--url", f"https://localhost:{PORTS['enrol']}",
                "--in", request, "--cacert", stage.out / "root.pem", "--cacert",
                stage.out / "service-ca.pem", "--cert", maker.service_cert, "--key",
                maker.service_key, "--outform", "pem"], capture_output=True, text=True, timeout=30)
            expect(done.returncode == 0 and "BEGIN CERTIFICATE" in done.stdout, done.stderr[-600:])

    with tap.case("OCSP and the revocation list say what openssl understands"):
        done = subprocess.run(["openssl", "ocsp", "-issuer", stage.out / "service-ca.pem", "-cert",
            core.service_cert, "-url", f"http://127.0.0.1:{PORTS['public']}/ocsp", "-CAfile",
            stage.out / "root.pem", "-verify_other", stage.out / "service-ca.pem"],
            capture_output=True, text=True)
        expect(": good" in done.stdout and "verify OK" in done.stderr, done.stdout + done.stderr)
        status, der = public("GET", "/crl/service.crl")
        expect(status == 200, str(status))
        done = subprocess.run(["openssl", "crl", "-inform", "DER", "-noout", "-CAfile",
            stage.out / "service-ca.pem", "-verify"], input=der, capture_output=True)
        expect(b"verify OK" in done.stderr, str(done.stderr))

    with tap.case("each process that dies is back within 3 s, and streams come back"):
        for name in ("signer", "front", "core"):
            old = stage.pid_of(name)
            for pid in old:
                os.kill(pid, signal.SIGKILL)
            began = time.monotonic()
            time.sleep(0.05)
            stage.wait(10)
            while not stage.pid_of(name) or set(stage.pid_of(name)) & set(old):
                expect(time.monotonic() - began < 5, f"{name} is not started again")
                time.sleep(0.02)
            stage.wait(10)
            took = time.monotonic() - began
            print(f"# {name} back after {took:.2f} s")
            expect(took < 3.5, f"{name}: {took:.1f} s")
        for gateway, address in ((core, "192.0.2.1"), (maker, "192.0.2.2")):
            gateway.connect(address)
            gateway.event("checkpoint")

    with tap.case("each process is behind its walls"):
        for name in ("core", "signer", "front"):
            for pid in stage.pid_of(name):
                status = dict(line.split(":\t", 1) for line in
                    pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
                expect(status["NoNewPrivs"] == "1", f"{name} could gain privileges")
                expect(int(status["CapEff"], 16) == 0, f"{name} has capabilities {status['CapEff']}")
                expect(status["Seccomp"] == "2" or "asan" in CENTER, f"{name} has no filter")
                sockets = [fd for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()
                    if os.readlink(fd).startswith("socket:")]
                expect(name == "front" or len(sockets) <= 8, f"{name}: {len(sockets)} sockets")

    with tap.case("a signer that hangs: no grants, said so; then another signer"):
        old = stage.pid_of("signer")
        os.kill(old[0], signal.SIGSTOP)
        until = time.monotonic() + 10
        while public("GET", "/health")[0] != 503:
            expect(time.monotonic() < until, "health does not say so")
            time.sleep(0.2)
        health = json.loads(public("GET", "/health")[1])
        expect(health["signer"] is False and "signer" in health["reason"], str(health))
        stage.wait(10)
        expect(stage.pid_of("signer") != old, "the same signer")

    with tap.case("a live connection outlives a restart of core and is sent again"):
        status, answer = maker.call("POST", "/connections", ASK)
        expect(status == 201, f"{status} {answer}")
        ident = answer["id"]
        for gateway in (core, maker):
            gateway.event("grant")
            gateway.report("armed", ident)
        maker.event("go")
        for gateway in (core, maker):
            gateway.report("up", ident)
        for pid in stage.pid_of("core"):
            os.kill(pid, signal.SIGKILL)
        core.event("end")
        time.sleep(0.3)
        stage.wait()
        for gateway, address in ((core, "192.0.2.1"), (maker, "192.0.2.2")):
            gateway.connect(address)
        expect(payload_of(core.event("grant", 8)["grant"])["id"] == ident, "the grant is sent again")
        expect(payload_of(maker.event("lease", 8)["lease"])["grant"] == ident, "no lease")

    name = "a full disk: no grants, said so; a cut works and is on record"
    if not stage.own_disk:
        tap.skip(name, "only root can have a disk of its own")
    else:
        with tap.case(name):
            filler = stage.dir / "state" / "filler"
            filler.write_bytes(bytes(70 << 20))
            until = time.monotonic() + 5
            while public("GET", "/health")[0] != 503:
                expect(time.monotonic() < until, "health does not say so")
                time.sleep(0.1)
            status, answer = maker.call("POST", "/connections", ASK)
            expect(status == 503 and "disk" in answer["detail"], f"{status} {answer}")
            status, answer = core.call("POST", f"/connections/{ident}/cut", {"reason": "by hand"})
            expect(status == 200 and "leaf" in answer, f"{status} {answer}")
            cut = maker.event("cut", match=lambda data: data["id"] == ident)
            expect(cut["by"] == "gw-core", str(cut))
            filler.unlink()
            stage.wait()
            for gateway in (core, maker):
                gateway.report("closed", ident, reason="cut")
            kinds = [item["record"]["kind"] for item in ledger(stage)]
            expect("disk.full" in kinds and "disk.recovered" in kinds, str(kinds))
            ident = maker.call("POST", "/connections", ASK)[1]["id"]
            maker.event("grant", match=lambda data: payload_of(data["grant"])["id"] == ident)

    with tap.case("a revocation ends the live connection and the use of the certificate"):
        serial = next(item["serial"] for item in api(stage, "GET", "/certificates", want=200)["items"]
            if item["gateway"] == "gw-core")
        began = time.monotonic()
        api(stage, "POST", "/certificates/revoke", {"tier": 2, "serial": serial,
            "reason": "key-compromise"}, want=200)
        maker.event("cut", match=lambda data: data["id"] == ident)
        print(f"# revocation to the peer's cut {maker.when - began:.4f} s")
        core.event("end", 5)
        try:
            status, answer = core.call("GET", "/connections")
        except (ssl.SSLError, ConnectionError):
            status = 403
        expect(status == 403, f"a revoked certificate gets {status}")
        status, answer = maker.call("POST", "/connections", ASK)
        expect(status == 403, f"{status} {answer}")

    with tap.case("a bad configuration is refused by -n and changes nothing at SIGHUP"):
        good = stage.config.read_text()
        stage.config.write_text(good.replace("fronts = 2", "fronts = many"))
        done = subprocess.run([CENTER, "-n", "-c", str(stage.config)], capture_output=True, text=True)
        expect(done.returncode == 1 and "fronts" in done.stderr, done.stderr)
        stage.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        expect(public("GET", "/health")[0] == 200, "health after a bad SIGHUP")
        stage.config.write_text(good)
        before = [stage.pid_of(name) for name in ("core", "signer", "front")]
        stage.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        expect(api(stage, "GET", "/status")[0] == 200, "status after SIGHUP")
        expect(before == [stage.pid_of(name) for name in ("core", "signer", "front")], "processes")
        expect(maker.call("GET", "/connections")[0] == 200, "the device listener after SIGHUP")

    with tap.case("refusals are recorded, a flood of them is counted"):
        before = len(ledger(stage))
        for _ in range(40):
            api(stage, "GET", "/nothing", who="auditor")
        grown = [item["record"]["kind"] for item in ledger(stage)[before:]]
        expect(1 <= grown.count("request.refused") <= 12, str(grown))

    with tap.case("metrics"):
        status, text = public("GET", "/metrics", port="metrics")
        expect(status == 200 and b"sekisho_granted_total" in text, str(status))

    with tap.case("every record is under the signed head, with no help from the center"):
        time.sleep(1.2)
        entries = ledger(stage)
        note = public("GET", "/ledger/checkpoint")[1].decode()
        origin, size, root = note.split("\n")[:3]
        size = int(size)
        expect(origin == f"{PROVIDER}.sekisho.internal" and 0 < size <= len(entries), note)
        hashes = [hashlib.sha256(b"\0" + base64.b64decode(item["entry"])).digest() for item in entries]
        expect(base64.b64encode(root_of(hashes[:size])).decode() == root, "the root is another")
        for item in entries:
            expect(canonical(item["record"]) == base64.b64decode(item["entry"]).decode(), str(item))
        kinds = {item["record"]["kind"] for item in entries}
        for kind in ("application.join", "application.purchase", "device.registered",
                "device.certificate-issued", "device.installed", "device.delivered",
                "application.use", "service.certificate-requested", "service.certificate-issued",
                "service.certificate-installed", "connection.requested", "service.provided",
                "connection.granted", "connection.up", "connection.cut", "connection.closed",
                "connection.refused", "certificate.revoked", "gateway.journal"):
            expect(kind in kinds, f"no record {kind} among {sorted(kinds)}")
        proof = api(stage, "GET", "/ledger/proof?leaf=7", want=200)
        value = included(hashes[7], 7, proof["size"], [base64.b64decode(p) for p in proof["proof"]])
        expect(base64.b64encode(value).decode() == proof["checkpoint"].split("\n")[2], "proof")
        status, tile = public("GET", f"/ledger/tile/0/000.p/{min(size, 255)}")
        expect(status == 200 and tile[:32] == hashes[0], f"tile: {status}")

    with tap.case("ends in order, and starts with all it had"):
        records = len(ledger(stage))
        expect(stage.stop() == 0, "exit status")
        stage.start()
        expect(len(ledger(stage)) > records, "the ledger lost records")

    with tap.case("yesterday's database is refused"):
        stage.stop()
        shutil.copytree(stage.dir / "state", stage.dir / "old")
        stage.start()
        api(stage, "POST", "/organizations", {"name": "newer", "kind": "clinic"}, want=201)
        time.sleep(1.2)
        stage.stop()
        for path in (stage.dir / "state").iterdir():
            path.unlink()
        shutil.copytree(stage.dir / "old", stage.dir / "state", dirs_exist_ok=True)
        log = open(stage.dir / "center.log", "ab")
        stage.process = subprocess.Popen([CENTER, "-c", str(stage.config)], stdout=log, stderr=log)
        time.sleep(2)
        expect("older copy" in stage.log_end(), stage.log_end())
        try:
            status = public("GET", "/health")[0]
        except OSError:
            status = 503
        expect(status != 200, "an older database serves")


def reason_to_skip():
    for program in ("softhsm2-util", "openssl"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return None


def main():
    with Tap() as tap:
        tap.require("center smoke", reason_to_skip())
        stage = Stage()
        try:
            run(tap, stage)
            if tap.failed:
                print("# " + stage.log_end().replace("\n", "\n# "))
        finally:
            stage.close()


main()
