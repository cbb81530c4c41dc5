#pragma once
// What compute actions hand to each other. That an action needs what others made is the one rule behind the generators,
// the messages, the validator and the simulator.

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collimate/pipeline/schedule.hpp"

namespace collimate {

/// The output of a stage, or the gradient of its input, of one microbatch.
struct Product {
  bool is_gradient = false;
  int stage = 0;
  int microbatch = 0;
  bool operator==(const Product&) const = default;
};

/// What a compute action makes for others; a weight gradient is for nobody.
std::optional<Product> product_of(const Action& action);

/// The rank that needs `product` and did not make it.
std::optional<int> receiver_of(const Schedule& schedule, const Product& product);

/// What a message carries, and the two messages that carry a product.
Product carried_by(const Action& message);
Action send_of(const Product& product);
Action receive_of(const Product& product);

/// "the output of stage 1, microbatch 2".
std::string describe(const Product& product);

/// Calls `visit` with each product that must be there before `action`; receives need nothing.
template <class Visit>
void for_each_need(const Action& action, int num_stages, Visit visit) {
  const auto [kind, stage, microbatch] = action;
  if (kind == ActionKind::kForward && stage > 0) visit(Product{false, stage - 1, microbatch});
  if (kind == ActionKind::kBackward || kind == ActionKind::kInputGradient) {
    visit(Product{false, stage, microbatch});
    if (stage + 1 < num_stages) visit(Product{true, stage + 1, microbatch});
  }
  if (kind == ActionKind::kWeightGradient) visit(Product{true, stage, microbatch});
  if (is_send(kind)) visit(carried_by(action));
}

/// One value for every product of a schedule.
template <class Value>
class ProductTable {
 public:
  ProductTable(int num_stages, int num_microbatches, Value initial)
      : num_microbatches_(num_microbatches),
        values_(2 * static_cast<std::size_t>(num_stages) * static_cast<std::size_t>(num_microbatches),
                std::move(initial)) {}

  Value& operator[](const Product& product) {
    const auto row = 2 * static_cast<std::size_t>(product.stage) + (product.is_gradient ? 1U : 0U);
    return values_[row * static_cast<std::size_t>(num_microbatches_) + static_cast<std::size_t>(product.microbatch)];
  }

 private:
  int num_microbatches_;
  std::vector<Value> values_;
};

}  // namespace collimate
