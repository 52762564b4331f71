//! Samples in the form in which they are sent: requests of a version of remote write, packed.

use std::collections::{BTreeMap, HashMap};

use mect_fleet::Timestamp;
use mect_fleet::spool::Entry;
use mect_web::Kind;
use prost::Message;

use super::message::{GAUGE, Label, Metadata, RequestOne, RequestTwo, Sample, SeriesOne, SeriesTwo, UNSPECIFIED};
use crate::config::Protocol;

/// The label that holds a series' name.
const NAME: &str = "__name__";
/// Bytes of names and values after which a request is closed, however few samples it has.
const MAX_BYTES: usize = 1 << 20;
/// What a sample takes beside its labels.
const SAMPLE_BYTES: usize = 24;

/// Where a series ends: a NaN that no computation comes to. Every receiver knows it.
pub(super) const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// First byte of an entry in the queue: what the rest speaks. The operator may choose another version meanwhile.
const ONE: u8 = 1;
const TWO: u8 = 2;

/// The version that an entry of the queue speaks, and the body of its request; `None` for neither.
pub(super) fn of_entry(bytes: &[u8]) -> Option<(Protocol, &[u8])> {
    match bytes.split_first()? {
        (&ONE, body) => Some((Protocol::One, body)),
        (&TWO, body) => Some((Protocol::Two, body)),
        _ => None,
    }
}

/// Requests in the making.
pub(super) struct Requests {
    external: BTreeMap<String, String>,
    max_samples: usize,
    message: Draft,
    samples: usize,
    bytes: usize,
    oldest: Timestamp,
    ready: Vec<Entry>,
}

/// A request in the making.
enum Draft {
    One(RequestOne),
    Two { request: RequestTwo, places: HashMap<String, u32> },
}

impl Draft {
    fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::One => Self::One(RequestOne::default()),
            Protocol::Two => Self::Two {
                request: RequestTwo { symbols: vec![String::new()], ..RequestTwo::default() },
                places: HashMap::from([(String::new(), 0)]),
            },
        }
    }

    fn add(&mut self, labels: &[(&str, &str)], kind: Kind, sample: Sample) {
        match self {
            Self::One(request) => {
                let label = |(name, value): &(&str, &str)| Label { name: (*name).into(), value: (*value).into() };
                let labels = labels.iter().map(label).collect();
                request.series.push(SeriesOne { labels, samples: vec![sample] });
            }
            Self::Two { request, places } => {
                let mut place = |text: &str| {
                    if let Some(place) = places.get(text) {
                        return *place;
                    }
                    let place = u32::try_from(request.symbols.len()).unwrap_or(0);
                    request.symbols.push(text.to_owned());
                    places.insert(text.to_owned(), place);
                    place
                };
                let label_refs = labels.iter().flat_map(|(name, value)| [place(name), place(value)]).collect();
                let kind = if kind == Kind::Gauge { GAUGE } else { UNSPECIFIED };
                request.series.push(SeriesTwo { label_refs, samples: vec![sample], metadata: Some(Metadata { kind }) });
            }
        }
    }

    /// The request as it is sent, behind the byte that tells its version.
    fn packed(&self) -> Option<Vec<u8>> {
        let (version, message) = match self {
            Self::One(request) => (ONE, request.encode_to_vec()),
            Self::Two { request, .. } => (TWO, request.encode_to_vec()),
        };
        let mut bytes = vec![0; 1 + snap::raw::max_compress_len(message.len())];
        let (first, rest) = bytes.split_first_mut()?;
        *first = version;
        // Fails for more than 4 GiB.
        let length = snap::raw::Encoder::new().compress(&message, rest).ok()?;
        bytes.truncate(1 + length);
        Some(bytes)
    }

    fn protocol(&self) -> Protocol {
        match self {
            Self::One(_) => Protocol::One,
            Self::Two { .. } => Protocol::Two,
        }
    }
}

impl Requests {
    /// None yet. Series get the `external` labels that they lack; a request holds at most `max_samples`.
    pub(super) fn new(protocol: Protocol, external: BTreeMap<String, String>, max_samples: usize) -> Self {
        let (message, oldest) = (Draft::new(protocol), Timestamp::MAX);
        Self { external, max_samples, message, samples: 0, bytes: 0, oldest, ready: Vec::new() }
    }

