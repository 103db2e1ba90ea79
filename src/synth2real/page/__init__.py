"""A page in the browser: paint a label map and see its photo, segment a photo of your own (``python -m synth2real.page``)."""
