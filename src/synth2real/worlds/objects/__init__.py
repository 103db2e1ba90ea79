"""Builders of the things that stand in a street, one module for each family of label classes."""
