"""Embedding baselines: an ONNX network built here, cosines, and the logistic map."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from streamreid.errors import DatasetError, WeightsError
from streamreid.evaluation.datasets import ImageRecord, load
from streamreid.evaluation.embedding import (
    OnnxEmbedding,
    cosines,
    embed_records,
    fit_probability,
)
from streamreid.evaluation.stages import evaluate_stages
from tests.evaluation.synthetic_people import plant_people


def save_pooling_network(path: Path) -> Path:
    """A network that returns the mean of each channel over 16 x 8 cells."""
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["images"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]
            ),
            helper.make_node("Flatten", ["pooled"], ["vectors"]),
        ],
        "pool",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 16, 8])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 24])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def embed(tmp_path_factory: pytest.TempPathFactory) -> OnnxEmbedding:
    path = save_pooling_network(tmp_path_factory.mktemp("network") / "pool.onnx")
    return OnnxEmbedding(path, size=(16, 8), threads=1)


def test_vectors_are_normalised_pixels_of_unit_norm(embed: OnnxEmbedding) -> None:
    crop = np.zeros((16, 8, 3), np.uint8)
    crop[..., 0] = 255
    vector = embed([crop])[0].reshape(3, 8)
    expected = np.array([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    expected = np.repeat(expected[:, None], 8, axis=1)
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)


def test_a_baseline_goes_through_all_stages(embed: OnnxEmbedding, tmp_path: Path) -> None:
    data = load("folder", plant_people(tmp_path))
    query, gallery = embed_records(data.query, embed), embed_records(data.gallery, embed)
    assert query.shape == (18, 24)
    found = cosines(query, gallery)
    probability = fit_probability(found.across, data.query, data.gallery)
    same = np.array([[q.identity == g.identity for g in data.gallery] for q in data.query])
    values = probability(found.across)
    assert values[same].mean() > 5 * values[~same].mean()
    camera = np.array([[q.camera == g.camera for g in data.gallery] for q in data.query])
    balanced = 0.02 * values[same & ~camera].mean() + 0.98 * values[~same].mean()
    assert balanced == pytest.approx(0.02, abs=1e-3)  # a logistic fit keeps the mean
    stages = evaluate_stages(
        found, data.query, data.gallery, probability=probability, rerank=True, lift=True
    )
    assert stages["rerank_tlift"].ranking.rank(1) > 0.8


def test_wrong_inputs_are_named(embed: OnnxEmbedding, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"broken\.onnx cannot be loaded"):
        OnnxEmbedding(broken)
    with pytest.raises(DatasetError, match="no images"):
        embed_records([], embed)
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 16)).save(picture)
    record = ImageRecord(picture, 1, 0, None)
    vectors = embed_records([record], embed)
    with pytest.raises(ValueError, match="needs both"):
        fit_probability(cosines(vectors, vectors).across, [record], [record])
