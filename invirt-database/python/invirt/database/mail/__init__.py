"""What people are told by mail: written by the database with what it is about, sent by a service after it.

`words` has what is said, `addresses` where somebody gets mail, `sending` the service.
"""
