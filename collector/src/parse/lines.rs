//! Splits a page into lines.

/// One line of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLine<'a> {
    /// From 1.
    pub(super) number: u32,
    /// Without its line feed.
    pub(super) text: &'a str,
    /// False only for a last line without a line feed.
    pub(super) is_ended: bool,
}

/// The lines of a page. A line feed at the end of the page begins no further line.
pub(super) struct Lines<'a> {
    rest: &'a str,
    number: u32,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(page: &'a str) -> Self {
        Self { rest: page, number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = PageLine<'a>;

    #[inline]
    fn next(&mut self) -> Option<PageLine<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        self.number = self.number.saturating_add(1);
        let end = memchr::memchr(b'\n', self.rest.as_bytes());
        let (text, behind) = match end {
            Some(at) => (self.rest.get(..at).unwrap_or_default(), self.rest.get(at + 1..).unwrap_or_default()),
            None => (self.rest, ""),
        };
        self.rest = behind;
        Some(PageLine { number: self.number, text, is_ended: end.is_some() })
    }
}
