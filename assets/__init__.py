"""What the project ships besides code: checkpoints and the README's pictures, and how these are made."""
