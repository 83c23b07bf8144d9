/* SPDX-License-Identifier: Apache-2.0 */
#include "kanji_q7.h"

static int arguments_ok(const kanji_pooling_q7 *pool)
{
    return pool->input != NULL && pool->output != NULL &&
           kanji_axis_q7_ok(pool->input_size,
                            pool->kernel_size,
                            pool->output_size,
                            pool->stride,
                            pool->padding) &&
           kanji_windows_meet_input(pool->input_size,
                                    pool->kernel_size,
                                    pool->output_size,
                                    pool->stride,
                                    pool->padding) &&
           kanji_volume(1, pool->input_size, pool->input_size, pool->channels) > 0 &&
           kanji_volume(1, pool->output_size, pool->output_size, pool->channels) > 0 &&
           kanji_volume(1, 1, pool->output_size, pool->channels) <= UINT16_MAX &&
           (!KANJI_NN_DSP || pool->padding < pool->stride);
}

static kanji_window window_at(const kanji_pooling_q7 *pool, int32_t out)
{
    return kanji_window_at(
        out * pool->stride - pool->padding, pool->kernel_size, 1, pool->input_size);
}

/* The plain C path. */
static void pool_both_axes(const kanji_pooling_q7 *pool, kanji_reduce_q7 reduce)
{
    const int32_t channels = pool->channels;
    const int32_t row_pitch = pool->input_size * channels;
    q7_t *output = pool->output;

    for (int32_t out_y = 0; out_y < pool->output_size; out_y++)
    {
        const kanji_window rows = window_at(pool, out_y);

        for (int32_t out_x = 0; out_x < pool->output_size; out_x++)
        {
            const kanji_window columns = window_at(pool, out_x);
            const kanji_block_q7 block = {
                pool->input + rows.input * row_pitch + columns.input * channels,
                rows.count,
                row_pitch,
                columns.count,
                channels,
            };

            reduce(block, channels, output);
            output += channels;
        }
    }
}

/* The DSP path. */
static void pool_x_in_place_then_y(const kanji_pooling_q7 *pool, kanji_reduce_q7 reduce)
{
    const int32_t channels = pool->channels;
    const int32_t row_pitch = pool->input_size * channels;
    const int32_t out_pitch = pool->output_size * channels;

    for (int32_t y = 0; y < pool->input_size; y++)
    {
        q7_t *row = pool->input + y * row_pitch;

        /* padding < stride: the window of a pixel never starts before that pixel. */
        for (int32_t out_x = 0; out_x < pool->output_size; out_x++)
        {
            const kanji_window columns = window_at(pool, out_x);
            const kanji_block_q7 block = {
                row + columns.input * channels, 1, 0, columns.count, channels};

            reduce(block, channels, row + out_x * channels);
        }
    }
    for (int32_t out_y = 0; out_y < pool->output_size; out_y++)
    {
        const kanji_window rows = window_at(pool, out_y);
        const kanji_block_q7 block = {
            pool->input + rows.input * row_pitch, rows.count, row_pitch, 1, 0};

        reduce(block, out_pitch, pool->output + out_y * out_pitch);
    }
}

void kanji_pool_q7(const kanji_pooling_q7 *pool, kanji_reduce_q7 reduce)
{
    if (!arguments_ok(pool))
    {
        return;
    }
    if (KANJI_NN_DSP)
    {
        pool_x_in_place_then_y(pool, reduce);
    }
    else
    {
        pool_both_axes(pool, reduce);
    }
}
