// argv -> exit code, standard output and standard error. No network but a port nobody listens on.
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "program.hpp"

namespace fnimage::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view build_file =
    "name: probe\nplatforms: [linux/ppc64le, linux/amd64]\nbase: {scratch: true}\n"
    "source: {main: handler.py}\n";

class Command : public ::testing::Test {
 protected:
  void SetUp() override {
    program_.directory().write("project/fnimage.yaml", build_file);
    program_.directory().write("project/handler.py", "def main(args):\n    return {}\n");
  }
  [[nodiscard]] Outcome run(const std::vector<std::string>& arguments) const {
    return program_.run(arguments);
  }
  [[nodiscard]] nlohmann::json json(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return unwrap(parse_json(outcome.out, "output"));
  }
  /// Builds the project for one platform under a name, and returns the manifest's digest.
  [[nodiscard]] std::string build_one(const std::string& name, const std::string& platform) const {
    const nlohmann::json built = json({"build", "project", "-t", name, "--platform", platform});
    return built.at("platforms").at(0).at("manifest").at("digest");
  }

  Program program_;
};

struct Misuse {
  std::string name;
  std::vector<std::string> arguments;
  int exit_code;
  std::string message;  ///< part of standard error
};

class WrongArguments : public Command, public ::testing::WithParamInterface<Misuse> {};

