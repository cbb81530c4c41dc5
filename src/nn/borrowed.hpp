#pragma once
// What an autograd node keeps besides tensors: a pointer to something which outlives the graph, or a value of its own.

#include <utility>

#include <ATen/core/ivalue.h>

namespace collimate::detail {

template <class T>
struct Borrowed : torch::CustomClassHolder {
  explicit Borrowed(T* borrowed) : pointer(borrowed) {}
  T* pointer;
};

/// What a node's saved_data takes. Not owned.
template <class T>
c10::IValue borrow(T* pointer) {
  return c10::IValue::make_capsule(c10::make_intrusive<Borrowed<T>>(pointer));
}

template <class T>
T* borrowed(const c10::IValue& value) {
  return c10::static_intrusive_pointer_cast<Borrowed<T>>(value.toCapsule())->pointer;
}

template <class T>
struct Kept : torch::CustomClassHolder {
  explicit Kept(T kept) : value(std::move(kept)) {}
  T value;
};

/// What a node's saved_data takes: the node's own.
template <class T>
c10::IValue keep(T value) {
  return c10::IValue::make_capsule(c10::make_intrusive<Kept<T>>(std::move(value)));
}

template <class T>
const T& kept(const c10::IValue& value) {
  return c10::static_intrusive_pointer_cast<Kept<T>>(value.toCapsule())->value;
}

}  // namespace collimate::detail
