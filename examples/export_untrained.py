"""Know the cost before training: compare sizes, export one, and verify it untrained.

Weights are random then, but the C is complete: it can be built, linked and timed.
"""

import numpy as np

import kanji_np as kj

FLASH_BYTES, ARENA_BYTES = 64 * 1024, 32 * 1024  # what the chip has to spare


def main() -> None:
    print("channels      MAC         flash    arena")
    chosen = None
    for channels in ((8, 8, 16), (16, 16, 32), (16, 32, 64), (32, 32, 64)):
        net = kj.paper_cnn(channels, name="candidate")
        cost = kj.cost_report(net)
        fits = cost.flash_bytes <= FLASH_BYTES and cost.arena_bytes <= ARENA_BYTES
        print(
            f"{','.join(map(str, channels)):<12}  {cost.macs:>10,}  "
            f"{cost.flash_bytes:>7,}  {cost.arena_bytes:>7,}  "
            f"{'fits' if fits else 'does not fit'}"
        )
        if fits:
            chosen = net
    assert chosen is not None

    kj.export(chosen, "runs/untrained-firmware", force=True)
    noise = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    proof = kj.verify("runs/untrained-firmware", noise)
    print(f"{proof.differing_bytes} differing bytes over {proof.images} noise images")


if __name__ == "__main__":
    main()
