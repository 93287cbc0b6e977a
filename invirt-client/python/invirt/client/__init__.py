"""invirt, on a user's own computer: what people type, said to the remote server by remctl."""
