"""A login's own process can become no other: no program is started, no file's rights are gained."""

from __future__ import annotations

import ctypes
import errno

PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SCMP_ACT_… of seccomp.h
FORBIDDEN = ("execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "bpf", "io_uring_setup")


def confine() -> None:
    """From here on; OSError if the kernel doesn't take it."""
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    filter_ = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))
    for name in FORBIDDEN:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if seccomp.seccomp_rule_add_exact(filter_, ERRNO | errno.EPERM, number, 0):
            raise OSError(errno.EINVAL, f"seccomp has no {name}")
    if seccomp.seccomp_load(filter_):
        raise OSError(errno.EINVAL, "seccomp")
