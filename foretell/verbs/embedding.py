"""The work behind ``foretell embed``, and how an encoder is opened with the images it is to see."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.encoders import load_encoder
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.errors import InputError
from foretell.options import Overrides
from foretell.recipe import DataConfig, Recipe
from foretell.report import build as build_report
from foretell.run import Run, write_aside
from foretell.train.machine import named_device
from foretell.transfer.images.features import extract
from foretell.verbs import common, kept_split, text_transfer
from foretell.verbs.progress import counting, say
from foretell.views.config import ViewConfig

Features = NDArray[np.float32]
SUFFIXES = (".npz", ".npy", ".parquet")


def opened(
    place: Path, data: str | Path | None, device: str, overrides: Overrides = ()
) -> tuple[TimmEncoder, dict[str, Any], ImageStore, DataConfig, Run | None]:
    """(encoder, how images enter it, images, how these were read, the run when the images are its own)."""
    if (place / "recipe.toml").is_file():
        read = common.read_run(place)
        read.recipe = Recipe.load(read.run.path / "recipe.toml", {}, overrides)
        encoder, facts = read.encoder, read.facts
        chosen = common.data_for(read, data, overrides=overrides)
        run: Run | None = read.run
    else:
        encoder, facts = load_encoder(place)
        if data is None:
            raise InputError(f"{place}: is an encoder without a run, so it has no images of its own; give DATA")
        given = Recipe.load(None, common.as_kept(facts), common.data_overrides(overrides)).data
        chosen = given.model_copy(update={"source": common.absolute(str(data)), "channels": encoder.channels})
        run = None
    store = common.open_data(chosen)
    if store.unreadable:
        say(f"data: {store.source}, {len(store):,} images")
        common.tell_unreadable(store)
    if run is not None:
        kept = kept_split.read(run.path)
        run = run if kept is not None and kept.fingerprint == store.fingerprint else None
    encoder.to(named_device(device))
    return encoder, facts, store, chosen, run


def features_of(
    encoder: TimmEncoder,
    facts: dict[str, Any],
    store: ImageStore,
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Pooled features (N, D) of all images of ``store``, which enter as ``facts`` say (``load_encoder``)."""
    return extract(encoder, store, None, ViewConfig().entering(facts), crop=facts["crop"], progress=progress)


def embed(place: Path, data: str | Path | None, out: Path | None, device: str, overrides: Overrides = ()) -> Features:
    """See ``foretell.verbs.embed``."""
    if out is not None and out.suffix not in SUFFIXES:
        raise InputError(f"{out}: unknown suffix '{out.suffix}'; expected one of {', '.join(SUFFIXES)}")
    if text_transfer.reads_text(place):
        return _embed_text(place, data, out, device, overrides)
    encoder, facts, store, _, run = opened(place, data, device, overrides)
    if out is None:
        out = (run.path if run is not None else Path()) / "features.npz"
    common.make_place(out)
    features = features_of(encoder, facts, store, counting("embedding"))
    write_aside(out, _packed(features, store.names, store.table, out.suffix))
    print(f"features: {out} ({features.shape[0]:,} images, {features.shape[1]} dimensions)")
    if store.unreadable and out.suffix == ".npy":
        print("  its rows are those of the images that could be read; an .npz or .parquet has their paths, too")
    if run is not None:
        held = Run.resume(run.path)
        try:
            from foretell.report.exhibits import write_map

            codes, classes = store.table.codes("label") if "label" in store.table else (None, None)
            if len(features) >= 3:
                write_map(held, features, codes, classes, names=store.names)
        finally:
            held.close()
        print(f"report: {build_report(run.path)}")
    return features


def _embed_text(place: Path, data: str | Path | None, out: Path | None, device: str, overrides: Overrides) -> Features:
    if out is None:
        out = (place if text_transfer.is_own(place, data) else Path()) / "features.npz"
    common.make_place(out)
    features, names, table, cut = text_transfer.embed(place, data, device, overrides)
    write_aside(out, _packed(features, names, table, out.suffix))
    print(f"features: {out} ({features.shape[0]:,} documents, {features.shape[1]} dimensions)")
    if cut:
        print(f"  {cut:,} documents were longer than the positions of the network and are cut")
    return features


def _packed(features: Features, names: list[str], table: Table, suffix: str) -> bytes:
    buffer = io.BytesIO()
    known = {name: table.column(name) for name in ("label", "group", "domain", "split") if name in table}
    if suffix == ".npy":
        np.save(buffer, features)
    elif suffix == ".npz":
        texts = {name: np.array([value or "" for value in values]) for name, values in known.items()}
        np.savez(buffer, features=features, path=np.array(names), **texts)  # type: ignore[arg-type]
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        flat = pa.array(features.reshape(-1))
        cells = {"path": list[str | None](names), **known}
        columns = {name: pa.array([_utf8(value) for value in values]) for name, values in cells.items()}
        columns["features"] = pa.FixedSizeListArray.from_arrays(flat, features.shape[1])
        pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _utf8(text: str | None) -> str | None:
    """``text`` with the bytes of a file's name that are no UTF-8 escaped."""
    return None if text is None else text.encode(errors="backslashreplace").decode()
