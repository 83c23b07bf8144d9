"""PlatformIO: a library for any framework, and an example project.

References
----------
PlatformIO library.json manifest: build.srcDir, build.includeDir, build.flags, examples.
"""

from __future__ import annotations

import json

from kanji_np.deploy.layout import Layout
from kanji_np.deploy.packages import example
from kanji_np.deploy.packages.package import VERSION, Package, Packed, Words

LIBRARY = f"""\
{{
  "name": "$name",
  "version": "{VERSION}",
  "description": "$title Model $digest.",
  "keywords": ["neural network", "int8", "microcontroller"],
  "authors": {{"name": "kanji-np"}},
  "frameworks": "*",
  "platforms": "*",
  "headers": "$name.h",
  "build": {{
    "srcDir": "src",
    "includeDir": "include",
    "flags": $flags
  }},
  "examples": [
    {{
      "name": "classify",
      "base": "examples/classify",
      "files": ["platformio.ini", "src/main.c", "src/main.cpp"]
    }}
  ],
  "export": {{"exclude": ["firmware.json", "model.npz"]}}
}}
"""

PROJECT = """\
; pio run -e native -t exec            builds and runs on this computer
; pio run -e nucleo_f446re -t upload   prints over the board's serial port
;
; Other boards: copy the last part and change platform and board.

[platformio]
default_envs = native

[env]
lib_deps = $name=symlink://../..

[env:native]
platform = native
build_src_filter = +<*> -<main.cpp>

[env:nucleo_f446re]
platform = ststm32
board = nucleo_f446re
framework = arduino
monitor_speed = 115200
build_src_filter = +<*> -<main.c>

[env:esp32dev]
platform = espressif32
board = esp32dev
framework = arduino
monitor_speed = 115200
build_src_filter = +<*> -<main.c>
"""

README = """\
## With PlatformIO

Put this folder into `lib` of your project, or name it in `platformio.ini`:

    lib_deps = $name=symlink:///path/to/this/folder

The example runs on this computer and on boards:

    pio run -d examples/classify -e native -t exec
    pio run -d examples/classify -e nucleo_f446re -t upload -t monitor

A library is linked as an archive, so two exported networks in one project share their
kernels; do not set `lib_archive = no`.
"""


def words(packed: Packed) -> Words:
    return {"flags": json.dumps([f"-D{macro}" for macro in packed.macros])}


PLATFORMIO = Package(
    title="PlatformIO",
    layout=Layout(header="include", code="src", example="examples/classify/src"),
    files={
        "library.json": LIBRARY,
        "examples/classify/platformio.ini": PROJECT,
        "examples/classify/src/main.c": example.MAIN_C,
        "examples/classify/src/main.cpp": example.SKETCH,
    },
    entry=example.MAIN,
    readme=README,
    copies_library=True,
    words=words,
)
