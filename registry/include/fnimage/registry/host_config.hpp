// How single registries are reached: a file of the user's own, and the certificate directories that
// container tools share (HOST:PORT/ca.crt, client.cert, client.key). What the caller asks for
// itself comes first. Thread-safety: pure functions.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/registry/client.hpp>

namespace fnimage::registry {

/// Reads {"hosts": {"serverless:30501": {"plain_http": true, …}}}. Members of a host: plain_http,
/// insecure, tls_verify (true or false), ca_file, ca_dir, cert_file, key_file (paths, relative to
/// the file), auth_realms (list of host[:port]), mirrors (list of host[:port][/prefix]),
/// connections, limit_rate and chunk_size (bytes, or text like "10M"), credentials (username and
/// password_file, or authfile, or helper). A missing file is an empty one. Error: invalid_input
/// that names the file and the place in it; unknown members are one, and secrets in the file.
Result<std::map<std::string, HostOptions>> read_host_config(const std::filesystem::path& file);

/// $XDG_CONFIG_HOME/fnimage/registries.json, or ~/.config/fnimage/registries.json; empty when
/// neither variable is set.
std::filesystem::path host_config_file();

/// /etc/docker/certs.d, /etc/containers/certs.d, ~/.config/containers/certs.d.
std::vector<std::filesystem::path> certificate_directories();

/// The options for one registry: those given, then its HostOptions, then its certificate
/// directories. Files there that cannot be read are left out and reported as debug messages.
/// Errors: not_found, permission_denied, io for a ca_dir that was asked for.
Result<ClientOptions> options_for(const ClientOptions& options, const std::string& registry,
                                  Diagnostics& diagnostics);

/// The credentials that hosts name (HostOptions::credentials); files are read and helpers asked
/// when they are looked for. Errors of find(): those of reading, also when a file is missing.
std::unique_ptr<CredentialStore> host_credentials(std::map<std::string, HostOptions> hosts);

/// The limits of hosts, for TransportOptions::hosts.
std::map<std::string, HostLimits, std::less<>> host_limits(
    const std::map<std::string, HostOptions>& hosts);

}  // namespace fnimage::registry
