"""A strict reader of the text format that Prometheus scrapes (version 0.0.4): whatever its documentation does not allow,
or advises against in names and units, is an error."""
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"')
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
UNITS_TO_AVOID = ("_ms", "_milliseconds", "_kb", "_kilobytes", "_percent", "_minutes")


class Family:
    def __init__(self, name):
        self.name, self.type, self.help = name, None, None
        self.samples = {}  # (name, labels as a frozenset of pairs) -> value


def check(holds, line):
    if not holds:
        raise AssertionError(f"not as the format says: {line!r}")


def read_value(text, line):
    check(re.fullmatch(r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf|NaN)", text), line)
    return float(text)


def read_sample(line):
    name = NAME.match(line)
    check(name, line)
    rest, labels = line[name.end():], {}
    if rest.startswith("{"):
        rest = rest[1:]
        while not rest.startswith("}"):
            label = LABEL.match(rest)
            check(label and label[1] not in labels, line)
            labels[label[1]] = re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), label[2])
            rest = rest[label.end():]
            check(rest[:1] in (",", "}") and rest[:2] != ",}", line)
            rest = rest.removeprefix(",")
        rest = rest[1:]
    check(rest.startswith(" ") and not rest.startswith("  "), line)
    return name[0], frozenset(labels.items()), read_value(rest[1:], line)


def family_of(families, name, line):
    """A sample belongs to the family that was begun last."""
    check(families, line)
    family = list(families.values())[-1]
    suffixes = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
    check(name in [family.name + suffix for suffix in suffixes], line)
    return family


def begin(families, line):
    _, keyword, name, rest = line.split(" ", 3)
    check(NAME.fullmatch(name) and keyword in ("HELP", "TYPE"), line)
    family = families.setdefault(name, Family(name))
    check(family is list(families.values())[-1] and not family.samples, line)
    if keyword == "HELP":
        check(family.help is None and rest.strip(), line)
        family.help = rest
    else:
        check(family.type is None and family.help and rest in TYPES, line)
        family.type = rest


def check_histogram(family):
    series = {}
    for (name, labels), value in family.samples.items():
        rest = dict(labels)
        bound = rest.pop("le", None)
        check((bound is not None) == name.endswith("_bucket"), name)
        series.setdefault(frozenset(rest.items()), {})[name.removeprefix(family.name), bound] = value
    for values in series.values():
        buckets = [(float(bound.replace("+Inf", "inf")), value) for (_, bound), value in values.items() if bound]
        check(buckets == sorted(buckets) and buckets[-1][0] == math.inf, family.name)
        check([value for _, value in buckets] == sorted(value for _, value in buckets), family.name)
        check(buckets[-1][1] == values["_count", None] and ("_sum", None) in values, family.name)


def check_family(family):
    check(family.type and family.help and re.fullmatch(r"(fnimage|process)_[a-z0-9_]+", family.name), family.name)
    check((family.type == "counter") == family.name.endswith("_total"), family.name)
    check(not family.name.removesuffix("_total").endswith(UNITS_TO_AVOID), family.name)
    if family.type == "histogram":
        check_histogram(family)
    if family.type == "counter":
        check(all(value >= 0 for value in family.samples.values()), family.name)


def read(text):
    """Families by name; an AssertionError for what is no good page of metrics."""
    check(text.endswith("\n") and "\r" not in text, text[-20:])
    families = {}
    for line in text[:-1].split("\n"):
        if line.startswith("#"):
            begin(families, line)
            continue
        name, labels, value = read_sample(line)
        family = family_of(families, name, line)
        check((name, labels) not in family.samples, line)
        family.samples[name, labels] = value
    for family in families.values():
        check_family(family)
    return families


class Page:
    """Metrics at a moment."""

    def __init__(self, text):
        self.families = read(text)

    def value(self, name, **labels):
        """Of the samples that have these labels, together; 0 without any."""
        family = self.families.get(name) or self.families[re.sub("_(bucket|sum|count)$", "", name)]
        return sum(value for (sample, has), value in family.samples.items()
                   if sample == name and has >= frozenset(labels.items()))

    def labels(self, name):
        return {label for sample in self.families[name].samples for label, _ in sample[1]}
