// The interpreter of shell.hpp (POSIX.1-2017, Shell Command Language 2.9). Where a condition is not
// known, each branch starts from the same variables, and those that end with different values are
// not known afterwards. Every step is counted and variables are bounded, so that a hostile script
// costs little. Thread-safety: all state is local.
#include "debian/configure/shell.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <functional>

#include <fnimage/base/text.hpp>

#include "debian/configure/shell_expansion.hpp"
#include "debian/configure/shell_syntax.hpp"
#include "debian/configure/shell_test.hpp"
#include "debian/deb822.hpp"

namespace fnimage::source::debian {
namespace {

using Kind = ShellNode::Kind;
using Outcome = std::optional<bool>;

constexpr std::size_t max_steps = 20'000;
constexpr int max_calls = 10;
constexpr std::size_t max_variables = 500;
constexpr std::size_t max_script = std::size_t{1} << 20;
constexpr std::size_t max_state = std::size_t{64} << 10;
constexpr std::size_t max_output = std::size_t{256} << 10;
constexpr std::size_t max_words = 20'000;  // of one command
constexpr std::size_t max_command = std::size_t{4} << 20;
constexpr std::size_t bytes_of_a_step = 1024;

enum class Flow : std::uint8_t { on, next_turn, leave_loop, leave_function, leave_script, fail };
/// How far the commands that follow are not sure to run, because one branch has left.
enum class Doubt : std::uint8_t { none, loop, function, script };

Doubt doubt_after(Flow flow) {
  switch (flow) {
    case Flow::on:
      return Doubt::none;
    case Flow::next_turn:
    case Flow::leave_loop:
      return Doubt::loop;
    case Flow::leave_function:
      return Doubt::function;
    case Flow::leave_script:
    case Flow::fail:
      break;
  }
  return Doubt::script;
}

// Set by whoever runs the script; nothing is said about their values.
constexpr std::array<std::string_view, 14> environment_variables{
    "HOME", "HOSTNAME", "IFS", "LANG",   "LC_ALL", "LOGNAME", "OPTARG",
    "PATH", "PPID",     "PWD", "RANDOM", "SHELL",  "TERM",    "USER"};

bool is_variable_name(std::string_view name) {
  return !name.empty() && (name.front() < '0' || name.front() > '9') &&
         std::ranges::all_of(name, is_name_char);
}

// "NAME=value" as the name's length; nullopt for any other word.
std::optional<std::size_t> assignment_in(std::string_view word) {
  const std::size_t equals = word.find('=');
  return equals != std::string_view::npos && is_variable_name(word.substr(0, equals))
             ? std::optional(equals)
             : std::nullopt;
}

/// What commands print while "$(…)" or a pipe takes it.
struct Capture {
  std::string text{};
  bool exact = true;
  bool began_sure = true;
};

class ScriptInterpreter final : public ShellValueSource {
 public:
  ScriptInterpreter(const ShellValues& known, std::vector<std::string> arguments, ShellHost& host)
      : known_(known), host_(host) {
    for (const auto& [name, value] : known) {
      if (is_variable_name(name) || name == "0") {
        values_.emplace(name, value);
      }
    }
    for (std::string& argument : arguments) {
      arguments_.push_back({.text = std::move(argument)});
    }
  }

  bool run_all(std::string_view text) {
    if (text.size() > max_script) {
      return false;
    }
    const ShellScript& script = scripts_.emplace_back(parse_shell(text));
    run(script.root);
    return script.complete && complete_;
  }

  // As a source of values:

  std::optional<ShellWord> variable(std::string_view name) override {
    const ShellWord unknown{.text = "?", .exact = false};
    if (const auto found = values_.find(name); found != values_.end()) {
      return found->second ? ShellWord{.text = *found->second} : unknown;
    }
    if (name == "#") {
      return arguments_known_ ? ShellWord{.text = std::to_string(arguments_.size())} : unknown;
    }
    if (name.size() == 1 && name.front() >= '1' && name.front() <= '9') {
      const auto number = static_cast<std::size_t>(name.front() - '1');
      if (number < arguments_.size()) {
        return arguments_[number];
      }
      return arguments_known_ ? std::nullopt : std::optional(unknown);
    }
    const bool is_outside =
        !is_variable_name(name) ||
        std::ranges::find(environment_variables, name) != environment_variables.end();
    return is_outside || forgot_ ? std::optional(unknown) : std::nullopt;
  }

