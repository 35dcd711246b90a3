"""The people of a world and what their organizations agreed on.

    people = People(api)                        # api(method, path, body, token=None) -> answer
    people.add("suzuki", "org-device-maker", "service-engineer")
    people.agree("ct-care", ("org-core-hospital", "org-device-maker"), "remote-maintenance", hosts,
        protocols)                              # drafted, and signed by a person of each

Persons log in by a one-time code, which counts once: a second login of the same person within the
same half minute uses the code of the step after it, and a third waits.
"""

import base64
import hashlib
import hmac
import struct
import time
import urllib.parse
from dataclasses import dataclass, field

STEP_SEC = 30
# What a person of an organization of this kind is, who can sign and ask.
STAFF = {"hospital": "system-administrator", "clinic": "system-administrator",
    "pharmacy": "system-administrator", "laboratory": "system-administrator",
    "device-maintenance": "service-network-administrator",
    "system-integrator": "service-network-administrator", "patient": "patient",
    "online-service": "service-network-administrator"}
CLAUSES = 14


def stamp(seconds=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def totp(secret, step):
    """RFC 6238, six digits."""
    digest = hmac.new(secret, struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7fffffff) % 1000000:06}"


@dataclass
class Person:
    name: str
    organization: str
    token: str
    secret: bytes
    session: str = ""
    step: int = field(default=0)  # of the newest code

    def code(self):
        """A code that was not used yet."""
        self.step = max(self.step + 1, int(time.time()) // STEP_SEC)
        while self.step > int(time.time()) // STEP_SEC + 1:
            time.sleep(0.2)
        return totp(self.secret, self.step)

    def wrong(self):
        """A code that is none of those that are good about now."""
        now = int(time.time()) // STEP_SEC
        good = {totp(self.secret, step) for step in range(now - 3, now + 4)}
        return next(f"{number:06}" for number in range(100) if f"{number:06}" not in good)


def agreement(name, parties, service, hosts, protocols, days=30, **changes):
    """A complete agreement; `changes` replace members (None leaves one out)."""
    whole = {"name": name, "parties": list(parties), "class": service, "hosts": sorted(hosts),
        "protocols": [{"protocol": protocol, **({"ports": ",".join(map(str, sorted(ports)))}
            if protocol != "icmp" else {})} for protocol, ports in sorted(protocols.items())],
        "not_before": stamp(-3600), "not_after": stamp(days * 86400), "relation": "entrustment",
        "recipients": "one",
        "demarcation": [
            {"point": "ours", "place": "host-a", "responsible": parties[0]},
            {"point": "entrance", "place": "gateway-a", "responsible": parties[0]},
            {"point": "theirs", "place": "gateway-b", "responsible": parties[1]}],
        "encrypted": {"from": "entrance", "to": "theirs"},
        "clauses": [{"number": number, "text": f"as written in clause {number} of the contract",
            "owner": parties[number % 2]} for number in range(1, CLAUSES + 1)],
        "policies": [{"organization": party, "digest": hashlib.sha256(party.encode()).hexdigest(),
            "received": stamp(-86400)} for party in parties]}
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


class People:
    def __init__(self, api):
        self.api = api
        self.persons = {}

    def __getitem__(self, name):
        return self.persons[name]

    def add(self, name, organization, *roles, token=None, **more):
        """An account, by the provider or by the manager whose session token is given."""
        answer = self.api("POST", "/persons", {"name": name, "organization": organization,
            "title": name, "roles": list(roles), "natural_person": f"{organization} {name}",
            "mail": f"{name}@{organization}.example", **more}, token)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(answer["otpauth"]).query)
        self.persons[name] = Person(name, organization, answer["token"],
            base64.b32decode(query["secret"][0]))
        return self.persons[name]

    def login(self, name):
        """Opens a session by a one-time code; returns its token."""
        person = self.persons[name]
        person.session = self.api("POST", "/sessions", {"code": person.code()},
            person.token)["token"]
        return person.session

    def session(self, name):
        """The session's token; logs in when there is none."""
        return self.persons[name].session or self.login(name)

    def agree(self, signers, document):
        """Drafts by the first signer's organization and signs by both."""
        name = document["name"]
        self.api("POST", "/agreements", document, self.session(signers[0]))
        for signer in signers:
            answer = self.api("POST", f"/agreements/{name}/sign", {}, self.session(signer))
        return answer
