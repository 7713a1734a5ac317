"""Scenes as values: which drawn people walk past which drawn cameras, when."""

from dataclasses import dataclass, field

from streamreid.errors import ConfigError
from streamreid.simulation.backdrop import Backdrop
from streamreid.simulation.camera_look import CameraLook
from streamreid.simulation.outfit import Outfit
from streamreid.types import CameraId


@dataclass(frozen=True, slots=True)
class Trail:
    """Where people walk in a camera: from one place on the floor to another.

    Attributes:
        start_xy: Where the feet are at first, shares of width and height; may lie outside.
        end_xy: Where the feet are at last.
        start_height: Height of a usual person there, as a share of the picture's height.
        end_height: The same at the end.
        yaw: Direction of walking as the camera sees it: 0 to the right, pi/2 towards it; radians.
        lane: Greatest sideways distance of people from the path, share of the height.
    """

    start_xy: tuple[float, float] = (-0.12, 0.9)
    end_xy: tuple[float, float] = (1.12, 0.9)
    start_height: float = 0.5
    end_height: float = 0.5
    yaw: float = 0.0
    lane: float = 0.06


@dataclass(frozen=True, slots=True)
class SceneCamera:
    """One camera of a scene.

    Attributes:
        camera_id: Its name.
        path: Where people walk.
        look: How it renders colours.
        backdrop: What it looks at.
        started_at_s: Capture time of its first frame by its own clock, seconds in the scene.
    """

    camera_id: CameraId
    trail: Trail = field(default_factory=Trail)
    look: CameraLook = field(default_factory=CameraLook)
    backdrop: Backdrop = field(default_factory=Backdrop)
    started_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Walk:
    """One person walking once through one camera's path.

    Attributes:
        person: True identity, from 1.
        camera_id: The camera.
        enter_s: When the walk begins, seconds in the scene.
        leave_s: When it ends.
        backwards: From the end of the path to its start.
        lane: Sideways place in [-1, 1].
    """

    person: int
    camera_id: CameraId
    enter_s: float
    leave_s: float
    backwards: bool = False
    lane: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is needed to draw a scene.

    Attributes:
        cameras: The cameras.
        outfits: What person number i + 1 looks like.
        walks: Who is where, when.
        duration_s: Length of each camera's video.
        fps: Frames a second.
        width: Pixels per row.
        height: Rows; even, as is the width.
        seed: Noise, texture and furniture.
    """

    cameras: tuple[SceneCamera, ...]
    outfits: tuple[Outfit, ...]
    walks: tuple[Walk, ...]
    duration_s: float
    fps: int = 10
    width: int = 640
    height: int = 360
    seed: int = 0

    def __post_init__(self) -> None:
        names = {camera.camera_id for camera in self.cameras}
        for walk in self.walks:
            if walk.camera_id not in names or not 1 <= walk.person <= len(self.outfits):
                raise ConfigError(f"{walk} needs a camera and an outfit of the scene")
        if self.width % 2 or self.height % 2 or self.fps < 1 or self.duration_s <= 0.0:
            raise ConfigError("a scene needs even sizes, fps >= 1 and a duration above 0")

    @property
    def frame_count(self) -> int:
        """Frames per camera."""
        return round(self.duration_s * self.fps)


@dataclass(frozen=True, slots=True)
class TrueBox:
    """Where a person really is in one frame.

    Attributes:
        frame: Number of the frame, from 1 as in MOT files.
        person: True identity.
        box_xyxy: Box around what is inside the picture, pixels.
    """

    frame: int
    person: int
    box_xyxy: tuple[float, float, float, float]
