"""A time series: next year's sunspots from the 24 years before, with a GRU.

Yearly counts since 1700 are in statsmodels (pip install statsmodels).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from verdict import package, verdict, wants_quick

import monograph as mg
from monograph import nn

YEARS = 24


class Forecast(nn.Module):
    """A GRU over the years; what it ends with says how the next year differs from the last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.over_years = nn.GRU(1, width, batch_first=True)
        self.out = nn.Linear(width, 1)

    def forward(self, years: mg.Tensor) -> mg.Tensor:
        states, _ = self.over_years(years)
        return years[:, -1] + self.out(states[:, -1])


def load() -> tuple[np.ndarray, np.ndarray]:
    """Windows of years (n, 24, 1), and the year after each (n, 1), in hundreds of sunspots."""
    file = Path(package("statsmodels", "statsmodels").__file__).parent / "datasets" / "sunspots" / "sunspots.csv"
    counts = np.loadtxt(file, delimiter=",", skiprows=1)[:, 1].astype(np.float32) / 100
    return np.lib.stride_tricks.sliding_window_view(counts, YEARS)[:-1, :, None].copy(), counts[YEARS:, None]


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    x, y = load()
    cut = len(x) - 70  # the last 70 years are for testing
    model = Forecast(8 if quick else 24)
    model.compile(optimizer=mg.optim.Adam(model.parameters(), lr=1e-2), loss="mse", metrics=["mae"])
    smaller = mg.train.ReduceLROnPlateau("loss", factor=0.5, patience=8)
    model.fit(x[:cut], y[:cut], batch_size=32, epochs=30 if quick else 120, callbacks=[smaller], verbose=2)

    error = float(np.abs(model.predict(x[cut:]) - y[cut:]).mean())
    like_last_year = float(np.abs(x[cut:, -1] - y[cut:]).mean())
    print(f"mean error of {100 * error:.1f} sunspots; {100 * like_last_year:.1f} for 'the same as last year'")
    return verdict("error as a part of that", error / like_last_year, at_most=0.8 if quick else 0.7)


if __name__ == "__main__":
    sys.exit(main())
