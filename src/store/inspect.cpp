#include "collimate/store/inspect.hpp"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/io/hdf5.hpp"
#include "collimate/store/model_folder.hpp"
#include "describe.hpp"
#include "input_errors.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;
using detail::Description;

bool is_hdf5(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string signature(8, '\0');
  file.read(signature.data(), 8);
  return file && signature == "\x89HDF\r\n\x1a\n";
}

Description describe_hdf5(const std::string& path, InspectDepth depth) {
  const Hdf5Reader reader(path);
  const std::string format = reader.has_attribute("format") ? reader.text_attribute("format") : "";
  if (format == "collimate.preferences") return detail::describe_preferences(path, depth);
  if (format == "collimate.reference") return detail::describe_reference_store(path, depth);
  throw InputError(
      fmt::format("{}: is an HDF5 file, but none of collimate's (attribute 'format': \"{}\")", path, format));
}

Description describe_file(const std::string& path, InspectDepth depth) {
  if (is_hdf5(path)) return describe_hdf5(path, depth);
  if (path.ends_with(".safetensors")) return detail::describe_safetensors(path);
  if (path.ends_with(".jsonl")) return detail::describe_metrics(path);
  throw InputError(fmt::format("{}: is nothing that collimate writes: neither HDF5, .safetensors nor .jsonl", path));
}

Description describe_folder(const std::string& path, InspectDepth depth) {
  const auto has = [&](const char* name) { return fs::exists(fs::path(path) / name); };
  if (has("manifest.json")) return detail::describe_checkpoint(path, depth);
  if (has("checkpoints") || has("metrics.jsonl") || has("failures")) return detail::describe_run(path, depth);
  if (has("config.json")) return detail::describe_model_folder(path, depth);
  if (detail::holds_checkpoints(path)) return detail::describe_checkpoints(path, depth);
  throw InputError(
      fmt::format("{}: is no run, checkpoint or model folder: it has none of manifest.json, checkpoints, "
                  "metrics.jsonl, failures, step_* and config.json",
                  path));
}

Description describe_path(const std::string& path, InspectDepth depth) {
  if (!fs::exists(path)) throw InputError(fmt::format("{}: there is no such file or folder", path));
  return fs::is_directory(path) ? describe_folder(path, depth) : describe_file(path, depth);
}

/// Says whether everything was read, ahead of the fingerprints. An unreadable byte would have thrown.
void add_verdict(Description& description, InspectDepth depth) {
  const Description fingerprints = description.value("fingerprints", Description());
  description.erase("fingerprints");
  description["verified"] = depth == InspectDepth::kVerify;
  if (!fingerprints.is_null()) description["fingerprints"] = fingerprints;
}

}  // namespace

std::string inspect_path(const std::string& path, InspectDepth depth, InspectForm form) {
  Description description = detail::with_input_errors([&] { return describe_path(path, depth); });
  add_verdict(description, depth);
  if (form == InspectForm::kTable) return detail::description_table(description);
  // What is no UTF-8 in a file's own text becomes U+FFFD.
  return description.dump(2, ' ', /*ensure_ascii=*/false, Description::error_handler_t::replace) + "\n";
}

}  // namespace collimate
