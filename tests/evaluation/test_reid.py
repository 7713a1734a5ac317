"""The whole evaluation on drawn people: figures, stages, summary and bad data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import load
from streamreid.evaluation.features import Progress
from streamreid.evaluation.ranking import evaluate_ranking
from streamreid.evaluation.reid import Matcher, ReidEvaluation, evaluate_reid
from streamreid.evaluation.reid_report import draw_cmc, json_bytes, write_report
from streamreid.reid.qaconv import fold
from streamreid.reid.weight_file import Calibration
from streamreid.reid.weights import equal_weight_head
from tests.evaluation.synthetic_people import embed_bands, plant_people

STAGES = ["plain", "tlift", "rerank", "rerank_tlift"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant_people(tmp_path_factory.mktemp("people"))


def band_matcher() -> Matcher:
    return Matcher(
        name="bands",
        digest="0" * 64,
        embed=lambda crops: torch.from_numpy(embed_bands(list(crops))),
        head=fold(equal_weight_head(3, 8, 1, scale=20.0, centre=0.95)),
        calibration=Calibration(scale=1.0, offset=0.0, fitted_on="nothing"),
    )


@pytest.fixture(scope="module")
def evaluation(root: Path) -> ReidEvaluation:
    return evaluate_reid(load("folder", root), band_matcher(), rerank=True, lift=True)


def test_all_stages_find_the_people(evaluation: ReidEvaluation) -> None:
    summary = evaluation.summary()
    assert list(summary["results"]) == STAGES
    assert summary["queries"] == summary["queries_counted"] == 18
    assert summary["gallery"] == 36
    for figures in summary["results"].values():
        assert list(figures) == ["rank1", "rank5", "rank10", "rank20", "mAP"]
        assert figures["rank1"] > 0.9
        assert figures["mAP"] > 0.8
    assert set(summary["seconds"]) == {"features", "scores", *STAGES, "total"}
    assert summary["clock"].startswith("frame / 25")
    assert json_bytes(summary).endswith(b"}\n")


def test_shuffled_identities_are_not_found(root: Path) -> None:
    # The figures come from the images: a matcher that sees nothing must not find anybody.
    blind = band_matcher()
    generator = torch.Generator().manual_seed(3)

    def noise(crops: object) -> torch.Tensor:
        count = len(crops)  # type: ignore[arg-type]
        maps = torch.randn(count, 3, 8, 1, generator=generator)
        return torch.nn.functional.normalize(maps, dim=1)

    found = evaluate_reid(load("folder", root), replace(blind, embed=noise))
    assert found.stages["plain"].ranking.rank(1) < 0.6


def test_plain_figures_come_from_the_scores(evaluation: ReidEvaluation) -> None:
    queries, gallery = evaluation.query.records, evaluation.gallery.records
    by_hand = evaluate_ranking(
        -evaluation.scores.across,
        [item.identity for item in queries],
        [item.identity for item in gallery],
        [item.camera for item in queries],
        [item.camera for item in gallery],
    )
    assert evaluation.stages["plain"].ranking.mean_ap == pytest.approx(by_hand.mean_ap, abs=1e-9)


def test_exact_and_int8_scores_agree(root: Path, evaluation: ReidEvaluation) -> None:
    exact = evaluate_reid(load("folder", root), band_matcher(), dtype=torch.float32)
    assert list(exact.stages) == ["plain"]
    np.testing.assert_allclose(exact.scores.across, evaluation.scores.across, atol=0.2, rtol=0)


def test_scores_inside_a_side_are_symmetric(evaluation: ReidEvaluation) -> None:
    for matrix in (evaluation.scores.own, evaluation.scores.others):
        assert matrix is not None
        np.testing.assert_allclose(matrix, matrix.T, atol=2e-5, rtol=0)


def test_progress_adds_up_to_the_total(root: Path) -> None:
    totals: dict[str, list[int]] = {}

    class Counting:
        def start(self, step: str, total: int) -> Progress:
            totals[step] = [total, 0]

            def advance(done: int) -> None:
                totals[step][1] += done

            return advance

    evaluate_reid(load("folder", root), band_matcher(), rerank=True, progress=Counting())
    assert set(totals) == {"query features", "gallery features", "scores"}
    assert all(total == done for total, done in totals.values())


def test_broken_images_are_counted(tmp_path: Path) -> None:
    root = plant_people(tmp_path, identities=3)
    broken = next((root / "query").iterdir())
    broken.write_bytes(b"")
    summary = evaluate_reid(load("folder", root), band_matcher()).summary()
    assert summary["queries"] == 8
    assert [item["file"] for item in summary["broken"]] == [str(broken)]


@pytest.mark.parametrize(
    ("tree", "lift", "words"),
    [
        ({"timed": False}, True, "TLift needs a time for every image, but 18 of 18"),
        ({"cameras": 1}, False, "none of 2 queries has its identity in another camera"),
    ],
    ids=["no times", "no match"],
)
def test_what_cannot_be_evaluated_is_refused_before_any_work(
    tmp_path: Path, tree: dict[str, Any], lift: bool, words: str
) -> None:
    root = plant_people(tmp_path, identities=2, **tree)

    def never(crops: object) -> torch.Tensor:
        raise AssertionError(crops)

    with pytest.raises(DatasetError, match=words):
        evaluate_reid(load("folder", root), replace(band_matcher(), embed=never), lift=lift)


def test_queries_whose_only_match_is_broken_are_refused(tmp_path: Path) -> None:
    root = plant_people(tmp_path, identities=1, cameras=2, per_camera=2)
    for path in (root / "bounding_box_test").iterdir():
        if "_c2" in path.name:
            path.write_bytes(b"")
    query = sorted((root / "query").iterdir())[0].name
    (root / "query.txt").write_text(query, encoding="utf-8")
    with pytest.raises(DatasetError, match="none of 1 queries"):
        evaluate_reid(load("folder", root, query="query.txt"), band_matcher())


def test_report_is_one_page_with_both_ends(evaluation: ReidEvaluation, tmp_path: Path) -> None:
    page = write_report(tmp_path / "report", evaluation, queries=3, items=4)
    text = page.read_text(encoding="utf-8")
    assert text.count('class="row"') == 6
    assert text.count("data:image/jpeg;base64,") == 6 * 5
    assert "Best queries" in text
    assert "probability of the match (calibration: nothing)" in text
    assert "re-ranking + TLift" in text
    assert 'src="http' not in text
    names = {path.name for path in page.parent.iterdir()}
    assert names == {"report.html", "report.json", "cmc.png"}


def test_report_escapes_file_names(tmp_path: Path) -> None:
    root = plant_people(tmp_path / "data", identities=2)
    first = sorted((root / "query").iterdir())[0]
    first.rename(first.with_name("0001_c1s1_000000_<script>.png"))
    found = evaluate_reid(load("folder", root), band_matcher())
    text = write_report(tmp_path / "report", found).read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_plot_is_a_png(evaluation: ReidEvaluation) -> None:
    assert draw_cmc(evaluation.stages).startswith(b"\x89PNG")
