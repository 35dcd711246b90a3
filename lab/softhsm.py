"""Tokens: SoftHSM2 stores of their own, with PIN files.

    store = TokenStore(world.path("token", "core-hospital"))
    tier1 = store.token("tier1")
    world.spawn("core-hospital", [...], env=store.environment())

A store is one directory with its configuration, one folder of tokens and one PIN file a token (mode
0600); the programs read a PIN from its file. Only softhsm2-util has no other way to take a PIN than
its command line: lab tokens only.
"""

import os
import pathlib
import secrets
import subprocess
from dataclasses import dataclass

from lab.world import LabError

MODULE = "/usr/lib/softhsm/libsofthsm2.so"


@dataclass(frozen=True)
class Token:
    label: str
    pin_file: pathlib.Path
    so_pin_file: pathlib.Path

    @property
    def pin(self):
        return self.pin_file.read_text().strip()

    @property
    def uri(self):
        """PKCS#11 URI (RFC 7512) of the token; the PIN is not in it."""
        return f"pkcs11:token={self.label}"


class TokenStore:
    def __init__(self, directory):
        """Makes the store; an existing one is opened again."""
        self.directory = pathlib.Path(directory)
        self.config = self.directory / "softhsm2.conf"
        self.tokens = self.directory / "tokens"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.tokens.mkdir(mode=0o700, exist_ok=True)
        self.config.write_text(f"directories.tokendir = {self.tokens}\n"
            "objectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n")

    def environment(self):
        """What a program needs to see these tokens and no others."""
        return {"SOFTHSM2_CONF": str(self.config)}

    def token(self, label):
        """The token of that label; it is made, with fresh random PINs, if there is none."""
        token = Token(label, self.directory / f"{label}.pin", self.directory / f"{label}.so-pin")
        if token.pin_file.exists():
            return token
        pin, so_pin = (f"{secrets.randbelow(10 ** 8):08}" for _ in range(2))
        self._run(["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin,
            "--so-pin", so_pin])
        # The PIN file last: it says that the token is complete.
        _secret_write(token.so_pin_file, so_pin)
        _secret_write(token.pin_file, pin)
        return token

    def key(self, token, label, identifier="01", kind="EC:prime256v1"):
        """Makes a key pair that never leaves the token; for tests of what is given a ready token."""
        self._run(["pkcs11-tool", "--module", MODULE, "--login", "--pin", "env:SEKISHO_LAB_PIN",
            "--token-label", token.label, "--keypairgen", "--key-type", kind, "--label", label,
            "--id", identifier], SEKISHO_LAB_PIN=token.pin)

    def delete(self, token, kind, identifier):
        """Takes an object ("privkey", "pubkey", "cert") out of the token, as a thief who got only
        some of the files would have it."""
        self._run(["pkcs11-tool", "--module", MODULE, "--login", "--pin", "env:SEKISHO_LAB_PIN",
            "--token-label", token.label, "--delete-object", "--type", kind, "--id", identifier],
            SEKISHO_LAB_PIN=token.pin)

    def certificate(self, token, identifier):
        """A certificate in the token, DER."""
        path = self.directory / "read.der"
        self._run(["pkcs11-tool", "--module", MODULE, "--token-label", token.label,
            "--read-object", "--type", "cert", "--id", identifier, "--output-file", str(path)])
        return path.read_bytes()

    def objects(self, token):
        """What pkcs11-tool lists in the token, as text."""
        return self._run(["pkcs11-tool", "--module", MODULE, "--login", "--pin",
            "env:SEKISHO_LAB_PIN", "--token-label", token.label, "--list-objects"],
            SEKISHO_LAB_PIN=token.pin)

    def _run(self, argv, **extra):
        done = subprocess.run(argv, env=dict(os.environ, **self.environment(), **extra),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-400:]
            raise LabError(f"{argv[0]}: {said}")
        return done.stdout


def _secret_write(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
