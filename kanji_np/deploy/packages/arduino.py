"""Arduino: a library for the IDE, arduino-cli and everything that builds sketches.

References
----------
Arduino library specification, revision 1.5: library.properties, src/, examples/,
keywords.txt. Only `src` itself is searched for headers, and no macro can be given, so
kernels lie beside the network, and `kanji_config.h` holds the macros.
"""

from __future__ import annotations

from kanji_np.deploy.layout import Layout
from kanji_np.deploy.packages import example
from kanji_np.deploy.packages.package import VERSION, Package, Packed
from kanji_np.errors import OptionError

MOST_NAME = 63

PROPERTIES = f"""\
name=$name
version={VERSION}
author=kanji-np
maintainer=kanji-np
sentence=$title
paragraph=Model $digest. $macs multiply-accumulates an inference, \
$const_bytes bytes of flash for tables, $arena_bytes bytes of RAM.
category=Data Processing
url=https://www.arduino.cc/reference/en/libraries/
architectures=*
includes=$name.h
dot_a_linkage=true
"""

KEYWORDS = """\
${name}_run\tKEYWORD2
${name}_check\tKEYWORD2
${NAME}_INPUT_BYTES\tLITERAL1
${NAME}_OUTPUT_BYTES\tLITERAL1
${NAME}_ARENA_BYTES\tLITERAL1
"""

README = """\
## In the Arduino IDE

Put this folder into `libraries` in your sketchbook, or zip it and choose Sketch >
Include Library > Add .ZIP Library. Then open File > Examples > $name > Classify, or in
a shell:

    arduino-cli compile --fqbn arduino:mbed_nano:nano33ble \\
        --libraries .. examples/Classify

Boards need a 32-bit processor. The library is linked as an archive
(`dot_a_linkage=true`), so two exported networks in one sketch share their kernels.
"""


def check(packed: Packed) -> None:
    if len(packed.name) > MOST_NAME:
        raise OptionError(
            f"an Arduino library's name has at most {MOST_NAME} characters, "
            f"{packed.name[:20]}... has {len(packed.name)}"
        )
    if packed.macros:
        raise OptionError(
            f"Arduino gives no macros to a library, and CMSIS-NN needs "
            f"{packed.macros[0]} for rounding "
            f"{packed.program.graph.target.rounding!r}: export with library ccore"
        )


ARDUINO = Package(
    title="Arduino",
    layout=Layout(header="src", code="src/$name", example="examples/Classify"),
    files={
        "library.properties": PROPERTIES,
        "keywords.txt": KEYWORDS,
        "examples/Classify/Classify.ino": example.SKETCH,
    },
    readme=README,
    copies_library=True,
    check=check,
)
