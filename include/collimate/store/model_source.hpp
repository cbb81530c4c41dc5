#pragma once
// Where a model's initial weights come from: a Hugging Face folder (model_folder.hpp) or a seed (initialize.hpp). What
// both share: a config.json that describes the model, and the tokenizer files beside it.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include "collimate/base/hash.hpp"
#include "collimate/io/safetensors.hpp"
#include "collimate/model/config.hpp"
#include "collimate/model/spec.hpp"
#include "collimate/store/fingerprint_cache.hpp"

namespace collimate {

/// Hash of one tensor's stored bytes.
struct TensorHash {
  TensorInfo info;
  Hash128 hash;
};

/// Fingerprint of weights: XXH3-128 of one line "NAME DTYPE [d0,d1] HASH\n" a tensor, sorted by name. Independent of
/// how tensors are spread over files, and of the order of `tensors`, so that ranks may hash a part each.
Hash128 combine_tensor_hashes(std::span<const TensorHash> tensors);

/// Initial weights by logical name. Immutable; any thread may read.
class ModelSource {
 public:
  virtual ~ModelSource() = default;

  /// The config file's, but for a head that the weights have untied.
  [[nodiscard]] const ModelSpec& spec() const noexcept { return spec_; }
  /// The file that describes the model.
  [[nodiscard]] const std::string& config_path() const noexcept { return config_path_; }

  /// The logical tensors with the dtype they are stored in, in the order of logical_tensors(spec()).
  [[nodiscard]] virtual const std::vector<TensorInfo>& tensors() const = 0;
  /// A tensor of its own, on the CPU, contiguous, converted to `dtype`. *Local.* Throws InvariantError for another
  /// name.
  [[nodiscard]] virtual at::Tensor load(const std::string& name, at::ScalarType dtype) const = 0;
  /// The tensor as it is stored, lent where the source has it in memory or mapped: to be read and copied from, as long
  /// as the source lives. *Local.* Throws as `load`.
  [[nodiscard]] virtual at::Tensor borrow(const std::string& name) const = 0;
  /// Hashes of the bytes as stored: tensors()[i] for each i of `chosen`, in its order. Reads these tensors, with all
  /// threads. *Local.*
  [[nodiscard]] virtual std::vector<Hash128> tensor_hashes(std::span<const std::size_t> chosen) const = 0;
  /// Where the fingerprint is kept from job to job; nullopt for weights that are not files. *Local.*
  [[nodiscard]] virtual std::optional<FingerprintCache> fingerprint_cache() const { return std::nullopt; }
  /// The files that belong to the model beside config and weights, such as tokenizer and chat templates, relative to
  /// the folder of config_path(), sorted. *Local.*
  [[nodiscard]] virtual std::vector<std::string> companions() const = 0;
  /// Warnings about the model, one line each, which name the file: of flags that the weights contradict, and of weights
  /// that are not read. Mostly none.
  [[nodiscard]] const std::vector<std::string>& remarks() const noexcept { return remarks_; }

  /// combine_tensor_hashes over all tensors. Reads all weights once, whatever a cache says; weights_fingerprint.hpp has
  /// what need not. *Local.*
  [[nodiscard]] Hash128 weights_fingerprint() const;
  /// Hash of the tensors' names, dtypes and shapes. Reads no weights.
  [[nodiscard]] Hash128 tensor_list_hash() const;
  /// XXH3-128 of config.json's canonical form (sorted keys, no spaces) without what does not change the computation:
  /// dtype, torch_dtype, transformers_version, _name_or_path, use_cache; tie_word_embeddings as spec() has it.
  [[nodiscard]] Hash128 config_fingerprint() const;
  /// XXH3-128 of the bytes of tokenizer.json beside config.json; nullopt when there is none.
  [[nodiscard]] std::optional<Hash128> tokenizer_fingerprint() const;
  /// XXH3-128 of the chat template's text: chat_template.jinja, else "chat_template" of tokenizer_config.json; nullopt
  /// when there is none, since preferences may have been tokenized with a template from elsewhere.
  [[nodiscard]] std::optional<Hash128> chat_template_fingerprint() const;

 protected:
  /// Reads and checks the config file. Throws InputError.
  explicit ModelSource(std::string config_path);
  /// For weights with a head of their own although the config file ties it to the embedding: spec() has it untied from
  /// here on.
  void untie_head();
  void add_remark(std::string remark) { remarks_.push_back(std::move(remark)); }

 private:
  std::string config_path_;
  std::string config_text_;
  ModelSpec spec_;
  std::vector<std::string> remarks_;
};

/// Opens what section `model` of the configuration names: a folder by `path`, or random weights by `config`,
/// `initialize` and `init_seed`. *Local.* Throws InputError.
std::unique_ptr<ModelSource> open_model_source(const ModelConfig& config);

}  // namespace collimate
