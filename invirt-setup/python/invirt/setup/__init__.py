"""Makes a Debian server one of a site."""
