#!/usr/bin/env python3
"""Is a file in Prometheus' text exposition format 0.0.4, as node_exporter's textfile collector takes it? Strict: what a
parser forgives is a mistake here too. Usage: check_prometheus.py FILE [SAMPLE...]; prints the value of each SAMPLE, written as in
the file without its value; exit code 1 and the line when it is not."""
import re
import sys

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
VALUE = re.compile(r"([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|[+-]Inf)\Z")
UNITS = ("milliseconds", "microseconds", "ms", "minutes", "hours", "percent", "kilobytes", "megabytes")


def fail(number, why, line):
    sys.exit(f"{sys.argv[1]}:{number}: {why}: {line!r}")


def labels_of(text, number, line):
    names, at = [], 0
    while at < len(text):
        found = LABEL.match(text, at)
        if not found:
            fail(number, "no label", line)
        names.append(found.group(1))
        at = found.end()
        if at < len(text):
            if text[at] != ",":
                fail(number, "no comma between labels", line)
            at += 1
    if len(set(names)) != len(names) or any(name.startswith("__") for name in names):
        fail(number, "a label twice, or a reserved one", line)


def main():
    data = open(sys.argv[1], "rb").read().decode("utf-8")  # anything else is refused
    if not data.endswith("\n"):
        sys.exit(f"{sys.argv[1]}: the last line does not end")
    family, kind, helped, ended, samples = None, None, {}, set(), {}
    for number, line in enumerate(data[:-1].split("\n"), 1):
        if line.startswith("# HELP "):
            name, text = line[7:].split(" ", 1)
            if not NAME.match(name) or name in helped or not text or re.search(r"\\(?![\\n])", text):
                fail(number, "HELP twice, or a bad one", line)
            if family:
                ended.add(family)
            helped[name], family, kind = text, name, None
        elif line.startswith("# TYPE "):
            if kind:
                fail(number, "TYPE twice", line)
            name, kind = line[7:].split(" ")
            if name != family or kind not in ("counter", "gauge"):
                fail(number, "TYPE does not follow its HELP, or is unknown", line)
            if (kind == "counter") != name.endswith("_total"):
                fail(number, "_total is for counters, and for all of them", line)
            if any(part in UNITS for part in name.split("_")):
                fail(number, "not a base unit", line)
        else:
            found = re.match(r"([^{ ]+)(?:\{(.*)\})? ([^ ]+)\Z", line)
            if not found or not NAME.match(found.group(1)) or not VALUE.match(found.group(3)):
                fail(number, "no sample", line)
            if found.group(1) != family or kind is None or family in ended:
                fail(number, "a sample outside of its family", line)
            labels_of(found.group(2) or "", number, line)
            key = line[: line.rindex(" ")]
            if key in samples:
                fail(number, "a sample twice", line)
            if kind == "counter" and not float(found.group(3)) >= 0:
                fail(number, "a counter below 0", line)
            samples[key] = found.group(3)
    for name in helped:
        if not any(key == name or key.startswith(name + "{") for key in samples):
            sys.exit(f"{sys.argv[1]}: {name} has no sample")
    for wanted in sys.argv[2:]:
        if wanted not in samples:
            sys.exit(f"{sys.argv[1]}: no {wanted}")
        print(samples[wanted])


main()
