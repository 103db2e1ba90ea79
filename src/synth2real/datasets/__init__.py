"""Readers: the raw layout of each data set to frame sets."""
