// See fnimage/registry/doctor.hpp: reaching the registry and being let in.
#include "doctor.hpp"

#include <cstdlib>
#include <ctime>

#include <curl/curl.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/host_config.hpp>

#include "challenge.hpp"

namespace fnimage::registry {

namespace {

constexpr long tolerated_skew = 60;  // seconds

Finding failed(std::string name, const Error& error) {
  return {.name = std::move(name),
          .verdict = Verdict::no,
          .detail = error.message(),
          .advice = error.hint()};
}

void note_problem(Diagnosis& diagnosis, const Error& error) {
  if (!diagnosis.problem) {
    diagnosis.problem = error;
  }
}

Finding certificate_finding(const Url& base, const ClientOptions& options) {
  Finding finding{.name = "certificate", .verdict = Verdict::ok};
  if (!base.is_https()) {
    finding.verdict = Verdict::unknown;
    finding.detail = "none: plain http, anybody on the way can read and change what is sent";
  } else if (options.insecure || !options.tls.verify) {
    finding.verdict = Verdict::unknown;
    finding.detail = "not verified, as asked";
    finding.advice = "give its authority with --ca-file FILE and leave out --insecure";
  } else {
    finding.detail = "trusted";
  }
  return finding;
}

Finding clock_finding(const HttpResponse& response) {
  Finding finding{.name = "clock"};
  const auto date = response.header("Date");
  const std::time_t there = date ? ::curl_getdate(date->c_str(), nullptr) : -1;
  if (there < 0) {
    finding.detail = "the registry does not tell its time";
    return finding;
  }
  const long skew = static_cast<long>(std::time(nullptr) - there);
  finding.verdict = std::labs(skew) <= tolerated_skew ? Verdict::ok : Verdict::no;
  finding.detail = "differs by " + std::to_string(skew) + " s from the registry's";
  if (finding.verdict == Verdict::no) {
    finding.advice = "set both clocks: tokens and certificates depend on them";
  }
  return finding;
}

Finding scheme_finding(const HttpResponse& response) {
  Finding finding{.name = "authentication", .verdict = Verdict::ok};
  if (response.status != 401) {
    finding.detail = "none asked for";
    return finding;
  }
  const auto header = response.header("WWW-Authenticate");
  const auto challenges = header ? parse_challenges(*header) : std::vector<Challenge>{};
  if (challenges.empty()) {
    finding.verdict = Verdict::no;
    finding.detail = "the registry refuses without saying what it wants";
    return finding;
  }
  finding.detail = printable(challenges.front().scheme);
  if (const std::string realm = challenges.front().parameter("realm");
      challenges.front().scheme == "bearer") {
    finding.detail += " tokens of " + printable_url(realm);
  }
  return finding;
}

Finding credentials_finding(const Examination& examination, const CredentialStore& credentials,
                            bool asked, const Result<void>& accepted) {
  Finding finding{.name = "credentials"};
  const auto found = credentials.find(examination.registry, examination.repository);
  if (!found) {
    return failed(finding.name, found.error());
  }
  if (!*found) {
    finding.verdict = accepted ? Verdict::ok : Verdict::no;
    finding.detail = accepted ? "none, and none needed to look around" : "none";
    finding.advice = accepted ? "" : "fnimage login " + examination.registry;
    return finding;
  }
  finding.detail = "from " + printable((*found)->source.empty() ? "the caller" : (*found)->source);
  if (!asked) {
    finding.detail += ", never asked for";
    return finding;
  }
  finding.verdict = accepted ? Verdict::ok : Verdict::no;
  finding.detail += accepted ? ", accepted" : ", refused: " + accepted.error().message();
  finding.advice = accepted ? "" : "fnimage login " + examination.registry;
  return finding;
}

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::no:
      return "no";
    case Verdict::unknown:
      break;
  }
  return "unknown";
}

Diagnosis examine(const Examination& examination, const std::shared_ptr<Transport>& transport,
                  const std::shared_ptr<const CredentialStore>& credentials,
                  const ClientOptions& options, Diagnostics& diagnostics) {
  Diagnosis diagnosis;
  const auto give_up = [&](const char* name, const Error& error) {
    diagnosis.findings.push_back(failed(name, error));
    note_problem(diagnosis, error);
    return std::move(diagnosis);
  };
  const auto own = options_for(options, examination.registry, diagnostics);
  if (!own) {
    return give_up("settings", own.error());
  }
  Session session(examination.registry, transport, credentials, *own, diagnostics);
  const auto base = session.url("/v2/");
  if (!base) {
    return give_up("connection", base.error());
  }
  diagnosis.findings.push_back(
      {.name = "connection", .verdict = Verdict::ok, .detail = "answers by " + base->scheme()});
  diagnosis.findings.push_back(certificate_finding(*base, *own));
  TlsOptions tls = own->tls;
  tls.verify = tls.verify && !own->insecure;
  const auto bare = transport->perform({.url = base->str(), .tls = tls});
  if (!bare) {
    return give_up("connection", bare.error());
  }
  diagnosis.findings.push_back(clock_finding(*bare));
  diagnosis.findings.push_back(scheme_finding(*bare));
  const Result<void> accepted = session.ping();
  if (credentials) {
    diagnosis.findings.push_back(
        credentials_finding(examination, *credentials, bare->status == 401, accepted));
  }
  if (!accepted) {
    return give_up("API", accepted.error());
  }
  diagnosis.findings.push_back({.name = "API", .verdict = Verdict::ok, .detail = "version 2"});
  if (!examination.repository.empty()) {
    examine_repository(session, examination.repository, diagnosis);
  }
  return diagnosis;
}

}  // namespace fnimage::registry
