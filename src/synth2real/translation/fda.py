"""Fourier domain adaptation: the coarse look of one image under the fine structure of another, without any training.

Yang & Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020.
"""

import numpy as np
from jaxtyping import Float32


def swap_low_frequencies(
    source: Float32[np.ndarray, "height width channels"],
    target: Float32[np.ndarray, "_ _ channels"],
    beta: float,
) -> Float32[np.ndarray, "height width channels"]:
    """The source with the target's amplitudes at low frequencies; all phases, which hold the content, stay the source's.

    Equations 1 to 3: ``F^-1([M F^A(target) + (1 - M) F^A(source), F^P(source)])``, where F^A and F^P are amplitude and phase of
    each channel's Fourier transform, and the mask M is 1 at ``|k_y| <= beta height`` and ``|k_x| <= beta width`` (cycles per
    image). The constant, k = 0, is among them, so the mean becomes the target's. As the paper says of ``beta = 0``, nothing is
    swapped then. The authors' code takes the shorter side for both directions; the equation, and this function, each side's own.
    Where a frequency is missing from the source its phase is undefined, and rounding chooses one.

    Args:
        source: The image that gives the content, in any unit.
        target: An image of the look, of the same size and unit.
        beta: Half the side of the swapped square as a share of the spectrum's, from 0 (nothing) to 0.5 (all); the paper takes
            0.01, 0.05 and 0.09.

    Returns:
        The image in the same unit; it can leave the range of the inputs.

    Raises:
        ValueError: If the sizes differ.
    """
    if source.shape != target.shape:
        raise ValueError(f"source and target must be of one size, got {source.shape} and {target.shape}")
    if beta == 0:
        return source
    height, width = source.shape[:2]
    is_low = np.ix_(np.abs(np.fft.fftfreq(height)) <= beta, np.fft.rfftfreq(width) <= beta)
    spectrum = np.fft.rfft2(source, axes=(0, 1))
    amplitude = np.abs(np.fft.rfft2(target, axes=(0, 1))[is_low])
    spectrum[is_low] = amplitude * np.exp(1j * np.angle(spectrum[is_low]))
    return np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1)).astype(np.float32, copy=False)
