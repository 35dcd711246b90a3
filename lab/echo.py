"""echo.py tcp|udp ADDRESS PORT: gives back what it gets; a program, started by services.echo_start.

Says "listening" once it does, and "from ADDRESS PORT" for each connection or datagram.
"""

import socket
import sys
import threading


def serve_udp(family, address, port):
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        print("listening", flush=True)
        while True:
            data, peer = server.recvfrom(65536)
            print("from", peer[0], peer[1], flush=True)
            server.sendto(data, peer)


def serve_tcp(family, address, port):
    with socket.create_server((address, port), family=family, backlog=128) as server:
        print("listening", flush=True)
        while True:
            connection, peer = server.accept()
            print("from", peer[0], peer[1], flush=True)
            threading.Thread(target=give_back, args=(connection,), daemon=True).start()


def give_back(connection):
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass  # a peer that a cut took away


def main(protocol, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    {"tcp": serve_tcp, "udp": serve_udp}[protocol](family, address, int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
