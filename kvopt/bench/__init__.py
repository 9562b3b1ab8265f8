"""Suites of instances x solvers x seeds: each cell in a process of its own, resumable, summed up in tables.

>>> from kvopt.bench.suite import load_suite
>>> [case.instance.name for case in load_suite("different:requests=8,seed=0-2").cases]
['different-n8-0', 'different-n8-1', 'different-n8-2']
"""
