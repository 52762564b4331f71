//! Where Redis is. Must not show the password that is part of it.

use std::fmt;

use redis::{Client, IntoConnectionInfo};

/// Prefixes of a cluster's URL, and what its nodes are reached by.
const CLUSTER_SCHEMES: [(&str, &str); 2] = [("redis+cluster://", "redis://"), ("rediss+cluster://", "rediss://")];

/// A URL that cannot be used. Does not repeat it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a Redis URL; allowed are redis://[user:password@]host[:port][/database], rediss://… for TLS, \
     redis+unix:///path, and redis+cluster://[user:password@]host[:port],host[:port],… for a cluster \
     (rediss+cluster://… with TLS); a password's special characters must be percent-encoded"
)]
pub struct UrlError;

/// A checked URL of a Redis server, or of a cluster by some of its nodes.
#[derive(Clone)]
pub struct RedisUrl {
    /// Each by itself, for what any node can do: publish and subscribe.
    pub(super) nodes: Vec<Client>,
    /// Commands have to go to the node that holds their key.
    pub(super) is_cluster: bool,
}

impl RedisUrl {
    /// Checks a URL; connects nowhere.
    ///
    /// # Errors
    /// It is none of the known forms.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let cluster = CLUSTER_SCHEMES.iter().find_map(|(prefix, scheme)| Some((url.strip_prefix(prefix)?, scheme)));
        let (urls, is_cluster) = match cluster {
            Some((rest, scheme)) => (node_urls(rest, scheme), true),
            None => (vec![url.to_owned()], false),
        };
        let open = |url: String| {
            let info = url.as_str().into_connection_info().map_err(|_| UrlError)?;
            // Without the announcement of the client's name there is a round trip less.
            let settings = info.redis_settings().clone().set_skip_set_lib_name();
            Client::open(info.set_redis_settings(settings)).map_err(|_| UrlError)
        };
        Ok(Self { nodes: urls.into_iter().map(open).collect::<Result<_, _>>()?, is_cluster })
    }
}

/// One URL per node; all share user and password.
fn node_urls(rest: &str, scheme: &str) -> Vec<String> {
    let (user, hosts) =
        rest.rsplit_once('@').map_or((String::new(), rest), |(user, hosts)| (format!("{user}@"), hosts));
    hosts.trim_end_matches('/').split(',').map(|host| format!("{scheme}{user}{}", host.trim())).collect()
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisUrl").field("is_cluster", &self.is_cluster).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_understood() {
        let nodes = |url: &str| {
            let url = RedisUrl::parse(url).unwrap();
            let addresses = url.nodes.iter().map(|node| node.get_connection_info().addr().to_string());
            (addresses.collect::<Vec<_>>(), url.is_cluster)
        };
        assert_eq!(nodes("redis://127.0.0.1"), (vec!["127.0.0.1:6379".into()], false));
        assert_eq!(nodes("redis://:p%40ss@cache:6380/2"), (vec!["cache:6380".into()], false));
        assert_eq!(nodes("rediss://user:p@cache"), (vec!["cache:6379".into()], false));
        assert_eq!(nodes("redis+unix:///run/redis.sock"), (vec!["/run/redis.sock".into()], false));
        let two = vec!["a:7000".into(), "b:6379".into()];
        assert_eq!(nodes("redis+cluster://user:p@a:7000,b"), (two, true));
        assert_eq!(nodes("rediss+cluster://[::1]:7000/").0.len(), 1);
    }

    #[test]
    fn others_are_refused_and_no_password_is_shown() {
        for url in
            ["", "cache:6379", "http://cache", "redis://", "redis+cluster://", "redis://h/x", "redis+cluster://a,"]
        {
            assert_eq!(RedisUrl::parse(url).map(|_| ()), Err(UrlError), "{url}");
        }
        let url = RedisUrl::parse("redis://:hunter2@cache").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
