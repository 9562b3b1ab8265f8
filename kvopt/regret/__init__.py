"""Stochastic arrivals: what a mix of request types can sustain, and the regret of policies against hindsight.

`mix` names the types and their shares, `profiles` the graph of running configurations all exact methods here work
on, `effective_capacity` the largest sustainable rate with its certificate, `paths` the random arrivals, `hindsight`
the optimum of one path, `reference` the policies computed on the graph (by the kernels in `tables`), `staggered`
the admission that follows one of the `plans`, `pilot` the choice of a plan for a known rate, `simulated` the
policies of `reference` and `staggered` in the general simulator, `load` what is stable, `study` the measurements.
docs/regret.md says which statements are measured, argued or proved.
"""
