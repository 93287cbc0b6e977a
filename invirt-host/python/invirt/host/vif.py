"""What /etc/xen/invirt-database calls a link: sites change that file, so this name of ours stays."""

from __future__ import annotations

from invirt.host.network.vif import interface

__all__ = ["interface"]
