"""What machines use, as the database keeps it: by the minute, by ten minutes, by the day.

A row holds an hour of minutes, a day of ten minutes, or a year of days: an array a
metric, and one, `slots`, of which minute (ten minutes, day) each sample is, from 0.
"""

from __future__ import annotations

# Each is what was used in that time, but memory, which is the most that there was: CPU in ms,
# memory in MiB, disk_read and _written, net_sent and _received in KiB, console in bytes.
METRICS = (
    *("cpu", "memory", "disk_read", "disk_written", "disk_operations"),
    *("net_sent", "net_received", "net_packets", "console", "dropped"),
)
EVERY = 60.0  # seconds between two samples of a host
KEEP = "SELECT keep_usage()"
