"""What a server has that can't be made again, in one encrypted file; and back."""
