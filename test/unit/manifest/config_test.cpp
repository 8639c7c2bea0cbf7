// Image configs: V7.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/manifest/image_config.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using nlohmann::json;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ImageConfig, ComesBackFromItsBytes) {
  ImageConfig config = samples::config();
  const ImageConfig back = unwrap(ImageConfig::parse(emit(config)));
  config.exposed_ports = {"8080/tcp", "9090/tcp"};  // a set: sorted on the way
  EXPECT_EQ(back, config);
}

TEST(ImageConfig, NullAndUnknownFieldsAreFine) {
  const ImageConfig config = unwrap(ImageConfig::parse(
      R"({"architecture":"amd64","os":"linux","container":"x","docker_version":"20",
          "config":{"Env":null,"Labels":null,"Entrypoint":null,"Volumes":null,"ArgsEscaped":true},
          "rootfs":{"type":"layers","diff_ids":null},"history":null})"));
  EXPECT_EQ(config.platform, samples::platform("amd64"));
  EXPECT_TRUE(config.diff_ids.empty());
}

struct BadConfig {
  const char* pointer;
  json value;
  const char* message;
};

TEST(ImageConfig, EveryErrorNamesItsPath) {
  const BadConfig table[] = {
      {"/architecture", "a/b", "image config: /architecture: "},
      {"/os", "a b", "image config: /os: "},
      {"/rootfs", nullptr, "image config: /rootfs: missing"},
      {"/rootfs/type", "zip", "image config: /rootfs/type: not \"layers\""},
      {"/rootfs/type", nullptr, "image config: /rootfs/type: missing"},
      {"/rootfs/diff_ids/1", "sha256:0", "image config: /rootfs/diff_ids/1: "},
      {"/rootfs/diff_ids", {"a"}, "image config: /rootfs/diff_ids/0: "},
      {"/rootfs/diff_ids", json::array(), "image config: /history: tells of 2 layers"},
      {"/history/1/empty_layer", false, "image config: /history: tells of 3 layers"},
      {"/history/1/empty_layer", "no", "image config: /history/1/empty_layer: not true or false"},
      {"/history/0", 1, "image config: /history/0: not an object"},
      {"/config", json::array(), "image config: /config: not an object"},
      {"/config/Env", "A=1", "image config: /config/Env: not an array"},
      {"/config/Env", {1}, "image config: /config/Env/0: not a string"},
      {"/config/Labels", {{"a/b", 1}}, "image config: /config/Labels/a~1b: not a string"},
      {"/config/ExposedPorts", {"80"}, "image config: /config/ExposedPorts: not an object"},
  };
  for (const BadConfig& row : table) {
    json value = json::parse(emit(samples::config()));
    value[json::json_pointer(row.pointer)] = row.value;
    EXPECT_THAT(ImageConfig::parse(value.dump()),
                fails_with(ErrorCode::invalid_input, HasSubstr(row.message)));
  }
}

TEST(ImageConfig, NeedNotSayItsPlatform) {
  json value = json::parse(emit(samples::config()));
  EXPECT_TRUE(unwrap(ImageConfig::parse(value.dump())).has_platform());
  value.erase("architecture");
  EXPECT_FALSE(unwrap(ImageConfig::parse(value.dump())).has_platform());
  value.erase("os");
  EXPECT_EQ(unwrap(ImageConfig::parse(value.dump())).platform.os, "");
}

TEST(ImageConfig, RefusesDuplicateKeys) {
  EXPECT_THAT(ImageConfig::parse(R"({"architecture":"amd64","architecture":"arm","os":"linux"})"),
              fails_with(ErrorCode::invalid_input, HasSubstr("duplicate key")));
}

TEST(ImageConfig, HistoryIsOptional) {
  json value = json::parse(emit(samples::config()));
  value.erase("history");
  EXPECT_THAT(ImageConfig::parse(value.dump()), is_ok());
}

TEST(ImageConfig, Environment) {
  ImageConfig config;
  config.env = {"PATH=/bin", "PATHS=x", "EMPTY=", "NOVALUE"};
  EXPECT_EQ(config.env_value("PATH"), "/bin");
  EXPECT_EQ(config.env_value("EMPTY"), "");
  EXPECT_EQ(config.env_value("NOVALUE"), std::nullopt);
  EXPECT_EQ(config.env_value("PAT"), std::nullopt);
  config.set_env("PATH", "/usr/bin");
  config.set_env("NEW", "a=b");
  EXPECT_THAT(config.env, ElementsAre("PATH=/usr/bin", "PATHS=x", "EMPTY=", "NOVALUE", "NEW=a=b"));
}

}  // namespace
}  // namespace fnimage::manifest
