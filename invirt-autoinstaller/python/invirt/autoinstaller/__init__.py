"""Bases: what machines are installed with, made ahead, signed, and served by HTTP."""
