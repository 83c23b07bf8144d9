"""CMSIS-Pack: a software component for uVision, csolution, IAR and MPLAB.

Components are compiled into a project one by one, not linked as archives. So kernels of
the package's own are private to the network. CMSIS-NN is the component of Arm's pack.

References
----------
Open-CMSIS-Pack specification 1.7, PACK.xsd: conditions, components, files.
"""

from __future__ import annotations

from kanji_np.deploy.layout import Layout
from kanji_np.deploy.packages import example
from kanji_np.deploy.packages.package import VERSION, Package, Packed, Words

VENDOR = "kanji_np"
SCHEMA = "1.7.7"

PDSC = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<package schemaVersion="{SCHEMA}" xmlns:xs="http://www.w3.org/2001/XMLSchema-instance"
         xs:noNamespaceSchemaLocation="PACK.xsd">
  <vendor>{VENDOR}</vendor>
  <name>$name</name>
  <description>$title</description>
  <url></url>
  <releases>
    <release version="{VERSION}">Model $digest</release>
  </releases>
  <keywords>
    <keyword>neural network</keyword>
  </keywords>
  <conditions>
    <condition id="Cortex-M">
${{cores}}\
${{requires}}\
    </condition>
  </conditions>
  <components>
    <component Cclass="Machine Learning" Cgroup="Network" Csub="$name"
               Cversion="{VERSION}" condition="Cortex-M">
      <description>$title</description>
      <RTE_Components_h>
        #define RTE_ML_NETWORK_${{NAME}}
      </RTE_Components_h>
${{global_macros}}\
      <files>
        <file category="doc" name="README.md"/>
        <file category="include" name="include/"/>
        <file category="header" name="include/$name.h"/>
$listed
        <file category="sourceC" name="example/main.c" attr="template"
              select="Example: classify"/>
        <file category="sourceC" name="example/cycles.c" attr="template"
              select="Example: classify"/>
        <file category="header" name="example/cycles.h" attr="template"
              select="Example: classify"/>
        <file category="header" name="example/golden.h" attr="template"
              select="Example: classify"/>
      </files>
    </component>
  </components>
</package>
"""

GLOBAL_MACROS = """\
      <Pre_Include_Global_h>
${defined}\
      </Pre_Include_Global_h>
"""

CORES = (
    "Cortex-M0", "Cortex-M0+", "Cortex-M1", "Cortex-M3", "Cortex-M4", "Cortex-M7",
    "Cortex-M23", "Cortex-M33", "Cortex-M35P", "Cortex-M52", "Cortex-M55", "Cortex-M85",
)  # fmt: skip

README = f"""\
## As a CMSIS pack

`{VENDOR}.$name.pdsc` describes the pack, which is a zip of this folder:

    zip -r {VENDOR}.$name.{VERSION}.pack *.pdsc README.md include src example

Install it with `cpackget add {VENDOR}.$name.{VERSION}.pack` or the pack manager of your
IDE. In a `cproject.yml`:

    packs:
      - pack: {VENDOR}::$name@{VERSION}
    components:
      - component: {VENDOR}::Machine Learning:Network:$name

The component has the example as a user code template. Start-up code must set a stack,
and `printf` must have a place to go.
"""


def words(packed: Packed) -> Words:
    cmsis_nn = packed.library == "cmsis-nn"
    defined = "".join(f"        #define {macro}\n" for macro in packed.macros)
    return {
        "listed": packed.listed(
            '        <file category="sourceC" name="{}"/>\n'
        ).rstrip("\n"),
        "cores": "".join(f'      <accept Dcore="{core}"/>\n' for core in CORES),
        "requires": '      <require Cclass="CMSIS" Cgroup="NN Lib"/>\n'
        if cmsis_nn
        else "",
        "global_macros": GLOBAL_MACROS.replace("${defined}", defined)
        if defined
        else "",
    }


CMSIS_PACK = Package(
    title="CMSIS-Pack",
    layout=Layout(header="include", code="src", example="example"),
    files={f"{VENDOR}.$name.pdsc": PDSC, "example/main.c": example.MAIN_C},
    entry=example.MAIN,
    readme=README,
    kernels="private",
    words=words,
)
