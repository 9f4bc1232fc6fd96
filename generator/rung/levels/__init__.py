"""The ladder as data: what `levels/` says, where the template is, and the answers it asks for."""
