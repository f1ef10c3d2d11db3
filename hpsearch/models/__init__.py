"""Model families, and the user's own build functions."""
