//! Text with gaps that numbers are written into.

use std::fmt::Write as _;

/// Text, and a gap behind each piece of it but the last.
#[derive(Debug)]
pub(super) struct Template<G> {
    text: String,
    /// Where the gaps are in the text, ascending.
    gaps: Vec<(usize, G)>,
    samples: usize,
}

impl<G: Copy> Template<G> {
    pub(super) const fn new() -> Self {
        Self { text: String::new(), gaps: Vec::new(), samples: 0 }
    }

    /// Samples so far.
    pub(super) const fn samples(&self) -> usize {
        self.samples
    }

    /// Begins a metric family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A sample with a number that differs from page to page.
    pub(super) fn sample(&mut self, series: &str, gap: G) {
        self.text.push_str(series);
        self.text.push(' ');
        self.gap(gap);
        self.text.push('\n');
        self.samples += 1;
    }

    /// A sample that is the same on each page.
    pub(super) fn constant(&mut self, series: &str, value: u64) {
        let _ = writeln!(self.text, "{series} {value}");
        self.samples += 1;
    }

    /// A sample of value 1 with something that differs inside its labels.
    pub(super) fn info(&mut self, before: &str, gap: G, behind: &str) {
        self.text.push_str(before);
        self.gap(gap);
        let _ = writeln!(self.text, "{behind} 1");
        self.samples += 1;
    }

    fn gap(&mut self, gap: G) {
        self.gaps.push((self.text.len(), gap));
    }

    /// The text with each gap filled by `fill`.
    pub(super) fn render(&self, mut fill: impl FnMut(G, &mut Vec<u8>)) -> Vec<u8> {
        // A filled gap has at most about 20 bytes.
        let mut page = Vec::with_capacity(self.text.len() + 20 * self.gaps.len());
        let mut from = 0;
        for (at, gap) in &self.gaps {
            page.extend_from_slice(&self.text.as_bytes()[from..*at]);
            fill(*gap, &mut page);
            from = *at;
        }
        page.extend_from_slice(&self.text.as_bytes()[from..]);
        page
    }
}
