"""The work behind ``foretell embed`` and ``foretell neighbours``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.data.build import convert
from foretell.data.outside import read_outside
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.encoders import load_encoder
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.errors import InputError
from foretell.options import Overrides
from foretell.recipe import DataConfig, Recipe
from foretell.report import build as build_report
from foretell.report.exhibits import fitted, neighbours_grid, write_neighbours
from foretell.run import Run, write_aside
from foretell.train.machine import named_device
from foretell.transfer.images.features import extract
from foretell.transfer.measures.knn import nearest
from foretell.verbs import common, kept_split, text_transfer

Features = NDArray[np.float32]
SUFFIXES = (".npz", ".npy", ".parquet")
PICTURE = ".png"


def _open(
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
    if run is not None:
        kept = kept_split.read(run.path)
        run = run if kept is not None and kept.fingerprint == store.fingerprint else None
    encoder.to(named_device(device))
    return encoder, facts, store, chosen, run


def _features(encoder: TimmEncoder, facts: dict[str, Any], store: ImageStore) -> Features:
    return extract(
        encoder, store, side=facts["side"], mean=facts["mean"], std=facts["std"], crop=facts["crop"],
        progress=common.counting("embedding"),
    )  # fmt: skip


def embed(place: Path, data: str | Path | None, out: Path | None, device: str, overrides: Overrides = ()) -> Features:
    """See ``foretell.verbs.embed``."""
    if out is not None and out.suffix not in SUFFIXES:
        raise InputError(f"{out}: unknown suffix '{out.suffix}'; expected one of {', '.join(SUFFIXES)}")
    if text_transfer.reads_text(place):
        return _embed_text(place, data, out, device, overrides)
    encoder, facts, store, _, run = _open(place, data, device, overrides)
    if out is None:
        out = (run.path if run is not None else Path()) / "features.npz"
    common.make_place(out)
    features = _features(encoder, facts, store)
    write_aside(out, _packed(features, store.names, store.table, out.suffix))
    print(f"features: {out} ({features.shape[0]:,} images, {features.shape[1]} dimensions)")
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
        out = (place if (place / "recipe.toml").is_file() else Path()) / "features.npz"
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


def neighbours(
    place: Path, image: str | Path | None, k: int, data: str | Path | None, out: Path | None, device: str
) -> list[dict[str, Any]]:
    """See ``foretell.verbs.neighbours``."""
    if k < 1:
        raise InputError(f"--k {k}: expected at least 1 neighbour")
    encoder, facts, store, chosen, run = _open(place, data, device)
    if out is not None and out.suffix.lower() != PICTURE:
        raise InputError(
            f"{out}: unknown suffix '{out.suffix}'; expected {PICTURE}, for the pictures of the neighbours"
        )
    if out is not None:
        common.make_place(out)
    asked, pictures, own = _query(image, encoder, facts, store, chosen)
    if asked is None and run is None and out is None:
        raise InputError("--out is missing: where to write the pictures of the neighbours in other data")
    features = _features(encoder, facts, store)
    if asked is None:
        rows = np.sort(np.random.default_rng(0).permutation(len(store))[:10])
        asked, own = features[rows], torch.from_numpy(rows.astype(np.int64))
        pictures = [store.image(int(row)) for row in rows]
    index, similarity = nearest(asked, features, min(k, len(store) - (own is not None)), exclude=own)
    labels = store.table.column("label") if "label" in store.table else [None] * len(store)
    queries = [str(image)] if own is None else [store.names[int(row)] for row in own]
    answer = [
        {
            "query": query,
            "neighbours": [
                {"name": store.names[j], "similarity": float(value), "label": labels[j]}
                for j, value in zip(row.tolist(), values.tolist(), strict=True)
            ],
        }
        for query, row, values in zip(queries, index, similarity, strict=True)
    ]
    for query, row, values in zip(queries, index, similarity, strict=True):
        print(query)
        for j, value in zip(row.tolist(), values.tolist(), strict=True):
            told = f"  ({labels[j]})" if labels[j] is not None else ""
            print(f"  {value:.3f}  {store.names[j]}{told}")
    if image is None and out is None and run is not None:
        held = Run.resume(run.path)
        try:
            codes = store.table.codes("label")[0] if "label" in store.table else None
            write_neighbours(held, store, features, codes, k=k)
        finally:
            held.close()
        print(f"pictures: {run.path / 'exhibits' / 'neighbours.png'}")
        print(f"report: {build_report(run.path)}")
    elif out is not None:
        side = min(96, facts["side"])
        shown = torch.stack([fitted(picture, side) for picture in pictures])
        others = torch.stack([torch.stack([fitted(store.image(int(j)), side) for j in row]) for row in index])
        same = None
        if own is not None and "label" in store.table:
            same = torch.tensor(
                [[labels[int(j)] == labels[int(q)] for j in row] for q, row in zip(own, index, strict=True)]
            )
        neighbours_grid(shown, others, same, out, scale=max(1, round(72 / side)))
        print(f"pictures: {out}")
    return answer


def _query(
    image: str | Path | None, encoder: TimmEncoder, facts: dict[str, Any], store: ImageStore, data: DataConfig
) -> tuple[Features | None, list[Any], torch.Tensor | None]:
    """(features (1, D), picture, its row in the store or None) of the image asked for; (None, [], None) for none."""
    if image is None:
        return None, [], None
    name = str(image)
    if name in store.names:
        row = store.names.index(name)
        one, own = store.subset([row]), torch.tensor([row])
    elif Path(name).exists():
        known = store.scale if data.scale is None else data.scale
        pixels, scale = read_outside(Path(name), max(512, facts["side"]), data.medical.window, known)
        if pixels.shape[2] < encoder.channels and pixels.shape[2] != 1:
            raise InputError(f"{name}: has {pixels.shape[2]} channels, the encoder takes {encoder.channels}")
        planes = convert(pixels.transpose(2, 0, 1), encoder.channels, pixels.dtype.itemsize, scale)
        one, own = ImageStore.of([planes.transpose(1, 2, 0)], source=name), None
    else:
        import difflib

        near = difflib.get_close_matches(name, store.names, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise InputError(f"{name}: neither a file nor an image of {store.source}{hint}")
    features = extract(encoder, one, side=facts["side"], mean=facts["mean"], std=facts["std"], crop=facts["crop"])
    return features, [one.image(0)], own