  std::vector<ShellWord> arguments() override {
    std::vector<ShellWord> all = arguments_;
    if (!arguments_known_) {
      all.push_back({.text = "?", .exact = false});
    }
    return all;
  }

  ShellWord output_of(std::string_view script) override {
    std::vector<std::string> parts;
    for (const std::string_view word : words(script)) {
      if (!word.starts_with("2>")) {
        parts.emplace_back(word);
      }
    }
    if (const auto value = known_.find(join(parts, " ")); value != known_.end()) {
      return {.text = value->second};
    }
    if (++calls_ > max_calls || !charge(script.size())) {
      --calls_;
      return {.text = "?", .exact = false};
    }
    const ShellScript& parsed = scripts_.emplace_back(parse_shell(script));
    Capture capture{.began_sure = is_sure()};
    run_apart([&] { return run(parsed.root); }, &capture);
    --calls_;
    if (!parsed.complete || !capture.exact) {
      return {.text = "?", .exact = false};
    }
    while (capture.text.ends_with('\n')) {
      capture.text.pop_back();
    }
    return {.text = std::move(capture.text)};
  }

  void assign(const std::string& name, const ShellWord& value) override {
    const auto old = values_.find(name);
    if (old == values_.end() && values_.size() >= max_variables) {
      complete_ = false;
      return;
    }
    state_size_ += value.text.size();  // only grows: a bound on work, too
    values_.insert_or_assign(
        name, value.exact && state_size_ < max_state ? std::optional(value.text) : std::nullopt);
    if (state_size_ >= max_state) {
      complete_ = false;
    }
  }

 private:
  using Values = std::map<std::string, std::optional<std::string>, std::less<>>;

  [[nodiscard]] bool is_sure() const { return sure_ && doubt_ == Doubt::none; }

  // Whether there is work left for a step over so many bytes.
  bool charge(std::size_t bytes) {
    steps_ += 1 + bytes / bytes_of_a_step;
    if (steps_ > max_steps) {
      give_up();
    }
    return steps_ <= max_steps;
  }

  void give_up() {
    complete_ = false;
    flow_ = Flow::leave_script;
  }

  Outcome run(const ShellNode& node) {
    if (!charge(0)) {
      return std::nullopt;
    }
    if (node.kind == Kind::simple) {
      return run_simple(node);
    }
    return node.redirections.empty() ? run_compound(node) : run_redirected(node);
  }

  Outcome run_compound(const ShellNode& node) {
    switch (node.kind) {
      case Kind::simple:
        return run_simple(node);
      case Kind::sequence:
        return run_sequence(node);
      case Kind::pipeline:
        return run_pipeline(node);
      case Kind::and_or:
        return run_and_or(node);
      case Kind::negation: {
        const Outcome outcome = run(node.children.front());
        return outcome ? Outcome(!*outcome) : std::nullopt;
      }
      case Kind::branch:
        return run_branch(node);
      case Kind::loop:
        return run_loop(node);
      case Kind::for_each:
        return run_for_each(node);
      case Kind::choice:
        return run_choice(node);
      case Kind::function:
        if (!node.children.empty()) {
          functions_.insert_or_assign(node.words.front(), &node.children.front());
        }
        return true;
      case Kind::group:
        return node.words.front() == "("
                   ? run_apart([&] { return run(node.children.front()); }, capture_)
                   : run(node.children.front());
    }
    return std::nullopt;
  }

  Outcome run_sequence(const ShellNode& node) {
    Outcome outcome = true;
    for (const ShellNode& child : node.children) {
      outcome = run(child);
      if (flow_ != Flow::on) {
        break;
      }
    }
    return outcome;
  }

