"""What could not be stored, for operators."""