TEST_P(WrongArguments, AreRefusedWithAWayOut) {
  const Outcome outcome = run(GetParam().arguments);
  EXPECT_EQ(outcome.exit_code, GetParam().exit_code);
  EXPECT_THAT(outcome.err, AllOf(StartsWith("fnimage: error: "), HasSubstr(GetParam().message),
                                 HasSubstr("\n  hint: ")));
  EXPECT_THAT(outcome.out, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongArguments,
    ::testing::Values(
        Misuse{"NoCommand", {}, 2, "subcommand is required"},
        Misuse{"UnknownCommand", {"bild"}, 2, "unknown command 'bild'; did you mean 'build'?"},
        Misuse{"UnknownSubcommand",
               {"manifest", "craete", "x", "y"},
               2,
               "unknown command 'craete'; did you mean 'create'?"},
        Misuse{
            "UnknownOption", {"build", "--platfrom=linux/amd64"}, 2, "did you mean '--platform'?"},
        Misuse{"UnknownOptionOfASubcommand",
               {"manifest", "create", "--amned", "x:y", "x:z"},
               2,
               "did you mean '--amend'?"},
        Misuse{"OptionOfAnotherCommand", {"images", "--amend"}, 2, "unknown option '--amend'"},
        Misuse{"TooMany", {"inspect", "a", "b"}, 2, "unexpected argument 'b'"},
        Misuse{"ControlBytes", {"\x1b[2J"}, 2, "unknown command '\\x1b[2J'"},
        Misuse{"NoReference", {"push"}, 2, "REF is required"},
        Misuse{"BadFormat", {"build", "--format", "zip"}, 2, "zip not in {oci,docker}"},
        Misuse{"NoThreads", {"build", "--threads", "0"}, 2, "0 not in range"},
        Misuse{"PushWhere", {"build", "--push", "project"}, 2, "--push needs to know where to"},
        Misuse{"PushLocal", {"build", "--push", "-t", "probe", "project"}, 2, "names no registry"},
        Misuse{"OutputRegistry",
               {"build", "-o", "registry.example/x:y", "project"},
               2,
               "cannot build into 'registry.example/x:y'"},
        Misuse{"DebianName", {"build", "--platform", "linux/ppc64el", "project"}, 2, "ppc64el"},
        Misuse{"CertificateAlone",
               {"inspect", "--cert-file", "project/handler.py", "registry.example/x"},
               2,
               "--cert-file and --key-file belong together"},
        Misuse{"NoBuildFile", {"build"}, 4, "there is no build file fnimage.yaml"},
        Misuse{"NothingToPush",
               {"push", "registry.example/x:y"},
               4,
               "no image registry.example/x:y in the local store"},
        Misuse{"NoSuchList",
               {"manifest", "push", "registry.example/x:y"},
               4,
               "no list registry.example/x:y in the local store"},
        Misuse{"DryRunOfNothing",
               {"manifest", "add", "--dry-run", "x:y", "x:z"},
               2,
               "--dry-run is about requests to a registry"},
        Misuse{"AnnotateNothing", {"manifest", "annotate", "x:y"}, 2, "nothing to annotate"},
        Misuse{"AnnotateWhich",
               {"manifest", "annotate", "x:y", "--arch", "ppc64le"},
               2,
               "which entry is to be annotated?"},
        Misuse{"BadAnnotation",
               {"manifest", "annotate", "x:y", "--index-annotation", "novalue"},
               2,
               "'novalue' is no annotation"},
        Misuse{"ListIsNotLocal", {"manifest", "remove", "x:y", "amd64"}, 4, "there is no list x:y"},
        Misuse{"PullLocal", {"pull", "probe"}, 2, "probe names no registry"},
        Misuse{"CopyToDigest",
               {"copy", "probe",
                "registry.example/x@sha256:"
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
               2,
               "cannot copy to a digest"},
        Misuse{"CopyAllTags", {"copy", "--all-tags", "probe", "oci:x"}, 2, "--all-tags copies"},
        Misuse{"CopyNothing", {"copy", "oci-archive:absent.tar", "oci:x"}, 4, "absent.tar"},
        Misuse{"DockerArchiveOfList",
               {"build", "-o", "docker-archive:x.tar", "project"},
               13,
               "a docker archive holds one platform's image"},
        Misuse{"TagElsewhere",
               {"tag", "registry.example/x:y", "registry.example/z:y"},
               2,
               "in another repository"},
        Misuse{"TagArchive", {"tag", "oci-archive:x.tar", "y"}, 15, "an archive cannot be changed"},
        Misuse{"TagsOfImage",
               {"tags", "registry.example/x:y"},
               2,
               "is no repository, layout or archive"},
        Misuse{"ImagesOfRegistry", {"images", "registry.example/x"}, 2, "is no layout or archive"},
        Misuse{"RmWithoutTag", {"rm", "registry.example/x"}, 2, "it names no tag"},
        Misuse{"RmArchive", {"rm", "oci-archive:x.tar"}, 2, "an archive is a file"},
        Misuse{"NoSuchImage", {"manifest", "create", "x:y", "x:z"}, 4, "no image x:z"},
        Misuse{"InitRuntime", {"init", "--runtime", "cobol", "new"}, 2, "cobol"},
        Misuse{"InitTwice", {"init", "project"}, 5, "project/fnimage.yaml exists already"}),
    [](const auto& tested) { return tested.param.name; });

TEST_F(Command, EveryHelpHasAnExample) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{},
                                             {"init"},
                                             {"build"},
                                             {"push"},
                                             {"pull"},
                                             {"copy"},
                                             {"inspect"},
                                             {"resolve"},
                                             {"digest"},
                                             {"images"},
                                             {"tag"},
                                             {"tags"},
                                             {"rm"},
                                             {"manifest"},
                                             {"manifest", "create"},
                                             {"manifest", "add"},
                                             {"manifest", "remove"},
                                             {"manifest", "annotate"},
                                             {"manifest", "rm"},
                                             {"manifest", "inspect"},
                                             {"manifest", "push"}}) {
    std::vector<std::string> arguments = command;
    arguments.emplace_back("--help");
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("Usage: fnimage"), HasSubstr("Example:\n  fnimage ")));
  }
  EXPECT_THAT(run({"--version"}).out, StartsWith("fnimage "));
}