  // In a subshell: what it assigns and where it goes is forgotten, and `exit` ends only it.
  Outcome run_apart(const std::function<Outcome()>& part, Capture* capture) {
    const Values values = values_;
    const auto arguments = arguments_;
    const std::string directory = directory_;
    const std::uint32_t mask = mask_;
    const Doubt doubt = doubt_;
    Capture* const outer = std::exchange(capture_, capture);
    Outcome outcome = part();
    capture_ = outer;
    if (flow_ == Flow::fail) {
      outcome = false;
    } else if (flow_ == Flow::leave_script) {
      outcome = exit_outcome_;
    }
    flow_ = complete_ ? Flow::on : Flow::leave_script;
    values_ = values;
    arguments_ = arguments;
    directory_ = directory;
    mask_ = mask;
    doubt_ = doubt;
    return outcome;
  }

  Outcome run_pipeline(const ShellNode& node) {
    const auto outer_input = input_;
    Outcome outcome;
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      const bool is_last = i + 1 == node.children.size();
      Capture piped{.began_sure = is_sure()};
      outcome = run_apart([&] { return run(node.children[i]); }, is_last ? capture_ : &piped);
      input_ = piped.exact && !is_last ? std::optional(piped.text) : std::nullopt;
    }
    input_ = outer_input;
    return outcome;
  }

  Outcome run_and_or(const ShellNode& node) {
    Outcome outcome = run(node.children.front());
    for (std::size_t i = 0; i < node.words.size() && flow_ == Flow::on; ++i) {
      const bool wanted = node.words[i] == "&&";
      const ShellNode& next = node.children[i + 1];
      if (outcome) {
        outcome = *outcome == wanted ? run(next) : outcome;
        continue;
      }
      const Outcome other = !wanted;
      outcome = run_one_of({[&] { return run(next); }, [&] { return other; }});
    }
    return outcome;
  }

  // One of these is what happens, and it is not known which.
  Outcome run_one_of(const std::vector<std::function<Outcome()>>& branches) {
    const Values before = values_;
    const bool was_sure = std::exchange(sure_, false);
    std::optional<Values> merged;
    std::optional<Flow> flow;
    Outcome outcome;
    bool differs = false;
    Doubt doubt = doubt_;
    for (const auto& branch : branches) {
      values_ = before;
      flow_ = Flow::on;
      const Outcome one = branch();
      if (flow_ == Flow::fail) {
        continue;
      }
      if (!merged) {
        merged = values_;
        flow = flow_;
        outcome = one;
        continue;
      }
      merge(*merged, values_);
      outcome = outcome == one ? outcome : std::nullopt;
      if (*flow != flow_) {
        differs = true;
        doubt = std::max({doubt, doubt_after(*flow), doubt_after(flow_)});
        flow = Flow::on;
      }
    }
    sure_ = was_sure;
    doubt_ = std::max(doubt_, differs ? doubt : doubt_);
    flow_ = flow.value_or(Flow::fail);
    values_ = merged.value_or(before);
    return outcome;
  }

  static void merge(Values& into, const Values& other) {
    for (auto& [name, value] : into) {
      const auto found = other.find(name);
      if (found == other.end() || found->second != value) {
        value = std::nullopt;
      }
    }
    for (const auto& [name, value] : other) {
      into.emplace(name, std::nullopt);
    }
  }

  Outcome run_branch(const ShellNode& node) {
    std::vector<std::function<Outcome()>> branches;
    bool decided = false;
    const bool was_sure = sure_;
    for (std::size_t i = 0; i < node.children.size() && !decided; i += 2) {
      if (i + 1 == node.children.size()) {  // else
        branches.emplace_back([this, &node, i] { return run(node.children[i]); });
        decided = true;
        break;
      }
      const Outcome condition = run(node.children[i]);
      if (flow_ != Flow::on) {
        sure_ = was_sure;
        return std::nullopt;
      }
      if (condition != false) {
        branches.emplace_back([this, &node, i] { return run(node.children[i + 1]); });
        decided = condition == true;
        sure_ = sure_ && decided;  // whether the conditions that follow are asked
      }
    }
    sure_ = was_sure;
    if (!decided) {
      branches.emplace_back([] { return Outcome(true); });
    }
    return branches.size() == 1 ? branches.front()() : run_one_of(branches);
  }

  // Whether the loop goes on after what its body did.
  bool goes_on() {
    if (flow_ == Flow::next_turn) {
      flow_ = Flow::on;
    } else if (flow_ == Flow::leave_loop) {
      flow_ = Flow::on;
      return false;
    }
    return flow_ == Flow::on;
  }

