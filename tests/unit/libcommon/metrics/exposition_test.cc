// The reader that other tests use, and the test that it finds what it must.
#include "tests/unit/libcommon/metrics/exposition.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <sstream>

namespace ff::metrics::testing {
namespace {

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() && text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Exposition parse() {
    if (!text_.empty() && text_.back() != '\n') error("the last line has no line feed");
    std::istringstream in(text_);
    std::string line;
    while (std::getline(in, line)) {
      ++number_;
      at_ = 0;
      line_ = line;
      if (line.empty()) continue;
      line[0] == '#' ? comment() : sample();
    }
    check_histograms();
    return std::move(out_);
  }

 private:
  void error(const std::string& what) { out_.errors.push_back("line " + std::to_string(number_) + ": " + what); }

  bool eat(char c) {
    if (at_ >= line_.size() || line_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string name(bool colons) {
    const std::size_t begin = at_;
    while (at_ < line_.size()) {
      const char c = line_[at_];
      const bool first = at_ == begin;
      const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':') ||
                      (!first && c >= '0' && c <= '9');
      if (!ok) break;
      ++at_;
    }
    if (at_ == begin) error("no name at column " + std::to_string(begin + 1) + " of '" + line_ + "'");
    return line_.substr(begin, at_ - begin);
  }

  std::string unescape(const std::string& text, bool quotes) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        plain += text[i];
        continue;
      }
      const char next = ++i < text.size() ? text[i] : '\0';
      if (next == 'n')
        plain += '\n';
      else if (next == '\\' || (quotes && next == '"'))
        plain += next;
      else
        error("an unknown escape in '" + text + "'");
    }
    return plain;
  }

  void comment() {
    std::istringstream in(line_);
    std::string hash, keyword, family, rest;
    in >> hash >> keyword >> family;
    if (hash != "#" || (keyword != "HELP" && keyword != "TYPE" && keyword != "UNIT")) return error("another comment");
    in.get();
    std::getline(in, rest);
    auto& table = keyword == "HELP" ? out_.help : keyword == "TYPE" ? out_.types : out_.units;
    if (!table.emplace(family, keyword == "HELP" ? unescape(rest, false) : rest).second)
      error("a second " + keyword + " of " + family);
    if (families_with_samples_.contains(family)) error(keyword + " after a sample of " + family);
    if (keyword == "TYPE" &&
        !std::set<std::string>{"counter", "gauge", "histogram", "summary", "untyped"}.contains(rest))
      error("an unknown type '" + rest + "'");
    if (keyword == "UNIT" && !ends_with(family, "_" + rest) && !ends_with(family, "_" + rest + "_total"))
      error("a unit that is not in the name");
  }

  void sample() {
    Sample s{.name = name(true), .labels = {}, .value = 0};
    if (eat('{')) {
      while (!eat('}')) {
        const std::string label = name(false);
        if (!eat('=') || !eat('"')) return error("no =\" after label " + label);
        const std::size_t begin = at_;
        while (at_ < line_.size() && line_[at_] != '"') at_ += line_[at_] == '\\' ? 2 : 1;
        if (at_ >= line_.size()) return error("an open label value");
        if (!s.labels.emplace(label, unescape(line_.substr(begin, at_ - begin), true)).second)
          error("label " + label + " twice");
        ++at_;
        if (!eat(',') && line_[at_] != '}') return error("no , or } after label " + label);
      }
    }
    if (!eat(' ')) return error("no blank before the value of '" + line_ + "'");
    const std::string number = line_.substr(at_);
    if (number == "+Inf")
      s.value = std::numeric_limits<double>::infinity();
    else if (number == "NaN")
      s.value = std::nan("");
    else {
      char* end = nullptr;
      s.value = std::strtod(number.c_str(), &end);
      if (number.empty() || *end != '\0' || !std::isfinite(s.value)) error("no number: '" + number + "'");
    }
    const std::string family = family_of(s);
    if (family != current_family_ && families_with_samples_.contains(family))
      error("samples of " + family + " lie apart");
    current_family_ = family;
    families_with_samples_.insert(family);
    if (!seen_.insert({s.name, s.labels}).second) error("the same sample twice: " + line_);
    out_.samples.push_back(s);
  }

  // The family that the TYPE lines give the sample, with the rules for its labels.
  std::string family_of(const Sample& s) {
    if (const auto type = out_.types.find(s.name); type != out_.types.end()) {
      if (type->second == "histogram") error("a bare sample of histogram " + s.name);
      if (type->second == "summary" && !s.labels.contains("quantile")) error("a summary without quantile");
      if (type->second == "counter" && !(s.value >= 0)) error("a counter below 0");
      return s.name;
    }
    for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
      if (!ends_with(s.name, suffix)) continue;
      const std::string base = s.name.substr(0, s.name.size() - suffix.size());
      const auto type = out_.types.find(base);
      if (type == out_.types.end()) continue;
      if (type->second == "histogram" || (type->second == "summary" && suffix != "_bucket")) {
        if ((suffix == "_bucket") != s.labels.contains("le")) error("le where it does not belong: " + s.name);
        return base;
      }
    }
    error("a sample without TYPE: " + s.name);
    return s.name;
  }

  // Buckets grow in bound and count, end at +Inf, and agree with _count.
  void check_histograms() {
    std::map<std::pair<std::string, std::map<std::string, std::string>>, std::vector<std::pair<double, double>>> series;
    for (const Sample& s : out_.samples) {
      if (!ends_with(s.name, "_bucket") || !s.labels.contains("le")) continue;
      auto labels = s.labels;
      const std::string le = labels.at("le");
      labels.erase("le");
      const double bound = le == "+Inf" ? std::numeric_limits<double>::infinity() : std::strtod(le.c_str(), nullptr);
      series[{s.name.substr(0, s.name.size() - 7), labels}].emplace_back(bound, s.value);
    }
    for (const auto& [key, buckets] : series) {
      for (std::size_t i = 1; i < buckets.size(); ++i)
        if (buckets[i].first <= buckets[i - 1].first || buckets[i].second < buckets[i - 1].second)
          error("buckets of " + key.first + " do not grow");
      if (!std::isinf(buckets.back().first)) error("no bucket +Inf of " + key.first);
      if (out_.value(key.first + "_count", key.second) != buckets.back().second) error("_count differs: " + key.first);
      if (!out_.has(key.first + "_sum", key.second)) error("no _sum: " + key.first);
    }
  }

  const std::string& text_;
  std::string line_, current_family_;
  std::size_t at_ = 0;
  int number_ = 0;
  std::set<std::string> families_with_samples_;
  std::set<std::pair<std::string, std::map<std::string, std::string>>> seen_;
  Exposition out_;
};

}  // namespace

