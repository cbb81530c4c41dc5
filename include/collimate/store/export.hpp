#pragma once
// Writing a Hugging Face folder that transformers and vLLM load.

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include <ATen/core/Tensor.h>

#include "collimate/config/enum_names.hpp"
#include "collimate/store/model_source.hpp"

namespace collimate {

/// dtype of exported weights; kSource: as each tensor is stored in the source.
enum class ExportDtype { kSource, kFloat32, kFloat16, kBfloat16, kFloat64 };

template <>
inline constexpr auto enum_names<ExportDtype> =
    std::to_array<EnumName<ExportDtype>>({{ExportDtype::kSource, "source"},
                                          {ExportDtype::kFloat32, "float32"},
                                          {ExportDtype::kFloat16, "float16"},
                                          {ExportDtype::kBfloat16, "bfloat16"},
                                          {ExportDtype::kFloat64, "float64"}});

struct ExportOptions {
  std::string folder;  ///< Must not exist, or be empty.
  ExportDtype dtype = ExportDtype::kSource;
  std::uint64_t max_shard_bytes = 5'000'000'000;
};

/// Gives the whole weights by logical name, in any floating dtype, on any device.
using LoadTensor = std::function<at::Tensor(const std::string& name)>;

/// Writes config.json (the source's; only dtype or torch_dtype and tie_word_embeddings change, and only if they must),
/// the source's companions byte for byte, and `weights` in shards with an index where there are several. The folder
/// appears whole or not at all. *Local.* Throws InputError when the target is in use or cannot be created, Error when
/// writing fails.
void export_model_folder(const ModelSource& source, const LoadTensor& weights, const ExportOptions& options);

}  // namespace collimate
