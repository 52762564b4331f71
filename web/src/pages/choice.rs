//! A field of a form in which one of several values is chosen. Drawn by `partials/choice.html`.

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// As it is sent.
    pub(crate) name: &'static str,
    /// As people read it.
    pub(crate) label: &'static str,
    pub(crate) is_chosen: bool,
}

/// A list of values with its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Name in the form, and the element's id.
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) values: Vec<Value>,
    /// What is wrong with it, in a sentence.
    pub(crate) problem: Option<String>,
}

impl Choice {
    /// The values by name and label; `chosen` is the name of one of them, or nothing that can be chosen.
    pub(crate) fn new(
        name: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, &'static str)>,
        chosen: &str,
    ) -> Self {
        let value = |(name, label)| Value { name, label, is_chosen: name == chosen };
        Self { name, label, values: values.into_iter().map(value).collect(), problem: None }
    }

    /// Marks it as wrong.
    pub(crate) fn wrong(self, problem: &str) -> Self {
        Self { problem: Some(problem.to_owned()), ..self }
    }
}