  void end_loop(Doubt before) { doubt_ = doubt_ == Doubt::loop ? before : doubt_; }

  Outcome run_loop(const ShellNode& node) {
    const bool wanted = node.words.front() == "while";
    const Doubt before = doubt_;
    while (flow_ == Flow::on) {
      const Outcome condition = run(node.children[0]);
      if (flow_ != Flow::on || (condition && *condition != wanted)) {
        break;
      }
      if (!condition) {
        run_one_of({[&] {
                      run(node.children[1]);
                      goes_on();
                      return Outcome(true);
                    },
                    [] { return Outcome(true); }});
        break;
      }
      run(node.children[1]);
      if (!goes_on()) {
        break;
      }
    }
    end_loop(before);
    return true;
  }

  Outcome run_for_each(const ShellNode& node) {
    const Doubt before = doubt_;
    for (const ShellWord& value : all_fields(std::span(node.words).subspan(1))) {
      const bool was_sure = sure_;
      sure_ = sure_ && value.exact;
      assign(node.words.front(), value);
      run(node.children.front());
      sure_ = was_sure;
      if (!goes_on()) {
        break;
      }
    }
    end_loop(before);
    return true;
  }

  Outcome run_choice(const ShellNode& node) {
    const ShellWord subject = expand_word(node.words.front(), *this);
    std::vector<std::function<Outcome()>> branches;
    bool decided = false;
    for (std::size_t i = 0; i < node.children.size() && !decided; ++i) {
      const Outcome hit = matches_any(subject, node.patterns[i]);
      if (hit != false) {
        branches.emplace_back([this, &node, i] { return run(node.children[i]); });
        decided = hit == true;
      }
    }
    if (!decided) {
      branches.emplace_back([] { return Outcome(true); });
    }
    return branches.size() == 1 ? branches.front()() : run_one_of(branches);
  }

  Outcome matches_any(const ShellWord& subject, const std::vector<std::string>& patterns) {
    Outcome hit = false;
    for (const std::string& word : patterns) {
      const ShellWord pattern = expand_word(word, *this);
      if (pattern.exact && pattern.pattern.find_first_not_of('*') == std::string::npos &&
          !pattern.pattern.empty()) {
        return true;
      }
      if (!subject.exact || !pattern.exact) {
        hit = std::nullopt;
      } else if (matches_pattern(subject.text, pattern.pattern)) {
        return true;
      }
    }
    return hit;
  }

  // Redirections of a compound command: a document that it reads; what it prints into a file is
  // not known.
  Outcome run_redirected(const ShellNode& node) {
    ShellCommand effects{.sure = is_sure(), .directory = directory_, .mask = mask_};
    bool prints = true;
    const auto outer_input = input_;
    redirect(node.redirections, effects, prints);
    if (effects.input) {
      input_ = effects.input;
    }
    Capture capture{.began_sure = is_sure()};
    Capture* const outer = capture_;
    if (!prints || !effects.outputs.empty()) {
      capture_ = &capture;
    }
    const Outcome outcome = run_compound(node);
    capture_ = outer;
    input_ = outer_input;
    if (!effects.outputs.empty()) {
      effects.words = {"cat"};
      effects.exact = effects.exact && capture.exact;
      effects.input = std::move(capture.text);
      run_on_host(effects);
    }
    return outcome;
  }

  std::vector<ShellWord> all_fields(std::span<const std::string> words) {
    std::vector<ShellWord> all;
    std::size_t bytes = 0;
    for (const std::string& word : words) {
      if (!charge(word.size())) {
        break;
      }
      for (ShellWord& field : fields_of(word)) {
        bytes += field.text.size();
        all.push_back(std::move(field));
      }
      if (all.size() > max_words || bytes > max_command) {
        give_up();
        break;
      }
    }
    return all;
  }

  std::vector<ShellWord> fields_of(std::string_view word) {
    std::vector<ShellWord> fields;
    for (ShellWord& field : expand_fields(word, *this)) {
      if (!field.is_pattern || !field.exact) {
        fields.push_back(std::move(field));
        continue;
      }
      const bool is_relative = !field.text.starts_with('/');
      const auto paths = host_.paths_like(from_here(field.text));
      if (paths && !paths->empty()) {
        for (const std::string& path : *paths) {
          fields.push_back({.text = is_relative ? path.substr(directory_.size() + 1) : path});
        }
      } else {
        field.exact = paths.has_value();
        fields.push_back(std::move(field));
      }
    }
    return fields;
  }

