"""Finished models side by side on one cohort: members, ensembles, baselines and the ceiling by the same metrics."""