/// Options of their own, of output, and of registries where they have to do with one.
TEST_F(Command, EveryHelpListsItsOptions) {
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> commands{
      {{"init"}, {"--runtime", "--json"}},
      {{"build"}, {"--platform", "--push", "--json", "--ca-file"}},
      {{"push"}, {"--add", "--json", "--ca-file"}},
      {{"pull"}, {"--platform", "--json", "--ca-file"}},
      {{"copy"}, {"--platform", "--json", "--ca-file", "--src-insecure", "--dest-creds"}},
      {{"inspect"}, {"--raw", "--json", "--ca-file"}},
      {{"resolve"}, {"--node", "--json", "--ca-file"}},
      {{"digest"}, {"--platform", "--json", "--ca-file"}},
      {{"images"}, {"--json"}},
      {{"doctor"}, {"--json", "--ca-file"}},
      {{"login"}, {"--password-stdin", "--json", "--ca-file"}},
      {{"logout"}, {"--json"}},
      {{"tag"}, {"--json", "--ca-file"}},
      {{"tags"}, {"--all", "--json", "--ca-file"}},
      {{"rm"}, {"--json", "--ca-file"}},
      {{"manifest", "create"}, {"--amend", "--json", "--ca-file"}},
      {{"manifest", "add"}, {"--concurrent", "--json", "--ca-file"}},
      {{"manifest", "remove"}, {"--push", "--json", "--ca-file"}},
      {{"manifest", "annotate"}, {"--arch", "--json", "--ca-file"}},
      {{"manifest", "inspect"}, {"--json", "--ca-file"}},
      {{"manifest", "push"}, {"--purge", "--json", "--ca-file"}},
      {{"manifest", "rm"}, {"--json"}}};
  for (const auto& [command, options] : commands) {
    std::vector<std::string> arguments = command;
    arguments.emplace_back("-h");
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 0);
    for (const std::string& option : options) {
      EXPECT_THAT(outcome.out, ::testing::ContainsRegex("[ ,]" + option + "[ ,\n]"))
          << command.back();
    }
  }
}

TEST_F(Command, OptionsTakeOneValueEachAndTwoDashesEndThem) {
  EXPECT_THAT(json({"build", "-t", "probe:a", "--tag", "probe:b", "project"}).at("names"),
              ElementsAre("probe:a", "probe:b"));
  // What would be the option's if it took all that follows is the command's own.
  EXPECT_THAT(json({"build", "--tag=probe:c", "-t", "probe:d", "project"}).at("names"),
              ElementsAre("probe:c", "probe:d"));
  EXPECT_EQ(run({"build", "-t", "probe:e", "--", "project"}).exit_code, 0);
  const Outcome joined = run({"manifest", "create", "-t", "probe:g", "probe:f", "probe:a"});
  EXPECT_EQ(joined.exit_code, 0) << joined.err;
  EXPECT_EQ(run({"manifest", "rm", "--", "probe:f", "probe:g"}).exit_code, 0);
  const Outcome dashes = run({"inspect", "--", "--json"});
  EXPECT_EQ(dashes.exit_code, 2);
  EXPECT_THAT(dashes.err, Not(HasSubstr("REF is required")));
}

TEST_F(Command, ErrorsAreJsonToo) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"push", "--json", "registry.example/x:y"}, {"bild", "--json"}}) {
    const Outcome outcome = run(arguments);
    const nlohmann::json error = unwrap(parse_json(outcome.out, "output")).at("error");
    EXPECT_EQ(error.at("code"), arguments[0] == "push" ? "not_found" : "invalid_argument");
    EXPECT_NE(error.at("message"), "");
    EXPECT_NE(error.at("hint"), "");
    EXPECT_THAT(outcome.err, StartsWith("fnimage: error: "));
  }
}

