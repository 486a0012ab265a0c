"""Real servers for tests and benches, each a context manager: started on loopback, on free ports, and gone at the end.

They run as an unprivileged user where we are root, keep everything in a folder
of their own, and say with the end of their log why they do not start.
"""
