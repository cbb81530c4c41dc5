// What `inspect` says of preference files, reference stores and model folders.

#include <algorithm>
#include <numeric>
#include <vector>

#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/data/preference_file.hpp"
#include "collimate/io/safetensors.hpp"
#include "collimate/store/model_folder.hpp"
#include "collimate/store/reference_store.hpp"
#include "describe.hpp"
#include "histogram.hpp"

namespace collimate::detail {

namespace {

void add_tokenization(Description& description, const Tokenization& tokenization) {
  description["max_length"] = tokenization.max_length;
  description["overlong"] = tokenization.overlong;
  description["vocab_size"] = tokenization.vocab_size;
}

Description fingerprints_of(const Tokenization& tokenization) {
  return {{"tokenizer", tokenization.tokenizer_fingerprint}, {"chat_template", tokenization.chat_template_fingerprint}};
}

template <class Tensors>
void add_tensors(Description& description, const Tensors& tensors) {
  std::uint64_t num_bytes = 0;
  std::uint64_t num_elements = 0;
  for (const TensorInfo& tensor : tensors) {
    num_bytes += tensor.num_bytes();
    num_elements += tensor.num_bytes() / element_bytes(tensor.dtype);
  }
  description["tensors"] = tensors.size();
  description["elements"] = num_elements;
  description["bytes"] = num_bytes;
}

/// What a labelled token of a response gets on average, by pair.
void add_log_probs(Description& description, const std::vector<ReferenceRow>& rows) {
  std::vector<double> chosen;
  std::vector<double> rejected;
  for (const ReferenceRow& row : rows) {
    chosen.push_back(row.chosen_logps / row.num_chosen_tokens);
    rejected.push_back(row.rejected_logps / row.num_rejected_tokens);
  }
  description["chosen_logps_by_token"] = histogram(chosen);
  description["rejected_logps_by_token"] = histogram(rejected);
}

/// What became of the rows, as the tokenizer has counted them.
Description counts_of(const PreferenceFile& file) {
  try {
    static_cast<void>(parse_json(file.counts(), file.path()));  // bounds the nesting
    return Description::parse(file.counts());
  } catch (const InputError&) {
    return file.counts();
  }
}

void add_lengths(Description& description, const PreferenceFile& file) {
  std::int64_t num_labelled = 0;
  std::int64_t longest = 0;
  for (std::uint64_t row = 0; row < file.num_pairs(); ++row) {
    num_labelled += num_labelled_tokens(file.lengths(row), {});
    longest = std::max(longest, file.lengths(row).longest_sequence());
  }
  description["labelled_tokens"] = num_labelled;
  description["longest_sequence"] = longest;
}

void scan_all_tokens(const PreferenceFile& file) {
  std::vector<std::uint64_t> rows(file.num_pairs());
  std::iota(rows.begin(), rows.end(), std::uint64_t{0});
  file.scan_tokens(rows, file.tokenization().vocab_size);
}

}  // namespace

Description describe_preferences(const std::string& path, InspectDepth depth) {
  const PreferenceFile file(path);
  if (depth == InspectDepth::kVerify) scan_all_tokens(file);
  Description description{
      {"kind", "preference file"}, {"path", path}, {"pairs", file.num_pairs()}, {"tokens", file.num_tokens()}};
  add_lengths(description, file);
  add_tokenization(description, file.tokenization());
  description["sources"] = file.source_names();
  description["counts"] = counts_of(file);
  description["fingerprints"] = fingerprints_of(file.tokenization());
  return description;
}

Description describe_reference_store(const std::string& path, InspectDepth depth) {
  const TokenValues tokens = depth == InspectDepth::kVerify ? TokenValues::kRead : TokenValues::kSkip;
  const ReferenceStore store = ReferenceStore::open(path, tokens);  // reads and checks every row
  const ReferenceIdentity& identity = store.identity();
  const ReferenceForm& form = store.form();
  Description description{{"kind", "reference store"},
                          {"path", path},
                          {"pairs", store.rows().size()},
                          {"dtype", enum_name(identity.dtype)},
                          {"microbatch_tokens", form.microbatch_tokens},
                          {"block_pairs", form.block_pairs},
                          {"per_token", form.per_token}};
  add_tokenization(description, identity.tokenization);
  add_log_probs(description, store.rows());
  description["fingerprints"] = {{"weights", identity.weights_fingerprint},
                                 {"model_config", identity.model_config_fingerprint}};
  description["fingerprints"].update(fingerprints_of(identity.tokenization));
  return description;
}

Description describe_safetensors(const std::string& path) {
  Description description{{"kind", "safetensors file"}, {"path", path}};
  add_tensors(description, SafetensorsFile(path).tensors());
  return description;
}

Description describe_model_folder(const std::string& path, InspectDepth depth) {
  const ModelFolder folder = ModelFolder::open(path);
  const ModelSpec& spec = folder.spec();
  Description description{{"kind", "model folder"},
                          {"path", path},
                          {"architecture", spec.architecture},
                          {"layers", spec.num_layers},
                          {"hidden_size", spec.hidden_size},
                          {"heads", spec.num_heads},
                          {"kv_heads", spec.num_kv_heads},
                          {"vocab_size", spec.vocab_size}};
  add_tensors(description, folder.tensors());
  Description fingerprints{{"model_config", folder.config_fingerprint().hex()}};
  const auto tokenizer = folder.tokenizer_fingerprint();
  fingerprints["tokenizer"] = tokenizer ? Description(tokenizer->hex()) : Description();
  if (depth == InspectDepth::kVerify) fingerprints["weights"] = folder.weights_fingerprint().hex();
  if (!folder.remarks().empty()) description["notes"] = folder.remarks();
  description["fingerprints"] = std::move(fingerprints);
  return description;
}

}  // namespace collimate::detail
