"""What pages, streams and the API all ask of an operation."""

from __future__ import annotations

from invirt.base.errors import NotFound
from invirt.web.api.bearer import SEEN

OPEN = ("running", "undoing")  # there is more to come
# Of web.operations: those of machines that a bearer may see, and one's own, too, where what
# it was about is gone; not by a token that is for some machines.
SEEN_OF_ALL = f"({SEEN} OR principal = %(who)s AND %(machines)s::integer[] IS NULL)"
# Of each machine that moves: by which operation, and what a page says of it.
MOVING = "concat_ws(', ', 'moving to ' || target, progress)"
MOVES = f"""(SELECT machine_id, operation_id AS move, {MOVING} AS moving
    FROM web.moves WHERE state = 'running') moves"""
MAY_SEE = f"operation_id = %(number)s AND {SEEN_OF_ALL}"


def hidden(number: int) -> NotFound:
    """The error for one that isn't there, or not for this user."""
    return NotFound(f"there is no operation {number} that you may see")
