"""A client that is not ours: its keys are files, its tools are OpenSSL's and Python's.

    client = Foreign(stage, "device-maker", "gw-foreign")
    client.device()                          # tier 1 by the maker and the device CA; steps a to g
    status, body, fields = client.est("simpleenroll")

Good for what a stranger does with the center's interfaces, and for what nobody should do.
"""

import base64
import http.client
import json
import select
import ssl
import subprocess

from lab.center import PROVIDER
from lab.stage import MAKER
from lab.world import CENTER_ADDRESS, LabError

DEVICE_PORT, ENROL_PORT = 8443, 8444
OPENSSL = "/usr/bin/openssl"
ALERT_SEC = 0.2


def openssl(*argv, data=None):
    """Runs openssl; returns its standard output as bytes."""
    done = subprocess.run([OPENSSL, *map(str, argv)], input=data, capture_output=True, timeout=30)
    if done.returncode:
        raise LabError(f"openssl {' '.join(map(str, argv))}: {done.stderr.decode()[-400:]}")
    return done.stdout


def key_make(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    return path


def spki(key):
    """base64 of the public half of a key file."""
    return base64.b64encode(openssl("pkey", "-in", key, "-pubout", "-outform", "DER")).decode()


def csr(key, *extensions, subject="/CN=x"):
    """DER of a request for the key; `extensions` as `openssl req -addext` takes them."""
    more = [word for extension in extensions for word in ("-addext", extension)]
    return openssl("req", "-new", "-key", key, "-subj", subject, "-outform", "DER", *more)


def key_graft(public, private, path):
    """Writes a key file that claims the public key of one and has the private number of another:
    what a clone has that copied everything but the key object."""
    def numbers(key):
        text = openssl("pkey", "-in", key, "-noout", "-text").decode()
        parts = {}
        for line in text.splitlines():
            name, _, rest = line.strip().partition(":")
            if name in ("priv", "pub"):
                last = parts.setdefault(name, [])
            elif line.startswith("    "):
                last.append(line.strip().replace(":", ""))
        return {name: bytes.fromhex("".join(lines)) for name, lines in parts.items()}
    number, point = numbers(private)["priv"], numbers(public)["pub"]
    number = number.lstrip(b"\0").rjust(32, b"\0")
    body = (b"\x02\x01\x01" + b"\x04\x20" + number + b"\xa0\x0a" + bytes.fromhex(
        "06082a8648ce3d030107") + b"\xa1\x44\x03\x42\x00" + point)
    text = base64.encodebytes(b"\x30" + bytes((len(body),)) + body).decode()
    path.write_text(f"-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n")
    return path


def call(world, node, port, method, path, body=None, fields=None, root=None, pair=None):
    """One request to the center over TLS from a node; `pair` is certificate and key file. Returns
    status, body and fields, or the word "alert" with the reason when the handshake was refused."""
    return world.call(node, _call, port, method, path, body, fields or {}, str(root), pair)


def _call(port, method, path, body, fields, root, pair):
    context = ssl.create_default_context(cafile=root)
    if pair:
        context.load_cert_chain(str(pair[0]), str(pair[1]))
    link = http.client.HTTPSConnection(CENTER_ADDRESS, port, context=context, timeout=20)
    try:
        link.connect()
        # With TLS 1.3 the server's no comes when the client believes to be done; who writes first
        # may lose it.
        if select.select([link.sock], [], [], ALERT_SEC)[0]:
            link.sock.recv(1)
        link.request(method, path, body, fields)
        answer = link.getresponse()
        return answer.status, answer.read(), dict(answer.headers)
    except ssl.SSLError as error:
        return "alert", (error.reason or str(error)).encode(), {}
    except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected) as error:
        return "alert", f"closed: {error}".encode(), {}
    finally:
        link.close()


