"""synth2real: learn street scenes from synthetic images, segment real ones without a real label."""
