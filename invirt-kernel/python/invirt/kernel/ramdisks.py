"""The ramdisks that are made, by the names of their files."""

from __future__ import annotations

from invirt.kernel.installer import INSTALLER
from invirt.kernel.ramdisk import GUEST
from invirt.kernel.rescue import RESCUE

RAMDISKS = {"initrd": GUEST, "installer": INSTALLER, "rescue": RESCUE}
