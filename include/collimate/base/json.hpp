#pragma once
// JSON that others have written, read strictly.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace collimate {

/// Parses JSON strictly: a repeated key is an error, and so are more than 100 levels of nesting. `file` is named in
/// messages. *Local.* Throws InputError with line and column, or with the key that is repeated.
nlohmann::json parse_json(std::string_view text, const std::string& file);

/// The number, where `value` is a whole one that fits. (The library would round, cut or wrap any other.) *Local.*
std::optional<std::int64_t> find_whole_number(const nlohmann::json& value);

}  // namespace collimate
