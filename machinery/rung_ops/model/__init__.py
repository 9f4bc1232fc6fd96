"""The released model: its bundle on disk, verification, and predictions from rows.

What release makes, serving answers with and batch scores with. It needs neither the project's
code nor what trained the model."""
