"""ssh NAME@console: who gets in, and what they get."""

from __future__ import annotations

import pexpect

from tests.parts.console.servers import Site


def terminal(site: Site, user: str, login: str, *options: str) -> pexpect.spawn:
    """An interactive ssh."""
    argv = site.ssh(user, login, *options)
    return pexpect.spawn(argv[0], argv[1:], timeout=15, encoding="utf-8", codec_errors="replace")


def test_a_login_is_the_machines_console(consoles: Site) -> None:
    remus = terminal(consoles, "alice", "remus")
    remus.expect("this is d_remus, booted")
    remus.sendline("hello there")
    remus.expect("hello there\r\n")
    remus.send("\x05c.")
    remus.expect(pexpect.EOF)
    remus.close()
    assert remus.exitstatus == 0
