"""What the library needs of the operating system: locks, atomic writes, processes, ports, disk."""
