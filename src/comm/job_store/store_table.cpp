#include "collimate/comm/job_store/store_table.hpp"

#include <algorithm>

#include "collimate/base/number_text.hpp"

namespace collimate::detail {

namespace {

bool are_all_there(const Fields& fields) {
  return std::ranges::all_of(fields, [](const std::optional<std::string>& field) { return field.has_value(); });
}

std::size_t num_fields_of(StoreOperation operation) {
  switch (operation) {
    case StoreOperation::kCompareSet:
      return 3;
    case StoreOperation::kRemove:
      return 1;
    case StoreOperation::kCount:
      return 0;
    default:
      return 2;
  }
}

}  // namespace

std::optional<Fields> StoreTable::apply(const StoreRequest& request) {
  if (!are_all_there(request.fields)) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  if (request.operation != StoreOperation::kFind) return change(request);
  Fields found;
  for (const std::optional<std::string>& key : request.fields) {
    const auto entry = values_.find(*key);
    found.push_back(entry == values_.end() ? std::nullopt : std::optional(entry->second));
  }
  return found;
}

std::optional<Fields> StoreTable::change(const StoreRequest& request) {
  const Fields& fields = request.fields;
  if (fields.size() != num_fields_of(request.operation)) return std::nullopt;
  changed_.notify_all();  // who waits looks once the lock is free
  switch (request.operation) {
    case StoreOperation::kSet:
      values_.insert_or_assign(*fields[0], *fields[1]);
      return Fields();
    case StoreOperation::kPutFirst:
      values_.emplace(*fields[0], *fields[1]);
      return Fields();
    case StoreOperation::kCompareSet:
      return compare_set(*fields[0], *fields[1], *fields[2]);
    case StoreOperation::kAdd:
      return add(*fields[0], *fields[1]);
    case StoreOperation::kRemove:
      return Fields{std::to_string(values_.erase(*fields[0]))};
    default:
      return Fields{std::to_string(values_.size())};
  }
}

// As c10d's stores have it: an absent value is set where an empty one is expected.
Fields StoreTable::compare_set(const std::string& key, const std::string& expected, const std::string& desired) {
  const auto entry = values_.find(key);
  if (entry == values_.end() && !expected.empty()) return {expected};
  if (entry != values_.end() && entry->second != expected) return {entry->second};
  values_.insert_or_assign(key, desired);
  return {desired};
}

std::optional<Fields> StoreTable::add(const std::string& key, const std::string& amount) {
  const auto entry = values_.find(key);
  const auto before = entry == values_.end() ? std::optional<std::int64_t>(0) : try_number<std::int64_t>(entry->second);
  const auto more = try_number<std::int64_t>(amount);
  std::int64_t sum = 0;
  if (!before || !more || __builtin_add_overflow(*before, *more, &sum)) return std::nullopt;
  values_.insert_or_assign(key, std::to_string(sum));
  return Fields{std::to_string(sum)};
}

bool StoreTable::wait(const std::string& key, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return values_.contains(key); });
}

}  // namespace collimate::detail