  // A relative path as an absolute one, where the directory is known.
  [[nodiscard]] std::string from_here(const std::string& path) const {
    const bool stays = path.starts_with('/') || directory_ == "?" || directory_ == "/";
    return stays ? path : directory_ + "/" + path;
  }

  void redirect(const std::vector<ShellRedirection>& redirections, ShellCommand& command,
                bool& prints) {
    for (const ShellRedirection& one : redirections) {
      if (one.operation == "<<") {
        charge(one.target.size());
        const ShellWord text =
            one.is_literal ? ShellWord{.text = one.target} : expand_document(one.target, *this);
        command.input = text.exact ? std::optional(text.text) : std::nullopt;
        continue;
      }
      const ShellWord target = expand_word(one.target, *this);
      if (one.operation == "<") {
        command.input = target.text == "/dev/null" ? std::optional<std::string>("") : std::nullopt;
      } else if (one.descriptor == -1 || one.descriptor == 1) {
        prints = false;
        const bool is_file = one.operation != ">&" && one.operation != "<&" &&
                             !(target.exact && target.text.starts_with("/dev/"));
        if (is_file) {
          command.outputs.push_back({target.text, one.operation == ">>"});
          command.exact = command.exact && target.exact;
        }
      }
    }
  }

  Outcome run_simple(const ShellNode& node) {
    std::size_t first = 0;
    while (first < node.words.size() && assignment_in(node.words[first])) {
      ++first;
    }
    if (first == node.words.size()) {
      return run_assignments(node);
    }
    const std::vector<ShellWord> fields = all_fields(std::span(node.words).subspan(first));
    if (fields.empty() || flow_ != Flow::on) {
      return true;
    }
    ShellCommand command{.sure = is_sure(),
                         .input = input_,
                         .directory = directory_,
                         .mask = mask_,
                         .is_read = capture_ != nullptr};
    bool prints = true;
    redirect(node.redirections, command, prints);
    for (const ShellWord& field : fields) {
      command.words.push_back(field.text);
      command.exact = command.exact && field.exact;
    }
    return run_command(fields, command, prints);
  }

  Outcome run_assignments(const ShellNode& node) {
    bool computed = false;
    for (const std::string& word : node.words) {
      const std::size_t equals = *assignment_in(word);
      const std::string_view value = std::string_view(word).substr(equals + 1);
      computed = computed || value.find("$(") != std::string_view::npos ||
                 value.find('`') != std::string_view::npos;
      assign(word.substr(0, equals), expand_word(value, *this));
    }
    ShellCommand command{.words = {":"}, .sure = is_sure(), .directory = directory_, .mask = mask_};
    bool prints = true;
    redirect(node.redirections, command, prints);
    if (!command.outputs.empty()) {
      run_on_host(command);  // "> file"
    }
    return computed ? std::nullopt : Outcome(true);
  }

  Outcome run_command(std::span<const ShellWord> fields, ShellCommand& command, bool prints) {
    const std::string& name = fields.front().text;
    if (!fields.front().exact) {
      return answer_of(command, prints);
    }
    if (const auto function = functions_.find(name); function != functions_.end()) {
      return call(*function->second, fields.subspan(1), command, prints);
    }
    if (name == "command" && fields.size() > 1 && !fields[1].text.starts_with('-')) {
      command.words.erase(command.words.begin());
      return run_command(fields.subspan(1), command, prints);
    }
    if (const auto done = run_builtin(fields, command, prints)) {
      return *done;
    }
    return answer_of(command, prints);
  }

