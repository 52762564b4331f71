//! What the configuration file said when it was read, to tell later what changed in it.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// A configuration file as it was read.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file; `None` where only the defaults hold.
    path: Option<PathBuf>,
    table: Table,
}

impl Source {
    /// The file `path`, which says `text`. What is no TOML says nothing.
    pub(super) fn of(path: &Path, text: &str) -> Self {
        Self { path: Some(path.to_owned()), table: text.parse().unwrap_or_default() }
    }

    /// The file; `None` where only the defaults hold.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The keys of which `other` says something else, as `section.key`, or `section` for lists of tables.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let mut keys = Vec::new();
        for (section, key) in sections(&self.table, &other.table) {
            let (ours, theirs) = (self.table.get(section), other.table.get(section));
            match (ours.and_then(Value::as_table), theirs.and_then(Value::as_table)) {
                _ if ours == theirs => {}
                (None, None) => keys.push(key),
                (ours, theirs) => {
                    let (ours, theirs) = (ours.cloned().unwrap_or_default(), theirs.cloned().unwrap_or_default());
                    let inner = sections(&ours, &theirs).filter(|(name, _)| ours.get(*name) != theirs.get(*name));
                    keys.extend(inner.map(|(name, _)| format!("{section}.{name}")));
                }
            }
        }
        keys
    }

    /// The same, with what `other` says of `section`.
    #[must_use]
    pub fn with(mut self, section: &str, other: &Self) -> Self {
        match other.table.get(section) {
            Some(value) => self.table.insert(section.to_owned(), value.clone()),
            None => self.table.remove(section),
        };
        self
    }
}

/// The names in both tables, each once, in order.
fn sections<'a>(ours: &'a Table, theirs: &'a Table) -> impl Iterator<Item = (&'a String, String)> {
    let mut names: Vec<_> = ours.keys().chain(theirs.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| (name, name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(Path::new("collector.toml"), text)
    }

    #[test]
    fn keys_that_differ_are_named() {
        let old = source("[web]\nlisten = \"a\"\nopen_docs = true\n[health]\nfall = 3\n[[targets]]\naddress = \"x\"\n");
        let new =
            source("[web]\nlisten = \"b\"\nopen_docs = true\n[store]\ncache_mib = 1\n[[targets]]\naddress = \"y\"\n");
        assert_eq!(old.differing(&new), ["health.fall", "store.cache_mib", "targets", "web.listen"]);
        assert_eq!(old.differing(&old), [""; 0]);
        assert_eq!(old.with("targets", &new).differing(&new), ["health.fall", "store.cache_mib", "web.listen"]);
        assert_eq!(
            source("[[targets]]\naddress = \"x\"\n").with("targets", &source("")).differing(&source("")),
            [""; 0]
        );
    }
}
