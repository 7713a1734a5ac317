"""What `streamreid demo` does: draw a scene, run the main job on it, compare, draw the results."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from streamreid.cli.demo_score import DemoScore, score_scene
from streamreid.cli.demo_sheet import draw_sheet, write_sheet
from streamreid.cli.progress import progress_bars
from streamreid.cli.report import write_report
from streamreid.cli.run_job import run_job
from streamreid.cli.store_tracks import FrameClock
from streamreid.errors import ConfigError
from streamreid.simulation.demo_scene import LOOK_ALIKES, demo_scene
from streamreid.simulation.recording import CONFIG_FILE, record_scene
from streamreid.simulation.scene import Scene
from streamreid.simulation.truth import TRUTH_FILE, SceneTruth, read_truth

STORE = "streamreid.sqlite"
SHEET = "people.png"
REPORT = "report.html"


def demo_job(out: Path, *, detector: str, plain: bool, seed: int) -> int:
    """Run the demo in a folder.

    Args:
        out: Where everything goes; emptied first when it holds an older demo.
        detector: `auto`, `yolo` or `motion`.
        plain: Lines instead of a live table.
        seed: Chooses how people walk and the noise.

    Returns:
        The exit code of the run.

    Raises:
        ConfigError: If the folder holds something else.
    """
    console = Console()
    prepare_folder(out)
    truth = record_demo(out, demo_scene(seed=seed), detector=detector, console=console)
    code = run_job(out / CONFIG_FILE, plain=plain)
    if code == 0:
        show_results(out, truth, console)
    return code


def record_demo(out: Path, scene: Scene, *, detector: str, console: Console) -> SceneTruth:
    """Draw the scene into a folder, with a progress bar."""
    people = len(scene.outfits)
    console.print(
        f"drawing {people} people in {len(scene.cameras)} cameras, "
        f"{scene.duration_s:.0f} s at {scene.fps} frames a second",
        highlight=False,
    )
    with progress_bars() as bars:
        advance = bars.start("drawing", scene.frame_count * len(scene.cameras))
        return record_scene(
            scene,
            out,
            alike=[LOOK_ALIKES],
            settings=(f"detector: {{kind: {detector}}}",),
            progress=lambda _: advance(1),
        )


def prepare_folder(out: Path) -> None:
    """Empty a folder of an older demo; refuse to touch any other one.

    Raises:
        ConfigError: If it is a file, or holds files but no drawn scene.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; name a folder with --out")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / TRUTH_FILE).exists():
        raise ConfigError(
            f"{out} holds files that are not from a demo, and would be overwritten; name a new "
            "folder with --out"
        )
    from streamreid.runtime.lock import lock_run

    run_dir = out / f"{Path(STORE).stem}.run"
    if run_dir.exists():
        # An older demo may still be running on this store: then the lock names it.
        with lock_run(run_dir, "streamreid demo"):
            pass
        shutil.rmtree(run_dir)
    # Only what a demo makes; a user may have put something beside it.
    cameras = read_truth(out).started_at_s
    ours = {SHEET, REPORT, *(f"{c}.mp4" for c in cameras), *(f"{c}.gt.txt" for c in cameras)}
    for path in out.iterdir():
        if path.name.startswith(STORE) or path.name in ours:
            path.unlink()


def show_results(out: Path, truth: SceneTruth, console: Console) -> DemoScore:
    """Compare with the truth, print it, and draw sheet and report."""
    score = score_scene(out / STORE, truth)
    clocks = {
        camera: FrameClock(start_s, truth.fps) for camera, start_s in truth.started_at_s.items()
    }
    sheet = draw_sheet(out / STORE, out, clocks, person_of=score.person_of)
    write_sheet(sheet, out / SHEET)
    write_report(out / STORE, out / REPORT)
    console.print(people_table(score))
    for line in summary_lines(score, truth):
        console.print(line, highlight=False, soft_wrap=True)
    for name, what in _LEFT_BEHIND.items():
        console.print(f"  {out / name}  {what}", markup=False, highlight=False, soft_wrap=True)
    return score


_LEFT_BEHIND: Mapping[str, str] = {
    REPORT: "who was where, and why: open it in a browser",
    SHEET: "frames with the people found",
    STORE: "the database: tracks, identities, decisions",
    CONFIG_FILE: "the configuration that was run",
    TRUTH_FILE: "what is true",
}


def people_table(score: DemoScore) -> Table:
    """One row per true person: how many tracks, and which identities they were given."""
    table = Table(title="Found against the truth")
    for name in ("True person", "Tracks", "Identities given", "Right"):
        table.add_column(name)
    people = sorted({person for person in score.person_of.values() if person is not None})
    for person in people:
        tracks = [track for track, true in score.person_of.items() if true == person]
        given = [score.identity_of[track] for track in tracks]
        names = ", ".join(
            "undecided" if identity is None else f"#{identity} x{given.count(identity)}"
            for identity in dict.fromkeys(given)
        )
        holders = {
            true
            for track, true in score.person_of.items()
            if score.identity_of[track] in set(given) and true is not None
        }
        right = len(set(given)) == 1 and holders == {person}
        table.add_row(str(person), str(len(tracks)), names, "yes" if right else "no")
    return table


def summary_lines(score: DemoScore, truth: SceneTruth) -> list[str]:
    """What the demo found, in words."""
    lost = sum(person is None for person in score.person_of.values())
    tracking = score.tracking
    lines = [
        f"{len(score.person_of)} tracks for {score.sightings} true sightings of "
        f"{len(truth.people)} people; {lost} tracks follow nobody"
    ]
    if score.figures is not None:
        figures = score.figures
        lines.append(
            f"identities: {figures.identities} found, {len(truth.people)} true; pairs of tracks: "
            f"precision {figures.pair_precision:.2f}, recall {figures.pair_recall:.2f}, "
            f"F1 {figures.pair_f1:.2f}"
        )
    lines.append(
        f"in each camera: IDF1 {tracking.single.idf1:.2f}, MOTA {tracking.single.mota:.2f}; "
        f"over all cameras: IDF1 {tracking.multi.idf1:.2f}, HOTA {tracking.multi.hota:.2f}, "
        f"{tracking.multi.switches} switches"
    )
    alike = ", ".join("/".join(str(p) for p in group) for group in truth.look_alikes)
    verdict = "kept apart" if score.look_alikes_apart else "taken for one person"
    lines.append(f"look-alikes {alike}: {verdict}")
    return lines
