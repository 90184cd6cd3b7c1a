// A reader of Prometheus text 0.0.4 for tests, written from the format's description and not from our writer. It takes
// no liberties: whatever a strict scraper could stumble over is an error with its line.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace ff::metrics::testing {

struct Sample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value;
};

struct Exposition {
  std::vector<std::string> errors;           // "line 3: ..."
  std::map<std::string, std::string> types;  // family -> type
  std::map<std::string, std::string> help;   // unescaped
  std::map<std::string, std::string> units;
  std::vector<Sample> samples;

  // The value of the sample with exactly these labels; NaN without one.
  double value(const std::string& name, const std::map<std::string, std::string>& labels = {}) const;
  bool has(const std::string& name, const std::map<std::string, std::string>& labels = {}) const;
};

Exposition parse_exposition(const std::string& text);

}  // namespace ff::metrics::testing
