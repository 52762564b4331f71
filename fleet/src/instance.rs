//! `instance`: the label that tells the series of one page from those of another.

/// `host:port` of a URL; a text without scheme and path is taken as it is.
pub fn address(url: &str) -> &str {
    let rest = behind_scheme(url);
    rest.find('/').and_then(|slash| rest.get(..slash)).unwrap_or(rest)
}

/// The label of the page at `url`, of a server whose pages at `before` are named earlier: `host:port`, as Prometheus has
/// it. Where an earlier page is at the same host and port it is `host:port/path`: both have an `up`, and mostly more
/// series of the same names.
pub fn of<'a, 'b>(url: &'a str, before: impl IntoIterator<Item = &'b str>) -> &'a str {
    let short = address(url);
    if before.into_iter().any(|known| address(known) == short) { behind_scheme(url) } else { short }
}

fn behind_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_part_between_scheme_and_path() {
        assert_eq!(address("http://[2001:db8::1]:9776/metrics"), "[2001:db8::1]:9776");
        assert_eq!(address("https://a:1/probe?target=http://b:1/"), "a:1");
        assert_eq!(address("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_second_page_of_one_port_is_named_with_its_path() {
        let urls = ["http://a:80/node/metrics", "https://a:81/metrics", "http://a:80/wg?x=1", "http://a:80/squid"];
        let instances: Vec<_> = (0..urls.len()).map(|place| of(urls[place], urls[..place].iter().copied())).collect();
        assert_eq!(instances, ["a:80", "a:81", "a:80/wg?x=1", "a:80/squid"]);
    }
}
