"""The web server: pages on which people make, see and use their machines."""
