//! What the collector makes of a receiver's answers, and what it sends, byte by byte.

use std::collections::BTreeSet;

use prost::Message;

use crate::receiver::{Got, Receiver, Reply};
use crate::scene::{home, metric, remote_write, until_sent};
use crate::support::{eventually, simulate};

const WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// The messages once more, by the numbers of the specification, so that a slip in ours is seen.
#[derive(Clone, PartialEq, Message)]
struct RequestOne {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<SeriesOne>,
}

#[derive(Clone, PartialEq, Message)]
struct SeriesOne {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct RequestTwo {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<SeriesTwo>,
}

#[derive(Clone, PartialEq, Message)]
struct SeriesTwo {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
}

/// Series with the time of their sample, of a request of version 1.0.
fn series_of(got: &Got) -> Vec<(Vec<(String, String)>, i64)> {
    let request = RequestOne::decode(&*got.body).unwrap();
    let series = request.timeseries.into_iter().map(|series| {
        let [sample] = &*series.samples else { panic!("{series:?}") };
        let at = sample.timestamp;
        (series.labels.into_iter().map(|label| (label.name, label.value)).collect(), at)
    });
    series.collect()
}

/// Asserts that what was taken holds no sample twice, each series in order, and labels as they must be.
#[track_caller]
fn is_in_order<'a>(requests: impl Iterator<Item = &'a Got>) {
    let mut last = std::collections::HashMap::new();
    for (labels, at) in requests.flat_map(series_of) {
        assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0), "{labels:?}");
        assert!(labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()), "{labels:?}");
        assert!(labels.iter().any(|(name, _)| name == "__name__"), "{labels:?}");
        let before = last.insert(labels.clone(), at);
        assert!(before.is_none_or(|before| before < at), "{labels:?}: {before:?}, then {at}");
    }
}

#[test]
fn version_two_is_sent_as_the_specification_has_it() {
    let receiver = Receiver::start(Reply::status(204).with(WRITTEN, "1000000"));
    let more = "protocol = \"2.0\"\nexternal_labels = { zone = \"b\" }\nheaders = { \"X-Scope-OrgID\" = \"vpn\" }";
    let home = home(&remote_write("two", &receiver.address, more));
    let _simulation = simulate(2, &home.path().join("targets.json"));
    let collector = home.start();
    let got = eventually("requests", || Some(receiver.got()).filter(|got| got.len() > 2));
    for got in &got {
        assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/api/v1/write"));
        assert_eq!(got.header("content-type"), "application/x-protobuf;proto=io.prometheus.write.v2.Request");
        assert_eq!(got.header("content-encoding"), "snappy");
        assert_eq!(got.header("x-prometheus-remote-write-version"), "2.0.0");
        assert_eq!(got.header("x-scope-orgid"), "vpn");
        assert!(got.header("user-agent").starts_with("mect-collector/"));
        let request = RequestTwo::decode(&*got.body).unwrap();
        assert_eq!(request.symbols[0], "");
        assert_eq!(request.symbols.iter().collect::<BTreeSet<_>>().len(), request.symbols.len());
        for series in &request.timeseries {
            let texts: Vec<_> = series.labels_refs.iter().map(|place| &*request.symbols[*place as usize]).collect();
            let labels: Vec<_> = texts.chunks(2).map(|pair| (pair[0], pair[1])).collect();
            assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0), "{labels:?}");
            assert!(labels.contains(&("zone", "b")) && labels.contains(&("job", "vpn")), "{labels:?}");
            assert_eq!((series.samples.len(), series.metadata.as_ref().unwrap().kind), (1, 2), "{labels:?}");
        }
    }
    until_sent(&collector, "two");
    assert!(metric(&collector, "samples_total", "two") > 50.0);
    receiver.reply(Reply::status(204).with(WRITTEN, "1"));
    eventually("samples that it did not write", || {
        (metric(&collector, "rejected_samples_total", "two") > 10.0).then_some(())
    });
    assert!(home.log().contains("it wrote 1 of "), "{}", home.log());
}

#[test]
fn what_a_receiver_refuses_is_dropped_and_told_once() {
    let refusal = Reply::Say { status: 400, headers: Vec::new(), body: "out of order sample\nsecond line\n" };
    let receiver = Receiver::start(refusal);
    let home = home(&remote_write("one", &receiver.address, ""));
    let _simulation = simulate(1, &home.path().join("targets.json"));
    let collector = home.start();
    let rejected = || metric(&collector, "rejected_samples_total", "one");
    eventually("refusals of several requests", || (rejected() > 50.0).then_some(()));
    until_sent(&collector, "one");
    assert_eq!(metric(&collector, "samples_total", "one"), 0.0);
    let log = home.log();
    assert_eq!(log.matches("HTTP 400: out of order sample").count(), 1, "{log}");
    assert!(!log.contains("second line"), "{log}");
    receiver.reply(Reply::status(200));
    eventually("samples", || (metric(&collector, "samples_total", "one") > 0.0).then_some(()));
    let got = receiver.got();
    assert_eq!(got[0].header("x-prometheus-remote-write-version"), "0.1.0");
    assert_eq!(got[0].header("content-type"), "application/x-protobuf");
    is_in_order(got.iter().filter(|got| got.status == 200));
    // Whoever refuses everything is asked about each sample of one request, and not of those that follow.
    let refused: Vec<_> = got.iter().filter(|got| got.status == 400).map(|got| series_of(got).len()).collect();
    assert_eq!(refused.iter().filter(|series| **series == 1).count(), refused[0], "{refused:?}");
}

