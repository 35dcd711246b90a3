"""What is tested inside User-Mode Linux (see run): inside.py FOLDER, where run put the keys."""

import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))
sys.dont_write_bytecode = True

from lab.gateway import Gateway  # noqa: E402
from lab.pki import Pki  # noqa: E402
from lab.scenario import is_inner  # noqa: E402
from lab.services import echo_ask, echo_start  # noqa: E402
from lab.tap import Tap, expect  # noqa: E402
from lab.world import World, wait_for  # noqa: E402
from tests.kernel.driver import Driver, Folder  # noqa: E402

HOSPITAL, MAKER = "core-hospital", "device-maker"
SERVICE = {HOSPITAL: "100.64.2.20", MAKER: "100.64.3.10"}
ECHO_PORT = 4000
LACKS = "the kernel has no xfrm interfaces"
FOLDER = pathlib.Path(sys.argv[1])
BUILD = pathlib.Path(os.environ["SEKISHO_BUILD"])


class PlainWorld(World):
    """Two gateways and the router between them: no hosts, and no packet filter, which this kernel
    does not have. Each gateway holds its service address itself."""

    def _build_nodes(self):
        self.nodes = ["inet", HOSPITAL, MAKER]
        lines = [f"netns add {self.namespace(node)}" for node in self.nodes]
        lines += [f"link add wan0 netns {self.namespace(site)} type veth peer name {site} netns "
            f"{self.namespace('inet')}" for site in self.sites]
        self._lines(None, lines)

    def _configure(self, node):
        lines = ["link set lo up"]
        if node == "inet":
            for site in self.sites.values():
                lines += [f"addr add {site.router}/24 dev {site.name}", f"link set {site.name} up"]
            self.call(node, pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text, "1")
        else:
            site = self.sites[node]
            other = SERVICE[MAKER if node == HOSPITAL else HOSPITAL]
            # Nobody answers for .77: without an SA a packet to the other service address has no way
            # out, neither encrypted nor in the clear.
            nowhere = site.router.rsplit(".", 1)[0] + ".77"
            lines += [f"addr add {site.wan}/24 dev wan0", f"addr add {SERVICE[node]}/32 dev lo",
                "link set wan0 up", f"route add default via {site.router}",
                f"route add {other}/32 via {nowhere} dev wan0 src {SERVICE[node]}"]
        self._lines(node, lines)

    def _lines(self, node, lines):
        where = ["-n", self.namespace(node)] if node else []
        subprocess.run(["ip", *where, "-batch", "-"], input="\n".join(lines), text=True, check=True)


def is_esp(packet):
    return packet.protocol == "esp"


def states(world, site):
    return world.run(site, ["ip", "xfrm", "state"]).stdout


