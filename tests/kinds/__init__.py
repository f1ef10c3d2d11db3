"""Models of the kinds that Keras' own site teaches, each on small made data, and a table of what becomes of them."""
