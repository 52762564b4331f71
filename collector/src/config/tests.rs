//! Good files are understood, bad ones are refused with file, line, key and what is allowed.

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/mect/collector.toml"), text).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let error = parse(text).expect_err("the file must be refused");
    assert!(error.starts_with("/etc/mect/collector.toml:"), "{error}");
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.web.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.scrape.interval(), Duration::from_secs(120));
    assert_eq!(config.rule(), Rule::default());
    assert!(!config.scrape.keeps_connections());
    assert_eq!(config.scrape.timeout(), Duration::from_secs(10));
    let quick = parse("[scrape]\ninterval_seconds = 5\n").unwrap();
    assert_eq!(quick.scrape.timeout(), Duration::from_secs(5), "no longer than the interval");
    assert_eq!(config.scrape.max_in_flight(200), 1019);
    assert_eq!(config.scrape.max_in_flight(50_000), 5584, "all silent for 10 s of every 120 s");
}

#[test]
fn the_shipped_example_is_valid_and_relative_paths_start_at_the_file() {
    let text = include_str!("../../../config/collector.toml");
    let config = parse(text).unwrap();
    assert!(config.store.data_dir.starts_with("/etc/mect") || config.store.data_dir.starts_with("/var/lib"));
    assert!(config.file_sd.iter().flat_map(|sd| &sd.files).all(|file| file.is_absolute()));
}

#[test]
fn an_unknown_key_is_named_with_its_nearest_known_one() {
    refused(
        "[scrape]\ntimeout_seconds = 5\nintervall_seconds = 60\n",
        &[
            ":3: ",
            "unknown key `intervall_seconds`",
            "did you mean `interval_seconds`?",
            "Allowed here: interval_seconds, timeout_seconds",
        ],
    );
    refused("[scrap]\n", &["unknown key `scrap`", "`scrape`"]);
    refused("[[targets]]\naddress = \"192.0.2.1:1\"\nhost = \"x\"\n", &[":3: ", "`host`", "`hostname`"]);
}

#[test]
fn a_wrong_type_or_range_names_line_key_and_what_is_allowed() {
    refused("[scrape]\ninterval_seconds = \"often\"\n", &[":2: ", "`interval_seconds`", "a number"]);
    refused("[scrape]\n\ninterval_seconds = 0.01\n", &[":3: ", "`scrape.interval_seconds`", "0.1 to 3600"]);
    refused("[scrape]\ntimeout_seconds = 200\n", &[":2: ", "`scrape.timeout_seconds`", "to the interval, 120"]);
    refused("[scrape]\ninterval_seconds = nan\n", &["`scrape.interval_seconds`"]);
    refused("[health]\nfall = 0\n", &[":2: ", "`health.fall`", "1 to 1000"]);
    refused("[web]\nlisten = \"8000\"\n", &[":2: ", "`listen`", "127.0.0.1:8000"]);
    refused("[web]\nmax_connections = 9223372036854775807\n", &[":2: ", "`web.max_connections`", "1 to 1000000"]);
    refused("scrape = { interval_seconds = 0 }\n", &[":1: ", "`scrape.interval_seconds`"]);
    refused("\n[scrape]\n\"interval_seconds\" = 0\n", &[":3: ", "`scrape.interval_seconds`"]);
    refused("[[file_sd]]\nfiles = []\n", &[":2: ", "`file_sd.files`"]);
    refused("[scrape]\nkeep_alive = \"maybe\"\n", &[":2: ", "auto", "never"]);
    refused("[web]\ntrusted_proxies = [\"10.0.0.0/40\"]\n", &[":2: ", "`10.0.0.0/40`", "10.0.0.0/8"]);
    refused("[federation]\nmax_series = 0\n", &[":2: ", "`federation.max_series`", "1 to 1000000"]);
    refused("[federation]\njob = \"\"\n", &[":2: ", "`federation.job`", "a name"]);
    refused("[federation]\nexternal_labels = { \"9a\" = \"x\" }\n", &[":2: ", "names of labels"]);
    refused("[web\n", &[":1: "]);
}

#[test]
fn a_bad_target_address_is_named_by_its_own_line() {
    let text = "[[targets]]\naddress = \"192.0.2.1:9776\"\n[[targets]]\naddress = \"ftp://x\"\n";
    refused(text, &[":4: ", "`targets.address`", "ftp://x"]);
}

