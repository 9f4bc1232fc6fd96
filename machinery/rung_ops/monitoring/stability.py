"""The population stability index: how far two distributions over the same bins lie apart."""

import numpy as np

BINS = 10
SMOOTHING = 0.5  # of a row in each bin, so that an empty one does not make the index infinite


def quantile_edges(reference: np.ndarray) -> np.ndarray:
    """Find where to cut numbers, so that each bin holds as many rows of the reference as others.

    Args:
        reference: sorted, shape (n,), n >= 1.

    Returns:
        Up to BINS - 1 values, each the upper end of its bin; fewer where values repeat.
    """
    places = np.arange(1, BINS) * len(reference) // BINS
    return np.unique(reference[np.maximum(places - 1, 0)])


def counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count sorted values between the edges; shape (n_edges + 1,)."""
    below = np.searchsorted(values, edges, side="right")
    return np.diff(np.concatenate([[0], below, [len(values)]]))


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    """Compute the population stability index of two samples, by their counts.

    The symmetrised Kullback-Leibler divergence of the shares (Kullback and Leibler 1951; Siddiqi
    2006, Credit Risk Scorecards). The convention reads 0.1 as a change to look at and 0.25 as a
    large one; it knows nothing of the number of rows, so no alarm rests on it: with nothing
    changed the index is (bins - 1) (1 / n + 1 / m) on average (Yurdakul and Naranjo 2020, J. Risk
    Model Validation 14(4)), which is 0.05 at 200 rows.

    Args:
        reference: counts by bin, shape (n_bins,).
        current: the same of the other sample.
    """
    shares = [
        (bins + SMOOTHING) / (bins.sum() + SMOOTHING * len(bins)) for bins in (reference, current)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
