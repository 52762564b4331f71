//! What an Xray or V2Ray core is told to do: its inbounds, and where it can be asked. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::config::{Port, Transport};

/// Most ports taken; a range of thousands says no more than its first ones.
const MAX_PORTS: usize = 16;

/// Stream types that run over UDP.
const UDP_STREAMS: [&str; 4] = ["kcp", "mkcp", "quic", "hysteria"];

/// The parts of the configuration that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Ports that clients connect to.
    pub ports: Vec<Port>,
    /// Where `/debug/vars` is served (Xray's `metrics`).
    pub metrics: Option<SocketAddr>,
    /// Where the gRPC API is served.
    pub api: Option<SocketAddr>,
    /// Tag of the API's own inbound, whose traffic is ours.
    pub api_tag: Option<String>,
}

/// The value of `-config`, `--config`, `-c` or `-config=…` on a command line.
pub fn config_argument(arguments: &[String]) -> Option<&str> {
    arguments.iter().enumerate().find_map(|(at, argument)| {
        let option = argument.trim_start_matches('-');
        if option.len() == argument.len() {
            return None;
        }
        match option.split_once('=') {
            Some(("config" | "c", file)) => Some(file),
            None if matches!(option, "config" | "c") => arguments.get(at + 1).map(String::as_str),
            _ => None,
        }
    })
}

/// Parses the JSON configuration, which may hold comments.
///
/// # Errors
/// It is not JSON.
pub fn parse(text: &str) -> Result<Settings, String> {
    let value: Value = serde_json::from_str(&without_comments(text)).map_err(|error| error.to_string())?;
    let address_at = |path: &[&str]| text_at(&value, path).and_then(|listen| listen.parse().ok());
    let metrics_tag = text_at(&value, &["metrics", "tag"]);
    let mut settings = Settings {
        api_tag: text_at(&value, &["api", "tag"]).map(str::to_owned),
        metrics: address_at(&["metrics", "listen"]),
        // Xray's shorter form, without an inbound of its own.
        api: address_at(&["api", "listen"]),
        ports: Vec::new(),
    };

    let list = |key: &str| value.get(key).and_then(Value::as_array).into_iter().flatten();
    // `inbound` and `inboundDetour` are V2Ray's old names.
    for inbound in list("inbounds").chain(value.get("inbound")).chain(list("inboundDetour")) {
        let tag = inbound.get("tag").and_then(Value::as_str);
        let listen = inbound.get("listen").and_then(Value::as_str);
        // A Unix socket has no port.
        if listen.is_some_and(|listen| listen.starts_with(['/', '@'])) {
            continue;
        }
        let numbers = inbound.get("port").map(ports).unwrap_or_default();
        let address =
            listen.and_then(|listen| listen.parse::<IpAddr>().ok()).filter(|address| !address.is_unspecified());
        let place = |number: u16| SocketAddr::from((address.unwrap_or(Ipv4Addr::LOCALHOST.into()), number));
        if tag.is_some() && tag == settings.api_tag.as_deref() {
            settings.api = settings.api.or_else(|| numbers.first().map(|number| place(*number)));
        } else if tag.is_some() && tag == metrics_tag {
            settings.metrics = settings.metrics.or_else(|| numbers.first().map(|number| place(*number)));
        } else {
            let transport = transport(inbound);
            settings.ports.extend(numbers.into_iter().map(|number| Port { transport, number }));
        }
    }
    settings.ports.sort_unstable();
    settings.ports.dedup();
    settings.ports.truncate(MAX_PORTS);
    Ok(settings)
}

fn transport(inbound: &Value) -> Transport {
    let stream = text_at(inbound, &["streamSettings", "network"]).unwrap_or_default();
    let protocol = inbound.get("protocol").and_then(Value::as_str).unwrap_or_default();
    if UDP_STREAMS.contains(&stream) || protocol == "wireguard" { Transport::Udp } else { Transport::Tcp }
}

/// A number, or text with numbers and ranges: `443`, `"443"`, `"1000-1010,2000"`.
fn ports(value: &Value) -> Vec<u16> {
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|number| *number != 0);
    match value {
        Value::Number(value) => value.as_u64().and_then(|value| number(&value.to_string())).into_iter().collect(),
        Value::String(text) => {
            let ranges = text.split(',').filter_map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                Some(number(first)?..=number(last)?)
            });
            ranges.flatten().take(MAX_PORTS).collect()
        }
        _ => Vec::new(),
    }
}

