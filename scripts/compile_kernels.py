"""Compile the GPU kernels for an H100/H200 on any machine and show what they use.

python -m scripts.compile_kernels fp16 128
"""

import argparse
import itertools
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
os.environ.pop("TRITON_INTERPRET", None)

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from streamreid.reid import matching_triton
from streamreid.reid.matching_cuda import LAUNCHES, Launch, join_constants, kernel_constants

_POINTERS = {"fp16": "*fp16", "bf16": "*bf16", "i8": "*i8", "fp8": "*fp8e4nv"}


def compile_launch(
    launch: Launch, dtype: str, channels: int, locations: int, *, keep_rows: bool
) -> Any:
    """Compile the slab kernel for compute capability 9.0."""
    constants = kernel_constants(locations, channels, keep_rows=keep_rows)
    constants |= {"SLAB": launch.slab, "STEPS": launch.steps}
    constants["SUMS"] = tl.int32 if dtype == "i8" else tl.float32
    pointer = _POINTERS[dtype]
    types = {
        "query": pointer,
        "gallery": pointer,
        **dict.fromkeys(("row_weight", "row_sum", "column_max", "row_max"), "*fp32"),
        "rows": "i32",
    }
    options = {"num_warps": launch.warps, "num_stages": launch.stages}
    return _compiled(matching_triton.slab_maxima, types, constants, options)


def compile_join(locations: int) -> Any:
    """Compile the kernel that joins the groups of a map."""
    names = ("row_sum", "column_max", "column_weight", "query_scale", "gallery_scale", "score")
    types = {**dict.fromkeys(names, "*fp32"), "maps": "i32", "offset": "fp32"}
    return _compiled(matching_triton.join_groups, types, join_constants(locations), {})


def _compiled(
    kernel: Any, types: dict[str, str], constants: dict[str, Any], options: dict[str, int]
) -> Any:
    """Compile a kernel whose pointers and counts are multiples of 16, as torch's are here."""
    names = kernel.arg_names
    signature = {name: types.get(name, "constexpr") for name in names}
    source = ASTSource(
        kernel,
        signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={
            (number,): [["tt.divisibility", 16]]
            for number, name in enumerate(names)
            if types.get(name, "").startswith(("*", "i"))
        },
    )
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def registers(cubin: bytes) -> str:
    """Registers and stack per thread, as the disassembler tells."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(tool), "-res-usage", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"REG:(\d+) STACK:(\d+)", done.stdout + done.stderr)
    return f"registers {found[1]} stack {found[2]}" if found else "registers unknown"


def main() -> None:
    """Compile the kernels with every launch for one dtype and number of channels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dtype", choices=sorted(_POINTERS))
    parser.add_argument("channels", type=int)
    parser.add_argument("--locations", type=int, default=192)
    arguments = parser.parse_args()
    print(f"join_groups {registers(compile_join(arguments.locations).asm['cubin'])}")
    for keep_rows, launch in itertools.product((False, True), LAUNCHES):
        compiled = compile_launch(
            launch, arguments.dtype, arguments.channels, arguments.locations, keep_rows=keep_rows
        )
        products = sorted(
            set(re.findall(r"wgmma\.mma_async\S*?(m64n\d+k\d+)", compiled.asm["ptx"]))
        )
        print(
            f"{launch}{' with the maxima of rows' if keep_rows else ''} "
            f"shared {compiled.metadata.shared} {registers(compiled.asm['cubin'])} "
            f"wgmma {' '.join(products)}"
        )


if __name__ == "__main__":
    main()
