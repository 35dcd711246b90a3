"""What is tested inside the machine (see run): first the gateway's own parts by gateway_driver,
then the whole story with center, two gateways and a CT scanner's DICOM service."""

import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

from lab.center import PROVIDER  # noqa: E402
from lab.pki import Pki  # noqa: E402
from lab.scenario import closed, is_inner, logs_note  # noqa: E402
from lab.services import EXPEDITED, Dicom, datagrams_send, echo_ask, echo_start  # noqa: E402
from lab.stage import DICOM_PORT, Stage  # noqa: E402
from lab.stage import MAKER as MAKER_NAME  # noqa: E402
from lab.stream import Stream  # noqa: E402
from lab.tap import Tap, expect  # noqa: E402
from lab.world import World, wait_for  # noqa: E402
from tests.kernel.driver import Driver  # noqa: E402

ROOT = pathlib.Path("/sekisho")
HOSPITAL, MAKER, LABORATORY = "core-hospital", "device-maker", "test-center"
CT, TERMINAL, SERVER = f"{HOSPITAL}/ct", f"{MAKER}/terminal", f"{LABORATORY}/server"
TCP, UDP, STREAM_PORT, ECHO_PORT = 6, 17, 9000, 4000
LEASE_MSEC = 300_000
CAP_NET_ADMIN = 1 << 12
BULK_BYTES = 256 << 10
CHOICE = "The kernel encrypts: it has ESP with AES-256-GCM and xfrm interfaces."


def is_esp(packet):
    return packet.protocol == "esp"


def states(world, site):
    """The kernel's ESP states, by `ip`; "" when there are none."""
    return world.run(site, ["ip", "xfrm", "state"]).stdout


def nothing_inside(world, wan):
    """Neither the capture nor the internet's router, which counts and drops them, has seen a packet
    with an inner address."""
    packets = wan.packets(is_inner)
    expect(not packets, f"{len(packets)} of the inside: {packets[0] if packets else ''}")
    private = world.run("inet", ["nft", "list", "counter", "inet", "isp", "private"]).stdout
    expect("packets 0 " in private, private)


