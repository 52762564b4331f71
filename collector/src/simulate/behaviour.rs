//! How simulated servers misbehave, and when.

use std::time::Duration;

use mect_fleet::Timestamp;

use super::draw::{self, Purpose};
use super::{Options, Profile};

/// Servers that share out one full set of troubles.
const BLOCK: u32 = 100;
/// Half a cycle of what comes and goes: this long up, this long down. Longer than a collector needs to see it.
const HALF_CYCLE_SECONDS: f64 = 240.0;
/// The golden ratio's fraction: multiples of it spread over 0–1 as evenly as can be.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// How a server of the demonstration behaves. The shares hold in every hundred servers; a smaller fleet has its
/// part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers at once.
    Healthy,
    /// 6 %: answers after 1 to 5 seconds.
    Slow,
    /// 3 %: resets every connection.
    Down,
    /// 2 %: down and up in turn, for 4 minutes each.
    Flapping,
    /// 3 %: one VPN service failed; at two of three servers it comes and goes every 4 minutes.
    Degraded,
    /// 2 %: answers something else than its page.
    Odd(Odd),
}

/// What an odd server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// 200 with an HTML page.
    Html,
    /// 401.
    Unauthorized,
    /// 200 with bytes that are no text.
    Garbage,
    /// 200 with 10 MB.
    Huge,
    /// Nothing, ever.
    Silent,
    /// 500.
    Broken,
}

impl Odd {
    /// Every way to be odd.
    pub const ALL: [Self; 6] = [Self::Html, Self::Unauthorized, Self::Garbage, Self::Huge, Self::Silent, Self::Broken];
}

/// What a server does with a request right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Show the page after a while, with every service active or not.
    Page { delay: Duration, is_impaired: bool },
    /// Reset the connection.
    Reset,
    /// Something else.
    Odd(Odd),
}

impl Action {
    const PROMPT: Self = Self::Page { delay: Duration::ZERO, is_impaired: false };
}

impl Behaviour {
    pub(super) fn of(options: &Options, server: u32) -> Self {
        match options.profile {
            Profile::Load => Self::Healthy,
            Profile::Hostile if server % 10 == 9 => Self::Odd(Odd::ALL[server as usize / 10 % Odd::ALL.len()]),
            Profile::Hostile => Self::Healthy,
            Profile::Demo => Self::at_rank(rank(options.servers, server), server / BLOCK),
        }
    }

    /// Small fleets have the low ends of these ranges first: what comes and goes is what makes them worth watching.
    fn at_rank(rank: u32, block: u32) -> Self {
        match rank {
            0..2 => Self::Flapping,
            2..5 => Self::Degraded,
            5..8 => Self::Down,
            8..14 => Self::Slow,
            14..16 => Self::Odd(Odd::ALL[(2 * block + rank - 14) as usize % Odd::ALL.len()]),
            _ => Self::Healthy,
        }
    }

    /// What the server does at a moment.
    pub(super) fn action(options: &Options, server: u32, at: Timestamp) -> Action {
        let rank = || rank(options.servers, server);
        let page = |is_impaired| Action::Page { delay: Duration::ZERO, is_impaired };
        match Self::of(options, server) {
            Self::Healthy => Action::PROMPT,
            Self::Slow => Action::Page { delay: delay(options.seed, server), is_impaired: false },
            Self::Down => Action::Reset,
            // The quarters of half a cycle, so that within a hundred servers something flips every minute.
            Self::Flapping if is_second_half(f64::from(rank()) / 2.0, server, at) => Action::Reset,
            Self::Flapping => Action::PROMPT,
            Self::Degraded if rank() == 2 => page(true),
            Self::Degraded => page(is_second_half(f64::from(rank()) / 2.0 - 1.25, server, at)),
            Self::Odd(odd) => Action::Odd(odd),
        }
    }
}