#[test]
fn the_environment_overrides_the_file_and_names_its_own_mistakes() {
    let variables = Variables::from_pairs([
        ("MECT_LISTEN", "127.0.0.1:0"),
        ("MECT_DATA_DIR", "/srv/mect"),
        ("SECRET_KEY", "0123456789abcdef"),
    ]);
    let config = Config::load(None, &variables).unwrap();
    assert_eq!(config.web.listen.port(), 0);
    assert_eq!(config.store.data_dir, Path::new("/srv/mect"));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));

    for (name, value, part) in [
        ("MECT_LISTEN", "here", "127.0.0.1:8000"),
        ("MECT_ADMIN_PASSWORD_FILE", "/nonexistent", "cannot be read"),
        ("REDIS_URL", "http://cache:6379", "redis+cluster://"),
        ("REDIS_URL_FILE", "/nonexistent", "cannot be read"),
        ("MONGO_URL", "nonsense", "expected mongodb://"),
        ("MONGO_URL_FILE", "/nonexistent", "cannot be read"),
        ("MECT_LIST_KEY_FILE", "/nonexistent", "cannot be read"),
        ("MECT_LIST_KEY_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "openssl genpkey"),
    ] {
        let error = Config::load(None, &Variables::from_pairs([(name, value)])).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(part), "{error}");
    }
}

#[test]
fn the_redis_url_is_a_secret() {
    let variables = Variables::from_pairs([("REDIS_URL", "redis://:hunter2@cache")]);
    let config = Config::load(None, &variables).unwrap();
    assert!(config.secrets.redis_url.is_some() && !format!("{config:?}").contains("hunter2"));
    let wrong = Variables::from_pairs([("REDIS_URL", "redis://:hunter2@ca che")]);
    assert!(!Config::load(None, &wrong).unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn collectors_that_share_a_database_must_share_the_secret_key() {
    let url = ("MONGO_URL", "mongodb://user:hidden@127.0.0.1/fleet");
    let error = Config::load(None, &Variables::from_pairs([url])).unwrap_err().to_string();
    assert!(error.contains("SECRET_KEY") && error.contains("every collector"), "{error}");
    assert!(!error.contains("hidden"), "{error}");
    let config = Config::load(None, &Variables::from_pairs([url, ("SECRET_KEY", "0123456789abcdef")])).unwrap();
    assert!(config.secrets.mongo_url.is_some());
    assert!(!format!("{config:?}").contains("hidden"));
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Some(Path::new("/nonexistent/collector.toml")), &Variables::default()).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/collector.toml: cannot be read"), "{error}");
}

#[test]
fn a_receiver_of_samples_is_refused_by_key_and_line() {
    let with = |more: &str| format!("[[remote_write]]\nname = \"a\"\nurl = \"http://192.0.2.1/write\"\n{more}\n");
    let config = parse(&with("")).unwrap();
    let receiver = &config.remote_write[0];
    assert_eq!(receiver.endpoint().unwrap().to_string(), "http://192.0.2.1:80/write");
    assert_eq!((receiver.protocol, receiver.send), (Protocol::One, Series::Derived));
    assert_eq!((receiver.queue_mib, receiver.max_samples, receiver.timeout()), (256, 2000, Duration::from_secs(30)));
    refused("[[remote_write]]\nname = \"a\"\n", &["`url`"]);
    refused("[[remote_write]]\nname = \"../a\"\nurl = \"http://a/\"\n", &[":2: ", "`remote_write.name`", "letters"]);
    refused("[[remote_write]]\nname = \"a\"\nurl = \"a:9090\"\n", &[":3: ", "`remote_write.url`", "http://"]);
    refused(&(with("") + &with("")), &["`remote_write.name`", "given twice"]);
    for (more, parts) in [
        ("protocol = \"3.0\"", ["`protocol`", "2.0"]),
        ("send = \"some\"", ["`send`", "derived"]),
        ("access = \"x\"", ["`remote_write.access`", "no [[access]] has the name `x`"]),
        ("queue_mib = 0", ["`remote_write.queue_mib`", "1 to 1048576"]),
        ("max_samples = 20000", ["`remote_write.max_samples`", "1 to 10000"]),
        ("timeout_seconds = 0", ["`remote_write.timeout_seconds`", "0.1 to 600"]),
        ("external_labels = { \"__a\" = \"x\" }", ["`remote_write.external_labels`", "`__a`"]),
        ("headers = { Authorization = \"x\" }", ["`remote_write.headers`", "[[access]]"]),
        ("headers = { \"a b\" = \"x\" }", ["`remote_write.headers`", "`a b`"]),
        ("quue_mib = 1", ["`quue_mib`", "did you mean `queue_mib`?"]),
        ("send = \"all\"\n[federation]\nraw = false", ["`remote_write.send`", "federation.raw"]),
    ] {
        refused(&with(more), &[":4: ", parts[0], parts[1]]);
    }
}
