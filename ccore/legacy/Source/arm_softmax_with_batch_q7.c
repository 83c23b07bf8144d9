/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "arm_nnfunctions.h"

void arm_softmax_with_batch_q7(const q7_t *vec_in,
                               const uint16_t nb_batches,
                               const uint16_t dim_vec,
                               q7_t *p_out)
{
    if (vec_in == NULL || p_out == NULL)
    {
        return;
    }
    for (int32_t i = 0; i < nb_batches; i++)
    {
        arm_softmax_q7(vec_in + i * dim_vec, dim_vec, p_out + i * dim_vec);
    }
}
