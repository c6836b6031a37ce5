"""The pool: the same games whatever the threads, fair matches, batches in slot order, clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakenet import FloatArray, drive, flat_net, hash_net, radial_net, selfplay

import gocore
from gocore._core import NUM_PLANES, Pool, Replay, decode_record, encode

RICH: dict[str, Any] = {
    "games": 14,
    "slots": 6,
    "groups": 2,
    "visits": 16,
    "cheap_visits": 5,
    "full_probability": 0.4,
    "noise_weight": 0.25,
    "komi_stdev": 1.5,
    "opening_moves": 2,
    "temperature_moves": 6,
    "final_temperature": 0.2,
}
NET_PLAYERS: list[dict[str, Any]] = [{"kind": "net", "net": 0, "visits": 10}, {"kind": "net", "net": 1, "visits": 8}]


def match(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"players": NET_PLAYERS, "games": 8, "slots": 5}
    return selfplay(size=4, match=True, **(settings | changes))


@pytest.mark.parametrize("ko", ["positional", "simple"])
def test_same_games_for_any_number_of_threads(ko: str) -> None:
    plain, plain_stats = drive(selfplay(size=5, ko=ko, threads=1, **RICH))
    assert len(plain) == 14
    for threads in (2, 4):
        records, stats = drive(selfplay(size=5, ko=ko, threads=threads, **RICH))
        assert records == plain
        assert stats == plain_stats
    assert drive(selfplay(size=5, ko=ko, seed=8, **RICH))[0] != plain


def test_same_match_for_any_number_of_threads() -> None:
    plain, _ = drive(match(opening_moves=2), [hash_net, radial_net])
    assert plain == drive(match(opening_moves=2, threads=3), [hash_net, radial_net])[0]


def test_games_do_not_depend_on_slots_groups_or_order() -> None:
    """A net whose rows do not see each other gives each game the same life in any batch shape."""
    plain, _ = drive(selfplay(size=4, **RICH))
    assert drive(selfplay(size=4, **RICH), order=(1, 0))[0] == plain
    assert drive(selfplay(size=4, **(RICH | {"slots": 1, "groups": 1})))[0] == plain
    assert drive(selfplay(size=4, **(RICH | {"slots": 14, "groups": 3})))[0] == plain


def test_a_run_goes_on_from_any_game() -> None:
    whole, _ = drive(selfplay(size=4, **RICH))
    rest, _ = drive(selfplay(size=4, **(RICH | {"games": 9, "first_game": 5})))
    assert rest == whole[5:]


def test_every_started_game_is_finished_in_order_of_ids() -> None:
    records, stats = drive(selfplay(size=4, games=23, slots=7, groups=3))
    assert [decode_record(r)["game_id"] for r in records] == list(range(23))
    assert stats["games_started"] == stats["games_finished"] == 23
    games = [decode_record(r) for r in records]
    lengths = [len(game["moves"]) for game in games]
    assert stats["moves"] == sum(lengths)
    assert (stats["length_min"], stats["length_max"]) == (min(lengths), max(lengths))
    assert stats["batch_rows"] == stats["evals"] and sum(stats["batch_fill"]) == stats["batches"]
    assert stats["cut_by_cap"] == sum(game["finished"] == "move_cap" for game in games)
    settled = [game["result"] for game in games if game["settled"]]
    assert stats["black_wins"] == settled.count(1.0) and stats["white_wins"] == settled.count(0.0)
    early = [game["moves"][:8] for game in games]
    assert stats["early_passes_black"] == sum(int((moves[::2] == 16).sum()) for moves in early)
    assert stats["early_passes_white"] == sum(int((moves[1::2] == 16).sum()) for moves in early)
    assert stats["early_moves_black"] == sum(len(moves[::2]) for moves in early)


def test_more_slots_than_games() -> None:
    records, stats = drive(selfplay(size=3, games=2, slots=9, groups=4, visits=4))
    assert len(records) == 2 and stats["games_started"] == 2


def test_pairs_share_opening_and_komi_with_colours_swapped() -> None:
    records = [
        decode_record(r) for r in drive(match(opening_moves=4, komi_stdev=2.0, games=12), [hash_net, radial_net])[0]
    ]
    openings = set()
    for even, odd in zip(records[::2], records[1::2]):
        assert (even["black_player"], even["white_player"]) == (0, 1)
        assert (odd["black_player"], odd["white_player"]) == (1, 0)
        assert even["komi"] == odd["komi"] and even["komi"] % 1 == 0.5
        assert even["opening_moves"] == odd["opening_moves"] == 4
        np.testing.assert_array_equal(even["moves"][:4], odd["moves"][:4])
        assert 16 not in even["moves"][:4]
        openings.add(tuple(even["moves"][:4]))
        for record, black in ((even, 0), (odd, 1)):
            nets = dict(record["net_ranges"])
            assert nets[0] == -1 and nets[4] == black
    assert len(openings) >= 5 and len({r["komi"] for r in records}) > 1


def test_openings_from_the_policy_are_shared_and_likely() -> None:
    def centre(planes: Any) -> Any:
        logits, values = flat_net(planes)
        logits[:, 12] = 20.0  # the middle of 5x5, whatever the symmetry
        return logits, values

    config = selfplay(
        size=5, match=True, players=NET_PLAYERS, games=12, slots=5, opening_moves=3, opening_from_policy=True
    )
    records = [decode_record(r) for r in drive(config, [centre, hash_net])[0]]
    for even, odd in zip(records[::2], records[1::2]):
        np.testing.assert_array_equal(even["moves"][:3], odd["moves"][:3])
        assert even["moves"][0] == 12 and even["policy"][0] is None
    assert len({tuple(r["moves"][1:3]) for r in records}) > 3


def test_rows_are_waiting_slots_in_slot_order() -> None:
    """The first batch is the empty board for each slot; the net is asked for what its own games need."""
    pool = Pool(selfplay(size=4, games=8, slots=6, groups=2, komi_stdev=3.0))
    assert pool.collect(0) == {0: 3}
    planes = pool.planes(0, 0)
    assert planes.shape == (3, NUM_PLANES, 4, 4) and planes.dtype == np.float32
    assert pool.collect(1) == {0: 3}
    for group in (0, 1):
        for row, game_id in enumerate(range(group, 6, 2)):
            # Komi is drawn per game: the same id alone in a pool shows the same planes.
            alone = Pool(selfplay(size=4, games=1, first_game=game_id, slots=1, groups=1, komi_stdev=3.0))
            alone.collect(0)
            np.testing.assert_array_equal(pool.planes(group, 0)[row], alone.planes(0, 0)[0])


def test_match_asks_each_net_for_its_own_moves() -> None:
    pool = Pool(match(games=4, slots=4, groups=1))
    assert pool.collect(0) == {0: 2, 1: 2}
    game = gocore.Game(4, gocore.Rules(komi=3.5))
    for net in (0, 1):
        np.testing.assert_array_equal(pool.planes(0, net)[0], encode(game))
    pool.supply(0, 1, *hash_net(pool.planes(0, 1)))
    with pytest.raises(ValueError, match="net 0"):
        pool.collect(0)


def test_random_players_need_no_net() -> None:
    players = [{"kind": "random"}, {"kind": "random"}]
    pool = Pool(match(players=players, games=40, slots=8) | {"size": 5})
    assert not any(pool.collect(group) for group in (0, 1))
    assert pool.done()
    records = [decode_record(r) for r in pool.take_records()]
    assert len(records) == 40 and not any(p is not None for r in records for p in r["policy"])
    assert pool.take_records() == []


def test_temperature_zero_plays_the_most_visited_move() -> None:
    for data in drive(selfplay(size=4, visits=20))[0]:
        record = decode_record(data)
        for move, policy in zip(record["moves"], record["policy"]):
            assert policy is not None and policy[move] == policy.max()


def test_temperature_draws_in_proportion_to_visits() -> None:
    config = selfplay(size=3, games=2000, slots=500, visits=8, temperature_moves=1, temperature=1.0, move_cap=1)
    records = [decode_record(r) for r in drive(config, [flat_net])[0]]
    expected = np.mean([r["policy"][0] for r in records], axis=0)
    played = np.bincount([int(r["moves"][0]) for r in records], minlength=10) / len(records)
    np.testing.assert_allclose(played, expected, atol=0.04)


def test_one_visit_plays_the_raw_policy() -> None:
    def corner(planes: Any) -> Any:
        logits, values = flat_net(planes)
        logits[:, -1] = 9.0
        return logits, values

    record = decode_record(drive(selfplay(size=4, games=1, slots=1, groups=1, visits=1), [corner])[0][0])
    assert list(record["moves"]) == [16, 16] and record["policy"] == [None, None]


def test_games_cut_by_the_cap_are_unsettled() -> None:
    records, stats = drive(selfplay(size=4, games=3, move_cap=5))
    assert stats["cut_by_cap"] > 0
    for record in map(decode_record, records):
        if record["finished"] == "move_cap":
            assert len(record["moves"]) == 5 and not record["settled"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slotz": 3}, "slotz: unknown key"),
        ({"size": 20}, "size"),
        ({"size": "9"}, "size"),
        ({"size": True}, "size"),
        ({"size": 4.5}, "size"),
        ({"komi": float("nan")}, "komi"),
        ({"ko": "super"}, "ko"),
        ({"suicide": 1}, "suicide"),
        ({"games": 0}, "games"),
        ({"games": 10**30}, "games"),
        ({"first_game": -1}, "first_game"),
        ({"slots": 0}, "slots"),
        ({"groups": 9}, "groups"),
        ({"threads": 0}, "threads"),
        ({"seed": -1}, "seed"),
        ({"move_cap": 0}, "move_cap"),
        ({"opening_moves": 99}, "opening_moves"),
        ({"temperature": -1}, "temperature"),
        ({"temperature_moves": 2**31 - 1}, "temperature_moves: must be 0 to 1000000"),
        ({"match": True}, "players"),
        ({"players": []}, "players"),
        ({"players": [3]}, r"players\[0\]"),
        ({"players": [{"visits": 3}]}, r"players\[0\].kind: is missing"),
        ({"players": [{"kind": "human"}]}, r"players\[0\].kind"),
        ({"players": [{"kind": "net", "visits": 0}]}, r"players\[0\].visits"),
        ({"players": [{"kind": "net", "visits": 10**7 + 1}]}, r"players\[0\].visits: must be 1 to 10\^7"),
        ({"players": [{"kind": "net", "vists": 3}]}, r"players\[0\].vists: unknown key"),
        ({"players": [{"kind": "net", "full_probability": 0.5}]}, r"players\[0\].cheap_visits"),
        ({"players": [{"kind": "net", "c_puct": float("inf")}]}, r"players\[0\].c_puct"),
        ({"players": NET_PLAYERS, "match": True, "games": 3}, "games: must be even"),
    ],
)
def test_bad_configuration_names_the_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pool(selfplay() | change)


def test_games_without_result_are_told_and_teach_no_result() -> None:
    def never_passes(planes_BCSS: FloatArray) -> tuple[FloatArray, FloatArray]:
        logits, values = hash_net(planes_BCSS)
        logits[:, -1] = -60
        return logits, values

    config = selfplay(
        size=2,
        games=20,
        slots=10,
        ko="simple",
        suicide=True,
        visits=3,
        prune_pass_alive=False,
        temperature_moves=400,
        temperature=20.0,
        move_cap=400,
    )
    records, stats = drive(config, [never_passes])
    games = [decode_record(record) for record in records]
    void = [game for game in games if game["no_result"]]
    assert 0 < len(void) == stats["no_results"] < 20
    assert all(game["finished"] == "no_result" and not game["settled"] and game["result"] == 0.5 for game in void)
    window = Replay(2)
    for record, game in zip(records, games):
        if game["no_result"]:
            window.add(record)
    batch = window.sample(32, 0, 0)
    assert not batch["value_weight"].any() and batch["policy_weight"].all()


@pytest.mark.parametrize("key", ["size", "games", "slots", "players"])
def test_missing_keys_are_named(key: str) -> None:
    config = selfplay()
    del config[key]
    with pytest.raises(ValueError, match=f"{key}: is missing"):
        Pool(config)


def test_bad_evaluations_are_refused_and_the_pool_goes_on() -> None:
    pool = Pool(selfplay(size=4, games=2, slots=2, groups=1))
    pool.collect(0)
    logits, value = hash_net(pool.planes(0, 0))
    nan = np.full_like(logits, np.nan)
    for bad in (
        lambda: pool.supply(0, 0, nan, value),
        lambda: pool.supply(0, 0, np.where(logits == logits.max(), np.inf, logits).astype(np.float32), value),
        lambda: pool.supply(0, 0, logits, value + 1),
        lambda: pool.supply(0, 0, logits, np.full_like(value, np.nan)),
        lambda: pool.supply(0, 0, logits[:1], value),
        lambda: pool.supply(0, 0, logits[:, :-1], value),
        lambda: pool.supply(0, 0, logits, value, value[:1]),
        lambda: pool.supply(0, 0, logits, value, np.full_like(value, np.inf)),
        lambda: pool.supply(0, 1, logits, value),
        lambda: pool.supply(1, 0, logits, value),
        lambda: pool.planes(0, 3),
        lambda: pool.collect(2),
        lambda: pool.collect(0),
    ):
        with pytest.raises(ValueError):
            bad()
    pool.supply(0, 0, logits, value, value)
    with pytest.raises(ValueError):
        pool.supply(0, 0, logits, value)
    assert pool.collect(0) == {0: 2}
