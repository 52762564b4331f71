//! Chapter three: users, passwords and sessions.

use std::sync::Arc;

use crate::account::{Role, Session, User};
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

pub(super) async fn tell(store: &Store) {
    users_have_unique_names(store).await;
    sessions_end(store).await;
    passwords_change_under_one_epoch(store).await;
    only_one_of_many_changes_wins(store).await;
}

fn user(username: &str, role: Role) -> User {
    User {
        username: username.into(),
        password_hash: format!("$argon2id${username}"),
        role,
        must_change_password: true,
        epoch: 0,
        created_at: Timestamp::from_secs(1),
    }
}

fn session(seed: u8, username: &str, expires: i64) -> Session {
    Session {
        digest: [seed; 32],
        username: username.into(),
        epoch: 0,
        created_at: Timestamp::from_secs(10),
        expires_at: Timestamp::from_secs(expires),
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
    assert_eq!(accounts.users().await.unwrap(), [adam, zoe], "every user, by name");
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
