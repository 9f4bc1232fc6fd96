"""Raw files, incoming data, the object store and the warehouse."""
