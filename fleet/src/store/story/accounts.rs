//! Chapter three: users, passwords and sessions.

use std::sync::Arc;

use crate::account::{ApiToken, Grant, Renewal, Role, Scope, Session, Totp, User, UserPatch};
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

pub(super) async fn tell(store: &Store) {
    users_have_unique_names(store).await;
    sessions_end(store).await;
    sessions_are_listed(store).await;
    passwords_change_under_one_epoch(store).await;
    only_one_of_many_changes_wins(store).await;
    a_hash_is_renewed_without_an_epoch(store).await;
    edits_end_sessions(store).await;
    one_time_codes_are_taken_once(store).await;
    grants_are_renewed_once(store).await;
    what_is_revoked_is_remembered_until_it_expires(store).await;
    tokens_are_named_and_end(store).await;
    a_deleted_user_takes_everything_along(store).await;
    one_superadmin_is_left(store).await;
    one_of_many_superadmins_is_left_whoever_is_faster(store).await;
}

fn user(username: &str, role: Role) -> User {
    let user = User { epoch: 0, ..User::new(username, format!("$argon2id${username}"), role, Timestamp::from_secs(1)) };
    User { must_change_password: true, ..user }
}

fn session(seed: u8, username: &str, expires: i64) -> Session {
    Session {
        digest: [seed; 32],
        username: username.into(),
        epoch: 0,
        created_at: Timestamp::from_secs(10),
        expires_at: Timestamp::from_secs(expires),
        address: "192.0.2.7".into(),
    }
}

async fn users_have_unique_names(store: &Store) {
    let accounts = &store.accounts;
    assert_eq!(accounts.user("nobody").await.unwrap(), None);
    let (zoe, adam) = (user("zoe", Role::Admin), user("adam", Role::Superadmin));
    accounts.create_user(zoe.clone()).await.unwrap();
    accounts.create_user(adam.clone()).await.unwrap();
    let taken = accounts.create_user(user("zoe", Role::Readonly)).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    assert_eq!(accounts.user("zoe").await.unwrap(), Some(zoe.clone()));
    assert_eq!(accounts.users().await.unwrap(), [adam.clone(), zoe.clone()], "every user, by name");
    assert_eq!(accounts.users_after(None, 1).await.unwrap()[..], accounts.users().await.unwrap()[..1]);
    assert_eq!(accounts.users_after(Some("adam"), 5).await.unwrap(), [zoe]);
    assert_eq!(accounts.users_after(Some("a"), 1).await.unwrap(), [adam]);
    assert!(accounts.users_after(Some("zoe"), 5).await.unwrap().is_empty());
}

async fn sessions_end(store: &Store) {
    let (accounts, now) = (&store.accounts, Timestamp::from_secs(20));
    let open = session(1, "zoe", 21);
    assert_eq!(accounts.session(&open.digest, now).await.unwrap(), None);
    accounts.create_session(open.clone()).await.unwrap();
    assert_eq!(accounts.session(&open.digest, now).await.unwrap(), Some(open.clone()));
    assert_eq!(accounts.session(&open.digest, open.expires_at).await.unwrap(), None, "void from then on");
    accounts.delete_session(&open.digest).await.unwrap();
    accounts.delete_session(&open.digest).await.unwrap();
    assert_eq!(accounts.session(&open.digest, now).await.unwrap(), None);

    // Maintenance deletes what has expired and nothing else: asking as of an earlier time shows what is kept.
    let (old, young) = (session(2, "zoe", 30), session(3, "zoe", 50));
    accounts.create_session(old.clone()).await.unwrap();
    accounts.create_session(young.clone()).await.unwrap();
    store.recorder.maintain(Timestamp::from_secs(40), Timestamp::from_secs(0)).await.unwrap();
    assert_eq!(accounts.session(&young.digest, now).await.unwrap(), Some(young));
    assert_eq!(accounts.session(&old.digest, Timestamp::from_secs(40)).await.unwrap(), None);
}

