"""Adversaries: the finite release game solved exactly, families bad for any policy, a search for bad instances."""
