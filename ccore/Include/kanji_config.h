/* SPDX-License-Identifier: Apache-2.0
 *
 * How the kernels are built: included by their headers before anything is declared. As it
 * stands it changes nothing. A program with kernels of several kinds in it, one for each of
 * its networks for example, gives every copy of the sources a file of its own in this
 * place, which may
 * - define the macros that choose a rounding or a core class, and
 * - give functions other names: #define arm_relu_q7 first_arm_relu_q7
 */
#ifndef KANJI_CONFIG_H
#define KANJI_CONFIG_H

#endif
