"""The words that options take.

Whoever knows such a word has a table with it. The command line lists the words in its
help, for which it would have to load the tables, and NumPy with them; so they stand
here too, and a test holds both equal.
"""

PRECISIONS = ("int8", "fp32")
RANGES = ("minmax", "percentile", "learned", "fixed")
SCHEMES = ("pow2", "pow2-per-channel", "symmetric", "asymmetric")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("one-cycle", "cosine", "step", "exponential", "constant")
NETWORKS = (
    "paper-cnn", "paper-vgg", "resnet8", "ds-cnn", "mobilenet-v1-025", "autoencoder",
)  # fmt: skip
KERNEL_LIBRARIES = ("ccore", "cmsis-nn")
KERNEL_NAMES = ("shared", "private")
PACKAGE_NAMES = (
    "make", "cmake", "arduino", "platformio", "zephyr", "esp-idf", "cmsis-pack",
)  # fmt: skip
