//! How many descriptors scrapes may hold. Pages need some too: a fleet that took them all would shut its operators out.

/// Room for scrapes, and for connections that are kept between them.
pub struct Room {
    max_in_flight: Box<dyn Fn(usize) -> usize + Send>,
    files: usize,
    places: usize,
    /// Endpoints of the server that has most: so many descriptors its scrape takes at once.
    largest: usize,
    keeps_connections: bool,
}

impl Room {
    /// Room for a fleet of any size: `max_in_flight` says how many scrapes its targets want at once, `files` how many
    /// descriptors there are for them.
    pub fn new(max_in_flight: impl Fn(usize) -> usize + Send + 'static, files: usize) -> Self {
        let mut room =
            Self { max_in_flight: Box::new(max_in_flight), files, places: 0, largest: 1, keeps_connections: true };
        room.fit([]);
        room
    }

    /// Makes room for targets that have so many endpoints each.
    pub(super) fn fit(&mut self, endpoints: impl IntoIterator<Item = usize>) {
        let (mut targets, mut connections, mut largest) = (0, 0, 1);
        for endpoints in endpoints {
            targets += 1;
            connections += endpoints;
            largest = largest.max(endpoints);
        }
        self.largest = largest;
        self.places = (self.max_in_flight)(targets).min(self.files).max(1);
        let keeps = connections + self.places <= self.files;
        if self.keeps_connections && !keeps {
            tracing::info!(
                connections,
                files = self.files,
                "too many endpoints for the open files to keep a connection to each"
            );
        }
        self.keeps_connections = keeps;
    }

    /// True when one more scrape may begin beside so many, which hold so many connections.
    pub(super) fn has_room(&self, scrapes: usize, connections: usize) -> bool {
        scrapes < self.places && (scrapes == 0 || connections + self.largest <= self.files)
    }

    /// Scrapes at once.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// There is a descriptor for every endpoint, beside those of scrapes.
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
            room.fit(vec![1; targets]);
            assert_eq!((room.places(), room.keeps_connections()), (places, keeps), "{targets} targets");
        }
    }

    #[test]
    fn servers_with_several_endpoints_take_as_many_descriptors() {
        let mut room = Room::new(|_| 50, 20);
        room.fit([1, 4, 2]);
        assert_eq!((room.places(), room.keeps_connections()), (20, false));
        assert!(room.has_room(3, 16) && !room.has_room(4, 17) && !room.has_room(20, 0));
        room.fit([1; 3]);
        assert!(room.has_room(19, 19) && !room.has_room(20, 20));
    }

    #[test]
    fn one_scrape_always_has_room() {
        let mut room = Room::new(|_| 1000, 0);
        room.fit([1; 7]);
        assert_eq!((room.places(), room.keeps_connections()), (1, false));
        assert!(room.has_room(0, 0) && !room.has_room(1, 1));
    }
}
