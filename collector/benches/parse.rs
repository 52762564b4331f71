//! How fast pages are read, next to the published crates for the same format, in one run on one core.
//!
//! Two pages of about 1 MB: one like a VPN host's (short lines, few labels), one like a large application's (long
//! label sets), each in both formats. The fastest of several rounds counts: what a machine's other work adds is not
//! ours. Fails when a format misses its goal: [`GOAL_RATE`], or [`GOAL_RATIO`] times the fastest crate that reads all.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::BufRead as _;
use std::time::{Duration, Instant};

use mect_collector::parse::{self, Format, Limits};

const PAGE_BYTES: usize = 1_000_000;
const ROUNDS: usize = 12;
/// Megabytes per second.
const GOAL_RATE: f64 = 400.0;
/// Times the fastest crate.
const GOAL_RATIO: f64 = 3.0;

fn main() {
    let mut missed = Vec::new();
    for (name, page) in [("host page", host_page()), ("application page", application_page())] {
        let samples = page.lines().filter(|line| !line.starts_with('#')).count();
        println!("{name}: {} bytes, {samples} samples", page.len());
        let limits = Limits { samples: usize::MAX, families: usize::MAX, ..Limits::default() };
        let ours = |what, page: &str, format| {
            measure(what, page, samples, || {
                let page = parse::page(page.as_bytes(), format, &limits).expect("a valid page");
                black_box(page.samples().iter().map(|sample| sample.value).sum::<f64>());
                page.samples().len()
            })
        };
        let text = ours("mect parse::text", &page, Format::Text);
        let openmetrics = ours("mect parse::openmetrics", &to_openmetrics(&page), Format::OpenMetrics);
        let with_labels = measure("mect, and every label read", &page, samples, || {
            let page = parse::text(page.as_bytes(), &limits).expect("a valid page");
            page.samples().iter().for_each(|sample| sample.labels.iter().for_each(|label| drop(black_box(label))));
            page.samples().len()
        });
        let crates = [
            measure("prometheus-parse", &page, samples, || {
                let lines = page.as_bytes().lines();
                prometheus_parse::Scrape::parse(lines).map_or(0, |scrape| scrape.samples.len())
            }),
            measure("prom_text_format_parser", &page, samples, || {
                let scrape = prom_text_format_parser::Scrape::parse(&page);
                scrape.map_or(0, |scrape| scrape.metrics.iter().map(|metric| metric.samples.len()).sum())
            }),
        ];
        let fastest = crates.into_iter().flatten().reduce(f64::max);
        let ratio = |ours: Option<f64>| ours.zip(fastest).map_or(f64::NAN, |(ours, fastest)| ours / fastest);
        println!(
            "  times the fastest crate: text {:.1}, with every label read {:.1}, openmetrics {:.1}",
            ratio(text),
            ratio(with_labels),
            ratio(openmetrics)
        );
        for (format, rate) in [(Format::Text, text), (Format::OpenMetrics, openmetrics)] {
            if !(rate.is_some_and(|rate| rate >= GOAL_RATE) || ratio(rate) >= GOAL_RATIO) {
                missed.push(format!("{name} in {format}"));
            }
        }
    }
    assert!(
        missed.is_empty(),
        "below {GOAL_RATE} MB/s and {GOAL_RATIO} times the fastest crate: {}",
        missed.join(", ")
    );
}

/// The same samples as OpenMetrics: counters are declared without the end of their samples' names.
fn to_openmetrics(page: &str) -> String {
    let mut converted = String::with_capacity(page.len());
    for line in page.lines() {
        match line.split_once("_total ") {
            Some((before, behind)) if line.starts_with('#') => writeln!(converted, "{before} {behind}"),
            _ => writeln!(converted, "{line}"),
        }
        .expect("a string");
    }
    converted + "# EOF\n"
}

/// Prints and returns megabytes per second. A parser that does not deliver every sample of the page is no
/// competitor, however fast it passes over them: `None`.
fn measure(what: &str, page: &str, samples: usize, mut parse: impl FnMut() -> usize) -> Option<f64> {
    let mut best = Duration::MAX;
    let mut delivered = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        delivered = black_box(parse());
        best = best.min(start.elapsed());
    }
    #[expect(clippy::cast_precision_loss, reason = "a page is far below 2^52 bytes")]
    let rate = page.len() as f64 / 1e6 / best.as_secs_f64();
    let note = if delivered == samples { "" } else { "  NOT COUNTED" };
    println!("  {what:<28}{rate:>8.0} MB/s {:>9.3} ms {delivered:>7} samples{note}", best.as_secs_f64() * 1e3);
    (delivered == samples).then_some(rate)
}

fn host_page() -> String {
    let modes = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"];
    let mut page = String::new();
    let mut host = 0u64;
    while page.len() < PAGE_BYTES {
        host += 1;
        // Each round names its own families, as many families are what a page of this kind consists of.
        writeln!(page, "# HELP node_cpu_seconds_{host}_total Seconds the CPUs spent in each mode.").expect("a string");
        writeln!(page, "# TYPE node_cpu_seconds_{host}_total counter").expect("a string");
        for cpu in 0..2 {
            for (index, mode) in modes.iter().enumerate() {
                let seconds = host * 977 + index as u64 * 13;
                writeln!(page, "node_cpu_seconds_{host}_total{{cpu=\"{cpu}\",mode=\"{mode}\"}} {seconds}.25")
                    .expect("a string");
            }
        }
        for name in ["memory_MemTotal_bytes", "memory_MemAvailable_bytes", "load1", "boot_time_seconds"] {
            writeln!(page, "# HELP node_{name}_{host} What it is.").expect("a string");
            writeln!(page, "# TYPE node_{name}_{host} gauge").expect("a string");
            writeln!(page, "node_{name}_{host} {}", host * 8_123_456_789).expect("a string");
        }
        writeln!(page, "# TYPE node_network_receive_bytes_{host}_total counter").expect("a string");
        for device in ["eth0", "lo", "wg0", "tun0"] {
            let bytes = 1.234_567_8e13 + host as f64;
            writeln!(page, "node_network_receive_bytes_{host}_total{{device=\"{device}\"}} {bytes:e}")
                .expect("a string");
        }
    }
    page
}

fn application_page() -> String {
    let mut page = String::new();
    let mut route = 0u64;
    page.push_str("# HELP http_requests_total Answers, by route, status and zone.\n");
    page.push_str("# TYPE http_requests_total counter\n");
    while page.len() < PAGE_BYTES {
        route += 1;
        // No braces and commas in values: prometheus-parse cannot read them. No histogram: it folds their series.
        for status in ["200", "304", "404", "500"] {
            writeln!(
                page,
                "http_requests_total{{method=\"GET\",handler=\"/api/v1/accounts/:account/items/{route}\",\
                 status=\"{status}\",zone=\"eu-central-1a\",instance=\"web-{}.example.com:8080\"}} {}",
                route % 16,
                route * 31
            )
            .expect("a string");
        }
    }
    page
}
