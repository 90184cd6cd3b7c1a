// Figures drawn by gnuplot: the script, and running it.
//
// Safety   Names come from files and are untrusted. They stand in single-quoted strings only, in which gnuplot expands
//          neither backquotes nor macros, without quotes, backquotes, control characters and line breaks of their own,
//          and with enhanced text off; data are numbers. gnuplot is started without a shell and without its start-up
//          files.
// Threads  Pure, but for run_gnuplot(), which starts a process and waits for it.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "ffbench/view/figure.hpp"
#include "libcommon/base/result.hpp"

namespace ff::bench {

enum class PictureFormat : std::uint8_t { kSvg, kPng };

// A whole script that writes the picture to standard output, all figures below each other. REQUIRES: figures not empty.
std::string gnuplot_script(std::span<const Figure> figures, PictureFormat format);

// What `program` (found along PATH) wrote to standard output for the script. kUnsupported when it is not installed,
// kTimeout after `limit` (it is killed), kIo with its own words when it fails.
Result<std::string> run_gnuplot(std::string_view script, const std::string& program = "gnuplot",
                                std::chrono::nanoseconds limit = std::chrono::seconds(60));

// The text as gnuplot writes a string: in single quotes, without what could end it.
std::string quote_gnuplot(std::string_view text);

}  // namespace ff::bench
