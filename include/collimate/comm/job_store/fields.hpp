#pragma once
// What a rank asks of the job's store and what it is answered, as bytes. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace collimate::detail {

/// Texts, of which any may be absent.
using Fields = std::vector<std::optional<std::string>>;

enum class StoreOperation : std::uint8_t { kSet, kPutFirst, kCompareSet, kFind, kAdd, kRemove, kCount };

struct StoreRequest {
  StoreOperation operation = StoreOperation::kCount;
  Fields fields;

  bool operator==(const StoreRequest&) const = default;
};

/// *Local.* Numbers go as four bytes, the lowest first.
std::string render_number(std::uint32_t number);
/// *Local.* Of the first four bytes.
std::uint32_t number_at(std::string_view bytes);

std::string render_fields(const Fields& fields);
std::string render_request(const StoreRequest& request);
/// *Local.* Nothing for bytes that render_fields does not give.
std::optional<Fields> try_read_fields(std::string_view bytes);
/// *Local.* Likewise for render_request.
std::optional<StoreRequest> try_read_request(std::string_view bytes);

}  // namespace collimate::detail
