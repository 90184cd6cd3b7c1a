#include "libcommon/kv/etcd_keys.hpp"

namespace ff::kv {

EtcdRange EtcdKeys::data(const KeyRange& range) const {
  return {named('k', range.begin), range.end.empty() ? named('k' + 1, {}) : named('k', range.end)};
}

std::string EtcdKeys::marker_of(const KeyRange& range) const {
  if (range.begin.size() < kMarkedBytes) return wide_marker();
  const KeyRange alike = prefix_range(std::string_view(range.begin).substr(0, kMarkedBytes));
  const bool within = alike.end.empty() || (!range.end.empty() && range.end <= alike.end);
  return within ? named('d', alike.begin) : wide_marker();
}

EtcdRange EtcdKeys::markers_of(const KeyRange& range) const {
  // Keys are not empty, so the first marker of all has one byte.
  const std::string_view begin = range.begin.empty() ? std::string_view("\0", 1) : std::string_view(range.begin);
  EtcdRange markers{marker_of(begin), {}};
  if (range.end.empty()) {
    markers.range_end = named('d' + 1, {});
  } else {
    markers.range_end = marker_of(range.end);
    markers.range_end.push_back('\0');  // keys before the end may begin as it does
  }
  return markers;
}

}  // namespace ff::kv
