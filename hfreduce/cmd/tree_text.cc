#include "hfreduce/cmd/tree_text.hpp"

#include <fmt/core.h>

#include <charconv>

#include "hfreduce/tree/double_binary_tree.hpp"
#include "libcommon/report/json.hpp"

namespace ff::hfreduce::cmd {
namespace {

constexpr int kHostsMax = 65536;

// Depth is logarithmic, so recursion is shallow.
void draw(int hosts, int host, int tree, const std::string& indent, std::string& out) {
  const TreeNode node = double_binary_tree(hosts, host, tree);
  out += fmt::format("{}host {}{}\n", indent, host, node.is_leaf() ? "" : ":");
  for (const int child : node.children)
    if (child >= 0) draw(hosts, child, tree, indent + "  ", out);
}

int root_of(int hosts, int tree) {
  int host = 0;
  for (TreeNode node = double_binary_tree(hosts, host, tree); node.parent >= 0;
       node = double_binary_tree(hosts, host, tree))
    host = node.parent;
  return host;
}

}  // namespace

Result<Shape> parse_shape(std::string_view text) {
  Shape shape;
  const auto x = text.find('x');
  auto number = [&](std::string_view word, int& out) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
    return error == std::errc() && end == word.data() + word.size() && out >= 1 && out <= kHostsMax;
  };
  if (!number(text.substr(0, x), shape.hosts) ||
      (x != std::string_view::npos && !number(text.substr(x + 1), shape.ranks_per_host)))
    return fail(Errc::kInvalidArgument, fmt::format("shape '{}': not HOSTSxRANKS (write 4x8)", text));
  return shape;
}

std::string trees_text(const Shape& shape) {
  std::string out = fmt::format("{} hosts, {} ranks each: {} ranks\n", shape.hosts, shape.ranks_per_host,
                                static_cast<long>(shape.hosts) * shape.ranks_per_host);
  out += "inside a host: one pass over shared memory by all its ranks\n";
  if (shape.hosts == 1) return out;
  out += fmt::format(
      "between hosts: double binary tree, depth {}; each tree carries half of the chunks, sums going up "
      "and results coming down\n",
      double_binary_tree_depth(shape.hosts));
  for (int tree = 0; tree < 2; ++tree) {
    out += fmt::format("tree {}\n", tree);
    draw(shape.hosts, root_of(shape.hosts, tree), tree, "  ", out);
  }
  return out;
}

std::string trees_json(const Shape& shape) {
  report::JsonWriter json(2);
  json.begin_object().field("schema", "ff.trees/1").field("hosts", shape.hosts);
  json.field("ranks_per_host", shape.ranks_per_host).field("depth", double_binary_tree_depth(shape.hosts));
  json.key("trees").begin_array();
  for (int tree = 0; tree < 2; ++tree) {
    json.begin_object().field("root", root_of(shape.hosts, tree)).key("nodes").begin_array();
    for (int host = 0; host < shape.hosts; ++host) {
      const TreeNode node = double_binary_tree(shape.hosts, host, tree);
      json.begin_object().field("host", host).field("parent", node.parent).field("depth", node.depth);
      json.key("children").begin_array();
      for (const int child : node.children)
        if (child >= 0) json.value(child);
      json.end_array().end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return json.take() + "\n";
}

}  // namespace ff::hfreduce::cmd