class Foreign:
    def __init__(self, stage, site, name, node=None):
        self.stage, self.site, self.name = stage, site, name
        self.world, self.pki = stage.world, stage.pki
        self.node = node or site
        self.directory = self.world.path("foreign", name, "x").parent
        self.device_key = key_make(self.path("device.key"))
        self.service_key = key_make(self.path("service.key"))
        self.device_pem, self.service_pem = self.path("device.pem"), self.path("service.pem")
        self.information = ""

    def path(self, name):
        return self.directory / name

    # Tier 1

    def inform(self, serial, maker=MAKER, store="maker", key="maker"):
        """The maker's word about this box."""
        self.path("device.csr").write_bytes(csr(self.device_key))
        out = self.path("device.jws")
        self.pki.run("maker", "information", "--maker", maker, "--model", "SG-X", "--serial",
            serial, "--device", self.path("device.csr"), "--out", out, store=store, token=key)
        self.information = out.read_text().strip()
        return self.information

    def certify(self, forge, ca, kind="device", out=None, key=None, **more):
        """A certificate by a CA's key, with dates and names as wanted; returns the file."""
        out = out or (self.device_pem if kind == "device" else self.service_pem)
        out.write_text(forge("cert", ca=ca, kind=kind, spki=spki(key or (self.device_key
            if kind == "device" else self.service_key)), **more))
        return out

    def device(self, serial=None, register=True):
        """Makes the box as the maker and the device CA do, and registers it: steps a to g."""
        self.inform(serial or self.name.upper().replace("-", ""))
        self.pki.run("device-ca", "sign", "--ca", self.pki.file("device-ca.pem"), "--information",
            self.path("device.jws"), "--statement", self.pki.maker_statement(), "--root",
            self.pki.file("root.pem"), "--csr", self.path("device.csr"), "--out", self.device_pem,
            store="authority", token="device-ca")
        if register:
            self.stage.register_device(self.site, self.name, self.information,
                self.device_pem.read_text())
        return self

    # Speaking with the center

    def pair(self, tier):
        return (self.device_pem, self.device_key) if tier == 1 else (self.service_pem,
            self.service_key)

    def est(self, what, tier=1, request=None, label=PROVIDER, information=None, pair=None,
            anonymous=False):
        """One EST request. Returns status, body, fields as call() does."""
        fields = {"Content-Type": "application/pkcs10"}
        if information is not None:
            fields["Sekisho-Device-Information"] = information
        body = base64.encodebytes(request or self.request())
        return call(self.world, self.node, ENROL_PORT, "POST", f"/.well-known/est/{label}/{what}",
            body, fields, self.pki.file("root.pem"), None if anonymous else pair or self.pair(tier))

    def request(self):
        """The same request each time: asking again is not asking anew."""
        kept = self.path("service.csr")
        if not kept.exists():
            kept.write_bytes(csr(self.service_key, subject=f"/CN={self.name}"))
        return kept.read_bytes()

    def enrol(self):
        """Tier 2 as it should be got: asked, approved, asked again."""
        status, body, _ = self.est("simpleenroll")
        if status == 202:
            self.stage.approve(1)
            status, body, _ = self.est("simpleenroll")
        if status != 200:
            raise LabError(f"{self.name}: enrolment: {status} {body[:300]}")
        self.keep(body)
        return self

    def keep(self, body):
        """The certificate out of an EST answer."""
        text = openssl("pkcs7", "-inform", "DER", "-print_certs", data=base64.b64decode(body))
        self.service_pem.write_bytes(openssl("x509", data=text))

    def api(self, method, path, body=None, pair=None, anonymous=False):
        """One request to the device interface with the service certificate."""
        data = json.dumps(body).encode() if body is not None else None
        return call(self.world, self.node, DEVICE_PORT, method, "/device/v1" + path, data,
            {"Content-Type": "application/json"}, self.pki.file("root.pem"),
            None if anonymous else pair or self.pair(2))


def serial(pem):
    """The certificate's serial number as it is written everywhere: lower-case hex."""
    text = openssl("x509", "-in", pem, "-noout", "-serial").decode()
    return text.strip().partition("=")[2].lower()
