"""The native stack of one machine: which components there are, and how they start, answer and stop.

The processes are kept by supervisor (PyPI), one supervisord for each state folder.
"""
