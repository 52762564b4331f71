//! Who is asking: passwords, bearer tokens, browser sessions.

pub(crate) mod first_admin;
pub(crate) mod identity;
pub(crate) mod password;
pub(crate) mod session;
pub(crate) mod token;
pub(crate) mod users;