    /// Adds a sample. Its labels are sorted, and none is empty.
    pub(super) fn add(&mut self, (name, kind): (&str, Kind), labels: &[(&str, &str)], value: f64, at: Timestamp) {
        // A stranger's page may have such a label; a series has one name.
        if labels.iter().any(|(label, _)| *label == NAME) {
            return;
        }
        let has = |label: &str| labels.binary_search_by_key(&label, |(known, _)| known).is_ok();
        let external = self.external.iter().filter(|(label, value)| !value.is_empty() && !has(label));
        let external = external.map(|(label, value)| (label.as_str(), value.as_str()));
        let mut all: Vec<_> = labels.iter().copied().chain(external).chain([(NAME, name)]).collect();
        all.sort_unstable();
        self.message.add(&all, kind, Sample { value, timestamp: at.as_millis() });
        self.samples += 1;
        self.bytes += SAMPLE_BYTES + all.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.oldest = self.oldest.min(at);
        if self.samples >= self.max_samples || self.bytes >= MAX_BYTES {
            self.close();
        }
    }

    /// All requests so far, also one that is not full.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        self.close();
        std::mem::take(&mut self.ready)
    }

    fn close(&mut self) {
        if self.samples == 0 {
            return;
        }
        let records = u32::try_from(self.samples).unwrap_or(u32::MAX);
        let oldest = self.oldest;
        self.ready.extend(self.message.packed().map(|bytes| Entry { bytes, records, oldest }));
        self.message = Draft::new(self.message.protocol());
        (self.samples, self.bytes, self.oldest) = (0, 0, Timestamp::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_000_000_123);

    fn requests(protocol: Protocol, most: usize) -> Requests {
        let external = [("job", "other"), ("zone", "b"), ("Alpha", "a"), ("empty", "")];
        let external = external.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Requests::new(protocol, external.into(), most)
    }

    fn message(entry: &Entry, expected: Protocol) -> Vec<u8> {
        let (protocol, body) = of_entry(&entry.bytes).unwrap();
        assert_eq!(protocol, expected);
        snap::raw::Decoder::new().decompress_vec(body).unwrap()
    }

    #[test]
    fn labels_are_sorted_and_come_once() {
        let mut requests = requests(Protocol::One, 10);
        requests.add(("up", Kind::Gauge), &[("job", "vpn"), ("server_id", "x")], STALE, AT);
        requests.add(("up", Kind::Untyped), &[("__name__", "down")], 1.0, AT);
        let entries = requests.take();
        assert_eq!((entries.len(), entries[0].records, entries[0].oldest), (1, 1, AT));
        let request = RequestOne::decode(&*message(&entries[0], Protocol::One)).unwrap();
        let [series] = &*request.series else { panic!("{request:?}") };
        let labels: Vec<_> = series.labels.iter().map(|label| (&*label.name, &*label.value)).collect();
        let expected = [("Alpha", "a"), ("__name__", "up"), ("job", "vpn"), ("server_id", "x"), ("zone", "b")];
        assert_eq!(labels, expected);
        assert_eq!(series.samples[0].timestamp, AT.as_millis());
        assert_eq!(series.samples[0].value.to_bits(), STALE.to_bits(), "the very bits");
        assert!(requests.take().is_empty());
    }

    #[test]
    fn version_two_says_every_text_once() {
        let mut requests = requests(Protocol::Two, 10);
        requests.add(("up", Kind::Gauge), &[("job", "vpn")], 1.0, AT);
        requests.add(("up", Kind::Untyped), &[("job", "up")], 0.0, AT);
        let request = RequestTwo::decode(&*message(&requests.take()[0], Protocol::Two)).unwrap();
        let mut symbols = request.symbols.clone();
        assert_eq!(symbols[0], "");
        symbols.sort_unstable();
        symbols.dedup();
        assert_eq!(symbols.len(), request.symbols.len());
        let labels = |place: usize| -> Vec<&str> {
            request.series[place].label_refs.iter().map(|symbol| &*request.symbols[*symbol as usize]).collect()
        };
        assert_eq!(labels(0), ["Alpha", "a", "__name__", "up", "job", "vpn", "zone", "b"]);
        assert_eq!(labels(1), ["Alpha", "a", "__name__", "up", "job", "up", "zone", "b"]);
        let kinds = request.series.iter().map(|series| series.metadata.unwrap().kind);
        assert_eq!(kinds.collect::<Vec<_>>(), [GAUGE, UNSPECIFIED]);
    }

    #[test]
    fn requests_are_bounded_by_samples_and_by_bytes() {
        let mut few = requests(Protocol::One, 3);
        (0..7).for_each(|number| few.add(("up", Kind::Gauge), &[], f64::from(number), AT));
        assert_eq!(few.take().iter().map(|entry| entry.records).collect::<Vec<_>>(), [3, 3, 1]);
        let (mut long, text) = (requests(Protocol::Two, 1000), "x".repeat(MAX_BYTES / 2));
        (0..4).for_each(|_| long.add(("up", Kind::Gauge), &[("text", &text)], 1.0, AT));
        assert_eq!(long.take().iter().map(|entry| entry.records).collect::<Vec<_>>(), [2, 2]);
    }
}
