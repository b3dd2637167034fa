"""Synthetic frontal chest phantoms: made to exercise the system, not to look like any patient.

A phantom is not a radiograph. None is used for training, and no accuracy is shown for them. The parameters in this
package were fixed before any training; only the seed changes from run to run.
"""
