"""CMSIS-NN's legacy API ("q7", CMSIS 5): what it has, how it is called, its limits.

library           roundings, how core classes differ
calls             what the calls of all layers with weights share
convolution       `arm_convolve_HWC_q7_*`, `arm_depthwise_separable_conv_HWC_q7`
fully_connected   `arm_fully_connected_q7_opt`
pooling           `arm_maxpool_q7_HWC`, `arm_avepool_q7_HWC`
"""
