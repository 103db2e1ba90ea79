"""Scores of predicted label maps against their annotation, with intervals, and paired comparisons of predictions."""
