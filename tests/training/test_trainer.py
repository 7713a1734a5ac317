"""Training: it learns, and an interruption changes nothing, for both recipes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamreid.errors import ConfigError, WeightsError
from streamreid.reid.backbone import build
from streamreid.training.augment import AugmentConfig
from streamreid.training.reference_trainer import (
    ReferencePlan,
    ReferenceTrainer,
    ScheduleState,
    next_schedule,
)
from streamreid.training.sampling import BatchPlan
from streamreid.training.trainer import Trainer, TrainPlan
from tests.training.builders import make_images

SOFTMAX_PLAN = TrainPlan(
    batch=BatchPlan(3, 2, (0.5, 0.5), neighbour_share=0.5),
    steps=6,
    warmup_steps=2,
    frozen_blocks=1,
    late_frozen_blocks=2,
    late_from_step=4,
    refresh_steps=2,
    bfloat16=False,
)
REFERENCE_PLAN = ReferencePlan(batch_size=4, images_per_class=2, epochs=2, bfloat16=False)


def make_softmax() -> Trainer:
    torch.manual_seed(1)
    return Trainer(build("lite0_in", neck_channels=8), make_images(sources=2), SOFTMAX_PLAN)


def make_reference() -> ReferenceTrainer:
    torch.manual_seed(1)
    network = build("osnet_x0_25", neck_channels=8)
    return ReferenceTrainer(network, make_images(identities=4), REFERENCE_PLAN)


@pytest.mark.parametrize("make", [make_softmax, make_reference])
def test_interruption_changes_no_bit(
    tmp_path: Path, make: Callable[[], Trainer | ReferenceTrainer]
) -> None:
    straight = make()
    reports = []
    for step in range(6):
        reports.append(straight.train_step())
        straight.save(tmp_path / f"{step + 1}.ckpt")
    # After 1 the first epoch is open; after 4 it is closed, and more blocks freeze.
    for interrupted_after in (1, 4):
        resumed = make()
        resumed.restore(tmp_path / f"{interrupted_after}.ckpt")
        again = [resumed.train_step() for _ in range(6 - interrupted_after)]
        assert again == reports[interrupted_after:]
        for found, expected in zip(resumed.model(), straight.model(), strict=True):
            torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_softmax_training_lowers_the_loss() -> None:
    plan = replace(SOFTMAX_PLAN, steps=24, late_from_step=99, head_rate=5e-3, augment=_still())
    torch.manual_seed(1)
    trainer = Trainer(build("lite0_in", neck_channels=8), make_images(sources=2), plan)
    losses = [trainer.train_step().loss for _ in range(24)]
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])
    assert trainer.finished


def test_frozen_blocks_keep_their_weights_and_the_rest_moves() -> None:
    trainer = make_softmax()
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    trainer.train_step()
    after = trainer.network.state_dict()
    for name, value in before.items():
        frozen = name.startswith(("trunk.stem", "trunk.blocks.0.")) or "running" in name
        if frozen:
            assert torch.equal(value, after[name]), name
    assert not torch.equal(before["neck.0.weight"], after["neck.0.weight"])
    assert not torch.equal(
        before["trunk.blocks.10.project.0.weight"], after["trunk.blocks.10.project.0.weight"]
    )


def test_another_plan_is_refused(tmp_path: Path) -> None:
    trainer = make_softmax()
    trainer.save(tmp_path / "last.ckpt")
    torch.manual_seed(1)
    changed = Trainer(
        build("lite0_in", neck_channels=8), make_images(sources=2), replace(SOFTMAX_PLAN, steps=9)
    )
    with pytest.raises(ConfigError, match=r"steps = 6.*says 9"):
        changed.restore(tmp_path / "last.ckpt")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"half a checkpoint")
    with pytest.raises(WeightsError, match="delete it"):
        make_softmax().restore(path)


def test_the_model_scores_like_training_does() -> None:
    network, head = make_softmax().model()
    with torch.no_grad():
        maps = network(torch.rand(2, 3, 64, 32))
        score = head(maps, maps)
    torch.testing.assert_close(score.diagonal(), torch.full((2,), 24.0))


def test_reference_epoch_visits_every_class_once_as_anchor() -> None:
    trainer = make_reference()
    for _ in range(4):
        trainer.train_step()
    assert trainer.schedule.epoch == 1
    assert not trainer.finished
    for _ in range(4):
        trainer.train_step()
    assert trainer.finished


def test_the_rate_drops_once_and_stays_so_after_an_interruption(tmp_path: Path) -> None:
    plan = replace(REFERENCE_PLAN, epochs=5, step_factor=10.0)  # the drop comes after epoch 2

    def make() -> ReferenceTrainer:
        torch.manual_seed(1)
        return ReferenceTrainer(
            build("osnet_x0_25", neck_channels=8), make_images(identities=2, size=(32, 32)), plan
        )

    trainer = make()
    factors = [trainer.train_step().rate_factor for _ in range(5)]
    trainer.save(tmp_path / "last.ckpt")
    resumed = make()
    resumed.restore(tmp_path / "last.ckpt")
    factors.append(resumed.train_step().rate_factor)
    assert resumed.finished  # half as many epochs again: 3 of 2 batches
    assert factors == [1.0, 1.0, 1.0, 0.1, 0.1, 0.1]
    rates = [group["lr"] for group in resumed._optimiser.param_groups]
    assert rates == pytest.approx([plan.rate * 0.01, plan.rate * 0.1, plan.rate * 0.1])


def make_clipped(make: Callable[[], Trainer | ReferenceTrainer]) -> Trainer | ReferenceTrainer:
    trainer = make()
    trainer.plan = replace(trainer.plan, clip=1e-3)
    return trainer


@pytest.mark.parametrize("make", [make_softmax, make_reference])
def test_gradients_are_clipped(make: Callable[[], Trainer | ReferenceTrainer]) -> None:
    for trainer, clipped in ((make(), False), (make_clipped(make), True)):
        trainer.train_step()
        gradients = [p.grad for p in trainer.network.parameters() if p.grad is not None]
        norm = float(torch.stack([g.norm() for g in gradients]).norm())
        assert (norm <= 1.001e-3) == clipped


@pytest.mark.parametrize("make", [make_softmax, make_reference])
def test_mixed_precision_changes_little(make: Callable[[], Trainer | ReferenceTrainer]) -> None:
    exact, mixed = make(), make()
    mixed.plan = replace(mixed.plan, bfloat16=True)
    expected, found = exact.train_step().loss, mixed.train_step().loss
    assert found != expected
    assert found == pytest.approx(expected, rel=0.1)
    parameters = zip(mixed.network.parameters(), exact.network.parameters(), strict=True)
    assert all(a.dtype == b.dtype == torch.float32 for a, b in parameters)


@pytest.mark.parametrize(
    ("losses", "stepped_after", "last"),
    [
        ([20, 10, 9, 8, 7.5, 6.9], 6, 9),
        ([20, 10, 6.9], 3, 4),
        ([5, 10, 9, 9, 9, 9], None, 60),
        ([20, 10, 6.9, 1, 0.1], 3, 4),
    ],
    ids=["as published", "early", "never", "only once"],
)
def test_adaptive_schedule(losses: list[float], stepped_after: int | None, last: int) -> None:
    state = ScheduleState(0, 0.0, False, 60)
    when = None
    for loss in losses:
        after = next_schedule(state, loss, 0.7)
        if after.stepped and not state.stepped:
            when = after.epoch
        state = after
    assert when == stepped_after
    assert state.last_epoch == last


def _still() -> AugmentConfig:
    return AugmentConfig(
        flip=0, rotate_deg=0, scale=0, shift=0, colour=1, hue=0, grey=0, blur=0, erase=0
    )
