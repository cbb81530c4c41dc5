#include "products.hpp"

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

std::optional<Product> product_of(const Action& action) {
  switch (action.kind) {
    case ActionKind::kForward:
      return Product{false, action.stage, action.microbatch};
    case ActionKind::kBackward:
    case ActionKind::kInputGradient:
      return Product{true, action.stage, action.microbatch};
    default:
      return std::nullopt;
  }
}

std::optional<int> receiver_of(const Schedule& schedule, const Product& product) {
  const int user = product.stage + (product.is_gradient ? -1 : 1);
  if (user < 0 || user >= schedule.num_stages()) return std::nullopt;
  const int pp_rank = schedule.rank_of_stage[user];
  return pp_rank == schedule.rank_of_stage[product.stage] ? std::nullopt : std::optional(pp_rank);
}

Product carried_by(const Action& message) {
  switch (message.kind) {
    case ActionKind::kSendActivation:
      return {false, message.stage, message.microbatch};
    case ActionKind::kReceiveActivation:
      return {false, message.stage - 1, message.microbatch};
    case ActionKind::kSendGradient:
      return {true, message.stage, message.microbatch};
    case ActionKind::kReceiveGradient:
      return {true, message.stage + 1, message.microbatch};
    default:
      throw InvariantError("a compute action carries nothing: " + describe(message));
  }
}

Action send_of(const Product& product) {
  return {product.is_gradient ? ActionKind::kSendGradient : ActionKind::kSendActivation, product.stage,
          product.microbatch};
}

Action receive_of(const Product& product) {
  return {product.is_gradient ? ActionKind::kReceiveGradient : ActionKind::kReceiveActivation,
          product.stage + (product.is_gradient ? -1 : 1), product.microbatch};
}

std::string describe(const Product& product) {
  return fmt::format("the {} of stage {}, microbatch {}", product.is_gradient ? "gradient of the input" : "output",
                     product.stage, product.microbatch);
}

}  // namespace collimate
