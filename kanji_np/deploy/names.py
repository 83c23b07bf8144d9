"""Names that an export cannot have, because they are another's.

The files of a network are `NAME.h`, `NAME.c`, `NAME_data.h` and `NAME_data.c`, and the
folder they are in is looked through for headers. So `NAME.h` must not be what a C
library, a platform or this package's own sources include. Names are compared in lower
case, as file systems that ignore case do.
"""

from __future__ import annotations

from kanji_np.errors import OptionError

MOST_CHARACTERS = 100  # file systems take 255 bytes

C_LIBRARY = """
    alloca assert complex ctype errno fenv float inttypes iso646 limits locale math
    setjmp signal stdalign stdarg stdatomic stdbit stdbool stdckdint stddef stdint stdio
    stdlib stdnoreturn string tgmath threads time uchar wchar wctype
    aio dirent dlfcn elf endian err fcntl features fnmatch ftw getopt glob grp iconv
    langinfo libgen link malloc memory monetary mqueue netdb nl_types poll pthread pwd
    regex sched search semaphore spawn strings syslog tar termios ulimit unistd utime
    utmpx wordexp
    newlib reent envlock fastmath ieeefp libc stdfix stdio_ext syslimits
    unctrl unwind varargs
"""
CMSIS = (
    "tz_context system_armcm0 system_armcm3 system_armcm4 system_armcm55 rte_components"
)
ARDUINO = """
    arduino binary client hardwareserial ipaddress pins_arduino print printable server
    spi stream udp usbapi wcharacter wire wiring wiring_private wmath wprogram wstring
"""
ZEPHYR = "autoconf board device devicetree init irq kernel soc toolchain zephyr"
FREERTOS = """
    atomic croutine event_groups freertos freertosconfig list message_buffer portable
    portmacro projdefs queue semphr stream_buffer task timers
"""
ESP_IDF = "nvs nvs_flash sdkconfig"
OWN_FILES = """
    board board_network cycles golden guard host_runner main selftest selftest_vectors
    semihost
"""
WINDOWS = "aux con nul prn " + " ".join(
    f"{port}{number}" for port in ("com", "lpt") for number in range(10)
)
#: Whose each name is.
TAKEN = {
    name: owner
    for owner, names in (
        ("a header of the C library", C_LIBRARY),
        ("a header of CMSIS", CMSIS),
        ("a header of Arduino", ARDUINO),
        ("a header of Zephyr", ZEPHYR),
        ("a header of FreeRTOS", FREERTOS),
        ("a header of ESP-IDF", ESP_IDF),
        ("a device of Windows", WINDOWS),
        ("a file of every export", OWN_FILES),
    )
    for name in names.split()
}
PREFIXES = {
    "arm_": "CMSIS-NN",
    "cmsis_": "CMSIS",
    "core_c": "CMSIS",
    "mpu_": "CMSIS",
    "esp_": "ESP-IDF",
    "kanji_": "the kernels",
}


def check_network_name(name: str) -> None:
    """OptionError if files of a network of this name would be taken for others."""
    owner = TAKEN.get(name)
    for prefix, library in PREFIXES.items():
        if name.startswith(prefix):
            owner = f"how names of {library} begin"
    if owner:
        raise OptionError(
            f"a network named {name!r} would clash with other files: that is {owner}; "
            "give it another name"
        )
    if len(name) > MOST_CHARACTERS:
        raise OptionError(
            f"a network's name has at most {MOST_CHARACTERS} characters where it is "
            f"exported, {name[:20]}... has {len(name)}"
        )
