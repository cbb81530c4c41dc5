#include "collimate/nn/logprob_head.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "collimate/base/error.hpp"
#include "collimate/nn/product.hpp"
#include "row_blocks.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The labelled rows as three int64 tensors [rows].
struct RowTensors {
  at::Tensor row;
  at::Tensor label;
  at::Tensor response;
};

RowTensors row_tensors(std::span<const LabelledRow> rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  RowTensors tensors{at::empty({count}, at::kLong), at::empty({count}, at::kLong), at::empty({count}, at::kLong)};
  auto* row = tensors.row.data_ptr<std::int64_t>();
  auto* label = tensors.label.data_ptr<std::int64_t>();
  auto* response = tensors.response.data_ptr<std::int64_t>();
  for (const LabelledRow& entry : rows) {
    *row++ = entry.row;
    *label++ = entry.label;
    *response++ = entry.response_index;
  }
  return tensors;
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

// Calls work(first, count) for chunks of labelled rows whose logits fit in `chunk_bytes`.
template <class Work>
void for_chunks(std::int64_t num_rows, const at::Tensor& weight, std::int64_t chunk_bytes, const Work& work) {
  const std::int64_t row_bytes = weight.size(0) * weight.element_size();
  const std::int64_t chunk_rows = std::max<std::int64_t>(1, chunk_bytes / row_bytes);
  for (std::int64_t first = 0; first < num_rows; first += chunk_rows) {
    work(first, std::min(chunk_rows, num_rows - first));
  }
}

// log sum exp of each row; `logits` is used up as working memory.
at::Tensor consume_log_sum_exp(const at::Tensor& logits) {
  at::Tensor result = at::empty({logits.size(0)}, logits.options());
  detail::for_row_blocks(logits.size(0), logits.size(1), [&](std::int64_t row, std::int64_t count) {
    at::Tensor part = logits.narrow(0, row, count);
    const at::Tensor most = part.amax(1, true);
    result.narrow(0, row, count).copy_(part.sub_(most).exp_().sum(1).log_().add_(most.squeeze(1)));
  });
  return result;
}

// softmax minus one-hot label of each row, in place: the gradient of the negative log-prob in the logits.
void consume_to_gradient(const at::Tensor& logits, const at::Tensor& log_sum_exp, const at::Tensor& labels) {
  detail::for_row_blocks(logits.size(0), logits.size(1), [&](std::int64_t row, std::int64_t count) {
    at::Tensor part = logits.narrow(0, row, count);
    part.sub_(log_sum_exp.narrow(0, row, count).unsqueeze(1)).exp_();
    part.scatter_add_(1, labels.narrow(0, row, count).unsqueeze(1), at::full({count, 1}, -1, part.options()));
  });
}

class LogProbFunction : public torch::autograd::Function<LogProbFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& weight,
                               const RowTensors& rows, std::int64_t num_responses, std::int64_t chunk_bytes) {
    const std::int64_t num_rows = rows.row.size(0);
    const at::Tensor tokens = at::empty({num_rows}, at::kDouble);
    const at::Tensor log_sum_exp = at::empty({num_rows}, hidden.options());
    for_chunks(num_rows, weight, chunk_bytes, [&](std::int64_t first, std::int64_t count) {
      const at::Tensor logits = product(hidden.index_select(0, rows.row.narrow(0, first, count)), weight);
      const at::Tensor labelled = logits.gather(1, rows.label.narrow(0, first, count).unsqueeze(1)).squeeze(1);
      const at::Tensor chunk_lse = consume_log_sum_exp(logits);
      log_sum_exp.narrow(0, first, count).copy_(chunk_lse);
      tokens.narrow(0, first, count).copy_(labelled.to(at::kDouble) - chunk_lse.to(at::kDouble));
    });
    const at::Tensor sums = at::zeros({num_responses}, at::kDouble).index_add_(0, rows.response, tokens);
    ctx->save_for_backward({hidden, weight, rows.row, rows.label, rows.response, log_sum_exp});
    ctx->saved_data["chunk_bytes"] = chunk_bytes;
    ctx->mark_non_differentiable({tokens});
    return {sums, tokens};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& hidden = saved[0];
    const at::Tensor& weight = saved[1];
    const RowTensors rows{.row = saved[2], .label = saved[3], .response = saved[4]};
    const at::Tensor row_grad = grads[0].index_select(0, rows.response).neg().to(hidden.scalar_type()).unsqueeze(1);
    const at::Tensor grad_hidden = at::zeros_like(hidden);
    at::Tensor grad_weight;
    for_chunks(rows.row.size(0), weight, ctx->saved_data["chunk_bytes"].toInt(),
               [&](std::int64_t first, std::int64_t count) {
                 const auto part = [&](const at::Tensor& tensor) { return tensor.narrow(0, first, count); };
                 const at::Tensor chunk = hidden.index_select(0, part(rows.row));
                 const at::Tensor logits = product(chunk, weight);
                 consume_to_gradient(logits, part(saved[5]), part(rows.label));
                 // A row's factor scales the small matrices, not the logits.
                 grad_hidden.index_add_(0, part(rows.row), product(logits, weight.t()).mul_(part(row_grad)));
                 if (ctx->needs_input_grad(1))
                   grad_weight = weight_gradient(logits, chunk * part(row_grad), grad_weight);
               });
    if (!grad_weight.defined()) grad_weight = at::zeros_like(weight);
    return {grad_hidden, grad_weight, {}, {}, {}};
  }
};

}  // namespace

ResponseLogProbs response_log_probs(const at::Tensor& hidden, const at::Tensor& weight,
                                    std::span<const LabelledRow> rows, std::int64_t num_responses,
                                    const LogProbHeadOptions& options) {
  check(hidden.dim() == 2 && weight.dim() == 2 && hidden.size(1) == weight.size(1), "hidden and head weight fit");
  check_rows(rows, hidden.size(0), weight.size(0), num_responses);
  variable_list outputs = LogProbFunction::apply(hidden, weight, row_tensors(rows), num_responses, options.chunk_bytes);
  return {.sums = outputs[0], .tokens = outputs[1]};
}

}  // namespace collimate
