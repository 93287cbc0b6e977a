"""Guests' links: rules, routes, announcements, and the way to DHCP."""
