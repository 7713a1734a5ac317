"""Baselines that compare one vector per image by its cosine instead of matching feature maps."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamreid.association.calibration import fit_logistic
from streamreid.errors import DatasetError, WeightsError
from streamreid.evaluation.datasets import ImageRecord
from streamreid.evaluation.features import Progress, read_rgb
from streamreid.evaluation.stages import Scores
from streamreid.reid.preprocess import resize
from streamreid.types import Float32Array, UInt8Array

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

EmbedVectors = Callable[[Sequence[UInt8Array]], Float32Array]
"""RGB crops of any size to vectors of unit norm, `[N, D]`, float32."""


class OnnxEmbedding:
    """An embedding network in an ONNX file, run by ONNX Runtime on the CPU.

    Args:
        path: Network from `[N, 3, H, W]` float32 to `[N, D]`.
        size: Height and width that the network expects, pixels.
        mean: Subtracted from RGB in [0, 1].
        std: Divides afterwards.
        threads: Threads to use; None for ONNX Runtime's choice.

    Raises:
        WeightsError: If the file cannot be loaded.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int] = (256, 128),
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        threads: int | None = None,
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # the library raises classes of its own, all below Exception
            raise WeightsError(f"{path} cannot be loaded as an ONNX network: {exc}") from exc
        self._input = self._session.get_inputs()[0].name
        self._size = size
        self._mean = np.array(mean, np.float32)
        self._std = np.array(std, np.float32)

    def __call__(self, crops: Sequence[UInt8Array]) -> Float32Array:
        """Compute unit vectors of crops, `[N, D]`, float32."""
        pixels = np.stack([resize(crop, self._size) for crop in crops]).astype(np.float32) / 255.0
        images = np.ascontiguousarray(((pixels - self._mean) / self._std).transpose(0, 3, 1, 2))
        return unit_vectors(self._session.run(None, {self._input: images})[0])


def unit_vectors(vectors: npt.NDArray[np.floating]) -> Float32Array:
    """Scale rows `[N, D]` to unit norm, float32."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, 1e-12), np.float32)


def embed_records(
    records: Sequence[ImageRecord],
    embed: EmbedVectors,
    *,
    batch: int = 32,
    progress: Progress = lambda _: None,
) -> Float32Array:
    """Vectors of images, `[N, D]`.

    Raises:
        DatasetError: If there are no images or one of them cannot be read.
    """
    if not records:
        raise DatasetError("there are no images to embed")
    parts = []
    for start in range(0, len(records), batch):
        part = records[start : start + batch]
        parts.append(embed([read_rgb(record.path) for record in part]))
        progress(len(part))
    return np.concatenate(parts)


def cosines(query: Float32Array, gallery: Float32Array) -> Scores:
    """Cosines of all pairs, across and inside both sides; inputs have unit norm."""
    return Scores(query @ gallery.T, query @ query.T, gallery @ gallery.T)


def fit_probability(
    score: Float32Array,
    queries: Sequence[ImageRecord],
    gallery: Sequence[ImageRecord],
    *,
    true_share: float = 0.02,
) -> Callable[[Float32Array], Float32Array]:
    """Fit a logistic map from score to probability on labelled pairs.

    Args:
        score: Shape `[Q, G]`, larger is more similar.
        queries: Records of the queries.
        gallery: Records of the gallery; pairs of one identity in one camera are left out.
        true_share: Share of true pairs that the probabilities assume; so large is their mean.

    Returns:
        The map, for arrays of any shape.

    Raises:
        ValueError: If there are no true or no false pairs.
    """
    same = _outer_equal(queries, gallery, "identity")
    usable = ~(same & _outer_equal(queries, gallery, "camera"))
    labels = same[usable].astype(np.float64)
    true_pairs = max(labels.sum(), 1.0)
    false_pairs = max(len(labels) - labels.sum(), 1.0)
    weights = np.where(labels > 0, true_share / true_pairs, (1 - true_share) / false_pairs)
    offset, scale = fit_logistic(
        score[usable].astype(np.float64)[:, None], labels, weights=weights * len(labels)
    )

    def apply(values: Float32Array) -> Float32Array:
        return np.asarray(1.0 / (1.0 + np.exp(-(offset + scale * values))), np.float32)

    return apply


def _outer_equal(
    queries: Sequence[ImageRecord], gallery: Sequence[ImageRecord], field: str
) -> npt.NDArray[np.bool_]:
    left = np.array([getattr(record, field) for record in queries])
    right = np.array([getattr(record, field) for record in gallery])
    equal: npt.NDArray[np.bool_] = left[:, None] == right[None, :]
    return equal
