/* SPDX-License-Identifier: Apache-2.0
 *
 * The layers that multiply by weights, whatever the width of the weights: the inner
 * product is an argument, which the compiler sees as a constant. Private to Source/;
 * applications include arm_nnfunctions.h.
 *
 * int4 weights are packed two a byte over the whole tensor, the low nibble first, so a row
 * may begin in the middle of a byte.
 */
#ifndef KANJI_LINEAR_H
#define KANJI_LINEAR_H

#include "arm_nnsupportfunctions.h"

/* -------------------------------------------------------------------- reading weights */

/* sum((x[i] + offset) * weight[first + i]); lengths and offsets as for kanji_dot_s8. */
typedef int32_t (*kanji_dot)(
    const int8_t *x, const int8_t *weights, int32_t first, int32_t length, int32_t offset);

static inline int32_t kanji_low_s4(int8_t pair)
{
    return ((pair & 15) ^ 8) - 8;
}

static inline int32_t kanji_high_s4(int8_t pair)
{
    return pair >> 4;
}

static inline int32_t kanji_dot_from_s8(
    const int8_t *x, const int8_t *weights, int32_t first, int32_t length, int32_t offset)
{
    return kanji_dot_s8(x, weights + first, length, offset);
}

static inline int32_t kanji_dot_from_s4(
    const int8_t *x, const int8_t *weights, int32_t first, int32_t length, int32_t offset)
{
    const int8_t *pair = weights + first / 2;
    int32_t sum = 0;
    int32_t i = 0;

    if (first % 2 != 0 && length > 0)
    {
        sum += (x[i++] + offset) * kanji_high_s4(*pair++);
    }
    for (; i < length - 1; i += 2, pair++)
    {
        sum += (x[i] + offset) * kanji_low_s4(*pair);
        sum += (x[i + 1] + offset) * kanji_high_s4(*pair);
    }
    if (i < length)
    {
        sum += (x[i] + offset) * kanji_low_s4(*pair);
    }
    return sum;
}

/* ------------------------------------------------------------------------- convolution */

/* Sum of products of the filter that begins at element `filter` with one window of one
 * image. */
static inline int32_t kanji_conv_window_sum(const int8_t *image,
                                            const int8_t *weights,
                                            int32_t filter,
                                            kanji_dot dot,
                                            kanji_window rows,
                                            kanji_window columns,
                                            const cmsis_nn_dims *input_dims,
                                            const cmsis_nn_dims *filter_dims,
                                            const cmsis_nn_conv_params *params)
{
    /* Undilated taps of one row are neighbours: one run of memory instead of one a tap. */
    const int32_t runs = params->dilation.w == 1 ? 1 : columns.count;
    const int32_t run_taps = params->dilation.w == 1 ? columns.count : 1;
    const int32_t channels = input_dims->c;
    int32_t sum = 0;

    for (int32_t row = 0; row < rows.count; row++)
    {
        const int32_t y = rows.input + row * params->dilation.h;
        const int32_t ky = rows.kernel + row;

        for (int32_t run = 0; run < runs; run++)
        {
            const int32_t x = columns.input + run * params->dilation.w;
            const int32_t kx = columns.kernel + run;

            sum += dot(image + (y * input_dims->w + x) * channels,
                       weights,
                       filter + (ky * filter_dims->w + kx) * channels,
                       run_taps * channels,
                       params->input_offset);
        }
    }
    return sum;
}

