//! The latest events, as bytes that are ready to be sent.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

/// Memory for events: some 20,000 changed servers. Who is further behind reads the fleet anew.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Events of one batch: of more, a reader fetches the fleet at less cost.
pub(super) const MAX_EVENTS: usize = 5000;

/// Events that have no number yet.
#[derive(Default)]
pub(super) struct Draft(Vec<(&'static str, Vec<u8>)>);

impl Draft {
    /// Adds an event. `data` is JSON, which has no line breaks.
    pub(super) fn put(&mut self, name: &'static str, data: Vec<u8>) {
        self.0.push((name, data));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(_, data)| data.len()).sum()
    }
}

/// Events that came together.
struct Batch {
    /// Number of the first one.
    first: u64,
    bytes: Bytes,
    /// Where each event ends.
    ends: Vec<usize>,
}

impl Batch {
    fn last(&self) -> u64 {
        self.first + self.ends.len() as u64 - 1
    }
}

/// What a reader gets next.
pub(super) enum Next {
    /// These events; the last of them has that number.
    Events { bytes: Bytes, last: u64 },
    /// There is nothing new.
    Nothing,
    /// What it has not read is forgotten: a last notice.
    Lost(Bytes),
}

/// Where an id leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// To the event with that number, after which nothing is forgotten.
    Place(u64),
    /// To an event that is forgotten.
    TooOld,
    /// Nowhere: it comes from another process, or is none at all.
    Unknown,
}

/// Events by number. The first is 1; the number 0 stands for the time before it.
pub(super) struct Ring {
    /// Tells this process apart from others, which number their events as well.
    instance: String,
    batches: VecDeque<Batch>,
    bytes: usize,
    next: u64,
}

impl Ring {
    pub(super) fn new(instance: String) -> Self {
        Self { instance, batches: VecDeque::new(), bytes: 0, next: 1 }
    }

    /// The number of the latest event.
    pub(super) fn head(&self) -> u64 {
        self.next - 1
    }

    /// The first event that is not forgotten.
    fn oldest(&self) -> u64 {
        self.batches.front().map_or(self.next, |batch| batch.first)
    }

    /// Numbers events and keeps them; the oldest ones give way. Too many at once become one `reset`.
    pub(super) fn push(&mut self, mut draft: Draft) {
        if draft.len() > MAX_EVENTS || draft.bytes() > MAX_BYTES / 4 {
            draft = Draft::default();
            draft.put("reset", reset("too_much", "Too much changed at once"));
        }
        if draft.len() == 0 {
            return;
        }
        let first = self.next;
        let mut bytes = BytesMut::with_capacity(draft.bytes() + draft.len() * 64);
        let mut ends = Vec::with_capacity(draft.len());
        for (name, data) in draft.0 {
            write(&mut bytes, &self.instance, self.next, name, &data);
            ends.push(bytes.len());
            self.next += 1;
        }
        self.bytes += bytes.len();
        self.batches.push_back(Batch { first, bytes: bytes.freeze(), ends });
        while self.bytes > MAX_BYTES {
            let Some(forgotten) = self.batches.pop_front() else { break };
            self.bytes -= forgotten.bytes.len();
        }
    }

    /// The events after `place` that came together.
    pub(super) fn after(&self, place: u64) -> Next {
        let wanted = place + 1;
        if wanted >= self.next {
            return Next::Nothing;
        }
        if wanted < self.oldest() {
            return Next::Lost(self.notice("too_slow", "Events came faster than they were read"));
        }
        let batch = self.batches.partition_point(|batch| batch.last() < wanted);
        let Some(batch) = self.batches.get(batch) else { return Next::Nothing };
        let skipped = usize::try_from(wanted - batch.first).unwrap_or(usize::MAX);
        let start = skipped.checked_sub(1).and_then(|last| batch.ends.get(last)).copied().unwrap_or(0);
        Next::Events { bytes: batch.bytes.slice(start..), last: batch.last() }
    }

    /// Where the id of an event leads.
    pub(super) fn find(&self, id: &str) -> Found {
        let number = id.split_once('-').filter(|(instance, _)| *instance == self.instance);
        let number = number.and_then(|(_, number)| number.parse::<u64>().ok()).filter(|number| *number < self.next);
        match number {
            None => Found::Unknown,
            Some(number) if number + 1 < self.oldest() => Found::TooOld,
            Some(number) => Found::Place(number),
        }
    }

