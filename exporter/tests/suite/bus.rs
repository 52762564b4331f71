//! The systemd sampler against a bus that behaves, and against several that do not.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mect_exporter::collect::BUDGET;
use mect_exporter::config::{Rule, Service, UnitMap};
use mect_exporter::page::Page;
use mect_exporter::sampler::systemd::Systemd;

use crate::fake_bus::{Answer, FakeBus, HANGS_UP, UNIT_LIST, error, reply, signal, string, typical_systemd, unit_list};

async fn sample(systemd: &mut Systemd) -> Result<String, String> {
    let mut page = Page::new();
    systemd.sample(BUDGET, &mut page).await.map_err(|error| error.to_string())?;
    Ok(page.into_text())
}

fn built_in(bus: &FakeBus) -> Systemd {
    Systemd::new(Ok(bus.socket()), UnitMap::built_in())
}

fn one_pattern(bus: &FakeBus) -> Systemd {
    Systemd::new(Ok(bus.socket()), UnitMap::from_operator(vec![Rule::plain("wg*.service", Service::Wg)]))
}

#[tokio::test]
async fn states_and_types_come_through_and_the_connection_is_kept() {
    let bus = FakeBus::start(typical_systemd);
    let mut systemd = built_in(&bus);
    let first = sample(&mut systemd).await.unwrap();
    for line in [
        "node_systemd_unit_state{name=\"squid.service\",state=\"failed\",type=\"oneshot\"} 1\n",
        "node_systemd_unit_state{name=\"wg-quick@wg0.service\",state=\"active\",type=\"oneshot\"} 1\n",
        "vpn_service_active{service=\"ov\",unit=\"openvpn@server.service\"} 1\n",
        "vpn_service_active{service=\"sq\",unit=\"squid.service\"} 0\n",
        "vpn_service_active{service=\"wg\",unit=\"wg-quick@wg0.service\"} 1\n",
    ] {
        assert!(first.contains(line), "{line}{first}");
    }
    assert!(!first.contains("x-ui"), "a unit that the host does not have");
    assert_eq!(sample(&mut systemd).await.unwrap(), first);
    assert_eq!(bus.logins(), 1);
    drop(systemd);
}

#[tokio::test]
async fn types_are_asked_for_once_and_both_lists_in_one_go() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let bus = FakeBus::start(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        if request.member == "ListUnitsByNames" {
            // Two names, in the map's order.
            assert_eq!(request.body[8..21], *b"squid.service");
        }
        typical_systemd(request)
    });
    let mut systemd = built_in(&bus);
    sample(&mut systemd).await.unwrap();
    assert_eq!(
        calls.swap(0, Ordering::SeqCst),
        2 + 2 * 3,
        "two lists, type and control group of three loaded services"
    );
    sample(&mut systemd).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    drop(systemd);
}

#[tokio::test]
async fn a_bus_that_was_restarted_is_found_again_in_the_same_scrape() {
    let calls = AtomicUsize::new(0);
    let bus = FakeBus::start(move |request| match calls.fetch_add(1, Ordering::SeqCst) {
        // After the list, the type and the control group.
        3 => Answer::Close,
        _ => match request.member.as_str() {
            "Get" => Answer::Bytes(reply(request.serial, "v", &[&[1, b's', 0, 0][..], &string("simple")].concat())),
            _ => Answer::Bytes(reply(request.serial, UNIT_LIST, &unit_list(&[("wg1.service", "loaded", "active")]))),
        },
    });
    let mut systemd = one_pattern(&bus);
    let first = sample(&mut systemd).await.unwrap();
    assert_eq!(sample(&mut systemd).await.unwrap(), first);
    assert_eq!(bus.logins(), 2);
    drop(systemd);
}

#[tokio::test]
async fn a_silent_bus_costs_half_a_second_and_not_more() {
    let bus = FakeBus::start(|_| Answer::Silence);
    let mut systemd = one_pattern(&bus);
    let started = Instant::now();
    let error = sample(&mut systemd).await.unwrap_err();
    assert!(error.contains("did not answer within 500 ms"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3));
    drop(systemd);
}

#[tokio::test]
async fn refusals_say_who_refused_and_why() {
    let denied = FakeBus::start(|request| {
        Answer::Bytes(error(request.serial, "org.freedesktop.DBus.Error.AccessDenied", "not you"))
    });
    let mut systemd = one_pattern(&denied);
    let message = sample(&mut systemd).await.unwrap_err();
    assert!(message.contains("AccessDenied") && message.contains("not you"), "{message}");
    drop(systemd);

    let mut absent = Systemd::new(Ok(PathBuf::from("/nonexistent/bus")), UnitMap::built_in());
    assert!(sample(&mut absent).await.unwrap_err().contains("/nonexistent/bus"));
    let mut strange = Systemd::new(Err("tcp:host=x".into()), UnitMap::built_in());
    assert!(sample(&mut strange).await.unwrap_err().contains("tcp:host=x"));
}

