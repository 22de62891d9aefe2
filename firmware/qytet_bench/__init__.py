"""The technician's bench: from a board, a cable and a laptop to a node whose reading is in the database."""
