"""From the bytes of a DICOM object to the tensor that a network reads, and from its logits to a finding.

Pure and light: no network, no clock, no torch unless a network is asked for. Training imports this same code.
"""
