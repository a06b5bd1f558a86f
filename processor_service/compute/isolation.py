"""The isolation of a compute child: it decodes files of strangers, so it can reach nothing but what it works on.

`python -m processor_service.compute.isolation READABLE WRITABLE` isolates this process and then runs `child`. The two
are lists of paths, separated as in PATH. It runs before any library is imported: a thread that a library has started
would keep its rights. Each step that the kernel refuses is named in the answer to the first request, and logged.
"""

import contextlib
import ctypes
import os
import platform
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from shared.background import run_in_background
from shared.environment import forbid_tracing

CHILD_UID = 60_817  # of a root worker's children; neither Debian nor systemd assigns it to anything
GPU = Path("/dev/nvidiactl")  # its driver talks to daemons on the same machine by Unix sockets
OOM_SCORE_ADJ = "500"  # the kernel's OOM killer prefers the child to its worker

# What every program reads. Not: home folders, /run, /srv, /tmp, /var.
SYSTEM = ("/bin", "/dev", "/etc", "/gnu", "/lib", "/lib32", "/lib64", "/nix", "/opt", "/proc", "/sbin", "/sys", "/usr")
DEVICES = "/dev"

PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 8, 38, 22  # linux/prctl.h
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETUID = 1, 2, 7  # linux/capability.h
CAPABILITY_VERSION = 0x20080522
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h

_libc = ctypes.CDLL(None, use_errno=True)


def isolate(readable: Iterable[str], writable: Iterable[str]) -> tuple[str, ...]:
    """Give up the rights of this process. Return the names of the steps that this system refuses."""
    if sys.platform != "linux":
        return ("linux",)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    run_in_background()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE_ADJ)
    steps: dict[str, Callable[[], None]] = {
        "network namespace": _leave_network,
        "user": _leave_root,
        "no new privileges": lambda: _prctl(PR_SET_NO_NEW_PRIVS, 1),
        "files": lambda: _restrict_files(readable, writable),
        "system calls": _restrict_system_calls,
        "tracing": forbid_tracing,
    }
    return tuple([name for name, step in steps.items() if not _done(step)])


def _done(step: Callable[[], None]) -> bool:
    try:
        step()
    except OSError:
        return False
    return True


def _leave_network() -> None:
    """Enter a network namespace without any interface. Without privileges that takes a user namespace, too."""
    is_privileged = os.geteuid() == 0 or _may_search()  # a user namespace would take that right away
    flags = CLONE_NEWNET if is_privileged else CLONE_NEWNET | CLONE_NEWUSER
    user = os.geteuid()
    _checked(_libc.unshare(flags))
    if flags & CLONE_NEWUSER:
        with contextlib.suppress(OSError):
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")


def _leave_root() -> None:
    """Become another user, if this is root, and give up all capabilities.

    The child keeps the right to open files of other users, if it has it. `_restrict_files` limits which.
    """
    kept = 1 << CAP_DAC_READ_SEARCH if _may_search() and os.geteuid() != 0 else 0
    if os.geteuid() == 0 and all(_effective_capabilities() >> bit & 1 for bit in (CAP_DAC_OVERRIDE, CAP_SETUID)):
        with contextlib.suppress(OSError):  # a user namespace may not have this user
            _prctl(PR_SET_KEEPCAPS, 1)
            os.setgroups([])
            os.setresgid(CHILD_UID, CHILD_UID, CHILD_UID)
            os.setresuid(CHILD_UID, CHILD_UID, CHILD_UID)
            kept = 1 << CAP_DAC_OVERRIDE
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    _checked(_libc.capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0)))
    if os.geteuid() == 0:
        raise PermissionError


def _may_search() -> bool:
    """Whether this process may read any file, as a service without root whose programs are in root's folder."""
    return bool(_effective_capabilities() >> CAP_DAC_READ_SEARCH & 1)


def _effective_capabilities() -> int:
    return int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16)


