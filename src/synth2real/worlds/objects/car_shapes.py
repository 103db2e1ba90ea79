"""Kinds of cars, how many of each are on the road, and what each looks like from its side and above."""

from typing import Final, Literal, NamedTuple, get_args

CarKind = Literal[
    "city",
    "hatchback",
    "saloon",
    "coupe",
    "estate",
    "suv",
    "jeep",
    "mpv",
    "pickup",
    "van",
    "minibus",
    "convertible",
    "taxi",
    "police",
]

CAR_KINDS: Final[tuple[CarKind, ...]] = get_args(CarKind)
CAR_SHARES: Final = (0.09, 0.22, 0.12, 0.04, 0.12, 0.15, 0.02, 0.06, 0.015, 0.07, 0.025, 0.02, 0.03, 0.02)


class CarShape(NamedTuple):
    """A car seen from its side and above; positions along y are shares of its length from the nose, heights metres."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    cowl: float  # lower edge of the windscreen
    roof_front: float
    roof_rear: float
    rear: float  # lower edge of the rear window
    belt: float
    nose: float
    tail: float  # height of the deck behind the rear window
    clearance: float
    narrow: float  # the roof's width over the belt's
    bow: float  # how far the nose's corners are behind its middle, metres
    wheel: float  # radius
    axles: tuple[float, float]
    sides: str  # of the three openings behind the windscreen: g glass, p panel


CAR_SHAPES: Final[dict[CarKind, CarShape]] = {
    "city": CarShape(
        (2.7, 3.5), (1.56, 1.66), (1.48, 1.56),
        0.19, 0.36, 0.9, 0.985, 0.94, 0.72, 0.93, 0.17, 0.8, 0.2, 0.28, (0.17, 0.84), "gpp",
    ),
    "hatchback": CarShape(
        (3.75, 4.35), (1.7, 1.82), (1.43, 1.52),
        0.26, 0.43, 0.84, 0.975, 0.93, 0.68, 0.95, 0.17, 0.76, 0.17, 0.31, (0.19, 0.81), "ggp",
    ),
    "saloon": CarShape(
        (4.4, 5.0), (1.74, 1.9), (1.4, 1.48),
        0.28, 0.42, 0.68, 0.83, 0.92, 0.66, 0.97, 0.16, 0.74, 0.17, 0.32, (0.18, 0.79), "ggp",
    ),
    "coupe": CarShape(
        (4.1, 4.6), (1.76, 1.9), (1.24, 1.34),
        0.33, 0.49, 0.66, 0.93, 0.84, 0.58, 0.88, 0.13, 0.7, 0.24, 0.32, (0.18, 0.8), "gpp",
    ),
    "estate": CarShape(
        (4.45, 4.95), (1.74, 1.88), (1.43, 1.52),
        0.27, 0.41, 0.9, 0.985, 0.93, 0.67, 0.95, 0.16, 0.76, 0.17, 0.32, (0.18, 0.79), "ggg",
    ),
    "suv": CarShape(
        (4.2, 4.85), (1.82, 1.96), (1.62, 1.76),
        0.26, 0.4, 0.86, 0.98, 1.08, 0.86, 1.1, 0.25, 0.78, 0.16, 0.37, (0.18, 0.8), "ggg",
    ),
    "jeep": CarShape(
        (3.8, 4.7), (1.74, 1.9), (1.8, 1.98),
        0.33, 0.375, 0.985, 0.99, 1.14, 1.0, 1.14, 0.3, 0.93, 0.04, 0.4, (0.16, 0.8), "ggg",
    ),
    "mpv": CarShape(
        (4.3, 4.85), (1.78, 1.92), (1.62, 1.78),
        0.17, 0.36, 0.92, 0.985, 1.0, 0.72, 1.02, 0.17, 0.78, 0.19, 0.32, (0.19, 0.81), "ggg",
    ),
    "pickup": CarShape(
        (4.9, 5.3), (1.8, 1.94), (1.74, 1.86),
        0.28, 0.39, 0.58, 0.6, 1.1, 0.95, 1.08, 0.28, 0.8, 0.12, 0.38, (0.18, 0.77), "ggp",
    ),
    "van": CarShape(
        (4.6, 5.6), (1.86, 2.02), (1.9, 2.55),
        0.15, 0.27, 0.985, 0.99, 1.16, 0.88, 1.16, 0.2, 0.9, 0.13, 0.34, (0.17, 0.78), "gpp",
    ),
    "minibus": CarShape(
        (4.8, 5.4), (1.9, 2.02), (1.92, 2.1),
        0.13, 0.27, 0.975, 0.985, 1.1, 0.86, 1.12, 0.2, 0.87, 0.13, 0.34, (0.18, 0.78), "ggg",
    ),
    "convertible": CarShape(
        (3.9, 4.4), (1.7, 1.84), (1.26, 1.34),
        0.31, 0.44, 0.66, 0.72, 0.88, 0.62, 0.92, 0.14, 0.76, 0.22, 0.31, (0.18, 0.8), "gpp",
    ),
}  # fmt: skip
CAR_SHAPES["taxi"], CAR_SHAPES["police"] = CAR_SHAPES["saloon"], CAR_SHAPES["estate"]
