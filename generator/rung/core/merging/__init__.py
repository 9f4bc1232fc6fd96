"""Three trees merged: by lines, by keys, and by who moved, deleted or edited a file."""
