/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"
#include "kanji_support.h"

static int in_range(int32_t value, int32_t low, int32_t high)
{
    return value >= low && value <= high;
}

static int dims_ok(const kanji_axes *dims)
{
    return dims->n >= 1 && in_range(dims->h, 1, KANJI_MAX_EXTENT) && in_range(dims->w, 1, KANJI_MAX_EXTENT) &&
           dims->c >= 1 && (int64_t)dims->h * dims->w * dims->c <= INT32_MAX;
}

static int params_ok(const kanji_transpose_conv *params, const kanji_axes *filter)
{
    return in_range(params->input_offset, -127, 128) &&
           in_range(params->output_offset, INT8_MIN, INT8_MAX) &&
           in_range(params->act_min, INT8_MIN, params->act_max) &&
           params->act_max <= INT8_MAX && in_range(params->roundings, 1, 2) &&
           in_range(params->stride_h, 1, KANJI_MAX_EXTENT) &&
           in_range(params->stride_w, 1, KANJI_MAX_EXTENT) &&
           in_range(params->pad_h, 0, filter->h - 1) && in_range(params->pad_w, 0, filter->w - 1);
}

static int shapes_ok(const kanji_axes *input, const kanji_axes *filter, const kanji_axes *output)
{
    if (!dims_ok(input) || !dims_ok(filter) || !dims_ok(output) || input->n != 1 ||
        output->n != 1 || filter->n != output->c || filter->c != input->c)
    {
        return 0;
    }

    const int64_t products = (int64_t)filter->h * filter->w * filter->c;
    return products <= KANJI_MAX_DEPTH && products * filter->n <= INT32_MAX;
}

/* The inputs that reach an output along one axis: tap `kernel` of input `input`, then
 * `stride` taps on the input before it, `count` in all. */
typedef struct
{
    int32_t kernel;
    int32_t input;
    int32_t count;
} kanji_taps;

static kanji_taps taps_at(int32_t place, int32_t kernel_size, int32_t stride, int32_t input_size)
{
    kanji_taps taps = {place % stride, place / stride, 0};

    if (taps.input >= input_size)
    {
        const int32_t beyond = taps.input - (input_size - 1);

        if (beyond > (kernel_size - 1 - taps.kernel) / stride)
        {
            return taps;
        }
        taps.kernel += beyond * stride;
        taps.input = input_size - 1;
    }
    if (taps.kernel < kernel_size)
    {
        const int32_t most = (kernel_size - 1 - taps.kernel) / stride + 1;

        taps.count = taps.input + 1 < most ? taps.input + 1 : most;
    }
    return taps;
}

int32_t kanji_transpose_conv_s8(const kanji_transpose_conv *params,
                                const kanji_axes *input_dims,
                                const int8_t *input,
                                const kanji_axes *filter_dims,
                                const int8_t *filter,
                                const int32_t *bias,
                                const int32_t *multiplier,
                                const int32_t *shift,
                                const kanji_axes *output_dims,
                                int8_t *output)
{
    if (params == NULL || input_dims == NULL || input == NULL || filter_dims == NULL ||
        filter == NULL || bias == NULL || multiplier == NULL || shift == NULL ||
        output_dims == NULL || output == NULL || !shapes_ok(input_dims, filter_dims, output_dims) ||
        !params_ok(params, filter_dims))
    {
        return -1;
    }

    const int32_t channels = input_dims->c;
    const int32_t filter_size = filter_dims->h * filter_dims->w * channels;

    for (int32_t y = 0; y < output_dims->h; y++)
    {
        const kanji_taps rows =
            taps_at(y + params->pad_h, filter_dims->h, params->stride_h, input_dims->h);

        for (int32_t x = 0; x < output_dims->w; x++)
        {
            const kanji_taps columns =
                taps_at(x + params->pad_w, filter_dims->w, params->stride_w, input_dims->w);

            for (int32_t o = 0; o < output_dims->c; o += KANJI_FILTERS)
            {
                const int32_t filters = kanji_min(output_dims->c - o, KANJI_FILTERS);
                int32_t sums[KANJI_FILTERS] = {0};

                for (int32_t j = 0; rows.count > 0 && j < columns.count; j++)
                {
                    const int32_t at = rows.input * input_dims->w + columns.input - j;
                    const int32_t tap = rows.kernel * filter_dims->w + columns.kernel;
                    const kanji_patch patch = {input + at * channels,
                                               -input_dims->w * channels,
                                               (tap + j * params->stride_w) * channels,
                                               params->stride_h * filter_dims->w * channels,
                                               rows.count,
                                               channels};

                    kanji_products_s8(&patch,
                                      filter + o * filter_size,
                                      filters,
                                      filter_size,
                                      params->input_offset,
                                      sums);
                }
                for (int32_t k = 0; k < filters; k++)
                {
                    const int32_t sum = kanji_add_saturated(sums[k], bias[o + k]);
                    const int32_t value = kanji_rescale(
                        sum, multiplier[o + k], shift[o + k], params->roundings == 1);
                    const int32_t shifted = kanji_add_saturated(value, params->output_offset);

                    *output++ = (int8_t)kanji_clamp(shifted, params->act_min, params->act_max);
                }
            }
        }
    }
    return 0;
}