  Outcome call(const ShellNode& body, std::span<const ShellWord> arguments,
               const ShellCommand& command, bool prints) {
    if (++calls_ > max_calls) {
      --calls_;
      complete_ = false;
      return std::nullopt;
    }
    const auto outer = std::exchange(arguments_, {arguments.begin(), arguments.end()});
    const bool outer_known = std::exchange(arguments_known_, true);
    const auto outer_input = input_;
    if (command.input) {
      input_ = command.input;
    }
    const Doubt doubt = doubt_;
    Capture capture{.began_sure = is_sure()};
    Capture* const outer_capture = capture_;
    if (!prints) {
      capture_ = &capture;
    }
    Outcome outcome = run(body);
    capture_ = outer_capture;
    if (flow_ == Flow::leave_function) {
      flow_ = Flow::on;
      outcome = return_outcome_;
    }
    doubt_ = doubt_ == Doubt::script ? doubt_ : doubt;
    arguments_ = outer;
    arguments_known_ = outer_known;
    input_ = outer_input;
    --calls_;
    if (!command.outputs.empty()) {
      ShellCommand print = command;
      print.words = {"cat"};
      print.exact = command.exact && capture.exact;
      print.input = std::move(capture.text);
      run_on_host(print);
    }
    return outcome;
  }

  Outcome answer_of(const ShellCommand& command, bool prints) {
    const ShellAnswer answer = run_on_host(command);
    if (prints) {
      print(answer.output.value_or(""), answer.output.has_value());
    }
    return answer.success;
  }

  ShellAnswer run_on_host(const ShellCommand& command) {
    ShellAnswer answer = host_.run(command);
    if (answer.sets_reply) {
      assign("RET", {.text = answer.reply.value_or("?"), .exact = answer.reply.has_value()});
    }
    return answer;
  }

  void print(std::string_view text, bool exact) {
    if (capture_ == nullptr) {
      return;
    }
    capture_->text += text;
    const bool as_sure = is_sure() || !capture_->began_sure;
    capture_->exact = capture_->exact && exact && as_sure && capture_->text.size() <= max_output;
    if (capture_->text.size() > max_output) {
      capture_->text.clear();
    }
  }

  // nullopt: it is none.
  std::optional<Outcome> run_builtin(std::span<const ShellWord> fields, const ShellCommand& command,
                                     bool prints) {
    const std::string& name = fields.front().text;
    if (name == "echo" || name == "printf") {
      return run_print(fields, command, prints);
    }
    if (!command.outputs.empty()) {
      return std::nullopt;
    }
    if (name == "[" || name == "test") {
      return run_test(fields);
    }
    if (name == ":" || name == "true" || name == "false") {
      return Outcome(name != "false");
    }
    if (name == "exit" || name == "return" || name == "break" || name == "continue") {
      return leave(fields);
    }
    return run_state_builtin(fields, command);
  }

  Outcome run_test(std::span<const ShellWord> fields) {
    auto words = fields.subspan(1);
    if (fields.front().text == "[" && !words.empty()) {
      words = words.first(words.size() - 1);
    }
    return evaluate_test(words, [this](char kind, const std::string& path) {
      return host_.test_file(kind, from_here(path));
    });
  }

  Outcome run_print(std::span<const ShellWord> fields, const ShellCommand& command, bool prints) {
    const auto text = printed_text(fields);
    if (!command.outputs.empty()) {
      ShellCommand write = command;
      write.words = {"cat"};
      write.exact = command.exact && text.has_value();
      write.input = text;
      run_on_host(write);
    } else if (prints) {
      print(text.value_or(""), text.has_value());
    }
    return true;
  }

  // What echo and printf print; of printf only %s, %% and escapes.
  static std::optional<std::string> printed_text(std::span<const ShellWord> fields) {
    const bool is_echo = fields.front().text == "echo";
    bool ends_line = is_echo;
    std::string text;
    std::size_t at = 1;
    if (is_echo && fields.size() > 1 && fields[1].text == "-n") {
      ends_line = false;
      ++at;
    }
    if (std::ranges::any_of(fields, [](const ShellWord& word) { return !word.exact; })) {
      return std::nullopt;
    }
    if (!is_echo) {
      return formatted(fields);
    }
    for (const std::size_t first = at; at < fields.size(); ++at) {
      if (fields[at].text.find('\\') != std::string::npos) {
        return std::nullopt;  // shells differ
      }
      text.append(at > first ? " " : "").append(fields[at].text);
    }
    return text + (ends_line ? "\n" : "");
  }

