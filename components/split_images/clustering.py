"""Groups of things that look alike, from their features; and places for a picture of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 50
"""Principal components that are kept, at most."""

PERPLEXITY = 30.0
"""Of t-SNE (van der Maaten and Hinton, 2008), at most."""

LEAST = 5
"""Things that a t-SNE picture needs."""

Points = NDArray[np.float32]


def reduced(features: Points, seed: int) -> Points:
    """Principal components (N, at most COMPONENTS) of features (N, D) of length 1."""
    from sklearn.decomposition import PCA

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit: Points = features / np.maximum(lengths, np.finfo(np.float32).tiny)
    count = min(COMPONENTS, *unit.shape)
    if count < 2 or not np.ptp(unit, axis=0).any():
        return np.zeros((len(unit), 1), np.float32)
    found = PCA(count, svd_solver="randomized", random_state=seed).fit_transform(unit)
    return np.asarray(found, np.float32)


def clustered(points: Points, count: int, seed: int) -> NDArray[np.int64]:
    """Cluster (N,) of each point, by k-means; the largest cluster is number 0."""
    from sklearn.cluster import KMeans

    different = len(np.unique(points, axis=0))
    count = min(count, different)
    if count < 2:
        return np.zeros(len(points), np.int64)
    found = KMeans(count, n_init=4, random_state=seed).fit_predict(points)
    sizes = np.bincount(found, minlength=count)
    rank = np.empty(count, np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(count)
    return np.asarray(rank[found], np.int64)


def sampled(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Indices, in order, of at most `most` of `count` things."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def placed(points: Points, seed: int) -> NDArray[np.float64]:
    """Places (N, 2) in [0, 1] by t-SNE; only which are near each other has a meaning."""
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    start = "pca" if points.shape[1] > 1 else "random"
    found = TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(points)
    low, high = found.min(axis=0), found.max(axis=0)
    return np.asarray((found - low) / np.maximum(high - low, 1e-9), np.float64)
