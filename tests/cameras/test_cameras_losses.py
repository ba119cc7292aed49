"""One camera or the network? Pure decisions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.losses import HOLD_S, Losses

NAMES = [f"c{n}" for n in range(30)]


def _losses(count: int = 30) -> Losses:
    return Losses(set(NAMES[:count]))


def test_a_single_loss_is_told_at_once_and_clears() -> None:
    losses = _losses()
    losses.hear("c3", doubted=False, lost=True, now_s=10)
    assert losses.settle(10).lost == ("c3",)
    assert losses.settle(11) == losses.settle(12)  # told once
    losses.hear("c3", doubted=False, lost=False, now_s=20)
    assert losses.settle(20).back == ("c3",)


def test_a_loss_waits_while_most_are_in_doubt_but_not_for_ever() -> None:
    losses = _losses()
    losses.hear("c0", doubted=False, lost=True, now_s=0)
    for name in NAMES[1:20]:
        losses.hear(name, doubted=True, lost=False, now_s=0)
    assert losses.settle(1).lost == ()
    assert losses.settle(HOLD_S + 0.1).lost == ("c0",)


def test_thirty_at_once_are_one_loss_and_one_return() -> None:
    losses = _losses()
    for name in NAMES:
        losses.hear(name, doubted=True, lost=False, now_s=0)
    for n, name in enumerate(NAMES):
        losses.hear(name, doubted=False, lost=True, now_s=n / 10)
        if n < 29:  # the others are in doubt: they will be counted
            assert losses.settle(n / 10).network_lost == ()
    said = losses.settle(3)
    assert said.network_lost == tuple(sorted(NAMES)) and said.lost == ()
    for name in NAMES:
        losses.hear(name, doubted=False, lost=False, now_s=100)
    said = losses.settle(100)
    assert (said.network_back, said.lost, said.back) == (tuple(sorted(NAMES)), (), ())


def test_who_stays_away_when_the_others_are_back_is_told_alone() -> None:
    losses = _losses(10)
    for name in NAMES[:10]:
        losses.hear(name, doubted=False, lost=True, now_s=0)
    assert losses.settle(0).network_lost
    for name in NAMES[:9]:
        losses.hear(name, doubted=False, lost=False, now_s=50)
    assert losses.settle(51) == losses.settle(60)
    said = losses.settle(200)
    assert said.network_back and said.lost == ("c9",)
    losses.hear("c9", doubted=False, lost=False, now_s=300)
    assert losses.settle(300).back == ("c9",)


def test_a_camera_that_is_watched_no_longer_is_forgotten() -> None:
    losses = _losses(2)
    losses.hear("c0", doubted=False, lost=True, now_s=0)
    losses.watch(["c1"])
    assert losses.settle(1) == losses.settle(2)
    assert losses.lost_s == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES[:8]), st.sampled_from(["well", "doubted", "lost"]),
                  st.floats(0, 60)),
        max_size=80,
    )
)  # fmt: skip
def test_every_loss_that_is_told_is_over_once_all_are_well(
    history: list[tuple[str, str, float]],
) -> None:
    losses, now, open_alone, network = Losses(set(NAMES[:8])), 0.0, set(), 0
    steps = [*history, *((name, "well", 200.0) for name in NAMES[:8])]
    for name, how, gap in steps:
        now += gap
        losses.hear(name, doubted=how == "doubted", lost=how == "lost", now_s=now)
        said = losses.settle(now)
        assert not set(said.lost) & open_alone
        assert set(said.back) <= open_alone | set(said.lost)
        open_alone = (open_alone | set(said.lost)) - set(said.back)
        network += bool(said.network_lost) - bool(said.network_back)
        assert network in (0, 1)
    said = losses.settle(now + 500)
    open_alone = (open_alone | set(said.lost)) - set(said.back)
    network += bool(said.network_lost) - bool(said.network_back)
    assert (open_alone, network) == (set(), 0)
