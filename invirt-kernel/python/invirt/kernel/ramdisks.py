"""The ramdisks that are made, by the names of their files."""

from __future__ import annotations

from invirt.kernel.installer import INSTALLER
from invirt.kernel.ramdisk import GUEST

RAMDISKS = {"initrd": GUEST, "installer": INSTALLER}
