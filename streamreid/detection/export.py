"""From detector weights to a file that runs without torch: ONNX, with what it takes and gives.

`python -m streamreid.detection.export WEIGHTS OUT_DIR` does it in a process of its own, so
that a camera worker never imports torch for it.
"""

import json
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamreid.detection.postprocess import ModelLayout, OutputKind
from streamreid.errors import StreamreidError, WeightsError

MODEL_FILE = "model.onnx"
LAYOUT_FILE = "model.json"
SCHEMA = 1

_EXAMPLE_SHAPE = (1, 384, 640, 3)


def export_model(weights: Path, out_dir: Path) -> None:
    """Write `model.onnx` and `model.json` for detector weights.

    Args:
        weights: Ultralytics `.pt` weights, or an `.onnx` export of them, which is taken as it is.
        out_dir: Folder for both files; made if need be. Each file appears complete or not at all.

    Raises:
        WeightsError: The weights cannot be read or are of another kind.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    partial = out_dir / f".{os.getpid()}.{MODEL_FILE}"
    if weights.suffix.lower() == ".onnx":
        layout = inspect_onnx(weights)
        partial.write_bytes(weights.read_bytes())
    else:
        layout = _export_torch(weights, partial, settings_dir=out_dir / "ultralytics")
    partial.replace(out_dir / MODEL_FILE)
    partial_layout = out_dir / f".{os.getpid()}.{LAYOUT_FILE}"
    partial_layout.write_text(json.dumps({"schema": SCHEMA} | asdict(layout)), "utf-8")
    partial_layout.replace(out_dir / LAYOUT_FILE)


def read_layout(path: Path) -> ModelLayout | None:
    """The layout written next to an exported model, or None if it is absent or of other code.

    Args:
        path: The `model.json`.
    """
    try:
        fields = json.loads(path.read_text("utf-8"))
        if fields.pop("schema") != SCHEMA:
            return None
        size = fields.pop("fixed_size")
        return ModelLayout(fixed_size=tuple(size) if size else None, **fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def inspect_onnx(path: Path) -> ModelLayout:
    """What an ONNX file exported by ultralytics takes and gives.

    Args:
        path: The file.

    Raises:
        WeightsError: It is no ONNX file, or no detector that knows the class `person`.
    """
    import ast

    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(str(path), load_external_data=False)
        taken = _dimensions(model.graph.input[0])
        given = _dimensions(model.graph.output[0])
    except (OSError, DecodeError, IndexError, ValueError, RuntimeError) as error:
        raise WeightsError(f"'{path}' is no ONNX model ({type(error).__name__})") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    try:
        names = ast.literal_eval(metadata.get("names", "{0: 'person'}"))
        person = next(int(number) for number, name in dict(names).items() if name == "person")
    except (ValueError, SyntaxError, TypeError, StopIteration):
        raise WeightsError(f"'{path}' does not know the class 'person'") from None
    if len(taken) != 4 or len(given) != 3 or taken[1] not in (3, None):
        raise WeightsError(
            f"'{path}' takes {taken} and gives {given}; expected a YOLO detector that takes "
            "(batch, 3, height, width) and gives (batch, 300, 6) or (batch, 4 + classes, anchors)"
        )
    output: OutputKind = "end2end" if given[2] == 6 else "dense"
    height, width = taken[2], taken[3]
    return ModelLayout(
        output=output,
        person_class=person,
        bytes_input=False,
        fixed_size=(width, height) if width is not None and height is not None else None,
        fixed_batch=taken[0],
    )


def _dimensions(value: Any) -> list[int | None]:
    shape = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in shape]


def _export_torch(weights: Path, target: Path, *, settings_dir: Path) -> ModelLayout:
    import torch

    from streamreid.detection.yolo import load_person_network

    network = load_person_network(weights, settings_dir=settings_dir)
    example = torch.zeros(_EXAMPLE_SHAPE, dtype=torch.uint8)
    axes = {"pictures": {0: "batch", 1: "height", 2: "width"}, "people": {0: "batch", 1: "anchors"}}
    with warnings.catch_warnings(), torch.inference_mode():
        # The tracing exporter is called legacy, but it is the one that keeps sizes dynamic here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(target),
            input_names=["pictures"],
            output_names=["people"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    return ModelLayout(output="people", person_class=network.person_class)


def main(arguments: list[str]) -> int:
    """Export in a process of its own; the last line of stderr tells what went wrong."""
    try:
        export_model(Path(arguments[0]), Path(arguments[1]))
    except StreamreidError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
