"""Shapes and types in annotations are checked while the tests run."""

from jaxtyping import install_import_hook

install_import_hook("synth2real", "beartype.beartype")
