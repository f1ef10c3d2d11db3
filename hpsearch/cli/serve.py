"""What ``hpsearch ui`` does."""

