#pragma once
// How preference text became token ids. Files that are used together, the reference store and the model folder must
// agree on it, or log-probabilities of different token sequences would be compared.

#include <cstdint>
#include <string>

namespace collimate {

/// The record of one preference file. Fingerprints are 32 hexadecimal digits of XXH3-128.
struct Tokenization {
  std::string tokenizer_fingerprint;      ///< of the bytes of tokenizer.json
  std::string chat_template_fingerprint;  ///< of the template's text, "" where there is none
  std::string overlong;                   ///< drop | cut_response | cut_prompt_left
  std::int64_t max_length = 0;            ///< most tokens of prompt + response
  std::int64_t vocab_size = 0;
  bool operator==(const Tokenization&) const = default;
};

/// Throws one InputError that lists every field in which the two differ, with both values and both owners (file names).
void require_same_tokenization(const Tokenization& left, const std::string& left_owner, const Tokenization& right,
                               const std::string& right_owner);

}  // namespace collimate
