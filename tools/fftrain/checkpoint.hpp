// Checkpoint files and the folder that holds them. Format: checkpoint.md.
//
// Places   On this machine, or in a file system of Fire-Flyer: files.hpp.
// Crashes  A file is written under a temporary name, made durable and renamed. A kill at any instant leaves the earlier
//          checkpoints and at most one temporary file, which the next open() removes.
// Owner    One process at a time: open() takes a lock on a folder of this machine that the system drops when the
// process
//          ends; a file system of Fire-Flyer has no such lock, and two runs there must have two folders.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"
#include "tools/fftrain/checkpoint_format.hpp"
#include "tools/fftrain/files.hpp"

namespace ff::fftrain {

// What a checkpoint holds beside its header: header.parameters floats each.
template <class T>
struct TrainingState {
  std::span<T> weights;
  std::span<T> first;   // Adam's first moments
  std::span<T> second;  // and second
};

// REQUIRES: each span has header.parameters elements.
Result<> write_checkpoint(const std::string& path, const CheckpointHeader& header,
                          const TrainingState<const float>& state);
// Reads the header, refuses a shape other than `expected`, then fills `state`; the spans hold garbage after an error.
// kCorrupt for a torn or changed file, kInvalidArgument for another model.
Result<CheckpointHeader> read_checkpoint(const std::string& path, const ModelConfig& expected,
                                         const TrainingState<float>& state);

class CheckpointFolder {
 public:
  // Creates the folder (not its parents) where it is missing. kUnavailable when another process uses it.
  static Result<CheckpointFolder> open(const std::string& path);

  // Writes the checkpoint of header.step and then removes all but the newest kKept.
  Result<> save(const CheckpointHeader& header, const TrainingState<const float>& state);

  // The newest usable checkpoint, or none if the folder has none at all. `refused` hears of each one that is damaged;
  // when every one is, that is kCorrupt. Any other error (another model, not readable) is returned at once.
  Result<std::optional<CheckpointHeader>> load_latest(const ModelConfig& expected, const TrainingState<float>& state,
                                                      const std::function<void(const Error&)>& refused);

  // Steps of the checkpoints that are there, ascending.
  Result<std::vector<std::uint64_t>> steps() const;
  std::string file_of(std::uint64_t step) const;

  static constexpr std::size_t kKept = 2;

 private:
  CheckpointFolder(Files& files, std::string path, std::unique_ptr<FolderOwner> owner)
      : files_(&files), path_(std::move(path)), owner_(std::move(owner)) {}
  Result<std::vector<std::string>> names() const;

  Files* files_;
  std::string path_;
  std::unique_ptr<FolderOwner> owner_;
};

}  // namespace ff::fftrain
