"""The ladder as data: the files of `levels/`, where the template is, and answers to its questions."""
