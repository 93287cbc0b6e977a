"""The ORM's session, on the connections of invirt.database.connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from invirt.database import connection
from invirt.database.refusals import explain

_engine = create_engine("postgresql+psycopg2://", creator=connection.connect, poolclass=NullPool, future=True)
# One session a thread; it connects when it is first asked something.
session: scoped_session[Session] = scoped_session(sessionmaker(bind=_engine, future=True))


@contextmanager
def reading() -> Iterator[scoped_session[Session]]:
    """The session, left open for what objects read later; a failure closes it.

    Raises InvirtError for what the database refuses or can't do.
    """
    try:
        yield session
    except BaseException as error:
        session.remove()
        if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg2.Error):
            raise explain(error.orig) from error
        raise


@contextmanager
def transaction() -> Iterator[scoped_session[Session]]:
    """The session; what was done is committed at the end, or rolled back at an exception.

    Raises InvirtError for what the database refuses (invirt.database.refusals).
    """
    with reading():
        yield session
        session.commit()
        session.remove()