def _prctl(option: int, *values: int | ctypes.Array[ctypes.c_char]) -> None:
    given = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in values]
    _checked(_libc.prctl(option, *given, *[ctypes.c_ulong(0)] * (4 - len(given))))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# Landlock: see linux/landlock.h and https://docs.kernel.org/userspace-api/landlock.html. Its calls have these numbers
# on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULE_PATH_BENEATH = 1
READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, read a folder
FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14  # those that apply to a file: execute, write, read, truncate
FIRST_RIGHTS, REFER, TRUNCATE = (1 << 13) - 1, 1 << 13, 1 << 14  # of the versions 1, 2 and 3
TCP = 1 << 0 | 1 << 1  # bind and connect, version 4
ABSTRACT_SOCKETS_AND_SIGNALS = 1 << 0 | 1 << 1  # to other processes, version 6
RULESET_SIZES = ((6, 24), (4, 16), (1, 8))  # bytes of the structure, by version


def _restrict_files(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Allow these paths, the system's and Python's. Where the kernel can, also forbid signals to other processes."""
    version = _checked(_libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))
    every = FIRST_RIGHTS | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    size = next(size for least, size in RULESET_SIZES if version >= least)
    attributes = struct.pack("QQQ", every, TCP, ABSTRACT_SOCKETS_AND_SIGNALS)[:size]
    ruleset = _checked(_libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(size), 0))
    for path in (*SYSTEM, sys.prefix, sys.base_prefix, *sys.path, *readable):
        _allow(ruleset, path, READ)
    for path in (DEVICES, *writable):
        _allow(ruleset, path, every)
    _checked(_libc.syscall(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path or ".", os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what does not exist cannot be read
        return
    if not Path(path or ".").is_dir():
        rights &= FILE_RIGHTS
    beneath = struct.pack("=Qi", rights, opened)
    try:
        _checked(_libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, beneath, 0))
    finally:
        os.close(opened)


# seccomp: a filter in classic BPF, see linux/seccomp.h and linux/filter.h.
SECCOMP_MODE_FILTER = 2
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 1  # refuse: EPERM
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # in struct seccomp_data
X32 = 0x40000000  # x86_64's second set of system calls
# The architecture's id, `socket`, and the numbers of: ptrace, process_vm_readv, process_vm_writev, unshare, setns,
# mount, bpf, perf_event_open, add_key, request_key, keyctl, kexec_load, io_uring_setup, pidfd_getfd.
CALLS = {
    "x86_64": (0xC000003E, 41, (101, 310, 311, 272, 308, 165, 321, 298, 248, 249, 250, 246, 425, 438)),
    "aarch64": (0xC00000B7, 198, (117, 270, 271, 97, 268, 40, 280, 241, 217, 218, 219, 104, 425, 438)),
}


def _restrict_system_calls() -> None:
    """Refuse sockets, and the calls that reach into other processes or the kernel."""
    if platform.machine() not in CALLS:
        raise OSError
    program = _filter(*CALLS[platform.machine()], unix_sockets=GPU.exists())
    instructions = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(head))


def _filter(architecture: int, socket_call: int, refused: tuple[int, ...], *, unix_sockets: bool) -> bytes:
    """Return the program. A jump counts the instructions that it skips: when true, when false."""
    sockets = [(EQUAL, 0, 3, socket_call), (LOAD, 0, 0, FIRST_ARGUMENT_AT), (EQUAL, 1, 0, socket.AF_UNIX)]
    instructions = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, REFUSE),
        *(each for number in refused for each in ((EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE))),
        *(sockets if unix_sockets else [(EQUAL, 0, 1, socket_call)]),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("HBBI", code, true, false, value) for code, true, false, value in instructions)


if __name__ == "__main__":
    missing = isolate(*(paths.split(os.pathsep) for paths in sys.argv[1:3]))

    from processor_service.compute.child import main

    main(missing)
