"""How an operation goes, as events that a page follows (SSE)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from aiohttp import web

from invirt.base.errors import InvirtError
from invirt.web.api.bearer import Bearer
from invirt.web.operations import MAY_SEE, MOVING, OPEN, hidden
from invirt.web.streams.reading import Database
from invirt.web.streams.visits import EVERY
from invirt.web.streams.words import Words, heard

# Whoever may see it: asked again with each look.
OPERATION = f"""
SELECT o.state, o.error, (SELECT {MOVING} FROM web.moves v WHERE v.operation_id = o.operation_id) AS moving,
    coalesce((
    SELECT json_agg(json_build_object('name', s.name, 'state', s.state) ORDER BY position)
    FROM web.steps s WHERE s.operation_id = o.operation_id AND s.state <> 'pending'), '[]') AS steps
FROM web.operations o WHERE {MAY_SEE}
    AND (%(digest)s::bytea IS NULL OR EXISTS (SELECT FROM web.token(%(digest)s)))
"""
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def follow(request: web.Request, visit: Bearer, database: Database, words: Words) -> web.StreamResponse:
    """Tell how it stands, at once and at each change, until it has ended or may be seen no more."""
    number = int(request.match_info["number"])
    asked = {**visit.asked, "digest": visit.digest, "number": number}
    with words.of(str(number)) as word:
        now = await _look(database, asked)
        if now is None:
            raise hidden(number)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        said: Any = None
        while now is not None and time.time() < visit.until and not await asyncio.to_thread(visit.gone):
            # Where nothing has changed, who has gone is found out.
            await response.write(b":\n\n" if now == said else f"data: {json.dumps(now)}\n\n".encode())
            said = now
            if now["state"] not in OPEN:
                break
            await heard(word, EVERY)
            now = await _again(database, asked, said)
        await response.write(b"event: end\ndata:\n\n")
    return response


async def _look(database: Database, asked: dict[str, Any]) -> dict[str, Any] | None:
    found = await database.rows(OPERATION, asked)
    if not found:
        return None
    now: dict[str, Any] = found[0]._asdict()
    if now["moving"] is None:
        del now["moving"]
    return now


async def _again(database: Database, asked: dict[str, Any], said: dict[str, Any]) -> dict[str, Any] | None:
    """As _look; a database that is away ends nothing, and lets nobody new in."""
    try:
        return await _look(database, asked)
    except InvirtError:
        return said
