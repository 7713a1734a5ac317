"""OSNet: the published weights load by name and give the published network's vectors."""

import numpy as np
import onnxruntime
import torch

from streamreid.reid.osnet import OSNetEmbedding
from tests.shared_data import shared_path


def load_published() -> OSNetEmbedding:
    path = shared_path("weights/osnet_x0_25_msmt17.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = OSNetEmbedding("x0_25")
    renamed = {k if k.startswith("fc.") else f"trunk.{k}": v for k, v in state.items()}
    network.load_state_dict(renamed, strict=True)
    return network.eval()


def test_published_weights_give_the_vectors_of_their_onnx_export() -> None:
    network = load_published()
    session = onnxruntime.InferenceSession(
        str(shared_path("weights/osnet_x0_25_msmt17.onnx")), providers=["CPUExecutionProvider"]
    )
    images = torch.rand(1, 3, 256, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        vectors = network(images)
    normalised = (images - network.trunk.mean) / network.trunk.std
    expected = session.run(None, {session.get_inputs()[0].name: normalised.numpy()})[0]
    np.testing.assert_allclose(vectors.numpy(), expected, rtol=1e-3, atol=1e-3)