double Exposition::value(const std::string& name, const std::map<std::string, std::string>& labels) const {
  for (const Sample& s : samples)
    if (s.name == name && s.labels == labels) return s.value;
  return std::nan("");
}

bool Exposition::has(const std::string& name, const std::map<std::string, std::string>& labels) const {
  for (const Sample& s : samples)
    if (s.name == name && s.labels == labels) return true;
  return false;
}

Exposition parse_exposition(const std::string& text) { return Parser(text).parse(); }

namespace {

TEST(ParseExposition, FindsFaults) {
  for (const char* bad : {"x 1\n", "# TYPE x gauge\nx 1", "# TYPE x gauge\nx 1\nx 2\n",
                          "# TYPE x gauge\nx{a=\"\\q\"} 1\n", "# TYPE x gauge\nx{a=\"1} 1\n", "# TYPE x gauge\nx one\n",
                          "# TYPE x counter\nx -1\n", "# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_sum 1\nx_count 2\n",
                          "# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n",
                          "# TYPE x gauge\n# TYPE y gauge\nx{a=\"1\"} 1\ny 1\nx{a=\"2\"} 1\n"})
    EXPECT_FALSE(parse_exposition(bad).errors.empty()) << bad;
}

}  // namespace

}  // namespace ff::metrics::testing