async fn sessions_are_listed(store: &Store) {
    let accounts = &store.accounts;
    let at = |seed: u8, began: i64, expires: i64| Session {
        created_at: Timestamp::from_secs(began),
        ..session(seed, "adam", expires)
    };
    let (old, new, over) = (at(60, 10, 100), at(61, 15, 90), at(62, 12, 20));
    let unknown = Session { address: String::new(), ..at(63, 14, 100) };
    for one in [&old, &new, &over, &unknown, &session(64, "zoe", 100)] {
        accounts.create_session(one.clone()).await.unwrap();
    }
    let digests = [&old, &new, &unknown, &over].map(|session| session.digest);
    let listed = accounts.sessions("adam", Timestamp::from_secs(20)).await.unwrap();
    assert_eq!(listed, [new, unknown, old], "newest first, without what is over");
    accounts.delete_session(&[63; 32]).await.unwrap();
    let listed = accounts.sessions("adam", Timestamp::from_secs(90)).await.unwrap();
    assert_eq!(listed.iter().map(|session| session.digest[0]).collect::<Vec<_>>(), [60]);
    assert!(accounts.sessions("nobody", Timestamp::from_secs(0)).await.unwrap().is_empty());
    for digest in digests.iter().chain([&[64; 32]]) {
        accounts.delete_session(digest).await.unwrap();
    }
}

async fn passwords_change_under_one_epoch(store: &Store) {
    let (accounts, now) = (&store.accounts, Timestamp::from_secs(20));
    let (hers, his) = (session(4, "zoe", 100), session(5, "adam", 100));
    accounts.create_session(hers.clone()).await.unwrap();
    accounts.create_session(his.clone()).await.unwrap();

    let changed = accounts.set_password("zoe", 0, "$new".into(), false).await.unwrap();
    assert_eq!((changed.epoch, changed.password_hash.as_str(), changed.must_change_password), (1, "$new", false));
    assert_eq!((changed.role, changed.created_at), (Role::Admin, Timestamp::from_secs(1)));
    assert_eq!(accounts.user("zoe").await.unwrap(), Some(changed.clone()));
    assert_eq!(accounts.session(&hers.digest, now).await.unwrap(), None, "a new password ends every session");
    assert_eq!(accounts.session(&his.digest, now).await.unwrap(), Some(his.clone()), "of that user only");

    accounts.create_session(session(6, "zoe", 100)).await.unwrap();
    for (name, epoch) in [("zoe", 0), ("zoe", 2), ("nobody", 0)] {
        let refused = accounts.set_password(name, epoch, "$late".into(), true).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(accounts.user("zoe").await.unwrap(), Some(changed));
    assert!(accounts.session(&[6; 32], now).await.unwrap().is_some(), "a refused change ends nothing");
}

async fn only_one_of_many_changes_wins(store: &Store) {
    let changes: Vec<_> = (0..8)
        .map(|n| {
            let accounts = Arc::clone(&store.accounts);
            tokio::spawn(async move { accounts.set_password("adam", 0, format!("$hash-{n}"), false).await })
        })
        .collect();
    let mut won = Vec::new();
    for change in changes {
        won.extend(change.await.unwrap().ok());
    }
    assert_eq!(won.len(), 1);
    assert_eq!(store.accounts.user("adam").await.unwrap().as_ref(), won.first());
    assert_eq!(won[0].epoch, 1);
}

async fn a_hash_is_renewed_without_an_epoch(store: &Store) {
    let accounts = &store.accounts;
    let before = accounts.user("zoe").await.unwrap().unwrap();
    accounts.create_session(session(20, "zoe", 100)).await.unwrap();
    assert!(!accounts.upgrade_hash("zoe", "$of somebody else", "$never".into()).await.unwrap());
    assert!(!accounts.upgrade_hash("nobody", "$old", "$never".into()).await.unwrap());
    assert!(accounts.upgrade_hash("zoe", &before.password_hash, "$renewed".into()).await.unwrap());
    let after = accounts.user("zoe").await.unwrap().unwrap();
    assert_eq!(after, User { password_hash: "$renewed".into(), ..before });
    assert!(accounts.session(&[20; 32], Timestamp::from_secs(20)).await.unwrap().is_some(), "nobody is signed out");
}

async fn edits_end_sessions(store: &Store) {
    let (accounts, now) = (&store.accounts, Timestamp::from_secs(20));
    let known = accounts.user("zoe").await.unwrap().unwrap();
    accounts.create_grant(grant(20, "zoe", 100)).await.unwrap();
    let patch = UserPatch { role: Some(Role::Readonly), disabled: None };
    let (before, after) = accounts.edit_user("zoe", patch).await.unwrap().unwrap();
    assert_eq!(before, known);
    assert_eq!(after, User { role: Role::Readonly, epoch: before.epoch + 1, ..before });
    assert_eq!(accounts.user("zoe").await.unwrap(), Some(after.clone()));
    assert_eq!(accounts.session(&[20; 32], now).await.unwrap(), None);
    assert_eq!(accounts.renew_grant(&[20; 16], &[20; 32], &[21; 32], now).await.unwrap(), Renewal::Unknown);

    let lock = UserPatch { role: None, disabled: Some(true) };
    let (_, locked) = accounts.edit_user("zoe", lock).await.unwrap().unwrap();
    assert_eq!(locked, User { disabled: true, epoch: after.epoch + 1, ..after });
    let open = UserPatch { role: Some(Role::Admin), disabled: Some(false) };
    let (_, opened) = accounts.edit_user("zoe", open).await.unwrap().unwrap();
    assert!(!opened.disabled && opened.role == Role::Admin);
    assert_eq!(accounts.edit_user("nobody", open).await.unwrap(), None);

    accounts.create_session(Session { epoch: opened.epoch, ..session(22, "zoe", 100) }).await.unwrap();
    let out = accounts.end_sign_ins("zoe").await.unwrap().unwrap();
    assert_eq!(out, User { epoch: opened.epoch + 1, ..opened });
    assert_eq!(accounts.session(&[22; 32], now).await.unwrap(), None);
    assert_eq!(accounts.end_sign_ins("nobody").await.unwrap(), None);
}

async fn one_time_codes_are_taken_once(store: &Store) {
    let accounts = &store.accounts;
    let totp = Totp { secret: vec![0, 255, 7], confirmed: true, last_step: 5 };
    assert!(!accounts.take_totp_step("zoe", 6).await.unwrap(), "not set up");
    let user = accounts.set_totp("zoe", Some(totp.clone())).await.unwrap().unwrap();
    assert_eq!(user.totp, Some(totp));
    for (step, taken) in [(5, false), (6, true), (6, false), (4, false), (8, true)] {
        assert_eq!(accounts.take_totp_step("zoe", step).await.unwrap(), taken, "step {step}");
    }
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let accounts = Arc::clone(&store.accounts);
            tokio::spawn(async move { accounts.take_totp_step("zoe", 9).await.unwrap() })
        })
        .collect();
    let mut taken = 0;
    for one in tries {
        taken += usize::from(one.await.unwrap());
    }
    assert_eq!(taken, 1, "of several at once");
    assert_eq!(accounts.user("zoe").await.unwrap().unwrap().totp.unwrap().last_step, 9);
    assert_eq!(accounts.set_totp("zoe", None).await.unwrap().unwrap().totp, None);
    assert!(!accounts.take_totp_step("nobody", 1).await.unwrap());
    assert_eq!(accounts.set_totp("nobody", None).await.unwrap(), None);
}

