#include "elf_symbols.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <optional>

#include <elf.h>

namespace collimate::detail {

namespace {

template <class Record>
std::vector<Record> read_records(std::ifstream& file, std::uint64_t place, std::uint64_t count) {
  std::vector<Record> records(count);
  file.seekg(static_cast<std::streamoff>(place));
  file.read(reinterpret_cast<char*>(records.data()), static_cast<std::streamsize>(count * sizeof(Record)));
  if (!file) records.clear();
  return records;
}

std::vector<Elf64_Shdr> read_sections(std::ifstream& file) {
  const auto header = read_records<Elf64_Ehdr>(file, 0, 1);
  if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return {};
  if (header[0].e_ident[EI_CLASS] != ELFCLASS64) return {};
  return read_records<Elf64_Shdr>(file, header[0].e_shoff, header[0].e_shnum);
}

}  // namespace

ElfSymbols::ElfSymbols(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<Elf64_Shdr> sections = read_sections(file);
  const auto table = std::ranges::find(sections, std::uint32_t{SHT_SYMTAB}, &Elf64_Shdr::sh_type);
  if (table == sections.end() || table->sh_link >= sections.size()) return;
  const Elf64_Shdr& names = sections[table->sh_link];
  for (const Elf64_Sym& symbol : read_records<Elf64_Sym>(file, table->sh_offset, table->sh_size / sizeof(Elf64_Sym))) {
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_size == 0) continue;
    functions_.push_back({.begin = symbol.st_value, .bytes = symbol.st_size, .name = symbol.st_name});
  }
  const auto bytes = read_records<char>(file, names.sh_offset, names.sh_size);
  names_.assign(bytes.begin(), bytes.end());
  std::ranges::sort(functions_, {}, &Function::begin);
}

std::string ElfSymbols::name_at(std::uint64_t address) const {
  const auto after = std::ranges::upper_bound(functions_, address, {}, &Function::begin);
  if (after == functions_.begin()) return {};
  const Function& function = *std::prev(after);
  if (address - function.begin >= function.bytes || function.name >= names_.size()) return {};
  return names_.c_str() + function.name;  // up to the next null
}

}  // namespace collimate::detail
