//! A request that is sent, or a part of one that was refused as a whole.

use bytes::Bytes;
use mect_fleet::spool::Outgoing;
use prost::Message;

use super::message::{RequestOne, RequestTwo};
use super::request;
use crate::config::Protocol;

/// Samples that are sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) protocol: Protocol,
    /// As it is sent.
    pub(super) body: Bytes,
    pub(super) samples: u64,
}

impl Part {
    /// All of a request; `None` when a newer program made it.
    pub(super) fn whole(request: &Outgoing) -> Option<Self> {
        let (protocol, body) = request::of_entry(&request.bytes)?;
        Some(Self { protocol, body: Bytes::copy_from_slice(body), samples: u64::from(request.records) })
    }

    /// Its first and its second half; `None` of a single series.
    pub(super) fn halves(&self) -> Option<[Self; 2]> {
        let message = snap::raw::Decoder::new().decompress_vec(&self.body).ok()?;
        match self.protocol {
            Protocol::One => {
                let mut first = RequestOne::decode(&*message).ok()?;
                let second = RequestOne { series: behind_middle(&mut first.series)? };
                Some([self.part(&first, first.series.len())?, self.part(&second, second.series.len())?])
            }
            Protocol::Two => {
                let mut first = RequestTwo::decode(&*message).ok()?;
                let series = behind_middle(&mut first.series)?;
                // Each keeps all texts: nobody minds those that no series names.
                let second = RequestTwo { series, symbols: first.symbols.clone() };
                Some([self.part(&first, first.series.len())?, self.part(&second, second.series.len())?])
            }
        }
    }

    /// Each series has one sample.
    fn part(&self, message: &impl Message, series: usize) -> Option<Self> {
        let body = snap::raw::Encoder::new().compress_vec(&message.encode_to_vec()).ok()?;
        Some(Self { protocol: self.protocol, body: body.into(), samples: series as u64 })
    }
}

/// Takes the second half; `None` where there are no two.
fn behind_middle<T>(series: &mut Vec<T>) -> Option<Vec<T>> {
    let middle = series.len().div_ceil(2);
    (series.len() > 1).then(|| series.split_off(middle))
}

#[cfg(test)]
mod tests {
    use mect_fleet::Timestamp;
    use mect_fleet::spool::{Options, Outbox};
    use mect_web::Kind;

    use super::super::request::Requests;
    use super::*;

    /// A request of so many series, as the queue gives it.
    fn whole(protocol: Protocol, series: u32) -> Part {
        let mut requests = Requests::new(protocol, Default::default(), 10_000);
        for number in 0..series {
            let labels = [("number", &*number.to_string())];
            requests.add(("up", Kind::Gauge), &labels, f64::from(number), Timestamp::from_secs(1));
        }
        let directory = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(directory.path(), Options::default()).unwrap();
        outbox.append(&requests.take()).unwrap();
        Part::whole(&outbox.oldest().unwrap().unwrap()).unwrap()
    }

    /// The values of its samples.
    fn values(part: &Part) -> Vec<f64> {
        let message = snap::raw::Decoder::new().decompress_vec(&part.body).unwrap();
        match part.protocol {
            Protocol::One => {
                let request = RequestOne::decode(&*message).unwrap();
                request.series.iter().map(|series| series.samples[0].value).collect()
            }
            Protocol::Two => {
                let request = RequestTwo::decode(&*message).unwrap();
                let texts = |series: &super::super::message::SeriesTwo| -> Vec<String> {
                    series.label_refs.iter().map(|place| request.symbols[*place as usize].clone()).collect()
                };
                assert!(request.series.iter().all(|series| texts(series)[3] == series.samples[0].value.to_string()));
                request.series.iter().map(|series| series.samples[0].value).collect()
            }
        }
    }

    #[test]
    fn halves_hold_what_the_whole_held_in_its_order() {
        for protocol in [Protocol::One, Protocol::Two] {
            let whole = whole(protocol, 5);
            let [first, second] = whole.halves().unwrap();
            assert_eq!((values(&first), values(&second)), (vec![0.0, 1.0, 2.0], vec![3.0, 4.0]));
            assert_eq!((whole.samples, first.samples, second.samples), (5, 3, 2));
            let [one, other] = second.halves().unwrap();
            assert_eq!((values(&one), values(&other)), (vec![3.0], vec![4.0]));
            assert_eq!((one.halves(), other.samples), (None, 1));
        }
    }
}
