"""Compares two git revisions of the experiment: what a pull request changes in parameters, figures and curves."""
