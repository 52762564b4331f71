//! Reads pages in the OpenMetrics text format, version 1.0, to the letter of its specification.
//!
//! Two layers as for the text format. `line`, `labels` and `decimal` know the grammar of one line; `page` hands what they
//! read to `families` (metadata, names, nothing interleaved), `metric` (the metrics of a family and their points), and
//! `point`, `role` and `distribution` (what a point must and must not hold). Like there, a page is read whole or not at
//! all.
//!
//! # Rules
//!
//! The ABNF goes before the text: "In case of disagreements between the two, the ABNF's restrictions MUST take
//! precedence."
//!
//! | rule | here |
//! |---|---|
//! | `# EOF` | once, as the last line; its line feed may be missing. A page without it is [`ErrorKind::Truncated`](super::ErrorKind) |
//! | between tokens | exactly one space; none at the start or end of a line, none in braces, no empty line, no comment |
//! | names | `[a-zA-Z_:][a-zA-Z0-9_:]*`, labels without `:`. Names that begin with `_` and names with `:` are reserved for others, and the grammar allows them: accepted |
//! | quoted names, `{"a.b",c="d"}`, `# TYPE "a.b" gauge` | accepted, as Prometheus writes them: nothing that the grammar allows means something else by it |
//! | label set | `{}` or `name="value"` with commas between; no name twice, no `__name__` |
//! | label values | any UTF-8, NUL and carriage return included; `\\`, `\"` and `\n` are escapes, any other backslash stands for itself but must have a character behind it |
//! | `HELP` | as label values: a double quote must be escaped; no carriage return at the end of the line |
//! | values | decimal, `inf`, `infinity` with a sign or without, `nan` without, in any case; no hex, no `_`, within the range of a 64-bit float |
//! | timestamps | decimal seconds; exponents and negative ones are well |
//! | metadata | each of `TYPE`, `UNIT`, `HELP` at most once, before the samples; an empty unit or help is as good as none |
//! | unit | the end of the family's name, behind `_`; none for info and stateset |
//! | families | all lines together, names unique, no sample name that may be another family's too |
//! | sample of another name than the family's kind has | begins a family of its own, of kind unknown |
//! | metrics | all samples together (an info's labels do not tell its metrics apart: there any order is well), each metric once; an empty label is as good as none |
//! | points | timestamps on all samples of a metric or on none, increasing by every digit that is written; no sample twice in a point |
//! | counter | `_total` in every point, neither negative nor NaN; `_created` is a time |
//! | histogram, gaugehistogram | `le` in increasing order, infinity as `+Inf` and present; counts whole, cumulative, not negative; sum and count both or neither; count equal to the `+Inf` bucket; no sum with negative thresholds (a gaugehistogram's may be negative only then) |
//! | summary | `quantile` from 0 to 1, each once; its value not negative; sum and count neither negative nor NaN |
//! | stateset, info | a label with the family's name, value 0 or 1; value 1 |
//! | `le`, `quantile` | on no other samples of such a family |
//! | exemplars | only on `_total` and `_bucket`; at most 128 characters in names and values; in a bucket not above its threshold |
//!
//! # Where Prometheus' Python client reads otherwise
//!
//! `tests/agreement` reads thousands of drawn pages, whole and broken, with the parser of that client (0.16) too. Where
//! the verdicts differ, this decides:
//!
//! | page | client | here, and why |
//! |---|---|---|
//! | `## HELP a x` | read | refused: `metric-descriptor =/ HASH SP help SP metricname SP escaped-string LF` |
//! | `# HELP a say "hi"`, a backslash at its end | read | refused: "normal-char: any unicode character, except newline, double quote, and backslash" |
//! | `# HELP a x` and a carriage return | read | refused: "Line endings … MUST NOT contain carriage returns" |
//! | `a{b="c"}12` | read as 2 | refused: `sample = metricname [labels] SP number` |
//! | `le=" 1"`, `quantile=" 0.5"` | read | refused: `realnumber = [SIGN] 1*DIGIT` |
//! | `1e999`, `+NaN`, digits of other scripts | read | refused: "MUST fit within the range of a 64-bit floating point value", `number =/ "nan"`, `DIGIT` |
//! | the same sample twice | second one dropped | refused: "MetricPoints MUST have monotonically increasing timestamps", "one boolean per State", "Bucket thresholds within a MetricPoint MUST be unique", "Quantiles are a map" |
//! | `_created` of a counter without `_total` | read | refused: "A MetricPoint in a Metric with the type Counter MUST have one value called Total" |
//! | `_created NaN` | read | refused: "a Timestamp value called Created", `timestamp = realnumber` |
//! | `_sum{quantile="0.5"}` of a summary | read | refused: "A Quantile's Metric's LabelSet MUST NOT have 'quantile' label name" |
//! | an exemplar above its bucket's threshold | read | refused: "the value of the exemplar MUST be within this range" |
//! | `a{b=""} 1`, then `a 1` | two metrics | refused as one metric twice: "Empty label values SHOULD be treated as if the label was not present" |
//! | `foo_total` and `foo` as counters | refused | read: no "potential clash for sample metric names" |
//! | several points of a metric with several samples | loses samples, misses buckets | read: "MetricPoints MUST NOT be interleaved" shows them as its example |
//! | `a 1 1.9`, then `a 1 2.1`; `a 1 -1.5`; `a 1 1.6e9` behind another point | refused, or another time | read: `timestamp = realnumber`, "Negative timestamps MAY be used" |
//! | timestamps on some infos of a family | refused | read: those are metrics of their own |
//! | `}` in an exemplar's label | refused | read: it is a normal-char |
//! | quoted names | refused | read, as Prometheus writes them |

mod decimal;
mod distribution;
mod families;
mod fingerprint;
mod labels;
mod line;
mod metric;
mod page;
mod point;
mod role;

pub use page::openmetrics;
