//! Tokens whose signature was checked already: a client shows the same one again and again, and checking it costs more
//! than the rest of a request.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Tokens remembered; beyond it the memory starts afresh. Only genuine ones are kept, so nobody fills it who has no
/// account.
const MAX_VERIFIED: usize = 4096;

/// What genuine tokens say. The tokens themselves are kept, as the key that signs them is: to find one by a digest would
/// cost more than all the rest of a request for a list that the client has already.
pub(crate) struct Verified<C>(RwLock<HashMap<Box<str>, Arc<C>>>);

impl<C> Default for Verified<C> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<C> Verified<C> {
    /// What `token` says, if it is genuine. `verify` tells of one that is not known, `is_current` of a known one whether
    /// its time has not run out. Nothing else may void a token here: what can is for the caller to look at each time.
    pub(crate) fn claims(
        &self,
        token: &str,
        is_current: impl FnOnce(&C) -> bool,
        verify: impl FnOnce(&str) -> Option<C>,
    ) -> Option<Arc<C>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        if let Some(claims) = known {
            return is_current(&claims).then_some(claims);
        }
        let claims = Arc::new(verify(token)?);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_VERIFIED {
            known.clear();
        }
        known.insert(token.into(), Arc::clone(&claims));
        Some(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_genuine_token_is_checked_once_and_a_forged_one_always() {
        let (verified, mut checks) = (Verified::default(), 0);
        let mut ask = |token: &str, is_current: bool| {
            let verify = |token: &str| {
                checks += 1;
                token.strip_prefix("genuine ").map(str::to_owned)
            };
            (verified.claims(token, |_| is_current, verify).map(|claims| claims.to_string()), checks)
        };
        assert_eq!(ask("genuine a", true), (Some("a".into()), 1));
        assert_eq!(ask("genuine a", true), (Some("a".into()), 1));
        assert_eq!(ask("genuine a", false), (None, 1), "its time has run out");
        assert_eq!(ask("genuine b", true), (Some("b".into()), 2));
        assert_eq!(ask("forged", true), (None, 3));
        assert_eq!(ask("forged", true), (None, 4));
    }

    #[test]
    fn memory_is_bounded() {
        let verified = Verified::default();
        for number in 0..MAX_VERIFIED * 3 {
            verified.claims(&number.to_string(), |()| true, |_| Some(()));
            assert!(verified.0.read().unwrap().len() <= MAX_VERIFIED);
        }
    }
}