  static std::optional<std::string> formatted(std::span<const ShellWord> fields) {
    if (fields.size() < 2) {
      return std::nullopt;
    }
    const std::string& format = fields[1].text;
    std::string text;
    std::size_t argument = 2;
    for (std::size_t i = 0; i < format.size(); ++i) {
      if (format[i] != '%' && format[i] != '\\') {
        text += format[i];
        continue;
      }
      const char kind = ++i < format.size() ? format[i] : '\0';
      if (format[i - 1] == '%' && kind == 's') {
        text += argument < fields.size() ? fields[argument].text : "";
        ++argument;
      } else if (kind == 'n' && format[i - 1] == '\\') {
        text += '\n';
      } else if (kind == 't' && format[i - 1] == '\\') {
        text += '\t';
      } else if (kind == '%' || kind == '\\') {
        text += kind;
      } else {
        return std::nullopt;
      }
    }
    return argument < fields.size() ? std::nullopt : std::optional(text);
  }

  Outcome leave(std::span<const ShellWord> fields) {
    const std::string& name = fields.front().text;
    Outcome outcome = true;
    if (fields.size() > 1) {
      outcome = fields[1].exact ? Outcome(fields[1].text == "0") : std::nullopt;
    }
    if (name == "exit") {
      exit_outcome_ = outcome;
      flow_ = outcome == false ? Flow::fail : Flow::leave_script;
    } else if (name == "return") {
      return_outcome_ = outcome;
      flow_ = calls_ > 0 ? Flow::leave_function : Flow::leave_script;
    } else {
      flow_ = name == "break" ? Flow::leave_loop : Flow::next_turn;
    }
    return outcome;
  }

  std::optional<Outcome> run_state_builtin(std::span<const ShellWord> fields,
                                           const ShellCommand& command) {
    const std::string& name = fields.front().text;
    if (name == "local" || name == "export" || name == "readonly" || name == "declare") {
      for (const ShellWord& field : fields.subspan(1)) {
        declare(field);
      }
    } else if (name == "unset") {
      for (const ShellWord& field : fields.subspan(1)) {
        values_.erase(field.text);
      }
    } else if (name == "set") {
      set_arguments(fields.subspan(1));
    } else if (name == "shift") {
      arguments_.erase(arguments_.begin(), arguments_.begin() + (arguments_.empty() ? 0 : 1));
    } else if (name == "cd") {
      change_directory(fields);
    } else if (name == "read") {
      return run_read(fields, command);
    } else if (name == "." && fields.size() == 2) {
      return run_sourced(command);
    } else if (name == "." || name == "source" || name == "eval" || name == "getopts") {
      forgot_ = true;  // variables may come from there
      return Outcome();
    } else if (name == "umask") {
      set_mask(fields);
    } else if (name == "trap" || name == "wait" || name == "hash" || name == "ulimit" ||
               (name == "exec" && fields.size() == 1)) {
      return Outcome(true);
    } else {
      return std::nullopt;
    }
    return Outcome(true);
  }

  // ". /etc/default/x": what the host has as the file's text.
  Outcome run_sourced(const ShellCommand& command) {
    const ShellAnswer answer = run_on_host(command);
    if (!answer.output || calls_ >= max_calls || !charge(answer.output->size())) {
      forgot_ = true;
      return true;
    }
    const ShellScript& script = scripts_.emplace_back(parse_shell(*answer.output));
    ++calls_;
    run(script.root);
    --calls_;
    if (flow_ == Flow::leave_function) {
      flow_ = Flow::on;
    }
    return true;
  }

  void declare(const ShellWord& field) {
    const auto equals = assignment_in(field.text);
    if (equals) {
      assign(field.text.substr(0, *equals),
             {.text = field.text.substr(*equals + 1), .exact = field.exact});
    }
  }

  void set_arguments(std::span<const ShellWord> words) {
    if (words.empty() || (words.front().text.starts_with('-') && words.front().text != "--")) {
      return;  // "set -e"
    }
    const bool marked = words.front().text == "--";
    words = words.subspan(marked ? 1 : 0);
    arguments_.assign(words.begin(), words.end());
    arguments_known_ = std::ranges::all_of(words, [](const ShellWord& word) { return word.exact; });
  }

