"""A network of its own for a test."""

from tests.parts.host.conftest import inside

__all__ = ["inside"]
