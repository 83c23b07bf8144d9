/* SPDX-License-Identifier: Apache-2.0
 *
 * The layers that multiply by weights, whatever the width of the weights: how to multiply
 * is an argument, which the compiler sees as a constant. Private to Source/; applications
 * include arm_nnfunctions.h.
 */
#ifndef KANJI_LINEAR_H
#define KANJI_LINEAR_H

#include "arm_nnsupportfunctions.h"

/* ------------------------------------------------------------------------- convolution */

/* sums[k] += products of filter out_c + k with one window of one image. */
static inline void kanji_conv_window_sums(const int8_t *image,
                                          const int8_t *weights,
                                          int32_t out_c,
                                          kanji_products products,
                                          kanji_window rows,
                                          kanji_window columns,
                                          const cmsis_nn_dims *input_dims,
                                          const cmsis_nn_dims *filter_dims,
                                          const cmsis_nn_conv_params *params,
                                          int32_t sums[KANJI_FILTERS])
{
    /* Undilated taps of one row are neighbours: one run of memory instead of one a tap. */
    const int32_t runs = params->dilation.w == 1 ? 1 : columns.count;
    const int32_t run_taps = params->dilation.w == 1 ? columns.count : 1;
    const int32_t channels = input_dims->c;
    const int32_t filter_size = filter_dims->h * filter_dims->w * channels;
    const int32_t filters = kanji_min(KANJI_FILTERS, filter_dims->n - out_c);

    for (int32_t run = 0; run < runs; run++)
    {
        const int32_t x = columns.input + run * params->dilation.w;
        const int32_t kx = columns.kernel + run;
        const kanji_patch patch = {
            image + (rows.input * input_dims->w + x) * channels,
            params->dilation.h * input_dims->w * channels,
            out_c * filter_size + (rows.kernel * filter_dims->w + kx) * channels,
            filter_dims->w * channels,
            rows.count,
            run_taps * channels,
        };

        products(&patch, weights, filters, filter_size, params->input_offset, sums);
    }
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
               kanji_products products)
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

                for (int32_t out_c = 0; out_c < output_dims->c; out_c += KANJI_FILTERS)
                {
                    const int32_t end = kanji_min(out_c + KANJI_FILTERS, output_dims->c);
                    int32_t sums[KANJI_FILTERS] = {0};

                    kanji_conv_window_sums(image,
                                           filter_data,
                                           out_c,
                                           products,
                                           rows,
                                           columns,
                                           input_dims,
                                           filter_dims,
                                           conv_params,
                                           sums);
                    for (int32_t c = out_c; c < end; c++)
                    {
                        *output_data++ = kanji_output_s8(sums[c - out_c],
                                                         bias_data == NULL ? 0 : bias_data[c],
                                                         quant_params->multiplier[c],
                                                         quant_params->shift[c],
                                                         conv_params->output_offset,
                                                         conv_params->activation);
                    }
                }
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}

/* --------------------------------------------------------------- depthwise convolution */

/* The part of one window that lies on one image, from channel 0 on. */
static inline kanji_dw_patch kanji_dw_patch_at(const int8_t *image,
                                               kanji_window rows,
                                               kanji_window columns,
                                               const cmsis_nn_dims *input_dims,
                                               const cmsis_nn_dims *filter_dims,
                                               const cmsis_nn_dw_conv_params *params)
{
    const int32_t pixel = rows.input * input_dims->w + columns.input;
    const int32_t tap = rows.kernel * filter_dims->w + columns.kernel;
    const kanji_dw_patch patch = {
        image + pixel * input_dims->c,
        params->dilation.h * input_dims->w * input_dims->c,
        params->dilation.w * input_dims->c,
        tap * filter_dims->c,
        filter_dims->w * filter_dims->c,
        filter_dims->c,
        rows.count,
        columns.count,
    };

    return patch;
}

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
                     kanji_dw_products products)
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

    const int32_t input_offset = dw_conv_params->input_offset;
    const int32_t ch_mult = dw_conv_params->ch_mult;
    /* Output channels that have one input channel each, or all the same. */
    const int32_t group = ch_mult == 1 || ch_mult % KANJI_FILTERS == 0 ? KANJI_FILTERS : 1;
    const int32_t x_step = ch_mult == 1 ? 1 : 0;

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

                kanji_dw_patch patch = kanji_dw_patch_at(
                    image, rows, columns, input_dims, filter_dims, dw_conv_params);

                for (int32_t out_c = 0; out_c < output_dims->c; out_c += group)
                {
                    const int32_t end = kanji_min(out_c + group, output_dims->c);
                    int32_t sums[KANJI_FILTERS] = {0};

                    products(&patch, filter_data, end - out_c, x_step, input_offset, sums);
                    patch.x += end / ch_mult - out_c / ch_mult;
                    patch.w += group;
                    for (int32_t c = out_c; c < end; c++)
                    {
                        *output_data++ = kanji_output_s8(sums[c - out_c],
                                                         bias_data == NULL ? 0 : bias_data[c],
                                                         quant_params->multiplier[c],
                                                         quant_params->shift[c],
                                                         dw_conv_params->output_offset,
                                                         dw_conv_params->activation);
                    }
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
                                         kanji_products products)
{
    const int32_t depth = filter_dims->n;

    for (int32_t n = 0; n < batch; n++)
    {
        const int8_t *x = input_data + n * depth;

        for (int32_t row = 0; row < filter_dims->c; row += KANJI_FILTERS)
        {
            const int32_t filters = kanji_min(KANJI_FILTERS, filter_dims->c - row);
            const kanji_patch patch = {x, 0, row * depth, 0, 1, depth};
            int32_t sums[KANJI_FILTERS] = {0};

            products(&patch, filter_data, filters, depth, fc_params->input_offset, sums);
            for (int32_t k = row; k < row + filters; k++)
            {
                *output_data++ = kanji_output_s8(sums[k - row],
                                                 bias_data == NULL ? 0 : bias_data[k],
                                                 multiplier[k * scale_step],
                                                 shift[k * scale_step],
                                                 fc_params->output_offset,
                                                 fc_params->activation);
            }
        }
    }
}

#endif
