"""What people look at: static HTML about sites and their runs, with pictures, that needs no network and no script."""
