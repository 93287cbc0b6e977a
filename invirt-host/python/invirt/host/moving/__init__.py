"""Guests that move to another host while they run: what both hosts do, whatever the hypervisor.

A move is one connection, which the source's job begins.  What is said on it comes
in frames, see wire; who may do what, and what was done, is written down, see papers.
"""
