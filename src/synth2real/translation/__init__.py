"""Image-to-image translation from the source's look to the target's."""
