"""The readers of data sets: one module a format. Each gives a checked `Dataset` or an error that names the file.

Called by `data.load`. No reader augments, divides or executes anything that is in a file.
"""
