"""Backlogs beyond exact search: memory prices for the bound, annealing for the schedule."""