#[tokio::test]
async fn a_bus_that_rejects_the_login_is_an_error() {
    let bus = FakeBus::with_login("REJECTED EXTERNAL", |_| Answer::Close);
    let listener = bus.socket();
    let mut systemd = Systemd::new(Ok(listener), UnitMap::built_in());
    assert!(sample(&mut systemd).await.unwrap_err().contains("REJECTED"));
    drop(systemd);
}

/// What a real dbus-daemon does with a user that it cannot look up.
#[tokio::test]
async fn a_bus_that_hangs_up_after_the_login_is_explained() {
    let bus = FakeBus::with_login(HANGS_UP, |_| Answer::Close);
    let mut systemd = one_pattern(&bus);
    let message = sample(&mut systemd).await.unwrap_err();
    assert!(message.contains("user"), "{message}");
    drop(systemd);
}

/// systemd unloads a stopped unit that nothing wants: globs then miss it, names still find it.
#[tokio::test]
async fn a_unit_that_was_seen_stays_on_the_page_when_it_stops() {
    let rounds = AtomicUsize::new(0);
    let bus = FakeBus::start(move |request| {
        let wg = |state| reply(request.serial, UNIT_LIST, &unit_list(&[("wg1.service", "loaded", state)]));
        Answer::Bytes(match request.member.as_str() {
            "ListUnitsByPatterns" if rounds.fetch_add(1, Ordering::SeqCst) == 0 => wg("active"),
            "ListUnitsByPatterns" => reply(request.serial, UNIT_LIST, &unit_list(&[])),
            "ListUnitsByNames" => wg("inactive"),
            _ => error(request.serial, "x.y", "no type"),
        })
    });
    let mut systemd = one_pattern(&bus);
    assert!(sample(&mut systemd).await.unwrap().contains("unit=\"wg1.service\"} 1\n"));
    for _ in 0..3 {
        assert!(sample(&mut systemd).await.unwrap().contains("unit=\"wg1.service\"} 0\n"));
    }
    drop(systemd);
}

/// Every reply here is wrong in its own way; each must be an error, soon, and without a panic.
#[tokio::test]
async fn hostile_replies_are_errors() {
    type Forge = fn(u32) -> Vec<u8>;
    let forgeries: [(&str, Forge); 11] = [
        ("not D-Bus", |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("zeros", |_| vec![0; 64]),
        ("another type", |serial| reply(serial, "s", &string("x"))),
        ("an empty body", |serial| reply(serial, UNIT_LIST, &[])),
        ("an array longer than the message", |serial| reply(serial, UNIT_LIST, &[255, 255, 255, 127, 0, 0, 0, 0])),
        ("an array that ends inside a unit", |serial| {
            let mut list = unit_list(&[("wg1.service", "loaded", "active")]);
            list[0] -= 8;
            reply(serial, UNIT_LIST, &list)
        }),
        ("a string that is not UTF-8", |serial| {
            let mut list = unit_list(&[("wg1.service", "loaded", "active")]);
            list[12] = 0xff;
            reply(serial, UNIT_LIST, &list)
        }),
        ("a huge body", |serial| {
            let mut bytes = reply(serial, UNIT_LIST, &[]);
            bytes[4..8].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
            bytes
        }),
        ("huge header fields", |serial| {
            let mut bytes = reply(serial, UNIT_LIST, &[]);
            bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
            bytes
        }),
        ("too many units", |serial| reply(serial, UNIT_LIST, &unit_list(&[("u", "", ""); 5000]))),
        ("a flood of signals", |_| signal().repeat(100)),
    ];
    for (what, forge) in forgeries {
        let bus = FakeBus::start(move |request| Answer::Bytes(forge(request.serial)));
        let mut systemd = one_pattern(&bus);
        let started = Instant::now();
        let result = sample(&mut systemd).await;
        assert!(result.is_err(), "{what}: {result:?}");
        assert!(started.elapsed() < Duration::from_millis(900), "{what} ran into the timeout");
        drop(systemd);
    }
}

/// Units with quotes and newlines in their names must not break out of their label.
#[tokio::test]
async fn hostile_unit_names_are_escaped() {
    let bus = FakeBus::start(|request| match request.member.as_str() {
        "Get" => Answer::Bytes(error(request.serial, "x.y", "no type")),
        _ => Answer::Bytes(reply(
            request.serial,
            UNIT_LIST,
            &unit_list(&[("wg\"} 1\nup 0\n#.service", "loaded", "active")]),
        )),
    });
    let mut systemd = one_pattern(&bus);
    let text = sample(&mut systemd).await.unwrap();
    assert!(text.contains("vpn_service_active{service=\"wg\",unit=\"wg\\\"} 1\\nup 0\\n#.service\"} 1\n"), "{text}");
    assert!(text.contains("state=\"active\",type=\"\"} 1\n"), "{text}");
    drop(systemd);
}
