//! Series end at the receiver when they end here, as those that a Prometheus scrapes itself do.

use std::net::Ipv4Addr;

use crate::scene::{address, remote_write};
use crate::support::collector::Home;
use crate::support::prometheus::Prometheus;
use crate::support::victoria::VictoriaMetrics;
use crate::support::{eventually, exporter, free_port};

const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 104, 2);

#[test]
fn a_server_that_dies_ends_there_and_one_that_goes_leaves_nothing() {
    let (one, other, port) = (address(), address(), free_port(HOST));
    let config = |targets: &str| {
        let receivers = remote_write("one", &one, "send = \"all\"") + &remote_write("other", &other, "send = \"all\"");
        format!("[scrape]\ninterval_seconds = 1\nrecheck_seconds = 0.5\n{receivers}{targets}")
    };
    let target = format!("[[targets]]\naddress = \"{HOST}:{port}\"\n");
    // A neighbour, or the guard would take the failure for our own.
    let neighbour = Ipv4Addr::new(127, 0, 105, 2);
    let neighbour_port = free_port(neighbour);
    let _neighbour = exporter(neighbour, neighbour_port, |_| {});
    let stays = format!("[[targets]]\naddress = \"{neighbour}:{neighbour_port}\"\n");
    let mut host = exporter(HOST, port, |_| {});
    let home = Home::new(&config(&format!("{stays}{target}")));
    let (prometheus, victoria) =
        (Prometheus::receiver(home.path(), &one), VictoriaMetrics::start(home.path(), &other, None));
    let collector = home.start();
    let databases = [&prometheus.promql, &victoria.promql];
    let of = |name: &str| format!("{name}{{instance=\"{HOST}:{port}\"}}");
    let comes_to = |query: &str, expected: f64| {
        for database in databases {
            eventually(&format!("{query} to be {expected}"), || (database.number(query)? == expected).then_some(()));
        }
    };
    let ends = |query: &str| {
        for database in databases {
            eventually(&format!("the end of {query}"), || database.finds_nothing(query).then_some(()));
        }
    };
    comes_to(&of("up"), 1.0);
    for database in databases {
        for name in ["vpn_server_load_ratio", "node_memory_MemTotal_bytes", "vpn_exporter_build_info"] {
            eventually(name, || database.ask(&of(name)));
        }
    }

    host.kill();
    comes_to(&of("up"), 0.0);
    comes_to(&format!("vpn_server_state{{instance=\"{HOST}:{port}\",state=\"down\"}}"), 1.0);
    // All of these have samples of the last minute; without an end they would be shown for five more.
    ends(&format!("{{__name__=~\"node_.+|vpn_exporter_.+\",instance=\"{HOST}:{port}\"}}"));
    ends(&of("vpn_server_load_ratio"));
    comes_to(&of("vpn_server_info"), 1.0);

    let _host = exporter(HOST, port, |_| {});
    comes_to(&of("up"), 1.0);
    for database in databases {
        eventually("its own series to come back", || database.ask(&of("node_memory_MemTotal_bytes")));
    }

    home.configure(&config(&stays));
    assert_eq!(collector.post("/-/reload", &serde_json::Value::Null).status, 200);
    ends(&format!("{{instance=\"{HOST}:{port}\"}}"));
    assert!(databases.iter().all(|database| database.ask("up").is_some_and(|found| found.len() == 1)));
    assert!(prometheus.faults().is_empty(), "{:?}", prometheus.faults());
}
