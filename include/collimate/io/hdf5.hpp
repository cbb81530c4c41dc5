#pragma once
// HDF5 files, read and written strictly: every return code is checked, every dataset carries a checksum, equal content
// gives equal bytes. The library is not thread-safe, so io serializes all calls to it; any thread may use any of these
// objects, one thread at a time each. Rows that all ranks write together: hdf5_rows.hpp.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collimate/base/unique_handle.hpp"
#include "collimate/io/atomic_file.hpp"

namespace collimate {

/// The element types that the project's files hold.
enum class Hdf5Type { kUint8, kUint16, kUint32, kUint64, kInt64, kFloat32, kFloat64 };

template <class T>
struct Hdf5TypeOf;
template <>
struct Hdf5TypeOf<std::uint8_t> {
  static constexpr Hdf5Type kValue = Hdf5Type::kUint8;
};
template <>
struct Hdf5TypeOf<std::uint16_t> {
  static constexpr Hdf5Type kValue = Hdf5Type::kUint16;
};
template <>
struct Hdf5TypeOf<std::uint32_t> {
  static constexpr Hdf5Type kValue = Hdf5Type::kUint32;
};
template <>
struct Hdf5TypeOf<std::uint64_t> {
  static constexpr Hdf5Type kValue = Hdf5Type::kUint64;
};
template <>
struct Hdf5TypeOf<std::int64_t> {
  static constexpr Hdf5Type kValue = Hdf5Type::kInt64;
};
template <>
struct Hdf5TypeOf<float> {
  static constexpr Hdf5Type kValue = Hdf5Type::kFloat32;
};
template <>
struct Hdf5TypeOf<double> {
  static constexpr Hdf5Type kValue = Hdf5Type::kFloat64;
};

/// A C++ type that a dataset can hold.
template <class T>
concept Hdf5Element = requires { Hdf5TypeOf<T>::kValue; };

/// Closes any HDF5 identifier. `Raw` is HDF5's hid_t, whose header stays out of ours.
struct Hdf5HandleTraits {
  using Raw = std::int64_t;
  static Raw null() noexcept { return -1; }
  static void close(Raw raw) noexcept;
};
using Hdf5Handle = UniqueHandle<Hdf5HandleTraits>;

/// One dataset of an open file; keeps the file open and the chunks last read in HDF5's cache, so hold it for many
/// reads.
class Hdf5Dataset {
 public:
  /// Sizes by dim, in elements.
  [[nodiscard]] const std::vector<std::uint64_t>& shape() const noexcept { return shape_; }
  [[nodiscard]] Hdf5Type type() const noexcept { return type_; }

  /// All elements in row-major order. *Local.* Throws InputError when the stored type is not T or a checksum fails.
  template <Hdf5Element T>
  [[nodiscard]] std::vector<T> read() const {
    std::vector<T> values(num_elements());
    read_all(Hdf5TypeOf<T>::kValue, values.data());
    return values;
  }
  /// Elements [begin, begin + out.size()) of a 1-d dataset. *Local.* Throws InputError as above, and when the range
  /// leaves the dataset.
  template <Hdf5Element T>
  void read_range(std::uint64_t begin, std::span<T> out) const {
    read_range(Hdf5TypeOf<T>::kValue, begin, out.size(), out.data());
  }
  /// Throws InputError, naming both shapes, unless the shape is `expected`.
  void require_shape(std::initializer_list<std::uint64_t> expected) const;

 private:
  friend class Hdf5Reader;
  Hdf5Dataset(std::string place, std::int64_t file, const std::string& name);

  [[nodiscard]] std::uint64_t num_elements() const noexcept;
  void require_type(Hdf5Type wanted) const;
  void read_all(Hdf5Type type, void* out) const;
  void read_range(Hdf5Type type, std::uint64_t begin, std::uint64_t count, void* out) const;

