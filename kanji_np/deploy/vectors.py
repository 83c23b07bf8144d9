"""Writes what every layer must compute, as C, for checks on a board of one's own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from kanji_np import model, outputs, schema
from kanji_np.data import Dataset
from kanji_np.deploy.contents import MODEL
from kanji_np.deploy.cwriter import program, table
from kanji_np.deploy.project import images_of, read_manifest
from kanji_np.errors import FileFormatError, OptionError

KIND = "kanji_np vectors"

HEADER = """\
/* What every layer of {name} must compute for {images} image(s), by the golden model.
 *
 * model      {digest}
 *
 * Compile the network with -D{upper}_OBSERVE, run image number `image` of these, and
 * compare in the function that is called after each layer:
 *
 *     void {name}_observe(int32_t layer, const int8_t *data, int32_t bytes)
 *     {{
 *         const {name}_vector_t *const golden = &{name}_vectors[layer - 1];
 *
 *         if (memcmp(data, &golden->outputs[image * bytes], (size_t)bytes) != 0)
 *         {{
 *             printf("layer %d (%s) differs\\n", (int)golden->layer, golden->name);
 *         }}
 *     }}
 */
#ifndef {upper}_VECTORS_H
#define {upper}_VECTORS_H

#include <stdint.h>

#define {upper}_VECTORS_IMAGES {images}
#define {upper}_VECTORS_LAYERS {layers}

typedef struct
{{
    int32_t layer;         /* its number, from 1 */
    int32_t bytes;         /* of its output for one image */
    const char *name;
    const int8_t *outputs; /* of all images, one after the other */
}} {name}_vector_t;

/* The images, one after the other. */
extern const {input_type} {name}_vectors_input[{input_bytes}];

/* Layer n is at n - 1. */
extern const {name}_vector_t {name}_vectors[{layers}];

#endif
"""


def vectors(
    directory: str | Path,
    images: np.ndarray | Dataset,
    out: str | Path,
    *,
    count: int = 1,
) -> tuple[Path, ...]:
    """Write images and every layer's golden output for them.

    `NAME_vectors.h` and `NAME_vectors.c` hold them as constant arrays with each layer's
    number and name; `NAME_vectors.npz` holds the same arrays: "input" and
    "NUMBER_LAYER", (count, ...).

    Parameters
    ----------
    directory : path
        What `export` wrote.
    images : uint8, int8 or floating (N, *input shape), or Dataset
        The first `count` are taken.
    out : path
        Directory for the three files, which are replaced if they are as they were
        written; `NAME_vectors.json` says how.
    count : int

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    FileFormatError
        The directory is not an export.
    ShapeError, DataError
        `images` do not fit the network.
    OptionError
        Other files are in the places of the three.
    """
    directory, out = Path(directory), Path(out)
    read_manifest(directory)
    graph = model.load(directory / MODEL).freeze()
    images = images_of(images, graph)[:count]
    name, c_names = graph.name, program(graph).names
    files = tuple(f"{name}_vectors.{end}" for end in ("h", "c", "npz"))
    manifest = f"{name}_vectors.json"
    known = _known(out / manifest)
    outputs.check_set(out, dict.fromkeys(files, b""), known)
    golden = list(graph.layers(images))
    header = HEADER.format(
        name=name,
        upper=name.upper(),
        images=len(images),
        layers=len(golden),
        digest=graph.digest(),
        input_type=f"{images.dtype}_t",
        input_bytes=images.size,
    )
    kind = f"const {images.dtype}_t"
    tables = [table(f"{kind} {name}_vectors_input[{images.size}]", images)]
    rows: list[str] = []
    arrays: dict[str, Any] = {"input": images}
    layers = zip(graph.nodes, c_names, golden, strict=True)
    for i, (node, c_name, y) in enumerate(layers, 1):
        tables.append(table(f"static const int8_t {c_name}_outputs[{y.size}]", y))
        text = json.dumps(node.name)
        rows.append(f"    {{{i}, {node.output.size}, {text}, {c_name}_outputs}},\n")
        arrays[f"{i}_{node.name}"] = y
    include = f'#include "{name}_vectors.h"\n'
    index = f"const {name}_vector_t {name}_vectors[{len(rows)}] = {{\n"
    source = "\n".join([include, *tables, f"{index}{''.join(rows)}}};\n"])

    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    content = (header.encode(), source.encode(), file.getvalue())
    with outputs.lock(out):
        new = dict(zip(files, content, strict=True))
        outputs.write_set(out, manifest, {"kind": KIND}, new, known)
    return tuple(out / name for name in files)


def _known(manifest: Path) -> dict[str, tuple[str, ...]]:
    """The files that were written before; OptionError if the manifest is another's."""
    outputs.check_place(manifest)
    if not manifest.exists():
        return {}
    rule = schema.record({"kind": schema.one_of((KIND,)), "files": outputs.known_files})
    try:
        content = schema.read(manifest, rule, "not of `kanji-np vectors`")
        return outputs.without(content["files"], manifest.name)
    except FileFormatError:
        raise OptionError(
            f"{manifest}: is there and is not of `kanji-np vectors`: move it away, or "
            "choose another directory"
        ) from None
