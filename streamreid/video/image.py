"""The picture operations of `streamreid.pictures`, where readers of video look for them."""

from streamreid.pictures import crop_rgb, letterbox_rgb, resize_planes_to_rgb

__all__ = ["crop_rgb", "letterbox_rgb", "resize_planes_to_rgb"]
