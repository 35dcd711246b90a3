"""Work orders at a stage: persons with keys of their own, and each step as its person makes it.

    orders = Orders(stage)
    orders.key("tanaka")                        # in a token of the person's own
    made = orders.apply()                       # suzuki asks, for the CT
    orders.approve(made["id"])                  # tanaka signs what was shown, and hands it in
    orders.step("suzuki", made["id"], "begin")
"""

import json
import time

from lab.people import stamp
from lab.softhsm import MODULE
from lab.tap import expect

MAKER, HOSPITAL = "device-maker", "core-hospital"
TARGET = {"from": f"{MAKER}/terminal", "to": f"{HOSPITAL}/ct", "protocol": "tcp", "port": 104}


class Orders:
    def __init__(self, stage):
        self.stage, self.pki = stage, stage.pki
        self.keys = {}

    def key(self, name):
        """A key of a person, in a token of the person's own; its SubjectPublicKeyInfo."""
        out = self.pki.file(f"person-{name}.pem")
        self.pki.run("key", "generate", "--key", "person", "--out", out, store=f"person-{name}",
            token="person")
        self.keys[name] = "".join(line for line in out.read_text().splitlines()
            if line and not line.startswith("-"))
        return self.keys[name]

    def session(self, person):
        return self.stage.people.session(person) if person else None

    def post(self, person, path, body=None):
        return self.stage.center.api("POST", path, body or {}, token=self.session(person))

    def get(self, person, path):
        return self.stage.center.api("GET", path, token=self.session(person))

    def apply(self, person="suzuki", **changes):
        body = {"site": HOSPITAL, "job": "repair", "class": "remote-maintenance",
            "targets": [TARGET], "not_after": stamp(1800), "purpose": "管球の交換 / tube", **changes}
        return self.post(person, "/work-orders", body)

    def step(self, person, identity, step, body=None):
        return self.post(person, f"/work-orders/{identity}/{step}", body)

    def cli(self, person, *argv, key=None, check=True):
        """`sekisho …` as a person, with the session's token and the token with the person's key."""
        path = self.stage.world.path("access", person)
        path.write_text(self.session(person) + "\n")
        path.chmod(0o600)
        env = {"SEKISHO_CENTER": "127.0.0.1", "SEKISHO_ROOT": str(self.pki.file("root.pem")),
            "SEKISHO_TOKEN_FILE": str(path)}
        arguments = [str(self.stage.program("sekisho")), *map(str, argv), "--output", "json"]
        if key:
            store = f"person-{key}"
            token = self.pki.token(store, "person")
            env.update(self.pki.store(store).environment())
            arguments += ["--module", MODULE, "--token", token.label,
                "--pin-file", str(token.pin_file), "--key", "person"]
        done = self.stage.world.run("center", arguments, env=env, check=False)
        if check:
            expect(done.returncode == 0, f"{argv}: {done.returncode} {done.stderr}")
            return json.loads(done.stdout)
        return done

    def sign(self, identity, person="tanaka", key=None, **options):
        """A sealed approval in a file."""
        out = self.stage.world.path("approvals", f"{identity}-{time.time_ns()}")
        more = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.cli("tanaka", "approval", "sign", identity, "--approver", person, "--out", out, *more,
            key=key or person)
        return out.read_text().strip()

    def approve(self, identity, person="tanaka", **options):
        return self.step(person, identity, "approve", {"approval": self.sign(identity, person,
            **options)})
