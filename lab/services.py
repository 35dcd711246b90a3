"""What stands behind the gateways: real programs, as a hospital has them.

    Dicom    DCMTK's storescp: the CT scanner's DICOM service (C-ECHO, C-STORE)
    Sshd     OpenSSH: the maintenance console, with a person "engineer" who has a key
    listeners_check, nobody_heard   that nobody reached echo servers that could be reached
    echo_start, echo_ask   TCP and UDP echo, for everything that needs no particular protocol

Everything lives in the world's directory and ends with the world; nothing of the machine (/etc,
anybody's home, its logs) is read as a secret or written.
"""

import hashlib
import pathlib
import socket
import struct

from lab.world import REPOSITORY, LabError, wait_for

MEGABYTE = 1_000_000
DICOM_PORT = 104
SSH_PORT = 22


# DICOM

# Multi-frame Grayscale Word Secondary Capture: a large object of one file, as a CT series sends it.
SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7.3"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
FRAME_SIDE = 512
# "2.25." and a number from a UUID or a hash is a valid UID without a registered root (PS3.5 B.2).
UID_ROOT = "2.25."


def dicom_write(path, patient="SEKISHO^DEMO", size=50 * MEGABYTE):
    """Writes a valid DICOM file of at least `size` bytes; returns its path. The same patient and
    size always give the same file; pixels are noise, so nothing on the way can compress them."""
    frame = FRAME_SIDE * FRAME_SIDE * 2
    frames = max(1, -(-size // frame))
    seed = f"{patient}/{frames}"
    instance = _uid(seed + "/instance")
    pixels = hashlib.shake_128(seed.encode()).digest(frames * frame)
    data = b"".join((
        _element(0x0008, 0x0008, "CS", "DERIVED\\SECONDARY"),
        _element(0x0008, 0x0016, "UI", SOP_CLASS),
        _element(0x0008, 0x0018, "UI", instance),
        _element(0x0008, 0x0020, "DA", "20260401"),
        _element(0x0008, 0x0030, "TM", "090000"),
        _element(0x0008, 0x0050, "SH", "1"),
        _element(0x0008, 0x0060, "CS", "CT"),
        _element(0x0008, 0x0064, "CS", "WSD"),
        _element(0x0008, 0x0090, "PN", ""),
        _element(0x0010, 0x0010, "PN", patient),
        _element(0x0010, 0x0020, "LO", "0000001"),
        _element(0x0010, 0x0030, "DA", ""),
        _element(0x0010, 0x0040, "CS", "O"),
        _element(0x0020, 0x000D, "UI", _uid(seed + "/study")),
        _element(0x0020, 0x000E, "UI", _uid(seed + "/series")),
        _element(0x0020, 0x0010, "SH", "1"),
        _element(0x0020, 0x0011, "IS", "1"),
        _element(0x0020, 0x0013, "IS", "1"),
        _element(0x0028, 0x0002, "US", 1),
        _element(0x0028, 0x0004, "CS", "MONOCHROME2"),
        _element(0x0028, 0x0008, "IS", str(frames)),
        _element(0x0028, 0x0010, "US", FRAME_SIDE),
        _element(0x0028, 0x0011, "US", FRAME_SIDE),
        _element(0x0028, 0x0100, "US", 16),
        _element(0x0028, 0x0101, "US", 16),
        _element(0x0028, 0x0102, "US", 15),
        _element(0x0028, 0x0103, "US", 0),
        _element(0x0028, 0x0301, "CS", "NO"),
        _element(0x7FE0, 0x0010, "OW", pixels)))
    meta = b"".join((
        _element(0x0002, 0x0001, "OB", b"\0\1"),
        _element(0x0002, 0x0002, "UI", SOP_CLASS),
        _element(0x0002, 0x0003, "UI", instance),
        _element(0x0002, 0x0010, "UI", EXPLICIT_LITTLE_ENDIAN),
        _element(0x0002, 0x0012, "UI", _uid("sekisho/lab"))))
    path = pathlib.Path(path)
    with open(path, "wb") as file:
        file.write(b"\0" * 128 + b"DICM" + _element(0x0002, 0x0000, "UL", len(meta)) + meta + data)
    return path


def _uid(seed):
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big")
    return UID_ROOT + str(number)


def _element(group, number, kind, value):
    """One data element in explicit VR little endian (PS3.5 7.1.2)."""
    if kind == "US":
        value = struct.pack("<H", value)
    elif kind == "UL":
        value = struct.pack("<I", value)
    elif isinstance(value, str):
        value = value.encode("ascii")
    if len(value) % 2:
        value += b"\0" if kind in ("UI", "OB") else b" "
    head = struct.pack("<HH", group, number) + kind.encode()
    if kind in ("OB", "OW"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


class Dicom:
    """storescp on a host of the world."""

    def __init__(self, world, node="core-hospital/ct", port=DICOM_PORT, title="CT1"):
        self.world, self.node, self.port, self.title = world, node, port, title
        self.received = world.path("dicom", node.replace("/", "-"), "received")
        self.process = None

    def start(self):
        self.received.mkdir(parents=True, exist_ok=True)
        # A child process for each association, as a scanner serves several at once; host names are
        # not looked up, there is no name service in the world.
        self.process = self.world.spawn(self.node, ["storescp", "--verbose", "--fork",
            "--disable-host-lookup", "--max-pdu", "131072", "--bit-preserving", "--aetitle",
            self.title, "--output-directory", self.received, self.port])
        address = self.world.address(self.node)
        wait_for(lambda: self.world.tcp_probe(self.node, address, self.port) == "open", 10,
            f"storescp on {self.node}")
        return self

    def echo(self, node, address=None, timeout=10):
        """C-ECHO from another node, to this host's own address or the one given. Returns "" when it
        was answered, or else what echoscu said."""
        done = self.world.run(node, ["echoscu", "--timeout", str(int(timeout)), "--acse-timeout",
            str(int(timeout)), "--aetitle", "MAINTENANCE", "--call", self.title,
            address or self.world.address(self.node), self.port], timeout=timeout + 30, check=False)
        return "" if done.returncode == 0 else _said(done)

    def store(self, node, path, address=None, timeout=120):
        """C-STORE of a file from another node. Returns "" when it was stored, or else what storescu
        said."""
        done = self.world.run(node, ["storescu", "--timeout", "10", "--acse-timeout", "10",
            "--propose-little", "--required", "--max-pdu", "131072", "--aetitle", "MAINTENANCE",
            "--call", self.title, address or self.world.address(self.node), self.port, path],
            timeout=timeout, check=False)
        return "" if done.returncode == 0 else _said(done)

    def files(self):
        """What was received, oldest first. A file still being written is in it."""
        return sorted(self.received.iterdir(), key=lambda path: path.stat().st_mtime)


def dicom_pixels_sha256(path):
    """The hash of a file's pixel data: what has to arrive unchanged (a receiver writes its own file
    header)."""
    data = pathlib.Path(path).read_bytes()
    at = data.rfind(struct.pack("<HH", 0x7FE0, 0x0010) + b"OW\0\0")
    if at < 0:
        raise LabError(f"{path} has no pixel data")
    length = struct.unpack_from("<I", data, at + 8)[0]
    if at + 12 + length != len(data):
        raise LabError(f"{path}: the pixel data does not end with the file")
    return hashlib.sha256(data[at + 12:]).hexdigest()


def _said(done):
    return (done.stderr.strip() or done.stdout.strip())[-600:] or f"ended with {done.returncode}"


# SSH

# sshd wants /run/sshd, looks the user up in /etc and writes login records. In a mount namespace of
# its own (ip netns exec makes one) it gets all of that from the world's directory, which is put on
# /mnt because /run is replaced.
SSHD_START = """
set -e
mount --bind "$1" /mnt
mount --bind /mnt/passwd /etc/passwd
mount --bind /mnt/shadow /etc/shadow
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /var/log
mkdir /run/sshd
exec /usr/sbin/sshd -D -e -f /mnt/sshd_config
"""

SSHD_CONFIG = """
Port {port}
ListenAddress {address}
HostKey /mnt/host_key
AuthorizedKeysFile /mnt/authorized_keys
AllowUsers {user}
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PidFile none
LogLevel VERBOSE
PrintMotd no
Subsystem sftp internal-sftp
"""

ENGINEER = "engineer"
ENGINEER_ID = 3927  # any that the machine does not use for a person


class Sshd:
    """sshd on a host of the world. Its log (process.text()) is what a witness gets to read."""

    def __init__(self, world, node="core-hospital/console", port=SSH_PORT):
        self.world, self.node, self.port = world, node, port
        self.directory = world.path("ssh", node.replace("/", "-"), "sshd")
        self.client = world.path("ssh", node.replace("/", "-"), "client")
        self.process = None

    def start(self):
        home = self.directory / "home"
        for directory in (home, self.client):
            directory.mkdir(parents=True, exist_ok=True)
        self._key(self.directory / "host_key")
        self._key(self.client / "key")
        self._key(self.client / "other_key")  # for the test that must be refused
        address = self.world.address(self.node)
        self._write("authorized_keys", (self.client / "key.pub").read_text())
        self._write("sshd_config",
            SSHD_CONFIG.format(port=self.port, address=address, user=ENGINEER))
        self._write("passwd", "root:x:0:0::/root:/usr/sbin/nologin\n"
            "sshd:x:3928:65534::/run/sshd:/usr/sbin/nologin\n"
            f"{ENGINEER}:x:{ENGINEER_ID}:{ENGINEER_ID}:Maintenance engineer:/mnt/home:/bin/sh\n")
        self._write("shadow", f"root:*:1::::::\nsshd:*:1::::::\n{ENGINEER}:*:1::::::\n")
        host_key = (self.directory / "host_key.pub").read_text().split()[:2]
        (self.client / "known_hosts").write_text(f"{self.node} {' '.join(host_key)}\n")
        self.process = self.world.spawn(self.node,
            ["sh", "-c", SSHD_START, "sshd", self.directory], ready="Server listening on")
        return self

    def argv(self, *command, address=None, key="key"):
        """The ssh command line that logs in as the engineer; for run() or spawn() on any node."""
        options = ("BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "ConnectTimeout=5",
            "StrictHostKeyChecking=yes", f"HostKeyAlias={self.node}",
            f"UserKnownHostsFile={self.client / 'known_hosts'}", "GlobalKnownHostsFile=/dev/null",
            "ServerAliveInterval=5")
        argv = ["ssh", "-F", "/dev/null", "-T", "-p", self.port, "-i", self.client / key]
        for option in options:
            argv += ["-o", option]
        return argv + [f"{ENGINEER}@{address or self.world.address(self.node)}", *command]

    def run(self, node, *command, address=None, key="key", timeout=20):
        """Runs a command on the console as the engineer; subprocess.CompletedProcess."""
        return self.world.run(node, self.argv(*command, address=address, key=key),
            timeout=timeout, check=False)

    def _key(self, path):
        self.world.run(self.node, ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
            path.name, "-f", path])

    def _write(self, name, text):
        (self.directory / name).write_text(text)


# Echo

EXPEDITED = 46 << 2  # DSCP EF (RFC 3246) as the second byte of the IPv4 header

_SEND_MARKED = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
    link.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, int(sys.argv[3]))
    for _ in range(int(sys.argv[4])):
        link.sendto(b"v" * 160, (sys.argv[1], int(sys.argv[2])))
"""


def datagrams_send(world, node, address, port, tos=EXPEDITED, count=20):
    """Sends UDP datagrams of 160 bytes, as a voice stream has them, with this type of service."""
    world.run(node, ["/usr/bin/python3", "-c", _SEND_MARKED, address, str(port), str(tos),
        str(count)])


def echo_start(world, node, protocol, port, address="0.0.0.0"):
    """A TCP or UDP echo server on a node; returns its Process once it listens. It writes one line
    for each peer it hears: "from ADDRESS PORT"."""
    return world.spawn(node, ["/usr/bin/python3", REPOSITORY / "lab" / "echo.py", protocol,
        address, port], ready="listening")


def listeners_check(world, listeners):
    """Echo servers {(node, port): Process} that nobody is to reach do answer at their own host."""
    for (node, port), listener in listeners.items():
        if world.tcp_probe(node, world.address(node), port) != "open":
            raise LabError(f"the listener on {node} port {port} does not answer")
        wait_for(lambda: "from" in listener.text(), 5, f"{node} tells who came")


def nobody_heard(listeners):
    """Since listeners_check() nobody has come."""
    for (node, port), listener in listeners.items():
        came = [line for line in listener.text().splitlines() if line.startswith("from ")]
        if len(came) != 1:
            raise LabError(f"{node} port {port}: {', '.join(came[1:3])}")


def echo_ask(world, node, protocol, address, port, data=b"sekisho", timeout=1.0):
    """Whether the echo server gave the same bytes back in time."""
    return world.call(node, _ask, protocol, address, port, data, timeout, timeout=timeout + 10)


def _ask(protocol, address, port, data, timeout):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as peer:
        peer.settimeout(timeout)
        try:
            peer.connect((address, port))
            peer.sendall(data)
            answer = b""
            while len(answer) < len(data):
                part = peer.recv(65536)
                if not part:
                    break
                answer += part
        except OSError:
            return False
    return answer == data
