"""How long the feature network takes per crop, by every back-end of this machine."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from streamreid.cli.bench_table import Table, Value
from streamreid.cli.bench_timing import Timing, Work, clock_for, sync_for, take_turns
from streamreid.errors import ConfigError
from streamreid.reid.extract import choose_runner, feature_backends
from streamreid.reid.preprocess import prepare
from streamreid.reid.weights import load_model

_CROPS = 8
_RESIZE = "resize and stack"


def features_table(
    *,
    weights: str = "default",
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 7,
    progress: Callable[[str], None] = lambda text: None,
) -> Table:
    """Extract features of eight crops by every back-end that works here.

    Args:
        weights: Name or path of the weights.
        device: "cpu" or "cuda".
        threads: Threads of torch (set by the caller), OpenVINO and ONNX Runtime.
        rounds: Rounds in which all variants take turns.
        progress: Told what is being measured.
    """
    model = load_model(weights)
    target = torch.device(device)
    draw = np.random.default_rng(0)
    crops = [draw.integers(0, 256, (256, 100, 3), dtype=np.uint8) for _ in range(_CROPS)]
    images = prepare(crops, model.input_size)
    variants: dict[str, Work] = {_RESIZE: lambda: prepare(crops, model.input_size)}
    notes = [f"Eight crops of 256 x 100 pixels to {model.input_size[0]} x {model.input_size[1]}."]
    for name in feature_backends(target):
        progress(f"features, {name}")
        try:
            runner = choose_runner(
                model.network, size=model.input_size, device=target, backend=name, threads=threads
            ).runner
        except ConfigError as exc:
            notes.append(f"{name}: {exc}")
            continue
        variants[name] = partial(runner, images)
    timings = take_turns(
        variants, rounds=rounds, clock=clock_for(threads, target), sync=sync_for(target)
    )
    reference = timings.get("torch-fp32")
    rows: list[dict[str, Value]] = [
        {
            "back-end": name,
            "threads": threads,
            "ms per crop": timing.median_s * 1e3 / _CROPS,
            "best ms per crop": timing.best_s * 1e3 / _CROPS,
            "x torch fp32": None if reference is None else timing.times_faster_than(reference),
        }
        for name, timing in timings.items()
    ]
    notes.append(_meaning(timings, threads))
    return Table(f"Feature network of {model.name!r} on {device}", rows, notes)


def _meaning(timings: dict[str, Timing], threads: int) -> str:
    """What the fastest back-end can do, and what bounds it."""
    resize = timings[_RESIZE].median_s / _CROPS
    networks = {name: timing for name, timing in timings.items() if name != _RESIZE}
    if not networks:
        return "No back-end works here."
    fastest = min(networks, key=lambda name: networks[name].median_s)
    network = networks[fastest].median_s / _CROPS
    bound = "resizing" if resize > network else "the feature network"
    return (
        f"This machine embeds {1.0 / (resize + network):,.0f} crops a second by {fastest} on "
        f"{threads} thread{'s' if threads > 1 else ''}: as many people at a time if each is looked "
        f"up once a second. The bottleneck is {bound} ({max(resize, network) * 1e3:.1f} of "
        f"{(resize + network) * 1e3:.1f} ms)."
    )
