"""The world in namespaces: hospitals, a device maker, a clinic behind NAT, the internet between them.

The demo, the net tests and the benchmarks are built from it. Needs root, Linux and the packages of
dev/packages.txt; the Python part is the standard library only.

    world.py     namespaces, links, addresses, processes, captures, cleaning up
    services.py  what stands behind gateways: a CT scanner's DICOM service, sshd, echo servers
    echo.py      the program behind those
    softhsm.py   tokens
    pcap.py      reads captures
    tap.py       how a test script reports
"""
