#include "hdf5_call.hpp"

namespace collimate {

static_assert(std::same_as<Hdf5HandleTraits::Raw, hid_t>, "Hdf5Handle holds a hid_t");

void Hdf5HandleTraits::close(Raw raw) noexcept {
  const detail::Hdf5Lock lock;
  // Nothing useful can be done about a failure here: writers close their files explicitly and look at the result.
  static_cast<void>(H5Idec_ref(raw));
}

namespace detail {

namespace {

std::mutex& hdf5_mutex() {
  static std::mutex mutex;
  return mutex;
}

herr_t keep_first(unsigned index, const H5E_error2_t* entry, void* text) {
  if (index == 0 && entry->desc != nullptr) *static_cast<std::string*>(text) = entry->desc;
  return 0;
}

}  // namespace

Hdf5Lock::Hdf5Lock() : lock_(hdf5_mutex()) {
  static const herr_t silenced = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  check(silenced >= 0, "HDF5 starts");
}

std::string innermost_hdf5_error() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &text);
  return text.empty() ? "HDF5 gives no reason" : text;
}

hid_t native_type(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::kUint8:
      return H5T_NATIVE_UINT8;
    case Hdf5Type::kUint16:
      return H5T_NATIVE_UINT16;
    case Hdf5Type::kUint32:
      return H5T_NATIVE_UINT32;
    case Hdf5Type::kUint64:
      return H5T_NATIVE_UINT64;
    case Hdf5Type::kInt64:
      return H5T_NATIVE_INT64;
    case Hdf5Type::kFloat32:
      return H5T_NATIVE_FLOAT;
    case Hdf5Type::kFloat64:
      return H5T_NATIVE_DOUBLE;
  }
  throw InvariantError("unknown Hdf5Type");
}

std::string_view type_name(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::kUint8:
      return "uint8";
    case Hdf5Type::kUint16:
      return "uint16";
    case Hdf5Type::kUint32:
      return "uint32";
    case Hdf5Type::kUint64:
      return "uint64";
    case Hdf5Type::kInt64:
      return "int64";
    case Hdf5Type::kFloat32:
      return "float32";
    case Hdf5Type::kFloat64:
      return "float64";
  }
  throw InvariantError("unknown Hdf5Type");
}

}  // namespace detail
}  // namespace collimate
