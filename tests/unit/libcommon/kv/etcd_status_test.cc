// Codes and messages are those of etcd 3.4 and gRPC 1.51; what they mean for a write follows from where etcd makes
// them.
#include "libcommon/kv/etcd_status.hpp"

#include <gtest/gtest.h>

namespace ff::kv {
namespace {

constexpr int kUnknownCode = 2, kInvalid = 3, kDeadline = 4, kNotFound = 5, kPermission = 7, kExhausted = 8,
              kPrecondition = 9, kOutOfRange = 11, kInternal = 13, kUnavailable = 14;

TEST(EtcdStatus, OnlyWhatWasNeverHandedOnCountsAsNotApplied) {
  for (const EtcdFailure& failure :
       {EtcdFailure{kUnavailable, "etcdserver: no leader"},
        EtcdFailure{kUnavailable, "failed to connect to all addresses; last error: UNKNOWN: Connection refused"},
        EtcdFailure{kUnknownCode, "raft proposal dropped"}, EtcdFailure{kExhausted, "etcdserver: too many requests"}}) {
    EXPECT_EQ(meaning_of(failure), EtcdMeaning::kNotApplied) << failure.message;
  }
}

TEST(EtcdStatus, WhatMayHaveHappenedIsUnknown) {
  for (const EtcdFailure& failure :
       {EtcdFailure{kDeadline, "Deadline Exceeded"}, EtcdFailure{kUnavailable, "Socket closed"},
        EtcdFailure{kUnavailable, "Connection reset by peer"},
        EtcdFailure{kUnavailable, "etcdserver: request timed out"},
        EtcdFailure{kUnavailable, "etcdserver: request timed out, possibly due to previous leader failure"},
        EtcdFailure{kUnavailable, "etcdserver: server stopped"}, EtcdFailure{kInternal, "RST_STREAM"},
        EtcdFailure{kExhausted, "Received message larger than max"}, EtcdFailure{1, "CANCELLED"},
        EtcdFailure{99, "a code of the future"}}) {
    EXPECT_EQ(meaning_of(failure), EtcdMeaning::kUnknown) << failure.message;
  }
}

TEST(EtcdStatus, RefusalsAreFinalAndHaveACode) {
  struct Case {
    EtcdFailure failure;
    Errc code;
  };
  for (const auto& [failure, code] :
       {Case{{kExhausted, "etcdserver: mvcc: database space exceeded"}, Errc::kExhausted},
        Case{{kInvalid, "etcdserver: too many operations in txn request"}, Errc::kExhausted},
        Case{{kInvalid, "etcdserver: request is too large"}, Errc::kExhausted},
        Case{{kInvalid, "etcdserver: duplicate key given in txn request"}, Errc::kInvalidArgument},
        Case{{kNotFound, "etcdserver: requested lease not found"}, Errc::kNotFound},
        Case{{kPermission, "etcdserver: permission denied"}, Errc::kPermission},
        Case{{kPrecondition, "etcdserver: authentication is not enabled"}, Errc::kUnavailable}}) {
    EXPECT_EQ(meaning_of(failure), EtcdMeaning::kRefused) << failure.message;
    const Error error = etcd_error("host:1", failure);
    EXPECT_EQ(error.code(), code) << failure.message;
    EXPECT_TRUE(error.message().starts_with("host:1: " + failure.message)) << error.message();
  }
}

// etcd says the same words before a transaction is proposed and after it was applied to the full database.
TEST(EtcdStatus, ACommitThatMetAFullDatabaseMayHaveHappened) {
  const EtcdFailure full{kExhausted, "etcdserver: mvcc: database space exceeded"};
  EXPECT_EQ(meaning_of(full), EtcdMeaning::kRefused);
  EXPECT_EQ(meaning_of_commit(full), EtcdMeaning::kUnknown);
  EXPECT_EQ(meaning_of_commit({kExhausted, "etcdserver: too many requests"}), EtcdMeaning::kNotApplied);
  EXPECT_EQ(meaning_of_commit({kInvalid, "etcdserver: request is too large"}), EtcdMeaning::kRefused);
  EXPECT_EQ(meaning_of_commit({kUnavailable, "Socket closed"}), EtcdMeaning::kUnknown);
}

TEST(EtcdStatus, ReadsOfOtherRevisionsAreToldApart) {
  EXPECT_EQ(meaning_of({kOutOfRange, "etcdserver: mvcc: required revision is a future revision"}),
            EtcdMeaning::kFuture);
  EXPECT_EQ(meaning_of({kOutOfRange, "etcdserver: mvcc: required revision has been compacted"}),
            EtcdMeaning::kCompacted);
}

}  // namespace
}  // namespace ff::kv
