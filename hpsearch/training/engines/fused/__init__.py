"""The fused engine; see ``docs/fused-engine.md``."""
