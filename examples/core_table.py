"""What a network costs on every core: a table of instructions, flash, arena and stack.

    CMSIS_NN=DIR CMSIS_5=DIR python examples/core_table.py [CHANNELS]

Networks of the paper's shape (32,32,64 by default) are exported untrained: neither
instructions nor memory depend on the weights by more than a millionth. Without the two
directories, which name the real libraries, only the portable kernels are measured.
"""

import os
import sys
import tempfile

import kanji_np as kj

CORES = (
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "cortex-m55",
)
TARGETS = {"cmsis-nn": "CMSIS_NN", "cmsis-nn-q7": "CMSIS_5"}
IMAGES = 2

channels = tuple(map(int, (sys.argv[1] if sys.argv[1:] else "32,32,64").split(",")))
_, test = kj.load_dataset("synthetic")
images = test.images[:IMAGES]

print("| functions | kernels | core | instructions | flash | arena | stack |")
print("|---|---|---|---|---|---|---|")
for target, variable in TARGETS.items():
    for kernels in ("ccore", "cmsis-nn"):
        real = os.environ.get(variable) if kernels == "cmsis-nn" else None
        if kernels == "cmsis-nn" and not real:
            continue
        for core in CORES:
            spec = kj.target_spec(target, core=core)
            net = kj.paper_cnn(channels, input_shape=test.input_shape, target=spec)
            with tempfile.TemporaryDirectory() as directory:
                kj.export(net, directory, library=kernels)
                result = kj.verify(directory, images, on=core, cmsis_nn=real)
            device = result.device
            assert result.ok and device, result.first
            row = (
                target,
                kernels,
                core,
                f"{device.max_instructions:,}",
                f"{device.flash_bytes:,}",
                f"{device.arena_bytes:,}",
                f"{device.stack_bytes:,}",
            )
            print("| " + " | ".join(row) + " |", flush=True)
