"""What invirt-admin can do: one file a kind of thing."""
