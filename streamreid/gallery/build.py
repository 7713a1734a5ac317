"""Builds the scorer of a process: weights, device, storage dtype and size of the gallery."""

import torch

from streamreid.errors import ConfigError
from streamreid.gallery.index import INDEX_BYTES, GraphIndex, index_installed
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.ring import TABLE_BYTES, MapLayout, Ring
from streamreid.gallery.shortlist import STRIPS
from streamreid.reid.device import choose_device
from streamreid.reid.extract import FeatureExtractor, choose_runner
from streamreid.reid.matching_blocks import fast_on_this_cpu
from streamreid.reid.multishot import DEFAULT_RULE, MultiShot
from streamreid.reid.qaconv import fold
from streamreid.reid.weights import load_model

_STORAGE = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.int8,
    "fp8": torch.float8_e4m3fn,
}


def build_scorer(
    weights: str,
    *,
    device: str = "auto",
    max_crops: int = 20_000,
    max_age_s: float = 7_200.0,
    memory_bytes: int | None = None,
    exact: bool = False,
    miss_rate: float | None = 0.01,
    threads: int | None = None,
    features: str = "auto",
    rule: MultiShot = DEFAULT_RULE,
    map_dtype: str = "auto",
    index_above: int = 1_000_000,
) -> LocalScorer:
    """Load weights and reserve the gallery.

    Args:
        weights: Name or path of re-identification weights.
        device: "auto", "cpu", "cuda" or "cuda:N".
        max_crops: Most entries that live at once.
        max_age_s: Age limit that `expire` uses, seconds.
        memory_bytes: Most bytes for maps and vectors; lowers `max_crops` where it is tighter.
        exact: Leave the shortlist out.
        miss_rate: Share of the queries that may lose their best entry on the shortlist, which grows
            with the gallery as audits demand; None leaves its size to the caller.
        threads: Threads of the feature network where its back-end can be told; None: its choice.
        features: Back-end of the feature network: "auto" (measured) or a name of
            `streamreid.reid.extract.feature_backends`.
        rule: How the crops of two tracks are combined into one logit.
        map_dtype: Storage dtype of the maps: "auto", "fp32", "fp16", "bf16", "int8" or "fp8".
        index_above: Galleries of more crops are searched by an approximate index where its package
            is installed, and not on a GPU, which reads a million vectors in a millisecond.

    Returns:
        An empty scorer.

    Raises:
        ConfigError: If the device is missing or the memory does not hold a single crop.
        WeightsError: If the weights cannot be loaded.
    """
    chosen = choose_device(device)
    model = load_model(weights, device=str(chosen))
    choice = choose_runner(
        model.network, size=model.input_size, device=chosen, backend=features, threads=threads
    )
    head = fold(model.head).to(device=chosen, dtype=torch.float32)
    layout = MapLayout(
        height=head.height,
        width=head.width,
        channels=model.network.channels,
        map_dtype=choose_storage(map_dtype, chosen),
        vector_size=min(STRIPS, head.height) * model.network.channels,
        vector_dtype=torch.bfloat16 if chosen.type == "cpu" else torch.float16,
    )
    capacity = max_crops
    per_crop = layout.bytes_per_crop + TABLE_BYTES
    if memory_bytes is not None:
        capacity = min(max_crops, memory_bytes // per_crop)
    indexed = capacity > index_above and chosen.type == "cpu" and index_installed()
    if memory_bytes is not None:
        per_crop += INDEX_BYTES if indexed else 0
        capacity = min(max_crops, memory_bytes // per_crop)
        if capacity < 1:
            raise ConfigError(
                f"matcher.gallery.memory is {memory_bytes} bytes, but one crop takes "
                f"{per_crop}; give it at least a few hundred MiB"
            )
    return LocalScorer(
        FeatureExtractor(choice.runner, model.input_size),
        head,
        Ring(layout, capacity, chosen, index=GraphIndex(layout.vector_size) if indexed else None),
        exact=exact,
        miss_rate=miss_rate,
        rule=rule,
        max_age_s=max_age_s,
        weights_digest=model.digest,
        calibration=model.calibration,
    )


def choose_storage(name: str, device: torch.device | str) -> torch.dtype:
    """Storage dtype of the maps: "auto", "fp32", "fp16", "bf16", "int8" or "fp8".

    "auto" takes the fewest bits that the device scores fast and whose error is known to be
    harmless.

    Raises:
        ConfigError: If the name is none of these.
    """
    device = torch.device(device)
    if name == "auto":
        if device.type == "cuda":
            return torch.float16
        if fast_on_this_cpu("int8"):
            return torch.int8
        return torch.bfloat16 if fast_on_this_cpu("bf16") else torch.float32
    if name not in _STORAGE:
        raise ConfigError(f"storage dtype {name!r}; use auto or one of {', '.join(_STORAGE)}")
    return _STORAGE[name]
