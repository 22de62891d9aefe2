"""What a node takes: bytes of program, of memory, and of the life of its flash."""
