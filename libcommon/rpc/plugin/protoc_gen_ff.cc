// protoc-gen-ff: makes typed clients and abstract services from the `service` definitions of a .proto file.
//
//   protoc --plugin=protoc-gen-ff=... --ff_out=OUT --cpp_out=OUT --proto_path=ROOT a/counter.proto
//
// writes a/counter.ff.hpp and a/counter.ff.cc beside protobuf's own a/counter.pb.h. For `service Counter`:
//   CounterService   derive from it and write the methods
//   CounterClient    one typed function a method
// A service whose name ends in "Service" keeps it: `service CounterService` gives the same two classes.
// Method names become snake_case. Streaming is refused: bulk data travels beside messages (CallOptions).
#include <google/protobuf/compiler/code_generator.h>
#include <google/protobuf/compiler/plugin.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/printer.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include <cctype>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "libcommon/rpc/wire.hpp"

namespace {

namespace pb = google::protobuf;
using Variables = std::map<std::string, std::string>;

std::string replace_all(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string without_suffix(const std::string& text, const std::string& suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

bool is_upper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }
bool is_lower_or_digit(char c) {
  return std::islower(static_cast<unsigned char>(c)) != 0 || std::isdigit(static_cast<unsigned char>(c)) != 0;
}

// "GetHTTPPage" → "get_http_page": a word begins at a capital after a small letter, or before one.
std::string snake_case(const std::string& name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool after_small = i > 0 && is_lower_or_digit(name[i - 1]);
    const bool before_small = i > 0 && i + 1 < name.size() && is_lower_or_digit(name[i + 1]) && is_upper(name[i - 1]);
    if (is_upper(name[i]) && (after_small || before_small) && !out.ends_with('_')) out += '_';
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
  }
  // What C++ has taken: its keywords and alternative tokens (ISO C++23, [lex.key], [lex.digraph]), its words with a
  // meaning at the beginning of a line, and macros of the C library.
  static const std::set<std::string> kReserved = {
      "alignas",     "alignof",   "and",        "and_eq",    "asm",      "auto",         "bitand",
      "bitor",       "bool",      "break",      "case",      "catch",    "char",         "char8_t",
      "char16_t",    "char32_t",  "class",      "compl",     "concept",  "const",        "consteval",
      "constexpr",   "constinit", "const_cast", "continue",  "co_await", "co_return",    "co_yield",
      "decltype",    "default",   "delete",     "do",        "double",   "dynamic_cast", "else",
      "enum",        "explicit",  "export",     "extern",    "false",    "float",        "for",
      "friend",      "goto",      "if",         "inline",    "int",      "long",         "mutable",
      "namespace",   "new",       "noexcept",   "not",       "not_eq",   "nullptr",      "operator",
      "or",          "or_eq",     "private",    "protected", "public",   "register",     "reinterpret_cast",
      "requires",    "return",    "short",      "signed",    "sizeof",   "static",       "static_assert",
      "static_cast", "struct",    "switch",     "template",  "this",     "thread_local", "throw",
      "true",        "try",       "typedef",    "typeid",    "typename", "union",        "unsigned",
      "using",       "virtual",   "void",       "volatile",  "wchar_t",  "while",        "xor",
      "xor_eq",      "import",    "module",     "assert",    "errno",    "offsetof"};
  return kReserved.contains(out) ? out + '_' : out;
}

std::string class_stem(const pb::ServiceDescriptor& service) { return without_suffix(service.name(), "Service"); }

// As protoc's C++ generator names it, from anywhere: "::ff::test::Outer_Inner".
std::string cpp_name(const pb::Descriptor& message) {
  std::string nested = message.name();
  for (const pb::Descriptor* outer = message.containing_type(); outer != nullptr; outer = outer->containing_type())
    nested = outer->name() + "_" + nested;
  const std::string& package = message.file()->package();
  return (package.empty() ? "::" : "::" + replace_all(package, ".", "::") + "::") + nested;
}

std::string idempotency(const pb::MethodDescriptor& method) {
  switch (method.options().idempotency_level()) {
    case pb::MethodOptions::NO_SIDE_EFFECTS: return "kNoSideEffects";
    case pb::MethodOptions::IDEMPOTENT: return "kIdempotent";
    default: return "kUnknown";
  }
}

Variables variables_of(const pb::MethodDescriptor& method) {
  const pb::ServiceDescriptor& service = *method.service();
  char id[16];
  std::snprintf(id, sizeof id, "0x%08xu", ff::rpc::method_id(service.full_name() + "/" + method.name()));
  return {{"service", service.full_name()},
          {"stem", class_stem(service)},
          {"method", method.name()},
          {"function", snake_case(method.name())},
          {"request", cpp_name(*method.input_type())},
          {"reply", cpp_name(*method.output_type())},
          {"idempotency", idempotency(method)},
          {"index", std::to_string(method.index())},
          {"id", id}};
}

// What cannot be generated, in words that say where and what to do.
bool check(const pb::FileDescriptor& file, std::string* error) {
  if (file.syntax() != pb::FileDescriptor::SYNTAX_PROTO3) {
    *error = file.name() + ": is not proto3 (begin it with: syntax = \"proto3\";)";
    return false;
  }
  std::map<std::uint32_t, std::string> ids;
  std::set<std::string> stems;
  for (int s = 0; s < file.service_count(); ++s) {
    const pb::ServiceDescriptor& service = *file.service(s);
    const std::string stem = class_stem(service);
    if (stem.empty() || !stems.insert(stem).second) {
      *error = service.full_name() + ": gives no class name of its own without the ending 'Service' (rename it)";
      return false;
    }
    for (const char* ending : {"Service", "Client"}) {
      if (file.FindMessageTypeByName(stem + ending) == nullptr) continue;
      *error = service.full_name() + ": its class " + stem + ending + " has the name of a message (rename one)";
      return false;
    }
    if (service.method_count() == 0) {
      *error = service.full_name() + ": has no methods (give it one)";
      return false;
    }
    std::set<std::string> functions = {"service_name", "service_methods"};
    for (int m = 0; m < service.method_count(); ++m) {
      const pb::MethodDescriptor& method = *service.method(m);
      const std::string name = service.full_name() + "/" + method.name();
      if (method.client_streaming() || method.server_streaming()) {
        *error = name + ": streams are not supported (repeat the call, or send large data as bulk: CallOptions)";
        return false;
      }
      if (!functions.insert(snake_case(method.name())).second) {
        *error = name + ": its function " + snake_case(method.name()) + " is there already (rename it)";
        return false;
      }
      const auto [at, fresh] = ids.emplace(ff::rpc::method_id(name), name);
      if (!fresh) {
        *error = name + ": has the same id as " + at->second + " (rename one)";
        return false;
      }
    }
  }
  return true;
}

void print_service(pb::io::Printer& out, const pb::ServiceDescriptor& service) {
  out.Print({{"stem", class_stem(service)}, {"service", service.full_name()}},
            "// The server's side of $service$.\n"
            "class $stem$Service : public ff::rpc::Service {\n"
            " public:\n"
            "  std::string_view service_name() const noexcept final { return \"$service$\"; }\n"
            "  std::span<const ff::rpc::Method> service_methods() const noexcept final;\n"
            "\n");
  for (int m = 0; m < service.method_count(); ++m)
    out.Print(variables_of(*service.method(m)),
              "  virtual ff::runtime::Task<ff::Result<$reply$>> $function$(ff::rpc::ServerCall& call,\n"
              "      const $request$& request) = 0;\n");
  out.Print("};\n\n");
}

void print_client(pb::io::Printer& out, const pb::ServiceDescriptor& service) {
  out.Print({{"stem", class_stem(service)}, {"service", service.full_name()}},
            "// The client's side of $service$; a view of an ff::rpc::Client, which outlives it.\n"
            "// The request and the options stay until the call has returned.\n"
            "class $stem$Client {\n"
            " public:\n"
            "  explicit $stem$Client(ff::rpc::Client& client) noexcept : client_(&client) {}\n"
            "\n");
  for (int m = 0; m < service.method_count(); ++m)
    out.Print(variables_of(*service.method(m)),
              "  [[clang::coro_wrapper]] ff::runtime::Task<ff::Result<$reply$>> $function$(\n"
              "      const $request$& request, ff::rpc::CallOptions options = {}) const;\n");
  out.Print("\n private:\n  ff::rpc::Client* client_;\n};\n\n");
}

void print_methods(pb::io::Printer& out, const pb::ServiceDescriptor& service) {
  const std::string stem = class_stem(service);
  out.Print({{"stem", stem}}, "namespace {\nconstexpr ff::rpc::Method k$stem$Methods[] = {\n");
  for (int m = 0; m < service.method_count(); ++m)
    out.Print(variables_of(*service.method(m)),
              "    {{\"$service$\", \"$method$\", $id$, ff::rpc::Idempotency::$idempotency$},\n"
              "     &ff::rpc::detail::start_method<$stem$Service, $request$, $reply$, &$stem$Service::$function$>},\n");
  out.Print({{"stem", stem}},
            "};\n}  // namespace\n\n"
            "std::span<const ff::rpc::Method> $stem$Service::service_methods() const noexcept {\n"
            "  return k$stem$Methods;\n}\n\n");
  for (int m = 0; m < service.method_count(); ++m)
    out.Print(variables_of(*service.method(m)),
              "ff::runtime::Task<ff::Result<$reply$>> $stem$Client::$function$(\n"
              "    const $request$& request, ff::rpc::CallOptions options) const {\n"
              "  return ff::rpc::call<$reply$>(*client_, k$stem$Methods[$index$].info, request, options);\n"
              "}\n\n");
}

class Generator final : public pb::compiler::CodeGenerator {
 public:
  bool Generate(const pb::FileDescriptor* file, const std::string& parameter, pb::compiler::GeneratorContext* context,
                std::string* error) const override {
    if (!parameter.empty()) {
      *error = "--ff_opt: there are no options, '" + parameter + "' was given";
      return false;
    }
    if (!check(*file, error)) return false;
    const std::string stem = without_suffix(file->name(), ".proto");
    const std::string space = replace_all(file->package(), ".", "::");
    const Variables about = {{"file", file->name()}, {"stem", stem}, {"space", space}};

    const std::unique_ptr<pb::io::ZeroCopyOutputStream> header(context->Open(stem + ".ff.hpp"));
    pb::io::Printer hpp(header.get(), '$');
    hpp.Print(about,
              "// Generated by protoc-gen-ff from $file$. Do not edit.\n"
              "#pragma once\n\n"
              "#include <span>\n#include <string_view>\n\n"
              "#include \"$stem$.pb.h\"\n"
              "#include \"libcommon/rpc/client.hpp\"\n"
              "#include \"libcommon/rpc/service.hpp\"\n\n");
    if (!space.empty()) hpp.Print(about, "namespace $space$ {\n\n");
    for (int s = 0; s < file->service_count(); ++s) {
      print_service(hpp, *file->service(s));
      print_client(hpp, *file->service(s));
    }
    if (!space.empty()) hpp.Print(about, "}  // namespace $space$\n");

    const std::unique_ptr<pb::io::ZeroCopyOutputStream> source(context->Open(stem + ".ff.cc"));
    pb::io::Printer cc(source.get(), '$');
    cc.Print(about,
             "// Generated by protoc-gen-ff from $file$. Do not edit.\n"
             "#include \"$stem$.ff.hpp\"\n\n");
    if (!space.empty()) cc.Print(about, "namespace $space$ {\n\n");
    for (int s = 0; s < file->service_count(); ++s) print_methods(cc, *file->service(s));
    if (!space.empty()) cc.Print(about, "}  // namespace $space$\n");
    return true;
  }

  std::uint64_t GetSupportedFeatures() const override { return FEATURE_PROTO3_OPTIONAL; }
};

}  // namespace

int main(int argc, char** argv) {
  const Generator generator;
  return pb::compiler::PluginMain(argc, argv, &generator);
}
