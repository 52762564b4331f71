//! The HTTP side: who may ask, what is answered, and how long anybody may take.
//!
//! [`respond`] maps requests to responses, [`negotiate`] finds out what is wanted, [`auth`] checks the token,
//! [`guard`] cuts slow peers off, [`tls`] holds the certificate and [`serve`] accepts connections. None of it knows what is on the page.

pub mod auth;
pub mod guard;
pub mod negotiate;
pub mod respond;
pub mod serve;
pub mod tls;
