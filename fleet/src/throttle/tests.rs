use super::*;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn ten_quick_failures_then_one_in_six_seconds() {
    let (throttle, now) = (LoginThrottle::default(), Instant::now());
    for _ in 0..10 {
        let _ = throttle.enter("admin", ip("192.0.2.1"), now).unwrap();
    }
    let refused = throttle.enter("admin", ip("192.0.2.2"), now).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(6));
    assert!(throttle.enter("other", ip("192.0.2.1"), now).is_ok());
    let later = now + refused.retry_after;
    assert!(throttle.enter("admin", ip("192.0.2.2"), later).is_ok());
    assert!(throttle.enter("admin", ip("192.0.2.2"), later).is_err());
    assert!(throttle.enter("admin", ip("192.0.2.2"), later + Duration::from_secs(60)).is_ok());
}

#[test]
fn one_address_cannot_try_many_names() {
    let (throttle, now) = (LoginThrottle::default(), Instant::now());
    for n in 0..30 {
        // The same customer network.
        let _ = throttle.enter(&format!("user{n}"), ip(&format!("2001:db8::{n:x}")), now).unwrap();
    }
    assert!(throttle.enter("one more", ip("2001:db8::ffff:1"), now).is_err());
    assert!(throttle.enter("one more", ip("2001:db8:0:1::1"), now).is_ok());
    assert!(throttle.enter("one more", None, now).is_ok());
}

#[test]
fn who_succeeds_is_never_refused() {
    let (throttle, now) = (LoginThrottle::default(), Instant::now());
    for _ in 0..1000 {
        let attempt = throttle.enter("shared", ip("192.0.2.1"), now).unwrap();
        throttle.give_back(&attempt);
    }
}

#[test]
fn failures_elsewhere_count_here_and_refusals_there_do_not_add_up() {
    let (peers, mut told) = Peers::new();
    let (here, there, now) = (LoginThrottle::default(), LoginThrottle::new(peers), Instant::now());
    for _ in 0..10 {
        let attempt = there.enter("admin", None, now).unwrap();
        there.failed(&attempt);
        let Ok(News::FailedLogin(keys)) = told.try_recv() else { panic!("not told") };
        // Even told a hundred times the wait is that of one attempt.
        (0..10).for_each(|_| here.heard(keys, now));
    }
    assert_eq!(here.enter("admin", None, now).unwrap_err().retry_after, Duration::from_secs(6));
}

#[test]
fn memory_is_bounded_and_those_that_owe_most_stay() {
    let (throttle, now) = (LoginThrottle::default(), Instant::now());
    for _ in 0..10 {
        let _ = throttle.enter("admin", None, now).unwrap();
    }
    for n in 0..MAX_KEYS + 10 {
        let _ = throttle.enter(&n.to_string(), None, now).unwrap();
    }
    assert!(throttle.paid_at().len() <= MAX_KEYS);
    assert!(throttle.enter("admin", None, now).is_err());
}

#[test]
fn guesses_of_others_do_not_lock_out_who_signed_in_before() {
    let (peers, mut told) = Peers::new();
    let (throttle, now) = (LoginThrottle::new(peers), Instant::now());
    let attempt = throttle.enter("admin", ip("192.0.2.1"), now).unwrap();
    throttle.succeeded(&attempt, now);
    for n in 0..40 {
        let _ = throttle.enter("admin", ip(&format!("198.51.100.{n}")), now);
    }
    assert!(throttle.enter("admin", ip("203.0.113.9"), now).is_err(), "a strange address");
    for _ in 0..10 {
        let _ = throttle.enter("admin", ip("192.0.2.1"), now).unwrap();
    }
    assert!(throttle.enter("admin", ip("192.0.2.1"), now).is_err(), "it has a count, of its own");

    let Ok(News::KnownClient(client)) = told.try_recv() else { panic!("not told") };
    let (other, past) = (LoginThrottle::default(), LoginThrottle::default());
    other.heard_of(client, now);
    past.remember("admin", ip("192.0.2.1").unwrap(), now);
    for throttle in [other, past] {
        (0..10).for_each(|_| _ = throttle.enter("admin", None, now));
        assert!(throttle.enter("admin", None, now).is_err());
        assert!(throttle.enter("admin", ip("192.0.2.1"), now).is_ok());
        assert!(throttle.enter("admin", ip("192.0.2.1"), now + KNOWN_FOR).is_ok(), "paid by then");
    }
}
