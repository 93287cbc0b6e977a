"""The API's description, OpenAPI 3.0: made of the rows of remote's table and of the resources."""

from __future__ import annotations

import re
from typing import Any

from invirt.base.cli import Who
from invirt.database.usage import PERIODS
from invirt.web import forms, saying, site
from invirt.web.api import problem, resources, verbs, words
from invirt.web.forms import Field, Form

BASE = "/api/1"
Schema = dict[str, Any]

ABOUT = """\
What `remctl` and the pages do, as JSON. What is read are resources, from the database, at once; what is
changed are verbs, which the site's remote server decides about. Sizes are in MiB of memory and GiB of disk,
or have a unit: 512M, 2G. What takes long is an operation, which is answered at once with its number."""
OBJECT: Schema = {"type": "object", "additionalProperties": True}
PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "hint", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "HTTP's words for the status"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was wrong, and where"},
        "hint": {"type": "string", "description": "what to do next, or nothing"},
        "code": {"type": "integer", "description": "the exit code of programs"},
    },
}
BEGUN: Schema = {
    "type": "object",
    "required": ["operation", "resource", "events"],
    "properties": {
        "operation": {"type": "integer"},
        "resource": {"type": "string", "description": "how it goes; also in the header Location"},
        "events": {"type": "string", "description": "the same as it happens: server-sent events"},
    },
}
ROWS: Schema = {
    "type": "object",
    "required": ["items", "next"],
    "properties": {
        "items": {"type": "array", "items": OBJECT},
        "next": {"type": "string", "nullable": True, "description": "the next page; also in the header Link"},
    },
}


def document() -> Schema:
    """The whole; raises Unreachable where remote, which knows the verbs, was not to be asked."""
    paths: dict[str, Schema] = {"/openapi.json": {"get": _read("this description", OBJECT, ())}}
    for name, listing in resources.LISTS.items():
        paths[f"/{name}"] = {"get": _read(listing.summary, _ref("Rows"), _paging())}
    for rule, (summary, answer) in resources.ONE.items():
        paged = answer is resources.history
        more = _paging() if paged else _periods() if answer is resources.usage else ()
        schema = _ref("Rows") if paged else OBJECT
        path = "/" + re.sub("<(?:int:)?(.*?)>", r"{\1}", rule)
        paths[path] = {"get": _read(summary, schema, (*_places(rule), *more))}
    for name, table in site.LISTS.items():
        words = ("words", "order", "page", *table.filters)
        query = tuple(_query(word, {"type": "string", "maxLength": resources.LONGEST}) for word in words)
        summary = f"the site's {name}, for its administrators"
        paths[f"/site/{name}"] = {"get": _read(summary, _ref("Rows"), query)}
    for form in forms.table().values():
        if form.changes:
            paths[f"/verbs/{form.name.replace(' ', '/')}"] = {"post": _verb(form)}
    paths["/words"] = {"post": _words()}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Invirt", "version": "1", "description": ABOUT},
        "servers": [{"url": BASE}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM, "Begun": BEGUN, "Rows": ROWS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: Schema, kind: str = "application/json") -> Schema:
    return {"content": {kind: {"schema": schema}}}


def _answers(**good: tuple[str, Schema]) -> Schema:
    made = {
        code.lstrip("s"): {"description": words, **_content(schema)} for code, (words, schema) in good.items()
    }
    return {**made, "default": {"description": "what was wrong", **_content(_ref("Problem"), problem.TYPE)}}


def _read(summary: str, schema: Schema, parameters: tuple[Schema, ...]) -> Schema:
    return {"summary": summary, "parameters": list(parameters), "responses": _answers(s200=("found", schema))}


def _query(name: str, schema: Schema, help: str = "") -> Schema:
    return {"name": name, "in": "query", "description": help, "schema": schema}


def _paging() -> tuple[Schema, ...]:
    limit = {"type": "integer", "minimum": 1, "maximum": resources.MOST, "default": resources.FEW}
    cursor = {"type": "string", "maxLength": resources.CURSOR, "pattern": "^[ -~]*$"}
    return (
        _query("limit", limit, "how many"),
        _query("cursor", cursor, "from `next` of the page before"),
    )


def _periods() -> tuple[Schema, ...]:
    return (_query("of", {"type": "string", "enum": list(PERIODS), "default": "day"}, "the last of which"),)


def _places(rule: str) -> tuple[Schema, ...]:
    return tuple(
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0} if number else {"type": "string", "maxLength": 63},
        }
        for number, name in re.findall("<(int:)?(.*?)>", rule)
    )


def _verb(form: Form) -> Schema:
    arguments = verbs.fields(form)
    made: Schema = {"type": "object", "additionalProperties": False}
    made["properties"] = {name: _argument(field) for name, field in arguments.items()}
    if required := [name for name, field in arguments.items() if field.required]:
        made["required"] = required
    key = {"type": "string", "minLength": 1, "maxLength": 200}
    header = {"name": "Idempotency-Key", "in": "header", "description": "the same again is the same request"}
    keys = [{**header, "schema": key}] if any(map(verbs.is_key, form.fields)) else []
    return {
        "summary": form.summary,
        "description": f"Who may: {Who[form.who.upper()].value}.",
        "parameters": keys,
        "requestBody": {"required": True, **_content(made)},
        "responses": _answers(s200=("done", OBJECT), s202=("begun", _ref("Begun"))),
    }


def _words() -> Schema:
    word = {"type": "string", "maxLength": saying.LONGEST}
    made: Schema = {"type": "object", "additionalProperties": False, "required": ["words"]}
    listed = {"type": "array", "items": word, "minItems": 2, "maxItems": words.MOST}
    made["properties"] = {"words": listed}
    return {
        "summary": "what remctl's words print at the remote server, as invirt --web says them",
        "requestBody": {"required": True, **_content(made)},
        "responses": _answers(s200=("done: code, out and err", OBJECT)),
    }


def _argument(field: Field) -> Schema:
    told = "; ".join(filter(None, (field.help, f"in {field.unit}, or with a unit" if field.unit else "")))
    if field.kind == "flag":
        return {"type": "boolean", "description": told}
    word: Schema = {"type": "string", "minLength": 1, "maxLength": saying.LONGEST}
    if field.choices:
        word = {"type": "string", "enum": list(field.choices)}
    elif field.whole:
        word = {"anyOf": [word, {"type": "integer"}]}
    if field.several and field.kind == "option":
        return {"type": "array", "minItems": 1, "items": word, "description": told}
    return {**word, "description": told}
