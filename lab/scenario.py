"""What the network scenarios (tests/net) have in common: a stage that is open, and looking at it.

    scenario(run, sites=("core-hospital", "device-maker"))    # calls run(tap, stage)
"""

import json

from lab import world as lab
from lab.center import ApiError
from lab.stage import Stage
from lab.tap import Tap, expect
from lab.world import wait_for

LOG_BYTES = 3000  # of each program, when a case failed


def needs(*tools):
    """Why the scenario cannot run here, or None."""
    return lab.missing() or lab.tools_missing("softhsm2-util", *tools)


def scenario(run, reason=None, start=True, **settings):
    """Opens a stage and runs the cases; the reason to skip, if there is one, counts as skipped.
    When a case failed, the ends of the programs' logs are noted."""
    with Tap() as tap:
        tap.require("the scenario", reason or needs())
        with Stage(**settings) as stage:
            try:
                stage.open(start=start)
                run(tap, stage)
            except Exception:
                logs_note(tap, stage)
                raise
            if tap.failed:
                logs_note(tap, stage)


def logs_note(tap, stage):
    """The ends of the logs, also of programs that were stopped."""
    for name in ("center", *stage.gateways):
        path = stage.world.directory / f"{name}.log"
        if path.exists():
            tap.note(f"{name}: " + path.read_text(errors="replace")[-LOG_BYTES:])


def refused(call, status, text=""):
    """The center's problem; the case fails when it takes the call, or refuses it otherwise."""
    try:
        answer = call()
    except ApiError as refusal:
        detail = refusal.problem.get("detail", "")
        expect(refusal.status == status and text in detail, f"{refusal.status} {detail}")
        return refusal.problem
    raise AssertionError(f"was taken: {json.dumps(answer)[:300]}")


def denied(problem, layer):
    """The reason why this layer denied, in the problem of a refused request."""
    found = [item for item in problem["layers"] if item["layer"] == layer]
    expect(found and found[0]["verdict"] == "deny", f"{layer}: {problem['layers']}")
    return found[0]["reason"]


def closed(stage, identity, timeout=10):
    """Waits until both gateways have said that the connection is closed."""
    wait_for(lambda: stage.connection(identity)["state"] == "closed", timeout,
        f"connection {identity} is closed")


def is_tunnel(packet):
    """IKE or ESP, in UDP or not."""
    return packet.protocol == "esp" or (packet.protocol == "udp"
        and bool({500, 4500} & {packet.source_port, packet.destination_port}))


def is_inner(packet):
    """A packet of the inside in the clear: private or service addresses. Nobody behind a gateway
    has any other."""
    return any(address.startswith(("10.", "192.168.")) or (address.startswith("100.")
        and 64 <= int(address.split(".")[1]) < 128)
        for address in (packet.source, packet.destination))


def ruleset(world, site):
    """A gateway's whole packet filter as text, without counters: to be compared."""
    return world.run(site, ["nft", "--stateless", "list", "ruleset"]).stdout


def ledger(stage):
    """Every record of the ledger, oldest first."""
    records, cursor = [], 0
    while cursor is not None:
        page = stage.center.api("GET", f"/ledger/entries?from={cursor}&limit=500")
        records += [item["record"] for item in page["items"]]
        cursor = page["next"]
    return records