class Tunnel:
    """The driver's half. The cases run in order; each begins where the one before it ended."""

    def __init__(self, tap, world):
        self.tap, self.world = tap, world
        self.service = {node: world.host(node).service for node in (CT, TERMINAL, SERVER)}
        self.real = {node: world.host(node).address for node in (CT, TERMINAL, SERVER)}
        program = ROOT / "build/tests/net/dataplane_smoke/gateway_driver"
        # One finds out for itself, one is told.
        self.drivers = {site: Driver(world, site, program, wanted, ROOT / "credentials")
            for site, wanted in ((HOSPITAL, "auto"), (MAKER, "kernel"), (LABORATORY, "kernel"))}
        self.hospital, self.maker = self.drivers[HOSPITAL], self.drivers[MAKER]
        # What a gateway sees of a packet that comes in, and so the beginning of a lease's key: the
        # real source at the initiator's, both service addresses at the responder's.
        self.pairs = {self.hospital: f"{self.service[TERMINAL]} {self.service[CT]}",
            self.maker: f"{self.real[TERMINAL]} {self.service[CT]}"}
        self.wan = world.capture("inet", MAKER, "ip")
        self.echo = echo_start(world, CT, "tcp", ECHO_PORT)

    def lease(self, protocol, port, mark, msec=LEASE_MSEC):
        """Opens at both ends, the responder first."""
        for driver in (self.hospital, self.maker):
            driver.ask(f"open {self.pairs[driver]} {protocol} {port} {mark} {msec}", 0)

    def close(self, protocol, port, mark):
        for driver in (self.maker, self.hospital):
            driver.ask(f"close {self.pairs[driver]} {protocol} {port} {mark}", 0)
            driver.ask(f"cut {mark}", 0)

    def answers(self, timeout, data=b"sekisho"):
        return echo_ask(self.world, TERMINAL, "tcp", self.service[CT], ECHO_PORT, data, timeout)

    def stream(self):
        return Stream(self.world, TERMINAL, CT, self.service[CT], STREAM_PORT, hertz=50)

    def connect(self, site, other, if_id, own, others):
        """What a gateway loads for one peer, with one child."""
        driver, name = self.drivers[site], f"skx{if_id}"
        driver.ask(f"tunnel {name} {if_id} {others}", 0)
        driver.peer(other, if_id, ("c1", own, others))

    # The cases

    def run(self):
        for name, case in ((name, getattr(self, name)) for name in vars(Tunnel)
                if name.startswith("case_")):
            with self.tap.case(case.__doc__):
                begun = time.monotonic()
                case()
                self.tap.note(f"{name[5:]}: {time.monotonic() - begun:.1f} s")

    def case_choice(self):
        """driver: auto finds the kernel's ESP, and says so in one sentence"""
        for site, driver in self.drivers.items():
            why = driver.ask("setup", 0)
            expect(why == CHOICE, f"{site}: {why}")
        self.tap.note(CHOICE)
        links = self.world.run(HOSPITAL, ["ip", "-brief", "link"]).stdout
        expect("skxtrial" not in links, f"the trial is still there: {links}")
        expect(states(self.world, HOSPITAL) == "", "the trial's state is still there")

    def case_up(self):
        """driver: charon puts the SA into the kernel, bound to the peer's own interface"""
        for node in (CT, TERMINAL, SERVER):
            site = node.split("/")[0]
            self.drivers[site].ask(f"pairs {self.service[node]} {self.real[node]}", 0)
            self.drivers[site].start()
        self.connect(HOSPITAL, MAKER, 7, self.service[CT], self.service[TERMINAL])
        self.connect(MAKER, HOSPITAL, 7, self.service[TERMINAL], self.service[CT])
        begun = time.monotonic()
        self.maker.ask(f"initiate {HOSPITAL} c1 30000", "ok")
        self.tap.note(f"initiate: {(time.monotonic() - begun) * 1000:.0f} ms")
        for driver in (self.hospital, self.maker):
            driver.expect("^child-up .* c1 ")
            found = states(self.world, driver.node)
            expect(found.count("proto esp") == 2 and found.count("if_id 0x7") == 2
                and found.count("rfc4106(gcm(aes))") == 2 and "encap" not in found, found)
            listed = [event for event in driver.collect("list") if event.startswith("sa ")]
            expect(len(listed) == 1 and listed[0].endswith("if=7"), listed)
        links = self.world.run(MAKER, ["ip", "-brief", "link"]).stdout
        expect("ipsec0" not in links, f"charon encrypts as well: {links}")

    def case_no_lease(self):
        """driver: an SA without a lease passes nothing, and with one at one end neither"""
        expect(not self.answers(1), "without a lease the CT answered")
        self.maker.ask(f"open {self.pairs[self.maker]} {TCP} {ECHO_PORT} 5 60000", 0)
        expect(not self.answers(1), "with a lease at the maker only the CT answered")
        self.close(TCP, ECHO_PORT, 5)
        expect("from" not in self.echo.text(), self.echo.text())

    def case_open(self):
        """driver: a lease at both ends passes the connection, as ESP and as nothing else"""
        self.lease(TCP, ECHO_PORT, 18)
        before = self.wan.count(is_esp)
        expect(self.answers(10), "no echo")
        expect(self.echo.text().split()[-2] == self.service[TERMINAL], self.echo.text())
        passed = self.wan.count(is_esp) - before
        expect(passed >= 7, f"only {passed} packets of ESP")
        others = self.wan.packets(lambda packet: not is_esp(packet)
            and 500 not in (packet.source_port, packet.destination_port))
        expect(not others, f"{len(others)} packets neither IKE nor ESP: {others[:3]}")
        expect(not self.wan.contains(b"sekisho"), "what was sent was seen in the clear")

    def case_large(self):
        """driver: full segments pass: hosts learn the tunnel's smaller packet size"""
        data, sizes = bytes(BULK_BYTES), lambda packet: len(packet.data)
        begun = time.monotonic()
        expect(self.answers(20, data), "no echo")
        self.tap.note(f"{BULK_BYTES >> 10} kB there and back in {time.monotonic() - begun:.2f} s")
        packets = self.wan.packets(is_esp)
        expect(sum(map(sizes, packets)) > 2 * BULK_BYTES, "it did not go by ESP")
        expect(max(map(sizes, packets)) <= 1500, f"a packet of {max(map(sizes, packets))} bytes")

    def case_close(self):
        """driver: a closed lease stops the flow at once"""
        self.lease(UDP, STREAM_PORT, 19)
        stream = self.stream()
        try:
            stream.wait_flowing(timeout=30, count=10)
            ordered = time.clock_gettime(time.CLOCK_REALTIME)
            self.maker.ask(f"close {self.pairs[self.maker]} {UDP} {STREAM_PORT} 19", 0)
            done = time.clock_gettime(time.CLOCK_REALTIME)
            last = stream.wait_quiet(0.6)
            self.tap.note(f"closed within {(done - ordered) * 1000:.1f} ms, last packet at the CT "
                f"{(last - ordered) * 1000:+.1f} ms")
            # What was already inside the tunnel may still arrive.
            expect(last < done + 0.2, f"a packet {last - done:.3f} s after the close")
        finally:
            stream.stop()
        self.close(UDP, STREAM_PORT, 19)

    def case_dscp(self):
        """driver: the DSCP that a host sets is on the packets outside, and arrives (E7)"""
        self.lease(UDP, STREAM_PORT, 22)
        at_ct = self.world.capture(CT, "eth0", f"udp dst port {STREAM_PORT}")
        line = self.world.capture("inet", MAKER, "esp")
        datagrams_send(self.world, TERMINAL, self.service[CT], STREAM_PORT)
        wait_for(lambda: at_ct.count() == 20, 10, "twenty datagrams at the CT")
        marked = {packet.data[1] for packet in at_ct.stop().packets()}
        expect(marked == {EXPEDITED}, f"at the CT {marked}")
        # The CT answers with ICMP, because nobody listens there: not what is looked at.
        outside = {packet.data[1] for packet in line.stop().packets()
            if packet.source == self.world.address(MAKER)}
        expect(outside == {EXPEDITED}, f"outside {outside}")
        self.close(UDP, STREAM_PORT, 22)

    def case_time_out(self):
        """driver: the kernel ends a lease by itself"""
        self.lease(UDP, STREAM_PORT, 20)
        stream = self.stream()
        try:
            stream.wait_flowing(timeout=30, count=10)
            begun = time.clock_gettime(time.CLOCK_REALTIME)
            self.lease(UDP, STREAM_PORT, 20, 1500)
            last = stream.wait_quiet(0.6)
            self.tap.note(f"lease of 1.5 s: last packet after {last - begun:.2f} s")
            expect(1.0 < last - begun < 2.0, f"{last - begun:.2f} s")
            left = [event for event in self.maker.collect("leases") if "mark=20" in event]
            expect(not left, left)
        finally:
            stream.stop()
        self.close(UDP, STREAM_PORT, 20)

    def case_transit(self):
        """driver: no transit, though SAs, routes and leases would carry it from tunnel to tunnel"""
        near, far = self.service[TERMINAL], self.service[SERVER]
        laboratory = self.drivers[LABORATORY]
        # A second child takes the maker's terminal to the laboratory, over the hospital.
        self.maker.ask(f"tunnel skx7 7 {far}", 0)
        for driver, other, children in (
                (self.maker, HOSPITAL, (("c1", near, self.service[CT]), ("c2", near, far))),
                (self.hospital, MAKER, (("c1", self.service[CT], near), ("c2", far, near)))):
            driver.peer(other, 7, *children)
        self.connect(HOSPITAL, LABORATORY, 8, near, far)
        self.connect(LABORATORY, HOSPITAL, 8, far, near)
        self.maker.ask(f"initiate {HOSPITAL} c2 30000", "ok")
        self.hospital.ask(f"initiate {LABORATORY} c1 30000", "ok")
        for driver, source in ((self.maker, self.real[TERMINAL]), (self.hospital, near),
                (laboratory, near)):
            driver.ask(f"open {source} {far} {TCP} {ECHO_PORT} 21 {LEASE_MSEC}", 0)
        echo = echo_start(self.world, SERVER, "tcp", ECHO_PORT)
        wan = self.world.capture("inet", LABORATORY, "esp")

        def reaches(timeout):
            return echo_ask(self.world, TERMINAL, "tcp", far, ECHO_PORT, timeout=timeout)
        before = self.dropped("c_transit")
        expect(not reaches(1.5), "the terminal reached the laboratory")
        dropped = self.dropped("c_transit") - before
        self.tap.note(f"{dropped} packets dropped as transit")
        expect(dropped > 0, "the packets did not get as far as the rule")
        expect(wan.count() == 0, f"{wan.count()} packets of ESP went on")
        expect(echo.text() == "listening\n", echo.text())
        # Without the hospital's rules they do pass: it was the rule that held them.
        self.world.run(HOSPITAL, ["nft", "delete", "table", "ip", "sekisho"])
        expect(reaches(10), "nothing passed without the rules either: the case shows nothing")
        self.hospital.expect("^foreign table-gone nft")
        self.hospital.ask("load", 0)
        self.hospital.ask(f"pairs {self.service[CT]} {self.real[CT]}", 0)
        expect(not reaches(1.5), "the rules are back, and it passes")
        wan.stop()

    def dropped(self, counter):
        said = self.world.run(HOSPITAL, ["nft", "list", "counter", "ip", "sekisho", counter]).stdout
        return int(said.split("packets")[1].split()[0])

    def case_sa_down(self):
        """driver: with the SA gone and the leases still there nothing leaves in the clear"""
        self.lease(TCP, ECHO_PORT, 18)
        expect(self.answers(10), "no echo before the end")
        self.maker.ask(f"terminate {HOSPITAL} - 10000", "ok")
        self.hospital.expect("^child-down .* c1 ")
        for site in (HOSPITAL, MAKER):
            left = [line for line in states(self.world, site).splitlines() if "if_id 0x7" in line]
            expect(not left, f"{site} still has {left}")
        heard = self.echo.text()
        esp = self.wan.count(is_esp)
        expect(not self.answers(1.5), "it answered without an SA")
        expect(self.wan.count(is_esp) == esp and self.echo.text() == heard, "ESP without an SA")
        nothing_inside(self.world, self.wan)
        left = [event for event in self.maker.collect("leases") if "mark=18" in event]
        expect(left, "the lease went with the SA: the case shows nothing")

    def case_end(self):
        """driver: at no time a packet of the inside was in the clear"""
        nothing_inside(self.world, self.wan)
        for site, driver in self.drivers.items():
            status = driver.stop()
            expect(status == 0, f"{site}: the driver ended with {status}")


