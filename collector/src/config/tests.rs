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
    refused("[scrape]\ninterval_seconds = \"often\"\n", &[":2: ", "`interval_seconds`", "expected f64"]);
    refused("[scrape]\n\ninterval_seconds = 0.01\n", &[":3: ", "`scrape.interval_seconds`", "0.1 to 3600"]);
    refused("[scrape]\ntimeout_seconds = 200\n", &[":2: ", "`scrape.timeout_seconds`", "to the interval, 120"]);
    refused("[scrape]\ninterval_seconds = nan\n", &["`scrape.interval_seconds`"]);
    refused("[health]\nfall = 0\n", &[":2: ", "`health.fall`", "1 or more"]);
    refused("[web]\nlisten = \"8000\"\n", &[":2: ", "`listen`"]);
    refused("[scrape]\nkeep_alive = \"maybe\"\n", &[":2: ", "auto", "never"]);
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
        ("MONGO_URL", "mongodb://127.0.0.1", "embedded store only"),
    ] {
        let error = Config::load(None, &Variables::from_pairs([(name, value)])).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(part), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Some(Path::new("/nonexistent/collector.toml")), &Variables::default()).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/collector.toml: cannot be read"), "{error}");
}