  std::string place_;
  Hdf5Handle dataset_;
  std::vector<std::uint64_t> shape_;
  Hdf5Type type_;
};

/// A file opened for reading. Whatever is wrong with the file is an InputError that names file, object and what is
/// wrong.
class Hdf5Reader {
 public:
  /// Opens `path`. *Local.* Throws InputError when it is missing, unreadable, truncated or not HDF5.
  explicit Hdf5Reader(std::string path);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] bool has_dataset(const std::string& name) const;
  [[nodiscard]] bool has_attribute(const std::string& name) const;

  /// Root attributes. Text may be stored with fixed or variable length; an integer has any width and sign that fits.
  [[nodiscard]] std::string text_attribute(const std::string& name) const;
  [[nodiscard]] std::int64_t integer_attribute(const std::string& name) const;

  /// Throws InputError when there is none of that name, or it has an element type that we do not use.
  [[nodiscard]] Hdf5Dataset dataset(const std::string& name) const;
  /// A whole dataset of exactly this shape, row-major.
  template <Hdf5Element T>
  [[nodiscard]] std::vector<T> read(const std::string& name, std::initializer_list<std::uint64_t> shape) const {
    const Hdf5Dataset found = dataset(name);
    found.require_shape(shape);
    return found.read<T>();
  }
  /// A 1-d dataset of strings of fixed or variable length.
  [[nodiscard]] std::vector<std::string> read_texts(const std::string& name) const;

 private:
  std::string path_;
  Hdf5Handle file_;
};

/// How a dataset's chunks are stored.
enum class Hdf5Coding { kPlain, kCompressed };

/// A new file, built in memory and put in place at once by `commit`; without it nothing is written. In the latest
/// format of HDF5 1.10 (checksummed metadata), chunked with Fletcher32, without times.
class Hdf5Writer {
 public:
  /// *Local.* Throws InputError when a file cannot be created at `target`.
  explicit Hdf5Writer(std::string target);

  /// Root attributes.
  void write_attribute(const std::string& name, std::string_view text);
  void write_attribute(const std::string& name, std::int64_t value);

  /// A dataset of `shape` (elements by dim, 1-d or 2-d, row-major), whose product is `values.size()`.
  template <Hdf5Element T>
  void write(const std::string& name, std::span<const T> values, std::initializer_list<std::uint64_t> shape) {
    write_dataset(name, Hdf5TypeOf<T>::kValue, {values.data(), values.size()}, shape);
  }
  template <Hdf5Element T>
  void write(const std::string& name, const std::vector<T>& values) {
    write(name, std::span<const T>(values), {values.size()});
  }
  /// A 1-d dataset of strings, padded to the longest: unlike those of variable length they are under the checksum.
  void write_texts(const std::string& name, std::span<const std::string> texts);

  /// A dataset of zeros, at its place in the file and ready to be written by Hdf5Rows; the same bytes as written here
  /// at once where it is plain.
  template <Hdf5Element T>
  void reserve(const std::string& name, std::initializer_list<std::uint64_t> shape,
               Hdf5Coding coding = Hdf5Coding::kPlain) {
    reserve_dataset(name, Hdf5TypeOf<T>::kValue, shape, coding);
  }

  /// Writes the file under a name of its own, which is returned, for ranks to fill it: nothing more can be added here.
  /// The disk holds `room_bytes` more for it, for what is compressed and so has no size yet. Throws Error, for example
  /// on a full disk.
  std::string stage(std::uint64_t room_bytes = 0);

  /// Writes the file if it is not staged, makes it durable and gives it the target's name, replacing what was there.
  /// Called once, last. Throws Error, for example on a full disk; the target then is as before.
  void commit();

 private:
  struct Values {
    const void* data;
    std::uint64_t num_elements;
  };
  void write_dataset(const std::string& name, Hdf5Type type, Values values, std::initializer_list<std::uint64_t> shape);
  void reserve_dataset(const std::string& name, Hdf5Type type, std::initializer_list<std::uint64_t> shape,
                       Hdf5Coding coding);

  AtomicFile staged_;
  std::unique_ptr<std::vector<std::byte>> image_;
  Hdf5Handle file_;
};

}  // namespace collimate
