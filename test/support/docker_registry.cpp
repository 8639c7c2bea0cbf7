// See docker_registry.hpp.
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/test/docker_registry.hpp>

namespace fnimage::test {

namespace {

/// Starts a program with its output in a file; -1 when it cannot be started.
pid_t spawn(std::vector<std::string> words, const std::filesystem::path& output) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t pid = -1;
  if (::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) {
    pid = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

void run(std::vector<std::string> words, const std::filesystem::path& output) {
  const std::string name = words.front();
  const pid_t pid = spawn(std::move(words), output);
  int status = -1;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || status != 0) {
    throw std::runtime_error(name + " failed, see " + output.string());
  }
}

bool is_installed(const char* program) {
  for (const char* directory : {"/usr/bin/", "/usr/local/bin/", "/bin/"}) {
    if (::access((std::string(directory) + program).c_str(), X_OK) == 0) {
      return true;
    }
  }
  return false;
}

int connect_to(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::close(fd);
  return result;
}

std::uint16_t free_port() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool ok = ::bind(fd, generic, length) == 0 && ::getsockname(fd, generic, &length) == 0;
  ::close(fd);
  if (!ok) {
    throw std::runtime_error("no free port on 127.0.0.1");
  }
  return ntohs(address.sin_port);
}

}  // namespace

std::string DockerRegistry::missing() {
  for (const char* program : {"docker-registry", "openssl", "htpasswd"}) {
    if (!is_installed(program)) {
      return std::string(program) +
             " is not installed (Debian: docker-registry, openssl, apache2-utils)";
    }
  }
  return {};
}

DockerRegistry::DockerRegistry(const DockerRegistryOptions& options) {
  if (options.tls) {
    make_certificates();
  }
  if (!options.user.empty()) {
    run({"htpasswd", "-Bbc", (directory_ / "htpasswd").string(), options.user, options.password},
        directory_ / "log");
  }
  // Between finding a free port and using it somebody else may take it.
  constexpr int tries = 5;
  for (int i = 0; i < tries; ++i) {
    start(options);
    if (answers()) {
      return;
    }
    stop();
  }
  throw std::runtime_error("docker-registry does not come up: " + directory_.read("log"));
}

DockerRegistry::~DockerRegistry() {
  stop();
}

void DockerRegistry::stop() noexcept {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

void DockerRegistry::lose_blob(const std::string& repository, const std::string& hex) const {
  const auto links = directory_ / "data" / "docker" / "registry" / "v2" / "repositories" /
                     repository / "_layers" / "sha256";
  if (std::filesystem::remove_all(links / hex) == 0) {
    throw std::runtime_error(repository + " has no blob " + hex);
  }
}

void DockerRegistry::make_certificates() const {
  const auto file = [this](std::string_view name) { return (directory_ / name).string(); };
  const auto log = directory_ / "log";
  directory_.write("san", "subjectAltName=IP:127.0.0.1\n");
  run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
       "-nodes", "-keyout", file("ca.key"), "-out", file("ca.pem"), "-subj", "/CN=fnimage test CA",
       "-days", "2"},
      log);
  run({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
       "-keyout", file("server.key"), "-out", file("server.csr"), "-subj", "/CN=127.0.0.1"},
      log);
  run({"openssl", "x509", "-req", "-in", file("server.csr"), "-CA", file("ca.pem"), "-CAkey",
       file("ca.key"), "-CAcreateserial", "-out", file("server.pem"), "-days", "2", "-extfile",
       file("san")},
      log);
}

void DockerRegistry::start(const DockerRegistryOptions& options) {
  address_ = "127.0.0.1:" + std::to_string(free_port());
  std::string config =
      "version: 0.1\n"
      "log: {level: info}\n"
      "storage:\n"
      "  filesystem: {rootdirectory: " +
      (directory_ / "data").string() +
      "}\n"
      "  delete: {enabled: " +
      (options.deletion ? "true" : "false") +
      "}\n"
      "http:\n"
      "  addr: " +
      address_ + "\n";
  if (options.tls) {
    config += "  tls: {certificate: " + (directory_ / "server.pem").string() +
              ", key: " + (directory_ / "server.key").string() +
              (options.client_certificate ? ", clientcas: [" + ca_file().string() + "]}\n" : "}\n");
  }
  if (!options.user.empty()) {
    config +=
        "auth:\n  htpasswd: {realm: test, path: " + (directory_ / "htpasswd").string() + "}\n";
  }
  if (!options.token_realm.empty()) {
    config += "auth:\n  token: {realm: \"" + options.token_realm +
              "\", service: test, issuer: test, rootcertbundle: " + ca_file().string() + "}\n";
  }
  const std::filesystem::path file = directory_.write("config.yml", config);
  pid_ = spawn({"docker-registry", "serve", file.string()}, directory_ / "log");
}

bool DockerRegistry::answers() {
  const auto port = static_cast<std::uint16_t>(std::stoi(address_.substr(address_.find(':') + 1)));
  constexpr int rounds = 600;
  for (int i = 0; i < rounds && pid_ > 0; ++i) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ =
          -1;  // it died, e.g. because the port was taken: whoever listens there is somebody else
      return false;
    }
    if (connect_to(port) == 0) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

}  // namespace fnimage::test
