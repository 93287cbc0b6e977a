"""Records in DNS beside those of machines: mail exchangers, the servers' own names …"""

from __future__ import annotations

import re

from sqlalchemy import text

from invirt.base.cli import Argument, Group, Verb
from invirt.base.errors import NotFound
from invirt.database.admin.verbs import Row, listing, named
from invirt.database.session import session

_ADD = "INSERT INTO dns.extra_records (name, type, content) VALUES (:name, :type, :content)"
_REMOVE = """
    DELETE FROM dns.extra_records WHERE name = :name AND type = :type AND content IN (:content, :given)
    RETURNING 1
"""
_LIST = """
    SELECT name, type, content, fault FROM dns.extra_records JOIN dns.faults USING (record_id)
    ORDER BY name, type, content
"""
_STRING = r'"((?:[^"\\]|\\.)*)"'
_LONGEST = 255  # letters of one of a text's strings (RFC 1035)


def written(type: str, content: str) -> str:
    """A record's content as the database has it: small letters, no last dots, texts in strings of 255."""
    if type == "LOC":
        return content.upper().replace("M", "m")

    def fit(word: re.Match[str]) -> str:
        if word[0].startswith('"'):
            return _split(word[1]) if type == "TXT" else word[0]
        return word[0].lower().removesuffix(".") or "."

    return re.sub(rf'{_STRING}|[^\s"]+', fit, content)


def _split(text: str) -> str:
    letters = re.findall(r"\\.|.", text)
    places = range(0, max(len(letters), 1), _LONGEST)
    return " ".join('"' + "".join(letters[place : place + _LONGEST]) + '"' for place in places)


def _values(name: str, type: str, content: str) -> dict[str, str]:
    return {
        "name": name.lower().removesuffix("."),
        "type": type.upper(),
        "content": written(type.upper(), content),
        "given": content,  # one that is older than the form
    }


def _add(name: str, type: str, content: str) -> None:
    session.execute(text(_ADD), _values(name, type, content))


def _remove(name: str, type: str, content: str) -> None:
    found = session.execute(text(_REMOVE), _values(name, type, content)).first()
    if not found:
        raise NotFound("there is no such record", hint="Those that are: invirt-admin record list.")


def _list() -> list[Row]:
    return [dict(row._mapping) for row in session.execute(text(_LIST))]


RECORD = (
    named("example.org", "with its domain"),
    Argument("type", "A, AAAA, MX, TXT, HTTPS …", metavar="TYPE", sample="MX"),
    Argument("content", "as in a zone file", metavar="CONTENT", sample='"10 mail.example.org"'),
)
GROUP = Group(
    "record",
    "records in DNS beside those of machines",
    (
        Verb("add", "add a record", _add, RECORD, changes=True),
        listing("show all records, and what is wrong with some", _list),
        Verb("remove", "remove a record", _remove, RECORD, changes=True),
    ),
)
