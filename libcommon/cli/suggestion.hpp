// The nearest word to a mistyped one, for "did you mean": commands, options, choices, configuration keys.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ff::cli {

// The candidate fewest edits away (insert, delete, replace, swap of neighbours); the first of equals. None when all
// are further than a third of the word's length (at least one edit, at most three), which would be a guess.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

// " (did you mean 'x'?)", or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace ff::cli