#[test]
fn one_bad_series_costs_no_other_sample() {
    const BAD: &str = "vpn_server_headroom_ratio";
    let receiver = Receiver::start(Reply::Refuse(BAD));
    let home = home(&remote_write("one", &receiver.address, ""));
    let _simulation = simulate(3, &home.path().join("targets.json"));
    let collector = home.start();
    let rejected = || metric(&collector, "rejected_samples_total", "one");
    eventually("some bad samples", || (rejected() >= 9.0).then_some(()));
    receiver.reply(Reply::status(503));
    eventually("requests that wait", || (metric(&collector, "failures_total", "one") > 0.0).then_some(()));
    let got = receiver.got();
    let name = |series: &(Vec<(String, String)>, i64)| {
        let name = series.0.iter().find(|(label, _)| label == "__name__").unwrap();
        name.1.clone()
    };
    let taken: Vec<_> = got.iter().filter(|got| got.status == 204).flat_map(series_of).collect();
    is_in_order(got.iter().filter(|got| got.status == 204));
    let count = |wanted: &str| taken.iter().filter(|series| name(series) == wanted).count();
    assert!(count("vpn_server_load_ratio") > 0 && count(BAD) == 0);
    let refused = got.iter().filter(|got| got.status == 400).map(series_of);
    let alone = refused.filter(|series| series.len() == 1).flatten().map(|series| name(&series));
    let alone: Vec<_> = alone.collect();
    // Of the request that is under way now some parts may have been taken.
    assert!(alone.iter().all(|name| name == BAD) && alone.len() as f64 >= rejected(), "{alone:?}");
    assert!(alone.len() <= count("vpn_server_load_ratio") + 3, "each was refused once");
    assert!(taken.len() as f64 >= metric(&collector, "samples_total", "one"));
    receiver.reply(Reply::status(204));
    until_sent(&collector, "one");
    is_in_order(receiver.got().iter().filter(|got| got.status == 204));
    assert_eq!(metric(&collector, "dropped_samples_total", "one"), 0.0);
    let all: Vec<_> = receiver.got().iter().filter(|got| got.status == 204).flat_map(series_of).collect();
    assert_eq!(all.len() as f64, metric(&collector, "samples_total", "one"), "and counted once");
    assert_eq!(home.log().matches("HTTP 400: out of order sample").count(), 1, "{}", home.log());
}

#[test]
fn what_can_pass_is_sent_again_and_nothing_is_lost() {
    let receiver = Receiver::start(Reply::Hang);
    let home = home(&remote_write("one", &receiver.address, "timeout_seconds = 0.3"));
    let _simulation = simulate(1, &home.path().join("targets.json"));
    let collector = home.start();
    let failures = || metric(&collector, "failures_total", "one");
    for reply in [
        Reply::Hang,
        Reply::status(503),
        Reply::status(429).with("retry-after", "1"),
        Reply::status(307).with("location", &format!("http://{}/elsewhere", receiver.address)),
    ] {
        receiver.reply(reply);
        let before = failures();
        eventually("failed attempts", || (failures() >= before + 2.0).then_some(()));
    }
    let waiting = metric(&collector, "queue_samples", "one");
    receiver.reply(Reply::status(204));
    until_sent(&collector, "one");
    assert!(metric(&collector, "samples_total", "one") >= waiting);
    assert_eq!(metric(&collector, "rejected_samples_total", "one"), 0.0);
    let got = receiver.got();
    assert!(got.iter().all(|got| got.path == "/api/v1/write"), "redirects are not followed");
    is_in_order(got.iter().filter(|got| got.status == 204));
    let first = got.iter().find(|got| got.status == 204).unwrap();
    assert_eq!(first.body, got[0].body, "the very request that could not be sent at first");
    let log = home.log();
    for told in ["connected, but no answer in time", "HTTP 503", "HTTP 429", "redirects are not followed"] {
        assert_eq!(log.matches(told).count(), 1, "{told}: {log}");
    }
}

#[test]
fn credentials_come_from_an_access_and_stay_out_of_the_log() {
    const SECRET: &str = "s3cret-of-the-receiver";
    let receiver = Receiver::start(Reply::status(401));
    let access = "access = \"store\"\n[[access]]\nname = \"store\"\nbearer_file = \"token\"";
    let home = home(&remote_write("one", &receiver.address, access));
    std::fs::write(home.path().join("token"), SECRET).unwrap();
    let _simulation = simulate(1, &home.path().join("targets.json"));
    let collector = home.start();
    let got = eventually("a request", || receiver.got().into_iter().next());
    assert_eq!(got.header("authorization"), format!("Bearer {SECRET}"));
    eventually("samples that are refused", || {
        (metric(&collector, "rejected_samples_total", "one") > 0.0).then_some(())
    });
    assert!(home.log().contains("HTTP 401") && !home.log().contains(SECRET), "{}", home.log());
}
