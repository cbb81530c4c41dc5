#include "collimate/data/tokenization.hpp"

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

void require_same_tokenization(const Tokenization& left, const std::string& left_owner, const Tokenization& right,
                               const std::string& right_owner) {
  std::string differences;
  const auto compare = [&](const char* field, const auto& of_left, const auto& of_right) {
    if (of_left != of_right) differences += fmt::format("\n  {}: {} against {}", field, of_left, of_right);
  };
  compare("tokenizer_fingerprint", left.tokenizer_fingerprint, right.tokenizer_fingerprint);
  compare("chat_template_fingerprint", left.chat_template_fingerprint, right.chat_template_fingerprint);
  compare("overlong", left.overlong, right.overlong);
  compare("max_length", left.max_length, right.max_length);
  compare("vocab_size", left.vocab_size, right.vocab_size);
  if (differences.empty()) return;
  throw InputError(
      fmt::format("{} and {} were tokenized differently; tokenize both with the same model folder and options:{}",
                  left_owner, right_owner, differences));
}

}  // namespace collimate
