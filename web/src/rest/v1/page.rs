//! Pages of a list: so many entries from behind a cursor on.
//!
//! A cursor holds the place of the page's last entry in the order of the list, not a number of entries: what comes and
//! goes meanwhile neither repeats nor hides an entry. It is ours alone; clients hand it back as they got it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::Error;
use crate::rest::params::Params;

/// Entries of a page at most.
pub(crate) const MAX_LIMIT: usize = 500;
/// Entries of a page unless the client asks for another number.
pub(crate) const DEFAULT_LIMIT: usize = 100;
/// Longer than any cursor of ours.
const MAX_CURSOR_BYTES: usize = 2048;

/// Which page of a list. `K` is the place of an entry in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window<K> {
    /// Entries at most.
    pub(crate) limit: usize,
    /// Only what comes behind this place.
    pub(crate) after: Option<K>,
}

/// The parameters that choose a page, for the description of REST.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct WindowParams {
    /// Entries at most.
    #[param(minimum = 1, maximum = 500, default = 100, required = false)]
    limit: u16,
    /// `next` of the page before.
    #[param(required = false)]
    cursor: String,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The entries, in the order of the list.
    pub(crate) items: Vec<T>,
    /// `cursor` of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

impl<K: DeserializeOwned> Window<K> {
    /// Takes `limit` and `cursor` from a query.
    pub(crate) fn take(params: &mut Params) -> Result<Self, Error> {
        let limit = params.take_count("limit", MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
        let after = params.take("cursor")?.map(|cursor| decode(&cursor)).transpose()?;
        Ok(Self { limit, after })
    }

    /// What a page for people is asked for: a cursor that is none counts as not given.
    pub(crate) fn lenient(limit: usize, cursor: &str) -> Self {
        Self { limit, after: decode(cursor).ok() }
    }
}

impl<T> Page<T> {
    /// A page of entries that a list gave for `limit + 1`: the one too many says that there is a next page.
    pub(crate) fn of<K: Serialize>(mut items: Vec<T>, limit: usize, place: impl Fn(&T) -> K) -> Self {
        let next = (items.len() > limit).then(|| items.get(limit.saturating_sub(1)).map(|last| encode(&place(last))));
        items.truncate(limit);
        Self { items, next: next.flatten() }
    }

    /// A page that ended early: the next one begins behind `place`.
    pub(crate) fn up_to(items: Vec<T>, place: &impl Serialize) -> Self {
        Self { items, next: Some(encode(place)) }
    }

    /// The same page of other entries.
    pub(crate) fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// A place as text of letters and digits.
fn encode(place: &impl Serialize) -> String {
    let json = serde_json::to_vec(place).unwrap_or_default();
    json.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode<K: DeserializeOwned>(cursor: &str) -> Result<K, Error> {
    let refused = || Error::Invalid("cursor: not one of this list; give `next` of the page before".to_owned());
    if cursor.len() > MAX_CURSOR_BYTES || !cursor.is_ascii() {
        return Err(refused());
    }
    let pairs = cursor.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    serde_json::from_slice(&bytes.ok_or_else(refused)?).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(query: &str) -> Result<Window<(String, u32)>, Error> {
        Window::take(&mut Params::of(&format!("/list?{query}").parse().unwrap()).unwrap())
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let all: Vec<(String, u32)> = (0..7).map(|n| (format!("ä-{}", n / 3), n)).collect();
        let (mut seen, mut query) = (Vec::new(), "limit=3".to_owned());
        loop {
            let Window { limit, after } = window(&query).unwrap();
            let rest = all.iter().filter(|one| after.as_ref().is_none_or(|after| *one > after));
            let page = Page::of(rest.take(limit + 1).cloned().collect(), limit, Clone::clone);
            assert!(page.items.len() <= 3);
            seen.extend(page.items);
            let Some(next) = page.next else { break };
            query = format!("limit=3&cursor={next}");
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn the_last_page_has_no_next() {
        let page = Page::of(vec![1, 2], 2, |n| *n);
        assert_eq!((page.items, page.next), (vec![1, 2], None));
        assert_eq!(Page::of(Vec::<u8>::new(), 2, |n| *n).next, None);
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        assert_eq!(window("").unwrap(), Window { limit: 100, after: None });
        let foreign = encode(&"another list");
        for bad in ["zz", "7", "%C3%A4%C3%A4", "7b", &foreign, &"00".repeat(2000)] {
            let error = window(&format!("cursor={bad}")).unwrap_err().to_string();
            assert!(error.starts_with("cursor: "), "{error}");
        }
        assert!(window("limit=501").unwrap_err().to_string().contains("from 1 to 500"));
    }
}
