"""What each build system wants a firmware to look like: a page for each, and the table.

A page says where files lie, and holds the templates of those that the build system
reads. The C of network and kernels is the same everywhere.
"""

from __future__ import annotations

from kanji_np.deploy.packages.arduino import ARDUINO
from kanji_np.deploy.packages.cmake import CMAKE
from kanji_np.deploy.packages.cmsis_pack import CMSIS_PACK
from kanji_np.deploy.packages.esp_idf import ESP_IDF
from kanji_np.deploy.packages.make import MAKE
from kanji_np.deploy.packages.package import Package
from kanji_np.deploy.packages.platformio import PLATFORMIO
from kanji_np.deploy.packages.zephyr import ZEPHYR

PACKAGES: dict[str, Package] = {
    "make": MAKE,
    "cmake": CMAKE,
    "arduino": ARDUINO,
    "platformio": PLATFORMIO,
    "zephyr": ZEPHYR,
    "esp-idf": ESP_IDF,
    "cmsis-pack": CMSIS_PACK,
}
