"""Whether all is well on a server of Invirt: small functions that look, and change nothing."""
