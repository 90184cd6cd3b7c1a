#include "hfreduce/run/start_spec.hpp"

#include <fmt/core.h>

namespace ff::hfreduce::run {

Message to_message(const StartSpec& spec) {
  Message message = {"start",
                     "first",
                     std::to_string(spec.first_rank),
                     "count",
                     std::to_string(spec.count),
                     "world",
                     std::to_string(spec.world_size),
                     "address",
                     spec.master_address,
                     "port",
                     std::to_string(spec.master_port),
                     "listener",
                     spec.pass_listener ? "1" : "0",
                     "stdin",
                     std::to_string(static_cast<int>(spec.stdin_mode)),
                     "folder",
                     spec.folder,
                     "grace_ms",
                     std::to_string(spec.grace.count()),
                     "bind",
                     spec.bind ? "1" : "0"};
  for (const std::string& entry : spec.env) message.insert(message.end(), {"env", entry});
  for (const std::string& word : spec.command) message.insert(message.end(), {"arg", word});
  return message;
}

Result<StartSpec> start_spec_from(const Message& message) {
  StartSpec spec;
  if (message.size() % 2 != 1) return fail(Errc::kCorrupt, "start message: a key without a value");
  for (std::size_t i = 1; i < message.size(); i += 2) {
    const std::string& key = message[i];
    const std::string& value = message[i + 1];
    if (key == "first") {
      FF_TRY_ASSIGN(spec.first_rank, message_int(message, i + 1, 0, kRanksMax - 1));
    } else if (key == "count") {
      FF_TRY_ASSIGN(spec.count, message_int(message, i + 1, 1, kRanksMax));
    } else if (key == "world") {
      FF_TRY_ASSIGN(spec.world_size, message_int(message, i + 1, 1, kRanksMax));
    } else if (key == "address") {
      spec.master_address = value;
    } else if (key == "port") {
      FF_TRY_ASSIGN(spec.master_port, message_int(message, i + 1, 1, 65535));
    } else if (key == "listener") {
      FF_TRY_ASSIGN(const int flag, message_int(message, i + 1, 0, 1));
      spec.pass_listener = flag != 0;
    } else if (key == "stdin") {
      FF_TRY_ASSIGN(const int mode, message_int(message, i + 1, 0, static_cast<int>(StdinMode::kForward)));
      spec.stdin_mode = static_cast<StdinMode>(mode);
    } else if (key == "folder") {
      spec.folder = value;
    } else if (key == "grace_ms") {
      FF_TRY_ASSIGN(const int grace_ms, message_int(message, i + 1, 0, 1 << 30));
      spec.grace = std::chrono::milliseconds(grace_ms);
    } else if (key == "bind") {
      FF_TRY_ASSIGN(const int flag, message_int(message, i + 1, 0, 1));
      spec.bind = flag != 0;
    } else if (key == "env") {
      if (value.find('=') == std::string::npos || value.front() == '=')
        return fail(Errc::kCorrupt, fmt::format("start message: '{}' is no KEY=VALUE", value));
      spec.env.push_back(value);
    } else if (key == "arg") {
      spec.command.push_back(value);
    } else {
      return fail(Errc::kCorrupt, fmt::format("start message: unknown key '{}'", key));
    }
  }
  if (spec.command.empty() || spec.command[0].empty()) return fail(Errc::kCorrupt, "start message: no command");
  if (spec.first_rank + spec.count > spec.world_size)
    return fail(Errc::kCorrupt, "start message: more ranks than the world has");
  return spec;
}

}  // namespace ff::hfreduce::run
