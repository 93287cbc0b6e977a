"""The console server: machines as logins, and their serial consoles."""
