"""The picture operations of `streamreid.pictures` under the name they are looked for beside video."""

from streamreid.pictures import crop_rgb, letterbox_rgb, resize_planes_to_rgb

__all__ = ["crop_rgb", "letterbox_rgb", "resize_planes_to_rgb"]
