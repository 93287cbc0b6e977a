"""Mako templates: X.mako compiles to X, and an undefined name is an error.

A template begins with `<% from invirt import config %>\\` and then uses
`${config.remote.hostname}`.
"""

from __future__ import annotations

import re
from pathlib import Path

from mako.exceptions import CompileException, RichTraceback, SyntaxException
from mako.template import Template

from invirt.base.errors import BadConfig, InvirtError


def render(file: Path) -> str:
    """The text that file compiles to; raises BadConfig with file, line and the line's text."""
    try:
        file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise BadConfig(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    try:
        template = Template(filename=str(file), strict_undefined=True, input_encoding="utf-8")
        return str(template.render())
    except InvirtError:
        raise  # invirt.yaml's own error says more
    except (SyntaxException, CompileException) as error:
        raise _error(file, error.lineno, str(error).partition(" in file ")[0]) from error
    except Exception as error:
        # A template may raise anything.
        raise _error(file, _line(file, error), str(error) or type(error).__name__) from error


def _line(file: Path, error: Exception) -> int:
    """The line of the template in which error was raised; 1 if it can't be told."""
    undefined = re.fullmatch(r"'(\w+)' is not defined", str(error))
    if undefined:  # Mako looks all names up before the first line
        word = re.compile(rf"\b{undefined[1]}\b")
        lines = [number for number, text in enumerate(_lines(file), 1) if word.search(text)]
        return lines[0] if lines else 1
    lines = [record[5] for record in RichTraceback(error).records if record[4] == str(file) and record[5]]
    return int(lines[-1]) if lines else 1


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines()


def _error(file: Path, line: int, wrong: str) -> BadConfig:
    text = _lines(file)[line - 1 : line]
    return BadConfig(f"{file}:{line}: {wrong}", hint=text[0].strip() if text else "")