fn grant(seed: u8, username: &str, expires: i64) -> Grant {
    Grant {
        id: [seed; 16],
        digest: [seed; 32],
        username: username.into(),
        epoch: 0,
        created_at: Timestamp::from_secs(10),
        expires_at: Timestamp::from_secs(expires),
    }
}

async fn grants_are_renewed_once(store: &Store) {
    let (accounts, now) = (&store.accounts, Timestamp::from_secs(20));
    let first = grant(40, "zoe", 100);
    accounts.create_grant(first.clone()).await.unwrap();
    let next = Grant { digest: [41; 32], ..first.clone() };
    let renewed = accounts.renew_grant(&first.id, &[40; 32], &[41; 32], now).await.unwrap();
    assert_eq!(renewed, Renewal::Renewed(next.clone()));
    let again = accounts.renew_grant(&first.id, &[41; 32], &[42; 32], first.expires_at).await.unwrap();
    assert_eq!(again, Renewal::Unknown, "void from then on");
    let stolen = accounts.renew_grant(&first.id, &[40; 32], &[43; 32], now).await.unwrap();
    assert_eq!(stolen, Renewal::Reused(next), "a secret that had its turn");
    let ended = accounts.renew_grant(&first.id, &[41; 32], &[42; 32], now).await.unwrap();
    assert_eq!(ended, Renewal::Unknown, "it ended the grant");

    accounts.create_grant(grant(44, "zoe", 100)).await.unwrap();
    accounts.delete_grant(&[44; 16]).await.unwrap();
    accounts.delete_grant(&[44; 16]).await.unwrap();
    assert_eq!(accounts.renew_grant(&[44; 16], &[44; 32], &[45; 32], now).await.unwrap(), Renewal::Unknown);

    accounts.create_grant(grant(46, "zoe", 100)).await.unwrap();
    let tries: Vec<_> = (0..4)
        .map(|n| {
            let accounts = Arc::clone(&store.accounts);
            tokio::spawn(async move { accounts.renew_grant(&[46; 16], &[46; 32], &[50 + n; 32], now).await.unwrap() })
        })
        .collect();
    let mut renewed = 0;
    for one in tries {
        renewed += usize::from(matches!(one.await.unwrap(), Renewal::Renewed(_)));
    }
    assert_eq!(renewed, 1, "of several at once");
}

