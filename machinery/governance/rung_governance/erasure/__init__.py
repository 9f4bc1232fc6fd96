"""Take a person's rows out of log, data and caches: subject, tables, versions, command."""
