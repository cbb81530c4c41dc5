#pragma once
// A pointer that an autograd node keeps to something which outlives the graph.

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

}  // namespace collimate::detail