async fn what_is_revoked_is_remembered_until_it_expires(store: &Store) {
    let (accounts, at) = (&store.accounts, Timestamp::from_secs);
    assert!(accounts.revoked(at(0)).await.unwrap().is_empty());
    accounts.revoke(&[1; 16], at(50)).await.unwrap();
    accounts.revoke(&[2; 16], at(60)).await.unwrap();
    accounts.revoke(&[2; 16], at(60)).await.unwrap();
    let mut both = accounts.revoked(at(20)).await.unwrap();
    both.sort_unstable();
    assert_eq!(both, [[1; 16], [2; 16]]);
    assert_eq!(accounts.revoked(at(50)).await.unwrap(), [[2; 16]]);
    store.recorder.maintain(at(55), at(0)).await.unwrap();
    assert_eq!(accounts.revoked(at(0)).await.unwrap(), [[2; 16]], "maintenance forgets what has expired");
}

fn api_token(seed: u8, username: &str, name: &str, expires: Option<i64>) -> ApiToken {
    ApiToken {
        digest: [seed; 32],
        username: username.into(),
        name: name.into(),
        scopes: [Scope::ReadFleet, Scope::Federate].into(),
        created_at: Timestamp::from_secs(10),
        expires_at: expires.map(Timestamp::from_secs),
        last_used_at: None,
    }
}

async fn tokens_are_named_and_end(store: &Store) {
    let (accounts, now) = (&store.accounts, Timestamp::from_secs(20));
    let (grafana, backup) = (api_token(30, "zoe", "grafana", None), api_token(31, "zoe", "backup", Some(50)));
    let hers = api_token(32, "adam", "grafana", None);
    for token in [&grafana, &backup, &hers] {
        accounts.create_token(token.clone()).await.unwrap();
    }
    let taken = accounts.create_token(api_token(33, "zoe", "grafana", None)).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    assert_eq!(accounts.token(&[33; 32], now).await.unwrap(), None);
    assert_eq!(accounts.tokens("zoe").await.unwrap(), [backup.clone(), grafana.clone()], "by name");
    assert_eq!(accounts.token(&[31; 32], now).await.unwrap(), Some(backup));
    assert_eq!(accounts.token(&[31; 32], Timestamp::from_secs(50)).await.unwrap(), None, "void from then on");
    assert_eq!(accounts.token(&[30; 32], Timestamp::from_secs(5_000_000_000)).await.unwrap(), Some(grafana));
    for (at, kept) in [(30, 30), (25, 30), (31, 31)] {
        accounts.touch_token(&[31; 32], Timestamp::from_secs(at)).await.unwrap();
        let used = accounts.token(&[31; 32], now).await.unwrap().unwrap().last_used_at;
        assert_eq!(used, Some(Timestamp::from_secs(kept)));
    }
    accounts.touch_token(&[99; 32], now).await.unwrap();
    assert_eq!(accounts.token(&[99; 32], now).await.unwrap(), None);
    assert!(accounts.delete_token("zoe", "backup").await.unwrap());
    assert!(!accounts.delete_token("zoe", "backup").await.unwrap());
    assert_eq!(accounts.token(&[31; 32], now).await.unwrap(), None);
    assert_eq!(accounts.tokens("adam").await.unwrap(), [hers]);
}