class Story:
    """center, two gateways with `dataplane = auto`, a CT scanner."""

    def __init__(self, tap, stage):
        self.tap, self.stage, self.world = tap, stage, stage.world
        self.ct = stage.service(CT)
        self.dicom = Dicom(self.world).start()
        self.wan = self.world.capture("inet", MAKER, "ip")
        self.at_ct = self.world.capture(CT, "eth0", f"tcp port {DICOM_PORT}")

    def run(self):
        with self.tap.case("story: each gateway chose the kernel by itself, and its log says why"):
            for site, gateway in self.stage.gateways.items():
                plane = gateway.status()["dataplane"]
                expect(plane == "kernel", f"{site}: {plane}")
                expect(f"data plane: {CHOICE}" in gateway.log(), gateway.log()[-800:])

        with self.tap.case("story: the sandboxes stand under this kernel"):
            self.sandboxes()

        with self.tap.case("story: before the request nothing reaches the CT"):
            found = self.world.tcp_probe(TERMINAL, self.ct, DICOM_PORT, timeout=1)
            expect(found != "open", found)
            expect(self.wan.count(is_esp) == 0 and self.at_ct.count() == 0, "something was sent")

        with self.tap.case("story: C-ECHO reaches the CT once it is granted, in the kernel's ESP"):
            begun = time.monotonic()
            self.connection = self.stage.connect(TERMINAL, CT, timeout=60)
            opened = time.monotonic()
            said = self.dicom.echo(TERMINAL, self.ct, timeout=30)
            expect(said == "", f"{said}\n{self.standing()}")
            self.tap.note(f"request to open {opened - begun:.2f} s, then C-ECHO "
                f"{time.monotonic() - opened:.2f} s")
            expect(self.wan.count(is_esp) > 10, f"{self.wan.count(is_esp)} packets of ESP")
            for site in (HOSPITAL, MAKER):
                found = states(self.world, site)
                expect(found.count("proto esp") == 2 and found.count("if_id") == 2, found)
                links = self.world.run(site, ["ip", "-brief", "link", "show", "type",
                    "xfrm"]).stdout
                expect(links.startswith("skx") and links.count("\n") == 1, links)

        with self.tap.case("story: the hospital presses cut; the filter is shut and the SA ends"):
            begun = time.monotonic()
            self.stage.gateways[HOSPITAL].ask({"command": "cut"})
            self.tap.note(f"cut answered after {(time.monotonic() - begun) * 1000:.0f} ms")
            expect(self.stage.gateways[HOSPITAL].leases() == [], "the lease is still there")
            before = self.at_ct.count()
            found = self.world.tcp_probe(TERMINAL, self.ct, DICOM_PORT, timeout=1)
            expect(found != "open", found)
            expect(self.at_ct.count() == before, "a packet at the CT")
            closed(self.stage, self.connection, 30)
            for site in (HOSPITAL, MAKER):
                wait_for(lambda: states(self.world, site) == "", 30, f"the SA of {site} ends")

        with self.tap.case("story: at no time a packet of the inside was in the clear"):
            nothing_inside(self.world, self.wan)

    def standing(self):
        """What both gateways hold, for the reader of a failure."""
        said = []
        for site in (HOSPITAL, MAKER):
            for argv in (["ip", "-s", "xfrm", "state"], ["ip", "xfrm", "policy"], ["ip", "route"],
                    ["ip", "-s", "link", "show", "type", "xfrm"], ["nft", "list", "ruleset"],
                    ["cat", "/proc/net/xfrm_stat"]):
                done = self.world.run(site, argv, check=False)
                said += [f"{site}: {' '.join(argv)}", done.stdout]
        return "\n".join(said)

    def sandboxes(self):
        """Who reads a peer's bytes has no privilege left, a system call filter, and Landlock."""
        lsm = pathlib.Path("/sys/kernel/security/lsm").read_text()
        expect("landlock" in lsm.split(","), f"this kernel has {lsm}")
        programs = [(self.stage.center, ("front", "core", "signer"))]
        programs += [(gateway, ("priv", "agent")) for gateway in self.stage.gateways.values()]
        for program, names in programs:
            pids = program.pids()
            for name in names:
                lines = pathlib.Path(f"/proc/{pids[name]}/status").read_text().splitlines()
                status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                capabilities = CAP_NET_ADMIN if name == "priv" else 0
                found = (status["NoNewPrivs"], status["Seccomp"], int(status["CapEff"], 16))
                expect(found == ("1", "2", capabilities), f"{name}: {found}")
            expect("no Landlock" not in program.log(), "a program found no Landlock")


