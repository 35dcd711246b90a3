"""Orthanc: a hospital's image archive, with DICOM for who sends studies and DICOMweb for who looks
for them.

    archive = Archive(world, "university-hospital/server", address).start()
    archive.studies("south-hospital/server", service_address)      # QIDO-RS
"""

import json

from lab.world import wait_for

TITLE = "ARCHIVE"
DICOM_PORT, WEB_PORT = 104, 8042
DICOMWEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
PATIENT_NAME = "00100010"


class Archive:
    def __init__(self, world, node, address=None):
        """`address` is where its services are asked from the node itself, if not its own."""
        self.world, self.node, self.address = world, node, address or world.address(node)
        self.directory = world.path("archive", node.replace("/", "-"), "x").parent
        self.process = None

    def start(self):
        conf = self.directory / "orthanc.json"
        conf.write_text(json.dumps({"Name": TITLE, "StorageDirectory": f"{self.directory}/db",
            "IndexDirectory": f"{self.directory}/db", "DicomAet": TITLE, "DicomPort": DICOM_PORT,
            "DicomCheckCalledAet": True, "DicomAlwaysAllowStore": True, "HttpPort": WEB_PORT,
            "RemoteAccessAllowed": True, "AuthenticationEnabled": False, "DicomModalities": {},
            "Plugins": [DICOMWEB], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}))
        self.process = self.world.spawn(self.node, ["Orthanc", conf], ready="Orthanc has started")
        for port in (DICOM_PORT, WEB_PORT):
            wait_for(lambda: self.world.tcp_probe(self.node, self.address, port) == "open", 10,
                f"the archive on {self.node}")
        return self

    def echo(self, node, address, timeout=1):
        """"" when C-ECHO was answered, else what echoscu said."""
        done = self.world.run(node, ["echoscu", "--timeout", timeout, "--acse-timeout", timeout,
            "--aetitle", "ELSEWHERE", "--call", TITLE, address, DICOM_PORT], timeout=timeout + 30,
            check=False)
        return "" if done.returncode == 0 else done.stderr.strip() or f"ended {done.returncode}"

    @staticmethod
    def store_argv(path, address):
        """C-STORE of a file, for run() or spawn() on any node."""
        return ["storescu", "--timeout", "10", "--acse-timeout", "10", "--propose-little",
            "--required", "--max-pdu", "131072", "--aetitle", "ELSEWHERE", "--call", TITLE, address,
            DICOM_PORT, path]

    def web(self, node, address, path, timeout=10):
        """GET as bytes in text, by curl; None when there was no good answer."""
        done = self.world.run(node, ["curl", "--silent", "--fail", "--noproxy", "*", "--max-time",
            timeout, f"http://{address}:{WEB_PORT}{path}"], timeout=timeout + 20, check=False)
        return done.stdout if done.returncode == 0 else None

    def studies(self, node, address):
        """The patients' names of all studies, by QIDO-RS; None: no answer."""
        found = self.web(node, address, "/dicom-web/studies")
        return None if found is None else [item.get(PATIENT_NAME, {}).get("Value", [{}])[0].get(
            "Alphabetic", "") for item in json.loads(found)]

    def attachments(self):
        """The path of every file as it was received."""
        return [path for path in (self.directory / "db").rglob("*") if path.is_file()
            and not path.name.startswith("index")]
