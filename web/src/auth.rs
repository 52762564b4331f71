//! Who is asking: passwords and one-time codes, bearer tokens, browser sessions, API tokens.

pub(crate) mod agents;
pub(crate) mod api_token;
pub mod by_hand;
pub(crate) mod first_admin;
pub(crate) mod form_token;
pub(crate) mod grant;
pub(crate) mod hex;
pub(crate) mod identity;
pub(crate) mod memory;
pub(crate) mod old_hashes;
pub(crate) mod password;
pub(crate) mod session;
pub(crate) mod sign_in;
pub(crate) mod token;
pub(crate) mod totp;
pub(crate) mod username;
pub(crate) mod users;
pub(crate) mod verified;
