"""GStreamer's RTSP server over a folder of clips, on 127.0.0.1, once through for every client.

Usage: gstreamer_server.py FOLDER PORT SHIFT_S [NAME:PASSWORD], or `--check`: exit code 0 where it
can run. It imports nothing of streamreid, because it runs under the system's Python, to which
GStreamer's bindings belong. SHIFT_S is how far its clock is ahead of the true time. What it reports
about its clock is written to `report.PORT` in the folder: its time, and which second of the clip
was due then.
"""

import sys
from pathlib import Path
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found] # noqa: E402

_ELEMENTS = ("qtdemux", "h264parse", "rtph264pay")
_FROM_1900_TO_1970_S = 2_208_988_800
_BY_THE_PIPELINES_CLOCK = 3
_SETTLED_MS = 300


def wrong_clock(shift_s: float) -> Any:
    """A clock that counts from 1900, as reports do, and is ahead of the true time."""
    clock = Gst.SystemClock(clock_type=Gst.ClockType.REALTIME, name="camera")
    ahead_s = _FROM_1900_TO_1970_S + shift_s
    clock.set_calibration(0, round(ahead_s * Gst.SECOND), 1, 1)
    return clock


def report_by_the_clock(media: Any) -> None:
    """Let a clip's reports tell the time of its own clock instead of this machine's."""
    elements = media.get_element().get_parent().children
    (session,) = [one for one in elements if one.get_factory().get_name() == "rtpbin"]
    session.set_property("ntp-time-source", _BY_THE_PIPELINES_CLOCK)


def note_clock(media: Any, report: Path) -> bool:
    """Write down what the clock of a playing clip says now, and where in the clip that is."""
    pipeline = media.get_element().get_parent()
    now = pipeline.get_clock().get_time()
    told_s = now / Gst.SECOND - _FROM_1900_TO_1970_S
    position_s = (now - pipeline.get_base_time()) / Gst.SECOND
    report.write_text(f"{told_s!r} {position_s!r}")
    return False


def factory_for(clip: Path, clock: Any, report: Path) -> Any:
    """Makes a pipeline for every client: in a shared one a second PLAY would rewind the first."""
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_clock(clock)
    factory.set_launch(
        f'( filesrc location="{clip}" ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 )'
    )

    def configure(_: Any, media: Any) -> None:
        media.connect("prepared", report_by_the_clock)
        media.connect("new-state", changed)

    def changed(media: Any, state: int) -> None:
        if state == int(Gst.State.PLAYING):
            GLib.timeout_add(_SETTLED_MS, note_clock, media, report)

    factory.connect("media-configure", configure)
    return factory


def ask_for_password(server: Any, factories: list[Any], userinfo: str) -> None:
    """Let in only who says this name and password."""
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*userinfo.split(":", 1)), token)
    server.set_auth(auth)
    for factory in factories:
        permissions = GstRtspServer.RTSPPermissions()
        for permission in ("access", "construct"):
            permissions.add_permission_for_role("viewer", f"media.factory.{permission}", True)
        factory.set_permissions(permissions)


def main() -> int:
    """Serve until killed."""
    Gst.init(None)
    if sys.argv[1:] == ["--check"]:
        return int(not all(Gst.ElementFactory.find(name) for name in _ELEMENTS))
    folder, port, shift_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    server, clock = GstRtspServer.RTSPServer(), wrong_clock(shift_s)
    server.set_address("127.0.0.1")
    server.set_service(port)
    factories = {
        clip.name: factory_for(clip, clock, folder / f"report.{port}")
        for clip in sorted(folder.glob("*.mp4"))
    }
    if sys.argv[4:] and sys.argv[4]:
        ask_for_password(server, list(factories.values()), sys.argv[4])
    for name, factory in factories.items():
        server.get_mount_points().add_factory(f"/{name}", factory)
    if not server.attach(None):
        return 1
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
