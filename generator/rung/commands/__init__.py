"""The verbs of the command line, one in a file: parse, call, print.

What a verb needs is imported when it is called, so that the others start without it.
"""
