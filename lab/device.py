"""Boxes whose keys lie in files: what a foreign client has, or somebody who copied what is not secret.

    box = Box(stage, "box-1").make()             # key, device information, device certificate
    box.register("abcdefg")                      # these steps of the procedure, at the center
    answer = Caller(stage, "outsider").est("simpleenroll", box.certificate, box.key, box.request())
    answer.status, answer.text, answer.alert     # an alert instead of an answer: how TLS refused

Nothing here is what Sekisho's own gateways do: their keys are in tokens.
"""

import base64
import http.client
import json
import socket
import ssl
import subprocess
from dataclasses import dataclass, field

from lab.center import PROVIDER
from lab.stage import MAKER
from lab.world import CENTER_ADDRESS, LabError

DEVICE_PORT, ENROL_PORT = 8443, 8444
STEPS = "abcdefg"


def openssl(*argv, data=None):
    """Standard output of `openssl …` as bytes; LabError with what it said when it fails."""
    done = subprocess.run(["openssl", *map(str, argv)], input=data, capture_output=True, timeout=30,
        **({} if data is not None else {"stdin": subprocess.DEVNULL}))
    if done.returncode:
        raise LabError(f"openssl {argv[0]}: {done.stderr.decode(errors='replace').strip()[-400:]}")
    return done.stdout


def key_make(path):
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    return path


def key_spki(path):
    """The public key as base64 of its SubjectPublicKeyInfo."""
    return base64.b64encode(openssl("ec", "-in", path, "-pubout", "-outform", "DER")).decode()


def key_disguise(path, victim, out):
    """A file with the private key of `path` that claims the public key of `victim`. Programs that
    compare only public keys then take the victim's certificate with it."""
    mine = openssl("ec", "-in", path, "-outform", "DER")
    point = openssl("ec", "-in", victim, "-pubin", "-pubout", "-outform", "DER")[-65:]
    pem = base64.encodebytes(mine[:-65] + point).decode()
    out.write_text(f"-----BEGIN EC PRIVATE KEY-----\n{pem}-----END EC PRIVATE KEY-----\n")
    return out


def csr_make(key, subject="/", *more):
    """A PKCS#10 request, DER."""
    return openssl("req", "-new", "-key", key, "-subj", subject, "-outform", "DER", *more)


def jws_alter(jws, old, new):
    """The sealed text with other words in it and the old seal."""
    head, body, seal = jws.strip().split(".")
    text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
    if old not in text:
        raise LabError(f"there is no {old} in {text}")
    changed = base64.urlsafe_b64encode(text.replace(old, new).encode()).decode().rstrip("=")
    return ".".join((head, changed, seal))


