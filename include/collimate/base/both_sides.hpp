#pragma once
// Functions of numbers that a GPU's kernels and the CPU's tests share: nvcc compiles them for both.

#ifdef __CUDACC__
#define COLLIMATE_BOTH_SIDES __host__ __device__ inline
#else
#define COLLIMATE_BOTH_SIDES inline
#endif
