#pragma once
// The vocabulary in which a module declares its part of the configuration. A struct lists its fields once, in a static
// function fields(), each with key, member, role and constraint; reading, dumping, comparing and hashing all walk that
// list, and nothing else reads a configuration key. Neither YAML nor any tensor library is seen here.
//
//   struct BatchConfig {
//     std::int64_t global_batch_size = 32;
//     static constexpr auto fields() {
//       return std::tuple{field("global_batch_size", &BatchConfig::global_batch_size, Role::kIdentity, at_least(1))};
//     }
//   };

#include <concepts>
#include <string_view>
#include <tuple>
#include <utility>

#include "collimate/config/constraints.hpp"
#include "collimate/config/enum_names.hpp"

namespace collimate {

/// What a changed value means to a run that is resumed, from the weakest to the strongest.
enum class Role {
  kOperational,  ///< where things are and how often they are saved: accepted
  kLayout,       ///< how the work is divided, which no result depends on: accepted
  kSchedule,     ///< how long and how fast training goes: accepted and logged
  kIdentity,     ///< what is being computed: refused
};

template <>
inline constexpr auto enum_names<Role> = std::to_array<EnumName<Role>>({{Role::kOperational, "operational"},
                                                                        {Role::kLayout, "layout"},
                                                                        {Role::kSchedule, "schedule"},
                                                                        {Role::kIdentity, "identity"}});

/// One key of a configuration struct.
template <class Owner, class Value, class Constraint>
struct Field {
  std::string_view key;
  Value Owner::* member;
  Role role = Role::kIdentity;
  Constraint constraint;
  bool is_required = false;              ///< the file or an override must give it
  std::string_view unset_word = "null";  ///< how an empty optional is spelt

  [[nodiscard]] constexpr Field required() const {
    Field changed = *this;
    changed.is_required = true;
    return changed;
  }
  [[nodiscard]] constexpr Field unset_as(std::string_view word) const {
    Field changed = *this;
    changed.unset_word = word;
    return changed;
  }
};

/// Declares a key. For a list, `role` is that of its length; the role of an element's field is the weaker of both.
template <class Owner, class Value, class Constraint = Anything>
constexpr Field<Owner, Value, Constraint> field(std::string_view key, Value Owner::* member, Role role,
                                                Constraint constraint = {}) {
  return {.key = key, .member = member, .role = role, .constraint = constraint};
}

/// Declares a nested struct, whose fields carry their own roles.
template <class Owner, class Value>
constexpr Field<Owner, Value, Anything> section(std::string_view key, Value Owner::* member) {
  return field(key, member, Role::kIdentity);
}

/// A struct that declares its fields.
template <class T>
concept ConfigStruct = requires { T::fields(); };

/// A struct for which a bare scalar may stand: the scalar is the value of its key `T::kShorthandKey`.
template <class T>
concept HasShorthand = ConfigStruct<T> && requires {
  { T::kShorthandKey } -> std::convertible_to<std::string_view>;
};

/// Calls `visit(field)` for every field of `T`, in the order of declaration.
template <ConfigStruct T, class Visit>
constexpr void for_each_field(Visit&& visit) {
  std::apply([&](const auto&... each) { (visit(each), ...); }, T::fields());
}

}  // namespace collimate