class Box:
    """One box and its site at the center; the site is only a place for it in the register."""

    def __init__(self, stage, name, serial=None):
        self.stage, self.name, self.serial = stage, name, serial or f"SW-{name}"
        self.gateway, self.site = f"gw-{name}", f"site-{name}"
        self.key = stage.pki.file(f"{name}.key")
        self.certificate = stage.pki.file(f"{name}.pem")
        self.information_file = stage.pki.file(f"{name}.jws")
        self.service_key = stage.pki.file(f"{name}-service.key")
        self.service = stage.pki.file(f"{name}-service.pem")

    def make(self):
        """As the maker and the device CA do it, with the key in a file."""
        self.make_information()
        self.sign()
        return self

    def make_information(self, store="maker", maker=MAKER):
        key_make(self.key)
        csr = self.stage.pki.file(f"{self.name}.csr")
        openssl("req", "-new", "-key", self.key, "-subj", "/CN=box", "-out", csr)
        self.stage.pki.run("maker", "information", "--maker", maker, "--model", "SG-1", "--serial",
            self.serial, "--device", csr, "--out", self.information_file, store=store, token="maker")
        return self

    def sign(self, *more):
        """The device CA's certificate for it."""
        pki = self.stage.pki
        pki.run("device-ca", "sign", "--ca", pki.file("device-ca.pem"), "--information",
            self.information_file, "--statement", pki.maker_statement(), "--root",
            pki.file("root.pem"), "--ocsp-url", f"http://{CENTER_ADDRESS}:8080/ocsp", "--out",
            self.certificate, *more, store="authority", token="device-ca")
        return self

    @property
    def information(self):
        return self.information_file.read_text().strip()

    def serial_number(self, path=None):
        text = openssl("x509", "-in", path or self.certificate, "-noout", "-serial").decode()
        return text.strip().partition("=")[2].lower()

    def register(self, steps=STEPS):
        """Does these steps of the procedure, each as its own party. Step a makes the site first."""
        api, tokens = self.stage.center.api, self.stage.tokens
        if "a" in steps:
            api("POST", "/organizations", {"name": f"org-{self.name}", "kind": "clinic",
                "title": self.name})
            api("POST", "/sites", {"name": self.site, "organization": f"org-{self.name}",
                "owner_spki": key_spki(self.key)})
        owner = self.stage.token(f"admin-{self.name}", f"site:{self.site}")
        path = f"/procedures/{self.gateway}"
        calls = {
            "a": ("/procedures", {"gateway": self.gateway, "site": self.site}, owner),
            "b": (f"{path}/purchase", {"maker": MAKER}, owner),
            "c": (f"{path}/register", {"information": self.information}, tokens["maker"]),
            "d": (f"{path}/certificate", {"certificate": self.certificate.read_text()
                if self.certificate.exists() else ""}, tokens["issuer"]),
            "e": (f"{path}/installed", {}, tokens["maker"]),
            "f": (f"{path}/delivered", {}, tokens["maker"]),
            "g": (f"{path}/use", {}, owner),
        }
        for step in steps:
            place, body, token = calls[step]
            api("POST", place, body, token=token)
        return self

    def request(self):
        """The PKCS#10 request for a service certificate, with its key; the same at every call."""
        path = self.stage.pki.file(f"{self.name}-service.csr")
        if not path.exists():
            key_make(self.service_key)
            path.write_bytes(csr_make(self.service_key))
        return path.read_bytes()

    def enrol(self, caller):
        """Applies, is approved, fetches the service certificate."""
        answer = caller.est("simpleenroll", self.certificate, self.key, self.request())
        if answer.status != 202:
            raise LabError(f"{self.name} was not asked to wait: {answer}")
        self.approve()
        answer = caller.est("simpleenroll", self.certificate, self.key, self.request())
        if answer.status != 200:
            raise LabError(f"{self.name} got no certificate: {answer}")
        self.service.write_bytes(openssl("x509", data=openssl("pkcs7", "-inform", "DER",
            "-print_certs", data=base64.b64decode(answer.body))))
        return self

    def approve(self):
        api = self.stage.center.api
        for item in api("GET", "/enrolments")["items"]:
            if item["gateway"] == self.gateway and item["state"] == "waiting":
                return api("POST", f"/enrolments/{item['id']}/approve", {})
        raise LabError(f"{self.gateway} has not asked for a certificate")


@dataclass
class Answer:
    """What came back: a status with headers and body, or the name of the TLS alert."""

    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    alert: str = ""

    @property
    def text(self):
        """Why: the problem's detail, or the whole body."""
        try:
            return json.loads(self.body)["detail"]
        except (ValueError, KeyError, TypeError):
            return self.body.decode(errors="replace")

    def __str__(self):
        return f"TLS alert: {self.alert}" if self.alert else f"{self.status} {self.text[:200]}"


class Caller:
    """Speaks TLS to the center from a node, with any certificate."""

    def __init__(self, stage, node="center", address=CENTER_ADDRESS):
        self.stage, self.node, self.address = stage, node, address

    def call(self, port, method, path, certificate=None, key=None, body=None, headers=None):
        return self.stage.world.call(self.node, _call, self.address, port,
            self.stage.center.files.root, certificate and str(certificate), key and str(key), method,
            path, body, headers or {})

    def est(self, operation, certificate=None, key=None, csr=None, label=PROVIDER, **headers):
        """One EST operation; `csr` is DER. Underscores in the names of headers are hyphens."""
        path = "/.well-known/est/" + (f"{label}/" if label else "") + operation
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if csr is not None:
            fields.setdefault("Content-Type", "application/pkcs10")
        return self.call(ENROL_PORT, "GET" if csr is None else "POST", path, certificate, key,
            None if csr is None else base64.encodebytes(csr), fields)

    def device(self, certificate=None, key=None, path="/device/v1/connections"):
        return self.call(DEVICE_PORT, "GET", path, certificate, key)


def _call(address, port, root, certificate, key, method, path, body, headers):
    context = ssl.create_default_context(cafile=root)
    if certificate:
        context.load_cert_chain(certificate, key)
    link = http.client.HTTPSConnection(address, port, context=context, timeout=10)
    try:
        link.connect()
        _hear_refusal(link.sock)
        link.request(method, path, body, headers)
        answer = link.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    except ssl.SSLError as error:
        return Answer(alert=(error.reason or str(error)).lower().replace("_", " "))
    except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected) as error:
        return Answer(alert=f"closed without an alert ({error})")
    except socket.timeout:
        return Answer(alert="no answer")
    finally:
        link.close()


def _hear_refusal(link):
    """In TLS 1.3 a client has finished before the server looks at its certificate. What it writes
    then can make the kernel throw away the alert, so it listens for a moment first."""
    link.settimeout(0.15)
    try:
        link.recv(1)
        raise ConnectionResetError("the server closed")
    except (socket.timeout, ssl.SSLWantReadError):
        link.settimeout(10)
