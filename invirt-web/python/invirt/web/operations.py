"""What pages and streams both ask of an operation."""

from __future__ import annotations

from invirt.base.errors import NotFound

OPEN = ("running", "undoing")  # there is more to come
# Of web.operations: the one of that number, for whoever may see it.
MAY_SEE = """
operation_id = %(number)s AND (principal = %(who)s
    OR machine_id IN (SELECT machine_id FROM access WHERE principal = %(who)s))
"""


def hidden(number: int) -> NotFound:
    """The error for one that isn't there, or not for this user."""
    return NotFound(f"there is no operation {number} that you may see")
