// yaml-cpp 0.7 keeps duplicate keys, reads 0644 as octal, and resolves types by guessing. So only its tree of plain
// texts is used; which text is which value is decided by the schema.
#include "libcommon/config/loader.hpp"

#include <fmt/core.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <sstream>

#include "libcommon/base/file.hpp"
#include "libcommon/cli/suggestion.hpp"

namespace ff::config {
namespace {

// yaml-cpp marks plain scalars "?" and quoted ones "!".
bool is_plain(const YAML::Node& node) { return node.Tag() == "?" || node.Tag().empty(); }
bool has_tag(const YAML::Node& node) { return !is_plain(node) && node.Tag() != "!"; }

bool is_bare_octal(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' &&
         std::all_of(text.begin(), text.end(), [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
}

bool is_ambiguous_word(std::string_view text) {
  static constexpr std::array<std::string_view, 10> kWords = {"yes",   "no",   "on", "off", "true",
                                                              "false", "null", "~",  "y",   "n"};
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

class Walk {
 public:
  Walk(Config& config, const std::string& file) : config_(config), file_(file) {}

  Result<> group(const YAML::Node& node, const std::string& path) {
    if (node.IsNull()) return {};
    if (!node.IsMap() || has_tag(node))
      return refuse(node.Mark(), path,
                    path.empty() ? "the file must be a map of keys" : "is a group of keys, not a value");
    std::vector<std::string> seen;
    for (const auto& entry : node) {
      const YAML::Node& key = entry.first;
      if (!key.IsScalar()) return refuse(key.Mark(), path, "a key must be a word");
      const std::string& word = key.Scalar();
      const std::string name = path.empty() ? word : path + "." + word;
      if (std::find(seen.begin(), seen.end(), word) != seen.end()) return refuse(key.Mark(), name, "given twice");
      seen.push_back(word);
      FF_TRY(child(key.Mark(), path, word, entry.second));
    }
    return {};
  }

 private:
  Result<> child(const YAML::Mark& mark, const std::string& path, const std::string& word, const YAML::Node& node) {
    const Schema& schema = config_.schema();
    const auto words = schema.children(path);
    const std::string name = path.empty() ? word : path + "." + word;
    if (std::find(words.begin(), words.end(), word) == words.end())
      return refuse(mark, name, "unknown key" + cli::did_you_mean(word, words));
    const auto key = schema.find(name);
    if (!key) return group(node, name);
    auto value = read(schema.keys()[*key], node);
    // A value on a later line is found by its own place, an absent one by its key.
    if (!value) return refuse(node.IsNull() ? mark : node.Mark(), name, value.error().message());
    config_.set(*key, std::move(*value), {Source::kFile, fmt::format("{}:{}", file_, mark.line + 1)});
    return {};
  }

  static Result<Value> read(const Key& key, const YAML::Node& node) {
    if (node.IsNull()) return fail(Errc::kInvalidArgument, "has no value");
    if (key.type == Type::kTextMap) return map(key, node);
    if (key.type != Type::kTextList) {
      FF_TRY_ASSIGN(const std::string text, scalar(key, node));
      return parse_value(key, text);
    }
    if (!node.IsSequence() || has_tag(node))
      return fail(Errc::kInvalidArgument, "is a list (write [a, b] or one '- item' a line)");
    std::vector<std::string> items;
    for (const auto& item : node) {
      FF_TRY_ASSIGN(std::string text, scalar(key, item));
      items.push_back(std::move(text));
    }
    return check_list(key, std::move(items));
  }

  static Result<Value> map(const Key& key, const YAML::Node& node) {
    if (!node.IsMap() || has_tag(node)) return fail(Errc::kInvalidArgument, "is a map (write {name: text})");
    TextMap values;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return fail(Errc::kInvalidArgument, "a name must be a word");
      const std::string& name = entry.first.Scalar();
      if (entry.second.IsNull()) return fail(Errc::kInvalidArgument, fmt::format("'{}' has no value", name));
      auto text = scalar(key, entry.second);
      if (!text) return fail(std::move(text).error().context("'" + name + "'"));
      if (name.empty() || !values.emplace(name, std::move(*text)).second)
        return fail(Errc::kInvalidArgument, fmt::format("'{}' is {}", name, name.empty() ? "no name" : "given twice"));
    }
    return values;
  }

  static Result<std::string> scalar(const Key& key, const YAML::Node& node) {
    if (!node.IsScalar()) return fail(Errc::kInvalidArgument, fmt::format("needs one {} value", type_name(key.type)));
    if (has_tag(node)) return fail(Errc::kInvalidArgument, fmt::format("tag '{}' is not supported", node.Tag()));
    const std::string& text = node.Scalar();
    const bool number = key.type == Type::kInteger || key.type == Type::kReal;
    if (!is_plain(node)) {
      if (number || key.type == Type::kBool)
        return fail(Errc::kInvalidArgument,
                    fmt::format("needs one {} value, not text (remove the quotes)", type_name(key.type)));
      return text;
    }
    if (is_bare_octal(text))
      return fail(Errc::kInvalidArgument,
                  fmt::format("'{}' may mean octal or decimal (write it without the leading 0{})", text,
                              number ? "" : ", or in quotes"));
    const bool texts = key.type == Type::kText || key.type == Type::kTextList || key.type == Type::kTextMap;
    if (texts && is_ambiguous_word(text))
      return fail(Errc::kInvalidArgument, fmt::format("'{}' may mean text or a boolean (put it in quotes)", text));
    return text;
  }

  std::unexpected<Error> refuse(const YAML::Mark& mark, const std::string& path, const std::string& what) const {
    const int line = mark.is_null() ? 1 : mark.line + 1;
    return fail(Errc::kInvalidArgument,
                fmt::format("{}:{}: {}{}{}", file_, line, path, path.empty() ? "" : ": ", what));
  }

  Config& config_;
  const std::string& file_;
};

// Sees only where documents begin.
class DocumentStarts : public YAML::EventHandler {
 public:
  int line() const noexcept { return line_; }

  void OnDocumentStart(const YAML::Mark& mark) override { line_ = mark.line + 1; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int line_ = 1;
};

// The line where a second document begins. YAML::LoadAll() is no help: on a stray "," or "]" it makes empty documents
// until memory runs out, since the parser does not move on. Two steps of the parser tell as much.
std::optional<int> second_document(std::string_view text) {
  std::istringstream stream{std::string(text)};
  YAML::Parser parser(stream);
  DocumentStarts starts;
  if (!parser.HandleNextDocument(starts) || !parser.HandleNextDocument(starts)) return std::nullopt;
  return starts.line();
}

}  // namespace

Result<> load_text(Config& config, std::string_view text, const std::string& file) {
  try {
    if (const auto second = second_document(text))
      return fail(Errc::kInvalidArgument,
                  fmt::format("{}:{}: more than one document, or text that belongs to none", file, *second));
    return Walk(config, file).group(YAML::Load(std::string(text)), "");
  } catch (const YAML::Exception& error) {
    const int line = error.mark.is_null() ? 1 : error.mark.line + 1;
    return fail(Errc::kInvalidArgument, fmt::format("{}:{}: {}", file, line, error.msg));
  }
}

Result<> load_file(Config& config, const std::string& path) {
  FF_TRY_ASSIGN(const std::string text, read_file(path, kConfigBytesMax));
  return load_text(config, text, path == "-" ? "standard input" : path);
}

}  // namespace ff::config
