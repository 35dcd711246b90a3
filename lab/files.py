"""Files for the other side: a virus scanner of our own, and what a person needs who seals or opens.

    files = Files(stage)                          # close() ends the scanner
    files.person("suzuki", "device-maker", "sign")
    files.person("tanaka", "core-hospital", "open")
    status, said, sealed = files.seal(plain, recipients=("open-ec-p256",), to="tanaka")
"""

import hashlib
import json
import os
import pathlib
import subprocess
import time

from lab.softhsm import MODULE
from lab.world import CENTER_ADDRESS, wait_for

ENGINEER, STAFF = "suzuki", "staff-core-hospital"
# Kept in two halves: whole, it is what every virus scanner finds.
EICAR = (r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-" + "ANTIVIRUS-TEST-FILE!$H+H*").encode()


class Scanner:
    """clamd with a data base of one signature: nothing is downloaded."""

    def __init__(self, directory, signature=True, age_days=0):
        self.directory = pathlib.Path(directory)
        self.database = self.directory / "db"
        self.database.mkdir(parents=True)
        self.socket = self.directory / "clamd.ctl"
        name = hashlib.md5(EICAR if signature else b"nothing").hexdigest()
        file = self.database / "test.hdb"
        file.write_text(f"{name}:68:Eicar-Test\n")
        then = time.time() - age_days * 86400
        os.utime(file, (then, then))
        config = self.directory / "clamd.conf"
        config.write_text(f"Foreground yes\nDatabaseDirectory {self.database}\nLocalSocket "
            f"{self.socket}\nStreamMaxLength 2000M\nMaxFileSize 2000M\nMaxScanSize 2000M\n"
            "AlertExceedsMax yes\nConcurrentDatabaseReload no\nMaxThreads 2\n"
            f"LogFile {self.directory / 'clamd.log'}\n")
        self.process = subprocess.Popen(["clamd", "-c", str(config)], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wait_for(self.socket.exists, 30, "clamd listens", 0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Files:
    """Who sends and who gets: a token, a key and a certificate each."""

    def __init__(self, stage):
        self.stage, self.pki = stage, stage.pki
        self.directory = stage.world.path("files", "x").parent
        self.scanner = Scanner(self.directory / "clamd")
        self.count = 0
        self.sessions = {}

    def close(self):
        self.scanner.stop()

    def path(self, name):
        return self.directory / name

    def fresh(self, suffix=""):
        self.count += 1
        return self.path(f"{self.count}{suffix}")

    def write(self, data, suffix=".txt"):
        path = self.fresh(suffix)
        path.write_bytes(data)
        return path

    def person(self, name, site, use, kind="ec-p256"):
        """Key in a token, request, certificate of the service CA, registered at the center."""
        store, label = f"person-{name}", f"{use}-{kind}"
        csr, pem = self.path(f"{name}-{label}.csr"), self.path(f"{name}-{label}.pem")
        command = ("key", "request") if use == "sign" else ("file", "request")
        self.pki.run(*command, "--key", label, "--type", kind, "--csr", csr, store=store,
            token="files")
        self.pki.run("file", "certify", "--ca", self.pki.file("service-ca.pem"), "--csr", csr,
            "--use", use, "--organization", f"org-{site}", "--site", site, "--person", name,
            "--out", pem, store="provider", token="service-ca")
        self.stage.center.api("POST", "/certificates/persons", raw=pem.read_text())
        return pem

    def trust(self, name):
        return ["--root", self.pki.file("root.pem"), "--ca", self.pki.file("service-ca.pem"),
            *self.center(name)]

    def center(self, name):
        if name not in self.sessions:
            file = self.path(f"{name}.session")
            file.write_text(self.stage.people.session(name) + "\n")
            file.chmod(0o600)
            self.sessions[name] = file
        return ["--center", CENTER_ADDRESS, "--token-file", self.sessions[name]]

    def run(self, name, *argv, limit=None):
        """`sekisho file …` of a person, in the center's network; exit status and what it said."""
        token = self.pki.token(f"person-{name}", "files")
        environment = self.pki.store(f"person-{name}").environment()
        command = ["env", *(f"{key}={value}" for key, value in environment.items()),
            *(["bash", "-c", 'ulimit -v "$0"; exec "$@"', str(limit)] if limit else []),
            str(self.stage.program("sekisho")), "file", *map(str, argv), "--module", MODULE,
            "--token", "files", "--pin-file", str(token.pin_file), "--output", "json"]
        done = self.stage.world.run("center", command, check=False, timeout=120)
        said = json.loads(done.stdout) if done.returncode == 0 else done.stdout + done.stderr
        return done.returncode, said

    def seal(self, file, *more, recipients=("open-ec-p256",), sign="sign-ec-p256", out=None,
            scanner=None, limit=None, name=ENGINEER, to=STAFF):
        out = out or self.fresh(".p7m")
        scanner = scanner or self.scanner
        argv = ["seal", file, "--certificate", self.path(f"{name}-{sign}.pem"), "--key", sign,
            "--purpose", "校正データの送付", "--scanner", scanner.socket, "--scanner-database",
            scanner.database, "--out", out, *self.trust(name)]
        for recipient in recipients:
            argv += ["--for", self.path(f"{to}-{recipient}.pem")]
        return *self.run(name, *argv, *more, limit=limit), out

    def open(self, sealed, *more, key="open-ec-p256", name=STAFF, out=None, limit=None):
        out = out or self.fresh("-out")
        out.mkdir(exist_ok=True)
        status, said = self.run(name, "open", sealed, "--certificate",
            self.path(f"{name}-{key}.pem"), "--key", key, "--out", out, *self.trust(name), *more,
            limit=limit)
        return status, said, out

    def forge(self, data, label=None, key="sign", cert=None, recipient="theirs", **options):
        """The same by OpenSSL; keys in files."""
        plain, out = self.write(data), self.fresh(".p7m")
        argv = [str(self.stage.build / "tests/tools/cms_forge"), str(plain), str(out),
            f"key={self.path(key + '.key')}", f"cert={cert or self.path(key + '.pem')}",
            f"ca={self.pki.file('service-ca.pem')}", f"for={recipient}"]
        if label is not None:
            argv.append(f"label={label}")
        argv += [f"{name}={value}" for name, value in options.items()]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        return out
