"""On images of another camera, with no training on them, pretrained encoders lose less than one trained from scratch."""

from __future__ import annotations

from typing import Any

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import micle
from foretell.claims.medical.micle import mean
from foretell.claims.medical.micle_cases import cases
from foretell.claims.medical.micle_crossing import MORE
from foretell.claims.medical.units import RESPLIT, STRENGTH
from foretell.transfer.images.shift import PREFIX

PRETRAINED = ("simclr", "micle")
ARMS = {"scratch": "scratch", "simclr": "SimCLR", "micle": "MICLe after SimCLR"}


class MICLeShift(Claim):
    name = "micle-shift"
    statement = "From its own domain to another, with no training there, accuracy drops less after pretraining than from scratch."
    source = (
        "Azizi et al. 2021 (arXiv 2101.05224), section 4.3: self-supervised models generalise better to other clinics"
    )
    data = f"{micle.WHERE}; test units once more by a camera with a warm cast, less contrast and softer focus"
    minutes = 16.0
    resplit = RESPLIT

    def work(self, lab: Lab) -> list[Finding]:
        rows = [self._rows(lab, seed) for seed in self.seeds]

        def of(arm: str, per_class: int | None, where: str) -> list[float]:
            return [points(own[arm], arm, per_class)[where] for own in rows]

        for n in MORE:
            for arm, title in ARMS.items():
                home, away = mean(of(arm, n, "home")), mean(of(arm, n, "away"))
                self.notes.append(
                    f"{title}, {labelled(n)}: top-1 of cases {home:.1f} at home, {away:.1f} by the other camera "
                    f"({100 * away / home:.0f}% kept)"
                )
            for arm in PRETRAINED:
                gained = {where: mean(of(arm, n, where)) - mean(of("scratch", n, where)) for where in ("home", "away")}
                self.notes.append(
                    f"gain of {ARMS[arm]} over scratch, {labelled(n)}: {gained['home']:+.1f} points at home, "
                    f"{gained['away']:+.1f} by the other camera"
                )
        self.notes.append(
            f"the other camera at a strength of {STRENGTH:g} of 1, chosen on training cases held back so that scratch keeps two thirds "
            "of its accuracy; at full strength every arm was near chance"
        )
        self.notes.append(micle.tuning())
        found = []
        for n in MORE:
            found += [
                Finding(
                    f"drop of scratch over drop of {ARMS[arm]}, {labelled(n)}",
                    "above",
                    of("scratch", n, "drop"),
                    of(arm, n, "drop"),
                )
                for arm in PRETRAINED
            ]
            found += [
                Finding(
                    f"by the other camera, {ARMS[arm]} over scratch, {labelled(n)}",
                    "above",
                    of(arm, n, "away"),
                    of("scratch", n, "away"),
                )
                for arm in PRETRAINED
            ]
        return found

    @staticmethod
    def _rows(lab: Lab, seed: int) -> dict[str, list[dict[str, Any]]]:
        """Arm -> the rows that it is in: scratch beside SimCLR."""
        ours = micle.compared(lab, seed, "simclr", ("pretrained", "scratch"), MORE, shifted=True)
        return {
            "scratch": ours,
            "simclr": ours,
            "micle": micle.compared(lab, seed, "micle", ("pretrained",), MORE, shifted=True),
        }


def points(rows: list[dict[str, Any]], arm: str, per_class: int | None) -> dict[str, float]:
    """Top-1 in percent {"home", "away"}, and the "drop" between them in points."""
    way = "scratch" if arm == "scratch" else "pretrained"
    home, away = (micle.accuracy(rows, way, per_class, f"{before}accuracy") for before in ("", PREFIX))
    return {"home": home, "away": away, "drop": home - away}


def labelled(per_class: int | None) -> str:
    """A number of labelled cases in words."""
    return "all cases" if per_class is None else cases(per_class)
