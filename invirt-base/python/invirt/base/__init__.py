"""What every server has: errors, processes, the command line, templates."""