    /// A `reset` for one reader, with the id of the latest event: from there it goes on.
    pub(super) fn notice(&self, reason: &str, detail: &str) -> Bytes {
        let mut bytes = BytesMut::new();
        write(&mut bytes, &self.instance, self.head(), "reset", &reset(reason, detail));
        bytes.freeze()
    }

    /// An event for one reader, with the id of the latest event.
    pub(super) fn event(&self, name: &str, data: &[u8]) -> Bytes {
        let mut bytes = BytesMut::new();
        write(&mut bytes, &self.instance, self.head(), name, data);
        bytes.freeze()
    }
}

fn reset(reason: &str, detail: &str) -> Vec<u8> {
    let detail = format!("{detail}: read the servers anew from /api/v1/servers, and go on from here");
    serde_json::json!({ "reason": reason, "detail": detail }).to_string().into_bytes()
}

fn write(bytes: &mut BytesMut, instance: &str, number: u64, name: &str, data: &[u8]) {
    bytes.put_slice(format!("id: {instance}-{number}\nevent: {name}\ndata: ").as_bytes());
    bytes.put_slice(data);
    bytes.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(count: usize, size: usize) -> Draft {
        let mut draft = Draft::default();
        (0..count).for_each(|_| draft.put("server", vec![b'x'; size]));
        draft
    }

    fn ids(next: Next) -> Vec<u64> {
        let Next::Events { bytes, last } = next else { return Vec::new() };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let ids: Vec<u64> =
            text.lines().filter_map(|line| line.strip_prefix("id: a-")).map(|id| id.parse().unwrap()).collect();
        assert_eq!(ids.last(), Some(&last));
        ids
    }

    #[test]
    fn a_reader_gets_what_it_has_not_read() {
        let mut ring = Ring::new("a".into());
        assert!(matches!(ring.after(0), Next::Nothing));
        ring.push(draft(3, 10));
        ring.push(draft(2, 10));
        ring.push(Draft::default());
        assert_eq!(ids(ring.after(0)), [1, 2, 3]);
        assert_eq!(ids(ring.after(1)), [2, 3]);
        assert_eq!(ids(ring.after(3)), [4, 5]);
        assert_eq!(ids(ring.after(4)), [5]);
        assert!(matches!(ring.after(5), Next::Nothing));
        assert_eq!(ring.head(), 5);
    }

    #[test]
    fn the_oldest_give_way_and_who_wants_them_is_told() {
        let mut ring = Ring::new("a".into());
        (0..100).for_each(|_| ring.push(draft(1, MAX_BYTES / 20)));
        assert!(ring.bytes <= MAX_BYTES && ring.batches.len() >= 15);
        assert!(matches!(ring.after(0), Next::Lost(_)));
        assert_eq!(ring.find("a-1"), Found::TooOld);
        assert_eq!(ring.find("a-99"), Found::Place(99));
        assert_eq!(ids(ring.after(99)), [100]);
    }

    #[test]
    fn ids_of_others_lead_nowhere() {
        let mut ring = Ring::new("a".into());
        assert_eq!(ring.find("a-0"), Found::Place(0));
        ring.push(draft(1, 10));
        for id in ["", "1", "b-1", "a-", "a-x", "a--1", "a-2", "a-99999999999999999999999"] {
            assert_eq!(ring.find(id), Found::Unknown, "{id}");
        }
        assert_eq!(ring.find("a-1"), Found::Place(1));
    }

    #[test]
    fn too_much_at_once_is_a_reset() {
        let mut ring = Ring::new("a".into());
        ring.push(draft(MAX_EVENTS + 1, 10));
        ring.push(draft(2, MAX_BYTES / 6));
        for place in [0, 1] {
            let Next::Events { bytes, .. } = ring.after(place) else { panic!("nothing") };
            assert!(bytes.starts_with(format!("id: a-{}\nevent: reset\n", place + 1).as_bytes()));
        }
        assert_eq!(ring.head(), 2);
    }
}
