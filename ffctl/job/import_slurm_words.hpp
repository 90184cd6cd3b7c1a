// The words of Slurm that a script may hold: options, times, sizes, variables. Threads: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ff::ctl {

enum class Takes : std::uint8_t { kNothing, kValue, kMaybe };
struct SlurmOption {
  std::string_view name, letter;
  Takes takes = Takes::kValue;
  std::string_view lost = "";  // what to say where nothing of it is carried over; "-": nothing is lost with it
};

struct SlurmGiven {
  const SlurmOption* option = nullptr;  // null: not known
  std::string name, value;
};
// The option at words[at], and past it. REQUIRES: it begins with '-'.
SlurmGiven next_slurm_option(const std::vector<std::string>& words, std::size_t& at);

// Up to 10^9.
std::optional<std::uint64_t> slurm_number(std::string_view text);
// "30", "30:00", "1:30:00", "2-12", "2-12:30", "2-12:30:00", in seconds; 0: no limit.
std::optional<std::uint64_t> slurm_seconds(std::string_view text);
// "now+2hours", in seconds.
std::optional<std::uint64_t> slurm_from_now(std::string_view text);
// "4000", "64G": of megabytes where no unit is said; up to a PiB.
std::optional<std::uint64_t> slurm_bytes(std::string_view text);
// "SLURM_PROCID" -> "FF_RANK"; empty: there is none like it.
std::string_view our_variable(std::string_view slurm) noexcept;

}  // namespace ff::ctl
