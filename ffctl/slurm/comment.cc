#include "ffctl/slurm/comment.hpp"

#include <fmt/core.h>
#include <google/protobuf/stubs/logging.h>

#include "libcommon/report/utf8.hpp"

namespace ff::ctl {
namespace {

constexpr std::string_view kPrefix = "ffctl:1:";
constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Base64 for names of files and URLs (RFC 4648, section 5), without padding.
std::string encode(std::string_view bytes) {
  std::string out;
  std::uint32_t held = 0;
  int bits = 0;
  for (const char c : bytes) {
    held = held << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) out += kDigits[held >> (bits - 6) & 63];
  }
  if (bits > 0) out += kDigits[held << (6 - bits) & 63];
  return out;
}

std::optional<std::string> decode(std::string_view text) {
  std::string out;
  std::uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    held = held << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(held >> bits & 255);
  }
  return out;
}

// Messages hold UTF-8; other bytes of a command are for the program, and '?' to those who look at it.
std::string utf8(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const report::CodePoint point = report::decode_utf8(text, at);
    out += point.valid ? text.substr(at, point.bytes) : "?";
    at += point.bytes;
  }
  return out;
}

std::string text_of(const JobSpec& spec) { return std::string(kPrefix) + encode(spec.SerializeAsString()); }

}  // namespace

Result<std::string> encode_comment(const JobSpec& spec) {
  JobSpec kept;
  kept.set_priority(spec.priority());
  for (const auto& [key, value] : spec.labels()) (*kept.mutable_labels())[utf8(key)] = utf8(value);
  kept.set_checkpoint(utf8(spec.checkpoint()));
  if (spec.array() != 0) {
    kept.set_array(spec.array());
    kept.set_array_index(spec.array_index());
  }
  kept.mutable_resources()->set_gpus_per_node(spec.resources().gpus_per_node());
  kept.mutable_resources()->set_cpus_per_node(spec.resources().cpus_per_node());
  kept.mutable_preemption()->set_mode(spec.preemption().mode());
  kept.mutable_run()->set_launcher(spec.run().launcher());
  kept.mutable_run()->set_ranks_per_node(spec.run().ranks_per_node());
  std::string text = text_of(kept);
  if (text.size() > kCommentBytesMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("labels: with the checkpoint's folder they take {} bytes, Slurm keeps {} (shorten them)",
                            text.size(), kCommentBytesMax));
  for (const std::string& word : spec.run().command()) {
    kept.mutable_run()->add_command(utf8(word));
    std::string longer = text_of(kept);
    if (longer.size() > kCommentBytesMax) break;
    text = std::move(longer);
  }
  return text;
}

std::optional<JobSpec> decode_comment(std::string_view comment) {
  if (!comment.starts_with(kPrefix) || comment.size() > kCommentBytesMax) return std::nullopt;
  const auto bytes = decode(comment.substr(kPrefix.size()));
  JobSpec spec;
  // It would complain to standard error of what others wrote.
  const google::protobuf::LogSilencer quiet;
  if (!bytes || !spec.ParseFromString(*bytes)) return std::nullopt;
  // Enums of proto3 are open: what is not known here is not handed on.
  if (!Priority_IsValid(spec.priority()) || !Launcher_IsValid(spec.run().launcher()) ||
      !PreemptionSpec::Mode_IsValid(spec.preemption().mode()) || spec.run().ranks_per_node() > 65536)
    return std::nullopt;
  return spec;
}

}  // namespace ff::ctl