/// A place in 0–99 that decides on the behaviour: different for each server of a block of 100, and scattered, so that
/// neighbours behave differently.
fn rank(servers: u32, server: u32) -> u32 {
    let size = servers.clamp(1, BLOCK);
    // A step without common factor with the size visits every place once.
    let step = (size * 61 / 100..size).find(|step| gcd(*step, size) == 1).unwrap_or(1);
    let place = (server % BLOCK % size * step + size / 2) % size;
    place * BLOCK / size
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// True in every second half of the cycle. `offset` in halves of a cycle staggers servers of one block; blocks are
/// staggered among each other.
fn is_second_half(offset: f64, server: u32, at: Timestamp) -> bool {
    let block = (f64::from(server / BLOCK) * GOLDEN).fract();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of many millennia fit")]
    let seconds = at.as_millis() as f64 / 1000.0;
    (seconds / HALF_CYCLE_SECONDS + offset + block).rem_euclid(2.0) >= 1.0
}

/// 1 to 5 seconds, always the same for one server.
fn delay(seed: u64, server: u32) -> Duration {
    Duration::from_secs_f64(1.0 + 4.0 * draw::unit(seed, server, Purpose::Delay))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn demo(servers: u32) -> Options {
        Options { servers, port: 0, samples: None, profile: Profile::Demo, seed: 7 }
    }

    fn counts(servers: u32) -> HashMap<String, u32> {
        let mut counts = HashMap::new();
        for server in 0..servers {
            let name = match Behaviour::of(&demo(servers), server) {
                Behaviour::Odd(_) => "Odd".to_owned(),
                other => format!("{other:?}"),
            };
            *counts.entry(name).or_default() += 1;
        }
        counts
    }

    #[test]
    fn every_hundred_servers_have_the_declared_shares() {
        for (servers, hundreds) in [(100, 1), (1_000, 10), (50_000, 500)] {
            let counts = counts(servers);
            for (name, share) in
                [("Flapping", 2), ("Degraded", 3), ("Down", 3), ("Slow", 6), ("Odd", 2), ("Healthy", 84)]
            {
                assert_eq!(counts[name], share * hundreds, "{name} of {servers}");
            }
        }
    }

    #[test]
    fn small_fleets_are_mostly_healthy_and_never_dull() {
        for servers in 4..100 {
            let counts = counts(servers);
            assert!(counts["Healthy"] * 10 >= servers * 7, "{servers}: {counts:?}");
            assert!(counts.contains_key("Flapping"), "{servers}: {counts:?}");
        }
        assert_eq!(Behaviour::of(&Options { profile: Profile::Load, ..demo(100) }, 50), Behaviour::Healthy);
        let hostile = Options { profile: Profile::Hostile, ..demo(100) };
        let odd = (0..100).filter(|server| matches!(Behaviour::of(&hostile, *server), Behaviour::Odd(_))).count();
        assert_eq!(odd, 10);
    }

    #[test]
    fn all_kinds_of_oddness_occur() {
        let options = demo(300);
        let odd = |odd| (0..300).any(|server| Behaviour::of(&options, server) == Behaviour::Odd(odd));
        assert!(Odd::ALL.into_iter().all(odd));
    }

    #[test]
    fn something_changes_within_every_minute() {
        for servers in [100, 250, 1_000] {
            let options = demo(servers);
            let state = |second| -> Vec<Action> {
                let at = Timestamp::from_secs(second);
                (0..servers).map(|server| Behaviour::action(&options, server, at)).collect()
            };
            for minute in 0..20 {
                assert_ne!(state(minute * 60), state(minute * 60 + 60), "{servers} servers, minute {minute}");
            }
        }
    }

    #[test]
    fn flapping_servers_stay_long_enough_to_be_noticed() {
        let options = demo(100);
        let server = (0..100).find(|server| Behaviour::of(&options, *server) == Behaviour::Flapping).unwrap();
        let down = |second| Behaviour::action(&options, server, Timestamp::from_secs(second)) == Action::Reset;
        let flips: Vec<i64> = (0..2_000).filter(|second| down(*second) != down(second + 1)).collect();
        assert!(flips.len() >= 7);
        assert!(flips.windows(2).all(|pair| pair[1] - pair[0] == 240), "{flips:?}");
    }

    #[test]
    fn slow_servers_take_one_to_five_seconds() {
        assert!((0..1_000).all(|server| (1.0..=5.0).contains(&delay(3, server).as_secs_f64())));
    }
}
