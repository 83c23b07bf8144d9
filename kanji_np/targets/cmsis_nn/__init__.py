"""CMSIS-NN's current API ("s8"): what it has, how it is called, where it is wrong.

library           versions, roundings, quantization schemes
calls             structs, contexts and constants that calls are made of
convolution       `arm_convolve_wrapper_s8`, `_s4`
depthwise         `arm_depthwise_conv_wrapper_s8`, `_s4`
fully_connected   `arm_fully_connected_s8`, `_s4`, `_per_channel_s8`
pooling           `arm_max_pool_s8`, `arm_avgpool_s8`
"""
