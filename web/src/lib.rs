//! REST, pages and Prometheus endpoints of the fleet.
