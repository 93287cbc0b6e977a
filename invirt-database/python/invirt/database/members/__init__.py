"""Where the members of owners are found: sources, each read by a plug-in.

An owner with a source KIND:NAME has the members that the plug-in KIND tells of
NAME.  A plug-in is a function

    def members(name: str) -> Iterable[str]

that returns the whole list of principals (alice@EXAMPLE.ORG), or raises; what
it raises is shown to administrators.  It never returns a part, and nobody where it can't
tell.  name is of [A-Za-z0-9._/@+=,-], at most 200, begins with a letter or
digit, and was given by an administrator of the site.  It is called in a process of its own, as a
user who owns nothing, and killed after `owners.deadline` seconds.
"""
