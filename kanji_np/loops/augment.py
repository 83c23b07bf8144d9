"""The loops of `Augment.apply`, in a module of its own so that Numba loads late.

They run on one thread, beside a training step, and let go of Python's lock.
"""

from __future__ import annotations

import numpy as np

from kanji_np.jit import njit


@njit(cache=True, nogil=True)
def augment(
    images: np.ndarray,
    draws: np.ndarray,
    cutout: int,
    fill: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write every augmented image to `out`.

    Parameters
    ----------
    images : ndarray of uint8, (B, H, W, C)
    draws : ndarray of int64, (B, 5)
        Row and column where the crop begins, in image coordinates; 1 to mirror; centre
        row and column of the square.
    cutout : int
        Side of the square [pixels].
    fill : ndarray of uint8, (C,)
    out : ndarray of uint8, (B, H, W, C)
    """
    n, height, width, channels = images.shape
    inside, pixels = images.reshape(-1), out.reshape(-1)
    line, step = width * channels, np.uint64(channels)
    for b in range(n):
        top, left, mirror = draws[b, 0], draws[b, 1], draws[b, 2]
        # Pixels first..last-1 of an output row, before it is mirrored, lie inside.
        first = min(max(-left, 0), width)
        last = max(min(width - left, width), first)
        for y in range(height):
            row = (b * height + y) * line
            source = (b * height + y + top) * line + left * channels
            if not 0 <= y + top < height:
                _paint(pixels, row, width, fill)
            elif mirror:
                _paint(pixels, row, width - last, fill)
                # Unsigned: signed indices are tested for counting from the end.
                to = np.uint64(row + (width - 1 - first) * channels)
                at = np.uint64(source + first * channels)
                for _ in range(first, last):
                    for c in range(step):
                        pixels[to + c] = inside[at + c]
                    to -= step
                    at += step
                _paint(pixels, row + (width - first) * channels, first, fill)
            else:
                _paint(pixels, row, first, fill)
                start, stop = first * channels, last * channels
                pixels[row + start : row + stop] = inside[
                    source + start : source + stop
                ]
                _paint(pixels, row + stop, width - last, fill)
        top, left = draws[b, 3] - cutout // 2, draws[b, 4] - cutout // 2
        first, last = max(left, 0), min(left + cutout, width)
        for y in range(max(top, 0), min(top + cutout, height)):
            row = (b * height + y) * line
            _paint(pixels, row + first * channels, last - first, fill)


@njit(cache=True)
def _paint(pixels: np.ndarray, start: int, count: int, fill: np.ndarray) -> None:
    for x in range(count):
        for c in range(len(fill)):
            pixels[start + x * len(fill) + c] = fill[c]


@njit(cache=True, nogil=True)
def rotate(
    images: np.ndarray, turns: np.ndarray, fill: np.ndarray, out: np.ndarray
) -> None:
    """Turn every image about its middle, with bilinear weights of 8 bits.

    Parameters
    ----------
    images : ndarray of uint8, (B, H, W, C)
        Sides below 2^15 [pixels].
    turns : ndarray of int64, (B, 2)
        Cosine and sine of the angle, counterclockwise as it is seen, times 2^14.
    fill : ndarray of uint8, (C,)
        Of what lies outside.
    out : ndarray of uint8, (B, H, W, C)

    Notes
    -----
    Coordinates are doubled, for the middle of an even side to be an integer: they have
    15 bits after the point. Sums of four pixels of 8 bits with weights of 16 fit int64
    by far.
    """
    n, height, width, channels = images.shape
    for b in range(n):
        cosine, sine = turns[b, 0], turns[b, 1]
        for y in range(height):
            v = 2 * y - (height - 1)
            for x in range(width):
                u = 2 * x - (width - 1)
                # Where this pixel comes from, with 15 bits after the point.
                at_x = cosine * u - sine * v + ((width - 1) << 14)
                at_y = sine * u + cosine * v + ((height - 1) << 14)
                left, top = at_x >> 15, at_y >> 15
                right_part = ((at_x & 32767) + 64) >> 7
                below_part = ((at_y & 32767) + 64) >> 7
                for c in range(channels):
                    total = 0
                    for i in range(2):
                        for j in range(2):
                            row, column = top + i, left + j
                            weight = below_part if i else 256 - below_part
                            weight *= right_part if j else 256 - right_part
                            if 0 <= row < height and 0 <= column < width:
                                total += weight * np.int64(images[b, row, column, c])
                            else:
                                total += weight * np.int64(fill[c])
                    out[b, y, x, c] = (total + 32768) >> 16


@njit(cache=True, nogil=True)
def colour(images: np.ndarray, factors: np.ndarray, out: np.ndarray) -> None:
    """Change brightness, contrast and saturation of every image.

    Parameters
    ----------
    images : ndarray of uint8, (B, H, W, C)
    factors : ndarray of int64, (B, 3)
        Of brightness, contrast and saturation, 0 to 2 times 2^12.
    out : ndarray of uint8, (B, H, W, C)
        A pixel p with grey g, in an image whose mean grey is m, becomes brightness *
        (m + contrast * (g + saturation * (p - g) - m)), rounded half up and clamped.

    Notes
    -----
    Values have 8 bits after the point and factors 12; products are shifted back.
    """
    n, height, width, channels = images.shape
    for b in range(n):
        brightness, contrast, saturation = factors[b]
        total = np.int64(0)
        for y in range(height):
            for x in range(width):
                total += _grey(images[b, y, x])
        mean = total // (height * width)
        for y in range(height):
            for x in range(width):
                grey = _grey(images[b, y, x])
                for c in range(channels):
                    value = np.int64(images[b, y, x, c]) << 8
                    if channels == 3:
                        value = grey + ((saturation * (value - grey)) >> 12)
                    value = mean + ((contrast * (value - mean)) >> 12)
                    value = ((brightness * value) >> 12) + 128 >> 8
                    out[b, y, x, c] = min(max(value, 0), 255)


@njit(cache=True)
def _grey(pixel: np.ndarray) -> np.int64:
    """The grey of a pixel with 8 bits after the point, by the weights of ITU-R BT.601;
    the mean of other than three channels."""
    if len(pixel) == 3:
        red, green, blue = np.int64(pixel[0]), np.int64(pixel[1]), np.int64(pixel[2])
        return 77 * red + 150 * green + 29 * blue
    total = np.int64(0)
    for value in pixel:
        total += np.int64(value)
    return (total << 8) // len(pixel)
