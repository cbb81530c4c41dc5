#include "model_place.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/io/input_file.hpp"
#include "input_errors.hpp"
#include "weight_files.hpp"

namespace collimate::detail {

namespace {

namespace fs = std::filesystem;

constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr const char* kMerge =
    "merge it into its base model with PEFT (AutoPeftModelForCausalLM.from_pretrained(FOLDER).merge_and_unload()), "
    "call save_pretrained on the result with another folder, and put the tokenizer's files there";
constexpr const char* kSave = "load it in transformers and call save_pretrained to get safetensors";

/// A name that gives away what a folder is.
struct Sign {
  std::string_view beginning;
  std::string_view ending;
  std::string_view what;
  std::string_view advice;
};

// The first that fits an entry of the folder. What has parts of other kinds stands before them.
constexpr std::array kSigns{
    Sign{"rank_00000.safetensors", "", "a checkpoint of Collimate",
         "write its weights as a model folder with: collimate export RUN.yaml --checkpoint FOLDER --output MODEL"},
    Sign{"metrics.jsonl", "", "a run of Collimate",
         "write its weights as a model folder with: collimate export RUN.yaml --output MODEL"},
    Sign{"adapter_model.", "", "the weights of an adapter", kMerge},
    Sign{"snapshots", "", "a model's place in the cache of Hugging Face",
         "give the folder in snapshots/ that you mean"},
    Sign{"checkpoint-", "", "the output folder of a trainer", "give the checkpoint in it that you mean"},
    Sign{"", ".gguf", "weights in a GGUF file",
         "take the Hugging Face folder that it was made from, or load it in transformers "
         "(from_pretrained(FOLDER, gguf_file=NAME)) and call save_pretrained"},
    Sign{"latest_checkpointed_iteration.txt", "", "a checkpoint of Megatron",
         "convert it to a Hugging Face folder with Megatron's own tools"},
    Sign{"mp_rank_", "", "a checkpoint of Megatron", "convert it to a Hugging Face folder with Megatron's own tools"},
    Sign{"zero_to_fp32.py", "", "a checkpoint of DeepSpeed",
         "run its zero_to_fp32.py with --safe_serialization, and put config.json and the tokenizer's files there"},
    Sign{"global_step", "", "a checkpoint of DeepSpeed",
         "gather its weights with DeepSpeed's zero_to_fp32.py and --safe_serialization"},
    Sign{"pytorch_model_fsdp", "", "a sharded checkpoint of FSDP",
         "gather its weights with: accelerate merge-weights FOLDER/pytorch_model_fsdp_0 MODEL"},
    Sign{"", ".distcp", "a distributed checkpoint of torch", "gather its weights with: accelerate merge-weights"},
    Sign{"consolidated.", ".pth", "weights with the names of their maker's own program, in pickle files",
         "take the model's Hugging Face folder, or convert it with the script that transformers has for the family"},
    Sign{"consolidated", ".safetensors", "weights with the names of their maker's own program",
         "take the model's Hugging Face folder, or convert it with the script that transformers has for the family"},
    Sign{"pytorch_model", ".bin", "weights in pickle files, which are not read", kSave},
    Sign{"pytorch_model", ".json", "weights in pickle files, which are not read", kSave},
    Sign{"", ".pth", "weights in pickle files, which are not read", kSave},
    Sign{"", ".ckpt", "weights in pickle files, which are not read", kSave},
    Sign{"tf_model", ".h5", "weights of TensorFlow", "save them as safetensors with transformers 4"},
    Sign{"flax_model", ".msgpack", "weights of Flax", "save them as safetensors with transformers 4"},
};

/// "a checkpoint of Megatron (mp_rank_00): convert it ...".
std::optional<std::string> find_kind(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  for (const Sign& sign : kSigns) {
    for (const std::string& name : names) {
      if (!name.starts_with(sign.beginning) || !name.ends_with(sign.ending)) continue;
      return fmt::format("{} ({}): {}", sign.what, name, sign.advice);
    }
  }
  return std::nullopt;
}

bool has(const std::string& folder, const char* name) { return fs::exists(fs::path(folder) / name); }

/// OWNER/NAME as the Hub spells it.
bool may_be_hub_name(std::string_view path) {
  const bool is_spelt_so = std::ranges::all_of(path, [](char each) {
    return std::isalnum(static_cast<unsigned char>(each)) != 0 ||
           std::string_view("-_./").find(each) != std::string_view::npos;
  });
  const std::size_t slash = path.find('/');
  return is_spelt_so && !path.starts_with('.') && slash != 0 && slash != std::string_view::npos &&
         slash + 1 < path.size() && slash == path.rfind('/');
}

[[noreturn]] void refuse_absent(const std::string& path) {
  std::string hint;
  if (may_be_hub_name(path)) {
    hint = fmt::format(
        "; if it is a name on the Hugging Face Hub: nothing is downloaded here, fetch it first with "
        "'hf download {} --local-dir FOLDER' and give FOLDER",
        path);
  }
  throw InputError(fmt::format("{}: there is no such model folder{}", path, hint));
}

[[noreturn]] void refuse_file(const std::string& path) {
  if (path.ends_with(".gguf")) {
    throw InputError(
        fmt::format("{}: is a GGUF file, which is not read; take the Hugging Face folder that it was made from, or "
                    "load it in transformers (from_pretrained(FOLDER, gguf_file=NAME)) and call save_pretrained",
                    path));
  }
  const std::string folder = fs::absolute(path).parent_path().string();
  const std::string hint = has(folder, "config.json") ? fmt::format("; give the one that it is in: {}", folder) : "";
  throw InputError(fmt::format("{}: is not a folder; a Hugging Face folder is expected{}", path, hint));
}

/// ", of base model 'NAME'", where adapter_config.json says so.
std::string base_of_adapter(const std::string& file) {
  const nlohmann::json config = parse_json(read_text_file(file), file);
  if (!config.is_object() || !config.contains("base_model_name_or_path")) return "";
  const nlohmann::json& base = config["base_model_name_or_path"];
  return base.is_string() ? fmt::format(", for the base model '{}'", base.get<std::string>()) : "";
}

void refuse_adapter(const std::string& folder) {
  if (!has(folder, kAdapterConfig)) return;
  const std::string base = base_of_adapter((fs::path(folder) / kAdapterConfig).string());
  if (!has(folder, kSingleFileName) && !has(folder, kIndexFileName)) {
    throw InputError(
        fmt::format("{}: is no model but a PEFT adapter ({}{}): {}", folder, kAdapterConfig, base, kMerge));
  }
  throw InputError(fmt::format(
      "{}: has full weights and an adapter ({}{}). transformers with PEFT would load the base model with "
      "the adapter, not these weights. If these weights are meant, move {} and the adapter's weights away; if "
      "the adapter is, {}",
      folder, kAdapterConfig, base, kAdapterConfig, kMerge));
}

std::string config_of_place(const std::string& path) {
  if (!fs::exists(path)) refuse_absent(path);
  if (!fs::is_directory(path)) refuse_file(path);
  refuse_adapter(path);
  if (has(path, "config.json")) return (fs::path(path) / "config.json").string();
  std::optional<std::string> kind = find_kind(path);
  if (!kind && has(path, "tokenizer.json")) {
    kind = "a tokenizer without a model (tokenizer.json): give the folder that has the model's config.json too";
  }
  throw InputError(kind ? fmt::format("{}: has no config.json, so it is not a model folder, but {}", path, *kind)
                        : fmt::format("{}: has no config.json, so it is not a model folder", path));
}

}  // namespace

std::string require_model_place(const std::string& path) {
  return with_input_errors([&] { return config_of_place(path); });
}

void refuse_other_weights(const std::string& folder) {
  const std::optional<std::string> kind = with_input_errors([&] { return find_kind(folder); });
  const std::string instead = kind ? fmt::format(", but {}", *kind) : "";
  throw InputError(fmt::format("{}: has neither {} nor {}{}", folder, kSingleFileName, kIndexFileName, instead));
}

}  // namespace collimate::detail
