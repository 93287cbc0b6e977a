"""/api/1: what pages show and do, as JSON."""
