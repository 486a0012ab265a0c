"""What running workflows need: who says so, and which lists are believed."""