TEST_F(Command, BuildsIntoTheLocalStoreAndShowsIt) {
  EXPECT_THAT(json({"images"}).at("images"), IsEmpty());
  const nlohmann::json built = json({"build", "project"});
  EXPECT_THAT(built.at("names"), ElementsAre("probe:latest"));
  const nlohmann::json images = json({"images"}).at("images");
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images[0].at("reference"), "probe:latest");
  EXPECT_EQ(images[0].at("digest"), built.at("list").at("digest"));
  EXPECT_THAT(images[0].at("platforms"), ElementsAre("linux/amd64", "linux/ppc64le"));
  const Outcome tree = run({"inspect", "probe"});
  EXPECT_THAT(tree.out, AllOf(HasSubstr("├── linux/amd64  sha256:"),
                              HasSubstr("└── linux/ppc64le  sha256:"), HasSubstr("(shared)")));
  const nlohmann::json raw = unwrap(parse_json(run({"inspect", "--raw", "probe"}).out, "raw"));
  EXPECT_EQ(raw.at("manifests").size(), 2U);
}

TEST_F(Command, PrintsTheListsDigestWhenQuiet) {
  const Outcome first = run({"build", "-q", "project"});
  EXPECT_EQ(first.exit_code, 0);
  EXPECT_THAT(first.err, IsEmpty());
  EXPECT_THAT(first.out, ::testing::MatchesRegex("sha256:[0-9a-f]+\n"));
  EXPECT_EQ(run({"build", "-q", "project"}).out, first.out);
}

TEST_F(Command, BuildsIntoALayoutWithATagPerPlatform) {
  EXPECT_EQ(run({"build", "-o", "oci:layout:v1", "project"}).exit_code, 0);
  for (const std::string tag : {"v1", "v1-amd64", "v1-ppc64le"}) {
    EXPECT_EQ(run({"inspect", "oci:layout:" + tag}).exit_code, 0) << tag;
  }
  EXPECT_THAT(json({"images"}).at("images"), IsEmpty());
}

TEST_F(Command, TakesPathsRelativeToTheDirectoryThatIsNamed) {
  program_.directory().write("other.yaml", build_file);
  EXPECT_EQ(run({"build", "-f", "other.yaml"}).exit_code, 4);
  EXPECT_EQ(run({"build", "-f", "other.yaml", "project"}).exit_code, 0);
}

TEST_F(Command, ManifestCreateJoinsImagesAsDockerDoes) {
  const std::string amd64 = build_one("team/probe:amd64", "linux/amd64");
  const std::string ppc64le = build_one("team/probe:ppc64le", "linux/ppc64le");
  const std::vector<std::string> create{"-D",
                                        "manifest",
                                        "create",
                                        "--insecure",
                                        "team/probe:both",
                                        "team/probe:ppc64le",
                                        "team/probe:amd64"};
  const Outcome created = run(create);
  EXPECT_EQ(created.exit_code, 0) << created.err;
  EXPECT_EQ(created.out, "Created manifest list team/probe:both\n");
  const Outcome inspected = run({"manifest", "inspect", "team/probe:both"});
  const nlohmann::json list = unwrap(parse_json(inspected.out, "list"));
  EXPECT_EQ(list.at("manifests").at(0).at("digest"), amd64);
  EXPECT_EQ(list.at("manifests").at(1).at("digest"), ppc64le);
  EXPECT_THAT(inspected.out, HasSubstr("\n  \"manifests\": [\n    {\n"));
  const Outcome again = run(create);
  EXPECT_EQ(again.exit_code, 5);
  EXPECT_THAT(again.err, HasSubstr("--amend"));
}

TEST_F(Command, FindsTheRegistryBeforeItBuilds) {
  const Outcome outcome =
      run({"build", "--push", "--plain-http", "-t", "127.0.0.1:1/probe:latest", "project"});
  EXPECT_EQ(outcome.exit_code, 8);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("\n  hint: ")));
  EXPECT_THAT(json({"images"}).at("images"), IsEmpty());
}

TEST_F(Command, InitWritesAProject) {
  const Outcome outcome = run({"init", "--name", "hello", "new"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(program_.directory().read("new/fnimage.yaml"), HasSubstr("\nname: hello\n"));
  EXPECT_THAT(program_.directory().read("new/handler.py"), HasSubstr("def main(args):"));
}

}  // namespace
}  // namespace fnimage::test
