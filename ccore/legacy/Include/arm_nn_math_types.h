/* SPDX-License-Identifier: Apache-2.0
 *
 * Types and status codes of the legacy API, with the names and values of CMSIS 5.9.0, so
 * that a program compiles unchanged against either. Only those that ccore uses.
 */
#ifndef ARM_NN_MATH_TYPES_H
#define ARM_NN_MATH_TYPES_H

#include <stdint.h>

#include "kanji_config.h"

/* The compiler's target decides which of the library's two paths is built, as there. */
#if defined(__ARM_FEATURE_DSP) && !defined(ARM_MATH_DSP)
#if __ARM_FEATURE_DSP == 1
#define ARM_MATH_DSP 1
#endif
#endif

#if defined(__ARM_FEATURE_MVE) && !defined(ARM_MATH_MVEI)
#if __ARM_FEATURE_MVE
#define ARM_MATH_MVEI
#endif
#endif

typedef int8_t q7_t;
typedef int16_t q15_t;

typedef enum
{
    ARM_MATH_SUCCESS = 0,
    ARM_MATH_ARGUMENT_ERROR = -1,
    ARM_MATH_LENGTH_ERROR = -2,
    ARM_MATH_SIZE_MISMATCH = -3,
    ARM_MATH_NANINF = -4,
    ARM_MATH_SINGULAR = -5,
    ARM_MATH_TEST_FAILURE = -6,
    ARM_MATH_DECOMPOSITION_FAILURE = -7
} arm_status;

#endif
