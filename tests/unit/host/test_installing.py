"""What an installer says on its guest's console, read with suspicion."""

from __future__ import annotations

from invirt.host.installing import Said, said

KEY = "SHA256:" + 43 * "A"


def test_the_last_step_counts() -> None:
    console = (
        b"Linux version 6\r\ninvirt-install: 5% making the file system\r\ninvirt-install: 30% unpacking\r\n"
    )
    assert said(console) == Said(30, "unpacking")
    assert said(b"") == Said()


def test_its_keys_are_told_by_kind() -> None:
    console = f"invirt-install: hostkey 256 {KEY} root@remus (ED25519)\r\ninvirt-install: 100% done\r\n"
    assert said(console.encode()) == Said(100, "done", keys={"ED25519": KEY})


def test_why_it_failed() -> None:
    console = b"invirt-install: 1% asking for an address\ninvirt-install: failed: no address by DHCP\n"
    assert said(console) == Said(1, "asking for an address", "no address by DHCP")


def test_what_is_no_word_of_an_installer_is_none() -> None:
    for console in (
        b"x invirt-install: 100% done\n",
        b"invirt-install: 101% done\n",
        b"invirt-install: 9% \x1b[2J\n",
    ):
        assert said(console) == Said()
    assert len(said(b"invirt-install: failed: " + 999 * b"x").failed) == 200
