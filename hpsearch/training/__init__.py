"""What runs in a worker: data, models and engines put together, and the calls that a worker answers."""
