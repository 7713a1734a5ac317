"""Feature maps as they are stored and matched: location-major, contiguous, in a storage dtype."""

from dataclasses import dataclass

import torch
from torch import Tensor

# Dtypes that need a factor per map, with the largest value that each of them holds.
_LARGEST = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}
_PLAIN = (torch.float32, torch.float16, torch.bfloat16)
# bfloat16 carries eight bits: the norm of a unit vector in it stays within half of this.
_NORM_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMaps:
    """Feature maps stored as they are matched: location-major and contiguous.

    Attributes:
        data: Unit vectors per location, shape `[N, n, C]`; float32, float16, bfloat16, int8 or
            float8_e4m3fn.
        height: Rows of each map.
        width: Columns of each map; `n = height * width`, row-major.
        scales: For the 8-bit dtypes one factor per map, shape `[N]`, float32
            (`vector = data * scale`), else None.
    """

    data: Tensor
    height: int
    width: int
    scales: Tensor | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 3 or self.data.shape[1] != self.height * self.width:
            raise ValueError(
                f"data must be [N, {self.height * self.width}, C], got {list(self.data.shape)}"
            )
        if self.data.dtype not in (*_PLAIN, *_LARGEST):
            raise ValueError(f"feature maps cannot be stored as {self.data.dtype}")
        if needs_scale(self.data.dtype) != (self.scales is not None):
            raise ValueError("scales go with int8 and float8 maps, and only with them")
        if self.scales is not None and self.scales.shape != (len(self),):
            raise ValueError(
                f"scales must be one per map, [{len(self)}], got {list(self.scales.shape)}"
            )

    def __len__(self) -> int:
        return int(self.data.shape[0])

    @property
    def channels(self) -> int:
        """Length of the vector at each location."""
        return int(self.data.shape[2])

    @classmethod
    def pack(cls, maps: Tensor, dtype: torch.dtype = torch.float32) -> "FeatureMaps":
        """Reorder maps from the network and convert them.

        Args:
            maps: Feature maps with unit norm over channels, shape `[N, C, h, w]`. A location may be
                all zero instead, which correlates with nothing.
            dtype: float32, float16, bfloat16, or with one scale per map int8 or float8_e4m3fn.

        Returns:
            The packed maps, on the device of `maps`.

        Raises:
            ValueError: If the shape is not `[N, C, h, w]`, the values are no floats, the dtype is
                none of these, or a location is neither of unit norm nor zero.
        """
        if maps.ndim != 4 or not maps.is_floating_point():
            raise ValueError(
                f"maps must be [N, C, h, w] in floating point, got {list(maps.shape)} {maps.dtype}"
            )
        height, width = int(maps.shape[2]), int(maps.shape[3])
        data = maps.detach().flatten(2).transpose(1, 2)
        _check_unit_norm(data)
        return _converted(data, height, width, dtype)

    def unpack(self) -> Tensor:
        """Maps as the network gave them, shape `[N, C, h, w]`, float32."""
        data = self.to_float32().data
        return data.transpose(1, 2).reshape(len(self), self.channels, self.height, self.width)

    def to_float32(self) -> "FeatureMaps":
        """The same maps in float32, without scales; itself when it already is."""
        return self.to_dtype(torch.float32)

    def to_dtype(self, dtype: torch.dtype) -> "FeatureMaps":
        """The same maps in another storage dtype; itself when it already has it."""
        if self.data.dtype == dtype:
            return self
        data = self.data
        if self.scales is not None:
            data = data.float() * self.scales[:, None, None]
        return _converted(data, self.height, self.width, dtype)

    def to(self, device: torch.device | str) -> "FeatureMaps":
        """The same maps on another device."""
        scales = None if self.scales is None else self.scales.to(device)
        return FeatureMaps(self.data.to(device), self.height, self.width, scales)

    def select(self, indices: Tensor | slice) -> "FeatureMaps":
        """The maps at `indices` (or of a slice), in that order."""
        scales = None if self.scales is None else self.scales[indices]
        return FeatureMaps(self.data[indices], self.height, self.width, scales)


def needs_scale(dtype: torch.dtype) -> bool:
    """Whether maps of this dtype carry one factor per map."""
    return dtype in _LARGEST


def _converted(data: Tensor, height: int, width: int, dtype: torch.dtype) -> FeatureMaps:
    if needs_scale(dtype):
        scales = data.float().abs().amax(dim=(1, 2)).clamp_min(1e-12) / _LARGEST[dtype]
        levels = data.float() / scales[:, None, None]
        if dtype == torch.int8:
            levels = levels.round()
        return FeatureMaps(levels.to(dtype).contiguous(), height, width, scales)
    if dtype not in _PLAIN:
        raise ValueError(f"feature maps cannot be packed as {dtype}")
    return FeatureMaps(data.to(dtype).contiguous(), height, width)


def _check_unit_norm(data: Tensor) -> None:
    """Refuse vectors that are neither unit nor zero; NaN fails both comparisons."""
    norm = data.float().norm(dim=2)
    fine = (norm - 1.0).abs().le(_NORM_TOLERANCE) | norm.le(1e-6)
    if not bool(fine.all()):
        worst = norm[~fine][0]
        raise ValueError(
            f"{int((~fine).sum())} of {norm.numel()} locations are not of unit norm (one has "
            f"{float(worst):.4g}); normalise the maps over their channels first"
        )
