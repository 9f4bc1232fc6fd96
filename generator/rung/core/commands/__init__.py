"""The verbs of the command line, each whole in one file: options, flow, output, exit code.

What several verbs use is in the packages beside this one. What a verb needs is imported when it is
called, so that `rung --help` and the other verbs start without it.
"""