def prepare(stage):
    """Takes what Stage.prepare() made before the machine was started."""
    shutil.copytree(ROOT / "ceremony", stage.world.directory, dirs_exist_ok=True)
    stage.pki = Pki(stage.world, stage.program("sekisho"), provider=PROVIDER, maker=MAKER_NAME)
    statements = (ROOT / "ceremony" / "pki").glob("statement-*.jws")
    stage.pki.sealed = [path.read_text().strip() for path in
        sorted(statements, key=lambda path: int(path.name.split("-")[1]))]


def timed(tap, what, begun):
    tap.note(f"{what}: {time.monotonic() - begun:.1f} s")
    return time.monotonic()


def main():
    with Tap() as tap:
        up = float(pathlib.Path("/proc/uptime").read_text().split()[0])
        tap.note(f"up after {up:.1f} s")
        begun = time.monotonic()
        with World(sites=(HOSPITAL, MAKER, LABORATORY)) as world:
            Tunnel(tap, world).run()
        begun = timed(tap, "the driver's half", begun)
        with Stage(sites=(HOSPITAL, MAKER)) as stage:
            try:
                begun = timed(tap, "the world of the story", begun)
                prepare(stage)
                stage.start_center()
                stage.register()
                begun = timed(tap, "center and registration", begun)
                stage.start_gateways(timeout=120)
                begun = timed(tap, "enrolment", begun)
                Story(tap, stage).run()
                begun = timed(tap, "the story", begun)
            except Exception:
                logs_note(tap, stage)
                raise
            if tap.failed:
                logs_note(tap, stage)
        timed(tap, "the end", begun)


if __name__ == "__main__":
    main()
