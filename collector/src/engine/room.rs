//! How many descriptors scrapes may hold. Pages need some too: a fleet that took them all would shut its operators out.

/// Room for scrapes, and for connections that are kept between them.
pub struct Room {
    max_in_flight: Box<dyn Fn(usize) -> usize + Send>,
    files: usize,
    places: usize,
    keeps_connections: bool,
}

impl Room {
    /// Room for a fleet of any size: `max_in_flight` says how many scrapes its targets want at once, `files` how many
    /// descriptors there are for them.
    pub fn new(max_in_flight: impl Fn(usize) -> usize + Send + 'static, files: usize) -> Self {
        let mut room = Self { max_in_flight: Box::new(max_in_flight), files, places: 0, keeps_connections: true };
        room.fit(0);
        room
    }

    /// Makes room for so many targets.
    pub(super) fn fit(&mut self, targets: usize) {
        self.places = (self.max_in_flight)(targets).min(self.files).max(1);
        let keeps = targets + self.places <= self.files;
        if self.keeps_connections && !keeps {
            tracing::info!(
                targets,
                files = self.files,
                "too many targets for the open files to keep a connection to each"
            );
        }
        self.keeps_connections = keeps;
    }

    /// Scrapes at once.
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// There is a descriptor for every target, beside those of scrapes.
    pub(super) fn keeps_connections(&self) -> bool {
        self.keeps_connections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_kept_while_every_target_has_one() {
        let mut room = Room::new(|targets| targets.max(10), 100);
        for (targets, places, keeps) in
            [(0, 10, true), (50, 50, true), (51, 51, false), (500, 100, false), (5, 10, true)]
        {
            room.fit(targets);
            assert_eq!((room.places(), room.keeps_connections()), (places, keeps), "{targets} targets");
        }
    }

    #[test]
    fn one_scrape_always_has_room() {
        let mut room = Room::new(|_| 1000, 0);
        room.fit(7);
        assert_eq!((room.places(), room.keeps_connections()), (1, false));
    }
}
