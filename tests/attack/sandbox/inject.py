"""System calls made by another process: what somebody could do who has taken it over.

    with Taken(pid) as taken:
        result = taken.call("openat", AT_FDCWD, b"/etc/shadow\\0", 0, 0)

The process is stopped where it waits in a system call; its registers are set to another call, one
step is made, and the answer read back. The kernel takes it for the process's own: its seccomp filter,
Landlock rules and capabilities decide. A call that the filter answers with death raises Killed. x86-64
only (`usable()` says so).
"""

import ctypes
import os
import platform
import signal
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

GETREGS, SETREGS, SINGLESTEP, CONT, DETACH, SEIZE, INTERRUPT = 12, 13, 9, 7, 17, 0x4206, 0x4207
SYSCALL_INSTRUCTION = b"\x0f\x05"
SCRATCH = 4096  # below the stack pointer and its red zone

# user_regs_struct by position
R10, R9, R8, RAX, RDX, RSI, RDI, ORIG_RAX, RIP, RSP = 7, 8, 9, 10, 12, 13, 14, 15, 16, 19
ARGUMENTS = (RDI, RSI, RDX, R10, R8, R9)
REGISTERS = 27

CALLS = {"socket": 41, "connect": 42, "execve": 59, "ptrace": 101, "setuid": 105, "mount": 165, "reboot": 169, "init_module": 175,
    "openat": 257, "unshare": 272, "process_vm_readv": 310, "bpf": 321, "io_uring_setup": 425,
    "userfaultfd": 323, "keyctl": 250, "chmod": 90, "setns": 308,
    "perf_event_open": 298, "swapon": 167,
    "open_by_handle_at": 304}


class Killed(Exception):
    """The process was ended by its filter (SIGSYS)."""


class CannotTake(Exception):
    """It is not there, or does not wait in a system call."""


def usable():
    return platform.machine() == "x86_64"


class Taken:
    def __init__(self, pid):
        self.pid = pid
        self.dead = False

    def __enter__(self):
        self._ptrace(SEIZE)
        self._ptrace(INTERRUPT)
        self._wait()
        self.saved = self._registers()
        at = self.saved[RIP] - len(SYSCALL_INSTRUCTION)
        if self._read(at, len(SYSCALL_INSTRUCTION)) != SYSCALL_INSTRUCTION:
            self._ptrace(DETACH)
            raise CannotTake(f"process {self.pid} does not wait in a system call")
        return self

    def __exit__(self, kind, error, trace):
        if not self.dead:
            self._set(self.saved)
            self._ptrace(DETACH)

    def call(self, name, *arguments):
        """The call's result as the kernel gives it: negative is an error number."""
        registers = list(self.saved)
        scratch = (self.saved[RSP] - SCRATCH) & ~0xf
        for place, value in zip(ARGUMENTS, arguments):
            if isinstance(value, (bytes, bytearray)):
                scratch = (scratch - len(value) - 16) & ~0xf
                self._write(scratch, bytes(value))
                value = scratch
            registers[place] = value & 0xffffffffffffffff
        registers[RIP] = self.saved[RIP] - len(SYSCALL_INSTRUCTION)
        registers[RAX] = CALLS[name]
        registers[ORIG_RAX] = 0xffffffffffffffff  # no call is to be begun again
        self._set(registers)
        self._ptrace(SINGLESTEP)
        self._wait()
        result = self._registers()[RAX]
        self._set(self.saved)
        return result - (1 << 64) if result >> 63 else result

    def _wait(self):
        while True:
            _, status = os.waitpid(self.pid, 0x40000000)  # __WALL
            if os.WIFSIGNALED(status):
                self.dead = True
                if os.WTERMSIG(status) == signal.SIGSYS:
                    raise Killed
                raise CannotTake(f"process {self.pid} ended by signal {os.WTERMSIG(status)}")
            if os.WIFEXITED(status):
                self.dead = True
                raise CannotTake(f"process {self.pid} ended")
            if os.WSTOPSIG(status) == signal.SIGSYS:  # about to die of it
                self._ptrace(CONT, signal.SIGSYS)
                continue
            return

    def _ptrace(self, request, data=0):
        if LIBC.ptrace(request, self.pid, None, data) < 0:
            raise CannotTake(f"ptrace {request} of {self.pid}: {os.strerror(ctypes.get_errno())}")

    def _registers(self):
        room = (ctypes.c_ulonglong * REGISTERS)()
        self._ptrace(GETREGS, ctypes.addressof(room))
        return list(room)

    def _set(self, registers):
        room = (ctypes.c_ulonglong * REGISTERS)(*registers)
        self._ptrace(SETREGS, ctypes.addressof(room))

    def _read(self, at, count):
        with open(f"/proc/{self.pid}/mem", "rb") as memory:
            memory.seek(at)
            return memory.read(count)

    def _write(self, at, data):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(at)
            memory.write(data)


def sockaddr_in(address, port):
    return struct.pack("=H", 2) + struct.pack("!H", port) + bytes(map(int, address.split("."))) \
        + bytes(8)
