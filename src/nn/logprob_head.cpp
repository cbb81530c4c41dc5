#include "collimate/nn/logprob_head.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "collimate/base/error.hpp"
#include "collimate/nn/product.hpp"
#include "collimate/nn/wide_dtype.hpp"
#include "device_kernels.hpp"
#include "upload.hpp"

namespace collimate {

namespace {

using detail::DeviceKernels;
using detail::kernels_for;
using detail::LocalLabels;
using detail::LogitStatistics;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The labelled rows as three int64 tensors [rows], on the device of what they index.
struct RowTensors {
  at::Tensor row;
  at::Tensor label;
  at::Tensor response;
};

RowTensors row_tensors(std::span<const LabelledRow> rows, at::Device device) {
  const auto column = [&](auto field) {
    std::vector<std::int64_t> values;
    values.reserve(rows.size());
    for (const LabelledRow& row : rows) values.push_back(row.*field);
    return detail::upload(values, device);
  };
  return {.row = column(&LabelledRow::row),
          .label = column(&LabelledRow::label),
          .response = column(&LabelledRow::response_index)};
}

void check_rows(std::span<const LabelledRow> rows, std::int64_t num_tokens, std::int64_t vocab_size,
                std::int64_t num_responses) {
  const auto inside = [](std::int64_t value, std::int64_t bound) { return value >= 0 && value < bound; };
  for (const LabelledRow& entry : rows) {
    check(inside(entry.row, num_tokens), "a labelled row is in the stream");
    check(inside(entry.label, vocab_size), "a label is in the vocabulary");
    check(inside(entry.response_index, num_responses), "a labelled row belongs to a response");
  }
}

DeviceType device_type(const at::Tensor& tensor) { return tensor.is_cuda() ? DeviceType::kCuda : DeviceType::kCpu; }

at::Tensor wide(const at::Tensor& tensor) { return tensor.to(wide_dtype(tensor.scalar_type())); }

// Calls work(first, count) for chunks of labelled rows whose logits fit in `chunk_bytes`.
template <class Work>
void for_chunks(std::int64_t num_rows, const at::Tensor& weight, std::int64_t chunk_bytes, const Work& work) {
  const auto element_bytes = static_cast<std::int64_t>(weight.element_size());
  const std::int64_t row_bytes = weight.size(0) * logit_bytes(device_type(weight), element_bytes);
  const std::int64_t chunk_rows = head_chunk_rows(row_bytes, chunk_bytes);
  for (std::int64_t first = 0; first < num_rows; first += chunk_rows) {
    work(first, std::min(chunk_rows, num_rows - first));
  }
}

// Where a rank's part of the vocabulary lies, and which labels are in it.
LocalLabels local_labels(const at::Tensor& labels, std::int64_t vocab_begin, std::int64_t vocab_length) {
  const at::Tensor index = labels - vocab_begin;
  const at::Tensor is_local = index.ge(0).logical_and(index.lt(vocab_length));
  return {.index = index.masked_fill(is_local.logical_not(), 0), .is_local = is_local};
}

// What each row's log-prob needs, float64 [rows]: from this rank's part of the vocabulary, or from all of it.
struct RowStatistics {
  at::Tensor log_sum_exp;
  at::Tensor label_logit;  // 0 for a label elsewhere
};

RowStatistics combine_over_vocabulary(const RowStatistics& own, const TensorAxis& axis) {
  if (axis.size() == 1) return own;
  const at::Tensor mine = at::stack({own.log_sum_exp, own.label_logit});
  at::Tensor all = at::empty({axis.size(), 2, own.log_sum_exp.size(0)}, mine.options());
  axis.group->all_gather(all, mine);
  return {.log_sum_exp = all.select(1, 0).logsumexp(0), .label_logit = all.select(1, 1).sum(0)};
}

RowStatistics local_statistics(const at::Tensor& hidden, const HeadShard& head, const RowTensors& rows,
                               std::int64_t chunk_bytes) {
  const at::Tensor& weight = head.weight;
  const std::int64_t num_rows = rows.row.size(0);
  const auto options = hidden.options().dtype(at::kDouble).requires_grad(false);
  const RowStatistics result{.log_sum_exp = at::empty({num_rows}, options),
                             .label_logit = at::empty({num_rows}, options)};
  const LocalLabels labels = local_labels(rows.label, head.vocab_begin, weight.size(0));
  const DeviceKernels& kernels = kernels_for(hidden.device());
  for_chunks(num_rows, weight, chunk_bytes, [&](std::int64_t first, std::int64_t count) {
    const auto part = [&](const at::Tensor& tensor) { return tensor.narrow(0, first, count); };
    const LogitStatistics own = kernels.logit_statistics(product(hidden.index_select(0, part(rows.row)), weight),
                                                         {part(labels.index), part(labels.is_local)});
    part(result.label_logit).copy_(own.label_logit);
    part(result.log_sum_exp).copy_(own.log_sum_exp);
  });
  return result;
}

// What the function takes besides tensors that have gradients.
struct HeadCall {
  const HeadShard& head;
  RowTensors rows;
  std::int64_t num_responses;
  std::int64_t chunk_bytes;
};

// Chunks add up in wide_dtype.
void add_chunk_gradient(at::Tensor& sum, const at::Tensor& grad_logits, const at::Tensor& x) {
  const at::ScalarType dtype = wide_dtype(x.scalar_type());
  if (x.is_cuda()) {
    if (!sum.defined()) sum = at::zeros({grad_logits.size(1), x.size(1)}, x.options().dtype(dtype));
    add_weight_gradient(sum, grad_logits, x);
  } else if (x.scalar_type() == dtype) {
    sum = weight_gradient(grad_logits, x, sum);
  } else {
    const at::Tensor own = weight_gradient(grad_logits, x);
    sum = sum.defined() ? sum.add_(own) : wide(own);
  }
}

class LogProbFunction : public torch::autograd::Function<LogProbFunction> {
 public:
  // `weight` is call.head.weight, where autograd can see it.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& weight,
                               const HeadCall& call) {
    const RowTensors& rows = call.rows;
    const RowStatistics own = local_statistics(hidden, call.head, rows, call.chunk_bytes);
    const RowStatistics all = combine_over_vocabulary(own, call.head.axis);
    const at::Tensor tokens = all.label_logit - all.log_sum_exp;
    const at::Tensor sums = at::zeros({call.num_responses}, tokens.options()).index_add_(0, rows.response, tokens);
    ctx->save_for_backward(
        {hidden, weight, rows.row, rows.label, rows.response, all.log_sum_exp.to(wide_dtype(hidden.scalar_type()))});
    ctx->saved_data["chunk_bytes"] = call.chunk_bytes;
    ctx->saved_data["vocab_begin"] = call.head.vocab_begin;
    ctx->mark_non_differentiable({tokens});
    return {sums, tokens};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& hidden = saved[0];
    const at::Tensor& weight = saved[1];
    const RowTensors rows{.row = saved[2], .label = saved[3], .response = saved[4]};
    const LocalLabels labels = local_labels(rows.label, ctx->saved_data["vocab_begin"].toInt(), weight.size(0));
    const at::Tensor row_grad = grads[0].index_select(0, rows.response).neg().to(saved[5].scalar_type()).unsqueeze(1);
    const at::Tensor grad_hidden = at::zeros(hidden.sizes(), saved[5].options());
    const DeviceKernels& kernels = kernels_for(hidden.device());
    at::Tensor grad_weight;
    for_chunks(rows.row.size(0), weight, ctx->saved_data["chunk_bytes"].toInt(),
               [&](std::int64_t first, std::int64_t count) {
                 const auto part = [&](const at::Tensor& tensor) { return tensor.narrow(0, first, count); };
                 const at::Tensor chunk = hidden.index_select(0, part(rows.row));
                 const at::Tensor grad_logits = kernels.logit_gradient(product(chunk, weight), part(saved[5]),
                                                                       {part(labels.index), part(labels.is_local)});
                 // A row's factor scales the small matrices, not the logits.
                 grad_hidden.index_add_(0, part(rows.row), wide(product(grad_logits, weight.t())).mul_(part(row_grad)));
                 if (!ctx->needs_input_grad(1)) return;
                 add_chunk_gradient(grad_weight, grad_logits, (chunk * part(row_grad)).to(weight.scalar_type()));
               });
    if (!grad_weight.defined()) grad_weight = at::zeros_like(weight);
    return {grad_hidden.to(hidden.scalar_type()), grad_weight, {}};
  }
};

}  // namespace

HeadShard whole_head(const at::Tensor& weight) {
  return {.weight = weight, .vocab_begin = 0, .vocab_size = weight.size(0), .axis = {}};
}

ResponseLogProbs response_log_probs(const at::Tensor& hidden, const HeadShard& head, std::span<const LabelledRow> rows,
                                    std::int64_t num_responses, const LogProbHeadOptions& options) {
  check(hidden.dim() == 2 && head.weight.dim() == 2 && hidden.size(1) == head.weight.size(1),
        "hidden and head weight fit");
  const at::Tensor all_rows = enter_tensor_axis(hidden, head.axis);
  check_rows(rows, all_rows.size(0), head.vocab_size, num_responses);
  const HeadCall call{.head = head,
                      .rows = row_tensors(rows, hidden.device()),
                      .num_responses = num_responses,
                      .chunk_bytes = options.chunk_bytes.value_or(head_chunk_bytes(device_type(hidden)))};
  variable_list outputs = LogProbFunction::apply(all_rows, head.weight, call);
  return {.sums = outputs[0], .tokens = outputs[1]};
}

}  // namespace collimate
