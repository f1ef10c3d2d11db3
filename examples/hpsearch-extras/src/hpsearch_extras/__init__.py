"""One plugin of each kind for hpsearch. The entry points in ``pyproject.toml`` make them known."""
