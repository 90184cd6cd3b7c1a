#include <variant>

#include "libcommon/cli/builtin.hpp"
#include "libcommon/cli/option_text.hpp"
#include "libcommon/report/json.hpp"

namespace ff::cli {
namespace {

using report::JsonWriter;

void write_strings(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts) {
  json.key(key).begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

void write_default(JsonWriter& json, const Option& option) {
  struct Visitor {
    JsonWriter& json;
    void operator()(const bool* b) const { json.value(*b); }
    void operator()(const std::int64_t* i) const { json.value(*i); }
    void operator()(const double* d) const { json.value(*d); }
    void operator()(const std::string* s) const { json.value(*s); }
    void operator()(const ByteSize* s) const { json.value(s->bytes); }
    void operator()(const Duration* d) const { json.value(static_cast<std::int64_t>(d->count())); }
    void operator()(const std::vector<std::string>* v) const {
      json.begin_array();
      for (const std::string& text : *v) json.value(text);
      json.end_array();
    }
  };
  json.key("default");
  if (option.required)
    json.null();
  else
    std::visit(Visitor{json}, option.target);
}

void write_bound(JsonWriter& json, std::string_view key, const std::optional<double>& bound) {
  json.key(key);
  if (bound)
    json.value(*bound);
  else
    json.null();
}

void write_option(JsonWriter& json, const Option& option) {
  json.begin_object();
  write_strings(json, "names", names_of(option));
  json.field("kind", kind_of(option)).field("value_name", std::string_view(value_name_of(option)));
  json.field("help", std::string_view(option.help));
  write_default(json, option);
  write_strings(json, "choices", option.choices);
  write_bound(json, "min", option.min);
  write_bound(json, "max", option.max);
  json.field("required", option.required).field("environment", std::string_view(option.environment));
  json.field("positional", is_positional(option)).field("flag", is_flag(option)).field("hidden", option.hidden);
  json.field("complete", std::string_view(option.complete)).end_object();
}

// The members of a command's object, so that the root can open its own with the schema.
void write_command(JsonWriter& json, const Command& command) {
  json.field("name", std::string_view(command.name)).field("summary", std::string_view(command.summary));
  json.field("description", std::string_view(command.description)).field("hidden", command.hidden);
  json.field("runs", command.run != nullptr);
  json.key("trailing");
  if (command.trailing != nullptr)
    json.value(command.trailing_name);
  else
    json.null();
  json.key("options").begin_array();
  for (const Option& option : command.options) write_option(json, option);
  json.end_array().key("examples").begin_array();
  for (const Example& example : command.examples)
    json.begin_object()
        .field("command", std::string_view(example.command))
        .field("what", std::string_view(example.what))
        .end_object();
  json.end_array().key("exit_codes").begin_array();
  for (const ExitCode& exit : command.exit_codes)
    json.begin_object().field("code", exit.code).field("meaning", std::string_view(exit.meaning)).end_object();
  json.end_array().key("commands").begin_array();
  for (const Command& nested : command.commands) {
    json.begin_object();
    write_command(json, nested);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

std::string dump_text(const Command& root) {
  JsonWriter json(2);
  json.begin_object().field("schema", "ff.cli/1");
  write_command(json, root);
  json.end_object();
  return json.take() + '\n';
}

}  // namespace ff::cli
