//! Model, health rule, ranking and stores of a monitored VPN fleet.
