// A schema with one key of every type.
#pragma once

#include "libcommon/config/schema.hpp"

namespace ff::config {

inline const Schema& sample_schema() {
  static const Schema schema({
      {.name = "name", .type = Type::kText, .otherwise = "job", .help = "what the job is called"},
      {.name = "net.port",
       .type = Type::kInteger,
       .otherwise = "7000",
       .help = "where to listen",
       .min = 1,
       .max = 65535},
      {.name = "net.timeout",
       .type = Type::kDuration,
       .otherwise = "30s",
       .help = "give up after",
       .min = 0.001,
       .max = 3600},
      {.name = "net.interfaces", .type = Type::kTextList, .otherwise = "eth0", .help = "which to use"},
      {.name = "net.routes", .type = Type::kTextMap, .otherwise = "a=1", .help = "from where to where"},
      {.name = "store.chunk", .type = Type::kSize, .otherwise = "4MiB", .help = "bytes of a chunk", .min = 4096},
      {.name = "store.sync", .type = Type::kBool, .otherwise = "true", .help = "wait for the disk"},
      {.name = "tree.kind",
       .type = Type::kChoice,
       .otherwise = "double",
       .help = "which tree",
       .choices = {"double", "ring"}},
      {.name = "tree.ratio",
       .type = Type::kReal,
       .otherwise = "0.5",
       .help = "share of the first tree",
       .min = 0,
       .max = 1},
  });
  return schema;
}

}  // namespace ff::config
