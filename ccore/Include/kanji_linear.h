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

/* How far taps are apart; as if neighbours where there is but one. */
static inline cmsis_nn_tile kanji_dilation(cmsis_nn_tile dilation, const cmsis_nn_dims *filter)
{
    dilation.h = filter->h == 1 ? 1 : dilation.h;
    dilation.w = filter->w == 1 ? 1 : dilation.w;
    return dilation;
}

/* sums[k] += products of filter out_c + k with one window of one image, which begins at the
 * first channel that the filters see. */
static inline void kanji_conv_window_sums(const int8_t *image,
                                          const int8_t *weights,
                                          int32_t out_c,
                                          int32_t filters,
                                          kanji_products products,
                                          kanji_window rows,
                                          kanji_window columns,
                                          const cmsis_nn_dims *input_dims,
                                          const cmsis_nn_dims *filter_dims,
                                          cmsis_nn_tile dilation,
                                          int32_t input_offset,
                                          int32_t sums[KANJI_FILTERS])
{
    /* Undilated taps of one row that see all channels are neighbours: one run of memory
     * instead of one a tap. */
    const int32_t channels = filter_dims->c;
    const int neighbours = dilation.w == 1 && channels == input_dims->c;
    const int32_t runs = neighbours ? 1 : columns.count;
    const int32_t run_taps = neighbours ? columns.count : 1;
    const int32_t filter_size = filter_dims->h * filter_dims->w * channels;

    for (int32_t run = 0; run < runs; run++)
    {
        const int32_t x = columns.input + run * dilation.w;
        const int32_t kx = columns.kernel + run;
        const kanji_patch patch = {
            image + (rows.input * input_dims->w + x) * input_dims->c,
            dilation.h * input_dims->w * input_dims->c,
            out_c * filter_size + (rows.kernel * filter_dims->w + kx) * channels,
            filter_dims->w * channels,
            rows.count,
            run_taps * channels,
        };

        products(&patch, weights, filters, filter_size, input_offset, sums);
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
    const cmsis_nn_tile dilation = kanji_dilation(conv_params->dilation, filter_dims);
    const int32_t image_size = input_dims->h * input_dims->w * input_dims->c;
    const int32_t groups = input_dims->c / filter_dims->c;
    const int32_t group_size = output_dims->c / groups;

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

                for (int32_t group = 0; group < groups; group++)
                {
                    const int8_t *group_image = image + group * filter_dims->c;
                    const int32_t last = (group + 1) * group_size;

                    for (int32_t out_c = last - group_size; out_c < last; out_c += KANJI_FILTERS)
                    {
                        const int32_t end = kanji_min(out_c + KANJI_FILTERS, last);
                        int32_t sums[KANJI_FILTERS] = {0};

                        kanji_conv_window_sums(group_image,
                                               filter_data,
                                               out_c,
                                               end - out_c,
                                               products,
                                               rows,
                                               columns,
                                               input_dims,
                                               filter_dims,
                                               dilation,
                                               conv_params->input_offset,
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
                                               cmsis_nn_tile dilation,
                                               int32_t out_channels)
{
    const int32_t pixel = rows.input * input_dims->w + columns.input;
    const int32_t tap = rows.kernel * filter_dims->w + columns.kernel;
    const kanji_dw_patch patch = {
        image + pixel * input_dims->c,
        dilation.h * input_dims->w * input_dims->c,
        dilation.w * input_dims->c,
        tap * out_channels,
        filter_dims->w * out_channels,
        out_channels,
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
    const cmsis_nn_tile dilation = kanji_dilation(dw_conv_params->dilation, filter_dims);
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
                    image, rows, columns, input_dims, filter_dims, dilation, output_dims->c);

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

/* Arguments of a fully connected layer, except its scales. The filter is (columns, rows):
 * n of filter_dims and c of output_dims, all that CMSIS-NN reads of the two. */
static inline int kanji_fc_ok(const cmsis_nn_fc_params *params,
                              int32_t filter_offset,
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

    /* An offset doubles what a product may be. */
    const int32_t max_depth = filter_offset == 0 ? KANJI_MAX_DEPTH : KANJI_MAX_DEPTH / 2;

    return filter->n >= 1 && filter->n <= max_depth && input->n >= 1 && output->c >= 1 &&
           (int64_t)input->n * filter->n <= INT32_MAX &&
           (int64_t)filter->n * output->c <= INT32_MAX &&
           (int64_t)input->n * output->c <= INT32_MAX &&
           kanji_offsets_ok(params->input_offset, params->output_offset) &&
           kanji_offsets_ok(filter_offset, 0) && kanji_activation_ok(params->activation);
}

/* What the same filter_offset adds to the sum of every row. */
static inline int32_t
kanji_fc_offset(const int8_t *x, int32_t depth, int32_t input_offset, int32_t filter_offset)
{
    int32_t sum = depth * input_offset;

    for (int32_t i = 0; i < depth; i++)
    {
        sum += x[i];
    }
    return sum * filter_offset;
}

/* scale_step: 1 for a multiplier and a shift a row, 0 for one of each. */
static inline void kanji_fully_connected(const cmsis_nn_fc_params *fc_params,
                                         int32_t filter_offset,
                                         const int32_t *multiplier,
                                         const int32_t *shift,
                                         int32_t scale_step,
                                         int32_t batch,
                                         const int8_t *input_data,
                                         int32_t depth,
                                         int32_t rows,
                                         const int8_t *filter_data,
                                         const int32_t *bias_data,
                                         int8_t *output_data,
                                         kanji_products products)
{
    for (int32_t n = 0; n < batch; n++)
    {
        const int8_t *x = input_data + n * depth;
        const int32_t start =
            filter_offset == 0
                ? 0
                : kanji_fc_offset(x, depth, fc_params->input_offset, filter_offset);

        for (int32_t row = 0; row < rows; row += KANJI_FILTERS)
        {
            const int32_t filters = kanji_min(KANJI_FILTERS, rows - row);
            const kanji_patch patch = {x, 0, row * depth, 0, 1, depth};
            int32_t sums[KANJI_FILTERS] = {start, start, start, start};

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
