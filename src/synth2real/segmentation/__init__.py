"""Semantic segmentation: networks, training and prediction."""
