// The header of .npy files: NumPy's format for one array, versions 1.0, 2.0 and 3.0. Pure; any bytes are safe to parse.
//
//   bytes 0..5 "\x93NUMPY", 6 major, 7 minor, then the header's length (u16 little-endian in 1.0, u32 from 2.0 on),
//   then a Python dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } padded with spaces and ended
//   by '\n' so that the data begins at a multiple of 64.
//
// Source: numpy.lib.format, "Format Version 1.0" to "3.0".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hfreduce/types.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::npy {

inline constexpr std::size_t kPreambleBytes = 12;          // enough to know the header's length, in any version
inline constexpr std::uint64_t kHeaderBytesMax = 1 << 20;  // of the dictionary; real ones have about a hundred
inline constexpr std::string_view kMagic = "\x93NUMPY";

struct Header {
  std::string descr;  // "<f4", "|V2"
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;

  // Product of the shape; kInvalidArgument where it, or its size in bytes, does not fit 63 bits.
  Result<std::uint64_t> elements() const;
};

// Whether the bytes begin as a .npy file does. REQUIRES: at least six bytes, or the whole file.
bool has_magic(std::string_view bytes);

// Where the data begins, from the first kPreambleBytes of the file: the parser wants that many bytes.
// kCorrupt: not a .npy file, an unknown version, a header of more than kHeaderBytesMax.
Result<std::uint64_t> data_offset(std::string_view preamble);

// Parses the first data_offset() bytes of a file. kCorrupt says what is wrong and where.
Result<Header> parse(std::string_view bytes);

// The bytes in front of the data, version 1.0 where the header fits, else 2.0.
std::string format(const Header& header);

// Bytes of one element as descr says it; kUnsupported for big-endian, structured and object arrays.
Result<std::size_t> element_bytes(std::string_view descr);

// The type of an array's elements. NumPy has no bf16 and fp8: they come as raw bytes (V2, V1) or unsigned integers (u2,
// u1) and `wanted` says what they are. kInvalidArgument: `wanted` is needed, or does not fit what the file says.
Result<DType> element_type(std::string_view descr, std::optional<DType> wanted);

}  // namespace ff::hfreduce::npy