/* arm_convolve_wrapper_*: the same arguments, and how to multiply. */
static inline arm_cmsis_nn_status
kanji_convolve(const cmsis_nn_conv_params *conv_params,
               const cmsis_nn_per_channel_quant_params *quant_params,
               const cmsis_nn_dims *input_dims,
               const int8_t *input_data,
               const cmsis_nn_dims *filter_dims,
               const int8_t *filter_data,
               const int32_t *bias_data,
               const cmsis_nn_dims *output_dims,
               int8_t *output_data,
               kanji_dot dot)
{
    if (!kanji_conv_dims_ok(conv_params, input_dims, filter_dims, output_dims) ||
        !kanji_offsets_ok(conv_params->input_offset, conv_params->output_offset) ||
        !kanji_activation_ok(conv_params->activation) || input_data == NULL ||
        filter_data == NULL || output_data == NULL ||
        !kanji_scales_ok(quant_params, output_dims->c))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const cmsis_nn_tile stride = conv_params->stride;
    const cmsis_nn_tile padding = conv_params->padding;
    const cmsis_nn_tile dilation = conv_params->dilation;
    const int32_t image_size = input_dims->h * input_dims->w * input_dims->c;
    const int32_t filter_size = filter_dims->h * filter_dims->w * filter_dims->c;

    for (int32_t n = 0; n < input_dims->n; n++)
    {
        const int8_t *image = input_data + n * image_size;

        for (int32_t out_y = 0; out_y < output_dims->h; out_y++)
        {
            const kanji_window rows = kanji_window_at(
                out_y * stride.h - padding.h, filter_dims->h, dilation.h, input_dims->h);

            for (int32_t out_x = 0; out_x < output_dims->w; out_x++)
            {
                const kanji_window columns = kanji_window_at(
                    out_x * stride.w - padding.w, filter_dims->w, dilation.w, input_dims->w);

                for (int32_t out_c = 0; out_c < output_dims->c; out_c++)
                {
                    const int32_t sum = kanji_conv_window_sum(image,
                                                              filter_data,
                                                              out_c * filter_size,
                                                              dot,
                                                              rows,
                                                              columns,
                                                              input_dims,
                                                              filter_dims,
                                                              conv_params);

                    *output_data++ = kanji_output_s8(sum,
                                                     bias_data == NULL ? 0 : bias_data[out_c],
                                                     quant_params->multiplier[out_c],
                                                     quant_params->shift[out_c],
                                                     conv_params->output_offset,
                                                     conv_params->activation);
                }
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}

/* --------------------------------------------------------------- depthwise convolution */

/* Sum of products of one output channel over one window; the image begins at its input
 * channel. */
typedef int32_t (*kanji_dw_window_sum)(const int8_t *image,
                                       const int8_t *filter,
                                       int32_t channel,
                                       kanji_window rows,
                                       kanji_window columns,
                                       const cmsis_nn_dims *input_dims,
                                       const cmsis_nn_dims *filter_dims,
                                       const cmsis_nn_dw_conv_params *params);

/* arm_depthwise_conv_wrapper_*: the same arguments, and how to multiply. */
static inline arm_cmsis_nn_status
kanji_depthwise_conv(const cmsis_nn_dw_conv_params *dw_conv_params,
                     const cmsis_nn_per_channel_quant_params *quant_params,
                     const cmsis_nn_dims *input_dims,
                     const int8_t *input_data,
                     const cmsis_nn_dims *filter_dims,
                     const int8_t *filter_data,
                     const int32_t *bias_data,
                     const cmsis_nn_dims *output_dims,
                     int8_t *output_data,
                     kanji_dw_window_sum window_sum)
{
    if (!kanji_dw_conv_dims_ok(dw_conv_params, input_dims, filter_dims, output_dims) ||
        !kanji_offsets_ok(dw_conv_params->input_offset, dw_conv_params->output_offset) ||
        !kanji_activation_ok(dw_conv_params->activation) || input_data == NULL ||
        filter_data == NULL || output_data == NULL ||
        !kanji_scales_ok(quant_params, output_dims->c))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const cmsis_nn_tile stride = dw_conv_params->stride;
    const cmsis_nn_tile padding = dw_conv_params->padding;
    const cmsis_nn_tile dilation = dw_conv_params->dilation;
    const int32_t image_size = input_dims->h * input_dims->w * input_dims->c;

    for (int32_t n = 0; n < input_dims->n; n++)
    {
        const int8_t *image = input_data + n * image_size;

        for (int32_t out_y = 0; out_y < output_dims->h; out_y++)
        {
            const kanji_window rows = kanji_window_at(
                out_y * stride.h - padding.h, filter_dims->h, dilation.h, input_dims->h);

            for (int32_t out_x = 0; out_x < output_dims->w; out_x++)
            {
                const kanji_window columns = kanji_window_at(
                    out_x * stride.w - padding.w, filter_dims->w, dilation.w, input_dims->w);

                for (int32_t out_c = 0; out_c < output_dims->c; out_c++)
                {
                    const int32_t sum = window_sum(image + out_c / dw_conv_params->ch_mult,
                                                   filter_data,
                                                   out_c,
                                                   rows,
                                                   columns,
                                                   input_dims,
                                                   filter_dims,
                                                   dw_conv_params);

                    *output_data++ = kanji_output_s8(sum,
                                                     bias_data == NULL ? 0 : bias_data[out_c],
                                                     quant_params->multiplier[out_c],
                                                     quant_params->shift[out_c],
                                                     dw_conv_params->output_offset,
                                                     dw_conv_params->activation);
                }
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}

/* --------------------------------------------------------------------- fully connected */

/* Arguments of a fully connected layer, except its scales. */
static inline int kanji_fc_ok(const cmsis_nn_fc_params *params,
                              const cmsis_nn_dims *input,
                              const int8_t *input_data,
                              const cmsis_nn_dims *filter,
                              const int8_t *filter_data,
                              const cmsis_nn_dims *output,
                              const int8_t *output_data)
{
    if (params == NULL || input == NULL || filter == NULL || output == NULL ||
        input_data == NULL || filter_data == NULL || output_data == NULL)
    {
        return 0;
    }
    const int32_t depth = kanji_volume(1, input->h, input->w, input->c);

    return depth > 0 && depth <= KANJI_MAX_DEPTH && depth == filter->n &&
           kanji_volume(input->n, depth, 1, 1) > 0 && kanji_volume(filter->c, depth, 1, 1) > 0 &&
           kanji_volume(output->n, output->c, 1, 1) > 0 && filter->c == output->c &&
           input->n == output->n && params->filter_offset == 0 &&
           kanji_offsets_ok(params->input_offset, params->output_offset) &&
           kanji_activation_ok(params->activation);
}

/* scale_step: 1 for a multiplier and a shift a row, 0 for one of each. */
static inline void kanji_fully_connected(const cmsis_nn_fc_params *fc_params,
                                         const int32_t *multiplier,
                                         const int32_t *shift,
                                         int32_t scale_step,
                                         int32_t batch,
                                         const int8_t *input_data,
                                         const cmsis_nn_dims *filter_dims,
                                         const int8_t *filter_data,
                                         const int32_t *bias_data,
                                         int8_t *output_data,
                                         kanji_dot dot)
{
    const int32_t depth = filter_dims->n;

    for (int32_t n = 0; n < batch; n++)
    {
        const int8_t *x = input_data + n * depth;

        for (int32_t row = 0; row < filter_dims->c; row++)
        {
            const int32_t sum =
                dot(x, filter_data, row * depth, depth, fc_params->input_offset);

            *output_data++ = kanji_output_s8(sum,
                                             bias_data == NULL ? 0 : bias_data[row],
                                             multiplier[row * scale_step],
                                             shift[row * scale_step],
                                             fc_params->output_offset,
                                             fc_params->activation);
        }
    }
}

#endif
