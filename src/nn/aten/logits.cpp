#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "../row_blocks.hpp"
#include "aten_kernels.hpp"
#include "collimate/nn/wide_dtype.hpp"

namespace collimate::detail::aten {

namespace {

at::Tensor wide(const at::Tensor& tensor) { return tensor.to(wide_dtype(tensor.scalar_type())); }

// log sum exp of each row; `logits` is used up as working memory.
at::Tensor consume_log_sum_exp(const at::Tensor& logits) {
  at::Tensor result = at::empty({logits.size(0)}, logits.options());
  for_row_blocks(logits, [&](std::int64_t row, std::int64_t count) {
    at::Tensor part = logits.narrow(0, row, count);
    const at::Tensor most = part.amax(1, true);
    result.narrow(0, row, count).copy_(part.sub_(most).exp_().sum(1).log_().add_(most.squeeze(1)));
  });
  return result;
}

}  // namespace

LogitStatistics logit_statistics(const at::Tensor& logits, const LocalLabels& labels) {
  const at::Tensor values = wide(logits);
  const at::Tensor labelled = values.gather(1, labels.index.unsqueeze(1)).squeeze(1).mul_(labels.is_local);
  return {.log_sum_exp = consume_log_sum_exp(values), .label_logit = labelled};
}

at::Tensor logit_gradient(const at::Tensor& logits, const at::Tensor& log_sum_exp, const LocalLabels& labels) {
  const at::Tensor values = wide(logits);
  const at::Tensor hit = labels.is_local.to(values.scalar_type()).neg().unsqueeze(1);
  const at::Tensor index = labels.index.unsqueeze(1);
  for_row_blocks(values, [&](std::int64_t row, std::int64_t count) {
    at::Tensor part = values.narrow(0, row, count);
    part.sub_(log_sum_exp.narrow(0, row, count).unsqueeze(1)).exp_();
    part.scatter_add_(1, index.narrow(0, row, count), hit.narrow(0, row, count));
  });
  return values.to(logits.scalar_type());
}

}  // namespace collimate::detail::aten
