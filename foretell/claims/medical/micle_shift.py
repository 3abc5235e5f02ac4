"""On images of another camera, with no training on them, pretrained encoders lose less than one trained from scratch."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import micle
from foretell.claims.medical.micle import mean
from foretell.claims.medical.units import RESPLIT
from foretell.transfer.images.shift import PREFIX

CASES = (4,)
ARMS = {"scratch": "scratch", "simclr": "SimCLR", "micle": "MICLe after SimCLR"}


class MICLeShift(Claim):
    name = "micle-shift"
    statement = "From its own domain to another, with no training there, accuracy drops less after pretraining than from scratch."
    source = (
        "Azizi et al. 2021 (arXiv 2101.05224), section 4.3: self-supervised models generalise better to other clinics"
    )
    data = f"{micle.WHERE}; test units once more by a camera with a warm cast, little contrast and soft focus"
    minutes = 8.0
    resplit = RESPLIT

    def work(self, lab: Lab) -> list[Finding]:
        measured = [self._measure(lab, seed) for seed in self.seeds]

        def of(arm: str, name: str) -> list[float]:
            return [one[arm][name] for one in measured]

        for arm, title in ARMS.items():
            home, away = mean(of(arm, "home")), mean(of(arm, "away"))
            self.notes.append(
                f"{title}: top-1 of cases {home:.1f} at home, {away:.1f} by the other camera ({100 * away / home:.0f}% kept)"
            )
        for arm in ("simclr", "micle"):
            gained = {where: mean(of(arm, where)) - mean(of("scratch", where)) for where in ("home", "away")}
            self.notes.append(
                f"gain of {ARMS[arm]} over scratch: {gained['home']:+.1f} points at home, {gained['away']:+.1f} by the other camera"
            )
        self.notes.append(
            f"fine-tuned on {CASES[0]} cases a class; the settings were chosen on training cases of the first camera"
        )
        self.notes.append(micle.pace())
        return [
            Finding(f"drop of scratch over drop of {ARMS[arm]}", "above", of("scratch", "drop"), of(arm, "drop"))
            for arm in ("simclr", "micle")
        ] + [
            Finding(f"by the other camera, {ARMS[arm]} over scratch", "above", of(arm, "away"), of("scratch", "away"))
            for arm in ("simclr", "micle")
        ]

    def _measure(self, lab: Lab, seed: int) -> dict[str, dict[str, float]]:
        """Arm -> {"home", "away", "drop"} in points."""
        rows = {
            "simclr": micle.compared(lab, seed, "simclr", ("pretrained", "scratch"), CASES, shifted=True),
            "micle": micle.compared(lab, seed, "micle", ("pretrained",), CASES, shifted=True),
        }
        found = {}
        for arm in ARMS:
            own, way = (rows["simclr"], "scratch") if arm == "scratch" else (rows[arm], "pretrained")
            home, away = (micle.accuracy(own, way, CASES[0], f"{before}accuracy") for before in ("", PREFIX))
            found[arm] = {"home": home, "away": away, "drop": home - away}
        return found
