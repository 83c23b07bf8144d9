/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

static int32_t size_per_channel(int channels, int32_t size)
{
    if (channels < 1 || channels > INT32_MAX / (int32_t)sizeof(int32_t))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return channels * size;
}

int32_t arm_avgpool_s8_get_buffer_size(int dim_dst_width, int ch_src)
{
#if defined(KANJI_CORE_MVE)
    return arm_avgpool_s8_get_buffer_size_mve(dim_dst_width, ch_src);
#elif defined(KANJI_CORE_DSP)
    return arm_avgpool_s8_get_buffer_size_dsp(dim_dst_width, ch_src);
#else
    (void)dim_dst_width;
    return size_per_channel(ch_src, 0);
#endif
}

int32_t arm_avgpool_s8_get_buffer_size_dsp(int dim_dst_width, int ch_src)
{
    (void)dim_dst_width;
    return size_per_channel(ch_src, (int32_t)sizeof(int32_t));
}

int32_t arm_avgpool_s8_get_buffer_size_mve(int dim_dst_width, int ch_src)
{
    (void)dim_dst_width;
    return size_per_channel(ch_src, 0);
}
