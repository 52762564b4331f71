//! How well a service does, as one number. Pure: knows nothing of where the evidence comes from.

/// What was seen of a service. `None` is what cannot be seen here: no permission, nothing configured, or
/// nothing to see for this kind of service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence {
    /// systemd says that the unit is active.
    pub active: bool,
    /// The process that does the work lives; for WireGuard, its device exists.
    pub process: Option<bool>,
    /// Every port that clients connect to is bound.
    pub bound: Option<bool>,
    /// It answers when it is asked about itself.
    pub control: Option<bool>,
    /// Data came from clients lately.
    pub moving: Option<bool>,
}

/// The rungs, in words, from the lowest.
pub const RUNGS: [&str; 6] =
    ["unit not active", "unit active", "process alive", "socket bound", "control channel answers", "data moves"];

impl Evidence {
    /// The highest rung that holds while none below it is known not to hold. What cannot be seen counts
    /// neither way: a status file that nobody may read must not look like a dead service.
    pub fn rung(&self) -> u8 {
        let mut highest = 0;
        for (rung, holds) in (1..).zip([Some(self.active), self.process, self.bound, self.control, self.moving]) {
            match holds {
                Some(true) => highest = rung,
                Some(false) => break,
                None => {}
            }
        }
        highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Evidence =
        Evidence { active: true, process: Some(true), bound: Some(true), control: Some(true), moving: Some(true) };

    #[test]
    fn the_first_rung_that_fails_ends_the_climb() {
        assert_eq!(WELL.rung(), 5);
        assert_eq!(Evidence { moving: Some(false), ..WELL }.rung(), 4);
        assert_eq!(Evidence { control: Some(false), ..WELL }.rung(), 3);
        assert_eq!(Evidence { bound: Some(false), ..WELL }.rung(), 2);
        assert_eq!(Evidence { process: Some(false), ..WELL }.rung(), 1);
        assert_eq!(Evidence { active: false, ..WELL }.rung(), 0);
    }

    #[test]
    fn what_cannot_be_seen_counts_neither_way() {
        assert_eq!(Evidence { process: None, bound: None, ..WELL }.rung(), 5);
        assert_eq!(Evidence { control: None, moving: None, ..WELL }.rung(), 3);
        assert_eq!(Evidence { active: true, ..Evidence::default() }.rung(), 1);
    }
}
