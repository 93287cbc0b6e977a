"""What machines use, as the database keeps it: by the minute, by ten minutes, by the day.

The views usage and usage_drops are for those who read it.  A row of the tables
holds an hour of minutes or of ten minutes, or a day.  `slots` says which of them each sample is,
from 0; `used` has all METRICS of each sample, one sample after the other; `drops` the packets that
were refused in all of that time, for each of REASONS.
"""

from __future__ import annotations

# Each is what was used in that time, but memory, which is the most that there was: CPU in ms,
# memory in MiB, disk_read and _written, net_sent and _received in KiB, console in bytes.
METRICS = (
    *("cpu", "memory", "disk_read", "disk_written", "disk_operations"),
    *("net_sent", "net_received", "net_packets", "console", "dropped"),
)
REASONS = (
    *("foreign_mac", "foreign_ip", "foreign_ip6", "foreign_arp", "foreign_nd", "router", "foreign_dhcp"),
    *("dhcp_answer", "closed_port", "foreign_icmp", "too_often", "fragment", "hidden", "protocol"),
    "multicast",
)
EVERY = 60.0  # seconds between two samples of a host
KEEP = "SELECT keep_usage()"
