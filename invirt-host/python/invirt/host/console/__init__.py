"""Guests' consoles: what keeps them, and the door to them."""
