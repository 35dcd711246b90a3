"""Certificates of an organization's own: for its servers, and for who may use them. They have
nothing to do with Sekisho's; a portal asks for one inside the tunnel all the same.

    own = Authority(world.path("tls", "x").parent, "Region")
    server = own.server("portal.example")
    reader = own.person("hanako", "patient")         # CN and OU of the subject

And letters that only their reader can open: S/MIME (RFC 8551), signed and then encrypted.

    mail = letter_seal(sender, reader, {"from": …, "to": …, "subject": …}, text)
    text, name = letter_open(reader, mail)           # LabError when it is not for this reader
"""

import pathlib
import subprocess
import tempfile
from dataclasses import dataclass

from lab.world import LabError

SECTIONS = """[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
[person]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyAgreement
extendedKeyUsage = clientAuth, emailProtection
"""


@dataclass(frozen=True)
class Credentials:
    name: str
    authority: pathlib.Path
    certificate: pathlib.Path
    key: pathlib.Path


class Authority:
    def __init__(self, directory, name):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "openssl.cnf").write_text(SECTIONS)
        self.name = name
        self.certificate = self.directory / "authority.pem"
        self._make("authority", f"/O={name}/CN={name} CA", "authority")

    def server(self, name):
        return self._credentials(name, "server", f"/O={self.name}/CN={name}", "-addext",
            f"subjectAltName=DNS:{name}")

    def person(self, name, unit):
        return self._credentials(name, "person", f"/O={self.name}/OU={unit}/CN={name}")

    def _credentials(self, name, section, subject, *more):
        self._make(name, subject, section, "-CA", self.certificate, "-CAkey",
            self.directory / "authority.key", *more)
        return Credentials(name, self.certificate, self.directory / f"{name}.pem",
            self.directory / f"{name}.key")

    def _make(self, file, subject, section, *more):
        subprocess.run(["openssl", "req", "-x509", "-config", self.directory / "openssl.cnf",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", subject, "-extensions", section, "-keyout", self.directory / f"{file}.key",
            "-out", self.directory / f"{file}.pem", *more], check=True, capture_output=True)


def letter_seal(sender, reader, headers, text):
    """A mail as bytes; `headers` are from, to and subject."""
    signed = _cms(text.encode(), "-sign", "-nodetach", "-binary", "-md", "sha256", "-signer",
        sender.certificate, "-inkey", sender.key)
    said = [word for name, value in headers.items() for word in (f"-{name}", value)]
    return _cms(signed, "-encrypt", "-aes-256-gcm", *said, reader.certificate)


def letter_open(reader, mail):
    """The text, and the name of who signed it; LabError when the reader has no key to it, or it is
    not as it was signed by somebody of the reader's authority."""
    signed = _cms(mail, "-decrypt", "-recip", reader.certificate, "-inkey", reader.key)
    with tempfile.NamedTemporaryFile() as signer:
        text = _cms(signed, "-verify", "-CAfile", reader.authority, "-signer", signer.name)
        done = subprocess.run(["openssl", "x509", "-in", signer.name, "-noout", "-subject",
            "-nameopt", "multiline"], check=True, capture_output=True, text=True)
    name = next(line.partition("=")[2].strip() for line in done.stdout.splitlines()
        if "commonName" in line)
    return text.decode(), name


def _cms(data, *argv):
    done = subprocess.run(["openssl", "cms", *map(str, argv)], input=data, capture_output=True,
        check=False)
    if done.returncode:
        raise LabError(f"openssl cms {argv[0]}: {done.stderr.decode(errors='replace')[-300:]}")
    return done.stdout
