"""The small site of the operations' tests, for hostile users and hosts."""

from tests.parts.operations.conftest import site

__all__ = ["site"]
