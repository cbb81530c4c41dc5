// What `inspect` says of preference files, reference stores and model folders.

#include <array>
#include <vector>

#include <fmt/format.h>

#include "collimate/data/preference_dataset.hpp"
#include "collimate/io/hdf5.hpp"
#include "collimate/io/safetensors.hpp"
#include "collimate/store/model_folder.hpp"
#include "collimate/store/reference_store.hpp"
#include "describe.hpp"
#include "histogram.hpp"

namespace collimate::detail {

namespace {

std::string describe_tokenization(const Tokenization& tokenization) {
  return fmt::format(
      "  tokenizer      {}\n  chat template  {}\n  max_length     {} (overlong: {})\n  vocab_size     {}\n",
      tokenization.tokenizer_fingerprint, tokenization.chat_template_fingerprint, tokenization.max_length,
      tokenization.overlong, tokenization.vocab_size);
}

/// Count and bytes of tensors.
template <class Tensors>
std::string describe_tensors(const Tensors& tensors) {
  std::uint64_t num_bytes = 0;
  std::uint64_t num_elements = 0;
  for (const TensorInfo& tensor : tensors) {
    num_bytes += tensor.num_bytes();
    num_elements += tensor.num_bytes() / element_bytes(tensor.dtype);
  }
  return fmt::format("  {} tensors, {} elements, {} bytes\n", tensors.size(), num_elements, num_bytes);
}

/// What a labelled token of a response gets on average, by pair.
std::string describe_log_probs(const std::vector<ReferenceRow>& rows) {
  std::vector<double> chosen;
  std::vector<double> rejected;
  for (const ReferenceRow& row : rows) {
    chosen.push_back(row.chosen_logps / row.num_chosen_tokens);
    rejected.push_back(row.rejected_logps / row.num_rejected_tokens);
  }
  return fmt::format("  log-prob a token of chosen\n{}  log-prob a token of rejected\n{}", histogram(chosen),
                     histogram(rejected));
}

}  // namespace

std::string describe_preferences(const std::string& path, InspectDepth depth) {
  const std::array sources{DataSource{.path = path}};
  const PreferenceDataset pairs(path, sources, 0.0);
  const Tokenization& tokenization = pairs.tokenization();
  if (depth == InspectDepth::kVerify) {
    pairs.scan_tokens(0, pairs.size(), tokenization.vocab_size);
    const Hdf5Reader reader(path);
    static_cast<void>(reader.dataset("source").read<std::uint16_t>());
    static_cast<void>(reader.read_texts("source_names"));
  }
  return fmt::format(
      "preference file {}\n  {} pairs, {} tokens, {} of them labelled, at most {} in a prompt with a response\n{}"
      "  counts         {}\n",
      path, pairs.size(), pairs.num_tokens(), pairs.num_labelled_tokens(), pairs.longest_sequence(),
      describe_tokenization(tokenization), Hdf5Reader(path).text_attribute("counts"));
}

std::string describe_reference_store(const std::string& path, InspectDepth depth) {
  const TokenValues tokens = depth == InspectDepth::kVerify ? TokenValues::kRead : TokenValues::kSkip;
  const ReferenceStore store = ReferenceStore::open(path, tokens);  // reads and checks every row
  const ReferenceIdentity& identity = store.identity();
  const ReferenceForm& form = store.form();
  return fmt::format(
      "reference store {}\n  {} pairs, scored in {}, {} tokens a microbatch, {} pairs a block{}\n  weights        {}\n"
      "  model config   {}\n{}{}",
      path, store.rows().size(), enum_name(identity.dtype), form.microbatch_tokens, form.block_pairs,
      form.per_token ? ", with values of single tokens" : "", identity.weights_fingerprint,
      identity.model_config_fingerprint, describe_tokenization(identity.tokenization),
      describe_log_probs(store.rows()));
}

std::string describe_safetensors(const std::string& path) {
  return fmt::format("safetensors file {}\n{}", path, describe_tensors(SafetensorsFile(path).tensors()));
}

std::string describe_model_folder(const std::string& path, InspectDepth depth) {
  const ModelFolder folder = ModelFolder::open(path);
  const ModelSpec& spec = folder.spec();
  const auto tokenizer = folder.tokenizer_fingerprint();
  std::string text =
      fmt::format("model folder {}\n  {}: {} layers, hidden {}, {} heads, {} kv heads, vocabulary {}\n{}", path,
                  spec.architecture, spec.num_layers, spec.hidden_size, spec.num_heads, spec.num_kv_heads,
                  spec.vocab_size, describe_tensors(folder.tensors()));
  text += fmt::format("  model config   {}\n  tokenizer      {}\n", folder.config_fingerprint().hex(),
                      tokenizer ? tokenizer->hex() : "none");
  for (const std::string& remark : folder.remarks()) text += fmt::format("  note: {}\n", remark);
  if (depth == InspectDepth::kVerify) text += fmt::format("  weights        {}\n", folder.weights_fingerprint().hex());
  return text;
}

}  // namespace collimate::detail
