//! The HTTP side: who may ask, what is answered, and how long anybody may take.
//!
//! [`respond`] maps requests to responses, [`auth`] checks the token, [`guard`] cuts slow peers off and
//! [`serve`] accepts connections. None of it knows what is on the page.

pub mod auth;
pub mod guard;
pub mod respond;
pub mod serve;