  void set_mask(std::span<const ShellWord> fields) {
    constexpr int octal = 8;
    constexpr std::uint32_t all = 0777;
    if (fields.size() == 2) {
      const std::string& text = fields[1].text;
      std::uint32_t mask = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), mask, octal);
      const bool good = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
      mask_ = good && mask <= all ? mask : all;  // what is not known is kept to nobody
    }
  }

  void change_directory(std::span<const ShellWord> fields) {
    const bool known = fields.size() == 2 && fields[1].exact && fields[1].text.starts_with('/');
    directory_ = known ? fields[1].text : "?";
  }

  Outcome run_read(std::span<const ShellWord> fields, const ShellCommand& command) {
    std::vector<std::string> names;
    for (const ShellWord& field : fields.subspan(1)) {
      if (!field.text.starts_with('-')) {
        names.push_back(field.text);
      }
    }
    const bool from_document = command.input && command.input != input_;
    if (!input_ || from_document) {
      for (const std::string& name : names) {
        assign(name, {.text = "?", .exact = false});
      }
      return std::nullopt;
    }
    if (input_->empty()) {
      return false;
    }
    const std::size_t end = input_->find('\n');
    const std::string line = input_->substr(0, end);
    *input_ = end == std::string::npos ? std::string() : input_->substr(end + 1);
    std::string_view rest = trim(line);
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::size_t length = rest.size();
      if (i + 1 < names.size()) {
        length = std::min(rest.find_first_of(" \t"), rest.size());
      }
      assign(names[i], {.text = std::string(rest.substr(0, length))});
      rest = trim(rest.substr(length));
    }
    return true;
  }

  const ShellValues& known_;
  ShellHost& host_;
  std::deque<ShellScript> scripts_;  // functions point into them
  std::map<std::string, const ShellNode*, std::less<>> functions_;
  Values values_;
  std::vector<ShellWord> arguments_;
  bool arguments_known_ = true;
  std::optional<std::string> input_;  // what `read` reads, as far as it is known
  std::string directory_ = "/";
  std::uint32_t mask_ = 022;
  Capture* capture_ = nullptr;
  bool sure_ = true;
  Doubt doubt_ = Doubt::none;
  Flow flow_ = Flow::on;
  Outcome exit_outcome_;
  Outcome return_outcome_;
  bool forgot_ = false;
  bool complete_ = true;
  std::size_t steps_ = 0;
  int calls_ = 0;
  std::size_t state_size_ = 0;
};

class CommandList final : public ShellHost {
 public:
  ShellAnswer run(const ShellCommand& command) override {
    commands_.push_back(command);
    return {};
  }
  std::vector<ShellCommand> take() { return std::move(commands_); }

 private:
  std::vector<ShellCommand> commands_;
};

}  // namespace

std::optional<bool> ShellHost::test_file(char /*kind*/, const std::string& /*path*/) {
  return std::nullopt;
}

std::optional<std::vector<std::string>> ShellHost::paths_like(const std::string& /*pattern*/) {
  return std::nullopt;
}

ShellValues shell_values(std::string_view debian_architecture, std::string_view triplet) {
  ShellValues values;
  values["DPKG_ROOT"] = "";
  values["DPKG_ADMINDIR"] = "/var/lib/dpkg";
  values["DEBIAN_FRONTEND"] = "noninteractive";
  values["DPKG_MAINTSCRIPT_ARCH"] = debian_architecture;
  values["dpkg --print-architecture"] = debian_architecture;
  values["dpkg-architecture -qDEB_HOST_ARCH"] = debian_architecture;
  values["uname -s"] = "Linux";
  for (const std::string_view command :
       {"dpkg --print-multiarch", "dpkg-architecture -qDEB_HOST_MULTIARCH",
        "dpkg-architecture -q DEB_HOST_MULTIARCH", "gcc -print-multiarch"}) {
    values[std::string(command)] = triplet;
  }
  return values;
}

bool run_script(std::string_view script, const ShellValues& known,
                std::vector<std::string> arguments, ShellHost& host) {
  return ScriptInterpreter(known, std::move(arguments), host).run_all(script);
}

std::vector<ShellCommand> simple_commands(std::string_view script, const ShellValues& known,
                                          std::string_view action) {
  CommandList commands;
  run_script(script, known, {std::string(action), ""}, commands);
  return commands.take();
}

}  // namespace fnimage::source::debian
