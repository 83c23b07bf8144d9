/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_q7.h"

/* The library adds up in int16 on DSP cores: 256 * -128 just fits. */
#define MAX_KERNEL 256

static void mean_of(kanji_block_q7 block, int32_t length, q7_t *y)
{
    for (int32_t i = 0; i < length; i++)
    {
        int32_t sum = 0;

        for (int32_t row = 0; row < block.rows; row++)
        {
            const q7_t *x = block.x + row * block.row_pitch + i;

            for (int32_t column = 0; column < block.columns; column++)
            {
                sum += x[column * block.column_pitch];
            }
        }
        y[i] = (q7_t)(sum / (block.rows * block.columns));
    }
}

void arm_avepool_q7_HWC(q7_t *Im_in,
                        const uint16_t dim_im_in,
                        const uint16_t ch_im_in,
                        const uint16_t dim_kernel,
                        const uint16_t padding,
                        const uint16_t stride,
                        const uint16_t dim_im_out,
                        q7_t *bufferA,
                        q7_t *Im_out)
{
    (void)bufferA;

    if (dim_kernel > MAX_KERNEL)
    {
        return;
    }

    const kanji_pooling_q7 pool = {
        .input = Im_in,
        .output = Im_out,
        .input_size = dim_im_in,
        .channels = ch_im_in,
        .kernel_size = dim_kernel,
        .padding = padding,
        .stride = stride,
        .output_size = dim_im_out,
    };

    kanji_pool_q7(&pool, mean_of);
}
