"""What all tables of invirt.database.models share: finding rows, and what a column is called.

One file serves SQLAlchemy 1.4 and 2.0: a type checker sees 2.0's classes, and
both run what 1.4 had already.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import FetchedValue, select

from invirt.base.errors import NotFound
from invirt.database.session import reading, session

if TYPE_CHECKING:
    from sqlalchemy.orm import DeclarativeBase as _Declarative
    from sqlalchemy.orm import mapped_column as column
else:
    from sqlalchemy import Column as column
    from sqlalchemy.orm import declarative_base

    _Declarative = declarative_base()


__all__ = ["GIVEN", "Base", "column"]
GIVEN = FetchedValue()  # a default that the database fills in


class Base(_Declarative):
    """What all tables share: finding rows."""

    __abstract__ = True
    __allow_unmapped__ = True

    @classmethod
    def find(cls, **by: Any) -> list[Self]:
        """All rows whose columns have these values, by their first column."""
        wanted = select(cls).filter_by(**by).order_by(*cls.__table__.primary_key)
        with reading():
            return list(session.scalars(wanted, execution_options={"populate_existing": True}))

    @classmethod
    def get(cls, **by: Any) -> Self:
        """The one row whose columns have these values; raises NotFound when there is none."""
        found = cls.find(**by)
        if not found:
            shown = ", ".join(str(value) for value in by.values())
            raise NotFound(f"there is no {cls.word()} {shown}")
        return found[0]

    @classmethod
    def word(cls) -> str:
        """What a row is called when it is spoken of, e.g. "address range"."""
        return re.sub(r"(?<=.)(?=[A-Z])", " ", cls.__name__).lower()
