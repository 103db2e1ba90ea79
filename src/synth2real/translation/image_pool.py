"""The pool of earlier translations that discriminators are shown, so that they do not forget them."""

import torch
from jaxtyping import Float
from torch import Tensor


class ImagePool:
    """Up to ``size`` earlier translations (Shrivastava et al., CVPR 2017, section 2.3; 50 in Zhu et al. 2017).

    Draws from PyTorch's global generator, so that whoever seeds it gets the same images.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, translated: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Stores images and gives as many, each either itself or an earlier one.

        Until the pool is full, each image is stored and given back. Afterwards each is, with probability 1/2, given back and not
        stored, or else put in the place of a stored one, which is given. A pool of size 0 gives back what it gets.

        Args:
            translated: New translations; no gradient flows through the pool.
        """
        given = []
        for image in translated.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                given.append(image)
            elif self.size == 0 or torch.rand(()) < 0.5:
                given.append(image)
            else:
                place = int(torch.randint(self.size, ()))
                given.append(self.images[place].to(image.device))
                self.images[place] = image.clone()
        return torch.stack(given)

    def state(self) -> list[Tensor]:
        """All stored images, in order."""
        return list(self.images)

    def restore(self, state: list[Tensor]) -> None:
        """Takes back what :meth:`state` gave."""
        self.images = list(state)