fn text_at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |value, key| value.get(key))?.as_str()
}

/// Blanks `//`, `#` and `/* */` comments outside of texts.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_text = false;
    while let Some(character) = rest.chars().next() {
        let skipped = match character {
            _ if in_text => None,
            '#' => Some(rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("//") => Some(rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => Some(rest.find("*/").map_or(rest.len(), |end| end + 2)),
            _ => None,
        };
        let taken = match (skipped, character) {
            (Some(bytes), _) => {
                rest = rest.get(bytes..).unwrap_or_default();
                continue;
            }
            (None, '\\') if in_text => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, _) => character.len_utf8(),
        };
        in_text ^= character == '"';
        plain.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_x_ui_is_understood() {
        let text = r#"{
            // written by the panel
            "api": {"tag": "api", "services": ["StatsService"]},
            "metrics": {"tag": "metrics_out", "listen": "127.0.0.1:11111"},
            "inbounds": [
                {"tag": "api", "listen": "127.0.0.1", "port": 62789, "protocol": "dokodemo-door"},
                {"tag": "in-443", "port": 443, "protocol": "vless", "streamSettings": {"network": "tcp"}},
                {"tag": "in-kcp", "port": "5000", "protocol": "vmess", "streamSettings": {"network": "kcp"}},
                {"tag": "range", "port": "1000-1002,2000", "protocol": "trojan"},
                {"tag": "local", "listen": "/run/x.sock", "port": 1, "protocol": "vless"}
            ] /* end */
        }"#;
        let settings = parse(text).unwrap();
        assert_eq!(settings.metrics.unwrap().to_string(), "127.0.0.1:11111");
        assert_eq!(settings.api.unwrap().to_string(), "127.0.0.1:62789");
        let tcp = [443, 1000, 1001, 1002, 2000].map(Port::tcp);
        assert_eq!(settings.ports, [&tcp[..], &[Port::udp(5000)]].concat());
    }

    #[test]
    fn old_names_still_count() {
        let text =
            r#"{"inbound": {"port": 10086}, "inboundDetour": [{"port": 10087}], "api": {"listen": "127.0.0.1:1"}}"#;
        let settings = parse(text).unwrap();
        assert_eq!(settings.ports, [10086, 10087].map(Port::tcp));
        assert_eq!(settings.api.unwrap().port(), 1);
    }

    #[test]
    fn comments_in_texts_stay() {
        assert_eq!(without_comments(r#"{"a": "x // y # \" /* z", # c"#), r#"{"a": "x // y # \" /* z", "#);
        assert_eq!(without_comments("\"\\"), "\"\\");
        assert_eq!(without_comments("/* open"), "");
        assert_eq!(without_comments("\"é\\é\"//é"), "\"é\\é\"");
    }

    #[test]
    fn nonsense_is_an_error_or_nothing() {
        assert!(parse("").is_err() && parse("{").is_err() && parse(&"[".repeat(10_000)).is_err());
        for odd in [
            "{}",
            "[]",
            "5",
            r#"{"inbounds": 5}"#,
            r#"{"inbounds": [5, {"port": -1}, {"port": 1e9}, {"port": "9-5"}]}"#,
        ] {
            assert_eq!(parse(odd).unwrap().ports, [], "{odd}");
        }
        assert_eq!(parse(r#"{"inbounds":[{"port":"1-65535"}]}"#).unwrap().ports.len(), MAX_PORTS);
    }

    #[test]
    fn the_file_is_found_on_the_command_line() {
        let find = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            config_argument(&words).map(str::to_owned)
        };
        assert_eq!(find("xray run -c /a.json").as_deref(), Some("/a.json"));
        assert_eq!(find("v2ray -config=/a.json").as_deref(), Some("/a.json"));
        assert_eq!(find("v2ray --config /a.json").as_deref(), Some("/a.json"));
        assert_eq!(find("xray run config x"), None);
        assert_eq!(find("xray -c"), None);
    }
}