def esp(tap, world):
    """charon's ESP in this kernel, by our own client."""
    program = BUILD / "tests/net/dataplane_smoke/gateway_driver"
    drivers = {site: Driver(world, site, program, "kernel", FOLDER / "credentials")
        for site in (HOSPITAL, MAKER)}
    hospital, maker = drivers[HOSPITAL], drivers[MAKER]
    echo = echo_start(world, HOSPITAL, "tcp", ECHO_PORT)
    wan = world.capture("inet", MAKER, "ip")

    def answers(timeout):
        return echo_ask(world, MAKER, "tcp", SERVICE[HOSPITAL], ECHO_PORT, timeout=timeout)

    with tap.case("the data plane says in one sentence why it does not choose this kernel"):
        why = maker.ask("setup", 1)
        tap.note(why)
        expect(why.startswith("dataplane kernel is not possible here: " + LACKS), why)
        expect(states(world, MAKER) == "", "the trial's state is still there")

    with tap.case("charon_initiate brings up ESP in the kernel"):
        for driver in (hospital, maker):
            driver.start()
        for driver, other in ((hospital, MAKER), (maker, HOSPITAL)):
            driver.peer(other, 0, ("c1", SERVICE[driver.node], SERVICE[other]))
        expect(not answers(0.5) and wan.count(is_inner) == 0, "it passed before")
        begun = time.monotonic()
        maker.ask(f"initiate {HOSPITAL} c1 20000", "ok")
        tap.note(f"initiate: {(time.monotonic() - begun) * 1000:.0f} ms")
        for driver in (hospital, maker):
            driver.expect("^child-up .* c1 ")
            found = states(world, driver.node)
            expect(found.count("proto esp") == 2 and found.count("rfc4106(gcm(aes))") == 2, found)

    with tap.case("data passes as ESP, and as nothing else"):
        expect(answers(5), "no echo")
        expect(f"from {SERVICE[MAKER]} " in echo.text(), echo.text())
        passed = wan.count(is_esp)
        expect(passed >= 7, f"{passed} packets of ESP")
        others = wan.packets(lambda packet: not is_esp(packet)
            and 500 not in (packet.source_port, packet.destination_port))
        expect(not others, f"neither IKE nor ESP: {others[:3]}")
        listed = [event for event in maker.collect("list") if event.startswith("sa ")]
        expect(len(listed) == 1 and " INSTALLED " in listed[0], listed)
        expect("out=0 " not in listed[0], listed)

    with tap.case("charon_terminate ends it at both ends"):
        heard = echo.text()
        maker.ask(f"terminate {HOSPITAL} - 10000", "ok")
        hospital.expect("^child-down .* c1 ")
        for site in (HOSPITAL, MAKER):
            wait_for(lambda: states(world, site) == "", 5, f"{site} has no state any more")
        passed = wan.count(is_esp)
        expect(not answers(0.5), "it answered")
        expect(wan.count(is_esp) == passed and echo.text() == heard, "packets without an SA")
        expect(wan.count(is_inner) == 0, "in the clear")
        maker.ask(f"terminate {HOSPITAL} - 10000", "refused")

    with tap.case("the driver and its charon end"):
        for driver in drivers.values():
            expect(driver.stop() == 0, driver.process.text()[-300:])


def gateway(tap, world):
    """The whole program, where it cannot do its work (promise 7)."""
    pki = Pki(Folder(FOLDER, [HOSPITAL]), BUILD / "src/ctl/sekisho")
    program = Gateway(world, HOSPITAL, pki.gateway_files(HOSPITAL),
        BUILD / "src/gateway/sekisho-gateway")

    def refusals():
        said = [json.loads(line) for line in program.log().splitlines() if line.startswith("{")]
        return [line["message"] for line in said
            if line["level"] == "error" and line["process"] == "priv"]

    with tap.case("the gateway tells which data plane it has to take, and why"):
        program.start()
        program.process.expect_text("data plane: charon encrypts (kernel-libipsec): " + LACKS, 10)

    with tap.case("the gateway says that there is no packet filter, and goes on trying"):
        wait_for(lambda: len(refusals()) >= 3, 20, "three attempts")
        for said in refusals():
            expect(said.startswith("nft refused the ruleset: ")
                and "Operation not supported" in said, said)
        expect(program.process.alive(), "the program ended")

    with tap.case("without a packet filter the gateway opens nothing"):
        answer = program.ask({"command": "status"})
        tap.note(f"status: {answer}")
        expect(answer["ok"] is False and "not running" in answer["error"], answer)
        expect(program.ask({"command": "cut"})["ok"] is False, "it answers as if it worked")
        forwards = world.call(HOSPITAL, pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text)
        expect(forwards.strip() == "0", "it forwards packets")
        tables = world.run(HOSPITAL, ["nft", "list", "tables"], check=False).stdout
        expect(tables == "", tables)
        expect(states(world, HOSPITAL) == "", "there is an SA")

    with tap.case("it ends as it should"):
        pids = program.pids()
        expect(program.process.stop(timeout=15) == 0, program.log()[-600:])
        alive = [name for name, pid in pids.items() if pathlib.Path(f"/proc/{pid}").exists()]
        expect(not alive, f"{alive} still run")


def main():
    with Tap() as tap:
        up = float(pathlib.Path("/proc/uptime").read_text().split()[0])
        tap.note(f"up after {up:.1f} s")
        begun = time.monotonic()
        with PlainWorld(sites=(HOSPITAL, MAKER)) as world:
            esp(tap, world)
            gateway(tap, world)
        tap.note(f"tested for {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main()
