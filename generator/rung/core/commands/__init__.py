"""The verbs of the command line, a file each: options, flow, output, exit code.

A verb imports what it needs when it is called, so that `rung --help` and the other verbs start fast
(decision 4).
"""
