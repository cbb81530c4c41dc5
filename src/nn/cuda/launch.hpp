#pragma once
// Launches of our own CUDA kernels. Everything is a pointer to the device's memory, contiguous, 16-byte aligned at its
// beginning; statistics and tables are float, or double for double elements. They return a cudaError_t and wait for
// nothing. Free of libtorch's headers, which nvcc does not need to read.

#include <cstdint>

struct CUstream_st;

namespace collimate::detail::cuda {

enum class Element { kBfloat16, kFloat, kDouble };

using Stream = CUstream_st*;

struct NormForward {
  Element element;
  const void* x;
  const void* delta;  ///< null: none
  const void* weight;
  void* sum;  ///< null where there is no delta
  void* out;
  void* inverse_rms;  ///< [rows]
  std::int64_t num_rows;
  int size;
  double epsilon;
};

struct NormBackward {
  Element element;
  const void* x;
  const void* weight;
  const void* inverse_rms;
  const void* grad_out;
  const void* grad_sum;  ///< null: none
  void* grad_x;
  void* partial;  ///< [norm_partial_rows(), size]: the weight's gradient is its sum over rows
  std::int64_t num_rows;
  int size;
};

struct Rotation {
  Element element;
  const void* from;
  void* to;
  const void* cos;  ///< [tokens, half]
  const void* sin;
  std::int64_t num_tokens;
  int num_heads;
  int half;
  int direction;
};

struct Gate {
  Element element;
  const void* gate;
  const void* up;
  const void* grad;  ///< forward: null
  void* first;       ///< the result; backward: the gate's gradient
  void* second;      ///< backward: up's gradient
  std::int64_t size;
};

struct Logits {
  Element element;
  void* logits;  ///< [rows, columns]; the gradient takes its place
  const std::int64_t* label;
  const bool* is_local;
  void* log_sum_exp;  ///< [rows]
  void* label_logit;  ///< [rows]
  std::int64_t num_rows;
  int num_columns;
};

/// Whether the norm's kernels take rows of this size: all of a row is in registers.
bool norm_fits(Element element, int size);
/// How many partial sums a norm's backward pass leaves.
int norm_partial_rows(const NormBackward& norm);

int launch_normalize(const NormForward& norm, Stream stream);
int launch_normalize_backward(const NormBackward& norm, Stream stream);
int launch_rotate(const Rotation& rotation, Stream stream);
int launch_gate(const Gate& gate, Stream stream);
int launch_gate_backward(const Gate& gate, Stream stream);
int launch_logit_statistics(const Logits& logits, Stream stream);
int launch_logit_gradient(const Logits& logits, Stream stream);

}  // namespace collimate::detail::cuda
