//! One field of a form: what was typed stays there, with what is wrong beside it. Drawn by `partials/field.html`.

/// A text field with its label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// Name in the form, and the element's id.
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    /// What was typed; never a secret.
    pub(crate) value: String,
    /// What is wrong with it, in a sentence.
    pub(crate) problem: Option<String>,
    /// What may be typed.
    pub(crate) hint: &'static str,
    /// The HTML `type`; empty for plain text.
    pub(crate) kind: &'static str,
    /// The HTML `autocomplete`; empty for what browsers must not remember.
    pub(crate) autocomplete: &'static str,
    pub(crate) is_required: bool,
}

impl Field {
    /// An optional text field.
    pub(crate) fn new(name: &'static str, label: &'static str) -> Self {
        Self { name, label, ..Self::default() }
    }

    pub(crate) fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    pub(crate) fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    pub(crate) fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    pub(crate) fn autocomplete(self, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..self }
    }

    /// Marks it as wrong.
    pub(crate) fn wrong(self, problem: impl std::fmt::Display) -> Self {
        Self { problem: Some(problem.to_string()), ..self }
    }
}