async fn a_deleted_user_takes_everything_along(store: &Store) {
    let (accounts, now) = (&store.accounts, Timestamp::from_secs(20));
    accounts.create_session(session(21, "zoe", 100)).await.unwrap();
    assert!(accounts.delete_user("zoe").await.unwrap());
    assert!(!accounts.delete_user("zoe").await.unwrap());
    assert_eq!(accounts.user("zoe").await.unwrap(), None);
    assert_eq!(accounts.session(&[21; 32], now).await.unwrap(), None);
    assert!(accounts.tokens("zoe").await.unwrap().is_empty());
    assert_eq!(accounts.token(&[30; 32], now).await.unwrap(), None);
    assert_eq!(accounts.users().await.unwrap().len(), 1);
    assert_eq!(accounts.tokens("adam").await.unwrap().len(), 1, "of that user only");
}

/// True when the store says that somebody must be left.
fn is_refused<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> bool {
    match outcome {
        Err(StoreError::LastSuperadmin(_)) => true,
        Err(error) => panic!("{error}"),
        Ok(_) => false,
    }
}

const DEMOTED: UserPatch = UserPatch { role: Some(Role::Admin), disabled: None };
const LOCKED: UserPatch = UserPatch { role: None, disabled: Some(true) };

async fn one_superadmin_is_left(store: &Store) {
    let accounts = &store.accounts;
    let before = accounts.user("adam").await.unwrap().unwrap();
    assert_eq!(before.role, Role::Superadmin);
    accounts.create_user(user("eve", Role::Superadmin)).await.unwrap();
    accounts.edit_user("eve", LOCKED).await.unwrap().unwrap();
    // One who cannot sign in does not count.
    assert!(is_refused(accounts.edit_user("adam", DEMOTED).await));
    assert!(is_refused(accounts.edit_user("adam", LOCKED).await));
    assert!(is_refused(accounts.delete_user("adam").await));
    assert_eq!(accounts.user("adam").await.unwrap(), Some(before), "a refused change changes nothing");
    assert!(accounts.delete_user("eve").await.unwrap(), "nor is one who is locked the last");
}

async fn one_of_many_superadmins_is_left_whoever_is_faster(store: &Store) {
    for round in 0..5 {
        accounts_race(store, round).await;
    }
}

/// A way to lose a superadmin; tells whether it was refused.
type Way = fn(Arc<dyn crate::store::Accounts>, &'static str) -> tokio::task::JoinHandle<bool>;

async fn accounts_race(store: &Store, round: u32) {
    let accounts = &store.accounts;
    accounts.create_user(user("eve", Role::Superadmin)).await.unwrap();
    let ways: [Way; 3] = [
        |accounts, name| tokio::spawn(async move { is_refused(accounts.edit_user(name, DEMOTED).await) }),
        |accounts, name| tokio::spawn(async move { is_refused(accounts.edit_user(name, LOCKED).await) }),
        |accounts, name| tokio::spawn(async move { is_refused(accounts.delete_user(name).await) }),
    ];
    let way = ways[round as usize % ways.len()];
    let (adam, eve) = (way(Arc::clone(accounts), "adam"), way(Arc::clone(accounts), "eve"));
    let refused = [adam.await.unwrap(), eve.await.unwrap()];
    assert_eq!(refused.iter().filter(|refused| **refused).count(), 1, "round {round}: {refused:?}");
    let users = accounts.users().await.unwrap();
    let left: Vec<_> = users.iter().filter(|user| user.role == Role::Superadmin && !user.disabled).collect();
    assert_eq!(left.len(), 1, "round {round}");
    // Adam goes on.
    if accounts.user("adam").await.unwrap().is_none() {
        accounts.create_user(user("adam", Role::Superadmin)).await.unwrap();
    }
    let restored = UserPatch { role: Some(Role::Superadmin), disabled: Some(false) };
    accounts.edit_user("adam", restored).await.unwrap().unwrap();
    accounts.delete_user("eve").await.unwrap();
}
