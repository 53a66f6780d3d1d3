"""The LRS2M data engine: many sources in, a short and a long text of every picture out."""
