"""FTS: jobs at a file transfer service FTS3, through its REST interface."""
